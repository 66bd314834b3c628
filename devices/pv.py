"""Solar panels on a roof and their inverter: what light makes of them, and what an order takes away.

Power is constant within a half-hour of weather (or a third of one, where clouds flicker) and an integer [W],
negative: it is given. `limit_w` 0 (or above: there is nothing to import) is off, below NO_LIMIT_W the most
that may be given; an order can take power away and never add any. The inverter counts for itself
(`inverter_wh_per_mj`) and need not agree with the asset's meter (`wh_per_mj`). It trips with the mains: what
the panels could make meanwhile is nobody's, curtailed neither.

Ties: as in `devices.ev`.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, RECONNECT_S, is_dark, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, next_turn_ms, refusal, sooner, take, turn

NEVER_MS = 2**62
HALF_HOUR_MS = 1_800_000
HOLD_CAP_S = 4 * 3600
"""No order holds longer than this, whatever it says: as for cars (CrowdFlex WP5 table 4); assumed for PV."""

TELLS_TOTAL = 1
"""Trait: it tells what it has made by its own count."""
HELD = 1
"""Mark: the order in force takes power away."""

STATE = np.dtype(
    [
        ("at_ms", "i8"),  # the moment up to which this row is integrated
        ("register_mj", "i8"),  # total import since the run began: none
        ("import_w", "i4"),  # negative: given
        ("limit_w", "i4"),
        ("limit_until_s", "i4"),
        ("pending_limit_w", "i4"),
        ("pending_from_s", "i4"),
        ("pending_for_s", "u2"),
        ("sequence", "i4"),
        ("export_mj", "i8"),  # total given since the run began
        ("curtailed_mj", "i8"),  # total that orders took away
        ("available_w", "i4"),  # what it could give now
        ("marks", "u1"),
    ]
)
"""What a roof does: 63 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),  # of its asset meter, gain error included
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("inverter_wh_per_mj", "f8"),  # of the inverter's own count
        ("peak_w", "i4"),  # of the panels, at standard test conditions
        ("inverter_w", "i4"),  # the most the inverter gives
        ("east", "f4"),  # the panels' normal, a unit vector
        ("north", "f4"),
        ("up", "f4"),
        ("kept", "f4"),  # of the light's power after glass, dirt, cables and inverter
        ("warming_k_m2_per_w", "f4"),  # (NOCT - 20 C) / 800 W/m2
    ]
)

DIARY = np.dtype([("flicker", "u2")])
"""Which row of `Today.flicker` its clouds follow today."""


class Today(NamedTuple):
    """The sky from one planning moment to the next; shape (regions, half-hours) unless said otherwise."""

    first_ms: int
    outdoor_c: Any
    global_w_per_m2: Any
    diffuse_w_per_m2: Any
    direct_w_per_m2: Any
    sun_east: Any
    sun_north: Any
    sun_up: Any
    extraterrestrial_w_per_m2: Any  # (half-hours,)
    flicker: Any  # (patterns, steps): factors of the light by step; no steps: none
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of a roof's day."""

    POWER = 3  # value: W
    STOPPED = 4
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    ORDER = 11  # value: AckOutcome


GROUND_REFLECTION = 0.2
"""Albedo of the surroundings: Liu and Jordan, Solar Energy 7 (1963) 53."""
LOWEST_SUN = 0.01745
"""Sine below which the sun's height no longer divides (one degree): the habit of pvlib's `haydavies`."""
K1, K2, K3, K4, K5, K6 = -0.017237, -0.040465, -0.004702, 0.000149, 0.000170, 0.000005
"""Crystalline silicon: Huld et al., Solar Energy Materials 95 (2011) 3359, as PVGIS 5 uses them."""


@scalar
def plane_w_per_m2(
    direct: float,
    diffuse: float,
    total: float,
    above: float,
    sun_east: float,
    sun_north: float,
    sun_up: float,
    east: float,
    north: float,
    up: float,
) -> float:
    """Irradiance on a plane with the normal (east, north, up) [W/m2].

    Hay and Davies, "Calculation of the solar radiation incident on an inclined surface" (1980): the share
    direct / above of the diffuse light comes from around the sun, the rest evenly. The ground reflects the
    light on the horizontal evenly.
    """
    facing = max(sun_east * east + sun_north * north + sun_up * up, 0.0)
    circumsolar = direct / above
    from_sky = circumsolar * facing / max(sun_up, LOWEST_SUN) + (1.0 - circumsolar) * (1.0 + up) / 2.0
    return direct * facing + diffuse * from_sky + total * GROUND_REFLECTION * (1.0 - up) / 2.0


@scalar
def panel_efficiency(light_w_per_m2: float, module_c: float) -> float:
    """Efficiency relative to that at 1000 W/m2 and 25 C: Huld et al. 2011, eq. 2."""
    g = light_w_per_m2 / 1000.0
    t = module_c - 25.0
    log = math.log(g)
    return 1.0 + K1 * log + K2 * log * log + K3 * t + K4 * t * log + K5 * t * log * log + K6 * t * t


@scalar
def step_ms(today: Any) -> int:
    """How long light stays the same [ms]."""
    if today.flicker.shape[1]:
        return HALF_HOUR_MS // 3
    return HALF_HOUR_MS


