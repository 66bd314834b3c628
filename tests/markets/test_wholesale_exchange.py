"""Stories of the exchange as a market: every order is answered, in time and with the reason."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from market_mail import of_kind, remarks

from markets.exchange import Exchange
from markets.settings import ExchangeSettings, RulesInForce, SettingsError, TradingSettings
from markets.wholesale import HALF_HOURLY, HOURLY, INTRADAY
from protocol.messages import ServiceUnit, ServiceUnitAnswer, WholesaleOrder, WholesaleTrade
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, day_start_ms, local_clock_ms, period_count

FIRST = date(2026, 1, 20)
NEXT = FIRST + timedelta(days=1)
START, NEXT_START = day_start_ms(FIRST), day_start_ms(NEXT)
ALL = (HOURLY, HALF_HOURLY, INTRADAY)
TRADING = TradingSettings(ALL, "n2ex", np.zeros(0), np.zeros(0), 4.0, 5.0, None, RulesInForce(None, ()))


def exchange(first=FIRST, count=2, **trading):
    """Prices by period of the run: day-ahead p, half-hourly p + 0.004, intraday p + 10."""
    days = tuple(first + timedelta(days=step) for step in range(count))
    prices = np.arange(sum(period_count(day) for day in days), dtype=np.float64)
    told = replace(
        TRADING, half_hourly_gbp_per_mwh=prices + 0.004, intraday_gbp_per_mwh=prices + 10, **trading
    )
    party = Exchange(ExchangeSettings(days, prices, prices, prices, told))
    party.on_deadline(day_start_ms(first))
    party.receive(unit("WHOLESALE-_A", [0, 1]), day_start_ms(first))
    party.receive(unit("WHOLESALE-_B", [2]), day_start_ms(first))
    party.take_outbox()
    return party


def unit(name, rows, mw=0.5):
    return ServiceUnit("wholesale", name, name[-2:], np.array(rows, np.int32), mw)


def order(name="O1", auction=HALF_HOURLY, start=NEXT_START + 34 * PERIOD_MS, mwh=0.05, limit=1.0, **other):
    length = HOUR_MS if auction == HOURLY else PERIOD_MS
    given = {"unit": "WHOLESALE-_A", "end_ms": start + length, **other}
    return WholesaleOrder(
        name, auction=auction, start_ms=start, sell_mwh=mwh, limit_gbp_per_mwh=limit, **given
    )


def heard(party, until_ms=None):
    """Rings deadlines up to a moment; gives back (time, to, message)."""
    said = [(party.state.now_ms, one.to, one.message) for one in party.take_outbox()]
    while until_ms is not None and party.next_deadline_ms() <= until_ms:
        party.on_deadline(now := party.next_deadline_ms())
        said += [(now, one.to, one.message) for one in party.take_outbox()]
    return said


def reason_of(party, wrong, at_ms=START):
    """The one answer to an order: nothing traded, told to the aggregator alone."""
    party.receive(wrong, at_ms)
    said = heard(party)
    (answer,) = of_kind(said, WholesaleTrade)
    assert (answer.sold_mwh, answer.order_id) == (0.0, wrong.order_id)
    assert {to for _, to, message in said if isinstance(message, WholesaleTrade)} == {"aggregator"}
    return answer.reason


@pytest.mark.parametrize(
    ("auction", "closes", "results"),
    [(HOURLY, (9, 50), (10, 0)), (HALF_HOURLY, (15, 30), (15, 45))],
)
def test_an_auction_takes_orders_until_its_book_closes_and_answers_with_its_results(auction, closes, results):
    party, close_ms = exchange(), local_clock_ms(FIRST, *closes)
    party.receive(order(auction=auction, mwh=0.1), close_ms - 1)
    assert heard(party) == []
    assert reason_of(party, order("O2", auction, mwh=0.1), close_ms) == "late: the book is closed"
    said = [item for item in heard(party, NEXT_START) if isinstance(item[2], WholesaleTrade)]
    assert [(at, to) for at, to, _ in said] == [
        (local_clock_ms(FIRST, *results), to) for to in ("aggregator", "settlement")
    ]
    assert said[0][2].sold_mwh == 0.1
    # Periods 35 and 36 of the second day have the prices 48 + 34 and 48 + 35.
    assert said[0][2].price_gbp_per_mwh == (82.5 if auction == HOURLY else 82.0)


def test_the_hourly_book_of_epex_closes_half_an_hour_earlier():
    party = exchange(hourly_exchange="epex")
    late = order(auction=HOURLY, mwh=0.1)
    assert reason_of(party, late, local_clock_ms(FIRST, 9, 20)) == "late: the book is closed"


def test_the_auctions_of_the_first_day_were_held_before_the_run_began():
    late = order(start=START + 34 * PERIOD_MS)
    assert reason_of(exchange(), late, START) == "late: the book is closed"


def test_intraday_trades_at_once_on_either_side_of_the_spread_until_gate_closure():
    party, start = exchange(), START + 34 * PERIOD_MS
    gate = start - HOUR_MS
    party.receive(order("S", INTRADAY, start, limit=42.0), gate - 1)
    party.receive(order("B", INTRADAY, start, mwh=-0.1, limit=46.0), gate - 1)
    trades = of_kind(heard(party), WholesaleTrade, "settlement")
    assert [(trade.sold_mwh, trade.price_gbp_per_mwh) for trade in trades] == [(0.05, 42.0), (-0.1, 46.0)]
    late = order("L", INTRADAY, start)
    assert reason_of(party, late, gate) == "after gate: Gate Closure has passed"


def test_intraday_opens_for_a_day_when_its_day_ahead_prices_are_told():
    party, tomorrow = exchange(), order("O1", INTRADAY)
    ten = local_clock_ms(FIRST, 10)
    assert reason_of(party, tomorrow, ten - 1).startswith("not open: ")
    heard(party, ten)
    party.receive(order("O2", INTRADAY), ten)
    assert of_kind(heard(party), WholesaleTrade, "settlement")


def test_a_limit_that_is_not_met_trades_nothing_and_is_told_why():
    party = exchange()
    party.receive(order("S", limit=82.01), START)
    party.receive(order("B", mwh=-0.05, limit=81.99), START)
    answers = of_kind(heard(party, NEXT_START), WholesaleTrade)
    assert [(one.order_id, one.sold_mwh) for one in answers] == [("S", 0.0), ("B", 0.0)]
    assert {one.reason for one in answers} == {"limit not met: the price is 82.00 GBP/MWh"}


def test_the_keenest_limits_trade_first_and_one_is_cut_where_the_depth_ends():
    party = exchange(depth_mw=0.5)
    for name, limit, lots in (("dear", 50.0, 2), ("keen", 10.0, 3), ("cut", 40.0, 3)):
        party.receive(order(name, mwh=lots / 20, limit=limit), START)
    party.receive(order("other side", mwh=-0.25, limit=90.0), START)
    answers = of_kind(heard(party, NEXT_START), WholesaleTrade, "aggregator")
    assert {one.order_id: one.sold_mwh for one in answers} == {
        "dear": 0.0, "keen": 0.15, "cut": 0.1, "other side": -0.25,
    }  # fmt: skip
    assert {one.order_id: one.reason for one in answers}["dear"] == "no depth: the other side is used up"


def test_intraday_depth_is_used_up_by_what_was_traded_before():
    party, start = exchange(depth_mw=0.2), START + 34 * PERIOD_MS
    for name in "abc":
        party.receive(order(name, INTRADAY, start, mwh=0.1), START)
    assert [trade.sold_mwh for trade in of_kind(heard(party), WholesaleTrade, "aggregator")] == [
        0.1,
        0.0,
        0.0,
    ]


HALF_LATE = NEXT_START + 34 * PERIOD_MS
WRONG = {
    "unknown auction": order(auction="night"),
    "unknown unit": order(unit="WHOLESALE-_C"),
    "not a product: day_ahead_half_hourly trades whole stretches of 30 minutes": order(start=HALF_LATE + 1),
    "not a product: day_ahead_half_hourly trades": order(end_ms=HALF_LATE + HOUR_MS),
    "not a product: day_ahead_hourly trades": order(auction=HOURLY, start=HALF_LATE + PERIOD_MS, mwh=0.1),
    "not a product: nothing is traded for": order(start=NEXT_START + 48 * PERIOD_MS),
    "off lot: 0.07 MWh": order(mwh=0.07),
    "off lot: 0.05 MWh": order(auction=HOURLY, mwh=0.05),
    "off lot: an order is for a volume": order(mwh=0.0),
    "off lot: an order is for a volume other than nothing, not nan": order(mwh=float("nan")),
    "off price: 3000.01": order(limit=3000.01),
    "off price: -500.01": order(limit=-500.01),
    "off price: nan": order(limit=float("nan")),
    "off price: 80.001 GBP/MWh has more than two": order(limit=80.001),
}


@pytest.mark.parametrize("reason", WRONG)
def test_an_order_that_cannot_be_is_answered_with_nothing_and_the_reason(reason):
    party = exchange()
    party.receive(WRONG[reason], START)
    said = heard(party)
    assert remarks(said) == ["order_refused"]
    (answer,) = of_kind(said, WholesaleTrade)
    assert answer.reason.startswith(reason)
    assert party.state.waiting == party.state.trades == []


def test_an_auction_that_is_not_held_is_unknown():
    party = exchange(auctions=(INTRADAY,))
    assert reason_of(party, order()).startswith(
        "unknown auction: 'day_ahead_half_hourly'; there are intraday"
    )


def test_the_bounds_of_prices_are_prices():
    party = exchange()
    for name, limit in (("low", -500.0), ("high", 3000.0)):
        party.receive(order(name, limit=limit), START)
    assert heard(party) == []


def test_the_same_order_again_is_ignored_and_another_under_its_name_is_refused():
    party = exchange()
    party.receive(order(), START)
    party.receive(order(), START)
    assert remarks(heard(party)) == ["duplicate_order"]
    assert reason_of(party, order(mwh=0.1)) == "duplicate id: another order has it"
    (trade,) = of_kind(heard(party, NEXT_START), WholesaleTrade, "settlement")
    assert trade.sold_mwh == 0.05


def test_the_position_limit_counts_trades_and_what_waits_of_all_units():
    party = exchange(position_limit_mw=0.4)
    party.receive(order("a", mwh=0.1), START)
    party.receive(order("b", mwh=0.1, unit="WHOLESALE-_B"), START)
    assert reason_of(party, order("c")) == "position limit: 0.5 MW is above 0.4 MW"
    party.receive(order("d", mwh=-0.2, limit=90.0), START)
    heard(party, local_clock_ms(FIRST, 15, 45))
    party.receive(order("e", INTRADAY, mwh=0.2), NEXT_START)
    assert of_kind(heard(party), WholesaleTrade, "settlement")


def test_an_hour_counts_half_in_each_of_its_periods():
    party = exchange(position_limit_mw=0.2)
    party.receive(order("hour", HOURLY, NEXT_START + 34 * PERIOD_MS, mwh=0.2), START)
    assert reason_of(party, order("second half", start=NEXT_START + 35 * PERIOD_MS)).startswith(
        "position limit"
    )


@pytest.mark.parametrize(("change", "periods"), [(date(2026, 3, 29), 46), (date(2026, 10, 25), 50)])
def test_a_clock_change_day_has_all_its_products_and_no_more(change, periods):
    party = exchange(first=change - timedelta(days=1))
    opening = day_start_ms(change)
    for place in range(periods):
        party.receive(order(f"P{place}", start=opening + place * PERIOD_MS), opening - 20 * HOUR_MS)
    for place in range(periods // 2):
        party.receive(order(f"H{place}", HOURLY, opening + place * HOUR_MS, mwh=0.1), opening - 20 * HOUR_MS)
    beyond = order("beyond", start=opening + periods * PERIOD_MS)
    assert reason_of(party, beyond, opening - 20 * HOUR_MS).startswith("not a product")
    trades = of_kind(heard(party, opening), WholesaleTrade, "settlement")
    assert len(trades) == periods + periods // 2
    assert trades[0].price_gbp_per_mwh == 48.5  # the first hour: the mean of its two half hours, 48 and 49
    assert trades[-1].price_gbp_per_mwh == 48 + periods - 1


UNITS = {
    "": unit("WHOLESALE-_C", [3]),
    "BSCP602: a unit without assets": unit("WHOLESALE-_C", []),
    "BSCP602: an asset of another unit": unit("WHOLESALE-_C", [1, 3]),
    "lots of 0.1 MW: the unit has 0.099 MW": unit("WHOLESALE-_C", [3], 0.099),
    "the exchange does not buy tcm": ServiceUnit("tcm", "TCM-x", "x", np.array([3], np.int32), 1.0),
}


@pytest.mark.parametrize("reason", UNITS)
def test_a_unit_is_enrolled_or_refused_with_the_clause(reason):
    party = exchange()
    party.receive(UNITS[reason], START)
    (answer,) = of_kind(heard(party), ServiceUnitAnswer, "aggregator")
    assert (answer.accepted, answer.reason) == (not reason, reason)


def test_nobody_trades_deviations_before_p415():
    party = exchange(first=date(2024, 11, 6))
    party.receive(unit("WHOLESALE-_C", [3]), day_start_ms(date(2024, 11, 6)))
    (answer,) = of_kind(heard(party), ServiceUnitAnswer)
    assert answer.reason == "P415: nobody may trade deviations on 2024-11-06"


def test_a_unit_told_twice_is_answered_once():
    party = exchange()
    party.receive(unit("WHOLESALE-_A", [0, 1]), START)
    assert remarks(heard(party)) == ["duplicate_unit"]


def test_orders_and_trades_are_forgotten_when_they_are_delivered():
    party = exchange()
    party.receive(order("a", INTRADAY, START + 34 * PERIOD_MS), START)
    heard(party, START + 35 * PERIOD_MS + 20 * MINUTE_MS)
    assert (party.state.orders, party.state.trades) == ({}, [])


def test_auction_prices_that_do_not_cover_the_days_are_refused():
    trading = replace(TRADING, half_hourly_gbp_per_mwh=np.zeros(48), intraday_gbp_per_mwh=np.zeros(47))
    settings = ExchangeSettings((FIRST,), np.zeros(48), np.zeros(48), np.zeros(48), trading)
    with pytest.raises(SettingsError, match="intraday_gbp_per_mwh has 47 values"):
        Exchange(settings)
