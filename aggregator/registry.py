"""Who is enrolled in what: rows, and the trading units ("groups") that they are sold in.

Group 0 holds whatever is sold nowhere. Then come the DFS Units, each a run of homes (of one GSP Group, where
the edition aggregates by zone) between the rulebook's least and greatest size, then one BM Unit per unit name
that has assets in the Balancing Mechanism. A row is in one group. Last come the DFS Units of homes that act
by hand: they have homes and no rows.

Units of further services cut across these: where there are any, each group falls into cells, rows that are
sold in the very same units, and every unit is a set of cells (`divide`). Each cell is a group in its own
right, of the same name and service as the one that it was cut from; without such units nothing is cut.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from aggregator.settings import Assumptions, Rules
from aggregator.technologies import (
    HOLD_MS,
    OWNER,
    PLANNING_W,
    RESPONSE_MS,
    REST_MS,
    SUCCESSION_MS,
    TABLE,
    WILL,
)
from protocol.messages import (
    I8,
    I16,
    I32,
    I64,
    AssetRegistration,
    DfsUnitRegistration,
    HomeRegistration,
    Service,
    Technology,
)

Rows = NDArray[np.intp]
Cells = Sequence[int]
"""Places of groups that are sold together as one unit."""


class Standing(Enum):
    """What is known to have become of an asset since it was enrolled."""

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    MOVED = "moved"
    SWAPPED = "swapped"  # active, with another meter
    REJECTED = "rejected"  # settlement takes no volumes of it


@dataclass(frozen=True, slots=True)
class Entry:
    """One asset's standing: since when, when it was heard of, and the unit that it was enrolled in."""

    standing: Standing
    since_ms: int
    heard_ms: int
    group: int


@dataclass(frozen=True, slots=True)
class Group:
    """One trading unit: its name on the market, service, number of assets and sum of their ratings [W].

    `planned_w` what it is counted with before it has a history, `ratings_w` the sum of ratings by technology,
    `zone` the GSP Group of a DFS Unit that lies in one.
    """

    name: str
    service: Service
    assets: int
    rating_w: int
    planned_w: int
    ratings_w: tuple[int, ...]
    zone: str = ""

    def held_share(self, duration_ms: int, maximum_hold_ms: int) -> float:
        """The part of its power that can be held at any time of an event that lasts so long.

        Where an event is longer than members may be held, they are held in turns: cars, not counted on a
        second time, by the ratio; others in as many equal parties as it takes until the first has rested.
        """
        if not self.rating_w:
            return 1.0
        held_w = 0.0
        for technology, rating_w in enumerate(self.ratings_w):
            hold_ms = min(int(TABLE[technology, HOLD_MS]), maximum_hold_ms)
            if technology == Technology.EV:
                held_w += rating_w * min(1.0, maximum_hold_ms / max(duration_ms, 1))
            elif duration_ms <= hold_ms:
                held_w += rating_w
            elif hold_ms > 0:
                round_ms = min(duration_ms, hold_ms + int(TABLE[technology, REST_MS]))
                in_turn_ms = hold_ms - int(TABLE[technology, RESPONSE_MS]) - SUCCESSION_MS
                held_w += rating_w / math.ceil(round_ms / max(in_turn_ms, 1))
        return held_w / self.rating_w


