"""Every market instruction ends once, with a reason; the table of cases, one by one, with times written by
hand.
"""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.loop import Aggregator
from protocol.instruction import TERMINAL, TRANSITIONS, Stage
from protocol.messages import (
    AcceptanceResponse,
    AssetReadings,
    BidOfferAcceptance,
    DfsBid,
    DfsCancellation,
    DfsRequirement,
    DfsResult,
    InstructionStep,
    Point,
    Remark,
    Service,
)


class Room:
    """An aggregator of 8,000 assets that report once in many hours; a history of 8 MW; from 16:00 on."""

    def __init__(self, tools, service=Service.BALANCING, rules=None, w_per_asset=None):
        """`w_per_asset`: other watts in half-hours of the day."""
        self.tools = tools
        self.aggregator = Aggregator(tools.SETTINGS, rules or tools.RULES)
        self.said = []
        self.now_ms = tools.at(14)
        self.hear(tools.registration(8000, service, report_every_s=np.full(8000, 60_000, np.int32)))
        for back in range(1, 12):
            readings = np.full((8000, 48), 500, np.int16)
            for half_hour, drawn_w in (w_per_asset or {}).items():
                readings[:, half_hour] = drawn_w // 2
            self.hear(
                AssetReadings(tools.DAY - timedelta(days=back), np.arange(8000, dtype=np.int32), readings)
            )
        self.until(tools.at(16))

    def hear(self, message):
        self.aggregator.receive(message, self.now_ms)
        self.collect()

    def collect(self):
        self.said += [envelope.message for envelope in self.aggregator.take_outbox()]

    def until(self, end_ms):
        while (next_ms := self.aggregator.next_deadline_ms()) <= end_ms:
            assert next_ms >= self.now_ms
            self.now_ms = next_ms
            self.aggregator.on_deadline(next_ms)
            self.collect()
            assert self.aggregator.next_deadline_ms() > next_ms
        self.now_ms = end_ms

    def declared(self):
        return self.aggregator.state.units["_A"].declared[self.tools.at(16)]

    def profile(self, turn_down_mw=1, start=(16, 5), minutes=20, ramp_minutes=1):
        """A trapezium that leaves the FPN and comes back to it."""
        start_ms, fpn_mw = self.tools.at(*start), self.declared().fpn_mw
        end_ms = start_ms + minutes * 60_000
        return (
            Point(start_ms, fpn_mw),
            Point(start_ms + ramp_minutes * 60_000, fpn_mw + turn_down_mw),
            Point(end_ms - ramp_minutes * 60_000, fpn_mw + turn_down_mw),
            Point(end_ms, fpn_mw),
        )

    def accept(self, number=1, amendment="ORI", unit="_A", accepted_ms=None, **shape):
        profile = shape.pop("profile", None)
        profile = self.profile(**shape) if profile is None else profile
        accepted_ms = self.now_ms if accepted_ms is None else accepted_ms
        self.hear(BidOfferAcceptance(unit, number, accepted_ms, profile, False, amendment))

    def answers(self):
        return [
            (message.number, message.accepted, message.reason)
            for message in self.said
            if isinstance(message, AcceptanceResponse)
        ]

    def stages(self, key):
        entry = self.aggregator.state.book.ledger.entries[key]
        return [(stage.value, reason) for _, stage, reason in entry.steps]

    def keys(self):
        return list(self.aggregator.state.book.ledger.entries)


def reason(room, key):
    return room.stages(key)[-1]


def test_the_room_is_as_its_docstring_says(tools):
    declared = Room(tools).declared()
    assert declared.fpn_mw <= -2
    assert declared.mel_mw > declared.fpn_mw
    assert declared.mil_mw < declared.fpn_mw


def test_an_acceptance_is_answered_at_once_and_delivered_to_its_end(tools):
    room = Room(tools)
    room.accept()
    assert room.answers() == [(1, True, "")]
    room.until(tools.at(16, 30))
    # The silent assets deliver nothing, which is said.
    assert [stage for stage, _ in room.stages("_A-1")] == ["issued", "accepted", "delivering", "failed"]
    assert room.stages("_A-1")[-1][1] == "believed to have delivered 0%"


def test_the_same_acceptance_twice_is_one_ledger_row_and_two_equal_answers(tools):
    room = Room(tools)
    room.accept()
    room.accept()
    assert room.keys() == ["_A-1"]
    assert room.answers() == [(1, True, "")] * 2
    assert any(isinstance(said, Remark) and said.kind == "duplicate_instruction" for said in room.said)


