"""Laws, twins and stories of one heat pump in its house.

The driver below lives one row through its own events and the orders that reach it, as the engines do: own
events before orders at a tie.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from devices import heat_pump
from devices.heat_pump import (
    CALLS_SPACE,
    CYLINDER,
    DIARY,
    FORCED,
    GROUND,
    HALF_HOUR_MS,
    HELD,
    HYBRID,
    LEGIONELLA_C,
    MIN_OFF_MS,
    MIN_ON_MS,
    NEVER_MS,
    SPACE,
    SPEC,
    STATE,
    SUSPENDED,
    TELLS_WARMTH,
    WATER,
    EventKind,
    Today,
)
from devices.scalar import uncompiled
from devices.standing_order import NO_LIMIT_W

START_MS = 1_705_379_400_000  # 2024-01-16 04:30 UTC, a planning moment in winter
HOUR_MS = 3_600_000
KWH_MJ = 3_600_000_000
PLAIN = uncompiled(heat_pump)


def one(dtype: np.dtype[Any], **fields: Any) -> Any:
    row = np.zeros(1, dtype).view(np.recarray)[0]
    for name, value in fields.items():
        setattr(row, name, value)
    return row


def make_spec(**fields: Any) -> Any:
    """A semi-detached house of 170 W/K with a machine of 2,400 W and a cylinder of 200 L."""
    default = {
        "wh_per_mj": 1 / 3_600_000, "read_every_ms": 60_000, "traits": CYLINDER | TELLS_WARMTH,
        "response_s": 120, "hold_cap_s": 7200, "max_w": 2400, "floor_w": 720,
        "air_j_per_k": 5.0e6, "fabric_j_per_k": 2.0e7, "between_w_per_k": 680.0,
        "air_loss_w_per_k": 60.0, "fabric_loss_w_per_k": 132.0, "gain_w": 400.0, "window_m2": 3.0,
        "emitter_w_per_k": 220.0, "flow_at_0_c": 40.0, "flow_per_c": 1.0, "ground_c": 5.0,
        "defrost_share": 0.05, "bivalent_c": 2.0, "comfort_c": 20.0, "setback_c": 17.0,
        "comfort_floor_c": 18.0, "water_goal_c": 50.0, "water_j_per_k": 837_000.0,
        "water_loss_w_per_k": 1.8,
    }  # fmt: skip
    return one(SPEC, **{**default, **fields})


def make_state(at_ms: int = START_MS, **fields: Any) -> Any:
    default = {
        "at_ms": at_ms, "anchor_ms": at_ms, "limit_w": NO_LIMIT_W, "air_c": 19.0, "fabric_c": 18.0,
        "water_c": 47.0, "cop": 1.0,
    }  # fmt: skip
    return one(STATE, **{**default, **fields})


def make_diary(**fields: Any) -> Any:
    """Warm 06:30-09:00 and 16:30-22:30, a bath at 07:00 and one at 18:00."""
    default = {
        "warm_s": [7200, 16_200, 43_200, 64_800], "draw_s": [9000, 48_600, 0, 0, 0, 0, 0, 0],
        "draw_wh": [2000, 2000, 0, 0, 0, 0, 0, 0], "water_s": [0, 200_000, 0, 0], "legionella_s": -1,
        "heats": 1,
    }  # fmt: skip
    return one(DIARY, **{**default, **fields})


def make_today(outdoor_c: Any = 3.0, sun: Any = 0.0, first_ms: int = START_MS, count: int = 48) -> Today:
    columns = (np.broadcast_to(np.asarray(c, float), (1, count)).copy() for c in (outdoor_c, sun))
    return Today(first_ms, *columns, np.ones(count))


class Home:
    """One row that lives by its own events and by orders (arrival, limit_w, from, until, sequence)."""

    def __init__(self, physics: Any = heat_pump, *, spec: Any = None, state: Any = None, diary: Any = None,
                 today: Today | None = None) -> None:  # fmt: skip
        self.physics = physics
        self.p = make_spec() if spec is None else spec
        self.s = make_state() if state is None else state
        self.d = make_diary() if diary is None else diary
        self.today = make_today() if today is None else today
        self.told: list[tuple[Any, ...]] = []
        self.outcomes: list[int] = []
        self.stretches: list[dict[str, Any]] = []
        self.lived = 0
        self.next_ms = int(self.s.at_ms) if self.d.heats else self._next()

    def _next(self) -> int:
        next_ms = self.physics.next_event_ms(self.s, self.p, self.d, self.today)
        assert next_ms > self.s.at_ms, "no progress"
        return int(next_ms)

    def live(self, until_ms: int, orders: Any = (), cuts: Any = ()) -> Home:
        """Live to `until_ms`; at each of `cuts` the stretch is split: time passes, nothing happens."""
        waiting, splits = sorted(orders), sorted(cut for cut in cuts if cut < until_ms)
        while True:
            arrival_ms = waiting[0][0] if waiting else NEVER_MS
            split_ms = splits[0] if splits else NEVER_MS
            now_ms = min(self.next_ms, arrival_ms, split_ms, until_ms)
            if now_ms >= until_ms:
                break
            if split_ms < min(self.next_ms, arrival_ms):
                self.physics.integrate(self.s, self.p, self.d, self.today, splits.pop(0))
                self.next_ms = self._next()
                continue
            if split_ms == now_ms:
                splits.pop(0)
            self._note(now_ms)
            self.lived += 1
            assert self.lived < 5000, "events without end"
            if self.next_ms <= arrival_ms:
                bits, shortfall = self.physics.happen(self.s, self.p, self.d, self.today, now_ms)
                assert shortfall == -1
                self.told.append((now_ms - START_MS, int(bits), int(self.s.import_w), float(self.s.air_c)))
            else:
                _, *order = waiting.pop(0)
                outcome = self.physics.obey(self.s, self.p, self.d, self.today, now_ms, *order, True)
                self.outcomes.append(int(outcome))
                self.told.append((now_ms - START_MS, -1 - int(outcome), int(self.s.import_w), -1.0))
            self.next_ms = self._next()
        self._note(until_ms)
        self.physics.integrate(self.s, self.p, self.d, self.today, until_ms)
        return self

    def _note(self, now_ms: int) -> None:
        """Write down the stretch that ends now."""
        names = ("import_w", "cop", "mode", "boiler_w", "store_w", "marks", "air_c", "fabric_c", "water_c")
        names += ("held_from_c",)
        now = {name: getattr(self.s, name).item() for name in names}
        self.stretches.append({**now, "from_ms": int(self.s.at_ms), "until_ms": now_ms})

    def kinds(self) -> list[tuple[int, str]]:
        """Minutes since 04:30 and name of what was told, power changes and orders left out."""
        return [
            (told[0] // 60_000, EventKind(k).name)
            for told in self.told
            if told[1] > 0
            for k in range(64)
            if told[1] >> k & 1
        ]


@st.composite
def lives(draw: Any) -> dict[str, Any]:
    """Any house, machine, weather and day, and orders late, doubled, too long, out of order."""
    f = lambda low, high: draw(st.floats(low, high, allow_nan=False))  # noqa: E731
    i = lambda low, high: draw(st.integers(low, high))  # noqa: E731
    loss, comfort = f(40, 600), f(16, 24)
    max_w = i(500, 6000)
    hybrid = draw(st.booleans())
    traits = draw(st.sampled_from([0, GROUND])) | (HYBRID if hybrid else CYLINDER) | TELLS_WARMTH
    spec = {
        "traits": traits, "max_w": max_w, "floor_w": max_w * i(10, 60) // 100,
        "air_j_per_k": loss * 4.35 * 3600 * f(0.5, 4), "fabric_j_per_k": loss * 3600 * f(10, 80),
        "between_w_per_k": loss * f(1.5, 8), "air_loss_w_per_k": loss * f(0.1, 0.6),
        "fabric_loss_w_per_k": loss * f(0.3, 1), "gain_w": f(0, 1000), "emitter_w_per_k": loss * f(0.5, 2),
        "comfort_c": comfort, "setback_c": comfort - f(0, 6), "comfort_floor_c": comfort - f(0.6, 4),
        "response_s": i(0, 300), "hold_cap_s": i(600, 21_600), "bivalent_c": f(-5, 8),
        "buffer_mj": draw(st.sampled_from([0, 0 if hybrid else 5 * KWH_MJ])),
        "water_j_per_k": f(4e5, 1.3e6),
    }  # fmt: skip
    state = {"air_c": comfort + f(-4, 2), "fabric_c": comfort + f(-6, 1), "water_c": f(25, 55)}
    draws = sorted(i(1, 86_399) for _ in range(8))
    warm = sorted(i(0, 90_000) for _ in range(4))
    diary = {
        "warm_s": warm, "draw_s": draws, "draw_wh": [i(0, 3000) for _ in range(8)],
        "water_s": sorted(i(0, 90_000) for _ in range(4)), "legionella_s": i(-1, 86_000),
        "heats": draw(st.sampled_from([1, 1, 1, 0])),
    }  # fmt: skip
    outdoor_c = np.array([f(-12, 18)] * 48) + np.array([f(-6, 6), *[0.0] * 47]).cumsum()
    outdoor_c += 4 * np.sin(np.arange(48) / f(2, 12))
    orders = []
    for _ in range(i(0, 8)):
        arrival_ms = START_MS + i(0, 24 * HOUR_MS - 1)
        from_ms = arrival_ms + draw(st.sampled_from([-60_000, 0, 1, 300_500, HOUR_MS]))
        limit_w = draw(st.sampled_from([NO_LIMIT_W, 0, 0, 0, max_w // 3, max_w, 9000]))
        orders.append((arrival_ms, limit_w, from_ms, from_ms + i(-1000, 8 * HOUR_MS), i(1, 20)))
    cuts = [START_MS + i(1, 24 * HOUR_MS - 1) for _ in range(i(0, 6))]
    return {
        "spec": spec,
        "state": state,
        "diary": diary,
        "outdoor_c": outdoor_c,
        "orders": orders,
        "cuts": cuts,
    }


def home_of(life: dict[str, Any], physics: Any = heat_pump) -> Home:
    return Home(
        physics,
        spec=make_spec(**life["spec"]),
        state=make_state(**life["state"]),
        diary=make_diary(**life["diary"]),
        today=make_today(life["outdoor_c"], 100.0),
    )


END_MS = START_MS + 24 * HOUR_MS


# ------------------------------------------------------------------------------------------------------ twins


@settings(max_examples=40, deadline=None)
@given(lives())
def test_compiled_and_plain_physics_tell_the_same_story_to_the_last_bit(life: dict[str, Any]) -> None:
    fast, slow = (home_of(life, physics).live(END_MS, life["orders"]) for physics in (heat_pump, PLAIN))
    assert fast.told == slow.told
    assert fast.outcomes == slow.outcomes
    assert fast.s.tobytes() == slow.s.tobytes()
    later_ms = END_MS + 1234
    assert fast.physics.told_pct(fast.s, fast.p, later_ms) == slow.physics.told_pct(slow.s, slow.p, later_ms)
    assert fast.physics.status(fast.s, fast.p) == slow.physics.status(slow.s, slow.p)


@settings(max_examples=60, deadline=None)
@given(lives())
def test_splitting_a_stretch_anywhere_changes_nothing(life: dict[str, Any]) -> None:
    whole = home_of(life).live(END_MS, life["orders"])
    pieces = home_of(life).live(END_MS, life["orders"], life["cuts"])
    assert whole.told == pieces.told
    assert whole.s.tobytes() == pieces.s.tobytes()


# ------------------------------------------------------------------------------------------------------- laws


def exact_step(
    p: Any, temps: np.ndarray, outdoor_c: float, to_air_w: float, to_fabric_w: float, s: float
) -> Any:
    """Air, fabric, heat lost [J] after `s` seconds, by the exponential of the augmented matrix (SciPy)."""
    k, la, lf = p.between_w_per_k, p.air_loss_w_per_k, p.fabric_loss_w_per_k
    ca, cf = p.air_j_per_k, p.fabric_j_per_k
    matrix = np.zeros((4, 4))  # air, fabric, lost, one
    matrix[0] = [-(k + la) / ca, k / ca, 0, (la * outdoor_c + to_air_w) / ca]
    matrix[1] = [k / cf, -(k + lf) / cf, 0, (lf * outdoor_c + to_fabric_w) / cf]
    matrix[2] = [la, lf, 0, -(la + lf) * outdoor_c]
    air, fabric, lost, _ = expm(matrix * s) @ np.array([*temps, 0.0, 1.0])
    return np.array([air, fabric]), lost


@settings(max_examples=30, deadline=None)
@given(lives())
def test_heat_delivered_is_stored_or_lost(life: dict[str, Any]) -> None:
    home = home_of(life)
    p, d, today = home.p, home.d, home.today
    temps, water_c = np.array([home.s.air_c, home.s.fabric_c]), float(home.s.water_c)
    capacity, began = np.array([p.air_j_per_k, p.fabric_j_per_k]), temps.copy()
    home.live(END_MS, life["orders"])
    given_j = lost_j = 0.0
    draws = {START_MS + int(at) * 1000: 0 for at in d.draw_s}
    for at, wh in zip(d.draw_s, d.draw_wh, strict=True):
        draws[START_MS + int(at) * 1000] += int(wh)
    for stretch in home.stretches:
        from_ms = stretch["from_ms"]
        while from_ms < stretch["until_ms"]:
            until_ms = min((from_ms // HALF_HOUR_MS + 1) * HALF_HOUR_MS, stretch["until_ms"])
            half_hour, seconds = (from_ms - START_MS) // HALF_HOUR_MS, (until_ms - from_ms) / 1000
            made_w = stretch["import_w"] * stretch["cop"]
            room_w = stretch["boiler_w"] - stretch["store_w"] + (made_w if stretch["mode"] == SPACE else 0.0)
            sun_w = 100.0 * float(p.window_m2)
            to_air_w, to_fabric_w = 0.7 * room_w + float(p.gain_w) + 0.5 * sun_w, 0.3 * room_w + 0.5 * sun_w
            outdoor_c = today.outdoor_c[0, half_hour]
            temps, lost = exact_step(p, temps, outdoor_c, to_air_w, to_fabric_w, seconds)
            given_j, lost_j = given_j + (to_air_w + to_fabric_w) * seconds, lost_j + lost
            water_end_c = 18.0 + (made_w if stretch["mode"] == WATER else 0.0) / p.water_loss_w_per_k
            fades = np.exp(-p.water_loss_w_per_k / p.water_j_per_k * seconds)
            water_c = water_end_c + (water_c - water_end_c) * fades
            from_ms = until_ms
            if from_ms in draws and from_ms == stretch["until_ms"]:
                there_j = max(0.0, water_c - 10.0) * p.water_j_per_k
                water_c -= min(draws.pop(from_ms) * 3600.0, there_j) / p.water_j_per_k
    ended = np.array([home.s.air_c, home.s.fabric_c])
    assert ended == pytest.approx(temps, abs=1e-8)
    assert capacity @ (ended - began) == pytest.approx(given_j - lost_j, abs=1.0)  # 1 J = 1 W s
    if p.traits & CYLINDER:
        assert abs(home.s.water_c - water_c) * p.water_j_per_k < 1.0


@settings(max_examples=150, deadline=None)
@given(lives())
def test_no_orders_break_a_bound(life: dict[str, Any]) -> None:
    home = home_of(life).live(END_MS, life["orders"])
    p, buffer_mj, register_mj = home.p, 0, 0
    for stretch in home.stretches:
        lived_ms = stretch["until_ms"] - stretch["from_ms"]
        assert stretch["import_w"] == 0 or p.floor_w <= stretch["import_w"] <= p.max_w
        held = stretch["marks"] & HELD
        floor_c = min(p.comfort_floor_c, stretch["held_from_c"] - heat_pump.MAY_COOL_K)
        assert not (held and home.d.heats and lived_ms and stretch["air_c"] <= floor_c)
        assert not (held and stretch["marks"] & SUSPENDED)
        assert stretch["boiler_w"] == 0 or p.traits & HYBRID
        buffer_mj += stretch["store_w"] * lived_ms
        register_mj += stretch["import_w"] * lived_ms
        assert 0 <= buffer_mj <= p.buffer_mj + 60_000  # a millisecond at 60 kW
        protection_k = p.floor_w * 7.0 * MIN_ON_MS / 1000 / p.water_j_per_k
        assert stretch["water_c"] <= max(LEGIONELLA_C, life["state"]["water_c"]) + protection_k
        assert stretch["water_c"] >= 10.0 - 1e-9
    assert (buffer_mj, register_mj) == (home.s.buffer_mj, home.s.register_mj)
    assert home.lived < 400


@settings(max_examples=80, deadline=None)
@given(lives())
def test_a_compressor_that_starts_runs_and_one_that_stops_rests(life: dict[str, Any]) -> None:
    home = home_of(life).live(END_MS, life["orders"])
    changes = [(0, 0)]
    for at_ms, bits, import_w, _ in home.told:
        if (import_w > 0) != (changes[-1][1] > 0):
            changes.append((at_ms, import_w))
        del bits
    for (before_ms, was_w), (at_ms, _) in pairwise(changes[1:]):
        assert at_ms - before_ms >= (MIN_ON_MS if was_w else MIN_OFF_MS)


@settings(max_examples=80, deadline=None)
@given(lives())
def test_under_a_limit_only_the_compressors_own_protection_draws_more(life: dict[str, Any]) -> None:
    home = home_of(life)
    real, seen = home._note, []

    def note(now_ms: int) -> None:
        if home.s.limit_w != NO_LIMIT_W and now_ms > home.s.at_ms:
            seen.append((int(home.s.import_w), int(home.s.limit_w), int(home.s.marks) & FORCED))
        real(now_ms)

    home._note = note
    home.live(END_MS, life["orders"])
    assert all(import_w <= limit_w or forced for import_w, limit_w, forced in seen)


@settings(max_examples=40, deadline=None)
@given(lives(), st.integers(1, 24 * HOUR_MS - 1))
def test_the_thermometer_told_between_events_is_that_of_the_house(
    life: dict[str, Any], ahead_ms: int
) -> None:
    life["diary"]["heats"] = 1
    home = home_of(life).live(START_MS + ahead_ms, [])
    told = heat_pump.told_pct(home.s, home.p, int(home.s.at_ms))
    heat_pump.move_anchor(home.s, home.p, home.today, int(home.s.at_ms))
    span_c = home.p.comfort_c - home.p.comfort_floor_c
    true = 100 * (home.s.air_c - home.p.comfort_floor_c) / span_c
    assert abs(told - min(max(true, 0), 100)) <= 2 + 20 / span_c  # 0.2 K: a straight line over half an hour


# ---------------------------------------------------------------------------------------------- known answers


def test_the_coefficients_of_performance_are_those_of_when2heat() -> None:
    """By hand: 0.85 (6.08 - 0.0941 x 45 + 0.000464 x 45^2) = 2.36734 from air of 10 C to water of 55 C."""
    air, ground = make_spec(), make_spec(traits=GROUND)
    assert heat_pump.lift_cop(air, 10.0, 55.0) == pytest.approx(2.36734, abs=1e-5)
    assert heat_pump.lift_cop(ground, -10.0, 35.0) == pytest.approx(0.85 * 5.2278, abs=1e-5)  # 5 C to 35 C
    assert heat_pump.lift_cop(air, 20.0, 25.0) == pytest.approx(0.85 * 4.7729, abs=1e-5)  # as at 15 K


def test_frost_takes_its_share_around_one_degree_and_none_seven_away() -> None:
    frosty, dry = make_spec(defrost_share=0.08), make_spec(defrost_share=0.0)
    for outdoor_c, left in ((1.0, 0.92), (4.5, 0.96), (8.0, 1.0), (-6.0, 1.0)):
        ratio = heat_pump.lift_cop(frosty, outdoor_c, 45.0) / heat_pump.lift_cop(dry, outdoor_c, 45.0)
        assert ratio == pytest.approx(left, abs=1e-6)


def test_radiators_are_fed_at_40_less_the_outdoor_temperature() -> None:
    assert heat_pump.flow_c(make_spec(), -3.0) == 43.0
    assert heat_pump.flow_c(make_spec(flow_at_0_c=30.0, flow_per_c=0.5), -4.0) == 32.0


# ---------------------------------------------------------------------------------------------------- stories


def at(hour: float) -> int:
    """UTC ms of an hour of the day lived (04:30 to 28:30)."""
    return START_MS + round((hour - 4.5) * HOUR_MS)


def energy_wh(home: Home, from_hour: float, until_hour: float) -> float:
    """Import of a home between two hours of the day [Wh]."""
    total = 0
    for stretch in home.stretches:
        low, high = max(stretch["from_ms"], at(from_hour)), min(stretch["until_ms"], at(until_hour))
        total += stretch["import_w"] * max(0, high - low)
    return total / 3_600_000


NO_WATER = {"draw_wh": [0] * 8}
ALWAYS_WARM = {"warm_s": [0, 100_000, 0, 0], **NO_WATER}


def test_two_hours_off_in_the_evening_come_back_in_part_because_the_house_is_colder() -> None:
    spec = make_spec(comfort_floor_c=15.0)
    quiet = Home(spec=spec, diary=make_diary(**NO_WATER)).live(at(28))
    home = Home(spec=spec, diary=make_diary(**NO_WATER))
    home.live(at(28), [(at(17.5), 0, at(17.5), at(19.5), 1)])
    assert [k for k in home.kinds() if k[1] != "ORDER"] == [(782, "HELD_BACK"), (900, "LIMIT_ENDED")]
    assert energy_wh(home, 17.6, 19.5) == 0
    avoided_wh = energy_wh(quiet, 17.5, 19.5) - energy_wh(home, 17.5, 19.5)
    back_wh = energy_wh(home, 19.5, 22.5) - energy_wh(quiet, 19.5, 22.5)
    assert avoided_wh > 1500
    assert 0.1 * avoided_wh < back_wh < 0.8 * avoided_wh


def test_it_acts_two_minutes_after_an_order_that_is_late_and_on_time_where_it_was_told_before() -> None:
    late, early = (Home().live(at(19), [(at(arrives), 0, at(17.5), at(18.5), 1)]) for arrives in (17.6, 17.0))
    assert [k for k in late.kinds() if k[1] == "HELD_BACK"] == [(13 * 60 + 6 + 2, "HELD_BACK")]
    assert [k for k in early.kinds() if k[1] == "HELD_BACK"] == [(13 * 60, "HELD_BACK")]


def test_below_its_comfort_floor_a_home_leaves_the_event_and_refuses_others_until_it_is_warm() -> None:
    home = Home(
        spec=make_spec(comfort_floor_c=19.0, hold_cap_s=20_000),
        today=make_today(0.0),
        diary=make_diary(**ALWAYS_WARM),
    )
    held = (at(18.5), 0, at(18.5), at(22), 1)
    home.live(at(19.9), [held])
    assert home.s.marks & SUSPENDED
    assert heat_pump.status(home.s, home.p) == 5
    assert home.s.limit_w == NO_LIMIT_W
    assert home.s.import_w > 0
    left_ms = next(told[0] for told in home.told if told[1] > 0 and told[1] >> EventKind.OVERRIDDEN & 1)
    assert at(18.6) < START_MS + left_ms < at(19.9)
    home.live(at(28), [(at(19.95), 0, at(20), at(21), 2), (at(27), 0, at(27), at(27.5), 3)])
    assert home.outcomes == [0, 4, 0]
    assert "WARM_AGAIN" in [name for _, name in home.kinds()]


def test_a_room_on_its_way_up_from_a_set_back_stays_in_the_event_till_it_cools_by_1_5_k() -> None:
    spec = make_spec(comfort_floor_c=19.0, setback_c=14.0, hold_cap_s=20_000)
    home = Home(
        spec=spec, today=make_today(0.0), diary=make_diary(warm_s=[42_000, 100_000, 0, 0], **NO_WATER)
    )
    home.live(at(16.5))
    began_c = home.s.air_c
    assert 14.0 < began_c < 19.0
    home.live(at(22), [(at(16.5), 0, at(16.5), at(21), 1)])
    held = [stretch["air_c"] for stretch in home.stretches if stretch["marks"] & HELD]
    assert "OVERRIDDEN" in [name for _, name in home.kinds()]
    assert min(held) < began_c - 1.0
    assert min(held) > home.s.held_from_c - heat_pump.MAY_COOL_K


def test_orders_sent_again_and_again_do_not_hold_a_home_longer_than_two_hours() -> None:
    orders = [(at(16.6 + k / 4), 0, at(16.6 + k / 4), at(17.6 + k / 4), k + 1) for k in range(20)]
    home = Home(spec=make_spec(comfort_floor_c=10.0)).live(at(22.4), orders)
    off = [told[0] for told in home.told if told[1] > 0 and told[1] >> EventKind.OVERRIDDEN & 1]
    held_from = [told[0] for told in home.told if told[1] > 0 and told[1] >> EventKind.HELD_BACK & 1]
    assert off[0] - held_from[0] == 2 * HOUR_MS
    assert 4 in home.outcomes


def test_a_buffer_tank_carries_a_house_through_four_hours_that_is_suspended_without() -> None:
    order = (at(18), 0, at(18), at(22), 1)
    common = {"comfort_floor_c": 18.5, "hold_cap_s": 21_600}
    bare = Home(spec=make_spec(**common), diary=make_diary(**ALWAYS_WARM)).live(at(22), [order])
    full = make_state(buffer_mj=12 * KWH_MJ)
    stored = Home(
        spec=make_spec(**common, buffer_mj=12 * KWH_MJ), state=full, diary=make_diary(**ALWAYS_WARM)
    )
    stored.live(at(22), [order])
    assert "OVERRIDDEN" in [name for _, name in bare.kinds()]
    assert "OVERRIDDEN" not in [name for _, name in stored.kinds()]
    assert energy_wh(stored, 18.1, 22) == 0
    assert stored.s.buffer_mj < 8 * KWH_MJ


def test_a_hybrid_told_to_stop_stays_warm_by_its_boiler() -> None:
    home = Home(spec=make_spec(traits=HYBRID, bivalent_c=-5.0)).live(at(17.9))
    assert home.s.import_w > 0
    home.live(at(20), [(at(18), 0, at(18), at(20), 1)])
    assert home.s.import_w == 0
    assert home.s.boiler_w > 0
    assert home.s.air_c > 19.0


def test_below_its_bivalent_temperature_a_hybrid_leaves_the_work_to_its_boiler() -> None:
    home = Home(spec=make_spec(traits=HYBRID, bivalent_c=5.0), today=make_today(3.0)).live(at(28))
    assert home.s.register_mj == 0
    assert any(stretch["boiler_w"] > 0 for stretch in home.stretches)


def test_told_to_draw_all_it_can_a_home_heats_a_degree_further_and_its_cylinder_too() -> None:
    quiet = Home().live(at(16))
    home = Home().live(at(16), [(at(13), 2400, at(13), at(15), 1)])
    assert energy_wh(home, 13, 15) > energy_wh(quiet, 13, 15) + 1500
    assert home.s.air_c > quiet.s.air_c
    assert max(stretch["air_c"] for stretch in home.stretches) <= 20.0 + 1.0 + 0.4 + 0.1


def test_once_a_week_the_cylinder_reaches_sixty_degrees() -> None:
    home = Home(diary=make_diary(legionella_s=8 * 3600)).live(at(16))
    assert max(stretch["water_c"] for stretch in home.stretches) == pytest.approx(60.0, abs=0.3)
    assert max(stretch["water_c"] for stretch in Home().live(at(16)).stretches) < 52.0


def test_a_bath_larger_than_the_cylinder_is_told() -> None:
    home = Home(diary=make_diary(draw_wh=[9000, 0, 0, 0, 0, 0, 0, 0])).live(at(9))
    assert "SHORT_OF_HOT_WATER" in [name for _, name in home.kinds()]
    assert min(stretch["water_c"] for stretch in home.stretches) >= 10.0


def test_old_and_expired_orders_are_refused() -> None:
    orders = [
        (at(10), 0, at(10), at(11), 5),
        (at(10.1), 0, at(10.1), at(11), 5),
        (at(10.2), 0, at(10), at(10.2) + 119_000, 6),  # over before it could act
    ]
    assert Home().live(at(12), orders).outcomes == [0, 1, 2]


def test_a_winter_day_takes_at_most_a_hundred_events() -> None:
    assert Home().live(at(28.5)).lived < 100


def test_in_summer_only_hot_water_makes_events() -> None:
    home = Home(today=make_today(20.0), diary=make_diary(heats=0)).live(at(28.5))
    assert home.lived < 20
    assert home.s.register_mj > 0
    assert not any(stretch["marks"] & CALLS_SPACE for stretch in home.stretches)
