"""Worked by hand after DFS Procurement Rules v5.0 as quoted; columns against the single payment."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.dfs_clearing import (
    Bids,
    ClearingError,
    clear,
    deregistered_on,
    payment_factors,
    payments_gbp_e5,
)
from protocol.rulebook import RuleError, load_rulebook
from protocol.settlement import dfs_payment

EDITIONS = {
    year: load_rulebook("dfs", on=day)
    for year, day in ((2022, date(2023, 1, 15)), (2024, date(2025, 1, 15)), (2026, date(2026, 8, 1)))
}
DFS = EDITIONS[2026]


def bids(*rows, guaranteed=()):
    """Rows of (price, MW or list of MW, zone), in order of arrival."""
    count = len(rows)
    return Bids(
        np.array([row[0] for row in rows], float),
        np.array([np.broadcast_to(row[1], 2) for row in rows], float),
        np.array([row[2] for row in rows]),
        np.arange(count),
        np.isin(np.arange(count), guaranteed),
    )


def outcomes(offered, requirement=10.0, rules=DFS, **more):
    return [str(one) for one in clear(offered, np.full(2, requirement), rules, **more)]


def test_bids_are_taken_whole_cheapest_first_until_the_requirement_is_met():
    # 4 at 100, 5 at 150, then 6 at 200 passes the ten and is taken whole; 300 comes too late.
    found = outcomes(bids((300, 1, 1), (150, 5, 1), (100, 4, 2), (200, 6, 1)))
    assert found == ["requirement_met", "accepted", "accepted", "accepted"]


def test_a_bid_beyond_the_requirement_can_be_left_out_by_setting():
    strict = load_rulebook("dfs", on=date(2026, 8, 1), overrides={"last_bid": "left_out"})
    found = outcomes(bids((100, 9, 1), (200, 6, 1), (300, 1, 1)), rules=strict)
    assert found == ["accepted", "too_large", "accepted"]


def test_a_full_zone_is_passed_over_and_the_next_zone_serves():
    found = outcomes(bids((100, 4, 1), (110, 3, 1), (120, 2, 1), (300, 6, 2)), zonal_cap_mw={1: 6.0})
    assert found == ["accepted", "zonal_cap", "accepted", "accepted"]


def test_a_cap_holds_in_every_period():
    # Second period: 4 + 3 is above 6, although the means are below.
    found = outcomes(bids((100, [0, 4], 1), (110, [0, 3], 1)), zonal_cap_mw={1: 6.0})
    assert found == ["accepted", "zonal_cap"]


def test_guaranteed_bids_come_before_cheaper_ones_and_equal_prices_by_arrival():
    found = outcomes(bids((50, 10, 1), (50, 10, 1), (500, 10, 1), guaranteed=[2]), requirement=15)
    assert found == ["accepted", "requirement_met", "accepted"]


def test_turn_up_is_cleared_from_2026_and_refused_before():
    assert outcomes(bids((50, 10, 1)), turn_up=True) == ["accepted"]
    with pytest.raises(ClearingError, match="DFS 2024/25 buys no turn-up: demand reduction only"):
        outcomes(bids((50, 10, 1)), rules=EDITIONS[2024], turn_up=True)
    with pytest.raises(ClearingError, match="DFS 2022/23 has no zonal caps"):
        outcomes(bids((50, 10, 1)), rules=EDITIONS[2022], zonal_cap_mw={1: 5.0})


def test_the_curve_of_2026_by_hand():
    # 10 MW: 5 MWh is 100 %. 6.5 -> 1.2; 4 -> 0.8; 1.875 is 37.5 %: (75 - 50) / 100; 1 -> 0; -2.5 -> -0.5;
    # -9 -> -1.
    delivered = np.array([6.5, 4, 1.875, 1, -2.5, -9])
    factors = payment_factors(delivered, np.full(6, 10.0), DFS)
    assert factors.tolist() == pytest.approx([1.2, 0.8, 0.25, 0, -0.5, -1])
    # 0.5 x 200 x 10 x K = 1,000 K pounds.
    paid = payments_gbp_e5(np.full(6, 200.0), np.full(6, 10.0), factors)
    assert (paid / 100_000).tolist() == pytest.approx([1200, 800, 250, 0, -500, -1000])


def test_where_nothing_was_accepted_nothing_is_paid():
    assert payment_factors(np.array([3.0]), np.array([0.0]), DFS).tolist() == [0]
    assert payment_factors(np.array([3.0]), np.array([0.0]), EDITIONS[2022]).tolist() == [0]


@given(
    st.sampled_from(sorted(EDITIONS)),
    st.integers(1, 500),
    st.integers(-9000, 9000),
    st.integers(0, 6000),
)
def test_columns_pay_what_the_single_payment_pays(edition, tenths_mw, delivered_kwh, price):
    rules = EDITIONS[edition]
    accepted, delivered = tenths_mw / 10, delivered_kwh / 1000
    single = dfs_payment(rules, accepted, price, delivered).amount_gbp_e5
    factors = payment_factors(np.array([delivered]), np.array([accepted]), rules)
    assert payments_gbp_e5(np.array([price]), np.array([accepted]), factors).item() == pytest.approx(
        single, abs=1
    )


def test_five_failures_in_a_row_end_the_registration():
    days = [date(2026, 8, n) for n in range(1, 8)]
    assert deregistered_on(days, [0.4, 0.4, 0.6, 0.4, 0.4, 0.4, 0.4], DFS) is None
    assert deregistered_on(days, [0.6, 0.4, 0.4, 0.4, 0.4, 0.4, 1.2], DFS) == date(2026, 8, 6)
    assert deregistered_on(days, [0.5] * 7, DFS) is None  # 50 % is not below 50 %


def test_ten_failures_in_three_months_end_it_too():
    # One failure and one success in turn, every four days: the tenth failure is on day 72.
    days = [date(2026, 8, 1) + timedelta(days=4 * n) for n in range(40)]
    factors = [0.0 if n % 2 == 0 else 1.0 for n in range(40)]
    assert deregistered_on(days, factors, DFS) == date(2026, 8, 1) + timedelta(days=72)
    # Every twelve days there are never ten in three months.
    rare = [date(2026, 8, 1) + timedelta(days=6 * n) for n in range(40)]
    assert deregistered_on(rare, factors, DFS) is None


def test_before_2026_there_is_no_such_rule():
    with pytest.raises(RuleError, match="deregistration_k"):
        deregistered_on([date(2025, 1, 1)], [0.0], EDITIONS[2024])
