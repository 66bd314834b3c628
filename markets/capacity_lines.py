"""What a capacity obligation earns and costs, day by day: obligation, payment, penalties, over-delivery.

This owns who owes what when under `protocol/rulebooks/capacity_market.yaml`, as pure functions that the
market (at entry) and settlement (every day) both ask; formulas are those of `protocol.capacity_market`. Two
kinds of obligation (rule `obligation_kind`): the GB one follows the load, the ISO-style one is tested for
available capacity. Amounts are positive when paid to the aggregator. Rules: docs/rules.md R160-R164, and
R186-R188.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from markets.statement_lines import Heading, line
from protocol.capacity_market import (
    KW_PER_MW,
    MONTHS,
    PERIOD_HOURS,
    StressDelivery,
    availability_test,
    deficiency_gbp_e5,
    monthly_payment_gbp_e5,
    notice_binds,
    over_delivery_gbp_e5,
    penalty_rate_gbp_per_mwh,
    performed_satisfactorily,
    stress_delivery,
    sustained_w,
)
from protocol.messages import (
    I64,
    UNKNOWN,
    AssetRegistration,
    CapacityNotice,
    ServiceUnit,
    StatementLine,
    Technology,
)
from protocol.periods import day_periods_ms, day_start_ms, local_date
from protocol.products import Product
from protocol.rulebook import Rulebook
from protocol.units import WH_PER_MWH, gbp, gbp_e5

CAPACITY = Product.CAPACITY_MARKET.value
"""The service as statements name it."""
CAPACITY_SETTLEMENT_BODY = "capacity_settlement_body"
PAYMENT, PENALTY, OVER_DELIVERY, DEFICIENCY = (
    "capacity payment",
    "capacity penalty",
    "over-delivery payment",
    "deficiency charge",
)
FOLLOWS_LOAD, AVAILABILITY_TESTED = "follows_load", "availability_tested"
_FIRST_MONTH = 10
"""Delivery years begin in October (unit of rule `clearing_price_gbp_per_kw_year`)."""
_FACTORS = {
    Technology.BATTERY: "derating_factor_storage",
    Technology.PV: "derating_factor_solar",
    Technology.GENERATOR: "derating_factor_generator",
}
"""De-rating rules by technology; everything else is demand-side response."""


@dataclass(frozen=True, slots=True)
class Charged:
    """What penalties took from a unit on earlier days of the month and of the delivery year [1e-5 GBP]."""

    month_gbp_e5: int = 0
    year_gbp_e5: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class UnitDay:
    """One unit's whole day as it was measured.

    `delivered_wh`: turned down against the unit's capacity baseline in each period of the day (periods), net;
    what nobody measured is 0 (R164). `charged`: its penalties of earlier days that stand.
    """

    unit: str
    obligation_mw: float
    delivered_wh: I64
    charged: Charged = Charged()


@dataclass(frozen=True, slots=True, eq=False)
class Bound:
    """What binds in each period of a day (periods): whether, the share of the obligation owed, and by which
    notice ("" for none).
    """

    binds: NDArray[np.bool_]
    share: NDArray[np.float64]
    notice_id: tuple[str, ...]


# ------------------------------------------------------------------------------------------------ obligation


def obligation_mw(unit: ServiceUnit, assets: AssetRegistration, rules: Rulebook) -> float:
    """What a unit may be obliged to [MW], whole kW, rounded down: entered capacity x de-rating factor."""
    rating_w = assets.rating_w[unit.rows].astype(np.float64)
    if not rating_w.sum():
        return 0.0
    if rules.value("obligation_kind") == AVAILABILITY_TESTED:
        firm_w = _accredited_w(unit, assets, rules)
    else:
        firm_w = rating_w * _factors(assets.technology[unit.rows], rules)
    factor = float(firm_w.sum() / rating_w.sum())
    return int(unit.capacity_mw * factor * KW_PER_MW + 1e-6) / KW_PER_MW


def _factors(technology: NDArray[np.int8], rules: Rulebook) -> NDArray[np.float64]:
    factor = np.full(len(technology), float(rules.value("derating_factor_dsr")))
    for kind, rule in _FACTORS.items():
        factor[technology == kind] = rules.value(rule)
    return factor


def _accredited_w(unit: ServiceUnit, assets: AssetRegistration, rules: Rulebook) -> NDArray[np.float64]:
    """ISO style [W] (assets): ratings, of storage what it can hold for long enough, times the ELCC share."""
    rating_w, battery_wh = assets.rating_w[unit.rows], assets.battery_wh[unit.rows]
    stores = (assets.technology[unit.rows] == Technology.BATTERY) & (battery_wh != UNKNOWN)
    firm_w = np.where(stores, sustained_w(rating_w, battery_wh, rules), rating_w)
    return np.asarray(firm_w * rules.value("effective_load_carrying_share"))


# -------------------------------------------------------------------------------------------------- the day


def bound_periods(day: date, notices: Iterable[CapacityNotice], rules: Rulebook) -> Bound:
    """In which periods of a day a unit is held to its obligation: of a notice, in time, under stress.

    Where notices overlap, the greatest share counts; of equal ones the first. Without stress nothing is owed.
    """
    starts_ms = day_periods_ms(day)[:-1]
    share, told = np.full(len(starts_ms), -1.0), [""] * len(starts_ms)
    for notice in sorted(notices, key=lambda notice: (notice.issued_ms, notice.notice_id)):
        inside = (starts_ms >= notice.start_ms) & (starts_ms < notice.end_ms)
        binds = inside & notice_binds(notice.issued_ms, None, starts_ms, rules) & notice.stressed
        for place in np.flatnonzero(binds & (notice.load_following_share > share)).tolist():
            share[place], told[place] = min(notice.load_following_share, 1.0), notice.notice_id
    return Bound(share >= 0, np.maximum(share, 0.0), tuple(told))


def day_lines(
    settlement_run: str,
    day: date,
    units: Sequence[UnitDay],
    notices: Iterable[CapacityNotice],
    rules: Rulebook,
) -> tuple[StatementLine, ...]:
    """All capacity lines of a day: each unit's payment and charges, then over-delivery out of the penalties.

    `rules`: the capacity_market rulebook of the day. The pot is shared within the day (R187).
    """
    bound = bound_periods(day, notices, rules)
    if rules.value("obligation_kind") == AVAILABILITY_TESTED:
        charges = [
            item for unit in units for item in _deficiency_lines(settlement_run, day, unit, bound, rules)
        ]
        return (*_payment_lines(settlement_run, day, units, rules), *charges)
    penalties = [item for unit in units for item in _penalty_lines(settlement_run, day, unit, bound, rules)]
    pot_gbp_e5 = -sum(item.amount_gbp_e5 for item in penalties)
    over = _over_delivery_lines(settlement_run, day, units, bound, pot_gbp_e5, rules)
    return (*_payment_lines(settlement_run, day, units, rules), *penalties, *over)


def _payment_lines(
    settlement_run: str, day: date, units: Sequence[UnitDay], rules: Rulebook
) -> Iterator[StatementLine]:
    for unit in units:
        month = f"{day:%Y-%m}"
        heading = _heading(settlement_run, unit.unit, month, day_start_ms(day))
        amount = day_payment_gbp_e5(unit.obligation_mw, day, rules)
        yield line(heading, PAYMENT, 0.0, 0.0, amount, rules.rule("clearing_price_gbp_per_kw_year").clause)


def day_payment_gbp_e5(obligation_mw: float, day: date, rules: Rulebook) -> int:
    """The day's part of the month's payment [1e-5 GBP]; all days of a month add up to it exactly (R186)."""
    month = monthly_payment_gbp_e5(obligation_mw, rules)
    days = _days_of_month(day)
    return month * day.day // days - month * (day.day - 1) // days


def _days_of_month(day: date) -> int:
    after = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return (after - timedelta(days=1)).day


def _penalty_lines(
    settlement_run: str, day: date, unit: UnitDay, bound: Bound, rules: Rulebook
) -> Iterator[StatementLine]:
    """What missing energy costs, period by period, under both caps, in order of time (R163)."""
    missing_mwh = unit_delivery(unit, bound).missing_mwh
    rate = penalty_rate_gbp_per_mwh(rules)
    left = left_under_caps_gbp_e5(unit.obligation_mw, unit.charged, rules)
    clause, capped = rules.rule("penalty_share_per_hour").clause, rules.rule("monthly_penalty_cap_pct").clause
    for place in np.flatnonzero(missing_mwh).tolist():
        volume_mwh = float(missing_mwh[place])
        asked = gbp_e5(rate, volume_mwh)
        amount = min(asked, left)
        left -= amount
        heading = _period_heading(settlement_run, unit.unit, bound, day, place)
        yield line(
            heading,
            PENALTY,
            -volume_mwh,
            rate,
            -amount,
            clause if amount == asked else f"{clause}; {capped}",
        )


def left_under_caps_gbp_e5(obligation_mw: float, charged: Charged, rules: Rulebook) -> int:
    """What penalties may still take from a unit [1e-5 GBP]: up to the month's cap and the year's, never below
    0.
    """
    month = monthly_payment_gbp_e5(obligation_mw, rules)
    monthly_cap = month * rules.value("monthly_penalty_cap_pct") // 100
    annual_cap = month * MONTHS * rules.value("annual_penalty_cap_pct") // 100
    return int(max(min(monthly_cap - charged.month_gbp_e5, annual_cap - charged.year_gbp_e5), 0))


def charged_before(lines: Iterable[StatementLine], unit: str, day: date) -> Charged:
    """What earlier days' penalties, as they stand (lines of each day's latest run), took from a unit."""
    earlier = [
        (local_date(item.start_ms), -item.amount_gbp_e5)
        for item in lines
        if (item.service, item.unit, item.item) == (CAPACITY, unit, PENALTY)
    ]
    this_year = [(on, amount) for on, amount in earlier if on < day and _year_of(on) == _year_of(day)]
    of_month = sum(amount for on, amount in this_year if (on.year, on.month) == (day.year, day.month))
    return Charged(of_month, sum(amount for _, amount in this_year))


def _year_of(day: date) -> int:
    """The calendar year in which the day's delivery year began."""
    return day.year - (day.month < _FIRST_MONTH)


