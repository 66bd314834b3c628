"""Daily temperatures: a synthetic climate of three British places, or a daily file.

The climate is an annual cosine plus an autoregressive departure whose spread is larger in winter. Each day's
innovation is drawn by its own key and a day's departure is a finite moving average of past innovations, so
that any day can be drawn alone and no other draw moves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from protocol.messages import I64
from sim import chance
from sim.chance import Purpose
from sim.faults import Fault
from sim.importers import DataErrors, Source, read_daily_weather
from sim.kinds.kind import Sky
from sim.scenario import Weather

F64 = NDArray[np.float64]
DAYS_PER_YEAR = 365.25
FORGOTTEN = 1e-3
"""Weight at which a moving average ends: so far back the past no longer shows in a correlation."""


@dataclass(frozen=True, slots=True)
class Climate:
    """What the days of a place are like; `winter` is 1 on `coldest_day` (from 0), -1 half a year away.

    The mean of a day is `mean_c` - `swing_c` winter, plus a departure of variance `departure_var` +
    `winter_var` winter [C2]. Maximum minus minimum is `range_mean_c` - `range_swing_c` winter times a
    log-normal factor of mean one, and the mean lies half-way between them.
    """

    mean_c: float
    swing_c: float
    coldest_day: float
    departure_var: float
    winter_var: float
    departure_lag_1: float
    range_mean_c: float
    range_swing_c: float
    range_log_sd: float


CLIMATES: Mapping[str, Climate] = MappingProxyType({
    "london": Climate(11.41, 6.77, 22.8, 8.08, 2.78, 0.766, 7.53, 1.60, 0.40),
    "manchester": Climate(10.42, 6.09, 21.7, 7.41, 2.26, 0.750, 6.73, 1.19, 0.43),
    "glasgow": Climate(9.20, 5.72, 21.2, 7.03, 3.65, 0.743, 6.30, 1.10, 0.45),
})  # fmt: skip
"""Fitted to Open-Meteo/ERA5 2016-2025, CC BY 4.0, 3,446 days each. Least squares of the daily mean on the
year's cosine and sine; of its squared residual, and of maximum minus minimum, on the cosine from
`coldest_day`; lag-1 correlation of the scaled residual; sd of the log range. `tests/sim/test_weather.py`
fits them again. The series itself, which includes the year's course, then has the lag-1 autocorrelation
0.92-0.94. Doubt: departures are normal, so the hottest days are some 4 C cooler than real ones."""

RANGE_LAG_1 = 0.42
"""Lag-1 correlation of the log range about its fit, in all three places; same source."""


class SkyHours(Protocol):
    """Weather of a file by half-hour."""

    def sky(self, places: Sequence[tuple[float, float]], first_ms: int, half_hours: int) -> Sky:
        """The weather over each place in consecutive half-hours of UTC. Raises DataErrors beyond the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Temperatures:
    """Consecutive days: `day` (days,) [ordinal of the date]; mean, minimum and maximum (days,) [C]."""

    day: I64
    mean_c: F64
    min_c: F64
    max_c: F64
    sources: tuple[Source, ...] = ()  # files read, for the manifest and the report
    hours: SkyHours | None = None  # what a file tells of light and temperature by half-hour


def make_weather(
    weather: Weather, first_day: date, days: int, seed: int, data_dir: Path | None = None
) -> Temperatures:
    """The temperatures of `days` local days from `first_day`.

    File names are relative to `data_dir`, or absolute. Raises DataErrors for a file that is missing, wrong
    or too short.
    """
    if weather.source == "files":
        return _from_file(weather.file, first_day, days, data_dir)
    return _synthetic(CLIMATES[weather.climate], weather.offset_c, first_day, days, seed)


def _from_file(name: str | None, first_day: date, days: int, data_dir: Path | None) -> Temperatures:
    if name is None:
        what, allowed = "no file is named", "a daily CSV file, relative to the folder given with `--data DIR`"
        raise DataErrors([Fault("D001", "weather.file", 1, 1, what, "", allowed)])
    read = read_daily_weather((data_dir or Path()) / name)
    at = read.places(first_day, days)
    return Temperatures(read.day[at], read.mean_c[at], read.min_c[at], read.max_c[at], (read.source,))


def _synthetic(climate: Climate, offset_c: float, first_day: date, days: int, seed: int) -> Temperatures:
    key = chance.stream(seed, Purpose.WEATHER)
    day = first_day.toordinal() + np.arange(days, dtype=np.int64)
    winter = np.cos(2 * math.pi * (_day_of_year(day) - climate.coldest_day) / DAYS_PER_YEAR)
    spread_c = np.sqrt(climate.departure_var + climate.winter_var * winter)
    departure = autoregressive(key, day, climate.departure_lag_1, number=0)
    mean_c = climate.mean_c - climate.swing_c * winter + spread_c * departure + offset_c
    log_factor = climate.range_log_sd * autoregressive(key, day, RANGE_LAG_1, number=1)
    factor = np.exp(log_factor - climate.range_log_sd**2 / 2)
    half_range_c = (climate.range_mean_c - climate.range_swing_c * winter) * factor / 2
    return Temperatures(day, mean_c, mean_c - half_range_c, mean_c + half_range_c)


def _day_of_year(day: I64) -> I64:
    """Days since 1 January of each date's year, from 0."""
    new_year = [date(date.fromordinal(ordinal).year, 1, 1).toordinal() for ordinal in day.tolist()]
    return day - np.array(new_year, np.int64)


def autoregressive(key: np.uint64, at: I64, lag_1: float, number: int) -> F64:
    """Standard normals (n,) at consecutive integers `at` with autocorrelation `lag_1 ** lag`, keyed by `at`.

    A finite moving average of keyed innovations: a value is the same whatever else is asked for.
    """
    memory = math.ceil(math.log(FORGOTTEN) / math.log(lag_1))
    weights = lag_1 ** np.arange(memory)
    weights /= math.sqrt(float((weights**2).sum()))
    innovations = chance.normals(key, np.arange(at[0] - memory + 1, at[-1] + 1), number=number)[:, 0]
    out = np.zeros(len(at))
    for lag, weight in enumerate(weights):  # added up in a fixed order: bytes must not depend on n
        out += weight * innovations[memory - 1 - lag : memory - 1 - lag + len(at)]
    return out
