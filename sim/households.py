"""What a home uses besides its car, and what a driver does today.

Every cause has its own stream of chance.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

import numpy as np
from numba import njit
from scipy.special import ndtri

from devices.ev import DIARY, NEVER_MS
from protocol import periods
from protocol.messages import I8, I16, I64
from protocol.periods import HOUR_MS
from sim import chance
from sim.chance import Purpose
from sim.fleet import MJ_PER_WH
from sim.homes import HomeTable
from sim.power_cuts import powered_share
from sim.scenario import Evs, Homes

F64 = np.ndarray[Any, np.dtype[np.float64]]
F32 = np.ndarray[Any, np.dtype[np.float32]]

# ------------------------------------------------------------------------------------------------ base load

PROFILE_ANNUAL_WH = 3_900_000
WINTER_WEEKDAY_KW = np.array([
    0.33, 0.28, 0.25, 0.23, 0.22, 0.21, 0.21, 0.20, 0.20, 0.21, 0.22, 0.24,
    0.31, 0.39, 0.52, 0.63, 0.62, 0.57, 0.52, 0.50, 0.49, 0.48, 0.47, 0.47,
    0.49, 0.49, 0.47, 0.45, 0.44, 0.46, 0.47, 0.53, 0.64, 0.78, 0.89, 0.92,
    0.92, 0.91, 0.88, 0.84, 0.80, 0.78, 0.77, 0.72, 0.67, 0.59, 0.49, 0.41,
])  # fmt: skip
"""Mean demand of a Profile Class 1 home on a winter weekday by half-hour, 00:00 first [kW].

Source: Elexon, 1997 basis, a home of 3,900 kWh a year.
"""

DAILY_KWH = {
    "Wtr": {"Wd": 12.29, "Sat": 12.55, "Sun": 13.46},
    "Spr": {"Wd": 9.74, "Sat": 10.21, "Sun": 10.70},
    "Smr": {"Wd": 8.87, "Sat": 9.14, "Sun": 9.71},
    "Hsr": {"Wd": 8.87, "Sat": 9.14, "Sun": 9.71},
    "Aut": {"Wd": 9.90, "Sat": 10.15, "Sun": 10.68},
}
"""Energy of a day by Elexon season and day type [kWh] (Profile Class 1; high summer as summer: assumed)."""

_EVENING = slice(32, 44)
_EVENING_FOLLOWS_SEASON = 0.5
"""How much of a season's change falls on the hours 16-22 (light, cooking): assumed.

The energy of the day is the published one whatever this is.
"""
_WEEKEND_LIE_IN_HALF_HOURS = 2
"""The morning of a weekend begins this much later: assumed."""

FUSE_WH = 11_500
"""More than this a home cannot draw in half an hour: a 100 A cut-out at 230 V."""
_DAY_MEMORY = 6
"""Days that one day's factor remembers: a finite moving average, so that any day can be drawn alone."""
_QUANTILES = 65_536


def mean_shape_kw(day: date) -> F64:
    """Mean demand of a Profile Class 1 home by half-hour of the local day, shape (48,) [kW]."""
    season, kind = DAILY_KWH[periods.season(day)], periods.day_type(day)
    shape = WINTER_WEEKDAY_KW.copy()
    season_ratio = season["Wd"] / DAILY_KWH["Wtr"]["Wd"]
    shape[_EVENING] *= 1.0 - _EVENING_FOLLOWS_SEASON * (1.0 - season_ratio)
    if kind != "Wd":
        shape[10:24] = np.roll(shape, _WEEKEND_LIE_IN_HALF_HOURS)[10:24]
    return np.asarray(shape * (season[kind] / (shape.sum() / 2)))


