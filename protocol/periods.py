"""The only home of local time: Settlement Days and Periods, clock changes, bank holidays, seasons.

Everywhere else time is `now_ms`, integer UTC milliseconds. A Settlement Day runs from local midnight to
local midnight (Europe/London) in half-hour Settlement Periods numbered from 1: 46 on the March clock
change, 50 on the October one, 48 otherwise. Source: Elexon Insights OpenAPI (settlementPeriod 1-50),
BSCP602. Hard cases: docs/rules.md R1-R8.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

import holidays
import numpy as np
from numpy.typing import NDArray

LONDON = ZoneInfo("Europe/London")

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
PERIOD_MS = 30 * MINUTE_MS
"""Length of a Settlement Period [ms]."""

NORMAL_PERIOD_COUNT = 48
GATE_CLOSURE_MS = HOUR_MS
"""Gate Closure before a period's start [ms]. Source: elexon-data/insights-docs, mil_mel_resolution.md."""

ENGLAND_AND_WALES = "england-and-wales"
SUBDIVISIONS = MappingProxyType({ENGLAND_AND_WALES: "ENG", "scotland": "SCT", "northern-ireland": "NIR"})
"""Bank-holiday divisions as gov.uk names them, and their codes in the `holidays` package."""

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_SATURDAY = 5
_SUNDAY = 6


class LocalTimeError(ValueError):
    """A local clock time or period that does not exist on the day asked for."""


class SettlementPeriod(NamedTuple):
    """One half hour by its Settlement Day and its number, counted from 1."""

    day: date
    number: int


@lru_cache(maxsize=4096)
def day_start_ms(day: date) -> int:
    """Local midnight with which `day` begins [UTC ms]; 23:00 UTC of the day before while BST is in force."""
    return _utc_ms(datetime(day.year, day.month, day.day, tzinfo=LONDON))


def day_end_ms(day: date) -> int:
    """Local midnight with which `day` ends [UTC ms]."""
    return day_start_ms(day + timedelta(days=1))


def period_count(day: date) -> int:
    """How many Settlement Periods `day` has: 46, 48 or 50."""
    return (day_end_ms(day) - day_start_ms(day)) // PERIOD_MS


def is_clock_change_day(day: date) -> bool:
    """Whether the clocks change on `day`."""
    return period_count(day) != NORMAL_PERIOD_COUNT


def period_bounds_ms(day: date, period: int) -> tuple[int, int]:
    """Start and end of a period [UTC ms], half-open. Raises LocalTimeError for a number the day lacks."""
    count = period_count(day)
    if not 1 <= period <= count:
        raise LocalTimeError(f"{day} has Settlement Periods 1 to {count}; there is no period {period}")
    start_ms = day_start_ms(day) + (period - 1) * PERIOD_MS
    return start_ms, start_ms + PERIOD_MS


def day_periods_ms(day: date) -> NDArray[np.int64]:
    """Edges of all periods of `day` [UTC ms] (period_count + 1), a fresh array."""
    return day_start_ms(day) + PERIOD_MS * np.arange(period_count(day) + 1, dtype=np.int64)


def period_start_ms(now_ms: int) -> int:
    """Start of the Settlement Period that holds the moment `now_ms` [UTC ms]."""
    return now_ms - now_ms % PERIOD_MS


def periods_touched_ms(start_ms: int, end_ms: int) -> range:
    """Starts of the Settlement Periods that [start, end) touches [UTC ms]; the end lies after the start."""
    return range(period_start_ms(start_ms), end_ms, PERIOD_MS)