@dataclass(slots=True)
class Registry:
    """The trading units, and whom each can tell what to do: `members[offsets[g]:offsets[g + 1]]`, rising.

    `group` of each row, its `technology` (`protocol.messages.Technology`) and its `home`. What is its owner's
    alone to switch belongs to a group, but is nobody's member. `by_hand`: the homes of each group that
    acts by hand. `entries`: by row, what is not as it was enrolled.
    """

    groups: tuple[Group, ...]
    group: I16
    members: I32
    offsets: I64
    technology: I8
    home: I32
    by_hand: dict[int, I32]
    excluded: int
    """DFS assets in no unit: no half-hourly meter, home also in the Balancing Mechanism, or too few."""
    entries: dict[int, Entry] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many assets there are."""
        return len(self.group)

    def rows_of(self, group: int) -> I32:
        """The rows of a group that can be told what to do, rising: a view."""
        return self.members[int(self.offsets[group]) : int(self.offsets[group + 1])]

    def homes_of(self, group: int) -> I32:
        """The homes of a group, rising."""
        by_hand = self.by_hand.get(group)
        return np.unique(self.home[self.group == group]) if by_hand is None else by_hand

    def homes_in(self, cells: Cells) -> I32:
        """The homes of a unit, rising."""
        if len(cells) == 1:
            return self.homes_of(cells[0])
        return np.unique(np.concatenate([self.homes_of(place) for place in cells]))

    def groups_of(self, service: Service) -> list[int]:
        """Places of the groups of one service."""
        return [place for place, group in enumerate(self.groups) if group.service is service]

    def units_of(self, service: Service) -> list[list[int]]:
        """The cells of each unit of one service, in the order of units."""
        units: dict[str, list[int]] = {}
        for place in self.groups_of(service):
            units.setdefault(self.groups[place].name, []).append(place)
        return list(units.values())

    def unit(self, cells: Cells) -> Group:
        """What some cells are together, under the name of the first."""
        if len(cells) == 1:
            return self.groups[cells[0]]
        parts = [self.groups[place] for place in cells]
        return replace(
            parts[0],
            assets=sum(part.assets for part in parts),
            rating_w=sum(part.rating_w for part in parts),
            planned_w=sum(part.planned_w for part in parts),
            ratings_w=tuple(map(sum, zip(*(part.ratings_w for part in parts), strict=True))),
        )

    def enter(self, rows: I32, standing: Standing, since_ms: I64, heard_ms: int) -> None:
        """Write down what has become of some rows; each keeps the unit that it was enrolled in."""
        for row, since in zip(rows.tolist(), since_ms.tolist(), strict=True):
            before = self.entries.get(row)
            enrolled_in = int(self.group[row]) if before is None else before.group
            self.entries[row] = Entry(standing, since, heard_ms, enrolled_in)

    def enrolled_in(self, rows: I32) -> I16:
        """The unit that each row was enrolled in, wherever it is now."""
        return np.array([self._group_of(row) for row in rows.tolist()], np.int16)

    def _group_of(self, row: int) -> int:
        entry = self.entries.get(row)
        return int(self.group[row]) if entry is None else entry.group

    def place(self, rows: I32, group: I16, rating_w: I32, assumed: Assumptions) -> None:
        """Have rows belong to other units from now on; `rating_w` (rows,)."""
        planned_w = counted_w(self.technology[rows], assumed)
        groups = list(self.groups)
        for sign, place in ((-1, self.group[rows]), (1, group)):
            for number in np.unique(place).tolist():
                mine = place == number
                groups[number] = _with(
                    groups[number], sign, self.technology[rows[mine]], rating_w[mine], planned_w[mine]
                )
        self.groups = tuple(groups)
        self.group[rows] = group
        self.members, self.offsets = _members(self.group, self.technology, len(groups))

    def cells_of(self, name: str, service: Service) -> list[int]:
        """The cells of a unit by its market name; none where there is no such unit."""
        return [place for place in self.groups_of(service) if self.groups[place].name == name]


def _with(group: Group, sign: int, technology: I8, rating_w: I32, planned_w: I64) -> Group:
    """A unit with some assets more (`sign` 1) or fewer (-1)."""
    ratings_w = np.array(group.ratings_w, np.int64)
    np.add.at(ratings_w, technology, sign * rating_w.astype(np.int64))
    return replace(
        group,
        assets=group.assets + sign * len(technology),
        rating_w=int(ratings_w.sum()),
        planned_w=group.planned_w + sign * int(planned_w.sum()),
        ratings_w=tuple(ratings_w.tolist()),
    )


def enrol(
    registration: AssetRegistration,
    rules: Rules,
    assumed: Assumptions,
    by_hand: HomeRegistration | None = None,
    by_hand_w: float = 0.0,
) -> Registry:
    """Sort all assets into trading units, and homes that act by hand into units of their own.

    `by_hand_w`: what is expected of one of these when it is asked. White goods of theirs are in no unit.
    """
    group = np.zeros(len(registration.home), dtype=np.int16)
    services = [Service.NONE]
    names = [""]
    dfs_rows, excluded = _dfs_rows(registration, rules, by_hand)
    planned_w = counted_w(registration.technology, assumed)
    area = registration.unit[dfs_rows] if rules.dfs_by_zone else None
    zones = {}
    for zone, rows in _areas(area, registration.unit_names, dfs_rows):
        unit_of_row = _dfs_units(registration.home[rows], planned_w[rows], rules)
        if unit_of_row is None:
            excluded += len(rows)
            continue
        group[rows] = unit_of_row + len(names)
        units = int(unit_of_row.max()) + 1
        zones.update(dict.fromkeys(range(len(names), len(names) + units), zone))
        names += [f"DFS{zone}{unit + 1:03d}" for unit in range(units)]
        services += [Service.DFS] * units
    balancing = registration.service == Service.BALANCING
    for place, name in enumerate(registration.unit_names):
        rows = np.flatnonzero(balancing & (registration.unit == place))
        if len(rows):
            group[rows] = len(names)
            names.append(name)
            services.append(Service.BALANCING)
    registry = _registry(group, tuple(names), tuple(services), registration, planned_w, excluded, zones)
    return registry if by_hand is None else _with_homes(registry, by_hand, by_hand_w, rules)


def _with_homes(registry: Registry, by_hand: HomeRegistration, by_hand_w: float, rules: Rules) -> Registry:
    """The registry with DFS Units of homes that act by hand, "DFSH001" and so on."""
    metered = np.flatnonzero((by_hand.hh_metered == 1) | (not rules.dfs_hh_metering_required))
    area = by_hand.unit[metered] if rules.dfs_by_zone else None
    groups, units = list(registry.groups), {}
    left_out = len(by_hand.homes) - len(metered)
    for zone, places in _areas(area, by_hand.unit_names, metered):
        homes, planned_w = by_hand.homes[places], np.full(len(places), round(by_hand_w), np.int64)
        unit = _dfs_units(homes, planned_w, rules)
        if unit is None:
            left_out += len(homes)
            continue
        for k in range(int(unit.max()) + 1):
            units[len(groups)] = homes[unit == k]
            planned, none_w = int(planned_w[unit == k].sum()), (0,) * len(Technology)
            groups.append(Group(f"DFSH{zone}{k + 1:03d}", Service.DFS, 0, 0, planned, none_w, zone))
    none = np.full(len(units), registry.offsets[-1], np.int64)
    return replace(
        registry,
        groups=tuple(groups),
        offsets=np.concatenate([registry.offsets, none]),
        by_hand=units,
        excluded=registry.excluded + left_out,
    )


def divide(
    registry: Registry, unit_of: I16, registration: AssetRegistration, assumed: Assumptions
) -> Registry:
    """The registry with its groups cut into cells: rows of one group that are in the same further units.

    `unit_of` (services, rows): the number of a unit of each service, -1 where a row is in none. Who is in
    none of them comes first among the cells of a group; group 0 stays what is sold nowhere. Groups without
    rows stay.
    """
    named = len(registry.groups) - len(registry.by_hand)
    nobody = np.full((len(unit_of), named), -1, np.int16)
    primary = np.concatenate([np.arange(named), registry.group])
    cell_of, first = _alike(primary, np.hstack([nobody, unit_of]))
    kept = _kept(primary[first], cell_of[named:])
    group: I16 = (np.cumsum(kept) - 1)[cell_of[named:]].astype(np.int16)
    source = primary[first][kept].tolist()
    groups = [registry.groups[place] for place in source]
    divided = _registry(
        group,
        tuple(group.name for group in groups),
        tuple(group.service for group in groups),
        registration,
        counted_w(registration.technology, assumed),
        registry.excluded,
        {place: group.zone for place, group in enumerate(groups) if group.zone},
    )
    homes = list(registry.by_hand.values())
    return replace(
        divided,
        groups=divided.groups + registry.groups[named:],
        offsets=np.concatenate([divided.offsets, np.full(len(homes), divided.offsets[-1], np.int64)]),
        by_hand=dict(enumerate(homes, start=len(divided.groups))),
    )


def _alike(primary: I64, unit_of: I16) -> tuple[I64, I64]:
    """The number of each row's cell, in the order of its group and then its units; and a row of each cell."""
    code, first = primary.astype(np.int64), np.empty(0, np.int64)
    for column in unit_of:
        _, first, code = np.unique(
            code * (int(column.max()) + 2) + column + 1, return_index=True, return_inverse=True
        )
    return code.astype(np.int64), first.astype(np.int64)


