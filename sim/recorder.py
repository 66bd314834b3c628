"""Keeps what a run brings, as columns, and writes the tables at its end. It sees the truth; nobody asks it.

State is arrays of fixed shape or doubling size, so that a checkpoint is cheap, and full ones go to part files
in the run folder as soon as nothing can change them. After a resume the same parts are written again.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.messages import I64, NO_LIMIT_W, Service, Setpoints
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, period_of, period_start_ms
from protocol.products import Product
from sim.deliveries import deliveries
from sim.journal import Page
from sim.network import DOWN, Carried, Counts, Kind, OutageRow, Outcome
from sim.run_folder import NONE, Columns, RunFolder, TableFile, Words
from sim.scenario import ROUTE_NAMES, Record
from sim.tables import TABLES, Column, Table, recorded

SECOND_MS = 1_000
CHUNK_MS = HOUR_MS
"""How much of a series one part file holds [ms]."""
LATE_MS = HOUR_MS
"""Published metering may come so long after its second [ms]; later it is refused."""
CHUNKS_AT_ONCE = 24
"""How many chunks of a series are written together."""
SPILL_ROWS = 1_000_000
PARTS = "parts"
BALANCING = Service.BALANCING.name.lower()
FURTHER_SERVICES = frozenset(Product) - {Product.BM, Product.DFS}
KIND_WORDS = tuple(kind.name.lower() for kind in Kind)
ARRIVED = (Outcome.DELIVERED, Outcome.BACKFILLED)
OUTCOME_WORDS = (*(outcome.name.lower() for outcome in Outcome), "duplicated")
ARMS = ("lived", "without")
"""The world with instructions (arm 0) and the one without (arm 1)."""

_DTYPES = {"time": "i8", "wide": "i8", "int": "i4", "float": "f8", "word": "i4", "flag": "i1"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What never changes during a run: its span and what the columns of the series stand for.

    `cells` are (unit, service) and `gsps` are (GSP, unit), in the order of the arrays handed over. Services
    are named as `protocol.messages.Service` in small letters.
    """

    start_ms: int
    end_ms: int
    units: tuple[str, ...]
    cells: tuple[tuple[str, str], ...]
    gsps: tuple[tuple[str, str], ...]
    boundary: bool = False  # boundary meters are read live
    calendar: bool = False  # settlement runs follow the calendar
    retail: bool = False  # homes are on a time-of-use tariff
    wholesale: bool = False  # homes consent to trading


@dataclass(slots=True)
class SeriesState:
    """Open chunks of a series by number, each (fields, columns, steps); the first `spilled` are in files."""

    chunks: dict[int, I64] = field(default_factory=dict)
    spilled: int = 0


@dataclass(slots=True)
class RowsState:
    """Rows of one table: growing columns, whose first `count` entries count, and `parts` already in files."""

    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    count: int = 0
    parts: int = 0


@dataclass(slots=True)
class RecorderState:
    """All that the recorder remembers between two calls."""

    seconds: SeriesState = field(default_factory=SeriesState)
    minutes: SeriesState = field(default_factory=SeriesState)
    boundary: SeriesState = field(default_factory=SeriesState)
    rows: dict[str, RowsState] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    true_wh: dict[tuple[str, int], int] = field(default_factory=dict)


