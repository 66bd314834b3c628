"""The vendors' clouds between gateway and wires: what they make of readings and of set-points.

Owns the behaviour that profiles (`sim/head_ends.py`) describe. A cloud tells one reading per asset and
interval, some time after it has it, in its own units, and only as many a day as it allows; without back-fill
it shows the present and never what it missed. A set-point may be acknowledged before anything is done,
rounded, raised to the least current, fetched at the device's next poll, or not acted upon at all. Rows
without a vendor pass untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numba import njit

from protocol.messages import I8, I32, I64, UNKNOWN, AckOutcome, Telemetry
from protocol.periods import clock_shift_ms, local_date
from protocol.vendor_messages import F64, VendorReadings
from protocol.vendors import (
    MISSING,
    SUPPLY_V,
    WATT_HOURS,
    WATTS,
    Sign,
    VendorClock,
    VendorIntegration,
)
from sim.chance import Purpose, stream, units
from sim.flight import Columns, Flight
from sim.head_ends import HeadEnd, head_ends
from sim.network import Carried, Outcome
from sim.play import Plant
from sim.scenario import ROUTE_NAMES

Flags = np.ndarray[Any, np.dtype[np.bool_]]

NO_VENDOR = -1
_LIVE_MS = 120_000
"""A cloud without back-fill shows what is at most two intervals old, or this if that is longer; assumed."""

TOLD, THINNED, OVER_BUDGET, NOT_KEPT = range(4)
"""Columns of `VendorState.readings`: told, not the interval's first, beyond the day's requests, too old."""


@dataclass(slots=True, eq=False)
class VendorState:
    """What the clouds remember.

    `day` whose requests are counted (ordinal, local), `last_slot` the interval of the reading last seen,
    `requests` and `commands` of the day (rows,), `telling` what is not told yet, `readings` (profiles, 4) and
    `swallowed` (profiles,) set-points not acted upon, since the run began.
    """

    day: int
    last_slot: I64
    requests: I32
    commands: I32
    readings: I64
    swallowed: I64
    telling: Flight = field(default_factory=Flight)


@dataclass(frozen=True, slots=True, eq=False)
class Commanded:
    """A batch of set-points after the clouds: what goes on to devices, and what is answered at once.

    `is_answered` (set-points of the batch,) says which ones are in `answers`.
    """

    columns: Columns
    carried: Carried
    answers: Columns
    is_answered: Flags


class VendorClouds:
    """The clouds of all assets: `place` (rows,) is each one's in `profiles`, `NO_VENDOR` for none."""

    def __init__(self, profiles: Sequence[HeadEnd], place: I8, plant: Plant, seed: int) -> None:
        rows = len(place)
        self.profiles = tuple(profiles)
        self.place = place
        documented = [profile.integration for profile in profiles]
        self._interval_ms = _per_profile([each.interval_ms for each in documented])
        self._age_ms = _per_profile([each.age_ms for each in documented])
        self._backfills = _per_profile([each.backfills for each in documented])
        self._requests = _per_profile([profile.requests_per_day for profile in profiles])
        ways = [profile.commands for profile in profiles]
        self._answers_first = _per_profile([each.answers_first for each in ways])
        self._answer_after_ms = _per_profile([each.answer_after_ms for each in ways])
        self._ignores_pause = _per_profile([each.ignores_pause for each in ways])
        self._whole_amps = _per_profile([each.whole_amps for each in ways])
        self._minimum_w = _per_profile([each.minimum_w for each in ways])
        self._commands = _per_profile([each.per_day for each in ways])
        poll_ms = _per_profile([each.poll_ms for each in ways])
        self._poll_ms = np.where(place >= 0, poll_ms[place], 0)
        share = units(stream(seed, Purpose.HEAD_END), plant.device, number=1)[:, 0]
        self._phase_ms = (share * self._poll_ms).astype(np.int64)
        self.state = VendorState(
            day=0,
            last_slot=np.full(rows, -1, np.int64),
            requests=np.zeros(rows, np.int32),
            commands=np.zeros(rows, np.int32),
            readings=np.zeros((len(profiles), 4), np.int64),
            swallowed=np.zeros(len(profiles), np.int64),
        )

    # ------------------------------------------------------------------------------------------- upwards

    def take(self, told: Telemetry, now_ms: int) -> Telemetry | None:
        """Keep the readings of vendors' assets to tell them later; the others, None where there are none."""
        place = self.place[told.rows]
        theirs = np.flatnonzero(place >= 0)
        if len(theirs) == 0:
            return told if len(told.rows) else None
        self._turn_day(now_ms)
        state = self.state
        kept = _first_of_interval(
            theirs, place, told.rows, told.event_ms, told.arrival_ms, self._interval_ms, self._backfills,
            self._requests, state.last_slot, state.requests, state.readings,
        )  # fmt: skip
        state.telling.add({
            **{name: getattr(told, name)[kept] for name in _TOLD},
            "arrival_ms": told.arrival_ms[kept] + self._age_ms[place[kept]],
        })  # fmt: skip
        plain = np.flatnonzero(place < 0)
        if len(plain) == 0:
            return None
        return Telemetry(**{name: getattr(told, name)[plain] for name in (*_TOLD, "arrival_ms")})

    def tell(self, until_ms: int) -> list[VendorReadings]:
        """What the interfaces have before `until_ms` and was not told yet: one report per vendor."""
        due = self.state.telling.take_due(until_ms)
        if due is None:
            return []
        place = self.place[due["rows"]]
        reports = []
        for profile in np.unique(place).tolist():
            here = np.flatnonzero(place == profile)
            readings = Telemetry(**{name: column[here] for name, column in due.items()})
            reports.append(as_told(self.profiles[profile].integration, readings))
        return reports

    # ----------------------------------------------------------------------------------------- downwards

    def command(self, columns: Columns, carried: Carried, now_ms: int) -> Commanded:
        """What the clouds make of set-points that the network carries as `carried`."""
        rows = columns["rows"]
        place = self.place[rows]
        theirs = place >= 0
        self._turn_day(now_ms)
        state = self.state
        reached = theirs & (carried.outcome == Outcome.DELIVERED)
        refused = _over_budget(rows, place, reached, self._commands, state.commands)
        pause = theirs & (self._ignores_pause[place] == 1) & (columns["limit_w"] == 0)
        swallowed = pause & reached & ~refused
        state.swallowed += np.bincount(place[swallowed], minlength=len(self.profiles))
        # A device that is off does not stop its cloud from answering for it.
        heard = reached | (theirs & (carried.outcome == Outcome.OFFLINE))
        answered = (heard & (self._answers_first[place] == 1) & ~refused) | swallowed
        is_answered = answered | refused
        answers = self._answers(columns, np.flatnonzero(is_answered), refused, now_ms)
        kept = np.flatnonzero(~(refused | pause))
        going = {name: column[kept] for name, column in columns.items()}
        going["limit_w"] = self._limits(going["limit_w"], place[kept])
        still = Carried(carried.arrival_ms[kept], carried.copy_ms[kept], carried.outcome[kept])
        return Commanded(going, still, answers, is_answered)

    def fetched(self, orders: Columns) -> Columns:
        """Set-points on their way, arriving when the device next fetches them."""
        rows, arrival_ms = orders["rows"], orders["arrival_ms"]
        poll_ms = np.maximum(self._poll_ms[rows], 1)
        return {**orders, "arrival_ms": arrival_ms + (self._phase_ms[rows] - arrival_ms) % poll_ms}

    def answered_for(self, rows: I32) -> Flags:
        """Whether a row's cloud has acknowledged in its place, so that the device's own word goes nowhere."""
        place = self.place[rows]
        return np.asarray((place >= 0) & (self._answers_first[place] == 1))

    def _limits(self, limit_w: I32, place: I8) -> I32:
        """Limits as the vendors understand them; a pause and the end of a limit stay what they are."""
        limited = (place >= 0) & (limit_w > 0)
        rounded = np.where(self._whole_amps[place] == 1, limit_w // SUPPLY_V * SUPPLY_V, limit_w)
        lifted = np.maximum(rounded, self._minimum_w[place])
        return np.where(limited, lifted, limit_w).astype(np.int32)

    def _answers(self, columns: Columns, at: I64, refused: Flags, now_ms: int) -> Columns:
        place = self.place[columns["rows"][at]]
        limited = np.int8(AckOutcome.RATE_LIMITED)
        return {
            "rows": columns["rows"][at],
            "sequence": columns["sequence"][at],
            "outcome": np.where(refused[at], limited, np.int8(AckOutcome.APPLIED)).astype(np.int8),
            "event_ms": np.full(len(at), now_ms, np.int64),
            "arrival_ms": now_ms + self._answer_after_ms[place],
        }

    def _turn_day(self, now_ms: int) -> None:
        today = local_date(now_ms).toordinal()
        if today != self.state.day:
            self.state.day = today
            self.state.requests[:] = 0
            self.state.commands[:] = 0


_TOLD = ("rows", "event_ms", "import_w", "register_wh", "status", "soc_pct")


def make_vendor_clouds(
    vendors: Mapping[str, Sequence[str]], plant: Plant, seed: int, told: Sequence[str] | None = None
) -> VendorClouds | None:
    """The clouds of a scenario's `comms.vendors` (profile names by route); None where it names none.

    A row's own vendor is `told` (rows,), where that is not empty. Otherwise a route's vendor clouds take its
    profiles in turn, so that one cloud's outage is one vendor's. Where a route has fewer clouds than
    profiles, each device's is drawn. Raises KeyError for an unknown name.
    """
    names = sorted({name for each in vendors.values() for name in each} | (set(told or ()) - {""}))
    if not names:
        return None
    drawn = units(stream(seed, Purpose.HEAD_END), plant.device)[:, 0]
    place = np.full(len(plant.device), NO_VENDOR, np.int8)
    for route, listed in vendors.items():
        if not listed:
            continue
        on_route = plant.route == ROUTE_NAMES.index(route)
        clouds = int(plant.vendor[on_route].max()) + 1 if on_route.any() else 0
        by_cloud = plant.vendor % len(listed)
        turn = by_cloud if clouds >= len(listed) else (drawn * len(listed)).astype(np.int64)
        places = np.array([names.index(name) for name in listed], np.int8)
        place[on_route] = places[turn[on_route]]
    for number, name in enumerate(names if told else ()):
        place[np.array(told) == name] = number
    return VendorClouds([head_ends()[name] for name in names], place, plant, seed)


def as_told(vendor: VendorIntegration, readings: Telemetry) -> VendorReadings:
    """Readings as the vendor's interface tells them: its units, sign, digits, clock and gaps."""
    sign = -1.0 if vendor.sign is Sign.EXPORT else 1.0
    count = len(readings.rows)
    energy = np.full(count, np.nan)
    if vendor.energy_unit is not None:
        size = sign / WATT_HOURS[vendor.energy_unit]
        energy = _digits(readings.register_wh, size, vendor.energy_step)
    soc = readings.soc_pct.astype(np.float64)
    soc[(readings.soc_pct == UNKNOWN) | (not vendor.tells_soc)] = np.nan
    status = readings.status if vendor.tells_status else np.full(count, UNKNOWN, np.int8)
    return VendorReadings(
        vendor=vendor.vendor,
        rows=readings.rows,
        stamp=_stamps(vendor, readings.event_ms),
        arrival_ms=readings.arrival_ms,
        power=_digits(readings.import_w, sign / WATTS[vendor.power_unit], vendor.power_step),
        energy=energy,
        status=status,
        soc=soc,
    )


def _digits(values: I32, size: float, step: float) -> F64:
    """Values in a unit, rounded to the last digit told; NaN for what is missing."""
    told = np.rint(values * (size / step)) * step
    return np.where(values == MISSING, np.nan, told)


def _stamps(vendor: VendorIntegration, event_ms: I64) -> F64:
    if vendor.clock is VendorClock.UTC_MS:
        return (event_ms + vendor.stamp_shift_ms).astype(np.float64)
    shown_ms = event_ms // 1_000 * 1_000 + vendor.stamp_shift_ms
    if vendor.clock is VendorClock.LOCAL_S:
        shown_ms = shown_ms + clock_shift_ms(shown_ms)
    return (shown_ms // 1_000).astype(np.float64)


def _per_profile(values: Sequence[int | bool]) -> I64:
    return np.array(values, np.int64)


@njit(cache=True, nogil=True)
def _first_of_interval(
    theirs: Any, place: Any, rows: Any, event_ms: Any, arrival_ms: Any, interval_ms: Any, backfills: Any,
    allowance: Any, last_slot: Any, requests: Any, counts: Any,
) -> Any:  # fmt: skip
    """Places of the readings that are told, in order; the others are counted."""
    kept = np.empty(len(theirs), np.int64)
    count = 0
    for at in theirs:
        row, profile = rows[at], place[at]
        slot = event_ms[at] // interval_ms[profile]
        late_ms = arrival_ms[at] - event_ms[at]
        if slot == last_slot[row] or (not backfills[profile] and slot < last_slot[row]):
            counts[profile, THINNED] += 1
        elif not backfills[profile] and late_ms > max(2 * interval_ms[profile], _LIVE_MS):
            counts[profile, NOT_KEPT] += 1
        elif 0 < allowance[profile] <= requests[row]:
            counts[profile, OVER_BUDGET] += 1
        else:
            last_slot[row] = slot
            requests[row] += 1
            counts[profile, TOLD] += 1
            kept[count] = at
            count += 1
    return kept[:count]


@njit(cache=True, nogil=True)
def _over_budget(rows: Any, place: Any, reached: Any, allowance: Any, used: Any) -> Any:
    """Which set-points are beyond the day's budget of their device; the others are written on it."""
    over = np.zeros(len(rows), np.bool_)
    for k in range(len(rows)):
        if reached[k] and allowance[place[k]] > 0:
            if used[rows[k]] >= allowance[place[k]]:
                over[k] = True
            else:
                used[rows[k]] += 1
    return over
