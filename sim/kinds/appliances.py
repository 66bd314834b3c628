"""White goods and their owners: washing machines, washer-dryers, tumble dryers, dishwashers.

One kind is one appliance; draws are keyed by (home, appliance), and who acts on a message by the home, so
that a household answers as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from devices import appliance
from devices.appliance import BY_HAND, BY_TIMER, DIARY, HAS_TIMER, IGNORES, NEVER_MS, SPEC, STATE, Today
from devices.standing_order import NO_LIMIT_W
from protocol.messages import I32, I64, UNKNOWN, Technology
from protocol.periods import HOUR_MS
from sim import chance
from sim.chance import Purpose
from sim.homes import HomeTable
from sim.households import PLAN_HOUR, PLAN_MINUTE, plan_moment_ms
from sim.kinds.kind import F64, Drawn, KindNumber, Sky, device_number
from sim.scenario import ROUTE_NAMES
from sim.scenario_devices import Dishwashers, TumbleDryers, WasherDryers, WashingMachines, WhiteGoods
from sim.tariffs import StaticTariff

_MJ_PER_WH = 3_600_000
_DAYS = 365
_ID_STEP = 8
"""Draws are keyed by home * 8 + programme: one home, several appliances."""
_NO_ROUTE = -1


class Sort(NamedTuple):
    """One appliance among the white goods."""

    name: str
    number: KindNumber
    programme: int


SORTS: Mapping[type[WhiteGoods], Sort] = MappingProxyType({
    WashingMachines: Sort("washing_machines", KindNumber.WASHING_MACHINE, appliance.WASHING_MACHINE),
    WasherDryers: Sort("washer_dryers", KindNumber.WASHER_DRYER, appliance.WASHER_DRYER),
    TumbleDryers: Sort("tumble_dryers", KindNumber.TUMBLE_DRYER, appliance.TUMBLE_DRYER),
    Dishwashers: Sort("dishwashers", KindNumber.DISHWASHER, appliance.DISHWASHER),
})  # fmt: skip


class Appliances:
    """One appliance of a scenario: who owns it, and when they use it."""

    technology = Technology.APPLIANCE
    device = appliance

    def __init__(
        self,
        settings: WhiteGoods,
        homes: HomeTable,
        owners: I32,
        seed: int,
        tariff: StaticTariff | None = None,
    ) -> None:
        self._tariff = tariff
        self._sort = SORTS[type(settings)]
        self.name = self._sort.name
        self._settings = settings
        self._homes = homes
        self._owners = owners
        self._seed = seed

    def draw(self, start_ms: int) -> Drawn:
        """Keyed by (home, appliance) alone."""
        settings, programme = self._settings, self._sort.programme
        home = self._homes.key[self._owners]
        entity = home * _ID_STEP + programme
        key = chance.stream(self._seed, Purpose.APPLIANCE)
        u, z = chance.units(key, entity), chance.normals(key, entity, number=1)
        spec = np.zeros(len(home), SPEC)
        spec["device"] = device_number(self._sort.number, home)
        spec["programme"], spec["wh_per_mj"] = programme, 1.0 / _MJ_PER_WH
        spec["region"] = self._homes.gsp_group[self._owners]
        spec["read_every_ms"] = settings.report_every_ms
        spec["read_at_ms"] = (u[:, 0] * settings.report_every_ms).astype(np.int32)
        spec["traits"] = np.where(u[:, 1] < settings.timer_share, HAS_TIMER, 0)
        spec["timer_step_s"] = settings.timer_step_ms // 1000
        factor = np.clip(1.0 + settings.power_sd * z[:, 0], 0.6, 1.4)
        spec["power_permille"] = np.rint(1000.0 * factor)
        phases = np.array([[minutes, watts] for minutes, watts in appliance.PHASES[programme]])
        phase_w = phases[:, 1].astype(np.int64) * spec["power_permille"][:, None] // 1000
        spec["rating_w"] = phase_w.max(axis=1, initial=0)
        spec["cycle_wh"] = (phase_w @ phases[:, 0] / 60.0).astype(np.int64)
        state = np.zeros(len(home), STATE)
        state["at_ms"], state["limit_w"] = start_ms, NO_LIMIT_W
        reached = chance.units(chance.stream(self._seed, Purpose.OPT_IN), home)[:, 0] < settings.reached_share
        route = np.where(reached, ROUTE_NAMES.index("app_message"), _NO_ROUTE).astype(np.int8)
        order = np.lexsort((home, spec["read_at_ms"], spec["read_every_ms"]))
        return Drawn(
            home=self._owners[order],
            spec=spec[order],
            state=state[order],
            rating_w=spec["rating_w"][order].astype(np.int32),
            capacity_wh=np.full(len(home), UNKNOWN, np.int32),
            route=route[order],
        )

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:  # noqa: ARG002 - as all kinds
        """What each owner does on `day`, keyed by (home, appliance, day); how it answers by (home, day)."""
        settings, ordinal = self._settings, day.toordinal()
        entity = self._homes.key[drawn.home] * _ID_STEP + self._sort.programme
        key = chance.stream(self._seed, Purpose.APPLIANCE_DAY)
        u, v, w = (chance.units(key, entity, ordinal, number) for number in range(3))
        diary = np.zeros(len(entity), DIARY)
        loads = u[:, :2] < self._load_probability(entity, day)[:, None]
        has_timer = drawn.spec["traits"] & HAS_TIMER != 0
        for k in range(2):
            load_ms = self._load_ms(day, u[:, 2 + k], v[:, k])
            steps = np.where(has_timer & (v[:, 2 + k] < settings.timer_use), 1 + (w[:, k] * 8).astype(int), 0)
            diary[f"load{k + 1}_ms"] = np.where(loads[:, k], load_ms, NEVER_MS)
            start_ms = load_ms + steps * settings.timer_step_ms
            if self._tariff is not None:
                shifts = has_timer & self._tariff.goods[drawn.home]
                later_ms = _after_peak_ms(
                    start_ms, load_ms, self._tariff.peak_ms(day), settings.timer_step_ms
                )
                start_ms = np.where(shifts, later_ms, start_ms)
            diary[f"start{k + 1}_ms"] = np.where(loads[:, k], start_ms, NEVER_MS)
        home = self._homes.key[drawn.home]
        x = chance.units(chance.stream(self._seed, Purpose.OPT_IN), home, ordinal, 1)
        acts = np.where(x[:, 1] < settings.by_hand_share, BY_HAND, BY_TIMER)
        diary["acts"] = np.where(x[:, 0] < settings.acts_share, acts, IGNORES)
        reads_ms = settings.reads_median_ms * np.exp(settings.reads_log_sd * ndtri(x[:, 2]))
        diary["reads_s"] = np.minimum(reads_ms / 1000.0, 86_400).astype(np.int32)
        after_ms = -settings.after_mean_ms * np.log(w[:, 2])
        diary["after_s"] = np.minimum(after_ms / 1000.0, 6 * 3600).astype(np.int32)
        return diary

    def shared_day(self, day: date, sky: Sky) -> Today:  # noqa: ARG002 - as all kinds
        """The programmes, every day the same."""
        return appliance.make_today(sky.first_ms)

    def _load_probability(self, entity: I64, day: date) -> F64:
        """Of each of the day's two possible loads."""
        settings = self._settings
        z = chance.normals(chance.stream(self._seed, Purpose.APPLIANCE), entity, number=2)[:, 0]
        household = np.exp(settings.household_log_sd * z - 0.5 * settings.household_log_sd**2)
        weekend = settings.weekend_factor
        factor = weekend if day.weekday() >= 5 else (7 - 2 * weekend) / 5
        return np.asarray(np.minimum(settings.cycles_per_year / _DAYS * household * factor / 2, 1.0))

    def _load_ms(self, day: date, u: F64, v: F64) -> I64:
        """When the owner loads, within the day that is planned [UTC ms]."""
        mixture = self._settings.start_weekend if day.weekday() >= 5 else self._settings.start_weekday
        means, sds, weights = (np.array(column) for column in zip(*mixture, strict=True))
        place = np.searchsorted(np.cumsum(weights / weights.sum())[:-1], u, side="right")
        hour = means[place] + sds[place] * ndtri(v)
        plan_ms, next_ms = plan_moment_ms(day), plan_moment_ms(day + timedelta(days=1))
        load_ms = plan_ms + ((hour - (PLAN_HOUR + PLAN_MINUTE / 60)) * HOUR_MS).astype(np.int64)
        return np.asarray(np.clip(load_ms, plan_ms + 60_000, next_ms - 60_000))


def _after_peak_ms(start_ms: I64, load_ms: I64, peak_ms: I64, step_ms: int) -> I64:
    """When the timer starts what would start in dear hours: so many whole steps after it was loaded."""
    for begin_ms, end_ms in peak_ms:
        steps = -((load_ms - end_ms) // step_ms)
        start_ms = np.where((begin_ms <= start_ms) & (start_ms < end_ms), load_ms + steps * step_ms, start_ms)
    return start_ms
