"""One run's folder: who may write there, how files get there whole, and how tables become bytes that repeat.

Every file is written under a temporary name, synced and renamed: a name that is there is complete. Two writes
of the same columns give the same bytes (locked pyarrow, one thread, no times).
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sim.tables import TABLES, Column, Table

NONE = int(np.iinfo(np.int64).min)
"""Stands for a missing whole number or time in a nullable column."""
ROW_GROUP = 1_048_576
COMPRESSION_LEVEL = 3
MANIFEST, KPIS, TIMING, REPORT = "manifest.json", "kpis.json", "timing.json", "report.html"
LOCK = "run.lock"
CRASH = "crash.txt"

_ARROW = {
    "time": pa.int64(),
    "wide": pa.int64(),
    "int": pa.int32(),
    "float": pa.float64(),
    "word": pa.string(),
    "flag": pa.bool_(),
}
_FORMULA = r"^([=+\-@\t\r\n])"
"""How a cell begins that a spreadsheet would run (OWASP, CSV injection)."""


class RunFolderError(Exception):
    """The folder cannot be used as asked: it is taken, in use, or holds no run. Says what would help."""


@dataclass(frozen=True, slots=True)
class Words:
    """A column of words: `codes` (rows,) are places in `names`."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]


Columns = Mapping[str, NDArray[Any] | Words]
"""Columns of a table by name, all of one length; missing whole numbers are NONE, missing flags below 0."""


@dataclass(frozen=True, slots=True)
class TableFile:
    """What the manifest says of a table: rows, SHA-256 of the Parquet file, whether a CSV lies beside it."""

    rows: int
    sha256: str
    csv: bool


class RunFolder:
    """A run's folder and the files in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_run(self) -> bool:
        """Whether a finished run lies here."""
        return (self.path / MANIFEST).is_file()

    def claim(self) -> None:
        """Make the folder for a new run. Raises RunFolderError when something lies there already."""
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError(f"{self.path} is a file: give a folder with --out")
        if self.path.is_dir() and any(entry.name != LOCK for entry in self.path.iterdir()):
            raise RunFolderError(
                f"{self.path} is not empty, and no run is ever overwritten: give another folder with --out, "
                "or remove this one"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make {self.path}: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else writes here meanwhile; the lock ends with the process, however it ends.

        Raises RunFolderError when another process holds it.
        """
        path = self.path / LOCK
        try:
            handle = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise RunFolderError(f"cannot write in {self.path}: {error.strerror}") from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                handle.seek(0)
                raise RunFolderError(
                    f"{self.path} is in use by {handle.read().strip() or 'another process'}"
                ) from error
            handle.truncate(0)
            handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            handle.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Put a whole file there, or leave what was there."""
        _whole(self.path / name, lambda path: path.write_bytes(data))

    def write_text(self, name: str, text: str) -> None:
        """As write_bytes, in UTF-8."""
        self.write_bytes(name, text.encode())

    def write_json(self, name: str, tree: Any) -> None:
        """As write_bytes: readable JSON with a fixed order. Raises ValueError for NaN and infinities."""
        self.write_text(name, json.dumps(tree, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """What write_json wrote. Raises RunFolderError when it is missing or damaged."""
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise RunFolderError(f"{self.path} holds no finished run: there is no {name}") from error
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.path / name} cannot be read: {error}") from error

    def manifest(self) -> dict[str, Any]:
        """The manifest. Raises RunFolderError when this is no finished run."""
        tree = self.read_json(MANIFEST)
        if not isinstance(tree, dict) or not isinstance(tree.get("tables"), dict):
            raise RunFolderError(f"{self.path / MANIFEST} is not the manifest of a run")
        return tree

    def has_table(self, name: str) -> bool:
        """Whether that table was written."""
        return (self.path / f"{name}.parquet").is_file()

    def table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A table as written, or some of its columns. Raises RunFolderError when it is missing or damaged."""
        path = self.path / f"{name}.parquet"
        if not path.is_file():
            level = TABLES[name].level.value if name in TABLES else "any"
            raise RunFolderError(
                f"{self.path} has no table {name}: it is written from record.level {level} on"
            )
        try:
            return pq.read_table(path, columns=columns, use_threads=False)
        except (OSError, pa.ArrowException) as error:
            raise RunFolderError(f"{path} is damaged: {error}") from error

    def write_table(self, table: Table, batches: Iterable[Columns], csv_rows: int) -> TableFile:
        """Write a table from batches that are in its order; CSV beside it for at most `csv_rows` rows."""
        path = self.path / f"{table.name}.parquet"
        rows, kept = 0, []

        def write(temporary: Path) -> None:
            nonlocal rows
            with _parquet_writer(temporary, table) as writer:
                for batch in regroup((arrow(table, columns) for columns in batches), ROW_GROUP):
                    writer.write_table(batch, row_group_size=ROW_GROUP)
                    rows += batch.num_rows
                    if rows <= csv_rows:
                        kept.append(batch)

        _whole(path, write)
        as_csv = rows <= csv_rows and csv_rows > 0
        if as_csv:
            self.write_bytes(f"{table.name}.csv", _csv(table, pa.concat_tables([_empty(table), *kept])))
        return TableFile(rows, sha256_of(path), as_csv)

    def remove_tree(self, name: str) -> None:
        """Remove a folder inside this one, if it is there."""
        shutil.rmtree(self.path / name, ignore_errors=True)


