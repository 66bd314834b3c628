"""The clock and the mail: the only file that schedules.

SimPy owns the clock. Between two moments at which somebody who sees devices has mail or a deadline, the
world lives by itself (`World.live`). At a moment, in this order and no other: mail by (time, sender,
number), deadlines by party name, then the outboxes; mail said for the same moment is delivered in a
further round of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import simpy

from protocol.messages import Message
from protocol.party import NEVER_MS, Party
from sim import chance
from sim.chance import Purpose

ROUNDS_AT_ONE_MOMENT = 1000
"""More rounds of mail than this within one millisecond are two parties answering each other for ever."""
AT_HAND = frozenset({
    "access_devices", "gateway", "households", "journal", "meters", "people", "stale_leader",
})  # fmt: skip
"""Mail to and from these takes no time: they are part of the world, or the paper that it is written on."""
SEES_DEVICES = ("access_devices", "aggregator", "gateway", "households", "meters", "people")
"""Before one of these is spoken to, every device has lived up to that moment.

What has arrived since the listener last looked comes in one go, each row with its own time of arrival.
"""


class World(Protocol):
    """What lives between the moments."""

    def live(self, until_ms: int) -> None:
        """Let every device live up to `until_ms` (not included)."""


@dataclass(slots=True)
class Mail:
    """One message under way."""

    due_ms: int
    sender: str
    number: int
    to: str
    message: Message


@dataclass(slots=True)
class PostState:
    """All that the post remembers."""

    now_ms: int
    number: int = 0
    mail: list[Mail] = field(default_factory=list)
    lost: int = 0
    letters: dict[str, int] = field(default_factory=dict)  # by "sender>recipient": how many so far


class PostError(RuntimeError):
    """Parties keep each other busy within one millisecond, or a deadline lies in the past."""


class Post:
    """Drives parties through time. `closing_ms` silences a party's deadlines from that moment on."""

    def __init__(
        self,
        parties: Mapping[str, Party],
        world: World,
        *,
        start_ms: int,
        seed: int,
        latency_ms: int = 0,
        loss: float = 0.0,
        closing_ms: Mapping[str, int] | None = None,
        heard: Callable[[Mail], None] | None = None,
    ) -> None:
        self.parties = dict(sorted(parties.items()))
        self.world = world
        self.latency_ms = latency_ms
        self.loss = loss
        self.closing_ms = dict(closing_ms or {})
        self.heard = heard
        self.state = PostState(start_ms)
        self._lived_ms = -1
        self._key = chance.stream(seed, Purpose.MARKET_MAIL)

    def run(self, until_ms: int, after_each: Callable[[int], bool] | None = None) -> bool:
        """Drive everybody up to and including `until_ms`; gives whether that was reached.

        `after_each(now_ms)` may stop the run by giving True.
        """
        env = simpy.Environment(initial_time=self.state.now_ms)
        ending = env.process(self._drive(env, until_ms, after_each))
        return bool(env.run(until=ending))

    def _drive(
        self, env: simpy.Environment, until_ms: int, after_each: Callable[[int], bool] | None
    ) -> Generator[simpy.Event, None, bool]:
        while True:
            stop_ms = self._next_stop_ms(until_ms)
            yield env.timeout(stop_ms - int(env.now))
            if stop_ms >= until_ms or self._touches_world(stop_ms):
                self._let_live(stop_ms)
            self.state.now_ms = stop_ms
            self._moment(stop_ms)
            if stop_ms >= until_ms:
                return True
            if after_each is not None and after_each(stop_ms):
                return False

    def _let_live(self, now_ms: int) -> None:
        """Have the devices live up to now, once."""
        if self._lived_ms < now_ms:
            self._lived_ms = now_ms
            self.world.live(now_ms)

    def _touches_world(self, now_ms: int) -> bool:
        """Whether somebody who sees or moves devices has mail or a deadline now.

        What markets say to each other needs no device to have lived up to that moment.
        """
        mail = any(mail.due_ms <= now_ms and mail.to in SEES_DEVICES for mail in self.state.mail)
        return mail or any(self._deadline_ms(name) <= now_ms for name in SEES_DEVICES if name in self.parties)

    def _next_stop_ms(self, until_ms: int) -> int:
        stops = [until_ms, *(mail.due_ms for mail in self.state.mail)]
        stops += [self._deadline_ms(name) for name in self.parties]
        return max(self.state.now_ms, min(stops))

    def _deadline_ms(self, name: str) -> int:
        deadline_ms = self.parties[name].next_deadline_ms()
        return NEVER_MS if deadline_ms >= self.closing_ms.get(name, NEVER_MS) else deadline_ms

    def _moment(self, now_ms: int) -> None:
        self._collect(now_ms)
        for _ in range(ROUNDS_AT_ONE_MOMENT):
            due = sorted(
                (m for m in self.state.mail if m.due_ms <= now_ms),
                key=lambda m: (m.due_ms, m.sender, m.number),
            )
            ringing = [name for name in self.parties if self._deadline_ms(name) <= now_ms]
            if not due and not ringing:
                return
            self.state.mail = [m for m in self.state.mail if m.due_ms > now_ms]
            if any(mail.to in SEES_DEVICES for mail in due):
                self._let_live(now_ms)
            for mail in due:
                if self.heard is not None:
                    self.heard(mail)
                self.parties[mail.to].receive(mail.message, now_ms)
            for name in ringing:
                self.parties[name].on_deadline(now_ms)
            self._collect(now_ms)
        raise PostError(
            f"still mail or deadlines after {ROUNDS_AT_ONE_MOMENT} rounds at {now_ms} ms: "
            f"{ringing or due[:3]}"
        )

    def _collect(self, now_ms: int) -> None:
        for name, party in self.parties.items():
            for envelope in party.take_outbox():
                self._send(name, envelope.to, envelope.message, now_ms)

    def _send(self, sender: str, to: str, message: Message, now_ms: int) -> None:
        if to not in self.parties:
            raise PostError(
                f"{sender} writes to {to!r}, whom nobody knows: known are {', '.join(self.parties)}"
            )
        self.state.number += 1
        travel_ms = 0 if sender in AT_HAND or to in AT_HAND else self.latency_ms
        if travel_ms and self.loss and self._is_lost(sender, to):
            self.state.lost += 1
            travel_ms += RESEND_AFTER_MS
        self.state.mail.append(Mail(now_ms + travel_ms, sender, self.state.number, to, message))

    def _is_lost(self, sender: str, to: str) -> bool:
        """Whether this letter is lost: drawn by who writes to whom and by the number of their letters."""
        pair = f"{sender}>{to}"
        number = self.state.letters[pair] = self.state.letters.get(pair, 0) + 1
        word, _, _, _ = chance.words(self._key, zlib.crc32(pair.encode()), number, 0)
        return float(chance.unit(word)) < self.loss


RESEND_AFTER_MS = 10_000
"""A lost market message is sent again by its sender after this: assumed; markets confirm receipt."""
