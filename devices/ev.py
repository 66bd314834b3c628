"""An electric car at its home charge point: what it is, what it does, and what happens to it.

Power is constant between events, so energy needs no time step: import [W] x time [ms] = energy [mJ],
exactly, in integers. The battery is counted on the AC side (`charge_mj`: the import that put the charge
there), so that what the meter registers and what the battery gains are the same number; the charging loss
is the fixed share `1 - efficiency` of it (about 10 %, realism.md section 1).

Ties: all that is due at one millisecond happens together, in the order of `happen`; orders come after it,
readings last.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, is_dark, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, forget, next_turn_ms, refusal, sooner, take, turn

NEVER_MS = 2**62
MJ_PER_WH = 3_600_000
PAUSE_BELOW_W = 1380
"""Below 6 A (230 V) a Type 2 charge point can only pause: IEC 61851-1."""
HOLD_CAP_S = 4 * 3600
"""No order holds a car longer than this, whatever it says: CrowdFlex WP5 table 4, 4 h per event."""

HALF_DAY_MS = 12 * 3_600_000
"""A deadline further off than this is none that a car leaves early for: it is the next session's. Assumed."""

AWAY, PLUGGED = 0, 1
OVERRIDDEN, ASLEEP, HELD = 1, 2, 4
IGNORES_PAUSE, SLEEPS_AFTER_PAUSE, KEEPS_DEFAULT_SCHEDULE, TELLS_SOC, FOLLOWS_TARIFF = 1, 2, 4, 8, 16

STATE = np.dtype(
    [
        ("at_ms", "i8"),  # the moment up to which this row is integrated
        ("register_mj", "i8"),  # total import since the run began
        ("import_w", "i4"),
        ("limit_w", "i4"),  # NO_LIMIT_W or the limit in force
        ("limit_until_s", "i4"),
        ("pending_limit_w", "i4"),  # an order that waits for its start
        ("pending_from_s", "i4"),  # 0: none waits
        ("pending_for_s", "u2"),
        ("sequence", "i4"),  # of the last order taken
        ("charge_mj", "i8"),  # in the battery, AC side
        ("phase", "u1"),  # AWAY or PLUGGED
        ("marks", "u1"),  # OVERRIDDEN | ASLEEP | HELD
    ]
)
"""What a car does: 52 bytes. With its place in the calendar (`next_ms`, 8 bytes) a row is 60 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),  # of its asset meter, gain error included
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),  # its own moment within read_every_ms
        ("device", "i8"),  # stable identity
        ("traits", "u1"),
        ("region", "u1"),
        ("pct_per_mj", "f8"),  # 100 / battery_mj
        ("stop_mj", "i8"),  # where charging stops by itself
        ("battery_mj", "i8"),  # usable battery, AC side
        ("taper_mj", "i8"),  # above this the car asks for less
        ("target_mj", "i8"),  # what the owner wants by the deadline
        ("floor_mj", "i8"),  # below this the driver charges elsewhere
        ("charger_w", "i4"),
        ("taper_w", "i4"),
    ]
)
"""What a car and its charge point are; what a reading needs lies together, in front."""

DIARY = np.dtype(
    [
        ("leave_ms", "i8"),
        ("return_ms", "i8"),
        ("start_ms", "i8"),  # of a session begun at this return: random delay of SI 2021/1467 reg. 11 over
        ("unplug_ms", "i8"),  # a session cut short
        ("look_ms", "i8"),  # the driver looks, and presses boost if held back or asleep
        ("ready_ms", "i8"),  # the deadline: this morning, or in the night to come
        ("drive_mj", "i8"),  # what the day's driving takes from the battery, AC side
        ("plug_below_mj", "i8"),  # plugs in on return if the charge is at most this
        ("delay_s", "i4"),  # random delay at a change of rate that is not response DSR
        ("typed_error_pct", "i2"),  # error of a typed state of charge
        ("types_soc", "u1"),
    ]
)
"""What its people do today, from one planning moment (early morning) to the next."""


NO_WINDOWS_MS = np.empty((0, 2), np.int64)


class Today(NamedTuple):
    """What all cars share from one planning moment to the next."""

    quiet_ms: Any  # off hours of the preset schedule, half-open (windows, 2) [UTC ms]
    deadline_step_ms: int = 24 * 3_600_000  # from this morning's deadline to tomorrow's: 23, 24 or 25 h
    cuts_ms: Any = NO_CUTS_MS  # power cuts, half-open (regions, cuts, 2) [UTC ms]
    dear_ms: Any = NO_WINDOWS_MS  # hours that cars on a time-of-use tariff leave out (windows, 2) [UTC ms]


class EventKind(IntEnum):
    """What can be told of a car's day."""

    PLUGGED_IN = 1
    UNPLUGGED = 2
    CHARGING = 3  # value: W
    STOPPED = 4  # value: charge in Wh
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    BOOSTED = 7
    READY_CHECK = 8  # value: shortfall in Wh
    LEFT = 9  # drove away, plugged in before or not
    RETURNED = 10  # value: drive in Wh
    ORDER = 11  # value: AckOutcome


