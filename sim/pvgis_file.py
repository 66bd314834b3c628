"""Hourly weather in the shape of PVGIS's `seriescalc`: checked, and made into a sky by half-hour.

Owns the way from light on a tilted plane back to light on the horizontal. PVGIS tells irradiance in the plane
asked for, at a minute of each hour of UTC, and the air's temperature. The clear-sky index of each hour is
the one with which `sim/sky.py` and Hay and Davies's transposition (`devices/pv.py`) give the light told;
index and temperature are drawn out in straight lines between hours, through the night too. Doubt: clouds
within the hour are gone; a sun below three degrees says nothing of them, nor one that the plane hardly faces.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from devices.pv import plane_w_per_m2
from protocol.messages import I64
from protocol.periods import HOUR_MS
from sim.faults import Fault, Kind, quoted
from sim.importers import LARGEST_BYTES, DataErrors, Source
from sim.kinds.kind import HALF_HOUR_MS, Sky
from sim.registry_file import read_written, write_parquet
from sim.sky import F64, Place, SunTrack, clear_sky_w_per_m2, extraterrestrial_w_per_m2, sky_of, split, sun_at

SCHEMA = "flextwin weather 1"

CODES: Mapping[str, Kind] = MappingProxyType({
    "D060": Kind("not JSON", "download it again with `outputformat=json`"),
    "D061": Kind("not an hourly series of PVGIS", "the tool `seriescalc`, with a fixed plane"),
    "D062": Kind("an hour without light or temperature", "`T2m`; `G(i)`, or all of its three parts"),
    "D063": Kind("light or temperature that Britain never has", "W/m2, and degrees Celsius"),
    "D064": Kind("hours out of order, twice or left out", "whole years as PVGIS gives them"),
    "W106": Kind("a place outside Great Britain", "check latitude and longitude"),
})  # fmt: skip
"""Beside the codes of `sim/importers.py`. PVGIS writes one line, so an hour is told by its number from 1."""

_TIME = re.compile(r"(\d{4})(\d\d)(\d\d):(\d\d)(\d\d)")
_BRIGHTEST_W_PER_M2 = 1_500.0
_COLDEST_C, _HOTTEST_C = -40.0, 50.0
_LOWEST_SUN = 0.05
"""Sine of the sun's height from which an hour tells of clouds: three degrees; assumed."""
_LEAST_FACING = 0.5
"""The sun must shine on the plane at least half as steeply as on the horizontal: below, more light from the
sky can mean less on the plane, and the way back has two ends. Found by trying planes of seven kinds.
"""
_MOST_INDEX = 1.6
_ROUNDS = 24
_WEST, _EAST, _SOUTH, _NORTH = -9.0, 2.0, 49.5, 61.0


@dataclass(frozen=True, slots=True, eq=False)
class PvgisHours:
    """The hours of a file (hours,), its place, and the plane's slope and azimuth.

    In degrees: flat is 0; south 0, west 90.
    """

    source: Source
    place: Place
    slope: float
    azimuth: float
    at_ms: I64
    in_plane_w_per_m2: F64
    outdoor_c: F64


@dataclass(frozen=True, slots=True, eq=False)
class HalfHourlyWeather:
    """Weather of one place by half-hour of UTC from `first_ms` (half-hours,); light on the horizontal."""

    place: Place
    first_ms: int
    outdoor_c: F64
    global_w_per_m2: F64

    def sky(self, places: Sequence[tuple[float, float]], first_ms: int, half_hours: int) -> Sky:
        """The same weather over every place. Raises DataErrors where the file lacks a half-hour."""
        begin = (first_ms - self.first_ms) // HALF_HOUR_MS
        if begin < 0 or begin + half_hours > len(self.outdoor_c):
            last_ms = self.first_ms + HALF_HOUR_MS * len(self.outdoor_c)
            got = f"{_told(self.first_ms)} to {_told(last_ms)}"
            what = f"the run needs weather from {_told(first_ms)} for {half_hours / 2:g} h"
            raise DataErrors([Fault("D032", "weather", 1, 1, what, got, "a file that holds every day lived")])
        part = slice(begin, begin + half_hours)
        outdoor_c = np.tile(self.outdoor_c[part], (len(places), 1))
        light = np.tile(self.global_w_per_m2[part], (len(places), 1))
        return sky_of(first_ms, outdoor_c, light, [Place(*place) for place in places])


