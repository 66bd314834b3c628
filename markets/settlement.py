"""The settlement mock: keeps readings, results and acceptances, and settles a day once all of them are there.

This owns when a day is settled (when its data is there, or at the runs of the BSC timetable), with which
data, and what is told about what was missing. Volumes come from
`markets/metered_volume.py`, lines from `markets/statement_lines.py`, formulas from `protocol`. Rules:
docs/markets.md S1-S13.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from markets.capacity_lines import CAPACITY
from markets.counterparty import (
    AGGREGATOR,
    DFS_MARKET,
    JOURNAL,
    Counterparty,
    Handler,
    Postponed,
    earliest_ms,
    postpone,
    release,
)
from markets.estimates import FilledDay, MeterClasses, Source, fill_day
from markets.metered_volume import (
    NOT_THERE,
    Block,
    BlockVolume,
    DayReadings,
    UnitImport,
    block_volume,
    places,
    unit_import,
)
from markets.service_settlement import HEARD, Claim, Ground, ServiceDesk, ServiceState, Share
from markets.service_volume import Paid, Window
from markets.settings import RulesInForce, SettlementSettings
from markets.statement_lines import (
    BALANCING,
    BSC_CLEARING,
    DFS,
    Heading,
    MeteredPeriod,
    bm_period,
    dfs_line,
    reversal,
)
from protocol.accepted_volume import accepted_volumes, profile_mwh
from protocol.baselines import LOOK_BACK_DAYS
from protocol.messages import (
    I32,
    I64,
    MISSING_WH,
    AssetReadings,
    AssetRegistration,
    BidOfferAcceptance,
    BidOfferData,
    BoundaryReadings,
    Change,
    DeliveredVolume,
    DfsCancellation,
    DfsParticipants,
    DfsResult,
    DfsUnitRegistration,
    Message,
    PhysicalNotification,
    RegistryChange,
    Remark,
    Service,
    SettlementRunMade,
    Statement,
    StatementLine,
    SystemPrice,
)
from protocol.party import Envelope
from protocol.periods import (
    DAY_MS,
    PERIOD_MS,
    day_end_ms,
    day_start_ms,
    local_clock_ms,
    local_date,
    period_count,
    period_of,
)
from protocol.products import Product
from protocol.rulebook import Rulebook
from protocol.settlement import expected_volume
from protocol.settlement_calendar import RUNS, ScheduledRun, timetable
from protocol.units import WH_PER_MWH

PUBLISHED_HOUR = 12
"""Local hour of a run's day at which its results are published: assumed."""

UNBASELINED_DAYS = 7
"""How long asset readings are kept when no baseline needs them [days]; ours."""

Shares = Mapping[str, Share]
"""What claims came to, by their keys."""

ReadingsT = TypeVar("ReadingsT", BoundaryReadings, AssetReadings)
UnitPeriod = tuple[str, int]
"""A BM Unit and the start of a settlement period [UTC ms]."""


@dataclass(frozen=True, slots=True, eq=False)
class AllocationChange:
    """From a Settlement Day on, assets whose volumes are taken or no longer taken (rule R48)."""

    day: date
    rows: I32
    taken: bool


@dataclass(slots=True)
class SettlementState:
    """All data of a day until it is settled, and readings for as long as baselines look back.

    `open_days`: days with something to settle; `settled`: the lines of each day's latest run; `runs`: how
    many runs a day has had; `held`: results of runs that are not published yet; `changes`: who left or
    joined units, in the order in which that was told;
    `participants`: by event and unit, of units whose homes are asked each time.
    """

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    assets: AssetRegistration | None = None
    dfs_units: dict[str, DfsUnitRegistration] = field(default_factory=dict)
    results: dict[str, DfsResult] = field(default_factory=dict)
    cancelled: dict[str, bool] = field(default_factory=dict)
    participants: dict[tuple[str, str], DfsParticipants] = field(default_factory=dict)
    boundary: dict[date, BoundaryReadings] = field(default_factory=dict)
    asset: dict[date, AssetReadings] = field(default_factory=dict)
    notified: dict[UnitPeriod, PhysicalNotification] = field(default_factory=dict)
    offered: dict[UnitPeriod, BidOfferData] = field(default_factory=dict)
    acceptances: dict[tuple[str, int], BidOfferAcceptance] = field(default_factory=dict)
    prices_gbp_per_mwh: dict[int, float] = field(default_factory=dict)
    open_days: dict[date, bool] = field(default_factory=dict)
    settled: dict[date, tuple[StatementLine, ...]] = field(default_factory=dict)
    runs: dict[date, int] = field(default_factory=dict)
    held: list[Postponed] = field(default_factory=list)
    changes: list[AllocationChange] = field(default_factory=list)
    services: ServiceState = field(default_factory=ServiceState)


