"""The capacity market mock: admits units (prequalification), gives notices, counts days of performance.

This owns who is admitted with which obligation and when notices are told. What is owed and paid for it is
`markets/capacity_lines.py`, with which settlement states its lines; sizes, notice and factors come from the
rulebooks `capacity_market` and `eligibility` of the first day. What binds is told to settlement as it is,
whatever the aggregator hears. Hard cases: docs/markets.md C1-C9.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from markets.capacity_lines import CAPACITY, obligation_mw, performance_days
from markets.capacity_settings import CapacityNoticeScript, CapacitySettings
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
from markets.faults import DUPLICATE_AFTER_MS, LATE_BY_MS, Sending
from markets.settings import FaultPlan
from protocol.messages import (
    I32,
    AssetRegistration,
    CapacityNotice,
    DeliveredVolume,
    Message,
    Remark,
    ServiceCancellation,
    ServiceUnit,
    ServiceUnitAnswer,
)
from protocol.party import NEVER_MS, Envelope
from protocol.periods import MINUTE_MS, PERIOD_MS, local_date, period_start_ms
from protocol.rulebook import Rulebook, RuleError
from protocol.units import W_PER_MW, WH_PER_MWH

NAME = "capacity_market"
NATIONAL = "national"
NO_REASON = ""
ONE_AGREEMENT = "one capacity agreement per component"
"""From memory of the Capacity Market Rules: unverified."""
_GRAIN_MW = 1e-9
"""The grain of adding up floats."""


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """A unit that was admitted: what it is made of, and what it is obliged to."""

    rows: I32
    obligation_mw: float


@dataclass(slots=True)
class NoticeBook:
    """How far a notice has come."""

    issued: bool = False
    withdrawn: bool = False


@dataclass(slots=True)
class CapacityState:
    """Agreements, units that were refused, notices, and each unit's best delivery of each day [MW]."""

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    waiting: list[Postponed] = field(default_factory=list)
    assets: AssetRegistration | None = None
    agreements: dict[str, Agreement] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    notices: dict[str, NoticeBook] = field(default_factory=dict)
    best_mw: dict[str, dict[date, float]] = field(default_factory=dict)


