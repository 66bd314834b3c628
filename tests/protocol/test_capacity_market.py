"""Worked by hand; the prices of the auctions [S], the rest from memory [M] or ours, as
capacity_market.yaml says.
"""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.capacity_market import (
    accredited_mw,
    availability_test,
    capped_penalties_gbp_e5,
    deficiency_gbp_e5,
    derated_mw,
    load_following_obligation_mw,
    monthly_payment_gbp_e5,
    notice_binds,
    over_delivery_gbp_e5,
    penalty_rate_gbp_per_mwh,
    performed_satisfactorily,
    stress_delivery,
    sustained_w,
)
from protocol.periods import HOUR_MS, PERIOD_MS
from protocol.rulebook import load_rulebook
from protocol.units import gbp


def rules_with(**overrides):
    return load_rulebook("capacity_market", on=date(2026, 12, 1), overrides=overrides)


CM = rules_with()


def test_the_penalty_rate_is_a_twenty_fourth_of_the_clearing_price():
    # 63 GBP/kW/yr = 63,000 GBP/MW/yr; / 24 = 2,625 GBP per missing MWh.
    assert penalty_rate_gbp_per_mwh(CM) == pytest.approx(2625)


def test_a_unit_owes_its_share_of_the_load_and_never_more_than_its_obligation():
    # 10 MW of 50,000 obliged: at 40,000 MW of demand 8 MW, at 60,000 all ten.
    assert load_following_obligation_mw(10, np.array([40_000.0, 60_000.0]), 50_000).tolist() == [8, 10]
    assert derated_mw(np.array([12.0]), 0.75).tolist() == [9]


def test_a_notice_binds_after_four_hours_until_it_is_withdrawn():
    starts = HOUR_MS * np.array([13, 14, 15, 16])
    assert notice_binds(10 * HOUR_MS, None, starts, CM).tolist() == [False, True, True, True]
    assert notice_binds(10 * HOUR_MS, 15 * HOUR_MS, starts, CM).tolist() == [False, True, False, False]
    late = notice_binds(10 * HOUR_MS + 1, None, 14 * HOUR_MS + PERIOD_MS * np.arange(2), CM)
    assert late.tolist() == [False, True]


def test_missing_and_over_delivered_energy_count_only_under_stress():
    # Obliged to 8 MW, so 4 MWh in a half hour.
    found = stress_delivery(np.full(3, 8.0), np.array([3.0, 5.5, 0.0]), np.array([True, True, False]))
    assert (found.missing_mwh.tolist(), found.over_mwh.tolist()) == ([1, 0, 0], [0, 1.5, 0])


def test_penalties_stop_at_twice_the_month_and_once_the_year():
    # 2 MW x 63,000 = 126,000 a year, 10,500 a month; caps 21,000 and 126,000.
    month = monthly_payment_gbp_e5(2, CM)
    assert gbp(month) == 10_500
    charged = capped_penalties_gbp_e5([30_000 * 100_000] * 8, month, CM)
    assert [int(gbp(one)) for one in charged] == [21_000] * 6 + [0] * 2


def test_over_delivery_is_paid_from_the_penalties_by_energy_up_to_the_rate():
    # 4,000 GBP shared 1 : 3. With 40,000 collected, 4 MWh at 2,625 = 10,500 is the most.
    assert [int(gbp(one)) for one in over_delivery_gbp_e5([1, 3], 4_000 * 100_000, CM)] == [1_000, 3_000]
    assert [float(gbp(one)) for one in over_delivery_gbp_e5([1, 3], 40_000 * 100_000, CM)] == [2_625, 7_875]
    assert over_delivery_gbp_e5([1, 3], 100, rules_with(over_delivery_paid=False)) == (0, 0)
    assert over_delivery_gbp_e5([0, 0], 100, CM) == (0, 0)


def test_three_days_at_the_obligation_are_satisfactory():
    assert performed_satisfactorily(np.array([10.0, 9.9, 11, 10]), 10, CM)
    assert not performed_satisfactorily(np.array([10.0, 9.9, 11]), 10, CM)


def test_storage_is_worth_what_it_can_hold():
    # 5 kW with 13.5 kWh holds 3,375 W for four hours; with 40 kWh its 5 kW.
    assert sustained_w(np.array([5000, 5000]), np.array([13_500, 40_000]), CM).tolist() == [3375, 5000]


def test_accreditation_takes_the_dependable_percentile_times_the_carrying_share():
    # The 10th percentile of 0, 1 ... 10 is 1; x 0.9. A gap counts as nothing.
    assert accredited_mw(np.arange(11.0), CM) == pytest.approx(0.9)
    assert accredited_mw(np.full(11, np.nan), CM) == 0


def test_the_available_capacity_test_tells_what_is_missing():
    found = availability_test(np.array([2.0, 1.5, np.nan]), 2.0, CM)
    assert (found.missing_mw.tolist(), found.passed) == ([0, 0.5, 2], False)
    assert found.mean_missing_mw == pytest.approx(2.5 / 3)
    assert availability_test(np.array([2.0, 1.9]), 2.0, rules_with(availability_tolerance_pct=5)).passed
    # 2.5 MW h of 8,760 at 87,600 GBP/MW/yr x 1.2 = 30 GBP.
    assert gbp(deficiency_gbp_e5(found.missing_mw, 1.0, 87_600, CM)) == 30


@given(st.lists(st.integers(0, 10**9), min_size=12, max_size=12), st.integers(0, 10**8))
def test_no_cap_is_ever_passed(penalties, month):
    charged = capped_penalties_gbp_e5(penalties, month, CM)
    assert all(0 <= one <= min(asked, 2 * month) for one, asked in zip(charged, penalties, strict=True))
    assert sum(charged) <= 12 * month


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6), st.integers(0, 10**9))
def test_no_more_is_paid_for_over_delivery_than_was_collected(over, pot):
    assert sum(over_delivery_gbp_e5(over, pot, CM)) <= pot
