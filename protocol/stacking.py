"""What may be sold together, who goes first, and which kWh is paid to whom. One decision for every stage.

`may_serve` is asked by enrolment, planning, dispatch and settlement alike; `allocate` shares out a measured
deviation so that each kWh is paid once. Rules are data: the ENA matrices and the orders of primacy in
`stacking.yaml`, dated rules of DFS and LCM in the rulebooks, patched by derogations. What no source says
stays UNKNOWN. Hard cases: docs/rules.md R110-R119.

Signs: turning demand down is positive, turning it up negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numba import njit

from protocol.derogations import RulesOn
from protocol.messages import I8, I64
from protocol.products import TITLES, Answer, Block, Product, all_of
from protocol.rulebook import Rule

FILE = Path(__file__).parent / "stacking.yaml"

_CELLS = {"Y": Answer.YES, "(Y)": Answer.YES, "?": Answer.UNKNOWN, "(N)": Answer.NO, "N": Answer.NO}
_NOT_APPLICABLE = "-"
_DIMENSION = "exclusivity"


class Mode(StrEnum):
    """How two sales meet on one asset."""

    CO_DELIVERY = "co_delivery"  # the same MW at the same time
    SPLITTING = "splitting"  # different MW at the same time
    JUMPING = "jumping"  # at different times


class Stage(StrEnum):
    """When it is asked. Enrolment asks whether there is any way; the others ask of this very window."""

    ENROL = "enrol"
    PLAN = "plan"
    DISPATCH = "dispatch"
    SETTLE = "settle"


class Primacy(StrEnum):
    """Who goes first where two claims meet."""

    ESO_FIRST = "eso_first"
    DSO_FIRST = "dso_first"
    CONTRACT_FIRST = "contract_first"


@dataclass(frozen=True, slots=True)
class Commitment:
    """One sale of one asset: from `start_ms` to before `end_ms`, `turn_down_w` (negative: turn-up).

    `agreed_ms`: when it was contracted. `key` tells commitments of one asset apart and breaks ties.
    """

    product: Product
    start_ms: int
    end_ms: int
    turn_down_w: int
    agreed_ms: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether an asset may serve one more commitment.

    `blocks`: every rule that does not say yes. `pay_order`: all commitments of the window that are paid for
    volume, in the order in which `allocate` gives them the measured deviation. `displaces`: the held ones
    that stand in the way and rank below the new one: without them it may be asked again.
    """

    answer: Answer
    blocks: tuple[Block, ...]
    pay_order: tuple[Commitment, ...]
    displaces: tuple[Commitment, ...]

    @property
    def allowed(self) -> bool:
        """Yes, and nothing less: unknown is not allowed."""
        return self.answer is Answer.YES


def may_serve(
    held: Sequence[Commitment],
    new: Commitment,
    available_w: int | None,
    policy: Primacy,
    rules: RulesOn,
    stage: Stage = Stage.DISPATCH,
) -> Decision:
    """Whether an asset that holds `held` may serve `new` as well.

    `available_w`: the most by which the asset can deviate in the window [W]. Where all sales of volume fit
    into it at any time, they are of different MW (splitting), else some are of the same (co-delivery). None:
    not known, and both have to be allowed. Raises RuleError for an unknown derogation.
    """
    blocks: list[Block] = []
    displaced: list[Commitment] = []
    for each in held:
        found = _between(each, new, _modes(each, new, held, available_w, stage), rules, stage)
        blocks += found
        if all_of(found) is not Answer.YES and _rank(new, policy) < _rank(each, policy):
            displaced.append(each)
    meeting = [each for each in held if _overlap(each, new)]
    return Decision(all_of(blocks), tuple(blocks), pay_order([*meeting, new], policy), tuple(displaced))


def may_hold(held: Product, new: Product, rules: RulesOn) -> tuple[Block, ...]:
    """What stands in the way of being enrolled in both; empty where nothing does.

    Asked without windows: the most permissive way of meeting counts.
    """
    return _in_any_way(held, new, rules)


