"""The seam between every participant and whatever drives it (simulated clock today, real sockets later).

A party has no clock and no wire: it is told the time, it says when it wants to be woken, and it puts what it
wants to say into an outbox. `sim/post.py` drives parties on the simulated clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocol.messages import Message

NEVER_MS = 2**62
"""A deadline that is never reached [ms]."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message on its way: who it is for and what it says."""

    to: str
    message: Message


class Party(Protocol):
    """Anybody who talks: a market, the aggregator, the gateway.

    All state that changes during a run is in `state`, a dataclass that `protocol.codec` can write and read,
    so that a run can be checkpointed without knowing what any party remembers.
    """

    name: str
    state: object

    def receive(self, message: Message, now_ms: int) -> None:
        """Take one message that arrived at `now_ms` [UTC ms]."""

    def next_deadline_ms(self) -> int:
        """When this party next wants to be woken [UTC ms]; `NEVER_MS` for never."""

    def on_deadline(self, now_ms: int) -> None:
        """Act on the deadline asked for; the next one must lie later."""

    def take_outbox(self) -> list[Envelope]:
        """Everything said since the last call, in the order in which it was said; empties the outbox."""
