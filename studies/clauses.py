"""The register of clauses: which rule of which rulebook each scenario exercises, and which none does.

`python -m studies.clauses [SCENARIO ...]` runs the scenarios, each in a process of its own and with at most
`MOST_HOMES` homes, and writes `docs/clauses.md`. A rule is exercised where the run reads it; what money rests
upon is told by the clauses of statement lines.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from protocol.rulebook import Rule, every_rule, rules_read
from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario_file import load_scenario

MOST_HOMES = 30_000
PAGE = Path("docs/clauses.md")
SCENARIOS = Path("scenarios")


@dataclass(frozen=True, slots=True)
class Exercised:
    """What one scenario exercised: (rulebook, rule) that were read, and clauses on its statement lines."""

    scenario: str
    read: frozenset[tuple[str, str]]
    settled: frozenset[str]


def exercised(path: Path, data: Path | None = None) -> Exercised:
    """Run a scenario and see what it reads. Once in a process: what is kept is not read again."""
    text = path.read_text(encoding="utf-8")
    homes = load_scenario(path, data_folder=data).homes.count
    scenario = load_scenario(path, data_folder=data, overrides={"homes.count": min(homes, MOST_HOMES)})
    with tempfile.TemporaryDirectory() as folder, rules_read() as read:
        outcome = run_scenario(scenario, Path(folder) / "run", text=text, data=data)
        lines = RunFolder(outcome.folder).table("settlement", ["clause"])
        settled = frozenset(str(clause) for clause in lines["clause"].to_pylist())
    return Exercised(path.stem, frozenset(read), settled)


def all_exercised(paths: Sequence[Path], data: Path | None = None) -> list[Exercised]:
    """What each scenario exercises, each in a new process."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        return list(pool.map(exercised, paths, [data] * len(paths)))


def page(found: Iterable[Exercised]) -> str:
    """The register as Markdown: every rule with the scenarios that exercise it, then those that none does."""
    found = list(found)
    scenarios = defaultdict(list)
    for each in found:
        for rule in sorted(each.read):
            scenarios[rule].append(each.scenario)
    return "\n".join(
        [*_head(found), *_read_rules(scenarios), *_unread_rules(scenarios), *_settled(found), ""]
    )


def _head(found: list[Exercised]) -> Iterator[str]:
    yield "# Which clause each scenario exercises"
    yield ""
    yield f"Written by `python -m studies.clauses`: {len(found)} scenarios of {MOST_HOMES:,} homes at most."
    yield "A rule is exercised where a run reads it; what an amount of money rests upon is in the last table."


def _read_rules(scenarios: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    book = ""
    for name, dated in every_rule():
        by = scenarios.get((name, dated[0].name))
        if by is None:
            continue
        if name != book:
            yield from ("", f"## {name}", "", "| rule | clause | exercised by |", "|---|---|---|")
            book = name
        yield f"| {dated[0].name} | {_clauses(dated)} | {', '.join(by)} |"


def _unread_rules(scenarios: Mapping[tuple[str, str], list[str]]) -> Iterator[str]:
    unread = [(name, dated) for name, dated in every_rule() if (name, dated[0].name) not in scenarios]
    yield from (
        "",
        "## Exercised by no scenario",
        "",
        f"{len(unread)} of {len(list(every_rule()))} rules.",
        "",
    )
    yield from ("| rulebook | rule | clause |", "|---|---|---|")
    for name, dated in unread:
        yield f"| {name} | {dated[0].name} | {_clauses(dated)} |"


def _settled(found: Sequence[Exercised]) -> Iterator[str]:
    scenarios = defaultdict(list)
    for each in found:
        for clause in each.settled:
            scenarios[clause].append(each.scenario)
    yield from ("", "## Clauses of statement lines", "", "| clause | scenarios |", "|---|---|")
    for clause in sorted(scenarios):
        yield f"| {clause.replace('|', '/')} | {', '.join(scenarios[clause])} |"


def _clauses(dated: Sequence[Rule]) -> str:
    return "; ".join(dict.fromkeys(rule.clause for rule in dated)).replace("|", "/")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", type=Path)
    parser.add_argument("--data", type=Path)
    told = parser.parse_args(arguments)
    paths = told.scenarios or sorted(SCENARIOS.glob("*.yaml"))
    PAGE.write_text(page(all_exercised(paths, told.data)), encoding="utf-8")


if __name__ == "__main__":
    main()
