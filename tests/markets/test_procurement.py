"""Stories of the machinery on which distribution and constraint services are bought."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from market_mail import live, of_kind, remarks

from markets.dso import DistributionOperator
from markets.procurement_settings import ProcurementSettings, ServiceCall, ServiceEventScript, Sites
from markets.settings import FAULT_KINDS, FaultPlan, FaultShares, RulesInForce, SettingsError
from protocol.messages import (
    ServiceAward,
    ServiceCancellation,
    ServiceDispatch,
    ServiceDispatchAnswer,
    ServiceMetering,
    ServiceNomination,
    ServiceOffer,
    ServiceRequirement,
    ServiceUnit,
    ServiceUnitAnswer,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, local_clock_ms
from protocol.products import Product

DAY = date(2025, 1, 16)
EVE = date(2025, 1, 15)
START = local_clock_ms(EVE, 0)
FIVE = local_clock_ms(DAY, 17)
ZONES = ("_A/cmz00", "_A/cmz01")
SITES = Sites(ZONES, np.array([0] * 10 + [1] * 10 + [-1] * 2, np.int16))


def script(product="secure", name="S1", start=FIVE, periods=4, mw=2.0, place=ZONES[0], **more):
    end = start + periods * PERIOD_MS
    told = {
        "utilisation_ceiling_gbp_per_mwh": None if product == "sustain_h" else 300.0,
        "availability_ceiling_gbp_per_mw_h": 100.0 if product in {"sustain_h", "secure", "dynamic"} else None,
        "calls": () if product.startswith("sustain") else (ServiceCall(start, end),),
        **more,
    }
    return ServiceEventScript(Product(product), name, place, start, end, mw, **told)


def always(kind=None, lot=0.0):
    """That kind on every event, at this place of its share; without one, no fault at all."""
    shares = FaultShares(**{name: float(name == kind) for name in FAULT_KINDS})
    return FaultPlan(shares, np.full((9, len(FAULT_KINDS)), lot))


def operator(*events, overrides=(), faults=None, start=START):
    rules = RulesInForce(None, tuple(("procurement", rule, value) for rule, value in overrides))
    none = np.empty(0, np.int32)
    return DistributionOperator(
        ProcurementSettings(start, events, SITES, rules, faults or always(), None, none)
    )


def unit(name="U", rows=(0, 1, 2), product="secure", place=ZONES[0], mw=2.0):
    return ServiceUnit(product, name, place, np.array(rows, np.int32), mw)


def offer(name="O1", mw=(1.0,) * 4, price=100.0, who="U", event="S1", product="secure", held=0.0):
    return ServiceOffer(product, name, event, who, tuple(mw), price, held)


def register(party, *units, at_ms=START):
    for one in units:
        party.receive(one, at_ms)


def requirement_of(party, until_ms=FIVE):
    return of_kind(live(party, until_ms), ServiceRequirement, "aggregator")[0]


def whole_event(event, offers, units=None, **how):
    """(party, all that was said): a whole event with these units and offers, offered at the gate."""
    party = operator(event, **how)
    register(party, *(units or [unit(product=event.product)]))
    said = live(party, party.events[0].times.submit_by_ms)
    for one in offers:
        party.receive(one, party.events[0].times.submit_by_ms)
    return party, said + live(party, event.end_ms + 2 * HOUR_MS)


def answers(event, offers, units=None, **how):
    """Every offer's award by offer id, after a whole event."""
    _, said = whole_event(event, offers, units, **how)
    told = of_kind(said, ServiceAward, "aggregator")
    assert len(told) == len(offers)
    return {award.offer_id: award for award in told}


# -------------------------------------------------------------------------------------------------- timetable


def test_secure_is_published_awarded_and_closed_on_the_day_before():
    needed = requirement_of(operator(script()))
    assert needed.submit_by_ms == local_clock_ms(EVE, 11)
    assert needed.results_by_ms == local_clock_ms(EVE, 14)
    assert (needed.start_ms, needed.end_ms, needed.turn_down_mw) == (FIVE, FIVE + 2 * HOUR_MS, 2.0)


