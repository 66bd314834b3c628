"""Derogations: named patches of rules, for a stretch of time. Owns the rules of a day, patches applied.

A derogation names its clause, its source, its first and last day and what it changes
(`derogations.yaml`). Whoever reads a rule reads it through `load_derogated` or `RulesOn`, so that a patch
reaches every reader at once: eligibility, markets, settlement. Overrides of a scenario come after
derogations and win: they are the more explicit.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from protocol.products import Product
from protocol.rulebook import TAGS, Rule, Rulebook, RuleError, edition_on, load_rulebook

FILE = Path(__file__).parent / "derogations.yaml"
_KEYS = frozenset({"what", "clause", "source", "tag", "from", "to", "scope", "patches", "cells"})
_OPTIONAL = frozenset({"to", "patches", "cells"})


@dataclass(frozen=True, slots=True)
class Derogation:
    """One patch. `effective_to` is the first day on which it changes nothing any more; None: open.

    `patches`: (rulebook, rule, value). `cells`: (mode, pair of products, `Y`, `N` or `?`) of the stacking
    matrices. `scope`: the products whose verdicts it may change, and no others.
    """

    name: str
    what: str
    clause: str
    source: str
    tag: str
    effective_from: date
    effective_to: date | None
    scope: frozenset[Product]
    patches: tuple[tuple[str, str, Any], ...]
    cells: tuple[tuple[str, frozenset[Product], str], ...]

    @property
    def dates(self) -> str:
        """In words: `from 2022-11-01 to before 2024-02-07`."""
        until = f" to before {self.effective_to}" if self.effective_to else " on"
        return f"from {self.effective_from}{until}"

    def holds(self, on: date) -> bool:
        """Whether it changes anything on a day: dates are half-open."""
        return self.effective_from <= on and (self.effective_to is None or on < self.effective_to)


def derogation_names() -> tuple[str, ...]:
    """The derogations there are, sorted."""
    return tuple(sorted(_read()))


def derogation(name: str) -> Derogation:
    """A derogation by its name. Raises RuleError that names the nearest one."""
    known = _read()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise RuleError(f"there is no derogation {name!r}; the nearest is {near!r}")
    return known[name]


def derogations_on(names: Iterable[str], on: date) -> tuple[Derogation, ...]:
    """Those of the named ones that hold on a day, by name: their order never matters. Raises RuleError."""
    return tuple(each for name in sorted(set(names)) if (each := derogation(name)).holds(on))


def load_derogated(
    name: str, on: date, derogations: Iterable[str] = (), overrides: Mapping[str, Any] | None = None
) -> Rulebook:
    """The rulebook `name` on a day under derogations, then single rules replaced by `overrides`.

    A patched rule carries the derogation's clause, source and tag. Raises RuleError as `load_rulebook`, and
    for an unknown derogation.
    """
    overrides = overrides or {}
    patches = {
        rule: (value, each)
        for each in derogations_on(derogations, on)
        for book, rule, value in each.patches
        if book == name and rule not in overrides
    }
    values = {rule: value for rule, (value, _) in patches.items()}
    book = load_rulebook(name, on=on, overrides={**values, **overrides})
    if not patches:
        return book
    patched = {rule: _told_of(book.rules[rule], each) for rule, (_, each) in patches.items()}
    return replace(book, rules={**book.rules, **patched})


def _told_of(rule: Rule, by: Derogation) -> Rule:
    """The rule with the provenance of the derogation that patched it."""
    return replace(
        rule,
        clause=f"{by.clause}, derogated ({by.name})",
        source=by.source,
        tag=by.tag,
        effective_from=by.effective_from,
        effective_to=by.effective_to,
    )


@dataclass(frozen=True, slots=True)
class RulesOn:
    """All rulebooks of one day, under derogations (by name) and overrides (rulebook, rule, value)."""

    on: date
    derogations: tuple[str, ...] = ()
    overrides: tuple[tuple[str, str, Any], ...] = ()

    def rule(self, book: str, name: str) -> Rule | None:
        """A rule in force, or None where the book or the rule has none on that day.

        Raises RuleError for a rulebook or derogation that there is not.
        """
        found = _book(book, self)
        return None if found is None or name not in found.rules else found.rule(name)

    def value(self, book: str, name: str) -> Any:
        """The value of a rule in force; None where there is none on that day."""
        found = self.rule(book, name)
        return None if found is None else found.value

    def patched_cells(self) -> dict[tuple[str, frozenset[Product]], tuple[str, Derogation]]:
        """Cells of the stacking matrices that derogations of the day fill, by mode and pair."""
        return {
            (mode, pair): (cell, each)
            for each in derogations_on(self.derogations, self.on)
            for mode, pair, cell in each.cells
        }


@lru_cache(maxsize=1024)
def _book(name: str, rules: RulesOn) -> Rulebook | None:
    if edition_on(name, rules.on) is None:
        return None
    replaced = {rule: value for book, rule, value in rules.overrides if book == name}
    return load_derogated(name, rules.on, rules.derogations, replaced)


@lru_cache(maxsize=1)
def _read() -> dict[str, Derogation]:
    """The file, checked. Raises RuleError when a line of it is wrong."""
    tree = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: _derogation(name, body) for name, body in tree.items()}


def _derogation(name: str, body: Mapping[str, Any]) -> Derogation:
    unknown, missing = body.keys() - _KEYS, _KEYS - body.keys() - _OPTIONAL
    if unknown or missing:
        raise RuleError(f"derogation {name!r}: unknown keys {sorted(unknown)}, missing {sorted(missing)}")
    if body["tag"] not in TAGS:
        raise RuleError(f"derogation {name!r}: tag {body['tag']!r} is not one of {', '.join(TAGS)}")
    patches = body.get("patches", {})
    cells = body.get("cells", {})
    return Derogation(
        name=name,
        what=body["what"],
        clause=body["clause"],
        source=body["source"],
        tag=body["tag"],
        effective_from=body["from"],
        effective_to=body.get("to"),
        scope=frozenset(Product(each) for each in body["scope"]),
        patches=tuple((book, rule, value) for book in patches for rule, value in patches[book].items()),
        cells=tuple((mode, _pair(pair), cell) for mode in cells for pair, cell in cells[mode].items()),
    )


def _pair(told: str) -> frozenset[Product]:
    return frozenset(Product(each.strip()) for each in told.split(","))
