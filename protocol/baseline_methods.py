"""Baselines by name, all with one call: what a site would have used in a delivery block.

`baseline("mid_8_in_10", evidence, rules)` gives the volumes and a status per site, whichever the method.
What a method does not have, it does not make up: a site without the data it needs gets its own outturn, so
that nothing counts as delivered, and says INSUFFICIENT; where the outturn is missing too, NaN. Only the
method `zero` gives zeros.

Sources and tags: `protocol/rulebooks/dso_settlement.yaml` (ENA, Piclo, Electron, NGED),
`protocol/baselines.py` for BL01. All volumes are import-positive [Wh per Settlement Period]. Hard cases:
docs/rules.md R20-R28, R130-R135.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from protocol import baselines
from protocol.baselines import BaselineError, BaselineStatus
from protocol.messages import MISSING_WH
from protocol.periods import (
    NORMAL_PERIOD_COUNT,
    baseline_day_type,
    clock_half_hours,
    is_clock_change_day,
    period_count,
)
from protocol.rulebook import Rulebook

Baseline = tuple[NDArray[np.float64], NDArray[np.int8]]
"""Volume [Wh] (sites, n_sp) and BaselineStatus (sites)."""

UNKNOWN_KIND = -1
"""The kind of a site for which no reference profile is published."""

_WEEKEND_DAYS = MappingProxyType({"mid_2_of_4": 4, "mid_4_of_6": 6, "mid_8_of_10": 10})


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known about the sites of a delivery block; each method reads what it needs.

    The block is the `n_sp` periods from `first_sp`, counted from 1. `metered_wh` (sites, periods of the
    delivery day): int, MISSING_WH where there is no reading. `history_wh` (sites, days, 48) with `days`
    and `event_days` (sites, days). `nominated_wh` (sites, n_sp): float, NaN where nothing was nominated in
    time. `reference_wh` (kinds, 48): the published profile of one asset, by half hour of the wall clock;
    `kind` and `assets` (sites). `control_wh` (controls, periods of the delivery day): the meters of sites
    left alone.
    """

    delivery_day: date
    first_sp: int
    n_sp: int
    metered_wh: NDArray[Any]
    history_wh: NDArray[Any] | None = None
    days: Sequence[date] = ()
    event_days: NDArray[np.bool_] | None = None
    nominated_wh: NDArray[np.float64] | None = None
    reference_wh: NDArray[np.float64] | None = None
    kind: NDArray[np.int64] | None = None
    assets: NDArray[np.int64] | None = None
    template_wh: NDArray[np.float64] | None = None
    control_wh: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        last_sp = min(period_count(self.delivery_day), self.metered_wh.shape[1])
        if not 1 <= self.first_sp <= self.first_sp + self.n_sp - 1 <= last_sp:
            raise BaselineError(
                f"periods {self.first_sp} to {self.first_sp + self.n_sp - 1} do not lie within 1 to {last_sp}"
            )


