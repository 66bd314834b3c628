"""What becomes of every market instruction: a table of cases, one ledger entry each, one answer each.

Balancing Mechanism, in the order in which the cases are tried (reason codes in quotes):

| case | outcome |
|---|---|
| number known, original again | "duplicate": the first answer is repeated, nothing else happens |
| UPD or DEL of an unknown number | held; after `amendment_wait_ms` EXPIRED, "original_never_came" |
| DEL of a live acceptance | it ends SUPERSEDED, "deleted" |
| DEL of an ended one | refused, "already_ended" |
| UPD equal to what is known | as duplicate |
| UPD of a deleted one | refused, "deleted" |
| UPD that stands the tests below | the earlier version ends SUPERSEDED, "amended"; the new one is ACCEPTED |
| unit not ours | DECLINED "unknown_unit" |
| other amendment flag | DECLINED "unknown_amendment" |
| fewer than two corners, times not rising, no length, not finite | DECLINED "malformed_profile" |
| over already | DECLINED "after_end" |
| begun longer ago than `late_grace_ms` | DECLINED "too_late" |
| begins sooner than the notice, less `notice_grace_ms` (originals only) | DECLINED "notice_too_short" |
| a period without our notification | DECLINED "not_notified" |
| above MEL or below MIL | DECLINED "beyond_limits" |
| steeper than the declared rates | DECLINED "faster_than_ramp" |
| anything else | ACCEPTED |

Of accepted profiles of one unit that overlap, the one later by (time of acceptance, number) governs where
it reaches (BSC T3: the base is the latest earlier acceptance). One that is overtaken to its end is
SUPERSEDED from the moment the later one starts; one that reaches beyond resumes.

DFS: an accepted result is ACCEPTED, twice the same is a "duplicate". DECLINED are those for a unit or bid
that is not ours, "unknown_bid"; of no length, or with other than a number of MW in the bid's direction for
each period, "malformed_result"; of another event, unit, window or price than was bid, or of more megawatts,
"not_as_bid"; of an event that was cancelled, "cancelled"; after their end, "after_end". A cancellation before
the start makes an accepted one EXPIRED, "cancelled". Requirements: `aggregator/requirements.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from aggregator.settings import Assumptions
from aggregator.shares import in_proportion
from protocol.instruction import Ledger, LedgerEntry, Stage
from protocol.messages import (
    AcceptanceResponse,
    BidOfferAcceptance,
    DfsCancellation,
    DfsResult,
    InstructionStep,
    Message,
    Profile,
    Remark,
    UnitDynamics,
)
from protocol.periods import MINUTE_MS, PERIOD_MS, period_start_ms, periods_touched_ms
from protocol.products import Product

Say = Callable[[str, Message], None]
"""Puts a message into the outbox: (to, message)."""

Segment = tuple[int, int, int, int]
"""From a moment [UTC ms] and turn-down [W] to a moment and turn-down, linear between."""

BALANCING, DFS = "balancing", "dfs"
CAPACITY = Product.CAPACITY_MARKET.value
_LEVEL = 1e-6
"""How far beyond a limit a level is still on it [MW]."""


@dataclass(slots=True)
class Plan:
    """An accepted instruction as the control loop follows it.

    `cells` of its `unit` that deliver it, `segments` its turn-down, `rank` (accepted_ms, number) who governs
    among overlapping ones, `instructed_wms` and `believed_wms` the integrals so far [W ms], `at_ms` up to
    when they reach, `prepared` the cells whose cars were asked. Of several cells, `weights_w` is what each
    could do when it was prepared, and `parts_w` what each was last asked for of `parts_of_w`.
    """

    instruction_id: str
    service: str
    unit: str
    cells: list[int]
    start_ms: int
    end_ms: int
    segments: tuple[Segment, ...]
    rank: tuple[int, int]
    at_ms: int
    instructed_wms: int = 0
    believed_wms: int = 0
    prepared: list[int] = field(default_factory=list)
    short: bool = False
    weights_w: list[int] = field(default_factory=list)
    parts_w: list[int] = field(default_factory=list)
    parts_of_w: int = 0

    @property
    def turns_up(self) -> bool:
        """Whether demand is to be turned up at any time."""
        return any(min(from_w, until_w) < 0 for _, from_w, _, until_w in self.segments)

    def turn_down_w(self, at_ms: int) -> int:
        """What is asked for at a moment [W]; 0 outside."""
        for from_ms, from_w, until_ms, until_w in self.segments:
            if from_ms <= at_ms < until_ms:
                return from_w + (until_w - from_w) * (at_ms - from_ms) // (until_ms - from_ms)
        return 0

    @property
    def follows(self) -> bool:
        """Whether what others deliver on its cells counts for it, so that only the rest is asked for."""
        return self.service == CAPACITY

    def lose(self, cell: int) -> None:
        """Go on without one of its cells; what it was asked for is shared out anew."""
        self.cells.remove(cell)
        self.weights_w, self.parts_w, self.parts_of_w = [], [], 0

    def end_at(self, end_ms: int) -> None:
        """Ask for nothing from a moment on."""
        self.end_ms = min(self.end_ms, max(end_ms, self.start_ms))
        self.segments = tuple(
            (from_ms, from_w, min(until_ms, end_ms), until_w)
            for from_ms, from_w, until_ms, until_w in self.segments
            if from_ms < end_ms
        )

    def part_w(self, cell: int, at_ms: int) -> int:
        """What is asked of one of its cells at a moment [W]; the parts of all add up."""
        asked_w = self.turn_down_w(at_ms)
        if not self.parts_of_w:
            return in_proportion(asked_w, [1] * len(self.cells))[self.cells.index(cell)]
        left_over_w = self.parts_of_w - sum(self.parts_w)
        return in_proportion(asked_w, [*self.parts_w, left_over_w])[self.cells.index(cell)]


@dataclass(slots=True)
class Known:
    """What became of an acceptance number: its latest profile and entry, the answer given, how many
    versions.
    """

    unit: str
    number: int
    profile: Profile
    instruction_id: str
    accepted: bool
    reason: str
    versions: int = 1
    deleted: bool = False


@dataclass(slots=True)
class Waiting:
    """An amendment that came before its original."""

    since_ms: int
    acceptance: BidOfferAcceptance


@dataclass(slots=True)
class Bid:
    """A DFS bid that was sent: for which event and unit, when it would be delivered, and what was offered.

    `refused`: the market said no, or it was replaced by one for the amended event.
    """

    event_id: str
    unit: str
    start_ms: int
    end_ms: int
    turn_down_mw: tuple[float, ...]
    price_gbp_per_mwh: float
    refused: bool = False

    @property
    def way(self) -> int:
        """1 for turn-down, -1 for turn-up."""
        return -1 if min(self.turn_down_mw, default=0.0) < 0 else 1

    def is_met_by(self, result: DfsResult) -> bool:
        """Whether a result asks for nothing but what was bid: the same, or fewer megawatts."""
        same = (self.event_id, self.unit, self.start_ms, self.end_ms, self.price_gbp_per_mwh) == (
            result.event_id,
            result.unit,
            result.start_ms,
            result.end_ms,
            result.price_gbp_per_mwh,
        )
        most_mw = zip(result.turn_down_mw, self.turn_down_mw, strict=False)
        return same and all(self.way * (asked - bid) <= _LEVEL for asked, bid in most_mw)


@dataclass(slots=True)
class Book:
    """All instructions ever seen, the plans of those accepted, what is known by acceptance number, and the
    DFS events that were cancelled.
    """

    ledger: Ledger = field(default_factory=Ledger)
    plans: dict[str, Plan] = field(default_factory=dict)
    running: list[str] = field(default_factory=list)
    acceptances: dict[str, Known] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def follow(self, plan: Plan) -> None:
        """Take on the plan of an accepted instruction."""
        self.plans[plan.instruction_id] = plan
        self.running.append(plan.instruction_id)

    def live(self) -> list[Plan]:
        """Plans accepted or being delivered, in the order of acceptance."""
        self.running = [key for key in self.running if not self.ledger.entries[key].ended]
        return [self.plans[key] for key in self.running]


@dataclass(frozen=True, slots=True)
class Declared:
    """What we told the ESO of one unit in one period: levels [MW]."""

    fpn_mw: float
    mel_mw: float
    mil_mw: float


@dataclass(frozen=True, slots=True)
class UnitBooks:
    """What is on file for one of our units: its cells, its dynamics, and what was declared by period
    start.
    """

    cells: list[int]
    dynamics: UnitDynamics
    declared: dict[int, Declared]


# ----------------------------------------------------------------------------- steps in the ledger


def open_entry(
    book: Book,
    say: Say,
    now_ms: int,
    instruction_id: str,
    service: str,
    unit: str,
    span: tuple[int, int],
    w: int,
) -> LedgerEntry:
    """A new entry, issued now."""
    entry = LedgerEntry(instruction_id, service, unit, span[0], span[1], w)
    book.ledger.open(entry, now_ms)
    _tell(entry, say)
    return entry


def move(entry: LedgerEntry, stage: Stage, now_ms: int, reason: str, say: Say) -> None:
    """One step, told to the journal."""
    entry.move(stage, now_ms, reason)
    _tell(entry, say)


def _tell(entry: LedgerEntry, say: Say) -> None:
    at_ms, stage, reason = entry.steps[-1]
    say(
        "journal",
        InstructionStep(
            instruction_id=entry.instruction_id,
            service=entry.service,
            unit=entry.unit,
            at_ms=at_ms,
            stage=stage.value,
            reason=reason,
            start_ms=entry.start_ms,
            end_ms=entry.end_ms,
            turn_down_w=entry.turn_down_w,
        ),
    )


def remark(say: Say, now_ms: int, kind: str, detail: str) -> None:
    """A remark of ours for the journal."""
    say("journal", Remark(now_ms, "aggregator", kind, detail))


# ------------------------------------------------------------------------------------- acceptances


def take_acceptance(
    book: Book,
    acceptance: BidOfferAcceptance,
    units: dict[str, UnitBooks],
    now_ms: int,
    assumed: Assumptions,
    say: Say,
) -> None:
    """Deal with one acceptance message by the table above."""
    key = f"{acceptance.unit}-{acceptance.number}"
    known = book.acceptances.get(key)
    if acceptance.amendment in ("UPD", "DEL"):
        if known is None:
            _wait(book, acceptance, now_ms, say)
        else:
            _amend(book, known, acceptance, units, now_ms, assumed, say)
        return
    if known is not None:
        _repeat(known, now_ms, say)
        return
    reason = _refusal(acceptance, units, now_ms, assumed)
    book.acceptances[key] = Known(
        acceptance.unit, acceptance.number, acceptance.profile, key, reason == "", reason
    )
    _enter(book, key, acceptance, units, reason, now_ms, say)
    _respond(book.acceptances[key], say)
    _resolve(book, acceptance, units, now_ms, assumed, say)


def _repeat(known: Known, now_ms: int, say: Say) -> None:
    remark(say, now_ms, "duplicate_instruction", f"acceptance {known.number} of {known.unit} came again")
    _respond(known, say)


def _respond(known: Known, say: Say) -> None:
    say("balancing", AcceptanceResponse(known.unit, known.number, known.accepted, known.reason))


def _wait(book: Book, acceptance: BidOfferAcceptance, now_ms: int, say: Say) -> None:
    for waiting in book.waiting:
        held = waiting.acceptance
        if (held.unit, held.number, held.amendment, held.profile) == (
            acceptance.unit,
            acceptance.number,
            acceptance.amendment,
            acceptance.profile,
        ):
            remark(
                say, now_ms, "duplicate_instruction", f"amendment of {held.number} of {held.unit} came again"
            )
            return
    book.waiting.append(Waiting(now_ms, acceptance))
    remark(
        say,
        now_ms,
        "amendment_before_original",
        f"{acceptance.amendment} of acceptance {acceptance.number} of {acceptance.unit} is held",
    )


def _resolve(
    book: Book,
    original: BidOfferAcceptance,
    units: dict[str, UnitBooks],
    now_ms: int,
    assumed: Assumptions,
    say: Say,
) -> None:
    """Apply the amendments that waited for this original, in the order in which they came."""
    key = (original.unit, original.number)
    due = [item for item in book.waiting if (item.acceptance.unit, item.acceptance.number) == key]
    book.waiting = [item for item in book.waiting if (item.acceptance.unit, item.acceptance.number) != key]
    for item in due:
        known = book.acceptances[f"{original.unit}-{original.number}"]
        _amend(book, known, item.acceptance, units, now_ms, assumed, say)


def expire_waiting(book: Book, now_ms: int, assumed: Assumptions, say: Say) -> None:
    """Give up on amendments whose original never came: each becomes an entry that expired."""
    kept = []
    for item in book.waiting:
        if now_ms - item.since_ms < assumed.amendment_wait_ms:
            kept.append(item)
            continue
        asked = item.acceptance
        place = sum(entry.startswith(f"{asked.unit}-{asked.number}?") for entry in book.ledger.entries)
        span = _span(asked.profile, now_ms)
        key = f"{asked.unit}-{asked.number}?{place + 1}"
        entry = open_entry(book, say, now_ms, key, BALANCING, asked.unit, span, 0)
        move(entry, Stage.EXPIRED, now_ms, "original_never_came", say)
        say("balancing", AcceptanceResponse(asked.unit, asked.number, False, "original_never_came"))
    book.waiting = kept


def _amend(
    book: Book,
    known: Known,
    asked: BidOfferAcceptance,
    units: dict[str, UnitBooks],
    now_ms: int,
    assumed: Assumptions,
    say: Say,
) -> None:
    entry = book.ledger.entries[known.instruction_id]
    if asked.amendment == "DEL":
        if known.deleted:
            _repeat(known, now_ms, say)
        elif entry.ended:
            remark(say, now_ms, "amendment_refused", f"acceptance {known.number} of {known.unit} has ended")
            say("balancing", AcceptanceResponse(known.unit, known.number, False, "already_ended"))
        else:
            move(entry, Stage.SUPERSEDED, now_ms, "deleted", say)
            known.deleted = True
            _respond(known, say)
        return
    if known.deleted:
        say("balancing", AcceptanceResponse(known.unit, known.number, False, "deleted"))
        return
    if asked.profile == known.profile:
        _repeat(known, now_ms, say)
        return
    reason = _refusal(asked, units, now_ms, assumed)
    known.versions += 1
    key = f"{asked.unit}-{asked.number}v{known.versions}"
    if reason == "":
        if not entry.ended:
            move(entry, Stage.SUPERSEDED, now_ms, "amended", say)
        known.profile, known.instruction_id, known.accepted, known.reason = asked.profile, key, True, ""
    _enter(book, key, asked, units, reason, now_ms, say)
    say("balancing", AcceptanceResponse(asked.unit, asked.number, reason == "", reason))


def _enter(
    book: Book,
    key: str,
    acceptance: BidOfferAcceptance,
    units: dict[str, UnitBooks],
    reason: str,
    now_ms: int,
    say: Say,
) -> None:
    """Open the ledger entry, and either decline it or make its plan."""
    span = _span(acceptance.profile, now_ms)
    segments: tuple[Segment, ...] = ()
    if reason == "":
        segments = turn_down(acceptance.profile, units[acceptance.unit].declared)
    peak_w = max((w for segment in segments for w in (segment[1], segment[3])), key=abs, default=0)
    entry = open_entry(book, say, now_ms, key, BALANCING, acceptance.unit, span, peak_w)
    if reason:
        move(entry, Stage.DECLINED, now_ms, reason, say)
        return
    move(entry, Stage.ACCEPTED, now_ms, "", say)
    book.follow(
        Plan(
            instruction_id=key,
            service=BALANCING,
            unit=acceptance.unit,
            cells=list(units[acceptance.unit].cells),
            start_ms=span[0],
            end_ms=span[1],
            segments=segments,
            rank=(acceptance.accepted_ms, acceptance.number),
            at_ms=max(now_ms, span[0]),
        )
    )


def _span(profile: Profile, now_ms: int) -> tuple[int, int]:
    return (profile[0].at_ms, profile[-1].at_ms) if profile else (now_ms, now_ms)


def _refusal(
    acceptance: BidOfferAcceptance, units: dict[str, UnitBooks], now_ms: int, assumed: Assumptions
) -> str:
    """Why an acceptance cannot be followed; "" if it can."""
    profile = acceptance.profile
    unit = units.get(acceptance.unit)
    if unit is None:
        return "unknown_unit"
    if acceptance.amendment not in ("ORI", "INS", "UPD"):
        return "unknown_amendment"
    if _malformed(profile):
        return "malformed_profile"
    start_ms, end_ms = _span(profile, now_ms)
    if now_ms >= end_ms:
        return "after_end"
    if now_ms > start_ms + assumed.late_grace_ms:
        return "too_late"
    if acceptance.amendment != "UPD" and start_ms < _earliest_ms(acceptance, unit, assumed):
        return "notice_too_short"
    return _impossible(profile, unit)


def _earliest_ms(acceptance: BidOfferAcceptance, unit: UnitBooks, assumed: Assumptions) -> int:
    notice_min = min(unit.dynamics.notice_to_deliver_offer_min, unit.dynamics.notice_to_deliver_bid_min)
    return acceptance.accepted_ms + notice_min * MINUTE_MS - assumed.notice_grace_ms


def _malformed(profile: Profile) -> bool:
    if len(profile) < 2 or profile[-1].at_ms <= profile[0].at_ms:
        return True
    if not all(math.isfinite(point.level_mw) for point in profile):
        return True
    return any(after.at_ms < before.at_ms for before, after in pairwise(profile))


def _impossible(profile: Profile, unit: UnitBooks) -> str:
    start_ms, end_ms = profile[0].at_ms, profile[-1].at_ms
    if any(period not in unit.declared for period in periods_touched_ms(start_ms, end_ms)):
        return "not_notified"
    for from_ms, from_mw, _, until_mw in _pieces(profile):
        declared = unit.declared[period_start_ms(from_ms)]
        for level_mw in (from_mw, until_mw):
            if not declared.mil_mw - _LEVEL <= level_mw <= declared.mel_mw + _LEVEL:
                return "beyond_limits"
    for before, after in pairwise(profile):
        minutes = (after.at_ms - before.at_ms) / MINUTE_MS
        rise_mw = after.level_mw - before.level_mw
        if (
            rise_mw > unit.dynamics.run_up_mw_per_min * minutes + _LEVEL
            or -rise_mw > unit.dynamics.run_down_mw_per_min * minutes + _LEVEL
        ):
            return "faster_than_ramp"
    return ""


def _pieces(profile: Profile) -> list[tuple[int, float, int, float]]:
    """The profile cut at its corners and at settlement periods' edges: (ms, MW, ms, MW), none without
    length.
    """
    pieces = []
    for before, after in pairwise(profile):
        if after.at_ms == before.at_ms:
            continue
        slope = (after.level_mw - before.level_mw) / (after.at_ms - before.at_ms)
        edges = [before.at_ms]
        edges += periods_touched_ms(before.at_ms, after.at_ms)[1:]
        edges.append(after.at_ms)
        levels = [before.level_mw + slope * (edge - before.at_ms) for edge in edges[:-1]] + [after.level_mw]
        pieces += list(zip(edges, levels, edges[1:], levels[1:], strict=False))
    return pieces


def turn_down(profile: Profile, declared: dict[int, Declared]) -> tuple[Segment, ...]:
    """How much less is to be imported than notified [W]: the profile less the FPN, cut at periods' edges."""
    segments = []
    for from_ms, from_mw, until_ms, until_mw in _pieces(profile):
        fpn_mw = declared[period_start_ms(from_ms)].fpn_mw
        segments.append(
            (from_ms, round((from_mw - fpn_mw) * 1e6), until_ms, round((until_mw - fpn_mw) * 1e6))
        )
    return tuple(segments)


