"""What it costs to settle a month of a million MPANs in every service, streamed chunk by chunk.

`python -m studies.bench_settlement --mpans 1000000` lives no devices: half-hours are keyed draws that stand
for the meters' files. A chunk of MPANs is read with its look-back, settled day by day, and let go; what stays
are sums of whole Wh per unit, Supplier and period, so that results do not depend on chunks or threads. Money
is worked out once, from the sums. What is sold to whom, prices and shares are assumed: they cost time.
Nothing here is a test: machines differ.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numba import njit

from protocol import baselines, deviation_volume, dso_payment, periods, settlement
from protocol.accepted_volume import AcceptanceVolume
from protocol.baselines import LOOK_BACK_DAYS, BaselineStatus
from protocol.capacity_market import (
    capped_penalties_gbp_e5,
    load_following_obligation_mw,
    monthly_payment_gbp_e5,
    penalty_rate_gbp_per_mwh,
    stress_delivery,
)
from protocol.deviation_volume import Indicator
from protocol.messages import I16, I32, I64, MISSING_WH, BidOfferPair
from protocol.periods import NORMAL_PERIOD_COUNT, period_count
from protocol.products import Product
from protocol.rulebook import Rulebook, load_rulebook
from protocol.stacking import Commitment, Primacy, allocate, pay_order
from protocol.units import W_PER_MW, WH_PER_MWH, exact, gbp_e5
from sim import chance
from sim.chance import Purpose

MONTH = date(2026, 1, 1)
WORKERS = 2
CHUNK = 2_000
SEED = 1

UNITS, SUPPLIERS = 14, 6
"""Units of each service: one per GSP Group. Suppliers that the MPANs are with."""
SOLD: tuple[tuple[float, tuple[Product, ...]], ...] = (
    (0.4, (Product.DFS, Product.SUSTAIN)),
    (0.5, (Product.BM, Product.WHOLESALE)),
    (0.1, (Product.SECURE, Product.DFS)),
)
"""Share of the MPANs, and what they are sold as beside each other; those in the BM are in the Capacity Market
too.
"""
BALANCED, MINUTED = 1, 2
FIRST_SP, N_SP = 35, 4
"""17:00 to 19:00: all services ask for the same evening."""
EVENT_EVERY_DAYS = 3
SP = slice(FIRST_SP - 1, FIRST_SP - 1 + N_SP)
MINUTES = N_SP * dso_payment.MINUTES_PER_HALF_HOUR

PRICE_GBP_PER_MWH = {
    Product.DFS: 210.0,
    Product.BM: 120.0,
    Product.WHOLESALE: 95.0,
    Product.SUSTAIN: 250.0,
    Product.SECURE: 300.0,
}
SYSTEM_PRICE, SOURCING_COST, AVAILABILITY_GBP_PER_MW_H = 110.0, 80.0, 5.0
SYSTEM_DEMAND_SHARE = 0.9
"""Demand in the stressed periods, of all capacity obligations."""


@dataclass(frozen=True, slots=True, eq=False)
class Month:
    """The days to settle, those to look back at, and the key of all draws. Day columns: look-back first."""

    first: date = MONTH
    seed: int = SEED

    @property
    def days(self) -> tuple[date, ...]:
        """All days read, oldest first."""
        start = self.first - timedelta(days=LOOK_BACK_DAYS)
        return tuple(start + timedelta(days=n) for n in range(LOOK_BACK_DAYS + len(self.settled)))

    @property
    def settled(self) -> tuple[date, ...]:
        """The days of the month."""
        following = (self.first.replace(day=28) + timedelta(days=4)).replace(day=1)
        return tuple(self.first + timedelta(days=n) for n in range((following - self.first).days))

    def event(self, sold: int, column: int) -> bool:
        """Whether those who are sold so are called on the day of that column."""
        return column % EVENT_EVERY_DAYS == sold


@dataclass(frozen=True, slots=True, eq=False)
class Mpans:
    """A chunk of MPANs with their meters' half-hours; (homes,) each, `half_hours_wh` (homes, days, 48)."""

    number: I64
    sold: I64
    unit: I64
    supplier: I64
    claims_wh: I64  # (2, homes): what is sold of each in every called period, in the order of SOLD
    half_hours_wh: I16


