"""Distribution services from minute readings to monthly pounds: Sustain, Secure, Dynamic, Restore and
Sustain-H.

Payment: availability = price x MW x hours x factor; utilisation = price x MWh delivered, capped at
instructed, x factor (SSEN TRANSITION payment page, NGED use cases [P]). The performance curve is Flexible
Power's as remembered [M]. The products differ by data in `protocol/rulebooks/dso_settlement.yaml`. Hard
cases: docs/rules.md R150-R156.

Signs: import-positive power [W]; delivered and instructed power are positive in the direction of the service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.periods import MINUTE_MS
from protocol.rulebook import Rulebook
from protocol.units import W_PER_MW, Number, exact, gbp_e5

MINUTES_PER_HALF_HOUR = 30
_MINUTES_PER_HOUR = 60

PRODUCTS = ("sustain", "sustain_h", "secure", "dynamic", "restore")


class PaymentError(ValueError):
    """Readings, signals or products from which no payment can be worked out."""


class Signal(StrEnum):
    """What the network operator sends (Flexible Power participant API)."""

    START = "START"
    STOP = "STOP"
    EMERGENCY_STOP = "EMERGENCY_STOP"


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """One event, minute by minute or summed: energies [MWh], positive in the direction of the service.

    `delivered_mwh` is capped at what was instructed, minute by minute, and never below nothing.
    `missing_minutes` had no reading. `share` is delivered of instructed; of an event in which nothing was
    assessed it is 1.
    """

    instructed_mwh: float
    delivered_mwh: float
    missing_minutes: int

    @property
    def share(self) -> float:
        """Delivered of instructed, 0 to 1, to nine places: half of it is half, whatever floats add up to."""
        return round(self.delivered_mwh / self.instructed_mwh, 9) if self.instructed_mwh else 1.0


@dataclass(frozen=True, slots=True)
class MonthlyPayment:
    """What one unit earns for one product in one month [1e-5 GBP]."""

    availability_gbp_e5: int
    utilisation_gbp_e5: int
    fixed_gbp_e5: int

    @property
    def total_gbp_e5(self) -> int:
        """The sum of the parts."""
        return self.availability_gbp_e5 + self.utilisation_gbp_e5 + self.fixed_gbp_e5


# ----------------------------------------------------------------------------------------------------
# minute by minute


def minute_of_stamp_ms(stamp_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """When the minute began that a portal reading is of [UTC ms]: its stamp is the minute's end (portal
    FAQ [P]).
    """
    return stamp_ms - MINUTE_MS


def instructed_w(
    signals: Sequence[tuple[int, Signal, int]], start_ms: int, minutes: int
) -> NDArray[np.int64]:
    """The instructed power [W] of each minute from `start_ms` (minutes).

    `signals` are (time [UTC ms], signal, W). At one time they count in the order given. A START replaces
    what was instructed before; STOP and EMERGENCY_STOP end it. A signal counts from the first whole minute
    at or after it, an EMERGENCY_STOP already in the minute it comes in.
    """
    power = np.zeros(minutes, np.int64)
    for at_ms, signal, wanted_w in sorted(signals, key=lambda one: one[0]):
        after = at_ms - start_ms
        minute = after // MINUTE_MS if signal is Signal.EMERGENCY_STOP else -(-after // MINUTE_MS)
        power[max(minute, 0) :] = wanted_w if signal is Signal.START else 0
    return power


def delivered_w(
    baseline_w: NDArray[Any], metered_w: NDArray[Any], turn_up: bool = False
) -> NDArray[np.float64]:
    """Delivered power of each minute [W] (minutes): baseline less metered, or the reverse; NaN stays NaN."""
    difference: NDArray[np.float64] = np.asarray(baseline_w, np.float64) - metered_w
    return -difference if turn_up else difference


def delivery(instructed: NDArray[Any], delivered: NDArray[np.float64], rules: Rulebook) -> Delivery:
    """One event's delivery from its minutes [W] (minutes).

    A minute counts with its delivered power between nothing and what was instructed. In the first
    `response_within_min` minutes after the instruction rises, a minute in which less than instructed came
    is left out of both sides. A minute without a reading is as `missing_minute` says.
    """
    (whole,) = _deliveries(instructed, delivered, rules, max(len(instructed), 1))
    return whole


def half_hour_deliveries(
    instructed: NDArray[Any], delivered: NDArray[np.float64], rules: Rulebook
) -> tuple[Delivery, ...]:
    """The delivery of each half hour, of minutes that begin on one; the last may be shorter. As
    `delivery`.
    """
    return _deliveries(instructed, delivered, rules, MINUTES_PER_HALF_HOUR)


def _deliveries(
    instructed: NDArray[Any], delivered: NDArray[np.float64], rules: Rulebook, minutes: int
) -> tuple[Delivery, ...]:
    missing = np.isnan(delivered) & (instructed > 0)
    counted = np.clip(np.nan_to_num(delivered, nan=0.0), 0.0, instructed)
    assessed = ~(_ramping(instructed, rules.value("response_within_min")) & (counted < instructed))
    if rules.value("missing_minute") == "left_out":
        assessed &= ~missing
    starts = np.arange(0, max(len(instructed), 1), minutes)
    per_mwh = W_PER_MW * _MINUTES_PER_HOUR
    wanted, came, gaps = (
        np.add.reduceat(column, starts) if len(column) else np.zeros(1)
        for column in (
            np.where(assessed, instructed, 0),
            np.where(assessed, counted, 0.0),
            missing.astype(int),
        )
    )
    return tuple(
        Delivery(float(w / per_mwh), float(c / per_mwh), int(g))
        for w, c, g in zip(wanted, came, gaps, strict=True)
    )


def _ramping(instructed: NDArray[Any], response_min: int) -> NDArray[np.bool_]:
    """Minutes within the response time after a rise of the instruction (minutes)."""
    rises = np.flatnonzero(np.diff(instructed, prepend=0) > 0)
    ramping = np.zeros(len(instructed), np.bool_)
    for rise in rises:
        ramping[rise : rise + response_min] = True
    return ramping


# --------------------------------------------------------------------------------------------------- payment


def performance_factor(
    delivered_pct: NDArray[np.float64], curve: Sequence[tuple[float, float]]
) -> NDArray[np.float64]:
    """The payment factor at each delivered percentage (n): linear between the curve's corners, flat
    outside them.
    """
    percent, factor = np.array(curve, np.float64).T
    return np.asarray(np.interp(delivered_pct, percent, factor))


def utilisation_gbp_e5(events: Sequence[Delivery], price_gbp_per_mwh: Number, rules: Rulebook) -> int:
    """Utilisation payment of events, or of half hours [1e-5 GBP], each rounded once.

    "performance_curve": price x delivered (capped) x factor at the delivered percentage.
    "proportional_from_floor": price x delivered where at least `utilisation_floor_pct` was, nothing below.
    """
    if rules.value("utilisation_rule") == "proportional_from_floor":
        floor = rules.value("utilisation_floor_pct") / 100
        paid = [one for one in events if one.share >= floor]
        return sum(gbp_e5(price_gbp_per_mwh, one.delivered_mwh) for one in paid)
    factors = event_factors(events, rules)
    return sum(
        gbp_e5(price_gbp_per_mwh, one.delivered_mwh, float(factor))
        for one, factor in zip(events, factors, strict=True)
    )


def event_factors(events: Sequence[Delivery], rules: Rulebook) -> NDArray[np.float64]:
    """The performance factor of each event (events)."""
    percent = np.array([100 * one.share for one in events], np.float64)
    return performance_factor(percent, rules.value("performance_curve"))


def monthly_factor(events: Sequence[Delivery], rules: Rulebook) -> float:
    """The mean factor of a month's events; 1 of a month without any (ours)."""
    return float(event_factors(events, rules).mean()) if events else 1.0


