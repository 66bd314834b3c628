"""The aggregator as a party: hears messages, wakes on a grid, decides, tells. Its whole memory is `state`.

    Aggregator(settings, rules)            # sim/run.py; `assumed` only where a study changes the guesses
    settings = AggregatorSettings(**fields of the scenario's aggregator section, with DfsSubmission(...) and
                                  BalancingSubmission(...) in place of its two parts)
    rules = rules_in_force(load_rulebook("dfs", on=day), load_rulebook("bm", on=day), dfs_metering)

It wakes every `loop_idle_ms`; every `loop_active_ms` from `lead_ms` before an instruction starts until the
last asset has been let go; and when a notification or a bid is due. One turn of the loop: publish
metering, notify and bid, step the ledger, steer each trading unit (look, correct, send), report what it
believes it delivers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np

from aggregator.belief import Moment, View, look, wall_table
from aggregator.bidding import dfs_megawatts, dfs_price, dynamics, period_starts, position
from aggregator.boundary import Boundary, base_load_w, hear_reads, learn_homes, new_boundary
from aggregator.claims import Claim, steps
from aggregator.desk import Desk
from aggregator.dispatch import choose, keep_holding, spread_release, to_poll, want
from aggregator.forecast import Availability, Forecast, History, foresee, foreseen_now_w, learn, revision
from aggregator.instructions import (
    BALANCING,
    DFS,
    Bid,
    Book,
    Declared,
    Plan,
    UnitBooks,
    expire_waiting,
    governing,
    move,
    overtaken,
    remark,
    take_acceptance,
    take_cancellation,
    take_result,
)
from aggregator.normaliser import Intake, new_intake, take_in
from aggregator.operational_metering import metering, take_seconds
from aggregator.participation import Participation
from aggregator.places import (
    ACKED_W,
    BUSY,
    COLD_W,
    DROP_W,
    EXPIRING_W,
    EXPORT_W,
    FREE_W,
    HOLDABLE,
    IS_HELD,
    IS_RAISED,
    NO_PART,
    PENDING_RISE_W,
    PENDING_W,
    RAISABLE,
    RISE_W,
    UNSEEN,
    WAITING_W,
    WEIGHT,
)
from aggregator.registry import Cells, Group, Registry, Standing, dfs_registrations, enrol
from aggregator.registry_changes import ENDS, Books, refusals, strike, swap, take_change
from aggregator.requirements import AMENDED, verdict
from aggregator.sending import (
    COLD,
    FAILED,
    FREE,
    HELD,
    RAISED,
    RESPONDED,
    UP_FAILED,
    UP_RESPONDED,
    WARM,
    Terms,
    new_control,
    set_points,
    take_acks,
)
from aggregator.service_book import ServiceBook
from aggregator.settings import AggregatorSettings, Assumptions, Rules, ServiceRules
from aggregator.shares import within_reach
from aggregator.sources import Sources, compare_day, new_sources, turn_day
from aggregator.technologies import RESPONSE_MS, TABLE
from aggregator.telemetry import (
    COUNTS,
    QUARANTINED,
    Records,
    Store,
    begin_sessions,
    exchanged,
    new_store,
    observe,
)
from aggregator.trading import Trader
from protocol.instruction import Stage
from protocol.messages import (
    I8,
    I32,
    I64,
    NO_LIMIT_W,
    UNKNOWN,
    Acks,
    Answer,
    AssetReadings,
    AssetRegistration,
    BidOfferAcceptance,
    BidOfferData,
    BoundaryReadings,
    BoundaryReads,
    Change,
    Channel,
    Complaints,
    DeliveryBelief,
    DfsBid,
    DfsCancellation,
    DfsParticipants,
    DfsRequirement,
    DfsResult,
    EventAnswers,
    EventCalledOff,
    EventNotice,
    ExportLimits,
    HomeRegistration,
    Message,
    PhysicalNotification,
    Point,
    Polls,
    RegistryChange,
    Service,
    SessionStarts,
    Setpoints,
    Statement,
    SystemPrice,
    Technology,
    Telemetry,
)
from protocol.party import NEVER_MS, Envelope
from protocol.periods import DAY_MS, HOUR_MS, PERIOD_MS, day_start_ms, gate_closure_ms, local_date, period_of
from protocol.products import Product
from protocol.vendor_messages import VendorReadings
from protocol.vendors import WATT_HOURS, VendorIntegration

NAME = "aggregator"
KEPT_MS = 3 * DAY_MS
"""How long plans and declarations are remembered after they ended: the meters' days come later than they."""

_NOBODY = np.empty(0, np.int32)

Each = Callable[[Callable[[int, int], Any], int], list[Any]]
"""Gives `[work(worker, part) for part in range(parts)]`, done in any order and by any number of workers."""

PerRow = TypeVar("PerRow", Telemetry, VendorReadings, SessionStarts, Acks, AssetReadings, RegistryChange)


@dataclass(slots=True)
class Portfolio:
    """Everything that has one entry per asset or per trading unit ("group").

    `lead_ms` how long before a start the slowest technology is told. Per group: `experience` (groups, 6) with
    orders, `lesson` the same up to the last event's end, `metered_w` import at the end of what was published,
    `believed_w` turn-down believed at the last look, `steered_w` the target last steered to, `busy` 1 while
    assets are held or told something, `releasing` 1 after an end, `hold_until_ms` until when holds may last,
    `serving` the instruction last served. `boundary`: where BM Units are metered there.
    """

    registered_ms: int
    lead_ms: int
    registry: Registry
    store: Store
    control: Records
    experience: I64
    lesson: I64
    metered_w: I64
    believed_w: I64
    steered_w: I64
    busy: I8
    releasing: I8
    hold_until_ms: I64
    serving: list[str]
    intake: Intake
    sources: Sources
    boundary: Boundary | None = None


@dataclass(slots=True)
class AggregatorState:
    """All that the aggregator remembers.

    `now_ms` the latest moment it was told of, `loop_ms` its last turn, `next_period_ms` the next period to
    notify, `heard` the latest requirement of each DFS event and `requirements` those not bid for yet,
    `polls_day` the local day (ordinal) for which polls are counted. What was remarked on and is not to be
    said again: units that offer nothing (`idle`) or are foreseen without history (`unforeseen`), readings and
    sessions that cannot be (`quarantined`).
    `residue_mwh` what rounding moved in each unit's notifications of the local day `residue_day` (ordinal).
    `began_anew` how many registers were seen to begin anew since the last turn.
    """

    now_ms: int = 0
    loop_ms: int = 0
    portfolio: Portfolio | None = None
    history: History = field(default_factory=lambda: History([]))
    book: Book = field(default_factory=Book)
    units: dict[str, UnitBooks] = field(default_factory=dict)
    next_period_ms: int = 0
    limits_sequence: int = 0
    heard: dict[str, DfsRequirement] = field(default_factory=dict)
    requirements: dict[str, DfsRequirement] = field(default_factory=dict)
    bids: dict[str, Bid] = field(default_factory=dict)
    polls_day: int = 0
    idle: list[str] = field(default_factory=list)
    unforeseen: list[str] = field(default_factory=list)
    residue_mwh: dict[str, float] = field(default_factory=dict)
    residue_day: int = 0
    began_anew: int = 0
    by_hand: HomeRegistration | None = None
    participation: Participation = field(default_factory=Participation)
    quarantined: int = 0
    services: ServiceBook = field(default_factory=ServiceBook)
    outbox: list[Envelope] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Turn:
    """One unit at one turn of the loop: what governs it and until when, and what was seen of its assets."""

    place: int
    leading: list[Plan]
    at_ms: int
    end_ms: int
    view: View


