"""An asset registry of one's own, CSV or Parquet: checked row by row, and written as one normalised Parquet.

Owns the columns of a registry, what may stand in them, and what must agree between rows. Nothing is guessed,
filled or turned round: units stand in the columns' names (`rating_kw` or `rating_w`), an empty `capacity` is
unknown, and every row that does not hold is told with its line and column. No postcodes, names or addresses:
columns that are not asked for are left behind.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from protocol.messages import I8, I32, I64, UNKNOWN, Service, Technology
from sim.faults import Fault, Kind, quoted
from sim.head_ends import profile_names
from sim.homes import mpan_of
from sim.importers import DataErrors, Sheet, Source, header_of, read_sheet
from sim.scenario import ROUTE_NAMES
from sim.scenario_words import nearest
from sim.sky import PLACES

SCHEMA = "flextwin registry 1"
NOBODY = "none"
"""What stands under `route` for an asset that nobody reaches."""

CODES: Mapping[str, Kind] = MappingProxyType({
    "D040": Kind("not an identifier of a home or device", "letters, digits, `_` and `-`, at most 64"),
    "D041": Kind("not an MPAN", "the 13 digits of the MPAN core, as text so that no digit is lost"),
    "D042": Kind("an unknown technology", "see the words allowed"),
    "D043": Kind("an unknown route", "see the words allowed; `none` where nobody reaches the asset"),
    "D044": Kind("an unknown vendor", "see the profiles; leave it empty for a plain interface"),
    "D045": Kind("an unknown GSP", "a GSP Group such as `_C`, or with the two digits of a GSP: `_C07`"),
    "D046": Kind("an unknown settlement status", "see the words allowed"),
    "D047": Kind("a rating or capacity that no asset has", "see the range; the unit is in the column's name"),
    "D048": Kind("one home told in two ways", "one MPAN, GSP and settlement status for all its assets"),
    "D049": Kind("one MPAN under two homes", "an MPAN belongs to one home"),
    "D050": Kind("the same asset twice", "remove the row; two assets alike need their own `device`"),
    "D051": Kind("a vendor on an asset that nobody reaches", "give its route, or leave the vendor empty"),
    "D054": Kind("an unknown service or tariff", "see the words allowed; empty where it is not known"),
    "D052": Kind("not a Parquet file, or a damaged one", "copy it again; compare its size and hash"),
    "W104": Kind("MPANs whose check digit is wrong", "correct them, unless they are made up on purpose"),
    "W105": Kind("values that look like another unit", "the unit is in the column's name"),
})  # fmt: skip
"""Beside the codes of `sim/importers.py`."""

TECHNOLOGIES = tuple(technology.name.lower() for technology in Technology)
SETTLEMENTS = ("not_smart", "hh_metered", "hh_settled")
"""In the order of `HomeTable.status`: no smart meter; half-hourly readings; settled on them."""
SERVICES = tuple(service.name.lower() for service in Service)
TARIFFS = ("single_rate", "economy_7")
"""What a meter's registers are for."""
NOT_TOLD = -1
_MAY_MISS = ("device", "service", "tariff")
_SIZES: Mapping[str, Mapping[str, int]] = MappingProxyType({
    "rating": MappingProxyType({"rating_w": 1, "rating_kw": 1_000}),
    "capacity": MappingProxyType({"capacity_wh": 1, "capacity_kwh": 1_000}),
})  # fmt: skip
_PLAIN = ("mpan", "home", "technology", "gsp", "route", "vendor", "settlement")
_HIGHEST_W, _HIGHEST_WH = 2_000_000, 10_000_000
"""A large building's generator, and its store; assumed. What is above is an error of units."""
_USUAL_W: Mapping[str, tuple[int, int]] = MappingProxyType({
    "ev": (1_000, 45_000), "heat_pump": (500, 20_000), "storage_heater": (500, 30_000),
    "resistive": (300, 20_000), "hot_water": (500, 12_000), "battery": (500, 30_000), "pv": (200, 60_000),
    "appliance": (50, 10_000), "fridge": (20, 2_000), "building": (500, 2_000_000),
    "generator": (500, 2_000_000),
})  # fmt: skip
"""Where the median rating of a technology raises no question; assumed, and wide."""
_HOME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MPAN = re.compile(r"[0-9]{13}")
_GSP = re.compile(r"(_[A-HJ-NP])([0-9]{2})?")


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """Assets in the order (home, technology, device); all columns of one length."""

    source: Source
    home: tuple[str, ...]
    device: tuple[str, ...]  # "" where the file has none
    mpan: I64
    technology: I8  # Technology
    rating_w: I32
    capacity_wh: I32  # UNKNOWN where the file has none
    gsp: tuple[str, ...]
    route: I8  # place in ROUTE_NAMES; -1: nobody reaches it
    vendor: tuple[str, ...]  # a vendor profile, or "" for a plain interface
    settlement: I8  # place in SETTLEMENTS, as `HomeTable.status`
    service: I8  # Service, or NOT_TOLD
    tariff: I8  # place in TARIFFS, or NOT_TOLD
    line: I32  # where the row stands in the file

    def __len__(self) -> int:
        return len(self.home)


