"""From a Virtual Trading Party's position to statement lines: trades, imbalance, the Suppliers' compensation.

This owns signs and counterparties of one unit and settlement period, no formula: those are
`protocol.settlement` and `protocol.deviation_volume`. A deviation is positive for turning down (export
positive, R13), and so is what was sold. Lines of the party are positive when paid to it; what the BSC and
Suppliers settle between themselves stands apart and is positive when paid to the payee. Rules: docs/rules.md
R173-R179.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from markets.statement_lines import BSC_CLEARING, Heading, line
from markets.wholesale import position_mwh
from protocol.deviation_volume import Compensation, compensation
from protocol.messages import StatementLine, WholesaleTrade
from protocol.products import Product
from protocol.rulebook import Rulebook
from protocol.settlement import imbalance
from protocol.units import WH_PER_MWH, gbp_e5

EXCHANGE = "exchange"
USUAL_SOURCING_COST_GBP_PER_MWH = 92.87
"""Mean of the two quarters seen, 87.21 and 98.53 (S0142, N0659); for all other quarters: assumed."""

TRADE = "contract: price x volume traded"
COMPENSATION = "T4.3C, T4.11: Deviation Volume x Supplier Sourcing Cost (N0653, N0669)"
HOST = "T4.3C: compensation volume x Supplier Sourcing Cost (N0668, N0656)"
MUTUALISED = "T4.11: shared among all Suppliers by Final Demand"


@dataclass(frozen=True, slots=True)
class SupplierMoved:
    """What a unit's assets did at one Supplier's customers in a period.

    `metered_wh`: the Supplier's own meters, import-positive. `moved_wh`: expected less metered of the unit's
    assets, positive for turning down. `final_demand_wh`: by which residues are shared.
    """

    name: str
    metered_wh: int
    moved_wh: int
    final_demand_wh: int


@dataclass(frozen=True, slots=True)
class SupplierPosition:
    """Where a Supplier is left: what it is settled on, import-positive, and what it was moved by.

    `deviation_wh` (positive for turning down) was taken out, so that it is neither long nor short of it;
    `rebound_wh` (positive for drawing more) was nobody's deviation and stays with it.
    """

    name: str
    settled_wh: int
    deviation_wh: int
    rebound_wh: int


@dataclass(frozen=True, slots=True)
class WholesalePrices:
    """Prices of one period [GBP/MWh]; `system` None where it is not known: then there is no imbalance."""

    system_gbp_per_mwh: float | None
    sourcing_cost_gbp_per_mwh: float


@dataclass(frozen=True, slots=True)
class SettledPosition:
    """One unit and period: the party's lines, those of others, each Supplier's position, and the volumes
    [Wh] behind them, positive for sold and for turned down.
    """

    lines: tuple[StatementLine, ...]
    between_others: tuple[StatementLine, ...]
    suppliers: tuple[SupplierPosition, ...]
    sold_wh: int
    deviation_wh: int

    @property
    def net_gbp_e5(self) -> int:
        """What the party is left with: trades less compensation, and imbalance either way [1e-5 GBP]."""
        return sum(item.amount_gbp_e5 for item in self.lines)


def supplier(name: str) -> str:
    """A Supplier as payer or payee."""
    return f"supplier:{name}"


def sourcing_cost_gbp_per_mwh(rules: Rulebook, told_gbp_per_mwh: float | None) -> float:
    """The Supplier Sourcing Cost: what is told, else the rulebook's ("bsc") of its day, else the usual."""
    if told_gbp_per_mwh is not None:
        return told_gbp_per_mwh
    known = rules.rules.get("supplier_sourcing_cost_gbp_per_mwh")
    return USUAL_SOURCING_COST_GBP_PER_MWH if known is None else float(known.value)