def read_meters(month: Month, first: int, count: int) -> Mpans:
    """MPANs `first` to before `first + count`: who they are, and their half-hours from keyed draws."""
    number = np.arange(first, first + count, dtype=np.int64)
    u = chance.units(chance.stream(month.seed, Purpose.HOME), number)
    v = chance.units(chance.stream(month.seed, Purpose.ADDRESS), number)
    sold = chance.pick(tuple((place, share) for place, (share, _) in enumerate(SOLD)), u[:, 0])
    claims_wh = np.stack([50 + (150 * v[:, 0]).astype(np.int64), 20 + (100 * v[:, 1]).astype(np.int64)])
    half_hours = np.empty((count, len(month.days), NORMAL_PERIOD_COUNT), np.int16)
    _draw_half_hours(
        chance.stream(month.seed, Purpose.BASE_HALF_HOUR),
        number,
        np.array([day.toordinal() for day in month.days], np.int64),
        (200 + 600 * u[:, 3]).astype(np.int64),
        (claims_wh.sum(axis=0) * (0.6 + 0.8 * v[:, 2])).astype(np.int64),
        np.array([[month.event(k, n) for n in range(len(month.days))] for k in range(len(SOLD))])[sold],
        half_hours,
    )
    return Mpans(
        number,
        sold,
        (u[:, 1] * UNITS).astype(np.int64),
        (u[:, 2] * SUPPLIERS).astype(np.int64),
        claims_wh,
        half_hours,
    )


