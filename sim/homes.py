"""Where homes are, how they are metered and settled, how much they use.

Every property is a keyed draw of the home's own number: adding homes or properties moves no other home.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.messages import I8, I16
from sim import chance
from sim.chance import Purpose
from sim.network_tree import Feeders, feeders_of
from sim.scenario import Homes

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


LEAST_BASE_LOAD = 0.25
"""What stays of a home's base load at any hour, whatever goods are taken out of it: assumed."""


@dataclass(frozen=True, slots=True, eq=False)
class LivedGoods:
    """White goods and fridges that are devices, and so are no longer base load."""

    whole_wh: F64  # (homes,) annual base load with them
    owned: I8  # (homes,) which of them a home has, as bits; 0: none
    goods_wh: F64  # (weekday and weekend, combinations of bits, 48) expected in each half-hour


@dataclass(frozen=True, slots=True, eq=False)
class HomeTable:
    """One row per home, in the order of their numbers."""

    gsp_group: I8  # place in `group_names`
    gsp: I16  # place in `gsp_names`
    status: I8  # NOT_SMART, HH_METERED, HH_SETTLED
    communicating: I8  # its smart meter talks
    annual_wh: F64  # base load without any device
    boundary_gain: F64  # what the meter registers of a true Wh
    feeders: Feeders  # between the home and its GSP
    group_names: tuple[str, ...]
    gsp_names: tuple[str, ...]
    lived_goods: LivedGoods | None = None

    def __len__(self) -> int:
        return len(self.gsp)


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
        feeders=feeders_of(homes.network, gsp, homes.gsps_per_group, tuple(names), number, seed),
        group_names=tuple(names),
        gsp_names=gsp_names,
    )


def has_access_device(homes: Homes, table: HomeTable, seed: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Homes whose smart meter is read live through a consumer access device, shape (homes,)."""
    number = np.arange(len(table), dtype=np.int64)
    u = chance.units(chance.stream(seed, Purpose.ACCESS_DEVICE), number)
    return np.asarray((table.status != NOT_SMART) & (u[:, 0] < homes.boundary_reads.share))


def _group_shares(homes: Homes) -> tuple[list[str], F64]:
    weights = homes.gsp_groups or {name: millions for name, (_, millions) in GSP_GROUPS.items()}
    names = sorted(weights)
    share = np.array([weights[name] for name in names], dtype=np.float64)
    return names, np.asarray(share / share.sum())
