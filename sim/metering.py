"""Meters: what half-hours they register and what of it arrives when.

Party `meters`. At the end of each settlement period it takes the registers of every asset meter and of every
enrolled home's boundary meter (whole Wh; gain error drawn once per meter, a maker's bias shared); on the
morning after, it sends the day's readings. A boundary meter registers the home's base load and all its
devices, whoever can reach them; what is exported counts as negative import at both meters. A half-hour
without a reading stays MISSING_WH. A day that is collected late (`sim/late_readings.py`) follows by itself,
to settlement alone (rule R206). Truth is taken at the same moments, for the recorder only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numba import njit

from devices import kinds
from protocol import periods
from protocol.messages import (
    I8,
    I16,
    I32,
    I64,
    MISSING_WH,
    AssetReadings,
    BoundaryReadings,
    Message,
    Service,
    Technology,
)
from protocol.party import NEVER_MS, Envelope
from sim import chance
from sim.chance import Purpose
from sim.churn import Churn
from sim.fleet import MJ_PER_WH
from sim.fleets import Arms
from sim.homes import NOT_SMART
from sim.households import BaseLoad
from sim.kinds.kind import Part
from sim.late_readings import NEVER_COMES, MeterKind, delay_days
from sim.participants import Participants
from sim.population import Population, has_asset_meter
from sim.scenario import Scenario

DELIVERY_HOUR = 8
"""Local hour of the next day at which a day's readings have been collected: assumed."""
_HOMES_AT_ONCE = 250_000
_GAIN_MARGIN = 1.25
"""Meters that register more than a quarter too much are none; assumed."""
_exported_mj = kinds.exported_mj


@dataclass(slots=True)
class PeriodTruth:
    """What really happened in one settlement period; sums over the cells (GSP, service), whole Wh."""

    start_ms: int
    end_ms: int
    import_wh: I64  # (cells,) devices, export negative
    without_wh: I64  # (cells,) the same devices, never instructed
    metered_wh: I64  # (cells,) asset meters
    missing: I64  # (cells,) readings missing
    boundary_wh: I64  # (cells,) enrolled homes' boundary meters
    base_wh: I64  # (homes with a device or enrolled by hand,) base load, as lived ...
    base_without_wh: I64  # ... and had nobody been asked to act by hand
    row_import_wh: I32  # (rows,)
    row_without_wh: I32  # (rows,)
    part_wh: tuple[tuple[I64, I64], ...]  # of each part of the population: import and without, each (cells,)


@dataclass(slots=True)
class MetersState:
    """All that the meters remember."""

    day: date
    period: int  # the next to be read, 1 first
    metered_wh: I64  # registers at the last reading, (rows,)
    true_wh: I64
    without_wh: I64
    asset_day_wh: Any  # (periods, rows with an asset meter), I16 or I32: a period is written in one run
    boundary_day_wh: Any  # (periods, homes with a device), I16 or I32
    waiting: list[tuple[int, Message]] = field(default_factory=list)  # collected days, and when they are sent
    late: list[tuple[int, Message]] = field(default_factory=list)  # the same of meters collected later


