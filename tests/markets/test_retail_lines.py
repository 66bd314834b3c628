"""Bills worked by hand."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.retail_lines import TariffDay, bill_line, cost, rounded_gbp_e5
from protocol.periods import day_start_ms
from protocol.units import gbp, gbp_e5

DAY = date(2026, 12, 1)


def test_import_costs_its_price_and_export_earns_nothing():
    # 1,500 Wh at 370 GBP/MWh = 0.555 GBP; 250 Wh of export: nothing.
    found = cost(np.array([1500, -250]), np.array([37_000_000, 37_000_000]))
    assert [float(gbp(int(amount))) for amount in rounded_gbp_e5(found)] == [0.555, 0.0]


def test_a_line_is_owed_by_customers_to_their_supplier():
    # 2 MWh for 466 GBP: 233 GBP/MWh on average.
    line = bill_line(TariffDay(DAY, "static", 2_000_000, 466 * 100_000 * 1_000_000))
    assert (line.payer, line.payee, line.service) == ("customers", "supplier", "static_tou")
    assert (line.volume_mwh, line.price_gbp_per_mwh, line.amount_gbp_e5) == (2.0, 233.0, 46_600_000)
    assert (line.unit, line.reference, line.start_ms) == ("static", "2026-12-01", day_start_ms(DAY))


def test_who_imported_nothing_owes_nothing():
    line = bill_line(TariffDay(DAY, "static", 0, 0))
    assert (line.amount_gbp_e5, line.price_gbp_per_mwh) == (0, 0.0)


@given(st.lists(st.integers(-5_000, 20_000), min_size=1, max_size=50), st.integers(0, 500))
def test_homes_add_up_to_the_tariff_but_for_the_rounding_of_each(wh, price_gbp_per_mwh):
    found = cost(np.array(wh), np.array(price_gbp_per_mwh * 100_000))
    whole = gbp_e5(price_gbp_per_mwh, sum(max(each, 0) for each in wh) / 1e6)
    assert int(rounded_gbp_e5(found).sum()) == pytest.approx(whole, abs=len(wh))
