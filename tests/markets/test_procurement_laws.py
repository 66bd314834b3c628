"""Laws of buying services: whatever is offered, on whatever day, and however the buyer misbehaves."""

from collections import Counter
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_mail import live, of_kind, remarks

from markets.constraint_market import ConstraintMarket
from markets.dso import DistributionOperator
from markets.procurement_entry import size_w
from markets.procurement_settings import ProcurementSettings, ServiceCall, ServiceEventScript, Sites
from markets.procurement_terms import CONSTRAINT_PRODUCTS, DSO_PRODUCTS
from markets.settings import FAULT_KINDS, FaultPlan, FaultShares, RulesInForce
from protocol.messages import (
    ServiceAward,
    ServiceCancellation,
    ServiceDispatch,
    ServiceOffer,
    ServiceRequirement,
    ServiceUnit,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, day_start_ms, local_clock_ms
from protocol.products import Product

DAY = date(2025, 1, 16)
MARCH, OCTOBER = date(2025, 3, 30), date(2025, 10, 26)
PLACE = "_P00"
SITES = Sites((PLACE,), np.zeros(30, np.int16))
PRODUCTS = (*DSO_PRODUCTS, *CONSTRAINT_PRODUCTS)
every_product = pytest.mark.parametrize("product", PRODUCTS)
every_change = pytest.mark.parametrize(("day", "hours"), [(MARCH, 3), (OCTOBER, 5)])


def plan(kind=None, lot=0.0):
    """That kind on every event, at this place of its share; without one, no fault at all."""
    shares = FaultShares(**{name: float(name == kind) for name in FAULT_KINDS})
    return FaultPlan(shares, np.full((9, len(FAULT_KINDS)), lot))


def ceilings(product):
    held = product in {Product.SUSTAIN_H, Product.SECURE, Product.DYNAMIC}
    return (None if product is Product.SUSTAIN_H else 300.0), (100.0 if held else None)


def event(product, start_ms, end_ms, mw=2.0, name="S1"):
    """A requirement in a direction that every service buys, called once."""
    signed = -mw if product is Product.LCM else mw
    return ServiceEventScript(
        product, name, PLACE, start_ms, end_ms, signed, *ceilings(product), (ServiceCall(start_ms, end_ms),)
    )


def buyer(*events, start_ms, faults=None):
    kind = DistributionOperator if events[0].product in DSO_PRODUCTS else ConstraintMarket
    none = np.empty(0, np.int32)
    told = (SITES, RulesInForce(None, ()), faults or plan(), None, none)
    return kind(ProcurementSettings(start_ms, events, *told))


def unit(place, product, mw=5.0):
    return ServiceUnit(product, f"U{place}", PLACE, np.array([place], np.int32), mw)


def offer(place, product, levels_mw, price=50.0):
    sign = -1 if product is Product.LCM else 1
    utilisation, held = (0.0, price) if product is Product.SUSTAIN_H else (price, 0.0)
    signed = tuple(sign * mw for mw in levels_mw)
    return ServiceOffer(product, f"O{place}", "S1", f"U{place}", signed, utilisation, held)


def lived(party, offers, units):
    """All that is said when the offers come at the gate."""
    script = party.events[0].script
    for one in units:
        party.receive(one, party.state.now_ms)
    said = live(party, party.events[0].times.submit_by_ms)
    for one in offers:
        party.receive(one, party.events[0].times.submit_by_ms)
    return said + live(party, script.end_ms + 24 * HOUR_MS)


levels = st.sampled_from([0.0, 0.001, 0.3, 0.7, 1.1, 2.0, 4.9, 5.1, -1.0, float("nan"), float("inf")])
offered = st.lists(
    st.tuples(st.lists(levels, min_size=3, max_size=5), st.sampled_from([0.0, 10.0, 10.1, 90.0, 301.0])),
    max_size=8,
)


def heard(product, told, **how):
    """(awards to the aggregator, to settlement, offers) of one event of four periods."""
    start_ms = local_clock_ms(DAY, 17)
    party = buyer(
        event(product, start_ms, start_ms + 2 * HOUR_MS),
        start_ms=day_start_ms(DAY - timedelta(days=1)),
        **how,
    )
    offers = [offer(place, product, mw, price) for place, (mw, price) in enumerate(told)]
    units = [unit(place, product) for place in range(len(told))]
    said = lived(party, offers, units)
    return said, offers


@every_product
@given(told=offered)
def test_never_more_is_awarded_than_is_needed(product, told):
    said, _ = heard(product, told)
    awards = of_kind(said, ServiceAward, "settlement")
    if product is not Product.RESTORE:  # accepted unseen
        for period in range(4):
            assert sum(size_w(award.turn_down_mw[period]) for award in awards) <= 2_000_000
    starts = of_kind(said, ServiceDispatch, "settlement")
    called = [start for start in starts if start.signal == "start"]
    assert sum(size_w(start.turn_down_mw) for start in called) <= 2_000_000


@every_product
@given(told=offered)
def test_each_offer_is_answered_exactly_once(product, told):
    said, offers = heard(product, told)
    answered = Counter(award.offer_id for award in of_kind(said, ServiceAward, "aggregator"))
    assert answered == Counter(one.offer_id for one in offers)


@every_product
@given(told=offered)
def test_what_is_refused_is_never_awarded_or_called(product, told):
    said, offers = heard(product, told)
    refused = {award.offer_id for award in of_kind(said, ServiceAward, "aggregator") if not award.accepted}
    bound = of_kind(said, ServiceAward, "settlement") + of_kind(said, ServiceDispatch)
    assert refused.isdisjoint(one.offer_id for one in bound)
    by_id = {one.offer_id: one for one in offers}
    for award in of_kind(said, ServiceAward, "settlement"):
        most = by_id[award.offer_id].turn_down_mw
        assert all(size_w(mw) <= size_w(top) for mw, top in zip(award.turn_down_mw, most, strict=True))


# ---------------------------------------------------------------------------------------- clock-change days


@every_product
@every_change
def test_a_window_of_local_times_holds_more_or_fewer_periods_when_the_clocks_change(product, day, hours):
    # 00:00 to 04:00 by the clock on the wall: three hours in March, five in October.
    script = event(product, local_clock_ms(day, 0), local_clock_ms(day, 4))
    assert script.period_count == 2 * hours
    party = buyer(script, start_ms=day_start_ms(day - timedelta(days=1)))
    right, wrong = offer(0, product, [1.0] * 2 * hours), offer(1, product, [1.0] * 8)
    said = lived(party, [right, wrong], [unit(0, product), unit(1, product)])
    told = {award.offer_id: award for award in of_kind(said, ServiceAward, "aggregator")}
    assert told["O0"].accepted
    assert len(told["O0"].turn_down_mw) == 2 * hours
    assert f"has {2 * hours} periods, the offer 8" in told["O1"].reason


@every_product
@every_change
def test_gate_and_results_are_local_times_of_the_day_before(product, day, hours):
    script = event(product, local_clock_ms(day, 17), local_clock_ms(day, 19))
    party = buyer(script, start_ms=day_start_ms(day - timedelta(days=70)))
    (needed,) = of_kind(live(party, script.start_ms), ServiceRequirement)
    eve = day - timedelta(days=1)
    if product in {Product.SECURE, Product.TCM, Product.LCM}:
        gate_ms, results_ms = local_clock_ms(eve, 11), local_clock_ms(eve, 14)
    elif product in {Product.SUSTAIN, Product.SUSTAIN_H}:
        first = day.replace(day=1)
        gate_ms = local_clock_ms(first - timedelta(days=14), 17)
        results_ms = local_clock_ms(first - timedelta(days=13), 12)
    else:
        gate_ms, results_ms = script.start_ms - 20 * MINUTE_MS, script.start_ms - 15 * MINUTE_MS
    assert (needed.submit_by_ms, needed.results_by_ms) == (gate_ms, results_ms)


# --------------------------------------------------------------------------------------------- misbehaviour


FAULTS = [(kind, lot) for kind in FAULT_KINDS for lot in (0.1, 0.3, 0.6, 0.9)]


@every_product
@pytest.mark.parametrize(("kind", "lot"), FAULTS)
def test_a_fault_is_remarked_on_and_settlement_hears_what_binds_in_time(product, kind, lot):
    told = [([1.0] * 4, 10.0), ([1.5] * 4, 20.0)]
    faulty, _ = heard(product, told, faults=plan(kind, lot))
    assert f"fault_{kind}" in remarks(faulty)
    events = {award.event_id for award in of_kind(faulty, ServiceAward, "settlement")}
    assert events <= {"S1", "S1-again"}
    for at_ms, to, message in faulty:
        if to == "settlement" and isinstance(message, ServiceAward):
            assert at_ms < message.start_ms
            assert message.unit in {"U0", "U1"}
            assert all(0 < size_w(mw) <= 2_000_000 for mw in message.turn_down_mw)
        if to == "settlement" and isinstance(message, ServiceDispatch) and message.signal == "start":
            assert at_ms <= message.at_ms < message.until_ms


@every_product
def test_without_a_share_there_is_no_fault(product):
    said, _ = heard(product, [([1.0] * 4, 10.0)])
    assert not [kind for kind in remarks(said) if kind.startswith("fault")]


def instruction_of(said, to="aggregator"):
    """What instructs: the accepted award of a scheduled service, or the start."""
    return [
        (at_ms, one)
        for at_ms, who, one in said
        if who == to
        and ((isinstance(one, ServiceAward) and one.scheduled) or isinstance(one, ServiceDispatch))
    ]


scheduled_and_called = pytest.mark.parametrize("product", [Product.SUSTAIN, Product.SECURE])
ONE = [([1.0] * 4, 10.0)]
FIVE = local_clock_ms(DAY, 17)


@scheduled_and_called
def test_a_late_instruction_comes_five_minutes_after_its_start_or_end(product):
    for lot, at_ms in ((0.2, FIVE), (0.7, FIVE + 2 * HOUR_MS)):
        said, _ = heard(product, ONE, faults=plan("late", lot))
        ((told_ms, _),) = instruction_of(said)
        assert told_ms == at_ms + 5 * MINUTE_MS


@scheduled_and_called
def test_a_wrong_unit_is_told_to_the_aggregator_alone(product):
    said, _ = heard(product, ONE, faults=plan("wrong_unit"))
    ((_, told),) = instruction_of(said)
    ((_, bound),) = instruction_of(said, "settlement")
    assert (told.unit, bound.unit) == ("E_NOTOURS-1", "U0")


@scheduled_and_called
@pytest.mark.parametrize("lot", [0.1, 0.3, 0.6, 0.9])
def test_an_impossible_instruction_is_too_large_moved_empty_or_turned_round(product, lot):
    said, _ = heard(product, ONE, faults=plan("impossible", lot))
    ((_, told),) = instruction_of(said)
    start_ms, end_ms = (
        (told.start_ms, told.end_ms) if isinstance(told, ServiceAward) else (told.at_ms, told.until_ms)
    )
    mw = told.turn_down_mw[0] if isinstance(told, ServiceAward) else told.turn_down_mw
    right = (FIVE, FIVE + 2 * HOUR_MS, 1.0)
    wrong = {
        0.1: (*right[:2], 6.0),
        0.3: (FIVE + PERIOD_MS, FIVE + 2 * HOUR_MS + PERIOD_MS, 1.0),
        0.6: (FIVE, FIVE, 1.0),
        0.9: (*right[:2], -1.0),
    }
    assert (start_ms, end_ms, mw) == wrong[lot]


@scheduled_and_called
def test_a_duplicate_says_everything_once_more(product):
    said, _ = heard(product, ONE, faults=plan("duplicate"))
    first, again = instruction_of(said)
    assert first[1] is again[1]
    assert len(of_kind(said, ServiceRequirement)) == 2


def test_a_requirement_amended_after_the_gate_halves_what_is_awarded():
    said, _ = heard(Product.SECURE, [([1.5] * 4, 10.0)], faults=plan("amend"))
    first, amended = of_kind(said, ServiceRequirement)
    assert (first.version, amended.version) == (1, 2)
    assert amended.turn_down_mw == 1.0
    (award,) = of_kind(said, ServiceAward, "settlement")
    assert award.turn_down_mw == (1.0,) * 4


def test_an_event_withdrawn_after_results_is_cancelled_for_settlement_too():
    said, _ = heard(Product.SECURE, ONE, faults=plan("amend", 0.7))
    assert len(of_kind(said, ServiceCancellation, "settlement")) == 1
    assert of_kind(said, ServiceDispatch) == []


def test_out_of_order_the_amendment_comes_before_its_original():
    said, _ = heard(Product.SECURE, ONE, faults=plan("out_of_order"))
    assert [needed.version for needed in of_kind(said, ServiceRequirement)] == [2, 1]


def test_out_of_order_the_cancellation_comes_before_the_requirement():
    said, _ = heard(Product.SECURE, ONE, faults=plan("out_of_order", 0.7))
    kinds = [
        type(one)
        for _, to, one in said
        if to == "aggregator" and isinstance(one, ServiceRequirement | ServiceCancellation)
    ]
    assert kinds == [ServiceCancellation, ServiceRequirement]


def test_a_conflicting_event_asks_for_half_at_the_same_time():
    said, _ = heard(Product.SECURE, [], faults=plan("conflicting"))
    first, again = of_kind(said, ServiceRequirement)
    assert (again.event_id, again.start_ms, again.turn_down_mw) == ("S1-again", first.start_ms, 1.0)
