"""What becomes of homes and devices after they were enrolled: the hidden happenings, and who hears of them.

Owns who has moved out, withdrawn, got another device or new firmware, and what the gateway may therefore
carry. Everything happens on a whole minute. What happens and what is told of it are two things: a mover
may tell nobody. The gateway, which faces customers and vendors, asks at each of its moments (`happen`) and
before it carries anything; the meters ask whose half-hour cannot be read.

Every draw is keyed by (home or device, day, kind), so that one cause moves no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from protocol import periods
from protocol.messages import I8, I32, I64, NO_LIMIT_W, UNKNOWN, Change, RegistryChange
from protocol.party import NEVER_MS, Envelope
from protocol.periods import MINUTE_MS
from sim import chance
from sim.chance import Purpose
from sim.flight import Columns
from sim.play import Plant, Readings
from sim.scenario import ROUTE_NAMES, Scenario
from sim.scenario_churn import ChurnEvent

Flags = NDArray[np.bool_]

CONSENTING, MOVED_OUT, WITHDRAWN = 0, 1, 2
"""What has become of a row's consent. After a withdrawal its vendor refuses; after a move nobody answers."""
BACK_ONLINE = len(Change)
"""Not told to anybody: the end of a firmware update."""

KINDS = {
    "moved": Change.MOVED,
    "consent_withdrawn": Change.WITHDRAWN,
    "device_swapped": Change.SWAPPED,
    "firmware": Change.FIRMWARE,
    "msid_deallocated": Change.DEALLOCATED,
}
"""Kinds of scripted events."""
WORDS = {
    Change.MOVED: "moved",
    Change.WITHDRAWN: "consent_withdrawn",
    Change.SWAPPED: "device_swapped",
    Change.FIRMWARE: "firmware",
    Change.DEALLOCATED: "msid_deallocated",
    Change.ENROLLED: "enrolled",
}
"""Changes as the table `registry_changes` calls them."""
REASONS = {
    Change.MOVED: "the household moved out",
    Change.WITHDRAWN: "the customer withdrew consent",
    Change.SWAPPED: "another device was fitted",
    Change.FIRMWARE: "new firmware",
    Change.DEALLOCATED: "MSID no longer allocated to the unit: change of supplier",
    Change.ENROLLED: "the new occupant consents",
}
_OF_HOMES = (Change.MOVED, Change.WITHDRAWN, Change.DEALLOCATED)
_DAYS_PER_YEAR = 365.25
_SCRIPTED = 64
"""Draws of the k-th scripted event have number 64 + k; those of rates that of their kind, or 16 more."""


class Registers(Protocol):
    """What the asset meters of some rows show now [Wh]."""

    def __call__(self, rows: I32) -> I32: ...


@dataclass(slots=True, eq=False)
class ChurnState:
    """What has become of whom.

    `day` the next to be drawn (ordinal). `coming`, by `at_ms`, what is drawn and has not happened; `telling`,
    by `heard_ms`, what has happened and is not told yet; `ledger` all that has happened. Per row: `consent`,
    `deallocated`, `updating` (offline for new firmware), `every_ms` least reporting interval since (0: as it
    was), `deaf` to pauses since, `before_wh` register of the meters before this one, `touched_ms` when its
    meter was last fitted or its consent last changed, `heard_ms` from when on the aggregator knows that
    consent ended, `ended_at` the place of that in the ledger.
    """

    day: int
    coming: Columns
    telling: Columns
    ledger: Columns
    consent: I8
    deallocated: Flags
    updating: Flags
    every_ms: I32
    deaf: Flags
    before_wh: I32
    touched_ms: I64
    heard_ms: I64
    ended_at: I32


_HAPPENING: dict[str, Any] = {"at_ms": np.int64, "rows": np.int32, "kind": np.int8, "heard_ms": np.int64}
_LEDGER = {**_HAPPENING, "setpoints_unheard": np.int32, "setpoints_heard": np.int32}


