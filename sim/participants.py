"""Party `households`: answers notices, acts by hand on the base load, complains of the cold.

Owns what people remember of events. Notices come through the gateway, answers and complaints go back through
it. What is left off by hand is hidden truth: the meters ask for it (`acted_wh`), the aggregator never does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from protocol import periods
from protocol.messages import (
    I8,
    I32,
    I64,
    Answer,
    Channel,
    Complaints,
    EventAnswers,
    EventCalledOff,
    EventNotice,
    Message,
)
from protocol.party import NEVER_MS, Envelope
from sim.event_response import F64, acts, answers, complaints, helps_by_hand, tired_after
from sim.fleets import Fleets
from sim.flight import Flight
from sim.households import FUSE_WH
from sim.population import Population
from sim.scenario import Scenario
from sim.warmth import HEATS, Felt, feel

_ANSWERS_EVERY_MS = 60_000
"""Answers given within a minute are passed on together."""


@dataclass(slots=True)
class Acting:
    """One event's homes that act by hand: places in the home table, from when, which share of base load.

    `left_off_wh` so far; a part of it comes back after the end.
    """

    instruction_id: str
    homes: I32
    from_ms: I64
    end_ms: int
    cut_share: F64
    left_off_wh: I64


@dataclass(slots=True)
class ParticipantsState:
    """What people remember: notices by number, answers under way, who acts, how tired they are of events.

    `tired` [events] as of `since_ms`, by home; empty until anybody is asked or complains. `felt` what each
    part that is followed feels; `told_day` (ordinal) when a home last had enough, by home.
    """

    notices: list[str] = field(default_factory=list)
    answers: Flight = field(default_factory=Flight)
    next_answer_ms: int = NEVER_MS
    acting: list[Acting] = field(default_factory=list)
    tired: F64 = field(default_factory=lambda: np.empty(0))
    since_ms: I64 = field(default_factory=lambda: np.empty(0, np.int64))
    withdrawn: I8 = field(default_factory=lambda: np.empty(0, np.int8))
    felt: list[Felt] = field(default_factory=list)
    told_day: I32 = field(default_factory=lambda: np.empty(0, np.int32))
    looked_ms: int = 0


class Participants:
    """Every household as far as events go."""

    name = "households"

    def __init__(self, scenario: Scenario, population: Population, fleet: Fleets, start_ms: int) -> None:
        """`fleet` is what really happens: people feel how warm their rooms are."""
        self._people = scenario.people
        self._seed = scenario.seed
        self._homes = len(population.homes)
        self._by_hand = population.by_hand
        self._fleet = fleet
        self._heated = [
            place
            for place, part in enumerate(population.within_reach)
            if part.kind.technology in HEATS and scenario.people.comfort.complains_share > 0
        ]
        self._parts = population.parts
        self._outbox: list[Envelope] = []
        rows = [len(population.parts[place].drawn.home) for place in self._heated]
        self.state = ParticipantsState(
            felt=[Felt.of(count) for count in rows],
            told_day=np.zeros(self._homes if rows else 0, np.int32),
            looked_ms=start_ms,
        )

    # --------------------------------------------------------------------------------------------- a party

    def receive(self, message: Message, now_ms: int) -> None:
        """Read a notice, or that there is no event after all. Raises TypeError for anything else."""
        if isinstance(message, EventNotice):
            self._read(message, now_ms)
        elif isinstance(message, EventCalledOff):
            off = message.instruction_id
            self.state.acting = [one for one in self.state.acting if one.instruction_id != off]
        else:
            raise TypeError(f"people are sent EventNotices, not {type(message).__name__}")

    def next_deadline_ms(self) -> int:
        """The next answers, or the next moment at which people feel the cold."""
        return min(self.state.next_answer_ms, self._next_look_ms())

    def on_deadline(self, now_ms: int) -> None:
        """Pass on the answers given; feel the cold."""
        if self.state.next_answer_ms <= now_ms:
            self._pass_on(now_ms)
        if self._next_look_ms() <= now_ms:
            self._feel(now_ms)

    def take_outbox(self) -> list[Envelope]:
        """What is to be sent."""
        outbox, self._outbox = self._outbox, []
        return outbox

    # --------------------------------------------------------------------------------------------- answers

    def _read(self, notice: EventNotice, now_ms: int) -> None:
        """Decide what every home answers and does; nobody is told before the answer's own moment."""
        state, homes = self.state, notice.homes
        self._begin_to_remember(now_ms)
        memory_ms = self._people.opt_in.fatigue_memory_ms
        tired = tired_after(state.tired[homes], state.since_ms[homes], now_ms, memory_ms)
        given = answers(
            self._people.opt_in, Channel(notice.channel), homes, now_ms, notice.start_ms, tired, self._seed
        )
        answer = np.where(state.withdrawn[homes] == 1, Answer.OUT, given.answer).astype(np.int8)
        state.tired[homes], state.since_ms[homes] = tired + 1.0, now_ms
        spoken = np.flatnonzero(answer != Answer.SILENT)
        if len(spoken):
            state.answers.add({
                "notice": np.full(len(spoken), len(state.notices), np.int32),
                "homes": homes[spoken],
                "answer": answer[spoken],
                "arrival_ms": given.at_ms[spoken],
            })  # fmt: skip
            state.next_answer_ms = min(state.next_answer_ms, _minute_after(int(given.at_ms[spoken].min())))
        state.notices.append(notice.instruction_id)
        self._act(homes[(answer == Answer.IN) & (given.at_ms < notice.start_ms)], notice)

    def _act(self, homes: I32, notice: EventNotice) -> None:
        """Let those who said yes in time leave off what they will."""
        by_hand = self._people.by_hand
        who = homes[np.isin(homes, self._by_hand) | helps_by_hand(by_hand, homes, self._seed)]
        done = acts(by_hand, who, notice.start_ms, self._seed)
        acting = done.cut_share > 0
        if acting.any():
            self.state.acting.append(
                Acting(
                    instruction_id=notice.instruction_id,
                    homes=who[acting],
                    from_ms=done.from_ms[acting],
                    end_ms=notice.end_ms,
                    cut_share=done.cut_share[acting],
                    left_off_wh=np.zeros(int(acting.sum()), np.int64),
                )
            )

    def _pass_on(self, now_ms: int) -> None:
        state = self.state
        due = state.answers.take_due(now_ms + 1)
        if due is not None:
            for notice in np.unique(due["notice"]).tolist():
                own = due["notice"] == notice
                told = EventAnswers(
                    state.notices[notice], due["homes"][own], due["answer"][own], due["arrival_ms"][own]
                )
                self._outbox.append(Envelope("gateway", told))
        under_way = [int(run["arrival_ms"].min()) for run in (*state.answers.near, *state.answers.far)]
        state.next_answer_ms = max(_minute_after(min(under_way)), now_ms + 1) if under_way else NEVER_MS

    def _begin_to_remember(self, now_ms: int) -> None:
        state = self.state
        if not len(state.tired):
            state.tired = np.zeros(self._homes)
            state.since_ms = np.full(self._homes, now_ms, np.int64)
            state.withdrawn = np.zeros(self._homes, np.int8)

    # --------------------------------------------------------------------------------------------- by hand

    def acted_wh(self, homes: I64, base_wh: Any, start_ms: int, end_ms: int) -> I64 | None:
        """What people change of the base load `base_wh` of `homes` in the period [start, end) [whole Wh].

        Negative: left off, at most all of it; positive: made up for, as far as the fuse lets it. Periods are
        asked for once each, in order. None where nobody acts.
        """
        acting = [one for one in self.state.acting if start_ms < self._made_up_ms(one)]
        self.state.acting = acting
        if not acting:
            return None
        order = np.argsort(homes)
        changed_wh = np.zeros(len(homes), np.int64)
        for one in acting:
            place = order[np.searchsorted(homes, one.homes, sorter=order)]
            begun_ms = np.maximum(one.from_ms, start_ms)
            acts_ms = np.maximum(min(one.end_ms, end_ms) - begun_ms, 0)
            could_wh = base_wh[place] + np.minimum(changed_wh[place], 0)
            left_off_wh = (could_wh * one.cut_share * acts_ms / (end_ms - start_ms)).astype(np.int64)
            one.left_off_wh += left_off_wh
            room_wh = np.maximum(FUSE_WH - base_wh[place] - changed_wh[place], 0)
            changed_wh[place] += np.minimum(self._made_up_wh(one, start_ms, end_ms), room_wh) - left_off_wh
        return changed_wh

    def _made_up_ms(self, one: Acting) -> int:
        return one.end_ms + self._people.by_hand.rebound_over_ms

    def _made_up_wh(self, one: Acting, start_ms: int, end_ms: int) -> I64:
        """What was left off and is made up for in a period, evenly from the end on."""
        by_hand = self._people.by_hand
        over_ms = max(min(end_ms, self._made_up_ms(one)) - max(start_ms, one.end_ms), 0)
        share = by_hand.rebound_share * over_ms / by_hand.rebound_over_ms
        return np.asarray((one.left_off_wh * share).astype(np.int64))

    # ---------------------------------------------------------------------------------------------- comfort

    def _next_look_ms(self) -> int:
        return self.state.looked_ms + self._people.comfort.look_every_ms if self._heated else NEVER_MS

    def _feel(self, now_ms: int) -> None:
        """Notice who goes without warmth because their heating is or was held back."""
        state, day = self.state, periods.local_date(now_ms).toordinal()
        since_ms, state.looked_ms = now_ms - state.looked_ms, now_ms
        bitter = [np.empty(0, np.int32)]
        for place, felt in zip(self._heated, state.felt, strict=True):
            part, lives = self._parts[place], self._fleet.fleets[place].state
            rows = feel(part.kind.technology, lives, part.drawn.spec, felt, self._people.comfort, since_ms)
            bitter.append(part.drawn.home[rows])
        homes = np.unique(np.concatenate(bitter))
        homes = homes[state.told_day[homes] != day]
        state.told_day[homes] = day
        if len(homes):
            self._complain(homes, day, now_ms)

    def _complain(self, homes: I32, day: int, now_ms: int) -> None:
        complains, withdraws = complaints(self._people.comfort, homes, day, self._seed)
        if not complains.any():
            return
        self._begin_to_remember(now_ms)
        state, opt_in, who = self.state, self._people.opt_in, homes[complains]
        tired = tired_after(state.tired[who], state.since_ms[who], now_ms, opt_in.fatigue_memory_ms)
        state.tired[who], state.since_ms[who] = tired + opt_in.fatigue_per_complaint, now_ms
        state.withdrawn[homes[withdraws]] = 1
        told = Complaints(who, np.full(len(who), now_ms, np.int64), withdraws[complains].astype(np.int8))
        self._outbox += [Envelope("gateway", told), Envelope("journal", told)]


def _minute_after(at_ms: int) -> int:
    return (at_ms // _ANSWERS_EVERY_MS + 1) * _ANSWERS_EVERY_MS
