"""The pictures of a run, drawn from numbers: SVG and PNG whose bytes repeat. Owns colours, type and axes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from protocol.periods import HOUR_MS, MINUTE_MS
from protocol.units import W_PER_MW
from studies.local_time import ticks_ms

INK, MUTED, RULE, PAPER = "#1d2733", "#6a7683", "#dfe4e9", "#ffffff"
LIVED, WITHOUT = "#1f5c99", "#98a4b0"
DOWN, UP = "#3b8f76", "#d98b3a"
ASKED, BELIEVED, SETTLED = "#1d2733", "#8a63b8", "#d98b3a"
LOST = "#b5473f"
TECHNOLOGIES = {
    "ev": ("cars", "#1f5c99"),
    "heat_pump": ("heat pumps", "#c2603d"),
    "storage_heater": ("storage heaters", "#8c5a3c"),
    "resistive": ("direct heaters", "#e0a458"),
    "hot_water": ("hot water", "#d4567b"),
    "battery": ("batteries", "#3b8f76"),
    "pv": ("roofs", "#d9bc3a"),
    "appliance": ("white goods", "#8a63b8"),
    "fridge": ("fridges", "#5fb0c9"),
    "building": ("businesses", "#6a7683"),
    "generator": ("generators", "#39424c"),
}
"""Name and colour of each technology."""
SHADES = {"dfs": "#f3e7c9", "balancing": "#dde6f4", "outage": "#f4dedb"}
OTHER_SHADE = "#e3eedd"
LABEL_HEIGHT = 0.075
"""How far the names of windows that begin together stand below each other, of the picture's height."""
MINUS = "\N{MINUS SIGN}"

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#b9c1c9",
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 0,
    "xtick.major.size": 3.5,
    "xtick.major.width": 0.8,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "flextwin",
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time to shade, and what for."""

    start_ms: int
    end_ms: int
    kind: str
    label: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One line of a picture: times [UTC ms] (n,), values (n,), and how it is drawn and named."""

    at_ms: NDArray[Any]
    values: NDArray[Any]
    label: str
    colour: str
    step: bool = False
    width: float = 1.6
    dashed: bool = False


def picture(figure: Figure, title: str) -> str:
    """The figure as SVG to be put into a page: no date, no names that clash, the page's own font."""
    sink = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = sink.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'width="100%"', svg, count=1)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def drawn(figure: Figure, kind: str) -> bytes:
    """The figure that stands alone, as `png` or `svg`; the bytes repeat."""
    sink = io.BytesIO()
    with mpl.rc_context(STYLE | {"svg.fonttype": "path"}):
        told: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        figure.savefig(sink, format=kind, dpi=160, metadata=told, facecolor=PAPER)
    return sink.getvalue()


def two_panels(title: str, told: str) -> tuple[Figure, Axes, Axes]:
    """A figure that stands alone: a title, a sentence, and two axes of their own time."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 6.8))
        figure.text(0.065, 0.972, title, fontsize=14, fontweight="bold", va="top")
        figure.text(0.065, 0.927, told, fontsize=9.5, color=MUTED, va="top")
        above, below = figure.subplots(2, 1)
        figure.subplots_adjust(left=0.065, right=0.955, top=0.84, bottom=0.06, hspace=0.36)
    return figure, above, below


def canvas(
    height: float = 3.0, rows: int = 1, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """An empty figure of the page's width with `rows` axes that share their time."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, height), layout="constrained")
        grid = figure.subplots(
            rows, 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": list(ratios or [1] * rows)}
        )
    return figure, list(grid[:, 0])


def time_axis(axes: Axes, start_ms: int, end_ms: int) -> None:
    """Round local times below, days where they begin."""
    places, words = ticks_ms(start_ms, end_ms)
    axes.set_xlim(start_ms, end_ms)
    axes.set_xticks(places, words)


