"""What a trading unit will draw, half-hour by half-hour, from the days it has lived: mean, spread, quantiles.

Kept of each day are only sums per unit and half-hour of the wall clock. A forecast is the mean of the
latest days of the same type; its spread is the largest of what the days showed, what chance alone does to
so many on-off loads (variance = rating x mean), and a floor; wider by the share of power that telemetry
does not show now. Quantiles are Student's t. What is drawn now against what was foreseen for now moves the
hours ahead, less the further ahead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist
from typing import Any

import numpy as np
from numba import njit

from aggregator.registry import Cells, Group, Registry
from aggregator.settings import Assumptions
from aggregator.telemetry import Records
from protocol.messages import I64, MISSING_WH, AssetReadings, Technology
from protocol.periods import (
    NORMAL_PERIOD_COUNT,
    PERIOD_MS,
    baseline_day_type,
    clock_half_hour,
    day_start_ms,
    is_clock_change_day,
    local_date,
    period_start_ms,
)

EV = int(Technology.EV)
LEAST = 0.001
"""No quantile lies further out than those of 0.1 % and 99.9 %."""


@dataclass(slots=True)
class DaySums:
    """One local day: energy [Wh] and number of readings per unit and half-hour (groups, 48); 0 readings:
    unknown.
    """

    day: date
    energy_wh: I64
    readings: I64

    def energy_of(self, cells: int | Cells, half_hour: int) -> int:
        """Energy of a unit in one half-hour [Wh]."""
        return int(self.energy_wh[cells, half_hour].sum())

    def readings_of(self, cells: int | Cells, half_hour: int) -> int:
        """How many of a unit's meters were read in one half-hour."""
        return int(self.readings[cells, half_hour].sum())


@dataclass(slots=True)
class History:
    """Days lived, oldest first, clock-change days left out."""

    days: list[DaySums]


