"""The panel heaters of one home: direct electric heat, held by thermostats half-hour by half-hour.

A thermostat cycles every few minutes. What the meter and the house see of it over half an hour is a duty,
so the heaters of a home are one row whose power is constant between events: the power that brings the house
to what its owner wants half an hour from now, as far as the heaters can. It is settled anew at each half-hour
of the weather, at each edge of the owner's schedule, and with each order.

The house is one heat capacity C behind one loss coefficient U, so that for constant weather and power

    T(t) = E + (T(0) - E) exp(-t U / C),    E = outdoors + (P + gains) / U,

is exact. One node is between the air (1-3 h) and the walls (20-60 h) of a real house; kept as simple as what
is known of such homes.

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
from devices.storage_heater import reach_ms, response_delay_s

NEVER_MS = 2**62
HALF_HOUR_MS = 1_800_000
HOLD_CAP_S = 2 * 3600
"""No order holds longer than this: 1-2 h per event for heat without storage (CrowdFlex WP5 table 4)."""
NO_API = 3
"""AckOutcome UNPLUGGED: a plain thermostat has nobody who could obey."""
OVERRIDES = 4
"""AckOutcome OVERRIDDEN."""
FROST_MARGIN_K = 2.0
"""How far below the set-back a home may fall under an order while nobody wants it warm [K]; assumed."""
COLD_K = 1.0
"""An owner who looks finds it cold when so much is missing [K]; assumed."""

OVERRIDDEN, HELD = 1, 2
SMART = 1

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
        ("room_c", "f8"),
        ("gains_mj", "f8"),  # heat of people, sun and appliances
        ("lost_mj", "f8"),  # to outdoors
        ("marks", "u1"),  # OVERRIDDEN | HELD
    ]
)
"""What a home's heaters do: 67 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),  # SMART
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("rating_w", "i4"),  # all heaters together
        ("response_s", "i4"),
        ("loss_w_per_k", "f8"),
        ("mj_per_k", "f8"),
        ("gains_w", "f8"),
        ("warm_c", "f8"),  # wanted while the schedule is on
        ("setback_c", "f8"),  # wanted otherwise
        ("floor_c", "f8"),  # colder than this no order holds the heaters off while the schedule is on
        ("ceiling_k", "f8"),  # a turn-up heats so far above what is wanted
    ]
)

DIARY = np.dtype(
    [
        ("warm_from_ms", "i8", (2,)),
        ("warm_until_ms", "i8", (2,)),
        ("look_ms", "i8"),  # the owner looks, and takes over if held in the cold
        ("heats", "u1"),  # 0: off for the warm season
    ]
)
"""The schedule of a home, from one planning moment to the next."""


class Today(NamedTuple):
    """What all rows share: outdoor temperature by half-hour from `first_ms`, shape (regions, half-hours)."""

    first_ms: int
    outdoor_c: np.ndarray[Any, Any]
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of a home's panel heaters."""

    DRAWING = 3  # value: W
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    OVERRIDDEN = 7  # the owner, or the comfort floor
    ORDER = 11  # value: AckOutcome


_OVERRIDDEN_BIT = 1 << 7


@scalar
def outdoor_c(today: Any, region: int, now_ms: int) -> float:
    """The weather of the half-hour that holds `now_ms` [C]; the first or last one beyond the ends."""
    place = (now_ms - int(today.first_ms)) // HALF_HOUR_MS
    return float(today.outdoor_c[region, min(max(place, 0), today.outdoor_c.shape[1] - 1)])


