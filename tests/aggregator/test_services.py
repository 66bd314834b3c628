"""Services besides DFS and the BM, from consent to metering, in a small world with times written by hand."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from aggregator.loop import Aggregator
from aggregator.service_book import Ordered
from aggregator.service_enrolment import enrol_in_services
from aggregator.settings import ServiceRules
from aggregator.trading import Trader, TradingTerms
from protocol.codec import Reader, Writer
from protocol.derogations import RulesOn
from protocol.eligibility import Level
from protocol.messages import (
    AssetRegistration,
    CapacityNotice,
    DayAheadPrices,
    DeliveryBelief,
    PhysicalNotification,
    Service,
    ServiceAward,
    ServiceCancellation,
    ServiceConsents,
    ServiceDispatch,
    ServiceDispatchAnswer,
    ServiceMetering,
    ServiceNomination,
    ServiceOffer,
    ServiceRequirement,
    ServiceUnit,
    ServiceUnitAnswer,
    WholesaleNotification,
    WholesaleOrder,
    WholesaleTrade,
)
from protocol.periods import local_date
from protocol.products import Product
from protocol.stacking import Primacy

COUNT = 600
ZONE = "_A/cmz00"
SUSTAIN = f"SUSTAIN-{ZONE}"
SECURE = f"SECURE-{ZONE}"


def bits(*products):
    return sum(1 << list(Product).index(product) for product in products)


def consents(*products, count=COUNT):
    return ServiceConsents(
        products=np.full(count, bits(*products), np.int32),
        zone=np.zeros(count, np.int16),
        settlement_status=np.full(count, 2, np.int8),
        zone_names=(ZONE,),
    )


def world_of(
    tools, told, service=Service.NONE, trader=None, primacy=Primacy.ESO_FIRST, planned_w=3000, **changes
):
    """Chargers at home from 16:00 on; 3 kW each were drawn on all evenings before."""

    class World(tools.World):
        def hear(self, message):
            if isinstance(message, AssetRegistration):
                made = self.aggregator
                rules = ServiceRules(RulesOn(tools.DAY), primacy)
                assumed = replace(made.assumed, planning_w_per_asset=planned_w)
                self.aggregator = Aggregator(
                    made.settings, made.rules, assumed, services=rules, trader=trader
                )
                if told is not None:
                    super().hear(told)
            super().hear(message)

    count = COUNT if told is None else len(told.products)
    world = World(tools.registration(count, service, **changes), start_ms=tools.at(16), history_w=3000)
    world.chargers.plugged[:] = True
    world.until(tools.at(16, 5))
    return world


def entered_with(world, unit, capacity_w):
    """As if a unit had been entered with another capacity."""
    world.aggregator.state.services.units[unit].planned_w = capacity_w


def require(world, tools, product, event, mw, hours=(17, 18), **changes):
    """A requirement that is offered for at once; gives the offers made."""
    before = len(offers(world))
    asked = ServiceRequirement(
        product=product,
        event_id=event,
        place=ZONE,
        start_ms=tools.at(hours[0]),
        end_ms=tools.at(hours[1]),
        turn_down_mw=mw,
        submit_by_ms=world.now_ms + 360_000,
        results_by_ms=world.now_ms + 600_000,
        utilisation_ceiling_gbp_per_mwh=80.0,
        availability_ceiling_gbp_per_mw_h=None,
    )
    world.hear(replace(asked, **changes))
    world.until(world.now_ms + 120_000)
    return offers(world)[before:]


def offers(world):
    return [message for _, _, message in world.said if isinstance(message, ServiceOffer)]


def award(world, offer, tools, hours=(17, 18), scheduled=True, **changes):
    told = ServiceAward(
        product=offer.product,
        offer_id=offer.offer_id,
        event_id=offer.event_id,
        unit=offer.unit,
        accepted=True,
        reason="",
        start_ms=tools.at(hours[0]),
        end_ms=tools.at(hours[1]),
        turn_down_mw=offer.turn_down_mw,
        utilisation_gbp_per_mwh=offer.utilisation_gbp_per_mwh,
        availability_gbp_per_mw_h=offer.availability_gbp_per_mw_h,
        scheduled=scheduled,
    )
    world.hear(replace(told, **changes))


def secured(tools, mw=0.6):
    """A world with a standing award of Secure from 17:00 to 19:00, and its offer's id."""
    world = world_of(tools, consents(Product.SECURE))
    (offer,) = require(world, tools, "secure", "Q", mw, (17, 19))
    award(world, offer, tools, (17, 19), scheduled=False)
    return world, offer.offer_id


