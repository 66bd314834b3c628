"""Runs a folder's scenarios for `flextwin check`, one after the other, and judges each against its bands."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from flextwin import api
from flextwin.progress import Stopwatch
from sim.faults import Fault
from sim.scenario_errors import ScenarioErrors
from studies.check import ScenarioResult, judge, judge_refusal, run_all, scenarios_in

Told = Callable[[ScenarioResult], None]


def check_folder(
    folder: Path,
    out: Path | None = None,
    *,
    workers: int | None = None,
    data: Path | None = None,
    told: Told | None = None,
) -> list[ScenarioResult]:
    """Results of all scenarios; without `out` the runs are thrown away. Raises CheckError for no scenario."""
    runs, refused = scenarios_in(folder)
    tell = told or (lambda _: None)
    results = run_all(refused, lambda path: judge_refusal(path, _faults(path, data)), tell)
    if out is not None:
        return [*results, *_run_each(runs, out, workers, data, tell)]
    with tempfile.TemporaryDirectory(prefix="flextwin-check-") as place:
        return [*results, *_run_each(runs, Path(place), workers, data, tell)]


def _faults(path: Path, data: Path | None) -> Sequence[Fault] | None:
    try:
        api.validate(path, data=data)
    except ScenarioErrors as error:
        return error.faults
    return None


def _run_each(
    runs: Sequence[Path], out: Path, workers: int | None, data: Path | None, tell: Told
) -> list[ScenarioResult]:
    return run_all(runs, lambda path: _run_one(path, out / path.stem, workers, data), tell)


def _run_one(path: Path, out: Path, workers: int | None, data: Path | None) -> ScenarioResult:
    """One scenario run and judged; a scenario that cannot be run is red and does not stop the others."""
    watch = Stopwatch()
    try:
        scenario, _ = api.validate(path, data=data)
        done = api.run(path, out, workers=workers, data=data)
    except api.RunInterruptedError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one scenario, the others are still run
        return ScenarioResult(path.name, problem=f"{type(error).__name__}: {error}", seconds=watch.seconds())
    problem = f"degraded: {'; '.join(done.degraded)}" if done.degraded else ""
    return ScenarioResult(path.name, judge(scenario.expect, done.kpis), problem, watch.seconds())
