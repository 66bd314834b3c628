"""Half-hourly meter data of one's own: one row per meter and Settlement Period, checked row by row.

Owns the shape `mpan,utc_start,import_kwh` (or `import_wh`). Rows may come in any order; a half-hour without a
row is missing and stays so (`MISSING_WH`), whatever is done with it later. A time needs its UTC offset, so
that no day of 46 or 50 periods can be mistaken for one of 48.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa

from protocol.messages import I32, I64, MISSING_WH, BoundaryReadings
from protocol.periods import PERIOD_MS, day_start_ms, local_date, period_count
from sim.faults import Fault, Kind, quoted
from sim.importers import DataErrors, Sheet, Source, header_of, moment_in, ms_of, read_sheet
from sim.registry_file import read_written, write_parquet

SCHEMA = "flextwin meters 1"

CODES: Mapping[str, Kind] = MappingProxyType({
    "D053": Kind("a half-hour that no home has", "0 to 32.767 kWh; export is another register"),
    "W107": Kind("half-hours without a reading", "they stay missing; supply them if they exist"),
})  # fmt: skip
"""Beside the codes of `sim/importers.py` and `sim/registry_file.py`."""

_SIZES: Mapping[str, int] = MappingProxyType({"import_wh": 1, "import_kwh": 1_000})
_HIGHEST_WH = 2**15 - 1
"""65 kW for half an hour: beyond a domestic supply of three phases at 80 A (55 kW)."""


@dataclass(frozen=True, slots=True, eq=False)
class MeterReadings:
    """Readings in the order (MPAN, start): `meter` (readings,) is a place in `mpan` (meters,)."""

    source: Source
    mpan: I64
    meter: I64
    start_ms: I64
    import_wh: I64
    missing: int  # half-hours between each meter's first and last that have no reading

    def days(self) -> Iterator[BoundaryReadings]:
        """Every local day from the first to the last, (meters, periods); MISSING_WH where nothing is."""
        first, last = (local_date(int(edge)) for edge in (self.start_ms.min(), self.start_ms.max()))
        homes = np.arange(len(self.mpan), dtype=np.int32)
        for ordinal in range((last - first).days + 1):
            yield self._day(first + timedelta(days=ordinal), homes)

    def _day(self, day: date, homes: I32) -> BoundaryReadings:
        periods = (self.start_ms - day_start_ms(day)) // PERIOD_MS
        here = (periods >= 0) & (periods < period_count(day))
        import_wh = np.full((len(homes), period_count(day)), MISSING_WH, np.int16)
        import_wh[self.meter[here], periods[here]] = self.import_wh[here]
        return BoundaryReadings(day, homes, import_wh)


def read_meters(path: Path) -> MeterReadings:
    """The readings in a CSV file. Raises DataErrors with every fault."""
    names = header_of(path)
    there = [name for name in _SIZES if name in names]
    if len(there) != 1:
        what = "energy in two units" if there else "no column for energy with its unit"
        allowed = " or ".join(f"`{name}`" for name in _SIZES)
        raise DataErrors([Fault("D006", str(path), 1, 1, what, ", ".join(map(quoted, names[:12])), allowed)])
    (column,) = there
    sheet = read_sheet(path, ("mpan", "utc_start", column))
    if sheet.units is not None:
        sheet.fault("D041", 2, "mpan", "a row without an MPAN under the header", "", "units in column names")
    mpans = [_mpan(sheet, line, cells) for line, cells in sheet.rows]
    starts_ms = [_start_ms(sheet, line, cells) for line, cells in sheet.rows]
    energies_wh = _energies(sheet, column)
    if not sheet.faults:
        _check_stamps(sheet, mpans, starts_ms)
    if sheet.faults:
        raise DataErrors(sheet.faults)
    return _readings(sheet, np.array(mpans), np.array(starts_ms), np.array(energies_wh))


def write_meters(readings: MeterReadings, out: Path) -> None:
    """Write the readings as Parquet; what is missing has no row."""
    columns = {
        "mpan": pa.array(readings.mpan[readings.meter]),
        "start_ms": pa.array(readings.start_ms),
        "import_wh": pa.array(readings.import_wh),
    }
    write_parquet(pa.table(columns), out, SCHEMA)


def load_meters(path: Path) -> MeterReadings:
    """The readings that `write_meters` wrote. Raises DataErrors for another or a damaged file."""
    table, source = read_written(path, SCHEMA)
    mpans, start_ms, import_wh = (table[name].to_numpy() for name in ("mpan", "start_ms", "import_wh"))
    known, meter = np.unique(mpans, return_inverse=True)
    return MeterReadings(
        source, known, meter.astype(np.int64), start_ms, import_wh, _missing(meter, start_ms)
    )


def _missing(meter: I64, start_ms: I64) -> int:
    """Half-hours between each meter's first and last that have no reading."""
    within = np.diff(meter) == 0
    return int((np.diff(start_ms)[within] // PERIOD_MS - 1).sum())


def _mpan(sheet: Sheet, line: int, cells: list[str]) -> int:
    text = sheet.cell(cells, "mpan")
    if len(text) == 13 and text.isascii() and text.isdigit():
        return int(text)
    sheet.fault("D041", line, "mpan", "not an MPAN", quoted(text), "13 digits")
    return 0


def _start_ms(sheet: Sheet, line: int, cells: list[str]) -> int:
    moment = moment_in(sheet, line, cells, "utc_start")
    if moment is None:
        return 0
    start_ms = ms_of(moment)
    if start_ms % PERIOD_MS:
        what, allowed = "the period overlaps its neighbours", "a start on the hour or half past"
        sheet.fault("D024", line, "utc_start", what, quoted(str(moment)), allowed)
    return start_ms


def _energies(sheet: Sheet, column: str) -> list[int]:
    """Whole Wh of every row; nought, with a fault, where there is none."""
    energies = []
    for (line, _), number in zip(sheet.rows, sheet.numbers(column), strict=True):
        wh = round(number * _SIZES[column]) if math.isfinite(number) else 0
        if math.isnan(number):
            sheet.fault("D014", line, column, f"`{column}` is missing", "", "a number, or no row at all")
        elif math.isfinite(number) and not 0 <= wh <= _HIGHEST_WH:
            allowed = f"0 to {_HIGHEST_WH / _SIZES[column]:g}"
            sheet.fault("D053", line, column, "a half-hour that no home has", f"{number:g}", allowed)
        energies.append(wh)
    return energies


def _check_stamps(sheet: Sheet, mpans: list[int], starts_ms: list[int]) -> None:
    """Faults for a period told twice, and for a meter stamped at the ends of its periods."""
    first: dict[tuple[int, int], int] = {}
    edges: dict[int, list[int]] = {}
    for (line, _), mpan, start_ms in zip(sheet.rows, mpans, starts_ms, strict=True):
        earlier = first.setdefault((mpan, start_ms), line)
        if earlier != line:
            what = f"the period stands in row {earlier} already"
            sheet.fault("D025", line, "utc_start", what, str(mpan), "one row each")
        low, high = edges.get(mpan, [start_ms, start_ms])
        edges[mpan] = [min(low, start_ms), max(high, start_ms)]
    late = [_after_midnight_ms(low) == _after_midnight_ms(high) == PERIOD_MS for low, high in _ends(edges)]
    if late and all(late):
        what = "every meter runs from 00:30 to 00:00 local time, as if stamped at the end of the period"
        sheet.fault("D029", sheet.rows[0][0], "utc_start", what, "", "the start of the period")


def _ends(edges: Mapping[int, list[int]]) -> Iterator[tuple[int, int]]:
    """First start and last end of each meter."""
    for low, high in edges.values():
        yield low, high + PERIOD_MS


def _after_midnight_ms(at_ms: int) -> int:
    return at_ms - day_start_ms(local_date(at_ms))


def _readings(sheet: Sheet, mpans: I64, starts_ms: I64, energies_wh: I64) -> MeterReadings:
    order = np.lexsort((starts_ms, mpans))
    known, meter = np.unique(mpans[order], return_inverse=True)
    start_ms = starts_ms[order]
    missing = _missing(meter, start_ms)
    if missing:
        sheet.warn("W107", "utc_start", f"{missing} half-hours without a reading stay missing")
    source = Source(sheet.path, sheet.sha256, len(sheet.rows), warnings=tuple(sheet.warnings))
    return MeterReadings(source, known, meter.astype(np.int64), start_ms, energies_wh[order], missing)
