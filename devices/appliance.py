"""A washing machine, washer-dryer, tumble dryer or dishwasher: loaded, started, and never interrupted.

One row is one appliance. A cycle is a list of phases (duration, power), the same for all of one programme
but for the appliance's own power; what a cycle takes is what its phases add up to, mJ for mJ. Appliances
take no orders: an order that would keep one off reaches its owner as a message. The owner, once it is
read, starts what is loaded later: by hand, by the delay-start timer, or not at all (75 % of households acted
by hand: CNZ). A cycle under way is never touched: a power cut makes it stand still, and it goes on
afterwards where it was (assumed of all makes).

Ties: all that is due at one millisecond happens together, in the order of `happen`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, is_dark, lit_ms, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, next_turn_ms, refusal, sooner, take, turn

NEVER_MS = 2**62
HOLD_CAP_S = 4 * 3600
"""No message moves a start out of a window longer than this: as for cars, CrowdFlex WP5 table 4; assumed."""
TURNAROUND_MS = 15 * 60_000
"""From the end of a cycle to the start of the next that was waiting for the machine: assumed."""

WASHING_MACHINE, WASHER_DRYER, TUMBLE_DRYER, DISHWASHER = 0, 1, 2, 3
IGNORES, BY_HAND, BY_TIMER = 0, 1, 2
HAS_TIMER = 1
MOVED, PAUSED = 1, 2

PHASES: tuple[tuple[tuple[float, int], ...], ...] = (
    ((3, 60), (18, 2070), (80, 150), (25, 120), (12, 300)),
    ((3, 60), (18, 2070), (80, 150), (25, 120), (12, 300), (40, 2500), (20, 40)),
    ((60, 2500),),
    ((5, 80), (17, 2000), (16, 90), (15, 2000), (7, 280)),
)
"""(minutes, W) of each phase by programme. Lengths and means of CREST (Richardson et al. 2010): 138 min at
406 W, 198 min at 792 W, 60 min at 2.5 kW, 60 min at 1.13 kW. Heating 15-25 min at 2.0-2.2 kW [mem]; how the
rest divides is assumed."""

STATE = np.dtype(
    [
        ("at_ms", "i8"),  # the moment up to which this row is integrated
        ("register_mj", "i8"),  # total import since the run began
        ("import_w", "i4"),
        ("limit_w", "i4"),
        ("limit_until_s", "i4"),
        ("pending_limit_w", "i4"),
        ("pending_from_s", "i4"),
        ("pending_for_s", "u2"),
        ("sequence", "i4"),
        ("phase", "u1"),  # 0: off; k: in the k-th phase
        ("marks", "u1"),  # MOVED: the start that waits was moved by a message; PAUSED: no power
        ("queued", "u2"),  # loads that wait for the machine
        ("phase_end_ms", "i8"),  # PAUSED: what is left of the phase
        ("loaded_ms", "i8"),  # when what waits to start was loaded
        ("due_ms", "i8"),  # when it will start; 0: nothing waits
    ]
)
"""What an appliance does: 70 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),  # HAS_TIMER
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("programme", "u1"),  # row of Today's phases
        ("timer_step_s", "i4"),  # the delay-start timer counts in these
        ("power_permille", "i4"),  # of the programme's power
        ("rating_w", "i4"),  # of the strongest phase
        ("cycle_wh", "i4"),
    ]
)
"""What an appliance is."""

DIARY = np.dtype(
    [
        ("load1_ms", "i8"),
        ("start1_ms", "i8"),  # as the owner would choose; after load1_ms by the timer
        ("load2_ms", "i8"),
        ("start2_ms", "i8"),
        ("reads_s", "i4"),  # so long after it came a message is read
        ("after_s", "i4"),  # by hand: started so long after the window's end
        ("acts", "u1"),  # IGNORES, BY_HAND, BY_TIMER
    ]
)
"""What its owner does today; NEVER_MS for a load that is not made."""


class Today(NamedTuple):
    """What all appliances share: their programmes, shape (programmes, phases); a phase of 0 ms ends one."""

    first_ms: int
    phase_ms: np.ndarray[Any, np.dtype[np.int64]]
    phase_w: np.ndarray[Any, np.dtype[np.int64]]
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of an appliance's day."""

    WORKING = 3  # value: W
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    ORDER = 11  # value: AckOutcome
    LOADED = 40
    STARTED = 41  # value: Wh that the cycle will take
    FINISHED = 42  # value: Wh that the cycle took
    MOVED = 43  # a start moved out of a window


def make_today(first_ms: int) -> Today:
    """The programmes of `PHASES` as columns."""
    most = max(len(phases) for phases in PHASES)
    phase_ms, phase_w = np.zeros((2, len(PHASES), most + 1), np.int64)
    for programme, phases in enumerate(PHASES):
        for k, (minutes, power_w) in enumerate(phases):
            phase_ms[programme, k], phase_w[programme, k] = round(minutes * 60_000), power_w
    return Today(first_ms, phase_ms, phase_w)


@scalar
def phase_power_w(p: Any, today: Any, phase: int) -> int:
    """The power of the `phase`-th phase (1 first) [W]."""
    return int(today.phase_w[int(p.programme), phase - 1]) * int(p.power_permille) // 1000


@scalar
def cycle_mj(p: Any, today: Any) -> int:
    """What one cycle takes, phase by phase [mJ]."""
    energy_mj = 0
    for k in range(today.phase_ms.shape[1]):
        energy_mj += int(today.phase_ms[int(p.programme), k]) * phase_power_w(p, today, k + 1)
    return energy_mj


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - as all kinds
    """Live at constant power until now."""
    s.register_mj = int(s.register_mj) + int(s.import_w) * (now_ms - int(s.at_ms))
    s.at_ms = now_ms


