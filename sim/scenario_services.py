"""What a scenario may say of the services besides DFS and the BM, and every default there is: data alone.

By default nobody is enrolled in any of them. `share` is always of the homes with a reachable device, each
service drawn apart; what the rules of the day forbid together is left out by the aggregator.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.quantity import ClockTime, Duration, Megawatts, Price, Share
from sim.scenario_model import Model

DayOfRun = Annotated[int, Field(ge=0, le=365, description="day of the run, 0 is the first")]
Place = Annotated[str, Field(pattern=r"^[A-Za-z0-9_/-]{1,64}$")]
MOST_EVENTS = 1_000


class ServiceCall(Model):
    """One call of what was awarded, within the event's window: a start, and perhaps an early stop."""

    start: ClockTime
    end: ClockTime
    turn_down_mw: Megawatts | None = Field(default=None, description="its size; None: all that is awarded")
    stopped: ClockTime | None = Field(default=None, description="when a stop is sent; None: it runs out")
    emergency_stopped: ClockTime | None = None


class ServiceEvent(Model):
    """One published requirement, or one on each of many days."""

    day: DayOfRun = 0
    repeat: Literal["once", "weekdays", "every_day"] = Field(
        default="once", description="once, or on all such days from `day` on"
    )
    start: ClockTime
    end: ClockTime
    turn_down_mw: Megawatts = Field(description="negative: demand turned up")
    utilisation_ceiling_gbp_per_mwh: Price | None = Field(default=None, description="None: the service's")
    availability_ceiling_gbp_per_mwh: Price | None = Field(
        default=None, description="per MW held for an hour; None: the service's"
    )
    published: ClockTime | None = Field(default=None, description="None: as the rules' cycle says")
    published_days_before: int = Field(default=0, ge=0, le=60, description="days before, of `published`")
    cancelled: ClockTime | None = Field(default=None, description="on the day itself, before its start")
    calls: Annotated[tuple[ServiceCall, ...], Field(max_length=MOST_EVENTS)] | None = Field(
        default=None, description="of a dispatched service; None: once, from start to end; []: never"
    )


class LocalEvent(ServiceEvent):
    """A requirement of the network operator."""

    zone: Place = Field(description="constraint management zone such as _A/cmz00")


class LocalService(Model):
    """One service of the distribution network operator."""

    share: Share = Field(default=0.0, description="homes that consent to it")
    events: Annotated[tuple[LocalEvent, ...], Field(max_length=MOST_EVENTS)] = ()
    utilisation_ceiling_gbp_per_mwh: Price = 300.0
    availability_ceiling_gbp_per_mwh: Price = Field(default=0.0, description="per MW held for an hour")


class SustainH(LocalService):
    """Paid for being held alone; what is paid was not found."""

    availability_ceiling_gbp_per_mwh: Price = Field(
        default=20.0, description="per MW held for an hour; assumed"
    )


class Secure(LocalService):
    """Ceilings as Flexible Power's fixed prices: 125 GBP/MW/h and 175 GBP/MWh [mem]."""

    utilisation_ceiling_gbp_per_mwh: Price = Field(default=175.0, description="[mem]")
    availability_ceiling_gbp_per_mwh: Price = Field(default=125.0, description="per MW held an hour [mem]")


class Dynamic(LocalService):
    """Ceilings as Flexible Power's fixed prices: 5 GBP/MW/h and 300 GBP/MWh [mem]."""

    availability_ceiling_gbp_per_mwh: Price = Field(default=5.0, description="per MW held an hour [mem]")


class Restore(LocalService):
    """Ceiling as Flexible Power's fixed price: 600 GBP/MWh [mem]."""

    utilisation_ceiling_gbp_per_mwh: Price = Field(default=600.0, description="[mem]")


class LocalServices(Model):
    """What the distribution network operator buys in its constraint management zones."""

    sustain: LocalService = LocalService()
    sustain_h: SustainH = SustainH()
    secure: Secure = Secure()
    dynamic: Dynamic = Dynamic()
    restore: Restore = Restore()


class ConstraintEvent(ServiceEvent):
    """A requirement of the ESO at a Grid Supply Point."""

    gsp: Place = Field(description="Grid Supply Point such as _P00")
    boundary: Place | None = Field(
        default=None, description="which one is relieved; None: the one beyond its limit around the GSP"
    )


class ConstraintService(Model):
    """One of the two ways in which the ESO buys relief of a thermal constraint."""

    share: Share = Field(default=0.0, description="homes that consent to it")
    events: Annotated[tuple[ConstraintEvent, ...], Field(max_length=MOST_EVENTS)] = ()
    utilisation_ceiling_gbp_per_mwh: Price = Field(
        default=300.0, description="the LCM pays some 200 GBP/MWh on average [axle.energy]; assumed"
    )
    availability_ceiling_gbp_per_mwh: Price = Field(default=0.0, description="per MW held for an hour")


class Boundary(Model):
    """A boundary of the transmission network: what lies behind it, and how much it carries either way."""

    gsps: Annotated[tuple[Place, ...], Field(min_length=1, max_length=400)]
    export_limit_mw: Megawatts = Field(ge=0)
    import_limit_mw: Megawatts = Field(ge=0)


class ConstraintMarket(Model):
    """Day-ahead Thermal Constraint Management of CrowdFlex, and the Local Constraint Market."""

    tcm: ConstraintService = ConstraintService()
    lcm: ConstraintService = ConstraintService()
    boundaries: dict[str, Boundary] = Field(
        default_factory=dict, description="network that TCM awards are checked against; {}: not checked"
    )
    net_export_mw: dict[str, Megawatts] = Field(
        default_factory=dict, description="what GSPs export when nothing is called; 0 where none is given"
    )


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
    """What homes pay their Supplier, and who shifts by a static time-of-use tariff.

    Batteries on it charge when it is cheap and serve the home when it is dear; `batteries.tariff_share` are
    others. Economy 7 homes keep their tariff.
    """

    share: Share = Field(
        default=0.0, description="of homes with a smart meter of one rate, on the static time-of-use tariff"
    )
    peak: tuple[tuple[ClockTime, ClockTime], ...] = Field(
        default=(("16:00", "19:00"),), validate_default=True, description="local hours when it is dear; [mem]"
    )
    cheap: tuple[tuple[ClockTime, ClockTime], ...] = Field(
        default=(), description="local hours when it is cheap; cars then charge in these alone"
    )
    cars_follow_share: Share = Field(
        default=0.8, description="of car owners on it, set the charger's schedule; 74 % have a smart charger"
    )
    goods_follow_share: Share = Field(
        default=0.5, description="of homes on it, set delay-start timers where they have them; assumed"
    )
    peak_price_gbp_per_mwh: Price = Field(default=370.0, description="1.5 times the single rate; assumed")
    day_price_gbp_per_mwh: Price = Field(
        default=212.0, description="so that Profile Class 1, 21 % of it at peak, pays as on the single rate"
    )
    cheap_price_gbp_per_mwh: Price = Field(default=125.0, description="half the single rate; assumed")
    single_rate_price_gbp_per_mwh: Price = Field(default=245.0, description="price cap of late 2024; [mem]")
    economy_7_night: tuple[tuple[ClockTime, ClockTime], ...] = Field(
        default=(("00:30", "07:30"),),
        validate_default=True,
        description="local hours, the same in all regions; assumed",
    )
    economy_7_night_price_gbp_per_mwh: Price = Field(default=150.0, description="assumed")
    economy_7_day_price_gbp_per_mwh: Price = Field(default=295.0, description="assumed")
