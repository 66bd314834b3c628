"""The only home of chance: counter-based draws, keyed by (seed, purpose) and (entity, moment, number).

A draw is a pure function of what it is for, so that adding a device, a cause or a market moves no other
draw, and two arms of a comparison differ only in what the change caused. Generator: Philox4x32-10 of
Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11; known answers of Random123 in
`tests/sim/test_chance.py`.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit

from protocol.messages import I64

F64 = np.ndarray[Any, np.dtype[np.float64]]

U32 = np.uint64(0xFFFFFFFF)
_S32 = np.uint64(32)
_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_TO_UNIT = 1.0 / 4294967296.0


class Purpose(IntEnum):
    """What a draw is for; each its own stream."""

    HOME = 1
    ADDRESS = 2
    BASE_DAY = 3
    BASE_HALF_HOUR = 4
    EV = 5
    DRIVER = 6
    DIARY = 7
    SESSION = 8
    ASSET_METER = 9
    BOUNDARY_METER = 10
    METER_GAP = 11
    ROUTE_PLACE = 12
    CARRY_DOWN = 13
    CARRY_UP = 14
    DEVICE_OUTAGE = 15
    RECONNECT = 16
    CLOUD_OUTAGE = 17
    MARKET_FAULT = 18
    MARKET_MAIL = 19
    WEATHER = 20
    PRICE = 21
    SYSTEM_NEED = 22
    STORM = 23
    OWNER = 24
    HOUSE = 25
    HEAT_PUMP = 26
    HEAT_DAY = 27
    STORAGE_HEATER = 28
    TELESWITCH = 29
    HOT_WATER = 30
    HOT_WATER_DAY = 31
    BATTERY = 32
    PV = 33
    SKY = 34
    APPLIANCE = 35
    APPLIANCE_DAY = 36
    BUSINESS = 37
    BUSINESS_DAY = 38
    OPT_IN = 39
    HEAD_END = 40
    LIFE = 41
    KETTLE = 42
    RESISTIVE = 43
    BURST = 60
    DEVICE_CLOCK = 61
    ACCESS_DEVICE = 70
    BOUNDARY_READ = 71
    CHURN = 80
    FIRMWARE = 81
    BY_HAND = 90
    ANSWER = 91
    ACT = 92
    COMPLAINT = 93
    CONSENT = 94
    WHOLESALE = 97
    LATE_METER = 98
    POWER_BACK = 99


@njit(cache=True, inline="always")
def philox(key0: Any, key1: Any, c0: Any, c1: Any, c2: Any, c3: Any) -> Any:
    """Ten rounds of Philox4x32: four 32-bit words (as uint64) of a 64-bit key and a 128-bit counter."""
    for _ in range(10):
        product0 = _M0 * c0
        product1 = _M1 * c2
        c0, c1, c2, c3 = (
            ((product1 >> _S32) ^ c1 ^ key0) & U32,
            product1 & U32,
            ((product0 >> _S32) ^ c3 ^ key1) & U32,
            product0 & U32,
        )
        key0 = (key0 + _W0) & U32
        key1 = (key1 + _W1) & U32
    return c0, c1, c2, c3


def stream(seed: int, purpose: Purpose) -> np.uint64:
    """The 64-bit key of one stream of chance [SplitMix64 of seed and purpose]."""
    mask = 2**64 - 1
    mixed = (seed + (int(purpose) + 1) * 0x9E3779B97F4A7C15) & mask
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & mask
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
    return np.uint64(mixed ^ (mixed >> 31))


@njit(cache=True, inline="always")
def words(key: Any, entity: Any, moment: Any, number: Any) -> Any:
    """Four 32-bit words for an entity at a moment: `entity` and `moment` any int64 >= 0, `number` < 2**16.

    The counter holds 48 bits of entity, 64 of moment and 16 of number.
    """
    e = np.uint64(entity)
    m = np.uint64(moment)
    high = ((e >> _S32) & np.uint64(0xFFFF)) | (np.uint64(number) << np.uint64(16))
    return philox(key & U32, key >> _S32, e & U32, m & U32, m >> _S32, high)


@njit(cache=True, inline="always")
def unit(word: Any) -> Any:
    """A 32-bit word as a number in [0, 1), never 0: the middle of its cell."""
    return (float(word) + 0.5) * _TO_UNIT


@njit(cache=True, inline="always")
def normal(word_a: Any, word_b: Any) -> Any:
    """One standard normal of two words (Box-Muller)."""
    return math.sqrt(-2.0 * math.log(unit(word_a))) * math.cos(2.0 * math.pi * unit(word_b))


@njit(cache=True)
def fill_units(key: Any, entities: Any, moment: Any, number: Any, out: Any) -> None:
    """Four uniform numbers in (0, 1) for every entity: `out` has shape (entities, 4)."""
    for i in range(entities.shape[0]):
        a, b, c, d = words(key, entities[i], moment, number)
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = unit(a), unit(b), unit(c), unit(d)


def units(key: np.uint64, entities: I64, moment: int = 0, number: int = 0) -> F64:
    """Uniform numbers in (0, 1), shape (entities, 4), for int64 `entities`."""
    out = np.empty((len(entities), 4))
    fill_units(key, np.asarray(entities, dtype=np.int64), moment, number, out)
    return out


def normals(key: np.uint64, entities: I64, moment: int = 0, number: int = 0) -> F64:
    """Standard normals, shape (entities, 2), for int64 `entities`."""
    u = units(key, entities, moment, number)
    radius = np.sqrt(-2.0 * np.log(u[:, ::2]))
    return np.asarray(radius * np.cos(2.0 * np.pi * u[:, 1::2]))


def pick(mix: tuple[tuple[int, float], ...], u: F64) -> I64:
    """One of the (value, share) pairs for each uniform number."""
    edges = np.cumsum([share for _, share in mix])
    values = np.array([value for value, _ in mix], dtype=np.int64)
    return np.asarray(values[np.searchsorted(edges[:-1], u, side="right")])
