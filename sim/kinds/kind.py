"""The seam between one kind of device and the world: how its rows are drawn, and what each day brings them.

The physics is `devices/<kind>.py`'s; what the owners have and do is `sim/kinds/<kind>.py`'s. The world knows
kinds by this contract alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from protocol.messages import I8, I32, I64, Technology

F64 = np.ndarray[Any, np.dtype[np.float64]]

HALF_HOUR_MS = 1_800_000


class KindNumber(IntEnum):
    """The upper bits of device numbers: as `Technology`, and further ones where that has several kinds."""

    EV = 0
    HEAT_PUMP = 1
    STORAGE_HEATER = 2
    RESISTIVE = 3
    HOT_WATER = 4
    BATTERY = 5
    PV = 6
    WASHING_MACHINE = 7
    FRIDGE = 8
    BUILDING = 9
    GENERATOR = 10
    WASHER_DRYER = 11
    TUMBLE_DRYER = 12
    DISHWASHER = 13


def device_number(kind: KindNumber, home: I32 | I64) -> I64:
    """Stable numbers of devices among those of all kinds, the entities of their draws; below 2**48."""
    return (int(kind) << 40) | home.astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Sky:
    """The weather from one planning moment to the next, by half-hour of UTC; shape (regions, half-hours).

    `first_ms` is the start of the first half-hour. Regions are GSP Groups, in the population's order.
    """

    first_ms: int
    outdoor_c: F64
    global_w_per_m2: F64  # on the horizontal
    diffuse_w_per_m2: F64  # on the horizontal
    direct_w_per_m2: F64  # on a surface that faces the sun
    mean_c: float = math.nan  # of the local day that the diary is of, where a kind asks for it: cars do


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The devices of one kind: rows in the order (read_every_ms, read_at_ms, device)."""

    home: I32  # place in the HomeTable
    spec: np.ndarray[Any, Any]  # SPEC of the kind's module
    state: np.ndarray[Any, Any]  # STATE of the kind's module, as the first history day begins
    rating_w: I32  # the most it can draw, or give where it only gives
    capacity_wh: I32  # what it can store; UNKNOWN where it stores nothing or nobody knows
    route: I8  # place in sim.scenario.ROUTE_NAMES; -1: nobody can reach it

    def among(self, wanted: np.ndarray[Any, np.dtype[np.bool_]]) -> Drawn:
        """The wanted rows alone, in the same order."""
        return Drawn(
            self.home[wanted],
            self.spec[wanted],
            self.state[wanted],
            self.rating_w[wanted],
            self.capacity_wh[wanted],
            self.route[wanted],
        )


class Kind(Protocol):
    """One kind of device of one scenario."""

    @property
    def name(self) -> str:
        """As tables call it."""

    @property
    def technology(self) -> Technology:
        """As it is enrolled."""

    @property
    def device(self) -> ModuleType:
        """The module of its physics."""

    def draw(self, start_ms: int) -> Drawn:
        """Who owns one, and of what make; a pure function of scenario and seed."""

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:
        """DIARY of every row from the planning moment of `day` to the next: keyed draws alone."""

    def shared_day(self, day: date, sky: Sky) -> Any:
        """What all rows share from the planning moment of `day` to the next: the module's `Today`.

        Without power cuts, which the world adds.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows of one kind, next to each other in the population: all can be reached, or none can."""

    kind: Kind
    drawn: Drawn
    first_row: int

    @property
    def rows(self) -> slice:
        """Where these rows lie among all."""
        return slice(self.first_row, self.first_row + len(self.drawn.home))
