"""Who may sell what, and which clause forbids it: facts of a class of assets against the rules of a day.

A million assets fall into few classes (`AssetFacts`), and each class is judged once per product. The rules
are dated data: `rulebooks/eligibility.yaml` and the books of DFS, BM, BSC and operational metering, patched
by derogations. This module owns which of them bear on which product (`requirements`), and how a fact is held
against a value. What a rule or a fact does not say makes a verdict UNKNOWN, never YES.

Where an asset can be metered at the boundary and at itself, the way that is blocked least counts.
Hard cases: docs/rules.md R100-R109.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from math import sqrt
from pathlib import Path
from typing import Any

import yaml

from protocol.derogations import RulesOn
from protocol.messages import Technology
from protocol.products import TITLES, Answer, Block, Product, all_of
from protocol.rulebook import Rule, edition_on
from protocol.stacking import may_hold

FILE = Path(__file__).parent / "technologies.yaml"

DSO_PRODUCTS = (Product.SUSTAIN, Product.SUSTAIN_H, Product.SECURE, Product.DYNAMIC, Product.RESTORE)

# ----------------------------------------------------------------------------------------------------- facts


class Control(StrEnum):
    """How an asset is made to follow. What can be automated can follow a timetable too."""

    MANUAL = "manual"
    AUTOMATED = "automated"


class Settlement(StrEnum):
    """How a site is metered and settled."""

    NOT_SMART = "non-smart"
    HH_METERED = "HH-metered"
    HH_SETTLED = "HH-settled"


class Grain(IntEnum):
    """How finely the place of a site is known."""

    NONE = 0
    GSP_GROUP = 1
    GSP = 2
    CMZ = 3  # down to high voltage, so that its zone is known, or that it is in none


class Level(StrEnum):
    """Where energy is metered."""

    BOUNDARY = "boundary"
    ASSET = "asset"


class Dimension(StrEnum):
    """What a rule is about."""

    IN_FORCE = "in force"
    DISPATCH = "dispatch"
    RESPONSE = "response"
    DURATION = "duration"
    METERING_LEVEL = "metering level"
    SETTLEMENT_STATUS = "settlement status"
    METER_ACCURACY = "meter accuracy"
    OPERATIONAL_METERING = "operational metering"
    LOCATION = "location"
    EXPORT = "export"
    UNIT_SIZE = "unit size"
    EXCLUSIVITY = "exclusivity"


@dataclass(frozen=True, slots=True)
class Meter:
    """What a meter can tell. None: not known. `error_pct` either way."""

    error_pct: float | None
    read_interval_s: float | None
    latency_s: float | None
    decimal_places: int | None  # of MW, of the unit it is part of


@dataclass(frozen=True, slots=True)
class AssetFacts:
    """One class of assets. None: not known, or where said: there is none.

    `rating_kw`: the most an asset of the class is rated at. `in_cmz`: in a zone in which the DSO buys.
    `boundary_meter`, `asset_meter`: None where there is none that tells half-hours. `holds`: products that
    the assets are in already.
    """

    technology: Technology
    control: Control
    settlement: Settlement
    located: Grain
    gsp_group: str | None
    in_cmz: bool | None
    rating_kw: float
    boundary_meter: Meter | None
    asset_meter: Meter | None
    response_s: float | None
    hold_min: float | None
    exports: bool
    holds: frozenset[Product] = frozenset()


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """The unit in which assets are sold: its size, and of all of its kind together. None: not judged."""

    mw: float | None = None
    assets: int | None = None
    cohort_mw: float | None = None


@dataclass(frozen=True, slots=True)
class Capability:
    """What a technology can do (`technologies.yaml`)."""

    asset_meter: bool
    error_pct: float | None
    latency_s: float | None
    response_s: float | None
    hold_min: float | None
    exports: bool
    tag: str
    source: str


@lru_cache(maxsize=1)
def capabilities() -> dict[Technology, Capability]:
    """What technologies can do, with source and tag."""
    return {Technology[name.upper()]: Capability(**body) for name, body in _file()["technologies"].items()}


@lru_cache(maxsize=1)
def smart_meter() -> Meter:
    """What a smart meter at the boundary can tell."""
    told = _file()["boundary_meter"]
    return Meter(told["error_pct"], told["read_interval_s"], told["latency_s"], told["decimal_places"])


@lru_cache(maxsize=1)
def _file() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


# -------------------------------------------------------------------------------------------------- verdicts


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a class may be sold as a product, through which meter, and every rule that does not say yes."""

    product: Product
    answer: Answer
    metered_at: Level
    blocks: tuple[Block, ...]