# --------------------------------------------------------------------------------------------- DFS


def take_result(
    book: Book, result: DfsResult, bid: Bid | None, cells: list[int], now_ms: int, say: Say
) -> None:
    """Deal with the answer to a bid; where one is not ours, `bid` is None or the unit's `cells` are empty."""
    if result.bid_id in book.ledger.entries:
        remark(say, now_ms, "duplicate_instruction", f"result of bid {result.bid_id} came again")
        return
    if not result.accepted:
        remark(say, now_ms, "bid_refused", f"bid {result.bid_id}: {result.reason}")
        return
    malformed = _malformed_result(result, 1 if bid is None else bid.way)
    peak_w = 0 if malformed else round(max(result.turn_down_mw, key=abs) * 1e6)
    span = (result.start_ms, result.end_ms)
    entry = open_entry(book, say, now_ms, result.bid_id, DFS, result.unit, span, peak_w)
    if bid is None or not cells:
        move(entry, Stage.DECLINED, now_ms, "unknown_bid", say)
        return
    reason = "malformed_result" if malformed else _result_refusal(book, result, bid, now_ms)
    if reason:
        move(entry, Stage.DECLINED, now_ms, reason, say)
        return
    move(entry, Stage.ACCEPTED, now_ms, "", say)
    book.follow(
        Plan(
            instruction_id=result.bid_id,
            service=DFS,
            unit=result.unit,
            cells=cells,
            start_ms=result.start_ms,
            end_ms=result.end_ms,
            segments=_dfs_segments(result),
            rank=(now_ms, 0),
            at_ms=max(now_ms, result.start_ms),
        )
    )


