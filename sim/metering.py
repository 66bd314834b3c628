"""Meters: what half-hours they register and what of it arrives when.

Party `meters`. At the end of each settlement period it takes the registers of every car's asset meter and of every
enrolled home's boundary meter (whole Wh; gain error drawn once per meter, a maker's bias shared); on the morning after, it
sends the day's readings. A half-hour without a reading stays MISSING_WH. Truth is taken at the same moments, for the
recorder only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np

from protocol import periods
from protocol.messages import MISSING_WH, AssetReadings, BoundaryReadings, I16, I32, I64, Message, Service
from protocol.party import NEVER_MS, Envelope
from sim import chance
from sim.chance import Purpose
from sim.fleet import Fleet
from sim.households import BaseLoad
from sim.population import NOT_SMART, Population
from sim.scenario import Scenario

DELIVERY_HOUR = 8
"""Local hour of the next day at which a day's readings have been collected: assumed."""
_HOMES_AT_ONCE = 250_000


@dataclass(slots=True)
class PeriodTruth:
    """What really happened in one settlement period; sums over the cells (GSP, service), whole Wh."""

    start_ms: int
    end_ms: int
    import_wh: I64  # (cells,) cars
    without_wh: I64  # (cells,) the same cars, never instructed
    metered_wh: I64  # (cells,) asset meters
    missing: I64  # (cells,) readings missing
    boundary_wh: I64  # (cells,) enrolled homes' boundary meters
    row_import_wh: I32  # (cars,)
    row_without_wh: I32  # (cars,)


@dataclass(slots=True)
class MetersState:
    """All that the meters remember."""

    day: date
    period: int  # the next to be read, 1 first
    metered_wh: I64  # registers at the last reading, (cars,)
    true_wh: I64
    without_wh: I64
    asset_day_wh: I16  # (cars, periods)
    boundary_day_wh: I16  # (cars, periods)
    waiting: list[tuple[int, Message]] = field(default_factory=list)  # collected days, and when they are sent


