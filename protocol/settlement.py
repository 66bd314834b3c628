"""From volumes to pounds: BM cashflows, non-delivery, imbalance and DFS payment, as pure functions.

Volumes are signed as market-wide: export positive at BM-Unit level, QAO >= 0, QAB <= 0. Cashflows are
positive when paid to the party; charges (non-delivery, imbalance) are positive when the party pays, as in
the BSC Section T Simple Guide v37.0. Amounts are rounded once per line to 1e-5 GBP and totals are sums of
rounded lines, so that every statement adds up (R12). Hard cases: docs/rules.md R40-R47 (DFS), R50-R56 (BM).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from protocol.accepted_volume import BEYOND_PAIRS, AcceptanceVolume, pair_volumes
from protocol.messages import BidOfferPair
from protocol.rulebook import Rulebook
from protocol.units import Number, exact, gbp_e5

PERIOD_HOURS = Fraction(1, 2)

T3_OFFER = "BSC Section T3: CO = QAO x PO x TLM"
T3_BID = "BSC Section T3: CB = QAB x PB x TLM"
T3_UNPRICED = "BSC Section T3: no pair submitted for this volume"
T4_EXPECTED_FPN = "BSC Section T4: QME = Period FPN + QAO + QAB"
T4_EXPECTED_SEV = "P376: QME = Settlement Expected Volume + QAO + QAB"
T4_NON_DELIVERY = "BSC Section T4: non-delivery [M]"
T4_IMBALANCE = "BSC Section T4: CAEI = -QAEI x system price"


class SettlementError(ValueError):
    """Volumes or prices that cannot be settled."""


# -------------------------------------------------------------------------------- Balancing Mechanism


@dataclass(frozen=True, slots=True)
class PairLine:
    """One amount for one pair. Its sign is that of the whole it belongs to: see there."""

    item: str
    pair: int
    volume_mwh: float
    price_gbp_per_mwh: float
    amount_gbp_e5: int
    clause: str


@dataclass(frozen=True, slots=True)
class BmCashflow:
    """Period BM Unit Cashflow; amounts are positive when paid to the lead party."""

    lines: tuple[PairLine, ...]

    @property
    def total_gbp_e5(self) -> int:
        """The sum of the lines."""
        return sum(line.amount_gbp_e5 for line in self.lines)


@dataclass(frozen=True, slots=True)
class ExpectedVolume:
    """Period Expected Metered Volume QME and what it is made of [MWh, export positive]."""

    base_mwh: float
    accepted_mwh: float
    expected_mwh: float
    clause: str


@dataclass(frozen=True, slots=True)
class NonDelivery:
    """Non-delivered offer (>= 0) and bid (<= 0) volume; amounts are positive when the party pays."""

    offer_mwh: float
    bid_mwh: float
    lines: tuple[PairLine, ...]

    @property
    def charge_gbp_e5(self) -> int:
        """The sum of the lines."""
        return sum(line.amount_gbp_e5 for line in self.lines)


@dataclass(frozen=True, slots=True)
class Imbalance:
    """Account Energy Imbalance Volume QAEI (positive: long) and its charge, positive when the party pays."""

    volume_mwh: float
    price_gbp_per_mwh: float
    charge_gbp_e5: int
    clause: str


def bm_cashflow(
    volumes: Iterable[AcceptanceVolume], pairs: Sequence[BidOfferPair], tlm: Number = 1
) -> BmCashflow:
    """CO and CB of every pair with accepted volume, multiplied by the Transmission Loss Multiplier.

    Undoing an earlier bid is offer volume on its negative pair and earns that pair's offer price; and the
    reverse (rule R31). Volume beyond all pairs gets a line of nothing (rule R34). Raises SettlementError
    for volume of a pair that is not given.
    """
    by_number = {pair.number: pair for pair in pairs}
    lines: list[PairLine] = []
    for number, (offer, bid) in pair_volumes(volumes).items():
        if number == BEYOND_PAIRS:
            beyond = (volume for volume in (offer, bid) if volume)
            lines += [PairLine("unpriced", number, float(volume), 0.0, 0, T3_UNPRICED) for volume in beyond]
            continue
        pair = _submitted(by_number, number)
        if offer:
            lines.append(_line("CO", number, offer, pair.offer_gbp_per_mwh, tlm, T3_OFFER))
        if bid:
            lines.append(_line("CB", number, bid, pair.bid_gbp_per_mwh, tlm, T3_BID))
    return BmCashflow(tuple(lines))


def expected_volume(
    period_fpn_mwh: float, volumes: Iterable[AcceptanceVolume], settlement_expected_mwh: float | None = None
) -> ExpectedVolume:
    """QME: what the meter should show after all acceptances.

    The base is the Settlement Expected Volume where the unit is Baselined (give it), else the Period FPN
    (rule R51).
    """
    accepted = sum(sum(both) for number, both in pair_volumes(volumes).items() if number != BEYOND_PAIRS)
    baselined = settlement_expected_mwh is not None
    base = exact(period_fpn_mwh if settlement_expected_mwh is None else settlement_expected_mwh)
    clause = T4_EXPECTED_SEV if baselined else T4_EXPECTED_FPN
    return ExpectedVolume(float(base), float(accepted), float(base + accepted), clause)


def non_delivery(
    expected_mwh: float,
    metered_mwh: float,
    volumes: Iterable[AcceptanceVolume],
    pairs: Sequence[BidOfferPair],
    system_price_gbp_per_mwh: Number,
    tlm: Number = 1,
) -> NonDelivery:
    """What was accepted but not delivered, and what that costs [M: docs/rules.md R52].

    A meter short of QME is missing offers, at most as many as were accepted, dearest first; a meter above
    QME is missing bids, lowest price first. Each missing MWh costs what its price exceeds the system price
    by (offers), or falls short of it by (bids), never less than nothing. Raises SettlementError for volume
    of a pair that is not given.
    """
    by_pair = {number: both for number, both in pair_volumes(volumes).items() if number != BEYOND_PAIRS}
    by_number = {pair.number: pair for pair in pairs}
    priced = [(_submitted(by_number, number), offer, bid) for number, (offer, bid) in by_pair.items()]
    offers = sorted((exact(pair.offer_gbp_per_mwh), pair.number, offer) for pair, offer, _ in priced)[::-1]
    bids = sorted((exact(pair.bid_gbp_per_mwh), pair.number, -bid) for pair, _, bid in priced)
    system_price = exact(system_price_gbp_per_mwh)
    shortfall = exact(expected_mwh) - exact(metered_mwh)
    lines: list[PairLine] = []
    missing_offer = missing_bid = Fraction(0)
    for price, number, missing in _fill(offers, max(shortfall, Fraction(0))):
        missing_offer += missing
        lines.append(_loss("QNDO", number, missing, price, max(price - system_price, Fraction(0)), tlm))
    for price, number, missing in _fill(bids, max(-shortfall, Fraction(0))):
        missing_bid -= missing
        lines.append(_loss("QNDB", number, -missing, price, min(price - system_price, Fraction(0)), tlm))
    return NonDelivery(float(missing_offer), float(missing_bid), tuple(lines))


def imbalance(
    credited_mwh: Number,
    balancing_services_mwh: Number,
    contract_mwh: Number,
    system_price_gbp_per_mwh: Number,
) -> Imbalance:
    """QAEI = credited energy - balancing services - net contracts, cashed out at the single system price.

    A long account is paid and a short one pays, as long as the price is positive. `credited_mwh` is the
    metered volume times TLM; `contract_mwh` is positive for what the account sold.
    """
    volume = exact(credited_mwh) - exact(balancing_services_mwh) - exact(contract_mwh)
    charge = -gbp_e5(system_price_gbp_per_mwh, volume)
    return Imbalance(float(volume), float(system_price_gbp_per_mwh), charge, T4_IMBALANCE)


def _submitted(by_number: Mapping[int, BidOfferPair], number: int) -> BidOfferPair:
    if number not in by_number:
        raise SettlementError(f"volume was accepted on pair {number}, but {sorted(by_number)} were submitted")
    return by_number[number]


def _fill(
    stack: list[tuple[Fraction, int, Fraction]], wanted: Fraction
) -> list[tuple[Fraction, int, Fraction]]:
    """The first `wanted` MWh of a stack of (price, pair, MWh >= 0), in its order."""
    filled: list[tuple[Fraction, int, Fraction]] = []
    for price, number, volume in stack:
        taken = min(volume, wanted)
        wanted -= taken
        if taken:
            filled.append((price, number, taken))
    return filled


def _line(item: str, pair: int, volume: Fraction, price: float, tlm: Number, clause: str) -> PairLine:
    return PairLine(item, pair, float(volume), price, gbp_e5(price, volume, tlm), clause)


def _loss(item: str, pair: int, volume: Fraction, price: Fraction, excess: Fraction, tlm: Number) -> PairLine:
    return PairLine(item, pair, float(volume), float(price), gbp_e5(excess, volume, tlm), T4_NON_DELIVERY)


# -------------------------------------------------------------------------- Demand Flexibility Service


@dataclass(frozen=True, slots=True)
class DfsPayment:
    """What one DFS Unit earns in one Settlement Period; a negative amount is paid by the provider.

    `delivered_pct` is of the accepted volume; `factor` is what multiplies price x accepted volume.
    """

    accepted_mwh: float
    delivered_mwh: float
    delivered_pct: float
    factor: float
    amount_gbp_e5: int
    clause: str


def guaranteed_acceptance(
    rules: Rulebook, price_gbp_per_mwh: Number, test: bool, test_number: int = 1, turn_up: bool = False
) -> bool:
    """Whether a bid is sure to be accepted because of the Guaranteed Acceptance Price.

    It is on the first `guaranteed_tests` tests (counted from 1), for bids at or below the price; live
    events never. The guarantee is of acceptance only: what is paid is the bid's own price (rule R41).
    """
    direction = "_turn_up" if turn_up else ""
    price = rules.value(f"guaranteed_acceptance_price{direction}_gbp_per_mwh")
    tests = rules.value("guaranteed_tests")
    if not test or price is None or (tests is not None and test_number > tests):
        return False
    return exact(price_gbp_per_mwh) <= exact(price)


def dfs_delivered_wh(
    baseline_wh: NDArray[np.float64],
    metered_wh: NDArray[np.int64] | NDArray[np.float64],
    netting: str,
    turn_up: bool = False,
) -> NDArray[np.float64]:
    """What a unit's homes delivered together in each period [Wh] (periods), from (homes, periods).

    Turn-down is baseline less metered, turn-up the reverse. `netting` is the rulebook's opt_out_netting or
    opt_in_netting: "net" lets increases count against the unit, "positive_only" leaves them out home by
    home and period by period. A home whose baseline or reading is NaN delivers nothing (rule R43).
    """
    if netting not in {"net", "positive_only"}:
        raise SettlementError(f"netting must be net or positive_only, not {netting!r}")
    delivered = np.nan_to_num(metered_wh - baseline_wh if turn_up else baseline_wh - metered_wh, nan=0.0)
    counted = delivered if netting == "net" else np.maximum(delivered, 0.0)
    total: NDArray[np.float64] = counted.sum(axis=0)
    return total


def dfs_payment(
    rules: Rulebook, accepted_mw: Number, price_gbp_per_mwh: Number, delivered_mwh: Number
) -> DfsPayment:
    """The payment of one unit for one Settlement Period by the rulebook's `settlement_rule`.

    "delivered_x_price": delivered MWh x price, never below nothing, up to `delivery_cap_pct` where there is
    one (R42). "performance_curve": S = 0.5 x P x Q x K, K read off the curve at the delivered percentage;
    below nothing the provider pays (R44). Raises SettlementError for an accepted level that is not
    positive.
    """
    if accepted_mw <= 0:
        raise SettlementError(f"a payment needs an accepted level above 0 MW, not {accepted_mw}")
    accepted = exact(accepted_mw) * PERIOD_HOURS
    ratio_pct = 100 * exact(delivered_mwh) / accepted
    rule = rules.rule("settlement_rule")
    if rule.value == "performance_curve":
        factor = payment_factor(ratio_pct, rules.value("performance_curve"))
    else:
        cap_pct = rules.value("delivery_cap_pct")
        factor = max(Fraction(0), ratio_pct if cap_pct is None else min(ratio_pct, exact(cap_pct))) / 100
    return DfsPayment(
        accepted_mwh=float(accepted),
        delivered_mwh=float(exact(delivered_mwh)),
        delivered_pct=float(ratio_pct),
        factor=float(factor),
        amount_gbp_e5=gbp_e5(price_gbp_per_mwh, accepted, factor),
        clause=f"DFS {rules.edition} {rule.value}: {rule.clause}",
    )


def payment_factor(delivered_pct: Number, curve: Sequence[Sequence[Number]]) -> Fraction:
    """K at a delivered percentage: linear between the curve's corners (percent, K), flat outside them."""
    ratio = exact(delivered_pct)
    corners = [(exact(percent), exact(factor)) for percent, factor in curve]
    if ratio <= corners[0][0]:
        return corners[0][1]
    for (left, low), (right, high) in pairwise(corners):
        if ratio <= right:
            return low + (high - low) * (ratio - left) / (right - left)
    return corners[-1][1]
