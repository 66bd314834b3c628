from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import periods
from protocol.baselines import (
    INCOMPLETE_WH,
    BaselineError,
    BaselineStatus,
    bl01,
    day_totals_wh,
    in_day_adjustment_wh,
    is_eligible_day,
    select_days,
    window,
)
from protocol.messages import MISSING_WH

TUESDAY = date(2023, 1, 17)
TEN_WORKING_DAYS = tuple(date(2023, 1, day) for day in (16, 13, 12, 11, 10, 9, 6, 5, 4, 3))
"""The last ten before 17 Jan 2023; Monday 2 Jan was a bank holiday, so the next one back is 30 Dec."""
SP = 35
"""17:00 local."""


def days_before(day, count):
    return [day - timedelta(days=n) for n in range(1, count + 1)]


def one_home(days, delivery_day, volume, *, events=(), metered=0, in_day_adjustment=False, n_sp=1):
    """BL01 of a home that uses `volume(day)` in every half hour of each history day."""
    history = np.array([[[volume(day)] * 48 for day in days]], dtype=np.int32)
    event_days = np.array([[day in events for day in days]])
    today = np.broadcast_to(np.asarray(metered, dtype=np.int32), (1, periods.period_count(delivery_day)))
    baseline, status = bl01(history, days, delivery_day, today, event_days, SP, n_sp, in_day_adjustment)
    return baseline[0].tolist(), BaselineStatus(status[0])


def volume_by_day_of_month(day):
    return 100_000 if day == date(2023, 1, 2) else 10 * day.day


# -------------------------------------------------------------------------------------- worked by hand


def test_a_working_day_averages_the_last_ten_working_days_and_skips_the_bank_holiday():
    # 10 x (16 + 13 + 12 + 11 + 10 + 9 + 6 + 5 + 4 + 3) / 10 = 89
    assert one_home(days_before(TUESDAY, 30), TUESDAY, volume_by_day_of_month) == (
        [89.0],
        BaselineStatus.CALCULATED,
    )


def test_an_event_day_makes_way_for_the_working_day_before_the_ten():
    # 12 January out, 30 December in: 89 - 12 + 30 = 107
    found = one_home(days_before(TUESDAY, 30), TUESDAY, volume_by_day_of_month, events={date(2023, 1, 12)})
    assert found == ([107.0], BaselineStatus.CALCULATED)


@pytest.mark.parametrize(("count", "average"), [(5, 124.0), (9, 860 / 9)])
def test_five_to_nine_working_days_are_all_averaged(count, average):
    # 10 x (16 + 13 + 12 + 11 + 10) / 5 = 124; 10 x 86 / 9 = 95.6 (without 3 January)
    found, status = one_home(TEN_WORKING_DAYS[:count], TUESDAY, volume_by_day_of_month)
    assert found == pytest.approx([average])
    assert status is BaselineStatus.CALCULATED


def test_with_four_working_days_the_baseline_is_the_outturn():
    found = one_home(TEN_WORKING_DAYS[:4], TUESDAY, volume_by_day_of_month, metered=321)
    assert found == ([321.0], BaselineStatus.INSUFFICIENT)


def test_a_home_without_days_and_without_outturn_has_no_number():
    found, status = one_home(TEN_WORKING_DAYS[:4], TUESDAY, volume_by_day_of_month, metered=MISSING_WH)
    assert np.isnan(found).all()
    assert status is BaselineStatus.INSUFFICIENT


def test_a_day_off_averages_the_middle_two_of_four_by_daily_total():
    # Saturday 14 Jan 2023: the four days off before are 8, 7, 2 (bank holiday) and 1 January.
    volume = {date(2023, 1, 8): 400, date(2023, 1, 7): 100, date(2023, 1, 2): 300, date(2023, 1, 1): 260}
    days = days_before(date(2023, 1, 14), 20)
    found = one_home(days, date(2023, 1, 14), lambda day: volume.get(day, 9999))
    assert found == ([280.0], BaselineStatus.CALCULATED)


