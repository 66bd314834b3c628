"""The Demand Flexibility Service mock: requirement out, bids in, whole bids accepted cheapest first, results
out.

This owns the order book and the timetable of an event; sizes, notices and windows come from the edition's
rulebook (`protocol/rulebooks/dfs.yaml`), misbehaviour is `markets/dfs_faults.py`. Hard cases:
docs/markets.md D1-D10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from markets.counterparty import (
    AGGREGATOR,
    JOURNAL,
    SETTLEMENT,
    Counterparty,
    Handler,
    Postponed,
    earliest_ms,
    postpone,
    release,
)
from markets.dfs_faults import (
    MADE_BY_FAULT,
    Course,
    DfsSending,
    conflicting,
    course,
    requirement_sendings,
    result_sendings,
    withdrawal_sendings,
)
from markets.settings import DfsEventScript, DfsSettings, FaultPlan, PricedBlock, SettingsError
from protocol.messages import (
    DfsBid,
    DfsCancellation,
    DfsRequirement,
    DfsResult,
    DfsUnitRegistration,
    Message,
    Remark,
)
from protocol.party import NEVER_MS, Envelope
from protocol.periods import MINUTE_MS, local_clock_ms, local_date
from protocol.rulebook import Rulebook
from protocol.settlement import guaranteed_acceptance
from protocol.units import exact

NO_REASON = ""


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the steps of one event happen [UTC ms]."""

    published_ms: int
    submit_by_ms: int
    results_by_ms: int


@dataclass(slots=True)
class EventBook:
    """One event's order book. `bids`: the standing bid of each unit, in order of arrival."""

    published: bool = False
    cancelled: bool = False
    cleared: bool = False
    bids: dict[str, DfsBid] = field(default_factory=dict)
    accepted: list[str] = field(default_factory=list)


@dataclass(slots=True)
class DfsState:
    """Registered units, every bid id ever seen, and the order book of each event."""

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    waiting: list[Postponed] = field(default_factory=list)
    units: dict[str, DfsUnitRegistration] = field(default_factory=dict)
    bid_ids: dict[str, str] = field(default_factory=dict)
    books: dict[str, EventBook] = field(default_factory=dict)