def signal(tools, offer_id, name, signal="start", start=(17, 0), end=(18, 0), mw=0.5, **changes):
    told = ServiceDispatch("secure", name, offer_id, SECURE, signal, tools.at(*start), tools.at(*end), mw)
    return replace(told, **changes)


def answers(world):
    found = world.heard_by("dso", ServiceDispatchAnswer)
    return [(answer.dispatch_id, answer.accepted, answer.reason) for answer in found]


def held_now(world):
    return int(world.chargers.limited().sum())


# -------------------------------------------------------------------------------------- nothing changes


def told_to_others(world):
    return [(at_ms, to, type(message).__name__) for at_ms, to, message in world.said if to != "journal"]


def test_without_consents_the_same_is_said_as_without_any_rules_of_services(tools):
    def evening(told):
        world = world_of(tools, told, Service.BALANCING)
        world.until(tools.at(18))
        notified = [message.profile for message in world.heard_by("balancing", PhysicalNotification)]
        return told_to_others(world), notified

    assert evening(None) == evening(consents())


# ------------------------------------------------------------------------------------------- enrolment


def test_units_are_told_to_buyer_and_settlement_by_product_and_place(tools):
    world = world_of(tools, consents(Product.SUSTAIN, Product.WHOLESALE))
    said = {(to, message.unit) for _, to, message in world.said if isinstance(message, ServiceUnit)}
    assert said == {
        ("dso", SUSTAIN),
        ("settlement", SUSTAIN),
        ("exchange", "WHOLESALE-_A"),
        ("settlement", "WHOLESALE-_A"),
    }
    (unit,) = world.heard_by("dso", ServiceUnit)
    assert unit.rows.tolist() == list(range(COUNT))
    assert unit.capacity_mw == pytest.approx(COUNT * 3000 / 1e6)