class Settlement(Counterparty[SettlementState]):
    """Settles DFS events and BM acceptances, day by day."""

    def __init__(self, settings: SettlementSettings) -> None:
        super().__init__("settlement", SettlementState(now_ms=day_start_ms(settings.first_day)))
        self.settings = settings

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {
            AssetRegistration: self._take_assets,
            DfsUnitRegistration: self._take_dfs_unit,
            DfsResult: self._take_result,
            DfsCancellation: self._take_cancellation,
            DfsParticipants: self._take_participants,
            BoundaryReadings: self._take_readings,
            AssetReadings: self._take_readings,
            PhysicalNotification: self._take_notification,
            BidOfferData: self._take_offer,
            BidOfferAcceptance: self._take_acceptance,
            SystemPrice: self._take_price,
            RegistryChange: self._take_change,
            **dict.fromkeys(HEARD, self._take_service_word),
        }

    def due_ms(self) -> int:
        published_ms = (held.at_ms for held in self.state.held)
        return earliest_ms([*(self._deadline_ms(day) for day in self.state.open_days), *published_ms])

    def act(self) -> None:
        """Settle what has waited long enough, without what is still missing; publish what is due."""
        for day in sorted(self.state.open_days):
            if self._deadline_ms(day) <= self.state.now_ms:
                self._make_run(day) if self.settings.calendar else self._settle(day)
        self.state.outbox += release(self.state.held, self.state.now_ms)

    def _deadline_ms(self, day: date) -> int:
        """When a day is settled at the latest: what has not come by then is not waited for."""
        if self.settings.calendar:
            runs = self._timetable(day)
            return day_end_ms(runs[min(self.state.runs.get(day, 0), len(runs) - 1)].readings_by)
        return day_end_ms(day) + self.settings.settle_after_days * DAY_MS

    # ------------------------------------------------------------------------------------ what is taken in

    def _desk(self) -> ServiceDesk:
        services = self.state.services
        return ServiceDesk(services, self.settings, self.remark, lambda told: self.say(told, JOURNAL))

    def _take_service_word(self, told: Message) -> None:
        for start_ms, end_ms in self._desk().take(told, self.state.now_ms):
            self._open(start_ms, end_ms)
        self._close_empty_days()

    def _take_assets(self, assets: AssetRegistration) -> None:
        self.state.assets = assets

    def _take_dfs_unit(self, registration: DfsUnitRegistration) -> None:
        self.state.dfs_units[registration.unit] = registration

    def _take_result(self, result: DfsResult) -> None:
        if result.accepted and result.bid_id not in self.state.results:
            self.state.results[result.bid_id] = result
            self.state.services.agreed_ms[_dfs_key(result)] = self.state.now_ms
            self._open(result.start_ms, result.end_ms)

    def _take_cancellation(self, cancellation: DfsCancellation) -> None:
        self.state.cancelled[cancellation.event_id] = True
        self._close_empty_days()

    def _take_participants(self, told: DfsParticipants) -> None:
        """Who takes part is told once, as the event begins: who came off well does not change it."""
        if (told.event_id, told.unit) in self.state.participants:
            self.remark("participants_told_twice", f"{told.unit} for event {told.event_id}: ignored")
        else:
            self.state.participants[told.event_id, told.unit] = told

    def _take_readings(self, readings: BoundaryReadings | AssetReadings) -> None:
        """Keep a day's readings as they are, not copied; readings for a settled day make a new run."""
        day, meters = readings.day, _meters(readings)
        if readings.import_wh.shape != (len(meters), period_count(day)):
            shape = f"{readings.import_wh.shape}, not {(len(meters), period_count(day))}"
            self.remark("readings_refused", f"{type(readings).__name__} of {day} are {shape}")
            return
        if isinstance(readings, BoundaryReadings):
            if _same(self.state.boundary.get(day), readings):
                return
            self.state.boundary[day] = self._with_earlier(self.state.boundary.get(day), readings)
        else:
            nobody_asks = day < self.settings.first_day and not self._looks_back_at_assets()
            if nobody_asks or _same(self.state.asset.get(day), readings):
                return
            self.state.asset[day] = self._with_earlier(self.state.asset.get(day), readings)
        self._forget_before(day)
        if day not in self.state.settled and self._desk().has_work(day):
            self.state.open_days[day] = True
        if self.settings.calendar:
            return
        if day in self.state.settled and type(readings) in self._needed(day):
            self.state.open_days[day] = True
        self._settle_if_ready(day)

    def _with_earlier(self, kept: ReadingsT | None, come: ReadingsT) -> ReadingsT:
        """Under the calendar meters come one by one: what came earlier of others stays (rule R206)."""
        return _joined(kept, come) if self.settings.calendar and kept is not None else come

    def _take_notification(self, notification: PhysicalNotification) -> None:
        self.state.notified[notification.unit, notification.start_ms] = notification

    def _take_offer(self, offer: BidOfferData) -> None:
        self.state.offered[offer.unit, offer.start_ms] = offer

    def _take_acceptance(self, acceptance: BidOfferAcceptance) -> None:
        """Keep what binds: an amendment replaces its original, a withdrawal takes it away."""
        key = (acceptance.unit, acceptance.number)
        earlier = self.state.acceptances.get(key)
        if acceptance.amendment == "DEL":
            self.state.acceptances.pop(key, None)
        else:
            self.state.acceptances[key] = acceptance
        for profile in (item.profile for item in (earlier, acceptance) if item is not None):
            self._open(profile[0].at_ms, profile[-1].at_ms)
        if acceptance.amendment != "ORI":
            self._close_empty_days()

    def _take_price(self, price: SystemPrice) -> None:
        self.state.prices_gbp_per_mwh[price.start_ms] = price.price_gbp_per_mwh
        day = local_date(price.start_ms)
        if day in self.state.open_days:
            self._settle_if_ready(day)

    def _take_change(self, told: RegistryChange) -> None:
        """Take no volumes of who left, from the Settlement Day of the change on; of a rejection tell why.

        A day that has been settled is not settled anew for it, but what makes a new run of it counts it in.
        """
        days = [local_date(int(at_ms)) for at_ms in np.unique(told.effective_ms)]
        for day in sorted(set(days)):
            start_ms, end_ms = day_start_ms(day), day_end_ms(day)
            rows = told.rows[(told.effective_ms >= start_ms) & (told.effective_ms < end_ms)]
            self.state.changes.append(AllocationChange(day, rows, told.kind is Change.ENROLLED))
        if told.kind is Change.DEALLOCATED:
            self.remark("msid_rejected", f"{len(told.rows)} assets from {days[0]} on: {told.reason}")
            self.say(told, AGGREGATOR)

    def _not_taken(self, day: date) -> I32:
        """Rows whose volumes of a day are not taken, rising."""
        left: I32 = np.empty(0, np.int32)
        for change in self.state.changes:
            if change.day <= day:
                left = np.setdiff1d(left, change.rows) if change.taken else np.union1d(left, change.rows)
        return left

    def _forget_before(self, newest: date) -> None:
        """Drop what no baseline, no estimate and no settlement can need any more."""
        calendar = self.settings.calendar
        newest = min([newest, *self.state.open_days]) if calendar else newest
        oldest = newest - timedelta(days=LOOK_BACK_DAYS)
        asset_days = LOOK_BACK_DAYS if self._looks_back_at_assets() else UNBASELINED_DAYS
        for day in [day for day in self.state.boundary if day < oldest]:
            del self.state.boundary[day]
        for day in [day for day in self.state.asset if day < newest - timedelta(days=asset_days)]:
            del self.state.asset[day]
        self._forget_periods_before(day_start_ms(oldest))
        self._desk().forget_before(day_start_ms(oldest))

    def _looks_back_at_assets(self) -> bool:
        """Whether a baseline or an estimate needs what asset meters read on days before."""
        settings = self.settings
        return settings.dfs_metering == "asset" or settings.calendar or self._desk().looks_back()

    def _forget_periods_before(self, before_ms: int) -> None:
        state = self.state
        state.notified = {key: item for key, item in state.notified.items() if key[1] >= before_ms}
        state.offered = {key: item for key, item in state.offered.items() if key[1] >= before_ms}
        state.acceptances = {
            key: item for key, item in state.acceptances.items() if item.profile[-1].at_ms >= before_ms
        }
        state.prices_gbp_per_mwh = {
            at: price for at, price in state.prices_gbp_per_mwh.items() if at >= before_ms
        }

    # --------------------------------------------------------------------------------------- when to settle

    def _open(self, start_ms: int, end_ms: int) -> None:
        """Note that the days of [start, end) have something to settle."""
        for day in _days(start_ms, end_ms):
            self.state.open_days[day] = True

    def _close_empty_days(self) -> None:
        """Take days without anything to settle off the list, unless an earlier run must be taken back."""
        for day in list(self.state.open_days):
            has_work = self._events_on(day) or self._acceptances_on(day) or self._desk().has_work(day)
            if day not in self.state.settled and not has_work:
                del self.state.open_days[day]

    def _settle_if_ready(self, day: date) -> None:
        if not self.settings.calendar and day in self.state.open_days and self._is_ready(day):
            self._settle(day)

    def _is_ready(self, day: date) -> bool:
        """Whether all readings and prices that the day's settlement needs have come."""
        if self.state.now_ms < day_end_ms(day):
            return False
        kept = {BoundaryReadings: day in self.state.boundary, AssetReadings: day in self.state.asset}
        starts = [start for own in self._acceptances_on(day).values() for start in _periods_of(own, day)]
        starts += self._desk().priced(day)
        return all(kept[kind] for kind in self._needed(day)) and all(
            start in self.state.prices_gbp_per_mwh for start in starts
        )

    def _needed(self, day: date) -> set[type[Message]]:
        """Which readings the day's settlement uses."""
        needed: set[type[Message]] = set()
        if self._acceptances_on(day):
            needed.add(BoundaryReadings if self.settings.bm_metering == "boundary" else AssetReadings)
        if self._events_on(day):
            needed.add(BoundaryReadings if self.settings.dfs_metering == "boundary" else AssetReadings)
        return needed | self._desk().needed(day)

    def _settle(self, day: date) -> None:
        """Settle one day: publish its volumes and lines, and take back those of an earlier run."""
        del self.state.open_days[day]
        place, runs = self.state.runs.get(day, 0), self._runs_of(day)
        if place == len(runs):
            self.remark("no_more_runs", f"{day} has had its last run: what came now is not settled")
            return
        run = runs[place]
        ground = self._ground(day, run)
        shares = self._share_out(ground)
        lines = [
            *self._settle_dfs(day, run, shares),
            *self._settle_bm(day, run, shares),
            *self._settle_services(ground, shares),
        ]
        reversals = [reversal(line, run) for line in self.state.settled.get(day, ())]
        self.state.runs[day] = place + 1
        self.state.settled[day] = tuple(lines)
        self.say(Statement((*reversals, *lines)), AGGREGATOR, JOURNAL)

    # --------------------------------------------------------------------------------- runs of the calendar

    def _timetable(self, day: date) -> tuple[ScheduledRun, ...]:
        """The day's runs in the calendar (rule R205)."""
        return _timetable(day, self.settings.rules, day in self.settings.disputed)

    def _runs_of(self, day: date) -> tuple[str, ...]:
        """Names of the runs that the day can have."""
        return tuple(item.run for item in self._timetable(day)) if self.settings.calendar else RUNS

    def _make_run(self, day: date) -> None:
        """Settle with what is in by the cut-off; what is said of it is held until the run's day."""
        place, said = self.state.runs.get(day, 0), self.state.outbox
        before_gbp_e5 = _total_gbp_e5(self.state.settled.get(day, ()))
        run = self._timetable(day)[place]
        published_ms = local_clock_ms(run.on, PUBLISHED_HOUR)
        self.state.outbox = []
        self._settle(day)
        self._tell_run(run, published_ms, before_gbp_e5)
        for envelope in self.state.outbox:
            postpone(self.state.held, published_ms, _dated(envelope.message, published_ms), envelope.to)
        self.state.outbox = said
        if place + 1 < len(self._timetable(day)):
            self.state.open_days[day] = True

    def _tell_run(self, run: ScheduledRun, published_ms: int, before_gbp_e5: int) -> None:
        """How much of the day is settled on actuals, and what the run changed."""
        filled = list(self._filled(run.settlement_day))
        source = np.concatenate([day.source for day in filled]) if filled else np.empty(0, np.int8)
        meters = np.bincount(source, minlength=len(Source)).tolist()
        total_gbp_e5 = _total_gbp_e5(self.state.settled[run.settlement_day])
        told = SettlementRunMade(
            settlement_run=run.run,
            day=run.settlement_day,
            published_ms=published_ms,
            meters=len(source),
            meters_on_actuals=meters[Source.ACTUAL],
            meters_on_own_history=meters[Source.OWN_HISTORY],
            meters_on_class_profile=meters[Source.CLASS_PROFILE],
            meters_unknown=meters[Source.UNKNOWN],
            metered_wh=sum(_size_wh(day.import_wh, day.import_wh != MISSING_WH) for day in filled),
            actual_wh=sum(_size_wh(day.import_wh, day.actual) for day in filled),
            change_gbp_e5=total_gbp_e5 - before_gbp_e5,
            total_gbp_e5=total_gbp_e5,
        )
        self.say(told, JOURNAL)

    def _filled(self, day: date) -> Iterator[FilledDay]:
        """The day of all meters that its settlement uses: those of homes, then those of assets."""
        used = [(self.settings.dfs_metering, self._meters(result, day)) for result in self._events_on(day)]
        used += [
            (self.settings.bm_metering, self._unit_meters(unit, day)) for unit in self._acceptances_on(day)
        ]
        ground = self._ground(day, "")
        if ground is not None:
            used += self._desk().metered(ground)
        for metering in ("boundary", "asset"):
            meters = [some for kind, some in used if kind == metering]
            if meters:
                yield self._fill(np.unique(np.concatenate(meters)), day, metering)

    def _fill(self, meters: I32, day: date, metering: str) -> FilledDay:
        """A day of meters, with estimates for what has not been collected."""
        kept: Mapping[date, BoundaryReadings | AssetReadings] = self.state.asset
        assets, classes = self.state.assets, None
        if metering == "boundary":
            kept = self.state.boundary
        elif assets is not None:
            classes = MeterClasses(assets.technology, assets.rating_w)
        read = {on: DayReadings(_meters(item), item.import_wh) for on, item in kept.items()}
        return fill_day(meters, day, read, classes)

    def _estimated_import(self, unit: str, day: date) -> UnitImport:
        """A BM Unit's import with estimates, which count until the actuals come (rule R207)."""
        meters = self._unit_meters(unit, day)
        filled = self._fill(meters, day, self.settings.bm_metering)
        unknown = filled.import_wh == MISSING_WH
        self._remark_estimated(unit, day, filled)
        return UnitImport(
            np.where(unknown, 0, filled.import_wh).sum(axis=0),
            np.count_nonzero(unknown, axis=0).astype(np.int64),
            len(meters),
        )

    def _remark_estimated(self, unit: str, day: date, filled: FilledDay) -> None:
        meters = np.bincount(filled.source, minlength=len(Source)).tolist()
        if meters[Source.OWN_HISTORY] or meters[Source.CLASS_PROFILE]:
            self.remark(
                "bm_meters_estimated",
                f"{unit} {day}: of {len(filled.source)} meters {meters[Source.OWN_HISTORY]} estimated from "
                f"their own history, {meters[Source.CLASS_PROFILE]} by the profile of their class",
            )

    # -------------------------------------------------------------------------------------------------- DFS

    def _events_on(self, day: date) -> list[DfsResult]:
        """Accepted bids for events on the day that were not cancelled, in order of time, event and unit."""
        found = [
            result
            for result in self.state.results.values()
            if result.event_id not in self.state.cancelled and day in _days(result.start_ms, result.end_ms)
        ]
        return sorted(found, key=lambda result: (result.start_ms, result.event_id, result.unit))

    def _settle_dfs(self, day: date, run: str, shares: Shares) -> Iterator[StatementLine]:
        for result in self._events_on(day):
            rules = self.settings.rules.book("dfs", local_date(result.start_ms))
            block = self._block(result, day, rules)
            first = (day_start_ms(day) + (block.first_sp - 1) * PERIOD_MS - result.start_ms) // PERIOD_MS
            volume = block_volume(
                self._meters(result, day), block, self._readings(), self._event_days(result.unit, day)
            )
            self._remark_counted_out(result, day, volume)
            if (share := shares.get(_dfs_key(result))) is not None:
                lost_wh = -share.lost_wh if block.turn_up else share.lost_wh
                volume = replace(volume, delivered_wh=volume.delivered_wh - lost_wh)
            for place in range(block.n_sp):
                if result.turn_down_mw[first + place]:
                    delivered_wh = int(volume.delivered_wh[place])
                    self.say(_delivered(result, first + place, place, volume), *self._told(rules))
                    yield dfs_line(run, result, first + place, delivered_wh, rules)

    def _told(self, rules: Rulebook) -> tuple[str, ...]:
        """Who hears what a unit delivered: the market too, where its performance can cost it its place."""
        return (JOURNAL, DFS_MARKET) if "deregistration_k" in rules.rules else (JOURNAL,)

    def _block(self, result: DfsResult, day: date, rules: Rulebook) -> Block:
        """The part of an event on one day, and how the edition settles it."""
        start_ms, end_ms = max(result.start_ms, day_start_ms(day)), min(result.end_ms, day_end_ms(day))
        unit = self.state.dfs_units.get(result.unit)
        adjusted = rules.value("in_day_adjustment")
        return Block(
            day=day,
            first_sp=period_of(start_ms).number,
            n_sp=(end_ms - start_ms) // PERIOD_MS,
            in_day_adjustment=adjusted == "all_units"
            or (adjusted == "domestic_units" and unit is not None and unit.domestic),
            netting=rules.value("opt_in_netting" if self._opts_in(result) else "opt_out_netting"),
            turn_up=min(result.turn_down_mw) < 0,
        )

    def _opts_in(self, result: DfsResult) -> bool:
        """Whether the unit's homes are asked event by event (rule R49)."""
        return self.settings.dfs_opt_in or (result.event_id, result.unit) in self.state.participants

    def _meters(self, result: DfsResult, day: date) -> I32:
        """Homes of a DFS Unit that take part on a day, or the rows of their asset meters."""
        registration, assets = self.state.dfs_units.get(result.unit), self.state.assets
        if registration is None:
            return np.empty(0, dtype=np.int32)
        told = self.state.participants.get((result.event_id, result.unit))
        homes = registration.homes if told is None else np.intersect1d(registration.homes, told.homes)
        if self.settings.dfs_metering == "boundary" or assets is None:
            return homes if assets is None else self._homes_taken(homes, assets, day)
        chosen = (assets.service == Service.DFS) & np.isin(assets.home, homes)
        chosen[self._not_taken(day)] = False
        return np.flatnonzero(chosen).astype(np.int32)

    def _homes_taken(self, homes: I32, assets: AssetRegistration, day: date) -> I32:
        """Those homes none of whose enrolled assets has left."""
        left = self._not_taken(day)
        left = left[assets.service[left] == Service.DFS]
        return homes[~np.isin(homes, assets.home[left])] if len(left) else homes

    def _readings(self) -> dict[date, DayReadings]:
        if self.settings.dfs_metering == "boundary":
            return {day: DayReadings(item.homes, item.import_wh) for day, item in self.state.boundary.items()}
        return {day: DayReadings(item.rows, item.import_wh) for day, item in self.state.asset.items()}

    def _event_days(self, unit: str, day: date) -> frozenset[date]:
        """Days before `day` on which the unit's homes took part in an event."""
        taken = [
            found
            for result in self.state.results.values()
            if result.unit == unit and result.event_id not in self.state.cancelled
            for found in _days(result.start_ms, result.end_ms)
        ]
        return frozenset(found for found in taken if found < day)

    def _remark_counted_out(self, result: DfsResult, day: date, volume: BlockVolume) -> None:
        out = int(volume.counted_out.max(initial=0))
        if out or volume.not_adjusted:
            self.remark(
                "dfs_meters_counted_out",
                f"{result.event_id} {result.unit} {day}: of {volume.meters} meters up to {out} delivered "
                f"nothing for want of data ({volume.insufficient} with too few days for a baseline); "
                f"{volume.not_adjusted} went without in-day adjustment",
            )

    # --------------------------------------------------------------------------------------------------- BM

    def _acceptances_on(self, day: date) -> dict[str, list[BidOfferAcceptance]]:
        """Binding acceptances that reach into the day, by unit; units by name."""
        start_ms, end_ms = day_start_ms(day), day_end_ms(day)
        found: dict[str, list[BidOfferAcceptance]] = {}
        for item in self.state.acceptances.values():
            if _reaches_into(item, start_ms, end_ms):
                found.setdefault(item.unit, []).append(item)
        return dict(sorted(found.items()))

    def _settle_bm(self, day: date, run: str, shares: Shares) -> Iterator[StatementLine]:
        for unit, acceptances in self._acceptances_on(day).items():
            metered = self._unit_import(unit, day)
            if (share := shares.get(_bm_key(unit))) is not None:
                metered.import_wh[share.claim.window.places] += share.lost_wh
            for start_ms, reaching in _periods_of(acceptances, day).items():
                if (unit, start_ms) in self.state.notified:
                    yield from self._settle_bm_period(reaching, start_ms, run, metered)
                else:
                    self.remark("not_settled", f"{unit} has no FPN for the period from {start_ms}")
            if metered.missing.any():
                worst = int(metered.missing.max())
                self.remark(
                    "bm_meters_missing",
                    f"{unit} {day}: up to {worst} of {metered.meters} meters gave no reading in a period: "
                    "they count as having followed the FPN",
                )

    def _unit_import(self, unit: str, day: date) -> UnitImport:
        """What a BM Unit's meters read; estimates count at the runs of the calendar alone."""
        if self.settings.calendar:
            return self._estimated_import(unit, day)
        return unit_import(self._unit_meters(unit, day), self._unit_readings(day), period_count(day))

    def _settle_bm_period(
        self, acceptances: list[BidOfferAcceptance], start_ms: int, run: str, metered: UnitImport
    ) -> tuple[StatementLine, ...]:
        """The lines of one period that the acceptances of one unit reach into."""
        unit = acceptances[0].unit
        offer = self.state.offered.get((unit, start_ms))
        price = self.state.prices_gbp_per_mwh.get(start_ms)
        if price is None:
            self.remark(
                "no_system_price", f"{unit} from {start_ms}: neither non-delivery nor imbalance settled"
            )
        place = period_of(start_ms).number - 1
        numbers = "+".join(str(item.number) for item in sorted(acceptances, key=lambda item: item.number))
        settled = bm_period(
            Heading(run, BALANCING, unit, numbers, start_ms, BSC_CLEARING),
            self.state.notified[unit, start_ms].profile,
            offer.pairs if offer else (),
            acceptances,
            MeteredPeriod(int(metered.import_wh[place]), int(metered.missing[place]), metered.meters),
            price,
            self.settings.rules.book("bsc", local_date(start_ms)).value("tlm"),
        )
        self.say(settled.volume, JOURNAL)
        return settled.lines

    def _unit_readings(self, day: date) -> DayReadings | None:
        """What the meters of BM Units read: those of assets, or of homes where they are metered whole."""
        kept: Mapping[date, BoundaryReadings | AssetReadings] = self.state.asset
        if self.settings.bm_metering == "boundary":
            kept = self.state.boundary
        readings = kept.get(day)
        return None if readings is None else DayReadings(_meters(readings), readings.import_wh)

    def _unit_meters(self, unit: str, day: date) -> I32:
        """Rows of the assets of a BM Unit on a day, or its homes where they are metered whole."""
        assets = self.state.assets
        if assets is None or unit not in assets.unit_names:
            return np.empty(0, dtype=np.int32)
        chosen = (assets.service == Service.BALANCING) & (assets.unit == assets.unit_names.index(unit))
        chosen[self._not_taken(day)] = False
        if self.settings.bm_metering == "boundary":
            return np.unique(assets.home[chosen]).astype(np.int32)
        return np.flatnonzero(chosen).astype(np.int32)

    # -------------------------------------------------------------------------------------- further services

    def _share_out(self, ground: Ground | None) -> Shares:
        """What each claim of the day comes to where further services have some, by its key; else nothing."""
        if ground is None:
            return {}
        shares = self._desk().share_out(ground, Paid(ground.assets.home))
        return {share.claim.key: share for share in shares}

    def _settle_services(self, ground: Ground | None, shares: Shares) -> Iterator[StatementLine]:
        if ground is None:
            return
        desk = self._desk()
        desk.remarks(shares.values())
        for volume in desk.volumes(shares.values()):
            self.say(volume, JOURNAL)
        yield from desk.lines(shares.values(), ground)
        lines, volumes = desk.capacity(ground)
        for volume in volumes:
            self.say(volume, JOURNAL, CAPACITY)
        yield from lines

    def _ground(self, day: date, run: str) -> Ground | None:
        """What further services are settled on; None where they have nothing on the day."""
        assets = self.state.assets
        if assets is None or not self._desk().has_work(day):
            return None
        return Ground(
            day=day,
            run=run,
            assets=assets,
            left=self._not_taken(day),
            asset={at: DayReadings(item.rows, item.import_wh) for at, item in self.state.asset.items()},
            boundary={
                at: DayReadings(item.homes, item.import_wh) for at, item in self.state.boundary.items()
            },
            others=(*self._dfs_claims(day, assets), *self._bm_claims(day)),
            prices_gbp_per_mwh=self.state.prices_gbp_per_mwh,
            settled=tuple(line for lines in self.state.settled.values() for line in lines),
        )

    def _dfs_claims(self, day: date, assets: AssetRegistration) -> Iterator[Claim]:
        """What DFS asks for of assets on the day, for its place in the order."""
        for result in self._events_on(day):
            rules = self.settings.rules.book("dfs", local_date(result.start_ms))
            block = self._block(result, day, rules)
            first = (day_start_ms(day) + (block.first_sp - 1) * PERIOD_MS - result.start_ms) // PERIOD_MS
            sold_mw = np.array(result.turn_down_mw[first : first + block.n_sp])
            meters = self._meters(result, day)
            of_homes = self.settings.dfs_metering == "boundary"
            mine = (assets.service == Service.DFS) & np.isin(assets.home, meters)
            yield Claim(
                product=Product.DFS,
                unit=result.unit,
                reference=result.event_id,
                key=_dfs_key(result),
                agreed_ms=self.state.services.agreed_ms.get(_dfs_key(result), 0),
                rows=np.flatnonzero(mine).astype(np.int32) if of_homes else meters,
                window=Window(day, block.first_sp, block.n_sp),
                sold_wh=np.rint(sold_mw * WH_PER_MWH / 2).astype(np.int64),
                most_wh=_dfs_most_wh(sold_mw, rules),
                method="BL01_adjusted" if block.in_day_adjustment else "BL01",
                meter=self.settings.dfs_metering,
                nominated_wh=None,
                positive_only=block.netting == "positive_only",
                event_days=self._event_days(result.unit, day),
            )

    def _bm_claims(self, day: date) -> Iterator[Claim]:
        """What acceptances ask for of assets on the day, for their place in the order."""
        assets = self.state.assets
        for unit, acceptances in self._acceptances_on(day).items():
            starts = [at for at in _periods_of(acceptances, day) if (unit, at) in self.state.notified]
            if assets is None or unit not in assets.unit_names or not starts:
                continue
            n_sp = (starts[-1] - starts[0]) // PERIOD_MS + 1
            sold_wh, fpn_wh = np.zeros(n_sp, np.int64), np.zeros(n_sp)
            for at in starts:
                place = (at - starts[0]) // PERIOD_MS
                sold_wh[place], fpn_wh[place] = self._accepted_wh(unit, at, acceptances)
            chosen = (assets.service == Service.BALANCING) & (assets.unit == assets.unit_names.index(unit))
            chosen[self._not_taken(day)] = False
            yield Claim(
                product=Product.BM,
                unit=unit,
                reference="+".join(str(item.number) for item in acceptances),
                key=_bm_key(unit),
                agreed_ms=min(item.accepted_ms for item in acceptances),
                rows=np.flatnonzero(chosen).astype(np.int32),
                window=Window(day, period_of(starts[0]).number, n_sp),
                sold_wh=sold_wh,
                most_wh=sold_wh,
                method="nominated",
                meter=self.settings.bm_metering,
                nominated_wh=fpn_wh,
            )

    def _accepted_wh(
        self, unit: str, start_ms: int, acceptances: list[BidOfferAcceptance]
    ) -> tuple[int, float]:
        """What acceptances ask for in a period, turn-down positive, and the FPN as import [Wh]."""
        fpn, offer = self.state.notified[unit, start_ms].profile, self.state.offered.get((unit, start_ms))
        period = (start_ms, start_ms + PERIOD_MS)
        fpn_mwh = profile_mwh(fpn, period)
        volumes = accepted_volumes(fpn, acceptances, offer.pairs if offer else (), period)
        accepted_mwh = expected_volume(fpn_mwh, volumes).accepted_mwh
        return round(accepted_mwh * WH_PER_MWH), -fpn_mwh * WH_PER_MWH


