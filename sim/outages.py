"""When devices are cut off: each by itself, and many at once (vendor's cloud, ISP, operator, region).

Owns the calendar of outages; `sim/network.py` asks it about every message. A device's own outages are pure
functions of (device, block of time): the columns kept here are a cache, no state. Shared outages are a list
of windows known at the start: those of the scenario, and in the realistic profile those of chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from protocol.messages import I16, I32, I64
from protocol.party import NEVER_MS
from protocol.periods import DAY_MS, HOUR_MS, MINUTE_MS, day_end_ms, day_start_ms, local_clock_ms
from sim.chance import Purpose, stream, unit, words
from sim.play import Plant
from sim.routes import ALWAYS_THERE, USES_ISP, USES_MOBILE_OPERATOR, random_outages_of
from sim.scenario import DOMAIN_KINDS, ROUTE_NAMES, Clock, Comms, Outage, Route

CLOUDS_PER_ROUTE = 64
CLOUDS = CLOUDS_PER_ROUTE * len(ROUTE_NAMES)
"""A vendor cloud's place is route * CLOUDS_PER_ROUTE + vendor."""

NOWHERE = -1
"""The place of a row that hangs on no such wire."""

_FULL_DAY_MIN = 24 * 60
_LONGEST_IN_MEANS = 8.0
"""An own outage lasts at most eight mean lengths, to bound the look back; 0.03 % would be longer."""

_RANDOM_BLOCK_MS = 6 * HOUR_MS
_DAYS_AFTER = 30
"""Outages are drawn for so long after the last day: months of settlement need no network."""
_RANDOM_LOOK_BACK = 4
"""Shared outages of chance: at most one begins per member in six hours; drawn from a day early on."""


# ---------------------------------------------------------------------------------- a device's own outages


@dataclass(frozen=True, slots=True)
class OwnOutageLaw:
    """How a route's devices fail by themselves.

    Per block of time at most one outage begins, evenly in it, and lasts for an exponential time.
    """

    block_ms: int
    begins: float  # chance that one begins in a block
    mean_ms: float
    look_back: int  # blocks before the present one from which an outage may reach into it

    @staticmethod
    def of(route: Route) -> OwnOutageLaw:
        """The law by which a device is up offline_every / (offline_every + offline_for) of the time.

        Raises ValueError if devices would be down for most of the time.
        """
        every_ms, for_ms = route.offline_every_ms, route.offline_for_ms
        if for_ms > every_ms > 0:
            raise ValueError(
                f"devices are offline for {for_ms} ms every {every_ms} ms: more down than up is no route; "
                "lower offline_for"
            )
        return OwnOutageLaw._between(every_ms, for_ms)

    @staticmethod
    def of_bursts(route: Route) -> OwnOutageLaw:
        """The law of its bursts of loss, by `burst_every_ms` and `burst_for_ms`; ValueError as `of`."""
        every_ms, for_ms = route.burst_every_ms, route.burst_for_ms
        if for_ms > every_ms > 0:
            raise ValueError(
                f"bursts of {for_ms} ms every {every_ms} ms: more burst than not is no burst; lower burst_for"
            )
        return OwnOutageLaw._between(every_ms, for_ms)

    @staticmethod
    def _between(every_ms: int, for_ms: int) -> OwnOutageLaw:
        """The law by these mean times up and down.

        The block is halved from a day until less than half the blocks have to see an outage begin.
        """
        if every_ms == 0 or for_ms == 0:
            return OwnOutageLaw(DAY_MS, 0.0, 0.0, 0)
        block_ms = DAY_MS
        while block_ms > MINUTE_MS and _block_share_up(block_ms, for_ms, 0.5) > every_ms / (
            every_ms + for_ms
        ):
            block_ms //= 2
        low, high = 0.0, 1.0
        for _ in range(50):
            middle = 0.5 * (low + high)
            too_often = _block_share_up(block_ms, for_ms, middle) < every_ms / (every_ms + for_ms)
            low, high = (low, middle) if too_often else (middle, high)
        return OwnOutageLaw(block_ms, high, float(for_ms), math.ceil(_LONGEST_IN_MEANS * for_ms / block_ms))


