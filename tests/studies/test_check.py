"""Scenarios are green or red by the bands they expect, and the XML says the same."""

from xml.etree import ElementTree as ET

import pytest

from sim.faults import Fault
from sim.scenario import Band
from studies.check import (
    BandResult,
    CheckError,
    ScenarioResult,
    judge,
    judge_refusal,
    junit_xml,
    run_all,
    scenarios_in,
)

KPIS = {"gbp_total": 100.0, "instructions_open": 0}


@pytest.mark.parametrize(
    ("band", "green", "wanted"),
    [
        (Band(kpi="gbp_total", at_least=100.0), True, "at least 100"),
        (Band(kpi="gbp_total", at_least=100.1), False, "at least 100.1"),
        (Band(kpi="gbp_total", at_most=100.0), True, "at most 100"),
        (Band(kpi="gbp_total", at_most=99.0), False, "at most 99"),
        (Band(kpi="gbp_total", at_least=90.0, at_most=110.0), True, "90 to 110"),
        (Band(kpi="gbp_total", at_least=90.0, at_most=95.0), False, "90 to 95"),
        (Band(kpi="instructions_open", equals=0.0), True, "0.0"),
        (Band(kpi="instructions_open", equals=1.0), False, "1.0"),
        (Band(kpi="delivered_share", at_least=0.0), False, "at least 0"),
    ],
)
def test_a_band_holds_its_edges_and_a_figure_that_is_not_there_is_red(band, green, wanted):
    (result,) = judge([band], KPIS)
    assert (result.green, result.wanted) == (green, wanted)


def test_one_red_band_makes_a_scenario_red():
    bands = judge([Band(kpi="gbp_total", at_least=1.0), Band(kpi="gbp_total", at_most=1.0)], KPIS)
    assert not ScenarioResult("one", bands).green
    assert ScenarioResult("one", bands[:1]).green
    assert not ScenarioResult("one", bands[:1], problem="degraded").green


def test_scenarios_are_found_and_a_folder_without_any_is_told(tmp_path):
    with pytest.raises(CheckError, match="holds no scenario"):
        scenarios_in(tmp_path)
    (tmp_path / "must_fail").mkdir()
    for name in ("b.yaml", "a.yaml", "notes.txt", "must_fail/c.yaml", "must_fail/c.yaml.expect"):
        (tmp_path / name).write_text("")
    runs, refused = scenarios_in(tmp_path)
    assert [path.name for path in runs] == ["a.yaml", "b.yaml"]
    assert [path.name for path in refused] == ["c.yaml"]


@pytest.mark.parametrize(
    ("first", "beside", "faults", "green"),
    [
        ("# expect: S020 line 7, S023 line 8", None, [("S023", 8), ("S020", 7)], True),
        ("# expect: S020 line 7", None, [("S020", 7), ("S023", 8)], False),
        ("# expect: S020 line 7", None, [("S020", 9)], False),
        ("", "# expect: S003 line 1", [("S003", 1)], True),
        ("# nothing promised", None, [("S003", 1)], False),
        ("# expect: S020 line 7", None, None, False),
    ],
)
def test_a_scenario_that_must_fail_must_fail_as_promised(tmp_path, first, beside, faults, green):
    path = tmp_path / "wrong.yaml"
    path.write_text(f"{first}\n")
    if beside:
        path.with_name("wrong.yaml.expect").write_text(beside)
    told = None if faults is None else [Fault(code, "wrong.yaml", line, 1, "what") for code, line in faults]
    assert judge_refusal(path, told).green is green


def test_results_are_told_one_by_one_in_order(tmp_path):
    told = []
    results = run_all([tmp_path / "a", tmp_path / "b"], lambda path: ScenarioResult(path.name), told.append)
    assert told == results == [ScenarioResult("a"), ScenarioResult("b")]


def test_the_xml_counts_what_is_red_and_escapes_words():
    bands = (
        BandResult("gbp_total", "at least 1", "<0>", green=False),
        BandResult("homes", "1", "1", green=True),
    )
    problem = ScenarioResult("two.yaml", problem='RunFolderError: "no" & <never>')
    root = ET.fromstring(junit_xml([ScenarioResult("one.yaml", bands), problem]))  # noqa: S314 - our own
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root] == [
        ("one.yaml", "2", "1"),
        ("two.yaml", "1", "1"),
    ]
    assert root.find("./testsuite/testcase/failure").get("message") == "wanted at least 1, found <0>"
    assert (
        root.findall("./testsuite")[1].find("./testcase/failure").get("message")
        == 'wanted , found RunFolderError: "no" & <never>'
    )
