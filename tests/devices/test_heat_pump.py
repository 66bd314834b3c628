"""Laws, twins and stories of one heat pump in its house.

The driver below lives one row through its own events and the orders that reach it, as the engines do: own
events before orders at a tie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import heat_pump
from devices.heat_pump import (
    CALLS_SPACE,
    CYLINDER,
    DIARY,
    GROUND,
    HALF_HOUR_MS,
    HYBRID,
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
