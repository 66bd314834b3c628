"""From settled volumes to statement lines: every pound has a payer, a payee, a clause and its arithmetic.

This owns signs and counterparties, no formula: those are `protocol.accepted_volume` and
`protocol.settlement`. A line's amount is positive when paid to the aggregator; who pays whom follows from its
sign. DFS is paid by the system operator; cashflows, non-delivery and imbalance of a BM Unit go through BSC
clearing and are borne by the unit's lead party, here the aggregator as its Virtual Lead Party. Rules:
docs/markets.md S7-S12.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from markets.counterparty import AGGREGATOR
from protocol.accepted_volume import AcceptanceVolume, accepted_volumes, profile_mwh
from protocol.messages import (
    BidOfferAcceptance,
    BidOfferPair,
    DeliveredVolume,
    DfsResult,
    Profile,
    Service,
    StatementLine,
)
from protocol.periods import PERIOD_MS
from protocol.rulebook import Rulebook
from protocol.settlement import (
    PairLine,
    bm_cashflow,
    dfs_payment,
    expected_volume,
    imbalance,
    non_delivery,
)
from protocol.units import WH_PER_MWH, exact, wh_to_mwh

NESO = "neso"
BSC_CLEARING = "bsc"

DFS = Service.DFS.name.lower()
BALANCING = Service.BALANCING.name.lower()
"""Services as statements name them."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What the lines of one unit and period have in common."""

    settlement_run: str
    service: str
    unit: str
    reference: str
    start_ms: int
    counterparty: str


@dataclass(frozen=True, slots=True)
class MeteredPeriod:
    """A BM Unit's asset meters in one period: their sum [Wh, import positive], and how many of how many are
    missing.
    """

    import_wh: int
    missing: int
    meters: int


@dataclass(frozen=True, slots=True)
class SettledPeriod:
    """The lines of one unit and period, and the volumes behind them."""

    lines: tuple[StatementLine, ...]
    volume: DeliveredVolume


def line(
    heading: Heading, item: str, volume_mwh: float, price_gbp_per_mwh: float, amount_gbp_e5: int, clause: str
) -> StatementLine:
    """One statement line; payer and payee follow from the sign of the amount."""
    paid = amount_gbp_e5 >= 0
    return StatementLine(
        settlement_run=heading.settlement_run,
        service=heading.service,
        unit=heading.unit,
        reference=heading.reference,
        start_ms=heading.start_ms,
        item=item,
        volume_mwh=volume_mwh,
        price_gbp_per_mwh=price_gbp_per_mwh,
        amount_gbp_e5=amount_gbp_e5,
        payer=heading.counterparty if paid else AGGREGATOR,
        payee=AGGREGATOR if paid else heading.counterparty,
        clause=clause,
    )


def reversal(settled: StatementLine, settlement_run: str) -> StatementLine:
    """The line that takes back one of an earlier run, so that all runs together add up to the latest."""
    return replace(
        settled,
        settlement_run=settlement_run,
        item=f"{settled.item} of {settled.settlement_run} reversed",
        volume_mwh=-settled.volume_mwh,
        amount_gbp_e5=-settled.amount_gbp_e5,
        payer=settled.payee,
        payee=settled.payer,
    )


def balances_gbp_e5(lines: Iterable[StatementLine]) -> dict[str, int]:
    """What each party has gained by the lines [1e-5 GBP]; all together nothing."""
    gained: dict[str, int] = {}
    for item in lines:
        amount = abs(item.amount_gbp_e5)
        gained[item.payee] = gained.get(item.payee, 0) + amount
        gained[item.payer] = gained.get(item.payer, 0) - amount
    return gained


