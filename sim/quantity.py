"""Quantities as people write them (`7.4 kW`, `30 min`, `6 %`, `17:30`) and as the twin keeps them.

Owns the units of scenario files. A file must name a unit wherever two are possible; Python code, which sees
the unit in the field's name, gives plain numbers. Which of the two is asking is told by the validation
context: `{"file": True}` is the strict one.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

FROM_FILE = MappingProxyType({"file": True})
"""Validation context of values that come from a file or the command line: no number without its unit."""

UNIT_SUFFIXES = ("_gbp_per_mwh", "_ms", "_wh", "_mw", "_w")
"""Ends of field names that hold a quantity; left out in a file, where the value says its own unit."""

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_WRITTEN = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<unit>[^\s0-9.,+-].*)?")
_LONGEST_TEXT = 60
_LARGEST_POWER_OF_TEN = 15
"""Guards the arithmetic: a number of 10^999999 is not even multiplied."""


def without_unit(name: str) -> str:
    """A field's name as a file spells it: `validity_ms` is `validity`, because the value carries the unit."""
    for suffix in UNIT_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def fault(kind: str, what: str, *, allowed: str, nearest: str = "") -> PydanticCustomError:
    """An error that `sim.scenario_file` can place in the file; `kind` is a key of its table of codes."""
    message = f"{what}; allowed: {allowed}" + (f"; did you mean {nearest}?" if nearest else "")
    return PydanticCustomError(
        kind,
        "{message}",
        {"message": message, "what": what, "allowed": allowed, "nearest": nearest},
    )


