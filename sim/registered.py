"""A population of a registry's homes and assets: what the file tells is taken, all else drawn as ever.

Owns how rows of a registry become devices. A home is the core of its MPAN to chance, and an asset its home's
kind of device, so that a row more or less, or another order, changes no other's draws. Two alike assets of
one home are of one make; their identifiers (`device`) set them apart. What an appliance is, is drawn.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from protocol.messages import I8, I32, I64, Technology
from sim import chance
from sim.chance import Purpose
from sim.faults import Fault, Kind
from sim.homes import HomeTable, ToldHomes
from sim.importers import DataErrors
from sim.kinds.kind import KindNumber
from sim.ownership import Heat, Ownership
from sim.registry_file import NOT_TOLD, Registry, read_registry
from sim.scenario import Scenario

CODES: Mapping[str, Kind] = MappingProxyType({
    "D055": Kind("two MPANs that differ in their check digit alone", "another number for one of the homes"),
    "D056": Kind("a GSP beyond those of the scenario", "raise `homes.gsps_per_group`, or name the group"),
    "D057": Kind("in DFS without a half-hourly meter", "another service, or `markets.dfs.metering: asset`"),
    "D058": Kind("more alike assets than a home has room for", "at most 16 of one kind"),
})  # fmt: skip
"""What a registry can have wrong for a scenario; beside the codes of `sim/registry_file.py`."""

SECTION_OF: Mapping[Technology, str] = MappingProxyType({
    Technology.EV: "evs",
    Technology.HEAT_PUMP: "heat_pumps",
    Technology.STORAGE_HEATER: "storage_heaters",
    Technology.RESISTIVE: "resistive_heaters",
    Technology.HOT_WATER: "hot_water",
    Technology.BATTERY: "batteries",
    Technology.PV: "pv",
    Technology.FRIDGE: "fridges",
    Technology.BUILDING: "businesses",
    Technology.GENERATOR: "generators",
})  # fmt: skip
WHITE_GOODS = ("washing_machines", "washer_dryers", "tumble_dryers", "dishwashers")
NUMBER_OF: Mapping[str, KindNumber] = MappingProxyType({
    "evs": KindNumber.EV,
    "heat_pumps": KindNumber.HEAT_PUMP,
    "storage_heaters": KindNumber.STORAGE_HEATER,
    "resistive_heaters": KindNumber.RESISTIVE,
    "hot_water": KindNumber.HOT_WATER,
    "batteries": KindNumber.BATTERY,
    "pv": KindNumber.PV,
    "fridges": KindNumber.FRIDGE,
    "businesses": KindNumber.BUILDING,
    "generators": KindNumber.GENERATOR,
    "washing_machines": KindNumber.WASHING_MACHINE,
    "washer_dryers": KindNumber.WASHER_DRYER,
    "tumble_dryers": KindNumber.TUMBLE_DRYER,
    "dishwashers": KindNumber.DISHWASHER,
})  # fmt: skip
SLOT_BIT, SLOTS = 44, 16
"""Where a device number says which of a home's alike assets it is: above the kind, below 2**48."""
_TWO_RATE = 4
"""Number of draws within Purpose.ADDRESS; `sim/network_tree.py` and `sim/population.py` have those below."""
_SORT_OF_APPLIANCE = 5
"""Number of draws within Purpose.OWNER; `sim/ownership.py` has those below."""


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Rows of a registry of one kind, in the order (home, slot)."""

    home: I32  # place in the HomeTable
    rating_w: I32
    capacity_wh: I32  # UNKNOWN where nobody told
    route: I8
    slot: I64

    def among(self, wanted: np.ndarray[Any, np.dtype[np.bool_]]) -> Told:
        """The wanted rows alone."""
        columns = (self.home, self.rating_w, self.capacity_wh, self.route, self.slot)
        return Told(*(column[wanted] for column in columns))


@dataclass(frozen=True, slots=True, eq=False)
class Registered:
    """A registry as a scenario takes it: homes in the order of its own names for them."""

    registry: Registry
    homes: ToldHomes
    service: I8  # (homes,) Service, or NOT_TOLD
    tariff: I8  # (homes,) place in TARIFFS, or NOT_TOLD
    told: Mapping[str, Told]  # by section of the scenario
    device: I64  # (assets,) device numbers in rising order ...
    vendor: tuple[str, ...]  # ... and the vendor profile of each, "" where nobody told

    def ownership(self) -> Ownership:
        """What each home has."""
        count = len(self.homes.own_id)
        has = {section: np.zeros(count, np.bool_) for section in NUMBER_OF}
        for section, told in self.told.items():
            has[section][told.home] = True
        heat = np.full(count, Heat.OTHER_FUEL, np.int8)
        for section, source in (
            ("resistive_heaters", Heat.RESISTIVE),
            ("storage_heaters", Heat.STORAGE_HEATERS),
            ("heat_pumps", Heat.HEAT_PUMP),
        ):
            heat[has[section]] = source
        return Ownership(heat, has)

    def vendors_of(self, device: I64) -> tuple[str, ...]:
        """The vendor profiles told of these devices."""
        return tuple(self.vendor[place] for place in np.searchsorted(self.device, device).tolist())

    def drawn_columns(self) -> tuple[str, ...]:
        """What the registry tells of some rows only, or of none, and chance of the others."""
        registry = self.registry
        columns = {
            "appliance": bool((registry.technology == Technology.APPLIANCE).any()),
            "capacity": bool((registry.capacity_wh < 0).any()),
            "gsp": bool((self.homes.gsp_in_group < 0).any()),
            "service": bool((self.service == NOT_TOLD).any()),
            "tariff": bool((self.tariff == NOT_TOLD).any()),
            "vendor": "" in registry.vendor,
        }
        return tuple(name for name, drawn in columns.items() if drawn)


def registered(scenario: Scenario) -> Registered | None:
    """The registry that a scenario names, None where it names none. Raises DataErrors."""
    population = scenario.population
    if population.source != "file" or population.file is None:
        return None
    return as_registered(read_registry(Path(population.file)), scenario)


def as_registered(registry: Registry, scenario: Scenario) -> Registered:
    """A registry as this scenario takes it. Raises DataErrors for what does not fit it."""
    own_id, first, home = np.unique(np.array(registry.home), return_index=True, return_inverse=True)
    gsp = [registry.gsp[row] for row in first.tolist()]
    homes = ToldHomes(
        own_id=tuple(own_id.tolist()),
        mpan=registry.mpan[first],
        group=tuple(name[:2] for name in gsp),
        gsp_in_group=np.array([int(name[2:] or -1) for name in gsp], np.int16),
        status=registry.settlement[first],
    )
    _refuse_what_does_not_fit(registry, homes, first, scenario)
    section = _sections(registry, home, homes, scenario)
    slot = _slots(registry, home, section)
    device = _device_numbers(homes.mpan[home] // 10, section, slot)
    order = np.argsort(device)
    return Registered(
        registry=registry,
        homes=homes,
        service=registry.service[first],
        tariff=registry.tariff[first],
        told=_told(registry, home, section, slot),
        device=device[order],
        vendor=tuple(registry.vendor[row] for row in order.tolist()),
    )


def _refuse_what_does_not_fit(registry: Registry, homes: ToldHomes, first: I64, scenario: Scenario) -> None:
    """Faults at the first row of each home that the scenario cannot take."""
    faults: list[Fault] = []

    def refuse(code: str, rows: I64, what: str, allowed: str) -> None:
        path = str(registry.source.path)
        faults.extend(Fault(code, path, int(registry.line[row]), 1, what, "", allowed) for row in rows)

    cores, seen = np.unique(homes.mpan // 10, return_index=True)
    twice = np.ones(len(homes.mpan), np.bool_)
    twice[seen] = False
    if len(cores) < len(homes.mpan):
        refuse("D055", first[twice], "an MPAN that another home's differs from in its check digit alone", "")
    most = scenario.homes.gsps_per_group
    beyond = homes.gsp_in_group >= most
    refuse("D056", first[beyond], "a GSP that the scenario does not have", f"00 to {most - 1:02d}")
    if scenario.markets.dfs.metering == "boundary":
        unmetered = (registry.service[first] == 1) & (homes.status == 0)
        what = "enrolled in DFS without a half-hourly meter"
        refuse("D057", first[unmetered], what, "hh_metered or hh_settled")
    if faults:
        raise DataErrors(sorted(faults, key=lambda fault: fault.line))


def _sections(registry: Registry, home: I64, homes: ToldHomes, scenario: Scenario) -> list[str]:
    """The section of the scenario that each asset is drawn by; which white good, by the sections' shares."""
    weights = np.array([getattr(scenario, section).share for section in WHITE_GOODS])
    shares = weights / weights.sum() if weights.any() else np.full(len(WHITE_GOODS), 0.25)
    key = chance.stream(scenario.seed, Purpose.OWNER)
    entity = homes.mpan[home] // 10 * SLOTS + _crc(registry)
    u = chance.units(key, entity, number=_SORT_OF_APPLIANCE)[:, 0]
    sort = np.searchsorted(np.cumsum(shares)[:-1], u, side="right")
    return [
        SECTION_OF.get(Technology(technology), WHITE_GOODS[white_good])
        for technology, white_good in zip(registry.technology.tolist(), sort.tolist(), strict=True)
    ]


