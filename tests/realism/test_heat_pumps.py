"""Targets T3, T4, T5 and T8 of the fact sheet on realism: heat pumps and houses as field trials saw them.

The kind is driven directly, each home through its own events, under a sky made here: half-hours of a sine
about a daily mean, warmest at 15:00, with the sun of the month. Nothing is tuned per seed.

T3: after-diversity maximum 1.7 kW per heat pump on the coldest days, in the morning; a second, lower peak in
the late afternoon; about 40 % of the peak at night (Love et al., Applied Energy 2017, n = 700). T4: seasonal
performance factor of air-source machines, median 2.8-2.93 (Electrification of Heat, n = 742). T5: slope of
delivered energy 198 W/K in the median, balance temperature 15.2-15.4 C (SERL). T8: about 4 kWh of hot water a
day, most of it 06-08 and 17-19 (DESNZ, 115,000 homes).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import njit

from devices import heat_pump
from devices.heat_pump import GROUND, HYBRID, SPACE
from protocol import periods
from sim.homes import make_homes
from sim.households import plan_moment_ms
from sim.kinds.heat_pumps import HeatPumpKind
from sim.kinds.kind import HALF_HOUR_MS, Sky
from sim.scenario import Homes
from sim.scenario_devices import HeatPumps

SEEDS = (1, 2, 3)
HOMES = 700
SETTLING_DAYS = 5
COLD_SPELL_C = 0.0
"""Mean of the coldest days of the trial, the winters 2013-14 and 2014-15 in England [mem]."""
TRIAL_GROUND_SHARE = 0.25
"""About a quarter of the trial's machines were ground-source, and none hybrid (RHPP) [mem]."""
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
def live(state, spec, diary, today, until_ms, off_ms, import_mj, heat_mj, water_mj, events):  # type: ignore[no-untyped-def]
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
    """What one day of every home was, by half-hour from 04:30; and by clock half-hour."""

    spec: Any
    diary: Any
    import_w: np.ndarray  # (homes, 48)
    heat_w: np.ndarray
    water_w: np.ndarray
    events: np.ndarray
    state: Any

    def by_clock(self, column: np.ndarray) -> np.ndarray:
        """Mean of all homes by half-hour of the clock."""
        return np.roll(column.mean(axis=0), 9)


def live_day(
    kind: HeatPumpKind, day: date, mean_c: float, settle: int = SETTLING_DAYS, off_hour: float | None = None
) -> Lived:
    """The last of some days of one mean temperature; on it all may be told to stop at `off_hour` (UTC)."""
    drawn = kind.draw(plan_moment_ms(day - timedelta(days=settle)))
    spec, state = drawn.spec, drawn.state
    for ahead in range(-settle, 1):
        its_day = day + timedelta(days=ahead)
        sky = sky_of(its_day, mean_c)
        diary, today = kind.diary(drawn, its_day, sky), kind.today(its_day, sky)
        count = sky.outdoor_c.shape[1]
        energy = np.zeros((3, len(spec), count))
        events = np.zeros(len(spec), np.int64)
        until_ms = sky.first_ms + count * HALF_HOUR_MS
        off_ms = heat_pump.NEVER_MS
        if ahead == 0 and off_hour is not None:
            off_ms = periods.day_start_ms(its_day) + int(off_hour * 3_600_000)
        live(state, spec, diary, today, until_ms, off_ms, *energy, events)
    import_w, heat_w, water_w = energy / HALF_HOUR_MS
    return Lived(spec, diary, import_w, heat_w, water_w, events, state)


@cache
def population(seed: int, **given: Any) -> HeatPumpKind:
    homes = make_homes(Homes(count=HOMES, gsp_groups={"_A": 1.0}), seed)
    return HeatPumpKind(HeatPumps(**given), homes, np.arange(HOMES, dtype=np.int32), seed)


@cache
def cold_day(seed: int) -> Lived:
    kind = population(seed, hybrid_share=0.0, buffer_share=0.0, ground_share=TRIAL_GROUND_SHARE)
    return live_day(kind, date(2024, 1, 17), COLD_SPELL_C)


@dataclass(frozen=True)
class Year:
    """Sums and slopes of the dozen days, shape (homes,)."""

    import_w: np.ndarray
    heat_w: np.ndarray
    slope_w_per_k: np.ndarray
    balance_c: np.ndarray
    spec: Any
    events: list[float]


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
        weight @ import_w, weight @ heat_w, -slope, (summer_w - level) / slope, days[0].spec,
        [float(day.events.mean()) for day in days],
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_t3_the_after_diversity_maximum_of_a_cold_day_is_in_the_morning(seed: int) -> None:
    day = cold_day(seed)
    kw = day.by_clock(day.import_w) / 1000
    assert kw.max() == pytest.approx(1.7, abs=0.17)
    assert 5.5 <= kw.argmax() / 2 <= 9.0


