"""The exchange and the price publisher: day-ahead prices each morning, the system price after each period.

This owns when prices become known, not how they come about: they are given as arrays. Day-ahead: the N2EX
order book closes at 09:50 and results are there by 10:00 local time [S]. System price: 20 minutes after the
period [assumed].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from markets.counterparty import AGGREGATOR, BALANCING, SETTLEMENT, Counterparty, Handler, earliest_ms
from markets.settings import ExchangeSettings, SettingsError
from protocol.messages import DayAheadPrices, Message, SystemPrice
from protocol.party import Envelope
from protocol.periods import MINUTE_MS, PERIOD_MS, day_start_ms, local_clock_ms, period_count

DAY_AHEAD_HOUR = 10
SYSTEM_PRICE_AFTER_MS = 20 * MINUTE_MS


@dataclass(slots=True)
class ExchangeState:
    """How many days' and periods' prices have been published."""

    now_ms: int = 0
    outbox: list[Envelope] = field(default_factory=list)
    days: int = 0
    periods: int = 0


class Exchange(Counterparty[ExchangeState]):
    """Publishes the prices that it was given. Raises SettingsError when they do not cover their days."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self.settings = settings
        self._check()
        super().__init__("exchange", ExchangeState(now_ms=day_start_ms(settings.days[0])))

    def handlers(self) -> Mapping[type[Message], Handler]:
        return {}

    def due_ms(self) -> int:
        return earliest_ms([*self._day_ahead_due_ms(), *self._system_due_ms()])

    def act(self) -> None:
        """Day-ahead prices before system prices, each in order of time."""
        while any(due <= self.state.now_ms for due in self._day_ahead_due_ms()):
            self.say(self._day_ahead(self.settings.days[self.state.days]), AGGREGATOR)
            self.state.days += 1
        while any(due <= self.state.now_ms for due in self._system_due_ms()):
            self.say(self._system_price(self.state.periods), AGGREGATOR, BALANCING, SETTLEMENT)
            self.state.periods += 1

    def _check(self) -> None:
        wanted = sum(period_count(day) for day in self.settings.days)
        for name in ("day_ahead_gbp_per_mwh", "system_gbp_per_mwh", "net_imbalance_mwh"):
            found = len(getattr(self.settings, name))
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
