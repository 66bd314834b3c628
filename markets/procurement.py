"""One machinery for every service that is bought by requirement and offer, by network operator or ESO.

This owns the order book and the timetable of an event, from the registration of units to awards, signals and
the watch over metering; the terms of a product are data (`markets/procurement_terms.py`), who buys is
`markets/dso.py` and `markets/constraint_market.py`, misbehaviour is `markets/procurement_faults.py`. Hard
cases: docs/markets.md L1-L20.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

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
from markets.faults import Sending
from markets.procurement_entry import NO_REASON, offer_fault, size_w, unit_fault
from markets.procurement_faults import (
    MADE_BY_FAULT,
    Course,
    ServiceSending,
    conflicting,
    course,
    instruction_sendings,
    requirement_sendings,
    with_repeats,
)
from markets.procurement_settings import ProcurementSettings, ServiceEventScript
from markets.procurement_terms import Terms, Timetable, terms, timetable
from markets.settings import SettingsError
from protocol.dso_payment import Signal
from protocol.messages import (
    I32,
    Message,
    Remark,
    ServiceAward,
    ServiceCancellation,
    ServiceDispatch,
    ServiceDispatchAnswer,
    ServiceMetering,
    ServiceNomination,
    ServiceOffer,
    ServiceRequirement,
    ServiceUnit,
    ServiceUnitAnswer,
)
from protocol.party import NEVER_MS, Envelope
from protocol.periods import MINUTE_MS, PERIOD_MS, clock_reached_ms, local_date, period_count
from protocol.products import Product
from protocol.units import W_PER_MW

START, STOP, EMERGENCY_STOP = (signal.lower() for signal in Signal)


class What(IntEnum):
    """What is done at a step; of two at one time the earlier here comes first."""

    PUBLISH = 0
    CANCEL = 1
    CLEAR = 2
    START = 3
    STOP = 4
    EMERGENCY_STOP = 5
    ANSWERS = 6  # look who has not answered a start
    METERING = 7  # look whose metering has not come


class Step(NamedTuple):
    """Something to be done for an event: `number` is of its calls, or of its half hours."""

    at_ms: int
    what: What
    event: int  # place among all events
    number: int


@dataclass(frozen=True, slots=True)
class Event:
    """A scripted event with all that is known of it before anything happens."""

    script: ServiceEventScript
    terms: Terms
    times: Timetable
    course: Course
    occasion: int

    @property
    def name(self) -> str:
        return self.script.event_id


@dataclass(slots=True)
class EventBook:
    """One event's order book. `offers`: the standing offer of each unit, in order of arrival.

    `awards`: accepted ones by offer id. `starts`: by dispatch id; `answered`: those of them that were.
    """

    published: bool = False
    cancelled: bool = False
    cleared: bool = False
    offers: dict[str, ServiceOffer] = field(default_factory=dict)
    awards: dict[str, ServiceAward] = field(default_factory=dict)
    starts: dict[str, ServiceDispatch] = field(default_factory=dict)
    answered: dict[str, bool] = field(default_factory=dict)


MeteringKey = tuple[str, str, int]
"""Product, unit, start [UTC ms]."""


@dataclass(slots=True)
class ProcurementState:
    """Registered units, every offer id ever seen, the order book of each event, and metering that came.

    `done`: steps of the agenda taken. `missed`: metering that was looked for in vain.
    """

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    waiting: list[Postponed] = field(default_factory=list)
    done: int = 0
    units: dict[tuple[str, str], ServiceUnit] = field(default_factory=dict)
    offer_ids: dict[str, str] = field(default_factory=dict)
    books: dict[str, EventBook] = field(default_factory=dict)
    metered: dict[MeteringKey, int] = field(default_factory=dict)
    missed: dict[MeteringKey, int] = field(default_factory=dict)


class Procurement(Counterparty[ProcurementState]):
    """A buyer that publishes the scripted events and awards them. Raises SettingsError for an event that
    cannot be held.
    """

    def __init__(self, name: str, products: Sequence[Product], settings: ProcurementSettings) -> None:
        super().__init__(name, ProcurementState(now_ms=settings.start_ms))
        self.products = tuple(products)
        self.settings = settings
        self.events = tuple(self._all_events())
        self._place = {event.name: place for place, event in enumerate(self.events)}
        if len(self._place) < len(self.events):
            raise SettingsError("two events of a service have one id; give each its own")
        self._agenda = tuple(sorted(step for place in range(len(self.events)) for step in self._steps(place)))
        self.state.books = {event.name: EventBook() for event in self.events}

    @abstractmethod
    def network_refusal(self, event: Event, unit: ServiceUnit, turn_down_mw: Sequence[float]) -> str:
        """Why an action of a unit may not be called where it lies; empty where it may."""

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {
            ServiceUnit: self._register,
            ServiceOffer: self._take_offer,
            ServiceDispatchAnswer: self._take_answer,
            ServiceMetering: self._take_metering,
            ServiceNomination: self._take_nomination,
        }

    def due_ms(self) -> int:
        next_step_ms = (
            self._agenda[self.state.done].at_ms if self.state.done < len(self._agenda) else NEVER_MS
        )
        return min(next_step_ms, earliest_ms(item.at_ms for item in self.state.waiting))

    def act(self) -> None:
        """Take the steps that are due, in order of time, and say what was kept for now."""
        while (
            self.state.done < len(self._agenda) and self._agenda[self.state.done].at_ms <= self.state.now_ms
        ):
            step = self._agenda[self.state.done]
            self.state.done += 1
            self._take(step)
        self.state.outbox += release(self.state.waiting, self.state.now_ms)

    # ------------------------------------------------------------------------------------------- timetable

    def _all_events(self) -> Iterator[Event]:
        """Every scripted event, and those that a fault puts beside them."""
        for occasion, script in enumerate(self.settings.events):
            event = self._event(script, occasion)
            yield event
            slack_ms = script.start_ms - event.terms.notice_ms - event.times.results_by_ms
            again = conflicting(script, event.times, slack_ms, self.settings.faults, occasion)
            if again is not None:
                yield self._event(again, MADE_BY_FAULT)

    def _event(self, script: ServiceEventScript, occasion: int) -> Event:
        if script.product not in self.products:
            raise SettingsError(f"event {script.event_id}: {self.name} does not buy {script.product}")
        own = terms(script.product, local_date(script.start_ms), self.settings.rules)
        times = timetable(script, own, self.settings.start_ms)
        return Event(script, own, times, course(script, times, self.settings.faults, occasion), occasion)

    def _steps(self, place: int) -> Iterator[Step]:
        """Everything that will be done for an event, in any order."""
        event = self.events[place]
        yield Step(event.times.published_ms, What.PUBLISH, place, 0)
        yield Step(event.times.results_by_ms, What.CLEAR, place, 0)
        if event.course.withdrawn_ms != NEVER_MS:
            yield Step(event.course.withdrawn_ms, What.CANCEL, place, 0)
        yield from self._metering_steps(place)
        if not event.terms.scheduled:
            yield from self._call_steps(place)

    def _call_steps(self, place: int) -> Iterator[Step]:
        event = self.events[place]
        answer_ms = event.terms.shared("answer_within_min").value * MINUTE_MS
        for number, call in enumerate(event.script.calls):
            issued_ms = max(call.start_ms - event.terms.notice_ms, event.times.results_by_ms)
            yield Step(issued_ms, What.START, place, number)
            yield Step(issued_ms + answer_ms, What.ANSWERS, place, number)
            for stop_ms, what in ((call.stopped_ms, What.STOP), (call.emergency_ms, What.EMERGENCY_STOP)):
                if stop_ms is not None:
                    yield Step(max(stop_ms, issued_ms), what, place, number)

    def _metering_steps(self, place: int) -> Iterator[Step]:
        event = self.events[place]
        within_ms = event.terms.buying.value("metering_within_min") * MINUTE_MS
        for number, (_, minutes_end_ms) in enumerate(_metered_pieces(event)):
            yield Step(minutes_end_ms + within_ms, What.METERING, place, number)

    def _take(self, step: Step) -> None:
        event = self.events[step.event]
        book = self.state.books[event.name]
        if step.what is What.PUBLISH:
            self._publish(event, book)
        elif book.cancelled:
            return
        elif step.what is What.CANCEL:
            self._cancel(event, book)
        elif step.what is What.CLEAR:
            self._clear(event, book)
        elif step.what is What.START:
            self._start(event, book, step.number)
        elif step.what is What.ANSWERS:
            self._look_for_answers(event, book, step.number)
        elif step.what is What.METERING:
            self._look_for_metering(event, book, step.number)
        else:
            self._stop(event, book, step.number, STOP if step.what is What.STOP else EMERGENCY_STOP)

    def _publish(self, event: Event, book: EventBook) -> None:
        book.published = True
        script, times = event.script, event.times
        first = ServiceRequirement(
            product=script.product,
            event_id=event.name,
            place=script.place,
            start_ms=script.start_ms,
            end_ms=script.end_ms,
            turn_down_mw=script.turn_down_mw,
            submit_by_ms=times.submit_by_ms,
            results_by_ms=times.results_by_ms,
            utilisation_ceiling_gbp_per_mwh=script.utilisation_ceiling_gbp_per_mwh,
            availability_ceiling_gbp_per_mw_h=script.availability_ceiling_gbp_per_mw_h,
        )
        plan = self.settings.faults
        self._tell(event, requirement_sendings(first, self.state.now_ms, event.course, plan, event.occasion))

    def _cancel(self, event: Event, book: EventBook) -> None:
        book.cancelled = True
        for offer in () if book.cleared else book.offers.values():
            self._refuse(event, offer, f"event {event.name} was cancelled before results")
        cancellation = ServiceCancellation(event.script.product, event.name, "no longer needed")
        sent: ServiceSending = Sending(self.state.now_ms, cancellation, event.course.withdrawn_by)
        self._tell(event, with_repeats([sent], event.script.end_ms, self.settings.faults, event.occasion))
        self.say(cancellation, SETTLEMENT)

    def _tell(self, event: Event, sent: Iterable[ServiceSending]) -> None:
        """Say to the aggregator what is said now, and keep the rest for its time; faults are remarked on."""
        for sending in sent:
            if sending.kind:
                what = f"{type(sending.message).__name__} of {event.name}"
                remark = Remark(sending.at_ms, self.name, f"fault_{sending.kind}", what)
                postpone(self.state.waiting, sending.at_ms, remark, JOURNAL)
            postpone(self.state.waiting, sending.at_ms, sending.message, AGGREGATOR)
        self.state.outbox += release(self.state.waiting, self.state.now_ms)

    # ----------------------------------------------------------------------------------------- registration

    def _register(self, unit: ServiceUnit) -> None:
        """Take a unit or refuse it; the same again is remarked on and nothing else."""
        known = self.state.units.get((unit.product, unit.unit))
        if known is not None and np.array_equal(known.rows, unit.rows):
            self.remark("duplicate_unit", f"unit {unit.unit} came again: ignored")
            return
        reason = f"a unit {unit.unit} is registered already" if known else self._unit_refusal(unit)
        if reason:
            self.remark("service_unit_refused", f"unit {unit.unit}: {reason}")
        else:
            self.state.units[(unit.product, unit.unit)] = unit
        self.say(ServiceUnitAnswer(unit.product, unit.unit, reason == NO_REASON, reason), AGGREGATOR)

    def _unit_refusal(self, unit: ServiceUnit) -> str:
        if unit.product not in self.products:
            return f"{self.name} does not buy {unit.product}"
        own = terms(Product(unit.product), local_date(self.state.now_ms), self.settings.rules)
        others = [other for (product, _), other in self.state.units.items() if product == unit.product]
        return unit_fault(unit, own, self.settings, others)

    # ---------------------------------------------------------------------------------------------- offering

    def _take_offer(self, offer: ServiceOffer) -> None:
        """Keep the offer or refuse it at once; the same offer again is remarked on and nothing else."""
        if offer.offer_id in self.state.offer_ids:
            self.remark("duplicate_offer", f"offer {offer.offer_id} came again: ignored")
            return
        self.state.offer_ids[offer.offer_id] = offer.event_id
        place = self._place.get(offer.event_id)
        if place is None or not self.state.books[offer.event_id].published:
            reason = f"there is no event {offer.event_id}"
            self.remark("offer_refused", f"offer {offer.offer_id}: {reason}")
            self.say(_award(offer, 0, 0, reason=reason), AGGREGATOR)
            return
        event = self.events[place]
        reason = self._offer_refusal(event, offer)
        if reason:
            self._refuse(event, offer, reason)
            return
        offers = self.state.books[event.name].offers
        earlier = offers.pop(offer.unit, None)
        if earlier is not None:
            self._refuse(event, earlier, f"replaced by offer {offer.offer_id} of the same unit")
        offers[offer.unit] = offer

    def _offer_refusal(self, event: Event, offer: ServiceOffer) -> str:
        """Why the offer cannot be kept, with the rule's clause; empty when it can."""
        if self.state.books[event.name].cancelled:
            return f"event {event.name} was cancelled"
        if self.state.now_ms > event.times.submit_by_ms:
            return f"offers for {event.name} closed at {event.times.submit_by_ms} ms"
        unit = self.state.units.get((event.script.product, offer.unit))
        if unit is None or offer.product != event.script.product:
            return f"unit {offer.unit} is not registered for {event.script.product}"
        return offer_fault(offer, unit, event.script, event.terms)

    # ---------------------------------------------------------------------------------------------- clearing

    def _clear(self, event: Event, book: EventBook) -> None:
        """Award offers, cheapest first, while more is needed; every offer gets its answer.

        At one price who offered earlier comes first.
        """
        book.cleared = True
        left_w = [size_w(event.course.needed_mw)] * event.script.period_count
        for offer in sorted(book.offers.values(), key=_price_gbp_per_mwh):
            awarded_mw, reason = self._share_of(event, offer, left_w)
            if reason:
                self._refuse(event, offer, reason)
                continue
            left_w = [max(w - size_w(mw), 0) for w, mw in zip(left_w, awarded_mw, strict=True)]
            self._accept(event, book, offer, awarded_mw)

    def _share_of(
        self, event: Event, offer: ServiceOffer, left_w: Sequence[int]
    ) -> tuple[tuple[float, ...], str]:
        """How much of an offer is awarded, or why nothing is."""
        sold = self._sold_already(event, offer)
        if sold:
            return (), sold
        offered_mw = offer.turn_down_mw
        if event.terms.among("products_accepted_unseen"):
            awarded_mw = offered_mw
        elif event.terms.shared("whole_offers").value:
            fits = all(size_w(mw) <= w for mw, w in zip(offered_mw, left_w, strict=True))
            awarded_mw = offered_mw if fits else ()
        else:
            awarded_mw = tuple(_at_most(mw, w) for mw, w in zip(offered_mw, left_w, strict=True))
        if not any(awarded_mw):
            rule = event.terms.shared("whole_offers")
            return (), f"the requirement was met by cheaper offers, as far as it could be ({rule.clause})"
        unit = self.state.units[(offer.product, offer.unit)]
        return awarded_mw, self.network_refusal(event, unit, awarded_mw)

    def _sold_already(self, event: Event, offer: ServiceOffer) -> str:
        """Why a unit's assets cannot be sold once more at this time; empty where they can."""
        unit = self.state.units[(offer.product, offer.unit)]
        held_w = [0] * event.script.period_count
        for award in self.awards_meeting(event):
            if (award.product, award.unit) == (offer.product, offer.unit):
                held_w = [
                    held + size_w(mw) for held, mw in zip(held_w, levels_mw(award, event.script), strict=True)
                ]
            elif self._share_assets(unit, award):
                rule = event.terms.shared("other_service_in_period_allowed")
                if not rule.value:
                    return f"its assets are sold as {award.product} of {award.event_id} then ({rule.clause})"
        most_w = size_w(unit.capacity_mw)
        if any(held + size_w(mw) > most_w for held, mw in zip(held_w, offer.turn_down_mw, strict=True)):
            return f"what is awarded to it already leaves less than it offers of {unit.capacity_mw} MW"
        return NO_REASON

    def _share_assets(self, unit: ServiceUnit, award: ServiceAward) -> bool:
        other = self.state.units[(award.product, award.unit)]
        return bool(len(_shared(unit.rows, other.rows)))

    def awards_meeting(self, event: Event) -> Iterator[ServiceAward]:
        """Awards of events that are not cancelled and overlap with this one, its own included."""
        for name, book in self.state.books.items():
            other = self.events[self._place[name]].script
            meets = other.start_ms < event.script.end_ms and event.script.start_ms < other.end_ms
            if meets and not book.cancelled:
                yield from book.awards.values()

    def _accept(
        self, event: Event, book: EventBook, offer: ServiceOffer, awarded_mw: tuple[float, ...]
    ) -> None:
        """Award an offer; settlement hears what binds, the aggregator what a fault may make of it."""
        award = replace(
            _award(offer, event.script.start_ms, event.script.end_ms, scheduled=event.terms.scheduled),
            turn_down_mw=awarded_mw,
        )
        book.awards[offer.offer_id] = award
        plan = self.settings.faults
        if award.scheduled:
            self._tell(event, instruction_sendings(award, self.state.now_ms, plan, event.occasion))
        else:
            sent: ServiceSending = Sending(self.state.now_ms, award, "")
            self._tell(event, with_repeats([sent], event.script.end_ms, plan, event.occasion))
        self.say(award, SETTLEMENT)

    def _refuse(self, event: Event, offer: ServiceOffer, reason: str) -> None:
        self.remark("offer_refused", f"offer {offer.offer_id}: {reason}")
        award = _award(offer, event.script.start_ms, event.script.end_ms, reason=reason)
        sent: ServiceSending = Sending(self.state.now_ms, award, "")
        self._tell(event, with_repeats([sent], event.script.end_ms, self.settings.faults, event.occasion))

    # --------------------------------------------------------------------------------------------- signalling

    def _start(self, event: Event, book: EventBook, number: int) -> None:
        """Call awards, cheapest energy first, up to what the call needs."""
        call = event.script.calls[number]
        wanted_mw = event.course.needed_mw if call.turn_down_mw is None else call.turn_down_mw
        left_w = size_w(wanted_mw)
        for award in sorted(book.awards.values(), key=lambda award: award.utilisation_gbp_per_mwh):
            level_mw = _at_most(_lowest_mw(award, call.start_ms, call.end_ms), left_w)
            if not level_mw:
                continue
            left_w -= size_w(level_mw)
            name = f"{event.name}-{number + 1}-{award.unit}"
            start = ServiceDispatch(
                award.product, name, award.offer_id, award.unit, START, call.start_ms, call.end_ms, level_mw
            )
            book.starts[name] = start
            plan = self.settings.faults
            self._tell(event, instruction_sendings(start, self.state.now_ms, plan, event.occasion))
            self.say(start, SETTLEMENT)

    def _stop(self, event: Event, book: EventBook, number: int, signal: str) -> None:
        """Stop whoever was started by a call."""
        for start in _starts_of(event, book, number):
            self._send_stop(start, signal, self.state.now_ms)

    def _send_stop(self, start: ServiceDispatch, signal: str, at_ms: int) -> None:
        stop = replace(
            start,
            dispatch_id=f"{start.dispatch_id}-{signal}",
            signal=signal,
            at_ms=at_ms,
            until_ms=at_ms,
            turn_down_mw=0.0,
        )
        self.say(stop, AGGREGATOR, SETTLEMENT)

    def _take_answer(self, answer: ServiceDispatchAnswer) -> None:
        """Keep an answer to a start; answers to stops are taken as read."""
        found = [
            (self.events[self._place[name]], book.starts[answer.dispatch_id], book)
            for name, book in self.state.books.items()
            if answer.dispatch_id in book.starts
        ]
        if not found:
            if not answer.dispatch_id.endswith((STOP, EMERGENCY_STOP)):
                self.remark("unknown_dispatch", f"an answer to {answer.dispatch_id}, which was not sent")
            return
        event, start, book = found[0]
        if answer.dispatch_id in book.answered:
            self.remark("answer_ignored", f"{answer.dispatch_id} was answered before")
            return
        book.answered[answer.dispatch_id] = answer.accepted
        if not answer.accepted:
            self.remark("dispatch_refused", f"{answer.dispatch_id}: {answer.reason}")
            self._let_lapse(event, start)

    def _look_for_answers(self, event: Event, book: EventBook, number: int) -> None:
        for start in _starts_of(event, book, number):
            if start.dispatch_id not in book.answered:
                self.remark("dispatch_unanswered", f"no answer to {start.dispatch_id}")
                self._let_lapse(event, start)

    def _let_lapse(self, event: Event, start: ServiceDispatch) -> None:
        """End a start that was not accepted where the rules say so, for good; elsewhere it binds."""
        if event.terms.shared("unanswered").value == "lapses":
            self.state.books[event.name].answered[start.dispatch_id] = False
            self._send_stop(start, STOP, max(start.at_ms, self.state.now_ms))

    # --------------------------------------------------------------------------------- metering, nominations

    def _take_metering(self, told: ServiceMetering) -> None:
        """Keep note of what came; what nobody asked for, or is of the wrong length, is remarked on."""
        key = (told.product, told.unit, told.start_ms)
        length_ms = len(told.import_w) * MINUTE_MS
        if length_ms not in self._lengths_expected(told):
            self.remark(
                "service_metering_refused",
                f"{told.unit}: {len(told.import_w)} minutes from {told.start_ms} ms, awarded were none such",
            )
        elif self.state.missed.pop(key, 0):
            self.remark("service_metering_late", f"{told.unit}: minutes from {told.start_ms} ms came late")
        else:
            self.state.metered[key] = len(told.import_w)

    def _lengths_expected(self, told: ServiceMetering) -> set[int]:
        """How long metering of a unit from a time may be [ms]: as events ask for it, or months are told."""
        found = set()
        for event in self.events:
            book = self.state.books[event.name]
            awarded = any(
                (award.product, award.unit) == (told.product, told.unit) for award in book.awards.values()
            )
            if awarded:
                found |= {
                    end_ms - start_ms
                    for start_ms, end_ms in (*_metered_pieces(event), _window_ms(event))
                    if start_ms == told.start_ms
                }
        return found

    def _look_for_metering(self, event: Event, book: EventBook, number: int) -> None:
        start_ms, _ = _metered_pieces(event)[number]
        for award in book.awards.values():
            key = (award.product, award.unit, start_ms)
            if self.state.metered.pop(key, 0) == 0:
                self.state.missed[key] = 1
                self.remark("service_metering_missing", f"{award.unit}: no minutes from {start_ms} ms")

    def _take_nomination(self, told: ServiceNomination) -> None:
        """Remark on a nominated baseline that came late or does not fit its day; settlement keeps them."""
        revised = self.settings.rules.book("dso_settlement", told.day).rule(
            "nominated_revision_minute_of_day"
        )
        eve = local_date(clock_reached_ms(told.day, 0) - 1)
        gate_ms = max(clock_reached_ms(eve, int(revised.value)), self.settings.start_ms + _FIRST_HOUR_MS)
        if (told.product, told.unit) not in self.state.units:
            self.remark("nomination_refused", f"unit {told.unit} is not registered for {told.product}")
        elif len(told.import_wh) != period_count(told.day):
            self.remark("nomination_refused", f"{told.day} has {period_count(told.day)} periods")
        elif self.state.now_ms > gate_ms:
            self.remark("nomination_late", f"{told.unit} for {told.day} ({revised.clause})")


