from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import periods
from protocol.periods import LocalTimeError, SettlementPeriod

SHORT_DAY = date(2023, 3, 26)
LONG_DAY = date(2023, 10, 29)

days = st.dates(date(2018, 1, 1), date(2030, 12, 31))


def utc_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def test_a_winter_day_has_48_periods_from_midnight_utc():
    assert periods.period_count(date(2023, 1, 15)) == 48
    assert periods.period_bounds_ms(date(2023, 1, 15), 1) == (
        utc_ms("2023-01-15T00:00"),
        utc_ms("2023-01-15T00:30"),
    )


def test_a_summer_day_begins_at_23_utc_of_the_day_before():
    assert periods.day_start_ms(date(2023, 7, 1)) == utc_ms("2023-06-30T23:00")


def test_the_short_day_has_46_periods_and_its_third_starts_at_2_bst():
    # By hand: SP2 ends at 01:00Z and SP3 starts at 01:00Z = 02:00 BST.
    assert periods.period_count(SHORT_DAY) == 46
    assert periods.period_bounds_ms(SHORT_DAY, 3)[0] == utc_ms("2023-03-26T01:00")
    assert periods.local_clock_ms(SHORT_DAY, 2) == utc_ms("2023-03-26T01:00")
    assert periods.period_bounds_ms(SHORT_DAY, 46)[1] == utc_ms("2023-03-26T23:00")


def test_the_long_day_has_50_periods_and_shows_one_o_clock_twice():
    # By hand: SP3..SP4 are the first 01:00-02:00 local hour and SP5..SP6 the repeat.
    assert periods.period_count(LONG_DAY) == 50
    first, second = (periods.local_clock_ms(LONG_DAY, 1, 0, fold) for fold in (0, 1))
    assert periods.period_of(first) == (LONG_DAY, 3)
    assert periods.period_of(second) == (LONG_DAY, 5)
    assert second - first == periods.HOUR_MS


def test_a_time_left_out_in_march_is_refused_with_what_to_use():
    with pytest.raises(LocalTimeError, match=r"01:30 does not exist on 2023-03-26.*use 00:59 or 02:00"):
        periods.local_clock_ms(SHORT_DAY, 1, 30)


@pytest.mark.parametrize(("day", "wrong"), [(SHORT_DAY, 47), (LONG_DAY, 51), (date(2023, 1, 1), 0)])
def test_a_period_that_the_day_lacks_is_refused(day, wrong):
    with pytest.raises(LocalTimeError, match=f"there is no period {wrong}"):
        periods.period_bounds_ms(day, wrong)


@settings(deadline=None)
@given(days)
def test_periods_tile_the_day_without_gap(day):
    edges = periods.day_periods_ms(day)
    assert len(edges) == periods.period_count(day) + 1
    assert set(edges[1:] - edges[:-1]) == {periods.PERIOD_MS}
    assert edges[-1] == periods.day_start_ms(day + timedelta(days=1))


@settings(deadline=None)
@given(st.integers(utc_ms("2018-01-01T00:00"), utc_ms("2030-12-31T00:00")))
def test_every_moment_lies_within_its_own_period(now_ms):
    day, number = periods.period_of(now_ms)
    start_ms, end_ms = periods.period_bounds_ms(day, number)
    assert start_ms <= now_ms < end_ms
    assert day == datetime.fromtimestamp(now_ms / 1000, ZoneInfo("Europe/London")).date()


@settings(deadline=None)
@given(days, st.integers(0, 23), st.integers(0, 59))
def test_a_clock_time_is_shown_by_the_wall_clock_at_that_moment(day, hour, minute):
    try:
        at_ms = periods.local_clock_ms(day, hour, minute)
    except LocalTimeError:
        assert periods.period_count(day) == 46
        assert hour == 1
        return
    shown = datetime.fromtimestamp(at_ms / 1000, ZoneInfo("Europe/London"))
    assert (shown.date(), shown.hour, shown.minute) == (day, hour, minute)


@pytest.mark.parametrize(
    ("day", "halves"),
    [
        (date(2023, 1, 15), list(range(48))),
        (SHORT_DAY, [0, 1, *range(4, 48)]),
        (LONG_DAY, [0, 1, 2, 3, 2, 3, *range(4, 48)]),
    ],
)
def test_periods_show_the_half_hours_of_the_wall_clock(day, halves):
    # March: 01:00-02:00 does not exist. October: it comes twice.
    assert periods.clock_half_hours(day).tolist() == halves
    starts_ms = periods.day_periods_ms(day)[:-1].tolist()
    assert [periods.clock_half_hour(start_ms + 1_799_999) for start_ms in starts_ms] == halves


