"""Hot-water cylinders: who has which, on what timer, and what people draw from it each day."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
from scipy.special import ndtri

from devices import hot_water
from devices.hot_water import NEVER_MS
from devices.standing_order import NO_LIMIT_W
from protocol.messages import I32, I64, UNKNOWN, Technology
from sim import chance
from sim.chance import F64, Purpose
from sim.fleet import MJ_PER_WH
from sim.homes import HomeTable
from sim.households import plan_moment_ms
from sim.kinds.kind import Drawn, KindNumber, Sky, device_number
from sim.kinds.storage_heaters import (
    HOUR_MS,
    MAKERS_CLOUD,
    UNREACHABLE,
    make_switches,
    night_windows_ms,
    silent_from_ms,
)
from sim.scenario_devices import HotWater

WATER_MJ_PER_LITRE_K = 4_186_000
"""Heat capacity of a litre of water [mJ/K]."""
LABEL_K = 45.0
"""Temperature difference at which a standing loss is declared: EN 12897, 65 C in a room of 20 C [mem]."""
_FIRST_DRAW_HOUR, _LAST_DRAW_HOUR = 5.0, 27.0
"""Local hours within which all draws of a diary lie; it runs from 04:30 for 23 hours at least."""


class HotWaterCylinders:
    """The cylinders of a scenario (`sim.kinds.kind.Kind`)."""

    name = "hot_water"
    technology = Technology.HOT_WATER
    device = hot_water

    def __init__(
        self,
        settings: HotWater,
        homes: HomeTable,
        numbers: I32,
        seed: int,
        two_rate: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
    ) -> None:
        """In homes that are known to have a night supply, `two_rate` (homes,), the cylinder is on it."""
        self._settings, self._homes, self._numbers, self._seed = settings, homes, numbers, seed
        self._two_rate = np.zeros(len(homes), np.bool_) if two_rate is None else two_rate

    def draw(self, start_ms: int) -> Drawn:
        """Cylinder, timer and switch of every home; the tanks are as hot as their thermostats leave them."""
        settings = self._settings
        number = self._homes.key[self._numbers]
        key = chance.stream(self._seed, Purpose.HOT_WATER)
        u, w, z = (
            chance.units(key, number),
            chance.units(key, number, number=1),
            chance.normals(key, number, number=2),
        )
        smart = w[:, 0] < settings.smart_share
        night_only = (w[:, 1] < settings.night_only_share) | self._two_rate[self._numbers]
        switches = make_switches(settings.switch, number, self._seed)
        litres = _between(settings.litres, u[:, 0])
        spec = np.zeros(len(number), hot_water.SPEC)
        spec["device"] = device_number(KindNumber.HOT_WATER, number)
        spec["region"] = self._homes.gsp_group[self._numbers]
        traits = np.where(smart, hot_water.SMART, switches.traits) + hot_water.NIGHT_ONLY
        spec["traits"] = np.where(night_only, traits, np.where(smart, hot_water.SMART, 0))
        spec["rating_w"] = chance.pick(settings.immersion_w, u[:, 1])
        spec["offset_s"], spec["signal_offset_s"] = switches.offset_s, switches.signal_offset_s
        spec["response_s"] = settings.response_ms // 1000
        spec["mj_per_k"] = litres * WATER_MJ_PER_LITRE_K
        loss_wh = _between(settings.standing_loss_wh, u[:, 2])
        spec["loss_per_ms"] = loss_wh * MJ_PER_WH / (24 * HOUR_MS) / LABEL_K / spec["mj_per_k"]
        spec["ambient_c"], spec["set_c"] = settings.ambient_c, settings.set_c
        spec["band_k"] = _between(settings.band_k, u[:, 3])
        spec["store_c"], spec["purge_c"] = settings.store_c, settings.purge_c
        spec["sensor_share"], spec["floor_share"] = settings.sensor_share, settings.floor
        spec["wh_per_mj"] = (1.0 + settings.meter_gain_sd * z[:, 0]) / MJ_PER_WH
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (w[:, 2] * settings.report_every_ms).astype(np.int32)
        start_c = settings.set_c - w[:, 3] * spec["band_k"]
        order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
        spec, smart = spec[order], smart[order]
        state = np.zeros(len(number), hot_water.STATE)
        state["at_ms"], state["limit_w"], state["marks"] = start_ms, NO_LIMIT_W, hot_water.HOT
        state["upper_c"] = state["lower_c"] = start_c[order]
        holds_wh = (spec["mj_per_k"] * (spec["set_c"] - hot_water.TAP_C) / MJ_PER_WH).astype(np.int64)
        return Drawn(
            home=self._numbers[order].astype(np.int32),
            spec=spec,
            state=state,
            rating_w=spec["rating_w"].astype(np.int32),
            capacity_wh=np.where(smart, holds_wh, UNKNOWN).astype(np.int32),
            route=np.where(smart, MAKERS_CLOUD, UNREACHABLE).astype(np.int8),
        )

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:  # noqa: ARG002 - taps see none
        """When people draw how much, and whether the cylinder purges today."""
        settings, device = self._settings, self._homes.key[drawn.home]
        plan_ms = plan_moment_ms(day)
        diary = np.zeros(len(device), hot_water.DIARY)
        diary["plan_ms"] = plan_ms
        diary["cold_c"] = self._cold_c(day)
        hour, heat_wh = self._draws(device, day)
        diary["draw_s"] = np.rint((hour - 4.5) * 3600).astype(np.int32)
        diary["draw_kj"] = np.rint(heat_wh * 3.6).astype(np.int32)
        diary["purge_ms"] = self._purge_ms(device, day)
        owner = chance.units(chance.stream(self._seed, Purpose.HOT_WATER), device, number=4)
        boosts = owner[:, 0] < settings.boost_share
        diary["boost_for_s"] = np.where(boosts, settings.boost_for_ms // 1000, 0)
        return diary

    def shared_day(self, day: date, sky: Sky) -> hot_water.Today:  # noqa: ARG002 - water does not see the sky
        """The night hours."""
        switch = self._settings.switch
        night_ms = night_windows_ms(switch, self._homes.group_names, day)
        return hot_water.Today(night_ms, silent_from_ms=silent_from_ms(switch))

    def _draws(self, device: I64, day: date) -> tuple[F64, F64]:
        """Local hours, and heat wanted [Wh], of the draws of one day; both shape (cylinders, DRAWS)."""
        settings, ordinal = self._settings, day.toordinal()
        key = chance.stream(self._seed, Purpose.HOT_WATER_DAY)
        home = chance.normals(chance.stream(self._seed, Purpose.HOT_WATER), device, number=3)
        u = [np.hstack([chance.units(key, device, ordinal, n + k) for n in range(4)]) for k in (0, 4, 8)]
        z_day = chance.normals(key, device, ordinal, 12)[:, 0]
        mixture = settings.times_weekday if day.weekday() < 5 else settings.times_weekend
        mean, sd, weight = (np.array(column) for column in zip(*mixture, strict=True))
        part = np.searchsorted(np.cumsum(weight / weight.sum())[:-1], u[0], side="right")
        hour = np.clip(mean[part] + sd[part] * ndtri(u[1]), _FIRST_DRAW_HOUR, _LAST_DRAW_HOUR)
        size = np.exp(settings.draw_log_sd * ndtri(u[2]))
        size[:, settings.draws :] = 0.0
        daily_wh = settings.daily_median_wh * np.exp(
            settings.home_log_sd * home[:, 0] + settings.day_log_sd * z_day
        )
        return hour, size * (daily_wh / size.sum(axis=1))[:, None]

    def _cold_c(self, day: date) -> float:
        """Mains water, coldest in mid-February [C]."""
        settings = self._settings
        phase = 2 * math.pi * (day.timetuple().tm_yday - 46) / 365.25
        return settings.cold_mean_c - settings.cold_swing_c * math.cos(phase)

    def _purge_ms(self, device: I64, day: date) -> I64:
        """Once a week, each on its own weekday, at 01:00 after the day (in the night hours of most)."""
        u = chance.units(chance.stream(self._seed, Purpose.HOT_WATER), device, number=5)
        today = (7 * u[:, 0]).astype(np.int64) == day.toordinal() % 7
        purges = today & (u[:, 1] < self._settings.purge_share)
        return np.where(purges, plan_moment_ms(day) + int(20.5 * HOUR_MS), NEVER_MS)


def _between(bounds: tuple[float, float], u: F64) -> F64:
    """A uniform draw between two bounds."""
    low, high = bounds
    return low + (high - low) * u