def local_date(now_ms: int) -> date:
    """The Settlement Day that holds the moment `now_ms`."""
    day = date.fromordinal(_EPOCH_ORDINAL + now_ms // DAY_MS)
    return day if now_ms < day_end_ms(day) else day + timedelta(days=1)


def period_of(now_ms: int) -> SettlementPeriod:
    """The Settlement Period that holds the moment `now_ms`: (day, number)."""
    day = local_date(now_ms)
    return SettlementPeriod(day, (now_ms - day_start_ms(day)) // PERIOD_MS + 1)


def clock_half_hours(day: date) -> NDArray[np.int64]:
    """The half-hour of the wall clock (0 to 47) that each period of `day` shows (periods,), a fresh array.

    March leaves 2 and 3 out, October shows them twice.
    """
    places = np.arange(period_count(day), dtype=np.int64)
    if len(places) < NORMAL_PERIOD_COUNT:
        places[2:] += 2
    elif len(places) > NORMAL_PERIOD_COUNT:
        places[4:] -= 2
    return places


def clock_half_hour(now_ms: int) -> int:
    """The half-hour of the wall clock (0 to 47) that holds the moment `now_ms`."""
    day, number = period_of(now_ms)
    return int(clock_half_hours(day)[number - 1])


def local_clock_ms(day: date, hour: int, minute: int = 0, fold: int = 0) -> int:
    """When the clock on the wall shows hour:minute on `day` [UTC ms] (rule R2).

    In the repeated hour of October `fold=0` is the first showing (BST) and `fold=1` the second (GMT); at
    any other time `fold` changes nothing. Raises LocalTimeError for a time in the hour that March leaves
    out.
    """
    wanted = datetime(day.year, day.month, day.day, hour, minute, tzinfo=LONDON, fold=fold)
    shown = wanted.astimezone(UTC).astimezone(LONDON)
    if (shown.hour, shown.minute) != (hour, minute):
        raise LocalTimeError(
            f"{hour:02d}:{minute:02d} does not exist on {day}: the clocks go forward from 01:00 to 02:00; "
            "use 00:59 or 02:00"
        )
    return _utc_ms(wanted)


def clock_reached_ms(day: date, minute: int) -> int:
    """When the clock of `day` first shows `minute` [minutes after midnight] or more [UTC ms] (rule R2).

    For a time in the hour that March leaves out this is the moment of the jump, for one that October shows
    twice the first.
    """
    try:
        return local_clock_ms(day, *divmod(minute, 60))
    except LocalTimeError:
        return local_clock_ms(day, minute // 60 + 1)


def weekday(now_ms: int) -> int:
    """Local day of the week of the moment `now_ms`: Monday is 0, Sunday 6."""
    return local_date(now_ms).weekday()


def gate_closure_ms(period_start_ms: int) -> int:
    """When the gate closes for the period that starts at `period_start_ms` [UTC ms]: one hour before."""
    return period_start_ms - GATE_CLOSURE_MS


@lru_cache(maxsize=256)
def bank_holidays(year: int, division: str = ENGLAND_AND_WALES) -> Mapping[date, str]:
    """Bank holidays of a year with their names, as known to the installed `holidays` package (rule R5).

    Raises LocalTimeError for a division that gov.uk does not name.
    """
    if division not in SUBDIVISIONS:
        raise LocalTimeError(
            f"no bank-holiday division {division!r}; known: {', '.join(sorted(SUBDIVISIONS))}"
        )
    found = holidays.country_holidays("GB", subdiv=SUBDIVISIONS[division], years=year)
    return MappingProxyType(dict(sorted(found.items())))


def working_day(day: date, division: str = ENGLAND_AND_WALES) -> bool:
    """Whether `day` is neither Saturday, Sunday nor bank holiday."""
    return day.weekday() < _SATURDAY and day not in bank_holidays(day.year, division)


def next_working_day(day: date, n: int = 1, division: str = ENGLAND_AND_WALES) -> date:
    """The n-th working day after `day`, as settlement-run timetables count (`day` itself is not counted).

    Raises LocalTimeError for n below 1.
    """
    if n < 1:
        raise LocalTimeError(f"the working day wanted after {day} must be at least the first, not number {n}")
    while n:
        day += timedelta(days=1)
        n -= working_day(day, division)
    return day


@lru_cache(maxsize=4096)
def baseline_day_type(day: date) -> str:
    """The day type of BL01: "WD" for a working day, "NWD" for Saturday, Sunday and bank holiday."""
    return "WD" if working_day(day) else "NWD"


@lru_cache(maxsize=4096)
def day_type(day: date) -> str:
    """The Elexon load profiles' day type: "Wd", "Sat" or "Sun"; a bank holiday counts as Sunday (rule R6)."""
    if day.weekday() == _SATURDAY:
        return "Sat"
    return "Wd" if working_day(day) else "Sun"


@lru_cache(maxsize=4096)
def season(day: date) -> str:
    """The Elexon load profiles' season, named as in their files: "Wtr", "Spr", "Smr", "Hsr" or "Aut".

    Winter is the time of GMT. High Summer runs from the sixth Saturday before the August Bank Holiday up to
    the Sunday after it, Summer the ten weeks before that; Spring and Autumn fill what is left of BST.
    Source: Elexon, "Load Profiles and their use in Electricity Settlement"; season definitions as quoted
    with the data set by the UKERC data centre.
    """
    if day_end_ms(day) % DAY_MS == 0:
        return "Wtr"
    august_bank_holiday = _last_monday_of_august(day.year)
    high_summer = august_bank_holiday - timedelta(days=2 + 5 * 7)
    if day > august_bank_holiday + timedelta(days=6):
        return "Aut"
    if day >= high_summer:
        return "Hsr"
    return "Smr" if day >= high_summer - timedelta(weeks=10) else "Spr"


def _last_monday_of_august(year: int) -> date:
    last = date(year, 8, 31)
    return last - timedelta(days=last.weekday())


def _utc_ms(moment: datetime) -> int:
    return round(moment.timestamp()) * 1000


# --------------------------------------------------------------------------------------- clocks without offse


def clock_shift_ms(at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """How far London's clock is ahead of UTC at each moment [ms] (n,): nothing or an hour."""
    if len(at_ms) == 0:
        return np.zeros(0, np.int64)
    hours = at_ms // HOUR_MS
    first, last = int(hours.min()), int(hours.max())
    if last - first < _HOURS_IN_TABLE:
        table = np.array([_hour_shift_ms(hour) for hour in range(first, last + 1)], np.int64)
        return np.asarray(table[hours - first])
    known, place = np.unique(hours, return_inverse=True)
    return np.array([_hour_shift_ms(int(hour)) for hour in known], np.int64)[place]


def moments_shown(
    wall_ms: NDArray[np.int64], by_ms: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """When London's clock showed each time: (moments [UTC ms], is in doubt, never was), each (n,).

    `wall_ms` is the time shown, counted as if it were UTC. A time that October shows twice means the later
    showing unless that lies after `by_ms`; it is in doubt when both do not. One that March leaves out is read
    as winter time, and never was.
    """
    winter_ms, summer_ms = wall_ms, wall_ms - HOUR_MS
    in_winter = clock_shift_ms(winter_ms) == 0
    in_summer = clock_shift_ms(summer_ms) == HOUR_MS
    doubtful = in_winter & in_summer & (winter_ms <= by_ms)
    take_summer = in_summer & (~in_winter | (winter_ms > by_ms))
    return np.where(take_summer, summer_ms, winter_ms), doubtful, ~in_winter & ~in_summer


_HOURS_IN_TABLE = 1_000


@lru_cache(maxsize=16_384)
def _hour_shift_ms(hour: int) -> int:
    """The shift during an hour of UTC; clocks change on the hour."""
    shift = datetime.fromtimestamp(hour * 3_600, LONDON).utcoffset()
    return 0 if shift is None else int(shift.total_seconds()) * 1_000
