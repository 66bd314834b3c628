"""Targets T3, T4, T5 and T8 of the fact sheet on realism: heat pumps and houses as field trials saw them.

The kind is driven directly, each home through its own events, under a sky made here: half-hours of a sine
about a daily mean, warmest at 15:00, with the sun of the month. Nothing is tuned per seed.

T3: after-diversity maximum 1.7 kW per heat pump on the coldest days, in the morning; a second, lower peak in
the late afternoon; about 40 % of the peak at night (Love et al., Applied Energy 2017, n = 700). T4: seasonal
performance factor of air-source machines, median 2.8-2.93 (Electrification of Heat, n = 742). T5: slope of
delivered energy 198 W/K in the median, balance temperature 15.2-15.4 C (SERL). T8: about 4 kWh of hot water a
day, most of it 06-08 and 17-19 (DESNZ, 115,000 homes). EQUINOX: 386 homes switched off from 17:00 to 19:00 on
22 days of winter 2022-23 gave 10.8 MWh, 1.27 kWh per home and event (National Grid, November 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
from numba import njit

from devices import heat_pump
from devices.heat_pump import GROUND, HYBRID, SPACE
from devices.house import NEVER_MS
from protocol import periods
from sim.homes import make_homes
from sim.households import plan_moment_ms
from sim.kinds.heat_pumps import HeatPumpKind
from sim.kinds.kind import HALF_HOUR_MS, Sky
from sim.scenario import Homes
from sim.scenario_devices import HeatPumps

F64 = np.ndarray[Any, np.dtype[np.float64]]

HOMES = 700
SETTLING_DAYS = 5
COLD_DAY, COLD_SPELL_C = date(2024, 1, 17), 0.0
"""Mean of the coldest days of the trial, the winters 2013-14 and 2014-15 in England [mem]."""
TRIAL_GROUND_SHARE = 0.25
"""About a quarter of the trial's machines were ground-source, and none hybrid (RHPP) [mem].

The rest of the mix is the default's: a third of all run at high temperature, 15 % of the others feed a floor.
"""
OFF_HOUR = 17.0
LEFT_KWH = 0.1
"""A home that takes this much in the second half-hour of an event has left it."""
DAILY_RANGE_K = 5.0
FUEL_EFFICIENCY = HeatPumps().fuel_efficiency
YEAR = (
    (date(2024, 1, 17), 0.0, 20),
    (date(2024, 1, 24), 3.5, 35),
    (date(2024, 2, 7), 6.0, 40),
    (date(2024, 12, 4), 8.0, 40),
    (date(2024, 3, 13), 8.0, 30),
    (date(2024, 11, 6), 10.0, 35),
    (date(2024, 4, 10), 10.0, 25),
    (date(2024, 4, 24), 12.0, 25),
    (date(2024, 10, 16), 13.0, 25),
    (date(2024, 5, 15), 14.5, 25),
    (date(2024, 9, 11), 16.5, 30),
    (date(2024, 7, 17), 18.5, 35),
)
"""A dozen days (date, mean [C], days a year like it): a year of 2,000 degree-days below 15.5 C.