def read_registry(path: Path) -> Registry:
    """The registry in a CSV or Parquet file. Raises DataErrors with every fault."""
    sheet, sizes = _parquet_sheet(path) if path.suffix == ".parquet" else _csv_sheet(path)
    rows = [_Row(sheet, line, cells) for line, cells in sheet.rows]
    columns = {
        "technology": [row.word("technology", "D042", TECHNOLOGIES) for row in rows],
        "route": [row.word("route", "D043", (*ROUTE_NAMES, NOBODY)) for row in rows],
        "vendor": [row.vendor() for row in rows],
        "settlement": [row.word("settlement", "D046", SETTLEMENTS) for row in rows],
        "gsp": [row.gsp() for row in rows],
        "mpan": [row.shaped("mpan", "D041", _MPAN, "13 digits") for row in rows],
        "home": [row.shaped("home", "D040", _HOME, "letters, digits, `_`, `-`") for row in rows],
        "device": [row.device() for row in rows],
        "service": [row.if_told("service", SERVICES) for row in rows],
        "tariff": [row.if_told("tariff", TARIFFS) for row in rows],
    }
    rating_w = _figures(sheet, *sizes["rating"], lowest=1, highest=_HIGHEST_W, may_miss=False)
    capacity_wh = _figures(sheet, *sizes["capacity"], lowest=0, highest=_HIGHEST_WH, may_miss=True)
    _check_homes(sheet, columns)
    _check_assets(sheet, columns, rating_w, capacity_wh)
    if sheet.faults:
        raise DataErrors(sheet.faults)
    _warn(sheet, columns, rating_w, sizes["rating"][0])
    return _sorted(sheet, columns, rating_w, capacity_wh)


def write_registry(registry: Registry, out: Path) -> None:
    """Write the registry as Parquet: the same bytes for the same rows in any order."""
    table = pa.table(
        {
            "home": pa.array(registry.home, pa.string()),
            "device": pa.array(registry.device, pa.string()),
            "mpan": pa.array(registry.mpan),
            "technology": pa.array([TECHNOLOGIES[place] for place in registry.technology], pa.string()),
            "rating_w": pa.array(registry.rating_w),
            "capacity_wh": pa.array(registry.capacity_wh, mask=registry.capacity_wh == UNKNOWN),
            "gsp": pa.array(registry.gsp, pa.string()),
            "route": pa.array([(*ROUTE_NAMES, NOBODY)[place] for place in registry.route], pa.string()),
            "vendor": pa.array(registry.vendor, pa.string()),
            "settlement": pa.array([SETTLEMENTS[place] for place in registry.settlement], pa.string()),
            "service": pa.array([(*SERVICES, "")[place] for place in registry.service], pa.string()),
            "tariff": pa.array([(*TARIFFS, "")[place] for place in registry.tariff], pa.string()),
        }
    )
    write_parquet(table, out, SCHEMA)


