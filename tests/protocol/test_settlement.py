from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.accepted_volume import BEYOND_PAIRS, AcceptanceVolume
from protocol.messages import BidOfferPair
from protocol.rulebook import load_rulebook
from protocol.settlement import (
    SettlementError,
    bm_cashflow,
    dfs_delivered_wh,
    dfs_payment,
    expected_volume,
    guaranteed_acceptance,
    imbalance,
    non_delivery,
    payment_factor,
)
from protocol.units import gbp

PAIRS = (
    BidOfferPair(1, 5, 100, 90),
    BidOfferPair(2, 5, 150, 140),
    BidOfferPair(-1, 5, 60, 40),
    BidOfferPair(-2, 5, 50, 30),
)
DFS_2022 = load_rulebook("dfs", on=date(2023, 1, 19))
DFS_2023 = load_rulebook("dfs", on=date(2024, 1, 15))
DFS_2024 = load_rulebook("dfs", on=date(2025, 1, 15))


def offer(pair, mwh, acceptance=1):
    return AcceptanceVolume(acceptance, pair, mwh, 0.0)


def bid(pair, mwh, acceptance=1):
    return AcceptanceVolume(acceptance, pair, 0.0, mwh)


# -------------------------------------------------------------------------------------------------- BM


def test_an_offer_is_paid_to_the_party_and_a_positive_bid_is_paid_by_it():
    # 2 MWh x 100 = 200 to the party; -1.5 MWh x 40 = 60 from it.
    cashflow = bm_cashflow([offer(1, 2.0), bid(-1, -1.5)], PAIRS)
    assert [(line.item, line.pair, gbp(line.amount_gbp_e5)) for line in cashflow.lines] == [
        ("CB", -1, Decimal(-60)),
        ("CO", 1, Decimal(200)),
    ]
    assert gbp(cashflow.total_gbp_e5) == 140


def test_undoing_a_bid_is_paid_at_the_offer_price_of_its_pair():
    cashflow = bm_cashflow([bid(-1, -2.0), offer(-1, 1.0, acceptance=2)], PAIRS)
    assert gbp(cashflow.total_gbp_e5) == 60 - 80


def test_cashflow_is_scaled_by_the_loss_multiplier():
    assert gbp(bm_cashflow([offer(1, 1.0)], PAIRS, tlm=0.9926552).total_gbp_e5) == Decimal("99.26552")


def test_volumes_of_several_acceptances_make_one_line_a_pair():
    cashflow = bm_cashflow([offer(1, 0.1), offer(1, 0.2, acceptance=2)], PAIRS)
    assert [(line.volume_mwh, gbp(line.amount_gbp_e5)) for line in cashflow.lines] == [(0.3, Decimal(30))]


def test_volume_beyond_the_pairs_earns_nothing_and_shows():
    (line,) = bm_cashflow([offer(BEYOND_PAIRS, 1.5)], PAIRS).lines
    assert (line.item, line.volume_mwh, line.amount_gbp_e5) == ("unpriced", 1.5, 0)


def test_volume_on_a_pair_that_nobody_submitted_is_refused():
    with pytest.raises(SettlementError, match=r"accepted on pair 3, but \[-2, -1, 1, 2\]"):
        bm_cashflow([offer(3, 1.0)], PAIRS)
    with pytest.raises(SettlementError, match="accepted on pair 3"):
        non_delivery(-1.0, -2.0, [offer(3, 1.0)], PAIRS, 80)


def test_every_line_names_its_clause():
    lines = bm_cashflow([offer(1, 1.0), bid(1, -1.0, acceptance=2)], PAIRS).lines
    assert [line.clause[:15] for line in lines] == ["BSC Section T3:"] * 2


def test_the_meter_is_expected_at_fpn_plus_what_was_accepted():
    expected = expected_volume(-5.0, [offer(1, 2.0), bid(-1, -0.5)])
    assert (expected.base_mwh, expected.accepted_mwh, expected.expected_mwh) == (-5.0, 1.5, -3.5)
    assert "Period FPN" in expected.clause


