"""Reads half-hourly prices and daily weather from CSV, or tells all that is wrong. Owns the files' shape.

Two shapes: `spUTCTime,spClockTime,price` (or `volume`), one row per Settlement Period stamped at its start;
and `date,temperature_mean_c,temperature_min_c,temperature_max_c`, one row per day, among any other columns.
Nothing is scaled, moved in time or filled unless the caller or the file says so; what was filled is counted
and warned of.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from protocol import periods
from protocol.messages import I64
from protocol.periods import LONDON, MINUTE_MS, PERIOD_MS
from sim.faults import Fault, FileErrors, Kind, quoted

F64 = NDArray[np.float64]
Policy = Literal["error", "hold", "interpolate"]
"""What to do where a value is missing: refuse the file, repeat the last value, or draw a straight line."""

LARGEST_BYTES = 50_000_000
"""Some forty years of half-hours."""
MOST_FILLED = 48
"""Longest gap that a policy fills [rows]; assumed: a day of half-hours."""

PRICE_UNITS: Mapping[str, float] = MappingProxyType(
    {"GBP/MWh": 1.0, "£/MWh": 1.0, "p/kWh": 10.0, "GBP/kWh": 1000.0, "£/kWh": 1000.0}
)
"""How a unit may be spelt, and its size in GBP/MWh."""
VOLUME_UNITS: Mapping[str, float] = MappingProxyType({"MWh": 1.0, "kWh": 1e-3, "GWh": 1e3})
"""How a unit may be spelt, and its size in MWh."""
TEMPERATURE_UNITS: Mapping[str, float] = MappingProxyType({"C": 1.0, "degC": 1.0, "°C": 1.0})

CODES: Mapping[str, Kind] = MappingProxyType({
    # The file as such
    "D001": Kind("the file cannot be read", "check its name, and give its folder with `--data DIR`"),
    "D002": Kind("the file is not UTF-8 text", "save it as CSV UTF-8"),
    "D003": Kind("the file holds no rows", "a header, then one row per period or day"),
    "D004": Kind("the file is larger than 50 MB", "cut it to the days of the run"),
    "D005": Kind("not fields separated by commas", "export with `,` between fields and `.` in numbers"),
    "D006": Kind("a column is missing, or there twice", "see the columns listed"),
    "D007": Kind("a row with more or fewer fields than the header", "mend the row; no comma inside a number"),
    "D008": Kind("the file changed since the run began", "put the same file back, or run anew"),
    # Values
    "D010": Kind("not a number", "digits with a decimal point"),
    "D011": Kind("a comma in a number", "a decimal point, and nothing between thousands"),
    "D012": Kind("a spreadsheet's error or word for nothing", "put the value there, or leave the cell empty"),
    "D013": Kind("a number that is not finite", "put the value there, or leave the cell empty"),
    "D014": Kind("a value is missing", "put it there, or read with policy `hold` or `interpolate`"),
    "D015": Kind("no unit row, or one with an unknown unit", "a second row: the unit under its column"),
    "D016": Kind("a temperature that Britain never has", "degrees Celsius"),
    "D017": Kind("minimum, mean and maximum contradict each other", "minimum <= mean <= maximum"),
    # Times
    "D020": Kind("a spreadsheet's date serial", "format the column as text: `2024-01-01 00:00:00+00:00`"),
    "D021": Kind("not a time or day", "ISO 8601: `2024-01-01 00:00:00+00:00`, or `2024-01-01`"),
    "D022": Kind("a time without its UTC offset", "write the offset: `+00:00`, or `+01:00` in summer"),
    "D023": Kind("a time in `spUTCTime` that is not UTC", "offset `+00:00` or `Z`"),
    "D024": Kind("a period that overlaps its neighbours", "periods start on the hour and half past"),
    "D025": Kind("a period or day twice", "keep one of the rows"),
    "D026": Kind("rows out of order", "sort by time, or read with policy `hold` or `interpolate`"),
    "D027": Kind("a gap", "add the rows, or read with policy `hold` or `interpolate`"),
    "D028": Kind("a clock-change day given as 48 periods", "46 in March and 50 in October"),
    "D029": Kind("stamped at the end of the period", "stamp every row at the start"),
    "D030": Kind("`spClockTime` is not the London time of `spUTCTime`", "`+01:00` in summer, else `+00:00`"),
    "D031": Kind("a local day that is not whole", "whole local days, from midnight to midnight"),
    "D032": Kind("the file does not cover the days of the run", "a longer file, or another `clock.start`"),
    # Warnings: the run goes on
    "W101": Kind("values that look like another unit", "state the unit in a second row: `,,p/kWh`"),
    "W102": Kind("values filled, rows dropped or sorted", "mend the file"),
    "W103": Kind("prices without net imbalance volumes", "name `prices.net_imbalance_file`"),
})  # fmt: skip
"""Codes starting with D stop before anything is done; codes starting with W are counted in the report."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_WITH_COMMA = re.compile(r"[+-]?[0-9]+(?:[,.][0-9]+)*,[0-9]+(?:\.[0-9]+)?")
_SERIAL = re.compile(r"[0-9]{5}(?:\.[0-9]+)?")
_DAY = re.compile(r"(?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    _DAY.pattern + r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.0+)?)?(?P<offset>Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_NOTHING = frozenset({"na", "n/a", "null", "none", "-", "--"})
_NOT_FINITE = frozenset({"nan", "inf", "infinity"})
_UTC_TIME, _CLOCK_TIME, _DATE = "spUTCTime", "spClockTime", "date"
_TEMPERATURES = ("temperature_mean_c", "temperature_min_c", "temperature_max_c")
_COLDEST_C, _HOTTEST_C = -40.0, 50.0
_USUAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"price": (20.0, 1_000.0), "volume": (1.0, 5_000.0)}
)
"""Where the median size of a price [GBP/MWh] or a volume [MWh] raises no question; assumed, and wide."""


