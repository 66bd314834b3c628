"""What a scenario may say of the services besides DFS and the BM, and every default there is: data alone.

By default nobody is enrolled in any of them. `share` is always of the homes with a reachable device, each
service drawn apart; what the rules of the day forbid together is left out by the aggregator.
"""

from __future__ import annotations

from pydantic import Field

from sim.quantity import Share
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


class CapacityMarket(Model):
    """An obligation in the Capacity Market."""

    share: Share = Field(default=0.0, description="homes that consent to it")


class Retail(Model):
    """What homes pay their Supplier."""

    share: Share = Field(default=0.0, description="homes on the static time-of-use tariff")
