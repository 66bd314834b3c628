from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from protocol.periods import PERIOD_MS, clock_half_hours, day_start_ms, period_count
from sim.importers import DataErrors
from sim.prices import HOURLY_SHAPE, VALUE_OF_LOST_LOAD_GBP_PER_MWH, make_prices
from sim.scenario import Prices

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data files are not on this machine")

MARCH = date(2024, 3, 31)
OCTOBER = date(2024, 10, 27)
COLUMNS = ("system_gbp_per_mwh", "net_imbalance_mwh", "day_ahead_gbp_per_mwh")

JANUARY_FILES = Prices(
    source="files",
    system_file="elexon/system_price_2024_01.csv",
    net_imbalance_file="elexon/net_imbalance_volume_2024_01.csv",
)


# -------------------------------------------------------------------------------------------------- synthetic


def test_any_day_drawn_alone_has_the_bytes_that_it_has_in_a_year():
    year = make_prices(Prices(), date(2024, 1, 1), 366, seed=7)
    for day in (date(2024, 1, 1), MARCH, date(2024, 7, 4), OCTOBER, date(2024, 12, 31)):
        alone = make_prices(Prices(), day, 1, seed=7)
        at = slice(*np.searchsorted(year.start_ms, [alone.start_ms[0], alone.start_ms[-1] + 1]))
        for name in COLUMNS:
            assert getattr(alone, name).tobytes() == getattr(year, name)[at].tobytes()


def test_two_seeds_give_two_series():
    one, two = (make_prices(Prices(), MARCH, 1, seed) for seed in (1, 2))
    for name in COLUMNS:
        assert not np.isclose(getattr(one, name), getattr(two, name)).any()


@pytest.mark.parametrize("day", [MARCH, OCTOBER, date(2024, 5, 1)])
def test_a_day_has_a_value_for_each_of_its_own_periods(day):
    series = make_prices(Prices(), day, 1, seed=1)
    assert series.start_ms.tolist() == (day_start_ms(day) + PERIOD_MS * np.arange(period_count(day))).tolist()
    assert [len(getattr(series, name)) for name in COLUMNS] == [period_count(day)] * 3


