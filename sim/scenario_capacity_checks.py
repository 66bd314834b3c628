"""What must fit together of a capacity obligation and its notices. Owns these rules between fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import combinations

from markets.settings import SettingsError
from protocol.periods import NORMAL_PERIOD_COUNT, LocalTimeError, period_count
from protocol.rulebook import RuleError
from sim.event_scripts import capacity_script, rules_for
from sim.quantity import CLOCK_TIME
from sim.scenario import Scenario
from sim.scenario_errors import Finding, Where
from sim.scenario_services import CapacityNotice

_CAPACITY: Where = ("markets", "capacity")
_NOTICES: Where = (*_CAPACITY, "notices")
_PERIOD_MINUTES = 30
_DAY_MINUTES = 24 * 60


def notices_can_be_given(scenario: Scenario) -> Iterator[Finding]:
    """A notice is of whole half hours, told before it ends, and withdrawn between the two."""
    for i, notice in enumerate(scenario.markets.capacity.notices):
        at = (*_NOTICES, i)
        broken = [key for key in ("start", "end") if getattr(notice, key) % _PERIOD_MINUTES]
        for key in broken:
            yield Finding("S150", (*at, key), "not on a half hour", "`17:00` or `17:30`")
        day = scenario.clock.start + timedelta(days=notice.day)
        if period_count(day) > NORMAL_PERIOD_COUNT and notice.end > _DAY_MINUTES - 60:
            what = f"no other day tells a baseline of the last hour of {day}"
            yield Finding("S150", (*at, "end"), what, "an end up to 23:00", (at, ("clock",)))
        for key in ("issued", "withdrawn"):
            minute = getattr(notice, key)
            if minute is not None and minute >= notice.end:
                allowed = f"a time before its end at {CLOCK_TIME.write(notice.end)}"
                yield Finding("S150", (*at, key), f"{key} when it is over", allowed, ((*at, "end"),))
        if notice.withdrawn is not None and not broken and notice.end > notice.start:
            yield from _withdrawn_too_soon(scenario, i, notice, at)


def _withdrawn_too_soon(scenario: Scenario, i: int, notice: CapacityNotice, at: Where) -> Iterator[Finding]:
    """What the market itself would say of a script; other faults of its times have findings of their own."""
    try:
        capacity_script(scenario, i + 1, notice)
    except SettingsError:
        what = "withdrawn before it was issued"
        yield Finding("S150", (*at, "withdrawn"), what, "a later time", (at, ("markets", "rules")))
    except (LocalTimeError, RuleError):
        return


def one_notice_at_a_time(scenario: Scenario) -> Iterator[Finding]:
    """Stress is foreseen once: two notices at one time would owe two shares of one obligation."""
    notices = scenario.markets.capacity.notices
    for (i, one), (k, other) in combinations(enumerate(notices), 2):
        if one.day == other.day and one.start < other.end and other.start < one.end:
            what = f"at the time of another, {CLOCK_TIME.write(one.start)} to {CLOCK_TIME.write(one.end)}"
            reads: tuple[Where, ...] = ((*_NOTICES, i), (*_NOTICES, k, "end"))
            yield Finding("S151", (*_NOTICES, k, "start"), what, "one notice, or two that do not meet", reads)


def capacity_has_a_price(scenario: Scenario) -> Iterator[Finding]:
    """Obligations are those of an auction: there is its price for the first day."""
    capacity, day = scenario.markets.capacity, scenario.clock.start
    if not capacity.share and not capacity.notices:
        return
    try:
        rules_for(scenario).book("capacity_market", day).rule("clearing_price_gbp_per_kw_year")
    except RuleError as error:
        allowed = "a later day, or markets.rules.capacity_market.clearing_price_gbp_per_kw_year"
        yield Finding("S152", (*_CAPACITY, "share"), str(error), allowed, (("clock",), ("markets", "rules")))


def notices_bind_somebody(scenario: Scenario) -> Iterator[Finding]:
    """Notices without an obligation bind nobody."""
    capacity = scenario.markets.capacity
    if capacity.notices and not capacity.share:
        yield Finding("W004", _NOTICES, "nobody is obliged", "a markets.capacity.share above 0")


CAPACITY_RULES: tuple[Callable[[Scenario], Iterator[Finding]], ...] = (
    notices_can_be_given,
    one_notice_at_a_time,
    capacity_has_a_price,
    notices_bind_somebody,
)