class Churn:
    """The registry's hidden truth. `registers` reads asset meters; `report_every_ms` (rows,) as drawn."""

    def __init__(
        self,
        scenario: Scenario,
        plant: Plant,
        registers: Registers,
        report_every_ms: I64,
        days: tuple[date, ...],
    ) -> None:
        self._settings = scenario.churn
        self._seed = scenario.seed
        self._plant = plant
        self._registers = registers
        self._report_every_ms = report_every_ms
        self._days = days
        self._homes, self._home_place = np.unique(plant.home.astype(np.int64), return_inverse=True)
        self._by_home = np.argsort(self._home_place, kind="stable")
        self._from = np.searchsorted(self._home_place[self._by_home], np.arange(len(self._homes) + 1))
        rows = len(plant.device)
        self._state = ChurnState(
            day=days[0].toordinal(),
            coming=_none(_HAPPENING),
            telling=_none(_HAPPENING),
            ledger=_none(_LEDGER),
            consent=np.zeros(rows, np.int8),
            deallocated=np.zeros(rows, np.bool_),
            updating=np.zeros(rows, np.bool_),
            every_ms=np.zeros(rows, np.int32),
            deaf=np.zeros(rows, np.bool_),
            before_wh=np.zeros(rows, np.int32),
            touched_ms=np.zeros(rows, np.int64),
            heard_ms=np.full(rows, NEVER_MS, np.int64),
            ended_at=np.zeros(rows, np.int32),
        )
        self._see()

    @property
    def state(self) -> ChurnState:
        """All that changes."""
        return self._state

    @state.setter
    def state(self, state: ChurnState) -> None:
        self._state = state
        self._see()

    def _see(self) -> None:
        """Work out what is asked for again and again."""
        state = self._state
        self._silent = (state.consent != CONSENTING) | state.updating
        self._altered = self._silent | (state.every_ms != 0) | (state.before_wh != 0)
        self._alters = bool(self._altered.any())

    # ------------------------------------------------------------------------------------- what happens

    def next_ms(self) -> int:
        """When something happens, is drawn or is told next."""
        state = self._state
        moments = [NEVER_MS]
        if state.day <= self._days[-1].toordinal():
            moments.append(periods.day_start_ms(date.fromordinal(state.day)))
        if len(state.coming["at_ms"]):
            moments.append(int(state.coming["at_ms"][0]))
        if len(state.telling["heard_ms"]):
            moments.append(int(state.telling["heard_ms"][0]))
        return min(moments)

    def happen(self, now_ms: int) -> list[Envelope]:
        """Let happen what is due; gives what is told of it now, or of what happened before."""
        state = self._state
        while state.day <= self._days[-1].toordinal():
            day = date.fromordinal(state.day)
            if periods.day_start_ms(day) > now_ms:
                break
            self._draw(day)
            state.day += 1
        due, state.coming = _parted(state.coming, "at_ms", now_ms)
        for kind in np.unique(due["kind"]).tolist():
            self._befall(kind, {name: column[due["kind"] == kind] for name, column in due.items()})
        if len(due["rows"]):
            self._see()
        told, state.telling = _parted(state.telling, "heard_ms", now_ms)
        return [self._message(Change(kind), told) for kind in np.unique(told["kind"]).tolist()]

    def _message(self, kind: Change, told: Columns) -> Envelope:
        """What is said of one kind of change: of MPANs to settlement, of all else to the aggregator."""
        mine = told["kind"] == kind
        rows, every_ms = told["rows"][mine], self._settings.firmware.report_every_ms
        every_s = every_ms // 1000 if kind is Change.FIRMWARE and every_ms else UNKNOWN
        message = RegistryChange(
            kind, rows, told["at_ms"][mine], np.full(len(rows), every_s, np.int32), REASONS[kind]
        )
        return Envelope("settlement" if kind is Change.DEALLOCATED else "aggregator", message)

    def _befall(self, kind: int, due: Columns) -> None:
        """One kind of change, for those whom it can befall."""
        state, rows = self._state, due["rows"]
        if kind == BACK_ONLINE:
            state.updating[rows] = False
            return
        can = {
            Change.ENROLLED: state.consent[rows] == MOVED_OUT,
            Change.DEALLOCATED: ~state.deallocated[rows],
            Change.FIRMWARE: ~state.updating[rows],
        }.get(Change(kind), state.consent[rows] == CONSENTING)
        _, first = np.unique(rows, return_index=True)
        once = np.zeros(len(rows), np.bool_)
        once[first] = True
        befalls = {name: column[can & once] for name, column in due.items()}
        if len(befalls["rows"]):
            self._note(befalls)
            self._apply(Change(kind), befalls)

    def _note(self, befalls: Columns) -> None:
        """Enter what happens in the ledger, and in what is to be told, where it ever is."""
        state = self._state
        nothing = np.zeros(len(befalls["rows"]), np.int32)
        entry = {**befalls, "setpoints_unheard": nothing, "setpoints_heard": nothing}
        state.ledger = {name: np.concatenate([state.ledger[name], entry[name]]) for name in _LEDGER}
        told = befalls["heard_ms"] < NEVER_MS
        if told.any():
            new = {name: column[told] for name, column in befalls.items()}
            state.telling = _merged("heard_ms", state.telling, new)

    def _apply(self, kind: Change, befalls: Columns) -> None:
        """Have the last entries of the ledger take effect."""
        state, rows, at_ms = self._state, befalls["rows"], befalls["at_ms"]
        if kind in (Change.MOVED, Change.WITHDRAWN):
            state.consent[rows] = MOVED_OUT if kind is Change.MOVED else WITHDRAWN
            state.touched_ms[rows] = at_ms
            state.heard_ms[rows] = befalls["heard_ms"]
            state.ended_at[rows] = np.arange(-len(rows), 0) + len(state.ledger["rows"])
        elif kind is Change.ENROLLED:
            state.consent[rows] = CONSENTING
            state.touched_ms[rows] = at_ms
        elif kind is Change.SWAPPED:
            state.before_wh[rows] = self._registers(rows)
            state.touched_ms[rows] = at_ms
        elif kind is Change.DEALLOCATED:
            state.deallocated[rows] = True
        else:
            self._update(rows, at_ms)

    def _update(self, rows: I32, at_ms: I64) -> None:
        """New firmware: offline for some minutes, then other habits."""
        state, firmware = self._state, self._settings.firmware
        u = chance.units(
            chance.stream(self._seed, Purpose.FIRMWARE),
            self._plant.device[rows],
            int(at_ms[0]) // periods.DAY_MS,
            2,
        )
        state.updating[rows] = True
        state.every_ms[rows] = firmware.report_every_ms
        state.deaf[rows] = u[:, 1] < firmware.ignores_pause_share
        away_ms = _whole_minutes((0.5 + u[:, 0]) * firmware.offline_for_ms)
        back = _happenings(at_ms + away_ms, rows, BACK_ONLINE, np.full(len(rows), NEVER_MS))
        state.coming = _merged("at_ms", state.coming, back)

    # ---------------------------------------------------------------------------------- what is drawn

    def _draw(self, day: date) -> None:
        """Everything that will begin on a day, by rate or by script."""
        settings = self._settings
        drawn = [self._moves(day), self._roll_outs(day)]
        for kind, per_year, told_share, after_ms in (
            (
                Change.SWAPPED,
                settings.swaps.per_year,
                settings.swaps.told_share,
                settings.swaps.told_after_ms,
            ),
            (Change.WITHDRAWN, settings.withdrawals.per_year, 1.0, settings.withdrawals.told_after_ms),
            (Change.DEALLOCATED, settings.deallocations.per_year, 1.0, settings.deallocations.told_after_ms),
        ):
            if per_year > 0:
                drawn.append(self._by_rate(day, kind, per_year, told_share, after_ms))
        for place, event in enumerate(settings.events):
            if self._days[0] + timedelta(days=event.day) == day:
                drawn.append(self._scripted(day, place, event))
        self._state.coming = _merged("at_ms", self._state.coming, *drawn)

    def _by_rate(self, day: date, kind: Change, per_year: float, told_share: float, after_ms: int) -> Columns:
        """Whom a kind of change befalls on a day: each home or device once at most, at any minute."""
        u = self._units(kind, day, int(kind))
        hit = np.flatnonzero(u[:, 0] < 1 - np.exp(-per_year / _DAYS_PER_YEAR))
        start_ms, end_ms = periods.day_start_ms(day), periods.day_end_ms(day)
        at_ms = start_ms + MINUTE_MS + _whole_minutes(u[hit, 1] * (end_ms - start_ms - MINUTE_MS))
        heard_ms = np.where(u[hit, 2] < told_share, at_ms + after_ms, NEVER_MS)
        return self._of_rows(kind, hit, at_ms, heard_ms)

    def _moves(self, day: date) -> Columns:
        """Households that move out on a day, and the new occupants who enrol later."""
        moves = self._settings.moves
        if moves.per_year == 0:
            return _none(_HAPPENING)
        gone = self._by_rate(day, Change.MOVED, moves.per_year, moves.told_share, moves.told_after_ms)
        return _merged("at_ms", gone, self._new_occupants(day, gone))

    def _new_occupants(self, day: date, gone: Columns) -> Columns:
        """Of homes that were moved out of, who enrols after how many days; they tell us as they do so."""
        moves = self._settings.moves
        home = self._plant.home[gone["rows"]].astype(np.int64)
        u = chance.units(chance.stream(self._seed, Purpose.CHURN), home, day.toordinal(), 16 + Change.MOVED)
        enrols = u[:, 0] < moves.enrol_again_share
        wait_ms = MINUTE_MS + _whole_minutes(-np.log(u[:, 1]) * moves.enrol_again_after_ms)
        at_ms = (gone["at_ms"] + wait_ms)[enrols]
        return _happenings(at_ms, gone["rows"][enrols], Change.ENROLLED, at_ms)

    def _roll_outs(self, day: date) -> Columns:
        """New firmware of some vendor clouds tonight, for a share of the devices of each."""
        firmware = self._settings.firmware
        if firmware.per_year == 0:
            return _none(_HAPPENING)
        cloud = self._clouds()
        u = chance.units(chance.stream(self._seed, Purpose.FIRMWARE), cloud, day.toordinal(), 1)[:, 0]
        tonight = u < 1 - np.exp(-firmware.per_year / _DAYS_PER_YEAR)
        start_ms = periods.clock_reached_ms(day, firmware.start)
        return self._updates(day, start_ms, tonight, firmware.share, None)

    def _updates(
        self, day: date, start_ms: int, where: Flags, share: float, told_after_ms: int | None
    ) -> Columns:
        """A share of the devices at `where` (rows,) begin their update within the roll-out's time."""
        firmware = self._settings.firmware
        u = chance.units(chance.stream(self._seed, Purpose.FIRMWARE), self._plant.device, day.toordinal(), 3)
        hit = np.flatnonzero(where & (u[:, 0] < share))
        at_ms = start_ms + _whole_minutes(u[hit, 1] * firmware.over_ms)
        told = firmware.told or told_after_ms is not None
        heard_ms = at_ms + (told_after_ms or 0) if told else np.full(len(hit), NEVER_MS)
        return _happenings(at_ms, hit.astype(np.int32), Change.FIRMWARE, heard_ms)

    def _scripted(self, day: date, place: int, event: ChurnEvent) -> Columns:
        kind = KINDS[event.kind]
        where = np.ones(len(self._plant.device), np.bool_)
        if event.vendor is not None:
            where = self._clouds() == _cloud(event.vendor)
        at_ms = periods.clock_reached_ms(day, event.at)
        if kind is Change.FIRMWARE:
            return self._updates(day, at_ms, where, event.share, event.told_after_ms)
        u = self._units(kind, day, _SCRIPTED + place)
        told_share, after_ms = self._told_of(kind)
        after_ms = after_ms if event.told_after_ms is None else event.told_after_ms
        hit = np.flatnonzero(u[:, 0] < event.share)
        moment_ms = np.full(len(hit), at_ms, np.int64)
        heard_ms = np.where(u[hit, 2] < told_share, moment_ms + after_ms, NEVER_MS)
        befallen = self._of_rows(kind, hit, moment_ms, heard_ms)
        befallen = {name: column[where[befallen["rows"]]] for name, column in befallen.items()}
        if kind is Change.MOVED:
            return _merged("at_ms", befallen, self._new_occupants(day, befallen))
        return befallen

    def _told_of(self, kind: Change) -> tuple[float, int]:
        """The share of a kind of change that is told, and after how long [ms]."""
        settings = self._settings
        if kind is Change.MOVED:
            return settings.moves.told_share, settings.moves.told_after_ms
        if kind is Change.SWAPPED:
            return settings.swaps.told_share, settings.swaps.told_after_ms
        section = settings.withdrawals if kind is Change.WITHDRAWN else settings.deallocations
        return 1.0, section.told_after_ms

    def _units(self, kind: Change, day: date, number: int) -> chance.F64:
        """Draws of a day for each home, or for each device where the kind befalls devices."""
        entity = self._homes if kind in _OF_HOMES else self._plant.device
        return chance.units(chance.stream(self._seed, Purpose.CHURN), entity, day.toordinal(), number)

    def _of_rows(self, kind: Change, hit: NDArray[np.intp], at_ms: I64, heard_ms: I64) -> Columns:
        """The happenings of homes or devices as those of rows: of a home, of all of its rows."""
        if kind not in _OF_HOMES:
            return _happenings(at_ms, hit.astype(np.int32), kind, heard_ms)
        count = self._from[hit + 1] - self._from[hit]
        first = np.repeat(self._from[hit] - (np.cumsum(count) - count), count)
        rows = self._by_home[first + np.arange(int(count.sum()))].astype(np.int32)
        return _happenings(np.repeat(at_ms, count), rows, kind, np.repeat(heard_ms, count))

    def _clouds(self) -> I64:
        """Each row's vendor cloud as one number."""
        return self._plant.route.astype(np.int64) * 256 + self._plant.vendor

    # ------------------------------------------------------------------- what the gateway and meters ask

    def refused(self, rows: I32, now_ms: int) -> tuple[Flags, Flags]:
        """Which set-points go nowhere, as consent has ended; and of which the vendor says so. Counts them."""
        state = self._state
        ended = state.consent[rows] != CONSENTING
        if ended.any():
            late = now_ms > state.heard_ms[rows[ended]]
            place = state.ended_at[rows[ended]]
            np.add.at(state.ledger["setpoints_heard"], place[late], 1)
            np.add.at(state.ledger["setpoints_unheard"], place[~late], 1)
        return ended, state.consent[rows] == WITHDRAWN

    def refusal_heard(self, rows: I32, arrival_ms: I64) -> None:
        """The aggregator learns that consent has ended from a vendor's refusal, if not before."""
        np.minimum.at(self._state.heard_ms, rows, arrival_ms)

    def reaching(self, orders: Columns) -> Columns:
        """What of the set-points or polls that arrive now still reaches devices, and as what.

        Firmware that has gone deaf to pauses takes one for the end of a limit, and acknowledges it.
        """
        rows = orders["rows"]
        state = self._state
        if self._silent[rows].any():
            kept = np.flatnonzero(~self._silent[rows])
            orders = {name: column[kept] for name, column in orders.items()}
        if "limit_w" in orders and state.deaf.any():
            ignored = state.deaf[orders["rows"]] & (orders["limit_w"] == 0)
            orders = {**orders, "limit_w": np.where(ignored, np.int32(NO_LIMIT_W), orders["limit_w"])}
        return orders

    def speaking(self, rows: I32) -> NDArray[np.intp]:
        """Places of the rows that are heard of."""
        return np.flatnonzero(~self._silent[rows])

    def told(self, readings: Readings) -> Readings:
        """The readings that devices still send us, with the registers of the meters that they have now."""
        if not self._alters or not _any(self._altered, readings.rows):
            return readings
        state, columns = self._state, readings.columns()
        kept: tuple[Any, ...] = tuple(np.empty_like(column) for column in columns)
        count = _still_told(
            columns, kept, self._altered, self._silent, state.every_ms, self._report_every_ms, state.before_wh
        )
        return Readings(*kept).part(0, count)

    def unmetered(self, start_ms: int, end_ms: int) -> NDArray[np.intp]:
        """Rows whose asset meter gives no reading of this half-hour.

        Consent has ended, or the meter or the consent began within it: nobody took the old meter's last
        reading, so the two are not put together.
        """
        state = self._state
        within = (state.touched_ms > start_ms) & (state.touched_ms < end_ms)
        return np.flatnonzero((state.consent != CONSENTING) | within)


