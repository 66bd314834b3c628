"""Stories of the Demand Flexibility Service mock, one edition after the other."""

from datetime import date

import numpy as np
import pytest
from market_mail import live, of_kind, remarks

from markets.dfs import DfsMarket
from markets.settings import (
    FAULT_KINDS,
    DfsEventScript,
    DfsSettings,
    FaultPlan,
    FaultShares,
    PricedBlock,
    RulesInForce,
    SettingsError,
)
from protocol.messages import (
    DfsBid,
    DfsCancellation,
    DfsRequirement,
    DfsResult,
    DfsUnitRegistration,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, local_clock_ms

DAY = date(2024, 1, 18)
EVE = date(2024, 1, 17)
START = local_clock_ms(EVE, 0)
FIVE = local_clock_ms(DAY, 17)


def script(name="E1", start=FIVE, periods=2, mw=10.0, price=None, test=False, published=None, cancelled=None):
    return DfsEventScript(name, start, start + periods * PERIOD_MS, mw, price, test, published, cancelled)


def always(kind=None, lot=0.0):
    """That kind on every event, at this place of its share; without one, no fault at all."""
    shares = FaultShares(**{name: float(name == kind) for name in FAULT_KINDS})
    return FaultPlan(shares, np.full((9, len(FAULT_KINDS)), lot))


def market(*events, competitors=(), overrides=(), faults=None, start=START):
    return DfsMarket(
        DfsSettings(start, events, tuple(competitors), RulesInForce(None, overrides), faults or always())
    )


def homes(*numbers):
    return np.array(numbers, dtype=np.int32)


def register(party, unit="U", members=(1, 2, 3), at_ms=START):
    party.receive(DfsUnitRegistration(unit, homes(*members), True), at_ms)


def bid(name="B1", mw=(5.0, 5.0), price=100.0, unit="U", event="E1"):
    return DfsBid(name, event, unit, tuple(mw), price)


def requirement_of(party, until_ms=FIVE):
    return of_kind(live(party, until_ms), DfsRequirement, "aggregator")[0]


def answers(bids, *, event=None, competitors=(), units=None):
    """Every bid's result by bid id, after a whole event with these bids."""
    party = market(event or script(), competitors=competitors)
    for place, unit in enumerate(units or sorted({one.unit for one in bids})):
        register(party, unit, (10 * place, 10 * place + 1))
    needed = requirement_of(party, local_clock_ms(EVE, 14, 30))
    for one in bids:
        party.receive(one, needed.submit_by_ms)
    results = of_kind(live(party, FIVE), DfsResult, "aggregator")
    assert len(results) == len(bids)
    return {result.bid_id: result for result in results}


# -------------------------------------------------------------------------------------------------- timetable


def test_the_winter_of_2023_publishes_the_afternoon_before():
    needed = requirement_of(market(script()))
    published = local_clock_ms(EVE, 14, 30)
    assert (needed.submit_by_ms, needed.results_by_ms) == (published + HOUR_MS, published + 2 * HOUR_MS)
    assert (needed.start_ms, needed.end_ms, needed.turn_down_mw) == (FIVE, FIVE + HOUR_MS, 10.0)


@pytest.mark.parametrize(("hour", "published"), [(17, (10, 30)), (12, (6, 0)), (16, (10, 0))])
def test_the_edition_of_2024_publishes_within_the_day_and_leaves_four_hours_after_results(hour, published):
    day = date(2025, 1, 15)
    start = local_clock_ms(day, 0)
    party = market(script(start=local_clock_ms(day, hour)), start=start)
    assert live(party, local_clock_ms(day, *published) - 1) == []
    (needed,) = of_kind(live(party, local_clock_ms(day, *published)), DfsRequirement, "aggregator")
    assert needed.start_ms - needed.results_by_ms >= 4 * HOUR_MS


def test_a_scripted_publication_time_is_kept():
    party = market(script(published=FIVE - 5 * HOUR_MS))
    assert requirement_of(party).submit_by_ms == FIVE - 4 * HOUR_MS


def test_nothing_is_published_before_the_run_begins():
    start = local_clock_ms(DAY, 0)
    party = market(script(), start=start)
    assert requirement_of(party).submit_by_ms == start + HOUR_MS


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (lambda: script(published=FIVE - HOUR_MS), "results would come 60 min after its start"),
        (lambda: script(cancelled=FIVE), "cancelled before its start"),
        (lambda: script(start=FIVE + MINUTE_MS), "whole settlement periods"),
        (lambda: script(mw=0.0), "turn_down_mw must be above 0"),
        (lambda: script(mw=float("nan")), "turn_down_mw must be above 0"),
    ],
)
def test_an_event_that_cannot_be_held_is_refused_before_the_run(event, words):
    with pytest.raises(SettingsError, match=words):
        market(event())


