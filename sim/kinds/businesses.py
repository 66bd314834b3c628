"""Small business sites among the homes, and the back-up generators of some. By default there are none.

A site stands at a home's place in the HomeTable. Its profile is its trade's, of a working day or not; what
its heating, ventilation and air conditioning (HVAC) draws follows the weather of its region. All figures of
trades are assumed: no source of the fact sheets has them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from devices import building, generator
from devices.standing_order import NO_LIMIT_W
from protocol import periods
from protocol.messages import I32, UNKNOWN, Technology
from sim import chance
from sim.chance import Purpose
from sim.homes import HomeTable
from sim.kinds.kind import F64, HALF_HOUR_MS, Drawn, KindNumber, Sky, device_number
from sim.scenario import ROUTE_NAMES
from sim.scenario_devices import BackUpGenerators, Businesses, TradeName

_MJ_PER_WH = 3_600_000


class Trade(NamedTuple):
    """Shares of a site's peak: outside opening hours, and within them; HVAC at its design weather."""

    opens: float  # local hour
    closes: float
    idle: float
    busy: float
    hvac: float
    hvac_idle: float
    weekend: bool


TRADES: Mapping[TradeName, Trade] = MappingProxyType({
    "office": Trade(8.0, 18.0, 0.15, 0.55, 0.45, 0.08, weekend=False),
    "shop": Trade(8.5, 18.5, 0.18, 0.62, 0.38, 0.06, weekend=True),
    "pub": Trade(11.0, 23.0, 0.25, 0.65, 0.35, 0.08, weekend=True),
    "workshop": Trade(7.5, 17.0, 0.10, 0.80, 0.20, 0.04, weekend=False),
})  # fmt: skip
"""What sites of a trade draw: assumed."""
_NEUTRAL_C, _DESIGN_K = 16.0, 18.0
"""HVAC draws least at 16 C outside and its design power 18 K away from it: assumed."""
_FANS = 0.3
"""Share of HVAC that runs whatever the weather: assumed."""


class BusinessSites:
    """The sites of a scenario."""

    name = "businesses"
    technology = Technology.BUILDING
    device = building

    def __init__(self, settings: Businesses, homes: HomeTable, owners: I32, seed: int) -> None:
        self._settings = settings
        self._homes = homes
        self._owners = owners
        self._seed = seed

    def draw(self, start_ms: int) -> Drawn:
        """Keyed by the place alone."""
        settings = self._settings
        home = self._homes.key[self._owners]
        key = chance.stream(self._seed, Purpose.BUSINESS)
        u, z = chance.units(key, home), chance.normals(key, home, number=1)
        spec = np.zeros(len(home), building.SPEC)
        spec["device"], spec["wh_per_mj"] = device_number(KindNumber.BUILDING, home), 1.0 / _MJ_PER_WH
        spec["region"] = self._homes.gsp_group[self._owners]
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 0] * settings.report_every_ms).astype(np.int32)
        names = list(TRADES)
        weights = np.array([settings.trades.get(name, 0.0) for name in names])
        spec["site"] = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], u[:, 1], side="right")
        peak_w = settings.peak_median_w * np.exp(settings.peak_log_sd * np.clip(z[:, 0], -3, 3))
        spec["peak_w"] = peak_w
        spec["hvac_w"] = spec["peak_w"] * np.array([TRADES[name].hvac for name in names])[spec["site"]]
        spec["step_every_ms"] = settings.ramp_ms * building.RAMP_STEP_PERMILLE // 1000
        spread_ms = max(settings.hold_most_ms - settings.hold_least_ms, 0)
        spec["hold_cap_s"] = (settings.hold_least_ms + spread_ms * u[:, 2]) / 1000
        spec["payback_permille"] = round(settings.payback_share * 1000)
        spec["payback_over_ms"] = settings.payback_over_ms
        state = np.zeros(len(home), building.STATE)
        building.begin(state, start_ms)
        rating_w = (spec["peak_w"] * 1.5).astype(np.int32)
        return _drawn(self._owners, spec, state, rating_w, "heater_cloud")

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:  # noqa: ARG002 - as all kinds
        """How busy each site is, keyed by (place, day)."""
        key = chance.stream(self._seed, Purpose.BUSINESS_DAY)
        z = chance.normals(key, self._homes.key[drawn.home], day.toordinal())[:, 0]
        diary = np.zeros(len(z), building.DIARY)
        diary["scale_permille"] = np.clip(1000.0 * (1.0 + self._settings.day_sd * z), 500, 1500)
        return diary

    def shared_day(self, day: date, sky: Sky) -> building.Today:
        """The trades' profiles, HVAC by the weather of each region."""
        plain = np.zeros((len(TRADES), sky.outdoor_c.shape[1]))
        hvac = np.zeros((len(TRADES), *sky.outdoor_c.shape))
        need = _FANS + (1.0 - _FANS) * np.minimum(np.abs(sky.outdoor_c - _NEUTRAL_C) / _DESIGN_K, 1.0)
        for row, trade in enumerate(TRADES.values()):
            is_open = open_half_hours(trade, day, sky)
            plain[row] = np.where(is_open, trade.busy, trade.idle)
            hvac[row] = np.where(is_open, trade.hvac, trade.hvac_idle) * need
        return building.Today(sky.first_ms, plain, hvac)


