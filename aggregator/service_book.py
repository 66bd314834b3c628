"""What the aggregator remembers of the services besides DFS and the BM: units, offers, awards, signals.

Records alone; what is done with them is in `aggregator/desk.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from aggregator.claims import Claim, claim_of, steps
from aggregator.instructions import Book
from aggregator.waiting import DayOfWaiting
from protocol.messages import (
    I64,
    CapacityNotice,
    ServiceAward,
    ServiceConsents,
    ServiceDispatch,
    ServiceOffer,
    ServiceRequirement,
    WholesaleOrder,
)
from protocol.periods import PERIOD_MS, local_date
from protocol.products import Product


@dataclass(slots=True)
class EnrolledUnit:
    """One unit as its buyer knows it, and its cells.

    `refused`: the buyer took it not. `nominated`: the last local day (ordinal) that was nominated.
    `obliged_w`: what it is bound to, once the buyer told it.
    """

    product: Product
    name: str
    place: str
    cells: list[int]
    planned_w: int
    refused: bool = False
    nominated: int = 0
    obliged_w: int = 0


@dataclass(slots=True)
class Offered:
    """An offer that was sent, with what it answers; `closed` once it was answered or taken back."""

    offer: ServiceOffer
    start_ms: int
    end_ms: int
    cells: list[int]
    at_ms: int
    closed: bool = False


@dataclass(slots=True)
class Awarded:
    """An award that was accepted, and the cells that serve it.

    `plans`: the instructions that came of it. `metered_ms`: up to when its metering was submitted.
    """

    award: ServiceAward
    cells: list[int]
    at_ms: int
    metered_ms: int
    plans: list[str] = field(default_factory=list)
    ended: bool = False


@dataclass(slots=True)
class Signalled:
    """A signal, and what was answered."""

    dispatch: ServiceDispatch
    accepted: bool
    reason: str


@dataclass(slots=True)
class Ordered:
    """An order of a wholesale unit; `closed` once it was answered, `traded_mwh` what of it traded."""

    order: WholesaleOrder
    at_ms: int
    closed: bool = False
    traded_mwh: float = 0.0

    @property
    def day(self) -> date:
        """The local day of its product."""
        return local_date(self.order.start_ms)


@dataclass(slots=True)
class ServiceBook:
    """Everything by name or id.

    `heard` the latest requirement of each event and place, `due` those not offered for yet, `cancelled` the
    events that are off. `weights` what each cell counts for in a unit [W]. `minutes` each cell's energy in
    minutes past [W s] (cells,), by their start; `level_w` each cell's import at the end of what was taken
    (only where the Balancing Mechanism is metered elsewhere). `waiting`: of each day lived, what waited for
    a clock. `prices` day-ahead [GBP/MWh] (periods), as told; `ordered_to` the last local day (ordinal) that
    was ordered for in each auction.
    """

    consents: ServiceConsents | None = None
    units: dict[str, EnrolledUnit] = field(default_factory=dict)
    weights: dict[int, int] = field(default_factory=dict)
    heard: dict[str, ServiceRequirement] = field(default_factory=dict)
    due: dict[str, ServiceRequirement] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    offers: dict[str, Offered] = field(default_factory=dict)
    awards: dict[str, Awarded] = field(default_factory=dict)
    signals: dict[str, Signalled] = field(default_factory=dict)
    orders: dict[str, Ordered] = field(default_factory=dict)
    prices: dict[date, tuple[float, ...]] = field(default_factory=dict)
    ordered_to: dict[str, int] = field(default_factory=dict)
    notices: dict[str, CapacityNotice] = field(default_factory=dict)
    urgent: list[int] = field(default_factory=list)
    minutes: dict[int, I64] = field(default_factory=dict)
    waiting: list[DayOfWaiting] = field(default_factory=list)
    level_w: I64 | None = None

    def unit_at(self, product: str, place: str) -> EnrolledUnit | None:
        """The unit of a service at a place; None where we have none that its buyer took."""
        for unit in self.units.values():
            if unit.product == product and unit.place == place and not unit.refused:
                return unit
        return None

    def of(self, product: Product) -> list[EnrolledUnit]:
        """The units of a service that its buyer did not refuse."""
        return [unit for unit in self.units.values() if unit.product is product and not unit.refused]

    def promises(self, now_ms: int) -> Iterator[Claim]:
        """Offers and orders that may yet be taken, and awards that may yet be called."""
        for key, offered in self.offers.items():
            if not offered.closed and offered.end_ms > now_ms:
                offer = offered.offer
                segments = steps(offered.start_ms, offered.end_ms, PERIOD_MS, offer.turn_down_mw)
                yield Claim(Product(offer.product), key, tuple(offered.cells), segments, offered.at_ms)
        for key, awarded in self.awards.items():
            award = awarded.award
            if not awarded.ended and not award.scheduled and award.end_ms > now_ms:
                segments = steps(award.start_ms, award.end_ms, PERIOD_MS, award.turn_down_mw)
                yield Claim(Product(award.product), key, tuple(awarded.cells), segments, awarded.at_ms)
        for key, ordered in self.orders.items():
            order = ordered.order
            if not ordered.closed and order.end_ms > now_ms:
                w = mean_w(order.sell_mwh, order.start_ms, order.end_ms)
                cells = tuple(self.units[order.unit].cells)
                segments = ((order.start_ms, w, order.end_ms, w),)
                yield Claim(Product.WHOLESALE, key, cells, segments, ordered.at_ms)

    def claims(self, book: Book, now_ms: int) -> list[Claim]:
        """All that is sold or promised and asks for anything yet.

        An award that is called is one claim, not two.
        """
        promised = [awarded for awarded in self.awards.values() if not awarded.award.scheduled]
        called = {plan for awarded in promised if not awarded.ended for plan in awarded.plans}
        found = [claim for claim in self.instructed(book) if claim.key not in called]
        return [claim for claim in [*found, *self.promises(now_ms)] if claim.segments and claim.cells]

    def instructed(self, book: Book) -> list[Claim]:
        """All instructions that are followed."""
        return [claim_of(plan) for plan in book.live() if plan.segments and plan.cells]


def mean_w(mwh: float, start_ms: int, end_ms: int) -> int:
    """Energy between two moments as power [W]."""
    return round(mwh * 1e6 * 3_600_000 / (end_ms - start_ms))
