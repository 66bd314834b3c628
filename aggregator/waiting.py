"""What could be turned up in periods hours ahead: what will wait then, foreseen from the days lived.

Of each day are kept, per unit and half-hour of the wall clock: how many cars and stores began to draw, the
energy and power of what they then drew, and what batteries took less what they gave. Where far more begin
in one half-hour than in those beside it, a clock lets them begin (a preset schedule, a tariff), so they wait
before it: stores always, cars from when their people are home. Payback is in it: only what would be drawn
after the window counts, at the level that its energy lasts for to the end of the window; likewise of
batteries only the room that is left at its end. A forecast is mean and spread of the latest such days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aggregator.forecast import Forecast, forecast_of
from aggregator.registry import Cells, Group, Registry
from aggregator.settings import Assumptions
from aggregator.technologies import STORES, TABLE
from aggregator.telemetry import Store
from protocol.messages import MISSING_WH, UNKNOWN, AssetReadings, Technology
from protocol.periods import (
    HOUR_MS,
    NORMAL_PERIOD_COUNT,
    PERIOD_MS,
    baseline_day_type,
    clock_half_hour,
    is_clock_change_day,
    local_date,
)

F64 = NDArray[np.float64]
EV, BATTERY = int(Technology.EV), int(Technology.BATTERY)
CARS, FILLS = 0, 1
"""Who begins: cars at their sessions, stores at a charge."""
NOON, FIRST_HOME, ALL_HOME = 24, 32, 44
"""Half-hours of the clock: who charges before noon came home the day before. People come home for good
evenly from 16:00 to 22:00; assumed, about the returns of realism.md T1.
"""
EDGE, EDGE_LEAST = 2.0, 3.0
"""A clock shows where this many times as many begin as beside it, and this many more; assumed."""


@dataclass(slots=True)
class DayOfWaiting:
    """One local day: beginnings, their energy [Wh] and power [W] (2, groups, 48) by who begins; net energy
    into batteries [Wh] (groups, 48); assets read (groups).
    """

    day: date
    begun: F64
    begun_wh: F64
    begun_w: F64
    stored_wh: F64
    assets: F64


def learn_waiting(
    days: list[DayOfWaiting],
    told: AssetReadings,
    registry: Registry,
    disturbed: Sequence[tuple[int, int, int]],
    assumed: Assumptions,
) -> None:
    """Take one day of asset readings; groups that orders of our own disturbed on it are left out."""
    if is_clock_change_day(told.day):
        return
    groups = len(registry.groups)
    begun, begun_wh, begun_w = np.zeros((3, 2, groups, NORMAL_PERIOD_COUNT))
    lived = DayOfWaiting(
        told.day, begun, begun_wh, begun_w, np.zeros((groups, NORMAL_PERIOD_COUNT)), np.zeros(groups)
    )
    begin_kernel(
        told.rows, told.import_wh, registry.group, registry.technology, TABLE,
        begun, begun_wh, begun_w, lived.stored_wh, lived.assets,
    )  # fmt: skip
    for group, from_ms, until_ms in disturbed:
        if local_date(from_ms) <= told.day <= local_date(until_ms):
            lived.assets[group] = 0
    days.append(lived)
    days.sort(key=lambda known: known.day)
    del days[: -assumed.history_kept_days]


@njit(cache=True, nogil=True)
def begin_kernel(
    rows: Any,
    import_wh: Any,
    group_of: Any,
    technology: Any,
    table: Any,
    begun: Any,
    begun_wh: Any,
    begun_w: Any,
    stored_wh: Any,
    assets: Any,
) -> None:
    """Sums over the rows of each group; what runs at midnight already is no beginning."""
    periods = import_wh.shape[1]
    for k in range(rows.shape[0]):
        group, kind = group_of[rows[k]], technology[rows[k]]
        assets[group] += 1
        if kind == BATTERY:
            for period in range(periods):
                if import_wh[k, period] != MISSING_WH:
                    stored_wh[group, period] += import_wh[k, period]
        elif kind == EV or table[kind, STORES] == 1:
            who = CARS if kind == EV else FILLS
            for first in range(1, periods):
                if import_wh[k, first] <= 0 or import_wh[k, first - 1] != 0:
                    continue
                total_wh = most_wh = 0
                period = first
                while period < periods and import_wh[k, period] > 0:
                    total_wh += import_wh[k, period]
                    most_wh = max(most_wh, import_wh[k, period])
                    period += 1
                begun[who, group, first] += 1
                begun_wh[who, group, first] += total_wh
                begun_w[who, group, first] += 2 * most_wh


@dataclass(frozen=True, slots=True)
class Batteries:
    """What a unit's batteries can take, as told: rated power [W], size and room now [Wh]."""

    rating_w: float
    size_wh: float
    room_wh: float


def batteries_now(store: Store, registry: Registry, cells: Cells) -> Batteries:
    """Of those whose size and state of charge are known."""
    rows = np.concatenate([registry.rows_of(place) for place in cells]) if cells else np.empty(0, np.int32)
    rows = rows[registry.technology[rows] == BATTERY]
    held, size_wh = store.board[rows], store.sessions["battery_wh"][rows].astype(np.float64)
    known = (held["soc_pct"] != UNKNOWN) & (size_wh > 0)
    room_wh = size_wh * (100 - held["soc_pct"]) / 100
    return Batteries(
        float(held["rating_w"][known].sum()), float(size_wh[known].sum()), float(room_wh[known].sum())
    )