def settle_position(
    settlement_run: str,
    unit: str,
    start_ms: int,
    trades: Sequence[WholesaleTrade],
    moved: Sequence[SupplierMoved],
    notified: bool,
    prices: WholesalePrices,
    rules: Rulebook,
) -> SettledPosition:
    """One unit in one settlement period.

    `trades` of the unit; those that do not cover the period are of no account, an hour counts half in each of
    its own. Not `notified` in time (WMAN), nothing is the party's deviation: what it sold is imbalance whole,
    and what its assets did falls on their Suppliers (R175). `rules`: the rulebook "bsc" of the day.
    """
    heading = Heading(settlement_run, Product.WHOLESALE.value, unit, "", start_ms, BSC_CLEARING)
    own = [trade for trade in trades if trade.unit == unit and trade.start_ms <= start_ms < trade.end_ms]
    sold_mwh = sum((_part_mwh(trade) for trade in own), Fraction(0))
    deviations_wh = [one.moved_wh if notified else 0 for one in moved]
    deviation_mwh = Fraction(sum(deviations_wh), WH_PER_MWH)
    owed = compensation(
        rules.value("wholesale_compensation"),
        deviation_mwh,
        [Fraction(wh, WH_PER_MWH) for wh in deviations_wh],
        [one.final_demand_wh for one in moved],
        prices.sourcing_cost_gbp_per_mwh,
    )
    lines = [_trade_line(heading, trade) for trade in own]
    lines += _imbalance_lines(heading, deviation_mwh, sold_mwh, prices.system_gbp_per_mwh)
    lines += _compensation_lines(heading, owed, deviation_mwh, prices.sourcing_cost_gbp_per_mwh)
    return SettledPosition(
        lines=tuple(lines),
        between_others=tuple(_suppliers_lines(heading, owed, moved, deviations_wh, prices)),
        suppliers=tuple(_left_with(one, wh) for one, wh in zip(moved, deviations_wh, strict=True)),
        sold_wh=round(sold_mwh * WH_PER_MWH),
        deviation_wh=sum(deviations_wh),
    )


def _part_mwh(trade: WholesaleTrade) -> Fraction:
    """What a trade is in each of its settlement periods [MWh]."""
    return position_mwh(trade.sold_mwh, trade.start_ms, trade.end_ms)


def _trade_line(heading: Heading, trade: WholesaleTrade) -> StatementLine:
    """The period's part of a trade; negative where the party bought."""
    part_mwh, price = _part_mwh(trade), trade.price_gbp_per_mwh
    own = replace(heading, reference=trade.order_id, counterparty=EXCHANGE)
    item = "sale" if part_mwh > 0 else "purchase"
    return line(own, f"{trade.auction} {item}", float(part_mwh), price, gbp_e5(price, part_mwh), TRADE)


def _imbalance_lines(
    heading: Heading, deviation_mwh: Fraction, sold_mwh: Fraction, system_gbp_per_mwh: float | None
) -> list[StatementLine]:
    """What was moved beyond what was sold, at the system price; of nothing there is no line."""
    if system_gbp_per_mwh is None or deviation_mwh == sold_mwh:
        return []
    out = imbalance(deviation_mwh, 0, sold_mwh, system_gbp_per_mwh)
    return [line(heading, "imbalance", out.volume_mwh, system_gbp_per_mwh, -out.charge_gbp_e5, out.clause)]


def _compensation_lines(
    heading: Heading, owed: Compensation, deviation_mwh: Fraction, cost_gbp_per_mwh: float
) -> list[StatementLine]:
    """What the party pays into the pot, and gets out of it for turning up; no line where it pays nothing."""
    if not owed.party_gbp_e5:
        return []
    volume_mwh = -float(deviation_mwh)
    amount_gbp_e5 = owed.party_gbp_e5
    item = "Supplier compensation"
    return [line(heading, item, volume_mwh, cost_gbp_per_mwh, amount_gbp_e5, COMPENSATION)]


def _suppliers_lines(
    heading: Heading,
    owed: Compensation,
    moved: Sequence[SupplierMoved],
    deviations_wh: Sequence[int],
    prices: WholesalePrices,
) -> list[StatementLine]:
    """What clearing pays each Supplier for its own customers, and collects from all for the rest."""
    cost, found = prices.sourcing_cost_gbp_per_mwh, []
    for place, one in enumerate(moved):
        host_mwh = deviations_wh[place] / WH_PER_MWH
        found.append(
            _between(
                heading, "compensation of the host", one.name, host_mwh, cost, owed.hosts_gbp_e5[place], HOST
            )
        )
        shared = owed.shared_gbp_e5[place]
        found.append(_between(heading, "compensation shared", one.name, 0.0, cost, shared, MUTUALISED))
    return [item for item in found if item.amount_gbp_e5]


def _between(
    heading: Heading, item: str, name: str, volume_mwh: float, price: float, amount_gbp_e5: int, clause: str
) -> StatementLine:
    """A line between BSC clearing and a Supplier, who is paid where the amount is positive."""
    paid = amount_gbp_e5 >= 0
    drawn = line(heading, item, volume_mwh, price, abs(amount_gbp_e5), clause)
    payer, payee = (BSC_CLEARING, supplier(name)) if paid else (supplier(name), BSC_CLEARING)
    return replace(drawn, payer=payer, payee=payee)


def _left_with(one: SupplierMoved, deviation_wh: int) -> SupplierPosition:
    """The Supplier's position: its meters as if nothing had been moved, and the rebound that it keeps."""
    return SupplierPosition(
        name=one.name,
        settled_wh=one.metered_wh + deviation_wh,
        deviation_wh=deviation_wh,
        rebound_wh=deviation_wh - one.moved_wh,
    )
