"""Whole watts shared out: a plan's target over the cells of its unit. Pure functions.

Shares are in proportion to what each cell can do; what one cannot do goes to those that can, and what nobody
can do is asked of all in proportion, so that it shows. Shares always add up to what was shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise


def in_proportion(total_w: int, weights: Sequence[int]) -> list[int]:
    """`total_w` in whole watts by weight; by equal parts where nothing weighs."""
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    reached_w = [total_w * upto // whole for upto in accumulate(weights, initial=0)]
    return [after_w - before_w for before_w, after_w in pairwise(reached_w)]


def within_reach(total_w: int, weights: Sequence[int], can_w: Sequence[int]) -> list[int]:
    """`total_w` by weight, nobody asked for more than `can_w` (at least 0) as long as others can do it.

    `total_w` may be negative (turn-up); `can_w` is then what each can be turned up by.
    """
    way, left_w = 1 if total_w >= 0 else -1, abs(total_w)
    asked_w, able = [0] * len(weights), list(range(len(weights)))
    while able and left_w:
        parts_w = in_proportion(left_w, [weights[k] for k in able])
        full = [k for k, part_w in zip(able, parts_w, strict=True) if part_w > can_w[k]]
        for k, part_w in zip(able, parts_w, strict=True):
            if not full:
                asked_w[k] = part_w
            elif k in full:
                asked_w[k] = can_w[k]
        able = [k for k in able if k not in full] if full else []
        left_w = abs(total_w) - sum(asked_w)
    extra_w = in_proportion(left_w, weights)
    return [way * (one_w + more_w) for one_w, more_w in zip(asked_w, extra_w, strict=True)]
