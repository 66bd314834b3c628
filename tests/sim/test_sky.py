"""The sun against almanac and PVGIS, formulas against worked values, clouds of which any day can be drawn."""

import json
import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from devices import pv
from protocol.periods import day_start_ms, period_count
from sim.scenario import Weather
from sim.sky import (
    EDINBURGH_INDEX,
    LONDON_INDEX,
    PLACES,
    clear_beam_w_per_m2,
    clear_sky_w_per_m2,
    day_index,
    diffuse_share,
    distance_km,
    equation_of_time,
    extraterrestrial_w_per_m2,
    make_sky,
    sky_of,
    split,
    sun_at,
    sun_track,
)
from sim.weather import Temperatures, make_weather

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data files are not on this machine")

GROUPS = tuple(sorted(PLACES))
HALF_HOUR_MS, DAY_MS = 1_800_000, 86_400_000
SKY_COLUMNS = ("outdoor_c", "global_w_per_m2", "diffuse_w_per_m2", "direct_w_per_m2")
JUNE = date(2024, 6, 20)


def utc_ms(text):
    return np.array([np.datetime64(text, "ms").astype(np.int64)])


@pytest.fixture(scope="module")
def temperatures():
    return make_weather(Weather(), date(2024, 1, 1), 366, seed=3)


# ---------------------------------------------------------------------------------------------------- the sun


@pytest.mark.parametrize(
    ("moment", "degrees"),
    # Declination at the solstices is 23.44 degrees either way, at the equinoxes 0
    [
        ("2019-06-21T12:02", 90 - 51.5 + 23.44),
        ("2019-12-22T11:59", 90 - 51.5 - 23.44),
        ("2019-03-20T12:08", 38.5),
    ],
)
def test_noon_on_the_meridian_is_as_high_as_the_almanac_says(moment, degrees):
    east, north, up = sun_at(51.5, 0.0, utc_ms(moment))[0]
    assert math.degrees(math.asin(up)) == pytest.approx(degrees, abs=0.35)
    assert north < 0
    assert abs(east) < 0.01


def test_the_sundial_is_behind_in_february_and_ahead_in_november():
    minutes = [
        float(equation_of_time(utc_ms(day))[0]) * 720 / math.pi for day in ("2019-02-11", "2019-11-03")
    ]
    assert minutes == pytest.approx([-14.2, 16.4], abs=0.4)


def test_the_earth_is_nearest_in_january():
    assert float(extraterrestrial_w_per_m2(utc_ms("2019-01-03"))[0]) == pytest.approx(1361 * 1.0344, rel=2e-3)
    assert float(extraterrestrial_w_per_m2(utc_ms("2019-07-04"))[0]) == pytest.approx(1361 * 0.9674, rel=2e-3)


def test_a_direction_has_length_one_by_day_and_none_by_night():
    track = sun_track([PLACES["_P"], PLACES["_L"]], day_start_ms(JUNE), 48)
    length = track.east**2 + track.north**2 + track.up**2
    assert np.allclose(length[track.mean_up > 0], 1.0)
    assert not length[track.mean_up == 0].any()
    assert (track.clear_w_per_m2 > 0).sum(axis=1).tolist() == pytest.approx(
        [37, 34], abs=1
    )  # of the longest days


@needs_shared
@pytest.mark.parametrize("name", ["london", "edinburgh"])
def test_the_sun_stands_where_pvgis_has_it(name):
    place, moments, hours = read_pvgis(name)
    height = np.degrees(np.arcsin(sun_at(*place, moments)[:, 2]))
    theirs = np.array([hour["H_sun"] for hour in hours])
    high = theirs > 5  # nearer the horizon theirs is refracted
    assert np.abs(height - theirs)[high].max() < 0.35


# ----------------------------------------------------------------------------------------------- the formulas


def test_formulas_give_their_worked_values():
    assert float(clear_sky_w_per_m2(np.array([1.0]))[0]) == pytest.approx(1098 * math.exp(-0.059))
    assert diffuse_share(np.array([0.1, 0.5, 0.9])) == pytest.approx([0.991, 0.65915, 0.165])
    # sun straight above: one air mass (Kasten and Young: 0.9997), so 0.7 of what comes from above
    assert float(clear_beam_w_per_m2(np.array([1.0]), np.array([1361.0]))[0]) == pytest.approx(952.8, abs=0.3)


