"""From half-hourly readings to what a unit delivered: DFS homes against BL01, BM Units as a sum of asset
meters.

This owns how readings are found, added up and, where missing, not counted. The baseline itself is
`protocol.baselines`, the netting `protocol.settlement`. Missing is never filled. Rules: docs/markets.md
S3-S6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from protocol.baselines import BaselineStatus, bl01, is_eligible_day
from protocol.messages import I16, I32, I64, MISSING_WH
from protocol.periods import NORMAL_PERIOD_COUNT
from protocol.settlement import dfs_delivered_wh

CHUNK = 16_384
"""Meters worked on at once: bounds the copy of history that BL01 wants in one piece (about 22 MB for 14
days).
"""

NOT_THERE = -1
"""The place of a meter that a day's readings do not mention."""


@dataclass(frozen=True, slots=True, eq=False)
class DayReadings:
    """One local day of one kind of meter: `meters` are homes or rows, `import_wh` is (meters, periods), as
    given.
    """

    meters: I32
    import_wh: I16


@dataclass(frozen=True, slots=True, eq=False)
class BlockVolume:
    """What the meters of one DFS Unit used and delivered in each period of a block (periods) [Wh].

    `baseline_wh` and `metered_wh` are of meters that have both; `counted_out` is how many have not, or had
    too few days. `insufficient`: meters with too few days for a baseline; `not_adjusted`: without their
    in-day adjustment.
    """

    baseline_wh: I64
    metered_wh: I64
    delivered_wh: I64
    counted_out: I64
    meters: int
    insufficient: int
    not_adjusted: int


@dataclass(frozen=True, slots=True)
class Block:
    """The part of a DFS event that lies on one day: periods from `first_sp` (counted from 1), and how it is
    settled. `turn_up`: what was delivered is metered less baseline, not baseline less metered.
    """

    day: date
    first_sp: int
    n_sp: int
    in_day_adjustment: bool
    netting: str
    turn_up: bool = False


def places(wanted: I32, meters: I32) -> NDArray[np.int64]:
    """Where each of `wanted` stands in `meters`; NOT_THERE where it does not."""
    order = np.arange(len(meters)) if np.all(meters[1:] > meters[:-1]) else np.argsort(meters, kind="stable")
    if not len(meters):
        return np.full(len(wanted), NOT_THERE)
    found = order[np.minimum(np.searchsorted(meters, wanted, sorter=order), len(meters) - 1)]
    return np.where(meters[found] == wanted, found, NOT_THERE)


def rows_at(readings: DayReadings, at: NDArray[np.int64]) -> I16:
    """The readings at places (meters, periods); MISSING_WH for a meter that is not there."""
    taken: I16 = readings.import_wh[at]
    taken[at == NOT_THERE] = MISSING_WH
    return taken


def block_volume(
    meters: I32, block: Block, readings: Mapping[date, DayReadings], event_days: frozenset[date]
) -> BlockVolume:
    """What the meters delivered in a block, against BL01 over the days in `readings` that are no event days.

    Without any readings of the day itself nothing is delivered and every meter is counted out.
    """
    total = _nothing(block.n_sp)
    if block.day in readings:
        history_days = sorted(
            day for day in readings if is_eligible_day(day, block.day) and day not in event_days
        )
        for part in _chunks(meters):
            _add(total, _chunk_volume(part, block, readings, history_days))
    else:
        total.counted_out[:] = len(meters)
    return BlockVolume(
        _whole(total.baseline_wh),
        _whole(total.metered_wh),
        _whole(total.delivered_wh),
        total.counted_out,
        len(meters),
        total.insufficient,
        total.not_adjusted,
    )


@dataclass(slots=True)
class _Sums:
    """Running sums over chunks, before rounding."""

    baseline_wh: NDArray[np.float64]
    metered_wh: NDArray[np.float64]
    delivered_wh: NDArray[np.float64]
    counted_out: I64
    insufficient: int = 0
    not_adjusted: int = 0


def _nothing(n_sp: int) -> _Sums:
    return _Sums(np.zeros(n_sp), np.zeros(n_sp), np.zeros(n_sp), np.zeros(n_sp, np.int64))


def _add(total: _Sums, part: _Sums) -> None:
    total.baseline_wh += part.baseline_wh
    total.metered_wh += part.metered_wh
    total.delivered_wh += part.delivered_wh
    total.counted_out += part.counted_out
    total.insufficient += part.insufficient
    total.not_adjusted += part.not_adjusted


def _chunks(meters: I32) -> Iterator[I32]:
    for start in range(0, len(meters), CHUNK):
        yield meters[start : start + CHUNK]


def _chunk_volume(
    meters: I32, block: Block, readings: Mapping[date, DayReadings], history_days: list[date]
) -> _Sums:
    """The sums of one chunk of meters."""
    delivery_day = rows_at(readings[block.day], places(meters, readings[block.day].meters))
    baseline, status = bl01(
        _history(meters, readings, history_days),
        history_days,
        block.day,
        delivery_day,
        np.zeros((len(meters), len(history_days)), dtype=np.bool_),
        block.first_sp,
        block.n_sp,
        block.in_day_adjustment,
    )
    in_block = delivery_day[:, block.first_sp - 1 : block.first_sp - 1 + block.n_sp]
    metered = np.where(in_block == MISSING_WH, np.nan, in_block)
    known = ~np.isnan(metered) & ~np.isnan(baseline)
    insufficient = status == BaselineStatus.INSUFFICIENT
    return _Sums(
        baseline_wh=np.where(known, baseline, 0.0).sum(axis=0),
        metered_wh=np.where(known, metered, 0.0).sum(axis=0),
        delivered_wh=dfs_delivered_wh(baseline, metered, block.netting, block.turn_up),
        counted_out=np.count_nonzero(~known | insufficient[:, None], axis=0).astype(np.int64),
        insufficient=int(np.count_nonzero(insufficient)),
        not_adjusted=int(np.count_nonzero(status == BaselineStatus.NOT_ADJUSTED)),
    )


def _history(meters: I32, readings: Mapping[date, DayReadings], days: list[date]) -> I16:
    """Readings of the meters on the days (meters, days, periods)."""
    history = np.empty((len(meters), len(days), NORMAL_PERIOD_COUNT), dtype=np.int16)
    for column, day in enumerate(days):
        history[:, column] = rows_at(readings[day], places(meters, readings[day].meters))
    return history


def _whole(energy_wh: NDArray[np.float64]) -> I64:
    """Whole Wh, ties to even; what floating point adds below a thousandth is cut off first."""
    whole: I64 = np.rint(np.round(energy_wh, 3)).astype(np.int64)
    return whole


@dataclass(frozen=True, slots=True, eq=False)
class UnitImport:
    """What the asset meters of a BM Unit read in each period of a day (periods) [Wh]; `missing` of `meters`
    gave none.
    """

    import_wh: I64
    missing: I64
    meters: int


def unit_import(rows: I32, readings: DayReadings | None, period_count: int) -> UnitImport:
    """The sum over a unit's asset meters in each period, and how many of them have no reading in it."""
    if readings is None:
        nothing = np.zeros(period_count, dtype=np.int64)
        return UnitImport(nothing, np.full(period_count, len(rows), dtype=np.int64), len(rows))
    taken = rows_at(readings, places(rows, readings.meters))
    absent = taken == MISSING_WH
    total = np.where(absent, 0, taken).sum(axis=0, dtype=np.int64)
    return UnitImport(total, np.count_nonzero(absent, axis=0).astype(np.int64), len(rows))