class DataErrors(FileErrors):
    """Everything wrong with data files."""


# ----------------------------------------------------------------------------------------------- what is read


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: SHA-256 of its bytes for the manifest, its rows, and what a policy changed."""

    path: Path
    sha256: str
    rows: int
    filled: int = 0  # values put where there was none
    dropped: int = 0  # rows that said the same twice
    reordered: int = 0  # rows that stood after a later one
    warnings: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class HalfHourly:
    """A series without gaps over whole local days: `start_ms` (periods,) [UTC ms] and `values` (periods,)."""

    source: Source
    start_ms: I64
    values: F64  # [GBP/MWh] or [MWh]

    def between(self, first_ms: int, last_ms: int) -> F64:
        """The values of the periods starting from `first_ms` to `last_ms`. Raises DataErrors without them."""
        return self.values[_covered(self.source, self.start_ms, first_ms, last_ms, _told_ms)]


@dataclass(frozen=True, slots=True, eq=False)
class DailyWeather:
    """Temperatures without gaps: `day` (days,) [ordinal of the date]; mean, minimum, maximum (days,) [C]."""

    source: Source
    day: I64
    mean_c: F64
    min_c: F64
    max_c: F64

    def places(self, first_day: date, days: int) -> slice:
        """Where `days` days from `first_day` stand. Raises DataErrors when the file lacks one."""
        first = first_day.toordinal()
        return _covered(self.source, self.day, first, first + days - 1, _told_day)


def read_half_hourly(
    path: Path, column: Literal["price", "volume"], *, unit: str | None = None, policy: Policy = "error"
) -> HalfHourly:
    """The series in `column` of a file with Elexon's settlement data [price: GBP/MWh, volume: MWh].

    `unit` is what the values are in where the file has no unit row (a second row with the unit under the
    column and no time, which wins); None refuses such a file. Under `hold` and `interpolate` rows out of
    order are sorted and rows that say the same twice dropped. Any finite price is taken. Raises DataErrors
    with every fault.
    """
    sizes = PRICE_UNITS if column == "price" else VOLUME_UNITS
    sheet = read_sheet(path, (_UTC_TIME, _CLOCK_TIME, column))
    size = sheet.unit_size(column, sizes, unit)
    starts_ms = _period_starts(sheet)
    in_time = not sheet.faults
    read: dict[str, list[float]] = {column: sheet.numbers(column)}
    if not in_time:
        raise DataErrors(sheet.faults)
    grid = _gridded(sheet, _UTC_TIME, PERIOD_MS, starts_ms, read, {column: policy})
    if sheet.faults:
        raise DataErrors(sheet.faults)
    values = grid.columns[column] * size
    _warn_of_units(sheet, column, values, sizes)
    return HalfHourly(sheet.source(grid), grid.keys, values)


def read_daily_weather(path: Path, policies: Mapping[str, Policy] | None = None) -> DailyWeather:
    """The temperatures in a file with the columns `date` and `temperature_{mean,min,max}_c`, among others.

    `policies` by column name, `error` where none is given. Raises DataErrors with every fault.
    """
    wanted: dict[str, Policy] = {name: (policies or {}).get(name, "error") for name in _TEMPERATURES}
    sheet = read_sheet(path, (_DATE, *_TEMPERATURES))
    for name in _TEMPERATURES:
        sheet.unit_size(name, TEMPERATURE_UNITS, "C")
    days = [_ordinal(sheet, line, cells) for line, cells in sheet.rows]
    in_time = not sheet.faults
    read = {name: sheet.numbers(name) for name in _TEMPERATURES}
    _check_temperatures(sheet, *read.values())
    if not in_time:
        raise DataErrors(sheet.faults)
    grid = _gridded(sheet, _DATE, 1, days, read, wanted)
    if sheet.faults:
        raise DataErrors(sheet.faults)
    return DailyWeather(sheet.source(grid), grid.keys, *(grid.columns[name] for name in _TEMPERATURES))


def _covered(source: Source, keys: I64, first: int, last: int, told: Callable[[int], str]) -> slice:
    """Where `first` to `last` stand in `keys`, which has no gaps. Raises DataErrors without them."""
    if keys[0] <= first and last <= keys[-1]:
        return slice(int(np.searchsorted(keys, first)), int(np.searchsorted(keys, last)) + 1)
    what = f"the run needs {told(first)} to {told(last)}"
    got = f"{told(int(keys[0]))} to {told(int(keys[-1]))}"
    raise DataErrors([Fault("D032", str(source.path), 1, 1, what, got, "a file that holds every day lived")])


# ----------------------------------------------------------------------------------------------------- sheets


@dataclass(slots=True)
class Sheet:
    """A CSV file as text: rows by line number, where the columns wanted stand, and the faults so far."""

    path: Path
    sha256: str
    places: Mapping[str, int]  # column name -> field, from 0
    units: Sequence[str] | None
    rows: list[tuple[int, list[str]]]
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def cell(self, cells: Sequence[str], column: str) -> str:
        """The text of a row under a column."""
        return cells[self.places[column]].strip()

    def fault(self, code: str, line: int, column: str, what: str, got: str = "", allowed: str = "") -> None:
        """Note something wrong."""
        place = self.places[column] + 1
        self.faults.append(Fault(code, str(self.path), line, place, what, got, allowed))

    def warn(self, code: str, column: str, what: str, allowed: str = "") -> None:
        """Note something unwelcome about a whole column."""
        place = self.places[column] + 1
        self.warnings.append(Fault(code, str(self.path), 1, place, what, "", allowed))

    def unit_size(self, column: str, sizes: Mapping[str, float], unit: str | None) -> float:
        """The size of the unit that the unit row names, or that is given."""
        allowed = " or ".join(f"`{known}`" for known in sizes)
        if self.units is not None:
            unit = self.units[self.places[column]]
            if unit not in sizes:
                self.fault("D015", 2, column, f"the unit of `{column}` is unknown", quoted(unit), allowed)
        elif unit is None:
            what = f"there is no unit row under `{column}`"
            self.fault("D015", 2, column, what, "", f"a second row with {allowed}")
        elif unit not in sizes:
            raise ValueError(f"unit {unit!r} of {column}; allowed: {', '.join(sizes)}")
        return sizes.get(unit or "", math.nan)

    def numbers(self, column: str) -> list[float]:
        """The numbers under a column: NaN for an empty cell; infinity, with a fault, where there is none."""
        return [self._number(line, self.cell(cells, column), column) for line, cells in self.rows]

    def _number(self, line: int, text: str, column: str) -> float:
        if _NUMBER.fullmatch(text) and math.isfinite(value := float(text)):
            return value
        if not text:
            return math.nan
        code, what, allowed = _no_number(text)
        self.fault(code, line, column, f"`{column}` {what}", quoted(text), allowed)
        return math.inf

    def source(self, grid: _Grid) -> Source:
        """What the manifest and the report are told of this file."""
        changed = {"filled": grid.filled, "dropped": grid.dropped, "reordered": grid.reordered}
        if any(changed.values()):
            told = ", ".join(f"{count} {what}" for what, count in changed.items() if count)
            self.warn("W102", next(iter(grid.columns)), f"the file was mended as asked: {told}")
        return Source(self.path, self.sha256, len(self.rows), **changed, warnings=tuple(self.warnings))


def header_of(path: Path) -> tuple[str, ...]:
    """The names in the header of a CSV file. Raises DataErrors where there is none."""
    _, header = next(_fields(path, _bytes_of(path)), (1, []))
    names = [name.strip() for name in header]
    _check_header(path, names, ())
    return tuple(names)


def read_sheet(path: Path, wanted: Sequence[str]) -> Sheet:
    """The sheet with the columns `wanted`, key first. Raises DataErrors for what spoils the whole file."""
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
    if rows and rows[0][0] == 2 and not any(map(str.isdigit, rows[0][1][places[wanted[0]]])):
        units = [cell.strip() for cell in rows.pop(0)[1]]
    if not rows and not odd:
        raise _whole(path, "D003", "no rows below the header", "one row per period or day")
    return Sheet(path, hashlib.sha256(raw).hexdigest(), places, units, rows, odd)


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
    return DataErrors([Fault(code, str(path), 1, 1, what, "", allowed)])


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
        raise DataErrors([Fault("D002", str(path), row, column, what, "", "UTF-8 text")]) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise DataErrors([Fault("D005", str(path), reader.line_num, 1, f"not CSV: {error}")]) from None


def _check_header(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Raises DataErrors unless every column wanted is there once."""
    if not any(names):
        raise _whole(path, "D003", "the file is empty", "a header, then rows")
    mark = next((mark for mark in (";", "\t", "|") if len(names) == 1 and mark in names[0]), None)
    if mark is not None:
        raise _whole(path, "D005", f"fields separated by {quoted(mark)}", "commas between fields")
    faults = []
    for name in wanted:
        if names.count(name) != 1:
            found = "is there twice" if name in names else "is missing"
            got = ", ".join(map(quoted, names[:12]))
            what = f"the column `{name}` {found}"
            faults.append(Fault("D006", str(path), 1, 1, what, got, ", ".join(wanted)))
    if faults:
        raise DataErrors(faults)


