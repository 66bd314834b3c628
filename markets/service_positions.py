"""Services that are settled as a position: a Virtual Trading Party's trades, and capacity obligations.

This owns what of a day is gathered for `markets/wholesale_lines.py` and `markets/capacity_lines.py`, which
state the lines: sold and notified periods, what each Supplier's customers deviated by, and what capacity was
shown. Rules: docs/rules.md R173-R179 and R186-R188, R196-R204.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from markets.capacity_lines import CAPACITY, Bound
from markets.metered_volume import DayReadings
from markets.service_volume import Deviation, Sites, Window, deviation
from markets.settings import SupplierBook
from markets.statement_lines import balances_gbp_e5
from markets.wholesale_lines import (
    SettledPosition,
    SupplierMoved,
    WholesalePrices,
    settle_position,
    sourcing_cost_gbp_per_mwh,
    supplier,
)
from protocol.messages import (
    I32,
    I64,
    DeliveredVolume,
    SupplierSettled,
    WholesaleNotification,
    WholesaleTrade,
)
from protocol.periods import GATE_CLOSURE_MS, NORMAL_PERIOD_COUNT, PERIOD_MS, day_periods_ms, period_count
from protocol.rulebook import Rulebook
from protocol.units import WH_PER_MWH, gbp_e5

Flags = NDArray[np.bool_]
HOURS_OF_PERIOD = 0.5


@dataclass(frozen=True, slots=True)
class Notified:
    """A wholesale activity notification, and when it came [UTC ms]."""

    at_ms: int
    told: WholesaleNotification


def sold_wh(trades: Iterable[WholesaleTrade], starts_ms: I64) -> I64:
    """What trades sold in each period (periods) [Wh], negative for what was bought, spread evenly."""
    found = np.zeros(len(starts_ms))
    for trade in trades:
        within = (starts_ms >= trade.start_ms) & (starts_ms < trade.end_ms)
        found[within] += trade.sold_mwh * WH_PER_MWH * PERIOD_MS / (trade.end_ms - trade.start_ms)
    return np.rint(found).astype(np.int64)


def covered(trades: Iterable[WholesaleTrade], starts_ms: I64) -> Flags:
    """In which periods anything was traded (periods)."""
    found = np.zeros(len(starts_ms), np.bool_)
    for trade in trades:
        found |= (starts_ms >= trade.start_ms) & (starts_ms < trade.end_ms)
    return found


def notified_periods(notes: Iterable[Notified], starts_ms: I64) -> Flags:
    """Which periods were notified before Gate Closure (periods)."""
    found = np.zeros(len(starts_ms), np.bool_)
    for note in notes:
        in_time = note.at_ms < starts_ms - GATE_CLOSURE_MS
        found |= in_time & (starts_ms >= note.told.start_ms) & (starts_ms < note.told.end_ms)
    return found


def submitted_wh(
    told: Iterable[tuple[int, Sequence[int]]], starts_ms: I64, default_due_ms: int
) -> NDArray[np.float64]:
    """The Submitted Expected Volume in force in each period of a day (periods) [Wh, import positive].

    `told`: (when it came [UTC ms], a value for each period), in the order in which they came. One that came
    by `default_due_ms` counts for the whole day, a later one for periods before whose Gate Closure it came
    (BSCP602 2.13.1, 2.13.2). NaN where none is in force.
    """
    found = np.full(len(starts_ms), np.nan)
    for at_ms, values in told:
        if len(values) == len(starts_ms):
            in_time = (at_ms < starts_ms - GATE_CLOSURE_MS) | (at_ms <= default_due_ms)
            found[in_time] = np.asarray(values, np.float64)[in_time]
    return found


def since_first(trades: Iterable[WholesaleTrade], starts_ms: I64) -> Flags:
    """From the first period in which anything was traded to the last of the day (periods)."""
    return np.logical_or.accumulate(covered(trades, starts_ms))


def measured(
    method: str,
    sites: Sites,
    day: date,
    readings: Mapping[date, DayReadings],
    expected_wh: NDArray[np.float64],
    adjusted: Flags,
    rules: Rulebook,
) -> Deviation:
    """What a trading unit's meters deviated by on a day: from what was submitted, or from BL01.

    `method`: "nominated" or "BL01". `expected_wh` (periods): NaN, of which nothing follows, where nothing was
    submitted. `adjusted` (periods): where BL01 is adjusted in-day, each stretch by the hours before itself.
    BL01 knows no Settlement Periods 49 and 50: nothing deviates in them (R25).
    """
    count = period_count(day)
    if method == "nominated":
        submitted_wh = np.nan_to_num(expected_wh)
        return deviation(method, sites, Window(day, 1, count), readings, submitted_wh, rules)
    known = min(count, NORMAL_PERIOD_COUNT)
    found = _over_all(deviation("BL01", sites, Window(day, 1, known), readings, None, rules), count)
    for first, length in _stretches(adjusted[:known]):
        window = Window(day, first + 1, length)
        part = deviation("BL01_adjusted", sites, window, readings, None, rules)
        for name in ("by_meter_wh", "baseline_wh", "metered_wh", "counted_out"):
            getattr(found, name)[..., window.places] = getattr(part, name)
    return found


def _over_all(found: Deviation, count: int) -> Deviation:
    """With nothing in the periods that are missing at the end."""
    beyond = (0, count - len(found.baseline_wh))
    return Deviation(
        by_meter_wh=np.pad(found.by_meter_wh, ((0, 0), beyond)),
        baseline_wh=np.pad(found.baseline_wh, beyond),
        metered_wh=np.pad(found.metered_wh, beyond),
        counted_out=np.pad(found.counted_out, beyond),
        insufficient=found.insufficient,
    )


def _stretches(flags: Flags) -> list[tuple[int, int]]:
    """(first, length) of each run of flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    return [(int(first), int(last - first)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def by_supplier(volume_wh: NDArray[np.int32], supplier: NDArray[np.int8], suppliers: int) -> I64:
    """Sums over the meters of each Supplier (suppliers, periods), from (meters, periods) and (meters)."""
    found = np.zeros((suppliers, volume_wh.shape[1]), np.int64)
    for period in range(volume_wh.shape[1]):
        summed = np.bincount(supplier, weights=volume_wh[:, period], minlength=suppliers)
        found[:, period] = np.rint(summed)
    return found


def positions(
    settlement_run: str,
    unit: str,
    trades: Sequence[WholesaleTrade],
    starts_ms: I64,
    moved_wh: I64,
    metered_wh: I64,
    active: Flags,
    book: SupplierBook,
    prices_gbp_per_mwh: Mapping[int, float],
    rules: Rulebook,
) -> Iterator[tuple[int, SettledPosition]]:
    """One unit's periods, each with its start [UTC ms], from its first trade of the day on: in those without
    one there is rebound at most.

    `moved_wh`, `metered_wh`: (suppliers, periods); `active` (periods): notified in time, and with an expected
    volume.
    """
    cost = sourcing_cost_gbp_per_mwh(rules, book.sourcing_cost_gbp_per_mwh)
    for place in np.flatnonzero(since_first(trades, starts_ms)).tolist():
        start_ms = int(starts_ms[place])
        moved = [
            SupplierMoved(name, int(metered_wh[n, place]), int(moved_wh[n, place]), int(book.demand_wh[n]))
            for n, name in enumerate(book.names)
        ]
        prices = WholesalePrices(prices_gbp_per_mwh.get(start_ms), cost)
        found = settle_position(
            settlement_run, unit, start_ms, trades, moved, bool(active[place]), prices, rules
        )
        yield start_ms, found


def suppliers_settled(
    run: str, unit: str, start_ms: int, position: SettledPosition, system_gbp_per_mwh: float | None
) -> Iterator[SupplierSettled]:
    """What is told of each Supplier that one period of a unit moved; at no system price rebound costs
    nothing.
    """
    paid_gbp_e5 = balances_gbp_e5(position.between_others)
    for one in position.suppliers:
        owed_gbp_e5 = paid_gbp_e5.get(supplier(one.name), 0)
        if one.deviation_wh or one.rebound_wh or owed_gbp_e5:
            short_mwh = Fraction(one.rebound_wh, WH_PER_MWH)
            yield SupplierSettled(
                settlement_run=run,
                supplier=one.name,
                unit=unit,
                start_ms=start_ms,
                deviation_wh=one.deviation_wh,
                compensation_gbp_e5=owed_gbp_e5,
                rebound_wh=one.rebound_wh,
                imbalance_gbp_e5=-gbp_e5(system_gbp_per_mwh or 0.0, short_mwh),
            )


# -------------------------------------------------------------------------------------------------- capacity


def capacity_volumes(
    unit: str, obligation_mw: float, day: date, bound: Bound, baseline_wh: I64, metered_wh: I64, meters: I32
) -> Iterator[DeliveredVolume]:
    """What a unit showed in the periods in which a notice binds; on other days in its best one."""
    delivered_wh = baseline_wh - metered_wh
    places = np.flatnonzero(bound.binds)
    if not len(places):
        places = np.array([np.argmax(delivered_wh)])
        if delivered_wh[places[0]] <= 0:
            return
    for place in places.tolist():
        start_ms = int(day_periods_ms(day)[place])
        owed_wh = obligation_mw * bound.share[place] * HOURS_OF_PERIOD * WH_PER_MWH
        yield DeliveredVolume(
            service=CAPACITY,
            unit=unit,
            reference=bound.notice_id[place],
            start_ms=start_ms,
            end_ms=start_ms + PERIOD_MS,
            baseline_wh=int(baseline_wh[place]),
            metered_wh=int(metered_wh[place]),
            delivered_wh=int(delivered_wh[place]),
            accepted_wh=round(owed_wh),
            homes=len(meters),
            homes_missing=0,
        )
