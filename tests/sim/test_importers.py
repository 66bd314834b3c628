import csv
import hashlib
import io
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.periods import LONDON, PERIOD_MS, day_periods_ms, day_start_ms
from sim.faults import table_of_codes
from sim.importers import CODES, DataErrors, read_daily_weather, read_half_hourly

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data files are not on this machine")

JANUARY = date(2024, 1, 15)
MARCH = date(2024, 3, 31)
OCTOBER = date(2024, 10, 27)


def stamp(ms: int, zone=UTC) -> str:
    return datetime.fromtimestamp(ms / 1000, zone).isoformat(sep=" ")


def half_hours(first: date, days: int = 1, column: str = "price") -> list[str]:
    """Lines of a sound file: the header, then one per period; the values are 50, 51 ..."""
    starts = [int(ms) for i in range(days) for ms in day_periods_ms(first + timedelta(days=i))[:-1]]
    lines = [f"{stamp(ms)},{stamp(ms, LONDON)},{50 + i}" for i, ms in enumerate(starts)]
    return [f"spUTCTime,spClockTime,{column}", *lines]


def weather_lines(days: int = 5) -> list[str]:
    lines = [
        f"{date(2024, 2, 27) + timedelta(days=i)},X,{9 + i},{1 + i},{5 + i},ignored" for i in range(days)
    ]
    return ["date,location_id,temperature_max_c,temperature_min_c,temperature_mean_c,other", *lines]


def put(tmp_path: Path, lines: list[str] | bytes) -> Path:
    path = tmp_path / "file.csv"
    path.write_bytes(lines if isinstance(lines, bytes) else ("\n".join(lines) + "\n").encode())
    return path


def prices_of(tmp_path, lines, **options):
    return read_half_hourly(put(tmp_path, lines), "price", **{"unit": "GBP/MWh"} | options)


def faults_of(tmp_path, lines, read=None, **options):
    """(code, row, column) of every fault."""
    path = put(tmp_path, lines)
    options = options if read else {"unit": "GBP/MWh"} | options
    with pytest.raises(DataErrors) as caught:
        (read or (lambda p, **o: read_half_hourly(p, "price", **o)))(path, **options)
    return [(fault.code, fault.line, fault.column) for fault in caught.value.faults]


def changed(lines: list[str], row: int, column: int, text: str) -> list[str]:
    """The lines with one field replaced; row and column as faults count them."""
    cells = next(csv.reader([lines[row - 1]]))
    cells[column - 1] = text
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(cells)
    return [*lines[: row - 1], out.getvalue(), *lines[row:]]


# ----------------------------------------------------------------------------------------------- what is read


def test_a_sound_file_is_read_as_start_stamped_periods_with_the_hash_of_its_bytes(tmp_path):
    lines = half_hours(JANUARY)
    series = prices_of(tmp_path, lines)
    assert series.start_ms.dtype == np.int64
    assert series.start_ms.tolist() == (day_start_ms(JANUARY) + PERIOD_MS * np.arange(48)).tolist()
    assert series.values.tolist() == [50.0 + i for i in range(48)]
    assert series.source.sha256 == hashlib.sha256(put(tmp_path, lines).read_bytes()).hexdigest()
    assert (series.source.rows, series.source.warnings) == (48, ())


@pytest.mark.parametrize(("day", "count"), [(MARCH, 46), (OCTOBER, 50)])
def test_a_clock_change_day_is_read_with_its_own_number_of_periods(tmp_path, day, count):
    series = prices_of(tmp_path, half_hours(day - timedelta(days=1), 3))
    assert len(series.values) == 48 + count + 48
    assert set(np.diff(series.start_ms)) == {PERIOD_MS}


def test_bom_crlf_quotes_and_blank_lines_at_the_end_change_nothing(tmp_path):
    lines = half_hours(JANUARY)
    plain = prices_of(tmp_path, lines)
    quoted = ["\ufeff" + lines[0], '"' + lines[1].replace(",", '","') + '"', *lines[2:], "", ""]
    dressed = prices_of(tmp_path, "\r\n".join(quoted).encode())
    assert dressed.values.tolist() == plain.values.tolist()


def test_negative_and_spiky_prices_are_prices(tmp_path):
    lines = changed(changed(half_hours(JANUARY), 5, 3, "-500"), 6, 3, "6.0e3")
    assert prices_of(tmp_path, lines).values[3:5].tolist() == [-500.0, 6000.0]


# --------------------------------------------------------------------------------- what is refused, and where

