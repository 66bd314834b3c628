"""What a Virtual Trading Party orders: turn-down sold in the dearest periods, bought back in the cheapest.

Pure functions from prices, known or foreseen, and what a unit can do. Energy that is held is drawn later, so
each sale is paired with purchases in later periods before its deadline, and nothing is ordered that does not
pay for itself: price sold less price bought, cost of holding, what the Suppliers are owed (P415) and the
margin. A limit gives away at most half of what a pair would gain above that, so that two trades at their
limits still pay. One of the two may trade alone where prices come otherwise than foreseen, nearly always
where a whole day is dearer or cheaper; so orders on foreseen prices are given `at_any_price`, and what traded
alone is evened up within the day (docs/rules.md R177).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from protocol.messages import WholesaleOrder
from protocol.periods import (
    HOUR_MS,
    NORMAL_PERIOD_COUNT,
    PERIOD_MS,
    baseline_day_type,
    clock_half_hours,
    day_start_ms,
    period_count,
)

HOURLY, HALF_HOURLY, INTRADAY = "day_ahead_hourly", "day_ahead_half_hourly", "intraday"
PERIODS_PER_PRODUCT = {HOURLY: 2, HALF_HOURLY: 1, INTRADAY: 1}
"""Settlement periods in one product of each auction."""
LOT_MW = 0.1
LOWEST_GBP_PER_MWH, HIGHEST_GBP_PER_MWH = -500.0, 3_000.0
"""Smallest step and bounds of an order. EPEX GB half-hourly auction [S]; the same for others: assumed."""

_WHOLE = 1e-9
"""Far below a lot: how near to a whole number of lots counts as whole [lots]."""


@dataclass(frozen=True, slots=True)
class TradingTerms:
    """When trading is worth its while.

    `auction`: in which the orders are given. `cost_per_hold_gbp_per_mwh`: of turning down and of turning up
    by a MWh together. `compensation_gbp_per_mwh`: paid to Suppliers for a MWh sold, and got back for one
    bought; 0 where it is mutualised. `margin_gbp_per_mwh`: the least gain of a pair. `spread_gbp_per_mwh`:
    between what a sale earns and a purchase costs at the prices given. `payback_share`: of the energy
    held back that is drawn later and so is bought. `payback_periods`: within how many periods after it was
    held. `most_hold_periods`: how many periods in a row a unit may be held. `at_any_price`: limits are the
    bounds of the auction, so that a sale and its payback both trade whatever the day's level.
    """

    auction: str
    cost_per_hold_gbp_per_mwh: float
    compensation_gbp_per_mwh: float
    margin_gbp_per_mwh: float
    spread_gbp_per_mwh: float = 0.0
    payback_share: float = 1.0
    payback_periods: int = 24
    most_hold_periods: int = 4
    at_any_price: bool = False

    def gain_gbp_per_mwh(self, sold_at_gbp_per_mwh: float, bought_at_gbp_per_mwh: float) -> float:
        """What a MWh sold leaves when its payback is bought, before the margin [GBP/MWh]."""
        share, half_spread = self.payback_share, self.spread_gbp_per_mwh / 2
        sold = sold_at_gbp_per_mwh - half_spread
        bought = share * (bought_at_gbp_per_mwh + half_spread)
        return sold - bought - self.cost_per_hold_gbp_per_mwh - self.compensation_gbp_per_mwh * (1 - share)


@dataclass(frozen=True, slots=True)
class TradePlan:
    """Orders of one unit for one day, and in plain words why there are none; "" where there are."""

    orders: tuple[WholesaleOrder, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Trader:
    """In which auctions the owner orders, and how.

    `terms` by auction, in the order in which they are held. `hourly_closes_minute`: local minute of the day
    before at which the hourly book closes. `foreseen_days`: of prices told, from which that auction's are
    foreseen. `last_day`: the last that is traded.
    """

    terms: Mapping[str, TradingTerms]
    hourly_closes_minute: int
    foreseen_days: int
    last_day: date

    def plan(
        self,
        auction: str,
        unit: str,
        day: date,
        prices_gbp_per_mwh: Sequence[float],
        down_mw: Sequence[float],
        up_mw: Sequence[float],
    ) -> TradePlan:
        """What to order in an auction, or why nothing; arguments as for `plan`."""
        return plan(unit, day, prices_gbp_per_mwh, down_mw, up_mw, self.terms[auction])

    def even_up(
        self,
        unit: str,
        day: date,
        prices_gbp_per_mwh: Sequence[float],
        down_mw: Sequence[float],
        up_mw: Sequence[float],
        owed_mwh: float,
    ) -> tuple[WholesaleOrder, ...]:
        """What to order within the day for what traded alone; arguments as for `even_up`."""
        return even_up(unit, day, prices_gbp_per_mwh, down_mw, up_mw, owed_mwh, self.terms[INTRADAY])


def orders(
    unit: str,
    day: date,
    prices_gbp_per_mwh: Sequence[float],
    down_mw: Sequence[float],
    up_mw: Sequence[float],
    terms: TradingTerms,
) -> tuple[WholesaleOrder, ...]:
    """The orders of `plan`: sales (positive) and purchases, in order of time; none where nothing pays."""
    return plan(unit, day, prices_gbp_per_mwh, down_mw, up_mw, terms).orders


def plan(
    unit: str,
    day: date,
    prices_gbp_per_mwh: Sequence[float],
    down_mw: Sequence[float],
    up_mw: Sequence[float],
    terms: TradingTerms,
) -> TradePlan:
    """Orders for one unit, or why there are none.

    `prices_gbp_per_mwh` known or foreseen, `down_mw` and `up_mw` what can be turned either way: one value per
    settlement period of the local day; 0 MW where nothing may be ordered (any more). Raises ValueError for
    another number of values.
    """
    book = _book(day, prices_gbp_per_mwh, down_mw, up_mw, terms)
    lots, slack = _paired(book, terms)
    limits = [
        _limit(price, slack[place], terms, sells=lots[place] > 0) for place, price in enumerate(book.prices)
    ]
    found = _orders(f"{unit}-{terms.auction}-{day}", unit, day, terms, lots, limits)
    return TradePlan(found, "" if found else _why_nothing(book, terms))


def even_up(
    unit: str,
    day: date,
    prices_gbp_per_mwh: Sequence[float],
    down_mw: Sequence[float],
    up_mw: Sequence[float],
    owed_mwh: float,
    terms: TradingTerms,
) -> tuple[WholesaleOrder, ...]:
    """Orders at any price for what traded without its other half: bought in the cheapest periods (`owed_mwh`
    above 0: sold and not bought back), or sold in the dearest.

    Arguments as for `plan`; 0 MW where nothing may be ordered any more. Parts of a lot stay as they are.
    """
    book = _book(day, prices_gbp_per_mwh, down_mw, up_mw, terms)
    side = -1 if owed_mwh > 0 else 1
    able = book.up if owed_mwh > 0 else book.down
    left = math.floor(abs(owed_mwh) / _mwh(1, _length_ms(terms)) + _WHOLE)
    lots = [0] * len(able)
    for place in sorted(range(len(able)), key=lambda place: -side * book.prices[place]):
        lots[place] = side * min(able[place], left)
        left -= abs(lots[place])
    limits = [LOWEST_GBP_PER_MWH if side > 0 else HIGHEST_GBP_PER_MWH] * len(lots)
    return _orders(f"{unit}-{terms.auction}-{day}-even", unit, day, terms, lots, limits)


def foreseen_prices(
    day: date, told: Mapping[date, Sequence[float]], days: int = 5
) -> tuple[float, ...] | None:
    """Prices of `day` [GBP/MWh] (periods) as the mean of the latest `days` days told before it, by the wall
    clock; None where none was told.

    Days of the same type (working or not) where there are any, else the latest of any type. In the hour that
    March lacks the price before it holds; the hour that October repeats is its mean.
    """
    known = sorted((past for past in told if past < day), reverse=True)
    alike = [past for past in known if baseline_day_type(past) == baseline_day_type(day)]
    chosen = (alike or known)[:days]
    if not chosen:
        return None
    shapes = [_by_clock(past, told[past]) for past in chosen]
    return tuple(_mean([shape[place] for shape in shapes]) for place in clock_half_hours(day).tolist())


# ------------------------------------------------------------------------------------------------- products


@dataclass(frozen=True, slots=True)
class _Book:
    """Prices [GBP/MWh] and what can be turned down and up [lots] of each product of the day."""

    prices: list[float]
    down: list[int]
    up: list[int]


def _book(
    day: date,
    prices_gbp_per_mwh: Sequence[float],
    down_mw: Sequence[float],
    up_mw: Sequence[float],
    terms: TradingTerms,
) -> _Book:
    """The day's products. Raises ValueError where there is not one value per period."""
    count = period_count(day)
    if not len(prices_gbp_per_mwh) == len(down_mw) == len(up_mw) == count:
        raise ValueError(f"{day} has {count} periods: prices, down_mw and up_mw must have as many values")
    return _Book(
        prices=[_within_bounds(price) for price in _products(prices_gbp_per_mwh, terms, _mean)],
        down=_lots(_products(down_mw, terms, min)),
        up=_lots(_products(up_mw, terms, min)),
    )