def answer_table(mode: Mode, rules: RulesOn, *, opposed: bool = False) -> I8:
    """What `may_serve` says of any two products that meet in one way: `Answer` (products, products).

    For whole fleets: rows and columns in the order of `Product`. `opposed`: they go opposite ways.
    """
    answers = [
        [
            all_of(_pair_blocks(one, other, mode, opposed and mode is not Mode.JUMPING, rules))
            for other in Product
        ]
        for one in Product
    ]
    return np.array(answers, np.int8)


def pay_order(claims: Iterable[Commitment], policy: Primacy) -> tuple[Commitment, ...]:
    """Those that are paid for volume, first the one that is paid first: a total order, whatever comes in."""
    paid = [each for each in claims if _products()[each.product].paid_by == "volume"]
    return tuple(sorted(paid, key=lambda each: _rank(each, policy)))


def allocate(deviation_wh: I64, claims_wh: I64) -> I64:
    """Each Wh of measured deviation paid once: volume paid to each claim [Wh] (claims, ...).

    `deviation_wh` (...): measured against the baseline, positive for turning down, of one asset, unit or
    array of them; a missing reading is 0, never the mark of a missing one. `claims_wh` (claims, ...): what
    was sold, in the order of `pay_order`, of the same sign convention. The first is filled first; a claim is
    paid at most what it sold, only what went its way, and all together never more than the deviation.
    """
    left = np.array(deviation_wh, dtype=np.int64)
    paid = np.array(np.broadcast_to(claims_wh, (len(claims_wh), *left.shape)), dtype=np.int64, order="C")
    _fill(left.reshape(-1), paid.reshape(len(paid), left.size))
    return paid


@njit(cache=True, nogil=True)
def _fill(left_wh: I64, claims_wh: I64) -> None:
    """Turn claims into what is paid, in place, first to last; `left_wh` is what nobody is paid for."""
    for place in range(claims_wh.shape[0]):
        for k in range(left_wh.shape[0]):
            claim, left = claims_wh[place, k], left_wh[k]
            if claim > 0 and left > 0:
                taken = min(claim, left)
            elif claim < 0 and left < 0:
                taken = max(claim, left)
            else:
                taken = 0
            claims_wh[place, k] = taken
            left_wh[k] = left - taken


def unpaid(deviation_wh: I64, paid_behind_wh: I64) -> I64:
    """What is left of a boundary's deviation for claims metered there, once assets behind it were paid [Wh].

    Both (...), positive for turning down; `paid_behind_wh` is the sum over those assets. The rest keeps the
    deviation's sign and never grows: an asset that was paid for the other way gives nothing back.
    """
    way = np.sign(deviation_wh)
    return np.asarray(way * np.clip(way * (deviation_wh - paid_behind_wh), 0, np.abs(deviation_wh)))


# ------------------------------------------------------------------------------------------- two commitments


def _modes(
    each: Commitment, new: Commitment, held: Sequence[Commitment], available_w: int | None, stage: Stage
) -> tuple[Mode, ...]:
    """The ways in which two commitments meet; all of them have to be allowed. At enrolment: any."""
    if stage is Stage.ENROL:
        return tuple(Mode)
    if not _overlap(each, new):
        return (Mode.JUMPING,)
    if available_w is None:
        return (Mode.SPLITTING, Mode.CO_DELIVERY)
    return (Mode.SPLITTING,) if _sold_w([*held, new], each, new) <= available_w else (Mode.CO_DELIVERY,)


def _sold_w(sales: Sequence[Commitment], each: Commitment, new: Commitment) -> int:
    """The most that is sold of an asset at any time at which two of its sales overlap [W]."""
    start_ms, end_ms = max(each.start_ms, new.start_ms), min(each.end_ms, new.end_ms)
    sold = [other for other in sales if _products()[other.product].paid_by == "volume"]
    moments = {start_ms} | {other.start_ms for other in sold if start_ms <= other.start_ms < end_ms}
    return max(
        sum(abs(other.turn_down_w) for other in sold if other.start_ms <= at_ms < other.end_ms)
        for at_ms in moments
    )


