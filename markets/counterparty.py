"""What every mock market does alike: sorts its mail, remarks on what it cannot use, says things now or later.

This owns no rule of any market; the rules are in the modules named after the markets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from protocol.messages import Message, Remark
from protocol.party import NEVER_MS, Envelope

AGGREGATOR = "aggregator"
BALANCING = "balancing"
DFS_MARKET = "dfs"
JOURNAL = "journal"
SETTLEMENT = "settlement"


@dataclass(frozen=True, slots=True)
class Postponed:
    """An envelope to be put into the outbox at `at_ms` [UTC ms]."""

    at_ms: int
    envelope: Envelope


class Memory(Protocol):
    """What the state of every counterparty holds besides its own matters."""

    now_ms: int
    outbox: list[Envelope]


StateT = TypeVar("StateT", bound=Memory)
Handler = Callable[[Any], None]


class Counterparty(ABC, Generic[StateT]):
    """A party whose memory is `state` and whose mail is handled by message class."""

    name: str
    state: StateT

    def __init__(self, name: str, state: StateT) -> None:
        self.name = name
        self.state = state

    @abstractmethod
    def handlers(self) -> Mapping[type[Message], Handler]:
        """What is done with each class of message; all other mail is remarked on and ignored."""

    @abstractmethod
    def due_ms(self) -> int:
        """The earliest thing still to be done [UTC ms], which may lie in the past; `NEVER_MS` for nothing."""

    @abstractmethod
    def act(self) -> None:
        """Do everything due at `state.now_ms`, so that `due_ms` lies later."""

    def receive(self, message: Message, now_ms: int) -> None:
        self.state.now_ms = now_ms
        handler = self.handlers().get(type(message))
        if handler is None:
            self.remark(
                "unexpected_message", f"{type(message).__name__} is no business of {self.name}: ignored"
            )
        else:
            handler(message)

    def next_deadline_ms(self) -> int:
        return min(NEVER_MS, max(self.due_ms(), self.state.now_ms))

    def on_deadline(self, now_ms: int) -> None:
        self.state.now_ms = now_ms
        self.act()

    def take_outbox(self) -> list[Envelope]:
        said, self.state.outbox = self.state.outbox, []
        return said

    def say(self, message: Message, *to: str) -> None:
        """Put `message` into the outbox once for each of `to`."""
        self.state.outbox.extend(Envelope(one, message) for one in to)

    def remark(self, kind: str, detail: str) -> None:
        """Tell the journal something worth telling."""
        self.say(Remark(at_ms=self.state.now_ms, who=self.name, kind=kind, detail=detail), JOURNAL)


def postpone(waiting: list[Postponed], at_ms: int, message: Message, *to: str) -> None:
    """Add `message` to those said at `at_ms`, in order of time; what was added first is said first."""
    waiting.extend(Postponed(at_ms, Envelope(one, message)) for one in to)
    waiting.sort(key=lambda item: item.at_ms)


def release(waiting: list[Postponed], now_ms: int) -> list[Envelope]:
    """The envelopes whose time has come; they leave `waiting`."""
    ready = [item.envelope for item in waiting if item.at_ms <= now_ms]
    waiting[:] = [item for item in waiting if item.at_ms > now_ms]
    return ready


def earliest_ms(times_ms: Iterable[int]) -> int:
    """The earliest of the times [UTC ms]; `NEVER_MS` when there are none."""
    return min(times_ms, default=NEVER_MS)
