"""An appliance: cycles conserved and never interrupted, starts moved by messages, two engines, one story."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import appliance
from devices.scalar import uncompiled
from devices.standing_order import NO_LIMIT_W

START_MS = 1_705_379_400_000  # 2024-01-16 04:30 UTC
MINUTE_MS, HOUR_MS, WH = 60_000, 3_600_000, 3_600_000
DAY_MS = 24 * HOUR_MS
PLAIN = uncompiled(appliance)
TODAY = appliance.make_today(START_MS)


def row(dtype, **fields):
    record = np.zeros(1, dtype).view(np.recarray)[0]
    for name, value in fields.items():
        record[name] = value
    return record


def make_spec(programme=appliance.WASHING_MACHINE, permille=1000, traits=appliance.HAS_TIMER):
    spec = row(appliance.SPEC, programme=programme, power_permille=permille, traits=traits, timer_step_s=3600)
    spec.rating_w = max(w for _, w in appliance.PHASES[programme]) * permille // 1000
    spec.cycle_wh = appliance.cycle_mj(spec, TODAY) // WH
    return spec


def make_diary(*loads, reads_s=0, after_s=1800, acts=appliance.BY_HAND):
    """Loads as (loaded, started), in ms from the beginning."""
    times = [START_MS + ms for pair in loads for ms in pair] + [appliance.NEVER_MS] * (4 - 2 * len(loads))
    fields = dict(zip(("load1_ms", "start1_ms", "load2_ms", "start2_ms"), times, strict=True))
    return row(appliance.DIARY, reads_s=reads_s, after_s=after_s, acts=acts, **fields)


def make_state():
    return row(appliance.STATE, at_ms=START_MS, limit_w=NO_LIMIT_W)


def live(kind, s, p, d, orders=(), cuts=(), until_ms=START_MS + 3 * DAY_MS):
    """One row by its own events and orders (ms, limit, from, until, sequence): what happened, in order."""
    told, stops = [], sorted([(order[0], 1, order) for order in orders] + [(cut, 0, None) for cut in cuts])
    stops.append((until_ms, 2, None))
    for stop_ms, _, order in stops:
        while (next_ms := kind.next_event_ms(s, p, d, TODAY)) <= stop_ms:
            assert next_ms > s.at_ms
            bits, _ = kind.happen(s, p, d, TODAY, next_ms)
            told.append((next_ms - START_MS, bits, int(s.import_w), int(s.register_mj)))
        kind.integrate(s, p, d, TODAY, stop_ms)
        if order is not None:
            told.append((stop_ms - START_MS, kind.obey(s, p, d, TODAY, *order, True), int(s.import_w)))
    return told


def minute(value):
    return round(value * MINUTE_MS)


def starts(told):
    return [event[0] for event in told if len(event) == 4 and event[1] >> 41 & 1]


def block(arrives, begins, ends, limit_w=0, sequence=1):
    """An order from minutes."""
    return (
        *(START_MS + minute(arrives), limit_w, START_MS + minute(begins), START_MS + minute(ends)),
        sequence,
    )


@pytest.mark.parametrize(
    ("programme", "minutes", "kwh"),
    [
        (appliance.WASHING_MACHINE, 138, 0.93),
        (appliance.WASHER_DRYER, 198, 2.61),
        (appliance.TUMBLE_DRYER, 60, 2.5),
        (appliance.DISHWASHER, 60, 1.13),
    ],
)
def test_a_cycle_takes_the_time_and_energy_that_crest_gives(programme, minutes, kwh):
    s, p, d = make_state(), make_spec(programme), make_diary((HOUR_MS, HOUR_MS))
    told = live(appliance, s, p, d)
    assert told[-1][0] == HOUR_MS + minutes * MINUTE_MS
    assert s.register_mj / WH / 1000 == pytest.approx(kwh, rel=0.005)
    assert s.register_mj == appliance.cycle_mj(p, TODAY)


def test_the_phases_of_a_washing_machine_follow_one_another_to_the_minute():
    told = live(appliance, make_state(), make_spec(), make_diary((0 + 1, HOUR_MS)))
    assert [(ms, w) for ms, _, w, _ in told] == [
        (1, 0),
        (HOUR_MS, 60),
        (HOUR_MS + minute(3), 2070),
        (HOUR_MS + minute(21), 150),
        (HOUR_MS + minute(101), 120),
        (HOUR_MS + minute(126), 300),
        (HOUR_MS + minute(138), 0),
    ]


def test_an_owner_who_acts_by_hand_starts_after_the_window():
    d = make_diary((minute(100), minute(100)))
    assert starts(live(appliance, make_state(), make_spec(), d, [block(10, 90, 150)])) == [minute(180)]


def test_the_timer_counts_whole_hours_from_loading_and_ends_no_earlier_than_the_window():
    d = make_diary((minute(70), minute(100)), acts=appliance.BY_TIMER)
    assert starts(live(appliance, make_state(), make_spec(), d, [block(10, 90, 150)])) == [minute(190)]


def test_an_appliance_without_a_timer_is_started_by_hand():
    d = make_diary((minute(70), minute(100)), acts=appliance.BY_TIMER)
    told = live(appliance, make_state(), make_spec(traits=0), d, [block(10, 90, 150)])
    assert starts(told) == [minute(180)]


def test_an_owner_who_ignores_a_message_starts_as_ever():
    d = make_diary((minute(100), minute(100)), acts=appliance.IGNORES)
    assert starts(live(appliance, make_state(), make_spec(), d, [block(10, 90, 150)])) == [minute(100)]


def test_a_message_that_is_read_too_late_moves_nothing():
    d = make_diary((minute(100), minute(100)), reads_s=91 * 60)
    assert starts(live(appliance, make_state(), make_spec(), d, [block(10, 90, 150)])) == [minute(100)]
    s = make_state()
    live(appliance, s, make_spec(), make_diary(reads_s=140 * 60), [block(10, 90, 150)])
    assert s.sequence == 1


def test_a_message_that_leaves_room_for_the_machine_moves_nothing():
    d = make_diary((minute(100), minute(100)))
    told = live(appliance, make_state(), make_spec(), d, [block(10, 90, 150, limit_w=2070)])
    assert starts(told) == [minute(100)]


def test_a_message_that_is_taken_back_in_time_moves_nothing():
    d = make_diary((minute(100), minute(100)))
    orders = [block(10, 90, 150), block(20, 20, 150, NO_LIMIT_W, 2)]
    assert starts(live(appliance, make_state(), make_spec(), d, orders)) == [minute(100)]


def test_a_cycle_under_way_is_not_interrupted():
    d = make_diary((minute(80), minute(80)))
    calm = live(appliance, make_state(), make_spec(), d)
    told = live(appliance, make_state(), make_spec(), d, [block(85, 85, 200)])
    assert [event for event in told if len(event) == 4 and event[1] & ~0b1100000] == [
        event for event in calm if event[1]
    ]


def test_a_second_load_waits_for_the_machine_and_then_a_quarter_of_an_hour():
    d = make_diary((minute(10), minute(10)), (minute(20), minute(20)))
    assert starts(live(appliance, make_state(), make_spec(), d)) == [minute(10), minute(10 + 138 + 15)]


def test_a_moved_start_is_told_as_held_and_a_chosen_one_as_waiting():
    s, p, d = make_state(), make_spec(), make_diary((minute(60), minute(100)))
    live(appliance, s, p, d, [block(10, 90, 150)], until_ms=START_MS + minute(80))
    assert appliance.status(s, p) == 1
    live(appliance, s, p, d, until_ms=START_MS + minute(120))
    assert appliance.status(s, p) == 3
    live(appliance, s, p, d, until_ms=START_MS + minute(190))
    assert appliance.status(s, p) == 2
    live(appliance, s, p, d)
    assert appliance.status(s, p) == 4


@st.composite
def lives(draw):
    loads = draw(st.lists(st.integers(1, DAY_MS - 1), max_size=2))
    timers = draw(st.lists(st.integers(0, 6 * HOUR_MS), min_size=2, max_size=2))
    d = make_diary(
        *((ms, ms + wait) for ms, wait in zip(loads, timers, strict=False)),
        reads_s=draw(st.integers(0, 7200)),
        after_s=draw(st.integers(0, 7200)),
        acts=draw(st.sampled_from([0, 1, 2])),
    )
    p = make_spec(
        draw(st.integers(0, 3)), draw(st.sampled_from([700, 1000, 1234])), draw(st.sampled_from([0, 1]))
    )
    moment = st.integers(0, DAY_MS)
    orders = [
        (START_MS + ms, limit, START_MS + begin, START_MS + begin + length, sequence)
        for ms, limit, begin, length, sequence in draw(
            st.lists(
                st.tuples(
                    moment,
                    st.sampled_from([NO_LIMIT_W, 0, 500, 9000]),
                    moment,
                    st.integers(0, 8 * HOUR_MS),
                    st.integers(1, 9),
                ),
                max_size=6,
            )
        )
    ]
    cuts = [START_MS + ms for ms in draw(st.lists(moment, max_size=4))]
    return p, d, orders, cuts


@settings(max_examples=60, deadline=None)
@given(lives())
def test_every_load_becomes_one_whole_cycle_whatever_is_ordered(life):
    p, d, orders, _ = life
    s = make_state()
    told = [event for event in live(appliance, s, p, d, orders) if len(event) == 4]
    loads = sum(ms < appliance.NEVER_MS for ms in (d.load1_ms, d.load2_ms))
    if d.load1_ms == d.load2_ms < appliance.NEVER_MS:
        assert len(starts(told)) == 2
    assert len(starts(told)) == loads
    assert s.register_mj == loads * appliance.cycle_mj(p, TODAY)
    lengths = {sum(minutes for minutes, _ in appliance.PHASES[p.programme]) * MINUTE_MS}
    ends = [event[0] for event in told if event[1] >> 42 & 1]
    assert {end - start for start, end in zip(starts(told), ends, strict=True)} <= lengths


@settings(max_examples=60, deadline=None)
@given(lives())
def test_power_stays_within_the_rating_and_starts_never_come_early(life):
    p, d, orders, _ = life
    told = live(appliance, make_state(), p, d, orders)
    assert all(0 <= event[2] <= p.rating_w for event in told)
    assert all(start + START_MS >= min(d.start1_ms, d.start2_ms) for start in starts(told))


@settings(max_examples=40, deadline=None)
@given(lives())
def test_both_engines_tell_the_same(life):
    p, d, orders, cuts = life
    fast, plain = make_state(), make_state()
    assert live(appliance, fast, p, d, orders, cuts) == live(PLAIN, plain, p, d, orders, cuts)
    assert fast.tobytes() == plain.tobytes()


@settings(max_examples=40, deadline=None)
@given(lives())
def test_a_stretch_may_be_split_anywhere(life):
    p, d, orders, cuts = life
    whole, split = make_state(), make_state()
    assert live(appliance, whole, p, d, orders) == live(appliance, split, p, d, orders, cuts)
    assert whole.tobytes() == split.tobytes()
