"""Times told by London's clock without an offset: what they mean, and where nobody can tell."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocol.periods import HOUR_MS, LONDON, clock_shift_ms, moments_shown


def ms(text):
    return int(datetime.fromisoformat(text).timestamp()) * 1000


def moments(*texts):
    return np.array([ms(text) for text in texts], np.int64)


def test_the_shift_is_an_hour_from_the_last_sunday_of_march_to_that_of_october():
    at_ms = moments(
        "2024-01-16T12:00Z", "2024-03-31T00:59:59Z", "2024-03-31T01:00Z", "2024-10-27T00:59:59Z",
        "2024-10-27T01:00Z",
    )  # fmt: skip
    assert (clock_shift_ms(at_ms) // HOUR_MS).tolist() == [0, 0, 1, 1, 0]
    assert clock_shift_ms(at_ms[:0]).tolist() == []


@given(st.lists(st.integers(0, 4_000_000_000), min_size=1, max_size=20))
def test_the_shift_is_what_the_calendar_says_however_far_apart_the_moments_are(seconds):
    at_ms = np.array(seconds, np.int64) * 1000
    due = [datetime.fromtimestamp(s, UTC).astimezone(LONDON).utcoffset().total_seconds() for s in seconds]
    assert (clock_shift_ms(at_ms) // 1000).tolist() == due


@given(st.integers(0, 4_000_000_000))
def test_a_time_shown_is_read_back_unless_it_is_in_doubt(second):
    at_ms = np.array([second], np.int64) * 1000
    read_ms, doubtful, never = moments_shown(at_ms + clock_shift_ms(at_ms), at_ms)
    assert read_ms[0] == at_ms[0]
    assert not never[0]
    assert not doubtful[0] or clock_shift_ms(at_ms - HOUR_MS)[0] == HOUR_MS


def test_the_hour_that_october_shows_twice_is_in_doubt_once_both_have_been():
    shown_ms = moments("2024-10-27T01:30Z", "2024-10-27T01:30Z")
    by_ms = moments("2024-10-27T00:31Z", "2024-10-27T02:00Z")
    read_ms, doubtful, _ = moments_shown(shown_ms, by_ms)
    assert read_ms.tolist() == moments("2024-10-27T00:30Z", "2024-10-27T01:30Z").tolist()
    assert doubtful.tolist() == [False, True]


def test_an_hour_that_march_leaves_out_never_was():
    shown_ms = moments("2024-03-31T01:30Z", "2024-03-31T02:30Z")
    _, _, never = moments_shown(shown_ms, shown_ms)
    assert never.tolist() == [True, False]
