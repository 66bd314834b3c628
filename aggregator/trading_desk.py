"""When the aggregator orders in each wholesale auction, and what it remembers of it.

The seam between the clock and `aggregator/trading.py`, which says what to order; `aggregator/desk.py` hears
the trades. The hourly book closes before prices are known and is ordered in on foreseen ones, the half-hourly
once they are told, the next day within the day in the afternoon before, and today at once where nothing was
ordered for it (the first day of a run). What then traded without its other half is evened up.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from aggregator.service_book import EnrolledUnit, Ordered, ServiceBook
from aggregator.trading import HOURLY, INTRADAY, TradePlan, Trader, foreseen_prices
from protocol.messages import DayAheadPrices
from protocol.party import NEVER_MS
from protocol.periods import day_periods_ms, gate_closure_ms, local_clock_ms, local_date, period_count
from protocol.products import BUYERS, Product

if TYPE_CHECKING:
    from aggregator.desk import Desk

EVEN_UP = "even_up"
"""The last step of a day's trading, after all auctions."""
INTRADAY_HOUR = 16
"""Local hour of the day before at which the next day is traded within the day: once the half-hourly results
are there (15:45); assumed."""
_WITHIN_THE_DAY = (INTRADAY, EVEN_UP)


class TradingDesk:
    """Orders of the wholesale units, auction by auction; without a trader there are none."""

    def __init__(self, desk: Desk, trader: Trader | None) -> None:
        self.desk = desk
        self.trader = trader

    @property
    def _book(self) -> ServiceBook:
        return self.desk.book

    def hear_prices(self, told: DayAheadPrices) -> None:
        """Keep the day's prices."""
        if self.trader is None:
            return
        if len(told.price_gbp_per_mwh) != period_count(told.day):
            what = f"{told.day} has {period_count(told.day)} periods: no orders"
            self.desk.house.remark("malformed_prices", what)
            return
        self._book.prices[told.day] = told.price_gbp_per_mwh

    def next_ms(self) -> int:
        """When something is to be ordered next; NEVER_MS for never."""
        return min((self._due_ms(step) for step in self._steps()), default=NEVER_MS)

    def turn(self) -> None:
        """Order whatever is due, the earlier auction first."""
        trader = self.trader
        for step in self._steps() if trader else ():
            while trader and self._due_ms(step) <= self.desk.now_ms:
                day = self._next_day(step)
                self._book.ordered_to[step] = day.toordinal()
                for unit in self._book.of(Product.WHOLESALE):
                    self._order(trader, step, unit, day)

    # --------------------------------------------------------------------------------------------- the clock

    def _steps(self) -> tuple[str, ...]:
        if self.trader is None or not self._book.of(Product.WHOLESALE):
            return ()
        auctions = tuple(self.trader.terms)
        return (*auctions, EVEN_UP) if INTRADAY in auctions else auctions

    def _next_day(self, step: str) -> date:
        """The first day that is not ordered for yet; day-ahead books of today are closed."""
        last = self._book.ordered_to.get(step)
        if last is not None:
            return date.fromordinal(last) + timedelta(days=1)
        return local_date(self.desk.now_ms) + timedelta(days=step not in _WITHIN_THE_DAY)

    def _due_ms(self, step: str) -> int:
        day, now_ms = self._next_day(step), self.desk.now_ms
        if self.trader is None or day > self.trader.last_day:
            return NEVER_MS
        if step == HOURLY:
            return self._hourly_closes_ms(self.trader, day) - self._before_ms()
        if step == EVEN_UP:
            return now_ms if self._all_answered(day) else NEVER_MS
        if day not in self._book.prices:
            return NEVER_MS
        return local_clock_ms(day - timedelta(days=1), INTRADAY_HOUR) if step == INTRADAY else now_ms

    def _hourly_closes_ms(self, trader: Trader, day: date) -> int:
        return local_clock_ms(day - timedelta(days=1), *divmod(trader.hourly_closes_minute, 60))

    def _before_ms(self) -> int:
        return self.desk.house.assumed.bid_before_window_ends_ms

    def _all_answered(self, day: date) -> bool:
        """Whether a day was ordered for within the day and no order of it waits for its answer."""
        if self._book.ordered_to.get(INTRADAY, 0) < day.toordinal():
            return False
        return all(each.closed for each in self._book.orders.values() if each.day == day)

    # ---------------------------------------------------------------------------------------------- ordering

    def _order(self, trader: Trader, step: str, unit: EnrolledUnit, day: date) -> None:
        """Order for one unit and day; where no auction of the day found anything to do, the last says why."""
        found = self._plan(trader, step, unit, day)
        for order in found.orders:
            self._book.orders[order.order_id] = Ordered(order, self.desk.now_ms)
            self.desk.house.say(BUYERS[Product.WHOLESALE], order)
        if step == [*trader.terms][-1] and not self._ordered(unit, day):
            self.desk.house.remark("no_orders", f"{unit.name}, {day}: {found.reason}")

    def _plan(self, trader: Trader, step: str, unit: EnrolledUnit, day: date) -> TradePlan:
        prices = self._book.prices.get(day)
        if step == HOURLY:
            prices = foreseen_prices(day, self._book.prices, trader.foreseen_days)
        if prices is None:
            return TradePlan((), "no prices were told from which to foresee any")
        if step == HOURLY and self.desk.now_ms >= self._hourly_closes_ms(trader, day):
            return TradePlan((), "the hourly book is closed")
        down_mw, up_mw = self._room_mw(unit, day)
        if step != EVEN_UP:
            return trader.plan(step, unit.name, day, prices, down_mw, up_mw)
        owed_mwh = self._owed_mwh(trader, unit, day)
        return TradePlan(trader.even_up(unit.name, day, prices, down_mw, up_mw, owed_mwh), "")

    def _ordered(self, unit: EnrolledUnit, day: date) -> list[Ordered]:
        orders = self._book.orders.values()
        return [each for each in orders if each.order.unit == unit.name and each.day == day]

    def _room_mw(self, unit: EnrolledUnit, day: date) -> tuple[list[float], list[float]]:
        """What can still be sold, and bought back, in each period of a day before whose Gate Closure an order
        comes in time [MW]; nothing is sold where the unit has bought, nor bought where it has sold.
        """
        starts: list[int] = day_periods_ms(day)[:-1].tolist()
        from_ms = self.desk.now_ms + self._before_ms()
        is_open = [gate_closure_ms(start_ms) > from_ms for start_ms in starts]
        bought, sold = (self._touched(unit, day, starts, side) for side in (-1, 1))
        down_w, up_w = self.desk.room_w(unit.cells, starts)
        return _megawatts(down_w, is_open, bought), _megawatts(up_w, is_open, sold)

    def _touched(self, unit: EnrolledUnit, day: date, starts: Sequence[int], side: int) -> list[bool]:
        """In which periods a unit has an order on a side (1: sale) that waits or traded."""
        orders = [each.order for each in self._ordered(unit, day) if each.traded_mwh or not each.closed]
        mine = [order for order in orders if order.sell_mwh * side > 0]
        return [any(order.start_ms <= at_ms < order.end_ms for order in mine) for at_ms in starts]

    def _owed_mwh(self, trader: Trader, unit: EnrolledUnit, day: date) -> float:
        """What a unit sold of a day and has yet to buy back; negative for what it bought and has yet to
        sell.
        """
        share = trader.terms[INTRADAY].payback_share
        traded_mwh = [each.traded_mwh for each in self._ordered(unit, day)]
        return sum(share * mwh if mwh > 0 else mwh for mwh in traded_mwh)


def _megawatts(watts: Sequence[int], is_open: Sequence[bool], is_crossed: Sequence[bool]) -> list[float]:
    """Watts as megawatts, 0 where the gate is closed or the other side was traded."""
    places = zip(watts, is_open, is_crossed, strict=True)
    return [w / 1e6 if in_time and not crossed else 0.0 for w, in_time, crossed in places]