def verdict(
    facts: AssetFacts,
    product: Product,
    rules: RulesOn,
    unit: UnitFacts = UnitFacts(),
    dimensions: frozenset[Dimension] | None = None,
    level: Level | None = None,
) -> Verdict:
    """Yes, or the clauses that block, for one class of assets in one unit.

    `dimensions`: judge these alone; None: all. `level`: where it is to be metered; None: wherever it is
    eligible, or blocked by least. Raises RuleError for an unknown derogation.
    """
    levels = [Level.BOUNDARY, Level.ASSET] if facts.asset_meter else [Level.BOUNDARY]
    ways = [
        _Case(facts, product, each, unit, rules).verdict(dimensions or frozenset(Dimension))
        for each in (levels if level is None else [level])
    ]
    return max(ways, key=lambda way: (way.answer, -len(way.blocks)))


def verdicts(
    classes: Sequence[AssetFacts],
    product: Product,
    rules: RulesOn,
    units: Sequence[UnitFacts] | None = None,
    dimensions: frozenset[Dimension] | None = None,
) -> tuple[Verdict, ...]:
    """As `verdict`, for every class in order; `units` one per class. Classes alike are judged once."""
    judged: dict[tuple[AssetFacts, UnitFacts], Verdict] = {}
    asked = list(zip(classes, units or [UnitFacts()] * len(classes), strict=True))
    for facts, unit in asked:
        if (facts, unit) not in judged:
            judged[facts, unit] = verdict(facts, product, rules, unit, dimensions)
    return tuple(judged[each] for each in asked)


@dataclass(frozen=True, slots=True)
class _Case:
    """One question: this class, as this product, metered here, on this day."""

    facts: AssetFacts
    product: Product
    level: Level
    unit: UnitFacts
    rules: RulesOn

    @property
    def meter(self) -> Meter | None:
        return self.facts.boundary_meter if self.level is Level.BOUNDARY else self.facts.asset_meter

    def verdict(self, dimensions: frozenset[Dimension]) -> Verdict:
        blocks = tuple(self._blocks(dimensions))
        return Verdict(self.product, all_of(blocks), self.level, blocks)

    def _blocks(self, dimensions: frozenset[Dimension]) -> Iterator[Block]:
        for each in requirements(self.product):
            if each.dimension in dimensions and each.level in {None, self.level}:
                yield from each.blocks(self)
        if Dimension.IN_FORCE in dimensions and self.product is Product.DFS:
            yield from _dfs_pauses(self.rules)
        if Dimension.EXCLUSIVITY in dimensions:
            for other in sorted(self.facts.holds - {self.product}):
                yield from may_hold(other, self.product, self.rules)


def _dfs_pauses(rules: RulesOn) -> Iterator[Block]:
    if edition_on("dfs", rules.on) is None:
        why = f"no edition of DFS was in force on {rules.on}"
        yield Block(Answer.NO, Dimension.IN_FORCE, why, "editions of DFS", "rulebook dfs", "P")


# ---------------------------------------------------------------------------------------------- requirements

