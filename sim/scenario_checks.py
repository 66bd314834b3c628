"""What must fit together in a scenario although each value is sound by itself. Owns the rules between fields.

A rule reads a whole `Scenario` and gives findings: where (keys as a file spells them), what, and which other
values it read, so that it stays silent about values that are already known to be wrong. Local times: of one
that occurs twice on the October clock change the first occurrence is meant (rule R2 of docs/rules.md), and a
warning says so. A deadline that a night of March leaves out is meant at the moment of the jump.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta

from protocol.derogations import derogation, derogation_names
from protocol.periods import (
    NORMAL_PERIOD_COUNT,
    LocalTimeError,
    day_start_ms,
    local_clock_ms,
    local_date,
    period_count,
)
from protocol.rulebook import RuleError, load_rulebook, rulebook_names
from sim.head_ends import profile_names
from sim.quantity import CLOCK_TIME, MEGAWATTS, POWER
from sim.scenario import ROUTE_NAMES, Acceptance, DfsEvent, Outage, RecordLevel, Scenario
from sim.scenario_capacity_checks import CAPACITY_RULES
from sim.scenario_device_checks import DEVICE_RULES, SECTIONS
from sim.scenario_dfs_checks import DFS_RULES
from sim.scenario_errors import GSP_GROUPS, Finding, Where
from sim.scenario_retail_checks import RETAIL_RULES
from sim.scenario_service_checks import SERVICE_RULES, service_windows
from sim.scenario_services import CapacityNotice, ServiceEvent

MOST_REFERENCE_HOMES = 20_000
"""One SimPy process per device is some hundred times slower than the fast engine."""
MOST_HOMES_WITH_DEVICES_RECORDED = 200_000

P415_FROM = date(2024, 11, 7)
"""Source: as `vtp_wholesale` in protocol/rulebooks/bsc.yaml."""

_TIMES = ("start", "end", "published", "cancelled", "issued", "withdrawn")
"""Keys of clock times that an event, an acceptance or a notice may have."""
_DAY_MINUTES = 24 * 60
_PERIOD_MINUTES = 30
_DAYS_PER_YEAR = 365
_ROUNDING = 1e-6

_EVENTS: Where = ("markets", "dfs", "events")
_ACCEPTANCES: Where = ("markets", "balancing", "acceptances")
_NOTICES: Where = ("markets", "capacity", "notices")
_OUTAGES: Where = ("comms", "outages")
_CHURN: Where = ("churn", "events")


def findings(scenario: Scenario) -> Iterator[Finding]:
    """Everything that does not fit together, errors and warnings."""
    for rule in RULES:
        yield from rule(scenario)


def windows_end_after_their_start(scenario: Scenario) -> Iterator[Finding]:
    """An event lies within one local day; what crosses midnight is two entries."""
    for at, window in _windows(scenario):
        shown = CLOCK_TIME.write(window.start)
        if window.start == _DAY_MINUTES:
            yield Finding("S060", (*at, "start"), "a start at the end of the day", "`00:00` on the next day")
        elif window.end <= window.start:
            what = f"the window does not end after its start at {shown}"
            allowed = f"an end after {shown} on the same day; what crosses midnight is two entries"
            yield Finding("S060", (*at, "end"), what, allowed, ((*at, "start"),))


def days_are_reached(scenario: Scenario) -> Iterator[Finding]:
    """Whatever happens, happens on a day of the run."""
    days = scenario.clock.days
    for at, day, _ in _happenings(scenario):
        if day >= days:
            allowed = f"0 to {days - 1}" if days > 1 else "0, the only day"
            what = f"the run has {days} day{'s' if days > 1 else ''}, counted from 0"
            yield Finding("S061", (*at, "day"), what, allowed, (("clock", "days"),))


def local_times_exist(scenario: Scenario) -> Iterator[Finding]:
    """Clock times on the two clock-change days: one hour is missing in March, one occurs twice in October."""
    for at, day, times in _happenings(scenario):
        if day < scenario.clock.days:
            on = scenario.clock.start + timedelta(days=day)
            for key, minutes in times:
                yield from _local_time((*at, key), on, minutes, (("clock", "start"), (*at, "day")))
    for day in range(scenario.clock.days + 1):  # the last night's deadline may come on the morning after
        on = scenario.clock.start + timedelta(days=day)
        for found in _local_time(("evs", "ready_by"), on, scenario.evs.ready_by, (("clock",),)):
            if found.code == "S062":
                what = f"{found.what}; that moment is used"
                found = replace(found, code="W001", what=what, allowed="")  # noqa: PLW2901
            yield found


def times_do_not_contradict(scenario: Scenario) -> Iterator[Finding]:
    """Nothing is cancelled or issued after it is over."""
    for i, event in enumerate(scenario.markets.dfs.events):
        if event.cancelled is not None and event.cancelled >= event.start:
            at, shown = (*_EVENTS, i), CLOCK_TIME.write(event.start)
            what, allowed = "cancelled when it has begun", f"a time before its start at {shown}"
            yield Finding("S063", (*at, "cancelled"), what, allowed, ((*at, "start"),))
    for i, acceptance in enumerate(scenario.markets.balancing.acceptances):
        if acceptance.issued is not None and acceptance.issued >= acceptance.end:
            at = (*_ACCEPTANCES, i)
            yield Finding("S063", (*at, "issued"), "issued after its end", reads=((*at, "end"),))


def no_car_is_sold_twice(scenario: Scenario) -> Iterator[Finding]:
    """Each home is enrolled in one service: without a stacking rule two services cannot share it."""
    dfs, balancing = scenario.markets.dfs.share, scenario.markets.balancing.share
    if dfs + balancing > 1 + _ROUNDING:
        what = f"DFS and balancing together claim {100 * (dfs + balancing):.4g} % of the homes"
        yield Finding(
            "S064",
            ("markets", "balancing", "share"),
            what,
            "markets.dfs.share + markets.balancing.share of at most 100 %",
            (("markets", "dfs", "share"),),
        )


def gsp_groups_are_known(scenario: Scenario) -> Iterator[Finding]:
    """Letters of GSP Groups, and a weight for at least one."""
    allowed = f"one of {', '.join(GSP_GROUPS)}"
    weights = scenario.homes.gsp_groups
    for letter, weight in weights.items():
        if letter not in GSP_GROUPS:
            what = "no such GSP Group"
            yield Finding(
                "S065", ("homes", "gsp_groups", letter), what, allowed, candidates=GSP_GROUPS, of_key=True
            )
        elif weight < 0:
            yield Finding("S068", ("homes", "gsp_groups", letter), "a negative weight", "0 or more")
    if weights and not any(weight > 0 for weight in weights.values()):
        yield Finding(
            "S068", ("homes", "gsp_groups"), "no group has a weight above 0", "at least one above 0"
        )
    inhabited = _inhabited(scenario)
    for i, acceptance in enumerate(scenario.markets.balancing.acceptances):
        if acceptance.unit is not None and acceptance.unit not in inhabited:
            what = "no GSP Group with homes has this letter"
            at = (*_ACCEPTANCES, i, "unit")
            allowed = f"one of {', '.join(inhabited)}"
            yield Finding("S065", at, what, allowed, (("homes", "gsp_groups"),), inhabited)


def routes_are_known(scenario: Scenario) -> Iterator[Finding]:
    """Routes by their names."""
    for name in scenario.comms.routes:
        if name not in ROUTE_NAMES:
            allowed = f"one of {', '.join(ROUTE_NAMES)}"
            yield Finding(
                "S066",
                ("comms", "routes", name),
                "no such route",
                allowed,
                candidates=ROUTE_NAMES,
                of_key=True,
            )


def vendors_are_known(scenario: Scenario) -> Iterator[Finding]:
    """Every vendor is on a route there is, and has a profile."""
    names = profile_names() if scenario.comms.vendors else ()
    for route, listed in scenario.comms.vendors.items():
        if route not in ROUTE_NAMES:
            allowed = f"one of {', '.join(ROUTE_NAMES)}"
            at: Where = ("comms", "vendors", route)
            yield Finding("S066", at, "no such route", allowed, candidates=ROUTE_NAMES, of_key=True)
        for i, name in enumerate(listed):
            if name not in names:
                at = ("comms", "vendors", route, i)
                yield Finding("S024", at, "no such vendor", ", ".join(names), candidates=names)


def power_cuts_are_whole(scenario: Scenario) -> Iterator[Finding]:
    """A power cut is a region's and leaves nothing through."""
    cuts = [(i, outage) for i, outage in enumerate(scenario.comms.outages) if outage.power]
    for i, cut in cuts:
        whole = (cut.kind, cut.directions, cut.messages, cut.drop) == ("region", "both", "all", 1.0)
        if not whole:
            what = "a power cut that is not a whole outage of a region"
            allowed = "`kind: region`, both directions, all messages, drop 100 %"
            yield Finding("S077", (*_OUTAGES, i, "power"), what, allowed, ((*_OUTAGES, i),))


