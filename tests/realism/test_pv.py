"""Panels beyond T9 (`test_targets.py`): months, the best hour, and PVGIS's own light through our formulas."""

import json
from pathlib import Path

import numpy as np
import pytest

from devices import pv
from studies.realism import solar

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data files are not on this machine")


@pytest.mark.parametrize("group", solar.ANNUAL_KWH)
def test_years_differ(group):
    kwh = solar.annual_kwh(group)
    assert 0.01 < kwh.std() / kwh.mean() < 0.07


def test_london_months_are_those_of_pvgis():
    assert solar.london_months_kwh() == pytest.approx(solar.LONDON_MONTHS_KWH, rel=0.12)


def test_the_best_hour_of_a_year_is_just_under_nine_tenths_of_the_peak():
    assert solar.best_hour_share() == pytest.approx(0.885, abs=0.045)  # PVGIS: 0.86 to 0.91


@needs_shared
@pytest.mark.parametrize("name", ["london", "edinburgh"])
def test_given_the_light_panels_and_losses_make_of_it_what_pvgis_makes_of_it(name):
    data = json.loads((SHARED / "pvgis" / f"{name}_2019.json").read_text())
    hours = data["outputs"]["hourly"]
    light, air_c, theirs = (np.array([hour[key] for hour in hours]) for key in ("G(i)", "T2m", "P"))
    panel = solar.AS_PVGIS
    module_c = air_c + light * (panel.noct_c - 20.0) / 800.0
    efficiency = np.vectorize(pv.panel_efficiency)(np.maximum(light, 1.0), module_c)
    ours = light * efficiency * (1 - panel.array_loss) * panel.inverter_efficiency * (1 - panel.optical_loss)
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.005)
    month = np.array([int(hour["time"][4:6]) for hour in hours])
    for m in range(1, 13):
        assert ours[month == m].sum() == pytest.approx(theirs[month == m].sum(), rel=0.015)