def test_a_replay_after_all_is_over_changes_nothing(tools):
    room = Room(tools)
    room.accept()
    profile = room.profile()
    room.until(tools.at(17))
    before = room.stages("_A-1")
    room.accept(profile=profile)
    assert room.stages("_A-1") == before
    assert room.answers() == [(1, True, "")] * 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"unit": "_Z"}, "unknown_unit"),
        ({"amendment": "XYZ"}, "unknown_amendment"),
        ({"minutes": 0, "profile": ()}, "malformed_profile"),
        ({"start": (15, 30)}, "after_end"),
        ({"start": (15, 55)}, "too_late"),
        ({"start": (16, 0)}, "notice_too_short"),
        ({"start": (19, 0)}, "not_notified"),
        ({"turn_down_mw": 40}, "beyond_limits"),
        ({"turn_down_mw": -40}, "beyond_limits"),
    ],
)
def test_what_cannot_be_followed_is_declined_with_its_reason(tools, change, why):
    room = Room(tools)
    room.accept(**change)
    key = f"{change.get('unit', '_A')}-1"
    assert room.stages(key) == [("issued", ""), ("declined", why)]
    assert room.answers() == [(1, False, why)]
    room.until(tools.at(17))
    assert len(room.stages(key)) == 2


def test_limits_are_kept_to_the_megawatt(tools):
    room = Room(tools)
    most = room.declared().mel_mw - room.declared().fpn_mw
    room.accept(turn_down_mw=most, ramp_minutes=5)
    room.accept(number=2, turn_down_mw=most + 1, start=(16, 40), ramp_minutes=5)
    assert room.answers() == [(1, True, ""), (2, False, "beyond_limits")]


def test_a_step_or_a_steep_ramp_is_declined(tools):
    room = Room(tools)
    fpn_mw, start_ms = room.declared().fpn_mw, tools.at(16, 5)
    rate = room.aggregator.state.units["_A"].dynamics.run_up_mw_per_min
    step = (Point(start_ms, fpn_mw), Point(start_ms, fpn_mw + 1), Point(start_ms + 600_000, fpn_mw + 1))
    room.accept(profile=step)
    most = room.declared().mel_mw - fpn_mw
    quick_ms = int(most / rate * 60_000) - 1000
    steep = (Point(start_ms, fpn_mw), Point(start_ms + quick_ms, fpn_mw + most))
    room.accept(number=2, profile=steep)
    assert [answer[2] for answer in room.answers()] == ["faster_than_ramp"] * 2


@pytest.mark.parametrize(
    "levels",
    [
        [(0, -2)],
        [(0, -2), (0, -2)],
        [(60, -2), (0, -2)],
        [(0, -2), (60, float("nan"))],
        [(0, -2), (60, float("inf"))],
    ],
)
def test_a_profile_that_is_none_is_declined(tools, levels):
    room = Room(tools)
    room.accept(profile=tuple(Point(tools.at(16, 5) + second * 1000, mw) for second, mw in levels))
    assert room.answers() == [(1, False, "malformed_profile")]


def test_an_amendment_before_its_original_waits_for_it(tools):
    room = Room(tools)
    amended = room.profile(minutes=40)
    room.accept(amendment="UPD", profile=amended)
    assert room.keys() == []
    assert room.answers() == []
    room.until(tools.at(16, 0, 5))
    room.accept(amendment="ORI")
    assert room.stages("_A-1")[-1] == ("superseded", "amended")
    assert room.stages("_A-1v2") == [("issued", ""), ("accepted", "")]
    assert room.answers() == [(1, True, ""), (1, True, "")]
    assert room.aggregator.state.book.plans["_A-1v2"].end_ms == amended[-1].at_ms


def test_an_amendment_whose_original_never_comes_expires(tools):
    room = Room(tools)
    room.accept(amendment="UPD")
    room.until(tools.at(16, 4, 59))
    assert room.keys() == []
    room.until(tools.at(16, 6))
    assert room.stages("_A-1?1") == [("issued", ""), ("expired", "original_never_came")]
    assert room.answers() == [(1, False, "original_never_came")]


