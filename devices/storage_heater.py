"""The night storage heaters of one home: bricks that are charged in the night hours and give heat by day.

Three to five heaters of one make are one row. `core_mj` is the heat in the bricks above room temperature; it
decays as exp(-t / time constant), slowly with the damper closed and faster with it open, so that between
events

    core(t) = P / k + (core(0) - P / k) exp(-k t),    heat given = P t - (core(t) - core(0)),

is exact and needs no time step. The room is a fixed reference here: the core stands hundreds of kelvin above
it. What is given while the damper is open is `given_mj` (used), what is given while it is closed `leaked_mj`
(it warms the home too, but not when anybody asked).

The supply is switched by the meter: in the night hours of the region, late or early by the meter's own
offset. A teleswitch that has failed is stuck on, stuck off, or has the wrong offset. Such heaters obey
nobody; only smart ones do.

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

NEVER_MS = 2**62
HOLD_CAP_S = 6 * 3600
"""No order holds longer than this: 4-6 h per event for heat with storage (CrowdFlex WP5 table 4)."""
NO_API = 3
"""AckOutcome UNPLUGGED: behind a teleswitch or a plain load switch there is nobody who could obey."""
OVERRIDES = 4
"""AckOutcome OVERRIDDEN."""

OVERRIDDEN, HELD, FULL, OPEN = 1, 2, 4, 8
STUCK_ON, STUCK_OFF, SMART = 1, 2, 4

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
        ("core_mj", "f8"),  # heat in the bricks above room temperature
        ("given_mj", "f8"),  # given to the room with the damper open, and by the boost element
        ("leaked_mj", "f8"),  # given with the damper closed
        ("target_mj", "i8"),  # where the charge control stops tonight
        ("boost_until_s", "i4"),  # 0: no boost
        ("marks", "u1"),  # OVERRIDDEN | HELD | FULL | OPEN
    ]
)
"""What a home's heaters do: 79 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),  # STUCK_ON | STUCK_OFF | SMART
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("floor_pct", "u1"),  # of tonight's target: below it no order holds the heaters off
        ("unit_w", "i4"),  # one heater
        ("rating_w", "i4"),  # all of them
        ("boost_w", "i4"),  # direct element, on the day circuit
        ("offset_s", "i4"),  # by which its switch is late (negative: early)
        ("signal_offset_s", "i4"),  # the same while its teleswitch hears the radio signal
        ("response_s", "i4"),  # from hearing an order to acting on it
        ("capacity_mj", "i8"),  # where the core's own thermostat cuts out
        ("band_mj", "i8"),  # hysteresis of the charge control
        ("closed_per_ms", "f8"),  # 1 / time constant, damper closed
        ("open_per_ms", "f8"),  # 1 / time constant, damper open
    ]
)

DIARY = np.dtype(
    [
        ("forecast_ms", "i8"),  # when the charge control settles tonight's target
        ("tonight_mj", "i8"),  # that target
        ("open_ms", "i8", (2,)),  # the damper opens ...
        ("close_ms", "i8", (2,)),  # ... and closes
        ("look_ms", "i8"),  # the owner finds the room cold, and presses boost if the core is low
        ("boost_below_mj", "i8"),  # 0: never
        ("boost_for_s", "i4"),
    ]
)
"""The day of a home, from one planning moment to the next."""


