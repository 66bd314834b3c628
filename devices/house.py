"""A house as two warm bodies: its air with the furniture, and its fabric. Pure mathematics, exact in time.

    C_air    dT_air/dt    = K (T_fabric - T_air) + L_air    (T_out - T_air)    + heat to the air
    C_fabric dT_fabric/dt = K (T_air - T_fabric) + L_fabric (T_out - T_fabric) + heat to the fabric

Under constant inputs the solution is two exponentials about a steady state, written out here: no time step,
no error that grows. The same family as the two-node (R3C2) models of Bacher and Madsen, "Identifying suitable
models for the heat dynamics of buildings", Energy and Buildings 43 (2011). `house` below is any record with
`air_j_per_k`, `fabric_j_per_k`, `between_w_per_k` (K), `air_loss_w_per_k`, `fabric_loss_w_per_k`. Times are
whole milliseconds: a crossing is the first whole millisecond at which the level is reached.
"""

from __future__ import annotations

import math
from typing import Any

from devices.scalar import scalar

NEVER_MS = 2**62


@scalar
def steady_c(house: Any, outdoor_c: float, to_air_w: float, to_fabric_w: float) -> tuple[float, float]:
    """Where air and fabric [C] end up if nothing changes any more."""
    between = float(house.between_w_per_k)
    air, fabric = between + house.air_loss_w_per_k, between + house.fabric_loss_w_per_k
    both = air * fabric - between * between
    return (
        outdoor_c + (to_air_w * fabric + to_fabric_w * between) / both,
        outdoor_c + (to_fabric_w * air + to_air_w * between) / both,
    )


@scalar
def rates_per_s(house: Any) -> tuple[float, float, float]:
    """The slow and the fast eigenvalue [1/s], both negative, and half their distance.

    The system is similar to a symmetric one, so that they are real.
    """
    between = float(house.between_w_per_k)
    air = -(between + house.air_loss_w_per_k) / house.air_j_per_k
    fabric = -(between + house.fabric_loss_w_per_k) / house.fabric_j_per_k
    half = (air - fabric) / 2.0
    coupling = (between / house.air_j_per_k) * (between / house.fabric_j_per_k)
    distance = math.sqrt(half * half + coupling)
    return (air + fabric) / 2.0 + distance, (air + fabric) / 2.0 - distance, distance


@scalar
def modes_c(
    house: Any, air_c: float, fabric_c: float, outdoor_c: float, to_air_w: float, to_fabric_w: float
) -> tuple[float, float, float, float, float, float]:
    """(end, slow part, fast part) of the air, then of the fabric [C]: what `at_c` puts together."""
    air_end_c, fabric_end_c = steady_c(house, outdoor_c, to_air_w, to_fabric_w)
    x, y = air_c - air_end_c, fabric_c - fabric_end_c
    between = float(house.between_w_per_k)
    air = -(between + house.air_loss_w_per_k) / house.air_j_per_k
    fabric = -(between + house.fabric_loss_w_per_k) / house.fabric_j_per_k
    half = (air - fabric) / 2.0
    _, _, distance = rates_per_s(house)
    air_lean = (half * x + between / house.air_j_per_k * y) / distance
    fabric_lean = (between / house.fabric_j_per_k * x - half * y) / distance
    return (
        air_end_c,
        (x + air_lean) / 2.0,
        (x - air_lean) / 2.0,
        fabric_end_c,
        (y + fabric_lean) / 2.0,
        (y - fabric_lean) / 2.0,
    )


@scalar
def at_c(end_c: float, slow_c: float, fast_c: float, slow_per_s: float, fast_per_s: float, ms: int) -> float:
    """The temperature [C] `ms` after the start of a stretch under constant inputs."""
    lived_s = ms / 1000.0
    return end_c + slow_c * math.exp(slow_per_s * lived_s) + fast_c * math.exp(fast_per_s * lived_s)


@scalar
def later_c(
    house: Any,
    air_c: float,
    fabric_c: float,
    outdoor_c: float,
    to_air_w: float,
    to_fabric_w: float,
    ms: int,
) -> tuple[float, float]:
    """Air and fabric [C] after `ms` under constant inputs."""
    slow, fast, _ = rates_per_s(house)
    air_end, air_slow, air_fast, fabric_end, fabric_slow, fabric_fast = modes_c(
        house, air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w
    )
    return at_c(air_end, air_slow, air_fast, slow, fast, ms), at_c(
        fabric_end, fabric_slow, fabric_fast, slow, fast, ms
    )


@scalar
def reached(value_c: float, level_c: float, rising: bool) -> bool:
    """Whether a temperature has risen, or fallen, to a level."""
    if rising:
        return value_c >= level_c
    return value_c <= level_c


@scalar
def crossing_ms(
    house: Any,
    air_c: float,
    fabric_c: float,
    outdoor_c: float,
    to_air_w: float,
    to_fabric_w: float,
    level_c: float,
    rising: bool,
    until_ms: int,
) -> int:
    """The first of 1 .. `until_ms` [ms] at which the air reaches a level; NEVER_MS if none does.

    A sum of two exponentials turns at most once: where the end of the stretch has not reached the level, only
    the turning point can have. Up to either the answer to "reached?" changes once, so halving finds it.
    """
    slow, fast, distance = rates_per_s(house)
    end_c, slow_c, fast_c, _, _, _ = modes_c(house, air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w)
    high_ms = until_ms
    if not reached(at_c(end_c, slow_c, fast_c, slow, fast, high_ms), level_c, rising):
        high_ms = turning_ms(slow_c, fast_c, slow, fast, distance, until_ms)
        if high_ms < 1:
            return NEVER_MS
        if not reached(at_c(end_c, slow_c, fast_c, slow, fast, high_ms), level_c, rising):
            return NEVER_MS
    low_ms = 0
    while high_ms - low_ms > 1:
        middle_ms = (low_ms + high_ms) // 2
        if reached(at_c(end_c, slow_c, fast_c, slow, fast, middle_ms), level_c, rising):
            high_ms = middle_ms
        else:
            low_ms = middle_ms
    return high_ms


@scalar
def turning_ms(
    slow_c: float, fast_c: float, slow_per_s: float, fast_per_s: float, distance_per_s: float, until_ms: int
) -> int:
    """Where the air turns [ms, nearest], within 1 .. `until_ms`; 0 if it does not turn there.

    Its derivative is zero where exp((slow - fast) t) = -fast_c fast / (slow_c slow).
    """
    if slow_c * fast_c >= 0.0:
        return 0
    turn_s = math.log(-(fast_c * fast_per_s) / (slow_c * slow_per_s)) / (2.0 * distance_per_s)
    if turn_s <= 0.0 or turn_s * 1000.0 >= until_ms:
        return 0
    return int(turn_s * 1000.0 + 0.5)


@scalar
def steady_heat_w(house: Any, level_c: float, fabric_c: float, outdoor_c: float, gains_w: float) -> float:
    """The heat to the air [W] that would keep it at a level beside this fabric; negative if too warm."""
    return float(
        house.between_w_per_k * (level_c - fabric_c)
        + house.air_loss_w_per_k * (level_c - outdoor_c)
        - gains_w
    )