def write_parquet(table: Any, out: Path, schema: str) -> None:
    """Write a table whole or not at all; `schema` says in the file what it is."""
    unfinished = out.with_name(f".{out.name}.part")
    pq.write_table(table.replace_schema_metadata({"flextwin": schema}), unfinished, compression="zstd")
    unfinished.replace(out)


def read_written(path: Path, schema: str) -> tuple[Any, Source]:
    """What `write_parquet` wrote, and its source. Raises DataErrors for another or a damaged file."""
    try:
        raw = path.read_bytes()
        table = pq.read_table(pa.BufferReader(raw))
    except (OSError, pa.ArrowInvalid) as error:
        what = f"cannot be read: {str(error).splitlines()[0]}"
        raise DataErrors([Fault("D052", str(path), 1, 1, what, "", "a whole Parquet file")]) from None
    written = (table.schema.metadata or {}).get(b"flextwin", b"").decode(errors="replace")
    if written != schema:
        what, allowed = "not what `flextwin import` writes for this", f"`{schema}`"
        raise DataErrors([Fault("D052", str(path), 1, 1, what, quoted(written), allowed)])
    return table, Source(path, hashlib.sha256(raw).hexdigest(), table.num_rows)


# --------------------------------------------------------------------------------------------------- sheets


def _csv_sheet(path: Path) -> tuple[Sheet, dict[str, tuple[str, int]]]:
    """The sheet, and per figure its column and the size of its unit."""
    names = header_of(path)
    sizes = _sizes(path, names)
    wanted = [*_PLAIN, *(column for column, _ in sizes.values())]
    sheet = read_sheet(path, [*wanted, *(name for name in _MAY_MISS if name in names)])
    if sheet.units is not None:
        what, allowed = "a row without an MPAN under the header", "one row per asset; units in column names"
        sheet.fault("D041", 2, "mpan", what, "", allowed)
    return sheet, sizes


def _parquet_sheet(path: Path) -> tuple[Sheet, dict[str, tuple[str, int]]]:
    """As `_csv_sheet`; lines are rows, counted from 1."""
    names, rows, digest = parquet_cells(path)
    sizes = _sizes(path, names)
    missing = [name for name in _PLAIN if name not in names]
    if missing:
        what = ", ".join(f"the column `{name}` is missing" for name in missing)
        raise DataErrors(
            [Fault("D006", str(path), 1, 1, what, ", ".join(map(quoted, names)), ", ".join(_PLAIN))]
        )
    places = {name: place for place, name in enumerate(names)}
    return Sheet(path, digest, places, None, rows), sizes


def parquet_cells(path: Path) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Names, rows as text by number from 1, and SHA-256 of a Parquet file. Raises DataErrors."""
    try:
        raw = path.read_bytes()
        table = pq.read_table(pa.BufferReader(raw))
    except (OSError, pa.ArrowInvalid) as error:
        code = "D001" if isinstance(error, OSError) and not path.is_file() else "D052"
        what = f"cannot be read: {str(error).splitlines()[0]}"
        raise DataErrors([Fault(code, str(path), 1, 1, what, "", "a whole Parquet file")]) from None
    if table.num_rows == 0:
        raise DataErrors([Fault("D003", str(path), 1, 1, "no rows", "", "one row per asset")])
    columns = [["" if cell is None else str(cell) for cell in column.to_pylist()] for column in table.columns]
    rows = [(place + 1, list(cells)) for place, cells in enumerate(zip(*columns, strict=True))]
    return list(table.column_names), rows, hashlib.sha256(raw).hexdigest()


def _sizes(path: Path, names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Per figure its column and the size of its unit. Raises DataErrors unless each is there in one unit."""
    found: dict[str, tuple[str, int]] = {}
    faults = []
    for figure, spellings in _SIZES.items():
        there = [name for name in spellings if name in names]
        if len(there) == 1:
            found[figure] = there[0], spellings[there[0]]
            continue
        what = f"`{figure}` is there in two units" if there else f"no column for `{figure}` with its unit"
        allowed = " or ".join(f"`{name}`" for name in spellings)
        faults.append(Fault("D006", str(path), 1, 1, what, ", ".join(map(quoted, names[:12])), allowed))
    if faults:
        raise DataErrors(faults)
    return found


