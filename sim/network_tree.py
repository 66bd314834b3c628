"""The network between a home and its GSP, and the zones in which it is short of room.

GSP Group, GSP, primary substation, high-voltage feeder, low-voltage feeder: each home's place is a keyed draw
of its own number, evenly among the feeders there are. A constraint-management zone (CMZ) is a set of
primaries under neighbouring GSPs of one group. Real trees are uneven, and their sizes differ by licence area:
the sizes here are parameters, and guesses where they say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.messages import I16, I32, I64
from sim import chance
from sim.chance import Purpose
from sim.scenario import NetworkTree

NO_ZONE = -1

_BELOW_GSP, _ZONES = 2, 3
"""Numbers of draws within Purpose.ADDRESS; 0 is of GSP and meter, 1 of the service."""


@dataclass(frozen=True, slots=True, eq=False)
class Feeders:
    """Where each home hangs below its GSP; a place counts through all GSPs, shape (homes,)."""

    primary: I32
    hv_feeder: I32
    lv_feeder: I32
    zone: I16  # place in `zone_names`; NO_ZONE where there is room enough
    zone_names: tuple[str, ...]


def feeders_of(
    sizes: NetworkTree, gsp: I16, gsps_per_group: int, group_names: tuple[str, ...], number: I64, seed: int
) -> Feeders:
    """The feeders of the homes `number`, whose GSPs have the places `gsp`."""
    key = chance.stream(seed, Purpose.ADDRESS)
    u = chance.units(key, number, number=_BELOW_GSP)
    primary = _child(gsp.astype(np.int32), sizes.primaries_per_gsp, u[:, 0])
    hv_feeder = _child(primary, sizes.hv_feeders_per_primary, u[:, 1])
    zone = zone_of_primaries(sizes, [ord(name[-1]) for name in group_names], gsps_per_group, seed)
    names = tuple(f"{group}/cmz{k:02d}" for group in group_names for k in range(sizes.zones_per_group))
    return Feeders(
        primary, hv_feeder, _child(hv_feeder, sizes.lv_feeders_per_hv_feeder, u[:, 2]), zone[primary], names
    )


def zone_of_primaries(sizes: NetworkTree, groups: Sequence[int], gsps_per_group: int, seed: int) -> I16:
    """The zone of every primary, NO_ZONE for most; neighbouring GSPs share a zone.

    `groups` are numbers by which the groups' draws are keyed, so that one more group moves no other's zones.
    """
    of_a_group = gsps_per_group * sizes.primaries_per_gsp
    primary = np.arange(len(groups) * of_a_group, dtype=np.int64)
    key = chance.stream(seed, Purpose.ADDRESS)
    entity = np.repeat(np.array(groups, np.int64), of_a_group) * of_a_group + primary % of_a_group
    short_of_room = chance.units(key, entity, number=_ZONES)[:, 0] < sizes.zone_share
    group, gsp_in_group = np.divmod(primary // sizes.primaries_per_gsp, gsps_per_group)
    zone = group * sizes.zones_per_group + gsp_in_group * sizes.zones_per_group // gsps_per_group
    return np.where(short_of_room, zone, NO_ZONE).astype(np.int16)


def _child(parent: I32, children: int, u: np.ndarray[Any, np.dtype[np.float64]]) -> I32:
    """One of each parent's children, counted through all parents."""
    return np.asarray(parent * children + (u * children).astype(np.int32), dtype=np.int32)