@pytest.mark.parametrize("seed", SEEDS)
def test_t3_a_second_and_lower_peak_follows_in_the_late_afternoon(seed: int) -> None:
    day = cold_day(seed)
    kw = day.by_clock(day.import_w) / 1000
    midday, evening = kw[20:30].min(), kw[30:44]
    assert 16.0 <= 15.0 + evening.argmax() / 2 <= 20.0
    assert 1.15 * midday < evening.max() < 0.97 * kw.max()


@pytest.mark.parametrize("seed", SEEDS)
def test_t3_the_night_takes_about_forty_per_cent_of_the_peak(seed: int) -> None:
    day = cold_day(seed)
    kw = day.by_clock(day.import_w) / 1000
    night = np.roll(kw, 2)[:12].mean()  # 23:00 to 05:00
    assert 0.33 <= night / kw.max() <= 0.50


@pytest.mark.parametrize("seed", SEEDS)
def test_a_heat_pump_peaks_at_less_than_the_seven_kilowatts_of_the_largest_seen(seed: int) -> None:
    """Individual maxima are 4-7 kW (84 homes), immersion heaters included, which this kind has none of."""
    highest_w = cold_day(seed).import_w.max(axis=1)
    assert 1500 < np.median(highest_w) < 4500
    assert np.percentile(highest_w, 99) < 7000


@pytest.mark.parametrize("seed", SEEDS)
def test_a_winter_day_takes_at_most_eighty_events(seed: int) -> None:
    events = cold_day(seed).events
    assert events.mean() < 80
    assert events.max() < 150
    assert max(year(seed).events) < 80


@pytest.mark.parametrize("seed", SEEDS)
def test_t4_the_median_seasonal_performance_factor_is_that_of_the_trial(seed: int) -> None:
    lived = year(seed)
    air = (lived.spec["traits"] & (GROUND | HYBRID)) == 0
    factor = (lived.heat_w / lived.import_w)[air]
    assert 2.75 <= np.median(factor) <= 2.98
    assert 0.05 < np.std(factor) < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_t5_delivered_energy_falls_with_outdoor_temperature_as_in_serl(seed: int) -> None:
    lived = year(seed)
    assert np.median(lived.slope_w_per_k) == pytest.approx(198.0, rel=0.12)
    assert np.std(lived.slope_w_per_k) == pytest.approx(119.0, rel=0.25)
    assert np.median(lived.balance_c) == pytest.approx(15.3, abs=0.6)


@pytest.mark.parametrize("seed", SEEDS)
def test_t8_people_draw_four_kilowatt_hours_of_hot_water_a_day_mostly_morning_and_evening(seed: int) -> None:
    kind = population(seed, hybrid_share=0.0)
    drawn = kind.draw(plan_moment_ms(date(2024, 1, 8)))
    by_hour, by_home = np.zeros(24), np.zeros(len(drawn.spec))
    for ahead in range(5):  # Monday to Friday
        day = date(2024, 1, 8) + timedelta(days=ahead)
        diary = kind.diary(drawn, day, sky_of(day, 5.0))
        hour = ((diary["draw_s"] / 3600 + 4.5) % 24).astype(int)
        np.add.at(by_hour, hour, diary["draw_wh"])
        by_home += diary["draw_wh"].sum(axis=1) / 5
    assert np.median(by_home) == pytest.approx(4000, rel=0.08)
    two_hours = by_hour + np.roll(by_hour, -1)
    assert two_hours.argmax() == 6
    assert 13 + two_hours[13:].argmax() == 17
    assert 0.2 < two_hours[6] / by_hour.sum() < 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cylinder_takes_the_hot_water_drawn_and_one_or_two_kilowatt_hours_of_standing_loss(
    seed: int,
) -> None:
    day = live_day(population(seed, hybrid_share=0.0), date(2024, 3, 13), 8.0, 3)
    taken_wh, drawn_wh = day.water_w.mean() * 24, day.diary["draw_wh"].sum(axis=1).mean()
    assert 1000 < taken_wh - drawn_wh < 2000


@pytest.mark.parametrize("seed", SEEDS)
def test_two_hours_off_give_part_of_the_energy_back_within_four(seed: int) -> None:
    """30-70 % of the avoided energy back in 2-4 h: commonly quoted [mem], so the band is wide."""
    kind = population(seed, hybrid_share=0.0, buffer_share=0.0)
    quiet, event = (
        live_day(kind, date(2024, 1, 24), 3.5, 3, off_hour).import_w.mean(axis=0) / 2
        for off_hour in (None, 17.0)
    )
    saved_wh = quiet - event
    begin = round((17.0 - 4.5) * 2)
    assert saved_wh[:begin] == pytest.approx(np.zeros(begin), abs=1e-9)
    avoided_wh, back_wh = saved_wh[begin : begin + 4].sum(), -saved_wh[begin + 4 : begin + 12].sum()
    assert avoided_wh > 600
    assert 0.15 < back_wh / avoided_wh < 0.8
