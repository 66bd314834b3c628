"""Worked by hand; sources and tags of the rules in dso_settlement.yaml (SSEN TRANSITION [P], Flexible
Power curve [M]).
"""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.dso_payment import (
    Delivery,
    PaymentError,
    Signal,
    availability_gbp_e5,
    delivered_w,
    delivery,
    half_hour_deliveries,
    instructed_w,
    minute_of_stamp_ms,
    monthly_factor,
    monthly_payment,
    performance_factor,
    utilisation_gbp_e5,
)
from protocol.rulebook import load_rulebook
from protocol.units import gbp

MIN = 60_000


def rules_with(**overrides):
    return load_rulebook("dso_settlement", on=date(2025, 1, 15), overrides=overrides)


DSO = rules_with()


@pytest.mark.parametrize(
    ("delivered_pct", "factor"),
    [(120, 1), (100, 1), (95, 1), (90, 0.85), (80, 0.55), (70, 0.25), (61.67, 0.0001), (61.6, 0), (0, 0)],
)
def test_the_performance_curve_has_a_grace_of_five_percent_and_then_takes_three_for_one(
    delivered_pct, factor
):
    # 1 - 3 x (0.95 - d): at 90 % 0.85, at 80 % 0.55.
    found = performance_factor(np.array([delivered_pct], float), DSO.value("performance_curve"))
    assert found.item() == pytest.approx(factor, abs=1e-9)


@given(st.floats(0, 1.5))
def test_the_curve_of_the_rulebook_is_the_remembered_formula(share):
    formula = min(max(1 - 3 * max(0, 0.95 - share), 0), 1)
    found = performance_factor(np.array([100 * share]), DSO.value("performance_curve")).item()
    assert found == pytest.approx(formula, abs=1e-9)


def test_a_portal_reading_is_stamped_at_the_end_of_its_minute():
    assert minute_of_stamp_ms(np.array([17 * 60 * MIN])).tolist() == [(16 * 60 + 59) * MIN]


def test_signals_start_change_and_end_the_instruction():
    signals = [(90_000, Signal.START, 500), (3 * MIN, Signal.START, 300), (5 * MIN, Signal.STOP, 0)]
    assert instructed_w(signals, 0, 7).tolist() == [0, 0, 500, 300, 300, 0, 0]
    same_time = [(0, Signal.START, 9), (0, Signal.EMERGENCY_STOP, 0)]
    assert instructed_w(same_time, 0, 1).tolist() == [0]
    # At 4 min 30 s a stop counts from minute 5, an emergency stop already in minute 4.
    stop, emergency = ((270_000, signal, 0) for signal in (Signal.STOP, Signal.EMERGENCY_STOP))
    assert instructed_w([(0, Signal.START, 9), stop], 0, 6).tolist() == [9, 9, 9, 9, 9, 0]
    assert instructed_w([(0, Signal.START, 9), emergency], 0, 6).tolist() == [9, 9, 9, 9, 0, 0]


def test_delivery_is_capped_minute_by_minute_and_never_negative():
    # 60 kW for four minutes: 60, 90 (capped), 30, -20 (nothing): 150 of 240 kW min.
    instructed = np.full(4, 60_000)
    delivered = delivered_w(np.full(4, 100_000), np.array([40_000, 10_000, 70_000, 120_000]))
    found = delivery(instructed, delivered, rules_with(response_within_min=0))
    assert (found.instructed_mwh, found.delivered_mwh) == pytest.approx((0.004, 0.0025))
    assert found.share == 0.625
    assert delivered_w(np.array([10]), np.array([30]), turn_up=True).tolist() == [20]


def test_the_ramp_is_not_held_against_the_provider_for_fifteen_minutes():
    instructed = np.full(60, 1_000)
    delivered = np.where(np.arange(60) < 15, 100.0, 1_000.0)
    assert delivery(instructed, delivered, DSO).share == 1.0
    later = np.where(np.arange(60) < 16, 100.0, 1_000.0)
    # One of the 45 minutes assessed has 100 of 1,000: 44.1 / 45.
    assert delivery(instructed, later, DSO).share == pytest.approx(0.98)


def test_a_minute_without_a_reading_is_undelivered_and_counted_or_left_out():
    instructed = np.full(20, 1_000)
    delivered = np.full(20, 1_000.0)
    delivered[16:18] = np.nan
    found = delivery(instructed, delivered, DSO)
    assert (found.missing_minutes, found.share) == (2, 0.9)
    assert delivery(instructed, delivered, rules_with(missing_minute="left_out")).share == 1.0