def routes_are_up_more_than_down(scenario: Scenario) -> Iterator[Finding]:
    """Outages and bursts of loss are the exception: shorter than the time between them."""
    for name, route in scenario.comms.routes.items():
        for every, last in (("offline_every", "offline_for"), ("burst_every", "burst_for")):
            every_ms, for_ms = getattr(route, f"{every}_ms"), getattr(route, f"{last}_ms")
            if for_ms > every_ms > 0:
                at: Where = ("comms", "routes", name)
                what = "longer than the time between two"
                yield Finding("S076", (*at, last), what, f"at most `{every}`", ((*at, every),))


def outage_names_are_known(scenario: Scenario) -> Iterator[Finding]:
    """What is down must be there: a vendor of a route, a numbered ISP or operator, a GSP Group with homes."""
    for i, outage in enumerate(scenario.comms.outages):
        names = _outage_names(scenario, outage)
        if outage.name not in names:
            shown = f"{names[0]} to {names[-1]}" if names[-1].isdigit() else ", ".join(names)
            reads: tuple[Where, ...] = (("comms", "routes"), ("homes", "gsp_groups"), (*_OUTAGES, i, "kind"))
            what = f"no {outage.kind.replace('_', ' ')} of this name"
            yield Finding("S067", (*_OUTAGES, i, "name"), what, shown, reads, names)


