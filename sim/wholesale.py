"""What the parties of a Virtual Trading Party's trade are told, and which Supplier each home has.

The seam between `markets.wholesale` of a scenario and the exchange, the aggregator and settlement. Prices of
the auctions are the day-ahead price and keyed noise; each home's Supplier is a keyed draw of its own, so that
another home or another share moves no noise.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from aggregator.trading import Trader, TradingTerms
from markets.settings import SupplierBook, TradingSettings
from markets.wholesale import HALF_HOURLY, HOURLY, HOURLY_CLOSES_MINUTE, INTRADAY
from markets.wholesale_lines import sourcing_cost_gbp_per_mwh
from protocol.messages import I8, I64
from protocol.periods import PERIOD_MS
from sim import chance
from sim.chance import Purpose
from sim.event_scripts import rules_for
from sim.prices import F64, PriceSeries
from sim.scenario import Scenario

_IN_TIME = (HOURLY, HALF_HOURLY, INTRADAY)
"""The auctions in the order in which they are held."""
_HALF_HOURLY, _INTRADAY, _SUPPLIER = range(3)  # numbers of the draws of a half-hour (two) or home


def trading_settings(scenario: Scenario, prices: PriceSeries) -> TradingSettings:
    """Auctions, their prices and limits, as the exchange is told of them."""
    own = scenario.markets.wholesale
    return TradingSettings(
        auctions=own.auctions,
        hourly_exchange=own.hourly_exchange,
        half_hourly_gbp_per_mwh=_about(
            prices, own.half_hourly_noise_gbp_per_mwh, scenario.seed, _HALF_HOURLY
        ),
        intraday_gbp_per_mwh=_about(prices, own.intraday_noise_gbp_per_mwh, scenario.seed, _INTRADAY),
        spread_gbp_per_mwh=own.spread_gbp_per_mwh,
        depth_mw=own.depth_mw,
        position_limit_mw=own.position_limit_mw,
        rules=rules_for(scenario),
    )


def trading_terms(scenario: Scenario, auction: str) -> TradingTerms:
    """When the aggregator trades in an auction.

    Only within the day is there a spread; the hourly book closes before prices are known, so that its orders
    are at any price.
    """
    own, owner = scenario.markets.wholesale, scenario.aggregator
    return TradingTerms(
        auction=auction,
        cost_per_hold_gbp_per_mwh=owner.cost_per_hold_gbp_per_mwh,
        compensation_gbp_per_mwh=_compensation_gbp_per_mwh(scenario),
        margin_gbp_per_mwh=own.strategy.margin_gbp_per_mwh,
        spread_gbp_per_mwh=own.spread_gbp_per_mwh if auction == INTRADAY else 0.0,
        payback_share=own.strategy.payback_share,
        payback_periods=own.strategy.payback_within_ms // PERIOD_MS,
        most_hold_periods=owner.maximum_hold_ms // PERIOD_MS,
        at_any_price=auction == HOURLY,
    )


def trader(scenario: Scenario) -> Trader | None:
    """How the aggregator orders, in all auctions of the setting; None where it does not take part."""
    own, clock = scenario.markets.wholesale, scenario.clock
    if not own.share:
        return None
    return Trader(
        terms={name: trading_terms(scenario, name) for name in _IN_TIME if name in own.auctions},
        hourly_closes_minute=HOURLY_CLOSES_MINUTE[own.hourly_exchange],
        foreseen_days=own.strategy.foreseen_days,
        last_day=clock.start + timedelta(days=clock.days - 1),
    )


def supplier_names(scenario: Scenario) -> tuple[str, ...]:
    """The Suppliers there are, in the order of the scenario."""
    return tuple(scenario.markets.wholesale.suppliers)


def supplier_of(scenario: Scenario, home_key: I64) -> I8:
    """Each home's Supplier (homes,), a place in `supplier_names`; `home_key` is `HomeTable.key`."""
    shares = np.array([*scenario.markets.wholesale.suppliers.values()])
    key = chance.stream(scenario.seed, Purpose.WHOLESALE)
    u = chance.units(key, home_key, number=_SUPPLIER)[:, 0]
    edges = np.cumsum(shares)[:-1]
    return np.searchsorted(edges, u, side="right").astype(np.int8)


def supplier_book(scenario: Scenario, home_key: I64 | None) -> SupplierBook | None:
    """Whose customers the homes are, as settlement is told; None where nobody trades.

    Every home counts alike in its Supplier's Final Demand: assumed.
    """
    own = scenario.markets.wholesale
    if not own.share or home_key is None:
        return None
    of_home = supplier_of(scenario, home_key)
    return SupplierBook(
        names=supplier_names(scenario),
        of_home=of_home,
        demand_wh=np.bincount(of_home, minlength=len(own.suppliers)).astype(np.int64),
        metering=own.metering,
        baselining=own.baselining,
        ida_policy=own.ida_policy,
        sourcing_cost_gbp_per_mwh=own.sourcing_cost_gbp_per_mwh,
    )


def _compensation_gbp_per_mwh(scenario: Scenario) -> float:
    """What a MWh sold costs the party in compensation by the rules of the first day; 0 unless it pays."""
    bsc = rules_for(scenario).book("bsc", scenario.clock.start)
    rule = bsc.rules.get("wholesale_compensation")
    if rule is None or rule.value != "direct":
        return 0.0
    return sourcing_cost_gbp_per_mwh(bsc, scenario.markets.wholesale.sourcing_cost_gbp_per_mwh)


def _about(prices: PriceSeries, sd_gbp_per_mwh: float, seed: int, number: int) -> F64:
    """The day-ahead price with noise of each half-hour's own (periods,) [GBP/MWh]."""
    key = chance.stream(seed, Purpose.WHOLESALE)
    z = chance.normals(key, prices.start_ms // PERIOD_MS, number=number)[:, 0]
    return np.asarray(prices.day_ahead_gbp_per_mwh + sd_gbp_per_mwh * z)
