"""Every promise to a driver is judged at its deadline and taken down once."""

from datetime import date, timedelta

import numpy as np

from protocol import periods
from sim.fleet import Fleet
from sim.households import plan_moment_ms
from sim.people import People
from sim.play import Orders
from sim.population import make_population
from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario import Clock, Evs, Homes, Scenario, Weather
from sim.weather import make_weather

DAY = date(2024, 1, 16)
SCENARIO = Scenario(
    flextwin=1,
    name="people",
    clock=Clock(start=DAY, history_days=1, settlement_days=2),
    homes=Homes(count=120),
    evs=Evs(share=1.0, annual_miles_median=40_000.0),
)


def lived(days):
    """People and their fleet after some planning moments, the last one included."""
    population = make_population(SCENARIO)
    groups = int(population.cell.max()) + 1
    fleet = Fleet(
        population.spec,
        population.cell,
        groups,
        population.charge_mj,
        periods.day_start_ms(DAY),
        keep_events=True,
    )
    people = People(SCENARIO, population, make_weather(Weather(), DAY, days + 1, 1, None), [fleet], DAY)
    events = []
    for _ in range(days):
        now_ms = people.next_deadline_ms()
        fleet.play(now_ms, Orders.none(), read=False)
        events.append(fleet.events)
        people.on_deadline(now_ms)
    return people, np.concatenate(events)


def test_planning_moments_follow_each_other_day_by_day():
    people, _ = lived(3)
    assert people.next_deadline_ms() == plan_moment_ms(DAY + timedelta(days=3))
    assert people.take_outbox() == []


def test_every_deadline_of_a_plugged_in_car_is_taken_down_once():
    people, events = lived(4)
    taken = [fleets[0] for fleets in people.take_judged()]
    assert [len(promises.rows) for promises in taken[:2]] == [
        0,
        0,
    ]  # before the first night nobody is plugged in
    checks = events[events["kind"] == 8]
    assert sorted(checks["row"].tolist()) == sorted(np.concatenate([it.rows for it in taken]).tolist())
    assert sorted(checks["value"].tolist()) == sorted(np.concatenate([it.short_wh for it in taken]).tolist())
    for place, promises in enumerate(taken[2:], start=1):
        assert len(promises.rows) > 20
        assert set(promises.ready_by_ms.tolist()) == {periods.local_clock_ms(DAY + timedelta(days=place), 7)}
    assert people.take_judged() == []


def test_promises_of_the_night_after_the_last_day_are_in_the_results(tmp_path):
    outcome = run_scenario(SCENARIO, tmp_path / "run", text="")
    deadlines = RunFolder(outcome.folder).table("promises", ["ready_by_ms"])["ready_by_ms"].to_pylist()
    assert periods.local_clock_ms(DAY + timedelta(days=1), 7) in deadlines
