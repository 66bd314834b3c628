"""Messages on their way: columns ordered by arrival, from which what has arrived is taken.

Owns the pool of things in flight. Millions may be under way after an outage, so nothing is looked at twice:
additions are runs sorted by arrival, what is due is the front of each, and many short runs become one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]
"""One kind of message, a column per property and all of one length; `arrival_ms` among them."""

_MOST_RUNS = 64


@dataclass(slots=True, eq=False)
class Flight:
    """All messages of one kind that are on their way; each run is sorted by arrival."""

    runs: list[Columns] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(run["arrival_ms"]) for run in self.runs)

    def add(self, columns: Columns) -> None:
        """Send messages on their way, in any order."""
        if len(columns["arrival_ms"]) == 0:
            return
        self.runs.append(by_arrival([columns]))
        if len(self.runs) > _MOST_RUNS:
            self.runs = [by_arrival(self.runs)]

    def take_due(self, until_ms: int) -> list[Columns]:
        """What arrives before `until_ms`, as runs sorted by arrival; it is on its way no longer."""
        due, left = [], []
        for run in self.runs:
            arrived = int(np.searchsorted(run["arrival_ms"], until_ms))
            if arrived:
                due.append({name: column[:arrived] for name, column in run.items()})
            if arrived < len(run["arrival_ms"]):
                left.append({name: column[arrived:] for name, column in run.items()})
        self.runs = left
        return due


def by_arrival(runs: list[Columns]) -> Columns:
    """All messages of some runs (at least one) in one, by arrival; ties in the order of the runs."""
    joined = {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}
    order = np.argsort(joined["arrival_ms"], kind="stable")
    return {name: column[order] for name, column in joined.items()}
