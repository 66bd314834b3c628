"""Units are made of whole homes, within the market's sizes."""

from dataclasses import replace

import numpy as np
import pytest

from aggregator.registry import dfs_registrations, enrol
from aggregator.settings import Assumptions
from protocol.messages import Service


def test_dfs_units_hold_every_home_once_and_keep_the_greatest_size(tools):
    assets = tools.registration(250_000, Service.DFS)
    registry = enrol(assets, tools.RULES, Assumptions())
    units = [registry.groups[place] for place in registry.groups_of(Service.DFS)]
    # 250,000 x 0.9 kW = 225 MW: three units.
    assert len(units) == 3
    assert all(unit.assets * 0.0009 <= tools.RULES.dfs_maximum_unit_mw for unit in units)
    homes = np.concatenate([unit.homes for unit in dfs_registrations(registry)])
    assert sorted(homes) == list(range(250_000))


def test_two_assets_of_one_home_are_in_one_unit(tools):
    assets = tools.registration(4000, Service.DFS)
    assets = replace(assets, home=(np.arange(4000) // 2 % 1999).astype(np.int32))
    registry = enrol(assets, replace(tools.RULES, dfs_maximum_unit_mw=1.2), Assumptions())
    for home in range(1999):
        assert len(set(registry.group[assets.home == home].tolist())) == 1


def test_too_few_assets_for_the_least_size_make_no_unit(tools):
    registry = enrol(tools.registration(1111, Service.DFS), tools.RULES, Assumptions())
    assert registry.groups_of(Service.DFS) == []
    assert registry.excluded == 1111
    registry = enrol(tools.registration(1112, Service.DFS), tools.RULES, Assumptions())
    assert len(registry.groups_of(Service.DFS)) == 1


def test_homes_without_half_hourly_meter_or_in_the_bm_stay_out_of_dfs(tools):
    assets = tools.registration(3000, Service.DFS)
    service, metered, home = assets.service.copy(), assets.hh_metered.copy(), assets.home.copy()
    metered[0] = 0
    service[1], home[1] = Service.BALANCING, home[2]
    assets = replace(assets, service=service, hh_metered=metered, home=home)
    registry = enrol(assets, tools.RULES, Assumptions())
    assert registry.group[0] == 0
    assert registry.group[2] == 0
    assert registry.excluded == 2
    assert registry.groups[registry.group[1]].service is Service.BALANCING


@pytest.mark.parametrize("units", [1, 5, 14])
def test_every_row_is_a_member_of_its_group_once(tools, units):
    registry = enrol(tools.registration(3000, units=units), tools.RULES, Assumptions())
    assert len(registry.groups_of(Service.BALANCING)) == units
    for place in range(len(registry.groups)):
        rows = registry.rows_of(place)
        assert (registry.group[rows] == place).all()
        assert (np.diff(rows) > 0).all()
    assert sorted(registry.members.tolist()) == list(range(3000))
