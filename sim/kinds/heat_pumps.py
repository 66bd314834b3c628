"""Homes with a heat pump: which house, which machine, when its people want it warm and draw hot water.

The physics is `devices/heat_pump.py`'s. Every property is a keyed draw of the home's own number.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from types import ModuleType
from typing import Any

import numpy as np
from numba import njit
from scipy.special import ndtri

from devices import heat_pump
from devices.heat_pump import CYLINDER, DIARY, GROUND, HYBRID, SPEC, STATE, TELLS_WARMTH, Today
from devices.standing_order import NO_LIMIT_W
from protocol import periods
from protocol.messages import I32, I64, UNKNOWN, Technology
from protocol.periods import clock_half_hours
from sim import chance
from sim.chance import Purpose
from sim.fleet import MJ_PER_WH
from sim.homes import HomeTable
from sim.households import PLAN_HOUR, PLAN_MINUTE, mean_shape_kw, plan_moment_ms
from sim.kinds.kind import HALF_HOUR_MS, Drawn, KindNumber, Sky, device_number
from sim.scenario import ROUTE_NAMES
from sim.scenario_devices import HeatPumps

F64 = np.ndarray[Any, np.dtype[np.float64]]

_ROUTE = ROUTE_NAMES.index("heat_pump_cloud")
WH_PER_LITRE_K = 1.163
SIZES_W = (5000, 6000, 7000, 8000, 10_000, 12_000, 14_000, 16_000)
"""Heat ratings on the market: 5-12 kW, mode 8 (realism.md section 2 [mem]), larger for larger homes."""
DESIGN_C, DESIGN_ROOM_C = -3.0, 21.0
"""Outdoors and in the room when a system is sized: MCS MIS 3005, about -3 C for most of England [mem]."""
_DAY_S = 86_400
_PLAN_S = PLAN_HOUR * 3600 + PLAN_MINUTE * 60
_DRAWS = (
    (7.0, 0.6, 1.5),
    (7.2, 0.6, 1.0),
    (8.2, 0.9, 0.5),
    (12.5, 1.8, 0.6),
    (17.4, 0.7, 0.6),
    (18.2, 0.6, 1.2),
    (18.8, 0.8, 0.8),
    (21.3, 1.0, 0.7),
)
"""Hot water is drawn about these hours (mean, sd, weight of the heat).