def unit_delivery(unit: UnitDay, bound: Bound) -> StressDelivery:
    """Missing and over-delivered energy of a day (periods) [MWh], whole Wh.

    Who used more than the baseline delivered nothing, not less than that (R188).
    """
    delivered_mwh = np.maximum(unit.delivered_wh, 0) / WH_PER_MWH
    found = stress_delivery(unit.obligation_mw * bound.share, delivered_mwh, bound.binds)
    return StressDelivery(found.missing_mwh.round(6), found.over_mwh.round(6))


def _over_delivery_lines(
    settlement_run: str,
    day: date,
    units: Sequence[UnitDay],
    bound: Bound,
    pot_gbp_e5: int,
    rules: Rulebook,
) -> Iterator[StatementLine]:
    """The day's penalties shared out among all who gave more than they owed, by energy."""
    over = [
        (unit.unit, place, float(volume_mwh))
        for unit in units
        for place, volume_mwh in enumerate(unit_delivery(unit, bound).over_mwh)
        if volume_mwh > 0
    ]
    amounts = over_delivery_gbp_e5([volume_mwh for _, _, volume_mwh in over], pot_gbp_e5, rules)
    for (unit, place, volume_mwh), amount in zip(over, amounts, strict=True):
        if amount:
            heading = _period_heading(settlement_run, unit, bound, day, place)
            price = float(gbp(amount)) / volume_mwh
            yield line(
                heading, OVER_DELIVERY, volume_mwh, price, amount, rules.rule("over_delivery_paid").clause
            )