def test_for_a_baselined_unit_the_settlement_expected_volume_takes_the_place_of_the_fpn():
    expected = expected_volume(-5.0, [offer(1, 2.0)], settlement_expected_mwh=-4.25)
    assert (expected.base_mwh, expected.expected_mwh) == (-4.25, -2.25)
    assert "P376" in expected.clause


def test_missing_offers_are_taken_from_the_dearest_first():
    # Accepted 1 MWh at 100 and 2 MWh at 150; 2.5 MWh short: 2 x (150 - 80) + 0.5 x (100 - 80) = 150.
    missing = non_delivery(-2.0, -4.5, [offer(1, 1.0), offer(2, 2.0)], PAIRS, system_price_gbp_per_mwh=80)
    assert (missing.offer_mwh, missing.bid_mwh) == (2.5, 0.0)
    assert [(line.pair, line.volume_mwh) for line in missing.lines] == [(2, 2.0), (1, 0.5)]
    assert gbp(missing.charge_gbp_e5) == 150


def test_missing_bids_are_taken_from_the_lowest_price_first():
    # Accepted -2 at 40 and -1 at 30; 1.5 MWh too much: 1 x (60 - 30) + 0.5 x (60 - 40) = 40.
    missing = non_delivery(-8.0, -6.5, [bid(-1, -2.0), bid(-2, -1.0)], PAIRS, system_price_gbp_per_mwh=60)
    assert (missing.offer_mwh, missing.bid_mwh) == (0.0, -1.5)
    assert [(line.pair, line.volume_mwh) for line in missing.lines] == [(-2, -1.0), (-1, -0.5)]
    assert gbp(missing.charge_gbp_e5) == 40


def test_no_more_is_missing_than_was_accepted():
    assert non_delivery(-2.0, -50.0, [offer(1, 1.0)], PAIRS, 80).offer_mwh == 1.0
    assert non_delivery(-2.0, 50.0, [bid(-1, -1.0)], PAIRS, 80).bid_mwh == -1.0


def test_a_missing_offer_cheaper_than_the_system_price_costs_nothing():
    missing = non_delivery(-2.0, -3.0, [offer(1, 1.0)], PAIRS, system_price_gbp_per_mwh=120)
    assert (missing.offer_mwh, missing.charge_gbp_e5) == (1.0, 0)


def test_a_unit_that_delivers_exactly_misses_nothing():
    missing = non_delivery(-3.0, -3.0, [offer(1, 2.0), bid(-1, -1.0)], PAIRS, 80)
    assert (missing.offer_mwh, missing.bid_mwh, missing.lines) == (0.0, 0.0, ())


def test_a_long_account_is_paid_the_system_price_and_a_short_one_pays_it():
    # Credited -3, balancing services +2, contracts -6: -3 - 2 + 6 = +1 MWh long.
    long = imbalance(-3.0, 2.0, -6.0, 75)
    assert (long.volume_mwh, gbp(long.charge_gbp_e5)) == (1.0, Decimal(-75))
    short = imbalance(-6.0, 2.0, -6.0, 75)
    assert (short.volume_mwh, gbp(short.charge_gbp_e5)) == (-2.0, Decimal(150))


def test_a_negative_system_price_turns_the_payment_round():
    assert gbp(imbalance(1.0, 0.0, 0.0, -20).charge_gbp_e5) == 20


# ------------------------------------------------------------------------------------------------- DFS


@pytest.mark.parametrize(
    ("procured_mw", "cost_gbp"), [(208.42, 312629), (206.66, 309983), (55.89, 83835), (56.89, 85335)]
)
def test_full_delivery_costs_what_eso_published_for_its_tests_of_january_2023(procured_mw, cost_gbp):
    # current-news.co.uk quoting ESO: MW procured and accepted cost per half hour, 17 and 19 January 2023.
    payment = dfs_payment(DFS_2022, procured_mw, 3000, procured_mw / 2)
    assert gbp(payment.amount_gbp_e5) == pytest.approx(
        cost_gbp, abs=15 / 2
    )  # MW are published to 0.01: 15 GBP


