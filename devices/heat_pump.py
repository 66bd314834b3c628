"""A heat pump, its house and its hot-water cylinder: what they are, what they do, and what happens to them.

The compressor draws a whole number of watts that stands still between events; heat is that power times a
coefficient of performance (COP) that stands still with it. So energy is exact in integers, and the house (two
nodes, `devices/house.py`) and the cylinder (one) have exact solutions between events. Every half-hour of
weather the level is set again so that the house tracks what its owner asks for; thermostat crossings are
solved to the millisecond. The return of the heat after an event is nowhere written down: it is what a colder
house asks for.

Temperatures are those of `anchor_ms`: a half-hour edge or the last thing that happened, whichever came later.
Splitting a stretch of time anywhere else leaves no trace in them, not even in the last bit.

Defrosting is an average, not events: a share of the heat lost around 0 C (`defrost_share`), because
half-hourly weather says nothing of frost on one evaporator.

Without power nothing runs, pump and boiler included; the house and the cylinder cool by themselves, and what
they ask for afterwards is their own affair.

Ties: all that is due at one millisecond happens together, in the order of `happen`; orders come after it,
readings last. Compressor protection (least time on and off) comes before orders, comfort before both ends of
an event: below its floor a home leaves the event and refuses others until it is warm again. What an event
does to a room is measured from where the room was: one that its owner had set back is not too cold because of
the event (`floor_c`).
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.house import NEVER_MS, crossing_ms, later_c, reached, steady_heat_w
from devices.power_cut import NO_CUTS_MS, is_dark, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, forget, next_turn_ms, refusal, sooner, take, turn

HALF_HOUR_MS = 1_800_000
OVERRULED = 4
"""`protocol.messages.AckOutcome.OVERRIDDEN`."""

# ---------------------------------------------------------------------------------------------- traits, modes

GROUND, HYBRID, CYLINDER, TELLS_WARMTH = 1, 2, 4, 8
SPACE, WATER = 0, 1
CALLS_SPACE, CALLS_WATER, KILLS_LEGIONELLA, HELD, SUSPENDED, FORCED, RESTS = 1, 2, 4, 8, 16, 32, 64

# -------------------------------------------------------------------------------------------------- constants

AIR_COP = (6.08, -0.0941, 0.000464)
GROUND_COP = (10.29, -0.2084, 0.001322)
"""COP = a0 + a1 dT + a2 dT^2 of the lift dT [K]: When2Heat, Ruhnau et al., Scientific Data 6 (2019)."""
REAL_LIFE = 0.85
"""From test-stand to field: When2Heat, same paper."""
LEAST_LIFT_K = 15.0
"""The fits are not used below this lift: When2Heat."""
DEFROST_WIDTH_K = 7.0
"""The defrosting share falls to nothing this far from 1 C, on either side; assumed, see `defrost_share`."""
DEFROST_WORST_C = 1.0

MIN_ON_MS = 600_000
"""Least time a compressor runs: 10 min, realism.md section 2 [mem]."""
MIN_OFF_MS = 300_000
"""Least time it rests; at 30 % of a compressor's power 3-6 starts an hour are the rule [mem]; assumed."""

BAND_K = 0.4
"""The room thermostat calls this far below what is asked for, and stops calling as far above; assumed."""
TRACK_S = 3600.0
"""Room influence: the level set is the one that would close the gap with this time constant; assumed."""
PREHEAT_K = 1.0
"""How far above the set-point a home told to turn up goes; assumed.

Large pre-heating led to complaints of overheating (Sweetnam et al., realism.md section 2).
"""
MAY_COOL_K = 1.5
"""An event may cool any room by this much, also one that began near its floor or below it; assumed.

Two to three hours off pass without complaint (realism.md section 2); homes switched off 17:00-19:00 on 22
winter days, many on their way up from a set-back, cut 1.27 kWh each (EQUINOX, 386 homes, 2022-23).
"""
RECOVERED_K = 0.2
"""A suspended home takes orders again this close to what is asked for; assumed."""
EMITTER_TO_FABRIC = 0.3
"""Share of an emitter's heat that is radiant and warms the fabric; radiators 0.2-0.5 [mem]."""
SOLAR_TO_FABRIC = 0.5
"""Share of the sun through windows that warms the fabric; assumed."""

