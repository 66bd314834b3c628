"""What the engine tells beside the physics: rows, sessions, events."""

from datetime import date, timedelta

import numpy as np
import pytest

from devices import ev
from devices.ev import EventKind, idle_diary, make_spec
from protocol import periods
from sim.fleet import Fleet
from sim.play import Orders
from sim.reference import ReferenceFleet

WH = 3_600_000
HOUR_MS = 3_600_000
WINTER_DAY, EVE_OF_SPRING = date(2024, 1, 16), date(2024, 3, 30)


def cars(count):
    spec = make_spec(count)
    spec["battery_mj"] = spec["stop_mj"] = spec["taper_mj"] = 60_000 * WH
    spec["target_mj"] = 48_000 * WH
    spec["charger_w"] = spec["taper_w"] = 7_000
    spec["read_every_ms"] = 60_000
    return spec


def plugged_in(kind, day, hour=18, count=1):
    """A fleet whose cars come home at an hour of `day`; that morning's deadline was at 07:00."""
    start_ms = periods.local_clock_ms(day, 4, 30)
    fleet = kind(
        ev,
        cars(count),
        ev.make_state(np.full(count, 20_000 * WH), start_ms),
        np.zeros(count, np.int16),
        1,
        start_ms,
        keep_events=True,
    )
    diary = idle_diary(count)
    diary["return_ms"] = diary["start_ms"] = periods.local_clock_ms(day, hour)
    diary["plug_below_mj"] = 2**60
    diary["ready_ms"] = periods.local_clock_ms(day, 7)
    step_ms = periods.local_clock_ms(day + timedelta(days=1), 7) - periods.local_clock_ms(day, 7)
    fleet.plan(diary, ev.Today(np.empty((0, 2), np.int64), step_ms))
    return fleet


@pytest.fixture(params=[Fleet, ReferenceFleet], ids=["fast", "reference"])
def kind(request):
    return request.param


@pytest.mark.parametrize("wrong", [("read_at_ms", [5, 4]), ("read_every_ms", [60_000, 30_000])])
def test_rows_in_another_order_than_that_of_their_readings_are_refused(wrong):
    spec = cars(2)
    column, values = wrong
    spec[column] = values
    with pytest.raises(ValueError, match="must lie in the order"):
        Fleet(ev, spec, ev.make_state(np.zeros(2), 0), np.zeros(2, np.int16), 1, 0)


def test_a_session_is_told_with_the_deadline_of_the_next_morning(kind):
    fleet = plugged_in(kind, WINTER_DAY)
    sessions = fleet.play(fleet.state.now_ms + 20 * HOUR_MS, Orders.none()).sessions
    assert sessions.event_ms.tolist() == [periods.local_clock_ms(WINTER_DAY, 18)]
    assert sessions.ready_by_ms.tolist() == [periods.local_clock_ms(WINTER_DAY, 7) + 24 * HOUR_MS]
    assert sessions.target_pct.tolist() == [80]
    assert sessions.soc_pct.tolist() == [-1]


def test_on_the_eve_of_a_clock_change_the_deadline_told_is_that_of_the_clock(kind):
    fleet = plugged_in(kind, EVE_OF_SPRING)
    sessions = fleet.play(fleet.state.now_ms + 20 * HOUR_MS, Orders.none()).sessions
    next_day = date(2024, 3, 31)
    assert sessions.ready_by_ms.tolist() == [periods.local_clock_ms(next_day, 7)]


def some_orders(count, from_ms):
    """Orders for row 0, a second apart, in turn a pause and a release."""
    number = np.arange(count)
    return Orders(
        rows=np.zeros(count, np.int32),
        arrival_ms=from_ms + number * 1000,
        limit_w=np.where(number % 2, -1, 0).astype(np.int32),
        from_ms=from_ms + number * 1000,
        until_ms=np.full(count, from_ms + HOUR_MS),
        sequence=(number + 1).astype(np.int32),
        response_dsr=np.ones(count, np.int8),
    )


def events_of(kind, count):
    fleet = plugged_in(kind, WINTER_DAY)
    fleet.play(
        periods.local_clock_ms(WINTER_DAY, 19), some_orders(count, periods.local_clock_ms(WINTER_DAY, 18, 30))
    )
    return fleet.events["kind"].tolist()


def test_every_order_and_every_change_of_power_is_an_event(kind):
    kinds = events_of(kind, 30)
    assert kinds.count(EventKind.ORDER) == 30
    assert kinds.count(EventKind.STOPPED) == 15
    assert kinds.count(EventKind.CHARGING) == 1 + 15


def test_a_stretch_full_of_events_loses_none():
    assert events_of(Fleet, 100) == events_of(ReferenceFleet, 100)