def churn_befalls_somebody(scenario: Scenario) -> Iterator[Finding]:
    """A vendor whose devices change is one of a route's; a moment lies within its day."""
    for i, event in enumerate(scenario.churn.events):
        at = (*_CHURN, i)
        if event.at == _DAY_MINUTES:
            yield Finding("S060", (*at, "at"), "a moment at the end of the day", "`00:00` on the next day")
        names = () if event.vendor is None else _vendor_clouds(scenario)
        if event.vendor is not None and event.vendor not in names:
            shown = ", ".join(names)
            yield Finding(
                "S067", (*at, "vendor"), "no vendor cloud of this name", shown, (("comms", "routes"),), names
            )


def mixes_are_whole(scenario: Scenario) -> Iterator[Finding]:
    """The weights of a mixture add up to 1, and its spreads are above 0."""
    evs = scenario.evs
    mixes = {
        "charger": [share for _, share in evs.charger_w],
        "return_weekday": [weight for _, _, weight in evs.return_weekday],
        "return_weekend": [weight for _, _, weight in evs.return_weekend],
    }
    for key, weights in mixes.items():
        total = math.fsum(weights)
        if min(weights, default=0.0) < 0 or abs(total - 1) > _ROUNDING:
            yield Finding(
                "S068",
                ("evs", key),
                f"the weights add up to {100 * total:.4g} %",
                "100 % in all, none negative",
            )
    for key, mixture in (("return_weekday", evs.return_weekday), ("return_weekend", evs.return_weekend)):
        if any(sd <= 0 or not 0 <= mean <= _DAY_MINUTES / 60 for mean, sd, _ in mixture):
            allowed = "[mean hour 0 to 24, sd above 0, weight]"
            yield Finding(
                "S068", ("evs", key), "a mean outside the day, or a spread that is not above 0", allowed
            )


