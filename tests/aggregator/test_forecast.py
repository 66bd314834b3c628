"""Forecasts from a handful of days, worked out by hand."""

import math
from datetime import date, timedelta

import numpy as np
import pytest

from aggregator.forecast import (
    Availability,
    Forecast,
    History,
    foresee,
    foreseen_now_w,
    learn,
    revision,
)
from aggregator.registry import enrol
from aggregator.settings import Assumptions
from protocol.messages import MISSING_WH, AssetReadings
from protocol.periods import PERIOD_MS, day_start_ms

ASSUMED = Assumptions()
THURSDAY = date(2025, 1, 16)


def taught(tools, values_wh, count=100, end=THURSDAY, disturbed=()):
    """A unit of `count` assets; the newest of `values_wh` is the day before `end`."""
    registry = enrol(tools.registration(count), tools.RULES, ASSUMED)
    history = History([])
    for back, wh in enumerate(reversed(values_wh), start=1):
        readings = np.full((count, 48), wh, np.int16)
        told = AssetReadings(end - timedelta(days=back), np.arange(count, dtype=np.int32), readings)
        learn(history, told, registry, None, list(disturbed), ASSUMED)
    return history, registry


def test_the_mean_and_spread_of_same_type_days(tools):
    # Mon 100, Tue 200, Wed 300 Wh per half-hour and asset: 20, 40, 60 kW of 100 assets.
    history, registry = taught(tools, [9999, 9999, 100, 200, 300])
    found = foresee(history, 1, registry.groups[1], day_start_ms(THURSDAY) + 36 * PERIOD_MS, ASSUMED)
    assert found.mean_w == 40_000
    assert found.days == 3
    # Shown 20 kW; chance alone sqrt(7,400 x 40,000) = 17.2 kW; floor 4 kW.
    assert found.sd_w == pytest.approx(20_000 * math.sqrt(4 / 3))


def test_few_assets_are_never_foreseen_better_than_chance_allows(tools):
    history, registry = taught(tools, [200, 200, 200])
    found = foresee(history, 1, registry.groups[1], day_start_ms(THURSDAY), ASSUMED)
    assert found.sd_w == pytest.approx(math.sqrt(7400 * 40_000) * math.sqrt(4 / 3))


def test_a_missing_half_hour_counts_for_nobody(tools):
    registry = enrol(tools.registration(2), tools.RULES, ASSUMED)
    history = History([])
    readings = np.array([[500] * 48, [MISSING_WH] * 48], np.int16)
    learn(
        history,
        AssetReadings(date(2025, 1, 15), np.arange(2, dtype=np.int32), readings),
        registry,
        None,
        [],
        ASSUMED,
    )
    found = foresee(history, 1, registry.groups[1], day_start_ms(THURSDAY), ASSUMED)
    assert found.mean_w == 2000  # 1,000 W for each of two, though only one was read


def test_half_hours_shaped_by_own_orders_teach_nothing(tools):
    start_ms = day_start_ms(date(2025, 1, 15)) + 34 * PERIOD_MS
    history, registry = taught(tools, [100, 700], disturbed=[(1, start_ms, start_ms + 1)])
    inside = foresee(history, 1, registry.groups[1], day_start_ms(THURSDAY) + 34 * PERIOD_MS, ASSUMED)
    outside = foresee(history, 1, registry.groups[1], day_start_ms(THURSDAY) + 35 * PERIOD_MS, ASSUMED)
    assert inside.mean_w == 20_000
    assert outside.mean_w == 80_000


def test_a_day_is_not_foreseen_from_itself(tools):
    history, registry = taught(tools, [100, 700], end=THURSDAY + timedelta(days=1))
    assert foresee(history, 1, registry.groups[1], day_start_ms(THURSDAY), ASSUMED).mean_w == 20_000


def test_without_history_there_is_a_cautious_prior(tools):
    registry = enrol(tools.registration(100), tools.RULES, ASSUMED)
    found = foresee(History([]), 1, registry.groups[1], day_start_ms(THURSDAY), ASSUMED)
    assert (found.mean_w, found.sd_w, found.days) == (45_000, 22_500, 0)


@pytest.mark.parametrize(
    ("probability", "days", "t"),
    [(0.9, 11, 1.372), (0.9, 6, 1.476), (0.8, 5, 0.941), (0.95, 10, 1.833)],
)
def test_quantiles_are_students_t(probability, days, t):
    # Critical values of t with days - 1 degrees of freedom: any statistical table.
    found = Forecast(100_000.0, 1000.0, days).quantile_w(probability)
    assert found == pytest.approx(100_000 + 1000 * t, abs=25)


def test_quantiles_rise_with_probability_and_never_fall_below_zero():
    forecast = Forecast(100.0, 1000.0, 10)
    found = [forecast.quantile_w(probability) for probability in (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)]
    assert found == sorted(found)
    assert found[0] == 0


def test_what_is_seen_now_moves_the_near_hours_more_than_the_far_ones(tools):
    group = enrol(tools.registration(1000), tools.RULES, ASSUMED).groups[1]
    now, near, far = (revision(600_000, 300_000, group, hours * 3_600_000, ASSUMED) for hours in (0, 2, 12))
    assert now == pytest.approx(674_000 / 374_000)
    assert near == pytest.approx(1 + (now - 1) * math.exp(-1))
    assert 1 < far < 1.003


def test_a_few_chargers_say_little_about_the_hours_to_come(tools):
    group = enrol(tools.registration(1000), tools.RULES, ASSUMED).groups[1]
    assert revision(14_000, 0, group, 0, ASSUMED) < 1.2


def test_the_forecast_for_this_moment_lies_between_half_hours(tools):
    registry = enrol(tools.registration(100), tools.RULES, ASSUMED)
    history = History([])
    readings = np.zeros((100, 48), np.int16)
    readings[:, 35], readings[:, 36] = 100, 300
    for back in (1, 2):
        told = AssetReadings(THURSDAY - timedelta(days=back), np.arange(100, dtype=np.int32), readings)
        learn(history, told, registry, None, [], ASSUMED)
    edge_ms = day_start_ms(THURSDAY) + 36 * PERIOD_MS
    assert foreseen_now_w(history, 1, registry.groups[1], edge_ms, ASSUMED) == pytest.approx(40_000)
    middle_ms = edge_ms + PERIOD_MS // 2
    assert foreseen_now_w(history, 1, registry.groups[1], middle_ms, ASSUMED) == pytest.approx(60_000)


def test_what_is_out_of_reach_is_not_offered_and_doubt_grows():
    forecast = Forecast(10e6, 1e6, 10)
    seen = Availability(forecast.revised(1.0, 0.0), 1.0, 0.9).turn_down_w(0.8)
    half = Availability(forecast.revised(1.0, 0.5), 0.5, 0.9).turn_down_w(0.8)
    assert half < 0.5 * seen


def test_a_clock_change_day_teaches_nothing(tools):
    registry = enrol(tools.registration(1), tools.RULES, ASSUMED)
    history = History([])
    told = AssetReadings(date(2025, 3, 30), np.zeros(1, np.int32), np.zeros((1, 46), np.int16))
    learn(history, told, registry, None, [], ASSUMED)
    assert history.days == []