def dfs_line(
    settlement_run: str, result: DfsResult, place: int, delivered_wh: int, rules: Rulebook
) -> StatementLine:
    """What one unit earns for the period at `place` of its accepted bid (a level other than 0 MW).

    `delivered_wh` [Wh] is positive for what was bought, whichever way; so is the line's volume.
    """
    accepted_mw = abs(result.turn_down_mw[place])
    payment = dfs_payment(rules, accepted_mw, result.price_gbp_per_mwh, wh_to_mwh(delivered_wh))
    start_ms = result.start_ms + place * PERIOD_MS
    heading = Heading(settlement_run, DFS, result.unit, result.event_id, start_ms, NESO)
    return line(
        heading,
        "DFS utilisation",
        payment.delivered_mwh,
        result.price_gbp_per_mwh,
        payment.amount_gbp_e5,
        payment.clause,
    )


def bm_period(
    heading: Heading,
    fpn: Profile,
    pairs: Sequence[BidOfferPair],
    acceptances: Sequence[BidOfferAcceptance],
    metered: MeteredPeriod,
    system_price_gbp_per_mwh: float | None,
    tlm: float,
) -> SettledPeriod:
    """One BM Unit in one period with an acceptance: cashflows per acceptance and pair, non-delivery,
    imbalance.

    Meters without a reading deliver nothing: they count with their share of the FPN. Without a system price
    there are cashflows only.
    """
    period = (heading.start_ms, heading.start_ms + PERIOD_MS)
    volumes = accepted_volumes(fpn, acceptances, pairs, period)
    fpn_mwh = profile_mwh(fpn, period)
    metered_mwh = _metered_mwh(fpn_mwh, metered)
    expected = expected_volume(fpn_mwh, volumes)
    lines = _cashflow_lines(heading, volumes, pairs, tlm)
    if system_price_gbp_per_mwh is not None:
        price = system_price_gbp_per_mwh
        missing = non_delivery(expected.expected_mwh, float(metered_mwh), volumes, pairs, price, tlm)
        lines += [_pair_line(heading, item, -item.amount_gbp_e5) for item in missing.lines]
        cashed_out = imbalance(metered_mwh * exact(tlm), expected.accepted_mwh, expected.base_mwh, price)
        lines.append(
            line(
                heading,
                "imbalance",
                cashed_out.volume_mwh,
                price,
                -cashed_out.charge_gbp_e5,
                cashed_out.clause,
            )
        )
    volume = DeliveredVolume(
        service=heading.service,
        unit=heading.unit,
        reference=heading.reference,
        start_ms=heading.start_ms,
        end_ms=period[1],
        baseline_wh=-round(exact(fpn_mwh) * WH_PER_MWH),
        metered_wh=-round(metered_mwh * WH_PER_MWH),
        delivered_wh=round((metered_mwh - exact(fpn_mwh)) * WH_PER_MWH),
        accepted_wh=round(exact(expected.accepted_mwh) * WH_PER_MWH),
        homes=metered.meters,
        homes_missing=metered.missing,
    )
    return SettledPeriod(tuple(lines), volume)


def _metered_mwh(fpn_mwh: float, metered: MeteredPeriod) -> Fraction:
    """QM [MWh, export positive]: what was read, plus the FPN's share for meters without a reading (all, for
    none).
    """
    share = Fraction(metered.missing, metered.meters) if metered.meters else Fraction(1)
    return exact(fpn_mwh) * share - Fraction(metered.import_wh, WH_PER_MWH)


def _cashflow_lines(
    heading: Heading, volumes: Sequence[AcceptanceVolume], pairs: Sequence[BidOfferPair], tlm: float
) -> list[StatementLine]:
    """CO and CB, one line per acceptance and pair."""
    lines: list[StatementLine] = []
    for number in dict.fromkeys(volume.acceptance for volume in volumes):
        own = replace(heading, reference=str(number))
        cashflow = bm_cashflow([volume for volume in volumes if volume.acceptance == number], pairs, tlm)
        lines += [_pair_line(own, item, item.amount_gbp_e5) for item in cashflow.lines]
    return lines


def _pair_line(heading: Heading, item: PairLine, amount_gbp_e5: int) -> StatementLine:
    return line(
        heading,
        f"{item.item} pair {item.pair:+d}",
        item.volume_mwh,
        item.price_gbp_per_mwh,
        amount_gbp_e5,
        item.clause,
    )
