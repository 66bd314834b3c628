"""Messages on their way: columns, from which what has arrived is taken.

Owns the pool of things in flight. Millions may be under way after an outage, so what arrives soon is kept
apart from what does not, and only the former is looked at in each stretch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]
"""One kind of message, a column per property and all of one length; `arrival_ms` among them."""

SOON_MS = 600_000
"""What arrives later than this is far."""


@dataclass(slots=True, eq=False)
class Flight:
    """All messages of one kind that are on their way: near ones arrive before `far_from_ms`, far ones not."""

    near: list[Columns] = field(default_factory=list)
    far: list[Columns] = field(default_factory=list)
    far_from_ms: int = 0

    def __len__(self) -> int:
        return sum(len(run["arrival_ms"]) for run in (*self.near, *self.far))

    def add(self, columns: Columns) -> None:
        """Send messages on their way, in any order."""
        near, far = _parted(columns, self.far_from_ms)
        self.near += near
        self.far += far

    def take_due(self, until_ms: int) -> Columns | None:
        """What arrives before `until_ms`, by arrival (ties in the order of sending); None if nothing does.

        It is on its way no longer.
        """
        if until_ms > self.far_from_ms:
            self.far_from_ms = until_ms + SOON_MS
            far, self.far = self.far, []
            if far:
                self.add(joined(far))
        due: list[Columns] = []
        left: list[Columns] = []
        for run in self.near:
            arrived, others = _parted(run, until_ms)
            due += arrived
            left += others
        self.near = [joined(left)] if len(left) > 1 else left
        return by_arrival(joined(due)) if due else None


def _parted(columns: Columns, at_ms: int) -> tuple[list[Columns], list[Columns]]:
    """The messages that arrive before `at_ms`, and the others; as lists of none or one."""
    arrival_ms = columns["arrival_ms"]
    before = arrival_ms < at_ms
    count = int(np.count_nonzero(before))
    if count == len(arrival_ms):
        return [columns] * (count > 0), []
    if count == 0:
        return [], [columns]
    here, there = np.flatnonzero(before), np.flatnonzero(~before)
    return (
        [{name: column[here] for name, column in columns.items()}],
        [{name: column[there] for name, column in columns.items()}],
    )


def by_arrival(columns: Columns) -> Columns:
    """The same messages by arrival; ties keep their order."""
    arrival_ms = columns["arrival_ms"]
    after_ms = arrival_ms - arrival_ms.min() if len(arrival_ms) else arrival_ms
    if len(arrival_ms) and after_ms.max() < 2**16:
        after_ms = after_ms.astype(np.uint16)  # sorted digit by digit, ten times as fast
    order = np.argsort(after_ms, kind="stable")
    return {name: column[order] for name, column in columns.items()}


def joined(runs: list[Columns]) -> Columns:
    """All messages of some runs (at least one), one run behind the other."""
    if len(runs) == 1:
        return runs[0]
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
