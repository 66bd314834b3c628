"""The order that a device stands under: taken, waiting for its start, in force, over.

Every device that can be told something keeps the same seven fields of STATE for it: `limit_w`,
`limit_until_s`, `pending_limit_w`, `pending_from_s` (0: none waits), `pending_for_s`, `sequence` and `at_ms`.
What a limit means, and which orders it refuses for reasons of its own, each device says for itself.

Schedules run in whole seconds (OCPP 1.6J charging profiles): starts round up, ends round down.
"""

from __future__ import annotations

from typing import Any

from devices.scalar import scalar

NO_LIMIT_W = -1
"""No limit in force: the device does what it would do by itself."""
APPLIED, OLD_SEQUENCE, EXPIRED = 0, 1, 2
"""`protocol.messages.AckOutcome` of these names."""
_BEGAN, _ENDED = 1 << 5, 1 << 6
"""Bits of `devices.ev.EventKind`: HELD_BACK and LIMIT_ENDED."""


@scalar
def refusal(s: Any, now_ms: int, until_ms: int, sequence: int) -> int:
    """OLD_SEQUENCE or EXPIRED for an order that comes too late; APPLIED for one that may be taken."""
    if sequence <= s.sequence:
        return OLD_SEQUENCE
    if until_ms <= now_ms:
        return EXPIRED
    return APPLIED


@scalar
def take(
    s: Any,
    now_ms: int,
    limit_w: int,
    from_ms: int,
    until_ms: int,
    sequence: int,
    start_delay_s: int,
    end_delay_s: int,
    hold_cap_s: int,
) -> None:
    """Stand under an order from its start, `start_delay_s` late, to its end, `end_delay_s` late.

    No order holds longer than `hold_cap_s`, whatever it says. NO_LIMIT_W ends what is in force and forgets
    what waits.
    """
    s.sequence = sequence
    begin_s = max((from_ms + 999) // 1000, (now_ms + 999) // 1000) + start_delay_s
    if limit_w == NO_LIMIT_W:
        s.pending_from_s = 0
        if s.limit_w != NO_LIMIT_W:
            s.limit_until_s = min(int(s.limit_until_s), begin_s)
    else:
        end_s = min(until_ms // 1000, begin_s + hold_cap_s) + end_delay_s
        if from_ms <= now_ms and start_delay_s == 0:
            s.limit_w = limit_w
            s.limit_until_s = end_s
            s.pending_from_s = 0
        else:
            s.pending_limit_w = limit_w
            s.pending_from_s = begin_s
            s.pending_for_s = max(end_s - begin_s, 1)
    if s.limit_w != NO_LIMIT_W and int(s.limit_until_s) * 1000 <= now_ms:
        s.limit_w = NO_LIMIT_W


@scalar
def turn(s: Any, now_ms: int) -> int:
    """Begin what waits and end what is over at `now_ms`; gives the bits of HELD_BACK and LIMIT_ENDED."""
    bits = 0
    if s.pending_from_s and int(s.pending_from_s) * 1000 <= now_ms:
        s.limit_w = s.pending_limit_w
        s.limit_until_s = int(s.pending_from_s) + int(s.pending_for_s)
        s.pending_from_s = 0
        bits |= _BEGAN
    if s.limit_w != NO_LIMIT_W and int(s.limit_until_s) * 1000 <= now_ms:
        s.limit_w = NO_LIMIT_W
        bits |= _ENDED
    return bits


@scalar
def forget(s: Any) -> None:
    """Stand under no order any more."""
    s.limit_w = NO_LIMIT_W
    s.pending_from_s = 0


@scalar
def next_turn_ms(s: Any, best_ms: int) -> int:
    """The earlier of `best_ms` and the next moment after `at_ms` at which `turn` has something to do."""
    at_ms = int(s.at_ms)
    if s.pending_from_s:
        best_ms = sooner(at_ms, int(s.pending_from_s) * 1000, best_ms)
    if s.limit_w != NO_LIMIT_W:
        best_ms = sooner(at_ms, int(s.limit_until_s) * 1000, best_ms)
    return best_ms


@scalar
def sooner(at_ms: int, candidate_ms: int, best_ms: int) -> int:
    """The earlier of a candidate and the best so far, if the candidate is still to come."""
    if at_ms < candidate_ms < best_ms:
        return candidate_ms
    return best_ms
