"""What must fit together in the sections of distribution and constraint services. Owns S135-S138.

Times of windows are checked with all other windows (`sim/scenario_checks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from protocol.periods import LocalTimeError
from protocol.rulebook import RuleError
from sim.scenario import Scenario
from sim.scenario_errors import GSP_GROUPS, Finding, Where
from sim.scenario_services import ConstraintEvent, ConstraintService, LocalEvent, LocalService

LOCAL = ("sustain", "sustain_h", "secure", "dynamic", "restore")
CONSTRAINT = ("tcm", "lcm")

AnyEvent = LocalEvent | ConstraintEvent


def services(scenario: Scenario) -> Iterator[tuple[Where, LocalService | ConstraintService]]:
    """Where each service stands, and what is said of it."""
    for name in LOCAL:
        yield ("markets", "local", name), getattr(scenario.markets.local, name)
    for name in CONSTRAINT:
        yield ("markets", "constraint", name), getattr(scenario.markets.constraint, name)


def service_windows(scenario: Scenario) -> Iterator[tuple[Where, AnyEvent]]:
    """Where each event stands, and the event."""
    for at, service in services(scenario):
        events: Sequence[AnyEvent] = service.events
        for place, event in enumerate(events):
            yield (*at, "events", place), event


def places_are_known(scenario: Scenario) -> Iterator[Finding]:
    """Zones and GSPs are those of the homes; what a registry tells of them is not known yet."""
    if scenario.population.source == "file":
        return
    zones, gsps = zone_names(scenario), gsp_names(scenario)
    for at, event in service_windows(scenario):
        key, name, known = ("zone", event.zone, zones) if isinstance(event, LocalEvent) else (
            "gsp", event.gsp, gsps
        )  # fmt: skip
        if name not in known:
            yield _unknown((*at, key), f"no home has a {key} of this name", known)
    at_constraint: Where = ("markets", "constraint")
    constraint = scenario.markets.constraint
    for name, boundary in constraint.boundaries.items():
        for place, gsp in enumerate(boundary.gsps):
            if gsp not in gsps:
                where = (*at_constraint, "boundaries", name, "gsps", place)
                yield _unknown(where, "no home has a GSP of this name", gsps)
    for gsp in constraint.net_export_mw:
        if gsp not in gsps:
            yield _unknown(
                (*at_constraint, "net_export", gsp), "no home has a GSP of this name", gsps, of_key=True
            )


def zone_names(scenario: Scenario) -> tuple[str, ...]:
    """The constraint management zones that there are, as `sim.network_tree` names them."""
    zones = scenario.homes.network.zones_per_group
    return tuple(f"{group}/cmz{k:02d}" for group in _groups(scenario) for k in range(zones))


def gsp_names(scenario: Scenario) -> tuple[str, ...]:
    """The Grid Supply Points that there are, as `sim.homes` names them."""
    return tuple(
        f"{group}{k:02d}" for group in _groups(scenario) for k in range(scenario.homes.gsps_per_group)
    )


def _groups(scenario: Scenario) -> tuple[str, ...]:
    weights = scenario.homes.gsp_groups
    return tuple(group for group in GSP_GROUPS if not weights or weights.get(group, 0) > 0) or GSP_GROUPS


def _unknown(at: Where, what: str, known: tuple[str, ...], *, of_key: bool = False) -> Finding:
    allowed = f"{known[0]} to {known[-1]}"
    return Finding("S135", at, what, allowed, (("homes",),), known, of_key)


def service_events_can_be_held(scenario: Scenario) -> Iterator[Finding]:
    """Rules and times of every event, on each of its days, as its buyer will find them."""
    # Here because it is heavy to import and many scenarios have no such event.
    from markets.settings import SettingsError
    from protocol.products import Product

    for at, service in services(scenario):
        events: Sequence[AnyEvent] = service.events
        for place, event in enumerate(events):
            where, reads = (*at, "events", place), tuple[Where, ...]()
            if _misfits(scenario, event) or any(_wrong_calls(where, event)):
                continue
            try:
                _hold(scenario, Product(str(at[-1])), service, place, event)
            except SettingsError as error:
                what, _, allowed = str(error).partition(": ")[2].partition("; ")
                reads = (("clock",), ("markets", "rules"), ("markets", "rules_date"))
                yield Finding("S136", where, what, allowed, reads)
            except RuleError as error:
                if not scenario.markets.rules:  # else told by rules_are_known
                    reads = (("clock", "start"), ("markets", "rules_date"))
                    yield Finding("S136", where, str(error), "a day on which the service is bought", reads)
            except LocalTimeError:
                continue  # told by local_times_exist


def _hold(
    scenario: Scenario, product: str, service: LocalService | ConstraintService, place: int, event: AnyEvent
) -> None:
    """Raises SettingsError for an event that cannot be held."""
    from markets.procurement_terms import terms, timetable
    from protocol.periods import day_start_ms, local_date
    from protocol.products import Product
    from sim.event_scripts import rules_for
    from sim.service_settings import scripts_of

    for script in scripts_of(scenario, Product(product), service, place + 1, event):
        own = terms(script.product, local_date(script.start_ms), rules_for(scenario))
        timetable(script, own, day_start_ms(scenario.clock.start))


def _misfits(scenario: Scenario, event: AnyEvent) -> bool:
    """Whether the window itself is wrong, which is told elsewhere."""
    return event.end <= event.start or event.day >= scenario.clock.days


def calls_are_within(scenario: Scenario) -> Iterator[Finding]:
    """What is called is called within its event, and stopped within its call."""
    for at, event in service_windows(scenario):
        yield from _wrong_calls(at, event)


def _wrong_calls(at: Where, event: AnyEvent) -> Iterator[Finding]:
    for place, call in enumerate(event.calls or ()):
        where = (*at, "calls", place)
        if not event.start <= call.start < call.end <= event.end:
            yield Finding(
                "S137", where, "a call that does not lie within its event", "start < end, both in it"
            )
        for key in ("stopped", "emergency_stopped"):
            minute = getattr(call, key)
            if minute is not None and not call.start <= minute < call.end:
                what = "a stop that does not lie within its call"
                yield Finding("S137", (*where, key), what, "from its start to before its end", (where,))


def boundaries_are_known(scenario: Scenario) -> Iterator[Finding]:
    """An event relieves a boundary of the scenario."""
    constraint = scenario.markets.constraint
    known = tuple(constraint.boundaries)
    for name in CONSTRAINT:
        for place, event in enumerate(getattr(constraint, name).events):
            if event.boundary is not None and event.boundary not in known:
                at: Where = ("markets", "constraint", name, "events", place, "boundary")
                allowed = f"one of {', '.join(known)}" if known else "a boundary among `boundaries`"
                yield Finding("S138", at, "no such boundary", allowed, candidates=known)


def services_have_homes(scenario: Scenario) -> Iterator[Finding]:
    """Events of a service that nobody consents to, and a network that nothing is checked against."""
    for at, service in services(scenario):
        if service.events and not service.share:
            yield Finding("W004", (*at, "share"), "events for which nobody is enrolled", "a share above 0 %")
    constraint = scenario.markets.constraint
    if (constraint.boundaries or constraint.net_export_mw) and not constraint.tcm.events:
        at = ("markets", "constraint", "boundaries" if constraint.boundaries else "net_export")
        yield Finding("W004", at, "a network, and no TCM event that is checked against it", "a TCM event")


SERVICE_RULES: tuple[Callable[[Scenario], Iterator[Finding]], ...] = (
    places_are_known,
    service_events_can_be_held,
    calls_are_within,
    boundaries_are_known,
    services_have_homes,
)
