"""A street with every kind of device loses its power on a winter evening, and another that does not."""

from datetime import date, timedelta
from functools import cache

import numpy as np
import pytest

from devices import battery, heat_pump
from protocol.messages import Technology
from sim import scenario as sc
from sim.fleet import Fleet
from sim.households import plan_moment_ms
from sim.kinds.batteries import MJ_PER_WH
from sim.play import Orders
from sim.population import make_population
from sim.power_cuts import power_cuts_ms
from sim.sky import make_sky
from sim.weather import make_weather

DAY = date(2024, 1, 16)
HOUR_MS = 3_600_000
CUT = sc.Outage(kind="region", name="_C", start="17:30", duration_ms=2 * HOUR_MS, power=True)


def street(*outages: sc.Outage) -> sc.Scenario:
    return sc.Scenario(
        flextwin=1,
        name="street",
        seed=3,
        clock=sc.Clock(start=DAY, history_days=1, settlement_days=1),
        comms=sc.Comms(outages=outages),
        homes=sc.Homes(count=150, gsp_groups={"_C": 1.0}, gsps_per_group=2, restart_within_ms=600_000),
        heat_pumps=sc.HeatPumps(share=0.8, hybrid_share=0.0),
        batteries=sc.Batteries(share=0.5, back_up_share=0.5),
        fridges=sc.Fridges(share=1.0, plug_share=0.3),
        hot_water=sc.HotWater(share=0.3),
        dishwashers=sc.Dishwashers(share=0.5),
    )


@cache
def lived(dark: bool) -> dict[str, tuple[Fleet, np.ndarray]]:
    """Each part's fleet, and the power of its rows at each second, of the day from 04:30 to midnight."""
    scenario = street(*((CUT,) if dark else ()))
    population = make_population(scenario)
    groups = population.homes.group_names
    cuts_ms = power_cuts_ms(scenario.comms, scenario.clock, groups)
    weather = make_weather(sc.Weather(), DAY - timedelta(days=1), 3, scenario.seed, None)
    first_ms = plan_moment_ms(DAY)
    sky = make_sky(weather, groups, scenario.seed, first_ms, 48)
    told = {}
    for part in population.parts:
        if part.kind.technology is Technology.EV:
            continue
        rows = len(part.drawn.home)
        kind, drawn = part.kind, part.drawn
        state = drawn.state.copy()
        for name in ("at_ms", "anchor_ms"):
            if name in state.dtype.names:
                state[name] = first_ms
        fleet = Fleet(kind.device, drawn.spec, state, np.arange(rows).astype(np.int16), rows, first_ms)
        today = kind.shared_day(DAY, sky)._replace(cuts_ms=cuts_ms)
        fleet.plan(kind.diary(drawn, DAY, sky), today, look=True)
        fleet.play(first_ms + 19 * HOUR_MS, Orders.none(), read=False)
        reach = "" if (drawn.route >= 0).all() else " out of reach"
        told[kind.name + reach] = fleet, fleet.seconds_w
    return told


def second(hour: float) -> int:
    """Seconds from the planning moment to a clock time of the day."""
    return int((hour - 4.5) * 3600)


def mean_w(watts: np.ndarray, begin: float, end: float) -> float:
    return float(watts[:, second(begin) : second(end)].sum(axis=0).mean())


def test_what_houses_lost_comes_back_as_a_pickup_that_nobody_wrote_down():
    (_, dark_w), (_, lit_w) = lived(True)["heat_pumps"], lived(False)["heat_pumps"]
    assert not dark_w[:, second(17.5) + 1 : second(19.5)].any()
    assert mean_w(dark_w, 19.75, 21.0) > 1.15 * mean_w(lit_w, 19.75, 21.0)


def test_compressors_come_back_one_by_one_and_rest_first():
    fleet, watts = lived(True)["heat_pumps"]
    after = watts[:, second(19.5) :] > 0
    back_s = np.where(after.any(axis=1), after.argmax(axis=1), 10**6)
    rest_s = heat_pump.MIN_OFF_MS // 1000
    assert (back_s >= rest_s + fleet.spec["restart_s"]).all()
    soon = back_s < 3600
    assert len(np.unique(back_s[soon])) > 0.8 * soon.sum() > 20
    assert (back_s[soon] <= rest_s + fleet.spec["restart_s"][soon] + 1800).all()


def test_a_battery_wired_for_it_feeds_its_home_from_the_reserve_and_no_energy_is_lost():
    fleet, _ = lived(True)["batteries"]
    rows, spec = fleet.state.rows, fleet.spec
    (part,) = [part for part in make_population(street(CUT)).parts if part.kind.name == "batteries"]
    gained_mj = rows["charge_mj"] - part.drawn.state["charge_mj"]
    terminal_mj = rows["register_mj"] - rows["export_mj"]
    assert (terminal_mj == gained_mj + rows["lost_mj"] + rows["backed_up_mj"]).all()
    wired = (spec["traits"] & battery.BACKS_UP) > 0
    assert 10 < wired.sum() < len(spec) - 10
    assert not rows["backed_up_mj"][~wired].any()
    assert (rows["backed_up_mj"][wired] > 100 * MJ_PER_WH).mean() > 0.8
    assert (rows["lost_mj"] >= 0).all()
    assert (rows["charge_mj"] >= 0).all()


@pytest.mark.parametrize("name", ["fridges", "dishwashers out of reach", "hot_water"])
def test_what_stood_still_goes_on_afterwards(name):
    told = {key: value for key, value in lived(True).items() if key.startswith(name.split()[0])}
    assert told
    for key, (_, dark_w) in told.items():
        lit_w = lived(False)[key][1]
        assert not dark_w[:, second(17.5) + 1 : second(19.5)].any()
        assert np.array_equal(dark_w[:, : second(17.5)], lit_w[:, : second(17.5)])
        assert mean_w(dark_w, 19.75, 22.0) > mean_w(lit_w, 19.75, 22.0)
