"""Synthetic prices and climates against published figures: realism section 9 and target T10, three seeds each.

A tolerance is three standard deviations of the figure between synthetic series of this length (of the mean over three
seeds, where it is one), so that a sound model passes and one that is off by more than chance does not.
"""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from protocol.periods import period_count
from sim.prices import make_prices
from sim.scenario import Prices, Weather
from sim.weather import make_weather

SEEDS = (1, 2, 3)

# The figures are of March 2016 to June 2025 pooled, so the series are as long and have that period's mean.
FIRST_DAY, DAYS, POOLED_MEAN = date(2016, 3, 1), 3_394, 78.7


def lag_1(values: np.ndarray) -> float:
    return float(np.corrcoef(values[1:], values[:-1])[0, 1])


# ---------------------------------------------------------------------------------------------------------- prices


@pytest.fixture(scope="module")
def decade() -> dict[int, np.ndarray]:
    prices = Prices(mean_gbp_per_mwh=POOLED_MEAN)
    return {seed: make_prices(prices, FIRST_DAY, DAYS, seed).system_gbp_per_mwh for seed in SEEDS}


def daily_means(prices: np.ndarray) -> np.ndarray:
    counts = [period_count(date.fromordinal(FIRST_DAY.toordinal() + i)) for i in range(DAYS)]
    return np.array([prices[low:high].mean() for low, high in pairwise(np.cumsum([0, *counts]))])
