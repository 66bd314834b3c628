"""The twin from Python: run a scenario, open a run, compare two. What the commands do, without words."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flextwin.progress import StopRequest, Stopwatch, progress_line
from protocol.periods import DAY_MS, day_end_ms, day_start_ms
from sim.faults import Fault
from sim.scenario import Scenario
from sim.scenario_file import load_scenario

if TYPE_CHECKING:
    import pandas as pd

    from sim.run_folder import RunFolder
    from studies.device_trace import Trace
    from studies.diff import RunDifference

RESULTS = Path("results")
_SEED_LINE = re.compile(r"^seed:.*$", re.MULTILINE)
_BLOCK_STYLE = re.compile(r"^flextwin:", re.MULTILINE)


class RunInterruptedError(Exception):
    """The run was asked to stop, has saved itself and can be resumed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(f"stopped and saved; go on with: flextwin resume {folder}")


class SeedError(Exception):
    """The scenario's text does not let its seed be replaced."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run and its folder."""

    folder: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """What the run was made of."""
        return self._files().manifest()

    @property
    def degraded(self) -> tuple[str, ...]:
        """Why the result is less than was asked for; empty when it is not."""
        return tuple(self.manifest["degraded"])

    @property
    def kpis(self) -> dict[str, float | int]:
        """The key figures, by name (meanings: `studies.kpis.MEANINGS`)."""
        from sim.run_folder import KPIS

        found: dict[str, float | int] = self._files().read_json(KPIS)
        return found

    @property
    def report(self) -> Path:
        """Where the report lies."""
        from sim.run_folder import REPORT

        return self.folder / REPORT

    def table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A table of the run as a data frame. Raises RunFolderError for one that was not recorded."""
        frame: pd.DataFrame = self._files().table(name, columns).to_pandas()
        return frame

    def trace(self, row: int) -> Trace:
        """One device's day. Raises TraceError where devices were not recorded."""
        from studies.device_trace import trace_device

        return trace_device(self._files(), row)

    def _files(self) -> RunFolder:
        from sim.run_folder import RunFolder

        return RunFolder(self.folder)


def validate(path: str | Path, *, data: str | Path | None = None) -> tuple[Scenario, tuple[Fault, ...]]:
    """The scenario and its warnings. Raises ScenarioErrors with everything that is wrong."""
    warnings: list[Fault] = []
    scenario = load_scenario(path, data_folder=data, warn=warnings.append)
    return scenario, tuple(warnings)


def run(
    path: str | Path,
    out: str | Path | None = None,
    *,
    seed: int | None = None,
    workers: int | None = None,
    data: str | Path | None = None,
    quiet: bool = True,
    warn: Callable[[Fault], None] | None = None,
) -> Run:
    """Run a scenario file into a new folder (default: the next free one under `results/`) and report on it.

    Raises ScenarioErrors and DataErrors for what is wrong with the input, RunFolderError when `out` is taken,
    RunInterruptedError when somebody asked it to stop.
    """
    path = Path(path)
    overrides = {} if seed is None else {"seed": seed}
    scenario = load_scenario(path, data_folder=data, overrides=overrides, warn=warn)
    text = path.read_text(encoding="utf-8-sig")
    if seed is not None:
        text = with_seed(text, seed)
    folder = Path(out) if out is not None else free_folder(RESULTS, scenario.name)
    return run_text(scenario, text, folder, workers=workers, data=data or path.parent, quiet=quiet)


def run_text(
    scenario: Scenario,
    text: str,
    folder: Path,
    *,
    workers: int | None = None,
    data: str | Path | None = None,
    quiet: bool = True,
) -> Run:
    """As run, for a scenario that was read already; `text` is what the run folder keeps of it."""
    from sim.run import run_scenario

    watch = Stopwatch()
    start_ms, end_ms = _span(scenario)
    with StopRequest().listening() as stop, progress_line(start_ms, end_ms, quiet=quiet) as progress:
        outcome = run_scenario(
            scenario,
            folder,
            text=text,
            workers=workers or cores(),
            data=None if data is None else Path(data).resolve(),
            progress=progress,
            stop=stop,
        )
    if outcome.interrupted:
        raise RunInterruptedError(folder)
    return _report_on(folder, scenario, watch.seconds(), workers or cores())


