"""A street with cars, heat pumps, batteries, roofs, fridges and a pub lives a day, and no energy is lost."""

from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from protocol.messages import Technology
from sim import scenario as sc
from sim.metering import MJ_PER_WH
from sim.run import Run
from sim.run_folder import RunFolder

SPRING_DAY = date(2024, 4, 16)
HOMES = 30
MARKETS = sc.Markets(dfs=sc.Dfs(share=0.5), balancing=sc.Balancing(share=0.3))


def street():
    return sc.Scenario(
        flextwin=1,
        name="street",
        seed=5,
        clock=sc.Clock(start=SPRING_DAY, history_days=1, settlement_days=1),
        record=sc.Record(level=sc.RecordLevel.DEVICES),
        homes=sc.Homes(count=HOMES, gsp_groups={"_C": 1.0}, gsps_per_group=2, smart_share=1.0),
        evs=sc.Evs(share=0.5),
        heat_pumps=sc.HeatPumps(share=0.5),
        batteries=sc.Batteries(share=0.6),
        pv=sc.Pv(share=0.6),
        fridges=sc.Fridges(share=1.0, plug_share=0.3),
        markets=MARKETS,
    )


class Lived:
    """The run, its tables, and what a day brought the rows."""

    def __init__(self, folder: Path):
        place = RunFolder(folder)
        place.claim()
        self.run = run = Run(street(), place)
        run.live_history()
        self.before_wh = run.meters.state.true_wh.copy()
        self.after_wh = None

        def at_midnight(now_ms, _import_w, _faults):
            if now_ms >= run.end_ms and self.after_wh is None:
                self.after_wh = run.meters.state.true_wh.copy()

        self.outcome = run.go("", at_midnight, None)
        self.table = cache(lambda name: place.table(name).to_pandas())


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("street") / "run")


def test_no_law_is_broken_and_everybody_lives(lived):
    assert lived.outcome.degraded == ()
    parts = lived.run.population.parts
    assert {part.kind.technology for part in parts} == {
        Technology.EV, Technology.HEAT_PUMP, Technology.BATTERY, Technology.PV, Technology.FRIDGE,
    }  # fmt: skip
    assert len(parts) > 5  # fridges with and without a smart plug
    for place, part in enumerate(parts):
        fleet, without = lived.run.world.arms.of_part(place)
        assert (fleet is without) == (
            part in lived.run.population.beyond_reach
        )  # they live once for both arms
        assert fleet.state.events_lived > len(part.drawn.home)


def test_half_hours_of_homes_of_units_and_registers_are_one_energy(lived):
    homes, units = lived.table("home_half_hourly"), lived.table("half_hourly")
    day_wh = lived.after_wh - lived.before_wh
    assert homes["devices_wh"].sum() == units["devices_wh"].sum() == day_wh.sum()
    assert day_wh[lived.run.population.parts[0].rows].sum() > 0
    by_home = np.bincount(lived.run.population.home, weights=day_wh, minlength=HOMES)
    told = homes.groupby("home")["devices_wh"].sum()
    assert told.tolist() == by_home[told.index].tolist()
    assert (
        homes["devices_wh"].min() < -100
    )  # somebody's roof or battery gives more than the home's devices take


def test_seconds_are_the_power_of_all_kinds(lived):
    seconds, units = lived.table("portfolio_1s"), lived.table("half_hourly")
    off_wh = seconds["import_w"].sum() / 3600 - units["devices_wh"].sum()
    assert abs(off_wh) < 0.01 * units["devices_wh"].abs().sum()


def test_a_boundary_meter_registers_base_load_and_every_device_of_its_home(lived):
    homes = lived.table("home_half_hourly")
    read = homes[homes["boundary_metered_wh"].notna()]
    assert len(read) > len(homes) / 2
    assert (read["boundary_metered_wh"] == read["devices_wh"] + read["base_wh"]).all()
    assert (read["boundary_metered_wh"] < 0).any()


def test_asset_meters_are_of_reachable_devices_alone(lived):
    run = lived.run
    reachable = len(run.population.plant.device)
    assert run.meters.state.asset_day_wh.shape[1] == reachable < len(run.population.home)
    assert len(lived.table("devices")) == reachable


def test_import_less_export_of_each_battery_is_what_it_holds_and_lost(lived):
    for place, part in enumerate(lived.run.population.parts):
        fleet, _ = lived.run.world.arms.of_part(place)
        if part.kind.technology is Technology.BATTERY:
            rows, drawn = fleet.state.rows, part.drawn.state
            gained_mj = rows["charge_mj"] - drawn["charge_mj"]
            assert (rows["register_mj"] - rows["export_mj"] == gained_mj + rows["lost_mj"]).all()
            assert rows["export_mj"].sum() > 1000 * MJ_PER_WH


def test_nobody_was_told_anything_so_both_arms_are_one(lived):
    homes, events = lived.table("home_half_hourly"), lived.table("device_events")
    assert (homes["devices_wh"] == homes["without_wh"]).all()
    columns = ["at_ms", "row", "kind", "value"]
    arms = [events[events["arm"] == arm][columns].to_numpy().tolist() for arm in ("lived", "without")]
    assert sorted(arms[0]) == sorted(arms[1])
    assert {"working", "power", "running", "charging"} <= set(events["kind"])
