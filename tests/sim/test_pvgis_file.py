"""PVGIS hours become a sky that gives back the light they tell; what is wrong is told by hour."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from devices.pv import plane_w_per_m2
from sim.importers import DataErrors
from sim.pvgis_file import (
    PvgisHours,
    _in_plane,
    clear_sky_indices,
    half_hourly,
    load_weather,
    read_pvgis,
    write_weather,
)
from sim.sky import PLACES, clear_sky_w_per_m2, sun_at, sun_track

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data files are not on this machine")
HALF_HOUR_MS = 1_800_000


def hour(number, light=100.0, air=7.5):
    day, clock = divmod(number, 24)
    return {"time": f"201906{day + 1:02d}:{clock:02d}10", "G(i)": light, "T2m": air, "P": 1.0}


def document(hours, slope=35.0):
    plane = {"fixed": {"slope": {"value": slope}, "azimuth": {"value": 0}}}
    location = {"latitude": 51.5, "longitude": -0.14}
    return {"inputs": {"location": location, "mounting_system": plane}, "outputs": {"hourly": hours}}


def put(tmp_path, content):
    path = tmp_path / "pvgis.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def faults_of(tmp_path, content):
    with pytest.raises(DataErrors) as caught:
        read_pvgis(put(tmp_path, content))
    return [(fault.code, fault.line) for fault in caught.value.faults]


def light_in_plane(sky, track, slope):
    tilt = math.radians(slope)
    plane = np.vectorize(plane_w_per_m2)
    return plane(
        sky.direct_w_per_m2[0], sky.diffuse_w_per_m2[0], sky.global_w_per_m2[0],
        track.extraterrestrial_w_per_m2, track.east[0], track.north[0], track.up[0],
        0.0, -math.sin(tilt), math.cos(tilt),
    )  # fmt: skip


@needs_shared
@pytest.mark.parametrize("name", ["london", "edinburgh"])
def test_a_years_sky_gives_back_the_light_and_air_that_pvgis_tells(name):
    hours = read_pvgis(SHARED / "pvgis" / f"{name}_2019.json")
    weather = half_hourly(hours)
    count = len(weather.outdoor_c)
    assert count == 365 * 48
    sky = weather.sky([hours.place], weather.first_ms, count)
    light = light_in_plane(sky, sun_track([hours.place], weather.first_ms, count), 35.0)
    months = (
        (weather.first_ms + np.arange(count) * HALF_HOUR_MS).astype("datetime64[ms]").astype("datetime64[M]")
    )
    due = np.bincount(hours.at_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(int) % 12,
                      hours.in_plane_w_per_m2)  # fmt: skip
    given = np.bincount(months.astype(int) % 12, light) / 2
    assert given.sum() == pytest.approx(due.sum(), rel=0.01)
    assert given == pytest.approx(due, rel=0.03)
    assert weather.outdoor_c.mean() == pytest.approx(hours.outdoor_c.mean(), abs=0.01)


@needs_shared
def test_what_is_written_comes_back_whole_and_asks_for_days_it_lacks_are_refused(tmp_path):
    weather = half_hourly(read_pvgis(SHARED / "pvgis" / "london_2019.json"))
    write_weather(weather, tmp_path / "w.parquet")
    again, source = load_weather(tmp_path / "w.parquet")
    assert source.rows == len(weather.outdoor_c)
    assert (again.place, again.first_ms) == (weather.place, weather.first_ms)
    assert np.array_equal(again.global_w_per_m2, weather.global_w_per_m2)
    places = [PLACES["_C"], PLACES["_N"]]
    sky = again.sky(places, weather.first_ms + 48 * HALF_HOUR_MS, 48)
    assert sky.outdoor_c.shape == (2, 48)
    assert np.array_equal(sky.outdoor_c[0], weather.outdoor_c[48:96])
    with pytest.raises(DataErrors, match="D032"):
        again.sky(places, weather.first_ms - HALF_HOUR_MS, 48)


@pytest.mark.parametrize(("slope", "azimuth"), [(0, 0), (35, 0), (35, 90), (60, -45), (90, 0)])
def test_the_index_that_the_light_on_a_plane_came_from_is_found_again(slope, azimuth):
    at_ms = 1_560_000_000_000 // 3_600_000 * 3_600_000 + 600_000 + 3_600_000 * np.arange(240, dtype=np.int64)
    nothing = np.zeros(240)
    hours = PvgisHours(None, PLACES["_C"], slope, azimuth, at_ms, nothing, nothing)
    sun = sun_at(*PLACES["_C"], at_ms)
    clear = clear_sky_w_per_m2(np.maximum(sun[:, 2], 0.0))
    due = 0.3 + 0.6 * (np.arange(240) % 7) / 7
    light = _in_plane(hours, sun, due * clear)
    found, known = clear_sky_indices(replace(hours, in_plane_w_per_m2=light))
    assert known.sum() > 25
    assert found[known] == pytest.approx(due[known], abs=1e-4)


def test_a_plane_that_never_faces_the_sun_is_refused(tmp_path):
    content = document([hour(n) for n in range(24)], 90.0)
    content["inputs"]["mounting_system"]["fixed"]["azimuth"]["value"] = 180.0
    winter = [
        {**each, "time": each["time"].replace("201906", "201912")} for each in content["outputs"]["hourly"]
    ]
    content["outputs"]["hourly"] = winter
    with pytest.raises(DataErrors, match="D061 a plane that never faces the sun"):
        half_hourly(read_pvgis(put(tmp_path, content)))


def test_a_flat_plane_needs_no_way_back(tmp_path):
    hours = read_pvgis(
        put(tmp_path, document([hour(n, 300.0 if 6 <= n % 24 <= 17 else 0.0) for n in range(72)], 0.0))
    )
    weather = half_hourly(hours)
    noon = weather.global_w_per_m2.reshape(3, 48)[1, 24]
    assert noon == pytest.approx(300.0, rel=0.03)
    assert weather.global_w_per_m2.reshape(3, 48)[1, 0] == 0.0


def test_light_may_be_told_in_its_three_parts(tmp_path):
    parts = [{**hour(n), "Gb(i)": 60.0, "Gd(i)": 35.0, "Gr(i)": 5.0} for n in range(24)]
    for part in parts:
        del part["G(i)"]
    assert read_pvgis(put(tmp_path, document(parts))).in_plane_w_per_m2.tolist() == [100.0] * 24


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ("{", [("D060", 1)]),
        ("[" * 100_000, [("D060", 1)]),
        ("{}", [("D061", 1)]),
        ("[]", [("D061", 1)]),
        (document([]), [("D061", 1)]),
        (document([hour(0), hour(2)]), [("D064", 2)]),
        (document([hour(1), hour(0)]), [("D064", 2)]),
        (document([hour(0), hour(0)]), [("D064", 2)]),
        (document([hour(0), {**hour(1), "time": "2019-06-01 01:10"}]), [("D021", 2)]),
        (document([hour(0), {**hour(1), "time": "20190631:0110"}]), [("D021", 2)]),
        (document([hour(0), hour(1, light=None)]), [("D062", 2)]),
        (document([hour(0), hour(1, light=-1)]), [("D063", 2)]),
        (document([hour(0), hour(1, air=280.0)]), [("D063", 2)]),
        (document([hour(0), hour(1, air="7")]), [("D062", 2)]),
    ],
)
def test_what_is_wrong_is_told_by_the_number_of_its_hour(tmp_path, content, faults):
    assert faults_of(tmp_path, content) == faults


def test_a_place_abroad_is_warned_of(tmp_path):
    content = document([hour(n) for n in range(24)])
    content["inputs"]["location"]["latitude"] = 40.4
    (warning,) = read_pvgis(put(tmp_path, content)).source.warnings
    assert warning.code == "W106"


def test_another_parquet_file_is_not_taken_for_weather(tmp_path):
    (tmp_path / "w.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataErrors, match="D052"):
        load_weather(tmp_path / "w.parquet")
