"""What the control room may ask of a BM Unit: profiles in whole MW at whole minutes, and the merit order.

This owns no memory: FPN, limits, rates and prices in, profiles and megawatts out. Levels are export-positive
[MW]; turning demand down raises the level. Rules: docs/markets.md B4-B8; Elexon Insights OpenAPI (levels are
integers); BM data items NTO, NTB, MZT, MEL, MIL, run-up and run-down rates.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from markets.settings import PricedBlock
from protocol.messages import BidOfferPair, ExportLimits, Point, Profile
from protocol.periods import MINUTE_MS

_WHOLE = 1e-9
"""How near to a whole megawatt counts as whole [MW]: far below a watt."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a unit can do: levels [MW] and ramp rates [MW/min], rates above zero."""

    mel_mw: float
    mil_mw: float
    up_mw_per_min: float
    down_mw_per_min: float


UNBOUNDED_LEVELS = (math.inf, -math.inf)
"""MEL and MIL of a unit that declared none: only its pairs' widths bound it (docs/markets.md B5)."""


def level_after_mw(profile: Profile, at_ms: int) -> float:
    """The level just after `at_ms` [MW]: of two corners at one time the later holds."""
    index = max((place for place, point in enumerate(profile) if point.at_ms <= at_ms), default=0)
    return _between(profile, index, at_ms)


def level_before_mw(profile: Profile, at_ms: int) -> float:
    """The level just before `at_ms` [MW]: of two corners at one time the earlier holds."""
    index = min((place for place, point in enumerate(profile) if point.at_ms >= at_ms), default=len(profile))
    return profile[0].level_mw if index == 0 else _between(profile, index - 1, at_ms)


def _between(profile: Profile, index: int, at_ms: int) -> float:
    left, right = profile[index], profile[min(index + 1, len(profile) - 1)]
    if at_ms <= left.at_ms or right.at_ms == left.at_ms:
        return left.level_mw
    share = min(1.0, (at_ms - left.at_ms) / (right.at_ms - left.at_ms))
    return left.level_mw + share * (right.level_mw - left.level_mw)


def acceptance_profile(
    fpn: Profile, start_ms: int, end_ms: int, turn_down_mw: int, bounds: Bounds
) -> Profile | None:
    """The profile that leaves the FPN at `start_ms`, keeps `turn_down_mw` above it and is back on it at
    `end_ms`.

    `fpn` must reach from start to end, both whole minutes. Clipped to MEL and MIL, but never beyond the FPN
    the other way. No slope exceeds the rates: each minute's level may move at most by the rate, and stay
    within reach of the FPN at the end; corners are taken from the minutes with whole megawatts. None when
    the unit cannot leave its FPN and be back in time.
    """
    own = _minute_levels(fpn, start_ms, end_ms)
    wanted = [_target(level, turn_down_mw, bounds) for level in own]
    reached = _within_rates(round(own[0]), wanted, round(own[-1]), bounds)
    if reached is None or all(
        abs(level - fpn_level) < 0.5 for level, fpn_level in zip(reached, own, strict=True)
    ):
        return None
    whole = [minute for minute, level in enumerate(reached) if abs(level - round(level)) < _WHOLE]
    kept = _corner_minutes(whole, [round(level) for level in reached], wanted)
    return tuple(Point(start_ms + minute * MINUTE_MS, float(round(reached[minute]))) for minute in kept)


def _minute_levels(fpn: Profile, start_ms: int, end_ms: int) -> list[float]:
    minutes = range(start_ms, end_ms, MINUTE_MS)
    return [*(level_after_mw(fpn, at_ms) for at_ms in minutes), level_before_mw(fpn, end_ms)]


def _target(fpn_mw: float, turn_down_mw: int, bounds: Bounds) -> int:
    """The whole level wanted at one minute."""
    own = round(fpn_mw)
    if turn_down_mw > 0:
        return max(own, min(own + turn_down_mw, _floor(bounds.mel_mw)))
    return min(own, max(own + turn_down_mw, -_floor(-bounds.mil_mw)))


def _floor(level_mw: float) -> int:
    return math.floor(level_mw) if math.isfinite(level_mw) else math.floor(math.copysign(1e9, level_mw))


def _within_rates(first: int, wanted: list[int], last: int, bounds: Bounds) -> list[float] | None:
    """Minute levels from `first` to `last`, as near to `wanted` as the rates allow; None when out
    of reach.
    """
    up, down = bounds.up_mw_per_min, bounds.down_mw_per_min
    minutes = len(wanted) - 1
    level = float(first)
    reached = [level]
    if not last - up * minutes - _WHOLE <= level <= last + down * minutes + _WHOLE:
        return None
    for minute in range(1, minutes + 1):
        left = minutes - minute
        level = min(max(float(wanted[minute]), level - down), level + up)
        level = min(max(level, last - up * left), last + down * left)
        reached.append(level)
    return reached


