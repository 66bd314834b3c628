"""When prices become known, on ordinary days and on both clock changes."""

from datetime import date, timedelta

import numpy as np
import pytest
from market_mail import live

from markets.exchange import Exchange
from markets.settings import ExchangeSettings, SettingsError
from protocol.messages import DayAheadPrices, SystemPrice
from protocol.periods import MINUTE_MS, PERIOD_MS, day_start_ms, local_clock_ms, period_count


def exchange(first, count=3):
    days = tuple(first + timedelta(days=step) for step in range(count))
    periods = np.arange(sum(period_count(day) for day in days), dtype=np.float64)
    return Exchange(ExchangeSettings(days, periods, periods + 1000, periods - 1000))


DAYS = [date(2024, 1, 18), date(2024, 3, 30), date(2024, 10, 26)]


@pytest.mark.parametrize("first", DAYS)
def test_day_ahead_prices_come_at_the_start_and_at_ten_local_the_day_before(first):
    said = [(at, message) for at, _, message in live(exchange(first)) if isinstance(message, DayAheadPrices)]
    wanted = [day_start_ms(first), local_clock_ms(first, 10), local_clock_ms(first + timedelta(days=1), 10)]
    assert [at for at, _ in said] == wanted
    assert [len(message.price_gbp_per_mwh) for _, message in said] == [
        period_count(first + timedelta(days=step)) for step in range(3)
    ]
    joined = [price for _, message in said for price in message.price_gbp_per_mwh]
    assert joined == list(range(len(joined)))


@pytest.mark.parametrize("first", DAYS)
def test_the_system_price_of_each_period_comes_twenty_minutes_after_it_to_all_three(first):
    said = [
        (at, to, message) for at, to, message in live(exchange(first)) if isinstance(message, SystemPrice)
    ]
    count = sum(period_count(first + timedelta(days=step)) for step in range(3))
    assert len(said) == 3 * count
    assert {to for _, to, _ in said} == {"aggregator", "balancing", "settlement"}
    for place, (at, _, message) in enumerate(said[::3]):
        assert message.start_ms == day_start_ms(first) + place * PERIOD_MS
        assert at == message.start_ms + PERIOD_MS + 20 * MINUTE_MS
        assert (message.price_gbp_per_mwh, message.net_imbalance_volume_mwh) == (place + 1000, place - 1000)


def test_prices_that_do_not_cover_their_days_are_refused():
    settings = ExchangeSettings((date(2024, 3, 31),), np.zeros(48), np.zeros(46), np.zeros(46))
    with pytest.raises(SettingsError, match="day_ahead_gbp_per_mwh has 48 values; the days given have 46"):
        Exchange(settings)
