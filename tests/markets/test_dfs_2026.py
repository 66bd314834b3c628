"""Stories of the Demand Flexibility Service of 2026: both directions, zones and caps, who fails is out."""

from datetime import date, timedelta

import numpy as np
import pytest
from market_mail import live, of_kind, remarks

from markets.dfs import DfsMarket
from markets.dfs_faults import impossible_results
from markets.faults import BEYOND_MW
from markets.settings import (
    FAULT_KINDS,
    DfsEventScript,
    DfsSettings,
    FaultPlan,
    FaultShares,
    PricedBlock,
    RulesInForce,
    SettingsError,
    SettlementSettings,
)
from markets.settlement import Settlement
from protocol.messages import (
    BoundaryReadings,
    DeliveredVolume,
    DfsBid,
    DfsRequirement,
    DfsResult,
    DfsUnitRegistration,
    Statement,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, local_clock_ms, period_count

DAY = date(2026, 6, 11)
EVE = date(2026, 6, 10)
START = local_clock_ms(EVE, 0)
NIGHT = local_clock_ms(DAY, 1)
NONE = FaultPlan(FaultShares(*[0.0] * len(FAULT_KINDS)), np.zeros((9, len(FAULT_KINDS))))


def script(name="E1", start=NIGHT, periods=8, mw=-1.0, test=False, published=None, zones=(), caps=()):
    end = start + periods * PERIOD_MS
    return DfsEventScript(name, start, end, mw, None, test, published, None, tuple(zones), tuple(caps))


def market(*events, competitors=(), overrides=(), start=START):
    return DfsMarket(DfsSettings(start, events, tuple(competitors), RulesInForce(None, overrides), NONE))


def register(party, unit="U", zone="_N", home=1):
    party.receive(DfsUnitRegistration(unit, np.array([home], np.int32), True, zone), party.state.now_ms)


def bid(unit="U", mw=-0.3, price=100.0, event="E1", periods=8):
    return DfsBid(f"{event}-{unit}", event, unit, (mw,) * periods, price)


def answers(party, *bids):
    """Every bid's result by unit, after all of them came as the window closed."""
    said = live(party, NIGHT - 4 * HOUR_MS)
    for needed in of_kind(said, DfsRequirement, "aggregator"):
        for one in bids:
            if one.event_id == needed.event_id:
                party.receive(one, needed.submit_by_ms)
    return {one.unit: one for one in of_kind(live(party, NIGHT), DfsResult, "aggregator")}


# ------------------------------------------------------------------------------------------------ timetable


@pytest.mark.parametrize("day", [DAY, date(2027, 3, 28), date(2026, 10, 25)])
def test_turn_up_for_the_small_hours_is_asked_for_the_evening_before(day):
    eve = day - timedelta(days=1)
    party = market(script(start=local_clock_ms(day, 3)), start=local_clock_ms(eve, 0))
    (needed,) = of_kind(live(party), DfsRequirement, "aggregator")
    published_ms = needed.submit_by_ms - HOUR_MS
    assert published_ms == max(local_clock_ms(eve, 21), needed.end_ms - 9 * HOUR_MS)
    assert needed.results_by_ms - needed.submit_by_ms == HOUR_MS
    assert needed.end_ms - needed.submit_by_ms <= 8 * HOUR_MS
    assert {46, 48, 50} >= {period_count(day)}


def test_turn_down_of_an_evening_is_asked_for_within_the_day():
    party = market(script(start=local_clock_ms(DAY, 17), periods=4, mw=1.0))
    (needed,) = of_kind(live(party), DfsRequirement, "aggregator")
    assert needed.submit_by_ms == needed.end_ms - 8 * HOUR_MS
    assert needed.turn_down_mw == 1.0


def test_what_outlasts_the_procurement_period_is_refused_with_the_clause():
    early = script(published=NIGHT - 6 * HOUR_MS)
    with pytest.raises(SettingsError, match=r"more than 480 min after bids close \(Procurement period: 8 h"):
        market(early)
    market(script(published=NIGHT - 5 * HOUR_MS))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (script(start=local_clock_ms(date(2026, 5, 17), 1)), r"2024/25 buys no turn-up \(demand reduction"),
        (
            script(start=local_clock_ms(date(2026, 5, 17), 17), mw=1.0, zones=["_A"]),
            r"2024/25 knows no zones \(Eligibility: aggregation\)",
        ),
        (
            script(start=local_clock_ms(date(2026, 5, 17), 17), mw=1.0, caps=[("_A", 1.0)]),
            r"2024/25 has no zonal caps \(national requirement\)",
        ),
    ],
)
def test_what_an_edition_does_not_know_is_refused_with_its_clause(event, words):
    with pytest.raises(SettingsError, match=words):
        market(event, start=local_clock_ms(date(2026, 5, 16), 0))