def test_the_middle_two_are_found_by_the_whole_day_and_averaged_by_the_period():
    days = [date(2023, 1, day) for day in (8, 7, 2, 1)]
    history = np.full((1, 4, 48), 100, dtype=np.int16)
    history[0, :, 0] = [400, 300, 200, 100]  # ranks the days: 8 > 7 > 2 > 1 January
    history[0, :, SP - 1] = [100, 120, 150, 100]
    history[0, :, 1] = [100, 80, 50, 100]
    today = np.zeros((1, 48), dtype=np.int16)
    baseline, _ = bl01(history, days, date(2023, 1, 14), today, np.zeros((1, 4), bool), SP, 1, False)
    assert baseline.tolist() == [[(120 + 150) / 2]]


def test_three_days_off_are_too_few():
    days = [date(2023, 1, day) for day in (8, 7, 2)]
    assert one_home(days, date(2023, 1, 14), lambda _: 100, metered=55) == (
        [55.0],
        BaselineStatus.INSUFFICIENT,
    )


def test_the_day_of_the_clock_change_is_passed_over():
    # Saturday 1 Apr 2023: 26 March changed the clocks, so 25, 19, 18 and 12 March are the four.
    volume = {date(2023, 3, 25): 10, date(2023, 3, 19): 20, date(2023, 3, 18): 40, date(2023, 3, 12): 80}
    found = one_home(days_before(date(2023, 4, 1), 30), date(2023, 4, 1), lambda day: volume.get(day, 9999))
    assert found == ([30.0], BaselineStatus.CALCULATED)


def test_a_delivery_on_the_long_day_goes_by_period_number():
    found = one_home(days_before(date(2023, 10, 29), 30), date(2023, 10, 29), lambda _: 70)
    assert found == ([70.0], BaselineStatus.CALCULATED)


def test_one_missing_reading_takes_the_whole_day_out():
    days = days_before(TUESDAY, 30)
    history = np.array([[[volume_by_day_of_month(day)] * 48 for day in days]], dtype=np.int32)
    history[0, days.index(date(2023, 1, 12)), 0] = MISSING_WH
    today, no_events = np.zeros((1, 48), np.int32), np.zeros((1, 30), bool)
    assert bl01(history, days, TUESDAY, today, no_events, SP, 1, False)[0].tolist() == [[107.0]]
    masked = np.ma.masked_equal(history, MISSING_WH)
    assert bl01(masked, days, TUESDAY, today, no_events, SP, 1, False)[0].tolist() == [[107.0]]


def test_net_export_is_a_reading_unless_its_number_means_missing():
    days = list(TEN_WORKING_DAYS)
    history = np.full((1, 10, 48), -1, dtype=np.int16)
    args = (history, days, TUESDAY, np.zeros((1, 48), np.int16), np.zeros((1, 10), bool), SP, 1, False)
    assert bl01(*args, missing_wh=-1)[1].tolist() == [BaselineStatus.INSUFFICIENT]
    baseline, status = bl01(*args)
    assert (baseline.tolist(), status.tolist()) == ([[-1.0]], [BaselineStatus.CALCULATED])


def test_history_ends_sixty_days_before_the_delivery_day():
    monday = date(2023, 3, 20)
    assert is_eligible_day(date(2023, 1, 19), monday)
    assert not is_eligible_day(date(2023, 1, 18), monday)
    assert not is_eligible_day(monday, monday)


def test_the_in_day_adjustment_adds_the_mean_excess_of_three_hours_ending_an_hour_before():
    # t0 = SP35: SP27 to SP32 count, SP33 and SP34 do not. Six readings of 560 against 500: +60 Wh a period.
    today = np.full((1, 48), 500)
    today[0, 26:32] = [590, 530, 560, 560, 580, 540]
    today[0, 32:34] = 9999
    found = one_home(TEN_WORKING_DAYS, TUESDAY, lambda _: 500, metered=today, in_day_adjustment=True, n_sp=2)
    assert found == ([560.0, 560.0], BaselineStatus.CALCULATED)
    assert window(SP) == range(27, 33)
    assert in_day_adjustment_wh(today[0, 26:32].tolist(), [500] * 6) == 60


def test_the_in_day_adjustment_may_be_negative_without_floor():
    found = one_home(TEN_WORKING_DAYS, TUESDAY, lambda _: 500, metered=0, in_day_adjustment=True)
    assert found == ([0.0], BaselineStatus.CALCULATED)


