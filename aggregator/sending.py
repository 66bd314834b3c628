"""What each asset has been told, what it answered, and whom to tell next: sequence, validity, retries,
back-off.

A row's `intent` is what it should be doing, `told` what it was last told. They differ until a set-point is
sent. A set-point that nobody answers is sent again with the same intent and a new sequence, `retries`
times; then it is given up, and what it may have done ends by itself with its validity window. Orders are
limits, so one that arrives twice does nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from aggregator.settings import AggregatorSettings, Assumptions
from aggregator.telemetry import Records
from protocol.messages import I8, I64, NO_LIMIT_W, Acks, Setpoints

FREE, HELD, RAISED = 0, 1, 2
"""Intents: own will; held back, at no import or below; asked to draw more now, roofs to give nothing."""

SILENT, UNANSWERED, ACKNOWLEDGED, SEEN, GIVEN_UP = 0, 1, 2, 3, 4
"""Answers to the last set-point: none sent; none yet; acknowledged; its effect seen in telemetry; none at
all.
"""

CONTROL = np.dtype(
    [
        ("sent_ms", "i8"),  # when last told
        ("until_ms", "i8"),  # validity of what was last told
        ("sure_ms", "i8"),  # validity of what is known to have arrived
        ("next_ms", "i8"),  # not told the same again before
        ("since_ms", "i8"),  # when the present intent takes effect
        ("sequence", "i4"),
        ("nominal_w", "i4"),  # what it drew when it was chosen
        ("barred_s", "u4"),  # not chosen before [UTC s]
        ("release_s", "u4"),  # when to let go after the end [UTC s]; NO_RELEASE_S: not yet known
        ("intent", "i1"),
        ("told", "i1"),
        ("answer", "i1"),
        ("attempts", "i1"),
        ("polls", "i1"),  # asked for a reading today
        ("proven", "i1"),  # has obeyed the present hold at least once
        ("level_pct", "i1"),  # share of its rating at which it is to be held or raised; negative: export
    ],
    align=True,
)
"""What the aggregator wants of an asset: 64 bytes, one cache line."""

NO_RELEASE_S = 2**32 - 1

RESPONDED, FAILED, UP_RESPONDED, UP_FAILED = 0, 1, 2, 3
"""Columns of the experience with orders (groups, 4): power [W] that did and did not follow, down and up."""


def new_control(assets: int) -> Records:
    """Nobody has been told anything."""
    control = np.zeros(assets, CONTROL)
    control["release_s"] = NO_RELEASE_S
    return control


@njit(cache=True, nogil=True, inline="always")
def jitter_ms(row: int, attempt: int, spread_ms: int) -> Any:
    """A deterministic 0 .. spread_ms, unlike for each row and attempt (multiplicative hash, Knuth 6.4)."""
    mixed = (np.uint64(row) * np.uint64(64) + np.uint64(attempt) + np.uint64(1)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    return np.int64((mixed >> np.uint64(40)) % np.uint64(spread_ms + 1))


def take_acks(
    control: Records,
    board: Records,
    experience: I64,
    acks: Acks,
    now_ms: int,
    settings: AggregatorSettings,
    assumed: Assumptions,
) -> None:
    """Match acknowledgements to what was told; one for an older intent than the last told changes nothing."""
    acks_kernel(
        control,
        board,
        experience,
        acks.rows,
        acks.sequence,
        acks.outcome,
        now_ms,
        settings.retry_after_ms,
        settings.retry_jitter_ms,
        assumed.bar_ms,
    )


@njit(cache=True, nogil=True)
def acks_kernel(
    control: Any,
    board: Any,
    experience: Any,
    rows: Any,
    sequence: Any,
    outcome: Any,
    now_ms: int,
    retry_after_ms: int,
    retry_jitter_ms: int,
    bar_ms: int,
) -> None:
    """See `take_acks`. Outcomes are `protocol.messages.AckOutcome`."""
    for k in range(rows.shape[0]):
        row = rows[k]
        c = control[row]
        if sequence[k] > c.sequence or sequence[k] <= c.sequence - c.attempts:
            continue
        said = outcome[k]
        if said <= 1:  # APPLIED; or OLD_SEQUENCE: as only we number, an earlier copy of the same arrived
            sure_ms = c.until_ms
            if sequence[k] != c.sequence:
                sure_ms -= c.attempts * (retry_after_ms + retry_jitter_ms)
            c.sure_ms = max(c.sure_ms, sure_ms)
            if c.answer == UNANSWERED:
                c.answer = ACKNOWLEDGED
            elif c.answer == GIVEN_UP and c.intent != c.told:
                # It does what is no longer wanted of it: tell it so.
                c.answer = SILENT
        elif c.answer != UNANSWERED:
            continue
        elif said == 2:  # EXPIRED on the way
            c.next_ms = now_ms
        elif said in (3, 4):  # UNPLUGGED, OVERRIDDEN
            c.intent = FREE
            c.told = FREE
            c.answer = SILENT
            if said == 4:
                c.barred_s = (now_ms + bar_ms) // 1000
        elif said == 7:  # UNREACHABLE: the cloud will not find it sooner if asked again
            if c.intent == HELD:
                experience[board[row].group, FAILED] += c.nominal_w
            if c.intent == RAISED:
                experience[board[row].group, UP_FAILED] += c.nominal_w
            if c.sure_ms <= now_ms:
                c.intent = FREE
            c.answer = GIVEN_UP
            c.barred_s = (now_ms + bar_ms) // 1000
        else:  # RATE_LIMITED, UNAUTHORISED: the cloud is busy with itself
            wait_ms = retry_after_ms << min(c.attempts, 4)
            c.next_ms = now_ms + wait_ms + jitter_ms(row, c.attempts, retry_jitter_ms)


NOT_DUE, RELEASE, FIRST, RETRY, RENEWAL = 0, 1, 2, 3, 4
"""Why a row is due to be told, in the order in which rows are told."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What set-points of one group say now: whom they serve, and until when holds may last [UTC ms]."""

    instruction_id: str
    hold_until_ms: int
    response_dsr: bool


