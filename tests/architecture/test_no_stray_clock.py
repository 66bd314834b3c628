"""No wall clock and no fresh generator is reached anywhere but in its one named home."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("aggregator", "devices", "flextwin", "markets", "protocol", "sim", "studies")

# The progress line that a person watches, and the stopwatch of the benchmark.
CLOCK_HOMES = {"flextwin/progress.py", "studies/bench.py"}

CLOCK_MODULES = {"time", "timeit"}
CHANCE_MODULES = {"random", "secrets", "uuid", "numpy.random"}
CLOCK_CALLS = {"now", "utcnow", "today"}
DATE_CLASSES = {"date", "datetime", "Timestamp"}


def imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Full names of what an import statement reaches: modules, and names taken from them."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    module = node.module or ""
    return [module, *(f"{module}.{alias.name}" for alias in node.names)]


def stray_in(tree: ast.AST, *, may_read_clock: bool) -> list[str]:
    """What a module reaches that it should not, each as `line: what`."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    banned = CHANCE_MODULES if may_read_clock else CHANCE_MODULES | CLOCK_MODULES
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = imported(node)
            if banned.intersection(names) or "os.urandom" in names:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            reads_date = node.attr in CLOCK_CALLS and (
                # SimPy's `env.now` is neither called nor of a date class.
                id(node) in called or owner.rpartition(".")[2] in DATE_CLASSES
            )
            draws = (owner in {"np", "numpy"} and node.attr == "random") or node.attr == "urandom"
            if draws or (reads_date and not may_read_clock):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("datetime64"):
            # NumPy reads the wall clock for these two words.
            words = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
            if words & {"now", "today"} and not may_read_clock:
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def modules() -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    )


@pytest.mark.parametrize("module", modules())
def test_a_module_reads_no_clock_and_draws_no_fresh_chance(module):
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    assert stray_in(tree, may_read_clock=module in CLOCK_HOMES) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import time as clock",
        "from time import perf_counter",
        "import timeit",
        "import random",
        "from secrets import token_hex",
        "from uuid import uuid4",
        "import numpy.random",
        "from numpy import random",
        "from numpy.random import default_rng",
        "generator = np.random.default_rng(1)",
        "from os import urandom",
        "key = os.urandom(8)",
        "moment = datetime.now(UTC)",
        "moment = datetime.datetime.utcnow()",
        "day = date.today()",
        "day = calendar.today()",
        "day = calendar.today(zone)",
        "moment = clock.now(UTC)",
        "moment = pd.Timestamp.now()",
        "made: datetime = field(default_factory=datetime.now)",
        "moment = np.datetime64('now')",
    ],
)
def test_a_planted_clock_or_generator_is_found(source):
    assert len(stray_in(ast.parse(source), may_read_clock=False)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "now_ms = env.now",
        "from datetime import time",
        "import datetime",
        "delay_ms = self.random_delay_ms",
        "from sim import chance",
        "moment = datetime.fromtimestamp(now_ms / 1000, UTC)",
        "origin = np.datetime64('2024-01-01')",
    ],
)
def test_simulated_time_and_keyed_chance_are_left_alone(source):
    assert stray_in(ast.parse(source), may_read_clock=False) == []


def test_a_home_of_the_clock_may_read_it_but_draws_no_chance():
    assert stray_in(ast.parse("import time"), may_read_clock=True) == []
    assert stray_in(ast.parse("import random"), may_read_clock=True) == ["1: import random"]