def test_a_gap_in_the_adjustment_window_leaves_the_baseline_unadjusted_and_says_so():
    today = np.full((1, 48), 900)
    today[0, 30] = MISSING_WH
    found = one_home(TEN_WORKING_DAYS, TUESDAY, lambda _: 500, metered=today, in_day_adjustment=True)
    assert found == ([500.0], BaselineStatus.NOT_ADJUSTED)


def test_an_event_too_soon_after_midnight_is_not_adjusted():
    history = np.full((1, 10, 48), 500, dtype=np.int16)
    today, no_events = np.full((1, 48), 900, np.int16), np.zeros((1, 10), bool)
    for first_sp, wanted in ((8, BaselineStatus.NOT_ADJUSTED), (9, BaselineStatus.CALCULATED)):
        _, status = bl01(history, TEN_WORKING_DAYS, TUESDAY, today, no_events, first_sp, 1, True)
        assert status.tolist() == [wanted]


def test_the_days_that_count_can_be_listed():
    totals = dict.fromkeys(days_before(TUESDAY, 30), 1000)
    assert select_days(totals, TUESDAY) == TEN_WORKING_DAYS
    assert select_days(totals, TUESDAY, event_days={date(2023, 1, 16)})[-1] == date(2022, 12, 30)
    assert select_days(dict.fromkeys(TEN_WORKING_DAYS[:4], 1000), TUESDAY) == ()


def test_days_off_of_equal_total_are_ranked_newest_first():
    totals = dict.fromkeys([date(2023, 1, day) for day in (8, 7, 2, 1)], 1000)
    assert select_days(totals, date(2023, 1, 14)) == (date(2023, 1, 7), date(2023, 1, 2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"days": [TUESDAY] * 10}, "history has 10 days, but 1 different dates"),
        ({"event_days": np.zeros((1, 9), bool)}, r"event_days is \(1, 9\); history wants \(1, 10\)"),
        ({"metered_day_wh": np.zeros((2, 48), np.int16)}, "metered_day_wh has 2 homes; history has 1"),
        ({"first_sp": 48, "n_sp": 2}, "periods 48 to 49 do not lie within 1 to 48"),
        ({"history_wh": np.zeros((1, 10, 46), np.int16)}, "history has 46 periods a day; 48 are needed"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, words):
    arguments = {
        "history_wh": np.zeros((1, 10, 48), np.int16),
        "days": TEN_WORKING_DAYS,
        "delivery_day": TUESDAY,
        "metered_day_wh": np.zeros((1, 48), np.int16),
        "event_days": np.zeros((1, 10), bool),
        "first_sp": SP,
        "n_sp": 1,
        "in_day_adjustment": False,
    }
    with pytest.raises(BaselineError, match=words):
        bl01(**(arguments | change))


# ------------------------------------------------------------------------------------------------ twin


def scrambled(shape, seed, modulus):
    """Whole numbers from -1 to modulus - 2 without pattern, the same for the same seed."""
    counter = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed * 1_000_003)
    return ((counter * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(33)) % np.uint64(modulus)).reshape(
        shape
    ).astype(np.int32) - 1


def plain_bl01(history, days, delivery_day, today, events, first_sp, n_sp, adjust):
    """The published algorithm, one home at a time, with lists and no cleverness."""
    baselines, statuses = [], []
    for home in range(len(history)):
        usable = {
            day: history[home][column].tolist()[:48]
            for column, day in enumerate(days)
            if not events[home][column] and MISSING_WH not in history[home][column].tolist()[:48]
        }
        same_type = [
            day
            for day in sorted(usable, reverse=True)
            if periods.working_day(day) == periods.working_day(delivery_day)
            and delivery_day - timedelta(days=60) <= day < delivery_day
            and periods.period_count(day) == 48
        ]
        if periods.working_day(delivery_day):
            chosen = same_type[:10] if len(same_type) >= 5 else []
        else:
            ranked = sorted(same_type[:4], key=lambda day: sum(usable[day]))
            chosen = ranked[1:3] if len(ranked) == 4 else []
        metered = [float("nan") if wh == MISSING_WH else wh for wh in today[home].tolist()]
        block = range(first_sp - 1, first_sp - 1 + n_sp)
        if not chosen:
            baselines.append([metered[period] for period in block])
            statuses.append(BaselineStatus.INSUFFICIENT)
            continue
        mean = [sum(usable[day][period] for day in chosen) / len(chosen) for period in range(48)]
        excess, status = 0.0, BaselineStatus.CALCULATED
        if adjust:
            before = range(first_sp - 9, first_sp - 3)
            excess = sum(metered[p] - mean[p] for p in before) / 6 if before[0] >= 0 else float("nan")
            if np.isnan(excess):
                excess, status = 0.0, BaselineStatus.NOT_ADJUSTED
        baselines.append([mean[period] + excess for period in block])
        statuses.append(status)
    return np.array(baselines), np.array(statuses)