class CapacityMarket(Counterparty[CapacityState]):
    """Admits units, and tells the scripted notices. Their ids are unlike."""

    def __init__(self, settings: CapacitySettings) -> None:
        super().__init__(NAME, CapacityState(now_ms=settings.start_ms))
        self.settings = settings
        self._scripts = {script.notice_id: script for script in settings.notices}
        self._occasions = {script.notice_id: place for place, script in enumerate(settings.notices)}
        self.state.notices = {name: NoticeBook() for name in self._scripts}

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {
            AssetRegistration: self._take_assets,
            ServiceUnit: self._prequalify,
            DeliveredVolume: self._take_delivery,
        }

    def due_ms(self) -> int:
        return earliest_ms(
            [
                *(item.at_ms for item in self.state.waiting),
                *(self._notice_due_ms(name) for name in self._scripts),
            ]
        )

    def act(self) -> None:
        """Give and withdraw the notices that are due, in the order given."""
        for name, script in self._scripts.items():
            book = self.state.notices[name]
            if not book.issued and script.issued_ms <= self.state.now_ms:
                self._issue(script, book)
            if book.issued and not book.withdrawn and withdrawn_ms(script) <= self.state.now_ms:
                self._withdraw(script, book)
        self.state.outbox += release(self.state.waiting, self.state.now_ms)

    # -------------------------------------------------------------------------------------- prequalification

    def _take_assets(self, assets: AssetRegistration) -> None:
        self.state.assets = assets

    def _prequalify(self, unit: ServiceUnit) -> None:
        """Answer a unit once; the same unit again is remarked on and nothing else."""
        if unit.unit in self.state.agreements or unit.unit in self.state.refused:
            self.remark("capacity_unit_told_twice", f"unit {unit.unit} has its answer: ignored")
            return
        assets = self.state.assets
        reason = "its components are not registered" if assets is None else self._refusal(unit, assets)
        if assets is None or reason:
            self.state.refused[unit.unit] = reason
            self.remark("capacity_unit_refused", f"unit {unit.unit}: {reason}")
        else:
            self._admit(unit, assets)
        agreed = self.state.agreements.get(unit.unit)
        obliged_mw = None if agreed is None else agreed.obligation_mw
        answer = ServiceUnitAnswer(unit.product, unit.unit, not reason, reason, obliged_mw)
        self.say(answer, AGGREGATOR, SETTLEMENT)

    def _admit(self, unit: ServiceUnit, assets: AssetRegistration) -> None:
        obliged_mw = obligation_mw(unit, assets, self._book("capacity_market"))
        self.state.agreements[unit.unit] = Agreement(unit.rows, obliged_mw)
        words = f"unit {unit.unit}: {obliged_mw} MW obliged of {unit.capacity_mw} MW entered"
        self.remark("capacity_agreement", words)

    def _refusal(self, unit: ServiceUnit, assets: AssetRegistration) -> str:
        """Why a unit is not admitted, with the clause; empty when it is."""
        if unit.product != CAPACITY:
            return f"this is no market for {unit.product}"
        if unit.place != NATIONAL:
            return f"its place is {NATIONAL!r}, not {unit.place!r}"
        try:
            return (
                self._component_refusal(unit, assets)
                or self._metering_refusal(unit, assets)
                or self._size_refusal(unit, assets)
            )
        except RuleError as error:
            return f"no capacity agreement on this day: {error}"

    def _component_refusal(self, unit: ServiceUnit, assets: AssetRegistration) -> str:
        """Whether its components are registered, and in no other unit."""
        if not len(unit.rows) or int(unit.rows.max()) >= len(assets.home):
            return "its components are not registered"
        for name, agreement in self.state.agreements.items():
            shared = np.intersect1d(agreement.rows, unit.rows)
            if len(shared):
                return (
                    f"{len(shared)} of its components, such as {shared[0]}, are in {name} ({ONE_AGREEMENT})"
                )
        return NO_REASON

    def _metering_refusal(self, unit: ServiceUnit, assets: AssetRegistration) -> str:
        """The metering test: with asset meters allowed every asset has its own, else its home's counts."""
        level = self._book("eligibility").rule("capacity_market_metering_level")
        if level.value != "boundary":
            return NO_REASON
        wanted = self._book("capacity_market").rule("metering_test_pct")
        metered_pct = 100 * float(assets.hh_metered[unit.rows].mean())
        if metered_pct >= wanted.value:
            return NO_REASON
        return f"{metered_pct:.4g} % of its components pass, {wanted.value} % are needed ({wanted.clause})"

    def _size_refusal(self, unit: ServiceUnit, assets: AssetRegistration) -> str:
        """Whether it is large enough, no larger than its components, and worth anything once de-rated."""
        least = self._book("eligibility").rule("capacity_market_min_unit_mw")
        if unit.capacity_mw < least.value - _GRAIN_MW:
            return f"{unit.capacity_mw} MW is less than {least.value} MW ({least.clause})"
        most_mw = int(assets.rating_w[unit.rows].sum(dtype=np.int64)) / W_PER_MW
        if unit.capacity_mw > most_mw + _GRAIN_MW:
            return f"{unit.capacity_mw} MW is more than its components' {most_mw} MW"
        rules = self._book("capacity_market")
        rules.rule("clearing_price_gbp_per_kw_year")
        return NO_REASON if obligation_mw(unit, assets, rules) > 0 else "nothing is left of it once de-rated"

    def _book(self, name: str) -> Rulebook:
        """The rules of the first day, under which agreements are made."""
        return self.settings.rules.book(name, local_date(self.settings.start_ms))

    # ----------------------------------------------------------------------------------------------- notices

    def _notice_due_ms(self, name: str) -> int:
        book, script = self.state.notices[name], self._scripts[name]
        if not book.issued:
            return script.issued_ms
        return NEVER_MS if book.withdrawn else withdrawn_ms(script)

    def _issue(self, script: CapacityNoticeScript, book: NoticeBook) -> None:
        book.issued = True
        notice = notice_of(script, script.end_ms)
        self._remark_short(notice)
        self.say(notice, SETTLEMENT)
        self._tell(notice_sendings(notice, self.settings.faults, self._occasions[script.notice_id]))

    def _remark_short(self, notice: CapacityNotice) -> None:
        """Say how long a notice binds nobody that came with too little time to its start (R160)."""
        rule = self.settings.rules.book("capacity_market", local_date(notice.start_ms)).rule("notice_min")
        binds_ms = notice.issued_ms + rule.value * MINUTE_MS
        if binds_ms > notice.start_ms:
            late_min = (binds_ms - notice.start_ms) // MINUTE_MS
            words = f"{notice.notice_id}: nobody is bound in its first {late_min} minutes ({rule.clause})"
            self.remark("capacity_notice_short", words)

    def _withdraw(self, script: CapacityNoticeScript, book: NoticeBook) -> None:
        """Take a notice back: before its start as if it had not been, else from the next period on."""
        book.withdrawn = True
        self.remark("capacity_notice_withdrawn", script.notice_id)
        if self.state.now_ms <= script.start_ms:
            taken_back = ServiceCancellation(CAPACITY, script.notice_id, "stress is no longer foreseen")
            self.say(taken_back, AGGREGATOR, SETTLEMENT)
        elif (lifted_ms := period_start_ms(self.state.now_ms) + PERIOD_MS) < script.end_ms:
            self.say(notice_of(script, lifted_ms), AGGREGATOR, SETTLEMENT)

    def _tell(self, sent: tuple[Sending[Message], ...]) -> None:
        """Say to the aggregator what is said now, and keep the rest for its time; faults are remarked on."""
        for sending in sent:
            if sending.kind:
                remark = Remark(sending.at_ms, self.name, f"fault_{sending.kind}", "a capacity notice")
                postpone(self.state.waiting, sending.at_ms, remark, JOURNAL)
            postpone(self.state.waiting, sending.at_ms, sending.message, AGGREGATOR)

    # ------------------------------------------------------------------------------------------- performance

    def _take_delivery(self, volume: DeliveredVolume) -> None:
        """Note a unit's best half-hour of the day; a day on which it showed its obligation is told."""
        agreement = self.state.agreements.get(volume.unit)
        if volume.service != CAPACITY or agreement is None:
            self.remark("unknown_delivery", f"{volume.unit} has no capacity agreement: ignored")
            return
        day = local_date(volume.start_ms)
        best_mw = self.state.best_mw.setdefault(volume.unit, {})
        rules = self.settings.rules.book("capacity_market", day)
        before, _ = performance_days(best_mw, agreement.obligation_mw, rules)
        best_mw[day] = max(best_mw.get(day, 0.0), _mean_mw(volume))
        shown, enough = performance_days(best_mw, agreement.obligation_mw, rules)
        if len(shown) > len(before):
            wanted = rules.rule("satisfactory_performance_days")
            words = f"{volume.unit} has shown its obligation on {len(shown)} of {wanted.value} days"
            self.remark("satisfactory_performance" if enough else "performance_shown", words)