def make_churn(
    scenario: Scenario, plant: Plant, registers: Registers, report_every_ms: I64, days: tuple[date, ...]
) -> Churn | None:
    """The churn of a scenario; None where nothing ever happens."""
    if not scenario.churn.happens:
        return None
    return Churn(scenario, plant, registers, report_every_ms, days)


@njit(cache=True, nogil=True)
def _any(flags: Any, rows: Any) -> bool:
    """Whether a flag is set for any of the rows."""
    for row in rows:  # noqa: SIM110 - compiled code has no generators
        if flags[row]:
            return True
    return False


@njit(cache=True, nogil=True)
def _still_told(
    columns: Any, kept: Any, altered: Any, silent: Any, every_ms: Any, drawn_ms: Any, before_wh: Any
) -> int:
    """Write the readings that are still told, in their order, with their registers; gives how many."""
    rows, event_ms, import_w, register_wh, status, soc_pct = columns
    count = 0
    for k in range(rows.shape[0]):
        row = rows[k]
        kept[3][count] = register_wh[k]
        if altered[row]:
            if silent[row] or (every_ms[row] > 0 and event_ms[k] % every_ms[row] >= drawn_ms[row]):
                continue
            kept[3][count] -= before_wh[row]
        kept[0][count], kept[1][count], kept[2][count] = row, event_ms[k], import_w[k]
        kept[4][count], kept[5][count] = status[k], soc_pct[k]
        count += 1
    return count


