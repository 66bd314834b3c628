"""Day-ahead and system prices and the net imbalance volume: synthetic with the published tail, or from files.

The synthetic mechanism, by period: a log-normal level of the day times the shape of the day is the day-ahead price. The net
imbalance wanders from half-hour to half-hour; when the system is short the system price lies above day-ahead, when it is
long below. A very short system is at times scarce, with a Pareto tail up to the value of lost load; on days of low level
(windy ones) a long system at night or midday is at times paid to consume. Each draw is keyed by its day or half-hour, so
that any day can be drawn alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocol.messages import I64
from protocol.periods import PERIOD_MS, day_end_ms, day_start_ms
from sim import chance
from sim.chance import Purpose
from sim.households import clock_half_hours
from sim.importers import DataErrors, DataFault, HalfHourly, Source, read_half_hourly
from sim.scenario import Prices
from sim.weather import autoregressive

F64 = NDArray[np.float64]

HOURLY_SHAPE = np.array(
    "0.86 0.81 0.78 0.75 0.75 0.82 0.95 1.03 1.05 1.03 0.99 0.96 "
    "0.94 0.92 0.93 1.01 1.15 1.30 1.35 1.35 1.22 1.09 1.02 0.94".split(),
    dtype=np.float64,
)
"""Day-ahead price by local hour relative to the day's mean, mean one. 2024: 0.75 at 03-05, 1.05 at 08, 1.35 at 18-19 [mem];
the hours between are drawn through these by hand: assumed."""

LEVEL_LOG_SD, LEVEL_LAG_1 = 0.70, 0.69
"""Daily level: fitted by simulation to the published quantiles and to the lag-1 autocorrelation 0.61 of daily means (2024)."""

NET_IMBALANCE_MEAN_MWH, NET_IMBALANCE_SD_MWH, NET_IMBALANCE_LAG_1 = 27.4, 349.0, 0.79
"""Elexon, January 2024, 1,488 half-hours; positive is short [calc]."""

SHORT_RATIO, LONG_RATIO = 1.335, 0.62
"""System over day-ahead price: January 2024 means when short 98.3 and long 45.7 over the month's 73.6 GBP/MWh [Elexon]."""
SHORT_LOG_SD, LONG_LOG_SD = 0.12, 0.45
"""Spread of these ratios. January 2024: sd 16.7 when short, 23.7 when long, which include the days' levels; fitted."""

SCARCE_ABOVE, SCARCE_SHARE, SCARCE_INDEX = 1.6, 0.30, 2.2
"""Scarcity: net imbalance above so many sd, in this share of such half-hours, Pareto factor; fitted to P99.9 and > 1,000."""
VALUE_OF_LOST_LOAD_GBP_PER_MWH = 6_000.0
"""No synthetic price is above it. Source: BSC, reserve scarcity price = LoLP x VoLL."""

WINDY_BELOW, GLUT_BELOW, NEGATIVE_SHARE, NEGATIVE_MEAN = -0.78, -0.3, 0.65, 0.29
"""Negative prices: level and net imbalance below so many sd, in this share of such half-hours of night and midday, with this
mean size relative to the scenario's mean price; fitted to 2.2 % negative and a minimum of -185 GBP/MWh in nine years."""
_NIGHT_UNTIL, _MIDDAY = 14, (24, 30)  # [half-hours of the local clock]

RAW_MEAN = 1.018
"""Mean of the system price so built, relative to the mean day-ahead price (10^6 days): divided out."""

_LEVEL, _IMBALANCE, _RATIO, _REGIME = range(4)  # numbers of the draws


@dataclass(frozen=True, slots=True, eq=False)
class PriceSeries:
    """Prices of consecutive settlement periods, each column (periods,). Net imbalance: positive is a short system."""

    start_ms: I64
    system_gbp_per_mwh: F64
    net_imbalance_mwh: F64
    day_ahead_gbp_per_mwh: F64
    net_imbalance_known: bool = True  # False: no file named, the system taken as balanced (zeros), warned of
    sources: tuple[Source, ...] = ()  # files read, for the manifest and the report
    warnings: tuple[DataFault, ...] = ()


def make_prices(
    prices: Prices,
    first_day: date,
    days: int,
    seed: int,
    data_dir: Path | None = None,
    *,
    price_unit: str = "GBP/MWh",
) -> PriceSeries:
    """The prices of `days` local days from `first_day`.

    File names are relative to `data_dir`, or absolute; `price_unit` is what a price file without a unit row is in. Raises
    DataErrors for files that are missing, wrong or too short.
    """
    span = [first_day + timedelta(days=i) for i in range(days)]
    if prices.source == "files":
        return _from_files(prices, span, data_dir or Path(), price_unit)
    return _synthetic(prices.mean_gbp_per_mwh, span, seed)