# ----------------------------------------------------------------------------------------------------- rows


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the sheet; what is read of it, with a fault where it does not hold."""

    sheet: Sheet
    line: int
    cells: list[str]

    def device(self) -> str:
        """The asset's own identifier, or nothing."""
        there = "device" in self.sheet.places and self.sheet.cell(self.cells, "device")
        return self.shaped("device", "D040", _HOME, "letters, digits, `_`, `-`") if there else ""

    def word(self, column: str, code: str, known: Sequence[str]) -> str:
        """One of the words known."""
        text = self.sheet.cell(self.cells, column)
        if text not in known:
            self._wrong(code, column, f"unknown {column}", text, ", ".join(known), nearest(text, known))
        return text

    def if_told(self, column: str, known: Sequence[str]) -> str:
        """One of the words known, or nothing."""
        there = column in self.sheet.places and self.sheet.cell(self.cells, column)
        return self.word(column, "D054", known) if there else ""

    def vendor(self) -> str:
        """A vendor profile, or nothing."""
        text = self.sheet.cell(self.cells, "vendor")
        known = profile_names()
        if text and text not in known:
            self._wrong("D044", "vendor", "unknown vendor", text, ", ".join(known), nearest(text, known))
        elif text and self.sheet.cell(self.cells, "route") == NOBODY:
            self._wrong("D051", "vendor", "a vendor on an asset that nobody reaches", text, "a route", "")
        return text

    def gsp(self) -> str:
        """A GSP Group, or one of its GSPs."""
        text = self.sheet.cell(self.cells, "gsp")
        match = _GSP.fullmatch(text)
        if match is None or match[1] not in PLACES:
            allowed = "a GSP Group such as `_C`, or one of its GSPs such as `_C07`"
            self._wrong("D045", "gsp", "unknown GSP", text, allowed, nearest(text, tuple(PLACES)))
        return text

    def shaped(self, column: str, code: str, pattern: re.Pattern[str], allowed: str) -> str:
        """A text of this form."""
        text = self.sheet.cell(self.cells, column)
        if pattern.fullmatch(text) is None:
            self._wrong(code, column, f"not a {column}", text, allowed, "")
        return text

    def _wrong(self, code: str, column: str, what: str, got: str, allowed: str, near: str) -> None:
        place = self.sheet.places[column] + 1
        self.sheet.faults.append(
            Fault(code, str(self.sheet.path), self.line, place, what, quoted(got), allowed, near)
        )


def _figures(sheet: Sheet, column: str, size: int, *, lowest: int, highest: int, may_miss: bool) -> list[int]:
    """Whole W or Wh under a column; UNKNOWN for an empty cell where that may be."""
    figures = []
    for (line, _), number in zip(sheet.rows, sheet.numbers(column), strict=True):
        if math.isnan(number):
            figures.append(UNKNOWN)
            if not may_miss:
                sheet.fault("D014", line, column, f"`{column}` is missing", "", "a number")
            continue
        value = round(number * size) if math.isfinite(number) else UNKNOWN
        if math.isfinite(number) and not lowest <= value <= highest:
            allowed = f"{lowest / size:g} to {highest / size:g}"
            sheet.fault("D047", line, column, f"`{column}` that no asset has", f"{number:g}", allowed)
        figures.append(value)
    return figures


# ------------------------------------------------------------------------------------------- between rows


def _check_homes(sheet: Sheet, columns: Mapping[str, Sequence[str]]) -> None:
    """Faults where a home has two MPANs, GSPs or statuses, or an MPAN two homes."""
    _check_one(sheet, columns, "home", ("mpan", "gsp", "settlement", "service", "tariff"), "D048")
    _check_one(sheet, columns, "mpan", ("home",), "D049")


