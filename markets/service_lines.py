"""From a service's settled volumes to statement lines: distribution services and constraint management.

This owns payers, items and what of a month is settled with a day; formulas are `protocol.dso_payment` and
`protocol.constraint_payment`. Volumes on lines are what is paid for [MWh], turn-down positive; a line's
amount is positive when paid to the aggregator. Rules: docs/rules.md R196-R204.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from fractions import Fraction

import numpy as np

from markets.statement_lines import NESO, Heading, line
from protocol.constraint_payment import payments_gbp_e5, supplier_adjustment_mwh
from protocol.dso_payment import (
    Delivery,
    availability_gbp_e5,
    event_factors,
    monthly_factor,
    utilisation_gbp_e5,
)
from protocol.messages import I64, ServiceAward, StatementLine
from protocol.periods import PERIOD_MS
from protocol.products import TITLES, Product
from protocol.rulebook import Rulebook
from protocol.units import WH_PER_MWH, Number, exact, gbp_e5, wh_to_mwh

DSO = frozenset({Product.SUSTAIN, Product.SUSTAIN_H, Product.SECURE, Product.DYNAMIC, Product.RESTORE})
CONSTRAINT = frozenset({Product.TCM, Product.LCM})


@dataclass(frozen=True, slots=True)
class Standby:
    """Capacity that a unit held for one award on one day: its price, and megawatts times hours."""

    reference: str
    start_ms: int
    price_gbp_per_mw_h: float
    mw_hours: float


@dataclass(frozen=True, slots=True)
class DayRecord:
    """What one day adds to a unit's month: capacity held, and how each of its events went."""

    held: tuple[Standby, ...]
    events: tuple[Delivery, ...]


Month = Mapping[date, DayRecord]
"""A unit's days of one product, as far as they have been settled."""


def buyer_of(product: Product, place: str) -> str:
    """Who pays: the distribution network operator of the GSP Group that a zone lies in, else the ESO."""
    return f"dso:{place.split('/', maxsplit=1)[0]}" if product in DSO else NESO


def standby(award: ServiceAward, start_ms: int, awarded_mw: Sequence[float]) -> Standby:
    """What an award has held from `start_ms` on, period by period [MW] (periods).

    Sustain-H has one fixed price: whichever of the two was asked for (R198).
    """
    mw_hours = sum((abs(exact(mw)) for mw in awarded_mw), Fraction(0)) / 2
    price = award.availability_gbp_per_mw_h
    if award.product == Product.SUSTAIN_H:
        price += award.utilisation_gbp_per_mwh
    return Standby(award.event_id, start_ms, price, float(mw_hours))


# --------------------------------------------------------------------------------- distribution services


def utilisation_lines(
    heading: Heading,
    turn_up: bool,
    periods: Sequence[Delivery],
    event: Delivery,
    price_gbp_per_mwh: float,
    rules: Rulebook,
) -> Iterator[StatementLine]:
    """One line per half hour in which something was instructed, from `heading.start_ms` on.

    The performance factor is that of the whole event on the day (R153); SSEN's scale goes by half hour.
    """
    by_curve = rules.value("utilisation_rule") == "performance_curve"
    factor = float(event_factors([event], rules)[0]) if by_curve else 1.0
    rule = rules.rule("performance_curve" if by_curve else "utilisation_rule")
    for place, each in enumerate(periods):
        if not each.instructed_mwh:
            continue
        if by_curve:
            amount = gbp_e5(price_gbp_per_mwh, each.delivered_mwh, factor)
        else:
            amount = utilisation_gbp_e5([each], price_gbp_per_mwh, rules)
        told = f"{_title(heading)} {rule.name}: {rule.clause}; factor {factor:.4f}"
        yield line(
            replace(heading, start_ms=heading.start_ms + place * PERIOD_MS),
            "utilisation",
            -each.delivered_mwh if turn_up else each.delivered_mwh,
            price_gbp_per_mwh,
            amount,
            told,
        )


