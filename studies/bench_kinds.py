"""What each kind of device costs: nanoseconds per event, events a day, bytes per row.

`python -m studies.bench_kinds` lives 20,000 rows of each kind through a winter day, each by its own events in
one compiled loop on one core, after a day that only compiles and settles; the least of three times counts. It
writes a table in Markdown, and the heat-pump house against OCHRE's, per simulated house-day, where `--ochre
PYTHON` names an interpreter that has it (`pip install ochre-nrel "pyarrow<20"`). EVs are in `studies.bench`.
Nothing here is a test: machines differ.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numba import njit

from sim import scenario_devices
from sim.homes import make_homes
from sim.households import BaseLoad, plan_moment_ms
from sim.kinds import (
    appliances,
    batteries,
    businesses,
    fridges,
    heat_pumps,
    hot_water,
    pv,
    resistive_heaters,
    storage_heaters,
)
from sim.kinds.kind import HALF_HOUR_MS, Sky
from sim.scenario import Homes, Weather
from sim.sky import PLACES, make_sky
from sim.weather import make_weather
from studies.bench import timed

ROWS, REPEATS = 20_000, 3
DAY = date(2024, 1, 16)
"""A Tuesday."""
SEED = 1
KINDS: Mapping[str, Callable[[Any, Any], Any]] = MappingProxyType(
    {
        "heat pump": lambda h, n: heat_pumps.HeatPumpKind(scenario_devices.HeatPumps(), h, n, SEED),
        "storage heater": lambda h, n: storage_heaters.StorageHeaterHomes(
            scenario_devices.StorageHeaters(), h, n, SEED
        ),
        "panel heater": lambda h, n: resistive_heaters.ResistiveHeaterHomes(
            scenario_devices.ResistiveHeaters(), h, n, SEED
        ),
        "hot-water cylinder": lambda h, n: hot_water.HotWaterCylinders(
            scenario_devices.HotWater(), h, n, SEED
        ),
        "battery": lambda h, n: batteries.HomeBatteries(
            scenario_devices.Batteries(), h, n, SEED, BaseLoad(h, Homes(count=len(n)), SEED)
        ),
        "PV": lambda h, n: pv.Roofs(scenario_devices.Pv(), h, n, SEED),
        "dishwasher": lambda h, n: appliances.Appliances(scenario_devices.Dishwashers(), h, n, SEED),
        "fridge-freezer": lambda h, n: fridges.FridgeFreezers(scenario_devices.Fridges(), h, n, SEED),
        "business site": lambda h, n: businesses.BusinessSites(scenario_devices.Businesses(), h, n, SEED),
        "generator": lambda h, n: businesses.Generators(scenario_devices.BackUpGenerators(), h, n, SEED),
    }
)
OCHRE_DAYS = 3
_OCHRE = f"""
import datetime as dt, json, time
from pathlib import Path
import ochre
inputs = Path(ochre.__file__).parent / "defaults"
def live(step_s):
    home = ochre.Dwelling(
        start_time=dt.datetime(2019, 1, 10), time_res=dt.timedelta(seconds=step_s),
        duration=dt.timedelta(days={OCHRE_DAYS}), initialization_time=dt.timedelta(days=1),
        hpxml_file=str(inputs / "Input Files" / "BEopt_example.xml"),
        schedule_input_file=str(inputs / "Input Files" / "BEopt_example_schedule.csv"),
        weather_file=str(inputs / "Weather" / "USA_CO_Denver.Intl.AP.725650_TMY3.epw"),
        verbosity=1, save_results=False,
    )
    began = time.perf_counter()
    for _ in range({OCHRE_DAYS} * 86400 // step_s):
        home.update()
    return time.perf_counter() - began
live(900)
print(json.dumps([live(60) / {OCHRE_DAYS}, live(300) / {OCHRE_DAYS}]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kind of device costs on one core."""

    kind: str
    rows: int
    events: int
    seconds: float
    diary_seconds: float
    row_bytes: tuple[int, int, int]  # state, spec, diary

    @property
    def events_a_day(self) -> float:
        """Events per row and day."""
        return self.events / self.rows

    @property
    def ns_per_event(self) -> float:
        """Nanoseconds per event."""
        return self.seconds / max(self.events, 1) * 1e9

    @property
    def us_per_day(self) -> float:
        """Microseconds per device and day, its diary left out."""
        return self.seconds / self.rows * 1e6


def make_play(device: Any) -> Any:
    """A compiled day of every row by its own events; counts them."""
    happen, next_event_ms, integrate = device.happen, device.next_event_ms, device.integrate

    @njit(nogil=True)
    def play(state: Any, spec: Any, diary: Any, today: Any, until_ms: Any) -> int:
        lived = 0
        for row in range(state.shape[0]):
            s, p, d = state[row], spec[row], diary[row]
            while True:
                event_ms = next_event_ms(s, p, d, today)
                if event_ms >= until_ms:
                    integrate(s, p, d, today, until_ms)
                    break
                happen(s, p, d, today, event_ms)
                lived += 1
        return lived

    return play


def sky_of(day: date) -> Sky:
    """The drawn sky from the planning moment of a day to the next, for the GSP Groups of `make_homes`."""
    first_ms, end_ms = plan_moment_ms(day), plan_moment_ms(day + timedelta(days=1))
    temperatures = make_weather(Weather(), day - timedelta(days=2), 6, SEED)
    return make_sky(temperatures, sorted(PLACES), SEED, first_ms, (end_ms - first_ms) // HALF_HOUR_MS)


def cost_of(name: str, rows: int = ROWS) -> Cost:
    """A kind's second day; the first one compiles and settles."""
    homes = make_homes(Homes(count=rows), SEED)
    kind = KINDS[name](homes, np.arange(rows, dtype=np.int32))
    drawn = kind.draw(plan_moment_ms(DAY))
    play = make_play(kind.device)
    diary, today, until_ms, _ = _day(kind, drawn, DAY)
    play(drawn.state, drawn.spec, diary, today, until_ms)
    diary, today, until_ms, diary_seconds = _day(kind, drawn, DAY + timedelta(days=1))
    seconds, events = np.inf, 0
    for _ in range(REPEATS):
        arguments = (drawn.state.copy(), drawn.spec, diary, today, until_ms)
        lived_s, events = timed(partial(play, *arguments))
        seconds = min(seconds, lived_s)
    sizes = (drawn.state.dtype.itemsize, drawn.spec.dtype.itemsize, diary.dtype.itemsize)
    return Cost(name, len(drawn.spec), int(events), seconds, diary_seconds, sizes)


def _day(kind: Any, drawn: Any, day: date) -> tuple[Any, Any, int, float]:
    """(diary, today, end [ms], seconds that the diary took)."""
    sky = sky_of(day)
    diary_seconds, diary = timed(lambda: kind.diary(drawn, day, sky))
    return diary, kind.shared_day(day, sky), plan_moment_ms(day + timedelta(days=1)), diary_seconds


def ochre_seconds(python: str) -> tuple[float, float]:
    """Seconds per house-day of OCHRE, in steps of 60 s and of 300 s (its example home, in Denver)."""
    done = subprocess.run([python, "-c", _OCHRE], capture_output=True, text=True, check=True)  # noqa: S603
    fine, coarse = json.loads(done.stdout.splitlines()[-1])
    return float(fine), float(coarse)


def table_of(costs: list[Cost]) -> str:
    """The costs in Markdown."""
    head = (
        "| kind | events a day | ns per event | us per device-day | diary us "
        "| bytes: state + spec + diary |\n"
        "|---|---:|---:|---:|---:|---:|"
    )
    lines = (
        f"| {cost.kind} | {cost.events_a_day:,.1f} | {cost.ns_per_event:,.0f} | {cost.us_per_day:,.1f} "
        f"| {cost.diary_seconds / cost.rows * 1e6:,.1f} "
        f"| {' + '.join(map(str, cost.row_bytes))} = {sum(cost.row_bytes)} |"
        for cost in costs
    )
    return "\n".join((head, *lines))


def peer_line(house: Cost, fine_s: float, coarse_s: float) -> str:
    """Our house against OCHRE's, seconds per house-day, taken in the same minute on one core."""
    ours_s = house.us_per_day / 1e6
    return (
        f"One house-day: {ours_s * 1e6:,.0f} us here (heat pump, two-node house, cylinder; exact between "
        f"events), {fine_s:,.2f} s in OCHRE in steps of 60 s ({fine_s / ours_s:,.0f} times) and "
        f"{coarse_s:,.2f} s in steps of 300 s ({coarse_s / ours_s:,.0f} times). OCHRE models the whole "
        "dwelling, with its other equipment and humidity: it is asked for more, and no contest of models."
    )


def main(arguments: list[str] | None = None) -> None:
    """Write the table, and the peer's line where there is a peer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--ochre", help="a Python interpreter that has ochre-nrel")
    given = parser.parse_args(arguments)
    costs = [cost_of(name, given.rows) for name in KINDS]
    sys.stdout.write(table_of(costs) + "\n")
    if given.ochre:
        sys.stdout.write("\n" + peer_line(costs[0], *ochre_seconds(given.ochre)) + "\n")


if __name__ == "__main__":
    main()