@njit(cache=True, nogil=True)
def _base_day(
    homes: Any,
    scale: Any,
    shape_wh: Any,
    clock_half_hour: Any,
    day: Any,
    day_key: Any,
    hour_key: Any,
    day_sd: Any,
    memory: Any,
    factors: Any,
    out: Any,
) -> None:
    """Whole Wh of each home in each period of one day."""
    count = clock_half_hour.shape[0]
    for i in range(homes.shape[0]):
        level = 0.0
        for lag in range(memory.shape[0]):
            a, b, _, _ = chance.words(day_key, homes[i], day - lag, 0)
            level += memory[lag] * chance.normal(a, b)
        mean = scale[i] * np.exp(day_sd * level - 0.5 * day_sd * day_sd)
        number = 0
        words = chance.words(hour_key, homes[i], day, 0)
        for period in range(count):
            if period and period % 8 == 0:
                number += 1
                words = chance.words(hour_key, homes[i], day, number)
            word = words[(period % 8) // 2]
            sixteen = (word >> np.uint64(16)) if period % 2 else (word & np.uint64(0xFFFF))
            out[i, period] = min(
                int(mean * shape_wh[clock_half_hour[period]] * factors[sixteen] + 0.5), FUSE_WH
            )


class Readings(Protocol):
    """What meters have read, which stands wherever it is known (`sim/home_readings.py`)."""

    @property
    def most_wh(self) -> int:
        """In one half-hour."""

    def put(self, numbers: I64, day: date, day_wh: I16) -> None:
        """Write what was read on `day` over what was drawn for the homes `numbers`."""


@dataclass(frozen=True, slots=True, eq=False)
class BaseLoad:
    """The half-hourly base load of every home on any day: a pure function of (home, day)."""

    homes: HomeTable
    settings: Homes
    seed: int
    workers: int = 1
    cuts_ms: I64 | None = None  # power cuts (regions, cuts, 2) [UTC ms]
    readings: Readings | None = None

    @property
    def most_wh(self) -> int:
        """The most that a home uses in half an hour."""
        return FUSE_WH if self.readings is None else max(FUSE_WH, self.readings.most_wh)

    def day_wh(self, numbers: I64, day: date) -> I16:
        """Base load of the homes `numbers` by settlement period of `day` [whole Wh], (homes, periods).

        A period of all homes lies in one run of memory, because meters read a period at a time.
        """
        clock = periods.clock_half_hours(day)
        out = np.empty((len(clock), len(numbers)), np.int16).T
        shape_wh = mean_shape_kw(day) * 500.0 / PROFILE_ANNUAL_WH
        memory = self.settings.day_autocorrelation ** np.arange(_DAY_MEMORY)
        memory = memory / np.sqrt((memory**2).sum())
        streams = (
            chance.stream(self.seed, purpose) for purpose in (Purpose.BASE_DAY, Purpose.BASE_HALF_HOUR)
        )
        day_key, hour_key = streams
        factors = log_normal_factors(self.settings.half_hour_log_sd)
        keys, scale = self.homes.key[numbers], self.homes.annual_wh[numbers]

        def work(low: int, high: int) -> None:
            _base_day(
                keys[low:high], scale[low:high], shape_wh, clock, day.toordinal(), day_key, hour_key,
                self.settings.day_log_sd, memory, factors, out[low:high],
            )  # fmt: skip

        edges = np.linspace(0, len(numbers), self.workers + 1).astype(int).tolist()
        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(work, edges[:-1], edges[1:]))
        if self.readings is not None:
            self.readings.put(numbers, day, out)
        if self.cuts_ms is not None and self.cuts_ms.size:
            return (out * powered_share(self.cuts_ms, day)[self.homes.gsp_group[numbers]]).astype(np.int16)
        return out


def log_normal_factors(log_sd: float) -> F64:
    """Equally likely log-normal factors of mean exactly one, shape (65536,)."""
    z = ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES)
    factors = np.exp(log_sd * z)
    return np.asarray(factors / factors.mean())


# ---------------------------------------------------------------------------------------------------- diaries


PLAN_HOUR, PLAN_MINUTE = 4, 30
"""Local time at which a day's diary begins: the last cars are home (04:00), the first leave after 05:00."""
_LAST_RETURN_HOUR, _FIRST_LEAVE_HOUR, _LAST_LEAVE_HOUR = 27.9, 5.0, 13.0
_DAY_MINUTES = 24 * 60
_CUT_SHORT_WITHIN_HOURS = 8
"""A session that is cut short ends within so many hours, and before its diary does: assumed."""
WEEKDAY_QUIET_HOURS = ((8, 11), (16, 22))
"""SI 2021/1467 sch. 1: the preset schedule keeps off-peak outside 08-11 and 16-22 on weekdays [mem]."""


@dataclass(frozen=True, slots=True, eq=False)
class Drivers:
    """What a driver is like; shape (cars,)."""

    device: I64
    daily_drive_wh: F64  # on a day with driving, at 15 C or warmer, AC side
    leave_hour: F64
    plug_in_half: F64
    always_plugs: I8


def plan_moment_ms(day: date) -> int:
    """When the diary of `day` begins [UTC ms]."""
    return periods.local_clock_ms(day, PLAN_HOUR, PLAN_MINUTE)


def deadline_ms(evs: Evs, day: date) -> int:
    """The deadline that falls into the diary of `day` [UTC ms].

    A clock time up to the planning moment is one of the night with which the diary ends.
    """
    minute = evs.ready_by % _DAY_MINUTES
    in_the_night = minute <= PLAN_HOUR * 60 + PLAN_MINUTE
    return periods.clock_reached_ms(day + timedelta(days=1) if in_the_night else day, minute)


