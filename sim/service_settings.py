"""What the buyers of distribution and constraint services are told of a scenario.

Owns how one entry becomes an event on each of its days, and which prices are asked for. The events are light
to import: `validate` needs them. Who lies where is looked up in the population.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

import numpy as np

from markets.procurement_settings import (
    Boundaries,
    ProcurementSettings,
    ServiceCall,
    ServiceEventScript,
    Sites,
)
from markets.procurement_terms import Terms, terms
from markets.settings import FaultPlan
from protocol.constraints import network
from protocol.messages import AssetRegistration, Service, ServiceConsents
from protocol.periods import clock_reached_ms, day_start_ms
from protocol.products import Product
from sim import scenario_services
from sim.event_scripts import clock_ms, rules_for
from sim.scenario import Scenario
from sim.scenario_services import (
    ConstraintEvent,
    ConstraintService,
    LocalEvent,
    LocalService,
    ServiceEvent,
)

AnyService = LocalService | ConstraintService
AnyEvent = LocalEvent | ConstraintEvent
_SATURDAY = 5
_NO_ROWS = np.empty(0, np.int32)


def local_services(scenario: Scenario) -> dict[Product, LocalService]:
    """The network operator's services by product."""
    local = scenario.markets.local
    return {
        Product.SUSTAIN: local.sustain,
        Product.SUSTAIN_H: local.sustain_h,
        Product.SECURE: local.secure,
        Product.DYNAMIC: local.dynamic,
        Product.RESTORE: local.restore,
    }


def constraint_services(scenario: Scenario) -> dict[Product, ConstraintService]:
    """The ESO's constraint services by product."""
    constraint = scenario.markets.constraint
    return {Product.TCM: constraint.tcm, Product.LCM: constraint.lcm}


def in_use(services: Mapping[Product, AnyService]) -> bool:
    """Whether anybody consents to one of the services, or anything is scripted."""
    return any(service.share or service.events for service in services.values())


# --------------------------------------------------------------------------------------------------- events


def event_days(scenario: Scenario, event: ServiceEvent) -> tuple[int, ...]:
    """On which days of the run an entry is held, counted from 0."""
    if event.repeat == "once":
        return (event.day,)
    days = range(event.day, scenario.clock.days)
    first = scenario.clock.start
    if event.repeat == "every_day":
        return tuple(days)
    return tuple(day for day in days if (first + timedelta(days=day)).weekday() < _SATURDAY)


def scripts_of(
    scenario: Scenario, product: Product, service: AnyService, number: int, event: AnyEvent
) -> Iterator[ServiceEventScript]:
    """The events of entry `number` (counted from 1).

    A repeated one is left out on a day whose missing hour of March holds it whole. Raises LocalTimeError,
    RuleError or SettingsError where it cannot be.
    """
    for day in event_days(scenario, event):
        if event.repeat != "once" and not _lasts(scenario, day, event):
            continue
        on = scenario.clock.start + timedelta(days=day)
        dated = "" if event.repeat == "once" else f"-{on.isoformat()}"
        own = terms(product, on, rules_for(scenario))
        yield _script(scenario, own, service, f"{product.upper()}-{number:03d}{dated}", day, event)


def _script(
    scenario: Scenario, own: Terms, service: AnyService, name: str, day: int, event: AnyEvent
) -> ServiceEventScript:
    boundary = event.boundary if isinstance(event, ConstraintEvent) else None
    utilisation, availability = _ceilings(own, service, event)
    return ServiceEventScript(
        product=own.product,
        event_id=name,
        place=event.gsp if isinstance(event, ConstraintEvent) else event.zone,
        start_ms=_moment(scenario, day, event.start, event),
        end_ms=_moment(scenario, day, event.end, event),
        turn_down_mw=event.turn_down_mw,
        utilisation_ceiling_gbp_per_mwh=utilisation,
        availability_ceiling_gbp_per_mw_h=availability,
        calls=() if own.scheduled else _calls(scenario, day, event),
        published_ms=_moment_or_none(scenario, day - event.published_days_before, event.published, event),
        cancelled_ms=_moment_or_none(scenario, day, event.cancelled, event),
        boundary=boundary or "",
    )


