"""Sells and delivers the services besides DFS and the BM: enrols, offers, takes signals, nominates.

The seam between the buyers of these services and the control loop (`aggregator/loop.py`), which steers
whatever becomes a `Plan`. What it remembers is `AggregatorState.services`; cases are those of
`aggregator/service_cases.py`. Before anything is offered or followed, `aggregator.claims.judge` is asked cell
by cell whether it may be beside all that the cell is committed to. Without consents it does nothing at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aggregator.claims import Claim, Judgement, judge, moved_w, sold_w, steps
from aggregator.conflicts import Prices, opposed, worth_gbp
from aggregator.conflicts import told as conflict_told
from aggregator.forecast import Availability, foresee
from aggregator.instructions import Plan, Segment, move, open_entry
from aggregator.registry import Cells, Registry, counted_w, divide
from aggregator.requirements import AMENDED, verdict
from aggregator.service_book import Awarded, EnrolledUnit, Offered, ServiceBook, Signalled, mean_w
from aggregator.service_cases import (
    EMERGENCY_STOP,
    START,
    award_refusal,
    notice_refusal,
    repeats,
    signal_refusal,
    trade_refusal,
)
from aggregator.service_enrolment import Enrolment, enrol_in_services, left_out_remark
from aggregator.settings import ServiceRules
from aggregator.trading import Trader
from aggregator.trading_desk import TradingDesk
from aggregator.waiting import batteries_now, foresee_waiting, learn_waiting
from protocol.eligibility import DSO_PRODUCTS
from protocol.instruction import Stage as Step
from protocol.messages import (
    I64,
    AssetReadings,
    AssetRegistration,
    CapacityNotice,
    DayAheadPrices,
    Message,
    ServiceAward,
    ServiceCancellation,
    ServiceConsents,
    ServiceDispatch,
    ServiceDispatchAnswer,
    ServiceMetering,
    ServiceNomination,
    ServiceOffer,
    ServiceRequirement,
    ServiceUnit,
    ServiceUnitAnswer,
    WholesaleNotification,
    WholesaleTrade,
)
from protocol.party import NEVER_MS
from protocol.periods import (
    MINUTE_MS,
    PERIOD_MS,
    day_end_ms,
    day_periods_ms,
    gate_closure_ms,
    local_clock_ms,
    local_date,
    periods_touched_ms,
)
from protocol.products import BUYERS, Product
from protocol.stacking import Stage

if TYPE_CHECKING:
    from aggregator.loop import Aggregator

NOMINATED = (*DSO_PRODUCTS, Product.TCM, Product.LCM, Product.WHOLESALE)
BY_HALF_HOUR = (Product.SECURE, Product.DYNAMIC, Product.RESTORE)
"""Their metering is submitted every half hour, that of others once the window is over."""
NOMINATE_BEFORE_MS = 10 * MINUTE_MS
"""Nominations go out so long before they are due; assumed."""
_WHOLE = 1e-9


class Desk:
    """The aggregator's business with the buyers of further services."""

    def __init__(self, house: Aggregator, rules: ServiceRules | None, trader: Trader | None) -> None:
        """Without `rules` nothing is enrolled; without `trader` nothing is traded."""
        self.house = house
        self.rules = rules
        self.trading = TradingDesk(self, trader)
        self.handlers: dict[type[Message], Callable[[Any], None]] = {
            ServiceConsents: self._hear_consents,
            ServiceUnitAnswer: self._hear_unit_answer,
            ServiceRequirement: self._hear_requirement,
            ServiceAward: self._hear_award,
            ServiceCancellation: self._hear_cancellation,
            ServiceDispatch: self._hear_dispatch,
            WholesaleTrade: self._hear_trade,
            CapacityNotice: self._hear_notice,
            DayAheadPrices: self.trading.hear_prices,
        }

    @property
    def book(self) -> ServiceBook:
        """All that is remembered."""
        return self.house.state.services

    @property
    def now_ms(self) -> int:
        """The latest moment that was told."""
        return self.house.state.now_ms

    # ------------------------------------------------------------------------------------------- enrolment

    def _hear_consents(self, consents: ServiceConsents) -> None:
        if self.house.state.portfolio is not None:
            self.house.remark("registered_twice", "consents are told once, before the assets: ignored")
            return
        self.book.consents = consents

    def enrol(self, registry: Registry, registration: AssetRegistration) -> Registry:
        """The registry with its groups cut by the units of further services, where there are any."""
        consents = self.book.consents
        if consents is None or self.rules is None:
            return registry
        held = tuple(group.service for group in registry.groups)
        each_w = counted_w(registration.technology, self.house.assumed)
        order = self.house.settings.services.order
        made = enrol_in_services(consents, registration, held, registry.group, each_w, order, self.rules)
        for (product, reason), assets in made.left_out.items():
            self.house.remark("not_in_service", left_out_remark(product, reason, assets))
        if made.units:
            registry = divide(registry, made.unit_of, registration, self.house.assumed)
            self._introduce(made, registry)
        return registry

    def _introduce(self, made: Enrolment, registry: Registry) -> None:
        """Tell buyers and settlement which units there are."""
        book = self.book
        book.weights = {place: max(group.planned_w, 1) for place, group in enumerate(registry.groups)}
        for each in made.units:
            cells = np.unique(registry.group[each.rows]).tolist()
            book.units[each.unit] = EnrolledUnit(each.product, each.unit, each.place, cells, each.planned_w)
            said = ServiceUnit(each.product.value, each.unit, each.place, each.rows, each.planned_w / 1e6)
            self._say_both(each.product, said)

    def _say_both(self, product: Product, message: Message) -> None:
        """Tell the buyer of a service, and settlement."""
        self.house.say(BUYERS[product], message)
        self.house.say("settlement", message)

    def _hear_unit_answer(self, answer: ServiceUnitAnswer) -> None:
        unit = self.book.units.get(answer.unit)
        if unit is None or unit.product != answer.product:
            self.house.remark("unknown_service_unit", f"{answer.unit}: none of our units")
            return
        unit.refused = not answer.accepted
        if answer.obliged_mw is not None:
            unit.obliged_w = round(answer.obliged_mw * 1e6)
        if unit.refused:
            self.house.remark("service_unit_refused", f"{answer.unit}: {answer.reason}")

    # ------------------------------------------------------------------------------------------- the clock

    def next_ms(self) -> int:
        """When something is to be done next; NEVER_MS for never."""
        book = self.book
        if not book.units:
            return NEVER_MS
        wanted = [self._offer_at_ms(each) for each in book.due.values()]
        wanted += [self._nominate_at_ms(unit) for unit in book.units.values()]
        wanted += [self._meter_at_ms(awarded) for awarded in book.awards.values()]
        wanted += [self.now_ms] if book.urgent else []
        wanted.append(self.trading.next_ms())
        return min(wanted, default=NEVER_MS)

    def turn(self) -> None:
        """Whatever is due now."""
        book, now_ms = self.book, self.now_ms
        for key, requirement in [item for item in book.due.items() if self._offer_at_ms(item[1]) <= now_ms]:
            del book.due[key]
            self._offer(requirement)
        for unit in book.units.values():
            if self._nominate_at_ms(unit) <= now_ms:
                self._nominate(unit)
        for awarded in book.awards.values():
            while self._meter_at_ms(awarded) <= now_ms:
                self._submit_metering(awarded)
        self.trading.turn()

    def forget(self, before_ms: int) -> None:
        """Drop what ended before a moment; nothing asks about it any more."""
        book = self.book
        book.offers = {key: each for key, each in book.offers.items() if each.end_ms >= before_ms}
        book.orders = {key: each for key, each in book.orders.items() if each.order.end_ms >= before_ms}
        book.awards = {key: each for key, each in book.awards.items() if each.award.end_ms >= before_ms}
        book.signals = {
            key: each for key, each in book.signals.items() if each.dispatch.until_ms >= before_ms
        }
        book.heard = {key: each for key, each in book.heard.items() if each.end_ms >= before_ms}

    # --------------------------------------------------------------------------------------- what is sold

    def claims(self, without: Iterable[Product] = ()) -> list[Claim]:
        """All that is sold or promised of any cell, but for some products."""
        if not self.book.units:
            return []
        found = [*self.book.claims(self.house.state.book, self.now_ms), *self.house.bids_standing()]
        return [claim for claim in found if claim.product not in without]

    def left(
        self, cells: Cells, starts: list[int], found: list[Availability], own: Product
    ) -> list[Availability]:
        """What a DFS or BM Unit can do, less what is sold of its cells to others."""
        claims = self.claims([own])
        if not claims:
            return found
        sold = [
            sold_w(claims, cells, self.book.weights, start_ms, start_ms + PERIOD_MS) for start_ms in starts
        ]
        return [
            replace(one, sold_w=down_w, sold_up_w=up_w)
            for one, (down_w, up_w) in zip(found, sold, strict=True)
        ]

    def moved_w(self, cells: Cells, start_ms: int, own: Product) -> int:
        """By how much instructions of others will turn a unit's cells down in a period [W]."""
        if not self.book.units:
            return 0
        calls = [claim for claim in self.book.instructed(self.house.state.book) if claim.product != own]
        return moved_w(calls, cells, self.book.weights, start_ms, start_ms + PERIOD_MS)

    def _able_w(self, cells: Cells, starts: Sequence[int], way: int) -> list[int]:
        """What a unit could do in each period one way, sold or not, with the owner's confidence [W]."""
        found, waiting_w = self.house.availability(cells, list(starts))
        if way < 0:
            foreseen_w = self._foreseen_up_w(cells, starts, found[0].reached)
            return [
                int(self.house.turn_up_w(waiting_w, start_ms) + (1 - self.house.fading(start_ms)) * then_w)
                for start_ms, then_w in zip(starts, foreseen_w, strict=True)
            ]
        return [int(one.turn_down_w(self.house.settings.confidence)) for one in found]

    def _foreseen_up_w(self, cells: Cells, starts: Sequence[int], reached: float) -> list[float]:
        """What will be there to be turned up, as the days lived and the batteries tell [W]; what waits now
        says less and less of it the further ahead.
        """
        portfolio, assumed = self.house.state.portfolio, self.house.assumed
        if portfolio is None:
            return [0.0] * len(starts)
        group = portfolio.registry.unit(cells)
        batteries = batteries_now(portfolio.store, portfolio.registry, cells)
        lived = self.book.waiting
        foreseen = foresee_waiting(lived, cells, group, starts, batteries, self.now_ms, assumed)
        _, follows = self.house.response(portfolio, list(cells))
        least = 1 - max(self.house.settings.confidence, 0.5)
        return [each.quantile_w(least) * follows * reached for each in foreseen]

    def learn(self, told: AssetReadings, disturbed: Sequence[tuple[int, int, int]]) -> None:
        """Learn what waits from a day of asset readings, where anything could be sold of it."""
        portfolio = self.house.state.portfolio
        if portfolio is not None and self.book.units:
            learn_waiting(self.book.waiting, told, portfolio.registry, disturbed, self.house.assumed)

    def _unsold_w(
        self, cells: Cells, starts: Sequence[int], able_w: list[int], claims: list[Claim], way: int
    ) -> list[int]:
        """What is left of it after others' claims [W]."""
        left = []
        for start_ms, w in zip(starts, able_w, strict=True):
            down_w, up_w = sold_w(claims, cells, self.book.weights, start_ms, start_ms + PERIOD_MS)
            left.append(max(w - (down_w if way > 0 else up_w), 0))
        return left

    def _who_may(
        self, new: Claim, able_w: Sequence[int], claims: list[Claim], stage: Stage
    ) -> tuple[list[int], dict[int, Judgement], str]:
        """The cells that may serve a claim, what was said of each, and why the first may not."""
        if self.rules is None or not new.segments:
            return [], {}, ""
        said = {
            cell: judge(claims, new, cell, able_w, self.book.weights, self.rules, stage) for cell in new.cells
        }
        reasons = [each.reason for each in said.values() if not each.allowed]
        return [cell for cell, each in said.items() if each.allowed], said, next(iter(reasons), "")

    # ---------------------------------------------------------------------------------------------- offers

    def _hear_requirement(self, requirement: ServiceRequirement) -> None:
        book, name = self.book, requirement.event_id
        key = f"{requirement.product} {name} {requirement.place}"
        kind, detail = verdict(requirement, book.heard.get(key), book.cancelled, self.now_ms)
        if kind:
            self.house.remark(kind, detail)
        if kind not in ("", AMENDED):
            return
        if book.unit_at(requirement.product, requirement.place) is None:
            what = f"event {name}: we have no unit of {requirement.product} in {requirement.place}"
            self.house.remark("no_service_unit", what)
            return
        book.heard[key] = book.due[key] = requirement

    def _offer_at_ms(self, requirement: ServiceRequirement) -> int:
        return requirement.submit_by_ms - self.house.assumed.bid_before_window_ends_ms

    def _offer(self, requirement: ServiceRequirement) -> None:
        """Offer what the unit can do and has not sold; an earlier offer for the same event is taken back."""
        book = self.book
        unit = book.unit_at(requirement.product, requirement.place)
        if unit is None:
            return
        earlier = [key for key, each in book.offers.items() if self._answers(each, requirement, unit)]
        for key in earlier:
            book.offers[key].closed = True
        cells, megawatts, why = self._megawatts(unit, requirement)
        if not any(megawatts):
            reason = why or "nothing is left to offer"
            self.house.remark("no_offer", f"{unit.name}, event {requirement.event_id}: {reason}")
            return
        plain = f"{requirement.event_id}-{unit.name}"
        prices = self.house.settings.services
        offer = ServiceOffer(
            product=requirement.product,
            offer_id=f"{plain}-{len(earlier) + 1}" if earlier else plain,
            event_id=requirement.event_id,
            unit=unit.name,
            turn_down_mw=megawatts,
            utilisation_gbp_per_mwh=_price(
                prices.utilisation_gbp_per_mwh, requirement.utilisation_ceiling_gbp_per_mwh
            ),
            availability_gbp_per_mw_h=_price(
                prices.availability_gbp_per_mwh, requirement.availability_ceiling_gbp_per_mw_h
            ),
        )
        book.offers[offer.offer_id] = Offered(
            offer, requirement.start_ms, requirement.end_ms, cells, self.now_ms
        )
        self.house.say(BUYERS[unit.product], offer)

    def _answers(self, offered: Offered, requirement: ServiceRequirement, unit: EnrolledUnit) -> bool:
        return offered.offer.event_id == requirement.event_id and offered.offer.unit == unit.name

    def _megawatts(
        self, unit: EnrolledUnit, requirement: ServiceRequirement
    ) -> tuple[list[int], tuple[float, ...], str]:
        """The cells that may take part, what they can do in each period [MW], and why others may not."""
        start_ms, end_ms = requirement.start_ms, requirement.end_ms
        starts = list(range(start_ms, end_ms, PERIOD_MS))
        way = 1 if requirement.turn_down_mw > 0 else -1
        share = self.house.held_share(unit.cells, end_ms - start_ms) if way > 0 else 1.0
        claims = [claim for claim in self.claims() if not self._is_of(claim, requirement)]

        def offered(cells: list[int], able_w: list[int]) -> tuple[float, ...]:
            left_w = self._unsold_w(cells, starts, able_w, claims, way)
            most_w = [min(share * w, unit.planned_w) for w in left_w]  # no more than it was entered with
            return self._whole_steps(most_w, requirement.turn_down_mw)

        able_w = self._able_w(unit.cells, starts, way)
        wanted = offered(unit.cells, able_w)
        new = self._claim(unit.product, requirement.event_id, unit.cells, start_ms, end_ms, wanted)
        asked = [able for able, mw in zip(able_w, wanted, strict=True) if mw]
        cells, _, why = self._who_may(new, asked, claims, Stage.PLAN)
        if len(cells) == len(unit.cells):
            return cells, wanted, ""
        self._tell_refused(new, [cell for cell in unit.cells if cell not in cells], claims, requirement)
        return cells, offered(cells, self._able_w(cells, starts, way)) if cells else (), why

    def _tell_refused(
        self, new: Claim, cells: list[int], claims: list[Claim], requirement: ServiceRequirement
    ) -> None:
        """Say which claims for the opposite stand in the way of an offer, by cells that cannot take part."""
        own = self.house.settings.services
        prices = Prices(
            _price(own.utilisation_gbp_per_mwh, requirement.utilisation_ceiling_gbp_per_mwh),
            _price(own.availability_gbp_per_mwh, requirement.availability_ceiling_gbp_per_mw_h),
        )
        for claim in claims:
            losing = [cell for cell in cells if cell in claim.cells]
            if losing and new.segments and opposed(claim, new):
                self._tell_conflict(claim, new, losing, prices)

    def _is_of(self, claim: Claim, requirement: ServiceRequirement) -> bool:
        """Whether a claim is an offer for the very event, which this one replaces."""
        offered = self.book.offers.get(claim.key)
        return offered is not None and offered.offer.event_id == requirement.event_id

    def _whole_steps(self, left_w: Sequence[float], wanted_mw: float) -> tuple[float, ...]:
        """Megawatts offered of what is left: whole steps, rounded down, at most what is wanted."""
        step_mw, way = self.house.assumed.service_step_mw, 1 if wanted_mw > 0 else -1
        most_mw = [min(w / 1e6, abs(wanted_mw)) for w in left_w]
        return tuple(way * round(math.floor(mw / step_mw + _WHOLE) * step_mw, 9) + 0.0 for mw in most_mw)

    def _claim(
        self,
        product: Product,
        key: str,
        cells: Sequence[int],
        start_ms: int,
        end_ms: int,
        megawatts: Sequence[float],
    ) -> Claim:
        return Claim(product, key, tuple(cells), steps(start_ms, end_ms, PERIOD_MS, megawatts), self.now_ms)

    # ---------------------------------------------------------------------------------------------- awards

    def _hear_award(self, award: ServiceAward) -> None:
        state, offered = self.house.state, self.book.offers.get(award.offer_id)
        if award.offer_id in state.book.ledger.entries or award.offer_id in self.book.awards:
            self.house.remark("duplicate_instruction", f"award of offer {award.offer_id} came again")
            return
        if not award.accepted:
            self.house.remark("offer_refused", f"offer {award.offer_id}: {award.reason}")
            if offered is not None:
                offered.closed = True
            return
        reason = award_refusal(award, offered, self.book.cancelled, self.now_ms)
        if offered is None or reason:
            self._decline(award.product, award.offer_id, award.unit, _span(award), award.turn_down_mw, reason)
            return
        offered.closed = True
        if award.scheduled:
            self._follow_award(award, offered)
        else:
            self.book.awards[award.offer_id] = Awarded(award, offered.cells, self.now_ms, award.start_ms)

    def _follow_award(self, award: ServiceAward, offered: Offered) -> None:
        """A scheduled award is the instruction itself."""
        segments = steps(award.start_ms, award.end_ms, PERIOD_MS, award.turn_down_mw)
        claim = Claim(Product(award.product), award.offer_id, tuple(offered.cells), segments, self.now_ms)
        cells, reason = self._take_cells(claim, Stage.PLAN)
        if not cells:
            self._decline(award.product, award.offer_id, award.unit, _span(award), award.turn_down_mw, reason)
            return
        self._follow(claim, award.unit, cells, _span(award))
        awarded = Awarded(award, cells, self.now_ms, award.start_ms, [award.offer_id])
        self.book.awards[award.offer_id] = awarded

    def _decline(
        self,
        product: str,
        key: str,
        unit: str,
        span: tuple[int, int],
        megawatts: Sequence[float],
        reason: str,
    ) -> None:
        finite = [mw for mw in megawatts if math.isfinite(mw)]
        w = round(max(finite, key=abs, default=0.0) * 1e6)
        book = self.house.state.book
        entry = open_entry(book, self.house.say, self.now_ms, key, product, unit, span, w)
        move(entry, Step.DECLINED, self.now_ms, reason, self.house.say)

    def _follow(self, claim: Claim, unit: str, cells: list[int], span: tuple[int, int]) -> Plan:
        """Take on an instruction."""
        book, now_ms = self.house.state.book, self.now_ms
        w, service = claim.most_w(*span), claim.product.value
        entry = open_entry(book, self.house.say, now_ms, claim.key, service, unit, span, w)
        move(entry, Step.ACCEPTED, now_ms, "", self.house.say)
        plan = Plan(
            instruction_id=claim.key,
            service=service,
            unit=unit,
            cells=list(cells),
            start_ms=span[0],
            end_ms=span[1],
            segments=claim.segments,
            rank=(claim.agreed_ms, 0),
            at_ms=max(now_ms, span[0]),
        )
        book.follow(plan)
        return plan

    def _take_cells(self, new: Claim, stage: Stage, ignored: tuple[str, ...] = ()) -> tuple[list[int], str]:
        """The cells that serve a claim, those whose other claims rank below it taken from these; or why none.

        `ignored`: keys of claims that the new one is part of, such as the award that is called.
        """
        claims = [claim for claim in self.claims() if claim.key not in (new.key, *ignored)]
        starts = [each[0] for each in new.segments]
        way = 1 if new.most_w(starts[0], new.segments[-1][2]) >= 0 else -1
        able_w = self._able_w(new.cells, starts, way)
        cells, said, reason = self._who_may(new, able_w, claims, stage)
        for claim in claims:
            losing = [cell for cell in cells if claim.key in said[cell].displaced]
            if losing and opposed(claim, new):
                self._tell_conflict(new, claim, losing, self._prices(claim.key))
        for cell in cells:
            for key in said[cell].displaced:
                self._displace(key, cell, new.key)
        return cells, reason

    def _prices(self, key: str) -> Prices | None:
        """At which prices a claim was sold or offered; None for what is priced elsewhere."""
        called = [each.award for each in self.book.awards.values() if key in each.plans]
        award = next(iter(called), None) or (self.book.awards[key].award if key in self.book.awards else None)
        sold = award or (self.book.offers[key].offer if key in self.book.offers else None)
        return None if sold is None else Prices(sold.utilisation_gbp_per_mwh, sold.availability_gbp_per_mw_h)

    def _tell_conflict(self, first: Claim, loser: Claim, cells: Sequence[int], prices: Prices | None) -> None:
        """Say that a network operator and the ESO wanted opposite things, and what who goes second loses."""
        lost_gbp = None if prices is None else worth_gbp(loser, cells, self.book.weights, prices)
        policy = "" if self.rules is None else self.rules.primacy.value
        self.house.remark("conflict", conflict_told(first, loser, policy, lost_gbp))

    def _displace(self, key: str, cell: int, by: str) -> None:
        """Take a cell from an instruction, award or offer that ranks lower; one without cells ends."""
        book = self.house.state.book
        plan, awarded, offered = book.plans.get(key), self.book.awards.get(key), self.book.offers.get(key)
        called = [] if awarded is None else [book.plans[name] for name in awarded.plans if name in book.plans]
        for one in [*called, plan]:
            if one is not None and cell in one.cells:
                self._take_from(one, cell, by)
        for holder in (awarded, offered):
            if holder is not None:
                holder.cells = [each for each in holder.cells if each != cell]
        group = self.house.cell_name(cell)
        self.house.remark("displaced", f"{key} loses cell {cell} ({group}) to {by}, which goes first")

    def _take_from(self, plan: Plan, cell: int, by: str) -> None:
        plan.lose(cell)
        entry = self.house.state.book.ledger.entries[plan.instruction_id]
        if not plan.cells and not entry.ended:
            move(entry, Step.SUPERSEDED, self.now_ms, f"displaced by {by}", self.house.say)

    def _hear_cancellation(self, told: ServiceCancellation) -> None:
        """Nothing is offered for the event any more; what was awarded for it and has not begun is off."""
        book, name = self.book, told.event_id
        if name not in book.cancelled:
            book.cancelled.append(name)
        book.due = {key: each for key, each in book.due.items() if each.event_id != name}
        for offered in book.offers.values():
            offered.closed |= offered.offer.event_id == name
        for awarded in book.awards.values():
            if awarded.award.event_id == name and not awarded.ended:
                self._call_off(awarded, told)

    def _call_off(self, awarded: Awarded, told: ServiceCancellation) -> None:
        if self.now_ms >= awarded.award.start_ms:
            self.house.remark("cancellation_after_start", f"event {told.event_id}: {told.reason}")
            return
        awarded.ended = True
        for plan in self._running(awarded):
            entry = self.house.state.book.ledger.entries[plan.instruction_id]
            move(entry, Step.EXPIRED, self.now_ms, "cancelled", self.house.say)

    # --------------------------------------------------------------------------------------------- signals

    def _hear_dispatch(self, dispatch: ServiceDispatch) -> None:
        known = self.book.signals.get(dispatch.dispatch_id)
        if known is not None and repeats(dispatch, known):
            self.house.remark("duplicate_instruction", f"signal {dispatch.dispatch_id} came again")
            self._answer(dispatch, known.reason)
            return
        reason = "conflicting_signal" if known is not None else self._act_on(dispatch)
        if known is None:
            self.book.signals[dispatch.dispatch_id] = Signalled(dispatch, not reason, reason)
        self._answer(dispatch, reason)

    def _answer(self, dispatch: ServiceDispatch, reason: str) -> None:
        said = ServiceDispatchAnswer(
            dispatch.product, dispatch.dispatch_id, dispatch.unit, reason == "", reason
        )
        buyer = next((BUYERS[each] for each in BUYERS if each == dispatch.product), None)
        if buyer is None:
            self.house.remark("unknown_product", f"signal {dispatch.dispatch_id} of {dispatch.product}")
            return
        self.house.say(buyer, said)

    def _act_on(self, dispatch: ServiceDispatch) -> str:
        """Follow a new signal; gives why not, "" where it is followed."""
        awarded = self.book.awards.get(dispatch.offer_id)
        running = [] if awarded is None else self._running(awarded)
        late_ms = self.house.assumed.late_grace_ms
        reason = signal_refusal(dispatch, awarded, bool(running), self.book.cancelled, self.now_ms, late_ms)
        if awarded is not None and not reason and dispatch.signal != START:
            for plan in running:
                self._stop(plan, dispatch)
            return ""
        if awarded is not None and not reason:
            return self._start(dispatch, awarded, running)
        if dispatch.signal == START:
            self._decline_start(dispatch, reason)
        return reason

    def _start(self, dispatch: ServiceDispatch, awarded: Awarded, running: list[Plan]) -> str:
        """Deliver what was called; another call of the same award ends with it."""
        segments = _cut(dispatch.at_ms, dispatch.until_ms, round(dispatch.turn_down_mw * 1e6))
        product, key = Product(dispatch.product), dispatch.dispatch_id
        claim = Claim(product, key, tuple(awarded.cells), segments, awarded.at_ms)
        taken = key in self.house.state.book.ledger.entries
        if taken:
            return "conflicting_signal"
        cells, reason = (
            self._take_cells(claim, Stage.DISPATCH, ignored=(dispatch.offer_id,))
            if awarded.cells
            else ([], "displaced")
        )
        if not cells:
            self._decline_start(dispatch, reason)
            return reason
        for plan in running:
            entry = self.house.state.book.ledger.entries[plan.instruction_id]
            move(entry, Step.SUPERSEDED, self.now_ms, "restarted", self.house.say)
        self._follow(claim, dispatch.unit, cells, (dispatch.at_ms, dispatch.until_ms))
        awarded.plans.append(key)
        return ""

    def _decline_start(self, dispatch: ServiceDispatch, reason: str) -> None:
        if dispatch.dispatch_id not in self.house.state.book.ledger.entries:
            span, megawatts = (dispatch.at_ms, dispatch.until_ms), (dispatch.turn_down_mw,)
            self._decline(dispatch.product, dispatch.dispatch_id, dispatch.unit, span, megawatts, reason)

    def _stop(self, plan: Plan, dispatch: ServiceDispatch) -> None:
        """End an instruction at the signal's time, or at once; one that has not begun is off."""
        entry = self.house.state.book.ledger.entries[plan.instruction_id]
        at_once = dispatch.signal == EMERGENCY_STOP
        end_ms = self.now_ms if at_once else max(self.now_ms, dispatch.at_ms)
        if end_ms <= plan.start_ms:
            move(entry, Step.EXPIRED, self.now_ms, "stopped", self.house.say)
        plan.end_at(end_ms)
        if at_once:
            self.book.urgent = sorted({*self.book.urgent, *plan.cells})

    def _running(self, awarded: Awarded) -> list[Plan]:
        """Instructions of an award that are accepted or being delivered."""
        return [plan for plan in self.house.state.book.live() if plan.instruction_id in awarded.plans]

    # ------------------------------------------------------------------------------------ trade, capacity

    def room_w(self, cells: Cells, starts: Sequence[int]) -> tuple[list[int], list[int]]:
        """What of cells can be sold in each period, and bought back [W]: the latter at most what could have
        been held in any period before.
        """
        claims, able_w = self.claims(), self._able_w(cells, starts, 1)
        held_w = [0, *accumulate(able_w, max)][:-1]
        down_w = self._unsold_w(cells, starts, able_w, claims, 1)
        return down_w, self._unsold_w(cells, starts, held_w, claims, -1)

    def _hear_trade(self, trade: WholesaleTrade) -> None:
        ordered, span = self.book.orders.get(trade.order_id), (trade.start_ms, trade.end_ms)
        if trade.order_id in self.house.state.book.ledger.entries or (ordered is not None and ordered.closed):
            self.house.remark("duplicate_instruction", f"trade of order {trade.order_id} came again")
            return
        if ordered is not None and not trade.sold_mwh:
            ordered.closed = True
            self.house.remark("order_not_traded", f"order {trade.order_id}: {trade.reason}")
            return
        reason = "unknown_order" if ordered is None else trade_refusal(trade, ordered.order, self.now_ms)
        if ordered is None or reason:
            self._decline(Product.WHOLESALE, trade.order_id, trade.unit, span, (), reason)
            return
        ordered.closed, ordered.traded_mwh = True, trade.sold_mwh
        w = mean_w(trade.sold_mwh, *span)
        cells = self.book.units[trade.unit].cells
        claim = Claim(Product.WHOLESALE, trade.order_id, tuple(cells), _cut(*span, w), self.now_ms)
        position, earlier = self._position(claim)
        chosen, reason = self._take_cells(position, Stage.PLAN, ignored=earlier)
        if not chosen:
            self._decline(Product.WHOLESALE, trade.order_id, trade.unit, span, (w / 1e6,), reason)
            return
        self._follow(claim, trade.unit, chosen, span)
        self._notify(trade)

    def _position(self, trade: Claim) -> tuple[Claim, tuple[str, ...]]:
        """What a trade makes of its unit's position, which is judged whole, and the other trades and orders
        of the unit.
        """
        own = [each for each in self.claims() if each.product is Product.WHOLESALE and each.key != trade.key]
        own = [each for each in own if not set(each.cells).isdisjoint(trade.cells)]
        done = [each for each in own if each.key in self.house.state.book.plans]
        segments: list[Segment] = []
        for start_ms, w, end_ms, _ in trade.segments:
            down_w, up_w = sold_w(done, trade.cells, self.book.weights, start_ms, end_ms)
            net_w = w + down_w - up_w
            segments.append((start_ms, net_w, end_ms, net_w))
        return replace(trade, segments=tuple(segments)), tuple(each.key for each in own)

    def _notify(self, trade: WholesaleTrade) -> None:
        """Tell settlement of a deviation traded; too late is told to the journal, and is no notification."""
        if self.now_ms >= gate_closure_ms(trade.start_ms):
            self.house.remark("notification_too_late", f"trade {trade.order_id}: after Gate Closure")
            return
        said = WholesaleNotification(trade.unit, trade.start_ms, trade.end_ms, trade.sold_mwh)
        self.house.say("settlement", said)

    def _hear_notice(self, notice: CapacityNotice) -> None:
        known, name = self.book.notices.get(notice.notice_id), notice.notice_id
        if known is not None and _asks(known) == _asks(notice):
            self.house.remark("duplicate_instruction", f"notice {name} came again")
            return
        kind = notice_refusal(notice, self.now_ms)
        if kind:
            self.house.remark(kind, f"notice {name}")
            return
        self.book.notices[name] = notice
        for unit in self.book.of(Product.CAPACITY_MARKET):
            self._follow_notice(unit, notice)

    def _follow_notice(self, unit: EnrolledUnit, notice: CapacityNotice) -> None:
        """Load following by one unit; a notice that was amended takes the place of what it said before."""
        book, plain = self.house.state.book, f"{notice.notice_id}-{unit.name}"
        versions = [key for key in book.ledger.entries if key == plain or key.startswith(f"{plain}v")]
        for plan in [plan for plan in book.live() if plan.instruction_id in versions]:
            move(
                book.ledger.entries[plan.instruction_id],
                Step.SUPERSEDED,
                self.now_ms,
                "amended",
                self.house.say,
            )
        key = f"{plain}v{len(versions) + 1}" if versions else plain
        w, span = round(notice.load_following_share * unit.obliged_w), (notice.start_ms, notice.end_ms)
        claim = Claim(Product.CAPACITY_MARKET, key, tuple(unit.cells), _cut(*span, w), notice.issued_ms)
        cells, reason = self._take_cells(claim, Stage.DISPATCH)
        if not cells:
            self._decline(unit.product, key, unit.name, span, (w / 1e6,), reason)
            return
        self._follow(claim, unit.name, cells, span)

    # --------------------------------------------------------------------------- nominations and metering

    def _nominate_at_ms(self, unit: EnrolledUnit) -> int:
        """When the next day is to be nominated: at once for the first, else the day before."""
        if unit.product not in NOMINATED or unit.refused:
            return NEVER_MS
        if not unit.nominated:
            return self.now_ms
        day = date.fromordinal(unit.nominated)
        if unit.product is Product.WHOLESALE:
            return day_end_ms(day) - NOMINATE_BEFORE_MS
        return local_clock_ms(day, 12) - NOMINATE_BEFORE_MS

    def _nominate(self, unit: EnrolledUnit) -> None:
        """Say what a unit will import if it is not called, for the first day or the next."""
        last = unit.nominated
        day = date.fromordinal(last) + timedelta(days=1) if last else local_date(self.now_ms)
        unit.nominated = day.toordinal()
        state = self.house.state
        if state.portfolio is None:
            return
        group = state.portfolio.registry.unit(unit.cells)
        foreseen = [
            foresee(state.history, unit.cells, group, start_ms, self.house.assumed).mean_w
            for start_ms in _starts(day)
        ]
        wh = tuple(round(mean_w / 2) for mean_w in foreseen)
        said = ServiceNomination(unit.product.value, unit.name, day, wh)
        if unit.product is Product.WHOLESALE:
            self.house.say("settlement", said)  # a Submitted Expected Volume is no business of the exchange
        else:
            self._say_both(unit.product, said)

    def take_seconds(self, start_ms: int, series: I64) -> None:
        """Keep what each cell drew, minute by minute (cells, seconds), while an award asks for it."""
        book, end_ms = self.book, start_ms + 1000 * series.shape[1]
        wanted = [each for each in book.awards.values() if each.metered_ms < each.award.end_ms]
        oldest_ms = min((each.metered_ms for each in wanted), default=NEVER_MS)
        book.minutes = {at_ms: sums for at_ms, sums in book.minutes.items() if at_ms >= oldest_ms}
        if not any(each.award.start_ms < end_ms and start_ms < each.award.end_ms for each in wanted):
            return
        first = start_ms // MINUTE_MS * MINUTE_MS
        for minute_ms in range(first, end_ms, MINUTE_MS):
            low, high = max(minute_ms - start_ms, 0) // 1000, (minute_ms + MINUTE_MS - start_ms) // 1000
            sums = series[:, low:high].sum(axis=1)
            book.minutes[minute_ms] = book.minutes[minute_ms] + sums if minute_ms in book.minutes else sums

    def _meter_at_ms(self, awarded: Awarded) -> int:
        """When the next part of an award's metering can be submitted."""
        if awarded.metered_ms >= awarded.award.end_ms:
            return NEVER_MS
        return self._part_end_ms(awarded) + self.house.assumed.metering_behind_ms + MINUTE_MS

    def _part_end_ms(self, awarded: Awarded) -> int:
        award = awarded.award
        if Product(award.product) in BY_HALF_HOUR:
            return min(awarded.metered_ms + PERIOD_MS, award.end_ms)
        return award.end_ms

    def _submit_metering(self, awarded: Awarded) -> None:
        """Say what the unit drew, minute by minute, as far as it is known; nothing of what is off."""
        award, end_ms = awarded.award, self._part_end_ms(awarded)
        minutes = [
            at_ms for at_ms in range(awarded.metered_ms, end_ms, MINUTE_MS) if at_ms in self.book.minutes
        ]
        awarded.metered_ms = end_ms
        if awarded.ended or not minutes:
            return
        cells = self.book.units[award.unit].cells
        watts = tuple(round(int(self.book.minutes[at_ms][cells].sum()) / 60) for at_ms in minutes)
        self._say_both(Product(award.product), ServiceMetering(award.product, award.unit, minutes[0], watts))


def _starts(day: date) -> list[int]:
    """Where the settlement periods of a local day start [UTC ms]."""
    starts: list[int] = day_periods_ms(day)[:-1].tolist()
    return starts


def _price(own: float, ceiling: float | None) -> float:
    """The owner's price, at most the ceiling; 0 where none is asked for."""
    return 0.0 if ceiling is None else min(own, ceiling)


def _span(award: ServiceAward) -> tuple[int, int]:
    return award.start_ms, award.end_ms


def _asks(notice: CapacityNotice) -> tuple[int, int, float]:
    return notice.start_ms, notice.end_ms, notice.load_following_share


def _cut(start_ms: int, end_ms: int, w: int) -> tuple[Segment, ...]:
    """One level, cut at settlement periods' edges."""
    edges = [start_ms, *[at_ms for at_ms in periods_touched_ms(start_ms, end_ms) if at_ms > start_ms], end_ms]
    return tuple((from_ms, w, until_ms, w) for from_ms, until_ms in pairwise(edges))