class DfsMarket(Counterparty[DfsState]):
    """Publishes the scripted events and clears them. Raises SettingsError for an event that cannot
    be held.
    """

    def __init__(self, settings: DfsSettings) -> None:
        super().__init__("dfs", DfsState(now_ms=settings.start_ms))
        self.settings = settings
        self._rules: dict[str, Rulebook] = {}
        self._times: dict[str, Timetable] = {}
        self._courses: dict[str, Course] = {}
        self._occasions: dict[str, int] = {}
        for occasion, event in enumerate(settings.events):
            times = self._enter_event(event, occasion)
            again = conflicting(event, times.published_ms, times.results_by_ms, settings.faults, occasion)
            if again is not None:
                self._enter_event(again, MADE_BY_FAULT)
        self._events = {name: one.stands for name, one in self._courses.items()}
        self.state.books = {name: EventBook() for name in self._events}

    def _enter_event(self, event: DfsEventScript, occasion: int) -> Timetable:
        """Work out an event's rules, times and course; gives its times. Raises SettingsError."""
        name, faults = event.event_id, self.settings.faults
        if name in self._courses:
            raise SettingsError("two DFS events have one id; give each its own")
        self._rules[name] = self.settings.rules.book("dfs", local_date(event.start_ms))
        times = timetable(event, self._rules[name], self.settings.start_ms)
        self._times[name], self._occasions[name] = times, occasion
        self._courses[name] = course(event, times.published_ms, times.results_by_ms, faults, occasion)
        return times

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {DfsUnitRegistration: self._register, DfsBid: self._take_bid}

    def due_ms(self) -> int:
        return earliest_ms(
            [
                *(item.at_ms for item in self.state.waiting),
                *(self._event_due_ms(name) for name in self._events),
            ]
        )

    def act(self) -> None:
        """Publish, cancel and clear what is due, events in the order given."""
        for name, event in self._events.items():
            book = self.state.books[name]
            if not book.published and self._times[name].published_ms <= self.state.now_ms:
                self._publish(event, book)
            if self._cancellation_due(event, book):
                self._cancel(event, book)
            if self._clearing_due(event, book):
                self._clear(event, book)
        self.state.outbox += release(self.state.waiting, self.state.now_ms)

    # ------------------------------------------------------------------------------------------- timetable

    def _event_due_ms(self, name: str) -> int:
        book, times = self.state.books[name], self._times[name]
        if not book.published:
            return times.published_ms
        if book.cancelled:
            return NEVER_MS
        results_ms = NEVER_MS if book.cleared else times.results_by_ms
        return min(results_ms, self._courses[name].withdrawn_ms)

    def _cancellation_due(self, event: DfsEventScript, book: EventBook) -> bool:
        due = self._courses[event.event_id].withdrawn_ms <= self.state.now_ms
        return book.published and not book.cancelled and due

    def _clearing_due(self, event: DfsEventScript, book: EventBook) -> bool:
        due = self._times[event.event_id].results_by_ms <= self.state.now_ms
        return book.published and not book.cancelled and not book.cleared and due

    def _publish(self, event: DfsEventScript, book: EventBook) -> None:
        book.published = True
        first = self._requirement(self._courses[event.event_id].scripted, version=1)
        stands = self._requirement(event, version=2)
        self._tell(event, requirement_sendings(first, stands, *self._chance(event)))

    def _requirement(self, event: DfsEventScript, version: int) -> DfsRequirement:
        times = self._times[event.event_id]
        return DfsRequirement(
            event_id=event.event_id,
            start_ms=event.start_ms,
            end_ms=event.end_ms,
            turn_down_mw=event.turn_down_mw,
            submit_by_ms=times.submit_by_ms,
            results_by_ms=times.results_by_ms,
            guaranteed_price_gbp_per_mwh=self._guaranteed_price(event),
            test=event.test,
            version=version,
        )

    def _cancel(self, event: DfsEventScript, book: EventBook) -> None:
        book.cancelled = True
        for bid in book.bids.values():
            if not book.cleared:
                self._answer(event, bid, f"DFS event {event.event_id} was cancelled before results")
        cancellation = DfsCancellation(event.event_id, "no longer needed")
        withdrawn = self._courses[event.event_id]
        self._tell(event, withdrawal_sendings(cancellation, withdrawn, *self._chance(event)))
        self.say(cancellation, SETTLEMENT)

    def _tell(self, event: DfsEventScript, sent: tuple[DfsSending, ...]) -> None:
        """Say to the aggregator what is said now, and keep the rest for its time; faults are remarked on."""
        for sending in sent:
            if sending.kind:
                what = f"{type(sending.message).__name__} of {event.event_id}"
                remark = Remark(sending.at_ms, self.name, f"fault_{sending.kind}", what)
                postpone(self.state.waiting, sending.at_ms, remark, JOURNAL)
            postpone(self.state.waiting, sending.at_ms, sending.message, AGGREGATOR)
        self.state.outbox += release(self.state.waiting, self.state.now_ms)

    def _chance(self, event: DfsEventScript) -> tuple[int, FaultPlan, int]:
        """What decides on misbehaviour now: the moment, the plan and the event's occasion in it."""
        return self.state.now_ms, self.settings.faults, self._occasions[event.event_id]

    # ----------------------------------------------------------------------------------------- registration

    def _register(self, registration: DfsUnitRegistration) -> None:
        reason = self._registration_refusal(registration)
        if reason:
            self.remark("dfs_registration_refused", f"unit {registration.unit}: {reason}")
            return
        self.state.units[registration.unit] = registration
        self.say(registration, SETTLEMENT)

    def _registration_refusal(self, registration: DfsUnitRegistration) -> str:
        if not len(registration.homes):
            return "it has no homes"
        if len(np.unique(registration.homes)) < len(registration.homes):
            return "a home comes twice (Eligibility: one Registered DFS Participant per MPAN)"
        for unit, other in self.state.units.items():
            shared = np.intersect1d(other.homes, registration.homes)
            if unit != registration.unit and len(shared):
                return (
                    f"{len(shared)} of its homes, such as {shared[0]}, are in unit {unit} already "
                    "(Eligibility: one Registered DFS Participant per MPAN)"
                )
        return NO_REASON

    # ----------------------------------------------------------------------------------------------- bidding

    def _take_bid(self, bid: DfsBid) -> None:
        """Keep the bid or refuse it at once; the same bid again is remarked on and nothing else."""
        if bid.bid_id in self.state.bid_ids:
            self.remark("duplicate_bid", f"bid {bid.bid_id} came again: ignored")
            return
        self.state.bid_ids[bid.bid_id] = bid.event_id
        event = self._events.get(bid.event_id)
        if event is None or not self.state.books[bid.event_id].published:
            self.say(_result(bid, 0, 0, f"there is no DFS event {bid.event_id}"), AGGREGATOR)
            return
        reason = self._bid_refusal(event, bid)
        if reason:
            self._answer(event, bid, reason)
            return
        bids = self.state.books[event.event_id].bids
        earlier = bids.pop(bid.unit, None)
        if earlier is not None:
            self._answer(event, earlier, f"replaced by bid {bid.bid_id} of the same unit")
        bids[bid.unit] = bid

    def _bid_refusal(self, event: DfsEventScript, bid: DfsBid) -> str:
        """Why the bid cannot be kept, with the rule's clause; empty when it can."""
        book = self.state.books[event.event_id]
        if book.cancelled:
            return f"DFS event {event.event_id} was cancelled"
        if self.state.now_ms > self._times[event.event_id].submit_by_ms:
            return f"bids for {event.event_id} closed at {self._times[event.event_id].submit_by_ms} ms"
        if bid.unit not in self.state.units:
            return f"DFS Unit {bid.unit} is not registered"
        if not (math.isfinite(bid.price_gbp_per_mwh) and bid.price_gbp_per_mwh >= 0):
            return f"price must be a number of at least 0 GBP/MWh, not {bid.price_gbp_per_mwh}"
        if len(bid.turn_down_mw) != event.period_count:
            return f"{event.event_id} has {event.period_count} periods, the bid {len(bid.turn_down_mw)}"
        return _size_refusal(bid, self._rules[event.event_id], event.test)

    # --------------------------------------------------------------------------------------------- clearing

    def _clear(self, event: DfsEventScript, book: EventBook) -> None:
        """Accept whole bids, cheapest first, while the requirement is not met; every bid gets its answer.

        Guaranteed bids are accepted first. At equal prices competitors come before ours, then who bid
        earlier.
        """
        book.cleared = True
        sure = [bid for bid in book.bids.values() if self._is_guaranteed(event, bid)]
        for bid in sure:
            self._accept(event, book, bid)
        queue: list[PricedBlock | DfsBid] = [
            *self.settings.competitors,
            *(bid for bid in book.bids.values() if bid not in sure),
        ]
        met_mw = sum(map(_width_mw, sure))
        for block in sorted(queue, key=lambda block: block.price_gbp_per_mwh):
            wanted = met_mw < event.turn_down_mw
            met_mw += _width_mw(block) if wanted else 0.0
            if isinstance(block, PricedBlock):
                continue
            if wanted:
                self._accept(event, book, block)
            else:
                self._answer(event, block, self._not_needed(event))

    def _accept(self, event: DfsEventScript, book: EventBook, bid: DfsBid) -> None:
        book.accepted.append(bid.bid_id)
        self._answer(event, bid, NO_REASON)

    def _not_needed(self, event: DfsEventScript) -> str:
        rule = self._rules[event.event_id].rule("clearing")
        return f"the requirement was met by cheaper bids ({rule.clause})"

    def _answer(self, event: DfsEventScript, bid: DfsBid, reason: str) -> None:
        """Tell the aggregator, and settlement where the bid is accepted."""
        result = _result(bid, event.start_ms, event.end_ms, reason)
        self._tell(event, result_sendings(result, *self._chance(event)))
        if result.accepted:
            self.say(result, SETTLEMENT)

    def _is_guaranteed(self, event: DfsEventScript, bid: DfsBid) -> bool:
        if event.guaranteed_price_gbp_per_mwh is not None:
            return exact(bid.price_gbp_per_mwh) <= exact(event.guaranteed_price_gbp_per_mwh)
        rules = self._rules[event.event_id]
        return guaranteed_acceptance(rules, bid.price_gbp_per_mwh, event.test, self._test_number(event))

    def _guaranteed_price(self, event: DfsEventScript) -> float | None:
        """The price published with the requirement: the script's, or the edition's for tests that
        carry one.
        """
        if event.guaranteed_price_gbp_per_mwh is not None:
            return event.guaranteed_price_gbp_per_mwh
        rules = self._rules[event.event_id]
        price = rules.value("guaranteed_acceptance_price_gbp_per_mwh")
        sure = price is not None and guaranteed_acceptance(rules, price, event.test, self._test_number(event))
        return float(price) if sure else None

    def _test_number(self, event: DfsEventScript) -> int:
        """Which test of the run this is, by time, counted from 1."""
        return 1 + sum(other.test and other.start_ms < event.start_ms for other in self.settings.events)