class Meters:
    """Every meter of the portfolio."""

    name = "meters"

    def __init__(
        self, scenario: Scenario, population: Population, base: BaseLoad, fleet: Fleet, without: Fleet, first_day: date
    ) -> None:
        """`fleet` is what really happens, `without` the same cars on the same draws without any instruction."""
        self._scenario = scenario
        self._population = population
        self._base = base
        self._fleet = fleet
        self._without = without
        self._homes = population.cars_home.astype(np.int64)
        homes = population.homes
        self._reads_boundary = (homes.status[self._homes] != NOT_SMART) & (homes.communicating[self._homes] == 1)
        self._gain = homes.boundary_gain[self._homes]
        self._cells = len(homes.gsp_names) * len(Service)
        self._gap_key = chance.stream(scenario.seed, Purpose.METER_GAP)
        self._base_day: tuple[date, I16] | None = None
        self._outbox: list[Envelope] = []
        self.latest: PeriodTruth | None = None
        self.latest_asset_wh = self.latest_boundary_wh = np.empty(0, np.int16)
        enrolled = population.service == Service.DFS
        self.boundary_missing = _sums(population.cell, (enrolled & ~self._reads_boundary).astype(np.int64), self._cells)
        cars = len(self._homes)
        self.state = MetersState(
            day=first_day,
            period=1,
            metered_wh=np.zeros(cars, np.int64),
            true_wh=np.zeros(cars, np.int64),
            without_wh=np.zeros(cars, np.int64),
            asset_day_wh=_empty_day(cars, first_day),
            boundary_day_wh=_empty_day(cars, first_day),
        )

    def receive(self, message: Message, now_ms: int) -> None:
        """Nobody writes to meters."""

    def next_deadline_ms(self) -> int:
        """The end of the running period, or the hour at which a day is sent."""
        reading_ms = periods.period_bounds_ms(self.state.day, self.state.period)[1]
        return min([reading_ms, *(due_ms for due_ms, _ in self.state.waiting)], default=NEVER_MS)

    def on_deadline(self, now_ms: int) -> None:
        """Read the period that ends now; send what is due."""
        if periods.period_bounds_ms(self.state.day, self.state.period)[1] <= now_ms:
            self._read_period(now_ms)
        for _, message in [item for item in self.state.waiting if item[0] <= now_ms]:
            self._outbox += [Envelope("aggregator", message), Envelope("settlement", message)]
        self.state.waiting = [item for item in self.state.waiting if item[0] > now_ms]

    def take_outbox(self) -> list[Envelope]:
        """What is to be sent."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def base_day_wh(self, day: date) -> I16:
        """Base load of the homes with cars on `day`, shape (cars, periods) [Wh]."""
        if self._base_day is None or self._base_day[0] != day:
            self._base_day = (day, self._base.day_wh(self._homes, day))
        return self._base_day[1]

    def _read_period(self, now_ms: int) -> None:
        state, column = self.state, self.state.period - 1
        metered, true, without = (
            self._fleet.registers_wh(metered=True), self._fleet.registers_wh(metered=False),
            self._without.registers_wh(metered=False),
        )  # fmt: skip
        asset_wh, true_wh = metered - state.metered_wh, true - state.true_wh
        without_wh = without - state.without_wh
        state.metered_wh, state.true_wh, state.without_wh = metered, true, without
        missing = self._asset_gaps(now_ms)
        state.asset_day_wh[:, column] = np.where(missing, MISSING_WH, asset_wh)
        house_wh = np.rint((true_wh + self.base_day_wh(state.day)[:, column]) * self._gain).astype(np.int16)
        state.boundary_day_wh[:, column] = np.where(self._reads_boundary, house_wh, MISSING_WH)
        self.latest_asset_wh = state.asset_day_wh[:, column]
        self.latest_boundary_wh = state.boundary_day_wh[:, column]
        start_ms, end_ms = periods.period_bounds_ms(state.day, state.period)
        cell = self._population.cell
        self.latest = PeriodTruth(
            start_ms=start_ms,
            end_ms=end_ms,
            import_wh=_sums(cell, true_wh, self._cells),
            without_wh=_sums(cell, without_wh, self._cells),
            metered_wh=_sums(cell, np.where(missing, 0, asset_wh), self._cells),
            missing=_sums(cell, missing.astype(np.int64), self._cells),
            boundary_wh=_sums(cell, np.where(self._reads_boundary, house_wh, 0).astype(np.int64), self._cells),
            row_import_wh=true_wh.astype(np.int32),
            row_without_wh=without_wh.astype(np.int32),
        )
        self._next_period()

    def _next_period(self) -> None:
        state = self.state
        state.period += 1
        if state.period > state.asset_day_wh.shape[1]:
            self._close_day(state.day)
            state.day += timedelta(days=1)
            state.period = 1
            cars = len(self._homes)
            state.asset_day_wh, state.boundary_day_wh = _empty_day(cars, state.day), _empty_day(cars, state.day)

    def _close_day(self, day: date) -> None:
        due_ms = periods.local_clock_ms(day + timedelta(days=1), DELIVERY_HOUR, 0)
        self.state.waiting += [(due_ms, message) for message in self._collected(day)]

    def _collected(self, day: date) -> tuple[BoundaryReadings, AssetReadings]:
        state = self.state
        rows = np.arange(len(self._homes), dtype=np.int32)
        state.boundary_day_wh[self._days_not_collected(day)] = MISSING_WH
        wanted = np.flatnonzero(self._population.service == Service.DFS)
        boundary = BoundaryReadings(day, self._population.cars_home[wanted], state.boundary_day_wh[wanted])
        return boundary, AssetReadings(day, rows, state.asset_day_wh)

    def _days_not_collected(self, day: date) -> Any:
        share = self._scenario.homes.daily_missing_share
        if share == 0:
            return np.zeros(len(self._homes), bool)
        return chance.units(self._gap_key, self._homes, day.toordinal(), 1)[:, 0] < share

    def _asset_gaps(self, now_ms: int) -> Any:
        share = self._scenario.evs.meter.missing_share
        if share == 0:
            return np.zeros(len(self._homes), bool)
        return chance.units(self._gap_key, self._homes, now_ms, 2)[:, 0] < share

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


def _empty_day(cars: int, day: date) -> I16:
    return np.full((cars, periods.period_count(day)), MISSING_WH, np.int16)


def _sums(place: I16, values: I64, count: int) -> I64:
    """Integer sums by place: exact in doubles as long as a sum stays below 2**53."""
    return np.bincount(place, weights=values, minlength=count).astype(np.int64)