def _dfs_key(result: DfsResult) -> str:
    return f"dfs {result.bid_id}"


def _bm_key(unit: str) -> str:
    return f"bm {unit}"


def _dfs_most_wh(sold_mw: NDArray[np.float64], rules: Rulebook) -> I64 | None:
    """Up to which a bid is paid for [Wh]: the curve's last corner, or the cap where there is one."""
    if rules.value("settlement_rule") == "performance_curve":
        cap_pct = rules.value("performance_curve")[-1][0]
    else:
        cap_pct = rules.value("delivery_cap_pct")
    if cap_pct is None:
        return None
    return np.asarray(np.rint(sold_mw * WH_PER_MWH / 2 * cap_pct / 100), np.int64)


@lru_cache(maxsize=4096)
def _timetable(day: date, rules: RulesInForce, disputed: bool) -> tuple[ScheduledRun, ...]:
    return timetable(day, rules.book("bsc", day), disputed)


def _total_gbp_e5(lines: tuple[StatementLine, ...]) -> int:
    return sum(line.amount_gbp_e5 for line in lines)


def _size_wh(import_wh: I64, counts: NDArray[np.bool_]) -> int:
    """Energy of the half-hours that count, whichever way it flowed [Wh]."""
    return int(np.abs(import_wh[counts]).sum())


