"""What a Virtual Lead or Trading Party moved: expected, delivered and deviation volume, and who is made
whole by whom.

Source: P376, P415 (live 7 Nov 2024), P444, P375 and P483 as told by the SVA Data Catalogue v52.0, BSCP602
and the S0142 settlement reports; dated switches in `protocol/rulebooks/bsc.yaml`. Hard cases:
docs/rules.md R140-R147.

Signs. A pair's volume (MSID or AMSID pair) is import-positive [Wh], as its meter and its Baselined Volume
are. A deviation is export-positive, as at BM Unit level: using 1,000 Wh less than expected is a deviation
of +1,000 Wh. Money [1e-5 GBP] is positive when received.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from protocol.periods import GATE_CLOSURE_MS
from protocol.units import WH_PER_MWH, Number, exact, gbp_e5

Volume = NDArray[np.float64]


class DeviationError(ValueError):
    """Volumes, flags or shares that do not fit each other."""


class Indicator(IntEnum):
    """Baselining Indicator of a pair (SVA Data Catalogue v52.0)."""

    INACTIVE = 0  # I: on neither side
    BASELINED = 1  # B: BL01
    SUBMITTED = 2  # S: the party submits what it expects


class Metering(IntEnum):
    """Which meter speaks for a pair (P375: MSID Pair Indicator)."""

    BOUNDARY = 0
    ASSET = 1  # A: the asset meter alone
    DIFFERENCE = 2  # D: boundary less asset


@dataclass(frozen=True, slots=True, eq=False)
class Delivered:
    """Delivered Volume that counts and what was claimed beyond it, both export-positive [Wh] (pairs,
    periods).

    `excess_wh` other than nothing is an exception to be told to the party (P0285).
    """

    allowed_wh: Volume
    excess_wh: Volume


@dataclass(frozen=True, slots=True)
class Compensation:
    """One period's payments [1e-5 GBP], positive when received; with `party_gbp_e5` they sum to nothing.

    `hosts_gbp_e5` and `shared_gbp_e5` (suppliers): what each is paid for its own customers, and its share
    by Final Demand of what the party did not pay.
    """

    party_gbp_e5: int
    hosts_gbp_e5: tuple[int, ...]
    shared_gbp_e5: tuple[int, ...]


# --------------------------------------------------------------------------------------------- metered and
# expected


def metered_wh(boundary_wh: Volume, asset_wh: Volume, metering: NDArray[np.int64]) -> Volume:
    """What counts as a pair's metered volume [Wh, import +] (pairs, periods); NaN where a meter is missing.

    With P483 the boundary need not be half-hourly settled where the asset meter is used alone: its NaN is
    then of no account.
    """
    choice = metering[:, np.newaxis]
    return np.select(
        [choice == Metering.BOUNDARY, choice == Metering.ASSET],
        [boundary_wh, asset_wh],
        boundary_wh - asset_wh,
    )


def submitted_in_force_wh(
    default_wh: Volume,
    default_sent_ms: NDArray[np.int64],
    default_due_ms: int,
    period_wh: Volume,
    period_sent_ms: NDArray[np.int64],
    period_start_ms: NDArray[np.int64],
) -> Volume:
    """The Submitted Expected Volume of each period of a day (periods); NaN where neither value came in time.

    A value for the period counts when it came before Gate Closure (BSCP602 2.13.2), else the default, when
    it came by `default_due_ms`, 23:59 of the day before (2.13.1). All arguments are (periods) but the due
    time.
    """
    period_in_time = (period_sent_ms < period_start_ms - GATE_CLOSURE_MS) & ~np.isnan(period_wh)
    default = np.where(default_sent_ms <= default_due_ms, default_wh, np.nan)
    return np.where(period_in_time, period_wh, default)


def adjusted_periods(
    policy: str, accepted: NDArray[np.bool_], traded: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """In which periods BL01 gets its in-day adjustment (periods), by the rulebook's `ida_policy`.

    `accepted`: the unit had an acceptance; `traded`: its wholesale activity was notified (WMAN).
    """
    if policy not in {"none", "boa_only", "always"}:
        raise DeviationError(f"ida_policy must be none, boa_only or always, not {policy!r}")
    if policy == "none":
        return np.zeros_like(accepted)
    return accepted if policy == "boa_only" else accepted | traded


def notified_in_time(sent_ms: NDArray[np.int64], period_start_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a wholesale activity notification (WMAN) came before Gate Closure (BSCP602 2.18.1)
    (periods).
    """
    return np.asarray(sent_ms < period_start_ms - GATE_CLOSURE_MS)


def expected_wh(
    indicator: NDArray[np.int64],
    baselined_wh: Volume,
    calculated: NDArray[np.bool_],
    submitted_wh: Volume,
    active: NDArray[np.bool_],
    measured_wh: Volume,
) -> Volume:
    """Each pair's expected volume [Wh, import +] (pairs, periods); NaN where there is none.

    A Baselined pair has its baseline where it was `calculated` (pairs), a Submitted one the party's value,
    an Inactive one nothing. Without an acceptance or notified trade (`active` (periods)) what is expected
    is what was metered: no deviation [S?].
    """
    kind = indicator[:, np.newaxis]
    baseline = np.where(calculated[:, np.newaxis], baselined_wh, np.nan)
    wanted = np.select(
        [kind == Indicator.BASELINED, kind == Indicator.SUBMITTED], [baseline, submitted_wh], np.nan
    )
    return np.where(active, wanted, np.where(kind == Indicator.INACTIVE, np.nan, measured_wh))