def test_the_weekly_cycle_locks_on_wednesday_night_and_accepts_on_thursday_noon():
    start = local_clock_ms(date(2025, 1, 1), 0)
    party = operator(script(), overrides=[("secure_cycle", "weekly")], start=start)
    times = party.events[0].times  # 16 January 2025 is a Thursday: its week begins on the 13th
    assert times.submit_by_ms == local_clock_ms(date(2025, 1, 9), 0)
    assert times.results_by_ms == local_clock_ms(date(2025, 1, 9), 12)


def test_a_gate_that_lies_before_the_run_moves_behind_its_start():
    times = operator(script("sustain")).events[0].times
    assert (times.published_ms, times.submit_by_ms) == (START, START + HOUR_MS)
    assert times.results_by_ms == START + HOUR_MS + 30 * MINUTE_MS


def test_dynamic_is_published_so_late_that_notice_is_just_kept():
    times = operator(script("dynamic")).events[0].times
    assert times.results_by_ms == FIVE - 15 * MINUTE_MS
    assert times.published_ms == FIVE - 30 * MINUTE_MS


def test_an_event_where_nobody_lies_is_published_with_a_remark():
    said = live(operator(script(place="_Z/cmz00")), FIVE)
    assert remarks(said) == ["unknown_place"]
    assert len(of_kind(said, ServiceRequirement, "aggregator")) == 1


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (lambda: script(published_ms=FIVE - HOUR_MS), "results would come 45 min too late for its start"),
        (lambda: script(cancelled_ms=FIVE), "cancel it before its start"),
        (lambda: script(start=FIVE + MINUTE_MS), "whole settlement periods"),
        (lambda: script(mw=0.0), "other than 0"),
        (lambda: script(mw=float("nan")), "other than 0"),
        (lambda: script("tcm"), "dso does not buy tcm"),
        (lambda: script(calls=(ServiceCall(FIVE - 1, FIVE + 1),)), "call within its window"),
    ],
)
def test_an_event_that_cannot_be_held_is_refused_before_the_run(event, words):
    with pytest.raises(SettingsError, match=words):
        operator(event())


def test_before_december_2024_an_event_lasts_two_hours_at_least():
    day = date(2024, 1, 18)
    event = script(start=local_clock_ms(day, 17), periods=2)
    with pytest.raises(SettingsError, match="shorter than 120 minutes"):
        operator(event, start=local_clock_ms(day, 0))


# ----------------------------------------------------------------------------------------------- registration


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rows": ()}, "it has no assets"),
        ({"rows": (4, 4)}, "an asset comes twice"),
        ({"rows": (4, 22)}, "phantom"),
        ({"rows": (-1, 4)}, "phantom"),
        ({"rows": (2, 9)}, "are in unit U already"),
        ({"rows": (9, 10)}, "not all its assets lie at _A/cmz00"),
        ({"rows": (9, 20)}, "not all its assets lie at _A/cmz00"),
        ({"place": "_A/cmz77"}, "there is no place"),
        ({"mw": 0.009}, "below the minimum of 0.01 MW"),
        ({"mw": float("nan")}, "must be a number above 0"),
        ({"product": "lcm"}, "dso does not buy lcm"),
    ],
)
def test_a_wrong_unit_is_refused_with_the_reason(wrong, words):
    party = operator(script())
    register(party, unit(), unit("V", **({"rows": (9,)} | wrong)))
    first, second = of_kind(live(party, START), ServiceUnitAnswer, "aggregator")
    assert first.accepted
    assert not second.accepted
    assert words in second.reason


def test_the_same_assets_may_be_in_units_of_two_products():
    party = operator(script())
    register(party, unit(), unit("V", product="sustain"))
    assert all(answer.accepted for answer in of_kind(live(party, START), ServiceUnitAnswer))


