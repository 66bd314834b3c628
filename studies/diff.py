"""Whether two runs are the same, byte by byte, and where they first part if they are not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sim.run_folder import KPIS, RunFolder, sha256_of
from sim.tables import TABLES
from studies.kpis import compute_kpis
from studies.local_time import stamp


@dataclass(frozen=True, slots=True)
class TableDifference:
    """Where one table of two runs first differs: `row` counts from 0; `left` and `right` are words."""

    table: str
    told: str
    row: int | None = None
    column: str | None = None
    left: str = ""
    right: str = ""

    def __str__(self) -> str:
        return f"{self.table}: {self.told}"


@dataclass(frozen=True, slots=True)
class RunDifference:
    """All that differs between two runs. `causes` are differences in what the runs were made of."""

    tables: tuple[TableDifference, ...]
    kpis: tuple[tuple[str, float | None, float | None], ...]
    causes: tuple[str, ...]
    compared: int

    @property
    def same(self) -> bool:
        """Whether all tables have the same bytes."""
        return not self.tables


def compare_runs(left: RunFolder, right: RunFolder) -> RunDifference:
    """Compare two finished runs. Raises RunFolderError when one of them is none."""
    manifests = left.manifest(), right.manifest()
    names = [name for name in TABLES if name in manifests[0]["tables"] or name in manifests[1]["tables"]]
    differences = [found for name in names if (found := _table_difference(left, right, name))]
    return RunDifference(
        tuple(differences),
        _kpi_differences(left, right) if differences and whole(left) and whole(right) else (),
        _causes(*manifests),
        len(names),
    )


def whole(folder: RunFolder) -> bool:
    """Whether every table that the manifest names is there."""
    return all(folder.has_table(name) for name in folder.manifest()["tables"])


def _table_difference(left: RunFolder, right: RunFolder, name: str) -> TableDifference | None:
    for folder, other in ((left, right), (right, left)):
        if not folder.has_table(name):
            return TableDifference(name, f"only in {other.path}")
    if _sha(left, name) == _sha(right, name):
        return None
    a, b = left.table(name), right.table(name)
    if a.schema != b.schema:
        return TableDifference(name, f"columns differ: {a.schema.names} and {b.schema.names}")
    return _first_cell(name, a, b) or TableDifference(
        name, "same values, other bytes: another pyarrow wrote it"
    )


def _sha(folder: RunFolder, name: str) -> str:
    return sha256_of(folder.path / f"{name}.parquet")


def _first_cell(name: str, a: pa.Table, b: pa.Table) -> TableDifference | None:
    """The first row that differs and in it the first column."""
    rows = min(a.num_rows, b.num_rows)
    first: tuple[int, str] | None = None
    for column in a.column_names:
        place = _first_unequal(a[column].slice(0, rows), b[column].slice(0, rows))
        if place is not None and (first is None or place < first[0]):
            first = (place, column)
    if first is not None:
        return _told(name, a, b, *first)
    if a.num_rows != b.num_rows:
        longer = a if a.num_rows > b.num_rows else b
        then = f"the first {rows:,} are the same; then {_key(name, longer, rows)}"
        told = f"{a.num_rows:,} and {b.num_rows:,} rows; {then}"
        return TableDifference(name, told, rows)
    return None


def _first_unequal(a: Any, b: Any) -> int | None:
    same_null = pc.equal(pc.is_null(a), pc.is_null(b))
    same = pc.and_(same_null, pc.fill_null(pc.equal(a, b), fill_value=True))
    place = pc.index(same, value=False).as_py()
    return None if place < 0 else int(place)


def _told(name: str, a: pa.Table, b: pa.Table, row: int, column: str) -> TableDifference:
    left, right = str(a[column][row].as_py()), str(b[column][row].as_py())
    told = f"row {row:,} ({_key(name, a, row)}), {column}: {left} and {right}"
    if a.num_rows != b.num_rows:
        told += f"; {a.num_rows:,} and {b.num_rows:,} rows"
    return TableDifference(name, told, row, column, left, right)


def _key(name: str, table: pa.Table, row: int) -> str:
    """What a row is about: the values that its table is ordered by, times as local ones."""
    parts = []
    for column in TABLES[name].order:
        value = table[column][row].as_py()
        timed = TABLES[name].column(column).kind == "time"
        parts.append(stamp(value, seconds=True) if timed else f"{column} {value}")
    return ", ".join(parts)


def _kpi_differences(left: RunFolder, right: RunFolder) -> tuple[tuple[str, float | None, float | None], ...]:
    a, b = (_kpis(folder) for folder in (left, right))
    return tuple((name, a.get(name), b.get(name)) for name in a | b if a.get(name) != b.get(name))


def _kpis(folder: RunFolder) -> dict[str, float | int]:
    if (folder.path / KPIS).is_file():
        found: dict[str, float | int] = folder.read_json(KPIS)
        return found
    return compute_kpis(folder)


def _causes(left: dict[str, Any], right: dict[str, Any]) -> tuple[str, ...]:
    found = [
        f"{name}: {left.get(name)} and {right.get(name)}"
        for name in ("seed", "flextwin")
        if left.get(name) != right.get(name)
    ]
    if left["scenario"]["sha256"] != right["scenario"]["sha256"]:
        found.append(
            f"scenario: {left['scenario']['name']} and {right['scenario']['name']}, of different text"
        )
    found.extend(
        f"{group} {name}: {left[group].get(name)} and {right[group].get(name)}"
        for group in ("versions", "rulebooks", "inputs")
        for name in sorted({*left[group], *right[group]})
        if left[group].get(name) != right[group].get(name)
    )
    return tuple(found)
