"""Faults of scenario and data files are told alike: one line each, the rest counted."""

import pytest

from sim.faults import Fault, FileErrors
from sim.importers import DataErrors
from sim.scenario_errors import ScenarioErrors


@pytest.mark.parametrize("errors", [ScenarioErrors, DataErrors])
def test_printing_the_errors_gives_a_line_each_in_order_and_counts_what_is_left(errors):
    told = errors(Fault("S020", "a.yaml", line, 1, "unknown key") for line in range(250, 0, -1))
    lines = str(told).splitlines()
    assert lines[:2] == ["a.yaml:1:1: S020 unknown key", "a.yaml:2:1: S020 unknown key"]
    assert len(lines) == 101
    assert lines[-1] == "... and 150 more"


def test_a_fault_said_twice_is_told_once():
    fault = Fault("D010", "a.csv", 3, 2, "not a number", "`x`", "digits")
    assert FileErrors([fault, fault]).faults == (fault,)


def test_a_fault_tells_place_code_what_got_allowed_and_the_nearest():
    fault = Fault("S020", "a.yaml", 4, 7, "an unknown key", "`hoems`", "`homes`, `evs`", "`homes`")
    told = "S020 an unknown key; got `hoems`; allowed: `homes`, `evs`; did you mean `homes`?"
    assert str(fault) == f"a.yaml:4:7: {told}"
