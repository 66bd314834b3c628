"""Targets T1 and T2: weeks of unmanaged charging, lived without any event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np

from devices import ev
from protocol import periods
from sim.fleet import MJ_PER_WH, Fleet
from sim.households import make_diary, plan_moment_ms, quiet_windows_ms
from sim.play import Orders
from sim.population import make_population
from sim.scenario import Clock, Evs, Homes, Scenario

F64 = np.ndarray[Any, np.dtype[np.float64]]

HALF_HOUR_MS = 1_800_000
SETTLING_DAYS, DAYS = 7, 21
START = date(2024, 1, 8)
WINTER_C = 8.0
CARS = 4000
"""One in each home of one GSP Group: charging does not depend on where, and one cell is quick to add up."""


@dataclass(frozen=True)
class Seen:
    """What weeks of unmanaged charging look like."""

    weekday_kw: F64  # per EV, by half-hour of the day
    kwh_per_day: float
    plug_ins_per_week: float
    soc_at_plug_in: float
    plugged_hours: float


@cache
def watch(seed: int, cars: int = CARS) -> Seen:
    """Live some weeks without any event and take what the figures are about."""
    scenario = Scenario(
        flextwin=1,
        name="realism",
        seed=seed,
        clock=Clock(start=START),
        homes=Homes(count=cars, gsp_groups={"_C": 1.0}),
        evs=Evs(share=1.0),
    )
    population = make_population(scenario)
    groups = int(population.cell.max()) + 1
    start_ms = periods.day_start_ms(START)
    state = ev.make_state(population.charge_mj, start_ms)
    fleet = Fleet(ev, population.spec, state, population.cell, groups, start_ms, keep_events=True)
    energy_w, weekdays, events = np.zeros(48), 0, []
    for ahead in range(SETTLING_DAYS + DAYS):
        day = START + timedelta(days=ahead)
        fleet.play(plan_moment_ms(day), Orders.none(), read=False)
        battery_mj = population.spec["battery_mj"]
        diary = make_diary(scenario.evs, population.drivers, battery_mj, day, WINTER_C, seed)
        fleet.plan(diary, ev.Today(quiet_windows_ms(day)))
        for _ in range(48):
            begin_ms = fleet.state.now_ms
            fleet.play(begin_ms + HALF_HOUR_MS, Orders.none(), read=False)
            if ahead >= SETTLING_DAYS:
                events.append(fleet.events)
                if periods.local_date(begin_ms).weekday() < 5:
                    energy_w[(begin_ms // HALF_HOUR_MS) % 48] += fleet.seconds_w.sum(axis=0).mean()
        weekdays += ahead >= SETTLING_DAYS and day.weekday() < 5
    return _seen(np.concatenate(events), population.spec, energy_w / weekdays)


def _seen(told: np.ndarray[Any, Any], spec: np.ndarray[Any, Any], power_w: F64) -> Seen:
    """The figures, from the events of all cars and their power by half-hour."""
    cars = len(spec)
    plugged = told[(told["kind"] == 1) | (told["kind"] == 2)]
    plugged = plugged[np.lexsort((plugged["at_ms"], plugged["row"]))]
    whole = (plugged["kind"][:-1] == 1) & (plugged["row"][:-1] == plugged["row"][1:])
    plug_ins = told[told["kind"] == 1]
    soc = plug_ins["value"] * float(MJ_PER_WH) / spec["battery_mj"][plug_ins["row"]]
    kw = power_w / cars / 1000
    return Seen(
        weekday_kw=kw,
        kwh_per_day=float(kw.sum() / 2),
        plug_ins_per_week=len(plug_ins) / cars / (DAYS / 7),
        soc_at_plug_in=float(soc.mean()),
        plugged_hours=float(np.diff(plugged["at_ms"])[whole].mean() / 3_600_000),
    )
