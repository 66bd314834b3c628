"""Home batteries: whose they are, what their controllers are set to, and what their homes need today."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from types import ModuleType
from typing import Any

import numpy as np

from devices import battery
from devices.standing_order import NO_LIMIT_W
from protocol import periods
from protocol.messages import I32, I64, Technology
from sim import chance
from sim.chance import Purpose
from sim.homes import HomeTable
from sim.households import BaseLoad
from sim.kinds.kind import HALF_HOUR_MS, Drawn, KindNumber, Sky, device_number
from sim.kinds.pv import Roofs
from sim.scenario import ROUTE_NAMES
from sim.scenario_devices import Batteries
from sim.tariffs import Hours, StaticTariff, windows_ms

MJ_PER_WH = 3_600_000
_ROUTE = ROUTE_NAMES.index("inverter_cloud")
_W_PER_WH_PER_HALF_HOUR = 2


class HomeBatteries:
    """The home batteries of one scenario: `sim.kinds.kind.Kind`."""

    name = "batteries"
    technology = Technology.BATTERY
    device: ModuleType = battery

    def __init__(
        self,
        settings: Batteries,
        homes: HomeTable,
        numbers: I32,
        seed: int,
        base_load: BaseLoad,
        roofs: Roofs | None = None,
        tariff: StaticTariff | None = None,
    ) -> None:
        self._settings, self._homes, self._numbers = settings, homes, numbers
        self._tariff = tariff
        self._key = chance.stream(seed, Purpose.BATTERY)
        self._base_load = replace(base_load, cuts_ms=None)  # what the home asks for, dark or not
        self._roofs = roofs.among(numbers) if roofs else None

    def draw(self, start_ms: int) -> Drawn:
        """Who has which battery, set to what; a pure function of settings and seed."""
        spec = self._spec(self._homes.key[self._numbers])
        order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
        home, spec = self._numbers[order], spec[order]
        u = chance.units(self._key, self._homes.key[home], number=2)
        state = np.zeros(len(spec), battery.STATE)
        state["at_ms"] = start_ms
        state["limit_w"] = NO_LIMIT_W
        usable_mj = spec["capacity_mj"] - spec["reserve_mj"]
        state["charge_mj"] = spec["reserve_mj"] + (u[:, 0] * usable_mj).astype(np.int64)
        state["import_w"] = spec["standby_w"]
        return Drawn(
            home=home,
            spec=spec,
            state=state,
            rating_w=np.maximum(spec["charge_w"] + spec["standby_w"], spec["discharge_w"]).astype(np.int32),
            capacity_wh=(spec["capacity_mj"] // MJ_PER_WH).astype(np.int32),
            route=np.full(len(spec), _ROUTE, np.int8),
        )

    def _spec(self, number: I64) -> np.ndarray[Any, Any]:
        settings = self._settings
        u, v = (chance.units(self._key, number, number=k) for k in (0, 1))
        z = chance.normals(self._key, number, number=3)
        capacity_wh, power_w, share = (np.array(column) for column in zip(*settings.sizes, strict=True))
        size = np.searchsorted(np.cumsum(share / share.sum())[:-1], u[:, 0], side="right")
        spec = np.zeros(len(number), battery.SPEC)
        spec["device"] = device_number(KindNumber.BATTERY, number)
        spec["region"] = self._homes.gsp_group[self._numbers]
        spec["wh_per_mj"] = (1.0 + settings.meter_gain_sd * z[:, 0]) / MJ_PER_WH
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 1] * settings.report_every_ms).astype(np.int32)
        spec["capacity_mj"] = capacity_wh[size] * MJ_PER_WH
        spec["reserve_mj"] = (settings.reserve * spec["capacity_mj"]).astype(np.int64)
        spec["day_limit_mj"] = (settings.cycles_per_day * spec["capacity_mj"]).astype(np.int64)
        spec["charge_w"] = spec["discharge_w"] = power_w[size]
        spec["export_limit_w"] = settings.export_limit_w
        spec["threshold_w"] = settings.shave_above_w
        spec["standby_w"] = settings.standby_w
        spec["charge_efficiency"] = round(settings.charge_efficiency * battery.WHOLE)
        spec["discharge_efficiency"] = round(settings.discharge_efficiency * battery.WHOLE)
        spec["mode"] = np.where(
            u[:, 2] < settings.tariff_share,
            battery.TARIFF,
            np.where(
                u[:, 2] < settings.tariff_share + settings.peak_shaving_share,
                battery.PEAK_SHAVING,
                battery.SELF_CONSUMPTION,
            ),
        )
        if self._tariff is not None:
            spec["tariff"] = self._tariff.on[self._numbers]
            spec["mode"] = np.where(spec["tariff"], battery.TARIFF, spec["mode"])
        for trait, chosen in (
            (battery.EXPORTS_AT_PEAK, v[:, 0] < settings.exports_at_peak_share),
            (battery.KEEPS_FOR_PEAK, v[:, 1] < settings.keeps_for_peak_share),
            (battery.REFUSES_IN_WINDOW, v[:, 2] < settings.refuses_in_window_share),
            (battery.BACKS_UP, v[:, 3] < settings.back_up_share),
        ):
            spec["traits"] |= np.where(chosen, trait, 0).astype(np.uint8)
        return spec

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:
        """What each home needs of the grid by half-hour, were there no battery, and when windows begin."""
        diary = np.zeros(len(drawn.spec), battery.DIARY)
        u = chance.units(self._key, self._homes.key[drawn.home], day.toordinal(), number=4)
        diary["jitter_s"] = (u[:, 0] * (self._settings.jitter_ms / 1000)).astype(np.int32)
        half_hours = sky.outdoor_c.shape[1]
        net_w = self._demand_w(drawn.home, day, sky.first_ms, half_hours) - self._sun_w(drawn.home, day, sky)
        limits = np.iinfo(np.int16)
        diary["net_w"][:, :half_hours] = np.clip(net_w, limits.min, limits.max)
        return diary

    def _demand_w(self, home: I32, day: date, first_ms: int, half_hours: int) -> I64:
        """Base load of two local days, from `first_ms` on, shape (rows, half-hours)."""
        numbers = home.astype(np.int64)
        days = (day, day + timedelta(days=1))
        wh = np.concatenate([self._base_load.day_wh(numbers, each) for each in days], axis=1)
        skipped = (first_ms - periods.day_start_ms(day)) // HALF_HOUR_MS
        return _W_PER_WH_PER_HALF_HOUR * wh[:, skipped : skipped + half_hours].astype(np.int64)

    def _sun_w(self, home: I32, day: date, sky: Sky) -> I64:
        """What the roofs of these homes give, shape (rows, half-hours); nought without a roof."""
        half_hours = sky.outdoor_c.shape[1]
        if self._roofs is None:
            return np.zeros((len(home), half_hours), np.int64)
        drawn = self._roofs.draw(sky.first_ms)
        order = np.argsort(drawn.home, kind="stable")
        owners, first = np.unique(drawn.home[order], return_index=True)
        given_w = np.zeros((len(owners) + 1, half_hours), np.int64)  # the last row: no roof
        if len(owners):
            roofs_w = self._roofs.generated_w(drawn, day, sky)[order].astype(np.int64)
            given_w[:-1] = np.add.reduceat(roofs_w, first, axis=0)
        place = np.full(len(self._homes), -1, np.int64)
        place[owners] = np.arange(len(owners))
        return np.asarray(given_w[place[home]])

    def shared_day(self, day: date, sky: Sky) -> battery.Today:
        """The windows that a diary of `day` may meet: of the section's tariff, and of the retail one."""
        cheap, peak = [self._settings.cheap], [self._settings.peak]
        if self._tariff is not None:
            cheap.append(self._tariff.cheap)
            peak.append(self._tariff.peak)
        return battery.Today(sky.first_ms, _rows_ms(cheap, day), _rows_ms(peak, day))


def _rows_ms(tariffs: list[Hours], day: date) -> I64:
    """Windows of several tariffs (tariffs, windows, 2); rows of fewer windows end in unused (0, 0)."""
    rows = [windows_ms(hours, day)[0] for hours in tariffs]
    found = np.zeros((len(rows), max(len(row) for row in rows), 2), np.int64)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found