# --------------------------------------------------------------------------------------------------- offering


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"event": "S9"}, "there is no event S9"),
        ({"who": "W"}, "unit W is not registered for secure"),
        ({"product": "dynamic"}, "unit U is not registered for secure"),
        ({"who": "FAR"}, "unit FAR lies at _A/cmz01"),
        ({"mw": (1.0,) * 3}, "has 4 periods, the offer 3"),
        ({"mw": (0.0,) * 4}, "not all 0"),
        ({"mw": (1.0, float("inf"), 1.0, 1.0)}, "must be numbers"),
        ({"mw": (-1.0,) * 4}, "the other direction"),
        ({"mw": (1.0, 1.0, 2.1, 1.0)}, "above the unit's capacity of 2.0 MW"),
        ({"mw": (1.0, 0.001, 1.0, 1.0)}, "below the minimum"),
        ({"price": 300.01}, "above the ceiling of 300.0"),
        ({"price": -1.0}, "at least 0"),
        ({"price": float("nan")}, "must be a number"),
        ({"held": 100.01}, "above the ceiling of 100.0"),
    ],
)
def test_a_wrong_offer_is_refused_with_the_reason(wrong, words):
    units = [unit(), unit("FAR", (10,), place=ZONES[1])]
    (award,) = answers(script(), [offer(**wrong)], units).values()
    assert not award.accepted
    assert words in award.reason


def test_a_price_that_is_not_asked_for_is_refused():
    event = script("sustain", start=FIVE)
    (award,) = answers(event, [offer(product="sustain", held=1.0)]).values()
    assert "availability price is not asked for" in award.reason


def test_an_offer_after_the_gate_is_refused():
    party = operator(script())
    register(party, unit())
    live(party, START + 12 * HOUR_MS)
    party.receive(offer(), party.events[0].times.submit_by_ms + 1)
    (award,) = of_kind(live(party, FIVE), ServiceAward, "aggregator")
    assert not award.accepted
    assert "closed" in award.reason


def test_the_same_offer_twice_is_answered_once():
    _, said = whole_event(script(), [offer(), offer()])
    assert len(of_kind(said, ServiceAward, "aggregator")) == 1
    assert "duplicate_offer" in remarks(said)


def test_a_later_offer_replaces_the_earlier_one_of_the_unit():
    told = answers(script(), [offer("O1", price=10.0), offer("O2", price=20.0)])
    assert [told[name].accepted for name in ("O1", "O2")] == [False, True]
    assert "replaced by offer O2" in told["O1"].reason


# --------------------------------------------------------------------------------------------------- clearing

THREE = [unit("U", (0,)), unit("V", (1,)), unit("W", (2,))]


def test_the_cheapest_come_first_and_the_last_is_taken_in_part():
    told = answers(
        script(mw=2.5),
        [
            offer("O1", price=30.0, mw=(1.0,) * 4),
            offer("O2", price=10.0, mw=(2.0,) * 4, who="V"),
            offer("O3", price=40.0, mw=(2.0,) * 4, who="W"),
        ],
        THREE,
    )
    assert told["O2"].turn_down_mw == (2.0,) * 4
    assert told["O1"].turn_down_mw == (0.5,) * 4
    assert not told["O3"].accepted
    assert "met by cheaper offers" in told["O3"].reason


def test_where_whole_offers_are_bought_one_that_goes_beyond_the_need_is_left_out():
    told = answers(
        script(mw=2.5),
        [
            offer("O1", price=10.0, mw=(2.0,) * 4),
            offer("O2", price=20.0, mw=(1.0,) * 4, who="V"),
            offer("O3", price=30.0, mw=(0.5,) * 4, who="W"),
        ],
        THREE,
        overrides=[("dso_whole_offers", True)],
    )
    assert [told[name].accepted for name in ("O1", "O2", "O3")] == [True, False, True]


def test_availability_counts_beside_utilisation_in_the_order():
    told = answers(
        script(mw=1.0),
        [offer("O1", price=50.0, held=60.0), offer("O2", price=100.0, held=5.0, who="V")],
        THREE,
    )
    assert [told[name].accepted for name in ("O1", "O2")] == [False, True]


def test_restore_is_accepted_unseen_and_only_what_is_needed_is_called():
    event = script("restore", name="S1", mw=1.0)
    units = [replace(one, product="restore") for one in THREE]
    offers = [
        offer("O1", price=30.0, product="restore"),
        offer("O2", price=10.0, product="restore", who="V", mw=(0.75,) * 4),
    ]
    _, said = whole_event(event, offers, units)
    assert all(award.accepted for award in of_kind(said, ServiceAward, "aggregator"))
    starts = of_kind(said, ServiceDispatch, "aggregator")
    assert [(start.unit, start.turn_down_mw) for start in starts] == [("V", 0.75), ("U", 0.25)]