def shade(axes: Axes, windows: Sequence[Window], *, labels: bool = True, strips: bool = True) -> None:
    """Colour the background of windows and name them at the top; outages as strips at the bottom, stacked."""
    low, high = axes.get_xlim()
    below: list[Window] = []
    named: list[Window] = []
    for window in sorted(windows, key=lambda window: window.start_ms):
        if window.end_ms <= low or window.start_ms >= high:
            continue
        floor = 0.0
        if strips and window.kind == "outage":
            floor = 0.075 * sum(other.end_ms > window.start_ms for other in below)
            below.append(window)
            axes.axvspan(window.start_ms, window.end_ms, floor, floor + 0.022, color=LOST, lw=0, zorder=1)
        else:
            axes.axvspan(window.start_ms, window.end_ms, color=_shade_of(window), lw=0, zorder=0)
            floor = LABEL_HEIGHT * sum(_names_meet(window, other, high - low) for other in named)
        if labels and window.label:
            named.append(window)
            _name_window(axes, window, max(window.start_ms, low) + (high - low) * 0.003, floor)


def _shade_of(window: Window) -> str:
    return SHADES.get(window.kind, OTHER_SHADE)


def _names_meet(window: Window, other: Window, span_ms: float) -> bool:
    """Whether two names would be written over each other, were they as high: each takes up to a tenth."""
    return "outage" not in (window.kind, other.kind) and abs(window.start_ms - other.start_ms) < span_ms / 10


def _name_window(axes: Axes, window: Window, at_ms: float, floor: float) -> None:
    strip = window.kind == "outage"
    axes.text(
        at_ms,
        floor + 0.026 if strip else 0.985 - floor,
        f"{window.label} down" if strip else window.label,
        transform=axes.get_xaxis_transform(),
        va="bottom" if strip else "top",
        ha="left",
        fontsize=7.5 if strip else 8,
        color=LOST if strip else MUTED,
        clip_on=True,
    )


def draw(axes: Axes, line: Line) -> None:
    """Draw one line."""
    style: dict[str, Any] = {
        "color": line.colour,
        "lw": line.width,
        "ls": (0, (4, 2.5)) if line.dashed else "-",
    }
    if line.step:
        axes.step(line.at_ms, line.values, where="post", **style)
    else:
        axes.plot(line.at_ms, line.values, **style)


def name_lines(axes: Axes, lines: Sequence[Line]) -> None:
    """A row of coloured words above the axes: what each line is."""
    shown = [line for line in lines if line.label]
    handles = [
        mpl.lines.Line2D([], [], color=line.colour, lw=2.2, ls=(0, (3, 1.6)) if line.dashed else "-")
        for line in shown
    ]
    legend = axes.legend(
        handles,
        [line.label for line in shown],
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(shown),
        frameon=False,
        borderpad=0,
        borderaxespad=0.2,
        handlelength=1.5,
        columnspacing=1.8,
        fontsize=9,
    )
    for text in legend.get_texts():
        text.set_color(INK)


def megawatts(axes: Axes, label: str = "MW") -> None:
    """The unit above the scale instead of beside it, few round marks."""
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", MINUS)))
    axes.set_ylabel(label)


def day_figure(
    at_ms: NDArray[np.int64],
    lived_w: NDArray[Any],
    without_w: NDArray[Any],
    windows: Sequence[Window],
    whom: str,
) -> Figure:
    """Import of `whom`, minute by minute, lived and without instructions."""
    figure, (axes,) = canvas(3.2)
    draw_day(axes, at_ms, lived_w, without_w, windows, whom)
    return figure


def draw_day(
    axes: Axes,
    at_ms: NDArray[np.int64],
    lived_w: NDArray[Any],
    without_w: NDArray[Any],
    windows: Sequence[Window],
    whom: str,
) -> None:
    """As day_figure, into axes that are there."""
    with mpl.rc_context(STYLE):
        time_axis(axes, int(at_ms[0]), int(at_ms[-1]) + MINUTE_MS)
        lived, without = lived_w / W_PER_MW, without_w / W_PER_MW
        shade(axes, windows)
        axes.fill_between(at_ms, lived, without, where=without >= lived, color=DOWN, alpha=0.28, lw=0)
        axes.fill_between(at_ms, lived, without, where=lived > without, color=UP, alpha=0.30, lw=0)
        lines = (
            Line(at_ms, without, "without instructions", WITHOUT, width=1.3),
            Line(at_ms, lived, "as lived", LIVED, width=1.7),
        )
        for line in lines:
            draw(axes, line)
        high = max(float(lived.max(initial=0)), float(without.max(initial=0)), 1e-3)
        low = min(float(lived.min(initial=0)), float(without.min(initial=0)))
        axes.set_ylim(1.06 * low - 0.1 * high * (low < 0), high * 1.16)
        if low < 0:
            axes.axhline(0, color="#b9c1c9", lw=0.8)
        megawatts(axes, f"MW import, {whom}")
        name_lines(axes, lines[::-1])