def test_a_deletion_ends_what_was_accepted_and_a_second_one_changes_nothing(tools):
    room = Room(tools)
    room.accept()
    room.accept(amendment="DEL")
    room.accept(amendment="DEL")
    assert room.stages("_A-1")[-1] == ("superseded", "deleted")
    room.accept(amendment="UPD", minutes=40)
    assert room.answers()[-1] == (1, False, "deleted")
    assert room.keys() == ["_A-1"]


def test_a_deletion_before_its_original_cancels_it_when_it_comes(tools):
    room = Room(tools)
    room.accept(amendment="DEL")
    room.accept()
    assert [stage for stage, _ in room.stages("_A-1")] == ["issued", "accepted", "superseded"]


def test_a_deletion_after_the_end_is_refused(tools):
    room = Room(tools)
    room.accept()
    room.until(tools.at(17))
    room.accept(amendment="DEL")
    assert room.answers()[-1] == (1, False, "already_ended")


def test_an_impossible_amendment_leaves_the_original_in_force(tools):
    room = Room(tools)
    room.accept()
    room.accept(amendment="UPD", turn_down_mw=40)
    assert room.stages("_A-1")[-1][0] == "accepted"
    assert room.stages("_A-1v2")[-1] == ("declined", "beyond_limits")
    room.accept(amendment="UPD", minutes=40)
    assert room.stages("_A-1v3")[-1][0] == "accepted"


def test_a_later_acceptance_takes_over_from_its_start(tools):
    room = Room(tools)
    room.accept(number=1, minutes=20)
    room.until(tools.at(16, 8))
    room.accept(number=2, start=(16, 15), minutes=30)
    room.until(tools.at(16, 14, 50))
    assert room.stages("_A-1")[-1][0] == "delivering"
    room.until(tools.at(16, 15))
    assert room.stages("_A-1")[-1] == ("superseded", "overtaken by _A-2")


def test_an_acceptance_that_reaches_beyond_a_later_one_resumes(tools):
    room = Room(tools)
    room.accept(number=1, turn_down_mw=1, minutes=50)
    room.until(tools.at(16, 6))
    room.accept(number=2, turn_down_mw=0.5, start=(16, 15), minutes=10)
    room.until(tools.at(16, 40))
    assert room.stages("_A-1")[-1][0] == "delivering"
    assert room.stages("_A-2")[-1][0] == "failed"
    said = [
        (message.instruction_id, message.instructed_turn_down_w)
        for message in room.said
        if type(message).__name__ == "DeliveryBelief"
        and message.at_ms in (tools.at(16, 20), tools.at(16, 30))
    ]
    assert said == [("_A-2", 500_000), ("_A-1", 1_000_000)]


def test_an_earlier_accepted_one_that_comes_later_yields(tools):
    room = Room(tools)
    room.accept(number=2, start=(16, 5), minutes=30, accepted_ms=tools.at(16, 1))
    room.accept(number=1, start=(16, 8), minutes=10, accepted_ms=tools.at(16))
    room.until(tools.at(16, 1))
    assert room.stages("_A-1")[-1] == ("superseded", "overtaken by _A-2")


def test_turn_down_is_counted_from_the_notification_of_each_period(tools):
    room = Room(tools)
    declared = room.aggregator.state.units["_A"].declared
    first, second = tools.at(16), tools.at(16, 30)
    declared[second] = replace(declared[first], fpn_mw=declared[first].fpn_mw - 1)
    fpn_mw = declared[first].fpn_mw
    profile = (Point(tools.at(16, 20), fpn_mw), Point(tools.at(16, 40), fpn_mw))
    room.accept(profile=profile)
    plan = room.aggregator.state.book.plans["_A-1"]
    assert plan.turn_down_w(tools.at(16, 25)) == 0
    assert plan.turn_down_w(tools.at(16, 35)) == 1_000_000


# ----------------------------------------------------------------------------------------------------- DFS


def dfs_room(tools, rules=None):
    room = Room(tools, Service.DFS, rules)
    room.hear(
        DfsRequirement(
            "E1", tools.at(17), tools.at(18), 50.0, tools.at(16, 30), tools.at(16, 45), 3000.0, True
        )
    )
    return room


def result(tools, **changes):
    made = DfsResult("E1-DFS001", "E1", "DFS001", True, "", tools.at(17), tools.at(18), (1.0, 1.5), 3000.0)
    return replace(made, **changes)


