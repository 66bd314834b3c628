"""Every promise to a driver is judged at its deadline and taken down once."""

from datetime import date, timedelta

import numpy as np
import pytest

from protocol import periods
from sim.fleets import Arms, Fleets
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


def lived(days, scenario=SCENARIO):
    """People and their fleet after some planning moments, the last one included."""
    first_day = scenario.clock.start
    population = make_population(scenario)
    groups = int(population.cell.max()) + 1
    fleet = Fleets(
        population.parts,
        population.cell,
        groups,
        periods.day_start_ms(first_day),
        keep_events=True,
    )
    temperatures = make_weather(Weather(), first_day, days + 1, 1, None)
    people = People(scenario, population, temperatures, Arms(fleet, fleet, None), first_day)
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


@pytest.mark.parametrize("ready_by", ["00:00", "02:00", "04:29", "04:30", "04:31", "07:00", "18:00", "24:00"])
def test_a_deadline_at_any_time_of_the_day_is_judged_at_that_time_every_day(ready_by):
    evs = SCENARIO.evs.model_copy(update={"ready_by": int(ready_by[:2]) * 60 + int(ready_by[3:])})
    people, events = lived(4, SCENARIO.model_copy(update={"evs": evs}))
    taken = [fleets[0] for fleets in people.take_judged()]
    shown_ms = [periods.day_start_ms(DAY) + evs.ready_by % 1440 * 60_000 + k * 86_400_000 for k in range(6)]
    night = int(ready_by not in {"04:31", "07:00", "18:00"})  # of the diary of day 1: it ends on day 2
    for place, promises in enumerate(taken[2:], start=1):
        assert set(promises.ready_by_ms.tolist()) == {shown_ms[place + night]}
        assert len(promises.rows) > 20
    late_by_ms = np.subtract.outer(events["at_ms"][events["kind"] == 8], shown_ms)
    assert (np.abs(late_by_ms).min(axis=1) < 12 * 3_600_000).all()  # who leaves early is judged on leaving


@pytest.mark.parametrize(
    ("change_day", "clock_ms"),
    [
        (date(2024, 3, 31), 3_600_000),  # 01:30 is left out: the moment of the jump, 01:00 UTC
        (date(2024, 10, 27), 1_800_000),  # 01:30 comes twice: the first, 00:30 UTC
    ],
)
def test_a_deadline_in_the_hour_of_a_clock_change_is_judged_that_night(change_day, clock_ms):
    utc_midnight_ms = (change_day.toordinal() - date(1970, 1, 1).toordinal()) * 86_400_000
    clock = SCENARIO.clock.model_copy(update={"start": change_day - timedelta(days=2)})
    evs = SCENARIO.evs.model_copy(update={"ready_by": 90})
    people, _ = lived(4, SCENARIO.model_copy(update={"clock": clock, "evs": evs}))
    deadlines = [set(fleets[0].ready_by_ms.tolist()) for fleets in people.take_judged()]
    assert deadlines[2] == {utc_midnight_ms + clock_ms}
    assert len(deadlines[3]) == 1


def test_promises_of_the_night_after_the_last_day_are_in_the_results(tmp_path):
    outcome = run_scenario(SCENARIO, tmp_path / "run", text="")
    deadlines = RunFolder(outcome.folder).table("promises", ["ready_by_ms"])["ready_by_ms"].to_pylist()
    assert periods.local_clock_ms(DAY + timedelta(days=1), 7) in deadlines