_FIRST_HOUR_MS = 60 * MINUTE_MS
"""Nominations for the first day come as the run begins; its gate lies before it. Ours."""


def levels_mw(award: ServiceAward, script: ServiceEventScript) -> list[float]:
    """What is awarded in each settlement period of an event [MW] (periods)."""
    first = (script.start_ms - award.start_ms) // PERIOD_MS
    places = range(first, first + script.period_count)
    return [award.turn_down_mw[k] if 0 <= k < len(award.turn_down_mw) else 0.0 for k in places]


def _metered_pieces(event: Event) -> list[tuple[int, int]]:
    """Of which times metering is expected within minutes: half hours, the window, or none until the month is
    over [UTC ms].
    """
    if event.terms.among("products_metered_by_month"):
        return []
    start_ms, end_ms = _window_ms(event)
    if event.terms.among("products_metered_by_half_hour"):
        return [(at_ms, at_ms + PERIOD_MS) for at_ms in range(start_ms, end_ms, PERIOD_MS)]
    return [(start_ms, end_ms)]


def _window_ms(event: Event) -> tuple[int, int]:
    return event.script.start_ms, event.script.end_ms


def _starts_of(event: Event, book: EventBook, number: int) -> list[ServiceDispatch]:
    """Starts that a call led to."""
    prefix = f"{event.name}-{number + 1}-"
    return [start for name, start in book.starts.items() if name.startswith(prefix)]