def held_lines(heading: Heading, day: date, month: Month, rules: Rulebook) -> Iterator[StatementLine]:
    """What a day's awards are paid for having been held, at the month's factor so far, and what that factor
    changes for earlier days of the month.

    All days together add up to the month's payment at its last factor (R199). Nothing for a product that is
    paid for delivery alone.
    """
    paid = _paid_for_holding(heading.service, rules)
    if paid is None or day not in month:
        return
    item, clause = paid
    factor = _factor(heading.service, day, month, rules)
    before = _factor(heading.service, day - timedelta(days=1), month, rules)
    told = f"{clause}; factor {factor:.4f} of the month to {day}"
    for each in month[day].held:
        amount = availability_gbp_e5(each.price_gbp_per_mw_h, each.mw_hours, 1, factor)
        own = replace(heading, reference=each.reference, start_ms=each.start_ms)
        yield line(own, item, 0.0, each.price_gbp_per_mw_h, amount, told)
    earlier = [each for past in sorted(month) if _same_month_before(past, day) for each in month[past].held]
    moved = sum(_at(each, factor) - _at(each, before) for each in earlier)
    if moved:
        first = month[day].held[0] if month[day].held else None
        own = replace(heading, reference=first.reference, start_ms=first.start_ms) if first else heading
        yield line(own, f"{item} of earlier days, at the month's factor", 0.0, 0.0, moved, told)


def _paid_for_holding(service: str, rules: Rulebook) -> tuple[str, str] | None:
    """Item and clause of the payment for being held; None where there is none."""
    if service == Product.SUSTAIN_H:
        rule = rules.rule("sustain_h_payment")
        return "fixed payment", f"{TITLES[Product.SUSTAIN_H]}: {rule.clause}"
    rule = rules.rule("products_paid_for_availability")
    if service not in rule.value:
        return None
    scaled = rules.rule("availability_rule")
    return "availability", f"{TITLES[Product(service)]} {scaled.value}: {scaled.clause}"


def _factor(service: str, day: date, month: Month, rules: Rulebook) -> float:
    """What holding is scaled by, as known at the end of a day."""
    if service == Product.SUSTAIN_H and rules.value("sustain_h_payment") == "unscaled":
        return 1.0
    last_month = rules.value("availability_rule") == "previous_month" and service != Product.SUSTAIN_H
    counts = _in_the_month_before if last_month else _same_month_up_to
    return monthly_factor(
        [one for past in sorted(month) if counts(past, day) for one in month[past].events], rules
    )


def _at(held: Standby, factor: Number) -> int:
    return availability_gbp_e5(held.price_gbp_per_mw_h, held.mw_hours, 1, factor)


def _same_month_before(past: date, day: date) -> bool:
    return past < day and (past.year, past.month) == (day.year, day.month)


def _same_month_up_to(past: date, day: date) -> bool:
    return past <= day and (past.year, past.month) == (day.year, day.month)


def _in_the_month_before(past: date, day: date) -> bool:
    last = day.replace(day=1) - timedelta(days=1)
    return (past.year, past.month) == (last.year, last.month)


# ----------------------------------------------------------------------------------- constraint management


def constraint_lines(
    heading: Heading, sold_wh: I64, paid_wh: I64, price_gbp_per_mw_h: float, rules: Rulebook
) -> Iterator[StatementLine]:
    """Payment and the Supplier's adjustment (ABSVD) of each period that was called, from
    `heading.start_ms` on.

    `sold_wh`, `paid_wh` (periods): turn-down positive. The adjustment is no money between the ESO and the
    provider: its line is of nothing, and its volume export-positive.
    """
    way = np.sign(sold_wh)
    accepted_mw = np.abs(sold_wh) * 2 / WH_PER_MWH
    delivered_mwh = way * paid_wh / WH_PER_MWH
    amounts = payments_gbp_e5(
        np.full(len(sold_wh), price_gbp_per_mw_h), accepted_mw, np.asarray(delivered_mwh), rules
    )
    for place in np.flatnonzero(sold_wh):
        own = replace(heading, start_ms=heading.start_ms + int(place) * PERIOD_MS)
        clause = f"{_title(heading)}: {rules.rule('delivery_floor_pct').clause}"
        volume = float(wh_to_mwh(int(paid_wh[place])))
        yield line(own, "utilisation", volume, price_gbp_per_mw_h, int(amounts[place]), clause)
        turn_up = bool(way[place] < 0)
        adjusted = supplier_adjustment_mwh(np.abs(delivered_mwh[place : place + 1]), turn_up, False, rules)
        applies = rules.rule("absvd_applies")
        yield line(
            own, "ABSVD to the Supplier", float(adjusted[0]), 0.0, 0, f"{_title(heading)}: {applies.clause}"
        )


def _title(heading: Heading) -> str:
    return TITLES[Product(heading.service)]
