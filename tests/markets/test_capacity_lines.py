"""Worked by hand; 63 GBP/kW/yr is T-4 2026/27 [S], the rest from memory or ours (capacity_market.yaml)."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.capacity_lines import (
    DEFICIENCY,
    OVER_DELIVERY,
    PAYMENT,
    PENALTY,
    Charged,
    UnitDay,
    bound_periods,
    charged_before,
    day_lines,
    day_payment_gbp_e5,
    left_under_caps_gbp_e5,
    obligation_mw,
    performance_days,
)
from markets.statement_lines import balances_gbp_e5
from protocol.capacity_market import capped_penalties_gbp_e5, monthly_payment_gbp_e5
from protocol.messages import UNKNOWN, AssetRegistration, CapacityNotice, ServiceUnit, Technology
from protocol.periods import HOUR_MS, day_start_ms, local_clock_ms, period_count
from protocol.rulebook import load_rulebook
from protocol.units import gbp

DAY = date(2026, 12, 1)


def rules_with(on=DAY, **overrides):
    return load_rulebook("capacity_market", on=on, overrides=overrides)


CM = rules_with()
ISO = rules_with(obligation_kind="availability_tested")


def notice(start=17, end=19, share=1.0, stressed=True, issued=None, day=DAY, name="N1"):
    issued_ms = local_clock_ms(day, start) - 4 * HOUR_MS if issued is None else local_clock_ms(day, issued)
    return CapacityNotice(
        name, issued_ms, local_clock_ms(day, start), local_clock_ms(day, end), share, stressed
    )


def delivered(day=DAY, **mwh_by_hour):
    """Delivered Wh in both half-hours of the hours named (h17=0.5)."""
    wh = np.zeros(period_count(day), np.int64)
    for hour, mwh in mwh_by_hour.items():
        place = (local_clock_ms(day, int(hour[1:])) - day_start_ms(day)) // (HOUR_MS // 2)
        wh[place : place + 2] = round(mwh * 1e6)
    return wh


NOTHING = Charged()


def unit_day(wh, mw=2.0, charged=NOTHING, name="CAPACITY_MARKET-001"):
    return UnitDay(name, mw, wh, charged)


def of(lines, item):
    return [line for line in lines if line.item == item]


def pounds(lines):
    return [float(gbp(line.amount_gbp_e5)) for line in lines]


def test_a_day_is_paid_its_part_of_the_month():
    # 2 MW x 63,000 GBP / 12 = 10,500 GBP a month; December has 31 days: 338.71 GBP a day to the penny.
    (line,) = day_lines("II", DAY, [unit_day(delivered())], [], CM)
    assert (line.item, line.reference, line.payer) == (PAYMENT, "2026-12", "capacity_settlement_body")
    assert float(gbp(line.amount_gbp_e5)) == pytest.approx(338.70967, abs=1e-5)


@pytest.mark.parametrize("first", [date(2026, 12, 1), date(2027, 2, 1), date(2026, 10, 1)])
def test_the_days_of_a_month_add_up_to_the_month(first):
    days = [first + timedelta(days=k) for k in range(31) if (first + timedelta(days=k)).month == first.month]
    total = sum(day_payment_gbp_e5(1.234, day, CM) for day in days)
    assert total == monthly_payment_gbp_e5(1.234, CM)


def test_missing_energy_costs_a_twenty_fourth_of_the_price_an_hour():
    # 2 MW obliged, so 1 MWh in each of four half-hours; 0.75 MWh delivered from 17 to 18, 1 MWh after.
    # Missing 2 x 0.25 MWh at 63,000 / 24 = 2,625 GBP/MWh: 2 x 656.25 GBP.
    lines = day_lines("II", DAY, [unit_day(delivered(h17=0.75, h18=1.0))], [notice()], CM)
    penalties = of(lines, PENALTY)
    assert pounds(penalties) == [-656.25, -656.25]
    assert {(line.payer, line.payee) for line in penalties} == {("aggregator", "capacity_settlement_body")}
    assert [line.start_ms for line in penalties] == [
        local_clock_ms(DAY, 17),
        local_clock_ms(DAY, 17, 30),
    ]
    assert {line.reference for line in penalties} == {"N1"}


def test_the_obligation_follows_the_load():
    # Half the load: 0.5 MWh a half-hour is owed, and 0.5 MWh is there.
    lines = day_lines("II", DAY, [unit_day(delivered(h17=0.5, h18=0.5))], [notice(share=0.5)], CM)
    assert of(lines, PENALTY) == []


def test_without_stress_or_in_time_nothing_is_owed():
    idle = [unit_day(delivered())]
    assert of(day_lines("II", DAY, idle, [notice(stressed=False)], CM), PENALTY) == []
    assert of(day_lines("II", DAY, idle, [], CM), PENALTY) == []
    # Told at 14:00 it binds from 18:00: two half-hours of four, 1 MWh each.
    assert pounds(of(day_lines("II", DAY, idle, [notice(issued=14)], CM), PENALTY)) == [-2625, -2625]


def test_of_notices_that_overlap_the_greatest_share_is_owed():
    bound = bound_periods(DAY, [notice(17, 19, 0.5), notice(18, 20, 1.0, name="N2")], CM)
    assert bound.share[33:41].tolist() == [0, 0.5, 0.5, 1, 1, 1, 1, 0]
    assert bound.notice_id[34:40] == ("N1", "N1", "N2", "N2", "N2", "N2")
    assert bound.binds.sum() == 6


def test_who_used_more_than_the_baseline_delivered_nothing_not_less():
    lines = day_lines("II", DAY, [unit_day(delivered(h17=-0.5, h18=1.0))], [notice()], CM)
    assert pounds(of(lines, PENALTY)) == [-2625, -2625]


def test_over_delivery_is_paid_out_of_what_others_missed():
    # A misses 0.25 MWh twice: 1,312.50 GBP. B gives 1.5 MWh over in each of two half-hours of 17-18.
    lines = day_lines(
        "II",
        DAY,
        [
            unit_day(delivered(h17=0.75, h18=1.0), name="A"),
            unit_day(delivered(h17=2.5, h18=1.0), name="B"),
        ],
        [notice()],
        CM,
    )
    assert pounds(of(lines, OVER_DELIVERY)) == [656.25, 656.25]
    assert {line.unit for line in of(lines, OVER_DELIVERY)} == {"B"}
    unpaid = day_lines("II", DAY, [unit_day(delivered(h17=2, h18=2))], [notice()], CM)
    assert of(unpaid, OVER_DELIVERY) == []


def test_penalties_stop_at_the_cap_and_say_so():
    # The month's cap is 2 x 10,500 = 21,000 GBP; 20,000 are charged already, so 1,000 are left.
    charged = Charged(20_000 * 100_000, 20_000 * 100_000)
    penalties = of(day_lines("II", DAY, [unit_day(delivered(), charged=charged)], [notice()], CM), PENALTY)
    assert pounds(penalties) == [-1_000, 0, 0, 0]
    assert "monthly penalty cap" in penalties[0].clause


def test_what_was_charged_before_is_read_from_earlier_lines():
    first = day_lines("II", DAY, [unit_day(delivered())], [notice()], CM)
    one = charged_before(first, "CAPACITY_MARKET-001", date(2026, 12, 2))
    assert one == Charged(4 * 262_500_000, 4 * 262_500_000)
    assert charged_before(first, "CAPACITY_MARKET-001", date(2027, 1, 1)) == Charged(0, one.year_gbp_e5)
    assert charged_before(first, "CAPACITY_MARKET-001", date(2027, 10, 1)) == Charged()
    assert charged_before(first, "CAPACITY_MARKET-001", DAY) == Charged()
    assert charged_before(first, "CAPACITY_MARKET-002", date(2026, 12, 2)) == Charged()


@given(st.lists(st.integers(0, 5_000_000_000), min_size=1, max_size=12))
def test_caps_month_by_month_are_those_of_the_whole_year(months):
    month = monthly_payment_gbp_e5(2, CM)
    charged, year = [], 0
    for asked in months:
        charged.append(min(asked, left_under_caps_gbp_e5(2, Charged(0, year), CM)))
        year += charged[-1]
    assert tuple(charged) == capped_penalties_gbp_e5(months, month, CM)


@given(
    st.lists(st.integers(-1_000_000, 3_000_000), min_size=48, max_size=48),
    st.lists(st.integers(-1_000_000, 3_000_000), min_size=48, max_size=48),
)
def test_money_sums_to_nothing_and_no_more_comes_out_of_the_pot_than_went_in(one, other):
    units = [unit_day(np.array(one), name="A"), unit_day(np.array(other), 1.5, name="B")]
    lines = day_lines("II", DAY, units, [notice(8, 20, 0.9)], CM)
    assert sum(balances_gbp_e5(lines).values()) == 0
    assert sum(line.amount_gbp_e5 for line in lines if line.item in {PENALTY, OVER_DELIVERY}) <= 0


@pytest.mark.parametrize(("day", "periods"), [(date(2027, 3, 28), 46), (date(2026, 10, 25), 50)])
def test_a_stressed_evening_on_a_day_when_the_clocks_change_has_its_four_half_hours(day, periods):
    rules = rules_with(day)
    wh = delivered(day, h17=1.0, h18=1.0)
    assert len(wh) == periods
    held = day_lines("II", day, [unit_day(wh)], [notice(day=day)], rules)
    missed = day_lines("II", day, [unit_day(0 * wh)], [notice(day=day)], rules)
    assert of(held, PENALTY) == []
    assert [line.start_ms for line in of(missed, PENALTY)] == [
        local_clock_ms(day, hour, minute) for hour in (17, 18) for minute in (0, 30)
    ]


# ---------------------------------------------------------------------------------------------- ISO style


def test_a_failed_availability_test_costs_the_deficiency_of_each_interval():
    # 2 MW committed, 1.5 MW shown from 17 to 18: 0.5 MW x 0.5 h of 8,760 h x 63,000 x 1.2 = 2.15753 GBP.
    lines = day_lines("II", DAY, [unit_day(delivered(h17=0.75, h18=1.0))], [notice(share=0.5)], ISO)
    assert pounds(of(lines, DEFICIENCY)) == [-2.15753, -2.15753]
    assert len(of(lines, PAYMENT)) == 1
    assert of(lines, PENALTY) == []
    passed = day_lines("II", DAY, [unit_day(delivered(h17=1, h18=1))], [notice()], ISO)
    assert of(passed, DEFICIENCY) == []


# -------------------------------------------------------------------------------------------- obligation


def assets_of(*kinds):
    """Assets by (technology, rating [W], what they store [Wh])."""
    count = len(kinds)
    zeros = np.zeros(count, np.int8)
    return AssetRegistration(
        home=np.arange(count, dtype=np.int32),
        mpan=np.arange(count, dtype=np.int64),
        unit=zeros.astype(np.int16),
        gsp=zeros.astype(np.int16),
        route=zeros,
        service=zeros,
        rating_w=np.array([rating for _, rating, _ in kinds], np.int32),
        battery_wh=np.array([wh for _, _, wh in kinds], np.int32),
        target_pct=zeros,
        ready_by_minute=zeros.astype(np.int16),
        report_every_s=np.full(count, 60, np.int32),
        soc_known=zeros,
        hh_metered=np.ones(count, np.int8),
        technology=np.array([kind for kind, _, _ in kinds], np.int8),
        unit_names=("_A",),
        gsp_names=("_A_1",),
        route_names=("evcp_4g",),
    )


def entered(mw, count):
    return ServiceUnit(
        "capacity_market", "CAPACITY_MARKET-001", "national", np.arange(count, dtype=np.int32), mw
    )


def test_each_technology_is_de_rated_by_its_own_factor():
    # 6 kW of chargers at 0.84 and 4 kW of batteries at 0.2: (5.04 + 0.8) / 10 = 0.584; x 10 MW.
    assets = assets_of((Technology.EV, 6000, 60_000), (Technology.BATTERY, 4000, 8000))
    assert obligation_mw(entered(10, 2), assets, CM) == 5.84


def test_an_obligation_is_whole_kilowatts_rounded_down():
    assets = assets_of((Technology.EV, 7400, UNKNOWN))
    assert obligation_mw(entered(1.9999, 1), assets, CM) == 1.679  # 1.679916


def test_iso_style_storage_is_worth_what_it_holds_for_four_hours():
    # 5 kW with 10 kWh holds 2.5 kW; x 0.9 ELCC = 0.45 of the rating.
    assets = assets_of((Technology.BATTERY, 5000, 10_000))
    assert obligation_mw(entered(2, 1), assets, ISO) == 0.9
    assert obligation_mw(entered(2, 1), assets_of((Technology.EV, 5000, 10_000)), ISO) == 1.8


def test_days_of_performance_are_counted_in_winter_alone():
    shown = {date(2027, 1, day): 2.0 for day in (4, 5)} | {date(2027, 6, 1): 9.0, date(2027, 1, 6): 1.9}
    assert performance_days(shown, 2.0, CM) == ((date(2027, 1, 4), date(2027, 1, 5)), False)
    assert performance_days(shown | {date(2027, 2, 1): 2.1}, 2.0, CM)[1]