Judged = str | tuple[Answer, str] | None
"""None: fulfilled. A text: why not. With an answer: why it is not known."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A rule that bears on a product, and how it is judged. `level`: only where metered there; None: always.

    A rule that has no value on the day asks for nothing.
    """

    dimension: Dimension
    book: str
    rule: str
    judge: Callable[[Any, _Case], Judged]
    level: Level | None = None

    def blocks(self, case: _Case) -> Iterator[Block]:
        """The block, where the rule does not say yes."""
        rule = case.rules.rule(self.book, self._name(case))
        found = None if rule is None else self.judge(rule.value, case)
        if rule is None or found is None:
            return
        answer, reason = (Answer.NO, found) if isinstance(found, str) else found
        yield Block(answer, self.dimension, reason, rule.clause, rule.source, rule.tag)

    def _name(self, case: _Case) -> str:
        """The rule's name: of operational metering the standard's, for what the relaxation does not cover."""
        if self.dimension is Dimension.OPERATIONAL_METERING and not _relaxed(case):
            return f"standard_{self.rule}"
        return self.rule


def requirements(product: Product) -> tuple[Requirement, ...]:
    """Every rule that bears on a product, but for what else its assets are in (protocol/stacking.py)."""
    return _REQUIREMENTS[product]


def aggregation_area(product: Product, rules: RulesOn) -> str:
    """What a unit's assets have to lie in together: national, zone, gsp_group, gsp or cmz."""
    for each in requirements(product):
        if each.rule.endswith("aggregation_area"):
            return str(rules.value(each.book, each.rule) or "national")
    return "national"


@dataclass(frozen=True, slots=True)
class Move:
    """A rule of a product that two days, or a derogation, hold differently; None: none in force."""

    product: Product
    book: str
    rule: str
    before: Rule | None
    after: Rule | None


def moves(product: Product, before: RulesOn, after: RulesOn) -> tuple[Move, ...]:
    """Every rule read for a product whose value differs between two states of the rulebooks."""
    asked = dict.fromkeys([(each.book, each.rule) for each in requirements(product)] + _also_read(product))
    found = []
    for book, name in asked:
        old, new = before.rule(book, name), after.rule(book, name)
        if (old and old.value) != (new and new.value):
            found.append(Move(product, book, name, old, new))
    return tuple(found)


def _also_read(product: Product) -> list[tuple[str, str]]:
    """Rules that judgements and stacking look up beside the requirement's own."""
    read = []
    if product in {Product.BM, Product.WHOLESALE}:
        read += [("eligibility", "hh_metered_is_settled")]
    if product is Product.BM:
        read += [("operational_metering", name) for name in ("max_asset_mw", "cohort_cap_mw")]
        read += [("eligibility", "operational_metering_judged_of")]
    if product is Product.DFS:
        stacking = ("balancing_stacking", "bm_unit_membership", "dno_stacking", "capacity_market_stacking")
        read += [("dfs", name) for name in stacking]
    return read


def _own(dimension: Dimension, rule: str, judge: Callable[[Any, _Case], Judged]) -> Requirement:
    return Requirement(dimension, "eligibility", rule, judge)


def _plain(prefix: str, product: Product) -> tuple[Requirement, ...]:
    """What every product outside the BSC has rules of, under its own prefix."""
    return (
        _own(Dimension.IN_FORCE, f"{prefix}_open", _open),
        _own(Dimension.DISPATCH, f"{product.value}_service_type", _dispatched),
        _own(Dimension.METERING_LEVEL, f"{prefix}_metering_level", _metered_there),
        Requirement(
            Dimension.SETTLEMENT_STATUS,
            "eligibility",
            f"{prefix}_hh_metering_required",
            _half_hours,
            Level.BOUNDARY,
        ),
    )


def _placed(prefix: str) -> tuple[Requirement, ...]:
    return (
        _own(Dimension.LOCATION, f"{prefix}_aggregation_area", _located),
        _own(Dimension.UNIT_SIZE, f"{prefix}_min_unit_mw", _large_enough),
    )


