"""Meter data of one's own as the base load of the homes it is of.

Owns the rule: a half-hour that a home's meter has read is that home's base load, to the watt-hour. Every
other is drawn as ever, of a year as large as makes Profile Class 1 use over the half-hours read what was read
in them. Nothing is subtracted: what the twin lives as devices comes on top, so that readings should be of the
home without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np

from protocol import periods
from protocol.messages import I16, I64
from protocol.periods import PERIOD_MS
from sim.faults import Fault, Kind
from sim.homes import F64, HomeTable
from sim.households import PROFILE_ANNUAL_WH, mean_shape_kw
from sim.importers import DataErrors, Source
from sim.meter_file import MeterReadings, load_meters, read_meters
from sim.scenario import Scenario

CODES: Mapping[str, Kind] = MappingProxyType({
    "D059": Kind("meter data of none of the homes", "the MPANs of the registry's homes"),
    "W108": Kind("meters that are of no home", "they are left out"),
})  # fmt: skip
"""Beside the codes of `sim/meter_file.py`."""


@dataclass(frozen=True, slots=True, eq=False)
class HomeReadings:
    """What homes' meters have read; by ordinal of the local day, three columns (readings,)."""

    source: Source
    home: Mapping[int, I64]  # number of the home
    period: Mapping[int, I64]  # from 0
    import_wh: Mapping[int, I64]
    most_wh: int  # in one half-hour

    def put(self, numbers: I64, day: date, day_wh: I16) -> None:
        """Write what was read on `day` over what was drawn for the homes `numbers`, (homes, periods)."""
        ordinal = day.toordinal()
        if ordinal not in self.home or not len(numbers):
            return
        home = self.home[ordinal]
        place = np.full(max(int(numbers.max()), int(home.max())) + 1, -1, np.int64)
        place[numbers] = np.arange(len(numbers))
        row = place[home]
        here = row >= 0
        day_wh[row[here], self.period[ordinal][here]] = self.import_wh[ordinal][here]

    def annual_wh(self, drawn_wh: F64) -> F64:
        """Use of a year (homes,): of homes with readings, the one they speak of; of others as drawn."""
        read_wh, of_one_wh = np.zeros(len(drawn_wh)), np.zeros(len(drawn_wh))
        for ordinal, home in self.home.items():
            day = date.fromordinal(ordinal)
            share = mean_shape_kw(day)[periods.clock_half_hours(day)] * 500.0 / PROFILE_ANNUAL_WH
            read_wh += np.bincount(home, self.import_wh[ordinal], len(drawn_wh))
            of_one_wh += np.bincount(home, share[self.period[ordinal]], len(drawn_wh))
        known = of_one_wh > 0
        return np.where(known, read_wh / np.where(known, of_one_wh, 1.0), drawn_wh)


def home_readings(scenario: Scenario, homes: HomeTable) -> HomeReadings | None:
    """The meter data that a scenario names, None where it names none. Raises DataErrors."""
    file = scenario.homes.history_file
    if file is None:
        return None
    path = Path(file)
    return of_homes(load_meters(path) if path.suffix == ".parquet" else read_meters(path), homes)


def of_homes(meters: MeterReadings, homes: HomeTable) -> HomeReadings:
    """The readings of these homes' meters. Raises DataErrors where there are none."""
    order = np.argsort(homes.mpan)
    place = np.minimum(np.searchsorted(homes.mpan[order], meters.mpan), len(homes) - 1)
    known = homes.mpan[order][place] == meters.mpan
    source = meters.source
    if not known.any():
        what = f"none of {len(known)} meters is of a home"
        raise DataErrors([Fault("D059", str(source.path), 1, 1, what, "", "MPANs of the homes")])
    if not known.all():
        what = f"{int((~known).sum())} of {len(known)} meters are of no home"
        stray = Fault("W108", str(source.path), 1, 1, what)
        source = replace(source, warnings=(*source.warnings, stray))
    ours = known[meters.meter]
    home = order[place][meters.meter[ours]]
    return _by_day(source, home, meters.start_ms[ours], meters.import_wh[ours])


def _by_day(source: Source, home: I64, start_ms: I64, import_wh: I64) -> HomeReadings:
    first, last = (periods.local_date(int(edge)).toordinal() for edge in (start_ms.min(), start_ms.max()))
    columns: tuple[dict[int, I64], dict[int, I64], dict[int, I64]] = ({}, {}, {})
    order = np.argsort(start_ms, kind="stable")
    ordered_ms = start_ms[order]
    for ordinal in range(first, last + 1):
        day = date.fromordinal(ordinal)
        begin_ms, end_ms = periods.day_start_ms(day), periods.day_end_ms(day)
        rows = order[np.searchsorted(ordered_ms, begin_ms) : np.searchsorted(ordered_ms, end_ms)]
        if len(rows):
            found = (home[rows], (start_ms[rows] - begin_ms) // PERIOD_MS, import_wh[rows])
            for column, values in zip(columns, found, strict=True):
                column[ordinal] = values
    return HomeReadings(source, *columns, most_wh=int(import_wh.max()))
