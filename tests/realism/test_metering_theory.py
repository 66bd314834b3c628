"""Targets T12 and T13: what aggregation does to meter errors and staggered reads, against closed forms."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from devices import ev
from devices.ev import NEVER_MS, idle_diary
from sim.fleet import MJ_PER_WH, Fleet
from sim.play import Orders
from sim.population import Population, make_population
from sim.scenario import Clock, EvMeter, Evs, Homes, Scenario

START_MS = 1_705_363_200_000
SECONDS = 180


def population(seed: int, homes: int, **evs: object) -> Population:
    """Cars at charge points only."""
    settings = Evs(share=1.0, telematics_share=0.0, **evs)  # type: ignore[arg-type]
    return make_population(
        Scenario(
            flextwin=1,
            name="meters",
            seed=seed,
            clock=Clock(start=date(2024, 1, 16)),
            homes=Homes(count=homes),
            evs=settings,
        )
    )


def test_independent_gain_errors_shrink_with_the_root_of_the_portfolio_and_a_shared_bias_never() -> None:
    for n, seeds in ((100, 300), (2500, 60)):
        own = [gain_of(seed, n, EvMeter(gain_sd=0.025)) for seed in range(seeds)]
        assert np.std(own) == pytest.approx(0.025 / np.sqrt(n), rel=0.25)  # T12 with equal weights
        shared = [gain_of(seed, n, EvMeter(maker_bias_sd=0.025, makers=1)) for seed in range(seeds)]
        assert np.std(shared) == pytest.approx(0.025, rel=0.25)


def gain_of(seed: int, n: int, meter: EvMeter) -> float:
    """Error of the sum of equal loads."""
    spec = population(seed, n, meter=meter).spec
    return float(spec["wh_per_mj"].mean() * MJ_PER_WH - 1)


def half_full(cars: Population) -> np.ndarray:
    """Cars away with half their charge."""
    return ev.make_state(cars.spec["battery_mj"] // 2, START_MS - 180_000)


def held_sum(fleet: Fleet, stop_at_ms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All cars charge and stop at their own moment.

    Gives the sum of their last readings and the truth, second by second [W].
    """
    n = len(fleet.spec)
    diary = idle_diary(n)
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


@pytest.mark.parametrize("n", [600, 6000])
def test_staggered_reads_of_devices_that_step_together_are_a_ramp_of_one_minute(n: int) -> None:
    cars = population(1, n)
    fleet = Fleet(ev, cars.spec, half_full(cars), cars.cell, int(cars.cell.max()) + 1, START_MS - 180_000)
    told, _ = held_sum(fleet, np.full(n, START_MS))
    half_way_s = int(np.argmax(told <= told[0] / 2)) + 1
    assert half_way_s == pytest.approx(30, abs=max(2, 60 / np.sqrt(n)))  # T13: half-way at 30 s, whatever n
    assert told[61] == 0


def test_with_independent_switching_the_rms_error_falls_as_one_over_root_n() -> None:
    errors = {}
    for n in (400, 6400):
        rms = []
        for seed in range(4):
            cars = population(seed, n)
            fleet = Fleet(
                ev, cars.spec, half_full(cars), cars.cell, int(cars.cell.max()) + 1, START_MS - 180_000
            )
            late = np.random.default_rng(seed).integers(-240_000, 360_000, n)  # noqa: TID251 - a test's own world
            stop = np.where(late < -60_000, NEVER_MS, START_MS + late)
            told, truth = held_sum(fleet, stop)
            share = (told - truth) / truth[0]
            rms.append(np.std(share - np.polyval(np.polyfit(range(len(share)), share, 1), range(len(share)))))
        errors[n] = np.mean(rms)
    assert errors[400] / errors[6400] == pytest.approx(4.0, rel=0.35)  # T13: n**-0.5 with n 16 times larger