def arrow(table: Table, columns: Columns) -> pa.Table:
    """The columns in the table's order and types. Raises ValueError for missing or unknown columns."""
    wanted = [column.name for column in table.columns]
    if sorted(columns) != sorted(wanted):
        raise ValueError(f"table {table.name} has the columns {wanted}, not {list(columns)}")
    return pa.Table.from_arrays(
        [_arrow_column(column, columns[column.name]) for column in table.columns], schema=schema(table)
    )


def schema(table: Table) -> pa.Schema:
    """Arrow types of a table."""
    return pa.schema(
        [pa.field(column.name, _ARROW[column.kind], nullable=column.nullable) for column in table.columns]
    )


def regroup(batches: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The same rows in tables of `size` rows (the last may be shorter): how rows came does not show."""
    waiting: list[pa.Table] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= size:
            whole = pa.concat_tables(waiting).combine_chunks()
            yield whole.slice(0, size)
            waiting, rows = [whole.slice(size)], rows - size
    if rows:
        yield pa.concat_tables(waiting).combine_chunks()


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _arrow_column(column: Column, values: NDArray[Any] | Words) -> pa.Array:
    if isinstance(values, Words):
        codes = pa.array(values.codes, type=pa.int32())
        return pa.DictionaryArray.from_arrays(codes, pa.array(values.names, type=pa.string())).cast(
            pa.string()
        )
    kind = _ARROW[column.kind]
    if column.kind == "flag":
        return pa.array(values > 0, type=kind, mask=values < 0 if column.nullable else None)
    if column.kind == "float":
        return pa.array(values, type=kind, mask=np.isnan(values) if column.nullable else None)
    mask = values == NONE if column.nullable else None
    if mask is not None and mask.any():
        values = np.where(mask, 0, values)
    return pa.array(values, mask=mask).cast(kind)


def _parquet_writer(path: Path, table: Table) -> pq.ParquetWriter:
    words = [column.name for column in table.columns if column.kind == "word"]
    whole = [column.name for column in table.columns if column.kind in {"time", "int", "wide"}]
    return pq.ParquetWriter(
        path,
        schema(table),
        compression="zstd",
        compression_level=COMPRESSION_LEVEL,
        use_dictionary=words or False,
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
    )


def _empty(table: Table) -> pa.Table:
    return schema(table).empty_table()


def _csv(table: Table, rows: pa.Table) -> bytes:
    """CSV with an ISO column after every time, and cells that no spreadsheet takes for a formula."""
    names: list[str] = []
    arrays: list[Any] = []
    for column in table.columns:
        values = rows[column.name]
        if column.kind == "word":
            values = pc.replace_substring_regex(values, pattern=_FORMULA, replacement=r"'\1")
        names.append(column.name)
        arrays.append(values)
        if column.kind == "time":
            names.append(column.name.removesuffix("_ms") + "_utc")
            arrays.append(_iso(values))
    sink = io.BytesIO()
    pyarrow.csv.write_csv(pa.Table.from_arrays(arrays, names=names), sink)
    return sink.getvalue()


def csv_of_words(columns: Mapping[str, Sequence[str]]) -> bytes:
    """CSV of columns of words, of one length, whose cells no spreadsheet takes for a formula."""
    arrays = [
        pc.replace_substring_regex(pa.array(words, pa.string()), pattern=_FORMULA, replacement=r"'\1")
        for words in columns.values()
    ]
    sink = io.BytesIO()
    pyarrow.csv.write_csv(pa.Table.from_arrays(arrays, names=list(columns)), sink)
    return sink.getvalue()


def _iso(times: Any) -> pa.Array:
    stamps = times.cast(pa.timestamp("ms"))
    return pc.strftime(stamps, format="%Y-%m-%dT%H:%M:%SZ")


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, sync it and give it its name."""
    temporary = path.with_name(path.name + ".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
