"""What a scenario may say of the services besides DFS and the BM, and every default there is: data alone.

By default nobody is enrolled in any of them. `share` is always of the homes with a reachable device, each
service drawn apart; what the rules of the day forbid together is left out by the aggregator.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.quantity import ClockTime, Price, Share
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


class Wholesale(Model):
    """Trading deviations as a Virtual Trading Party (P415)."""

    share: Share = Field(default=0.0, description="homes that consent to it")


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