def test_two_events_of_one_name_are_refused():
    with pytest.raises(SettingsError, match="one id"):
        market(script(), script(start=FIVE + 2 * HOUR_MS))


# ----------------------------------------------------------------------------------------------- registration


@pytest.mark.parametrize("members", [(), (4, 4), (3, 9)])
def test_a_unit_with_no_homes_a_home_twice_or_another_units_home_is_refused(members):
    party = market(script())
    register(party)
    party.take_outbox()
    register(party, "V", members)
    said = live(party, START)
    assert remarks(said) == ["dfs_registration_refused"]
    assert list(party.state.units) == ["U"]
    party.receive(bid(unit="V"), local_clock_ms(EVE, 14, 30))


def test_a_registered_unit_is_passed_on_to_settlement():
    party = market(script())
    register(party)
    assert [message.unit for message in of_kind(live(party, START), DfsUnitRegistration, "settlement")] == [
        "U"
    ]


# ---------------------------------------------------------------------------------------------------- bidding


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (bid(event="E9"), "no DFS event E9"),
        (bid(unit="V"), "not registered"),
        (bid(price=-1.0), "at least 0 GBP/MWh"),
        (bid(price=float("nan")), "at least 0 GBP/MWh"),
        (bid(price=float("inf")), "at least 0 GBP/MWh"),
        (bid(mw=(5.0,)), "has 2 periods, the bid 1"),
        (bid(mw=(5.0, 5.0, 5.0)), "has 2 periods, the bid 3"),
        (bid(mw=(0.9, 5.0)), "0.9 MW is below the minimum of 1 MW (Eligibility: DFS Unit size)"),
        (bid(mw=(5.0, -5.0)), "asks for demand to be turned down, above 0 MW"),
        (bid(mw=(101.0, 5.0)), "101.0 MW is above the maximum of 100 MW (Eligibility: DFS Unit size)"),
        (bid(mw=(0.0, 0.0)), "not all 0"),
        (bid(mw=(float("nan"), 5.0)), "must be numbers"),
    ],
)
def test_every_refused_bid_is_answered_at_once_with_a_reason(refused, words):
    party = market(script())
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(refused, party.state.now_ms)
    (result,) = of_kind(live(party, party.state.now_ms), DfsResult, "aggregator")
    assert not result.accepted
    assert words in result.reason
    assert result.bid_id == refused.bid_id


def test_a_bid_one_millisecond_after_the_window_is_refused():
    party = market(script())
    register(party)
    closing = requirement_of(party, local_clock_ms(EVE, 14, 30)).submit_by_ms
    party.receive(bid("B1"), closing)
    assert live(party, closing) == []
    party.receive(bid("B2"), closing + 1)
    (result,) = of_kind(live(party, closing + 1), DfsResult, "aggregator")
    assert "closed" in result.reason


def test_a_test_of_the_first_winter_must_last_an_hour():
    start = local_clock_ms(date(2023, 1, 17), 0)
    party = market(script(start=local_clock_ms(date(2023, 1, 18), 17), periods=3, test=True), start=start)
    register(party, at_ms=start)
    live(party, local_clock_ms(date(2023, 1, 17), 14, 30))
    party.receive(bid("B1", (2.0, 0.0, 2.0)), party.state.now_ms)
    party.receive(bid("B2", (2.0, 2.0, 0.0)), party.state.now_ms)
    (result,) = of_kind(live(party, party.state.now_ms), DfsResult, "aggregator")
    assert (result.bid_id, result.accepted) == ("B1", False)
    assert "60 minutes" in result.reason