SOUND = half_hours(JANUARY, 3)
CASES = [
    ("a missing column", ["spUTCTime,spClockTime,cost", *SOUND[1:]], [("D006", 1, 1)]),
    ("a column twice", ["spUTCTime,price,price", *SOUND[1:]], [("D006", 1, 1), ("D006", 1, 1)]),
    ("semicolons", [line.replace(",", ";") for line in SOUND], [("D005", 1, 1)]),
    ("an open quote", [*SOUND[:5], '"' + SOUND[5], *SOUND[6:]], [("D005", 145, 1)]),
    ("UTF-16", "\n".join(SOUND).encode("utf-16"), [("D002", 1, 1)]),
    ("Latin-1", "\n".join(changed(SOUND, 9, 3, "5\u00a3")).encode("latin-1"), [("D002", 9, 3)]),
    ("an empty file", b"", [("D003", 1, 1)]),
    ("a header only", SOUND[:1], [("D003", 1, 1)]),
    ("a row cut short", [*SOUND[:8], SOUND[8].rpartition(",")[0], *SOUND[9:]], [("D007", 9, 2)]),
    ("a word", changed(SOUND, 7, 3, "cheap"), [("D010", 7, 3)]),
    ("a unit in a cell", changed(SOUND, 7, 3, "50 GBP"), [("D010", 7, 3)]),
    ("a decimal comma", [*SOUND[:6], SOUND[6] + ",5", *SOUND[7:]], [("D011", 7, 3)]),
    ("a quoted decimal comma", changed(SOUND, 7, 3, "98,4"), [("D011", 7, 3)]),
    ("a thousands comma", changed(SOUND, 7, 3, "1,098.4"), [("D011", 7, 3)]),
    ("a spreadsheet's error", changed(SOUND, 7, 3, "#N/A"), [("D012", 7, 3)]),
    ("a word for nothing", changed(SOUND, 7, 3, "NA"), [("D012", 7, 3)]),
    ("nan", changed(SOUND, 7, 3, "nan"), [("D013", 7, 3)]),
    ("minus infinity", changed(SOUND, 7, 3, "-inf"), [("D013", 7, 3)]),
    ("too large for a float", changed(SOUND, 7, 3, "1e400"), [("D013", 7, 3)]),
    ("an empty cell", changed(SOUND, 7, 3, ""), [("D014", 7, 3)]),
    ("an unknown unit", [SOUND[0], "UTC,,EUR/MWh", *SOUND[1:]], [("D015", 2, 3)]),
    ("an empty unit", [SOUND[0], ",,", *SOUND[1:]], [("D015", 2, 3)]),
    ("a date serial", changed(SOUND, 7, 1, "45306.0625"), [("D020", 7, 1)]),
    ("a date with slashes", changed(SOUND, 7, 1, "15/01/2024 02:30"), [("D021", 7, 1)]),
    ("30 February", changed(SOUND, 7, 1, "2024-02-30 02:30:00+00:00"), [("D021", 7, 1)]),
    ("UTC without offset", changed(SOUND, 7, 1, "2024-01-15 02:30:00"), [("D022", 7, 1)]),
    ("local time without offset", changed(SOUND, 7, 2, "2024-01-15 02:30:00"), [("D022", 7, 2)]),
    ("a period twice", [*SOUND[:8], SOUND[7], *SOUND[8:]], [("D025", 9, 1)]),
    ("rows swapped", [*SOUND[:7], SOUND[8], SOUND[7], *SOUND[9:]], [("D026", 9, 1)]),
    ("a gap", [*SOUND[:7], *SOUND[9:]], [("D027", 8, 1)]),
    ("a first day cut short", [SOUND[0], *SOUND[3:]], [("D031", 2, 1)]),
    ("a last day cut short", SOUND[:-4], [("D031", 141, 1)]),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_fault_is_told_with_its_code_row_and_column(tmp_path, lines, expected):
    assert faults_of(tmp_path, lines) == expected


def test_a_period_off_the_half_hour_overlaps_its_neighbours(tmp_path):
    moved = SOUND[7].replace("03:00:00", "03:10:00")
    found = faults_of(tmp_path, [*SOUND[:7], moved, *SOUND[8:]])
    assert found == [("D024", 8, 1)]


def test_a_time_in_the_utc_column_that_is_not_utc_is_refused(tmp_path):
    lines = half_hours(date(2024, 8, 1))
    local = [lines[0], *(",".join([line.split(",")[1]] * 2 + [line.split(",")[2]]) for line in lines[1:])]
    assert {code for code, _, _ in faults_of(tmp_path, local)} == {"D023"}


def test_a_file_that_is_not_there_says_how_to_give_its_folder(tmp_path):
    with pytest.raises(DataErrors, match=r"none\.csv:1:1: D001 no such file; allowed: .*--data DIR"):
        read_half_hourly(tmp_path / "none.csv", "price")
    with pytest.raises(DataErrors, match="D001 a folder or device"):
        read_half_hourly(tmp_path, "price")


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("sim.importers.LARGEST_BYTES", 1_000)
    assert faults_of(tmp_path, SOUND) == [("D004", 1, 1)]


def test_a_fault_prints_file_row_column_what_got_and_allowed(tmp_path):
    with pytest.raises(DataErrors) as caught:
        prices_of(tmp_path, changed(SOUND, 7, 3, "98,4"))
    told = "D011 `price` has a comma in a number; got `98,4`; allowed: a decimal point"
    assert str(caught.value) == f"{tmp_path / 'file.csv'}:7:3: {told}"


def test_all_faults_are_told_at_once(tmp_path):
    lines = SOUND
    for row in range(2, 62):
        lines = changed(lines, row, 3, "#N/A")
    lines = [*lines[:100], *lines[101:]]
    with pytest.raises(DataErrors) as caught:
        prices_of(tmp_path, lines)
    assert [fault.code for fault in caught.value.faults] == ["D012"] * 60 + ["D027"]


# ------------------------------------------------------------------------------- clock changes and end stamps


def naive_day(day: date) -> list[str]:
    """What a tool writes that thinks each day has 48 half-hours from 00:00 to 23:30 on the wall."""
    walls = [datetime(day.year, day.month, day.day, i // 2, 30 * (i % 2), tzinfo=LONDON) for i in range(48)]
    return [
        f"{wall.astimezone(UTC).isoformat(sep=' ')},{wall.isoformat(sep=' ')},{50 + i}"
        for i, wall in enumerate(walls)
    ]


@pytest.mark.parametrize("day", [MARCH, OCTOBER])
@pytest.mark.parametrize("policy", ["error", "hold", "interpolate"])
def test_a_clock_change_day_of_48_periods_is_refused_whatever_the_policy(tmp_path, day, policy):
    before, after = (half_hours(day + timedelta(days=i)) for i in (-1, 1))
    found = faults_of(tmp_path, [*before, *naive_day(day), *after[1:]], policy=policy)
    assert ("D028", 50, 2) in found


@pytest.mark.parametrize(("shift_utc", "shift_clock", "column"), [(0, 1, 2), (1, 0, 1)])
def test_two_times_half_an_hour_apart_show_that_one_stamps_the_end(tmp_path, shift_utc, shift_clock, column):
    lines = []
    for ms in map(int, day_periods_ms(JANUARY)[:-1]):
        utc, clock = stamp(ms + shift_utc * PERIOD_MS), stamp(ms + shift_clock * PERIOD_MS, LONDON)
        lines.append(f"{utc},{clock},50")
    assert faults_of(tmp_path, [SOUND[0], *lines])[0] == ("D029", 2, column)


def test_rows_from_half_past_midnight_to_midnight_look_stamped_at_the_end(tmp_path):
    lines = [f"{stamp(int(ms))},{stamp(int(ms), LONDON)},50" for ms in day_periods_ms(JANUARY)[1:]]
    assert faults_of(tmp_path, [SOUND[0], *lines]) == [("D029", 2, 1)]


def test_a_clock_column_that_does_not_follow_summer_time_is_refused_once(tmp_path):
    lines = half_hours(date(2024, 8, 1), 2)
    utc_twice = [",".join([line.split(",")[0]] * 2 + ["50"]) for line in lines[1:]]
    assert faults_of(tmp_path, [lines[0], *utc_twice]) == [("D030", 2, 2)]


def test_a_clock_column_an_hour_off_is_refused(tmp_path):
    lines = [
        f"{stamp(int(ms))},{stamp(int(ms) + 2 * PERIOD_MS)},50"
        for ms in day_periods_ms(date(2024, 8, 1))[:-1]
    ]
    assert faults_of(tmp_path, [SOUND[0], *lines]) == [("D030", 2, 2)]


# --------------------------------------------------------------------------------------------------- policies


def test_hold_repeats_the_last_value_and_interpolate_draws_a_line_and_both_count(tmp_path):
    lines = changed([*SOUND[:7], *SOUND[9:]], 20, 3, "")
    for policy, gap, cell in (("hold", [55.0, 55.0], 69.0), ("interpolate", [56.0, 57.0], 70.0)):
        series = prices_of(tmp_path, lines, policy=policy)
        assert series.values[6:8].tolist() == gap
        assert series.values[20] == cell
        assert len(series.values) == 144
        assert series.source.filled == 3
        assert [warning.code for warning in series.source.warnings] == ["W102"]


def test_rows_out_of_order_are_sorted_and_repeats_dropped_only_under_a_policy(tmp_path):
    lines = [*SOUND[:7], SOUND[8], SOUND[7], SOUND[8], *SOUND[9:]]
    series = prices_of(tmp_path, lines, policy="hold")
    assert series.values.tolist() == [50.0 + i for i in range(144)]
    assert (series.source.reordered, series.source.dropped, series.source.filled) == (1, 1, 0)


def test_a_period_told_twice_with_two_values_is_refused_under_any_policy(tmp_path):
    lines = [*SOUND[:8], SOUND[7] + "9", *SOUND[8:]]
    assert faults_of(tmp_path, lines, policy="hold") == [("D025", 9, 1)]


def test_no_policy_fills_more_than_a_day_or_from_nothing(tmp_path):
    assert faults_of(tmp_path, [*SOUND[:40], *SOUND[89:]], policy="hold") == [("D027", 41, 1)]
    assert prices_of(tmp_path, [*SOUND[:40], *SOUND[88:]], policy="hold").source.filled == 48
    assert faults_of(tmp_path, changed(SOUND, 2, 3, ""), policy="hold") == [("D014", 2, 3)]
    assert faults_of(tmp_path, changed(SOUND, 145, 3, ""), policy="interpolate") == [("D014", 145, 3)]


# ------------------------------------------------------------------------------------------------------ units


def test_a_unit_row_scales_and_wins_over_what_is_given(tmp_path):
    lines = [SOUND[0], "UTC,London,p/kWh", *(line.rpartition(",")[0] + ",7.5" for line in SOUND[1:])]
    assert set(prices_of(tmp_path, lines).values) == {75.0}


def test_a_file_that_must_name_its_unit_and_does_not_is_refused(tmp_path):
    assert faults_of(tmp_path, SOUND, unit=None) == [("D015", 2, 3)]


@pytest.mark.parametrize(("scale", "guess"), [(1e-3, "GBP/kWh"), (0.1, "p/kWh"), (1e3, None)])
def test_values_that_look_like_another_unit_are_warned_of_and_left_alone(tmp_path, scale, guess):
    lines = [SOUND[0], *(f"{line.rpartition(',')[0]},{80 * scale}" for line in SOUND[1:])]
    series = prices_of(tmp_path, lines)
    assert set(series.values) == {80 * scale}
    (warning,) = series.source.warnings
    assert (warning.code, warning.is_warning) == ("W101", True)
    assert (f"are these {guess}?" in warning.what) == (guess is not None)


def test_volumes_are_megawatt_hours(tmp_path):
    path = put(tmp_path, [line.replace("price", "volume") for line in SOUND])
    assert read_half_hourly(path, "volume", unit="kWh").values[0] == 0.05
    with pytest.raises(ValueError, match="unit 'GBP/MWh' of volume; allowed: MWh"):
        read_half_hourly(path, "volume", unit="GBP/MWh")


# ------------------------------------------------------------------------------------ the days that are asked


def test_periods_beyond_the_file_are_refused_with_what_it_holds(tmp_path):
    series = prices_of(tmp_path, SOUND)
    first = day_start_ms(JANUARY)
    assert series.between(first + PERIOD_MS, first + 2 * PERIOD_MS).tolist() == [51.0, 52.0]
    with pytest.raises(
        DataErrors, match=r"D032 the run needs 2024-01-14 23:30Z to .*got 2024-01-15 00:00Z to"
    ):
        series.between(first - PERIOD_MS, first)
    with pytest.raises(DataErrors, match="D032"):
        series.between(first, first + 144 * PERIOD_MS)


# ---------------------------------------------------------------------------------------------------- weather


def test_daily_temperatures_are_read_by_name_across_29_february(tmp_path):
    weather = read_daily_weather(put(tmp_path, weather_lines()))
    assert [date.fromordinal(day) for day in weather.day.tolist()][2] == date(2024, 2, 29)
    assert (weather.mean_c[2], weather.min_c[2], weather.max_c[2]) == (7.0, 3.0, 11.0)
    assert weather.places(date(2024, 2, 28), 2) == slice(1, 3)
    with pytest.raises(
        DataErrors, match="D032 the run needs 2024-02-28 to 2024-03-03; got 2024-02-27 to 2024-03-02"
    ):
        weather.places(date(2024, 2, 28), 5)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (changed(weather_lines(), 3, 1, "45350"), ("D020", 3, 1)),
        (changed(weather_lines(), 3, 1, "28.02.2024"), ("D021", 3, 1)),
        (changed(weather_lines(), 3, 5, "280.3"), ("D016", 3, 5)),
        (changed(weather_lines(), 3, 4, "8"), ("D017", 3, 5)),
        (changed(weather_lines(), 3, 5, "#VALUE!"), ("D012", 3, 5)),
        (changed(weather_lines(), 3, 5, ""), ("D014", 3, 5)),
        ([*weather_lines()[:3], *weather_lines()[4:]], ("D027", 4, 1)),
        ([*weather_lines()[:4], weather_lines()[3], *weather_lines()[4:]], ("D025", 5, 1)),
        ([weather_lines()[0], "date,,F,F,F,", *weather_lines()[1:]], ("D015", 2, 3)),
    ],
)
def test_a_fault_in_a_weather_file_is_told_with_its_place(tmp_path, lines, expected):
    assert faults_of(tmp_path, lines, read_daily_weather)[0] == expected


def test_each_weather_column_has_its_own_policy(tmp_path):
    lines = changed(changed(weather_lines(), 4, 5, ""), 4, 4, "")
    policies = {"temperature_mean_c": "interpolate", "temperature_min_c": "hold"}
    weather = read_daily_weather(put(tmp_path, lines), policies)
    assert (weather.mean_c[2], weather.min_c[2], weather.source.filled) == (7.0, 2.0, 2)


# ------------------------------------------------------------------------------------------------ any garbage


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_gives_a_series_or_data_errors_and_nothing_else(tmp_path_factory, data):
    raw = bytearray("\n".join(half_hours(JANUARY)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = put(tmp_path_factory.mktemp("damaged"), bytes(raw))
    policy = data.draw(st.sampled_from(["error", "hold"]))
    faults, series = (), None
    try:
        series = read_half_hourly(path, "price", unit="GBP/MWh", policy=policy)
    except DataErrors as errors:
        faults = errors.faults
    assert {fault.code for fault in faults} <= CODES.keys()
    assert bool(faults) == (series is None)
    if series is not None:
        assert np.isfinite(series.values).all()
        assert set(np.diff(series.start_ms)) == {PERIOD_MS}


def test_every_code_is_in_the_guide_and_every_refusal_has_been_seen():
    guide = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert table_of_codes(CODES) in guide
    seen = re.findall(r"\b[DW][0-9]{3}\b", Path(__file__).read_text(encoding="utf-8"))
    elsewhere = {"D008"}  # in tests/sim/test_run_inputs.py
    assert set(seen) | elsewhere == set(CODES)  # W103 is seen in tests/sim/test_prices.py


# ------------------------------------------------------------------------------------------------- real files


@needs_shared
def test_elexon_prices_of_january_2024_have_the_published_means_when_long_and_short():
    # Elexon: long mean 45.7 sd 23.7, short 98.3 sd 16.7 GBP/MWh. The file is in p/kWh and does not say so.
    price = read_half_hourly(SHARED / "elexon" / "system_price_2024_01.csv", "price", unit="p/kWh")
    volume = read_half_hourly(SHARED / "elexon" / "net_imbalance_volume_2024_01.csv", "volume", unit="MWh")
    assert price.start_ms.tolist() == volume.start_ms.tolist()
    short, long = price.values[volume.values > 0], price.values[volume.values <= 0]
    assert [short.mean(), long.mean()] == pytest.approx([98.3, 45.7], abs=0.3)
    assert [short.std(), long.std()] == pytest.approx([16.7, 23.7], abs=0.3)
    assert volume.source.warnings == ()


@needs_shared
@pytest.mark.parametrize("month", ["2024_01", "2024_08"])
def test_prices_in_pence_per_kilowatt_hour_read_as_pounds_per_megawatt_hour_are_warned_of(month):
    series = read_half_hourly(SHARED / "elexon" / f"system_price_{month}.csv", "price", unit="GBP/MWh")
    assert len(series.values) == 31 * 48
    assert [warning.code for warning in series.source.warnings] == ["W101"]


@needs_shared
@pytest.mark.parametrize("place", ["london", "manchester", "glasgow", "cotswolds"])
def test_the_weather_files_are_sound(place):
    weather = read_daily_weather(SHARED / "weather" / f"{place}.csv")
    assert (len(weather.day), weather.source.warnings) == (3446, ())