def timetable(event: DfsEventScript, rules: Rulebook, run_start_ms: int) -> Timetable:
    """When an event's requirement is published, its bids close and its results are out.

    Not scripted, the requirement comes at the edition's time of day: on the day before ("day_ahead",
    "day_ahead_or_within_day", "within_24_hours") or on the day itself ("within_day"); earlier where that
    would not leave the edition's notice, and never before the run begins. Raises SettingsError when results
    would come after the start.
    """
    window_ms = rules.value("bid_window_min") * MINUTE_MS
    results_ms = rules.value("results_within_min") * MINUTE_MS
    published_ms = event.published_ms
    if published_ms is None:
        latest_ms = event.start_ms - rules.value("min_notice_min") * MINUTE_MS - results_ms - window_ms
        published_ms = max(run_start_ms, min(_usual_publication_ms(event, rules), latest_ms))
    times = Timetable(published_ms, published_ms + window_ms, published_ms + window_ms + results_ms)
    if times.results_by_ms >= event.start_ms:
        late_min = (times.results_by_ms - event.start_ms) // MINUTE_MS
        raise SettingsError(
            f"DFS event {event.event_id}: its results would come {late_min} min after its start; publish it "
            f"at least {(window_ms + results_ms) // MINUTE_MS + 1} min before the start, or start it later"
        )
    if event.cancelled_ms is not None and event.cancelled_ms >= event.start_ms:
        raise SettingsError(f"DFS event {event.event_id}: it can only be cancelled before its start")
    return times


