"""What `flextwin enrol` writes: a document; beside it, where its columns come from and who is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from flextwin.eligible import product_of
from protocol.derogations import RulesOn, derogation
from sim.event_scripts import rules_for
from sim.population import make_population
from sim.run_folder import RunFolderError, csv_of_words
from sim.scenario_file import load_scenario
from studies.enrolment import Enrolment, document, enrol, sidecar


@dataclass(frozen=True, slots=True)
class Written:
    """A document on disk, and what is in it."""

    told: Enrolment
    csv: Path
    json: Path


def write(
    file: Path, service: str, out: Path, on: date | None, beside: Sequence[Path], data: Path | None
) -> Written:
    """Write `<service>.csv` and `<service>.json` into a folder; nothing is overwritten.

    Raises RuleError for an unknown service, DataErrors for a registry that is refused, RunFolderError where
    the document is there already.
    """
    product = product_of(service)
    scenario = load_scenario(file, data_folder=data)
    asked = rules_for(scenario)
    names = tuple(derogation(name).name for name in asked.derogations)
    rules = RulesOn(on or asked.on or scenario.clock.start, names, asked.overrides)
    paths = out / f"{product.value}.csv", out / f"{product.value}.json"
    for path in paths:
        if path.exists():
            raise RunFolderError(
                f"{path} exists already, and nothing is ever overwritten: give another --out"
            )
    told = enrol(make_population(scenario), product, rules, beside)
    out.mkdir(parents=True, exist_ok=True)
    paths[0].write_bytes(csv_of_words(document(told)))
    text = json.dumps(sidecar(told, scenario.name), indent=2, ensure_ascii=False)
    paths[1].write_text(text + "\n", encoding="utf-8")
    return Written(told, *paths)