# --------------------------------------------------------------------------------------------------- prices


def test_tests_guarantee_another_price_to_those_who_turn_up():
    party = market(
        script(test=True), script("E2", start=local_clock_ms(DAY, 17), mw=1.0, test=True), script("E3")
    )
    said = of_kind(live(party), DfsRequirement, "aggregator")
    assert {one.event_id: one.guaranteed_price_gbp_per_mwh for one in said} == {
        "E1": 180.0,
        "E2": 500.0,
        "E3": None,
    }


@pytest.mark.parametrize(("price", "accepted"), [(180.0, True), (180.01, False)])
def test_at_the_guaranteed_price_nobody_else_is_cheaper(price, accepted):
    party = market(script(test=True), competitors=[PricedBlock(1.0, 5.0)])
    register(party)
    assert answers(party, bid(price=price))["U"].accepted is accepted


# -------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (bid(mw=0.3), "E1 asks for demand to be turned up, below 0 MW"),
        (bid(mw=-0.05), "0.05 MW is below the minimum of 0.1 MW"),
        (bid("NOWHERE"), "DFS Unit NOWHERE does not lie in one zone (Zonal requirements)"),
        (bid("SOUTH"), "E1 is for _N, _P, not _A (Zonal requirements)"),
    ],
)
def test_a_bid_that_does_not_fit_is_answered_with_the_clause(made, words):
    party = market(script(zones=["_N", "_P"]))
    for home, (unit, zone) in enumerate((("U", "_N"), ("NOWHERE", ""), ("SOUTH", "_A"))):
        register(party, unit, zone, home)
    result = answers(party, made)[made.unit]
    assert not result.accepted
    assert words in result.reason


# -------------------------------------------------------------------------------------------------- clearing


def test_whole_bids_are_taken_cheapest_first_as_their_zones_caps_allow():
    # Wanted 1 MW; _P may give 0.5 MW. 0.4 in _P at 10, then 0.3 in _P does not fit, then 0.5 and 0.4 in _N.
    party = market(script(zones=["_N", "_P"], caps=[("_P", 0.5)]))
    made = [
        bid("P1", -0.4, 10.0),
        bid("P2", -0.3, 20.0),
        bid("N1", -0.5, 30.0),
        bid("N2", -0.4, 40.0),
        bid("N3", -0.1, 50.0),
    ]
    for home, one in enumerate(made):
        register(party, one.unit, f"_{one.unit[0]}", home)
    results = answers(party, *made)
    assert [unit for unit, one in results.items() if one.accepted] == ["P1", "N1", "N2"]
    assert results["P2"].reason == "it does not fit under the cap of zone _P (respecting zonal caps)"
    assert results["N3"].reason.startswith("the requirement was met by cheaper bids")


def test_competitors_fill_a_zones_cap_as_well():
    event = script(zones=["_P"], caps=[("_P", 0.5)])
    for price, accepted in ((10.0, False), (200.0, True)):
        party = market(event, competitors=[PricedBlock(price, 0.4)])
        register(party, zone="_P")
        assert answers(party, bid())["U"].accepted is accepted


# -------------------------------------------------------------------------------------------- deregistration


def delivered(event, share, unit="U", mw=-0.3):
    """What settlement finds of each period of a night, at a share of what was accepted."""
    accepted_wh = round(mw * 500_000)
    for start_ms in range(event.start_ms, event.end_ms, PERIOD_MS):
        yield DeliveredVolume(
            "dfs", unit, event.event_id, start_ms, start_ms + PERIOD_MS, 0, 0, round(share * accepted_wh),
            accepted_wh, 1, 0,
        )  # fmt: skip


def nights(shares):
    """A market with an event a night, in which one unit delivered these shares; and what it said."""
    events = [script(f"E{k}", NIGHT + 24 * k * HOUR_MS) for k in range(len(shares) + 1)]
    party, said = market(*events), []
    register(party)
    for event, share in zip(events, [*shares, None], strict=True):
        said += live(party, event.start_ms - 3 * HOUR_MS - MINUTE_MS)
        party.receive(bid(event=event.event_id), party.state.now_ms)
        said += live(party, event.start_ms)
        for volume in () if share is None else delivered(event, share):
            party.receive(volume, event.end_ms + HOUR_MS)
    return party, said


