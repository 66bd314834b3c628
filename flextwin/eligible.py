"""What `flextwin eligible` says: a portfolio against the rules of a day, or two, as lines or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from protocol.derogations import RulesOn, derogation
from protocol.eligibility import Move
from protocol.products import TITLES, Answer, Block, Product
from protocol.rulebook import Rule, RuleError
from sim.asset_classes import AssetClasses, classes_of
from sim.event_scripts import rules_for
from sim.population import make_population
from sim.scenario import Scenario
from sim.scenario_file import load_scenario
from studies.eligible import Amount, Cell, Eligibility, eligibility, moved

COLUMNS: dict[Product, str] = {
    Product.BM: "BM",
    Product.TCM: "TCM",
    Product.LCM: "LCM",
    Product.DFS: "DFS",
    Product.SUSTAIN: "Sust",
    Product.SUSTAIN_H: "SusH",
    Product.SECURE: "Secur",
    Product.DYNAMIC: "Dynam",
    Product.RESTORE: "Resto",
    Product.WHOLESALE: "P415",
    Product.CAPACITY_MARKET: "CM",
    Product.STATIC_TOU: "ToU",
}
_NAME, _COUNT, _MW, _CELL = 34, 10, 10, 6


class Told:
    """One scenario's portfolio, judged under the rules of a day and, where asked for, against others."""

    def __init__(self, file: Path, *, data: Path | None, held: tuple[str, ...]) -> None:
        self.scenario: Scenario = load_scenario(file, data_folder=data)
        self._assets: AssetClasses = classes_of(
            make_population(self.scenario), frozenset(product_of(name) for name in held)
        )

    def rules(self, on: date | None, more: tuple[str, ...] = ()) -> RulesOn:
        """The rules of a day (None: the scenario's), under its derogations and `more`. Raises RuleError."""
        told = rules_for(self.scenario)
        names = tuple(derogation(name).name for name in (*told.derogations, *more))
        return RulesOn(on or told.on or self.scenario.clock.start, names, told.overrides)

    def judged(self, rules: RulesOn) -> Eligibility:
        """Every asset against every product."""
        return eligibility(self._assets, rules)


def against(told: Told, rules: RulesOn, other: str) -> RulesOn:
    """The other side of a comparison: another day (`2026-06-01`), or the same one under one more derogation.

    Raises RuleError for what is neither.
    """
    try:
        return RulesOn(date.fromisoformat(other), rules.derogations, rules.overrides)
    except ValueError:
        return told.rules(rules.on, (*rules.derogations, other))


def product_of(name: str) -> Product:
    """A service by its name. Raises RuleError with those there are."""
    try:
        return Product(name)
    except ValueError:
        raise RuleError(f"there is no service {name!r}; there are {', '.join(Product)}") from None


# ------------------------------------------------------------------------------------------------------ lines


def lines(told: Told, found: Eligibility) -> Iterator[str]:
    """The table, and under it every clause that blocks, by service."""
    yield f"{told.scenario.name}: {_amount(found.amount)}, under the rules of {found.rules.on}"
    yield f"derogations: {', '.join(found.rules.derogations) or 'none'}; MW are ratings"
    yield ""
    notes = _numbered(found)
    yield f"{'':<{_NAME}}{'assets':>{_COUNT}}{'MW':>{_MW}}" + "".join(
        f"{name:>{_CELL}}" for name in COLUMNS.values()
    )
    for row in found.rows:
        cells = "".join(f"{_mark(row.cells[product], row.amount, notes):>{_CELL}}" for product in COLUMNS)
        yield f"{row.name:<{_NAME}}{row.amount.assets:>{_COUNT},}{row.amount.mw:>{_MW},.1f}{cells}"
    yield ""
    yield "yes, or the clause that blocks most; a share where some are eligible; ? where no source says"
    for product in COLUMNS:
        yield from _service_lines(product, found, notes)


def _service_lines(product: Product, found: Eligibility, notes: dict[Block, int]) -> Iterator[str]:
    cell = found.total[product]
    yield ""
    doubt = f"; in doubt: {_amount(cell.unknown)}" if cell.unknown.assets else ""
    yield f"{TITLES[product]}: {_amount(cell.yes)}{doubt}"
    if product in found.caps_mw and cell.yes.assets:
        yield f"  at most {found.caps_mw[product]:,.0f} MW of all providers by relaxed operational metering"
    for block, amount in cell.blocked:
        told = f"{amount.assets:>{_COUNT},} assets  {block.dimension}: {block.reason}"
        yield f"  {_note(notes[block]):>5} {told}"
        yield f"{'':>{_COUNT + 17}}{block.clause} [{block.tag}] {block.source}"


