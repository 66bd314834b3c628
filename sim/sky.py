"""The sky over each GSP Group: outdoor temperature and sunshine by half-hour of UTC.

The sun's place is Spencer's, a cloudless sky Haurwitz's, the share of light that is diffuse Erbs's. Clouds
are drawn: a clear-sky index for each region and UTC day, which remembers the day before and resembles that of
its neighbours, and a half-hourly variation about it. Every innovation has its own key, so that any day can be
drawn alone and no region moves another's. A series from files becomes a sky through `sky_of`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy.special import betaincinv, ndtr

from sim import chance
from sim.chance import Purpose
from sim.kinds.kind import HALF_HOUR_MS, Sky
from sim.weather import Temperatures, autoregressive

F64 = np.ndarray[Any, np.dtype[np.float64]]
I64 = np.ndarray[Any, np.dtype[np.int64]]

DAY_MS = 86_400_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Place(NamedTuple):
    """A point that stands for a GSP Group [degrees north, degrees east]."""

    latitude: float
    longitude: float


PLACES: Mapping[str, Place] = MappingProxyType({
    "_A": Place(52.21, 0.12),  # Eastern: Cambridge
    "_B": Place(52.95, -1.15),  # East Midlands: Nottingham
    "_C": Place(51.50, -0.14),  # London
    "_D": Place(53.19, -2.89),  # Merseyside and North Wales: Chester
    "_E": Place(52.48, -1.90),  # West Midlands: Birmingham
    "_F": Place(54.98, -1.61),  # North East: Newcastle upon Tyne
    "_G": Place(53.76, -2.70),  # North West: Preston
    "_H": Place(51.06, -1.31),  # Southern: Winchester
    "_J": Place(51.27, 0.52),  # South East: Maidstone
    "_K": Place(51.48, -3.18),  # South Wales: Cardiff
    "_L": Place(50.72, -3.53),  # South West: Exeter
    "_M": Place(53.80, -1.55),  # Yorkshire: Leeds
    "_N": Place(55.95, -3.19),  # South Scotland: Edinburgh
    "_P": Place(57.48, -4.22),  # North Scotland: Inverness
})  # fmt: skip
"""One city in each GSP Group: which one is a choice, its coordinates are those of any atlas (WGS 84)."""

# ---------------------------------------------------------------------------------------------------- the sun

SOLAR_CONSTANT_W_PER_M2 = 1361.0
"""Kopp and Lean, "A new, lower value of total solar irradiance", Geophys. Res. Lett. 38 (2011) L01706."""
_MOMENTS = 6
"""A half-hour of sun is the mean over this many evenly spaced moments."""


def sun_at(latitude: float, longitude: float, at_ms: I64) -> F64:
    """Unit vectors to the sun (n, 3): east, north, up.

    Declination and equation of time: Spencer, "Fourier series representation of the position of the sun",
    Search 2 (1971) 172, within 0.01 rad; no refraction.
    """
    year = _year_angle(at_ms)
    declination = (
        0.006918 - 0.399912 * np.cos(year) + 0.070257 * np.sin(year) - 0.006758 * np.cos(2 * year)
        + 0.000907 * np.sin(2 * year) - 0.002697 * np.cos(3 * year) + 0.00148 * np.sin(3 * year)
    )  # fmt: skip
    hour_angle = (at_ms % DAY_MS) * (2 * math.pi / DAY_MS) - math.pi + math.radians(longitude)
    hour_angle = hour_angle + equation_of_time(at_ms)
    phi = math.radians(latitude)
    east = -np.cos(declination) * np.sin(hour_angle)
    north = math.cos(phi) * np.sin(declination) - math.sin(phi) * np.cos(declination) * np.cos(hour_angle)
    up = math.sin(phi) * np.sin(declination) + math.cos(phi) * np.cos(declination) * np.cos(hour_angle)
    return np.stack([east, north, up], axis=-1)


def equation_of_time(at_ms: I64) -> F64:
    """How far the sundial is ahead of the clock [rad of hour angle] (n,): Spencer 1971."""
    year = _year_angle(at_ms)
    return np.asarray(
        0.000075 + 0.001868 * np.cos(year) - 0.032077 * np.sin(year)
        - 0.014615 * np.cos(2 * year) - 0.040890 * np.sin(2 * year)
    )  # fmt: skip


def extraterrestrial_w_per_m2(at_ms: I64) -> F64:
    """Irradiance above the air on a surface that faces the sun (n,): Spencer 1971's eccentricity."""
    year = _year_angle(at_ms)
    return np.asarray(SOLAR_CONSTANT_W_PER_M2 * (
        1.000110 + 0.034221 * np.cos(year) + 0.001280 * np.sin(year)
        + 0.000719 * np.cos(2 * year) + 0.000077 * np.sin(2 * year)
    ))  # fmt: skip


