"""P415 and P444 by hand: signs after the SVA Data Catalogue v52.0, Supplier Sourcing Cost as seen in
S0142.
"""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.deviation_volume import (
    Compensation,
    DeviationError,
    Indicator,
    Metering,
    adjusted_periods,
    by_supplier,
    compensation,
    delivered_volume,
    deviation_wh,
    expected_wh,
    metered_wh,
    notified_in_time,
    settlement_expected_mwh,
    share_out,
    submitted_in_force_wh,
    supplier_corrected_wh,
)
from protocol.periods import HOUR_MS, PERIOD_MS
from protocol.rulebook import load_rulebook
from protocol.settlement import imbalance
from protocol.units import gbp

B, S, INACTIVE = Indicator.BASELINED, Indicator.SUBMITTED, Indicator.INACTIVE
NAN = np.nan


def column(*values):
    return np.array(values, dtype=float)[:, np.newaxis]


def test_asset_metering_asset_differencing_and_the_boundary():
    # P375: indicator A is the asset alone; D is boundary - asset. P483: the boundary of an A pair may be
    # unknown.
    metering = np.array([Metering.BOUNDARY, Metering.ASSET, Metering.DIFFERENCE])
    found = metered_wh(column(1000, NAN, 1000), column(700, 700, 700), metering)
    assert found.ravel().tolist() == [1000, 700, 300]


def test_each_pair_is_expected_by_its_indicator():
    found = expected_wh(
        np.array([B, B, S, INACTIVE]),
        column(900, 900, 900, 900),
        np.array([True, False, True, True]),
        column(NAN, NAN, 500, NAN),
        np.array([True]),
        column(100, 100, 100, 100),
    )
    assert found.ravel().tolist() == pytest.approx([900, NAN, 500, NAN], nan_ok=True)
    # SEV at unit level is export-positive: -(900 + 500) Wh. The pair whose baseline failed adds nothing to
    # it.
    assert settlement_expected_mwh(found).tolist() == [-0.0014]


def test_without_activity_what_is_expected_is_what_was_metered():
    found = expected_wh(
        np.array([B, INACTIVE]),
        column(900, 900),
        np.array([True, True]),
        column(NAN, NAN),
        np.array([False]),
        column(650, 650),
    )
    assert found.ravel().tolist() == pytest.approx([650, NAN], nan_ok=True)
    assert deviation_wh(found, column(650, 650)).ravel().tolist() == [0, 0]


def test_a_unit_without_any_expected_volume_has_none_and_its_deviation_is_lost():
    nothing = column(NAN, NAN)
    assert np.isnan(settlement_expected_mwh(nothing)).all()
    assert deviation_wh(nothing, column(5, 5)).ravel().tolist() == [0, 0]


def test_using_less_than_expected_is_a_positive_deviation():
    assert deviation_wh(column(900, 200), column(100, 700)).ravel().tolist() == [800, -500]


def test_a_claim_beyond_the_measured_deviation_is_cut_and_told():
    # 900 expected, 100 metered: 800 measured. Claimed 1,000: 200 too much. Claimed the wrong way: nothing
    # is allowed.
    found = delivered_volume(
        column(1000, 500, -300), column(900, 900, 900), column(100, 100, 100), "measured_deviation"
    )
    assert found.allowed_wh.ravel().tolist() == [800, 500, 0]
    assert found.excess_wh.ravel().tolist() == [200, 0, -300]


def test_the_bare_metered_volume_as_cap_allows_nothing_for_a_charger_switched_off():
    found = delivered_volume(column(3500, 3500), column(3500, 3500), column(0, 2000), "metered_volume")
    assert found.allowed_wh.ravel().tolist() == [0, 2000]