def moved_lines(before: Eligibility, after: Eligibility) -> Iterator[str]:
    """What differs between two states of the rules: amounts, and the rules that differ."""
    yield ""
    yield f"What moves: {_state(before.rules)} -> {_state(after.rules)}"
    rules = moved(before, after)
    for product in COLUMNS:
        old, new = before.total[product].yes, after.total[product].yes
        if old == new and product not in rules:
            continue
        yield (
            f"  {TITLES[product]:<44}{old.sites:>9,} -> {new.sites:<9,} sites"
            f"{old.mw:>10,.1f} -> {new.mw:,.1f} MW"
        )
        for move in rules.get(product, ()):
            yield f"      {move.book}.{move.rule}: {_value(move.before)} -> {_value(move.after)}{_why(move)}"


def _state(rules: RulesOn) -> str:
    return f"{rules.on}" + (f" with {', '.join(rules.derogations)}" if rules.derogations else "")


def _value(rule: Rule | None) -> str:
    return "no rule" if rule is None else str(rule.value)


def _why(move: Move) -> str:
    rule = move.after or move.before
    return "" if rule is None else f"   {rule.clause} [{rule.tag}]"


def _amount(amount: Amount) -> str:
    return f"{amount.assets:,} assets at {amount.sites:,} sites, {amount.mw:,.1f} MW"


def _numbered(found: Eligibility) -> dict[Block, int]:
    """Every block under a number of its own, in the order of the services."""
    blocks = (block for product in COLUMNS for block, _ in found.total[product].blocked)
    return {block: number for number, block in enumerate(dict.fromkeys(blocks), start=1)}


def _note(number: int) -> str:
    return f"[{number}]"


def _mark(cell: Cell, amount: Amount, notes: dict[Block, int]) -> str:
    if cell.yes.assets == amount.assets:
        return "yes"
    if cell.yes.assets:
        return f"{max(round(100 * cell.yes.assets / amount.assets), 1)}%"
    if cell.unknown.assets == amount.assets:
        return "?"
    return _note(next(notes[block] for block, _ in cell.blocked if block.answer is Answer.NO))


# ------------------------------------------------------------------------------------------------------- JSON


def as_json(told: Told, found: Eligibility, other: Eligibility | None) -> dict[str, Any]:
    """All of it as one JSON value; `against` is the other state of the rules, with the rules that differ."""
    value = {"scenario": told.scenario.name, **_found(found)}
    if other is not None:
        moves = {
            product.value: [_move(move) for move in each] for product, each in moved(found, other).items()
        }
        value["against"] = {**_found(other), "moves": moves}
    return value


def _found(found: Eligibility) -> dict[str, Any]:
    return {
        "date": found.rules.on.isoformat(),
        "derogations": list(found.rules.derogations),
        **_plain(found.amount),
        "services": {product.value: _cell(cell) for product, cell in found.total.items()},
        "classes": [
            {
                "name": row.name,
                **_plain(row.amount),
                "services": {product.value: _cell(cell) for product, cell in row.cells.items()},
            }
            for row in found.rows
        ],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "eligible": _plain(cell.yes),
        "unknown": _plain(cell.unknown),
        "blocks": [
            {
                "answer": block.answer.name.lower(),
                "dimension": block.dimension,
                "reason": block.reason,
                "clause": block.clause,
                "source": block.source,
                "tag": block.tag,
                **_plain(amount),
            }
            for block, amount in cell.blocked
        ],
    }


def _plain(amount: Amount) -> dict[str, Any]:
    return {"sites": amount.sites, "assets": amount.assets, "mw": round(amount.mw, 6)}


def _move(move: Move) -> dict[str, Any]:
    rules = {"before": move.before, "after": move.after}
    return {
        "rule": f"{move.book}.{move.rule}",
        **{
            when: None if rule is None else {"value": rule.value, "clause": rule.clause, "tag": rule.tag}
            for when, rule in rules.items()
        },
    }
