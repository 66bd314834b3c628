"""How many homes it takes until the noise of base load at boundary meters is averaged out.

`python -m studies.boundary_noise` lives one winter evening of homes with a car each, meters every car once a
minute and every home's boundary every 10 s, adds the readings up second by second for units of growing
size, writes `docs/boundary-metering.md` and draws `docs/images/boundary-metering.svg`. Metering only: no
loss, no outage, no instruction. Accuracy, read interval and latency are CrowdFlex WP5 table 3's.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np

from protocol import periods
from protocol.messages import I64
from sim import chance
from sim.chance import F64, Purpose
from sim.fleets import KINDS_APART
from sim.households import BaseLoad
from sim.moments import HALF_HOUR_MS, moments
from sim.play import Orders
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario import Balancing, BoundaryReads, Clock, Dfs, Evs, Homes, Markets, Scenario

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "boundary-metering.md"
PICTURE = ROOT / "docs" / "images" / "boundary-metering.svg"
DAY = date(2024, 1, 16)
FROM_HOUR, TO_HOUR = 17, 21
SIZES = (30, 100, 300, 1000, 3000)
ACCURACY = 0.015
"""CrowdFlex WP5 table 1, proposed for units of up to 10 MW; the rule since 2024 is as a scenario chooses."""
_POWER, _STOPPED = 3, 4


@dataclass(frozen=True, slots=True)
class Meter:
    """How power is read: relative gain error (one standard deviation), read interval and latency [ms]."""

    name: str
    gain_sd: float
    every_ms: int
    latency_ms: int


ASSET = Meter("asset", 0.02, 60_000, 5_000)
"""Table 3, EV: +-2 %, 1 minute, below 5 s (taken as 5)."""
BOUNDARY = Meter("boundary", 0.01, 10_000, 13_000)
"""Table 3, smart meter: 1 %, 10-20 s, ~13 s."""


@dataclass(frozen=True, slots=True)
class Row:
    """Units of one size; errors are root mean squares over seconds and units, per mean of what is metered.

    `within`: seconds within ACCURACY. `base_noise`: base load about its own half-hourly mean and about what
    all homes' does within half-hours, per mean power of the cars; None where there is one unit only.
    """

    homes: int
    units: int
    asset_error: float
    asset_within: float
    boundary_error: float
    boundary_within: float
    base_noise: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Changes of power by (home, time); the level before the first is 0 W."""

    home: I64
    at_ms: I64
    change_w: I64


