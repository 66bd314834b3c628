"""The register of refusals: every reason that a party can give, and the scenario or test that triggers it.

`python -m studies.refusals [SCENARIO ...]` runs the small worlds of `scenarios/refusals/` and the shipped
scenarios of `SHIPPED`, each in a process of its own, collects what was said, and writes `docs/refusals.md`.
What there is to say is read from the code (`studies/refusal_reasons.py`); what no scenario triggers is told
in `refusals.yaml`: the test that does, or that nothing does and why. `--list` runs nothing: the list is read
anew, and what triggered what is kept as the page has it.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from aggregator.loop import Aggregator
from protocol.messages import AckOutcome, Acks, Message
from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario_file import load_scenario
from studies.refusal_reasons import BLANK, Reason, every_reason, every_remark

PAGE = Path("docs/refusals.md")
SMALL = Path("scenarios/refusals")
SHIPPED = ("every-service", "dfs-turn-up-night", "economy-7-night-rts-failures")
MOST_HOMES = 16_000
DATA = Path(__file__).with_suffix(".yaml")
NOTHING = "nothing"
DEVICE = "device"
"""Who says what became of a set-point: a device, or its vendor's cloud for it."""

_PARTIES = {
    "markets/balancing.py": ("balancing",),
    "markets/capacity_market.py": ("capacity_market",),
    "markets/constraint_market.py": ("constraint_market",),
    "markets/dfs.py": ("dfs",),
    "markets/exchange.py": ("exchange",),
    "markets/wholesale.py": ("exchange",),
    "markets/procurement.py": ("dso", "constraint_market"),
    "markets/procurement_entry.py": ("dso", "constraint_market"),
    "markets/settlement.py": ("settlement",),
    "protocol/constraints.py": ("constraint_market",),
    "protocol/eligibility.py": ("aggregator", "registry"),
    "protocol/stacking.py": ("aggregator", "registry"),
    "protocol/messages.py": (DEVICE,),
    "sim/gateway.py": ("gateway",),
}
_JUDGED = ("protocol/eligibility.py", "protocol/stacking.py")
_SCHEDULED = frozenset({"sustain", "sustain_h", "tcm"})
_TALK = {"acceptance_response": "acceptance", "service_dispatch_answer": "signal"}


@dataclass(frozen=True, slots=True, order=True)
class Utterance:
    """Something that was said in a run: by whom, of what (where known), and the words."""

    who: str
    about: str
    words: str


@dataclass(frozen=True, slots=True)
class Heard:
    """All that was said in the run of one scenario."""

    scenario: str
    said: frozenset[Utterance]


# ---------------------------------------------------------------------------------------------- what was said


def heard(path: Path, data: Path | None = None) -> Heard:
    """Run a scenario and listen. Raises ScenarioErrors or DataErrors for one that cannot be run."""
    text = path.read_text(encoding="utf-8")
    homes = load_scenario(path, data_folder=data).homes.count
    scenario = load_scenario(path, data_folder=data, overrides={"homes.count": min(homes, MOST_HOMES)})
    outcomes: set[int] = set()
    listened = Aggregator.receive

    def listen(self: Aggregator, message: Message, now_ms: int) -> None:
        if isinstance(message, Acks):
            outcomes.update(message.outcome.tolist())
        listened(self, message, now_ms)

    # No table tells what became of each set-point.
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Aggregator, "receive", listen):
        outcome = run_scenario(scenario, Path(folder) / "run", text=text, data=data)
        told = frozenset(_told(RunFolder(outcome.folder)))
    answers = {Utterance(DEVICE, "", AckOutcome(each).name.lower()) for each in outcomes}
    return Heard(path.stem, told | answers)


def _told(folder: RunFolder) -> Iterator[Utterance]:
    """Of the events and of instructions that were declined."""
    for event in folder.table("events", ["kind", "who", "detail"]).to_pylist():
        about = _TALK.get(event["kind"], "")
        yield Utterance(event["who"], "remark", f"{event['kind']}: {event['detail']}")
        yield Utterance(event["who"], about, event["detail"])
    for step in folder.table("instructions", ["service", "stage", "reason"]).to_pylist():
        if step["stage"] == "declined":
            yield Utterance("aggregator", _declined(step["service"]), step["reason"])


def _declined(service: str) -> str:
    """What was declined, as far as the service tells it."""
    told = {"balancing": "acceptance", "dfs": "result", "wholesale": "trade"}
    return told.get(service, "award" if service in _SCHEDULED else "signal")


