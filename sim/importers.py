"""Reads half-hourly prices and daily weather from CSV files, or tells everything wrong with them at once. Owns their shape.

Two shapes: `spUTCTime,spClockTime,price` (or `volume`) with one row per Settlement Period stamped at its start, and
`date,...,temperature_max_c,temperature_min_c,temperature_mean_c` with one row per day. A value is never scaled, moved
in time or filled unless the caller or the file says so; whatever was filled is counted and warned of.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocol import periods
from protocol.messages import I64
from protocol.periods import LONDON, PERIOD_MS
from sim.scenario_errors import Kind, quoted

F64 = NDArray[np.float64]
Policy = Literal["error", "hold", "interpolate"]
"""What to do where a value is missing: refuse the file, repeat the last value, or draw a straight line."""

MOST_TOLD = 50
LARGEST_BYTES = 200_000_000
MOST_FILLED = 48
"""Longest gap that a policy fills, in rows; assumed: beyond a day of half-hours it is no longer the same series."""

PRICE_UNITS: Mapping[str, float] = MappingProxyType(
    {"GBP/MWh": 1.0, "£/MWh": 1.0, "p/kWh": 10.0, "GBP/kWh": 1000.0, "£/kWh": 1000.0}
)
"""Spelling of a unit and its size in GBP/MWh."""
VOLUME_UNITS: Mapping[str, float] = MappingProxyType({"MWh": 1.0, "kWh": 1e-3, "GWh": 1e3})
"""Spelling of a unit and its size in MWh."""
TEMPERATURE_UNITS: Mapping[str, float] = MappingProxyType({"C": 1.0, "degC": 1.0, "°C": 1.0})

CODES: Mapping[str, Kind] = MappingProxyType({
    # The file as such
    "D001": Kind("the file cannot be read", "check its name, and give its folder with `--data DIR`"),
    "D002": Kind("the file is not UTF-8 text", "save it as CSV UTF-8"),
    "D003": Kind("the file holds no rows", "a header, then one row per period or day"),
    "D004": Kind("the file is larger than 200 MB", "cut it to the days of the run"),
    "D005": Kind("not fields separated by commas", "export with `,` between fields and `.` in numbers"),
    "D006": Kind("a column is missing, or there twice", "see the columns listed"),
    "D007": Kind("a row with more or fewer fields than the header", "mend the row; no comma inside a number"),
    # Values
    "D010": Kind("not a number", "digits with a decimal point"),
    "D011": Kind("a comma in a number", "a decimal point, and nothing between thousands"),
    "D012": Kind("a spreadsheet's error or word for nothing", "put the value there, or leave the cell empty"),
    "D013": Kind("a number that is not finite", "put the value there, or leave the cell empty"),
    "D014": Kind("a value is missing", "put it there, or ask for `hold` or `interpolate`"),
    "D015": Kind("the unit row is missing, or names an unknown unit", "a second row with the unit under the column"),
    "D016": Kind("a value that no place in Britain has", "degrees Celsius"),
    "D017": Kind("minimum, mean and maximum contradict each other", "minimum <= mean <= maximum"),
    # Times
    "D020": Kind("a spreadsheet's date serial", "format the column as text: `2024-01-01 00:00:00+00:00`"),
    "D021": Kind("not a time or day", "ISO 8601: `2024-01-01 00:00:00+00:00`, or `2024-01-01`"),
    "D022": Kind("a time without its UTC offset", "write the offset: `+00:00`, or `+01:00` in summer"),
    "D023": Kind("a time in `spUTCTime` that is not UTC", "offset `+00:00` or `Z`"),
    "D024": Kind("a period that overlaps its neighbours", "periods start on the hour and half past"),
    "D025": Kind("a period or day twice", "keep one of the rows"),
    "D026": Kind("rows out of order", "sort by time, or ask for `hold` or `interpolate`"),
    "D027": Kind("a gap", "add the rows, or ask for `hold` or `interpolate`"),
    "D028": Kind("a clock-change day given as 48 periods", "46 in March and 50 in October"),
    "D029": Kind("stamped at the end of the period", "stamp every row at the start"),
    "D030": Kind("`spClockTime` is not the London time of `spUTCTime`", "offset `+01:00` in summer, else `+00:00`"),
    "D031": Kind("a day that is not whole", "whole local days, from midnight to midnight"),
    "D032": Kind("the file does not cover the days of the run", "a longer file, or another `clock.start`"),
    # Warnings: the run goes on
    "W101": Kind("values that look like another unit", "state the unit in a second row: `,,p/kWh`"),
    "W102": Kind("values filled, rows dropped or sorted", "mend the file"),
    "W103": Kind("no net imbalance file", "name `prices.net_imbalance_file`; the system is taken as balanced"),
})  # fmt: skip
"""Codes starting with D stop before anything is done; codes starting with W are counted in the report."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_WITH_COMMA = re.compile(r"[+-]?[0-9]+(?:[,.][0-9]+)*,[0-9]+(?:\.[0-9]+)?", re.ASCII)
_SERIAL = re.compile(r"[0-9]{5}(?:\.[0-9]+)?", re.ASCII)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.0+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NOTHING = frozenset({"na", "n/a", "null", "none", "-", "--"})
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})
_UTC_TIME, _CLOCK_TIME = "spUTCTime", "spClockTime"
_COLDEST_C, _HOTTEST_C = -60.0, 60.0


