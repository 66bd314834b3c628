"""Four views of every unit and period - traded, notified, instructed, settled - and why they differ; beside
them the truth, and the pounds of the latest settlement run.

Reads a run's folder and changes nothing. Volumes are whole Wh, turn-down positive; amounts whole 1e-5 GBP,
paid to the aggregator. Of every difference the parts add up to it exactly; what no rule here accounts for
is `unexplained`. Which view is what, and which rule gives which part: docs/reconciliation.md.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

from protocol.instruction import Stage
from protocol.messages import Profile
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, local_date, period_start_ms
from protocol.rulebook import Rulebook
from protocol.settlement import dfs_payment
from protocol.settlement_calendar import RUNS, Run
from protocol.units import WH_PER_MWH, gbp_e5, wh_to_mwh
from sim.event_scripts import rules_for
from sim.run import INPUTS
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario
from studies import wire
from studies.wire import Telling

BALANCING, DFS = "balancing", "dfs"

Row = Mapping[str, Any]
Place = tuple[str, str, str, int]
"""Service, unit, reference (an event; none for a BM Unit, whose acceptances share a period), start [ms]."""


class Cause(StrEnum):
    """Why two views differ."""

    LATE_METER = "late meter"
    MISSING_METER = "missing meter"
    REJECTED_MSID = "rejected MSID"
    BASELINE_STATUS = "baseline status"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    MISTOLD = "told otherwise"
    PRICE = "price"
    ROUNDING = "rounding"
    NON_DELIVERY = "non-delivery"
    OVER_DELIVERY = "over-delivery"
    REBOUND = "rebound"
    CAP_OR_CURVE = "cap or curve"
    BASELINE_ERROR = "baseline error"
    METERING_ERROR = "metering error"
    FPN_ROUNDING = "FPN rounding"
    BY_HAND = "by hand"
    NETTING = "netting"
    NOT_COUNTED = "not counted"
    UNEXPLAINED = "unexplained"


Parts = dict[Cause, int]


@dataclass(frozen=True, slots=True)
class Difference:
    """What the later view holds more than the earlier, and of which parts."""

    earlier: str
    later: str
    amount: int
    parts: Parts


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One unit, reference and period. `runs`: volumes as each settlement run had them; `settled_wh` the last.

    `volumes` differ in Wh, `money` in 1e-5 GBP.
    """

    service: str
    unit: str
    reference: str
    start_ms: int
    traded_wh: int
    notified_wh: int
    instructed_wh: int
    settled_wh: int
    true_wh: int
    runs: tuple[tuple[str, int], ...]
    volumes: tuple[Difference, ...]
    money: tuple[Difference, ...]

    @property
    def unexplained(self) -> int:
        """How much no rule accounts for, Wh and 1e-5 GBP together: anything but nothing is red."""
        return sum(abs(each.parts.get(Cause.UNEXPLAINED, 0)) for each in (*self.volumes, *self.money))


def difference(earlier: str, later: str, amount: int, parts: Iterable[tuple[Cause, int]]) -> Difference:
    """A difference whose parts are these, and whatever is left over unexplained."""
    found: Counter[Cause] = Counter()
    for cause, part in parts:
        found[cause] += part
    found[Cause.UNEXPLAINED] += amount - sum(found.values())
    return Difference(earlier, later, amount, {cause: found[cause] for cause in Cause if found[cause]})


def reconcile(folder: RunFolder, run: Run | None = None) -> list[Reconciled]:
    """Every unit, reference and period that was traded, instructed or settled, in that order.

    `run`: as it stood with that settlement run; None: with the latest.

    Raises RunFolderError for a folder without a finished run, or of a version without `market_levels`.
    """
    books = Books(folder, run)
    return [_reconciled(books, place) for place in books.places()]


def totals(rows: Iterable[Reconciled]) -> dict[tuple[str, str, str], Parts]:
    """Parts summed by (unit of account, earlier view, later view)."""
    found: dict[tuple[str, str, str], Counter[Cause]] = defaultdict(Counter)
    for row in rows:
        for kind, several in (("Wh", row.volumes), ("GBP", row.money)):
            for each in several:
                found[kind, each.earlier, each.later].update(each.parts)
    return {key: {cause: parts[cause] for cause in Cause if parts[cause]} for key, parts in found.items()}


