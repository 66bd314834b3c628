"""A fridge-freezer and its smart plug: a compressor between two temperatures, and a switch in front of it.

The cold store is one thermal mass: it drifts towards the room while the compressor rests and towards a colder
end while it runs, exponentially, and the moments at which the thermostat turns are solved in closed form. The
temperature is kept as of the last change of power (`anchor`), so that splitting a stretch changes nothing.

Fridges are "always on": the only white goods a smart plug can act on (CrowdFlex WP5 4.1.5). The plug knows no
temperature. For the food's sake it counts time: it gives the power back after `hold_cap_s`, in which the
warmest a working fridge gets cannot rise to the safe limit, and then takes no order for `rest_s`, in which
the store is cold again. So no sequence of orders warms the food beyond the limit; a long power cut does, and
the plug rests after it.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, is_dark, lit_ms, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, next_turn_ms, refusal, sooner, take, turn

NEVER_MS = 2**62
SAFE_C = 8.0
"""Chilled food is kept at or below 8 C: Food Safety and Hygiene (England) Regulations 2013, sch. 4."""

COMPRESSOR_REST_S = 180
"""A hermetic compressor starts no sooner after the power is back: three to five minutes [mem]."""

HAS_PLUG = 1
CALLING, PLUG_OFF, HELD_ENOUGH = 1, 2, 4

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
        ("marks", "u1"),  # CALLING: the thermostat; PLUG_OFF; HELD_ENOUGH: the plug rests from orders
        ("anchor_ms", "i8"),  # the last change of power
        ("anchor_c", "f8"),  # the cold store's temperature then
        ("turn_ms", "i8"),  # when the thermostat turns next
        ("plug_ms", "i8"),  # when the plug gives back, or takes orders again; NEVER_MS: neither
    ]
)
"""What a fridge does: 75 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),  # HAS_PLUG
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("compressor_w", "i4"),
        ("hold_cap_s", "i4"),
        ("rest_s", "i4"),
        ("room_c", "f8"),
        ("running_c", "f8"),  # where the store would end if the compressor ran for ever
        ("warm_c", "f8"),  # the thermostat calls
        ("cold_c", "f8"),  # the thermostat is satisfied
        ("tau_ms", "f8"),  # time constant of the store
    ]
)
"""What a fridge is."""

DIARY = np.dtype([("scale", "u1")])
"""A fridge has no day of its own: nothing in it is read."""


class Today(NamedTuple):
    """What all fridges share."""

    first_ms: int
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of a fridge's day."""

    RUNNING = 3  # value: W
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    OVERRIDDEN = 7  # the plug gave back for the food's sake
    ORDER = 11  # value: AckOutcome


@scalar
def end_c(s: Any, p: Any) -> float:
    """The temperature towards which the store drifts now [C]."""
    if s.import_w > 0:
        return float(p.running_c)
    return float(p.room_c)


@scalar
def store_c(s: Any, p: Any, now_ms: int) -> float:
    """Temperature of the cold store [C]: exponential from the anchor."""
    end = end_c(s, p)
    return end + (float(s.anchor_c) - end) * math.exp(-(now_ms - int(s.anchor_ms)) / float(p.tau_ms))


@scalar
def drift_ms(p: Any, from_c: float, to_c: float, end: float) -> int:
    """How long the store takes from one temperature to another that lies on the way to `end`, rounded up."""
    if (from_c - to_c) * (from_c - end) <= 0.0:
        return 0
    return math.ceil(float(p.tau_ms) * math.log((from_c - end) / (to_c - end)))


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - as all kinds
    """Live at constant power until now; the temperature follows from its anchor."""
    s.register_mj = int(s.register_mj) + int(s.import_w) * (now_ms - int(s.at_ms))
    s.at_ms = now_ms


@scalar
def set_power(s: Any, p: Any, now_ms: int, power_w: int) -> None:
    """Run or rest from now on, and see when the thermostat turns next."""
    if power_w != s.import_w:
        s.anchor_c = store_c(s, p, now_ms)
        s.anchor_ms = now_ms
        s.import_w = power_w
    if s.marks & CALLING:
        if s.import_w > 0:
            wait_ms = drift_ms(p, float(s.anchor_c), float(p.cold_c), float(p.running_c))
            s.turn_ms = int(s.anchor_ms) + max(wait_ms, 1)
        else:
            s.turn_ms = NEVER_MS
    else:
        wait_ms = drift_ms(p, float(s.anchor_c), float(p.warm_c), float(p.room_c))
        s.turn_ms = int(s.anchor_ms) + max(wait_ms, 1)


@scalar
def back_s(p: Any) -> int:
    """How long after a power cut its compressor may start [s]."""
    return COMPRESSOR_REST_S + int(p.restart_s)


@scalar
def rest_after_dark(s: Any, p: Any, today: Any, now_ms: int) -> None:
    """Keep the plug from orders until the store has had its rest after the power is back."""
    if p.traits & HAS_PLUG:
        s.marks = (s.marks & (255 - PLUG_OFF)) | HELD_ENOUGH
        s.plug_ms = lit_ms(today.cuts_ms, int(p.region), back_s(p), now_ms) + int(p.rest_s) * 1000


