"""What the mock markets are told when they are made: scripts, price series, competitors, rules in force,
faults.

This owns the seam between whoever knows the scenario and the markets: times are UTC milliseconds, series are
arrays per settlement period, chance comes as arrays of uniform numbers. There are no defaults here; they live
with the scenario. Nothing in it changes during a run, so none of it is party state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from protocol.derogations import RulesOn, load_derogated
from protocol.messages import I8, I64
from protocol.periods import PERIOD_MS
from protocol.rulebook import Rulebook

F64 = NDArray[np.float64]
RuleValue = float | int | bool | str


class SettingsError(ValueError):
    """A market was told something impossible; says what, and what would put it right."""


@dataclass(frozen=True, slots=True)
class RulesInForce:
    """Which edition holds: that of the day itself (`on` is None) or of one date; single rules replaced by
    name.

    `overrides`: (rulebook, rule, value). `derogations`: by name; they come before overrides, which win.
    """

    on: date | None
    overrides: tuple[tuple[str, str, RuleValue], ...]
    derogations: tuple[str, ...] = ()

    def book(self, name: str, day: date) -> Rulebook:
        """The rulebook `name` for something that happens on `day`. Raises RuleError."""
        return _book(name, self.on or day, self.overrides, self.derogations)

    def rules_on(self, day: date) -> RulesOn:
        """All rulebooks for something that happens on `day`, as eligibility and stacking ask for them."""
        return RulesOn(self.on or day, self.derogations, self.overrides)


@lru_cache(maxsize=1024)
def _book(
    name: str, on: date, overrides: tuple[tuple[str, str, RuleValue], ...], derogations: tuple[str, ...]
) -> Rulebook:
    replaced = {rule: value for book, rule, value in overrides if book == name}
    return load_derogated(name, on, derogations, replaced)


# ----------------------------------------------------------------------------------------------------- faults


@dataclass(frozen=True, slots=True)
class FaultShares:
    """How often the ESO misbehaves, per acceptance and per DFS event, each 0 to 1."""

    duplicate: float
    amend: float
    late: float
    impossible: float
    conflicting: float
    wrong_unit: float
    out_of_order: float


FAULT_KINDS = tuple(FaultShares.__dataclass_fields__)
"""The kinds in the order of the last axis of `FaultPlan.draws`."""


@dataclass(frozen=True, slots=True, eq=False)
class FaultPlan:
    """Shares, and one uniform number in [0, 1) per possible occasion and kind (occasions, kinds).

    An occasion of the Balancing Mechanism is one acceptance of one unit starting in one period (its place is
    periods since the start of the run x number of units + place of the unit); one of DFS is an event. A kind
    happens when its number lies below its share, so that raising one share moves no other fault.
    """

    shares: FaultShares
    draws: F64

    def __post_init__(self) -> None:
        if self.draws.ndim != 2 or self.draws.shape[1] != len(FAULT_KINDS):
            raise SettingsError(
                f"fault draws must be (occasions, {len(FAULT_KINDS)}), not {self.draws.shape}"
            )

    def lot(self, occasion: int, kind: str) -> float | None:
        """Where in its share the draw fell, [0, 1), when this kind happens on this occasion; else None."""
        share: float = getattr(self.shares, kind)
        if not 0 <= occasion < len(self.draws):
            return None
        drawn = float(self.draws[occasion, FAULT_KINDS.index(kind)])
        return drawn / share if drawn < share else None


# -------------------------------------------------------------------------------------------------------- DFS


@dataclass(frozen=True, slots=True)
class DfsEventScript:
    """One requirement to be published; `turn_down_mw` is negative where demand is to be turned up.

    `published_ms` None: when the edition's notice says. `guaranteed_price_gbp_per_mwh` None: that of the
    rulebook for those tests that carry one, else none. `cancelled_ms` None: never. `zones` (GSP Groups) whose
    units may bid, all where empty; `zonal_caps_mw`: what is bought at most in a zone, by name.
    """

    event_id: str
    start_ms: int
    end_ms: int
    turn_down_mw: float
    guaranteed_price_gbp_per_mwh: float | None
    test: bool
    published_ms: int | None
    cancelled_ms: int | None
    zones: tuple[str, ...] = ()
    zonal_caps_mw: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.start_ms % PERIOD_MS or self.end_ms % PERIOD_MS or self.end_ms <= self.start_ms:
            raise SettingsError(
                f"DFS event {self.event_id}: {self.start_ms} to {self.end_ms} is not one or more whole "
                "settlement periods; use times on the hour or half hour, the end after the start"
            )
        if not (self.turn_down_mw and math.isfinite(self.turn_down_mw)):
            raise SettingsError(
                f"DFS event {self.event_id}: turn_down_mw must be above 0, or below for turn-up, not "
                f"{self.turn_down_mw}"
            )

    @property
    def period_count(self) -> int:
        """How many settlement periods it lasts."""
        return (self.end_ms - self.start_ms) // PERIOD_MS

    @property
    def turn_up(self) -> bool:
        """Whether demand is to be turned up."""
        return self.turn_down_mw < 0


@dataclass(frozen=True, slots=True)
class PricedBlock:
    """What a competitor has on offer: `width_mw` at one price."""

    price_gbp_per_mwh: float
    width_mw: float


@dataclass(frozen=True, slots=True)
class DfsSettings:
    """What the DFS mock is told. `competitors` bid their blocks into every event."""

    start_ms: int
    events: tuple[DfsEventScript, ...]
    competitors: tuple[PricedBlock, ...]
    rules: RulesInForce
    faults: FaultPlan


# --------------------------------------------------------------------------------------------------------- BM


@dataclass(frozen=True, slots=True)
class AcceptanceScript:
    """One acceptance to be issued, between whole minutes.

    `unit` None: the unit with the largest demand in its FPN. `issued_ms` None: the unit's own notice before
    the start. `ramp_minutes` None: at the unit's declared rates; a number makes ramps slower, never faster
    than declared.
    """

    unit: str | None
    start_ms: int
    end_ms: int
    turn_down_mw: float
    issued_ms: int | None
    ramp_minutes: int | None

    def __post_init__(self) -> None:
        if self.end_ms <= self.start_ms:
            raise SettingsError(
                f"acceptance at {self.start_ms}: its end {self.end_ms} must lie after its start"
            )


@dataclass(frozen=True, slots=True, eq=False)
class NeedSeries:
    """System-need mode: what the ESO must buy from us and our competitors together, period by period.

    `need_mw` (periods,) from the start of the run on: positive when the system is short. `offers` and `bids`
    are the competitors' stack for either direction, in any order.
    """

    need_mw: F64
    offers: tuple[PricedBlock, ...]
    bids: tuple[PricedBlock, ...]


@dataclass(frozen=True, slots=True)
class BalancingSettings:
    """What the ESO mock is told. `units`: every BM Unit that there may be, in a fixed order.

    `operational_metering`: which columns of the rulebook are checked: "standard_2022", "proposed_2022" or
    "relaxed_2024".
    """

    start_ms: int
    end_ms: int
    units: tuple[str, ...]
    acceptances: tuple[AcceptanceScript, ...]
    need: NeedSeries | None
    rules: RulesInForce
    faults: FaultPlan
    operational_metering: str


# ----------------------------------------------------------------------------------------------------- prices


@dataclass(frozen=True, slots=True, eq=False)
class TradingSettings:
    """What the exchange is told of its auctions. `auctions`: the names of those that are held.

    `hourly_exchange`: "n2ex" or "epex". Half-hourly and intraday prices of every period (periods,); a sale
    within the day earns half of `spread_gbp_per_mwh` less than the intraday price, a purchase costs as much
    more. `depth_mw`: what can be sold, and what bought, of one product. `position_limit_mw`: the largest net
    position in a period, all units together; None: no limit.
    """

    auctions: tuple[str, ...]
    hourly_exchange: str
    half_hourly_gbp_per_mwh: F64
    intraday_gbp_per_mwh: F64
    spread_gbp_per_mwh: float
    depth_mw: float
    position_limit_mw: float | None
    rules: RulesInForce


@dataclass(frozen=True, slots=True, eq=False)
class ExchangeSettings:
    """Prices of every period of `days`, one after the other, in three arrays of one length (periods,).

    `trading` None: prices are published and nobody trades.
    """

    days: tuple[date, ...]
    day_ahead_gbp_per_mwh: F64
    system_gbp_per_mwh: F64
    net_imbalance_mwh: F64
    trading: TradingSettings | None = None


# ------------------------------------------------------------------------------------------------- settlement


@dataclass(frozen=True, slots=True, eq=False)
class SupplierBook:
    """Whose customers the homes are, and how units of a Virtual Trading Party are measured.

    `of_home` (homes,): place in `names`. `demand_wh` (suppliers,): what residues are shared by, each
    Supplier's Final Demand or anything in proportion. `sourcing_cost_gbp_per_mwh` None: the rulebook's.
    """

    names: tuple[str, ...]
    of_home: I8
    demand_wh: I64
    metering: str
    baselining: str
    ida_policy: str
    sourcing_cost_gbp_per_mwh: float | None


@dataclass(frozen=True, slots=True)
class SettlementSettings:
    """What settlement is told.

    `first_day`: the first lived day, with which time begins; readings of earlier ones are history.
    `settle_after_days`: when readings or prices are still missing so many days after a day's end, it is
    settled without them. `dfs_metering`, `bm_metering`: "boundary" or "asset".
    `dfs_opt_in`: whether homes opt in to each event (else whole units take part). `calendar`: days are
    settled at the runs of the BSC timetable; those that are `disputed` have a Post-Final run too. `primacy`:
    who goes first where services claim the same asset (`protocol.stacking.Primacy`). `suppliers`: for
    wholesale trading; None where nobody trades. `last_day`: the last lived day, after which nothing is
    obliged or paid by the day any more; None: there is none.
    """

    first_day: date
    settle_after_days: int
    dfs_metering: str
    dfs_opt_in: bool
    rules: RulesInForce
    bm_metering: str = "asset"
    calendar: bool = False
    disputed: frozenset[date] = frozenset()
    primacy: str = "eso_first"
    suppliers: SupplierBook | None = None
    last_day: date | None = None