def _kept(primary: I64, cell_of: I64) -> NDArray[np.bool_]:
    """Which cells there are: those with rows, what is sold nowhere, and one of each group without any."""
    kept = np.bincount(cell_of, minlength=len(primary)) > 0
    kept[0] = True
    return np.asarray(kept | ~np.isin(primary, primary[kept]))


def counted_w(technology: I8, assumed: Assumptions) -> I64:
    """What each asset is counted with before it has a history [W]."""
    of_technology = TABLE[:, PLANNING_W].copy()
    of_technology[Technology.EV] = assumed.planning_w_per_asset
    return np.asarray(of_technology[technology], dtype=np.int64)


def _registry(
    group: I16,
    names: tuple[str, ...],
    services: tuple[Service, ...],
    registration: AssetRegistration,
    planned_w: I64,
    excluded: int,
    zones: Mapping[int, str],
) -> Registry:
    technology = registration.technology
    counts = np.bincount(group, minlength=len(names))
    groups = []
    for place, (name, service) in enumerate(zip(names, services, strict=True)):
        rows = group == place
        ratings = np.zeros(len(Technology), np.int64)
        np.add.at(ratings, technology[rows], registration.rating_w[rows])
        ratings_w = tuple(ratings.tolist())
        planned = int(planned_w[rows].sum())
        zone = zones.get(place, "")
        groups.append(Group(name, service, int(counts[place]), sum(ratings_w), planned, ratings_w, zone))
    members, offsets = _members(group, technology, len(names))
    return Registry(tuple(groups), group, members, offsets, technology, registration.home, {}, excluded)