def _crc(registry: Registry) -> I64:
    """A slot for each asset from its own identifier; the first for those without."""
    texts = registry.device
    return np.array([zlib.crc32(text.encode()) % SLOTS if text else 0 for text in texts], np.int64)


def _slots(registry: Registry, home: I64, section: list[str]) -> I64:
    """Which of its home's alike assets each is: by its own identifier, or the next that is free."""
    wanted = _crc(registry)
    taken: dict[tuple[int, str], set[int]] = {}
    faults = []
    for row, key in enumerate(zip(home.tolist(), section, strict=True)):
        others = taken.setdefault(key, set())
        if len(others) == SLOTS:
            what = f"more than {SLOTS} assets of one kind in a home"
            faults.append(Fault("D058", str(registry.source.path), int(registry.line[row]), 1, what, "", ""))
            continue
        while int(wanted[row]) in others:
            wanted[row] = (wanted[row] + 1) % SLOTS
        others.add(int(wanted[row]))
    if faults:
        raise DataErrors(faults)
    return wanted


def _device_numbers(key: I64, section: list[str], slot: I64) -> I64:
    kind = np.array([int(NUMBER_OF[name]) for name in section], np.int64)
    return np.asarray((slot << SLOT_BIT) | (kind << 40) | key)


def _told(registry: Registry, home: I64, section: list[str], slot: I64) -> dict[str, Told]:
    names = np.array(section)
    found = {}
    for name in NUMBER_OF:
        rows = np.flatnonzero(names == name)
        rows = rows[np.lexsort((slot[rows], home[rows]))]
        found[name] = Told(
            home=home[rows].astype(np.int32),
            rating_w=registry.rating_w[rows],
            capacity_wh=registry.capacity_wh[rows],
            route=registry.route[rows],
            slot=slot[rows],
        )
    return found


def with_count(scenario: Scenario, registry: Registered | None) -> Scenario:
    """The scenario with as many homes as its registry has."""
    if registry is None:
        return scenario
    homes = scenario.homes.model_copy(update={"count": len(registry.homes.own_id)})
    return scenario.model_copy(update={"homes": homes})


def two_rate_homes(homes: HomeTable, stores_heat: Any, scenario: Scenario, told: I8 | None) -> Any:
    """Which homes have a meter of two rates (Economy 7), (homes,): as told, or drawn by their heating."""
    key = chance.stream(scenario.seed, Purpose.ADDRESS)
    u = chance.units(key, homes.key, number=_TWO_RATE)[:, 0]
    share = np.where(
        stores_heat, scenario.homes.economy_7_with_storage_heaters, scenario.homes.economy_7_otherwise
    )
    drawn = u < share
    return drawn if told is None else np.where(told == NOT_TOLD, drawn, told == 1)
