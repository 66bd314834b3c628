"""A home battery with its inverter, and the local controller that runs it for its own home.

Charge is counted inside the battery (`charge_mj`), import and export at the inverter's AC terminals. Both
powers are integers [W] and constant between events, so that import = gain + export + loss holds exactly in
mJ (in a power cut also + what it gives its own home); the inverter holds its power inside to whole watts,
rounded so that the loss is never less than its efficiency says. The self-supply `standby_w` is drawn at the
terminals whatever else happens, so that a battery which stands still keeps its charge.

The controller sees its home's demand less its sun by half-hour (`net_w`) as its clamp on the main does. It
follows that (self-consumption), cuts what rises above a threshold (peak shaving), or follows the windows of a
tariff. An order overrides it for its time: `limit_w` above 0 asks for that import, 0 for standing still,
below NO_LIMIT_W for that export; then the controller resumes. Whatever is asked for, the charge stays between
reserve and capacity, and battery and roof together give the street no more than `export_limit_w` - unless the
roof alone does, which is its inverter's affair. Without mains it trips and sleeps, and keeps its charge,
unless it is wired to feed its home (`go_dark`).

Ties: as in `devices.ev`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from devices.power_cut import NO_CUTS_MS, RECONNECT_S, is_dark, next_cut_ms
from devices.scalar import scalar
from devices.standing_order import APPLIED, NO_LIMIT_W, next_turn_ms, refusal, sooner, take, turn

NEVER_MS = 2**62
HALF_HOUR_MS = 1_800_000
DAY_MS = 86_400_000
HALF_HOURS = 50
"""Room in a diary: the longest local day."""
HOLD_CAP_S = 4 * 3600
"""No order holds longer than this, whatever it says: as for cars (CrowdFlex WP5 table 4); assumed here."""
SHORTEST_RUN_MS = 1_000
"""A battery that could go on for less than this at the power asked for is full or empty; assumed."""
WHOLE = 10_000
"""Efficiencies are given in ten-thousandths."""

SELF_CONSUMPTION, PEAK_SHAVING, TARIFF = 0, 1, 2
"""What the local controller does: `mode`."""
EXPORTS_AT_PEAK, KEEPS_FOR_PEAK, REFUSES_IN_WINDOW, BACKS_UP = 1, 2, 4, 8
"""Traits. At peak it gives all it can, not just what the home needs; it does not serve the home before the
peak; it takes no orders while a window of its tariff is open; it feeds its home through a power cut."""
HELD, OVERRIDDEN, FULL, EMPTY, ISLANDED = 1, 2, 4, 8, 16
"""Marks: an order is in force; the local controller does not let it; no room; nothing above the reserve;
it feeds its home while the street is dark."""
NO_WINDOW, CHEAP, PEAK = 0, 1, 2

STATE = np.dtype(
    [
        ("at_ms", "i8"),  # the moment up to which this row is integrated
        ("register_mj", "i8"),  # total import since the run began
        ("import_w", "i4"),  # at the AC terminals; negative: given
        ("limit_w", "i4"),
        ("limit_until_s", "i4"),
        ("pending_limit_w", "i4"),
        ("pending_from_s", "i4"),
        ("pending_for_s", "u2"),
        ("sequence", "i4"),
        ("export_mj", "i8"),  # total given since the run began
        ("charge_mj", "i8"),  # in the battery
        ("lost_mj", "i8"),  # total lost since the run began
        ("discharged_mj", "i8"),  # total taken out of the battery: cycles are counted by it
        ("day_from_mj", "i8"),  # `discharged_mj` as the planned day began
        ("day", "i4"),  # the planned day of `day_from_mj`, in days of UTC
        ("backed_up_mj", "i8"),  # total given to its home while the street was dark
        ("gain_w", "i4"),  # into the battery; negative: out of it
        ("island_w", "i4"),  # to its home while the street is dark
        ("marks", "u1"),
    ]
)
"""What a battery does: 103 bytes."""

SPEC = np.dtype(
    [
        ("wh_per_mj", "f8"),  # of its asset meter, gain error included
        ("read_every_ms", "i4"),
        ("read_at_ms", "i4"),
        ("device", "i8"),
        ("traits", "u1"),
        ("region", "u1"),
        ("restart_s", "u2"),  # back so long after the power, beside what its kind needs
        ("mode", "u1"),
        ("tariff", "u1"),  # row of the windows in Today
        ("capacity_mj", "i8"),
        ("reserve_mj", "i8"),  # never taken out
        ("day_limit_mj", "i8"),  # no more than this is taken out per planned day; 0: no limit
        ("charge_w", "i4"),  # the most it draws for charging, AC
        ("discharge_w", "i4"),  # the most the inverter makes, AC
        ("export_limit_w", "i4"),  # of battery and roof together, to the street
        ("threshold_w", "i4"),  # of the home's import, for peak shaving
        ("standby_w", "i4"),
        ("charge_efficiency", "u2"),  # ten-thousandths
        ("discharge_efficiency", "u2"),  # ten-thousandths
    ]
)

DIARY = np.dtype(
    [
        ("jitter_s", "i4"),  # windows of the tariff begin this much late
        ("net_w", "i2", (HALF_HOURS,)),  # demand less sun of its home by half-hour from Today.first_ms
    ]
)
"""What its home needs today."""


class Today(NamedTuple):
    """The tariffs from one planning moment to the next, windows half-open [UTC ms], unused rows (0, 0)."""

    first_ms: int
    cheap_ms: Any  # (tariffs, windows, 2)
    peak_ms: Any  # (tariffs, windows, 2)
    cuts_ms: Any = NO_CUTS_MS  # as in `devices.power_cut`


class EventKind(IntEnum):
    """What can be told of a battery's day."""

    POWER = 3  # value: W
    STOPPED = 4  # value: charge in Wh
    HELD_BACK = 5  # value: limit in W
    LIMIT_ENDED = 6
    OVERRIDDEN = 7  # value: limit in W that is not kept
    ORDER = 11  # value: AckOutcome
    FILLED = 40  # value: charge in Wh
    EMPTIED = 41  # value: charge in Wh


