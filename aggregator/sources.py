"""Two sources of one figure compared, once a day as meter readings come in: counted and told, never averaged.

Owns which figures are of the same thing. An asset's own register, between the two midnights of a day, and its
asset meter's half-hours; a home's assets together, and its boundary meter, half-hour by half-hour. What is
gone by stays what it was: `compare_sources` of `aggregator/normaliser.py` says what may differ by how much.
Of assets that give, roofs whose inverters tell their own count are compared by it, sign and all (R231); the
registers of others count import alone, and they are left out. A roof that nobody registered
may explain more through the assets than through the house by day, so that much is allowed for then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aggregator.normaliser import Disagreement, Tolerance, compare_sources
from aggregator.technologies import EXPORTS, TABLE
from aggregator.telemetry import Records
from protocol.messages import (
    I32,
    MISSING_WH,
    AssetReadings,
    AssetRegistration,
    BoundaryReadings,
    Technology,
)
from protocol.vendors import MISSING

_MJ_PER_WH = 3_600_000
_OLDEST_MS = 900_000
"""A register last told longer before midnight says nothing of midnight; assumed."""
_UNKNOWN_ROOF_WH, _DARK_PERIODS = 3_000, 8
"""What a roof nobody registered may give in half an hour (6 kW), from 04:00 local on; assumed."""
_HOMES_AT_ONCE = 65_536


@dataclass(slots=True)
class Sources:
    """What is remembered of the two sources of each asset (assets,).

    Local days by ordinal; registers at midnight and energy of the day before [Wh], `MISSING` where unknown;
    `slack_wh` is what the asset may have drawn between its last word and midnight. `boundary` is the newest
    day of the homes' meters, until the assets' comes.
    """

    home: I32
    day: int = 0
    begin_wh: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    begin_slack_wh: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    told_wh: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    told_slack_wh: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    boundary: list[BoundaryReadings] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Disagreements:
    """How many were compared, and how many of them disagree."""

    assets: int
    assets_compared: int
    half_hours: int
    half_hours_compared: int

    def __bool__(self) -> bool:
        return self.assets + self.half_hours > 0

    def __str__(self) -> str:
        return (
            f"{self.assets} of {self.assets_compared} assets: their own registers and their meters;"
            f" {self.half_hours} of {self.half_hours_compared} half-hours of homes:"
            " more through the assets than through the boundary"
        )


def new_sources(registration: AssetRegistration) -> Sources:
    """Nothing compared yet."""
    return Sources(registration.home)


def turn_day(sources: Sources, board: Records, day: int, midnight_ms: int) -> None:
    """Note the registers as a local day (ordinal) begins, and with them what the day before drew."""
    begin_wh, slack_wh = _at(board, midnight_ms)
    sign = np.where(board["technology"] == Technology.PV, -1, 1)
    if sources.day == day - 1 and len(sources.begin_wh):
        known = (begin_wh != MISSING) & (sources.begin_wh != MISSING)
        sources.told_wh = np.where(known, sign * (begin_wh - sources.begin_wh), MISSING).astype(np.int32)
        sources.told_slack_wh = (sources.begin_slack_wh + slack_wh).astype(np.int32)
    else:
        sources.told_wh = np.empty(0, np.int32)
    sources.day, sources.begin_wh, sources.begin_slack_wh = day, begin_wh, slack_wh


def _at(board: Records, midnight_ms: int) -> tuple[I32, I32]:
    """Registers at midnight, carried there at the power last told, and what that may be wrong by [Wh]."""
    since_ms = midnight_ms - board["event_ms"]
    known = (np.abs(since_ms) <= _OLDEST_MS) & (board["register_wh"] > 0)
    roof = board["technology"] == Technology.PV  # dark at midnight: nothing to carry
    known &= (TABLE[board["technology"], EXPORTS] == 0) | roof
    drawn_wh = np.where(roof, 0, board["import_w"].astype(np.int64) * since_ms // _MJ_PER_WH)
    slack_wh = np.where(roof, 0, np.abs(since_ms) * board["rating_w"] // _MJ_PER_WH)
    register_wh = np.where(known, board["register_wh"] + drawn_wh, MISSING)
    return register_wh.astype(np.int32), np.where(known, slack_wh, 0).astype(np.int32)


def compare_day(sources: Sources, told: AssetReadings, register_step_wh: float) -> Disagreements:
    """What the day's sources have against each other; registers are told in steps of `register_step_wh`."""
    boundary = [each for each in sources.boundary if each.day == told.day]
    sources.boundary = []
    return Disagreements(
        *_registers(sources, told, register_step_wh),
        *(_boundaries(sources, told, boundary[0]) if boundary else (0, 0)),
    )