class Books:
    """The tables of a run, by place; with `latest`, of settlement what was out with that settlement run."""

    def __init__(self, folder: RunFolder, latest: Run | None = None) -> None:
        self.folder = folder
        self.manifest = folder.manifest()
        self.tellings = wire.tellings(folder)
        self.fpns = wire.fpns(self.tellings)
        self.settled = self._by_place("settled_volumes", "reference", "start_ms")
        self.deliveries = self._deliveries()
        self.lines: list[dict[str, Any]] = folder.table("settlement").to_pylist()
        if latest is not None:
            self._forget_after(latest)
        self.stages = {
            (step["instruction_id"], step["unit"]): Stage(step["stage"])
            for step in folder.table("instructions").to_pylist()
        }
        self.events: list[dict[str, Any]] = folder.table("events").to_pylist()
        self.beliefs = self._beliefs()
        self.half_hours = {
            (row["service"], row["unit"], row["at_ms"]): row
            for row in folder.table("half_hourly").to_pylist()
        }
        self._bids, self._profiles = self._told()

    @cached_property
    def scenario(self) -> Any:
        """The scenario as it was run, with the data folder that it was run with."""
        told = self.folder.path / INPUTS
        data = self.folder.read_json(INPUTS)["data"] if told.is_file() else None
        return parse_scenario(self.manifest["scenario"]["text"], "scenario.yaml", data_folder=data)

    def rules(self, book: str, start_ms: int) -> Rulebook:
        """A rulebook as settlement used it for a period."""
        return rules_for(self.scenario).book(book, local_date(start_ms))

    def places(self) -> list[Place]:
        """Everything to be reconciled."""
        bids = {place for place, told in self._bids.items() if told}
        return sorted({*self.settled, *self.deliveries, *bids, *self._profiles})

    def dfs_tellings(self, place: Place) -> list[Telling]:
        """All that was said of a unit's bids for an event."""
        return self._bids.get(place, [])

    def bm_tellings(self, place: Place) -> list[Telling]:
        """All acceptances that reach into a unit's period, as told to it and as bound."""
        return self._profiles.get(place, [])

    def fpn(self, place: Place) -> Profile | None:
        """What the unit notified for the period."""
        return self.fpns.get((place[1], place[3]))

    def runs(self, place: Place) -> list[tuple[str, Row]]:
        """The last volume of each settlement run, and the run's name."""
        by_heard = {row["heard_ms"]: row for row in self.settled.get(place, ())}
        day = local_date(place[3])
        return [(self._run_names.get((at_ms, day), "?"), row) for at_ms, row in sorted(by_heard.items())]

    def own_lines(self, place: Place) -> list[Row]:
        """The statement lines of the latest run: those of runs that were reversed are no more."""
        mine = self._lines_at.get(place, [])
        latest = self.runs(place)[-1][0] if self.settled.get(place) else ""
        return [row for row in mine if row["settlement_run"] == latest and not is_reversal(row)]

    def left_out(self, place: Place) -> int:
        """Meters whose volumes settlement rejected before the period: told of, and not enrolled again."""
        service, unit, _, start_ms = place
        if service not in {BALANCING, DFS}:
            return 0
        gone: set[int] = set()
        for change in self._changes:
            mine = self._row_unit.get(change["row"]) in ({(service, unit)} if service == BALANCING else _DFS)
            if mine and local_date(change["at_ms"]) <= local_date(start_ms):
                (gone.discard if change["kind"] == "enrolled" else gone.add)(change["row"])
        whole = self.scenario.markets.balancing if service == BALANCING else self.scenario.markets.dfs
        if whole.metering == "boundary":
            return len({change["home"] for change in self._changes if change["row"] in gone})
        return len(gone)

    def without_baseline(self, place: Place, row: Row) -> int:
        """Of the meters without a volume, those that had too few days for a baseline."""
        _, unit, reference, start_ms = place
        heading = f"{reference} {unit} {local_date(start_ms)}: "
        for event in self.events:
            told = event["kind"] == "dfs_meters_counted_out" and event["at_ms"] == row["heard_ms"]
            if told and event["detail"].startswith(heading):
                found = re.search(r"\((\d+) with too few days", event["detail"])
                return int(found[1]) if found else 0
        return 0

    def bid_price(self, place: Place) -> float | None:
        """The price that binds for a unit's bid [GBP/MWh]."""
        prices = [each.price_gbp_per_mwh for each in self.dfs_tellings(place) if each.what == "binding"]
        return prices[-1] if prices else None

    def payment(self, place: Place, accepted_wh: int, delivered_wh: int, price: float) -> int:
        """What DFS pays for a period under the rules of the day [1e-5 GBP]; turn-up is negative in both."""
        way = -1 if accepted_wh < 0 else 1
        mw = way * accepted_wh * HOUR_MS / PERIOD_MS / WH_PER_MWH
        rules = self.rules(DFS, place[3])
        return dfs_payment(rules, mw, price, wh_to_mwh(way * delivered_wh)).amount_gbp_e5 if mw > 0 else 0

    @cached_property
    def cancelled(self) -> set[str]:
        """DFS events that were cancelled."""
        return {event["subject"] for event in self.events if event["kind"] == "dfs_cancellation"}

    @cached_property
    def dfs_units(self) -> set[str]:
        """DFS Units of the run, as far as anybody spoke of them."""
        return {place[1] for place in self.places() if place[0] == DFS}

    @cached_property
    def _run_names(self) -> dict[tuple[int, date], str]:
        """By when it was heard and the Settlement Day: on one day different runs of several days come out."""
        return {(row["heard_ms"], local_date(row["start_ms"])): row["settlement_run"] for row in self.lines}

    @cached_property
    def _lines_at(self) -> dict[Place, list[Row]]:
        found: dict[Place, list[Row]] = defaultdict(list)
        for row in self.lines:
            found[_place(row, "reference", "start_ms")].append(row)
        return found

    @cached_property
    def _changes(self) -> list[dict[str, Any]]:
        if not self.folder.has_table("registry_changes"):
            return []
        kinds = {"moved", "consent_withdrawn", "msid_deallocated", "enrolled"}
        rows = self.folder.table("registry_changes").to_pylist()
        return [row for row in rows if row["kind"] in kinds and row["heard_ms"] is not None]

    @cached_property
    def _row_unit(self) -> dict[int, tuple[str, str]]:
        if not self.folder.has_table("devices"):
            return {}
        rows = self.folder.table("devices", ["row", "unit", "service"]).to_pylist()
        return {
            row["row"]: (row["service"], row["unit"] if row["service"] == BALANCING else "") for row in rows
        }

    def _forget_after(self, latest: Run) -> None:
        """Leave out lines and volumes of later settlement runs."""
        self.lines = [row for row in self.lines if RUNS.index(row["settlement_run"]) <= RUNS.index(latest)]
        known = self._run_names
        for place, rows in self.settled.items():
            self.settled[place] = [row for row in rows if (row["heard_ms"], local_date(place[3])) in known]

    def _by_place(self, table: str, reference: str, at_ms: str) -> dict[Place, list[Row]]:
        found: dict[Place, list[Row]] = defaultdict(list)
        for row in self.folder.table(table).to_pylist():
            found[_place(row, reference, at_ms)].append(row)
        return found

    def _deliveries(self) -> dict[Place, list[Row]]:
        found: dict[Place, list[Row]] = defaultdict(list)
        for row in self.folder.table("deliveries").to_pylist():
            event = row["instruction_id"].removesuffix(f"-{row['unit']}")
            if row["service"] in _CALLED:
                event = event.rpartition("-")[0]
            found[_place({**row, "reference": event}, "reference", "at_ms")].append(row)
        return found

    def _beliefs(self) -> dict[tuple[str, str], list[tuple[int, int]]]:
        found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for row in self.folder.table("beliefs").to_pylist():
            told = row["at_ms"], row["instructed_turn_down_w"]
            found[row["instruction_id"], row["unit"]].append(told)
        return found

    def _told(self) -> tuple[dict[Place, list[Telling]], dict[Place, list[Telling]]]:
        """DFS and BM tellings by the places that they reach."""
        bids: dict[Place, list[Telling]] = defaultdict(list)
        profiles: dict[Place, list[Telling]] = defaultdict(list)
        events: dict[tuple[str, str], list[Telling]] = defaultdict(list)
        notified = {unit for unit, _ in self.fpns}
        for telling in self.tellings:
            if telling.service == DFS and telling.points:
                events[telling.unit, telling.reference].append(telling)
            elif telling.what != "fpn" and telling.unit in notified:
                for start_ms in wire.touched(telling):
                    profiles[BALANCING, telling.unit, "", start_ms].append(telling)
        for (unit, event), told in events.items():
            ours = any(telling.what in {"bid", "binding"} for telling in told)
            for start_ms in sorted({at for telling in told for at, _ in telling.points if at is not None}):
                if ours:
                    bids[DFS, unit, event, start_ms] = told
        return bids, profiles


