"""What the exchange and the aggregator are told of trading, and which Supplier a home has."""

from dataclasses import replace
from datetime import date

import numpy as np

from aggregator.trading import orders
from markets.exchange import Exchange
from markets.wholesale_lines import SupplierMoved, WholesalePrices, settle_position
from protocol.messages import DayAheadPrices, ServiceUnit
from protocol.rulebook import load_rulebook
from sim import party_settings
from sim.prices import make_prices
from sim.scenario_file import parse_scenario
from sim.wholesale import supplier_names, supplier_of, trading_settings, trading_terms

TEXT = """
flextwin: 1
name: trading
clock: {start: 2026-08-19, days: 2}
markets: {wholesale: {share: 10 %, SETTINGS}}
"""


def scenario(settings="auctions: [intraday]", text=TEXT):
    return parse_scenario(text.replace("SETTINGS", settings))


def prices(one):
    return make_prices(one.prices, one.clock.start, one.clock.days, one.seed)


def test_nobody_trades_where_no_home_consents():
    one = scenario(text=TEXT.replace("share: 10 %, SETTINGS", "spread: 1 GBP/MWh"))
    assert party_settings.exchange_settings(one, prices(one)).trading is None


def test_auctions_without_noise_trade_at_the_day_ahead_price():
    one = scenario("half_hourly_noise: 0 GBP/MWh, intraday_noise: 0 GBP/MWh")
    told = party_settings.exchange_settings(one, prices(one)).trading
    np.testing.assert_array_equal(told.half_hourly_gbp_per_mwh, prices(one).day_ahead_gbp_per_mwh)
    np.testing.assert_array_equal(told.intraday_gbp_per_mwh, prices(one).day_ahead_gbp_per_mwh)
    assert (told.auctions, told.hourly_exchange) == (("day_ahead_half_hourly", "intraday"), "n2ex")


def test_noise_is_of_each_half_hour_alone_and_moves_nothing_else():
    short, long = scenario(), scenario(text=TEXT.replace("days: 2", "days: 3"))
    mine, theirs = (trading_settings(one, prices(one)) for one in (short, long))
    np.testing.assert_array_equal(mine.intraday_gbp_per_mwh, theirs.intraday_gbp_per_mwh[:96])
    louder = trading_settings(one := scenario("intraday_noise: 20 GBP/MWh"), prices(one))
    np.testing.assert_array_equal(mine.half_hourly_gbp_per_mwh, louder.half_hourly_gbp_per_mwh)
    noise = mine.intraday_gbp_per_mwh - prices(short).day_ahead_gbp_per_mwh
    assert 6.0 < noise.std() < 10.0
    assert (
        abs(np.corrcoef(noise, mine.half_hourly_gbp_per_mwh - prices(short).day_ahead_gbp_per_mwh)[0, 1])
        < 0.3
    )


def test_the_terms_of_trade_are_those_of_scenario_and_rulebook():
    terms = trading_terms(one := scenario("strategy: {payback_within: 3 h}"), "intraday")
    assert (terms.compensation_gbp_per_mwh, terms.spread_gbp_per_mwh, terms.payback_periods) == (
        98.53,
        2.0,
        6,
    )
    hourly = trading_terms(one, "day_ahead_hourly")
    assert (hourly.spread_gbp_per_mwh, hourly.at_any_price, terms.at_any_price) == (0.0, True, False)
    told = scenario("sourcing_cost: 70 GBP/MWh")
    assert trading_terms(told, "intraday").compensation_gbp_per_mwh == 70.0


def test_before_p415_there_is_nothing_to_pay():
    old = scenario(text=TEXT.replace("2026-08-19", "2024-01-16"))
    assert old.clock.start == date(2024, 1, 16)
    assert trading_terms(old, "intraday").compensation_gbp_per_mwh == 0.0


def test_every_home_has_one_supplier_in_the_shares_told():
    one = scenario("suppliers: {big: 70 %, small: 30 %, none: 0 %}")
    place = supplier_of(one, np.arange(20_000))
    assert supplier_names(one) == ("big", "small", "none")
    shares = np.bincount(place, minlength=3) / 20_000
    np.testing.assert_allclose(shares, [0.7, 0.3, 0.0], atol=0.01)


def test_a_home_keeps_its_supplier_whoever_else_there_is():
    one = scenario()
    np.testing.assert_array_equal(supplier_of(one, np.arange(50))[7:9], supplier_of(one, np.array([7, 8])))


def test_a_day_ordered_within_the_day_trades_whole_and_earns_the_margin_when_it_is_delivered():
    dear = TEXT + "prices: {mean: 300 GBP/MWh}\n"
    one = scenario("auctions: [intraday], intraday_noise: 0 GBP/MWh", dear)
    exchange = Exchange(party_settings.exchange_settings(one, prices(one)))
    start = exchange.state.now_ms
    exchange.on_deadline(start)
    rows = np.arange(3, dtype=np.int32)
    exchange.receive(ServiceUnit("wholesale", "WHOLESALE-_A", "_A", rows, 1.0), start)
    told = next(sent.message for sent in exchange.take_outbox() if isinstance(sent.message, DayAheadPrices))
    terms = replace(trading_terms(one, "intraday"), payback_periods=12)
    mw = [0.0] * 4 + [0.5] * 44  # the first periods' gates closed before the run began
    for order in orders("WHOLESALE-_A", told.day, told.price_gbp_per_mwh, mw, mw, terms):
        exchange.receive(order, start)
    trades = [sent.message for sent in exchange.take_outbox() if sent.to == "settlement"]
    sold_mwh = sum(trade.sold_mwh for trade in trades if trade.sold_mwh > 0)
    assert sold_mwh > 1.0
    assert abs(sum(trade.sold_mwh for trade in trades)) < 1e-9
    rules = load_rulebook("bsc", on=told.day)
    net_gbp_e5 = 0
    for trade in trades:
        moved = [SupplierMoved("A", 0, round(trade.sold_mwh * 1e6), 1)]
        paid = WholesalePrices(70.0, terms.compensation_gbp_per_mwh)
        arguments = ("II", trade.unit, trade.start_ms, trades, moved, True, paid, rules)
        net_gbp_e5 += settle_position(*arguments).net_gbp_e5
    cost = terms.cost_per_hold_gbp_per_mwh + terms.margin_gbp_per_mwh
    assert net_gbp_e5 / 1e5 >= sold_mwh * cost - 0.01 * len(trades)
