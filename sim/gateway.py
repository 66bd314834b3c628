"""The aggregator's edge: sends set-points and polls down the wires, brings up what devices and clouds answer.

Owns what is on its way and nothing else: the fate of each message is `sim/network.py`'s, what a device does
is the fleet's. The world drives it once per stretch: `orders_due`, `polls_due`, then `report`.
Where assets hang on a vendor's cloud, `sim/vendor_clouds.py` stands between; who may be reached at all is
`sim/churn.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from protocol.messages import (
    I32,
    I64,
    AckOutcome,
    Acks,
    AssetRegistration,
    Complaints,
    EventAnswers,
    EventCalledOff,
    EventNotice,
    Message,
    Polls,
    Remark,
    SessionStarts,
    Setpoints,
    Telemetry,
)
from protocol.party import NEVER_MS, Envelope
from sim.churn import Churn, ChurnState
from sim.flight import Columns, Flight, joined
from sim.network import Carried, CarriedReadings, Kind, Network, Outcome, ReadingsTrip
from sim.play import Hear, Orders, Played
from sim.vendor_clouds import VendorClouds, VendorState

_TOLD_AS = np.full(len(Outcome), AckOutcome.UNREACHABLE, np.int8)
_TOLD_AS[[Outcome.RATE_LIMITED, Outcome.BUDGET]] = AckOutcome.RATE_LIMITED
_TOLD_AS[Outcome.UNAUTHORISED] = AckOutcome.UNAUTHORISED
"""What a cloud that refuses a set-point tells the aggregator; a used-up budget is HTTP 429 as well."""


PASSED_ON: dict[type[Message], str] = {
    EventNotice: "households", EventCalledOff: "households",
    EventAnswers: "aggregator", Complaints: "aggregator",
}  # fmt: skip
"""What people are sent and say, and to whom it goes: how long they take is theirs (`sim/participants.py`)."""


class Witness(Protocol):
    """Who takes down set-points and acknowledgements one by one."""

    def setpoints_sent(self, setpoints: Setpoints, sent_ms: int, carried: Carried) -> None:
        """Set-points handed to the network, and what becomes of each."""

    def acks_sent(self, rows: I32, sent_ms: I64, sequence: I32, carried: Carried) -> None:
        """Acknowledgements that devices sent, and what becomes of each."""


@dataclass(slots=True, eq=False)
class GatewayState:
    """What is on its way, and whether the assets were told to those who need to know.

    `lease` is the highest seen on a command, `fenced` how many set-points came under an older one.
    """

    registered: bool = False
    orders: Flight = field(default_factory=Flight)
    polls: Flight = field(default_factory=Flight)
    telemetry: Flight = field(default_factory=Flight)
    sessions: Flight = field(default_factory=Flight)
    acks: Flight = field(default_factory=Flight)
    vendors: VendorState | None = None
    churn: ChurnState | None = None
    lease: int = 0
    fenced: int = 0


class Gateway:
    """The party between aggregator and devices.

    Its mail is handed over at once: the rows in it say when they arrived. `AssetRegistration` is sent at
    `register_at_ms`; NEVER_MS leaves that to somebody else.
    """

    name = "gateway"

    def __init__(
        self,
        network: Network,
        registration: AssetRegistration,
        *,
        register_at_ms: int = NEVER_MS,
        witness: Witness | None = None,
        vendors: VendorClouds | None = None,
        churn: Churn | None = None,
        fences: bool = True,
    ) -> None:
        self.network = network
        self._fences = fences
        self._vendors = vendors
        self._churn = churn
        self._state = GatewayState(
            vendors=None if vendors is None else vendors.state, churn=None if churn is None else churn.state
        )
        self._registration = registration
        self._register_at_ms = register_at_ms
        self._witness = witness
        self._outbox: list[Envelope] = []

    @property
    def state(self) -> GatewayState:
        """What is on its way; the vendors' clouds and the churn remember their part of it."""
        return self._state

    @state.setter
    def state(self, state: GatewayState) -> None:
        self._state = state
        if self._vendors is not None and state.vendors is not None:
            self._vendors.state = state.vendors
        if self._churn is not None and state.churn is not None:
            self._churn.state = state.churn

    # --------------------------------------------------------------------------------------------- a party

    def receive(self, message: Message, now_ms: int) -> None:
        """Send set-points or polls on their way, pass on what people are sent and say.

        Raises TypeError for anything else: not for devices.
        """
        if isinstance(message, Setpoints):
            if self._leads(message, now_ms):
                self._send_setpoints(message, now_ms)
        elif isinstance(message, Polls):
            self._send_polls(message, now_ms)
        elif type(message) in PASSED_ON:
            self._outbox.append(Envelope(PASSED_ON[type(message)], message))
        else:
            raise TypeError(
                f"the gateway carries Setpoints and Polls to devices, not {type(message).__name__}"
            )

    def next_deadline_ms(self) -> int:
        register_ms = NEVER_MS if self.state.registered else self._register_at_ms
        return register_ms if self._churn is None else min(register_ms, self._churn.next_ms())

    def on_deadline(self, now_ms: int) -> None:
        if not self.state.registered and self._register_at_ms <= now_ms:
            self.state.registered = True
            for party in ("aggregator", "settlement"):
                self._outbox.append(Envelope(party, self._registration))
        if self._churn is not None:
            self._outbox += self._churn.happen(now_ms)

    def take_outbox(self) -> list[Envelope]:
        outbox, self._outbox = self._outbox, []
        return outbox

    # ------------------------------------------------------------------------------------------- downwards

    def _leads(self, message: Setpoints, now_ms: int) -> bool:
        """Whether a command comes from the aggregator with the newest lease: others are refused and told."""
        state = self.state
        if message.lease >= state.lease or not self._fences:
            state.lease = max(state.lease, message.lease)
            return True
        state.fenced += len(message.rows)
        detail = f"{len(message.rows)} set-points under lease {message.lease}; {state.lease} leads"
        self._outbox.append(Envelope("journal", Remark(now_ms, "gateway", "fenced", detail)))
        return False

    def _send_setpoints(self, message: Setpoints, now_ms: int) -> None:
        carried = self.network.carry_down(message.rows, now_ms, message.sequence, Kind.SETPOINTS)
        if self._witness is not None:
            self._witness.setpoints_sent(message, now_ms, carried)
        if self._churn is not None:
            message, carried = self._with_consent(self._churn, message, carried, now_ms)
        count = len(message.rows)
        columns: Columns = {
            "rows": message.rows,
            "limit_w": message.limit_w,
            "from_ms": message.from_ms,
            "until_ms": message.until_ms,
            "sequence": message.sequence,
            "response_dsr": np.full(count, message.response_dsr, np.int8),
        }
        # One that arrives nowhere and is heard of nevertheless was refused by its cloud.
        is_refused = (carried.outcome != Outcome.DELIVERED) & (carried.arrival_ms < NEVER_MS)
        if self._vendors is None:
            self.state.orders.add(_arriving(columns, carried))
        else:
            commanded = self._vendors.command(columns, carried, now_ms)
            going = _arriving(commanded.columns, commanded.carried)
            self.state.orders.add(self._vendors.fetched(going))
            self.state.acks.add(commanded.answers)
            is_refused &= ~commanded.is_answered
        refused = np.flatnonzero(is_refused)
        self.state.acks.add({
            "rows": message.rows[refused],
            "sequence": message.sequence[refused],
            "outcome": _TOLD_AS[carried.outcome[refused]],
            "event_ms": np.full(len(refused), now_ms, np.int64),
            "arrival_ms": carried.arrival_ms[refused],
        })  # fmt: skip

    def _with_consent(
        self, churn: Churn, message: Setpoints, carried: Carried, now_ms: int
    ) -> tuple[Setpoints, Carried]:
        """The set-points of who consents. Vendors refuse others'; of who moved out nobody says anything."""
        ended, refuses = churn.refused(message.rows, now_ms)
        if not ended.any():
            return message, carried
        answered = np.flatnonzero(refuses & (carried.outcome == Outcome.DELIVERED))
        churn.refusal_heard(message.rows[answered], carried.arrival_ms[answered])
        self.state.acks.add({
            "rows": message.rows[answered],
            "sequence": message.sequence[answered],
            "outcome": np.full(len(answered), AckOutcome.NO_CONSENT, np.int8),
            "event_ms": np.full(len(answered), now_ms, np.int64),
            "arrival_ms": carried.arrival_ms[answered],
        })  # fmt: skip
        kept = np.flatnonzero(~ended)
        columns = ("rows", "limit_w", "from_ms", "until_ms", "sequence")
        return (
            replace(message, **{name: getattr(message, name)[kept] for name in columns}),
            Carried(carried.arrival_ms[kept], carried.copy_ms[kept], carried.outcome[kept]),
        )

    def _send_polls(self, message: Polls, now_ms: int) -> None:
        sequence = np.zeros(len(message.rows), np.int32)
        carried = self.network.carry_down(message.rows, now_ms, sequence, Kind.POLLS)
        self.state.polls.add(_arriving({"rows": message.rows}, carried))

    def orders_due(self, until_ms: int) -> Orders:
        """Set-points arriving before `until_ms`, by (row, arrival, sequence); a doubled one comes twice."""
        due = self.state.orders.take_due(until_ms)
        if due is None:
            return Orders.none()
        if self._churn is not None:
            due = self._churn.reaching(due)
        for name in ("from_ms", "until_ms"):
            due[name] = self.network.by_true_clock(due["rows"], due[name], due["arrival_ms"])
        order = np.lexsort((due["sequence"], due["arrival_ms"], due["rows"]))
        return Orders(**{name: column[order] for name, column in due.items()})

    def polls_due(self, until_ms: int) -> tuple[I32, I64]:
        """Devices that are asked for a reading before `until_ms`, by (row, moment): rows and moments [ms]."""
        due = self.state.polls.take_due(until_ms)
        if due is None:
            return np.empty(0, np.int32), np.empty(0, np.int64)
        if self._churn is not None:
            due = self._churn.reaching(due)
        order = np.argsort(due["rows"], kind="stable")
        return due["rows"][order], due["arrival_ms"][order]

    # --------------------------------------------------------------------------------------------- upwards

    def listen(self, from_ms: int, until_ms: int) -> ReadingsTrip:
        """Get ready for the readings of a stretch: `play` them with its `carry`, then `report` it."""
        return self.network.listen(from_ms, until_ms)

    def hearing(self, trip: ReadingsTrip) -> Hear:
        """What carries a piece of a stretch's readings: only those that devices still send us."""
        churn = self._churn
        if churn is None:
            return trip.carry
        return lambda readings: trip.carry(churn.told(readings))

    def report(self, played: Played, trip: ReadingsTrip | None, orders: Orders, until_ms: int) -> None:
        """Send up what a stretch brought, and put what has arrived before `until_ms` into the outbox.

        Readings come in several messages, each row with its exact `arrival_ms`; acks and session starts in
        one of each, sorted by arrival. Without a trip nobody has read anything.
        """
        if trip is not None:
            trip.book(played.heard)
        self._report_readings(played.heard, until_ms)
        sessions = played.sessions
        told: Columns = {
            "rows": sessions.rows,
            "event_ms": self.network.by_own_clock(sessions.rows, sessions.event_ms),
            "soc_pct": sessions.soc_pct,
            "target_pct": sessions.target_pct,
            "ready_by_ms": sessions.ready_by_ms,
        }
        begun_ms = sessions.event_ms
        if self._churn is not None:
            spoken = self._churn.speaking(told["rows"])
            told, begun_ms = {name: column[spoken] for name, column in told.items()}, begun_ms[spoken]
        carried = self.network.carry_up(told["rows"], begun_ms, Kind.SESSIONS)
        if due := _now(self.state.sessions, _arriving(told, carried), until_ms):
            self._tell(SessionStarts(**due))
        answers: Columns = {
            "rows": orders.rows,
            "sequence": orders.sequence,
            "outcome": played.outcome,
            "event_ms": self.network.by_own_clock(orders.rows, orders.arrival_ms),
        }
        if self._vendors is not None:
            own = np.flatnonzero(~self._vendors.answered_for(orders.rows))
            answers = {name: column[own] for name, column in answers.items()}
            sent_ms = orders.arrival_ms[own]
        else:
            sent_ms = orders.arrival_ms
        carried = self.network.carry_up(answers["rows"], sent_ms, Kind.ACKS)
        if self._witness is not None:
            self._witness.acks_sent(answers["rows"], sent_ms, answers["sequence"], carried)
        if due := _now(self.state.acks, _arriving(answers, carried), until_ms):
            self._tell(Acks(**due))

    def _report_readings(self, pieces: list[CarriedReadings], until_ms: int) -> None:
        """Readings in flight come first, by arrival; then those of this stretch in the fleet's order."""
        due = self.state.telemetry.take_due(until_ms)
        if due is not None:
            self._tell_readings(Telemetry(**due), until_ms)
        if pieces:
            self.state.telemetry.add(joined([piece.later for piece in pieces]))
        for piece in pieces:
            if len(piece.arrived.rows):
                self._tell_readings(piece.arrived, until_ms)
        if self._vendors is not None:
            for report in self._vendors.tell(until_ms):
                self._tell(report)

    def _tell_readings(self, told: Telemetry, until_ms: int) -> None:
        """Pass readings on; those of vendors' assets wait in their clouds."""
        plain = told if self._vendors is None else self._vendors.take(told, until_ms - 1)
        if plain is not None:
            self._tell(plain)

    def _tell(self, message: Message) -> None:
        self._outbox.append(Envelope("aggregator", message))


def _arriving(columns: Columns, carried: Carried) -> Columns:
    """The messages that arrive, with `arrival_ms`, and after them the duplicates as messages of their own."""
    reaches = (carried.outcome == Outcome.DELIVERED) | (carried.outcome == Outcome.BACKFILLED)
    first, copied = np.flatnonzero(reaches), np.flatnonzero(carried.copy_ms)
    both = np.concatenate([first, copied])
    arrival_ms = np.concatenate([carried.arrival_ms[first], carried.copy_ms[copied]])
    return {**{name: column[both] for name, column in columns.items()}, "arrival_ms": arrival_ms}


def _now(flight: Flight, columns: Columns, until_ms: int) -> Columns | None:
    """Send messages on their way and take all that have arrived, by arrival; None if none has."""
    flight.add(columns)
    return flight.take_due(until_ms)