def event_figure(lines: Sequence[Line], windows: Sequence[Window], start_ms: int, end_ms: int) -> Figure:
    """Turn-down asked for, believed, settled and true, around one event."""
    figure, (axes,) = canvas(3.2)
    draw_event(axes, lines, windows, start_ms, end_ms)
    return figure


def draw_event(
    axes: Axes, lines: Sequence[Line], windows: Sequence[Window], start_ms: int, end_ms: int
) -> None:
    """As event_figure, into axes that are there."""
    with mpl.rc_context(STYLE):
        time_axis(axes, start_ms, end_ms)
        shade(axes, windows)
        axes.axhline(0, color="#b9c1c9", lw=0.8)
        for line in lines:
            draw(axes, line)
        values = np.concatenate([line.values for line in lines])
        low, high = min(0.0, float(np.nanmin(values))), float(np.nanmax(values))
        axes.set_ylim(low - 0.06 * (high - low), high + 0.18 * (high - low) + 1e-6)
        megawatts(axes, "MW less import")
        name_lines(axes, lines)


def difference_figure(
    at_ms: NDArray[np.int64], difference_w: NDArray[Any], windows: Sequence[Window]
) -> Figure:
    """Lived less without instructions: below the line is delivery, above it rebound."""
    figure, (axes,) = canvas(2.3)
    draw_difference(axes, at_ms, difference_w, windows)
    return figure


def draw_difference(
    axes: Axes, at_ms: NDArray[np.int64], difference_w: NDArray[Any], windows: Sequence[Window]
) -> None:
    """As difference_figure, into axes that are there."""
    with mpl.rc_context(STYLE):
        time_axis(axes, int(at_ms[0]), int(at_ms[-1]) + MINUTE_MS)
        shade(axes, windows, labels=False)
        values = difference_w / W_PER_MW
        axes.fill_between(at_ms, 0, values, where=values <= 0, color=DOWN, alpha=0.75, lw=0)
        axes.fill_between(at_ms, 0, values, where=values > 0, color=UP, alpha=0.85, lw=0)
        axes.axhline(0, color=INK, lw=0.8)
        axes.margins(y=0.12)
        megawatts(axes, "MW, lived less without")


def technology_figure(
    start_ms: int,
    end_ms: int,
    step_ms: int,
    turned_mw: Mapping[str, NDArray[Any]],
    windows: Sequence[Window],
) -> Figure:
    """Bars by half-hour: turned down above the line, drawn instead below it, by technology (half-hours,)."""
    figure, (axes,) = canvas(2.9)
    with mpl.rc_context(STYLE):
        time_axis(axes, start_ms, end_ms)
        shade(axes, windows)
        handles = []
        for sign in (1, -1):
            edge = np.zeros((end_ms - start_ms) // step_ms)
            for technology, values in turned_mw.items():
                name, colour = TECHNOLOGIES[technology]
                part = np.maximum(sign * values, 0) * sign
                at_ms = start_ms + step_ms * (np.arange(part.size) + 0.5)
                bars = axes.bar(at_ms, part, 0.9 * step_ms, bottom=edge, color=colour, lw=0, label=name)
                edge = edge + part
                if sign == 1:
                    handles.append(bars)
        axes.axhline(0, color=INK, lw=0.8)
        axes.margins(y=0.14)
        megawatts(axes, "MW less import")
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(handles), frameon=False,
            borderpad=0, borderaxespad=0.2, handlelength=0.9, handleheight=0.9, columnspacing=1.4,
            handletextpad=0.5, fontsize=9,
        )  # fmt: skip
    return figure