def withdrawn_ms(script: CapacityNoticeScript) -> int:
    """When a notice is taken back [UTC ms]; `NEVER_MS` where it stands to its end."""
    return NEVER_MS if script.withdrawn_ms is None else script.withdrawn_ms


def notice_of(script: CapacityNoticeScript, end_ms: int) -> CapacityNotice:
    """The notice as it is told, ending when it is expected to or when it was lifted."""
    return CapacityNotice(
        notice_id=script.notice_id,
        issued_ms=script.issued_ms,
        start_ms=script.start_ms,
        end_ms=end_ms,
        load_following_share=script.load_following_share,
        stressed=script.stressed,
    )


def notice_sendings(notice: CapacityNotice, plan: FaultPlan, occasion: int) -> tuple[Sending[Message], ...]:
    """What the aggregator is told of a notice: possibly late, twice or impossible (over before it starts)."""
    at_ms, told, kind = notice.issued_ms, notice, ""
    if plan.lot(occasion, "impossible") is not None:
        told, kind = replace(told, start_ms=notice.end_ms, end_ms=notice.start_ms), "impossible"
    if (lot := plan.lot(occasion, "late")) is not None:
        at_ms, kind = (notice.start_ms if lot < 0.5 else notice.end_ms) + LATE_BY_MS, "late"
    sent: list[Sending[Message]] = [Sending(at_ms, told, kind)]
    if (lot := plan.lot(occasion, "duplicate")) is not None:
        over_ms = notice.end_ms if lot >= 0.5 else 0
        sent.append(Sending(max(at_ms, over_ms) + DUPLICATE_AFTER_MS, told, "duplicate"))
    return tuple(sent)


def _mean_mw(volume: DeliveredVolume) -> float:
    """Mean power turned down in a period [MW]."""
    hours = (volume.end_ms - volume.start_ms) / PERIOD_MS / 2
    return volume.delivered_wh / WH_PER_MWH / hours
