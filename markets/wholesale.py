"""The wholesale auctions as data and formulas: what an order must look like, when books close, who trades.

This owns no memory and no message but the order itself; `markets/exchange.py` asks it. The portfolio is a
price-taker: what trades is decided by a price that is given, and moves it not. Hard cases: docs/rules.md
R173-R179.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from protocol.messages import WholesaleOrder
from protocol.periods import (
    HOUR_MS,
    PERIOD_MS,
    day_end_ms,
    day_start_ms,
    gate_closure_ms,
    local_clock_ms,
    local_date,
)
from protocol.units import exact

HOURLY = "day_ahead_hourly"
HALF_HOURLY = "day_ahead_half_hourly"
INTRADAY = "intraday"

LOT_MW = Fraction(1, 10)
"""Smallest step of an order. EPEX GB half-hourly auction [S]; the same for the others: assumed."""
LOWEST_GBP_PER_MWH, HIGHEST_GBP_PER_MWH = -500, 3_000
"""Bounds of limits. EPEX GB half-hourly auction [S]; the same for the others: assumed."""
HOURLY_CLOSES_MINUTE = {"n2ex": 9 * 60 + 50, "epex": 9 * 60 + 20}
"""Local minute of the day before at which the hourly book closes: N2EX 09:50 [S], EPEX GB 09:20 [M]."""

_TICKS_PER_GBP = 100


@dataclass(frozen=True, slots=True)
class Auction:
    """How one auction is held: length of its products [ms], and the local minutes of the day before at which
    the book closes and results come; None where orders trade as they come, until Gate Closure.
    """

    name: str
    length_ms: int
    closes_minute: int | None
    results_minute: int | None

    def closes_ms(self, start_ms: int) -> int:
        """When orders for the product that starts at `start_ms` are late [UTC ms]."""
        if self.closes_minute is None:
            return gate_closure_ms(start_ms)
        return _the_day_before_ms(start_ms, self.closes_minute)

    def results_ms(self, start_ms: int) -> int | None:
        """When orders for the product that starts at `start_ms` are answered [UTC ms]; None for at once."""
        return None if self.results_minute is None else _the_day_before_ms(start_ms, self.results_minute)


def auctions(names: Sequence[str], hourly_exchange: str) -> dict[str, Auction]:
    """The auctions of these names; the hourly one closes as that exchange's ("n2ex" or "epex").

    Times: market facts 5.3; N2EX results by 10:00 [S], half-hourly 15:30 and 15:45 [S], intraday half hours
    to Gate Closure [M].
    """
    known = (
        Auction(HOURLY, HOUR_MS, HOURLY_CLOSES_MINUTE[hourly_exchange], 10 * 60),
        Auction(HALF_HOURLY, PERIOD_MS, 15 * 60 + 30, 15 * 60 + 45),
        Auction(INTRADAY, PERIOD_MS, None, None),
    )
    return {auction.name: auction for auction in known if auction.name in names}


def product_fault(order: WholesaleOrder, auction: Auction, days: Sequence[date]) -> str:
    """Why the order names no product of the auction: not one whole hour or half hour, or of another day; ""
    for none.
    """
    whole = order.start_ms % auction.length_ms == 0 and order.end_ms - order.start_ms == auction.length_ms
    if not whole:
        minutes = auction.length_ms // 60_000
        return f"not a product: {auction.name} trades whole stretches of {minutes} minutes"
    if order.start_ms not in range(day_start_ms(days[0]), day_end_ms(days[-1])):
        return "not a product: nothing is traded for this day"
    return ""


def volume_fault(order: WholesaleOrder) -> str:
    """Why the volume cannot be traded: nothing, not a number, or parts of a lot; "" for none."""
    if not math.isfinite(order.sell_mwh) or order.sell_mwh == 0:
        return f"off lot: an order is for a volume other than nothing, not {order.sell_mwh} MWh"
    if lots(order).denominator != 1:
        return f"off lot: {order.sell_mwh} MWh is no whole number of lots of {float(LOT_MW)} MW"
    return ""


def price_fault(order: WholesaleOrder) -> str:
    """Why the limit is no price of the auction: out of bounds, or finer than a penny; "" for none."""
    limit = order.limit_gbp_per_mwh
    if not LOWEST_GBP_PER_MWH <= limit <= HIGHEST_GBP_PER_MWH:
        bounds = f"{LOWEST_GBP_PER_MWH} to {HIGHEST_GBP_PER_MWH} GBP/MWh"
        return f"off price: {limit} is not within {bounds}"
    if (exact(limit) * _TICKS_PER_GBP).denominator != 1:
        return f"off price: {limit} GBP/MWh has more than two decimal places"
    return ""


def time_fault(order: WholesaleOrder, auction: Auction, now_ms: int) -> str:
    """Why the order came too late: at the close of the book it is (R147); "" where it did not."""
    if now_ms < auction.closes_ms(order.start_ms):
        return ""
    return (
        "after gate: Gate Closure has passed" if auction.closes_minute is None else "late: the book is closed"
    )


def lots(order: WholesaleOrder) -> Fraction:
    """How many lots an order is for, with the sign of `sell_mwh`; whole where it is on lot."""
    return exact(order.sell_mwh) / lot_mwh(order)


def lot_mwh(order: WholesaleOrder) -> Fraction:
    """Energy of one lot of the order's product [MWh]."""
    return LOT_MW * Fraction(order.end_ms - order.start_ms, HOUR_MS)


def meets(order: WholesaleOrder, price_gbp_per_mwh: float) -> bool:
    """Whether the price is the order's limit or better for it."""
    if order.sell_mwh > 0:
        return price_gbp_per_mwh >= order.limit_gbp_per_mwh
    return price_gbp_per_mwh <= order.limit_gbp_per_mwh


def traded_lots(
    orders: Sequence[WholesaleOrder], price_gbp_per_mwh: float, depth_lots: int
) -> tuple[int, ...]:
    """Lots that each of the orders of one side and product trades, positive; in their order.

    Orders at the price or better trade in full, the keenest limit first, at equal limits the first that came,
    until the depth is used up; the one that meets its end trades in part.
    """
    side = 1 if orders and orders[0].sell_mwh > 0 else -1
    traded = [0] * len(orders)
    for place in sorted(range(len(orders)), key=lambda place: side * orders[place].limit_gbp_per_mwh):
        if meets(orders[place], price_gbp_per_mwh):
            traded[place] = min(abs(int(lots(orders[place]))), depth_lots)
            depth_lots -= traded[place]
    return tuple(traded)


def position_mwh(traded_mwh: float, start_ms: int, end_ms: int) -> Fraction:
    """What a trade of a product is in each of its settlement periods [MWh]: equal parts (R174)."""
    return exact(traded_mwh) * Fraction(PERIOD_MS, end_ms - start_ms)


def _the_day_before_ms(start_ms: int, minute: int) -> int:
    return local_clock_ms(local_date(start_ms) - timedelta(days=1), *divmod(minute, 60))
