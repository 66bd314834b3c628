"""The weather that a scenario names by file: hours of temperature and light, of the run's days or of a year.

Owns which file is read how, and which of its days stand for those of the run. PVGIS's JSON, what `flextwin
import weather` made of it, or a CSV `utc_start,temperature_c,global_w_per_m2` of hours or half-hours, light
on the horizontal as its mean from `utc_start` on. Days stand for themselves unless the scenario names the
year whose days are to stand for them; then a 29 February without its like is 28 February again. All regions
have the file's weather.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from protocol.periods import HOUR_MS, day_start_ms, local_date
from sim.faults import Fault, quoted
from sim.importers import DataErrors, Sheet, Source, moment_in, ms_of, read_sheet
from sim.kinds.kind import HALF_HOUR_MS
from sim.pvgis_file import HalfHourlyWeather, half_hourly, load_weather, read_pvgis
from sim.scenario import Weather
from sim.sky import F64, PLACES
from sim.weather import Temperatures, make_weather

HOURLY = ("utc_start", "temperature_c", "global_w_per_m2")
"""The columns of an hourly CSV file."""
_BOUNDS = {"temperature_c": (-40.0, 50.0), "global_w_per_m2": (0.0, 1_500.0)}
"""As `sim/pvgis_file.py` has them."""
_DAY_MS, _HALF_HOURS = 86_400_000, 48


def weather_of(
    weather: Weather, first_day: date, days: int, seed: int, data_dir: Path | None = None
) -> Temperatures:
    """The weather of `days` local days from `first_day`, and of the day before where a file has hours.

    Raises DataErrors for a file that is missing, wrong, or lacks a day.
    """
    if weather.source not in {"pvgis", "hourly"} or weather.file is None:
        return make_weather(weather, first_day, days, seed, data_dir)
    read, source = _read((data_dir or Path()) / weather.file)
    hours = _lived(read, source, weather.of_year, first_day, days)
    return _temperatures(hours, source, first_day, days)


def _read(path: Path) -> tuple[HalfHourlyWeather, Source]:
    if path.suffix == ".parquet":
        return load_weather(path)
    if path.suffix == ".csv":
        return read_hours(path)
    hours = read_pvgis(path)
    return half_hourly(hours), hours.source


def _lived(
    read: HalfHourlyWeather, source: Source, of_year: int | None, first_day: date, days: int
) -> HalfHourlyWeather:
    """The half-hours of the days of UTC that the run lives, and what the file lacks of them told."""
    lived = [first_day + timedelta(days=ahead) for ahead in range(-1, days + 1)]
    known = lived if of_year is None else [_of_year(day, of_year) for day in lived]
    begins = [(_utc_ms(day) - read.first_ms) // HALF_HOUR_MS for day in known]
    lacking = [
        day
        for day, begin in zip(known, begins, strict=True)
        if begin < 0 or begin + _HALF_HOURS > len(read.outdoor_c)
    ]
    if lacking:
        first, last = (local_date(edge) for edge in _edges_ms(read))
        what = f"the run needs the weather of {lacking[0]}" + (" and more" if len(lacking) > 1 else "")
        allowed = "a file that holds every day lived and the one before, or the year of one as `of_year`"
        raise DataErrors([Fault("D032", str(source.path), 1, 1, what, f"{first} to {last}", allowed)])
    places = np.concatenate([np.arange(begin, begin + _HALF_HOURS) for begin in begins])
    first_ms = _utc_ms(lived[0])
    return HalfHourlyWeather(read.place, first_ms, read.outdoor_c[places], read.global_w_per_m2[places])


def _of_year(day: date, year: int) -> date:
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 2, 28)


def _edges_ms(read: HalfHourlyWeather) -> tuple[int, int]:
    return read.first_ms, read.first_ms + HALF_HOUR_MS * (len(read.outdoor_c) - 1)


def _utc_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000


def _temperatures(hours: HalfHourlyWeather, source: Source, first_day: date, days: int) -> Temperatures:
    """Each local day's mean, minimum and maximum of the half-hours, and the half-hours themselves."""
    found = []
    for ahead in range(days):
        begin_ms, end_ms = (day_start_ms(first_day + timedelta(days=ahead + more)) for more in (0, 1))
        begin, end = ((at_ms - hours.first_ms) // HALF_HOUR_MS for at_ms in (begin_ms, end_ms))
        outdoor_c = hours.outdoor_c[begin:end]
        found.append((outdoor_c.mean(), outdoor_c.min(), outdoor_c.max()))
    mean_c, min_c, max_c = (np.array(column) for column in zip(*found, strict=True))
    ordinals = first_day.toordinal() + np.arange(days, dtype=np.int64)
    return Temperatures(ordinals, mean_c, min_c, max_c, (source,), hours)


# ------------------------------------------------------------------------------------------------- hourly CSV


def read_hours(path: Path) -> tuple[HalfHourlyWeather, Source]:
    """The weather in an hourly or half-hourly CSV file. Raises DataErrors with every fault.

    Light holds for all of its row's time; temperature runs in straight lines between the rows' middles.
    """
    sheet = read_sheet(path, HOURLY)
    if sheet.units is not None:
        sheet.fault("D021", 2, "utc_start", "a row without a time under the header", "", "units in the names")
    starts_ms = [_start_ms(sheet, line, cells) for line, cells in sheet.rows]
    columns = {name: _column(sheet, name) for name in HOURLY[1:]}
    step_ms = _step_ms(sheet, starts_ms) if not sheet.faults else HOUR_MS
    if sheet.faults:
        raise DataErrors(sheet.faults)
    first_ms, halves = starts_ms[0], step_ms // HALF_HOUR_MS
    at_ms = np.array(starts_ms) + step_ms // 2
    middle_ms = first_ms + HALF_HOUR_MS // 2 + HALF_HOUR_MS * np.arange(halves * len(at_ms), dtype=np.int64)
    weather = HalfHourlyWeather(
        PLACES["_C"],
        first_ms,
        np.interp(middle_ms, at_ms, columns["temperature_c"]),
        np.repeat(columns["global_w_per_m2"], halves),
    )
    return weather, Source(path, sheet.sha256, len(sheet.rows), warnings=tuple(sheet.warnings))


def _start_ms(sheet: Sheet, line: int, cells: list[str]) -> int:
    moment = moment_in(sheet, line, cells, "utc_start")
    if moment is None:
        return 0
    start_ms = ms_of(moment)
    if start_ms % HALF_HOUR_MS:
        allowed = "a start on the hour or half past"
        sheet.fault("D024", line, "utc_start", "off the half-hour", quoted(str(moment)), allowed)
    return start_ms


def _column(sheet: Sheet, name: str) -> F64:
    low, high = _BOUNDS[name]
    values = sheet.numbers(name)
    for (line, _), value in zip(sheet.rows, values, strict=True):
        if math.isnan(value):
            sheet.fault("D062", line, name, f"`{name}` is missing", "", "a number")
        elif math.isfinite(value) and not low <= value <= high:
            what = f"`{name}` that Britain never has"
            sheet.fault("D063", line, name, what, f"{value:g}", f"{low:g} to {high:g}")
    return np.array(values)


def _step_ms(sheet: Sheet, starts_ms: list[int]) -> int:
    """An hour or half an hour; with a fault where rows do not follow each other so."""
    step_ms = starts_ms[1] - starts_ms[0] if len(starts_ms) > 1 else HOUR_MS
    step_ms = step_ms if step_ms in {HOUR_MS, HALF_HOUR_MS} else HOUR_MS
    for (line, _), before, after in zip(sheet.rows[1:], starts_ms, starts_ms[1:], strict=False):
        if after - before != step_ms:
            got = f"{(after - before) / HOUR_MS:g} h after the one before"
            sheet.fault(
                "D064", line, "utc_start", "rows do not follow each other", got, f"{step_ms / HOUR_MS:g} h"
            )
    return step_ms
