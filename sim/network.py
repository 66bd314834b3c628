"""The wires between gateway and devices: what becomes of every single message, and when it arrives.

Owns latency, loss, duplicates, outages, back-fill, rate limits, tokens and budgets, row by row. The fate of a
message is settled at the moment of sending and keyed by (device, moment, kind): it depends neither on the
other rows of a batch, nor on the length of a stretch, nor on the number of threads. Model and parameters:
`docs/comms.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from protocol.messages import I8, I32, I64, Telemetry
from protocol.party import NEVER_MS
from protocol.periods import MINUTE_MS, day_start_ms, local_date
from sim.chance import Purpose, stream, units, words
from sim.clocks import DeviceClocks
from sim.flight import Columns
from sim.outages import (
    CLOUDS,
    OutageWindow,
    OwnOutageLaw,
    OwnOutages,
    domain_places,
    outage_windows,
    own_outages,
    return_order,
)
from sim.play import Plant, Readings
from sim.routes import FINE, FINEST, latency_table, routes_of
from sim.scenario import ROUTE_NAMES, Clock, Comms, Route
from sim.threads import Threads, equal_parts

_TelemetryColumns = tuple[I32, I64, I64, I32, I32, I8, I8]


class Kind(IntEnum):
    """What travels; set-points and polls go down, the rest goes up."""

    SETPOINTS = 0
    TELEMETRY = 1
    ACKS = 2
    SESSIONS = 3
    POLLS = 4


class Outcome(IntEnum):
    """What became of one message."""

    DELIVERED = 0
    LOST = 1
    OFFLINE = 2  # the device's own outage
    OUTAGE_VENDOR_CLOUD = 3
    OUTAGE_ISP = 4
    OUTAGE_MOBILE_OPERATOR = 5
    OUTAGE_REGION = 6
    RATE_LIMITED = 7  # refused by the vendor's cloud (HTTP 429)
    UNAUTHORISED = 8  # the cloud's token had run out (HTTP 401)
    BUDGET = 9  # the device's commands or wakes of the day are used up
    BACKFILLED = 10  # kept by the device while it was cut off: late, but arriving


DUPLICATED = len(Outcome)
"""Counted beside the outcomes: messages that arrived a second time. No outcome, as they have one already."""

DOWN = frozenset({Kind.SETPOINTS, Kind.POLLS})

_TOUCHED = {
    "all": frozenset(Kind),
    "setpoints": frozenset({Kind.SETPOINTS}),
    "telemetry": frozenset({Kind.TELEMETRY, Kind.SESSIONS}),
    "acks": frozenset({Kind.ACKS}),
}
"""Which kinds an outage of these messages touches (`sim.scenario.Outage.messages`)."""

_CHUNK = 1_024
"""Messages whose words are drawn at once: their scratch columns stay in the first-level cache."""
_WORTH_A_THREAD = 16_384
_SEQUENCE_BITS = 0x1FFF
"""Draws hold 16 bits of number: three of kind, thirteen of sequence."""
_WINDOW_NUMBERS = 0x7FFF
_IN_TROUBLE = np.uint8(2)
"""A message whose device may be cut off, or whose cloud refused it; 1: only its own words are unusual."""

_TELEMETRY, _SESSIONS = int(Kind.TELEMETRY), int(Kind.SESSIONS)
_DELIVERED, _LOST, _OFFLINE = int(Outcome.DELIVERED), int(Outcome.LOST), int(Outcome.OFFLINE)
_OUTAGE, _VENDOR_CLOUD = int(Outcome.OUTAGE_VENDOR_CLOUD), 0
_RATE_LIMITED, _UNAUTHORISED, _BUDGET = (
    int(Outcome.RATE_LIMITED),
    int(Outcome.UNAUTHORISED),
    int(Outcome.BUDGET),
)
_BACKFILLED, _DUPLICATED = int(Outcome.BACKFILLED), DUPLICATED

ROUTE = np.dtype(
    [
        ("loss", "u8", 2),  # up, down: share of 2**32
        ("duplicate", "u8"),
        ("depth", "i8"),
        ("block_ms", "i8"),
        ("block", "i8"),
        ("block_from_ms", "i8"),  # both of the later of the calendar's two pages
        ("begins", "f8"),
        ("mean_ms", "f8"),
        ("look_back", "i8"),
        ("burst_loss", "u8", 2),  # up, down: share of 2**32
        ("burst_block_ms", "i8"),
        ("burst_begins", "f8"),
        ("burst_mean_ms", "f8"),
        ("burst_look_back", "i8"),
    ],
    align=True,
)
"""What the kernel needs to know of a route."""

WINDOW = np.dtype(
    [
        ("from_ms", "i8"),
        ("to_ms", "i8"),
        ("extra_ms", "i8"),
        ("drop", "u8"),  # share of 2**32; 2**32 cuts the connection
        ("shift", "i8"),  # turns the order in which devices return
        ("domain", "i2"),
        ("place", "i2"),
        ("number", "i4"),
    ],
    align=True,
)
"""What the kernel needs to know of a shared outage."""

_CERTAIN = 2**32
_CELLS = 2 * FINE + FINEST
_LAST_CELL = np.uint32((FINE - 1) << 20)
_MOST = 2**32 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What becomes of each message of a batch, in its order.

    `arrival_ms` is when it arrives; for one that does not arrive, when its sender hears of the refusal; else
    NEVER_MS. `copy_ms` is when a duplicate arrives; 0 where there is none.
    """

    arrival_ms: I64
    copy_ms: I64
    outcome: I8  # Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How many messages met which fate, one line per minute of sending, route, kind and outcome met."""

    minute_ms: I64
    route: I8
    kind: I8  # Kind
    outcome: I8  # Outcome, or DUPLICATED
    messages: I64
    latency_ms: I64  # summed over messages that arrive


@dataclass(frozen=True, slots=True)
class OutageRow:
    """One shared outage, for the table of events."""

    kind: str
    name: str
    from_ms: int
    to_ms: int
    directions: str
    messages: str
    drop: float
    extra_latency_ms: int


