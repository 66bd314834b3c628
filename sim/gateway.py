"""The aggregator's edge: sends set-points and polls down the wires, brings up what devices and clouds answer.

Owns what is on its way and nothing else: the fate of each message is `sim/network.py`'s, what a device does
is the fleet's. The world drives it once per stretch: `orders_due`, `polls_due`, then `report`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numba import njit

from protocol.messages import (
    I32,
    I64,
    AckOutcome,
    Acks,
    AssetRegistration,
    Message,
    Polls,
    SessionStarts,
    Setpoints,
    Telemetry,
)
from protocol.party import NEVER_MS, Envelope
from sim.flight import Columns, Flight, by_arrival
from sim.network import Carried, Kind, Network, Outcome
from sim.play import Orders, Played, Readings

_TOLD_AS = np.full(len(Outcome), AckOutcome.UNREACHABLE, np.int8)
_TOLD_AS[[Outcome.RATE_LIMITED, Outcome.BUDGET]] = AckOutcome.RATE_LIMITED
_TOLD_AS[Outcome.UNAUTHORISED] = AckOutcome.UNAUTHORISED
"""What a cloud that refuses a set-point tells the aggregator; a used-up budget is HTTP 429 as well."""


class Witness(Protocol):
    """Who takes down set-points and acknowledgements one by one."""

    def setpoints_sent(self, setpoints: Setpoints, sent_ms: int, carried: Carried) -> None:
        """Set-points handed to the network, and what becomes of each."""

    def acks_sent(self, rows: I32, sent_ms: I64, sequence: I32, carried: Carried) -> None:
        """Acknowledgements that devices sent, and what becomes of each."""


@dataclass(slots=True, eq=False)
class GatewayState:
    """What is on its way, and whether the assets were told to those who need to know."""

    registered: bool = False
    orders: Flight = field(default_factory=Flight)
    polls: Flight = field(default_factory=Flight)
    telemetry: Flight = field(default_factory=Flight)
    sessions: Flight = field(default_factory=Flight)
    acks: Flight = field(default_factory=Flight)


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
    ) -> None:
        self.network = network
        self.state = GatewayState()
        self._registration = registration
        self._register_at_ms = register_at_ms
        self._witness = witness
        self._outbox: list[Envelope] = []

    # --------------------------------------------------------------------------------------------- a party

    def receive(self, message: Message, now_ms: int) -> None:
        """Send set-points or polls on their way. Raises TypeError for anything else: not for devices."""
        if isinstance(message, Setpoints):
            self._send_setpoints(message, now_ms)
        elif isinstance(message, Polls):
            self._send_polls(message, now_ms)
        else:
            raise TypeError(
                f"the gateway carries Setpoints and Polls to devices, not {type(message).__name__}"
            )

    def next_deadline_ms(self) -> int:
        return NEVER_MS if self.state.registered else self._register_at_ms

    def on_deadline(self, now_ms: int) -> None:
        del now_ms
        self.state.registered = True
        for party in ("aggregator", "settlement"):
            self._outbox.append(Envelope(party, self._registration))

    def take_outbox(self) -> list[Envelope]:
        outbox, self._outbox = self._outbox, []
        return outbox

    # ------------------------------------------------------------------------------------------- downwards

    def _send_setpoints(self, message: Setpoints, now_ms: int) -> None:
        carried = self.network.carry_down(message.rows, now_ms, message.sequence, Kind.SETPOINTS)
        count = len(message.rows)
        columns: Columns = {
            "rows": message.rows,
            "limit_w": message.limit_w,
            "from_ms": message.from_ms,
            "until_ms": message.until_ms,
            "sequence": message.sequence,
            "response_dsr": np.full(count, message.response_dsr, np.int8),
        }
        if self._witness is not None:
            self._witness.setpoints_sent(message, now_ms, carried)
        self.state.orders.add(_arriving(columns, carried))
        # One that arrives nowhere and is heard of nevertheless was refused by its cloud.
        refused = np.flatnonzero((carried.outcome != Outcome.DELIVERED) & (carried.arrival_ms < NEVER_MS))
        self.state.acks.add({
            "rows": message.rows[refused],
            "sequence": message.sequence[refused],
            "outcome": _TOLD_AS[carried.outcome[refused]],
            "event_ms": np.full(len(refused), now_ms, np.int64),
            "arrival_ms": carried.arrival_ms[refused],
        })  # fmt: skip

    def _send_polls(self, message: Polls, now_ms: int) -> None:
        sequence = np.zeros(len(message.rows), np.int32)
        carried = self.network.carry_down(message.rows, now_ms, sequence, Kind.POLLS)
        self.state.polls.add(_arriving({"rows": message.rows}, carried))

    def orders_due(self, until_ms: int) -> Orders:
        """Set-points arriving before `until_ms`, by (row, arrival, sequence); a doubled one comes twice."""
        due = self.state.orders.take_due(until_ms)
        if not due:
            return Orders.none()
        columns = {name: np.concatenate([run[name] for run in due]) for name in due[0]}
        order = np.lexsort((columns["sequence"], columns["arrival_ms"], columns["rows"]))
        return Orders(**{name: column[order] for name, column in columns.items()})

    def polls_due(self, until_ms: int) -> tuple[I32, I64]:
        """Devices that are asked for a reading before `until_ms`, by (row, moment): rows and moments [ms]."""
        due = self.state.polls.take_due(until_ms)
        if not due:
            return np.empty(0, np.int32), np.empty(0, np.int64)
        columns = by_arrival(due)
        order = np.argsort(columns["rows"], kind="stable")
        return columns["rows"][order], columns["arrival_ms"][order]

    # --------------------------------------------------------------------------------------------- upwards

    def report(self, played: Played, orders: Orders, until_ms: int) -> None:
        """Send up what a stretch brought, and put what has arrived before `until_ms` into the outbox.

        At most one message of each kind. Readings that were in flight come first, by arrival; those of this
        stretch follow in the order of the fleet, each with its exact `arrival_ms`. Acks and session starts
        are sorted by arrival.
        """
        self._report_readings(played.readings, until_ms)
        sessions = played.sessions
        told: Columns = {
            "rows": sessions.rows,
            "event_ms": self._by_own_clock(sessions.rows, sessions.event_ms),
            "soc_pct": sessions.soc_pct,
            "target_pct": sessions.target_pct,
            "ready_by_ms": sessions.ready_by_ms,
        }
        carried = self.network.carry_up(sessions.rows, sessions.event_ms, Kind.SESSIONS)
        if due := _now(self.state.sessions, _arriving(told, carried), until_ms):
            self._tell(SessionStarts(**due))
        answers: Columns = {
            "rows": orders.rows,
            "sequence": orders.sequence,
            "outcome": played.outcome,
            "event_ms": self._by_own_clock(orders.rows, orders.arrival_ms),
        }
        carried = self.network.carry_up(orders.rows, orders.arrival_ms, Kind.ACKS)
        if self._witness is not None:
            self._witness.acks_sent(orders.rows, orders.arrival_ms, orders.sequence, carried)
        if due := _now(self.state.acks, _arriving(answers, carried), until_ms):
            self._tell(Acks(**due))

    def _report_readings(self, readings: Readings, until_ms: int) -> None:
        carried = self.network.carry_up(readings.rows, readings.event_ms, Kind.TELEMETRY)
        due = self.state.telemetry.take_due(until_ms)
        arrived, later = self._sort_out(readings, carried, due, until_ms)
        self.state.telemetry.add(later)
        if len(arrived.rows):
            self._tell(arrived)

    def _sort_out(
        self, readings: Readings, carried: Carried, due: list[Columns], until_ms: int
    ) -> tuple[Telemetry, Columns]:
        """Readings that have arrived before `until_ms` (`due` ones, sent earlier, first), and all others."""
        pieces = self.network.pieces(len(readings.rows))
        skew_ms = self.network.clock_skew_ms
        skews = np.empty(0, np.int64) if skew_ms is None else np.asarray(skew_ms, np.int64)
        found = np.zeros((len(pieces), 2), np.int64)

        def look(piece: int) -> None:
            part = slice(*pieces[piece])
            _count(carried.arrival_ms[part], carried.copy_ms[part], until_ms, found[piece])

        self.network.spread(look, len(pieces))
        earlier = sum(len(run["rows"]) for run in due)
        starts = np.cumsum(np.vstack([[[earlier, 0]], found]), axis=0)
        arrived = _room(int(starts[-1, 0]))
        at = 0
        for run in due:
            for name, column in run.items():
                getattr(arrived, name)[at : at + len(column)] = column
            at += len(run["rows"])
        later_at, later_ms = np.empty(starts[-1, 1], np.int64), np.empty(starts[-1, 1], np.int64)

        def move(piece: int) -> None:
            now, later = (slice(starts[piece, column], starts[piece + 1, column]) for column in (0, 1))
            lo, hi = pieces[piece]
            _move(
                lo, hi, until_ms, skews, readings.rows, readings.event_ms, readings.import_w,
                readings.register_wh, readings.status, readings.soc_pct, carried.arrival_ms,
                carried.copy_ms, arrived.rows[now],
                arrived.event_ms[now], arrived.arrival_ms[now], arrived.import_w[now],
                arrived.register_wh[now], arrived.status[now], arrived.soc_pct[now], later_at[later],
                later_ms[later],
            )  # fmt: skip

        self.network.spread(move, len(pieces))
        return arrived, {
            "rows": readings.rows[later_at],
            "event_ms": self._by_own_clock(readings.rows[later_at], readings.event_ms[later_at]),
            "arrival_ms": later_ms,
            "import_w": readings.import_w[later_at],
            "register_wh": readings.register_wh[later_at],
            "status": readings.status[later_at],
            "soc_pct": readings.soc_pct[later_at],
        }

    def _by_own_clock(self, rows: I32, event_ms: I64) -> I64:
        """What the devices' own clocks say of a moment."""
        skew_ms = self.network.clock_skew_ms
        return event_ms if skew_ms is None else event_ms + skew_ms[rows]

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
    due = flight.take_due(until_ms)
    return by_arrival(due) if due else None


