"""The load of a small business site under its building management: a profile, of which heating, ventilation
and air conditioning (HVAC) can be shed for an hour or two.

Power is what the profile of the half-hour says: a plain part, and an HVAC part of which a share is shed. The
share moves in steps, as the plant ramps over minutes. What was not done for the rooms is in part made up for
afterwards (`owed_mj`). No order holds longer than `hold_cap_s`: then comfort takes over, and the site
takes no order for as long as that again. What a power cut leaves undone is owed in the same part.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, is_dark, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, next_turn_ms, refusal, sooner, take, turn

NEVER_MS = 2**62
HALF_HOUR_MS = 1_800_000
RAMP_STEP_PERMILLE = 200
"""A ramp is made of five steps: power is constant between events. Assumed."""
SHEDDING, COMFORT_FIRST = 1, 2

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
        ("marks", "u1"),  # SHEDDING, COMFORT_FIRST
        ("shed_permille", "i2"),  # of HVAC, now
        ("owing_w", "i4"),  # of what is shed, the part to be made up for
        ("payback_w", "i4"),
        ("owed_mj", "i8"),  # what is to be made up for
        ("step_ms", "i8"),  # when the ramp moves next; NEVER_MS: it is where it should be
        ("hold_ms", "i8"),  # when shedding has lasted long enough, or comfort has been served
    ]
)
"""What a site does: 77 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("site", "u1"),  # row of Today's profiles
        ("peak_w", "i4"),  # the profile's unit
        ("hvac_w", "i4"),  # the most its HVAC can draw
        ("step_every_ms", "i4"),
        ("hold_cap_s", "i4"),
        ("payback_permille", "i4"),  # of what was shed
        ("payback_over_ms", "i4"),
    ]
)
"""What a site is."""

DIARY = np.dtype([("scale_permille", "i4")])
"""How busy the day is, of an ordinary one."""


class Today(NamedTuple):
    """Shares of `peak_w` by half-hour from `first_ms` on: plain (sites, n), HVAC (sites, regions, n)."""

    first_ms: int
    plain: np.ndarray[Any, np.dtype[np.float64]]
    hvac: np.ndarray[Any, np.dtype[np.float64]]
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of a site's day."""

    DRAWING = 3  # value: W
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    OVERRIDDEN = 7  # comfort took over
    ORDER = 11  # value: AckOutcome