def _deficiency_lines(
    settlement_run: str, day: date, unit: UnitDay, bound: Bound, rules: Rulebook
) -> Iterator[StatementLine]:
    """ISO style: what each tested period cost that showed less than the commitment; none if it passed."""
    tested = np.flatnonzero(bound.binds)
    if not len(tested):
        return
    available_mw = np.maximum(unit.delivered_wh[tested], 0) / WH_PER_MWH / PERIOD_HOURS
    test = availability_test(available_mw, unit.obligation_mw, rules)
    if test.passed:
        return
    yearly_gbp_per_mw = rules.value("clearing_price_gbp_per_kw_year") * KW_PER_MW
    clause = rules.rule("deficiency_multiplier").clause
    for place, missing_mw in zip(tested.tolist(), test.missing_mw.round(6), strict=True):
        amount = deficiency_gbp_e5(np.array([missing_mw]), PERIOD_HOURS, yearly_gbp_per_mw, rules)
        if amount:
            heading = _period_heading(settlement_run, unit.unit, bound, day, place)
            volume_mwh = float(missing_mw * PERIOD_HOURS)
            yield line(heading, DEFICIENCY, -volume_mwh, float(gbp(amount)) / volume_mwh, -amount, clause)


def _period_heading(settlement_run: str, unit: str, bound: Bound, day: date, place: int) -> Heading:
    start_ms = int(day_periods_ms(day)[place])
    return _heading(settlement_run, unit, bound.notice_id[place], start_ms)


def _heading(settlement_run: str, unit: str, reference: str, start_ms: int) -> Heading:
    return Heading(settlement_run, CAPACITY, unit, reference, start_ms, CAPACITY_SETTLEMENT_BODY)


# ---------------------------------------------------------------------------------------------- performance


def performance_days(
    best_mw: Mapping[date, float], obligation_mw: float, rules: Rulebook
) -> tuple[tuple[date, ...], bool]:
    """On which days a unit showed its obligation in the months that count, and whether they are enough."""
    months = rules.value("satisfactory_performance_months")
    counted = {day: mw for day, mw in sorted(best_mw.items()) if day.month in months}
    enough = performed_satisfactorily(np.array(list(counted.values())), obligation_mw, rules)
    return tuple(day for day, mw in counted.items() if mw >= obligation_mw), enough
