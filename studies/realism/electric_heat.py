"""Target T8 and the night of storage heaters: each home lives by its own events.

Homes of one GSP Group whose night is 00:30-07:30 GMT (London), in a cold week of January.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from devices import hot_water, resistive_heater, storage_heater
from sim.homes import make_homes
from sim.households import plan_moment_ms
from sim.kinds.hot_water import HotWaterCylinders
from sim.kinds.kind import Drawn, Sky
from sim.kinds.resistive_heaters import ResistiveHeaterHomes
from sim.kinds.storage_heaters import StorageHeaterHomes
from sim.scenario import Homes
from sim.scenario_devices import HotWater, NightSwitch, ResistiveHeaters, StorageHeaters

F64 = np.ndarray[Any, np.dtype[np.float64]]

HOMES = 600
MINUTE_MS = 60_000
MJ_PER_KWH = 3_600_000_000
FIRST_DAY = date(2024, 1, 15)
"""A Monday."""
NIGHT = "00:30"


def make_play(device: Any) -> Any:
    """A compiled day of every row by its own events: adds the energy of each minute [mJ], counts events."""
    happen, next_event_ms, integrate = device.happen, device.next_event_ms, device.integrate

    @njit(nogil=True)
    def play(
        state: Any, spec: Any, diary: Any, today: Any, first_ms: Any, until_ms: Any, minute_mj: Any
    ) -> int:
        lived = 0
        for row in range(state.shape[0]):
            s, p, d = state[row], spec[row], diary[row]
            while True:
                event_ms = next_event_ms(s, p, d, today)
                end_ms = min(event_ms, until_ms)
                now_ms = s.at_ms
                while now_ms < end_ms and s.import_w != 0:
                    minute = (now_ms - first_ms) // 60_000
                    then_ms = min(end_ms, first_ms + (minute + 1) * 60_000)
                    minute_mj[row, minute] += s.import_w * (then_ms - now_ms)
                    now_ms = then_ms
                if event_ms >= until_ms:
                    integrate(s, p, d, today, until_ms)
                    break
                happen(s, p, d, today, event_ms)
                lived += 1
        return lived

    return play


PLAYS = {module.__name__: make_play(module) for module in (storage_heater, hot_water, resistive_heater)}


def winter_sky(day: date, mean_c: float) -> Sky:
    """One region, warmest in the afternoon by 3 K; dark."""
    half_hour = np.arange(48) / 2 + 4.5
    outdoor_c = (mean_c + 3.0 * np.cos((half_hour - 15.0) / 24 * 2 * np.pi))[None, :]
    dark = np.zeros_like(outdoor_c)
    return Sky(plan_moment_ms(day), outdoor_c, dark, dark, dark)


@dataclass(frozen=True)
class Lived:
    """Some days of all homes; the power is that of the last."""

    power_w: F64  # (rows, minutes from 04:30)
    state: np.ndarray[Any, Any]
    drawn: Drawn
    events: float  # per row and day
    days: int

    def by_clock(self, minutes: int) -> F64:
        """Mean of all homes by so many minutes of the clock, from midnight [kW]."""
        power_w = np.roll(self.power_w.mean(axis=0), -place("00:00"))
        return np.asarray(power_w.reshape(-1, minutes).mean(axis=1) / 1000)


def live(kind: Any, days: int, mean_c: float = 4.0) -> Lived:
    """Some days, each home by its own events."""
    drawn = kind.draw(plan_moment_ms(FIRST_DAY))
    lived = 0
    for k in range(days):
        day = FIRST_DAY + timedelta(days=k)
        sky = winter_sky(day, mean_c)
        minute_mj = np.zeros((len(drawn.spec), 1440), np.int64)
        until_ms = plan_moment_ms(day + timedelta(days=1))
        diary, today = kind.diary(drawn, day, sky), kind.shared_day(day, sky)
        play = PLAYS[kind.device.__name__]
        lived += play(drawn.state, drawn.spec, diary, today, sky.first_ms, until_ms, minute_mj)
    return Lived(minute_mj / MINUTE_MS, drawn.state, drawn, lived / days / len(drawn.spec), days)


def place(clock: str) -> int:
    """The minute of a day from 04:30 that shows `clock`."""
    hours, minutes = (int(part) for part in clock.split(":"))
    return (hours * 60 + minutes - 270) % 1440


def london_homes(seed: int) -> Any:
    """(homes, numbers, seed) as a kind of device takes them."""
    return (
        make_homes(Homes(count=HOMES, gsp_groups={"_C": 1.0}), seed),
        np.arange(HOMES, dtype=np.int32),
        seed,
    )


def storage_homes(seed: int, **settings: Any) -> StorageHeaterHomes:
    """Homes with storage heaters."""
    return StorageHeaterHomes(StorageHeaters(**settings), *london_homes(seed))


def cylinders(seed: int, **settings: Any) -> HotWaterCylinders:
    """Homes with an immersion heater."""
    return HotWaterCylinders(HotWater(**settings), *london_homes(seed))


def panel_homes(seed: int) -> ResistiveHeaterHomes:
    """Homes with panel heaters."""
    return ResistiveHeaterHomes(ResistiveHeaters(), *london_homes(seed))


@cache
def cylinder_week(seed: int) -> Lived:
    """Monday to Friday of all cylinders."""
    return live(cylinders(seed), days=5)


@cache
def hot_water_by_hour(seed: int) -> F64:
    """Heat drawn by hour of the clock, Monday to Friday [kWh per home and day] (24,)."""
    kind = cylinders(seed)
    drawn = kind.draw(plan_moment_ms(FIRST_DAY))
    hourly = np.zeros(24)
    for k in range(5):
        day = FIRST_DAY + timedelta(days=k)
        diary = kind.diary(drawn, day, winter_sky(day, 4.0))
        hour = ((diary["draw_s"] / 3600 + 4.5) % 24).astype(int)
        hourly += np.bincount(hour.ravel(), diary["draw_kj"].ravel(), 24)
    return hourly / 3600 / 5 / HOMES


def median_hot_water_kwh(seed: int) -> float:
    """What the median home draws in a day [kWh]."""
    week = cylinder_week(seed)
    return float(np.median(week.state["used_mj"])) / MJ_PER_KWH / week.days


@cache
def storage_night(seed: int) -> Lived:
    """The fourth cold day of storage heaters on their old switches."""
    return live(storage_homes(seed), days=4)


@cache
def switched_night(seed: int) -> Lived:
    """A night behind smart meters' load switches alone."""
    switch = NightSwitch(teleswitch_share=0.0)
    return live(storage_homes(seed, switch=switch, boost_share=0.0), days=1)


def ramp_error(seed: int) -> float:
    """How far the first half-hour of a switched night is from a straight line, at most."""
    on = (switched_night(seed).power_w > 0).mean(axis=0)
    begins = place(NIGHT)
    ramp = on[begins : begins + 30] / on[begins + 31]
    return float(np.abs(ramp - (np.arange(30) + 1) / 30).max())
