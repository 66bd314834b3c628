"""Target T10: the temperatures of years."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Literal

import numpy as np

from sim.scenario import Weather
from sim.weather import make_weather

F64 = np.ndarray[Any, np.dtype[np.float64]]
Place = Literal["london", "manchester", "glasgow"]

BASE_C = 15.5
"""Of heating degree days."""
YEARS, FIRST_DAY, DAYS = 9, date(2016, 1, 1), 3_288
PUBLISHED: dict[Place, tuple[float, float, float]] = {
    "london": (11.3, 1_785, 0.937),
    "manchester": (10.3, 2_002, 0.927),
    "glasgow": (9.1, 2_361, 0.921),
}
"""Daily mean [C], heating degree days a year, lag-1 autocorrelation: ERA5 2016-25 [calc]."""


def lag_1(values: F64) -> float:
    """Correlation of neighbours."""
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


@dataclass(frozen=True)
class Years:
    """Nine years of a place."""

    mean_c: float
    degree_days: float
    autocorrelation: float


@cache
def years(climate: Place, seed: int) -> Years:
    """What nine years of daily means come to."""
    daily_c = make_weather(Weather(climate=climate), FIRST_DAY, DAYS, seed).mean_c
    degree_days = float(np.maximum(BASE_C - daily_c, 0).sum()) / YEARS
    return Years(float(np.mean(daily_c)), degree_days, lag_1(daily_c))
