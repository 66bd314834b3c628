"""Targets T12 and T13: what adding up many meters does to their errors and to the age of their readings."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from devices import ev
from devices.ev import NEVER_MS, idle_diary
from sim import chance
from sim.chance import Purpose
from sim.fleet import MJ_PER_WH, Fleet
from sim.play import Orders
from sim.population import Population, make_population
from sim.scenario import Clock, EvMeter, Evs, Homes, Scenario

F64 = np.ndarray[Any, np.dtype[np.float64]]
I64 = np.ndarray[Any, np.dtype[np.int64]]

START_MS = 1_705_363_200_000
SECONDS = 180
OWN = EvMeter(gain_sd=0.025)
SHARED = EvMeter(maker_bias_sd=0.025, makers=1)


def population(seed: int, homes: int, meter: EvMeter | None = None) -> Population:
    """Cars at charge points only, one in every home."""
    evs = Evs(share=1.0, telematics_share=0.0, meter=meter or EvMeter())
    clock = Clock(start=date(2024, 1, 16))
    return make_population(
        Scenario(flextwin=1, name="meters", seed=seed, clock=clock, homes=Homes(count=homes), evs=evs)
    )


def gain_of(seed: int, n: int, meter: EvMeter) -> float:
    """Relative error of the sum of n equal loads (T12)."""
    return float(population(seed, n, meter).spec["wh_per_mj"].mean() * MJ_PER_WH - 1)


def gain_sd(n: int, seeds: range, meter: EvMeter) -> float:
    """Standard deviation of that error between worlds."""
    return float(np.std([gain_of(seed, n, meter) for seed in seeds]))


def fleet_of(cars: Population) -> Fleet:
    """All of them half full, three minutes before the step."""
    groups = int(cars.cell.max()) + 1
    state = ev.make_state(cars.spec["battery_mj"] // 2, START_MS - 180_000)
    return Fleet(ev, cars.spec, state, cars.cell, groups, START_MS - 180_000)


def held_sum(fleet: Fleet, stop_at_ms: I64) -> tuple[I64, I64]:
    """All cars charge and stop at their own moment; from one minute before START_MS on, second by second.

    Gives the sum of their last readings and the truth [W].
    """
    diary = idle_diary(len(fleet.spec))
    diary["return_ms"] = START_MS - 120_000
    diary["start_ms"] = START_MS - 120_000
    diary["plug_below_mj"] = 2**60
    diary["leave_ms"] = stop_at_ms
    fleet.plan(diary, ev.Today(np.empty((0, 2), np.int64)))
    fleet.play(START_MS - 60_000, Orders.none())
    assert (fleet.state.rows["import_w"] > 0).all()
    held = fleet.state.rows["import_w"].astype(np.int64).copy()
    told, truth = [], []
    for second in range(SECONDS):
        readings = fleet.play(START_MS - 60_000 + (second + 1) * 1000, Orders.none()).readings
        held[readings.rows] = readings.import_w
        told.append(held.sum())
        truth.append(int(fleet.state.levels_w.sum()))
    return np.array(told[60:]), np.array(truth[60:])


def ramp(seed: int, n: int) -> I64:
    """What is told after all n have stopped together, second by second [W]; the first second is 1."""
    cars = population(seed, n)
    told, _ = held_sum(fleet_of(cars), np.full(n, START_MS, np.int64))
    return told


def half_way_s(told: I64) -> int:
    """When half of the step has been told [s]."""
    return int(np.argmax(told <= told[0] / 2)) + 1


def rms_error(seed: int, n: int) -> float:
    """Error of what is told, relative to all, its trend taken out; cars stop independently in ten minutes."""
    u = chance.units(chance.stream(seed, Purpose.ASSET_METER), np.arange(n, dtype=np.int64), number=77)[:, 0]
    late_ms = (-240_000 + 600_000 * u).astype(np.int64)
    stop_ms = np.where(late_ms < -60_000, NEVER_MS, START_MS + late_ms)
    told, truth = held_sum(fleet_of(population(seed, n)), stop_ms)
    share = (told - truth) / truth[0]
    seconds = np.arange(len(share))
    return float(np.std(share - np.polyval(np.polyfit(seconds, share, 1), seconds)))