class Today(NamedTuple):
    """What all rows share: the night hours of each region, shape (regions, windows, 2) [UTC ms].

    Windows of the night before and after are there too, because a switch may be hours wrong. Unused places
    hold NEVER_MS twice.
    """

    night_ms: np.ndarray[Any, Any]
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`
    silent_from_ms: int = 0  # the radio signal ends: teleswitches fail from then on


class EventKind(IntEnum):
    """What can be told of a home's storage heaters."""

    DRAWING = 3  # value: W
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    BOOSTED = 7  # the owner, or the comfort floor
    ORDER = 11  # value: AckOutcome
    NIGHT_BEGAN = 20  # value: heat in the core in Wh
    NIGHT_ENDED = 21  # value: heat in the core in Wh
    CORE_FULL = 22  # value: heat in the core in Wh


_MJ_PER_WH = 3_600_000
_BOOSTED_BIT, _BEGAN_BIT, _ENDED_BIT, _FULL_BIT = 1 << 7, 1 << 20, 1 << 21, 1 << 22


@scalar
def in_night(night_ms: Any, region: int, offset_ms: int, now_ms: int) -> bool:
    """Whether a switch that is `offset_ms` late gives night supply now."""
    for k in range(night_ms.shape[1]):
        if night_ms[region, k, 0] <= now_ms - offset_ms < night_ms[region, k, 1]:
            return True
    return False


@scalar
def next_switch_ms(night_ms: Any, region: int, offset_ms: int, at_ms: int, best_ms: int) -> int:
    """The earlier of `best_ms` and the next moment after `at_ms` at which that switch turns."""
    for k in range(night_ms.shape[1]):
        for edge in range(2):
            best_ms = sooner(at_ms, int(night_ms[region, k, edge]) + offset_ms, best_ms)
    return best_ms


@scalar
def reach_ms(level: float, tends_to: float, goal: float, per_ms: float) -> int:
    """Whole ms, rounded up, until a level that decays towards `tends_to` has reached `goal`.

    At least 1, so that every event is progress; NEVER_MS for a goal that does not lie on the way.
    """
    if goal == tends_to:
        return NEVER_MS
    ratio = (level - tends_to) / (goal - tends_to)
    if ratio < 1.0:
        return NEVER_MS
    exact_ms = math.log(ratio) / per_ms
    if exact_ms > 1e15:
        return NEVER_MS
    whole_ms = int(exact_ms)
    if whole_ms < exact_ms:
        whole_ms += 1
    return max(1, whole_ms)


@scalar
def offset_ms(p: Any, today: Any, now_ms: int) -> int:
    """By how much its switch is late."""
    if now_ms < today.silent_from_ms:
        return int(p.signal_offset_s) * 1000
    return int(p.offset_s) * 1000


@scalar
def next_supply_ms(p: Any, today: Any, at_ms: int, best_ms: int) -> int:
    """The earlier of `best_ms` and the next moment at which its supply may come or go."""
    best_ms = sooner(at_ms, int(today.silent_from_ms), best_ms)
    if at_ms >= today.silent_from_ms and p.traits & (STUCK_ON | STUCK_OFF):
        return best_ms
    return next_switch_ms(today.night_ms, int(p.region), offset_ms(p, today, at_ms), at_ms, best_ms)


@scalar
def has_supply(p: Any, today: Any, now_ms: int) -> bool:
    """Whether the meter's load switch is closed."""
    if now_ms >= today.silent_from_ms and p.traits & (STUCK_ON | STUCK_OFF):
        return bool(p.traits & STUCK_ON)
    return in_night(today.night_ms, int(p.region), offset_ms(p, today, now_ms), now_ms)


@scalar
def is_boosting(s: Any) -> bool:
    """Whether the direct element is on."""
    return bool(s.boost_until_s > 0)


@scalar
def charging_w(s: Any, p: Any) -> int:
    """What goes into the bricks [W]; the boost element heats the room directly."""
    if is_boosting(s):
        return int(s.import_w) - int(p.boost_w)
    return int(s.import_w)


@scalar
def per_ms(s: Any, p: Any) -> float:
    """The rate at which the core gives its heat [1/ms]."""
    if s.marks & OPEN:
        return float(p.open_per_ms)
    return float(p.closed_per_ms)


@scalar
def core_at_mj(s: Any, p: Any, now_ms: int) -> float:
    """The heat in the core at `now_ms`, power and damper unchanged since `at_ms` [mJ]."""
    k = per_ms(s, p)
    tends_to = charging_w(s, p) / k
    return float(tends_to + (s.core_mj - tends_to) * math.exp(-k * (now_ms - int(s.at_ms))))


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - as every kind
    """Live at constant power until now: the register, the core, and the heat that it gave."""
    lived_ms = now_ms - int(s.at_ms)
    k = per_ms(s, p)
    power_w = charging_w(s, p)
    tends_to = power_w / k
    share = 1.0 - math.exp(-k * lived_ms)
    heat_mj = power_w * lived_ms + (s.core_mj - tends_to) * share
    s.core_mj = core_at_mj(s, p, now_ms)
    if s.marks & OPEN:
        s.given_mj = s.given_mj + heat_mj
    else:
        s.leaked_mj = s.leaked_mj + heat_mj
    if is_boosting(s):
        s.given_mj = s.given_mj + float(int(p.boost_w) * lived_ms)
    s.register_mj = int(s.register_mj) + int(s.import_w) * lived_ms
    s.at_ms = now_ms


@scalar
def is_told_to_charge(s: Any, p: Any) -> bool:
    """Whether an order in force asks for all that the heaters can take."""
    return bool(s.limit_w != NO_LIMIT_W and s.limit_w >= p.rating_w and s.marks & OVERRIDDEN == 0)


@scalar
def goal_mj(s: Any, p: Any) -> int:
    """Where charging stops [mJ]: at tonight's target, or full when an order asks for it."""
    if is_told_to_charge(s, p):
        return int(p.capacity_mj)
    return min(int(s.target_mj), int(p.capacity_mj))


@scalar
def floor_mj(s: Any, p: Any) -> int:
    """The comfort floor [mJ]."""
    return int(s.target_mj) * int(p.floor_pct) // 100


@scalar
def wants_w(s: Any, p: Any, today: Any, now_ms: int) -> int:
    """What the charge control would draw if nobody limited it [W]."""
    if s.marks & FULL:
        return 0
    if has_supply(p, today, now_ms) or is_told_to_charge(s, p):
        return int(p.rating_w)
    return 0


@scalar
def decide(s: Any, p: Any, today: Any, now_ms: int) -> None:
    """Set the power that follows from everything known now.

    A limit lets as many whole heaters run as fit under it. Held below its floor, a home takes over.
    """
    if s.limit_w == NO_LIMIT_W:
        s.marks = s.marks & (255 - OVERRIDDEN)
    goal = goal_mj(s, p)
    if s.core_mj >= goal:
        s.marks = s.marks | FULL
    elif s.core_mj <= goal - int(p.band_mj):
        s.marks = s.marks & (255 - FULL)
    wanted_w = wants_w(s, p, today, now_ms)
    if is_dark(today.cuts_ms, int(p.region), int(p.restart_s), now_ms):
        wanted_w = 0
        s.boost_until_s = 0
    allowed_w = wanted_w
    s.marks = s.marks & (255 - HELD)
    if s.limit_w != NO_LIMIT_W and s.marks & OVERRIDDEN == 0:
        allowed_w = min(wanted_w, int(s.limit_w) // int(p.unit_w) * int(p.unit_w))
        if wanted_w > allowed_w and s.core_mj <= floor_mj(s, p):
            s.marks = s.marks | OVERRIDDEN
            allowed_w = wanted_w
        elif wanted_w > allowed_w:
            s.marks = s.marks | HELD
    s.import_w = allowed_w + (int(p.boost_w) if is_boosting(s) else 0)


@scalar
def is_open(d: Any, now_ms: int) -> bool:
    """Whether the owner has the damper open."""
    for k in range(2):  # noqa: SIM110 - a loop compiles, a generator does not
        if d.open_ms[k] <= now_ms < d.close_ms[k]:
            return True
    return False


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now, then the new power; gives (bits, -1)."""
    before_ms = int(s.at_ms)
    integrate(s, p, d, today, now_ms)
    was = int(s.marks)
    bits = 0
    if has_supply(p, today, now_ms) != has_supply(p, today, before_ms):
        bits |= _BEGAN_BIT if has_supply(p, today, now_ms) else _ENDED_BIT
    if before_ms < d.forecast_ms <= now_ms:
        s.target_mj = int(d.tonight_mj)
    s.marks = s.marks & (255 - OPEN)
    if is_open(d, now_ms):
        s.marks = s.marks | OPEN
    if int(s.boost_until_s) * 1000 <= now_ms:
        s.boost_until_s = 0
    dark = is_dark(today.cuts_ms, int(p.region), int(p.restart_s), now_ms)
    if before_ms < d.look_ms <= now_ms and s.core_mj < d.boost_below_mj and not dark:
        s.boost_until_s = (now_ms + 999) // 1000 + int(d.boost_for_s)
        bits |= _BOOSTED_BIT
    bits |= turn(s, now_ms)
    decide(s, p, today, now_ms)
    if s.marks & OVERRIDDEN and was & OVERRIDDEN == 0:
        bits |= _BOOSTED_BIT
    if s.marks & FULL and was & FULL == 0:
        bits |= _FULL_BIT
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    at_ms = int(s.at_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    best_ms = sooner(at_ms, int(d.forecast_ms), best_ms)
    best_ms = sooner(at_ms, int(d.look_ms), best_ms)
    best_ms = sooner(at_ms, int(s.boost_until_s) * 1000, best_ms)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), int(p.restart_s), at_ms, best_ms)
    for k in range(2):
        best_ms = sooner(at_ms, int(d.open_ms[k]), best_ms)
        best_ms = sooner(at_ms, int(d.close_ms[k]), best_ms)
    best_ms = next_supply_ms(p, today, at_ms, best_ms)
    return min(best_ms, next_crossing_ms(s, p, today))


@scalar
def next_crossing_ms(s: Any, p: Any, today: Any) -> int:
    """When the core next reaches a level at which something is decided [ms]; NEVER_MS if none."""
    at_ms = int(s.at_ms)
    k = per_ms(s, p)
    core = float(s.core_mj)
    tends_to = charging_w(s, p) / k
    goal = float(goal_mj(s, p))
    wait_ms = NEVER_MS
    if charging_w(s, p) > 0:
        wait_ms = reach_ms(core, tends_to, goal, k)
    elif s.marks & FULL and (has_supply(p, today, at_ms) or is_told_to_charge(s, p)):
        wait_ms = reach_ms(core, tends_to, goal - float(p.band_mj), k)
    if s.marks & HELD:
        wait_ms = min(wait_ms, reach_ms(core, tends_to, float(floor_mj(s, p)), k))
    if wait_ms == NEVER_MS:
        return NEVER_MS
    return at_ms + wait_ms


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
    OVERRIDDEN and charges.
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
    decide(s, p, today, now_ms)
    if s.marks & OVERRIDDEN:
        return OVERRIDES
    return APPLIED


@scalar
def response_delay_s(response_s: int, now_ms: int, from_ms: int) -> int:
    """How late an order for `from_ms`, heard now, is acted upon [s]: response counts from hearing it."""
    return max(0, response_s - max(0, from_ms - now_ms) // 1000)


@scalar
def status(s: Any, p: Any) -> int:
    """What it says that it is doing (protocol.messages.AssetStatus)."""
    if p.traits & STUCK_OFF and s.import_w == 0:
        return 0  # UNPLUGGED
    if s.marks & OVERRIDDEN or is_boosting(s):
        return 5  # OVERRIDDEN
    if s.marks & HELD:
        return 3  # LIMITED
    if s.import_w > 0:
        return 2  # CHARGING
    if s.marks & FULL:
        return 4  # FULL
    return 1  # WAITING


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:
    """The charge of the core that a smart heater tells [%]; -1 from all others."""
    if p.traits & SMART == 0:
        return -1
    return min(100, int(100.0 * core_at_mj(s, p, now_ms) / int(p.capacity_mj)))


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - as every kind
    """The number that is told with an event."""
    if kind == 3:
        return int(s.import_w)
    if kind == 5:
        return int(s.limit_w)
    return int(s.core_mj) // _MJ_PER_WH
