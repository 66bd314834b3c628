"""An aggregator that has lost its lease and does not know: it commands on, a while behind the one that leads.

Owns fault C11, the split brain. It hears what the leader told the gateway, and says the same again `lag_ms`
later as of that moment, under the lease before and numbered ahead, as one that counts on by itself does. The
fencing token is `Setpoints.lease`; who refuses is `sim/gateway.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from protocol.messages import Message, Setpoints
from protocol.party import NEVER_MS, Envelope
from protocol.periods import day_end_ms, local_clock_ms
from sim.scenario import Clock, SplitBrain

AHEAD = 1_000_000
"""So far its own numbers run ahead of those it has heard: nobody counts the two together; assumed."""
_FULL_DAY_MIN = 24 * 60


@dataclass(slots=True)
class Heard:
    """A command as the leader gave it."""

    at_ms: int
    command: Setpoints


@dataclass(slots=True)
class StaleState:
    """Commands not said again yet, the oldest first."""

    heard: list[Heard] = field(default_factory=list)


class StaleLeader:
    """The party that should have stopped."""

    name = "stale_leader"

    def __init__(self, split: SplitBrain, clock: Clock) -> None:
        day = clock.start + timedelta(days=split.day)
        hour, minute = divmod(split.start, 60)
        self._from_ms = day_end_ms(day) if split.start == _FULL_DAY_MIN else local_clock_ms(day, hour, minute)
        self._until_ms = self._from_ms + split.duration_ms
        self._lag_ms = split.lag_ms
        self.state = StaleState()
        self._outbox: list[Envelope] = []

    def receive(self, message: Message, now_ms: int) -> None:
        """Take a copy of what the leader told the gateway."""
        if isinstance(message, Setpoints) and self._from_ms <= now_ms + self._lag_ms < self._until_ms:
            self.state.heard.append(Heard(now_ms, message))

    def next_deadline_ms(self) -> int:
        return self.state.heard[0].at_ms + self._lag_ms if self.state.heard else NEVER_MS

    def on_deadline(self, now_ms: int) -> None:
        while self.state.heard and self.state.heard[0].at_ms + self._lag_ms <= now_ms:
            command = self.state.heard.pop(0).command
            again = replace(
                command,
                from_ms=command.from_ms + self._lag_ms,
                until_ms=command.until_ms + self._lag_ms,
                sequence=command.sequence + AHEAD,
                lease=command.lease - 1,
            )
            self._outbox.append(Envelope("gateway", again))

    def take_outbox(self) -> list[Envelope]:
        outbox, self._outbox = self._outbox, []
        return outbox