def test_half_hours_add_up_to_the_event():
    instructed = np.full(75, 2_000)
    delivered = np.linspace(0, 3_000, 75)
    halves = half_hour_deliveries(instructed, delivered, DSO)
    whole = delivery(instructed, delivered, DSO)
    assert len(halves) == 3
    assert sum(one.delivered_mwh for one in halves) == pytest.approx(whole.delivered_mwh)
    assert sum(one.instructed_mwh for one in halves) == pytest.approx(whole.instructed_mwh)
    assert delivery(np.zeros(0), np.zeros(0), DSO).share == 1.0


def test_utilisation_is_price_times_capped_energy_times_the_factor():
    # 2 MWh instructed, 1.8 delivered: 90 %, factor 0.85: 300 x 1.8 x 0.85 = 459.
    assert gbp(utilisation_gbp_e5([Delivery(2, 1.8, 0)], 300, DSO)) == 459


def test_on_the_sliding_scale_half_is_paid_in_proportion_and_less_is_not():
    rules = rules_with(utilisation_rule="proportional_from_floor")
    events = [Delivery(2, 1.0, 0), Delivery(2, 0.99, 0), Delivery(2, 2.0, 0)]
    assert gbp(utilisation_gbp_e5(events, 300, rules)) == 300 + 0 + 600


def test_availability_is_price_times_megawatts_times_hours_times_factor():
    assert gbp(availability_gbp_e5(5, 2, 40, 0.85)) == 340


def test_a_month_of_secure_pays_both_parts():
    # Events at 100 % and 90 %: factors 1 and 0.85, mean 0.925. Availability 5 x 2 x 40 x 0.925 = 370.
    # Utilisation 300 x 2 + 300 x 1.8 x 0.85 = 1,059.
    events = [Delivery(2, 2, 0), Delivery(2, 1.8, 0)]
    assert monthly_factor(events, DSO) == pytest.approx(0.925)
    prices = {
        "utilisation_price_gbp_per_mwh": 300,
        "availability_price_gbp_per_mw_h": 5,
        "available_hours": 40,
    }
    found = monthly_payment("secure", events, 2, DSO, **prices)
    assert (gbp(found.availability_gbp_e5), gbp(found.utilisation_gbp_e5)) == (370, 1059)
    assert gbp(found.total_gbp_e5) == 1429
    previous = rules_with(availability_rule="previous_month")
    last = monthly_payment("secure", events, 2, previous, previous_month_factor=0.5, **prices)
    assert gbp(last.availability_gbp_e5) == 200


@pytest.mark.parametrize("product", ["sustain", "restore"])
def test_a_product_of_utilisation_only_has_no_availability_payment(product):
    found = monthly_payment(
        product,
        [Delivery(1, 1, 0)],
        2,
        DSO,
        utilisation_price_gbp_per_mwh=100,
        availability_price_gbp_per_mw_h=5,
    )
    assert (found.availability_gbp_e5, gbp(found.utilisation_gbp_e5)) == (0, 100)


def test_sustain_h_is_a_fixed_monthly_payment():
    # 500 kW at 3 GBP per kW and month; half of the events failed.
    events = [Delivery(1, 1, 0), Delivery(1, 0, 0)]
    assert gbp(monthly_payment("sustain_h", events, 0.5, DSO, fixed_gbp_per_kw_month=3).total_gbp_e5) == 750
    unscaled = rules_with(sustain_h_payment="unscaled")
    assert (
        gbp(monthly_payment("sustain_h", events, 0.5, unscaled, fixed_gbp_per_kw_month=3).total_gbp_e5)
        == 1500
    )


def test_a_month_without_events_is_paid_in_full_for_being_there():
    assert monthly_factor([], DSO) == 1.0


def test_an_unknown_product_is_refused():
    with pytest.raises(PaymentError, match="no product 'sustian'; there are sustain"):
        monthly_payment("sustian", [], 1, DSO)


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(-5_000, 9_000)), min_size=1, max_size=80))
def test_nobody_is_paid_for_more_than_was_instructed(minutes):
    instructed, delivered = (np.array(column) for column in zip(*minutes, strict=True))
    found = delivery(instructed, delivered.astype(float), DSO)
    assert 0 <= found.delivered_mwh <= found.instructed_mwh + 1e-15
    assert 0 <= found.share <= 1
