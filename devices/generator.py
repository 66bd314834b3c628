"""A back-up generator behind a business site's meter: it starts, runs for a while, and empties its tank.

Export is negative import. An order for export (a limit below NO_LIMIT_W) starts the engine, which gives
nothing while it warms up, then what was asked between its least stable load and its rating. Once it gives
power it does so for its minimum run, whatever is ordered. It runs by itself only for its planned test,
which an order to stay off puts off. It stops when the tank is empty, and waits for the tanker. In a power cut
it gives the street nothing; what it does for its own site then, and the fuel for that, is left out.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, RECONNECT_S, is_dark, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, next_turn_ms, refusal, sooner, take, turn

NEVER_MS = 2**62
HOLD_CAP_S = 4 * 3600
"""No order runs it longer than this; assumed, as for cars."""
OFF, STARTING, RUNNING = 0, 1, 2

STATE = np.dtype(
    [
        ("at_ms", "i8"),  # the moment up to which this row is integrated
        ("register_mj", "i8"),  # import since the run began: none
        ("import_w", "i4"),  # 0 or below: what it gives
        ("limit_w", "i4"),
        ("limit_until_s", "i4"),
        ("pending_limit_w", "i4"),
        ("pending_from_s", "i4"),
        ("pending_for_s", "u2"),
        ("sequence", "i4"),
        ("export_mj", "i8"),
        ("fuel_mj", "i8"),  # in the tank, as electricity
        ("phase", "u1"),  # OFF, STARTING, RUNNING
        ("phase_ms", "i8"),  # ready to give, or the minimum run over
    ]
)
"""What a generator does: 67 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("rating_w", "i4"),
        ("least_w", "i4"),  # least stable load
        ("start_ms", "i4"),
        ("least_run_ms", "i4"),
        ("tank_mj", "i8"),
    ]
)
"""What a generator is."""

DIARY = np.dtype(
    [
        ("test_from_ms", "i8"),  # NEVER_MS: no test today
        ("test_until_ms", "i8"),
        ("test_w", "i4"),
        ("refuel_ms", "i8"),  # the tanker comes; NEVER_MS: not today
    ]
)
"""What is planned for it today."""


class Today(NamedTuple):
    """What all generators share."""

    first_ms: int
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of a generator's day."""

    GIVING = 3  # value: W, negative
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    ORDER = 11  # value: AckOutcome
    STARTED = 50
    EMPTY = 51
    REFUELLED = 52


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - as all kinds
    """Live at constant power until now: what is given comes out of the tank, mJ for mJ."""
    given_mj = -int(s.import_w) * (now_ms - int(s.at_ms))
    s.export_mj = int(s.export_mj) + given_mj
    s.fuel_mj = int(s.fuel_mj) - given_mj
    s.at_ms = now_ms


@scalar
def wanted_w(s: Any, p: Any, d: Any, now_ms: int) -> int:
    """What it is asked for, by an order or for its test [W]."""
    asked_w = 0
    if s.limit_w < NO_LIMIT_W:
        asked_w = -int(s.limit_w)
    elif s.limit_w == NO_LIMIT_W and d.test_from_ms <= now_ms < d.test_until_ms:
        asked_w = int(d.test_w)
    if asked_w == 0:
        return 0
    return min(max(asked_w, int(p.least_w)), int(p.rating_w))


@scalar
def back_s(p: Any) -> int:
    """How long after a power cut it may run beside the mains again [s]."""
    return RECONNECT_S + int(p.restart_s)


@scalar
def decide(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> int:
    """Set the power that follows from everything known now; gives the bits of STARTED and EMPTY."""
    asked_w = wanted_w(s, p, d, now_ms)
    if is_dark(today.cuts_ms, int(p.region), back_s(p), now_ms):
        s.phase, s.import_w = OFF, 0
        return 0
    bits = 0
    if s.phase == OFF and asked_w > 0 and s.fuel_mj >= p.rating_w:
        s.phase = STARTING
        s.phase_ms = now_ms + int(p.start_ms)
    if s.phase == STARTING and asked_w == 0:
        s.phase = OFF
    if s.phase == STARTING and s.phase_ms <= now_ms:
        s.phase = RUNNING
        s.phase_ms = now_ms + int(p.least_run_ms)
        bits |= 1 << 50
    if s.phase == RUNNING and s.fuel_mj < p.rating_w:
        s.phase = OFF
        bits |= 1 << 51
    if s.phase == RUNNING and asked_w == 0 and s.phase_ms <= now_ms:
        s.phase = OFF
    s.import_w = -max(asked_w, int(p.least_w)) if s.phase == RUNNING else 0
    return bits


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now: (bits of EventKind, -1: nobody was promised anything)."""
    before_ms = int(s.at_ms)
    integrate(s, p, d, today, now_ms)
    bits = turn(s, now_ms)
    if before_ms < d.refuel_ms <= now_ms:
        s.fuel_mj = p.tank_mj
        bits |= 1 << 52
    bits |= decide(s, p, d, today, now_ms)
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    at_ms = int(s.at_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), back_s(p), at_ms, best_ms)
    best_ms = sooner(at_ms, int(d.test_from_ms), best_ms)
    best_ms = sooner(at_ms, int(d.test_until_ms), best_ms)
    best_ms = sooner(at_ms, int(d.refuel_ms), best_ms)
    if s.phase == STARTING:
        best_ms = sooner(at_ms, max(int(s.phase_ms), at_ms + 1), best_ms)
    elif s.phase == RUNNING:
        best_ms = sooner(at_ms, int(s.phase_ms), best_ms)
        lasts_ms = (int(s.fuel_mj) - int(p.rating_w)) // -int(s.import_w) + 1
        best_ms = sooner(at_ms, at_ms + max(lasts_ms, 1), best_ms)
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
    """Take or refuse one order; gives its AckOutcome. UNPLUGGED with an empty tank."""
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    if limit_w < NO_LIMIT_W and s.fuel_mj < p.rating_w:
        return 3  # UNPLUGGED
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, 0, 0, HOLD_CAP_S)
    decide(s, p, d, today, now_ms)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:
    """What it is doing (protocol.messages.AssetStatus)."""
    if s.phase == RUNNING:
        return 2  # CHARGING
    if s.fuel_mj < p.rating_w:
        return 0  # UNPLUGGED
    return 3 if s.limit_w >= 0 else 1  # LIMITED, WAITING


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:
    """What is in the tank [%]."""
    given_mj = -int(s.import_w) * (now_ms - int(s.at_ms))
    return min(max((int(s.fuel_mj) - given_mj) * 100 // int(p.tank_mj), 0), 100)


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - as all kinds
    """The number told with an event."""
    return int(s.limit_w) if kind == 5 else int(s.import_w)
