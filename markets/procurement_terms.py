"""The terms on which one service is bought on one day, and the timetable of an event.

This owns how rules are found: those of a product bear its name or its family's in `procurement.yaml` and
`eligibility.yaml`. Hard cases: docs/markets.md L1-L4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from markets.procurement_settings import ServiceEventScript
from markets.settings import RulesInForce, SettingsError
from protocol.periods import MINUTE_MS, clock_reached_ms, local_date
from protocol.products import TITLES, Product
from protocol.rulebook import Rule, Rulebook

DSO_PRODUCTS = (Product.SUSTAIN, Product.SUSTAIN_H, Product.SECURE, Product.DYNAMIC, Product.RESTORE)
CONSTRAINT_PRODUCTS = (Product.TCM, Product.LCM)
AT_ONCE = "at_once"


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the steps of one event happen [UTC ms]."""

    published_ms: int
    submit_by_ms: int
    results_by_ms: int


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules of one product on one day: how it is bought, and who may enter what."""

    product: Product
    buying: Rulebook
    entry: Rulebook

    @property
    def family(self) -> str:
        """Whose rules hold for it: the network operator's products have most in common."""
        return "dso" if self.product in DSO_PRODUCTS else self.product.value

    def own(self, name: str) -> Rule:
        """A rule of buying for this product alone."""
        return self.buying.rule(f"{self.product}_{name}")

    def shared(self, name: str) -> Rule:
        """A rule of buying for its family."""
        return self.buying.rule(f"{self.family}_{name}")

    def entered(self, name: str) -> Rule:
        """A rule of eligibility for its family."""
        return self.entry.rule(f"{self.family}_{name}")

    def among(self, name: str) -> bool:
        """Whether the product is in a list of products."""
        return self.product in self.buying.value(name)

    @property
    def scheduled(self) -> bool:
        """Whether the award is the instruction."""
        return bool(self.own("call").value == "scheduled")

    @property
    def notice_ms(self) -> int:
        """From a start signal to the start; 0 where there is no signal."""
        return 0 if self.scheduled else int(self.shared("notice_min").value) * MINUTE_MS


def terms(product: Product, day: date, rules: RulesInForce) -> Terms:
    """The terms of a product for something that happens on `day`. Raises RuleError."""
    return Terms(product, rules.book("procurement", day), rules.book("eligibility", day))


def timetable(event: ServiceEventScript, own: Terms, run_start_ms: int) -> Timetable:
    """When the event is published, closed and awarded, by its cycle or as scripted, never before the run.

    The least times for offers and clearing are kept, so a gate that lies before the run moves behind its
    start. Raises SettingsError for an event that could not be called in time.
    """
    published_ms = _published_ms(event, own, run_start_ms)
    cycle, at_once = own.own("cycle").value, own.own("cycle").value == AT_ONCE
    window_ms, clearing_ms = _least_times_ms(own, at_once=at_once)
    submit_by_ms, results_by_ms = published_ms + window_ms, 0
    if not at_once:
        submit_by_ms = max(submit_by_ms, _cycle_ms(event, own, f"{cycle}_gate"))
        results_by_ms = _cycle_ms(event, own, f"{cycle}_results")
    results_by_ms = max(results_by_ms, submit_by_ms + clearing_ms)
    times = Timetable(published_ms, submit_by_ms, results_by_ms)
    _check(event, own, times)
    return times


def _check(event: ServiceEventScript, own: Terms, times: Timetable) -> None:
    """Raises SettingsError for an event that its rules or its times do not allow."""
    name, late_ms = f"event {event.event_id}", times.results_by_ms + own.notice_ms - event.start_ms
    if late_ms > 0:
        raise SettingsError(
            f"{name}: results would come {late_ms // MINUTE_MS} min too late for its start"
            f" with {own.notice_ms // MINUTE_MS} min notice; publish it earlier or have it later"
        )
    opened, least = own.entered("open"), own.entered("min_duration_min")
    if not opened.value:
        raise SettingsError(
            f"{name}: {TITLES[own.product]} is closed on its day ({opened.clause}); set `rules_date`"
        )
    if event.end_ms - event.start_ms < least.value * MINUTE_MS:
        raise SettingsError(
            f"{name}: it is shorter than {least.value:g} minutes ({least.clause}); make it longer"
        )
    direction = own.shared("demand_turn_down")
    if event.turn_down_mw > 0 and not direction.value:
        raise SettingsError(
            f"{name}: {TITLES[own.product]} buys no turn-down ({direction.clause}); write a negative power"
        )
    if event.cancelled_ms is not None and event.cancelled_ms >= event.start_ms:
        raise SettingsError(f"{name}: it is cancelled when it has begun; cancel it before its start")


def _published_ms(event: ServiceEventScript, own: Terms, run_start_ms: int) -> int:
    if event.published_ms is not None:
        return max(event.published_ms, run_start_ms)
    cycle = own.own("cycle").value
    if cycle == AT_ONCE:
        needed_ms = own.notice_ms + sum(_least_times_ms(own, at_once=True))
        return max(event.start_ms - needed_ms, run_start_ms)
    return max(_cycle_ms(event, own, f"{cycle}_published"), run_start_ms)


def _least_times_ms(own: Terms, *, at_once: bool) -> tuple[int, int]:
    """The least time for offers, and for clearing [ms]."""
    prefix = "fault_" if at_once else ""
    rules: Any = (own.buying.value(f"{prefix}{name}") for name in ("offer_window_min", "results_within_min"))
    window_min, clearing_min = rules
    return int(window_min) * MINUTE_MS, int(clearing_min) * MINUTE_MS


def _cycle_ms(event: ServiceEventScript, own: Terms, name: str) -> int:
    """The moment that a rule of a cycle names, before the month, week or day of the event [UTC ms]."""
    day = local_date(event.start_ms)
    if name.startswith("month"):
        day = day.replace(day=1)
    elif name.startswith("week"):
        day -= timedelta(days=day.weekday())
    days_before, minute = own.buying.value(name)
    return clock_reached_ms(day - timedelta(days=days_before), minute)
