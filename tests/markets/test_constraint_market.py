"""Stories of the constraint market: TCM on a network of boundaries, and the Local Constraint Market."""

from datetime import date

import numpy as np
import pytest
from market_mail import live, of_kind, remarks

from markets.constraint_market import ConstraintMarket
from markets.procurement_settings import (
    Boundaries,
    ProcurementSettings,
    ServiceCall,
    ServiceEventScript,
    Sites,
)
from markets.settings import FAULT_KINDS, FaultPlan, FaultShares, RulesInForce, SettingsError
from protocol.constraints import network
from protocol.messages import (
    ServiceAward,
    ServiceDispatch,
    ServiceDispatchAnswer,
    ServiceOffer,
    ServiceUnit,
    ServiceUnitAnswer,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, local_clock_ms
from protocol.products import Product

DAY = date(2025, 1, 16)
EVE = date(2025, 1, 15)
START = local_clock_ms(EVE, 0)
TWO = local_clock_ms(DAY, 14)
GSPS = ("_P00", "_P01", "_N00", "_A00")
SITES = Sites(GSPS, np.repeat(np.arange(4), 10).astype(np.int16))
SCOTLAND = ("_P00", "_P01", "_N00")
NO_FAULTS = FaultPlan(FaultShares(*[0.0] * len(FAULT_KINDS)), np.ones((1, len(FAULT_KINDS))))


def script(product="tcm", name="C1", mw=-20.0, place="_P00", start=TWO, periods=2, boundary=""):
    end = start + periods * PERIOD_MS
    calls = (ServiceCall(start, end),) if product == "lcm" else ()
    return ServiceEventScript(
        Product(product), name, place, start, end, mw, 300.0, None, calls, boundary=boundary
    )


def bounds(exports=(620.0, 0.0, 0.0, 0.0), **boundaries):
    """B6 around Scotland unless others are given, of 500 MW either way."""
    return Boundaries(network(boundaries or {"B6": (SCOTLAND, 500.0, 500.0)}, GSPS), np.array(exports))


def market(*events, boundaries=None, balancing=(), rules_date=None, start=START):
    rules = RulesInForce(rules_date, ())
    rows = np.array(balancing, np.int32)
    return ConstraintMarket(ProcurementSettings(start, events, SITES, rules, NO_FAULTS, boundaries, rows))


def unit(name="U", rows=(0, 1), product="tcm", place="_P00", mw=200.0):
    return ServiceUnit(product, name, place, np.array(rows, np.int32), mw)


def offer(name="O1", mw=-10.0, price=100.0, who="U", event="C1", product="tcm", periods=2):
    return ServiceOffer(product, name, event, who, (mw,) * periods, price, 0.0)


def awards(party, units, offers, until_ms=TWO - HOUR_MS):
    """Every offer's award by offer id, and all that was said."""
    for one in units:
        party.receive(one, START)
    said = live(party, START + 10 * HOUR_MS)
    for one in offers:
        party.receive(one, START + 10 * HOUR_MS)
    said += live(party, until_ms)
    return {award.offer_id: award for award in of_kind(said, ServiceAward, "aggregator")}, said


# -------- TCM


@pytest.mark.parametrize("mw", [20.0, -20.0])
def test_both_directions_are_bought_and_the_award_is_the_instruction(mw):
    exports = (620.0 if mw < 0 else -620.0, 0.0, 0.0, 0.0)
    told, said = awards(market(script(mw=mw), boundaries=bounds(exports)), [unit()], [offer(mw=mw)])
    assert told["O1"].accepted
    assert told["O1"].scheduled
    assert of_kind(said, ServiceDispatch) == []


def test_without_a_network_nothing_is_checked():
    assert awards(market(script()), [unit()], [offer()])[0]["O1"].accepted


def test_an_offer_on_the_wrong_side_of_the_constraint_is_refused():
    event = script(place="_A00", boundary="B6")
    far = unit(rows=(30,), place="_A00")
    told, _ = awards(market(event, boundaries=bounds()), [far], [offer()])
    assert not told["O1"].accepted
    assert "_A00 is on the wrong side of boundary B6" in told["O1"].reason
    assert "WP5 2.2.1" in told["O1"].reason


def test_a_requirement_that_drives_the_boundary_further_is_refused_at_every_offer():
    told, _ = awards(market(script(mw=20.0), boundaries=bounds()), [unit()], [offer(mw=10.0)])
    assert "drives boundary B6 further beyond its limit" in told["O1"].reason


def test_a_boundary_within_its_limits_needs_no_action():
    told, _ = awards(market(script(), boundaries=bounds((400.0, 0, 0, 0))), [unit()], [offer()])
    assert "B6 is within its limits" in told["O1"].reason


def test_turning_up_that_makes_a_new_constraint_behind_the_boundary_is_refused():
    # GSP _P01 imports 45 MW through a boundary of its own that carries 50 MW: 10 MW more are too much.
    net = bounds((700.0, -45.0, 0.0, 0.0), B6=(SCOTLAND, 500.0, 500.0), P01=(("_P01",), 50.0, 50.0))
    event = script(place="_P01", boundary="B6")
    near = unit(rows=(10,), place="_P01")
    told, _ = awards(market(event, boundaries=net), [near], [offer(mw=-10.0)])
    assert "makes a new constraint at boundary P01" in told["O1"].reason
    told, _ = awards(market(event, boundaries=net), [near], [offer(mw=-5.0)])
    assert told["O1"].accepted


def test_two_actions_that_are_harmless_alone_are_not_both_called():
    net = bounds((700.0, -40.0, 0.0, 0.0), B6=(SCOTLAND, 500.0, 500.0), P01=(("_P01",), 50.0, 50.0))
    units = [unit("U", (10,), place="_P01"), unit("V", (11,), place="_P01")]
    offers = [offer("O1", -8.0, 20.0), offer("O2", -8.0, 10.0, "V")]
    event = script(place="_P01", boundary="B6")
    told, _ = awards(market(event, boundaries=net), units, offers)
    assert told["O2"].accepted
    assert "makes a new constraint at boundary P01" in told["O1"].reason


def test_awards_of_another_event_at_the_same_time_count_in_the_flows():
    net = bounds((520.0, 0.0, 0.0, 0.0))
    events = [script(name="C1"), script(name="C2", place="_N00")]
    units = [unit(), unit("V", (20,), place="_N00")]
    offers = [offer("O1", -20.0), offer("O2", -20.0, who="V", event="C2")]
    told, _ = awards(market(*events, boundaries=net), units, offers)
    assert told["O1"].accepted
    assert "B6 is within its limits" in told["O2"].reason


def test_tcm_takes_whole_offers_alone():
    told, _ = awards(market(script(mw=-15.0)), [unit()], [offer(mw=-20.0)])
    assert not told["O1"].accepted


# -------- LCM


def local(**more):
    return script("lcm", **more)


def test_an_lcm_unit_of_one_kilowatt_is_enough_and_less_is_not():
    party = market(local())
    party.receive(unit(product="lcm", mw=0.001), START)
    party.receive(unit("V", (2,), product="lcm", mw=0.0009), START)
    first, second = of_kind(live(party, START), ServiceUnitAnswer)
    assert first.accepted
    assert "below the minimum of 0.001 MW (LCM: at least 1 kW)" in second.reason


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rows": (30,), "place": "_A00"}, "_A00 does not lie behind the boundary"),
        ({"rows": (5,)}, "in a BM Unit (LCM: participant may not be a BM Unit)"),
    ],
)
def test_lcm_takes_scottish_gsps_and_no_bm_units(wrong, words):
    party = market(local(), balancing=(5,))
    party.receive(unit(product="lcm", **wrong), START)
    (answer,) = of_kind(live(party, START), ServiceUnitAnswer)
    assert words in answer.reason


