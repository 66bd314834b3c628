"""How the DFS mock misbehaves: one well-formed message in, the messages that are really sent out.

This owns what each kind of fault does to an event and its messages; how often it happens is
`settings.FaultPlan`, one occasion per event. What binds is told to settlement as it is, whatever the
aggregator hears (`markets/dfs.py`). Kinds: docs/markets.md F1-F7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from markets.faults import (
    AMEND_AFTER_MS,
    BEYOND_MW,
    CONFLICT_AFTER_MS,
    DUPLICATE_AFTER_MS,
    LATE_BY_MS,
    OUT_OF_ORDER_MS,
    WRONG_UNIT,
    Sending,
)
from markets.settings import DfsEventScript, FaultPlan
from protocol.messages import DfsRequirement, DfsResult, Message
from protocol.party import NEVER_MS
from protocol.periods import PERIOD_MS

DfsSending = Sending[Message]

MADE_BY_FAULT = -1
"""The occasion of an event that is itself a fault (conflicting): nothing else befalls it."""


@dataclass(frozen=True, slots=True)
class Course:
    """How an event goes: as `scripted`, as it really `stands` for bids, and when it is withdrawn, by what.

    `withdrawn_ms` is NEVER_MS where it is not; `withdrawn_by` is empty where the script cancels it.
    """

    scripted: DfsEventScript
    stands: DfsEventScript
    withdrawn_ms: int
    withdrawn_by: str


def course(
    event: DfsEventScript, published_ms: int, results_by_ms: int, plan: FaultPlan, occasion: int
) -> Course:
    """What the faults of its occasion make of an event: amended (first half of the share) or withdrawn.

    Withdrawn out of order it is before anybody heard of it, else a minute after its results, and always
    before its start.
    """
    reordered, changed = plan.lot(occasion, "out_of_order"), plan.lot(occasion, "amend")
    amended = any(lot is not None and lot < 0.5 for lot in (reordered, changed))
    withdrawals = [(NEVER_MS if event.cancelled_ms is None else event.cancelled_ms, "")]
    if reordered is not None and reordered >= 0.5:
        withdrawals.append((published_ms, "out_of_order"))
    if changed is not None and changed >= 0.5:
        withdrawals.append((min(results_by_ms + AMEND_AFTER_MS, event.start_ms - 1), "amend"))
    return Course(event, _shorter(event) if amended else event, *min(withdrawals))


def conflicting(
    event: DfsEventScript, published_ms: int, results_by_ms: int, plan: FaultPlan, occasion: int
) -> DfsEventScript | None:
    """The second event for the same time with half the megawatts; None where that fault does not happen."""
    if plan.lot(occasion, "conflicting") is None:
        return None
    latest_ms = event.start_ms - 1 - (results_by_ms - published_ms)
    return replace(
        event,
        event_id=f"{event.event_id}-again",
        turn_down_mw=event.turn_down_mw / 2,
        published_ms=min(published_ms + CONFLICT_AFTER_MS, latest_ms),
        cancelled_ms=None,
    )


def requirement_sendings(
    first: DfsRequirement, stands: DfsRequirement, now_ms: int, plan: FaultPlan, occasion: int
) -> tuple[DfsSending, ...]:
    """The requirement as scripted and, where it stands otherwise, as amended: after it, or out of order."""
    reordered, changed = plan.lot(occasion, "out_of_order"), plan.lot(occasion, "amend")
    kind = "conflicting" if occasion == MADE_BY_FAULT else ""
    said: list[DfsSending] = [Sending(now_ms if reordered is None else now_ms + OUT_OF_ORDER_MS, first, kind)]
    if reordered is not None and reordered < 0.5:
        said.append(Sending(now_ms, stands, "out_of_order"))
    if changed is not None and changed < 0.5:
        said.append(Sending(now_ms + AMEND_AFTER_MS, stands, "amend"))
    return _with_repeats(said, first.end_ms, plan, occasion)


def result_sendings(result: DfsResult, now_ms: int, plan: FaultPlan, occasion: int) -> tuple[DfsSending, ...]:
    """An answer to a bid; an acceptance is possibly for the wrong unit, impossible or late."""
    at_ms, told, kind = now_ms, result, ""
    if result.accepted and plan.lot(occasion, "wrong_unit") is not None:
        told, kind = replace(told, unit=WRONG_UNIT), "wrong_unit"
    if result.accepted and (lot := plan.lot(occasion, "impossible")) is not None:
        told, kind = impossible_results(told)[int(4 * lot)], "impossible"
    if result.accepted and (lot := plan.lot(occasion, "late")) is not None:
        at_ms, kind = (result.start_ms if lot < 0.5 else result.end_ms) + LATE_BY_MS, "late"
    return _with_repeats([Sending(at_ms, told, kind)], result.end_ms, plan, occasion)


def withdrawal_sendings(
    message: Message, event: Course, now_ms: int, plan: FaultPlan, occasion: int
) -> tuple[DfsSending, ...]:
    """The cancellation of an event, by the script or by a fault."""
    return _with_repeats(
        [Sending(now_ms, message, event.withdrawn_by)], event.scripted.end_ms, plan, occasion
    )


def impossible_results(result: DfsResult) -> tuple[DfsResult, DfsResult, DfsResult, DfsResult]:
    """More than was bid; a period later than the event; for no time at all; in the other direction."""
    return (
        replace(result, turn_down_mw=tuple(mw + math.copysign(BEYOND_MW, mw) for mw in result.turn_down_mw)),
        replace(result, start_ms=result.start_ms + PERIOD_MS, end_ms=result.end_ms + PERIOD_MS),
        replace(result, end_ms=result.start_ms),
        replace(result, turn_down_mw=tuple(-mw for mw in result.turn_down_mw)),
    )


def _shorter(event: DfsEventScript) -> DfsEventScript:
    """The amended event: half the megawatts, without its last period where it has more than one."""
    end_ms = max(event.end_ms - PERIOD_MS, event.start_ms + PERIOD_MS)
    return replace(event, end_ms=end_ms, turn_down_mw=event.turn_down_mw / 2)


def _with_repeats(
    said: list[DfsSending], end_ms: int, plan: FaultPlan, occasion: int
) -> tuple[DfsSending, ...]:
    """Every message once more where that fault happens: a second later, or replayed when all is over."""
    lot = plan.lot(occasion, "duplicate")
    if lot is None:
        return tuple(said)
    over_ms = end_ms if lot >= 0.5 else 0
    repeats = [
        Sending(max(one.at_ms, over_ms) + DUPLICATE_AFTER_MS, one.message, "duplicate") for one in said
    ]
    return (*said, *repeats)