def set_points(
    control: Records,
    board: Records,
    rows: Any,
    stirs: I8,
    terms: Terms,
    now_ms: int,
    room: int,
    settings: AggregatorSettings,
) -> Setpoints | None:
    """Tell at most `room` of the due `rows`, and remember it; None when none is due.

    `stirs`: of which of them that can be at all (`belief.View`).
    """
    due = np.empty(len(rows), np.int8)
    count = due_kernel(
        control,
        rows,
        stirs,
        due,
        now_ms,
        terms.hold_until_ms,
        settings.validity_ms // 3,
        settings.retries,
    )
    count = min(int(count), room)
    if count == 0:
        return None
    told = np.empty(count, np.int32)
    limit_w = np.empty(count, np.int32)
    from_ms, until_ms = np.empty(count, np.int64), np.empty(count, np.int64)
    sequence = np.empty(count, np.int32)
    tell_kernel(
        control,
        board,
        rows,
        due,
        now_ms,
        terms.hold_until_ms,
        settings.validity_ms,
        settings.retry_after_ms,
        settings.retry_jitter_ms,
        told,
        limit_w,
        from_ms,
        until_ms,
        sequence,
    )
    return Setpoints(told, limit_w, from_ms, until_ms, sequence, terms.response_dsr, terms.instruction_id)


@njit(cache=True, nogil=True)
def due_kernel(
    control: Any,
    rows: Any,
    stirs: Any,
    due: Any,
    now_ms: int,
    hold_until_ms: int,
    renew_before_ms: int,
    retries: int,
) -> int:
    """Mark why each row is due; gives how many are. Gives up rows that have not answered often enough."""
    intent, told, answer = control["intent"], control["told"], control["answer"]
    attempts, next_ms, until_ms = control["attempts"], control["next_ms"], control["until_ms"]
    count = 0
    for p in range(rows.shape[0]):
        due[p] = NOT_DUE
        if not stirs[p]:
            continue
        row = rows[p]
        why = NOT_DUE
        if intent[row] != told[row]:
            if answer[row] != GIVEN_UP or intent[row] != FREE:
                why = RELEASE if intent[row] == FREE else FIRST
        elif answer[row] == UNANSWERED:
            if now_ms >= next_ms[row]:
                if attempts[row] <= retries:
                    why = RETRY
                else:
                    answer[row] = GIVEN_UP
        elif intent[row] != FREE and answer[row] != GIVEN_UP:
            ends_ms = min(now_ms + renew_before_ms, hold_until_ms)
            if until_ms[row] < ends_ms:
                why = RENEWAL
        due[p] = why
        if why != NOT_DUE:
            count += 1
    return count


@njit(cache=True, nogil=True, inline="always")
def level_w(rating_w: int, level_pct: int) -> Any:
    """The limit that a level stands for [W]; never NO_LIMIT_W, as levels are 0 or far from it."""
    return np.int64(rating_w) * level_pct // 100


@njit(cache=True, nogil=True)
def tell_kernel(
    control: Any,
    board: Any,
    rows: Any,
    due: Any,
    now_ms: int,
    hold_until_ms: int,
    validity_ms: int,
    retry_after_ms: int,
    retry_jitter_ms: int,
    out_row: Any,
    out_limit_w: Any,
    out_from_ms: Any,
    out_until_ms: Any,
    out_sequence: Any,
) -> None:
    """Write the set-points of as many due rows as there is room for, most urgent kind first, rows rising."""
    n = 0
    for why in range(RELEASE, RENEWAL + 1):
        for p in range(rows.shape[0]):
            if due[p] != why:
                continue
            if n == out_row.shape[0]:
                return
            row = rows[p]
            c = control[row]
            if why != RETRY:
                c.attempts = 0
            c.attempts += 1
            c.sequence += 1
            c.sent_ms = now_ms
            c.told = c.intent
            c.answer = UNANSWERED
            c.next_ms = now_ms + retry_after_ms + jitter_ms(row, c.sequence, retry_jitter_ms)
            out_row[n] = row
            out_sequence[n] = c.sequence
            if c.intent == FREE:
                c.until_ms = now_ms + validity_ms
                out_limit_w[n] = NO_LIMIT_W
                out_from_ms[n] = now_ms
            else:
                starts_ms = max(now_ms, c.since_ms)
                c.until_ms = max(min(starts_ms + validity_ms, hold_until_ms), now_ms + retry_after_ms)
                out_limit_w[n] = level_w(board[row].rating_w, c.level_pct)
                out_from_ms[n] = starts_ms
            out_until_ms[n] = c.until_ms
            n += 1
