"""For every kind of device: the compiled engine and one SimPy process per device tell the same story."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.kinds import MODULES, module_of_types
from sim.fleet import Fleet
from sim.homes import make_homes
from sim.households import BaseLoad, plan_moment_ms
from sim.kinds.appliances import Appliances, Dishwashers
from sim.kinds.batteries import Batteries, HomeBatteries
from sim.kinds.businesses import BackUpGenerators, Businesses, BusinessSites, Generators
from sim.kinds.evs import Cars
from sim.kinds.fridges import FridgeFreezers, Fridges
from sim.kinds.heat_pumps import HeatPumpKind, HeatPumps
from sim.kinds.hot_water import HotWater, HotWaterCylinders
from sim.kinds.kind import Drawn, Kind
from sim.kinds.pv import Pv, Roofs
from sim.kinds.resistive_heaters import ResistiveHeaterHomes, ResistiveHeaters
from sim.kinds.storage_heaters import StorageHeaterHomes, StorageHeaters
from sim.play import Orders, Polls
from sim.reference import ReferenceFleet
from sim.scenario import Evs, Homes, Weather
from sim.sky import make_sky
from sim.tariffs import StaticTariff
from sim.weather import make_weather

DAY = date(2024, 3, 12)
HOUR_MS = 3_600_000
SEED = 7
ROWS = 5
GROUPS = 3
FIRST_ROW = 1000


@cache
def homes() -> Any:
    return make_homes(Homes(count=ROWS), SEED)


def everyone() -> Any:
    return np.arange(ROWS, dtype=np.int32)


EVERY_OTHER = np.arange(ROWS) % 2 == 0
TARIFF = StaticTariff(EVERY_OTHER, EVERY_OTHER, EVERY_OTHER, ((16 * 60, 19 * 60),), ())
"""Every other home is on a time-of-use tariff."""


@cache
def kinds() -> dict[str, Kind]:
    """One kind of each module, owned by every home."""
    who: tuple[Any, ...] = (homes(), everyone(), SEED)
    roofs = Roofs(Pv(tells_total_share=1.0, inverter_gain_sd=0.03), *who)
    found: list[Kind] = [
        Cars(Evs(annual_miles_median=30_000.0, boost_share=0.2), *who, TARIFF),
        HeatPumpKind(HeatPumps(), *who),
        StorageHeaterHomes(StorageHeaters(smart_share=1.0), *who),
        ResistiveHeaterHomes(ResistiveHeaters(), *who),
        HotWaterCylinders(HotWater(smart_share=1.0), *who),
        HomeBatteries(Batteries(), *who, BaseLoad(homes(), Homes(count=ROWS), SEED), roofs, TARIFF),
        roofs,
        Appliances(Dishwashers(), *who, TARIFF),
        FridgeFreezers(Fridges(plug_share=1.0), *who),
        BusinessSites(Businesses(), *who),
        Generators(BackUpGenerators(), *who),
    ]
    return {kind.device.__name__.split(".")[-1]: kind for kind in found}


NAMES = [module.__name__.split(".")[-1] for module in MODULES]


def power_cuts_ms(regions: int) -> Any:
    """Every region dark at its own hours of both days: long, short, over the planning moment."""
    start_ms = plan_moment_ms(DAY)
    cuts = [(3.2, 5.7), (5.5, 6.0), (13.1, 13.11), (23.6, 24.9)]
    return np.array(
        [
            [[start_ms + int((hour + region / 7) * HOUR_MS) for hour in cut] for cut in cuts]
            for region in range(regions)
        ]
    )


@cache
def drawn_of(name: str, dark: bool = False) -> tuple[Drawn, list[tuple[Any, Any]]]:
    """Rows of a kind, and what two days bring them; with power cuts if `dark`."""
    kind = kinds()[name]
    weather = make_weather(Weather(), DAY - timedelta(days=1), 5, SEED, None)
    days = []
    for day in (DAY, DAY + timedelta(days=1)):
        first_ms = plan_moment_ms(day)
        sky = replace(make_sky(weather, homes().group_names, SEED, first_ms, 48), mean_c=5.0)
        drawn = kind.draw(plan_moment_ms(DAY))
        today = kind.shared_day(day, sky)
        if dark:
            today = today._replace(cuts_ms=power_cuts_ms(len(homes().group_names)))
        days.append((kind.diary(drawn, day, sky), today))
    if dark and name != "ev":
        drawn.spec["restart_s"] = np.arange(ROWS) * 97
    return drawn, days


def orders_of(seed: int, count: int, rating_w: int) -> Orders:
    """Orders for random rows at random times, with random windows and sequence numbers."""
    random = np.random.default_rng(seed)  # noqa: TID251 - a test's own world
    rows = np.sort(random.integers(0, ROWS, count)).astype(np.int32)
    arrival = plan_moment_ms(DAY) + random.integers(0, 30 * HOUR_MS, count)
    order = np.lexsort((arrival, rows))
    start = arrival + random.choice([0, -60_000, 1, 90_500, 600_000], count)
    return Orders(
        rows=rows[order],
        arrival_ms=arrival[order],
        limit_w=random.choice([-rating_w, -700, -1, 0, 150, 2000, rating_w], count).astype(np.int32),
        from_ms=start[order],
        until_ms=(start + random.integers(-1000, 8 * HOUR_MS, count))[order],
        sequence=random.integers(0, 40, count).astype(np.int32),
        response_dsr=random.integers(0, 2, count).astype(np.int8),
    )


def between(orders: Orders, from_ms: int, until_ms: int) -> Orders:
    keep = (orders.arrival_ms >= from_ms) & (orders.arrival_ms < until_ms)
    return Orders(*(getattr(orders, name)[keep] for name in Orders.__slots__))


def listed(columns: Any) -> list[Any]:
    return list(zip(*(getattr(columns, name).tolist() for name in type(columns).__slots__), strict=True))


def lived(
    engine: type[Fleet], name: str, seed: int, count: int, cuts: list[int], *, dark: bool = False
) -> dict[str, Any]:
    """All that a fleet tells of 30 hours, a second planning moment among them."""
    drawn, days = drawn_of(name, dark)
    start_ms, next_ms = plan_moment_ms(DAY), plan_moment_ms(DAY + timedelta(days=1))
    group = (np.arange(ROWS) % GROUPS).astype(np.int16)
    fleet = engine(
        kinds()[name].device, drawn.spec, drawn.state, group, GROUPS, start_ms, first_row=FIRST_ROW,
        keep_events=True,
    )  # fmt: skip
    fleet.plan(days[0][0], days[0][1], look=True)
    orders = orders_of(seed, count, int(drawn.rating_w.max()))
    told: dict[str, list[Any]] = {"seconds": [], "events": [], "readings": [], "sessions": [], "outcome": []}
    for until_ms in sorted({*(start_ms + cut for cut in cuts), next_ms, start_ms + 30 * HOUR_MS}):
        now_ms = fleet.state.now_ms
        polls = Polls(np.array([seed % ROWS], np.int32), np.array([now_ms]))
        played = fleet.play(until_ms, between(orders, now_ms, until_ms), polls=polls)
        told["seconds"].append(fleet.seconds_w)
        told["events"] += fleet.events.tolist()
        told["readings"] += listed(played.readings)
        told["sessions"] += listed(played.sessions)
        told["outcome"] += played.outcome.tolist()
        if until_ms == next_ms:
            fleet.plan(days[1][0], days[1][1])
    return {
        "events": told["events"],
        "outcome": told["outcome"],
        "seconds": np.concatenate(told["seconds"], axis=1).tolist(),
        "readings": sorted(told["readings"]),
        "sessions": sorted(told["sessions"]),
        "rows": fleet.state.rows.tolist(),
        "registers": fleet.registers_mj().tolist(),
        "promises": fleet.state.promise_wh.tolist(),
        "lived": fleet.state.events_lived,
    }


@pytest.mark.parametrize("name", NAMES)
def test_both_engines_tell_the_same_story_of_every_kind(name: str) -> None:
    @settings(max_examples=4, deadline=None)
    @given(st.integers(0, 2**31), st.integers(0, 40), st.lists(st.integers(1, 30 * HOUR_MS), max_size=3))
    def compare(seed: int, count: int, cuts: list[int]) -> None:
        fast, slow = (lived(engine, name, seed, count, cuts) for engine in (Fleet, ReferenceFleet))
        for what in fast:
            assert fast[what] == slow[what], what

    compare()


@pytest.mark.parametrize("name", NAMES)
def test_both_engines_tell_the_same_story_of_power_cuts(name: str) -> None:
    fast, slow = (lived(engine, name, 11, 30, [7_654_321], dark=True) for engine in (Fleet, ReferenceFleet))
    for what in fast:
        assert fast[what] == slow[what], what


@pytest.mark.parametrize("name", NAMES)
def test_in_the_dark_nothing_is_drawn_or_given_and_afterwards_it_is_again(name: str) -> None:
    drawn, days = drawn_of(name, dark=True)
    start_ms = plan_moment_ms(DAY)
    rows = np.arange(ROWS).astype(np.int16)
    device = kinds()[name].device
    dark, lit = (Fleet(device, drawn.spec, drawn.state, rows, ROWS, start_ms) for _ in range(2))
    dark.plan(days[0][0], days[0][1], look=True)
    lit.plan(days[0][0].copy(), drawn_of(name)[1][0][1], look=True)
    orders = between(orders_of(5, 40, int(drawn.rating_w.max())), start_ms, start_ms + 23 * HOUR_MS)
    seconds_w = {}
    for fleet in (dark, lit):
        fleet.play(start_ms + 23 * HOUR_MS, orders, read=False)
        seconds_w[fleet is dark] = fleet.seconds_w
    cuts_ms = power_cuts_ms(len(homes().group_names))[drawn.spec["region"], :3]
    for row, cuts in enumerate(cuts_ms):
        for from_ms, until_ms in (cuts - start_ms) // 1000 + 1:
            assert not seconds_w[True][row, from_ms : until_ms - 1].any()
    first = int(cuts_ms[:, 0, 0].min() - start_ms) // 1000
    assert np.array_equal(seconds_w[True][:, :first], seconds_w[False][:, :first])
    if name not in ("pv", "generator"):  # a March morning, and no order for export after the first cut
        last = int(cuts_ms[:, 1, 1].max() - start_ms) // 1000
        assert seconds_w[True][:, last:].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_day_of_every_kind_has_events_readings_and_orders_taken(name: str) -> None:
    told = lived(Fleet, name, 3, 40, [])
    assert len(told["events"]) > 20
    assert {FIRST_ROW + row for row in range(ROWS)} == {reading[0] for reading in told["readings"]}
    assert 0 in told["outcome"]


def test_two_kinds_with_the_same_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="the same STATE"):
        module_of_types((MODULES[0], MODULES[0]))
