"""Homes heated directly by electric panels: their houses, heaters, schedules and thermostats."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from devices import resistive_heater
from devices.resistive_heater import NEVER_MS
from devices.standing_order import NO_LIMIT_W
from protocol.messages import I32, I64, UNKNOWN, Technology
from sim import chance
from sim.chance import F64, Purpose
from sim.fleet import MJ_PER_WH
from sim.homes import HomeTable
from sim.households import plan_moment_ms
from sim.kinds.kind import Drawn, KindNumber, Sky, device_number
from sim.kinds.storage_heaters import DESIGN_BELOW_ZERO_C, HOUR_MS, MAKERS_CLOUD, UNREACHABLE
from sim.scenario_devices import ResistiveHeaters

_PLAN_HOUR, _LAST_HOUR = 4.5, 27.0
"""Local hours between which schedules lie; a diary begins at 04:30 and runs for 23 hours at least."""
_TWO_PERIODS, _ONE_PERIOD, _ALL_DAY = 0, 1, 2


class ResistiveHeaterHomes:
    """The panel heaters of a scenario (`sim.kinds.kind.Kind`)."""

    name = "resistive_heaters"
    technology = Technology.RESISTIVE
    device = resistive_heater

    def __init__(self, settings: ResistiveHeaters, homes: HomeTable, numbers: I32, seed: int) -> None:
        self._settings, self._homes, self._numbers, self._seed = settings, homes, numbers, seed

    def draw(self, start_ms: int) -> Drawn:
        """House, heaters and thermostat of every home; rooms are as the night's set-back leaves them."""
        settings = self._settings
        number = self._homes.key[self._numbers]
        key = chance.stream(self._seed, Purpose.RESISTIVE)
        u, z, w = (
            chance.units(key, number),
            chance.normals(key, number, number=1),
            chance.normals(key, number, number=2),
        )
        smart = u[:, 0] < settings.smart_share
        spec = np.zeros(len(number), resistive_heater.SPEC)
        spec["device"] = device_number(KindNumber.RESISTIVE, number)
        spec["region"] = self._homes.gsp_group[self._numbers]
        spec["traits"] = np.where(smart, resistive_heater.SMART, 0)
        loss = settings.loss_median_w_per_k * np.exp(settings.loss_log_sd * z[:, 0])
        hours = settings.hours_median * np.exp(settings.hours_log_sd * z[:, 1])
        warm_c = settings.warm_c + settings.warm_sd_c * np.clip(w[:, 0], -3.0, 3.0)
        spec["loss_w_per_k"], spec["mj_per_k"] = loss, loss * hours * HOUR_MS
        spec["gains_w"] = loss * np.clip(warm_c - settings.balance_c, 0.0, None)
        needs_w = settings.oversize * loss * (settings.balance_c + DESIGN_BELOW_ZERO_C)
        spec["rating_w"] = (np.ceil(needs_w / 500.0) * 500).astype(np.int32)
        spec["response_s"] = settings.response_ms // 1000
        spec["warm_c"], spec["setback_c"] = warm_c, warm_c - settings.setback_k
        spec["floor_c"], spec["ceiling_k"] = warm_c - settings.floor_k, settings.ceiling_k
        spec["wh_per_mj"] = (1.0 + settings.meter_gain_sd * w[:, 1]) / MJ_PER_WH
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 1] * settings.report_every_ms).astype(np.int32)
        order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
        spec, smart = spec[order], smart[order]
        state = np.zeros(len(number), resistive_heater.STATE)
        state["at_ms"], state["limit_w"] = start_ms, NO_LIMIT_W
        state["room_c"] = spec["warm_c"] - settings.setback_k / 2
        return Drawn(
            home=self._numbers[order].astype(np.int32),
            spec=spec,
            state=state,
            rating_w=spec["rating_w"].astype(np.int32),
            capacity_wh=np.full(len(number), UNKNOWN, np.int32),
            route=np.where(smart, MAKERS_CLOUD, UNREACHABLE).astype(np.int8),
        )

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:
        """When each home wants to be warm, and whether it heats at all in this weather."""
        settings, device = self._settings, self._homes.key[drawn.home]
        key, ordinal = chance.stream(self._seed, Purpose.HEAT_DAY), day.toordinal()
        u = chance.units(key, device, ordinal, 50)
        diary = np.zeros(len(device), resistive_heater.DIARY)
        begin, end = self._periods(device, ordinal)
        home = (u[:, 0] >= settings.away_share)[:, None]
        plan_ms = plan_moment_ms(day)
        diary["warm_from_ms"] = np.where(home & np.isfinite(begin), _clock_ms(plan_ms, begin), NEVER_MS)
        diary["warm_until_ms"] = np.where(home & np.isfinite(end), _clock_ms(plan_ms, end), NEVER_MS)
        looks = u[:, 1] < settings.look_share
        diary["look_ms"] = np.where(looks, _clock_ms(plan_ms, 17.0 + 5.0 * u[:, 2]), NEVER_MS)
        mean_c = sky.outdoor_c.mean(axis=1)[drawn.spec["region"]]
        diary["heats"] = mean_c < settings.balance_c
        return diary

    def shared_day(self, day: date, sky: Sky) -> resistive_heater.Today:  # noqa: ARG002 - the sky says the day
        """The weather."""
        return resistive_heater.Today(sky.first_ms, sky.outdoor_c)

    def _periods(self, device: I64, ordinal: int) -> tuple[F64, F64]:
        """Local hours at which warmth is wanted and no longer, shape (homes, 2); NaN: no such period."""
        settings = self._settings
        own = chance.stream(self._seed, Purpose.RESISTIVE)
        u, z = chance.units(own, device, number=3), chance.normals(own, device, number=4)
        jitter = chance.normals(chance.stream(self._seed, Purpose.HEAT_DAY), device, ordinal, 51)
        edges = (settings.two_periods_share, settings.two_periods_share + settings.one_period_share)
        habit = np.searchsorted(edges, u[:, 0], side="right")
        first = {_TWO_PERIODS: settings.morning, _ALL_DAY: settings.all_day}
        begin, end = np.full((len(device), 2), np.nan), np.full((len(device), 2), np.nan)
        for kind, (from_hour, until_hour) in first.items():
            begin[habit == kind, 0], end[habit == kind, 0] = from_hour, until_hour
        evenings = habit != _ALL_DAY
        begin[evenings, 1], end[evenings, 1] = settings.evening
        shift = settings.home_sd_hours * np.clip(z, -2.0, 2.0)
        shift = shift + settings.day_sd_hours * np.clip(jitter, -2.0, 2.0)
        return np.clip(begin + shift, _PLAN_HOUR, _LAST_HOUR), np.clip(end + shift, _PLAN_HOUR, _LAST_HOUR)


def _clock_ms(plan_ms: int, hour: F64) -> I64:
    """Local hours of the day as UTC ms, counted from the planning moment."""
    return np.asarray(plan_ms + (np.nan_to_num(hour - _PLAN_HOUR) * HOUR_MS).astype(np.int64))
