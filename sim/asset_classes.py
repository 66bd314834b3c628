"""A population as eligibility sees it: few classes of facts, to which each asset belongs, and where it lies.

The seam between who lives where with what (`sim/population.py`) and the rules of who may sell what
(`protocol/eligibility.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.asset_classes import AssetColumns, sort_into_classes
from protocol.eligibility import AssetFacts
from protocol.messages import I32, I64
from protocol.products import Product
from sim.network_tree import NO_ZONE
from sim.population import Population


@dataclass(frozen=True, slots=True, eq=False)
class AssetClasses:
    """Classes, and columns of all assets of the population.

    `areas`: the place of each asset by aggregation area (`national`, `zone`, `gsp_group`, `gsp`, `cmz`); -1
    where it lies in none.
    """

    classes: tuple[AssetFacts, ...]
    class_of: I32
    home: I32
    rating_w: I64
    areas: dict[str, I32]

    def among(self, rows: I64) -> AssetClasses:
        """These assets alone."""
        areas = {name: area[rows] for name, area in self.areas.items()}
        return AssetClasses(self.classes, self.class_of[rows], self.home[rows], self.rating_w[rows], areas)


def classes_of(population: Population, holds: frozenset[Product] = frozenset()) -> AssetClasses:
    """Sort all assets into classes; `holds`: the products that all of them are taken to be in already.

    DFS zones are taken as GSP Groups.
    """
    homes, home = population.homes, population.home
    technology = np.concatenate(
        [np.full(len(part.drawn.home), part.kind.technology, np.int64) for part in population.parts]
    )
    rating_w = np.concatenate([part.drawn.rating_w for part in population.parts]).astype(np.int64)
    reachable = len(population.plant.home)
    every_s = np.full(len(home), -1, np.int64)
    every_s[:reachable] = population.registration.report_every_s
    group, zone = homes.gsp_group[home].astype(np.int32), homes.feeders.zone[home].astype(np.int32)
    columns = AssetColumns(
        technology=technology,
        every_s=every_s,
        status=homes.status[home].astype(np.int64),
        group=group.astype(np.int64),
        in_cmz=(zone != NO_ZONE).astype(np.int64),
        rating_w=rating_w,
    )
    classes, class_of = sort_into_classes(columns, homes.group_names, holds)
    return AssetClasses(
        classes=classes,
        class_of=class_of,
        home=home,
        rating_w=rating_w,
        areas={
            "national": np.zeros(len(home), np.int32),
            "zone": group,
            "gsp_group": group,
            "gsp": homes.gsp[home].astype(np.int32),
            "cmz": zone,
        },
    )