def test_who_fails_five_times_running_is_deregistered_and_bids_no_more():
    # K at 60 % is 0.6, at 40 % is (80 - 50) / 100 = 0.3.
    party, said = nights([0.6, 0.4, 0.4, 0.4, 0.4, 0.4])
    assert party.state.deregistered == {"U": DAY + timedelta(days=5)}
    assert remarks(said).count("dfs_deregistered") == 1
    last = of_kind(said, DfsResult, "aggregator")[-1]
    assert not last.accepted
    assert last.reason == "DFS Unit U was deregistered for its performance on 2026-06-16 (Deregistration)"
    register(party)
    assert remarks(live(party, party.state.now_ms))[-1] == "dfs_registration_refused"


def test_one_event_well_done_begins_the_count_anew():
    party, said = nights([0.4, 0.4, 0.4, 0.4, 0.9, 0.4])
    assert not party.state.deregistered
    assert of_kind(said, DfsResult, "aggregator")[-1].accepted


def test_an_event_is_judged_when_all_of_its_periods_are_settled():
    events = [script(f"E{k}", NIGHT + 24 * k * HOUR_MS) for k in range(5)]
    party = market(*events)
    register(party)
    for event in events:
        live(party, event.start_ms - 3 * HOUR_MS - MINUTE_MS)
        party.receive(bid(event=event.event_id), party.state.now_ms)
        live(party, event.start_ms)
    *most, last = [volume for event in events for volume in delivered(event, 0.0)]
    for volume in most:
        party.receive(volume, events[-1].end_ms + HOUR_MS)
    assert not party.state.deregistered
    party.receive(last, events[-1].end_ms + HOUR_MS)
    assert party.state.deregistered


# -------------------------------------------------------------------------------------------- misbehaviour


def test_an_impossible_result_of_turn_up_is_beyond_the_bid_or_the_other_way():
    made = DfsResult("B", "E1", "U", True, "", NIGHT, NIGHT + HOUR_MS, (-0.3, 0.0), 180.0)
    beyond, _, _, turned = impossible_results(made)
    assert beyond.turn_down_mw[0] == -0.3 - BEYOND_MW
    assert turned.turn_down_mw[0] == 0.3


# ----------------------------------------------------------------------------------------------- settlement


def test_two_homes_that_turned_up_worked_by_hand():
    # Both use 500 Wh in every half hour; on the night 900 and 800, then 550 and 500, then 400 and 450, then
    # 10,000 and 0. Accepted: 500 Wh. Delivered 700, 50, -150, 9,000 Wh: 140, 10, -30, 1,800 %. K: 1.2, 0,
    # -0.3, 1.2.
    # S = 0.5 x 180 GBP/MWh x 0.001 MW x K = 0.09 GBP x K.
    party = Settlement(SettlementSettings(EVE, 3, "boundary", False, RulesInForce(None, ())))
    at_ms = party.state.now_ms
    party.receive(DfsUnitRegistration("U", np.array([0, 1], np.int32), True, "_N"), at_ms)
    for step in range(14, -1, -1):
        readings = np.full((2, 48), 500, np.int16)
        if step == 0:
            readings[:, 2:6] = [[900, 550, 400, 10_000], [800, 500, 450, 0]]
        day = DAY - timedelta(days=step)
        if step == 0:
            mw = (-0.001,) * 4
            party.receive(DfsResult("B", "E1", "U", True, "", NIGHT, NIGHT + 2 * HOUR_MS, mw, 180.0), at_ms)
        party.receive(BoundaryReadings(day, np.array([0, 1], np.int32), readings), NIGHT + 48 * HOUR_MS)
    said = party.take_outbox()
    (statement,) = [each.message for each in said if isinstance(each.message, Statement)][:1]
    assert [(line.volume_mwh, line.amount_gbp_e5) for line in statement.lines] == [
        (0.0007, 10_800),
        (0.00005, 0),
        (-0.00015, -2_700),
        (0.009, 10_800),
    ]
    assert [line.payer for line in statement.lines] == ["neso", "neso", "aggregator", "neso"]
    told = [each.message for each in said if isinstance(each.message, DeliveredVolume) and each.to == "dfs"]
    assert [(one.delivered_wh, one.accepted_wh) for one in told] == [
        (-700, -500),
        (-50, -500),
        (150, -500),
        (-9000, -500),
    ]