def test_a_later_bid_of_one_unit_replaces_the_earlier():
    results = answers([bid("B1", price=50.0), bid("B2", price=60.0)])
    assert results["B1"].reason == "replaced by bid B2 of the same unit"
    assert results["B2"].accepted


def test_the_same_bid_again_is_ignored():
    party = market(script())
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid(), party.state.now_ms)
    party.receive(bid(), party.state.now_ms)
    said = live(party, FIVE)
    assert remarks(said) == ["duplicate_bid"]
    assert len(of_kind(said, DfsResult, "aggregator")) == 1


def test_a_single_rule_can_be_replaced():
    party = market(script(), overrides=(("dfs", "min_unit_mw", 0.1),))
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid(mw=(0.2, 0.2)), party.state.now_ms)
    (result,) = of_kind(live(party, FIVE), DfsResult, "aggregator")
    assert result.accepted


# --------------------------------------------------------------------------------------------------- clearing


def test_whole_bids_are_accepted_cheapest_first_until_the_requirement_is_met():
    bids = [
        bid("dear", (4.0, 4.0), 300.0, "A"),
        bid("cheap", (6.0, 6.0), 100.0, "B"),
        bid("middle", (8.0, 8.0), 200.0, "C"),
    ]
    results = answers(bids)
    # By hand: 6 MW, then 8 MW beyond the 10 needed, then nothing more.
    assert {name: result.accepted for name, result in results.items()} == {
        "cheap": True,
        "middle": True,
        "dear": False,
    }
    assert results["middle"].turn_down_mw == (8.0, 8.0)
    assert [results[name].price_gbp_per_mwh for name in ("cheap", "middle")] == [100.0, 200.0]
    assert "cheaper bids" in results["dear"].reason


@pytest.mark.parametrize(("price", "accepted"), [(199.0, True), (200.0, False), (201.0, False)])
def test_competitors_push_out_dearer_and_equal_bids(price, accepted):
    results = answers([bid(price=price)], competitors=[PricedBlock(200.0, 10.0)])
    assert results["B1"].accepted is accepted


def test_a_bid_at_the_guaranteed_price_is_accepted_whatever_the_others_bid():
    others = [PricedBlock(1.0, 1000.0)]
    guaranteed = script(price=3000.0)
    assert answers([bid(price=3000.0)], event=guaranteed, competitors=others)["B1"].accepted
    assert not answers([bid(price=3001.0)], event=guaranteed, competitors=others)["B1"].accepted


def test_the_editions_guaranteed_price_is_published_with_its_tests_only():
    assert requirement_of(market(script(test=True))).guaranteed_price_gbp_per_mwh == 3000
    assert requirement_of(market(script())).guaranteed_price_gbp_per_mwh is None


def test_the_seventh_test_of_the_second_winter_carries_no_guarantee():
    tests = [script(f"T{n}", FIVE - (8 - n) * HOUR_MS, test=True) for n in range(1, 8)]
    party = market(*tests)
    needed = of_kind(live(party, FIVE), DfsRequirement, "aggregator")
    prices = {message.event_id: message.guaranteed_price_gbp_per_mwh for message in needed}
    assert [prices[f"T{n}"] for n in range(1, 8)] == [3000.0] * 6 + [None]


def test_accepted_results_go_to_settlement_and_refused_ones_do_not():
    party = market(script(mw=3.0))
    register(party, "A", (1,))
    register(party, "B", (2,))
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid("B1", unit="A", price=10.0), party.state.now_ms)
    party.receive(bid("B2", unit="B", price=20.0), party.state.now_ms)
    said = live(party, FIVE)
    assert [result.bid_id for result in of_kind(said, DfsResult, "settlement")] == ["B1"]
    assert {at for at, _, message in said if isinstance(message, DfsResult)} == {local_clock_ms(EVE, 16, 30)}


