"""What ships: an installed wheel has the data its commands need, and nothing of the workshop."""

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
PACKAGES = ("aggregator", "devices", "flextwin", "markets", "protocol", "sim", "studies")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    wheel = next(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))
    return set(zipfile.ZipFile(wheel).namelist())


def test_every_data_file_of_a_package_ships(shipped):
    data = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and path.suffix in {".yaml", ".csv", ".j2", ".html", ".css", ".json", ".md", ".typed"}
    }
    assert {f"{package}/py.typed" for package in PACKAGES} <= data
    assert data <= shipped


def test_the_scenarios_ship_inside_the_front_door(shipped):
    scenarios = {str(path.relative_to(ROOT)) for path in (ROOT / "scenarios").rglob("*.yaml")}
    assert {f"flextwin/{scenario}" for scenario in scenarios} <= shipped


def test_nothing_of_the_workshop_ships(shipped):
    tops = {name.partition("/")[0] for name in shipped}
    assert tops == {*PACKAGES, "flextwin-0.1.0.dist-info"}
    assert [name for name in shipped if "__pycache__" in name or name.endswith((".nbi", ".nbc"))] == []
