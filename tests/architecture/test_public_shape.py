"""The house stands as designed: its folders, typed and documented packages, one list of them everywhere."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("aggregator", "devices", "flextwin", "markets", "protocol", "sim", "studies")
DATA_FOLDERS = ("docs", "notebooks", "results", "scenarios", "scenarios/must_fail", "tests")


def modules() -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    )


@pytest.mark.parametrize("folder", PACKAGES + DATA_FOLDERS)
def test_a_folder_of_the_design_stands(folder):
    assert (ROOT / folder).is_dir()


def test_no_other_python_package_stands_at_the_top():
    tops = {path.parent.name for path in ROOT.glob("*/__init__.py") if not path.parent.name.startswith(".")}
    assert tops == set(PACKAGES)


def packages() -> list[str]:
    """Those at the top and those within them."""
    return sorted(
        str(path.parent.relative_to(ROOT)) for top in PACKAGES for path in (ROOT / top).rglob("__init__.py")
    )


@pytest.mark.parametrize("package", packages())
def test_a_package_is_typed(package):
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("module", modules())
def test_a_module_says_what_it_owns(module):
    docstring = ast.get_docstring(ast.parse((ROOT / module).read_text(encoding="utf-8")))
    assert docstring
    assert len(docstring.split()) >= 4


def test_tests_are_files_and_no_packages():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_build_types_and_contracts_name_the_same_packages():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    assert tool["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)
    assert tool["mypy"]["files"] == list(PACKAGES)
    assert tool["importlinter"]["root_packages"] == list(PACKAGES)


def test_the_distribution_refuses_to_be_uploaded():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "Private :: Do Not Upload" in project["classifiers"]


def test_the_distribution_shows_its_readme_and_says_what_it_is():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (ROOT / project["readme"]).read_text(encoding="utf-8").startswith("# ")
    assert {"Typing :: Typed", "Programming Language :: Python :: 3 :: Only"} <= set(project["classifiers"])


def test_the_lock_pins_every_dependency_with_a_hash_and_names_no_index():
    lock = (ROOT / "requirements.lock").read_text()
    entries = [entry for entry in lock.replace("\\\n", " ").splitlines() if entry and entry[0] != "#"]
    assert entries
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert "://" not in lock
