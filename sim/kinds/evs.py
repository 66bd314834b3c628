"""Cars charged at home: who has which, how the charge point is reached, what the driver does each day."""

from __future__ import annotations

from datetime import date, timedelta
from types import ModuleType
from typing import Any

import numpy as np

from devices import ev
from devices.standing_order import NO_LIMIT_W
from protocol.messages import I8, I32, I64, UNKNOWN, Technology
from sim import chance
from sim.chance import F64, Purpose
from sim.fleet import MJ_PER_WH
from sim.homes import HomeTable
from sim.households import Drivers, deadline_ms, make_diary, quiet_windows_ms
from sim.kinds.kind import Drawn, Sky
from sim.scenario import ROUTE_NAMES, Evs
from sim.tariffs import StaticTariff


class Cars:
    """The cars of a scenario: `sim.kinds.kind.Kind`. A car's device number is that of its home."""

    name = "evs"
    technology = Technology.EV
    device: ModuleType = ev

    def __init__(
        self,
        settings: Evs,
        homes: HomeTable,
        numbers: I32,
        seed: int,
        tariff: StaticTariff | None = None,
    ) -> None:
        self._settings, self._homes, self._numbers, self._seed = settings, homes, numbers, seed
        self._tariff = tariff

    def draw(self, start_ms: int) -> Drawn:
        """Cars, charge points and routes; all away until the first diary, with 55-95 % in the battery."""
        device = self._homes.key[self._numbers]
        route = self._routes(device)
        spec = self._spec(device, route)
        spec["region"] = self._homes.gsp_group[self._numbers]
        if self._tariff is not None:
            spec["traits"] |= np.where(self._tariff.cars[self._numbers], ev.FOLLOWS_TARIFF, 0).astype(
                np.uint8
            )
        order = np.lexsort((device, spec["read_at_ms"], spec["read_every_ms"]))
        device, spec, route = device[order], spec[order], route[order]
        state = np.zeros(len(spec), ev.STATE)
        state["at_ms"] = start_ms
        state["limit_w"] = NO_LIMIT_W
        charge = self._units(Purpose.EV, device, 7)[:, 0]
        state["charge_mj"] = ((0.55 + 0.40 * charge) * spec["battery_mj"]).astype(np.int64)
        tells = (spec["traits"] & ev.TELLS_SOC) > 0
        battery_wh = (spec["battery_mj"] // MJ_PER_WH).astype(np.int32)
        return Drawn(
            home=self._numbers[order],
            spec=spec,
            state=state,
            rating_w=spec["charger_w"].astype(np.int32),
            capacity_wh=np.where(tells, battery_wh, UNKNOWN).astype(np.int32),
            route=route,
        )

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:
        """What each driver does on `day`."""
        spec = drawn.spec
        return make_diary(
            self._settings, self.drivers(spec["device"]), spec["battery_mj"], day, sky.mean_c, self._seed
        )

    def shared_day(self, day: date, sky: Sky) -> ev.Today:  # noqa: ARG002 - every kind's signature
        """The preset schedule, 23, 24 or 25 h to the next deadline, and a tariff's dear hours."""
        settings = self._settings
        step_ms = deadline_ms(settings, day + timedelta(days=1)) - deadline_ms(settings, day)
        dear_ms = ev.NO_WINDOWS_MS if self._tariff is None else self._tariff.quiet_ms(day)
        return ev.Today(quiet_windows_ms(day), step_ms, dear_ms=dear_ms)

    def drivers(self, device: I64) -> Drivers:
        """Whose cars these are."""
        evs = self._settings
        key = chance.stream(self._seed, Purpose.DRIVER)
        z, u = chance.normals(key, device), chance.units(key, device, number=1)
        miles = evs.annual_miles_median * np.exp(evs.annual_miles_log_sd * z[:, 0])
        return Drivers(
            device=device,
            daily_drive_wh=miles
            / 365
            / max(evs.drive_day_share, 1e-9)
            * evs.wh_per_mile
            / evs.charge_efficiency,
            leave_hour=evs.leave_hour + evs.leave_sd_hours * z[:, 1],
            plug_in_half=evs.plug_in_half + 0.10 * (u[:, 0] - 0.5),
            always_plugs=(u[:, 1] < evs.plug_in_always_share).astype(np.int8),
        )

    def _units(self, purpose: Purpose, device: I64, number: int) -> F64:
        return chance.units(chance.stream(self._seed, purpose), device, number=number)

    def _routes(self, device: I64) -> I8:
        """How each car is reached: through its own cloud, or through a charge point on Wi-Fi or 4G."""
        evs = self._settings
        u = self._units(Purpose.ROUTE_PLACE, device, 0)
        charge_point = np.where(
            u[:, 1] < evs.wifi_share, ROUTE_NAMES.index("evcp_wifi_cloud"), ROUTE_NAMES.index("evcp_4g")
        )
        telematics = u[:, 0] < evs.telematics_share
        return np.where(telematics, ROUTE_NAMES.index("ev_telematics_cloud"), charge_point).astype(np.int8)

    def _spec(self, device: I64, routes: I8) -> np.ndarray[Any, Any]:
        evs = self._settings
        u1, u2 = self._units(Purpose.EV, device, 1), self._units(Purpose.EV, device, 2)
        z = chance.normals(chance.stream(self._seed, Purpose.EV), device, number=3)
        telematics = routes == ROUTE_NAMES.index("ev_telematics_cloud")
        spec = np.zeros(len(device), ev.SPEC)
        spec["device"] = device
        battery_wh = np.clip(evs.battery_mean_wh + evs.battery_sd_wh * z[:, 0], 20_000, 120_000)
        spec["battery_mj"] = (battery_wh / evs.charge_efficiency).astype(np.int64) * MJ_PER_WH
        for field, share in (
            ("stop_mj", evs.charge_to),
            ("taper_mj", evs.taper_from),
            ("target_mj", evs.target),
            ("floor_mj", 0.10),
        ):
            spec[field] = (spec["battery_mj"] * share).astype(np.int64)
        spec["charger_w"] = chance.pick(evs.charger_w, u1[:, 0])
        spec["taper_w"] = spec["charger_w"] // 2
        spec["pct_per_mj"] = 100.0 / spec["battery_mj"]
        spec["wh_per_mj"] = (1.0 + self._meter_gain(device)) / MJ_PER_WH
        spec["read_every_ms"] = np.where(telematics, evs.telematics_report_every_ms, evs.report_every_ms)
        spec["read_at_ms"] = (u1[:, 1] * spec["read_every_ms"]).astype(np.int32)
        traits = (
            (ev.IGNORES_PAUSE, u1[:, 2] < evs.ignores_pause_share),
            (ev.SLEEPS_AFTER_PAUSE, u1[:, 3] < evs.sleeps_after_pause_share),
            (ev.KEEPS_DEFAULT_SCHEDULE, u2[:, 0] < evs.keeps_default_schedule_share),
            (ev.TELLS_SOC, telematics),
        )
        for trait, holds in traits:
            spec["traits"] |= np.where(holds, trait, 0).astype(np.uint8)
        return spec

    def _meter_gain(self, device: I64) -> F64:
        """Gain error of each asset meter: its own, drawn once, plus its maker's."""
        meter = self._settings.meter
        key = chance.stream(self._seed, Purpose.ASSET_METER)
        own = chance.normals(key, device)[:, 0]
        maker = (chance.units(key, device, number=1)[:, 0] * meter.makers).astype(np.int64)
        bias = chance.normals(key, np.arange(meter.makers, dtype=np.int64), number=2)[:, 0]
        return np.asarray(meter.gain_sd * own + meter.maker_bias_sd * bias[maker])