def foresee_waiting(
    days: Sequence[DayOfWaiting],
    cells: Cells,
    group: Group,
    starts: Sequence[int],
    batteries: Batteries,
    now_ms: int,
    assumed: Assumptions,
) -> list[Forecast]:
    """What could be turned up throughout a window, were all reached and willing, by period.

    `starts` [UTC ms] of its periods, which follow on each other.
    """
    nothing = [Forecast(0.0, 0.0, 0)] * len(starts)
    if not starts or not group.assets:
        return nothing
    cells = list(cells)
    waiting = _by_day(_pairs(days, cells, starts[0], assumed), cells, group, starts)
    room = _room_by_day(_alike(days, cells, local_date(starts[0]), assumed), cells, group, starts, batteries,
                        now_ms, assumed)  # fmt: skip
    return [
        _sum(forecast_of(one, group, assumed), forecast_of(other, group, assumed))
        for one, other in zip(waiting, room, strict=True)
    ]


def _sum(one: Forecast, other: Forecast) -> Forecast:
    """Of two kinds of asset, independent of each other."""
    days = min((each.days for each in (one, other) if each.days), default=0)
    return Forecast(one.mean_w + other.mean_w, float(np.hypot(one.sd_w, other.sd_w)), days)


def _alike(
    days: Sequence[DayOfWaiting], cells: Cells, target: date, assumed: Assumptions
) -> list[DayOfWaiting]:
    """The latest days of the same type with readings of a unit, else any; newest first."""
    known = [past for past in reversed(days) if past.day < target and past.assets[cells].sum() > 0]
    alike = [past for past in known if baseline_day_type(past.day) == baseline_day_type(target)]
    return (alike if len(alike) > 1 else known)[: assumed.history_days]


Pair = tuple[DayOfWaiting, DayOfWaiting]


def _pairs(days: Sequence[DayOfWaiting], cells: Cells, start_ms: int, assumed: Assumptions) -> list[Pair]:
    """Days like that of a window, each with the one after it."""
    after = {past.day - timedelta(days=1): past for past in days if past.assets[cells].sum() > 0}
    known = [past for past in days if past.day in after]
    return [(past, after[past.day]) for past in _alike(known, cells, local_date(start_ms), assumed)]


def _by_day(pairs: Sequence[Pair], cells: Cells, group: Group, starts: Sequence[int]) -> list[list[float]]:
    """Of each period of a window, by day: what waits for a clock that lets it begin after the window [W]."""
    begun = np.array([_two_days(pair, "begun", cells, group) for pair in pairs])
    if not len(pairs):
        return [[] for _ in starts]
    energy_wh, power_w = (
        np.array([_two_days(pair, name, cells, group) for pair in pairs]) for name in ("begun_wh", "begun_w")
    )
    first = clock_half_hour(starts[0])
    end = first + len(starts)
    places = np.arange(2 * NORMAL_PERIOD_COUNT)
    last = NOON if first < NOON else NORMAL_PERIOD_COUNT + NOON
    later = (places >= end) & (places < last) & _edges(begun.mean(axis=0) * len(pairs))  # (2, 96)
    hours = len(starts) * PERIOD_MS / HOUR_MS
    level_w = np.minimum((power_w * later).sum(axis=2), (energy_wh * later).sum(axis=2) / hours)  # (days, 2)
    share = [np.array([_home(first + k), _connected(first + k)]) for k in range(len(starts))]
    return [(level_w * each).sum(axis=1).tolist() for each in share]


def _two_days(pair: Pair, name: str, cells: Cells, group: Group) -> F64:
    """A column of a day and the one after it, as if all assets of the unit had been read (2, 96)."""
    each = [
        getattr(lived, name)[:, cells].sum(axis=1) * (group.assets / lived.assets[cells].sum())
        for lived in pair
    ]
    return np.concatenate(each, axis=1)


def _edges(begun: F64) -> NDArray[np.bool_]:
    """At which half-hours a clock lets many begin (2, 96)."""
    beside = np.pad(begun, ((0, 0), (1, 1)))
    most = np.maximum(beside[:, :-2], beside[:, 2:])
    return np.asarray(begun >= np.maximum(EDGE * most, most + EDGE_LEAST))


def _home(half_hour: int) -> float:
    """The part of cars that are home for the night."""
    if half_hour < NOON or half_hour >= NORMAL_PERIOD_COUNT:
        return 1.0
    return min(max((half_hour - FIRST_HOME) / (ALL_HOME - FIRST_HOME), 0.0), 1.0)


def _connected(half_hour: int) -> float:
    """The part of stores that are there; by day they heat by themselves."""
    return 0.0 if NOON <= half_hour < FIRST_HOME else 1.0


def _room_by_day(
    days: Sequence[DayOfWaiting],
    cells: Cells,
    group: Group,
    starts: Sequence[int],
    batteries: Batteries,
    now_ms: int,
    assumed: Assumptions,
) -> list[list[float]]:
    """Of each period of a window, by day: what batteries could draw more, if they went on from now as on
    that day [W].
    """
    found: list[list[float]] = [[] for _ in starts]
    if not batteries.size_wh:
        return found
    hours = len(starts) * PERIOD_MS / HOUR_MS
    for lived in days:
        net_wh = lived.stored_wh[cells].sum(axis=0) * (group.assets / lived.assets[cells].sum())
        room_wh = batteries.room_wh
        for at_ms in range(now_ms // PERIOD_MS * PERIOD_MS, starts[-1] + PERIOD_MS, PERIOD_MS):
            room_wh -= net_wh[clock_half_hour(at_ms)]
            room_wh = min(max(room_wh, 0.0), batteries.size_wh)
        for place, start_ms in enumerate(starts):
            power_w = max(batteries.rating_w - max(2 * net_wh[clock_half_hour(start_ms)], 0.0), 0.0)
            found[place].append(min(power_w, room_wh / assumed.battery_efficiency / hours))
    return found
