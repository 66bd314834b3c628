"""DFS of 2026 from the aggregator's side: units of one zone each, bids to draw more, results either way."""

from dataclasses import replace

import numpy as np
import pytest

from aggregator.bidding import dfs_megawatts
from aggregator.forecast import Availability, Forecast
from aggregator.instructions import Bid, Book, take_result
from aggregator.registry import dfs_registrations, enrol
from aggregator.requirements import verdict
from aggregator.settings import Assumptions
from protocol.messages import DfsRequirement, DfsResult, HomeRegistration, Service

ASSUMED = Assumptions()


def by_zone(tools, least_mw=0.1):
    return replace(tools.RULES, dfs_minimum_unit_mw=least_mw, dfs_by_zone=True)


# ---------------------------------------------------------------------------------------------------- zones


def test_every_unit_lies_in_one_zone_and_holds_all_of_it(tools):
    assets = tools.registration(3000, Service.DFS, units=3)
    registry = enrol(assets, by_zone(tools), ASSUMED)
    told = dfs_registrations(registry)
    assert [(unit.unit, unit.zone) for unit in told] == [
        ("DFS_A001", "_A"),
        ("DFS_B001", "_B"),
        ("DFS_C001", "_C"),
    ]
    for place, unit in enumerate(told):
        assert unit.homes.tolist() == list(range(place, 3000, 3))


def test_a_zone_with_too_little_has_no_unit(tools):
    assets = tools.registration(3000, Service.DFS, units=2)
    assets = replace(assets, unit=(np.arange(3000) < 50).astype(np.int16))  # 50 x 0.9 kW in _B
    registry = enrol(assets, by_zone(tools), ASSUMED)
    assert [registry.groups[place].zone for place in registry.groups_of(Service.DFS)] == ["_A"]
    assert registry.excluded == 50
    assert set(registry.group[:50].tolist()) == {0}


def test_homes_that_act_by_hand_are_in_units_of_their_zone(tools):
    homes = np.arange(5000, 9000, dtype=np.int32)
    zone = (np.arange(4000) % 2).astype(np.int16)
    by_hand = HomeRegistration(homes, np.ones(4000, np.int8), zone, ("_A", "_B"))
    registry = enrol(tools.registration(0, Service.DFS), by_zone(tools), ASSUMED, by_hand, 100.0)
    units = {unit.unit: unit for unit in dfs_registrations(registry)}
    assert {name: unit.zone for name, unit in units.items()} == {"DFSH_A001": "_A", "DFSH_B001": "_B"}
    assert units["DFSH_B001"].homes.tolist() == list(range(5001, 9000, 2))


# ----------------------------------------------------------------------------------------------------- bids


def test_a_bid_to_turn_up_by_hand(tools):
    # 2 MW waits; at 70 % z = 0.5244, half of it uncertain: 2 x (1 - 0.2622) = 1.4756 MW; 1.2 MW is left.
    waits = Availability(Forecast(5e6, 1e6, 10), 1.0, 0.9, waiting_w=2e6)
    settings, rules = replace(tools.SETTINGS, confidence=0.7), by_zone(tools)
    bid = dfs_megawatts([waits, waits], [9.0, 1.2], 1.0, settings, rules, ASSUMED, turn_up=True)
    assert bid == (1.4, 1.2)


def test_the_surer_it_wants_to_be_the_less_is_offered():
    waits = Availability(Forecast(5e6, 1e6, 10), 1.0, 0.9, waiting_w=2e6)
    offers = [waits.turn_up_w(confidence, 0.5) for confidence in (0.5, 0.6, 0.8, 0.9, 0.999)]
    assert offers == sorted(offers, reverse=True)
    assert (offers[0], offers[-1]) == (2e6, 0.0)


@pytest.mark.parametrize(
    ("mw", "kind"),
    [
        (-1.0, ""),
        (1.0, ""),
        (0.0, "malformed_requirement"),
        (float("nan"), "malformed_requirement"),
        (-float("inf"), "malformed_requirement"),
    ],
)
def test_a_requirement_may_be_either_way_but_not_for_nothing(mw, kind):
    assert verdict(DfsRequirement("E", 0, 1, mw, 5, 5, None, False), None, (), 0)[0] == kind


# -------------------------------------------------------------------------------------------------- results


@pytest.mark.parametrize(
    ("mw", "end"),
    [
        ((-0.5, -0.4), ("accepted", "")),
        ((-0.5, -0.1), ("accepted", "")),
        ((0.0, -0.4), ("accepted", "")),
        ((-0.5, -0.6), ("declined", "not_as_bid")),
        ((0.5, 0.4), ("declined", "malformed_result")),
        ((-0.5, 0.4), ("declined", "malformed_result")),
    ],
)
def test_a_result_asks_for_no_more_than_was_bid_and_the_same_way(tools, mw, end):
    book, start, over = Book(), tools.at(1), tools.at(2)
    bid = Bid("E", "U", start, over, (-0.5, -0.4), 180.0)
    result = DfsResult("B", "E", "U", True, "", start, over, mw, 180.0)
    take_result(book, result, bid, 1, tools.at(0), lambda to, message: None)
    assert (book.ledger.entries["B"].stage.value, book.ledger.entries["B"].steps[-1][2]) == end
    if end[0] == "accepted":
        plan = book.plans["B"]
        assert plan.turns_up
        assert plan.turn_down_w(start + 1) == round(mw[0] * 1e6)
        assert book.ledger.entries["B"].turn_down_w == round(min(mw) * 1e6)
