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
from sim.metering import PeriodTruth

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


def sums_of_part(part: Part, fleet: Fleet, without: Fleet, truth: PeriodTruth, cell: I16, cells: int) -> Sums:
    """Sums over the rows of one part; `cell` (rows,) of the population, both fleets at the period's end."""
    at = part.rows
    counted = {
        "devices": np.ones(len(part.drawn.home), np.int8),
        "import_wh": truth.row_import_wh[at],
        "without_wh": truth.row_without_wh[at],
        **_comfort(part, fleet, without),
    }
    return {
        name: np.bincount(cell[at], weights=values, minlength=cells).astype(np.int64)
        for name, values in counted.items()
    }


def _comfort(part: Part, fleet: Fleet, without: Fleet) -> dict[str, Any]:
    """Which rows are cold, would be cold without instructions, and have left an event."""
    count = len(part.drawn.home)
    cold, cold_without, left, unused = (np.zeros(count, np.int8) for _ in range(4))
    if part.kind.technology in WARMING:
        for one, is_cold, has_left in ((fleet, cold, left), (without, cold_without, unused)):
            _look(one, part.drawn.spec, is_cold, has_left)
    return {"cold": cold, "cold_without": cold_without, "left": left}


def _look(fleet: Fleet, spec: Any, cold: Any, left: Any) -> None:
    rows, now_ms = fleet.state.rows, fleet.state.now_ms
    fleet.each_block(lambda low, high: _who_is_cold(low, high, now_ms, rows, spec, cold, left))


@njit(cache=True, nogil=True)
def _who_is_cold(low: Any, high: Any, now_ms: Any, rows: Any, spec: Any, cold: Any, left: Any) -> None:
    for row in range(low, high):
        cold[row] = _told_pct(rows[row], spec[row], now_ms) == 0
        left[row] = _status(rows[row], spec[row]) == _OVERRIDDEN
