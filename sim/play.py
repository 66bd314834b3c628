"""What the gateway hands to the fleet and what the fleet hands back for one stretch of time.

Each is a set of columns of one length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from protocol.messages import I8, I32, I64


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """Where each asset hangs in the plant of wires: one column per property, shape (rows,)."""

    device: I64  # stable identity, the entity of every draw (not the row)
    home: I32
    route: I8  # place in sim.scenario.ROUTE_NAMES
    vendor: I8  # vendor cloud within the route
    isp: I8
    mobile_operator: I8
    region: I8  # GSP Group, place in the population's list


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """Set-points that reach devices in this stretch, sorted by (row, arrival, sequence)."""

    rows: I32
    arrival_ms: I64
    limit_w: I32
    from_ms: I64
    until_ms: I64
    sequence: I32
    response_dsr: I8

    @staticmethod
    def none() -> Orders:
        """No orders at all."""
        return Orders(_i32(), _i64(), _i32(), _i64(), _i64(), _i32(), np.empty(0, np.int8))


@dataclass(frozen=True, slots=True, eq=False)
class Polls:
    """Rows that are asked for a reading at a moment of this stretch, sorted by (row, moment)."""

    rows: I32
    at_ms: I64


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Readings taken in this stretch (one meter each), in row order within a minute."""

    rows: I32
    event_ms: I64
    import_w: I32
    register_wh: I32
    status: I8
    soc_pct: I8

    def columns(self) -> tuple[I32, I64, I32, I32, I8, I8]:
        """The columns, in the order of the class."""
        return self.rows, self.event_ms, self.import_w, self.register_wh, self.status, self.soc_pct

    def part(self, begin: int, end: int) -> Readings:
        """The readings [begin, end), shared and not copied."""
        rows, event_ms, import_w, register_wh, status, soc_pct = self.columns()
        at = slice(begin, end)
        return Readings(rows[at], event_ms[at], import_w[at], register_wh[at], status[at], soc_pct[at])


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """Sessions that began: what the app or car tells."""

    rows: I32
    event_ms: I64
    soc_pct: I8
    target_pct: I8
    ready_by_ms: I64


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """All that a stretch brought that others may hear of."""

    readings: Readings
    sessions: Sessions
    outcome: I8  # protocol.messages.AckOutcome of each order, in the order of the orders
    heard: list[Any] = field(default_factory=list)  # what `Hear` gave for each piece of the readings


Hear = Callable[[Readings], Any]
"""Takes a piece of the readings of a stretch, on any thread."""


def _i32() -> I32:
    return np.empty(0, np.int32)


def _i64() -> I64:
    return np.empty(0, np.int64)
