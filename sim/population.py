"""Who lives where with what: homes on the network, their meters, their devices and the routes to them.

Every property is a keyed draw of the home's own number: adding homes or properties moves no other home.
Rows of all kinds lie one part after the other, cars first. Rows that can be reached come before those that
cannot: plant and registration know the former alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
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
from sim.head_ends import profile_names
from sim.home_readings import HomeReadings, home_readings
from sim.homes import NOT_SMART, HomeTable, has_access_device, make_homes
from sim.households import BaseLoad, Drivers
from sim.importers import Source
from sim.kinds.appliances import Appliances
from sim.kinds.batteries import HomeBatteries
from sim.kinds.businesses import BusinessSites, Generators
from sim.kinds.evs import Cars
from sim.kinds.fridges import FridgeFreezers
from sim.kinds.heat_pumps import HeatPumpKind
from sim.kinds.hot_water import HotWaterCylinders
from sim.kinds.kind import Kind, Part
from sim.kinds.pv import Roofs
from sim.kinds.registered_kind import REACHED_BY, RegisteredKind, RegisteredRoofs
from sim.kinds.resistive_heaters import ResistiveHeaterHomes
from sim.kinds.storage_heaters import StorageHeaterHomes
from sim.ownership import Bools, Ownership, make_ownership
from sim.play import Plant
from sim.power_cuts import restart_s
from sim.registered import Registered, registered, two_rate_homes, with_count
from sim.registry_file import NOT_TOLD
from sim.routes import routes_of
from sim.scenario import ROUTE_NAMES, Comms, Scenario
from sim.scenario_device_checks import SECTIONS
from sim.tariffs import StaticTariff, static_tariff, tariff_of_home
from sim.white_goods import without_goods

KINDS = ("evs", *SECTIONS)
"""The kinds' sections in the order of their parts."""


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Homes and their devices; columns of all rows unless said otherwise.

    Parts that can be reached come first; a kind of which some can be reached and some not has two.
    """

    homes: HomeTable
    heat: I8  # of each home: sim.ownership.Heat
    two_rate: Bools  # of each home: its meter has two rates (Economy 7)
    tariff: I8  # of each home: place in `sim.tariffs.NAMES`
    parts: tuple[Part, ...]  # part 0: the cars
    home: I32  # place in the HomeTable
    service: I8  # NONE where nobody can be reached
    cell: I16  # place in `cell_names`: (GSP, service), the finest sums
    plant: Plant  # reachable rows
    registration: AssetRegistration  # reachable rows
    drivers: Drivers  # of the cars
    vendors: tuple[str, ...] | None  # the profile told of each reachable row, "" of none; None: no registry
    registry: Registered | None
    readings: HomeReadings | None
    by_hand: I32  # homes enrolled in DFS with nothing but their people, rising

    @property
    def home_registration(self) -> HomeRegistration:
        """What the aggregator is told of the homes that act by hand: all have half-hourly meters."""
        metered = np.ones(len(self.by_hand), np.int8)
        unit = self.homes.gsp_group[self.by_hand].astype(np.int16)
        return HomeRegistration(self.by_hand, metered, unit, self.homes.group_names)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files that it was made from."""
        registry = () if self.registry is None else (self.registry.registry.source,)
        return registry if self.readings is None else (*registry, self.readings.source)

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