WATER_BAND_K = 7.0
"""A cylinder is reheated this far below its goal: 5-8 K, realism.md section 3 [mem]."""
LEGIONELLA_C = 60.0
"""The weekly cycle: 60 C (HSE L8, HSG274 part 2)."""
WATER_FLOOR_C = 35.0
"""Mean of a cylinder whose upper half is still at 50 C: below it showers turn cold; assumed.

A timed cylinder is then reheated out of hours, and a home leaves an event.
"""
MAINS_C = 10.0
"""Cold water [mem]."""
CUPBOARD_C = 18.0
"""Around the cylinder; its standing loss is not counted as a gain of the house: small, and assumed."""

BUFFER_RISE_K = 10.0
"""Charging a buffer tank lifts the flow by this much; assumed."""
BUFFER_CHARGE_MS = 7_200_000
"""An empty buffer tank is filled again in about this time; assumed."""
BUFFER_LEAST_MJ = 1_000_000
"""A buffer tank with less than 1 kJ counts as empty."""
BOILER_W = 24_000
"""Heat of a hybrid's boiler, common combi size [mem]; what the radiators take at 60 C binds first."""
BOILER_FLOW_C = 60.0

STATE = np.dtype(
    [
        ("at_ms", "i8"),  # the moment up to which this row is integrated
        ("register_mj", "i8"),  # total import since the run began
        ("import_w", "i4"),
        ("limit_w", "i4"),  # NO_LIMIT_W or the limit in force
        ("limit_until_s", "i4"),
        ("pending_limit_w", "i4"),  # an order that waits for its start
        ("pending_from_s", "i4"),  # 0: none waits
        ("sequence", "i4"),  # of the last order taken
        ("pending_for_s", "u2"),
        ("mode", "u1"),  # SPACE or WATER: where the compressor's heat goes
        ("marks", "u1"),  # CALLS_SPACE | CALLS_WATER | KILLS_LEGIONELLA | HELD | SUSPENDED | FORCED | RESTS
        ("limit_since_s", "i4"),  # 0: stands under no limit
        ("anchor_ms", "i8"),  # the moment of the three temperatures
        ("air_c", "f8"),
        ("fabric_c", "f8"),
        ("water_c", "f8"),
        ("buffer_mj", "i8"),  # usable heat in the buffer tank
        ("switched_ms", "i8"),  # when the compressor last started or stopped
        ("cop", "f4"),
        ("boiler_w", "i4"),  # heat of a hybrid's boiler to the house
        ("store_w", "i4"),  # heat into the buffer tank; negative: out of it, to the house
        ("trend_c_per_s", "f4"),  # of the air, from `anchor_ms` to the next half-hour
        ("held_from_c", "f4"),  # the air when the limits under which it stands began
    ]
)
"""What a heat pump and its house do: 116 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),  # of its asset meter, gain error included
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),  # its own moment within read_every_ms
        ("device", "i8"),  # stable identity
        ("traits", "u1"),  # GROUND | HYBRID | CYLINDER | TELLS_WARMTH
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("response_s", "u2"),  # from order to action
        ("hold_cap_s", "i4"),  # longest time under limits
        ("max_w", "i4"),
        ("floor_w", "i4"),  # the least a running compressor draws
        ("air_j_per_k", "f8"),
        ("fabric_j_per_k", "f8"),
        ("between_w_per_k", "f8"),
        ("air_loss_w_per_k", "f8"),
        ("fabric_loss_w_per_k", "f8"),
        ("gain_w", "f4"),  # mean heat of people and appliances
        ("window_m2", "f4"),  # sun let in per W/m2 on the horizontal
        ("emitter_w_per_k", "f4"),  # heat given per K of flow above air
        ("flow_at_0_c", "f4"),  # flow temperature at 0 C outdoors ...
        ("flow_per_c", "f4"),  # ... and how it falls per K outdoors
        ("ground_c", "f4"),  # source of a ground-source heat pump
        ("defrost_share", "f4"),  # of the heat, lost to defrosting at 1 C
        ("bivalent_c", "f4"),  # below this a hybrid leaves the work to its boiler
        ("comfort_c", "f4"),
        ("setback_c", "f4"),
        ("comfort_floor_c", "f4"),
        ("water_goal_c", "f4"),
        ("water_j_per_k", "f8"),
        ("water_loss_w_per_k", "f8"),
        ("buffer_mj", "i8"),  # 0: none
    ]
)
"""What a heat pump, its house and its cylinder are."""

DRAWS = 8
DIARY = np.dtype(
    [
        ("warm_s", "i4", (4,)),  # comfort from [0] to [1] and from [2] to [3], seconds from the day's start
        ("draw_s", "i4", (DRAWS,)),  # hot water is drawn, seconds from the day's start
        ("draw_wh", "i4", (DRAWS,)),  # heat in it, above the mains
        ("water_s", "i4", (4,)),  # the cylinder is kept hot from [0] to [1] and from [2] to [3]
        ("legionella_s", "i4"),  # the weekly cycle begins; negative: not today
        ("heats", "u1"),  # the season for heating
    ]
)
"""What its people ask for, from one planning moment to the next."""


class Today(NamedTuple):
    """What all rows share from one planning moment to the next, by half-hour."""

    first_ms: int
    outdoor_c: Any  # (regions, half-hours)
    sun_w_per_m2: Any  # on the horizontal, (regions, half-hours)
    occupancy: Any  # gains of people and appliances, mean one, (half-hours,)
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of a heat pump's day."""

    WORKING = 3  # value: W
    STOPPED = 4  # value: air in 0.01 C
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    OVERRIDDEN = 7  # the comfort floor or the longest event; value: air in 0.01 C
    ORDER = 11  # value: AckOutcome
    WARM_AGAIN = 20  # takes orders again; value: air in 0.01 C
    SHORT_OF_HOT_WATER = 21  # value: water in 0.01 C


