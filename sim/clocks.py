"""What devices' own clocks show: skew, drift, jumps back, and clocks that begin at 1970 or 2000 again.

Owns the way between true time and a device's own. A clock's error is a pure function of (device, moment),
so that nothing is remembered. A device stamps by its clock, and acts by it: an order's start and end come
when the clock shows them. It is judged when the order arrives; from then on a timer runs, so that a clock
which falls back later holds nobody longer than was ordered.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from protocol.messages import I32, I64
from protocol.party import NEVER_MS
from protocol.periods import DAY_MS
from sim.chance import Purpose, normals, stream, unit, units, words
from sim.scenario import Clocks

EPOCHS_MS = (0, 946_684_800_000)
"""1970-01-01 and 2000-01-01 UTC: where clocks of Unix and of most clock chips begin."""
_WIDEST_SDS = 3.0
_SKEW, _SPELLS, _SETTING = 1, 2, 3
"""Numbers of a device's draws."""


class DeviceClocks:
    """The clocks of all rows."""

    def __init__(self, clocks: Clocks, device: I64, seed: int) -> None:
        self._device = device
        self._key = key = stream(seed, Purpose.DEVICE_CLOCK)
        sds = np.clip(normals(key, device, number=_SKEW)[:, 0], -_WIDEST_SDS, _WIDEST_SDS)
        drawn = units(key, device, number=_SETTING)
        self._skew_ms = np.rint(sds * clocks.skew_sd_ms).astype(np.int64)
        self._drift = (2.0 * drawn[:, 0] - 1.0) * clocks.drift_ppm * 1e-6
        self._set_at_ms = (drawn[:, 1] * clocks.set_every_ms).astype(np.int64)
        self._law = (
            clocks.set_every_ms, clocks.reset_share, clocks.reset_share + clocks.jump_back_share,
            clocks.jump_back_ms, float(clocks.wrong_for_ms),
        )  # fmt: skip

    @staticmethod
    def of(clocks: Clocks, device: I64, seed: int) -> DeviceClocks | None:
        """The clocks of a scenario; None where all are right."""
        wrong = (clocks.skew_sd_ms, clocks.drift_ppm, clocks.jump_back_share, clocks.reset_share)
        return DeviceClocks(clocks, device, seed) if any(wrong) else None

    def shown_ms(self, rows: I32, at_ms: I64) -> I64:
        """What the clocks of `rows` show at true moments [ms]."""
        out = np.empty(len(rows), np.int64)
        _shown(
            self._key, self._device, self._skew_ms, self._drift, self._set_at_ms, self._law, rows, at_ms, out
        )
        return out

    def true_ms(self, rows: I32, own_ms: I64, now_ms: I64) -> I64:
        """When, seen from `now_ms`, the clocks of `rows` come to show `own_ms`; before now if they have."""
        out = np.empty(len(rows), np.int64)
        _true(
            self._key, self._device, self._skew_ms, self._drift, self._set_at_ms, self._law, rows, own_ms,
            now_ms, out,
        )  # fmt: skip
        return out


@njit(cache=True, nogil=True)
def _spell(key: Any, device: Any, at_ms: Any, law: Any) -> Any:
    """The spell in which the clock is altogether wrong at a moment.

    Gives its end (0: none), the epoch at which it began again (NEVER_MS: a jump back), and its start [ms].
    """
    _, resets, spells, _, mean_ms = law
    if spells > 0.0:
        today = at_ms // DAY_MS
        for day in (today, today - 1):
            whether, start, length, which = words(key, device, day, _SPELLS)
            if unit(whether) >= spells:
                continue
            from_ms = day * DAY_MS + np.int64(unit(start) * DAY_MS)
            to_ms = from_ms + max(np.int64(min(-math.log(unit(length)) * mean_ms, DAY_MS)), 1)
            if from_ms <= at_ms < to_ms:
                epoch_ms = np.int64(NEVER_MS)
                if unit(whether) < resets:
                    epoch_ms = np.int64(EPOCHS_MS[0] if which < 2**31 else EPOCHS_MS[1])
                return to_ms, epoch_ms, from_ms
    return np.int64(0), np.int64(NEVER_MS), np.int64(0)


@njit(cache=True, nogil=True)
def _ahead_ms(skew_ms: Any, drift: Any, set_at_ms: Any, at_ms: Any, set_every_ms: Any) -> Any:
    """How far a clock that was set lately is ahead."""
    return skew_ms + np.int64(math.floor(drift * ((at_ms - set_at_ms) % set_every_ms) + 0.5))


@njit(cache=True, nogil=True)
def _shown(
    key: Any, device: Any, skew_ms: Any, drift: Any, set_at_ms: Any, law: Any, rows: Any, at_ms: Any, out: Any
) -> None:
    for i in range(rows.shape[0]):
        row, t_ms = rows[i], at_ms[i]
        end_ms, epoch_ms, from_ms = _spell(key, device[row], t_ms, law)
        out[i] = t_ms + _ahead_ms(skew_ms[row], drift[row], set_at_ms[row], t_ms, law[0])
        if end_ms and epoch_ms < NEVER_MS:
            out[i] = epoch_ms + t_ms - from_ms
        elif end_ms:
            out[i] -= law[3]


@njit(cache=True, nogil=True)
def _true(
    key: Any, device: Any, skew_ms: Any, drift: Any, set_at_ms: Any, law: Any, rows: Any, own_ms: Any,
    now_ms: Any, out: Any,
) -> None:  # fmt: skip
    for i in range(rows.shape[0]):
        row, t_ms = rows[i], now_ms[i]
        end_ms, epoch_ms, from_ms = _spell(key, device[row], t_ms, law)
        right_ms = own_ms[i] - _ahead_ms(skew_ms[row], drift[row], set_at_ms[row], t_ms, law[0])
        if end_ms == 0:
            out[i] = right_ms
            continue
        in_spell_ms = right_ms + law[3]
        if epoch_ms < NEVER_MS:
            in_spell_ms = own_ms[i] - epoch_ms + from_ms
        out[i] = in_spell_ms if in_spell_ms < end_ms else max(right_ms, end_ms)