@dataclass(slots=True, eq=False)
class NetworkState:
    """What the network remembers."""

    day: int  # ordinal of the local day whose commands are counted
    used_today: I32  # (2, rows): set-points and wakes
    free_ns: I64  # (clouds,): when the cloud's bucket would be empty of commands [ns]
    token_until_ms: I64  # (clouds,)
    token_ready_ms: I64  # (clouds,): when the renewal under way ends; 0: none
    first_minute: int
    messages: I64  # (minutes, routes, kinds, outcomes and DUPLICATED)
    latency_ms: I64  # as above


# --------------------------------------------------------------------------------------------- the kernels


@njit(cache=True, nogil=True)
def _cell(word: Any) -> Any:
    """Where a latency table is read for a 32-bit word: by 12 bits, then 12 more, then the last 8."""
    cell = np.uint64(word) >> np.uint64(20)
    if cell == FINE - 1:
        cell = np.uint64(FINE) + ((np.uint64(word) >> np.uint64(8)) & np.uint64(FINE - 1))
        if cell == 2 * FINE - 1:
            cell = np.uint64(2 * FINE) + (np.uint64(word) & np.uint64(FINEST - 1))
    return cell


@njit(cache=True, nogil=True)
def _gather(
    rows: Any, sent_ms: Any, outcome: Any, device: Any, route_of: Any, hull_from_ms: Any, hull_to_ms: Any,
    block_from_ms: Any, suspect: Any, entity: Any, place: Any, odd: Any,
) -> None:  # fmt: skip
    """What a chunk needs to know of its rows, and which of its messages may be in trouble already."""
    for i in range(rows.shape[0]):
        row = np.uint32(rows[i])
        r = np.uint8(route_of[row])
        entity[i], place[i] = device[row], r
        clear = (sent_ms[i] < hull_from_ms[row]) | (sent_ms[i] >= hull_to_ms[row])
        calm = clear & (sent_ms[i] >= block_from_ms[r])
        odd[i] = _IN_TROUBLE * ((not calm) | (suspect[row] != 0) | (outcome[i] != 0))


@njit(cache=True, nogil=True)
def _draw(
    key: Any, entity: Any, sent_ms: Any, number: Any, slow: Any, lose: Any, twice: Any, later: Any
) -> None:
    """Four words for each message of a chunk: mere arithmetic, so that it compiles to vector instructions."""
    for i in range(sent_ms.shape[0]):
        a, b, c, d = words(key, entity[i], sent_ms[i], number[i])
        slow[i], lose[i], twice[i], later[i] = np.uint32(a), np.uint32(b), np.uint32(c), np.uint32(d)


