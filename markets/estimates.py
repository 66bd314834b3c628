"""What stands for a half-hour that has not been collected: an estimate by a named rule.

This owns the rules of estimation (docs/rules.md R207-R209); who counts an estimate is up to each service. The
actual replaces it when it comes. The first rule that can says: the meter's own mean over its newest like
days, by local half-hour; else what meters of its class read in that half-hour, by its size. What neither
can say stays MISSING_WH.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from markets.metered_volume import DayReadings, places, rows_at
from protocol.baselines import WORKING_DAYS, is_eligible_day
from protocol.messages import I8, I32, I64, MISSING_WH
from protocol.periods import NORMAL_PERIOD_COUNT, clock_half_hours, period_count

Bool = NDArray[np.bool_]


class Source(IntEnum):
    """Where a meter's day comes from; the worst of its half-hours counts."""

    ACTUAL = 0
    OWN_HISTORY = 1
    CLASS_PROFILE = 2
    UNKNOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class MeterClasses:
    """Class and size of each meter, by its number."""

    of: I8
    size: I32


@dataclass(frozen=True, slots=True, eq=False)
class FilledDay:
    """Half-hours of a day (meters, periods) [Wh]: as collected where `actual`, else estimated or MISSING_WH.

    `source` (meters,) is a Source.
    """

    import_wh: I64
    actual: Bool
    source: I8


def fill_day(
    meters: I32, day: date, kept: Mapping[date, DayReadings], classes: MeterClasses | None
) -> FilledDay:
    """A day of the meters with every gap estimated as far as a rule can; without `classes` all are alike."""
    import_wh = _collected(meters, day, kept)
    actual = import_wh != MISSING_WH
    source = np.full(actual.shape, Source.ACTUAL, np.int8)
    gaps = np.flatnonzero(~actual.all(axis=1))
    if len(gaps):
        for rule, estimate in (
            (Source.OWN_HISTORY, _own_history(meters[gaps], day, kept)),
            (Source.CLASS_PROFILE, _class_profile(meters[gaps], day, kept, classes)),
        ):
            _put(import_wh, source, gaps, estimate, rule)
    source[import_wh == MISSING_WH] = Source.UNKNOWN
    return FilledDay(import_wh, actual, source.max(axis=1, initial=np.int8(Source.ACTUAL)))


def _put(import_wh: I64, source: I8, gaps: NDArray[np.int64], estimate: I64, rule: Source) -> None:
    """Fill what is still missing at the rows `gaps`."""
    part = import_wh[gaps]
    filled = (part == MISSING_WH) & (estimate != MISSING_WH)
    import_wh[gaps] = np.where(filled, estimate, part)
    source[gaps] = np.where(filled, np.int8(rule), source[gaps])


def _collected(meters: I32, day: date, kept: Mapping[date, DayReadings]) -> I64:
    if day not in kept:
        return np.full((len(meters), period_count(day)), MISSING_WH, np.int64)
    return rows_at(kept[day], places(meters, kept[day].meters)).astype(np.int64)


def _own_history(meters: I32, day: date, kept: Mapping[date, DayReadings]) -> I64:
    """Each meter's mean over its newest like days, by local half-hour (meters, periods) [Wh]."""
    total_wh = np.zeros((len(meters), NORMAL_PERIOD_COUNT), np.int64)
    count = np.zeros_like(total_wh)
    for like in sorted((one for one in kept if is_eligible_day(one, day)), reverse=True)[:WORKING_DAYS]:
        read = _collected(meters, like, kept)
        known = read != MISSING_WH
        total_wh += np.where(known, read, 0)
        count += known
    mean_wh = np.where(count > 0, np.rint(total_wh / np.maximum(count, 1)), MISSING_WH).astype(np.int64)
    return np.asarray(mean_wh[:, clock_half_hours(day)])


def _class_profile(
    meters: I32, day: date, kept: Mapping[date, DayReadings], classes: MeterClasses | None
) -> I64:
    """What collected meters of the same class read per size in each half-hour, times the meter's own size."""
    estimate = np.full((len(meters), period_count(day)), MISSING_WH, np.int64)
    if day not in kept:
        return estimate
    kind, size = _of(meters, classes)
    other_kind, other_size = _of(kept[day].meters, classes)
    for one in np.unique(kind):
        read = kept[day].import_wh[other_kind == one].astype(np.int64)
        known = read != MISSING_WH
        sizes = (known * other_size[other_kind == one, None]).sum(axis=0)
        per_size = np.where(known, read, 0).sum(axis=0) / np.maximum(sizes, 1)
        scaled = np.rint(per_size[None, :] * size[kind == one, None]).astype(np.int64)
        estimate[kind == one] = np.where(sizes > 0, scaled, MISSING_WH)
    return estimate


def _of(meters: I32, classes: MeterClasses | None) -> tuple[I8, I64]:
    """Class and size of meters."""
    if classes is None:
        return np.zeros(len(meters), np.int8), np.ones(len(meters), np.int64)
    return classes.of[meters], np.maximum(classes.size[meters], 1).astype(np.int64)
