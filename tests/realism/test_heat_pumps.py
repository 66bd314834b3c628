"""Heat pumps beyond their targets (`test_targets.py`): single machines, cylinders, events, their cost."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from studies.realism.heat_pumps import (
    cold_day,
    cold_day_without_hybrids,
    hot_water_drawn,
    live_day,
    population,
    two_hours_off,
    year,
)
from studies.realism.target import SEEDS

of_each_seed = pytest.mark.parametrize("seed", SEEDS)


@of_each_seed
def test_a_second_peak_follows_the_quiet_of_midday_before_eight(seed: int) -> None:
    kw = cold_day(seed).clock_kw
    assert 16.0 <= 15.0 + kw[30:44].argmax() / 2 <= 19.5
    assert kw[30:44].max() > 1.15 * kw[20:30].min()


@of_each_seed
def test_the_default_mix_peaks_higher_than_the_trials_ground_source_homes(seed: int) -> None:
    """T3 is held with the trial's mix: 25 % ground-source, no hybrids (RHPP). The default's 5 % takes more.

    Air-source machines take some half more at 0 C: (0.05 + 0.95 x 1.5) / (0.25 + 0.75 x 1.5) = 1.07.
    """
    trial, default = cold_day(seed).clock_kw.max(), cold_day_without_hybrids(seed).clock_kw.max()
    assert 1.03 < default / trial < 1.12


@of_each_seed
def test_a_heat_pump_peaks_at_less_than_the_seven_kilowatts_of_the_largest_seen(seed: int) -> None:
    """Individual maxima are 4-7 kW (84 homes), immersion heaters included, which this kind has none of."""
    highest_w = cold_day(seed).import_w.max(axis=1)
    assert 1500 < np.median(highest_w) < 4500
    assert np.percentile(highest_w, 99) < 7000


@of_each_seed
def test_a_winter_day_takes_at_most_eighty_events(seed: int) -> None:
    events = cold_day(seed).events
    assert events.mean() < 80
    assert events.max() < 150
    assert max(year(seed).events) < 80


@of_each_seed
def test_seasonal_performance_differs_between_machines(seed: int) -> None:
    assert 0.05 < np.std(year(seed).air_source_factors) < 0.5


@of_each_seed
def test_people_draw_four_kilowatt_hours_of_hot_water_a_day_mostly_morning_and_evening(seed: int) -> None:
    drawn = hot_water_drawn(seed)  # T8
    assert np.median(drawn.by_home_wh) == pytest.approx(4000, rel=0.08)
    two_hours = drawn.by_hour_wh + np.roll(drawn.by_hour_wh, -1)
    assert two_hours.argmax() == 6
    assert 13 + two_hours[13:].argmax() == 17
    assert 0.2 < two_hours[6] / drawn.by_hour_wh.sum() < 0.5


@of_each_seed
def test_a_cylinder_takes_the_water_drawn_and_one_or_two_kilowatt_hours_of_standing_loss(seed: int) -> None:
    day = live_day(population(seed, hybrid_share=0.0), date(2024, 3, 13), 8.0, 3)
    taken_wh, drawn_wh = day.water_w.mean() * 24, day.diary["draw_wh"].sum(axis=1).mean()
    assert 1000 < taken_wh - drawn_wh < 2000


@of_each_seed
def test_two_hours_off_give_part_of_the_energy_back_within_four(seed: int) -> None:
    """30-70 % of the avoided energy back in 2-4 h: commonly quoted [mem], so the band is wide."""
    event = two_hours_off(seed)
    assert event.avoided_kwh > 1.0
    assert 0.15 < event.back_share < 0.8


@of_each_seed
def test_a_home_that_was_set_back_does_not_leave_an_event_at_once(seed: int) -> None:
    """EQUINOX: 1.27 kWh for each home and event, 17:00-19:00, 22 winter days, opted out or not.

    So homes that stay in give more than that, and few leave on an ordinary winter day.
    """
    cool, mild = two_hours_off(seed), two_hours_off(seed, 8.0)
    assert cool.left_early_share < 0.10
    assert mild.avoided_kwh > 1.27
    assert cool.avoided_kwh > mild.avoided_kwh
