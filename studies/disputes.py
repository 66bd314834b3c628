"""Disputes of settled lines: a file of them in, a ledger of states, dates, outcomes and restated lines out.

Owns the file's words, the deadlines (protocol.settlement_calendar) and the rules by which a dispute is
upheld. Lines that were stated are never edited: what is upheld is a reversal and a new line in the run that
corrects it. The rules are ours (docs/reconciliation.md); so is that DFS keeps the calendar of the BSC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from protocol.periods import local_date
from protocol.settlement_calendar import RUNS, Run, ScheduledRun, timetable
from protocol.units import WH_PER_MWH, gbp_e5
from sim.faults import Fault, quoted
from sim.run_folder import RunFolder
from sim.scenario_errors import ScenarioErrors
from sim.yaml_nodes import Node, compose
from studies.reconciliation import (
    DFS,
    Books,
    Cause,
    Row,
    is_again,
    is_reversal,
    meters_without_volume,
    place_of,
)

GROUNDS: Mapping[str, Cause] = {
    "late_meter": Cause.MISSING_METER,
    "missing_meter": Cause.MISSING_METER,
    "baseline_status": Cause.BASELINE_STATUS,
    "rejected_msid": Cause.REJECTED_MSID,
    "price": Cause.PRICE,
    "duplicate": Cause.DUPLICATE,
}
"""What a line can be disputed for, and the cause that has to be there."""

_KEYS = ("id", "line", "ground", "raised", "readings", "price_gbp_per_mwh")
_NEEDED = _KEYS[:4]
_READING_KEYS = ("meter", "baseline_wh", "metered_wh")


@dataclass(frozen=True, slots=True)
class Reading:
    """Evidence: what one meter should have had and what it read in the period [Wh, import positive]."""

    meter: int
    baseline_wh: int
    metered_wh: int


@dataclass(frozen=True, slots=True)
class Dispute:
    """One line disputed."""

    name: str
    line: int
    ground: str
    raised: date
    readings: tuple[Reading, ...]
    price_gbp_per_mwh: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """One state of a dispute, from a day on: raised, out of time, upheld, rejected or restated."""

    dispute: str
    state: str
    on: date
    words: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """A dispute's steps, the last day to raise it, and the lines that restate (none unless upheld)."""

    dispute: Dispute
    deadline: date
    steps: tuple[Step, ...]
    lines: tuple[dict[str, Any], ...]

    @property
    def upheld(self) -> bool:
        """Whether it ended in new lines."""
        return bool(self.lines)

    @property
    def restated_gbp_e5(self) -> int:
        """What it brings the aggregator [1e-5 GBP]."""
        return sum(line["amount_gbp_e5"] for line in self.lines)


# --------------------------------------------------------------------------------------------- the file


