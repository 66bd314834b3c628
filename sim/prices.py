"""Day-ahead and system prices and net imbalance volumes: synthetic with the published tail, or from files.

The synthetic mechanism: a log-normal level of the day times the shape of the day is the day-ahead price. The
net imbalance wanders from half-hour to half-hour; the system price lies above day-ahead when the system is
short, and below when it is long. A very short system is at times scarce, with a Pareto tail up to the value
of lost load. On days of low level (windy ones) a long system is at times paid to consume, at night and
midday. Every draw is keyed by its day or half-hour, so that any day can be drawn alone and no other draw
moves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocol.messages import I64
from protocol.periods import PERIOD_MS, clock_half_hours, day_end_ms, day_start_ms
from sim import chance
from sim.chance import Purpose
from sim.faults import Fault
from sim.importers import DataErrors, Source, read_half_hourly
from sim.scenario import Prices
from sim.weather import autoregressive

F64 = NDArray[np.float64]

HOURLY_SHAPE = np.array([
    0.86, 0.81, 0.78, 0.75, 0.75, 0.82, 0.95, 1.03, 1.05, 1.03, 0.99, 0.96,
    0.94, 0.92, 0.93, 1.01, 1.15, 1.30, 1.35, 1.35, 1.22, 1.09, 1.02, 0.94,
])  # fmt: skip
"""Day-ahead price by local hour relative to the day's mean. 2024: 0.75 at 03-05, 1.05 at 08, 1.35 at 18-19
[mem]; the hours between were drawn through these by hand so that the mean is one: assumed."""

LEVEL_LOG_SD, LEVEL_LAG_1 = 0.70, 0.69
"""Level of a day. Fitted by simulation to the quantiles of the system price of March 2016 to June 2025 [2nd]
and to the lag-1 autocorrelation 0.61 of daily means (2024) [calc]."""

IMBALANCE_MEAN_MWH, IMBALANCE_SD_MWH, IMBALANCE_LAG_1 = 27.4, 349.0, 0.79
"""Net imbalance volume of a half-hour, positive when short. Elexon, January 2024, 1,488 half-hours [calc]."""

SHORT_RATIO, LONG_RATIO = 1.335, 0.62
"""System over day-ahead price. Means of January 2024, 98.3 when short and 45.7 when long (Elexon), over the
month's 73.6 GBP/MWh [calc]."""
SHORT_LOG_SD, LONG_LOG_SD = 0.12, 0.45
"""Spread of these ratios: assumed, below what the same month's sd 16.7 and 23.7 (Elexon) allow, as those
include the levels of its days."""

SCARCE_ABOVE, SCARCE_SHARE, SCARCE_INDEX = 1.6, 0.30, 2.15
"""Scarcity: the net imbalance is so many sd above zero; the share of such half-hours; the Pareto index of the
factor. Fitted by simulation to P99.9 and to the share above 1,000 GBP/MWh."""
VALUE_OF_LOST_LOAD_GBP_PER_MWH = 6_000.0
"""No synthetic price is above it. Source: BSC, reserve scarcity price = LoLP x VoLL, VoLL 6,000."""

WINDY_BELOW, GLUT_BELOW, NEGATIVE_SHARE, NEGATIVE_MEAN = -0.78, -0.3, 0.65, 0.27
"""Negative prices: level and net imbalance are so many sd below zero; the share of such half-hours at night
and midday; their exponential size, as a part of the scenario's mean price. Fitted by simulation to 2.2 %
negative prices and to a minimum of -185 GBP/MWh in nine years."""
_NIGHT_ENDS, _MIDDAY_STARTS, _MIDDAY_ENDS = 14, 24, 30  # half-hours of the local clock; assumed

RAW_MEAN = 1.009
"""Mean system price over mean day-ahead price as built from these constants (simulated, 100,000 days);
divided out."""

_LEVEL, _IMBALANCE, _RATIO, _REGIME = range(4)  # numbers of the draws of a day (the first) or half-hour


