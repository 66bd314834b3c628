"""White goods and their owners: washing machines, washer-dryers, tumble dryers, dishwashers.

One kind is one appliance; draws are keyed by (home, appliance), and who acts on a message by the home, so
that a household answers as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
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
from sim.kinds.kind import F64, Drawn, Sky
from sim.quantity import Duration, Share
from sim.scenario import ROUTE_NAMES, Model

_MJ_PER_WH = 3_600_000
_DAYS = 365
_ID_STEP = 8
"""Device ids are home * 8 + programme: one home, several appliances."""
_NO_ROUTE = -1

Mixture = tuple[tuple[float, float, float], ...]


class WhiteGoods(Model):
    """What all white goods have in common."""

    programme: ClassVar[int]

    share: Share
    cycles_per_year: float = Field(ge=0, le=700)
    start_weekday: Mixture = Field(
        default=((8.5, 1.6, 0.35), (13.0, 2.5, 0.25), (18.5, 2.0, 0.40)),
        description="starts on weekdays: (mean local hour, sd hours, weight); assumed",
    )
    start_weekend: Mixture = Field(
        default=((10.0, 1.1, 0.60), (14.5, 2.5, 0.40)), description="starts peak 09-11 at weekends [mem]"
    )
    weekend_factor: float = Field(
        default=1.25, ge=0, le=3.5, description="cycles on a weekend day over an average day's; assumed"
    )
    household_log_sd: float = Field(
        default=0.3, ge=0, le=2, description="spread of cycles between homes, log-normal of mean one; assumed"
    )
    power_sd: Share = Field(default=0.08, description="spread of power between appliances; assumed")
    timer_share: Share = Field(default=0.6, description="appliances with a delay-start timer; assumed")
    timer_use: Share = Field(
        default=0.05, description="loads started by the timer unasked, 1-8 steps later; assumed"
    )
    timer_step_ms: Duration = Field(
        default=3_600_000, ge=60_000, description="timers count in hours; assumed"
    )
    reached_share: Share = Field(default=1.0, description="homes that get messages; the rest have no route")
    acts_share: Share = Field(
        default=0.25, description="opted-in homes that act in an event: 25 % (range 25-50 %), CNZ"
    )
    by_hand_share: Share = Field(default=0.75, description="of those, by hand and not by timer: 75 %, CNZ")
    reads_median_ms: Duration = Field(
        default=900_000, description="from a message to its being read; assumed"
    )
    reads_log_sd: float = Field(default=1.0, ge=0, le=3, description="spread of that, log-normal; assumed")
    after_mean_ms: Duration = Field(
        default=1_800_000,
        description="by hand: from a window's end to the start, exponential, 6 h at most; assumed",
    )
    report_every_ms: Duration = Field(
        default=1_800_000, ge=1_000, description="no meter of its own: nothing is told oftener; assumed"
    )


class WashingMachines(WhiteGoods):
    """CREST: 196 cycles a year of 0.93 kWh."""

    programme: ClassVar[int] = appliance.WASHING_MACHINE

    share: Share = Field(default=0.78, description="ownership, CREST")
    cycles_per_year: float = Field(default=196, ge=0, le=700, description="CREST")


class WasherDryers(WhiteGoods):
    """CREST: 196 cycles a year of 2.61 kWh."""

    programme: ClassVar[int] = appliance.WASHER_DRYER

    share: Share = Field(default=0.15, description="ownership, CREST")
    cycles_per_year: float = Field(default=196, ge=0, le=700, description="CREST")


class TumbleDryers(WhiteGoods):
    """CREST: 122 cycles a year of 2.5 kWh."""

    programme: ClassVar[int] = appliance.TUMBLE_DRYER

    share: Share = Field(default=0.42, description="ownership, CREST")
    cycles_per_year: float = Field(default=122, ge=0, le=700, description="CREST")


class Dishwashers(WhiteGoods):
    """CREST: 241 cycles a year of 1.13 kWh."""

    programme: ClassVar[int] = appliance.DISHWASHER

    share: Share = Field(default=0.34, description="ownership, CREST; now about 0.5 [mem]")
    cycles_per_year: float = Field(default=241, ge=0, le=700, description="CREST")
    start_weekday: Mixture = Field(
        default=((19.0, 0.9, 0.60), (9.0, 1.5, 0.20), (21.8, 1.0, 0.20)), description="18-20 [mem]"
    )
    start_weekend: Mixture = Field(
        default=((19.0, 1.0, 0.50), (10.0, 1.5, 0.20), (14.0, 1.5, 0.30)), description="18-20 [mem]"
    )
    weekend_factor: float = Field(default=1.1, ge=0, le=3.5, description="as above; assumed")


NAMES: Mapping[int, str] = MappingProxyType({
    appliance.WASHING_MACHINE: "washing_machine",
    appliance.WASHER_DRYER: "washer_dryer",
    appliance.TUMBLE_DRYER: "tumble_dryer",
    appliance.DISHWASHER: "dishwasher",
})  # fmt: skip


class Appliances:
    """One appliance of a scenario: who owns it, and when they use it."""

    technology = Technology.APPLIANCE
    device = appliance

    def __init__(self, settings: WhiteGoods, homes: HomeTable, owners: I32, seed: int) -> None:
        self.name = NAMES[settings.programme]
        self._settings = settings
        self._homes = homes
        self._owners = owners
        self._seed = seed

    def draw(self, start_ms: int) -> Drawn:
        """Keyed by (home, appliance) alone."""
        settings, programme = self._settings, self._settings.programme
        home = self._owners.astype(np.int64)
        device = home * _ID_STEP + programme
        key = chance.stream(self._seed, Purpose.APPLIANCE)
        u, z = chance.units(key, device), chance.normals(key, device, number=1)
        spec = np.zeros(len(home), SPEC)
        spec["device"], spec["programme"], spec["wh_per_mj"] = device, programme, 1.0 / _MJ_PER_WH
        spec["region"] = self._homes.gsp_group[home]
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
        # No route to an owner's telephone stands yet: the mobile network of the charge points stands for it.
        route = np.where(reached, ROUTE_NAMES.index("evcp_4g"), _NO_ROUTE).astype(np.int8)
        order = np.lexsort((device, spec["read_at_ms"], spec["read_every_ms"]))
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
        device = drawn.spec["device"].astype(np.int64)
        key = chance.stream(self._seed, Purpose.APPLIANCE_DAY)
        u, v, w = (chance.units(key, device, ordinal, number) for number in range(3))
        diary = np.zeros(len(device), DIARY)
        loads = u[:, :2] < self._load_probability(device, day)[:, None]
        has_timer = drawn.spec["traits"] & HAS_TIMER != 0
        for k in range(2):
            load_ms = self._load_ms(day, u[:, 2 + k], v[:, k])
            steps = np.where(has_timer & (v[:, 2 + k] < settings.timer_use), 1 + (w[:, k] * 8).astype(int), 0)
            diary[f"load{k + 1}_ms"] = np.where(loads[:, k], load_ms, NEVER_MS)
            start_ms = load_ms + steps * settings.timer_step_ms
            diary[f"start{k + 1}_ms"] = np.where(loads[:, k], start_ms, NEVER_MS)
        home = drawn.home.astype(np.int64)
        x = chance.units(chance.stream(self._seed, Purpose.OPT_IN), home, ordinal, 1)
        acts = np.where(x[:, 1] < settings.by_hand_share, BY_HAND, BY_TIMER)
        diary["acts"] = np.where(x[:, 0] < settings.acts_share, acts, IGNORES)
        reads_ms = settings.reads_median_ms * np.exp(settings.reads_log_sd * ndtri(x[:, 2]))
        diary["reads_s"] = np.minimum(reads_ms / 1000.0, 86_400).astype(np.int32)
        after_ms = -settings.after_mean_ms * np.log(w[:, 2])
        diary["after_s"] = np.minimum(after_ms / 1000.0, 6 * 3600).astype(np.int32)
        return diary

    def today(self, day: date, sky: Sky) -> Today:  # noqa: ARG002 - as all kinds
        """The programmes, every day the same."""
        return appliance.make_today(sky.first_ms)

    def _load_probability(self, device: I64, day: date) -> F64:
        """Of each of the day's two possible loads."""
        settings = self._settings
        z = chance.normals(chance.stream(self._seed, Purpose.APPLIANCE), device, number=2)[:, 0]
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
