"""Moments are shown as the clock on the wall shows them, also when it is changed."""

from datetime import date
from itertools import pairwise

import pytest

from protocol.periods import HOUR_MS, day_end_ms, day_start_ms
from studies.local_time import clock, day, long_day, stamp, ticks_ms

WINTER = day_start_ms(date(2024, 1, 16))
SUMMER = day_start_ms(date(2024, 7, 16))


def test_summer_is_shown_an_hour_later_than_utc():
    assert (clock(WINTER + 18 * HOUR_MS), clock(SUMMER + 18 * HOUR_MS)) == ("18:00", "18:00")
    assert stamp(SUMMER) == "Tue 16 Jul 00:00"
    assert stamp(WINTER + 1_000, seconds=True) == "Tue 16 Jan 00:00:01"
    assert long_day(WINTER) == "Tuesday 16 January 2024"
    assert day(WINTER - 1) == "Mon 15 Jan"


@pytest.mark.parametrize("when", [date(2024, 1, 16), date(2024, 3, 31), date(2024, 10, 27), date(2024, 7, 1)])
def test_a_days_marks_stand_at_round_local_times(when):
    start, end = day_start_ms(when), day_end_ms(when)
    places, words = ticks_ms(start, end)
    assert places[0] == start
    assert words[0].endswith(f"{when.day} {when:%b}")
    assert all(clock(place)[3:] == "00" for place in places)
    assert 8 <= len(places) <= 15
    assert all(a < b for a, b in pairwise(places))


def test_a_short_stretch_has_marks_of_minutes_and_a_long_one_of_days():
    assert ticks_ms(WINTER, WINTER + HOUR_MS)[1] == [f"00:{m:02d}" for m in range(0, 60, 5)] + ["01:00"]
    assert ticks_ms(WINTER, WINTER + 14 * 24 * HOUR_MS)[1][:3] == ["Tue 16 Jan", "Thu 18 Jan", "Sat 20 Jan"]
    assert ticks_ms(WINTER, WINTER + 3 * 24 * HOUR_MS)[1][:3] == ["Tue 16 Jan", "06:00", "12:00"]
    assert 10 <= len(ticks_ms(WINTER, WINTER + 365 * 24 * HOUR_MS)[0]) <= 13