def read_disputes(path: Path, folder: RunFolder) -> tuple[Dispute, ...]:
    """The disputes of a YAML or JSON file. Raises ScenarioErrors with every fault and its place, OSError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ScenarioErrors([Fault("S002", str(path), 1, 1, "not UTF-8 text")]) from None
    node, faults = compose(text, str(path))
    lines = folder.table("settlement").to_pylist()
    found = [_dispute(each, lines, faults) for each in _listed(node, faults)]
    _refuse_twice(node, found, faults)
    if faults:
        raise ScenarioErrors(faults)
    return tuple(each for each in found if each is not None)


def _listed(node: Node, faults: list[Fault]) -> list[Node]:
    inner = _section(node, ("disputes",), ("disputes",), faults).get("disputes")
    if inner is None:
        return []
    if isinstance(inner.content, list):
        return inner.content
    faults.append(inner.fault("S022", "disputes are a list", got=inner.shown))
    return []


def _section(
    node: Node, keys: tuple[str, ...], needed: tuple[str, ...], faults: list[Fault]
) -> dict[str, Node]:
    """The values of a section by key; what is unknown, missing or no section becomes a fault."""
    if not isinstance(node.content, dict):
        faults.append(node.fault("S022", "not a section of keys", got=node.shown, allowed=", ".join(keys)))
        return {}
    for key, entry in node.content.items():
        if key not in keys:
            faults.append(entry.key.fault("S020", "an unknown key", got=quoted(key), allowed=", ".join(keys)))
    faults += [node.fault("S021", f"`{key}` is missing") for key in needed if key not in node.content]
    return {key: entry.value for key, entry in node.content.items() if key in keys}


def _dispute(node: Node, lines: list[Row], faults: list[Fault]) -> Dispute | None:
    before = len(faults)
    told = _section(node, _KEYS, _NEEDED, faults)
    if len(faults) > before:
        return None
    line, ground, raised = told["line"], told["ground"], told["raised"]
    if not _whole(line) or not 0 <= _int(line) < len(lines):
        allowed = (
            f"a line of the table settlement, 0 to {len(lines) - 1}" if lines else "none: no line stands"
        )
        faults.append(line.fault("S023", "no line of this run", got=line.shown, allowed=allowed))
    if ground.content not in GROUNDS:
        faults.append(ground.fault("S024", "no ground", got=ground.shown, allowed=", ".join(GROUNDS)))
    day = _day(raised, faults)
    readings = _readings(told.get("readings"), faults)
    price = told.get("price_gbp_per_mwh")
    if price is not None and not isinstance(price.content, int | float):
        faults.append(price.fault("S022", "a price is a number", got=price.shown))
    if len(faults) > before or day is None:
        return None
    heard = local_date(lines[_int(line)]["heard_ms"])
    if day < heard:
        what = f"raised before the line was heard on {heard}"
        faults.append(raised.fault("S063", what, got=raised.shown))
        return None
    asked = None if price is None else float(str(price.content))
    return Dispute(told["id"].text, _int(line), str(ground.content), day, readings, asked)


def _day(node: Node, faults: list[Fault]) -> date | None:
    try:
        return date.fromisoformat(node.text)
    except ValueError:
        faults.append(node.fault("S035", "not a day", got=node.shown, allowed="2024-01-16"))
        return None


def _readings(node: Node | None, faults: list[Fault]) -> tuple[Reading, ...]:
    if node is None:
        return ()
    if not isinstance(node.content, list):
        faults.append(node.fault("S022", "readings are a list", got=node.shown))
        return ()
    found = []
    for each in node.content:
        told = _section(each, _READING_KEYS, _READING_KEYS, faults)
        wrong = [value for value in told.values() if not _whole(value)]
        faults += [value.fault("S022", "not a whole number", got=value.shown) for value in wrong]
        if len(told) == len(_READING_KEYS) and not wrong:
            found.append(Reading(*(_int(told[key]) for key in _READING_KEYS)))
    return tuple(found)


def _whole(node: Node) -> bool:
    return isinstance(node.content, int) and not isinstance(node.content, bool)


def _int(node: Node) -> int:
    return int(str(node.content))


def _refuse_twice(node: Node, found: list[Dispute | None], faults: list[Fault]) -> None:
    seen: set[str] = set()
    for at, each in enumerate(found):
        if each is not None and each.name in seen:
            place, _ = node.at(("disputes", at, "id"))
            faults.append(place.fault("S024", "the id of another dispute", got=quoted(each.name)))
        seen |= {each.name} if each is not None else set()


# ------------------------------------------------------------------------------------------ the workflow


def settle_disputes(folder: RunFolder, disputes: tuple[Dispute, ...]) -> list[Outcome]:
    """What becomes of each dispute, in the order of the days on which they were raised.

    A line that one dispute has reversed cannot be disputed again.
    """
    books = Books(folder)
    next_line = len(books.lines)
    reversed_by: dict[int, str] = {}
    outcomes = []
    for dispute in sorted(disputes, key=lambda each: each.raised):
        outcome = _outcome(books, dispute, reversed_by, next_line)
        next_line += len(outcome.lines)
        if outcome.upheld:
            reversed_by[dispute.line] = dispute.name
        outcomes.append(outcome)
    return outcomes


def _outcome(books: Books, dispute: Dispute, reversed_by: Mapping[int, str], next_line: int) -> Outcome:
    line = books.lines[dispute.line]
    day = local_date(line["start_ms"])
    runs = timetable(day, books.rules("bsc", line["start_ms"]), disputed=True)
    deadline = runs[-1].readings_by
    raised = Step(dispute.name, "raised", dispute.raised, f"line {dispute.line}: {dispute.ground}")
    corrects = _corrected_in(runs, Run(line["settlement_run"]), dispute.raised)
    if corrects is None:
        late = Step(dispute.name, "out of time", dispute.raised, f"the last day was {deadline}")
        return Outcome(dispute, deadline, (raised, late), ())
    restated = _judge(books, dispute, line, reversed_by)
    if isinstance(restated, str):
        judged = Step(dispute.name, "rejected", corrects.readings_by, restated)
        return Outcome(dispute, deadline, (raised, judged), ())
    volume_mwh, price, amount = restated
    lines = _new_lines(line, corrects.run, next_line, volume_mwh, price, amount)
    words = f"{amount - line['amount_gbp_e5']:+,} of 1e-5 GBP in run {corrects.run}"
    steps = (
        raised,
        Step(dispute.name, "upheld", corrects.readings_by, "by the rule for its ground"),
        Step(dispute.name, "restated", corrects.on, words),
    )
    return Outcome(dispute, deadline, steps, lines)


def _corrected_in(runs: tuple[ScheduledRun, ...], stated_in: Run, raised: date) -> ScheduledRun | None:
    """The first run after the line's own that can still take what is raised on a day; None: too late."""
    later = (each for each in runs if RUNS.index(each.run) > RUNS.index(stated_in))
    return next((each for each in later if raised <= each.readings_by), None)


