"""White goods as CREST counts them: cycles and energy of a year, hours of the day, what messages move.

CREST: Richardson et al., Energy and Buildings 42 (2010). Beside the thirteen targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from devices import appliance, fridge
from protocol import periods
from sim.homes import make_homes
from sim.households import plan_moment_ms
from sim.kinds.appliances import Appliances
from sim.kinds.fridges import FridgeFreezers
from sim.kinds.kind import Sky
from sim.scenario import Homes
from sim.scenario_devices import Dishwashers, Fridges

F64 = np.ndarray[Any, np.dtype[np.float64]]

OWNERS, DAYS = 2000, 28
START = date(2024, 1, 8)
"""A Monday."""
MJ_PER_KWH = 3_600_000_000
STARTED, FINISHED, MOVED = 41, 42, 43
"""What an appliance tells (`devices.appliance.EventKind`)."""


def make_play(device: Any) -> Any:
    """A compiled stretch of every row by its own events: adds what was told from `count_from_ms` on."""
    happen, next_event_ms, integrate = device.happen, device.next_event_ms, device.integrate

    @njit(nogil=True)
    def play(
        state: Any, spec: Any, diary: Any, today: Any, count_from_ms: Any, until_ms: Any, told: Any
    ) -> None:
        for row in range(state.shape[0]):
            s, p, d = state[row], spec[row], diary[row]
            while True:
                event_ms = next_event_ms(s, p, d, today)
                if event_ms >= until_ms:
                    break
                bits, _ = happen(s, p, d, today, event_ms)
                if event_ms < count_from_ms:
                    continue
                told[row, 0] += 1
                for kind in range(41, 44):
                    told[row, kind - 40] += bits >> kind & 1
            integrate(s, p, d, today, until_ms)

    return play


PLAYS = {module.__name__: make_play(module) for module in (appliance, fridge)}


def sky_of(day: date) -> Sky:
    """White goods do not look at the sky."""
    none = np.zeros((14, 48))
    return Sky(plan_moment_ms(day), none, none, none, none)


def kind_of(settings: Any, seed: int, owners: int = OWNERS) -> Any:
    """The kind of device of these settings, one in every home."""
    numbers = np.arange(owners, dtype=np.int32)
    made: Any = FridgeFreezers if isinstance(settings, Fridges) else Appliances
    return made(settings, make_homes(Homes(count=owners), seed), numbers, seed)


def live(kind: Any, drawn: Any, day: date, until_ms: int, count_from_ms: int = 0) -> np.ndarray[Any, Any]:
    """Live on until then; gives counts of events and of what was told, STARTED, FINISHED, MOVED (rows, 4)."""
    told = np.zeros((len(drawn.spec), 4), np.int64)
    diary, today = kind.diary(drawn, day, sky_of(day)), kind.shared_day(day, sky_of(day))
    play = PLAYS[kind.device.__name__]
    play(drawn.state, drawn.spec, diary, today, count_from_ms, until_ms, told)
    return told


def loads_of(kind: Any, drawn: Any, days: int = DAYS) -> F64:
    """Starts by local hour, of weekdays and of weekends, as the owners choose (2, 24)."""
    hours = np.zeros((2, 24))
    for ahead in range(days):
        day = START + timedelta(days=ahead)
        diary = kind.diary(drawn, day, sky_of(day))
        for name in ("start1_ms", "start2_ms"):
            start_ms = diary[name][diary[name] < appliance.NEVER_MS]
            hour = (start_ms - periods.day_start_ms(day)) // 3_600_000 % 24
            hours[int(day.weekday() >= 5)] += np.bincount(hour, minlength=24)
    return hours


@dataclass(frozen=True)
class Use:
    """What one device does in a year."""

    cycles: float
    kwh: float


@cache
def fridge_year(seed: int, owners: int = 300, days: int = 5) -> Use:
    """Cycles and energy of a fridge-freezer, from some days."""
    kind = kind_of(Fridges(), seed, owners)
    start_ms = plan_moment_ms(START)
    drawn = kind.draw(start_ms)
    told = live(kind, drawn, START, start_ms + days * 86_400_000)
    kwh = float(drawn.state["register_mj"].sum()) / MJ_PER_KWH / owners / days * 365
    return Use(float(told[:, 0].mean()) / 2 / days * 365, kwh)


def week_of(settings: Any, seed: int, owners: int = 400) -> Use:
    """Loads finished and energy taken in a week lived, as of a year."""
    kind = kind_of(settings, seed, owners)
    drawn = kind.draw(plan_moment_ms(START))
    finished = 0
    for ahead in range(7):
        day = START + timedelta(days=ahead)
        told = live(kind, drawn, day, plan_moment_ms(day + timedelta(days=1)))
        finished += int(told[:, FINISHED - 40].sum())
    years = owners * 7 / 365
    return Use(finished / years, float(drawn.state["register_mj"].sum()) / MJ_PER_KWH / years)


@dataclass(frozen=True)
class Message:
    """What a message of the morning does to the evening's loads."""

    moved: int
    started: int
    moved_by_hand: int


def message_of_the_morning(seed: int, owners: int = 1500) -> Message:
    """Owners of dishwashers are told at 08:00 to draw nothing from 18:00 to 20:00."""
    kind = kind_of(Dishwashers(), seed, owners)
    drawn = kind.draw(plan_moment_ms(START))
    diary, today = kind.diary(drawn, START, sky_of(START)), kind.shared_day(START, sky_of(START))
    message_ms, begin_ms, end_ms = (periods.local_clock_ms(START, hour) for hour in (8, 18, 20))
    live(kind, drawn, START, message_ms)
    _tell_all(drawn.state, drawn.spec, diary, today, message_ms, begin_ms, end_ms)
    told = live(kind, drawn, START, end_ms, begin_ms)
    moved = told[:, MOVED - 40]
    by_hand = moved[diary["acts"] == appliance.BY_HAND]
    return Message(int(moved.sum()), int(told[:, STARTED - 40].sum()), int(by_hand.sum()))


@njit(nogil=True)
def _tell_all(state: Any, spec: Any, diary: Any, today: Any, now_ms: Any, begin_ms: Any, end_ms: Any) -> None:
    for row in range(state.shape[0]):
        appliance.obey(state[row], spec[row], diary[row], today, now_ms, 0, begin_ms, end_ms, 1, True)