def _members(group: I16, technology: I8, groups: int) -> tuple[I32, I64]:
    """Whom each group can tell what to do, group by group, and where each group's begin."""
    told = np.flatnonzero(TABLE[technology, WILL] != OWNER)
    members = told[np.argsort(group[told], kind="stable")].astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(group[told], minlength=groups))])
    return members, offsets


def _dfs_rows(
    registration: AssetRegistration, rules: Rules, by_hand: HomeRegistration | None
) -> tuple[Rows, int]:
    """Rows that may be in a DFS Unit of assets, and how many enrolled in DFS may not."""
    wanted = registration.service == Service.DFS
    if by_hand is not None:
        wanted &= ~np.isin(registration.home, by_hand.homes)
    balancing_homes = registration.home[registration.service == Service.BALANCING]
    allowed = wanted & ~np.isin(registration.home, balancing_homes)
    if rules.dfs_hh_metering_required:
        allowed &= registration.hh_metered == 1
    return np.flatnonzero(allowed), int(wanted.sum() - allowed.sum())


def _areas(area: I16 | None, names: tuple[str, ...], rows: Rows) -> list[tuple[str, Rows]]:
    """The rows of each area that DFS Units may reach over, by name; `area` (rows,): None for all together."""
    if area is None:
        return [("", rows)]
    return [(names[place], rows[area == place]) for place in np.unique(area).tolist()]


def _dfs_units(home: I32, planned_w: I64, rules: Rules) -> NDArray[np.int64] | None:
    """The DFS Unit (0, 1, ...) of each asset, by home; None when all together are below the least size."""
    planned_mw = int(planned_w.sum()) / 1e6
    if len(home) == 0 or planned_mw < rules.dfs_minimum_unit_mw:
        return None
    _, place = np.unique(home, return_inverse=True)
    home_w = np.bincount(place, weights=planned_w).astype(np.int64)
    # A home is never split, so a unit may end up larger than an equal share by one home.
    largest_home_mw = int(home_w.max()) / 1e6
    units = math.ceil(planned_mw / (rules.dfs_maximum_unit_mw - largest_home_mw))
    before_w = np.cumsum(home_w) - home_w
    return np.asarray((before_w * units // max(int(home_w.sum()), 1))[place], dtype=np.int64)


def dfs_registrations(registry: Registry) -> list[DfsUnitRegistration]:
    """What DFS is told: the homes of each unit, rising, and its zone."""
    return [
        DfsUnitRegistration(
            unit=registry.groups[cells[0]].name,
            homes=registry.homes_in(cells).astype(np.int32),
            domestic=True,
            zone=registry.groups[cells[0]].zone,
        )
        for cells in registry.units_of(Service.DFS)
    ]
