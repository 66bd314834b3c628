"""Dates counted by hand in the bank-holiday calendar of England and Wales; run lags as tagged in bsc.yaml."""

from datetime import date, timedelta

import pytest

from protocol.rulebook import load_rulebook
from protocol.settlement_calendar import (
    RUNS,
    Run,
    months_after,
    publications,
    run_date,
    run_that_uses,
    standing_run,
    timetable,
    working_days_before,
)


def rules_of(day, **overrides):
    return load_rulebook("bsc", on=day, overrides=overrides)


def made(day, run, **overrides):
    return run_date(day, run, rules_of(day, **overrides))


def test_the_runs_of_a_plain_autumn_day():
    day = date(2022, 11, 1)  # a Tuesday
    runs = timetable(day, rules_of(day))
    assert [item.run for item in runs] == ["II", "SF", "R1", "R2", "R3", "RF"]
    assert runs[0].on == date(2022, 11, 8)  # 2, 3, 4, 7, 8 November
    assert runs[1].on == date(2022, 11, 23)
    assert [item.on for item in runs] == sorted(item.on for item in runs)


def test_easter_puts_the_interim_run_off_by_two_days():
    # Thursday 2 April 2026: then Good Friday 3, Easter Monday 6. Working days 7, 8, 9, 10, 13.
    assert made(date(2026, 4, 2), Run.II) == date(2026, 4, 13)
    # A week before, 26 March: 27, 30, 31 March, 1, 2 April. Easter comes after.
    assert made(date(2026, 3, 26), Run.II) == date(2026, 4, 2)


def test_the_initial_run_over_the_august_bank_holiday_is_that_which_was_published():
    # Elexon published data: the SF run of 28 Aug 2026 is of 22 Sep 2026.
    assert made(date(2026, 8, 28), Run.SF) == date(2026, 9, 22)


def test_the_third_reconciliation_that_was_seen_came_after_150_working_days():
    # Elexon published data: an R3 file for 17 Feb 2026 was stamped 22 Sep 2026; the usual figure of 154 is
    # from memory.
    day = date(2026, 2, 17)
    assert made(day, Run.R3, run_r3_wd=150) == date(2026, 9, 22)
    assert made(day, Run.R3) == date(2026, 9, 28)


@pytest.mark.parametrize("sunday", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_on_which_the_clocks_change_is_settled_like_any_other_sunday(sunday):
    week_before = sunday - timedelta(days=7)
    assert made(week_before, Run.II) == made(week_before - timedelta(days=1), Run.II)
    assert made(sunday, Run.II) == made(sunday - timedelta(days=1), Run.II)
    expected = {date(2026, 3, 29): date(2026, 4, 7), date(2026, 10, 25): date(2026, 10, 30)}
    assert (
        made(sunday, Run.II) == expected[sunday]
    )  # in spring over Good Friday and Easter Monday: 30, 31, 1, 2, 7


def test_under_half_hourly_settlement_there_is_one_interim_run_and_the_end_is_near():
    day = date(2027, 9, 1)  # a Wednesday
    runs = timetable(day, rules_of(day), disputed=True)
    assert [item.run for item in runs] == ["II", "SF", "R1", "RF", "DF"]
    assert runs[0].on == date(2027, 9, 7)
    assert runs[3].on == date(2028, 1, 4)  # 1 January 2028 is a Saturday; its substitute is Monday the 3rd
    assert run_date(day, Run.R2, rules_of(day)) is None


def test_a_scenario_can_have_the_other_timetable():
    assert made(date(2026, 6, 1), Run.II, settlement_timetable="mhhs") == date(2026, 6, 5)


def test_the_post_final_run_is_only_of_disputed_days():
    day = date(2023, 1, 31)
    assert all(item.run != Run.DF for item in timetable(day, rules_of(day)))
    assert run_date(day, Run.DF, rules_of(day)) == date(2025, 6, 2)  # 31 May 2025 is a Saturday


def test_the_latest_run_made_is_the_one_that_stands():
    day = date(2026, 4, 2)
    rules = rules_of(day)
    assert standing_run(day, date(2026, 4, 12), rules) is None
    assert standing_run(day, date(2026, 4, 13), rules) == Run.II
    assert standing_run(day, made(day, Run.R1) - timedelta(days=1), rules) == Run.SF
    assert standing_run(day, date(2030, 1, 1), rules) == Run.RF
    assert standing_run(day, date(2030, 1, 1), rules, disputed=True) == Run.DF


def test_a_reading_counts_from_the_first_run_it_is_in_time_for():
    day = date(2026, 4, 2)
    rules = rules_of(day)
    assert run_that_uses(day, date(2026, 4, 10), rules) == Run.II  # the working day before 13 April
    assert run_that_uses(day, date(2026, 4, 11), rules) == Run.SF
    assert run_that_uses(day, date(2030, 1, 1), rules) is None


def test_results_come_out_by_date_and_the_oldest_day_first():
    days = [date(2026, 3, 20) + timedelta(days=n) for n in range(20)]
    found = publications(date(2026, 4, 7), date(2026, 4, 7), [(day, rules_of(day)) for day in days])
    # 2 April counts 5 back to 26 March ... : Friday 27, Saturday 28 and Sunday 29 March come out together.
    assert [(item.settlement_day.isoformat(), item.run) for item in found] == [
        ("2026-03-27", "II"),
        ("2026-03-28", "II"),
        ("2026-03-29", "II"),
    ]


@pytest.mark.parametrize("run", [run for run in RUNS if run not in {Run.R2, Run.R3}])
@pytest.mark.parametrize("timetable_name", ["before_mhhs", "mhhs"])
def test_no_day_overtakes_another_at_the_same_run(run, timetable_name):
    days = [date(2024, 2, 20) + timedelta(days=n) for n in range(60)]  # Easter, the clocks and 29 February
    dates = [made(day, run, settlement_timetable=timetable_name) for day in days]
    assert dates == sorted(dates)


def test_counting_back_and_counting_months():
    assert working_days_before(date(2026, 4, 7), 1) == date(2026, 4, 2)
    assert working_days_before(date(2026, 4, 7), 0) == date(2026, 4, 7)
    assert months_after(date(2026, 10, 31), 4) == date(2027, 3, 1)  # 28 February 2027 is a Sunday