@njit(cache=True, nogil=True)
def _draw_half_hours(
    key: Any, number: I64, day: I64, size_wh: I64, response_wh: I64, called: Any, out: I16
) -> None:
    """Fill `out` with a home's size x (0.5 to 1.5), less its response when called; a day in 256 has a gap.

    One draw of the generator makes eight half-hours of 16 bits each.
    """
    drawn = np.empty(4, np.uint64)
    for home in range(out.shape[0]):
        for column in range(out.shape[1]):
            for block in range(NORMAL_PERIOD_COUNT // 8):
                drawn[0], drawn[1], drawn[2], drawn[3] = chance.words(key, number[home], day[column], block)
                for k in range(8):
                    part = np.int64((drawn[k // 2] >> np.uint64(16 * (k % 2))) & np.uint64(0xFFFF))
                    out[home, column, 8 * block + k] = (size_wh[home] * (32768 + part)) >> 16
            if called[home, column]:
                for period in range(FIRST_SP - 1, FIRST_SP - 1 + N_SP):
                    out[home, column, period] = max(out[home, column, period] - response_wh[home], 0)
            if drawn[3] & np.uint64(0xFF) == np.uint64(0):
                out[home, column, (drawn[3] >> np.uint64(8)) % np.uint64(NORMAL_PERIOD_COUNT)] = MISSING_WH


# ---------------------------------------------------------------------------------------------------- volumes


@dataclass(slots=True, eq=False)
class Sums:
    """What is kept of the chunks: whole Wh and W, so that they add up to the same in any order."""

    sold_wh: I64  # (SOLD, 2, UNITS): per called period
    mpans: I64  # (SOLD, UNITS)
    paid_wh: I64  # (days, 2, UNITS, N_SP): of those called that day
    deviation_wh: I64  # (days, UNITS, N_SP): measured, turn-down positive
    minutes_w: I64  # (days, UNITS, MINUTES): delivered by those metered by the minute
    metered_wh: I64  # (days, SUPPLIERS, 48)
    moved_wh: I64  # (days, SUPPLIERS, N_SP): what the trading party moved of each Supplier's
    status: I64  # (days, BaselineStatus)

    @classmethod
    def none(cls, days: int) -> Sums:
        """Nothing yet."""
        shapes = (
            (len(SOLD), 2, UNITS),
            (len(SOLD), UNITS),
            (days, 2, UNITS, N_SP),
            (days, UNITS, N_SP),
            (days, UNITS, MINUTES),
            (days, SUPPLIERS, NORMAL_PERIOD_COUNT),
            (days, SUPPLIERS, N_SP),
            (days, len(BaselineStatus)),
        )
        return cls(*(np.zeros(shape, np.int64) for shape in shapes))

    def columns(self) -> tuple[I64, ...]:
        """All of them, in order."""
        return tuple(getattr(self, name) for name in self.__slots__)

    def add(self, other: Sums) -> None:
        """Take in another chunk's."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def digest(self) -> str:
        """SHA-256 of all of them: equal for equal settlements."""
        found = hashlib.sha256()
        for column in self.columns():
            found.update(column.tobytes())
        return found.hexdigest()


class Watch:
    """A thread's own seconds by part of the work; a lap goes to the part that it is given.

    Not those of the wall, so that what else the machine does is nobody's cost.
    """

    def __init__(self) -> None:
        self.spent_s: defaultdict[str, float] = defaultdict(float)
        self._since_s = time.thread_time()

    def lap(self, part: str) -> None:
        """What passed since the last lap was for this part."""
        now_s = time.thread_time()
        self.spent_s[part] += now_s - self._since_s
        self._since_s = now_s


def settle_volumes(
    month: Month, mpans: int, chunk: int = CHUNK, workers: int = WORKERS
) -> tuple[Sums, dict[str, float]]:
    """All volumes of the month, and the seconds that each part took, added up over the threads."""
    firsts = range(0, mpans, chunk)

    def share(worker: int) -> tuple[Sums, Watch]:
        sums, watch = Sums.none(len(month.settled)), Watch()
        for first in firsts[worker::workers]:
            read = read_meters(month, first, min(chunk, mpans - first))
            watch.lap("reading meters (drawn)")
            settle_chunk(month, read, sums, watch)
        return sums, watch

    with ThreadPoolExecutor(workers) as pool:
        shares = list(pool.map(share, range(workers)))
    whole, spent_s = Sums.none(len(month.settled)), defaultdict[str, float](float)
    for sums, watch in shares:
        whole.add(sums)
        for part, seconds in watch.spent_s.items():
            spent_s[part] += seconds
    return whole, dict(spent_s)


def settle_chunk(month: Month, mpans: Mpans, sums: Sums, watch: Watch) -> None:
    """Add a chunk's month to the sums."""
    called = np.array([[month.event(k, n) for n in range(len(month.days))] for k in range(len(SOLD))])
    event_days = called[mpans.sold]
    rows = [np.flatnonzero(mpans.sold == place) for place in range(len(SOLD))]
    for place, its in enumerate(rows):
        sums.mpans[place] += np.bincount(mpans.unit[its], minlength=UNITS)
        for claim in range(2):
            sold_wh = np.bincount(mpans.unit[its], mpans.claims_wh[claim, its], UNITS)
            sums.sold_wh[place, claim] += sold_wh.astype(np.int64)
    totals_wh = baselines.day_totals_wh(mpans.half_hours_wh)
    watch.lap("BL01 baselines")
    for place, day in enumerate(month.settled):
        column = LOOK_BACK_DAYS + place
        metered_wh = np.ascontiguousarray(mpans.half_hours_wh[:, column])
        baseline_wh, status = baselines.bl01(
            mpans.half_hours_wh,
            month.days,
            day,
            metered_wh,
            event_days,
            1,
            min(period_count(day), NORMAL_PERIOD_COUNT),
            in_day_adjustment=False,
            totals_wh=totals_wh,
        )
        sums.status[place] += np.bincount(status, minlength=len(BaselineStatus))
        watch.lap("BL01 baselines")
        metered = np.where(metered_wh == MISSING_WH, np.int16(0), metered_wh)
        sums.metered_wh[place] += _by(metered, mpans.supplier, SUPPLIERS)
        watch.lap("Suppliers' metered volumes")
        for sold in range(len(SOLD)):
            if called[sold, column]:
                its = rows[sold]
                _settle_event(
                    mpans, its, sold, place, baseline_wh[its, SP], status[its], metered_wh[its, SP], sums
                )
                watch.lap("deviations, allocation, units")


def _settle_event(
    mpans: Mpans,
    rows: I64,
    sold: int,
    place: int,
    baseline_wh: Any,
    status: Any,
    metered_wh: I16,
    sums: Sums,
) -> None:
    """One evening of those sold alike: what they moved, whose it was, and who pays for which Wh."""
    unit, supplier = mpans.unit[rows], mpans.supplier[rows]
    moved_wh = whole_deviation_wh(sold, baseline_wh, status, metered_wh)
    paid_wh = paid_by_claim_wh(sold, moved_wh, mpans.claims_wh[:, rows])
    sums.deviation_wh[place] += _by(moved_wh, unit, UNITS)
    for claim in range(2):
        sums.paid_wh[place, claim] += _by(paid_wh[claim], unit, UNITS)
    if sold == BALANCED:
        sums.moved_wh[place] += _by(moved_wh, supplier, SUPPLIERS)
    if sold == MINUTED:
        secure_wh = paid_wh[SOLD[MINUTED][1].index(Product.SECURE)]
        minutes_w = minute_meters_w(mpans.number[rows], place, metered_wh)
        expected_w = np.repeat(
            2 * (secure_wh + np.where(metered_wh == MISSING_WH, 0, metered_wh)), 30, axis=1
        )
        sums.minutes_w[place] += _by(dso_payment.delivered_w(expected_w, minutes_w), unit, UNITS)


def whole_deviation_wh(sold: int, baseline_wh: Any, status: Any, metered_wh: I16) -> I64:
    """What each MPAN did less than expected (homes, N_SP) [Wh], rounded once; nothing where no one knows."""
    measured_wh = np.where(metered_wh == MISSING_WH, np.nan, metered_wh)
    expected_wh = baseline_wh
    if sold == BALANCED:
        expected_wh = deviation_volume.expected_wh(
            np.full(len(status), Indicator.BASELINED, np.int64),
            baseline_wh,
            status != BaselineStatus.INSUFFICIENT,
            np.full_like(baseline_wh, np.nan),
            np.ones(N_SP, np.bool_),
            measured_wh,
        )
    return np.rint(deviation_volume.deviation_wh(expected_wh, measured_wh)).astype(np.int64)


def paid_by_claim_wh(sold: int, moved_wh: I64, claims_wh: I64) -> I64:
    """Each Wh given to one buyer: (2, homes, N_SP), in the order of SOLD, filled in the order of primacy."""
    order = _first_paid(sold)
    wanted = np.broadcast_to(claims_wh[order, :, np.newaxis], (2, *moved_wh.shape))
    paid = np.empty(wanted.shape, np.int64)
    paid[order] = allocate(moved_wh, wanted)
    return paid


def _first_paid(sold: int) -> list[int]:
    """The places of the two claims, the one first that is paid first."""
    products = SOLD[sold][1]
    claims = [Commitment(product, 0, 1, 1, 0) for product in products]
    return [products.index(each.product) for each in pay_order(claims, Primacy.ESO_FIRST)]


def minute_meters_w(number: I64, place: int, metered_wh: I16) -> I32:
    """Import minute by minute (homes, MINUTES) [W]: the half-hour's mean, a keyed swing up and down of it."""
    swing_w = (200 * chance.units(chance.stream(SEED, Purpose.ASSET_METER), number, place)[:, 0]).astype(
        np.int32
    )
    up_and_down = np.tile(np.array([1, -1], np.int32), MINUTES // 2)
    mean_w = 2 * np.where(metered_wh == MISSING_WH, np.int16(0), metered_wh).astype(np.int32)
    return np.repeat(mean_w, dso_payment.MINUTES_PER_HALF_HOUR, axis=1) + swing_w[:, np.newaxis] * up_and_down


def _by(amount: Any, group: I64, groups: int) -> I64:
    """Whole sums by group (groups, periods): floats add up whole numbers exactly below 2**53."""
    return deviation_volume.by_supplier(amount, group, groups).astype(np.int64)


# ------------------------------------------------------------------------------------------------------ money


@dataclass(frozen=True, slots=True)
class Line:
    """One payment [1e-5 GBP]; a negative one flows the other way."""

    what: str
    payer: str
    payee: str
    amount_gbp_e5: int


@dataclass(frozen=True, slots=True)
class Books:
    """The rulebooks in force at the beginning of the month."""

    dfs: Rulebook
    bsc: Rulebook
    dso: Rulebook
    capacity: Rulebook

    @classmethod
    def of(cls, month: Month) -> Books:
        """Loaded."""
        names = ("dfs", "bsc", "dso_settlement", "capacity_market")
        return cls(*(load_rulebook(name, month.first) for name in names))


def payments(month: Month, sums: Sums) -> Iterator[Line]:
    """Every payment of the month, worked out from whole sums."""
    books = Books.of(month)
    days = {
        sold: [n for n in range(len(month.settled)) if month.event(sold, LOOK_BACK_DAYS + n)]
        for sold in range(len(SOLD))
    }
    for sold, (_, products) in enumerate(SOLD):
        for claim, product in enumerate(products):
            for unit in np.flatnonzero(sums.sold_wh[sold, claim]).tolist():
                yield from _PAID[product](_Volumes(month, books, sums, sold, claim, unit, days[sold]))
    for unit in np.flatnonzero(sums.sold_wh[BALANCED].sum(axis=0)).tolist():
        yield from _capacity(sums, unit, days[BALANCED], books.capacity)
    for place in days[BALANCED]:
        for period in range(N_SP):
            yield from _party_account(sums, place, period, books.bsc)


@dataclass(frozen=True, slots=True)
class _Volumes:
    """One unit, sold as one product, on its days."""

    month: Month
    books: Books
    sums: Sums
    sold: int
    claim: int
    unit: int
    days: list[int]

    @property
    def sold_mwh(self) -> Any:
        """Of every called period."""
        return exact(int(self.sums.sold_wh[self.sold, self.claim, self.unit])) / WH_PER_MWH

    def paid_mwh(self) -> Iterator[Any]:
        """Of each called period in order."""
        for place in self.days:
            for volume_wh in self.sums.paid_wh[place, self.claim, self.unit].tolist():
                yield exact(volume_wh) / WH_PER_MWH


def _dfs(volumes: _Volumes) -> Iterator[Line]:
    for delivered_mwh in volumes.paid_mwh():
        paid = settlement.dfs_payment(
            volumes.books.dfs, 2 * volumes.sold_mwh, PRICE_GBP_PER_MWH[Product.DFS], delivered_mwh
        )
        yield Line("DFS", "neso", "provider", paid.amount_gbp_e5)


def _balancing(volumes: _Volumes) -> Iterator[Line]:
    price, sold_mwh = PRICE_GBP_PER_MWH[Product.BM], float(volumes.sold_mwh)
    pairs = [BidOfferPair(1, 2 * sold_mwh, price, price)]
    accepted = [AcceptanceVolume(1, 1, sold_mwh, 0.0)]
    for paid_mwh in volumes.paid_mwh():
        cashflow = settlement.bm_cashflow(accepted, pairs)
        yield Line("BM", "neso", "provider", cashflow.total_gbp_e5)
        missing = settlement.non_delivery(sold_mwh, float(paid_mwh), accepted, pairs, SYSTEM_PRICE)
        yield Line("BM non-delivery", "provider", "neso", missing.charge_gbp_e5)


def _wholesale(volumes: _Volumes) -> Iterator[Line]:
    for _ in range(len(volumes.days) * N_SP):
        amount = gbp_e5(PRICE_GBP_PER_MWH[Product.WHOLESALE], volumes.sold_mwh)
        yield Line("wholesale", "exchange", "provider", amount)


def _sustain(volumes: _Volumes) -> Iterator[Line]:
    sold_mwh = float(volumes.sold_mwh)
    came = [dso_payment.Delivery(sold_mwh, float(paid_mwh), 0) for paid_mwh in volumes.paid_mwh()]
    yield _of_the_month(Product.SUSTAIN, came, volumes)


def _secure(volumes: _Volumes) -> Iterator[Line]:
    """From minutes: started at the first called minute, stopped at the end of the last period."""
    wanted_w = round(2 * volumes.sold_mwh * W_PER_MW)
    came: list[dso_payment.Delivery] = []
    for place in volumes.days:
        start_ms = periods.period_bounds_ms(volumes.month.settled[place], FIRST_SP)[0]
        signals = [(start_ms, dso_payment.Signal.START, wanted_w)]
        wanted = dso_payment.instructed_w(signals, start_ms, MINUTES)
        delivered = volumes.sums.minutes_w[place, volumes.unit].astype(np.float64)
        came += dso_payment.half_hour_deliveries(wanted, delivered, volumes.books.dso)
    yield _of_the_month(Product.SECURE, came, volumes)


def _of_the_month(product: Product, came: list[dso_payment.Delivery], volumes: _Volumes) -> Line:
    paid = dso_payment.monthly_payment(
        product.value,
        came,
        2 * volumes.sold_mwh,
        volumes.books.dso,
        utilisation_price_gbp_per_mwh=PRICE_GBP_PER_MWH[product],
        availability_price_gbp_per_mw_h=AVAILABILITY_GBP_PER_MW_H,
        available_hours=len(volumes.days) * N_SP / 2,
    )
    return Line(product.value, "dno", "provider", paid.total_gbp_e5)


_PAID: dict[Product, Callable[[_Volumes], Iterator[Line]]] = {
    Product.DFS: _dfs,
    Product.BM: _balancing,
    Product.WHOLESALE: _wholesale,
    Product.SUSTAIN: _sustain,
    Product.SECURE: _secure,
}


def _capacity(sums: Sums, unit: int, days: list[int], rules: Rulebook) -> Iterator[Line]:
    """The month's capacity payment, and the penalty for its first evening, which is one of stress."""
    everyone_mw = 2 * int(sums.sold_wh[BALANCED].sum()) / WH_PER_MWH
    obligation_mw = 2 * int(sums.sold_wh[BALANCED, :, unit].sum()) / WH_PER_MWH
    demand_mw = np.full(N_SP, SYSTEM_DEMAND_SHARE * everyone_mw)
    owed_mw = load_following_obligation_mw(obligation_mw, demand_mw, everyone_mw)
    delivered_mwh = sums.paid_wh[days[0], :, unit].sum(axis=0) / WH_PER_MWH
    missing_mwh = stress_delivery(owed_mw, delivered_mwh, np.ones(N_SP, np.bool_)).missing_mwh
    monthly = monthly_payment_gbp_e5(obligation_mw, rules)
    penalty = gbp_e5(penalty_rate_gbp_per_mwh(rules), float(missing_mwh.sum()))
    yield Line("capacity", "capacity body", "provider", monthly)
    (charged,) = capped_penalties_gbp_e5([penalty], monthly, rules)
    yield Line("capacity penalty", "provider", "capacity body", charged)


def _party_account(sums: Sums, place: int, period: int, bsc: Rulebook) -> Iterator[Line]:
    """The trading party's imbalance, and what it owes the Suppliers whose customers it moved."""
    moved = [exact(volume) / WH_PER_MWH for volume in sums.moved_wh[place, :, period].tolist()]
    demand = sums.metered_wh[place, :, FIRST_SP - 1 + period].tolist()
    accepted, traded = (exact(int(sums.sold_wh[BALANCED, claim].sum())) / WH_PER_MWH for claim in range(2))
    out = settlement.imbalance(sum(moved), accepted, traded, SYSTEM_PRICE)
    yield Line("imbalance", "provider", "elexon", out.charge_gbp_e5)
    owed = deviation_volume.compensation(
        bsc.value("wholesale_compensation"), sum(moved), moved, demand, SOURCING_COST
    )
    yield Line("compensation", "elexon", "provider", owed.party_gbp_e5)
    for supplier in range(SUPPLIERS):
        amount = owed.hosts_gbp_e5[supplier] + owed.shared_gbp_e5[supplier]
        yield Line("compensation", "elexon", f"supplier {supplier + 1}", amount)


def balances(lines: list[Line]) -> dict[str, int]:
    """What every party is left with [1e-5 GBP]; all together nothing."""
    found: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        found[line.payer] -= line.amount_gbp_e5
        found[line.payee] += line.amount_gbp_e5
    return dict(sorted(found.items()))


# -------------------------------------------------------------------------------------------------- measuring


@dataclass(frozen=True, slots=True)
class Cost:
    """What a month cost. Parts are seconds added up over the threads."""

    mpans: int
    days: int
    wall_s: float
    busy_s: float  # of all threads together
    peak_gb: float
    parts_s: dict[str, float]
    lines: list[Line]
    digest: str

    @property
    def ns_per_mpan_day(self) -> float:
        """Seconds of all threads per MPAN and settled day [ns]."""
        return self.busy_s / (self.mpans * self.days) * 1e9


def measure(mpans: int) -> Cost:
    """One month, timed; kernels are compiled before."""
    month = Month()
    settle_volumes(month, 64, 32)
    began_s, idle_s = time.perf_counter(), time.process_time()
    sums, parts_s = settle_volumes(month, mpans)
    volumes_s = time.perf_counter()
    lines = list(payments(month, sums))
    ended_s = time.perf_counter()
    parts_s["payments, one thread"] = ended_s - volumes_s
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    busy_s = time.process_time() - idle_s
    return Cost(mpans, len(month.settled), ended_s - began_s, busy_s, peak_gb, parts_s, lines, sums.digest())


def told(cost: Cost) -> Iterator[str]:
    """A measurement in lines."""
    yield f"{cost.mpans:,} MPANs, {cost.days} days: {cost.wall_s:.1f} s, {cost.peak_gb:.2f} GB at most"
    yield f"{cost.busy_s:.1f} s of {WORKERS} threads, {cost.ns_per_mpan_day:,.0f} ns per MPAN and day"
    for part, seconds in sorted(cost.parts_s.items(), key=lambda each: -each[1]):
        yield f"  {seconds:7.2f} s {seconds / (cost.mpans * cost.days) * 1e9:7.0f} ns  {part}"
    left = balances(cost.lines)
    for party, amount in left.items():
        yield f"  {amount / 1e5:16,.2f} GBP  {party}"
    yield f"  {sum(left.values()) / 1e5:16,.2f} GBP  all; {len(cost.lines):,} lines; {cost.digest[:16]}"


def main() -> None:
    """Settle a month for each number of MPANs asked for, smallest first."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    asked.add_argument("--mpans", type=int, nargs="+", default=[20_000, 100_000])
    for mpans in sorted(asked.parse_args().mpans):
        print("\n".join(told(measure(mpans))), flush=True)


if __name__ == "__main__":
    main()
