"""What of each cell is sold to whom and when, and whether it may serve one sale more. Pure functions.

The seam to `protocol.stacking`, which speaks of one asset: here a cell, whose members are in the same units.
A unit's megawatts are counted on its cells by weight. Capacity is no sale of volume: what others deliver
counts for it (load following), so it takes nothing away from anybody.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from aggregator.instructions import BALANCING, DFS, Plan, Segment
from aggregator.settings import ServiceRules
from protocol.products import Product
from protocol.stacking import Commitment, Stage, may_serve

PRODUCTS = {BALANCING: Product.BM, DFS: Product.DFS}
"""What a plan's service is called where it is not its product's own name."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One sale of a unit, offered or made: its cells and what it asks for when (`segments`).

    `key`: the plan, bid or offer that it stands for.
    """

    product: Product
    key: str
    cells: tuple[int, ...]
    segments: tuple[Segment, ...]
    agreed_ms: int

    def most_w(self, start_ms: int, end_ms: int) -> int:
        """What is asked for between two moments, where it is most either way [W]."""
        found = [
            w
            for from_ms, from_w, until_ms, until_w in self.segments
            if from_ms < end_ms and start_ms < until_ms
            for w in (from_w, until_w)
        ]
        return max(found, key=abs, default=0)

    def part_of(self, cells: Iterable[int], weights: Mapping[int, int]) -> float:
        """The part of it that some cells carry."""
        mine = sum(weights[cell] for cell in cells if cell in self.cells)
        return mine / sum(weights[cell] for cell in self.cells)

    def overlaps(self, start_ms: int, end_ms: int) -> bool:
        """Whether it asks for anything between two moments."""
        return any(each[0] < end_ms and start_ms < each[2] for each in self.segments)


def product_of(service: str) -> Product:
    """The product that a plan serves."""
    return PRODUCTS[service] if service in PRODUCTS else Product(service)


def claim_of(plan: Plan) -> Claim:
    """What an accepted instruction claims."""
    return Claim(
        product_of(plan.service), plan.instruction_id, tuple(plan.cells), plan.segments, plan.rank[0]
    )


def steps(start_ms: int, end_ms: int, every_ms: int, megawatts: Sequence[float]) -> tuple[Segment, ...]:
    """Megawatts by period as what is asked for; nothing where there are none."""
    found = []
    for from_ms, mw in zip(range(start_ms, end_ms, every_ms), megawatts, strict=False):
        w = round(mw * 1e6)
        if w:
            found.append((from_ms, w, min(from_ms + every_ms, end_ms), w))
    return tuple(found)


def sold_w(
    claims: Iterable[Claim], cells: Sequence[int], weights: Mapping[int, int], start_ms: int, end_ms: int
) -> tuple[int, int]:
    """What of some cells is sold between two moments: to be turned down, and up, both >= 0 [W]."""
    down_w = up_w = 0
    for claim in claims:
        if claim.product is Product.CAPACITY_MARKET:
            continue
        w = round(claim.most_w(start_ms, end_ms) * claim.part_of(cells, weights))
        down_w, up_w = down_w + max(w, 0), up_w + max(-w, 0)
    return down_w, up_w


def moved_w(
    claims: Iterable[Claim], cells: Sequence[int], weights: Mapping[int, int], start_ms: int, end_ms: int
) -> int:
    """By how much some cells will be turned down on the whole by what is sold of them [W]."""
    down_w, up_w = sold_w(claims, cells, weights, start_ms, end_ms)
    return down_w - up_w


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a cell may serve; if not, why; if it may, the keys of claims that it has to leave for it."""

    allowed: bool
    reason: str
    displaced: tuple[str, ...] = ()


def judge(
    claims: Sequence[Claim],
    new: Claim,
    cell: int,
    available_w: Sequence[int],
    weights: Mapping[int, int],
    rules: ServiceRules,
    stage: Stage,
) -> Judgement:
    """Whether a cell that carries its part of `claims` may carry its part of `new` besides, piece by piece.

    `available_w`: what the whole unit of `new` could do in each of its segments, sold or not.
    """
    others = [claim for claim in claims if cell in claim.cells and claim.key != new.key]
    share, gone = new.part_of([cell], weights), set[str]()
    for (start_ms, _, end_ms, _), unit_w in zip(new.segments, available_w, strict=True):
        held = [
            _commitment(claim, cell, weights, start_ms, end_ms) for claim in others if claim.key not in gone
        ]
        asked = _commitment(new, cell, weights, start_ms, end_ms)
        able_w = math.ceil(unit_w * share) + len(held) + 1  # each part is rounded
        found = may_serve(held, asked, able_w, rules.primacy, rules.on, stage)
        if found.allowed:
            continue
        gone |= {each.key for each in found.displaces}
        kept = [each for each in held if each.key not in gone]
        if (
            len(kept) == len(held)
            or not may_serve(kept, asked, able_w, rules.primacy, rules.on, stage).allowed
        ):
            worst = min(found.blocks, key=lambda block: block.answer)
            return Judgement(False, f"{worst.reason} ({worst.clause})")
    return Judgement(True, "", tuple(sorted(gone)))


def _commitment(
    claim: Claim, cell: int, weights: Mapping[int, int], start_ms: int, end_ms: int
) -> Commitment:
    """A claim as one cell carries it between two moments; where it asks for nothing then, at another time."""
    pieces = [each for each in claim.segments if each[0] < end_ms and start_ms < each[2]]
    if pieces:
        from_ms, until_ms = max(start_ms, pieces[0][0]), min(end_ms, pieces[-1][2])
    else:
        from_ms, _, until_ms, _ = claim.segments[0]
    unit_w = claim.most_w(from_ms, until_ms)
    w = round(unit_w * claim.part_of([cell], weights))
    return Commitment(
        claim.product, from_ms, until_ms, w or (1 if unit_w >= 0 else -1), claim.agreed_ms, claim.key
    )