def _registers(sources: Sources, told: AssetReadings, register_step_wh: float) -> tuple[int, int]:
    if told.day.toordinal() != sources.day - 1 or not len(sources.told_wh):
        return 0, 0
    whole = (told.import_wh != MISSING_WH).all(axis=1)
    metered_wh = np.where(whole, told.import_wh.sum(axis=1, dtype=np.int64), MISSING).astype(np.int32)
    own_wh = sources.told_wh[told.rows]
    nobody = np.full(len(metered_wh), MISSING, np.int32)
    slack_wh = sources.told_slack_wh[told.rows].astype(np.float64) + register_step_wh
    tolerance = Tolerance(rounding_wh=slack_wh + Tolerance().rounding_wh)
    found = compare_sources(own_wh, metered_wh, nobody, np.zeros_like(nobody), tolerance).found
    compared = (own_wh != MISSING) & whole
    return int((found & Disagreement.INVERTER_ASSET > 0).sum()), int(compared.sum())


def _boundaries(sources: Sources, told: AssetReadings, boundary: BoundaryReadings) -> tuple[int, int]:
    """Half-hours in which more went through a home's assets than through its boundary."""
    order = np.argsort(sources.home[told.rows], kind="stable")
    home = sources.home[told.rows][order]
    disagree = compared = 0
    for homes, boundary_wh in _blocks(boundary):
        first, last = np.searchsorted(home, homes, "left"), np.searchsorted(home, homes, "right")
        asset_wh = _together(told.import_wh, order, first, last)
        missing = np.full(asset_wh.size, MISSING, np.int32)
        others_wh = np.zeros_like(asset_wh)
        others_wh[:, _DARK_PERIODS:] = _UNKNOWN_ROOF_WH
        known = boundary_wh.astype(np.int32).ravel()
        known[known == MISSING_WH] = MISSING
        found = compare_sources(missing, asset_wh.ravel(), known, others_wh.ravel(), Tolerance()).found
        disagree += int((found & Disagreement.ASSET_BOUNDARY > 0).sum())
        compared += int((found & (Disagreement.NO_ASSET | Disagreement.NO_BOUNDARY) == 0).sum())
    return disagree, compared


def _blocks(boundary: BoundaryReadings) -> Iterator[tuple[I32, Any]]:
    """Homes and their half-hours, as many as fit the cache."""
    for low in range(0, len(boundary.homes), _HOMES_AT_ONCE):
        part = slice(low, low + _HOMES_AT_ONCE)
        yield boundary.homes[part], boundary.import_wh[part]


def _together(import_wh: Any, order: Any, first: Any, last: Any) -> I32:
    """Half-hours of all assets of each home (homes, periods); `MISSING` where one is missing, or none is."""
    out = np.full((len(first), import_wh.shape[1]), MISSING, np.int32)
    has = np.flatnonzero(last > first)
    if not len(has):
        return out
    lengths = (last - first)[has]
    begins = np.cumsum(lengths) - lengths
    theirs = import_wh[order[np.repeat(first[has] - begins, lengths) + np.arange(lengths.sum())]]
    sums = np.add.reduceat(theirs.astype(np.int64), begins, axis=0)
    whole = np.logical_and.reduceat(theirs != MISSING_WH, begins, axis=0)
    out[has] = np.where(whole, sums, MISSING)
    return out