The two bumps are those of T8 (06-08 and 17-19: DESNZ, 115,000 homes); what lies between them is assumed.
"""
_DRAW_SHARE = 0.75
"""A draw takes place on this share of days; assumed."""


@dataclass(frozen=True, slots=True, eq=False)
class HeatPumpKind:
    """The heat pumps of one scenario; `numbers` are those of the homes that own one."""

    settings: HeatPumps
    homes: HomeTable
    numbers: I32
    seed: int
    name: str = "heat_pumps"
    technology: Technology = Technology.HEAT_PUMP
    device: ModuleType = heat_pump

    def draw(self, start_ms: int) -> Drawn:
        """Who owns one, of what make, in what house."""
        number = self.homes.key[self.numbers]
        spec = np.zeros(len(number), SPEC)
        spec["device"] = device_number(KindNumber.HEAT_PUMP, number)
        spec["region"] = self.homes.gsp_group[self.numbers]
        self._draw_meter(spec, number)
        self._draw_machine(spec, number)
        self._draw_house(spec, number)
        self._draw_water(spec, number)
        self._draw_people(spec, number)
        self._size(spec, number)
        order = np.lexsort((spec["device"], spec["read_at_ms"], spec["read_every_ms"]))
        spec = spec[order]
        return Drawn(
            home=self.numbers[order],
            spec=spec,
            state=first_state(spec, start_ms),
            rating_w=spec["max_w"].astype(np.int32),
            capacity_wh=stand_in_wh(spec),
            route=np.full(len(spec), _ROUTE, np.int8),
        )

    def _units(self, purpose: Purpose, number: I64, k: int) -> F64:
        return chance.units(chance.stream(self.seed, purpose), number, number=k)

    def _draw_meter(self, spec: np.ndarray[Any, Any], number: I64) -> None:
        key = chance.stream(self.seed, Purpose.ASSET_METER)
        gain = self.settings.meter_gain_sd * chance.normals(key, spec["device"])[:, 0]
        spec["wh_per_mj"] = (1.0 + gain) / MJ_PER_WH
        u = self._units(Purpose.HEAT_PUMP, number, 0)
        spec["read_every_ms"] = self.settings.report_every_ms
        spec["read_at_ms"] = (u[:, 0] * self.settings.report_every_ms).astype(np.int32)
        spread = 1.0 + self.settings.response_spread * (2.0 * u[:, 1] - 1.0)
        spec["response_s"] = np.rint(self.settings.response_ms / 1000.0 * spread).astype(np.uint16)
        spec["traits"] |= np.where(u[:, 2] < self.settings.tells_warmth_share, TELLS_WARMTH, 0).astype(
            np.uint8
        )

    def _draw_machine(self, spec: np.ndarray[Any, Any], number: I64) -> None:
        """Source, flow temperature, boiler, buffer tank."""
        given = self.settings
        u = self._units(Purpose.HEAT_PUMP, number, 1)
        v = self._units(Purpose.HEAT_PUMP, number, 2)
        ground = u[:, 0] < given.ground_share
        hybrid = ~ground & (u[:, 0] < given.ground_share + given.hybrid_share)
        high = ~ground & ~hybrid
        high &= u[:, 0] < given.ground_share + given.hybrid_share + given.high_temperature_share
        underfloor = ~high & (u[:, 1] < given.underfloor_share)
        spec["traits"] |= np.where(ground, GROUND, 0).astype(np.uint8)
        spec["traits"] |= np.where(hybrid, HYBRID, CYLINDER).astype(np.uint8)
        spec["flow_at_0_c"] = np.where(underfloor, 30.0, 40.0 + given.high_temperature_extra_k * high)
        spec["flow_per_c"] = np.where(underfloor, 0.5, 1.0)
        spec["ground_c"] = given.ground_c
        spec["defrost_share"] = given.defrost_share
        spec["bivalent_c"] = _between(given.bivalent_c, u[:, 2])
        buffer = ~hybrid & (u[:, 3] < given.buffer_share)
        spec["buffer_mj"] = np.where(buffer, given.buffer_wh * MJ_PER_WH, 0)
        spec["hold_cap_s"] = np.where(buffer | hybrid, given.hold_cap_storage_ms, given.hold_cap_ms) // 1000
        spec["max_w"] = np.rint(given.oversize_median * 1000 * np.exp(given.oversize_log_sd * ndtri(v[:, 0])))

    def _draw_house(self, spec: np.ndarray[Any, Any], number: I64) -> None:
        """Heat losses, heat capacities, gains."""
        given = self.settings
        u = self._units(Purpose.HOUSE, number, 0)
        z = chance.normals(chance.stream(self.seed, Purpose.HOUSE), number, number=1)
        loss = given.fuel_efficiency * given.loss_median_w_per_k * np.exp(log_sd(given) * z[:, 0])
        spec["air_loss_w_per_k"] = given.air_loss_share * loss
        spec["between_w_per_k"] = given.between_ratio * loss
        fabric_share = 1.0 - given.air_loss_share
        in_series = 1.0 / (1.0 / fabric_share - 1.0 / given.between_ratio)
        spec["fabric_loss_w_per_k"] = in_series * loss
        fast_s, slow_s = (
            3600.0 * _between(given.fast_hours, u[:, 0]),
            3600.0 * _between(given.slow_hours, u[:, 1]),
        )
        spec["air_j_per_k"] = fast_s * (given.between_ratio + given.air_loss_share) * loss
        spec["fabric_j_per_k"] = np.maximum(slow_s * loss - spec["air_j_per_k"], 0.5 * slow_s * loss)
        spec["gain_w"] = given.gain_median_w * np.exp(given.gain_log_sd * z[:, 1])
        spec["window_m2"] = given.window_m2 * (0.5 + u[:, 2])

    def _draw_water(self, spec: np.ndarray[Any, Any], number: I64) -> None:
        """The cylinder."""
        given = self.settings
        u = self._units(Purpose.HOT_WATER_DAY, number, 15)
        spec["water_goal_c"] = given.water_goal_c
        spec["water_j_per_k"] = _between(given.cylinder_litres, u[:, 0]) * WH_PER_LITRE_K * 3600.0
        spec["water_loss_w_per_k"] = given.cylinder_loss_wh_per_day * (0.7 + 0.6 * u[:, 1]) / 24.0 / 32.0

    def _draw_people(self, spec: np.ndarray[Any, Any], number: I64) -> None:
        """How warm they want it, and how cold they let it become."""
        given = self.settings
        u = self._units(Purpose.HOUSE, number, 2)
        comfort_c = given.comfort_mean_c + given.comfort_sd_k * np.clip(ndtri(u[:, 0]), -2.5, 2.5)
        spec["comfort_c"] = comfort_c
        spec["setback_c"] = comfort_c - _between(given.setback_k, u[:, 1])
        spec["comfort_floor_c"] = comfort_c - given.floor_k

    def _size(self, spec: np.ndarray[Any, Any], number: I64) -> None:
        """Heat pump and emitters for the house; `max_w` holds a thousand times its oversize until then."""
        given = self.settings
        u = self._units(Purpose.HEAT_PUMP, number, 3)
        wanted_w = heat_loss_w_per_k(spec) * (DESIGN_ROOM_C - DESIGN_C)
        sizes_w = np.array(SIZES_W, np.float64)
        place = np.searchsorted(sizes_w, wanted_w * (spec["max_w"] / 1000.0))
        rated_w = sizes_w[np.minimum(place, len(sizes_w) - 1)]
        design_cop, design_flow_c = _design(spec)
        spec["max_w"] = np.rint(rated_w / design_cop)
        spec["floor_w"] = np.rint(given.modulation_floor * spec["max_w"])
        emitter_w = wanted_w * _between(given.emitter_oversize, u[:, 0])
        spec["emitter_w_per_k"] = emitter_w / (design_flow_c - DESIGN_ROOM_C)

    def diary(self, drawn: Drawn, day: date, sky: Sky) -> np.ndarray[Any, Any]:
        """When it shall be warm and when hot water is drawn on `day`; keyed by (home, day) alone."""
        diary = np.zeros(len(drawn.spec), DIARY)
        number = self.homes.key[drawn.home]
        last_s = (plan_moment_ms(day + timedelta(days=1)) - plan_moment_ms(day)) // 1000 - 1
        diary["warm_s"] = self._warm_s(number, day, last_s)
        diary["draw_s"], diary["draw_wh"] = self._draws(number, day, last_s)
        u = self._units(Purpose.HOT_WATER_DAY, number, 14)
        its_day = (u[:, 0] * 7).astype(np.int64) == day.weekday()
        its_day &= u[:, 1] < self.settings.legionella_weekly_share
        hour = 12.0 + 3.0 * u[:, 2]
        diary["legionella_s"] = np.where(its_day, _since_plan_s(hour, last_s), -1)
        diary["water_s"] = self._water_s(number, last_s)
        mean_c = sky.outdoor_c.mean(axis=1)
        diary["heats"] = mean_c[drawn.spec["region"]] < self.settings.heating_below_c
        return diary

    def _warm_s(self, number: I64, day: date, last_s: int) -> I64:
        """Comfort from [0] to [1] and from [2] to [3], seconds from the planning moment, shape (rows, 4)."""
        given = self.settings
        u = self._units(Purpose.HOUSE, number, 3)
        z = chance.normals(chance.stream(self.seed, Purpose.HOUSE), number, number=4)
        w = chance.normals(chance.stream(self.seed, Purpose.HEAT_DAY), number, day.toordinal())
        lie_in = 1.0 if day.weekday() >= 5 else 0.0
        own, today = z[:, 0], 0.1 * w[:, 0]  # a timer moves little from day to day: assumed
        on = np.clip(6.3 + 1.5 * own + today + lie_in, 4.6, 9.5)
        off = on + 2.0 + 1.0 * u[:, 1]
        again = np.clip(16.0 + 1.0 * z[:, 1] + 0.1 * w[:, 1], off + 1.0, 19.0)
        # Bedtimes spread over 3.6 h: with less, all evenings last so long that T3's second peak comes late.
        night = np.clip(21.6 + 3.6 * (u[:, 2] - 0.5), again + 1.0, 27.0)
        hours = np.stack([on, off, again, night], axis=1)
        one = (u[:, 0] >= given.two_period_share) & (
            u[:, 0] < given.two_period_share + given.one_period_share
        )
        hours[one, 1] = hours[one, 2]
        warm_s = _since_plan_s(hours, last_s)
        always = u[:, 0] >= given.two_period_share + given.one_period_share
        warm_s[always] = np.array([0, _DAY_S + 7200, 0, 0])
        return warm_s

    def _water_s(self, number: I64, last_s: int) -> I64:
        """When the cylinder is kept hot, seconds from the planning moment, shape (rows, 4).

        A timed one from 04:30 or later to 06:30, and for two hours after noon: assumed.
        """
        u = self._units(Purpose.HOT_WATER_DAY, number, 12)
        morning, noon = 4.5 + 1.2 * u[:, 1], 12.5 + 2.0 * u[:, 2]
        hours = np.stack([morning, np.full(len(number), 6.5), noon, noon + 2.0], axis=1)
        water_s = _since_plan_s(hours, last_s)
        water_s[u[:, 0] >= self.settings.timed_water_share] = np.array([0, _DAY_S + 7200, 0, 0])
        return water_s

    def _draws(self, number: I64, day: date, last_s: int) -> tuple[I64, I64]:
        """Seconds from the planning moment and heat [Wh] of each draw, two of shape (rows, draws)."""
        given = self.settings
        key = chance.stream(self.seed, Purpose.HOT_WATER_DAY)
        ordinal = day.toordinal()
        u = np.concatenate([chance.units(key, number, ordinal, k) for k in range(6)], axis=1)
        mean, sd, weight = (np.array(column) for column in zip(*_DRAWS, strict=True))
        at, takes, size = u[:, :8], u[:, 8:16], u[:, 16:24]
        hour = mean + sd * ndtri(at) + (0.7 if day.weekday() >= 5 else 0.0) * (mean < 10.0)
        z = chance.normals(key, number, number=13)[:, 0]
        a_day_wh = given.hot_water_median_wh * np.exp(given.hot_water_log_sd * z)
        heat = a_day_wh[:, None] * weight / weight.sum() / _DRAW_SHARE * (0.5 + size)
        return _since_plan_s(hour, last_s), np.where(takes < _DRAW_SHARE, heat, 0.0).astype(np.int64)

    def shared_day(self, day: date, sky: Sky) -> Today:
        """The weather, and when people and appliances give heat: as a home's electricity runs, assumed."""
        shape = mean_shape_kw(day)[clock_half_hours(day)]
        first = (sky.first_ms - periods.day_start_ms(day)) // HALF_HOUR_MS
        occupancy = np.take(shape / shape.mean(), first + np.arange(sky.outdoor_c.shape[1]), mode="wrap")
        return Today(sky.first_ms, sky.outdoor_c, sky.global_w_per_m2, np.asarray(occupancy, np.float64))


