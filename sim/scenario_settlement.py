"""What a scenario may say of settlement runs and of late meters, and every default there is: data alone.

By default a day is settled as soon as its readings are there, and no meter is late.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sim.quantity import Share
from sim.scenario_model import Model

DayOfRun = Annotated[int, Field(ge=0, le=399, description="day of the run, 0 is the first")]


class LateMeters(Model):
    """Half-hourly meters, of homes and of assets, whose days are collected late.

    BSC performance standards ask for 99 % of half-hourly energy on actuals by SF [mem]; no distribution of
    delays was found.
    """

    one_off_share: Share = Field(
        default=0.0, description="days of any meter that are collected late, drawn day by day"
    )
    one_off_median_days: float = Field(
        default=4.0, gt=0, le=1_000, description="median of their log-normal delay [days]; assumed"
    )
    persistent_share: Share = Field(
        default=0.0, description="meters that do not communicate: every day of theirs comes late or never"
    )
    persistent_median_days: float = Field(
        default=60.0, gt=0, le=1_000, description="median delay, drawn once per meter [days]; assumed"
    )
    log_sd: float = Field(default=1.0, ge=0, le=3, description="log-normal spread of both delays; assumed")
    never_share: Share = Field(
        default=0.0, description="of meters that do not communicate: nobody ever reads them"
    )


class SettlementRuns(Model):
    """When days are settled, and with what."""

    runs: Literal["data", "calendar"] = Field(
        default="data",
        description="data: when the readings are there; calendar: on the days of II, SF, R1, R2, R3 and RF, "
        "with what is there by then",
    )
    late: LateMeters = LateMeters()
    disputed: Annotated[tuple[DayOfRun, ...], Field(max_length=400)] = Field(
        default=(), description="days of the run that are disputed: they have a DF run as well"
    )