def test_without_a_reading_no_claim_is_allowed_unless_nothing_is_capped():
    for cap in ("measured_deviation", "metered_volume"):
        assert delivered_volume(column(10), column(10), column(NAN), cap).allowed_wh.item() == 0
    assert delivered_volume(column(10), column(10), column(NAN), "none").allowed_wh.item() == 10
    with pytest.raises(DeviationError, match="not 'some'"):
        delivered_volume(column(1), column(1), column(1), "some")


def test_the_value_for_the_period_wins_when_it_came_before_gate_closure():
    start = 10 * HOUR_MS + np.arange(3) * PERIOD_MS
    gate = start - HOUR_MS
    found = submitted_in_force_wh(
        default_wh=np.array([5.0, 5.0, 5.0]),
        default_sent_ms=np.array([0, 0, 2]),
        default_due_ms=1,
        period_wh=np.array([7.0, 7.0, 7.0]),
        period_sent_ms=np.array([gate[0] - 1, gate[1], gate[2]]),
        period_start_ms=start,
    )
    assert found.tolist() == pytest.approx([7, 5, NAN], nan_ok=True)


def test_wholesale_activity_is_notified_before_gate_closure_or_not_at_all():
    start = np.array([2 * HOUR_MS, 2 * HOUR_MS])
    assert notified_in_time(np.array([HOUR_MS - 1, HOUR_MS]), start).tolist() == [True, False]


def test_the_in_day_adjustment_follows_the_policy_of_its_edition():
    accepted, traded = np.array([True, False, False]), np.array([True, True, False])
    assert adjusted_periods("none", accepted, traded).tolist() == [False, False, False]
    assert adjusted_periods("boa_only", accepted, traded).tolist() == [True, False, False]
    assert adjusted_periods("always", accepted, traded).tolist() == [True, True, False]
    assert load_rulebook("bsc", on=date(2024, 6, 1)).value("ida_policy") == "always"
    assert load_rulebook("bsc", on=date(2025, 6, 1)).value("ida_policy") == "boa_only"
    with pytest.raises(DeviationError, match="not 'sometimes'"):
        adjusted_periods("sometimes", accepted, traded)


def test_a_supplier_that_there_is_not_is_refused():
    for supplier in (-1, 2):
        with pytest.raises(DeviationError, match="Suppliers are numbered 0 to 1"):
            by_supplier(np.ones((2, 3)), np.array([0, supplier]), 2)


def test_sums_by_supplier_are_those_of_its_pairs_in_turn():
    pairs = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])
    assert by_supplier(pairs, np.array([2, 0, 2]), 3).tolist() == [[10.0, 20.0], [0.0, 0.0], [101.0, 202.0]]


def test_the_supplier_pays_no_imbalance_for_what_the_trading_party_moved():
    # The Supplier bought 3 MWh for customers expected to use 3. The party turned them down to 1 and sold 2.
    deviation = by_supplier(np.array([[1_500_000.0], [500_000.0]]), np.array([0, 0]), 1)
    corrected = supplier_corrected_wh(np.array([[1_000_000.0]]), deviation)
    supplier = imbalance(-corrected.item() / 1e6, 0, -3.0, 300)
    assert (supplier.volume_mwh, supplier.charge_gbp_e5) == (0.0, 0)
    # The party's account: deviation 2, sold 2: balanced. Having sold 2.5 it is 0.5 short at 300.
    assert imbalance(2.0, 0, 2.0, 300).charge_gbp_e5 == 0
    assert gbp(imbalance(2.0, 0, 2.5, 300).charge_gbp_e5) == 150


def test_the_trading_party_pays_the_hosts_at_the_sourcing_cost():
    # S0142, February 2026: 87.21 GBP/MWh. 2 MWh: 174.42, of which 1.5 MWh 130.815 and 0.5 MWh 43.605.
    rules = load_rulebook("bsc", on=date(2026, 2, 10))
    cost = rules.value("supplier_sourcing_cost_gbp_per_mwh")
    found = compensation(rules.value("wholesale_compensation"), 2, [1.5, 0.5, 0], [10, 30, 60], cost)
    assert gbp(found.party_gbp_e5) == gbp(-17_442_000)
    assert found.hosts_gbp_e5 == (13_081_500, 4_360_500, 0)
    assert found.shared_gbp_e5 == (0, 0, 0)