def all_heard(paths: Sequence[Path], data: Path | None = None) -> list[Heard]:
    """What is said in each scenario, each in a new process."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return list(pool.map(heard, paths, [data] * len(paths)))


# ---------------------------------------------------------------------------------------------- who said what


@lru_cache(maxsize=1)
def _data() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    return found


def refusing_remarks() -> tuple[Reason, ...]:
    """The remarks that refuse something. Raises KeyError for a kind of which `refusals.yaml` says nothing."""
    return tuple(each for each in every_remark() if _data()["remarks"][each.words] == "refusal")


def register() -> tuple[Reason, ...]:
    """Every line of the register, sorted."""
    left = set(_data()["no_refusals"])
    return tuple(sorted({each for each in (*every_reason(), *refusing_remarks()) if key(each) not in left}))


def is_remark(reason: Reason) -> bool:
    """Whether the words are the kind of a remark."""
    return reason in set(every_remark())


def says(reason: Reason, one: Utterance) -> re.Match[str] | None:
    """Where in an utterance a reason is given; None where it is not."""
    if one.who not in _parties(reason) or (one.about == "remark") != is_remark(reason):
        return None
    if is_remark(reason):
        return _remark_pattern(reason.words, reason.details).fullmatch(one.words)
    about = _data()["about"].get(reason.decided_in, "")
    if about and about != one.about:
        return None
    match = _pattern(reason.words, reason.file in _JUDGED).search(one.words)
    return match if _data()["telling"].get(reason.decided_in, "") in one.words else None


@lru_cache(maxsize=4096)
def _remark_pattern(kind: str, details: tuple[str, ...]) -> re.Pattern[str]:
    told = "|".join(map(_filled, details)) or ".*"
    return re.compile(f"{re.escape(kind)}: (?:{told})", re.DOTALL)


def _filled(words: str) -> str:
    return "(?:.+?)".join(re.escape(part) for part in words.split(BLANK))


@lru_cache(maxsize=4096)
def _pattern(words: str, judged: bool) -> re.Pattern[str]:
    """`judged`: told with its clause, or of a unit with its place."""
    filled = _filled(words)
    if re.fullmatch("[a-z_]+", words):
        return re.compile(rf"(?:^|: ){filled}$")
    if judged:
        return re.compile(rf"{filled}(?: \((?P<clause>.*)\)$| at )")
    return re.compile(rf"{filled}(?:$|, |;)")


def _parties(reason: Reason) -> tuple[str, ...]:
    if reason.file == "markets/counterparty.py":
        return tuple(sorted({party for parties in _PARTIES.values() for party in parties}))
    return _PARTIES.get(reason.file, (reason.file.split("/")[0],))


def triggers(reason: Reason, found: Iterable[Heard]) -> dict[str, str]:
    """The scenarios in which a reason is given, each with the clause that was told."""
    by: dict[str, str] = {}
    for each in found:
        for one in sorted(each.said):
            match = says(reason, one)
            if match is not None and not by.get(each.scenario):
                by[each.scenario] = match.groupdict().get("clause") or ""
    return by


# --------------------------------------------------------------------------------------------------- the page


def page(found: Sequence[Heard]) -> str:
    """The register as Markdown."""
    return _written([_row(reason, triggers(reason, found)) for reason in register()])


def page_again(text: str) -> str:
    """The register with the list read anew, and of each line what triggered it before."""
    before = {(row[-2], row[-4]): row for row in _rows(text)}
    rows = [_row(reason, {}) for reason in register()]
    return _written([before.get((row[-2], row[-4]), row) for row in rows])


def _written(rows: Sequence[tuple[str, ...]]) -> str:
    return "\n".join([*_head(rows), *(f"| {' | '.join(row)} |" for row in rows), ""])


def _head(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    by_scenario = sum(row[-1].startswith("`") for row in rows)
    by_nothing = sum(row[-1].startswith(NOTHING) for row in rows)
    yield from (
        "# Every refusal, and what triggers it",
        "",
        "Written by `python -m studies.refusals`. The list is read from the code of the parties",
        "(`studies/refusal_reasons.py`); `…` is what the code fills in. Scenarios are those of `scenarios/`",
        "and `scenarios/refusals/`. Where only a counterparty that no scenario can express gives cause, a",
        "test in which it does is named.",
        "",
        _counted(len(rows), by_scenario, by_nothing),
        "",
        "| who refuses | what | reason | clause | decided in | triggered by |",
        "|---|---|---|---|---|---|",
    )


def _counted(refusals: int, by_scenario: int, by_nothing: int) -> str:
    by_test = refusals - by_scenario - by_nothing
    return (
        f"{refusals} refusals: {by_scenario} triggered by a scenario, {by_test} by a test alone, "
        f"{by_nothing} by nothing."
    )


def _row(reason: Reason, by: Mapping[str, str]) -> tuple[str, ...]:
    clause = next((told for told in by.values() if told), "") or _clause(reason)
    triggered = ", ".join(f"`{name}`" for name in by) or _data()["otherwise"].get(key(reason), NOTHING)
    what = _data()["what"].get(reason.decided_in, "")
    cells = (", ".join(_parties(reason)), what, reason.words, clause, f"{reason.file} {reason.decided_in}")
    return (*(cell.replace("|", "/") for cell in cells), triggered)


def _clause(reason: Reason) -> str:
    """The clause in the words themselves, or the rule that has it."""
    written = re.search(r"\(([^()…]+)\)$", reason.words)
    if written:
        return written.group(1)
    return f"of rule {reason.rule}" if reason.rule else ""


def key(reason: Reason) -> str:
    """The name of a line of the register in `refusals.yaml`."""
    return f"{reason.file} {reason.decided_in}: {reason.words}"


def listed(text: str) -> list[tuple[str, str, str]]:
    """Of a page: where each refusal is decided, its words, and what triggers it."""
    return [(row[-2], row[-4], row[-1]) for row in _rows(text)]


def _rows(text: str) -> list[tuple[str, ...]]:
    return [tuple(line[2:-2].split(" | ")) for line in text.splitlines() if line.startswith("| ")][1:]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--list", action="store_true", help="run nothing: read the list anew")
    told = parser.parse_args(arguments)
    if told.list:
        PAGE.write_text(page_again(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    shipped = [Path("scenarios") / f"{name}.yaml" for name in SHIPPED]
    found = all_heard(told.scenarios or [*sorted(SMALL.glob("*.yaml")), *shipped], told.data)
    PAGE.write_text(page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
