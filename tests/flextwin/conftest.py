"""The front door with an engine that simulates nothing: it gives a run drawn by hand."""

import importlib.util
import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from flextwin import cli
from sim.run_folder import RunFolder
from studies.report import report_on

SCENARIO = "flextwin: 1\nname: evening\nclock: {start: 2024-01-16}\n"


@pytest.fixture(scope="session")
def drawn():
    """The module that draws runs by hand."""
    path = Path(__file__).parents[1] / "studies" / "conftest.py"
    found = importlib.util.spec_from_file_location("drawn_run", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


class Engine:
    """Stands for `sim.run`. What it is told to be decides how the next run ends."""

    def __init__(self, once):
        self.once = once
        self.degraded = ()
        self.raises = None
        self.stops = False
        self.asked = []

    def run_scenario(self, scenario, out, *, text, workers=1, data=None, progress=None, stop=None):
        RunFolder(out).claim()
        self.asked.append(
            {"seed": scenario.seed, "text": text, "workers": workers, "data": data, "progress": progress}
        )
        if self.raises:
            raise self.raises
        RunFolder(out).write_text("scenario.yaml", text)
        RunFolder(out).write_json("inputs.json", {"data": None if data is None else str(data)})
        if self.stops:
            return SimpleNamespace(folder=out, degraded=(), interrupted=True)
        self._draw(out, scenario, text)
        return SimpleNamespace(folder=out, degraded=self.degraded, interrupted=False)

    def resume_run(self, out, *, workers=1, progress=None, stop=None):
        self.asked.append({"resumed": out})
        self._draw(out, SimpleNamespace(name="evening", seed=1), (out / "scenario.yaml").read_text())
        return SimpleNamespace(folder=out, degraded=self.degraded, interrupted=False)

    def _draw(self, out, scenario, text):
        """The run drawn once, with its manifest telling of this scenario."""
        for path in self.once.iterdir():
            if path.name not in {"scenario.yaml", "manifest.json"}:
                shutil.copyfile(path, out / path.name)
        told = RunFolder(self.once).manifest()
        told |= {"seed": scenario.seed, "degraded": list(self.degraded)}
        told["scenario"] |= {"name": scenario.name, "sha256": sha256(text.encode()).hexdigest(), "text": text}
        RunFolder(out).write_json(
            "manifest.json", told | {"status": "degraded" if self.degraded else "complete"}
        )


@pytest.fixture(scope="session")
def once(drawn, tmp_path_factory):
    """The run that the engine gives, drawn and reported on a single time."""
    folder = drawn.make_run(tmp_path_factory.mktemp("once") / "run")
    report_on(folder)
    return folder.path


@pytest.fixture
def engine(once, monkeypatch):
    """The engine, and a report that is copied instead of drawn."""
    found = Engine(once)
    monkeypatch.setitem(sys.modules, "sim.run", found)
    monkeypatch.setattr("studies.report.report_on", lambda folder: None)
    return found


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in, with one scenario."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evening.yaml").write_text(SCENARIO)
    return tmp_path


class Said:
    """What a command answered."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def command(capsys):
    """Run one command line: exit code and what was said."""

    def run(*words):
        code = cli.execute([str(word) for word in words])
        told = capsys.readouterr()
        assert "Traceback" not in told.out + told.err
        return Said(code, told.out, told.err)

    return run
