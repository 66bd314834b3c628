"""The Balancing Mechanism mock: notifications in, frozen at Gate Closure; numbered acceptances out, answers
in.

This owns the conversation of control room and BM Unit, and its ledger: what was sent, what was answered, what
binds. Profiles and merit order are `markets/control_room.py`, misbehaviour is `markets/faults.py`. Rules:
docs/markets.md B1-B13.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from markets.control_room import (
    Available,
    Bounds,
    acceptance_profile,
    departure_mw,
    level_after_mw,
    levels_in_force,
    merit_order,
    minutes_at_zero,
    offered_mw,
)
from markets.counterparty import AGGREGATOR, SETTLEMENT, Counterparty, Handler, earliest_ms
from markets.faults import AcceptanceSending, Temptation, sendings
from markets.settings import AcceptanceScript, BalancingSettings
from protocol.messages import (
    AcceptanceResponse,
    BidOfferAcceptance,
    BidOfferData,
    BidOfferPair,
    ExportLimits,
    Message,
    OperationalMetering,
    PhysicalNotification,
    Profile,
    SystemPrice,
    UnitDynamics,
)
from protocol.party import Envelope
from protocol.periods import (
    DAY_MS,
    MINUTE_MS,
    PERIOD_MS,
    gate_closure_ms,
    local_date,
    period_start_ms,
    periods_touched_ms,
)
from protocol.rulebook import Rulebook

UnitPeriod = tuple[str, int]
"""A BM Unit and the start of a settlement period [UTC ms]."""
UnitNumber = tuple[str, int]
"""A BM Unit and an acceptance number."""

METERING_COLUMNS = {"standard_2022": "standard_", "proposed_2022": "proposed_", "relaxed_2024": ""}
"""Which rules of the operational-metering rulebook belong to which choice."""


@dataclass(slots=True)
class AcceptanceRecord:
    """The ledger's entry for one acceptance number of one unit.

    `pending` waits for its answer; `standing` is what binds; `withdrawn` after a DEL. `steps`: (time [UTC
    ms], what happened), oldest first.
    """

    pending: BidOfferAcceptance | None = None
    standing: BidOfferAcceptance | None = None
    withdrawn: bool = False
    steps: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class MeteringCounts:
    """How a unit's operational metering arrived, in seconds of data; nothing else of it is kept.

    `missing`: never sent; `again`: sent before; `late`: older on arrival than the rule allows; `unchanged`:
    equal to the second before within one message. `last_late_ms`: when the newest late message came.
    """

    next_ms: int = 0
    received: int = 0
    missing: int = 0
    again: int = 0
    late: int = 0
    unchanged: int = 0
    last_late_ms: int = -DAY_MS


@dataclass(slots=True)
class BalancingState:
    """What was declared, sent and answered. `frozen`: FPN and pairs that have gone to settlement."""

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    waiting: list[AcceptanceSending] = field(default_factory=list)
    dynamics: dict[str, UnitDynamics] = field(default_factory=dict)
    limits: dict[str, list[ExportLimits]] = field(default_factory=dict)
    notified: dict[UnitPeriod, PhysicalNotification] = field(default_factory=dict)
    offered: dict[UnitPeriod, BidOfferData] = field(default_factory=dict)
    frozen: dict[UnitPeriod, bool] = field(default_factory=dict)
    next_closing_ms: int = 0
    scripted: list[AcceptanceScript] = field(default_factory=list)
    needs_met: int = 0
    next_number: int = 1
    ledger: dict[UnitNumber, AcceptanceRecord] = field(default_factory=dict)
    answer_by_ms: dict[UnitNumber, int] = field(default_factory=dict)
    metering: dict[str, MeteringCounts] = field(default_factory=dict)


class BalancingMarket(Counterparty[BalancingState]):
    """The ESO's control room and the systems around it."""

    def __init__(self, settings: BalancingSettings) -> None:
        first_open_ms = settings.start_ms + (settings.start_ms - gate_closure_ms(settings.start_ms))
        state = BalancingState(
            now_ms=settings.start_ms, next_closing_ms=first_open_ms, scripted=list(settings.acceptances)
        )
        super().__init__("balancing", state)
        self.settings = settings

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {
            UnitDynamics: self._take_dynamics,
            PhysicalNotification: self._take_notification,
            BidOfferData: self._take_offer,
            ExportLimits: self._take_limits,
            AcceptanceResponse: self._take_answer,
            OperationalMetering: self._take_metering,
            SystemPrice: self._hear_price,
        }

    def due_ms(self) -> int:
        return earliest_ms(
            [
                self._closing_due_ms(),
                self._need_due_ms(),
                *(self._script_due_ms(script) for script in self.state.scripted),
                *(sending.at_ms for sending in self.state.waiting),
                *self.state.answer_by_ms.values(),
            ]
        )

    def act(self) -> None:
        """Silence first (it binds), then gates, then new acceptances, then whatever is due to be sent."""
        now_ms = self.state.now_ms
        for key in [key for key, due_ms in self.state.answer_by_ms.items() if due_ms <= now_ms]:
            self._bind(key, "unanswered: binding")
        while self._closing_due_ms() <= now_ms:
            self._close_gate(self.state.next_closing_ms)
            self.state.next_closing_ms += PERIOD_MS
        while self._need_due_ms() <= now_ms:
            self._meet_need(self.state.needs_met)
            self.state.needs_met += 1
        while due := [script for script in self.state.scripted if self._script_due_ms(script) <= now_ms]:
            self.state.scripted = [script for script in self.state.scripted if script not in due]
            for script in due:
                self._issue_script(script)
        self._send_due()

    def _rules(self) -> Rulebook:
        return self.settings.rules.book("bm", local_date(self.state.now_ms))

    # ---------------------------------------------------------------------------------------- declarations

    def _unit_refusal(self, unit: str) -> str:
        return "" if unit in self.settings.units else "it is no BM Unit of this market"

    def _take_dynamics(self, dynamics: UnitDynamics) -> None:
        rates = (dynamics.run_up_mw_per_min, dynamics.run_down_mw_per_min)
        notices = (dynamics.notice_to_deliver_offer_min, dynamics.notice_to_deliver_bid_min)
        most = self._rules().value("notice_max_min")
        if reason := self._unit_refusal(dynamics.unit):
            self._refuse(dynamics, dynamics.unit, reason)
        elif not all(math.isfinite(rate) and rate > 0 for rate in rates):
            self._refuse(
                dynamics, dynamics.unit, f"run-up and run-down rates must be above 0 MW/min, not {rates}"
            )
        elif not all(0 <= notice <= most for notice in notices) or dynamics.minimum_zero_time_min < 0:
            self._refuse(
                dynamics, dynamics.unit, f"NTO and NTB must be 0 to {most} min, not {notices}; MZT at least 0"
            )
        else:
            self.state.dynamics[dynamics.unit] = dynamics

    def _take_limits(self, limits: ExportLimits) -> None:
        reason = self._unit_refusal(limits.unit) or _limits_refusal(limits)
        if reason:
            self._refuse(limits, limits.unit, reason)
        else:
            self.state.limits.setdefault(limits.unit, []).append(limits)

    def _take_notification(self, notification: PhysicalNotification) -> None:
        reason = self._gate_refusal(notification) or _profile_refusal(notification)
        if reason:
            self._refuse(notification, notification.unit, reason)
        else:
            self.state.notified[notification.unit, notification.start_ms] = notification

    def _take_offer(self, offer: BidOfferData) -> None:
        reason = self._gate_refusal(offer) or _pairs_refusal(offer.pairs, self._rules())
        if reason:
            self._refuse(offer, offer.unit, reason)
        else:
            self.state.offered[offer.unit, offer.start_ms] = offer

    def _gate_refusal(self, data: PhysicalNotification | BidOfferData) -> str:
        """Why data for a period comes too late, for no period or no unit; empty when it is in time."""
        if reason := self._unit_refusal(data.unit):
            return reason
        if data.start_ms % PERIOD_MS or data.end_ms - data.start_ms != PERIOD_MS:
            return f"{data.start_ms} to {data.end_ms} is no settlement period"
        if self.state.now_ms >= gate_closure_ms(data.start_ms):
            return f"the gate for the period from {data.start_ms} closed at {gate_closure_ms(data.start_ms)}"
        if (data.unit, data.start_ms) in self.state.frozen:
            return f"the period from {data.start_ms} is fixed: an acceptance reaches into it"
        return ""

    def _refuse(self, message: Message, unit: str, reason: str) -> None:
        self.remark("bm_data_refused", f"{type(message).__name__} of {unit}: {reason}")

    def _hear_price(self, price: SystemPrice) -> None:
        """The control room knows the system price and does nothing with it."""

    # ---------------------------------------------------------------------------------------- gate closure

    def _closing_due_ms(self) -> int:
        start_ms = self.state.next_closing_ms
        return earliest_ms([gate_closure_ms(start_ms)] if start_ms < self.settings.end_ms else [])

    def _close_gate(self, start_ms: int) -> None:
        """Fix FPN and pairs of every unit for one period; a unit without an FPN cannot be accepted in it."""
        for unit in self.state.dynamics:
            if (unit, start_ms) in self.state.notified:
                self._freeze((unit, start_ms))
            else:
                self.remark(
                    "no_fpn", f"{unit} notified nothing for the period from {start_ms}: it cannot be accepted"
                )
        self._forget_before(start_ms - DAY_MS)

    def _freeze(self, key: UnitPeriod) -> None:
        if key in self.state.frozen:
            return
        self.state.frozen[key] = True
        unit, start_ms = key
        no_pairs = BidOfferData(unit=unit, start_ms=start_ms, end_ms=start_ms + PERIOD_MS, pairs=())
        self.say(self.state.notified[key], SETTLEMENT)
        self.say(self.state.offered.get(key, no_pairs), SETTLEMENT)

    def _forget_before(self, before_ms: int) -> None:
        """Drop declarations for times before `before_ms`: settlement has them."""
        state = self.state
        state.notified = {key: item for key, item in state.notified.items() if key[1] >= before_ms}
        state.offered = {key: item for key, item in state.offered.items() if key[1] >= before_ms}
        state.frozen = {key: item for key, item in state.frozen.items() if key[1] >= before_ms}
        for unit, limits in self.state.limits.items():
            self.state.limits[unit] = [item for item in limits if item.end_ms >= before_ms]

    # ------------------------------------------------------------------------------------- what is accepted

    def _script_due_ms(self, script: AcceptanceScript) -> int:
        if script.issued_ms is not None:
            return script.issued_ms
        return script.start_ms - self._notice_ms(
            script.unit or self._largest_unit(script.start_ms), script.turn_down_mw
        )

    def _notice_ms(self, unit: str | None, turn_down_mw: float) -> int:
        """NTO of the unit for turning down (an offer), NTB for turning up, never below the market's notice
        [ms].
        """
        least = int(self._rules().value("instruction_notice_min"))
        dynamics = self.state.dynamics.get(unit or "")
        if dynamics is None:
            return least * MINUTE_MS
        own = dynamics.notice_to_deliver_offer_min if turn_down_mw > 0 else dynamics.notice_to_deliver_bid_min
        return max(least, own) * MINUTE_MS

    def _largest_unit(self, at_ms: int) -> str | None:
        """The unit with the largest demand in its FPN at a moment; None when no unit has notified it."""
        start_ms = period_start_ms(at_ms)
        known = [unit for unit in self.settings.units if (unit, start_ms) in self.state.notified]
        return min(known, key=lambda unit: level_after_mw(self._fpn((unit, start_ms)), at_ms), default=None)

    def _fpn(self, key: UnitPeriod) -> Profile:
        return self.state.notified[key].profile

    def _issue_script(self, script: AcceptanceScript) -> None:
        unit = script.unit or self._largest_unit(script.start_ms)
        if unit is None:
            self._not_issued("any unit", script.start_ms, "no unit has an FPN for it")
        else:
            self._issue(unit, script)

    def _need_due_ms(self) -> int:
        """When the control room decides about the next period of the need series: the longest notice before
        it.
        """
        need = self.settings.need
        if need is None or self.state.needs_met >= len(need.need_mw):
            return earliest_ms([])
        notices = [self._notice_ms(unit, sign) for unit in self.state.dynamics for sign in (1, -1)]
        return self._need_start_ms(self.state.needs_met) - max(notices, default=self._notice_ms(None, 1))

    def _need_start_ms(self, place: int) -> int:
        return self.settings.start_ms + place * PERIOD_MS

    def _meet_need(self, place: int) -> None:
        """Take the need of one period from the merit order of our pairs and the competitors' blocks."""
        need = self.settings.need
        need_mw = float(need.need_mw[place]) if need is not None else 0.0
        if need is None or not need_mw:
            return
        start_ms, sign = self._need_start_ms(place), 1 if need_mw > 0 else -1
        ours = {
            unit: self._available((unit, start_ms), sign)
            for unit in self.settings.units
            if unit in self.state.dynamics and (unit, start_ms) in self.state.notified
        }
        taken = merit_order(need_mw, ours, need.offers if sign > 0 else need.bids)
        for unit, mw in taken.items():
            if mw:
                self._issue(
                    unit, AcceptanceScript(unit, start_ms, start_ms + PERIOD_MS, sign * mw, None, None)
                )

    def _available(self, key: UnitPeriod, sign: int) -> Available:
        unit, start_ms = key
        levels = [point.level_mw for point in self._fpn(key)]
        mel_mw, mil_mw = levels_in_force(self.state.limits.get(unit, ()), start_ms, start_ms + PERIOD_MS)
        headroom_mw = mel_mw - max(levels) if sign > 0 else min(levels) - mil_mw
        offer = self.state.offered.get(key)
        return Available(offer.pairs if offer else (), max(0.0, headroom_mw))

    def _issue(self, unit: str, script: AcceptanceScript) -> None:
        """Work out a feasible profile for what is wanted and send it, misbehaving as planned.

        Clipped by rule: notice (a later start), FPN known so far (the rest is issued when its turn comes),
        width of the pairs, MEL and MIL, minimum zero time. Whatever is clipped is remarked on.
        """
        now_ms, dynamics = self.state.now_ms, self.state.dynamics.get(unit)
        if dynamics is None:
            self._not_issued(unit, script.start_ms, "the unit declared no dynamics")
            return
        earliest = -(-(now_ms + self._notice_ms(unit, script.turn_down_mw)) // MINUTE_MS) * MINUTE_MS
        start_ms = max(script.start_ms, earliest)
        end_ms = min(script.end_ms, self._notified_until_ms(unit, start_ms))
        if end_ms <= start_ms:
            self._not_issued(
                unit, script.start_ms, "nothing is left of it after notice, or there is no FPN for it"
            )
            return
        if end_ms < script.end_ms:
            self.state.scripted.append(replace(script, unit=unit, start_ms=end_ms, issued_ms=None))
        asked_mw = round(script.turn_down_mw)
        wanted_mw = self._within_pairs(unit, start_ms, end_ms, asked_mw)
        bounds = self._bounds(unit, dynamics, replace(script, start_ms=start_ms, end_ms=end_ms))
        fpn = self._joined_fpn(unit, start_ms, end_ms)
        profile = _respecting_zero_time(
            fpn, start_ms, end_ms, wanted_mw, bounds, dynamics.minimum_zero_time_min
        )
        if profile is None:
            self._not_issued(
                unit, start_ms, f"{asked_mw} MW is not possible within pairs, MEL, MIL and rates"
            )
            return
        self._remark_clipping(unit, script, start_ms, departure_mw(profile, fpn))
        self._freeze_all(unit, start_ms, end_ms)
        other = _other_profile(profile, fpn, wanted_mw, bounds)
        tempted = Temptation(other, bounds.mel_mw if wanted_mw > 0 else bounds.mil_mw)
        self._plan(
            BidOfferAcceptance(unit, self.state.next_number, now_ms, profile, False, "ORI"), tempted, script
        )

    def _not_issued(self, unit: str, start_ms: int, reason: str) -> None:
        self.remark("acceptance_not_issued", f"{unit} from {start_ms}: {reason}")

    def _notified_until_ms(self, unit: str, start_ms: int) -> int:
        """The end of the unbroken FPN from `start_ms` on; `start_ms` itself when there is none."""
        period_ms = period_start_ms(start_ms)
        while (unit, period_ms) in self.state.notified:
            period_ms += PERIOD_MS
        return max(start_ms, period_ms)

    def _joined_fpn(self, unit: str, start_ms: int, end_ms: int) -> Profile:
        touched = periods_touched_ms(start_ms, end_ms)
        return tuple(point for period in touched for point in self._fpn((unit, period)))

    def _freeze_all(self, unit: str, start_ms: int, end_ms: int) -> None:
        for period_ms in periods_touched_ms(start_ms, end_ms):
            self._freeze((unit, period_ms))

    def _within_pairs(self, unit: str, start_ms: int, end_ms: int, turn_down_mw: int) -> int:
        """The wanted change, no larger than what the pairs of every period reach [MW]."""
        offers = [self.state.offered.get((unit, period)) for period in periods_touched_ms(start_ms, end_ms)]
        reach = min(offered_mw(offer.pairs if offer else (), turn_down_mw > 0) for offer in offers)
        return int(math.copysign(min(abs(turn_down_mw), math.floor(reach)), turn_down_mw))

    def _bounds(self, unit: str, dynamics: UnitDynamics, script: AcceptanceScript) -> Bounds:
        mel_mw, mil_mw = levels_in_force(self.state.limits.get(unit, ()), script.start_ms, script.end_ms)
        slowest = abs(script.turn_down_mw) / script.ramp_minutes if script.ramp_minutes else math.inf
        up, down = dynamics.run_up_mw_per_min, dynamics.run_down_mw_per_min
        return Bounds(mel_mw, mil_mw, min(up, slowest), min(down, slowest))

    def _remark_clipping(self, unit: str, script: AcceptanceScript, start_ms: int, reached_mw: float) -> None:
        if start_ms > script.start_ms or abs(reached_mw) < abs(script.turn_down_mw):
            self.remark(
                "acceptance_clipped",
                f"{unit}: {script.turn_down_mw} MW from {script.start_ms} became "
                f"{reached_mw} MW from {start_ms}",
            )

    # --------------------------------------------------------------------------------- sending and answers

    def _plan(self, acceptance: BidOfferAcceptance, tempted: Temptation, script: AcceptanceScript) -> None:
        """Queue what is really sent for one acceptance."""
        period = (script.start_ms - self.settings.start_ms) // PERIOD_MS
        occasion = period * len(self.settings.units) + self.settings.units.index(acceptance.unit)
        planned = sendings(acceptance, tempted, self.settings.faults, occasion)
        self.state.next_number = 1 + max(sending.message.number for sending in planned)
        self.state.waiting = sorted([*self.state.waiting, *planned], key=lambda sending: sending.at_ms)

    def _send_due(self) -> None:
        due = [sending for sending in self.state.waiting if sending.at_ms <= self.state.now_ms]
        self.state.waiting = [sending for sending in self.state.waiting if sending.at_ms > self.state.now_ms]
        for sending in due:
            if sending.kind:
                self.remark(
                    f"fault_{sending.kind}",
                    f"acceptance {sending.message.number} of {sending.message.unit}",
                )
            self.say(sending.message, AGGREGATOR)
            self._enter(sending)

    def _enter(self, sending: AcceptanceSending) -> None:
        """Write a sent message into the ledger: an amendment outranks its original whichever was
        sent first.
        """
        acceptance = sending.message
        key = (acceptance.unit, acceptance.number)
        record = self.state.ledger.setdefault(key, AcceptanceRecord())
        record.steps.append((self.state.now_ms, f"sent {acceptance.amendment}"))
        if sending.kind == "duplicate" or record.withdrawn:
            return
        if acceptance.amendment == "DEL":
            self._withdraw(key, acceptance)
            return
        newest = record.pending or record.standing
        if acceptance.amendment == "UPD" or newest is None:
            record.pending = acceptance
        if record.pending is not None:
            minutes = int(self._rules().value("response_time_min_min"))
            self.state.answer_by_ms[key] = self.state.now_ms + minutes * MINUTE_MS

    def _withdraw(self, key: UnitNumber, acceptance: BidOfferAcceptance) -> None:
        """A DEL needs no answer; settlement is told when it knows of the acceptance."""
        record = self.state.ledger[key]
        record.withdrawn, record.pending = True, None
        self.state.answer_by_ms.pop(key, None)
        if record.standing is not None:
            record.standing = None
            self.say(acceptance, SETTLEMENT)

    def _take_answer(self, answer: AcceptanceResponse) -> None:
        key = (answer.unit, answer.number)
        record = self.state.ledger.get(key)
        if record is None:
            self.remark(
                "unknown_acceptance", f"{answer.unit} answered number {answer.number}, which was never sent"
            )
        elif record.pending is None:
            self.remark(
                "answer_ignored", f"{answer.unit} answered number {answer.number}, which was not open"
            )
        elif answer.accepted:
            self._bind(key, "accepted")
        else:
            record.pending = None
            del self.state.answer_by_ms[key]
            record.steps.append((self.state.now_ms, f"refused: {answer.reason}"))
            self.remark(
                "acceptance_refused", f"{answer.unit} refused number {answer.number}: {answer.reason}"
            )

    def _bind(self, key: UnitNumber, how: str) -> None:
        record = self.state.ledger[key]
        del self.state.answer_by_ms[key]
        if record.pending is not None:
            record.standing, record.pending = record.pending, None
            record.steps.append((self.state.now_ms, how))
            self.say(record.standing, SETTLEMENT)

    # -------------------------------------------------------------------------------- operational metering

    def _take_metering(self, metering: OperationalMetering) -> None:
        """Count seconds missing, repeated, late and unchanged; the values themselves are not kept."""
        if metering.import_w.ndim != 2 or len(metering.import_w) != len(metering.unit_names):
            self._refuse(
                metering,
                "all units",
                f"import_w is {metering.import_w.shape} for {len(metering.unit_names)} units",
            )
            return
        behind_ms, allowed_ms = self._behind_ms(metering), self._allowed_behind_ms()
        for unit, import_w in zip(metering.unit_names, metering.import_w, strict=True):
            counts = self.state.metering.setdefault(unit, MeteringCounts(next_ms=metering.start_ms))
            missing = _count_seconds(counts, metering.start_ms, import_w)
            if missing:
                self.remark("metering_gap", f"{unit}: {missing} s before {metering.start_ms} were never sent")
            if behind_ms > allowed_ms:
                counts.late += len(import_w)
                self._remark_late(unit, counts, behind_ms, allowed_ms)

    def _remark_late(self, unit: str, counts: MeteringCounts, behind_ms: int, allowed_ms: int) -> None:
        """Say that a unit's metering is late, once per episode: it ends when a period had nothing late."""
        if self.state.now_ms - counts.last_late_ms > PERIOD_MS:
            told = (
                f"{unit}: its metering is {behind_ms / 1000:g} s behind, allowed are {allowed_ms / 1000:g} s"
            )
            self.remark("metering_late", f"{told}; told once until it is on time again")
        counts.last_late_ms = self.state.now_ms

    def _behind_ms(self, metering: OperationalMetering) -> int:
        """How old the newest second of a message is on arrival [ms].

        It tells for all seconds of the message, which gathers what the wire would carry one by one.
        """
        newest_ms: int = metering.start_ms + 1000 * (metering.import_w.shape[1] - 1)
        return self.state.now_ms - newest_ms

    def _allowed_behind_ms(self) -> int:
        """Read interval plus latency of the rules chosen [ms]."""
        rules = self.settings.rules.book("operational_metering", local_date(self.state.now_ms))
        column = METERING_COLUMNS[self.settings.operational_metering]
        allowed_s: float = rules.value(f"{column}read_interval_s") + rules.value(f"{column}latency_s")
        return round(1000 * allowed_s)


def _count_seconds(
    counts: MeteringCounts, start_ms: int, import_w: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> int:
    """Add one message of one unit to its counts; gives back how many seconds before it are missing."""
    seconds = len(import_w)
    gap_s = (start_ms - counts.next_ms) // 1000
    counts.received += seconds
    counts.missing += max(0, gap_s)
    counts.again += min(max(0, -gap_s), seconds)
    counts.unchanged += int(np.count_nonzero(np.diff(import_w) == 0))
    counts.next_ms = max(counts.next_ms, start_ms + seconds * 1000)
    return max(0, gap_s)


def _limits_refusal(limits: ExportLimits) -> str:
    levels = (limits.mel_mw, limits.mil_mw)
    in_order = limits.mil_mw <= limits.mel_mw and limits.start_ms < limits.end_ms
    if all(map(math.isfinite, levels)) and in_order:
        return ""
    return f"MEL and MIL {levels} must be numbers, MIL not above MEL, the end after the start"


def _profile_refusal(notification: PhysicalNotification) -> str:
    """Why a profile is no FPN: it must cover its period with whole MW at corners in order; empty when it is
    one.
    """
    profile = notification.profile
    if len(profile) < 2 or (profile[0].at_ms, profile[-1].at_ms) != (
        notification.start_ms,
        notification.end_ms,
    ):
        return "its profile must reach from the start to the end of the period"
    if any(after.at_ms < before.at_ms for before, after in pairwise(profile)):
        return "its corners must be in order of time"
    if not all(float(point.level_mw).is_integer() for point in profile):
        return "its levels must be whole MW"
    return ""


def _pairs_refusal(pairs: tuple[BidOfferPair, ...], rules: Rulebook) -> str:
    """Why pairs cannot stand, by the rulebook; empty when they can."""
    for sign in (1, -1):
        side = sorted((pair for pair in pairs if pair.number * sign > 0), key=lambda pair: abs(pair.number))
        if [abs(pair.number) for pair in side] != list(range(1, len(side) + 1)):
            return f"pairs must be numbered without gaps from {sign:+d} outwards"
        if len(side) > rules.value("max_pairs_per_side"):
            return f"at most {rules.value('max_pairs_per_side')} pairs are allowed on a side"
        if rules.value("monotone_prices") and any(_steps_back(*both, sign) for both in pairwise(side)):
            return f"prices must not get better outwards ({rules.rule('monotone_prices').clause})"
    if any(pair.number == 0 for pair in pairs):
        return "there is no pair 0"
    numbers = [
        number for pair in pairs for number in (pair.width_mw, pair.offer_gbp_per_mwh, pair.bid_gbp_per_mwh)
    ]
    if not all(map(math.isfinite, numbers)) or any(pair.width_mw <= 0 for pair in pairs):
        return "widths must be above 0 MW and prices numbers"
    if rules.value("bid_not_above_offer") and any(
        pair.bid_gbp_per_mwh > pair.offer_gbp_per_mwh for pair in pairs
    ):
        return f"a bid price lies above its offer price ({rules.rule('bid_not_above_offer').clause})"
    return ""


def _steps_back(inner: BidOfferPair, outer: BidOfferPair, sign: int) -> bool:
    """Whether the outer pair of two neighbours is the better deal for the ESO, which would never take the
    inner first.
    """
    if sign > 0:
        return outer.offer_gbp_per_mwh < inner.offer_gbp_per_mwh
    return outer.bid_gbp_per_mwh > inner.bid_gbp_per_mwh


def _respecting_zero_time(
    fpn: Profile, start_ms: int, end_ms: int, turn_down_mw: int, bounds: Bounds, zero_time_min: int
) -> Profile | None:
    """The profile; one MW short of zero where it would stay at zero for less than the minimum zero time."""
    profile = acceptance_profile(fpn, start_ms, end_ms, turn_down_mw, bounds)
    if profile is None:
        return None
    stay_min = minutes_at_zero(profile)
    if stay_min is None or stay_min >= zero_time_min:
        return profile
    short = (
        replace(bounds, mel_mw=min(bounds.mel_mw, -1.0))
        if turn_down_mw > 0
        else replace(bounds, mil_mw=max(bounds.mil_mw, 1.0))
    )
    return acceptance_profile(fpn, start_ms, end_ms, turn_down_mw, short)


def _other_profile(profile: Profile, fpn: Profile, turn_down_mw: int, bounds: Bounds) -> Profile:
    """Another feasible profile for the same time: half the change, or half the time where that is
    below 1 MW.
    """
    start_ms, end_ms = profile[0].at_ms, profile[-1].at_ms
    half_mw = int(turn_down_mw / 2)
    if half_mw == 0:
        half_mw, end_ms = turn_down_mw, start_ms + (end_ms - start_ms) // (2 * MINUTE_MS) * MINUTE_MS
    return acceptance_profile(fpn, start_ms, end_ms, half_mw, bounds) or profile