@scalar
def integrate(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:  # noqa: ARG001 - every kind's signature
    """Live at constant power until now."""
    lived_ms = now_ms - int(s.at_ms)
    gain_mj = int(s.gain_w) * lived_ms
    terminal_mj = int(s.import_w) * lived_ms
    s.charge_mj = int(s.charge_mj) + gain_mj
    if gain_mj < 0:
        s.discharged_mj = int(s.discharged_mj) - gain_mj
    if terminal_mj > 0:
        s.register_mj = int(s.register_mj) + terminal_mj
    else:
        s.export_mj = int(s.export_mj) - terminal_mj
    home_mj = int(s.island_w) * lived_ms
    s.backed_up_mj = int(s.backed_up_mj) + home_mj
    s.lost_mj = int(s.lost_mj) + terminal_mj - gain_mj - home_mj
    s.at_ms = now_ms


@scalar
def half_hour(today: Any, now_ms: int) -> int:
    """Place of a moment in the diary's half-hours; the first or last beyond them."""
    return min(max((now_ms - int(today.first_ms)) // HALF_HOUR_MS, 0), HALF_HOURS - 1)


@scalar
def is_open(windows_ms: Any, tariff: int, late_ms: int, now_ms: int) -> bool:
    """Whether a window of the tariff, begun `late_ms` late, holds a moment."""
    for k in range(windows_ms.shape[1]):
        if windows_ms[tariff, k, 0] + late_ms <= now_ms < windows_ms[tariff, k, 1]:
            return True
    return False


@scalar
def window(p: Any, d: Any, today: Any, now_ms: int) -> int:
    """Which window of its tariff is open to a controller that follows one."""
    if p.mode != TARIFF:
        return NO_WINDOW
    late_ms = int(d.jitter_s) * 1000
    if is_open(today.peak_ms, int(p.tariff), late_ms, now_ms):
        return PEAK
    if is_open(today.cheap_ms, int(p.tariff), late_ms, now_ms):
        return CHEAP
    return NO_WINDOW


@scalar
def own_will_w(p: Any, net_w: int, open_window: int) -> int:
    """The import at its terminals that the local controller asks for [W]; negative: to give."""
    if p.mode == PEAK_SHAVING:
        return int(p.threshold_w) - net_w
    if p.mode == TARIFF:
        if open_window == CHEAP:
            return int(p.charge_w) + int(p.standby_w)
        if open_window == PEAK and p.traits & EXPORTS_AT_PEAK:
            return -int(p.discharge_w)
        if open_window == NO_WINDOW and p.traits & KEEPS_FOR_PEAK:
            return max(-net_w, int(p.standby_w))
    return -net_w


@scalar
def left_mj(s: Any, p: Any) -> int:
    """What may still be taken out: above the reserve and within the day's limit; all of it in a cut [mJ]."""
    if s.marks & ISLANDED:
        return int(s.charge_mj)
    left = int(s.charge_mj) - int(p.reserve_mj)
    if p.day_limit_mj > 0:
        left = min(left, int(p.day_limit_mj) - int(s.discharged_mj) + int(s.day_from_mj))
    return left


@scalar
def gain_for_w(p: Any, inverter_w: int) -> int:
    """What goes into the battery, or (negative) out of it, for a power of the inverter at its AC side [W]."""
    if inverter_w >= 0:
        return inverter_w * int(p.charge_efficiency) // WHOLE
    return -((-inverter_w * WHOLE + int(p.discharge_efficiency) - 1) // int(p.discharge_efficiency))


@scalar
def set_power(s: Any, p: Any, net_w: int, wanted_w: int) -> None:
    """Draw or give what is wanted at the terminals as far as inverter, street, room and charge allow."""
    standby_w = int(p.standby_w)
    inverter_w = min(wanted_w - standby_w, int(p.charge_w))
    if inverter_w < 0:
        to_street_w = max(int(p.export_limit_w) + net_w + standby_w, 0)
        inverter_w = -min(-inverter_w, int(p.discharge_w), to_street_w)
    gain_w = gain_for_w(p, inverter_w)
    room_mj = int(p.capacity_mj) - int(s.charge_mj)
    no_room = gain_w > 0 and room_mj < gain_w * SHORTEST_RUN_MS
    no_charge = gain_w < 0 and left_mj(s, p) < -gain_w * SHORTEST_RUN_MS
    if no_room:
        s.marks = s.marks | FULL
    if no_charge:
        s.marks = s.marks | EMPTY
    if no_room or no_charge or gain_w == 0:
        inverter_w = 0
        gain_w = 0
    s.gain_w = gain_w
    s.import_w = inverter_w + standby_w


@scalar
def back_s(p: Any) -> int:
    """How long after a power cut its inverter is back on the street [s]."""
    return RECONNECT_S + int(p.restart_s)


@scalar
def go_dark(s: Any, p: Any, net_w: int) -> None:
    """Trip with the mains; feed the home from the battery, reserve and all, where that is wired for.

    Its roof goes on within the home, as far as the home uses it; a home that asks for more than the inverter
    makes leaves that off.
    """
    s.import_w, s.gain_w = 0, 0
    if p.traits & BACKS_UP == 0:
        return
    s.marks = ISLANDED
    inverter_w = min(max(net_w, 0) + int(p.standby_w), int(p.discharge_w))
    gain_w = gain_for_w(p, -inverter_w)
    if left_mj(s, p) < -gain_w * SHORTEST_RUN_MS:
        s.marks = EMPTY
    else:
        s.gain_w = gain_w
        s.island_w = max(inverter_w - int(p.standby_w), 0)


@scalar
def decide(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> None:
    """Set the power that follows from everything known now."""
    day = int(today.first_ms) // DAY_MS
    if s.day != day:
        s.day = day
        s.day_from_mj = s.discharged_mj
    net_w = int(d.net_w[half_hour(today, now_ms)])
    open_window = window(p, d, today, now_ms)
    wanted_w = own_will_w(p, net_w, open_window)
    s.marks = 0
    s.island_w = 0
    if is_dark(today.cuts_ms, int(p.region), back_s(p), now_ms):
        go_dark(s, p, net_w)
        return
    if open_window != NO_WINDOW and p.traits & REFUSES_IN_WINDOW:
        s.marks = OVERRIDDEN
    elif s.limit_w != NO_LIMIT_W:
        s.marks = HELD
        wanted_w = int(s.limit_w)
        if wanted_w >= 0:
            wanted_w = max(wanted_w, int(p.standby_w))
    set_power(s, p, net_w, wanted_w)


@scalar
def happen(s: Any, p: Any, d: Any, today: Any, now_ms: int) -> tuple[int, int]:
    """Everything of its own that is due until now, then the new power. Gives (bits, -1)."""
    integrate(s, p, d, today, now_ms)
    before = int(s.marks)
    bits = turn(s, now_ms)
    decide(s, p, d, today, now_ms)
    new = int(s.marks) & ~before
    if new & OVERRIDDEN and s.limit_w != NO_LIMIT_W:
        bits |= 1 << 7
    if new & FULL:
        bits |= 1 << 40
    if new & EMPTY:
        bits |= 1 << 41
    return bits, -1


@scalar
def next_window_ms(p: Any, d: Any, windows_ms: Any, at_ms: int, best_ms: int) -> int:
    """The earlier of `best_ms` and the next moment at which a window of its tariff begins or ends."""
    for k in range(windows_ms.shape[1]):
        begin_ms = int(windows_ms[int(p.tariff), k, 0])
        end_ms = int(windows_ms[int(p.tariff), k, 1])
        if begin_ms < end_ms:
            best_ms = sooner(at_ms, begin_ms + int(d.jitter_s) * 1000, best_ms)
            best_ms = sooner(at_ms, end_ms, best_ms)
    return best_ms


@scalar
def next_event_ms(s: Any, p: Any, d: Any, today: Any) -> int:
    """When something of its own happens next [ms]; NEVER_MS if nothing is in sight."""
    at_ms = int(s.at_ms)
    first_ms = int(today.first_ms)
    if at_ms == first_ms:
        return at_ms + 1  # a new day was planned at this very moment: look at it
    best_ms = next_turn_ms(s, NEVER_MS)
    best_ms = next_cut_ms(today.cuts_ms, int(p.region), back_s(p), at_ms, best_ms)
    if p.mode == TARIFF:
        best_ms = next_window_ms(p, d, today.cheap_ms, at_ms, best_ms)
        best_ms = next_window_ms(p, d, today.peak_ms, at_ms, best_ms)
    k = half_hour(today, at_ms)
    net_w = int(d.net_w[k])
    while k < HALF_HOURS - 1 and int(d.net_w[k]) == net_w:
        k += 1
    if int(d.net_w[k]) != net_w:
        best_ms = sooner(at_ms, first_ms + k * HALF_HOUR_MS, best_ms)
    if s.gain_w > 0:
        room_mj = int(p.capacity_mj) - int(s.charge_mj)
        best_ms = min(best_ms, at_ms + max(room_mj // int(s.gain_w) - 1, 1))
    elif s.gain_w < 0:
        best_ms = min(best_ms, at_ms + max(left_mj(s, p) // -int(s.gain_w) - 1, 1))
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
    """Take or refuse one order; gives its AckOutcome. Own events due until now have happened already."""
    integrate(s, p, d, today, now_ms)
    outcome = refusal(s, now_ms, until_ms, sequence)
    if outcome != APPLIED:
        return outcome
    if p.traits & REFUSES_IN_WINDOW and window(p, d, today, now_ms) != NO_WINDOW:
        return 4  # OVERRIDDEN
    take(s, now_ms, limit_w, from_ms, until_ms, sequence, 0, 0, HOLD_CAP_S)
    decide(s, p, d, today, now_ms)
    return APPLIED


@scalar
def status(s: Any, p: Any) -> int:
    """What it says that it is doing (protocol.messages.AssetStatus)."""
    if s.marks & OVERRIDDEN:
        return 5  # OVERRIDDEN
    if s.marks & HELD:
        return 3  # LIMITED
    if s.gain_w != 0:
        return 2  # CHARGING: at work, either way
    if s.marks & FULL or s.charge_mj >= p.capacity_mj:
        return 4  # FULL
    return 1  # WAITING


@scalar
def told_pct(s: Any, p: Any, now_ms: int) -> int:
    """State of charge as told, 0 to 100."""
    charge_mj = int(s.charge_mj) + int(s.gain_w) * (now_ms - int(s.at_ms))
    return charge_mj * 100 // int(p.capacity_mj)


@scalar
def equivalent_cycles(s: Any, p: Any) -> float:
    """How often the whole capacity was taken out since the run began."""
    return float(int(s.discharged_mj)) / float(int(p.capacity_mj))


@scalar
def event_value(kind: int, s: Any, p: Any, shortfall_mj: int) -> int:  # noqa: ARG001 - every kind's signature
    """The number told with an event."""
    if kind == 3:
        return int(s.import_w)
    if kind in (5, 7):
        return int(s.limit_w)
    if kind in (4, 40, 41):
        return int(s.charge_mj) // 3_600_000
    return 0