def _between(
    each: Commitment, new: Commitment, modes: Sequence[Mode], rules: RulesOn, stage: Stage
) -> tuple[Block, ...]:
    if stage is Stage.ENROL:
        return _in_any_way(each.product, new.product, rules)
    opposed = _overlap(each, new) and each.turn_down_w * new.turn_down_w < 0
    return tuple(
        block for mode in modes for block in _pair_blocks(each.product, new.product, mode, opposed, rules)
    )


def _in_any_way(one: Product, other: Product, rules: RulesOn) -> tuple[Block, ...]:
    """The blocks of the mode that blocks least; the first of equals."""
    return max((_pair_blocks(one, other, mode, False, rules) for mode in Mode), key=all_of)


def _overlap(one: Commitment, other: Commitment) -> bool:
    return one.start_ms < other.end_ms and other.start_ms < one.end_ms


def _rank(each: Commitment, policy: Primacy) -> tuple[int, int, int, str, int]:
    order = _primacy()[policy]
    buyer = _products()[each.product].buyer
    first = order.index(buyer) if buyer in order else 0
    return first, each.agreed_ms, list(Product).index(each.product), each.key, each.start_ms


# ---------------------------------------------------------------------------------------------- two products


@lru_cache(maxsize=65_536)
def _pair_blocks(
    one: Product, other: Product, mode: Mode, opposed: bool, rules: RulesOn
) -> tuple[Block, ...]:
    """Every rule that does not allow two products of one asset to meet so; the same both ways round."""
    if Product.STATIC_TOU in {one, other}:
        return ()
    if one == other:
        return _same_product(one, mode)
    pair = frozenset({one, other})
    blocks = [*_dfs_rules(pair, mode, opposed, rules), *_lcm_rules(pair, mode, rules)]
    blocks += _cell(pair, mode, rules)
    if opposed and not blocks and Product.CAPACITY_MARKET not in pair:
        why = f"{_both(pair)} go opposite ways at once, and no rule on that was found"
        blocks.append(Block(Answer.UNKNOWN, _DIMENSION, why, "not found", "not found", "NF"))
    return tuple(blocks)


def _same_product(product: Product, mode: Mode) -> tuple[Block, ...]:
    if mode is Mode.JUMPING:
        return ()
    why = f"{TITLES[product]} twice at the same time"
    clause = "the same MW cannot be sold twice"
    return (Block(Answer.NO, _DIMENSION, why, clause, _read()["sources"]["tool"], "P"),)


def _dfs_rules(pair: frozenset[Product], mode: Mode, opposed: bool, rules: RulesOn) -> Iterator[Block]:
    """What the DFS rulebook of the day says of its neighbours; nothing where DFS pauses."""
    if Product.DFS not in pair:
        return
    (other,) = pair - {Product.DFS}
    told = _products()[other]
    if other is Product.CAPACITY_MARKET:
        yield from _refused("capacity_market_stacking", pair, rules)
    elif told.buyer == "eso":
        yield from _refused("balancing_stacking", pair, rules)
        membership = rules.rule("dfs", "bm_unit_membership")
        if other is Product.BM and membership and membership.value != "any":
            yield _block(membership, Answer.NO, "an asset of DFS in a secondary BM Unit")
    elif told.buyer == "dso":
        rule = rules.rule("dfs", "dno_stacking")
        if rule and (rule.value == "none" or (opposed and mode is not Mode.JUMPING)):
            way = "" if rule.value == "none" else " in the opposite direction"
            yield _block(rule, Answer.NO, f"DFS beside {TITLES[other]}{way}")


def _refused(name: str, pair: frozenset[Product], rules: RulesOn) -> Iterator[Block]:
    """A yes-or-no rule of DFS; one that no source gives (tag NF) leaves the question open."""
    rule = rules.rule("dfs", name)
    if rule and not rule.value:
        unknown = rule.tag == "NF" and not rule.overridden
        yield _block(rule, Answer.UNKNOWN if unknown else Answer.NO, f"{_both(pair)} on one asset")


