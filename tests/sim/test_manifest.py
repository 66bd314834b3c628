"""The manifest tells what a run was made of, and nothing that another host would tell differently."""

import json
from datetime import date
from pathlib import Path

import pytest

from sim.importers import Source
from sim.manifest import code_version, make_manifest
from sim.recorder import Layout
from sim.run_folder import TableFile
from sim.scenario import Clock, Markets, Scenario

LAYOUT = Layout(0, 86_400_000, ("_A",), (("_A", "dfs"),), (("_A0", "_A"),))
SCENARIO = Scenario(flextwin=1, name="one", clock=Clock(start=date(2023, 1, 24)))
TABLES = {"events": TableFile(3, "ab" * 32, csv=True)}


def test_the_same_run_has_the_same_manifest_anywhere(monkeypatch):
    first = make_manifest(SCENARIO, "text", LAYOUT, TABLES)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("USER", "somebody else")
    assert json.dumps(make_manifest(SCENARIO, "text", LAYOUT, TABLES)) == json.dumps(first)


def test_a_reason_makes_a_run_degraded():
    told = make_manifest(SCENARIO, "text", LAYOUT, TABLES, degraded=["b", "a", "b"], invariants={"law": 2})
    assert (told["status"], told["degraded"], told["invariants"]) == ("degraded", ["a", "b"], {"law": 2})
    assert make_manifest(SCENARIO, "text", LAYOUT, TABLES)["status"] == "complete"


@pytest.mark.parametrize(
    ("day", "edition"),
    [(date(2023, 1, 24), "2022/23"), (date(2025, 1, 14), "2024/25"), (date(2022, 1, 1), "none in force")],
)
def test_rule_books_are_told_by_the_edition_of_the_first_day(day, edition):
    scenario = Scenario(flextwin=1, name="one", clock=Clock(start=day))
    assert make_manifest(scenario, "", LAYOUT, TABLES)["rulebooks"]["dfs"] == edition


def test_rules_put_onto_another_day_are_told_by_that_day():
    scenario = Scenario(
        flextwin=1,
        name="one",
        clock=Clock(start=date(2025, 1, 14)),
        markets=Markets(rules_date=date(2023, 1, 24)),
    )
    assert make_manifest(scenario, "", LAYOUT, TABLES)["rulebooks"]["dfs"] == "2022/23"


def test_inputs_are_told_by_their_hash_and_the_scenario_word_by_word():
    read = [Source(Path("somewhere") / "prices.csv", "cd" * 32, rows=1)]
    told = make_manifest(SCENARIO, "flextwin: 1\n", LAYOUT, TABLES, inputs=read)
    assert told["inputs"] == {"prices.csv": "cd" * 32}
    assert told["scenario"]["text"] == "flextwin: 1\n"


def test_files_of_one_name_are_told_apart_by_their_folders():
    paths = ("/data/a/x.csv", "/data/b/x.csv", "/else/b/x.csv", "/else/c/x.csv", "/else/y.csv")
    read = [Source(Path(path), f"{k:02d}", 48) for k, path in enumerate(paths)]
    told = make_manifest(SCENARIO, "flextwin: 1\n", LAYOUT, TABLES, inputs=read, data=Path("/data"))
    assert told["inputs"] == {
        "a/x.csv": "00", "b/x.csv": "01", "x.csv": "02", "c/x.csv": "03", "y.csv": "04",
    }  # fmt: skip


def test_the_code_version_is_one_for_one_tree():
    assert code_version() == code_version()
    assert len(code_version().partition("+")[2]) == 12
