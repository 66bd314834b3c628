"""Kinds of device as a registry tells of them. Owns which figures of a device grow with its rating or store.

A rating that is told scales what goes with it: the house grows with its heat pump, the core with its heaters.
A store that is told scales the store alone. Everything else of a device stays as it was drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np

from devices.ev import TELLS_SOC
from devices.hot_water import TAP_C
from protocol.messages import I32, UNKNOWN, Technology
from sim.fleet import MJ_PER_WH
from sim.kinds.kind import F64, Drawn, Kind, Sky
from sim.kinds.pv import Roofs
from sim.registered import SLOT_BIT, WHITE_GOODS, Told
from sim.scenario import ROUTE_NAMES, Scenario

Records = np.ndarray[Any, Any]

REACHED_BY: Mapping[str, str] = MappingProxyType({
    "storage_heaters": "smart_share",
    "resistive_heaters": "smart_share",
    "hot_water": "smart_share",
    "pv": "reachable_share",
    "fridges": "plug_share",
    "washing_machines": "reached_share",
    "washer_dryers": "reached_share",
    "tumble_dryers": "reached_share",
    "dishwashers": "reached_share",
})  # fmt: skip
"""The share of a section's devices that can be reached: all or none where a registry tells their routes."""


class RegisteredKind:
    """A kind whose owners, sizes and routes a registry tells: `sim.kinds.kind.Kind`."""

    def __init__(self, kind: Kind, section: str, told: Told, scenario: Scenario) -> None:
        """`kind` has the homes of `told` as its owners."""
        self._kind, self._section, self._told, self._scenario = kind, section, told, scenario
        self.name: str = kind.name
        self.technology: Technology = kind.technology
        self.device: ModuleType = kind.device

    def draw(self, start_ms: int) -> Drawn:
        """As the kind draws it, made what the registry says."""
        return as_told(self._kind.draw(start_ms), self._section, self._told, self._scenario)

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> Records:
        """As the kind's."""
        return self._kind.diary(drawn, day, sky)

    def shared_day(self, day: date, sky: Sky) -> Any:
        """As the kind's."""
        return self._kind.shared_day(day, sky)


class RegisteredRoofs(Roofs):
    """All roofs of a registry, for the batteries that live on what they give."""

    def __init__(self, roofs: Roofs, told: Told, scenario: Scenario) -> None:
        super().__init__(roofs.settings, roofs.homes, told.home, scenario.seed)
        self._told, self._scenario = told, scenario

    def among(self, numbers: I32) -> RegisteredRoofs:
        """The same roofs, of these homes alone."""
        return RegisteredRoofs(self, self._told.among(np.isin(self._told.home, numbers)), self._scenario)

    def draw(self, start_ms: int) -> Drawn:
        """Who has which roof."""
        return as_told(super().draw(start_ms), "pv", self._told, self._scenario)


def as_told(drawn: Drawn, section: str, told: Told, scenario: Scenario) -> Drawn:
    """Drawn rows made what is told of them, in the order in which they then report."""
    by_home = np.argsort(drawn.home, kind="stable")
    spec, state = drawn.spec[by_home], drawn.state[by_home]
    spec["device"] |= told.slot << SLOT_BIT
    size(section, spec, state, told.rating_w, told.capacity_wh, scenario)
    if section == "evs":
        reach_cars(spec, told.route, scenario)
    store_wh = told_store_wh(section, drawn.capacity_wh[by_home], spec, told.capacity_wh)
    order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
    return Drawn(
        told.home[order], spec[order], state[order], told.rating_w[order], store_wh[order], told.route[order]
    )


@dataclass(frozen=True, slots=True)
class Sizes:
    """What grows with the rating, and with the store; `rating_w` and `store_wh` give those as drawn."""

    rating_w: Callable[[Records], Any]
    with_rating: tuple[str, ...]
    store_wh: Callable[[Records, Scenario], Any] | None = None
    with_store: tuple[str, ...] = ()
    against_store: tuple[str, ...] = ()
    state_with_store: tuple[str, ...] = ()


