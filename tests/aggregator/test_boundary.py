"""Units metered at the boundary: what is held of their homes, published of them and foreseen of base load."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from aggregator.boundary import base_load_w, hear_reads, learn_homes, new_boundary
from aggregator.forecast import learn
from aggregator.loop import Aggregator
from aggregator.operational_metering import publish
from aggregator.registry import enrol
from aggregator.settings import Assumptions
from protocol.messages import (
    MISSING_WH,
    AssetReadings,
    BoundaryReadings,
    BoundaryReads,
    OperationalMetering,
    PhysicalNotification,
)
from protocol.periods import day_start_ms

ASSUMED = Assumptions()
YESTERDAY = date(2025, 1, 14)
MIDNIGHT_MS = day_start_ms(date(2025, 1, 15))
SIX_MS = MIDNIGHT_MS + 18 * 3_600_000


def reads(*told):
    """Live readings from (home, second of the day, seconds late, W)."""
    home, second, late, watts = np.array(told).T
    event_ms = MIDNIGHT_MS + 1000 * second
    return BoundaryReads(home.astype(np.int32), event_ms, event_ms + 1000 * late, watts.astype(np.int32))


def at_boundary(tools):
    return replace(tools.RULES, bm_at_boundary=True)


def boundary_of(tools, count, units=1):
    told = tools.registration(count, units=units)
    registry = enrol(told, at_boundary(tools), ASSUMED)
    return new_boundary(told, registry, MIDNIGHT_MS, 100), registry


def test_a_unit_is_the_sum_of_its_homes_newest_readings_that_have_arrived(tools):
    boundary, registry = boundary_of(tools, 4, units=2)  # homes 0 and 2, 1 and 3
    hear_reads(boundary, reads((0, 1, 2, 500), (1, 2, 2, 900), (2, 4, 0, -300), (0, 8, 13, 700)))
    level_w = np.zeros(len(registry.groups), np.int64)
    told = publish(boundary, level_w, [1, 2], ("_A", "_B"), MIDNIGHT_MS + 15_000, 5_000)
    assert told.import_w.tolist() == [[0, 0, 0, 500, 200, 200, 200, 200, 200, 200],
                                      [0, 0, 0, 0, 900, 900, 900, 900, 900, 900]]  # fmt: skip
    told = publish(boundary, level_w, [1, 2], ("_A", "_B"), MIDNIGHT_MS + 30_000, 5_000)
    assert told.import_w[0].tolist() == [200] * 11 + [400] * 4


def test_an_older_or_doubled_reading_and_one_of_a_stranger_change_nothing(tools):
    boundary, _ = boundary_of(tools, 2)
    hear_reads(boundary, reads((0, 30, 1, 500), (0, 20, 15, 9_000), (0, 30, 20, 9_000), (7, 31, 1, 9_000)))
    assert boundary.change_w.sum() == 500
    assert boundary.held_w.tolist() == [500, 0]


def half_hours(count, wh):
    return np.full((count, 48), wh, np.int16)


def test_base_load_is_what_homes_draw_less_their_assets_scaled_to_the_meters_that_told_nothing(tools):
    boundary, registry = boundary_of(tools, 10)
    history = Aggregator(tools.SETTINGS, at_boundary(tools)).state.history
    homes_wh, assets_wh = half_hours(10, 700), half_hours(10, 400)
    homes_wh[:2] = MISSING_WH
    everybody = np.arange(10, dtype=np.int32)
    learn_homes(boundary, BoundaryReadings(YESTERDAY, everybody, homes_wh), ASSUMED)
    learn(history, AssetReadings(YESTERDAY, everybody, assets_wh), registry, None, [], ASSUMED)
    # 10 homes at 1,400 W less 10 assets at 800 W.
    assert base_load_w(boundary, history, 1, 10, SIX_MS, ASSUMED) == pytest.approx(6_000)


def test_without_a_day_of_both_meters_there_is_no_base_load_to_tell(tools):
    boundary, _ = boundary_of(tools, 10)
    history = Aggregator(tools.SETTINGS, at_boundary(tools)).state.history
    homes = BoundaryReadings(YESTERDAY, np.arange(10, dtype=np.int32), half_hours(10, 700))
    learn_homes(boundary, homes, ASSUMED)
    assert base_load_w(boundary, history, 1, 10, SIX_MS, ASSUMED) == 0.0


def notified_mw(tools, rules):
    """The FPN of 2,000 homes that drew 5 kW each yesterday, 2 kW of it by their chargers; and who says it."""
    aggregator = Aggregator(tools.SETTINGS, rules)
    aggregator.receive(tools.registration(2_000), MIDNIGHT_MS)
    everybody = np.arange(2_000, dtype=np.int32)
    for message in (
        BoundaryReadings(YESTERDAY, everybody, half_hours(2_000, 2_500)),
        AssetReadings(YESTERDAY, everybody, half_hours(2_000, 1_000)),
    ):
        aggregator.receive(message, MIDNIGHT_MS)
    aggregator.on_deadline(max(aggregator.next_deadline_ms(), aggregator._notify_at_ms()))
    told = [envelope.message for envelope in aggregator.take_outbox()]
    level_mw = next(m.profile[0].level_mw for m in told if isinstance(m, PhysicalNotification))
    return level_mw, aggregator


def test_the_level_notified_is_that_of_what_is_metered(tools):
    by_assets, _ = notified_mw(tools, tools.RULES)
    whole, _ = notified_mw(tools, at_boundary(tools))
    assert whole - by_assets == -6.0  # 2,000 homes at 3 kW besides their chargers


def test_the_metering_published_is_that_of_homes_whole(tools):
    _, aggregator = notified_mw(tools, at_boundary(tools))
    now_ms = aggregator.state.now_ms
    second = (now_ms - MIDNIGHT_MS) // 1000
    aggregator.receive(reads(*((home, second, 1, 5_000) for home in range(2_000))), now_ms + 2_000)
    aggregator.on_deadline(now_ms + 60_000)
    (told,) = [e.message for e in aggregator.take_outbox() if isinstance(e.message, OperationalMetering)]
    assert told.import_w[0, -1] == 10_000_000
