import math
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from sim.chance import Purpose, stream
from sim.importers import DataErrors, read_daily_weather
from sim.scenario import Weather
from sim.weather import CLIMATES, DAYS_PER_YEAR, RANGE_LAG_1, autoregressive, make_weather

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data files are not on this machine")

COLUMNS = ("mean_c", "min_c", "max_c")
TABLE = """date,temperature_max_c,temperature_min_c,temperature_mean_c
2024-02-28,9.1,3.0,6.0
2024-02-29,8.0,2.0,5.5
2024-03-01,7.0,1.5,4.0
"""


# -------------------------------------------------------------------------------------------------- synthetic


def test_any_day_drawn_alone_has_the_bytes_that_it_has_in_two_years():
    years = make_weather(Weather(), date(2023, 1, 1), 731, seed=7)
    for day in (date(2023, 1, 1), date(2024, 2, 29), date(2024, 10, 27), date(2024, 12, 31)):
        alone = make_weather(Weather(), day, 1, seed=7)
        at = day.toordinal() - years.day[0]
        assert alone.day.tolist() == [day.toordinal()]
        for name in COLUMNS:
            assert getattr(alone, name)[0] == getattr(years, name)[at]


def test_two_seeds_give_two_winters():
    one, two = (make_weather(Weather(), date(2024, 1, 1), 60, seed) for seed in (1, 2))
    assert not np.isclose(one.mean_c, two.mean_c).any()


def test_an_offset_moves_every_temperature_and_nothing_else():
    plain, cold = (make_weather(Weather(offset_c=c), date(2024, 1, 1), 60, 1) for c in (0.0, -8.0))
    for name in COLUMNS:
        assert getattr(cold, name) == pytest.approx(getattr(plain, name) - 8.0)


@pytest.mark.parametrize("climate", CLIMATES)
def test_the_mean_of_a_day_lies_between_its_minimum_and_maximum(climate):
    year = make_weather(Weather(climate=climate), date(2024, 1, 1), 366, seed=1)
    assert (year.min_c < year.mean_c).all()
    assert (year.mean_c < year.max_c).all()


def test_a_moving_average_has_the_spread_and_the_memory_that_it_is_asked_for():
    drawn = autoregressive(stream(1, Purpose.WEATHER), np.arange(700_000, 1_000_000), 0.75, number=9)
    assert drawn.mean() == pytest.approx(0.0, abs=0.02)
    assert drawn.std() == pytest.approx(1.0, abs=0.01)
    for lag in (1, 2, 5):
        assert np.corrcoef(drawn[lag:], drawn[:-lag])[0, 1] == pytest.approx(0.75**lag, abs=0.01)


# -------------------------------------------------------------------------------- the constants, fitted again


@needs_shared
@pytest.mark.parametrize("place", CLIMATES)
def test_the_constants_of_a_climate_are_those_fitted_to_its_file(place):
    read = read_daily_weather(SHARED / "weather" / f"{place}.csv")
    angle = 2 * math.pi * np.array([day_of_year(day) for day in read.day.tolist()]) / DAYS_PER_YEAR

    mean, cosine, sine = fit(read.mean_c, np.cos(angle), np.sin(angle))
    swing, coldest = math.hypot(cosine, sine), math.atan2(-sine, -cosine)
    winter = np.cos(angle - coldest)
    residual = read.mean_c - mean + swing * winter
    variance, winter_variance = fit(residual**2, winter)
    scaled = residual / np.sqrt(variance + winter_variance * winter)
    span = read.max_c - read.min_c
    range_mean, range_winter = fit(span, winter)
    log_range = np.log(span / (range_mean + range_winter * winter))

    climate = CLIMATES[place]
    coldest_day = coldest * DAYS_PER_YEAR / (2 * math.pi)
    assert (mean, swing, coldest_day) == pytest.approx(
        (climate.mean_c, climate.swing_c, climate.coldest_day), abs=0.05
    )
    assert (variance, winter_variance) == pytest.approx((climate.departure_var, climate.winter_var), abs=0.05)
    assert (range_mean, -range_winter) == pytest.approx(
        (climate.range_mean_c, climate.range_swing_c), abs=0.05
    )
    assert lag_1(scaled) == pytest.approx(climate.departure_lag_1, abs=0.005)
    assert log_range.std() == pytest.approx(climate.range_log_sd, abs=0.005)
    assert lag_1(log_range) == pytest.approx(RANGE_LAG_1, abs=0.01)


def day_of_year(ordinal: int) -> int:
    return date.fromordinal(ordinal).timetuple().tm_yday - 1


def fit(values: np.ndarray, *columns: np.ndarray) -> list[float]:
    design = np.column_stack([np.ones(len(values)), *columns])
    return np.linalg.lstsq(design, values, rcond=None)[0].tolist()


def lag_1(values: np.ndarray) -> float:
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


# ------------------------------------------------------------------------------------------------------ files


def test_temperatures_of_a_file_are_those_of_the_days_asked_for(tmp_path):
    (tmp_path / "daily.csv").write_text(TABLE)
    weather = Weather(source="files", file="daily.csv", offset_c=-5.0)
    found = make_weather(weather, date(2024, 2, 29), 2, 1, tmp_path)
    assert found.day.tolist() == [date(2024, 2, 29).toordinal(), date(2024, 3, 1).toordinal()]
    assert [getattr(found, name).tolist() for name in COLUMNS] == [[5.5, 4.0], [2.0, 1.5], [8.0, 7.0]]
    assert [source.path for source in found.sources] == [tmp_path / "daily.csv"]


def test_a_file_that_is_missing_too_short_or_not_named_is_told(tmp_path):
    (tmp_path / "daily.csv").write_text(TABLE)
    weather = Weather(source="files", file="daily.csv")
    with pytest.raises(DataErrors, match=r"daily\.csv:1:1: D032 the run needs 2024-02-29 to 2024-03-02"):
        make_weather(weather, date(2024, 2, 29), 3, 1, tmp_path)
    with pytest.raises(DataErrors, match=r"D001 no such file; allowed: .*--data DIR"):
        make_weather(weather, date(2024, 2, 29), 1, 1, tmp_path / "elsewhere")
    with pytest.raises(DataErrors, match=r"weather\.file:1:1: D001 no file is named"):
        make_weather(Weather(source="files"), date(2024, 2, 29), 1, 1)


@needs_shared
def test_the_beast_from_the_east_is_in_the_file_of_london():
    # 1 March 2018 was the coldest March day on record in many places; daily mean below -1 C in London.
    found = make_weather(Weather(source="files", file="weather/london.csv"), date(2018, 3, 1), 1, 1, SHARED)
    assert found.mean_c[0] < -1.0
