"""Party `people`: early each morning it gives every device its day.

It also takes down which promises of the day before were kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from devices.ev import Today, idle_diary
from protocol.messages import I32, I64, Message, Technology
from protocol.party import Envelope
from sim.fleet import Fleet
from sim.fleets import Arms
from sim.households import deadline_ms, plan_moment_ms
from sim.kinds.kind import HALF_HOUR_MS, Sky
from sim.population import Population
from sim.power_cuts import power_cuts_ms
from sim.scenario import Scenario
from sim.sky import make_sky
from sim.weather import Temperatures


@dataclass(slots=True)
class PeopleState:
    """The next day to be planned."""

    day: date


@dataclass(frozen=True, slots=True, eq=False)
class Promises:
    """Deadlines that came in the day before: one entry per car that was plugged in; missing energy [Wh]."""

    rows: I64
    ready_by_ms: I64
    short_wh: I32
    needed_wh: I32  # -1: plugged in before anybody looked


class People:
    """Everybody's diaries."""

    name = "people"

    def __init__(
        self,
        scenario: Scenario,
        population: Population,
        temperatures: Temperatures,
        arms: Arms,
        first_day: date,
    ) -> None:
        self._scenario = scenario
        self._population = population
        self._temperatures = temperatures
        self.arms = arms
        self._cuts_ms = power_cuts_ms(scenario.comms, scenario.clock, population.homes.group_names)
        self.judged: list[list[Promises]] = []
        self.state = PeopleState(first_day)

    def receive(self, message: Message, now_ms: int) -> None:
        """Nobody writes to people here: their apps do, through the gateway."""

    def next_deadline_ms(self) -> int:
        """The next planning moment."""
        return plan_moment_ms(self.state.day)

    def on_deadline(self, now_ms: int) -> None:  # noqa: ARG002 - a party is told the time
        """Judge the promises of the day that ends, plan the one that begins."""
        self.judge()
        day = self.state.day
        sky = self._sky(day)
        for place, part in enumerate(self._population.parts):
            diary = part.kind.diary(part.drawn, day, sky)
            today = part.kind.shared_day(day, sky)._replace(cuts_ms=self._cuts_ms)
            self._plan(place, diary, today, look=False)
        self.state.day = day + timedelta(days=1)

    def begin(self) -> None:
        """Start the life of all devices, in the night before the first planning moment.

        Cars are away until then; everything else is in the middle of the day before.
        """
        before = self.state.day - timedelta(days=1)
        sky = self._sky(before)
        for place, part in enumerate(self._population.parts):
            if part.kind.technology is Technology.EV:
                diary, today = idle_diary(len(part.drawn.home)), Today(np.empty((0, 2), np.int64))
                look = False
            else:
                diary, today = part.kind.diary(part.drawn, before, sky), part.kind.shared_day(before, sky)
                look = True
            self._plan(place, diary, today, look=look)

    def _plan(self, place: int, diary: Any, today: Any, *, look: bool) -> None:
        """Hand a part's day to whoever lives it, to each a copy of its own."""
        first, *others = dict.fromkeys(self.arms.of_part(place))
        for fleet in others:
            fleet.plan(diary.copy(), today, look=look)
        first.plan(diary, today, look=look)

    def _sky(self, day: date) -> Sky:
        """The weather of a diary; light and half-hours only where somebody but cars lives by them."""
        first_ms, end_ms = plan_moment_ms(day), plan_moment_ms(day + timedelta(days=1))
        groups = self._population.homes.group_names
        if all(part.kind.technology is Technology.EV for part in self._population.parts):
            none = np.empty((len(groups), 0))
            return Sky(first_ms, none, none, none, none, self._mean_c(day))
        half_hours = (end_ms - first_ms) // HALF_HOUR_MS
        sky = make_sky(self._temperatures, groups, self._scenario.seed, first_ms, half_hours)
        return replace(sky, mean_c=self._mean_c(day))

    def _mean_c(self, day: date) -> float:
        known = day.toordinal() - int(self._temperatures.day[0])
        return float(self._temperatures.mean_c[max(known, 0)])

    def judge(self) -> None:
        """Take what was judged since the last call from each fleet."""
        ready_by_ms = deadline_ms(self._scenario.evs, self.state.day - timedelta(days=1))
        self.judged.append([_take_promises(fleets.cars, ready_by_ms) for fleets in self.arms.distinct])

    def take_outbox(self) -> list[Envelope]:
        """Nothing."""
        return []

    def take_judged(self) -> list[list[Promises]]:
        """What was judged since the last call: per planning moment, one entry per fleet."""
        judged, self.judged = self.judged, []
        return judged


def _take_promises(fleet: Fleet, ready_by_ms: int) -> Promises:
    promise_wh = fleet.state.promise_wh
    rows = np.flatnonzero(promise_wh[:, 0] >= 0)
    found = Promises(
        rows, np.full(len(rows), ready_by_ms, np.int64), promise_wh[rows, 0], promise_wh[rows, 1]
    )
    promise_wh[:, 0] = -1
    return found
