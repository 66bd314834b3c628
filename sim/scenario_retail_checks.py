"""What must fit together of retail tariffs. Owns these rules between fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

from sim.quantity import CLOCK_TIME
from sim.scenario import Scenario
from sim.scenario_errors import Finding, Where

_RETAIL: Where = ("markets", "retail")
_DAY_MINUTES = 24 * 60
_PERIOD_MINUTES = 30
_HOURS = ("peak", "cheap", "economy_7_night")


def tariff_hours_are_half_hours(scenario: Scenario) -> Iterator[Finding]:
    """Prices change with the settlement period."""
    for key in _HOURS:
        for i, window in enumerate(getattr(scenario.markets.retail, key)):
            for k, minute in enumerate(window):
                if minute % _PERIOD_MINUTES:
                    yield Finding("S153", (*_RETAIL, key, i, k), "not on a half hour", "`16:00` or `16:30`")


def tariff_hours_do_not_overlap(scenario: Scenario) -> Iterator[Finding]:
    """Each half-hour of the static tariff has one price."""
    retail = scenario.markets.retail
    windows = [
        ((*_RETAIL, key, i), each) for key in _HOURS[:2] for i, each in enumerate(getattr(retail, key))
    ]
    for (first, one), (at, other) in combinations(windows, 2):
        if _minutes(one) & _minutes(other):
            begins, ends = (CLOCK_TIME.write(minute) for minute in one)
            what = f"has minutes in common with {begins} to {ends}"
            yield Finding("S153", at, what, "hours that do not overlap", (first,))


def _minutes(window: tuple[int, int]) -> frozenset[int]:
    """The half-hours of a daily window, by the minute in which they begin."""
    begin, end = window
    length = (end - begin) % _DAY_MINUTES or _DAY_MINUTES
    starts = range(begin, begin + length, _PERIOD_MINUTES)
    return frozenset(minute % _DAY_MINUTES for minute in starts)


RETAIL_RULES: tuple[Callable[[Scenario], Iterator[Finding]], ...] = (
    tariff_hours_are_half_hours,
    tariff_hours_do_not_overlap,
)