def learn(
    history: History,
    told: AssetReadings,
    registry: Registry,
    sessions: Records | None,
    disturbed: list[tuple[int, int, int]],
    assumed: Assumptions,
) -> None:
    """Take one day of asset readings.

    `disturbed`: (group, start_ms, end_ms) in which orders of our own shaped the readings; such half-hours
    are left out. `sessions`: where given, each car's energy and number of sessions grow by this day's (a
    day before telemetry began; later ones are seen session by session); nothing else has sessions.
    """
    if is_clock_change_day(told.day):
        return
    energy_wh = np.zeros((len(registry.groups), NORMAL_PERIOD_COUNT), np.int64)
    readings = np.zeros_like(energy_wh)
    sum_kernel(told.rows, told.import_wh, registry.group, energy_wh, readings)
    if sessions is not None:
        session_kernel(told.rows, told.import_wh, registry.technology, sessions)
    start_ms = day_start_ms(told.day)
    for group, from_ms, until_ms in disturbed:
        first = max((from_ms - start_ms) // PERIOD_MS, 0)
        last = min(-((start_ms - until_ms) // PERIOD_MS), NORMAL_PERIOD_COUNT)
        if first < last:
            readings[group, first:last] = 0
    keep_day(history, DaySums(told.day, energy_wh, readings), assumed)


def keep_day(history: History, day: DaySums, assumed: Assumptions) -> None:
    """Add one day in its order; the oldest are forgotten."""
    history.days.append(day)
    history.days.sort(key=lambda known: known.day)
    del history.days[: -assumed.history_kept_days]


@njit(cache=True, nogil=True)
def sum_kernel(rows: Any, import_wh: Any, group_of: Any, energy_wh: Any, readings: Any) -> None:
    """Sums over the rows of each group; a missing half-hour is no reading."""
    for k in range(rows.shape[0]):
        group = group_of[rows[k]]
        for period in range(energy_wh.shape[1]):
            if import_wh[k, period] != MISSING_WH:
                energy_wh[group, period] += import_wh[k, period]
                readings[group, period] += 1


@njit(cache=True, nogil=True)
def session_kernel(rows: Any, import_wh: Any, technology: Any, sessions: Any) -> None:
    """Add each car's energy, and how often it began to draw within the day: once at least if it drew."""
    for k in range(rows.shape[0]):
        if technology[rows[k]] != EV:
            continue
        energy_wh = np.int64(0)
        starts = 0
        for period in range(import_wh.shape[1]):
            energy_wh += max(import_wh[k, period], 0)
            if period > 0 and import_wh[k, period] > 0 and import_wh[k, period - 1] == 0:
                starts += 1
        sessions[rows[k]].energy_wh += energy_wh
        if energy_wh > 0:
            sessions[rows[k]].sessions += max(starts, 1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Import of a unit in one half-hour: mean and spread [W], from so many days (0: no history)."""

    mean_w: float
    sd_w: float
    days: int

    def quantile_w(self, probability: float) -> float:
        """The import that is not exceeded with this probability [W], at least 0.

        Student's t with days - 1 degrees of freedom through its normal expansion (Abramowitz and Stegun
        26.7.5, two terms).
        """
        z = NormalDist().inv_cdf(min(max(probability, LEAST), 1 - LEAST))
        if self.days >= 2:
            freedom = self.days - 1
            z += (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        return max(self.mean_w + z * self.sd_w, 0.0)

    def revised(self, factor: float, unseen_share: float) -> Forecast:
        """Scaled by `factor`, and wider by the share of power that is not seen."""
        mean_w = self.mean_w * factor
        return Forecast(mean_w, math.hypot(self.sd_w * max(factor, 0.5), unseen_share * mean_w), self.days)


def foresee(
    history: History, cells: int | Cells, group: Group, start_ms: int, assumed: Assumptions
) -> Forecast:
    """The forecast of a unit from history alone for the period that starts at `start_ms`.

    `group`: what its cells are together.
    """
    if not group.assets:
        return Forecast(0.0, 0.0, 0)
    values = _past_values_w(history, cells, group, start_ms, assumed)
    if not values:
        mean_w = 0.5 * group.planned_w
        return Forecast(mean_w, assumed.prior_relative_sd * mean_w, 0)
    return forecast_of(values, group, assumed)


def forecast_of(values: list[float], group: Group, assumed: Assumptions) -> Forecast:
    """The forecast of a unit from what some days showed [W]; nothing where there are none."""
    days = len(values)
    if days == 0:
        return Forecast(0.0, 0.0, 0)
    mean_w = sum(values) / days
    shown_w = math.sqrt(sum((value - mean_w) ** 2 for value in values) / (days - 1)) if days > 1 else 0.0
    chance_w = math.sqrt(group.rating_w / group.assets * abs(mean_w))
    floor = assumed.relative_sd_floor if days > 1 else assumed.prior_relative_sd
    sd_w = max(shown_w, chance_w, floor * mean_w) * math.sqrt(1 + 1 / days)
    return Forecast(mean_w, sd_w, days)


def _past_values_w(
    history: History, cells: int | Cells, group: Group, start_ms: int, assumed: Assumptions
) -> list[float]:
    """Import of the whole unit in this half-hour on `alike_days`, newest first."""
    half_hour = clock_half_hour(start_ms)
    return [
        2.0 * past.energy_of(cells, half_hour) / past.readings_of(cells, half_hour) * group.assets
        for past in alike_days(history, cells, start_ms, assumed)
    ]


def alike_days(history: History, cells: int | Cells, start_ms: int, assumed: Assumptions) -> list[DaySums]:
    """The latest days of the same type with readings of a unit in this half-hour, else any; newest first."""
    half_hour = clock_half_hour(start_ms)
    target = local_date(start_ms)
    known = [
        past
        for past in reversed(history.days)
        if past.readings_of(cells, half_hour) > 0 and past.day < target
    ]
    alike = [past for past in known if baseline_day_type(past.day) == baseline_day_type(target)]
    return (alike if len(alike) > 1 else known)[: assumed.history_days]


def foreseen_now_w(
    history: History, cells: int | Cells, group: Group, now_ms: int, assumed: Assumptions
) -> float:
    """The forecast mean for this moment [W], linear between the middles of half-hours."""
    start_ms = period_start_ms(now_ms - PERIOD_MS // 2)
    share = (now_ms - start_ms - PERIOD_MS // 2) / PERIOD_MS
    before = foresee(history, cells, group, start_ms, assumed).mean_w
    after = foresee(history, cells, group, start_ms + PERIOD_MS, assumed).mean_w
    return before + share * (after - before)


def revision(seen_w: float, foreseen_w: float, group: Group, lead_ms: int, assumed: Assumptions) -> float:
    """The factor by which what is seen now moves a forecast `lead_ms` ahead; 1 where nothing can be said.

    Ten chargers' worth on either side keep small numbers from saying much.
    """
    weight_w = 10.0 * group.rating_w / max(group.assets, 1)
    ratio = (max(seen_w, 0.0) + weight_w) / (max(foreseen_w, 0.0) + weight_w)
    ratio = min(max(ratio, 1 / assumed.revision_highest), assumed.revision_highest)
    return 1 + (ratio - 1) * math.exp(-max(lead_ms, 0) / assumed.revision_decay_ms)


@dataclass(frozen=True, slots=True)
class Availability:
    """What a unit can do in one half-hour: its import, and the shares of it that can be reached and that
    obey.

    `stored_w`: what its batteries could give on top, for as long as an asset may be held. `warm`: the share
    of import that is not too near a comfort floor to be turned down. `taking_part`: the part of its homes
    that will be in, where they are asked; `by_hand_w`: what people will leave off. `waiting_w`: what waits
    and could be asked to draw more, whoever can be reached and obeys. `sold_w`, `sold_up_w`: what of it all
    is sold already, either way.
    """

    forecast: Forecast
    reached: float
    response: float
    stored_w: float = 0.0
    warm: float = 1.0
    taking_part: float = 1.0
    by_hand_w: float = 0.0
    waiting_w: float = 0.0
    sold_w: float = 0.0
    sold_up_w: float = 0.0

    def turn_up_w(self, confidence: float, relative_sd: float) -> float:
        """What can be turned up with this confidence [W]: what waits now, give or take its `relative_sd`."""
        z = max(NormalDist().inv_cdf(min(max(confidence, LEAST), 1 - LEAST)), 0.0)
        whole_w = self.waiting_w * max(1 - z * relative_sd, 0.0) * self.taking_part
        return max(whole_w - self.sold_up_w, 0.0)

    def turn_down_w(self, confidence: float) -> float:
        """What can be turned down with this confidence [W]."""
        drawn_w = self.forecast.quantile_w(1 - confidence) * self.reached * self.warm
        whole_w = (drawn_w + self.stored_w) * self.response * self.taking_part + self.by_hand_w
        return max(whole_w - self.sold_w, 0.0)
