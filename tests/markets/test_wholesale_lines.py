"""A Virtual Trading Party's position in pounds, worked by hand, and the laws of every position.

Formulas: BSC T4.3C and T4.11 as read from the S0142 reports (compensation = Deviation Volume x Supplier
Sourcing Cost, shared residue by Final Demand), Section T4 (imbalance = credited less contracted energy at the
single price). The Supplier Sourcing Cost of August 2026, 98.53 GBP/MWh, is published (N0659).
"""

from dataclasses import replace
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from markets.statement_lines import balances_gbp_e5
from markets.wholesale_lines import (
    SupplierMoved,
    SupplierPosition,
    WholesalePrices,
    settle_position,
    sourcing_cost_gbp_per_mwh,
)
from protocol.messages import WholesaleTrade
from protocol.periods import HOUR_MS, PERIOD_MS, day_start_ms
from protocol.rulebook import load_rulebook

DAY = date(2026, 8, 19)
START = day_start_ms(DAY) + 34 * PERIOD_MS
RULES = load_rulebook("bsc", on=DAY)
MUTUALISED = load_rulebook("bsc", on=DAY, overrides={"wholesale_compensation": "mutualised"})
PRICES = WholesalePrices(100.0, sourcing_cost_gbp_per_mwh(RULES, None))
MOVED = (SupplierMoved("A", 10_000_000, 500_000, 3), SupplierMoved("B", 4_000_000, 300_000, 1))
UNIT = "WHOLESALE-_A"


def trade(mwh, price, length=PERIOD_MS, start=START, name="O1"):
    return WholesaleTrade(name, UNIT, "intraday", start, start + length, mwh, price, "")


def settled(*trades, moved=MOVED, notified=True, prices=PRICES, rules=RULES, start=START):
    return settle_position("II", UNIT, start, trades, moved, notified, prices, rules)


def amounts(lines):
    return [(one.item, one.amount_gbp_e5, one.payer, one.payee) for one in lines]


def test_a_sale_that_is_delivered_in_part():
    found = settled(trade(1.0, 150.0))
    # 1 MWh x 150; 0.8 - 1.0 = -0.2 MWh x 100; 0.8 MWh x 98.53.
    assert amounts(found.lines) == [
        ("intraday sale", 150_00000, "exchange", "aggregator"),
        ("imbalance", -20_00000, "aggregator", "bsc"),
        ("Supplier compensation", -78_82400, "aggregator", "bsc"),
    ]
    assert found.net_gbp_e5 == 51_17600
    # 0.5 and 0.3 MWh x 98.53: the hosts get what the party pays, so nothing is left to be shared.
    assert amounts(found.between_others) == [
        ("compensation of the host", 49_26500, "bsc", "supplier:A"),
        ("compensation of the host", 29_55900, "bsc", "supplier:B"),
    ]
    assert (found.sold_wh, found.deviation_wh) == (1_000_000, 800_000)


def test_the_suppliers_are_settled_as_if_nothing_had_been_moved():
    assert settled(trade(1.0, 150.0)).suppliers == (
        SupplierPosition("A", 10_500_000, 500_000, 0), SupplierPosition("B", 4_300_000, 300_000, 0),
    )  # fmt: skip


def test_more_than_was_sold_is_cashed_out_at_the_system_price():
    found = settled(trade(0.5, 150.0))
    assert amounts(found.lines)[1] == ("imbalance", 30_00000, "bsc", "aggregator")
    assert found.lines[1].volume_mwh == 0.3


def test_a_purchase_that_is_drawn_turns_the_compensation_round():
    moved = (SupplierMoved("A", 2_000_000, -500_000, 1),)
    found = settled(trade(-0.5, 40.0), moved=moved)
    assert amounts(found.lines) == [
        ("intraday purchase", -20_00000, "aggregator", "exchange"),
        ("Supplier compensation", 49_26500, "bsc", "aggregator"),
    ]
    assert amounts(found.between_others) == [("compensation of the host", 49_26500, "supplier:A", "bsc")]
    assert found.suppliers == (SupplierPosition("A", 1_500_000, -500_000, 0),)


