"""Capacity obligations: the GB Capacity Market's, which follows the load, and an ISO-style one, which is
tested.

Source: Capacity Market Rules and Regulations as noted by third parties [S] and from memory [M]; the
ISO-style part after the aggregation article of the project's sources, which names the ideas and no
figures. Every figure with its tag is in `protocol/rulebooks/capacity_market.yaml`. Hard cases:
docs/rules.md R160-R164.

Capacity and delivery are positive for what helps the system (less import or more export) [MW], [MWh]; a
charge is positive when the provider pays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.periods import MINUTE_MS
from protocol.rulebook import Rulebook
from protocol.units import Number, exact, gbp_e5

PERIOD_HOURS = 0.5
KW_PER_MW = 1_000
MONTHS = 12
_HOURS_PER_YEAR = 8_760
_GRAIN_MW = 1e-9
"""The grain of adding up floats."""

Column = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class StressDelivery:
    """Delivery against the obligation in each stressed period [MWh] (periods); both sides >= 0."""

    missing_mwh: Column
    over_mwh: Column


@dataclass(frozen=True, slots=True, eq=False)
class AvailabilityTest:
    """How available capacity compared with what was committed, interval by interval [MW] (intervals)."""

    missing_mw: Column
    passed: bool

    @property
    def mean_missing_mw(self) -> float:
        """What was missing on average."""
        return float(self.missing_mw.mean())


# --------------------------------------------------------------------------------------------- GB Capacity
# Market


def derated_mw(connection_mw: Column, factor: Column | float) -> Column:
    """Capacity that may be obliged: shown capacity x de-rating factor [MW] (units)."""
    return np.asarray(connection_mw * factor)


def notice_binds(
    notice_ms: int, withdrawn_ms: int | None, period_start_ms: NDArray[np.int64], rules: Rulebook
) -> NDArray[np.bool_]:
    """In which periods a Capacity Market Notice binds (periods): from its notice time on, until it is
    withdrawn.

    A stress event in any other period carries no penalty: nobody was told in time.
    """
    binds = period_start_ms >= notice_ms + rules.value("notice_min") * MINUTE_MS
    return np.asarray(binds & (period_start_ms < withdrawn_ms) if withdrawn_ms is not None else binds)


def load_following_obligation_mw(
    obligation_mw: float, system_demand_mw: Column, all_obligations_mw: float
) -> Column:
    """What a unit has to deliver (periods) [MW]: its share of the load, never more than its obligation [M].

    All units together owe what the system needs, as long as that is less than what all are obliged to.
    """
    return np.asarray(obligation_mw * np.minimum(system_demand_mw / all_obligations_mw, 1.0))


def stress_delivery(obliged_mw: Column, delivered_mwh: Column, stressed: NDArray[np.bool_]) -> StressDelivery:
    """Missing and over-delivered energy (periods), in the periods that are stressed and bound, elsewhere
    nothing.
    """
    difference = np.where(stressed, delivered_mwh - obliged_mw * PERIOD_HOURS, 0.0)
    return StressDelivery(np.maximum(-difference, 0.0), np.maximum(difference, 0.0))


def penalty_rate_gbp_per_mwh(rules: Rulebook) -> float:
    """What a missing MWh costs: clearing price / 24 [M]."""
    yearly = rules.value("clearing_price_gbp_per_kw_year") * KW_PER_MW
    return float(yearly * rules.value("penalty_share_per_hour"))


def monthly_payment_gbp_e5(obligation_mw: Number, rules: Rulebook) -> int:
    """A month's capacity payment [1e-5 GBP]: the year's by twelve; the weighting by demand is left out
    [M].
    """
    return gbp_e5(rules.value("clearing_price_gbp_per_kw_year") * KW_PER_MW, obligation_mw) // MONTHS


def capped_penalties_gbp_e5(
    penalties_gbp_e5: Sequence[int], monthly_payment_gbp_e5: int, rules: Rulebook
) -> tuple[int, ...]:
    """The penalties of a delivery year's months in order, under both caps [1e-5 GBP].

    No month above the monthly cap, no year above the annual one: what has been paid counts first.
    """
    monthly_cap = monthly_payment_gbp_e5 * rules.value("monthly_penalty_cap_pct") // 100
    left = monthly_payment_gbp_e5 * MONTHS * rules.value("annual_penalty_cap_pct") // 100
    charged: list[int] = []
    for penalty in penalties_gbp_e5:
        charged.append(min(penalty, monthly_cap, left))
        left -= charged[-1]
    return tuple(charged)


def over_delivery_gbp_e5(
    over_mwh: Sequence[Number], penalties_gbp_e5: int, rules: Rulebook
) -> tuple[int, ...]:
    """What each unit is paid for over-delivery [1e-5 GBP]: the penalties shared by energy, at most the
    penalty rate.

    Shares are cut down to whole money units; what is left stays in the pot.
    """
    total = sum(exact(volume) for volume in over_mwh)
    if not total or not rules.value("over_delivery_paid"):
        return (0,) * len(over_mwh)
    most = gbp_e5(penalty_rate_gbp_per_mwh(rules), total)
    pot = min(penalties_gbp_e5, most)
    return tuple(int(pot * exact(volume) / total) for volume in over_mwh)


def performed_satisfactorily(best_mw_of_day: Column, obligation_mw: float, rules: Rulebook) -> bool:
    """Whether the obligation was shown on enough days, from each day's best delivery [MW] (days)."""
    return bool((best_mw_of_day >= obligation_mw).sum() >= rules.value("satisfactory_performance_days"))


# -------------------------------------------------------------------------------------------------- ISO style


def sustained_w(power_w: NDArray[Any], energy_wh: NDArray[Any], rules: Rulebook) -> Column:
    """What storage can hold for the sustained hours [W] (assets): its power, or its energy spread over
    them.
    """
    return np.asarray(np.minimum(power_w, energy_wh / rules.value("sustained_hours")))


def accredited_mw(available_mw: Column, rules: Rulebook) -> float:
    """Capacity that may be committed [MW], from observed availability (intervals): dependable percentile x
    ELCC.

    Intervals without data (NaN) count as nothing available: a gap is not evidence.
    """
    observed = np.nan_to_num(available_mw, nan=0.0)
    dependable = np.percentile(observed, rules.value("behaviour_percentile"))
    return float(dependable * rules.value("effective_load_carrying_share"))


def availability_test(available_mw: Column, committed_mw: float, rules: Rulebook) -> AvailabilityTest:
    """Available against committed capacity in each interval; passed when no more than the tolerance was
    ever missing.

    Intervals without data (NaN) are missing whole.
    """
    missing = np.maximum(committed_mw - np.nan_to_num(available_mw, nan=0.0), 0.0)
    tolerance = committed_mw * rules.value("availability_tolerance_pct") / 100
    return AvailabilityTest(missing, bool((missing <= tolerance + _GRAIN_MW).all()))


def deficiency_gbp_e5(
    missing_mw: Column, interval_hours: float, capacity_price_gbp_per_mw_year: Number, rules: Rulebook
) -> int:
    """What missing capacity costs [1e-5 GBP]: price x multiplier x its share of the year (ours)."""
    mw_years = float(missing_mw.sum()) * interval_hours / _HOURS_PER_YEAR
    return gbp_e5(capacity_price_gbp_per_mw_year, mw_years, rules.value("deficiency_multiplier"))