def one_by_one(work: Callable[[int, int], Any], parts: int) -> list[Any]:
    """`Each` of a single worker."""
    return [work(0, part) for part in range(parts)]


class Aggregator:
    """The control code under test. It knows nothing but what it was told."""

    name = NAME

    def __init__(
        self,
        settings: AggregatorSettings,
        rules: Rules,
        assumed: Assumptions | None = None,
        *,
        each: Each | None = None,
        vendors: Mapping[str, VendorIntegration] | None = None,
        services: ServiceRules | None = None,
        trader: Trader | None = None,
    ) -> None:
        """`each` looks at several cells side by side; without it they are looked at one after the other.

        `services`: the rules of the services besides DFS and the BM; `trader` gives the orders of wholesale
        units. Without them these are not sold.
        """
        self._each = each or one_by_one
        self._vendors = vendors or {}
        self.settings = settings
        self.rules = rules
        self.assumed = assumed or Assumptions()
        self.state = AggregatorState()
        self._handlers: dict[type[Message], Callable[[Any], None]] = {
            AssetRegistration: self._register,
            Telemetry: self._hear_telemetry,
            VendorReadings: self._hear_vendor,
            SessionStarts: self._hear_sessions,
            Acks: self._hear_acks,
            AssetReadings: self._hear_readings,
            RegistryChange: self._hear_change,
            BoundaryReadings: self._hear_half_hours,
            BoundaryReads: self._hear_reads,
            DfsRequirement: self._hear_requirement,
            DfsResult: self._hear_result,
            DfsCancellation: self._hear_cancellation,
            BidOfferAcceptance: self._hear_acceptance,
            HomeRegistration: self._register_homes,
            EventAnswers: self._hear_answers,
            Complaints: self._hear_complaints,
        }
        self.desk = Desk(self, services, trader)
        self._handlers |= self.desk.handlers

    # ----------------------------------------------------------------------------------- the party

    def receive(self, message: Message, now_ms: int) -> None:
        self.state.now_ms = now_ms
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)
        elif not isinstance(message, SystemPrice | Statement):
            self.remark("unexpected_message", f"{type(message).__name__} is no business of {NAME}: ignored")

    def next_deadline_ms(self) -> int:
        state = self.state
        if state.portfolio is None:
            return NEVER_MS
        wanted = [_tick(state.loop_ms + 1, self.settings.loop_idle_ms, state.now_ms)]
        active_from_ms = self._active_from_ms(state.portfolio)
        if active_from_ms < NEVER_MS:
            first_ms = max(state.loop_ms + 1, active_from_ms)
            wanted.append(_tick(first_ms, self.settings.loop_active_ms, state.now_ms))
        if state.units:
            wanted.append(max(self._notify_at_ms(), state.loop_ms + 1, state.now_ms))
        wanted += [max(self._bid_at_ms(item), state.loop_ms + 1) for item in state.requirements.values()]
        wanted.append(max(self.desk.next_ms(), state.loop_ms + 1))
        return min(wanted)

    def on_deadline(self, now_ms: int) -> None:
        state = self.state
        state.now_ms = now_ms
        portfolio = state.portfolio
        if portfolio is None:
            return
        self._publish_metering(portfolio)
        self._turn_day(portfolio)
        if now_ms // HOUR_MS != state.loop_ms // HOUR_MS:
            self._tell_quarantined(portfolio)
        self._remark_change("register_began_anew", state.began_anew, "taken for another device's meter")
        state.began_anew = 0
        expire_waiting(state.book, now_ms, self.assumed, self.say)
        live = self._supersede(state.book.live())
        self._steer_all(portfolio, live)
        self._step_ledger(live)
        while state.units and self._notify_at_ms() <= now_ms:
            self._notify(state.next_period_ms)
            state.next_period_ms += PERIOD_MS
        for requirement in [item for item in state.requirements.values() if self._bid_at_ms(item) <= now_ms]:
            self._bid(portfolio, requirement)
        self.desk.turn()
        self._forget()
        state.loop_ms = now_ms

    def take_outbox(self) -> list[Envelope]:
        said, self.state.outbox = self.state.outbox, []
        return said

    def say(self, to: str, message: Message) -> None:
        self.state.outbox.append(Envelope(to, message))

    def remark(self, kind: str, detail: str) -> None:
        remark(self.say, self.state.now_ms, kind, detail)

    # ------------------------------------------------------------------------- assets and readings

    def _register(self, registration: AssetRegistration) -> None:
        state = self.state
        if state.portfolio is not None:
            self.remark("registered_twice", "assets are registered once, at the start: ignored")
            return
        by_hand_w = self.settings.dfs.expected_by_hand_w * self.settings.dfs.expected_opt_in
        registry = enrol(registration, self.rules, self.assumed, state.by_hand, by_hand_w)
        registry = self.desk.enrol(registry, registration)
        groups = len(registry.groups)
        seconds = max(self.settings.loop_idle_ms, self.settings.loop_active_ms) // 1000 + 64
        state.portfolio = Portfolio(
            registered_ms=state.now_ms,
            lead_ms=self._lead_ms(registration),
            registry=registry,
            store=new_store(registration, registry, self.assumed, state.now_ms, seconds),
            control=new_control(registry.count),
            experience=np.zeros((groups, 6), np.int64),
            lesson=np.zeros((groups, 6), np.int64),
            metered_w=np.zeros(groups, np.int64),
            believed_w=np.zeros(groups, np.int64),
            steered_w=np.zeros(groups, np.int64),
            busy=np.zeros(groups, np.int8),
            releasing=np.zeros(groups, np.int8),
            hold_until_ms=np.zeros(groups, np.int64),
            serving=[""] * groups,
            intake=new_intake(registry.count),
            sources=new_sources(registration),
            boundary=new_boundary(registration, registry, state.now_ms, seconds)
            if self.rules.bm_at_boundary
            else None,
        )
        state.loop_ms = state.now_ms - 1
        # The first period whose gate is still open.
        state.next_period_ms = (state.now_ms // PERIOD_MS + 1) * PERIOD_MS
        while gate_closure_ms(state.next_period_ms) <= state.now_ms:
            state.next_period_ms += PERIOD_MS
        self._introduce(registry)

    def _register_homes(self, homes: HomeRegistration) -> None:
        if self.state.portfolio is not None:
            self.remark("registered_twice", "homes are registered once, before the assets: ignored")
            return
        self.state.by_hand = homes

    def _lead_ms(self, registration: AssetRegistration) -> int:
        """The owner's lead, or the time that the slowest technology takes and a turn of the loop."""
        slowest_ms = int(TABLE[registration.technology, RESPONSE_MS].max(initial=0))
        return max(self.settings.lead_ms, slowest_ms + self.settings.loop_active_ms if slowest_ms else 0)

    def _introduce(self, registry: Registry) -> None:
        """Tell the markets which units there are."""
        for unit in dfs_registrations(registry):
            self.say("dfs", unit)
        if registry.excluded:
            self.remark(
                "not_in_a_dfs_unit",
                f"{registry.excluded} assets: no half-hourly meter, a home in the BM, or too few for a unit",
            )
        for cells in registry.units_of(Service.BALANCING):
            group = registry.unit(cells)
            can = dynamics(group.name, group.planned_w / 1e6, self.rules, self.assumed)
            self.state.units[group.name] = UnitBooks(cells, can, {})
            self.say(BALANCING, can)

    def _within(self, message: PerRow) -> PerRow | None:
        """The message without rows that are not registered; None before registration."""
        portfolio = self.state.portfolio
        if portfolio is None:
            self.remark(
                "not_registered", f"{type(message).__name__} before any asset was registered: ignored"
            )
            return None
        rows = message.rows
        if not len(rows) or (int(rows.min()) >= 0 and int(rows.max()) < portfolio.registry.count):
            return message
        known = (rows >= 0) & (rows < portfolio.registry.count)
        self.remark("unknown_assets", f"{int((~known).sum())} rows of {type(message).__name__}: ignored")
        arrays = {item.name: getattr(message, item.name) for item in fields(message)}
        kept: dict[str, Any] = {
            name: value[known] for name, value in arrays.items() if isinstance(value, np.ndarray)
        }
        return replace(message, **kept)

    def _hear_vendor(self, told: VendorReadings) -> None:
        """A vendor's report, in the asset model and by the gap policy of `aggregator/normaliser.py`."""
        portfolio = self.state.portfolio
        within = self._within(told)
        if portfolio is None or within is None:
            return
        telemetry, remarks = take_in(
            portfolio.intake, within, self._vendors, self.state.now_ms, self.assumed.idle_below_w
        )
        for said in remarks:
            self.remark(said.kind, said.detail)
        if telemetry is not None:
            self._hear_telemetry(telemetry)

    def _hear_telemetry(self, told: Telemetry) -> None:
        known, portfolio = self._within(told), self.state.portfolio
        if known is None or portfolio is None:
            return
        before = portfolio.store.exchanges
        observe(portfolio.store, known, self.assumed)
        if portfolio.store.exchanges > before:
            rows = exchanged(portfolio.store, known)
            since_ms = portfolio.store.board["event_ms"][rows]
            news = swap(self._books(portfolio), rows, since_ms, self.state.now_ms, seen=True)
            self.state.began_anew += len(news)

    def _tell_quarantined(self, portfolio: Portfolio) -> None:
        """Say how many readings could not be since the last time, if any: they are not corrected but left."""
        counts = portfolio.store.counts[:, [COUNTS.index(name) for name in QUARANTINED]]
        found = int(counts.sum())
        if found > self.state.quarantined:
            more = found - self.state.quarantined
            self.remark("readings_quarantined", f"{more}: a clock, power or register that cannot be")
            self.state.quarantined = found

    def _hear_sessions(self, told: SessionStarts) -> None:
        known = self._within(told)
        if known is not None and self.state.portfolio is not None:
            begin_sessions(self.state.portfolio.store, known)

    def _hear_acks(self, acks: Acks) -> None:
        known, portfolio = self._within(acks), self.state.portfolio
        if known is not None and portfolio is not None:
            take_acks(
                portfolio.control,
                portfolio.store.board,
                portfolio.experience,
                known,
                self.state.now_ms,
                self.settings,
                self.assumed,
            )
            self._learn_of_refusals(portfolio, refusals(known))

    # ------------------------------------------------------------------------------ registry changes

    def _books(self, portfolio: Portfolio) -> Books:
        return Books(portfolio.registry, portfolio.store, portfolio.control, self.assumed)

    def _hear_change(self, told: RegistryChange) -> None:
        """What is said of assets; settlement is told of consent that came or went."""
        known, portfolio = self._within(told), self.state.portfolio
        if known is None or portfolio is None:
            return
        rows = take_change(self._books(portfolio), known, self.state.now_ms)
        self._remark_change(f"registry_{told.kind.name.lower()}", len(rows), told.reason)
        if len(rows) and (told.kind in ENDS or told.kind is Change.ENROLLED):
            self._tell_settlement(told.kind, rows, known.effective_ms[np.isin(known.rows, rows)])

    def _learn_of_refusals(self, portfolio: Portfolio, rows: I32) -> None:
        """Who is refused for want of consent has withdrawn it, as far as we know now."""
        if not len(rows):
            return
        since_ms = np.full(len(rows), self.state.now_ms, np.int64)
        rows = strike(self._books(portfolio), rows, Standing.WITHDRAWN, since_ms, self.state.now_ms)
        self._remark_change("registry_refused", len(rows), "a vendor refused an order: no consent")
        if len(rows):
            self._tell_settlement(Change.WITHDRAWN, rows, since_ms[: len(rows)])

    def _tell_settlement(self, kind: Change, rows: I32, effective_ms: I64) -> None:
        """Register with settlement who is in our units; of a deallocation it knows already."""
        if kind is not Change.DEALLOCATED:
            unknown_s = np.full(len(rows), UNKNOWN, np.int32)
            change = RegistryChange(kind, rows, effective_ms, unknown_s, f"registered by {NAME}")
            self.say("settlement", change)

    def _remark_change(self, kind: str, assets: int, detail: str) -> None:
        if assets:
            self.remark(kind, f"{assets} assets: {detail}")

    def _hear_readings(self, told: AssetReadings) -> None:
        known, portfolio = self._within(told), self.state.portfolio
        if known is None or portfolio is None:
            return
        lived = told.day >= local_date(portfolio.registered_ms)
        if lived:
            found = compare_day(portfolio.sources, known, self._register_step_wh())
            if found:
                self.remark("sources_disagree", f"{told.day}: {found}")
        sessions = None if lived else portfolio.store.sessions
        disturbed = self._disturbed()
        learn(self.state.history, known, portfolio.registry, sessions, disturbed, self.assumed)
        self.desk.learn(known, disturbed)

    def _hear_half_hours(self, told: BoundaryReadings) -> None:
        """Learnt from where units are metered at the boundary; kept until the assets' readings of the day are
        there to be held against them.
        """
        portfolio = self.state.portfolio
        if portfolio is None:
            return
        if portfolio.boundary is not None:
            learn_homes(portfolio.boundary, told, self.assumed)
        if told.day >= local_date(portfolio.registered_ms):
            portfolio.sources.boundary = [told]

    def _register_step_wh(self) -> float:
        """The coarsest step in which a vendor tells a register."""
        steps = [
            vendor.energy_step * WATT_HOURS[vendor.energy_unit]
            for vendor in self._vendors.values()
            if vendor.energy_unit is not None
        ]
        return max(steps, default=0.0)

    def _hear_reads(self, told: BoundaryReads) -> None:
        portfolio = self.state.portfolio
        if portfolio is not None and portfolio.boundary is not None:
            hear_reads(portfolio.boundary, told)

    def _disturbed(self) -> list[tuple[int, int, int]]:
        """When our own orders shaped the readings: while delivered, and as long again while energy comes
        back.
        """
        return [
            (place, plan.start_ms, 2 * plan.end_ms - plan.start_ms + self.settings.release_over_ms)
            for plan in self.state.book.plans.values()
            if plan.believed_wms
            for place in plan.cells
        ]

    # --------------------------------------------------------------------------------- market mail

    def _hear_acceptance(self, acceptance: BidOfferAcceptance) -> None:
        state = self.state
        take_acceptance(state.book, acceptance, state.units, state.now_ms, self.assumed, self.say)

    def _hear_requirement(self, requirement: DfsRequirement) -> None:
        state, name = self.state, requirement.event_id
        if state.portfolio is None:
            self.remark("not_registered", f"DfsRequirement {name} before any asset was registered: ignored")
            return
        kind, detail = verdict(requirement, state.heard.get(name), state.book.cancelled, state.now_ms)
        if kind:
            self.remark(kind, detail)
        if kind not in ("", AMENDED):
            return
        state.heard[name] = state.requirements[name] = requirement
        if self._bid_at_ms(requirement) <= state.now_ms:
            self._bid(state.portfolio, requirement)

    def _hear_result(self, result: DfsResult) -> None:
        state = self.state
        bid = state.bids.get(result.bid_id)
        cells = []
        if state.portfolio is not None:
            cells = state.portfolio.registry.cells_of(result.unit, Service.DFS)
        if bid is not None and bid.unit == result.unit:
            bid.refused = not result.accepted
        take_result(state.book, result, bid, cells, state.now_ms, self.say)
        if state.portfolio is not None and self.settings.dfs.ask and result.bid_id in state.book.plans:
            self._ask(state.portfolio, state.book.plans[result.bid_id], result.event_id)

    def _hear_cancellation(self, cancellation: DfsCancellation) -> None:
        state, name = self.state, cancellation.event_id
        if state.requirements.pop(name, None) is not None:
            self.remark("event_cancelled_before_bid", f"event {name}: {cancellation.reason}; no bid")
        ours = [bid_id for bid_id, bid in state.bids.items() if bid.event_id == name and not bid.refused]
        take_cancellation(state.book, cancellation, ours, state.now_ms, self.say)
        for instruction_id in ours:
            self._call_off(instruction_id)

    # --------------------------------------------------------------------------------------- people

    def _ask(self, portfolio: Portfolio, plan: Plan, event_id: str) -> None:
        """Ask the unit's homes whether they take part, once; in an event that has begun nobody does."""
        participation, name = self.state.participation, plan.instruction_id
        if name in participation.asked:
            return
        homes = participation.ask(name, event_id, portfolio.registry.homes_in(plan.cells))
        channel = Channel[self.settings.dfs.ask_by.upper()]
        if len(homes) and self.state.now_ms < plan.start_ms:
            self.say("gateway", EventNotice(name, homes, plan.start_ms, plan.end_ms, int(channel)))

    def _hear_answers(self, told: EventAnswers) -> None:
        newly_in = self.state.participation.take(told)
        plan, portfolio = self.state.book.plans.get(told.instruction_id), self.state.portfolio
        if portfolio is None or plan is None or plan.turns_up:
            return
        if len(newly_in) and self.state.now_ms < plan.end_ms:
            self._tell_of_goods(portfolio, plan, newly_in, limit_w=0)

    def _call_off(self, instruction_id: str) -> None:
        """Tell whoever was asked for an event that it does not take place."""
        asked, portfolio = self.state.participation.asked.get(instruction_id), self.state.portfolio
        if asked is None or portfolio is None or asked.participants is not None:
            return
        self.say("gateway", EventCalledOff(instruction_id))
        homes = asked.homes[asked.answer == Answer.IN]
        self._tell_of_goods(portfolio, self.state.book.plans[instruction_id], homes, limit_w=NO_LIMIT_W)

    def _tell_of_goods(self, portfolio: Portfolio, plan: Plan, homes: I32, limit_w: int) -> None:
        """Tell the owners of white goods in these homes not to start them meanwhile, or that they may."""
        goods = np.flatnonzero(portfolio.registry.technology == Technology.APPLIANCE)
        rows = goods[np.isin(portfolio.registry.home[goods], homes)].astype(np.int32)
        if not len(rows):
            return
        portfolio.control["sequence"][rows] += 1
        self.say(
            "gateway",
            Setpoints(
                rows=rows,
                limit_w=np.full(len(rows), limit_w, np.int32),
                from_ms=np.full(len(rows), plan.start_ms, np.int64),
                until_ms=np.full(len(rows), plan.end_ms, np.int64),
                sequence=portfolio.control["sequence"][rows].astype(np.int32),
                response_dsr=True,
                instruction_id=plan.instruction_id,
            ),
        )

    def _hear_complaints(self, told: Complaints) -> None:
        self.state.participation.withdraw(told)

    def _leave_alone(self, portfolio: Portfolio, place: int, leading: list[Plan], view: View) -> None:
        """Whoever is not in is not chosen; whoever has gone out since is let go."""
        participation, names = self.state.participation, [plan.instruction_id for plan in leading]
        if not participation.concerns(names):
            return
        rows = portfolio.registry.rows_of(place)
        out = participation.stays_out(portfolio.registry.home[rows], names)
        under_orders = (view.part == IS_HELD) | (view.part == IS_RAISED)
        portfolio.control["release_s"][rows[out & under_orders]] = self.state.now_ms // 1000
        view.part[out & ~under_orders] = NO_PART

    def _believe_by_hand(self, portfolio: Portfolio, near: list[Plan]) -> None:
        """Count, in units that act by hand, what the owner expects of each home that is in."""
        for plan in near:
            asked = self.state.participation.asked.get(plan.instruction_id)
            if plan.cells[0] in portfolio.registry.by_hand and asked is not None:
                homes = int(asked.says_yes(asked.homes).sum()) if plan.start_ms <= self.state.now_ms else 0
                portfolio.believed_w[plan.cells[0]] = homes * self.settings.dfs.expected_by_hand_w

    def _begin_taking_part(self, plan: Plan, unit: str) -> None:
        """Close the event's list and hand it to settlement."""
        if plan.instruction_id in self.state.participation.asked:
            self.state.participation.begin(plan.instruction_id)
            self.say("settlement", self._participants(plan, unit))

    def _end_taking_part(self, plan: Plan, unit: str) -> None:
        asked = self.state.participation.asked.get(plan.instruction_id)
        if asked is not None and asked.participants is not None:
            self.say("journal", self._participants(plan, unit))

    def _participants(self, plan: Plan, unit: str) -> DfsParticipants:
        asked = self.state.participation.asked[plan.instruction_id]
        homes = self.state.participation.begin(plan.instruction_id)
        now_ms = self.state.now_ms
        return DfsParticipants(asked.event_id, unit, now_ms, homes, len(asked.homes), asked.opted_out)

    # ----------------------------------------------------------------------------------- the clock

    def _active_from_ms(self, portfolio: Portfolio) -> int:
        """From when the loop runs fast; NEVER_MS for not in sight."""
        if portfolio.busy.any():
            return 0
        starts = [plan.start_ms - portfolio.lead_ms for plan in self.state.book.live()]
        return min(starts, default=NEVER_MS)

    def _notify_at_ms(self) -> int:
        return gate_closure_ms(self.state.next_period_ms) - self.assumed.notify_before_gate_ms

    def _bid_at_ms(self, requirement: DfsRequirement) -> int:
        return requirement.submit_by_ms - self.assumed.bid_before_window_ends_ms

    def _turn_day(self, portfolio: Portfolio) -> None:
        """Once a local day: polls are counted anew, and registers noted."""
        day = local_date(self.state.now_ms)
        if day.toordinal() != self.state.polls_day:
            self.state.polls_day = day.toordinal()
            portfolio.control["polls"] = 0
            turn_day(portfolio.sources, portfolio.store.board, day.toordinal(), day_start_ms(day))

    def _forget(self) -> None:
        """Drop plans and declarations that nothing asks about any more; the ledger keeps every
        instruction.
        """
        state = self.state
        before_ms = state.now_ms - KEPT_MS
        state.book.plans = {
            key: plan
            for key, plan in state.book.plans.items()
            if plan.end_ms >= before_ms or not state.book.ledger.entries[key].ended
        }
        for unit in state.units.values():
            for start_ms in [start_ms for start_ms in unit.declared if start_ms < before_ms]:
                del unit.declared[start_ms]
        self.desk.forget(before_ms)

    def _publish_metering(self, portfolio: Portfolio) -> None:
        units = portfolio.registry.units_of(Service.BALANCING)
        names = tuple(portfolio.registry.groups[cells[0]].name for cells in units)
        source = portfolio.store if portfolio.boundary is None else portfolio.boundary
        now_ms, behind_ms = self.state.now_ms, self.assumed.metering_behind_ms
        taken = take_seconds(source, portfolio.metered_w, now_ms, behind_ms)
        said = None if taken is None else metering(*taken, units, names)
        if said is not None:
            self.say(BALANCING, said)
        books = self.state.services
        if portfolio.boundary is not None and books.units:
            if books.level_w is None:
                books.level_w = np.zeros_like(portfolio.metered_w)
            taken = take_seconds(portfolio.store, books.level_w, now_ms, behind_ms)
        if taken is not None and books.units:
            self.desk.take_seconds(*taken)

    # ------------------------------------------------------------------------------- what to offer

    def _look(
        self, portfolio: Portfolio, place: int, *, active: bool, hold_ms: int, up: bool = False
    ) -> View:
        now_ms = self.state.now_ms
        view = look(
            portfolio.store.board,
            portfolio.store.sessions,
            portfolio.control,
            portfolio.experience[place],
            portfolio.registry.rows_of(place),
            Moment(
                now_ms, portfolio.registered_ms, active, hold_ms // 1000, wall_table(local_date(now_ms)), up
            ),
            self.settings,
            self.assumed,
        )
        down, _ = self.response(portfolio, [place])
        acked_w = int(down * int(view.sums[ACKED_W]))
        portfolio.believed_w[place] = int(view.sums[DROP_W]) + acked_w - int(view.sums[RISE_W])
        return view

    def response(self, portfolio: Portfolio, cells: Cells) -> tuple[float, float]:
        """Shares of a unit's power that follow when told, down and up: as assumed, and more and more as seen.

        What an event teaches counts after it: those who fail show first, so that in its midst the share is
        wrong.
        """
        seen, weight = portfolio.lesson[cells].sum(axis=0), self.assumed.response_weight_w
        down = (weight * self.assumed.response + int(seen[RESPONDED])) / (
            weight + int(seen[RESPONDED]) + int(seen[FAILED])
        )
        up = (weight * self.assumed.turn_up_response + int(seen[UP_RESPONDED])) / (
            weight + int(seen[UP_RESPONDED]) + int(seen[UP_FAILED])
        )
        return max(down, 0.05), max(up, 0.05)

    def _warm_share(self, portfolio: Portfolio, cells: Cells) -> float:
        """The part of a unit's import that was not too cold to hold when earlier instructions began."""
        warm_w, cold_w = (int(portfolio.lesson[cells, column].sum()) for column in (WARM, COLD))
        return warm_w / (warm_w + cold_w) if cold_w else 1.0

    def availability(self, unit: int | Cells, starts_ms: list[int]) -> tuple[list[Availability], float]:
        """What a unit can turn down in the periods that start then; and what it can turn up now [W].

        `unit`: its cell or cells, places among `state.portfolio.registry.groups`. Looks at all its assets
        once.
        """
        portfolio, now_ms = self.state.portfolio, self.state.now_ms
        if portfolio is None:
            return [], 0.0
        cells = [unit] if isinstance(unit, int) else list(unit)
        group = portfolio.registry.unit(cells)
        sums = self._look_at_unit(portfolio, cells)
        unseen = int(sums[UNSEEN]) / max(int(sums[WEIGHT]), 1)
        down, up = self.response(portfolio, cells)
        warm = self._warm_share(portfolio, cells)
        seen_w = int(portfolio.store.power_w[cells].sum()) + int(portfolio.believed_w[cells].sum())
        foreseen_w = foreseen_now_w(self.state.history, cells, group, now_ms, self.assumed)
        found = []
        for start_ms in starts_ms:
            lead_ms = start_ms + PERIOD_MS // 2 - now_ms
            factor = revision(seen_w, foreseen_w, group, lead_ms, self.assumed)
            foreseen = foresee(self.state.history, cells, group, start_ms, self.assumed)
            forecast = foreseen.revised(factor, unseen)
            found.append(Availability(forecast, 1 - unseen, down, float(sums[EXPORT_W]), warm))
        self._remark_unforeseen(group, found)
        return found, int(sums[WAITING_W]) * up * (1 - unseen)

    def _look_at_unit(self, portfolio: Portfolio, cells: Cells) -> I64:
        """The sums of a look at all cells of a unit."""
        near = self._near(portfolio, self.state.book.live())
        active = {place for plan in near for place in plan.cells}
        hold_ms = self.settings.maximum_hold_ms
        views = [self._look(portfolio, place, active=place in active, hold_ms=hold_ms) for place in cells]
        sums: I64 = np.sum([view.sums for view in views], axis=0, dtype=np.int64)
        return sums

    def _remark_unforeseen(self, group: Group, found: list[Availability]) -> None:
        """Say once per unit that its forecast is a guess."""
        known = not group.assets or any(one.forecast.days for one in found)
        if not known and group.name not in self.state.unforeseen:
            self.state.unforeseen.append(group.name)
            self.remark("forecast_without_history", f"{group.name}: no day like it was lived yet; a guess")

    def _notify(self, start_ms: int) -> None:
        """Notification, limits and pairs of every BM Unit for one period."""
        self._tell_residue(local_date(start_ms))
        degraded = []
        for unit, books in self.state.units.items():
            found, waiting_w = self.availability(books.cells, [start_ms])
            (available,) = self.desk.left(books.cells, [start_ms], found, Product.BM)
            if 1 - available.reached > self.assumed.degraded_stale_share:
                degraded.append((unit, 1 - available.reached))
            self._notify_unit(unit, books, start_ms, available, waiting_w)
        self._remark_degraded(degraded)

    def turn_up_w(self, waiting_w: float, start_ms: int) -> float:
        """What of the power that waits now can be turned up in a period with the owner's confidence [W]."""
        z = max(NormalDist().inv_cdf(min(max(self.settings.confidence, 0.01), 0.99)), 0.0)
        sure = max(1 - z * self.assumed.prior_relative_sd, 0.0)
        return waiting_w * sure * self.fading(start_ms)

    def fading(self, start_ms: int) -> float:
        """How much what is seen now still says of a later moment."""
        return math.exp(-(start_ms - self.state.now_ms) / self.assumed.revision_decay_ms)

    def bids_standing(self) -> list[Claim]:
        """DFS bids that may yet be accepted, as claims on their cells."""
        state = self.state
        if state.portfolio is None:
            return []
        registry = state.portfolio.registry
        found = []
        for key, bid in state.bids.items():
            if bid.refused or key in state.book.ledger.entries or bid.end_ms <= state.now_ms:
                continue
            cells = tuple(registry.cells_of(bid.unit, Service.DFS))
            segments = steps(bid.start_ms, bid.end_ms, PERIOD_MS, bid.turn_down_mw)
            found.append(Claim(Product.DFS, key, cells, segments, bid.start_ms))
        return [claim for claim in found if claim.segments and claim.cells]

    def held_share(self, cells: Cells, duration_ms: int) -> float:
        """The part of a unit's power that can be held at any time of so long a window."""
        portfolio = self.state.portfolio
        if portfolio is None:
            return 0.0
        return portfolio.registry.unit(cells).held_share(duration_ms, self.settings.maximum_hold_ms)

    def cell_name(self, cell: int) -> str:
        """The trading unit that a cell is part of, in words."""
        name = "" if self.state.portfolio is None else self.state.portfolio.registry.groups[cell].name
        return name or "in no DFS or BM Unit"

    def _tell_residue(self, day: date) -> None:
        """When the day that is notified turns, say what rounding left out of the one before, unit by unit."""
        state = self.state
        if day.toordinal() == state.residue_day:
            return
        for unit, residue_mwh in state.residue_mwh.items():
            if residue_mwh:
                lived = date.fromordinal(state.residue_day)
                what = f"{unit}: rounding to whole MW moved {residue_mwh:.1f} MWh of its FPNs on {lived}"
                self.remark("fpn_residue", what)
        state.residue_day = day.toordinal()
        state.residue_mwh = dict.fromkeys(state.units, 0.0)

    def _notify_unit(
        self, unit: str, books: UnitBooks, start_ms: int, available: Availability, waiting_w: float
    ) -> None:
        """Say one unit's position for one period."""
        end_ms = start_ms + PERIOD_MS
        base_w = self._base_load_w(books.cells, start_ms)
        moved_w = self.desk.moved_w(books.cells, start_ms, Product.BM)
        turn_up_w = self.turn_up_w(waiting_w, start_ms)
        offer = position(available, turn_up_w, self.settings, self.rules, base_w, moved_w)
        level_mw = float(offer.fpn_mw)
        books.declared[start_ms] = Declared(level_mw, float(offer.mel_mw), float(offer.mil_mw))
        self.state.limits_sequence += 1
        profile = (Point(start_ms, level_mw), Point(end_ms, level_mw))
        self.say(BALANCING, PhysicalNotification(unit, start_ms, end_ms, profile))
        self.say(
            BALANCING,
            ExportLimits(
                unit, self.state.limits_sequence, start_ms, end_ms, float(offer.mel_mw), float(offer.mil_mw)
            ),
        )
        self.say(BALANCING, BidOfferData(unit, start_ms, end_ms, offer.pairs))
        self.state.residue_mwh[unit] += abs(offer.residue_mw) * PERIOD_MS / HOUR_MS
        self._remark_idle(unit, idle=not offer.pairs)

    def _base_load_w(self, cells: Cells, start_ms: int) -> float:
        """Base load in a unit's level [W]; none where its assets are metered and not its homes."""
        portfolio = self.state.portfolio
        if portfolio is None or portfolio.boundary is None:
            return 0.0
        assets = portfolio.registry.unit(cells).assets
        return base_load_w(portfolio.boundary, self.state.history, cells, assets, start_ms, self.assumed)

    def _remark_idle(self, unit: str, *, idle: bool) -> None:
        """Say once that a unit has nothing to offer, and again only after it had something."""
        units = self.state.idle
        if idle and unit not in units:
            units.append(unit)
            least_mw = self.rules.bm_minimum_unit_mw
            self.remark("nothing_to_offer", f"{unit}: less than {least_mw:g} MW either way, so no pairs")
        elif not idle and unit in units:
            units.remove(unit)

    def _remark_degraded(self, degraded: list[tuple[str, float]]) -> None:
        if degraded:
            worst = max(share for _, share in degraded)
            names = ", ".join(unit for unit, _ in degraded)
            self.remark("degraded_forecast", f"up to {worst:.0%} of assets not heard of lately in {names}")

    def _bid(self, portfolio: Portfolio, requirement: DfsRequirement) -> None:
        """Bid every DFS Unit that has enough to offer and has not promised it elsewhere."""
        state, name = self.state, requirement.event_id
        state.requirements.pop(name, None)
        asked = requirement.zones
        units = [
            cells
            for cells in portfolio.registry.units_of(Service.DFS)
            if not asked or portfolio.registry.groups[cells[0]].zone in asked
        ]
        if not units:
            self.remark("no_dfs_unit", f"event {name}: we have no DFS Unit that could bid")
        count = len(period_starts(requirement))
        left_mw = [abs(requirement.turn_down_mw)] * count
        caps_mw = {zone: [cap_mw] * count for zone, cap_mw in requirement.zonal_caps_mw}
        degraded: list[tuple[str, float]] = []
        for cells in units:
            group = portfolio.registry.groups[cells[0]]
            unit, zone = group.name, group.zone
            if max(left_mw) < self.rules.dfs_minimum_unit_mw:
                self.remark("requirement_filled", f"event {name}: {unit} and any after it are not needed")
                break
            if self._promised(unit, requirement):
                self.remark("already_promised", f"{unit}: a bid for the same time stands; none for {name}")
                continue
            room_mw = list(map(min, left_mw, caps_mw.get(zone, left_mw)))
            bid_mw = self._bid_unit(portfolio, cells, unit, requirement, room_mw, degraded)
            left_mw = [left - bid for left, bid in zip(left_mw, bid_mw, strict=True)]
            if zone in caps_mw:
                caps_mw[zone] = [cap - bid for cap, bid in zip(caps_mw[zone], bid_mw, strict=True)]
        self._remark_degraded(degraded)

    def _bid_unit(
        self,
        portfolio: Portfolio,
        cells: Cells,
        unit: str,
        requirement: DfsRequirement,
        left_mw: list[float],
        degraded: list[tuple[str, float]],
    ) -> tuple[float, ...]:
        """Bid one unit; gives its megawatts by period, either way positive, all 0 where it does not bid."""
        name, starts = requirement.event_id, period_starts(requirement)
        available = self._offered(portfolio, cells, starts)
        if 1 - available[0].reached > self.assumed.degraded_stale_share:
            degraded.append((unit, 1 - available[0].reached))
        share = self.held_share(cells, requirement.end_ms - requirement.start_ms)
        up = requirement.turn_down_mw < 0
        bid_mw = dfs_megawatts(available, left_mw, share, self.settings, self.rules, self.assumed, turn_up=up)
        if not any(bid_mw):
            self.remark("bid_below_minimum", f"{unit} has too little to offer for event {name}")
            return bid_mw
        left_out = [start_ms for start_ms, mw in zip(starts, bid_mw, strict=True) if not mw]
        if left_out:
            periods = ", ".join(str(period_of(start_ms).number) for start_ms in left_out)
            self.remark("bid_in_part", f"{unit} offers nothing for event {name} in period {periods}")
        self._send_bid(unit, requirement, tuple(-mw if up and mw else mw for mw in bid_mw))
        return bid_mw

    def _offered(self, portfolio: Portfolio, cells: Cells, starts: list[int]) -> list[Availability]:
        """What a DFS Unit can do in each period, less whoever will not take part when asked."""
        homes, dfs = portfolio.registry.by_hand.get(cells[0]), self.settings.dfs
        participation = self.state.participation
        share = participation.expected_share(self.settings, self.assumed) if dfs.ask else 1.0
        if homes is None:
            available, waiting_w = self.availability(cells, starts)
            available = self.desk.left(cells, starts, available, Product.DFS)
            now_w = float(sum(int(portfolio.store.power_w[cell]) for cell in cells))
            # What will be drawn more by then, whoever waits for it, cannot be turned up as well.
            risen_w = [max(one.forecast.mean_w - now_w, 0.0) for one in available]
            return [
                replace(one, taking_part=share, waiting_w=max(waiting_w - risen, 0.0))
                for one, risen in zip(available, risen_w, strict=True)
            ]
        willing = len(np.setdiff1d(homes, participation.withdrawn)) if dfs.ask else 0
        by_hand_w = share * willing * dfs.expected_by_hand_w
        return [Availability(Forecast(0.0, 0.0, 0), 1.0, 1.0, by_hand_w=by_hand_w)] * len(starts)

    def _send_bid(self, unit: str, requirement: DfsRequirement, bid_mw: tuple[float, ...]) -> None:
        """Send a bid under an id of its own; it takes the place of earlier ones for the same event."""
        name, bids = requirement.event_id, self.state.bids
        earlier = [bid for bid in bids.values() if bid.event_id == name and bid.unit == unit]
        for bid in earlier:
            bid.refused = True
        bid_id = f"{name}-{unit}-{len(earlier) + 1}" if earlier else f"{name}-{unit}"
        price = dfs_price(requirement, self.settings)
        bids[bid_id] = Bid(name, unit, requirement.start_ms, requirement.end_ms, bid_mw, price)
        self.say("dfs", DfsBid(bid_id, name, unit, bid_mw, price))

    def _promised(self, unit: str, requirement: DfsRequirement) -> bool:
        return any(
            bid.unit == unit
            and bid.event_id != requirement.event_id
            and not bid.refused
            and bid.start_ms < requirement.end_ms
            and bid.end_ms > requirement.start_ms
            for bid in self.state.bids.values()
        )

    # ------------------------------------------------------------------------------------ steering

    def _near(self, portfolio: Portfolio, live: list[Plan]) -> list[Plan]:
        """Plans that are being prepared or delivered now."""
        now_ms = self.state.now_ms
        return [plan for plan in live if plan.start_ms - portfolio.lead_ms <= now_ms < plan.end_ms]

    def _supersede(self, live: list[Plan]) -> list[Plan]:
        """End acceptances that a later one has taken over to their end; gives those still live."""
        kept = []
        for plan in live:
            other = overtaken(plan, live, self.state.now_ms)
            if other is None:
                kept.append(plan)
                continue
            entry = self.state.book.ledger.entries[plan.instruction_id]
            move(entry, Stage.SUPERSEDED, self.state.now_ms, f"overtaken by {other.instruction_id}", self.say)
        return kept

    def _steer_all(self, portfolio: Portfolio, live: list[Plan]) -> None:
        near = self._near(portfolio, live)
        self._believe_by_hand(portfolio, near)
        room = self.settings.send_per_loop
        near_at: dict[int, list[Plan]] = {}
        for plan in near:
            for place in plan.cells:
                near_at.setdefault(place, []).append(plan)
        places = [
            place
            for place in range(1, len(portfolio.registry.groups))
            if place not in portfolio.registry.by_hand and (portfolio.busy[place] or place in near_at)
        ]
        # Whoever is first when set-points run short changes from turn to turn.
        first = self.state.now_ms // self.settings.loop_active_ms % max(len(places), 1)
        places = places[first:] + places[:first]

        def look_at(_worker: int, part: int) -> Turn:
            place = places[part]
            return self._turn(portfolio, place, near_at.get(place, []))

        turns = self._each(look_at, len(places))
        self._share_out(portfolio, near, turns)
        for turn in turns:
            room -= self._steer(portfolio, turn, room)
        self.state.services.urgent.clear()

    def _turn(self, portfolio: Portfolio, place: int, near: list[Plan]) -> Turn:
        """Look at one unit; touches nothing of the others."""
        now_ms = self.state.now_ms
        at_ms = self._aim_ms(near)
        leading = governing(near, at_ms)
        end_ms = max((plan.end_ms for plan in leading), default=now_ms)
        hold_ms = min(end_ms - now_ms, self.settings.maximum_hold_ms)
        up = sum(plan.part_w(place, at_ms) for plan in leading) < 0
        view = self._look(portfolio, place, active=bool(leading), hold_ms=hold_ms, up=up)
        self._leave_alone(portfolio, place, leading, view)
        return Turn(place, leading, at_ms, end_ms, view)

    def _steer(self, portfolio: Portfolio, turn: Turn, room: int) -> int:
        """One turn for one unit: correct, send; gives how many set-points went out."""
        now_ms, place, leading, view = self.state.now_ms, turn.place, turn.leading, turn.view
        rows = portfolio.registry.rows_of(place)
        if leading:
            if portfolio.releasing[place]:
                portfolio.releasing[place] = 0
                keep_holding(portfolio.control, rows)
            portfolio.serving[place] = leading[-1].instruction_id
            portfolio.hold_until_ms[place] = turn.end_ms + self.settings.release_over_ms
            self._prepare(portfolio, place, view, leading)
            wanted_w = sum(plan.part_w(place, turn.at_ms) for plan in leading)
            acted = self._correct(portfolio, place, view, wanted_w, leading[-1])
        else:
            acted = self._let_go(portfolio, place, view)
        service = portfolio.registry.groups[place].service
        response_dsr = bool(leading) or service is Service.BALANCING
        terms = Terms(portfolio.serving[place], int(portfolio.hold_until_ms[place]), response_dsr)
        told = set_points(
            portfolio.control, portfolio.store.board, rows, view.stirs, terms, now_ms, room, self.settings
        )
        portfolio.busy[place] = acted or bool(view.sums[BUSY]) or told is not None
        if told is None:
            return 0
        self.say("gateway", told)
        return len(told.rows)

    def _share_out(self, portfolio: Portfolio, near: list[Plan], turns: list[Turn]) -> None:
        """Share each plan's target out over its cells: by what each could do at first, within what it can do.

        Plans of the fewest cells first, as they have the least choice; load following last, for the rest.
        """
        if all(len(plan.cells) == 1 and not plan.follows for plan in near):
            return
        seen = {turn.place: turn for turn in turns}
        asked_w = dict.fromkeys(seen, 0)
        shared = [plan for plan in near if all(place in seen for place in plan.cells)]
        for plan in sorted(shared, key=lambda plan: (plan.follows, len(plan.cells))):
            target_w = plan.turn_down_w(self._aim_ms([plan]))
            can_w = [self._can_w(portfolio, seen[place], target_w < 0) for place in plan.cells]
            if not any(plan.weights_w):
                plan.weights_w = can_w
            way = -1 if target_w < 0 else 1
            left_w = [
                max(can - way * asked_w[place], 0) for can, place in zip(can_w, plan.cells, strict=True)
            ]
            delivered_w = sum(asked_w[place] for place in plan.cells) if plan.follows else 0
            asked = max(target_w - max(delivered_w, 0), 0) if plan.follows else target_w
            plan.parts_w, plan.parts_of_w = within_reach(asked, plan.weights_w, left_w), target_w
            for place, part_w in zip(plan.cells, plan.parts_w, strict=True):
                asked_w[place] += part_w

    def _can_w(self, portfolio: Portfolio, turn: Turn, up: bool) -> int:
        """How far a cell could be turned down, or up, all told [W], at least 0."""
        view, (down, more) = turn.view, self.response(portfolio, [turn.place])
        to_hold, to_raise = (HOLDABLE, IS_RAISED) if not up else (IS_HELD, RAISABLE)
        held_w, raised_w = (int(view.would_w[view.part == part].sum()) for part in (to_hold, to_raise))
        expected_w = _expected_w(view, down, more)
        if up:
            return max(int(more * raised_w + held_w - expected_w), 0)
        return max(int(down * held_w + more * raised_w + expected_w), 0)

    def _aim_ms(self, near: list[Plan]) -> int:
        """The moment whose target is steered to: half a turn ahead while delivering, the start while
        preparing.
        """
        now_ms = self.state.now_ms
        begun = [plan for plan in near if plan.start_ms <= now_ms]
        if not begun:
            return min((plan.start_ms for plan in near), default=now_ms)
        return min(now_ms + self.settings.loop_active_ms // 2, max(plan.end_ms for plan in begun) - 1)

    def _prepare(self, portfolio: Portfolio, place: int, view: View, leading: list[Plan]) -> None:
        """Once per instruction: wake cars not heard of lately, and note how much is too cold to hold."""
        rows = portfolio.registry.rows_of(place)
        for plan in leading:
            if place in plan.prepared:
                continue
            plan.prepared.append(place)
            portfolio.experience[place, WARM] += view.sums[FREE_W] - view.sums[COLD_W]
            portfolio.experience[place, COLD] += view.sums[COLD_W]
            polled = to_poll(
                portfolio.control,
                portfolio.store.board,
                portfolio.store.sessions,
                rows,
                self.state.now_ms,
                self.settings.stale_after_ms,
                self.assumed.polls_per_day,
                self.assumed.polls_per_event,
            )
            if len(polled):
                self.say("gateway", Polls(polled))

    def _correct(self, portfolio: Portfolio, place: int, view: View, wanted_w: int, plan: Plan) -> bool:
        """Hold, raise or let go assets so that the unit's turn-down becomes `wanted_w`; whether any was
        chosen.

        What the target has moved since the last time is steered to at once; the rest of the gap, which
        comes from assets that did otherwise than believed, by `tracking_gain` of it a turn.
        """
        group, control = portfolio.registry.groups[place], portfolio.control
        board = portfolio.store.board
        rows, since_ms = portfolio.registry.rows_of(place), max(self.state.now_ms, plan.start_ms)
        down, up = self.response(portfolio, [place])
        step_w = float(wanted_w - int(portfolio.steered_w[place]))
        expected_w = _expected_w(view, down, up)
        gain = self.settings.tracking_gain if self.settings.tracking else 0.0
        move_w = step_w + gain * (wanted_w - expected_w - step_w)
        deadband_w = max(0.5 * group.rating_w / max(group.assets, 1), 0.002 * abs(wanted_w))
        if abs(move_w) < deadband_w:
            return False
        portfolio.steered_w[place] = wanted_w
        if move_w > 0:
            freed = choose(view, IS_RAISED, int(move_w), longest_first=True, reach=False)
            want(control, board, rows, FREE, since_ms, view, freed)
            left_w = move_w - up * int(view.would_w[freed].sum())
            held = choose(view, HOLDABLE, math.ceil(left_w / down), longest_first=True, reach=True)
            want(control, board, rows, HELD, since_ms, view, held)
            self._remark_short(plan, math.ceil(left_w / down) - int(view.would_w[held].sum()))
            return len(freed) + len(held) > 0
        freed = choose(view, IS_HELD, int(-move_w), longest_first=False, reach=False)
        want(control, board, rows, FREE, since_ms, view, freed)
        left_w = -move_w - int(view.would_w[freed].sum())
        raised = np.empty(0, np.int32)
        if wanted_w < 0 and left_w >= deadband_w:
            raised = choose(view, RAISABLE, math.ceil(left_w / up), longest_first=False, reach=True)
            want(control, board, rows, RAISED, since_ms, view, raised)
        return len(freed) + len(raised) > 0

    def _remark_short(self, plan: Plan, missing_w: int) -> None:
        """Say once per instruction that there are not enough assets to hold."""
        if missing_w > 0 and not plan.short:
            plan.short = True
            self.remark("short_of_assets", f"{plan.instruction_id}: {missing_w / 1e6:.3f} MW not to be found")

    def _let_go(self, portfolio: Portfolio, place: int, view: View) -> bool:
        """After the end: give every held asset its moment to be let go, once; whether there was any."""
        portfolio.steered_w[place] = 0
        if portfolio.releasing[place]:
            return False
        portfolio.releasing[place] = 1
        portfolio.lesson[place] = portfolio.experience[place]
        rows, now_ms = portfolio.registry.rows_of(place), self.state.now_ms
        urgent = place in self.state.services.urgent
        over_ms = 0 if urgent else self.settings.release_over_ms
        portfolio.hold_until_ms[place] = now_ms + over_ms + self.settings.loop_active_ms
        if urgent:
            self._let_go_at_once(portfolio, rows, view)
            return True
        spread_release(portfolio.control, rows, view, IS_HELD, now_ms, over_ms)
        spread_release(portfolio.control, rows, view, IS_RAISED, now_ms, over_ms)
        return bool((view.part == IS_HELD).any() or (view.part == IS_RAISED).any())

    def _let_go_at_once(self, portfolio: Portfolio, rows: I32, view: View) -> None:
        """After an emergency stop: nobody waits for a moment of its own."""
        under_orders = np.flatnonzero((view.part == IS_HELD) | (view.part == IS_RAISED)).astype(np.int32)
        want(portfolio.control, portfolio.store.board, rows, FREE, self.state.now_ms, view, under_orders)

    # ---------------------------------------------------------------------- what is believed of it

    def _step_ledger(self, live: list[Plan]) -> None:
        """Begin and end instructions, and report on those under way."""
        now_ms = self.state.now_ms
        for plan in live:
            if now_ms < plan.start_ms:
                continue
            entry = self.state.book.ledger.entries[plan.instruction_id]
            if entry.stage is Stage.ACCEPTED:
                move(entry, Stage.DELIVERING, now_ms, "", self.say)
                self._begin_taking_part(plan, entry.unit)
            self._report(plan, live, entry.unit)
            if now_ms >= plan.end_ms:
                self._end_taking_part(plan, entry.unit)
                self._close(plan)

    def _report(self, plan: Plan, live: list[Plan], unit: str) -> None:
        """Add to the instruction's integrals what was asked and believed since the last turn, and say it."""
        portfolio, now_ms = self.state.portfolio, self.state.now_ms
        if portfolio is None:
            return
        until_ms = min(now_ms, plan.end_ms)
        at_ms = min(now_ms, plan.end_ms - 1)
        believed_w = self._believed_w(portfolio, plan, live, at_ms)
        if believed_w is None:
            plan.at_ms = until_ms
            return
        instructed_w = plan.turn_down_w(at_ms)
        span_ms = until_ms - plan.at_ms
        plan.instructed_wms += plan.turn_down_w((plan.at_ms + until_ms) // 2) * span_ms
        plan.believed_wms += believed_w * span_ms
        plan.at_ms = until_ms
        self.say("journal", DeliveryBelief(plan.instruction_id, unit, now_ms, instructed_w, believed_w))

    def _failed_below(self, service: str) -> float:
        """The share of what was instructed below which delivery counts as failed."""
        if service == DFS:
            return self.rules.dfs_failed_below
        return self.assumed.bm_failed_below if service == BALANCING else self.assumed.service_failed_below

    def _believed_w(self, portfolio: Portfolio, plan: Plan, live: list[Plan], at_ms: int) -> int | None:
        """What is believed to be delivered for a plan [W]; None where others govern all of its cells.

        Where plans share a cell, by what each asks of it; for load following all of it counts.
        """
        found = []
        for place in plan.cells:
            leading = governing([other for other in live if place in other.cells], at_ms)
            if plan not in leading:
                continue
            believed_w = int(portfolio.believed_w[place])
            asked_w = sum(other.part_w(place, at_ms) for other in leading)
            if len(leading) > 1 and asked_w and not plan.follows:
                believed_w = believed_w * plan.part_w(place, at_ms) // asked_w
            found.append(believed_w)
        return sum(found) if found else None

    def _close(self, plan: Plan) -> None:
        entry = self.state.book.ledger.entries[plan.instruction_id]
        share = plan.believed_wms / plan.instructed_wms if plan.instructed_wms else 1.0
        least = self._failed_below(plan.service)
        if share < least:
            reason = f"believed to have delivered {share:.0%}"
            move(entry, Stage.FAILED, self.state.now_ms, reason, self.say)
        else:
            move(entry, Stage.COMPLETED, self.state.now_ms, "", self.say)


def _expected_w(view: View, down: float, up: float) -> float:
    """By how much a cell is turned down once all that was told is followed as usual [W]."""
    sums = [int(value) for value in view.sums]
    told_w = down * (sums[ACKED_W] + sums[PENDING_W])
    return sums[DROP_W] - sums[EXPIRING_W] + told_w - sums[RISE_W] - up * sums[PENDING_RISE_W]


def _tick(first_ms: int, period_ms: int, now_ms: int) -> int:
    """The first multiple of `period_ms` at or after both moments [UTC ms]."""
    return -(-max(first_ms, now_ms) // period_ms) * period_ms
