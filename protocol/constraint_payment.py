"""What an action on a thermal constraint earns, and what of it leaves the Supplier's imbalance.

The Local Constraint Market's pay-as-bid in GBP/MW/h per half hour (Dec 2024 requirements [P]); how missing
energy is held against the provider was not found: in proportion, by
`protocol/rulebooks/constraint_management.yaml`. Positive is in the direction that was called, turn-up or
turn-down. Hard cases: docs/rules.md R184-R185.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocol.rulebook import Rulebook
from protocol.units import GBP_E5

PERIOD_HOURS = 0.5

Column = NDArray[np.float64]


class OptOutError(ValueError):
    """An opt-out that the edition does not have."""


def payments_gbp_e5(
    price_gbp_per_mw_h: Column, accepted_mw: Column, delivered_mwh: Column, rules: Rulebook
) -> NDArray[np.int64]:
    """Price x accepted MW x half an hour x delivered share [1e-5 GBP], any shape, each rounded once.

    The share is never below nothing nor above `delivery_cap_pct`, and nothing below `delivery_floor_pct`.
    """
    accepted_mwh = accepted_mw * PERIOD_HOURS
    share = np.divide(
        delivered_mwh, accepted_mwh, out=np.zeros(np.shape(delivered_mwh)), where=accepted_mwh > 0
    )
    counted = np.where(share * 100 >= rules.value("delivery_floor_pct"), share, 0.0)
    counted = np.clip(counted, 0.0, rules.value("delivery_cap_pct") / 100)
    return np.rint(price_gbp_per_mw_h * accepted_mwh * counted * GBP_E5).astype(np.int64)


def supplier_adjustment_mwh(delivered_mwh: Column, turn_up: bool, opted_out: bool, rules: Rulebook) -> Column:
    """Applicable Balancing Services Volume QAS [MWh, export +], same shape: what is taken out of the
    imbalance.

    Turning up is import, so it is negative. Nothing for a provider that opted out. Raises OptOutError
    where the edition has no opt-out.
    """
    if opted_out and not rules.value("absvd_opt_out"):
        raise OptOutError(f"no opt-out from ABSVD on {rules.on}: {rules.rule('absvd_opt_out').clause}")
    if opted_out or not rules.value("absvd_applies"):
        return np.zeros_like(delivered_mwh)
    return -delivered_mwh if turn_up else delivered_mwh