def make_population(scenario: Scenario) -> Population:
    """The population of a scenario, a pure function of its parameters, seed, registry and meter data.

    Raises DataErrors for files that do not hold.
    """
    registry = registered(scenario)
    scenario = with_count(scenario, registry)
    owned = make_ownership(scenario) if registry is None else registry.ownership()
    homes = make_homes(scenario.homes, scenario.seed, None if registry is None else registry.homes)
    homes = without_goods(homes, scenario, owned)
    readings = home_readings(scenario, homes)
    if readings is not None:
        homes = _sized(homes, readings)
    tariff = None if registry is None else registry.tariff
    two_rate = two_rate_homes(homes, owned.has["storage_heaters"], scenario, tariff)
    told_two_rate = owned.has["storage_heaters"] | (False if tariff is None else tariff == 1)
    static = static_tariff(scenario.markets.retail, homes, two_rate, scenario.seed)
    make = _Maker(scenario, homes, told_two_rate, readings, static)
    kinds = make.drawn(owned) if registry is None else make.told(registry)
    first_day = scenario.clock.start - timedelta(days=scenario.clock.history_days)
    parts, reachable = _make_parts(scenario, kinds, periods.day_start_ms(first_day))
    home = np.concatenate([part.drawn.home for part in parts])
    plant = _make_plant(scenario.comms, scenario.seed, reachable, homes)
    vendors = None
    if registry is not None:
        vendors = registry.vendors_of(plant.device)
        plant = replace(plant, vendor=_clouds_of(vendors, plant, scenario.comms))
    service = np.full(len(home), Service.NONE, np.int8)
    metered = np.concatenate([np.full(len(part.drawn.home), has_asset_meter(part)) for part in reachable])
    service[: len(plant.home)] = _services(scenario, homes, plant.home, metered, registry)
    registration = _register(scenario, homes, reachable, plant, service[: len(plant.home)])
    return Population(
        homes=homes,
        heat=owned.heat,
        two_rate=two_rate,
        tariff=tariff_of_home(static, two_rate),
        parts=parts,
        home=home,
        service=service,
        cell=(homes.gsp[home] * len(Service) + service).astype(np.int16),
        plant=plant,
        registration=registration,
        drivers=make.cars(make.no_homes).drivers(parts[0].drawn.spec["device"]),
        vendors=vendors,
        registry=registry,
        readings=readings,
        by_hand=_by_hand(scenario, homes, registration, registry),
    )


def _sized(homes: HomeTable, readings: HomeReadings) -> HomeTable:
    """Homes of the size that their meters tell; nothing is taken out of what was metered."""
    annual_wh, lived = readings.annual_wh(homes.annual_wh), homes.lived_goods
    if lived is not None:
        owned = np.where(annual_wh == homes.annual_wh, lived.owned, 0).astype(np.int8)
        lived = replace(lived, whole_wh=readings.annual_wh(lived.whole_wh), owned=owned)
    return replace(homes, annual_wh=annual_wh, lived_goods=lived)


class _Maker:
    """Makes the kinds of a scenario for their owners."""

    no_homes: I32 = np.empty(0, np.int32)

    def __init__(
        self,
        scenario: Scenario,
        homes: HomeTable,
        two_rate: Bools,
        readings: HomeReadings | None,
        static: StaticTariff | None,
    ) -> None:
        self._scenario, self._homes, self._two_rate = scenario, homes, two_rate
        self._static = static
        self._base_load = BaseLoad(homes, scenario.homes, scenario.seed, readings=readings)

    def drawn(self, owned: Ownership) -> list[Kind]:
        """Cars, and every other kind that somebody has, in the order of their numbers."""
        scenario, has = self._scenario, owned.numbers
        roofs = Roofs(scenario.pv, self._homes, has("pv"), scenario.seed)
        return [
            self._kind(section, has(section), scenario, roofs)
            for section in KINDS
            if section == "evs" or owned.has[section].any()
        ]

    def told(self, registry: Registered) -> list[Kind]:
        """As `drawn`; what can be reached and what cannot are two kinds where the device differs."""
        scenario = self._scenario
        kinds: list[Kind] = []
        roofs = Roofs(scenario.pv, self._homes, self.no_homes, scenario.seed)
        all_roofs = RegisteredRoofs(roofs, registry.told["pv"], scenario)
        for section in KINDS:
            told = registry.told[section]
            for reached in (True, False):
                rows = told.among((told.route >= 0) == reached)
                if len(rows.home) or (section == "evs" and reached):
                    kind = self._kind(
                        section, rows.home, _reached(scenario, section, float(reached)), all_roofs
                    )
                    kinds.append(RegisteredKind(kind, section, rows, scenario))
        return kinds

    def cars(self, numbers: I32) -> Cars:
        """The cars of these homes."""
        return Cars(self._scenario.evs, self._homes, numbers, self._scenario.seed, self._static)

    def _kind(self, section: str, numbers: I32, scenario: Scenario, roofs: Roofs) -> Kind:
        homes, seed = self._homes, scenario.seed
        given = getattr(scenario, section)
        match section:
            case "evs":
                return self.cars(numbers)
            case "heat_pumps":
                return HeatPumpKind(given, homes, numbers, seed)
            case "storage_heaters":
                return StorageHeaterHomes(given, homes, numbers, seed)
            case "resistive_heaters":
                return ResistiveHeaterHomes(given, homes, numbers, seed)
            case "hot_water":
                return HotWaterCylinders(given, homes, numbers, seed, self._two_rate)
            case "batteries":
                return HomeBatteries(given, homes, numbers, seed, self._base_load, roofs, self._static)
            case "pv":
                return Roofs(given, homes, numbers, seed)
            case "fridges":
                return FridgeFreezers(given, homes, numbers, seed)
            case "businesses":
                return BusinessSites(given, homes, numbers, seed)
            case "generators":
                return Generators(given, homes, numbers, seed)
            case _:
                return Appliances(given, homes, numbers, seed, self._static)