def _usual_publication_ms(event: DfsEventScript, rules: Rulebook) -> int:
    day: date = local_date(event.start_ms)
    if rules.value("notice") != "within_day":
        day -= timedelta(days=1)
    hour, minute = divmod(int(rules.value("requirement_minute_of_day")), 60)
    return local_clock_ms(day, hour, minute)


def _size_refusal(bid: DfsBid, rules: Rulebook, test: bool) -> str:
    """Why megawatts or duration of the bid break the edition's rules; a period may be left out with 0 MW."""
    offered = [mw for mw in bid.turn_down_mw if mw != 0]
    least, most = rules.rule("min_unit_mw"), rules.rule("max_unit_mw")
    if not offered or not all(map(math.isfinite, offered)):
        return f"megawatts must be numbers and not all 0, not {bid.turn_down_mw}"
    if min(offered) < least.value:
        return f"{min(offered)} MW is below the minimum of {least.value} MW ({least.clause})"
    if max(offered) > most.value:
        return f"{max(offered)} MW is above the maximum of {most.value} MW ({most.clause})"
    duration = rules.rule("test_duration_min" if test else "min_duration_min")
    if 30 * _shortest_stretch(bid.turn_down_mw) < duration.value:
        return f"a stretch is shorter than {duration.value} minutes ({duration.clause})"
    return NO_REASON


def _shortest_stretch(turn_down_mw: tuple[float, ...]) -> int:
    """Length of the shortest run of periods with an offer, in periods."""
    stretches = "".join("x" if mw else " " for mw in turn_down_mw).split()
    return min(len(stretch) for stretch in stretches)


def _width_mw(block: PricedBlock | DfsBid) -> float:
    """What a bid counts for against the requirement: of ours, the mean over its periods [MW]."""
    if isinstance(block, PricedBlock):
        return block.width_mw
    return sum(block.turn_down_mw) / len(block.turn_down_mw)


def _result(bid: DfsBid, start_ms: int, end_ms: int, reason: str) -> DfsResult:
    return DfsResult(
        bid_id=bid.bid_id,
        event_id=bid.event_id,
        unit=bid.unit,
        accepted=reason == NO_REASON,
        reason=reason,
        start_ms=start_ms,
        end_ms=end_ms,
        turn_down_mw=bid.turn_down_mw,
        price_gbp_per_mwh=bid.price_gbp_per_mwh,
    )