def cars_are_possible(scenario: Scenario) -> Iterator[Finding]:
    """A target that charging stops short of, batteries below nothing, more miles than a night can charge."""
    evs = scenario.evs
    if evs.target > evs.charge_to:
        what = "drivers ask for more than charging ever reaches (evs.charge_to)"
        yield Finding("S069", ("evs", "target"), what, "at most evs.charge_to", (("evs", "charge_to"),))
    if evs.battery_sd_wh >= evs.battery_mean_wh:
        what = "the spread of batteries is not below their mean"
        yield Finding(
            "S069", ("evs", "battery_sd"), what, "below evs.battery_mean", (("evs", "battery_mean"),)
        )
    powers = [power for power, share in evs.charger_w if share > 0]
    if powers:
        yield from _nights_are_long_enough(scenario, powers)


def rules_are_known(scenario: Scenario) -> Iterator[Finding]:
    """Overrides name rules of the rulebooks, and an edition of DFS is in force on the day of each event."""
    rules = scenario.markets.rules
    on = scenario.markets.rules_date or scenario.clock.start
    reads: tuple[Where, ...] = (("clock", "start"), ("markets", "rules_date"))
    for book, overrides in rules.items():
        at: Where = ("markets", "rules", book)
        if book not in rulebook_names():
            allowed, known = f"one of {', '.join(rulebook_names())}", rulebook_names()
            yield Finding("S072", at, "no such rulebook", allowed, candidates=known, of_key=True)
            continue
        for name, value in overrides.items():
            yield from _rulebook_fault((*at, name), book, on, {name: value}, reads)
    for i, event in enumerate(scenario.markets.dfs.events):
        day = scenario.markets.rules_date or scenario.clock.start + timedelta(days=event.day)
        yield from _rulebook_fault((*_EVENTS, i), "dfs", day, {}, reads)


def derogations_are_known(scenario: Scenario) -> Iterator[Finding]:
    """Derogations are ones there are, and hold on some day of the run."""
    markets, clock = scenario.markets, scenario.clock
    lived = [clock.start + timedelta(days=day) for day in range(clock.days)]
    days = [markets.rules_date] if markets.rules_date else lived
    for i, name in enumerate(markets.derogations):
        at: Where = ("markets", "derogations", i)
        if name not in derogation_names():
            known = derogation_names()
            yield Finding("S072", at, "no such derogation", f"one of {', '.join(known)}", candidates=known)
        elif not any(derogation(name).holds(day) for day in days):
            dates = derogation(name).dates
            reads: tuple[Where, ...] = (("clock", "start"), ("markets", "rules_date"))
            yield Finding("W004", at, "a derogation that changes nothing on these days", dates, reads)


def dfs_events_can_be_held(scenario: Scenario) -> Iterator[Finding]:
    """Whole settlement periods that a baseline is known of, and time for bids and results before them."""
    for i, event in enumerate(scenario.markets.dfs.events):
        at = (*_EVENTS, i)
        reads: tuple[Where, ...] = (at, ("clock",), ("markets", "rules"), ("markets", "rules_date"))
        broken = [key for key in ("start", "end") if getattr(event, key) % _PERIOD_MINUTES]
        for key in broken:
            yield Finding("S073", (*at, key), "not on the hour or half hour", "`17:00` or `17:30`")
        day = scenario.clock.start + timedelta(days=event.day)
        if period_count(day) > NORMAL_PERIOD_COUNT and event.end > _DAY_MINUTES - 60:
            what = f"BL01 knows no baseline of the last hour of {day}"
            allowed = "an end up to 23:00: earlier days have no settlement periods 49 and 50"
            yield Finding("S073", (*at, "end"), what, allowed, reads)
        elif not broken and event.end > event.start and event.turn_down_mw:
            yield from _timetable_fault(scenario, i, event, at, reads)


def engines_are_able(scenario: Scenario) -> Iterator[Finding]:
    """What would take for ever or fill the disk."""
    homes = scenario.homes.count
    if scenario.engine == "reference" and homes > MOST_REFERENCE_HOMES:
        what = f"the reference engine with {homes:,} homes"
        allowed = f"at most {MOST_REFERENCE_HOMES:,} homes, or `fast`"
        yield Finding("S070", ("engine",), what, allowed, (("homes", "count"),))
    if scenario.record.level is RecordLevel.DEVICES and homes > MOST_HOMES_WITH_DEVICES_RECORDED:
        what = f"every device of {homes:,} homes is written down"
        yield Finding("W002", ("record", "level"), what, "`homes` or `portfolio`", (("homes", "count"),))


