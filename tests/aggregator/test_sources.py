"""Sources of one figure that disagree are counted and told; those that agree, or are not there, are not."""

from dataclasses import replace
from datetime import date

import numpy as np

from aggregator.sources import compare_day, new_sources, turn_day
from aggregator.telemetry import READING
from protocol.codec import Reader, Writer
from protocol.messages import MISSING_WH, AssetReadings, BoundaryReadings, Technology
from protocol.periods import day_end_ms, day_start_ms

DAY = date(2024, 1, 16)


class Registered:
    """What is read of a registration."""

    def __init__(self, home):
        self.home = np.array(home, np.int32)


def board_of(registers_wh, at_ms, import_w=0, technology=Technology.EV):
    board = np.zeros(len(registers_wh), READING)
    board["register_wh"], board["event_ms"], board["import_w"] = registers_wh, at_ms, import_w
    board["rating_w"], board["technology"] = 7_400, technology
    return board


def assets(each_wh):
    day = np.zeros((len(each_wh), 48), np.int16)
    day[:, 2] = each_wh
    return AssetReadings(DAY, np.arange(len(each_wh), dtype=np.int32), day)


def boundary(each_wh):
    return BoundaryReadings(DAY, np.arange(len(each_wh), dtype=np.int32), np.array(each_wh, np.int16))


def lived(begin_wh, end_wh, home=None, **board):
    """Sources after a day whose registers went from one figure to the other."""
    sources = new_sources(Registered(home or range(len(begin_wh))))
    turn_day(sources, board_of(begin_wh, day_start_ms(DAY), **board), DAY.toordinal(), day_start_ms(DAY))
    tomorrow = board_of(end_wh, day_end_ms(DAY), **board)
    turn_day(sources, tomorrow, DAY.toordinal() + 1, day_end_ms(DAY))
    return sources


def test_a_register_and_a_meter_that_differ_by_a_tenth_are_told_and_by_a_hundredth_not():
    sources = lived([1_000, 1_000, 1_000], [11_000, 11_000, 11_000])
    found = compare_day(sources, assets([9_900, 9_000, 11_100]), 0.0)
    assert (found.assets, found.assets_compared) == (2, 3)
    assert "2 of 3 assets" in str(found)


def test_a_coarse_register_is_given_its_step():
    told = [compare_day(lived([1_000], [2_000]), assets([1_700]), step).assets for step in (0.0, 1_000.0)]
    assert told == [1, 0]


def test_a_battery_has_no_register_to_be_held_against():
    found = compare_day(lived([1_000], [11_000], technology=Technology.BATTERY), assets([0]), 0.0)
    assert found.assets_compared == 0


def test_a_roof_is_held_against_its_inverters_own_count_sign_and_all():
    sources = lived([1_000] * 4 + [0], [11_000] * 4 + [0], technology=Technology.PV)
    found = compare_day(sources, assets([-10_000, -9_800, -9_000, 10_000, -10_000]), 0.0)
    assert (found.assets, found.assets_compared) == (2, 4)  # a gain of a tenth; a meter the wrong way round


def test_a_register_that_is_old_or_was_never_told_is_not_compared():
    sources = lived([0, 1_000], [0, 11_000])
    old = board_of([5_000, 11_000], [day_end_ms(DAY), day_end_ms(DAY) - 3_600_000])
    assert compare_day(sources, assets([9_000, 10_000]), 0.0).assets_compared == 1
    sources = lived([0, 1_000], [0, 11_000])
    sources.day = DAY.toordinal()
    turn_day(sources, old, DAY.toordinal() + 1, day_end_ms(DAY))
    assert compare_day(sources, assets([9_000, 9_000]), 0.0).assets_compared == 0


def test_a_reading_before_midnight_is_carried_there_and_what_it_may_be_wrong_by_is_allowed():
    sources = new_sources(Registered([0]))
    turn_day(sources, board_of([1_000], day_start_ms(DAY)), DAY.toordinal(), day_start_ms(DAY))
    late = board_of([10_000], day_end_ms(DAY) - 300_000, import_w=7_400)
    turn_day(sources, late, DAY.toordinal() + 1, day_end_ms(DAY))
    assert sources.told_wh.tolist() == [9_616]
    assert sources.told_slack_wh.tolist() == [616]


def test_a_day_that_is_missing_is_not_compared():
    sources = lived([1_000], [11_000])
    other = replace(assets([1]), day=date(2024, 1, 15))
    assert compare_day(sources, other, 0.0).assets_compared == 0
    gap = assets([1])
    gap.import_wh[0, 40] = MISSING_WH
    assert compare_day(lived([1_000], [11_000]), gap, 0.0).assets_compared == 0


def test_more_through_a_homes_assets_than_through_its_boundary_is_told_by_night():
    sources = lived([0, 0, 0], [0, 0, 0], home=[0, 0, 1])
    house = np.full((2, 48), 200)
    house[0, 2], house[1, 2] = 3_000, 3_000
    sources.boundary = [boundary(house)]
    found = compare_day(sources, assets([2_000, 1_900, 3_050]), 0.0)
    assert (found.half_hours, found.half_hours_compared) == (1, 96)
    assert not sources.boundary


def test_by_day_a_roof_that_nobody_registered_may_explain_it():
    sources = lived([0], [0])
    readings = assets([0])
    readings.import_wh[0, 24] = 3_400
    sources.boundary = [boundary(np.full((1, 48), 500))]
    assert compare_day(sources, readings, 0.0).half_hours == 0
    sources.boundary = [boundary(np.full((1, 48), 500))]
    readings.import_wh[0, 24] = 3_900
    assert compare_day(sources, readings, 0.0).half_hours == 1


def test_a_half_hour_without_one_of_its_readings_is_not_compared():
    sources = lived([0, 0], [0, 0], home=[0, 0])
    readings = assets([4_000, 4_000])
    readings.import_wh[1, 2] = MISSING_WH
    house = np.full((1, 48), 100)
    house[0, 5] = MISSING_WH
    sources.boundary = [boundary(house)]
    found = compare_day(sources, readings, 0.0)
    assert (found.half_hours, found.half_hours_compared) == (0, 46)


def test_what_is_remembered_goes_through_a_checkpoint():
    sources = lived([1_000], [11_000])
    sources.boundary = [boundary(np.full((1, 48), 100))]
    writer = Writer()
    tree = writer.encode(sources)
    again = Reader(writer.arrays).decode(tree)
    assert again.told_wh.tolist() == sources.told_wh.tolist()
    assert again.boundary[0].day == DAY