class Recorder:
    """Takes what happened from the world and writes the run's tables."""

    def __init__(self, folder: RunFolder, layout: Layout, record: Record, workers: int = 1) -> None:
        """`workers`: how many tables are written side by side."""
        self.folder = folder
        self.layout = layout
        self.record = record
        self.workers = workers
        tables = recorded(
            record.level,
            boundary=layout.boundary,
            calendar=layout.calendar,
            retail=layout.retail,
            wholesale=layout.wholesale,
        )
        self.tables = {table.name: table for table in tables}
        self.state = RecorderState()
        self._series = {
            "seconds": Series("seconds", SECOND_MS, 3, len(layout.cells), layout, folder),
            "minutes": Series("minutes", MINUTE_MS, 2, len(layout.gsps), layout, folder),
            "boundary": Series("boundary", SECOND_MS, 2, len(layout.units), layout, folder),
        }

    def wants(self, table: str) -> bool:
        """Whether the run's record level asks for that table: spare the work of collecting it otherwise."""
        return table in self.tables

    def seconds(self, start_ms: int, import_w: NDArray[Any], without_w: NDArray[Any]) -> None:
        """True import (cells, n) [W] of n whole seconds from `start_ms`, with and without instructions."""
        series = self._series["seconds"]
        series.put(self.state.seconds, 0, slice(None), start_ms, import_w)
        series.put(self.state.seconds, 1, slice(None), start_ms, without_w)
        series.spill(self.state.seconds, start_ms)

    def published(self, start_ms: int, unit: int, import_w: NDArray[Any]) -> None:
        """Operational metering (n,) [W] that a unit published for the n whole seconds from `start_ms`."""
        cell = self.layout.cells.index((self.layout.units[unit], BALANCING))
        self._series["seconds"].put(self.state.seconds, 2, slice(cell, cell + 1), start_ms, import_w[None, :])

    def minutes(self, start_ms: int, import_w: NDArray[Any], without_w: NDArray[Any]) -> None:
        """Mean import (gsps, n) [W] of the n whole minutes from `start_ms`, with and without instructions."""
        series = self._series["minutes"]
        series.put(self.state.minutes, 0, slice(None), start_ms, import_w)
        series.put(self.state.minutes, 1, slice(None), start_ms, without_w)
        series.spill(self.state.minutes, start_ms)

    def boundary(self, start_ms: int, import_w: NDArray[Any], base_w: NDArray[Any]) -> None:
        """True import of the homes that are read live (units, n) [W] by whole second, and base load in it."""
        series = self._series["boundary"]
        series.put(self.state.boundary, 0, slice(None), start_ms, import_w)
        series.put(self.state.boundary, 1, slice(None), start_ms, base_w)
        series.spill(self.state.boundary, start_ms)

    def half_hour(self, at_ms: int, **wh: NDArray[Any]) -> None:
        """One settlement period by cell: `devices_wh`, `without_wh`, `base_wh`, `asset_metered_wh`,
        `boundary_metered_wh`, `homes` and `readings_missing`, each (cells,).
        """
        cells = self.layout.cells
        day, number = period_of(at_ms)
        self.rows(
            "half_hourly",
            at_ms=at_ms,
            day=day.isoformat(),
            period=number,
            unit=[unit for unit, _ in cells],
            service=[service for _, service in cells],
            **wh,
        )

    def technologies(self, at_ms: int, technology: str, sums: dict[str, I64]) -> None:
        """One technology in one period: `sim.by_technology.Sums` by cell, of cells that have it."""
        there = np.flatnonzero(sums["devices"])
        cells = [self.layout.cells[place] for place in there.tolist()]
        self.rows(
            "technology_half_hourly",
            at_ms=np.full(len(there), at_ms),
            technology=[technology] * len(there),
            unit=[unit for unit, _ in cells],
            service=[service for _, service in cells],
            **{name: values[there] for name, values in sums.items()},
        )

    def true_turn_down(self, unit: str, start_ms: int, wh: int) -> None:
        """Truly turned down by a unit that is no cell (of DFS, of a further service) in the period from
        `start_ms` [Wh].
        """
        self.state.true_wh[unit, start_ms] = wh

    def device_events(
        self,
        at_ms: I64,
        rows: NDArray[Any],
        kind: NDArray[Any],
        value: NDArray[Any],
        arm: int,
        kinds: dict[int, str],
    ) -> None:
        """What happened to devices; `kinds` names the numbers in `kind`, `arm` is a place in ARMS."""
        named, places = np.unique(kind, return_inverse=True)
        words = Words(places.astype(np.int32), tuple(kinds[int(number)].lower() for number in named))
        self.rows("device_events", at_ms=at_ms, row=rows, kind=words, value=value, arm=ARMS[arm])

    def comms(self, counts: Counts) -> None:
        """How many messages met which fate."""
        kinds, routes = np.asarray(counts.kind), np.asarray(counts.route)
        down = np.isin(kinds, [int(kind) for kind in DOWN]).astype(np.int32)
        self.rows(
            "comms",
            at_ms=counts.minute_ms,
            route=Words(routes.astype(np.int32), ROUTE_NAMES),
            direction=Words(down, ("up", "down")),
            kind=Words(kinds.astype(np.int32), KIND_WORDS),
            outcome=Words(counts.outcome.astype(np.int32), OUTCOME_WORDS),
            count=counts.messages,
            latency_sum_ms=counts.latency_ms,
        )

    def setpoints_sent(self, setpoints: Setpoints, sent_ms: NDArray[Any] | int, carried: Carried) -> None:
        """Set-points handed to the network, and what becomes of each."""
        self._messages(
            Kind.SETPOINTS,
            setpoints.rows,
            sent_ms,
            setpoints.sequence,
            carried,
            instruction_id=setpoints.instruction_id,
            limit_w=setpoints.limit_w,
            from_ms=setpoints.from_ms,
            until_ms=setpoints.until_ms,
        )

    def acks_sent(self, rows: NDArray[Any], sent_ms: I64, sequence: NDArray[Any], carried: Carried) -> None:
        """Acknowledgements that devices sent, and what becomes of each."""
        nothing = {"instruction_id": "", "limit_w": NO_LIMIT_W, "from_ms": NONE, "until_ms": NONE}
        self._messages(Kind.ACKS, rows, sent_ms, sequence, carried, **nothing)

    def _messages(
        self,
        kind: Kind,
        rows: NDArray[Any],
        sent_ms: NDArray[Any] | int,
        sequence: NDArray[Any],
        carried: Carried,
        **asked: Any,
    ) -> None:
        arrived = np.isin(carried.outcome, [int(outcome) for outcome in ARRIVED])
        self.rows(
            "device_messages",
            at_ms=sent_ms,
            row=rows,
            what=kind.name.lower(),
            sequence=sequence,
            fate=Words(carried.outcome.astype(np.int32), OUTCOME_WORDS),
            arrival_ms=np.where(arrived, carried.arrival_ms, NONE),
            **asked,
        )

    def outages(self, outages: Iterable[OutageRow]) -> None:
        """Shared outages that touch the run's span, as two events each."""
        for outage in outages:
            if outage.to_ms <= self.layout.start_ms or outage.from_ms >= self.layout.end_ms:
                continue
            minutes = round((outage.to_ms - outage.from_ms) / MINUTE_MS, 1)
            share = "" if outage.drop == 1.0 else f", {outage.drop:.0%} of messages"
            slower = f", {outage.extra_latency_ms} ms slower" if outage.extra_latency_ms else ""
            ways = "both ways" if outage.directions == "both" else f"{outage.directions} only"
            touched = (
                f"{outage.messages} messages, {ways}"
                if outage.messages == "all"
                else f"{outage.messages}, {ways}"
            )
            told = f"down for {minutes:g} min: {touched}{share}{slower}"
            self.event(outage.from_ms, "outage_start", outage.kind, outage.name, told)
            self.event(outage.to_ms, "outage_end", outage.kind, outage.name, "up again")

    def event(self, at_ms: int, kind: str, who: str, subject: str = "", detail: str = "") -> None:
        """Something worth telling."""
        self.rows("events", at_ms=at_ms, kind=kind, who=who, subject=subject, detail=detail)

    def promises(
        self,
        rows: NDArray[Any],
        home: NDArray[Any],
        ready_by_ms: I64,
        needed_wh: NDArray[Any],
        short_wh: NDArray[Any],
        arm: int,
    ) -> None:
        """Deadlines judged in one arm: what was missing [Wh]; 0 is a promise kept. Unknown needs: below 0.

        Deadlines before the run began are left out.
        """
        counts = np.asarray(ready_by_ms) >= self.layout.start_ms
        rows, home, ready_by_ms = rows[counts], home[counts], ready_by_ms[counts]
        needed_wh, short_wh = np.asarray(needed_wh)[counts], np.asarray(short_wh)[counts]
        mine, other = ("short_wh", "short_without_wh")[:: 1 if arm == 0 else -1]
        kept, other_kept = ("reached", "reached_without_instructions")[:: 1 if arm == 0 else -1]
        needed = np.asarray(needed_wh, np.int64)
        self.rows(
            "promises",
            **{
                "row": rows,
                "home": home,
                "ready_by_ms": ready_by_ms,
                "needed_wh": np.where(needed < 0, NONE, needed) if arm == 0 else NONE,
                mine: short_wh,
                other: NONE,
                kept: np.asarray(short_wh) <= 0,
                other_kept: -1,
            },
        )

    def rows(self, table: str, **columns: Any) -> None:
        """Append rows to a table that the record level asks for (others are dropped).

        Each column is an array, a list, Words, or one value for all rows. Raises ValueError for other columns
        than the table's.
        """
        if table not in self.tables:
            return
        specification = self.tables[table]
        wanted = {column.name for column in specification.columns}
        if set(columns) != wanted:
            raise ValueError(f"table {table}: columns {sorted(wanted ^ set(columns))} are missing or unknown")
        block = self._block(specification, columns)
        state = self.state.rows.setdefault(table, RowsState())
        _append(state, block)
        if state.count >= SPILL_ROWS:
            self._spill(table, state)

    def finish(self, pages: Iterable[Page]) -> dict[str, TableFile]:
        """Add the journal's pages, work out deliveries and write every table."""
        for page in pages:
            if page.rows:
                self.rows(page.table, **{name: list(values) for name, values in page.columns().items()})
        states = {"seconds": self.state.seconds, "minutes": self.state.minutes}
        if self.layout.boundary:
            states["boundary"] = self.state.boundary
        for name, state in states.items():
            self._series[name].spill(state, self.layout.end_ms + CHUNK_MS + LATE_MS)
        self._work_out_deliveries()
        with ThreadPoolExecutor(self.workers) as pool:
            return dict(zip(self.tables, pool.map(self._write, self.tables.values()), strict=True))

    def forget_parts(self) -> None:
        """Remove the part files. Only when nobody can resume any more: a checkpoint counts on them."""
        self.folder.remove_tree(PARTS)

    def _work_out_deliveries(self) -> None:
        instructions, beliefs, volumes = (
            self._whole(TABLES[name]) for name in ("instructions", "beliefs", "settled_volumes")
        )
        found = deliveries(instructions, beliefs, volumes, self._true_turn_down_wh)
        if found:
            names = [column.name for column in TABLES["deliveries"].columns]
            self.rows(
                "deliveries", **{name: [row[place] for row in found] for place, name in enumerate(names)}
            )

    def _true_turn_down_wh(self, unit: str, service: str, start_ms: int, end_ms: int) -> int:
        """Without minus with over a unit's enrolled assets between two moments [Wh].

        Of a unit of a further service the whole period, however short it was called: it is no cell of the
        second sums.
        """
        if (unit, start_ms) in self.state.true_wh and end_ms - start_ms == PERIOD_MS:
            return self.state.true_wh[unit, start_ms]
        if service in FURTHER_SERVICES:
            return self.state.true_wh.get((unit, period_start_ms(start_ms)), 0)
        start_ms, end_ms = max(start_ms, self.layout.start_ms), min(end_ms, self.layout.end_ms)
        if end_ms <= start_ms:
            return 0
        turned_down = 0
        for cell in self._cells_of(unit, service):
            values = self._series["seconds"].read(cell, start_ms, end_ms)
            turned_down += int((values[1] - values[0]).sum())
        return round(turned_down / 3600)

    def _cells_of(self, unit: str, service: str) -> list[int]:
        """The cell of a unit; of a unit that is none of the layout's, all cells of the service."""
        cells = self.layout.cells
        if (unit, service) in cells:
            return [cells.index((unit, service))]
        return [place for place, (_, of) in enumerate(cells) if of == service]

    def _write(self, table: Table) -> TableFile:
        csv_rows = self.record.csv_rows if self.record.csv else 0
        return self.folder.write_table(table, self._batches(table), csv_rows)

    def _batches(self, table: Table) -> Iterator[Columns]:
        if table.name == "portfolio_1s":
            yield from self._second_batches()
        elif table.name == "portfolio_1min":
            yield from self._minute_batches()
        elif table.name == "boundary_1s":
            yield from self._boundary_batches()
        elif table.streamed:
            yield from (self._in_order(table, self._named(table, part)) for part in self._parts(table.name))
        else:
            yield self._whole(table)

    def _second_batches(self) -> Iterator[Columns]:
        series, cells = self._series["seconds"], self.layout.cells
        for cell in sorted(range(len(cells)), key=cells.__getitem__):
            for at_ms, values in series.chunks(cell):
                yield {
                    "at_ms": at_ms,
                    "unit": _same(cells[cell][0], at_ms.size),
                    "service": _same(cells[cell][1], at_ms.size),
                    "import_w": values[0],
                    "without_w": values[1],
                    "published_w": values[2],
                }

    def _boundary_batches(self) -> Iterator[Columns]:
        series, units = self._series["boundary"], self.layout.units
        for place in sorted(range(len(units)), key=units.__getitem__):
            for at_ms, values in series.chunks(place):
                yield {
                    "at_ms": at_ms,
                    "unit": _same(units[place], at_ms.size),
                    "import_w": values[0],
                    "base_w": values[1],
                }

    def _minute_batches(self) -> Iterator[Columns]:
        series, gsps = self._series["minutes"], self.layout.gsps
        for place in sorted(range(len(gsps)), key=lambda place: gsps[place][::-1]):
            for at_ms, values in series.chunks(place):
                yield {
                    "at_ms": at_ms,
                    "gsp": _same(gsps[place][0], at_ms.size),
                    "unit": _same(gsps[place][1], at_ms.size),
                    "import_w": values[0],
                    "without_w": values[1],
                }

    def _in_order(self, table: Table, columns: Columns) -> Columns:
        """The same columns. Raises ValueError when rows of a streamed table were not handed over in order."""
        keys = [_key(columns[name]) for name in table.order]
        if not np.array_equal(np.lexsort(keys[::-1]), np.arange(keys[0].size)):
            raise ValueError(f"table {table.name}: rows must be handed over in the order of {table.order}")
        return columns

    def _whole(self, table: Table) -> Columns:
        """All rows of a table, in its order, equal ones added up."""
        parts = list(self._parts(table.name)) or [_no_rows(table)]
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        named = self._named(table, columns)
        keys = [_key(named[column.name]) for column in (*map(table.column, table.order), *table.columns)]
        order = np.lexsort(keys[::-1])
        sorted_columns = {name: _take(values, order) for name, values in named.items()}
        if table.name == "promises":
            return _both_arms(sorted_columns)
        return _added_up(table, sorted_columns) if table.summed else sorted_columns

    def _parts(self, name: str) -> Iterator[dict[str, NDArray[Any]]]:
        state = self.state.rows.get(name, RowsState())
        for number in range(state.parts):
            with np.load(self.folder.path / PARTS / f"{name}-{number}.npz", allow_pickle=False) as part:
                yield {key: part[key] for key in part.files}
        if state.count:
            yield {key: values[: state.count] for key, values in state.columns.items()}

    def _spill(self, table: str, state: RowsState) -> None:
        sink = io.BytesIO()
        part: dict[str, Any] = {name: values[: state.count] for name, values in state.columns.items()}
        np.savez(sink, **part)
        self.folder.write_bytes(f"{PARTS}/{table}-{state.parts}.npz", sink.getvalue())
        state.parts += 1
        state.count = 0

    def _block(self, table: Table, columns: dict[str, Any]) -> dict[str, NDArray[Any]]:
        arrays = {column.name: self._array(column, columns[column.name]) for column in table.columns}
        sizes = {array.size for array in arrays.values() if array.ndim}
        if len(sizes) > 1:
            raise ValueError(f"table {table.name}: columns of {sorted(sizes)} rows in one call")
        size = sizes.pop() if sizes else 1
        return {name: np.broadcast_to(array, (size,)) for name, array in arrays.items()}

    def _array(self, column: Column, values: Any) -> NDArray[Any]:
        if column.kind == "word":
            return self._codes(values)
        array = np.asarray(values)
        if column.nullable and column.kind in {"int", "time", "wide"}:
            return array.astype(np.int64)
        return array.astype(_DTYPES[column.kind])

    def _codes(self, values: Any) -> NDArray[np.int32]:
        if isinstance(values, Words):
            return np.array([self._code(name) for name in values.names], np.int32)[values.codes]
        if isinstance(values, str):
            return np.array(self._code(values), np.int32)
        return np.array([self._code(str(word)) for word in values], np.int32)

    def _code(self, word: str) -> int:
        places = self._places()
        if word not in places:
            places[word] = len(self.state.words)
            self.state.words.append(word)
        return places[word]

    def _places(self) -> dict[str, int]:
        """Place of each word in the state; built anew when a checkpoint brought another state."""
        known, words = getattr(self, "_known_places", ({}, None))
        if words is not self.state.words:
            known = {word: place for place, word in enumerate(self.state.words)}
            self._known_places = (known, self.state.words)
        return known

    def _named(self, table: Table, columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any] | Words]:
        """Word columns with only the words that occur, sorted: the order of codes is that of words."""
        words = np.array(self.state.words, dtype=object)
        named: dict[str, NDArray[Any] | Words] = dict(columns)
        for column in table.columns:
            if column.kind == "word":
                used, places = np.unique(columns[column.name], return_inverse=True)
                names = sorted(words[used].tolist())
                rank = {name: place for place, name in enumerate(names)}
                codes = np.array([rank[name] for name in words[used]], np.int32)
                named[column.name] = Words(
                    codes[places] if places.size else places.astype(np.int32), tuple(names)
                )
        return named


