"""Stories of the Balancing Mechanism mock: what it takes, freezes, asks for, and what becomes of
the answers.
"""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from market_mail import live, of_kind, remarks

from markets import faults
from markets.balancing import BalancingMarket
from markets.settings import (
    FAULT_KINDS,
    AcceptanceScript,
    BalancingSettings,
    FaultPlan,
    FaultShares,
    NeedSeries,
    PricedBlock,
    RulesInForce,
)
from protocol.messages import (
    AcceptanceResponse,
    BidOfferAcceptance,
    BidOfferData,
    BidOfferPair,
    ExportLimits,
    OperationalMetering,
    PhysicalNotification,
    Point,
    UnitDynamics,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, day_start_ms

START = day_start_ms(date(2024, 1, 18))
FIVE = START + 17 * HOUR_MS
UNIT, OTHER = "V__AFLEX001", "V__BFLEX002"
PAIRS = (
    BidOfferPair(-1, 10.0, 60.0, 30.0),
    BidOfferPair(1, 4.0, 100.0, 20.0),
    BidOfferPair(2, 16.0, 150.0, 20.0),
)
RULES = RulesInForce(None, ())


def no_faults():
    return FaultPlan(FaultShares(*[0.0] * 7), np.zeros((0, 7)))


def always(kind, half=0):
    """That kind on every occasion, in the first or second half of its share."""
    shares = FaultShares(**{name: float(name == kind) for name in FAULT_KINDS})
    return FaultPlan(shares, np.full((500, 7), 0.25 + half / 2))


def script(start=FIVE, minutes=60, mw=12.0, unit=UNIT, issued=None, ramp=None):
    return AcceptanceScript(unit, start, start + minutes * MINUTE_MS, mw, issued, ramp)


def market(*scripts, need=None, faults=None, metering="relaxed_2024"):
    return BalancingMarket(
        BalancingSettings(
            start_ms=START,
            end_ms=START + 48 * PERIOD_MS,
            units=(UNIT, OTHER),
            acceptances=scripts,
            need=need,
            rules=RULES,
            faults=faults or no_faults(),
            operational_metering=metering,
        )
    )


def dynamics(unit=UNIT, nto=2, ntb=2, zero=0):
    return UnitDynamics(unit, 4.0, 6.0, nto, ntb, zero)


def fpn(start, level=-20.0, unit=UNIT):
    return PhysicalNotification(
        unit, start, start + PERIOD_MS, (Point(start, level), Point(start + PERIOD_MS, level))
    )


def offer(start, pairs=PAIRS, unit=UNIT):
    return BidOfferData(unit, start, start + PERIOD_MS, pairs)


def declare(party, unit=UNIT, level=-20.0, periods=range(4, 48), pairs=PAIRS, **others):
    """Everything a unit has to declare, early in the morning."""
    party.receive(dynamics(unit, **others), START + 1)
    for period in periods:
        party.receive(fpn(START + period * PERIOD_MS, level, unit), START + 1)
        party.receive(offer(START + period * PERIOD_MS, pairs, unit), START + 1)
    return party


def sent(said):
    return [
        (at, message)
        for at, who, message in said
        if isinstance(message, BidOfferAcceptance) and who == "aggregator"
    ]


def bound(said):
    return of_kind(said, BidOfferAcceptance, "settlement")


def answer(party, number, accepted, at_ms, unit=UNIT):
    party.receive(AcceptanceResponse(unit, number, accepted, "" if accepted else "no"), at_ms)


# ----------------------------------------------------------------------------------------------- declarations


def test_fpn_and_pairs_are_frozen_at_gate_closure_and_go_to_settlement():
    party = declare(market())
    newer = fpn(FIVE, -22.0)
    party.receive(newer, FIVE - HOUR_MS - 1)
    said = live(party, FIVE - HOUR_MS)
    frozen = [message for at, who, message in said if who == "settlement" and at == FIVE - HOUR_MS]
    assert [message.start_ms for message in frozen] == [FIVE, FIVE]
    assert frozen[0] is newer
    assert frozen[1].pairs == PAIRS


@pytest.mark.parametrize("late", [fpn(FIVE, -1.0), offer(FIVE, ())])
def test_what_comes_at_or_after_gate_closure_is_refused(late):
    party = declare(market())
    live(party, FIVE - HOUR_MS - 1)
    party.receive(late, FIVE - HOUR_MS)
    said = live(party, FIVE)
    assert remarks(said) == ["bm_data_refused"]
    assert late not in of_kind(said, type(late))


def test_a_unit_that_notified_nothing_is_remarked_on():
    party = declare(market(), periods=range(10, 12))
    assert remarks(live(party, START + 6 * PERIOD_MS)).count("no_fpn") > 0


@pytest.mark.parametrize(
    "broken",
    [
        UnitDynamics(UNIT, 0.0, 6.0, 2, 2, 0),
        UnitDynamics(UNIT, float("nan"), 6.0, 2, 2, 0),
        UnitDynamics(UNIT, 4.0, 6.0, 90, 2, 0),
        ExportLimits(UNIT, 1, FIVE, FIVE + PERIOD_MS, -5.0, 5.0),
        ExportLimits(UNIT, 1, FIVE, FIVE, 5.0, -5.0),
        replace(dynamics(), unit="_Z"),
        ExportLimits("_Z", 1, FIVE, FIVE + PERIOD_MS, 5.0, -5.0),
        fpn(FIVE, unit="_Z"),
        offer(FIVE, unit="_Z"),
        fpn(FIVE, -12.5),
        fpn(FIVE, float("nan")),
        replace(fpn(FIVE), profile=(Point(FIVE, -1.0),)),
        replace(fpn(FIVE), end_ms=FIVE + 2 * PERIOD_MS),
        replace(
            fpn(FIVE),
            profile=(
                Point(FIVE, 0.0),
                Point(FIVE + 9, 0.0),
                Point(FIVE + 3, 0.0),
                Point(FIVE + PERIOD_MS, 0.0),
            ),
        ),
        offer(FIVE, (BidOfferPair(2, 1.0, 1.0, 1.0),)),
        offer(FIVE, (BidOfferPair(0, 1.0, 1.0, 1.0),)),
        offer(FIVE, (BidOfferPair(1, 0.0, 1.0, 1.0),)),
        offer(FIVE, (BidOfferPair(1, 1.0, float("nan"), 1.0),)),
        offer(FIVE, (BidOfferPair(1, 1.0, 10.0, 20.0),)),
        offer(FIVE, (BidOfferPair(1, 1.0, 30.0, 20.0), BidOfferPair(2, 1.0, 20.0, 20.0))),
        offer(FIVE, (BidOfferPair(-1, 1.0, 90.0, 20.0), BidOfferPair(-2, 1.0, 90.0, 30.0))),
        offer(FIVE, tuple(BidOfferPair(number, 1.0, 30.0, 20.0) for number in range(1, 7))),
    ],
)
def test_impossible_data_is_refused_and_changes_nothing(broken):
    party = market()
    before = (dict(party.state.dynamics), dict(party.state.notified), dict(party.state.offered))
    party.receive(broken, START + 1)
    assert remarks(live(party, START + 1)) == ["bm_data_refused"]
    assert (party.state.dynamics, party.state.notified, party.state.offered) == before
    assert not party.state.limits


# ------------------------------------------------------------------------------------------------ acceptances


def test_a_scripted_acceptance_goes_out_at_the_units_notice_with_a_number_and_a_profile():
    party = declare(market(script()), nto=10)
    ((at_ms, acceptance),) = sent(live(party, FIVE))
    assert at_ms == acceptance.accepted_ms == FIVE - 10 * MINUTE_MS
    assert (acceptance.unit, acceptance.number, acceptance.amendment) == (UNIT, 1, "ORI")
    assert acceptance.profile == (
        Point(FIVE, -20.0),
        Point(FIVE + 3 * MINUTE_MS, -8.0),
        Point(FIVE + 58 * MINUTE_MS, -8.0),
        Point(FIVE + HOUR_MS, -20.0),
    )


def test_turning_up_is_noticed_by_ntb():
    party = declare(market(script(mw=-5.0)), nto=10, ntb=30)
    ((at_ms, acceptance),) = sent(live(party, FIVE))
    assert at_ms == FIVE - 30 * MINUTE_MS
    assert min(point.level_mw for point in acceptance.profile) == -25


def test_without_a_named_unit_the_largest_demand_is_asked():
    party = declare(declare(market(script(unit=None))), OTHER, level=-30.0)
    ((_, acceptance),) = sent(live(party, FIVE))
    assert acceptance.unit == OTHER


def test_a_scripted_ramp_is_slower_than_the_declared_rates():
    party = declare(market(script(ramp=12)))
    ((_, acceptance),) = sent(live(party, FIVE))
    assert [(point.at_ms - FIVE) // MINUTE_MS for point in acceptance.profile] == [0, 12, 48, 60]


def test_an_order_on_short_notice_starts_later_and_says_so():
    party = declare(market(script(issued=FIVE - MINUTE_MS)), nto=10)
    said = live(party, FIVE)
    ((_, acceptance),) = sent(said)
    assert acceptance.profile[0].at_ms == FIVE + 9 * MINUTE_MS
    assert "acceptance_clipped" in remarks(said)


def test_pairs_and_mel_bound_what_is_asked():
    party = declare(market(script(mw=50.0)))
    ((_, acceptance),) = sent(live(party, FIVE))
    assert max(point.level_mw for point in acceptance.profile) == 0
    party = declare(market(script(mw=50.0)))
    party.receive(ExportLimits(UNIT, 1, START, START + 48 * PERIOD_MS, -14.0, -40.0), START + 2)
    said = live(party, FIVE)
    assert max(point.level_mw for point in sent(said)[0][1].profile) == -14
    assert "acceptance_clipped" in remarks(said)


def test_a_stay_at_zero_below_the_minimum_zero_time_stops_one_megawatt_short():
    party = declare(market(script(mw=20.0)), zero=90)
    ((_, acceptance),) = sent(live(party, FIVE))
    assert max(point.level_mw for point in acceptance.profile) == -1
    party = declare(market(script(mw=20.0)), zero=30)
    ((_, acceptance),) = sent(live(party, FIVE))
    assert max(point.level_mw for point in acceptance.profile) == 0


def test_nothing_is_asked_of_a_unit_without_pairs_or_fpn_or_dynamics():
    without_pairs = declare(market(script()), pairs=())
    without_fpn = declare(market(script()), periods=range(4, 10))
    silent = market(script())
    for party in (without_pairs, without_fpn, silent):
        said = live(party, FIVE + HOUR_MS)
        assert sent(said) == []
        assert "acceptance_not_issued" in remarks(said)


def test_an_acceptance_beyond_the_notified_fpn_is_continued_by_another():
    party = declare(market(script(minutes=90)), periods=range(4, 35))
    early = sent(live(party, FIVE))
    assert [acceptance.profile[-1].at_ms for _, acceptance in early] == [FIVE + PERIOD_MS]
    for period in (35, 36):
        start_ms = START + period * PERIOD_MS
        party.state.next_closing_ms = start_ms + PERIOD_MS
        party.state.notified[UNIT, start_ms] = fpn(start_ms)
        party.state.offered[UNIT, start_ms] = offer(start_ms)
    late = sent(live(party, FIVE + 2 * HOUR_MS))
    assert [(acceptance.number, acceptance.profile[0].at_ms) for _, acceptance in late] == [
        (2, FIVE + PERIOD_MS)
    ]


def test_an_issued_acceptance_fixes_the_fpn_of_every_period_it_touches():
    party = declare(market(script(minutes=180)))
    said = live(party, FIVE)
    last = FIVE + 5 * PERIOD_MS
    assert last in [message.start_ms for message in of_kind(said, PhysicalNotification, "settlement")]
    party.receive(fpn(last, -1.0), FIVE + 1)
    assert remarks(live(party, FIVE + 1)) == ["bm_data_refused"]


# ---------------------------------------------------------------------------------------------------- answers


def test_an_accepted_acceptance_goes_to_settlement_at_once_and_once():
    party = declare(market(script()))
    live(party, FIVE - 2 * MINUTE_MS)
    answer(party, 1, True, FIVE - 2 * MINUTE_MS + 500)
    answer(party, 1, True, FIVE - 2 * MINUTE_MS + 700)
    said = live(party, FIVE + HOUR_MS)
    assert [item.number for item in bound(said)] == [1]
    assert "answer_ignored" in remarks(said)


def test_a_refused_acceptance_never_reaches_settlement():
    party = declare(market(script()))
    live(party, FIVE - 2 * MINUTE_MS)
    answer(party, 1, False, FIVE - 2 * MINUTE_MS + 500)
    said = live(party, FIVE + 2 * HOUR_MS)
    assert bound(said) == []
    assert "acceptance_refused" in remarks(said)


def test_silence_for_two_minutes_binds():
    party = declare(market(script()))
    said = live(party, FIVE - 1)
    assert bound(said) == []
    said = live(party, FIVE)
    assert [item.number for item in bound(said)] == [1]
    answer(party, 1, False, FIVE + 1)
    assert remarks(live(party, FIVE + 1)) == ["answer_ignored"]


def test_an_answer_to_a_number_never_sent_is_remarked_on():
    party = market()
    answer(party, 7, True, START + 5)
    assert remarks(live(party, START + 5)) == ["unknown_acceptance"]


# ----------------------------------------------------------------------------------------------- misbehaviour


def story(kind, half=0, until=FIVE + 2 * HOUR_MS, mw=12.0):
    """One scripted acceptance with that fault, never answered."""
    party = declare(market(script(mw=mw), faults=always(kind, half)))
    said = live(party, until)
    assert f"fault_{kind}" in remarks(said)
    return party, said


@pytest.mark.parametrize(("half", "second_ms"), [(0, FIVE - 119_000), (1, FIVE + HOUR_MS + 1000)])
def test_f1_a_duplicate_has_the_same_number_and_binds_once(half, second_ms):
    party, said = story("duplicate", half)
    (first_ms, first), (again_ms, again) = sent(said)
    assert (first_ms, again_ms) == (FIVE - 120_000, second_ms)
    assert first is again
    assert len(bound(said)) == 1
    assert len(party.state.ledger) == 1


def test_f1_a_duplicate_of_a_refused_acceptance_does_not_open_it_again():
    party = declare(market(script(), faults=always("duplicate", 0)))
    live(party, FIVE - 2 * MINUTE_MS)
    answer(party, 1, False, FIVE - 2 * MINUTE_MS + 1)
    said = live(party, FIVE + HOUR_MS)
    assert len(sent(said)) == 1
    assert bound(said) == []


def test_f2_an_amendment_changes_the_level_and_binds_instead():
    _, said = story("amend", 0)
    (_, first), (_, second) = sent(said)
    assert (first.number, first.amendment) == (second.number, "ORI")
    assert second.amendment == "UPD"
    assert max(point.level_mw for point in second.profile) == -14
    assert [item.amendment for item in bound(said)] == ["UPD"]


def test_f2_a_refused_amendment_leaves_the_original_standing():
    party = declare(market(script(), faults=always("amend", 0)))
    live(party, FIVE - 2 * MINUTE_MS)
    answer(party, 1, True, FIVE - 2 * MINUTE_MS + 1)
    said = live(party, FIVE - MINUTE_MS)
    answer(party, 1, False, FIVE - MINUTE_MS + 1)
    said += live(party, FIVE + HOUR_MS)
    assert [item.amendment for item in bound(said)] == ["ORI"]
    assert party.state.ledger[UNIT, 1].standing.amendment == "ORI"


def test_f2_a_withdrawal_ends_an_acceptance_whether_answered_or_not():
    _, said = story("amend", 1)
    assert [message.amendment for _, message in sent(said)] == ["ORI", "DEL"]
    assert bound(said) == []
    party = declare(market(script(), faults=always("amend", 1)))
    live(party, FIVE - 2 * MINUTE_MS)
    answer(party, 1, True, FIVE - 2 * MINUTE_MS + 1)
    assert [item.amendment for item in bound(live(party, FIVE))] == ["ORI", "DEL"]


@pytest.mark.parametrize(("half", "sent_ms"), [(0, FIVE + 5 * MINUTE_MS), (1, FIVE + 65 * MINUTE_MS)])
def test_f3_a_late_acceptance_comes_after_its_start_or_end_and_may_be_refused(half, sent_ms):
    party = declare(market(script(), faults=always("late", half)))
    ((at_ms, acceptance),) = sent(live(party, sent_ms))
    assert at_ms == acceptance.accepted_ms == sent_ms
    assert acceptance.profile[0].at_ms == FIVE
    answer(party, 1, False, sent_ms + 1)
    assert bound(live(party, sent_ms + HOUR_MS)) == []


def test_f4_an_impossible_acceptance_breaks_mel_or_the_ramp_rate():
    party = declare(market(script(), faults=always("impossible", 0)))
    party.receive(ExportLimits(UNIT, 1, START, START + 48 * PERIOD_MS, -2.0, -40.0), START + 2)
    ((_, beyond),) = sent(live(party, FIVE))
    assert max(point.level_mw for point in beyond.profile) == 3
    _, said = story("impossible", 1)
    profile = sent(said)[0][1].profile
    assert [(point.at_ms - FIVE, point.level_mw) for point in profile] == [
        (0, -20),
        (0, -8),
        (HOUR_MS, -8),
        (HOUR_MS, -20),
    ]


def test_f5_a_conflicting_acceptance_has_its_own_number_and_another_level_for_the_same_time():
    _, said = story("conflicting")
    (_, first), (_, second) = sent(said)
    assert (first.number, second.number) == (1, 2)
    assert first.profile[0] == second.profile[0]
    assert first.profile != second.profile
    assert [item.number for item in bound(said)] == [1, 2]


def test_f6_a_wrong_unit_is_none_of_ours_and_can_be_refused():
    party = declare(market(script(), faults=always("wrong_unit")))
    ((_, acceptance),) = sent(live(party, FIVE - 2 * MINUTE_MS))
    assert acceptance.unit not in {UNIT, OTHER}
    answer(party, 1, False, FIVE - 2 * MINUTE_MS + 1, acceptance.unit)
    assert bound(live(party, FIVE + HOUR_MS)) == []


def test_f7_an_amendment_before_its_original_still_outranks_it():
    _, said = story("out_of_order")
    assert [(at - FIVE, message.amendment) for at, message in sent(said)] == [
        (-120_000, "UPD"),
        (-115_000, "ORI"),
    ]
    assert [item.amendment for item in bound(said)] == ["UPD"]


def test_f7_a_withdrawal_before_its_original_ends_it_for_good():
    _, said = story("out_of_order", 1)
    assert [message.amendment for _, message in sent(said)] == ["DEL", "ORI"]
    assert bound(said) == []


def test_a_fault_happens_below_its_share_and_says_where_in_it_the_draw_fell():
    shares = FaultShares(**dict.fromkeys(FAULT_KINDS, 0.0) | {"late": 0.5})
    plan = FaultPlan(shares, np.array([[0.3] * 7, [0.5] * 7]))
    assert plan.lot(0, "late") == 0.6
    assert [plan.lot(1, "late"), plan.lot(2, "late"), plan.lot(0, "amend")] == [None, None, None]


def test_a_change_of_one_megawatt_is_amended_in_time_instead_of_level():
    _, said = story("amend", 0, mw=1.0)
    (_, first), (_, second) = sent(said)
    assert second.profile[-1].at_ms < first.profile[-1].at_ms


# ------------------------------------------------------------------------------------------------ system need


def needed(price, need_mw=10.0):
    """What is taken of 20 MW at `price` when 10 MW are needed at five and others want 100 for all of it."""
    series = np.zeros(48)
    series[34] = need_mw
    need = NeedSeries(series, (PricedBlock(100.0, 50.0),), (PricedBlock(25.0, 50.0),))
    pairs = (BidOfferPair(-1, 20.0, 900.0, price), BidOfferPair(1, 20.0, price, 0.0))
    return sent(live(declare(market(need=need), pairs=pairs), FIVE + HOUR_MS))


def test_a_need_is_met_by_us_when_we_are_cheaper_and_not_when_we_are_dearer():
    ((at_ms, acceptance),) = needed(99.0)
    assert at_ms == FIVE - 2 * MINUTE_MS
    assert (acceptance.profile[0].at_ms, acceptance.profile[-1].at_ms) == (FIVE, FIVE + PERIOD_MS)
    assert max(point.level_mw for point in acceptance.profile) == -10
    assert needed(101.0) == []


def test_a_surplus_is_met_by_us_when_we_bid_more():
    ((_, acceptance),) = needed(26.0, need_mw=-7.0)
    assert min(point.level_mw for point in acceptance.profile) == -27
    assert needed(24.0, need_mw=-7.0) == []


# --------------------------------------------------------------------------------------- operational metering


def metering(start, seconds, level=1000):
    values = np.arange(seconds, dtype=np.int64)[None, :] + level
    return OperationalMetering((UNIT,), start, values)


def test_seconds_of_operational_metering_are_counted_and_not_kept():
    party = market()
    party.receive(metering(FIVE, 10), FIVE + 10_200)
    party.receive(metering(FIVE + 15_000, 10), FIVE + 25_200)
    party.receive(metering(FIVE + 20_000, 10), FIVE + 30_200)
    counts = party.state.metering[UNIT]
    assert (counts.received, counts.missing, counts.again, counts.late) == (30, 5, 5, 0)
    assert remarks(live(party, FIVE)) == ["metering_gap"]


def test_late_metering_is_remarked_on_once_per_unit_and_episode():
    party = market(metering="standard_2022")
    for start in range(FIVE, FIVE + HOUR_MS, 10_000):
        party.receive(metering(start, 10), start + 60_000)
    on_time_for_a_period = range(FIVE + HOUR_MS, FIVE + 2 * HOUR_MS, 10_000)
    for start in on_time_for_a_period:
        party.receive(metering(start, 10), start + 10_000)
    party.receive(metering(FIVE + 2 * HOUR_MS, 10), FIVE + 2 * HOUR_MS + 60_000)
    told = [said.message.detail for said in party.take_outbox() if said.message.kind == "metering_late"]
    assert len(told) == 2
    assert (
        told[0]
        == f"{UNIT}: its metering is 51 s behind, allowed are 6 s; told once until it is on time again"
    )


@pytest.mark.parametrize(
    ("choice", "late"), [("standard_2022", 10), ("proposed_2022", 10), ("relaxed_2024", 0)]
)
def test_late_seconds_depend_on_the_metering_rules_chosen(choice, late):
    # The newest of ten seconds is 7 s old on arrival; 1 Hz and 5 s allow 6 s, the relaxed rules 65 s.
    party = market(metering=choice)
    party.receive(metering(FIVE, 10), FIVE + 16_000)
    assert party.state.metering[UNIT].late == late


def test_a_profile_without_inner_corners_can_be_made_impossible_too():
    # Storm seed 649: an acceptance cut short where no FPN is notified has two corners only.
    short = (Point(FIVE, -3.0), Point(FIVE + 120_000, -2.0))
    assert faults.too_fast(short)[1] == Point(FIVE, -2.0)
    assert max(point.level_mw for point in faults.beyond_limits(short, 0.0)) > 0.0