@scalar
def back_s(p: Any) -> int:
    """How long after a power cut its inverter is back [s]."""
    return RECONNECT_S + int(p.restart_s)


@scalar
def generated_w(p: Any, d: Any, today: Any, now_ms: int) -> int:
    """What the inverter can give now [W]: light on the plane, warm panels, losses, the inverter's limit."""
    if is_dark(today.cuts_ms, int(p.region), back_s(p), now_ms):
        return 0
    k = (now_ms - int(today.first_ms)) // HALF_HOUR_MS
    if k < 0 or k >= today.global_w_per_m2.shape[1]:
        return 0
    r = int(p.region)
    if today.global_w_per_m2[r, k] <= 0.0:
        return 0
    light = plane_w_per_m2(
        float(today.direct_w_per_m2[r, k]),
        float(today.diffuse_w_per_m2[r, k]),
        float(today.global_w_per_m2[r, k]),
        float(today.extraterrestrial_w_per_m2[k]),
        float(today.sun_east[r, k]),
        float(today.sun_north[r, k]),
        float(today.sun_up[r, k]),
        float(p.east),
        float(p.north),
        float(p.up),
    )
    if today.flicker.shape[1]:
        step = (now_ms - int(today.first_ms)) // (HALF_HOUR_MS // 3)
        light = light * float(today.flicker[int(d.flicker), step])
    if light < 1.0:
        return 0
    module_c = float(today.outdoor_c[r, k]) + float(p.warming_k_m2_per_w) * light
    dc_w = float(p.peak_w) * light / 1000.0 * panel_efficiency(light, module_c)
    return min(max(int(dc_w * float(p.kept) + 0.5), 0), int(p.inverter_w))


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - every kind's signature
    """Live at constant power until now."""
    lived_ms = now_ms - int(s.at_ms)
    s.export_mj = int(s.export_mj) - int(s.import_w) * lived_ms
    s.curtailed_mj = int(s.curtailed_mj) + (int(s.available_w) + int(s.import_w)) * lived_ms
    s.at_ms = now_ms


@scalar
def decide(s: Any) -> None:
    """Set the power that follows from the light as last seen and the order in force."""
    given_w = int(s.available_w)
    s.marks = 0
    if s.limit_w != NO_LIMIT_W:
        given_w = min(given_w, max(0, -int(s.limit_w)))
        if given_w < s.available_w:
            s.marks = HELD
    s.import_w = -given_w


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Live until now; then the light changes, and orders begin and end. Gives (bits, -1)."""
    integrate(s, p, d, today, now_ms)
    bits = turn(s, now_ms)
    s.available_w = generated_w(p, d, today, now_ms)
    decide(s)
    return bits, -1


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:  # noqa: ARG001 - every kind's signature
    """When light or order change next [ms]; NEVER_MS if nothing is in sight. The night has no events."""
    at_ms = int(s.at_ms)
    first_ms = int(today.first_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    if at_ms < first_ms:
        return sooner(at_ms, first_ms, best_ms)
    if at_ms == first_ms:
        return at_ms + 1  # a new day was planned at this very moment: look at it
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), back_s(p), at_ms, best_ms)
    every_ms = step_ms(today)
    steps_per_half_hour = HALF_HOUR_MS // every_ms
    steps = today.global_w_per_m2.shape[1] * steps_per_half_hour
    step = (at_ms - first_ms) // every_ms + 1
    if s.available_w == 0:
        while step < steps and today.global_w_per_m2[int(p.region), step // steps_per_half_hour] <= 0.0:
            step += 1
    if step < steps:
        best_ms = min(best_ms, first_ms + step * every_ms)
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
    response_dsr: bool,  # noqa: ARG001 - inverters have no random delay
) -> int:
    """Take or refuse one order; gives its AckOutcome. Own events due until now have happened already.

    Light changes with own events alone: one that comes at a planning moment, a millisecond before the new
    day is looked at, must not bring the new light with it.
    """
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, 0, 0, HOLD_CAP_S)
    decide(s)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:  # noqa: ARG001 - every kind's signature
    """What it says that it is doing (protocol.messages.AssetStatus)."""
    if s.marks & HELD:
        return 3  # LIMITED
    if s.import_w < 0:
        return 2  # CHARGING: at work
    return 1  # WAITING for light


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:  # noqa: ARG001 - every kind's signature
    """Nothing is stored, nothing told: -1."""
    return -1


@scalar
def inverter_wh(s: Any, p: Any, now_ms: int) -> int:
    """What the inverter says that it has made since the run began [Wh]."""
    return int((int(s.export_mj) - int(s.import_w) * (now_ms - int(s.at_ms))) * float(p.inverter_wh_per_mj))


@scalar
def told_register_wh(s: Any, p: Any, now_ms: int) -> int:
    """What it tells of a register: its own count of what it gave, or nothing, as it imports nothing [Wh]."""
    if p.traits & TELLS_TOTAL:
        return inverter_wh(s, p, now_ms)
    return 0


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - every kind's signature
    """The number told with an event."""
    if kind == 3:
        return int(s.import_w)
    if kind == 5:
        return int(s.limit_w)
    return 0