def test_an_asset_that_is_sold_in_one_product_is_not_sold_in_another_at_the_time():
    party = operator(script("sustain", name="A1"), script("secure", name="S1"))
    register(party, unit(product="sustain"), unit("V"))
    live(party, START + HOUR_MS)
    party.receive(offer("O1", event="A1", product="sustain"), START + HOUR_MS)
    told = live(party, START + 10 * HOUR_MS)
    party.receive(offer("O2", who="V"), START + 10 * HOUR_MS)
    offered, refused = of_kind(told + live(party, FIVE), ServiceAward, "aggregator")
    assert (offered.accepted, refused.accepted) == (True, False)
    assert "sold as sustain of A1 then (only one DNO product per area)" in refused.reason


def test_a_unit_sells_no_more_than_its_capacity_to_two_events_at_one_time():
    party = operator(script(name="S1"), script(name="S2"))
    register(party, unit(mw=1.5))
    live(party, START + 11 * HOUR_MS - 1)
    for name in ("S1", "S2"):
        party.receive(offer(f"O-{name}", event=name), START + 11 * HOUR_MS)
    told = of_kind(live(party, FIVE), ServiceAward, "aggregator")
    assert [award.accepted for award in told] == [True, False]
    assert "leaves less than it offers" in told[1].reason


def test_settlement_hears_of_accepted_awards_alone():
    _, said = whole_event(script(mw=1.0), [offer("O1"), offer("O2", price=200.0, who="V")], THREE)
    assert [award.offer_id for award in of_kind(said, ServiceAward, "settlement")] == ["O1"]


@pytest.mark.parametrize(
    ("product", "scheduled"), [("sustain", True), ("sustain_h", True), ("secure", False)]
)
def test_the_award_of_a_scheduled_service_is_the_instruction(product, scheduled):
    price = {"price": 0.0, "held": 50.0} if product == "sustain_h" else {}
    _, said = whole_event(script(product), [offer(product=product, **price)])
    (award,) = of_kind(said, ServiceAward, "aggregator")
    assert award.accepted
    assert award.scheduled is scheduled
    assert bool(of_kind(said, ServiceDispatch)) is not scheduled


# --------------------------------------------------------------------------------------------------- calling


def test_secure_is_called_fifteen_minutes_ahead_and_settlement_hears_it_too():
    _, said = whole_event(script(), [offer()])
    (start,) = of_kind(said, ServiceDispatch, "aggregator")
    assert (start.signal, start.at_ms, start.until_ms) == ("start", FIVE, FIVE + 2 * HOUR_MS)
    assert [at for at, to, one in said if one is start and to == "settlement"] == [FIVE - 15 * MINUTE_MS]


@pytest.mark.parametrize(("key", "signal"), [("stopped_ms", "stop"), ("emergency_ms", "emergency_stop")])
def test_a_stop_is_sent_to_whoever_was_started(key, signal):
    at_ms = FIVE + 47 * MINUTE_MS
    event = script(calls=(replace(ServiceCall(FIVE, FIVE + 2 * HOUR_MS), **{key: at_ms}),))
    _, said = whole_event(event, [offer()])
    start, stop = of_kind(said, ServiceDispatch, "aggregator")
    assert (stop.signal, stop.at_ms, stop.offer_id, stop.turn_down_mw) == (signal, at_ms, "O1", 0.0)
    assert stop.dispatch_id != start.dispatch_id
    assert of_kind(said, ServiceDispatch, "settlement") == [start, stop]


def test_nobody_is_called_where_nothing_was_awarded():
    _, said = whole_event(script(), [])
    assert of_kind(said, ServiceDispatch) == []


def test_a_start_that_is_refused_or_never_answered_binds_at_the_network_operator():
    _, said = whole_event(script(), [offer()])
    assert "dispatch_unanswered" in remarks(said)
    assert len(of_kind(said, ServiceDispatch, "settlement")) == 1


