"""When each settlement run of a day is made, what stands meanwhile, and in which order results come out.

Source: BSCP01 run types with the working days of `protocol/rulebooks/bsc.yaml` (each with its tag), before
and under Market-wide Half-Hourly Settlement. Working days are those of England and Wales. Clock changes
move nothing: runs are dated by day, and both clocks change on Sundays. Hard cases: docs/rules.md R120-R123.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from protocol.periods import next_working_day, working_day
from protocol.rulebook import Rulebook


class Run(StrEnum):
    """The runs, in order; a later one replaces what an earlier one said."""

    II = "II"  # Interim Information
    SF = "SF"  # Initial Settlement
    R1 = "R1"
    R2 = "R2"
    R3 = "R3"
    RF = "RF"  # Final Reconciliation
    DF = "DF"  # Post-Final, disputes only


RUNS = tuple(Run)


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """One run of one Settlement Day: made on `on`, with the readings that were in by the end of
    `readings_by`.
    """

    settlement_day: date
    run: Run
    on: date
    readings_by: date


_WORKING_DAYS = {
    "before_mhhs": {run: f"run_{run.lower()}_wd" for run in RUNS if run is not Run.DF},
    "mhhs": {run: f"mhhs_run_{run.lower()}_wd" for run in (Run.II, Run.SF, Run.R1)},
}
_MONTHS = {
    "before_mhhs": {Run.DF: "run_df_months"},
    "mhhs": {Run.RF: "mhhs_run_rf_months", Run.DF: "mhhs_run_df_months"},
}


def timetable(settlement_day: date, rules: Rulebook, disputed: bool = False) -> tuple[ScheduledRun, ...]:
    """The runs of a Settlement Day, in order; the Post-Final run only where the day is `disputed`.

    `rules` is the BSC rulebook of the Settlement Day: a day keeps the timetable under which it was lived.
    Under MHHS there is one interim run, called R1 here, and neither R2 nor R3.
    """
    regime = rules.value("settlement_timetable")
    by_day = {
        run: next_working_day(settlement_day, rules.value(name))
        for run, name in _WORKING_DAYS[regime].items()
    }
    by_month = {run: months_after(settlement_day, rules.value(name)) for run, name in _MONTHS[regime].items()}
    on = by_day | by_month
    before = rules.value("readings_before_run_wd")
    return tuple(
        ScheduledRun(settlement_day, run, on[run], working_days_before(on[run], before))
        for run in RUNS
        if run in on and (disputed or run is not Run.DF)
    )


def run_date(settlement_day: date, run: Run, rules: Rulebook) -> date | None:
    """When a run of a day is made; None where the day's timetable has no such run."""
    found = (item.on for item in timetable(settlement_day, rules, disputed=True) if item.run is run)
    return next(found, None)


def standing_run(settlement_day: date, today: date, rules: Rulebook, disputed: bool = False) -> Run | None:
    """The latest run made by the end of `today`, whose results stand; None before the first."""
    made = [item.run for item in timetable(settlement_day, rules, disputed) if item.on <= today]
    return made[-1] if made else None


def run_that_uses(settlement_day: date, arrived: date, rules: Rulebook) -> Run | None:
    """The first run that can use a reading that came on `arrived`; None where it came too late for all.

    Post-Final is no help to a late reading: it needs a dispute.
    """
    usable = (item.run for item in timetable(settlement_day, rules) if arrived <= item.readings_by)
    return next(usable, None)


def publications(first: date, last: date, days: Iterable[tuple[date, Rulebook]]) -> tuple[ScheduledRun, ...]:
    """The runs made from `first` to `last`, in the order of publication.

    By the day on which they are made; on one day the oldest Settlement Day first, so that a later day
    never comes out before an earlier one at the same run (ours).
    """
    due = [item for day, rules in days for item in timetable(day, rules) if first <= item.on <= last]
    return tuple(sorted(due, key=lambda item: (item.on, item.settlement_day, RUNS.index(item.run))))


def working_days_before(day: date, n: int) -> date:
    """The n-th working day before `day`; `day` itself for none."""
    while n:
        day -= timedelta(days=1)
        n -= working_day(day)
    return day


def months_after(day: date, months: int) -> date:
    """The first working day on or after the same day of the month, `months` later; a month too short ends
    earlier.
    """
    year, month = divmod(day.month - 1 + months, 12)
    last_of_month = calendar.monthrange(day.year + year, month + 1)[1]
    found = date(day.year + year, month + 1, min(day.day, last_of_month))
    return found if working_day(found) else next_working_day(found)
