"""Which further services the customers of each asset consented to: drawn by home, each service apart.

The seam between the population and the services of `sim/scenario_services.py`. Rows are those that can be
reached, as in the registration.
"""

from __future__ import annotations

import numpy as np

from protocol.messages import I32, ServiceConsents
from protocol.products import Product
from sim import chance
from sim.chance import Purpose
from sim.population import Population
from sim.scenario import Markets, Scenario


def service_consents(scenario: Scenario, population: Population) -> ServiceConsents | None:
    """What is told of each reachable row when it is enrolled; None where no further service has a share."""
    shares = consent_shares(scenario.markets)
    if not any(shares.values()):
        return None
    homes, home = population.homes, population.plant.home
    key = chance.stream(scenario.seed, Purpose.CONSENT)
    products = np.zeros(len(home), np.int32)
    for place, product in enumerate(Product):
        u = chance.units(key, homes.key[home], number=place)[:, 0]
        products |= np.where(u < shares.get(product, 0.0), 1 << place, 0).astype(np.int32)
    feeders = homes.feeders
    return ServiceConsents(
        products=products,
        zone=feeders.zone[home].astype(np.int16),
        settlement_status=homes.status[home].astype(np.int8),
        zone_names=feeders.zone_names,
    )


def consenting_homes(consents: ServiceConsents, population: Population) -> I32:
    """Homes in at least one further service, rising."""
    return np.unique(population.plant.home[consents.products != 0])


def consent_shares(markets: Markets) -> dict[Product, float]:
    """The share of homes that consent, by service; DFS and the BM have shares and draws of their own."""
    local, constraint = markets.local, markets.constraint
    return {
        Product.SUSTAIN: local.sustain.share,
        Product.SUSTAIN_H: local.sustain_h.share,
        Product.SECURE: local.secure.share,
        Product.DYNAMIC: local.dynamic.share,
        Product.RESTORE: local.restore.share,
        Product.TCM: constraint.tcm.share,
        Product.LCM: constraint.lcm.share,
        Product.WHOLESALE: markets.wholesale.share,
        Product.CAPACITY_MARKET: markets.capacity.share,
    }