_DFS = {(DFS, "")}
_CALLED = frozenset({"secure", "dynamic", "restore", "lcm"})
"""Services whose instructions are numbered calls of an award, not the award itself."""


def place_of(line: Row) -> Place:
    """Where a statement line belongs."""
    return _place(line, "reference", "start_ms")


def _place(row: Row, reference: str, at_ms: str) -> Place:
    """BM acceptances of one period share it, and so do their instructions; so do trades."""
    named = "" if row["service"] in {BALANCING, "wholesale"} else row[reference]
    return row["service"], row["unit"], named, period_start_ms(row[at_ms])


def is_reversal(line: Row) -> bool:
    """Whether a line takes one of an earlier run back."""
    return str(line["item"]).endswith(" reversed")


# ------------------------------------------------------------------------------------------------- volumes


def _reconciled(books: Books, place: Place) -> Reconciled:
    runs = books.runs(place)
    last = runs[-1][1] if runs else None
    deliveries = books.deliveries.get(place, [])
    traded_wh, changes = _TRADED.get(place[0], _traded_further)(books, place)
    from_wire_wh = traded_wh + sum(part for _, part in changes)
    notified_wh = int(last["accepted_wh"]) if last else from_wire_wh
    instructed_wh = sum(row["instructed_wh"] for row in deliveries)
    settled_wh = int(last["delivered_wh"]) if last else 0
    true_wh = sum(row["true_wh"] for row in deliveries)
    volumes = [
difference(
            "traded", "notified", notified_wh - traded_wh,
            _rounded_off(changes, notified_wh - from_wire_wh),
        ),
        difference(
            "notified", "instructed", instructed_wh - notified_wh,
            _to_instructed(books, place, notified_wh, deliveries),
        ),
        difference(
            "instructed", "settled", settled_wh - instructed_wh,
            _to_settled(books, place, last, instructed_wh),
        ),
        *_between_runs(runs),
        difference(
            "true", "settled", settled_wh - true_wh, _from_true(books, place, last, true_wh),
        ),
    ]  # fmt: skip
    return Reconciled(
        *place[:2], last["reference"] if last else place[2], place[3], traded_wh, notified_wh, instructed_wh,
        settled_wh, true_wh, tuple((name, row["delivered_wh"]) for name, row in runs), tuple(volumes),
        tuple(_money(books, place, last, _why_less(volumes[1:3]))),
    )  # fmt: skip