def _block_share_up(block_ms: int, mean_ms: int, begins: float) -> float:
    """Share of time a device is up: no outage of this block or one before covers the moment, on average."""
    moment = (np.arange(512) + 0.5) / 512 * block_ms
    share_up = 1.0 - begins * mean_ms / block_ms * -np.expm1(-moment / mean_ms)
    for back in range(1, math.ceil(_LONGEST_IN_MEANS * mean_ms / block_ms) + 1):
        reach = np.exp(-(moment + (back - 1) * block_ms) / mean_ms) * -math.expm1(-block_ms / mean_ms)
        share_up = share_up * (1.0 - begins * mean_ms / block_ms * reach)
    return float(np.mean(share_up))


@njit(cache=True, nogil=True)
def _begun_in(key: Any, device: Any, block: Any, block_ms: Any, begins: Any, mean_ms: Any) -> Any:
    """The outage that begins in a block: from and to [ms]; NEVER_MS twice if none does."""
    whether, start, length, _ = words(key, device, block, 0)
    if unit(whether) >= begins:
        return NEVER_MS, NEVER_MS
    from_ms = block * block_ms + np.int64(unit(start) * block_ms)
    for_ms = min(-math.log(unit(length)), _LONGEST_IN_MEANS) * mean_ms
    return from_ms, from_ms + max(np.int64(for_ms), 1)


@njit(cache=True, nogil=True)
def _up_again(key: Any, device: Any, to_ms: Any, block: Any, block_ms: Any, begins: Any, mean_ms: Any) -> Any:
    """When a device down until `to_ms` is up again: outages that begin meanwhile prolong it."""
    while to_ms >= block * block_ms:
        next_from_ms, next_to_ms = _begun_in(key, device, block, block_ms, begins, mean_ms)
        if next_from_ms <= to_ms:
            to_ms = max(to_ms, next_to_ms)
        block += 1
    return to_ms


@njit(cache=True, nogil=True)
def own_outages(
    key: Any, device: Any, block: Any, block_ms: Any, begins: Any, mean_ms: Any, look_back: Any
) -> Any:
    """A device's calendar of a block: down until `carried_ms` (since before; 0: not), then from, to [ms]."""
    carried_ms = np.int64(0)
    for earlier in range(block - look_back, block):
        _, to_ms = _begun_in(key, device, earlier, block_ms, begins, mean_ms)
        if to_ms != NEVER_MS and to_ms > carried_ms:
            carried_ms = to_ms
    if carried_ms <= block * block_ms:
        carried_ms = np.int64(0)
    else:
        carried_ms = _up_again(key, device, carried_ms, block, block_ms, begins, mean_ms)
    from_ms, to_ms = _begun_in(key, device, block, block_ms, begins, mean_ms)
    if from_ms <= carried_ms:
        return carried_ms, NEVER_MS, NEVER_MS
    if to_ms != NEVER_MS:
        to_ms = _up_again(key, device, to_ms, block + 1, block_ms, begins, mean_ms)
    return carried_ms, from_ms, to_ms


@njit(cache=True, nogil=True)
def _fill_calendar(
    key: Any,
    device: Any,
    rows: Any,
    block: Any,
    block_ms: Any,
    begins: Any,
    mean_ms: Any,
    look_back: Any,
    calendar: Any,
) -> None:
    for i in range(rows.shape[0]):
        row = rows[i]
        calendar[row, 0], calendar[row, 1], calendar[row, 2] = own_outages(
            key, device[row], block, block_ms, begins, mean_ms, look_back
        )


