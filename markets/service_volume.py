"""From readings to what a unit's meters deviated by, and who is paid for which of it: each Wh once.

This owns the order of sums: baseline less metered meter by meter in whole Wh, what earlier claims have left
of it, and how a unit's payment is laid upon its meters. The baselines themselves are
`protocol.baseline_methods`. Turning down is positive. Rules: docs/rules.md R196-R204.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from markets.metered_volume import CHUNK, DayReadings, places, rows_at
from protocol.baseline_methods import Evidence, baseline
from protocol.baselines import LOOK_BACK_DAYS, BaselineStatus
from protocol.messages import I16, I32, I64, MISSING_WH
from protocol.periods import NORMAL_PERIOD_COUNT
from protocol.rulebook import Rulebook

ROLLING = frozenset({"BL01", "BL01_adjusted", "historical", "mid_8_in_10", "mid_8_in_10_adjusted"})
"""Methods that average a meter's own earlier days."""


@dataclass(frozen=True, slots=True)
class Window:
    """The periods of one day that are settled: `n_sp` from `first_sp`, counted from 1."""

    day: date
    first_sp: int
    n_sp: int

    @property
    def places(self) -> slice:
        """Where they stand in the day."""
        return slice(self.first_sp - 1, self.first_sp - 1 + self.n_sp)


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """The meters of a unit, and what is known about them beside their readings.

    `meters`: homes or rows; `weight` (meters): by which a unit's nomination is split, not negative; `kind`
    (meters): which of `reference_wh` (kinds, 48) is theirs, -1 for none; `event_days`: days that baselines
    leave out.
    """

    meters: I32
    weight: I64
    kind: I64
    reference_wh: NDArray[np.float64]
    event_days: Collection[date]


@dataclass(frozen=True, slots=True, eq=False)
class Deviation:
    """What each meter deviated by [Wh, turn-down positive] (meters, periods), 0 where that is not known.

    `baseline_wh`, `metered_wh` (periods): sums over the meters for which both are known; `counted_out`
    (periods) is how many are not; `insufficient`: meters without the data that the baseline asks for.
    """

    by_meter_wh: I32
    baseline_wh: I64
    metered_wh: I64
    counted_out: I64
    insufficient: int


def deviation(
    method: str,
    sites: Sites,
    window: Window,
    readings: Mapping[date, DayReadings],
    nominated_wh: NDArray[np.float64] | None,
    rules: Rulebook,
) -> Deviation:
    """Baseline less metered of every meter, by the method that the product's rulebook names.

    `nominated_wh` (periods) is the whole unit's, NaN or None where nothing was nominated in time; it is
    split over the meters by weight. Without any reading of the day every meter is counted out; and where a
    method averages earlier days, in Settlement Periods 49 and 50, which these do not have (R25).
    """
    known = max(min(window.n_sp, NORMAL_PERIOD_COUNT + 1 - window.first_sp), 0)
    if method in ROLLING and known < window.n_sp:
        first = deviation(method, sites, replace(window, n_sp=known), readings, None, rules)
        return _and_unknown(first, window.n_sp - known)
    found = _Sums(np.zeros((len(sites.meters), window.n_sp), np.int32), window.n_sp)
    if window.day not in readings or not len(sites.meters) or not window.n_sp:
        found.counted_out[:] = len(sites.meters)
        return found.whole()
    split = _split_nomination(sites, nominated_wh, window.n_sp) if method == "nominated" else None
    days = sorted(
        day for day in readings if method in ROLLING and 1 <= (window.day - day).days <= LOOK_BACK_DAYS
    )
    for part in _chunks(len(sites.meters)):
        evidence = _evidence(sites, window, readings, days, part, split)
        found.add(part, evidence, *baseline(method, evidence, rules))
    return found.whole()


def _and_unknown(found: Deviation, periods: int) -> Deviation:
    """With so many periods more, in which every meter is counted out."""
    beyond = (0, periods)
    return Deviation(
        np.pad(found.by_meter_wh, ((0, 0), beyond)),
        np.pad(found.baseline_wh, beyond),
        np.pad(found.metered_wh, beyond),
        np.pad(found.counted_out, beyond, constant_values=len(found.by_meter_wh)),
        found.insufficient,
    )