def availability_gbp_e5(
    price_gbp_per_mw_h: Number, contracted_mw: Number, available_hours: Number, factor: Number
) -> int:
    """Availability payment [1e-5 GBP]: price x MW x hours declared available x factor."""
    return gbp_e5(price_gbp_per_mw_h, exact(contracted_mw) * exact(available_hours), factor)


def monthly_payment(
    product: str,
    events: Sequence[Delivery],
    contracted_mw: Number,
    rules: Rulebook,
    *,
    utilisation_price_gbp_per_mwh: Number = 0,
    availability_price_gbp_per_mw_h: Number = 0,
    available_hours: Number = 0,
    previous_month_factor: float = 1.0,
    fixed_gbp_per_kw_month: Number = 0,
) -> MonthlyPayment:
    """What a unit earns for a product in a month.

    The availability payment is scaled by this month's mean factor, or last month's, by
    `availability_rule`. Sustain-H is a fixed monthly payment per kW, scaled by the month's factor where
    `sustain_h_payment` says so, and nothing else. Raises PaymentError for a product that is not in PRODUCTS.
    """
    if product not in PRODUCTS:
        raise PaymentError(f"there is no product {product!r}; there are {', '.join(PRODUCTS)}")
    factor = monthly_factor(events, rules)
    if product == "sustain_h":
        scale = factor if rules.value("sustain_h_payment") == "monthly_factor" else 1.0
        kw = exact(contracted_mw) * 1000
        return MonthlyPayment(0, 0, round(exact(fixed_gbp_per_kw_month) * kw * Fraction(scale) * 100_000))
    availability = 0
    if product in rules.value("products_paid_for_availability"):
        scaled = previous_month_factor if rules.value("availability_rule") == "previous_month" else factor
        availability = availability_gbp_e5(
            availability_price_gbp_per_mw_h, contracted_mw, available_hours, scaled
        )
    return MonthlyPayment(availability, utilisation_gbp_e5(events, utilisation_price_gbp_per_mwh, rules), 0)
