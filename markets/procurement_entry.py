"""What a buyer of services refuses: units that may not enter, offers that cannot be kept. Pure.

Each function gives the reason with its clause, empty for none. Sizes and durations are those of
`eligibility.yaml`. Hard cases: docs/markets.md L5-L8.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from markets.procurement_settings import ProcurementSettings, ServiceEventScript
from markets.procurement_terms import Terms
from protocol.messages import ServiceOffer, ServiceUnit
from protocol.products import TITLES, Product
from protocol.units import W_PER_MW

NO_REASON = ""
_PERIOD_MIN = 30


def size_w(mw: float) -> int:
    """The size of a level, whatever its direction, in whole watts."""
    return round(abs(mw) * W_PER_MW)


def unit_fault(
    unit: ServiceUnit, own: Terms, settings: ProcurementSettings, others: Sequence[ServiceUnit]
) -> str:
    """Why a unit may not enter a product beside `others` of the same product; the first reason there is."""
    return next(_unit_faults(unit, own, settings, others), NO_REASON)


def _unit_faults(
    unit: ServiceUnit, own: Terms, settings: ProcurementSettings, others: Iterable[ServiceUnit]
) -> Iterator[str]:
    sites, least = settings.sites, own.entered("min_unit_mw")
    if not own.entered("open").value:
        yield f"{TITLES[own.product]} is closed ({own.entered('open').clause})"
    if unit.place not in sites.names:
        yield f"there is no place {unit.place!r} where {TITLES[own.product]} is bought"
    if not len(unit.rows):
        yield "it has no assets"
    if len(np.unique(unit.rows)) < len(unit.rows):
        yield "an asset comes twice"
    if len(unit.rows) and not (min(unit.rows) >= 0 and max(unit.rows) < len(sites.of_row)):
        yield "it has an asset that nobody knows (phantom)"
        return
    lies = {sites.names[place] if place >= 0 else "" for place in np.unique(sites.of_row[unit.rows])}
    if lies - {unit.place}:
        rule = own.entered("aggregation_area")
        yield f"not all its assets lie at {unit.place} ({rule.clause})"
    if not (math.isfinite(unit.capacity_mw) and unit.capacity_mw > 0):
        yield f"its capacity must be a number above 0 MW, not {unit.capacity_mw}"
    if unit.capacity_mw < least.value:
        yield f"{unit.capacity_mw} MW is below the minimum of {least.value} MW ({least.clause})"
    yield from _only_of_lcm(unit, own, settings)
    for other in others:
        shared = np.intersect1d(other.rows, unit.rows)
        if len(shared):
            yield f"{len(shared)} of its assets, such as {shared[0]}, are in unit {other.unit} already"


def _only_of_lcm(unit: ServiceUnit, own: Terms, settings: ProcurementSettings) -> Iterator[str]:
    """What the Local Constraint Market asks besides: Scottish GSPs, and no BM Unit."""
    if own.product is not Product.LCM:
        return
    groups, bm_allowed = own.entered("gsp_groups"), own.entered("bm_unit_allowed")
    if not unit.place.startswith(tuple(groups.value)):
        yield f"{unit.place} does not lie behind the boundary ({groups.clause})"
    if not bm_allowed.value and len(np.intersect1d(unit.rows, settings.balancing_rows)):
        yield f"some of its assets are in a BM Unit ({bm_allowed.clause})"


def offer_fault(offer: ServiceOffer, unit: ServiceUnit, event: ServiceEventScript, own: Terms) -> str:
    """Why an offer of a registered unit for an open event cannot be kept; the first reason there is."""
    return next(_offer_faults(offer, unit, event, own), NO_REASON)


def _offer_faults(
    offer: ServiceOffer, unit: ServiceUnit, event: ServiceEventScript, own: Terms
) -> Iterator[str]:
    if unit.place != event.place:
        yield f"unit {unit.unit} lies at {unit.place}, {event.event_id} is for {event.place}"
    if len(offer.turn_down_mw) != event.period_count:
        yield f"{event.event_id} has {event.period_count} periods, the offer {len(offer.turn_down_mw)}"
    if not all(map(math.isfinite, offer.turn_down_mw)) or not any(offer.turn_down_mw):
        yield f"megawatts must be numbers and not all 0, not {offer.turn_down_mw}"
        return
    if any(mw * event.turn_down_mw < 0 for mw in offer.turn_down_mw):
        yield f"{event.event_id} asks for the other direction"
    yield from _size_faults(offer, unit, own)
    ceilings = (
        ("utilisation", offer.utilisation_gbp_per_mwh, event.utilisation_ceiling_gbp_per_mwh),
        ("availability", offer.availability_gbp_per_mw_h, event.availability_ceiling_gbp_per_mw_h),
    )
    for name, price, ceiling in ceilings:
        yield from _price_faults(f"{name} price", price, ceiling)


def _size_faults(offer: ServiceOffer, unit: ServiceUnit, own: Terms) -> Iterator[str]:
    least, duration = own.entered("min_unit_mw"), own.entered("min_duration_min")
    sizes_mw = [abs(mw) for mw in offer.turn_down_mw if mw]
    if size_w(max(sizes_mw)) > size_w(unit.capacity_mw):
        yield f"{max(sizes_mw)} MW is above the unit's capacity of {unit.capacity_mw} MW"
    if min(sizes_mw) < least.value:
        yield f"{min(sizes_mw)} MW is below the minimum of {least.value} MW ({least.clause})"
    stretches = "".join("x" if mw else " " for mw in offer.turn_down_mw).split()
    if _PERIOD_MIN * min(map(len, stretches)) < duration.value:
        yield f"a stretch is shorter than {duration.value} minutes ({duration.clause})"


def _price_faults(what: str, price: float, ceiling: float | None) -> Iterator[str]:
    if not (math.isfinite(price) and price >= 0):
        yield f"{what} must be a number of at least 0, not {price}"
    elif ceiling is None and price > 0:
        yield f"{what} is not asked for, but {price} is offered"
    elif ceiling is not None and price > ceiling:
        yield f"{what} of {price} is above the ceiling of {ceiling}"
