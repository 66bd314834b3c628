"""What a scenario may say of the services besides DFS and the BM, and every default there is: data alone.

By default nobody is enrolled in any of them. `share` is always of the homes with a reachable device, each
service drawn apart; what the rules of the day forbid together is left out by the aggregator.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.quantity import ClockTime, Megawatts, Price, Share
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


class Wholesale(Model):
    """Trading deviations as a Virtual Trading Party (P415)."""

    share: Share = Field(default=0.0, description="homes that consent to it")


class CapacityMarket(Model):
    """An obligation in the Capacity Market."""

    share: Share = Field(default=0.0, description="homes that consent to it")


class Retail(Model):
    """What homes pay their Supplier."""

    share: Share = Field(default=0.0, description="homes on the static time-of-use tariff")
