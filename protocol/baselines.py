"""BL01, the baseline of P376 and of the Demand Flexibility Service: what a home would have used.

Source: DFS Procurement Rules v1 (1 Sep 2022) Schedule 3, which reproduces the P376 algorithm, and v5.0
Schedule 3 Part 3. `select_days` names the days that count for one home, to be read and printed; `bl01` does
the whole sum for a million homes. All energies are import-positive [Wh per Settlement Period]. Hard cases:
docs/rules.md R20-R28.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from protocol.messages import MISSING_WH
from protocol.periods import NORMAL_PERIOD_COUNT, baseline_day_type, is_clock_change_day

LOOK_BACK_DAYS = 60
"""Calendar days before the delivery day in which history is looked for: a hard limit."""
WORKING_DAYS = 10
"""Working days averaged when there are as many: all ten, none trimmed."""
WORKING_DAYS_AT_LEAST = 5
NON_WORKING_DAYS = 4
"""Non-working days ranked by their daily total; the middle two are averaged."""
WINDOW_FIRST = 8
"""The in-day adjustment looks at the periods t0-8 .. t0-3: three hours, ending one hour before delivery at
t0.
"""
WINDOW_LENGTH = 6


INCOMPLETE_WH = -(2**62)
"""The total of a day that lacks a reading: no day uses as little."""


class BaselineError(ValueError):
    """Arrays, days or periods that do not fit each other."""


class BaselineStatus(IntEnum):
    """How a home's baseline came about."""

    INSUFFICIENT = 0  # too few days: the baseline is the outturn, so nothing counts as delivered
    CALCULATED = 1
    NOT_ADJUSTED = 2  # calculated, but the in-day adjustment asked for could not be made


def is_eligible_day(day: date, delivery_day: date) -> bool:
    """Whether the calendar lets `day` count: same day type, within the look-back, no clock change."""
    return (
        1 <= (delivery_day - day).days <= LOOK_BACK_DAYS
        and baseline_day_type(day) == baseline_day_type(delivery_day)
        and not is_clock_change_day(day)
    )


def select_days(
    daily_total_wh: Mapping[date, int], delivery_day: date, event_days: Collection[date] = ()
) -> tuple[date, ...]:
    """The days that one home's baseline averages, newest first; empty when there are too few.

    `daily_total_wh` holds the total [Wh] of each day whose readings are complete, and no other day. Two
    non-working days of equal total are ranked newest first (rule R22).
    """
    eligible = sorted(
        (day for day in daily_total_wh if is_eligible_day(day, delivery_day) and day not in event_days),
        reverse=True,
    )
    if baseline_day_type(delivery_day) == "WD":
        return tuple(eligible[:WORKING_DAYS]) if len(eligible) >= WORKING_DAYS_AT_LEAST else ()
    if len(eligible) < NON_WORKING_DAYS:
        return ()
    middle = sorted(eligible[:NON_WORKING_DAYS], key=daily_total_wh.__getitem__)[1:3]
    return tuple(sorted(middle, reverse=True))


def window(first_sp: int) -> range | None:
    """The periods whose metered volume sets the in-day adjustment; None when they reach before midnight
    (R24).
    """
    first = first_sp - WINDOW_FIRST
    return range(first, first + WINDOW_LENGTH) if first >= 1 else None


def in_day_adjustment_wh(metered_wh: Sequence[float], unadjusted_wh: Sequence[float]) -> float:
    """What the in-day adjustment adds to every delivery period [Wh], of either sign, without cap or floor.

    Both arguments hold the periods of `window`. Additive, one number for a whole delivery block.
    """
    if not len(metered_wh) == len(unadjusted_wh) == WINDOW_LENGTH:
        raise BaselineError(
            f"the in-day adjustment needs {WINDOW_LENGTH} periods of metered and unadjusted volume"
        )
    return (sum(metered_wh) - sum(unadjusted_wh)) / WINDOW_LENGTH


