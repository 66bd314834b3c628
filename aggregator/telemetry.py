"""The last believable word of every asset, and the portfolio's power second by second as readings arrive.

One record per asset ("board"), one pass over each batch. A reading is taken if it is newer than what is
held and plausible; everything else is counted and leaves its mark in the asset's quality bits. Nothing is
ever filled in. The power of a group is the sum of what is held (sample and hold of the newest reading that
has arrived), so it changes only when a reading arrives, by the difference: those differences are binned by
group and arrival second.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aggregator.prefetch import AHEAD, prefetch
from aggregator.registry import Registry
from aggregator.settings import Assumptions
from aggregator.technologies import EXPORTS, TABLE
from protocol.messages import I64, UNKNOWN, AssetRegistration, SessionStarts, Telemetry

Records = NDArray[Any]
"""An array of records (structured dtype)."""


class Quality(IntFlag):
    """What is wrong with the last word of an asset; no bit: nothing."""

    LATE = 1  # told long after it was measured
    MISSING = 2  # never heard of
    STALE = 4  # judged when looked at, by age
    IMPLAUSIBLE = 8  # the last one was quarantined: power, register or clock cannot be
    DUPLICATE = 16  # the last one had been told before
    REGISTER = 32  # the last one's register did not fit; a second one in a row is believed (meter exchange)


LATE, MISSING, IMPLAUSIBLE, DUPLICATE, REGISTER = 1, 2, 8, 16, 32

READING = np.dtype(
    [
        ("event_ms", "i8"),  # by the device's own clock; 0: never heard of
        ("delay_ms", "i4"),  # arrival - event
        ("import_w", "i4"),
        ("register_wh", "i4"),
        ("rating_w", "i4"),
        ("group", "i2"),
        ("status", "i1"),  # AssetStatus
        ("soc_pct", "i1"),
        ("quality", "u1"),
        ("technology", "i1"),  # protocol.messages.Technology
        ("report_every_s", "u2"),
    ]
)
"""What is held of an asset: 32 bytes, two to a cache line."""

SESSION = np.dtype(
    [
        ("ready_by_ms", "i8"),  # told for this session; 0: not told
        ("start_ms", "i8"),  # of the session last told of
        ("start_register_wh", "i4"),
        ("free_w", "i4"),  # what it drew before it was held back; 0: not known
        ("energy_wh", "i4"),  # of all sessions ended
        ("sessions", "i4"),
        ("battery_wh", "i4"),
        ("ready_by_minute", "i2"),
        ("start_soc_pct", "i1"),  # told at the start of this session
        ("target_pct", "i1"),  # of this session
        ("standing_target_pct", "i1"),
        ("soc_known", "i1"),
    ],
    align=True,
)
"""What is known of an asset's sessions: 48 bytes."""

UNPLUGGED, WAITING, CHARGING, LIMITED, FULL, OVERRIDDEN = 0, 1, 2, 3, 4, 5

COUNTS = ("late", "duplicate", "overtaken", "implausible", "register", "after_publication")
"""The columns of `Store.counts`: readings per group and kind since the start."""
QUARANTINED = ("implausible", "register")
"""Those of readings that cannot be and were not taken."""


@dataclass(slots=True)
class Store:
    """All that is held of telemetry.

    `board` (assets) of READING, `sessions` (assets) of SESSION, `power_w` (groups) sum of held import [W],
    `counts` (groups, COUNTS), `change_w` (groups, seconds) changes not yet published, the first column being
    the second `first_s` [UTC s].
    """

    board: Records
    sessions: Records
    power_w: I64
    counts: I64
    change_w: I64
    first_s: int
    readings: int


def new_store(
    registration: AssetRegistration, registry: Registry, assumed: Assumptions, now_ms: int, seconds: int
) -> Store:
    """An empty store for all registered assets; `seconds` of changes are kept."""
    groups = len(registry.groups)
    return Store(
        board=_new_board(registration, registry),
        sessions=_new_sessions(registration, assumed),
        power_w=np.zeros(groups, np.int64),
        counts=np.zeros((groups, len(COUNTS)), np.int64),
        change_w=np.zeros((groups, seconds), np.int64),
        first_s=now_ms // 1000,
        readings=0,
    )


def _new_board(registration: AssetRegistration, registry: Registry) -> Records:
    board = np.zeros(registry.count, READING)
    board["rating_w"] = registration.rating_w
    board["group"] = registry.group
    board["technology"] = registration.technology
    board["soc_pct"] = UNKNOWN
    board["quality"] = MISSING
    board["report_every_s"] = np.minimum(registration.report_every_s, 65_535)
    return board


def _new_sessions(registration: AssetRegistration, assumed: Assumptions) -> Records:
    sessions = np.zeros(len(registration.home), SESSION)
    minute = registration.ready_by_minute
    target = np.where(registration.target_pct > 0, registration.target_pct, 100)
    sessions["battery_wh"] = registration.battery_wh
    sessions["ready_by_minute"] = np.where(minute >= 0, minute, assumed.default_ready_by_minute)
    sessions["start_soc_pct"] = UNKNOWN
    sessions["target_pct"] = target
    sessions["standing_target_pct"] = target
    sessions["soc_known"] = registration.soc_known
    return sessions


def observe(store: Store, told: Telemetry, assumed: Assumptions) -> None:
    """Take a batch of readings, in any order of event."""
    store.readings += len(told.rows)
    observe_kernel(
        store.board,
        store.sessions,
        store.power_w,
        store.counts,
        store.change_w,
        store.first_s,
        told.rows,
        told.event_ms,
        told.arrival_ms,
        told.import_w,
        told.register_wh,
        told.status,
        told.soc_pct,
        assumed.late_after_ms,
        assumed.clock_ahead_ms,
        assumed.clock_behind_ms,
        TABLE,
    )


