"""Base load at second scale: kettles, showers, ovens, hobs and fridges that add up to given half-hours.

A home's half-hourly energy stays what `sim.households.BaseLoad` says; this module says when within the
half-hour it was drawn, so that a boundary meter read every 10-20 s has its true noise. Per home and
half-hour: a standing power, a fridge that cycles on its own clock, appliances drawn for the hour of the day
while they fit, and lights and screens for exactly what is left. An appliance that starts late runs on into
the next half-hour if that has room for it; else its end is put at the half-hour's beginning, so that over
many homes no moment of a half-hour is favoured (within 2 %). What rounding to whole milliseconds leaves over
(below 0.01 Wh) goes into the next half-hour.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numba import njit

from protocol import periods
from protocol.messages import I16, I32, I64
from protocol.periods import clock_half_hours
from sim import chance
from sim.chance import Purpose

MJ_PER_WH = 3_600_000
HALF_HOUR_MS = 1_800_000

APPLIANCES = ("kettle", "microwave", "electric shower", "oven", "hob", "hair dryer, toaster, iron")
_POWER_W = np.array(
    [[2000, 3000], [1000, 1300], [7000, 10_500], [2000, 2500], [1200, 2000], [900, 2000]], np.int64
)
"""Least and most power [W]: kettle 2-3 kW, shower 7-10.5 kW; the rest from rating plates [mem]."""
_LENGTH_S = np.array([[120, 240], [120, 420], [240, 540], [1200, 2400], [600, 1800], [60, 420]], np.int64)
"""Shortest and longest use [s]: kettle 2-4 min; the rest assumed."""
_CYCLE_S = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [480, 60, 120], [120, 20, 40], [0, 0, 0]], np.int64)
"""Heating up, then on and off in turn [s]; 0: on all the time. Assumed."""
_WEIGHTS = np.array([
    # 00-05  06-08  09-11  12-13  14-16  17-19  20-23
    [1, 6, 6, 5, 5, 5, 5],
    [0, 1, 1, 3, 1, 3, 2],
    [1, 4, 2, 0, 0, 1, 2],
    [0, 0, 1, 1, 1, 4, 1],
    [0, 2, 1, 3, 1, 6, 1],
    [1, 3, 2, 1, 1, 1, 1],
], np.float64)  # fmt: skip
"""How often each is used, by part of the day: assumed. The energy of each half-hour is given in any case."""
_PART_OF_DAY = np.array([0] * 6 + [1] * 3 + [2] * 3 + [3] * 2 + [4] * 3 + [5] * 3 + [6] * 4, np.int64)
SHOWER_SHARE = 0.45
"""Homes with an electric shower [mem]."""
_SHOWER = 2
_NOTHING = 24.0
"""Weight of using nothing in an ordinary half-hour: makes some six kettles a day; assumed."""
_TRIES = 12
"""Appliances tried, each used once at most, where the half-hour needs more than lights: assumed."""
_LIGHTS_W = (60, 700)
"""Power of a block of lights and screens; more where the half-hour needs it. Assumed."""
_HEATER_W = (800, 3000)
"""Power of what else is on where lights and screens cannot use what is left: assumed."""
_STANDING_W = (25, 90)
_FRIDGE_W, _FRIDGE_ON_S, _FRIDGE_OFF_S = (80, 190), (900, 1500), (2640, 5256)
"""CREST: 22 min on, at least 44 min off, 190 W at most; as `sim.kinds.fridges`."""
_MOST_SEGMENTS = 256
_MOST_PER_PERIOD = 320
_MOST_CHANGES = 2**15
_HOMES_AT_ONCE = 4096
"""Changes of power told of one half-hour at most; tries end before."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Changes of power, by (home, time); every home begins and ends its day at 0 W."""

    home: I64
    at_ms: I64  # UTC
    change_w: I32


def moments(homes: I64, day_wh: I16, day: date, seed: int, fridge: Any = None) -> Moments:
    """When within each settlement period of `day` each home drew what it drew.

    `day_wh` (homes, periods) [whole Wh]. `fridge` (homes): whether that holds a fridge; it does not where
    the home's fridge is a device (None: all do). The energy of each period is the given one within 1 Wh, of
    the day within 1 Wh. Keyed by (home, day): other homes change nothing. Costs about 0.1 ms and 580
    changes per home-day.
    """
    homes = np.ascontiguousarray(homes, np.int64)
    day_wh = np.ascontiguousarray(day_wh, np.int16)
    fridge = np.ones(len(homes), np.bool_) if fridge is None else np.ascontiguousarray(fridge, np.bool_)
    count, most = day_wh.shape[0], day_wh.shape[1] * _MOST_PER_PERIOD
    parts = [
        _live(
            homes[low : low + _HOMES_AT_ONCE],
            day_wh[low : low + _HOMES_AT_ONCE],
            fridge[low : low + _HOMES_AT_ONCE],
            _PART_OF_DAY[clock_half_hours(day) // 2],
            periods.day_start_ms(day),
            day.toordinal(),
            chance.stream(seed, Purpose.KETTLE),
            most,
        )
        for low in range(0, count, _HOMES_AT_ONCE)
    ]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else []
    if not columns:
        return Moments(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32))
    return Moments(columns[0], columns[1], columns[2].astype(np.int32))