SIZES: Mapping[str, Sizes] = MappingProxyType({
    "evs": Sizes(
        lambda spec: spec["charger_w"], ("charger_w", "taper_w"),
        lambda spec, scenario: spec["battery_mj"] * scenario.evs.charge_efficiency / MJ_PER_WH,
        ("battery_mj", "stop_mj", "taper_mj", "target_mj", "floor_mj"), ("pct_per_mj",), ("charge_mj",),
    ),
    "heat_pumps": Sizes(
        lambda spec: spec["max_w"],
        (
            "max_w", "floor_w", "air_j_per_k", "fabric_j_per_k", "between_w_per_k", "air_loss_w_per_k",
            "fabric_loss_w_per_k", "gain_w", "window_m2", "emitter_w_per_k",
        ),
    ),
    "storage_heaters": Sizes(
        lambda spec: spec["rating_w"], ("rating_w", "unit_w", "capacity_mj", "band_mj"),
        lambda spec, _: spec["capacity_mj"] / MJ_PER_WH, ("capacity_mj", "band_mj"),
    ),
    "resistive_heaters": Sizes(
        lambda spec: spec["rating_w"], ("rating_w", "loss_w_per_k", "mj_per_k", "gains_w")
    ),
    "hot_water": Sizes(
        lambda spec: spec["rating_w"], ("rating_w",),
        lambda spec, _: spec["mj_per_k"] * (spec["set_c"] - TAP_C) / MJ_PER_WH, ("mj_per_k",),
        ("loss_per_ms",),
    ),
    "batteries": Sizes(
        lambda spec: spec["discharge_w"], ("discharge_w",),
        lambda spec, _: spec["capacity_mj"] / MJ_PER_WH, ("capacity_mj", "reserve_mj", "day_limit_mj"), (),
        ("charge_mj",),
    ),
    "pv": Sizes(lambda spec: spec["peak_w"], ("peak_w",)),
    **dict.fromkeys(
        WHITE_GOODS,
        Sizes(lambda spec: spec["rating_w"], ("rating_w", "cycle_wh")),
    ),
    "fridges": Sizes(lambda spec: spec["compressor_w"], ("compressor_w",)),
    "businesses": Sizes(lambda spec: spec["peak_w"] * 1.5, ("peak_w", "hvac_w")),
    "generators": Sizes(
        lambda spec: spec["rating_w"], ("rating_w", "least_w", "tank_mj"),
        lambda spec, _: spec["tank_mj"] / MJ_PER_WH, ("tank_mj",), (), ("fuel_mj",),
    ),
})  # fmt: skip
"""By section of the scenario. A heat pump's rating is its electric one."""


def size(
    section: str, spec: Records, state: Records, rating_w: I32, store_wh: I32, scenario: Scenario
) -> None:
    """Make records as large as told; a store that is UNKNOWN stays as drawn."""
    sizes = SIZES[section]
    if section in WHITE_GOODS:  # the programme's powers are rounded down: none is to be above the rating
        power = spec["power_permille"] * (rating_w / (sizes.rating_w(spec) + 1))
        spec["power_permille"] = np.floor(power)
    _scale(spec, sizes.with_rating, rating_w / np.maximum(sizes.rating_w(spec), 1))
    if section == "generators":
        state["fuel_mj"] = spec["tank_mj"]
    if section == "batteries":
        spec["charge_w"] = np.maximum(rating_w - spec["standby_w"], 1)
    if section == "pv":
        spec["inverter_w"] = rating_w
    if sizes.store_wh is not None:
        drawn_wh = np.maximum(sizes.store_wh(spec, scenario), 1e-9)
        factor = np.where(store_wh > 0, store_wh / drawn_wh, 1.0)
        _scale(spec, sizes.with_store, factor)
        _scale(spec, sizes.against_store, 1.0 / factor)
        _scale(state, sizes.state_with_store, factor)


def _scale(records: Records, fields: tuple[str, ...], factor: F64) -> None:
    for field in fields:
        scaled = records[field] * factor
        records[field] = np.rint(scaled) if records[field].dtype.kind in "iu" else scaled


def reach_cars(spec: Records, route: Any, scenario: Scenario) -> None:
    """Cars report as their routes do: through their own cloud seldom, but with what is in the battery."""
    evs = scenario.evs
    telematics = route == ROUTE_NAMES.index("ev_telematics_cloud")
    phase = spec["read_at_ms"] / spec["read_every_ms"]
    spec["read_every_ms"] = np.where(telematics, evs.telematics_report_every_ms, evs.report_every_ms)
    spec["read_at_ms"] = (phase * spec["read_every_ms"]).astype(np.int32)
    spec["traits"] = np.where(telematics, spec["traits"] | TELLS_SOC, spec["traits"] & ~np.uint8(TELLS_SOC))


def told_store_wh(section: str, drawn_wh: I32, spec: Records, store_wh: I32) -> I32:
    """What is known of each row's store [Wh]: what was told, where such a device has one and tells of it."""
    if section == "evs":
        tells = (spec["traits"] & TELLS_SOC) > 0
        return np.where(tells, spec["battery_mj"] // MJ_PER_WH, UNKNOWN).astype(np.int32)
    if SIZES[section].store_wh is None:
        return drawn_wh
    return np.where(store_wh > 0, store_wh, drawn_wh).astype(np.int32)