def resume(folder: str | Path, *, workers: int | None = None, quiet: bool = True) -> Run:
    """Go on with a run that was stopped or killed. Raises RunFolderError and CheckpointError."""
    from sim.run import resume_run
    from sim.run_folder import RunFolder, RunFolderError

    folder = Path(folder)
    if RunFolder(folder).is_run():
        raise RunFolderError(f"{folder} is finished: there is nothing to resume")
    stored = _stored_scenario(folder, None)
    watch = Stopwatch()
    start_ms, end_ms = _span(stored)
    with StopRequest().listening() as stop, progress_line(start_ms, end_ms, quiet=quiet) as progress:
        outcome = resume_run(folder, workers=workers or cores(), progress=progress, stop=stop)
    if outcome.interrupted:
        raise RunInterruptedError(folder)
    return _report_on(folder, stored, watch.seconds(), workers or cores())


def rerun(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    data: str | Path | None = None,
    quiet: bool = True,
) -> tuple[Run | None, RunDifference]:
    """Run a run's scenario again and compare. Without `out` the second run is thrown away (and None)."""
    from sim.manifest import SCENARIO_FILE
    from sim.run_folder import RunFolder

    folder = Path(folder)
    RunFolder(folder).manifest()
    data = data or RunFolder(folder).read_json("inputs.json")["data"]
    scenario = _stored_scenario(folder, data)
    text = (folder / SCENARIO_FILE).read_text(encoding="utf-8")
    if out is not None:
        again = run_text(scenario, text, Path(out), workers=workers, data=data, quiet=quiet)
        return again, diff(folder, out)
    with tempfile.TemporaryDirectory(prefix="flextwin-rerun-") as place:
        run_text(scenario, text, Path(place) / "again", workers=workers, data=data, quiet=quiet)
        return None, diff(folder, Path(place) / "again")


def diff(left: str | Path, right: str | Path) -> RunDifference:
    """Whether two runs have the same bytes, and where they first part. Raises RunFolderError."""
    from sim.run_folder import RunFolder
    from studies.diff import compare_runs

    return compare_runs(RunFolder(Path(left)), RunFolder(Path(right)))


def report(folder: str | Path) -> Run:
    """Work out key figures, report and picture of a run again, from its tables. Raises RunFolderError."""
    from sim.run_folder import RunFolder
    from studies.report import report_on

    report_on(RunFolder(Path(folder)))
    return Run(Path(folder))


def open_run(folder: str | Path) -> Run:
    """A run that lies in a folder. Raises RunFolderError when there is none."""
    from sim.run_folder import RunFolder

    RunFolder(Path(folder)).manifest()
    return Run(Path(folder))


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def free_folder(parent: Path, name: str) -> Path:
    """The first of NAME, NAME-2, NAME-3 ... that is not there yet."""
    number = 1
    while (found := parent / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1
    return found


def with_seed(text: str, seed: int) -> str:
    """The scenario's text with another seed, so that the run folder keeps what was really run.

    Raises SeedError for a text whose top level is not written line by line.
    """
    line = f"seed: {seed}"
    if _SEED_LINE.search(text):
        return _SEED_LINE.sub(line, text, count=1)
    if not _BLOCK_STYLE.search(text):
        raise SeedError("the seed cannot be replaced: write `seed: 1` on a line of its own in the scenario")
    return f"{text.rstrip()}\n{line}\n"


def _span(scenario: Scenario) -> tuple[int, int]:
    clock = scenario.clock
    end_ms = day_end_ms(clock.start + timedelta(days=clock.days - 1))
    return day_start_ms(clock.start), end_ms + clock.settlement_days * DAY_MS


def _stored_scenario(folder: Path, data: str | Path | None) -> Scenario:
    from sim.manifest import SCENARIO_FILE
    from sim.run_folder import RunFolder, RunFolderError

    path = folder / SCENARIO_FILE
    if not path.is_file():
        raise RunFolderError(f"{folder} holds no run: there is no {SCENARIO_FILE}")
    inputs = RunFolder(folder).read_json("inputs.json")
    overrides = {"seed": inputs["seed"]} if "seed" in inputs else {}
    return load_scenario(path, data_folder=data or inputs["data"], overrides=overrides)


def _report_on(folder: Path, scenario: Scenario, wall_s: float, workers: int) -> Run:
    from sim.run_folder import TIMING, RunFolder

    lived_s = scenario.clock.days * DAY_MS // 1000
    timing = {
        "wall_s": round(wall_s, 3),
        "simulated_s": lived_s,
        "times_real_time": round(lived_s / max(wall_s, 1e-3), 1),
        "workers": workers,
    }
    RunFolder(folder).write_json(TIMING, timing)
    return report(folder)