def power_w(told: Moments, home: int, start_ms: int, every_ms: int, count: int) -> I64:
    """Power of one home at `count` moments from `start_ms` on [W]."""
    low, high = np.searchsorted(told.home, [home, home + 1])
    levels = np.concatenate([[0], np.cumsum(told.change_w[low:high], dtype=np.int64)])
    asked = start_ms + every_ms * np.arange(count)
    return np.asarray(levels[np.searchsorted(told.at_ms[low:high], asked, side="right")])


@njit(cache=True, inline="always")
def _between(bounds: Any, u: Any) -> Any:
    return bounds[0] + int((bounds[1] - bounds[0] + 1) * u)


@njit(cache=True)
def _put(times: Any, changes: Any, n: Any, begin_ms: Any, end_ms: Any, watts: Any) -> Any:
    """Tell that something runs from `begin_ms` to `end_ms`; gives the number of changes told."""
    if begin_ms < end_ms and watts > 0:
        times[n], changes[n] = begin_ms, watts
        times[n + 1], changes[n + 1] = end_ms, -watts
        n += 2
    return n


@njit(cache=True)
def _use(kind: Any, length_ms: Any, begins: Any, ends: Any) -> int:
    """When an appliance is on during a use, from 0 [ms]; gives the number of spells."""
    heat_ms = _CYCLE_S[kind, 0] * 1000
    if heat_ms == 0 or heat_ms >= length_ms:
        begins[0], ends[0] = 0, length_ms
        return 1
    begins[0], ends[0] = 0, heat_ms
    n = 1
    at_ms = heat_ms + _CYCLE_S[kind, 2] * 1000
    while at_ms < length_ms and n < begins.shape[0]:
        begins[n], ends[n] = at_ms, min(at_ms + _CYCLE_S[kind, 1] * 1000, length_ms)
        at_ms = ends[n] + _CYCLE_S[kind, 2] * 1000
        n += 1
    return n