# ---------------------------------------------------------------------------------------- weather, efficiency


@scalar
def place(today: Any, at_ms: int) -> int:
    """The half-hour of the day that a moment lies in; beyond either end the nearest."""
    k = (at_ms - int(today.first_ms)) // HALF_HOUR_MS
    return int(max(0, min(k, today.outdoor_c.shape[1] - 1)))


@scalar
def next_edge_ms(at_ms: int) -> int:
    """The next half-hour edge strictly after a moment (UTC, as all half-hours of weather)."""
    return (at_ms // HALF_HOUR_MS + 1) * HALF_HOUR_MS


@scalar
def flow_c(p: Any, outdoor_c: float) -> float:
    """Weather-compensated flow temperature [C], between 25 and 65."""
    return max(25.0, min(float(p.flow_at_0_c) - float(p.flow_per_c) * outdoor_c, 65.0))


@scalar
def lift_cop(p: Any, outdoor_c: float, sink_c: float) -> float:
    """Coefficient of performance in the field at an outdoor and a sink temperature [C]; never below one."""
    if p.traits & GROUND:
        lift_k = max(sink_c - float(p.ground_c), LEAST_LIFT_K)
        fit = GROUND_COP[0] + GROUND_COP[1] * lift_k + GROUND_COP[2] * lift_k * lift_k
        return max(1.0, REAL_LIFE * fit)
    lift_k = max(sink_c - outdoor_c, LEAST_LIFT_K)
    fit = AIR_COP[0] + AIR_COP[1] * lift_k + AIR_COP[2] * lift_k * lift_k
    frost = max(0.0, 1.0 - abs(outdoor_c - DEFROST_WORST_C) / DEFROST_WIDTH_K)
    return max(1.0, REAL_LIFE * fit * (1.0 - float(p.defrost_share) * frost))


# ----------------------------------------------------------------------------------------------------- living


@scalar
def house_heat_w(s: Any) -> float:
    """Heat that the house gets from its heating [W]."""
    heat_w = float(s.boiler_w) - float(s.store_w)
    if s.mode == SPACE:
        heat_w += float(s.import_w) * float(s.cop)
    return heat_w


@scalar
def inputs_w(p: Any, today: Any, k: int, heat_w: float) -> tuple[float, float]:
    """Heat to the air and to the fabric [W] in half-hour `k`: heating, people, sun."""
    sun_w = float(p.window_m2) * today.sun_w_per_m2[p.region, k]
    people_w = float(p.gain_w) * today.occupancy[k]
    to_air_w = (1.0 - EMITTER_TO_FABRIC) * heat_w + people_w + (1.0 - SOLAR_TO_FABRIC) * sun_w
    return to_air_w, EMITTER_TO_FABRIC * heat_w + SOLAR_TO_FABRIC * sun_w


@scalar
def water_later_c(p: Any, water_c: float, heat_w: float, ms: int) -> float:
    """The cylinder [C] after `ms` of constant heat; it loses heat to its cupboard."""
    end_c = CUPBOARD_C + heat_w / p.water_loss_w_per_k
    return float(
        end_c + (water_c - end_c) * math.exp(-p.water_loss_w_per_k / p.water_j_per_k * (ms / 1000.0))
    )


@scalar
def water_heat_w(s: Any) -> float:
    """Heat that goes into the cylinder [W]."""
    if s.mode == WATER:
        return float(s.import_w) * float(s.cop)
    return 0.0


@scalar
def move_anchor(s: Any, p: Any, today: Any, now_ms: int) -> None:
    """Bring the temperatures to `now_ms`, which lies in the same half-hour as `anchor_ms` or ends it."""
    lived_ms = now_ms - int(s.anchor_ms)
    if lived_ms <= 0:
        return
    k = place(today, int(s.anchor_ms))
    to_air_w, to_fabric_w = inputs_w(p, today, k, house_heat_w(s))
    outdoor_c = today.outdoor_c[p.region, k]
    air_c, fabric_c = later_c(
        p, float(s.air_c), float(s.fabric_c), outdoor_c, to_air_w, to_fabric_w, lived_ms
    )
    s.air_c = air_c
    s.fabric_c = fabric_c
    if p.traits & CYLINDER:
        s.water_c = water_later_c(p, float(s.water_c), water_heat_w(s), lived_ms)
    s.anchor_ms = now_ms
    s.trend_c_per_s = 0.0


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - every kind's signature
    """Live at constant power until now.

    Energy in integers; temperatures from half-hour edge to half-hour edge (the rest of the last half-hour is
    lived when something happens or the half-hour ends: no split shows).
    """
    lived_ms = now_ms - int(s.at_ms)
    s.register_mj = int(s.register_mj) + int(s.import_w) * lived_ms
    s.buffer_mj = int(s.buffer_mj) + int(s.store_w) * lived_ms
    s.at_ms = now_ms
    edge_ms = next_edge_ms(int(s.anchor_ms))
    while edge_ms <= now_ms:
        move_anchor(s, p, today, edge_ms)
        edge_ms += HALF_HOUR_MS


# --------------------------------------------------------------------------------------------------- deciding


@scalar
def told_to_heat(s: Any, p: Any) -> bool:
    """Whether an order asks for all it can draw: a turn-up."""
    return bool(s.limit_w != NO_LIMIT_W and s.limit_w >= p.max_w)


@scalar
def wanted_c(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> float:
    """The temperature that is asked for [C]: comfort, setback, or a turn-up's pre-heating."""
    if told_to_heat(s, p):
        return float(p.comfort_c) + PREHEAT_K
    if is_within(d.warm_s, now_ms - int(today.first_ms)):
        return float(p.comfort_c)
    return float(p.setback_c)


@scalar
def is_within(timer_s: Any, lived_ms: int) -> bool:
    """Whether a timer of two periods [s] is on, `lived_ms` after the day's start."""
    first = int(timer_s[0]) * 1000 <= lived_ms < int(timer_s[1]) * 1000
    return first or int(timer_s[2]) * 1000 <= lived_ms < int(timer_s[3]) * 1000


@scalar
def water_goal_c(s: Any, p: Any) -> float:
    """The temperature at which the cylinder stops asking [C]."""
    if s.marks & KILLS_LEGIONELLA:
        return LEGIONELLA_C
    return float(p.water_goal_c)


@scalar
def set_mark(s: Any, mark: int, on: bool) -> None:
    """Set or clear one mark."""
    s.marks = int(s.marks) & (255 - mark)
    if on:
        s.marks = int(s.marks) | mark


@scalar
def listen(s: Any, p: Any, d: Any, today: Any, target_c: float, now_ms: int) -> None:
    """The two thermostats: call below their band, stop calling above it."""
    if d.heats == 0 or s.air_c >= target_c + BAND_K:
        set_mark(s, CALLS_SPACE, False)
    elif s.air_c <= target_c - BAND_K:
        set_mark(s, CALLS_SPACE, True)
    if p.traits & CYLINDER:
        if s.water_c >= water_goal_c(s, p):
            set_mark(s, CALLS_WATER | KILLS_LEGIONELLA, False)
        elif s.water_c <= water_start_c(s, p, d, today, now_ms):
            set_mark(s, CALLS_WATER, True)


@scalar
def water_start_c(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> float:
    """The temperature at which the cylinder asks for heat [C]; under a turn-up it asks sooner."""
    if told_to_heat(s, p):
        return float(p.water_goal_c) - 1.0
    if is_within(d.water_s, now_ms - int(today.first_ms)):
        return float(p.water_goal_c) - WATER_BAND_K
    return WATER_FLOOR_C


@scalar
def room_heat_w(s: Any, p: Any, today: Any, k: int, target_c: float, hottest_c: float) -> float:
    """The heat that leads the air to its target with time constant TRACK_S [W].

    Bounded by what the emitters give at a flow of `hottest_c`.
    """
    outdoor_c = today.outdoor_c[p.region, k]
    gains_w, _ = inputs_w(p, today, k, 0.0)
    air_w = steady_heat_w(p, target_c, float(s.fabric_c), outdoor_c, gains_w)
    air_w += (target_c - float(s.air_c)) * float(p.air_j_per_k) / TRACK_S
    most_w = float(p.emitter_w_per_k) * max(0.0, hottest_c - float(s.air_c))
    return max(0.0, min(air_w / (1.0 - EMITTER_TO_FABRIC), most_w))


@scalar
def protected_w(s: Any, p: Any, allowed_w: int, now_ms: int) -> int:
    """What the compressor's protection makes of `allowed_w` [W]: least time on, least time off."""
    set_mark(s, FORCED | RESTS, False)
    if allowed_w == 0 and s.import_w > 0 and now_ms < int(s.switched_ms) + MIN_ON_MS:
        set_mark(s, FORCED, True)
        return int(p.floor_w)
    if allowed_w > 0 and s.import_w == 0 and now_ms < int(s.switched_ms) + MIN_OFF_MS:
        set_mark(s, RESTS, True)
        return 0
    return allowed_w


@scalar
def buffer_charge_w(s: Any, p: Any) -> float:
    """Heat wanted for the buffer tank [W]."""
    if s.buffer_mj >= p.buffer_mj:
        return 0.0
    return float(p.buffer_mj) / BUFFER_CHARGE_MS


@scalar
def back_s(p: Any) -> int:
    """How long after a power cut its controls start [s]: compressors rest from when the power is back."""
    return MIN_OFF_MS // 1000 + int(p.restart_s)


@scalar
def work(s: Any, p: Any, today: Any, target_c: float, now_ms: int) -> None:
    """Set compressor, boiler and buffer tank to what thermostats, limit and protection leave."""
    k = place(today, now_ms)
    outdoor_c = today.outdoor_c[p.region, k]
    heated_c = flow_c(p, outdoor_c)
    mode, want_w, room_w, charge_w = int(s.mode), 0, 0.0, 0.0
    by_boiler = p.traits & HYBRID != 0 and outdoor_c < p.bivalent_c
    if s.marks & CALLS_SPACE:
        hottest_c = BOILER_FLOW_C if by_boiler else heated_c
        room_w = room_heat_w(s, p, today, k, target_c, hottest_c)
        charge_w = buffer_charge_w(s, p)
    sink_c = heated_c + (BUFFER_RISE_K if charge_w > 0.0 else 0.0)
    if s.marks & CALLS_WATER:
        mode, want_w, sink_c = WATER, int(p.max_w), max(float(p.water_goal_c), water_goal_c(s, p))
    elif s.marks & CALLS_SPACE and not by_boiler:
        mode = SPACE
        want_w = int((room_w + charge_w) / lift_cop(p, outdoor_c, sink_c) + 0.5)
        want_w = max(int(p.floor_w), min(want_w, int(p.max_w)))
    elif mode == WATER:
        sink_c = float(p.water_goal_c)
    dark = is_dark(today.cuts_ms, int(p.region), back_s(p), now_ms)
    if dark:
        want_w, room_w = 0, 0.0
    allowed_w = want_w
    if s.limit_w != NO_LIMIT_W and s.limit_w < want_w:
        allowed_w = int(s.limit_w) if s.limit_w >= p.floor_w else 0
    set_mark(s, HELD, allowed_w < want_w)
    import_w = protected_w(s, p, allowed_w, now_ms)
    if dark:
        import_w = 0
        set_mark(s, FORCED, False)
    if (import_w > 0) != (s.import_w > 0):
        s.switched_ms = now_ms
    s.import_w = import_w
    s.mode = mode
    s.cop = lift_cop(p, outdoor_c, sink_c)
    fill_in(s, p, room_w, by_boiler or s.marks & HELD != 0)


@scalar
def fill_in(s: Any, p: Any, room_w: float, boiler_may: bool) -> None:
    """What boiler and buffer tank do about the difference between the compressor's heat and the room's."""
    s.boiler_w, s.store_w = 0, 0
    spare_w = water_free_heat_w(s) - room_w
    if p.traits & HYBRID and boiler_may and spare_w < 0.0:
        s.boiler_w = min(int(-spare_w), BOILER_W)
    if p.buffer_mj > 0:
        fills = spare_w > 0.0 and s.mode == SPACE and s.buffer_mj < p.buffer_mj
        empties = spare_w < 0.0 and s.buffer_mj > BUFFER_LEAST_MJ
        if fills or empties:
            s.store_w = int(spare_w)


@scalar
def water_free_heat_w(s: Any) -> float:
    """Heat of the compressor that does not go into the cylinder [W]."""
    if s.mode == SPACE:
        return float(s.import_w) * float(s.cop)
    return 0.0


@scalar
def suspend(s: Any) -> int:
    """Leave the event, and refuse others until warm again; gives the bit of OVERRIDDEN."""
    forget(s)
    s.limit_since_s = 0
    set_mark(s, SUSPENDED, True)
    return 1 << 7


@scalar
def floor_c(s: Any, p: Any) -> float:
    """The air [C] at which a home leaves an event: its comfort floor, or lower where it began lower."""
    return min(float(p.comfort_floor_c), float(s.held_from_c) - MAY_COOL_K)


@scalar
def is_too_cold(s: Any, p: Any, d: Any) -> bool:
    """Whether room or water are below what their owner puts up with."""
    if d.heats and s.air_c <= floor_c(s, p):
        return True
    return bool(p.traits & CYLINDER and s.water_c <= WATER_FLOOR_C)


@scalar
def recovered_c(target_c: float) -> float:
    """The air [C] at which a suspended home takes orders again."""
    return target_c - RECOVERED_K


@scalar
def is_warm_again(s: Any, p: Any, d: Any, target_c: float) -> bool:
    """Whether a suspended home may take orders again."""
    if d.heats and s.air_c < recovered_c(target_c):
        return False
    return not (p.traits & CYLINDER and s.water_c <= WATER_FLOOR_C)


@scalar
def decide(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> int:
    """Set all that follows from everything known now; gives the bits of OVERRIDDEN and WARM_AGAIN.

    The temperatures are those of now.
    """
    bits = 0
    target_c = wanted_c(s, p, d, today, now_ms)
    if s.marks & SUSPENDED and is_warm_again(s, p, d, target_c):
        set_mark(s, SUSPENDED, False)
        bits |= 1 << 20
    if s.limit_w == NO_LIMIT_W:
        s.limit_since_s = 0
    elif s.limit_since_s == 0:
        s.limit_since_s = now_ms // 1000
        s.held_from_c = s.air_c
    listen(s, p, d, today, target_c, now_ms)
    work(s, p, today, target_c, now_ms)
    if s.marks & HELD and is_too_cold(s, p, d):
        bits |= suspend(s)
        target_c = wanted_c(s, p, d, today, now_ms)
        listen(s, p, d, today, target_c, now_ms)
        work(s, p, today, target_c, now_ms)
    look_ahead(s, p, today, now_ms)
    return bits


@scalar
def look_ahead(s: Any, p: Any, today: Any, now_ms: int) -> None:
    """Note where the air is going, for whoever reads the room's thermometer before the next half-hour."""
    k = place(today, now_ms)
    to_air_w, to_fabric_w = inputs_w(p, today, k, house_heat_w(s))
    ahead_ms = next_edge_ms(now_ms) - now_ms
    outdoor_c = today.outdoor_c[p.region, k]
    then_c, _ = later_c(p, float(s.air_c), float(s.fabric_c), outdoor_c, to_air_w, to_fabric_w, ahead_ms)
    s.trend_c_per_s = (then_c - float(s.air_c)) / (ahead_ms / 1000.0)


# -------------------------------------------------------------------------------------------------- happening


@scalar
def is_due(before_ms: int, at_ms: int, now_ms: int) -> bool:
    """Whether a moment lies after the last one lived and not after now."""
    return before_ms < at_ms <= now_ms


@scalar
def draw_water(s: Any, p: Any, draw_wh: int) -> int:
    """Take heat out of the cylinder, at most what is there; gives the bit of SHORT_OF_HOT_WATER."""
    there_j = float(p.water_j_per_k) * max(0.0, float(s.water_c) - MAINS_C)
    s.water_c = float(s.water_c) - min(draw_wh * 3600.0, there_j) / float(p.water_j_per_k)
    if s.water_c < WATER_FLOOR_C:
        return 1 << 21
    return 0


@scalar
def hold_ends_ms(s: Any, p: Any) -> int:
    """When the longest time under limits is over [ms]; NEVER_MS for a row that stands under none."""
    if s.limit_since_s == 0:
        return NEVER_MS
    return (int(s.limit_since_s) + int(p.hold_cap_s)) * 1000


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now, then the new power.

    Gives (bits, -1): bit k set for each EventKind k that happened; a heat pump makes no promise.
    """
    before_ms = int(s.at_ms)
    first_ms = int(today.first_ms)
    integrate(s, p, d, today, now_ms)
    move_anchor(s, p, today, now_ms)
    bits = 0
    if p.traits & CYLINDER:
        for k in range(DRAWS):
            if d.draw_wh[k] > 0 and is_due(before_ms, first_ms + int(d.draw_s[k]) * 1000, now_ms):
                bits |= draw_water(s, p, int(d.draw_wh[k]))
        if d.legionella_s >= 0 and is_due(before_ms, first_ms + int(d.legionella_s) * 1000, now_ms):
            set_mark(s, CALLS_WATER | KILLS_LEGIONELLA, True)
    bits |= turn(s, now_ms)
    if s.limit_w != NO_LIMIT_W and hold_ends_ms(s, p) <= now_ms:
        bits |= suspend(s)
    bits |= decide(s, p, d, today, now_ms)
    return bits, -1


@scalar
def changes_with_weather(s: Any, d: Any) -> bool:
    """Whether the next half-hour of weather matters to what this row does."""
    return bool(d.heats or s.import_w > 0 or s.boiler_w > 0 or s.store_w != 0)


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    at_ms, first_ms = int(s.at_ms), int(today.first_ms)
    best_ms = next_turn_ms(s, NEVER_MS)
    if s.limit_w != NO_LIMIT_W:
        best_ms = sooner(at_ms, hold_ends_ms(s, p), best_ms)
    if p.traits & CYLINDER:
        for k in range(DRAWS):
            if d.draw_wh[k] > 0:
                best_ms = sooner(at_ms, first_ms + int(d.draw_s[k]) * 1000, best_ms)
        for k in (0, 2):
            best_ms = sooner(at_ms, first_ms + int(d.water_s[k]) * 1000, best_ms)
        if d.legionella_s >= 0:
            best_ms = sooner(at_ms, first_ms + int(d.legionella_s) * 1000, best_ms)
    if s.marks & FORCED:
        best_ms = sooner(at_ms, int(s.switched_ms) + MIN_ON_MS, best_ms)
    if s.marks & RESTS:
        best_ms = sooner(at_ms, int(s.switched_ms) + MIN_OFF_MS, best_ms)
    if s.store_w > 0:
        missing_mj = int(p.buffer_mj) - int(s.buffer_mj)
        best_ms = sooner(at_ms, at_ms + max(1, -(-missing_mj // int(s.store_w))), best_ms)
    elif s.store_w < 0:
        left_mj = int(s.buffer_mj) - BUFFER_LEAST_MJ
        best_ms = sooner(at_ms, at_ms + max(1, -(left_mj // int(s.store_w))), best_ms)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), back_s(p), at_ms, best_ms)
    if changes_with_weather(s, d):
        best_ms = sooner(at_ms, next_edge_ms(at_ms), best_ms)
    if d.heats:
        for k in range(4):
            best_ms = sooner(at_ms, first_ms + int(d.warm_s[k]) * 1000, best_ms)
        best_ms = sooner(at_ms, room_crossing_ms(s, p, d, today, best_ms), best_ms)
    if p.traits & CYLINDER:
        best_ms = sooner(at_ms, water_crossing_ms(s, p, d, today, best_ms), best_ms)
    return best_ms


@scalar
def room_crossing_ms(s: Any, p: Any, d: Any, today: Any, until_ms: int) -> int:
    """When the air next crosses a level that matters, before `until_ms` in this half-hour; else NEVER_MS."""
    anchor_ms = int(s.anchor_ms)
    k = place(today, anchor_ms)
    to_air_w, to_fabric_w = inputs_w(p, today, k, house_heat_w(s))
    air_c, fabric_c, outdoor_c = float(s.air_c), float(s.fabric_c), today.outdoor_c[p.region, k]
    target_c = wanted_c(s, p, d, today, int(s.at_ms))
    last_ms = min(until_ms, next_edge_ms(anchor_ms)) - anchor_ms
    best_ms = NEVER_MS
    if last_ms < 1:
        return best_ms
    calls = s.marks & CALLS_SPACE != 0
    level_c = target_c + BAND_K if calls else target_c - BAND_K
    ms = crossing_ms(p, air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w, level_c, calls, last_ms)
    best_ms = min(best_ms, anchor_ms + ms)
    if s.marks & HELD:
        level_c = floor_c(s, p)
        ms = crossing_ms(p, air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w, level_c, False, last_ms)
        best_ms = min(best_ms, anchor_ms + ms)
    if s.marks & SUSPENDED and air_c < recovered_c(target_c):
        level_c = recovered_c(target_c)
        ms = crossing_ms(p, air_c, fabric_c, outdoor_c, to_air_w, to_fabric_w, level_c, True, last_ms)
        best_ms = min(best_ms, anchor_ms + ms)
    return best_ms


@scalar
def water_crossing_ms(s: Any, p: Any, d: Any, today: Any, until_ms: int) -> int:
    """When the cylinder next crosses a level that matters, before `until_ms`; else NEVER_MS.

    From half-hour edge to half-hour edge, as `integrate` goes: the same arithmetic, so that the level is
    reached at the very millisecond found here.
    """
    heat_w = water_heat_w(s)
    rising, calls = heat_w > 0.0, s.marks & CALLS_WATER != 0
    if rising and not calls:
        return NEVER_MS
    if calls and not rising and s.marks & HELD == 0:
        return NEVER_MS
    if rising:
        level_c = water_goal_c(s, p)
    elif calls:
        level_c = WATER_FLOOR_C
    else:
        level_c = water_start_c(s, p, d, today, int(s.at_ms))
    water_c, from_ms = float(s.water_c), int(s.anchor_ms)
    last_ms = min(until_ms, from_ms + 48 * HALF_HOUR_MS)
    while from_ms < last_ms:
        edge_ms = min(next_edge_ms(from_ms), last_ms)
        then_c = water_later_c(p, water_c, heat_w, edge_ms - from_ms)
        if reached(then_c, level_c, rising):
            low_ms, high_ms = 0, edge_ms - from_ms
            while high_ms - low_ms > 1:
                middle_ms = (low_ms + high_ms) // 2
                if reached(water_later_c(p, water_c, heat_w, middle_ms), level_c, rising):
                    high_ms = middle_ms
                else:
                    low_ms = middle_ms
            return from_ms + high_ms
        water_c, from_ms = then_c, edge_ms
    return NEVER_MS


# ----------------------------------------------------------------------------------------- orders and telling


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
    response_dsr: bool,  # noqa: ARG001 - every kind's signature; SI 2021/1467 is about charge points
) -> int:
    """Take or refuse one order; gives its AckOutcome. Own events due until now have happened already.

    A heat pump acts `response_s` after an order reaches it, about two minutes (CrowdFlex WP5 table 4), or at
    the order's start if that is later; it goes back to its own will by itself at the end.
    """
    integrate(s, p, d, today, now_ms)
    begin_ms = max(from_ms, now_ms + int(p.response_s) * 1000)
    outcome = refusal(s, begin_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    if s.marks & SUSPENDED:
        return OVERRULED
    before_w = int(s.limit_w)
    take(s, now_ms, limit_w, begin_ms, until_ms, sequence, 0, 0, int(p.hold_cap_s))
    if s.limit_w != before_w:  # only where it acts at once
        move_anchor(s, p, today, now_ms)
        decide(s, p, d, today, now_ms)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:  # noqa: ARG001 - every kind's signature
    """What it says that it is doing (protocol.messages.AssetStatus)."""
    if s.marks & SUSPENDED:
        return 5  # OVERRIDDEN
    if s.marks & HELD:
        return 3  # LIMITED
    if s.import_w > 0 or s.boiler_w > 0:
        return 2  # CHARGING: working
    if s.marks & (CALLS_SPACE | CALLS_WATER):
        return 1  # WAITING
    return 4  # FULL: satisfied


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:
    """Warmth of the room as told in readings: 0 at the comfort floor, 100 at comfort; -1 if not told."""
    if p.traits & TELLS_WARMTH == 0:
        return -1
    air_c = float(s.air_c) + float(s.trend_c_per_s) * ((now_ms - int(s.anchor_ms)) / 1000.0)
    floor_c = float(p.comfort_floor_c)
    return max(0, min(int(100.0 * (air_c - floor_c) / (float(p.comfort_c) - floor_c)), 100))


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - every kind's signature
    """The number told with an event, as `EventKind` says."""
    if kind == 5:
        return int(s.limit_w)
    if kind == 3:
        return int(s.import_w)
    if kind in (4, 7, 20):
        return int(float(s.air_c) * 100.0)
    if kind == 21:
        return int(float(s.water_c) * 100.0)
    return 0