def test_a_cancellation_before_results_refuses_the_bids():
    party = market(script(cancelled=local_clock_ms(EVE, 16)))
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid(), party.state.now_ms)
    said = live(party, FIVE)
    (result,) = of_kind(said, DfsResult, "aggregator")
    assert not result.accepted
    assert "cancelled" in result.reason
    assert of_kind(said, DfsCancellation, "aggregator")[0].event_id == "E1"


def test_a_cancellation_after_results_is_told_to_settlement_too():
    party = market(script(cancelled=FIVE - HOUR_MS))
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid(), party.state.now_ms)
    said = live(party, FIVE)
    assert of_kind(said, DfsResult, "aggregator")[0].accepted
    assert [message.event_id for message in of_kind(said, DfsCancellation, "settlement")] == ["E1"]


# ----------------------------------------------------------------------------------------------- misbehaviour

PUBLISHED = local_clock_ms(EVE, 14, 30)
RESULTS = local_clock_ms(EVE, 16, 30)
OVER = FIVE + HOUR_MS


def story(kind, lot=0.0, bids=None):
    """What was said of one event with that fault, bid for half an hour after its requirement."""
    party = market(script(), faults=always(kind, lot))
    register(party)
    said = live(party, PUBLISHED + 30 * MINUTE_MS)
    for one in bids if bids is not None else [bid()]:
        party.receive(one, PUBLISHED + 30 * MINUTE_MS)
    said += live(party, OVER + HOUR_MS)
    assert f"fault_{kind}" in remarks(said)
    return said


def heard(said, kind):
    """When the aggregator heard of this kind of message, and what."""
    return [(at, message) for at, to, message in said if to == "aggregator" and isinstance(message, kind)]


@pytest.mark.parametrize(("lot", "again_ms"), [(0.0, RESULTS + 1000), (0.5, OVER + 1000)])
def test_f1_every_message_reaches_the_aggregator_twice_and_settlement_once(lot, again_ms):
    said = story("duplicate", lot)
    (first_ms, first), (second_ms, second) = heard(said, DfsResult)
    assert (first_ms, second_ms) == (RESULTS, again_ms)
    assert first is second
    assert len(heard(said, DfsRequirement)) == 2
    assert of_kind(said, DfsResult, "settlement") == [first]


def test_f2_an_amended_requirement_is_shorter_and_binds():
    said = story("amend", 0.0, bids=[bid("B1", (5.0, 5.0)), bid("B2", (5.0,))])
    (first_ms, first), (amended_ms, amended) = heard(said, DfsRequirement)
    assert amended_ms - first_ms == MINUTE_MS
    assert (first.end_ms, first.turn_down_mw) == (OVER, 10.0)
    assert (amended.end_ms, amended.turn_down_mw) == (FIVE + PERIOD_MS, 5.0)
    assert amended.event_id == first.event_id
    results = {result.bid_id: result for _, result in heard(said, DfsResult)}
    assert results["B1"].reason == "E1 has 1 periods, the bid 2"
    assert results["B2"].accepted
    assert results["B2"].end_ms == FIVE + PERIOD_MS


def test_f2_a_withdrawn_event_is_taken_back_a_minute_after_its_results():
    said = story("amend", 0.5)
    assert [result.accepted for _, result in heard(said, DfsResult)] == [True]
    assert [at for at, _ in heard(said, DfsCancellation)] == [RESULTS + MINUTE_MS]
    assert [message.event_id for message in of_kind(said, DfsCancellation, "settlement")] == ["E1"]


@pytest.mark.parametrize(("lot", "late_ms"), [(0.0, FIVE + 5 * MINUTE_MS), (0.5, OVER + 5 * MINUTE_MS)])
def test_f3_a_late_result_comes_after_the_start_or_the_end_and_was_binding_all_along(lot, late_ms):
    said = story("late", lot)
    assert [at for at, _ in heard(said, DfsResult)] == [late_ms]
    settled = [at for at, to, message in said if to == "settlement" and isinstance(message, DfsResult)]
    assert settled == [RESULTS]


