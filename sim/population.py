"""Who lives where with what: homes on the network, their meters, cars, charge points and routes.

Every property is a keyed draw of the home's own number: adding homes or properties moves no other home.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from devices import ev
from protocol.messages import I8, I16, I32, I64, UNKNOWN, AssetRegistration, Service, Technology
from sim import chance
from sim.chance import Purpose
from sim.fleet import MJ_PER_WH, make_spec
from sim.play import Plant
from sim.routes import routes_of
from sim.scenario import ROUTE_NAMES, Comms, Homes, Scenario

F64 = np.ndarray[Any, np.dtype[np.float64]]

GSP_GROUPS: dict[str, tuple[int, float]] = {
    "_A": (10, 3.6),
    "_B": (11, 2.7),
    "_C": (12, 2.3),
    "_D": (13, 1.5),
    "_E": (14, 2.5),
    "_F": (15, 1.6),
    "_G": (16, 2.4),
    "_H": (20, 3.1),
    "_J": (19, 2.3),
    "_K": (21, 1.1),
    "_L": (22, 1.6),
    "_M": (23, 2.3),
    "_N": (18, 2.0),
    "_P": (17, 0.8),
}
"""GSP Group letter: (MPAN distributor id, millions of domestic meters).

Ids: MRA/REC MPAN standard; meters: assumed from DNO customer numbers [mem], overridden by `homes.gsp_groups`.
"""

NOT_SMART, HH_METERED, HH_SETTLED = 0, 1, 2
"""How a home is metered and settled.

