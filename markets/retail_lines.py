"""What homes pay their Supplier: half-hourly import x price, as statement lines between the two.

Bills are of import alone: export, standing charges and taxes are left out, and energy in one half-hour is
net at the boundary meter. Amounts are summed exactly and rounded once. Rule: docs/rules.md R189.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from protocol.messages import I64, StatementLine
from protocol.periods import day_start_ms
from protocol.products import Product
from protocol.units import WH_PER_MWH, gbp, wh_to_mwh

CUSTOMERS, SUPPLIER = "customers", "supplier"
SERVICE = Product.STATIC_TOU.value
CLAUSE = "half-hourly import x the tariff's price"


@dataclass(frozen=True, slots=True)
class TariffDay:
    """One tariff's bills of one day: energy imported [Wh], and what it costs [Wh x 1e-5 GBP/MWh]."""

    day: date
    tariff: str
    import_wh: int
    cost: int


def cost(import_wh: I64, price_gbp_e5_per_mwh: I64) -> I64:
    """What net import costs, exactly [Wh x 1e-5 GBP/MWh], any shape; export earns nothing."""
    return np.asarray(np.maximum(import_wh, 0) * price_gbp_e5_per_mwh)


def rounded_gbp_e5(cost: I64) -> I64:
    """Money of a cost [1e-5 GBP], rounded half up."""
    return np.asarray((cost + WH_PER_MWH // 2) // WH_PER_MWH)


def bill_line(of: TariffDay, settlement_run: str = "bill") -> StatementLine:
    """What the customers of a tariff owe the Supplier for a day; the price is the mean that they paid."""
    amount = int(rounded_gbp_e5(np.array(of.cost)))
    volume_mwh = float(wh_to_mwh(of.import_wh))
    return StatementLine(
        settlement_run=settlement_run,
        service=SERVICE,
        unit=of.tariff,
        reference=of.day.isoformat(),
        start_ms=day_start_ms(of.day),
        item="retail bill",
        volume_mwh=volume_mwh,
        price_gbp_per_mwh=float(gbp(amount)) / volume_mwh if volume_mwh else 0.0,
        amount_gbp_e5=amount,
        payer=CUSTOMERS,
        payee=SUPPLIER,
        clause=CLAUSE,
    )
