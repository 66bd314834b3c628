"""Who of those meant for DFS and the BM may be enrolled under the rules of the day, and who is left out.

The seam between the population and `protocol/eligibility.py`: with `markets.enrolment: rules` an asset that a
clause blocks is in no service, so that a derogation moves sites, megawatts and pounds. Whoever is in doubt
(no source says) is left out too. By default the scenario's shares stand as they are.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from protocol.eligibility import UnitFacts, verdicts
from protocol.messages import I32, I64, Service
from protocol.products import Answer, Block, Product
from protocol.units import W_PER_MW
from sim.asset_classes import AssetClasses, classes_of
from sim.event_scripts import rules_for
from sim.population import Population
from sim.scenario import Scenario

PRODUCT_OF = MappingProxyType({Service.DFS: Product.DFS, Service.BALANCING: Product.BM})


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Assets that one clause keeps out of a service; an asset that several block counts with each."""

    product: Product
    block: Block
    assets: int
    mw: float

    @property
    def detail(self) -> str:
        """In words."""
        return f"{self.assets:,} assets, {self.mw:.1f} MW: {self.block.reason} ({self.block.clause})"


def enrolled_by_rules(population: Population, scenario: Scenario) -> tuple[Population, tuple[LeftOut, ...]]:
    """The population with nobody in a service that he is not eligible for, and what kept them out."""
    if scenario.markets.enrolment != "rules":
        return population, ()
    rules = rules_for(scenario).rules_on(scenario.clock.start)
    assets = classes_of(population)
    service = population.service.copy()
    left_out: list[LeftOut] = []
    for wanted, product in PRODUCT_OF.items():
        units = _units(assets, population.service == wanted)
        told = verdicts(assets.classes, product, rules, units)
        eligible = np.array([each.answer is Answer.YES for each in told], bool)[assets.class_of]
        refused = np.flatnonzero((population.service == wanted) & ~eligible)
        service[refused] = Service.NONE
        blocks = [each.blocks for each in told]
        left_out += _counted(product, blocks, assets.class_of[refused], assets.rating_w[refused])
    reachable = len(population.plant.home)
    cell = (population.homes.gsp[population.home] * len(Service) + service).astype(np.int16)
    registration = replace(population.registration, service=service[:reachable])
    return replace(population, service=service, cell=cell, registration=registration), tuple(left_out)


def _units(assets: AssetClasses, wanted: NDArray[np.bool_]) -> tuple[UnitFacts, ...]:
    """The unit of each class, where a rule is judged of it: all that are meant for it in the GSP Group."""
    group = assets.areas["gsp_group"]
    count = np.bincount(group[wanted], minlength=int(group.max(initial=0)) + 1)
    of_class = np.zeros(len(assets.classes), np.int64)
    of_class[assets.class_of] = group
    return tuple(UnitFacts(assets=int(each)) for each in count[of_class])


def _counted(
    product: Product, blocks: list[tuple[Block, ...]], class_of: I32, rating_w: I64
) -> list[LeftOut]:
    """What each clause keeps out, in the order of the classes that it blocks first."""
    assets: dict[Block, int] = defaultdict(int)
    watts: dict[Block, int] = defaultdict(int)
    for place in np.unique(class_of).tolist():
        mine = class_of == place
        for block in blocks[place]:
            assets[block] += int(mine.sum())
            watts[block] += int(rating_w[mine].sum())
    return [LeftOut(product, block, assets[block], watts[block] / W_PER_MW) for block in assets]
