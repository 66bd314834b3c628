"""How much of a portfolio may be sold as what, which clauses stand in the way, and what moves with the rules.

Ratings, not what can be counted on, are summed: a unit's size here is what it is registered at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.derogations import RulesOn
from protocol.eligibility import (
    Dimension,
    Move,
    UnitFacts,
    Verdict,
    aggregation_area,
    moves,
    verdict,
    verdicts,
)
from protocol.messages import I8, I64
from protocol.products import Answer, Block, Product, all_of
from sim.asset_classes import AssetClasses

Bools = NDArray[np.bool_]

_ANY_UNIT = UnitFacts(assets=10**9)
"""A unit in which nothing is short of size: what an asset alone is judged in."""


@dataclass(frozen=True, slots=True)
class Amount:
    """So many assets, at so many sites, of so many MW of rating."""

    sites: int
    assets: int
    mw: float


@dataclass(frozen=True, slots=True)
class Cell:
    """Some assets and one product: how many are eligible or in doubt, and what blocks others, most first."""

    yes: Amount
    unknown: Amount
    blocked: tuple[tuple[Block, Amount], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Assets of one technology, control and settlement status."""

    name: str
    amount: Amount
    cells: dict[Product, Cell]


@dataclass(frozen=True, slots=True)
class Eligibility:
    """All assets, by product: `total`, and `rows` by what they are. `caps_mw`: of products that have one."""

    rules: RulesOn
    amount: Amount
    total: dict[Product, Cell]
    rows: tuple[Row, ...]
    caps_mw: dict[Product, float]


def eligibility(assets: AssetClasses, rules: RulesOn) -> Eligibility:
    """Every class against every product, in units as large as their areas allow. Raises RuleError."""
    judged = {product: _Judged(assets, product, rules) for product in Product}
    everything = np.arange(len(assets.home))
    rows = []
    for name, places in sorted(_names(assets).items()):
        named = np.flatnonzero(np.isin(assets.class_of, places))
        cells = {product: judged[product].cell(named) for product in Product}
        rows.append(Row(name, _amount(assets, named), cells))
    cap_mw = rules.value("operational_metering", "cohort_cap_mw")
    return Eligibility(
        rules=rules,
        amount=_amount(assets, everything),
        total={product: judged[product].cell(everything) for product in Product},
        rows=tuple(rows),
        caps_mw={} if cap_mw is None else {Product.BM: float(cap_mw)},
    )


def answers(assets: AssetClasses, product: Product, rules: RulesOn) -> tuple[I8, Cell]:
    """What is said of each asset (assets,) `Answer`, in units as large as areas allow, and of all of them."""
    judged = _Judged(assets, product, rules)
    return judged.answers(), judged.cell(np.arange(len(assets.home)))


def moved(before: Eligibility, after: Eligibility) -> dict[Product, tuple[Move, ...]]:
    """The rules that differ between two states of the rulebooks, by product; those without any left out."""
    found = {product: moves(product, before.rules, after.rules) for product in Product}
    return {product: each for product, each in found.items() if each}


class _Judged:
    """One product: the verdict on every (class, area) that there is, and which asset belongs to which."""

    def __init__(self, assets: AssetClasses, product: Product, rules: RulesOn) -> None:
        self._assets = assets
        self._area = assets.areas[aggregation_area(product, rules)].astype(np.int64)
        alone = verdicts(assets.classes, product, rules, [_ANY_UNIT] * len(assets.classes))
        good = np.array([each.answer is Answer.YES for each in alone], bool)[assets.class_of]
        pair = assets.class_of.astype(np.int64) * (int(self._area.max(initial=0)) + 2) + self._area + 1
        first, self._pair_of = np.unique(pair, return_index=True, return_inverse=True)[1:]
        units = self._units(good, product, rules)
        self._blocks = [
            self._of_pair(alone[int(assets.class_of[row])], row, units, product, rules)
            for row in first.tolist()
        ]
        self._answers = np.array([all_of(blocks) for blocks in self._blocks], np.int8)

    def _units(self, good: Bools, product: Product, rules: RulesOn) -> dict[int, UnitFacts]:
        """The unit of each area in which something is eligible.

        A cap on a cohort is told, not judged: which units come under it is a choice.
        """
        size = int(self._area.max(initial=0)) + 1
        mw = np.bincount(self._area[good], self._assets.rating_w[good] / 1e6, size)
        count = np.bincount(self._area[good], minlength=size)
        most_mw = rules.value("dfs", "max_unit_mw") if product is Product.DFS else None
        return {
            area: UnitFacts(_split(float(mw[area]), most_mw), int(count[area]))
            for area in np.flatnonzero(count).tolist()
        }

    def _of_pair(
        self, alone: Verdict, row: int, units: dict[int, UnitFacts], product: Product, rules: RulesOn
    ) -> tuple[Block, ...]:
        if alone.answer is not Answer.YES:
            return alone.blocks
        facts = self._assets.classes[int(self._assets.class_of[row])]
        unit = units[int(self._area[row])]
        dimensions = frozenset({Dimension.UNIT_SIZE})
        if product is Product.BM:
            dimensions |= {Dimension.OPERATIONAL_METERING}
        return verdict(facts, product, rules, unit, dimensions).blocks

    def answers(self) -> I8:
        """What is said of every asset."""
        return np.asarray(self._answers[self._pair_of])

    def cell(self, rows: I64) -> Cell:
        """What is said of these assets."""
        pair_of = self._pair_of[rows]
        answers = self._answers[pair_of]
        blocked = sorted(self._blocked(rows, pair_of), key=lambda each: -each[1].assets)
        return Cell(
            yes=_amount(self._assets, rows[answers == Answer.YES]),
            unknown=_amount(self._assets, rows[answers == Answer.UNKNOWN]),
            blocked=tuple(blocked),
        )

    def _blocked(self, rows: I64, pair_of: I64) -> Iterator[tuple[Block, Amount]]:
        pairs: dict[Block, list[int]] = {}
        for place in np.unique(pair_of).tolist():
            for block in self._blocks[place]:
                pairs.setdefault(block, []).append(place)
        has = np.zeros(len(self._blocks), bool)
        for block, places in pairs.items():
            has[:] = False
            has[places] = True
            yield block, _amount(self._assets, rows[has[pair_of]])


def _split(mw: float, most_mw: float | None) -> float:
    """The size of each of as few equal units as a greatest size allows [MW]."""
    return mw if most_mw is None or mw <= most_mw else mw / math.ceil(mw / most_mw)


def _names(assets: AssetClasses) -> dict[str, list[int]]:
    """Classes that differ by place, size or meter only share a name."""
    found: dict[str, list[int]] = {}
    for place, facts in enumerate(assets.classes):
        technology = facts.technology.name.lower().replace("_", " ")
        name = f"{technology}, {facts.control.value}, {facts.settlement.value}"
        found.setdefault(name, []).append(place)
    return found


def _amount(assets: AssetClasses, rows: I64) -> Amount:
    there = np.zeros(int(assets.home.max(initial=0)) + 1, bool)
    there[assets.home[rows]] = True
    return Amount(int(np.count_nonzero(there)), len(rows), float(assets.rating_w[rows].sum()) / 1e6)
