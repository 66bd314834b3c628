"""Sequence numbers rise, windows are renewed, silence is answered with few and growing repeats."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.sending import (
    ACKNOWLEDGED,
    FREE,
    GIVEN_UP,
    HELD,
    RAISED,
    SILENT,
    UNANSWERED,
    Terms,
    jitter_ms,
    new_control,
    set_points,
    take_acks,
)
from aggregator.settings import Assumptions
from aggregator.telemetry import READING
from protocol.messages import NO_LIMIT_W, AckOutcome, Acks

T0_MS = 1_736_960_000_000
TERMS = Terms("X", T0_MS + 3_600_000, True)


class Desk:
    """Control columns of a few rows, and the post."""

    def __init__(self, tools, count=3, **changes):
        self.settings = replace(tools.SETTINGS, **changes)
        self.control = new_control(count)
        self.board = np.zeros(count, READING)
        self.board["rating_w"] = 7400
        self.experience = np.zeros((1, 4), np.int64)
        self.rows = np.arange(count, dtype=np.int32)

    def intend(self, row, intent):
        self.control["intent"][row] = intent
        self.control["level_pct"][row] = 100 if intent == RAISED else 0
        self.control["answer"][row] = SILENT

    def send(self, now_ms, room=50_000, terms=TERMS):
        stirs = np.ones(len(self.rows), np.int8)
        return set_points(self.control, self.board, self.rows, stirs, terms, now_ms, room, self.settings)

    def ack(self, row, sequence, outcome, now_ms):
        acks = Acks(
            rows=np.array([row], np.int32),
            sequence=np.array([sequence], np.int32),
            outcome=np.array([outcome], np.int8),
            event_ms=np.array([now_ms]),
            arrival_ms=np.array([now_ms]),
        )
        take_acks(self.control, self.board, self.experience, acks, now_ms, self.settings, Assumptions())


def test_a_hold_says_no_import_and_a_release_lifts_the_limit(tools):
    desk = Desk(tools)
    desk.intend(0, HELD)
    desk.intend(1, RAISED)
    told = desk.send(T0_MS)
    assert told.rows.tolist() == [0, 1]
    assert told.limit_w.tolist() == [0, 7400]
    assert told.sequence.tolist() == [1, 1]
    assert told.until_ms.tolist() == [T0_MS + 900_000] * 2
    desk.ack(0, 1, AckOutcome.APPLIED, T0_MS + 1000)
    desk.control["intent"][0] = FREE
    told = desk.send(T0_MS + 10_000)
    assert (told.rows.tolist(), told.limit_w.tolist(), told.sequence.tolist()) == ([0], [NO_LIMIT_W], [2])


def test_silence_is_repeated_after_a_while_a_few_times_and_then_given_up(tools):
    desk = Desk(tools, count=1)
    desk.intend(0, HELD)
    sent = []
    for second in range(0, 600, 10):
        told = desk.send(T0_MS + second * 1000)
        if told is not None:
            sent.append((second, int(told.sequence[0])))
    assert [sequence for _, sequence in sent] == [1, 2, 3, 4]
    gaps = np.diff([second for second, _ in sent])
    assert ((gaps >= 30) & (gaps <= 50)).all()
    assert desk.control["answer"][0] == GIVEN_UP


def test_a_window_is_renewed_when_a_third_of_it_is_left_and_not_beyond_the_hold(tools):
    desk = Desk(tools, count=1)
    desk.intend(0, HELD)
    sent = []
    for second in range(0, 3600, 10):
        told = desk.send(T0_MS + second * 1000)
        if told is not None:
            sent.append((second, int(told.until_ms[0] - T0_MS) // 1000))
            desk.ack(0, int(told.sequence[0]), AckOutcome.APPLIED, T0_MS + second * 1000 + 500)
    assert sent == [(0, 900), (610, 1510), (1220, 2120), (1830, 2730), (2440, 3340), (3050, 3600)]


def test_a_late_acknowledgement_of_an_earlier_copy_counts_for_the_same_intent(tools):
    desk = Desk(tools, count=1)
    desk.intend(0, HELD)
    desk.send(T0_MS)
    desk.send(T0_MS + 45_000)
    desk.ack(0, 1, AckOutcome.APPLIED, T0_MS + 46_000)
    assert desk.control["answer"][0] == ACKNOWLEDGED
    assert T0_MS + 800_000 <= desk.control["sure_ms"][0] <= T0_MS + 900_000


def test_an_acknowledgement_of_an_older_intent_changes_nothing(tools):
    desk = Desk(tools, count=1)
    desk.intend(0, HELD)
    desk.send(T0_MS)
    desk.control["intent"][0] = FREE
    desk.send(T0_MS + 10_000)
    desk.ack(0, 1, AckOutcome.APPLIED, T0_MS + 11_000)
    assert desk.control["answer"][0] == UNANSWERED


@pytest.mark.parametrize(
    ("outcome", "intent", "answer"),
    [
        (AckOutcome.APPLIED, HELD, ACKNOWLEDGED),
        (AckOutcome.OLD_SEQUENCE, HELD, ACKNOWLEDGED),
        (AckOutcome.EXPIRED, HELD, UNANSWERED),
        (AckOutcome.UNPLUGGED, FREE, SILENT),
        (AckOutcome.OVERRIDDEN, FREE, SILENT),
        (AckOutcome.RATE_LIMITED, HELD, UNANSWERED),
        (AckOutcome.UNAUTHORISED, HELD, UNANSWERED),
        (AckOutcome.UNREACHABLE, FREE, GIVEN_UP),
    ],
)
def test_what_each_outcome_leads_to(tools, outcome, intent, answer):
    desk = Desk(tools, count=1)
    desk.intend(0, HELD)
    desk.send(T0_MS)
    desk.ack(0, 1, outcome, T0_MS + 1000)
    assert (desk.control["intent"][0], desk.control["answer"][0]) == (intent, answer)


def test_a_busy_cloud_is_asked_again_ever_more_slowly(tools):
    desk = Desk(tools, count=1, retries=6)
    desk.intend(0, HELD)
    sent = []
    for second in range(0, 3600, 10):
        told = desk.send(T0_MS + second * 1000)
        if told is not None:
            sent.append(second)
            desk.ack(0, int(told.sequence[0]), AckOutcome.RATE_LIMITED, T0_MS + second * 1000 + 500)
    gaps = np.diff(sent)
    assert len(sent) == 7
    assert (np.diff(gaps[:4]) > 0).all()


def test_releases_go_first_when_room_is_short(tools):
    desk = Desk(tools, count=4)
    desk.intend(3, HELD)
    desk.send(T0_MS)
    desk.ack(3, 1, AckOutcome.APPLIED, T0_MS)
    desk.control["intent"][3] = FREE
    for row in (0, 1, 2):
        desk.intend(row, HELD)
    assert desk.send(T0_MS + 10_000, room=2).rows.tolist() == [3, 0]
    assert desk.send(T0_MS + 20_000, room=2).rows.tolist() == [1, 2]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2), st.sampled_from([FREE, HELD, RAISED]), st.integers(-1, 7), st.integers(1, 90)
        ),
        max_size=40,
    )
)
@settings(max_examples=200, deadline=None)
def test_sequences_rise_by_one_and_no_intent_is_sent_twice_before_its_repeat_is_due(tools, steps):
    desk, now_ms = Desk(tools), T0_MS
    last = dict.fromkeys(range(3), (0, 0))
    anew = set(range(3))
    for row, intent, outcome, seconds in steps:
        now_ms += seconds * 1000
        if desk.control["intent"][row] != intent:
            desk.control["intent"][row] = intent
            anew.add(row)
        told = desk.send(now_ms)
        for k, sent in enumerate([] if told is None else told.rows.tolist()):
            sequence, sent_ms = last[sent]
            assert told.sequence[k] == sequence + 1
            assert told.until_ms[k] > now_ms
            assert sent in anew or now_ms - sent_ms >= 30_000
            last[sent] = (int(told.sequence[k]), now_ms)
            anew.discard(sent)
        if outcome >= 0:
            before = desk.control["intent"][row]
            desk.ack(row, last[row][0], outcome, now_ms)
            if outcome == AckOutcome.EXPIRED or desk.control["intent"][row] != before:
                anew.add(row)


def test_jitter_is_the_same_every_time_and_unlike_between_rows():
    first = [int(jitter_ms(row, 1, 10_000)) for row in range(1000)]
    assert first == [int(jitter_ms(row, 1, 10_000)) for row in range(1000)]
    assert min(first) >= 0
    assert max(first) <= 10_000
    assert 4500 < np.mean(first) < 5500
