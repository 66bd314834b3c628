"""Where the network operator and the ESO want opposite things of the same assets at once: who goes first, and
what that costs who does not. Pure functions; `aggregator/desk.py` tells them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aggregator.claims import Claim
from protocol.eligibility import DSO_PRODUCTS
from protocol.periods import HOUR_MS
from protocol.products import Product

ESO_PRODUCTS = (Product.TCM, Product.LCM, Product.DFS, Product.BM)


@dataclass(frozen=True, slots=True)
class Prices:
    """What a claim earns [GBP/MWh], and for every MW held for an hour [GBP/MW/h]."""

    utilisation_gbp_per_mwh: float
    availability_gbp_per_mw_h: float


def opposed(one: Claim, other: Claim) -> bool:
    """Whether a network operator and the ESO ask for opposite things at some time."""
    buyers = {one.product in DSO_PRODUCTS, other.product in DSO_PRODUCTS}
    both = {one.product, other.product} & set(ESO_PRODUCTS)
    return (
        len(buyers) == 2
        and bool(both)
        and any(w * other.most_w(start_ms, end_ms) < 0 for start_ms, w, end_ms, _ in one.segments)
    )


def worth_gbp(claim: Claim, cells: Iterable[int], weights: Mapping[int, int], prices: Prices) -> float:
    """What some cells' part of a claim earns if all is called and delivered [GBP]."""
    mwh = sum(abs(w) * (end_ms - start_ms) / HOUR_MS / 1e6 for start_ms, w, end_ms, _ in claim.segments)
    each = prices.utilisation_gbp_per_mwh + prices.availability_gbp_per_mw_h
    return mwh * each * claim.part_of(cells, weights)


def told(winner: Claim, loser: Claim, policy: str, lost_gbp: float | None) -> str:
    """Both claims in words, who went first, and what the loser lost."""
    price = "an amount not known" if lost_gbp is None else f"{lost_gbp:.2f} GBP"
    return f"{_words(winner)} goes before {_words(loser)} ({policy}), which loses {price}"


def _words(claim: Claim) -> str:
    w = claim.most_w(claim.segments[0][0], claim.segments[-1][2])
    return f"{claim.key} ({claim.product.value}, {abs(w) / 1e6:.3g} MW {'less' if w > 0 else 'more'})"
