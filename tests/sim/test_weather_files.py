"""Hours of weather that a scenario names: the days of the run, or a year's where it says so."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from protocol.periods import day_start_ms
from sim.importers import DataErrors
from sim.pvgis_file import half_hourly, read_pvgis, write_weather
from sim.scenario import Weather
from sim.sky import make_sky
from sim.weather_files import weather_of

FIRST, DAYS = date(2019, 6, 2), 3
LOCAL = Path(__file__).parents[2].parent / "shared" / "data" / "pvgis" / "london_2019.json"


def csv_of(tmp_path, *, days=6, start=date(2019, 6, 1), light=lambda hour: 50.0 * hour, step=60, change=None):
    rows = ["utc_start,temperature_c,global_w_per_m2"]
    at = datetime(start.year, start.month, start.day, tzinfo=UTC)
    for _ in range(days * 24 * 60 // step):
        hour = at.hour + at.minute / 60
        rows.append(f"{at:%Y-%m-%dT%H:%MZ},{at.day + hour / 100:.3f},{light(hour) if 6 <= hour < 18 else 0}")
        at += timedelta(minutes=step)
    if change is not None:
        rows = change(rows)
    path = tmp_path / "hours.csv"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def pvgis_of(tmp_path):
    """Ten days of a flat plane."""
    hours = []
    at = datetime(2019, 6, 1, 0, 10, tzinfo=UTC)
    for _ in range(240):
        light = max(0.0, 600.0 * np.sin((at.hour - 4) / 16 * np.pi))
        hours.append({"time": f"{at:%Y%m%d:%H%M}", "G(i)": round(light, 1), "T2m": 10 + at.hour / 4})
        at += timedelta(hours=1)
    fixed = {"slope": {"value": 0}, "azimuth": {"value": 0}}
    inputs = {"location": {"latitude": 51.5, "longitude": -0.1}, "mounting_system": {"fixed": fixed}}
    path = tmp_path / "pvgis.json"
    path.write_text(json.dumps({"inputs": inputs, "outputs": {"hourly": hours}}), encoding="utf-8")
    return path


def read(path, first=FIRST, days=DAYS, **settings):
    return weather_of(Weather(source="hourly", file=str(path), **settings), first, days, 1)


def test_every_region_has_the_temperature_and_light_of_the_file(tmp_path):
    found = read(csv_of(tmp_path))
    first_ms = day_start_ms(FIRST)  # 23:00 UTC
    sky = make_sky(found, ("_C", "_P"), 1, first_ms, 48)
    assert np.array_equal(sky.outdoor_c[0], sky.outdoor_c[1])
    assert sky.global_w_per_m2[0, 2 * 13 : 2 * 13 + 2].tolist() == [600.0, 600.0]  # the hour from 12:00 UTC
    assert abs(sky.outdoor_c[0, 2 * 13] - 2.1175) < 1e-9  # at 12:15 UTC of the second
    assert found.sources[0].rows == 144


def test_a_days_temperatures_are_those_of_its_half_hours(tmp_path):
    found = read(csv_of(tmp_path, step=30))
    assert found.day.tolist() == [FIRST.toordinal() + ahead for ahead in range(DAYS)]
    assert (found.min_c < found.mean_c).all()
    assert (found.mean_c < found.max_c).all()
    assert np.allclose(np.diff(found.mean_c), 1.0)


def test_half_hours_are_taken_as_they_are(tmp_path):
    found = read(csv_of(tmp_path, step=30))
    sky = make_sky(found, ("_C",), 1, day_start_ms(FIRST), 48)
    assert sky.global_w_per_m2[0, 2 * 13 : 2 * 13 + 2].tolist() == [600.0, 625.0]


def test_days_are_not_moved_unless_a_year_is_named(tmp_path):
    path = csv_of(tmp_path)
    with pytest.raises(DataErrors, match=r"hours.csv:1:1: D032 the run needs the weather of 2024-06-01"):
        read(path, date(2024, 6, 2))
    moved = read(path, date(2024, 6, 2), of_year=2019)
    assert np.array_equal(moved.mean_c, read(path).mean_c)
    assert moved.day[0] == date(2024, 6, 2).toordinal()


def test_a_leap_day_is_the_day_before_of_a_year_without_one(tmp_path):
    path = csv_of(tmp_path, start=date(2019, 2, 26))
    days = read(path, date(2024, 2, 28), 2, of_year=2019)
    assert days.mean_c[0] == days.mean_c[1]


@pytest.mark.parametrize("first", [date(2019, 6, 1), date(2019, 6, 5)])
def test_the_day_before_and_every_day_lived_must_be_there(tmp_path, first):
    with pytest.raises(DataErrors) as caught:
        read(csv_of(tmp_path), first)
    assert [fault.code for fault in caught.value.faults] == ["D032"]


def replaced(place, old, new):
    def change(rows):
        return [*rows[:place], rows[place].replace(old, new), *rows[place + 1 :]]

    return change


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda rows: [*rows[:30], *rows[31:]], ("D064", 31)),
        (replaced(30, "Z", ""), ("D022", 31)),
        (replaced(30, ":00Z", ":10Z"), ("D024", 31)),
        (replaced(13, ",600.0", ",6000"), ("D063", 14)),
        (replaced(13, ",600.0", ","), ("D062", 14)),
        (replaced(13, ",600.0", ",#N/A"), ("D012", 14)),
    ],
)
def test_a_row_that_does_not_hold_is_told_by_line(tmp_path, change, fault):
    with pytest.raises(DataErrors) as caught:
        read(csv_of(tmp_path, change=change))
    assert [(each.code, each.line) for each in caught.value.faults][:1] == [fault]


def test_pvgis_hours_and_what_was_imported_of_them_are_the_same_weather(tmp_path):
    path = pvgis_of(tmp_path)
    write_weather(half_hourly(read_pvgis(path)), tmp_path / "weather.parquet")
    both = [
        make_sky(weather_of(Weather(source="pvgis", file=str(file)), FIRST, DAYS, 1), ("_C",), 1,
                 day_start_ms(FIRST), 96)
        for file in (path, tmp_path / "weather.parquet")
    ]  # fmt: skip
    assert np.array_equal(both[0].global_w_per_m2, both[1].global_w_per_m2)
    assert both[0].global_w_per_m2.max() > 300


def test_a_parquet_file_that_is_cut_short_is_named(tmp_path):
    write_weather(half_hourly(read_pvgis(pvgis_of(tmp_path))), tmp_path / "weather.parquet")
    raw = (tmp_path / "weather.parquet").read_bytes()
    (tmp_path / "weather.parquet").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataErrors, match=r"weather\.parquet:1:1: D052"):
        read(tmp_path / "weather.parquet")


@pytest.mark.skipif(not LOCAL.is_file(), reason="the PVGIS files are not part of the repository")
def test_a_year_of_pvgis_stands_for_any_other():
    found = weather_of(Weather(source="pvgis", file=str(LOCAL), of_year=2019), date(2023, 12, 29), 5, 1)
    assert len(found.mean_c) == 5
    assert make_sky(found, ("_C",), 1, day_start_ms(date(2023, 12, 31)), 96).global_w_per_m2.max() > 20