def _reached(scenario: Scenario, section: str, share: float) -> Scenario:
    """The scenario with so many of a section's devices in reach."""
    if section not in REACHED_BY:
        return scenario
    settings = getattr(scenario, section).model_copy(update={REACHED_BY[section]: share})
    return scenario.model_copy(update={section: settings})


def _make_parts(scenario: Scenario, kinds: list[Kind], start_ms: int) -> tuple[tuple[Part, ...], list[Part]]:
    """All parts, and those that can be reached; the first kind is there even if nobody has it."""
    drawn = [(kind, kind.draw(start_ms)) for kind in kinds]
    for _, each in drawn:
        if "restart_s" in each.spec.dtype.names:
            within_ms = scenario.homes.restart_within_ms
            each.spec["restart_s"] = restart_s(scenario.seed, each.spec["device"], within_ms)
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
    scenario: Scenario,
    homes: HomeTable,
    home: I32,
    metered: np.ndarray[Any, np.dtype[np.bool_]],
    registry: Registered | None,
) -> I8:
    """One service per asset: all assets of a home are enrolled in the same one, as told or drawn.

    DFS needs a half-hourly boundary meter (unless it is metered at assets); the BM takes every asset with a
    meter of its own (`metered`), or, metered at the boundary, homes whose boundary meter is read live.
    """
    markets = scenario.markets
    key = chance.stream(scenario.seed, Purpose.ADDRESS)
    u = chance.units(key, homes.key[home], number=1)[:, 0]
    dfs = u < markets.dfs.share
    balancing = ~dfs & (u < markets.dfs.share + markets.balancing.share)
    hh_metered = homes.status[home] != NOT_SMART
    at_boundary = markets.balancing.metering == "boundary"
    may_balance = has_access_device(scenario.homes, homes, scenario.seed)[home] if at_boundary else metered
    balancing &= may_balance
    dfs &= metered if markets.dfs.metering == "asset" else hh_metered
    drawn = np.where(dfs, Service.DFS, np.where(balancing, Service.BALANCING, Service.NONE)).astype(np.int8)
    if registry is None:
        return drawn
    told = registry.service[home]
    wanted = np.where(told == NOT_TOLD, drawn, told)
    return np.where(may_balance | (wanted != Service.BALANCING), wanted, Service.NONE).astype(np.int8)


def _clouds_of(told: tuple[str, ...], plant: Plant, comms: Comms) -> I8:
    """The vendor cloud of each row: one vendor's assets share theirs; where none is told, as drawn."""
    clouds = np.array([route.vendors for route in routes_of(comms)])[plant.route]
    number = {name: place for place, name in enumerate(profile_names())}
    vendor = np.array([number.get(name, -1) for name in told], np.int64)
    return np.where(vendor >= 0, vendor % clouds, plant.vendor).astype(np.int8)


def _by_hand(
    scenario: Scenario, homes: HomeTable, registration: AssetRegistration, registry: Registered | None
) -> I32:
    """Homes drawn for DFS that have nothing to be steered and are enrolled with their people alone.

    White goods are nothing to be steered: their owners are asked. Asset meters would see nothing of it.
    """
    every = np.arange(len(homes), dtype=np.int32)
    if scenario.people.by_hand.share == 0 or scenario.markets.dfs.metering == "asset":
        return every[:0]
    wanted = _services(scenario, homes, every, np.ones(len(every), bool), registry) == Service.DFS
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
    every_ms = np.concatenate([part.drawn.spec["read_every_ms"] for part in parts])
    evs = scenario.evs
    return AssetRegistration(
        home=home,
        mpan=homes.mpan[home],
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
