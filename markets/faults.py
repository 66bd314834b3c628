"""How the ESO mock misbehaves: one well-formed acceptance in, the messages that are really sent out.

This owns what each kind of fault does to a message; how often it happens is `settings.FaultPlan`. What
becomes of the messages is the same rule for all of them (`markets/balancing.py`), whoever misbehaved. Kinds:
docs/markets.md F1-F7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from markets.settings import FaultPlan
from protocol.messages import BidOfferAcceptance, Message, Point, Profile
from protocol.periods import MINUTE_MS

DUPLICATE_AFTER_MS = 1_000
OUT_OF_ORDER_MS = 5_000
CONFLICT_AFTER_MS = 30_000
AMEND_AFTER_MS = MINUTE_MS
LATE_BY_MS = 5 * MINUTE_MS
BEYOND_MW = 5.0
"""How far an impossible level lies beyond MEL or MIL. These six are ours: chosen to be noticed, without
source.
"""
WRONG_UNIT = "E_NOTOURS-1"


MessageT_co = TypeVar("MessageT_co", bound=Message, covariant=True)


@dataclass(frozen=True, slots=True)
class Sending(Generic[MessageT_co]):
    """One message on the way to the aggregator: `kind` names the fault that made it, empty for none."""

    at_ms: int
    message: MessageT_co
    kind: str


AcceptanceSending = Sending[BidOfferAcceptance]


@dataclass(frozen=True, slots=True)
class Temptation:
    """What the faults need to know of an acceptance besides itself.

    `other`: another feasible profile, for amendments and conflicts. `bound_mw`: the limit (MEL when turning
    down, MIL when turning up) that an impossible level breaks.
    """

    other: Profile
    bound_mw: float


def sendings(
    acceptance: BidOfferAcceptance, tempted: Temptation, plan: FaultPlan, occasion: int
) -> tuple[AcceptanceSending, ...]:
    """The messages sent instead of `acceptance` on this occasion, in order of time.

    Numbers used: that of the acceptance, and the one after it for a conflicting second acceptance.
    """
    original = _original(acceptance, tempted, plan, occasion)
    sent = [original]
    if (lot := plan.lot(occasion, "out_of_order")) is not None:
        sent = _out_of_order(original, tempted, withdrawn=lot >= 0.5)
    if (lot := plan.lot(occasion, "amend")) is not None:
        sent.append(_amended(original, tempted, withdrawn=lot >= 0.5))
    if plan.lot(occasion, "conflicting") is not None:
        sent.append(_conflicting(original, tempted))
    if (lot := plan.lot(occasion, "duplicate")) is not None:
        sent.append(_repeated(original, after_the_end=lot >= 0.5))
    return tuple(sorted(sent, key=lambda sending: sending.at_ms))


def _original(
    acceptance: BidOfferAcceptance, tempted: Temptation, plan: FaultPlan, occasion: int
) -> AcceptanceSending:
    """The first message, possibly to the wrong unit, impossible or late."""
    sending = Sending(acceptance.accepted_ms, acceptance, "")
    if plan.lot(occasion, "wrong_unit") is not None:
        sending = Sending(sending.at_ms, replace(sending.message, unit=WRONG_UNIT), "wrong_unit")
    if (lot := plan.lot(occasion, "impossible")) is not None:
        broken = (
            beyond_limits(acceptance.profile, tempted.bound_mw) if lot < 0.5 else too_fast(acceptance.profile)
        )
        sending = Sending(sending.at_ms, replace(sending.message, profile=broken), "impossible")
    if (lot := plan.lot(occasion, "late")) is not None:
        profile = acceptance.profile
        late_ms = (profile[0].at_ms if lot < 0.5 else profile[-1].at_ms) + LATE_BY_MS
        sending = Sending(late_ms, replace(sending.message, accepted_ms=late_ms), "late")
    return sending


def _out_of_order(
    original: AcceptanceSending, tempted: Temptation, *, withdrawn: bool
) -> list[AcceptanceSending]:
    """The amendment or withdrawal first, the original that it is about after it."""
    late = replace(original, at_ms=original.at_ms + OUT_OF_ORDER_MS)
    return [_changed(late, tempted, original.at_ms, "out_of_order", withdrawn=withdrawn), late]


def _amended(original: AcceptanceSending, tempted: Temptation, *, withdrawn: bool) -> AcceptanceSending:
    return _changed(original, tempted, original.at_ms + AMEND_AFTER_MS, "amend", withdrawn=withdrawn)


def _changed(
    original: AcceptanceSending, tempted: Temptation, at_ms: int, kind: str, *, withdrawn: bool
) -> AcceptanceSending:
    """A DEL of the original, or a UPD with another profile, sent at `at_ms` and dated after the original."""
    acceptance = replace(
        original.message,
        profile=original.message.profile if withdrawn else tempted.other,
        amendment="DEL" if withdrawn else "UPD",
        accepted_ms=max(at_ms, original.at_ms),
    )
    return Sending(at_ms, acceptance, kind)


def _conflicting(original: AcceptanceSending, tempted: Temptation) -> AcceptanceSending:
    at_ms = original.at_ms + CONFLICT_AFTER_MS
    second = replace(
        original.message,
        number=original.message.number + 1,
        profile=tempted.other,
        accepted_ms=at_ms,
    )
    return Sending(at_ms, second, "conflicting")


def _repeated(original: AcceptanceSending, *, after_the_end: bool) -> AcceptanceSending:
    """The same message once more: a second later, or replayed when all is over."""
    end_ms = original.message.profile[-1].at_ms
    at_ms = max(original.at_ms, end_ms if after_the_end else 0) + DUPLICATE_AFTER_MS
    return Sending(at_ms, original.message, "duplicate")


def beyond_limits(profile: Profile, bound_mw: float) -> Profile:
    """The profile with its inner corners pushed beyond the bound, away from the FPN at its ends."""
    raised = max(point.level_mw for point in profile) > profile[0].level_mw
    level_mw = bound_mw + BEYOND_MW if raised else bound_mw - BEYOND_MW
    inner = tuple(Point(point.at_ms, level_mw) for point in _inner_corners(profile))
    return (profile[0], *inner, profile[-1])


def too_fast(profile: Profile) -> Profile:
    """The profile without its ramps: steps to the level furthest from the FPN at its start, and back at its
    end.
    """
    first, last = profile[0], profile[-1]
    levels = (point.level_mw for point in profile[1:])
    level_mw = max(levels, key=lambda level: abs(level - first.level_mw))
    return (first, Point(first.at_ms, level_mw), Point(last.at_ms, level_mw), last)


def _inner_corners(profile: Profile) -> Profile:
    """The corners between the ends; of a profile without any (cut short at an unknown FPN), its middle."""
    first, last = profile[0], profile[-1]
    return profile[1:-1] or (Point((first.at_ms + last.at_ms) // 2, first.level_mw),)