@scalar
def next_half_hour_ms(at_ms: int) -> int:
    """The first half-hour of UTC after `at_ms`."""
    return (at_ms // HALF_HOUR_MS + 1) * HALF_HOUR_MS


@scalar
def tends_to_c(p: Any, power_w: float, outdoors_c: float) -> float:
    """Where the room would end at constant power and weather [C]."""
    return float(outdoors_c + (power_w + p.gains_w) / p.loss_w_per_k)


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - as every kind
    """Live at constant power until now, half-hour of weather by half-hour."""
    k = p.loss_w_per_k / p.mj_per_k
    while s.at_ms < now_ms:
        end_ms = min(now_ms, next_half_hour_ms(int(s.at_ms)))
        lived_ms = end_ms - int(s.at_ms)
        end_c = tends_to_c(p, int(s.import_w), outdoor_c(today, int(p.region), int(s.at_ms)))
        left = math.exp(-k * lived_ms)
        came_mj = (int(s.import_w) + p.gains_w) * lived_ms
        s.lost_mj = s.lost_mj + came_mj + p.mj_per_k * (s.room_c - end_c) * (1.0 - left)
        s.room_c = end_c + (s.room_c - end_c) * left
        s.gains_mj = s.gains_mj + p.gains_w * lived_ms
        s.register_mj = int(s.register_mj) + int(s.import_w) * lived_ms
        s.at_ms = end_ms


@scalar
def is_warm_time(d: Any, now_ms: int) -> bool:
    """Whether the owner's schedule asks for warmth."""
    for k in range(2):  # noqa: SIM110 - a loop compiles, a generator does not
        if d.warm_from_ms[k] <= now_ms < d.warm_until_ms[k]:
            return True
    return False


@scalar
def wanted_c(p: Any, d: Any, now_ms: int) -> float:
    """What the owner's schedule asks for [C]."""
    if is_warm_time(d, now_ms):
        return float(p.warm_c)
    return float(p.setback_c)


@scalar
def floor_c(p: Any, d: Any, now_ms: int) -> float:
    """Below this no order holds the heaters off [C]."""
    if is_warm_time(d, now_ms):
        return float(p.floor_c)
    return float(p.setback_c - FROST_MARGIN_K)


@scalar
def is_told_to_heat(s: Any, p: Any) -> bool:
    """Whether an order in force asks for all that the heaters can take."""
    return bool(s.limit_w != NO_LIMIT_W and s.limit_w >= p.rating_w and s.marks & OVERRIDDEN == 0)


@scalar
def wants_w(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> int:
    """The power that reaches what is wanted half an hour from now, as far as the heaters can [W]."""
    if d.heats == 0 or is_dark(today.cuts_ms, int(p.region), int(p.restart_s), now_ms):
        return 0
    goal_c = wanted_c(p, d, now_ms)
    if is_told_to_heat(s, p):
        goal_c += p.ceiling_k
    left = math.exp(-p.loss_w_per_k / p.mj_per_k * HALF_HOUR_MS)
    end_c = (goal_c - s.room_c * left) / (1.0 - left)
    exact_w = p.loss_w_per_k * (end_c - outdoor_c(today, int(p.region), now_ms)) - p.gains_w
    return int(min(max(exact_w, 0.0), float(p.rating_w)))


@scalar
def decide(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:
    """Set the power that follows from everything known now; below its floor a home takes over."""
    if s.limit_w == NO_LIMIT_W:
        s.marks = s.marks & (255 - OVERRIDDEN)
    wanted_w = wants_w(s, p, d, today, now_ms)
    s.import_w = wanted_w
    s.marks = s.marks & (255 - HELD)
    if s.limit_w != NO_LIMIT_W and wanted_w > s.limit_w and s.marks & OVERRIDDEN == 0:
        if s.room_c <= floor_c(p, d, now_ms):
            s.marks = s.marks | OVERRIDDEN
        else:
            s.marks = s.marks | HELD
            s.import_w = int(s.limit_w)


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now, then the new power; gives (bits, -1)."""
    before_ms = int(s.at_ms)
    integrate(s, p, d, today, now_ms)
    was = int(s.marks)
    bits = turn(s, now_ms)
    looks = before_ms < d.look_ms <= now_ms
    if looks and s.marks & HELD and s.room_c < wanted_c(p, d, now_ms) - COLD_K:
        s.marks = s.marks | OVERRIDDEN
    decide(s, p, d, today, now_ms)
    if s.marks & OVERRIDDEN and was & OVERRIDDEN == 0:
        bits |= _OVERRIDDEN_BIT
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    at_ms = int(s.at_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    if d.heats == 0:
        if s.import_w == 0:
            return best_ms
        return min(best_ms, next_half_hour_ms(at_ms))
    best_ms = min(best_ms, next_half_hour_ms(at_ms))
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), int(p.restart_s), at_ms, best_ms)
    best_ms = sooner(at_ms, int(d.look_ms), best_ms)
    for k in range(2):
        best_ms = sooner(at_ms, int(d.warm_from_ms[k]), best_ms)
        best_ms = sooner(at_ms, int(d.warm_until_ms[k]), best_ms)
    if s.marks & HELD:
        end_c = tends_to_c(p, int(s.import_w), outdoor_c(today, int(p.region), at_ms))
        wait_ms = reach_ms(float(s.room_c), end_c, floor_c(p, d, at_ms), p.loss_w_per_k / p.mj_per_k)
        if wait_ms < NEVER_MS:
            best_ms = min(best_ms, at_ms + wait_ms)
    return best_ms


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

    Acts `response_s` after hearing of it, or on time if told so early. Below its comfort floor a home says
    OVERRIDDEN and heats.
    """
    if p.traits & SMART == 0:
        return NO_API
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    if s.marks & OVERRIDDEN:
        return OVERRIDES
    if limit_w < NO_LIMIT_W:
        limit_w = 0  # asked for an export that it cannot give
    delay_s = response_delay_s(int(p.response_s), now_ms, from_ms)
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, delay_s, 0, HOLD_CAP_S)
    decide(s, p, d, today, now_ms)
    if s.marks & OVERRIDDEN:
        return OVERRIDES
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:  # noqa: ARG001 - as every kind
    """What it says that it is doing (protocol.messages.AssetStatus)."""
    if s.marks & OVERRIDDEN:
        return 5  # OVERRIDDEN
    if s.marks & HELD:
        return 3  # LIMITED
    if s.import_w > 0:
        return 2  # CHARGING
    return 4  # FULL


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:  # noqa: ARG001 - thermostats tell in steps
    """Warmth, told by smart thermostats: 0 at the comfort floor, 100 as warm as orders may make it; else -1.

    As of its last event, half an hour ago at most while it heats.
    """
    if p.traits & SMART == 0:
        return -1
    share = (s.room_c - p.floor_c) / (p.warm_c + p.ceiling_k - p.floor_c)
    return int(100.0 * min(max(share, 0.0), 1.0))


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - as every kind
    """The number that is told with an event."""
    if kind == 3:
        return int(s.import_w)
    if kind == 5:
        return int(s.limit_w)
    return int(s.room_c)
