"""Meter data of one's own is base load: exact where it was read, drawn of its size elsewhere."""

from datetime import date, timedelta

import numpy as np
import pytest

from protocol.messages import MISSING_WH
from protocol.periods import day_start_ms
from sim.home_readings import of_homes
from sim.homes import make_homes
from sim.households import BaseLoad, mean_shape_kw
from sim.importers import DataErrors
from sim.meter_file import MeterReadings, Source
from sim.scenario import Homes

DAY = date(2024, 1, 16)
SETTINGS = Homes(count=40)


def meters_of(mpans, readings):
    """Meter data of (meter, period from the start of DAY) -> Wh."""
    keys = sorted(readings)
    return MeterReadings(
        source=Source("readings.csv", "", len(keys)),
        mpan=np.array(mpans),
        meter=np.array([meter for meter, _ in keys]),
        start_ms=np.array([day_start_ms(DAY) + 1_800_000 * period for _, period in keys]),
        import_wh=np.array([readings[key] for key in keys]),
        missing=0,
    )


def loads(homes, readings=None):
    return BaseLoad(homes, SETTINGS, 1, readings=readings)


def test_a_half_hour_that_was_read_is_the_base_load_and_no_other_changes():
    homes = make_homes(SETTINGS, 1)
    meters = meters_of(homes.mpan[[7, 3]].tolist(), {(0, 0): 999, (0, 47): 12_000, (1, 49): 5})
    readings = of_homes(meters, homes)
    numbers = np.array([3, 5, 7])
    drawn, read = (loads(homes, each).day_wh(numbers, DAY) for each in (None, readings))
    changed = {(int(i), int(k)): int(read[i, k]) for i, k in zip(*np.nonzero(drawn != read), strict=True)}
    assert changed == {(2, 0): 999, (2, 47): 12_000}
    tomorrow = loads(homes, readings).day_wh(numbers, DAY + timedelta(days=1))
    assert tomorrow[0, 1] == 5
    assert loads(homes, readings).most_wh == 12_000


def test_what_was_not_read_is_drawn_of_the_size_that_was():
    homes = make_homes(SETTINGS, 1)
    shape_wh = mean_shape_kw(DAY) * 500.0
    readings = of_homes(
        meters_of([int(homes.mpan[4])], {(0, k): round(2 * shape_wh[k]) for k in range(20, 30)}), homes
    )
    annual_wh = readings.annual_wh(homes.annual_wh)
    assert abs(annual_wh[4] / 7_800_000 - 1) < 0.01
    others = np.arange(len(homes)) != 4
    assert np.array_equal(annual_wh[others], homes.annual_wh[others])


def test_meters_of_no_home_are_counted_and_a_file_of_none_is_refused():
    homes = make_homes(SETTINGS, 1)
    some = of_homes(meters_of([int(homes.mpan[4]), 1], {(0, 0): 1, (1, 0): 2}), homes)
    assert [fault.code for fault in some.source.warnings] == ["W108"]
    with pytest.raises(DataErrors, match=r"readings.csv:1:1: D059 none of 1 meters is of a home"):
        of_homes(meters_of([1], {(0, 0): 1}), homes)


def test_the_long_day_of_october_has_fifty_half_hours():
    homes = make_homes(SETTINGS, 1)
    autumn = date(2024, 10, 27)
    after = (day_start_ms(autumn) - day_start_ms(DAY)) // 1_800_000
    wh = {(0, after + k): 1_000 + k for k in range(50)}
    readings = of_homes(meters_of([int(homes.mpan[0])], wh), homes)
    day_wh = loads(homes, readings).day_wh(np.array([0]), autumn)
    assert day_wh[0].tolist() == [1_000 + k for k in range(50)]
    assert MISSING_WH not in day_wh
