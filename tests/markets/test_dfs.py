"""Stories of the Demand Flexibility Service mock, one edition after the other."""

from datetime import date

import numpy as np
import pytest

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
    Remark,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, local_clock_ms

DAY = date(2024, 1, 18)
EVE = date(2024, 1, 17)
START = local_clock_ms(EVE, 0)
FIVE = local_clock_ms(DAY, 17)


def script(name="E1", start=FIVE, periods=2, mw=10.0, price=None, test=False, published=None, cancelled=None):
    return DfsEventScript(name, start, start + periods * PERIOD_MS, mw, price, test, published, cancelled)


def faults(duplicate=0.0):
    shares = FaultShares(**dict.fromkeys(FAULT_KINDS, 0.0) | {"duplicate": duplicate})
    return FaultPlan(shares, np.full((9, len(FAULT_KINDS)), 0.5))


def market(*events, competitors=(), overrides=(), duplicate=0.0, start=START):
    return DfsMarket(
        DfsSettings(start, events, tuple(competitors), RulesInForce(None, overrides), faults(duplicate))
    )


def homes(*numbers):
    return np.array(numbers, dtype=np.int32)


def register(party, unit="U", members=(1, 2, 3), at_ms=START):
    party.receive(DfsUnitRegistration(unit, homes(*members), True), at_ms)


def bid(name="B1", mw=(5.0, 5.0), price=100.0, unit="U", event="E1"):
    return DfsBid(name, event, unit, tuple(mw), price)


def live(party, until_ms):
    said = [(party.state.now_ms, envelope.to, envelope.message) for envelope in party.take_outbox()]
    while (now_ms := party.next_deadline_ms()) <= until_ms:
        party.on_deadline(now_ms)
        assert party.next_deadline_ms() > now_ms
        said += [(now_ms, envelope.to, envelope.message) for envelope in party.take_outbox()]
    return said


def of_kind(said, kind, to="aggregator"):
    return [message for _, who, message in said if isinstance(message, kind) and who == to]


def remarks(said):
    return [message.kind for message in of_kind(said, Remark, "journal")]


def requirement_of(party, until_ms=FIVE):
    return of_kind(live(party, until_ms), DfsRequirement)[0]


def answers(bids, *, event=None, competitors=(), units=None):
    """Every bid's result by bid id, after a whole event with these bids."""
    party = market(event or script(), competitors=competitors)
    for place, unit in enumerate(units or sorted({one.unit for one in bids})):
        register(party, unit, (10 * place, 10 * place + 1))
    needed = requirement_of(party, local_clock_ms(EVE, 14, 30))
    for one in bids:
        party.receive(one, needed.submit_by_ms)
    results = of_kind(live(party, FIVE), DfsResult)
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
    (needed,) = of_kind(live(party, local_clock_ms(day, *published)), DfsRequirement)
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
        (bid(mw=(5.0, -5.0)), "-5.0 MW is below the minimum"),
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
    (result,) = of_kind(live(party, party.state.now_ms), DfsResult)
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
    (result,) = of_kind(live(party, closing + 1), DfsResult)
    assert "closed" in result.reason


def test_a_test_of_the_first_winter_must_last_an_hour():
    start = local_clock_ms(date(2023, 1, 17), 0)
    party = market(script(start=local_clock_ms(date(2023, 1, 18), 17), periods=3, test=True), start=start)
    register(party, at_ms=start)
    live(party, local_clock_ms(date(2023, 1, 17), 14, 30))
    party.receive(bid("B1", (2.0, 0.0, 2.0)), party.state.now_ms)
    party.receive(bid("B2", (2.0, 2.0, 0.0)), party.state.now_ms)
    (result,) = of_kind(live(party, party.state.now_ms), DfsResult)
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
    assert len(of_kind(said, DfsResult)) == 1


def test_a_single_rule_can_be_replaced():
    party = market(script(), overrides=(("dfs", "min_unit_mw", 0.1),))
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid(mw=(0.2, 0.2)), party.state.now_ms)
    (result,) = of_kind(live(party, FIVE), DfsResult)
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
    needed = of_kind(live(party, FIVE), DfsRequirement)
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
    (result,) = of_kind(said, DfsResult)
    assert not result.accepted
    assert "cancelled" in result.reason
    assert of_kind(said, DfsCancellation)[0].event_id == "E1"


def test_a_cancellation_after_results_is_told_to_settlement_too():
    party = market(script(cancelled=FIVE - HOUR_MS))
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid(), party.state.now_ms)
    said = live(party, FIVE)
    assert of_kind(said, DfsResult)[0].accepted
    assert [message.event_id for message in of_kind(said, DfsCancellation, "settlement")] == ["E1"]


def test_f1_duplicated_messages_reach_the_aggregator_twice_and_settlement_once():
    party = market(script(), duplicate=1.0)
    register(party)
    live(party, local_clock_ms(EVE, 14, 30))
    party.receive(bid(), party.state.now_ms)
    said = live(party, FIVE)
    assert len(of_kind(said, DfsResult)) == 2
    assert len(of_kind(said, DfsResult, "settlement")) == 1
    assert "fault_duplicate" in remarks(said)