@pytest.mark.parametrize(
    ("lot", "window", "mw"),
    [
        (0.0, (0, HOUR_MS), (10.0, 10.0)),
        (0.25, (PERIOD_MS, HOUR_MS + PERIOD_MS), (5.0, 5.0)),
        (0.5, (0, 0), (5.0, 5.0)),
        (0.75, (0, HOUR_MS), (-5.0, -5.0)),
    ],
)
def test_f4_an_impossible_result_is_not_what_was_bid_and_settlement_hears_what_was(lot, window, mw):
    said = story("impossible", lot)
    ((_, result),) = heard(said, DfsResult)
    assert (result.start_ms - FIVE, result.end_ms - FIVE) == window
    assert result.turn_down_mw == mw
    (bound,) = of_kind(said, DfsResult, "settlement")
    assert (bound.start_ms, bound.end_ms, bound.turn_down_mw) == (FIVE, OVER, (5.0, 5.0))


def test_f5_a_conflicting_event_asks_for_the_same_time_under_another_name_and_can_be_bid_for():
    said = story("conflicting", bids=[bid("B1"), bid("B2", event="E1-again")])
    (first_ms, first), (again_ms, again) = heard(said, DfsRequirement)
    assert (first.start_ms, first.end_ms) == (again.start_ms, again.end_ms)
    assert (again.event_id, again.turn_down_mw) == ("E1-again", 5.0)
    assert again_ms - first_ms == 30_000
    assert [result.accepted for _, result in heard(said, DfsResult)] == [True, True]


def test_f5_a_conflicting_event_leaves_the_guarantees_of_later_tests_as_they_were():
    tests = [script(f"T{n}", FIVE - (8 - n) * HOUR_MS, test=True) for n in range(1, 8)]
    needed = of_kind(live(market(*tests, faults=always("conflicting")), FIVE), DfsRequirement, "aggregator")
    prices = {message.event_id: message.guaranteed_price_gbp_per_mwh for message in needed}
    assert prices["T6"] == 3000.0
    assert prices["T7"] is None


def test_f6_a_result_for_the_wrong_unit_names_none_of_ours():
    said = story("wrong_unit")
    ((_, result),) = heard(said, DfsResult)
    assert (result.bid_id, result.unit) == ("B1", "E_NOTOURS-1")
    assert [bound.unit for bound in of_kind(said, DfsResult, "settlement")] == ["U"]


def test_f7_an_amendment_before_its_original_binds_none_the_less():
    said = story("out_of_order", 0.0, bids=[bid("B1", (5.0,))])
    (amended_ms, amended), (first_ms, first) = heard(said, DfsRequirement)
    assert (amended_ms, first_ms) == (PUBLISHED, PUBLISHED + 5000)
    assert amended.end_ms == first.end_ms - PERIOD_MS
    assert [result.accepted for _, result in heard(said, DfsResult)] == [True]


def test_f7_a_withdrawal_before_its_requirement_refuses_every_bid():
    said = story("out_of_order", 0.5)
    assert [at for at, _ in heard(said, DfsCancellation)] == [PUBLISHED]
    assert [at for at, _ in heard(said, DfsRequirement)] == [PUBLISHED + 5000]
    ((_, result),) = heard(said, DfsResult)
    assert result.reason == "DFS event E1 was cancelled"


def test_all_kinds_at_once_still_answer_every_bid():
    shares = FaultShares(*[1.0] * len(FAULT_KINDS))
    for lot in (0.0, 0.3, 0.6, 0.9):
        party = market(script(), faults=FaultPlan(shares, np.full((1, len(FAULT_KINDS)), lot)))
        register(party)
        live(party, PUBLISHED + 30 * MINUTE_MS)
        for one in (bid("B1"), bid("B2", (5.0,)), bid("B3", event="E1-again")):
            party.receive(one, PUBLISHED + 30 * MINUTE_MS)
        said = live(party, OVER + HOUR_MS)
        assert {result.bid_id for _, result in heard(said, DfsResult)} == {"B1", "B2", "B3"}
