"""Party `people`: early each morning it gives every car its day.

It also takes down which promises of the day before were kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from devices.ev import Today
from protocol.messages import I32, I64, Message
from protocol.party import Envelope
from sim.fleet import Fleet
from sim.households import deadline_ms, make_diary, plan_moment_ms, quiet_windows_ms
from sim.population import Population
from sim.scenario import Scenario
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
    """The drivers' diaries."""

    name = "people"

    def __init__(
        self,
        scenario: Scenario,
        population: Population,
        temperatures: Temperatures,
        fleets: list[Fleet],
        first_day: date,
    ) -> None:
        self._scenario = scenario
        self._population = population
        self._temperatures = temperatures
        self.fleets = fleets
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
        diary = make_diary(
            self._scenario.evs,
            self._population.drivers,
            self._population.spec["battery_mj"],
            day,
            self._mean_c(day),
            self._scenario.seed,
        )
        for fleet in self.fleets:
            fleet.plan(diary.copy(), Today(quiet_windows_ms(day), self._deadline_step_ms(day)))
        self.state.day = day + timedelta(days=1)

    def _deadline_step_ms(self, day: date) -> int:
        """From the deadline of `day` to that of the next: 23, 24 or 25 h."""
        evs = self._scenario.evs
        return deadline_ms(evs, day + timedelta(days=1)) - deadline_ms(evs, day)

    def _mean_c(self, day: date) -> float:
        return float(self._temperatures.mean_c[day.toordinal() - int(self._temperatures.day[0])])

    def judge(self) -> None:
        """Take what was judged since the last call from each fleet."""
        ready_by_ms = deadline_ms(self._scenario.evs, self.state.day - timedelta(days=1))
        self.judged.append([_take_promises(fleet, ready_by_ms) for fleet in self.fleets])

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