def stand_in_wh(spec: np.ndarray[Any, Any]) -> I32:
    """What can stand in for the machine, as enrolled; UNKNOWN where nothing can [Wh].

    Heat in a full buffer tank; of a hybrid, whose boiler goes on as long as there is gas, what the machine
    would draw in the longest event.
    """
    buffer_wh = (spec["buffer_mj"] // MJ_PER_WH).astype(np.int64)
    boiler_wh = spec["max_w"].astype(np.int64) * spec["hold_cap_s"] // 3600
    stands_in_wh = np.where(spec["traits"] & HYBRID, boiler_wh, buffer_wh)
    return np.asarray(np.where(stands_in_wh > 0, stands_in_wh, UNKNOWN), np.int32)


def first_state(spec: np.ndarray[Any, Any], start_ms: int) -> np.ndarray[Any, Any]:
    """Houses in the night of a heating season: some days wear this guess away."""
    state = np.zeros(len(spec), STATE)
    state["at_ms"] = state["anchor_ms"] = start_ms
    state["limit_w"] = NO_LIMIT_W
    state["air_c"] = (spec["comfort_c"].astype(np.float64) + spec["setback_c"]) / 2.0
    state["fabric_c"] = spec["comfort_c"].astype(np.float64) - 3.0
    state["water_c"] = spec["water_goal_c"].astype(np.float64) - 3.0
    state["buffer_mj"] = spec["buffer_mj"] // 2
    state["cop"] = 1.0
    return state


def heat_loss_w_per_k(spec: np.ndarray[Any, Any]) -> F64:
    """What a house loses per K between its air and outdoors in the steady state [W/K]."""
    through = 1.0 / (1.0 / spec["between_w_per_k"] + 1.0 / spec["fabric_loss_w_per_k"])
    return np.asarray(spec["air_loss_w_per_k"] + through)


def log_sd(settings: HeatPumps) -> float:
    """Log-sd of the log-normal with SERL's median and sd: sd^2 = median^2 x (x - 1), x = exp(log-sd^2)."""
    ratio = (settings.loss_sd_w_per_k / settings.loss_median_w_per_k) ** 2
    return float(np.sqrt(np.log((1.0 + np.sqrt(1.0 + 4.0 * ratio)) / 2.0)))


def _between(bounds: tuple[float, float], u: F64) -> F64:
    return bounds[0] + (bounds[1] - bounds[0]) * u


def _since_plan_s(hour: F64, last_s: int) -> I64:
    """Hours of the local day as seconds from the planning moment, kept within its day."""
    late_s = np.mod(np.rint(hour * 3600.0) - _PLAN_S, _DAY_S)
    return np.asarray(np.clip(late_s, 1, last_s), np.int64)


@njit(cache=True, nogil=True)
def _fill_design(spec: Any, cop: Any, flow: Any) -> None:
    for i in range(spec.shape[0]):
        flow[i] = heat_pump.flow_c(spec[i], DESIGN_C)
        cop[i] = heat_pump.lift_cop(spec[i], DESIGN_C, flow[i])


def _design(spec: np.ndarray[Any, Any]) -> tuple[F64, F64]:
    """COP and flow temperature [C] on the day for which systems are sized."""
    cop, flow = np.empty(len(spec)), np.empty(len(spec))
    _fill_design(spec, cop, flow)
    return cop, flow
