"""Fridge-freezers, some of them behind a smart plug."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np

from devices import fridge
from devices.fridge import DIARY, HAS_PLUG, SPEC, STATE, Today
from protocol.messages import I32, UNKNOWN, Technology
from sim import chance
from sim.chance import Purpose
from sim.homes import HomeTable
from sim.kinds.kind import Drawn, KindNumber, Sky, device_number
from sim.scenario import ROUTE_NAMES
from sim.scenario_devices import Fridges

_MJ_PER_WH = 3_600_000
_ID_STEP, _ID = 8, 4
"""Draws are keyed by home * 8 + 4: beside the home's other white goods."""
_NO_ROUTE = -1


class FridgeFreezers:
    """The fridges of a scenario."""

    name = "fridges"
    technology = Technology.FRIDGE
    device = fridge

    def __init__(self, settings: Fridges, homes: HomeTable, owners: I32, seed: int) -> None:
        self._settings = settings
        self._homes = homes
        self._owners = owners
        self._seed = seed

    def draw(self, start_ms: int) -> Drawn:
        """Keyed by the home alone; every fridge is somewhere in its cycle."""
        settings = self._settings
        home = self._homes.key[self._owners]
        entity = home * _ID_STEP + _ID
        key = chance.stream(self._seed, Purpose.APPLIANCE)
        u, v = (chance.units(key, entity, number=number) for number in (0, 1))
        z = chance.normals(key, entity, number=2)
        spec = np.zeros(len(home), SPEC)
        spec["device"], spec["wh_per_mj"] = device_number(KindNumber.FRIDGE, home), 1.0 / _MJ_PER_WH
        spec["region"] = self._homes.gsp_group[self._owners]
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 0] * settings.report_every_ms).astype(np.int32)
        plugged = u[:, 1] < settings.plug_share
        spec["traits"] = np.where(plugged, HAS_PLUG, 0)
        factor = np.clip(1.0 + settings.power_sd * z[:, 0], 0.5, 1.5)
        spec["compressor_w"] = np.rint(settings.compressor_w * factor)
        room_c = settings.room_mean_c + settings.room_sd_c * np.clip(z[:, 1], -2.0, 2.0)
        spec["room_c"] = np.maximum(room_c, fridge.SAFE_C + 1.0)
        spec["warm_c"], spec["cold_c"] = settings.warm_c, settings.cold_c
        spec["hold_cap_s"] = settings.hold_cap_ms // 1000
        off_ms = settings.off_least_ms + (settings.off_most_ms - settings.off_least_ms) * v[:, 0]
        fridge.design(spec, np.full(len(home), float(settings.on_ms)), off_ms)
        state = np.zeros(len(home), STATE)
        fridge.begin(state, spec, start_ms, v[:, 1])
        route = np.where(plugged, ROUTE_NAMES.index("smart_plug_wifi"), _NO_ROUTE).astype(np.int8)
        order = np.lexsort((home, spec["read_at_ms"], spec["read_every_ms"]))
        return Drawn(
            home=self._owners[order],
            spec=spec[order],
            state=state[order],
            rating_w=spec["compressor_w"][order].astype(np.int32),
            capacity_wh=np.full(len(home), UNKNOWN, np.int32),
            route=route[order],
        )

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:  # noqa: ARG002 - as all kinds
        """Fridges have no day of their own."""
        return np.zeros(len(drawn.home), DIARY)

    def shared_day(self, day: date, sky: Sky) -> Today:  # noqa: ARG002 - as all kinds
        """Nothing but the day's beginning."""
        return Today(sky.first_ms)