def _orders(
    name: str,
    unit: str,
    day: date,
    terms: TradingTerms,
    lots: Sequence[int],
    limits_gbp_per_mwh: Sequence[float],
) -> tuple[WholesaleOrder, ...]:
    """An order for each product with lots, positive ones sales; ids are `name` and the product's number."""
    length_ms, start_ms = _length_ms(terms), day_start_ms(day)
    return tuple(
        WholesaleOrder(
            order_id=f"{name}-{place + 1}",
            unit=unit,
            auction=terms.auction,
            start_ms=start_ms + place * length_ms,
            end_ms=start_ms + (place + 1) * length_ms,
            sell_mwh=_mwh(count, length_ms),
            limit_gbp_per_mwh=limits_gbp_per_mwh[place],
        )
        for place, count in enumerate(lots)
        if count
    )


def _length_ms(terms: TradingTerms) -> int:
    return PERIODS_PER_PRODUCT[terms.auction] * PERIOD_MS


def _products(
    values: Sequence[float], terms: TradingTerms, joined: Callable[[Sequence[float]], float]
) -> list[float]:
    """One value per product of the auction."""
    length = PERIODS_PER_PRODUCT[terms.auction]
    return [float(joined(values[at : at + length])) for at in range(0, len(values), length)]


def _lots(available_mw: Sequence[float]) -> list[int]:
    return [max(math.floor(mw / LOT_MW + _WHOLE), 0) for mw in available_mw]


