"""Small whole worlds for tests of the system."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario import Scenario
from sim.scenario_file import parse_scenario

SMALL = """
flextwin: 1
name: small
seed: {seed}
clock: {{start: 2023-01-24, history_days: 7, checkpoint_every: 120 min, settlement_days: 2}}
record: {{level: devices, csv: false}}
homes: {{count: 400, gsp_groups: {{_C: 0.5, _P: 0.5}}}}
evs:
  share: 1.0
  annual_miles_median: 40000
  charger: [[22 kW, 1.0]]
  battery_mean: 90 kWh
  ignores_pause_share: 5 %
  boost_share: 10 %
  early_unplug_share: 5 %
  random_delay: 600 s
  meter: {{gain_sd: 2 %, missing_share: 1 %}}
comms:
  profile: realistic
  outages:
    - {{kind: vendor_cloud, name: evcp_wifi_cloud/0, start: 17:15, duration: 20 min}}
aggregator: {{loop_idle: 5 min, loop_active: 30 s}}
markets:
  rules: {{dfs: {{min_unit_mw: 0.01}}}}
  dfs:
    share: 0.5
    events:
      - {{start: 17:00, end: 18:00, turn_down: 1 MW, guaranteed_price: 3000 GBP/MWh, test: true}}
  balancing:
    share: 0.5
    acceptances:
      - {{start: 19:30, end: 20:30, turn_down: 1 MW}}
"""


CHURN = """
flextwin: 1
name: churning
seed: 1
clock: {start: 2023-01-24, history_days: 3, checkpoint_every: 60 min, settlement_days: 1}
record: {level: devices, csv: false}
homes: {count: 150, gsp_groups: {_P: 1.0}}
evs:
  share: 1.0
  annual_miles_median: 40000
  charger: [[22 kW, 1.0]]
  battery_mean: 90 kWh
  meter: {gain_sd: 2 %}
comms: {profile: realistic}
aggregator: {loop_idle: 5 min, loop_active: 30 s, validity: 3 min}
churn:
  moves: {per_year: 30, enrol_again_after: 2 h}
  swaps: {per_year: 40}
  withdrawals: {per_year: 20}
  deallocations: {per_year: 20, told_after: 60 min}
  firmware: {per_year: 200, report_every: 5 min, ignores_pause_share: 20 %, told: true}
  events:
    - {at: 17:10, kind: moved, share: 10 %}
    - {at: 17:20, kind: consent_withdrawn, share: 50 %, told_after: 10 min}
    - {at: 17:25, kind: device_swapped, share: 20 %}
    - {at: 17:40, kind: msid_deallocated, share: 10 %, told_after: 0 s}
markets:
  rules: {dfs: {min_unit_mw: 0.01}}
  dfs:
    share: 1.0
    events:
      - {start: 17:00, end: 18:00, turn_down: 1 MW, guaranteed_price: 3000 GBP/MWh, test: true}
"""


@pytest.fixture(scope="session")
def churning_text() -> str:
    """150 homes whose people move, withdraw and change devices, also in the midst of an event."""
    return CHURN


@pytest.fixture(scope="session")
def churning_scenario(churning_text: str) -> Scenario:
    """The same, read."""
    return parse_scenario(churning_text, "churning.yaml")


@pytest.fixture
def small_text() -> str:
    """A scenario of 400 homes with a DFS event, an acceptance, an outage and all kinds of drivers."""
    return SMALL.format(seed=1)


@pytest.fixture
def small_scenario(small_text: str) -> Scenario:
    """The same, read."""
    return parse_scenario(small_text, "small.yaml")


@pytest.fixture
def asking_text(small_text: str) -> str:
    """The same where homes are asked before the event, and a third has nothing but its people."""
    text = small_text.replace(
        "loop_active: 30 s}",
        "loop_active: 30 s, dfs: {ask: true, expected_opt_in: 80 %, expected_by_hand: 5 kW}}",
    )
    text = text.replace("  share: 1.0", "  share: 0.6", 1)
    people = (
        "{opt_in: {share: 60 %, fatigue_per_event: 10 %}, by_hand: {share: 100 %, with_assets_share: 50 %}}"
    )
    return f"{text}people: {people}\n"


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Builds a run of a scenario in a folder of its own, history lived."""
    made = 0

    def make(scenario: Scenario, workers: int = 1) -> Run:
        nonlocal made
        made += 1
        folder = RunFolder(tmp_path / f"run{made}")
        folder.claim()
        run = Run(scenario, folder, workers=workers)
        run.live_history()
        return run

    return make
