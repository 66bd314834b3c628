"""Translates a scenario into what each party is told when it is made.

Clock times become UTC, chance becomes arrays.
"""

from __future__ import annotations

from dataclasses import fields
from datetime import date, timedelta

import numpy as np

from aggregator.settings import (
    AggregatorSettings,
    BalancingSubmission,
    DfsSubmission,
    Rules,
    ServiceRules,
    ServiceSubmission,
    rules_in_force,
)
from markets.capacity_settings import CapacitySettings
from markets.procurement_settings import ProcurementSettings
from markets.settings import (
    FAULT_KINDS,
    AcceptanceScript,
    BalancingSettings,
    DfsSettings,
    ExchangeSettings,
    FaultPlan,
    FaultShares,
    NeedSeries,
    PricedBlock,
    RulesInForce,
    SettlementSettings,
)
from protocol import periods
from protocol.eligibility import Level
from protocol.messages import I64, Service, ServiceConsents
from protocol.products import Product
from protocol.rulebook import RuleError
from protocol.stacking import Primacy
from sim import chance, service_settings
from sim.chance import Purpose
from sim.event_scripts import capacity_script, clock_ms, dfs_script, rules_for
from sim.population import Population
from sim.prices import PriceSeries
from sim.scenario import Acceptance, Scenario
from sim.wholesale import supplier_book, trading_settings

_COMPETITOR_BLOCKS = 20
_SETTLE_AFTER_DAYS = 3
_LONGEST_PAUSE_DAYS = 400
_CAPACITY_FAULTS = 6
"""The capacity market among the markets whose faults are drawn."""


def run_days(scenario: Scenario) -> tuple[date, ...]:
    """The days that are lived."""
    return tuple(scenario.clock.start + timedelta(days=k) for k in range(scenario.clock.days))


def aggregator_settings(scenario: Scenario) -> AggregatorSettings:
    """The owner's settings, field by field of the same name."""
    own = scenario.aggregator
    plain = {field.name: getattr(own, field.name) for field in fields(AggregatorSettings)}
    plain["dfs"] = DfsSubmission(**own.dfs.model_dump())
    plain["balancing"] = BalancingSubmission(**own.balancing.model_dump())
    order = tuple(dict.fromkeys(map(Product, own.services.order)))
    plain["services"] = ServiceSubmission(**(own.services.model_dump() | {"order": order}))
    return AggregatorSettings(**plain)


def aggregator_rules(scenario: Scenario) -> Rules:
    """The rules that the aggregator keeps by itself, as on the first day."""
    rules = rules_for(scenario)
    day = scenario.clock.start
    return rules_in_force(
        rules.book("dfs", _last_dfs_day(rules, day)), rules.book("bm", day), scenario.markets.dfs.metering,
        scenario.markets.balancing.metering,
    )  # fmt: skip


def service_rules(scenario: Scenario) -> ServiceRules:
    """What the aggregator goes by in the services besides DFS and the BM, as on the first day."""
    on, markets = rules_for(scenario).rules_on(scenario.clock.start), scenario.markets
    return ServiceRules(on, Primacy(markets.primacy), Level(markets.wholesale.metering))


def _last_dfs_day(rules: RulesInForce, day: date) -> date:
    """The day itself, or the last one before it on which DFS existed: it pauses between some editions."""
    for back in range(_LONGEST_PAUSE_DAYS):
        try:
            rules.book("dfs", day - timedelta(days=back))
        except RuleError:
            continue
        return day - timedelta(days=back)
    raise RuleError(f"no edition of DFS within {_LONGEST_PAUSE_DAYS} days before {day}")


def dfs_settings(scenario: Scenario) -> DfsSettings:
    """Events, competitors and rules of the DFS mock."""
    dfs = scenario.markets.dfs
    block_mw = dfs.competitors_mw / _COMPETITOR_BLOCKS
    competitors = tuple(
        PricedBlock(dfs.competitors_price_gbp_per_mwh * (0.5 + k / _COMPETITOR_BLOCKS), block_mw)
        for k in range(_COMPETITOR_BLOCKS)
        if block_mw > 0
    )
    return DfsSettings(
        start_ms=_start_ms(scenario),
        events=tuple(dfs_script(scenario, number, event) for number, event in enumerate(dfs.events, start=1)),
        competitors=competitors,
        rules=rules_for(scenario),
        faults=_fault_plan(scenario, 0, max(len(dfs.events), 1)),
    )


def balancing_settings(scenario: Scenario, population: Population) -> BalancingSettings:
    """Units, scripted acceptances or system need, rules and faults of the ESO mock."""
    balancing = scenario.markets.balancing
    units = _balancing_units(population)
    periods_lived = sum(periods.period_count(day) for day in run_days(scenario))
    return BalancingSettings(
        start_ms=_start_ms(scenario),
        end_ms=periods.day_end_ms(run_days(scenario)[-1]),
        units=units,
        acceptances=tuple(_acceptance_script(scenario, acceptance) for acceptance in balancing.acceptances),
        need=_need(scenario, periods_lived) if balancing.need.enabled else None,
        rules=rules_for(scenario),
        faults=_fault_plan(scenario, 1, max(periods_lived * max(len(units), 1), 1)),
        operational_metering=balancing.operational_metering,
    )


