"""Night storage heaters: who has which, behind what kind of switch, and how much heat each night must bring.

Owns the night hours of each GSP Group and the switches that keep them; `sim/kinds/hot_water.py` uses both, so
that the cylinder and the heaters of one home hang on one switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

import numpy as np

from devices import storage_heater
from devices.standing_order import NO_LIMIT_W
from protocol import periods
from protocol.messages import I8, I32, I64, UNKNOWN, Technology
from sim import chance
from sim.chance import F64, Purpose
from sim.fleet import MJ_PER_WH
from sim.homes import HomeTable
from sim.kinds.kind import Drawn, KindNumber, Sky, device_number
from sim.scenario import ROUTE_NAMES
from sim.scenario_devices import NightSwitch, StorageHeaters

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
UNREACHABLE = -1
MAKERS_CLOUD = ROUTE_NAMES.index("heater_cloud")
"""Smart heat hangs on home broadband and its maker's cloud."""
DESIGN_BELOW_ZERO_C = 3.0
"""Heaters are sized for a day at -3 C (the usual external design temperature of England) [mem]."""

NIGHT_HOURS_GMT = MappingProxyType({
    "_A": (("00:00", "07:00"),),
    "_B": (("00:00", "07:00"),),
    "_C": (("00:30", "07:30"),),
    "_D": (("00:00", "07:00"),),
    "_E": (("23:30", "06:30"),),
    "_F": (("00:30", "07:30"),),
    "_G": (("00:30", "07:30"),),
    "_H": (("00:30", "07:30"),),
    "_J": (("22:30", "00:30"), ("02:30", "07:30")),
    "_K": (("23:30", "06:30"),),
    "_L": (("23:30", "06:30"),),
    "_M": (("00:30", "07:30"),),
    "_N": (("22:30", "00:30"), ("02:30", "07:30")),
    "_P": (("23:00", "06:00"),),
})  # fmt: skip
"""Economy 7 hours by GSP Group, in GMT all year round [mem]; within a group they also differ by meter.

Seven hours between 22:00 and 08:30 (npower's answer to customers) [2nd]; hours in half-hour steps, one period
in some regions and meter-dependent in others (Business Juice) [2nd]. `night_hours` of a scenario overrides.
"""
_MINUTES_OF = {
    clock: int(clock[:2]) * 60 + int(clock[3:]) for w in NIGHT_HOURS_GMT.values() for p in w for clock in p
}
_OTHER_GROUPS = (("00:30", "07:30"),)
_EARLIEST_NIGHT_MINUTE = 12 * 60
"""A window that begins after noon begins on the evening before the night's morning."""


@dataclass(frozen=True, slots=True, eq=False)
class Switches:
    """The night switch of each home, shape (homes,)."""

    offset_s: I32
    signal_offset_s: I32  # while it hears the radio signal
    teleswitch: I8  # 1: a radio teleswitch
    traits: I8  # STUCK_ON, STUCK_OFF or 0


def make_switches(settings: NightSwitch, number: I64, seed: int) -> Switches:
    """What switches the night supply of the homes `number`: a keyed draw of the home alone."""
    key = chance.stream(seed, Purpose.TELESWITCH)
    u, w = chance.units(key, number), chance.units(key, number, number=1)
    teleswitch = u[:, 0] < settings.teleswitch_share
    group = (u[:, 1] * settings.teleswitch_groups).astype(np.int64)
    of_group = chance.units(key, np.arange(settings.teleswitch_groups, dtype=np.int64), number=2)[:, 0]
    group_s = (2.0 * of_group[group] - 1.0) * settings.teleswitch_offset_ms / 1000
    smets_s = u[:, 2] * settings.load_switch_offset_ms / 1000
    on, off = settings.stuck_on_share, settings.stuck_off_share
    stuck_on = teleswitch & (w[:, 0] < on)
    stuck_off = teleswitch & (w[:, 0] >= on) & (w[:, 0] < on + off)
    wrong = teleswitch & (w[:, 0] >= on + off) & (w[:, 0] < on + off + settings.wrong_time_share)
    wrong_s = (2.0 * w[:, 1] - 1.0) * settings.wrong_time_ms / 1000
    signal_s = np.where(teleswitch, group_s, smets_s)
    offset_s = signal_s + np.where(wrong, wrong_s, 0.0)
    traits = stuck_on * storage_heater.STUCK_ON + stuck_off * storage_heater.STUCK_OFF
    return Switches(
        np.rint(offset_s).astype(np.int32),
        np.rint(signal_s).astype(np.int32),
        teleswitch.astype(np.int8),
        np.asarray(traits, np.int8),
    )