@pytest.mark.parametrize(
    ("on", "metering", "entered"),
    [
        (date(2024, 11, 6), Level.ASSET, 0),  # the day before P415: nobody
        (date(2025, 11, 5), Level.ASSET, 200),  # the day before P483: who is settled half-hourly
        (date(2025, 11, 6), Level.ASSET, 600),
        (date(2025, 11, 6), Level.BOUNDARY, 200),  # a boundary meter has to be settled half-hourly still
    ],
)
def test_who_may_be_traded_goes_by_the_day_and_by_where_is_metered(tools, on, metering, entered):
    told, registration = consents(Product.WHOLESALE), tools.registration(COUNT, Service.NONE)
    told.settlement_status[:] = np.repeat([0, 1, 2], COUNT // 3)  # not smart, metered, settled half-hourly
    rules = ServiceRules(RulesOn(on), Primacy.ESO_FIRST, metering)
    group, each_w = np.zeros(COUNT, np.int16), np.full(COUNT, 900)
    order = (Product.WHOLESALE,)
    made = enrol_in_services(told, registration, (Service.NONE,), group, each_w, order, rules)
    assert sum(len(unit.rows) for unit in made.units) == entered


def test_what_rules_forbid_beside_an_earlier_service_is_left_out_and_told(tools):
    world = world_of(tools, consents(Product.SECURE, Product.CAPACITY_MARKET, Product.TCM))
    assert set(world.aggregator.state.services.units) == {SECURE}
    said = [remark.detail for remark in world.remarks("not_in_service")]
    assert any(detail.startswith("Capacity Market: 600 assets") for detail in said)
    assert any("no source says" in detail for detail in said)


def test_a_refused_unit_offers_nothing(tools):
    world = world_of(tools, consents(Product.SUSTAIN))
    world.hear(ServiceUnitAnswer("sustain", SUSTAIN, False, "too small (clause 3)"))
    assert require(world, tools, "sustain", "S", 0.5) == []
    assert len(world.remarks("no_service_unit")) == 1
    assert "clause 3" in world.remarks("service_unit_refused")[0].detail


def test_cells_are_rows_of_one_group_in_the_same_units_and_units_are_sets_of_cells(tools):
    told = consents(Product.SUSTAIN)
    told.products[:200] = 0
    world = world_of(tools, told, Service.BALANCING, units=2)
    registry = world.aggregator.state.portfolio.registry
    assert [len(cells) for cells in registry.units_of(Service.BALANCING)] == [2, 2]
    (unit,) = world.aggregator.state.services.units.values()
    assert np.isin(registry.group, unit.cells).tolist() == (told.products != 0).tolist()
    assert sum(group.assets for group in registry.groups) == COUNT
    assert [registry.unit(cells).assets for cells in registry.units_of(Service.BALANCING)] == [300, 300]


# ------------------------------------------------------------------------------------ offer and award


def test_an_offer_is_in_kilowatts_at_the_owners_price_below_the_ceiling(tools):
    world = world_of(tools, consents(Product.SUSTAIN))
    (offer,) = require(world, tools, "sustain", "S", 0.5)
    assert offer.unit == SUSTAIN
    assert offer.turn_down_mw == (0.5, 0.5)
    assert offer.utilisation_gbp_per_mwh == 80.0
    assert offer.availability_gbp_per_mw_h == 0.0
    (other,) = require(world, tools, "sustain", "T", 0.5, (19, 20), utilisation_ceiling_gbp_per_mwh=None)
    assert other.utilisation_gbp_per_mwh == 0.0


def test_no_more_is_offered_than_the_unit_was_entered_with(tools):
    world = world_of(tools, consents(Product.SUSTAIN), planned_w=500)
    (offer,) = require(world, tools, "sustain", "S", 0.7)
    assert offer.turn_down_mw == (0.3, 0.3)


def test_what_is_sold_is_not_offered_again(tools):
    world = world_of(tools, consents(Product.SUSTAIN, Product.WHOLESALE))
    unit = world.aggregator.state.services.units[SUSTAIN]
    (most,) = world.aggregator.desk._able_w(unit.cells, [tools.at(17)], 1)
    (offer,) = require(world, tools, "sustain", "S", 0.5)
    award(world, offer, tools)
    claims = world.aggregator.desk.claims()
    (left,) = world.aggregator.desk._unsold_w(unit.cells, [tools.at(17)], [most], claims, 1)
    assert most - left == 500_000


def test_one_network_service_is_not_sold_beside_another_at_the_same_time(tools):
    world = world_of(tools, consents(Product.SUSTAIN, Product.SECURE))
    assert require(world, tools, "sustain", "S", 0.3)
    assert require(world, tools, "secure", "Q", 0.3) == []
    assert "only one DNO product" in world.remarks("no_offer")[0].detail
    assert require(world, tools, "secure", "R", 0.3, (19, 20))


def test_a_scheduled_award_is_delivered_and_metered_by_the_minute(tools):
    world = world_of(tools, consents(Product.SUSTAIN))
    entered_with(world, SUSTAIN, 700_000)
    (offer,) = require(world, tools, "sustain", "S", 0.7)
    award(world, offer, tools)
    world.until(tools.at(17, 10))
    assert 100 <= held_now(world) <= 112
    world.until(tools.at(18, 30))
    assert world.stages(offer.offer_id)[-1] == ("completed", "")
    assert held_now(world) == 0
    (metered,) = world.heard_by("dso", ServiceMetering)
    assert metered.start_ms == tools.at(17)
    assert len(metered.import_w) == 60
    free_w = COUNT * 7000
    assert all(0.6e6 <= free_w - import_w <= 0.8e6 for import_w in metered.import_w[2:])
    assert world.heard_by("settlement", ServiceMetering)[0].import_w == metered.import_w


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"offer_id": "nobody's"}, "unknown_offer"),
        ({"turn_down_mw": (0.5,)}, "malformed_award"),
        ({"turn_down_mw": (0.5, float("nan"))}, "malformed_award"),
        ({"turn_down_mw": (0.5, 0.6)}, "not_as_offered"),
        ({"turn_down_mw": (-0.5, -0.5)}, "not_as_offered"),
        ({"event_id": "another"}, "not_as_offered"),
    ],
)
def test_an_award_that_cannot_be_followed_is_declined_with_its_reason(tools, changes, reason):
    world = world_of(tools, consents(Product.SUSTAIN))
    (offer,) = require(world, tools, "sustain", "S", 0.5)
    award(world, offer, tools, **changes)
    assert world.stages(changes.get("offer_id", offer.offer_id))[-1] == ("declined", reason)


