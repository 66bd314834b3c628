"""A population of all kinds: parts in order, one number per device, enrolled where it can be reached."""

from datetime import date

import numpy as np
import pytest

from protocol.messages import UNKNOWN, Service, Technology
from sim.kinds.kind import KindNumber
from sim.population import make_population
from sim.scenario import ROUTE_NAMES, Balancing, Clock, Dfs, Evs, Homes, Markets, Scenario
from sim.scenario_devices import (
    BackUpGenerators,
    Batteries,
    Businesses,
    Dishwashers,
    Fridges,
    HeatPumps,
    HotWater,
    Pv,
    ResistiveHeaters,
    StorageHeaters,
    TumbleDryers,
    WasherDryers,
    WashingMachines,
)

EVERYTHING = {
    "evs": Evs(share=0.4),
    "heat_pumps": HeatPumps(share=0.3),
    "storage_heaters": StorageHeaters(share=0.2, smart_share=0.4),
    "resistive_heaters": ResistiveHeaters(share=0.1, smart_share=0.5),
    "hot_water": HotWater(share=0.3, smart_share=0.5),
    "batteries": Batteries(share=0.2),
    "pv": Pv(share=0.3, reachable_share=0.5),
    "washing_machines": WashingMachines(share=0.5),
    "washer_dryers": WasherDryers(share=0.2),
    "tumble_dryers": TumbleDryers(share=0.4),
    "dishwashers": Dishwashers(share=0.4),
    "fridges": Fridges(share=0.6, plug_share=0.5),
    "businesses": Businesses(share=0.1),
    "generators": BackUpGenerators(share=0.05),
    "markets": Markets(dfs=Dfs(share=0.5), balancing=Balancing(share=0.3)),
}


def population(count=400, **changed):
    return make_population(
        Scenario(
            flextwin=1,
            name="parts",
            clock=Clock(start=date(2024, 1, 16)),
            homes=Homes(count=count),
            **(EVERYTHING | changed),
        )
    )


@pytest.fixture(scope="module")
def everybody():
    return population()


def test_parts_lie_one_after_the_other_cars_first_and_those_out_of_reach_last(everybody):
    first_row = 0
    for part in everybody.parts:
        assert part.first_row == first_row
        assert np.array_equal(everybody.home[part.rows], part.drawn.home)
        first_row += len(part.drawn.home)
    assert first_row == len(everybody.home) == len(everybody.cell) == len(everybody.service)
    assert everybody.parts[0].kind.name == "evs"
    reached = [(part.drawn.route >= 0).all() for part in everybody.parts]
    assert reached == sorted(reached, reverse=True)
    assert (
        len(everybody.plant.device)
        == len(everybody.registration.home)
        == sum(len(part.drawn.home) for part, can in zip(everybody.parts, reached, strict=True) if can)
    )


def test_every_kind_of_device_is_there(everybody):
    names = [part.kind.name for part in everybody.parts]
    assert set(names) == set(EVERYTHING) - {"markets"}
    assert {int(technology) for technology in Technology} == set(everybody.registration.technology.tolist())


def test_rows_of_a_part_lie_in_the_order_of_reading(everybody):
    for part in everybody.parts:
        spec = part.drawn.spec
        order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
        assert np.array_equal(order, np.arange(len(spec))), part.kind.name


def test_a_device_has_a_number_of_its_own_that_says_its_kind_and_home(everybody):
    numbers = np.concatenate([part.drawn.spec["device"] for part in everybody.parts])
    assert len(np.unique(numbers)) == len(numbers)
    assert np.array_equal(numbers & (2**40 - 1), everybody.home)
    assert set((numbers >> 40).tolist()) == {int(kind) for kind in KindNumber}
    assert np.array_equal(everybody.plant.device, numbers[: len(everybody.plant.device)])