def files_are_named(scenario: Scenario) -> Iterator[Finding]:
    """`source: files` needs files, and files need it."""
    prices, weather, population = scenario.prices, scenario.weather, scenario.population
    named = {
        ("prices", "system_file"): (prices.source, prices.system_file, "files"),
        ("weather", "file"): (weather.source, weather.file, "files"),
        ("population", "file"): (population.source, population.file, "file"),
    }
    for at, (source, file, other) in named.items():
        reads = ((at[0], "source"),)
        if source != "synthetic" and file is None:
            yield Finding("S021", at, f"`source: {source}` needs `{at[1]}`", "the path of a file", reads)
        elif source == "synthetic" and file is not None:
            yield Finding(
                "W004", at, "a file that `source: synthetic` does not read", f"`source: {other}`", reads
            )
    if weather.of_year is not None and weather.source not in {"pvgis", "hourly"}:
        what, allowed = "a year that only hourly weather has", "`source: pvgis` or `source: hourly`"
        yield Finding("W004", ("weather", "of_year"), what, allowed, (("weather", "source"),))
    if population.source == "file" and "count" in scenario.homes.model_fields_set:
        yield Finding("W004", ("homes", "count"), "homes are those of the registry", "no `homes.count`")


def bands_can_be_met(scenario: Scenario) -> Iterator[Finding]:
    """A key figure is held against one value or against an interval that is not empty."""
    for i, band in enumerate(scenario.expect):
        bounded = band.at_least is not None or band.at_most is not None
        if (band.equals is not None) == bounded:
            what = "a band gives either `equals` or bounds"
            yield Finding("S071", ("expect", i), what, "`equals`, or `at_least` and `at_most`")
        elif band.at_least is not None and band.at_most is not None and band.at_least > band.at_most:
            yield Finding(
                "S071", ("expect", i, "at_most"), "below at_least", reads=(("expect", i, "at_least"),)
            )


def services_have_cars(scenario: Scenario) -> Iterator[Finding]:
    """Events nobody is enrolled for, and asking for more than the enrolled chargers could ever draw."""
    dfs, balancing = scenario.markets.dfs, scenario.markets.balancing
    enrolled = "a share above 0 %"
    if dfs.events and dfs.share == 0:
        yield Finding("W004", ("markets", "dfs", "share"), "events for which nobody is enrolled", enrolled)
    if (balancing.acceptances or balancing.need.enabled) and balancing.share == 0:
        at: Where = ("markets", "balancing", "share")
        yield Finding("W004", at, "acceptances for which nobody is enrolled", enrolled)
    if any(getattr(scenario, section).share for section in SECTIONS):
        return  # what other devices can give depends on weather and habits
    most_mw = _most_mw(scenario) * balancing.share
    for i, acceptance in enumerate(balancing.acceptances):
        if balancing.share and abs(acceptance.turn_down_mw) > most_mw:
            what = f"more than all enrolled chargers at full power, {MEGAWATTS.write(round(most_mw, 3))}"
            reads: tuple[Where, ...] = (("homes", "count"), ("evs",), ("markets", "balancing", "share"))
            yield Finding("W003", (*_ACCEPTANCES, i, "turn_down"), what, reads=reads)


def boundary_meters_are_read(scenario: Scenario) -> Iterator[Finding]:
    """A BM Unit metered at the boundary is of homes whose boundary meters are read live."""
    balancing, reads = scenario.markets.balancing, scenario.homes.boundary_reads
    if balancing.metering == "boundary" and balancing.share and not reads.share:
        yield Finding(
            "S079",
            ("markets", "balancing", "metering"),
            "no home's boundary meter is read live, so that no home can join a BM Unit",
            "`metering: asset`, or `homes.boundary_reads.share` above 0 %",
            (("homes", "boundary_reads"), ("markets", "balancing", "share")),
        )


