"""When the lights are out: outages of a region that take the power with them (fault C7).

Owns when a region is dark, and how long after the power each device is back; what a kind does without power
is its physics (`devices/power_cut.py`), and the comms part is that of any outage of a region. Cars draw
nothing until the power is back and their random delay (SI 2021/1467 reg. 11) is over; homes draw nothing
meanwhile.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from protocol.messages import I32, I64
from protocol.periods import PERIOD_MS, day_start_ms, period_count
from sim import chance
from sim.chance import F64, Purpose
from sim.outages import outage_start_ms
from sim.scenario import Clock, Comms


def power_cuts_ms(comms: Comms, clock: Clock, region_names: tuple[str, ...]) -> I64:
    """The cuts of each region, half-open [UTC ms], (regions, cuts, 2); empty ones fill the others' places."""
    cuts = [outage for outage in comms.outages if outage.power]
    windows_ms = np.zeros((len(region_names), len(cuts), 2), np.int64)
    for place, cut in enumerate(cuts):
        from_ms = outage_start_ms(cut, clock)
        windows_ms[region_names.index(cut.name), place] = from_ms, from_ms + cut.duration_ms
    return windows_ms


def restart_s(seed: int, device: I64, within_ms: int) -> I32:
    """When after the power each device is back, beside what its kind needs [s]: evenly within `within_ms`."""
    u = chance.units(chance.stream(seed, Purpose.POWER_BACK), device)[:, 0]
    return np.asarray(u * (within_ms / 1000)).astype(np.int32)


def powered_share(cuts_ms: I64, day: date) -> F64:
    """The part of each settlement period of `day` with power, (regions, periods)."""
    starts_ms = day_start_ms(day) + PERIOD_MS * np.arange(period_count(day), dtype=np.int64)
    dark_ms = np.zeros((len(cuts_ms), len(starts_ms)), np.int64)
    for region, windows_ms in enumerate(cuts_ms):
        dark = np.zeros(len(starts_ms), np.int64)
        for from_ms, until_ms in windows_ms:
            begin = np.maximum(starts_ms, from_ms)
            dark += np.maximum(np.minimum(starts_ms + PERIOD_MS, until_ms) - begin, 0)
        dark_ms[region] = np.minimum(dark, PERIOD_MS)  # cuts that overlap are one
    return np.asarray(1.0 - dark_ms / PERIOD_MS)