def test_day_ahead_prices_follow_the_shape_of_the_local_clock():
    for day in (MARCH, OCTOBER, date(2024, 7, 4)):
        prices = make_prices(Prices(), day, 1, seed=3).day_ahead_gbp_per_mwh
        level = prices / HOURLY_SHAPE[clock_half_hours(day) // 2]
        assert level == pytest.approx(np.full(len(prices), level[0]))


def test_the_shape_keeps_the_anchors_that_it_was_drawn_through_and_has_mean_one():
    assert HOURLY_SHAPE.mean() == pytest.approx(1.0)
    assert HOURLY_SHAPE[[3, 4, 8, 18, 19]].tolist() == [0.75, 0.75, 1.05, 1.35, 1.35]


def test_prices_scale_with_the_mean_and_volumes_do_not():
    low, high = (make_prices(Prices(mean_gbp_per_mwh=mean), MARCH, 30, seed=1) for mean in (50.0, 100.0))
    assert high.system_gbp_per_mwh == pytest.approx(2 * low.system_gbp_per_mwh)
    assert high.day_ahead_gbp_per_mwh == pytest.approx(2 * low.day_ahead_gbp_per_mwh)
    assert high.net_imbalance_mwh.tobytes() == low.net_imbalance_mwh.tobytes()


def test_a_short_system_is_dearer_than_day_ahead_and_a_long_one_cheaper():
    series = make_prices(Prices(), date(2024, 1, 1), 366, seed=1)
    ratio = series.system_gbp_per_mwh / series.day_ahead_gbp_per_mwh
    short = series.net_imbalance_mwh > 0
    assert (ratio[short] > 0).all()
    assert ratio[short].mean() > 1.3
    assert ratio[~short].mean() < 0.65


def test_no_synthetic_price_is_above_the_value_of_lost_load():
    series = make_prices(Prices(mean_gbp_per_mwh=600.0), date(2024, 1, 1), 366, seed=1)
    assert series.system_gbp_per_mwh.max() == VALUE_OF_LOST_LOAD_GBP_PER_MWH


# ------------------------------------------------------------------------------------------------------ files


@needs_shared
def test_prices_of_files_are_those_of_the_days_asked_for():
    series = make_prices(JANUARY_FILES, date(2024, 1, 10), 2, 1, SHARED, price_unit="p/kWh")
    assert series.start_ms[0] == day_start_ms(date(2024, 1, 10))
    assert [len(getattr(series, name)) for name in COLUMNS] == [96] * 3
    rows = (SHARED / "elexon/system_price_2024_01.csv").read_text().splitlines()
    assert series.system_gbp_per_mwh[0] == pytest.approx(10 * float(rows[1 + 9 * 48].split(",")[2]))
    assert series.net_imbalance_known
    assert series.warnings == ()
    assert [source.rows for source in series.sources] == [1488, 1488]


@needs_shared
def test_day_ahead_prices_beside_files_are_the_mean_of_the_day_in_the_shape_of_the_day():
    series = make_prices(JANUARY_FILES, date(2024, 1, 10), 2, 1, SHARED, price_unit="p/kWh")
    days = series.day_ahead_gbp_per_mwh.reshape(2, 48)
    assert days.mean(axis=1) == pytest.approx(series.system_gbp_per_mwh.reshape(2, 48).mean(axis=1))
    assert days / days.mean(axis=1)[:, None] == pytest.approx(np.tile(HOURLY_SHAPE.repeat(2), (2, 1)))


@needs_shared
def test_prices_without_volumes_take_the_system_as_balanced_and_say_so():
    prices = Prices(source="files", system_file="elexon/system_price_2024_08.csv")
    series = make_prices(prices, date(2024, 8, 1), 31, 1, SHARED, price_unit="p/kWh")
    assert not series.net_imbalance_known
    assert not series.net_imbalance_mwh.any()
    assert [warning.code for warning in series.warnings] == ["W103"]


@needs_shared
def test_files_that_end_before_the_run_are_both_named_at_once():
    with pytest.raises(DataErrors) as caught:
        make_prices(JANUARY_FILES, date(2024, 1, 31), 2, 1, SHARED)
    assert [fault.code for fault in caught.value.faults] == ["D032", "D032"]
    assert len({fault.file for fault in caught.value.faults}) == 2


def test_files_that_are_missing_are_both_named_with_how_to_give_their_folder(tmp_path):
    with pytest.raises(DataErrors) as caught:
        make_prices(JANUARY_FILES, date(2024, 1, 1), 1, 1, tmp_path)
    told = str(caught.value).splitlines()
    assert told == [
        f"{tmp_path / name}:1:1: D001 no such file; "
        "allowed: an ordinary file; `--data DIR` says where data files lie"
        for name in ("elexon/net_imbalance_volume_2024_01.csv", "elexon/system_price_2024_01.csv")
    ]


def test_files_without_a_name_are_asked_for():
    with pytest.raises(DataErrors, match=r"prices\.system_file:1:1: D001 no file is named"):
        make_prices(Prices(source="files"), date(2024, 1, 1), 1, 1)


def test_an_absolute_path_needs_no_folder(tmp_path):
    path = tmp_path / "prices.csv"
    starts = [day_start_ms(MARCH - timedelta(days=1)) + PERIOD_MS * i for i in range(48)]
    stamps = [str(np.datetime64(ms, "ms")).replace("T", " ")[:19] + "+00:00" for ms in starts]
    path.write_text("spUTCTime,spClockTime,price\n" + "".join(f"{at},{at},80\n" for at in stamps))
    series = make_prices(Prices(source="files", system_file=str(path)), MARCH - timedelta(days=1), 1, 1)
    assert set(series.system_gbp_per_mwh) == {80.0}