def _bsc() -> tuple[Requirement, ...]:
    """What Secondary BM Units have to fulfil, traded by a VLP or by a VTP."""
    status, accuracy = Dimension.SETTLEMENT_STATUS, Dimension.METER_ACCURACY
    at_boundary, at_asset = Level.BOUNDARY, Level.ASSET
    return (
        Requirement(status, "bsc", "hh_settlement_required", _settled, at_boundary),
        Requirement(status, "bsc", "hh_settlement_required_with_asset_meter", _settled, at_asset),
        Requirement(status, "eligibility", "hh_aggregation_required", _settled, at_boundary),
        Requirement(status, "eligibility", "hh_aggregation_required_with_asset_meter", _settled, at_asset),
        Requirement(Dimension.METERING_LEVEL, "bsc", "asset_metering", _asset_metering, at_asset),
        Requirement(accuracy, "bsc", "boundary_meter_error_pct", _exact_enough, at_boundary),
        *_asset_accuracy("bsc"),
    )


def _asset_accuracy(book: str) -> tuple[Requirement, ...]:
    accuracy = Dimension.METER_ACCURACY
    return (
        Requirement(accuracy, book, "asset_meter_error_max_pct", _exact_enough, Level.ASSET),
        Requirement(accuracy, book, "asset_meter_error_min_pct", _exact_enough, Level.ASSET),
        Requirement(accuracy, "eligibility", "cop11_type5_max_kw", _type_known, Level.ASSET),
    )


def _operational() -> tuple[Requirement, ...]:
    dimension, book = Dimension.OPERATIONAL_METERING, "operational_metering"
    return (
        Requirement(dimension, book, "accuracy_pct", _operationally_exact),
        Requirement(dimension, book, "read_interval_s", _operationally_often),
        Requirement(dimension, book, "latency_s", _prompt),
        Requirement(dimension, book, "decimal_places", _fine),
    )


def _dso(product: Product) -> tuple[Requirement, ...]:
    real_time = (
        _own(Dimension.RESPONSE, "dso_max_response_s", _responds_s),
        _own(Dimension.OPERATIONAL_METERING, "dso_read_interval_s", _often),
    )
    return (
        *_plain("dso", product),
        *_placed("dso"),
        _own(Dimension.DURATION, "dso_min_duration_min", _lasts),
        *(real_time if product in {Product.DYNAMIC, Product.RESTORE} else ()),
    )


def _of_bm() -> tuple[Requirement, ...]:
    return (
        _own(Dimension.IN_FORCE, "bm_open", _open),
        _own(Dimension.DISPATCH, "bm_service_type", _dispatched),
        Requirement(Dimension.RESPONSE, "bm", "notice_max_min", _responds_min),
        Requirement(Dimension.DURATION, "bm", "min_delivery_min", _lasts),
        *_bsc(),
        *_operational(),
        Requirement(Dimension.LOCATION, "bm", "aggregation_area", _located),
        Requirement(Dimension.UNIT_SIZE, "bm", "min_unit_mw", _large_enough),
    )


def _of_dfs() -> tuple[Requirement, ...]:
    status = Dimension.SETTLEMENT_STATUS
    return (
        _own(Dimension.DISPATCH, "dfs_service_type", _dispatched),
        Requirement(Dimension.DURATION, "dfs", "min_duration_min", _lasts),
        Requirement(status, "dfs", "hh_metering_required", _half_hours, Level.BOUNDARY),
        Requirement(status, "dfs", "hh_settlement_required", _settled),
        Requirement(Dimension.METERING_LEVEL, "dfs", "metering_level", _metered_there),
        *_asset_accuracy("dfs"),
        Requirement(Dimension.LOCATION, "dfs", "aggregation_area", _located),
        Requirement(Dimension.UNIT_SIZE, "dfs", "min_unit_mw", _large_enough),
        Requirement(Dimension.UNIT_SIZE, "dfs", "max_unit_mw", _small_enough),
    )


def _of_constraint_market(product: Product) -> tuple[Requirement, ...]:
    prefix = product.value
    return (
        *_plain(prefix, product),
        *_placed(prefix),
        _own(Dimension.DURATION, f"{prefix}_min_duration_min", _lasts),
    )