Between London's 1,785 and Glasgow's 2,361 (T10). The mean range of a day is as in sim.weather.
"""
SUN_W_PER_M2 = (28, 52, 98, 158, 200, 215, 207, 172, 124, 72, 36, 22)
"""Mean global irradiance by month, southern England: PVGIS order of size [mem]."""


@njit(nogil=True)
def live(
    state: Any, spec: Any, diary: Any, today: Any, until_ms: Any, off_ms: Any, import_mj: Any, heat_mj: Any,
    water_mj: Any, events: Any,
) -> None:  # fmt: skip
    """Live every row to `until_ms`; add energy by half-hour of import, heat to rooms, heat to water.

    At `off_ms` every row is told to draw nothing for two hours.
    """
    first_ms = today.first_ms
    for row in range(state.shape[0]):
        s, p, d = state[row], spec[row], diary[row]
        next_ms = max(heat_pump.next_event_ms(s, p, d, today), s.at_ms)
        if d.heats:
            next_ms = s.at_ms
        while s.at_ms < until_ms:
            now_ms = min(next_ms, (s.at_ms // HALF_HOUR_MS + 1) * HALF_HOUR_MS, until_ms)
            if s.at_ms < off_ms:
                now_ms = min(now_ms, off_ms)
            k = (s.at_ms - first_ms) // HALF_HOUR_MS
            lived_ms = now_ms - s.at_ms
            import_mj[row, k] += s.import_w * lived_ms
            heat_w = float(s.import_w) * float(s.cop)
            if s.mode == SPACE:
                heat_mj[row, k] += (heat_w + s.boiler_w) * lived_ms
            else:
                water_mj[row, k] += heat_w * lived_ms
            if now_ms == next_ms and now_ms < until_ms:
                heat_pump.happen(s, p, d, today, now_ms)
                events[row] += 1
                next_ms = heat_pump.next_event_ms(s, p, d, today)
            else:
                heat_pump.integrate(s, p, d, today, now_ms)
            if now_ms == off_ms:
                heat_pump.obey(s, p, d, today, now_ms, 0, now_ms, now_ms + 4 * HALF_HOUR_MS, 1, True)
                next_ms = heat_pump.next_event_ms(s, p, d, today)


def sky_of(day: date, mean_c: float, regions: int = 1) -> Sky:
    """A day like any other of its mean: sine, coldest at 03:00, warmest at 15:00; the sun of its month."""
    first_ms = plan_moment_ms(day)
    count = (plan_moment_ms(day + timedelta(days=1)) - first_ms) // HALF_HOUR_MS
    hour = (np.arange(count) + 0.5) / 2 + (first_ms - periods.day_start_ms(day)) / 3_600_000
    outdoor_c = mean_c - DAILY_RANGE_K / 2 * np.cos((hour - 3.0) / 24 * 2 * np.pi)
    sun = np.maximum(0.0, np.sin((hour - 6.5) / 12 * np.pi)) * (hour < 24)
    sun = sun / sun.mean() * SUN_W_PER_M2[day.month - 1]
    shape = (regions, count)
    outdoor_c, sun = (np.broadcast_to(column, shape).copy() for column in (outdoor_c, sun))
    return Sky(first_ms, outdoor_c, sun, 0.5 * sun, 0.5 * sun)


@dataclass(frozen=True)
class Lived:
    """What one day of every home was, by half-hour from 04:30 (homes, 48)."""

    spec: np.ndarray[Any, Any]
    diary: np.ndarray[Any, Any]
    import_w: F64
    heat_w: F64
    water_w: F64
    events: np.ndarray[Any, Any]
    state: np.ndarray[Any, Any]

    @property
    def clock_kw(self) -> F64:
        """Mean import of all homes by half-hour of the clock, from midnight [kW]."""
        return np.asarray(np.roll(self.import_w.mean(axis=0), 9) / 1000)


def live_day(
    kind: HeatPumpKind, day: date, mean_c: float, settle: int = SETTLING_DAYS, off_hour: float | None = None
) -> Lived:
    """The last of some days of one mean temperature; on it all may be told to stop at `off_hour` (UTC)."""
    drawn = kind.draw(plan_moment_ms(day - timedelta(days=settle)))
    spec, state = drawn.spec, drawn.state
    for ahead in range(-settle, 1):
        its_day = day + timedelta(days=ahead)
        sky = sky_of(its_day, mean_c)
        diary, today = kind.diary(drawn, its_day, sky), kind.shared_day(its_day, sky)
        count = sky.outdoor_c.shape[1]
        energy = np.zeros((3, len(spec), count))
        events = np.zeros(len(spec), np.int64)
        until_ms = sky.first_ms + count * HALF_HOUR_MS
        off_ms = NEVER_MS
        if ahead == 0 and off_hour is not None:
            off_ms = periods.day_start_ms(its_day) + int(off_hour * 3_600_000)
        live(state, spec, diary, today, until_ms, off_ms, energy[0], energy[1], energy[2], events)
    import_w, heat_w, water_w = energy / HALF_HOUR_MS
    return Lived(spec, diary, import_w, heat_w, water_w, events, state)


@cache
def population(seed: int, **given: Any) -> HeatPumpKind:
    """Homes that all own a heat pump."""
    homes = make_homes(Homes(count=HOMES, gsp_groups={"_A": 1.0}), seed)
    return HeatPumpKind(HeatPumps(**given), homes, np.arange(HOMES, dtype=np.int32), seed)


@cache
def cold_day(seed: int) -> Lived:
    """A day of a cold spell of homes as the trial's (T3)."""
    kind = population(seed, hybrid_share=0.0, buffer_share=0.0, ground_share=TRIAL_GROUND_SHARE)
    return live_day(kind, COLD_DAY, COLD_SPELL_C)


@cache
def cold_day_of_the_default(seed: int) -> Lived:
    """The same day of homes as a scenario has them by default: fewer ground-source machines, some hybrids."""
    return live_day(population(seed), COLD_DAY, COLD_SPELL_C)


@cache
def cold_day_without_hybrids(seed: int) -> Lived:
    """The same day of the default's homes, with a cylinder and a compressor alone."""
    return live_day(population(seed, hybrid_share=0.0, buffer_share=0.0), COLD_DAY, COLD_SPELL_C)


