"""Targets T6, T7 and T11: base load as Profile Class 1, spread between homes, meters that do not talk."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from sim.homes import NOT_SMART, make_homes
from sim.households import DAILY_KWH, PROFILE_ANNUAL_WH, WINTER_WEEKDAY_KW, BaseLoad
from sim.scenario import Homes

HOMES = 20_000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mean_winter_weekday_is_profile_class_1(seed: int) -> None:
    settings = Homes(count=HOMES)
    homes = make_homes(settings, seed)
    base = BaseLoad(homes, settings, seed)
    days = [base.day_wh(np.arange(HOMES, dtype=np.int64), date(2024, 1, day)) for day in (9, 10, 11, 16, 17)]
    kw = np.mean(days, axis=(0, 1)) * 2 / 1000
    expected_kw = WINTER_WEEKDAY_KW * homes.annual_wh.mean() / PROFILE_ANNUAL_WH
    assert np.abs(kw / expected_kw - 1).max() < 0.03  # sampling error of 100,000 home-days, whole Wh


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_seasons_and_day_types_have_their_published_energies(seed: int) -> None:
    settings = Homes(count=HOMES)
    homes = make_homes(settings, seed)
    base = BaseLoad(homes, settings, seed)
    for day, (season, kind) in {
        date(2024, 1, 20): ("Wtr", "Sat"),
        date(2024, 1, 21): ("Wtr", "Sun"),
        date(2024, 7, 3): ("Smr", "Wd"),
        date(2024, 10, 9): ("Aut", "Wd"),
    }.items():
        kwh = base.day_wh(np.arange(HOMES, dtype=np.int64), day).sum() / HOMES / 1000
        assert kwh == pytest.approx(
            DAILY_KWH[season][kind] * homes.annual_wh.mean() / PROFILE_ANNUAL_WH, rel=0.03
        )
    assert 1.34 <= DAILY_KWH["Wtr"]["Wd"] / DAILY_KWH["Smr"]["Wd"] <= 1.39  # T6


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_homes_differ_as_low_carbon_london_saw(seed: int) -> None:
    settings = Homes(count=HOMES)
    homes = make_homes(settings, seed)
    base = BaseLoad(homes, settings, seed)
    number = np.arange(HOMES, dtype=np.int64)
    month_wh = sum(
        base.day_wh(number, date(2024, 1, day)).sum(axis=1, dtype=np.int64) for day in range(1, 29)
    )
    assert np.log(month_wh).std() == pytest.approx(
        0.70, abs=0.03
    )  # T7, log-sd; a month adds little of its own
    assert np.median(homes.annual_wh) == pytest.approx(2_700_000, rel=0.03)  # Ofgem TDCV


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_about_six_per_cent_of_smart_meters_do_not_communicate(seed: int) -> None:
    homes = make_homes(Homes(count=HOMES), seed)
    smart = homes.status != NOT_SMART
    assert 1 - homes.communicating[smart].mean() == pytest.approx(0.06, abs=0.007)  # T11, 4 sigma
    assert not homes.communicating[~smart].any()
