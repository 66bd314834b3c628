"""The Demand Flexibility Service mock: requirement out, bids in, whole bids accepted cheapest first, results
out.

This owns the order book and the timetable of an event; sizes, notices and windows come from the edition's
rulebook (`protocol/rulebooks/dfs.yaml`), misbehaviour is `markets/dfs_faults.py`. Editions with zones are
cleared by `protocol.dfs_clearing`, those before them here. Hard cases: docs/markets.md D1-D16.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import cycle

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
from protocol.dfs_clearing import Bids, Outcome, clear, deregistered_on, payment_factors
from protocol.messages import (
    DeliveredVolume,
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
from protocol.units import exact, wh_to_mwh

NO_REASON = ""
PERIOD_HOURS = 0.5
ELSEWHERE = -1
"""The zone of what lies in none, for clearing."""


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
class Performance:
    """What one unit did in one event, as settled: accepted and delivered [Wh] by start of period."""

    day: date
    accepted_wh: dict[int, int] = field(default_factory=dict)
    delivered_wh: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class DfsState:
    """Registered units, every bid id ever seen, and the order book of each event.

    `performed`: by unit and event, under editions that deregister; `deregistered`: since when, by unit.
    """

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    waiting: list[Postponed] = field(default_factory=list)
    units: dict[str, DfsUnitRegistration] = field(default_factory=dict)
    bid_ids: dict[str, str] = field(default_factory=dict)
    books: dict[str, EventBook] = field(default_factory=dict)
    performed: dict[str, dict[str, Performance]] = field(default_factory=dict)
    deregistered: dict[str, date] = field(default_factory=dict)


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
        reason = unfit(event, self._rules[name])
        if reason:
            raise SettingsError(f"DFS event {name}: {reason}")
        times = timetable(event, self._rules[name], self.settings.start_ms)
        self._times[name], self._occasions[name] = times, occasion
        self._courses[name] = course(event, times.published_ms, times.results_by_ms, faults, occasion)
        return times

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {
            DfsUnitRegistration: self._register,
            DfsBid: self._take_bid,
            DeliveredVolume: self._take_performance,
        }

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
            zones=event.zones,
            zonal_caps_mw=event.zonal_caps_mw,
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
        if registration.unit in self.state.deregistered:
            return f"it was deregistered on {self.state.deregistered[registration.unit]}"
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
        reason = self._unit_refusal(event, self.state.units[bid.unit])
        if reason:
            return reason
        if not (math.isfinite(bid.price_gbp_per_mwh) and bid.price_gbp_per_mwh >= 0):
            return f"price must be a number of at least 0 GBP/MWh, not {bid.price_gbp_per_mwh}"
        if len(bid.turn_down_mw) != event.period_count:
            return f"{event.event_id} has {event.period_count} periods, the bid {len(bid.turn_down_mw)}"
        if any(mw and (mw < 0) != event.turn_up for mw in bid.turn_down_mw):
            wanted = "up, below 0 MW" if event.turn_up else "down, above 0 MW"
            return f"{event.event_id} asks for demand to be turned {wanted}, not {bid.turn_down_mw}"
        return _size_refusal(bid, self._rules[event.event_id], event.test)

    def _unit_refusal(self, event: DfsEventScript, unit: DfsUnitRegistration) -> str:
        """Why a registered unit may not bid for this event: deregistered, in no zone, or in another."""
        rules = self._rules[event.event_id]
        if unit.unit in self.state.deregistered:
            rule, day = rules.rule("deregistration_k"), self.state.deregistered[unit.unit]
            return f"DFS Unit {unit.unit} was deregistered for its performance on {day} ({rule.clause})"
        area = rules.rule("aggregation_area")
        if area.value == "zone" and not unit.zone:
            return f"DFS Unit {unit.unit} does not lie in one zone ({area.clause})"
        if event.zones and unit.zone not in event.zones:
            return f"{event.event_id} is for {', '.join(event.zones)}, not {unit.zone} ({area.clause})"
        return NO_REASON

    # ------------------------------------------------------------------------------------------ performance

    def _take_performance(self, volume: DeliveredVolume) -> None:
        """Note how a unit did; whoever fails too often is deregistered (Rules v5.0; on its K of all periods
        of an event together: ours).
        """
        name, book = volume.unit, self.state.books.get(volume.reference)
        if book is None or name not in book.bids or name in self.state.deregistered:
            return
        events = self.state.performed.setdefault(name, {})
        done = events.setdefault(volume.reference, Performance(local_date(volume.start_ms)))
        done.accepted_wh[volume.start_ms] = volume.accepted_wh
        done.delivered_wh[volume.start_ms] = volume.delivered_wh
        if len(done.accepted_wh) == sum(mw != 0 for mw in book.bids[name].turn_down_mw):
            self._judge(name, list(events.values()), self._rules[volume.reference])

    def _judge(self, unit: str, events: list[Performance], rules: Rulebook) -> None:
        events = sorted(events, key=lambda done: min(done.accepted_wh))
        accepted_wh = [abs(sum(done.accepted_wh.values())) for done in events]
        sign = [-1 if sum(done.accepted_wh.values()) < 0 else 1 for done in events]
        delivered_wh = [way * sum(done.delivered_wh.values()) for way, done in zip(sign, events, strict=True)]
        factors = payment_factors(
            np.array([float(wh_to_mwh(wh)) for wh in delivered_wh]),
            np.array([float(wh_to_mwh(wh)) / PERIOD_HOURS for wh in accepted_wh]),
            rules,
        )
        since = deregistered_on([done.day for done in events], factors.tolist(), rules)
        if since is not None:
            self.state.deregistered[unit] = since
            clause = rules.rule("deregistration_k").clause
            self.remark("dfs_deregistered", f"unit {unit} failed too often up to {since} ({clause})")

    # --------------------------------------------------------------------------------------------- clearing

    def _clear(self, event: DfsEventScript, book: EventBook) -> None:
        """Accept whole bids, cheapest first, while the requirement is not met; every bid gets its answer."""
        book.cleared = True
        if self._rules[event.event_id].value("zonal_caps"):
            self._clear_by_zone(event, book)
        else:
            self._clear_nationally(event, book)

    def _clear_by_zone(self, event: DfsEventScript, book: EventBook) -> None:
        """As `protocol.dfs_clearing.clear` has it; a competitor's block is one bid for the whole event.

        Competitors lie in the event's zones by turns, elsewhere where it names none, and bid first (ours).
        """
        rules, bids = self._rules[event.event_id], list(book.bids.values())
        place = {zone: number for number, zone in enumerate(self._zones(event))}
        outcomes = clear(
            self._columns(event, bids, place),
            np.full(event.period_count, abs(event.turn_down_mw)),
            rules,
            {place[zone]: cap_mw for zone, cap_mw in event.zonal_caps_mw},
            event.turn_up,
        )
        for bid, outcome in zip(bids, outcomes[len(self.settings.competitors) :], strict=True):
            if outcome is Outcome.ACCEPTED:
                self._accept(event, book, bid)
            else:
                self._answer(event, bid, self._passed_over(event, bid, outcome))

    def _zones(self, event: DfsEventScript) -> list[str]:
        named = {*event.zones, *(zone for zone, _ in event.zonal_caps_mw)}
        return sorted(named | {unit.zone for unit in self.state.units.values()})

    def _columns(self, event: DfsEventScript, bids: list[DfsBid], place: Mapping[str, int]) -> Bids:
        """Competitors' blocks, then our bids in order of arrival, a row each."""
        blocks, count = self.settings.competitors, event.period_count
        homes = cycle([place[zone] for zone in event.zones] or [ELSEWHERE])
        zone = [next(homes) for _ in blocks] + [place[self.state.units[bid.unit].zone] for bid in bids]
        prices = [block.price_gbp_per_mwh for block in blocks] + [bid.price_gbp_per_mwh for bid in bids]
        mw = [[block.width_mw] * count for block in blocks] + [
            list(map(abs, bid.turn_down_mw)) for bid in bids
        ]
        return Bids(
            price_gbp_per_mwh=np.array(prices, np.float64),
            mw=np.array(mw, np.float64).reshape(-1, count),
            zone=np.array(zone, np.int64),
            order=np.arange(len(zone), dtype=np.int64),
            guaranteed=np.array(
                [False] * len(blocks) + [self._is_guaranteed(event, bid) for bid in bids], np.bool_
            ),
        )

    def _passed_over(self, event: DfsEventScript, bid: DfsBid, outcome: Outcome) -> str:
        """Why a bid that stood was not taken, with the clause."""
        rules = self._rules[event.event_id]
        if outcome is Outcome.ZONAL_CAP:
            zone = self.state.units[bid.unit].zone
            return f"it does not fit under the cap of zone {zone} ({rules.rule('zonal_caps').clause})"
        if outcome is Outcome.TOO_LARGE:
            return f"it would pass the requirement ({rules.rule('last_bid').clause})"
        return self._not_needed(event)

    def _clear_nationally(self, event: DfsEventScript, book: EventBook) -> None:
        """Accept whole bids, cheapest first, while the requirement is not met, in editions without zones.

        Guaranteed bids are accepted first. At equal prices competitors come before ours, then who bid
        earlier.
        """
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
        number = self._test_number(event)
        return guaranteed_acceptance(rules, bid.price_gbp_per_mwh, event.test, number, event.turn_up)

    def _guaranteed_price(self, event: DfsEventScript) -> float | None:
        """The price published with the requirement: the script's, or the edition's for tests that
        carry one.
        """
        if event.guaranteed_price_gbp_per_mwh is not None:
            return event.guaranteed_price_gbp_per_mwh
        rules = self._rules[event.event_id]
        direction = "_turn_up" if event.turn_up else ""
        price = rules.value(f"guaranteed_acceptance_price{direction}_gbp_per_mwh")
        number = self._test_number(event)
        sure = price is not None and guaranteed_acceptance(rules, price, event.test, number, event.turn_up)
        return float(price) if sure else None

    def _test_number(self, event: DfsEventScript) -> int:
        """Which test of the run this is, by time, counted from 1."""
        return 1 + sum(other.test and other.start_ms < event.start_ms for other in self.settings.events)


