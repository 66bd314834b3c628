"""Synthetic prices, and how years differ, against published figures; three seeds each.

The published figures are of one stretch of nine years, and so would differ by chance from those of another.
A tolerance is therefore two standard deviations of the figure between synthetic stretches of that length (40
seeds); held against it is the mean over three seeds.
"""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from protocol.periods import period_count
from sim.prices import make_prices
from sim.scenario import Prices, Weather
from sim.weather import make_weather
from studies.realism.climate import lag_1

SEEDS = (1, 2, 3)


# ----------------------------------------------------------------------------------------------------- prices

# Published: 162,507 half-hours of March 2016 to June 2025 pooled [2nd], hence that mean and that length.
FIRST_DAY, DAYS, POOLED_MEAN = date(2016, 3, 1), 3_386, 78.7


@pytest.fixture(scope="module")
def stretches() -> list[np.ndarray]:
    prices = Prices(mean_gbp_per_mwh=POOLED_MEAN)
    return [make_prices(prices, FIRST_DAY, DAYS, seed).system_gbp_per_mwh for seed in SEEDS]


def daily_means(prices: np.ndarray) -> np.ndarray:
    counts = [period_count(date.fromordinal(FIRST_DAY.toordinal() + i)) for i in range(DAYS)]
    return np.array([prices[low:high].mean() for low, high in pairwise(np.cumsum([0, *counts]))])


PUBLISHED = [
    # figure, how it is worked out, published value, tolerance
    ("mean", np.mean, 78.7, 4.5),
    ("median", np.median, 56.0, 3.2),
    ("P95", lambda p: np.quantile(p, 0.95), 227.0, 14.0),
    ("P99", lambda p: np.quantile(p, 0.99), 394.0, 32.0),
    ("P99.9", lambda p: np.quantile(p, 0.999), 720.0, 110.0),
    ("largest", np.max, 4_038.0, 2_100.0),
    ("smallest", np.min, -185.0, 50.0),
    ("share negative", lambda p: np.mean(p < 0), 0.022, 0.0034),
    ("share above 200", lambda p: np.mean(p > 200), 0.066, 0.0096),
    ("share above 1,000", lambda p: np.mean(p > 1000), 0.00044, 0.00026),
    # Of 2024 alone [calc], so that the tolerance is wide for what it is held against.
    ("lag-1 autocorrelation of daily means", lambda p: lag_1(daily_means(p)), 0.61, 0.04),
]


@pytest.mark.parametrize(
    ("figure", "value", "tolerance"), [case[1:] for case in PUBLISHED], ids=[c[0] for c in PUBLISHED]
)
def test_the_synthetic_system_price_has_the_published_tail(stretches, figure, value, tolerance):
    assert np.mean([figure(prices) for prices in stretches]) == pytest.approx(value, abs=tolerance)


def test_the_net_imbalance_is_as_spread_and_as_persistent_as_in_january_2024():
    # Elexon, January 2024: mean 27 MWh, sd 349, lag-1 0.79, short in 53 % of half-hours [calc].
    drawn = [make_prices(Prices(), FIRST_DAY, DAYS, seed).net_imbalance_mwh for seed in SEEDS]
    assert np.mean([volumes.mean() for volumes in drawn]) == pytest.approx(27.4, abs=5.0)
    assert np.mean([volumes.std() for volumes in drawn]) == pytest.approx(349.0, abs=5.0)
    assert np.mean([lag_1(volumes) for volumes in drawn]) == pytest.approx(0.79, abs=0.01)
    assert np.mean([np.mean(volumes > 0) for volumes in drawn]) == pytest.approx(0.53, abs=0.01)


# ---------------------------------------------------------------------------------------------------- weather


@pytest.mark.parametrize(
    ("climate", "published_c"), [("london", 0.40), ("manchester", 0.39), ("glasgow", 0.31)]
)
def test_years_differ_from_each_other_as_real_ones_do(climate, published_c):
    # sd of the annual means of 2016 to 2024, which nothing was fitted to; from nine years known to a quarter.
    years = [
        make_weather(Weather(climate=climate), date(year, 1, 1), 365, seed).mean_c.mean()
        for seed in SEEDS
        for year in range(2016, 2025)
    ]
    assert np.std(years) == pytest.approx(published_c, rel=0.5)
