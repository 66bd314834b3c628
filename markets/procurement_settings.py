"""What the buyers of distribution and constraint services are told when they are made.

This owns the seam between whoever knows the scenario and `markets/procurement.py`; as `markets/settings.py`,
it knows no defaults, times are UTC milliseconds, and nothing in it changes during a run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markets.settings import FaultPlan, RulesInForce, SettingsError
from protocol.constraints import Network
from protocol.messages import I16, I32
from protocol.periods import PERIOD_MS
from protocol.products import Product


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """One call of what was awarded: a start, and where scripted an early stop.

    `turn_down_mw` None: all that was awarded; else the size of what is called, whatever its direction.
    `stopped_ms`, `emergency_ms`: when the two kinds of stop are sent; None: it runs to its end.
    """

    start_ms: int
    end_ms: int
    turn_down_mw: float | None = None
    stopped_ms: int | None = None
    emergency_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceEventScript:
    """One requirement to be published: `turn_down_mw` at a place (negative: demand turned up).

    `calls` are ignored where the award is the instruction. `published_ms` None: by the rulebook's cycle.
    `boundary`: which one a TCM event relieves; empty: the one that is beyond its limit around the place.
    Ceilings are None where that price is not asked for.
    """

    product: Product
    event_id: str
    place: str
    start_ms: int
    end_ms: int
    turn_down_mw: float
    utilisation_ceiling_gbp_per_mwh: float | None
    availability_ceiling_gbp_per_mw_h: float | None
    calls: tuple[ServiceCall, ...] = ()
    published_ms: int | None = None
    cancelled_ms: int | None = None
    boundary: str = ""

    def __post_init__(self) -> None:
        name = f"event {self.event_id}"
        if self.start_ms % PERIOD_MS or self.end_ms % PERIOD_MS or self.end_ms <= self.start_ms:
            raise SettingsError(
                f"{name}: {self.start_ms} to {self.end_ms} is not one or more whole settlement periods; "
                "use times on the hour or half hour, the end after the start"
            )
        if not math.isfinite(self.turn_down_mw) or self.turn_down_mw == 0:
            raise SettingsError(
                f"{name}: turn_down_mw must be a number other than 0, not {self.turn_down_mw}"
            )
        for call in self.calls:
            if not self.start_ms <= call.start_ms < call.end_ms <= self.end_ms:
                raise SettingsError(f"{name}: a call does not lie within it; call within its window")

    @property
    def period_count(self) -> int:
        """How many settlement periods it lasts."""
        return (self.end_ms - self.start_ms) // PERIOD_MS


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Where every asset lies, as the buyer's register knows it: place in `names` (rows,), -1 in none."""

    names: tuple[str, ...]
    of_row: I16


@dataclass(frozen=True, slots=True, eq=False)
class Boundaries:
    """The ESO's network, and what its GSPs export when nothing is called [MW] (gsps)."""

    network: Network
    net_export_mw: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ProcurementSettings:
    """What one buyer is told. `balancing_rows`: assets of BM Units, by the ESO's own register."""

    start_ms: int
    events: tuple[ServiceEventScript, ...]
    sites: Sites
    rules: RulesInForce
    faults: FaultPlan
    boundaries: Boundaries | None
    balancing_rows: I32