TOLD = (
    EventKind.READY_CHECK, EventKind.UNPLUGGED, EventKind.LEFT, EventKind.RETURNED, EventKind.PLUGGED_IN,
    EventKind.HELD_BACK, EventKind.LIMIT_ENDED, EventKind.BOOSTED,
)  # fmt: skip
"""The order in which what happened at one moment is told."""


@scalar
def is_due(before_ms: int, at_ms: int, now_ms: int) -> bool:
    """Whether a moment lies after the last one lived and not after now."""
    return before_ms < at_ms <= now_ms


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - every kind's signature
    """Live at constant power until now: the import goes to the register and into the battery, mJ for mJ."""
    energy_mj = int(s.import_w) * (now_ms - int(s.at_ms))
    s.charge_mj = int(s.charge_mj) + energy_mj
    s.register_mj = int(s.register_mj) + energy_mj
    s.at_ms = now_ms


@scalar
def in_quiet_hours(quiet_ms: Any, delay_s: int, now_ms: int) -> bool:
    """Whether a schedule keeps the charger off: the preset one, or one that its owner set by a tariff.

    No charging in its off hours (SI 2021/1467 reg. 10), nor in the random delay after them.
    """
    for k in range(quiet_ms.shape[0]):  # noqa: SIM110 - a loop compiles, a generator does not
        if quiet_ms[k, 0] <= now_ms < quiet_ms[k, 1] + delay_s * 1000:
            return True
    return False


