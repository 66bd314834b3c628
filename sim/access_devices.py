"""Boundary meters read live: party `access_devices`, one consumer access device per home that has one.

It owns what happens at a home's boundary between half-hours: base load at second scale (`sim.moments`) and
the net power of all the home's devices, whoever can reach them. Each meter is read every
`homes.boundary_reads.every_ms` at a second of its own; a reading is the power at that moment, in whole W, by
the gain of the same meter that registers the half-hours, and arrives late or not at all. What the homes of a
BM Unit truly draw, second by second, is handed to the recorder alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numba import njit

from devices.kinds import POWER, STOPPED
from protocol import periods
from protocol.messages import I32, I64, BoundaryReads, Message, Service, Technology
from protocol.party import NEVER_MS, Envelope
from sim import chance
from sim.chance import Purpose
from sim.fleets import KINDS_APART, Fleets
from sim.flight import Flight
from sim.homes import has_access_device
from sim.households import BaseLoad
from sim.moments import moments
from sim.population import Population
from sim.scenario import Scenario

_HOMES_AT_ONCE = 4096
"""Bounds what a day's moments need while they are drawn: about 30 MB."""
_NO_UNIT = -1


@dataclass(slots=True)
class AccessDevicesState:
    """All that changes: per home the next change of base load, base load and devices' net [W]; per row its
    power [W]; per unit the power of its homes and of base load in it at the last whole second [W].
    """

    day: date
    now_ms: int
    next_change: I64
    base_w: I64
    devices_w: I64
    row_w: I64
    level_w: I64  # (units, 2)
    flight: Flight = field(default_factory=Flight)


@dataclass(frozen=True, slots=True, eq=False)
class _Day:
    """One day's changes of base load of all homes: `first` (homes + 1) into the others."""

    first: I64
    at_ms: I32  # since the day began
    change_w: I32


@dataclass(frozen=True, slots=True, eq=False)
class Seconds:
    """What the homes of each BM Unit truly drew at each whole second from `start_ms` (units, seconds) [W]."""

    start_ms: int
    import_w: I64
    base_w: I64  # the part of it that is no device