class _Sums:
    """Running sums over chunks of meters; baselines are rounded so that a unit's add up to its own."""

    def __init__(self, by_meter_wh: I32, n_sp: int) -> None:
        self.by_meter_wh = by_meter_wh
        self.exact_wh = np.zeros(n_sp)
        self.baseline_wh, self.metered_wh, self.counted_out = np.zeros((3, n_sp), np.int64)
        self.insufficient = 0

    def add(
        self,
        part: slice,
        evidence: Evidence,
        expected_wh: NDArray[np.float64],
        status: NDArray[np.int8],
    ) -> None:
        window = slice(evidence.first_sp - 1, evidence.first_sp - 1 + evidence.n_sp)
        metered = np.ascontiguousarray(evidence.metered_wh[:, window])
        without = status == BaselineStatus.INSUFFICIENT
        self.insufficient += int(np.count_nonzero(without))
        expected_wh = np.where(without[:, np.newaxis], np.nan, expected_wh)
        _subtract(
            expected_wh,
            metered,
            MISSING_WH,
            self.by_meter_wh[part],
            self.exact_wh,
            self.baseline_wh,
            self.metered_wh,
            self.counted_out,
        )

    def whole(self) -> Deviation:
        return Deviation(
            self.by_meter_wh, self.baseline_wh, self.metered_wh, self.counted_out, self.insufficient
        )


@njit(cache=True, nogil=True)
def _subtract(
    expected: NDArray[np.float64],
    metered: I16,
    missing: int,
    deviation_wh: I32,
    exact: NDArray[np.float64],
    baseline_wh: I64,
    metered_wh: I64,
    counted_out: I64,
) -> None:
    """Whole baselines less readings: each meter gets what the rounded running sum grows by (half to even)."""
    for row in range(expected.shape[0]):
        for period in range(expected.shape[1]):
            if np.isnan(expected[row, period]) or metered[row, period] == missing:
                counted_out[period] += 1
                continue
            exact[period] += expected[row, period]
            whole = np.int64(np.rint(np.round(exact[period], 3)))
            deviation_wh[row, period] = whole - baseline_wh[period] - metered[row, period]
            baseline_wh[period] = whole
            metered_wh[period] += metered[row, period]


def _evidence(
    sites: Sites,
    window: Window,
    readings: Mapping[date, DayReadings],
    days: list[date],
    part: slice,
    split_wh: NDArray[np.float64] | None,
) -> Evidence:
    """What is known about a chunk of meters."""
    meters = sites.meters[part]
    history = np.empty((len(meters), len(days), NORMAL_PERIOD_COUNT), np.int16)
    for column, day in enumerate(days):
        history[:, column] = _on_48(_read(meters, readings[day]))
    is_event = np.array([day in sites.event_days for day in days], np.bool_)
    return Evidence(
        delivery_day=window.day,
        first_sp=window.first_sp,
        n_sp=window.n_sp,
        metered_wh=_read(meters, readings[window.day]),
        history_wh=history,
        days=days,
        event_days=np.tile(is_event, (len(meters), 1)),
        nominated_wh=None if split_wh is None else split_wh[part],
        reference_wh=sites.reference_wh,
        kind=sites.kind[part],
        assets=np.ones(len(meters), np.int64),
    )


def _read(meters: I32, readings: DayReadings) -> I16:
    return rows_at(readings, places(meters, readings.meters))


def _on_48(readings_wh: I16) -> I16:
    """A day of 48 periods; one on which the clocks change is no history: all missing."""
    if readings_wh.shape[1] == NORMAL_PERIOD_COUNT:
        return readings_wh
    return np.full((len(readings_wh), NORMAL_PERIOD_COUNT), MISSING_WH, np.int16)


def _split_nomination(
    sites: Sites, nominated_wh: NDArray[np.float64] | None, n_sp: int
) -> NDArray[np.float64]:
    """Whole Wh for each meter (meters, periods) that add up to the unit's; NaN where it nominated nothing."""
    if nominated_wh is None:
        return np.full((len(sites.meters), n_sp), np.nan)
    told = ~np.isnan(nominated_wh)
    whole = np.where(told, np.rint(np.where(told, nominated_wh, 0.0)), 0.0).astype(np.int64)
    weight = sites.weight if sites.weight.sum() else np.ones(len(sites.meters), np.int64)
    shares = share_out(whole, np.repeat(weight[:, np.newaxis], n_sp, axis=1))
    return np.where(told, shares.astype(np.float64), np.nan)


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, CHUNK):
        yield slice(start, min(start + CHUNK, count))