@scalar
def wants_w(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> int:
    """What the car would draw if nobody limited it [W]."""
    if s.phase != PLUGGED or s.charge_mj >= p.stop_mj:
        return 0
    if is_dark(today.cuts_ms, int(p.region), int(d.delay_s), now_ms):  # back after reg. 11's delay
        return 0
    told_to_charge = s.limit_w != NO_LIMIT_W and s.limit_w >= p.charger_w
    if s.marks & OVERRIDDEN == 0 and not told_to_charge:
        if d.return_ms <= now_ms < d.start_ms:
            return 0
        if p.traits & KEEPS_DEFAULT_SCHEDULE and in_quiet_hours(today.quiet_ms, int(d.delay_s), now_ms):
            return 0
        if p.traits & FOLLOWS_TARIFF and in_quiet_hours(today.dear_ms, int(d.delay_s), now_ms):
            return 0
    if s.charge_mj >= p.taper_mj:
        return int(p.taper_w)
    return int(p.charger_w)


@scalar
def limited_w(s: Any, p: Any, wanted_w: int) -> int:
    """What it draws of `wanted_w` under the limit in force [W].

    Not all cars pause when asked (Kaluza D2EV).
    """
    if s.marks & OVERRIDDEN or s.limit_w == NO_LIMIT_W:
        return wanted_w
    if s.limit_w >= PAUSE_BELOW_W:
        return min(wanted_w, int(s.limit_w))
    if p.traits & IGNORES_PAUSE:
        return wanted_w
    return 0


@scalar
def decide(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:
    """Set the power that follows from everything known now."""
    wanted_w = wants_w(s, p, d, today, now_ms)
    allowed_w = limited_w(s, p, wanted_w)
    s.marks = s.marks & (255 - HELD)
    if wanted_w > allowed_w:
        s.marks = s.marks | HELD
        if allowed_w == 0 and p.traits & SLEEPS_AFTER_PAUSE:
            s.marks = s.marks | ASLEEP
    if s.marks & ASLEEP and s.marks & OVERRIDDEN == 0:
        allowed_w = 0
    s.import_w = allowed_w


@scalar
def is_kept_from_charging(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> bool:
    """Whether a driver who looks finds that the car charges less than it wants, or not at all."""
    asleep = s.marks & ASLEEP != 0 and wants_w(s, p, d, today, now_ms) > 0
    return s.marks & HELD != 0 or asleep


@scalar
def unplug(s: Any) -> None:
    """End the session: limits, boost and sleep end with it."""
    s.phase = AWAY
    s.marks = 0
    forget(s)


@scalar
def shortfall_mj(s: Any, p: Any) -> int:
    """What is missing to the owner's wish [mJ, AC side]."""
    return max(0, int(p.target_mj) - int(s.charge_mj))


@scalar
def come_home(s: Any, p: Any, d: Any) -> None:
    """Take the day's driving from the battery; plug in if the driver finds the charge low enough."""
    s.charge_mj = max(int(s.charge_mj) - int(d.drive_mj), min(int(p.floor_mj), int(s.charge_mj)))
    if s.charge_mj <= d.plug_below_mj:
        s.phase = PLUGGED


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now, then the new power.

    Gives (bits, shortfall): bit k set for each EventKind k of plug, limit and promise that happened, and the
    promise's shortfall [mJ] where one was judged (else -1).
    """
    before_ms = int(s.at_ms)
    integrate(s, p, d, today, now_ms)
    bits = 0
    shortfall = -1
    if is_due(before_ms, d.ready_ms, now_ms) and s.phase == PLUGGED:
        shortfall = shortfall_mj(s, p)
        bits |= 1 << 8
    goes = is_due(before_ms, d.unplug_ms, now_ms) or is_due(before_ms, d.leave_ms, now_ms)
    if goes and s.phase == PLUGGED:
        bits |= 1 << 2
        # Who leaves before the deadline and is not back by then is judged by what he leaves with.
        if now_ms == d.leave_ms and now_ms < d.ready_ms < min(d.return_ms, now_ms + HALF_DAY_MS):
            shortfall = shortfall_mj(s, p)
            bits |= 1 << 8
        unplug(s)
    if is_due(before_ms, d.leave_ms, now_ms):
        bits |= 1 << 9
    if is_due(before_ms, d.return_ms, now_ms):
        bits |= 1 << 10
        come_home(s, p, d)
        if s.phase == PLUGGED:
            bits |= 1 << 1
    bits |= turn(s, now_ms)
    if is_due(before_ms, d.look_ms, now_ms) and is_kept_from_charging(s, p, d, today, now_ms):
        s.marks = s.marks | OVERRIDDEN
        bits |= 1 << 7
    decide(s, p, d, today, now_ms)
    return bits, shortfall


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    at_ms = int(s.at_ms)
    best_ms = sooner(at_ms, int(d.leave_ms), NEVER_MS)
    best_ms = sooner(at_ms, int(d.return_ms), best_ms)
    if s.phase != PLUGGED:
        return best_ms
    best_ms = sooner(at_ms, int(d.unplug_ms), best_ms)
    best_ms = sooner(at_ms, int(d.ready_ms), best_ms)
    best_ms = next_turn_ms(s, best_ms)
    if s.marks & (HELD | ASLEEP):
        best_ms = sooner(at_ms, int(d.look_ms), best_ms)
    if s.charge_mj >= p.stop_mj:
        return best_ms
    best_ms = sooner(at_ms, int(d.start_ms), best_ms)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), int(d.delay_s), at_ms, best_ms)
    if p.traits & KEEPS_DEFAULT_SCHEDULE:
        quiet_ms = today.quiet_ms
        for k in range(quiet_ms.shape[0]):
            best_ms = sooner(at_ms, int(quiet_ms[k, 0]), best_ms)
            best_ms = sooner(at_ms, int(quiet_ms[k, 1]) + int(d.delay_s) * 1000, best_ms)
    if p.traits & FOLLOWS_TARIFF:
        dear_ms = today.dear_ms
        for k in range(dear_ms.shape[0]):
            best_ms = sooner(at_ms, int(dear_ms[k, 0]), best_ms)
            best_ms = sooner(at_ms, int(dear_ms[k, 1]) + int(d.delay_s) * 1000, best_ms)
    if s.import_w > 0:
        goal_mj = int(p.stop_mj)
        if s.charge_mj < p.taper_mj and p.taper_mj < p.stop_mj:
            goal_mj = int(p.taper_mj)
        missing_mj = goal_mj - int(s.charge_mj)
        best_ms = min(best_ms, at_ms + (missing_mj + int(s.import_w) - 1) // int(s.import_w))
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
    response_dsr: bool,
) -> int:
    """Take or refuse one order; gives its AckOutcome. Own events due until now have happened already.

    The random delay applies to every change of rate but those of response DSR, and to the return to own will
    at the end (SI 2021/1467 reg. 11).
    """
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    if s.phase != PLUGGED:
        return 3  # UNPLUGGED
    if s.marks & OVERRIDDEN:
        return 4  # OVERRIDDEN
    delay_s = int(d.delay_s)
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, 0 if response_dsr else delay_s, delay_s, HOLD_CAP_S)
    decide(s, p, d, today, now_ms)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:
    """What it says that it is doing (protocol.messages.AssetStatus)."""
    if s.phase != PLUGGED:
        return 0  # UNPLUGGED
    if s.marks & OVERRIDDEN:
        return 5  # OVERRIDDEN
    if s.marks & HELD:
        return 3  # LIMITED
    if s.import_w > 0:
        return 2  # CHARGING
    if s.charge_mj >= p.stop_mj:
        return 4  # FULL
    return 1  # WAITING


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:
    """State of charge told with a reading, -1 from a charge point that knows none."""
    if p.traits & TELLS_SOC == 0:
        return -1
    lived_mj = int(s.import_w) * (now_ms - int(s.at_ms))
    return int((int(s.charge_mj) + lived_mj) * p.pct_per_mj)


@scalar
def told_soc_pct(s: Any, p: Any, d: Any) -> int:
    """What is told of the charge at plug-in [%]: known, typed by the driver with an error, or -1."""
    true_pct = int(int(s.charge_mj) * p.pct_per_mj)
    if p.traits & TELLS_SOC:
        return true_pct
    if d.types_soc:
        return min(100, max(0, true_pct + int(d.typed_error_pct)))
    return -1


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - every kind's signature
    """The number told with an event; the drive told on return is the diary's."""
    if kind == 3:
        return int(s.import_w)
    if kind in (1, 4):
        return int(s.charge_mj) // MJ_PER_WH
    if kind == 5:
        return int(s.limit_w)
    if kind == 8:
        return shortfall_mj // MJ_PER_WH
    return 0


@scalar
def diary_value(kind: int, d: Any) -> int:
    """The number told with an event that the diary holds and the state does not: the drive, on return."""
    if kind == 10:
        return int(d.drive_mj) // MJ_PER_WH
    return 0


def make_spec(n: int) -> np.ndarray[Any, Any]:
    """Empty specification rows."""
    return np.zeros(n, SPEC)


def make_state(charge_mj: Any, start_ms: int) -> np.ndarray[Any, Any]:
    """Cars that are away, with `charge_mj` (n,) in their batteries."""
    state = np.zeros(len(charge_mj), STATE)
    state["at_ms"] = start_ms
    state["charge_mj"] = charge_mj
    state["limit_w"] = NO_LIMIT_W
    return state


def idle_diary(n: int) -> np.ndarray[Any, Any]:
    """A day on which nobody does anything."""
    diary = np.zeros(n, DIARY)
    for column in ("leave_ms", "return_ms", "unplug_ms", "look_ms", "ready_ms"):
        diary[column] = NEVER_MS
    return diary