def _dated(message: Message, at_ms: int) -> Message:
    """A remark as told on the day of publication; everything else as it is."""
    return replace(message, at_ms=at_ms) if isinstance(message, Remark) else message


def _joined(kept: ReadingsT, come: ReadingsT) -> ReadingsT:
    """Readings of one day, what has come now over what is kept; a gap replaces nothing."""
    meters, new = _meters(kept), _meters(come)
    at = places(new, meters)
    import_wh = np.concatenate([kept.import_wh, come.import_wh[at == NOT_THERE]])
    there = at != NOT_THERE
    now = come.import_wh[there]
    import_wh[at[there]] = np.where(now == MISSING_WH, import_wh[at[there]], now)
    return type(kept)(kept.day, np.concatenate([meters, new[~there]]), import_wh)


def _days(start_ms: int, end_ms: int) -> list[date]:
    """The local days that [start, end) touches."""
    first, last = local_date(start_ms), local_date(max(start_ms, end_ms - 1))
    return [first + timedelta(days=step) for step in range((last - first).days + 1)]


def _reaches_into(acceptance: BidOfferAcceptance, start_ms: int, end_ms: int) -> bool:
    return acceptance.profile[0].at_ms < end_ms and acceptance.profile[-1].at_ms > start_ms


def _periods_of(acceptances: list[BidOfferAcceptance], day: date) -> dict[int, list[BidOfferAcceptance]]:
    """By start [UTC ms], the day's periods that acceptances reach into, and which do."""
    found = {
        start_ms: [item for item in acceptances if _reaches_into(item, start_ms, start_ms + PERIOD_MS)]
        for start_ms in range(day_start_ms(day), day_end_ms(day), PERIOD_MS)
    }
    return {start_ms: reaching for start_ms, reaching in found.items() if reaching}


