"""Target T9: what a roof yields in a year, by region and month, against PVGIS; ten seeds.

The published figures are of 2019. A year drawn here differs from another by about 3.5 % (sd over 28 seeds), a
month by about 11 %: the weather's own doing. The mean of three years would therefore miss one of ten regions
by 5 % in about every tenth choice of seeds; that of ten years has an sd of 1.1 %.
"""

import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from devices import pv
from sim.homes import make_homes
from sim.kinds.pv import Roofs
from sim.scenario import Homes, Weather
from sim.scenario_devices import Pv
from sim.sky import PLACES, make_sky
from sim.weather import make_weather

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data files are not on this machine")

SEEDS = tuple(range(1, 11))
FIRST_DAY, DAY_MS = date(2019, 1, 1), 86_400_000
GROUPS = tuple(sorted(PLACES))
AS_PVGIS = Pv(peak_mean_w=1_000, peak_sd_w=0, tilt_sd_degrees=0.0, azimuth_sd_degrees=0.0, noct_c=37.0)
"""1 kWp, south, 35 degrees, 14 % loss, free-standing: NOCT 37 C is as cool as Faiman's rack in 3.8 m/s."""
ANNUAL = {
    "_C": 1044, "_J": 1066, "_L": 1067, "_K": 1054, "_B": 1036, "_A": 1036, "_E": 981, "_F": 969, "_N": 913,
    "_G": 890,
}  # fmt: skip
LONDON_MONTHS = [45, 77, 83, 115, 122, 115, 120, 124, 96, 57, 46, 44]


def one_home_per_group():
    homes = make_homes(Homes(count=1_000), 1)
    first = [int(np.flatnonzero(homes.gsp_group == k)[0]) for k in range(14)]
    return homes, np.array(first, np.int32)


def skies(seeds, every=1):
    """(day, skies of each seed) of each UTC day of a year, or of one in so many."""
    temperatures = make_weather(Weather(), FIRST_DAY, 366, 1)
    for k in range(0, 365, every):
        day = FIRST_DAY + timedelta(days=k)
        first_ms = (day.toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS
        yield day, [make_sky(temperatures, GROUPS, seed, first_ms, 48) for seed in seeds]


@pytest.fixture(scope="module")
def years():
    """Hourly means of a kWp [W] (seeds, groups, days, hours)."""
    homes, numbers = one_home_per_group()
    roofs = Roofs(AS_PVGIS, homes, numbers, 1)
    drawn = roofs.draw(0)
    order = np.argsort(drawn.spec["region"])
    out = np.empty((len(SEEDS), 14, 365, 24))
    for k, (day, by_seed) in enumerate(skies(SEEDS)):
        for i, sky in enumerate(by_seed):
            out[i, :, k] = roofs.generated_w(drawn, day, sky)[order].reshape(14, 24, 2).mean(axis=2)
    return out


@pytest.mark.parametrize(("group", "published"), ANNUAL.items())
def test_a_south_roof_yields_in_a_year_what_pvgis_says_of_its_region(years, group, published):
    kwh = years[:, GROUPS.index(group)].sum(axis=(1, 2)) / 1000
    assert kwh.mean() == pytest.approx(published, rel=0.05)
    assert 0.01 < kwh.std() / kwh.mean() < 0.07  # years differ


def test_london_months_are_those_of_pvgis(years):
    month = np.array([(FIRST_DAY + timedelta(days=k)).month for k in range(365)])
    kwh = years[:, GROUPS.index("_C")].sum(axis=2).mean(axis=0) / 1000
    found = [kwh[month == m].sum() for m in range(1, 13)]
    assert found == pytest.approx(LONDON_MONTHS, rel=0.12)


def test_the_best_hour_of_a_year_is_just_under_nine_tenths_of_the_peak(years):
    best = years.max(axis=(2, 3)).mean(axis=0) / 1000
    assert best.mean() == pytest.approx(0.885, abs=0.045)  # PVGIS: 0.86 to 0.91


def test_roofs_as_they_are_yield_less_than_roofs_to_the_south():
    homes, _ = one_home_per_group()
    numbers = np.flatnonzero(homes.gsp_group == GROUPS.index("_C")).astype(np.int32)
    mixed = Pv(noct_c=37.0, inverter_limit_w=20_000)
    south = Pv(noct_c=37.0, inverter_limit_w=20_000, tilt_sd_degrees=0.0, azimuth_sd_degrees=0.0)
    roofs = [Roofs(pv_settings, homes, numbers, 1) for pv_settings in (mixed, south)]
    drawn = [kind.draw(0) for kind in roofs]
    total = np.zeros(2)
    for day, (sky,) in skies((1,), every=9):
        total += [float(kind.generated_w(of, day, sky).sum()) for kind, of in zip(roofs, drawn, strict=True)]
    assert 0.85 < total[0] / total[1] < 0.95  # PVGIS: 5 to 15 % less


@needs_shared
@pytest.mark.parametrize("name", ["london", "edinburgh"])
def test_given_the_light_panels_and_losses_make_of_it_what_pvgis_makes_of_it(name):
    data = json.loads((SHARED / "pvgis" / f"{name}_2019.json").read_text())
    hours = data["outputs"]["hourly"]
    light, air_c, theirs = (np.array([hour[key] for hour in hours]) for key in ("G(i)", "T2m", "P"))
    module_c = air_c + light * (AS_PVGIS.noct_c - 20.0) / 800.0
    efficiency = np.vectorize(pv.panel_efficiency)(np.maximum(light, 1.0), module_c)
    kept = (1 - AS_PVGIS.array_loss) * AS_PVGIS.inverter_efficiency * (1 - AS_PVGIS.optical_loss)
    ours = light * efficiency * kept
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.005)
    month = np.array([int(hour["time"][4:6]) for hour in hours])
    for m in range(1, 13):
        assert ours[month == m].sum() == pytest.approx(theirs[month == m].sum(), rel=0.015)