No smart meter; half-hourly readings, but settled on a profile; settled on half-hourly readings.
"""

_MPAN_PRIMES = np.array([3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43])


@dataclass(frozen=True, slots=True, eq=False)
class HomeTable:
    """One row per home, in the order of their numbers."""

    gsp_group: I8  # place in `group_names`
    gsp: I16  # place in `gsp_names`
    status: I8  # NOT_SMART, HH_METERED, HH_SETTLED
    communicating: I8  # its smart meter talks
    annual_wh: F64  # base load without the car
    boundary_gain: F64  # what the meter registers of a true Wh
    group_names: tuple[str, ...]
    gsp_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.gsp)


@dataclass(frozen=True, slots=True, eq=False)
class Drivers:
    """What a driver is like; shape (cars,)."""

    device: I64
    daily_drive_wh: F64  # on a day with driving, at 15 C or warmer, AC side
    leave_hour: F64
    plug_in_half: F64
    always_plugs: I8


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """Homes and cars.

    Rows of cars lie in the order in which they report; `cars_home` is the home of each.
    """

    homes: HomeTable
    cars_home: I32
    spec: np.ndarray[Any, Any]  # devices.ev.SPEC
    drivers: Drivers
    plant: Plant
    service: I8
    charge_mj: I64
    cell: I16  # place in `cell_names`: (GSP, service), the finest sums
    registration: AssetRegistration


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
    homes = make_homes(scenario.homes, scenario.seed)
    cars_home = _homes_with_cars(scenario)
    device = cars_home.astype(np.int64)
    plant_routes = _routes(scenario, device)
    spec = _make_spec(scenario, device, plant_routes)
    order = np.lexsort((device, spec["read_at_ms"], spec["read_every_ms"]))
    cars_home, device, spec, routes = cars_home[order], device[order], spec[order], plant_routes[order]
    service = _services(scenario, homes, cars_home)
    plant = _make_plant(scenario.comms, scenario.seed, device, cars_home, routes, homes)
    charge = chance.units(_key(scenario, Purpose.EV), device, number=7)[:, 0]
    charge_mj = ((0.55 + 0.40 * charge) * spec["battery_mj"]).astype(np.int64)
    return Population(
        homes=homes,
        cars_home=cars_home,
        spec=spec,
        drivers=_make_drivers(scenario, device),
        plant=plant,
        service=service,
        charge_mj=charge_mj,
        cell=(homes.gsp[cars_home] * len(Service) + service).astype(np.int16),
        registration=_register(scenario, homes, cars_home, spec, service, routes),
    )


def make_homes(homes: Homes, seed: int) -> HomeTable:
    """Where homes are, how they are metered, how much they use."""
    number = np.arange(homes.count, dtype=np.int64)
    names, share = _group_shares(homes)
    u = chance.units(chance.stream(seed, Purpose.ADDRESS), number)
    group = np.searchsorted(np.cumsum(share)[:-1], u[:, 0], side="right").astype(np.int8)
    gsp = (
        group.astype(np.int16) * homes.gsps_per_group + (u[:, 1] * homes.gsps_per_group).astype(np.int16)
    ).astype(np.int16)
    smart = u[:, 2] < homes.smart_share
    settled = u[:, 3] * homes.smart_share < homes.hh_settled_share
    status = np.where(~smart, NOT_SMART, np.where(settled, HH_SETTLED, HH_METERED)).astype(np.int8)
    v = chance.units(chance.stream(seed, Purpose.HOME), number)
    z = chance.normals(chance.stream(seed, Purpose.HOME), number, number=1)
    gsp_names = tuple(f"{name}{k:02d}" for name in names for k in range(homes.gsps_per_group))
    return HomeTable(
        gsp_group=group,
        gsp=gsp,
        status=status,
        communicating=(smart & (v[:, 0] >= homes.not_communicating_share)).astype(np.int8),
        annual_wh=homes.annual_median_wh * np.exp(homes.annual_log_sd * z[:, 0]),
        boundary_gain=1.0 + homes.meter_gain_sd * z[:, 1],
        group_names=tuple(names),
        gsp_names=gsp_names,
    )


def _group_shares(homes: Homes) -> tuple[list[str], F64]:
    weights = homes.gsp_groups or {name: millions for name, (_, millions) in GSP_GROUPS.items()}
    names = sorted(weights)
    share = np.array([weights[name] for name in names], dtype=np.float64)
    return names, np.asarray(share / share.sum())


def _key(scenario: Scenario, purpose: Purpose) -> np.uint64:
    return chance.stream(scenario.seed, purpose)


def _homes_with_cars(scenario: Scenario) -> I32:
    number = np.arange(scenario.homes.count, dtype=np.int64)
    u = chance.units(_key(scenario, Purpose.EV), number)[:, 0]
    return np.flatnonzero(u < scenario.evs.share).astype(np.int32)


def _routes(scenario: Scenario, device: I64) -> I8:
    """How each car is reached: through its own cloud, or through a charge point on Wi-Fi or 4G."""
    evs = scenario.evs
    u = chance.units(_key(scenario, Purpose.ROUTE_PLACE), device)
    charge_point = np.where(
        u[:, 1] < evs.wifi_share, ROUTE_NAMES.index("evcp_wifi_cloud"), ROUTE_NAMES.index("evcp_4g")
    )
    telematics = u[:, 0] < evs.telematics_share
    return np.where(telematics, ROUTE_NAMES.index("ev_telematics_cloud"), charge_point).astype(np.int8)


def _make_spec(scenario: Scenario, device: I64, routes: I8) -> np.ndarray[Any, Any]:
    evs = scenario.evs
    key = _key(scenario, Purpose.EV)
    u1, u2 = chance.units(key, device, number=1), chance.units(key, device, number=2)
    z = chance.normals(key, device, number=3)
    telematics = routes == ROUTE_NAMES.index("ev_telematics_cloud")
    spec = make_spec(len(device))
    spec["device"] = device
    battery_wh = np.clip(evs.battery_mean_wh + evs.battery_sd_wh * z[:, 0], 20_000, 120_000)
    spec["battery_mj"] = (battery_wh / evs.charge_efficiency).astype(np.int64) * MJ_PER_WH
    for field, share in (
        ("stop_mj", evs.charge_to),
        ("taper_mj", evs.taper_from),
        ("target_mj", evs.target),
        ("floor_mj", 0.10),
    ):
        spec[field] = (spec["battery_mj"] * share).astype(np.int64)
    spec["charger_w"] = _pick(evs.charger_w, u1[:, 0])
    spec["taper_w"] = spec["charger_w"] // 2
    spec["pct_per_mj"] = 100.0 / spec["battery_mj"]
    spec["wh_per_mj"] = (1.0 + _meter_gain(scenario, device)) / MJ_PER_WH
    spec["read_every_ms"] = np.where(telematics, evs.telematics_report_every_ms, evs.report_every_ms)
    spec["read_at_ms"] = (u1[:, 1] * spec["read_every_ms"]).astype(np.int32)
    traits = (
        (ev.IGNORES_PAUSE, u1[:, 2] < evs.ignores_pause_share),
        (ev.SLEEPS_AFTER_PAUSE, u1[:, 3] < evs.sleeps_after_pause_share),
        (ev.KEEPS_DEFAULT_SCHEDULE, u2[:, 0] < evs.keeps_default_schedule_share),
        (ev.TELLS_SOC, telematics),
    )
    for trait, holds in traits:
        spec["traits"] |= np.where(holds, trait, 0).astype(np.uint8)
    return spec


def _pick(mix: tuple[tuple[int, float], ...], u: F64) -> I64:
    """Draw from (value, share) pairs."""
    edges = np.cumsum([share for _, share in mix])
    values = np.array([value for value, _ in mix], dtype=np.int64)
    return np.asarray(values[np.searchsorted(edges[:-1], u, side="right")])


def _meter_gain(scenario: Scenario, device: I64) -> F64:
    """Gain error of each asset meter: its own, drawn once, plus its maker's."""
    meter = scenario.evs.meter
    key = _key(scenario, Purpose.ASSET_METER)
    own = chance.normals(key, device)[:, 0]
    maker = (chance.units(key, device, number=1)[:, 0] * meter.makers).astype(np.int64)
    bias = chance.normals(key, np.arange(meter.makers, dtype=np.int64), number=2)[:, 0]
    return np.asarray(meter.gain_sd * own + meter.maker_bias_sd * bias[maker])


