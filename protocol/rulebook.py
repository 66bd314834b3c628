"""Dated rules as data: what a market's rule book said on a day, with clause, source and how sure we are.

The data are `protocol/rulebooks/*.yaml`. Each rule has one or more dated values; a rulebook is loaded as it
stood on one day, so "the DFS of 2022/23" is `load_rulebook("dfs", on=date(2023, 1, 15))` and can be put
onto any other day's simulation. A person with a document at hand corrects one line of data. Hard cases:
docs/rules.md R15-R17.

Tags: P primary source read; S secondary source citing the primary; S? weak secondary; M from memory,
unverified; NF searched for and not found, so the value is ours; D derived by arithmetic.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "rulebooks"
TAGS = ("P", "S", "S?", "M", "NF", "D")

_BOOK_KEYS = frozenset({"title", "sources", "editions", "rules"})
_EDITION_KEYS = frozenset({"name", "from", "to"})
_RULE_KEYS = frozenset({"unit", "allowed", "values"})
_VALUE_KEYS = frozenset({"value", "from", "to", "clause", "source", "tag"})


_WATCHING: list[set[tuple[str, str]]] = []


class RuleError(LookupError):
    """A rulebook, rule, date or override that is not there or does not fit; says what is near."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as it stood on a day. `effective_to` is the first day on which it no longer held; None:
    still holds.
    """

    name: str
    value: Any
    unit: str
    clause: str
    source: str
    effective_from: date
    effective_to: date | None
    tag: str
    overridden: bool = False


@dataclass(frozen=True, slots=True)
class Edition:
    """A stretch of time for which a rule book carries one name, half-open."""

    name: str
    effective_from: date
    effective_to: date | None


@dataclass(frozen=True, slots=True)
class Rulebook:
    """All rules of one market in force on one day, overrides applied."""

    name: str
    title: str
    on: date
    edition: str
    rules: Mapping[str, Rule]

    def value(self, name: str) -> Any:
        """The value of a rule, in the unit of its name. Raises RuleError."""
        return self.rule(name).value

    def rule(self, name: str) -> Rule:
        """A rule with its clause, source and tag. Raises RuleError for a name that is not in force on the
        day.
        """
        if name in self.rules:
            for seen in _WATCHING:
                seen.add((self.name, name))
            return self.rules[name]
        raise RuleError(_no_rule(_read(self.name), name, self.on))


@contextmanager
def rules_read() -> Iterator[set[tuple[str, str]]]:
    """Collects (rulebook, rule) of whatever is read meanwhile: for registers of clauses, never for decisions.

    What an earlier caller has had worked out and kept is not read again: whoever wants all of it begins in a
    new process.
    """
    seen: set[tuple[str, str]] = set()
    _WATCHING.append(seen)
    try:
        yield seen
    finally:
        _WATCHING.pop()


@dataclass(frozen=True, slots=True)
class _Book:
    """A whole file: every edition, and every dated value of every rule."""

    name: str
    title: str
    editions: tuple[Edition, ...]
    rules: Mapping[str, tuple[Rule, ...]]
    allowed: Mapping[str, tuple[Any, ...]]

    def accepts(self, name: str, value: Any) -> bool:
        """Whether a value is of a kind that the rule has had at some time; null only where null is one of
        them.
        """
        kinds = {_kind(rule.value) for rule in self.rules[name]}
        return _kind(value) in kinds or (kinds == {_kind(None)} and value is not None)


def rulebook_names() -> tuple[str, ...]:
    """The rulebooks there are, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def edition_on(name: str, on: date) -> Edition | None:
    """The edition of a rulebook on a day; None between two of them. Raises RuleError for no such book."""
    found: Edition | None = _in_force(_read(name).editions, on)
    return found


def every_rule() -> Iterator[tuple[str, tuple[Rule, ...]]]:
    """Each rule of each rulebook: the book's name and all dated values of the rule, oldest first."""
    for name in rulebook_names():
        for dated in _read(name).rules.values():
            yield name, dated


def load_rulebook(name: str, on: date, overrides: Mapping[str, Any] | None = None) -> Rulebook:
    """The rulebook `name` as it stood on a day, with single rules replaced by `overrides` (rule name: value).

    A rule without a value on that day may be given one by an override (rule R16). Raises RuleError for an
    unknown rulebook, a day without an edition, an override that names no rule, and one whose value does not
    fit its rule.
    """
    book = _read(name)
    edition = _required_edition(book, on)
    in_force = {rule_name: rule for rule_name, dated in book.rules.items() if (rule := _in_force(dated, on))}
    for rule_name, value in (overrides or {}).items():
        if rule_name not in book.rules:
            raise RuleError(f"override refused: {_no_rule(book, rule_name, on)}")
        replaced = in_force.get(rule_name, book.rules[rule_name][0])
        in_force[rule_name] = _override(book, replaced, value)
    return Rulebook(name, book.title, on, edition.name, in_force)