def comfort_figure(
    start_ms: int,
    end_ms: int,
    step_ms: int,
    more: NDArray[Any],
    left: NDArray[Any],
    windows: Sequence[Window],
) -> Figure:
    """How many more devices leave somebody cold than without instructions, and how many left an event."""
    figure, (axes,) = canvas(2.6)
    at_ms = start_ms + step_ms * (np.arange(more.size) + 1)
    lines = (
        Line(at_ms, more, "more at their floor than without instructions", LOST, width=1.7),
        Line(at_ms, left, "take no orders", BELIEVED, width=1.2),
    )
    with mpl.rc_context(STYLE):
        time_axis(axes, start_ms, end_ms)
        shade(axes, windows)
        axes.axhline(0, color="#b9c1c9", lw=0.8)
        axes.fill_between(at_ms, 0, more, color=LOST, alpha=0.22, lw=0)
        for line in lines:
            draw(axes, line)
        high = max(1.0, *(float(line.values.max(initial=0)) for line in lines))
        axes.set_ylim(min(0.0, 1.1 * float(more.min(initial=0))), high * 1.2)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylabel("homes")
        name_lines(axes, lines)
    return figure


def baseline_figure(
    names: Sequence[str], metered: NDArray[Any], true: NDArray[Any], baseline: NDArray[Any]
) -> Figure:
    """Per unit [MWh]: metered, what would truly have been, and the baseline that was used instead."""
    figure, (axes,) = canvas(0.9 + 0.27 * len(names))
    with mpl.rc_context(STYLE):
        places = np.arange(len(names))[::-1]
        axes.grid(visible=False)
        axes.xaxis.grid(visible=True)
        axes.hlines(places, metered, true, color=DOWN, lw=3, alpha=0.45)
        axes.hlines(places, true, baseline, color=LOST, lw=3, alpha=0.55)
        marks = (
            axes.scatter(metered, places, s=42, color=LIVED, zorder=3),
            axes.scatter(true, places, s=42, color=DOWN, zorder=3),
            axes.scatter(baseline, places, s=46, color=LOST, marker="D", zorder=3),
        )
        axes.set_yticks(places, list(names))
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_xlim(left=None if min(map(np.min, (metered, true, baseline))) < 0 else 0)
        axes.set_xlabel("MWh import in the instructed periods")
        axes.legend(
            marks,
            ["metered", "truly, without instructions", "baseline"],
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=3,
            frameon=False,
            borderpad=0,
            handletextpad=0.2,
            fontsize=9,
        )
    return figure


def metering_figure(
    at_ms: NDArray[np.int64],
    true_w: NDArray[Any],
    published_w: NDArray[Any],
    accuracy: float,
    windows: Sequence[Window],
) -> Figure:
    """One BM Unit: operational metering as published against the truth, and its error."""
    figure, (above, below) = canvas(3.9, 2, (2.2, 1))
    with mpl.rc_context(STYLE):
        time_axis(above, int(at_ms[0]), int(at_ms[-1]) + 1000)
        shade(above, windows)
        shade(below, windows, labels=False)
        lines = (
            Line(at_ms, true_w / W_PER_MW, "true import", LIVED, width=1.7),
            Line(at_ms, published_w / W_PER_MW, "published", UP, width=1.2),
        )
        for line in lines:
            draw(above, line)
        name_lines(above, lines)
        high, low = (float(pick([pick(true_w), pick(published_w)])) for pick in (np.max, np.min))
        above.set_ylim(min(low, 0.0) / W_PER_MW * 1.16, max(high, 1.0) / W_PER_MW * 1.16)
        megawatts(above)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(true_w != 0, (published_w - true_w) / np.abs(true_w) * 100, np.nan)
        reach = max(
            accuracy * 300, float(np.nanpercentile(np.abs(error), 98)) if np.isfinite(error).any() else 1.0
        )
        below.axhspan(-accuracy * 100, accuracy * 100, color=DOWN, alpha=0.16, lw=0)
        below.axhline(0, color="#b9c1c9", lw=0.8)
        below.plot(at_ms, np.clip(error, -reach, reach), color=UP, lw=1)
        below.set_ylim(-reach * 1.05, reach * 1.05)
        below.yaxis.set_major_locator(MaxNLocator(3))
        below.set_ylabel("error, %")
    return figure


