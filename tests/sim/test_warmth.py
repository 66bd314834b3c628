"""Who goes without warmth because of an event: each kind of heat has its own way of being missed."""

import numpy as np
import pytest

from devices import hot_water, resistive_heater, storage_heater
from protocol.messages import Technology
from sim.fleet import FleetState
from sim.scenario_people import Comfort
from sim.warmth import Felt, feel

NOON_MS = 1_705_406_400_000
LOOK_MS = 300_000
COMFORT = Comfort(complains_share=1.0, below_k=1.5, after_ms=600_000)


def lives(device, **fields):
    rows = np.zeros(1, device.STATE)
    for name, value in fields.items():
        rows[name] = value
    return FleetState(rows, np.zeros(1, device.DIARY), None, None, None, None, NOON_MS, 0)


def looks(technology, state, spec, times):
    """How many have had enough after each look."""
    felt, found = Felt.of(1), []
    for marks in times:
        state.rows["marks"] = marks
        found.append(len(feel(technology, state, spec, felt, COMFORT, LOOK_MS)))
        state.now_ms += LOOK_MS
    return found


@pytest.mark.parametrize(("room_c", "marks", "enough"), [
    (17.0, resistive_heater.HELD, [0, 0, 1, 1]),
    (19.0, resistive_heater.HELD, [0, 0, 0, 0]),
    (17.0, 0, [0, 0, 0, 0]),
])  # fmt: skip
def test_a_directly_heated_room_is_missed_while_it_is_held(room_c, marks, enough):
    state = lives(resistive_heater, room_c=room_c)
    state.diary["warm_from_ms"][0, 0], state.diary["warm_until_ms"][0, 0] = NOON_MS, NOON_MS * 2
    spec = np.zeros(1, resistive_heater.SPEC)
    spec["warm_c"], spec["setback_c"] = 20.0, 16.0
    assert looks(Technology.RESISTIVE, state, spec, [marks] * 4) == enough


def test_an_empty_core_is_missed_by_day_if_the_night_was_held_and_not_if_it_was_not():
    spec = np.zeros(1, storage_heater.SPEC)
    spec["floor_pct"] = 50
    state = lives(storage_heater, core_mj=1e9, target_mj=3_000_000_000)
    opened = storage_heater.OPEN
    assert looks(Technology.STORAGE_HEATER, state, spec, [storage_heater.HELD, *[opened] * 4]) == [
        0,
        0,
        0,
        1,
        1,
    ]
    assert looks(Technology.STORAGE_HEATER, state, spec, [0, *[opened] * 4]) == [0] * 5
    full = lives(storage_heater, core_mj=2e9, target_mj=3_000_000_000)
    assert looks(Technology.STORAGE_HEATER, full, spec, [storage_heater.HELD, *[opened] * 4]) == [0] * 5


def test_a_tap_that_runs_cold_is_complained_of_once_and_only_within_hours_of_a_hold():
    spec = np.zeros(1, hot_water.SPEC)
    for wait_ms, enough in ((LOOK_MS, 1), (5 * 3_600_000, 0)):
        state, felt = lives(hot_water, marks=hot_water.HELD), Felt.of(1)
        assert not len(feel(Technology.HOT_WATER, state, spec, felt, COMFORT, LOOK_MS))
        state.now_ms += wait_ms
        state.rows["marks"], state.rows["short_mj"] = 0, 5e8
        assert len(feel(Technology.HOT_WATER, state, spec, felt, COMFORT, LOOK_MS)) == enough
        assert not len(feel(Technology.HOT_WATER, state, spec, felt, COMFORT, LOOK_MS))
