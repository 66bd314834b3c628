"""What each technology did in a settlement period, and who is cold: true sums by cell, for the record alone.

Rooms and stores tell their warmth themselves (`told_pct` of their modules), in both worlds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from devices import kinds
from protocol.messages import I16, I64, AssetStatus, Technology
from sim.fleet import Fleet
from sim.kinds.kind import Part

WARMING = frozenset(
    {Technology.HEAT_PUMP, Technology.STORAGE_HEATER, Technology.RESISTIVE, Technology.HOT_WATER}
)
"""Technologies that somebody is cold without."""
_OVERRIDDEN = int(AssetStatus.OVERRIDDEN)
_status, _told_pct = kinds.status, kinds.told_pct

Sums = dict[str, I64]
"""By cell: `devices`, `import_wh`, `without_wh`, `cold`, `cold_without`, `left`, as the table
`technology_half_hourly` explains them.
"""


def sums_of_part(part: Part, lives: tuple[Fleet, Fleet], wh: tuple[I64, I64], cell: I16, cells: int) -> Sums:
    """Sums over the rows of one part; `lives` with and without instructions, at the period's end.

    `wh`: import with and without them, by cell; `cell` (rows,) of the population.
    """
    mine = cell[part.rows]
    (cold, left), (cold_without, _) = (_comfort(part, fleet, mine, cells) for fleet in lives)
    return {
        "devices": np.bincount(mine, minlength=cells),
        "import_wh": wh[0],
        "without_wh": wh[1],
        "cold": cold,
        "cold_without": cold_without,
        "left": left,
    }


def _comfort(part: Part, fleet: Fleet, cell: I16, cells: int) -> tuple[I64, I64]:
    """How many are cold, and how many have left an event, by cell."""
    if part.kind.technology not in WARMING:
        return np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    cold, left = (np.zeros(len(cell), np.bool_) for _ in range(2))
    _look(fleet, part.drawn.spec, cold, left)
    return np.bincount(cell[cold], minlength=cells), np.bincount(cell[left], minlength=cells)


def _look(fleet: Fleet, spec: Any, cold: Any, left: Any) -> None:
    rows, now_ms = fleet.state.rows, fleet.state.now_ms
    fleet.each_block(lambda low, high: _who_is_cold(low, high, now_ms, rows, spec, cold, left))


@njit(cache=True, nogil=True)
def _who_is_cold(low: Any, high: Any, now_ms: Any, rows: Any, spec: Any, cold: Any, left: Any) -> None:
    for row in range(low, high):
        cold[row] = _told_pct(rows[row], spec[row], now_ms) == 0
        left[row] = _status(rows[row], spec[row]) == _OVERRIDDEN
