"""Base load and diaries: any day alone is that day in a series, and clock changes are lived right."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.ev import NEVER_MS
from protocol import periods
from protocol.periods import clock_half_hours
from sim.homes import make_homes
from sim.households import (
    DAILY_KWH,
    PROFILE_ANNUAL_WH,
    WINTER_WEEKDAY_KW,
    BaseLoad,
    log_normal_factors,
    make_diary,
    mean_shape_kw,
    plan_moment_ms,
    quiet_windows_ms,
)
from sim.population import make_population
from sim.scenario import Clock, Evs, Homes, Scenario

SHORT_DAY, LONG_DAY, DAY = date(2024, 3, 31), date(2024, 10, 27), date(2024, 1, 16)
HOUR_MS = 3_600_000
days = st.dates(date(2020, 1, 1), date(2030, 12, 31))


def base_load(count=50, seed=1, workers=1, **homes):
    home_settings = Homes(count=count, **homes)
    return BaseLoad(make_homes(home_settings, seed), home_settings, seed, workers)


def everybody(count=50):
    return np.arange(count, dtype=np.int64)


# ---------------------------------------------------------------------------------------------- base load


@pytest.mark.parametrize(("day", "count"), [(DAY, 48), (SHORT_DAY, 46), (LONG_DAY, 50)])
def test_a_day_has_as_many_half_hours_as_the_clock(day, count):
    assert base_load().day_wh(everybody(), day).shape == (50, count)


def test_without_variation_every_half_hour_is_that_of_the_clock():
    base = base_load(1, day_log_sd=0, half_hour_log_sd=0, annual_log_sd=0, annual_median_wh=PROFILE_ANNUAL_WH)
    for day in (DAY, SHORT_DAY, LONG_DAY):
        expected = np.floor(mean_shape_kw(day)[clock_half_hours(day)] * 500 + 0.5)
        assert base.day_wh(everybody(1), day)[0].tolist() == expected.tolist()


def test_a_winter_weekday_is_the_published_profile_scaled_to_the_published_energy():
    # Elexon Profile Class 1: 0.33 kW at midnight, 0.92 kW at 17:30; 12.29 kWh in all.
    assert mean_shape_kw(DAY).sum() / 2 == pytest.approx(12.29)
    assert mean_shape_kw(DAY) / mean_shape_kw(DAY)[0] == pytest.approx(WINTER_WEEKDAY_KW / 0.33)
    assert (WINTER_WEEKDAY_KW[0], WINTER_WEEKDAY_KW[35]) == (0.33, 0.92)


@given(days)
def test_every_day_has_the_energy_of_its_season_and_kind(day):
    assert mean_shape_kw(day).sum() / 2 == pytest.approx(
        DAILY_KWH[periods.season(day)][periods.day_type(day)]
    )
    assert (mean_shape_kw(day) > 0.1).all()


@settings(max_examples=20, deadline=None)
@given(days, st.lists(st.integers(0, 49), min_size=1, unique=True))
def test_any_home_and_any_day_alone_are_what_they_are_in_a_series(day, numbers):
    base = base_load()
    series = {ahead: base.day_wh(everybody(), day + timedelta(days=ahead)) for ahead in (-1, 0, 1)}
    alone = base_load().day_wh(np.array(numbers, np.int64), day)
    assert np.array_equal(alone, series[0][numbers])


def test_workers_change_nothing():
    one, three = (base_load(workers=workers).day_wh(everybody(), DAY) for workers in (1, 3))
    assert np.array_equal(one, three)


def test_another_seed_another_day_and_another_home_are_another_load():
    load = base_load(annual_log_sd=0).day_wh(everybody(), DAY)
    assert not np.array_equal(load, base_load(annual_log_sd=0, seed=2).day_wh(everybody(), DAY))
    assert not np.array_equal(load, base_load(annual_log_sd=0).day_wh(everybody(), DAY + timedelta(days=1)))
    assert len({tuple(home) for home in load.tolist()}) == 50


def test_half_hours_vary_around_a_factor_of_exactly_one():
    factors = log_normal_factors(0.55)
    assert factors.mean() == pytest.approx(1.0, abs=1e-12)
    assert np.log(factors).std() == pytest.approx(0.55, abs=1e-3)
    assert (log_normal_factors(0.0) == 1.0).all()


def test_a_home_s_days_resemble_each_other_as_asked():
    base = base_load(3_000, half_hour_log_sd=0, annual_log_sd=0, day_log_sd=0.25, day_autocorrelation=0.6)
    logs = np.log(
        [base.day_wh(everybody(3_000), DAY + timedelta(days=ahead)).sum(axis=1) for ahead in (0, 1, 7)]
    )
    assert logs.std(axis=1) == pytest.approx([0.25] * 3, abs=0.015)
    # Six days of memory: lag one is 0.6 (1 - 0.6**10) / (1 - 0.6**12) = 0.598; lag seven is nothing.
    assert np.corrcoef(logs[0], logs[1])[0, 1] == pytest.approx(0.598, abs=0.05)
    assert np.corrcoef(logs[0], logs[2])[0, 1] == pytest.approx(0.0, abs=0.08)


# ------------------------------------------------------------------------------------------------ diaries


def drivers_of(evs, count=400):
    return make_population(
        Scenario(flextwin=1, name="diary", clock=Clock(start=DAY), homes=Homes(count=count), evs=evs)
    )


BUSY = Evs(
    share=1.0,
    late_arrival_share=0.3,
    early_unplug_share=0.3,
    boost_share=0.3,
    random_delay_ms=1_800_000,
)
PEOPLE = drivers_of(BUSY)


def diary_of(day, *, evs=BUSY, people=PEOPLE, temperature_c=5.0, seed=1):
    return make_diary(evs, people.drivers, people.spec["battery_mj"], day, temperature_c, seed)


def assert_in_order(day, evs=BUSY):
    diary = diary_of(day, evs=evs)
    drives = diary["leave_ms"] < NEVER_MS
    there = diary[drives]
    assert np.array_equal(drives, diary["return_ms"] < NEVER_MS)
    assert (plan_moment_ms(day) < there["leave_ms"]).all()
    assert (there["leave_ms"] < there["return_ms"]).all()
    assert (there["return_ms"] <= plan_moment_ms(day + timedelta(days=1))).all()
    assert (there["start_ms"] >= there["return_ms"]).all()
    assert (there["unplug_ms"] >= there["return_ms"]).all()
    assert (diary["start_ms"][~drives] == plan_moment_ms(day)).all()
    assert (diary["unplug_ms"][~drives] == NEVER_MS).all()


@settings(max_examples=60, deadline=None)
@given(days.filter(lambda day: periods.period_count(day + timedelta(days=1)) != 46))
def test_a_day_is_planned_then_left_then_returned_from_before_the_next_is_planned(day):
    assert_in_order(day)


@pytest.mark.parametrize("day", [SHORT_DAY, LONG_DAY, LONG_DAY - timedelta(days=1)])
def test_so_it_is_when_the_clocks_change(day):
    assert_in_order(day)


@pytest.mark.parametrize("day", [DAY, SHORT_DAY, LONG_DAY, SHORT_DAY - timedelta(days=1)])
def test_a_session_cut_short_is_cut_before_its_diary_ends(day):
    everybody_early = BUSY.model_copy(update={"early_unplug_share": 1.0})
    diary = diary_of(day, evs=everybody_early)
    drives = diary["return_ms"] < NEVER_MS
    unplug_ms = diary["unplug_ms"][drives]
    assert (unplug_ms < plan_moment_ms(day + timedelta(days=1))).all()
    sessions_ms = unplug_ms - diary["return_ms"][drives]
    assert sessions_ms.max() > 7.5 * HOUR_MS


NIGHT_OWLS = BUSY.model_copy(update={"return_weekend": ((27.5, 0.5, 1.0),)})


def test_so_it_is_for_those_who_come_home_in_the_small_hours():
    assert_in_order(SHORT_DAY, NIGHT_OWLS)
    assert_in_order(LONG_DAY - timedelta(days=1), NIGHT_OWLS)


def test_so_it_is_for_them_on_the_eve_of_the_short_day():
    assert_in_order(SHORT_DAY - timedelta(days=1), NIGHT_OWLS)


def test_a_driver_s_day_depends_on_nobody_else():
    rows = np.array([3, 77, 5])
    whole = diary_of(DAY)
    drivers = PEOPLE.drivers
    few = type(drivers)(*(getattr(drivers, name)[rows] for name in drivers.__slots__))
    alone = make_diary(BUSY, few, PEOPLE.spec["battery_mj"][rows], DAY, 5.0, 1)
    assert alone.tolist() == whole[rows].tolist()


def test_one_cause_moves_no_other():
    plain = diary_of(DAY, evs=BUSY.model_copy(update={"boost_share": 0.0, "early_unplug_share": 0.0}))
    busy = diary_of(DAY)
    for column in set(plain.dtype.names) - {"look_ms", "unplug_ms"}:
        assert np.array_equal(plain[column], busy[column]), column
    assert (plain["look_ms"] == NEVER_MS).all()
    assert (plain["unplug_ms"] == NEVER_MS).all()


def test_the_plan_is_made_at_half_past_four_local_time_also_in_summer():
    assert plan_moment_ms(DAY) == periods.day_start_ms(DAY) + 4.5 * HOUR_MS
    assert plan_moment_ms(SHORT_DAY) == periods.day_start_ms(SHORT_DAY) + 3.5 * HOUR_MS
    assert plan_moment_ms(LONG_DAY) == periods.day_start_ms(LONG_DAY) + 5.5 * HOUR_MS


@pytest.mark.parametrize("day", [DAY, SHORT_DAY, LONG_DAY, date(2024, 7, 2)])
def test_the_deadline_is_at_seven_by_the_clock(day):
    assert (diary_of(day)["ready_ms"] == periods.local_clock_ms(day, 7)).all()


def test_the_random_delay_is_up_to_what_was_asked_for():
    delay_s = diary_of(DAY)["delay_s"]
    assert delay_s.min() >= 0
    assert 1_700 < delay_s.max() < 1_800
    drives = diary_of(DAY)["leave_ms"] < NEVER_MS
    waits_ms = (diary_of(DAY)["start_ms"] - diary_of(DAY)["return_ms"])[drives]
    assert np.array_equal(waits_ms, delay_s[drives] * 1000)


def test_driving_takes_a_quarter_more_at_freezing_point_and_nothing_more_from_fifteen_degrees_on():
    warm, mild, cold = (diary_of(DAY, temperature_c=c)["drive_mj"].sum() for c in (25.0, 15.0, 0.0))
    assert warm == mild
    assert cold / mild == pytest.approx(1.25, rel=1e-3)


def test_four_days_of_five_are_driven():
    drives = np.array([diary_of(DAY + timedelta(days=k))["leave_ms"] < NEVER_MS for k in range(20)])
    assert drives.mean() == pytest.approx(0.8, abs=0.02)  # 8,000 driver-days: 4.5 standard errors


def test_peak_hours_of_the_preset_schedule_are_on_weekdays_by_the_clock():
    summer_tuesday = date(2024, 7, 2)
    midnight_ms = periods.day_start_ms(summer_tuesday)
    assert ((quiet_windows_ms(summer_tuesday) - midnight_ms) / HOUR_MS).tolist() == [[8, 11], [16, 22]]
    assert quiet_windows_ms(SHORT_DAY).shape == (0, 2)  # a Sunday
    assert quiet_windows_ms(date(2024, 1, 20)).shape == (0, 2)  # a Saturday
