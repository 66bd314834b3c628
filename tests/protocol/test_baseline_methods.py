"""Averages worked by hand; calendars of England and Wales; rules as tagged in dso_settlement.yaml."""

from datetime import date, timedelta

import numpy as np
import pytest

from protocol.baseline_methods import METHODS, UNKNOWN_KIND, Evidence, baseline
from protocol.baselines import BaselineError, BaselineStatus
from protocol.messages import MISSING_WH
from protocol.periods import period_count
from protocol.rulebook import load_rulebook

TUESDAY = date(2023, 1, 17)
SATURDAY = date(2023, 1, 21)
SP = 35
OK, SHORT, PLAIN = BaselineStatus.CALCULATED, BaselineStatus.INSUFFICIENT, BaselineStatus.NOT_ADJUSTED


def rules_with(**overrides):
    return load_rulebook("dso_settlement", on=TUESDAY, overrides=overrides)


DSO = rules_with()


def days_before(day, count=40):
    return [day - timedelta(days=n) for n in range(1, count + 1)]


def site(delivery_day, volume, *, count=40, events=(), metered=500, n_sp=1, first_sp=SP, **more):
    """One site that uses `volume(day)` in each half hour of its history and `metered` on the delivery day."""
    days = days_before(delivery_day, count)
    today = np.broadcast_to(np.asarray(metered, np.int32), (1, period_count(delivery_day)))
    return Evidence(
        delivery_day,
        first_sp,
        n_sp,
        today,
        history_wh=np.array([[[volume(day)] * 48 for day in days]], np.int32),
        days=days,
        event_days=np.array([[day in events for day in days]]),
        **more,
    )


def found(name, evidence, rules=DSO):
    volume, status = baseline(name, evidence, rules)
    return volume[0].tolist(), BaselineStatus(status[0])


def day_of_month(day):
    """10 Wh per day of the month; the bank holiday of 2 January 2023 stands out."""
    return 100_000 if day == date(2023, 1, 2) else 10 * day.day


def test_mid_8_in_10_drops_the_highest_and_the_lowest_day():
    # The last ten working days: 16 13 12 11 10 9 6 5 4 3. Without 16 and 3: (13+12+11+10+9+6+5+4) / 8 x 10
    # = 87.5
    assert found("mid_8_in_10", site(TUESDAY, day_of_month)) == ([87.5], OK)


def test_an_event_day_makes_way_for_an_older_one():
    # Without the 12th, Friday 30 December comes in and is the highest; the 3rd still the lowest:
    # (16+13+11+10+9+6+5+4) / 8 x 10 = 92.5
    assert found("mid_8_in_10", site(TUESDAY, day_of_month, events={date(2023, 1, 12)})) == ([92.5], OK)


def test_a_day_with_a_missing_half_hour_is_out_whole():
    evidence = site(TUESDAY, day_of_month)
    evidence.history_wh[0, evidence.days.index(date(2023, 1, 12)), 3] = MISSING_WH
    assert found("mid_8_in_10", evidence) == ([92.5], OK)


def test_the_weekend_takes_the_middle_two_of_four_or_as_the_setting_says():
    # Before Saturday 21 January: 15 14 8 7 are the last four days off. Middle two by energy: 14 and 8.
    assert found("mid_8_in_10", site(SATURDAY, day_of_month)) == ([110.0], OK)
    # The last six are 15 14 8 7 2 1 January, here with their squares for volume: 225 196 64 49 4 1.
    six = rules_with(weekend_rule="mid_4_of_6")
    assert found("mid_8_in_10", site(SATURDAY, lambda day: day.day**2), six) == (
        [(196 + 64 + 49 + 4) / 4],
        OK,
    )


def test_too_few_days_give_the_outturn_and_say_so():
    # 13 days back from 17 January there are nine working days.
    assert found("mid_8_in_10", site(TUESDAY, day_of_month, count=13, metered=321)) == ([321.0], SHORT)
    assert found("historical", site(TUESDAY, day_of_month, count=5, metered=321)) == ([321.0], SHORT)


def test_no_data_and_no_outturn_is_not_zero():
    volume, status = found("mid_8_in_10", site(TUESDAY, day_of_month, count=3, metered=MISSING_WH))
    assert np.isnan(volume[0])
    assert status is SHORT


def test_the_same_day_adjustment_shifts_by_the_mean_of_the_window():
    # Six periods ending two before delivery: SP 27 to 32. Metered 107.5 there on average, 20 above 87.5.
    today = np.full(48, 9_999)
    today[26:32] = [100, 100, 100, 115, 115, 115]
    evidence = site(TUESDAY, day_of_month, metered=today, n_sp=2)
    assert found("mid_8_in_10_adjusted", evidence) == ([107.5, 107.5], OK)
    capped = rules_with(same_day_adjustment_cap_pct=10)
    assert found("mid_8_in_10_adjusted", evidence, capped) == ([96.25, 96.25], OK)


def test_an_adjustment_that_cannot_be_made_leaves_the_baseline_and_says_so():
    today = np.full(48, 100)
    today[30] = MISSING_WH
    assert found("mid_8_in_10_adjusted", site(TUESDAY, day_of_month, metered=today)) == ([87.5], PLAIN)
    assert found("mid_8_in_10_adjusted", site(TUESDAY, day_of_month, first_sp=8)) == ([87.5], PLAIN)