@njit(cache=True, nogil=True)
def turn(sessions: Any, row: int, held_w: int, register_wh: int, before: int, after: int) -> None:
    """What a change of status says about sessions: plugged in, unplugged, held back."""
    session = sessions[row]
    if before == UNPLUGGED:
        session.start_register_wh = register_wh
    elif after == UNPLUGGED:
        delivered_wh = register_wh - session.start_register_wh
        if delivered_wh > 0 and session.start_register_wh > 0:
            session.energy_wh += delivered_wh
            session.sessions += 1
        session.start_soc_pct = -1
        session.target_pct = session.standing_target_pct
        session.ready_by_ms = 0
        session.free_w = 0
    elif after == LIMITED and before == CHARGING and held_w > 0:
        session.free_w = held_w


@njit(cache=True, nogil=True)
def observe_kernel(
    board: Any,
    sessions: Any,
    power_w: Any,
    counts: Any,
    change_w: Any,
    first_s: int,
    rows: Any,
    event_ms: Any,
    arrival_ms: Any,
    import_w: Any,
    register_wh: Any,
    status: Any,
    soc_pct: Any,
    late_after_ms: int,
    clock_ahead_ms: int,
    clock_behind_ms: int,
    table: Any,
) -> None:
    """One pass over a batch; see the module. Its plain twin is in the tests.

    Plausible: 0 <= power <= 1.1 x rating, for what can export down to -1.1 x rating; register not falling,
    and not rising faster than 1.1 x rating allows (2 Wh for its rounding); event at most `clock_ahead_ms`
    after and `clock_behind_ms` before arrival.
    """
    held_ms, held_delay_ms, held_w = board["event_ms"], board["delay_ms"], board["import_w"]
    held_wh, held_status, held_soc = board["register_wh"], board["status"], board["soc_pct"]
    quality, rating_w, group_of = board["quality"], board["rating_w"], board["group"]
    technology = board["technology"]
    last = change_w.shape[1] - 1
    final = rows.shape[0] - 1
    for k in range(rows.shape[0]):
        prefetch(held_ms, np.int64(rows[min(k + AHEAD, final)]))
        row = np.int64(rows[k])
        event = event_ms[k]
        delay = arrival_ms[k] - event
        watts = import_w[k]
        group = group_of[row]
        since = event - held_ms[row]
        if since <= 0:
            if since == 0:
                quality[row] |= DUPLICATE
                counts[group, 1] += 1
            elif delay > clock_behind_ms:  # a clock that has begun at its epoch again
                quality[row] |= IMPLAUSIBLE
                counts[group, 3] += 1
            else:
                counts[group, 2] += 1
            continue
        highest = 11 * np.int64(rating_w[row])
        lowest = 0 if watts >= 0 else -highest * table[technology[row], EXPORTS]
        tenfold = 10 * np.int64(watts)
        if delay < -clock_ahead_ms or delay > clock_behind_ms or tenfold < lowest or tenfold > highest:
            quality[row] |= IMPLAUSIBLE
            counts[group, 3] += 1
            continue
        rise = np.int64(register_wh[k]) - held_wh[row]
        if rise < 0 or (rise - 2) * 36_000_000 > highest * since:
            if quality[row] & REGISTER == 0:
                quality[row] |= REGISTER
                counts[group, 4] += 1
                continue
            # A second one in a row: another meter. What this session has drawn so far is not known any more.
            sessions[row].start_register_wh = register_wh[k]
        mark = 0
        if delay > late_after_ms:
            mark = LATE
            counts[group, 0] += 1
        if status[k] != held_status[row] or quality[row] & MISSING:
            turn(sessions, rows[k], held_w[row], register_wh[k], held_status[row], status[k])
            held_status[row] = status[k]
        change = watts - held_w[row]
        if change != 0:
            second = arrival_ms[k] // 1000 - first_s
            if second < 0:
                counts[group, 5] += 1
                second = 0
            change_w[group, min(second, last)] += change
            power_w[group] += change
            held_w[row] = watts
        held_ms[row] = event
        held_delay_ms[row] = delay
        held_wh[row] = register_wh[k]
        held_soc[row] = soc_pct[k]
        quality[row] = mark


def begin_sessions(store: Store, told: SessionStarts) -> None:
    """Take what apps and cars told about sessions that began; an older one than is known changes nothing."""
    begin_kernel(
        store.board,
        store.sessions,
        told.rows,
        told.event_ms,
        told.soc_pct,
        told.target_pct,
        told.ready_by_ms,
    )


@njit(cache=True, nogil=True)
def begin_kernel(
    board: Any, sessions: Any, rows: Any, event_ms: Any, soc_pct: Any, target_pct: Any, ready_by_ms: Any
) -> None:
    """See `begin_sessions`."""
    for k in range(rows.shape[0]):
        session = sessions[rows[k]]
        if event_ms[k] <= session.start_ms:
            continue
        held = board[rows[k]]
        if held.status != UNPLUGGED and held.event_ms < event_ms[k]:
            # Unplugged and plugged in again between two readings.
            session.start_register_wh = held.register_wh
            session.free_w = 0
        session.start_ms = event_ms[k]
        session.start_soc_pct = soc_pct[k]
        session.ready_by_ms = max(ready_by_ms[k], 0)
        session.target_pct = session.standing_target_pct
        if target_pct[k] > 0:
            session.target_pct = target_pct[k]
