"""Who lives where with what: homes on the network, their meters, their devices and the routes to them.

Every property is a keyed draw of the home's own number: adding homes or properties moves no other home.
Rows of all kinds lie one part after the other, cars first. Rows that can be reached come before those that
cannot: plant and registration know the former alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import numpy as np

from protocol import periods
from protocol.messages import (
    I8,
    I16,
    I32,
    I64,
    UNKNOWN,
    AssetRegistration,
    HomeRegistration,
    Service,
    Technology,
)
from sim import chance
from sim.chance import Purpose
from sim.event_response import enrolled_by_hand
from sim.homes import GSP_GROUPS, NOT_SMART, HomeTable, make_homes
from sim.households import BaseLoad, Drivers
from sim.kinds.appliances import Appliances
from sim.kinds.batteries import HomeBatteries
from sim.kinds.businesses import BusinessSites, Generators
from sim.kinds.evs import Cars
from sim.kinds.fridges import FridgeFreezers
from sim.kinds.heat_pumps import HeatPumpKind
from sim.kinds.hot_water import HotWaterCylinders
from sim.kinds.kind import Kind, Part
from sim.kinds.pv import Roofs
from sim.kinds.resistive_heaters import ResistiveHeaterHomes
from sim.kinds.storage_heaters import StorageHeaterHomes
from sim.ownership import Ownership, make_ownership
from sim.play import Plant
from sim.routes import routes_of
from sim.scenario import ROUTE_NAMES, Comms, Scenario

CYCLE_WH = MappingProxyType({
    "washing_machines": 930,
    "washer_dryers": 2_610,
    "tumble_dryers": 2_500,
    "dishwashers": 1_130,
    "fridges": 70,
})  # fmt: skip
"""Energy of a cycle, by section of the scenario [Wh]: CREST."""
FRIDGE_CYCLES_PER_YEAR = 6_116
"""CREST."""
LEAST_BASE_LOAD = 0.25
_MPAN_PRIMES = np.array([3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43])


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Homes and their devices; columns of all rows unless said otherwise.

    Parts that can be reached come first; a kind of which some can be reached and some not has two.
    """

    homes: HomeTable
    heat: I8  # of each home: sim.ownership.Heat
    parts: tuple[Part, ...]  # part 0: the cars
    home: I32  # place in the HomeTable
    service: I8  # NONE where nobody can be reached
    cell: I16  # place in `cell_names`: (GSP, service), the finest sums
    plant: Plant  # reachable rows
    registration: AssetRegistration  # reachable rows
    drivers: Drivers  # of the cars
    by_hand: I32  # homes enrolled in DFS with nothing but their people, rising

    @property
    def home_registration(self) -> HomeRegistration:
        """What the aggregator is told of the homes that act by hand: all have half-hourly meters."""
        return HomeRegistration(self.by_hand, np.ones(len(self.by_hand), np.int8))

    @property
    def within_reach(self) -> tuple[Part, ...]:
        """The parts whose rows somebody can reach: the first ones."""
        return tuple(part for part in self.parts if part.first_row < max(len(self.plant.device), 1))

    @property
    def beyond_reach(self) -> tuple[Part, ...]:
        """The other parts."""
        return self.parts[len(self.within_reach) :]

    @property
    def cars_home(self) -> I32:
        """The home of each car."""
        return self.parts[0].drawn.home

    @property
    def spec(self) -> np.ndarray[Any, Any]:
        """The cars, devices.ev.SPEC."""
        return self.parts[0].drawn.spec

    @property
    def charge_mj(self) -> I64:
        """What is in the cars' batteries when history begins."""
        return np.ascontiguousarray(self.parts[0].drawn.state["charge_mj"])