def unfit(event: DfsEventScript, rules: Rulebook) -> str:
    """What of an event its edition does not know, with the clause: turn-up, zones or caps; else empty."""
    if event.turn_up and not rules.value("turn_up"):
        return f"DFS {rules.edition} buys no turn-up ({rules.rule('turn_up').clause})"
    if event.zones and rules.value("aggregation_area") != "zone":
        return f"DFS {rules.edition} knows no zones ({rules.rule('aggregation_area').clause})"
    if event.zonal_caps_mw and not rules.value("zonal_caps"):
        return f"DFS {rules.edition} has no zonal caps ({rules.rule('zonal_caps').clause})"
    return NO_REASON


def timetable(event: DfsEventScript, rules: Rulebook, run_start_ms: int) -> Timetable:
    """When an event's requirement is published, its bids close and its results are out.

    Not scripted, the requirement comes at the edition's time of day: on the day before ("day_ahead",
    "day_ahead_or_within_day", "within_24_hours") or on the day itself ("within_day"); earlier where that
    would not leave the edition's notice, later where the event would outlast the procurement period, and
    never before the run begins. Raises SettingsError when results would come after the start, or the event
    ends after the procurement period.
    """
    window_ms = rules.value("bid_window_min") * MINUTE_MS
    results_ms = rules.value("results_within_min") * MINUTE_MS
    published_ms = event.published_ms
    if published_ms is None:
        latest_ms = event.start_ms - rules.value("min_notice_min") * MINUTE_MS - results_ms - window_ms
        usual_ms = max(_usual_publication_ms(event, rules), _earliest_publication_ms(event, rules))
        published_ms = max(run_start_ms, min(usual_ms, latest_ms))
    times = Timetable(published_ms, published_ms + window_ms, published_ms + window_ms + results_ms)
    if times.results_by_ms >= event.start_ms:
        late_min = (times.results_by_ms - event.start_ms) // MINUTE_MS
        raise SettingsError(
            f"DFS event {event.event_id}: its results would come {late_min} min after its start; publish it "
            f"at least {(window_ms + results_ms) // MINUTE_MS + 1} min before the start, or start it later"
        )
    if published_ms < _earliest_publication_ms(event, rules):
        rule = rules.rule("procurement_period_min")
        raise SettingsError(
            f"DFS event {event.event_id}: it ends more than {rule.value} min after bids close "
            f"({rule.clause}); publish it later or make it shorter"
        )
    if event.cancelled_ms is not None and event.cancelled_ms >= event.start_ms:
        raise SettingsError(f"DFS event {event.event_id}: it can only be cancelled before its start")
    return times


def _earliest_publication_ms(event: DfsEventScript, rules: Rulebook) -> int:
    """From when on the procurement period reaches to an event's end; 0 in editions without one.

    Its 8 hours are stricter than the 24 of which Rules v5.0 speak as well.
    """
    period_min, window_min = rules.value("procurement_period_min"), rules.value("bid_window_min")
    return event.end_ms - (period_min + window_min) * MINUTE_MS if period_min else 0


def _usual_publication_ms(event: DfsEventScript, rules: Rulebook) -> int:
    day: date = local_date(event.start_ms)
    if rules.value("notice") != "within_day":
        day -= timedelta(days=1)
    hour, minute = divmod(int(rules.value("requirement_minute_of_day")), 60)
    return local_clock_ms(day, hour, minute)


def _size_refusal(bid: DfsBid, rules: Rulebook, test: bool) -> str:
    """Why megawatts or duration of the bid break the edition's rules; a period may be left out with 0 MW."""
    offered = [abs(mw) for mw in bid.turn_down_mw if mw != 0]
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