def bl01(
    history_wh: NDArray[Any],
    days: Sequence[date],
    delivery_day: date,
    metered_day_wh: NDArray[Any],
    event_days: NDArray[np.bool_],
    first_sp: int,
    n_sp: int,
    in_day_adjustment: bool,
    missing_wh: int = MISSING_WH,
    totals_wh: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """BL01 of many homes for one delivery block.

    `history_wh` (homes, days, periods): int16 or int32, plain with `missing_wh` where there is no reading,
    or masked. `days`: which day each column is, in any order. `metered_day_wh` (homes, periods): the
    delivery day itself. `event_days` (homes, days): True where the home took part in an event. The block is
    the `n_sp` periods from `first_sp`, counted from 1. `totals_wh` (homes, days): what `day_totals_wh` says
    of this history, for callers that ask for many days; without it the days looked at are added up here.

    Gives back the baseline [Wh] (homes, n_sp) and a BaselineStatus (homes). A home without enough days gets
    its outturn; where that is missing too, NaN. Raises BaselineError for shapes and periods that do not
    fit.
    """
    _check(history_wh, days, metered_day_wh, event_days, first_sp, n_sp)
    columns = _columns(days, delivery_day)
    window_periods = window(first_sp) if in_day_adjustment else None
    history, history_missing = _plain(history_wh, missing_wh)
    metered, metered_missing = _plain(metered_day_wh, missing_wh)
    if totals_wh is not None and totals_wh.shape != event_days.shape:
        raise BaselineError(f"totals_wh is {totals_wh.shape}; history wants {event_days.shape}")
    baseline = np.empty((len(history), n_sp), dtype=np.float64)
    status = np.empty(len(history), dtype=np.int8)
    _bl01(
        history,
        history_missing,
        metered,
        metered_missing,
        event_days,
        np.empty((0, 0), np.int64) if totals_wh is None else totals_wh,
        columns,
        baseline_day_type(delivery_day) == "WD",
        first_sp - 1,
        window_periods.start - 1 if window_periods else -1,
        in_day_adjustment,
        baseline,
        status,
    )
    return baseline, status


def day_totals_wh(history_wh: NDArray[Any], missing_wh: int = MISSING_WH) -> NDArray[np.int64]:
    """The total of each home's days [Wh] (homes, days), INCOMPLETE_WH where a reading is missing.

    `history_wh` as in `bl01`. A month of delivery days looks at each day of history some twenty times; with
    its totals at hand only the days that count are read again.
    """
    history, missing = _plain(history_wh, missing_wh)
    totals = np.empty(history.shape[:2], np.int64)
    _fill_totals(history, missing, totals)
    return totals


def _check(
    history_wh: NDArray[Any],
    days: Sequence[date],
    metered_day_wh: NDArray[Any],
    event_days: NDArray[np.bool_],
    first_sp: int,
    n_sp: int,
) -> None:
    homes, columns, periods = history_wh.shape
    if len(set(days)) != columns:
        raise BaselineError(f"history has {columns} days, but {len(set(days))} different dates were given")
    if periods < NORMAL_PERIOD_COUNT:
        raise BaselineError(f"history has {periods} periods a day; {NORMAL_PERIOD_COUNT} are needed")
    if event_days.shape != (homes, columns):
        raise BaselineError(f"event_days is {event_days.shape}; history wants {(homes, columns)}")
    if len(metered_day_wh) != homes:
        raise BaselineError(f"metered_day_wh has {len(metered_day_wh)} homes; history has {homes}")
    last_sp = min(NORMAL_PERIOD_COUNT, metered_day_wh.shape[1])
    if not 1 <= first_sp <= first_sp + n_sp - 1 <= last_sp:
        raise BaselineError(
            f"periods {first_sp} to {first_sp + n_sp - 1} do not lie within 1 to {last_sp} (rule R25)"
        )


def _columns(days: Sequence[date], delivery_day: date) -> NDArray[np.int64]:
    """Columns of history that the calendar lets count, newest day first."""
    eligible = [column for column, day in enumerate(days) if is_eligible_day(day, delivery_day)]
    return np.array(sorted(eligible, key=days.__getitem__, reverse=True), dtype=np.int64)


def _plain(energy_wh: NDArray[Any], missing_wh: int) -> tuple[NDArray[Any], int]:
    """The array without a mask, and the number that means missing in it."""
    if not isinstance(energy_wh, np.ma.MaskedArray):
        return energy_wh, missing_wh
    missing = int(np.iinfo(energy_wh.dtype).min)
    return energy_wh.filled(missing), missing


@njit(cache=True, nogil=True, inline="always")
def _total(history: NDArray[Any], missing: int, home: int, column: int) -> int:
    """One day of one home [Wh], or INCOMPLETE_WH."""
    total = 0
    gaps = 0
    for period in range(NORMAL_PERIOD_COUNT):
        energy = history[home, column, period]
        total += energy
        gaps += energy == missing
    return INCOMPLETE_WH if gaps else total


@njit(cache=True, nogil=True)
def _fill_totals(history: NDArray[Any], missing: int, totals: NDArray[np.int64]) -> None:
    for home in range(history.shape[0]):
        for column in range(history.shape[1]):
            totals[home, column] = _total(history, missing, home, column)


@njit(cache=True, nogil=True)
def _bl01(
    history: NDArray[Any],
    history_missing: int,
    metered: NDArray[Any],
    metered_missing: int,
    event_days: NDArray[np.bool_],
    known_totals: NDArray[np.int64],
    columns: NDArray[np.int64],
    working_day: bool,
    first: int,
    window_first: int,
    adjust: bool,
    baseline: NDArray[np.float64],
    status: NDArray[np.int8],
) -> None:
    """Fill `baseline` and `status`. Periods count from 0 here; `window_first` is -1 where there is no window.

    One pass over each home's days, newest first, that stops when enough are found: history is read once and
    no array of the size of history is made. Energies are added up day after day, as they lie in memory.
    """
    wanted = WORKING_DAYS if working_day else NON_WORKING_DAYS
    at_least = WORKING_DAYS_AT_LEAST if working_day else NON_WORKING_DAYS
    chosen = np.empty(wanted, dtype=np.int64)
    totals = np.empty(wanted, dtype=np.int64)
    sums = np.empty(baseline.shape[1], dtype=np.int64)
    for home in range(history.shape[0]):
        found = 0
        for column in columns:
            if event_days[home, column]:
                continue
            if known_totals.shape[0]:
                total = known_totals[home, column]
            else:
                total = _total(history, history_missing, home, column)
            if total == INCOMPLETE_WH:
                continue
            chosen[found] = column
            totals[found] = total
            found += 1
            if found == wanted:
                break
        if found < at_least:
            status[home] = BaselineStatus.INSUFFICIENT
            for k in range(baseline.shape[1]):
                energy = metered[home, first + k]
                baseline[home, k] = np.nan if energy == metered_missing else energy
            continue
        if not working_day:
            ranked = chosen[np.argsort(totals, kind="mergesort")]
            chosen[:2] = ranked[1:3]
            found = 2
        status[home] = BaselineStatus.CALCULATED
        adjustment = 0.0
        if adjust:
            measured = window_first >= 0
            difference = 0
            if measured:
                for period in range(window_first, window_first + WINDOW_LENGTH):
                    energy = metered[home, period]
                    measured &= energy != metered_missing
                    difference += found * energy
                    for n in range(found):
                        difference -= history[home, chosen[n], period]
            if measured:
                adjustment = difference / (found * WINDOW_LENGTH)
            else:
                status[home] = BaselineStatus.NOT_ADJUSTED
        sums[:] = 0
        for n in range(found):
            day = history[home, chosen[n], first : first + len(sums)]
            for k in range(len(sums)):
                sums[k] += day[k]
        for k in range(len(sums)):
            baseline[home, k] = sums[k] / found + adjustment