def settlement_runs_are_reached(scenario: Scenario) -> Iterator[Finding]:
    """Under the calendar a day waits for its runs, and only there for late meters (rules R205, R206)."""
    chosen, at = scenario.markets.settlement, ("markets", "settlement")
    if chosen.runs == "calendar":
        yield from _runs_missed(scenario)
    elif chosen.late.one_off_share or chosen.late.persistent_share:
        what = "meters are late, and each day is settled once, when its readings are there"
        yield Finding("S156", (*at, "late"), what, "`runs: calendar`", ((*at, "runs"),))
    for i, day in enumerate(chosen.disputed):
        if day >= scenario.clock.days:
            reads: tuple[Where, ...] = (("clock", "days"),)
            allowed = f"0 to {scenario.clock.days - 1}"
            yield Finding("S061", (*at, "disputed", i), "no day of the run", allowed, reads)


def market_faults_befall_something(scenario: Scenario) -> Iterator[Finding]:
    """Faults of markets that say nothing: without an event, an acceptance or a system need."""
    markets = scenario.markets
    scripted = (markets.dfs.events, markets.balancing.acceptances, markets.capacity.notices)
    busy = any(scripted) or markets.balancing.need.enabled or any(service_windows(scenario))
    for kind, share in markets.faults:
        if share and not busy:
            what = "a market fault, and no market says anything"
            yield Finding(
                "W004", ("markets", "faults", kind), what, "an event, an acceptance, a notice or a need"
            )


def wholesale_can_be_traded(scenario: Scenario) -> Iterator[Finding]:
    """Every home has one Supplier; there is an auction to trade in, and on the day a law that allows it."""
    wholesale, at = scenario.markets.wholesale, ("markets", "wholesale")
    total = math.fsum(wholesale.suppliers.values())
    if abs(total - 1) > _ROUNDING:
        what = f"the shares of the Suppliers add up to {100 * total:.4g} %"
        yield Finding("S145", (*at, "suppliers"), what, "shares that add up to 100 %")
    names = wholesale.auctions
    if len(set(names)) < len(names):
        yield Finding("S146", (*at, "auctions"), "an auction named twice", "each at most once")
    elif wholesale.share and not names:
        yield Finding("S146", (*at, "auctions"), "no auction to trade in", "at least one", ((*at, "share"),))
    on = scenario.markets.rules_date or scenario.clock.start
    if wholesale.share and on < P415_FROM:
        what = f"nobody may trade deviations before {P415_FROM} (P415)"
        yield Finding("W004", (*at, "share"), what, "a later `clock.start`", (("clock", "start"),))
    reads = (*at, "baselining")
    if wholesale.baselining == "submitted" and wholesale.ida_policy != "rulebook":
        what = "nothing is adjusted where the party submits what it expects"
        yield Finding("W004", (*at, "ida_policy"), what, "`baselining: BL01`", (reads,))
    if wholesale.baselining == "submitted" and wholesale.metering == "boundary":
        what = "homes metered whole, and the party submits what it expects of their assets alone"
        yield Finding("W004", (*at, "metering"), what, "`baselining: BL01`", (reads,))


_HEAT_SECTIONS = ("heat_pumps", "storage_heaters", "resistive_heaters", "hot_water")


def people_can_take_part(scenario: Scenario) -> Iterator[Finding]:
    """Homes that act by hand act when they are asked, and only a boundary meter sees it."""
    at: Where = ("people", "by_hand", "share")
    if scenario.people.by_hand.share > 0:
        if not scenario.aggregator.dfs.ask:
            what, reads = "homes that act when asked, and nobody asks them", ("aggregator", "dfs", "ask")
            yield Finding("W004", at, what, "`aggregator.dfs.ask: true`", (reads,))
        if scenario.markets.dfs.metering == "asset":
            what, reads = "homes without any asset meter", ("markets", "dfs", "metering")
            yield Finding("W004", at, what, "`markets.dfs.metering: boundary`", (reads,))
    heated = any(getattr(scenario, section).share for section in _HEAT_SECTIONS)
    if scenario.people.comfort.complains_share > 0 and not heated:
        what, allowed = "complaints of the cold, and nobody has electric heat", "a share of one that heats"
        yield Finding("W004", ("people", "comfort", "complains_share"), what, allowed)


