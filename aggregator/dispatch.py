"""Which rows of a trading unit to hold, raise or let go so that its power changes by so many watts.

Rows are taken in the order of their slack, in buckets of a minute, and within a bucket in the order of
rows: two passes of counting instead of a sort, and exact to one asset.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from aggregator.belief import View
from aggregator.sending import FREE, NO_RELEASE_S, RAISED, SILENT
from aggregator.technologies import REST_MS, TABLE
from aggregator.telemetry import Records
from protocol.messages import I32, Technology

EV = int(Technology.EV)
BUCKET_S = 60
BUCKETS = 4096
"""Slack from 0 to 68 hours; more counts as 68 hours, less as 0."""


def choose(view: View, part: int, wanted_w: int, *, longest_first: bool, reach: bool) -> I32:
    """Positions of rows with this part whose counterfactual power adds up to `wanted_w` [W].

    `longest_first`: most slack first, else least. `reach`: the sum is the least one that is not below what is
    wanted (or all there is); else the last row is left out if it would lead beyond.
    """
    if wanted_w <= 0:
        return np.empty(0, np.int32)
    chosen = np.empty(len(view.part), np.int32)
    count = choose_kernel(view.part, view.slack_s, view.would_w, part, wanted_w, longest_first, reach, chosen)
    return chosen[:count].copy()


@njit(cache=True, nogil=True, inline="always")
def bucket_of(slack_s: int, longest_first: bool) -> int:
    """The bucket in the order of taking."""
    bucket = min(max(slack_s // BUCKET_S, 0), BUCKETS - 1)
    return BUCKETS - 1 - bucket if longest_first else bucket


@njit(cache=True, nogil=True)
def choose_kernel(
    part: Any,
    slack_s: Any,
    would_w: Any,
    wanted_part: int,
    wanted_w: int,
    longest_first: bool,
    reach: bool,
    chosen: Any,
) -> int:
    """See `choose`; gives how many rows were chosen."""
    power_w = np.zeros(BUCKETS, np.int64)
    for p in range(part.shape[0]):
        # No branch: parts lie at random, and a branch foreseen wrongly costs more than adding nothing.
        power_w[bucket_of(slack_s[p], longest_first)] += would_w[p] * (part[p] == wanted_part)
    last = 0
    sum_w = np.int64(0)
    while last < BUCKETS and sum_w + power_w[last] < wanted_w:
        sum_w += power_w[last]
        last += 1
    left_w = wanted_w - sum_w
    count = 0
    for p in range(part.shape[0]):
        bucket = bucket_of(slack_s[p], longest_first)
        if (bucket > last) | (part[p] != wanted_part):
            continue
        if bucket == last:
            if left_w <= 0 or (not reach and would_w[p] > left_w):
                continue
            left_w -= would_w[p]
        chosen[count] = p
        count += 1
    return count


def want(
    control: Records, board: Records, rows: I32, intent: int, since_ms: int, view: View, positions: I32
) -> None:
    """Give the chosen rows their new intent from `since_ms` on; nothing is sent yet.

    Who is let go rests as long as it was held, at most as long as its technology asks for.
    """
    want_kernel(control, board, rows, positions, view.would_w, view.level_pct, intent, since_ms, TABLE)


@njit(cache=True, nogil=True)
def want_kernel(
    control: Any,
    board: Any,
    rows: Any,
    positions: Any,
    would_w: Any,
    level_pct: Any,
    intent: int,
    since_ms: int,
    table: Any,
) -> None:
    """See `want`."""
    for k in range(positions.shape[0]):
        row = rows[positions[k]]
        c = control[row]
        technology = board[row].technology
        if intent == FREE:
            rest_ms = table[technology, REST_MS]
            if rest_ms > 0 and c.intent != FREE:
                rested_ms = since_ms + min(rest_ms, max(since_ms - c.since_ms, 0))
                c.barred_s = max(np.int64(c.barred_s), rested_ms // 1000)
            c.intent = FREE
        else:
            c.intent = intent
            c.since_ms = since_ms
            c.nominal_w = would_w[positions[k]]
            c.level_pct = level_pct[positions[k]]
            if technology == EV and intent == RAISED:
                c.level_pct = 100
            c.release_s = NO_RELEASE_S
            c.sure_ms = 0
            c.answer = SILENT
            c.attempts = 0
            c.proven = 0


def spread_release(control: Records, rows: I32, view: View, part: int, start_ms: int, over_ms: int) -> None:
    """Give every row with this part its own moment to be let go: tightest slack first, evenly over
    `over_ms`.
    """
    release_kernel(control, rows, view.part, view.slack_s, part, start_ms, over_ms)


@njit(cache=True, nogil=True)
def release_kernel(
    control: Any, rows: Any, part: Any, slack_s: Any, wanted_part: int, start_ms: int, over_ms: int
) -> None:
    """See `spread_release`."""
    place = np.zeros(BUCKETS + 1, np.int64)
    for p in range(part.shape[0]):
        if part[p] == wanted_part:
            place[bucket_of(slack_s[p], False) + 1] += 1
    for bucket in range(BUCKETS):
        place[bucket + 1] += place[bucket]
    count = max(place[BUCKETS], 1)
    for p in range(part.shape[0]):
        if part[p] == wanted_part:
            bucket = bucket_of(slack_s[p], False)
            control[rows[p]].release_s = (start_ms + over_ms * place[bucket] // count) // 1000
            place[bucket] += 1


def keep_holding(control: Records, rows: I32) -> None:
    """A new instruction takes over: nobody is let go because the last one ended."""
    control["release_s"][rows] = NO_RELEASE_S


def to_poll(
    control: Records,
    board: Records,
    sessions: Records,
    rows: I32,
    now_ms: int,
    stale_after_ms: int,
    per_day: int,
    most: int,
) -> I32:
    """Cars worth a wake: state of charge told, plugged in as far as known, not heard of lately; rows rising.

    Each is counted against its own `per_day`.
    """
    held = board[rows]
    told_ms = held["event_ms"] + held["delay_ms"]
    worth = (sessions["soc_known"][rows] == 1) & (now_ms - told_ms > stale_after_ms)
    worth &= (held["event_ms"] == 0) | np.isin(held["status"], (1, 2, 3))
    worth &= held["technology"] == EV
    worth &= control["polls"][rows] < per_day
    polled = rows[worth][:most]
    control["polls"][polled] += 1
    return np.asarray(polled, dtype=np.int32)
