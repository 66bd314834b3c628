"""The party that writes down what it hears: one page per table, one row per thing told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from protocol.messages import (
    AcceptanceResponse,
    BidOfferAcceptance,
    Complaints,
    DeliveredVolume,
    DeliveryBelief,
    DfsBid,
    DfsCancellation,
    DfsParticipants,
    DfsRequirement,
    DfsResult,
    InstructionStep,
    Message,
    PhysicalNotification,
    Profile,
    Remark,
    ServiceAward,
    ServiceDispatch,
    SettlementRunMade,
    Statement,
    SupplierSettled,
    WholesaleTrade,
)
from protocol.party import NEVER_MS, Envelope
from protocol.periods import PERIOD_MS
from sim.run_folder import NONE
from sim.service_talk import SERVICE_TALK, Told, binding, each_of, told_of
from sim.tables import TABLES


@dataclass(slots=True)
class Page:
    """Rows of one table, in the order in which they were told."""

    table: str
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def columns(self) -> dict[str, tuple[Any, ...]]:
        """The same, by column."""
        names = [column.name for column in TABLES[self.table].columns]
        return dict(zip(names, zip(*self.rows, strict=True), strict=True))


@dataclass(slots=True)
class JournalState:
    """Everything heard so far."""

    instructions: Page = field(default_factory=lambda: Page("instructions"))
    beliefs: Page = field(default_factory=lambda: Page("beliefs"))
    settlement: Page = field(default_factory=lambda: Page("settlement"))
    settled_volumes: Page = field(default_factory=lambda: Page("settled_volumes"))
    settlement_runs: Page = field(default_factory=lambda: Page("settlement_runs"))
    supplier_positions: Page = field(default_factory=lambda: Page("supplier_positions"))
    events: Page = field(default_factory=lambda: Page("events"))
    participation: Page = field(default_factory=lambda: Page("participation"))
    complaints: Page = field(default_factory=lambda: Page("complaints"))
    market_levels: Page = field(default_factory=lambda: Page("market_levels"))


class Journal:
    """Hears what the parties want to have written down. It never speaks and never wakes."""

    def __init__(self, name: str = "journal") -> None:
        self.name = name
        self.state = JournalState()
        self._writers: dict[type[Message], Callable[[Any, int], None]] = {
            InstructionStep: self._instruction_step,
            DeliveryBelief: self._delivery_belief,
            Statement: self._statement,
            DeliveredVolume: self._delivered_volume,
            SettlementRunMade: self._settlement_run,
            SupplierSettled: self._supplier_settled,
            Remark: self._remark,
            DfsRequirement: self._dfs_requirement,
            DfsBid: self._dfs_bid,
            DfsResult: self._dfs_result,
            DfsCancellation: self._dfs_cancellation,
            BidOfferAcceptance: self._acceptance,
            AcceptanceResponse: self._acceptance_response,
            PhysicalNotification: self._notification,
            DfsParticipants: self._participants,
            Complaints: self._complaints,
            **dict.fromkeys(SERVICE_TALK, self._service_talk),
        }

    @property
    def pages(self) -> tuple[Page, ...]:
        """All pages, for the recorder."""
        state = self.state
        return (
            state.instructions,
            state.beliefs,
            state.settlement,
            state.settled_volumes,
            state.settlement_runs,
            state.supplier_positions,
            state.events,
            state.participation,
            state.complaints,
            state.market_levels,
        )

    def hears(self, message: Message) -> bool:
        """Whether there is a page for such a message."""
        return type(message) in self._writers

    def receive(self, message: Message, now_ms: int) -> None:
        """Write it down. Raises TypeError for a message that has no page."""
        if type(message) not in self._writers:
            raise TypeError(f"the journal has no page for a {type(message).__name__}")
        self._writers[type(message)](message, now_ms)

    def next_deadline_ms(self) -> int:
        return NEVER_MS

    def on_deadline(self, now_ms: int) -> None:
        raise AssertionError(f"the journal asked for no deadline, and was woken at {now_ms}")

    def take_outbox(self) -> list[Envelope]:
        return []

    def _instruction_step(self, step: InstructionStep, _: int) -> None:
        rows = self.state.instructions.rows
        rows.append(
            (
                len(rows),
                step.at_ms,
                step.instruction_id,
                service_of(step.service),
                step.unit,
                step.stage,
                step.reason,
                step.start_ms,
                step.end_ms,
                step.turn_down_w,
            )
        )

    def _delivery_belief(self, belief: DeliveryBelief, _: int) -> None:
        self.state.beliefs.rows.append(
            (
                belief.at_ms,
                belief.instruction_id,
                belief.unit,
                belief.instructed_turn_down_w,
                belief.believed_turn_down_w,
            )
        )

    def _statement(self, statement: Statement, now_ms: int) -> None:
        rows = self.state.settlement.rows
        for line in statement.lines:
            rows.append(
                (
                    len(rows),
                    now_ms,
                    line.settlement_run,
                    service_of(line.service),
                    line.unit,
                    line.reference,
                    line.start_ms,
                    line.item,
                    line.volume_mwh,
                    line.price_gbp_per_mwh,
                    line.amount_gbp_e5,
                    line.payer,
                    line.payee,
                    line.clause,
                )
            )

    def _delivered_volume(self, volume: DeliveredVolume, now_ms: int) -> None:
        rows = self.state.settled_volumes.rows
        rows.append(
            (
                len(rows),
                now_ms,
                service_of(volume.service),
                volume.unit,
                volume.reference,
                volume.start_ms,
                volume.end_ms,
                volume.baseline_wh,
                volume.metered_wh,
                volume.delivered_wh,
                volume.accepted_wh,
                volume.homes,
                volume.homes_missing,
            )
        )

    def _settlement_run(self, made: SettlementRunMade, _: int) -> None:
        self.state.settlement_runs.rows.append(
            (
                made.day.isoformat(),
                made.settlement_run,
                made.published_ms,
                made.meters,
                made.meters_on_actuals,
                made.meters_on_own_history,
                made.meters_on_class_profile,
                made.meters_unknown,
                made.metered_wh,
                made.actual_wh,
                made.change_gbp_e5,
                made.total_gbp_e5,
            )
        )

    def _supplier_settled(self, told: SupplierSettled, now_ms: int) -> None:
        rows = self.state.supplier_positions.rows
        rows.append(
            (
                len(rows),
                now_ms,
                told.settlement_run,
                told.supplier,
                told.unit,
                told.start_ms,
                told.deviation_wh,
                told.compensation_gbp_e5,
                told.rebound_wh,
                told.imbalance_gbp_e5,
            )
        )

    def _remark(self, remark: Remark, _: int) -> None:
        self._event(remark.at_ms, remark.kind, remark.who, "", remark.detail)

    def _dfs_requirement(self, need: DfsRequirement, now_ms: int) -> None:
        price = need.guaranteed_price_gbp_per_mwh
        guaranteed = "" if price is None else f", guaranteed {price:g} GBP/MWh"
        test = ", a test" if need.test else ""
        way = "more" if need.turn_down_mw < 0 else "less"
        zones = f" in {', '.join(need.zones)}" if need.zones else ""
        detail = f"{abs(need.turn_down_mw):g} MW {way}{zones}{guaranteed}{test}"
        self._event(now_ms, "dfs_requirement", "dfs", need.event_id, detail)

    def _dfs_bid(self, bid: DfsBid, now_ms: int) -> None:
        detail = f"{bid.unit}: {each_of(bid.turn_down_mw)} MW at {bid.price_gbp_per_mwh:g} GBP/MWh"
        self._event(now_ms, "dfs_bid", "aggregator", bid.event_id, detail)
        at_ms = (NONE,) * len(bid.turn_down_mw)
        heading = (now_ms, "dfs", bid.unit, bid.event_id, "bid", bid.bid_id)
        self._levels(heading, at_ms, bid.turn_down_mw, bid.price_gbp_per_mwh)

    def _dfs_result(self, result: DfsResult, now_ms: int) -> None:
        verdict = "accepted" if result.accepted else f"refused: {result.reason}"
        offer = f"{each_of(result.turn_down_mw)} MW at {result.price_gbp_per_mwh:g} GBP/MWh"
        self._event(now_ms, "dfs_result", "dfs", result.event_id, f"{result.unit}: {offer} {verdict}")
        self._result_levels(result, "accepted" if result.accepted else "refused", now_ms)

    def _result_levels(self, result: DfsResult, what: str, now_ms: int) -> None:
        at_ms = tuple(result.start_ms + place * PERIOD_MS for place in range(len(result.turn_down_mw)))
        heading = (now_ms, "dfs", result.unit, result.event_id, what, result.bid_id)
        self._levels(heading, at_ms, result.turn_down_mw, result.price_gbp_per_mwh)

    def _dfs_cancellation(self, cancellation: DfsCancellation, now_ms: int) -> None:
        self._event(now_ms, "dfs_cancellation", "dfs", cancellation.event_id, cancellation.reason)

    def _acceptance(self, acceptance: BidOfferAcceptance, now_ms: int) -> None:
        levels = ", ".join(f"{point.level_mw:g}" for point in acceptance.profile)
        detail = f"{acceptance.amendment}: levels {levels} MW"
        self._event(now_ms, "acceptance", "balancing", f"{acceptance.unit}/{acceptance.number}", detail)

        self._profile(now_ms, acceptance, acceptance.amendment)

    def bind(self, message: Message, now_ms: int) -> None:
        """Write down what settlement was told of an acceptance, an award or a trade: only that is settled."""
        if isinstance(message, DfsResult):
            self._result_levels(message, "binding" if message.accepted else "unbound", now_ms)
        elif isinstance(message, ServiceAward | ServiceDispatch | WholesaleTrade):
            told = binding(message)
            heading = (now_ms, told.service, told.unit, told.reference, told.what, told.telling)
            self._levels(heading, told.at_ms, told.level_mw, told.price_gbp_per_mwh)
        elif isinstance(message, BidOfferAcceptance):
            self._profile(now_ms, message, "unbound" if message.amendment == "DEL" else "binding")

    def _service_talk(self, message: Message, now_ms: int) -> None:
        self._tell(told_of(message), now_ms)

    def _tell(self, told: Told, now_ms: int) -> None:
        self._event(now_ms, told.kind, told.who, told.reference, told.detail)
        heading = (now_ms, told.service, told.unit, told.reference, told.what, told.telling)
        self._levels(heading, told.at_ms, told.level_mw, told.price_gbp_per_mwh)

    def _profile(self, now_ms: int, acceptance: BidOfferAcceptance, what: str) -> None:
        number = str(acceptance.number)
        told = f"{number} {acceptance.accepted_ms}"
        self._corners((now_ms, "balancing", acceptance.unit, number, what, told), acceptance.profile)

    def _notification(self, notified: PhysicalNotification, now_ms: int) -> None:
        heading = (now_ms, "balancing", notified.unit, "", "fpn", str(notified.start_ms))
        self._corners(heading, notified.profile)

    def _corners(self, heading: tuple[int, str, str, str, str, str], profile: Profile) -> None:
        at_ms, level_mw = zip(*((point.at_ms, point.level_mw) for point in profile), strict=True)
        self._levels(heading, at_ms, level_mw, math.nan)

    def _levels(
        self,
        heading: tuple[int, str, str, str, str, str],
        at_ms: tuple[int, ...],
        level_mw: tuple[float, ...],
        price_gbp_per_mwh: float,
    ) -> None:
        """`heading`: heard at, service, unit, reference, what, telling."""
        rows = self.state.market_levels.rows
        for place, (point_ms, mw) in enumerate(zip(at_ms, level_mw, strict=True)):
            rows.append((len(rows), *heading, place, point_ms, mw, price_gbp_per_mwh))

    def _acceptance_response(self, response: AcceptanceResponse, now_ms: int) -> None:
        verdict = "accepted" if response.accepted else f"declined: {response.reason}"
        self._event(
            now_ms, "acceptance_response", "aggregator", f"{response.unit}/{response.number}", verdict
        )

    def _participants(self, told: DfsParticipants, _: int) -> None:
        self.state.participation.rows.append(
            (told.at_ms, told.event_id, told.unit, told.asked, len(told.homes), told.opted_out)
        )

    def _complaints(self, told: Complaints, _: int) -> None:
        self.state.complaints.rows += list(
            zip(told.event_ms.tolist(), told.homes.tolist(), (told.withdraws == 1).tolist(), strict=True)
        )

    def _event(self, at_ms: int, kind: str, who: str, subject: str, detail: str) -> None:
        self.state.events.rows.append((at_ms, kind, who, subject, detail))


def service_of(name: str) -> str:
    """The service as `protocol.messages.Service` calls it, in small letters."""
    return "balancing" if name.lower() == "bm" else name.lower()