# ------------------------------------------------------------------------------------------ each Wh once


def share_out(total_wh: I64, weight: NDArray[Any]) -> I64:
    """Totals (periods) laid upon meters by weight (meters, periods), in whole Wh that add up exactly.

    Each meter gets what the running sum, cut down, grows by. Weights may have either sign; where those of
    a period add up to nothing, nobody gets anything. With a total no larger than the weights' sum and of
    its sign, no share is larger than its weight, nor of the other sign.
    """
    shares = np.zeros(weight.shape, np.int64)
    _lay(np.asarray(total_wh, np.int64), np.asarray(weight, np.int64), shares)
    return shares


@njit(cache=True, nogil=True)
def _lay(total: I64, weight: I64, shares: I64) -> None:
    """The remainder is carried on from meter to meter: no product is larger than a total by one weight."""
    for period in range(weight.shape[1]):
        whole = np.int64(0)
        for row in range(weight.shape[0]):
            whole += weight[row, period]
        if whole == 0:
            continue
        part, of = total[period], whole
        if of < 0:
            part, of = -part, -of
        carried = np.int64(0)
        for row in range(weight.shape[0]):
            carried += part * weight[row, period]
            share = carried // of
            carried -= share * of
            shares[row, period] = share


def left_over(deviation_wh: I32, paid_wh: I32) -> I32:
    """What of each meter's deviation has not been paid yet, same shape [Wh].

    Never more than the deviation, never of the other sign, and nothing of a meter that was paid the other
    way: who was paid for turning down is not paid for turning up at once.
    """
    left = np.empty(deviation_wh.shape, np.int32)
    _leave(np.ascontiguousarray(deviation_wh).reshape(-1), paid_wh.reshape(-1), left.reshape(-1))
    return left


@njit(cache=True, nogil=True)
def _leave(deviation_wh: I32, paid_wh: I32, left: I32) -> None:
    for place in range(deviation_wh.shape[0]):
        moved, paid = deviation_wh[place], paid_wh[place]
        if moved >= 0 and paid >= 0:
            left[place] = max(moved - paid, 0)
        elif moved <= 0 and paid <= 0:
            left[place] = min(moved - paid, 0)
        else:
            left[place] = 0


def payable_wh(left_wh: I64, most_wh: I64) -> I64:
    """What a unit is paid for (periods) [Wh]: what is left of its deviation, at most `most_wh`, and only
    what went the way of it.
    """
    way = np.sign(most_wh)
    return np.asarray(way * np.clip(way * left_wh, 0, np.abs(most_wh)), np.int64)


class Paid:
    """What was paid for behind each asset so far [Wh], period by period of one day; `home` (assets)."""

    def __init__(self, home: I32) -> None:
        self.home = home
        self._at: dict[int, I32] = {}

    def behind(self, meters: I32, at_boundary: bool, window: Window) -> I32:
        """Paid behind these meters (meters, periods): of an asset its own, of a home all of its assets'."""
        found = np.zeros((len(meters), window.n_sp), np.int32)
        for column in range(window.n_sp):
            paid = self._at.get(window.first_sp + column)
            if paid is None:
                continue
            if at_boundary:
                at_home = np.bincount(self.home, weights=paid, minlength=int(meters.max(initial=0)) + 1)
                found[:, column] = np.rint(at_home[meters])
            else:
                found[:, column] = paid[meters]
        return found

    def add(self, rows: I32, column_wh: I64, period: int) -> None:
        """Note what assets were paid for in a period, counted from 1."""
        if column_wh.any():
            paid = self._at.setdefault(period, np.zeros(len(self.home), np.int32))
            paid[rows] += column_wh.astype(np.int32)


def onto_rows(by_meter_wh: I64, meters: I32, rows: I32, home: I32, rating_w: I32) -> I64:
    """What homes were paid for, laid upon those of their assets that are in the unit (rows, periods): the
    one of the highest rating takes it.
    """
    order = np.lexsort((rows, -rating_w[rows], home[rows]))
    _, first = np.unique(home[rows][order], return_index=True)
    laid = np.zeros((len(rows), by_meter_wh.shape[1]), np.int64)
    chosen = order[first]
    laid[chosen] = by_meter_wh[places(home[rows][chosen].astype(np.int32), meters)]
    return laid