def _same(kept: BoundaryReadings | AssetReadings | None, come: BoundaryReadings | AssetReadings) -> bool:
    """Whether these readings are word for word those that are kept."""
    return (
        kept is not None
        and np.array_equal(_meters(kept), _meters(come))
        and np.array_equal(kept.import_wh, come.import_wh)
    )


def _meters(readings: BoundaryReadings | AssetReadings) -> I32:
    return readings.homes if isinstance(readings, BoundaryReadings) else readings.rows


def _delivered(result: DfsResult, place: int, in_block: int, volume: BlockVolume) -> DeliveredVolume:
    """What settlement found for one period of an accepted bid; turn-up counts negative (S13)."""
    way = -1 if result.turn_down_mw[place] < 0 else 1
    start_ms = result.start_ms + place * PERIOD_MS
    return DeliveredVolume(
        service=DFS,
        unit=result.unit,
        reference=result.event_id,
        start_ms=start_ms,
        end_ms=start_ms + PERIOD_MS,
        baseline_wh=int(volume.baseline_wh[in_block]),
        metered_wh=int(volume.metered_wh[in_block]),
        delivered_wh=way * int(volume.delivered_wh[in_block]),
        accepted_wh=round(result.turn_down_mw[place] * 500_000),
        homes=volume.meters,
        homes_missing=int(volume.counted_out[in_block]),
    )
