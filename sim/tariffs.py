"""Static time-of-use tariffs: who is on one, when it is dear and cheap, what each half-hour costs.

The seam between `markets.retail` of a scenario and what follows a tariff in the home: cars by their charger's
schedule, white goods by their delay-start timers, batteries by their controllers. A tariff is no instruction:
it holds in both lives, with and without the aggregator. Hard cases: docs/rules.md R189.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol import periods
from protocol.messages import I8, I64
from protocol.products import Product
from protocol.units import GBP_E5
from sim import chance
from sim.chance import Purpose
from sim.homes import NOT_SMART, HomeTable
from sim.scenario_services import Retail

Bools = NDArray[np.bool_]
Hours = tuple[tuple[int, int], ...]
"""Daily windows [minutes after local midnight]; what ends no later than it begins ends on the next day."""

SINGLE_RATE, STATIC, ECONOMY_7 = 0, 1, 2
NAMES = ("single_rate", "static", "economy_7")
"""Tariffs in the order of the constants before."""
_PLACE = tuple(Product).index(Product.STATIC_TOU)


@dataclass(frozen=True, slots=True, eq=False)
class StaticTariff:
    """Who is on the tariff and acts on it (homes,), and its hours."""

    on: Bools
    cars: Bools  # the owner sets the charger's schedule
    goods: Bools  # the owner sets delay-start timers
    peak: Hours
    cheap: Hours

    def quiet_ms(self, day: date) -> I64:
        """When cars on the tariff wait (windows, 2) [UTC ms]: outside cheap hours, or without any at peak."""
        if not self.cheap:
            return self.peak_ms(day)
        cheap_ms = windows_ms(self.cheap, day)[0]
        cheap_ms = cheap_ms[np.argsort(cheap_ms[:, 0])]
        return np.stack([cheap_ms[:-1, 1], cheap_ms[1:, 0]], axis=1)

    def peak_ms(self, day: date) -> I64:
        """The dear hours around a day (windows, 2) [UTC ms]."""
        return np.asarray(windows_ms(self.peak, day)[0])


def static_tariff(retail: Retail, homes: HomeTable, two_rate: Any, seed: int) -> StaticTariff | None:
    """Who is on the tariff: drawn of the homes with a smart meter of one rate; None where nobody can be."""
    if not retail.share:
        return None
    u = chance.units(chance.stream(seed, Purpose.CONSENT), homes.key, number=_PLACE)
    on = (u[:, 0] < retail.share) & (homes.status != NOT_SMART) & ~np.asarray(two_rate, bool)
    return StaticTariff(
        on=on,
        cars=on & (u[:, 1] < retail.cars_follow_share),
        goods=on & (u[:, 2] < retail.goods_follow_share),
        peak=retail.peak,
        cheap=retail.cheap,
    )


def tariff_of_home(tariff: StaticTariff | None, two_rate: Any) -> I8:
    """Each home's tariff (homes,)."""
    found = np.where(two_rate, ECONOMY_7, SINGLE_RATE)
    return (found if tariff is None else np.where(tariff.on, STATIC, found)).astype(np.int8)


def prices_gbp_e5_per_mwh(retail: Retail, start_ms: int) -> I64:
    """What each tariff asks in the settlement period from `start_ms` (tariffs,) [1e-5 GBP/MWh]."""
    day = periods.local_date(start_ms)
    static = retail.day_price_gbp_per_mwh
    if _holds(retail.peak, day, start_ms):
        static = retail.peak_price_gbp_per_mwh
    elif _holds(retail.cheap, day, start_ms):
        static = retail.cheap_price_gbp_per_mwh
    night = _holds(retail.economy_7_night, day, start_ms)
    economy_7 = retail.economy_7_night_price_gbp_per_mwh if night else retail.economy_7_day_price_gbp_per_mwh
    asked = (retail.single_rate_price_gbp_per_mwh, static, economy_7)
    return np.array([round(price * GBP_E5) for price in asked], np.int64)


def _holds(hours: Hours, day: date, now_ms: int) -> bool:
    found_ms = windows_ms(hours, day)[0]
    return bool(((found_ms[:, 0] <= now_ms) & (now_ms < found_ms[:, 1])).any())


def windows_ms(hours: Hours, day: date) -> I64:
    """Daily windows of local time as UTC ms, of the day before to the day after (1, windows, 2)."""
    found = []
    for step in (-1, 0, 1):
        begins = day + timedelta(days=step)
        for begin, end in hours:
            ends = begins if begin < end else begins + timedelta(days=1)
            found.append([_clock_ms(begins, begin), _clock_ms(ends, end)])
    return np.array(found, np.int64).reshape(1, -1, 2)


def _clock_ms(day: date, minutes: int) -> int:
    """When the clock shows so many minutes after midnight; a time that March leaves out: when it jumps."""
    try:
        return periods.local_clock_ms(day, *divmod(minutes, 60))
    except periods.LocalTimeError:
        return periods.local_clock_ms(day, 2)