@scalar
def half_hour(today: Any, now_ms: int) -> int:
    """Place of a moment in Today's profiles; outside them the nearest."""
    return min(max((now_ms - int(today.first_ms)) // HALF_HOUR_MS, 0), int(today.plain.shape[1]) - 1)


@scalar
def plain_w(p: Any, d: Any, today: Any, now_ms: int) -> int:
    """What nobody can shed [W]."""
    share = float(today.plain[int(p.site), half_hour(today, now_ms)])
    return int(share * int(p.peak_w) * int(d.scale_permille) / 1000.0)


@scalar
def hvac_w(p: Any, d: Any, today: Any, now_ms: int) -> int:
    """What heating, ventilation and air conditioning would draw by themselves [W]."""
    share = float(today.hvac[int(p.site), int(p.region), half_hour(today, now_ms)])
    return min(int(share * int(p.peak_w) * int(d.scale_permille) / 1000.0), int(p.hvac_w))


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - as all kinds
    """Live at constant power until now; what is shed is owed in part, what is made up for no more."""
    span_ms = now_ms - int(s.at_ms)
    s.register_mj = int(s.register_mj) + int(s.import_w) * span_ms
    s.owed_mj = int(s.owed_mj) + int(s.owing_w) * span_ms - int(s.payback_w) * span_ms
    s.at_ms = now_ms


@scalar
def wanted_permille(s: Any, plain: int, hvac: int) -> int:
    """The share of HVAC to shed so that the site keeps to the limit, as far as HVAC can."""
    if s.limit_w == NO_LIMIT_W or s.marks & COMFORT_FIRST or hvac == 0:
        return 0
    over_w = plain + hvac - int(s.limit_w)
    return min(max((over_w * 1000 + hvac - 1) // hvac, 0), 1000)


@scalar
def watch_hold(s: Any, p: Any, now_ms: int, wanted: int) -> bool:
    """Begin and end the spells of shedding and of comfort; whether comfort takes over now."""
    if s.marks & COMFORT_FIRST and s.hold_ms <= now_ms:
        s.marks = s.marks & (255 - COMFORT_FIRST)
        s.hold_ms = NEVER_MS
    if s.marks & SHEDDING:
        capped = s.hold_ms <= now_ms
        if capped or (wanted == 0 and s.shed_permille == 0):
            s.marks = (s.marks & (255 - SHEDDING)) | COMFORT_FIRST
            s.hold_ms = now_ms + int(p.hold_cap_s) * 1000
            return bool(capped)
    elif wanted > 0 and s.marks & COMFORT_FIRST == 0:
        s.marks = s.marks | SHEDDING
        s.hold_ms = now_ms + int(p.hold_cap_s) * 1000
    return False


@scalar
def decide(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> int:
    """Set the power that follows from everything known now; gives the bit of OVERRIDDEN."""
    plain, hvac = plain_w(p, d, today, now_ms), hvac_w(p, d, today, now_ms)
    wanted = wanted_permille(s, plain, hvac)
    bits = 0
    if watch_hold(s, p, now_ms, wanted):
        bits = 1 << 7
    wanted = wanted_permille(s, plain, hvac)
    if s.step_ms <= now_ms:
        move = min(max(wanted - int(s.shed_permille), -RAMP_STEP_PERMILLE), RAMP_STEP_PERMILLE)
        s.shed_permille = int(s.shed_permille) + move
        s.step_ms = NEVER_MS
    if s.shed_permille == wanted:
        s.step_ms = NEVER_MS
    elif s.step_ms == NEVER_MS:
        s.step_ms = now_ms + int(p.step_every_ms)
    shed_w = hvac * int(s.shed_permille) // 1000
    s.owing_w = shed_w * int(p.payback_permille) // 1000
    s.payback_w = 0
    if s.shed_permille == 0 and s.owed_mj > 0:
        pace_w = max(int(s.owed_mj) // int(p.payback_over_ms), 1)
        room_w = int(p.hvac_w) - hvac
        if s.limit_w != NO_LIMIT_W and s.marks & COMFORT_FIRST == 0:
            room_w = min(room_w, int(s.limit_w) - plain - hvac)
        s.payback_w = min(pace_w, max(room_w, 0), int(s.owed_mj))
    s.import_w = plain + hvac - shed_w + int(s.payback_w)
    if is_dark(today.cuts_ms, int(p.region), int(p.restart_s), now_ms):
        s.import_w, s.payback_w = 0, 0
        s.owing_w = hvac * int(p.payback_permille) // 1000
    return bits


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now: (bits of EventKind, -1: nobody was promised anything)."""
    integrate(s, p, d, today, now_ms)
    bits = turn(s, now_ms)
    bits |= decide(s, p, d, today, now_ms)
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:  # noqa: ARG001 - as all kinds
    """When something of its own happens next [ms]; the last half-hour's end is the next day's first event."""
    at_ms = int(s.at_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), int(p.restart_s), at_ms, best_ms)
    first_ms = int(today.first_ms)
    place = max((at_ms - first_ms) // HALF_HOUR_MS + 1, 0)
    if place <= today.plain.shape[1]:
        best_ms = sooner(at_ms, first_ms + place * HALF_HOUR_MS, best_ms)
    for due_ms in (int(s.step_ms), int(s.hold_ms)):
        if due_ms < NEVER_MS:
            best_ms = sooner(at_ms, max(due_ms, at_ms + 1), best_ms)
    if s.payback_w > 0:
        best_ms = sooner(at_ms, at_ms + max(int(s.owed_mj) // int(s.payback_w), 1), best_ms)
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
    """Take or refuse one order; gives its AckOutcome.

    OVERRIDDEN for one that would begin before comfort has been served.
    """
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    if limit_w != NO_LIMIT_W and s.marks & COMFORT_FIRST and max(from_ms, now_ms) < s.hold_ms:
        return 4  # OVERRIDDEN
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, 0, 0, int(p.hold_cap_s))
    decide(s, p, d, today, now_ms)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:  # noqa: ARG001 - as all kinds
    """What it is doing (protocol.messages.AssetStatus)."""
    if s.marks & COMFORT_FIRST and s.limit_w != NO_LIMIT_W:
        return 5  # OVERRIDDEN
    if s.marks & SHEDDING:
        return 3  # LIMITED
    return 2 if s.import_w > 0 else 1  # CHARGING, WAITING


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:  # noqa: ARG001 - as all kinds
    """Nothing is told."""
    return -1


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - as all kinds
    """The number told with an event."""
    return int(s.limit_w) if kind == 5 else int(s.import_w)


def begin(s: Any, start_ms: int) -> None:
    """Put records at the beginning: under no order; their power is set by their first event."""
    s["at_ms"], s["limit_w"], s["step_ms"], s["hold_ms"] = start_ms, NO_LIMIT_W, NEVER_MS, NEVER_MS