@dataclass(frozen=True, slots=True, eq=False)
class RouteHealth:
    """One route through the run: shares of readings that came in time and at all (n,), and a word."""

    name: str
    at_ms: NDArray[np.int64]
    in_time: NDArray[Any]
    arrived: NDArray[Any]
    told: str


def comms_figure(
    routes: Sequence[RouteHealth], windows: Sequence[Window], start_ms: int, end_ms: int
) -> Figure:
    """Share of readings that arrived, by route; shared outages shaded."""
    figure, axes = canvas(0.55 + 0.85 * len(routes), len(routes))
    lowest = min((float(np.nanmin(route.in_time, initial=1.0)) for route in routes), default=1.0) * 100
    floor = next(mark for mark in (98, 95, 90, 80, 50, 0) if mark < lowest or mark == 0)
    with mpl.rc_context(STYLE):
        for row, route in zip(axes, routes, strict=True):
            time_axis(row, start_ms, end_ms)
            shade(row, windows, labels=False, strips=False)
            in_time, arrived = route.in_time * 100, route.arrived * 100
            row.fill_between(route.at_ms, in_time, arrived, step="post", color=UP, alpha=0.55, lw=0)
            row.fill_between(route.at_ms, arrived, 100, step="post", color=LOST, alpha=0.22, lw=0)
            row.step(route.at_ms, in_time, where="post", color=LIVED, lw=1.1)
            row.set_ylim(floor, 100 + (100 - floor) * 0.04)
            row.set_yticks([floor, (floor + 100) / 2, 100])
            row.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
            row.set_title(f"{route.name}: {route.told}", loc="left", fontsize=9, color=INK, pad=4)
    return figure


def pounds_figure(names: Sequence[str], pounds: Sequence[float]) -> Figure:
    """From line to line to the total: what adds and what takes away [GBP]."""
    figure, (axes,) = canvas(0.7 + 0.32 * (len(names) + 1))
    with mpl.rc_context(STYLE):
        reached = np.concatenate([[0.0], np.cumsum(pounds)])
        axes.grid(visible=False)
        axes.axvline(0, color="#b9c1c9", lw=0.8)
        extent = max(float(np.abs(reached).max()), 1e-9)
        for place, amount in enumerate(pounds):
            colour = DOWN if amount >= 0 else LOST
            axes.barh(-place, amount, left=reached[place], height=0.62, color=colour, alpha=0.85)
            right = max(reached[place], reached[place + 1])
            axes.text(right + extent * 0.012, -place, pounds_text(amount), va="center", fontsize=9, color=INK)
            axes.plot([reached[place + 1]] * 2, [-place - 0.31, -place - 0.69], color="#b9c1c9", lw=0.8)
        axes.barh(-len(pounds), reached[-1], height=0.62, color=LIVED)
        axes.text(
            max(reached[-1], 0) + extent * 0.012,
            -len(pounds),
            pounds_text(float(reached[-1])),
            va="center",
            fontsize=9.5,
            fontweight="bold",
        )
        axes.set_yticks([-place for place in range(len(names) + 1)], [*names, "total"])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=9)
        axes.set_xlim(
            min(0.0, float(reached.min())) - extent * 0.02, max(0.0, float(reached.max())) + extent * 0.16
        )
        axes.spines["bottom"].set_visible(False)
        axes.set_xticks([])
    return figure


def pounds_text(amount: float) -> str:
    """Pounds as people write them: £1,234.50, or -£60.00."""
    whole = abs(amount) >= 10_000
    return f"{'-' if amount < 0 else ''}£{abs(amount):,.{0 if whole else 2}f}"


def by_minute(values: NDArray[Any], step: int = 60) -> NDArray[Any]:
    """Means of `step` values each; a rest is left out."""
    count = values.size // step
    return np.asarray(values[: count * step].reshape(count, step).mean(axis=1))


def around(start_ms: int, end_ms: int, span: tuple[int, int]) -> tuple[int, int]:
    """A window that shows an event with some time before and more after, inside the run."""
    before, after = HOUR_MS // 2, max(HOUR_MS, (end_ms - start_ms))
    return max(span[0], start_ms - before), min(span[1], end_ms + after)
