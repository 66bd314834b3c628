"""What the exchange and the aggregator are told of trading, and which Supplier a home has."""

from datetime import date

import numpy as np

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
    assert trading_terms(one, "day_ahead_hourly").spread_gbp_per_mwh == 0.0
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
