"""The radio signal of the teleswitches ends before an event in the night: what the baseline makes of it.

Worlds of the same homes under the same weather. As the signal ends, teleswitches go on as they were, or fail:
stuck on, stuck off, or hours wrong. Nobody can tell these heaters anything, but they are behind the boundary
meters that are settled for the cars, and their nights before are in the baseline.
"""

from functools import cache
from types import SimpleNamespace

import pytest

from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario

SWITCH = "{teleswitch_share: 100 %, silent_on: 2024-01-15, FAILURES}"
STREET = """
flextwin: 1
name: teleswitches
seed: 1
clock: {start: 2024-01-15, days: 2, history_days: 14, settlement_days: 2}
record: {level: portfolio, csv: false}
homes: {count: 150, gsp_groups: {_E: 1.0}, smart_share: 100 %, not_communicating_share: 0 %}
evs: {share: 70 %, annual_miles_median: 30000}
storage_heaters: {share: 90 %, smart_share: 0 %, switch: SWITCH}
aggregator: {loop_idle: 5 min}
markets:
  rules: {dfs: {min_unit_mw: 0.01}}
  dfs:
    share: 100 %
    metering: boundary
    events:
      - {day: 1, start: 01:00, end: 02:00, turn_down: 0.1 MW, guaranteed_price: 3000 GBP/MWh, test: true}
"""


FAILURES = {
    "none": "stuck_on_share: 0 %",
    "stuck_on": "stuck_on_share: 50 %",
    "stuck_off": "stuck_off_share: 50 %",
    "wrong_time": "wrong_time_share: 50 %",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What one event came to in a world [Wh]: turned down as the baseline says, and in truth."""

    @cache
    def lived(failure):
        text = STREET.replace("SWITCH", SWITCH.replace("FAILURES", FAILURES[failure]))
        folder = tmp_path_factory.mktemp("rts") / "run"
        assert run_scenario(parse_scenario(text, "teleswitches.yaml"), folder, text="").degraded == ()
        table = RunFolder(folder).table("deliveries").to_pandas()
        says, true = float((table["baseline_wh"] - table["metered_wh"]).sum()), float(table["true_wh"].sum())
        return SimpleNamespace(says_wh=says, true_wh=true, error_wh=says - true)

    return lived


def test_without_failures_the_baseline_errs_by_little(told):
    world = told("none")
    assert world.true_wh > 50_000
    assert abs(world.error_wh) < 0.25 * world.true_wh


@pytest.mark.parametrize("failure", ["stuck_on", "stuck_off", "wrong_time"])
def test_with_failures_the_baseline_counts_nights_that_no_longer_come_as_turned_down(told, failure):
    """Stuck on charges by day and is full by night; stuck off and wrong hours do not charge then either."""
    failing, sound = told(failure), told("none")
    assert failing.true_wh == sound.true_wh  # nobody could tell these heaters anything
    assert failing.error_wh > 1.5 * sound.true_wh
    assert failing.error_wh > 10 * abs(sound.error_wh)
