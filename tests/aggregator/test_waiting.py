"""What is foreseen to wait for a clock, and the room of batteries: a handful of days worked out by hand."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from aggregator.registry import enrol
from aggregator.settings import Assumptions
from aggregator.telemetry import new_store
from aggregator.waiting import Batteries, batteries_now, foresee_waiting, learn_waiting
from protocol.messages import MISSING_WH, AssetReadings, Service, Technology
from protocol.periods import PERIOD_MS, day_start_ms

ASSUMED = Assumptions()
THURSDAY = date(2025, 1, 16)
NONE = Batteries(0.0, 0.0, 0.0)
AT_22, AT_4 = 44, 8


def charging(count, first, wh=3_500, length=2):
    """All begin in one half-hour."""
    readings = np.zeros((count, 48), np.int16)
    readings[:, first : first + length] = wh
    return readings


def lived(tools, readings, days=4, technology=Technology.EV, disturbed=()):
    """The same readings on each of some days before Thursday."""
    count = len(readings)
    assets = tools.registration(count, Service.BALANCING, technology=np.full(count, technology, np.int8))
    registry = enrol(assets, tools.RULES, ASSUMED)
    known = []
    for back in range(days, 0, -1):
        told = AssetReadings(THURSDAY - timedelta(days=back), np.arange(count, dtype=np.int32), readings)
        learn_waiting(known, told, registry, disturbed, ASSUMED)
    return known, registry


def window(first, periods=1):
    """Starts of periods from a half-hour of Thursday on."""
    return [day_start_ms(THURSDAY) + (first + k) * PERIOD_MS for k in range(periods)]


def means(tools, readings, starts, batteries=NONE, now=0, **named):
    known, registry = lived(tools, readings, **named)
    now_ms = day_start_ms(THURSDAY) + now * PERIOD_MS
    found = foresee_waiting(known, [1], registry.groups[1], starts, batteries, now_ms, ASSUMED)
    return [round(each.mean_w) for each in found]


def test_cars_that_a_clock_starts_at_22_wait_in_the_evening_as_they_come_home(tools):
    # 100 cars of 7 kW: half of them are home at 19:00, five sixths at 21:00.
    assert means(tools, charging(100, AT_22), window(38)) == [350_000]
    assert means(tools, charging(100, AT_22), window(42)) == [583_333]


def test_before_people_come_home_and_after_it_began_nothing_waits(tools):
    assert means(tools, charging(100, AT_22), window(31)) == [0]
    assert means(tools, charging(100, AT_22), window(AT_22)) == [0]


def test_cars_of_a_night_tariff_wait_from_the_evening_before(tools):
    assert means(tools, charging(100, AT_4), window(AT_4 - 1)) == [700_000]
    assert means(tools, charging(100, AT_4), window(46)) == [700_000]


def test_a_long_window_is_sold_at_the_level_that_the_energy_lasts_for(tools):
    # 100 cars x 7 kWh over 3 h.
    assert means(tools, charging(100, AT_4), window(AT_4 - 6, 6)) == [233_333] * 6


def test_what_would_begin_within_the_window_is_payback_and_is_not_sold(tools):
    assert means(tools, charging(100, AT_4), window(AT_4 - 1, 2)) == [0, 0]


def test_cars_that_begin_when_they_come_home_do_not_wait(tools):
    readings = np.concatenate([charging(10, first) for first in range(32, 46)])
    assert means(tools, readings, window(36)) == [0]


def test_a_tank_on_a_timer_waits_whoever_is_home(tools):
    tanks = charging(100, 42, wh=1_500)
    assert means(tools, tanks, window(34), technology=Technology.HOT_WATER) == [300_000]


def test_days_of_own_orders_and_missing_half_hours_teach_nothing(tools):
    start_ms = day_start_ms(THURSDAY) - 5 * 48 * PERIOD_MS
    always = [(1, start_ms, start_ms + 6 * 48 * PERIOD_MS)]
    assert means(tools, charging(100, AT_4), window(AT_4 - 1), disturbed=always) == [0]
    readings = charging(100, AT_4)
    readings[:, AT_4 - 1] = MISSING_WH
    assert means(tools, readings, window(AT_4 - 2)) == [0]


def test_the_surer_the_less_and_few_cars_are_never_foreseen_better_than_chance_allows(tools):
    known, registry = lived(tools, charging(9, AT_4))
    (found,) = foresee_waiting(known, [1], registry.groups[1], window(AT_4 - 1), NONE, 0, ASSUMED)
    assert found.sd_w >= np.sqrt(7_400 * found.mean_w)
    sure = [found.quantile_w(1 - confidence) for confidence in (0.5, 0.7, 0.9)]
    assert sure == sorted(sure, reverse=True)
    assert sure[0] > sure[2]


def test_batteries_have_the_room_that_is_left_when_the_window_ends(tools):
    # 100 kWh of room now; 20 kWh go in from 02:00 to 04:00 anyway: 80 kWh are left for 2 h, at 94 %.
    batteries = Batteries(rating_w=300_000.0, size_wh=200_000.0, room_wh=100_000.0)
    charge = charging(100, 4, wh=50, length=4)
    found = means(tools, charge, window(4, 4), batteries, technology=Technology.BATTERY)
    assert found == [round(80_000 / 0.94 / 2)] * 4


def test_batteries_that_charge_flat_out_or_will_be_full_offer_nothing(tools):
    full = Batteries(rating_w=300_000.0, size_wh=200_000.0, room_wh=0.0)
    flat_out = Batteries(rating_w=10_000.0, size_wh=200_000.0, room_wh=200_000.0)
    charge = charging(100, 4, wh=50, length=4)
    assert means(tools, charge, window(4, 4), full, technology=Technology.BATTERY) == [0] * 4
    assert means(tools, charge, window(4, 4), flat_out, technology=Technology.BATTERY) == [0] * 4


def test_the_room_of_batteries_is_as_they_tell(tools):
    assets = tools.registration(3, technology=np.array([0, 5, 5], np.int8))
    assets = replace(assets, technology=np.array([0, Technology.BATTERY, Technology.BATTERY], np.int8))
    registry = enrol(assets, tools.RULES, ASSUMED)
    store = new_store(assets, registry, ASSUMED, 0, 60)
    store.board["soc_pct"][:2] = (50, 25)  # the third has told nothing
    assert batteries_now(store, registry, [1]) == Batteries(7_400.0, 60_000.0, 45_000.0)


@pytest.mark.parametrize("cells", [[1], (1,)])
def test_nothing_lived_nothing_waits(tools, cells):
    registry = enrol(tools.registration(5), tools.RULES, ASSUMED)
    (found,) = foresee_waiting([], cells, registry.groups[1], window(40), NONE, 0, ASSUMED)
    assert (found.mean_w, found.days) == (0.0, 0)