class Meters:
    """Every meter of the portfolio."""

    name = "meters"

    def __init__(
        self,
        scenario: Scenario,
        population: Population,
        base: BaseLoad,
        arms: Arms,
        first_day: date,
        churn: Churn | None = None,
        people: Participants | None = None,
        consenting: I32 | None = None,
    ) -> None:
        """`people` change the base load when they act by hand; without them nobody does.

        `consenting`: homes in further services, which may be settled at the boundary.
        """
        self._churn = churn
        self._scenario = scenario
        self._population = population
        self._base = base
        self.arms = arms
        homes = population.homes
        self.homes, first_row, self.home_place = _homes_by_first_row(population.home)
        """Homes that have a device, in the order of their first rows; the place there of each row's home.

        After them those that have none and are enrolled to act by hand.
        """
        self.home_cell = population.cell[first_row]
        self._enrolled = _settled_at_boundary(scenario, self._services(population))
        if consenting is not None:
            self._enrolled |= np.isin(self.homes, consenting)
        self._people = people
        self._add_homes(population)
        self._reads_boundary = (homes.status[self.homes] != NOT_SMART) & (
            homes.communicating[self.homes] == 1
        )
        self._gain = homes.boundary_gain[self.homes]
        enrolled = np.flatnonzero(self._enrolled)
        self._enrolled_by_number = enrolled[np.argsort(self.homes[enrolled])]
        self._reachable = len(population.plant.device)
        self.asset_rows = np.flatnonzero(
            np.concatenate([np.full(len(part.drawn.home), self._reads(part)) for part in population.parts])
        ).astype(np.int32)
        """Rows with an asset meter that is read."""
        self._wh_type = _wh_type(population, self.home_place, base.most_wh)
        self._cells = len(homes.gsp_names) * len(Service)
        self._gap_key = chance.stream(scenario.seed, Purpose.METER_GAP)
        self._late = scenario.markets.settlement.late
        self._late_key = chance.stream(scenario.seed, Purpose.LATE_METER)
        self._last_day = _last_day_read(scenario)
        self._base_day: tuple[date, I16] | None = None
        self._outbox: list[Envelope] = []
        self.latest: PeriodTruth | None = None
        self.latest_asset_wh = self.latest_boundary_wh = np.empty(0, np.int16)
        self.boundary_missing = _sums(self.home_cell, self._enrolled & ~self._reads_boundary, self._cells)
        rows = len(population.home)
        self.state = MetersState(
            day=first_day,
            period=1,
            metered_wh=np.zeros(rows, np.int64),
            true_wh=np.zeros(rows, np.int64),
            without_wh=np.zeros(rows, np.int64),
            asset_day_wh=self._empty_day(len(self.asset_rows), first_day),
            boundary_day_wh=self._empty_day(len(self.homes), first_day),
        )

    def _services(self, population: Population) -> I8:
        """The service that each home is in: of its assets, some may be in none."""
        service = np.zeros(len(self.homes), np.int8)
        np.maximum.at(service, self.home_place, population.service)
        return service

    def _add_homes(self, population: Population) -> None:
        """Count in the homes that act by hand."""
        more = np.setdiff1d(population.by_hand, self.homes).astype(np.int64)
        cell = (population.homes.gsp[more] * len(Service) + Service.DFS).astype(np.int16)
        self.homes = np.concatenate([self.homes, more])
        self.home_cell = np.concatenate([self.home_cell, cell])
        self._enrolled = np.concatenate([self._enrolled, np.ones(len(more), bool)])

    def receive(self, message: Message, now_ms: int) -> None:
        """Nobody writes to meters."""

    def next_deadline_ms(self) -> int:
        """The end of the running period, or the hour at which a day is sent."""
        sent_ms = (due_ms for due_ms, _ in (*self.state.waiting, *self.state.late))
        return min([self._reading_ms(), *sent_ms], default=NEVER_MS)

    def _reading_ms(self) -> int:
        """The end of the running period; never, once the last day that anybody settles has been read."""
        if self.state.day > self._last_day:
            return NEVER_MS
        return periods.period_bounds_ms(self.state.day, self.state.period)[1]

    def on_deadline(self, now_ms: int) -> None:
        """Read the period that ends now; send what is due."""
        if self._reading_ms() <= now_ms:
            self._read_period(now_ms)
        for _, message in [item for item in self.state.waiting if item[0] <= now_ms]:
            self._outbox += [Envelope("aggregator", message), Envelope("settlement", message)]
        self.state.waiting = [item for item in self.state.waiting if item[0] > now_ms]
        self._outbox += [
            Envelope("settlement", message) for due_ms, message in self.state.late if due_ms <= now_ms
        ]
        self.state.late = [item for item in self.state.late if item[0] > now_ms]

    def take_outbox(self) -> list[Envelope]:
        """What is to be sent."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def base_day_wh(self, day: date) -> I16:
        """Base load of the homes with devices on `day`, shape (periods, homes) [Wh]."""
        if self._base_day is None or self._base_day[0] != day:
            self._base_day = (day, self._base.day_wh(self.homes, day).T)
        return self._base_day[1]

    def _read_period(self, now_ms: int) -> None:
        state, column = self.state, self.state.period - 1
        start_ms, end_ms = periods.period_bounds_ms(state.day, state.period)
        rows = len(self.home_place)
        row_import_wh, row_without_wh = np.empty(rows, np.int32), np.empty(rows, np.int32)
        asset_wh = np.full(rows, MISSING_WH, self._wh_type)
        part_sums = [
            self._read_part(place, now_ms, row_import_wh, row_without_wh, asset_wh)
            for place in range(len(self._population.parts))
        ]
        sums = np.sum(part_sums, axis=0)
        if self._churn is not None:
            self._leave_out(self._churn.unmetered(start_ms, end_ms), asset_wh, sums)
        state.asset_day_wh[column] = asset_wh[self.asset_rows]
        base_without_wh = self.base_day_wh(state.day)[column]
        base_wh = self._lived_base_wh(base_without_wh, start_ms, end_ms)
        boundary_wh = np.zeros(self._cells, np.int64)
        _read_homes(
            self.home_place, row_import_wh, base_wh, self._gain,
            self._reads_boundary, self.home_cell, state.boundary_day_wh[column], boundary_wh,
        )  # fmt: skip
        self.latest_asset_wh, self.latest_boundary_wh = asset_wh, state.boundary_day_wh[column]
        import_wh, without_wh, metered_wh, missing = sums
        self.latest = PeriodTruth(
            start_ms=start_ms,
            end_ms=end_ms,
            import_wh=import_wh,
            without_wh=without_wh,
            metered_wh=metered_wh,
            missing=missing,
            boundary_wh=boundary_wh,
            base_wh=base_wh,
            base_without_wh=base_without_wh,
            row_import_wh=row_import_wh,
            row_without_wh=row_without_wh,
            part_wh=tuple((of_part[0], of_part[1]) for of_part in part_sums),
        )
        self._next_period()

    def _lived_base_wh(self, base_wh: Any, start_ms: int, end_ms: int) -> Any:
        """Base load by home after what people did by hand."""
        if self._people is None:
            return base_wh
        acted_wh = self._people.acted_wh(self.homes, base_wh, start_ms, end_ms)
        return base_wh if acted_wh is None else (base_wh + acted_wh).astype(base_wh.dtype)

    def _read_part(
        self, place: int, now_ms: int, row_import_wh: I32, row_without_wh: I32, asset_wh: Any
    ) -> I64:
        """Take the registers of one part's rows; meters of rows out of reach keep theirs to themselves.

        Sums by cell (import, without, metered, missing).
        """
        state, part = self.state, self._population.parts[place]
        fleet, without = self.arms.of_part(place)
        at, reads, without_rows = part.rows, self._reads(part), without.state.rows
        rows, spec, cell = fleet.state.rows, part.drawn.spec, self._population.cell[at]

        def read(low: int, high: int) -> I64:
            sums = np.zeros((4, self._cells), np.int64)
            _read_rows(
                low, high, now_ms, rows, without_rows, spec, cell, reads, self._missing_share(part),
                self._gap_key, state.metered_wh[at], state.true_wh[at], state.without_wh[at], asset_wh[at],
                row_import_wh[at], row_without_wh[at], sums,
            )  # fmt: skip
            return sums

        return np.asarray(sum(fleet.each_block(read)))

    def _leave_out(self, rows: Any, asset_wh: Any, sums: I64) -> None:
        """Take back the readings of rows whose asset meters give none."""
        read = rows[asset_wh[rows] != MISSING_WH]
        cell = self._population.cell[read]
        np.subtract.at(sums[2], cell, asset_wh[read])
        np.add.at(sums[3], cell, 1)
        asset_wh[read] = MISSING_WH

    def _reads(self, part: Part) -> bool:
        """Whether the rows of a part have asset meters that somebody reads."""
        return part.first_row < self._reachable and has_asset_meter(part)

    def _missing_share(self, part: Part) -> float:
        cars = part.kind.technology is Technology.EV
        return self._scenario.evs.meter.missing_share if cars else 0.0

    def _next_period(self) -> None:
        state = self.state
        state.period += 1
        if state.period > len(state.asset_day_wh):
            self._close_day(state.day)
            state.day += timedelta(days=1)
            state.period = 1
            state.asset_day_wh = self._empty_day(len(self.asset_rows), state.day)
            state.boundary_day_wh = self._empty_day(len(self.homes), state.day)

    def _empty_day(self, meters: int, day: date) -> Any:
        return np.full((periods.period_count(day), meters), MISSING_WH, self._wh_type)

    def _close_day(self, day: date) -> None:
        due_ms = periods.local_clock_ms(day + timedelta(days=1), DELIVERY_HOUR, 0)
        self.state.waiting += [(due_ms, message) for message in self._collected(day)]

    def _collected(self, day: date) -> tuple[BoundaryReadings, AssetReadings]:
        state = self.state
        state.boundary_day_wh[:, self._days_not_collected(day)] = MISSING_WH
        wanted = self._enrolled_by_number
        by_home = np.ascontiguousarray(state.boundary_day_wh[:, wanted].T)
        by_row = np.ascontiguousarray(state.asset_day_wh.T)
        homes = self.homes[wanted].astype(np.int32)
        home_key = self._population.homes.key[self.homes[wanted]]
        row_key = self._population.plant.device[self.asset_rows]
        by_home = self._keep_back(day, MeterKind.BOUNDARY, home_key, homes, by_home)
        by_row = self._keep_back(day, MeterKind.ASSET, row_key, self.asset_rows, by_row)
        return BoundaryReadings(day, homes, by_home), AssetReadings(day, self.asset_rows, by_row)

    def _keep_back(self, day: date, kind: MeterKind, key: Any, meters: I32, import_wh: Any) -> Any:
        """The readings that are in time; those of late meters are put off to the morning of each."""
        if self._late.one_off_share == 0 and self._late.persistent_share == 0:
            return import_wh
        delays = delay_days(self._late, self._late_key, np.asarray(key, np.int64), kind, day)
        told = BoundaryReadings if kind is MeterKind.BOUNDARY else AssetReadings
        for delay in np.unique(delays[delays > 0]).tolist():
            due_ms = periods.local_clock_ms(day + timedelta(days=1 + delay), DELIVERY_HOUR, 0)
            chosen = delays == delay
            self.state.late.append((due_ms, told(day, meters[chosen], import_wh[chosen])))
        import_wh[(delays > 0) | (delays == NEVER_COMES)] = MISSING_WH
        return import_wh

    def _days_not_collected(self, day: date) -> Any:
        share = self._scenario.homes.daily_missing_share
        if share == 0:
            return np.zeros(len(self.homes), bool)
        key = self._population.homes.key[self.homes]
        return chance.units(self._gap_key, key, day.toordinal(), 1)[:, 0] < share

    def homes_base_wh(self, day: date) -> I64:
        """Base load of all homes by GSP and period of `day`, shape (GSPs, periods) [Wh]."""
        homes = self._population.homes
        out = np.zeros((len(homes.gsp_names), periods.period_count(day)), np.int64)
        for low in range(0, len(homes), _HOMES_AT_ONCE):
            numbers = np.arange(low, min(low + _HOMES_AT_ONCE, len(homes)), dtype=np.int64)
            day_wh = self._base.day_wh(numbers, day)
            for period in range(day_wh.shape[1]):
                out[:, period] += _sums(homes.gsp[numbers], day_wh[:, period].astype(np.int64), out.shape[0])
        return out


@njit(cache=True, nogil=True)
def _net_mj(s: Any, now_ms: Any) -> Any:
    """True import less export since the run began [mJ]."""
    return int(s.register_mj) - _exported_mj(s) + int(s.import_w) * (now_ms - int(s.at_ms))


@njit(cache=True, nogil=True)
def _read_rows(
    low: Any,
    high: Any,
    now_ms: Any,
    rows: Any,
    without_rows: Any,
    spec: Any,
    cell: Any,
    reads: Any,
    missing_share: Any,
    gap_key: Any,
    metered_before_wh: Any,
    true_before_wh: Any,
    without_before_wh: Any,
    asset_wh: Any,
    import_wh: Any,
    counterfactual_wh: Any,
    sums: Any,
) -> None:
    """What the meters of the rows [low, high) register in the period that ends now; registers move on."""
    for row in range(low, high):
        net_mj = _net_mj(rows[row], now_ms)
        metered_wh = int(net_mj * spec[row].wh_per_mj)
        true_wh = net_mj // MJ_PER_WH
        without_wh = _net_mj(without_rows[row], now_ms) // MJ_PER_WH
        import_wh[row] = true_wh - true_before_wh[row]
        counterfactual_wh[row] = without_wh - without_before_wh[row]
        sums[0, cell[row]] += import_wh[row]
        sums[1, cell[row]] += counterfactual_wh[row]
        if reads:
            if missing_share > 0.0 and (
                chance.unit(chance.words(gap_key, spec[row].device, now_ms, 2)[0]) < missing_share
            ):
                sums[3, cell[row]] += 1
            else:
                asset_wh[row] = metered_wh - metered_before_wh[row]
                sums[2, cell[row]] += asset_wh[row]
        metered_before_wh[row], true_before_wh[row], without_before_wh[row] = metered_wh, true_wh, without_wh


@njit(cache=True, nogil=True)
def _read_homes(
    home_place: Any,
    row_import_wh: Any,
    base_wh: Any,
    gain: Any,
    reads: Any,
    cell: Any,
    boundary_wh: Any,
    sums: Any,
) -> None:
    """What the homes' boundary meters register in the period that ends now, and its sums by cell."""
    net_wh = np.zeros(len(cell), np.int64)
    for row in range(len(home_place)):
        net_wh[home_place[row]] += row_import_wh[row]
    for home in range(len(cell)):
        if reads[home]:
            boundary_wh[home] = math.floor((net_wh[home] + base_wh[home]) * gain[home] + 0.5)
            sums[cell[home]] += boundary_wh[home]
        else:
            boundary_wh[home] = MISSING_WH


