"""Meter data of one's own: whole local days of 46, 48 or 50 periods, and what is missing stays missing."""

from datetime import UTC, date, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest

from protocol.messages import MISSING_WH
from protocol.periods import day_periods_ms
from sim.importers import DataErrors
from sim.meter_file import load_meters, read_meters, write_meters

ONE, TWO = "1200000000001", "1200000000002"


def rows_of(mpan, day, kwh=0.25):
    starts_ms = day_periods_ms(day)[:-1]
    return [
        f"{mpan},{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ},{kwh}"
        for ms in starts_ms.tolist()
    ]


def put(tmp_path, rows, header="mpan,utc_start,import_kwh"):
    path = tmp_path / "meters.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def faults_of(tmp_path, rows, header="mpan,utc_start,import_kwh"):
    with pytest.raises(DataErrors) as caught:
        read_meters(put(tmp_path, rows, header))
    return [(fault.code, fault.line, fault.column) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("day", "periods"), [(date(2024, 1, 16), 48), (date(2024, 3, 31), 46), (date(2024, 10, 27), 50)]
)
def test_a_days_readings_fill_its_own_number_of_periods(tmp_path, day, periods):
    readings = read_meters(put(tmp_path, [*rows_of(TWO, day, 0.5), *rows_of(ONE, day)]))
    (told,) = readings.days()
    assert told.day == day
    assert told.import_wh.shape == (2, periods)
    assert (told.import_wh[0] == 250).all()
    assert (told.import_wh[1] == 500).all()
    assert readings.missing == 0


def test_a_half_hour_without_a_row_stays_missing_and_is_counted(tmp_path):
    rows = rows_of(ONE, date(2024, 1, 16))
    readings = read_meters(put(tmp_path, rows[:10] + rows[12:]))
    (told,) = readings.days()
    assert np.flatnonzero(told.import_wh[0] == MISSING_WH).tolist() == [10, 11]
    assert readings.missing == 2
    assert [fault.code for fault in readings.source.warnings] == ["W107"]


def test_energy_is_the_same_in_either_unit_and_any_order_and_no_row_is_made_up(tmp_path):
    rows = rows_of(ONE, date(2024, 1, 16))[1:] + rows_of(TWO, date(2024, 1, 16))
    write_meters(read_meters(put(tmp_path, rows)), tmp_path / "a.parquet")
    in_wh = [row.replace(",0.25", ",250") for row in rows[::-1]]
    write_meters(read_meters(put(tmp_path, in_wh, "mpan,utc_start,import_wh")), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pq.read_table(tmp_path / "a.parquet").num_rows == 95


def test_what_was_written_is_read_back_with_its_gaps_and_other_files_are_not(tmp_path):
    rows = rows_of(ONE, date(2024, 1, 16))
    first = read_meters(put(tmp_path, rows[:10] + rows[12:] + rows_of(TWO, date(2024, 1, 16))))
    write_meters(first, tmp_path / "a.parquet")
    again = load_meters(tmp_path / "a.parquet")
    for name in ("mpan", "meter", "start_ms", "import_wh", "missing"):
        assert np.array_equal(getattr(again, name), getattr(first, name))
    pq.write_table(pq.read_table(tmp_path / "a.parquet").replace_schema_metadata({}), tmp_path / "b.parquet")
    with pytest.raises(DataErrors, match="D052 not what `flextwin import` writes for this"):
        load_meters(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (f"{ONE},2024-01-17T00:00:00,0.1", ("D022", 50, 2)),
        (f"{ONE},2024-01-17T00:10:00Z,0.1", ("D024", 50, 2)),
        (f"{ONE},45308,0.1", ("D020", 50, 2)),
        (f"{ONE},2024-01-16T10:00:00Z,0.1", ("D025", 50, 2)),
        (f"{ONE},2024-01-17T00:00:00Z,-0.1", ("D053", 50, 3)),
        (f"{ONE},2024-01-17T00:00:00Z,250", ("D053", 50, 3)),
        (f"{ONE},2024-01-17T00:00:00Z,", ("D014", 50, 3)),
        (f"{ONE},2024-01-17T00:00:00Z,NaN", ("D013", 50, 3)),
        (f"{ONE[:-1]},2024-01-17T00:00:00Z,0.1", ("D041", 50, 1)),
        (f"{ONE},2024-01-17T00:00:00Z", ("D007", 50, 2)),
    ],
)
def test_a_row_that_does_not_hold_is_told_by_line_and_field(tmp_path, row, fault):
    assert faults_of(tmp_path, [*rows_of(ONE, date(2024, 1, 16)), row]) == [fault]


def test_readings_stamped_at_the_end_are_refused_and_not_moved(tmp_path):
    rows = rows_of(ONE, date(2024, 1, 16))[1:] + rows_of(ONE, date(2024, 1, 17))[:1]
    assert faults_of(tmp_path, rows) == [("D029", 2, 2)]


def test_energy_without_a_unit_is_refused(tmp_path):
    assert faults_of(tmp_path, rows_of(ONE, date(2024, 1, 16)), "mpan,utc_start,import") == [("D006", 1, 1)]