# --------------------------------------------------------------------------------------------------------- faults


@dataclass(frozen=True, slots=True)
class DataFault:
    """One thing wrong at one place of a data file: line `row` and field `column`, both from 1."""

    code: str
    file: str
    row: int
    column: int
    what: str
    got: str = ""
    allowed: str = ""

    def __str__(self) -> str:
        parts = [f"{self.file}:{self.row}:{self.column}: {self.code} {self.what}"]
        if self.got:
            parts.append(f"got {self.got}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        return "; ".join(parts)

    @property
    def is_warning(self) -> bool:
        """Whether the run may go on."""
        return self.code.startswith("W")


class DataErrors(Exception):  # noqa: N818 - it carries several errors
    """Everything wrong with data files, in the order of their rows. Printing it gives one line for each of the first 50."""

    def __init__(self, faults: Iterable[DataFault]) -> None:
        self.faults: tuple[DataFault, ...] = tuple(sorted(set(faults), key=_place))
        super().__init__(self.faults)

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults[:MOST_TOLD]]
        if len(self.faults) > MOST_TOLD:
            lines.append(f"... and {len(self.faults) - MOST_TOLD} more")
        return "\n".join(lines)


def _place(fault: DataFault) -> tuple[str, int, int, str]:
    return fault.file, fault.row, fault.column, fault.code


