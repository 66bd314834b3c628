"""The street without power, as a device meets it: dark from the cut until it has come back by itself.

Cuts are half-open (regions, cuts, 2) [UTC ms]; empty ones fill the others' places. `back_s` is how long after
the power a device of its kind and make is back: what its standard asks for, and a moment of its own
(`restart_s`, drawn by whoever makes the row), so that a street does not start as one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from devices.scalar import scalar
from devices.standing_order import sooner

NO_CUTS_MS = np.empty((1, 0, 2), np.int64)
RECONNECT_S = 20
"""Inverters trip with the mains and watch it for so long before they come back: ENA EREC G98 [mem]."""


@scalar
def is_dark(cuts_ms: Any, region: int, back_s: int, now_ms: int) -> bool:
    """Whether there is no power, or it is back and the device is not."""
    for k in range(cuts_ms.shape[1]):
        if cuts_ms[region, k, 0] <= now_ms < cuts_ms[region, k, 1] + back_s * 1000:
            return True
    return False


@scalar
def next_cut_ms(cuts_ms: Any, region: int, back_s: int, at_ms: int, best_ms: int) -> int:
    """The earlier of `best_ms` and the next moment after `at_ms` of a cut's begin or the device's return."""
    for k in range(cuts_ms.shape[1]):
        best_ms = sooner(at_ms, int(cuts_ms[region, k, 0]), best_ms)
        best_ms = sooner(at_ms, int(cuts_ms[region, k, 1]) + back_s * 1000, best_ms)
    return best_ms


@scalar
def lit_ms(cuts_ms: Any, region: int, back_s: int, now_ms: int) -> int:
    """When a device that is dark now is back; cuts that overlap are one."""
    back_ms = now_ms
    for _ in range(cuts_ms.shape[1]):
        for k in range(cuts_ms.shape[1]):
            if cuts_ms[region, k, 0] <= back_ms < cuts_ms[region, k, 1] + back_s * 1000:
                back_ms = int(cuts_ms[region, k, 1]) + back_s * 1000
    return back_ms
