"""The exchange and the price publisher: prices as they become known, and an answer to every order.

This owns when prices become known and who may trade at them, not how they come about: they are given as
arrays. Day-ahead: the N2EX order book closes at 09:50 and results are there by 10:00 local time [S]. System
price: 20 minutes after the period [assumed]. What an order must be like and how much of it trades is
`markets/wholesale.py`; rules: docs/markets.md X1-X9.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date
from fractions import Fraction

import numpy as np

from markets.counterparty import AGGREGATOR, BALANCING, SETTLEMENT, Counterparty, Handler, earliest_ms
from markets.settings import ExchangeSettings, SettingsError, TradingSettings
from markets.wholesale import (
    HOURLY,
    INTRADAY,
    LOT_MW,
    Auction,
    auctions,
    lot_mwh,
    position_mwh,
    price_fault,
    product_fault,
    time_fault,
    traded_lots,
    volume_fault,
)
from protocol.messages import (
    I32,
    DayAheadPrices,
    Message,
    ServiceUnit,
    ServiceUnitAnswer,
    SystemPrice,
    WholesaleOrder,
    WholesaleTrade,
)
from protocol.party import Envelope
from protocol.periods import (
    HOUR_MS,
    MINUTE_MS,
    PERIOD_MS,
    day_start_ms,
    local_clock_ms,
    local_date,
    period_count,
)
from protocol.products import Product
from protocol.units import exact

DAY_AHEAD_HOUR = 10
SYSTEM_PRICE_AFTER_MS = 20 * MINUTE_MS


@dataclass(slots=True)
class ExchangeState:
    """How many days' and periods' prices have been published; units, and orders and trades until delivery.

    `waiting`: orders taken that their auction has not yet answered, in the order in which they came.
    """

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    days: int = 0
    periods: int = 0
    units: dict[str, I32] = field(default_factory=dict)
    orders: dict[str, WholesaleOrder] = field(default_factory=dict)
    waiting: list[WholesaleOrder] = field(default_factory=list)
    trades: list[WholesaleTrade] = field(default_factory=list)


class Exchange(Counterparty[ExchangeState]):
    """Publishes the prices that it was given, and answers orders at them.

    Raises SettingsError when prices do not cover their days.
    """

    def __init__(self, settings: ExchangeSettings) -> None:
        self.settings = settings
        self._check()
        trading = settings.trading
        self.auctions = auctions(trading.auctions, trading.hourly_exchange) if trading else {}
        super().__init__("exchange", ExchangeState(now_ms=day_start_ms(settings.days[0])))

    def handlers(self) -> Mapping[type[Message], Handler]:
        if self.settings.trading is None:
            return {}
        return {ServiceUnit: self._enrol, WholesaleOrder: self._take}

    def due_ms(self) -> int:
        return earliest_ms([*self._day_ahead_due_ms(), *self._system_due_ms(), *self._results_due_ms()])

    def act(self) -> None:
        """Day-ahead prices before system prices before results, each in order of time."""
        while any(due <= self.state.now_ms for due in self._day_ahead_due_ms()):
            self.say(self._day_ahead(self.settings.days[self.state.days]), AGGREGATOR)
            self.state.days += 1
        while any(due <= self.state.now_ms for due in self._system_due_ms()):
            self.say(self._system_price(self.state.periods), AGGREGATOR, BALANCING, SETTLEMENT)
            self.state.periods += 1
            self._forget_delivered()
        if any(due <= self.state.now_ms for due in self._results_due_ms()):
            self._hold_auctions()

    def _check(self) -> None:
        wanted = sum(period_count(day) for day in self.settings.days)
        for holder, names in (
            (self.settings, ("day_ahead_gbp_per_mwh", "system_gbp_per_mwh", "net_imbalance_mwh")),
            (self.settings.trading, ("half_hourly_gbp_per_mwh", "intraday_gbp_per_mwh")),
        ):
            for name in names if holder else ():
                found = len(getattr(holder, name))
                if found != wanted:
                    raise SettingsError(f"{name} has {found} values; the days given have {wanted} periods")

    def _day_ahead_due_ms(self) -> list[int]:
        """When the next day's prices are due: at once for the first day, else at 10:00 the day before."""
        if self.state.days == len(self.settings.days):
            return []
        if self.state.days == 0:
            return [day_start_ms(self.settings.days[0])]
        return [local_clock_ms(self.settings.days[self.state.days - 1], DAY_AHEAD_HOUR)]

    def _system_due_ms(self) -> list[int]:
        if self.state.periods == len(self.settings.system_gbp_per_mwh):
            return []
        return [self._period_start_ms(self.state.periods + 1) + SYSTEM_PRICE_AFTER_MS]

    def _period_start_ms(self, period: int) -> int:
        """Start of a period of the run, counted from 0; days follow each other, so periods do."""
        return day_start_ms(self.settings.days[0]) + period * PERIOD_MS

    def _day_ahead(self, day: date) -> DayAheadPrices:
        first = (day_start_ms(day) - self._period_start_ms(0)) // PERIOD_MS
        prices = self.settings.day_ahead_gbp_per_mwh[first : first + period_count(day)]
        return DayAheadPrices(day, tuple(map(float, prices)))

    def _system_price(self, period: int) -> SystemPrice:
        return SystemPrice(
            start_ms=self._period_start_ms(period),
            price_gbp_per_mwh=float(self.settings.system_gbp_per_mwh[period]),
            net_imbalance_volume_mwh=float(self.settings.net_imbalance_mwh[period]),
        )

    # ------------------------------------------------------------------------------------------------ units

    def _enrol(self, unit: ServiceUnit) -> None:
        """Answer a unit of the party: taken, or refused with the clause."""
        known = self.state.units.get(unit.unit)
        if known is not None and np.array_equal(known, unit.rows):
            return self.remark("duplicate_unit", f"unit {unit.unit} is enrolled already")
        reason = self._unit_fault(unit)
        if reason:
            self.remark("wholesale_unit_refused", f"unit {unit.unit}: {reason}")
        else:
            self.state.units[unit.unit] = unit.rows
        return self.say(ServiceUnitAnswer(unit.product, unit.unit, not reason, reason), AGGREGATOR)

    def _unit_fault(self, unit: ServiceUnit) -> str:
        day = local_date(self.state.now_ms)
        least_mw = self._trading.rules.book("eligibility", day).value("wholesale_min_unit_mw")
        others = [rows for name, rows in self.state.units.items() if name != unit.unit]
        if unit.product != Product.WHOLESALE:
            return f"the exchange does not buy {unit.product}"
        if not self._trading.rules.book("bsc", day).value("vtp_wholesale"):
            return f"P415: nobody may trade deviations on {day}"
        if not len(unit.rows):
            return "BSCP602: a unit without assets"
        if any(np.isin(unit.rows, rows).any() for rows in others):
            return "BSCP602: an asset of another unit"
        if unit.capacity_mw < least_mw:
            return f"lots of {least_mw} MW: the unit has {unit.capacity_mw:.3f} MW"
        return ""

    # ------------------------------------------------------------------------------------------------ orders

    @property
    def _trading(self) -> TradingSettings:
        """What is told of auctions; only asked for where there are any. Raises SettingsError elsewhere."""
        if self.settings.trading is None:
            raise SettingsError("this exchange was told of no auctions")
        return self.settings.trading

    def _take(self, order: WholesaleOrder) -> None:
        """Refuse an order at once, trade it at once, or keep it until its auction is held."""
        known = self.state.orders.get(order.order_id)
        if known is not None and astuple(known) == astuple(order):
            return self.remark("duplicate_order", f"order {order.order_id} came again")
        self.state.orders.setdefault(order.order_id, order)
        reason = "duplicate id: another order has it" if known else self._order_fault(order)
        if reason:
            self.remark("order_refused", f"order {order.order_id}: {reason}")
            return self._answer(order, 0, 0.0, reason)
        if self.auctions[order.auction].results_minute is None:
            return self._clear((order,))
        return self.state.waiting.append(order)

    def _order_fault(self, order: WholesaleOrder) -> str:
        """The first thing that is wrong with an order; "" for nothing."""
        auction = self.auctions.get(order.auction)
        if auction is None:
            return f"unknown auction: {order.auction!r}; there are {', '.join(self.auctions)}"
        if order.unit not in self.state.units:
            return f"unknown unit: {order.unit} is not enrolled"
        return (
            product_fault(order, auction, self.settings.days)
            or volume_fault(order)
            or price_fault(order)
            or time_fault(order, auction, self.state.now_ms)
            or self._not_yet(order, auction)
            or self._beyond_limit(order)
        )

    def _not_yet(self, order: WholesaleOrder, auction: Auction) -> str:
        """Trading within the day begins when the day's hourly results are known: assumed."""
        told = self.settings.days[: self.state.days]
        if auction.name == INTRADAY and local_date(order.start_ms) not in told:
            return "not open: day-ahead prices of that day are not known yet"
        return ""

    def _beyond_limit(self, order: WholesaleOrder) -> str:
        """The position that would be reached if all that waits on the same side traded."""
        limit_mw = self._trading.position_limit_mw
        if limit_mw is None:
            return ""
        same_side = [one for one in self.state.waiting if one.sell_mwh * order.sell_mwh > 0]
        held = [(one.sell_mwh, one.start_ms, one.end_ms) for one in (*same_side, order)]
        held += [(trade.sold_mwh, trade.start_ms, trade.end_ms) for trade in self.state.trades]
        for start_ms in range(order.start_ms, order.end_ms, PERIOD_MS):
            net_mw = abs(_position_mw(held, start_ms))
            if net_mw > exact(limit_mw):
                return f"position limit: {float(net_mw):g} MW is above {limit_mw:g} MW"
        return ""

    def _forget_delivered(self) -> None:
        """Keep what is still to be delivered."""
        now_ms = self.state.now_ms
        self.state.orders = {name: one for name, one in self.state.orders.items() if one.end_ms > now_ms}
        self.state.trades = [trade for trade in self.state.trades if trade.end_ms > now_ms]

    # ---------------------------------------------------------------------------------------------- clearing

    def _results_due_ms(self) -> list[int]:
        """When results of the orders that wait are due."""
        return [self._results_ms(order) for order in self.state.waiting]

    def _results_ms(self, order: WholesaleOrder) -> int:
        """When the order is answered; orders that are answered at once never wait."""
        return self.auctions[order.auction].results_ms(order.start_ms) or self.state.now_ms

    def _hold_auctions(self) -> None:
        """Clear the orders whose results are due, product by product and side by side."""
        due = [order for order in self.state.waiting if self._results_ms(order) <= self.state.now_ms]
        self.state.waiting = [
            order for order in self.state.waiting if self._results_ms(order) > self.state.now_ms
        ]
        books: dict[tuple[str, int, bool], list[WholesaleOrder]] = {}
        for order in due:
            books.setdefault((order.auction, order.start_ms, order.sell_mwh > 0), []).append(order)
        for book in books.values():
            self._clear(book)

    def _clear(self, book: Sequence[WholesaleOrder]) -> None:
        """Answer all orders of one product and side."""
        price = self._price(book[0])
        for order, traded in zip(book, traded_lots(book, price, self._depth_lots(book[0])), strict=True):
            reason = "" if traded else _untraded(order, price)
            self._answer(order, traded, price, reason)

    def _answer(self, order: WholesaleOrder, traded: int, price: float, reason: str) -> None:
        """Tell the aggregator, and settlement where something was traded."""
        sold_mwh = float(traded * lot_mwh(order)) * (1 if order.sell_mwh > 0 else -1) if traded else 0.0
        trade = WholesaleTrade(
            order_id=order.order_id,
            unit=order.unit,
            auction=order.auction,
            start_ms=order.start_ms,
            end_ms=order.end_ms,
            sold_mwh=sold_mwh,
            price_gbp_per_mwh=price,
            reason=reason,
        )
        self.say(trade, AGGREGATOR)
        if traded:
            self.state.trades.append(trade)
            self.say(trade, SETTLEMENT)

    def _depth_lots(self, order: WholesaleOrder) -> int:
        """What is left to trade on the order's side of its product; all that auctions have is new."""
        whole = int(exact(self._trading.depth_mw) / LOT_MW)
        traded_mwh = sum(
            (
                exact(abs(trade.sold_mwh))
                for trade in self.state.trades
                if (trade.auction, trade.start_ms) == (order.auction, order.start_ms)
                and trade.sold_mwh * order.sell_mwh > 0
            ),
            Fraction(0),
        )
        return whole - int(traded_mwh / lot_mwh(order))

    def _price(self, order: WholesaleOrder) -> float:
        """What the order's product trades at on its side [GBP/MWh], in whole pence."""
        first = (order.start_ms - self._period_start_ms(0)) // PERIOD_MS
        if order.auction == HOURLY:
            hour = self.settings.day_ahead_gbp_per_mwh[first : first + HOUR_MS // PERIOD_MS]
            return round(float(hour.mean()), 2)
        if order.auction != INTRADAY:
            return round(float(self._trading.half_hourly_gbp_per_mwh[first]), 2)
        side = 1 if order.sell_mwh > 0 else -1
        middle = float(self._trading.intraday_gbp_per_mwh[first])
        return round(middle - side * self._trading.spread_gbp_per_mwh / 2, 2)


def _position_mw(held: Iterable[tuple[float, int, int]], start_ms: int) -> Fraction:
    """Net position in one settlement period [MW] of (MWh sold, start, end)."""
    parts = (position_mwh(mwh, first, last) for mwh, first, last in held if first <= start_ms < last)
    return sum(parts, Fraction(0)) * HOUR_MS / PERIOD_MS


def _untraded(order: WholesaleOrder, price_gbp_per_mwh: float) -> str:
    limit = order.limit_gbp_per_mwh
    worse = price_gbp_per_mwh < limit if order.sell_mwh > 0 else price_gbp_per_mwh > limit
    if worse:
        return f"limit not met: the price is {price_gbp_per_mwh:.2f} GBP/MWh"
    return "no depth: the other side is used up"
