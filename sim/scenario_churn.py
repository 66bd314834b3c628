"""What a scenario may say of the registry's churn during a run, and its defaults: nothing happens.

What becomes of whom: `sim/churn.py`. "assumed" marks a guess, [mem] what is commonly quoted and unverified.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.quantity import ClockTime, Duration, Share
from sim.scenario_model import Model

DAY_MS = 86_400_000
PerYear = Annotated[float, Field(ge=0, le=400)]
"""How often a year, on average: a rate, not a share."""


class Moves(Model):
    """Households that move out. Consent ends with the old occupant, whether or not anybody says so."""

    per_year: PerYear = Field(default=0.0, description="of each home; about 0.1 in England [mem]")
    told_share: Share = Field(default=0.3, description="movers who tell the aggregator; assumed")
    told_after_ms: Duration = Field(default=2 * DAY_MS, description="how long after moving; assumed")
    enrol_again_share: Share = Field(default=0.4, description="new occupants who enrol; assumed")
    enrol_again_after_ms: Duration = Field(default=14 * DAY_MS, description="mean, exponential; assumed")


class Swaps(Model):
    """Devices replaced by others: the asset meter's register starts anew."""

    per_year: PerYear = Field(default=0.0, description="of each device; 0.1 for a life of ten years [mem]")
    told_share: Share = Field(default=0.5, description="swaps that somebody tells of; assumed")
    told_after_ms: Duration = Field(default=DAY_MS, description="assumed")


class Withdrawals(Model):
    """Customers who withdraw their consent in the app; the vendor's cloud refuses our orders at once."""

    per_year: PerYear = Field(default=0.0, description="of each home; no source")
    told_after_ms: Duration = Field(
        default=60_000, description="until the aggregator hears of it by message; assumed"
    )


class Deallocations(Model):
    """MPANs that another party's registration takes out of our units: a change of supplier or provider."""

    per_year: PerYear = Field(default=0.0, description="of each home; supplier switches about 0.1 [mem]")
    told_after_ms: Duration = Field(
        default=DAY_MS, description="until settlement hears of it and tells us; assumed"
    )


class Firmware(Model):
    """Roll-outs of new firmware: a share of one vendor's devices in one night."""

    per_year: PerYear = Field(default=0.0, description="roll-outs of each vendor cloud; no source")
    share: Share = Field(default=0.3, description="of the vendor's devices, in one night; assumed")
    start: ClockTime = Field(default="02:00", validate_default=True, description="assumed")
    over_ms: Duration = Field(default=7_200_000, description="devices begin within this time; assumed")
    offline_for_ms: Duration = Field(
        default=600_000, ge=60_000, description="offline so long on average, even from half to one and a half"
    )
    report_every_ms: Duration = Field(
        default=0, description="reports afterwards at most this often; 0: as before"
    )
    ignores_pause_share: Share = Field(
        default=0.0, description="devices that acknowledge a pause afterwards and charge on"
    )
    told: bool = Field(default=False, description="the vendor announces the new interval")


class ChurnEvent(Model):
    """Something that befalls a share of the homes, or of the devices, at one moment."""

    day: int = Field(default=0, ge=0, le=365, description="day of the run, 0 is the first")
    at: ClockTime
    kind: Literal["moved", "consent_withdrawn", "device_swapped", "firmware", "msid_deallocated"]
    share: Share
    vendor: str | None = Field(
        default=None, description="only devices of one vendor cloud, such as `evcp_wifi_cloud/0`"
    )
    told_after_ms: Duration | None = Field(default=None, description="None: as the kind's section says")


class Churn(Model):
    """What becomes of homes, devices and their registration while a run lasts; by default nothing."""

    moves: Moves = Moves()
    swaps: Swaps = Swaps()
    withdrawals: Withdrawals = Withdrawals()
    deallocations: Deallocations = Deallocations()
    firmware: Firmware = Firmware()
    events: Annotated[tuple[ChurnEvent, ...], Field(max_length=1_000)] = ()

    @property
    def happens(self) -> bool:
        """Whether anything may happen at all."""
        sections = (self.moves, self.swaps, self.withdrawals, self.deallocations, self.firmware)
        return bool(self.events) or any(section.per_year for section in sections)
