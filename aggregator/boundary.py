"""Homes seen at their boundary meters, where BM Units are metered there: live readings and base load.

Two things are kept. The newest live reading of each home, and with it each unit's power second by second, as
`aggregator.telemetry` does for assets. And the half-hours that all homes of a unit drew on the days lived,
from which base load is learned: what is left of them when the assets' own half-hours are taken off. Devices
that nobody can reach are part of that base load.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from aggregator.forecast import DaySums, History, alike_days, keep_day, sum_kernel
from aggregator.registry import Cells, Registry
from aggregator.settings import Assumptions
from protocol.messages import (
    I16,
    I32,
    I64,
    AssetRegistration,
    BoundaryReadings,
    BoundaryReads,
    Service,
)
from protocol.periods import NORMAL_PERIOD_COUNT, clock_half_hour, is_clock_change_day


@dataclass(slots=True)
class Boundary:
    """All that is held of boundary meters.

    `group` (home numbers) the cell of a BM Unit that each home counts with, 0 for none, and `homes` (groups)
    how many each has.
    `held_ms` and `held_w` (home numbers) of the newest reading; `change_w` (groups, seconds) changes not yet
    published, the first column being the second `first_s` [UTC s].
    """

    group: I16
    homes: I64
    held_ms: I64
    held_w: I32
    change_w: I64
    first_s: int
    history: History


def new_boundary(registration: AssetRegistration, registry: Registry, now_ms: int, seconds: int) -> Boundary:
    """Nothing heard of the homes of all BM Units; `seconds` of changes are kept."""
    count = int(registration.home.max(initial=-1)) + 1
    group = np.zeros(count, np.int16)
    for place in registry.groups_of(Service.BALANCING):
        group[registration.home[registry.rows_of(place)]] = place
    groups = len(registry.groups)
    return Boundary(
        group=group,
        homes=np.bincount(group, minlength=groups).astype(np.int64),
        held_ms=np.zeros(count, np.int64),
        held_w=np.zeros(count, np.int32),
        change_w=np.zeros((groups, seconds), np.int64),
        first_s=now_ms // 1000,
        history=History([]),
    )


def hear_reads(boundary: Boundary, told: BoundaryReads) -> None:
    """Take live readings; one older than what is held changes nothing, nor does one of an unknown home."""
    _hear_kernel(
        boundary.group, boundary.held_ms, boundary.held_w, boundary.change_w, boundary.first_s,
        told.homes, told.event_ms, told.arrival_ms, told.import_w,
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _hear_kernel(
    group: Any,
    held_ms: Any,
    held_w: Any,
    change_w: Any,
    first_s: int,
    homes: Any,
    event_ms: Any,
    arrival_ms: Any,
    import_w: Any,
) -> None:
    last = change_w.shape[1] - 1
    for k in range(homes.shape[0]):
        home = homes[k]
        if home < 0 or home >= group.shape[0] or group[home] == 0 or event_ms[k] <= held_ms[home]:
            continue
        second = min(max(arrival_ms[k] // 1000 - first_s, 0), last)
        change_w[group[home], second] += import_w[k] - held_w[home]
        held_ms[home], held_w[home] = event_ms[k], import_w[k]


def learn_homes(boundary: Boundary, told: BoundaryReadings, assumed: Assumptions) -> None:
    """Take one day of half-hourly readings; homes of no BM Unit do not count."""
    if is_clock_change_day(told.day):
        return
    energy_wh = np.zeros((len(boundary.homes), NORMAL_PERIOD_COUNT), np.int64)
    readings = np.zeros_like(energy_wh)
    known = told.homes < len(boundary.group)
    sum_kernel(told.homes[known], told.import_wh[known], boundary.group, energy_wh, readings)
    keep_day(boundary.history, DaySums(told.day, energy_wh, readings), assumed)


def base_load_w(
    boundary: Boundary, assets: History, cells: int | Cells, count: int, start_ms: int, assumed: Assumptions
) -> float:
    """What a unit's homes will draw besides its `count` assets in the period that starts then [W].

    The mean over the latest days of the same type of all homes' half-hour less the assets'; both are scaled
    up to the meters that gave no reading. 0 without such a day.
    """
    half_hour = clock_half_hour(start_ms)
    asset_days = {day.day: day for day in assets.days}
    found = []
    for day in alike_days(boundary.history, cells, start_ms, assumed):
        known = asset_days.get(day.day)
        if known is not None and known.readings_of(cells, half_hour) > 0:
            homes_w = _whole_unit_w(day, cells, half_hour, int(boundary.homes[cells].sum()))
            found.append(homes_w - _whole_unit_w(known, cells, half_hour, count))
    return sum(found) / len(found) if found else 0.0


def _whole_unit_w(day: DaySums, cells: int | Cells, half_hour: int, meters: int) -> float:
    """Mean power of a unit with so many meters, of which some may have given no reading [W]."""
    return 2.0 * day.energy_of(cells, half_hour) / day.readings_of(cells, half_hour) * meters