@settings(deadline=None, max_examples=60)
@given(
    delivery_day=st.sampled_from(
        [TUESDAY, date(2023, 1, 14), date(2023, 4, 1), date(2023, 10, 29), date(2023, 5, 30)]
    ),
    lags=st.lists(st.integers(0, 70), min_size=1, max_size=40, unique=True),
    seed=st.integers(0, 10_000),
    first_sp=st.integers(1, 40),
    n_sp=st.integers(1, 6),
    adjust=st.booleans(),
    gaps=st.sampled_from([50, 400, 5000]),
)
def test_the_fast_and_the_plain_baseline_are_equal(delivery_day, lags, seed, first_sp, n_sp, adjust, gaps):
    days = [delivery_day - timedelta(days=lag) for lag in lags]
    history = scrambled((3, len(days), 48), seed, gaps)
    today = scrambled((3, periods.period_count(delivery_day)), seed + 1, gaps)
    events = scrambled((3, len(days)), seed + 2, 5) < 0
    fast, fast_status = bl01(history, days, delivery_day, today, events, first_sp, n_sp, adjust)
    plain, plain_status = plain_bl01(history, days, delivery_day, today, events, first_sp, n_sp, adjust)
    np.testing.assert_allclose(fast, plain, rtol=1e-12, atol=1e-9)
    assert fast_status.tolist() == plain_status.tolist()
    told, told_status = bl01(
        history, days, delivery_day, today, events, first_sp, n_sp, adjust, totals_wh=day_totals_wh(history)
    )
    np.testing.assert_array_equal(told, fast)
    assert told_status.tolist() == fast_status.tolist()


@settings(deadline=None)
@given(
    lags=st.lists(st.integers(0, 70), min_size=1, max_size=50, unique=True),
    events=st.sets(st.integers(0, 70), max_size=8),
    working=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_listed_days_are_those_that_the_fast_baseline_averages(lags, events, working, seed):
    delivery_day = TUESDAY if working else date(2023, 1, 14)
    days = [delivery_day - timedelta(days=lag) for lag in lags]
    event_days = {delivery_day - timedelta(days=lag) for lag in events}
    history = scrambled((1, len(days), 48), seed, 30) + 1
    totals = {day: int(history[0, column].sum()) for column, day in enumerate(days)}
    marks = np.array([[day in event_days for day in days]])
    baseline, status = bl01(history, days, delivery_day, np.full((1, 48), 777), marks, SP, 1, False)
    listed = select_days(totals, delivery_day, event_days)
    assert bool(listed) == (status[0] == BaselineStatus.CALCULATED)
    wanted = [history[0, days.index(day), SP - 1] for day in listed] or [777]
    assert baseline[0, 0] == pytest.approx(np.mean(wanted))


def test_a_day_with_a_gap_has_no_total():
    history = np.full((1, 2, 48), 100, np.int16)
    history[0, 1, 47] = MISSING_WH
    assert day_totals_wh(history).tolist() == [[4800, INCOMPLETE_WH]]
    masked = np.ma.masked_equal(history, MISSING_WH)
    assert day_totals_wh(masked).tolist() == [[4800, INCOMPLETE_WH]]


def test_totals_of_another_history_are_refused():
    history, events = np.zeros((2, 3, 48), np.int16), np.zeros((2, 3), bool)
    with pytest.raises(BaselineError, match=r"totals_wh is \(2, 2\); history wants \(2, 3\)"):
        bl01(
            history,
            days_before(TUESDAY, 3),
            TUESDAY,
            history[:, 0],
            events,
            SP,
            1,
            False,
            totals_wh=np.zeros((2, 2), np.int64),
        )
