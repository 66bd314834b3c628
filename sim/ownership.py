"""Who owns what: the shares asked for, and the company that devices keep.

A Gaussian copula ties cars to roofs, roofs to batteries and to heat: each home has one standard normal per
technology, in a chain that begins with the very draw that decides on its car, and owns what lies in the lower
tail of its share. Each normal by itself is standard, so that every share is met exactly in expectation,
whatever the correlations. One normal decides on heat: heat pumps lie in its lower tail, storage heaters in
its upper, panel heaters below those; the rest burns another fuel. Cylinders go by conditional shares: none
beside a heat pump, which has its own, and more often in homes heated by electricity.

A share that changes gives or takes what it names and moves nothing else, but for what excludes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from protocol.messages import I8, I32, I64
from sim import chance
from sim.chance import F64, Purpose
from sim.scenario import Scenario

Bools = np.ndarray[Any, np.dtype[np.bool_]]


class Heat(IntEnum):
    """What heats a home."""

    OTHER_FUEL = 0
    HEAT_PUMP = 1
    STORAGE_HEATERS = 2
    RESISTIVE = 3


_CHAIN, _CYLINDER, _GOODS, _BUSINESS = 0, 2, 3, 4
"""Numbers of draws within Purpose.OWNER; a normal takes one number for two."""


@dataclass(frozen=True, slots=True, eq=False)
class Ownership:
    """What each home has; shape (homes,)."""

    heat: I8  # Heat
    has: dict[str, Bools]  # by section of the scenario

    def numbers(self, section: str) -> I32:
        """The homes that have what a section of the scenario describes."""
        return np.flatnonzero(self.has[section]).astype(np.int32)


def make_ownership(scenario: Scenario) -> Ownership:
    """Who owns what, a keyed draw of the home's number alone."""
    number = np.arange(scenario.homes.count, dtype=np.int64)
    key = chance.stream(scenario.seed, Purpose.OWNER)
    car = chance.units(chance.stream(scenario.seed, Purpose.EV), number)[:, 0]
    roof, battery, warmth = _together(scenario, key, number, car)
    heat = _heat(scenario, warmth)
    goods = chance.units(key, number, number=_GOODS)
    fridge_and_site = chance.units(key, number, number=_BUSINESS)
    site = fridge_and_site[:, 1]
    return Ownership(
        heat=heat,
        has={
            "evs": car < scenario.evs.share,
            "heat_pumps": heat == Heat.HEAT_PUMP,
            "storage_heaters": heat == Heat.STORAGE_HEATERS,
            "resistive_heaters": heat == Heat.RESISTIVE,
            "hot_water": _cylinders(scenario, chance.units(key, number, number=_CYLINDER)[:, 0], heat),
            "batteries": battery < scenario.batteries.share,
            "pv": roof < scenario.pv.share,
            # Both in one home only where the shares leave no room for them in two.
            "washing_machines": goods[:, 0] < scenario.washing_machines.share,
            "washer_dryers": goods[:, 0] >= 1.0 - scenario.washer_dryers.share,
            "tumble_dryers": goods[:, 1] < scenario.tumble_dryers.share,
            "dishwashers": goods[:, 2] < scenario.dishwashers.share,
            "fridges": fridge_and_site[:, 0] < scenario.fridges.share,
            "businesses": site < scenario.businesses.share,
            "generators": site < scenario.generators.share,
        },
    )


def _together(scenario: Scenario, key: np.uint64, number: I64, car: F64) -> tuple[F64, F64, F64]:
    """Places of each home, evenly in (0, 1), for roof, battery and heat: low ones own."""
    tied = scenario.ownership
    own, more = chance.normals(key, number, number=_CHAIN), chance.normals(key, number, number=_CHAIN + 1)
    roof = _tie(tied.cars_and_roofs, ndtri(car), own[:, 0])
    battery = _tie(tied.roofs_and_batteries, roof, own[:, 1])
    warmth = _tie(tied.roofs_and_heat_pumps, roof, more[:, 0])
    return ndtr(roof), ndtr(battery), ndtr(warmth)


def _tie(correlation: float, to: F64, own: F64) -> F64:
    """Standard normals of so much correlation with others."""
    return np.asarray(correlation * to + (1.0 - correlation**2) ** 0.5 * own)


def _heat(scenario: Scenario, warmth: F64) -> I8:
    """One source of heat per home."""
    storage = 1.0 - scenario.storage_heaters.share
    panels = storage - scenario.resistive_heaters.share
    heat = np.where(warmth >= storage, Heat.STORAGE_HEATERS, np.where(warmth >= panels, Heat.RESISTIVE, 0))
    return np.where(warmth < scenario.heat_pumps.share, Heat.HEAT_PUMP, heat).astype(np.int8)


def _cylinders(scenario: Scenario, u: F64, heat: I8) -> Bools:
    """Who has an immersion cylinder; the share of all homes is the one asked for, wherever it can be."""
    share, pumps = scenario.hot_water.share, scenario.heat_pumps.share
    electric = scenario.storage_heaters.share + scenario.resistive_heaters.share
    others = max(1.0 - pumps - electric, 0.0)
    if electric == 0.0:
        with_electric = 0.0
    else:
        least = max(share - others, 0.0) / electric
        wanted = max(scenario.ownership.cylinder_with_electric_heat, least)
        with_electric = min(wanted, share / electric, 1.0)
    with_others = (share - with_electric * electric) / others if others > 0.0 else 0.0
    chance_of_one = np.array([with_others, 0.0, with_electric, with_electric])  # by Heat
    return np.asarray(u < chance_of_one[heat])
