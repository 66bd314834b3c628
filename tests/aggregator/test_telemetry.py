"""What is held of telemetry equals a slow plain twin, whatever arrives; nothing is filled in."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.operational_metering import publish
from aggregator.registry import enrol
from aggregator.settings import Assumptions
from aggregator.telemetry import COUNTS, Quality, begin_sessions, new_store, observe
from protocol.messages import AssetStatus, SessionStarts, Technology

ASSETS = 4
BATTERIES = (1, 3)
T0_MS = 1_736_899_200_000
ASSUMED = Assumptions()


@dataclass
class Held:
    """One asset of the twin."""

    event_ms: int = 0
    delay_ms: int = 0
    import_w: int = 0
    register_wh: int = 0
    status: int = 0
    quality: Quality = Quality.MISSING


@dataclass
class Twin:
    """Plain Python, one reading at a time."""

    held: list = field(default_factory=lambda: [Held() for _ in range(ASSETS)])
    changes: dict = field(default_factory=dict)
    counts: dict = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))

    def take(self, row, event_ms, arrival_ms, import_w, register_wh, status):
        one = self.held[row]
        if event_ms < one.event_ms:
            gone_back = arrival_ms - event_ms > 172_800_000
            self.counts["implausible" if gone_back else "overtaken"] += 1
            if gone_back:
                one.quality |= Quality.IMPLAUSIBLE
            return
        if event_ms == one.event_ms:
            self.counts["duplicate"] += 1
            one.quality |= Quality.DUPLICATE
            return
        ahead_ms = event_ms - arrival_ms
        least_w = -1.1 * 7400 if row in BATTERIES else 0
        if ahead_ms > 300_000 or ahead_ms < -172_800_000 or not least_w <= import_w <= 1.1 * 7400:
            self.counts["implausible"] += 1
            one.quality |= Quality.IMPLAUSIBLE
            return
        rise_wh = register_wh - one.register_wh
        most_wh = 1.1 * 7400 * (event_ms - one.event_ms) / 3_600_000 + 2
        if (rise_wh < 0 or rise_wh > most_wh) and not one.quality & Quality.REGISTER:
            self.counts["register"] += 1
            one.quality |= Quality.REGISTER
            return
        late = arrival_ms - event_ms > 60_000
        self.counts["late"] += late
        second = arrival_ms // 1000
        self.changes[second] = self.changes.get(second, 0) + import_w - one.import_w
        self.held[row] = Held(
            event_ms,
            arrival_ms - event_ms,
            import_w,
            register_wh,
            status,
            Quality.LATE if late else Quality(0),
        )


reading = st.tuples(
    st.integers(0, ASSETS - 1),
    st.integers(0, 240),  # event, in half-seconds after T0
    st.sampled_from([0, 300, 4_000, 61_000, 90_000, -400_000, 200_000_000]),  # delay
    st.sampled_from([0, 1380, 7000, 7400, 8140, 8141, -1, -8140, -8141]),
    st.sampled_from([5000, 5001, 5003, 5200, 4000]),
    st.sampled_from([0, 1, 2, 3, 4, 5]),
)


def batch(tools, readings):
    rows, events, delays, watts, registers, statuses = zip(*readings, strict=True)
    event_ms = T0_MS + 500 * np.array(events, np.int64)
    return tools.telemetry(
        rows, event_ms, watts, statuses, registers, arrival_ms=event_ms + np.array(delays, np.int64)
    )


def fresh(tools):
    technology = np.zeros(ASSETS, np.int8)
    technology[list(BATTERIES)] = Technology.BATTERY
    assets = tools.registration(ASSETS, technology=technology)
    registry = enrol(assets, tools.RULES, ASSUMED)
    return new_store(assets, registry, ASSUMED, T0_MS, 1024)


@given(batches=st.lists(st.lists(reading, min_size=1, max_size=20), max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_pass_equals_its_plain_twin_reading_by_reading(tools, batches):
    store, twin = fresh(tools), Twin()
    for readings in batches:
        told = batch(tools, readings)
        observe(store, told, ASSUMED)
        for k in range(len(told.rows)):
            twin.take(
                int(told.rows[k]),
                int(told.event_ms[k]),
                int(told.arrival_ms[k]),
                int(told.import_w[k]),
                int(told.register_wh[k]),
                int(told.status[k]),
            )
    for row, one in enumerate(twin.held):
        held = store.board[row]
        assert (held["event_ms"], held["import_w"], held["register_wh"], held["status"], held["quality"]) == (
            one.event_ms,
            one.import_w,
            one.register_wh,
            one.status,
            one.quality,
        )
        assert one.event_ms == 0 or held["delay_ms"] == one.delay_ms
    assert store.power_w.sum() == sum(one.import_w for one in twin.held)
    assert store.change_w.sum() == sum(twin.changes.values())
    counted = dict(zip(COUNTS, store.counts.sum(axis=0).tolist(), strict=True))
    counted.pop("after_publication")
    assert counted == {kind: twin.counts[kind] for kind in counted}


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_held_in_the_end_does_not_depend_on_the_order_of_arrival(tools, data):
    events = data.draw(st.lists(st.integers(1, 200), min_size=1, max_size=12, unique=True))
    # One meter that counts truly: 5,000 Wh and 2 Wh for every second.
    readings = [(k % ASSETS, event, 300, 7000 - event, 5000 + event, 2) for k, event in enumerate(events)]
    shuffled = data.draw(st.permutations(readings))
    one, other = fresh(tools), fresh(tools)
    observe(one, batch(tools, readings), ASSUMED)
    for single in shuffled:
        observe(other, batch(tools, [single]), ASSUMED)
    for name in ("event_ms", "import_w", "register_wh", "status"):
        assert (one.board[name] == other.board[name]).all()
    assert (one.power_w == other.power_w).all()


def test_a_reading_that_is_missing_leaves_no_zero_behind(tools):
    store = fresh(tools)
    observe(store, tools.telemetry([0], T0_MS, 7000, AssetStatus.CHARGING, 5000), ASSUMED)
    assert store.board["quality"].tolist() == [0, Quality.MISSING, Quality.MISSING, Quality.MISSING]
    assert store.board["event_ms"].tolist()[1:] == [0, 0, 0]


def test_a_meter_exchange_is_believed_at_the_second_reading_only(tools):
    store = fresh(tools)
    for second, register in ((0, 5000), (60, 12), (120, 130)):
        observe(store, tools.telemetry([0], T0_MS + second * 1000, 7000, 2, register), ASSUMED)
        if second == 60:
            assert store.board["register_wh"][0] == 5000
            assert store.board["quality"][0] == Quality.REGISTER
    assert store.board["register_wh"][0] == 130
    assert store.board["quality"][0] == 0
    assert store.sessions["start_register_wh"][0] == 130


def test_a_session_ends_with_the_energy_between_its_two_registers(tools):
    store = fresh(tools)
    story = ((0, 0, 0, 5000), (60, 7000, 2, 5000), (3660, 7000, 2, 12_000), (3720, 0, 0, 12_050))
    for second, watts, status, register in story:
        observe(store, tools.telemetry([0], T0_MS + second * 1000, watts, status, register), ASSUMED)
    assert (store.sessions["energy_wh"][0], store.sessions["sessions"][0]) == (7050, 1)


def test_power_before_a_hold_is_remembered(tools):
    store = fresh(tools)
    for second, watts, status in ((0, 6900, 2), (60, 0, 3), (120, 0, 3)):
        observe(store, tools.telemetry([0], T0_MS + second * 1000, watts, status, 5000), ASSUMED)
    assert store.sessions["free_w"][0] == 6900


def test_what_the_app_told_of_an_older_session_changes_nothing(tools):
    store = fresh(tools)

    def told(event_ms, soc_pct):
        one = np.ones(1, np.int64)
        return SessionStarts(
            rows=np.zeros(1, np.int32),
            event_ms=event_ms * one,
            arrival_ms=event_ms * one,
            soc_pct=np.array([soc_pct], np.int8),
            target_pct=np.array([90], np.int8),
            ready_by_ms=(T0_MS + 36_000_000) * one,
        )

    begin_sessions(store, told(T0_MS + 2000, 40))
    begin_sessions(store, told(T0_MS + 1000, 77))
    session = store.sessions[0]
    assert (session["start_soc_pct"], session["target_pct"]) == (40, 90)
    assert session["ready_by_ms"] == T0_MS + 36_000_000


# ---------------------------------------------------------------------------------- operational metering


@given(
    readings=st.lists(
        st.tuples(st.integers(0, ASSETS - 1), st.integers(0, 100), st.integers(0, 8000)), max_size=60
    ),
    looks=st.lists(st.integers(1, 40), min_size=1, max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_published_seconds_follow_each_other_and_equal_the_plain_twin(tools, readings, looks):
    store, level_w = fresh(tools), np.zeros(2, np.int64)
    readings = sorted(readings, key=lambda item: item[1])
    published, now_s, taken = [], 0, 0
    for step in looks:
        now_s += step
        while taken < len(readings) and readings[taken][1] < now_s:
            row, second, watts = readings[taken]
            # A reading of its own millisecond, so that none is a duplicate.
            event_ms = T0_MS + second * 1000 + taken
            observe(store, tools.telemetry([row], event_ms, watts % 7400, 2, 5000), ASSUMED)
            taken += 1
        said = publish(store, level_w, [1], ("_A",), T0_MS + now_s * 1000, 5000)
        if said is not None:
            assert said.start_ms == T0_MS + len(published) * 1000
            published += said.import_w[0].tolist()
    assert len(published) == max(now_s - 5, 0)
    held, expected = [0] * ASSETS, []
    for second in range(len(published)):
        for row, at_s, watts in readings:
            if at_s == second:
                held[row] = watts % 7400
        expected.append(sum(held))
    assert published == expected


def test_what_arrives_after_its_second_was_published_shows_in_the_next_second(tools):
    store, level_w = fresh(tools), np.zeros(2, np.int64)
    publish(store, level_w, [1], ("_A",), T0_MS + 20_000, 5000)
    observe(store, tools.telemetry([0], T0_MS + 3000, 7000, 2, 5000), ASSUMED)
    said = publish(store, level_w, [1], ("_A",), T0_MS + 22_000, 5000)
    assert said.start_ms == T0_MS + 15_000
    assert said.import_w.tolist() == [[7000, 7000]]
    assert dict(zip(COUNTS, store.counts[1].tolist(), strict=True))["after_publication"] == 1


@pytest.mark.parametrize("gap_s", [30, 5000])
def test_a_long_silence_of_the_loop_loses_no_second(tools, gap_s):
    store, level_w = fresh(tools), np.zeros(2, np.int64)
    observe(store, tools.telemetry([0], T0_MS + 3000, 7000, 2, 5000), ASSUMED)
    said = publish(store, level_w, [1], ("_A",), T0_MS + gap_s * 1000, 5000)
    assert said.import_w.shape == (1, gap_s - 5)
    assert said.import_w[0].tolist() == [0] * 3 + [7000] * (gap_s - 8)
