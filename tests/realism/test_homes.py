"""Homes beyond their targets (`test_targets.py`): seasons, and meters that are not smart."""

from __future__ import annotations

import pytest

from sim.homes import NOT_SMART
from sim.households import DAILY_KWH
from studies.realism.homes import base_loads
from studies.realism.target import SEEDS


def test_winter_takes_a_third_more_than_summer() -> None:
    assert 1.34 <= DAILY_KWH["Wtr"]["Wd"] / DAILY_KWH["Smr"]["Wd"] <= 1.39  # T6


@pytest.mark.parametrize("seed", SEEDS)
def test_only_smart_meters_communicate(seed: int) -> None:
    homes = base_loads(seed).homes
    assert not homes.communicating[homes.status == NOT_SMART].any()