def _mwh(lots: int, length_ms: int) -> float:
    """Energy of lots, with as many decimal places as it needs [MWh]."""
    return round(lots * LOT_MW * length_ms / HOUR_MS, 6)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _within_bounds(price_gbp_per_mwh: float) -> float:
    return min(max(price_gbp_per_mwh, LOWEST_GBP_PER_MWH), HIGHEST_GBP_PER_MWH)


def _by_clock(day: date, prices_gbp_per_mwh: Sequence[float]) -> list[float]:
    """Price by half-hour of the wall clock (48): of one shown twice the mean, of one left out the last."""
    shown: dict[int, list[float]] = {}
    for place, price in zip(clock_half_hours(day).tolist(), prices_gbp_per_mwh, strict=True):
        shown.setdefault(place, []).append(price)
    found: list[float] = []
    for place in range(NORMAL_PERIOD_COUNT):
        found.append(_mean(shown[place]) if place in shown else found[-1])
    return found


# -------------------------------------------------------------------------------------------------- pairing


@dataclass(frozen=True, slots=True)
class _Pair:
    """A sale in product `sale` and the purchase that pays it back; None where nothing is paid back."""

    gain_gbp_per_mwh: float
    sale: int
    purchase: int | None


def _candidates(book: _Book, terms: TradingTerms) -> list[_Pair]:
    """Every pair of products that could be traded, the best first, at equal gains the earliest."""
    reach = terms.payback_periods // PERIODS_PER_PRODUCT[terms.auction]
    found = []
    for sale in (place for place, lots in enumerate(book.down) if lots):
        if terms.payback_share == 0:
            found.append(_Pair(terms.gain_gbp_per_mwh(book.prices[sale], 0.0), sale, None))
            continue
        for purchase in range(sale + 1, min(sale + reach + 1, len(book.up))):
            if book.up[purchase]:
                gain = terms.gain_gbp_per_mwh(book.prices[sale], book.prices[purchase])
                found.append(_Pair(gain, sale, purchase))
    return sorted(found, key=lambda pair: (-pair.gain_gbp_per_mwh, pair.sale, pair.purchase or 0))