def _traded_further(books: Books, place: Place) -> tuple[int, list[tuple[Cause, int]]]:
    """Of a further service: what settlement was told binds, which is what the last run holds."""
    runs = books.runs(place)
    return (int(runs[-1][1]["accepted_wh"]) if runs else 0), []


def _rounded_off(changes: list[tuple[Cause, int]], rest: int) -> list[tuple[Cause, int]]:
    """The changes, and up to half a watt-hour per volume that each was rounded by."""
    return [*changes, (Cause.ROUNDING, rest)] if abs(rest) <= 1 + len(changes) else changes


def _traded_dfs(books: Books, place: Place) -> tuple[int, list[tuple[Cause, int]]]:
    """Everything that was bid for the period, and what became of it until settlement was told."""
    told, start_ms = books.dfs_tellings(place), place[3]
    first_ms = {each.name: each.points[0][0] for each in reversed(told) if each.what != "bid"}
    first_ms |= {each.name: each.points[0][0] for each in told if each.what == "binding"}
    bids = [each for each in told if each.what == "bid"]
    binding = {each.name: each for each in told if each.what == "binding"}
    traded_wh, seen, parts = 0, set(), []
    for bid in bids:
        begins_ms = first_ms.get(bid.name)
        held_wh = 0 if begins_ms is None else wire.bid_wh(bid, start_ms, begins_ms)
        traded_wh += held_wh
        if bid.same_as in seen:
            parts.append((Cause.DUPLICATE, -held_wh))
        elif bid.name not in binding:
            parts.append((Cause.REFUSED, -held_wh))
        elif place[2] in books.cancelled:
            parts.append((Cause.WITHDRAWN, -held_wh))
        else:
            parts.append((Cause.MISTOLD, wire.bid_wh(binding[bid.name], start_ms) - held_wh))
        seen.add(bid.same_as)
    return traded_wh, parts


