"""Solar roofs: whose they are, which way they look, and the light that a day brings them."""

from __future__ import annotations

from datetime import date
from types import ModuleType
from typing import Any

import numpy as np
from numba import njit

from devices import pv
from devices.standing_order import NO_LIMIT_W
from protocol.messages import I32, I64, UNKNOWN, Technology
from sim import chance
from sim.chance import Purpose
from sim.homes import HomeTable
from sim.kinds.kind import HALF_HOUR_MS, Drawn, KindNumber, Sky, device_number
from sim.scenario import ROUTE_NAMES
from sim.scenario_devices import Pv
from sim.sky import PLACES, sun_track
from sim.weather import autoregressive

F64 = np.ndarray[Any, np.dtype[np.float64]]

MJ_PER_WH = 3_600_000
_ROUTE = ROUTE_NAMES.index("inverter_cloud")
_STEPS = HALF_HOUR_MS // (HALF_HOUR_MS // 3)
_FLICKER_PATTERNS = 64
"""Roofs share this many ways in which small clouds pass: enough that a street does not move as one."""
_FLICKER_LAG_1 = 0.3
_FLICKER_STREAM = 16
_generated_w = pv.generated_w


class Roofs:
    """The solar roofs of one scenario: `sim.kinds.kind.Kind`."""

    name = "pv"
    technology = Technology.PV
    device: ModuleType = pv

    def __init__(self, settings: Pv, homes: HomeTable, numbers: I32, seed: int) -> None:
        self.settings, self.homes, self._numbers, self._seed = settings, homes, numbers, seed
        self._key = chance.stream(seed, Purpose.PV)

    def among(self, numbers: I32) -> Roofs:
        """The same roofs, of these homes alone."""
        shared = np.intersect1d(self._numbers, numbers).astype(np.int32)
        return Roofs(self.settings, self.homes, shared, self._seed)

    def draw(self, start_ms: int) -> Drawn:
        """Who has which roof; a pure function of settings and seed."""
        spec = self._spec(self.homes.key[self._numbers])
        order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
        home, spec = self._numbers[order], spec[order]
        state = np.zeros(len(spec), pv.STATE)
        state["at_ms"] = start_ms
        state["limit_w"] = NO_LIMIT_W
        u = chance.units(self._key, self.homes.key[home], number=4)
        reached = u[:, 0] < self.settings.reachable_share
        return Drawn(
            home=home,
            spec=spec,
            state=state,
            rating_w=np.minimum(spec["peak_w"], spec["inverter_w"]).astype(np.int32),
            capacity_wh=np.full(len(spec), UNKNOWN, np.int32),
            route=np.where(reached, _ROUTE, -1).astype(np.int8),
        )

    def _spec(self, number: I64) -> np.ndarray[Any, Any]:
        settings = self.settings
        z0, z1, z2 = (chance.normals(self._key, number, number=k) for k in (0, 1, 2))
        u = chance.units(self._key, number, number=3)
        spec = np.zeros(len(number), pv.SPEC)
        spec["device"] = device_number(KindNumber.PV, number)
        spec["region"] = self.homes.gsp_group[self._numbers]
        peak_w = settings.peak_mean_w + settings.peak_sd_w * z0[:, 0]
        spec["peak_w"] = np.clip(peak_w, settings.peak_mean_w / 3, 3 * settings.peak_mean_w)
        spec["inverter_w"] = settings.inverter_limit_w
        tilt = np.radians(np.clip(settings.tilt_degrees + settings.tilt_sd_degrees * z0[:, 1], 0.0, 90.0))
        azimuth = np.radians(settings.azimuth_degrees + settings.azimuth_sd_degrees * z1[:, 0])
        spec["east"] = np.sin(tilt) * np.sin(azimuth)
        spec["north"] = np.sin(tilt) * np.cos(azimuth)
        spec["up"] = np.cos(tilt)
        spec["kept"] = (
            (1.0 - settings.array_loss) * settings.inverter_efficiency * (1.0 - settings.optical_loss)
        )
        spec["warming_k_m2_per_w"] = (settings.noct_c - 20.0) / 800.0
        spec["wh_per_mj"] = (1.0 + settings.meter_gain_sd * z1[:, 1]) / MJ_PER_WH
        spec["inverter_wh_per_mj"] = (1.0 + settings.inverter_gain_sd * z2[:, 0]) / MJ_PER_WH
        w = chance.units(self._key, number, number=6)
        spec["wh_per_mj"] *= np.where(w[:, 0] < settings.meter_reversed_share, -1.0, 1.0)
        spec["traits"] = np.where(w[:, 1] < settings.tells_total_share, pv.TELLS_TOTAL, 0)
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 0] * settings.report_every_ms).astype(np.int32)
        return spec

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:  # noqa: ARG002
        """Which clouds pass over each roof today."""
        diary = np.zeros(len(drawn.spec), pv.DIARY)
        if self.settings.flicker_sd:
            u = chance.units(self._key, self.homes.key[drawn.home], day.toordinal(), number=5)
            diary["flicker"] = (u[:, 0] * _FLICKER_PATTERNS).astype(np.uint16)
        return diary

    def shared_day(self, day: date, sky: Sky) -> pv.Today:  # noqa: ARG002 - every kind's signature
        """The sky and the sun's way over each region."""
        return self._light(sky)

    def _light(self, sky: Sky) -> pv.Today:
        half_hours = sky.outdoor_c.shape[1]
        track = sun_track([PLACES[name] for name in self.homes.group_names], sky.first_ms, half_hours)
        return pv.Today(
            sky.first_ms,
            sky.outdoor_c,
            sky.global_w_per_m2,
            sky.diffuse_w_per_m2,
            sky.direct_w_per_m2,
            track.east,
            track.north,
            track.up,
            track.extraterrestrial_w_per_m2,
            self._flicker(sky.first_ms, half_hours),
        )

    def _flicker(self, first_ms: int, half_hours: int) -> F64:
        """Factors of the light of mean one (patterns, steps); no steps where none are asked for."""
        sd = self.settings.flicker_sd
        if not sd:
            return np.ones((1, 0))
        at = first_ms * _STEPS // HALF_HOUR_MS + np.arange(half_hours * _STEPS, dtype=np.int64)
        drawn = [
            autoregressive(self._key, at, _FLICKER_LAG_1, _FLICKER_STREAM + k)
            for k in range(_FLICKER_PATTERNS)
        ]
        return np.exp(sd * np.stack(drawn) - sd * sd / 2)

    def generated_w(self, drawn: Drawn, day: date, sky: Sky) -> I32:
        """What each roof can give in each half-hour [W] (rows, half-hours): what its home's meter sees."""
        out = np.empty((len(drawn.spec), sky.outdoor_c.shape[1]), np.int32)
        _fill(drawn.spec, self.diary(drawn, day, sky), self._light(sky), out)
        return out


@njit(cache=True, nogil=True)
def _fill(spec: Any, diary: Any, today: Any, out: Any) -> None:
    """Mean power of each row by half-hour."""
    step_ms = HALF_HOUR_MS // _STEPS
    for row in range(out.shape[0]):
        for k in range(out.shape[1]):
            at_ms = today.first_ms + k * HALF_HOUR_MS
            if today.flicker.shape[1] == 0:
                out[row, k] = _generated_w(spec[row], diary[row], today, at_ms)
                continue
            total_w = 0
            for step in range(_STEPS):
                total_w += _generated_w(spec[row], diary[row], today, at_ms + step * step_ms)
            out[row, k] = total_w // _STEPS