def open_half_hours(trade: Trade, day: date, sky: Sky) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which half-hours of the sky fall into opening hours, which are of `day` (half-hours,)."""
    count = sky.outdoor_c.shape[1]
    if not (trade.weekend or periods.working_day(day)):
        return np.zeros(count, np.bool_)
    begin_ms, end_ms = (
        periods.local_clock_ms(day, math.floor(hour), round(hour % 1 * 60))
        for hour in (trade.opens, trade.closes)
    )
    at_ms = sky.first_ms + HALF_HOUR_MS * np.arange(count)
    return np.asarray((begin_ms <= at_ms) & (at_ms < end_ms))


class Generators:
    """The back-up generators of a scenario."""

    name = "generators"
    technology = Technology.GENERATOR
    device = generator

    def __init__(self, settings: BackUpGenerators, homes: HomeTable, owners: I32, seed: int) -> None:
        self._settings = settings
        self._homes = homes
        self._owners = owners
        self._seed = seed

    def draw(self, start_ms: int) -> Drawn:
        """Keyed by the place alone; tanks begin full."""
        settings = self._settings
        home = self._homes.key[self._owners]
        u = self._units(home)
        spec = np.zeros(len(home), generator.SPEC)
        spec["device"], spec["wh_per_mj"] = device_number(KindNumber.GENERATOR, home), 1.0 / _MJ_PER_WH
        spec["region"] = self._homes.gsp_group[self._owners]
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 0] * settings.report_every_ms).astype(np.int32)
        spec["rating_w"] = settings.rating_w
        spec["least_w"] = max(round(settings.rating_w * settings.least_share), 1)
        spec["start_ms"], spec["least_run_ms"] = settings.start_ms, settings.least_run_ms
        spec["tank_mj"] = round(settings.rating_w * settings.tank_hours * _MJ_PER_WH)
        state = np.zeros(len(home), generator.STATE)
        state["at_ms"], state["limit_w"], state["fuel_mj"] = start_ms, NO_LIMIT_W, spec["tank_mj"]
        rating_w = spec["rating_w"].astype(np.int32)
        return _drawn(self._owners, spec, state, rating_w, "evcp_4g", spec["tank_mj"] // _MJ_PER_WH)

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:  # noqa: ARG002 - as all kinds
        """Each one's test comes round on its own working day; the tanker comes the day after a test.

        On days off a test is left out.
        """
        settings = self._settings
        first = (self._units(self._homes.key[drawn.home])[:, 1] * settings.test_every_days).astype(int)
        diary = np.zeros(len(first), generator.DIARY)
        test_ms = periods.local_clock_ms(day, *divmod(settings.test_at, 60))
        tests = self._tests(first, day)
        diary["test_from_ms"] = np.where(tests, test_ms, generator.NEVER_MS)
        diary["test_until_ms"] = np.where(tests, test_ms + settings.test_for_ms, generator.NEVER_MS)
        diary["test_w"] = np.rint(drawn.spec["rating_w"] * settings.test_share)
        refuel_ms = periods.local_clock_ms(day, *divmod(settings.refuel_at, 60))
        refuels = self._tests(first, day - timedelta(days=1))
        diary["refuel_ms"] = np.where(refuels, refuel_ms, generator.NEVER_MS)
        return diary

    def shared_day(self, day: date, sky: Sky) -> generator.Today:  # noqa: ARG002 - as all kinds
        """Nothing but the day's beginning."""
        return generator.Today(sky.first_ms)

    def _units(self, home: np.ndarray[Any, np.dtype[np.int64]]) -> F64:
        return chance.units(chance.stream(self._seed, Purpose.BUSINESS), home, number=2)

    def _tests(self, first: Any, day: date) -> Any:
        """Which generators are tested on a day."""
        due = day.toordinal() % self._settings.test_every_days == first
        return due & periods.working_day(day)


def _drawn(
    owners: I32,
    spec: np.ndarray[Any, Any],
    state: np.ndarray[Any, Any],
    rating_w: I32,
    route: str,
    capacity_wh: Any = UNKNOWN,
) -> Drawn:
    """Rows in the order in which they report."""
    order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
    return Drawn(
        home=owners[order],
        spec=spec[order],
        state=state[order],
        rating_w=rating_w[order],
        capacity_wh=np.full(len(owners), capacity_wh, np.int32)[order],
        route=np.full(len(owners), ROUTE_NAMES.index(route), np.int8),
    )
