"""Target T9: what a roof yields in a year, by region and month, against PVGIS.

The published figures are of 2019. A year drawn here differs from another by about 3.5 % (sd over 28 seeds), a
month by about 11 %: the weather's own doing. So the mean of ten years (sd 1.1 %) is held against them.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np

from protocol.messages import I32
from sim.homes import HomeTable, make_homes
from sim.kinds.kind import Sky
from sim.kinds.pv import Roofs
from sim.scenario import Homes, Weather
from sim.scenario_devices import Pv
from sim.sky import PLACES, make_sky
from sim.weather import Temperatures, make_weather

F64 = np.ndarray[Any, np.dtype[np.float64]]

SEEDS = tuple(range(1, 11))
FIRST_DAY, DAY_MS, DAYS = date(2019, 1, 1), 86_400_000, 365
GROUPS = tuple(sorted(PLACES))
AS_PVGIS = Pv(peak_mean_w=1_000, peak_sd_w=0, tilt_sd_degrees=0.0, azimuth_sd_degrees=0.0, noct_c=37.0)
"""1 kWp, south, 35 degrees, 14 % loss, free-standing: NOCT 37 C is as cool as Faiman's rack in 3.8 m/s."""
ANNUAL_KWH = {
    "_C": 1044, "_J": 1066, "_L": 1067, "_K": 1054, "_B": 1036, "_A": 1036, "_E": 981, "_F": 969, "_N": 913,
    "_G": 890,
}  # fmt: skip
"""PVGIS, 2019, kWh per kWp."""
NAMES = {
    "_C": "London", "_J": "South East", "_L": "South West", "_K": "South Wales", "_B": "East Midlands",
    "_A": "Eastern", "_E": "West Midlands", "_F": "North East", "_N": "South Scotland", "_G": "North West",
}  # fmt: skip
LONDON_MONTHS_KWH = (45, 77, 83, 115, 122, 115, 120, 124, 96, 57, 46, 44)


def one_home_per_group() -> tuple[HomeTable, I32]:
    """Homes, and the number of the first one in each GSP Group."""
    homes = make_homes(Homes(count=1_000), 1)
    return homes, np.array([int(np.flatnonzero(homes.gsp_group == k)[0]) for k in range(14)], np.int32)


def sky_from(day: date, days: int, seed: int) -> Sky:
    """Some UTC days of one seed's sky."""
    first_ms = (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS
    return make_sky(_temperatures(), GROUPS, seed, first_ms, 48 * days)


@cache
def _temperatures() -> Temperatures:
    return make_weather(Weather(), FIRST_DAY, DAYS + 1, 1)


@cache
def years() -> F64:
    """Hourly means of a kWp [W], (seeds, groups, days, hours).

    A sky is drawn for the year at once: the same light as day by day, in a fraction of the time.
    """
    homes, numbers = one_home_per_group()
    roofs = Roofs(AS_PVGIS, homes, numbers, 1)
    drawn = roofs.draw(0)
    order = np.argsort(drawn.spec["region"])
    out = np.empty((len(SEEDS), 14, DAYS, 24))
    for i, seed in enumerate(SEEDS):
        power_w = roofs.generated_w(drawn, FIRST_DAY, sky_from(FIRST_DAY, DAYS, seed))[order]
        out[i] = power_w.reshape(14, DAYS, 24, 2).mean(axis=3)
    return out


def annual_kwh(group: str) -> F64:
    """What a kWp in a GSP Group yields, by seed [kWh]."""
    return np.asarray(years()[:, GROUPS.index(group)].sum(axis=(1, 2)) / 1000)


def london_months_kwh() -> F64:
    """Mean of all seeds by month [kWh per kWp]."""
    month = np.array([(FIRST_DAY + timedelta(days=k)).month for k in range(DAYS)])
    daily_kwh = years()[:, GROUPS.index("_C")].sum(axis=2).mean(axis=0) / 1000
    return np.asarray(np.bincount(month - 1, daily_kwh, 12), np.float64)


def best_hour_share() -> float:
    """The best hour of a year over the peak, mean of groups and seeds."""
    return float(years().max(axis=(2, 3)).mean() / 1000)


@cache
def mixed_share() -> float:
    """What London's roofs as they are yield, relative to the same roofs turned south; every ninth day."""
    homes, _ = one_home_per_group()
    numbers = np.flatnonzero(homes.gsp_group == GROUPS.index("_C")).astype(np.int32)
    mixed = Pv(noct_c=37.0, inverter_limit_w=20_000)
    south = Pv(noct_c=37.0, inverter_limit_w=20_000, tilt_sd_degrees=0.0, azimuth_sd_degrees=0.0)
    roofs = [Roofs(settings, homes, numbers, 1) for settings in (mixed, south)]
    drawn = [kind.draw(0) for kind in roofs]
    total = np.zeros(2)
    for k in range(0, DAYS, 9):
        day = FIRST_DAY + timedelta(days=k)
        sky = sky_from(day, 1, 1)
        total += [float(kind.generated_w(of, day, sky).sum()) for kind, of in zip(roofs, drawn, strict=True)]
    return float(total[0] / total[1])