def _lowest_mw(award: ServiceAward, start_ms: int, end_ms: int) -> float:
    """The level that an award holds throughout a call [MW], with its sign."""
    first, last = ((at_ms - award.start_ms) // PERIOD_MS for at_ms in (start_ms, end_ms - 1))
    return min(award.turn_down_mw[first : last + 1], key=abs)


def _at_most(mw: float, most_w: int) -> float:
    """A level cut to a size, whatever its direction."""
    return mw if size_w(mw) <= most_w else most_w / W_PER_MW * (1 if mw > 0 else -1)


def _price_gbp_per_mwh(offer: ServiceOffer) -> float:
    """What a MW costs that is held for an hour and called throughout (ours)."""
    return offer.utilisation_gbp_per_mwh + offer.availability_gbp_per_mw_h


def _shared(one: I32, other: I32) -> I32:
    return np.intersect1d(one, other)


def _award(
    offer: ServiceOffer, start_ms: int, end_ms: int, *, reason: str = NO_REASON, scheduled: bool = False
) -> ServiceAward:
    """The answer to an offer, of all that it offers: accepted where there is no reason against it."""
    return ServiceAward(
        product=offer.product,
        offer_id=offer.offer_id,
        event_id=offer.event_id,
        unit=offer.unit,
        accepted=reason == NO_REASON,
        reason=reason,
        start_ms=start_ms,
        end_ms=end_ms,
        turn_down_mw=offer.turn_down_mw,
        utilisation_gbp_per_mwh=offer.utilisation_gbp_per_mwh,
        availability_gbp_per_mw_h=offer.availability_gbp_per_mw_h,
        scheduled=scheduled,
    )
