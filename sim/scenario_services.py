"""What a scenario may say of the services besides DFS and the BM, and every default there is: data alone.

By default nobody is enrolled in any of them. `share` is always of the homes with a reachable device, each
service drawn apart; what the rules of the day forbid together is left out by the aggregator.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.quantity import ClockTime, Duration, Megawatts, Price, Share
from sim.scenario_model import Model


class LocalService(Model):
    """One service of the distribution network operator."""

    share: Share = Field(default=0.0, description="homes that consent to it")


class LocalServices(Model):
    """What the distribution network operator buys in its constraint management zones."""

    sustain: LocalService = LocalService()
    sustain_h: LocalService = LocalService()
    secure: LocalService = LocalService()
    dynamic: LocalService = LocalService()
    restore: LocalService = LocalService()


class ConstraintService(Model):
    """One of the two ways in which the ESO buys relief of a thermal constraint."""

    share: Share = Field(default=0.0, description="homes that consent to it")


class ConstraintMarket(Model):
    """Day-ahead Thermal Constraint Management of CrowdFlex, and the Local Constraint Market."""

    tcm: ConstraintService = ConstraintService()
    lcm: ConstraintService = ConstraintService()


SupplierName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TradingStrategy(Model):
    """When the aggregator trades; cost and longest hold are those of `aggregator`."""

    margin_gbp_per_mwh: Price = Field(
        default=5.0, ge=0, description="least gain of a sale and its payback; assumed"
    )
    payback_share: Share = Field(
        default=1.0, description="of the energy held, is drawn later and so is bought; assumed"
    )
    payback_within_ms: Duration = Field(
        default=12 * 3_600_000, ge=1_800_000, description="after a half hour held; assumed"
    )
    foreseen_days: int = Field(
        default=5,
        ge=1,
        le=60,
        description="days of prices told that an hourly order is foreseen from; assumed",
    )


class Wholesale(Model):
    """Trading deviations as a Virtual Trading Party (P415)."""

    share: Share = Field(default=0.0, description="homes that consent to it")
    auctions: tuple[Literal["day_ahead_hourly", "day_ahead_half_hourly", "intraday"], ...] = Field(
        default=("day_ahead_half_hourly", "intraday"), max_length=10, description="in which is traded"
    )
    hourly_exchange: Literal["n2ex", "epex"] = Field(
        default="n2ex", description="whose hourly book: closes at 09:50 or 09:20"
    )
    metering: Literal["boundary", "asset"] = Field(default="asset", description="asset meters: P375, P483")
    depth_mw: Megawatts = Field(
        default=50.0, ge=0.1, description="that can be sold, and bought, of one product; assumed"
    )
    position_limit_mw: Megawatts | None = Field(
        default=None, ge=0.1, description="largest net position of a half hour; None: no limit"
    )
    spread_gbp_per_mwh: Price = Field(
        default=2.0, ge=0, description="between buying and selling within the day; assumed"
    )
    half_hourly_noise_gbp_per_mwh: Price = Field(
        default=3.0, ge=0, description="sd of the half-hourly auction about the hourly price; assumed"
    )
    intraday_noise_gbp_per_mwh: Price = Field(
        default=8.0, ge=0, description="sd of the intraday price about the hourly price; assumed"
    )
    baselining: Literal["submitted", "BL01"] = Field(
        default="submitted", description="what is expected of a unit; a VTP's is not baselined unless it asks"
    )
    ida_policy: Literal["rulebook", "none", "boa_only", "always"] = Field(
        default="rulebook", description="when BL01 is adjusted in-day; BMD V3.x 13.2: not for trades alone"
    )
    suppliers: dict[SupplierName, Share] = Field(
        default={"A": 0.24, "B": 0.20, "C": 0.17, "D": 0.12, "E": 0.11, "F": 0.16},
        max_length=100,
        description="share of the homes by Supplier; sizes as of the largest in Great Britain [mem]",
    )
    sourcing_cost_gbp_per_mwh: Price | None = Field(
        default=None, description="Supplier Sourcing Cost (N0659); None: the rulebook's of the day"
    )
    strategy: TradingStrategy = TradingStrategy()


class CapacityNotice(Model):
    """A Capacity Market Notice: system stress is foreseen between the times."""

    day: int = Field(default=0, ge=0, le=365, description="day of the run, 0 is the first")
    start: ClockTime
    end: ClockTime
    issued: ClockTime | None = Field(
        default=None, description="None: as long before the start as the rules ask; later, it binds later"
    )
    withdrawn: ClockTime | None = Field(default=None, description="None: it stands to its end")
    stressed: bool = Field(default=True, description="stress came true; else nothing is owed")
    load_following_share: Share = Field(
        default=1.0, description="of the obligations, owed meanwhile: demand over all obligations, at most 1"
    )


class CapacityMarket(Model):
    """An obligation in the Capacity Market; ISO style by the rule `obligation_kind`."""

    share: Share = Field(default=0.0, description="homes that consent to it")
    notices: Annotated[tuple[CapacityNotice, ...], Field(max_length=10_000)] = ()


class Retail(Model):
    """What homes pay their Supplier."""

    share: Share = Field(default=0.0, description="homes on the static time-of-use tariff")
