"""Worked by hand: pay-as-bid in GBP/MW/h (Dec 2024 requirements [P]); shares are ours."""

from datetime import date

import numpy as np
import pytest

from protocol.baseline_methods import METHODS
from protocol.constraint_payment import OptOutError, payments_gbp_e5, supplier_adjustment_mwh
from protocol.rulebook import load_rulebook


def rules_on(day=date(2025, 1, 15), **overrides):
    return load_rulebook("constraint_management", on=day, overrides=overrides)


def pounds(accepted_mw, delivered_mwh, **overrides):
    found = payments_gbp_e5(
        np.array([80.0]), np.array([accepted_mw]), np.array([delivered_mwh]), rules_on(**overrides)
    )
    return found.item() / 100_000


def test_a_half_hour_is_paid_in_proportion_up_to_what_was_accepted():
    # 2 MW at 80 GBP/MW/h: 80 GBP for a half hour of 1 MWh.
    assert pounds(2.0, 1.0) == 80
    assert pounds(2.0, 0.25) == 20
    assert pounds(2.0, 1.5) == 80
    assert pounds(2.0, -1.0) == 0
    assert pounds(0.0, 1.0) == 0


def test_a_floor_and_another_cap_are_settings():
    assert pounds(2.0, 0.25, delivery_floor_pct=50) == 0
    assert pounds(2.0, 0.5, delivery_floor_pct=50) == 40
    assert pounds(2.0, 1.5, delivery_cap_pct=120) == 96


def test_delivered_volume_leaves_the_suppliers_imbalance_unless_the_provider_opted_out():
    delivered = np.array([1.0, 0.5])
    assert supplier_adjustment_mwh(delivered, turn_up=True, opted_out=False, rules=rules_on()).tolist() == [
        -1,
        -0.5,
    ]
    assert supplier_adjustment_mwh(delivered, turn_up=False, opted_out=False, rules=rules_on()).tolist() == [
        1,
        0.5,
    ]
    assert supplier_adjustment_mwh(delivered, turn_up=True, opted_out=True, rules=rules_on()).tolist() == [
        0,
        0,
    ]


def test_there_was_no_opt_out_before_october_2024():
    with pytest.raises(OptOutError, match="no opt-out from ABSVD on 2024-10-09"):
        supplier_adjustment_mwh(np.ones(1), turn_up=True, opted_out=True, rules=rules_on(date(2024, 10, 9)))


def test_its_baseline_is_one_of_the_methods():
    assert rules_on().value("baseline") in METHODS