class AccessDevices:
    """Every consumer access device of the customers' homes."""

    name = "access_devices"

    def __init__(
        self, scenario: Scenario, population: Population, base: BaseLoad, start_ms: int, end_ms: int
    ) -> None:
        """Read from `start_ms`, a local midnight, until `end_ms`; what is on its way then still arrives."""
        self._end_ms = end_ms
        self._reads = scenario.homes.boundary_reads
        self._base = base
        self._seed = scenario.seed
        table = population.homes
        customers = np.unique(population.home[: len(population.plant.device)]).astype(np.int64)
        equipped = has_access_device(scenario.homes, table, scenario.seed)
        self.homes: I64 = customers[equipped[customers]]
        """The homes that are read, rising."""
        self._gain = table.boundary_gain[self.homes]
        self._fridge = ~np.isin(self.homes, _homes_of(population, Technology.FRIDGE))
        u = chance.units(chance.stream(scenario.seed, Purpose.ACCESS_DEVICE), self.homes, number=1)
        self._phase_ms = (u[:, 0] * self._reads.every_ms).astype(np.int64)
        self._key = chance.stream(scenario.seed, Purpose.BOUNDARY_READ)
        self._place = _places(population.home, self.homes)
        self._unit = np.full(len(self.homes), _NO_UNIT, np.int64)
        sold = (population.service == Service.BALANCING) & (self._place >= 0)
        self._unit[self._place[sold]] = table.gsp_group[population.home[sold]]
        self._today: tuple[date, _Day] | None = None
        self._outbox: list[Envelope] = []
        homes, units = len(self.homes), len(table.group_names)
        self.state = AccessDevicesState(
            day=periods.local_date(start_ms),
            now_ms=start_ms,
            next_change=np.zeros(homes, np.int64),
            base_w=np.zeros(homes, np.int64),
            devices_w=np.zeros(homes, np.int64),
            row_w=np.zeros(len(population.home), np.int64),
            level_w=np.zeros((units, 2), np.int64),
        )

    # --------------------------------------------------------------------------------------------- a party

    def receive(self, message: Message, now_ms: int) -> None:
        """Nobody writes to access devices."""

    def next_deadline_ms(self) -> int:
        """Never: readings are handed over whenever the aggregator looks."""
        return NEVER_MS

    def on_deadline(self, now_ms: int) -> None:
        """Nothing is ever due."""

    def take_outbox(self) -> list[Envelope]:
        """What has arrived."""
        outbox, self._outbox = self._outbox, []
        return outbox

    # --------------------------------------------------------------------------------------------- reading

    def begin(self, fleets: Fleets) -> None:
        """Take over what every device draws now; base load begins with the day."""
        state = self.state
        state.row_w = np.concatenate([fleet.state.rows["import_w"] for fleet in fleets.fleets]).astype(
            np.int64
        )
        read = self._place >= 0
        np.add.at(state.devices_w, self._place[read], state.row_w[read])
        sold = self._unit >= 0
        np.add.at(state.level_w[:, 0], self._unit[sold], state.devices_w[sold])

    def live(self, until_ms: int, events: np.ndarray[Any, Any]) -> Seconds:
        """Read all meters up to `until_ms` (not included), with what devices did in that time.

        `events` as `Fleets.events` of the stretch.
        """
        state, heard_until_ms = self.state, until_ms
        until_ms = min(until_ms, max(self._end_ms, state.now_ms))
        first_second = -(-state.now_ms // 1000)
        binned = np.zeros((len(state.level_w), 2, -(-until_ms // 1000) - first_second + 1), np.int64)
        told = events[np.isin(events["kind"] % KINDS_APART, (POWER, STOPPED))]
        while state.now_ms < until_ms:
            end_ms = min(until_ms, periods.day_end_ms(state.day))
            begin, end = np.searchsorted(told["at_ms"], [state.now_ms, end_ms])
            self._live_day(end_ms, told[begin:end], first_second, binned)
            state.now_ms = end_ms
            if end_ms == periods.day_end_ms(state.day):
                self._turn_day(binned[:, :, end_ms // 1000 - first_second])
        self._tell(heard_until_ms)
        levels_w = state.level_w[:, :, None] + np.cumsum(binned, axis=2)
        state.level_w = levels_w[:, :, -1].copy()
        return Seconds(first_second * 1000, levels_w[:, 0, :-1], levels_w[:, 1, :-1])

    def _turn_day(self, binned: I64) -> None:
        """At midnight base load falls to 0 W, from where the next day's moments begin.

        `binned` (units, 2): changes at that second.
        """
        state, sold = self.state, self._unit >= 0
        for column in range(2):
            np.add.at(binned[:, column], self._unit[sold], -state.base_w[sold])
        state.base_w[:] = 0
        state.next_change[:] = 0
        state.day += timedelta(days=1)

    def _live_day(self, until_ms: int, events: np.ndarray[Any, Any], first_second: int, binned: I64) -> None:
        """Live and read up to a moment of the same local day."""
        state, reads = self.state, self._reads
        day = self._moments_of(state.day)
        rows = events["row"].astype(np.int64)
        watts = np.where(events["kind"] % KINDS_APART == POWER, events["value"], 0)
        place = self._place[rows]
        order = np.flatnonzero(place >= 0)
        order = order[np.argsort(place[order], kind="stable")]
        first_event = np.searchsorted(place[order], np.arange(len(self.homes) + 1))
        most = len(self.homes) * (-(-(until_ms - state.now_ms) // reads.every_ms))
        read = (np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64),
                np.empty(most, np.int64))  # fmt: skip
        count = _read_homes(
            state.now_ms, until_ms, periods.day_start_ms(state.day), self.homes, self._gain, self._phase_ms,
            reads.every_ms, day.first, day.at_ms, day.change_w, state.next_change, state.base_w,
            state.devices_w, first_event, events["at_ms"][order], rows[order], watts[order], state.row_w,
            self._unit, first_second, binned, self._key, float(reads.latency_ms), reads.latency_log_sd,
            reads.loss, *read,
        )  # fmt: skip
        homes, event_ms, arrival_ms, import_w = (column[:count] for column in read)
        state.flight.add({
            "homes": homes.astype(np.int32), "event_ms": event_ms.copy(), "arrival_ms": arrival_ms.copy(),
            "import_w": import_w.astype(np.int32),
        })  # fmt: skip

    def _tell(self, until_ms: int) -> None:
        due = self.state.flight.take_due(until_ms)
        if due is not None:
            self._outbox.append(Envelope("aggregator", BoundaryReads(**due)))

    def _moments_of(self, day: date) -> _Day:
        """When within `day` base load changes; drawn anew after a checkpoint."""
        if self._today is None or self._today[0] != day:
            parts = [
                self._draw(day, low, min(low + _HOMES_AT_ONCE, len(self.homes)))
                for low in range(0, max(len(self.homes), 1), _HOMES_AT_ONCE)
            ]
            counts, at_ms, change_w = (np.concatenate(column) for column in zip(*parts, strict=True))
            first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            self._today = (day, _Day(first, at_ms, change_w))
        return self._today[1]

    def _draw(self, day: date, low: int, high: int) -> tuple[I64, I32, I32]:
        """Of the homes [low, high): number of changes of each, and the changes."""
        homes = self.homes[low:high]
        told = moments(homes, self._base.day_wh(homes, day), day, self._seed, self._fridge[low:high])
        counts = np.diff(np.searchsorted(told.home, np.append(homes, 2**62)))
        return counts, (told.at_ms - periods.day_start_ms(day)).astype(np.int32), told.change_w


def _homes_of(population: Population, technology: Technology) -> I32:
    """The homes that have a device of a technology, reachable or not."""
    of = [part.drawn.home for part in population.parts if part.kind.technology is technology]
    return np.concatenate([np.empty(0, np.int32), *of])


def _places(home: I32, homes: I64) -> I64:
    """The place of each row's home among `homes`, which rise; -1 where it is not one of them."""
    if not len(homes):
        return np.full(len(home), -1, np.int64)
    place = np.minimum(np.searchsorted(homes, home), len(homes) - 1)
    return np.where(homes[place] == home, place, -1).astype(np.int64)


@njit(cache=True, nogil=True)
def _read_homes(
    from_ms: Any, until_ms: Any, day_ms: Any, homes: Any, gain: Any, phase_ms: Any, every_ms: Any,
    first_change: Any, change_at_ms: Any, change_w: Any, next_change: Any, base_w: Any, devices_w: Any,
    first_event: Any, event_at_ms: Any, event_row: Any, event_w: Any, row_w: Any, unit: Any,
    first_second: Any, binned: Any, key: Any, latency_ms: Any, latency_log_sd: Any, loss: Any, out_home: Any,
    out_event_ms: Any, out_arrival_ms: Any, out_w: Any,
) -> int:  # fmt: skip
    """Live and read each home in [from_ms, until_ms); gives the number of readings that will arrive.

    At one moment base load and devices change first, then the meter is read.
    """
    count = 0
    last = binned.shape[2] - 1
    for i in range(homes.shape[0]):
        change, changes_end = first_change[i] + next_change[i], first_change[i + 1]
        event, events_end = first_event[i], first_event[i + 1]
        read_ms = from_ms + (phase_ms[i] - from_ms) % every_ms
        base, devices = base_w[i], devices_w[i]
        while True:
            change_ms, event_ms = until_ms, until_ms
            if change < changes_end:
                change_ms = day_ms + change_at_ms[change]
            if event < events_end:
                event_ms = event_at_ms[event]
            now_ms = min(change_ms, event_ms, read_ms)
            if now_ms >= until_ms:
                break
            if min(change_ms, event_ms) == now_ms:
                if change_ms == now_ms:
                    step_w, is_base = np.int64(change_w[change]), 1
                    base += step_w
                    change += 1
                else:
                    row = event_row[event]
                    step_w, is_base = event_w[event] - row_w[row], 0
                    row_w[row] = event_w[event]
                    devices += step_w
                    event += 1
                if unit[i] >= 0:
                    second = min((now_ms + 999) // 1000 - first_second, last)
                    binned[unit[i], 0, second] += step_w
                    binned[unit[i], 1, second] += step_w * is_base
                continue
            delay_ms, arrives = latency_ms, True
            if latency_log_sd > 0.0 or loss > 0.0:
                a, b, c, _ = chance.words(key, homes[i], now_ms, 0)
                delay_ms *= np.exp(latency_log_sd * chance.normal(a, b))
                arrives = chance.unit(c) >= loss
            if arrives:
                out_home[count], out_event_ms[count] = homes[i], now_ms
                out_arrival_ms[count] = now_ms + np.int64(delay_ms)
                out_w[count] = np.int64(np.floor((base + devices) * gain[i] + 0.5))
                count += 1
            read_ms += every_ms
        next_change[i] = change - first_change[i]
        base_w[i], devices_w[i] = base, devices
    return count