def _odd_row(path: Path, line: int, cells: Sequence[str], wanted: int) -> Fault:
    """The fault of a row with another number of fields; a decimal comma is the usual reason."""
    pairs = range(1, len(cells) - 1) if len(cells) == wanted + 1 else ()
    for i in pairs:
        number = ",".join(cells[i : i + 2])
        if _WITH_COMMA.fullmatch(number) and "." not in number:
            allowed = "a decimal point"
            return Fault("D011", str(path), line, i + 1, "a decimal comma", quoted(number), allowed)
    what = "another number of fields than the header"
    return Fault("D007", str(path), line, min(len(cells), wanted), what, str(len(cells)), str(wanted))


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


# ------------------------------------------------------------------------------------------------------ times


def _period_starts(sheet: Sheet) -> list[int]:
    """Start of every row [UTC ms]; the clock column and the lengths of days are held against it."""
    starts_ms, shifts_ms = [], []
    days: Counter[str] = Counter()
    first_line: dict[str, int] = {}
    for line, cells in sheet.rows:
        utc, clock = (moment_in(sheet, line, cells, column) for column in (_UTC_TIME, _CLOCK_TIME))
        starts_ms.append(ms_of(utc) if utc else 0)
        shifts_ms.append(_clock_shift_ms(utc, clock) if utc and clock else 0)
        if utc and utc.utcoffset():
            sheet.fault("D023", line, _UTC_TIME, "not UTC", quoted(str(utc)), "the offset `+00:00`")
        if starts_ms[-1] % PERIOD_MS:
            what, allowed = "the period overlaps its neighbours", "a start on the hour or half past"
            sheet.fault("D024", line, _UTC_TIME, what, quoted(str(utc)), allowed)
        if clock:
            day = sheet.cell(cells, _CLOCK_TIME)[:10]
            days[day] += 1
            first_line.setdefault(day, line)
    _check_clock(sheet, shifts_ms)
    _check_clock_changes(sheet, days, first_line)
    return starts_ms


