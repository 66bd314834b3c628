"""What each home pays its Supplier with the aggregator, and would have paid had nobody instructed anybody.

The seam between the truth of a settlement period and `markets/retail_lines.py`. Homes are those whose meters
are lived (with a device, or enrolled by hand); all others pay the same in both lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from markets.retail_lines import TariffDay, bill_line, cost, rounded_gbp_e5
from protocol.messages import I8, I64
from protocol.periods import local_date
from sim.scenario_services import Retail
from sim.tariffs import NAMES, prices_gbp_e5_per_mwh

LIVED, WITHOUT = 0, 1
"""The two lives: with instructions, and had nobody instructed."""


@dataclass(slots=True)
class BillsState:
    """Energy imported [Wh] and its exact cost in both lives: of each home, and of each day and tariff."""

    home_wh: I64  # (lives, homes)
    home_cost: I64  # (lives, homes)
    day_wh: I64  # (lives, days, tariffs)
    day_cost: I64  # (lives, days, tariffs)


class Bills:
    """Adds up half-hours. `homes`: their numbers, in the order of all columns; `tariff`: of each of them."""

    def __init__(self, retail: Retail, homes: I64, tariff: I8, first_day: date, days: int) -> None:
        self._retail, self._homes, self._tariff = retail, homes, tariff
        self._first_day, self._days = first_day, days
        by_home, by_day = (2, len(homes)), (2, days, len(NAMES))
        self.state = BillsState(
            np.zeros(by_home, np.int64),
            np.zeros(by_home, np.int64),
            np.zeros(by_day, np.int64),
            np.zeros(by_day, np.int64),
        )

    def add(self, start_ms: int, net_wh: I64, without_wh: I64) -> None:
        """One settlement period: net import of each home, and without instructions (homes,) [Wh]."""
        price = prices_gbp_e5_per_mwh(self._retail, start_ms)[self._tariff]
        place = (local_date(start_ms) - self._first_day).days
        for life, wh in ((LIVED, net_wh), (WITHOUT, without_wh)):
            imported_wh, costs = np.maximum(wh, 0), cost(wh, price)
            self.state.home_wh[life] += imported_wh
            self.state.home_cost[life] += costs
            np.add.at(self.state.day_wh[life, place], self._tariff, imported_wh)
            np.add.at(self.state.day_cost[life, place], self._tariff, costs)

    def by_home(self) -> dict[str, Any]:
        """Columns of table `bills`, homes rising."""
        order = np.argsort(self._homes)
        bill = rounded_gbp_e5(self.state.home_cost)[:, order]
        return {
            "home": self._homes[order],
            "tariff": [NAMES[k] for k in self._tariff[order]],
            "import_wh": self.state.home_wh[LIVED, order],
            "without_wh": self.state.home_wh[WITHOUT, order],
            "bill_gbp_e5": bill[LIVED],
            "without_gbp_e5": bill[WITHOUT],
        }

    def by_tariff(self) -> dict[str, Any]:
        """Columns of table `retail`: one statement line for each day and tariff that somebody is on."""
        homes = np.bincount(self._tariff, minlength=len(NAMES))
        rows = [
            self._row(place, tariff, int(homes[tariff]))
            for place in range(self._days)
            for tariff in np.flatnonzero(homes).tolist()
        ]
        return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}

    def _row(self, place: int, tariff: int, homes: int) -> dict[str, Any]:
        """One row of table `retail`."""
        lived, without = (bill_line(self._tariff_day(life, place, tariff)) for life in (LIVED, WITHOUT))
        return {
            "day": lived.reference,
            "tariff": lived.unit,
            "homes": homes,
            "import_mwh": lived.volume_mwh,
            "price_gbp_per_mwh": lived.price_gbp_per_mwh,
            "amount_gbp_e5": lived.amount_gbp_e5,
            "without_mwh": without.volume_mwh,
            "without_gbp_e5": without.amount_gbp_e5,
            "payer": lived.payer,
            "payee": lived.payee,
        }

    def _tariff_day(self, life: int, place: int, tariff: int) -> TariffDay:
        return TariffDay(
            day=self._first_day + timedelta(days=place),
            tariff=NAMES[tariff],
            import_wh=int(self.state.day_wh[life, place, tariff]),
            cost=int(self.state.day_cost[life, place, tariff]),
        )
