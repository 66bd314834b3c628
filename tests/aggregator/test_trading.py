"""What is ordered: dear sold, cheap bought back, or nothing and why."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.trading import TradingTerms, even_up, foreseen_prices, orders, plan
from protocol.periods import HOUR_MS, PERIOD_MS, day_start_ms, period_count

DAY = date(2026, 1, 21)
HALF = "day_ahead_half_hourly"
TERMS = TradingTerms(
    HALF, cost_per_hold_gbp_per_mwh=10.0, compensation_gbp_per_mwh=90.0, margin_gbp_per_mwh=5.0
)
NAME = "WHOLESALE-_A"


def day_of(value, day=DAY, **at):
    """One value in every period but those named p35=... (numbered from 1)."""
    values = [value] * period_count(day)
    for name, other in at.items():
        values[int(name[1:]) - 1] = other
    return values


def traded(found):
    """Period number: (MWh, limit)."""
    start = day_start_ms(DAY)
    return {(one.start_ms - start) // PERIOD_MS + 1: (one.sell_mwh, one.limit_gbp_per_mwh) for one in found}


def test_the_dearest_period_is_sold_and_the_cheapest_later_one_bought():
    # Gain 150 - 60 - 10 = 80, of which 75 lie above the margin of 5: each limit gives away half, 37.50.
    prices = day_of(100.0, p5=20.0, p35=150.0, p47=60.0)
    found = orders(NAME, DAY, prices, day_of(0.0, p35=0.25), day_of(3.0), TERMS)
    assert traded(found) == {35: (0.1, 112.5), 47: (-0.1, 97.5)}
    assert {one.unit for one in found} == {NAME}


def test_what_one_period_cannot_take_back_goes_to_the_next_cheapest():
    prices = day_of(150.0, p35=200.0, p40=60.0, p45=70.0)
    found = orders(NAME, DAY, prices, day_of(0.0, p35=0.5), day_of(0.2), TERMS)
    assert {place: mwh for place, (mwh, _) in traded(found).items()} == {
        35: 0.25,
        40: -0.1,
        45: -0.1,
        36: -0.05,
    }


def test_a_payback_comes_before_its_deadline():
    prices = day_of(100.0, p20=150.0, p30=80.0, p31=60.0, p47=40.0)
    found = orders(NAME, DAY, prices, day_of(0.0, p20=0.1), day_of(1.0), replace(TERMS, payback_periods=10))
    assert set(traded(found)) == {20, 30}


@pytest.mark.parametrize(("p10", "sold", "bought"), [(320.0, 10, 20), (290.0, 20, 30)])
def test_what_is_bought_back_is_not_sold_on(p10, sold, bought):
    prices, terms = day_of(190.0, p10=p10, p20=200.0, p30=90.0), replace(TERMS, payback_periods=10)
    able = day_of(0.0, p10=0.1, p20=0.1, p30=0.1)
    found = traded(orders(NAME, DAY, prices, able, able, terms))
    assert {place: mwh for place, (mwh, _) in found.items()} == {sold: 0.05, bought: -0.05}


def test_no_stretch_is_sold_longer_than_a_unit_may_be_held():
    prices = day_of(100.0, **{f"p{place}": 200.0 + place for place in range(30, 36)})
    found = orders(NAME, DAY, prices, day_of(0.1), day_of(1.0), replace(TERMS, most_hold_periods=2))
    assert [place for place, (mwh, _) in traded(found).items() if mwh > 0] == [31, 32, 34, 35]


def test_rebound_left_to_the_supplier_costs_the_compensation_and_buys_nothing():
    terms = replace(TERMS, payback_share=0.0)
    prices = day_of(100.0, p35=150.0)  # 150 - 10 - 90 = 50 gained; 45 above the margin, half given away
    assert traded(orders(NAME, DAY, prices, day_of(0.3), day_of(0.0), terms)) == {35: (0.15, 127.5)}


def test_mutualised_compensation_is_no_cost():
    terms = replace(TERMS, payback_share=0.0, compensation_gbp_per_mwh=0.0)
    assert (
        len(orders(NAME, DAY, day_of(100.0), day_of(0.1), day_of(0.0), replace(terms, most_hold_periods=48)))
        == 48
    )


def test_a_share_of_the_payback_is_bought_in_whole_lots():
    terms = replace(TERMS, payback_share=0.5)
    prices = day_of(100.0, p35=300.0, p40=50.0)
    found = orders(NAME, DAY, prices, day_of(0.0, p35=0.5), day_of(0.0, p40=2.0), terms)
    assert {place: mwh for place, (mwh, _) in traded(found).items()} == {35: 0.25, 40: -0.1}


def test_the_spread_is_paid_on_both_sides():
    prices = day_of(100.0, p35=150.0, p47=130.0)
    down, up = day_of(0.0, p35=0.1), day_of(0.0, p47=0.1)
    assert orders(NAME, DAY, prices, down, up, replace(TERMS, spread_gbp_per_mwh=5.0))
    assert not orders(NAME, DAY, prices, down, up, replace(TERMS, spread_gbp_per_mwh=5.02))


def test_an_hour_is_sold_by_its_mean_price_and_its_lesser_half():
    terms = replace(TERMS, auction="day_ahead_hourly")
    prices = day_of(100.0, p35=200.0, p36=240.0, p43=40.0, p44=60.0)
    found = orders(
        NAME, DAY, prices, day_of(0.0, p35=0.3, p36=0.2, p37=0.9), day_of(0.0, p43=1.0, p44=1.0), terms
    )
    start = day_start_ms(DAY)
    found_hours = [(one.sell_mwh, (one.start_ms - start) // HOUR_MS) for one in found]
    assert {one.end_ms - one.start_ms for one in found} == {HOUR_MS}
    assert found_hours == [
        (0.2, 17), (-0.2, 21),
    ]  # fmt: skip


def test_at_any_price_limits_are_the_bounds_of_the_auction():
    prices = day_of(100.0, p35=150.0, p47=60.0)
    able = day_of(0.0, p35=0.1, p47=0.1)
    found = orders(NAME, DAY, prices, able, able, replace(TERMS, at_any_price=True))
    assert traded(found) == {35: (0.05, -500.0), 47: (-0.05, 3000.0)}


def test_what_was_sold_and_not_bought_back_is_bought_in_the_cheapest_periods_left():
    prices = day_of(100.0, p20=1.0, p40=50.0, p41=40.0)
    able = day_of(0.2, **{f"p{place}": 0.0 for place in range(1, 30)})  # their gates have closed
    found = even_up(NAME, DAY, prices, day_of(9.0), able, 0.27, replace(TERMS, auction="intraday"))
    assert traded(found) == {41: (-0.1, 3000.0), 40: (-0.1, 3000.0), 30: (-0.05, 3000.0)}


def test_what_was_bought_and_not_held_is_sold_in_the_dearest_periods():
    prices = day_of(100.0, p40=150.0)
    found = even_up(NAME, DAY, prices, day_of(0.1), day_of(9.0), -0.1, TERMS)
    assert traded(found) == {40: (0.05, -500.0), 1: (0.05, -500.0)}


def test_orders_that_even_up_have_names_of_their_own_and_are_none_where_nothing_is_owed():
    prices, able = day_of(100.0, p35=150.0, p47=60.0), day_of(0.1)
    first = {one.order_id for one in orders(NAME, DAY, prices, able, able, TERMS)}
    then = {one.order_id for one in even_up(NAME, DAY, prices, able, able, 1.0, TERMS)}
    assert first
    assert then
    assert not first & then
    assert even_up(NAME, DAY, prices, able, able, 0.049, TERMS) == ()


SAYS = {
    "no lot of 0.1 MW can be turned down": (day_of(0.09), day_of(1.0), TERMS),
    "what is held cannot be drawn within 24 periods after": (day_of(1.0), day_of(0.0), TERMS),
    "the best sale would gain 40.00 GBP/MWh, less than the margin of 40.01": (
        day_of(1.0), day_of(1.0), replace(TERMS, margin_gbp_per_mwh=40.01),
    ),
    "a unit may be held for 0 periods, less than one product of the auction": (
        day_of(1.0), day_of(1.0), replace(TERMS, most_hold_periods=0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("reason", SAYS)
def test_where_nothing_is_ordered_it_is_said_why(reason):
    down, up, terms = SAYS[reason]
    found = plan(NAME, DAY, day_of(100.0, p35=150.0), down, up, terms)
    assert (found.orders, found.reason) == ((), reason)


def test_values_that_do_not_fit_the_day_are_refused():
    with pytest.raises(ValueError, match="2026-03-29 has 46 periods"):
        orders(NAME, date(2026, 3, 29), day_of(1.0), day_of(1.0), day_of(1.0), TERMS)


DAYS = [DAY, date(2026, 3, 29), date(2026, 10, 25)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_laws_of_every_plan(data):
    day = data.draw(st.sampled_from(DAYS))
    count = period_count(day)
    terms = TradingTerms(
        data.draw(st.sampled_from([HALF, "day_ahead_hourly", "intraday"])), 3.0, 80.0, 2.0,
        spread_gbp_per_mwh=1.5, payback_share=data.draw(st.sampled_from([0.0, 0.5, 1.0])),
        payback_periods=12, most_hold_periods=6,
    )  # fmt: skip
    prices = data.draw(st.lists(st.floats(-700, 3200), min_size=count, max_size=count))
    down = data.draw(st.lists(st.floats(0, 2), min_size=count, max_size=count))
    up = data.draw(st.lists(st.floats(0, 2), min_size=count, max_size=count))
    found = orders(NAME, day, prices, down, up, terms)
    assert len({one.order_id for one in found}) == len(found)
    assert [one.start_ms for one in found] == sorted({one.start_ms for one in found})
    sold = sum(one.sell_mwh for one in found if one.sell_mwh > 0)
    bought = -sum(one.sell_mwh for one in found if one.sell_mwh < 0)
    assert bought <= sold * terms.payback_share + 1e-9
    if terms.payback_share == 1.0:
        assert bought == pytest.approx(sold)
    for one in found:
        assert -500 <= one.limit_gbp_per_mwh <= 3000
        for start in range(one.start_ms, one.end_ms, PERIOD_MS):
            place = (start - day_start_ms(day)) // PERIOD_MS
            mw = one.sell_mwh / ((one.end_ms - one.start_ms) / HOUR_MS)
            assert -up[place] - 1e-6 <= mw <= down[place] + 1e-6


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-400, 2900), min_size=48, max_size=48))
def test_a_sale_and_its_payback_both_traded_at_their_limits_still_gain_the_margin(prices):
    # One sale and one purchase alone, so that it is known which belong together.
    found = orders(NAME, DAY, prices, day_of(0.0, p10=0.1), day_of(0.0, p20=0.1), TERMS)
    if found:
        sale, purchase = found
        assert sale.limit_gbp_per_mwh - purchase.limit_gbp_per_mwh >= 10.0 + 5.0 - 1e-6
        assert sale.limit_gbp_per_mwh <= prices[9] + 0.01
        assert purchase.limit_gbp_per_mwh >= prices[19] - 0.01
    else:
        assert prices[9] - prices[19] < 15.0 + 1e-6


MONDAY, FRIDAY, SATURDAY = date(2026, 1, 19), date(2026, 1, 23), date(2026, 1, 24)


def test_prices_are_foreseen_from_days_of_the_same_type():
    told = {
        MONDAY: day_of(80.0, p35=200.0), date(2026, 1, 20): day_of(100.0, p35=100.0), SATURDAY: day_of(10.0)
    }  # fmt: skip
    assert foreseen_prices(date(2026, 1, 22), told) == tuple(day_of(90.0, p35=150.0))
    assert foreseen_prices(date(2026, 1, 26), told, days=1) == tuple(day_of(100.0))
    assert foreseen_prices(date(2026, 1, 25), told) == tuple(day_of(10.0))
    assert foreseen_prices(SATURDAY, {FRIDAY: day_of(7.0)}) == tuple(day_of(7.0))


def test_no_price_is_foreseen_from_the_day_itself_or_later_ones():
    assert foreseen_prices(DAY, {DAY: day_of(1.0), FRIDAY: day_of(1.0)}) is None


@pytest.mark.parametrize(("day", "places"), [
    (date(2026, 3, 29), [0, 1, *range(4, 48)]), (date(2026, 10, 25), [0, 1, 2, 3, *range(2, 48)]),
])  # fmt: skip
def test_prices_of_a_clock_change_day_are_foreseen_by_the_clock(day, places):
    before = date.fromordinal(day.toordinal() - 1)
    assert foreseen_prices(day, {before: range(48)}) == tuple(places)
    told = {day: [float(place) for place in places]}
    shown = foreseen_prices(date.fromordinal(day.toordinal() + 7), told)
    assert shown == tuple(1.0 if place in {2, 3} and len(places) == 46 else place for place in range(48))