@njit(cache=True, nogil=True)
def _live(
    homes: Any, day_wh: Any, fridge: Any, parts: Any, start_ms: Any, day: Any, key: Any, most: Any
) -> tuple[I64, I64, I64]:
    """The changes of power of all homes' day: (home, at_ms, change_w), by (home, time)."""
    count = day_wh.shape[1]
    out_home = np.empty(homes.shape[0] * 512, np.int64)
    out_ms = np.empty(homes.shape[0] * 512, np.int64)
    out_w = np.empty(homes.shape[0] * 512, np.int64)
    total = 0
    times, changes = np.empty(most + _MOST_SEGMENTS, np.int64), np.empty(most + _MOST_SEGMENTS, np.int64)
    packed = np.empty(most + _MOST_SEGMENTS, np.int64)  # moment and place in one number: sorts fast
    left = np.empty(count + 1, np.int64)
    begins, ends = np.empty(_MOST_SEGMENTS, np.int64), np.empty(_MOST_SEGMENTS, np.int64)
    weights = np.empty(_POWER_W.shape[0])
    for i in range(homes.shape[0]):
        home = homes[i]
        # What the home is like, whatever the day: standing power, fridge, shower.
        a, b, c, e = chance.words(key, home, 0, 0)
        f, g, _, _ = chance.words(key, home, 0, 1)
        standing_w = _between(_STANDING_W, chance.unit(a))
        fridge_w = _between(_FRIDGE_W, chance.unit(b))
        on_ms = _between(_FRIDGE_ON_S, chance.unit(c)) * 1000
        cycle_ms = on_ms + _between(_FRIDGE_OFF_S, chance.unit(e)) * 1000
        has_shower = chance.unit(f) < SHOWER_SHARE
        fridge_ms = start_ms - (start_ms + int(chance.unit(g) * cycle_ms)) % cycle_ms
        least_wh = 2**31
        for h in range(count):
            least_wh = min(least_wh, day_wh[i, h])
        standing_w = min(standing_w, 2 * least_wh)
        n = _put(times, changes, 0, start_ms, start_ms + count * HALF_HOUR_MS, standing_w)
        for h in range(count):
            left[h] = day_wh[i, h] * MJ_PER_WH - standing_w * HALF_HOUR_MS
        left[count] = 0
        number = 0
        for h in range(count):
            from_ms = start_ms + h * HALF_HOUR_MS
            until_ms = from_ms + HALF_HOUR_MS
            # The fridge, cut short where the half-hour has not enough for it.
            while fridge_ms + on_ms <= from_ms:
                fridge_ms += cycle_ms
            spell_ms = fridge_ms
            while fridge[i] and spell_ms < until_ms:
                begin_ms, end_ms = max(spell_ms, from_ms), min(spell_ms + on_ms, until_ms)
                if begin_ms < end_ms:
                    end_ms = min(end_ms, begin_ms + left[h] // fridge_w)
                    n = _put(times, changes, n, begin_ms, end_ms, fridge_w)
                    left[h] -= fridge_w * max(end_ms - begin_ms, 0)
                spell_ms += cycle_ms
            # Appliances, as long as they fit.
            for k in range(weights.shape[0]):
                weights[k] = _WEIGHTS[k, parts[h]]
            if not has_shower:
                weights[_SHOWER] = 0.0
            first_n = n
            for attempt in range(_TRIES):
                heavy = left[h] > _LIGHTS_W[1] * HALF_HOUR_MS
                if attempt > 0 and not heavy:
                    break
                number += 1
                a, b, c, e = chance.words(key, home, day, number)
                known = weights.sum()
                mark = chance.unit(a) * (known if heavy else known + _NOTHING)
                if mark >= known:
                    break
                kind = 0
                while kind < weights.shape[0] - 1 and mark >= weights[kind]:
                    mark -= weights[kind]
                    kind += 1
                watts = _between(_POWER_W[kind], chance.unit(b))
                length_ms = _between(_LENGTH_S[kind], chance.unit(c)) * 1000
                first_ms = from_ms + int(chance.unit(e) * HALF_HOUR_MS)
                spells = _use(kind, length_ms, begins, ends)
                here_ms, beyond_ms = 0, 0
                for k in range(spells):
                    here_ms += max(min(first_ms + ends[k], until_ms) - min(first_ms + begins[k], until_ms), 0)
                    beyond_ms += ends[k] - begins[k]
                beyond_ms -= here_ms
                if watts * (here_ms + beyond_ms) > left[h]:  # wherever it starts: else late starts win
                    continue
                runs_on = watts * beyond_ms <= left[h + 1] and first_ms + length_ms <= until_ms + HALF_HOUR_MS
                if not runs_on and length_ms > HALF_HOUR_MS:
                    continue
                if n - first_n + 4 * spells > _MOST_PER_PERIOD - 32:
                    continue
                for k in range(spells):
                    begin_ms, end_ms = first_ms + begins[k], first_ms + ends[k]
                    if runs_on or end_ms <= until_ms:
                        n = _put(times, changes, n, begin_ms, end_ms, watts)
                    else:
                        n = _put(times, changes, n, begin_ms, until_ms, watts)
                        begin_ms = max(begin_ms, until_ms) - HALF_HOUR_MS
                        n = _put(times, changes, n, begin_ms, end_ms - HALF_HOUR_MS, watts)
                if runs_on:
                    left[h] -= watts * here_ms
                    left[h + 1] -= watts * beyond_ms
                else:
                    left[h] -= watts * (here_ms + beyond_ms)
                weights[kind] = 0.0
            # Lights and screens, and heaters where those cannot use it, for what is left.
            for attempt in range(3):
                if left[h] <= 0:
                    break
                number += 1
                a, b, c, _ = chance.words(key, home, day, number)
                heavy = left[h] > _LIGHTS_W[1] * HALF_HOUR_MS
                watts = _between(_HEATER_W if heavy else _LIGHTS_W, chance.unit(a))
                share_mj = left[h]
                if attempt < 2:
                    share_mj = min(int(left[h] * (0.2 + 0.6 * chance.unit(b))), watts * HALF_HOUR_MS)
                watts = max(watts, (share_mj + HALF_HOUR_MS - 1) // HALF_HOUR_MS)
                length_ms = share_mj // watts
                begin_ms = from_ms + int(chance.unit(c) * HALF_HOUR_MS)
                end_ms = begin_ms + length_ms
                n = _put(times, changes, n, begin_ms, min(end_ms, until_ms), watts)
                if end_ms > until_ms:
                    n = _put(times, changes, n, from_ms, end_ms - HALF_HOUR_MS, watts)
                left[h] -= watts * length_ms
            if h + 1 < count:
                left[h + 1] += left[h]
        if total + n > out_home.shape[0]:
            size = 2 * (total + n)
            out_home, out_ms, out_w = _longer(out_home, size), _longer(out_ms, size), _longer(out_w, size)
        for k in range(n):
            packed[k] = (times[k] - start_ms) * _MOST_CHANGES + k
        packed[:n].sort()
        for k in range(n):
            place = packed[k] % _MOST_CHANGES
            out_home[total + k], out_ms[total + k], out_w[total + k] = home, times[place], changes[place]
        total += n
    return out_home[:total], out_ms[:total], out_w[:total]


@njit(cache=True)
def _longer(column: Any, size: Any) -> Any:
    out = np.empty(size, column.dtype)
    out[: column.shape[0]] = column
    return out