def moment_in(sheet: Sheet, line: int, cells: Sequence[str], column: str) -> datetime | None:
    """The moment in a cell, with its offset; None, with a fault, where there is none."""
    text = sheet.cell(cells, column)
    match = _TIME.fullmatch(text)
    if match is None:
        serial = _SERIAL.fullmatch(text)
        code, what = ("D020", "a spreadsheet's date serial") if serial else ("D021", "not a time")
        sheet.fault(code, line, column, what, quoted(text), "such as `2024-01-01 00:00:00+00:00`")
        return None
    if match["offset"] is None:
        allowed = f"`{text}+00:00`, or `+01:00` in summer"
        sheet.fault("D022", line, column, "a time without its UTC offset", quoted(text), allowed)
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        sheet.fault("D021", line, column, f"no such time: {error}", quoted(text), "a time of the calendar")
        return None


def ms_of(moment: datetime) -> int:
    """A moment with its offset [UTC ms], to the second."""
    return int(moment.timestamp()) * 1000


_OTHER_CLOCK_MS = -1
"""Stands for the right moment told by another clock than London's."""


def _clock_shift_ms(utc: datetime, clock: datetime) -> int:
    """How much later the clock column is [ms]; 0 when it tells the same moment in London time."""
    shift_ms = ms_of(clock) - ms_of(utc)
    in_london = clock.utcoffset() == utc.astimezone(LONDON).utcoffset()
    return shift_ms or (0 if in_london else _OTHER_CLOCK_MS)


