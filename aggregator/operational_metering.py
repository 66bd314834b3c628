"""What the control room sees of the BM Units: each second's import, published once, a few seconds behind.

A value is the sum of the newest reading that had arrived from each asset (where units are metered at the
boundary: from each home's boundary meter) by the end of that second. A reading
that is handed over after its second was published shows in the first unpublished one: nothing published is
ever corrected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from aggregator.registry import Cells
from protocol.messages import I64, OperationalMetering


class Unpublished(Protocol):
    """Changes of each group's power not yet published (groups, seconds), from the second `first_s` on."""

    change_w: I64
    first_s: int


def publish(
    store: Unpublished,
    level_w: I64,
    units: Sequence[int | Cells],
    unit_names: tuple[str, ...],
    now_ms: int,
    behind_ms: int,
) -> OperationalMetering | None:
    """The seconds since the last publication that ended at least `behind_ms` ago; None when there are none.

    `units`: the cells of each. As `take_seconds`.
    """
    taken = take_seconds(store, level_w, now_ms, behind_ms)
    return None if taken is None else metering(*taken, units, unit_names)


def take_seconds(store: Unpublished, level_w: I64, now_ms: int, behind_ms: int) -> tuple[int, I64] | None:
    """Where the unpublished seconds start [UTC ms], and each group's import in them (groups, seconds).

    None when there are none. `level_w` (groups) is the import at the end of what was published before [W]; it
    is brought up to date, and the seconds leave the store.
    """
    seconds = (now_ms - behind_ms) // 1000 - store.first_s
    if seconds <= 0:
        return None
    series = level_w[:, None] + np.cumsum(_take_seconds(store, seconds), axis=1)
    level_w[:] = series[:, -1]
    start_ms = store.first_s * 1000
    store.first_s += seconds
    return start_ms, series


def metering(
    start_ms: int, series: I64, units: Sequence[int | Cells], unit_names: tuple[str, ...]
) -> OperationalMetering | None:
    """What units publish of seconds taken; None where there is no unit."""
    if not unit_names:
        return None
    import_w = np.stack([np.atleast_2d(series[cells]).sum(axis=0) for cells in units]).astype(np.int64)
    return OperationalMetering(unit_names, start_ms, import_w)


def _take_seconds(store: Unpublished, seconds: int) -> I64:
    """The changes of the first `seconds` (groups, seconds); the store then begins after them."""
    kept = store.change_w.shape[1]
    taken = np.zeros((len(store.change_w), seconds), np.int64)
    held = min(seconds, kept)
    taken[:, :held] = store.change_w[:, :held]
    store.change_w[:, : kept - held] = store.change_w[:, held:].copy()
    store.change_w[:, kept - held :] = 0
    return taken
