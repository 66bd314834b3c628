"""Who goes without warmth because of an event: rooms too cold, stores empty, taps cold.

Owns what people of each kind of heat feel. A room is felt while it is held. A store that was kept from its
charge is missed later: the core on the day after the night, the cylinder when somebody draws. People blame
whoever switched it, rightly or not: a tap that would have run cold anyway is complained of too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from devices import hot_water, resistive_heater, storage_heater
from devices.standing_order import NO_LIMIT_W
from protocol.messages import I32, I64, Technology
from sim.fleet import FleetState
from sim.scenario_people import Comfort

F64 = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

HOUR_MS = 3_600_000
BLAMED_MS = {Technology.STORAGE_HEATER: 24 * HOUR_MS, Technology.HOT_WATER: 4 * HOUR_MS}
"""For so long after a hold an empty store is its fault: a night feeds a day; a tank is hot again within two
hours, and whoever draws later than in four has had the time; assumed."""
HEATS = frozenset({Technology.HEAT_PUMP, Technology.RESISTIVE, *BLAMED_MS})
"""Whose warmth is followed."""


@dataclass(slots=True)
class Felt:
    """What people of one part remember, by row.

    `cold_ms` for how long they have gone without; `held_ms` when they were last kept from heating (0: never);
    `short_mj` the hot water missed so far.
    """

    cold_ms: I32
    held_ms: I64
    short_mj: F64

    @staticmethod
    def of(rows: int) -> Felt:
        """Nothing felt yet."""
        return Felt(np.zeros(rows, np.int32), np.zeros(rows, np.int64), np.zeros(rows))


def feel(
    technology: Technology, lives: FleetState, spec: Any, felt: Felt, comfort: Comfort, since_ms: int
) -> np.ndarray[Any, np.dtype[np.intp]]:
    """The rows whose people have had enough now; `since_ms` after they last felt."""
    rows, now_ms = lives.rows, lives.now_ms
    if technology is Technology.HEAT_PUMP:
        cold = too_cold(rows, spec, comfort.below_k, now_ms)
    elif technology is Technology.RESISTIVE:
        cold = too_cold_directly(rows, spec, lives.diary, comfort.below_k, now_ms)
    else:
        store = storage_heater if technology is Technology.STORAGE_HEATER else hot_water
        felt.held_ms[rows["marks"] & store.HELD > 0] = now_ms
        blamed = (felt.held_ms > 0) & (now_ms - felt.held_ms < BLAMED_MS[technology])
        if technology is Technology.HOT_WATER:
            return np.flatnonzero(blamed & runs_cold(rows, felt))
        cold = blamed & gives_no_heat(rows, spec)
    felt.cold_ms[:] = np.where(cold, felt.cold_ms + since_ms, 0)
    return np.flatnonzero(felt.cold_ms > comfort.after_ms)


def too_cold(rows: Any, spec: Any, below_k: float, now_ms: int) -> Flags:
    """Whose room is so far below comfort, or below where it was when held, while its heat pump is held."""
    held = rows["limit_w"] != NO_LIMIT_W
    for_s = (now_ms - rows["anchor_ms"]) / 1000.0
    air_c = rows["air_c"].astype(np.float64) + rows["trend_c_per_s"] * for_s
    from_c = np.minimum(spec["comfort_c"], rows["held_from_c"]).astype(np.float64)
    return np.asarray(held & (air_c < from_c - below_k))


def too_cold_directly(rows: Any, spec: Any, diary: Any, below_k: float, now_ms: int) -> Flags:
    """Whose room is so far below what the schedule wants while its panel heaters are held.

    As of its last event, half an hour ago at most.
    """
    held = rows["marks"] & resistive_heater.HELD > 0
    warm = (diary["warm_from_ms"] <= now_ms) & (now_ms < diary["warm_until_ms"])
    wanted_c = np.where(warm.any(axis=1), spec["warm_c"], spec["setback_c"])
    return np.asarray(held & (rows["room_c"] < wanted_c - below_k))


def gives_no_heat(rows: Any, spec: Any) -> Flags:
    """Whose damper is open on a core below its comfort floor."""
    floor_mj = rows["target_mj"] * spec["floor_pct"].astype(np.int64) // 100
    wants = rows["marks"] & storage_heater.OPEN > 0
    return np.asarray(wants & (rows["core_mj"] <= floor_mj))


def runs_cold(rows: Any, felt: Felt) -> Flags:
    """Whose tap has run cold since they last looked."""
    more = rows["short_mj"] > felt.short_mj
    felt.short_mj[:] = rows["short_mj"]
    return np.asarray(more)
