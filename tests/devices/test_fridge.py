"""A fridge: its cycle, its plug, and food that no sequence of orders can warm."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import fridge
from devices.scalar import uncompiled
from devices.standing_order import NO_LIMIT_W

START_MS = 1_705_379_400_000  # 2024-01-16 04:30 UTC
MINUTE_MS, HOUR_MS, WH = 60_000, 3_600_000, 3_600_000
DAY_MS = 24 * HOUR_MS
PLAIN = uncompiled(fridge)
TODAY = fridge.Today(START_MS)
DIARY = np.zeros(1, fridge.DIARY).view(np.recarray)[0]
MS_ROUNDING_C = 1e-5  # a store moves less than this in a millisecond


def make(place=0.0, *, watts=190, on_min=22, off_min=44, cap_s=3600, room_c=20.0, traits=fridge.HAS_PLUG):
    """(state, spec) of a fridge at `place` of its cycle."""
    spec, state = np.zeros(1, fridge.SPEC), np.zeros(1, fridge.STATE)
    spec["compressor_w"], spec["traits"], spec["hold_cap_s"] = watts, traits, cap_s
    spec["room_c"], spec["warm_c"], spec["cold_c"] = room_c, 5.0, 3.0
    fridge.design(spec, np.float64(on_min * MINUTE_MS), np.float64(off_min * MINUTE_MS))
    fridge.begin(state, spec, START_MS, np.float64(place))
    return state.view(np.recarray)[0], spec.view(np.recarray)[0]


def live(kind, s, p, orders=(), cuts=(), until_ms=START_MS + DAY_MS):
    """One row by its own events and orders (ms, limit, from, until, sequence): what happened, in order."""
    told = []
    stops = sorted(
        [(order[0], 1, order) for order in orders] + [(cut, 0, None) for cut in cuts],
        key=lambda stop: stop[:2],
    )
    for stop_ms, _, order in [*stops, (until_ms, 2, None)]:
        while (next_ms := kind.next_event_ms(s, p, DIARY, TODAY)) <= stop_ms:
            assert next_ms > s.at_ms
            bits, _ = kind.happen(s, p, DIARY, TODAY, next_ms)
            told.append((next_ms - START_MS, bits, int(s.import_w), fridge.store_c(s, p, next_ms)))
        kind.integrate(s, p, DIARY, TODAY, stop_ms)
        if order is not None:
            outcome = kind.obey(s, p, DIARY, TODAY, *order, True)
            told.append((stop_ms - START_MS, outcome, int(s.import_w), fridge.store_c(s, p, stop_ms)))
    return told


def block(arrives, begins, ends, limit_w=0, sequence=1):
    """An order from minutes."""
    return (
        *(
            START_MS + arrives * MINUTE_MS,
            limit_w,
            START_MS + begins * MINUTE_MS,
            START_MS + ends * MINUTE_MS,
        ),
        sequence,
    )


def test_a_fridge_runs_22_minutes_and_rests_44_to_the_millisecond():
    # CREST: 22 min on, 44 min off, 190 W.
    s, p = make()
    told = live(fridge, s, p, until_ms=START_MS + 22 * HOUR_MS + 1000)
    times = [ms for ms, *_ in told]
    assert times[:3] == pytest.approx([44 * MINUTE_MS, 66 * MINUTE_MS, 110 * MINUTE_MS], abs=5)
    assert [w for _, _, w, _ in told[:3]] == [190, 0, 190]
    assert len(told) == 40
    assert s.register_mj / WH == pytest.approx(20 * 190 * 22 / 60, rel=1e-4)


def test_the_time_constant_is_the_one_worked_out_by_hand():
    # From 3 to 5 C in a room of 20 C in 44 min: 44 / ln(17/15) = 351.5 min; towards -28 C when it runs.
    _, p = make()
    assert p.tau_ms / MINUTE_MS == pytest.approx(351.5, abs=0.1)
    assert p.running_c == pytest.approx(-28.0, abs=0.1)
    assert p.hold_cap_s == 3600
    assert make(cap_s=10**6)[1].hold_cap_s == int(351.55 * 60 * math.log(15 / 12))


def test_the_plug_stops_the_compressor_at_once_and_the_fridge_makes_up_for_it():
    s, p = make(0.8)
    told = live(fridge, s, p, [block(5, 5, 35)])
    assert told[0][:3] == (5 * MINUTE_MS, 0, 0)
    ended = next(event for event in told if event[1] >> 6 & 1)
    assert ended[0] == 35 * MINUTE_MS
    assert ended[2] == 190
    calm, same = make(0.8)
    live(fridge, calm, same)
    assert 0.9 < s.register_mj / calm.register_mj < 1.0 + 1e-9 + 70 * WH / calm.register_mj


def test_a_plug_can_only_switch():
    s, p = make(0.8)
    assert live(fridge, s, p, [block(5, 5, 35, limit_w=189)], until_ms=START_MS + 6 * MINUTE_MS)[0][2] == 0
    s, p = make(0.8)
    assert live(fridge, s, p, [block(5, 5, 35, limit_w=190)], until_ms=START_MS + 6 * MINUTE_MS)[0][2] == 190


def test_the_plug_gives_back_for_the_foods_sake_and_then_rests_from_orders():
    s, p = make(0.0, cap_s=1800)
    told = live(
        fridge, s, p, [block(40, 40, 60), block(50, 50, 200, sequence=2), block(75, 75, 90, sequence=3)]
    )
    given_back = next(event for event in told if event[1] >> 7 & 1)
    assert given_back[0] == 70 * MINUTE_MS
    assert told[-1][3] < fridge.SAFE_C
    assert next(event for event in told if event[0] == 75 * MINUTE_MS)[1] == 4
    s, p = make(0.0, cap_s=1800)
    live(fridge, s, p, [block(40, 40, 80)], until_ms=START_MS + 72 * MINUTE_MS)
    assert fridge.status(s, p) in (2, 4)


def test_a_fridge_without_a_plug_cannot_be_reached():
    s, p = make(0.8, traits=0)
    assert live(fridge, s, p, [block(5, 5, 35)])[0][1:3] == (3, 190)


def test_what_it_says_that_it_is_doing():
    s, p = make(0.8)
    assert fridge.status(s, p) == 2
    live(fridge, s, p, [block(5, 5, 35)], until_ms=START_MS + 10 * MINUTE_MS)
    assert fridge.status(s, p) == 3
    assert fridge.status(*make(0.1)) == 4


@st.composite
def lives(draw):
    state, spec = make(
        draw(st.floats(0, 0.999)),
        watts=draw(st.integers(60, 250)),
        on_min=draw(st.integers(10, 40)),
        off_min=draw(st.integers(30, 90)),
        cap_s=draw(st.integers(300, 36_000)),
        room_c=draw(st.floats(14.0, 28.0)),
    )
    moment = st.integers(1, DAY_MS)
    orders = draw(
        st.lists(
            st.tuples(moment, st.sampled_from([NO_LIMIT_W, 0, 0, 9000]), moment, st.integers(0, 8 * HOUR_MS)),
            max_size=25,
        )
    )
    orders = [
        (START_MS + ms, limit, START_MS + begin, START_MS + begin + length, place + 1)
        for place, (ms, limit, begin, length) in enumerate(sorted(orders))
    ]
    cuts = [START_MS + ms for ms in draw(st.lists(moment, max_size=4))]
    return state.copy(), spec, orders, cuts


def copy_of(state):
    return np.array([state.item()], fridge.STATE).view(np.recarray)[0]


@settings(max_examples=80, deadline=None)
@given(lives())
def test_no_sequence_of_orders_warms_the_food_beyond_the_limit_or_freezes_it(life):
    state, p, orders, _ = life
    told = live(fridge, copy_of(state), p, orders)
    assert all(p.cold_c - MS_ROUNDING_C <= store <= fridge.SAFE_C + MS_ROUNDING_C for *_, store in told)
    assert all(watts in (0, p.compressor_w) for _, _, watts, _ in told)


@settings(max_examples=80, deadline=None)
@given(lives())
def test_the_energy_taken_is_the_heat_moved_and_the_heat_that_came_in(life):
    # C dT/dt = (room - T) / R - pumped: over any stretch the store's change is inflow less pumping.
    state, p, orders, _ = life
    s = copy_of(state)
    s.register_mj = 0
    first_c = fridge.store_c(s, p, START_MS)
    told = live(fridge, s, p, orders)
    moments = sorted({START_MS, *(START_MS + event[0] for event in told), START_MS + DAY_MS})
    s2, inflow_k, again = copy_of(state), 0.0, iter(sorted(orders, key=lambda order: order[0]))
    order, running_ms = next(again, None), 0
    for begin, end in pairwise(moments):
        end_c, first = fridge.end_c(s2, p), fridge.store_c(s2, p, begin)
        fade = math.exp(-(end - begin) / p.tau_ms)
        mean_gap = (end - begin) * (p.room_c - end_c) - (first - end_c) * p.tau_ms * (1 - fade)
        inflow_k += mean_gap / p.tau_ms
        running_ms += (end - begin) * (s2.import_w > 0)
        if fridge.next_event_ms(s2, p, DIARY, TODAY) <= end:
            fridge.happen(s2, p, DIARY, TODAY, end)
        fridge.integrate(s2, p, DIARY, TODAY, end)
        while order is not None and order[0] == end:
            fridge.obey(s2, p, DIARY, TODAY, *order, True)
            order = next(again, None)
    pumped_k = running_ms * (p.room_c - p.running_c) / p.tau_ms
    last_c = fridge.store_c(s, p, START_MS + DAY_MS)
    assert s.register_mj == running_ms * p.compressor_w
    assert last_c - first_c == pytest.approx(inflow_k - pumped_k, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(lives())
def test_both_engines_tell_the_same(life):
    state, p, orders, cuts = life
    fast, plain = copy_of(state), copy_of(state)
    one, other = live(fridge, fast, p, orders, cuts), live(PLAIN, plain, p, orders, cuts)
    assert [event[:3] for event in one] == [event[:3] for event in other]
    assert [event[3] for event in one] == pytest.approx([event[3] for event in other], abs=1e-9)
    assert fast.register_mj == plain.register_mj


@settings(max_examples=40, deadline=None)
@given(lives())
def test_a_stretch_may_be_split_anywhere(life):
    state, p, orders, cuts = life
    whole, split = copy_of(state), copy_of(state)
    assert live(fridge, whole, p, orders) == live(fridge, split, p, orders, cuts)
    assert whole.tobytes() == split.tobytes()
