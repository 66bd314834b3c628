"""`flextwin import`: a good file is written once, a bad one is told and nothing is written."""

import json
from pathlib import Path

import pytest

from flextwin.cli import GOOD, USER, execute
from sim import importers, meter_file, pvgis_file, registry_file
from sim.faults import table_of_codes

REGISTRY = (
    "home,mpan,technology,rating_kw,capacity_kwh,gsp,route,vendor,settlement\n"
    "h1,2000000000006,ev,7.4,60,_C,evcp_4g,ocpp_charger,hh_settled\n"
)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.csv"
    path.write_text(REGISTRY)
    return path


def test_a_registry_is_written_under_its_own_name_and_told_in_a_line(registry, capsys):
    assert execute(["import", "registry", str(registry)]) == GOOD
    assert capsys.readouterr().out == "mine.registry.parquet written: assets: 1, homes: 1; 1 ev\n"
    assert (registry.parent / "mine.registry.parquet").is_file()


def test_nothing_is_ever_overwritten(registry, capsys):
    assert execute(["import", "registry", str(registry), "--out", "a.parquet"]) == GOOD
    before = (registry.parent / "a.parquet").read_bytes()
    assert execute(["import", "registry", str(registry), "--out", "a.parquet"]) == USER
    assert "exists already" in capsys.readouterr().err
    assert (registry.parent / "a.parquet").read_bytes() == before
    assert execute(["import", "registry", str(registry), "--out", "no/a.parquet"]) == USER


def test_a_bad_file_is_told_with_its_place_and_nothing_is_written(registry, capsys):
    registry.write_text(REGISTRY.replace(",ev,", ",car,"))
    assert execute(["import", "registry", str(registry)]) == USER
    assert "mine.csv:2:3: D042 unknown technology; got `car`" in capsys.readouterr().err
    assert [path.name for path in registry.parent.iterdir()] == ["mine.csv"]


def test_warnings_go_with_the_answer(registry, capsys):
    registry.write_text(REGISTRY.replace("2000000000006", "2000000000007"))
    assert execute(["import", "registry", str(registry), "--json"]) == GOOD
    told = json.loads(capsys.readouterr().out)
    assert [fault["code"] for fault in told["warnings"]] == ["W104"]


def test_meter_data_and_weather_have_readers_of_their_own(registry, capsys):
    meters = registry.parent / "m.csv"
    meters.write_text("mpan,utc_start,import_wh\n2000000000006,2024-01-16T00:00:00Z,125\n")
    assert execute(["import", "meters", str(meters)]) == GOOD
    assert "1 half-hours of 1 meters, 0 missing" in capsys.readouterr().out
    assert execute(["import", "weather", str(meters)]) == USER
    assert "D060" in capsys.readouterr().err


def test_every_code_and_column_is_in_the_guide():
    guide = (Path(__file__).parents[2] / "docs" / "bring-your-own.md").read_text(encoding="utf-8")
    codes = {**registry_file.CODES, **pvgis_file.CODES, **meter_file.CODES}
    assert not codes.keys() & importers.CODES.keys()
    for row in table_of_codes(codes).splitlines():
        assert row in guide
    for name in (
        *REGISTRY.splitlines()[0].split(","),
        *registry_file.TECHNOLOGIES,
        *registry_file.SETTLEMENTS,
    ):
        assert f"`{name}`" in guide