def mpan_of(distributor: I64, number: I64) -> I64:
    """13-digit MPANs: distributor id, ten digits, check digit.

    Check digit: digits times the primes 3 to 43 without 11, summed, mod 11, mod 10 (REC, MPAN core).
    """
    core = distributor * 10**10 + number
    digits = np.stack([(core // 10 ** (11 - k)) % 10 for k in range(12)])
    check = (digits * _MPAN_PRIMES[:, None]).sum(axis=0) % 11 % 10
    return np.asarray(core * 10 + check, dtype=np.int64)


def make_population(scenario: Scenario) -> Population:
    """The population of a scenario, a pure function of its parameters and seed."""
    owned = make_ownership(scenario)
    homes = _without_goods(make_homes(scenario.homes, scenario.seed), scenario, owned)
    cars = Cars(scenario.evs, homes, owned.numbers("evs"), scenario.seed)
    first_day = scenario.clock.start - timedelta(days=scenario.clock.history_days)
    kinds = [cars, *_other_kinds(scenario, homes, owned)]
    parts, reachable = _make_parts(kinds, periods.day_start_ms(first_day))
    home = np.concatenate([part.drawn.home for part in parts])
    plant = _make_plant(scenario.comms, scenario.seed, reachable, homes)
    service = np.full(len(home), Service.NONE, np.int8)
    metered = np.concatenate([np.full(len(part.drawn.home), has_asset_meter(part)) for part in reachable])
    service[: len(plant.home)] = _services(scenario, homes, plant.home, metered)
    registration = _register(scenario, homes, reachable, plant, service[: len(plant.home)])
    return Population(
        homes=homes,
        heat=owned.heat,
        parts=parts,
        home=home,
        service=service,
        cell=(homes.gsp[home] * len(Service) + service).astype(np.int16),
        plant=plant,
        registration=registration,
        drivers=cars.drivers(parts[0].drawn.spec["device"]),
        by_hand=_by_hand(scenario, homes, registration),
    )


def _without_goods(homes: HomeTable, scenario: Scenario, owned: Ownership) -> HomeTable:
    """Homes whose base load leaves out what is lived through as devices: white goods and fridges.

    Profile Class 1 homes have all of these. Energy is taken off in proportion, at any hour; a quarter of a
    home's use stays whatever it owns: assumed.
    """
    goods_wh = np.zeros(len(homes))
    for section, cycle_wh in CYCLE_WH.items():
        cycles = getattr(getattr(scenario, section), "cycles_per_year", FRIDGE_CYCLES_PER_YEAR)
        goods_wh += np.where(owned.has[section], cycles * cycle_wh, 0.0)
    if not goods_wh.any():
        return homes
    left_wh = np.maximum(homes.annual_wh - goods_wh, LEAST_BASE_LOAD * homes.annual_wh)
    return replace(homes, annual_wh=left_wh)


def _other_kinds(scenario: Scenario, homes: HomeTable, owned: Ownership) -> list[Kind]:
    """Every kind but cars that somebody has, in the order of their numbers."""
    seed, has = scenario.seed, owned.numbers
    roofs = Roofs(scenario.pv, homes, has("pv"), seed)
    base_load = BaseLoad(homes, scenario.homes, seed)
    kinds: dict[str, Kind] = {
        "heat_pumps": HeatPumpKind(scenario.heat_pumps, homes, has("heat_pumps"), seed),
        "storage_heaters": StorageHeaterHomes(scenario.storage_heaters, homes, has("storage_heaters"), seed),
        "resistive_heaters": ResistiveHeaterHomes(
            scenario.resistive_heaters, homes, has("resistive_heaters"), seed
        ),
        "hot_water": HotWaterCylinders(
            scenario.hot_water, homes, has("hot_water"), seed, owned.has["storage_heaters"]
        ),
        "batteries": HomeBatteries(scenario.batteries, homes, has("batteries"), seed, base_load, roofs),
        "pv": roofs,
        "washing_machines": Appliances(scenario.washing_machines, homes, has("washing_machines"), seed),
        "washer_dryers": Appliances(scenario.washer_dryers, homes, has("washer_dryers"), seed),
        "tumble_dryers": Appliances(scenario.tumble_dryers, homes, has("tumble_dryers"), seed),
        "dishwashers": Appliances(scenario.dishwashers, homes, has("dishwashers"), seed),
        "fridges": FridgeFreezers(scenario.fridges, homes, has("fridges"), seed),
        "businesses": BusinessSites(scenario.businesses, homes, has("businesses"), seed),
        "generators": Generators(scenario.generators, homes, has("generators"), seed),
    }
    return [kind for section, kind in kinds.items() if owned.has[section].any()]


def _make_parts(kinds: list[Kind], start_ms: int) -> tuple[tuple[Part, ...], list[Part]]:
    """All parts, and those that can be reached; the first kind is there even if nobody has it."""
    drawn = [(kind, kind.draw(start_ms)) for kind in kinds]
    split = [
        (kind, each.among((each.route >= 0) == reachable))
        for reachable in (True, False)
        for kind, each in drawn
    ]
    parts: list[Part] = []
    first_row = 0
    for place, (kind, each) in enumerate(split):
        if place == 0 or len(each.home):
            parts.append(Part(kind, each, first_row))
            first_row += len(each.home)
    reachable_parts = [part for part in parts if (part.drawn.route >= 0).all()]
    return tuple(parts), reachable_parts


def has_asset_meter(part: Part) -> bool:
    """Whether the part's rows have meters of their own: white goods are asked, not metered or switched."""
    return part.kind.technology is not Technology.APPLIANCE


def _services(
    scenario: Scenario, homes: HomeTable, home: I32, metered: np.ndarray[Any, np.dtype[np.bool_]]
) -> I8:
    """One service per asset: all assets of a home are enrolled in the same one.

    DFS needs a half-hourly boundary meter (unless it is metered at assets); the BM takes every asset with a
    meter of its own (`metered`).
    """
    markets = scenario.markets
    key = chance.stream(scenario.seed, Purpose.ADDRESS)
    u = chance.units(key, home.astype(np.int64), number=1)[:, 0]
    dfs = u < markets.dfs.share
    balancing = ~dfs & (u < markets.dfs.share + markets.balancing.share)
    hh_metered = homes.status[home] != NOT_SMART
    balancing &= metered
    dfs &= metered if markets.dfs.metering == "asset" else hh_metered
    return np.where(dfs, Service.DFS, np.where(balancing, Service.BALANCING, Service.NONE)).astype(np.int8)


def _by_hand(scenario: Scenario, homes: HomeTable, registration: AssetRegistration) -> I32:
    """Homes drawn for DFS that have nothing to be steered and are enrolled with their people alone.

    White goods are nothing to be steered: their owners are asked. Asset meters would see nothing of it.
    """
    every = np.arange(len(homes), dtype=np.int32)
    if scenario.people.by_hand.share == 0 or scenario.markets.dfs.metering == "asset":
        return every[:0]
    wanted = _services(scenario, homes, every, np.ones(len(every), bool)) == Service.DFS
    wanted[registration.home[registration.technology != Technology.APPLIANCE]] = False
    return enrolled_by_hand(scenario.people.by_hand, every[wanted], scenario.seed)


def _make_plant(comms: Comms, seed: int, parts: list[Part], homes: HomeTable) -> Plant:
    device, home, route = (
        np.concatenate([part.drawn.spec["device"] for part in parts]),
        np.concatenate([part.drawn.home for part in parts]),
        np.concatenate([part.drawn.route for part in parts]),
    )
    u = chance.units(chance.stream(seed, Purpose.ROUTE_PLACE), device, number=1)
    vendors = np.array([route.vendors for route in routes_of(comms)])
    return Plant(
        device=device,
        home=home,
        route=route,
        vendor=(u[:, 0] * vendors[route]).astype(np.int8),
        isp=(u[:, 1] * comms.isps).astype(np.int8),
        mobile_operator=(u[:, 2] * comms.mobile_operators).astype(np.int8),
        region=homes.gsp_group[home],
    )


def _register(
    scenario: Scenario, homes: HomeTable, parts: list[Part], plant: Plant, service: I8
) -> AssetRegistration:
    """What is known of every reachable row when it is enrolled; only drivers name a target and a deadline."""
    home = plant.home
    battery_wh = np.concatenate([part.drawn.capacity_wh for part in parts])
    technology = np.repeat(
        np.array([part.kind.technology for part in parts], np.int8), [len(part.drawn.home) for part in parts]
    )
    cars = technology == Technology.EV
    ids = np.array([GSP_GROUPS[name][0] for name in homes.group_names])
    every_ms = np.concatenate([part.drawn.spec["read_every_ms"] for part in parts])
    evs = scenario.evs
    return AssetRegistration(
        home=home,
        mpan=mpan_of(ids[homes.gsp_group[home]], home.astype(np.int64) * 97 + 1_000_000_000),
        unit=homes.gsp_group[home].astype(np.int16),
        gsp=homes.gsp[home],
        route=plant.route,
        service=service,
        rating_w=np.concatenate([part.drawn.rating_w for part in parts]),
        battery_wh=battery_wh,
        target_pct=np.where(cars, round(evs.target * 100), UNKNOWN).astype(np.int8),
        ready_by_minute=np.where(cars, evs.ready_by % 1440, UNKNOWN).astype(np.int16),
        report_every_s=(every_ms // 1000).astype(np.int32),
        soc_known=(battery_wh != UNKNOWN).astype(np.int8),
        hh_metered=(homes.status[home] != NOT_SMART).astype(np.int8),
        technology=technology,
        unit_names=homes.group_names,
        gsp_names=homes.gsp_names,
        route_names=ROUTE_NAMES,
    )
