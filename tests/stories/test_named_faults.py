"""A small portfolio on an evening with one named fault: it is told, contained, and breaks no promise.

Three hundred cars, an hour of DFS; resets befall half of all clocks a day, the old leader commands for two
hours, the lights go out for forty minutes in the middle of the event.
"""

import pytest

from sim.run import resume_run, run_scenario
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario
from studies.kpis import compute_kpis

SIX_MS, MINUTE_MS = 1_701_799_200_000, 60_000
"""2023-12-05 18:00 UTC, which is local time."""
TEXT = """
flextwin: 1
name: named-fault
clock: {{start: 2023-12-05, history_days: 3, settlement_days: 1}}
record: {{level: homes, csv: false}}
homes: {{count: 300, gsp_groups: {{_C: 1.0}}}}
evs: {{share: 1.0, annual_miles_median: 16000, telematics_share: 0 %, random_delay: 10 min}}
comms: {{profile: realistic, {fault}}}
markets:
  rules: {{dfs: {{min_unit_mw: 0.01}}}}
  dfs:
    share: 1.0
    events:
      - {{start: "17:30", end: "18:30", turn_down: 0.1 MW, guaranteed_price: 3000 GBP/MWh, test: true,
         published: "09:00"}}
"""
FAULTS = {
    "clock_reset": "clocks: {reset_share: 50 %, wrong_for: 4 h}",
    "clock_skew": "clocks: {skew_sd: 100 s, drift_ppm: 50}",
    "split_brain": 'split_brain: {start: "17:00", duration: 2 h, lag: 10 min}',
    "power_cut": 'outages: [{kind: region, name: _C, start: "17:50", duration: 40 min, power: true}]',
    "bursts": "routes: {evcp_wifi_cloud: {burst_every: 20 min, burst_for: 5 min, burst_loss_up: 90 %, "
    "burst_loss_down: 90 %}}",
}


@pytest.fixture(scope="module")
def evenings(tmp_path_factory):
    """Every fault's evening, lived when first asked for."""
    lived = {}

    def evening(fault):
        if fault not in lived:
            text = TEXT.format(fault=FAULTS[fault])
            out = tmp_path_factory.mktemp(fault) / "run"
            outcome = run_scenario(parse_scenario(text), out, text=text)
            lived[fault] = outcome, RunFolder(outcome.folder)
        return lived[fault]

    return evening


def events_of(folder):
    return folder.table("events").to_pandas()


@pytest.mark.parametrize("fault", FAULTS)
def test_the_fault_is_told_no_law_is_broken_and_instructions_break_no_promise(evenings, fault):
    outcome, folder = evenings(fault)
    assert outcome.degraded == ()
    assert f"fault_{fault}" in set(events_of(folder)["kind"])
    assert compute_kpis(folder)["promises_broken_by_instructions"] == 0


def test_readings_of_reset_clocks_are_quarantined_and_those_of_clocks_minutes_out_are_not_all(evenings):
    _, folder = evenings("clock_reset")
    events = events_of(folder)
    told = events[events["kind"] == "readings_quarantined"]["detail"]
    assert sum(int(detail.split(":")[0]) for detail in told) > 1_000


def test_the_old_leader_says_a_lot_and_is_refused_each_time(evenings):
    _, folder = evenings("split_brain")
    events = events_of(folder)
    assert (events["kind"] == "fenced").sum() >= 3
    assert (events[events["kind"] == "fenced"]["who"] == "gateway").all()


def test_in_the_dark_nobody_draws_anything_with_or_without_instructions(evenings):
    _, folder = evenings("power_cut")
    minutes = folder.table("portfolio_1min").to_pandas().groupby("at_ms")[["import_w", "without_w"]].sum()
    dark = minutes.loc[SIX_MS - 10 * MINUTE_MS : SIX_MS + 29 * MINUTE_MS]
    assert len(dark) == 40
    assert (dark == 0).all().all()
    before, after = minutes.loc[SIX_MS - 11 * MINUTE_MS], minutes.loc[SIX_MS + 41 * MINUTE_MS]
    assert before["without_w"] > 0
    # Cold-load pickup: all who waited come back within the ten minutes of their random delay.
    assert after["without_w"] > 1.1 * before["without_w"]


def test_all_at_once_a_run_that_is_stopped_and_resumed_by_more_workers_has_the_same_bytes(tmp_path):
    together = (
        FAULTS["clock_reset"].replace("reset_share", "skew_sd: 100 s, jump_back_share: 50 %, reset_share"),
        FAULTS["split_brain"], FAULTS["power_cut"], FAULTS["bursts"],
    )  # fmt: skip
    text = TEXT.format(fault=", ".join(together))
    run_scenario(parse_scenario(text), tmp_path / "whole", text=text)
    clock_ms = [0]

    def look(now_ms, _import_w, _faults):
        clock_ms[0] = now_ms

    # In the middle of the event: the old leader holds commands that it has yet to say again.
    stopped = run_scenario(
        parse_scenario(text), tmp_path / "stopped", text=text, progress=look,
        stop=lambda: clock_ms[0] >= SIX_MS - 20 * MINUTE_MS,
    )  # fmt: skip
    assert stopped.interrupted
    resume_run(tmp_path / "stopped", workers=2)
    tables = [RunFolder(tmp_path / name).manifest()["tables"] for name in ("whole", "stopped")]
    assert tables[0] == tables[1]
