"""Who was asked to take part in each DFS event, what they said, and how many may be counted on next time.

All that is known of people is what they told: silence is no yes, and who said no, or wants no more events, is
left alone. Homes are rising numbers of metering points.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator.settings import AggregatorSettings, Assumptions
from protocol.messages import I8, I32, Answer, Complaints, EventAnswers

Flags = NDArray[np.bool_]


@dataclass(slots=True)
class Asked:
    """One event as one DFS Unit was asked for it: homes, and what each said last (Answer).

    `participants`: who was in when it began; None before.
    """

    event_id: str
    homes: I32
    answer: I8
    participants: I32 | None = None

    def says_yes(self, home: Any) -> Flags:
        """Of any homes, which have said yes, and not no since."""
        return np.isin(home, self.homes[self.answer == Answer.IN])

    @property
    def opted_out(self) -> int:
        """How many said no."""
        return int((self.answer == Answer.OUT).sum())


@dataclass(slots=True)
class Participation:
    """Events asked for, by instruction; homes that want no more; and what replies taught (homes)."""

    asked: dict[str, Asked] = field(default_factory=dict)
    withdrawn: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    homes_asked: int = 0
    homes_in: int = 0

    def ask(self, instruction_id: str, event_id: str, homes: I32) -> I32:
        """Open the list of one event; gives the homes that are to be asked."""
        willing = np.setdiff1d(homes, self.withdrawn).astype(np.int32)
        silent = np.full(len(willing), Answer.SILENT, np.int8)
        self.asked[instruction_id] = Asked(event_id, willing, silent)
        return willing

    def take(self, told: EventAnswers) -> I32:
        """Note what homes answered; gives those that are newly in. Once it has begun nobody comes in late."""
        asked = self.asked.get(told.instruction_id)
        if asked is None or not len(asked.homes):
            return np.empty(0, np.int32)
        place = np.minimum(np.searchsorted(asked.homes, told.homes), len(asked.homes) - 1)
        counts = asked.homes[place] == told.homes
        if asked.participants is not None:
            counts &= told.answer == Answer.OUT
        asked.answer[place[counts]] = told.answer[counts]
        return np.unique(told.homes[counts & (told.answer == Answer.IN)])

    def begin(self, instruction_id: str) -> I32:
        """Close the list of an event that begins; gives who is in, and learns how many that are."""
        asked = self.asked[instruction_id]
        if asked.participants is None:
            asked.participants = asked.homes[asked.answer == Answer.IN]
            self.homes_asked += len(asked.homes)
            self.homes_in += len(asked.participants)
        return asked.participants

    def withdraw(self, told: Complaints) -> None:
        """Leave alone from now on who wants no more events."""
        self.withdrawn = np.union1d(self.withdrawn, told.homes[told.withdraws == 1]).astype(np.int32)

    def expected_share(self, settings: AggregatorSettings, assumed: Assumptions) -> float:
        """Which part of the homes asked will be in: as the owner expects, more and more as seen."""
        weight = assumed.asked_homes_weight
        expected = weight * settings.dfs.expected_opt_in
        return (expected + self.homes_in) / (weight + self.homes_asked)

    def concerns(self, instruction_ids: list[str]) -> bool:
        """Whether anybody at all may have to be left alone in these instructions."""
        return len(self.withdrawn) > 0 or any(name in self.asked for name in instruction_ids)

    def stays_out(self, home: I32, instruction_ids: list[str]) -> Flags:
        """Which rows (by their homes) are to be left alone in these instructions."""
        out = np.isin(home, self.withdrawn)
        for name in instruction_ids:
            if name in self.asked:
                out |= ~self.asked[name].says_yes(home)
        return np.asarray(out)