# ------------------------------------------------------------------------------------------------------- what is read


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: SHA-256 of its bytes for the manifest, rows in it, and what a policy changed."""

    path: Path
    sha256: str
    rows: int
    filled: int = 0  # values put where none was
    dropped: int = 0  # rows that said the same twice
    reordered: int = 0  # rows that stood after a later one
    warnings: tuple[DataFault, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class HalfHourly:
    """A series without gaps over whole local days: `start_ms` (periods,) [UTC ms] and `values` (periods,)."""

    source: Source
    start_ms: I64
    values: F64  # [GBP/MWh] or [MWh]


@dataclass(frozen=True, slots=True, eq=False)
class DailyWeather:
    """Temperatures without gaps: `day` (days,) [proleptic ordinal] and mean, minimum and maximum (days,) [C]."""

    source: Source
    day: I64
    mean_c: F64
    min_c: F64
    max_c: F64


def read_half_hourly(
    path: Path, column: Literal["price", "volume"], *, unit: str | None = None, policy: Policy = "error"
) -> HalfHourly:
    """The series in `column` [GBP/MWh for price, MWh for volume] of a file in the shape of Elexon's settlement data.

    `unit` is what the values are in where the file has no unit row; None refuses such a file. A unit row is a second row
    with the unit under the column and no time; it wins. A repeated row (same time, same value) is dropped, and rows out of
    order are sorted, only under `hold` or `interpolate`. Any finite price is taken. Raises DataErrors with every fault.
    """
    sizes = PRICE_UNITS if column == "price" else VOLUME_UNITS
    sheet = _Sheet.read(path, (_UTC_TIME, _CLOCK_TIME, column))
    size = sheet.unit_size(column, sizes, unit)
    lines, starts_ms = _period_starts(sheet)
    sheet.raise_faults_in(_UTC_TIME, _CLOCK_TIME)
    read = [sheet.number(line, cells, column) for line, cells in sheet.rows]
    grid = _Grid.of(sheet, _UTC_TIME, PERIOD_MS, lines, starts_ms, {column: read}, {column: policy})
    sheet.raise_faults()
    values = grid.columns[column] * size
    _warn_of_units(sheet, column, values, sizes)
    return HalfHourly(sheet.source(grid), grid.keys, values)


def read_daily_weather(path: Path, policies: Mapping[str, Policy] | None = None) -> DailyWeather:
    """The temperatures of a file with the columns `date`, `temperature_mean_c`, `temperature_min_c`, `temperature_max_c`.

    Others are left alone. `policies` by column name; `error` where none is given. Raises DataErrors with every fault.
    """
    names = tuple(f"temperature_{which}_c" for which in ("mean", "min", "max"))
    sheet = _Sheet.read(path, ("date", *names))
    for name in names:
        sheet.unit_size(name, TEMPERATURE_UNITS, "C")
    lines = [line for line, _ in sheet.rows]
    days = [_ordinal(sheet, line, cells) for line, cells in sheet.rows]
    sheet.raise_faults_in("date")
    read = {name: [sheet.number(line, cells, name) for line, cells in sheet.rows] for name in names}
    _check_temperatures(sheet, lines, *read.values())
    wanted: dict[str, Policy] = dict.fromkeys(names, "error") | dict(policies or {})
    grid = _Grid.of(sheet, "date", 1, lines, [day or 0 for day in days], read, wanted)
    sheet.raise_faults()
    mean_c, min_c, max_c = (grid.columns[name] for name in names)
    return DailyWeather(
        sheet.source(grid), grid.keys, mean_c, np.minimum(min_c, mean_c), np.maximum(max_c, mean_c)
    )


def cover(source: Source, keys: I64, first: int, last: int, told: Callable[[int], str]) -> slice:
    """Where `first` to `last`, both included, lie in `keys`, which has no gaps. Raises DataErrors when they are not there."""
    low, high = np.searchsorted(keys, first), np.searchsorted(keys, last)
    if high < len(keys) and keys[low] == first and keys[high] == last:
        return slice(int(low), int(high) + 1)
    what = f"the run needs {told(first)} to {told(last)}"
    got = f"{told(int(keys[0]))} to {told(int(keys[-1]))}"
    raise DataErrors(
        [DataFault("D032", str(source.path), 1, 1, what, got, "a file that covers every day of the run")]
    )


# -------------------------------------------------------------------------------------------------------------- sheets


@dataclass(slots=True)
class _Sheet:
    """A CSV file as text: its rows by line number, where its columns stand, and the faults found so far."""

    path: Path
    sha256: str
    places: Mapping[str, int]  # name -> field, from 0
    units: Sequence[str] | None
    rows: list[tuple[int, list[str]]]
    faults: list[DataFault] = field(default_factory=list)
    warnings: list[DataFault] = field(default_factory=list)

    @staticmethod
    def read(path: Path, wanted: Sequence[str]) -> _Sheet:
        """The sheet with at least the columns `wanted`. Raises DataErrors for what makes every row unreadable."""
        raw = _bytes_of(path)
        lines = _fields(path, raw)
        _, header = next(lines, (1, []))
        names = [name.strip() for name in header]
        _check_header(path, names, wanted)
        rows, odd = [], []
        for line, cells in lines:
            if len(cells) == len(names):
                rows.append((line, cells))
            elif any(cells):
                odd.append(_odd_row(path, line, cells, len(names)))
        places = {name: names.index(name) for name in wanted}
        units = None
        if rows and rows[0][0] == 2 and not any(c.isdigit() for c in rows[0][1][places[wanted[0]]]):  # noqa: PLR2004 - line 2
            units = [cell.strip() for cell in rows.pop(0)[1]]
        if not rows and not odd:
            raise DataErrors(
                [
                    DataFault(
                        "D003", str(path), 1, 1, "no rows below the header", "", "one row per period or day"
                    )
                ]
            )
        return _Sheet(path, hashlib.sha256(raw).hexdigest(), places, units, rows, odd)

    def cell(self, cells: Sequence[str], column: str) -> str:
        """The text of a row under a column."""
        return cells[self.places[column]].strip()

    def fault(self, code: str, line: int, column: str, what: str, got: str = "", allowed: str = "") -> None:
        """Note something wrong."""
        self.faults.append(DataFault(code, str(self.path), line, self.places[column] + 1, what, got, allowed))

    def warn(self, code: str, column: str, what: str, got: str = "", allowed: str = "") -> None:
        """Note something unwelcome about a whole column."""
        self.warnings.append(DataFault(code, str(self.path), 1, self.places[column] + 1, what, got, allowed))

    def raise_faults(self) -> None:
        """Raise DataErrors if anything is wrong."""
        if self.faults:
            raise DataErrors(self.faults)

    def raise_faults_in(self, *columns: str) -> None:
        """Raise DataErrors, bad numbers included, if rows or `columns` are at fault, so that their order means nothing."""
        places = {self.places[column] + 1 for column in columns}
        if any(fault.column in places for fault in self.faults):
            for column in self.places.keys() - set(columns):
                for line, cells in self.rows:
                    self.number(line, cells, column)
            self.raise_faults()

    def unit_size(self, column: str, sizes: Mapping[str, float], unit: str | None) -> float:
        """The size of the column's unit, from the unit row or as given."""
        allowed = " or ".join(f"`{known}`" for known in sizes)
        if self.units is not None:
            unit = self.units[self.places[column]]
            if unit not in sizes:
                self.fault("D015", 2, column, f"the unit of `{column}` is unknown", quoted(unit), allowed)
        elif unit is None:
            self.fault(
                "D015", 2, column, f"there is no unit row for `{column}`", "", f"a second row with {allowed}"
            )
        elif unit not in sizes:
            raise ValueError(f"unit {unit!r} of {column}: one of {', '.join(sizes)}")
        return sizes.get(unit or "", math.nan)

    def number(self, line: int, cells: Sequence[str], column: str) -> float:
        """The number of a row under a column; NaN where the cell is empty or, with a fault, where it holds none."""
        text = self.cell(cells, column)
        if _NUMBER.fullmatch(text):
            value = float(text)
            if math.isfinite(value):
                return value
        if text:
            code, what, allowed = _no_number(text)
            self.fault(code, line, column, f"`{column}` {what}", quoted(text), allowed)
            return math.inf  # not a gap: told already
        return math.nan

    def source(self, grid: _Grid) -> Source:
        """What the manifest and the report are told of this file."""
        changed = {"filled": grid.filled, "dropped": grid.dropped, "reordered": grid.reordered}
        if any(changed.values()):
            told = ", ".join(f"{count} {what}" for what, count in changed.items() if count)
            self.warn("W102", next(iter(grid.columns)), f"the file was mended as asked: {told}")
        return Source(self.path, self.sha256, len(self.rows), **changed, warnings=tuple(self.warnings))