class OwnOutages:
    """The devices' own outages around now: two blocks per route are held.

    `calendar` (2, rows, 3) holds carried_ms, from_ms, to_ms; the block of number b lies in calendar[b % 2],
    and `block` (routes,) is the later of the two. All of a row's outages in that later block lie within
    `hull_from_ms` and `hull_to_ms` (rows,).
    """

    def __init__(self, plant: Plant, routes: tuple[Route, ...], seed: int) -> None:
        laws = [OwnOutageLaw.of(route) for route in routes]
        self.key = stream(seed, Purpose.DEVICE_OUTAGE)
        self.block_ms = np.array([law.block_ms for law in laws], np.int64)
        self.begins = np.array([law.begins for law in laws])
        self.mean_ms = np.array([law.mean_ms for law in laws])
        self.look_back = np.array([law.look_back for law in laws], np.int64)
        self.block = np.full(len(laws), -2, np.int64)
        self.any = bool(self.begins.any())
        self._device = plant.device
        self._rows = [
            np.flatnonzero(plant.route == route) if law.begins else None for route, law in enumerate(laws)
        ]
        self.calendar = np.zeros((2, len(plant.device) if self.any else 0, 3), np.int64)
        self.hull_from_ms = np.full(len(plant.device), NEVER_MS, np.int64)
        self.hull_to_ms = np.zeros(len(plant.device), np.int64)

    def hold(self, until_ms: int) -> None:
        """Turn the calendar's pages so that the block of `until_ms` and the one before it are held."""
        for route, rows in enumerate(self._rows):
            block = until_ms // int(self.block_ms[route])
            if rows is None or block <= self.block[route]:
                continue
            for page in range(max(block - 1, int(self.block[route]) + 1), block + 1):
                self._fill(route, rows, page)
            self.block[route] = block
            carried_ms, from_ms, to_ms = self.calendar[block % 2, rows].T
            self.hull_from_ms[rows] = np.where(carried_ms > 0, 0, from_ms)
            self.hull_to_ms[rows] = np.where(from_ms < NEVER_MS, to_ms, carried_ms)

    def _fill(self, route: int, rows: NDArray[np.intp], block: int) -> None:
        _fill_calendar(
            self.key, self._device, rows, block, self.block_ms[route], self.begins[route],
            self.mean_ms[route], self.look_back[route], self.calendar[block % 2],
        )  # fmt: skip


# ------------------------------------------------------------------------------------------ shared outages


@dataclass(frozen=True, slots=True)
class OutageWindow:
    """One shared outage on the time axis; fields as in `sim.scenario.Outage`."""

    kind: str
    name: str
    from_ms: int
    to_ms: int
    directions: str
    messages: str
    drop: float
    extra_latency_ms: int
    domain: int  # place in DOMAIN_KINDS
    place: int  # which of the domain's members


def domain_places(plant: Plant) -> I16:
    """For every row the member of each domain that it hangs on, NOWHERE where none; shape (rows, domains)."""
    places = np.full((len(plant.device), len(DOMAIN_KINDS)), NOWHERE, np.int16)
    places[:, 0] = cloud_of(plant)
    for domain, users, member in (
        (1, USES_ISP, plant.isp),
        (2, USES_MOBILE_OPERATOR, plant.mobile_operator),
    ):
        uses = np.array([name in users for name in ROUTE_NAMES])[plant.route]
        places[:, domain] = np.where(uses, member, NOWHERE)
    places[:, 3] = plant.region
    return places


def cloud_of(plant: Plant) -> I16:
    """The vendor cloud of every row."""
    return (plant.route.astype(np.int16) * CLOUDS_PER_ROUTE + plant.vendor).astype(np.int16)


def outage_windows(
    comms: Comms,
    routes: tuple[Route, ...],
    clock: Clock,
    region_names: tuple[str, ...],
    seed: int,
    used: frozenset[str] = frozenset(),
) -> tuple[OutageWindow, ...]:
    """All shared outages of a run, by start. Raises ValueError for an outage of what there is none of.

    `used` are the routes on which something hangs; those that are always there need not be among them.
    """
    members = _members(comms, routes, region_names)
    written = [_written(outage, clock, members) for outage in comms.outages]
    there = used | ALWAYS_THERE
    clouds = {name: place for name, place in members["vendor_cloud"].items() if name.split("/")[0] in there}
    drawn = _drawn(comms, clock, {**members, "vendor_cloud": clouds}, seed)
    return tuple(sorted([*written, *drawn], key=lambda window: (window.from_ms, window.domain, window.place)))