def test_all_that_can_be_reached_in_a_home_is_enrolled_in_one_service_but_goods_without_a_meter(everybody):
    reachable = len(everybody.plant.home)
    assert (everybody.service[reachable:] == Service.NONE).all()
    of_home: dict[int, set[int]] = {}
    goods = everybody.registration.technology == Technology.APPLIANCE
    who, served = everybody.plant.home, everybody.service[:reachable]
    for home, service in zip(who[~goods], served[~goods], strict=True):
        of_home.setdefault(int(home), set()).add(int(service))
    for home, service in zip(who[goods], served[goods], strict=True):
        assert service != Service.BALANCING  # no meter of its own
        assert {int(service)} <= of_home.get(int(home), {int(service)}) | {int(Service.NONE)}
    assert all(len(services) == 1 for services in of_home.values())
    assert {service for services in of_home.values() for service in services} == {0, 1, 2}
    assert np.array_equal(everybody.cell // len(Service), everybody.homes.gsp[everybody.home])


def test_only_drivers_name_a_target_and_a_deadline(everybody):
    told = everybody.registration
    cars = told.technology == Technology.EV
    assert (told.target_pct[cars] == 80).all()
    assert (told.target_pct[~cars] == UNKNOWN).all()
    assert (told.ready_by_minute[~cars] == UNKNOWN).all()
    assert (told.rating_w > 0).all()
    assert np.array_equal(told.soc_known == 1, told.battery_wh != UNKNOWN)


ROUTE_OF = {
    "heat_pumps": "heat_pump_cloud",
    "storage_heaters": "heater_cloud",
    "resistive_heaters": "heater_cloud",
    "hot_water": "heater_cloud",
    "batteries": "inverter_cloud",
    "pv": "inverter_cloud",
    "washing_machines": "app_message",
    "fridges": "smart_plug_wifi",
}


@pytest.mark.parametrize("name", ROUTE_OF)
def test_a_kind_is_reached_by_its_route(everybody, name):
    part = next(part for part in everybody.parts if part.kind.name == name)
    assert {ROUTE_NAMES[route] for route in part.drawn.route} == {ROUTE_OF[name]}


def test_the_cars_and_their_wires_are_the_same_whatever_else_homes_have(everybody):
    cars_alone = population(**{
        name: type(settings)() for name, settings in EVERYTHING.items() if name not in {"evs", "markets"}
    })  # fmt: skip
    assert len(cars_alone.parts) == 1
    cars = everybody.parts[0].rows
    for column in everybody.plant.__slots__:
        assert np.array_equal(getattr(everybody.plant, column)[cars], getattr(cars_alone.plant, column))
    for column in ("spec", "state", "route", "home"):
        one, two = (getattr(each.parts[0].drawn, column) for each in (everybody, cars_alone))
        assert np.array_equal(one, two)
    assert np.array_equal(everybody.cell[cars], cars_alone.cell)


def test_adding_homes_moves_no_device(everybody):
    more = population(600)
    for part in everybody.parts:
        reached = (part.drawn.route >= 0).all()
        other = next(
            each
            for each in more.parts
            if each.kind.name == part.kind.name and (each.drawn.route >= 0).all() == reached
        )
        old = np.isin(other.drawn.home, np.arange(400))
        assert np.array_equal(other.drawn.spec[old], part.drawn.spec), part.kind.name


def test_a_cylinder_beside_storage_heaters_is_on_their_night_supply(everybody):
    from devices.hot_water import NIGHT_ONLY

    for part in everybody.parts:
        if part.kind.name == "hot_water":
            heated = np.isin(
                part.drawn.home,
                np.concatenate(
                    [each.drawn.home for each in everybody.parts if each.kind.name == "storage_heaters"]
                ),
            )
            assert heated.any()
            assert (part.drawn.spec["traits"][heated] & NIGHT_ONLY > 0).all()
            assert not (part.drawn.spec["traits"] & NIGHT_ONLY > 0).all()


def test_white_goods_are_not_in_the_base_load_a_second_time(everybody):
    nobody = population(**{name: type(EVERYTHING[name])() for name in EVERYTHING if name != "markets"})
    less_wh = nobody.homes.annual_wh - everybody.homes.annual_wh
    goods = ("washing_machines", "washer_dryers", "tumble_dryers", "dishwashers", "fridges")
    owns = {name: np.zeros(400, bool) for name in goods}
    for part in everybody.parts:
        if part.kind.name in goods:
            owns[part.kind.name][part.drawn.home] = True
    others = np.any([owns[name] for name in goods if name != "dishwashers"], axis=0)
    plenty = nobody.homes.annual_wh > 1_500_000
    assert less_wh[owns["dishwashers"] & ~others & plenty] == pytest.approx(241 * 1_130)  # CREST
    assert (less_wh[~owns["dishwashers"] & ~others] == 0).all()
    assert (everybody.homes.annual_wh >= 0.25 * nobody.homes.annual_wh).all()
    assert (less_wh[np.all(list(owns.values()), axis=0)] > 0).all()
