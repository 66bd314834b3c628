"""Base load at second scale adds up to its half-hours, and looks like kettles, showers and fridges."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import periods
from sim import moments
from sim.homes import make_homes
from sim.households import FUSE_WH, BaseLoad
from sim.moments import HALF_HOUR_MS, MJ_PER_WH
from sim.scenario import Homes

DAY = date(2024, 1, 16)


def base_wh(count, day=DAY, seed=1):
    homes = Homes(count=count)
    numbers = np.arange(count, dtype=np.int64)
    return numbers, BaseLoad(make_homes(homes, seed), homes, seed).day_wh(numbers, day)


def of_home(told, home):
    """(ms of the day, power from then on) of one home."""
    low, high = np.searchsorted(told.home, [home, home + 1])
    return told.at_ms[low:high], np.cumsum(told.change_w[low:high], dtype=np.int64)


def energy_mj(told, home, day, count):
    """By half-hour."""
    at_ms, power_w = of_home(told, home)
    edges = periods.day_start_ms(day) + HALF_HOUR_MS * np.arange(count + 1)
    cuts = np.union1d(at_ms, edges)
    assert cuts[0] >= edges[0]
    assert cuts[-1] <= edges[-1]
    level = np.concatenate([[0], power_w])[np.searchsorted(at_ms, cuts[:-1], side="right")]
    return np.bincount((cuts[:-1] - edges[0]) // HALF_HOUR_MS, level * np.diff(cuts), count)


@pytest.mark.parametrize("day", [DAY, date(2024, 3, 31), date(2024, 10, 27), date(2024, 7, 6)])
def test_every_half_hour_gets_its_energy_on_every_kind_of_day(day):
    numbers, day_wh = base_wh(60, day)
    told = moments.moments(numbers, day_wh, day, 1)
    for home in numbers:
        found = energy_mj(told, home, day, day_wh.shape[1]) / MJ_PER_WH
        assert np.abs(found - day_wh[home]).max() < 0.01
        assert abs(found.sum() - day_wh[home].sum()) < 0.001


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, FUSE_WH) | st.integers(0, 60) | st.just(0), min_size=48, max_size=48),
    st.integers(0, 2**32),
)
def test_any_half_hours_are_met_within_a_watt_hour_and_power_is_never_negative(wanted, home):
    day_wh = np.array([wanted], np.int16)
    told = moments.moments(np.array([home], np.int64), day_wh, DAY, 7)
    assert np.abs(energy_mj(told, home, DAY, 48) / MJ_PER_WH - wanted).max() < 1
    at_ms, power_w = of_home(told, home)
    assert power_w.min(initial=0) >= 0
    assert power_w.size == 0 or power_w[-1] == 0
    assert (np.diff(at_ms) >= 0).all()


def test_a_home_is_the_same_whoever_else_is_asked_about_and_another_seed_is_another_day():
    numbers, day_wh = base_wh(30)
    told = moments.moments(numbers, day_wh, DAY, 1)
    alone = moments.moments(numbers[17:18], day_wh[17:18], DAY, 1)
    at_ms, power_w = of_home(told, 17)
    np.testing.assert_array_equal(at_ms, alone.at_ms)
    np.testing.assert_array_equal(power_w, np.cumsum(alone.change_w))
    assert moments.moments(numbers[17:18], day_wh[17:18], DAY, 2).at_ms.tolist() != alone.at_ms.tolist()


def test_no_homes_have_no_moments():
    told = moments.moments(np.empty(0, np.int64), np.empty((0, 48), np.int16), DAY, 1)
    assert told.home.size == told.at_ms.size == told.change_w.size == 0


def test_no_moment_of_the_half_hour_is_favoured():
    # 2,000 homes: what 10 s readings see within the half-hour is flat within 4 %.
    numbers, day_wh = base_wh(2000)
    told = moments.moments(numbers, day_wh, DAY, 3)
    order = np.argsort(told.at_ms, kind="stable")
    level = np.cumsum(told.change_w[order], dtype=np.int64)
    asked = periods.day_start_ms(DAY) + np.arange(0, 86_400_000, 10_000)
    seen = level[np.searchsorted(told.at_ms[order], asked, side="right") - 1].reshape(48, 180).mean(axis=0)
    assert np.abs(seen / seen.mean() - 1).max() < 0.04


def test_one_home_is_spiky_as_homes_are_and_a_thousand_are_smooth():
    numbers, day_wh = base_wh(500)
    told = moments.moments(numbers, day_wh, DAY, 1)
    start_ms = periods.day_start_ms(DAY)
    power_w = np.array([moments.power_w(told, home, start_ms, 10_000, 8640) for home in numbers])
    assert 2_000 < np.median(power_w.max(axis=1)) < 12_000
    assert power_w.max() < 23_000
    total_w = power_w.sum(axis=0)
    noise = np.diff(total_w).std() / total_w.mean()
    one = np.median(np.diff(power_w, axis=1).std(axis=1) / power_w.mean(axis=1))
    assert one / noise == pytest.approx(np.sqrt(len(numbers)), rel=0.8)


def uses(told, home):
    """(W, seconds) of every spell of 2 kW and more: a step up and the next equal step down."""
    low, high = np.searchsorted(told.home, [home, home + 1])
    at_ms, change_w = told.at_ms[low:high], told.change_w[low:high]
    for start in np.flatnonzero(change_w >= 2000):
        end = start + 1 + np.flatnonzero(change_w[start + 1 :] == -change_w[start])[0]
        yield int(change_w[start]), (at_ms[end] - at_ms[start]) / 1000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kettles_boil_some_times_a_day_for_two_to_four_minutes_and_showers_run_for_minutes(seed):
    # 2,501-3,000 W: only kettles, and now and then a heater; half of all kettles lie there.
    numbers, day_wh = base_wh(400, seed=seed)
    told = moments.moments(numbers, day_wh, DAY, seed)
    spells = [use for home in numbers for use in uses(told, home)]
    kettles = np.array([seconds for watts, seconds in spells if 2501 <= watts <= 3000])
    showers = np.array([seconds for watts, seconds in spells if watts >= 7000])
    assert 1 < kettles.size / len(numbers) < 5
    assert ((kettles >= 120) & (kettles <= 240)).mean() > 0.8
    assert 0.05 < showers.size / len(numbers) < 1
    assert ((showers >= 240) & (showers <= 540)).mean() > 0.8
