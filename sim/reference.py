"""The reference engine: one SimPy process per device, the plain Python source of the same event functions.

Slow and obvious; the twin of `sim.fleet.Fleet`, to which it must be equal row by row and event by event.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from devices import kinds
from devices.ev import NEVER_MS
from devices.kinds import ORDER, PLUGGED_IN, POWER, STOPPED, told_kinds
from devices.scalar import uncompiled
from sim.fleet import EVENT, MJ_PER_WH, POLL, Fleet, Stretch, with_polls
from sim.play import Hear, Orders, Played, Polls, Readings
from sim.power_sums import PowerSums

_next_reading_ms, _shown_wh = uncompiled(kinds).next_reading_ms, uncompiled(kinds).shown_wh


class ReferenceFleet(Fleet):
    """The same columns, lived by one process per device."""

    def stretch(
        self,
        until_ms: int,
        orders: Orders,
        sums: PowerSums,
        *,
        polls: Polls | None = None,
        read: bool = True,
        hear: Hear | None = None,
    ) -> Stretch:
        """As `Fleet.stretch`, in one part."""
        orders, is_order = with_polls(orders, polls)
        env = simpy.Environment(initial_time=self.state.now_ms)
        diary = _Diary(self, until_ms, orders, read)

        def live(_worker: int, _part: int) -> None:
            for row in range(len(self.spec)):
                env.process(diary.device(env, row))
            if until_ms > self.state.now_ms:
                env.run(until=until_ms)

        def end(_parts: list[Any]) -> Played:
            diary.add_up(sums)
            self.state.now_ms = until_ms
            self.state.events_lived += diary.lived
            told = np.array(diary.events, EVENT) if diary.events else np.empty(0, EVENT)
            self.events = told[np.lexsort((told["row"], told["at_ms"]))] if self.keep_events else told[:0]
            readings = diary.readings_taken()
            heard = [hear(readings)] if hear is not None and len(readings.rows) else []
            return Played(readings, self._sessions([diary.block()]), diary.outcome[is_order], heard)

        return Stretch(1, live, end)


class _Diary:
    """One stretch of time in the life of all devices, written down as it happens."""

    def __init__(self, fleet: Fleet, until_ms: int, orders: Orders, read: bool) -> None:
        self.fleet, self.until_ms, self.orders, self.read = fleet, until_ms, orders, read
        self.plain = uncompiled(fleet.device)
        self.told = told_kinds(fleet.device)
        self.told_register_wh = getattr(self.plain, "told_register_wh", _shown_wh)
        self.outcome = np.full(len(orders.rows), -1, np.int8)
        self.readings: list[tuple[int, ...]] = []
        self.sessions: list[tuple[int, int, int]] = []
        self.events: list[tuple[int, int, int, int]] = []
        self.changes: list[tuple[int, int, int]] = []
        self.lived = 0
        self._start_ms = fleet.state.now_ms

    def device(self, env: simpy.Environment, row: int) -> Generator[simpy.Event, None, None]:
        """Wait for whatever comes next - own event, order, reading, in that order at a tie - and do it."""
        state = self.fleet.state
        s, p, d = (a.view(np.recarray)[row] for a in (state.rows, self.fleet.spec, state.diary))
        inbox = [int(k) for k in np.flatnonzero(self.orders.rows == row)]
        reading_ms = _next_reading_ms(p, self._start_ms) if self.read else NEVER_MS
        while True:
            event_ms = int(state.next_ms[row])
            order_ms = int(self.orders.arrival_ms[inbox[0]]) if inbox else NEVER_MS
            now_ms = min(event_ms, order_ms, reading_ms)
            if now_ms >= self.until_ms:
                return
            if now_ms > env.now:
                yield env.timeout(now_ms - int(env.now))
            if reading_ms < event_ms and reading_ms < order_ms:
                self._take_reading(row, now_ms, s, p)
                reading_ms += int(p.read_every_ms)
                continue
            if order_ms < event_ms and self.orders.response_dsr[inbox[0]] == POLL:
                self._take_reading(row, now_ms, s, p)
                inbox.pop(0)
                continue
            before_w = int(s.import_w)
            self.lived += 1
            if event_ms <= order_ms:
                self._own_event(row, now_ms, s, p, d, before_w)
            else:
                self._order(inbox.pop(0), row, now_ms, s, p, d, before_w)
            state.next_ms[row] = self.plain.next_event_ms(s, p, d, state.today)
            self.changes.append((now_ms, int(self.fleet.group[row]), int(s.import_w) - before_w))

    def _own_event(self, row: int, now_ms: int, s: Any, p: Any, d: Any, before_w: int) -> None:
        bits, shortfall_mj = self.plain.happen(s, p, d, self.fleet.state.today, now_ms)
        if shortfall_mj >= 0:
            self.fleet.state.promise_wh[row, 0] = shortfall_mj // MJ_PER_WH
        if bits & (1 << PLUGGED_IN):
            self.fleet.state.promise_wh[row, 1] = self.plain.shortfall_mj(s, p) // MJ_PER_WH
            self.sessions.append((self._told_row(row), now_ms, int(self.plain.told_soc_pct(s, p, d))))
        for kind in self.told:
            if bits & (1 << kind):
                value = int(self.plain.event_value(kind, s, p, shortfall_mj))
                if hasattr(self.plain, "diary_value"):
                    value += int(self.plain.diary_value(kind, d))
                self.events.append((now_ms, self._told_row(row), kind, value))
        self._tell_power(row, now_ms, s, p, before_w)

    def _order(self, k: int, row: int, now_ms: int, s: Any, p: Any, d: Any, before_w: int) -> None:
        o = self.orders
        self.outcome[k] = self.plain.obey(
            s, p, d, self.fleet.state.today, now_ms, int(o.limit_w[k]), int(o.from_ms[k]),
            int(o.until_ms[k]), int(o.sequence[k]), bool(o.response_dsr[k]),
        )  # fmt: skip
        self.events.append((now_ms, self._told_row(row), ORDER, int(self.outcome[k])))
        self._tell_power(row, now_ms, s, p, before_w)

    def _tell_power(self, row: int, now_ms: int, s: Any, p: Any, before_w: int) -> None:
        if s.import_w != before_w:
            kind = STOPPED if s.import_w == 0 else POWER
            self.events.append(
                (now_ms, self._told_row(row), kind, int(self.plain.event_value(kind, s, p, -1)))
            )

    def _told_row(self, row: int) -> int:
        return self.fleet.first_row + row

    def _take_reading(self, row: int, now_ms: int, s: Any, p: Any) -> None:
        register_wh = self.told_register_wh(s, p, now_ms)
        status, pct = self.plain.status(s, p), self.plain.told_pct(s, p, now_ms)
        self.readings.append(
            (self._told_row(row), now_ms, int(s.import_w), register_wh, int(status), int(pct))
        )

    def readings_taken(self) -> Readings:
        """The readings in the order of rows."""
        table = np.array(sorted(self.readings), np.int64).reshape(-1, 6)
        kinds = (np.int32, np.int64, np.int32, np.int32, np.int8, np.int8)
        return Readings(*(table[:, k].astype(kind) for k, kind in enumerate(kinds)))

    def block(self) -> Any:
        """The sessions, as one worker's block."""
        return _OneBlock(self.sessions)

    def add_up(self, sums: PowerSums) -> None:
        """Add every change of power to the sums, and to the fleet's levels."""
        changes_w = sums.changes_w[0]
        for at_ms, group, change_w in self.changes:
            changes_w[group, min(-(-at_ms // 1000) - sums.first_second, changes_w.shape[1] - 1)] += change_w
            self.fleet.state.levels_w[group] += change_w


class _OneBlock:
    """Sessions as `Fleet` expects them from a worker."""

    def __init__(self, sessions: list[tuple[int, int, int]]) -> None:
        table = np.array(sorted(sessions), np.int64).reshape(-1, 3)
        self.sessions = (table[:, 0].astype(np.int32), table[:, 1], table[:, 2].astype(np.int8))
        self.counts = (0, 0, len(table))