def test_history_is_the_plain_mean_of_the_last_ten():
    assert found("historical", site(TUESDAY, day_of_month)) == ([89.0], OK)


def test_bl01_is_the_same_function_under_the_same_call():
    evidence = site(TUESDAY, day_of_month, metered=99)
    assert found("BL01", evidence) == ([89.0], OK)
    assert found("BL01_adjusted", evidence) == ([99.0], OK)


def test_a_nomination_counts_where_it_was_made():
    evidence = Evidence(
        TUESDAY, SP, 2, np.full((2, 48), 70, np.int32), nominated_wh=np.array([[300.0, 400.0], [np.nan, 1.0]])
    )
    volume, status = baseline("nominated", evidence, DSO)
    assert volume.tolist() == [[300.0, 400.0], [70.0, 70.0]]
    assert status.tolist() == [OK, SHORT]


@pytest.mark.parametrize(("day", "first_sp"), [(TUESDAY, 35), (date(2026, 3, 31), 35)])
def test_a_weekly_template_is_read_by_weekday_and_local_time(day, first_sp):
    # Both are Tuesdays, one in winter and one in summer time; 17:00 local is half hour 34.
    template = np.full((2, 7, 48), 1.0)
    template[0, 1, 34] = 250.0
    template[1, 1, 34] = np.nan
    evidence = Evidence(day, first_sp, 1, np.full((2, 48), 70, np.int32), template_wh=template)
    volume, status = baseline("weekly_template", evidence, DSO)
    assert volume.tolist() == [[250.0], [70.0]]
    assert status.tolist() == [OK, SHORT]


def test_the_fixed_reference_is_the_profile_times_the_assets():
    # NGED: 830 W per charger at peak is 415 Wh a half hour; three chargers 1,245.
    profile = np.zeros((1, 48))
    profile[0, SP - 1] = DSO.value("fixed_reference_ev_peak_w") / 2
    evidence = Evidence(
        TUESDAY,
        SP,
        1,
        np.full((2, 48), 60, np.int32),
        reference_wh=profile,
        kind=np.array([0, UNKNOWN_KIND]),
        assets=np.array([3, 5]),
    )
    volume, status = baseline("fixed_reference", evidence, DSO)
    assert volume.tolist() == [[1245.0], [60.0]]
    assert status.tolist() == [OK, SHORT]


@pytest.mark.parametrize(
    ("day", "first_sp", "half_hours"),
    [(date(2026, 3, 29), 2, [1, 4, 5]), (date(2026, 10, 25), 3, [2, 3, 2]), (TUESDAY, 3, [2, 3, 4])],
)
def test_profiles_follow_the_clock_when_it_changes(day, first_sp, half_hours):
    # March: 00:30, then 02:00. October: 01:00, 01:30, and 01:00 again.
    evidence = Evidence(
        day,
        first_sp,
        3,
        np.zeros((1, period_count(day)), np.int32),
        reference_wh=np.arange(48.0)[np.newaxis],
        kind=np.array([0]),
        assets=np.array([1]),
    )
    assert found("fixed_reference", evidence)[0] == half_hours


def test_the_last_period_of_the_long_day_has_a_baseline_by_the_clock():
    long_day = date(2026, 10, 25)
    evidence = site(long_day, lambda _: 0, first_sp=49, n_sp=2)
    evidence.history_wh[:] = np.arange(48)
    assert found("mid_8_in_10", evidence) == ([46.0, 47.0], OK)


def test_a_day_when_the_clocks_change_is_no_evidence():
    # Sunday 29 March 2026: the last four days off before Saturday 4 April are Good Friday 3 April, 28, 22
    # and 21 March.
    assert found("mid_8_in_10", site(date(2026, 4, 4), lambda day: day.day)) == ([(21 + 22) / 2], OK)


def test_zero_is_zero_and_says_that_it_was_calculated():
    assert found("zero", site(TUESDAY, day_of_month)) == ([0.0], OK)


def test_the_control_group_is_averaged_without_its_gaps_and_needs_enough_sites():
    control = np.full((3, 48), 200, np.int32)
    control[1] = 400
    control[2] = MISSING_WH
    evidence = Evidence(TUESDAY, SP, 1, np.full((1, 48), 33, np.int32), control_wh=control)
    assert found("control_group", evidence, rules_with(control_group_at_least=2)) == ([300.0], OK)
    assert found("control_group", evidence) == ([33.0], SHORT)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"zero"}))
def test_a_method_without_its_evidence_says_what_it_needs(name):
    bare = Evidence(TUESDAY, SP, 1, np.zeros((1, 48), np.int32))
    with pytest.raises(BaselineError, match=f"{name} needs"):
        baseline(name, bare, DSO)


def test_an_unknown_method_and_a_block_off_the_day_are_refused():
    with pytest.raises(BaselineError, match="no baseline method 'BL02'; there are BL01"):
        baseline("BL02", site(TUESDAY, day_of_month), DSO)
    with pytest.raises(BaselineError, match="47 to 49 do not lie within 1 to 48"):
        site(TUESDAY, day_of_month, first_sp=47, n_sp=3)