def _ceilings(own: Terms, service: AnyService, event: ServiceEvent) -> tuple[float | None, float | None]:
    """The most that is paid for energy and for being held; None where the rules have no such price."""
    utilisation, availability = (
        getattr(service if getattr(event, name) is None else event, name)
        for name in ("utilisation_ceiling_gbp_per_mwh", "availability_ceiling_gbp_per_mwh")
    )
    return (
        None if own.among("products_without_utilisation_price") else utilisation,
        availability if own.among("products_with_availability_price") else None,
    )


def _calls(scenario: Scenario, day: int, event: ServiceEvent) -> tuple[ServiceCall, ...]:
    whole = (scenario_services.ServiceCall(start=event.start, end=event.end),)
    return tuple(
        ServiceCall(
            start_ms=_moment(scenario, day, call.start, event),
            end_ms=_moment(scenario, day, call.end, event),
            turn_down_mw=call.turn_down_mw,
            stopped_ms=_moment_or_none(scenario, day, call.stopped, event),
            emergency_ms=_moment_or_none(scenario, day, call.emergency_stopped, event),
        )
        for call in (whole if event.calls is None else event.calls)
    )


def _moment(scenario: Scenario, day: int, minute: int, event: ServiceEvent) -> int:
    """A clock time on a day [UTC ms]; of a repeated event, in the hour left out the jump's."""
    if event.repeat == "once":
        return clock_ms(scenario, day, minute)
    whole, minute = divmod(minute, 24 * 60)
    return clock_reached_ms(scenario.clock.start + timedelta(days=day + whole), minute)


def _moment_or_none(scenario: Scenario, day: int, minute: int | None, event: ServiceEvent) -> int | None:
    return None if minute is None else _moment(scenario, day, minute, event)


def _lasts(scenario: Scenario, day: int, event: ServiceEvent) -> bool:
    return _moment(scenario, day, event.start, event) < _moment(scenario, day, event.end, event)


def local_events(scenario: Scenario) -> tuple[ServiceEventScript, ...]:
    """All events of the network operator. Raises as `scripts_of`."""
    return tuple(
        script
        for product, service in local_services(scenario).items()
        for number, event in enumerate(service.events, start=1)
        for script in scripts_of(scenario, product, service, number, event)
    )


def constraint_events(scenario: Scenario) -> tuple[ServiceEventScript, ...]:
    """All events of the constraint market. Raises as `scripts_of`."""
    return tuple(
        script
        for product, service in constraint_services(scenario).items()
        for number, event in enumerate(service.events, start=1)
        for script in scripts_of(scenario, product, service, number, event)
    )


# -------------------------------------------------------------------------------------------------- parties


def local_settings(scenario: Scenario, consents: ServiceConsents, faults: FaultPlan) -> ProcurementSettings:
    """What the network operator is told."""
    return ProcurementSettings(
        start_ms=day_start_ms(scenario.clock.start),
        events=local_events(scenario),
        sites=Sites(consents.zone_names, consents.zone),
        rules=rules_for(scenario),
        faults=faults,
        boundaries=None,
        balancing_rows=_NO_ROWS,
    )


def constraint_settings(
    scenario: Scenario, registration: AssetRegistration, faults: FaultPlan
) -> ProcurementSettings:
    """What the constraint market is told, its network and the ESO's register of BM Units with it."""
    balancing = np.flatnonzero(registration.service == Service.BALANCING).astype(np.int32)
    return ProcurementSettings(
        start_ms=day_start_ms(scenario.clock.start),
        events=constraint_events(scenario),
        sites=Sites(registration.gsp_names, registration.gsp),
        rules=rules_for(scenario),
        faults=faults,
        boundaries=network_of(scenario),
        balancing_rows=balancing,
    )


def network_of(scenario: Scenario) -> Boundaries | None:
    """The ESO's network; None where the scenario has no boundaries. Raises NetworkError."""
    constraint = scenario.markets.constraint
    if not constraint.boundaries:
        return None
    behind = {gsp for boundary in constraint.boundaries.values() for gsp in boundary.gsps}
    at_events = {event.gsp for service in constraint_services(scenario).values() for event in service.events}
    gsps = sorted(behind | at_events | set(constraint.net_export_mw))
    limits = {
        name: (boundary.gsps, boundary.export_limit_mw, boundary.import_limit_mw)
        for name, boundary in constraint.boundaries.items()
    }
    exports = np.array([constraint.net_export_mw.get(gsp, 0.0) for gsp in gsps])
    return Boundaries(network(limits, gsps), exports)
