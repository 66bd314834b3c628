"""Every asset is in one class, and the class says of it what the population knows."""

from datetime import date

import numpy as np
import pytest

from protocol.asset_classes import STATUS
from protocol.derogations import RulesOn
from protocol.eligibility import Control, Settlement
from protocol.products import Product
from sim.asset_classes import classes_of
from sim.network_tree import NO_ZONE
from sim.population import make_population
from sim.scenario import Clock, Homes, Scenario
from sim.scenario_devices import Businesses, HeatPumps, WashingMachines
from studies.eligible import eligibility


@pytest.fixture(scope="module")
def population():
    return make_population(
        Scenario(
            flextwin=1,
            name="classes",
            clock=Clock(start=date(2026, 10, 1)),
            homes=Homes(count=3_000),
            heat_pumps=HeatPumps(share=0.3),
            washing_machines=WashingMachines(share=0.5),
            businesses=Businesses(share=0.02),
        )
    )


@pytest.fixture(scope="module")
def assets(population):
    return classes_of(population)


def test_a_class_says_of_each_asset_what_the_population_knows(population, assets):
    homes = population.homes
    for row in range(0, len(population.home), 97):
        facts, home = assets.classes[assets.class_of[row]], population.home[row]
        assert facts.settlement is STATUS[int(homes.status[home])]
        assert facts.gsp_group == homes.group_names[homes.gsp_group[home]]
        assert facts.in_cmz == (homes.feeders.zone[home] != NO_ZONE)
        assert facts.rating_kw * 1_000 >= assets.rating_w[row]
        assert (facts.control is Control.AUTOMATED) == (row < len(population.plant.home))
        if facts.control is Control.AUTOMATED:
            assert facts.technology == population.registration.technology[row]
            read_s = population.registration.report_every_s[row]
            assert facts.asset_meter is None or facts.asset_meter.read_interval_s == read_s


def test_a_home_without_a_smart_meter_has_no_half_hourly_boundary_meter(assets):
    for facts in assets.classes:
        assert (facts.boundary_meter is None) == (facts.settlement is Settlement.NOT_SMART)


def test_the_parts_of_a_product_add_up_to_the_portfolio(assets):
    found = eligibility(assets, RulesOn(date(2026, 10, 1)))
    assert sum(row.amount.assets for row in found.rows) == found.amount.assets == len(assets.home)
    for product in Product:
        whole = found.total[product]
        for part in ("yes", "unknown"):
            of_rows = [getattr(row.cells[product], part) for row in found.rows]
            assert sum(each.assets for each in of_rows) == getattr(whole, part).assets
            assert sum(each.mw for each in of_rows) == pytest.approx(getattr(whole, part).mw)
        blocked = found.amount.assets - whole.yes.assets - whole.unknown.assets
        assert max((amount.assets for _, amount in whole.blocked), default=0) >= min(blocked, 1)


def test_a_unit_too_small_for_its_area_is_blocked_by_its_size(assets):
    found = eligibility(assets, RulesOn(date(2026, 10, 1))).total[Product.BM]
    group_mw = np.bincount(assets.areas["gsp_group"], assets.rating_w / 1e6)
    assert group_mw.max() > 1
    sizes = [block for block, _ in found.blocked if block.dimension == "unit size"]
    assert [block.reason for block in sizes] == ["the unit has less than 1 MW"]


def test_a_large_portfolio_is_split_into_units_of_dfs_size():
    cars = Scenario(flextwin=1, name="many", clock=Clock(start=date(2024, 1, 16)), homes=Homes(count=40_000))
    found = eligibility(classes_of(make_population(cars)), RulesOn(date(2024, 1, 16))).total[Product.DFS]
    assert found.yes.mw > 70
    assert {block.dimension for block, _ in found.blocked} == {"settlement status"}