def settlement_expected_mwh(expected_of_pairs_wh: Volume) -> NDArray[np.float64]:
    """SEV of the BM Unit (periods) [MWh, export +]: the sum of its pairs; NaN where no pair has one."""
    known = ~np.isnan(expected_of_pairs_wh)
    total = -np.where(known, expected_of_pairs_wh, 0.0).sum(axis=0) / WH_PER_MWH
    return np.where(known.any(axis=0), total, np.nan)


# -------------------------------------------------------------------------------------------- deviation
# and delivery


def deviation_wh(expected_of_pairs_wh: Volume, measured_wh: Volume) -> Volume:
    """Deviation of each pair [Wh, export +] (pairs, periods); nothing where either side is missing: it is
    lost.
    """
    return np.nan_to_num(expected_of_pairs_wh - measured_wh, nan=0.0)


def delivered_volume(
    claimed_wh: Volume, expected_of_pairs_wh: Volume, measured_wh: Volume, cap: str
) -> Delivered:
    """What of the claimed Delivered Volumes [Wh, export +] (pairs, periods) the meters bear out.

    `cap` is the rulebook's `delivered_volume_cap`: "measured_deviation" allows a claim up to the deviation
    on its own side, "metered_volume" up to the size of the metered volume, "none" allows all. Without a
    reading nothing is.
    """
    if cap == "none":
        return Delivered(claimed_wh, np.zeros_like(claimed_wh))
    if cap == "measured_deviation":
        side = np.sign(claimed_wh)
        bound = np.maximum(side * deviation_wh(expected_of_pairs_wh, measured_wh), 0.0)
    elif cap == "metered_volume":
        bound = np.nan_to_num(np.abs(measured_wh), nan=0.0)
    else:
        raise DeviationError(
            f"delivered_volume_cap must be measured_deviation, metered_volume or none, not {cap!r}"
        )
    allowed = np.clip(claimed_wh, -bound, bound)
    return Delivered(allowed, claimed_wh - allowed)


def by_supplier(pair_wh: Volume, supplier: NDArray[np.int64], suppliers: int) -> Volume:
    """Sums over the pairs of each Supplier (suppliers, periods), from (pairs, periods) and (pairs).

    Raises DeviationError for a Supplier that there is not.
    """
    total = np.zeros((suppliers, pair_wh.shape[1]))
    if len(supplier) and not 0 <= int(supplier.min()) <= int(supplier.max()) < suppliers:
        raise DeviationError(f"Suppliers are numbered 0 to {suppliers - 1}")
    _add_up(pair_wh, supplier, total)
    return total


@njit(cache=True, nogil=True)
def _add_up(volume: NDArray[Any], group: NDArray[Any], total: Volume) -> None:
    """Add each row to that of its group, first to last."""
    for row in range(volume.shape[0]):
        for period in range(volume.shape[1]):
            total[group[row], period] += volume[row, period]


def supplier_corrected_wh(supplier_metered_wh: Volume, supplier_deviation_wh: Volume) -> Volume:
    """What each Supplier is settled on [Wh, import +] (suppliers, periods): its meters as if nothing had
    been moved.

    The Supplier is neither long nor short because of the party (N0606, N0651). Rebound in a period without
    activity is no deviation, so it stays with the Supplier.
    """
    return supplier_metered_wh + supplier_deviation_wh


# ----------------------------------------------------------------------------------------------------
# compensation


def compensation(
    rule: str,
    party_deviation_mwh: Number,
    host_deviation_mwh: Sequence[Number],
    final_demand_mwh: Sequence[Number],
    sourcing_cost_gbp_per_mwh: Number,
) -> Compensation:
    """Who pays the Suppliers for energy that they bought and a party sold, for one period.

    Every Supplier receives its deviation x Supplier Sourcing Cost (below nothing it pays: turning up used
    energy that it had not bought). `rule` is the rulebook's: "direct", the party pays its own deviation at
    that cost; "mutualised", it pays nothing; "none", no money moves. What the party does not pay is shared
    by Final Demand. Raises DeviationError for another rule, or lists of different length.
    """
    if rule not in {"none", "direct", "mutualised"}:
        raise DeviationError(f"compensation must be none, direct or mutualised, not {rule!r}")
    if len(host_deviation_mwh) != len(final_demand_mwh):
        raise DeviationError(
            f"{len(host_deviation_mwh)} Suppliers, but {len(final_demand_mwh)} Final Demands"
        )
    if rule == "none":
        nothing = (0,) * len(host_deviation_mwh)
        return Compensation(0, nothing, nothing)
    hosts = tuple(gbp_e5(sourcing_cost_gbp_per_mwh, volume) for volume in host_deviation_mwh)
    party = -gbp_e5(sourcing_cost_gbp_per_mwh, party_deviation_mwh) if rule == "direct" else 0
    residual = -(party + sum(hosts))
    return Compensation(party, hosts, share_out(residual, final_demand_mwh))


def share_out(amount_gbp_e5: int, weights: Sequence[Number]) -> tuple[int, ...]:
    """An amount split by weight into whole money units that add up to it.

    Each share is cut down; the units left over go to the largest remainders, the first of equals first.
    Raises DeviationError for an amount and no weight.
    """
    exact_weights = [exact(weight) for weight in weights]
    whole = sum(exact_weights, Fraction(0))
    if whole <= 0 or min(exact_weights) < 0:
        if amount_gbp_e5:
            raise DeviationError(
                "an amount can only be shared by weights that are not negative and not all nothing"
            )
        return (0,) * len(exact_weights)
    shares = [amount_gbp_e5 * weight / whole for weight in exact_weights]
    floors = [share.numerator // share.denominator for share in shares]
    left = amount_gbp_e5 - sum(floors)
    ranked = sorted(range(len(shares)), key=lambda place: (floors[place] - shares[place], place))
    for place in ranked[:left]:
        floors[place] += 1
    return tuple(floors)