def test_distances_are_great_circles():
    assert distance_km(PLACES["_C"], PLACES["_N"]) == pytest.approx(534, abs=3)  # London to Edinburgh


def test_direct_and_diffuse_make_up_the_global_light_and_neither_is_negative():
    first_ms = day_start_ms(date(2024, 3, 15))
    track = sun_track([PLACES[g] for g in GROUPS], first_ms, 48)
    for share in (0.0, 0.1, 0.5, 1.0, 1.3):
        total = share * track.clear_w_per_m2
        diffuse, direct = split(total, track)
        assert diffuse.min() >= 0
        assert direct.min() >= 0
        assert np.allclose(diffuse + direct * track.up, total)
        assert direct.max() < 1000


def test_an_overcast_sky_has_no_direct_light_to_speak_of_and_a_clear_noon_has_much():
    track = sun_track([PLACES["_C"]], day_start_ms(JUNE), 48)
    dull, clear = (split(share * track.clear_w_per_m2, track)[1].max() for share in (0.2, 1.0))
    assert dull < 25
    assert 750 < clear < 950


def test_light_read_from_files_becomes_a_sky_and_light_at_night_is_left_out():
    first_ms = day_start_ms(JUNE)
    sky = sky_of(first_ms, np.full((1, 48), 15.0), np.full((1, 48), 200.0), [PLACES["_C"]])
    assert sky.global_w_per_m2.max() == 200.0
    assert sky.global_w_per_m2[0, 0] == 0.0
    with pytest.raises(ValueError, match="whole half-hour"):
        sky_of(first_ms + 1, np.zeros((1, 48)), np.zeros((1, 48)), [PLACES["_C"]])


# ----------------------------------------------------------------------------------------------------- clouds


@pytest.mark.parametrize("day", [date(2024, 3, 31), date(2024, 10, 27), JUNE])
def test_a_half_hour_is_the_same_in_whatever_stretch_and_company_it_is_drawn(temperatures, day):
    first_ms, count = day_start_ms(day), period_count(day)
    whole = make_sky(temperatures, GROUPS, 7, first_ms, count)
    for name in SKY_COLUMNS:
        assert getattr(whole, name).shape == (14, count)
    later = make_sky(temperatures, ("_P", "_C"), 7, first_ms + 9 * HALF_HOUR_MS, 48)
    for name in SKY_COLUMNS:
        ours, theirs = getattr(whole, name)[[13, 2], 9:], getattr(later, name)[:, : count - 9]
        assert np.array_equal(ours, theirs), name


def test_two_seeds_give_two_skies(temperatures):
    one, two = (make_sky(temperatures, GROUPS, seed, day_start_ms(JUNE), 48) for seed in (1, 2))
    lit = one.global_w_per_m2 > 0
    assert np.isclose(one.global_w_per_m2, two.global_w_per_m2)[lit].mean() < 0.05  # cloudless in both


@pytest.fixture(scope="module")
def indices():
    """Day indices of three years (days, groups), less what they owe to the month."""
    days = range(date(2021, 1, 1).toordinal(), date(2024, 1, 1).toordinal())
    drawn = np.array([day_index(GROUPS, day, 11) for day in days])
    months = np.array([date.fromordinal(day).month for day in days])
    return drawn - np.array([drawn[months == m].mean(axis=0) for m in range(1, 13)])[months - 1]


def test_a_day_remembers_the_one_before_a_little(indices):
    lags = [np.corrcoef(indices[1:, k], indices[:-1, k])[0, 1] for k in range(14)]
    assert np.mean(lags) == pytest.approx(0.18, abs=0.05)  # London 0.14, Edinburgh 0.21 in 2019


def test_neighbours_share_their_clouds_and_the_far_ends_of_the_country_hardly_do(indices):
    alike = np.corrcoef(indices.T)
    at = GROUPS.index
    assert alike[at("_C"), at("_N")] == pytest.approx(0.286, abs=0.07)  # London and Edinburgh in 2019
    assert alike[at("_C"), at("_J")] > 0.8
    assert alike[at("_L"), at("_P")] < 0.3


def test_days_spread_as_they_did_in_2019(indices):
    assert indices.std(axis=0).mean() == pytest.approx(0.24, abs=0.02)


