"""A population as eligibility sees it: few classes of facts, and to which each asset belongs.

The seam between who lives where with what (`sim/population.py`) and the rules of who may sell what
(`protocol/eligibility.py`). A million assets fall into some hundred classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from protocol.eligibility import AssetFacts, Control, Grain, Meter, Settlement, capabilities, smart_meter
from protocol.messages import I32, I64, Technology
from protocol.products import Product
from sim.homes import HH_METERED, HH_SETTLED, NOT_SMART
from sim.network_tree import NO_ZONE
from sim.population import Population

STATUS = MappingProxyType({
    NOT_SMART: Settlement.NOT_SMART,
    HH_METERED: Settlement.HH_METERED,
    HH_SETTLED: Settlement.HH_SETTLED,
})  # fmt: skip

BANDS_KW = (100.0, 1_000.0, math.inf)
"""Ratings that rules tell apart: CoP11 Type 5, the relaxation of operational metering, above."""

_DECIMAL_PLACES = 3
"""Of MW: asset meters and smart meters count whole Wh."""


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

    An asset that can be reached is automated and has its own meter, where its technology has one; one that
    cannot be reached is followed by hand and metered at the boundary. DFS zones are taken as GSP Groups.
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
    columns = (
        technology,
        every_s + 1,
        homes.status[home].astype(np.int64),
        group.astype(np.int64),
        (zone != NO_ZONE).astype(np.int64),
        np.searchsorted(np.array(BANDS_KW) * 1_000, rating_w),
    )
    sizes = tuple(int(column.max(initial=0)) + 1 for column in columns)
    packed, class_of = np.unique(np.ravel_multi_index(columns, sizes), return_inverse=True)
    rows = np.stack(np.unravel_index(packed, sizes), axis=1).tolist()
    return AssetClasses(
        classes=tuple(_facts(row, homes.group_names, holds) for row in rows),
        class_of=class_of.astype(np.int32),
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


def _facts(row: list[int], groups: tuple[str, ...], holds: frozenset[Product]) -> AssetFacts:
    technology, every_s_and_1, status, group, in_cmz, band = row
    told = capabilities()[Technology(technology)]
    reachable = every_s_and_1 > 0
    own = Meter(told.error_pct, every_s_and_1 - 1, told.latency_s, _DECIMAL_PLACES)
    return AssetFacts(
        technology=Technology(technology),
        control=Control.AUTOMATED if reachable else Control.MANUAL,
        settlement=STATUS[status],
        located=Grain.CMZ,
        gsp_group=groups[group],
        in_cmz=bool(in_cmz),
        rating_kw=BANDS_KW[band],
        boundary_meter=None if status == NOT_SMART else smart_meter(),
        asset_meter=own if reachable and told.asset_meter else None,
        response_s=told.response_s,
        hold_min=told.hold_min,
        exports=told.exports,
        holds=holds,
    )
