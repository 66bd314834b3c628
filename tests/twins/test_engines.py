"""The fast engine and one SimPy process per device tell the same story, row by row, event by event."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import ev
from devices.ev import idle_diary, make_spec
from sim.fleet import Fleet
from sim.play import Orders, Polls
from sim.reference import ReferenceFleet

START_MS = 1_705_363_200_000
HOUR_MS = 3_600_000
WH = 3_600_000


@st.composite
def worlds(draw: Any) -> dict[str, Any]:
    """A few cars with arbitrary days, quiet hours, orders (late, doubled, out of order) and stretches."""
    seed = draw(st.integers(0, 2**32 - 1))
    cars = draw(st.integers(1, 6))
    orders = draw(st.integers(0, 12))
    cuts = draw(st.lists(st.integers(1, 24 * HOUR_MS), max_size=4))
    return {"seed": seed, "cars": cars, "orders": orders, "cuts": sorted({*cuts, 24 * HOUR_MS})}


def fleet_parts(seed: int, cars: int) -> tuple[Any, Any, Any, Any]:
    """Specification, groups, charge and diary of a random fleet."""
    random = np.random.default_rng(seed)  # noqa: TID251 - a test's own world
    spec = make_spec(cars)
    spec["device"] = np.arange(cars)
    spec["battery_mj"] = random.integers(5_000, 90_000, cars) * WH
    for field, low, high in (
        ("stop_mj", 80, 101),
        ("taper_mj", 60, 110),
        ("target_mj", 50, 101),
        ("floor_mj", 0, 30),
    ):
        spec[field] = spec["battery_mj"] * random.integers(low, high, cars) // 100
    spec["charger_w"] = random.choice([1400, 3600, 7400, 22_000], cars)
    spec["taper_w"] = spec["charger_w"] // 2
    spec["wh_per_mj"] = random.uniform(0.95, 1.05, cars) / WH
    spec["pct_per_mj"] = 100.0 / spec["battery_mj"]
    spec["read_every_ms"] = random.choice([60_000, 300_000], cars)
    spec["read_at_ms"] = (random.random(cars) * spec["read_every_ms"]).astype(int)
    spec["traits"] = random.integers(0, 16, cars)
    spec = spec[np.lexsort((spec["read_at_ms"], spec["read_every_ms"]))]
    diary = idle_diary(cars)
    moment = lambda: START_MS + random.integers(0, 24 * HOUR_MS, cars)  # noqa: E731
    for field in ("leave_ms", "return_ms", "ready_ms", "look_ms", "unplug_ms"):
        diary[field] = np.where(random.random(cars) < 0.7, moment(), ev.NEVER_MS)
    diary["delay_s"] = random.integers(0, 600, cars)
    diary["start_ms"] = np.where(
        diary["return_ms"] < ev.NEVER_MS, diary["return_ms"] + diary["delay_s"] * 1000, START_MS
    )
    diary["drive_mj"] = random.integers(0, 60_000, cars) * WH
    diary["plug_below_mj"] = np.where(random.random(cars) < 0.8, 2**60, random.integers(0, 60_000, cars) * WH)
    diary["types_soc"] = random.integers(0, 2, cars)
    diary["typed_error_pct"] = random.integers(-30, 30, cars)
    return (
        spec,
        random.integers(0, 3, cars).astype(np.int16),
        random.integers(0, 100, cars) * spec["battery_mj"] // 100,
        diary,
    )


def make_orders(seed: int, cars: int, count: int) -> Orders:
    """Orders for random rows at random times, with random windows and sequence numbers."""
    random = np.random.default_rng(seed + 1)  # noqa: TID251
    rows = np.sort(random.integers(0, cars, count)).astype(np.int32)
    arrival = START_MS + random.integers(0, 24 * HOUR_MS, count)
    order = np.lexsort((arrival, rows))
    start = arrival + random.choice([0, -60_000, 1, 90_500, 600_000], count)
    return Orders(
        rows=rows[order],
        arrival_ms=arrival[order],
        limit_w=random.choice([-1, 0, 1379, 2000, 50_000], count).astype(np.int32),
        from_ms=start[order],
        until_ms=(start + random.integers(-1000, 8 * HOUR_MS, count))[order],
        sequence=random.integers(0, 20, count).astype(np.int32),
        response_dsr=random.integers(0, 2, count).astype(np.int8),
    )


def between(orders: Orders, from_ms: int, until_ms: int) -> Orders:
    """The orders that arrive in a stretch."""
    keep = (orders.arrival_ms >= from_ms) & (orders.arrival_ms < until_ms)
    return Orders(*(getattr(orders, name)[keep] for name in Orders.__slots__))


def make_polls(seed: int, cars: int, from_ms: int, until_ms: int) -> Polls:
    """A few wishes for a reading within a stretch."""
    random = np.random.default_rng(seed + until_ms % 1000)  # noqa: TID251
    count = int(random.integers(0, 4))
    rows, at_ms = random.integers(0, cars, count), random.integers(from_ms, until_ms, count)
    order = np.lexsort((at_ms, rows))
    return Polls(rows[order].astype(np.int32), at_ms[order])


def lived(
    kind: type[Fleet], world: dict[str, Any], cuts: list[int], workers: int = 1, *, with_polls: bool = False
) -> dict[str, Any]:
    """All that a fleet tells of one day played in the given stretches."""
    spec, group, charge, diary = fleet_parts(world["seed"], world["cars"])
    fleet = kind(
        ev, spec, ev.make_state(charge, START_MS), group, 3, START_MS, workers=workers, keep_events=True
    )
    quiet_ms = np.array([[START_MS + 8 * HOUR_MS, START_MS + 11 * HOUR_MS]], np.int64)
    fleet.plan(diary, ev.Today(quiet_ms))
    orders = make_orders(world["seed"], world["cars"], world["orders"])
    told: dict[str, list[Any]] = {"seconds": [], "events": [], "readings": [], "sessions": [], "outcome": []}
    for cut in cuts:
        now_ms, until_ms = fleet.state.now_ms, START_MS + cut
        polls = make_polls(world["seed"], world["cars"], now_ms, until_ms) if with_polls else None
        played = fleet.play(until_ms, between(orders, now_ms, until_ms), polls=polls)
        told["seconds"].append(fleet.seconds_w)
        told["events"] += fleet.events.tolist()
        readings, sessions = played.readings, played.sessions
        told["readings"] += zip(
            *(getattr(readings, name).tolist() for name in type(readings).__slots__), strict=True
        )
        told["sessions"] += zip(
            *(getattr(sessions, name).tolist() for name in type(sessions).__slots__), strict=True
        )
        told["outcome"] += played.outcome.tolist()
    return {
        "seconds": np.concatenate(told["seconds"], axis=1).tolist(),
        "events": told["events"],
        "readings": sorted(told["readings"]),
        "sessions": sorted(told["sessions"]),
        "outcomes": sorted(told["outcome"]),
        "marks": fleet.state.rows[["phase", "marks", "limit_w", "sequence"]].tolist(),
        "registers": fleet.registers_mj().tolist(),
        "shortfall": fleet.state.promise_wh.tolist(),
        "lived": fleet.state.events_lived,
    }


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_fast_and_reference_engine_tell_the_same_story(world: dict[str, Any]) -> None:
    fast, slow = (lived(kind, world, world["cuts"], with_polls=True) for kind in (Fleet, ReferenceFleet))
    for what in fast:
        assert fast[what] == slow[what], what


@settings(max_examples=30, deadline=None)
@given(worlds())
def test_a_day_is_the_same_in_stretches_of_any_length_and_for_any_number_of_workers(
    world: dict[str, Any],
) -> None:
    whole, pieces = lived(Fleet, world, [24 * HOUR_MS]), lived(Fleet, world, world["cuts"], workers=3)
    for what in whole:
        assert whole[what] == pieces[what], what


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_energy_is_conserved_and_ratings_hold(world: dict[str, Any]) -> None:
    spec, group, charge, diary = fleet_parts(world["seed"], world["cars"])
    fleet = Fleet(ev, spec, ev.make_state(charge, START_MS), group, 3, START_MS, keep_events=True)
    fleet.plan(diary, ev.Today(np.empty((0, 2), np.int64)))
    orders = make_orders(world["seed"], world["cars"], world["orders"])
    fleet.play(START_MS + 24 * HOUR_MS, orders)
    joules = fleet.seconds_w.sum()
    assert np.all(fleet.seconds_w >= 0)
    assert (
        abs(int(joules) * 1000 - int(fleet.registers_mj().sum())) <= 1000 * 22_000 * fleet.state.events_lived
    )
    rows = fleet.state.rows
    assert np.all(rows["charge_mj"] >= 0)
    assert np.all(rows["charge_mj"] <= np.maximum(charge, spec["stop_mj"]) + 22_000)
    assert np.all((rows["import_w"] >= 0) & (rows["import_w"] <= spec["charger_w"]))
    assert np.all(rows["import_w"][rows["phase"] == ev.AWAY] == 0)