def _corner_minutes(whole: list[int], level_mw: list[int], wanted: list[int]) -> list[int]:
    """The minutes that become corners: not those on a straight line, nor those on the way to the wanted
    level.
    """
    kept = whole[:1]
    for middle, after in pairwise(whole[1:]):
        before = kept[-1]
        rise_in, rise_out = level_mw[middle] - level_mw[before], level_mw[after] - level_mw[middle]
        straight = rise_in * (after - middle) == rise_out * (middle - before)
        on_the_way = rise_in * rise_out > 0 and level_mw[middle] != wanted[middle]
        if not (straight or on_the_way):
            kept.append(middle)
    return [*kept, whole[-1]]


def minutes_at_zero(profile: Profile) -> int | None:
    """The shortest stay of a profile at a level of 0 MW [min]; None when it never stays there."""
    stays = [
        (right.at_ms - left.at_ms) // MINUTE_MS
        for left, right in pairwise(profile)
        if left.level_mw == right.level_mw == 0
    ]
    touches = any(
        middle.level_mw == 0 and before.level_mw != 0 and after.level_mw != 0
        for before, middle, after in zip(profile, profile[1:], profile[2:], strict=False)
    )
    return 0 if touches else min(stays, default=None)


def levels_in_force(limits: Iterable[ExportLimits], start_ms: int, end_ms: int) -> tuple[float, float]:
    """MEL and MIL that hold throughout [start, end) [MW]: the lowest MEL and the highest MIL on the way.

    `limits` in the order in which they came. At any moment the highest sequence counts, of equal ones the
    later notified. Source: elexon-data/insights-docs, mil_mel_resolution.md.
    """
    known = [item for item in limits if item.start_ms < end_ms and item.end_ms > start_ms]
    moments = {start_ms, *(edge for item in known for edge in (item.start_ms, item.end_ms))}
    mel_mw, mil_mw = UNBOUNDED_LEVELS
    for at_ms in sorted(moment for moment in moments if start_ms <= moment < end_ms):
        holding = [item for item in known if item.start_ms <= at_ms < item.end_ms]
        if holding:
            winner = max(enumerate(holding), key=lambda pair: (pair[1].sequence, pair[0]))[1]
            mel_mw, mil_mw = min(mel_mw, winner.mel_mw), max(mil_mw, winner.mil_mw)
    return mel_mw, mil_mw


def offered_mw(pairs: Iterable[BidOfferPair], turn_down: bool) -> float:
    """How far the pairs of one side reach from the FPN [MW]."""
    return sum(pair.width_mw for pair in pairs if (pair.number > 0) == turn_down)


@dataclass(frozen=True, slots=True)
class Available:
    """What one unit has for one period: its pairs, and the headroom within MEL or MIL [MW]."""

    pairs: tuple[BidOfferPair, ...]
    headroom_mw: float


def merit_order(
    need_mw: float, ours: Mapping[str, Available], competitors: Iterable[PricedBlock]
) -> dict[str, int]:
    """Whole MW taken from each unit to meet the need, cheapest first for the ESO; 0 where none.

    A positive need takes offers, lowest price first; a negative one takes bids, highest price first. At equal
    prices competitors come before ours, then units by name. Competitors' megawatts are met but not given
    back.
    """
    sign = 1 if need_mw > 0 else -1
    stack: list[tuple[float, str, int, float]] = [
        (sign * block.price_gbp_per_mwh, "", 0, block.width_mw) for block in competitors
    ]
    for unit, available in ours.items():
        stack += _own_blocks(unit, available, sign)
    left_mw, taken = abs(need_mw), dict.fromkeys(ours, 0.0)
    for _, unit, _, width_mw in sorted(stack):
        used_mw = min(left_mw, width_mw)
        left_mw -= used_mw
        if unit:
            taken[unit] += used_mw
    return {unit: math.floor(mw + _WHOLE) for unit, mw in taken.items()}


def _own_blocks(unit: str, available: Available, sign: int) -> list[tuple[float, str, int, float]]:
    """Blocks (price as the sort wants it, unit, pair, width) of one side, inner pair first, within
    headroom.
    """
    blocks, left_mw = [], available.headroom_mw
    for pair in sorted(available.pairs, key=lambda pair: abs(pair.number)):
        if pair.number * sign > 0:
            width_mw = max(0.0, min(pair.width_mw, left_mw))
            left_mw -= width_mw
            price = pair.offer_gbp_per_mwh if sign > 0 else -pair.bid_gbp_per_mwh
            blocks.append((price, unit, abs(pair.number), width_mw))
    return blocks


def departure_mw(profile: Profile, fpn: Profile) -> float:
    """How far a profile's corners lead away from the FPN at most [MW], positive for turning down."""
    away = [point.level_mw - level_after_mw(fpn, point.at_ms) for point in profile[1:-1]]
    return max(away, key=abs, default=0.0)