def _bytes_of(path: Path) -> bytes:
    try:
        if not path.is_file():
            found = "a folder or device" if path.exists() else "no such file"
            raise _whole(path, "D001", found, "an ordinary file; `--data DIR` says where data files lie")
        if path.stat().st_size > LARGEST_BYTES:
            raise _whole(path, "D004", f"{path.stat().st_size:,} bytes", f"at most {LARGEST_BYTES:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise _whole(path, "D001", f"cannot be read: {reason}", "a file that you may read") from None


def _whole(path: Path, code: str, what: str, allowed: str) -> DataErrors:
    return DataErrors([DataFault(code, str(path), 1, 1, what, "", allowed)])


def _fields(path: Path, raw: bytes) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row; BOM and CRLF are accepted."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise _whole(path, "D002", "UTF-16 or binary", "UTF-8 text")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        row, column = before.count(b"\n") + 1, before.rpartition(b"\n")[2].count(b",") + 1
        what = f"the byte 0x{raw[error.start]:02x} is not UTF-8"
        raise DataErrors([DataFault("D002", str(path), row, column, what, "", "UTF-8 text")]) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataErrors([DataFault("D005", str(path), reader.line_num, 1, f"not CSV: {error}")]) from None


def _check_header(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises DataErrors unless every column wanted is there once."""
    file = str(path)
    if not any(names):
        raise _whole(path, "D003", "the file is empty", "a header, then rows")
    mark = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), None)
    if mark is not None:
        what = f"the fields are separated by {quoted(mark)}"
        raise DataErrors([DataFault("D005", file, 1, 1, what, quoted(names[0]), "commas between fields")])
    faults = []
    for name in wanted:
        if names.count(name) != 1:
            found = "is there twice" if name in names else "is missing"
            got = ", ".join(map(quoted, names[:12]))
            faults.append(
                DataFault("D006", file, 1, 1, f"the column `{name}` {found}", got, ", ".join(wanted))
            )
    if faults:
        raise DataErrors(faults)


def _odd_row(path: Path, line: int, cells: Sequence[str], wanted: int) -> DataFault:
    """The fault of a row with another number of fields; a decimal comma is the usual reason."""
    split = next(
        (i for i in range(wanted - 1, len(cells) - 1) if cells[i].isdigit() and cells[i + 1].isdigit()), None
    )
    if split is not None and len(cells) == wanted + 1:
        number = ",".join(cells[split : split + 2])
        return DataFault(
            "D011", str(path), line, split + 1, "a decimal comma", quoted(number), "a decimal point"
        )
    what, got = "another number of fields than the header", str(len(cells))
    return DataFault("D007", str(path), line, min(len(cells), wanted), what, got, str(wanted))


def _no_number(text: str) -> tuple[str, str, str]:
    """Why a text is no number: code, what and allowed."""
    folded = text.casefold()
    if folded.startswith("#") or folded in _NOTHING:
        return "D012", "holds a word for nothing", "a number, or an empty cell"
    if folded.lstrip("+-") in _NOT_FINITE or _NUMBER.fullmatch(text):
        return "D013", "is not finite", "a finite number"
    if _WITH_COMMA.fullmatch(text):
        return "D011", "has a comma in a number", "a decimal point"
    return "D010", "is not a number", "digits with a decimal point, no unit"


# --------------------------------------------------------------------------------------------------------------- times


def _period_starts(sheet: _Sheet) -> tuple[list[int], list[int]]:
    """Line and start [UTC ms] of every row, after the clock column and the lengths of days were held against them."""
    lines, starts_ms, shifts_ms, days = [], [], [], Counter[str]()
    first_line: dict[str, int] = {}
    for line, cells in sheet.rows:
        utc, clock = (_moment(sheet, line, cells, column) for column in (_UTC_TIME, _CLOCK_TIME))
        if utc is None or clock is None:
            continue
        if utc.utcoffset():
            sheet.fault(
                "D023", line, _UTC_TIME, "not UTC", quoted(sheet.cell(cells, _UTC_TIME)), "offset `+00:00`"
            )
        lines.append(line)
        starts_ms.append(_ms(utc))
        shift_ms = _ms(clock) - _ms(utc)
        if not shift_ms and clock.utcoffset() != utc.astimezone(LONDON).utcoffset():
            shift_ms = -1  # the same moment, told by another clock than London's
        shifts_ms.append(shift_ms)
        day = sheet.cell(cells, _CLOCK_TIME)[:10]
        days[day] += 1
        first_line.setdefault(day, line)
    _check_alignment(sheet, lines, starts_ms)
    for day, count in days.items():
        due = periods.period_count(date.fromisoformat(day))
        if due != count == periods.NORMAL_PERIOD_COUNT:
            what = f"the clocks change on {day}, which has {due} periods"
            sheet.fault("D028", first_line[day], _CLOCK_TIME, what, f"{count} rows", f"{due} rows")
    _check_clock(sheet, lines, shifts_ms)
    return lines, starts_ms


def _moment(sheet: _Sheet, line: int, cells: Sequence[str], column: str) -> datetime | None:
    """The moment in a cell, with its offset; None, with a fault, where there is none."""
    text = sheet.cell(cells, column)
    match = _TIME.fullmatch(text)
    if match is None:
        code, what = (
            ("D020", "a spreadsheet's date serial") if _SERIAL.fullmatch(text) else ("D021", "not a time")
        )
        sheet.fault(code, line, column, what, quoted(text), "such as `2024-01-01 00:00:00+00:00`")
        return None
    if match[1] is None:
        sheet.fault(
            "D022",
            line,
            column,
            "a time without its UTC offset",
            quoted(text),
            f"`{text}+00:00`, or `+01:00`",
        )
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        sheet.fault("D021", line, column, f"no such time: {error}", quoted(text), "a time of the calendar")
        return None


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def _check_alignment(sheet: _Sheet, lines: Sequence[int], starts_ms: Sequence[int]) -> None:
    for line, start_ms in zip(lines, starts_ms, strict=True):
        if start_ms % PERIOD_MS:
            what = "the period overlaps its neighbours"
            sheet.fault("D024", line, _UTC_TIME, what, _told_ms(start_ms), "a start on the hour or half past")


def _check_clock(sheet: _Sheet, lines: Sequence[int], shifts_ms: Sequence[int]) -> None:
    """One fault for each stretch of rows whose two times contradict each other in one way."""
    ends = {PERIOD_MS, -PERIOD_MS}
    for i, shift_ms in enumerate(shifts_ms):
        if not shift_ms or (i and shift_ms == shifts_ms[i - 1]):
            continue
        if set(shifts_ms) <= ends:
            late, early = (_CLOCK_TIME, _UTC_TIME) if shift_ms > 0 else (_UTC_TIME, _CLOCK_TIME)
            what = f"`{late}` is 30 min after `{early}` in every row: it stamps the end of the period"
            sheet.fault("D029", lines[i], late, what, "", "both at the start")
            continue
        alike = next((j for j in range(i, len(shifts_ms)) if shifts_ms[j] != shift_ms), len(shifts_ms)) - i
        off = (
            "has another offset than London"
            if shift_ms == -1
            else f"is {shift_ms / 60_000:+g} min from `{_UTC_TIME}`"
        )
        sheet.fault(
            "D030", lines[i], _CLOCK_TIME, f"`{_CLOCK_TIME}` {off}", f"{alike} rows alike", "London time"
        )


def _ordinal(sheet: _Sheet, line: int, cells: Sequence[str]) -> int | None:
    text = sheet.cell(cells, "date")
    code, what = ("D020", "a spreadsheet's date serial") if _SERIAL.fullmatch(text) else ("D021", "not a day")
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text).toordinal()
    except ValueError as error:
        what = f"no such day: {error}"
    sheet.fault(code, line, "date", what, quoted(text), "such as `2024-01-01`")
    return None


def _told_ms(start_ms: int) -> str:
    return datetime.fromtimestamp(start_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


def _told_day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


# ---------------------------------------------------------------------------------------------------- order and gaps


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Columns on keys without gaps, and how many values and rows a policy had to touch."""

    keys: I64
    columns: Mapping[str, F64]
    filled: int
    dropped: int
    reordered: int

    @staticmethod
    def of(
        sheet: _Sheet,
        key: str,
        step: int,
        lines: Sequence[int],
        read: Sequence[int],
        columns: Mapping[str, Sequence[float]],
        policies: Mapping[str, Policy],
    ) -> _Grid:
        """The rows `step` apart in order of their keys; what cannot be put right becomes faults of the sheet."""
        told = _told_day if step == 1 else _told_ms
        lenient = "error" not in policies.values()
        keep, dropped, reordered = _ordered(sheet, key, lines, read, columns, lenient=lenient, told=told)
        keys = np.array([read[i] for i in keep], np.int64)
        steps = np.diff(keys) // step
        for i in np.flatnonzero(steps > (MOST_FILLED + 1 if lenient else 1)):
            at = f"before {told(int(keys[i + 1]))}"
            limit = f"at most {MOST_FILLED} rows to fill" if lenient else "no gap, or `hold` or `interpolate`"
            sheet.fault("D027", lines[keep[i + 1]], key, f"a gap {at}", f"{steps[i] - 1} missing", limit)
        if step == PERIOD_MS:
            _check_whole_days(sheet, lines[keep[0]], lines[keep[-1]], int(keys[0]), int(keys[-1]))
        if any(fault.code == "D027" for fault in sheet.faults):
            return _Grid(keys, {}, 0, dropped, reordered)
        slots = (keys - keys[0]) // step
        full = np.arange(slots[-1] + 1, dtype=np.int64)
        places = [lines[i] for i in keep]
        out, filled = {}, 0
        for name, values in columns.items():
            sparse = np.full(len(full), np.nan)
            sparse[slots] = [values[i] for i in keep]
            out[name], count = _fill(
                sheet, name, sparse, policies[name], lambda i: places[int(np.searchsorted(slots, i))]
            )
            filled += count
        return _Grid(keys[0] + step * full, out, filled, dropped, reordered)


def _ordered(
    sheet: _Sheet,
    key: str,
    lines: Sequence[int],
    read: Sequence[int],
    columns: Mapping[str, Sequence[float]],
    *,
    lenient: bool,
    told: Callable[[int], str],
) -> tuple[list[int], int, int]:
    """Places of the rows to keep, by key; how many were dropped as repeats and how many stood after a later one."""
    seen: dict[int, int] = {}
    dropped = reordered = 0
    latest = read[0]
    for i, this in enumerate(read):
        if this in seen:
            first = seen[this]
            same = all(values[first] == values[i] for values in columns.values())
            dropped += 1
            if not (lenient and same):
                what = f"{told(this)} was there in row {lines[first]} already" + (
                    "" if same else ", with another value"
                )
                sheet.fault("D025", lines[i], key, what, "", "one row each")
            continue
        seen[this] = i
        if this < latest:
            reordered += 1
            if not lenient:
                sheet.fault(
                    "D026", lines[i], key, f"{told(this)} after {told(latest)}", "", "rows in order of time"
                )
        latest = max(latest, this)
    return [seen[this] for this in sorted(seen)], dropped, reordered


def _check_whole_days(sheet: _Sheet, first_line: int, last_line: int, first_ms: int, last_ms: int) -> None:
    """Faults unless the first period begins and the last one ends at local midnight."""
    early = first_ms - periods.day_start_ms(periods.local_date(first_ms))
    late = last_ms + PERIOD_MS - periods.day_start_ms(periods.local_date(last_ms + PERIOD_MS))
    if early == late == PERIOD_MS:
        what = "the file runs from 00:30 to 00:00 local time: it looks stamped at the end of the period"
        sheet.fault("D029", first_line, _UTC_TIME, what, _told_ms(first_ms), "the start of the period")
        return
    for line, off, start_ms, which in (
        (first_line, early, first_ms, "first"),
        (last_line, late, last_ms, "last"),
    ):
        if off:
            what = f"the {which} local day is not whole"
            sheet.fault("D031", line, _UTC_TIME, what, _told_ms(start_ms), "days from midnight to midnight")


def _fill(
    sheet: _Sheet, column: str, values: F64, policy: Policy, line_of: Callable[[int], int]
) -> tuple[F64, int]:
    """The values with every NaN filled as the policy says, and how many were; what cannot be filled becomes a fault."""
    missing = np.flatnonzero(np.isnan(values))
    if not len(missing):
        return values, 0
    present = np.flatnonzero(~np.isnan(values))
    for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
        inside = len(present) and present[0] < run[0] and (policy == "hold" or run[-1] < present[-1])
        if policy == "error" or not inside or len(run) > MOST_FILLED:
            reason = "" if policy == "error" else f" and cannot be filled by `{policy}`"
            what = f"`{column}` is missing{reason}"
            allowed = (
                f"at most {MOST_FILLED} in a row, between values"
                if reason
                else "a number, or `hold` or `interpolate`"
            )
            sheet.fault("D014", line_of(int(run[0])), column, what, f"{len(run)} empty", allowed)
    if policy == "error" or not len(present):
        return values, 0
    if policy == "hold":
        last = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
        return values[last], len(missing)
    return np.interp(np.arange(len(values)), present, values[present]), len(missing)


# --------------------------------------------------------------------------------------------------------- plausibility

_USUAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"price": (20.0, 1_000.0), "volume": (1.0, 5_000.0)}
)
"""Between what the median size of a price [GBP/MWh] or a volume [MWh] lies in every month since 2016; a guess with a wide berth."""


