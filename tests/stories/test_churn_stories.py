"""One customer in twenty withdraws an hour before an event: bids stand, less is delivered, and it shows."""

from pathlib import Path

import pytest

from protocol.periods import PERIOD_MS, local_clock_ms
from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario
from studies.kpis import compute_kpis

# With little confidence asked for, the bid is all that there is: a margin would cover one in twenty.
TEXT = """
flextwin: 1
name: withdrawn
seed: 3
clock: {{start: 2023-01-24, history_days: 10, settlement_days: 1}}
record: {{csv: false}}
homes: {{count: 400, smart_share: 100 %, not_communicating_share: 0 %, gsp_groups: {{_P: 1.0}}}}
evs:
  share: 1.0
  annual_miles_median: 40000
  charger: [[22 kW, 1.0]]
  battery_mean: 90 kWh
aggregator: {{loop_idle: 5 min, loop_active: 30 s, confidence: 30 %}}
churn: {churn}
markets:
  rules: {{dfs: {{min_unit_mw: 0.01}}}}
  dfs:
    share: 1.0
    events:
      - {{start: 17:00, end: 18:00, turn_down: 5 MW, guaranteed_price: 3000 GBP/MWh, test: true}}
"""
WITHDRAWS = "{events: [{at: '16:00', kind: consent_withdrawn, share: 5 %}]}"


def evening(folder: Path, churn: str) -> RunFolder:
    text = TEXT.format(churn=churn)
    run_scenario(parse_scenario(text, "withdrawn.yaml"), folder, text=text)
    return RunFolder(folder)


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    return evening(tmp_path_factory.mktemp("calm") / "run", "{}")


@pytest.fixture(scope="module")
def withdrawn(tmp_path_factory):
    return evening(tmp_path_factory.mktemp("withdrawn") / "run", WITHDRAWS)


def bids(folder):
    return [event["detail"] for event in folder.table("events").to_pylist() if event["kind"] == "dfs_bid"]


def during_the_event(folder):
    start_ms = local_clock_ms(parse_scenario(TEXT.format(churn="{}"), "x").clock.start, 17)
    rows = folder.table("home_half_hourly").to_pylist()
    return [row for row in rows if start_ms <= row["at_ms"] < start_ms + 2 * PERIOD_MS]


def not_to_be_found_mw(folder):
    (short,) = (e["detail"] for e in folder.table("events").to_pylist() if e["kind"] == "short_of_assets")
    return float(short.split()[1])


def gone(folder):
    return {change["home"] for change in folder.table("registry_changes").to_pylist()}


def test_bids_made_before_stand_and_less_is_delivered(calm, withdrawn):
    assert bids(calm) == bids(withdrawn) != []
    assert 8 <= len(gone(withdrawn)) <= 32
    before, after = compute_kpis(calm), compute_kpis(withdrawn)
    assert after["mwh_instructed"] == before["mwh_instructed"]
    assert after["mwh_true"] < before["mwh_true"]
    assert after["mwh_believed"] < before["mwh_believed"]
    assert not_to_be_found_mw(withdrawn) > not_to_be_found_mw(calm)


def test_who_withdrew_gives_nothing_and_all_others_what_they_would_have(calm, withdrawn):
    given = [
        {
            (row["home"], row["at_ms"]): row["without_wh"] - row["devices_wh"]
            for row in during_the_event(folder)
        }
        for folder in (calm, withdrawn)
    ]
    left = gone(withdrawn)
    assert all(wh == 0 for (home, _), wh in given[1].items() if home in left)
    assert sum(wh for (home, _), wh in given[0].items() if home in left) > 0
    others = [sum(wh for (home, _), wh in arm.items() if home not in left) for arm in given]
    assert others[1] == pytest.approx(others[0], rel=0.1)


def test_nobody_is_told_anything_and_settlement_does_without_them(calm, withdrawn):
    found = compute_kpis(withdrawn)
    assert (found["setpoints_heard"], found["setpoints_unheard"]) == (0, 0)
    assert found["registry_consent_withdrawn"] == len(gone(withdrawn))
    homes = [
        {volume["homes"] for volume in folder.table("settled_volumes").to_pylist()}
        for folder in (calm, withdrawn)
    ]
    assert homes[1] == {next(iter(homes[0])) - len(gone(withdrawn))}