def test_mutualised_compensation_is_paid_by_all_suppliers_by_final_demand():
    found = settled(trade(0.8, 150.0), rules=MUTUALISED)
    assert amounts(found.lines) == [("intraday sale", 120_00000, "exchange", "aggregator")]
    # 78.824 by 3 : 1.
    assert amounts(found.between_others) == [
        ("compensation of the host", 49_26500, "bsc", "supplier:A"),
        ("compensation shared", 59_11800, "supplier:A", "bsc"),
        ("compensation of the host", 29_55900, "bsc", "supplier:B"),
        ("compensation shared", 19_70600, "supplier:B", "bsc"),
    ]


def test_without_a_notification_all_that_was_sold_is_imbalance_and_the_supplier_keeps_what_was_moved():
    found = settled(trade(1.0, 150.0), notified=False)
    assert amounts(found.lines)[1:] == [("imbalance", -100_00000, "aggregator", "bsc")]
    assert found.between_others == ()
    assert found.suppliers[0] == SupplierPosition("A", 10_000_000, 0, -500_000)


def test_rebound_in_a_period_without_a_trade_is_told_and_stays_with_the_supplier():
    found = settled(moved=(SupplierMoved("A", 9_000_000, -250_000, 1),), notified=False)
    assert found.lines == found.between_others == ()
    assert found.suppliers == (SupplierPosition("A", 9_000_000, 0, 250_000),)


def test_an_hour_counts_half_in_each_of_its_periods_and_in_no_other():
    hour = trade(1.0, 150.0, HOUR_MS)
    for start in (START, START + PERIOD_MS):
        found = settled(hour, moved=(), start=start)
        assert (amounts(found.lines)[0][1], found.sold_wh) == (75_00000, 500_000)
    assert settled(hour, moved=(), start=START + HOUR_MS).lines == ()
    assert settled(replace(hour, unit="WHOLESALE-_B"), moved=()).lines == ()


def test_without_a_system_price_there_is_no_imbalance_yet():
    found = settled(trade(1.0, 150.0), prices=replace(PRICES, system_gbp_per_mwh=None))
    assert [one.item for one in found.lines] == ["intraday sale", "Supplier compensation"]


def test_the_sourcing_cost_is_what_is_told_else_that_of_the_quarter_else_the_usual():
    assert sourcing_cost_gbp_per_mwh(RULES, 50.0) == 50.0
    assert sourcing_cost_gbp_per_mwh(RULES, None) == 98.53
    assert sourcing_cost_gbp_per_mwh(load_rulebook("bsc", on=date(2025, 1, 1)), None) == 92.87


VOLUME = st.integers(-(10**7), 10**7)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(VOLUME, st.floats(-500, 3000)), max_size=4),
    st.lists(st.tuples(VOLUME, st.integers(1, 10**9)), min_size=1, max_size=5),
    st.floats(-500, 6000),
    st.booleans(),
    st.sampled_from([RULES, MUTUALISED]),
)
def test_the_laws_of_every_position(deals, moved_wh, system, notified, rules):
    trades = [trade(wh / 1e6, price, name=f"O{k}") for k, (wh, price) in enumerate(deals)]
    moved = [SupplierMoved(f"S{k}", 0, wh, demand) for k, (wh, demand) in enumerate(moved_wh)]
    found = settled(
        *trades, moved=moved, notified=notified, rules=rules,
        prices=replace(PRICES, system_gbp_per_mwh=system),
    )  # fmt: skip
    balances = balances_gbp_e5([*found.lines, *found.between_others])
    assert sum(balances.values()) == 0
    assert balances.get("aggregator", 0) == found.net_gbp_e5
    by_item = {"imbalance": 0, "Supplier compensation": 0}
    for one in found.lines:
        by_item[one.item] = by_item.get(one.item, 0) + one.amount_gbp_e5
    # What clearing takes for compensation it pays out: only imbalance stays with it.
    assert balances.get("bsc", 0) == -by_item["imbalance"]
    income = sum(
        one.amount_gbp_e5 for one in found.lines if one.payer == "exchange" or one.payee == "exchange"
    )
    assert found.net_gbp_e5 == income + by_item["imbalance"] + by_item["Supplier compensation"]
    assert sum(one.deviation_wh for one in found.suppliers) == found.deviation_wh
    for before, after in zip(moved, found.suppliers, strict=True):
        assert after.settled_wh - before.metered_wh - after.rebound_wh == before.moved_wh
