"""What settlement hears of the services besides DFS and the BM, and how it settles a day of them.

This owns which claims a day holds, in which order they are paid, and what is told about claims that the
rules forbid beside others and about missing data. Sums are `markets/service_volume.py`, lines
`markets/service_lines.py`. DFS and the BM take their places in the order: where an earlier claim was paid
for the same assets, what they delivered is less by that. Rules: docs/rules.md R196-R204.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import product as pairs
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markets.capacity_lines import UnitDay, bound_periods, charged_before, day_lines, obligation_mw
from markets.metered_volume import DayReadings
from markets.service_lines import (
    CONSTRAINT,
    DSO,
    DayRecord,
    buyer_of,
    constraint_lines,
    held_lines,
    standby,
    utilisation_lines,
)
from markets.service_positions import (
    Notified,
    by_supplier,
    capacity_volumes,
    covered,
    measured,
    notified_periods,
    positions,
    sold_wh,
    submitted_wh,
    suppliers_settled,
)
from markets.service_volume import (
    Deviation,
    Paid,
    Sites,
    Window,
    deviation,
    left_over,
    onto_rows,
    payable_wh,
    share_out,
)
from markets.settings import SettlementSettings, SupplierBook
from markets.statement_lines import BSC_CLEARING, Heading, balances_gbp_e5
from protocol.deviation_volume import adjusted_periods
from protocol.dso_payment import Delivery, Signal, delivered_w, half_hour_deliveries, instructed_w
from protocol.messages import (
    I32,
    I64,
    AssetReadings,
    AssetRegistration,
    BoundaryReadings,
    CapacityNotice,
    DeliveredVolume,
    Message,
    ServiceAward,
    ServiceCancellation,
    ServiceConsents,
    ServiceDispatch,
    ServiceMetering,
    ServiceNomination,
    ServiceUnit,
    ServiceUnitAnswer,
    StatementLine,
    Technology,
    WholesaleNotification,
    WholesaleTrade,
)
from protocol.periods import (
    HOUR_MS,
    MINUTE_MS,
    NORMAL_PERIOD_COUNT,
    PERIOD_MS,
    clock_reached_ms,
    day_end_ms,
    day_periods_ms,
    day_start_ms,
    local_date,
    period_count,
    period_of,
)
from protocol.products import Block, Product
from protocol.rulebook import Rulebook
from protocol.stacking import Commitment, Primacy, Stage, may_serve, pay_order
from protocol.units import WH_PER_MWH, gbp, mw_to_w

MINUTES = PERIOD_MS // MINUTE_MS
_ALL = 1_000_000
"""What an asset can deviate by, when shares of its rating are counted in millionths."""
_REFERENCES = (Technology.EV, Technology.HEAT_PUMP, Technology.BATTERY)
"""Technologies with a published profile, in the order of `_reference_wh`."""
NO_PROFILE = -1
"""The kind of a meter for which no profile is published (`baseline_methods.UNKNOWN_KIND`)."""

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Something said, and when settlement heard it [UTC ms]."""

    at_ms: int
    told: Any