def test_an_award_twice_a_refusal_and_a_cancellation_each_have_their_case(tools):
    world = world_of(tools, consents(Product.SUSTAIN))
    (offer,) = require(world, tools, "sustain", "S", 0.5)
    award(world, offer, tools)
    award(world, offer, tools)
    assert len(world.remarks("duplicate_instruction")) == 1
    world.hear(ServiceCancellation("sustain", "S", "no longer needed"))
    assert world.stages(offer.offer_id)[-1] == ("expired", "cancelled")
    (other,) = require(world, tools, "sustain", "T", 0.5, (19, 20))
    award(world, other, tools, (19, 20), accepted=False, reason="dearer")
    assert "dearer" in world.remarks("offer_refused")[0].detail
    assert world.aggregator.desk.claims() == []


# -------------------------------------------------------------------------------------------- dispatch


def test_a_standing_award_is_delivered_when_it_is_called_until_it_is_stopped(tools):
    world, offer_id = secured(tools)
    world.until(tools.at(17, 10))
    assert held_now(world) == 0
    world.hear(signal(tools, offer_id, "d1", start=(17, 15), end=(18, 30), mw=0.35))
    world.until(tools.at(17, 25))
    assert 48 <= held_now(world) <= 56
    world.hear(signal(tools, offer_id, "d2", "stop", start=(17, 30), end=(18, 30)))
    world.until(tools.at(17, 31))
    assert world.stages("d1")[-1][0] == "completed"
    world.until(tools.at(17, 50))
    assert held_now(world) == 0
    assert answers(world) == [("d1", True, ""), ("d2", True, "")]


def test_an_emergency_stop_lets_everybody_go_at_once(tools):
    world, offer_id = secured(tools)
    world.hear(signal(tools, offer_id, "d1", end=(19, 0)))
    world.until(tools.at(17, 10))
    assert held_now(world) > 60
    world.hear(signal(tools, offer_id, "d2", "emergency_stop"))
    world.until(tools.at(17, 10, 15))
    assert held_now(world) == 0


def test_metering_of_a_dispatched_service_is_submitted_every_half_hour(tools):
    world, _ = secured(tools)
    world.until(tools.at(18, 2))
    assert [said.start_ms for said in world.heard_by("dso", ServiceMetering)] == [
        tools.at(17),
        tools.at(17, 30),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signal": "begin"}, "unknown_signal"),
        ({"offer_id": "nobody's"}, "unknown_award"),
        ({"unit": SUSTAIN}, "unknown_award"),
        ({"signal": "stop"}, "not_running"),
        ({"signal": "emergency_stop"}, "not_running"),
        ({"turn_down_mw": 0.0}, "malformed_signal"),
        ({"turn_down_mw": float("nan")}, "malformed_signal"),
        ({"turn_down_mw": 0.7}, "beyond_award"),
        ({"turn_down_mw": -0.1}, "beyond_award"),
    ],
)
def test_a_signal_that_cannot_be_followed_is_refused_with_its_reason(tools, changes, reason):
    world, offer_id = secured(tools)
    world.hear(replace(signal(tools, offer_id, "d1"), **changes))
    assert answers(world) == [("d1", False, reason)]
    entry = world.aggregator.state.book.ledger.entries.get("d1")
    assert entry is None or world.stages("d1")[-1] == ("declined", reason)


