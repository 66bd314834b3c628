"""Where homes are, how they are metered and settled, how much they use.

Every property that no file tells is a keyed draw of the home's own key: adding homes or properties moves no
other home. The key is the home's number, or for a home of a registry the core of its MPAN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.messages import I8, I16, I64
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

_MPAN_PRIMES = np.array([3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43])

NOT_SMART, HH_METERED, HH_SETTLED = 0, 1, 2
"""How a home is metered and settled.

No smart meter; half-hourly readings, but settled on a profile; settled on half-hourly readings.
"""


@dataclass(frozen=True, slots=True, eq=False)
class HomeTable:
    """One row per home, in the order of their numbers."""

    key: I64  # the entity of its draws, below 2**40
    mpan: I64
    own_id: tuple[str, ...] | None  # what a registry calls each; None: nobody does
    gsp_group: I8  # place in `group_names`
    gsp: I16  # place in `gsp_names`
    status: I8  # NOT_SMART, HH_METERED, HH_SETTLED
    communicating: I8  # its smart meter talks
    annual_wh: F64  # base load without the car
    boundary_gain: F64  # what the meter registers of a true Wh
    feeders: Feeders  # between the home and its GSP
    group_names: tuple[str, ...]
    gsp_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.gsp)


@dataclass(frozen=True, slots=True, eq=False)
class ToldHomes:
    """What a registry tells of its homes, in the order of its own names for them; shape (homes,)."""

    own_id: tuple[str, ...]
    mpan: I64
    group: tuple[str, ...]  # GSP Group
    gsp_in_group: I16  # -1: not told
    status: I8


def mpan_of(distributor: I64, number: I64) -> I64:
    """13-digit MPANs: distributor id, ten digits, check digit.

    Check digit: digits times the primes 3 to 43 without 11, summed, mod 11, mod 10 (REC, MPAN core).
    """
    core = distributor * 10**10 + number
    digits = np.stack([(core // 10 ** (11 - k)) % 10 for k in range(12)])
    check = (digits * _MPAN_PRIMES[:, None]).sum(axis=0) % 11 % 10
    return np.asarray(core * 10 + check, dtype=np.int64)


def make_homes(homes: Homes, seed: int, told: ToldHomes | None = None) -> HomeTable:
    """Where homes are, how they are metered, how much they use: as `told`, or drawn."""
    key = np.arange(homes.count, dtype=np.int64) if told is None else told.mpan // 10
    u = chance.units(chance.stream(seed, Purpose.ADDRESS), key)
    names, group = _groups(homes, u[:, 0]) if told is None else _told_groups(told)
    in_group = (u[:, 1] * homes.gsps_per_group).astype(np.int16)
    if told is not None:
        in_group = np.where(told.gsp_in_group >= 0, told.gsp_in_group, in_group)
    gsp = (group.astype(np.int16) * homes.gsps_per_group + in_group).astype(np.int16)
    status = _status(homes, u[:, 2], u[:, 3]) if told is None else told.status
    smart = status != NOT_SMART
    v = chance.units(chance.stream(seed, Purpose.HOME), key)
    z = chance.normals(chance.stream(seed, Purpose.HOME), key, number=1)
    gsp_names = tuple(f"{name}{k:02d}" for name in names for k in range(homes.gsps_per_group))
    ids = np.array([GSP_GROUPS[name][0] for name in names])
    return HomeTable(
        key=key,
        mpan=mpan_of(ids[group], key * 97 + 1_000_000_000) if told is None else told.mpan,
        own_id=None if told is None else told.own_id,
        gsp_group=group,
        gsp=gsp,
        status=status,
        communicating=(smart & (v[:, 0] >= homes.not_communicating_share)).astype(np.int8),
        annual_wh=homes.annual_median_wh * np.exp(homes.annual_log_sd * z[:, 0]),
        boundary_gain=1.0 + homes.meter_gain_sd * z[:, 1],
        feeders=feeders_of(homes.network, gsp, homes.gsps_per_group, tuple(names), key, seed),
        group_names=tuple(names),
        gsp_names=gsp_names,
    )


def _groups(homes: Homes, u: F64) -> tuple[list[str], I8]:
    """The GSP Groups of a scenario, and one for each draw."""
    names, share = _group_shares(homes)
    return names, np.searchsorted(np.cumsum(share)[:-1], u, side="right").astype(np.int8)


def _told_groups(told: ToldHomes) -> tuple[list[str], I8]:
    """The GSP Groups of a registry, and that of each home."""
    names, group = np.unique(np.array(told.group), return_inverse=True)
    return names.tolist(), group.astype(np.int8)


def _status(homes: Homes, u: F64, v: F64) -> I8:
    """How homes are metered and settled."""
    smart = u < homes.smart_share
    settled = v * homes.smart_share < homes.hh_settled_share
    return np.where(~smart, NOT_SMART, np.where(settled, HH_SETTLED, HH_METERED)).astype(np.int8)


def _group_shares(homes: Homes) -> tuple[list[str], F64]:
    weights = homes.gsp_groups or {name: millions for name, (_, millions) in GSP_GROUPS.items()}
    names = sorted(weights)
    share = np.array([weights[name] for name in names], dtype=np.float64)
    return names, np.asarray(share / share.sum())