def test_mutualised_every_supplier_pays_by_final_demand():
    # The pot of 2 MWh x 100 = 200 GBP is borne 10 : 30 : 60.
    found = compensation("mutualised", 2, [1.5, 0.5, 0], [10, 30, 60], 100)
    assert found == Compensation(0, (15_000_000, 5_000_000, 0), (-2_000_000, -6_000_000, -12_000_000))


def test_turning_up_turns_the_compensation_round():
    found = compensation("direct", -1, [-1.0], [1], 100)
    assert (found.party_gbp_e5, found.hosts_gbp_e5) == (10_000_000, (-10_000_000,))


def test_what_is_charged_and_what_is_paid_may_differ_and_all_suppliers_bear_the_rest():
    # Charged on 2 MWh, paid on 2.1 (losses): 10 GBP are shared 1 : 3.
    found = compensation("direct", 2, [2.1, 0], [1, 3], 100)
    assert found == Compensation(-20_000_000, (21_000_000, 0), (-250_000, -750_000))


def test_before_p444_nobody_compensates_for_the_balancing_mechanism():
    before = load_rulebook("bsc", on=date(2025, 1, 1)).value("bm_compensation")
    after = load_rulebook("bsc", on=date(2026, 1, 1)).value("bm_compensation")
    assert compensation(before, 2, [2.0], [1], 100) == Compensation(0, (0,), (0,))
    assert compensation(after, 2, [2.0], [1], 100) == Compensation(-20_000_000, (20_000_000,), (0,))


def test_rules_and_lists_that_do_not_fit_are_refused():
    with pytest.raises(DeviationError, match="not 'shared'"):
        compensation("shared", 1, [1.0], [1], 100)
    with pytest.raises(DeviationError, match="2 Suppliers, but 1 Final Demands"):
        compensation("direct", 1, [1.0, 2.0], [1], 100)
    with pytest.raises(DeviationError, match="not all nothing"):
        share_out(5, [0, 0])
    assert share_out(0, [0, 0]) == (0, 0)


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=9).filter(any))
def test_shares_add_up_and_none_is_off_by_a_unit(amount, weights):
    shares = share_out(amount, weights)
    assert sum(shares) == amount
    assert all(
        abs(share - amount * w / sum(weights)) < 1.001 for share, w in zip(shares, weights, strict=True)
    )


volumes = st.lists(st.integers(-5000, 5000), min_size=1, max_size=6)


@given(
    st.sampled_from(["none", "direct", "mutualised"]), st.integers(-5000, 5000), volumes, st.integers(1, 300)
)
def test_compensation_sums_to_nothing(rule, party, hosts, cost):
    found = compensation(rule, party / 1000, [h / 1000 for h in hosts], range(1, len(hosts) + 1), cost)
    assert found.party_gbp_e5 + sum(found.hosts_gbp_e5) + sum(found.shared_gbp_e5) == 0


@given(
    st.lists(st.tuples(*(st.integers(-5000, 5000),) * 3), min_size=1, max_size=8),
    st.sampled_from(["measured_deviation", "metered_volume"]),
)
def test_no_more_is_delivered_than_the_meters_bear_out(pairs, cap):
    claimed, expected, measured = (column(*values) for values in zip(*pairs, strict=True))
    found = delivered_volume(claimed, expected, measured, cap)
    bound = np.abs(expected - measured) if cap == "measured_deviation" else np.abs(measured)
    assert (np.abs(found.allowed_wh) <= bound).all()
    assert (found.allowed_wh * claimed >= 0).all()
    assert (found.allowed_wh + found.excess_wh == claimed).all()