def baseline(name: str, evidence: Evidence, rules: Rulebook) -> Baseline:
    """The baseline of every site by the method `name`, and how it came about.

    Raises BaselineError for a name that is not in METHODS, and for evidence without what the method needs.
    """
    if name not in METHODS:
        raise BaselineError(f"there is no baseline method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name](evidence, rules)


def zero(evidence: Evidence, rules: Rulebook) -> Baseline:
    """Nothing, always: for storage and generation that would have stood still. Source: Electron [P]."""
    del rules
    sites = len(evidence.metered_wh)
    return np.zeros((sites, evidence.n_sp)), np.full(sites, BaselineStatus.CALCULATED, np.int8)


def nominated(evidence: Evidence, rules: Rulebook) -> Baseline:
    """What the provider nominated before the day-ahead deadline. Source: Electron [P]."""
    del rules
    volume = _needed(evidence.nominated_wh, "nominated", "nominated_wh")
    return _or_outturn(evidence, volume.astype(np.float64))


def weekly_template(evidence: Evidence, rules: Rulebook) -> Baseline:
    """What the provider uploaded as a week that repeats: day of week, local time of the block's start, power.

    A bank holiday is the day of the week that it falls on. Source: Flexible Power portal FAQ [P].
    """
    del rules
    template = _needed(evidence.template_wh, "weekly_template", "template_wh")
    return _or_outturn(
        evidence, template[:, evidence.delivery_day.weekday(), :][:, _block_on_the_clock(evidence)]
    )


def fixed_reference(evidence: Evidence, rules: Rulebook) -> Baseline:
    """The DNO's published profile x the number of assets, by the clock on the wall. Source: Electron [P].

    On the day when the clocks change the profile follows the clock: 46 or 50 of its values are used.
    """
    del rules
    profile = _needed(evidence.reference_wh, "fixed_reference", "reference_wh")
    kind = _needed(evidence.kind, "fixed_reference", "kind")
    assets = _needed(evidence.assets, "fixed_reference", "assets")
    volume = profile[kind][:, _block_on_the_clock(evidence)] * assets[:, np.newaxis]
    return _or_outturn(evidence, np.where(kind[:, np.newaxis] == UNKNOWN_KIND, np.nan, volume))


def control_group(evidence: Evidence, rules: Rulebook) -> Baseline:
    """The mean of the control sites that have a reading, period by period, the same for every site.

    Too few of them in a period of the block and no site has a baseline. Source: the trials' practice; the
    least number is ours.
    """
    control = _needed(evidence.control_wh, "control_group", "control_wh")[:, _block(evidence)]
    read = control != MISSING_WH
    count = read.sum(axis=0)
    total = np.where(read, control, 0).sum(axis=0, dtype=np.float64)
    mean = np.full(evidence.n_sp, np.nan)
    enough = count >= rules.value("control_group_at_least")
    mean[enough] = total[enough] / count[enough]
    return _or_outturn(evidence, np.tile(mean, (len(evidence.metered_wh), 1)))


def historical(evidence: Evidence, rules: Rulebook) -> Baseline:
    """The mean of the last days of the same type, untrimmed. Source: Piclo [P that it is used; how: ours]."""
    wanted, at_least = rules.value("historical_days"), rules.value("historical_days_at_least")
    return _rolling(evidence, rules, "historical", (wanted, at_least, 0), adjusted=False)


def mid_8_in_10(evidence: Evidence, rules: Rulebook) -> Baseline:
    """The mean of the last ten days of the same type without the highest and the lowest, by daily energy
    [M].
    """
    return _rolling(evidence, rules, "mid_8_in_10", _mid_8_in_10_days(evidence, rules), adjusted=False)


def mid_8_in_10_adjusted(evidence: Evidence, rules: Rulebook) -> Baseline:
    """Mid 8 in 10, shifted by how far the site was off it earlier the same day [M].

    The shift is one number for the block: the mean of metered less unadjusted over the window, at most the
    cap in percent of the block's mean baseline. A window without all its readings: NOT_ADJUSTED.
    """
    days = _mid_8_in_10_days(evidence, rules)
    return _rolling(evidence, rules, "mid_8_in_10_adjusted", days, adjusted=True)


def bl01(evidence: Evidence, rules: Rulebook) -> Baseline:
    """BL01 without the in-day adjustment: see `protocol/baselines.py`."""
    del rules
    return _bl01(evidence, "BL01", in_day_adjustment=False)


def bl01_adjusted(evidence: Evidence, rules: Rulebook) -> Baseline:
    """BL01 with the in-day adjustment: see `protocol/baselines.py`."""
    del rules
    return _bl01(evidence, "BL01_adjusted", in_day_adjustment=True)


METHODS: Mapping[str, Callable[[Evidence, Rulebook], Baseline]] = MappingProxyType(
    {
        "BL01": bl01,
        "BL01_adjusted": bl01_adjusted,
        "control_group": control_group,
        "fixed_reference": fixed_reference,
        "historical": historical,
        "mid_8_in_10": mid_8_in_10,
        "mid_8_in_10_adjusted": mid_8_in_10_adjusted,
        "nominated": nominated,
        "weekly_template": weekly_template,
        "zero": zero,
    }
)


def _bl01(evidence: Evidence, name: str, in_day_adjustment: bool) -> Baseline:
    return baselines.bl01(
        _needed(evidence.history_wh, name, "history_wh"),
        evidence.days,
        evidence.delivery_day,
        evidence.metered_wh,
        _needed(evidence.event_days, name, "event_days"),
        evidence.first_sp,
        evidence.n_sp,
        in_day_adjustment,
    )


def _mid_8_in_10_days(evidence: Evidence, rules: Rulebook) -> tuple[int, int, int]:
    """Days wanted, days needed, and days trimmed at each end."""
    if baseline_day_type(evidence.delivery_day) == "WD":
        return rules.value("mid_8_in_10_days"), rules.value("mid_8_in_10_days_at_least"), 1
    wanted = _WEEKEND_DAYS[rules.value("weekend_rule")]
    return wanted, wanted, 1


def _rolling(
    evidence: Evidence, rules: Rulebook, name: str, days: tuple[int, int, int], *, adjusted: bool
) -> Baseline:
    """A trimmed mean of the last days of the same type, by the clock on the wall, and its adjustment."""
    history = _needed(evidence.history_wh, name, "history_wh")
    event_days = _needed(evidence.event_days, name, "event_days")
    if history.shape[:2] != event_days.shape or history.shape[1] != len(set(evidence.days)):
        raise BaselineError(
            f"history is {history.shape} and event_days {event_days.shape}; "
            f"there are {len(set(evidence.days))} different days"
        )
    block = _block_on_the_clock(evidence)
    window = _window(evidence, rules) if adjusted else range(0)
    clock = clock_half_hours(evidence.delivery_day)
    wanted_half_hours = np.concatenate((block, clock[list(window)]))
    mean = np.empty((len(history), len(wanted_half_hours)))
    _trimmed_mean(history, MISSING_WH, event_days, _columns(evidence, rules), *days, wanted_half_hours, mean)
    volume, status = _or_outturn(evidence, mean[:, : evidence.n_sp])
    if adjusted:
        _adjust(volume, status, evidence, window, mean[:, evidence.n_sp :], rules)
    return volume, status


def _adjust(
    volume_wh: NDArray[np.float64],
    status: NDArray[np.int8],
    evidence: Evidence,
    window: range,
    unadjusted_wh: NDArray[np.float64],
    rules: Rulebook,
) -> None:
    """Shift the calculated baselines in place, or say that they could not be."""
    calculated = status == BaselineStatus.CALCULATED
    metered = evidence.metered_wh[:, list(window)]
    measured = calculated & (len(window) > 0) & (metered != MISSING_WH).all(axis=1)
    status[calculated & ~measured] = BaselineStatus.NOT_ADJUSTED
    if measured.any():
        shift = (metered[measured] - unadjusted_wh[measured]).mean(axis=1)
        cap_pct = rules.value("same_day_adjustment_cap_pct")
        if cap_pct is not None:
            bound = np.abs(volume_wh[measured].mean(axis=1)) * cap_pct / 100
            shift = np.clip(shift, -bound, bound)
        volume_wh[measured] += shift[:, np.newaxis]


def _window(evidence: Evidence, rules: Rulebook) -> range:
    """The periods (from 0) whose readings set the adjustment; none where they would reach before midnight."""
    end = evidence.first_sp - 1 - rules.value("same_day_adjustment_gap_periods")
    start = end - rules.value("same_day_adjustment_window_periods")
    return range(start, end) if start >= 0 else range(0)


def _columns(evidence: Evidence, rules: Rulebook) -> NDArray[np.int64]:
    """Columns of history that the calendar lets count, newest day first."""
    day_type = baseline_day_type(evidence.delivery_day)
    look_back = rules.value("baseline_look_back_days")
    eligible = [
        column
        for column, day in enumerate(evidence.days)
        if 1 <= (evidence.delivery_day - day).days <= look_back
        and baseline_day_type(day) == day_type
        and not is_clock_change_day(day)
    ]
    return np.array(sorted(eligible, key=evidence.days.__getitem__, reverse=True), dtype=np.int64)


def _block(evidence: Evidence) -> slice:
    return slice(evidence.first_sp - 1, evidence.first_sp - 1 + evidence.n_sp)


def _block_on_the_clock(evidence: Evidence) -> NDArray[np.int64]:
    """The half hours of the wall clock (0 to 47) in the block (n_sp)."""
    return clock_half_hours(evidence.delivery_day)[_block(evidence)]


def _or_outturn(evidence: Evidence, volume_wh: NDArray[np.float64]) -> Baseline:
    """The volume where a site has it in the whole block, else its outturn, and the status."""
    known: NDArray[np.bool_] = ~np.asarray(np.isnan(volume_wh).any(axis=1))
    metered = evidence.metered_wh[:, _block(evidence)]
    outturn = np.where(metered == MISSING_WH, np.nan, metered)
    status = np.where(known, BaselineStatus.CALCULATED, BaselineStatus.INSUFFICIENT).astype(np.int8)
    return np.where(known[:, np.newaxis], volume_wh, outturn), status


def _needed(column: NDArray[Any] | None, method: str, name: str) -> NDArray[Any]:
    if column is None:
        raise BaselineError(f"the baseline method {method} needs {name}; it was not given")
    return column


@njit(cache=True, nogil=True)
def _trimmed_mean(
    history: NDArray[Any],
    missing: int,
    event_days: NDArray[np.bool_],
    columns: NDArray[np.int64],
    wanted: int,
    at_least: int,
    trim: int,
    half_hours: NDArray[np.int64],
    mean: NDArray[np.float64],
) -> None:
    """Fill `mean` (sites, half hours): NaN for a site with fewer than `at_least` days.

    One pass over each site's days, newest first, that stops when `wanted` are found. Days are ranked by
    their energy; of equal ones the newer ranks lower. `trim` days fall off at each end.
    """
    chosen = np.empty(wanted, dtype=np.int64)
    totals = np.empty(wanted, dtype=np.int64)
    for site in range(history.shape[0]):
        found = 0
        for column in columns:
            if event_days[site, column]:
                continue
            total = 0
            complete = True
            for half_hour in range(NORMAL_PERIOD_COUNT):
                energy = history[site, column, half_hour]
                complete &= energy != missing
                total += energy
            if complete:
                chosen[found] = column
                totals[found] = total
                found += 1
                if found == wanted:
                    break
        if found < max(at_least, 2 * trim + 1):
            mean[site, :] = np.nan
            continue
        kept = chosen[:found][np.argsort(totals[:found], kind="mergesort")][trim : found - trim]
        for k in range(len(half_hours)):
            energy_sum = 0
            for column in kept:
                energy_sum += history[site, column, half_hours[k]]
            mean[site, k] = energy_sum / len(kept)
