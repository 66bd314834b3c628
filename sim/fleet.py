"""The fleet engine: a device is a row, a day is its events, and power is the running sum of integer changes.

One source for all kinds: the kernels call the names of `devices.kinds`, and are compiled once per kind.

`Fleet.play(until_ms, orders)` lives every row that has something to do before `until_ms` - its own
events, orders at their own millisecond, readings at its own second - and touches no other. There is no
global time step: what a stretch brings does not depend on how long the stretch is.

Rows lie in the order (reading interval, moment of reading), so that the devices which report in a stretch
are one or two runs of rows. Identity is `spec["device"]`, never the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numba import njit

from devices import kinds
from devices.ev import NEVER_MS
from devices.kinds import ORDER, PLUGGED_IN, POWER, STOPPED
from protocol.messages import I8, I16, I32, I64
from sim.play import Hear, Orders, Played, Polls, Readings, Sessions
from sim.power_sums import PowerSums
from sim.threads import T, Threads, equal_parts, even_parts

EVENT = np.dtype([("at_ms", "i8"), ("row", "i4"), ("kind", "i4"), ("value", "i8")])
"""One thing that happened to one device; `kind` and `value` as told by the `EventKind` of its module."""

_happen, _obey, _next_event_ms, _integrate = kinds.happen, kinds.obey, kinds.next_event_ms, kinds.integrate
_status, _told_pct, _told_kinds = kinds.status, kinds.told_pct, kinds.told
_told_register_wh = kinds.told_register_wh
_event_value, _diary_value = kinds.event_value, kinds.diary_value
_shortfall_mj, _told_soc_pct = kinds.shortfall_mj, kinds.told_soc_pct
_next_reading_ms = kinds.next_reading_ms
_POWER, _STOPPED, _ORDER, _PLUGGED_IN = POWER, STOPPED, ORDER, PLUGGED_IN
MJ_PER_WH = 3_600_000
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
_READING_ROWS, _RESTING_ROWS = 65_536, 262_144
"""Rows of a part: readings of as many fit the second-level cache; most resting rows are passed over."""
BLOCK = 16
"""Rows that are passed over together while nothing is due in any of them."""
POLL = 2
"""In the `response_dsr` column of what reaches a device: no order at all, but the wish for a reading now."""


@njit(cache=True, nogil=True)
def _note(
    events: Any, counts: Any, at_ms: Any, row: Any, kind: Any, value: Any,
) -> None:  # fmt: skip
    """Append to the event buffer, if one is kept."""
    if counts[0] < events.shape[0]:
        event = events[counts[0]]
        event.at_ms = at_ms
        event.row = row
        event.kind = kind
        event.value = value
        counts[0] += 1


@njit(cache=True, nogil=True)
def _tell(
    events: Any, counts: Any, at_ms: Any, told_row: Any, s: Any, p: Any, d: Any, bits: Any,
    shortfall_mj: Any, before_w: Any,
) -> None:  # fmt: skip
    """Note what happened at a moment, in the order in which it happened."""
    for kind in _told_kinds(s):
        if bits & (1 << kind):
            value = _event_value(kind, s, p, shortfall_mj) + _diary_value(kind, s, d)
            _note(events, counts, at_ms, told_row, kind, value)
    if s.import_w != before_w:
        kind = _POWER if s.import_w != 0 else _STOPPED
        _note(events, counts, at_ms, told_row, kind, _event_value(kind, s, p, shortfall_mj))


@njit(cache=True, nogil=True)
def _read(
    told_row: Any, now_ms: Any, s: Any, p: Any, at: Any, rows: Any, event_ms: Any, import_w: Any,
    register_wh: Any, status: Any, soc_pct: Any,
) -> None:  # fmt: skip
    """Write one reading at place `at`: the power now, and the register as it is told."""
    rows[at] = told_row
    event_ms[at] = now_ms
    import_w[at] = s.import_w
    register_wh[at] = _told_register_wh(s, p, now_ms)
    status[at] = _status(s, p)
    soc_pct[at] = _told_pct(s, p, now_ms)


@njit(cache=True, nogil=True)
def _live(
    row: Any, first_row: Any, until_ms: Any, read_from_ms: Any, reads: Any, state: Any, spec: Any,
    diary: Any, next_ms: Any, today: Any, group: Any, first_second: Any, changes_w: Any,
    level_change_w: Any, first_order: Any, orders: Any, outcome: Any, r_rows: Any, r_ms: Any,
    r_import_w: Any, r_register_wh: Any, r_status: Any, r_soc_pct: Any, sessions: Any, events: Any,
    counts: Any, promise_wh: Any,
) -> None:  # fmt: skip
    """Live one row up to `until_ms`: the earliest of own event, order and reading, again and again.

    At a tie they come in that order.
    """
    s = state[row]
    p = spec[row]
    d = diary[row]
    order_rows, order_ms, order_limit_w, order_from_ms, order_until_ms, order_sequence, order_dsr = orders
    k = first_order[row]
    reading_ms = NEVER_MS
    if reads:
        reading_ms = _next_reading_ms(p, read_from_ms)
    while True:
        event_ms = next_ms[row]
        arrival_ms = NEVER_MS
        if k >= 0 and k < order_rows.shape[0] and order_rows[k] == row:
            arrival_ms = order_ms[k]
        now_ms = min(event_ms, arrival_ms, reading_ms)
        if now_ms >= until_ms:
            return
        if reading_ms < event_ms and reading_ms < arrival_ms:
            _read(
                row + first_row,
                now_ms,
                s,
                p,
                counts[1],
                r_rows,
                r_ms,
                r_import_w,
                r_register_wh,
                r_status,
                r_soc_pct,
            )
            counts[1] += 1
            reading_ms = now_ms + int(p.read_every_ms)
            continue
        if arrival_ms < event_ms and order_dsr[k] == POLL:
            _read(
                row + first_row,
                now_ms,
                s,
                p,
                counts[1],
                r_rows,
                r_ms,
                r_import_w,
                r_register_wh,
                r_status,
                r_soc_pct,
            )
            counts[1] += 1
            k += 1
            continue
        before_w = int(s.import_w)
        counts[3] += 1
        if event_ms <= arrival_ms:
            bits, shortfall_mj = _happen(s, p, d, today, now_ms)
            if shortfall_mj >= 0:
                promise_wh[row, 0] = shortfall_mj // MJ_PER_WH
            if bits & (1 << _PLUGGED_IN):
                promise_wh[row, 1] = _shortfall_mj(s, p) // MJ_PER_WH
                at = counts[2]
                counts[2] = at + 1
                sessions[0][at] = row + first_row
                sessions[1][at] = now_ms
                sessions[2][at] = _told_soc_pct(s, p, d)
            if events.shape[0]:
                _tell(events, counts, now_ms, row + first_row, s, p, d, bits, shortfall_mj, before_w)
        else:
            outcome[k] = _obey(
                s,
                p,
                d,
                today,
                now_ms,
                int(order_limit_w[k]),
                order_from_ms[k],
                order_until_ms[k],
                int(order_sequence[k]),
                order_dsr[k] != 0,
            )
            if events.shape[0]:
                _note(events, counts, now_ms, row + first_row, _ORDER, int(outcome[k]))
                _tell(events, counts, now_ms, row + first_row, s, p, d, 0, -1, before_w)
            k += 1
        next_ms[row] = _next_event_ms(s, p, d, today)
        change_w = int(s.import_w) - before_w
        if change_w != 0:
            second = min((now_ms + 999) // 1000 - first_second, changes_w.shape[1] - 1)
            changes_w[group[row], second] += change_w
            level_change_w[group[row]] += change_w


@njit(cache=True, nogil=True)
def _play(
    low: Any, high: Any, first_row: Any, reads: Any, until_ms: Any, read_from_ms: Any, state: Any,
    spec: Any, diary: Any, next_ms: Any, block_next_ms: Any, today: Any, group: Any, first_second: Any,
    changes_w: Any, level_change_w: Any, first_order: Any, orders: Any, outcome: Any, r_rows: Any,
    r_ms: Any, r_import_w: Any, r_register_wh: Any, r_status: Any, r_soc_pct: Any, sessions: Any,
    events: Any, counts: Any, promise_wh: Any,
) -> None:  # fmt: skip
    """Live the rows of the runs low .. high, where there is an event or an order; read all if `reads`.

    Runs begin where a block does. Rows are told as `first_row` and on.
    """
    for k in range(low.shape[0]):
        for first in range(low[k], high[k], BLOCK):
            if not reads and block_next_ms[first // BLOCK] >= until_ms:
                continue
            least_ms = NEVER_MS
            for row in range(first, min(first + BLOCK, high[k])):
                if next_ms[row] < until_ms or first_order[row] >= 0:
                    _live(
                        row, first_row, until_ms, read_from_ms, reads, state, spec, diary, next_ms, today,
                        group, first_second, changes_w, level_change_w, first_order, orders, outcome, r_rows,
                        r_ms, r_import_w, r_register_wh, r_status, r_soc_pct, sessions, events, counts,
                        promise_wh,
                    )  # fmt: skip
                    first_order[row] = -1
                elif reads:
                    reading_ms = _next_reading_ms(spec[row], read_from_ms)
                    while reading_ms < until_ms:
                        _read(
                            row + first_row, reading_ms, state[row], spec[row], counts[1], r_rows, r_ms,
                            r_import_w, r_register_wh, r_status, r_soc_pct,
                        )  # fmt: skip
                        counts[1] += 1
                        reading_ms += int(spec[row].read_every_ms)
                least_ms = min(least_ms, next_ms[row])
            block_next_ms[first // BLOCK] = least_ms


@njit(cache=True, nogil=True)
def _replan(
    low: Any, high: Any, now_ms: Any, state: Any, spec: Any, diary_before: Any, today_before: Any,
    diary: Any, today: Any, next_ms: Any,
) -> None:  # fmt: skip
    """Bring the rows to the planning moment under the old diary; find what comes next under the new one."""
    for row in range(low, high):
        s = state[row]
        p = spec[row]
        _integrate(s, p, diary_before[row], today_before, now_ms)
        if next_ms[row] != now_ms:  # what is due at this very millisecond still happens, first of all
            next_ms[row] = _next_event_ms(s, p, diary[row], today)


@dataclass(slots=True)
class FleetState:
    """All of a fleet that changes."""

    rows: np.ndarray[Any, Any]  # STATE of the kind's module
    diary: np.ndarray[Any, Any]  # DIARY of the kind's module
    today: Any  # Today of the kind's module; None before the first plan
    next_ms: I64
    levels_w: I64  # (groups,) power at the last whole second
    # (rows, 2): missing at the last deadline judged, -1 where none since taken; needed at the last plug-in.
    # No rows at all where the kind makes no promises.
    promise_wh: I32
    now_ms: int
    events_lived: int


class Fleet:
    """Rows of one kind that live through time. `group` says to which sum each row's power belongs."""

    def __init__(
        self,
        device: ModuleType,
        spec: np.ndarray[Any, Any],
        rows: np.ndarray[Any, Any],
        group: I16,
        groups: int,
        start_ms: int,
        *,
        first_row: int = 0,
        workers: int = 1,
        threads: Threads | None = None,
        keep_events: bool = False,
    ) -> None:
        """`rows` (STATE) of the kind `device` as they are at `start_ms`.

        Readings, sessions and events tell of row k as `first_row + k`; orders and polls name k. Before the
        first plan rows go on as they are, and nobody may ask them anything.
        """
        self.device = device
        self.spec = spec
        self.group = group
        self.groups = groups
        self.first_row = first_row
        self.keep_events = keep_events
        n = len(spec)
        self._promises = hasattr(device, "shortfall_mj")
        self.state = FleetState(
            rows=rows.copy(),
            diary=np.zeros(n, device.DIARY),
            today=None,
            next_ms=np.full(n, NEVER_MS, np.int64),
            levels_w=np.bincount(group, weights=rows["import_w"], minlength=groups).astype(np.int64),
            promise_wh=np.full((n if self._promises else 0, 2), -1, np.int32),
            now_ms=start_ms,
            events_lived=0,
        )
        self.events: np.ndarray[Any, Any] = np.empty(0, EVENT)
        self.seconds_w: I64 = np.empty((groups, 0), np.int64)
        """Power at each whole second of the last stretch that this fleet played alone (groups, seconds)."""
        self._block_next_ms: I64 = np.empty(0, np.int64)  # no row of a block has anything due before
        self._blocks_of: I64 | None = None  # the moments that `_block_next_ms` was found from
        self._runs = reading_runs(spec)
        self._first_order = np.full(len(spec), -1, np.int32)  # every stretch leaves it so
        self.threads = threads or Threads(workers)
        self.workers = self.threads.workers

    def plan(self, diary: np.ndarray[Any, Any], today: Any, *, look: bool = False) -> None:
        """Take the diary of the coming day; everything before now has been lived.

        With `look` every row looks at its day at once, instead of waiting for the first event in it.
        """
        state = self.state
        before = (diary, today) if state.today is None else (state.diary, state.today)
        diary_before, today_before = before
        state.diary, state.today = diary, today
        rows, spec = state.rows, self.spec
        if look:
            state.next_ms[:] = state.now_ms
        self.each_block(
            lambda low, high: _replan(
                low, high, state.now_ms, rows, spec, diary_before, today_before, diary,
                today, state.next_ms,
            )
        )  # fmt: skip
        self._blocks_of = None

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
        """Live up to `until_ms` (not included); `polls` asks some rows for a reading meanwhile.

        Afterwards `seconds_w` (groups, whole seconds of the stretch) holds the power at each whole second
        after all that happened up to it (no second at all unless `by_second`), and `events` what
        happened, in the order (time, row), if events are kept. Readings go piece by piece to `hear`, while
        they are at hand; what it gives is found in `Played.heard`. Without it they come back all together.
        """
        sums = PowerSums(self.groups, self.state.now_ms, until_ms, self.workers, by_second=by_second)
        levels_w = self.state.levels_w.copy()
        stretch = self.stretch(until_ms, orders, sums, polls=polls, read=read, hear=hear)
        played = stretch.end(self.threads.each(stretch.live, stretch.parts))
        self.seconds_w = sums.seconds_w(levels_w)
        return played

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
        """The parts of `play`, for whoever lives the parts of several fleets side by side.

        All of them add to the same `sums`.
        """
        state = self.state
        orders, is_order = with_polls(orders, polls)
        block_next_ms = self._blocks()
        first_order = self._place_orders(orders.rows)
        outcome = np.full(len(orders.rows), -1, np.int8)
        columns = _order_columns(orders)
        spec, rows, diary = self.spec, state.rows, state.diary
        parts = self._parts(self._runs.between(state.now_ms, until_ms) if read else _no_runs())
        per_row = -(-(until_ms - state.now_ms) // self._runs.least_every_ms)
        told_per_row = 32 + 32 * ((until_ms - state.now_ms) // HOUR_MS)
        asked = int((~is_order).sum())
        level_change_w = np.zeros((self.workers, self.groups), np.int64)
        if state.today is None:
            if read or len(orders.rows):
                raise RuntimeError("a fleet must be planned before anybody reads its meters or sends orders")
            parts = []

        def live(worker: int, number: int) -> _Block:
            part = parts[number]
            events = told_per_row * part.rows + 8 * len(is_order) + 1024 if self.keep_events else 0
            sessions = part.rows if self._promises else 0
            block = _Block.of(sessions, part.rows * per_row * part.reads + asked, events)
            _play(
                part.low, part.high, self.first_row, part.reads, until_ms, state.now_ms, rows, spec, diary,
                state.next_ms, block_next_ms, state.today, self.group, sums.first_second,
                sums.changes_w[worker], level_change_w[worker], first_order, columns, outcome,
                *block.readings, block.sessions, block.events, block.counts, state.promise_wh,
            )  # fmt: skip
            if hear is not None and block.counts[1]:
                block.heard = hear(block.taken())
            return block

        def end(blocks: list[Any]) -> Played:
            state.levels_w += level_change_w.sum(axis=0)
            state.now_ms = until_ms
            state.events_lived += sum(int(block.counts[3]) for block in blocks)
            if self.keep_events:
                self.events = _told(blocks)
            heard = [block.heard for block in blocks if block.heard is not None]
            readings = _together([block.taken() for block in blocks]) if hear is None else _together([])
            return Played(readings, self._sessions(blocks), outcome[is_order], heard)

        return Stretch(len(parts), live, end)

    def _blocks(self) -> I64:
        """For each block of rows a moment before which none of them has anything due."""
        next_ms = self.state.next_ms
        if self._blocks_of is not next_ms:
            self._block_next_ms = np.minimum.reduceat(next_ms, np.arange(0, len(next_ms), BLOCK))
            self._blocks_of = next_ms
        return self._block_next_ms

    def _parts(self, reading: tuple[I64, I64]) -> list[_Part]:
        """All rows in parts, whatever the number of threads: those that read now, then the rest."""
        parts = []
        rest = _rest_of(reading, len(self.spec))
        for reads, (low, high), most in ((True, reading, _READING_ROWS), (False, rest, _RESTING_ROWS)):
            count = even_parts(int((high - low).sum()), most)
            parts += [_Part(*_share_of((low, high), k, count), reads) for k in range(count)]
        return parts

    def registers_mj(self) -> I64:
        """Cumulative true import less export of every row now [mJ]."""
        rows = self.state.rows
        lived_ms = self.state.now_ms - rows["at_ms"]
        net_mj = rows["register_mj"] + rows["import_w"].astype(np.int64) * lived_ms
        return np.asarray(net_mj - rows["export_mj"] if "export_mj" in self.device.STATE.names else net_mj)

    def _place_orders(self, order_rows: I32) -> I32:
        """For each row the place of its first order, -1 where it has none; orders are sorted by row."""
        if len(order_rows):
            rows, places = np.unique(order_rows, return_index=True)
            self._first_order[rows] = places
            self._block_next_ms[rows // BLOCK] = self.state.now_ms
        return self._first_order

    def _sessions(self, blocks: list[Any]) -> Sessions:
        rows, at_ms, soc_pct = (
            np.concatenate([none, *(block.sessions[k][: block.counts[2]] for block in blocks)])
            for k, none in enumerate(_Block.of(0, 0, 0).sessions)
        )
        if not self._promises:
            return Sessions(rows, at_ms, soc_pct, soc_pct, at_ms)
        local = rows - self.first_row
        target_pct = (self.spec["target_mj"][local] * 100 // self.spec["battery_mj"][local]).astype(np.int8)
        deadline_ms = self._deadline_ms(self.state.diary["ready_ms"][local], at_ms)
        return Sessions(rows, at_ms, soc_pct, target_pct, deadline_ms)

    def _deadline_ms(self, ready_ms: I64, from_ms: I64) -> I64:
        """The first deadline after a session began: this morning's, or the same clock time tomorrow."""
        if len(ready_ms) == 0:
            return ready_ms
        return np.where(ready_ms > from_ms, ready_ms, ready_ms + self.state.today.deadline_step_ms)

    def each_block(self, work: Callable[[int, int], T]) -> list[T]:
        """What `work(low, high)` gives for each block of rows."""
        blocks = equal_parts(len(self.spec), self.workers)
        return self.threads.each(lambda _worker, part: work(*blocks[part]), self.workers)


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A stretch about to be lived: `live(worker, part)` for every part in any order, then `end` with all."""

    parts: int
    live: Callable[[int, int], Any]
    end: Callable[[list[Any]], Played]


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Which rows read when: rows of one interval lie together, in the order of their moment."""

    classes: tuple[tuple[int, int, int], ...]  # (interval [ms], first row, end row)
    read_at_ms: I64

    @property
    def least_every_ms(self) -> int:
        return min((every for every, _, _ in self.classes), default=60_000)

    def between(self, from_ms: int, until_ms: int) -> tuple[I64, I64]:
        """Runs of whole blocks with all rows that read in [from, until): (first rows, end rows)."""
        runs: list[tuple[int, int]] = []
        for every_ms, low, high in self.classes:
            if until_ms - from_ms >= every_ms:
                runs.append((low, high))
                continue
            moments = self.read_at_ms[low:high]
            begin, end = (int(np.searchsorted(moments, at % every_ms)) for at in (from_ms, until_ms))
            if from_ms % every_ms <= until_ms % every_ms:
                runs.append((low + begin, low + end))
            else:
                runs += [(low, low + end), (low + begin, high)]
        return _whole_blocks(runs, len(self.read_at_ms))


def reading_runs(spec: np.ndarray[Any, Any]) -> _Runs:
    """The runs of rows that read together.

    Raises ValueError when the rows do not lie in the order (interval, moment of reading).
    """
    every_ms, at_ms = spec["read_every_ms"].astype(np.int64), spec["read_at_ms"].astype(np.int64)
    if np.any(every_ms <= 0):
        raise ValueError("every row of a fleet must report at some interval: read_every_ms above 0")
    if np.any(np.diff(every_ms * 2**32 + at_ms) < 0):
        raise ValueError("fleet rows must lie in the order (read_every_ms, read_at_ms)")
    intervals, first = np.unique(every_ms, return_index=True)
    ends = [*first[1:].tolist(), len(spec)][: len(intervals)]  # nobody at all: no runs
    return _Runs(
        tuple((int(e), int(f), end) for e, f, end in zip(intervals, first, ends, strict=True)), at_ms
    )


def _share_of(runs: tuple[I64, I64], part: int, parts: int) -> tuple[I64, I64]:
    """An even part of every run, in whole blocks but for the last row of all."""
    low, high = runs
    blocks = -(-(high - low) // BLOCK)
    begin, end = (low + blocks * number // parts * BLOCK for number in (part, part + 1))
    return begin, np.minimum(end, high)


def _whole_blocks(runs: list[tuple[int, int]], count: int) -> tuple[I64, I64]:
    """Runs of the rows 0 .. count - 1 widened to whole blocks, without overlap: (first rows, end rows)."""
    widened: list[tuple[int, int]] = []
    for low, high in sorted(run for run in runs if run[0] < run[1]):
        first, end = low // BLOCK * BLOCK, min(-(-high // BLOCK) * BLOCK, count)
        if widened and first <= widened[-1][1]:
            widened[-1] = widened[-1][0], max(end, widened[-1][1])
        else:
            widened.append((first, end))
    array = np.array(widened, np.int64).reshape(-1, 2)
    return np.ascontiguousarray(array[:, 0]), np.ascontiguousarray(array[:, 1])


def _rest_of(runs: tuple[I64, I64], count: int) -> tuple[I64, I64]:
    """The rows 0 .. count - 1 that lie in none of the runs, as runs."""
    low, high = np.concatenate([[0], runs[1]]), np.concatenate([runs[0], [count]])
    return low[low < high], high[low < high]


def _no_runs() -> tuple[I64, I64]:
    return np.empty(0, np.int64), np.empty(0, np.int64)


def _order_columns(orders: Orders) -> tuple[Any, ...]:
    return (
        orders.rows, orders.arrival_ms, orders.limit_w, orders.from_ms, orders.until_ms, orders.sequence,
        orders.response_dsr,
    )  # fmt: skip


def with_polls(orders: Orders, polls: Polls | None) -> tuple[Orders, Any]:
    """Orders and polls in one run sorted by (row, moment, sequence), and which of them are orders."""
    if polls is None or len(polls.rows) == 0:
        return orders, np.ones(len(orders.rows), bool)
    zeros = np.zeros(len(polls.rows), np.int64)
    asked: tuple[Any, ...] = (polls.rows, polls.at_ms, zeros, zeros, zeros, zeros - 1, zeros + POLL)
    merged = [
        np.concatenate([column, more.astype(column.dtype)])
        for column, more in zip(_order_columns(orders), asked, strict=True)
    ]
    order = np.lexsort((merged[5], merged[1], merged[0]))
    return Orders(*(column[order] for column in merged)), (np.arange(len(order)) < len(orders.rows))[order]


_ReadingColumns = tuple[I32, I64, I32, I32, I8, I8]
"""The columns of `Readings`, in its order."""


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Some runs of rows: what one thread lives in one go."""

    low: I64
    high: I64
    reads: bool

    @property
    def rows(self) -> int:
        return int((self.high - self.low).sum())


@dataclass(slots=True)
class _Block:
    """What one part writes."""

    readings: _ReadingColumns
    sessions: tuple[I32, I64, I8]
    events: np.ndarray[Any, Any]
    counts: I64  # events told, readings, sessions, events lived
    heard: Any = None

    @staticmethod
    def of(sessions: int, readings: int, events: int) -> _Block:
        """Room for so much."""
        i8, i32, i64 = np.int8, np.int32, np.int64
        return _Block(
            (
                np.empty(readings, i32), np.empty(readings, i64), np.empty(readings, i32),
                np.empty(readings, i32), np.empty(readings, i8), np.empty(readings, i8),
            ),
            (np.empty(sessions, i32), np.empty(sessions, i64), np.empty(sessions, i8)),
            np.empty(events, EVENT),
            np.zeros(4, i64),
        )  # fmt: skip

    def taken(self) -> Readings:
        """The readings taken, without copying."""
        return Readings(*self.readings).part(0, int(self.counts[1]))


def _together(parts: list[Readings]) -> Readings:
    """All readings, one part behind the other."""
    none = np.empty(0, np.int32)
    kinds = (none, none.astype(np.int64), none, none, none.astype(np.int8), none.astype(np.int8))
    columns = zip(kinds, *(part.columns() for part in parts), strict=True)
    return Readings(*(np.concatenate(column) for column in columns))


def _told(blocks: list[_Block]) -> np.ndarray[Any, Any]:
    """All that was told, by (time, row)."""
    if any(len(block.events) and block.counts[0] == len(block.events) for block in blocks):
        raise RuntimeError("more happened in one stretch than there is room to tell: shorten the loop")
    told = np.concatenate([np.empty(0, EVENT), *(block.events[: block.counts[0]] for block in blocks)])
    return np.asarray(told[np.lexsort((told["row"], told["at_ms"]))])