def _check_one(
    sheet: Sheet, columns: Mapping[str, Sequence[str]], key: str, values: Sequence[str], code: str
) -> None:
    first: dict[str, int] = {}
    for place, owner in enumerate(columns[key]):
        before = first.setdefault(owner, place)
        for name in values if owner else ():
            if columns[name][place] != columns[name][before]:
                line, earlier = sheet.rows[place][0], sheet.rows[before][0]
                what = f"`{name}` of {key} {quoted(owner)} is another than in row {earlier}"
                sheet.fault(
                    code, line, name, what, quoted(columns[name][place]), quoted(columns[name][before])
                )


def _check_assets(
    sheet: Sheet, columns: Mapping[str, Sequence[str]], rating_w: Sequence[int], capacity_wh: Sequence[int]
) -> None:
    """Faults where a device is told twice, or two rows without one say the same."""
    first: dict[tuple[Any, ...], int] = {}
    for place, (line, _) in enumerate(sheet.rows):
        device = columns["device"][place]
        same = (columns["technology"][place], columns["route"][place], columns["vendor"][place])
        asset = (device,) if device else (columns["home"][place], *same, rating_w[place], capacity_wh[place])
        before = first.setdefault(asset, place)
        if before != place:
            what = f"the asset stands in row {sheet.rows[before][0]} already"
            sheet.fault("D050", line, "home", what, quoted(device or columns["home"][place]), "one row each")


def _warn(
    sheet: Sheet, columns: Mapping[str, Sequence[str]], rating_w: Sequence[int], rating_column: str
) -> None:
    """Warn of made-up MPANs and of ratings that look like another unit; change nothing."""
    mpans = np.array([int(text) for text in columns["mpan"]], np.int64)
    core = mpans // 10
    wrong = int((mpan_of(core // 10**10, core % 10**10) != mpans).sum())
    if wrong:
        sheet.warn("W104", "mpan", f"{wrong} of {len(mpans)} MPANs have a wrong check digit")
    watts = np.array(rating_w)
    kinds = np.array(columns["technology"])
    for technology, (low, high) in _USUAL_W.items():
        its = watts[kinds == technology]
        if len(its) and not low <= float(np.median(its)) <= high:
            what = f"the median rating of `{technology}` is {float(np.median(its)):,.0f} W"
            sheet.warn("W105", rating_column, what, f"usually {low:,} to {high:,} W")


def _sorted(
    sheet: Sheet, columns: Mapping[str, Sequence[str]], rating_w: Sequence[int], capacity_wh: Sequence[int]
) -> Registry:
    def key(k: int) -> tuple[Any, ...]:
        technology = TECHNOLOGIES.index(columns["technology"][k])
        told = (columns[name][k] for name in ("device", "route", "vendor"))
        return (columns["home"][k], technology, *told, rating_w[k], capacity_wh[k])

    order = sorted(range(len(sheet.rows)), key=key)
    routes = _places(ROUTE_NAMES) | {NOBODY: -1}

    def texts(name: str) -> tuple[str, ...]:
        return tuple(columns[name][k] for k in order)

    def numbers(name: str, of: Mapping[str, int]) -> I8:
        return np.array([of[columns[name][k]] for k in order], np.int8)

    return Registry(
        source=Source(sheet.path, sheet.sha256, len(sheet.rows), warnings=tuple(sheet.warnings)),
        home=texts("home"),
        device=texts("device"),
        mpan=np.array([int(text) for text in texts("mpan")], np.int64),
        technology=numbers("technology", _places(TECHNOLOGIES)),
        rating_w=np.array([rating_w[k] for k in order], np.int32),
        capacity_wh=np.array([capacity_wh[k] for k in order], np.int32),
        gsp=texts("gsp"),
        route=numbers("route", routes),
        vendor=texts("vendor"),
        settlement=numbers("settlement", _places(SETTLEMENTS)),
        service=numbers("service", _places(SERVICES) | {"": NOT_TOLD}),
        tariff=numbers("tariff", _places(TARIFFS) | {"": NOT_TOLD}),
        line=np.array([sheet.rows[k][0] for k in order], np.int32),
    )


def _places(words: Sequence[str]) -> dict[str, int]:
    return {word: place for place, word in enumerate(words)}