def _result_refusal(book: Book, result: DfsResult, bid: Bid, now_ms: int) -> str:
    """Why a well-formed result for one of our bids is not obeyed; "" if it is."""
    if not bid.is_met_by(result):
        return "not_as_bid"
    if result.event_id in book.cancelled:
        return "cancelled"
    return "after_end" if now_ms >= result.end_ms else ""


def _malformed_result(result: DfsResult, way: int) -> bool:
    """Whether a result is of no length, or does not give finite MW in the bid's direction for each period."""
    periods = len(range(result.start_ms, result.end_ms, PERIOD_MS))
    if periods == 0 or len(result.turn_down_mw) != periods:
        return True
    return not all(math.isfinite(mw) and way * mw >= 0 for mw in result.turn_down_mw)


def _dfs_segments(result: DfsResult) -> tuple[Segment, ...]:
    segments = []
    for place, turn_down_mw in enumerate(result.turn_down_mw):
        from_ms = result.start_ms + place * PERIOD_MS
        until_ms = min(from_ms + PERIOD_MS, result.end_ms)
        w = round(turn_down_mw * 1e6)
        if until_ms > from_ms:
            segments.append((from_ms, w, until_ms, w))
    return tuple(segments)


def take_cancellation(
    book: Book, cancellation: DfsCancellation, bid_ids: list[str], now_ms: int, say: Say
) -> None:
    """Cancel what was accepted of our bids for an event and has not begun, and what may be accepted yet."""
    event_id = cancellation.event_id
    if event_id not in book.cancelled:
        book.cancelled.append(event_id)
    for bid_id in bid_ids:
        entry = book.ledger.entries.get(bid_id)
        if entry is None:
            remark(say, now_ms, "event_cancelled_before_result", f"bid {bid_id}: {cancellation.reason}")
        elif entry.ended:
            continue
        elif now_ms < entry.start_ms:
            move(entry, Stage.EXPIRED, now_ms, "cancelled", say)
        else:
            remark(say, now_ms, "cancellation_after_start", f"event {event_id}: {cancellation.reason}")


# ------------------------------------------------------------------------------ while time goes by


def governing(live: list[Plan], at_ms: int) -> list[Plan]:
    """Of one cell's live plans, those that say what is to be done at a moment: the latest of the BM, and all
    others.
    """
    covering = [plan for plan in live if plan.start_ms <= at_ms < plan.end_ms]
    balancing = [plan for plan in covering if plan.service == BALANCING]
    latest = [max(balancing, key=lambda plan: plan.rank)] if balancing else []
    return [plan for plan in covering if plan.service != BALANCING] + latest


def overtaken(plan: Plan, live: list[Plan], now_ms: int) -> Plan | None:
    """The later acceptance that has begun and reaches to this one's end or beyond, if there is one."""
    for other in live:
        if (
            other.unit == plan.unit
            and other.service == plan.service == BALANCING
            and other.rank > plan.rank
            and other.start_ms <= max(now_ms, plan.start_ms)
            and other.end_ms >= plan.end_ms
        ):
            return other
    return None