def test_tcm_takes_what_lcm_does_not():
    party = market(script(), balancing=(5,))
    party.receive(unit(rows=(5,)), START)
    party.receive(unit("V", (30,), place="_A00"), START)
    assert all(answer.accepted for answer in of_kind(live(party, START), ServiceUnitAnswer))


def test_lcm_buys_no_turn_down_of_demand():
    with pytest.raises(SettingsError, match="Local Constraint Market buys no turn-down"):
        market(local(mw=20.0))


@pytest.mark.parametrize("on", [date(2022, 12, 1), date(2027, 3, 1)])
def test_lcm_is_open_from_2023_to_january_2027(on):
    with pytest.raises(SettingsError, match="closed"):
        market(local(), rules_date=on)


def test_lcm_assets_hold_no_other_service_of_the_eso_in_the_same_periods():
    events = [script(), local(name="C2")]
    units = [unit(), unit("V", (1, 2), product="lcm")]
    offers = [offer(), offer("O2", who="V", event="C2", product="lcm")]
    told, _ = awards(market(*events), units, offers)
    assert told["O1"].accepted
    assert "sold as tcm of C1 then (LCM: no other balancing or flexibility service" in told["O2"].reason


def lcm_called(*answers):
    """All that is said when a call is answered so: (minutes after the signal, accepted)."""
    party = market(local())
    _, said = awards(party, [unit(product="lcm")], [offer(product="lcm")], TWO - 8 * HOUR_MS)
    (start,) = of_kind(said, ServiceDispatch, "aggregator")
    for after_min, accepted in answers:
        said += live(party, TWO - 8 * HOUR_MS + after_min * MINUTE_MS)
        reply = ServiceDispatchAnswer("lcm", start.dispatch_id, "U", accepted, "")
        party.receive(reply, TWO - 8 * HOUR_MS + after_min * MINUTE_MS)
    return start, said + live(party, TWO + HOUR_MS)


def test_lcm_is_called_eight_hours_ahead_and_stands_once_accepted():
    start, said = lcm_called((59, True))
    assert (start.signal, start.at_ms, start.turn_down_mw) == ("start", TWO, -10.0)
    assert of_kind(said, ServiceDispatch, "settlement") == [start]


@pytest.mark.parametrize("answers", [(), ((10, False),), ((61, True),)])
def test_an_lcm_call_that_is_not_accepted_within_the_hour_lapses(answers):
    start, said = lcm_called(*answers)
    _, stop = of_kind(said, ServiceDispatch, "settlement")
    assert (stop.signal, stop.at_ms, stop.offer_id) == ("stop", TWO, start.offer_id)
    assert {"dispatch_unanswered", "dispatch_refused"} & set(remarks(said))
    assert ("answer_ignored" in remarks(said)) is (answers == ((61, True),))