def _last_day_read(scenario: Scenario) -> date:
    """Under the calendar the last lived day; otherwise meters are read as long as markets talk."""
    if scenario.markets.settlement.runs == "calendar":
        return scenario.clock.start + timedelta(days=scenario.clock.days - 1)
    return date.max


def _homes_by_first_row(home: I32) -> tuple[I64, I64, I64]:
    """Homes in the order of their first rows, those rows, and the place of each row's home among them."""
    numbers, first, place = np.unique(home, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place_of = np.empty(len(order), np.int64)
    place_of[order] = np.arange(len(order))
    return numbers[order].astype(np.int64), first[order], place_of[place]


def _settled_at_boundary(scenario: Scenario, service: I8) -> Any:
    """Whose half-hours at the boundary are collected, by the service that a home is enrolled in."""
    is_dfs = service == Service.DFS
    return is_dfs | ((service == Service.BALANCING) & (scenario.markets.balancing.metering == "boundary"))


def _wh_type(population: Population, home_place: I64, most_base_wh: int) -> Any:
    """The type that half-hours of the largest home fit: two bytes, but for businesses."""
    rating_w = np.concatenate([part.drawn.rating_w for part in population.parts])
    most_wh = np.bincount(home_place, weights=np.abs(rating_w)).max(initial=0.0) / 2 + most_base_wh
    return np.int16 if most_wh * _GAIN_MARGIN < np.iinfo(np.int16).max else np.int32


def _sums(place: Any, values: Any, count: int) -> I64:
    """Integer sums by place: exact in doubles as long as a sum stays below 2**53."""
    return np.bincount(place, weights=values, minlength=count).astype(np.int64)