def quiet_windows_ms(day: date) -> I64:
    """The preset schedule's off hours that a diary of `day` covers, shape (windows, 2) [UTC ms]."""
    if day.weekday() >= 5:
        return np.empty((0, 2), np.int64)
    hours = [
        [periods.local_clock_ms(day, begin), periods.local_clock_ms(day, end)]
        for begin, end in WEEKDAY_QUIET_HOURS
    ]
    return np.array(hours, np.int64)


def make_diary(
    evs: Evs, drivers: Drivers, battery_mj: I64, day: date, mean_temperature_c: float, seed: int
) -> np.ndarray[Any, Any]:
    """What each driver does on `day` (devices.ev.DIARY), drawn by (driver, day) alone."""
    ordinal = day.toordinal()
    keys = {purpose: chance.stream(seed, purpose) for purpose in (Purpose.DIARY, Purpose.SESSION)}
    u, w = (chance.units(keys[Purpose.DIARY], drivers.device, ordinal, k) for k in (0, 1))
    z = chance.normals(keys[Purpose.DIARY], drivers.device, ordinal, 2)
    x, y = (chance.units(keys[Purpose.SESSION], drivers.device, ordinal, k) for k in (0, 1))
    plan_ms, next_plan_ms = plan_moment_ms(day), plan_moment_ms(day + timedelta(days=1))
    drives = u[:, 0] < evs.drive_day_share
    leave = np.clip(drivers.leave_hour + 0.5 * z[:, 0], _FIRST_LEAVE_HOUR, _LAST_LEAVE_HOUR)
    home = _return_hour(
        evs.return_weekday if day.weekday() < 5 else evs.return_weekend, u[:, 1], ndtri(u[:, 2])
    )
    home += np.where(w[:, 0] < evs.late_arrival_share, 1.0 + 2.0 * w[:, 1], 0.0)
    hours = (next_plan_ms - plan_ms) / HOUR_MS
    home = np.clip(home, leave + 0.5, _LAST_RETURN_HOUR - 24.0 + hours)
    diary = np.zeros(len(drivers.device), DIARY)
    diary["leave_ms"] = np.where(drives, _clock_ms(plan_ms, leave), NEVER_MS)
    return_ms = _clock_ms(plan_ms, home)
    diary["return_ms"] = np.where(drives, return_ms, NEVER_MS)
    delay_s = (x[:, 0] * (evs.random_delay_ms / 1000.0)).astype(np.int32)
    diary["delay_s"] = delay_s
    diary["start_ms"] = np.where(drives, return_ms + delay_s.astype(np.int64) * 1000, plan_ms)
    longest_ms = np.minimum(_CUT_SHORT_WITHIN_HOURS * HOUR_MS, next_plan_ms - return_ms)
    early = drives & (w[:, 2] < evs.early_unplug_share)
    diary["unplug_ms"] = np.where(early, return_ms + (x[:, 1] * longest_ms).astype(np.int64), NEVER_MS)
    looks = y[:, 0] < evs.boost_share
    look_hour = 16.0 + 7.0 * y[:, 1]
    diary["look_ms"] = np.where(looks, _clock_ms(plan_ms, look_hour), NEVER_MS)
    # At the next planning moment this diary is no longer in force.
    diary["ready_ms"] = min(deadline_ms(evs, day), next_plan_ms - 1)
    cold = 1.0 + evs.cold_extra * max(0.0, 15.0 - mean_temperature_c) / 15.0
    day_factor = np.exp(evs.drive_log_sd * z[:, 1] - 0.5 * evs.drive_log_sd**2)
    diary["drive_mj"] = (drivers.daily_drive_wh * day_factor * cold).astype(np.int64) * MJ_PER_WH
    threshold = drivers.plug_in_half + evs.plug_in_width * np.log((1.0 - u[:, 3]) / u[:, 3])
    threshold = np.where(drivers.always_plugs == 1, 2.0, np.clip(threshold, 0.1, 2.0))
    diary["plug_below_mj"] = (threshold * battery_mj).astype(np.int64)
    diary["types_soc"] = x[:, 2] < evs.typed_soc_share
    diary["typed_error_pct"] = np.rint(100.0 * evs.typed_soc_sd * ndtri(x[:, 3])).astype(np.int16)
    return diary


def _clock_ms(plan_ms: int, hour: F64) -> I64:
    """Local hours of the day (24 and more: after midnight) as UTC ms, counted from the planning moment.

    Clocks change at 01:00 UTC, before the planning moment: until the next change an hour is 3,600 s.
    """
    return np.asarray(plan_ms + ((hour - (PLAN_HOUR + PLAN_MINUTE / 60)) * HOUR_MS).astype(np.int64))


def _return_hour(mixture: tuple[tuple[float, float, float], ...], u: F64, z: F64) -> F64:
    """A draw from a mixture of normals, hours of the local day."""
    means, sds, weights = (np.array(column) for column in zip(*mixture, strict=True))
    place = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], u, side="right")
    return np.asarray(means[place] + sds[place] * z)