RULES: tuple[Callable[[Scenario], Iterator[Finding]], ...] = (
    windows_end_after_their_start,
    days_are_reached,
    local_times_exist,
    times_do_not_contradict,
    no_car_is_sold_twice,
    gsp_groups_are_known,
    routes_are_known,
    routes_are_up_more_than_down,
    power_cuts_are_whole,
    outage_names_are_known,
    vendors_are_known,
    churn_befalls_somebody,
    mixes_are_whole,
    cars_are_possible,
    rules_are_known,
    derogations_are_known,
    dfs_events_can_be_held,
    engines_are_able,
    files_are_named,
    bands_can_be_met,
    services_have_cars,
    boundary_meters_are_read,
    settlement_runs_are_reached,
    market_faults_befall_something,
    people_can_take_part,
    wholesale_can_be_traded,
    *DFS_RULES,
    *DEVICE_RULES,
    *SERVICE_RULES,
    *CAPACITY_RULES,
    *RETAIL_RULES,
)


def _windows(
    scenario: Scenario,
) -> Iterator[tuple[Where, DfsEvent | Acceptance | CapacityNotice | ServiceEvent]]:
    for i, event in enumerate(scenario.markets.dfs.events):
        yield (*_EVENTS, i), event
    for i, acceptance in enumerate(scenario.markets.balancing.acceptances):
        yield (*_ACCEPTANCES, i), acceptance
    for i, notice in enumerate(scenario.markets.capacity.notices):
        yield (*_NOTICES, i), notice
    yield from service_windows(scenario)


def _happenings(scenario: Scenario) -> Iterator[tuple[Where, int, list[tuple[str, int]]]]:
    """Whatever has a day: where it stands, its day, its clock times on that day by key."""
    for at, window in _windows(scenario):
        times = {key: getattr(window, key, None) for key in _TIMES}
        if getattr(window, "published_days_before", 0):
            del times["published"]  # of another day
        if getattr(window, "repeat", "once") != "once":
            times = {}  # on a day of many that leaves such a time out, it is moved or not held
        yield at, window.day, [(key, minutes) for key, minutes in times.items() if minutes is not None]
    for i, outage in enumerate(scenario.comms.outages):
        yield (*_OUTAGES, i), outage.day, [("start", outage.start)]
    for i, happening in enumerate(scenario.churn.events):
        yield (*_CHURN, i), happening.day, [("at", happening.at)]
    split = scenario.comms.split_brain
    if split is not None:
        yield ("comms", "split_brain"), split.day, [("start", split.start)]


def _local_time(at: Where, day: date, minutes: int, reads: tuple[Where, ...]) -> Iterator[Finding]:
    hour, minute = divmod(minutes % _DAY_MINUTES, 60)
    shown = CLOCK_TIME.write(minutes)
    try:
        first, second = (local_clock_ms(day, hour, minute, fold) for fold in (0, 1))
    except LocalTimeError:
        what = f"{shown} does not exist on {day}: the clocks go forward from 01:00 to 02:00"
        yield Finding("S062", at, what, "a time before 01:00 or from 02:00", reads)
    else:
        if first != second:
            what = f"{shown} occurs twice on {day}; the first, in summer time, is used"
            yield Finding("W001", at, what, reads=reads)


def _rulebook_fault(
    at: Where, book: str, on: date, overrides: dict[str, object], reads: tuple[Where, ...]
) -> Iterator[Finding]:
    try:
        load_rulebook(book, on, overrides)
    except RuleError as error:
        yield Finding("S072", at, str(error), reads=reads)


