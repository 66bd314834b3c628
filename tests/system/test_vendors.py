"""A whole evening with vendors' clouds between devices and aggregator: worse than plain wires, and lawful."""

import pytest

from flextwin import api
from sim.scenario_errors import ScenarioErrors
from sim.scenario_file import parse_scenario

SCENARIO = """flextwin: 1
name: vendors
seed: 1
clock: {start: 2023-01-24, history_days: 3}
homes: {count: 4000, gsp_groups: {_C: 1.0}}
evs: {share: 1.0}
comms:
  profile: realistic
VENDORS
markets:
  dfs: {share: 0.0}
  balancing:
    share: 1.0
    acceptances:
      - {start: 19:30, end: 20:30, turn_down: 1 MW}
"""
VENDORS = """  vendors:
    evcp_4g: [ocpp_charger]
    evcp_wifi_cloud: [cloud_charger, ampere_charger]
    ev_telematics_cloud: [car_telematics, pause_ignoring_car]
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vendors")
    done = {}
    for name, vendors in (("plain", ""), ("vendors", VENDORS), ("again", VENDORS)):
        path = folder / f"{name}.yaml"
        path.write_text(SCENARIO.replace("VENDORS\n", vendors))
        done[name] = api.run(path, folder / name, workers=2 if name == "again" else 1, quiet=True)
    return done


def test_vendors_break_no_law_and_deliver_less_than_plain_wires(runs):
    plain, vendors = runs["plain"].kpis, runs["vendors"].kpis
    assert vendors["invariants_violated"] == plain["invariants_violated"] == 0
    assert vendors["mwh_instructed"] == pytest.approx(plain["mwh_instructed"])
    assert 0.5 * plain["mwh_true"] < vendors["mwh_true"] < plain["mwh_true"]
    assert vendors["promises_broken_by_instructions"] == 0


def test_vendors_clouds_give_the_same_bytes_with_any_number_of_workers(runs):
    assert api.diff(runs["vendors"].folder, runs["again"].folder).same


def test_a_route_or_vendor_that_is_not_there_is_told_with_the_one_that_was_meant():
    wrong = VENDORS.replace("evcp_4g", "evcp_5g").replace("[cloud_charger", "[cloud_chager")
    with pytest.raises(ScenarioErrors) as caught:
        parse_scenario(SCENARIO.replace("VENDORS\n", wrong))
    told = [(fault.code, fault.line, fault.nearest) for fault in caught.value.faults]
    assert told == [("S066", 10, "`evcp_4g`"), ("S024", 11, "`cloud_charger`")]