def _in_force(dated: tuple[Rule, ...] | tuple[Edition, ...], on: date) -> Any:
    for item in dated:
        if item.effective_from <= on and (item.effective_to is None or on < item.effective_to):
            return item
    return None


def _required_edition(book: _Book, on: date) -> Edition:
    edition: Edition | None = _in_force(book.editions, on)
    if edition is None:
        known = "; ".join(f"{item.name} {_span(item)}" for item in book.editions)
        raise RuleError(f"{book.name}: no edition was in force on {on}; there are {known}")
    return edition


def _override(book: _Book, rule: Rule, value: Any) -> Rule:
    """The rule with another value. Raises RuleError when the value is of another kind, or not one of those
    allowed.
    """
    allowed = book.allowed.get(rule.name)
    if allowed and value not in allowed:
        choices = ", ".join(map(str, allowed))
        raise RuleError(f"override refused: {rule.name} must be one of {choices}, not {value!r}")
    if not book.accepts(rule.name, value):
        raise RuleError(f"override refused: {rule.name} is now {rule.value!r} [{rule.unit}], not {value!r}")
    return replace(rule, value=value, source=f"override of {rule.value!r} ({rule.source})", overridden=True)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "yes or no"
    return "number" if isinstance(value, int | float) else type(value).__name__


def _no_rule(book: _Book, name: str, on: date) -> str:
    if name in book.rules:
        spans = ", ".join(_span(rule) for rule in book.rules[name])
        return f"{book.name}: rule {name!r} had no value on {on}; it has {spans}"
    near = difflib.get_close_matches(name, book.rules, n=1, cutoff=0.0)
    return f"{book.name}: there is no rule {name!r} (asked for {on}); the nearest is {near[0]!r}"


def _span(item: Rule | Edition) -> str:
    return f"from {item.effective_from} " + (f"to before {item.effective_to}" if item.effective_to else "on")


@lru_cache(maxsize=16)
def _read(name: str) -> _Book:
    """The file of a rulebook, checked. Raises RuleError when there is none, or a line of it is wrong."""
    path = FOLDER / f"{name}.yaml"
    if name not in rulebook_names():
        raise RuleError(f"there is no rulebook {name!r}; there are {', '.join(rulebook_names())}")
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    _check_keys(tree, _BOOK_KEYS, name)
    editions = tuple(_edition(item, name) for item in tree["editions"])
    rules = {rule: _dated(rule, body, tree["sources"], name) for rule, body in tree["rules"].items()}
    allowed = {rule: tuple(body["allowed"]) for rule, body in tree["rules"].items() if "allowed" in body}
    return _Book(name, tree["title"], editions, rules, allowed)


def _edition(item: Mapping[str, Any], book: str) -> Edition:
    _check_keys(item, _EDITION_KEYS, f"{book}: edition {item.get('name')!r}")
    return Edition(item["name"], item["from"], item.get("to"))


def _dated(name: str, body: Mapping[str, Any], sources: Mapping[str, str], book: str) -> tuple[Rule, ...]:
    where = f"{book}: rule {name!r}"
    _check_keys(body, _RULE_KEYS, where)
    return tuple(_rule(name, body, item, sources, where) for item in body["values"])


def _rule(
    name: str, body: Mapping[str, Any], item: Mapping[str, Any], sources: Mapping[str, str], where: str
) -> Rule:
    _check_keys(item, _VALUE_KEYS, where)
    if item["tag"] not in TAGS:
        raise RuleError(f"{where}: tag {item['tag']!r} is not one of {', '.join(TAGS)}")
    if item["source"] not in sources:
        raise RuleError(f"{where}: source {item['source']!r} is not among the file's sources")
    if item["value"] not in body.get("allowed", [item["value"]]):
        raise RuleError(f"{where}: {item['value']!r} is not among the allowed values")
    return Rule(
        name=name,
        value=item["value"],
        unit=body["unit"],
        clause=item["clause"],
        source=sources[item["source"]],
        effective_from=item["from"],
        effective_to=item.get("to"),
        tag=item["tag"],
    )


def _check_keys(found: Mapping[str, Any], wanted: frozenset[str], where: str) -> None:
    """Raises RuleError for a key that is unknown or missing; `to` and `allowed` may be left out."""
    unknown = found.keys() - wanted
    missing = wanted - found.keys() - {"to", "allowed"}
    if unknown or missing:
        raise RuleError(f"{where}: unknown keys {sorted(unknown)}, missing keys {sorted(missing)}")