@given(days, st.integers(0, 86_399_999), st.integers(1, 10_000_000))
def test_the_periods_touched_cover_a_stretch_and_no_more(day, offset_ms, length_ms):
    start_ms = periods.day_start_ms(day) + offset_ms
    touched = periods.periods_touched_ms(start_ms, start_ms + length_ms)
    inside = [*range(start_ms, start_ms + length_ms, 60_000), start_ms + length_ms - 1]
    starts = {periods.period_bounds_ms(*periods.period_of(at))[0] for at in inside}
    assert set(touched) == starts
    assert periods.period_start_ms(start_ms) == periods.period_bounds_ms(*periods.period_of(start_ms))[0]


def test_the_clock_reaches_a_time_left_out_at_the_jump_and_one_shown_twice_at_the_first():
    one_utc_ms = utc_ms("2024-03-31T01:00")
    reached_ms = [periods.clock_reached_ms(date(2024, 3, 31), minute) for minute in (59, 60, 119, 120, 121)]
    assert reached_ms == [one_utc_ms - 60_000, *[one_utc_ms] * 3, one_utc_ms + 60_000]
    assert periods.clock_reached_ms(date(2024, 10, 27), 90) == utc_ms("2024-10-27T00:30")


def test_a_period_unpacks_into_day_and_number():
    period = periods.period_of(utc_ms("2023-01-15T17:29"))
    assert period == SettlementPeriod(date(2023, 1, 15), 35)
    assert (period.day, period.number) == (date(2023, 1, 15), 35)


def test_only_two_days_of_2023_change_the_clocks():
    year = [date(2023, 1, 1) + timedelta(days=n) for n in range(365)]
    assert [day for day in year if periods.is_clock_change_day(day)] == [SHORT_DAY, LONG_DAY]


def test_the_gate_closes_an_hour_before_the_period():
    assert periods.gate_closure_ms(utc_ms("2023-01-15T17:00")) == utc_ms("2023-01-15T16:00")


def test_the_weekday_is_the_local_one():
    assert periods.weekday(utc_ms("2023-07-02T22:59")) == 6
    assert periods.weekday(utc_ms("2023-07-02T23:00")) == 0


def test_2022_had_the_bank_holidays_that_gov_uk_lists_for_england_and_wales():
    named = [
        day for day in periods.bank_holidays(2022) if periods.day_type(day) == "Sun" and day.weekday() < 5
    ]
    assert named == [
        date(2022, 1, 3),
        date(2022, 4, 15),
        date(2022, 4, 18),
        date(2022, 5, 2),
        date(2022, 6, 2),
        date(2022, 6, 3),
        date(2022, 8, 29),
        date(2022, 9, 19),
        date(2022, 12, 26),
        date(2022, 12, 27),
    ]


def test_easter_monday_is_a_working_day_in_scotland_only():
    easter_monday = date(2023, 4, 10)
    assert not periods.working_day(easter_monday)
    assert periods.working_day(easter_monday, "scotland")
    assert periods.next_working_day(date(2023, 4, 6)) == date(2023, 4, 11)
    assert periods.next_working_day(date(2023, 4, 6), division="scotland") == easter_monday


def test_an_unknown_division_is_refused_with_those_there_are():
    with pytest.raises(
        LocalTimeError, match=r"'wales'; known: england-and-wales, northern-ireland, scotland"
    ):
        periods.bank_holidays(2023, "wales")


def test_the_sixteenth_working_day_after_28_august_2026_is_22_september():
    # Elexon's published SF run of 28 Aug 2026 is stamped 22 Sep 2026; 31 Aug is a bank holiday.
    assert periods.next_working_day(date(2026, 8, 28), 16) == date(2026, 9, 22)


def test_a_working_day_before_the_first_is_refused():
    with pytest.raises(LocalTimeError, match="at least the first, not number 0"):
        periods.next_working_day(date(2026, 8, 28), 0)


@pytest.mark.parametrize(
    ("day", "season"),
    [
        (date(2023, 3, 25), "Wtr"),
        (date(2023, 3, 26), "Spr"),
        (date(2023, 5, 12), "Spr"),
        (date(2023, 5, 13), "Smr"),
        (date(2023, 7, 21), "Smr"),
        (date(2023, 7, 22), "Hsr"),
        (date(2023, 9, 3), "Hsr"),
        (date(2023, 9, 4), "Aut"),
        (date(2023, 10, 28), "Aut"),
        (date(2023, 10, 29), "Wtr"),
    ],
)
def test_the_load_profile_seasons_of_2023_change_on_the_published_days(day, season):
    # August Bank Holiday 2023 is 28 August: the sixth Saturday before it 22 July, the sixteenth 13 May.
    assert periods.season(day) == season


def test_day_types_put_a_bank_holiday_with_the_days_off():
    assert [periods.day_type(date(2023, 5, day)) for day in (5, 6, 7, 8)] == ["Wd", "Sat", "Sun", "Sun"]
    assert [periods.baseline_day_type(date(2023, 5, day)) for day in (5, 6, 7, 8)] == [
        "WD",
        "NWD",
        "NWD",
        "NWD",
    ]
