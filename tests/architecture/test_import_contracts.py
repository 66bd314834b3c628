"""The import contracts of pyproject.toml hold, and each of them turns red when it is broken."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("aggregator", "devices", "flextwin", "markets", "protocol", "sim", "studies")

# One forbidden import per line: (contract that must turn red, package it is planted in, the import).
PLANTS = (
    ("layers", "studies", "import flextwin"),
    ("layers", "protocol", "import markets"),
    ("layers", "markets", "import devices"),
    ("aggregator", "aggregator", "import sim"),
    ("aggregator", "aggregator", "import devices"),
    ("aggregator", "aggregator", "import simpy"),
    ("aggregator", "aggregator", "import time"),
    ("markets", "markets", "import aggregator"),
    ("devices", "devices", "from protocol import party"),
    ("devices", "devices", "import pandas"),
    ("protocol", "protocol", "import sim"),
    ("front_door", "sim", "import studies"),
)

# Run in a fresh interpreter: the linter must see the packages of the given tree and not those loaded here.
LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(limit_to_contracts={}, no_cache=True))
"""


def lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT.format(contracts)], cwd=tree, capture_output=True, text=True, check=False
    )


def contracts() -> list[dict]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory):
    tree = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", tree)
    for package in PACKAGES:
        # Tables and caches are no matter of imports; only the source is copied.
        for source in (ROOT / package).rglob("*.py"):
            target = tree / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return tree


def test_every_contract_holds():
    outcome = lint(ROOT)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert f"{len(contracts())} kept, 0 broken" in outcome.stdout


@pytest.mark.parametrize(("contract", "package", "planted"), PLANTS)
def test_a_planted_import_turns_its_contract_red(copied_tree, contract, package, planted):
    plant = copied_tree / package / "planted.py"
    plant.write_text(f'"""Planted."""\n\n{planted}\n')
    try:
        outcome = lint(copied_tree, contract)
    finally:
        plant.unlink()
    assert outcome.returncode == 1
    assert "0 kept, 1 broken" in outcome.stdout
    assert f"{package}.planted" in outcome.stdout


def test_every_contract_has_been_seen_red():
    assert {contract for contract, _, _ in PLANTS} == {contract["id"] for contract in contracts()}


def test_of_ours_the_contracts_let_aggregator_and_markets_see_only_protocol():
    forbidden = {contract["id"]: set(contract.get("forbidden_modules", ())) for contract in contracts()}
    for package in ("aggregator", "markets"):
        assert set(PACKAGES) - forbidden[package] == {package, "protocol"}
    for package in ("devices", "protocol"):
        assert set(PACKAGES) - forbidden[package] == {package}