def _warn_of_units(sheet: _Sheet, column: str, values: F64, sizes: Mapping[str, float]) -> None:
    """Warn, and change nothing, when another unit would suit the values better."""
    low, high = _USUAL[column]
    median = float(np.median(np.abs(values)))
    if low <= median <= high or median == 0.0:
        return
    kept = next(iter(sizes))
    fits = [unit for unit, size in sizes.items() if low <= median * size <= high]
    what = f"the median size of `{column}` is {median:.4g} {kept}" + (
        f": are these {fits[0]}?" if fits else ""
    )
    sheet.warn(
        "W101", column, what, "", f"usual: {low:g} to {high:g} {kept}; a second row may state the unit"
    )


def _check_temperatures(sheet: _Sheet, lines: Sequence[int], *read: Sequence[float]) -> None:
    """Faults where a temperature is none of Britain's, or the three of a day contradict each other."""
    names = tuple(sheet.places)[1:]
    for line, mean_c, min_c, max_c in zip(lines, *read, strict=True):
        for name, value in zip(names, (mean_c, min_c, max_c), strict=True):
            if math.isfinite(value) and not _COLDEST_C <= value <= _HOTTEST_C:
                sheet.fault(
                    "D016",
                    line,
                    name,
                    "no temperature of Britain",
                    f"{value:g} C",
                    "degrees Celsius, -60 to 60",
                )
        if min_c > mean_c or mean_c > max_c or min_c > max_c:
            got = f"{min_c:g} / {mean_c:g} / {max_c:g}"
            sheet.fault(
                "D017",
                line,
                names[0],
                "minimum, mean and maximum contradict each other",
                got,
                "in this order",
            )


def table_of_codes() -> str:
    """All codes as the Markdown table of docs/data.md."""
    rows = [f"| {code} | {kind.meaning} | {kind.remedy} |" for code, kind in CODES.items()]
    return "\n".join(["| code | what is wrong | what to do |", "|---|---|---|", *rows])
