"""How late each meter's day is collected: keyed draws, once per meter and once per meter and day.

Owns the distribution alone; `sim/metering.py` sends what is late.
"""

from __future__ import annotations

from datetime import date
from enum import IntEnum
from typing import Any

import numpy as np

from protocol.messages import I64
from sim import chance
from sim.scenario_settlement import LateMeters

NEVER_COMES = -1
"""In place of a delay: the meter is never read."""

_LONGEST_DAYS = 10_000.0
"""Longer than any run of settlement."""


class MeterKind(IntEnum):
    """Which numbering a meter's key belongs to."""

    BOUNDARY = 0
    ASSET = 1


def delay_days(late: LateMeters, key: np.uint64, meters: I64, kind: MeterKind, day: date) -> I64:
    """How many mornings after the usual one each meter's `day` is collected (meters,); 0: in time.

    `meters` are their stable identities, `key` is the stream of Purpose.LATE_METER. A meter that does not
    communicate has one delay for all its days, or NEVER_COMES; any other draws day by day.
    """
    of_meter = chance.units(key, meters, 0, kind)
    persistent = of_meter[:, 0] < late.persistent_share
    of_day = chance.units(key, meters, day.toordinal(), kind)
    one_off = of_day[:, 0] < late.one_off_share
    delays = np.where(one_off, _days(late.one_off_median_days, late.log_sd, of_day), 0)
    delays = np.where(persistent, _days(late.persistent_median_days, late.log_sd, of_meter), delays)
    delays[persistent & (of_meter[:, 1] < late.never_share)] = NEVER_COMES
    return delays


def _days(median_days: float, log_sd: float, u: Any) -> I64:
    """Log-normal delays in whole mornings, at least one, of two uniform numbers each [Box-Muller]."""
    z = np.sqrt(-2.0 * np.log(u[:, 2])) * np.cos(2.0 * np.pi * u[:, 3])
    days = np.minimum(median_days * np.exp(log_sd * z), _LONGEST_DAYS)
    return np.asarray(np.ceil(days), np.int64)