Restated = tuple[float, float, int]
"""Volume [MWh], price [GBP/MWh] and amount [1e-5 GBP] of a line as it should have been."""


def _judge(books: Books, dispute: Dispute, line: Row, reversed_by: Mapping[int, str]) -> Restated | str:
    """The line as it should be, or why the dispute is rejected."""
    stands = [each["line"] for each in books.own_lines(place_of(line))]
    if dispute.line in reversed_by:
        return f"the line was reversed by {reversed_by[dispute.line]}"
    if is_reversal(line) or line["line"] not in stands:
        return "the line does not stand: a later run reversed it"
    if dispute.ground == "price":
        return _judge_price(books, dispute, line)
    if dispute.ground == "duplicate":
        before = [each for each in books.own_lines(place_of(line)) if each["line"] < line["line"]]
        twice = is_again(line, before)
        return (0.0, line["price_gbp_per_mwh"], 0) if twice else "no line before it says the same"
    return _judge_readings(books, dispute, line)


def _judge_price(books: Books, dispute: Dispute, line: Row) -> Restated | str:
    place, asked = place_of(line), dispute.price_gbp_per_mwh
    bound = books.bid_price(place) if place[0] == DFS else None
    if asked is None:
        return "no evidence: price_gbp_per_mwh is not told"
    if bound is None or asked != bound:
        return f"no bid at {asked:g} GBP/MWh binds"
    if line["price_gbp_per_mwh"] == bound:
        return "the line has this price"
    last = books.runs(place)[-1][1]
    amount = books.payment(place, last["accepted_wh"], last["delivered_wh"], bound)
    return line["volume_mwh"], bound, amount


def _judge_readings(books: Books, dispute: Dispute, line: Row) -> Restated | str:
    """Upheld when no more meters are shown than carry nothing for this cause, each once."""
    place, readings = place_of(line), dispute.readings
    if not readings:
        return "no evidence: readings are not told"
    if len({each.meter for each in readings}) < len(readings):
        return "a meter is told twice"
    last = books.runs(place)[-1][1]
    known = meters_without_volume(books, place, last)[GROUNDS[dispute.ground]]
    if len(readings) > known:
        return f"{len(readings)} meters are told, and {known} carry nothing for this ground"
    more_wh = sum(each.baseline_wh - each.metered_wh for each in readings)
    price = line["price_gbp_per_mwh"]
    if line["item"] == "DFS utilisation":
        delivered_wh = last["delivered_wh"] + more_wh
        amount = books.payment(place, last["accepted_wh"], delivered_wh, price)
        way = -1 if last["accepted_wh"] < 0 else 1  # a line's volume is positive for what was bought
        return way * delivered_wh / WH_PER_MWH, price, amount
    if line["item"] == "imbalance":
        volume_mwh = line["volume_mwh"] + more_wh / WH_PER_MWH
        return volume_mwh, price, gbp_e5(price, volume_mwh)
    return f"readings do not restate {line['item']}: dispute the imbalance line"


def _new_lines(
    line: Row, run: Run, number: int, volume_mwh: float, price: float, amount: int
) -> tuple[dict[str, Any], ...]:
    """The reversal of a line and the line anew, as the table `settlement` would have them."""
    both = {line["payer"], line["payee"]} - {"aggregator"}
    counterparty = next(iter(both), line["payer"])
    taken_back = {
        **line,
        "line": number,
        "settlement_run": run.value,
        "item": f"{line['item']} of {line['settlement_run']} reversed",
        "volume_mwh": -line["volume_mwh"],
        "amount_gbp_e5": -line["amount_gbp_e5"],
        "payer": line["payee"],
        "payee": line["payer"],
    }
    anew = {
        **line,
        "line": number + 1,
        "settlement_run": run.value,
        "volume_mwh": volume_mwh,
        "price_gbp_per_mwh": price,
        "amount_gbp_e5": amount,
        "payer": counterparty if amount >= 0 else "aggregator",
        "payee": "aggregator" if amount >= 0 else counterparty,
    }
    for each in (taken_back, anew):
        each.pop("heard_ms")
    return taken_back, anew


def ledger(outcomes: list[Outcome]) -> Iterator[Step]:
    """All steps in the order of their days."""
    yield from sorted((step for each in outcomes for step in each.steps), key=lambda step: step.on)
