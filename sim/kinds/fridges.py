"""Fridge-freezers, some of them behind a smart plug."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
from pydantic import Field

from devices import fridge
from devices.fridge import DIARY, HAS_PLUG, SPEC, STATE, Today
from protocol.messages import I32, UNKNOWN, Technology
from sim import chance
from sim.chance import Purpose
from sim.homes import HomeTable
from sim.kinds.kind import Drawn, Sky
from sim.quantity import Duration, Power, Share
from sim.scenario import ROUTE_NAMES, Model

_MJ_PER_WH = 3_600_000
_ID_STEP, _ID = 8, 4
"""Device ids are home * 8 + 4: beside the home's other white goods."""
_NO_ROUTE = -1


class Fridges(Model):
    """Fridge-freezers. CREST: 6,116 cycles a year of 22 min at 190 W, with pauses of at least 44 min."""

    share: Share = Field(default=0.65, description="ownership, CREST")
    plug_share: Share = Field(default=0.10, description="of fridges, behind a smart plug; assumed")
    compressor_w: Power = Field(default=190, ge=20, le=2_000, description="CREST")
    power_sd: Share = Field(default=0.10, description="spread of power between fridges; assumed")
    on_ms: Duration = Field(default=1_320_000, ge=60_000, description="22 min, CREST")
    off_least_ms: Duration = Field(default=2_640_000, ge=60_000, description="44 min, CREST")
    off_most_ms: Duration = Field(
        default=5_256_000,
        ge=60_000,
        description="87.6 min: uniform between the two, 6,116 cycles a year as CREST; the form is assumed",
    )
    warm_c: float = Field(default=5.0, gt=-10, lt=7.9, description="the thermostat calls; FSA advice 5 C")
    cold_c: float = Field(default=3.0, gt=-20, lt=7.8, description="the thermostat is satisfied; assumed")
    room_mean_c: float = Field(default=20.0, ge=12, le=40, description="kitchens; assumed")
    room_sd_c: float = Field(default=1.5, ge=0, le=3, description="between homes; assumed")
    hold_cap_ms: Duration = Field(
        default=3_600_000,
        ge=60_000,
        description="longest hold by the plug; less where the food would pass 8 C sooner; assumed",
    )
    report_every_ms: Duration = Field(default=60_000, ge=1_000, description="smart plugs; assumed")


class FridgeFreezers:
    """The fridges of a scenario."""

    name = "fridge"
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
        home = self._owners.astype(np.int64)
        device = home * _ID_STEP + _ID
        key = chance.stream(self._seed, Purpose.APPLIANCE)
        u, v = (chance.units(key, device, number=number) for number in (0, 1))
        z = chance.normals(key, device, number=2)
        spec = np.zeros(len(home), SPEC)
        spec["device"], spec["wh_per_mj"] = device, 1.0 / _MJ_PER_WH
        spec["region"] = self._homes.gsp_group[home]
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
        route = np.where(plugged, ROUTE_NAMES.index("evcp_wifi_cloud"), _NO_ROUTE).astype(np.int8)
        order = np.lexsort((device, spec["read_at_ms"], spec["read_every_ms"]))
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

    def today(self, day: date, sky: Sky) -> Today:  # noqa: ARG002 - as all kinds
        """Nothing but the day's beginning."""
        return Today(sky.first_ms)
