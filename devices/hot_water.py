"""A hot-water cylinder with an immersion heater: two layers, a thermostat, a timer, and people who draw.

Two layers and not one well-mixed tank, because what matters is when the tap runs cold: half a tank drawn
leaves half a tank hot in a real cylinder, and all of it lukewarm in a mixed one. Cold water enters below and
leaves the upper layer as hot as it was; the immersion heats the lower layer until it is as hot as the upper,
and the two are one. Mixing at the inlet and conduction between the layers are left out.

Both layers lose heat at one rate k (loss in proportion to volume) to a cupboard of constant temperature, so
that between events

    T(t) = A + P / (k C) + (T(0) - A - P / (k C)) exp(-k t)      (P in the lower layer only)

is exact, and so is the moment at which the layers meet. Draws are taken at once: a draw of minutes is short
against the hours of a timer.

Ties: all that is due at one millisecond happens together, in the order of `happen`; orders come after it.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, is_dark, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, next_turn_ms, refusal, sooner, take, turn
from devices.storage_heater import in_night, next_supply_ms, offset_ms, reach_ms, response_delay_s

NEVER_MS = 2**62
HOLD_CAP_S = 6 * 3600
"""No order holds longer than this: 4-6 h per event for heat with storage (CrowdFlex WP5 table 4)."""
NO_API = 3
"""AckOutcome UNPLUGGED: a plain immersion has nobody who could obey."""
OVERRIDES = 4
"""AckOutcome OVERRIDDEN."""
TAP_C = 40.0
"""What people want from the tap or shower [C]: assumed, as in most studies of draws."""
FLOOR_C = 45.0
"""Water below this does not count as hot for the comfort floor [C]: assumed, 5 K above the tap."""
QUICK_BAND_K = 1.0
"""Hysteresis while storing on an order or purging [K]: assumed; the wide one would leave the last kelvins."""
DRAWS = 16
"""Draws in one day's diary, at most."""

OVERRIDDEN, HELD, HOT, PURGING = 1, 2, 4, 8
STUCK_ON, STUCK_OFF, SMART, NIGHT_ONLY = 1, 2, 4, 8