@dataclass(frozen=True, slots=True)
class Series:
    """Values at a fixed step over the run, in chunks that are spilled as time passes them."""

    name: str
    step_ms: int
    fields: int
    columns: int
    layout: Layout
    folder: RunFolder
    _mapped: dict[int, I64] = field(default_factory=dict)

    def put(
        self, state: SeriesState, place: int, columns: slice, start_ms: int, values: NDArray[Any]
    ) -> None:
        """Set one field of some columns from `start_ms` on. What lies outside the run's span is left out.

        Raises ValueError for a start between steps and for a moment whose chunk has gone to its part file.
        """
        if (start_ms - self.layout.start_ms) % self.step_ms:
            raise ValueError(
                f"{self.name}: {start_ms} is no whole step of {self.step_ms} ms from the start of the run"
            )
        first = (start_ms - self.layout.start_ms) // self.step_ms
        last = (self.layout.end_ms - self.layout.start_ms) // self.step_ms
        done, steps = max(0, -first), values.shape[1]
        while done < steps and first + done < last:
            number, offset = divmod(first + done, self.per_chunk)
            n = min(steps - done, self.per_chunk - offset, last - first - done)
            chunk = self._chunk(state, number)
            chunk[place, columns, offset : offset + n] = values[:, done : done + n]
            done += n

    def spill(self, state: SeriesState, now_ms: int) -> None:
        """Put chunks to part files that nothing can change any more."""
        while (
            self._chunk_end_ms(state.spilled) + LATE_MS <= now_ms
            and self._start_ms(state.spilled) < self.layout.end_ms
        ):
            sink = io.BytesIO()
            np.save(sink, self._chunk(state, state.spilled), allow_pickle=False)
            self.folder.write_bytes(self._part(state.spilled), sink.getvalue())
            del state.chunks[state.spilled]
            state.spilled += 1

    def chunks(self, column: int) -> Iterator[tuple[I64, I64]]:
        """Times (n,) and values (fields, n) of one column from first to last, once all chunks are spilled."""
        count = -(-(self.layout.end_ms - self.layout.start_ms) // CHUNK_MS)
        for first in range(0, count, CHUNKS_AT_ONCE):
            numbers = range(first, min(first + CHUNKS_AT_ONCE, count))
            start_ms, end_ms = self._start_ms(first), min(self._chunk_end_ms(numbers[-1]), self.layout.end_ms)
            at_ms = np.arange(start_ms, end_ms, self.step_ms, dtype=np.int64)
            values = np.concatenate([self._load(number)[:, column] for number in numbers], axis=1)
            values = values[:, : at_ms.size]
            if (values[:2] == NONE).any():
                raise ValueError(
                    f"{self.name}: the world handed over nothing for a moment from {start_ms} on"
                )
            yield at_ms, values

    def read(self, column: int, start_ms: int, end_ms: int) -> I64:
        """Values (fields, n) of one column between two moments, once all chunks are spilled."""
        first = (start_ms - self.layout.start_ms) // CHUNK_MS
        last = (end_ms - 1 - self.layout.start_ms) // CHUNK_MS
        joined = np.concatenate([self._load(number)[:, column] for number in range(first, last + 1)], axis=1)
        offset = -(-(start_ms - self._start_ms(first)) // self.step_ms)
        return np.array(joined[:, offset : offset + -(-(end_ms - start_ms) // self.step_ms)])

    @property
    def per_chunk(self) -> int:
        """Steps in a chunk."""
        return CHUNK_MS // self.step_ms

    def _chunk(self, state: SeriesState, number: int) -> I64:
        if number < state.spilled:
            raise ValueError(f"{self.name}: values for a time more than {LATE_MS} ms ago")
        if number not in state.chunks:
            state.chunks[number] = np.full((self.fields, self.columns, self.per_chunk), NONE, np.int64)
        return state.chunks[number]

    def _start_ms(self, number: int) -> int:
        return self.layout.start_ms + number * CHUNK_MS

    def _chunk_end_ms(self, number: int) -> int:
        return self._start_ms(number) + CHUNK_MS

    def _part(self, number: int) -> str:
        return f"{PARTS}/{self.name}-{number}.npy"

    def _load(self, number: int) -> I64:
        """A chunk's file, mapped; some stay mapped, because columns are read one by one."""
        if number not in self._mapped:
            if len(self._mapped) >= 2 * CHUNKS_AT_ONCE:
                self._mapped.clear()
            path = self.folder.path / self._part(number)
            self._mapped[number] = np.load(path, mmap_mode="r", allow_pickle=False)
        return self._mapped[number]


def _append(state: RowsState, block: dict[str, NDArray[Any]]) -> None:
    """Copy a block behind the rows that are there, doubling the columns when they are full."""
    size = next(iter(block.values())).size
    needed = state.count + size
    for name, values in block.items():
        column = state.columns.get(name)
        if column is None or column.size < needed:
            grown = np.zeros(max(needed, 2 * (0 if column is None else column.size), 64), values.dtype)
            if column is not None:
                grown[: state.count] = column[: state.count]
            state.columns[name] = column = grown
        column[state.count : needed] = values
    state.count = needed


def _no_rows(table: Table) -> dict[str, NDArray[Any]]:
    return {column.name: np.empty(0, _DTYPES[column.kind]) for column in table.columns}


def _same(word: str, count: int) -> Words:
    return Words(np.zeros(count, np.int32), (word,))


def _key(values: NDArray[Any] | Words) -> NDArray[Any]:
    return values.codes if isinstance(values, Words) else values


def _take(values: NDArray[Any] | Words, places: NDArray[Any]) -> NDArray[Any] | Words:
    return Words(values.codes[places], values.names) if isinstance(values, Words) else values[places]


def _firsts(columns: Columns, names: Sequence[str]) -> NDArray[np.intp]:
    """Places of sorted rows that differ from the row before in the named columns."""
    size = _key(columns[names[0]]).size
    new = np.zeros(size, bool)
    new[:1] = True
    for name in names:
        key = _key(columns[name])
        new[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(new)


def _added_up(table: Table, columns: Columns) -> Columns:
    firsts = _firsts(columns, table.order)
    return {
        name: np.add.reduceat(_key(values), firsts)
        if name in table.summed and firsts.size
        else _take(values, firsts)
        for name, values in columns.items()
    }


def _both_arms(columns: Columns) -> Columns:
    """One row per deadline from the rows of both arms: of each pair the value that is there."""
    firsts = _firsts(columns, ("row", "ready_by_ms"))
    if not firsts.size:
        return columns
    told = ("needed_wh", "short_wh", "short_without_wh", "reached", "reached_without_instructions")
    return {
        name: np.maximum.reduceat(_key(values), firsts) if name in told else _take(values, firsts)
        for name, values in columns.items()
    }