def read_pvgis(path: Path) -> PvgisHours:
    """The hours in a PVGIS file. Raises DataErrors with every fault."""
    raw, document = _document(path)
    place, slope, azimuth, hours = _parts(path, document)
    faults: list[Fault] = []
    at_ms = _moments(path, hours, faults)
    light = np.array([_light(hour) for hour in hours])
    outdoor_c = np.array([_number(hour.get("T2m")) for hour in hours])
    _check(path, "light", light, (0.0, _BRIGHTEST_W_PER_M2), faults)
    _check(path, "T2m", outdoor_c, (_COLDEST_C, _HOTTEST_C), faults)
    if faults:
        raise DataErrors(faults)
    warnings = []
    if not (_SOUTH <= place.latitude <= _NORTH and _WEST <= place.longitude <= _EAST):
        what = "a place outside Great Britain"
        warnings.append(Fault("W106", str(path), 1, 1, what, f"{place.latitude:g}, {place.longitude:g}"))
    source = Source(path, hashlib.sha256(raw).hexdigest(), len(hours), warnings=tuple(warnings))
    return PvgisHours(source, place, slope, azimuth, at_ms, light, outdoor_c)


def half_hourly(hours: PvgisHours) -> HalfHourlyWeather:
    """The weather by half-hour of UTC, from the first whole half-hour to the last."""
    first_ms = -(-int(hours.at_ms[0]) // HALF_HOUR_MS) * HALF_HOUR_MS
    if int(hours.at_ms[0]) % HOUR_MS < HALF_HOUR_MS:
        first_ms = int(hours.at_ms[0]) // HOUR_MS * HOUR_MS  # a stamp early in the hour tells of all of it
    last_ms = (int(hours.at_ms[-1]) // HOUR_MS + 1) * HOUR_MS
    middle_ms = np.arange(first_ms, last_ms, HALF_HOUR_MS, dtype=np.int64) + HALF_HOUR_MS // 2
    index, known = clear_sky_indices(hours)
    if not known.any():
        what, allowed = "a plane that never faces the sun", "a plane to the south, or a flat one"
        raise DataErrors([Fault("D061", str(hours.source.path), 1, 1, what, "", allowed)])
    drawn_out = np.interp(middle_ms, hours.at_ms[known], index[known])
    steps_ms = (middle_ms[:, None] + np.array([-600_000, 0, 600_000])).ravel()
    up = np.maximum(sun_at(*hours.place, steps_ms)[:, 2], 0.0)
    clear = clear_sky_w_per_m2(up).reshape(-1, 3).mean(axis=1)
    outdoor_c = np.interp(middle_ms, hours.at_ms, hours.outdoor_c)
    return HalfHourlyWeather(hours.place, first_ms, outdoor_c, drawn_out * clear)


def clear_sky_indices(hours: PvgisHours) -> tuple[F64, Any]:
    """The clear-sky index of each hour, and whether the sun stood so that it can be told (hours,)."""
    sun = sun_at(*hours.place, hours.at_ms)
    up = np.maximum(sun[:, 2], 0.0)
    clear = clear_sky_w_per_m2(up)
    known = (up > _LOWEST_SUN) & (sun @ np.array(_normal(hours)) > _LEAST_FACING * up)
    low, high = np.zeros(len(up)), np.full(len(up), _MOST_INDEX)
    for _ in range(_ROUNDS):
        middle = (low + high) / 2
        dark = _in_plane(hours, sun, middle * clear) < hours.in_plane_w_per_m2
        low, high = np.where(dark, middle, low), np.where(dark, high, middle)
    return low, known


def _in_plane(hours: PvgisHours, sun: F64, global_w_per_m2: F64) -> F64:
    """Light on the file's plane for light on the horizontal (hours,)."""
    up = np.maximum(sun[:, 2], 0.0)
    above = extraterrestrial_w_per_m2(hours.at_ms)
    nothing = np.zeros_like(up)
    track = SunTrack(sun[:, 0], sun[:, 1], up, up, nothing, above)
    diffuse, direct = split(global_w_per_m2, track)
    plane = np.vectorize(plane_w_per_m2, otypes=[np.float64])
    return np.asarray(plane(direct, diffuse, global_w_per_m2, above, *sun.T, *_normal(hours)))


def _normal(hours: PvgisHours) -> tuple[float, float, float]:
    """The plane's normal: east, north, up."""
    tilt, turn = math.radians(hours.slope), math.radians(hours.azimuth)
    return -math.sin(tilt) * math.sin(turn), -math.sin(tilt) * math.cos(turn), math.cos(tilt)


# --------------------------------------------------------------------------------------------------- parquet


def write_weather(weather: HalfHourlyWeather, out: Path) -> None:
    """Write the weather as Parquet."""
    count = len(weather.outdoor_c)
    table = pa.table(
        {
            "start_ms": pa.array(weather.first_ms + HALF_HOUR_MS * np.arange(count, dtype=np.int64)),
            "outdoor_c": pa.array(weather.outdoor_c),
            "global_w_per_m2": pa.array(weather.global_w_per_m2),
            "latitude": pa.array(np.full(count, weather.place.latitude)),
            "longitude": pa.array(np.full(count, weather.place.longitude)),
        }
    )
    write_parquet(table, out, SCHEMA)


def load_weather(path: Path) -> tuple[HalfHourlyWeather, Source]:
    """What `write_weather` wrote, and its source. Raises DataErrors for another or a damaged file."""
    table, source = read_written(path, SCHEMA)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    place = Place(float(columns["latitude"][0]), float(columns["longitude"][0]))
    first_ms = int(columns["start_ms"][0])
    return HalfHourlyWeather(place, first_ms, columns["outdoor_c"], columns["global_w_per_m2"]), source


# ---------------------------------------------------------------------------------------------------- reading


def _document(path: Path) -> tuple[bytes, Any]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise DataErrors([Fault("D001", str(path), 1, 1, what, "", "a PVGIS file")]) from None
    if len(raw) > LARGEST_BYTES:
        raise DataErrors(
            [Fault("D004", str(path), 1, 1, f"{len(raw):,} bytes", "", f"at most {LARGEST_BYTES:,}")]
        )
    try:
        return raw, json.loads(raw)
    except json.JSONDecodeError as error:
        raise DataErrors([Fault("D060", str(path), error.lineno, error.colno, error.msg)]) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise DataErrors([Fault("D060", str(path), 1, 1, type(error).__name__)]) from None


def _parts(path: Path, document: Any) -> tuple[Place, float, float, list[dict[str, Any]]]:
    """Place, slope, azimuth and hours. Raises DataErrors where the document has another shape."""
    try:
        location = document["inputs"]["location"]
        fixed = document["inputs"]["mounting_system"]["fixed"]
        place = Place(float(location["latitude"]), float(location["longitude"]))
        slope, azimuth = float(fixed["slope"]["value"]), float(fixed["azimuth"]["value"])
        hours = document["outputs"]["hourly"]
        sound = isinstance(hours, list) and hours and all(isinstance(hour, dict) for hour in hours)
        if sound and all(map(math.isfinite, (*place, slope, azimuth))):
            return place, slope, azimuth, hours
        what = "no hours"
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
    allowed = "inputs.location, inputs.mounting_system.fixed, outputs.hourly"
    raise DataErrors([Fault("D061", str(path), 1, 1, "not an hourly series of PVGIS", what, allowed)])


def _moments(path: Path, hours: list[dict[str, Any]], faults: list[Fault]) -> I64:
    at_ms = np.zeros(len(hours), np.int64)
    for number, hour in enumerate(hours):
        text = str(hour.get("time", ""))
        match = _TIME.fullmatch(text)
        try:
            year, month, day, clock, minute = map(int, match.groups() if match else ())
            at_ms[number] = int(datetime(year, month, day, clock, minute, tzinfo=UTC).timestamp()) * 1_000
        except ValueError:
            allowed = "such as `20190101:0010`"
            faults.append(Fault("D021", str(path), number + 1, 1, "not a time", quoted(text), allowed))
    if not faults:
        for number in np.flatnonzero(np.diff(at_ms) != HOUR_MS).tolist():
            step = f"{(at_ms[number + 1] - at_ms[number]) / HOUR_MS:g} h after the one before"
            faults.append(
                Fault("D064", str(path), number + 2, 1, "hours do not follow each other", step, "1 h")
            )
    return at_ms


def _light(hour: dict[str, Any]) -> float:
    """Global light in the plane [W/m2]; NaN where it is missing."""
    if "G(i)" in hour:
        return _number(hour["G(i)"])
    return sum(_number(hour.get(name)) for name in ("Gb(i)", "Gd(i)", "Gr(i)"))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _check(path: Path, name: str, values: F64, bounds: tuple[float, float], faults: list[Fault]) -> None:
    low, high = bounds
    for number in np.flatnonzero(~((values >= low) & (values <= high))).tolist():
        value = values[number]
        code = "D062" if math.isnan(value) else "D063"
        what = f"no {name}" if code == "D062" else f"{name} that Britain never has"
        got = "" if code == "D062" else f"{value:g}"
        faults.append(Fault(code, str(path), number + 1, 1, what, got, f"{low:g} to {high:g}"))


def _told(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%MZ")
