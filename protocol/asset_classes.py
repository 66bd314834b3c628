"""Many assets as eligibility sees them: few classes of facts, and to which each asset belongs.

Owns how columns become `AssetFacts`, for whoever judges a portfolio: the aggregator that enrols it, and
studies of a whole population. A million assets fall into some hundred classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from protocol.eligibility import AssetFacts, Control, Grain, Meter, Settlement, capabilities, smart_meter
from protocol.messages import I32, I64, Technology
from protocol.products import Product

STATUS = (Settlement.NOT_SMART, Settlement.HH_METERED, Settlement.HH_SETTLED)
"""By number, as `ServiceConsents.settlement_status` tells it."""

BANDS_KW = (100.0, 1_000.0, math.inf)
"""Ratings that rules tell apart: CoP11 Type 5, the relaxation of operational metering, above."""

_DECIMAL_PLACES = 3
"""Of MW: asset meters and smart meters count whole Wh."""


@dataclass(frozen=True, slots=True, eq=False)
class AssetColumns:
    """What rules ask about each asset (assets,).

    `every_s` how often it reports, -1 where it cannot be reached; `status` a place in `STATUS`; `group` one
    in the names of GSP Groups; `in_cmz` 1 where it lies in a constraint management zone.
    """

    technology: I64
    every_s: I64
    status: I64
    group: I64
    in_cmz: I64
    rating_w: I64


def sort_into_classes(
    columns: AssetColumns, group_names: tuple[str, ...], holds: frozenset[Product] = frozenset()
) -> tuple[tuple[AssetFacts, ...], I32]:
    """Classes, and that of each asset (assets,); `holds`: what all of them are taken to be in already.

    An asset that can be reached is automated and has its own meter, where its technology has one; one that
    cannot be reached is followed by hand and metered at the boundary.
    """
    band = np.searchsorted(np.array(BANDS_KW) * 1_000, columns.rating_w)
    rows = (
        columns.technology,
        columns.every_s + 1,
        columns.status,
        columns.group,
        columns.in_cmz,
        band.astype(np.int64),
    )
    sizes = tuple(int(column.max(initial=0)) + 1 for column in rows)
    packed, class_of = np.unique(np.ravel_multi_index(rows, sizes), return_inverse=True)
    classes = np.stack(np.unravel_index(packed, sizes), axis=1).tolist()
    return tuple(_facts(row, group_names, holds) for row in classes), class_of.astype(np.int32)


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
        boundary_meter=None if STATUS[status] is Settlement.NOT_SMART else smart_meter(),
        asset_meter=own if reachable and told.asset_meter else None,
        response_s=told.response_s,
        hold_min=told.hold_min,
        exports=told.exports,
        holds=holds,
    )
