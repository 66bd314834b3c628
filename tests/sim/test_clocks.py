"""Devices' own clocks: what they show, when they act, and who is not fooled by them (faults K2)."""

import math

import numpy as np
import pytest

from protocol.periods import DAY_MS
from sim.clocks import EPOCHS_MS, DeviceClocks
from sim.scenario import Clocks

NOON_MS = 1_705_406_400_000  # 2024-01-16 12:00 UTC
MINUTE_MS, HOUR_MS = 60_000, 3_600_000


def clocks(count=20_000, seed=3, **faults):
    return DeviceClocks.of(Clocks(**faults), np.arange(count, dtype=np.int64) * 7 + 1, seed)


def rows_of(count=20_000):
    return np.arange(count, dtype=np.int32)


def shown(own, at_ms, count=20_000):
    return own.shown_ms(rows_of(count), np.full(count, at_ms, np.int64))


def test_no_fault_is_no_clock_at_all():
    assert DeviceClocks.of(Clocks(), np.arange(3), 1) is None


def test_skew_is_constant_has_the_given_spread_and_no_clock_is_out_by_more_than_three_of_it():
    own = clocks(skew_sd_ms=100_000)
    ahead_ms = shown(own, NOON_MS) - NOON_MS
    assert np.array_equal(shown(own, NOON_MS + DAY_MS) - NOON_MS - DAY_MS, ahead_ms)
    assert abs(ahead_ms.mean()) < 4 * 100_000 / math.sqrt(20_000)
    assert ahead_ms.std() == pytest.approx(98_700, rel=0.02)  # a normal cut at three deviations: 0.987
    assert np.abs(ahead_ms).max() <= 300_000


def test_a_clock_of_50_ppm_drifts_by_at_most_4_32_seconds_a_day_and_never_by_more_than_until_it_is_set():
    own = clocks(drift_ppm=50.0, set_every_ms=7 * DAY_MS)
    drift_ms = shown(own, NOON_MS + HOUR_MS) - shown(own, NOON_MS) - HOUR_MS
    slow = np.abs(drift_ms) <= 181  # 50e-6 h, and rounding
    assert 1.0 > slow.mean() > 0.98  # 1 in 168 was set within the hour
    assert np.abs(drift_ms[slow]).max() > 175
    assert np.abs(shown(own, NOON_MS) - NOON_MS).max() <= 7 * 4_320


def test_a_reset_clock_shows_the_time_since_it_began_again_at_an_epoch_until_it_is_set_right():
    own = clocks(reset_share=0.2, wrong_for_ms=2 * HOUR_MS)
    seen_ms = shown(own, NOON_MS)
    wrong = seen_ms != NOON_MS
    # A fifth of clocks a day, each wrong for two hours on average: 1 in 60 at any time.
    assert wrong.mean() == pytest.approx(0.2 * 2 / 24, rel=0.2)
    by_epoch = [(seen_ms[wrong] >= epoch) & (seen_ms[wrong] < epoch + DAY_MS) for epoch in EPOCHS_MS]
    assert (by_epoch[0] ^ by_epoch[1]).all()
    assert by_epoch[0].mean() == pytest.approx(0.5, abs=0.12)
    assert shown(own, NOON_MS + 3 * DAY_MS)[wrong].max() == NOON_MS + 3 * DAY_MS


def test_a_clock_that_jumps_back_goes_on_from_there():
    own = clocks(jump_back_share=0.5, jump_back_ms=HOUR_MS)
    error_ms = shown(own, NOON_MS) - NOON_MS
    assert set(error_ms.tolist()) == {0, -HOUR_MS}


@pytest.mark.parametrize(
    "faults",
    [{"skew_sd_ms": 100_000}, {"jump_back_share": 0.9, "wrong_for_ms": 12 * HOUR_MS}],
    ids=["skewed", "jumped back"],
)
def test_a_device_acts_at_the_moment_at_which_its_clock_shows_the_order_s(faults):
    own = clocks(**faults)
    now_ms = np.full(20_000, NOON_MS, np.int64)
    at_ms = own.true_ms(rows_of(), now_ms + HOUR_MS, now_ms)
    late_ms = own.shown_ms(rows_of(), at_ms) - (NOON_MS + HOUR_MS)
    # Clocks set right meanwhile show more than the moment at once, others show it to the millisecond.
    assert (late_ms == 0).mean() > 0.6
    assert late_ms.min() >= -1 or "jump_back_share" in faults


def test_a_reset_device_begins_when_its_clock_is_set_right_and_not_in_54_years():
    own = clocks(reset_share=1.0, wrong_for_ms=2 * HOUR_MS)
    now_ms = np.full(20_000, NOON_MS, np.int64)
    wrong = shown(own, NOON_MS) != NOON_MS
    begins_ms = own.true_ms(rows_of(), now_ms, now_ms)
    assert (begins_ms[~wrong] == NOON_MS).all()
    assert wrong.any()
    assert (begins_ms[wrong] > NOON_MS).all()
    assert (begins_ms[wrong] < NOON_MS + DAY_MS).all()
    assert np.array_equal(own.shown_ms(rows_of(), begins_ms)[wrong], begins_ms[wrong])


def test_what_a_clock_shows_depends_on_device_and_moment_alone():
    whole = clocks(skew_sd_ms=5_000, drift_ppm=50.0, reset_share=0.5, jump_back_share=0.3)
    some = rows_of()[::-3]
    moments = NOON_MS + some.astype(np.int64) * 977
    assert np.array_equal(
        whole.shown_ms(some, moments), whole.shown_ms(some[::-1].copy(), moments[::-1].copy())[::-1]
    )
