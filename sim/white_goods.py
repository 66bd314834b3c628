"""What base load leaves out of homes whose white goods and fridges are lived through as devices.

The published mean shape and energy are of homes that have such goods. So the expected energy of each one that
a home owns is taken off at the hours at which its owner is expected to run it: what the home draws in all is
expected to be what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from scipy.special import ndtr

from devices import appliance
from sim.chance import F64
from sim.homes import LEAST_BASE_LOAD, HomeTable, LivedGoods
from sim.kinds.appliances import SORTS
from sim.ownership import Ownership
from sim.scenario import Scenario
from sim.scenario_devices import Fridges, WhiteGoods

SECTIONS = ("washing_machines", "washer_dryers", "tumble_dryers", "dishwashers", "fridges")
CYCLE_WH: Mapping[str, int] = MappingProxyType({
    "washing_machines": 930,
    "washer_dryers": 2_610,
    "tumble_dryers": 2_500,
    "dishwashers": 1_130,
})  # fmt: skip
"""Energy of a cycle, by section of the scenario [Wh]: CREST (Richardson et al. 2010)."""
_DAYS = 365
_DAY_MINUTES = 1440
_MS_PER_HOUR = 3_600_000


def without_goods(homes: HomeTable, scenario: Scenario, owned: Ownership) -> HomeTable:
    """Homes whose base load leaves out what they own among `SECTIONS`; the same table where nobody does.

    A quarter of a home's use stays whatever it owns: assumed.
    """
    if not scenario.homes.base_includes_white_goods:
        return homes
    bits = np.zeros(len(homes), np.int8)
    for place, section in enumerate(SECTIONS):
        bits |= (owned.has[section] * (1 << place)).astype(np.int8)
    if not bits.any():
        return homes
    daily_wh = np.array([expected_wh(scenario, section) for section in SECTIONS])
    together = np.array([[bool(owner >> place & 1) for place in range(len(SECTIONS))]
                         for owner in range(1 << len(SECTIONS))], float)  # fmt: skip
    goods_wh = np.einsum("os,skh->koh", together, daily_wh)
    year_wh = (5 * goods_wh[0] + 2 * goods_wh[1]).sum(axis=1) / 7 * _DAYS
    left_wh = np.maximum(homes.annual_wh - year_wh[bits], LEAST_BASE_LOAD * homes.annual_wh)
    lived = LivedGoods(homes.annual_wh, bits, np.ascontiguousarray(goods_wh))
    return replace(homes, annual_wh=np.where(bits > 0, left_wh, homes.annual_wh), lived_goods=lived)


def expected_wh(scenario: Scenario, section: str) -> F64:
    """What one of these takes by half-hour of the local day, shape (weekday and weekend, 48) [Wh]."""
    settings = getattr(scenario, section)
    if isinstance(settings, Fridges):
        return np.full((2, 48), _fridge_w(settings) / 2)
    weekend = settings.weekend_factor
    factors = ((7 - 2 * weekend) / 5, weekend)
    mixtures = (settings.start_weekday, settings.start_weekend)
    day_wh = settings.cycles_per_year / _DAYS * CYCLE_WH[section]
    shapes = [_shape(settings, section, mixture) for mixture in mixtures]
    return np.array([day_wh * factor * shape for factor, shape in zip(factors, shapes, strict=True)])


def _fridge_w(settings: Fridges) -> float:
    """Mean power: the compressor's, for the share of time that it runs; pauses are uniform [W]."""
    on, least, most = (
        ms / _MS_PER_HOUR for ms in (settings.on_ms, settings.off_least_ms, settings.off_most_ms)
    )
    if most == least:
        return settings.compressor_w * on / (on + least)
    return float(settings.compressor_w * on / (most - least) * np.log((on + most) / (on + least)))


def _shape(settings: WhiteGoods, section: str, mixture: tuple[tuple[float, float, float], ...]) -> F64:
    """How a day's energy is spread over its half-hours, shape (48,), sum one: starts, timers and phases."""
    starts = _starts(mixture)
    late = settings.timer_share * settings.timer_use
    step = round(settings.timer_step_ms / 60_000)
    delayed = np.mean([np.roll(starts, k * step) for k in range(1, 9)], axis=0)
    starts = (1 - late) * starts + late * delayed
    programme = next(sort.programme for sort in SORTS.values() if sort.name == section)
    power_w = np.concatenate([np.full(int(minutes), watts) for minutes, watts in appliance.PHASES[programme]])
    running = np.zeros(_DAY_MINUTES)
    for minute, watts in enumerate(power_w):
        running += watts * np.roll(starts, minute)
    return np.asarray(running.reshape(48, 30).sum(axis=1) / running.sum())


def _starts(mixture: tuple[tuple[float, float, float], ...]) -> F64:
    """Share of starts in each minute of the day; what lies outside comes round."""
    edges = np.arange(-_DAY_MINUTES, 2 * _DAY_MINUTES + 1) / 60.0
    total = sum(weight for _, _, weight in mixture)
    below = sum(weight / total * ndtr((edges - mean) / sd) for mean, sd, weight in mixture)
    return np.asarray(np.diff(below).reshape(3, _DAY_MINUTES).sum(axis=0))