def silent_from_ms(settings: NightSwitch) -> int:
    """When the radio signal ends [UTC ms]: at noon; 0 where it has long ended."""
    return 0 if settings.silent_on is None else periods.local_clock_ms(settings.silent_on, 12)


def night_windows_ms(settings: NightSwitch, group_names: tuple[str, ...], day: date) -> I64:
    """Night hours that touch the diary of `day`, shape (groups, windows, 2) [UTC ms]; NEVER_MS where unused.

    Three nights: a switch may be half a day wrong, and the diary begins in the middle of one.
    """
    hours = [_hours(settings, name) for name in group_names]
    most = max(len(windows) for windows in hours)
    out = np.full((len(hours), 3 * most, 2), storage_heater.NEVER_MS, np.int64)
    for group, windows in enumerate(hours):
        for night in range(3):
            midnight_ms = _gmt_midnight_ms(day + timedelta(days=night))
            for k, (begin, end) in enumerate(windows):
                begins = begin - 24 * 60 if begin >= _EARLIEST_NIGHT_MINUTE else begin
                ends = end - 24 * 60 if end > _EARLIEST_NIGHT_MINUTE else end
                out[group, night * most + k] = (
                    midnight_ms + begins * MINUTE_MS,
                    midnight_ms + ends * MINUTE_MS,
                )
    return out


def _hours(settings: NightSwitch, name: str) -> tuple[tuple[int, int], ...]:
    """The windows of one GSP Group [minutes of the GMT day]."""
    if name in settings.night_hours:
        return settings.night_hours[name]
    return tuple((_MINUTES_OF[a], _MINUTES_OF[b]) for a, b in NIGHT_HOURS_GMT.get(name, _OTHER_GROUPS))


def _gmt_midnight_ms(day: date) -> int:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * 24 * HOUR_MS