def _check_clock(sheet: Sheet, shifts_ms: Sequence[int]) -> None:
    """One fault for each stretch of rows whose two times contradict each other in one way."""
    if len(set(shifts_ms)) == 1 and abs(shifts_ms[0]) == PERIOD_MS:
        late, early = (_CLOCK_TIME, _UTC_TIME) if shifts_ms[0] > 0 else (_UTC_TIME, _CLOCK_TIME)
        what = f"`{late}` is 30 min after `{early}` in every row, so it stamps the end of the period"
        sheet.fault("D029", sheet.rows[0][0], late, what, "", "the start in both columns")
        return
    edges = [i for i in range(len(shifts_ms)) if i == 0 or shifts_ms[i] != shifts_ms[i - 1]]
    for i, after in zip(edges, [*edges[1:], len(shifts_ms)], strict=True):
        if shifts_ms[i]:
            off = f"is {shifts_ms[i] / MINUTE_MS:+g} min from `{_UTC_TIME}`"
            told = "has another offset than London" if shifts_ms[i] == _OTHER_CLOCK_MS else off
            what, got = f"`{_CLOCK_TIME}` {told}", f"{after - i} rows alike"
            sheet.fault("D030", sheet.rows[i][0], _CLOCK_TIME, what, got, "London time")


def _check_clock_changes(sheet: Sheet, days: Mapping[str, int], first_line: Mapping[str, int]) -> None:
    """Faults for days of 46 or 50 periods that the file gives 48, whatever the policy."""
    for day, count in days.items():
        due = periods.period_count(date.fromisoformat(day))
        if due != count == periods.NORMAL_PERIOD_COUNT:
            what = f"the clocks change on {day}"
            sheet.fault("D028", first_line[day], _CLOCK_TIME, what, f"{count} periods", f"{due} periods")


