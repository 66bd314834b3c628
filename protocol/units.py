"""The one place where units and signs change: W, kW, MW; mJ, Wh; import to BM-unit level; GBP to 1e-5 GBP.

Devices and meters count import from the grid as positive (`import_w`, `import_wh`). A BM Unit's level
counts export as positive (`level_mw`), so a unit made of loads has negative levels, and turning demand down
raises the level. Power and energy are whole W, mJ and Wh; money is a whole number of 1e-5 GBP. Hard cases:
docs/rules.md R10-R13.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

W_PER_KW = 1_000
W_PER_MW = 1_000_000
WH_PER_KWH = 1_000
WH_PER_MWH = 1_000_000
MJ_PER_J = 1_000
MJ_PER_WH = 3_600_000
"""Millijoules in a watt-hour."""
GBP_E5 = 100_000
"""How many of our money units make one pound."""

Number = int | float | Decimal | Fraction


def exact(number: Number) -> Fraction:
    """The number as a fraction; a float counts as the shortest decimal that prints it: 0.1 is 1/10 (R12)."""
    return Fraction(repr(float(number))) if isinstance(number, float) else Fraction(number)


def import_w_to_level_mw(import_w: int) -> float:
    """BM-unit level [MW, export positive] of an import [W, import positive]."""
    return -import_w / W_PER_MW


def level_mw_to_import_w(level_mw: float) -> int:
    """Import [W, import positive] of a BM-unit level [MW, export positive]; whole watts, ties to even."""
    return -round(exact(level_mw) * W_PER_MW)


def turn_down_mw(level_from_mw: float, level_to_mw: float) -> float:
    """How much less is imported at the second level than at the first [MW]; negative for turning up."""
    return float(exact(level_to_mw) - exact(level_from_mw))


def to_wire_mw(level_mw: float) -> tuple[int, float]:
    """The level to send [whole MW] and the residue that sending leaves out [MW], of either sign (rule R10).

    level_mw = sent + residue. Rounds to the nearest whole MW, ties to even. Source: PN and BOALF levels are
    int32 in the Insights OpenAPI.
    """
    level = exact(level_mw)
    sent = round(level)
    return sent, float(level - sent)


def kw_to_w(power_kw: Number) -> int:
    """Whole watts, ties to even."""
    return round(exact(power_kw) * W_PER_KW)


def mw_to_w(power_mw: Number) -> int:
    """Whole watts, ties to even."""
    return round(exact(power_mw) * W_PER_MW)


def w_to_kw(power_w: int) -> float:
    """Kilowatts."""
    return power_w / W_PER_KW


def w_to_mw(power_w: int) -> float:
    """Megawatts, same sign."""
    return power_w / W_PER_MW


def kwh_to_wh(energy_kwh: Number) -> int:
    """Whole watt-hours, ties to even."""
    return round(exact(energy_kwh) * WH_PER_KWH)


def wh_to_mwh(energy_wh: int) -> Decimal:
    """Megawatt-hours, exactly."""
    return Decimal(energy_wh).scaleb(-6)


def energy_mj(power_w: int, duration_ms: int) -> int:
    """Energy of a constant power [mJ], exactly: 1 W for 1 ms is 1 mJ."""
    return power_w * duration_ms


def wh_to_mj(energy_wh: int) -> int:
    """Millijoules, exactly."""
    return energy_wh * MJ_PER_WH


def mj_to_wh(energy_mj: int) -> tuple[int, int]:
    """Whole watt-hours and the millijoules left over (0 <= left < 3,600,000): nothing is lost (rule R11)."""
    return divmod(energy_mj, MJ_PER_WH)


def gbp_e5(price_gbp_per_mwh: Number, volume_mwh: Number, factor: Number = 1) -> int:
    """Price x volume x factor [1e-5 GBP], computed exactly and rounded once, half to even (rule R12)."""
    return round(exact(price_gbp_per_mwh) * exact(volume_mwh) * exact(factor) * GBP_E5)


def gbp(amount_gbp_e5: int) -> Decimal:
    """Pounds, exactly."""
    return Decimal(amount_gbp_e5).scaleb(-5)