def test_answers_to_what_was_never_sent_or_was_answered_before_are_remarked_on():
    party = operator(script())
    register(party, unit())
    live(party, START + 10 * HOUR_MS)
    party.receive(offer(), START + 10 * HOUR_MS)
    (start,) = of_kind(live(party, FIVE - 15 * MINUTE_MS), ServiceDispatch, "aggregator")
    yes = ServiceDispatchAnswer("secure", start.dispatch_id, "U", True, "")
    for answer in (yes, yes, replace(yes, dispatch_id="X"), replace(yes, dispatch_id="X-stop")):
        party.receive(answer, FIVE)
    said = live(party, FIVE + HOUR_MS)
    assert [kind for kind in remarks(said) if "metering" not in kind] == [
        "answer_ignored",
        "unknown_dispatch",
    ]


def test_a_cancellation_before_results_refuses_every_offer():
    event = script(cancelled_ms=START + 12 * HOUR_MS)
    _, said = whole_event(event, [offer()])
    (award,) = of_kind(said, ServiceAward, "aggregator")
    assert not award.accepted
    assert "cancelled before results" in award.reason
    assert len(of_kind(said, ServiceCancellation, "settlement")) == 1


def test_a_cancellation_after_results_reaches_both_and_nobody_is_called():
    event = script(cancelled_ms=FIVE - HOUR_MS)
    _, said = whole_event(event, [offer()])
    assert {to for _, to, one in said if isinstance(one, ServiceCancellation)} == {"aggregator", "settlement"}
    assert of_kind(said, ServiceDispatch) == []


# ------------------------------------------------------------------------------------- metering, nominations


def minutes(start_ms, count=30):
    return ServiceMetering("secure", "U", start_ms, (5000,) * count)


def with_metering(*told):
    """What is remarked on when this metering comes, (time, message), to an event that is awarded."""
    party = operator(script(periods=2))
    register(party, unit())
    live(party, START + 10 * HOUR_MS)
    party.receive(offer(mw=(1.0,) * 2), START + 10 * HOUR_MS)
    said = []
    for at_ms, message in told:
        said += live(party, at_ms)
        party.receive(message, at_ms)
    said += live(party, FIVE + 3 * HOUR_MS)
    return [kind for kind in remarks(said) if "metering" in kind]


HALF_PAST = FIVE + PERIOD_MS


def test_minutes_of_every_half_hour_in_time_are_nothing_to_remark_on():
    told = [(HALF_PAST + 1, minutes(FIVE)), (HALF_PAST + PERIOD_MS + 1, minutes(HALF_PAST))]
    assert with_metering(*told) == []


def test_minutes_that_do_not_come_or_come_late_are_remarked_on():
    assert with_metering() == ["service_metering_missing"] * 2
    late = (HALF_PAST + 16 * MINUTE_MS, minutes(FIVE))
    assert with_metering(late) == [
        "service_metering_missing",
        "service_metering_late",
        "service_metering_missing",
    ]


def test_minutes_nobody_asked_for_or_too_few_are_remarked_on():
    told = [(HALF_PAST, minutes(FIVE - PERIOD_MS)), (HALF_PAST, minutes(FIVE, 29))]
    assert with_metering(*told)[:2] == ["service_metering_refused"] * 2


def test_sustain_h_is_submitted_after_the_month_and_not_waited_for():
    _, said = whole_event(script("sustain_h"), [offer(product="sustain_h", price=0.0, held=1.0)])
    assert not any("metering" in kind for kind in remarks(said))


@pytest.mark.parametrize(
    ("hour", "day", "periods", "kinds"),
    [
        (12, DAY, 48, []),
        (13, DAY, 48, ["nomination_late"]),
        (1, EVE, 48, []),
        (2, EVE, 48, ["nomination_late"]),
        (1, DAY, 46, ["nomination_refused"]),
    ],
)
def test_a_nomination_is_for_a_whole_day_and_comes_by_noon_of_the_day_before(hour, day, periods, kinds):
    party = operator(script())
    register(party, unit())
    party.take_outbox()
    party.receive(ServiceNomination("secure", "U", day, (1,) * periods), START + hour * HOUR_MS)
    told = [envelope.message for envelope in party.take_outbox()]
    assert [one.kind for one in told] == kinds