class Written(ABC):
    """A value that a file spells as text: how it is read, written back and described to an editor."""

    examples: tuple[str, ...]

    @property
    @abstractmethod
    def pattern(self) -> str:
        """Regular expression of the texts allowed, for the JSON Schema."""

    @abstractmethod
    def read(self, value: object, *, from_file: bool) -> object:
        """The value in its own unit; plain values from Python pass for the field's type to judge."""

    @abstractmethod
    def write(self, value: Any) -> str:
        """How the value is spelt in a file; reading it back gives the value."""

    def __get_pydantic_core_schema__(self, source: type, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Reading comes before the field's own type and bounds."""

        def read(value: object, info: ValidationInfo) -> object:
            return self.read(value, from_file=bool(info.context and info.context.get("file")))

        return core_schema.with_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What an editor is told: text of this form."""
        del handler
        return {"type": "string", "pattern": self.pattern, "examples": list(self.examples)}


@dataclass(frozen=True, slots=True, eq=False)  # one object per kind, told apart by identity
class Quantity(Written):
    """A kind of quantity: the unit it is kept in and the units it may be written in."""

    name: str
    units: Mapping[str, Decimal]  # spelling -> size in the unit that is kept, which is the one of size 1
    examples: tuple[str, ...]
    largest: int  # in the kept unit, either way; nothing in a portfolio comes near
    spelt: tuple[str, ...]  # units to write in, largest first
    usual: tuple[str, ...]  # units that someone who wrote none may have meant
    whole: bool = True  # kept as an integer; a finer figure is refused rather than rounded
    negative: bool = False

    @property
    def allowed(self) -> str:
        """The units by name and an example, for an error."""
        return f"{self.name} in {', '.join(self.units)}, such as `{self.examples[0]}`"

    @property
    def kept_unit(self) -> str:
        """The unit that values are kept in."""
        return next(unit for unit, size in self.units.items() if size == 1)

    @property
    def pattern(self) -> str:
        """A number, a space if wanted, and one of the units."""
        units = "|".join(re.escape(unit).replace(r"\ ", " ") for unit in self.units)
        return f"^{'[+-]?' if self.negative else '[+]?'}{_NUMBER.removeprefix('[+-]?')}\\s*({units})$"

    def read(self, value: object, *, from_file: bool) -> object:
        """The quantity in the kept unit. Refuses a missing or foreign unit and more digits than are kept."""
        if isinstance(value, str):
            return self._kept(value)
        if from_file:
            raise self._without_unit(value)
        return value

    def write(self, value: float) -> str:
        """The shortest spelling in at most three decimals, in the largest unit that allows it."""
        exact = Decimal(repr(value))
        for unit in self.spelt:
            figure = exact / self.units[unit]
            if abs(figure) >= 1 and figure == round(figure, 3):
                return f"{figure.normalize():f} {unit}"
        return f"{exact.normalize():f} {self.kept_unit}"

    def _kept(self, text: str) -> float:
        figure, unit = self._parts(text)
        size = self.units.get(unit)
        if size is None:
            raise self._foreign_unit(text, unit)
        kept = figure * size
        if kept.is_signed() and not self.negative:
            raise fault("quantity_malformed", f"{self.name} cannot be negative", allowed=self.allowed)
        if abs(kept) > self.largest:
            what = f"more than {self.name} can be here"
            raise fault("quantity_malformed", what, allowed=f"at most {self.write(self.largest)}")
        if self.whole and kept != kept.to_integral_value():
            what = f"finer than the {self.kept_unit} that {self.name} is kept in"
            raise fault("quantity_too_fine", what, allowed=f"whole {self.kept_unit}")
        return int(kept) if self.whole else float(kept)

    def _parts(self, text: str) -> tuple[Decimal, str]:
        match = _WRITTEN.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
        if match is None:
            nearest = f"`{text.replace(',', '.', 1)}`" if re.match(r"\d+,\d", text) else ""
            raise fault(
                "quantity_malformed",
                f"not {self.name}: a number, then a unit",
                allowed=self.allowed,
                nearest=nearest,
            )
        figure = Decimal(match["number"])
        if figure and abs(figure.adjusted()) > _LARGEST_POWER_OF_TEN:
            raise fault(
                "quantity_malformed", "a number too large or too small to mean it", allowed=self.allowed
            )
        if figure.is_zero() and figure.is_signed():
            raise fault("quantity_malformed", "negative zero", allowed=self.allowed, nearest="`0`")
        return figure, match["unit"] or ""

    def _foreign_unit(self, text: str, unit: str) -> PydanticCustomError:
        if not unit:
            return self._without_unit(text)
        other = next((kind for kind in KINDS if unit in kind.units), None)
        what = f"`{unit}` is a unit for {other.name}" if other else f"`{unit}` is not a unit known here"
        folded = {known.casefold(): known for known in self.units}
        close = get_close_matches(unit.casefold(), folded, n=1, cutoff=0.5)
        nearest = f"`{folded[close[0]]}`" if close and (other is None or other is self) else ""
        return fault("unit_wrong", what, allowed=self.allowed, nearest=nearest)

    def _without_unit(self, value: object) -> PydanticCustomError:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return fault("quantity_malformed", f"not {self.name}", allowed=self.allowed)
        nearest = " or ".join(f"`{value} {unit}`" for unit in self.usual)
        return fault("unit_missing", f"{self.name} without its unit", allowed=self.allowed, nearest=nearest)


@dataclass(frozen=True, slots=True)
class ShareOf(Written):
    """A part of a whole: `6 %`, or a bare number from 0 to 1."""

    pattern: str = r"^[+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*%$"
    examples: tuple[str, ...] = ("6 %", "2.5 %")

    def read(self, value: object, *, from_file: bool) -> object:
        """The share as a number from 0 to 1. Refuses 6 where 6 % was meant."""
        allowed = "a percentage such as `6 %`, or a number from 0 to 1"
        if isinstance(value, str):
            if not re.fullmatch(self.pattern, value.strip()) or len(value) > _LONGEST_TEXT:
                raise fault("quantity_malformed", "not a share", allowed=allowed)
            value = float(Decimal(value.strip().removesuffix("%").strip()) / 100)
            if value > 1:
                raise fault("share_out_of_range", "more than the whole", allowed=allowed)
        elif from_file and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise fault("quantity_malformed", "not a share", allowed=allowed)
        if isinstance(value, int | float) and not 0 <= value <= 1:
            nearest = f"`{value} %`" if 1 < value <= 100 and from_file else ""
            raise fault("share_out_of_range", "a share outside 0 to 1", allowed=allowed, nearest=nearest)
        return value

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Text in per cent, or a plain number."""
        del handler
        percentage = {"type": "string", "pattern": self.pattern, "examples": list(self.examples)}
        return {"anyOf": [percentage, {"type": "number", "minimum": 0, "maximum": 1}]}

    def write(self, value: float) -> str:
        """As a percentage."""
        return f"{(Decimal(repr(value)) * 100).normalize():f} %"


@dataclass(frozen=True, slots=True)
class ClockOf(Written):
    """A local time on the wall, kept as minutes after local midnight; `24:00` ends a day."""

    pattern: str = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
    examples: tuple[str, ...] = ("17:30", "07:00")

    def read(self, value: object, *, from_file: bool) -> object:
        """Minutes after local midnight, 0 to 1440."""
        allowed = "a local time `00:00` to `24:00`, such as `17:30`"
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return int(value[:2]) * 60 + int(value[3:])
        if not isinstance(value, int) or isinstance(value, bool) or from_file or not 0 <= value <= 24 * 60:
            raise fault("clock_malformed", "not a time of day", allowed=allowed, nearest=self._nearest(value))
        return value

    def write(self, value: int) -> str:
        """Hours and minutes."""
        return f"{value // 60:02d}:{value % 60:02d}"

    def _nearest(self, value: object) -> str:
        match = re.fullmatch(r"(\d{1,2})[:.h]?(\d{2})(?::00)?", str(value))
        guess = f"{int(match[1]):02d}:{match[2]}" if match else ""
        return f"`{guess}`" if re.fullmatch(self.pattern, guess) else ""


@dataclass(frozen=True, slots=True)
class DayOf(Written):
    """A calendar day, `2024-01-16`: year, month, day and nothing else."""

    pattern: str = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
    examples: tuple[str, ...] = ("2024-01-16",)

    def read(self, value: object, *, from_file: bool) -> object:
        """The day. Refuses days the calendar lacks and times behind the date."""
        if isinstance(value, str) and re.fullmatch(self.pattern, value, re.ASCII):
            try:
                return date.fromisoformat(value)
            except ValueError as error:
                raise fault(
                    "day_malformed", f"no such day: {error}", allowed="a day of the calendar"
                ) from None
        if from_file or isinstance(value, str):
            raise fault("day_malformed", "not a day", allowed="a day as year-month-day, such as `2024-01-16`")
        return value

    def write(self, value: date) -> str:
        """As ISO 8601 has it."""
        return value.isoformat()


def _sizes(**sizes: str) -> Mapping[str, Decimal]:
    return MappingProxyType({unit: Decimal(size) for unit, size in sizes.items()})


DURATION = Quantity(
    name="a duration",
    units=_sizes(ms="1", s="1e3", min="6e4", h="3.6e6", day="8.64e7", days="8.64e7"),
    examples=("30 min", "10 s", "200 ms", "2 h", "1 day"),
    largest=400 * 86_400_000,  # the longest run
    spelt=("day", "h", "min", "s", "ms"),
    usual=("s", "min"),
)
ENERGY = Quantity(
    name="energy",
    units=_sizes(Wh="1", kWh="1e3", MWh="1e6"),
    examples=("2700 kWh", "500 Wh"),
    largest=10**9,  # 1 GWh
    spelt=("kWh", "Wh"),
    usual=("kWh", "Wh"),
)
POWER = Quantity(
    name="power",
    units=_sizes(W="1", kW="1e3", MW="1e6"),
    examples=("7.4 kW", "800 W"),
    largest=10**9,  # 1 GW; limits travel as 32-bit W
    spelt=("kW", "W"),
    usual=("kW", "W"),
)
MEGAWATTS = Quantity(
    name="power",
    units=_sizes(MW="1", kW="1e-3", GW="1e3"),
    examples=("10 MW", "500 kW"),
    largest=10**5,  # 100 GW, above any British peak
    whole=False,
    negative=True,
    spelt=("MW",),
    usual=("MW", "kW"),
)
PRICE = Quantity(
    name="a price",
    units=MappingProxyType({
        "GBP/MWh": Decimal(1),
        "£/MWh": Decimal(1),
        "p/kWh": Decimal(10),
        "GBP/kWh": Decimal(1000),
        "£/kWh": Decimal(1000),
    }),
    examples=("150 GBP/MWh", "12.5 p/kWh", "-20 GBP/MWh"),
    largest=10**6,
    whole=False,
    negative=True,
    spelt=("GBP/MWh",),
    usual=("GBP/MWh", "p/kWh"),
)  # fmt: skip
KINDS = (DURATION, ENERGY, POWER, MEGAWATTS, PRICE)
SHARE = ShareOf()
CLOCK_TIME = ClockOf()
DAY = DayOf()

Duration = Annotated[int, DURATION]
"""[ms]"""
Energy = Annotated[int, ENERGY]
"""[Wh]"""
Power = Annotated[int, POWER]
"""[W]"""
Megawatts = Annotated[float, MEGAWATTS]
"""[MW], of either sign; the field says which is meant"""
Price = Annotated[float, PRICE]
"""[GBP/MWh], may be negative"""
Share = Annotated[float, SHARE]
"""0 to 1"""
ClockTime = Annotated[int, CLOCK_TIME]
"""[minutes after local midnight], 0 to 1440"""
Day = Annotated[date, DAY]
"""A calendar day, local"""