def _ordinal(sheet: Sheet, line: int, cells: Sequence[str]) -> int:
    """The ordinal of the date in a row; 0, with a fault, where there is none."""
    text = sheet.cell(cells, _DATE)
    code, what = ("D020", "a spreadsheet's date serial") if _SERIAL.fullmatch(text) else ("D021", "not a day")
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text).toordinal()
    except ValueError as error:
        what = f"no such day: {error}"
    sheet.fault(code, line, _DATE, what, quoted(text), "such as `2024-01-01`")
    return 0


def _told_ms(start_ms: int) -> str:
    return datetime.fromtimestamp(start_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


def _told_day(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


# --------------------------------------------------------------------------------------------- order and gaps


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Columns on keys without gaps, and how many values and rows a policy had to touch."""

    keys: I64
    columns: Mapping[str, F64]
    filled: int
    dropped: int
    reordered: int


def _gridded(
    sheet: Sheet,
    key: str,
    step: int,
    read: Sequence[int],
    columns: Mapping[str, Sequence[float]],
    policies: Mapping[str, Policy],
) -> _Grid:
    """The columns with keys `step` apart and nothing missing; what cannot be put right becomes faults."""
    told = _told_day if step == 1 else _told_ms
    lenient = "error" not in policies.values()
    keep, dropped, reordered = _ordered(sheet, key, read, columns, told, lenient=lenient)
    keys = np.array([read[i] for i in keep], np.int64)
    lines = [sheet.rows[i][0] for i in keep]
    if step == PERIOD_MS:
        _check_whole_days(sheet, (lines[0], lines[-1]), (int(keys[0]), int(keys[-1])))
    if not _gaps_can_be_filled(sheet, key, lines, keys, step, told, lenient=lenient):
        return _Grid(keys, {}, 0, dropped, reordered)
    slots = (keys - keys[0]) // step
    whole = np.arange(slots[-1] + 1, dtype=np.int64)
    filled, out = 0, {}
    for name, values in columns.items():
        sparse = np.full(len(whole), np.nan)
        sparse[slots] = np.array(values)[keep]
        line_of = [lines[i] for i in np.searchsorted(slots, whole)]
        out[name], count = _fill(sheet, name, sparse, policies[name], line_of)
        filled += count
    return _Grid(keys[0] + step * whole, out, filled, dropped, reordered)


def _ordered(
    sheet: Sheet,
    key: str,
    read: Sequence[int],
    columns: Mapping[str, Sequence[float]],
    told: Callable[[int], str],
    *,
    lenient: bool,
) -> tuple[list[int], int, int]:
    """Places of the rows to keep in order of key; how many were repeats, how many stood after a later one."""
    seen: dict[int, int] = {}
    dropped = reordered = 0
    latest = read[0]
    for i, this in enumerate(read):
        line = sheet.rows[i][0]
        if this in seen:
            first = seen[this]
            same = all(values[first] == values[i] for values in columns.values())
            dropped += 1
            if not (lenient and same):
                what = f"{told(this)} stands in row {sheet.rows[first][0]} already"
                sheet.fault("D025", line, key, what, "the same" if same else "another value", "one row each")
            continue
        seen[this] = i
        reordered += this < latest
        if this < latest and not lenient:
            sheet.fault("D026", line, key, f"{told(this)} after {told(latest)}", "", "rows in order of time")
        latest = max(latest, this)
    return [seen[this] for this in sorted(seen)], dropped, reordered


def _check_whole_days(sheet: Sheet, lines: tuple[int, int], ends_ms: tuple[int, int]) -> None:
    """Faults unless the first period begins, and the last one ends, at local midnight."""
    edges_ms = (ends_ms[0], ends_ms[1] + PERIOD_MS)
    off_ms = [edge_ms - periods.day_start_ms(periods.local_date(edge_ms)) for edge_ms in edges_ms]
    if off_ms == [PERIOD_MS, PERIOD_MS]:
        what = "the rows run from 00:30 to 00:00 local time, as if stamped at the end of the period"
        sheet.fault("D029", lines[0], _UTC_TIME, what, _told_ms(ends_ms[0]), "the start of the period")
        return
    for line, at_ms, off, which in zip(lines, ends_ms, off_ms, ("first", "last"), strict=True):
        if off:
            what, allowed = f"the {which} local day is not whole", "days from midnight to midnight"
            sheet.fault("D031", line, _UTC_TIME, what, _told_ms(at_ms), allowed)


def _gaps_can_be_filled(
    sheet: Sheet,
    key: str,
    lines: Sequence[int],
    keys: I64,
    step: int,
    told: Callable[[int], str],
    *,
    lenient: bool,
) -> bool:
    """Whether no gap is too long to fill (with `error`: whether there is none); others become faults."""
    missing = np.diff(keys) // step - 1
    gaps = np.flatnonzero(missing > (MOST_FILLED if lenient else 0))
    allowed = f"at most {MOST_FILLED} missing in a row" if lenient else "no gap, or `hold` or `interpolate`"
    for i in map(int, gaps):
        what = f"a gap before {told(int(keys[i + 1]))}"
        sheet.fault("D027", lines[i + 1], key, what, f"{int(missing[i])} missing", allowed)
    return not len(gaps)


def _fill(sheet: Sheet, column: str, values: F64, policy: Policy, line_of: Sequence[int]) -> tuple[F64, int]:
    """The values with every NaN filled as the policy says, and how many; the others become faults."""
    empty = np.isnan(values)
    missing, present = np.flatnonzero(empty), np.flatnonzero(~empty)
    if not len(missing):
        return values, 0
    for run in np.split(missing, np.flatnonzero(np.diff(missing) > 1) + 1):
        line = line_of[int(run[0])]
        led = len(present) and present[0] < run[0]
        followed = len(present) and run[-1] < present[-1]
        if policy == "error":
            what, allowed = f"`{column}` is missing", "a number, or `hold` or `interpolate`"
        elif not led or len(run) > MOST_FILLED or (policy == "interpolate" and not followed):
            what = f"`{column}` is missing, and `{policy}` cannot fill it"
            allowed = f"at most {MOST_FILLED} in a row, between values"
        else:
            continue
        sheet.fault("D014", line, column, what, f"{len(run)} empty", allowed)
    if policy == "error" or not len(present):
        return values, 0
    if policy == "interpolate":
        return np.interp(np.arange(len(values)), present, values[present]), len(missing)
    last = np.maximum.accumulate(np.where(empty, 0, np.arange(len(values))))
    return values[last], len(missing)


# ----------------------------------------------------------------------------------------------- plausibility


def _warn_of_units(sheet: Sheet, column: str, values: F64, sizes: Mapping[str, float]) -> None:
    """Warn, and change nothing, when the values would suit another unit better."""
    low, high = _USUAL[column]
    median = float(np.median(np.abs(values)))
    if low <= median <= high or median == 0.0:
        return
    kept = next(iter(sizes))
    fitting = next((unit for unit, size in sizes.items() if low <= median * size <= high), None)
    what = f"the median size of `{column}` is {median:.4g} {kept}"
    question = f": are these {fitting}?" if fitting else ""
    sheet.warn("W101", column, what + question, f"usually {low:g} to {high:g} {kept}; a unit row settles it")


def _check_temperatures(
    sheet: Sheet, mean: Sequence[float], low: Sequence[float], high: Sequence[float]
) -> None:
    """Faults where a temperature is none of Britain's, or the three of a day contradict each other."""
    for (line, _), mean_c, min_c, max_c in zip(sheet.rows, mean, low, high, strict=True):
        for name, value in zip(_TEMPERATURES, (mean_c, min_c, max_c), strict=True):
            if math.isfinite(value) and not _COLDEST_C <= value <= _HOTTEST_C:
                allowed = f"{_COLDEST_C:g} to {_HOTTEST_C:g} C"
                sheet.fault("D016", line, name, "no temperature of Britain", f"{value:g}", allowed)
        told = math.inf not in (mean_c, min_c, max_c)
        if told and (min_c > mean_c or mean_c > max_c or min_c > max_c):
            what, got = "minimum, mean and maximum contradict each other", f"{min_c:g}, {mean_c:g}, {max_c:g}"
            sheet.fault("D017", line, _TEMPERATURES[0], what, got, "minimum <= mean <= maximum")
