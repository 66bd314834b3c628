"""Same scenario, same bytes: any workers, any time zone, locale and hash seed, and after being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.run import CHECKPOINTS, Run, resume_run, run_scenario
from sim.scenario import Scenario
from sim.scenario_file import parse_scenario

ONE_RUN = """
import sys
from pathlib import Path
from sim.run import run_scenario
from sim.scenario_file import parse_scenario
text = Path(sys.argv[1]).read_text()
run_scenario(parse_scenario(text, "small.yaml"), Path(sys.argv[2]), text=text, workers=int(sys.argv[3]))
"""


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every table of a run."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {name: table["sha256"] for name, table in manifest["tables"].items()}


@pytest.fixture
def told(small_scenario: Scenario, small_text: str, tmp_path: Path) -> dict[str, str]:
    """The tables of an undisturbed run with one worker."""
    run_scenario(small_scenario, tmp_path / "told", text=small_text)
    return hashes(tmp_path / "told")


def start(
    small_text: str, tmp_path: Path, name: str, workers: int, **environment: str
) -> subprocess.Popen[bytes]:
    scenario = tmp_path / "small.yaml"
    scenario.write_text(small_text)
    command = [sys.executable, "-c", ONE_RUN, str(scenario), str(tmp_path / name), str(workers)]
    return subprocess.Popen(command, env={**os.environ, **environment}, cwd=Path(__file__).parents[2])


def test_workers_time_zone_and_hash_seed_change_no_byte(
    told: dict[str, str], small_text: str, tmp_path: Path
) -> None:
    for number, environment in enumerate(
        (
            {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7"},
            {"TZ": "America/New_York", "PYTHONHASHSEED": "99", "LC_ALL": "C"},
        )
    ):
        assert start(small_text, tmp_path, f"again{number}", workers=number + 2, **environment).wait() == 0
        assert hashes(tmp_path / f"again{number}") == told


def test_another_seed_changes_the_bytes(told: dict[str, str], small_text: str, tmp_path: Path) -> None:
    other = small_text.replace("seed: 1", "seed: 2")
    run_scenario(parse_scenario(other, "small.yaml"), tmp_path / "other", text=other)
    assert hashes(tmp_path / "other")["portfolio_1s"] != told["portfolio_1s"]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_killed_and_resumed_is_as_if_never_killed(
    told: dict[str, str], small_text: str, tmp_path: Path, share: float
) -> None:
    began = time.monotonic()
    assert start(small_text, tmp_path, "whole", 1).wait() == 0
    whole_s = time.monotonic() - began
    process = start(small_text, tmp_path, "killed", 1)
    time.sleep(whole_s * share)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if not (tmp_path / "killed" / "manifest.json").exists() and (tmp_path / "killed" / CHECKPOINTS).exists():
        assert not resume_run(tmp_path / "killed").interrupted
        assert hashes(tmp_path / "killed") == told


def test_stopped_at_any_checkpoint_and_resumed_is_the_same(
    told: dict[str, str], small_scenario: Scenario, small_text: str, tmp_path: Path
) -> None:
    for stops in (5, 300, 600):
        left = stops

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left == 0

        out = tmp_path / f"stopped{stops}"
        assert run_scenario(small_scenario, out, text=small_text, stop=stop).interrupted
        assert not resume_run(out).interrupted
        assert hashes(out) == told


def test_people_remember_events_over_a_checkpoint(asking_text: str, tmp_path: Path) -> None:
    scenario, calls = parse_scenario(asking_text, "asking.yaml"), 0

    def stop_at(last: int) -> Callable[[], bool]:
        def stop() -> bool:
            nonlocal calls
            calls += 1
            return calls == last

        return stop

    run_scenario(scenario, tmp_path / "whole", text=asking_text, stop=stop_at(0))
    told, turns = hashes(tmp_path / "whole"), calls
    for tenths in (5, 7, 8):  # in the afternoon, during the event and after it
        calls, out = 0, tmp_path / f"stopped{tenths}"
        stop = stop_at(turns * tenths // 10)
        assert run_scenario(scenario, out, text=asking_text, stop=stop).interrupted
        assert not resume_run(out, workers=2).interrupted
        assert hashes(out) == told


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(
    told: dict[str, str],
    small_scenario: Scenario,
    make_run: Callable[..., Run],
    small_text: str,
    tmp_path: Path,
) -> None:
    calls = 0

    def stop() -> bool:
        nonlocal calls
        calls += 1
        return calls == 600

    out = tmp_path / "damaged"
    run_scenario(small_scenario, out, text=small_text, stop=stop)
    newest = max((out / CHECKPOINTS).glob("*.checkpoint"))
    newest.write_bytes(newest.read_bytes()[:-1000])
    outcome = resume_run(out)
    assert any("checkpoint_damaged" in reason for reason in outcome.degraded)
    assert hashes(out) == told