def test_in_2022_delivered_energy_is_paid_at_the_bid_price_without_a_cap():
    payment = dfs_payment(DFS_2022, accepted_mw=10, price_gbp_per_mwh=3000, delivered_mwh=6)
    assert (payment.delivered_pct, payment.factor, gbp(payment.amount_gbp_e5)) == (120.0, 1.2, Decimal(18000))
    assert payment.clause == "DFS 2022/23 delivered_x_price: delivered MWh x accepted price"


def test_in_2022_a_unit_that_used_more_is_paid_nothing():
    assert dfs_payment(DFS_2022, 10, 3000, -2).amount_gbp_e5 == 0


def test_a_delivery_cap_can_be_put_on_by_override():
    capped = load_rulebook("dfs", on=date(2023, 1, 19), overrides={"delivery_cap_pct": 100})
    assert gbp(dfs_payment(capped, 10, 3000, 6).amount_gbp_e5) == 15000


@pytest.mark.parametrize(
    ("delivered_mwh", "amount_gbp"),
    [
        (7, 1200),
        (6, 1200),
        (4, 800),
        (2.5, 500),
        (1.875, 250),
        (1.25, 0),
        (0.5, 0),
        (0, 0),
        (-2.5, -500),
        (-9, -1000),
    ],
)
def test_in_2024_payment_follows_the_performance_curve(delivered_mwh, amount_gbp):
    # 10 MW at 200 GBP/MWh for half an hour: 1,000 GBP at 100 %. At 37.5 % K = (2 x 37.5 - 50) / 100 = 0.25.
    assert gbp(dfs_payment(DFS_2024, 10, 200, delivered_mwh).amount_gbp_e5) == amount_gbp


@settings(deadline=None)
@given(st.integers(-200, 200))
def test_the_curve_of_the_rulebook_is_the_published_formula(ratio):
    if ratio >= 120:
        factor = 1.2
    elif ratio >= 50:
        factor = ratio / 100
    elif ratio >= 25:
        factor = (2 * ratio - 50) / 100
    elif ratio >= 0:
        factor = 0
    else:
        factor = max(ratio / 100, -1)
    assert float(payment_factor(ratio, DFS_2024.value("performance_curve"))) == pytest.approx(factor)


def test_an_accepted_level_of_nothing_is_refused():
    with pytest.raises(SettlementError, match="above 0 MW, not 0"):
        dfs_payment(DFS_2022, 0, 3000, 1)


def test_the_guarantee_covers_tests_up_to_the_price_and_never_live_events():
    assert guaranteed_acceptance(DFS_2022, 3000, test=True, test_number=12)
    assert not guaranteed_acceptance(DFS_2022, 3000.01, test=True)
    assert not guaranteed_acceptance(DFS_2022, 100, test=False)


def test_in_2023_only_the_first_six_tests_carry_the_guarantee():
    assert guaranteed_acceptance(DFS_2023, 3000, test=True, test_number=6)
    assert not guaranteed_acceptance(DFS_2023, 3000, test=True, test_number=7)


def test_in_2024_nothing_is_guaranteed_and_in_2026_each_direction_has_its_price():
    assert not guaranteed_acceptance(DFS_2024, 1, test=True)
    rules = load_rulebook("dfs", on=date(2026, 8, 1))
    assert guaranteed_acceptance(rules, 500, test=True)
    assert not guaranteed_acceptance(rules, 181, test=True, turn_up=True)


def test_an_opt_out_unit_settles_net_and_an_opt_in_unit_only_its_reductions():
    baseline = np.array([[500.0, 500.0], [400.0, 400.0], [np.nan, 300.0]])
    metered = np.array([[200, 600], [700, 100], [50, 300]])
    assert dfs_delivered_wh(baseline, metered, DFS_2023.value("opt_out_netting")).tolist() == [0.0, 200.0]
    assert dfs_delivered_wh(baseline, metered, DFS_2023.value("opt_in_netting")).tolist() == [300.0, 300.0]


def test_turning_up_is_delivered_by_using_more():
    assert dfs_delivered_wh(np.array([[100.0]]), np.array([[400]]), "net", turn_up=True).tolist() == [300.0]


def test_an_unknown_way_of_netting_is_refused():
    with pytest.raises(SettlementError, match="must be net or positive_only, not 'gross'"):
        dfs_delivered_wh(np.zeros((1, 1)), np.zeros((1, 1)), "gross")
