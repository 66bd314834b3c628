"""The panel heaters of one home: laws of heat and orders, twins, and stories with figures worked out by hand.

The house of the stories: 100 W/K and 2,500 Wh/K, a time constant of 25 h; 470 W of gains and 4 kW of heaters;
20 C wanted 07:00-09:00 and 17:00-22:00, 16 C otherwise.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_heater import DAY_MS, HOUR_MS, PLAN_MS, WH, Heater, at, blank

from devices import resistive_heater
from devices.resistive_heater import NEVER_MS, EventKind
from devices.scalar import uncompiled
from protocol.messages import NO_LIMIT_W, AckOutcome, AssetStatus

HALF_HOUR_MS = 1_800_000
PLAIN = uncompiled(resistive_heater)


def sky(outdoor_c):
    """One region whose weather is given by half-hour, or one temperature all day."""
    return resistive_heater.Today(PLAN_MS, np.broadcast_to(np.asarray(outdoor_c, float), (1, 48)).copy())


TELLS = [EventKind(kind) for kind in (5, 6, 7)]


class House(Heater):
    def __init__(self, physics=resistive_heater, *, room_c=17.0, outdoor_c=5.0, **fields):
        s, p, d = blank(physics)
        p["loss_w_per_k"], p["mj_per_k"], p["gains_w"], p["rating_w"] = 100.0, 2_500 * WH, 470.0, 4_000
        p["warm_c"], p["setback_c"], p["floor_c"], p["ceiling_k"] = 20.0, 16.0, 18.0, 1.5
        p["traits"] = resistive_heater.SMART
        d["warm_from_ms"], d["warm_until_ms"] = [[at("07:00"), at("17:00")]], [[at("09:00"), at("22:00")]]
        d["look_ms"], d["heats"] = NEVER_MS, 1
        s["at_ms"], s["limit_w"], s["room_c"] = PLAN_MS, NO_LIMIT_W, room_c
        super().__init__(physics, (s, p, d), fields, today=sky(outdoor_c), tells=TELLS)
        self.start_c = room_c

    def power_at(self, clock):
        self.live(at(clock) + 1)
        return int(self.s.import_w)

    def balance_mj(self):
        """Energy in, less what is stored and lost."""
        s, p = self.s, self.p
        stored_mj = float(p.mj_per_k) * (float(s.room_c) - self.start_c)
        return int(s.register_mj) + float(s.gains_mj) - stored_mj - float(s.lost_mj)


ORDERS = st.lists(
    st.tuples(
        st.integers(0, DAY_MS - 1),
        st.sampled_from([NO_LIMIT_W, 0, 0, 800, 4_000, 9_000, -3_000]),
        st.integers(-HOUR_MS, 3 * HOUR_MS),
        st.integers(1, 5 * HOUR_MS),
    ),
    max_size=8,
)
HOUSES = st.fixed_dictionaries({
    "room_c": st.floats(10.0, 20.0),
    "outdoor_c": st.lists(st.integers(-60, 150), min_size=48, max_size=48).map(lambda c: [x / 10 for x in c]),
    "traits": st.sampled_from([resistive_heater.SMART, resistive_heater.SMART, 0]),
    "response_s": st.sampled_from([0, 120]),
    "heats": st.sampled_from([1, 1, 1, 0]),
    "look_ms": st.sampled_from([NEVER_MS, at("18:10")]),
    "warm_from_ms": st.tuples(
        st.integers(at("05:00"), at("08:00")), st.integers(at("12:00"), at("19:00"))
    ).map(lambda edges: [edges]),
})  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(HOUSES, ORDERS)
def test_whatever_is_ordered_energy_in_is_stored_or_lost(kind, orders):
    assert abs(House(**kind).live_under(orders).balance_mj()) < 1_000  # 1 W s


@settings(max_examples=50, deadline=None)
@given(HOUSES, ORDERS)
def test_no_order_overheats_a_home_or_breaks_the_limit_that_it_takes_or_its_floor(kind, orders):
    house = House(**kind)
    for sequence, (wait_ms, limit_w, early_ms, hold_ms) in enumerate(sorted(orders), 1):
        now_ms = PLAN_MS + 1 + wait_ms
        until_ms = now_ms + early_ms + hold_ms
        house.order(now_ms, limit_w, until_ms, from_ms=now_ms + early_ms, sequence=sequence)
        s = house.s
        assert s.room_c <= 21.5 + 1e-9
        assert 0 <= s.import_w <= 4_000
        if s.limit_w != NO_LIMIT_W and resistive_heater.status(s, house.p) != AssetStatus.OVERRIDDEN:
            assert s.import_w <= s.limit_w
        if s.marks & resistive_heater.HELD:
            assert s.room_c > resistive_heater.floor_c(house.p, house.d, now_ms)
    house.live(PLAN_MS + DAY_MS)
    assert house.lived < 100


@settings(max_examples=20, deadline=None)
@given(HOUSES, ORDERS)
def test_the_plain_source_lives_the_same_day_bit_for_bit(kind, orders):
    fast, plain = House(**kind).live_under(orders), House(PLAIN, **kind).live_under(orders)
    assert fast.trace == plain.trace
    assert fast.told == plain.told


@settings(max_examples=40, deadline=None)
@given(HOUSES, st.integers(1, DAY_MS - 1))
def test_a_stretch_split_anywhere_gives_the_same(kind, split_ms):
    whole, split = House(**kind), House(**kind)
    split.live_through(PLAN_MS + split_ms)
    for house in (whole, split):
        house.live_through(PLAN_MS + DAY_MS)
    # powers are whole watts: when the exponential is rounded again one may move by 1 W for half an hour
    assert int(whole.s.register_mj) == pytest.approx(int(split.s.register_mj), abs=2 * HALF_HOUR_MS)
    for name in ("gains_mj", "lost_mj"):
        assert float(whole.s[name]) == pytest.approx(float(split.s[name]), abs=2 * HALF_HOUR_MS)
    assert float(whole.s.room_c) == pytest.approx(float(split.s.room_c), abs=1e-3)


@pytest.mark.parametrize("physics", [resistive_heater, PLAIN], ids=["fast", "reference"])
def test_a_warm_house_takes_what_it_loses(physics):
    """Held at 20 C with 5 C outdoors: 100 W/K x 15 K - 470 W = 1,030 W."""
    house = House(physics, room_c=20.0)
    assert house.power_at("18:30") == 4_000  # still heating up from the afternoon
    assert house.power_at("21:30") == pytest.approx(1_030, abs=1)  # whole watts, rounded down


def test_a_cooling_house_follows_the_exponential_law():
    house = House(heats=0, room_c=20.0)
    house.live_through(at("14:30"))
    assert house.s.room_c == pytest.approx(9.7 + 10.3 * math.exp(-10 / 25), rel=1e-12)
    assert house.s.import_w == 0
    assert house.lived <= 2


def test_a_house_heats_up_at_full_power_and_arrives_without_overshoot():
    """From 19 C at 4 kW towards 5 + 44.7 = 49.7 C: 20 C would take 25 h x ln(30.7 / 29.7) = 49 min 40 s."""
    house = House(room_c=19.0, warm_from_ms=[[PLAN_MS + 1, at("17:00")]])
    house.live(at("05:00"))
    assert house.told[0] == ("04:30:00", 4_000)
    house.live(at("05:00") + 1)
    power_w = int(house.s.import_w)
    assert 1_030 < power_w < 4_000  # the last part is done in half an hour at less
    house.live_through(at("05:30"))
    assert house.s.room_c == pytest.approx(20.0, abs=1e-3)


def test_a_home_held_off_cools_then_takes_over_at_its_floor():
    house = House(room_c=20.0, warm_from_ms=[[PLAN_MS + 1, at("17:00")]], response_s=120)
    assert house.order(at("05:00"), 0, at("09:00")) == AckOutcome.APPLIED
    house.live(at("05:10"))
    assert ("05:02:00", 0) in house.told
    assert resistive_heater.status(house.s, house.p) == AssetStatus.LIMITED
    house.live(at("08:00"))
    # towards 9.7 C: 20 -> 18 C would take 25 h x ln(10.3 / 8.3) = 5 h 24 min, but no hold is longer than 2 h
    assert ("07:02:00", "LIMIT_ENDED") in house.told
    cold = House(room_c=18.1, warm_from_ms=[[PLAN_MS + 1, at("17:00")]])
    cold.order(PLAN_MS + 2, 0, at("06:30"))
    cold.live(at("05:30"))
    # 25 h x ln(8.4 / 8.3) = 17 min 57.8 s
    assert ("04:47:57", "OVERRIDDEN") in cold.told
    assert cold.order(at("05:30"), 0, at("06:30"), sequence=2) == AckOutcome.OVERRIDDEN


def test_what_was_saved_is_partly_drawn_later():
    held, free = (House(room_c=20.0, warm_from_ms=[[PLAN_MS + 1, at("17:00")]]) for _ in range(2))
    held.order(at("05:30"), 0, at("06:30"))
    for house in (held, free):
        house.live_through(at("06:30"))
    saved_mj = int(free.s.register_mj) - int(held.s.register_mj)
    assert saved_mj / WH == pytest.approx(1_030, rel=0.01)
    for house in (held, free):
        house.live_through(at("08:30"))
    back_mj = saved_mj - (int(free.s.register_mj) - int(held.s.register_mj))
    assert 0.9 < back_mj / saved_mj < 1.0  # a house of one node takes back what it did not lose meanwhile


def test_a_turn_up_heats_a_kelvin_and_a_half_more():
    house = House(room_c=20.0, warm_from_ms=[[PLAN_MS + 1, at("17:00")]])
    house.order(at("05:00"), 4_000, at("07:00"))
    house.live_through(at("06:59"))
    assert house.s.room_c == pytest.approx(21.5, abs=1e-3)


def test_an_owner_who_looks_takes_over_from_an_order():
    house = House(room_c=18.7, warm_from_ms=[[PLAN_MS + 1, at("17:00")]], look_ms=at("05:45"))
    house.order(PLAN_MS + 2, 0, at("06:30"))
    house.live(at("06:00"))
    assert ("05:45:00", "OVERRIDDEN") in house.told


def test_a_plain_thermostat_obeys_nobody():
    house = House(traits=0)
    assert house.order(at("05:00"), 0, at("06:00")) == AckOutcome.UNPLUGGED
    assert house.s.limit_w == NO_LIMIT_W
    assert resistive_heater.told_pct(house.s, house.p, at("05:00")) == -1


def test_a_house_without_heating_follows_each_half_hour_of_the_weather():
    """Six hours at 0 C, then six at 10 C: the gains lift it towards 4.7 C, then towards 14.7 C."""
    house = House(heats=0, room_c=20.0, outdoor_c=[0.0] * 12 + [10.0] * 36)
    house.live_through(at("16:30"))
    at_noon_c = 4.7 + 15.3 * math.exp(-6 / 25)
    assert house.s.room_c == pytest.approx(14.7 + (at_noon_c - 14.7) * math.exp(-6 / 25), rel=1e-9)