def _runs_missed(scenario: Scenario) -> Iterator[Finding]:
    # Here because it is heavy to import and few scenarios wait for settlement.
    from protocol.settlement_calendar import timetable
    from sim.event_scripts import rules_for

    clock = scenario.clock
    last = clock.start + timedelta(days=clock.days - 1)
    disputed = clock.days - 1 in scenario.markets.settlement.disputed
    try:
        runs = timetable(last, rules_for(scenario).book("bsc", last), disputed)
    except RuleError as error:
        yield Finding("S072", ("markets", "settlement", "runs"), str(error), reads=(("clock", "start"),))
        return
    days = [(item.run, (item.on - last).days) for item in runs]
    missed = [(run, after) for run, after in days if after > clock.settlement_days]
    if missed:
        what = f"the run ends before {', '.join(run for run, _ in missed)} of {last}"
        allowed = f"{days[0][1]} for {days[0][0]}, {days[-1][1]} for {days[-1][0]}"
        reads: tuple[Where, ...] = (("clock",), ("markets", "settlement", "runs"))
        code = "S155" if len(missed) == len(days) else "W155"
        yield Finding(code, ("clock", "settlement_days"), what, allowed, reads)


def _timetable_fault(
    scenario: Scenario, place: int, event: DfsEvent, at: Where, reads: tuple[Where, ...]
) -> Iterator[Finding]:
    # Here because it is heavy to import and many scenarios have no event.
    from markets.dfs import timetable
    from markets.settings import SettingsError
    from sim.event_scripts import dfs_script, rules_for

    try:
        script = dfs_script(scenario, place + 1, event.model_copy(update={"cancelled": None}))
        rules = rules_for(scenario).book("dfs", local_date(script.start_ms))
        timetable(script, rules, day_start_ms(scenario.clock.start))
    except SettingsError as error:
        what, _, allowed = str(error).removeprefix(f"DFS event {script.event_id}: ").partition("; ")
        key = "start" if event.published is None else "published"
        yield Finding("S073", (*at, key), what, allowed, reads)
    except (LocalTimeError, RuleError):
        return  # told by local_times_exist and rules_are_known


def _inhabited(scenario: Scenario) -> tuple[str, ...]:
    weights = scenario.homes.gsp_groups
    return tuple(group for group in GSP_GROUPS if not weights or weights.get(group, 0) > 0) or GSP_GROUPS


def _outage_names(scenario: Scenario, outage: Outage) -> tuple[str, ...]:
    comms = scenario.comms
    if outage.kind == "region":
        return _inhabited(scenario)
    if outage.kind == "vendor_cloud":
        return _vendor_clouds(scenario)
    return tuple(
        str(number) for number in range(comms.isps if outage.kind == "isp" else comms.mobile_operators)
    )


def _vendor_clouds(scenario: Scenario) -> tuple[str, ...]:
    # Here because it is heavy to import and few scenarios name a vendor.
    from sim.routes import routes_of

    comms = scenario.comms
    known = comms.model_copy(update={"routes": {k: v for k, v in comms.routes.items() if k in ROUTE_NAMES}})
    vendors = zip(ROUTE_NAMES, (route.vendors for route in routes_of(known)), strict=True)
    return tuple(f"{name}/{number}" for name, count in vendors for number in range(count))


def _most_mw(scenario: Scenario) -> float:
    """All chargers of the portfolio at full power [MW]."""
    mean_w = math.fsum(power * share for power, share in scenario.evs.charger_w)
    return scenario.homes.count * scenario.evs.share * mean_w / 1e6


def _nights_are_long_enough(scenario: Scenario, powers: list[int]) -> Iterator[Finding]:
    """The median day's miles against what chargers give between the usual return and the deadline."""
    evs = scenario.evs
    returns = math.fsum(mean * weight for mean, _, weight in evs.return_weekday)
    hours = (evs.ready_by / 60 - returns) % 24
    day_miles = evs.annual_miles_median / _DAYS_PER_YEAR / max(evs.drive_day_share, 1 / _DAYS_PER_YEAR)
    needed_wh = day_miles * evs.wh_per_mile / evs.charge_efficiency
    reads: tuple[Where, ...] = (("evs",),)
    shown = (
        f"{hours:.1f} h from the usual return to the deadline for {needed_wh / 1000:.1f} kWh of a median day"
    )
    if max(powers) * hours < needed_wh:
        yield Finding("S069", ("evs", "ready_by"), f"{shown}: no charger is strong enough", reads=reads)
    elif min(powers) * hours < needed_wh:
        what = f"{shown}: not enough at {POWER.write(min(powers))}"
        yield Finding("W005", ("evs", "ready_by"), what, reads=reads)