STATE = np.dtype(
    [
        ("at_ms", "i8"),
        ("register_mj", "i8"),
        ("import_w", "i4"),
        ("limit_w", "i4"),
        ("limit_until_s", "i4"),
        ("pending_limit_w", "i4"),
        ("pending_from_s", "i4"),
        ("pending_for_s", "u2"),
        ("sequence", "i4"),
        ("upper_c", "f8"),
        ("lower_c", "f8"),  # of the whole tank while upper_share is 0
        ("upper_share", "f8"),  # of the volume
        ("used_mj", "f8"),  # heat above cold mains that left by the taps
        ("lost_mj", "f8"),  # to the cupboard
        ("short_mj", "f8"),  # heat that people wanted and did not get
        ("boost_until_s", "i4"),  # 0: no boost
        ("marks", "u1"),  # OVERRIDDEN | HELD | HOT | PURGING
    ]
)
"""What a cylinder does: 95 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),  # STUCK_ON | STUCK_OFF | SMART | NIGHT_ONLY
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("rating_w", "i4"),
        ("offset_s", "i4"),  # by which its night switch is late (negative: early)
        ("signal_offset_s", "i4"),  # the same while its teleswitch hears the radio signal
        ("response_s", "i4"),
        ("mj_per_k", "f8"),  # heat capacity of the whole tank
        ("loss_per_ms", "f8"),
        ("ambient_c", "f8"),
        ("set_c", "f8"),
        ("band_k", "f8"),  # hysteresis
        ("store_c", "f8"),  # where a turn-up stops
        ("purge_c", "f8"),  # against legionella
        ("sensor_share", "f8"),  # the thermostat sits at this share of the height
        ("floor_share", "f8"),  # of the volume: with less hot water no order holds it off
    ]
)

DIARY = np.dtype(
    [
        ("plan_ms", "i8"),
        ("draw_s", "i4", (DRAWS,)),  # after plan_ms
        ("draw_kj", "i4", (DRAWS,)),  # heat wanted at TAP_C, above cold mains; 0: no draw
        ("cold_c", "f8"),  # mains
        ("purge_ms", "i8"),  # NEVER_MS on most days
        ("boost_for_s", "i4"),  # how long the owner boosts when the tap runs cold; 0: does not
    ]
)
"""What people draw, from one planning moment to the next."""


class Today(NamedTuple):
    """What all rows share: the night hours of each region, as `devices.storage_heater.Today`."""

    night_ms: np.ndarray[Any, Any]
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`
    silent_from_ms: int = 0  # as in `devices.storage_heater.Today`


class EventKind(IntEnum):
    """What can be told of a cylinder."""

    DRAWING = 3  # value: W
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    BOOSTED = 7  # the owner, or the comfort floor
    ORDER = 11  # value: AckOutcome
    RAN_COLD = 20  # value: heat that was missing since the run began, in Wh
    HEATED = 21  # value: temperature of the lower layer in C
    PURGED = 22  # value: temperature of the lower layer in C


_MJ_PER_WH = 3_600_000
_BOOSTED_BIT, _COLD_BIT, _HEATED_BIT, _PURGED_BIT = 1 << 7, 1 << 20, 1 << 21, 1 << 22
_NOTHING = 1e-9


@scalar
def layer_c(s: Any, p: Any, start_c: float, rise_k: float, now_ms: int) -> float:
    """The temperature at `now_ms` of a layer that tends to `rise_k` above the cupboard."""
    tends_to = p.ambient_c + rise_k
    return float(tends_to + (start_c - tends_to) * math.exp(-p.loss_per_ms * (now_ms - int(s.at_ms))))


@scalar
def rise_k(s: Any, p: Any) -> float:
    """How far above the cupboard the immersion would bring the lower layer in the end [K]."""
    return float(int(s.import_w) / (p.loss_per_ms * p.mj_per_k * (1.0 - s.upper_share)))


@scalar
def stored_mj(s: Any, p: Any) -> float:
    """Heat in the tank above 0 C [mJ]."""
    return float(p.mj_per_k * (s.upper_share * s.upper_c + (1.0 - s.upper_share) * s.lower_c))


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - as every kind
    """Live at constant power, without draws, until now."""
    lived_ms = now_ms - int(s.at_ms)
    share = 1.0 - math.exp(-p.loss_per_ms * lived_ms)
    heated_mj = int(s.import_w) * lived_ms
    upper_k, lower_k = s.upper_c - p.ambient_c, s.lower_c - p.ambient_c - rise_k(s, p)
    upper_part = s.upper_share * upper_k
    lower_part = (1.0 - s.upper_share) * lower_k
    s.lost_mj = s.lost_mj + heated_mj + p.mj_per_k * (upper_part + lower_part) * share
    s.lower_c = layer_c(s, p, float(s.lower_c), rise_k(s, p), now_ms)
    s.upper_c = layer_c(s, p, float(s.upper_c), 0.0, now_ms)
    s.register_mj = int(s.register_mj) + heated_mj
    s.at_ms = now_ms


@scalar
def served(wanted_mj: float, available: float, water_c: float, cold_c: float, mj_per_k: float) -> float:
    """The share of the tank that one layer gives towards a draw.

    Above TAP_C the draw is mixed with cold and takes only the heat it wants; below, the tap runs as long as
    it would have run at TAP_C.
    """
    return min(available, wanted_mj / (mj_per_k * (max(water_c, TAP_C) - cold_c)))


@scalar
def draw(s: Any, p: Any, cold_c: float, wanted_mj: float) -> float:
    """Take one draw from the top and let cold in below; gives the heat that was missing [mJ].

    When the upper layer is drawn empty, what is left of the lower becomes the upper.
    """
    upper, lower = float(s.upper_share), 1.0 - float(s.upper_share)
    from_upper = 0.0
    if upper > 0.0:
        from_upper = served(wanted_mj, upper, float(s.upper_c), cold_c, float(p.mj_per_k))
    got_mj = from_upper * p.mj_per_k * (s.upper_c - cold_c)
    if upper - from_upper >= _NOTHING:
        s.lower_c = (lower * s.lower_c + from_upper * cold_c) / (lower + from_upper)
        s.upper_share = upper - from_upper
    else:
        ran_for_mj = from_upper * p.mj_per_k * (max(float(s.upper_c), TAP_C) - cold_c)
        left_mj = max(0.0, wanted_mj - ran_for_mj)
        from_lower = served(left_mj, lower, float(s.lower_c), cold_c, float(p.mj_per_k))
        got_mj += from_lower * p.mj_per_k * (s.lower_c - cold_c)
        s.upper_c, s.upper_share, s.lower_c = s.lower_c, lower - from_lower, cold_c
        if s.upper_share < _NOTHING:
            s.upper_share = 0.0
    s.used_mj = s.used_mj + got_mj
    return float(max(0.0, wanted_mj - got_mj))


@scalar
def draw_what_is_due(s: Any, p: Any, d: Any, before_ms: int, now_ms: int) -> float:
    """Take the draws after `before_ms` and until `now_ms`; gives the heat that was missing [mJ]."""
    missing_mj = 0.0
    for k in range(DRAWS):
        if d.draw_kj[k] > 0 and before_ms < int(d.plan_ms) + int(d.draw_s[k]) * 1000 <= now_ms:
            missing_mj += draw(s, p, float(d.cold_c), int(d.draw_kj[k]) * 1e6)
    return missing_mj


@scalar
def is_told_to_store(s: Any, p: Any) -> bool:
    """Whether an order in force asks for all that the immersion can take."""
    return bool(s.limit_w != NO_LIMIT_W and s.limit_w >= p.rating_w and s.marks & OVERRIDDEN == 0)


@scalar
def target_c(s: Any, p: Any) -> float:
    """Where heating stops [C]."""
    best_c = float(p.set_c)
    if is_told_to_store(s, p):
        best_c = max(best_c, float(p.store_c))
    if s.marks & PURGING:
        best_c = max(best_c, float(p.purge_c))
    return best_c


@scalar
def again_c(s: Any, p: Any) -> float:
    """Where heating begins again [C]."""
    if is_told_to_store(s, p) or s.marks & PURGING:
        return target_c(s, p) - QUICK_BAND_K
    return float(p.set_c - p.band_k)


@scalar
def sensed_c(s: Any, p: Any) -> float:
    """What the thermostat feels [C]: the lower layer, once it is deep enough to cover it."""
    if 1.0 - s.upper_share >= p.sensor_share:
        return float(s.lower_c)
    return float(s.upper_c)


@scalar
def hot_share(s: Any) -> float:
    """The share of the volume that counts as hot."""
    share = 0.0
    if s.upper_c >= FLOOR_C:
        share += s.upper_share
    if s.lower_c >= FLOOR_C:
        share += 1.0 - s.upper_share
    return float(share)


@scalar
def has_supply(s: Any, p: Any, today: Any, now_ms: int) -> bool:
    """Whether timer, owner or order let the immersion run."""
    if s.boost_until_s > 0 or is_told_to_store(s, p):
        return True
    if p.traits & NIGHT_ONLY == 0:
        return True
    if now_ms >= today.silent_from_ms and p.traits & (STUCK_ON | STUCK_OFF):
        return bool(p.traits & STUCK_ON)
    return in_night(today.night_ms, int(p.region), offset_ms(p, today, now_ms), now_ms)


@scalar
def decide(s: Any, p: Any, today: Any, now_ms: int) -> None:
    """Let the layers meet, set the thermostat, then the power that follows from everything known now.

    An immersion is on or off: a limit below its rating is off. The owner's boost, and a tank with too little
    hot water in it, take over.
    """
    if s.upper_share > 0.0 and s.lower_c >= s.upper_c:
        s.lower_c = s.upper_share * s.upper_c + (1.0 - s.upper_share) * s.lower_c
        s.upper_share = 0.0
    if s.limit_w == NO_LIMIT_W:
        s.marks = s.marks & (255 - OVERRIDDEN)
    if s.lower_c >= target_c(s, p):
        s.marks = (s.marks | HOT) & (255 - PURGING)
    elif sensed_c(s, p) <= again_c(s, p):
        s.marks = s.marks & (255 - HOT)
    dark = is_dark(today.cuts_ms, int(p.region), int(p.restart_s), now_ms)
    if dark:
        s.boost_until_s = 0
    wanted_w = 0
    if s.marks & HOT == 0 and not dark and has_supply(s, p, today, now_ms):
        wanted_w = int(p.rating_w)
    s.marks = s.marks & (255 - HELD)
    s.import_w = wanted_w
    if wanted_w > s.limit_w and s.limit_w != NO_LIMIT_W and s.boost_until_s == 0:
        if hot_share(s) < p.floor_share:
            s.marks = s.marks | OVERRIDDEN
        if s.marks & OVERRIDDEN == 0:
            s.marks = s.marks | HELD
            s.import_w = 0


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now, then the new power; gives (bits, -1)."""
    before_ms = int(s.at_ms)
    integrate(s, p, d, today, now_ms)
    was = int(s.marks)
    bits = 0
    if int(s.boost_until_s) * 1000 <= now_ms:
        s.boost_until_s = 0
    missing_mj = draw_what_is_due(s, p, d, before_ms, now_ms)
    if missing_mj > 1_000.0:
        s.short_mj = s.short_mj + missing_mj
        bits |= _COLD_BIT
        dark = is_dark(today.cuts_ms, int(p.region), int(p.restart_s), now_ms)
        if d.boost_for_s > 0 and s.boost_until_s == 0 and not dark:
            s.boost_until_s = (now_ms + 999) // 1000 + int(d.boost_for_s)
            bits |= _BOOSTED_BIT
    if before_ms < d.purge_ms <= now_ms:
        s.marks = s.marks | PURGING
    bits |= turn(s, now_ms)
    was_purging = s.marks & PURGING
    decide(s, p, today, now_ms)
    if s.marks & OVERRIDDEN and was & OVERRIDDEN == 0:
        bits |= _BOOSTED_BIT
    if s.marks & HOT and was & HOT == 0:
        bits |= _HEATED_BIT
    if was_purging and s.marks & PURGING == 0:
        bits |= _PURGED_BIT
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    at_ms = int(s.at_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    best_ms = sooner(at_ms, int(s.boost_until_s) * 1000, best_ms)
    best_ms = sooner(at_ms, int(d.purge_ms), best_ms)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), int(p.restart_s), at_ms, best_ms)
    for k in range(DRAWS):
        if d.draw_kj[k] > 0:
            best_ms = sooner(at_ms, int(d.plan_ms) + int(d.draw_s[k]) * 1000, best_ms)
    if p.traits & NIGHT_ONLY:
        best_ms = next_supply_ms(p, today, at_ms, best_ms)
    wait_ms = crossing_wait_ms(s, p, today)
    if wait_ms == NEVER_MS:
        return best_ms
    return min(best_ms, at_ms + wait_ms)


