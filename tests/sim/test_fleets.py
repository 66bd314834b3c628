"""Fleets of several kinds have the face of one: rows of the population, sums over all of them."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from devices import battery, ev, fridge
from sim.fleet import Fleet
from sim.fleets import EVENT_NAMES, Fleets
from sim.homes import make_homes
from sim.households import BaseLoad, plan_moment_ms
from sim.kinds.batteries import Batteries, HomeBatteries
from sim.kinds.evs import Cars
from sim.kinds.fridges import FridgeFreezers, Fridges
from sim.kinds.kind import Part
from sim.play import Orders, Polls
from sim.reference import ReferenceFleet
from sim.scenario import Evs, Homes, Weather
from sim.sky import make_sky
from sim.weather import make_weather

DAY = date(2024, 1, 16)
START_MS = plan_moment_ms(DAY)
HOUR_MS = 3_600_000
HOMES, GROUPS, SEED = 6, 2, 3


def street():
    """Cars and batteries in every home, and fridges that nobody can reach."""
    settings = Homes(count=HOMES)
    homes = make_homes(settings, SEED)
    who = (homes, np.arange(HOMES, dtype=np.int32), SEED)
    kinds = [
        Cars(Evs(annual_miles_median=30_000.0), *who),
        HomeBatteries(Batteries(), *who, BaseLoad(homes, settings, SEED)),
        FridgeFreezers(Fridges(plug_share=0.0), *who),
    ]
    parts = [Part(kind, kind.draw(START_MS), place * HOMES) for place, kind in enumerate(kinds)]
    weather = make_weather(Weather(), DAY, 3, SEED, None)
    sky = replace(make_sky(weather, homes.group_names, SEED, START_MS, 48), mean_c=5.0)
    return parts, [(part.kind.diary(part.drawn, DAY, sky), part.kind.shared_day(DAY, sky)) for part in parts]


def living(engine=Fleet, workers=1):
    parts, days = street()
    group = (np.arange(3 * HOMES) % GROUPS).astype(np.int16)
    fleets = Fleets(
        parts, group, GROUPS, START_MS, reachable=2 * HOMES, engine=engine, workers=workers, keep_events=True
    )
    for fleet, day in zip(fleets.fleets, days, strict=True):
        fleet.plan(*day, look=True)
    return fleets


def orders():
    """One for a battery, one for a car, one more for the same battery."""
    arrival_ms = START_MS + np.array([14 * HOUR_MS, 10 * HOUR_MS, 11 * HOUR_MS])
    return Orders(
        rows=np.array([3, HOMES + 1, HOMES + 1], np.int32),
        arrival_ms=arrival_ms,
        limit_w=np.array([0, 1_000, -1_500], np.int32),
        from_ms=arrival_ms,
        until_ms=arrival_ms + HOUR_MS,
        sequence=np.array([1, 1, 2], np.int32),
        response_dsr=np.ones(3, np.int8),
    )


def lived(engine=Fleet, workers=1):
    fleets = living(engine, workers)
    polls = Polls(np.array([2, HOMES], np.int32), np.array([START_MS + 5, START_MS + 6]))
    heard = []
    played = fleets.play(
        START_MS + 20 * HOUR_MS, orders(), polls=polls, hear=lambda it: heard.append(it) or len(it.rows)
    )
    return fleets, played, heard


def test_readings_come_with_the_rows_of_the_population_and_from_reachable_ones_alone():
    _, played, heard = lived()
    rows = np.concatenate([piece.rows for piece in heard])
    assert set(rows.tolist()) == set(range(2 * HOMES))
    assert sum(played.heard) == len(rows)
    at = {(row, ms) for piece in heard for row, ms in zip(piece.rows, piece.event_ms, strict=True)}
    assert {(2, START_MS + 5), (HOMES, START_MS + 6)} <= at


def test_orders_reach_their_rows_whatever_their_kind():
    fleets, played, _ = lived()
    told = fleets.events
    taken = told[np.array([EVENT_NAMES[kind] == "ORDER" for kind in told["kind"].tolist()])]
    assert taken["row"].tolist() == [HOMES + 1, HOMES + 1, 3]  # by time
    assert sorted(taken["value"].tolist()) == sorted(played.outcome.tolist())
    assert played.outcome.tolist()[1:] == [0, 0]
    assert fleets.fleets[1].state.rows["sequence"].tolist() == [0, 2, 0, 0, 0, 0]


def test_events_are_called_as_their_own_kind_calls_them():
    fleets, _, _ = lived()
    told = fleets.events
    for kind, module in enumerate((ev, battery, fridge)):
        mine = told[told["row"] // HOMES == kind]
        names = {EVENT_NAMES[number] for number in mine["kind"].tolist()}
        assert names
        assert names <= {member.name for member in module.EventKind}
    assert np.all(np.diff(told["at_ms"]) >= 0)
    assert {EVENT_NAMES[int(kind)] for kind in ev.EventKind} == {kind.name for kind in ev.EventKind}


def test_seconds_are_sums_over_all_kinds_and_add_up_to_the_registers():
    fleets, _, _ = lived()
    assert fleets.state.levels_w.sum() == sum(fleet.state.rows["import_w"].sum() for fleet in fleets.fleets)
    assert (fleets.fleets[1].state.rows["export_mj"] > 0).any()  # an export tariff, and an order
    off_mj = int(fleets.seconds_w.sum()) * 1000 - int(fleets.registers_mj().sum())
    assert abs(off_mj) <= 22_000 * 1000 * fleets.state.events_lived


@pytest.mark.parametrize("engine", [Fleet, ReferenceFleet])
def test_the_seconds_of_all_are_those_that_each_kind_has_alone(engine):
    together, apart = living(engine), living(engine).fleets
    for until_ms in (START_MS + 11 * HOUR_MS + 1, START_MS + 20 * HOUR_MS):
        together.play(until_ms, Orders.none(), read=False)
        for fleet in apart:
            fleet.play(until_ms, Orders.none(), read=False)
        assert together.seconds_w.any()
        assert together.seconds_w.tolist() == sum(fleet.seconds_w for fleet in apart).tolist()


@pytest.mark.parametrize(("engine", "workers"), [(ReferenceFleet, 1), (Fleet, 3)])
def test_the_engine_and_the_number_of_threads_change_nothing(engine, workers):
    (one, played, heard), (two, as_well, also) = lived(), lived(engine, workers)
    taken = [
        sorted(
            place
            for it in pieces
            for place in zip(*(column.tolist() for column in it.columns()), strict=True)
        )
        for pieces in (heard, also)
    ]
    assert taken[0] == taken[1]
    assert one.events.tolist() == two.events.tolist()
    assert one.seconds_w.tolist() == two.seconds_w.tolist()
    assert played.outcome.tolist() == as_well.outcome.tolist()
    for fleet, other in zip(one.fleets, two.fleets, strict=True):
        assert fleet.state.rows.tolist() == other.state.rows.tolist()


def test_a_state_put_back_is_lived_on_from():
    fleets, other = living(), living()
    fleets.play(START_MS + HOUR_MS, Orders.none(), read=False)
    other.state = fleets.state
    assert other.state.now_ms == START_MS + HOUR_MS
    assert other.registers_mj().tolist() == fleets.registers_mj().tolist()
    assert [fleet.state is mine.state for fleet, mine in zip(other.fleets, fleets.fleets, strict=True)] == [
        True
    ] * 3


def test_a_fleet_nobody_planned_says_nothing():
    parts, _ = street()
    fleets = Fleets(parts, np.zeros(3 * HOMES, np.int16), 1, START_MS)
    fleets.play(START_MS + HOUR_MS, Orders.none(), read=False)
    assert fleets.state.now_ms == START_MS + HOUR_MS
    with pytest.raises(RuntimeError, match="must be planned"):
        fleets.play(START_MS + 2 * HOUR_MS, Orders.none())


@pytest.mark.parametrize("engine", [Fleet, ReferenceFleet])
def test_a_kind_whose_homes_lie_in_few_of_the_sums_adds_to_those_alone(engine):
    parts, days = street()
    group = np.repeat(np.array([40, 7, 7], np.int16), HOMES)
    fleets = Fleets(parts, group, 50, START_MS, engine=engine)
    for fleet, day in zip(fleets.fleets, days, strict=True):
        fleet.plan(*day, look=True)
    fleets.play(START_MS + 2 * HOUR_MS, Orders.none(), read=False)
    with_power = np.flatnonzero(np.abs(fleets.seconds_w).sum(axis=1))
    assert with_power.tolist() == [7]  # the cars are away
    assert fleets.seconds_w.shape == (50, 2 * 3600)
    sums = [fleet.state.rows["import_w"].sum() for fleet in fleets.fleets]
    assert fleets.state.levels_w[7] == sums[1] + sums[2]