def _traded_bm(books: Books, place: Place) -> tuple[int, list[tuple[Cause, int]]]:
    """Every acceptance that came, each against the FPN alone, and what of it settlement was told to stand."""
    told, fpn, start_ms = books.bm_tellings(place), books.fpn(place), place[3]
    bound = [each for each in told if each.what in {"binding", "unbound"}]
    standing = wire.standing(bound)
    stands = {(each.name, each.points) for each in standing}
    ever_bound = {each.reference for each in bound}
    came = [each for each in told if each.what in {"ORI", "UPD"}]
    traded_wh, seen, parts = 0, set(), []
    for telling in came:
        alone_wh = wire.profiles_wh(fpn, [telling], start_ms)
        traded_wh += alone_wh
        if telling.same_as in seen:
            parts.append((Cause.DUPLICATE, -alone_wh))
        elif (telling.name, telling.points) not in stands:
            cause = Cause.WITHDRAWN if telling.reference in ever_bound else Cause.REFUSED
            parts.append((cause, -alone_wh))
        seen.add(telling.same_as)
    unheard = {(each.name, each.points) for each in came}
    apart_wh = sum(wire.profiles_wh(fpn, [each], start_ms) for each in standing)
    parts += [
        (Cause.MISTOLD, wire.profiles_wh(fpn, [each], start_ms))
        for each in standing
        if (each.name, each.points) not in unheard
    ]
    parts.append((Cause.WITHDRAWN, wire.profiles_wh(fpn, standing, start_ms) - apart_wh))
    return traded_wh, [(cause, part) for cause, part in parts if part]


_ENDED_EARLY = frozenset({Stage.SUPERSEDED, Stage.EXPIRED, Stage.FAILED})


def _to_instructed(
    books: Books, place: Place, notified_wh: int, deliveries: Sequence[Row]
) -> list[tuple[Cause, int]]:
    """What the control loop asked for less what binds."""
    gap_wh = sum(row["instructed_wh"] for row in deliveries) - notified_wh
    if place[2] in books.cancelled:
        return [(Cause.WITHDRAWN, gap_wh)]
    if not deliveries:
        return [(Cause.REFUSED, gap_wh)] if _never_taken(books, place) else []
    stages = {books.stages.get((row["instruction_id"], row["unit"])) for row in deliveries}
    if place[0] == DFS:
        heard = [each for each in books.dfs_tellings(place) if each.what == "accepted"]
        told_wh = wire.bid_wh(heard[0], place[3]) if heard else notified_wh
        mistold_wh = told_wh - notified_wh
    else:
        mistold_wh = 0
    left_wh = gap_wh - mistold_wh
    most_wh = sum(_held_most_wh(books, row) for row in deliveries)
    rounding_wh = max(-most_wh, min(left_wh, most_wh))
    parts = [(Cause.MISTOLD, mistold_wh), (Cause.ROUNDING, rounding_wh)]
    if stages & _ENDED_EARLY:
        parts.append((Cause.WITHDRAWN, left_wh - rounding_wh))
    elif place[0] == BALANCING and _never_taken(books, place):
        parts.append((Cause.REFUSED, left_wh - rounding_wh))
    return parts


def _never_taken(books: Books, place: Place) -> bool:
    """Whether some instruction that reaches into the period was never accepted by the aggregator.

    It was declined or expired in its ledger, or its telling never made one: told too late, or not at all.
    """
    taken = {(row["instruction_id"], row["unit"]) for row in books.deliveries.get(place, ())}
    told = books.dfs_tellings(place) if place[0] == DFS else books.bm_tellings(place)
    names = {
        (f"{each.reference}-{each.unit}" if place[0] == DFS else f"{each.unit}-{each.reference}", each.unit)
        for each in told
        if each.what == "binding"
    }
    return bool(names - taken)