def _year_angle(at_ms: I64) -> F64:
    """The place in the year [rad], nought as the year begins."""
    days = np.asarray(at_ms, np.int64) / DAY_MS
    year = np.asarray(at_ms, np.int64).astype("datetime64[ms]").astype("datetime64[Y]")
    return np.asarray(2 * math.pi / 365.0 * (days - year.astype("datetime64[D]").astype(np.int64)))


@dataclass(frozen=True, slots=True, eq=False)
class SunTrack:
    """Where the sun stands by half-hour; shape (regions, half-hours), the last (half-hours,).

    `east`, `north`, `up` is the mean direction while it is up, a unit vector; all nought in the dark.
    """

    east: F64
    north: F64
    up: F64
    mean_up: F64  # sine of elevation over the whole half-hour, nought while it is down
    clear_w_per_m2: F64  # on the horizontal under a cloudless sky
    extraterrestrial_w_per_m2: F64  # on a surface that faces the sun


def sun_track(places: Sequence[Place], first_ms: int, half_hours: int) -> SunTrack:
    """The sun over each place in consecutive half-hours of UTC from `first_ms`; not to be written to."""
    return _sun_track(tuple(places), first_ms, half_hours)


@lru_cache(maxsize=4)
def _sun_track(places: tuple[Place, ...], first_ms: int, half_hours: int) -> SunTrack:
    """The sky and the roofs under it ask for the same days."""
    step_ms = HALF_HOUR_MS // _MOMENTS
    at_ms = first_ms + step_ms // 2 + step_ms * np.arange(half_hours * _MOMENTS, dtype=np.int64)
    sun = np.stack([sun_at(place.latitude, place.longitude, at_ms) for place in places])
    up = np.maximum(sun[..., 2], 0.0)
    lit = np.where((up > 0.0)[..., None], sun, 0.0).reshape(len(places), half_hours, _MOMENTS, 3).sum(axis=2)
    length = np.sqrt((lit**2).sum(axis=-1))
    lit /= np.where(length > 0.0, length, 1.0)[..., None]
    shape = (len(places), half_hours, _MOMENTS)
    middle_ms = at_ms.reshape(half_hours, _MOMENTS)[:, _MOMENTS // 2]
    return SunTrack(
        east=lit[..., 0].copy(),
        north=lit[..., 1].copy(),
        up=lit[..., 2].copy(),
        mean_up=up.reshape(shape).mean(axis=2),
        clear_w_per_m2=clear_sky_w_per_m2(up).reshape(shape).mean(axis=2),
        extraterrestrial_w_per_m2=extraterrestrial_w_per_m2(middle_ms),
    )


# --------------------------------------------------------------------------------------------- the atmosphere


def clear_sky_w_per_m2(up: F64) -> F64:
    """Global irradiance on the horizontal under a cloudless sky for the sine of the sun's elevation.

    Haurwitz, "Insolation in relation to cloudiness and cloud density", J. Meteorology 2 (1945) 154; as fitted
    in J. Meteorology 3 (1946) 123.
    """
    safe = np.maximum(up, 1e-3)
    return np.where(up > 1e-3, 1098.0 * safe * np.exp(-0.059 / safe), 0.0)


def clear_beam_w_per_m2(up: F64, extraterrestrial: F64) -> F64:
    """Direct irradiance under a cloudless sky, on a surface that faces the sun.

    Meinel and Meinel, "Applied Solar Energy" (1976); air mass of Kasten and Young, Applied Optics 28 (1989)
    4735.
    """
    elevation = np.degrees(np.arcsin(np.clip(up, 0.0, 1.0)))
    air_mass = 1.0 / (np.maximum(up, 0.0) + 0.50572 * (elevation + 6.07995) ** -1.6364)
    return np.asarray(extraterrestrial * 0.7 ** (air_mass**0.678))


def diffuse_share(clearness: F64) -> F64:
    """Share of global light on the horizontal that is diffuse, for a clearness index (n,).

    Erbs, Klein and Duffie, Solar Energy 28 (1982) 293, eq. 1.
    """
    k = np.clip(clearness, 0.0, 1.0)
    cloudy = 1.0 - 0.09 * k
    broken = 0.9511 + k * (-0.1604 + k * (4.388 + k * (-16.638 + k * 12.336)))
    return np.where(k <= 0.22, cloudy, np.where(k <= 0.80, broken, 0.165))


def split(global_w_per_m2: F64, track: SunTrack) -> tuple[F64, F64]:
    """(diffuse on the horizontal, direct on a surface that faces the sun) of global light on the horizontal.

    What Erbs's fit calls direct beyond a cloudless sky's is counted as diffuse: near the horizon the fit,
    made of hourly values of a high sun, would blind.
    """
    lit = track.mean_up > 0.0
    above = np.where(lit, track.extraterrestrial_w_per_m2 * track.mean_up, 1.0)
    direct_flat = global_w_per_m2 * (1.0 - diffuse_share(global_w_per_m2 / above))
    direct = np.where(lit, direct_flat / np.where(lit, track.up, 1.0), 0.0)
    lit_share = np.where(lit, track.mean_up / np.where(lit, track.up, 1.0), 0.0)
    most = clear_beam_w_per_m2(track.up, track.extraterrestrial_w_per_m2) * lit_share
    direct = np.minimum(direct, most)
    return np.maximum(global_w_per_m2 - direct * track.up, 0.0), direct


def sky_of(first_ms: int, outdoor_c: F64, global_w_per_m2: F64, places: Sequence[Place]) -> Sky:
    """A sky of known temperature and global irradiance (regions, half-hours), as read from files.

    Raises ValueError where shapes differ or the first moment lies off the half-hour.
    """
    if first_ms % HALF_HOUR_MS or outdoor_c.shape != global_w_per_m2.shape or len(places) != len(outdoor_c):
        raise ValueError(
            f"a sky needs (regions, half-hours) from a whole half-hour: temperature {outdoor_c.shape}, "
            f"irradiance {global_w_per_m2.shape} for {len(places)} regions from {first_ms}"
        )
    track = sun_track(places, first_ms, outdoor_c.shape[1])
    lit_w_per_m2 = np.where(track.mean_up > 0.0, global_w_per_m2, 0.0)
    diffuse, direct = split(lit_w_per_m2, track)
    return Sky(first_ms, outdoor_c, lit_w_per_m2, diffuse, direct)


# ----------------------------------------------------------------------------------------------------- clouds

LONDON_INDEX = (0.722, 0.808, 0.627, 0.685, 0.634, 0.594, 0.626, 0.683, 0.664, 0.560, 0.684, 0.778)
EDINBURGH_INDEX = (0.717, 0.784, 0.673, 0.690, 0.580, 0.574, 0.515, 0.604, 0.613, 0.608, 0.576, 0.756)
"""Mean clear-sky index by month: global light over that of `clear_sky_w_per_m2`.

Worked back from PVGIS 5.2 (SARAH-2) hourly in-plane irradiance of 2019, south, 35 degrees: the index with
which `split` and Hay and Davies's transposition give each day's sum. Doubt: one year, with a sunny February,
and Haurwitz's sky is too dark at a low sun, so that winter's figures are high. It describes that year's light
for this chain of formulas, and is no climatology of clouds.
"""

BRIGHTNESS: Mapping[str, float] = MappingProxyType({
    "_A": 0.998, "_B": 1.025, "_C": 0.987, "_D": 0.978, "_E": 0.970, "_F": 1.019, "_G": 0.924,
    "_H": 1.005, "_J": 1.003, "_K": 0.999, "_L": 0.997, "_M": 1.018, "_N": 0.997, "_P": 0.997,
})  # fmt: skip
"""A region's index over that of its latitude: fitted so that a south roof of 35 degrees, free-standing, 14 %
loss, yields in the mean of 38 drawn years what PVGIS gives for 2019 [kWh/kWp]: London 1044, South East 1066,
South West 1067, Wales 1054, East Midlands 1036, East 1036, West Midlands 981, North East 969, Edinburgh 913,
North West 890 (so that half-hourly clouds and the bend of the power curve are made up for). Assumed: Southern
as its neighbours (1067), Merseyside and North Wales between theirs (975), Yorkshire between its own (1002),
North Scotland as bright as Edinburgh (its lower sun gives 881).
"""

_DARKEST, _BRIGHTEST = 0.12, 1.20
_CONCENTRATION = 4.0
_LAG_1 = 0.18
_DISTANCE_KM = 425.0
_HALF_HOUR_SD = 0.24
_HALF_HOUR_LAG_1 = 0.62
"""Days' index: a beta law between darkest and brightest (2019: 1st and 99th percentile 0.19 and 1.15, sd
within a month 0.24 in both cities); rank correlation with the day before 0.14 (London) and 0.21 (Edinburgh),
and between the two cities, 530 km apart, 0.29, read as exp(-distance / 425 km). About the day's index, the
hour's has sd 0.24 on middling days and less on clear and dark ones, correlation with the hour before 0.38, so
0.62 per half-hour. All from the same files.
"""
_EARTH_RADIUS_KM = 6371.0
_HALF_HOUR_STREAM = 16
"""Numbers of draws below this are the days', from this on the regions' half-hours."""
_GROUPS = tuple(sorted(PLACES))


def distance_km(a: Place, b: Place) -> float:
    """Great-circle distance [haversine]."""
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    half_north = math.sin((phi_b - phi_a) / 2) ** 2
    half_east = math.sin(math.radians(b.longitude - a.longitude) / 2) ** 2
    return (
        2
        * _EARTH_RADIUS_KM
        * math.asin(math.sqrt(half_north + math.cos(phi_a) * math.cos(phi_b) * half_east))
    )


@lru_cache(maxsize=1)
def _mixing() -> F64:
    """Square root of the regions' correlation: all 14, so that leaving one out moves no other."""
    places = [PLACES[name] for name in _GROUPS]
    apart_km = np.array([[distance_km(a, b) for b in places] for a in places])
    return np.linalg.cholesky(np.exp(-apart_km / _DISTANCE_KM))


def month_index(group: str, month: int) -> float:
    """Mean clear-sky index of a GSP Group in a month (1-12): between London's and Edinburgh's by latitude."""
    london, edinburgh = PLACES["_C"].latitude, PLACES["_N"].latitude
    north = min(max((PLACES[group].latitude - london) / (edinburgh - london), 0.0), 1.0)
    index = (1.0 - north) * LONDON_INDEX[month - 1] + north * EDINBURGH_INDEX[month - 1]
    return index * BRIGHTNESS[group]


def day_index(groups: Sequence[str], ordinal: int, seed: int) -> F64:
    """Clear-sky index of one UTC day (groups,): keyed by (GSP Group, day)."""
    key = chance.stream(seed, Purpose.SKY)
    memory = math.ceil(math.log(1e-3) / math.log(_LAG_1))
    weights = _LAG_1 ** np.arange(memory)
    weights /= math.sqrt(float((weights**2).sum()))
    z = np.zeros(len(_GROUPS))
    for lag in range(memory):
        z += weights[lag] * chance.normals(key, np.arange(len(_GROUPS)), moment=ordinal - lag)[:, 0]
    uniform = ndtr(_mixing() @ z)
    month = date.fromordinal(ordinal).month
    mean = np.array([month_index(group, month) for group in groups])
    middle = (mean - _DARKEST) / (_BRIGHTEST - _DARKEST)
    place = uniform[[_GROUPS.index(group) for group in groups]]
    drawn = betaincinv(middle * _CONCENTRATION, (1.0 - middle) * _CONCENTRATION, place)
    return np.asarray(_DARKEST + (_BRIGHTEST - _DARKEST) * drawn)


def clear_sky_index(groups: Sequence[str], first_ms: int, half_hours: int, seed: int) -> F64:
    """Clear-sky index by half-hour of UTC (groups, half-hours)."""
    key = chance.stream(seed, Purpose.SKY)
    at = first_ms // HALF_HOUR_MS + np.arange(half_hours, dtype=np.int64)
    ordinals = _EPOCH_ORDINAL + at * HALF_HOUR_MS // DAY_MS
    index = np.empty((len(groups), half_hours))
    for ordinal in np.unique(ordinals).tolist():
        index[:, ordinals == ordinal] = day_index(groups, ordinal, seed)[:, None]
    middle = np.clip((index - _DARKEST) / (_BRIGHTEST - _DARKEST), 0.0, 1.0)
    width = _HALF_HOUR_SD * 4.0 * middle * (1.0 - middle)
    for i, group in enumerate(groups):
        number = _HALF_HOUR_STREAM + _GROUPS.index(group)
        index[i] += width[i] * autoregressive(key, at, _HALF_HOUR_LAG_1, number)
    return np.clip(index, _DARKEST / 2, _BRIGHTEST)


# ------------------------------------------------------------------------------------------------ temperature

_WARMEST_SOLAR_HOUR, _WARMEST_SD_HOURS = 14.5, 0.8
"""When a day is warmest: de Wit takes 14:00; later in summer. The spread is assumed."""


def outdoor_c(
    temperatures: Temperatures, groups: Sequence[str], first_ms: int, half_hours: int, seed: int
) -> F64:
    """Outdoor temperature at the middle of each half-hour of UTC (groups, half-hours) [C].

    Half a cosine from each day's minimum, at sunrise, to its maximum, and on to the next day's minimum: de
    Wit (1978), as in Reicosky et al., Agric. Forest Meteorol. 46 (1989) 193. Where the mean of a day is not
    half-way, the difference is added, drawn out between noons. All regions live through the same day: the
    scenario has one climate. Beyond the days known, the first or last is repeated.
    """
    key = chance.stream(seed, Purpose.SKY)
    at_ms = first_ms + HALF_HOUR_MS // 2 + HALF_HOUR_MS * np.arange(half_hours, dtype=np.int64)
    day = np.arange(at_ms[0] // DAY_MS - 1, at_ms[-1] // DAY_MS + 2, dtype=np.int64)
    known = np.clip(day + _EPOCH_ORDINAL - int(temperatures.day[0]), 0, len(temperatures.day) - 1)
    low, high, mean = (
        column[known] for column in (temperatures.min_c, temperatures.max_c, temperatures.mean_c)
    )
    noon_ms = day * DAY_MS + DAY_MS // 2
    shift = np.interp(at_ms, noon_ms, mean - (low + high) / 2)
    every = np.arange(len(_GROUPS))
    drawn = np.stack(
        [chance.normals(key, every, moment=int(d) + _EPOCH_ORDINAL, number=1)[:, 0] for d in day], axis=1
    )
    out = np.empty((len(groups), half_hours))
    for i, group in enumerate(groups):
        late = np.clip(drawn[_GROUPS.index(group)], -2.0, 2.0)
        knots_ms, knots_c = _extremes(PLACES[group], noon_ms, low, high, late)
        out[i] = _half_cosines(knots_ms, knots_c, at_ms) + shift
    return out


def _extremes(place: Place, noon_ms: I64, low: F64, high: F64, drawn: F64) -> tuple[F64, F64]:
    """Moments [ms] and temperatures of each day's minimum and maximum, in turn."""
    solar_noon_ms = noon_ms - (math.radians(place.longitude) + equation_of_time(noon_ms)) * DAY_MS / (
        2 * math.pi
    )
    sine = sun_at(90.0, 0.0, noon_ms)[:, 2]  # at the pole the sun's height is its declination
    tangents = math.tan(math.radians(place.latitude)) * sine / np.sqrt(1.0 - sine**2)
    half_day_ms = np.arccos(np.clip(-tangents, -1.0, 1.0)) * DAY_MS / (2 * math.pi)
    warmest_ms = solar_noon_ms + (_WARMEST_SOLAR_HOUR - 12.0 + _WARMEST_SD_HOURS * drawn) * (DAY_MS / 24)
    moments = np.stack([solar_noon_ms - half_day_ms, warmest_ms], axis=1).ravel()
    return moments, np.stack([low, high], axis=1).ravel()


def _half_cosines(knots_ms: F64, knots: F64, at_ms: I64) -> F64:
    """From knot to knot in half a cosine."""
    k = np.clip(np.searchsorted(knots_ms, at_ms, side="right") - 1, 0, len(knots) - 2)
    part = (at_ms - knots_ms[k]) / (knots_ms[k + 1] - knots_ms[k])
    return np.asarray(knots[k] + (knots[k + 1] - knots[k]) * (1.0 - np.cos(math.pi * part)) / 2)


# ------------------------------------------------------------------------------------------------ the weather


def make_sky(
    temperatures: Temperatures, groups: Sequence[str], seed: int, first_ms: int, half_hours: int
) -> Sky:
    """The sky over GSP Groups (letters such as `_A`) in consecutive half-hours of UTC from `first_ms`.

    A half-hour is the same whatever stretch it is asked for in; where a file tells the hours, every group has
    its weather. Raises KeyError for a group without a place.
    """
    places = [PLACES[group] for group in groups]
    if temperatures.hours is not None:
        return temperatures.hours.sky(places, first_ms, half_hours)
    clear = sun_track(places, first_ms, half_hours).clear_w_per_m2
    light = clear * clear_sky_index(groups, first_ms, half_hours, seed)
    return sky_of(first_ms, outdoor_c(temperatures, groups, first_ms, half_hours, seed), light, places)