@scalar
def load(s: Any, now_ms: int, start_ms: int) -> None:
    """Fill the machine, or wait for it where it is full."""
    if s.phase == 0 and s.due_ms == 0:
        s.loaded_ms = now_ms
        s.due_ms = max(start_ms, now_ms)
    else:
        s.queued = s.queued + 1


@scalar
def enter(s: Any, p: Any, today: Any, now_ms: int, phase: int) -> bool:
    """Go into a phase; whether the cycle ends because there is none left."""
    length_ms = int(today.phase_ms[int(p.programme), phase - 1])
    if length_ms == 0:
        s.phase = 0
        s.import_w = 0
        if s.queued > 0:
            s.queued = s.queued - 1
            s.loaded_ms = now_ms
            s.due_ms = now_ms + TURNAROUND_MS
        return True
    s.phase = phase
    s.phase_end_ms = now_ms + length_ms
    s.import_w = phase_power_w(p, today, phase)
    return False


@scalar
def pause(s: Any, p: Any, today: Any, now_ms: int, dark: bool) -> None:
    """Stand still while there is no power, and go on with what is left of the phase."""
    if dark and s.marks & PAUSED == 0:
        s.marks = s.marks | PAUSED
        s.phase_end_ms = max(int(s.phase_end_ms) - now_ms, 1)
        s.import_w = 0
    elif s.marks & PAUSED and not dark:
        s.marks = s.marks & (255 - PAUSED)
        s.phase_end_ms = now_ms + int(s.phase_end_ms)
        s.import_w = phase_power_w(p, today, int(s.phase))


@scalar
def moves(s: Any, p: Any, d: Any) -> bool:
    """Whether the owner, who has read the message, keeps the machine off now."""
    if d.acts == IGNORES or s.limit_w == NO_LIMIT_W:
        return False
    return bool(s.limit_w < p.rating_w)


@scalar
def moved_to_ms(s: Any, p: Any, d: Any) -> int:
    """When the owner starts instead.

    By the timer: the first whole number of its steps from loading that ends no earlier than the window.
    """
    end_ms = int(s.limit_until_s) * 1000
    if d.acts == BY_TIMER and p.traits & HAS_TIMER:
        step_ms = int(p.timer_step_s) * 1000
        steps = (end_ms - int(s.loaded_ms) + step_ms - 1) // step_ms
        return int(s.loaded_ms) + steps * step_ms
    return end_ms + int(d.after_s) * 1000


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now: (bits of EventKind, -1: nobody was promised anything)."""
    before_ms = int(s.at_ms)
    integrate(s, p, d, today, now_ms)
    bits = turn(s, now_ms)
    dark = is_dark(today.cuts_ms, int(p.region), int(p.restart_s), now_ms)
    if s.phase > 0:
        pause(s, p, today, now_ms, dark)
    running = s.phase > 0 and not dark
    if running and s.phase_end_ms <= now_ms and enter(s, p, today, now_ms, int(s.phase) + 1):
        bits |= 1 << 42
    if before_ms < d.load1_ms <= now_ms:
        load(s, now_ms, int(d.start1_ms))
        bits |= 1 << 40
    if before_ms < d.load2_ms <= now_ms:
        load(s, now_ms, int(d.start2_ms))
        bits |= 1 << 40
    if s.due_ms != 0 and s.due_ms <= now_ms and dark:
        s.due_ms = lit_ms(today.cuts_ms, int(p.region), int(p.restart_s), now_ms)
    if s.due_ms != 0 and s.due_ms <= now_ms:
        if moves(s, p, d):
            s.due_ms = moved_to_ms(s, p, d)
            s.marks = MOVED
            bits |= 1 << 43
        else:
            s.due_ms = 0
            s.marks = 0
            enter(s, p, today, now_ms, 1)
            bits |= 1 << 41
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight.

    What the machine itself has to do is done late rather than never.
    """
    at_ms = int(s.at_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    best_ms = sooner(at_ms, int(d.load1_ms), best_ms)
    best_ms = sooner(at_ms, int(d.load2_ms), best_ms)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), int(p.restart_s), at_ms, best_ms)
    if s.marks & PAUSED:
        return best_ms
    if s.phase > 0:
        best_ms = min(best_ms, max(int(s.phase_end_ms), at_ms + 1))
    elif s.due_ms != 0:
        best_ms = min(best_ms, max(int(s.due_ms), at_ms + 1))
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
    response_dsr: bool,  # noqa: ARG001 - as all kinds
) -> int:
    """Bring the owner a message; gives its AckOutcome, which says that it came, not that anybody acts.

    It counts from when it is read. Read when the window is over, it moves nothing.
    """
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    read_ms = max(from_ms, now_ms + int(d.reads_s) * 1000)
    if limit_w != NO_LIMIT_W and (read_ms + 999) // 1000 >= until_ms // 1000:
        s.sequence = sequence
        return APPLIED
    take(s, now_ms, limit_w, read_ms, until_ms, sequence, 0, 0, HOLD_CAP_S)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:  # noqa: ARG001 - as all kinds
    """What it is doing (protocol.messages.AssetStatus)."""
    if s.phase > 0:
        return 2  # CHARGING
    if s.due_ms != 0:
        return 3 if s.marks & MOVED else 1  # LIMITED, WAITING
    return 4  # FULL


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:  # noqa: ARG001 - as all kinds
    """Nothing is told."""
    return -1


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - as all kinds
    """The number told with an event."""
    if kind in (41, 42):
        return int(p.cycle_wh)
    if kind == 5:
        return int(s.limit_w)
    return int(s.import_w)