def _held_most_wh(books: Books, row: Row) -> int:
    """How far a level that is held from turn to turn of the loop can be from one that ramps [Wh], at most."""
    told = books.beliefs.get((row["instruction_id"], row["unit"]), [])
    near = [
        each for each in told if row["at_ms"] - 15 * MINUTE_MS <= each[0] < row["end_ms"] + 15 * MINUTE_MS
    ]
    if not near:
        return 1
    moved = sum(abs(after[1] - before[1]) * (after[0] - before[0]) for before, after in pairwise(near))
    first = abs(near[0][1]) * max(0, near[0][0] - row["at_ms"])
    last = abs(near[-1][1]) * max(0, min(row["end_ms"] - near[-1][0], 2 * MINUTE_MS))
    return int(1 + -(-(moved + first + last) // HOUR_MS))


_TRADED = {DFS: _traded_dfs, BALANCING: _traded_bm}


def _to_settled(books: Books, place: Place, last: Row | None, instructed_wh: int) -> list[tuple[Cause, int]]:
    """What was settled less what was instructed.

    Meters without a volume carry their share of what was instructed: nobody can know what they would have
    said. The rest is delivered short or beyond; what drew more than its baseline is rebound.
    """
    if last is None:
        why = Cause.WITHDRAWN if place[2] in books.cancelled else Cause.REFUSED
        return [(why, -instructed_wh)] if _not_to_be_settled(books, place) else []
    parts = _meter_parts(books, place, last, instructed_wh)
    measured_wh = last["baseline_wh"] - last["metered_wh"]
    netting_wh = last["delivered_wh"] - measured_wh
    if abs(netting_wh) <= 1:
        parts.append((Cause.ROUNDING, netting_wh))
    elif _positive_only(books, place) and netting_wh > 0:
        parts.append((Cause.NETTING, netting_wh))
    elif place[0] not in _TRADED:
        parts.append((Cause.NOT_COUNTED, netting_wh))
    shortfall_wh = measured_wh - instructed_wh - sum(part for cause, part in parts if cause in _OF_METERS)
    return [*parts, *_short_or_beyond(shortfall_wh, measured_wh, 1 if instructed_wh >= 0 else -1)]


_OF_METERS = frozenset({Cause.MISSING_METER, Cause.BASELINE_STATUS, Cause.REJECTED_MSID})


def _short_or_beyond(gap_wh: int, measured_wh: int, sign: int) -> list[tuple[Cause, int]]:
    if gap_wh * sign > 0:
        return [(Cause.OVER_DELIVERY, gap_wh)]
    wrong_way_wh = min(abs(gap_wh), max(0, -measured_wh * sign))
    return [
        (Cause.NON_DELIVERY, gap_wh + sign * wrong_way_wh),
        (Cause.REBOUND, -sign * wrong_way_wh),
    ]


def _meter_parts(books: Books, place: Place, last: Row, whole_wh: int) -> list[tuple[Cause, int]]:
    """The share of `whole_wh` of the meters that gave no volume, by why they did not."""
    counts = meters_without_volume(books, place, last)
    there = last["homes"] + counts[Cause.REJECTED_MSID]
    return [(cause, -round(whole_wh * count / there)) for cause, count in counts.items() if there and count]


def meters_without_volume(books: Books, place: Place, last: Row) -> dict[Cause, int]:
    """How many meters of the unit carry nothing in a settled volume, by why."""
    unbaselined = min(books.without_baseline(place, last), last["homes_missing"]) if place[0] == DFS else 0
    return {
        Cause.REJECTED_MSID: books.left_out(place),
        Cause.BASELINE_STATUS: unbaselined,
        Cause.MISSING_METER: last["homes_missing"] - unbaselined,
    }


def _not_to_be_settled(books: Books, place: Place) -> bool:
    """Whether settlement was right to find nothing: cancelled, never bound, or no notification."""
    if place[0] == DFS:
        bound = any(each.what == "binding" for each in books.dfs_tellings(place))
        return place[2] in books.cancelled or not bound
    return books.fpn(place) is None or not wire.standing(
        each for each in books.bm_tellings(place) if each.what in {"binding", "unbound"}
    )


def _positive_only(books: Books, place: Place) -> bool:
    """Whether increases of single homes may be left out."""
    if place[0] != DFS:
        return False
    rules = books.rules("dfs", place[3])
    return "positive_only" in {rules.value("opt_out_netting"), rules.value("opt_in_netting")}


def _between_runs(runs: Sequence[tuple[str, Row]]) -> list[Difference]:
    """What each settlement run changed of the one before it."""
    return [
        difference(
            before, after, now["delivered_wh"] - was["delivered_wh"],
            [(_why_restated(was, now), now["delivered_wh"] - was["delivered_wh"])],
        )
        for (before, was), (after, now) in pairwise(runs)
    ]  # fmt: skip


def _why_restated(was: Row, now: Row) -> Cause:
    """A run differs by what it knows that the one before did not."""
    if now["homes"] != was["homes"]:
        return Cause.REJECTED_MSID
    if now["homes_missing"] != was["homes_missing"] or now["metered_wh"] != was["metered_wh"]:
        return Cause.LATE_METER
    if now["baseline_wh"] != was["baseline_wh"]:
        return Cause.BASELINE_STATUS
    return Cause.UNEXPLAINED


# --------------------------------------------------------------------------------------------------- truth


def _from_true(books: Books, place: Place, last: Row | None, true_wh: int) -> list[tuple[Cause, int]]:
    """What settlement got wrong. Truth is known to the twin alone."""
    if last is None:
        return [(Cause.WITHDRAWN if place[2] in books.cancelled else Cause.REFUSED, -true_wh)]
    netting_wh = last["delivered_wh"] - (last["baseline_wh"] - last["metered_wh"])
    parts = [(Cause.ROUNDING if abs(netting_wh) <= 1 else Cause.NETTING, netting_wh)]
    if place[0] not in _TRADED:
        parts = [(Cause.ROUNDING if abs(netting_wh) <= 1 else Cause.NOT_COUNTED, netting_wh)]
    elif netting_wh and parts[0][0] is Cause.NETTING and not _positive_only(books, place):
        parts = []
    error_wh = last["baseline_wh"] - last["metered_wh"] - true_wh
    if place[0] == BALANCING:
        return [*parts, *_bm_error(books, place, last, error_wh)]
    by_hand = _dfs_error(books, place, last) if place[0] == DFS else []
    known = [*_meter_parts(books, place, last, true_wh), *by_hand]
    return [*parts, *known, (Cause.BASELINE_ERROR, error_wh - sum(part for _, part in known))]


def _bm_error(books: Books, place: Place, last: Row, error_wh: int) -> list[tuple[Cause, int]]:
    """FPN rounding: what the nearest whole MW to the truth moves. Metering error: true less registered."""
    cell = books.half_hours.get((BALANCING, place[1], place[3]))
    if cell is None or books.manifest.get("bm_metering") == "boundary" or last["homes_missing"]:
        return [
            *_meter_parts(books, place, last, 0),
            (Cause.BASELINE_ERROR, error_wh),
        ]
    step_wh = WH_PER_MWH // 2
    rounding_wh = (2 * cell["without_wh"] + step_wh) // (2 * step_wh) * step_wh - cell["without_wh"]
    metering_wh = -(cell["asset_metered_wh"] - cell["devices_wh"])
    return [
        (Cause.FPN_ROUNDING, rounding_wh),
        (Cause.METERING_ERROR, metering_wh),
        (Cause.BASELINE_ERROR, error_wh - rounding_wh - metering_wh),
    ]


def _dfs_error(books: Books, place: Place, last: Row) -> list[tuple[Cause, int]]:
    """What people did by hand, and what meters misread; not told apart from the baseline's error where meters
    are missing or homes are in several units.
    """
    cells = [
        row for (service, _, at_ms), row in books.half_hours.items() if (service, at_ms) == (DFS, place[3])
    ]
    if len(books.dfs_units) != 1 or not cells:
        return []
    parts = [(Cause.BY_HAND, sum(row["base_without_wh"] - row["base_wh"] for row in cells))]
    metered_wh = sum(row["boundary_metered_wh"] for row in cells)
    if not last["homes_missing"] and metered_wh == last["metered_wh"]:
        drawn_wh = sum(row["devices_wh"] + row["base_wh"] for row in cells)
        parts.append((Cause.METERING_ERROR, drawn_wh - metered_wh))
    return parts


# --------------------------------------------------------------------------------------------------- money


def _why_less(volumes: Iterable[Difference]) -> Parts:
    """From what binds to what was settled: the parts of both steps together."""
    found: Counter[Cause] = Counter()
    for each in volumes:
        found.update(each.parts)
    return dict(found)


def _money(books: Books, place: Place, last: Row | None, why: Parts) -> list[Difference]:
    """What the accepted volume was worth against what the latest run pays."""
    lines = books.own_lines(place)
    if not lines or last is None:
        return []
    if place[0] not in _TRADED:
        worth, parts = _further_money(lines, last)
    elif place[0] == BALANCING:
        worth, parts = _bm_money(lines)
    else:
        worth, parts = _dfs_money(books, place, lines, last, why)
    return [difference("worth", "paid", sum(row["amount_gbp_e5"] for row in lines) - worth, parts)]


def _dfs_money(
    books: Books, place: Place, lines: Sequence[Row], last: Row, why: Parts
) -> tuple[int, list[tuple[Cause, int]]]:
    """Worth: accepted volume at the price bid. Each part of the volume is priced; then the rule, then the
    price that settlement took, then lines that came twice. Turn-up is paid for as well, though negative.
    """
    first = lines[0]
    price = books.bid_price(place) or first["price_gbp_per_mwh"]
    each = -price if last["accepted_wh"] < 0 else price
    worth = gbp_e5(each, wh_to_mwh(last["accepted_wh"]))
    delivered = gbp_e5(each, wh_to_mwh(last["delivered_wh"]))
    priced = [(cause, gbp_e5(each, wh_to_mwh(part_wh))) for cause, part_wh in why.items()]
    by_rule = books.payment(place, last["accepted_wh"], last["delivered_wh"], price)
    at_price = books.payment(place, last["accepted_wh"], last["delivered_wh"], first["price_gbp_per_mwh"])
    again = [row["amount_gbp_e5"] for at, row in enumerate(lines) if is_again(row, lines[:at])]
    left_over = delivered - worth - sum(part for _, part in priced)
    return worth, [
        *priced,
        (Cause.ROUNDING if abs(left_over) <= len(priced) else Cause.UNEXPLAINED, left_over),
        (Cause.CAP_OR_CURVE, by_rule - delivered),
        (Cause.PRICE, at_price - by_rule),
        (Cause.DUPLICATE, sum(again)),
    ]


def _further_money(lines: Sequence[Row], last: Row) -> tuple[int, list[tuple[Cause, int]]]:
    """Worth: what was asked for at the price of its line. What is short of it and the rule make the rest;
    lines that are paid for no volume are worth what they say.
    """
    worth, parts = 0, []
    for row in lines:
        amount = row["amount_gbp_e5"]
        if row["item"] == "utilisation":
            asked = gbp_e5(row["price_gbp_per_mwh"], wh_to_mwh(abs(last["accepted_wh"])))
            came = gbp_e5(row["price_gbp_per_mwh"], abs(row["volume_mwh"]))
            worth += asked
            parts += [(Cause.NON_DELIVERY, came - asked), (Cause.CAP_OR_CURVE, amount - came)]
        else:
            worth += amount
    return worth, parts


def is_again(row: Row, before: Sequence[Row]) -> bool:
    """Whether a line stands in its run already."""
    names = ("reference", "item", "volume_mwh", "price_gbp_per_mwh", "amount_gbp_e5")
    return any(all(row[name] == each[name] for name in names) for each in before)


def _bm_money(lines: Sequence[Row]) -> tuple[int, list[tuple[Cause, int]]]:
    """Worth: CO and CB at their pairs' prices. Non-delivery and imbalance are what the meter made of it."""
    worth, parts = 0, []
    system = [row["price_gbp_per_mwh"] for row in lines if row["item"] == "imbalance"]
    for at, row in enumerate(lines):
        amount, item = row["amount_gbp_e5"], str(row["item"])
        due = _due(row, system)
        if is_again(row, lines[:at]):
            parts.append((Cause.DUPLICATE, amount))
        elif item.startswith(("CO", "CB", "unpriced")):
            worth += due
            parts.append(_nearly(amount - due))
        else:
            short = row["volume_mwh"] < 0 or item.startswith("QND")
            parts += [(Cause.NON_DELIVERY if short else Cause.OVER_DELIVERY, due), _nearly(amount - due)]
    return worth, parts


def _due(row: Row, system: Sequence[float]) -> int:
    """What a line of the Balancing Mechanism should amount to [1e-5 GBP]; TLM is the rulebook's 1."""
    item, price, volume = str(row["item"]), row["price_gbp_per_mwh"], row["volume_mwh"]
    if item.startswith("QND") and system:
        excess = price - system[0]
        return -gbp_e5(max(excess, 0.0) if item.startswith("QNDO") else min(excess, 0.0), volume)
    return gbp_e5(price, volume)


def _nearly(gap: int) -> tuple[Cause, int]:
    """Volumes are told in floating point: two units of the last place."""
    return (Cause.ROUNDING if abs(gap) <= 2 else Cause.UNEXPLAINED), gap