@dataclass(frozen=True, slots=True, eq=False)
class PriceSeries:
    """Prices of consecutive settlement periods, each column (periods,). Net imbalance: positive is short."""

    start_ms: I64
    system_gbp_per_mwh: F64
    net_imbalance_mwh: F64
    day_ahead_gbp_per_mwh: F64
    net_imbalance_known: bool = True  # False: no file was named, zeros stand for it, and W103 says so
    sources: tuple[Source, ...] = ()  # files read, for the manifest
    warnings: tuple[Fault, ...] = ()  # for the report


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

    File names are relative to `data_dir`, or absolute. `price_unit` is what a price file without a unit row
    is in. Raises DataErrors, for all files at once, when they are missing, wrong or too short.
    """
    span = tuple(first_day + timedelta(days=i) for i in range(days))
    if prices.source == "files":
        return _from_files(prices, span, data_dir or Path(), price_unit)
    return _synthetic(prices.mean_gbp_per_mwh, span, seed)


# ------------------------------------------------------------------------------------------- synthetic prices


def _synthetic(mean_gbp_per_mwh: float, span: tuple[date, ...], seed: int) -> PriceSeries:
    key = chance.stream(seed, Purpose.PRICE)
    start_ms = _period_starts_ms(span)
    clock = [clock_half_hours(day) for day in span]
    day = np.repeat(np.arange(len(span)), [len(half_hours) for half_hours in clock])
    clock_half_hour = np.concatenate(clock)
    half_hour = start_ms // PERIOD_MS  # names the draws
    ordinals = np.array([day.toordinal() for day in span], np.int64)

    level = autoregressive(key, ordinals, LEVEL_LAG_1, number=_LEVEL)[day]
    imbalance = autoregressive(key, half_hour, IMBALANCE_LAG_1, number=_IMBALANCE)
    net_imbalance_mwh = IMBALANCE_MEAN_MWH + IMBALANCE_SD_MWH * imbalance
    day_ahead = np.exp(LEVEL_LOG_SD * level - LEVEL_LOG_SD**2 / 2) * HOURLY_SHAPE[clock_half_hour // 2]
    ratio = _ratio(net_imbalance_mwh, chance.normals(key, half_hour, number=_RATIO)[:, 0])
    scarce, size, glut, depth = chance.units(key, half_hour, number=_REGIME).T

    is_scarce = (imbalance > SCARCE_ABOVE) & (scarce < SCARCE_SHARE)
    system = day_ahead * ratio * np.where(is_scarce, size ** (-1 / SCARCE_INDEX), 1.0)
    is_glut = (level < WINDY_BELOW) & (imbalance < GLUT_BELOW) & _is_slack(clock_half_hour)
    system = np.where(is_glut & (glut < NEGATIVE_SHARE), NEGATIVE_MEAN * np.log(depth), system)
    return PriceSeries(
        start_ms,
        np.minimum(system * (mean_gbp_per_mwh / RAW_MEAN), VALUE_OF_LOST_LOAD_GBP_PER_MWH),
        net_imbalance_mwh,
        day_ahead * mean_gbp_per_mwh,
    )


def _ratio(net_imbalance_mwh: F64, normal: F64) -> F64:
    """System over day-ahead price of each period before scarcity: of mean SHORT_RATIO or LONG_RATIO."""
    short = net_imbalance_mwh > 0
    log_sd = np.where(short, SHORT_LOG_SD, LONG_LOG_SD)
    return np.where(short, SHORT_RATIO, LONG_RATIO) * np.exp(log_sd * normal - log_sd**2 / 2)


def _is_slack(clock_half_hour: I64) -> NDArray[np.bool_]:
    """Whether a period lies at night or midday, when little is consumed or much sun shines."""
    midday = (clock_half_hour >= _MIDDAY_STARTS) & (clock_half_hour < _MIDDAY_ENDS)
    return (clock_half_hour < _NIGHT_ENDS) | midday


def _period_starts_ms(span: tuple[date, ...]) -> I64:
    return np.arange(day_start_ms(span[0]), day_end_ms(span[-1]), PERIOD_MS, dtype=np.int64)


# -------------------------------------------------------------------------------------------- prices of files


def _from_files(prices: Prices, span: tuple[date, ...], data_dir: Path, price_unit: str) -> PriceSeries:
    """Day-ahead prices, for which there is no file, are the day's mean system price times the day's shape."""
    if prices.system_file is None:
        what, allowed = (
            "no file is named",
            "a half-hourly CSV file, relative to the folder given by `--data DIR`",
        )
        raise DataErrors([Fault("D001", "prices.system_file", 1, 1, what, "", allowed)])
    start_ms = _period_starts_ms(span)
    files: _Files = {"price": (data_dir / prices.system_file, price_unit)}
    if prices.net_imbalance_file is not None:
        files["volume"] = (data_dir / prices.net_imbalance_file, "MWh")
    read = _read(files, start_ms)
    system, imbalance = read["price"][1], read.get("volume")
    sources = tuple(source for source, _ in read.values())
    warnings = tuple(warning for source in sources for warning in source.warnings)
    if imbalance is None:
        what, allowed = "the system is taken as balanced in every period", "a file of net imbalance volumes"
        warnings += (Fault("W103", "prices.net_imbalance_file", 1, 1, what, "no file named", allowed),)
    return PriceSeries(
        start_ms,
        system,
        np.zeros(len(start_ms)) if imbalance is None else imbalance[1],
        _day_ahead_of(system, span),
        net_imbalance_known=imbalance is not None,
        sources=sources,
        warnings=warnings,
    )


_Column = Literal["price", "volume"]
_Files = dict[_Column, tuple[Path, str]]


def _read(files: _Files, start_ms: I64) -> dict[_Column, tuple[Source, F64]]:
    """Each file and its values in the periods asked for. Raises DataErrors with the faults of all files."""
    read: dict[_Column, tuple[Source, F64]] = {}
    faults: list[Fault] = []
    for column, (path, unit) in files.items():
        try:
            series = read_half_hourly(path, column, unit=unit)
            read[column] = series.source, series.between(int(start_ms[0]), int(start_ms[-1]))
        except DataErrors as errors:
            faults += errors.faults
    if faults:
        raise DataErrors(faults)
    return read


def _day_ahead_of(system_gbp_per_mwh: F64, span: tuple[date, ...]) -> F64:
    """Each day's mean system price times the shape of the day, whose mean is one on any day."""
    shapes = [HOURLY_SHAPE[clock_half_hours(day) // 2] for day in span]
    days = np.split(system_gbp_per_mwh, np.cumsum([len(shape) for shape in shapes])[:-1])
    return np.concatenate(
        [day.mean() * shape / shape.mean() for day, shape in zip(days, shapes, strict=True)]
    )
