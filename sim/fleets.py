"""All fleets of a world: one `Fleet` per part of the population, with the face of one.

Rows are those of the population: part k's begin at its `first_row`. Parts of all kinds are lived side by
side, so that no core waits for a kind to end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from devices.kinds import MODULES
from protocol.messages import I16, I64
from sim.fleet import EVENT, Fleet, FleetState, Stretch
from sim.kinds.kind import Part
from sim.play import Hear, Orders, Played, Polls, Readings, Sessions
from sim.power_sums import PowerSums
from sim.threads import Threads

_KINDS_APART = 64
"""A fleet's event k is told as k + 64 times the place of its module: names are unique over all kinds."""
EVENT_NAMES = {
    place * _KINDS_APART + int(kind): kind.name
    for place, module in enumerate(MODULES)
    for kind in module.EventKind
}
"""What the numbers in `Fleets.events` are called."""


@dataclass(slots=True)
class FleetsState:
    """All that changes."""

    parts: list[FleetState]

    @property
    def now_ms(self) -> int:
        """The moment up to which all have lived."""
        return self.parts[0].now_ms

    @property
    def levels_w(self) -> I64:
        """Power of each group at the last whole second, export negative."""
        return np.asarray(np.sum([part.levels_w for part in self.parts], axis=0))

    @property
    def events_lived(self) -> int:
        """Own events and orders of all rows so far."""
        return sum(part.events_lived for part in self.parts)


class Fleets:
    """The fleets of the parts of a population, which has its cars in part 0."""

    def __init__(
        self,
        parts: Sequence[Part],
        group: I16,
        groups: int,
        start_ms: int,
        *,
        reachable: int | None = None,
        engine: type[Fleet] = Fleet,
        workers: int = 1,
        threads: Threads | None = None,
        keep_events: bool = False,
    ) -> None:
        """Rows as drawn, at `start_ms`; `group` (rows,) as in `Fleet`.

        Only the first `reachable` rows (default: all) can be read or sent anything.
        """
        self.threads = threads or Threads(workers)
        self.parts = tuple(parts)
        self.groups = groups
        self.fleets = [
            engine(
                part.kind.device,
                part.drawn.spec,
                part.drawn.state,
                np.ascontiguousarray(group[part.rows]),
                groups,
                start_ms,
                first_row=part.first_row,
                threads=self.threads,
                keep_events=keep_events,
            )
            for part in parts
        ]
        self._reachable = len(group) if reachable is None else reachable
        self.seconds_w: I64 = np.empty((groups, 0), np.int64)
        """Power at each whole second of the last stretch (groups, seconds), export negative."""

    @property
    def state(self) -> FleetsState:
        """The states of all fleets."""
        return FleetsState([fleet.state for fleet in self.fleets])

    @state.setter
    def state(self, state: FleetsState) -> None:
        for fleet, part in zip(self.fleets, state.parts, strict=True):
            fleet.state = part

    @property
    def cars(self) -> Fleet:
        """The fleet of the cars: rows as in the population."""
        return self.fleets[0]

    @property
    def events(self) -> np.ndarray[Any, Any]:
        """What happened in the last stretch (EVENT) by (time, row); `kind` as in `EVENT_NAMES`."""
        told = [fleet.events.copy() for fleet in self.fleets]
        for fleet, events in zip(self.fleets, told, strict=True):
            events["kind"] += MODULES.index(fleet.device) * _KINDS_APART
        together = np.concatenate([np.empty(0, EVENT), *told])
        return np.asarray(together[np.lexsort((together["row"], together["at_ms"]))])

    def registers_mj(self) -> I64:
        """Cumulative true import less export of every row now [mJ]."""
        return np.concatenate([fleet.registers_mj() for fleet in self.fleets])

    def play(
        self,
        until_ms: int,
        orders: Orders,
        *,
        polls: Polls | None = None,
        read: bool = True,
        by_second: bool = True,
        hear: Hear | None = None,
    ) -> Played:
        """As `Fleet.play`, with the population's rows throughout."""
        before = self.state
        levels_w = before.levels_w
        sums = PowerSums(self.groups, before.now_ms, until_ms, self.threads.workers, by_second=by_second)
        stretches = [
            self._stretch(fleet, until_ms, orders, sums, polls, read=read, hear=hear) for fleet in self.fleets
        ]
        places = [(stretch, number) for stretch, it in enumerate(stretches) for number in range(it.parts)]

        def live(worker: int, number: int) -> Any:
            stretch, part = places[number]
            return stretches[stretch].live(worker, part)

        lived = self.threads.each(live, len(places))
        ends = np.cumsum([it.parts for it in stretches]).tolist()
        played = [it.end(lived[end - it.parts : end]) for it, end in zip(stretches, ends, strict=True)]
        self.seconds_w = sums.seconds_w(levels_w)
        return _together(played)

    def _stretch(
        self,
        fleet: Fleet,
        until_ms: int,
        orders: Orders,
        sums: PowerSums,
        polls: Polls | None,
        *,
        read: bool,
        hear: Hear | None,
    ) -> Stretch:
        low, high = fleet.first_row, fleet.first_row + len(fleet.spec)
        if low >= self._reachable:
            return fleet.stretch(until_ms, Orders.none(), sums, read=False)
        asked = None if polls is None else Polls(*_rows_of((polls.rows, polls.at_ms), low, high))
        mine = Orders(*_rows_of(tuple(getattr(orders, name) for name in Orders.__slots__), low, high))
        return fleet.stretch(until_ms, mine, sums, polls=asked, read=read, hear=hear)


@dataclass(frozen=True, slots=True)
class Arms:
    """Everybody's life: `fleet` as instructed, `without` the same rows never instructed.

    What is `beyond` everybody's reach lives once for both; None where there is none. In history nobody is
    instructed, and `without` is `fleet` itself.
    """

    fleet: Fleets
    without: Fleets
    beyond: Fleets | None

    def of_part(self, place: int) -> tuple[Fleet, Fleet]:
        """The fleets that live a part of the population: as instructed, and never instructed."""
        within = len(self.fleet.fleets)
        if place < within:
            return self.fleet.fleets[place], self.without.fleets[place]
        assert self.beyond is not None
        return (self.beyond.fleets[place - within],) * 2

    @property
    def distinct(self) -> tuple[Fleets, ...]:
        """As instructed and never instructed; in history one and the same."""
        return tuple(dict.fromkeys((self.fleet, self.without)))

    @property
    def quiet(self) -> tuple[Fleets, ...]:
        """Those that nobody asks anything: lived in long stretches."""
        return (self.without,) if self.beyond is None else (self.without, self.beyond)


def _rows_of(columns: tuple[Any, ...], low: int, high: int) -> list[Any]:
    """The entries of rows [low, high) of columns sorted by row, the first; rows count from `low` then."""
    begin, end = np.searchsorted(columns[0], [low, high]).tolist()
    return [columns[0][begin:end] - np.int32(low), *(column[begin:end] for column in columns[1:])]


def _together(played: list[Played]) -> Played:
    """What all fleets brought, in the order of rows."""
    if len(played) == 1:
        return played[0]
    readings = Readings(*_joined([it.readings.columns() for it in played]))
    names = Sessions.__slots__
    sessions = Sessions(*_joined([tuple(getattr(it.sessions, name) for name in names) for it in played]))
    outcome = np.concatenate([it.outcome for it in played])
    return Played(readings, sessions, outcome, [piece for it in played for piece in it.heard])


def _joined(tables: list[tuple[Any, ...]]) -> list[Any]:
    return [np.concatenate(columns) for columns in zip(*tables, strict=True)]