def test_a_bid_goes_out_shortly_before_the_window_closes_and_not_twice(tools):
    room = dfs_room(tools)
    assert not [said for said in room.said if isinstance(said, DfsBid)]
    room.until(tools.at(16, 24, 59))
    assert not [said for said in room.said if isinstance(said, DfsBid)]
    room.until(tools.at(16, 25))
    (bid,) = [said for said in room.said if isinstance(said, DfsBid)]
    assert (bid.bid_id, bid.event_id, bid.unit, bid.price_gbp_per_mwh) == (
        "E1-DFS001",
        "E1",
        "DFS001",
        3000.0,
    )
    assert len(bid.turn_down_mw) == 2
    room.hear(
        DfsRequirement(
            "E1", tools.at(17), tools.at(18), 50.0, tools.at(16, 30), tools.at(16, 45), 3000.0, True
        )
    )
    room.until(tools.at(16, 31))
    assert len([said for said in room.said if isinstance(said, DfsBid)]) == 1


def test_a_requirement_heard_after_its_window_is_not_bid_for(tools):
    room = dfs_room(tools)
    late = DfsRequirement("E2", tools.at(17), tools.at(18), 50.0, tools.at(15), tools.at(15, 30), None, False)
    room.hear(late)
    assert any(isinstance(said, Remark) and said.kind == "bid_window_closed" for said in room.said)


