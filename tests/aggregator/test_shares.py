"""Laws of sharing watts out over cells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.shares import in_proportion, within_reach

CELLS = st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=1, max_size=12)
TOTAL_W = st.integers(-(10**8), 10**8)


@given(total_w=TOTAL_W, cells=CELLS)
def test_shares_add_up_to_what_was_shared(total_w, cells):
    weights, can_w = map(list, zip(*cells, strict=True))
    assert sum(in_proportion(total_w, weights)) == total_w
    assert sum(within_reach(total_w, weights, can_w)) == total_w


@given(total_w=TOTAL_W, cells=CELLS)
def test_nobody_is_asked_for_more_than_it_can_as_long_as_all_together_can(total_w, cells):
    weights, can_w = map(list, zip(*cells, strict=True))
    asked_w = within_reach(total_w, weights, can_w)
    if abs(total_w) <= sum(can_w):
        assert all(abs(asked) <= can for asked, can in zip(asked_w, can_w, strict=True))


@given(total_w=TOTAL_W, cells=CELLS)
def test_all_shares_go_the_same_way(total_w, cells):
    weights, can_w = map(list, zip(*cells, strict=True))
    assert all(asked * total_w >= 0 for asked in within_reach(total_w, weights, can_w))


@pytest.mark.parametrize(
    ("total_w", "weights", "can_w", "asked_w"),
    [
        (900, [1, 2], [900, 900], [300, 600]),
        (900, [1, 2], [900, 500], [400, 500]),
        (-900, [1, 2], [100, 900], [-100, -800]),
        (900, [1, 2], [100, 200], [300, 600]),
        (5, [0, 0], [9, 9], [2, 3]),
    ],
)
def test_what_one_cell_cannot_do_goes_to_the_others(total_w, weights, can_w, asked_w):
    assert within_reach(total_w, weights, can_w) == asked_w