def _members(
    comms: Comms, routes: tuple[Route, ...], region_names: tuple[str, ...]
) -> dict[str, dict[str, int]]:
    """Names and places of all that may fail, by domain."""
    clouds = {
        f"{name}/{vendor}": place * CLOUDS_PER_ROUTE + vendor
        for place, name in enumerate(ROUTE_NAMES)
        for vendor in range(routes[place].vendors)
    }
    return {
        "vendor_cloud": clouds,
        "isp": {str(isp): isp for isp in range(comms.isps)},
        "mobile_operator": {str(operator): operator for operator in range(comms.mobile_operators)},
        "region": {name: place for place, name in enumerate(region_names)},
    }


def _written(outage: Outage, clock: Clock, members: dict[str, dict[str, int]]) -> OutageWindow:
    place = members[outage.kind].get(outage.name)
    if place is None:
        known = ", ".join(members[outage.kind])
        raise ValueError(f"comms.outages: there is no {outage.kind} {outage.name!r}; there are {known}")
    from_ms = outage_start_ms(outage, clock)
    return OutageWindow(
        outage.kind, outage.name, from_ms, from_ms + outage.duration_ms, outage.directions, outage.messages,
        outage.drop, outage.extra_latency_ms, DOMAIN_KINDS.index(outage.kind), place,
    )  # fmt: skip


def outage_start_ms(outage: Outage, clock: Clock) -> int:
    """When a scenario's outage begins [UTC ms]."""
    day = clock.start + timedelta(days=outage.day)
    if outage.start == _FULL_DAY_MIN:
        return day_end_ms(day)
    return local_clock_ms(day, outage.start // 60, outage.start % 60)


def _drawn(
    comms: Comms, clock: Clock, members: dict[str, dict[str, int]], seed: int
) -> Iterator[OutageWindow]:
    """Outages of chance of every member of every domain, keyed by the member and six hours of time."""
    rates = random_outages_of(comms)
    first_block = day_start_ms(clock.start) // _RANDOM_BLOCK_MS - _RANDOM_LOOK_BACK
    days_after = min(clock.settlement_days, _DAYS_AFTER)
    end_ms = day_end_ms(clock.start + timedelta(days=clock.days + days_after))
    key = stream(seed, Purpose.CLOUD_OUTAGE)
    for domain, kind in enumerate(DOMAIN_KINDS):
        every_ms, for_ms = getattr(rates, f"{kind}_every_ms"), getattr(rates, f"{kind}_for_ms")
        if every_ms == 0 or for_ms == 0:
            continue
        begins = -math.expm1(-_RANDOM_BLOCK_MS / every_ms)
        for name, place in members[kind].items():
            entity = domain * 2**32 + _entity(kind, name, place)
            for block in range(first_block, end_ms // _RANDOM_BLOCK_MS + 1):
                from_ms, to_ms = _begun_in(key, entity, block, _RANDOM_BLOCK_MS, begins, float(for_ms))
                if from_ms != NEVER_MS:
                    yield OutageWindow(
                        kind, name, int(from_ms), int(to_ms), "both", "all", 1.0, 0, domain, place
                    )


def _entity(kind: str, name: str, place: int) -> int:
    """What a member's draws are keyed by: a region's name, as its place depends on which others there are."""
    return int.from_bytes(name.encode()[:4], "big") if kind == "region" else place


def return_order(plant: Plant, seed: int) -> tuple[I32, I64]:
    """Every row's place in the order in which its cloud takes devices back (rows,), and devices per cloud.

    The order is by a keyed draw of the device. Devices of one cloud have different places, so that a storm in
    this order, one place after the other, never exceeds the cloud's rate. Shapes (rows,) and (CLOUDS,).
    """
    cloud = cloud_of(plant)
    by_cloud = np.lexsort((_lots(stream(seed, Purpose.STORM), plant.device), cloud))
    members = np.bincount(cloud, minlength=CLOUDS).astype(np.int64)
    first = np.concatenate([[0], np.cumsum(members)[:-1]])
    order = np.empty(len(cloud), np.int32)
    order[by_cloud] = np.arange(len(cloud)) - first[cloud[by_cloud]]
    return order, members


@njit(cache=True, nogil=True)
def _lots(key: Any, device: Any) -> Any:
    lots = np.empty(device.shape[0], np.uint64)
    for i in range(device.shape[0]):
        high, low, _, _ = words(key, device[i], 0, 0)
        lots[i] = high << np.uint64(32) | low
    return lots
