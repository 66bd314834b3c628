"""Each law holds for a fleet that lives, and turns red for one that is broken on purpose."""

import numpy as np
import pytest

from devices import ev
from devices.ev import idle_diary, make_spec
from sim.fleet import Fleet
from sim.invariants import Broken, watch_fleet, watch_ledger, watch_money
from sim.play import Orders

START_MS = 1_705_363_200_000
WH = 3_600_000
LAWS = {
    "portfolio_is_sum_of_devices",
    "device_rating",
    "no_power_when_away",
    "battery_bounds",
    "no_event_in_the_past",
}


def living_fleet():
    """Four cars in two groups; the first two charge, the others are away."""
    spec = make_spec(4)
    spec["battery_mj"] = spec["stop_mj"] = spec["taper_mj"] = 60_000 * WH
    spec["charger_w"] = spec["taper_w"] = [7_000, 11_000, 7_000, 7_000]
    spec["read_every_ms"] = 60_000
    fleet = Fleet(
        ev,
        spec,
        ev.make_state(np.full(4, 20_000 * WH), START_MS),
        np.array([0, 1, 0, 1], np.int16),
        2,
        START_MS,
    )
    diary = idle_diary(4)
    diary["return_ms"][:2] = diary["start_ms"][:2] = START_MS + 1_000
    diary["plug_below_mj"] = 2**60
    fleet.plan(diary, ev.Today(np.empty((0, 2), np.int64)))
    fleet.play(START_MS + 3_600_000, Orders.none())
    return fleet


def broken_by(breaks):
    fleet = living_fleet()
    breaks(fleet.state)
    broken = Broken()
    watch_fleet(fleet, "lived", fleet.spec["charger_w"], broken)
    return broken


def test_a_fleet_that_lives_breaks_no_law():
    assert living_fleet().state.levels_w.tolist() == [7_000, 11_000]
    assert broken_by(lambda state: None) == Broken()


@pytest.mark.parametrize(
    ("law", "breaks", "cases"),
    [
        ("portfolio_is_sum_of_devices", lambda state: state.levels_w.__setitem__(1, 11_001), 1),
        ("portfolio_is_sum_of_devices", lambda state: state.levels_w.__iadd__(-1), 2),
        ("device_rating", lambda state: state.rows["import_w"].__setitem__(0, 7_001), 1),
        ("device_rating", lambda state: state.rows["import_w"].__setitem__(1, -1), 1),
        ("no_power_when_away", lambda state: state.rows["phase"].__setitem__(slice(None), ev.AWAY), 2),
        ("battery_bounds", lambda state: state.rows["charge_mj"].__setitem__(3, -1), 1),
        ("battery_bounds", lambda state: state.rows["charge_mj"].__setitem__(3, 60_000 * WH + 22_001), 1),
        ("no_event_in_the_past", lambda state: state.next_ms.__setitem__(2, state.now_ms - 1), 1),
    ],
)
def test_a_broken_fleet_turns_its_law_red(law, breaks, cases):
    broken = broken_by(breaks)
    assert broken.counts[law] == cases
    assert "lived" in broken.first[law]


def test_every_law_of_the_fleet_is_turned_red_by_something():
    def break_everything(state):
        state.rows["import_w"][:] = 50_000
        state.rows["phase"][:] = ev.AWAY
        state.rows["charge_mj"][:] = -5
        state.next_ms[:] = 0

    assert set(broken_by(break_everything).counts) == LAWS


@pytest.mark.parametrize("exact", [60_000 * WH, 60_000 * WH + 22_000, 0])
def test_a_battery_may_be_overfull_by_one_millisecond_and_no_more(exact):
    assert "battery_bounds" not in broken_by(lambda state: state.rows["charge_mj"].fill(exact)).counts


def test_an_event_due_now_is_not_in_the_past():
    assert broken_by(lambda state: state.next_ms.fill(state.now_ms)) == Broken()


def test_cases_add_up_and_the_first_is_kept_in_words():
    broken = Broken()
    for cases, words in ((0, "nothing"), (2, "first"), (3, "second")):
        broken.note("law", cases, words)
    assert broken == Broken({"law": 5}, {"law": "first"})


@pytest.mark.parametrize(
    ("stages", "law"),
    [
        (["issued", "accepted", "delivering", "completed"], None),
        (["issued", "declined"], None),
        (["issued", "accepted", "delivering"], "one_terminal_stage"),
        (["issued", "declined", "expired"], "one_terminal_stage"),
        (["accepted", "delivering", "completed"], "issued_first"),
    ],
)
def test_every_instruction_begins_as_issued_and_ends_once(stages, law):
    broken = Broken()
    watch_ledger({"E0": ["issued", "declined"], "E1": stages}, broken)
    assert list(broken.counts) == ([] if law is None else [law])
    assert all("E1" in words for words in broken.first.values())


def test_money_sums_to_nothing():
    broken = Broken()
    watch_money({"aggregator": 500, "eso": -300, "supplier": -200}, broken)
    assert broken == Broken()
    watch_money({"aggregator": 500, "eso": -499}, broken)
    assert broken.first == {"money_sums_to_nothing": "1 x 1e-5 GBP left over"}