def test_signals_late_outside_or_after_the_end_are_refused(tools):
    world, offer_id = secured(tools)
    world.hear(signal(tools, offer_id, "early", start=(16, 30), end=(18, 0)))
    world.until(tools.at(17, 30))
    world.hear(signal(tools, offer_id, "late", start=(17, 10), end=(18, 0)))
    world.hear(signal(tools, offer_id, "over", start=(17, 0), end=(17, 20)))
    assert answers(world) == [
        ("early", False, "outside_award"),
        ("late", False, "too_late"),
        ("over", False, "after_end"),
    ]


def test_a_signal_doubled_is_answered_again_and_one_in_conflict_is_refused(tools):
    world, offer_id = secured(tools)
    first = signal(tools, offer_id, "d1")
    world.hear(first)
    world.hear(first)
    world.hear(replace(first, turn_down_mw=0.4))
    assert answers(world) == [("d1", True, ""), ("d1", True, ""), ("d1", False, "conflicting_signal")]
    assert len(world.aggregator.state.book.live()) == 1


def test_a_later_start_of_the_same_award_takes_the_place_of_the_earlier(tools):
    world, offer_id = secured(tools)
    world.hear(signal(tools, offer_id, "d1", mw=0.5))
    world.until(tools.at(17, 10))
    world.hear(signal(tools, offer_id, "d2", start=(17, 10), mw=0.14))
    assert world.stages("d1")[-1] == ("superseded", "restarted")
    world.until(tools.at(17, 20))
    assert 18 <= held_now(world) <= 24


# ------------------------------------------------------------------------------- several on the same cars


def stacked(tools):
    """Sustain at 0.7 MW and a sale of 0.35 MW on the same cars from 17:00 to 18:00."""
    world = world_of(tools, consents(Product.SUSTAIN, Product.WHOLESALE))
    entered_with(world, SUSTAIN, 700_000)
    (offer,) = require(world, tools, "sustain", "S", 0.7)
    award(world, offer, tools)
    sell(world, tools, 0.35)
    return world


def sell(world, tools, mwh, sold_mwh=None, hours=(17, 18), name="O"):
    """An hour that was ordered, and its trade."""
    span = (tools.at(hours[0]), tools.at(hours[1]))
    order = WholesaleOrder(name, "WHOLESALE-_A", "intraday", *span, mwh, 50.0)
    world.aggregator.state.services.orders[name] = Ordered(order, world.now_ms)
    sold = mwh if sold_mwh is None else sold_mwh
    world.hear(WholesaleTrade(name, "WHOLESALE-_A", "intraday", *span, sold, 90.0, ""))


def test_two_services_on_the_same_cars_are_delivered_in_sum_and_no_cell_is_asked_for_more(tools):
    told = consents(Product.SUSTAIN, Product.WHOLESALE)
    told.products[:200] = bits(Product.SUSTAIN)
    world = world_of(tools, told)
    entered_with(world, SUSTAIN, 700_000)
    (offer,) = require(world, tools, "sustain", "S", 0.7)
    award(world, offer, tools)
    sell(world, tools, 0.35)
    # Sold after Gate Closure: it is delivered, and notified of no more.
    assert len(world.remarks("notification_too_late")) == 1
    world.until(tools.at(17, 20))
    assert 150 <= held_now(world) <= 165
    plans = list(world.aggregator.state.book.plans.values())
    cells = {cell for plan in plans for cell in plan.cells}
    for cell in cells:
        asked_w = sum(plan.part_w(cell, world.now_ms) for plan in plans if cell in plan.cells)
        assert world.aggregator.state.portfolio.steered_w[cell] == asked_w
    assert sum(plan.part_w(cell, world.now_ms) for plan in plans for cell in plan.cells) == 1_050_000
    world.until(tools.at(18, 5))
    assert world.stages(offer.offer_id)[-1][0] == "completed"
    assert world.stages("O")[-1][0] == "completed"
    believed = world.heard_by("journal", DeliveryBelief)
    late = [one for one in believed if one.at_ms == tools.at(17, 30)]
    assert sum(one.believed_turn_down_w for one in late) == pytest.approx(1_050_000, rel=0.05)


