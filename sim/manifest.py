"""What a run was made of: scenario, seed, code, versions, rules, inputs. Nothing of host, workers or hour."""

from __future__ import annotations

import hashlib
import platform
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from protocol.rulebook import load_rulebook, rulebook_names
from sim.importers import Source
from sim.recorder import Layout
from sim.run_folder import TableFile
from sim.scenario import Scenario

COMPLETE, DEGRADED = "complete", "degraded"
SCENARIO_FILE = "scenario.yaml"

_LIBRARIES = ("numpy", "numba", "scipy", "simpy", "pyarrow", "highspy", "pyomo", "matplotlib")
_PACKAGES = ("aggregator", "devices", "flextwin", "markets", "protocol", "sim", "studies")
_ROOT = Path(__file__).parents[1]


def make_manifest(
    scenario: Scenario,
    text: str,
    layout: Layout,
    tables: Mapping[str, TableFile],
    *,
    inputs: Iterable[Source] = (),
    degraded: Iterable[str] = (),
    invariants: Mapping[str, int] | None = None,
    data: Path | None = None,
    population: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The manifest of a run. `text` is the scenario as its author wrote it, `inputs` the data files read,
    `degraded` why the result is less than asked for, `invariants` how often each law was violated, `data` the
    folder from which data files are named, `population` what a registry told of the homes.
    """
    reasons = sorted(set(degraded))
    return {
        "flextwin": code_version(),
        "status": DEGRADED if reasons else COMPLETE,
        "degraded": reasons,
        "seed": scenario.seed,
        "scenario": {
            "name": scenario.name,
            "question": scenario.question,
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "text": text,
        },
        "engine": scenario.engine,
        "record_level": scenario.record.level.value,
        "span": {"start_ms": layout.start_ms, "end_ms": layout.end_ms},
        "units": list(layout.units),
        "homes": scenario.homes.count,
        "versions": versions(),
        "rulebooks": _rulebooks(scenario),
        "operational_metering": scenario.markets.balancing.operational_metering,
        "inputs": _inputs(inputs, data),
        **({} if population is None else {"population": dict(population)}),
        "invariants": dict(sorted((invariants or {}).items())),
        "tables": {name: asdict(file) for name, file in tables.items()},
    }


def _inputs(inputs: Iterable[Source], data: Path | None) -> dict[str, str]:
    """SHA-256 of each file by its path from the data folder; elsewhere by as much of it as sets it apart."""
    digests = {source.path.resolve(): source.sha256 for source in inputs}
    folder = None if data is None else data.resolve()
    named: dict[str, str] = {}
    for path in sorted(digests, key=lambda path: (folder is None or not path.is_relative_to(folder), path)):
        if folder is not None and path.is_relative_to(folder):
            name = path.relative_to(folder).as_posix()
        else:
            tails = (Path(*path.parts[-length:]).as_posix() for length in range(1, len(path.parts) + 1))
            name = next(tail for tail in tails if tail not in named)
        named[name] = digests[path]
    return dict(sorted(named.items()))


@lru_cache(maxsize=1)
def code_version() -> str:
    """The version, and after `+` the first 12 digits of the SHA-256 over all our sources."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*")):
            if path.suffix in {".py", ".yaml", ".j2"}:
                digest.update(f"{path.relative_to(_ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return f"{_installed('flextwin') or '0'}+{digest.hexdigest()[:12]}"


def versions() -> dict[str, str]:
    """Versions of Python, of the libraries that results depend on, and of the calendars."""
    found = {name: _installed(name) for name in (*_LIBRARIES, "holidays", "tzdata")}
    return {"python": platform.python_version(), **{name: told for name, told in found.items() if told}}


def made_with() -> dict[str, str]:
    """All that a run must find again to go on: our code, the libraries, and the time zones in force."""
    return {"flextwin": code_version(), **versions(), "time zones": _time_zones()}


def _time_zones() -> str:
    """The edition of the time zones that clocks follow: the host's where it has any, else the package's."""
    for folder in map(Path, zoneinfo.TZPATH):
        if not (folder / "Europe" / "London").is_file():
            continue
        edition = folder / "tzdata.zi"
        if edition.is_file():
            with edition.open(encoding="utf-8") as file:
                return file.readline().removeprefix("# version ").strip()
        return hashlib.sha256((folder / "Europe" / "London").read_bytes()).hexdigest()[:12]
    return _installed("tzdata")


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _rulebooks(scenario: Scenario) -> dict[str, str]:
    """The edition of every rulebook that has one on the day whose rules hold."""
    on = scenario.markets.rules_date or scenario.clock.start
    found = {}
    for name in rulebook_names():
        try:
            found[name] = load_rulebook(name, on=on).edition
        except LookupError:
            found[name] = "none in force"
    return found
