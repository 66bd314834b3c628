"""Targets T6, T7 and T11: the base load of homes, how they differ, and which meters talk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import numpy as np

from sim.homes import NOT_SMART, HomeTable, make_homes
from sim.households import PROFILE_ANNUAL_WH, WINTER_WEEKDAY_KW, BaseLoad
from sim.scenario import Homes

F64 = np.ndarray[Any, np.dtype[np.float64]]

HOMES = 20_000
NUMBERS = np.arange(HOMES, dtype=np.int64)
WEEKDAYS = tuple(date(2024, 1, day) for day in (9, 10, 11, 16, 17))
DAY_TYPES = {
    date(2024, 1, 20): ("Wtr", "Sat"),
    date(2024, 1, 21): ("Wtr", "Sun"),
    date(2024, 1, 10): ("Wtr", "Wd"),
    date(2024, 7, 3): ("Smr", "Wd"),
    date(2024, 10, 9): ("Aut", "Wd"),
}
"""A day of each season and kind that is looked at."""
MONTH = tuple(date(2024, 1, day) for day in range(1, 29))


@dataclass(frozen=True)
class BaseLoads:
    """The base load of all homes, and Profile Class 1 scaled to their annual energy."""

    homes: HomeTable
    weekday_kw: F64  # by half-hour, mean of all homes
    profile_kw: F64
    day_kwh: dict[date, float]  # mean of all homes
    month_wh: F64  # by home

    @property
    def scale(self) -> float:
        """Annual energy of the homes over that of the published profile."""
        return float(self.homes.annual_wh.mean()) / PROFILE_ANNUAL_WH

    @property
    def worst_half_hour(self) -> float:
        """The largest relative distance of any half-hour from the profile."""
        return float(np.abs(self.weekday_kw / self.profile_kw - 1).max())

    @property
    def log_sd(self) -> float:
        """Spread between homes: standard deviation of the logarithm."""
        return float(np.log(self.month_wh).std())

    @property
    def silent_share(self) -> float:
        """Smart meters that do not communicate, of all smart meters."""
        smart = self.homes.status != NOT_SMART
        return float(1 - self.homes.communicating[smart].mean())


@cache
def base_loads(seed: int) -> BaseLoads:
    """Some winter weekdays, a day of each kind and a month of every home."""
    settings = Homes(count=HOMES)
    homes = make_homes(settings, seed)
    base = BaseLoad(homes, settings, seed)
    month_wh, weekday_wh = np.zeros(HOMES), np.zeros(48)
    for day in MONTH:
        lived_wh = base.day_wh(NUMBERS, day)
        month_wh += lived_wh.sum(axis=1, dtype=np.int64)
        if day in WEEKDAYS:
            weekday_wh += lived_wh.mean(axis=0)
    return BaseLoads(
        homes=homes,
        weekday_kw=weekday_wh / len(WEEKDAYS) * 2 / 1000,
        profile_kw=WINTER_WEEKDAY_KW * float(homes.annual_wh.mean()) / PROFILE_ANNUAL_WH,
        day_kwh={day: float(base.day_wh(NUMBERS, day).sum()) / HOMES / 1000 for day in DAY_TYPES},
        month_wh=month_wh,
    )
