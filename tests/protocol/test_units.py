from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import units

watts = st.integers(-(10**10), 10**10)


def test_a_unit_that_imports_has_a_negative_level():
    assert units.import_w_to_level_mw(12_500_000) == -12.5
    assert units.level_mw_to_import_w(-12.5) == 12_500_000


@settings(deadline=None)
@given(watts)
def test_the_sign_conversion_undoes_itself(import_w):
    assert units.level_mw_to_import_w(units.import_w_to_level_mw(import_w)) == import_w


def test_turning_demand_down_raises_the_level():
    assert units.turn_down_mw(-10, -7) == 3
    assert units.turn_down_mw(-7, -10) == -3


@pytest.mark.parametrize(
    ("level_mw", "sent", "residue"),
    [(-3.4, -3, -0.4), (-3.6, -4, 0.4), (-2.5, -2, -0.5), (-3.5, -4, 0.5), (0.2, 0, 0.2)],
)
def test_the_wire_carries_whole_megawatts_and_the_residue_is_told(level_mw, sent, residue):
    assert units.to_wire_mw(level_mw) == (sent, residue)


@settings(deadline=None)
@given(watts)
def test_sent_level_and_residue_make_the_whole(import_w):
    level = units.import_w_to_level_mw(import_w)
    sent, residue = units.to_wire_mw(level)
    assert units.exact(level) == sent + units.exact(residue)
    assert abs(residue) <= 0.5


def test_kilowatts_megawatts_and_watts_agree():
    assert units.kw_to_w(7.4) == 7_400
    assert units.mw_to_w(0.1) == 100_000
    assert (units.w_to_kw(7_400), units.w_to_mw(-2_500_000)) == (7.4, -2.5)
    assert units.kwh_to_wh(60.5) == 60_500
    assert units.wh_to_mwh(-1) == Decimal("-0.000001")


def test_a_kilowatt_for_an_hour_is_a_thousand_watt_hours():
    assert units.mj_to_wh(units.energy_mj(1_000, 3_600_000)) == (1_000, 0)


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15))
def test_what_a_watt_hour_register_cannot_show_is_carried(energy_mj):
    whole, left = units.mj_to_wh(energy_mj)
    assert units.wh_to_mj(whole) + left == energy_mj
    assert 0 <= left < units.MJ_PER_WH


def test_a_float_price_means_what_it_prints():
    assert units.exact(0.1) == Fraction(1, 10)
    assert units.gbp_e5(0.1, 3) == units.gbp_e5(Decimal("0.1"), 3) == 30_000


@pytest.mark.parametrize(
    ("volume_mwh", "amount"), [("0.000005", 0), ("0.000015", 2), ("0.0000051", 1), ("-0.000005", 0)]
)
def test_money_rounds_half_to_even_at_a_hundred_thousandth_of_a_pound(volume_mwh, amount):
    assert units.gbp_e5(1, Decimal(volume_mwh)) == amount


def test_three_thousand_pounds_for_two_and_a_half_megawatt_hours():
    assert units.gbp_e5(3000, 2.5) == 750_000_000
    assert units.gbp(750_000_000) == Decimal(7500)
    assert units.gbp_e5(100, 1, 0.9926552) == 9_926_552
