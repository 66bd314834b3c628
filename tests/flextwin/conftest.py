"""The front door with an engine that simulates nothing: it writes the run that tests/studies draws by hand."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from flextwin import cli
from sim.run_folder import RunFolder

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

    def __init__(self, drawn):
        self.drawn = drawn
        self.degraded = ()
        self.raises = None
        self.stops = False
        self.asked = []

    def run_scenario(self, scenario, out, *, text, workers=1, data=None, progress=None, stop=None):
        RunFolder(out).claim()
        self.asked.append({"seed": scenario.seed, "text": text, "workers": workers, "data": data, "progress": progress})
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
        text = (out / "scenario.yaml").read_text()
        for path in out.iterdir():
            path.unlink()
        self._draw(out, SimpleNamespace(name="evening", seed=1), text)
        return SimpleNamespace(folder=out, degraded=self.degraded, interrupted=False)

    def _draw(self, out, scenario, text):
        kept = {path.name: path.read_bytes() for path in out.iterdir()}
        for path in out.iterdir():
            path.unlink()
        self.drawn.make_run(out, name=scenario.name, seed=scenario.seed, text=text, degraded=self.degraded)
        for name, data in kept.items():
            (out / name).write_bytes(data)


@pytest.fixture
def engine(drawn, monkeypatch):
    found = Engine(drawn)
    monkeypatch.setitem(sys.modules, "sim.run", found)
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