def _paired(book: _Book, terms: TradingTerms) -> tuple[list[int], list[float]]:
    """Lots of each product, positive for sales, and the slack of its limit [GBP/MWh]: the best pairs first.

    Nothing is sold and bought in one product, and no stretch is sold longer than a unit may be held.
    """
    sold, bought = [0] * len(book.prices), [0.0] * len(book.prices)
    slack = [0.0] * len(book.prices)
    for pair in _candidates(book, terms):
        if pair.gain_gbp_per_mwh < terms.margin_gbp_per_mwh:
            break
        amount = _amount(pair, book, sold, bought, terms)
        if not amount:
            continue
        sold[pair.sale] += amount
        traded = [pair.sale]
        if pair.purchase is not None:
            bought[pair.purchase] += amount * terms.payback_share
            traded.append(pair.purchase)
        for place in traded:  # the pair that gains least comes last
            slack[place] = (pair.gain_gbp_per_mwh - terms.margin_gbp_per_mwh) / 2
    lots = [sale - math.floor(purchase + _WHOLE) for sale, purchase in zip(sold, bought, strict=True)]
    return lots, slack


def _amount(pair: _Pair, book: _Book, sold: list[int], bought: list[float], terms: TradingTerms) -> int:
    """Lots that a pair can still add; 0 where it may not."""
    most = terms.most_hold_periods // PERIODS_PER_PRODUCT[terms.auction]
    if bought[pair.sale] or _stretch(sold, pair.sale) > most:
        return 0
    left = book.down[pair.sale] - sold[pair.sale]
    if pair.purchase is None:
        return left
    if sold[pair.purchase]:
        return 0
    room = (book.up[pair.purchase] - bought[pair.purchase]) / terms.payback_share
    return min(left, math.floor(room + _WHOLE))


def _stretch(sold: list[int], place: int) -> int:
    """How many products in a row are sold when this one is."""
    first, last = place, place
    while first > 0 and sold[first - 1]:
        first -= 1
    while last + 1 < len(sold) and sold[last + 1]:
        last += 1
    return last - first + 1


def _limit(price_gbp_per_mwh: float, slack_gbp_per_mwh: float, terms: TradingTerms, *, sells: bool) -> float:
    """The worst price at which an order still does its part in its pairs, in whole pence."""
    if terms.at_any_price:
        return LOWEST_GBP_PER_MWH if sells else HIGHEST_GBP_PER_MWH
    given = terms.spread_gbp_per_mwh / 2 + slack_gbp_per_mwh
    if sells:
        return _within_bounds(math.ceil((price_gbp_per_mwh - given) * 100 - _WHOLE) / 100)
    return _within_bounds(math.floor((price_gbp_per_mwh + given) * 100 + _WHOLE) / 100)


def _why_nothing(book: _Book, terms: TradingTerms) -> str:
    """Why there is no order, in plain words."""
    if not any(book.down):
        return f"no lot of {LOT_MW} MW can be turned down"
    best = next(iter(_candidates(book, terms)), None)
    if best is None:
        return f"what is held cannot be drawn within {terms.payback_periods} periods after"
    if best.gain_gbp_per_mwh < terms.margin_gbp_per_mwh:
        gain, margin = best.gain_gbp_per_mwh, terms.margin_gbp_per_mwh
        return f"the best sale would gain {gain:.2f} GBP/MWh, less than the margin of {margin:.2f}"
    return f"a unit may be held for {terms.most_hold_periods} periods, less than one product of the auction"