def test_what_is_promised_is_not_promised_again(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(
        DfsRequirement(
            "E2", tools.at(17, 30), tools.at(18, 30), 50.0, tools.at(16, 30), tools.at(16, 45), None, False
        )
    )
    room.until(tools.at(16, 31))
    assert [said.event_id for said in room.said if isinstance(said, DfsBid)] == ["E1"]
    assert any(isinstance(said, Remark) and said.kind == "already_promised" for said in room.said)


def test_an_accepted_bid_is_one_instruction_however_often_its_result_comes(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(result(tools))
    room.hear(result(tools))
    room.until(tools.at(18, 1))
    assert room.keys() == ["E1-DFS001"]
    assert [stage for stage, _ in room.stages("E1-DFS001")] == ["issued", "accepted", "delivering", "failed"]


def test_results_for_others_or_too_late_are_declined(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(result(tools, bid_id="E1-DFS777", unit="DFS777"))
    assert room.stages("E1-DFS777")[-1] == ("declined", "unknown_bid")
    room.until(tools.at(18))
    room.hear(result(tools))
    assert room.stages("E1-DFS001")[-1] == ("declined", "after_end")


@pytest.mark.parametrize(
    "broken",
    [
        {"hours": (17, 17)},
        {"hours": (18, 17)},
        {"turn_down_mw": ()},
        {"turn_down_mw": (1.0,)},
        {"turn_down_mw": (1.0, -1.5)},
        {"turn_down_mw": (1.0, float("nan"))},
        {"turn_down_mw": (float("inf"), 1.0)},
    ],
)
def test_a_result_of_no_length_or_without_a_number_for_each_period_is_declined(tools, broken):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    start, end = broken.pop("hours", (17, 18))
    room.hear(result(tools, start_ms=tools.at(start), end_ms=tools.at(end), **broken))
    assert room.stages("E1-DFS001")[-1] == ("declined", "malformed_result")


def test_a_result_that_comes_after_the_cancellation_of_its_event_is_declined(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(DfsCancellation("E1", "no need"))
    room.hear(result(tools))
    assert room.stages("E1-DFS001")[-1] == ("declined", "cancelled")


def test_a_refused_bid_frees_the_unit_for_another_event(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(result(tools, accepted=False, reason="too dear"))
    assert room.keys() == []
    room.hear(
        DfsRequirement(
            "E2", tools.at(17), tools.at(18), 50.0, tools.at(16, 30), tools.at(16, 45), None, False
        )
    )
    room.until(tools.at(16, 31))
    assert [said.event_id for said in room.said if isinstance(said, DfsBid)] == ["E1", "E2"]


def test_a_cancellation_before_the_start_ends_it_and_after_the_start_does_not(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(result(tools))
    room.hear(DfsCancellation("E1", "no need"))
    assert room.stages("E1-DFS001")[-1] == ("expired", "cancelled")
    other = dfs_room(tools)
    other.until(tools.at(16, 26))
    other.hear(result(tools))
    other.until(tools.at(17, 5))
    other.hear(DfsCancellation("E1", "no need"))
    assert other.stages("E1-DFS001")[-1][0] == "delivering"


@pytest.mark.parametrize(
    ("change", "hours"),
    [
        ({"turn_down_mw": (6.0, 6.0)}, (17, 18)),
        ({}, (18, 19)),
        ({"price_gbp_per_mwh": 2999.0}, (17, 18)),
        ({"event_id": "E9"}, (17, 18)),
    ],
)
def test_a_result_for_anything_but_what_was_bid_is_declined(tools, change, hours):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    start, end = hours
    room.hear(result(tools, start_ms=tools.at(start), end_ms=tools.at(end), **change))
    assert room.stages("E1-DFS001")[-1] == ("declined", "not_as_bid")


def test_a_result_for_another_of_our_units_is_declined(tools):
    room = dfs_room(tools, replace(tools.RULES, dfs_maximum_unit_mw=5.0))
    room.until(tools.at(16, 26))
    assert {bid.unit for bid in bids(room)} == {"DFS001", "DFS002"}
    room.hear(result(tools, unit="DFS002"))
    assert room.stages("E1-DFS001")[-1] == ("declined", "not_as_bid")


def bids(room):
    return [said for said in room.said if isinstance(said, DfsBid)]


def kinds(room):
    return [said.kind for said in room.said if isinstance(said, Remark)]


def need(tools, **changes):
    made = DfsRequirement(
        "E1", tools.at(17), tools.at(18), 50.0, tools.at(16, 30), tools.at(16, 45), 3000.0, True
    )
    return replace(made, **changes)


def test_a_requirement_before_any_asset_was_registered_is_remarked_on(tools):
    aggregator = Aggregator(tools.SETTINGS, tools.RULES)
    aggregator.receive(need(tools), tools.at(16))
    (said,) = aggregator.take_outbox()
    assert said.message.kind == "not_registered"


@pytest.mark.parametrize("broken", [{"hours": (17, 17)}, {"hours": (18, 17)}, {"turn_down_mw": float("nan")}])
def test_a_requirement_that_is_none_is_not_bid_for(tools, broken):
    room = Room(tools, Service.DFS)
    start, end = broken.pop("hours", (17, 18))
    room.hear(need(tools, start_ms=tools.at(start), end_ms=tools.at(end), **broken))
    room.until(tools.at(16, 31))
    assert bids(room) == []
    assert "malformed_requirement" in kinds(room)


def test_without_a_dfs_unit_nothing_is_bid_and_that_is_said(tools):
    room = Room(tools, Service.BALANCING)
    room.hear(need(tools))
    room.until(tools.at(16, 31))
    assert kinds(room).count("no_dfs_unit") == 1


def test_a_unit_that_is_not_needed_is_not_called_too_small(tools):
    room = Room(tools, Service.DFS, replace(tools.RULES, dfs_maximum_unit_mw=5.0))
    room.hear(need(tools, turn_down_mw=1.5))
    room.until(tools.at(16, 31))
    assert [bid.unit for bid in bids(room)] == ["DFS001"]
    assert "requirement_filled" in kinds(room)
    assert "bid_below_minimum" not in kinds(room)


def test_periods_without_an_offer_are_named(tools):
    room = Room(tools, Service.DFS, w_per_asset={34: 40})
    room.hear(need(tools))
    room.until(tools.at(16, 31))
    (bid,) = bids(room)
    assert [mw > 0 for mw in bid.turn_down_mw] == [False, True]
    (said,) = [said for said in room.said if isinstance(said, Remark) and said.kind == "bid_in_part"]
    assert said.detail.endswith("in period 35")


def test_an_event_cancelled_before_the_bid_is_not_bid_for_even_if_its_requirement_comes_again(tools):
    room = dfs_room(tools)
    room.hear(DfsCancellation("E1", "no need"))
    assert kinds(room)[-1] == "event_cancelled_before_bid"
    room.hear(need(tools, turn_down_mw=20.0, version=2))
    room.until(tools.at(16, 31))
    assert bids(room) == []
    assert kinds(room).count("event_cancelled") == 1


def test_a_requirement_that_comes_after_its_cancellation_is_not_bid_for(tools):
    room = Room(tools, Service.DFS)
    room.hear(DfsCancellation("E1", "no need"))
    room.hear(need(tools))
    room.until(tools.at(16, 31))
    assert bids(room) == []
    assert "event_cancelled" in kinds(room)


def test_a_cancellation_between_bid_and_result_is_remarked_on(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(DfsCancellation("E1", "no need"))
    assert kinds(room)[-1] == "event_cancelled_before_result"


def test_an_amendment_before_the_bid_takes_the_place_of_the_original(tools):
    room = dfs_room(tools)
    room.hear(need(tools, end_ms=tools.at(17, 30), turn_down_mw=2.0, version=2))
    assert kinds(room)[-1] == "requirement_amended"
    room.until(tools.at(16, 31))
    (bid,) = bids(room)
    assert (bid.bid_id, bid.turn_down_mw) == ("E1-DFS001", (2.0,))


def test_an_amendment_after_the_bid_is_bid_for_anew_and_only_the_new_bid_counts(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 26))
    room.hear(need(tools, end_ms=tools.at(17, 30), turn_down_mw=2.0, version=2))
    assert [(bid.bid_id, len(bid.turn_down_mw)) for bid in bids(room)] == [
        ("E1-DFS001", 2),
        ("E1-DFS001-2", 1),
    ]
    room.hear(result(tools, accepted=False, reason="replaced"))
    room.hear(result(tools, bid_id="E1-DFS001-2", end_ms=tools.at(17, 30), turn_down_mw=(2.0,)))
    room.until(tools.at(17, 31))
    assert room.keys() == ["E1-DFS001-2"]
    assert [stage for stage, _ in room.stages("E1-DFS001-2")][:3] == ["issued", "accepted", "delivering"]


def test_an_amendment_after_the_window_changes_nothing(tools):
    room = dfs_room(tools)
    room.until(tools.at(16, 31))
    room.hear(need(tools, turn_down_mw=2.0, version=2))
    assert len(bids(room)) == 1
    assert kinds(room)[-1] == "bid_window_closed"


def test_an_original_that_comes_after_its_amendment_does_not_undo_it(tools):
    room = Room(tools, Service.DFS)
    room.hear(need(tools, turn_down_mw=2.0, version=2))
    room.hear(need(tools))
    assert kinds(room)[-1] == "requirement_overtaken"
    room.until(tools.at(16, 31))
    (bid,) = bids(room)
    assert bid.turn_down_mw == (2.0, 2.0)


# ------------------------------------------------------------------------------------------------ the law


market_message = st.tuples(
    st.integers(0, 600),  # seconds later
    st.sampled_from(["ORI", "ORI", "ORI", "UPD", "DEL"]),
    st.integers(1, 4),  # number
    st.sampled_from(["_A", "_A", "_A", "_Z"]),
    st.integers(-20, 100),  # start, minutes from now
    st.integers(0, 70),  # minutes long
    st.sampled_from([-50, -1, 0.5, 1, 2, 50]),
)


@given(messages=st.lists(market_message, max_size=25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_market_says_every_instruction_ends_exactly_once(tools, messages):
    room = Room(tools)
    for seconds, amendment, number, unit, start, minutes, mw in messages:
        room.until(room.now_ms + seconds * 1000)
        start_ms = room.now_ms // 60_000 * 60_000 + start * 60_000
        fpn_mw = room.declared().fpn_mw
        ramp_ms = min(minutes * 30_000, 120_000)
        profile = (
            Point(start_ms, fpn_mw),
            Point(start_ms + ramp_ms, fpn_mw + mw),
            Point(start_ms + minutes * 60_000 - ramp_ms, fpn_mw + mw),
            Point(start_ms + minutes * 60_000, fpn_mw),
        )
        room.accept(number=number, amendment=amendment, unit=unit, profile=profile)
    room.until(room.now_ms + 4 * 3_600_000)
    ledger = room.aggregator.state.book.ledger
    assert ledger.unfinished() == []
    told = [said for said in room.said if isinstance(said, InstructionStep)]
    for key, entry in ledger.entries.items():
        stages = [stage for _, stage, _ in entry.steps]
        assert stages[0] is Stage.ISSUED
        assert sum(stage in TERMINAL for stage in stages) == 1
        assert all(after in TRANSITIONS[before] for before, after in pairwise(stages))
        assert entry.steps[-1][2] or stages[-1] is Stage.COMPLETED
        assert [step.stage for step in told if step.instruction_id == key] == [
            stage.value for stage in stages
        ]
    assert len(told) == sum(len(entry.steps) for entry in ledger.entries.values())
    asked = {(unit, number) for _, _, number, unit, _, _, _ in messages}
    answered = {(said.unit, said.number) for said in room.said if isinstance(said, AcceptanceResponse)}
    assert answered == asked