@scalar
def crossing_wait_ms(s: Any, p: Any, today: Any) -> int:
    """How long until a layer reaches a temperature at which something is decided [ms]; NEVER_MS if never."""
    k = float(p.loss_per_ms)
    ambient_c = float(p.ambient_c)
    if s.import_w > 0:
        rise = rise_k(s, p)
        wait_ms = reach_ms(float(s.lower_c), ambient_c + rise, target_c(s, p), k)
        if s.upper_share > 0.0:
            wait_ms = min(wait_ms, reach_ms(float(s.upper_c - s.lower_c), -rise, 0.0, k))
        return wait_ms
    wait_ms = NEVER_MS
    if s.marks & HOT and has_supply(s, p, today, int(s.at_ms)):
        wait_ms = reach_ms(sensed_c(s, p), ambient_c, again_c(s, p), k)
    if s.marks & HELD:
        for start_c in (float(s.upper_c), float(s.lower_c)):
            if start_c >= FLOOR_C:
                # a millisecond past FLOOR_C: what is exactly as hot still counts
                wait_ms = min(wait_ms, reach_ms(start_c, ambient_c, FLOOR_C, k) + 1)
    return wait_ms


@scalar
def obey(
    s: Any,
    p: Any,
    d: Any,
    today: Any,
    now_ms: int,
    limit_w: int,
    from_ms: int,
    until_ms: int,
    sequence: int,
    response_dsr: bool,  # noqa: ARG001 - SI 2021/1467 is about charge points
) -> int:
    """Take or refuse one order; gives its AckOutcome.

    Acts `response_s` after hearing of it, or on time if told so early. While its owner boosts, or with too
    little hot water left, it says OVERRIDDEN and heats.
    """
    if p.traits & SMART == 0:
        return NO_API
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    if s.marks & OVERRIDDEN or s.boost_until_s > 0:
        return OVERRIDES
    if limit_w < NO_LIMIT_W:
        limit_w = 0  # asked for an export that it cannot give
    delay_s = response_delay_s(int(p.response_s), now_ms, from_ms)
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, delay_s, 0, HOLD_CAP_S)
    decide(s, p, today, now_ms)
    if s.marks & OVERRIDDEN:
        return OVERRIDES
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:
    """What it says that it is doing (protocol.messages.AssetStatus)."""
    if p.traits & STUCK_OFF and s.import_w == 0:
        return 0  # UNPLUGGED
    if s.marks & OVERRIDDEN or s.boost_until_s > 0:
        return 5  # OVERRIDDEN
    if s.marks & HELD:
        return 3  # LIMITED
    if s.import_w > 0:
        return 2  # CHARGING
    if s.marks & HOT:
        return 4  # FULL
    return 1  # WAITING


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:
    """Heat above TAP_C, of what a tank at its set-point holds [%], told by smart cylinders; else -1."""
    if p.traits & SMART == 0:
        return -1
    upper_k = max(0.0, layer_c(s, p, float(s.upper_c), 0.0, now_ms) - TAP_C)
    lower_k = max(0.0, layer_c(s, p, float(s.lower_c), rise_k(s, p), now_ms) - TAP_C)
    warm_k = s.upper_share * upper_k + (1.0 - s.upper_share) * lower_k
    return min(100, int(100.0 * warm_k / (p.set_c - TAP_C)))


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - as every kind
    """The number that is told with an event."""
    if kind == 3:
        return int(s.import_w)
    if kind == 5:
        return int(s.limit_w)
    if kind == 20:
        return int(s.short_mj) // _MJ_PER_WH
    return int(s.lower_c)