@njit(cache=True, nogil=True)
def _arrive(
    sent_ms: Any, place: Any, cell: Any, tables: Any, cells: Any, first_minute: Any, arrival_ms: Any,
    messages: Any, latency_ms: Any,
) -> None:  # fmt: skip
    """Arrivals of a chunk as if all went well, and their count; what did not go well `_settle` corrects.

    `tables` is flat, `cells` to a route.
    """
    minute, from_ms = np.uint64(0), np.int64(0)
    for i in range(sent_ms.shape[0]):
        if sent_ms[i] < from_ms or sent_ms[i] >= from_ms + MINUTE_MS:
            minute = np.uint64(sent_ms[i] // MINUTE_MS - first_minute)
            from_ms = sent_ms[i] // MINUTE_MS * MINUTE_MS
        r = np.uint64(place[i])
        latency = tables[r * np.uint64(cells) + np.uint64(cell[i] >> np.uint32(20))]
        arrival_ms[i] = sent_ms[i] + latency
        messages[minute, r, 0] += 1
        latency_ms[minute, r, 0] += latency


@njit(cache=True, nogil=True)
def _look_closer(
    slow: Any, lose: Any, twice: Any, most_loss: Any, most_duplicate: Any, odd: Any, oddities: Any
) -> Any:
    """Lists the `oddities` of a chunk, whose fate `_settle` finds; gives back how many.

    Asked with the worst route's shares: a few messages too many, but no table look-up for all of them.
    """
    for i in range(odd.shape[0]):
        odd[i] |= (slow[i] >= _LAST_CELL) | (lose[i] <= most_loss) | (twice[i] <= most_duplicate)
    found = 0
    for i in range(odd.shape[0]):
        oddities[found] = i
        found += odd[i] != 0
    return found


@njit(cache=True, nogil=True)
def _settle(
    oddities: Any, down: Any, kind: Any, rows: Any, sent_ms: Any, entity: Any, number: Any, slow: Any,
    lose: Any, twice: Any, later: Any, place: Any, own_key: Any, drop_key: Any, first_minute: Any,
    report_every_ms: Any, routes: Any, tables: Any, hull_from_ms: Any, hull_to_ms: Any, calendar: Any,
    windows: Any, places: Any, order: Any, members: Any, return_over_ms: Any, odd: Any, arrival_ms: Any,
    copy_ms: Any, outcome: Any, messages: Any, latency_ms: Any,
) -> None:  # fmt: skip
    """The fate of messages with something the matter, one by one; corrects what `_arrive` has counted.

    One body, because a compiled call costs an atomic instruction or two for each column that it is handed.
    """
    for i in oddities:
        row, t_ms, r, fate = rows[i], sent_ms[i], np.int64(place[i]), int(outcome[i])
        route = routes[r]
        minute = t_ms // MINUTE_MS - first_minute
        messages[minute, r, _DELIVERED] -= 1
        latency_ms[minute, r, _DELIVERED] -= arrival_ms[i] - t_ms
        latency = np.int64(tables[r, _cell(slow[i])])
        # Only the newest readings are kept: no more than `depth` follow this one before the device is back.
        kept_until_ms = np.int64(0)
        if kind == _TELEMETRY:
            kept_until_ms = t_ms + route.depth * report_every_ms[row]
        elif kind == _SESSIONS and route.depth > 0:
            kept_until_ms = np.int64(NEVER_MS)
        heard = fate != _DELIVERED  # a refusal by the cloud
        leaves_ms = t_ms
        connected = odd[i] < _IN_TROUBLE
        stopped = heard or connected
        while not stopped:  # on from one outage's end to the next, until the device is connected
            cause, end_ms = _OFFLINE, np.int64(0)
            clear = leaves_ms < hull_from_ms[row] or leaves_ms >= hull_to_ms[row]
            looked_up = leaves_ms == t_ms and route.block_from_ms <= t_ms and clear
            if route.begins > 0.0 and not looked_up:
                block = leaves_ms // route.block_ms
                if block == route.block or block == route.block - 1:
                    page = block & 1
                    carried_ms, from_ms, to_ms = (
                        calendar[page, row, 0],
                        calendar[page, row, 1],
                        calendar[page, row, 2],
                    )
                else:
                    carried_ms, from_ms, to_ms = own_outages(
                        own_key,
                        entity[i],
                        block,
                        route.block_ms,
                        route.begins,
                        route.mean_ms,
                        route.look_back,
                    )
                if leaves_ms < carried_ms:
                    end_ms = carried_ms
                elif from_ms <= leaves_ms < to_ms:
                    end_ms = to_ms
            known = True  # a cloud that is up knows which devices are gone; one that is down says nothing
            if end_ms == 0:
                for w in range(windows.shape[0]):
                    window = windows[w]
                    if window.from_ms > leaves_ms:
                        break
                    if window.drop == _CERTAIN and places[row, window.domain] == window.place:
                        cloud = places[row, 0]
                        turn = (order[row] + window.shift) % members[cloud]
                        back_ms = window.to_ms + turn * return_over_ms[cloud] // members[cloud]
                        if leaves_ms < back_ms:
                            cause, end_ms = _OUTAGE + window.domain, back_ms
                            known = bool(window.domain != _VENDOR_CLOUD or leaves_ms >= window.to_ms)
                            break
            if end_ms == 0:
                break
            if fate == _DELIVERED:
                fate, heard = cause, known
            leaves_ms = end_ms
            stopped = bool(leaves_ms > kept_until_ms)
        lost = np.uint64(lose[i]) < route.loss[down]
        if fate == _DELIVERED:
            for w in range(0 if connected else windows.shape[0]):
                window = windows[w]
                if window.from_ms > t_ms:
                    break
                if t_ms < window.to_ms and places[row, window.domain] == window.place:
                    draw = 1 + ((number[i] + np.uint64(window.number * 8)) & np.uint64(_WINDOW_NUMBERS))
                    word, _, _, _ = words(drop_key, entity[i], t_ms, draw)
                    if word < window.drop:
                        fate = _OUTAGE + window.domain
                        break
                    latency += window.extra_ms
            if fate == _DELIVERED and lost:
                fate = _LOST
        elif not stopped:
            fate = _LOST if lost else _BACKFILLED
        reaches = fate in (_DELIVERED, _BACKFILLED)
        outcome[i] = fate
        messages[minute, r, fate] += 1
        if not reaches:
            arrival_ms[i] = t_ms + latency if down and heard else NEVER_MS
            continue
        arrival_ms[i] = leaves_ms + latency
        latency_ms[minute, r, fate] += arrival_ms[i] - t_ms
        if np.uint64(twice[i]) < route.duplicate:
            # Sent again because the receipt was missed, so it is always the later one.
            copy_ms[i] = arrival_ms[i] + max(tables[r, _cell(later[i])], 1)
            messages[minute, r, _DUPLICATED] += 1


@njit(cache=True, nogil=True)
def _lose_in_bursts(
    down: Any, key: Any, rows: Any, sent_ms: Any, first_minute: Any, device: Any, number: Any, routes: Any,
    route_of: Any, arrival_ms: Any, copy_ms: Any, outcome: Any, messages: Any, latency_ms: Any,
) -> None:  # fmt: skip
    """Take back what `_carry_chunk` has delivered of messages sent in a burst of loss.

    The bursts of a device and direction are a calendar of their own, as its outages are.
    """
    for i in range(rows.shape[0]):
        row = rows[i]
        r = np.int64(route_of[row])
        route = routes[r]
        if outcome[i] != _DELIVERED or route.burst_loss[down] == 0 or route.burst_begins == 0.0:
            continue
        word, _, _, _ = words(key, device[row], sent_ms[i], number[i])
        if word >= route.burst_loss[down]:
            continue
        block = sent_ms[i] // route.burst_block_ms
        since_before_ms, from_ms, to_ms = own_outages(
            key, device[row] * 2 + down, block, route.burst_block_ms, route.burst_begins, route.burst_mean_ms,
            route.burst_look_back,
        )  # fmt: skip
        if sent_ms[i] >= since_before_ms and not from_ms <= sent_ms[i] < to_ms:
            continue
        minute = sent_ms[i] // MINUTE_MS - first_minute
        messages[minute, r, _DELIVERED] -= 1
        latency_ms[minute, r, _DELIVERED] -= arrival_ms[i] - sent_ms[i]
        if copy_ms[i] != 0:
            messages[minute, r, _DUPLICATED] -= 1
        messages[minute, r, _LOST] += 1
        arrival_ms[i], copy_ms[i], outcome[i] = NEVER_MS, 0, _LOST


@njit(cache=True, nogil=True)
def _scratch() -> tuple[Any, ...]:
    """Columns for one chunk: entity, number, place, four words, what is odd, and which are."""
    words_of = np.empty((4, _CHUNK), np.uint32)
    return (
        np.empty(_CHUNK, np.int64),
        np.empty(_CHUNK, np.uint64),
        np.empty(_CHUNK, np.uint8),
        words_of[0],
        words_of[1],
        words_of[2],
        words_of[3],
        np.empty(_CHUNK, np.uint8),
        np.empty(_CHUNK, np.int64),
    )


@njit(cache=True, nogil=True)
def _carry_chunk(
    scratch: Any, down: Any, kind: Any, rows: Any, sent_ms: Any, first_minute: Any, key: Any, own_key: Any,
    drop_key: Any, device: Any, route_of: Any, report_every_ms: Any, routes: Any, block_from_ms: Any,
    most_loss: Any, most_duplicate: Any, tables: Any, hull_from_ms: Any, hull_to_ms: Any, calendar: Any,
    suspect: Any, windows: Any, places: Any, order: Any, members: Any, return_over_ms: Any, arrival_ms: Any,
    copy_ms: Any, outcome: Any, messages: Any, latency_ms: Any,
) -> None:  # fmt: skip
    """Settle the fate of one chunk; the numbers of its draws lie in the scratch columns already."""
    entity, number, place, slow, lose, twice, later, odd, oddities = scratch
    size = rows.shape[0]
    _gather(
        rows, sent_ms, outcome, device, route_of, hull_from_ms, hull_to_ms, block_from_ms, suspect, entity,
        place, odd,
    )  # fmt: skip
    _draw(key, entity, sent_ms, number, slow, lose, twice, later)
    _arrive(sent_ms, place, slow, tables.ravel(), _CELLS, first_minute, arrival_ms, messages, latency_ms)
    found = _look_closer(slow[:size], lose, twice, most_loss, most_duplicate, odd[:size], oddities)
    _settle(
        oddities[:found], down, kind, rows, sent_ms, entity, number, slow, lose, twice, later, place,
        own_key, drop_key, first_minute, report_every_ms, routes, tables, hull_from_ms, hull_to_ms, calendar,
        windows, places, order, members, return_over_ms, odd, arrival_ms, copy_ms, outcome, messages,
        latency_ms,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _carry(
    down: Any, kind: Any, rows: Any, sent_ms: Any, sequence: Any, first_minute: Any, key: Any, own_key: Any,
    drop_key: Any, burst_key: Any, device: Any, route_of: Any, report_every_ms: Any, routes: Any, tables: Any,
    hull_from_ms: Any, hull_to_ms: Any, calendar: Any, suspect: Any, windows: Any, places: Any, order: Any,
    members: Any, return_over_ms: Any, arrival_ms: Any, copy_ms: Any, outcome: Any, messages: Any,
    latency_ms: Any,
) -> None:  # fmt: skip
    """Settle the fate of messages; those whose `outcome` is set already were refused by their cloud."""
    scratch = _scratch()
    number = scratch[1]
    number[:] = np.uint64(kind)
    most_loss = np.uint32(min(routes.loss[:, down].max(), _MOST))
    most_duplicate = np.uint32(min(routes.duplicate.max(), _MOST))
    block_from_ms = np.ascontiguousarray(routes.block_from_ms)
    bursty = routes.burst_loss[:, down].max() > 0
    for start in range(0, rows.shape[0], _CHUNK):
        end = min(rows.shape[0], start + _CHUNK)
        if down:
            for i in range(start, end):
                number[i - start] = np.uint64(kind + (sequence[i] & _SEQUENCE_BITS) * 8)
        _carry_chunk(
            scratch, down, kind, rows[start:end], sent_ms[start:end], first_minute, key, own_key, drop_key,
            device, route_of, report_every_ms, routes, block_from_ms, most_loss, most_duplicate, tables,
            hull_from_ms, hull_to_ms, calendar, suspect, windows, places, order, members, return_over_ms,
            arrival_ms[start:end], copy_ms[start:end], outcome[start:end], messages, latency_ms,
        )  # fmt: skip
        if bursty:
            _lose_in_bursts(
                down, burst_key, rows[start:end], sent_ms[start:end], first_minute, device, number, routes,
                route_of, arrival_ms[start:end], copy_ms[start:end], outcome[start:end], messages, latency_ms,
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _carry_quietly(
    rows: Any, sent_ms: Any, first_minute: Any, route_of: Any, median_ms: Any, arrival_ms: Any, messages: Any,
    latency_ms: Any,
) -> None:  # fmt: skip
    """As `_carry` where nothing can go wrong: everything arrives after its route's one latency."""
    place, cell = np.empty(_CHUNK, np.uint8), np.zeros(_CHUNK, np.uint32)
    for start in range(0, rows.shape[0], _CHUNK):
        end = min(rows.shape[0], start + _CHUNK)
        for at in range(start, end):
            place[at - start] = route_of[np.uint32(rows[at])]
        _arrive(
            sent_ms[start:end], place, cell, median_ms, 1, first_minute, arrival_ms[start:end], messages,
            latency_ms )  # fmt: skip


@njit(cache=True, nogil=True)
def _carry_readings(
    quiet: Any, until_ms: Any, skew_ms: Any, readings: Any, first_minute: Any, key: Any, own_key: Any,
    drop_key: Any, burst_key: Any, device: Any, route_of: Any, report_every_ms: Any, routes: Any, tables: Any,
    median_ms: Any, hull_from_ms: Any, hull_to_ms: Any, calendar: Any, suspect: Any, windows: Any,
    places: Any, order: Any, members: Any, return_over_ms: Any, arrived: Any, later_at: Any, later_ms: Any,
    messages: Any, latency_ms: Any,
) -> Any:  # fmt: skip
    """Carry readings up and sort them out, chunk by chunk while they are at hand.

    What arrives before `until_ms` is copied into the columns of `arrived`, by its device's own clock, a
    duplicate behind its original; of the rest that arrives `later_at` says which and `later_ms` when. Gives
    how many there are of both.
    """
    scratch = _scratch()
    scratch[1][:] = np.uint64(_TELEMETRY)
    most_loss = np.uint32(min(routes.loss[:, 0].max(), _MOST))
    most_duplicate = np.uint32(min(routes.duplicate.max(), _MOST))
    block_from_ms = np.ascontiguousarray(routes.block_from_ms)
    bursty = routes.burst_loss[:, 0].max() > 0
    arrival_ms, copy_ms = np.empty(_CHUNK, np.int64), np.zeros(_CHUNK, np.int64)
    outcome = np.zeros(_CHUNK, np.int8)
    rows, event_ms, import_w, register_wh, status, soc_pct = readings
    to_rows, to_event_ms, to_arrival_ms, to_import_w, to_register_wh, to_status, to_soc_pct = arrived
    now, later = np.uint64(0), np.uint64(0)
    for start in range(0, rows.shape[0], _CHUNK):
        end = min(rows.shape[0], start + _CHUNK)
        size = end - start
        if quiet:
            _carry_quietly(
                rows[start:end], event_ms[start:end], first_minute, route_of, median_ms, arrival_ms[:size],
                messages, latency_ms,
            )  # fmt: skip
        else:
            copy_ms[:size], outcome[:size] = 0, _DELIVERED
            _carry_chunk(
                scratch, 0, _TELEMETRY, rows[start:end], event_ms[start:end], first_minute, key, own_key,
                drop_key, device, route_of, report_every_ms, routes, block_from_ms, most_loss,
                most_duplicate, tables, hull_from_ms, hull_to_ms, calendar, suspect, windows, places, order,
                members, return_over_ms, arrival_ms[:size], copy_ms[:size], outcome[:size], messages,
                latency_ms,
            )  # fmt: skip
            if bursty:
                _lose_in_bursts(
                    0, burst_key, rows[start:end], event_ms[start:end], first_minute, device, scratch[1],
                    routes, route_of, arrival_ms[:size], copy_ms[:size], outcome[:size], messages, latency_ms,
                )  # fmt: skip
        for k in range(size):
            i = np.uint64(start + k)  # unsigned, or every access below is checked for counting from the end
            comes_ms = arrival_ms[k]
            if comes_ms < until_ms:
                to_rows[now], to_event_ms[now], to_arrival_ms[now] = rows[i], event_ms[i], comes_ms
                to_import_w[now], to_register_wh[now] = import_w[i], register_wh[i]
                to_status[now], to_soc_pct[now] = status[i], soc_pct[i]
                now += np.uint64(1)
            elif comes_ms < NEVER_MS:
                later_at[later], later_ms[later] = i, comes_ms
                later += np.uint64(1)
            if copy_ms[k] != 0:
                if copy_ms[k] < until_ms:
                    to_rows[now], to_event_ms[now], to_arrival_ms[now] = rows[i], event_ms[i], copy_ms[k]
                    to_import_w[now], to_register_wh[now] = import_w[i], register_wh[i]
                    to_status[now], to_soc_pct[now] = status[i], soc_pct[i]
                    now += np.uint64(1)
                else:
                    later_at[later], later_ms[later] = i, copy_ms[k]
                    later += np.uint64(1)
    if skew_ms.shape[0] > 0:
        for k in range(now):
            to_event_ms[k] += skew_ms[to_rows[k]]
    return now, later


@njit(cache=True, nogil=True)
def _admit(
    now_ms: Any, rows: Any, used_today: Any, allowance: Any, route_of: Any, places: Any, cost_ns: Any,
    burst_ns: Any, token_life_ms: Any, token_renewal_ms: Any, free_ns: Any, token_until_ms: Any,
    token_ready_ms: Any, windows: Any, outcome: Any,
) -> None:  # fmt: skip
    """What vendors' clouds say to commands, one by one: token, then rate, then the device's budget."""
    for i in range(rows.shape[0]):
        row = rows[i]
        r, cloud = route_of[row], places[row, 0]
        down = False
        for w in range(windows.shape[0]):
            window = windows[w]
            if (
                window.from_ms <= now_ms < window.to_ms
                and window.drop == _CERTAIN
                and window.domain == _VENDOR_CLOUD
            ):
                down |= window.place == cloud
        if down:
            continue  # nobody is there to refuse
        if token_life_ms[r] > 0:
            if token_ready_ms[cloud] > 0 and now_ms >= token_ready_ms[cloud]:
                token_until_ms[cloud] = token_ready_ms[cloud] + token_life_ms[r]
                token_ready_ms[cloud] = 0
            if now_ms >= token_until_ms[cloud]:
                # The first command after the end is told so, and starts the renewal.
                if token_ready_ms[cloud] == 0:
                    token_ready_ms[cloud] = now_ms + token_renewal_ms[r]
                outcome[i] = _UNAUTHORISED
                continue
        if cost_ns[r] > 0:
            after_ns = max(free_ns[cloud], now_ms * 1_000_000) + cost_ns[r]
            if after_ns > now_ms * 1_000_000 + burst_ns[r]:
                outcome[i] = _RATE_LIMITED
                continue
            free_ns[cloud] = after_ns
        if allowance[r] >= 0:
            if used_today[row] >= allowance[r]:
                outcome[i] = _BUDGET
                continue
            used_today[row] += 1


# --------------------------------------------------------------------------------------------- the network


class Network:
    """Carries messages up and down for the rows of a plant."""

    def __init__(
        self,
        plant: Plant,
        comms: Comms,
        clock: Clock,
        seed: int,
        *,
        report_every_ms: I64,  # (rows,): how often a device reports, for what it keeps while cut off
        region_names: tuple[str, ...],
        wakes_per_day: int = 15,  # Tesla fleet API [src]; cars' clouds only
        workers: int = 1,
        threads: Threads | None = None,
    ) -> None:
        self.routes = routes_of(comms)
        used = frozenset(ROUTE_NAMES[route] for route in np.unique(plant.route))
        self.windows = outage_windows(comms, self.routes, clock, region_names, seed, used)
        self.plant = plant
        self._report_every_ms = np.ascontiguousarray(report_every_ms, np.int64)
        self._key_up, self._key_down = stream(seed, Purpose.CARRY_UP), stream(seed, Purpose.CARRY_DOWN)
        self._drop_key = stream(seed, Purpose.CLOUD_OUTAGE)
        self._burst_key = stream(seed, Purpose.BURST)
        self._tables = np.stack([latency_table(route) for route in self.routes])
        self._places = domain_places(plant)
        self._own = OwnOutages(plant, self.routes, seed)
        self._route = _route_records(self.routes, self._own)
        self._order, self._members = return_order(plant, seed)
        self._return_over_ms = _return_over_ms(self.routes, self._members)
        self._window = _window_records(self.windows, seed)
        self._touches = _touches(self.windows)
        self._suspected: tuple[tuple[int, ...], I8] = (), np.zeros(len(plant.device), np.int8)
        self._until_ms = self._window["to_ms"] + int(self._return_over_ms.max())
        self._allowance = _allowances(self.routes, wakes_per_day)
        self._limits = _Limits.of(self.routes)
        self.threads = threads or Threads(workers)
        self._skew_ms = _clock_skews(plant, self.routes, seed)
        self._clocks = DeviceClocks.of(comms.clocks, plant.device, seed)
        self.state = self._fresh_state(clock)

    def _fresh_state(self, clock: Clock) -> NetworkState:
        start_ms = day_start_ms(clock.start)
        life_ms = np.repeat(self._limits.token_life_ms, CLOUDS // len(ROUTE_NAMES))
        shape = (0, len(ROUTE_NAMES), len(Kind), len(Outcome) + 1)
        return NetworkState(
            day=clock.start.toordinal(),
            used_today=np.zeros((2, len(self.plant.device)), np.int32),
            free_ns=np.zeros(CLOUDS, np.int64),
            token_until_ms=start_ms + life_ms,
            token_ready_ms=np.zeros(CLOUDS, np.int64),
            first_minute=start_ms // MINUTE_MS,
            messages=np.zeros(shape, np.int64),
            latency_ms=np.zeros(shape, np.int64),
        )

    # -------------------------------------------------------------------------------------------- carrying

    def carry_up(self, rows: I32, sent_ms: I64, kind: Kind) -> Carried:
        """The fate of what devices send: readings, acknowledgements, session starts. Rows in any order."""
        return self._travel(rows, sent_ms, np.zeros(0, np.int32), kind, np.zeros(len(rows), np.int8))

    def carry_down(self, rows: I32, now_ms: int, sequence: I32, kind: Kind) -> Carried:
        """The fate of commands that the gateway sends now, one after the other: set-points or polls."""
        outcome = self._refusals(rows, now_ms, kind)
        return self._travel(rows, np.full(len(rows), now_ms, np.int64), sequence, kind, outcome)

    def _refusals(self, rows: I32, now_ms: int, kind: Kind) -> I8:
        """What vendors' clouds refuse; the rest is written on the cloud's and the device's account."""
        state, limits = self.state, self._limits
        outcome = np.zeros(len(rows), np.int8)
        today = local_date(now_ms).toordinal()
        if today != state.day:
            state.day = today
            state.used_today[:] = 0
        account = 0 if kind == Kind.SETPOINTS else 1
        _admit(
            now_ms, rows, state.used_today[account], self._allowance[account], self.plant.route, self._places,
            limits.cost_ns, limits.burst_ns, limits.token_life_ms, limits.token_renewal_ms, state.free_ns,
            state.token_until_ms, state.token_ready_ms, self._standing(now_ms, kind), outcome,
        )  # fmt: skip
        return outcome

    def listen(self, from_ms: int, until_ms: int) -> ReadingsTrip:
        """Get ready to carry up the readings of a stretch, piece by piece."""
        return ReadingsTrip(self, self._set_out(from_ms, until_ms - 1, Kind.TELEMETRY), until_ms)

    def carry_readings(self, trip: _Trip, readings: Readings, until_ms: int) -> CarriedReadings:
        """Carry one piece of the readings of a stretch up; `ReadingsTrip` counts them."""
        count = len(readings.rows)
        messages, latency_ms = trip.accounts()
        arrived = _room(2 * count)
        later_at, later_ms = np.empty(2 * count, np.int64), np.empty(2 * count, np.int64)
        skew_ms = self._skew_ms if self._clocks is None else self._skew_ms[:0]
        now, later = _carry_readings(
            trip.quiet, until_ms, skew_ms, readings.columns(), trip.first_minute, self._key_up,
            self._own.key, self._drop_key, self._burst_key, self.plant.device, self.plant.route,
            self._report_every_ms, self._route, self._tables, self._limits.median_ms, self._own.hull_from_ms,
            self._own.hull_to_ms, self._own.calendar, trip.suspect, trip.windows, self._places,
            self._order, self._members, self._return_over_ms, arrived, later_at, later_ms,
            messages, latency_ms,
        )  # fmt: skip
        on_the_way = self._on_the_way(readings, later_at[:later], later_ms[:later])
        told = _telemetry(arrived, int(now))
        if self._clocks is not None:
            told = replace(told, event_ms=self.by_own_clock(told.rows, told.event_ms))
        return CarriedReadings(told, on_the_way, messages, latency_ms)

    def _on_the_way(self, readings: Readings, at: I64, arrival_ms: I64) -> Columns:
        """Readings that are still to arrive, as they will."""
        rows = readings.rows[at]
        return {
            "rows": rows,
            "event_ms": self.by_own_clock(rows, readings.event_ms[at]),
            "arrival_ms": arrival_ms.copy(),
            "import_w": readings.import_w[at],
            "register_wh": readings.register_wh[at],
            "status": readings.status[at],
            "soc_pct": readings.soc_pct[at],
        }

    def by_own_clock(self, rows: I32, event_ms: I64) -> I64:
        """What the devices' own clocks say of a moment."""
        shown_ms = event_ms if self._clocks is None else self._clocks.shown_ms(rows, event_ms)
        return shown_ms + self._skew_ms[rows] if len(self._skew_ms) else shown_ms

    def by_true_clock(self, rows: I32, own_ms: I64, now_ms: I64) -> I64:
        """When devices take it to be the moment `own_ms` that an order of `now_ms` names."""
        return own_ms if self._clocks is None else self._clocks.true_ms(rows, own_ms, now_ms)

    def _travel(self, rows: I32, sent_ms: I64, sequence: I32, kind: Kind, outcome: I8) -> Carried:
        count = len(rows)
        arrival_ms, copy_ms = np.empty(count, np.int64), np.zeros(count, np.int64)
        if count == 0:
            return Carried(arrival_ms, copy_ms, outcome)
        rows, sent_ms = np.ascontiguousarray(rows), np.ascontiguousarray(sent_ms)
        down = kind in DOWN
        refused = down and bool(outcome.any())
        trip = self._set_out(int(sent_ms.min()), int(sent_ms.max()), kind, may_be_refused=refused)
        pieces = equal_parts(count, min(self.threads.workers, count // _WORTH_A_THREAD) or 1)
        accounts = [trip.accounts() for _ in pieces]

        def carry(_worker: int, piece: int) -> None:
            part = slice(*pieces[piece])
            messages, latency_ms = accounts[piece]
            if trip.quiet:
                _carry_quietly(
                    rows[part], sent_ms[part], trip.first_minute, self.plant.route, self._limits.median_ms,
                    arrival_ms[part], messages, latency_ms,
                )  # fmt: skip
            else:
                _carry(
                    int(down), int(kind), rows[part], sent_ms[part], sequence[part], trip.first_minute,
                    self._key_down if down else self._key_up, self._own.key, self._drop_key,
                    self._burst_key, self.plant.device, self.plant.route, self._report_every_ms,
                    self._route, self._tables,
                    self._own.hull_from_ms, self._own.hull_to_ms, self._own.calendar, trip.suspect,
                    trip.windows, self._places, self._order, self._members, self._return_over_ms,
                    arrival_ms[part], copy_ms[part], outcome[part], messages, latency_ms,
                )  # fmt: skip

        self.threads.each(carry, len(pieces))
        for messages, latency_ms in accounts:
            self.count(trip.first_minute, kind, messages, latency_ms)
        return Carried(arrival_ms, copy_ms, outcome)

    def _set_out(self, first_ms: int, last_ms: int, kind: Kind, *, may_be_refused: bool = False) -> _Trip:
        """What is known before messages sent between two moments travel."""
        windows = self._standing(first_ms, kind)
        quiet = self._limits.quiet and len(windows) == 0 and not may_be_refused
        if not quiet:
            self._turn_calendar(last_ms)
        minutes = last_ms // MINUTE_MS - first_ms // MINUTE_MS + 1
        suspect = self._suspects(windows[:0] if quiet else windows, last_ms)
        return _Trip(first_ms // MINUTE_MS, minutes, windows, suspect, quiet)

    def _turn_calendar(self, until_ms: int) -> None:
        self._own.hold(until_ms)
        self._route["block"] = self._own.block
        self._route["block_from_ms"] = self._own.block * self._own.block_ms

    def _standing(self, from_ms: int, kind: Kind) -> NDArray[np.void]:
        """Shared outages that touch this kind of message and are not over at `from_ms`, by start."""
        return self._window[self._touches[:, kind] & (self._until_ms > from_ms)]

    def _suspects(self, windows: NDArray[np.void], until_ms: int) -> I8:
        """1 for each row that a shared outage begun by `until_ms` may touch; kept until outages change."""
        begun = windows[windows["from_ms"] <= until_ms]
        numbers = tuple(begun["number"].tolist())
        if numbers != self._suspected[0]:
            suspect = np.zeros(len(self._places), np.int8)
            for window in begun:
                suspect |= self._places[:, window["domain"]] == window["place"]
            self._suspected = numbers, suspect
        return self._suspected[1]

    # -------------------------------------------------------------------------------------------- accounts

    def count(self, minute: int, kind: Kind, messages: I64, latency_ms: I64) -> None:
        """Write a batch on the account: (minutes, routes, fates) from `minute` on."""
        state = self.state
        before = max(0, state.first_minute - minute)
        state.first_minute -= before
        place = minute - state.first_minute
        after = max(0, place + len(messages) - before - len(state.messages))
        if before or after:
            # Room for as much again, so that a long run does not copy its accounts every minute.
            room = [(before, after + len(state.messages) if after else 0), (0, 0), (0, 0), (0, 0)]
            state.messages, state.latency_ms = np.pad(state.messages, room), np.pad(state.latency_ms, room)
        state.messages[place : place + len(messages), :, kind] += messages
        state.latency_ms[place : place + len(messages), :, kind] += latency_ms

    def take_counts(self, until_ms: int) -> Counts:
        """Counts of the whole minutes before `until_ms` that were not taken yet."""
        state = self.state
        whole = max(0, min(until_ms // MINUTE_MS - state.first_minute, len(state.messages)))
        minute, route, kind, outcome = np.nonzero(state.messages[:whole])
        counts = Counts(
            (minute + state.first_minute) * MINUTE_MS, route.astype(np.int8), kind.astype(np.int8),
            outcome.astype(np.int8), state.messages[minute, route, kind, outcome],
            state.latency_ms[minute, route, kind, outcome],
        )  # fmt: skip
        state.messages, state.latency_ms = state.messages[whole:].copy(), state.latency_ms[whole:].copy()
        state.first_minute += whole
        return counts

    def outage_rows(self) -> list[OutageRow]:
        """Every shared outage of the run by start, those of chance included."""
        return [
            OutageRow(
                window.kind, window.name, window.from_ms, window.to_ms, window.directions, window.messages,
                window.drop, window.extra_latency_ms,
            )
            for window in self.windows
        ]  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Trip:
    """What a batch meets on its way: its minutes, the shared outages that stand, whom they may touch."""

    first_minute: int
    minutes: int
    windows: NDArray[np.void]
    suspect: I8
    quiet: bool

    def accounts(self) -> tuple[I64, I64]:
        """Room for the counts of messages and their latencies, (minutes, routes, fates) each."""
        shape = (self.minutes, len(ROUTE_NAMES), len(Outcome) + 1)
        return np.zeros(shape, np.int64), np.zeros(shape, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class CarriedReadings:
    """A piece of the readings: what has arrived by the end of the stretch, and what still will."""

    arrived: Telemetry
    later: Columns
    messages: I64
    latency_ms: I64


@dataclass(frozen=True, slots=True)
class ReadingsTrip:
    """Carries the readings of one stretch: `carry` each piece, on any thread, then `book` them all."""

    network: Network
    trip: _Trip
    until_ms: int

    def carry(self, readings: Readings) -> CarriedReadings:
        """What becomes of a piece; events are told by the devices' own clocks."""
        return self.network.carry_readings(self.trip, readings, self.until_ms)

    def book(self, pieces: list[CarriedReadings]) -> None:
        """Write what was carried on the network's account."""
        for piece in pieces:
            self.network.count(self.trip.first_minute, Kind.TELEMETRY, piece.messages, piece.latency_ms)


def _room(count: int) -> _TelemetryColumns:
    """Empty columns of `Telemetry`."""
    i32, i64, i8 = np.int32, np.int64, np.int8
    event_ms, arrival_ms = np.empty(count, i64), np.empty(count, i64)
    return (
        np.empty(count, i32), event_ms, arrival_ms, np.empty(count, i32), np.empty(count, i32),
        np.empty(count, i8), np.empty(count, i8),
    )  # fmt: skip


def _telemetry(columns: _TelemetryColumns, count: int) -> Telemetry:
    """The first `count` readings, shared and not copied."""
    rows, event_ms, arrival_ms, import_w, register_wh, status, soc_pct = columns
    return Telemetry(
        rows[:count], event_ms[:count], arrival_ms[:count], import_w[:count], register_wh[:count],
        status[:count], soc_pct[:count],
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Limits:
    """Per route: what its clouds allow, and whether nothing at all can go wrong anywhere."""

    median_ms: I64
    cost_ns: I64  # of one command, in time of the bucket; 0: unlimited
    burst_ns: I64
    token_life_ms: I64
    token_renewal_ms: I64
    quiet: bool

    @staticmethod
    def of(routes: tuple[Route, ...]) -> _Limits:
        cost_ns = [round(1e9 / route.rate_per_s) if route.rate_per_s else 0 for route in routes]
        return _Limits(
            median_ms=_column([route.latency_median_ms for route in routes]),
            cost_ns=_column(cost_ns),
            # The bucket holds at least one command, or none would ever pass.
            burst_ns=_column(
                [
                    max(route.rate_burst_ms * 1_000_000, cost)
                    for route, cost in zip(routes, cost_ns, strict=True)
                ]
            ),
            token_life_ms=_column([route.token_life_ms for route in routes]),
            token_renewal_ms=_column([route.token_renewal_ms for route in routes]),
            quiet=all(_is_quiet(route) for route in routes),
        )


def _is_quiet(route: Route) -> bool:
    chancy = (route.latency_log_sd, route.tail_share, route.loss_up, route.loss_down, route.duplicate)
    bursts = route.burst_loss_up or route.burst_loss_down
    return not any(chancy) and not bursts and not (route.offline_every_ms and route.offline_for_ms)


def _column(values: list[int]) -> I64:
    return np.array(values, np.int64)


def _route_records(routes: tuple[Route, ...], own: OwnOutages) -> NDArray[np.void]:
    records = np.zeros(len(routes), ROUTE)
    for place, route in enumerate(routes):
        records["loss"][place] = round(route.loss_up * _CERTAIN), round(route.loss_down * _CERTAIN)
        records["duplicate"][place] = round(route.duplicate * _CERTAIN)
        records["depth"][place] = route.backfill_depth
        bursts = OwnOutageLaw.of_bursts(route)
        records["burst_loss"][place] = (
            round(route.burst_loss_up * _CERTAIN), round(route.burst_loss_down * _CERTAIN),
        )  # fmt: skip
        for name in ("block_ms", "begins", "mean_ms", "look_back"):
            records[f"burst_{name}"][place] = getattr(bursts, name)
    for name in ("block_ms", "block", "begins", "mean_ms", "look_back"):
        records[name] = getattr(own, name)
    return records


def _window_records(windows: tuple[OutageWindow, ...], seed: int) -> NDArray[np.void]:
    records = np.zeros(len(windows), WINDOW)
    key = stream(seed, Purpose.STORM)
    for number, window in enumerate(windows):
        # Outages that end together turn the order alike: their storms are one, within the clouds' rates.
        shift, _, _, _ = words(key, 0, window.to_ms, 1)
        records[number] = (
            window.from_ms, window.to_ms, window.extra_latency_ms, round(window.drop * _CERTAIN), int(shift),
            window.domain, window.place, number,
        )  # fmt: skip
    return records


def _touches(windows: tuple[OutageWindow, ...]) -> NDArray[np.bool_]:
    """Which kinds of message each outage touches, shape (windows, kinds)."""
    table = [
        [
            kind in _TOUCHED[window.messages]
            and window.directions in ("both", "down" if kind in DOWN else "up")
            for kind in Kind
        ]
        for window in windows
    ]
    return np.array(table, np.bool_).reshape(len(windows), len(Kind))


def _return_over_ms(routes: tuple[Route, ...], members: I64) -> I64:
    """How long each cloud takes to take all its devices back: its spread, or longer by its rate (CLOUDS,)."""
    over_ms = np.zeros(CLOUDS, np.int64)
    for cloud, devices in enumerate(members):
        route = routes[cloud // (CLOUDS // len(routes))]
        slowest_ms = -int(-int(devices) * 1_000 // route.rate_per_s) if route.rate_per_s else 0
        over_ms[cloud] = max(route.reconnect_spread_ms, slowest_ms)
    return over_ms


def _clock_skews(plant: Plant, routes: tuple[Route, ...], seed: int) -> I64:
    """How far each clock is ahead (rows,) [ms], even over its route's range; (0,) where all are right."""
    widest_ms = _column([route.clock_skew_ms for route in routes])[plant.route]
    if not widest_ms.any():
        return np.empty(0, np.int64)
    # No message is sent at the epoch, so that this draw is nobody else's.
    share = units(stream(seed, Purpose.CARRY_UP), plant.device)[:, 0]
    return np.rint((2.0 * share - 1.0) * widest_ms).astype(np.int64)


def _allowances(routes: tuple[Route, ...], wakes_per_day: int) -> I64:
    """Commands and wakes per device and day, shape (2, routes); -1: any number."""
    commands = [route.commands_per_day or -1 for route in routes]
    wakes = [wakes_per_day if name == "ev_telematics_cloud" else -1 for name in ROUTE_NAMES]
    return np.array([commands, wakes], np.int64)
