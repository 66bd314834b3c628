"""A run goes on with the very files that it began with (fault D9)."""

import hashlib
import json
from datetime import date, timedelta

import pytest

from sim.importers import DataErrors
from sim.manifest import made_with
from sim.run import resume_run, run_scenario
from sim.run_folder import RunFolderError
from sim.scenario_file import parse_scenario

TEXT = """
flextwin: 1
name: inputs
clock: {start: 2024-01-16, history_days: 0, checkpoint_every: 60 min, settlement_days: 1}
homes: {count: 20}
weather: {source: files, file: weather.csv}
"""


def weather_of(mean_c):
    days = (date(2024, 1, 15) + timedelta(days=ahead) for ahead in range(8))
    lines = [
        "date,temperature_max_c,temperature_min_c,temperature_mean_c",
        *(f"{d},9,1,{mean_c}" for d in days),
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A run that was stopped at once, and the data file that it had read."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "weather.csv"
    file.write_text(weather_of(5))
    out = tmp_path / "run"
    assert run_scenario(parse_scenario(TEXT), out, text=TEXT, data=tmp_path, stop=lambda: True).interrupted
    return out, file


def test_a_run_whose_data_file_has_changed_is_not_resumed(stopped):
    out, file = stopped
    before = file.read_text()
    file.write_text(weather_of(6))
    with pytest.raises(DataErrors) as caught:
        resume_run(out)
    assert str(caught.value).startswith(f"{file}:1:1: D008 the file changed since the run began")
    assert not (out / "manifest.json").exists()
    file.write_text(before)
    assert not resume_run(out).interrupted


def test_a_run_begun_with_other_versions_is_not_resumed_and_both_are_told(stopped):
    out, _ = stopped
    inputs = json.loads((out / "inputs.json").read_text())
    numpy_here, zones_here = inputs["made_with"]["numpy"], inputs["made_with"]["time zones"]
    began_with = {**inputs["made_with"], "numpy": "1.0", "time zones": "1999a"}
    (out / "inputs.json").write_text(json.dumps({**inputs, "made_with": began_with}))
    with pytest.raises(RunFolderError) as caught:
        resume_run(out)
    assert f"began with numpy 1.0 (here {numpy_here}), time zones 1999a (here {zones_here});" in str(
        caught.value
    )
    assert not (out / "manifest.json").exists()
    (out / "inputs.json").write_text(json.dumps(inputs))
    assert not resume_run(out).interrupted


def test_what_a_run_was_made_with_names_code_libraries_and_time_zones():
    named = made_with()
    assert {"flextwin", "python", "numpy", "numba", "time zones"} <= set(named)
    assert all(named.values())


def test_the_manifest_tells_the_file_as_it_was_read(stopped):
    out, file = stopped
    digest = hashlib.sha256(file.read_bytes()).hexdigest()

    def change_it() -> bool:
        file.write_text(weather_of(6))
        return False

    resume_run(out, stop=change_it)
    assert json.loads((out / "manifest.json").read_text())["inputs"] == {"weather.csv": digest}