def _of_wholesale() -> tuple[Requirement, ...]:
    return (
        _own(Dimension.IN_FORCE, "wholesale_open", _open),
        _own(Dimension.DISPATCH, "wholesale_service_type", _dispatched),
        _own(Dimension.DURATION, "wholesale_min_duration_min", _lasts),
        _own(Dimension.EXPORT, "wholesale_export_limited", _export_limit),
        *_bsc(),
        *_placed("wholesale"),
    )


# ------------------------------------------------------------------------------------------------ judgements


def _open(value: bool, case: _Case) -> Judged:
    return None if value else f"{TITLES[case.product]} is not open on {case.rules.on}"


def _dispatched(service_type: str, case: _Case) -> Judged:
    vectors = case.rules.value("eligibility", f"{service_type}_dispatch")
    if case.facts.control is Control.AUTOMATED or Control.MANUAL.value in vectors:
        return None
    return f"a {service_type.replace('_', '-')} service cannot be followed by hand"


def _metered_there(value: str, case: _Case) -> Judged:
    return None if case.level.value in value.split("_or_") else f"metered at the {value}, not at the asset"


def _asset_metering(value: bool, case: _Case) -> Judged:
    return None if value else f"no asset meters on {case.rules.on}"


def _half_hours(value: bool, case: _Case) -> Judged:
    if value and case.facts.settlement is Settlement.NOT_SMART:
        return "no half-hourly meter"
    return None


def _settled(value: bool, case: _Case) -> Judged:
    status = case.facts.settlement
    over = status is Settlement.HH_METERED and case.rules.value("eligibility", "hh_metered_is_settled")
    if not value or status is Settlement.HH_SETTLED or over:
        return None
    return f"the site is {status.value}, not settled half-hourly"


def _exact_enough(limit_pct: float, case: _Case) -> Judged:
    """Whether the error lies within a limit of either sign."""
    if case.meter is None:
        return "no half-hourly meter"
    return _within(case.meter.error_pct, abs(limit_pct), "error of the meter", "%")


def _type_known(largest_kw: float, case: _Case) -> Judged:
    if case.facts.rating_kw <= largest_kw:
        return None
    return (
        Answer.UNKNOWN,
        f"asset meters above {largest_kw:g} kW: the limits of their CoP11 type were not found",
    )


def _operationally_exact(limit_pct: float, case: _Case) -> Judged:
    return _of_unit(case, "error_pct", limit_pct, "error of operational metering", "%", sqrt)


def _operationally_often(limit_s: float, case: _Case) -> Judged:
    return _of_unit(case, "read_interval_s", limit_s, "interval of operational readings", "s", float)


def _of_unit(
    case: _Case, fact: str, limit: float, what: str, unit: str, gain: Callable[[int], float]
) -> Judged:
    """A meter's own value or, where the unit is judged, what so many independent or staggered ones come to.

    Random errors of n meters average out by the square root of n; n staggered reads come n times as often
    (CrowdFlex WP5 section 4.2.2).
    """
    if case.meter is None:
        return "no meter that tells in real time"
    own = getattr(case.meter, fact)
    if case.rules.value("eligibility", "operational_metering_judged_of") == "unit":
        if case.unit.assets is None:
            return Answer.UNKNOWN, f"{what}: the number of assets of the unit is not known"
        own = None if own is None else own / gain(max(case.unit.assets, 1))
    return _within(own, limit, what, unit)


def _prompt(limit_s: float, case: _Case) -> Judged:
    if case.meter is None:
        return "no meter that tells in real time"
    return _within(case.meter.latency_s, limit_s, "latency of operational metering", "s")


def _often(limit_s: float, case: _Case) -> Judged:
    if case.meter is None:
        return "no meter that tells by the minute"
    return _within(case.meter.read_interval_s, limit_s, "interval of readings", "s")