def _balancing_units(population: Population) -> tuple[str, ...]:
    enrolled = population.registration.unit[population.registration.service == Service.BALANCING]
    return tuple(population.registration.unit_names[place] for place in np.unique(enrolled))


def _acceptance_script(scenario: Scenario, acceptance: Acceptance) -> AcceptanceScript:
    issued = acceptance.issued
    return AcceptanceScript(
        unit=acceptance.unit,
        start_ms=clock_ms(scenario, acceptance.day, acceptance.start),
        end_ms=clock_ms(scenario, acceptance.day, acceptance.end),
        turn_down_mw=acceptance.turn_down_mw,
        issued_ms=None if issued is None else clock_ms(scenario, acceptance.day, issued),
        ramp_minutes=acceptance.ramp_minutes,
    )


def _need(scenario: Scenario, count: int) -> NeedSeries:
    """A normal need per period, and competitors in equal blocks between two prices."""
    need = scenario.markets.balancing.need
    z = chance.normals(chance.stream(scenario.seed, Purpose.SYSTEM_NEED), np.arange(count, dtype=np.int64))[
        :, 0
    ]
    prices = np.linspace(
        need.competitors_low_gbp_per_mwh, need.competitors_high_gbp_per_mwh, _COMPETITOR_BLOCKS
    )
    width_mw = need.competitors_mw * need.share / _COMPETITOR_BLOCKS
    return NeedSeries(
        need_mw=np.asarray((need.need_mean_mw + need.need_sd_mw * z) * need.share),
        offers=tuple(PricedBlock(float(price), width_mw) for price in prices),
        bids=tuple(
            PricedBlock(float(need.competitors_low_gbp_per_mwh - price / 4), width_mw) for price in prices
        ),
    )


def _fault_plan(scenario: Scenario, market: int, occasions: int) -> FaultPlan:
    shares = FaultShares(**scenario.markets.faults.model_dump())
    key = chance.stream(scenario.seed, Purpose.MARKET_FAULT)
    occasion = np.arange(occasions, dtype=np.int64)
    draws = np.hstack([chance.units(key, occasion, market, number) for number in (0, 1)])
    return FaultPlan(shares, draws[:, : len(FAULT_KINDS)])


def capacity_settings(scenario: Scenario) -> CapacitySettings | None:
    """Notices, rules and faults of the capacity market; None where nobody is obliged and nothing scripted."""
    capacity = scenario.markets.capacity
    if not capacity.share and not capacity.notices:
        return None
    notices = enumerate(capacity.notices, start=1)
    return CapacitySettings(
        start_ms=_start_ms(scenario),
        notices=tuple(capacity_script(scenario, number, notice) for number, notice in notices),
        rules=rules_for(scenario),
        faults=_fault_plan(scenario, _CAPACITY_FAULTS, max(len(capacity.notices), 1)),
    )


def local_settings(scenario: Scenario, consents: ServiceConsents) -> ProcurementSettings:
    """What the network operator's mock is told; its faults befall its own events."""
    faults = _fault_plan(scenario, 2, max(len(service_settings.local_events(scenario)), 1))
    return service_settings.local_settings(scenario, consents, faults)


def constraint_settings(scenario: Scenario, population: Population) -> ProcurementSettings:
    """What the constraint market's mock is told; its faults befall its own events."""
    faults = _fault_plan(scenario, 3, max(len(service_settings.constraint_events(scenario)), 1))
    return service_settings.constraint_settings(scenario, population.registration, faults)


def exchange_settings(scenario: Scenario, prices: PriceSeries) -> ExchangeSettings:
    """Prices of the days that are lived, and auctions where somebody trades."""
    return ExchangeSettings(
        days=run_days(scenario),
        day_ahead_gbp_per_mwh=prices.day_ahead_gbp_per_mwh,
        system_gbp_per_mwh=prices.system_gbp_per_mwh,
        net_imbalance_mwh=prices.net_imbalance_mwh,
        trading=trading_settings(scenario, prices) if scenario.markets.wholesale.share else None,
    )


def settlement_settings(scenario: Scenario, home_key: I64 | None = None) -> SettlementSettings:
    """What settlement needs to know of the run; `home_key` (homes,) where wholesale deviations are traded."""
    return SettlementSettings(
        first_day=scenario.clock.start,
        settle_after_days=min(_SETTLE_AFTER_DAYS, max(scenario.clock.settlement_days - 1, 1)),
        dfs_metering=scenario.markets.dfs.metering,
        dfs_opt_in=False,
        rules=rules_for(scenario),
        bm_metering=scenario.markets.balancing.metering,
        primacy=scenario.markets.primacy,
        suppliers=supplier_book(scenario, home_key),
        calendar=scenario.markets.settlement.runs == "calendar",
        disputed=frozenset(run_days(scenario)[day] for day in scenario.markets.settlement.disputed),
        last_day=run_days(scenario)[-1],
    )


def _start_ms(scenario: Scenario) -> int:
    return periods.day_start_ms(scenario.clock.start)