def test_a_notification_to_the_eso_takes_account_of_what_others_will_have_moved(tools):
    def level_mw(sold):
        world = world_of(tools, consents(Product.SUSTAIN), Service.BALANCING)
        if sold:
            (offer,) = require(world, tools, "sustain", "S", 1.0, (18, 19))
            award(world, offer, tools, (18, 19))
        world.until(tools.at(17))
        (said,) = [
            one for one in world.heard_by("balancing", PhysicalNotification) if one.start_ms == tools.at(18)
        ]
        return said.profile[0].level_mw

    assert level_mw(sold=True) == level_mw(sold=False) + 1.0


def test_whoever_goes_first_takes_the_cars_of_who_goes_second(tools):
    world = world_of(tools, consents(Product.SECURE, Product.WHOLESALE))
    entered_with(world, SECURE, 600_000)
    (offer,) = require(world, tools, "secure", "Q", 0.6)
    award(world, offer, tools, scheduled=False)
    sell(world, tools, 0.6)
    assert world.stages("O")[-1] == ("accepted", "")
    world.chargers.plugged[30:] = False
    world.until(tools.at(16, 55))
    world.hear(signal(tools, offer.offer_id, "d1", mw=0.6))
    assert answers(world) == [("d1", True, "")]
    assert world.stages("O")[-1] == ("superseded", "displaced by d1")
    assert len(world.remarks("displaced")) == 1


def test_trades_have_their_cases(tools):
    world = world_of(tools, consents(Product.WHOLESALE))
    sell(world, tools, 0.3, sold_mwh=0.4)
    assert world.stages("O")[-1] == ("declined", "not_as_ordered")
    other = world_of(tools, consents(Product.WHOLESALE))
    sell(other, tools, 0.3, sold_mwh=0.0)
    assert len(other.remarks("order_not_traded")) == 1
    assert other.aggregator.desk.claims() == []


def test_a_trade_before_gate_closure_is_notified_of(tools):
    world = world_of(tools, consents(Product.WHOLESALE))
    sell(world, tools, 0.35, hours=(18, 19))
    (said,) = world.heard_by("settlement", WholesaleNotification)
    assert (said.unit, said.start_ms, said.deviation_mwh) == ("WHOLESALE-_A", tools.at(18), 0.35)


TERMS = TradingTerms(
    "day_ahead_half_hourly",
    cost_per_hold_gbp_per_mwh=10.0,
    compensation_gbp_per_mwh=90.0,
    margin_gbp_per_mwh=5.0,
)
TOMORROW = date(2025, 1, 16)
DEAR_EVENING = (40.0,) * 34 + (300.0,) * 4 + (60.0,) * 10


def traders_world(tools, *auctions):
    """A world at 16:05 that trades tomorrow and today, in these auctions; the hourly book closes at 16:30."""
    at_any = {name: name == "day_ahead_hourly" for name in auctions}
    terms = {name: replace(TERMS, auction=name, at_any_price=at_any[name]) for name in auctions}
    return world_of(tools, consents(Product.WHOLESALE), trader=Trader(terms, 16 * 60 + 30, 5, TOMORROW))


def ordered(world):
    """(auction, local day, whether sold) of every order."""
    found = world.heard_by("exchange", WholesaleOrder)
    return {(each.auction, local_date(each.start_ms), each.sell_mwh > 0) for each in found}


