"""Who is on a tariff, when it is dear, and what each half-hour costs."""

from datetime import date

import numpy as np
import pytest

from protocol.periods import HOUR_MS, day_periods_ms, local_clock_ms, period_count
from sim.bills import Bills
from sim.homes import NOT_SMART, make_homes
from sim.scenario import Homes
from sim.scenario_services import Retail
from sim.tariffs import ECONOMY_7, SINGLE_RATE, STATIC, prices_gbp_e5_per_mwh, static_tariff, tariff_of_home

DAY = date(2026, 12, 1)
HOMES = make_homes(Homes(count=2000), 3)
TWO_RATE = np.arange(2000) % 10 == 0
SHAPE = (
    ".33 .28 .25 .23 .22 .21 .21 .20 .20 .21 .22 .24 .31 .39 .52 .63 .62 .57 .52 .50 .49 .48 .47 .47 "
    ".49 .49 .47 .45 .44 .46 .47 .53 .64 .78 .89 .92 .92 .91 .88 .84 .80 .78 .77 .72 .67 .59 .49 .41"
)
"""Profile Class 1, winter weekday, kW by half-hour: realism target T6."""


def tariff_of(**retail):
    found = static_tariff(Retail(**{"share": 1.0, **retail}), HOMES, TWO_RATE, 3)
    assert found is not None
    return found


def test_by_default_nobody_is_on_it():
    assert static_tariff(Retail(), HOMES, TWO_RATE, 3) is None
    assert set(tariff_of_home(None, TWO_RATE).tolist()) == {SINGLE_RATE, ECONOMY_7}


def test_it_takes_a_smart_meter_of_one_rate():
    tariff = tariff_of(share=1.0)
    assert (tariff.on == ((HOMES.status != NOT_SMART) & ~TWO_RATE)).all()
    on = tariff_of_home(tariff, TWO_RATE)
    assert (on[tariff.on] == STATIC).all()
    assert (on[TWO_RATE] == ECONOMY_7).all()


def test_a_larger_share_takes_nobody_off_it_and_only_who_is_on_it_acts():
    few, many = tariff_of(share=0.2), tariff_of(share=0.6)
    assert (many.on | ~few.on).all()
    assert few.on.sum() < many.on.sum()
    assert not (many.cars & ~many.on).any()
    assert many.cars.sum() / many.on.sum() == pytest.approx(0.8, abs=0.05)
    assert many.goods.sum() / many.on.sum() == pytest.approx(0.5, abs=0.06)
    assert not tariff_of(cars_follow_share=0.0).cars.any()


@pytest.mark.parametrize("day", [DAY, date(2027, 3, 28), date(2026, 10, 25)])
def test_cars_wait_at_peak_or_where_there_are_cheap_hours_outside_these(day):
    at_peak = tariff_of().quiet_ms(day).tolist()
    assert [local_clock_ms(day, 16), local_clock_ms(day, 19)] in at_peak
    waits = tariff_of(cheap=(("23:30", "05:30"),)).quiet_ms(day).tolist()
    assert [local_clock_ms(day, 5, 30), local_clock_ms(day, 23, 30)] in waits


@pytest.mark.parametrize("day", [DAY, date(2027, 3, 28), date(2026, 10, 25)])
def test_every_half_hour_of_a_day_has_its_price(day):
    retail = Retail(share=1.0, cheap=(("02:00", "05:00"),))
    asked = np.array([prices_gbp_e5_per_mwh(retail, int(at)) for at in day_periods_ms(day)[:-1]])
    assert len(asked) == period_count(day)
    static = (asked[:, STATIC] / 100_000).tolist()
    assert static.count(370.0) == 6
    assert static.count(125.0) == 6  # 02:00 to 05:00 has its six half-hours in March and October too
    assert set(static) == {370.0, 125.0, 212.0}
    assert (asked[:, SINGLE_RATE] == 24_500_000).all()
    nights = {48: 14, 46: 12, 50: 16}  # 00:30 to 07:30 loses or gains an hour
    assert (asked[:, ECONOMY_7] == 15_000_000).sum() == nights[period_count(day)]


def test_profile_class_1_pays_on_the_static_tariff_what_it_pays_on_the_single_rate():
    shape = np.array([float(kw) for kw in SHAPE.split()])
    retail = Retail(share=1.0)
    asked = np.array([prices_gbp_e5_per_mwh(retail, int(at)) for at in day_periods_ms(DAY)[:-1]]) / 100_000
    assert shape @ asked[:, STATIC] / shape.sum() == pytest.approx(245, abs=1)


def test_bills_tell_who_is_harmed():
    # Home 7, on the static tariff, charges 2 kWh from 18:30 instead of from 19:00: 0.74 against 0.424 GBP.
    bills = Bills(Retail(share=1.0), np.array([9, 7]), np.array([SINGLE_RATE, STATIC], np.int8), DAY, 2)
    at_peak, after = local_clock_ms(DAY, 18, 30), local_clock_ms(DAY, 19)
    bills.add(at_peak, np.array([500, 2000]), np.array([500, 0]))
    bills.add(after, np.array([-100, 0]), np.array([-100, 2000]))
    bills.add(after + 24 * HOUR_MS, np.array([500, 0]), np.array([500, 0]))
    homes = bills.by_home()
    assert homes["home"].tolist() == [7, 9]
    assert homes["tariff"] == ["static", "single_rate"]
    assert homes["bill_gbp_e5"].tolist() == [74_000, 24_500]
    assert homes["without_gbp_e5"].tolist() == [42_400, 24_500]
    assert homes["import_wh"].tolist() == homes["without_wh"].tolist() == [2000, 1000]
    lines = bills.by_tariff()
    assert list(zip(lines["day"], lines["tariff"], lines["amount_gbp_e5"], strict=True)) == [
        ("2026-12-01", "single_rate", 12_250),
        ("2026-12-01", "static", 74_000),
        ("2026-12-02", "single_rate", 12_250),
        ("2026-12-02", "static", 0),
    ]
    assert sum(lines["amount_gbp_e5"]) == homes["bill_gbp_e5"].sum()