def read_pvgis(name):
    """(latitude, longitude), moments [UTC ms], hours of a year."""
    data = json.loads((SHARED / "pvgis" / f"{name}_2019.json").read_text())
    hours = data["outputs"]["hourly"]
    stamps = [hour["time"] for hour in hours]
    moments = np.array(
        [f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[9:11]}:{t[11:]}" for t in stamps], "datetime64[ms]"
    ).astype(np.int64)
    location = data["inputs"]["location"]
    return (location["latitude"], location["longitude"]), moments, hours


@needs_shared
@pytest.mark.parametrize(("name", "index"), [("london", LONDON_INDEX), ("edinburgh", EDINBURGH_INDEX)])
def test_the_months_brightness_is_what_pvgis_gives_through_our_formulas(name, index):
    place, moments, hours = read_pvgis(name)
    in_plane = np.array([hour["G(i)"] for hour in hours])
    sun = sun_at(*place, moments)
    up = np.maximum(sun[:, 2], 0.0)
    above = extraterrestrial_w_per_m2(moments)
    clear, beam = clear_sky_w_per_m2(up), clear_beam_w_per_m2(up, above)
    day = (moments - moments[0]) // DAY_MS
    tilt = math.radians(35.0)
    plane = np.vectorize(pv.plane_w_per_m2)

    def daily(index):
        total = clear * index[day]
        share = 1.0 - diffuse_share(total / np.where(up > 0, above * up, 1.0))
        direct = np.minimum(np.where(up > 0, total * share / np.where(up > 0, up, 1.0), 0.0), beam)
        light = plane(direct, total - direct * up, total, above, *sun.T, 0.0, -math.sin(tilt), math.cos(tilt))
        return np.bincount(day, light)

    low, high = np.zeros(365), np.full(365, 1.6)
    wanted = np.bincount(day, in_plane)
    for _ in range(12):
        middle = (low + high) / 2
        dark = daily(middle) < wanted
        low, high = np.where(dark, middle, low), np.where(dark, high, middle)
    month = moments.astype("datetime64[ms]").astype("datetime64[M]").astype(int) % 12
    weight = np.bincount(day, clear)
    of_day = np.array([month[day == d][0] for d in range(365)])
    found = [np.average(low[of_day == m], weights=weight[of_day == m]) for m in range(12)]
    assert found == pytest.approx(list(index), abs=0.01)


# ------------------------------------------------------------------------------------------------ temperature


def made_up(mean_c, low_c, high_c, days=5):
    day = JUNE.toordinal() - 2 + np.arange(days)
    return Temperatures(day, *(np.full(days, float(c)) for c in (mean_c, low_c, high_c)))


def test_a_day_is_coldest_at_sunrise_and_warmest_in_the_afternoon_between_its_own_bounds():
    curve = make_sky(made_up(15, 10, 20), ("_C",), 1, day_start_ms(JUNE), 48).outdoor_c[0]
    assert curve.min() == pytest.approx(10.0, abs=0.1)
    assert curve.max() == pytest.approx(20.0, abs=0.1)
    assert curve.mean() == pytest.approx(15.0, abs=0.4)
    assert 8 <= int(curve.argmin()) <= 10  # sunrise at 04:43 BST; the day begins at midnight BST
    assert 27 <= int(curve.argmax()) <= 35


def test_where_a_files_mean_is_not_half_way_the_day_follows_the_mean():
    plain, shifted = (
        make_sky(made_up(mean, 10, 20), ("_C",), 1, day_start_ms(JUNE), 48).outdoor_c for mean in (15, 16)
    )
    assert np.allclose(shifted - plain, 1.0)


def test_beyond_the_days_known_the_last_is_repeated():
    last = make_sky(made_up(15, 10, 20, days=1), ("_C",), 1, day_start_ms(JUNE), 48).outdoor_c
    assert 10.0 <= last.min() < last.max() <= 20.0


def test_all_year_the_mean_of_a_days_curve_is_the_days_mean(temperatures):
    off = []
    for k in range(5, 355, 25):
        day = date.fromordinal(int(temperatures.day[k]))
        curve = make_sky(temperatures, ("_C",), 3, day_start_ms(day), period_count(day)).outdoor_c[0]
        off.append(curve.mean() - temperatures.mean_c[k])
    assert abs(np.mean(off)) < 0.6
    assert np.abs(off).max() < 3.0
