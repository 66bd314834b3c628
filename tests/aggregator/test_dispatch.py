"""Allocation meets the target within one asset, takes the most slack first, and spares whoever has too
little.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.belief import View
from aggregator.dispatch import choose, spread_release, want
from aggregator.places import HOLDABLE, IS_HELD, NO_PART, SUMS
from aggregator.sending import FREE, HELD, NO_RELEASE_S, new_control
from aggregator.telemetry import READING
from protocol.messages import Technology

rows = st.lists(
    st.tuples(
        st.sampled_from([NO_PART, HOLDABLE, IS_HELD]),
        st.integers(-7200, 300_000),
        st.integers(0, 22_000),
    ),
    max_size=60,
)


def view_of(items):
    part, slack, would = zip(*items, strict=True) if items else ((), (), ())
    return View(
        np.array(part, np.int8),
        np.array(slack, np.int32),
        np.array(would, np.int32),
        np.zeros(SUMS, np.int64),
        np.zeros(len(part), np.int8),
        np.ones(len(part), np.int8),
    )


@given(items=rows, wanted_w=st.integers(-5, 400_000), longest=st.booleans())
@settings(max_examples=300, deadline=None)
def test_the_sum_is_the_least_that_reaches_what_is_wanted_or_all_there_is(items, wanted_w, longest):
    view = view_of(items)
    chosen = choose(view, HOLDABLE, wanted_w, longest_first=longest, reach=True)
    assert (view.part[chosen] == HOLDABLE).all()
    assert len(set(chosen.tolist())) == len(chosen)
    took_w = int(view.would_w[chosen].sum())
    if wanted_w <= 0:
        assert took_w == 0
    elif took_w < wanted_w:
        assert took_w == int(view.would_w[view.part == HOLDABLE].sum())
    else:
        # Without the last one taken (of the least wanted bucket) it would not be reached.
        assert took_w - wanted_w < int(view.would_w[chosen].max())


@given(items=rows, wanted_w=st.integers(0, 400_000))
@settings(max_examples=300, deadline=None)
def test_letting_go_never_leads_beyond_what_is_wanted(items, wanted_w):
    view = view_of(items)
    chosen = choose(view, IS_HELD, wanted_w, longest_first=False, reach=False)
    took_w = int(view.would_w[chosen].sum())
    assert took_w <= wanted_w
    left = np.setdiff1d(np.flatnonzero(view.part == IS_HELD), chosen)
    # Nobody of the bucket where it stopped, or before it, would still have fitted.
    if len(chosen) and len(left):
        last = view.slack_s[chosen].max() // 60
        near = left[view.slack_s[left] // 60 <= last]
        assert (view.would_w[near] > wanted_w - took_w).all()


@given(items=rows, wanted_w=st.integers(1, 400_000))
@settings(max_examples=200, deadline=None)
def test_nobody_is_taken_while_somebody_with_a_minute_more_slack_is_left(items, wanted_w):
    view = view_of(items)
    chosen = choose(view, HOLDABLE, wanted_w, longest_first=True, reach=True)
    left = np.setdiff1d(np.flatnonzero(view.part == HOLDABLE), chosen)
    if len(chosen) and len(left):
        bounded = np.clip(view.slack_s, 0, 4095 * 60) // 60
        assert bounded[chosen].min() >= bounded[left].max()


@given(items=rows)
@settings(max_examples=100, deadline=None)
def test_release_moments_are_spread_evenly_tightest_slack_first(items):
    view, members = view_of(items), np.arange(len(items), dtype=np.int32)
    control = new_control(len(items))
    spread_release(control, members, view, IS_HELD, 1000, 900_000)
    held = np.flatnonzero(view.part == IS_HELD)
    moments = np.sort(control["release_s"][held])
    assert moments.tolist() == [(1000 + 900_000 * k // len(held)) // 1000 for k in range(len(held))]
    order = held[np.argsort(control["release_s"][held], kind="stable")]
    buckets = np.clip(view.slack_s[order] // 60, 0, 4095)
    assert (np.diff(buckets) >= 0).all()
    others = np.flatnonzero(view.part != IS_HELD)
    assert (control["release_s"][others] == NO_RELEASE_S).all()


@pytest.mark.parametrize(
    ("technology", "held_min", "rests_min"),
    [(Technology.EV, 60, 0), (Technology.HEAT_PUMP, 60, 60), (Technology.HEAT_PUMP, 120, 90)],
)
def test_who_is_let_go_rests_as_its_technology_asks_for(technology, held_min, rests_min):
    now_ms = 1_736_899_200_000
    board, control = np.zeros(1, READING), new_control(1)
    board["technology"] = technology
    control["intent"], control["since_ms"] = HELD, now_ms - held_min * 60_000
    rows = np.zeros(1, np.int32)
    want(control, board, rows, FREE, now_ms, view_of([(IS_HELD, 0, 2500)]), rows)
    assert control["intent"][0] == FREE
    assert max(int(control["barred_s"][0]) - now_ms // 1000, 0) == rests_min * 60


def test_a_chosen_row_starts_anew_and_remembers_what_it_drew():
    view = view_of([(HOLDABLE, 5000, 7000), (HOLDABLE, 9000, 3600)])
    control = new_control(10)
    members = np.array([4, 7], np.int32)
    want(control, np.zeros(10, READING), members, HELD, 123, view, np.array([1], np.int32))
    assert (control["intent"][7], control["nominal_w"][7], control["since_ms"][7]) == (HELD, 3600, 123)
    assert control["intent"][4] == FREE
