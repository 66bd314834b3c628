"""What a vendor's interface documentation says: units, sign, clock, stamps, intervals, fields.

Owns the vocabulary that a head-end and the aggregator's integration of it share. Whether both hold the same
documentation is up to them: a vendor may change its interface, and an integration may be wrong or missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MISSING = -(2**31)
"""Stands in `Telemetry.import_w` and `register_wh` for what a vendor did not tell: below any reading."""

SUPPLY_V = 230
"""Nominal voltage by which a current is told as power: BS EN 50160, 230 V phase to neutral."""


class PowerUnit(StrEnum):
    """What power is told in."""

    W = "W"
    KW = "kW"
    A = "A"  # one phase at `SUPPLY_V`


class EnergyUnit(StrEnum):
    """What the register is told in."""

    WH = "Wh"
    KWH = "kWh"


class Sign(StrEnum):
    """Which direction is positive."""

    IMPORT = "import"
    EXPORT = "export"


class VendorClock(StrEnum):
    """How a moment is spelt."""

    UTC_MS = "utc_ms"
    UTC_S = "utc_s"  # whole seconds
    LOCAL_S = "local_s"  # whole seconds shown by London's clock, no offset: October shows an hour twice


class Stamp(StrEnum):
    """Which end of the interval a reading is stamped with."""

    START = "start"
    END = "end"


WATTS = {PowerUnit.W: 1.0, PowerUnit.KW: 1_000.0, PowerUnit.A: float(SUPPLY_V)}
WATT_HOURS = {EnergyUnit.WH: 1.0, EnergyUnit.KWH: 1_000.0}


@dataclass(frozen=True, slots=True)
class VendorIntegration:
    """One vendor's interface. `power_step` and `energy_step` are the last digit told, in the unit told."""

    vendor: str
    interval_ms: int  # one reading per asset in each; 0: every reading is told
    age_ms: int  # how old a reading is when the interface has it
    power_unit: PowerUnit
    power_step: float
    energy_unit: EnergyUnit | None  # None: not told
    energy_step: float
    sign: Sign
    clock: VendorClock
    stamp: Stamp
    tells_status: bool
    tells_soc: bool
    backfills: bool  # whether what was measured while cut off is told later

    @property
    def power_resolution_w(self) -> float:
        """The last digit of power [W]."""
        return self.power_step * WATTS[self.power_unit]

    @property
    def energy_resolution_wh(self) -> float:
        """The last digit of the register [Wh]; 0 where it is not told."""
        return 0.0 if self.energy_unit is None else self.energy_step * WATT_HOURS[self.energy_unit]

    @property
    def time_resolution_ms(self) -> int:
        """The last digit of a stamp [ms]."""
        return 1 if self.clock is VendorClock.UTC_MS else 1_000

    @property
    def stamp_shift_ms(self) -> int:
        """How long after the moment of a reading its stamp is [ms]."""
        return self.interval_ms if self.stamp is Stamp.END else 0
