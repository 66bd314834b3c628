"""A street of roofs whose inverters count for themselves: who disagrees with the revenue meter is told."""

import pytest

from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario

STREET = """
flextwin: 1
name: roofs
seed: 1
clock: {start: 2024-06-10, days: 3, history_days: 1, settlement_days: 2}
record: {level: portfolio, csv: false}
homes: {count: 50, gsp_groups: {_C: 1.0}, smart_share: 100 %}
evs: {share: 0 %}
pv: {share: 100 %, reachable_share: 100 %, tells_total_share: 100 %, FAULT}
markets: {dfs: {share: 100 %}}
"""


@pytest.mark.parametrize(("fault", "least", "most"), [
    ("inverter_gain_sd: 0 %", 0, 0),
    ("meter_reversed_share: 20 %", 5, 20),
    ("inverter_gain_sd: 10 %", 20, 50),
])  # fmt: skip
def test_inverters_that_count_otherwise_than_the_meter_are_told(tmp_path, fault, least, most):
    scenario = parse_scenario(STREET.replace("FAULT", fault), "roofs.yaml")
    assert run_scenario(scenario, tmp_path / "run", text="").degraded == ()
    events = RunFolder(tmp_path / "run").table("events").to_pandas()
    told = events[events["kind"] == "sources_disagree"]["detail"].tolist()
    if most == 0:
        assert told == []
    else:
        counts = [[int(words.split(": ")[1].split(" ")[place]) for place in (0, 2)] for words in told]
        apart, compared = max(
            counts, key=lambda count: count[1]
        )  # no register is known of the first midnight
        assert compared > 30
        assert least <= apart <= most
