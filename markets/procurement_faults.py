"""How a buyer of services misbehaves: one well-formed message in, the messages that are really sent out.

This owns what each kind of fault does to an event and its messages; how often it happens is
`settings.FaultPlan`, one occasion per event. What binds is told to settlement as it is, whatever the
aggregator hears (`markets/procurement.py`). Kinds: docs/markets.md F1-F7.
"""

from __future__ import annotations

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
from markets.procurement_settings import ServiceEventScript
from markets.procurement_terms import Timetable
from markets.settings import FaultPlan
from protocol.messages import Message, ServiceAward, ServiceDispatch, ServiceRequirement
from protocol.party import NEVER_MS
from protocol.periods import PERIOD_MS

ServiceSending = Sending[Message]
Instruction = ServiceAward | ServiceDispatch

MADE_BY_FAULT = -1
"""The occasion of an event that is itself a fault (conflicting): nothing else befalls it."""


@dataclass(frozen=True, slots=True)
class Course:
    """How an event goes: what it really asks for when offers are cleared, and when it is withdrawn, by what.

    `amended_ms` is when the aggregator is told of `needed_mw`, NEVER_MS where it stays as scripted.
    `withdrawn_ms` is NEVER_MS where it is not; `withdrawn_by` is empty where the script cancels it.
    """

    needed_mw: float
    amended_ms: int
    withdrawn_ms: int
    withdrawn_by: str


def course(event: ServiceEventScript, times: Timetable, plan: FaultPlan, occasion: int) -> Course:
    """What the faults of its occasion make of an event: half is needed (first half of the share), or nothing.

    Amended after the gate, or before anybody heard of it (out of order); withdrawn a minute after its
    results, or before anybody heard of it, and always before its start.
    """
    reordered, changed = plan.lot(occasion, "out_of_order"), plan.lot(occasion, "amend")
    amendments = [NEVER_MS]
    withdrawals = [(NEVER_MS if event.cancelled_ms is None else event.cancelled_ms, "")]
    if reordered is not None and reordered < 0.5:
        amendments.append(times.published_ms)
    elif reordered is not None:
        withdrawals.append((times.published_ms, "out_of_order"))
    if changed is not None and changed < 0.5:
        amendments.append(min(times.submit_by_ms + AMEND_AFTER_MS, times.results_by_ms))
    elif changed is not None:
        withdrawals.append((min(times.results_by_ms + AMEND_AFTER_MS, event.start_ms - 1), "amend"))
    amended_ms = min(amendments)
    needed_mw = event.turn_down_mw if amended_ms == NEVER_MS else event.turn_down_mw / 2
    return Course(needed_mw, amended_ms, *min(withdrawals))


def conflicting(
    event: ServiceEventScript, times: Timetable, slack_ms: int, plan: FaultPlan, occasion: int
) -> ServiceEventScript | None:
    """The second event for the same time with half the megawatts; None where that fault does not happen.

    It is published later than the first, by no more than the `slack_ms` that is left to call it in time.
    """
    if plan.lot(occasion, "conflicting") is None:
        return None
    return replace(
        event,
        event_id=f"{event.event_id}-again",
        turn_down_mw=event.turn_down_mw / 2,
        published_ms=times.published_ms + min(CONFLICT_AFTER_MS, slack_ms),
        cancelled_ms=None,
    )


def requirement_sendings(
    first: ServiceRequirement, now_ms: int, goes: Course, plan: FaultPlan, occasion: int
) -> tuple[ServiceSending, ...]:
    """The requirement as scripted and, where another holds, as amended: after the gate, or out of order."""
    reordered = plan.lot(occasion, "out_of_order")
    kind = "conflicting" if occasion == MADE_BY_FAULT else ""
    at_ms = now_ms if reordered is None else now_ms + OUT_OF_ORDER_MS
    said: list[ServiceSending] = [Sending(at_ms, first, kind)]
    if goes.amended_ms != NEVER_MS:
        amended = replace(first, turn_down_mw=goes.needed_mw, version=first.version + 1)
        why = "amend" if goes.amended_ms > now_ms else "out_of_order"
        said.append(Sending(goes.amended_ms, amended, why))
    return with_repeats(said, first.end_ms, plan, occasion)


def instruction_sendings(
    told: Instruction, now_ms: int, plan: FaultPlan, occasion: int
) -> tuple[ServiceSending, ...]:
    """An award that instructs, or a start: possibly for the wrong unit, impossible or late."""
    start_ms, end_ms = window_ms(told)
    sent, at_ms, kind = told, now_ms, ""
    if plan.lot(occasion, "wrong_unit") is not None:
        sent, kind = replace(sent, unit=WRONG_UNIT), "wrong_unit"
    if (lot := plan.lot(occasion, "impossible")) is not None:
        sent, kind = impossible(sent)[int(4 * lot)], "impossible"
    if (lot := plan.lot(occasion, "late")) is not None:
        at_ms, kind = (start_ms if lot < 0.5 else end_ms) + LATE_BY_MS, "late"
    return with_repeats([Sending(at_ms, sent, kind)], end_ms, plan, occasion)


def impossible(told: Instruction) -> tuple[Instruction, ...]:
    """More than was offered; a period later; for no time at all; in the other direction."""
    start_ms, end_ms = window_ms(told)
    return (
        _scaled(told, 1.0, BEYOND_MW),
        _moved(told, start_ms + PERIOD_MS, end_ms + PERIOD_MS),
        _moved(told, start_ms, start_ms),
        _scaled(told, -1.0, 0.0),
    )


def window_ms(told: Instruction) -> tuple[int, int]:
    """From when until when it instructs [UTC ms]."""
    if isinstance(told, ServiceAward):
        return told.start_ms, told.end_ms
    return told.at_ms, told.until_ms


def _moved(told: Instruction, start_ms: int, end_ms: int) -> Instruction:
    if isinstance(told, ServiceAward):
        return replace(told, start_ms=start_ms, end_ms=end_ms)
    return replace(told, at_ms=start_ms, until_ms=end_ms)


def _scaled(told: Instruction, factor: float, beyond_mw: float) -> Instruction:
    """The same with every level times `factor`, and further from nothing by `beyond_mw`."""

    def level(mw: float) -> float:
        return factor * mw + (beyond_mw if mw > 0 else -beyond_mw)

    if isinstance(told, ServiceAward):
        return replace(told, turn_down_mw=tuple(level(mw) for mw in told.turn_down_mw))
    return replace(told, turn_down_mw=level(told.turn_down_mw))


def with_repeats(
    said: list[ServiceSending], end_ms: int, plan: FaultPlan, occasion: int
) -> tuple[ServiceSending, ...]:
    """Every message once more where that fault happens: a second later, or replayed when all is over."""
    lot = plan.lot(occasion, "duplicate")
    if lot is None:
        return tuple(said)
    over_ms = end_ms if lot >= 0.5 else 0
    repeats = [
        Sending(max(one.at_ms, over_ms) + DUPLICATE_AFTER_MS, one.message, "duplicate") for one in said
    ]
    return (*said, *repeats)