def answer_all(world, share=lambda order: 1.0):
    """Answer each order that waits with a trade of a share of it."""
    waiting = [one for one in world.aggregator.state.services.orders.values() if not one.closed]
    for order in [one.order for one in waiting]:
        sold_mwh = order.sell_mwh * share(order)
        plain = (order.order_id, order.unit, order.auction, order.start_ms, order.end_ms)
        world.hear(WholesaleTrade(*plain, sold_mwh, 50.0, "" if sold_mwh else "limit not met"))


def test_after_prices_are_told_tomorrow_is_sold_and_bought_back_half_hour_by_half_hour(tools):
    world = traders_world(tools, "day_ahead_half_hourly")
    world.hear(DayAheadPrices(tools.DAY, DEAR_EVENING))
    world.until(world.now_ms + 60_000)
    assert ordered(world) == set()
    world.hear(DayAheadPrices(TOMORROW, DEAR_EVENING))
    world.until(world.now_ms + 60_000)
    assert ordered(world) == {("day_ahead_half_hourly", TOMORROW, side) for side in (True, False)}


def test_a_day_in_which_nothing_pays_is_told_once_with_the_reason(tools):
    world = traders_world(tools, "day_ahead_half_hourly")
    world.hear(DayAheadPrices(TOMORROW, (50.0,) * 48))
    world.until(world.now_ms + 300_000)
    assert [remark.detail for remark in world.remarks("no_orders")] == [
        f"WHOLESALE-_A, {TOMORROW}: the best sale would gain -10.00 GBP/MWh, less than the margin of 5.00"
    ]


def test_today_is_traded_within_the_day_as_soon_as_its_prices_are_known_and_before_gate_closure(tools):
    world = traders_world(tools, "day_ahead_half_hourly", "intraday")
    prices = (40.0,) * 32 + (300.0,) * 4 + (60.0,) * 12
    world.hear(DayAheadPrices(tools.DAY, prices))
    world.until(world.now_ms + 60_000)
    found = world.heard_by("exchange", WholesaleOrder)
    assert ordered(world) == {("intraday", tools.DAY, side) for side in (True, False)}
    assert min(each.start_ms for each in found) == tools.at(17, 30)


def test_what_was_sold_without_its_payback_is_bought_at_any_price(tools):
    world = traders_world(tools, "day_ahead_half_hourly", "intraday")
    world.hear(DayAheadPrices(tools.DAY, (50.0,) * 48))
    world.hear(DayAheadPrices(TOMORROW, DEAR_EVENING))
    world.until(world.now_ms + 60_000)
    answer_all(world, lambda order: float(order.sell_mwh > 0))
    world.until(world.now_ms + 60_000)
    even = [one for one in world.heard_by("exchange", WholesaleOrder) if "-even-" in one.order_id]
    sold_mwh = sum(one.traded_mwh for one in world.aggregator.state.services.orders.values())
    assert {one.limit_gbp_per_mwh for one in even} == {3000.0}
    assert sum(one.sell_mwh for one in even) == pytest.approx(-sold_mwh)


def test_trades_of_one_half_hour_in_two_auctions_are_one_position(tools):
    world = world_of(tools, consents(Product.WHOLESALE))
    for name, mw in (("O1", 0.3), ("O2", 0.2), ("O3", -0.1)):
        sell(world, tools, mw, name=name)
    assert [world.stages(name)[-1][0] for name in ("O1", "O2", "O3")] == ["accepted"] * 3
    world.until(tools.at(17, 20))
    assert held_now(world) == pytest.approx(400_000 / 7000, rel=0.06)


def test_the_hourly_book_is_ordered_in_at_any_price_before_it_closes(tools):
    world = traders_world(tools, "day_ahead_hourly", "day_ahead_half_hourly")
    world.hear(DayAheadPrices(tools.DAY, DEAR_EVENING))
    world.until(tools.at(16, 24))
    assert ordered(world) == set()
    world.until(tools.at(16, 26))
    assert ordered(world) == {("day_ahead_hourly", TOMORROW, side) for side in (True, False)}