class StorageHeaterHomes:
    """The storage heaters of a scenario (`sim.kinds.kind.Kind`)."""

    name = "storage_heaters"
    technology = Technology.STORAGE_HEATER
    device = storage_heater

    def __init__(self, settings: StorageHeaters, homes: HomeTable, numbers: I32, seed: int) -> None:
        self._settings, self._homes, self._numbers, self._seed = settings, homes, numbers, seed

    def draw(self, start_ms: int) -> Drawn:
        """Heaters, charge control and switch of every home; the cores are cold at first."""
        settings = self._settings
        number = self._homes.key[self._numbers]
        key = chance.stream(self._seed, Purpose.STORAGE_HEATER)
        u, z = chance.units(key, number), chance.normals(key, number, number=1)
        smart = u[:, 2] < settings.smart_share
        switches = make_switches(settings.switch, number, self._seed)
        heaters, unit_w = chance.pick(settings.count_mix, u[:, 0]), chance.pick(settings.heater_w, u[:, 1])
        spec = np.zeros(len(number), storage_heater.SPEC)
        spec["device"] = device_number(KindNumber.STORAGE_HEATER, number)
        spec["region"] = self._homes.gsp_group[self._numbers]
        spec["traits"] = np.where(smart, storage_heater.SMART, switches.traits)
        spec["floor_pct"] = round(100 * settings.floor)
        spec["unit_w"], spec["rating_w"], spec["boost_w"] = unit_w, heaters * unit_w, settings.boost_w
        spec["offset_s"], spec["signal_offset_s"] = switches.offset_s, switches.signal_offset_s
        spec["response_s"] = settings.response_ms // 1000
        spec["capacity_mj"] = (spec["rating_w"] * settings.charge_hours).astype(np.int64) * MJ_PER_WH
        low, high = settings.band
        band = low + (high - low) * chance.units(key, number, number=4)[:, 0]
        spec["band_mj"] = (band * spec["capacity_mj"]).astype(np.int64)
        hours = np.where(smart, settings.smart_closed_hours, settings.closed_hours)
        hours = hours * np.exp(settings.closed_log_sd * z[:, 0])
        spec["closed_per_ms"] = 1.0 / (hours * HOUR_MS)
        spec["open_per_ms"] = settings.open_factor * spec["closed_per_ms"]
        gain = settings.meter_gain_sd * z[:, 1]
        spec["wh_per_mj"] = (1.0 + gain) / MJ_PER_WH
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 3] * settings.report_every_ms).astype(np.int32)
        order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
        spec, smart = spec[order], smart[order]
        state = np.zeros(len(number), storage_heater.STATE)
        state["at_ms"] = start_ms
        state["limit_w"] = NO_LIMIT_W
        return Drawn(
            home=self._numbers[order].astype(np.int32),
            spec=spec,
            state=state,
            rating_w=spec["rating_w"].astype(np.int32),
            capacity_wh=np.where(smart, spec["capacity_mj"] // MJ_PER_WH, UNKNOWN).astype(np.int32),
            route=np.where(smart, MAKERS_CLOUD, UNREACHABLE).astype(np.int8),
        )

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:
        """Tonight's target from the weather, the owner's dampers and patience."""
        settings = self._settings
        number = self._homes.key[drawn.home]
        key, ordinal = chance.stream(self._seed, Purpose.HEAT_DAY), day.toordinal()
        u = chance.units(key, number, ordinal, 40)
        z = chance.normals(key, number, ordinal, 41)
        diary = np.zeros(len(number), storage_heater.DIARY)
        diary["forecast_ms"] = periods.local_clock_ms(day, 20)
        diary["tonight_mj"] = self._targets_mj(drawn, sky, z[:, 0])
        opens, closes = settings.evening
        late_ms = (0.5 * z[:, 1] * HOUR_MS).astype(np.int64).clip(-HOUR_MS, HOUR_MS)
        noon_ms = periods.local_clock_ms(day, 12)
        diary["open_ms"][:, 1] = noon_ms + round((opens - 12) * HOUR_MS) + late_ms
        diary["close_ms"][:, 1] = noon_ms + round((closes - 12) * HOUR_MS) + late_ms
        morning = u[:, 0] < settings.morning_share
        diary["open_ms"][:, 0] = np.where(morning, noon_ms - 5 * HOUR_MS, storage_heater.NEVER_MS)
        diary["close_ms"][:, 0] = np.where(morning, noon_ms - 3 * HOUR_MS, storage_heater.NEVER_MS)
        looks = u[:, 1] < settings.boost_share
        look_ms = noon_ms + ((5.0 + 4.0 * u[:, 2]) * HOUR_MS).astype(np.int64)
        diary["look_ms"] = np.where(looks, look_ms, storage_heater.NEVER_MS)
        diary["boost_below_mj"] = (settings.boost_below * diary["tonight_mj"]).astype(np.int64)
        diary["boost_for_s"] = settings.boost_for_ms // 1000
        return diary

    def shared_day(self, day: date, sky: Sky) -> storage_heater.Today:  # noqa: ARG002 - bricks do not see the sky
        """The night hours."""
        switch = self._settings.switch
        night_ms = night_windows_ms(switch, self._homes.group_names, day)
        return storage_heater.Today(night_ms, silent_from_ms=silent_from_ms(switch))

    def _targets_mj(self, drawn: Drawn, sky: Sky, z: F64) -> I64:
        """Heat that the core shall hold in the morning [mJ].

        Automatic control: what tomorrow asks if it is like today, give or take its error. A dial: one level
        all winter.
        """
        settings = self._settings
        key = chance.stream(self._seed, Purpose.STORAGE_HEATER)
        spec, number = drawn.spec, self._homes.key[drawn.home]
        u, w = chance.units(key, number, number=2), chance.normals(key, number, number=3)
        sizing = settings.sizing_median * np.exp(settings.sizing_log_sd * w[:, 0])
        mean_c = sky.outdoor_c.mean(axis=1)[spec["region"]]
        cold_k = settings.balance_c - (mean_c + settings.forecast_sd_c * z)
        automatic = sizing * np.clip(cold_k, 0.0, None) / (settings.balance_c + DESIGN_BELOW_ZERO_C)
        low, high = settings.manual_dial
        dial = np.where(mean_c < settings.manual_off_above_c, low + (high - low) * u[:, 1], 0.0)
        share = np.where(u[:, 0] < settings.manual_share, dial, automatic)
        return np.asarray((np.clip(share, 0.0, 1.0) * spec["capacity_mj"]).astype(np.int64))
