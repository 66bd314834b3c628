"""The pictures of the page on realism: the twin's curves by seed over what was published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from studies.figures import INK, LIVED, LOST, MUTED, SHADES, STYLE, UP, WITHOUT
from studies.realism import electric_heat, ev_charging, heat_pumps, homes, metering, solar
from studies.realism.target import SEEDS

F64 = np.ndarray[Any, np.dtype[np.float64]]

_WIDTH, _HEIGHT = 9.6, 4.2
_SEED_COLOURS = ("#1f5c99", "#4f8ac4", "#8fb5dc")
_HALF_HOURS = np.arange(49) / 2
_MONTHS = "JFMAMJJASOND"


def _figure(title: str, told: str, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A picture that stands alone: a title, a sentence, axes beside each other."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        figure.text(0.07, 0.955, title, fontsize=14, fontweight="bold", va="top")
        figure.text(0.07, 0.875, told, fontsize=9.5, color=MUTED, va="top")
        axes = figure.subplots(1, columns, squeeze=False)
        figure.subplots_adjust(left=0.07, right=0.965, top=0.74, bottom=0.1, wspace=0.16)
    return figure, list(axes[0])


def _clock(axes: Axes, first: float = 0, last: float = 24, step: float = 3) -> None:
    hours = np.arange(first, last + step / 2, step)
    axes.set_xlim(first, last)
    axes.set_xticks(hours, [f"{int(hour % 24):02d}:00" for hour in hours])


def _by_half_hour(axes: Axes, values: F64, **style: Any) -> None:
    axes.step(_HALF_HOURS, np.append(values, values[-1]), where="post", **style)


def _seeds(axes: Axes, curves: list[F64]) -> None:
    for seed, colour, curve in zip(SEEDS, _SEED_COLOURS, curves, strict=True):
        _by_half_hour(axes, curve, color=colour, lw=1.6, label=f"twin, seed {seed}")


def _unit(axes: Axes, words: str) -> None:
    """The unit stands above the scale."""
    axes.set_ylim(bottom=0)
    axes.text(0, 1.015, words, transform=axes.transAxes, fontsize=8.5, color=MUTED, va="bottom", ha="left")


def _legend(axes: Axes, columns: int = 5) -> None:
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=columns, frameon=False, borderpad=0,
        handlelength=1.5, columnspacing=1.6, fontsize=8.5,
    )  # fmt: skip


def _note(axes: Axes, at: tuple[float, float], words: str, colour: str = INK) -> None:
    axes.text(*at, words, fontsize=8.5, color=colour, va="bottom", ha="left")


def charging() -> Figure:
    """T1: the weekday of unmanaged charging."""
    figure, (axes,) = _figure(
        "Charging as people do it: late and low",
        "Mean power per EV on winter weekdays, nobody controls it; 4,000 cars, three weeks, three seeds",
    )
    axes.axhspan(0.83, 0.90, color=SHADES["dfs"], lw=0)
    _note(axes, (0.3, 0.905), "0.83-0.90 kW: Electric Nation, scaled to 3 plug-ins a week; NGED plans 0.83")
    _seeds(axes, [ev_charging.watch(seed).weekday_kw for seed in SEEDS])
    axes.axvline(20, color=WITHOUT, lw=1, ls=(0, (4, 2.5)))
    axes.text(20.15, 0.05, "after 20:00", fontsize=8.5, color=MUTED)
    _clock(axes)
    _unit(axes, "kW per EV")
    axes.set_ylim(0, 1.0)
    _legend(axes)
    return figure


def heat_pump_day() -> Figure:
    """T3: a day of a cold spell."""
    figure, (axes,) = _figure(
        "A cold winter day of heat pumps",
        "Mean electrical power per heat pump, day's mean 0 \N{DEGREE SIGN}C; 700 homes as in the RHPP trial "
        "(25 % ground source, no hybrids)",
    )
    axes.axhline(1.7, color=LOST, lw=1.2, ls=(0, (4, 2.5)))
    _note(axes, (9.6, 1.73), "1.7 kW in the morning (RHPP, 700 heat pumps)", LOST)
    axes.hlines(0.4 * 1.7, 0, 5, color=LOST, lw=1.2, ls=(0, (1, 1.5)))
    _note(axes, (5.1, 0.62), "night about 40 % of it", LOST)
    axes.axvspan(16, 18, color=SHADES["dfs"], lw=0)
    _note(axes, (16.1, 0.05), "late after-\nnoon peak", MUTED)
    _seeds(axes, [heat_pumps.cold_day(seed).clock_kw for seed in SEEDS])
    default = np.mean([heat_pumps.cold_day_of_the_default(seed).clock_kw for seed in SEEDS], axis=0)
    _by_half_hour(axes, default, color=UP, lw=1.4, ls=(0, (4, 2)), label="twin, default mix")
    _clock(axes)
    _unit(axes, "kW per heat pump")
    axes.set_ylim(0, 2.15)
    _legend(axes)
    return figure


def heat_pump_event() -> Figure:
    """Two hours off in the evening."""
    figure, (axes,) = _figure(
        "Two hours off: what a heat pump gives, and what comes back",
        "Mean electrical power per heat pump, all told to stop 17:00-19:00, day's mean 3.5 \N{DEGREE SIGN}C; "
        "mean of three seeds",
    )
    events = [heat_pumps.two_hours_off(seed) for seed in SEEDS]
    quiet = np.mean([event.quiet_kwh.mean(axis=0) for event in events], axis=0) * 2
    held = np.mean([event.event_kwh.mean(axis=0) for event in events], axis=0) * 2
    hours = 17 + np.arange(13) / 2
    axes.axvspan(17, 19, color=SHADES["dfs"], lw=0)
    for values, colour, words in ((quiet, WITHOUT, "undisturbed"), (held, LIVED, "told to stop")):
        axes.step(hours, np.append(values, values[-1]), where="post", color=colour, lw=1.8, label=words)
    avoided = np.mean([event.avoided_kwh for event in events])
    back = np.mean([event.back_share for event in events])
    left = np.mean([event.left_early_share for event in events])
    told = (
        f"{avoided:.1f} kWh avoided per home, {left:.0%} of homes leave within the hour\n"
        f"{back:.0%} of it comes back by 23:00"
    )
    _note(axes, (19.15, 0.08), told, MUTED)
    _clock(axes, 17, 23, 1)
    _unit(axes, "kW per heat pump")
    _legend(axes)
    return figure


def base_load() -> Figure:
    """T6: a winter weekday of base load."""
    figure, (axes,) = _figure(
        "Households without electric heat: Profile Class 1",
        "Mean power per home on five winter weekdays, 20,000 homes, median 2,700 kWh a year",
    )
    loads = [homes.base_loads(seed) for seed in SEEDS]
    middle = np.arange(48) / 2 + 0.25
    _seeds(axes, [load.weekday_kw for load in loads])
    axes.plot(middle, loads[0].profile_kw, ls="", marker="o", ms=3.4, color=LOST, label="Elexon PC1, scaled")
    _clock(axes)
    _unit(axes, "kW per home")
    _legend(axes)
    return figure


def sun() -> Figure:
    """T9: what roofs yield."""
    figure, (left, right) = _figure(
        "What a kilowatt of panels yields",
        "kWh per kWp, south, 35\N{DEGREE SIGN}, 14 % loss; mean of ten simulated years (bars) and PVGIS 2019 "
        "(dots)",
        columns=2,
    )
    groups = sorted(solar.ANNUAL_KWH, key=lambda group: solar.ANNUAL_KWH[group])
    place = np.arange(len(groups))
    years = [solar.annual_kwh(group) for group in groups]
    means = [one.mean() for one in years]
    spread = [one.std() for one in years]
    left.barh(place, means, height=0.62, color=_SEED_COLOURS[2], xerr=spread, ecolor=LIVED, capsize=2)
    left.plot([solar.ANNUAL_KWH[group] for group in groups], place, ls="", marker="o", ms=4.2, color=LOST)
    left.set_yticks(place, [solar.NAMES[group] for group in groups])
    left.set_xlim(0, 1150)
    left.grid(visible=False, axis="y")
    left.grid(visible=True, axis="x")
    left.text(0, 1.015, "a year, by region (line: sd of years)", transform=left.transAxes, fontsize=8.5,
              color=MUTED, va="bottom")  # fmt: skip
    month = np.arange(12)
    right.bar(month, solar.london_months_kwh(), width=0.62, color=_SEED_COLOURS[2])
    right.plot(month, solar.LONDON_MONTHS_KWH, ls="", marker="o", ms=4.2, color=LOST)
    right.set_xticks(month, list(_MONTHS))
    _unit(right, "a month, London")
    figure.subplots_adjust(left=0.135)
    return figure


def hot_water() -> Figure:
    """T8: when hot water is drawn."""
    figure, (axes,) = _figure(
        "Hot water: morning and evening",
        "Heat drawn per home and hour, weekdays; 600 homes with a cylinder, three seeds",
    )
    hours = np.arange(24)
    for begin in (6, 17):
        axes.axvspan(begin, begin + 2, color=SHADES["dfs"], lw=0)
    _note(axes, (8.15, 0.6), "06-08 and 17-19:\npeaks in 115,000 homes (DESNZ)", MUTED)
    for k, seed in enumerate(SEEDS):
        drawn = electric_heat.hot_water_by_hour(seed)
        bars = hours + 0.5 + (k - 1) * 0.27
        median = electric_heat.median_hot_water_kwh(seed)
        words = f"seed {seed}: median home {median:.2f} kWh a day"
        axes.bar(bars, drawn, width=0.26, color=_SEED_COLOURS[k], label=words)
    _clock(axes)
    _unit(axes, "kWh")
    _legend(axes, 3)
    return figure


def storage_night() -> Figure:
    """The Economy 7 night of storage heaters."""
    figure, (axes,) = _figure(
        "The Economy 7 night of storage heaters",
        "Mean power per home by minute, London (00:30-07:30 GMT), the fourth day at 4 C; 600 homes",
    )
    axes.axvspan(0.5, 7.5, color=SHADES["balancing"], lw=0)
    _note(axes, (7.65, 6.2), "the cheap hours; load switches and\nteleswitch groups blur both edges", MUTED)
    minutes = np.arange(1440) / 60
    for seed, colour in zip(SEEDS, _SEED_COLOURS, strict=True):
        power_kw = np.roll(electric_heat.storage_night(seed).by_clock(1), 120)
        axes.plot(minutes - 2, power_kw, color=colour, lw=1.3, label=f"twin, seed {seed}")
    _clock(axes, -2, 12, 2)
    _unit(axes, "kW per home")
    _legend(axes)
    return figure


def staggered_reads() -> Figure:
    """T13: what is told of a step that all devices make together."""
    figure, (axes,) = _figure(
        "A step seen through readings of one a minute",
        "Cars stop at the same moment; what their last readings add up to, latency left out",
    )
    for n, colour in ((600, _SEED_COLOURS[2]), (6000, _SEED_COLOURS[0])):
        told = metering.ramp(1, n)
        share = np.append(1.0, told / told[0])
        axes.step(np.arange(len(share)), share, where="post", color=colour, label=f"{n:,} cars")
    axes.plot([0, 60], [1, 0], color=LOST, lw=1.2, ls=(0, (4, 2.5)), label="closed form: 60 s ramp")
    axes.step([0, 0, 90], [1, 0, 0], where="post", color=WITHOUT, lw=1.2, label="truth")
    axes.set_xlim(-2, 90)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axes.set_xlabel("seconds after the step")
    _unit(axes, "told power, share of before")
    figure.subplots_adjust(bottom=0.14)
    _legend(axes, 4)
    return figure


PICTURES: Mapping[str, tuple[str, Callable[[], Figure]]] = MappingProxyType(
    {
        "ev": ("T1", charging),
        "heat-pump-day": ("T3", heat_pump_day),
        "heat-pump-event": ("Two hours off", heat_pump_event),
        "base-load": ("T6", base_load),
        "hot-water": ("T8", hot_water),
        "storage-night": ("Storage heaters", storage_night),
        "pv": ("T9", sun),
        "staggered-reads": ("T13", staggered_reads),
    }
)
"""Name of the file after `realism-`: (what it is about, how it is drawn)."""
