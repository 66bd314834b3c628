"""Estimates: known answers by hand, and what no rule may do."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markets.estimates import MeterClasses, Source, fill_day
from markets.metered_volume import DayReadings
from protocol.messages import MISSING_WH
from protocol.periods import period_count

THURSDAY = date(2024, 1, 18)
SHORT_DAY, LONG_DAY = date(2024, 3, 31), date(2024, 10, 27)
METERS = np.arange(3, dtype=np.int32)


def readings(day, *by_meter):
    count = period_count(day)
    rows = [np.broadcast_to(np.array(wh, np.int16), count) for wh in by_meter]
    return DayReadings(METERS, np.array(rows))


def missing_first(day):
    return readings(day, MISSING_WH, 300, 600)


def test_a_meter_is_estimated_by_the_mean_of_its_own_like_days():
    kept = {THURSDAY: missing_first(THURSDAY)}
    for back, wh in ((1, 200), (2, 400), (3, 900), (4, 7000), (5, 7000)):  # 4 and 5 days before: a weekend
        kept[THURSDAY - timedelta(days=back)] = readings(THURSDAY, wh, 1, 1)
    filled = fill_day(METERS, THURSDAY, kept, None)
    assert (filled.import_wh[0] == 500).all()
    assert filled.source.tolist() == [Source.OWN_HISTORY, Source.ACTUAL, Source.ACTUAL]


def test_at_most_the_ten_newest_like_days_count():
    days = [day for back in range(1, 30) if (day := THURSDAY - timedelta(days=back)).weekday() < 5]
    kept = {day: readings(day, 100 if place < 10 else 9000, 1, 1) for place, day in enumerate(days)}
    kept[THURSDAY] = missing_first(THURSDAY)
    assert (fill_day(METERS, THURSDAY, kept, None).import_wh[0] == 100).all()


def test_single_half_hours_are_estimated_and_the_others_stay():
    today = np.full(48, 50)
    today[10] = MISSING_WH
    kept = {
        THURSDAY: readings(THURSDAY, today, 1, 1),
        THURSDAY - timedelta(days=1): readings(THURSDAY, 80, 1, 1),
    }
    filled = fill_day(METERS, THURSDAY, kept, None)
    assert filled.import_wh[0].tolist() == [50] * 10 + [80] + [50] * 37
    assert np.flatnonzero(~filled.actual[0]).tolist() == [10]


def test_without_a_like_day_the_class_says_by_size():
    kept = {THURSDAY: missing_first(THURSDAY)}
    own = MeterClasses(np.array([1, 1, 2], np.int8), np.array([7000, 3500, 7000], np.int32))
    filled = fill_day(METERS, THURSDAY, kept, own)
    assert (filled.import_wh[0] == 600).all()  # 300 Wh at 3.5 kW, for 7 kW; the third is of another class
    assert filled.source[0] == Source.CLASS_PROFILE


def test_what_nothing_is_known_of_stays_missing():
    filled = fill_day(METERS, THURSDAY, {}, None)
    assert (filled.import_wh == MISSING_WH).all()
    assert set(filled.source.tolist()) == {Source.UNKNOWN}


@pytest.mark.parametrize(("day", "shown"), [(SHORT_DAY, [0, 1, 4, 5, 6]), (LONG_DAY, [0, 1, 2, 3, 2, 3, 4])])
def test_a_clock_change_day_is_estimated_by_the_wall_clock(day, shown):
    sunday = day - timedelta(days=7)
    kept = {day: missing_first(day), sunday: readings(sunday, np.arange(48), 1, 1)}
    filled = fill_day(METERS, day, kept, None)
    assert filled.import_wh.shape == (3, period_count(day))
    assert filled.import_wh[0][: len(shown)].tolist() == shown


@pytest.mark.parametrize("day", [SHORT_DAY, LONG_DAY])
def test_a_clock_change_day_is_no_like_day(day):
    later = day + timedelta(days=7)
    kept = {later: readings(later, MISSING_WH, MISSING_WH, MISSING_WH), day: readings(day, 9, 9, 9)}
    assert (fill_day(METERS, later, kept, None).import_wh == MISSING_WH).all()


@given(st.lists(st.sampled_from([MISSING_WH, -500, 0, 700]), min_size=3, max_size=3), st.integers(0, 3))
def test_actuals_are_never_touched_and_estimates_lie_between_what_was_read(today, days):
    kept = {THURSDAY: readings(THURSDAY, *today)}
    for back in range(1, days + 1):
        kept[THURSDAY - timedelta(days=back)] = readings(THURSDAY, -40 * back, 60 * back, 0)
    filled = fill_day(METERS, THURSDAY, kept, None)
    known = filled.import_wh != MISSING_WH
    for meter, wh in enumerate(today):
        if wh != MISSING_WH:
            assert (filled.import_wh[meter] == wh).all()
            assert filled.source[meter] == Source.ACTUAL
    assert (filled.import_wh[known] >= -500).all()
    assert (filled.import_wh[known] <= 700).all()