def _make_drivers(scenario: Scenario, device: I64) -> Drivers:
    evs = scenario.evs
    key = _key(scenario, Purpose.DRIVER)
    z, u = chance.normals(key, device), chance.units(key, device, number=1)
    miles = evs.annual_miles_median * np.exp(evs.annual_miles_log_sd * z[:, 0])
    return Drivers(
        device=device,
        daily_drive_wh=miles / 365 / max(evs.drive_day_share, 1e-9) * evs.wh_per_mile / evs.charge_efficiency,
        leave_hour=evs.leave_hour + evs.leave_sd_hours * z[:, 1],
        plug_in_half=evs.plug_in_half + 0.10 * (u[:, 0] - 0.5),
        always_plugs=(u[:, 1] < evs.plug_in_always_share).astype(np.int8),
    )


def _services(scenario: Scenario, homes: HomeTable, cars_home: I32) -> I8:
    """One service per car.

    DFS needs a half-hourly boundary meter (unless it is metered at assets); the BM takes every car's
    asset meter.
    """
    markets = scenario.markets
    u = chance.units(_key(scenario, Purpose.ADDRESS), cars_home.astype(np.int64), number=1)[:, 0]
    dfs = u < markets.dfs.share
    balancing = ~dfs & (u < markets.dfs.share + markets.balancing.share)
    hh_metered = homes.status[cars_home] != NOT_SMART
    dfs &= hh_metered | (markets.dfs.metering == "asset")
    return np.where(dfs, Service.DFS, np.where(balancing, Service.BALANCING, Service.NONE)).astype(np.int8)


def _make_plant(comms: Comms, seed: int, device: I64, cars_home: I32, routes: I8, homes: HomeTable) -> Plant:
    u = chance.units(chance.stream(seed, Purpose.ROUTE_PLACE), device, number=1)
    vendors = np.array([route.vendors for route in routes_of(comms)])
    return Plant(
        device=device,
        home=cars_home,
        route=routes,
        vendor=(u[:, 0] * vendors[routes]).astype(np.int8),
        isp=(u[:, 1] * comms.isps).astype(np.int8),
        mobile_operator=(u[:, 2] * comms.mobile_operators).astype(np.int8),
        region=homes.gsp_group[cars_home],
    )


def _register(
    scenario: Scenario, homes: HomeTable, cars_home: I32, spec: np.ndarray[Any, Any], service: I8, routes: I8
) -> AssetRegistration:
    evs = scenario.evs
    tells = (spec["traits"] & ev.TELLS_SOC) > 0
    battery_wh = (spec["battery_mj"] // MJ_PER_WH).astype(np.int32)
    ids = np.array([GSP_GROUPS[name][0] for name in homes.group_names])
    n = len(cars_home)
    return AssetRegistration(
        home=cars_home,
        mpan=mpan_of(ids[homes.gsp_group[cars_home]], cars_home.astype(np.int64) * 97 + 1_000_000_000),
        unit=homes.gsp_group[cars_home].astype(np.int16),
        gsp=homes.gsp[cars_home],
        route=routes,
        service=service,
        rating_w=spec["charger_w"].astype(np.int32),
        battery_wh=np.where(tells, battery_wh, UNKNOWN).astype(np.int32),
        target_pct=np.full(n, round(evs.target * 100), np.int8),
        ready_by_minute=np.full(n, evs.ready_by % 1440, np.int16),
        report_every_s=(spec["read_every_ms"] // 1000).astype(np.int32),
        soc_known=tells.astype(np.int8),
        hh_metered=(homes.status[cars_home] != NOT_SMART).astype(np.int8),
        technology=np.full(n, Technology.EV, np.int8),
        unit_names=homes.group_names,
        gsp_names=homes.gsp_names,
        route_names=ROUTE_NAMES,
    )