def boundary_noise(homes: int = SIZES[-1], sizes: Sequence[int] = SIZES, seed: int = 1) -> list[Row]:
    """One row per size that fits into `homes`; units are disjoint runs of home numbers."""
    cars, base = _evening(homes, seed)
    together = _joined(cars, base)
    smallest = min(sizes)
    series = {
        "cars": _seconds(cars, homes, smallest),
        "base": _seconds(base, homes, smallest),
        ASSET.name: _published(cars, ASSET, homes, smallest, seed),
        BOUNDARY.name: _published(together, BOUNDARY, homes, smallest, seed),
    }
    return [_row(size, {k: _units(v, size // smallest) for k, v in series.items()}) for size in sizes
            if size <= homes]  # fmt: skip


def _row(size: int, series: dict[str, F64]) -> Row:
    cars, base = series["cars"], series["base"]
    asset, asset_within = _error(series["asset"], cars)
    boundary, boundary_within = _error(series["boundary"], cars + base)
    return Row(
        homes=size,
        units=len(cars),
        asset_error=asset,
        asset_within=asset_within,
        boundary_error=boundary,
        boundary_within=boundary_within,
        base_noise=_noise(base) / float(cars.mean()) if len(cars) > 1 else None,
    )


def _error(told: F64, true: F64) -> tuple[float, float]:
    """Root mean square per mean, and share of seconds within ACCURACY."""
    error = told - true
    return float(np.sqrt((error**2).mean()) / true.mean()), float((np.abs(error) <= ACCURACY * true).mean())


def _noise(base: F64) -> float:
    """How far units' base load (units, seconds) lies from half-hours of everybody's form, root mean square.

    Everybody are these units themselves: made good by the usual factor of degrees of freedom. [W]
    """
    by_half_hour = base.reshape(len(base), -1, HALF_HOUR_MS // 1000)
    form = _form(base)
    left = by_half_hour - by_half_hour.mean(axis=2, keepdims=True) * form
    return float(np.sqrt((left**2).mean() / (1 - 1 / len(base))))


def _form(base: F64) -> F64:
    """Base load of all units within each half-hour, per its mean (half-hours, seconds)."""
    total = base.sum(axis=0).reshape(-1, HALF_HOUR_MS // 1000)
    return np.asarray(total / total.mean(axis=1, keepdims=True))


# ----------------------------------------------------------------------------------------------- the evening


def scenario(homes: int, seed: int) -> Scenario:
    """One GSP Group of homes with a car each."""
    return Scenario(
        flextwin=1,
        name="boundary_noise",
        seed=seed,
        clock=Clock(start=DAY, history_days=2),
        homes=Homes(count=homes, gsp_groups={"_C": 1.0}, smart_share=1.0,
                    boundary_reads=BoundaryReads(share=1.0)),
        evs=Evs(share=1.0),
        markets=Markets(dfs=Dfs(share=0.0), balancing=Balancing(share=1.0)),
    )  # fmt: skip


def _window_ms() -> tuple[int, int]:
    return periods.local_clock_ms(DAY, FROM_HOUR), periods.local_clock_ms(DAY, TO_HOUR)


def _evening(homes: int, seed: int) -> tuple[Steps, Steps]:
    """What the cars and what base load of all homes did on DAY until the window ends."""
    with tempfile.TemporaryDirectory() as folder:
        place = RunFolder(Path(folder) / "run")
        place.claim()
        run = Run(scenario(homes, seed), place)
        run.live_history()
        cars = _cars(run)
    numbers = np.arange(homes, dtype=np.int64)
    base = BaseLoad(run.population.homes, run.scenario.homes, seed)
    told = moments(numbers, base.day_wh(numbers, DAY), DAY, seed)
    return cars, Steps(told.home, told.at_ms, told.change_w.astype(np.int64))


def _cars(run: Run) -> Steps:
    """Live the cars until the window ends."""
    start_ms, end_ms = run.start_ms, _window_ms()[1]
    before_w = run.fleet.cars.state.rows["import_w"].astype(np.int64)
    told = []
    while run.fleet.state.now_ms < end_ms:
        now_ms = min(run.people.next_deadline_ms(), end_ms)
        run.fleet.play(now_ms, Orders.none(), read=False, by_second=False)
        told.append(run.fleet.events.copy())
        if run.people.next_deadline_ms() <= now_ms:
            run.people.on_deadline(now_ms)
    events = np.concatenate(told)
    kind = events["kind"] % KINDS_APART
    events, kind = events[np.isin(kind, (_POWER, _STOPPED))], kind[np.isin(kind, (_POWER, _STOPPED))]
    rows = np.concatenate([np.arange(len(before_w)), events["row"]])
    at_ms = np.concatenate([np.full(len(before_w), start_ms), events["at_ms"]])
    watts = np.concatenate([before_w, np.where(kind == _POWER, events["value"], 0)])
    order = np.lexsort((np.arange(len(rows)), rows))  # each row's events keep their order
    rows, at_ms, watts = rows[order], at_ms[order], watts[order]
    first = np.append(True, rows[1:] != rows[:-1])
    change_w = np.where(first, watts, watts - np.append(0, watts[:-1]))
    return _by_home(run.population.cars_home[rows].astype(np.int64), at_ms, change_w)


def _by_home(home: I64, at_ms: I64, change_w: I64) -> Steps:
    order = np.lexsort((at_ms, home))
    return Steps(home[order], at_ms[order], change_w[order].astype(np.int64))


def _joined(one: Steps, other: Steps) -> Steps:
    """Both powers of each home added up."""
    columns = zip(*((each.home, each.at_ms, each.change_w) for each in (one, other)), strict=True)
    return _by_home(*(np.concatenate(column) for column in columns))


# ---------------------------------------------------------------------------------------------- metering it


def _seconds(steps: Steps, homes: int, size: int) -> F64:
    """True power at each whole second of the window, by unit of `size` homes [W]."""
    return _power(steps.home // size, steps.at_ms, steps.change_w, homes // size)


def _published(steps: Steps, meter: Meter, homes: int, size: int, seed: int) -> F64:
    """Sum of the newest readings that have arrived, at each whole second, by unit of `size` homes [W]."""
    numbers = np.arange(homes, dtype=np.int64)
    key = chance.stream(seed, Purpose.ACCESS_DEVICE)
    lane = meter.every_ms // 1000  # a stream of its own for each interval
    gain = 1.0 + meter.gain_sd * chance.normals(key, numbers, lane, 2)[:, 0]
    phase_ms = (chance.units(key, numbers, lane, 3)[:, 0] * meter.every_ms).astype(np.int64)
    columns = list(zip(*_readings(steps, meter, gain, phase_ms), strict=True))
    home, arrival_ms, change_w = (np.concatenate(column) for column in columns)
    return _power(home // size, arrival_ms, change_w, homes // size)


def _readings(steps: Steps, meter: Meter, gain: F64, phase_ms: I64) -> Iterator[tuple[I64, I64, I64]]:
    """Home, time of arrival and change against the reading before, of all readings of each home."""
    start_ms, end_ms = _window_ms()
    start_ms -= 2 * (meter.every_ms + meter.latency_ms)
    edges = np.searchsorted(steps.home, np.arange(len(gain) + 1))
    for home, (low, high) in enumerate(pairwise(edges)):
        asked = np.arange(start_ms + phase_ms[home], end_ms, meter.every_ms)
        level_w = np.concatenate([[0], np.cumsum(steps.change_w[low:high])])
        held = np.searchsorted(steps.at_ms[low:high], asked, side="right")
        told_w = np.floor(level_w[held] * gain[home] + 0.5).astype(np.int64)
        yield np.full(len(asked), home), asked + meter.latency_ms, np.diff(told_w, prepend=0)


def _power(unit: I64, at_ms: I64, change_w: I64, units: int) -> F64:
    """Levels at each whole second of the window after all changes up to it (units, seconds)."""
    start_ms, end_ms = _window_ms()
    seconds = (end_ms - start_ms) // 1000
    second = np.maximum(-(-(at_ms - start_ms) // 1000), 0)
    counts = (second < seconds) & (unit < units)
    bins = np.bincount(
        unit[counts] * seconds + second[counts], weights=change_w[counts], minlength=units * seconds
    )
    return np.asarray(np.cumsum(bins.reshape(units, seconds), axis=1))


def _units(series: F64, of: int) -> F64:
    """Larger units, each of `of` smaller ones next to each other; what is left over is left out."""
    count = len(series) // of
    return np.asarray(series[: count * of].reshape(count, of, -1).sum(axis=1))


# ------------------------------------------------------------------------------------------------- telling it


def page(rows: Sequence[Row]) -> str:
    """What was found, as Markdown."""
    lines = "\n".join(
        f"| {row.homes:,} | {row.units} | {row.asset_error:.1%} | {row.asset_within:.0%} "
        f"| {row.boundary_error:.1%} | {row.boundary_within:.0%} "
        f"| {'-' if row.base_noise is None else f'{row.base_noise:.1%}'} |"
        for row in rows
    )
    return f"""# Boundary metering in real-time services

Written by `python -m studies.boundary_noise`. One winter evening ({DAY}, {FROM_HOUR}:00 to {TO_HOUR}:00) of
homes with a car each, no instructions, no losses.

- {_told(ASSET)}
- {_told(BOUNDARY)}

Both are CrowdFlex WP5 table 3's, accuracies taken as standard deviations of random gains. Errors are those of
the unit's 1 s signal: root mean square per mean of what is metered. "Within" is the share of seconds within
{ACCURACY:.1%} (table 1, proposed).

| homes | units | asset: error | within | boundary: error | within | base load's own noise, per cars' power |
|---|---|---|---|---|---|---|
{lines}

The last column is how far base load wanders within its half-hours, per mean power of the cars, when what all
homes do at that moment is taken off: whoever sees the boundary alone, and foresees the base load of every
half-hour exactly, sees the cars no better than this. It falls with the root of the number of homes:
{homes_for(rows, ACCURACY):,.0f} homes bring it to {ACCURACY:.1%}.

What all homes do together does not average out: demand rises and falls within a half-hour too, some 1 to 2 %
(`sim/moments.py` adds up to 2 % of its own). Nor does what the makers of meters share.

![error by number of homes](images/boundary-metering.svg)
"""


def _told(meter: Meter) -> str:
    every_s, latency_s = meter.every_ms // 1000, meter.latency_ms // 1000
    return f"{meter.name}: {meter.gain_sd:.0%}, read every {every_s} s, {latency_s} s late"


def homes_for(rows: Sequence[Row], noise: float) -> float:
    """Homes at which base load's own noise is `noise`, by the law of the root from all rows."""
    known = [np.log(row.base_noise * np.sqrt(row.homes)) for row in rows if row.base_noise]
    constant = np.exp(np.mean(known))
    return float((constant / noise) ** 2)


def _draw(rows: Sequence[Row]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "flextwin"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    lines = (("asset_error", "assets, every minute", "#c8553d"),
             ("boundary_error", "boundary, every 10 s", "#1f4e79"),
             ("base_noise", "base load's own noise, per cars' power", "#7a8793"))  # fmt: skip
    homes = [row.homes for row in rows]
    for name, label, colour in lines:
        values = [getattr(row, name) for row in rows]
        shown = [np.nan if value is None else 100 * value for value in values]
        axes.plot(homes, shown, "o-", label=label, color=colour)
    axes.axhline(100 * ACCURACY, color="#2e7d4f", lw=1, ls="--", label=f"{ACCURACY:.1%}, as proposed")
    axes.set(xscale="log", yscale="log", xlabel="homes in the unit", ylabel="error of the 1 s signal [%]")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


def main(arguments: Sequence[str]) -> int:
    """Write page and picture; the only argument is the number of homes."""
    rows = boundary_noise(int(arguments[0]) if arguments else SIZES[-1])
    PAGE.write_text(page(rows), encoding="utf-8")
    _draw(rows)
    sys.stdout.write(page(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