@dataclass(slots=True)
class ServiceState:
    """All that was said of further services, for as long as baselines look back.

    `agreed_ms`: when an offer, bid or acceptance became binding, by its id; `admitted`: units by whether
    their buyer took them; `nominations`: all of them, in the order in which they came; `metering`: minutes
    by unit and the start of their message; `months`: what each unit's days add to its months.
    """

    consents: ServiceConsents | None = None
    units: dict[str, ServiceUnit] = field(default_factory=dict)
    awards: dict[str, ServiceAward] = field(default_factory=dict)
    agreed_ms: dict[str, int] = field(default_factory=dict)
    cancelled: dict[tuple[str, str], bool] = field(default_factory=dict)
    dispatches: dict[str, list[ServiceDispatch]] = field(default_factory=dict)
    nominations: dict[tuple[str, date], list[Heard]] = field(default_factory=dict)
    metering: dict[str, dict[int, ServiceMetering]] = field(default_factory=dict)
    trades: dict[str, WholesaleTrade] = field(default_factory=dict)
    notified: dict[str, list[Notified]] = field(default_factory=dict)
    admitted: dict[str, bool] = field(default_factory=dict)
    notices: dict[str, CapacityNotice] = field(default_factory=dict)
    months: dict[tuple[str, str], dict[date, DayRecord]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """One sale on one day: what a unit was asked for and may be paid for.

    `rows`: its assets; `sold_wh` (periods of `window`): turn-down positive, 0 where nothing was asked;
    `most_wh` (periods): up to which it is paid, None for whatever it deviated by where it was asked; `active`
    (periods): that of a trading unit. `key` is the offer's, bid's
    or unit's. `meters` are rows or, `at_boundary`, homes. `nominated_wh` (periods): NaN where none.
    """

    product: Product
    unit: str
    reference: str
    key: str
    agreed_ms: int
    rows: I32
    window: Window
    sold_wh: I64
    most_wh: I64 | None
    method: str
    meter: str
    nominated_wh: Any
    positive_only: bool = False
    event_days: frozenset[date] = frozenset()
    active: Flags | None = None

    @property
    def asked(self) -> Flags:
        """In which periods anything was asked for (periods)."""
        return self.sold_wh != 0 if self.active is None else self.active

    @property
    def at_boundary(self) -> bool:
        """Whether whole homes are metered."""
        return self.meter == "boundary"


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """What a claim came to (periods) [Wh, turn-down positive].

    `baseline_wh`, `metered_wh`: of its `meters`; `counted_out`: those without either. `left_wh`: what they
    deviated by, less `lost_wh`, which earlier claims were paid for or the rules forbid beside them.
    `paid_wh`: what it is paid for. `periods`, `event`: how a distribution service went.
    `by_supplier_wh` (suppliers, periods): `left_wh` of a trading unit, by whose customers deviated.
    """

    claim: Claim
    baseline_wh: I64
    metered_wh: I64
    counted_out: I64
    insufficient: int
    left_wh: I64
    lost_wh: I64
    paid_wh: I64
    meters: int
    periods: tuple[Delivery, ...]
    event: Delivery
    by_supplier_wh: I64 | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a day's settlement stands on beside what was said of services.

    `others`: claims of DFS and the BM on the day, `left`: rows whose volumes are not taken; `asset` and
    `boundary`: readings of all days kept; `prices_gbp_per_mwh`: system prices by the start of their period;
    `settled`: lines of each day's latest run.
    """

    day: date
    run: str
    assets: AssetRegistration
    left: I32
    asset: Mapping[date, DayReadings]
    boundary: Mapping[date, DayReadings]
    others: tuple[Claim, ...]
    prices_gbp_per_mwh: Mapping[int, float] = field(default_factory=dict)
    settled: tuple[StatementLine, ...] = ()


HEARD: tuple[type[Message], ...] = (
    ServiceConsents,
    ServiceUnit,
    ServiceUnitAnswer,
    ServiceAward,
    ServiceCancellation,
    ServiceDispatch,
    ServiceNomination,
    ServiceMetering,
    WholesaleTrade,
    WholesaleNotification,
    CapacityNotice,
)
"""What settlement hears of further services."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ServiceDesk:
    """Settlement's desk for further services: all that it knows is `state`; `tell` is its party's remark, and
    `record` tells the journal.
    """

    state: ServiceState
    settings: SettlementSettings
    tell: Callable[[str, str], None]
    record: Callable[[Message], None]

    # -------------------------------------------------------------------------------------- what is taken in

    def take(self, told: Message, now_ms: int) -> tuple[Span, ...]:
        """Note what was said; gives back the spans of time [UTC ms] that have something to settle for it."""
        state = self.state
        match told:
            case ServiceConsents():
                state.consents = told
            case ServiceUnit():
                state.units[told.unit] = told
            case ServiceAward() if told.accepted and told.offer_id not in state.awards:
                state.awards[told.offer_id] = told
                state.agreed_ms[told.offer_id] = now_ms
                return ((told.start_ms, told.end_ms),)
            case ServiceCancellation():
                state.cancelled[told.product, told.event_id] = True
            case ServiceDispatch():
                self._take_dispatch(told)
            case ServiceNomination():
                state.nominations.setdefault((told.unit, told.day), []).append(Heard(now_ms, told))
            case ServiceMetering():
                state.metering.setdefault(told.unit, {})[told.start_ms] = told
            case WholesaleTrade() if told.sold_mwh and told.order_id not in state.trades:
                state.trades[told.order_id] = told
                state.agreed_ms[told.order_id] = now_ms
                return ((told.start_ms, told.end_ms),)
            case WholesaleNotification():
                state.notified.setdefault(told.unit, []).append(Notified(now_ms, told))
            case ServiceUnitAnswer():
                state.admitted[told.unit] = told.accepted
            case CapacityNotice():
                state.notices[told.notice_id] = told
        return ()

    def _take_dispatch(self, told: ServiceDispatch) -> None:
        """Keep a signal once, and only one that calls an award we know of."""
        if told.offer_id not in self.state.awards:
            self.tell("dispatch_without_award", f"{told.dispatch_id} to {told.unit} calls no award: ignored")
            return
        kept = self.state.dispatches.setdefault(told.offer_id, [])
        if not any((one.dispatch_id, one.signal) == (told.dispatch_id, told.signal) for one in kept):
            kept.append(told)

    def forget_before(self, before_ms: int) -> None:
        """Drop what no settlement needs any more."""
        state = self.state
        state.awards = {key: award for key, award in state.awards.items() if award.end_ms >= before_ms}
        state.trades = {key: trade for key, trade in state.trades.items() if trade.end_ms >= before_ms}
        known = state.awards.keys() | state.trades.keys()
        state.dispatches = {key: signals for key, signals in state.dispatches.items() if key in known}
        day = local_date(before_ms)
        state.nominations = {key: told for key, told in state.nominations.items() if key[1] >= day}
        for minutes in state.metering.values():
            for start_ms in [start_ms for start_ms in minutes if start_ms < before_ms]:
                del minutes[start_ms]

    # ------------------------------------------------------------------------------------- what a day holds

    def awards_on(self, day: date) -> list[ServiceAward]:
        """Awards that reach into the day and were not cancelled, in order of time, event and unit."""
        start_ms, end_ms = day_start_ms(day), day_end_ms(day)
        found = [
            award
            for award in self.state.awards.values()
            if award.start_ms < end_ms
            and award.end_ms > start_ms
            and (award.product, award.event_id) not in self.state.cancelled
        ]
        return sorted(found, key=lambda award: (award.start_ms, award.event_id, award.unit, award.offer_id))

    def has_work(self, day: date) -> bool:
        """Whether the day has something to settle."""
        return bool(self.awards_on(day) or self._traded_on(day) or self._obliged_on(day))

    def priced(self, day: date) -> list[int]:
        """Starts of the periods whose system price the day's settlement needs [UTC ms]."""
        starts_ms = day_periods_ms(day)[:-1]
        traded = [trade for trades in self._traded_on(day).values() for trade in trades]
        return [int(at) for at in starts_ms[covered(traded, starts_ms)]]

    def _traded_on(self, day: date) -> dict[str, list[WholesaleTrade]]:
        """Trades that reach into the day, by unit; units by name."""
        start_ms, end_ms = day_start_ms(day), day_end_ms(day)
        found: dict[str, list[WholesaleTrade]] = {}
        for trade in self.state.trades.values():
            if trade.start_ms < end_ms and trade.end_ms > start_ms:
                found.setdefault(trade.unit, []).append(trade)
        return dict(sorted(found.items()))

    def _obliged_on(self, day: date) -> list[ServiceUnit]:
        """Units with a capacity agreement, by name; they are paid from the first lived day to the last."""
        first, last = self.settings.first_day, self.settings.last_day
        if day < first or (last is not None and day > last):
            return []
        units = [unit for unit in self.state.units.values() if unit.product == Product.CAPACITY_MARKET]
        return sorted(
            (unit for unit in units if self.state.admitted.get(unit.unit)), key=lambda unit: unit.unit
        )

    def needed(self, day: date) -> set[type[Message]]:
        """Which readings the day's settlement uses."""
        meters = {self._meter(Product(award.product), day) for award in self.awards_on(day)}
        if self._traded_on(day):
            meters.add(self._meter(Product.WHOLESALE, day))
        if self._obliged_on(day):
            meters.add(self._meter(Product.CAPACITY_MARKET, day))
        needed: set[type[Message]] = {BoundaryReadings} if "boundary" in meters else set()
        return needed | ({AssetReadings} if meters - {"boundary"} else set())

    def metered(self, ground: Ground) -> Iterator[tuple[str, I32]]:
        """The kind of meter and the meters that each award and trading unit of the day is settled on."""
        sold = [(award.unit, Product(award.product)) for award in self.awards_on(ground.day)]
        sold += [(unit, Product.WHOLESALE) for unit in self._traded_on(ground.day)]
        for name, product in sold:
            unit = self.state.units.get(name)
            if unit is not None:
                meter = self._meter(product, ground.day)
                rows = np.setdiff1d(unit.rows, ground.left)
                yield meter, np.unique(ground.assets.home[rows]) if meter == "boundary" else rows

    def looks_back(self) -> bool:
        """Whether asset readings of earlier days are needed; until units come, consent decides."""
        if not self.state.units:
            return self.state.consents is not None
        day = self.settings.first_day
        units = {Product(unit.product) for unit in self.state.units.values()}
        return any(
            self._method(each, day) not in _OWN and self._meter(each, day) != "boundary" for each in units
        )

    # ------------------------------------------------------------------------------------------- settle a day

    def share_out(self, ground: Ground, paid: Paid) -> tuple[Share, ...]:
        """All claims of the day in the order in which they are paid, each Wh once, noted in `paid`; nothing
        without claims of further services.
        """
        claims = self._claims(ground)
        if not claims:
            return ()
        ordered = self._in_order([*claims, *ground.others])
        served: list[Claim] = []
        shares: list[Share] = []
        for claim in ordered:
            refused = self._refused(claim, served, ground)
            shares.append(self._share(claim, refused, _contested(claim, ordered), paid, ground))
            served.append(replace(claim, rows=np.setdiff1d(claim.rows, refused, assume_unique=True)))
        return tuple(shares)

    def lines(self, shares: Iterable[Share], ground: Ground) -> Iterator[StatementLine]:
        """The statement lines of all shares but those of DFS and the BM."""
        own = [share for share in shares if share.claim.product in DSO | CONSTRAINT]
        for share in own:
            award = self.state.awards[share.claim.key]
            heading = self._heading(share.claim, ground.run)
            rules = self._book(share.claim.product, ground.day)
            if share.claim.product in CONSTRAINT:
                price = award.utilisation_gbp_per_mwh + award.availability_gbp_per_mw_h
                yield from constraint_lines(heading, share.claim.sold_wh, share.paid_wh, price, rules)
            elif share.claim.product is not Product.SUSTAIN_H:
                turn_up = bool(share.claim.sold_wh.sum() < 0)
                price = award.utilisation_gbp_per_mwh
                yield from utilisation_lines(heading, turn_up, share.periods, share.event, price, rules)
        yield from self._month_lines([share for share in own if share.claim.product in DSO], ground)
        for share in shares:
            if share.claim.product is Product.WHOLESALE:
                yield from self._trading_lines(share, ground)

    def _trading_lines(self, share: Share, ground: Ground) -> Iterator[StatementLine]:
        """Trades, imbalance and compensation of one unit; what each Supplier gets is told."""
        book = self.settings.suppliers
        if book is None or share.by_supplier_wh is None:
            return
        unit, starts_ms = share.claim.unit, day_periods_ms(ground.day)[:-1]
        found = positions(
            ground.run,
            unit,
            self._traded_on(ground.day)[unit],
            starts_ms,
            share.by_supplier_wh,
            np.zeros_like(share.by_supplier_wh),
            share.claim.asked,
            book,
            ground.prices_gbp_per_mwh,
            self.settings.rules.book("bsc", ground.day),
        )
        gained: dict[str, int] = {}
        for start_ms, position in found:
            yield from position.lines
            system_gbp_per_mwh = ground.prices_gbp_per_mwh.get(start_ms)
            for told in suppliers_settled(ground.run, unit, start_ms, position, system_gbp_per_mwh):
                self.record(told)
            for party, amount in balances_gbp_e5(position.between_others).items():
                gained[party] = gained.get(party, 0) + amount
        gained.pop(BSC_CLEARING, None)
        if gained:
            each = ", ".join(f"{party} {gbp(amount)} GBP" for party, amount in sorted(gained.items()))
            self.tell("suppliers_compensated", f"{unit} {ground.day}: {each}")

    def capacity(self, ground: Ground) -> tuple[list[StatementLine], list[DeliveredVolume]]:
        """Capacity lines of the day, and what each unit showed."""
        units = self._obliged_on(ground.day)
        if not units:
            return [], []
        rules = self.settings.rules.book("capacity_market", ground.day)
        cancelled = {event for product, event in self.state.cancelled if product == Product.CAPACITY_MARKET}
        notices = [notice for name, notice in self.state.notices.items() if name not in cancelled]
        bound = bound_periods(ground.day, notices, rules)
        days: list[UnitDay] = []
        volumes: list[DeliveredVolume] = []
        for unit in units:
            obliged_mw = self._obligation_mw(unit, ground)
            baseline_wh, metered_wh = self._shown(unit, ground)
            charged = charged_before(ground.settled, unit.unit, ground.day)
            days.append(UnitDay(unit.unit, obliged_mw, baseline_wh - metered_wh, charged))
            volumes += capacity_volumes(
                unit.unit, obliged_mw, ground.day, bound, baseline_wh, metered_wh, unit.rows
            )
        return list(day_lines(ground.run, ground.day, days, notices, rules)), volumes

    def _obligation_mw(self, unit: ServiceUnit, ground: Ground) -> float:
        """By the rules of the first day, under which agreements are made."""
        rules = self.settings.rules.book("capacity_market", self.settings.first_day)
        return obligation_mw(unit, ground.assets, rules)

    def _shown(self, unit: ServiceUnit, ground: Ground) -> tuple[I64, I64]:
        """A capacity unit's baseline and metered import of the whole day (periods) [Wh].

        Both are 0 in Settlement Periods 49 and 50, of which no other day knows a baseline (R25).
        """
        rows = np.setdiff1d(unit.rows, ground.left)
        weight, kind = ground.assets.rating_w[rows].astype(np.int64), np.full(len(rows), NO_PROFILE, np.int64)
        sites = Sites(rows, weight, kind, np.zeros((1, 48)), frozenset())
        count = period_count(ground.day)
        window = Window(ground.day, 1, min(count, NORMAL_PERIOD_COUNT))
        method = self._method(Product.CAPACITY_MARKET, ground.day)
        found = deviation(method, sites, window, ground.asset, None, self._baselines(ground.day))
        beyond = (0, count - window.n_sp)
        return np.pad(found.baseline_wh, beyond), np.pad(found.metered_wh, beyond)

    def volumes(self, shares: Iterable[Share]) -> Iterator[DeliveredVolume]:
        """For the journal: each share, period by period in which something was asked."""
        for share in shares:
            if share.claim.product in DSO | CONSTRAINT | {Product.WHOLESALE}:
                yield from _delivered_volumes(share)

    def remarks(self, shares: Iterable[Share]) -> None:
        """Tell what was missing."""
        for share in shares:
            claim, out = share.claim, int(share.counted_out.max(initial=0))
            if claim.product in DSO | CONSTRAINT and (out or share.insufficient):
                self.tell(
                    "service_meters_counted_out",
                    f"{claim.product} {claim.reference} {claim.unit} {claim.window.day}: of {share.meters} "
                    f"meters up to {out} delivered nothing for want of data ({share.insufficient} "
                    f"without what {claim.method} asks for)",
                )
            if share.event.missing_minutes:
                self.tell(
                    "service_minutes_missing",
                    f"{claim.product} {claim.reference} {claim.unit} {claim.window.day}: "
                    f"{share.event.missing_minutes} minutes without a reading",
                )

    # --------------------------------------------------------------------------------------------- the claims

    def _claims(self, ground: Ground) -> list[Claim]:
        claims = [self._claim(award, ground) for award in self.awards_on(ground.day)]
        traded = self._traded_on(ground.day).items()
        claims += [self._trading_claim(unit, trades, ground) for unit, trades in traded]
        return [claim for claim in claims if claim is not None]

    def _trading_claim(self, name: str, trades: list[WholesaleTrade], ground: Ground) -> Claim | None:
        """What a trading unit sold on the day in periods that were notified and have an expected volume."""
        unit, book = self.state.units.get(name), self.settings.suppliers
        if unit is None or book is None:
            self.tell("not_settled", f"{name} traded, but is not registered")
            return None
        day, starts_ms = ground.day, day_periods_ms(ground.day)[:-1]
        expected_wh = self._expected_wh(name, day)
        active = covered(trades, starts_ms) & notified_periods(self.state.notified.get(name, ()), starts_ms)
        if book.baselining == "submitted":
            active &= ~np.isnan(expected_wh)
        return Claim(
            product=Product.WHOLESALE,
            unit=name,
            reference="",
            key=f"trades of {name}",
            agreed_ms=min(self.state.agreed_ms[trade.order_id] for trade in trades),
            rows=np.setdiff1d(unit.rows, ground.left),
            window=Window(day, 1, len(starts_ms)),
            sold_wh=np.where(active, sold_wh(trades, starts_ms), 0),
            most_wh=None,
            method=self._method(Product.WHOLESALE, day),
            meter=book.metering,
            nominated_wh=expected_wh,
            event_days=self._trading_days(name, day),
            active=active,
        )

    def _trading_days(self, unit: str, day: date) -> frozenset[date]:
        """Days before `day` on which a trading unit had a notified trade: Event Days of BL01."""
        told = [note.told for note in self.state.notified.get(unit, ())]
        found = {local_date(one.start_ms) for one in told}
        return frozenset(one for one in found if one < day)

    def _expected_wh(self, unit: str, day: date) -> NDArray[np.float64]:
        """The Submitted Expected Volume (periods) [Wh]: as a default by 23:59 the day before."""
        told = self.state.nominations.get((unit, day), [])
        due_ms = day_start_ms(day) - MINUTE_MS
        if day == self.settings.first_day:
            due_ms = day_start_ms(day) + HOUR_MS
        said = [(heard.at_ms, heard.told.import_wh) for heard in told]
        return submitted_wh(said, day_periods_ms(day)[:-1], due_ms)

    def _claim(self, award: ServiceAward, ground: Ground) -> Claim | None:
        """What an award asks for on the day; None where its unit is not known."""
        unit, product = self.state.units.get(award.unit), Product(award.product)
        if unit is None:
            self.tell("not_settled", f"{award.unit} was awarded {award.event_id}, but is not registered")
            return None
        window = _window(award.start_ms, award.end_ms, ground.day)
        sold_wh = self._sold_wh(award, window)
        return Claim(
            product=product,
            unit=award.unit,
            reference=award.event_id,
            key=award.offer_id,
            agreed_ms=self.state.agreed_ms[award.offer_id],
            rows=np.setdiff1d(unit.rows, ground.left),
            window=window,
            sold_wh=sold_wh,
            most_wh=sold_wh,
            method=self._method(product, ground.day),
            meter=self._meter(product, ground.day),
            nominated_wh=self._nominated_wh(award.unit, window),
            event_days=self._event_days(award.unit, ground.day),
        )

    def _sold_wh(self, award: ServiceAward, window: Window) -> I64:
        """What is asked for in each period [Wh]: of a scheduled service as awarded, else as it was called."""
        if award.scheduled:
            first = (_start_ms(window) - award.start_ms) // PERIOD_MS
            megawatts = award.turn_down_mw[first : first + window.n_sp]
            return np.array([mw_to_w(mw) // 2 for mw in megawatts], np.int64)
        way = -1 if sum(award.turn_down_mw) < 0 else 1
        called_w = self._called_w(award, window).reshape(window.n_sp, MINUTES)
        return np.asarray(way * np.rint(called_w.sum(axis=1) / 60).astype(np.int64))

    def _called_w(self, award: ServiceAward, window: Window) -> I64:
        """Power called for, minute by minute [W], positive in the award's direction, at most as awarded."""
        called = instructed_w(
            _signals(self.state.dispatches.get(award.offer_id, ())),
            _start_ms(window),
            window.n_sp * MINUTES,
        )
        first = (_start_ms(window) - award.start_ms) // PERIOD_MS
        awarded = [abs(mw_to_w(mw)) for mw in award.turn_down_mw[first : first + window.n_sp]]
        return np.minimum(called, np.repeat(np.array(awarded, np.int64), MINUTES))

    def _nominated_wh(self, unit: str, window: Window) -> Any:
        """The unit's nomination that came in time (periods) [Wh]; None where none did."""
        told = self.state.nominations.get((unit, window.day), [])
        until_ms = self._nominated_until_ms(window.day)
        in_time = [heard for heard in told if heard.at_ms <= until_ms]
        if not in_time:
            return None
        import_wh = np.array(in_time[-1].told.import_wh, np.float64)
        if len(import_wh) != period_count(window.day):
            return None
        return import_wh[window.places]

    def _nominated_until_ms(self, day: date) -> int:
        """Until when a nomination for a day may come: noon the day before, and on the first day within its
        first hour, there being no day before.
        """
        if day == self.settings.first_day:
            return day_start_ms(day) + HOUR_MS
        minute = self.settings.rules.book("dso_settlement", day).value("nominated_revision_minute_of_day")
        return clock_reached_ms(day - timedelta(days=1), minute)

    # ----------------------------------------------------------------------------------- order and stacking

    def _in_order(self, claims: list[Claim]) -> list[Claim]:
        by_key = {claim.key: claim for claim in claims}
        commitments = [_commitment(claim, key=claim.key) for claim in claims]
        return [by_key[each.key] for each in pay_order(commitments, Primacy(self.settings.primacy))]

    def _refused(self, claim: Claim, served: list[Claim], ground: Ground) -> I32:
        """The claim's assets that the rules forbid it beside claims that go before it."""
        refused = np.empty(0, np.int32)
        for other in served:
            shared = np.intersect1d(claim.rows, other.rows, assume_unique=True)
            if not len(shared) or not claim.asked.any() or not other.asked.any():
                continue
            block = self._block_between(other, claim, ground)
            if block is not None:
                self.tell(
                    "not_paid_beside",
                    f"{claim.unit} {claim.reference} {ground.day}: {len(shared)} assets are paid nothing "
                    f"beside {other.unit}: {block.reason} ({block.clause})",
                )
                refused = np.union1d(refused, shared).astype(np.int32)
        return refused

    def _block_between(self, other: Claim, claim: Claim, ground: Ground) -> Block | None:
        """The first rule that forbids a claim beside another; None where each may stand beside each.

        What a unit sold and what it bought on one day are asked apart: they go opposite ways at other times.
        """
        rating_w = ground.assets.rating_w
        for held, new in pairs(_one_way(other), _one_way(claim)):
            decision = may_serve(
                [_commitment(held, int(rating_w[held.rows].sum()))],
                _commitment(new, int(rating_w[new.rows].sum())),
                _ALL,
                Primacy(self.settings.primacy),
                self.settings.rules.rules_on(ground.day),
                Stage.SETTLE,
            )
            if not decision.allowed:
                return decision.blocks[0]
        return None

    # ---------------------------------------------------------------------------------------------- volumes

    def _share(self, claim: Claim, refused: I32, contested: Flags, paid: Paid, ground: Ground) -> Share:
        """Measure a claim, leave out what is not for it to be paid for, and note what it is paid for."""
        sites, rules = self._sites(claim, ground), self._book(claim.product, ground.day)
        found = self._deviation(claim, sites, ground)
        moved = _netted(claim, found.by_meter_wh)
        left = left_over(moved, paid.behind(sites.meters, claim.at_boundary, claim.window))
        left[np.isin(sites.meters, ground.assets.home[refused] if claim.at_boundary else refused)] = 0
        left_wh = left.sum(axis=0, dtype=np.int64)
        left_wh = np.where(claim.asked, left_wh, 0) if claim.active is not None else left_wh
        every = np.where(claim.asked, left_wh, 0)
        payable = every if claim.most_wh is None else payable_wh(left_wh, claim.most_wh)
        came = share_out(payable, left)
        self._note(claim, sites, came, paid, ground)
        self._watch_paid_once(claim, came, moved, paid.behind(sites.meters, claim.at_boundary, claim.window))
        share = Share(
            claim=claim,
            baseline_wh=found.baseline_wh,
            metered_wh=found.metered_wh,
            counted_out=found.counted_out,
            insufficient=found.insufficient,
            left_wh=left_wh,
            lost_wh=moved.sum(axis=0, dtype=np.int64) - left_wh,
            paid_wh=payable,
            meters=len(sites.meters),
            periods=_half_hours(claim, payable),
            event=Delivery(0.0, 0.0, 0),
            by_supplier_wh=self._by_supplier_wh(claim, left, sites, ground),
        )
        if claim.meter == "minute":
            share = self._by_minute(share, contested | (len(refused) > 0), rules)
        return replace(share, event=_together(share.periods))

    def _deviation(self, claim: Claim, sites: Sites, ground: Ground) -> Deviation:
        """What a claim's meters deviated by."""
        readings = ground.boundary if claim.at_boundary else ground.asset
        rules, book = self._baselines(ground.day), self.settings.suppliers
        if claim.product is not Product.WHOLESALE or book is None:
            return deviation(claim.method, sites, claim.window, readings, claim.nominated_wh, rules)
        policy = book.ida_policy
        if policy == "rulebook":
            policy = self.settings.rules.book("bsc", ground.day).value("ida_policy")
        adjusted = adjusted_periods(policy, np.zeros_like(claim.asked), claim.asked)
        return measured(claim.method, sites, ground.day, readings, claim.nominated_wh, adjusted, rules)

    def _by_supplier_wh(self, claim: Claim, left: I32, sites: Sites, ground: Ground) -> I64 | None:
        """Of a trading unit: what each Supplier's customers deviated by where something was expected."""
        book = self.settings.suppliers
        if book is None or claim.product is not Product.WHOLESALE:
            return None
        homes = sites.meters if claim.at_boundary else ground.assets.home[sites.meters]
        if claim.method == "nominated":
            left = np.where(np.isnan(claim.nominated_wh), 0, left)
        return by_supplier(left, book.of_home[homes], len(book.names))

    def _watch_paid_once(self, claim: Claim, came: I64, moved: I32, behind: I32) -> None:
        """Tell of meters behind which more was paid for, with what came now, than they deviated by (R196)."""
        wrong = (came != 0) & ((np.abs(behind) > np.abs(moved)) | (came * moved < 0))
        if wrong.any():
            meter, period = np.argwhere(wrong)[0].tolist()
            self.tell(
                "paid_more_than_measured",
                f"{claim.product} {claim.reference} {claim.unit} {claim.window.day}: {int(wrong.sum())} "
                f"meters and periods; the first {behind[meter, period]} Wh of {moved[meter, period]} Wh",
            )

    def _note(self, claim: Claim, sites: Sites, by_meter_wh: I64, paid: Paid, ground: Ground) -> None:
        """Lay what is paid for upon assets."""
        assets = ground.assets
        if claim.at_boundary:
            by_meter_wh = onto_rows(by_meter_wh, sites.meters, claim.rows, assets.home, assets.rating_w)
        for place in range(claim.window.n_sp):
            paid.add(claim.rows, by_meter_wh[:, place], claim.window.first_sp + place)

    def _by_minute(self, share: Share, contested: Flags, rules: Rulebook) -> Share:
        """A share as its unit's minutes have it: delivered between nothing and what was called, by minute.

        Where other claims share its assets, it is paid for no more than half-hourly meters leave of them.
        """
        claim, award = share.claim, self.state.awards[share.claim.key]
        baseline_wh = share.baseline_wh if claim.method != "nominated" else claim.nominated_wh
        if baseline_wh is None:
            baseline_wh = np.full(claim.window.n_sp, np.nan)
        minutes_w = self._minutes_w(claim.unit, claim.window)
        expected_w = np.repeat(np.asarray(baseline_wh, np.float64) * 2, MINUTES)
        came_w = delivered_w(expected_w, minutes_w, turn_up=sum(award.turn_down_mw) < 0)
        found = half_hour_deliveries(self._called_w(award, claim.window), came_w, rules)
        most = np.where(contested, np.abs(share.paid_wh) / WH_PER_MWH, np.inf)
        periods = tuple(
            replace(each, delivered_mwh=min(each.delivered_mwh, float(cap)))
            for each, cap in zip(found, most, strict=True)
        )
        came_wh = np.array([round(each.delivered_mwh * WH_PER_MWH) for each in periods], np.int64)
        delivered_wh = np.asarray(np.sign(claim.sold_wh) * came_wh)
        nothing = np.zeros(claim.window.n_sp, np.int64)
        metered_wh = np.nansum(minutes_w.reshape(-1, MINUTES), axis=1) / 60
        return replace(
            share,
            baseline_wh=np.rint(np.nan_to_num(baseline_wh)).astype(np.int64),
            metered_wh=np.rint(metered_wh).astype(np.int64),
            counted_out=nothing if claim.method == "nominated" else share.counted_out,
            insufficient=0 if claim.method == "nominated" else share.insufficient,
            left_wh=delivered_wh,
            paid_wh=delivered_wh,
            periods=periods,
        )

    def _minutes_w(self, unit: str, window: Window) -> Any:
        """The unit's submitted minutes [W]; NaN where there is none."""
        start_ms, count = _start_ms(window), window.n_sp * MINUTES
        minutes = np.full(count, np.nan)
        for told in self.state.metering.get(unit, {}).values():
            at = (told.start_ms - start_ms) // MINUTE_MS
            first, last = max(at, 0), min(at + len(told.import_w), count)
            if first < last:
                minutes[first:last] = told.import_w[first - at : last - at]
        return minutes

    def _sites(self, claim: Claim, ground: Ground) -> Sites:
        """The meters of a claim and what is known about them."""
        assets, rows = ground.assets, claim.rows
        reference_wh = _reference_wh(self._baselines(ground.day))
        if not claim.at_boundary:
            weight, kind = assets.rating_w[rows].astype(np.int64), _kinds(assets.technology[rows])
            return Sites(rows, weight, kind, reference_wh, claim.event_days)
        homes, place = np.unique(assets.home[rows], return_inverse=True)
        weight = np.bincount(place, weights=assets.rating_w[rows], minlength=len(homes)).astype(np.int64)
        kind = np.full(len(homes), NO_PROFILE, np.int64)
        return Sites(homes.astype(np.int32), weight, kind, reference_wh, claim.event_days)

    def _event_days(self, unit: str, day: date) -> frozenset[date]:
        """Days before `day` on which the unit was awarded something that was not cancelled."""
        awards = [award for award in self.state.awards.values() if award.unit == unit]
        found = [
            one
            for award in awards
            if (award.product, award.event_id) not in self.state.cancelled
            for one in (local_date(award.start_ms), local_date(award.end_ms - 1))
        ]
        return frozenset(one for one in found if one < day)

    # ------------------------------------------------------------------------------------------------ months

    def _month_lines(self, shares: list[Share], ground: Ground) -> Iterator[StatementLine]:
        """Payments for being held: month by month, as far as the month is known on the day."""
        for product, unit in dict.fromkeys((share.claim.product, share.claim.unit) for share in shares):
            mine = [share for share in shares if (share.claim.product, share.claim.unit) == (product, unit)]
            month = self.state.months.setdefault((product.value, unit), {})
            month[ground.day] = DayRecord(
                tuple(self._standby(share.claim) for share in mine),
                tuple(share.event for share in mine if share.event.instructed_mwh),
            )
            heading = self._heading(mine[0].claim, ground.run)
            rules = self._book(product, ground.day)
            found = list(held_lines(heading, ground.day, month, rules))
            yield from found
            if found and (ground.day + timedelta(days=1)).month == ground.day.month:
                self.tell(
                    "month_not_over",
                    f"{unit}: paid for being held by the events of {ground.day:%Y-%m} up to {ground.day}",
                )

    def _standby(self, claim: Claim) -> Any:
        award = self.state.awards[claim.key]
        first = (_start_ms(claim.window) - award.start_ms) // PERIOD_MS
        return standby(award, _start_ms(claim.window), award.turn_down_mw[first : first + claim.window.n_sp])

    # ------------------------------------------------------------------------------------------------- rules

    def _heading(self, claim: Claim, run: str) -> Heading:
        place = self.state.units[claim.unit].place
        return Heading(
            run,
            claim.product.value,
            claim.unit,
            claim.reference,
            _start_ms(claim.window),
            buyer_of(claim.product, place),
        )

    def _baselines(self, day: date) -> Rulebook:
        """The rulebook that says how each baseline method works."""
        return self.settings.rules.book("dso_settlement", day)

    def _book(self, product: Product, day: date) -> Rulebook:
        """The rulebook that says how a product is measured."""
        return self.settings.rules.book(_BOOKS.get(product, "dso_settlement"), day)

    def _method(self, product: Product, day: date) -> str:
        if product is Product.WHOLESALE:
            return _trading_method(self.settings.suppliers)
        shared = product in {Product.LCM, Product.CAPACITY_MARKET}
        name = str(self._book(product, day).value("baseline" if shared else f"baseline_{product}"))
        return _NAMES.get(name, name)

    def _meter(self, product: Product, day: date) -> str:
        if product is Product.CAPACITY_MARKET:
            return "asset"
        if product is Product.WHOLESALE:
            return self.settings.suppliers.metering if self.settings.suppliers else "asset"
        return str(self._book(product, day).value(f"metering_{product}"))


_BOOKS = {
    Product.TCM: "constraint_management",
    Product.LCM: "constraint_management",
    Product.CAPACITY_MARKET: "capacity_market",
}
_NAMES = {"bl01": "BL01"}
"""Baselines by other rulebooks' names for them."""
_OWN = frozenset({"fixed_reference", "nominated", "zero"})
"""Methods that need no readings of earlier days."""


def _trading_method(book: SupplierBook | None) -> str:
    """How a trading unit is measured: as submitted, or by BL01."""
    return "nominated" if book is None or book.baselining == "submitted" else "BL01"


def _window(start_ms: int, end_ms: int, day: date) -> Window:
    """The part of [start, end) on a day, in whole periods."""
    start_ms, end_ms = max(start_ms, day_start_ms(day)), min(end_ms, day_end_ms(day))
    return Window(day, period_of(start_ms).number, (end_ms - start_ms) // PERIOD_MS)


def _start_ms(window: Window) -> int:
    return day_start_ms(window.day) + (window.first_sp - 1) * PERIOD_MS


def _end_ms(window: Window) -> int:
    return _start_ms(window) + window.n_sp * PERIOD_MS


def _signals(told: Iterable[ServiceDispatch]) -> list[tuple[int, Signal, int]]:
    """Signals as `instructed_w` takes them; a start that no later one replaces ends at its own end."""
    said = [
        (one.at_ms, Signal(one.signal.upper()), abs(mw_to_w(one.turn_down_mw)), one.until_ms) for one in told
    ]
    starts = [at_ms for at_ms, signal, _, _ in said if signal is Signal.START]
    found = [(at_ms, signal, power_w) for at_ms, signal, power_w, _ in said]
    for at_ms, signal, _, until_ms in said:
        if signal is Signal.START and not any(at_ms < other <= until_ms for other in starts):
            found.append((until_ms, Signal.STOP, 0))
    return sorted(found, key=lambda one: one[0])


def _commitment(claim: Claim, rating_w: int = 0, key: str = "") -> Commitment:
    """A claim as stacking asks for it: `turn_down_w` in millionths of its assets' ratings."""
    asked = np.flatnonzero(claim.sold_wh)
    start_ms, end_ms = _start_ms(claim.window), _end_ms(claim.window)
    most = int(claim.sold_wh[np.argmax(np.abs(claim.sold_wh))]) if len(asked) else 0
    if len(asked):
        end_ms = start_ms + (int(asked[-1]) + 1) * PERIOD_MS
        start_ms += int(asked[0]) * PERIOD_MS
    share = 2 * most * _ALL // rating_w if rating_w else 0
    return Commitment(claim.product, start_ms, end_ms, share, claim.agreed_ms, key)


def _one_way(claim: Claim) -> list[Claim]:
    """A claim cut where it changes its direction: one for each stretch of periods that go the same way."""
    asked = np.flatnonzero(claim.sold_wh)
    turns = np.flatnonzero(np.diff(np.sign(claim.sold_wh[asked]))) + 1
    if not len(turns):
        return [claim]
    found = []
    for stretch in np.split(asked, turns):
        sold_wh = np.zeros_like(claim.sold_wh)
        sold_wh[stretch] = claim.sold_wh[stretch]
        found.append(replace(claim, sold_wh=sold_wh))
    return found


def _contested(claim: Claim, claims: Iterable[Claim]) -> Flags:
    """In which periods of a claim another one asks for an asset of it too (periods)."""
    found = np.zeros(claim.window.n_sp, np.bool_)
    for other in claims:
        if other is claim or not len(np.intersect1d(claim.rows, other.rows, assume_unique=True)):
            continue
        first = other.window.first_sp - claim.window.first_sp
        for place in range(max(first, 0), min(first + other.window.n_sp, claim.window.n_sp)):
            found[place] |= bool(claim.asked[place] and other.asked[place - first])
    return found


def _netted(claim: Claim, moved_wh: I32) -> I32:
    """Deviations as they count: all, or where a scheme leaves out those that went the other way, the rest."""
    if not claim.positive_only:
        return moved_wh
    bound = np.minimum if claim.sold_wh.sum() < 0 else np.maximum
    return np.asarray(bound(moved_wh, 0), np.int32)


def _half_hours(claim: Claim, payable_wh: I64) -> tuple[Delivery, ...]:
    """How a service that is settled on half-hourly meters went."""
    return tuple(
        Delivery(abs(int(sold)) / WH_PER_MWH, abs(int(came)) / WH_PER_MWH, 0)
        for sold, came in zip(claim.sold_wh, payable_wh, strict=True)
    )


def _together(periods: tuple[Delivery, ...]) -> Delivery:
    """The whole of a day's half hours."""
    return Delivery(
        sum(each.instructed_mwh for each in periods),
        sum(each.delivered_mwh for each in periods),
        sum(each.missing_minutes for each in periods),
    )


def _kinds(technology: Any) -> I64:
    """Which published profile is each asset's."""
    kind = np.full(len(technology), NO_PROFILE, np.int64)
    for place, each in enumerate(_REFERENCES):
        kind[technology == each] = place
    return kind


def _reference_wh(rules: Rulebook) -> Any:
    """The DNO's profiles [Wh per half hour] (kinds, 48)."""
    names = (f"fixed_reference_{each.name.lower()}_w" for each in _REFERENCES)
    return np.array([rules.value(name) for name in names], np.float64) / 2


def _delivered_volumes(share: Share) -> Iterator[DeliveredVolume]:
    claim = share.claim
    for place in np.flatnonzero(claim.asked):
        start_ms = _start_ms(claim.window) + int(place) * PERIOD_MS
        yield DeliveredVolume(
            service=claim.product.value,
            unit=claim.unit,
            reference=claim.reference,
            start_ms=start_ms,
            end_ms=start_ms + PERIOD_MS,
            baseline_wh=int(share.baseline_wh[place]),
            metered_wh=int(share.metered_wh[place]),
            delivered_wh=int(share.left_wh[place]),
            accepted_wh=int(claim.sold_wh[place]),
            homes=share.meters,
            homes_missing=int(share.counted_out[place]),
        )