def evening_peak(kw: F64) -> tuple[float, float]:
    """The highest half-hour from 15:00 to 22:00: (start as hours of the clock, kW)."""
    evening = kw[30:44]
    return 15.0 + int(evening.argmax()) / 2, float(evening.max())


def night_share(kw: F64) -> float:
    """Mean from 23:00 to 05:00 over the highest half-hour."""
    return float(np.roll(kw, 2)[:12].mean() / kw.max())


@dataclass(frozen=True)
class Year:
    """Sums and slopes of the dozen days, (homes,)."""

    import_w: F64
    heat_w: F64
    slope_w_per_k: F64
    balance_c: F64
    spec: np.ndarray[Any, Any]
    events: tuple[float, ...]  # per home, of each of the days

    @property
    def air_source_factors(self) -> F64:
        """Heat over electricity of a year, of every air-source machine."""
        air = (self.spec["traits"] & (GROUND | HYBRID)) == 0
        return np.asarray((self.heat_w / self.import_w)[air])


@cache
def year(seed: int) -> Year:
    """Means of a year; and, as SERL, the line of daily delivered energy over outdoor temperature."""
    days = [live_day(population(seed, hybrid_share=0.0), day, mean_c, 3) for day, mean_c, _ in YEAR]
    weight = np.array([days_like_it for _, _, days_like_it in YEAR]) / 365
    mean_c = np.array([mean_c for _, mean_c, _ in YEAR])
    import_w = np.stack([day.import_w.mean(axis=1) for day in days])
    heat_w = np.stack([(day.heat_w + day.water_w).mean(axis=1) for day in days])
    delivered_w = heat_w / FUEL_EFFICIENCY
    heating, summer_w = mean_c <= 13.0, delivered_w[mean_c > 16.0].mean(axis=0)
    line = np.stack([mean_c[heating], np.ones(heating.sum())], axis=1)
    slope, level = np.linalg.lstsq(line, delivered_w[heating], rcond=None)[0]
    return Year(
        import_w=weight @ import_w,
        heat_w=weight @ heat_w,
        slope_w_per_k=-slope,
        balance_c=(summer_w - level) / slope,
        spec=days[0].spec,
        events=tuple(float(day.events.mean()) for day in days),
    )


@dataclass(frozen=True)
class Event:
    """An evening with and without two hours off, by half-hour from 17:00 (homes, half-hours)."""

    quiet_kwh: F64
    event_kwh: F64

    @property
    def avoided_kwh(self) -> float:
        """Energy not taken in the two hours, per home."""
        return float((self.quiet_kwh - self.event_kwh)[:, :4].sum(axis=1).mean())

    @property
    def back_share(self) -> float:
        """What is taken more in the four hours after, of what was avoided."""
        more = (self.event_kwh - self.quiet_kwh)[:, 4:12].sum(axis=1).mean()
        return float(more) / self.avoided_kwh

    @property
    def left_early_share(self) -> float:
        """Homes that draw again before the first half of the event is over, protection's minutes left out."""
        return float((self.event_kwh[:, 1] > LEFT_KWH).mean())


@cache
def two_hours_off(seed: int, mean_c: float = 3.5) -> Event:
    """All homes told to stop at 17:00 on a day of that mean."""
    kind = population(seed, hybrid_share=0.0, buffer_share=0.0)
    begin = round((OFF_HOUR - 4.5) * 2)
    quiet, event = (
        live_day(kind, date(2024, 1, 24), mean_c, 3, hour).import_w[:, begin : begin + 12] / 2000
        for hour in (None, OFF_HOUR)
    )
    return Event(quiet, event)


@dataclass(frozen=True)
class HotWaterDrawn:
    """Heat drawn as hot water on five weekdays [Wh]: by hour of all homes, and of a home a day."""

    by_hour_wh: F64
    by_home_wh: F64


@cache
def hot_water_drawn(seed: int) -> HotWaterDrawn:
    """What people draw from Monday to Friday."""
    kind = population(seed, hybrid_share=0.0)
    drawn = kind.draw(plan_moment_ms(date(2024, 1, 8)))
    by_hour, by_home = np.zeros(24), np.zeros(len(drawn.spec))
    for ahead in range(5):
        day = date(2024, 1, 8) + timedelta(days=ahead)
        diary = kind.diary(drawn, day, sky_of(day, 5.0))
        hour = ((diary["draw_s"] / 3600 + 4.5) % 24).astype(int)
        np.add.at(by_hour, hour, diary["draw_wh"])
        by_home += diary["draw_wh"].sum(axis=1) / 5
    return HotWaterDrawn(by_hour, by_home)
