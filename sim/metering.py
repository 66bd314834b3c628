"""Meters: what half-hours they register and what of it arrives when.

Party `meters`. At the end of each settlement period it takes the registers of every car's asset meter and
of every enrolled home's boundary meter (whole Wh; gain error drawn once per meter, a maker's bias
shared); on the morning after, it sends the day's readings. A half-hour without a reading stays
MISSING_WH. Truth is taken at the same moments, for the recorder only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numba import njit

from protocol import periods
from protocol.messages import I16, I32, I64, MISSING_WH, AssetReadings, BoundaryReadings, Message, Service
from protocol.party import NEVER_MS, Envelope
from sim import chance
from sim.chance import Purpose
from sim.fleet import MJ_PER_WH, Fleet
from sim.homes import NOT_SMART
from sim.households import BaseLoad
from sim.population import Population
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
    asset_day_wh: I16  # (periods, cars): a period is written in one run
    boundary_day_wh: I16  # (periods, cars)
    waiting: list[tuple[int, Message]] = field(default_factory=list)  # collected days, and when they are sent


class Meters:
    """Every meter of the portfolio."""

    name = "meters"

    def __init__(
        self,
        scenario: Scenario,
        population: Population,
        base: BaseLoad,
        fleet: Fleet,
        without: Fleet,
        first_day: date,
    ) -> None:
        """`fleet` is what really happens, `without` the same cars on the same draws, never instructed."""
        self._scenario = scenario
        self._population = population
        self._base = base
        self._fleet = fleet
        self.without = without
        self._homes = population.cars_home.astype(np.int64)
        homes = population.homes
        self._reads_boundary = (homes.status[self._homes] != NOT_SMART) & (
            homes.communicating[self._homes] == 1
        )
        self._wh_per_mj = np.ascontiguousarray(population.spec["wh_per_mj"])
        self._gain = homes.boundary_gain[self._homes]
        self._cells = len(homes.gsp_names) * len(Service)
        self._gap_key = chance.stream(scenario.seed, Purpose.METER_GAP)
        self._base_day: tuple[date, I16] | None = None
        self._outbox: list[Envelope] = []
        self.latest: PeriodTruth | None = None
        self.latest_asset_wh = self.latest_boundary_wh = np.empty(0, np.int16)
        enrolled = population.service == Service.DFS
        self.boundary_missing = _sums(
            population.cell, (enrolled & ~self._reads_boundary).astype(np.int64), self._cells
        )
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
        """Base load of the homes with cars on `day`, shape (periods, cars) [Wh]."""
        if self._base_day is None or self._base_day[0] != day:
            self._base_day = (day, np.ascontiguousarray(self._base.day_wh(self._homes, day).T))
        return self._base_day[1]

    def _read_period(self, now_ms: int) -> None:
        state, column = self.state, self.state.period - 1
        start_ms, end_ms = periods.period_bounds_ms(state.day, state.period)
        taken = np.zeros((5, self._cells), np.int64)
        cars = len(self._homes)
        row_import_wh, row_without_wh = np.empty(cars, np.int32), np.empty(cars, np.int32)
        self._fleet.each_block(
            lambda low, high: _read_rows(
                low, high, now_ms, self._fleet.state.rows.view(np.recarray),
                self.without.state.rows.view(np.recarray), self._wh_per_mj, self._population.plant.device,
                self._missing_share(), self._gap_key, self._reads_boundary, self._gain,
                self.base_day_wh(state.day)[column], state.metered_wh, state.true_wh, state.without_wh,
                state.asset_day_wh[column], state.boundary_day_wh[column], row_import_wh, row_without_wh,
            )
        )  # fmt: skip
        _sum_rows(
            self._population.cell, row_import_wh, row_without_wh, state.asset_day_wh[column],
            state.boundary_day_wh[column], taken,
        )  # fmt: skip
        self.latest_asset_wh, self.latest_boundary_wh = (
            state.asset_day_wh[column],
            state.boundary_day_wh[column],
        )
        self.latest = PeriodTruth(
            start_ms=start_ms,
            end_ms=end_ms,
            import_wh=taken[0],
            without_wh=taken[1],
            metered_wh=taken[2],
            missing=taken[3],
            boundary_wh=taken[4],
            row_import_wh=row_import_wh,
            row_without_wh=row_without_wh,
        )
        self._next_period()

    def _missing_share(self) -> float:
        return self._scenario.evs.meter.missing_share

    def _next_period(self) -> None:
        state = self.state
        state.period += 1
        if state.period > len(state.asset_day_wh):
            self._close_day(state.day)
            state.day += timedelta(days=1)
            state.period = 1
            cars = len(self._homes)
            state.asset_day_wh, state.boundary_day_wh = (
                _empty_day(cars, state.day),
                _empty_day(cars, state.day),
            )

    def _close_day(self, day: date) -> None:
        due_ms = periods.local_clock_ms(day + timedelta(days=1), DELIVERY_HOUR, 0)
        self.state.waiting += [(due_ms, message) for message in self._collected(day)]

    def _collected(self, day: date) -> tuple[BoundaryReadings, AssetReadings]:
        state = self.state
        rows = np.arange(len(self._homes), dtype=np.int32)
        state.boundary_day_wh[:, self._days_not_collected(day)] = MISSING_WH
        wanted = np.flatnonzero(self._population.service == Service.DFS)
        by_home = np.ascontiguousarray(state.boundary_day_wh[:, wanted].T)
        boundary = BoundaryReadings(day, self._population.cars_home[wanted], by_home)
        return boundary, AssetReadings(day, rows, np.ascontiguousarray(state.asset_day_wh.T))

    def _days_not_collected(self, day: date) -> Any:
        share = self._scenario.homes.daily_missing_share
        if share == 0:
            return np.zeros(len(self._homes), bool)
        return chance.units(self._gap_key, self._homes, day.toordinal(), 1)[:, 0] < share

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
def _read_rows(
    low: Any,
    high: Any,
    now_ms: Any,
    rows: Any,
    without_rows: Any,
    wh_per_mj: Any,
    device: Any,
    missing_share: Any,
    gap_key: Any,
    reads_boundary: Any,
    gain: Any,
    base_wh: Any,
    metered_before_wh: Any,
    true_before_wh: Any,
    without_before_wh: Any,
    asset_wh: Any,
    boundary_wh: Any,
    import_wh: Any,
    counterfactual_wh: Any,
) -> None:
    """What the meters of the rows [low, high) register in the period that ends now; registers move on."""
    for row in range(low, high):
        s = rows[row]
        total_mj = int(s.register_mj) + int(s.import_w) * (now_ms - int(s.at_ms))
        metered_wh = int(total_mj * wh_per_mj[row])
        true_wh = total_mj // MJ_PER_WH
        w = without_rows[row]
        without_wh = (int(w.register_mj) + int(w.import_w) * (now_ms - int(w.at_ms))) // MJ_PER_WH
        import_wh[row] = true_wh - true_before_wh[row]
        counterfactual_wh[row] = without_wh - without_before_wh[row]
        asset_wh[row] = metered_wh - metered_before_wh[row]
        if (
            missing_share > 0.0
            and chance.unit(chance.words(gap_key, device[row], now_ms, 2)[0]) < missing_share
        ):
            asset_wh[row] = -1
        boundary_wh[row] = -1
        if reads_boundary[row]:
            boundary_wh[row] = int((import_wh[row] + base_wh[row]) * gain[row] + 0.5)
        metered_before_wh[row], true_before_wh[row], without_before_wh[row] = metered_wh, true_wh, without_wh


@njit(cache=True, nogil=True)
def _sum_rows(cell: Any, import_wh: Any, without_wh: Any, asset_wh: Any, boundary_wh: Any, out: Any) -> None:
    """Sums by cell: import, counterfactual, metered, readings missing, boundary; `out` has (5, cells)."""
    for row in range(cell.shape[0]):
        place = cell[row]
        out[0, place] += import_wh[row]
        out[1, place] += without_wh[row]
        if asset_wh[row] >= 0:
            out[2, place] += asset_wh[row]
        else:
            out[3, place] += 1
        if boundary_wh[row] >= 0:
            out[4, place] += boundary_wh[row]


def _empty_day(cars: int, day: date) -> I16:
    return np.full((periods.period_count(day), cars), MISSING_WH, np.int16)


def _sums(place: I16, values: I64, count: int) -> I64:
    """Integer sums by place: exact in doubles as long as a sum stays below 2**53."""
    return np.bincount(place, weights=values, minlength=count).astype(np.int64)