def _cloud(name: str) -> int:
    """The number of a vendor cloud by its name, such as `evcp_wifi_cloud/0`."""
    route, _, vendor = name.partition("/")
    return ROUTE_NAMES.index(route) * 256 + int(vendor)


def _none(columns: dict[str, Any]) -> Columns:
    return {name: np.empty(0, kind) for name, kind in columns.items()}


def _happenings(at_ms: I64, rows: I32, kind: int, heard_ms: I64) -> Columns:
    columns = {"at_ms": at_ms, "rows": rows, "kind": np.full(len(rows), kind), "heard_ms": heard_ms}
    return {name: np.asarray(column).astype(_HAPPENING[name]) for name, column in columns.items()}


def _merged(by: str, *runs: Columns) -> Columns:
    """All happenings of some runs by one moment; at one moment by kind, then row."""
    joined = {name: np.concatenate([run[name] for run in runs]) for name in _HAPPENING}
    order = np.lexsort((joined["rows"], joined["kind"], joined[by]))
    return {name: column[order] for name, column in joined.items()}


def _parted(columns: Columns, by: str, now_ms: int) -> tuple[Columns, Columns]:
    """What is due, and what is not yet."""
    due = int(np.searchsorted(columns[by], now_ms, side="right"))
    return (
        {name: column[:due] for name, column in columns.items()},
        {name: column[due:] for name, column in columns.items()},
    )


def _whole_minutes(span_ms: Any) -> I64:
    return np.asarray(np.asarray(span_ms) // MINUTE_MS * MINUTE_MS).astype(np.int64)