# ------------------------------------------------------------------------------- capacity, nominations


def test_load_following_asks_only_for_what_others_do_not_deliver(tools):
    count = 1200
    world = world_of(tools, consents(Product.WHOLESALE, Product.CAPACITY_MARKET, count=count))
    sell(world, tools, 0.7)
    capacity_w = count * 840  # what it is obliged to, de-rated, not the 900 W entered
    obliged_mw = capacity_w / 1e6
    world.hear(ServiceUnitAnswer("capacity_market", "CAPACITY_MARKET-001", True, "", obliged_mw))
    world.hear(CapacityNotice("N", world.now_ms, tools.at(17), tools.at(18), 1.0, True))
    world.hear(CapacityNotice("N", world.now_ms, tools.at(17), tools.at(18), 1.0, True))
    assert len(world.remarks("duplicate_instruction")) == 1
    world.until(tools.at(17, 20))
    assert held_now(world) == pytest.approx(capacity_w / 7000, rel=0.06)
    world.until(tools.at(18, 5))
    assert world.stages("N-CAPACITY_MARKET-001")[-1][0] == "completed"


def test_days_are_nominated_in_time_by_period(tools):
    world = world_of(tools, consents(Product.SUSTAIN))
    first, second = world.heard_by("dso", ServiceNomination)
    assert (first.day, len(first.import_wh)) == (tools.DAY, 48)
    assert (second.day, len(second.import_wh)) == (date(2025, 1, 16), 48)
    assert first.import_wh[36] == COUNT * 3000 // 2


def test_what_is_remembered_of_services_can_be_written_and_read(tools):
    world = stacked(tools)
    world.until(tools.at(17, 20))
    writer = Writer()
    tree = writer.encode(world.aggregator.state)
    again = Reader(writer.arrays).decode(tree)
    assert Writer().encode(again) == Writer().encode(world.aggregator.state)


# ------------------------------------------------------------------------- local against national


def opposite(tools, primacy):
    """Sustain is sold from 17:00 to 18:00 (0.5 MW less); then the LCM asks the same cars for 0.1 MW more."""
    told = consents(Product.SUSTAIN, Product.LCM)
    world = world_of(tools, told, primacy=primacy, unit_names=("_P",), gsp_names=("_P00",))
    (offer,) = require(world, tools, "sustain", "S", 0.5)
    award(world, offer, tools)
    world.aggregator.desk._able_w = lambda cells, starts, way: [500_000] * len(starts)
    return world, require(world, tools, "lcm", "L", -0.1, place="_P00")


def test_where_the_eso_goes_first_the_network_operator_loses_its_award_and_the_price_is_told(tools):
    world, (offer,) = opposite(tools, Primacy.ESO_FIRST)
    award(world, offer, tools, scheduled=False)
    world.until(tools.at(16, 50))
    world.hear(signal(tools, offer.offer_id, "d1", mw=-0.1, product="lcm", unit=offer.unit))
    assert world.stages("S-" + SUSTAIN)[-1] == ("superseded", "displaced by d1")
    (said,) = world.remarks("conflict")
    assert said.detail == (
        "d1 (lcm, 0.1 MW more) goes before S-SUSTAIN-_A/cmz00 (sustain, 0.5 MW less) (eso_first), "
        "which loses 40.00 GBP"
    )


def test_where_the_network_operator_goes_first_the_eso_is_offered_nothing_and_the_price_is_told(tools):
    world, made = opposite(tools, Primacy.DSO_FIRST)
    assert made == []
    (said,) = world.remarks("conflict")
    assert said.detail == (
        "S-SUSTAIN-_A/cmz00 (sustain, 0.5 MW less) goes before L (lcm, 0.1 MW more) (dso_first), "
        "which loses 8.00 GBP"
    )
