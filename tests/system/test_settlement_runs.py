"""Months of settlement after a day: same bytes for any workers and after a stop, each run as published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.compute as pc
import pytest

from protocol.settlement_calendar import RUNS
from protocol.settlement_calendar import Run as SettlementRun
from sim.post import Mail
from sim.run import Run, resume_run, run_scenario
from sim.run_folder import RunFolder
from sim.scenario import Scenario
from sim.scenario_file import parse_scenario
from studies.kpis import compute_kpis
from studies.reconciliation import Cause, Parts, Reconciled, reconcile
from studies.report import report_on
from studies.settlement_runs import run_sums

TEXT = """
flextwin: 1
name: runs
seed: 1
clock: {start: 2024-01-16, history_days: 8, settlement_days: 440, checkpoint_every: 12 h}
record: {level: portfolio, csv: false}
homes: {count: 150, gsp_groups: {_C: 1.0}}
evs:
  share: 1.0
  annual_miles_median: 40000
  charger: [[22 kW, 1.0]]
  battery_mean: 90 kWh
aggregator: {loop_idle: 5 min, loop_active: 30 s}
markets:
  rules: {dfs: {min_unit_mw: 0.01}}
  dfs:
    share: 1.0
    events:
      - {start: 17:30, end: 18:30, turn_down: 1 MW, guaranteed_price: 3000 GBP/MWh, test: true}
  settlement:
    runs: calendar
    late: {one_off_share: 10 %, persistent_share: 20 %, never_share: 20 %}
"""


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return parse_scenario(TEXT, "runs.yaml")


@pytest.fixture(scope="module")
def told(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An undisturbed run with one worker."""
    out = tmp_path_factory.mktemp("runs") / "told"
    assert run_scenario(scenario, out, text=TEXT).degraded == ()
    return RunFolder(out)


def hashes(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return {name: table["sha256"] for name, table in manifest["tables"].items()}


def test_more_actuals_come_in_from_run_to_run(told: RunFolder) -> None:
    made = run_sums(told)
    assert [run.run for run in made] == list(RUNS[:-1])
    shares = [run.actuals_share for run in made]
    assert shares == sorted(shares)
    assert 0.5 < shares[0] < shares[-1] < 1
    assert len({run.stands_gbp_e5 for run in made}) > 2


def test_the_statement_lines_of_a_run_add_up_to_what_it_is_told_to_have_changed(told: RunFolder) -> None:
    lines = told.table("settlement")
    for made in run_sums(told):
        own = lines.filter(pc.equal(lines["settlement_run"], made.run))
        assert pc.sum(own["amount_gbp_e5"]).as_py() == made.change_gbp_e5
        assert set(own["heard_ms"].to_pylist()) == {made.first_ms}


def test_key_figures_tell_each_run_and_end_with_the_total(told: RunFolder) -> None:
    kpis = compute_kpis(told)
    assert kpis["gbp_after_rf"] == pytest.approx(kpis["gbp_total"])
    assert kpis["gbp_after_ii"] != kpis["gbp_after_rf"]
    assert kpis["actuals_share_ii"] < kpis["actuals_share_rf"]


def test_the_report_shows_how_pounds_moved(told: RunFolder) -> None:
    report_on(told)
    page = (told.path / "report.html").read_text(encoding="utf-8")
    assert "Settlement runs" in page
    assert "between II and RF" in page


def test_reconciled_as_it_stood_with_a_run_only_what_was_out_by_then_counts(told: RunFolder) -> None:
    at_sf, at_last = reconcile(told, SettlementRun.SF), reconcile(told)
    assert not any(row.unexplained for row in (*at_sf, *at_last))
    assert {pair for row in at_sf for pair in later_runs(row)} == {("II", "SF")}
    assert [row.settled_wh for row in at_sf] != [row.settled_wh for row in at_last]
    assert all(
        cause is Cause.LATE_METER for row in at_last for parts in later_runs(row).values() for cause in parts
    )


def later_runs(row: Reconciled) -> dict[tuple[str, str], Parts]:
    """What settlement runs changed of the one before."""
    return {(each.earlier, each.later): each.parts for each in row.volumes if each.earlier in RUNS}


def test_workers_change_no_byte(told: RunFolder, scenario: Scenario, tmp_path: Path) -> None:
    run_scenario(scenario, tmp_path / "again", text=TEXT, workers=3)
    assert hashes(tmp_path / "again") == hashes(told.path)


def test_stopped_in_the_settlement_months_and_resumed_is_the_same(
    told: RunFolder, scenario: Scenario, tmp_path: Path
) -> None:
    turns = 0

    def count() -> bool:
        nonlocal turns
        turns += 1
        return False

    run_scenario(scenario, tmp_path / "counted", text=TEXT, stop=count)
    for before_the_end in (150, 20, 2):
        left = turns - before_the_end
        out = tmp_path / f"stopped{before_the_end}"

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left == 0

        assert run_scenario(scenario, out, text=TEXT, stop=stop).interrupted
        assert not resume_run(out).interrupted
        assert hashes(out) == hashes(told.path)


def test_the_aggregator_hears_nothing_of_readings_that_come_late(
    scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    run, heard = make_run(scenario), []

    def listen(mail: Mail) -> None:
        if mail.sender == "meters" and mail.due_ms > run.end_ms:
            heard.append(mail.to)

    run.post.heard = listen
    run.go(TEXT, None, None)
    assert heard.count("aggregator") == 2  # both kinds of meters, on the morning after
    assert heard.count("settlement") > 20
