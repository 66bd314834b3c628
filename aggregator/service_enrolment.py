"""Which assets are entered into which further services, and the units that they make up.

The seam between consents and the rules of who may sell what (`protocol.eligibility`) beside what else
(`protocol.stacking`). Services are taken in the owner's order; a service that rules forbid to an asset, or
of which no source says whether they do, leaves it out, and is told with the reason and how many. Assets that
are alike in all that rules ask about are judged once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from aggregator.settings import ServiceRules
from protocol.asset_classes import AssetColumns, sort_into_classes
from protocol.eligibility import DSO_PRODUCTS, AssetFacts, Dimension, UnitFacts, verdict
from protocol.messages import I16, I32, I64, AssetRegistration, Service, ServiceConsents
from protocol.products import TITLES, Answer, Product

HELD = {Service.DFS: Product.DFS, Service.BALANCING: Product.BM}
"""What an asset is in by being in a trading unit of `aggregator/registry.py`."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """One unit as it was made up."""

    product: Product
    unit: str
    place: str
    rows: I32
    planned_w: int


@dataclass(frozen=True, slots=True, eq=False)
class Enrolment:
    """The units, and the number of each row's unit by service (services, rows), -1 for none.

    `left_out`: how many assets with consent, by product and reason.
    """

    units: tuple[Made, ...]
    unit_of: I16
    left_out: dict[tuple[Product, str], int]


def enrol_in_services(
    consents: ServiceConsents,
    registration: AssetRegistration,
    held: tuple[Service, ...],
    group: I16,
    planned_w: I64,
    order: tuple[Product, ...],
    rules: ServiceRules,
) -> Enrolment:
    """Enter all assets; `group` (rows) is each one's trading unit, `held` the service of each of these.

    `planned_w` (rows) is what each is counted with before it has a history.
    """
    left_out: dict[tuple[Product, str], int] = {}
    taken = _taken(consents, registration, held, group, order, rules, left_out)
    units: list[Made] = []
    unit_of = np.full((len(order), len(group)), -1, np.int16)
    for number, product in enumerate(order):
        place, names = _places(product, consents, registration)
        entered = taken[:, number] & (place >= 0)
        for each in np.unique(place[entered]).tolist():
            rows = np.flatnonzero(entered & (place == each)).astype(np.int32)
            unit_w = int(planned_w[rows].sum())
            reason = _too_small(product, unit_w, rules)
            if reason:
                _count(left_out, product, f"{reason} at {names[each]}", len(rows))
                continue
            unit_of[number, rows] = len(units)
            units.append(Made(product, _unit_name(product, names[each]), names[each], rows, unit_w))
    return Enrolment(tuple(units), unit_of, left_out)


def _taken(
    consents: ServiceConsents,
    registration: AssetRegistration,
    held: tuple[Service, ...],
    group: I16,
    order: tuple[Product, ...],
    rules: ServiceRules,
    left_out: dict[tuple[Product, str], int],
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Which services each asset is entered into (rows, services)."""
    classes, class_of = sort_into_classes(_columns(consents, registration), registration.unit_names)
    service = np.array(held, np.int64)[group]
    code = (class_of.astype(np.int64) * len(Service) + service) << len(Product) | consents.products
    codes, alike, count = np.unique(code, return_inverse=True, return_counts=True)
    judged: dict[tuple[AssetFacts, Product], str] = {}
    taken = np.zeros((len(codes), len(order)), bool)
    for k, (packed, assets) in enumerate(zip(codes.tolist(), count.tolist(), strict=True)):
        place, of_service = divmod(packed >> len(Product), len(Service))
        facts = _with(classes[place], HELD.get(Service(of_service)))
        for number, product in enumerate(order):
            if not packed >> list(Product).index(product) & 1:
                continue
            if (facts, product) not in judged:
                judged[facts, product] = _reason_against(facts, product, rules)
            reason = judged[facts, product]
            if reason:
                _count(left_out, product, reason, assets)
                continue
            taken[k, number] = True
            facts = _with(facts, product)
    return np.asarray(taken[alike.ravel()])


def _columns(consents: ServiceConsents, registration: AssetRegistration) -> AssetColumns:
    return AssetColumns(
        technology=registration.technology.astype(np.int64),
        every_s=registration.report_every_s.astype(np.int64),
        status=consents.settlement_status.astype(np.int64),
        group=registration.unit.astype(np.int64),
        in_cmz=(consents.zone >= 0).astype(np.int64),
        rating_w=registration.rating_w.astype(np.int64),
    )


def _with(facts: AssetFacts, product: Product | None) -> AssetFacts:
    return facts if product is None else replace(facts, holds=facts.holds | {product})


def _reason_against(facts: AssetFacts, product: Product, rules: ServiceRules) -> str:
    """The first rule that does not say yes, in words and with its clause; "" where all do."""
    level = rules.wholesale_metering if product is Product.WHOLESALE else None
    found = verdict(facts, product, rules.on, level=level)
    if found.answer is Answer.YES:
        return ""
    worst = min(found.blocks, key=lambda block: block.answer)
    return f"{worst.reason} ({worst.clause})"


def _too_small(product: Product, planned_w: int, rules: ServiceRules) -> str:
    """Why a unit of this size is none; "" where it is. Asked of an asset of no kind in particular."""
    unit = UnitFacts(mw=planned_w / 1e6)
    found = verdict(_any_asset(), product, rules.on, unit, frozenset({Dimension.UNIT_SIZE}))
    return found.blocks[0].reason if found.blocks else ""


def _places(
    product: Product, consents: ServiceConsents, registration: AssetRegistration
) -> tuple[I64, tuple[str, ...]]:
    """Where each row lies as a service buys it, -1 for nowhere, and the names of places."""
    if product in DSO_PRODUCTS:
        return consents.zone.astype(np.int64), consents.zone_names
    if product in {Product.TCM, Product.LCM}:
        return registration.gsp.astype(np.int64), registration.gsp_names
    if product is Product.WHOLESALE:
        return registration.unit.astype(np.int64), registration.unit_names
    return np.zeros(len(registration.home), np.int64), ("national",)


def _unit_name(product: Product, place: str) -> str:
    return f"{product.value.upper()}-{'001' if place == 'national' else place}"


def _count(left_out: dict[tuple[Product, str], int], product: Product, reason: str, assets: int) -> None:
    left_out[product, reason] = left_out.get((product, reason), 0) + assets


def left_out_remark(product: Product, reason: str, assets: int) -> str:
    """One line of who was left out."""
    return f"{TITLES[product]}: {assets} assets: {reason}"


@lru_cache(maxsize=1)
def _any_asset() -> AssetFacts:
    nothing = AssetColumns(*(np.zeros(1, np.int64) for _ in range(6)))
    return sort_into_classes(nothing, ("",))[0][0]
