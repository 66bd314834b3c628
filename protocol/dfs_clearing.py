"""Clearing, payment and deregistration of the Demand Flexibility Service, for many units at once.

Source: DFS Procurement Rules v5.0 (18 May 2026) as quoted, and `protocol/rulebooks/dfs.yaml` by edition:
whole bids, cheapest first, in both directions, under zonal caps. One unit's payment with its clause is in
`protocol/settlement.py`; here the same for columns. Hard cases: docs/rules.md R40-R49, R170-R172.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from protocol.rulebook import Rulebook
from protocol.units import GBP_E5

PERIOD_HOURS = 0.5
_GRAIN_MW = 1e-9
"""The grain of adding up floats."""

Column = NDArray[np.float64]


class ClearingError(ValueError):
    """Bids and a requirement that cannot be cleared under the edition."""


class Outcome(StrEnum):
    """What became of a bid."""

    ACCEPTED = "accepted"
    REQUIREMENT_MET = "requirement_met"  # cheaper bids were enough
    ZONAL_CAP = "zonal_cap"  # it does not fit under its zone's cap
    TOO_LARGE = "too_large"  # it would pass the requirement, and the setting leaves such a bid out


@dataclass(frozen=True, slots=True, eq=False)
class Bids:
    """Bids for one event, a row each: price (n) [GBP/MWh], megawatts in each period (n, periods), zone (n).

    `order` (n) is by arrival: at one price the earlier bid comes first (ours). `guaranteed` (n) bids come
    before all.
    """

    price_gbp_per_mwh: Column
    mw: Column
    zone: NDArray[np.int64]
    order: NDArray[np.int64]
    guaranteed: NDArray[np.bool_]


def clear(
    bids: Bids,
    requirement_mw: Column,
    rules: Rulebook,
    zonal_cap_mw: Mapping[int, float] | None = None,
    turn_up: bool = False,
) -> tuple[Outcome, ...]:
    """What becomes of each bid (n), for a requirement (periods) [MW]; a zone without a cap has none.

    Bids are taken whole, cheapest first, until what was accepted covers the requirement, both as means
    over the event's periods; a bid that would lift any period of its zone above its cap is passed over.
    Turn-up is cleared in the same way: megawatts count positive. Raises ClearingError where the edition
    knows no turn-up, or no zonal caps.
    """
    if turn_up and not rules.value("turn_up"):
        raise ClearingError(f"DFS {rules.edition} buys no turn-up: {rules.rule('turn_up').clause}")
    if zonal_cap_mw and not rules.value("zonal_caps"):
        raise ClearingError(f"DFS {rules.edition} has no zonal caps: {rules.rule('zonal_caps').clause}")
    outcomes = [Outcome.REQUIREMENT_MET] * len(bids.order)
    wanted_mw = float(requirement_mw.mean())
    accepted_mw = 0.0
    in_zone: dict[int, Column] = {}
    for row in map(int, np.lexsort((bids.order, bids.price_gbp_per_mwh, ~bids.guaranteed))):
        if accepted_mw >= wanted_mw - _GRAIN_MW:
            break
        zone = int(bids.zone[row])
        lifted = in_zone.get(zone, np.zeros_like(requirement_mw)) + bids.mw[row]
        mean_mw = float(bids.mw[row].mean())
        if zonal_cap_mw and (lifted > zonal_cap_mw.get(zone, np.inf) + _GRAIN_MW).any():
            outcomes[row] = Outcome.ZONAL_CAP
        elif rules.value("last_bid") == "left_out" and accepted_mw + mean_mw > wanted_mw + _GRAIN_MW:
            outcomes[row] = Outcome.TOO_LARGE
        else:
            outcomes[row] = Outcome.ACCEPTED
            in_zone[zone] = lifted
            accepted_mw += mean_mw
    return tuple(outcomes)


def payment_factors(delivered_mwh: Column, accepted_mw: Column, rules: Rulebook) -> Column:
    """K of S = 0.5 x P x Q x K for any shape of units and periods; 0 where nothing was accepted.

    "performance_curve" reads it off the edition's curve; under "delivered_x_price" it is the delivered
    share, never below nothing, up to `delivery_cap_pct` where there is one.
    """
    accepted_mwh = accepted_mw * PERIOD_HOURS
    bought = accepted_mwh > 0
    percent = np.divide(
        100 * delivered_mwh, accepted_mwh, out=np.zeros(np.shape(delivered_mwh)), where=bought
    )
    if rules.value("settlement_rule") == "performance_curve":
        corners, factors = np.array(rules.value("performance_curve"), np.float64).T
        return np.where(bought, np.interp(percent, corners, factors), 0.0)
    cap_pct = rules.value("delivery_cap_pct")
    return np.asarray(np.clip(percent, 0.0, cap_pct) / 100)


def payments_gbp_e5(price_gbp_per_mwh: Column, accepted_mw: Column, factor: Column) -> NDArray[np.int64]:
    """S = 0.5 x P x Q x K [1e-5 GBP], each rounded once, half to even; below nothing the provider pays."""
    return np.rint(PERIOD_HOURS * price_gbp_per_mwh * accepted_mw * factor * GBP_E5).astype(np.int64)


def deregistered_on(days: Sequence[date], factors: Sequence[float], rules: Rulebook) -> date | None:
    """The day on which a unit has failed too often, from its events in order; None where it has not.

    An event fails when its K is below `deregistration_k`: so many in a row, or so many within three months
    (the same day of the month, three months on, is out again; ours). Before the 2026 edition there is no
    such rule: RuleError.
    """
    failed: list[date] = []
    in_a_row = 0
    for day, factor in zip(days, factors, strict=True):
        missed = factor < rules.value("deregistration_k")
        in_a_row = in_a_row + 1 if missed else 0
        if missed:
            failed = [*(one for one in failed if _months(one, day) < 3), day]
        if in_a_row >= rules.value("deregistration_consecutive_events"):
            return day
        if len(failed) >= rules.value("deregistration_events_in_three_months"):
            return day
    return None


def _months(first: date, last: date) -> int:
    """Whole months from one day to another."""
    return 12 * (last.year - first.year) + last.month - first.month - (last.day < first.day)
