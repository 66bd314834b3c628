"""What `flextwin doctor` looks at: versions, solver, cores, calendars, caches, what ships with it."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from flextwin.api import cores
from flextwin.cli import scenarios_folder
from protocol.periods import bank_holidays, period_count
from sim.manifest import code_version, versions

_NEEDED = (
    "numpy",
    "numba",
    "simpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "highspy",
    "pyomo",
    "matplotlib",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at, what was found, and whether it is in order."""

    what: str
    found: str
    good: bool = True


def examine() -> list[Finding]:
    """Everything looked at, in the order of telling."""
    looks = (_flextwin, _python, _libraries, _solver, _cores, _calendar, _cache, _scenarios)
    return [_careful(look) for look in looks]


def _careful(look: Callable[[], Finding]) -> Finding:
    """A look that fails is a finding too."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - a doctor tells whatever is wrong
        return Finding(look.__name__.removeprefix("_"), f"{type(error).__name__}: {error}", good=False)


def _flextwin() -> Finding:
    return Finding("flextwin", code_version())


def _python() -> Finding:
    return Finding("python", f"{sys.version.split()[0]} in {sys.prefix}", sys.version_info >= (3, 11))


def _libraries() -> Finding:
    for name in _NEEDED:
        importlib.import_module(name)
    return Finding(
        "libraries", ", ".join(f"{name} {told}" for name, told in versions().items() if name != "python")
    )


def _solver() -> Finding:
    """The smallest problem there is: least x that is at least 2."""
    solver = importlib.import_module("highspy").Highs()
    solver.setOptionValue("output_flag", False)
    solver.addVar(2.0, 10.0)
    solver.changeColCost(0, 1.0)
    solver.run()
    value = solver.getSolution().col_value[0]
    return Finding("solver", f"HiGHS {solver.version()} finds {value:g} for 2", value == 2.0)


def _cores() -> Finding:
    return Finding("cores", f"{cores()} of {os.cpu_count()}")


def _calendar() -> Finding:
    """Clock changes and bank holidays are as everybody knows them."""
    counts = [period_count(day) for day in (date(2024, 3, 31), date(2024, 7, 1), date(2024, 10, 27))]
    good = counts == [46, 48, 50] and date(2024, 12, 25) in bank_holidays(2024)
    return Finding("calendar", f"periods of clock-change days and a summer day: {counts}", good)


def _cache() -> Finding:
    """Compiled code is kept between runs only where it can be written."""
    package = Path(__file__).parents[1] / "devices" / "__pycache__"
    told = os.environ.get("NUMBA_CACHE_DIR")
    folder = (
        Path(told) if told else (package if os.access(package.parent, os.W_OK) else Path.home() / ".cache")
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder):
        return Finding("cache", f"{folder} can be written")


def _scenarios() -> Finding:
    demo = scenarios_folder() / "demo.yaml"
    return Finding("scenarios", str(demo.parent), demo.is_file())