def _fine(places: int, case: _Case) -> Judged:
    if case.meter is None:
        return "no meter that tells in real time"
    if case.meter.decimal_places is None:
        return Answer.UNKNOWN, "the resolution of the meter is not known"
    return (
        None if case.meter.decimal_places >= places else f"{case.meter.decimal_places} decimal places of MW"
    )


def _within(value: float | None, limit: float, what: str, unit: str) -> Judged:
    if value is None:
        return Answer.UNKNOWN, f"the {what} is not known"
    return None if value <= limit else f"{what} is {value:g} {unit}, above {limit:g} {unit}"


def _relaxed(case: _Case) -> bool:
    """Whether the relaxation of operational metering, if one is in force, covers the case."""
    largest_mw = case.rules.value("operational_metering", "max_asset_mw")
    cap_mw = case.rules.value("operational_metering", "cohort_cap_mw")
    small = largest_mw is None or case.facts.rating_kw <= largest_mw * 1_000
    cohort_mw = case.unit.cohort_mw
    return small and (cap_mw is None or cohort_mw is None or cohort_mw <= cap_mw)


_GRAINS = {
    "national": Grain.NONE,
    "zone": Grain.GSP_GROUP,
    "gsp_group": Grain.GSP_GROUP,
    "gsp": Grain.GSP,
    "cmz": Grain.CMZ,
}


def _located(area: str, case: _Case) -> Judged:
    if case.facts.located < _GRAINS[area]:
        known = case.facts.located.name.replace("_", " ")
        return f"sold per {area}, and the place is known by {known} only"
    if area != "cmz" or case.facts.in_cmz:
        return None
    if case.facts.in_cmz is None:
        return Answer.UNKNOWN, "whether it lies in a constraint management zone is not known"
    return "in no constraint management zone"


def _in_groups(groups: list[str], case: _Case) -> Judged:
    if case.facts.gsp_group is None:
        return Answer.UNKNOWN, "the GSP Group is not known"
    return None if case.facts.gsp_group in groups else f"not under a GSP of {' or '.join(groups)}"


def _responds_min(limit_min: float, case: _Case) -> Judged:
    return _responds_s(limit_min * 60, case)


def _responds_s(limit_s: float, case: _Case) -> Judged:
    if case.facts.control is Control.MANUAL:
        return Answer.UNKNOWN, "how fast people respond is not known"
    return _within(case.facts.response_s, limit_s, "time to respond", "s")


def _lasts(limit_min: float, case: _Case) -> Judged:
    hold_min = case.facts.hold_min
    if hold_min is None:
        return Answer.UNKNOWN, "how long it can hold is not known"
    return None if hold_min >= limit_min else f"holds for {hold_min:g} min, less than {limit_min:g} min"


def _export_limit(value: bool, case: _Case) -> Judged:
    if not value or not case.facts.exports:
        return None
    return Answer.UNKNOWN, "limited by the largest half-hourly export: its measure was not found"


def _large_enough(least_mw: float, case: _Case) -> Judged:
    if case.unit.mw is None or case.unit.mw >= least_mw:
        return None
    return f"the unit has less than {least_mw:g} MW"


def _small_enough(most_mw: float, case: _Case) -> Judged:
    if case.unit.mw is None or case.unit.mw <= most_mw:
        return None
    return f"the unit has more than {most_mw:g} MW: register several"


_REQUIREMENTS: dict[Product, tuple[Requirement, ...]] = {
    Product.BM: _of_bm(),
    Product.TCM: _of_constraint_market(Product.TCM),
    Product.LCM: (
        *_of_constraint_market(Product.LCM),
        _own(Dimension.LOCATION, "lcm_gsp_groups", _in_groups),
    ),
    Product.DFS: _of_dfs(),
    **{product: _dso(product) for product in DSO_PRODUCTS},
    Product.WHOLESALE: _of_wholesale(),
    Product.CAPACITY_MARKET: (
        *_plain("capacity_market", Product.CAPACITY_MARKET),
        *_placed("capacity_market"),
    ),
    Product.STATIC_TOU: _plain("static_tou", Product.STATIC_TOU),
}