def _lcm_rules(pair: frozenset[Product], mode: Mode, rules: RulesOn) -> Iterator[Block]:
    """LCM: no BM Unit at all; nothing else but the Capacity Market in the same periods."""
    if Product.LCM not in pair or Product.CAPACITY_MARKET in pair:
        return
    if Product.BM in pair:
        rule = rules.rule("eligibility", "lcm_bm_unit_allowed")
    elif mode is Mode.JUMPING:
        return
    else:
        rule = rules.rule("eligibility", "lcm_other_service_in_period_allowed")
    if rule and not rule.value:
        yield _block(rule, Answer.NO, f"{_both(pair)} on one asset")


def _cell(pair: frozenset[Product], mode: Mode, rules: RulesOn) -> list[Block]:
    """What the ENA matrix says, a derogation's cell before it."""
    patched = rules.patched_cells().get((mode, pair))
    if patched is not None:
        cell, by = patched
        answer, clause, source, tag = _CELLS[cell], by.clause, by.source, by.tag
    else:
        answer, clause, source, tag = _tool(pair, mode, rules.on)
    if answer is Answer.YES:
        return []
    way = mode.value.replace("_", "-")
    refused = f"{_both(pair)}: {way} is refused"
    why = refused if answer is Answer.NO else f"{_both(pair)}: no source says whether {way} is allowed"
    return [Block(answer, _DIMENSION, why, clause, source, tag)]


def _tool(pair: frozenset[Product], mode: Mode, on: date) -> tuple[Answer, str, str, str]:
    """Answer, clause, source and tag of the ENA tool. Before it was published nothing is known."""
    tree = _read()
    one, other = sorted(pair)
    columns = [_products()[each].ena for each in (one, other)]
    if on < tree["sources"]["tool_from"] or None in columns:
        return Answer.UNKNOWN, "no stacking rule found", "not found", "NF"
    cell = _matrix(mode)[columns[0], columns[1]]
    if cell == _NOT_APPLICABLE:
        mode, cell = Mode.CO_DELIVERY, _matrix(Mode.CO_DELIVERY)[columns[0], columns[1]]
    clause = f"{mode.value.replace('_', '-')} {columns[0]} / {columns[1]}: {cell}"
    if cell == _NOT_APPLICABLE:
        return Answer.NO, "only one DNO product is bought in an area", tree["sources"]["tool"], "P"
    reason = _reason(columns[0], columns[1]) if _CELLS[cell] is Answer.NO else ""
    mapped = "M" if "M" in {_products()[one].tag, _products()[other].tag} else "P"
    return _CELLS[cell], f"{clause}; {reason}" if reason else clause, tree["sources"]["tool"], mapped


def _reason(one: str | None, other: str | None) -> str:
    for each in _read()["reasons"]:
        left, right = each["between"]
        if (one in left and other in right) or (other in left and one in right):
            return str(each["says"])
    return ""


def _block(rule: Rule, answer: Answer, reason: str) -> Block:
    return Block(answer, _DIMENSION, reason, rule.clause, rule.source, rule.tag)


def _both(pair: frozenset[Product]) -> str:
    return " and ".join(TITLES[each] for each in sorted(pair))


# ------------------------------------------------------------------------------------------------------ data


@dataclass(frozen=True, slots=True)
class _Told:
    """What the file says of a product."""

    ena: str | None
    buyer: str
    paid_by: str
    tag: str


@lru_cache(maxsize=1)
def _read() -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


@lru_cache(maxsize=1)
def _products() -> dict[Product, _Told]:
    return {Product(name): _Told(**body) for name, body in _read()["products"].items()}


@lru_cache(maxsize=1)
def _primacy() -> dict[Primacy, tuple[str, ...]]:
    return {Primacy(name): tuple(body["order"]) for name, body in _read()["primacy"].items()}


@lru_cache(maxsize=3)
def _matrix(mode: Mode) -> dict[tuple[str | None, str | None], str]:
    tree = _read()
    columns = tree["columns"].split()
    return {
        (row, column): cell
        for row, cells in tree["matrices"][mode.value].items()
        for column, cell in zip(columns, cells.split(), strict=True)
    }