@scalar
def switch(s: Any, p: Any, today: Any, now_ms: int) -> int:
    """Turn the plug as orders and the food want it; gives the bit of OVERRIDDEN where the food wins."""
    bits = 0
    dark = is_dark(today.cuts_ms, int(p.region), back_s(p), now_ms)
    if dark:
        rest_after_dark(s, p, today, now_ms)
    if s.marks & HELD_ENOUGH and s.plug_ms <= now_ms:
        s.marks = s.marks & (255 - HELD_ENOUGH)
        s.plug_ms = NEVER_MS
    asked_off = s.limit_w != NO_LIMIT_W and s.limit_w < p.compressor_w and p.traits & HAS_PLUG != 0
    if s.marks & PLUG_OFF:
        capped = s.plug_ms <= now_ms
        if capped or not asked_off:
            s.marks = (s.marks & (255 - PLUG_OFF)) | HELD_ENOUGH
            s.plug_ms = now_ms + int(p.rest_s) * 1000
            if capped and asked_off:
                bits = 1 << 7
    elif asked_off and s.marks & HELD_ENOUGH == 0:
        s.marks = s.marks | PLUG_OFF
        s.plug_ms = now_ms + int(p.hold_cap_s) * 1000
    runs = s.marks & CALLING and s.marks & PLUG_OFF == 0 and not dark
    set_power(s, p, now_ms, int(p.compressor_w) if runs else 0)
    return bits


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now: (bits of EventKind, -1: nobody was promised anything)."""
    integrate(s, p, d, today, now_ms)
    bits = turn(s, now_ms)
    if s.turn_ms <= now_ms:
        s.marks = s.marks ^ CALLING
    bits |= switch(s, p, today, now_ms)
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:  # noqa: ARG001 - as all kinds
    """When something of its own happens next [ms]."""
    at_ms = int(s.at_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), back_s(p), at_ms, best_ms)
    for due_ms in (int(s.turn_ms), int(s.plug_ms)):
        if due_ms < NEVER_MS:
            best_ms = sooner(at_ms, max(due_ms, at_ms + 1), best_ms)
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
    """Take or refuse one order; gives its AckOutcome. A plug can only switch: below the compressor is off.

    A plug that rests for the food's sake refuses what would begin before it has rested: OVERRIDDEN.
    """
    integrate(s, p, d, today, now_ms)
    if p.traits & HAS_PLUG == 0:
        return 3  # UNPLUGGED
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    begins_ms = max(from_ms, now_ms)
    if limit_w != NO_LIMIT_W and s.marks & HELD_ENOUGH and begins_ms < s.plug_ms:
        return 4  # OVERRIDDEN
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, 0, 0, int(p.hold_cap_s))
    switch(s, p, today, now_ms)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:  # noqa: ARG001 - as all kinds
    """What it is doing (protocol.messages.AssetStatus)."""
    if s.marks & PLUG_OFF:
        return 3  # LIMITED
    if s.marks & HELD_ENOUGH and s.limit_w != NO_LIMIT_W:
        return 5  # OVERRIDDEN
    if s.import_w > 0:
        return 2  # CHARGING
    return 4  # FULL


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:  # noqa: ARG001 - as all kinds
    """A plug knows no temperature."""
    return -1


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - as all kinds
    """The number told with an event."""
    return int(s.limit_w) if kind == 5 else int(s.import_w)


def design(p: Any, on_ms: Any, off_ms: Any) -> None:
    """Give records their time constant, running end, hold cap and rest, for an undisturbed cycle [ms].

    From `room_c`, `warm_c`, `cold_c` of the records and a `hold_cap_s` wished for: off, the store rises from
    cold to warm in `off_ms`; on, it falls back in `on_ms`.
    """
    p["tau_ms"] = off_ms / np.log((p["room_c"] - p["cold_c"]) / (p["room_c"] - p["warm_c"]))
    fade = np.exp(-on_ms / p["tau_ms"])
    p["running_c"] = (p["cold_c"] - p["warm_c"] * fade) / (1.0 - fade)
    to_unsafe_ms = p["tau_ms"] * np.log((p["room_c"] - p["warm_c"]) / (p["room_c"] - SAFE_C))
    p["hold_cap_s"] = np.minimum(p["hold_cap_s"], (to_unsafe_ms / 1000).astype(np.int64))
    to_cold_ms = p["tau_ms"] * np.log((SAFE_C - p["running_c"]) / (p["warm_c"] - p["running_c"]))
    p["rest_s"] = np.ceil(to_cold_ms / 1000).astype(np.int64)


def begin(s: Any, p: Any, start_ms: int, place: Any) -> None:
    """Put records in the middle of their cycles: `place` in [0, 1) of an undisturbed one, off part first."""
    off_ms = p["tau_ms"] * np.log((p["room_c"] - p["cold_c"]) / (p["room_c"] - p["warm_c"]))
    on_ms = p["tau_ms"] * np.log((p["warm_c"] - p["running_c"]) / (p["cold_c"] - p["running_c"]))
    since_ms = place * (off_ms + on_ms)
    runs = since_ms >= off_ms
    since_ms = since_ms - np.where(runs, off_ms, 0.0)
    end, first_c = np.where(runs, p["running_c"], p["room_c"]), np.where(runs, p["warm_c"], p["cold_c"])
    s["at_ms"], s["anchor_ms"], s["limit_w"], s["plug_ms"] = start_ms, start_ms, NO_LIMIT_W, NEVER_MS
    s["anchor_c"] = end + (first_c - end) * np.exp(-since_ms / p["tau_ms"])
    s["marks"] = np.where(runs, CALLING, 0)
    s["import_w"] = np.where(runs, p["compressor_w"], 0)
    s["turn_ms"] = start_ms + np.maximum(1, np.ceil(np.where(runs, on_ms, off_ms) - since_ms)).astype(
        np.int64
    )