def _room(count: int) -> Telemetry:
    i32, i64, i8 = np.int32, np.int64, np.int8
    rows, import_w, register_wh = np.empty(count, i32), np.empty(count, i32), np.empty(count, i32)
    event_ms, arrival_ms = np.empty(count, i64), np.empty(count, i64)
    return Telemetry(
        rows, event_ms, arrival_ms, import_w, register_wh, np.empty(count, i8), np.empty(count, i8)
    )


@njit(cache=True, nogil=True)
def _count(arrival_ms, copy_ms, until_ms, found):  # type: ignore[no-untyped-def]
    """How many readings, duplicates included, have arrived, and how many are still under way."""
    now, all_that_arrive = 0, 0
    for i in range(arrival_ms.shape[0]):
        now += (arrival_ms[i] < until_ms) + ((copy_ms[i] > 0) & (copy_ms[i] < until_ms))
        all_that_arrive += (arrival_ms[i] < NEVER_MS) + (copy_ms[i] > 0)
    found[0], found[1] = now, all_that_arrive - now


@njit(cache=True, nogil=True)
def _move(  # type: ignore[no-untyped-def]
    lo, hi, until_ms, skews, rows, event_ms, import_w, register_wh, status, soc_pct, arrival_ms, copy_ms,
    to_rows, to_event_ms, to_arrival_ms, to_import_w, to_register_wh, to_status, to_soc_pct, later_at,
    later_ms,
):  # fmt: skip
    """Copy readings lo .. hi that have arrived, by their devices' own clocks; list the others.

    A duplicate lies behind its original.
    """
    now, later = 0, 0
    skewed = skews.shape[0] > 0
    for i in range(lo, hi):
        comes_ms = arrival_ms[i]
        told_ms = event_ms[i] + skews[rows[i]] if skewed else event_ms[i]
        for _ in range(2):
            if comes_ms < until_ms:
                to_rows[now], to_event_ms[now], to_arrival_ms[now] = rows[i], told_ms, comes_ms
                to_import_w[now], to_register_wh[now] = import_w[i], register_wh[i]
                to_status[now], to_soc_pct[now] = status[i], soc_pct[i]
                now += 1
            elif comes_ms < NEVER_MS:
                later_at[later], later_ms[later] = i, comes_ms
                later += 1
            comes_ms = copy_ms[i]
            if comes_ms == 0:
                break
