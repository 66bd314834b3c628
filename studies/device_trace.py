"""One car's day in plain words and local time: plugged in, told to wait, obeyed, boosted, paid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from protocol.messages import NO_LIMIT_W, AckOutcome
from protocol.periods import HOUR_MS, PERIOD_MS
from protocol.units import GBP_E5
from sim.run_folder import RunFolder
from studies.kpis import ARRIVED
from studies.local_time import clock, day, stamp

Row = Mapping[str, Any]

_FATES = {
    "lost": "lost on the way",
    "offline": "not delivered: the device was offline",
    "outage_vendor_cloud": "not delivered: the vendor's cloud was down",
    "outage_isp": "not delivered: the internet provider was down",
    "outage_mobile_operator": "not delivered: the mobile network was down",
    "outage_region": "not delivered: the region was cut off",
    "rate_limited": "refused by the vendor's cloud: too many requests",
    "unauthorised": "refused by the vendor's cloud: the token had run out",
    "budget": "not sent: the device's budget of the day is used up",
}
_ANSWERS = {
    AckOutcome.APPLIED: "obeyed",
    AckOutcome.OLD_SEQUENCE: "ignored: a newer set-point had come before",
    AckOutcome.EXPIRED: "ignored: it came after its validity",
    AckOutcome.UNPLUGGED: "ignored: no car plugged in",
    AckOutcome.OVERRIDDEN: "ignored: the driver had pressed boost",
}


_CHANGES = {
    "moved": "the household moved out: consent ended",
    "consent_withdrawn": "the customer withdrew consent",
    "device_swapped": "another device was fitted: its register begins anew",
    "firmware": "new firmware: offline for some minutes",
    "msid_deallocated": "its MPAN left the unit: settlement takes its volumes no more",
    "enrolled": "the new occupant enrolled it again",
}
_ORDER = (
    "ready_check",
    "unplugged",
    "left",
    "returned",
    "plugged_in",
    "order",
    "held_back",
    "limit_ended",
    "boosted",
    "charging",
    "stopped",
)
"""What comes first of things that happen at once: own events, orders, then what follows for the power."""


class TraceError(Exception):
    """There is no such device in the run, or the run does not tell devices apart. Says what would help."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a car's day; `rank` orders what happens within one millisecond, as `devices.ev` does."""

    at_ms: int
    words: str
    rank: int = 0

    def __str__(self) -> str:
        return f"{clock(self.at_ms, seconds=True)}  {self.words}"


@dataclass(frozen=True, slots=True)
class Trace:
    """A device and its moments, oldest first; `closing` tells deadlines and money."""

    heading: str
    moments: tuple[Moment, ...]
    closing: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """The whole as lines to print, with a line of its own for each new day."""
        yield self.heading
        today = ""
        for moment in self.moments:
            if day(moment.at_ms) != today:
                today = day(moment.at_ms)
                yield f"{today}"
            yield f"  {moment}"
        yield from self.closing


def trace_device(folder: RunFolder, row: int) -> Trace:
    """Everything that the run knows of one asset. Raises TraceError and RunFolderError."""
    level = folder.manifest()["record_level"]
    if not folder.has_table("device_events"):
        raise TraceError(
            f"{folder.path} was recorded at level {level}, which does not tell devices apart: "
            "run it again with `record: {level: devices}`"
        )
    devices = folder.table("devices")
    found = devices.filter(pc.equal(devices["row"], row)).to_pylist()
    if not found:
        raise TraceError(f"no device {row} in {folder.path}: devices are 0 to {devices.num_rows - 1:,}")
    device = found[0]
    moments = [*_happened(folder, device), *_messages(folder, row), *_changes(folder, row)]
    moments.sort(key=lambda moment: (moment.at_ms, moment.rank))
    closing = (*_promises(folder, row), *_difference(folder, row), *_paid(folder, device, row))
    return Trace(_heading(device), tuple(moments), closing)


def _heading(device: Row) -> str:
    enrolled = "not enrolled" if device["service"] == "none" else f"enrolled in {device['service']}"
    place = f"home {device['home']} at {device['gsp']}, unit {device['unit']}, {enrolled}"
    plant = f"{device['rating_w'] / 1000:g} kW, {device['battery_wh'] / 1000:.0f} kWh, by {device['route']}"
    return f"device {device['row']}: {place}; {plant}"


def _of(folder: RunFolder, table: str, row: int) -> list[dict[str, Any]]:
    rows = folder.table(table)
    found: list[dict[str, Any]] = rows.filter(pc.equal(rows["row"], row)).to_pylist()
    return found


def _happened(folder: RunFolder, device: Row) -> Iterator[Moment]:
    tell = _Teller(device["battery_wh"])
    for event in _of(folder, "device_events", device["row"]):
        if event["arm"] == "lived" and (words := tell.words(event["kind"], event["value"])):
            yield Moment(event["at_ms"], words, _ORDER.index(event["kind"]) if event["kind"] in _ORDER else 0)


@dataclass(slots=True)
class _Teller:
    """Words for what happens to a car of a known battery. Where it is full is told as such."""

    battery_wh: int

    def words(self, kind: str, value: int) -> str:
        """One event in words; empty for what is told elsewhere."""
        tellers: dict[str, Callable[[int], str]] = {
            "plugged_in": lambda wh: f"plugged in with {self._percent(wh)}",
            "unplugged": lambda _: "unplugged",
            "charging": lambda w: f"charging at {w / 1000:g} kW",
            "stopped": lambda wh: (
                f"charging stopped at {self._percent(wh)}" + (", full" if self._full(wh) else "")
            ),
            "held_back": lambda w: "held back" if w < 1380 else f"held to {w / 1000:g} kW",
            "limit_ended": lambda _: "limit ended, back to its own will",
            "boosted": lambda _: "driver pressed boost: charges whatever is instructed",
            "ready_check": lambda wh: (
                "deadline: charged as promised" if wh <= 0 else f"deadline: {wh / 1000:.1f} kWh short"
            ),
            "left": lambda _: "drove away",
            "returned": lambda wh: f"came home after using {wh / 1000:.1f} kWh",
            "order": lambda outcome: (
                f"set-point arrived and was {_ANSWERS.get(AckOutcome(outcome), 'refused')}"
            ),
        }
        return tellers[kind](value) if kind in tellers else kind.replace("_", " ")

    def _percent(self, wh: int) -> str:
        return f"{wh / self.battery_wh:.0%}"

    def _full(self, wh: int) -> bool:
        return wh >= self.battery_wh * 0.995


def _messages(folder: RunFolder, row: int) -> Iterator[Moment]:
    """Set-points on their way; a second one for the same instruction is a retry or renewal, and says so."""
    if not folder.has_table("device_messages"):
        return
    sent: dict[str, str] = {}
    for message in _of(folder, "device_messages", row):
        arrived = message["fate"] in ARRIVED
        fate = f", {_FATES.get(message['fate'], message['fate'])}" if not arrived else ""
        if message["what"] == "acks":
            if not arrived:
                yield Moment(message["at_ms"], f"its acknowledgement was {fate.removeprefix(', ')}")
            continue
        name = message["instruction_id"]
        again = {"": "", "lost": " again"}.get(sent.get(name, ""), " once more")
        sent[name] = "arrived" if arrived else "lost"
        yield Moment(message["at_ms"], f"told{again} to {_asked(message)}{fate}")


def _changes(folder: RunFolder, row: int) -> Iterator[Moment]:
    """What became of it as an enrolled asset, and who heard of it."""
    if not folder.has_table("registry_changes"):
        return
    for change in _of(folder, "registry_changes", row):
        listener = "settlement" if change["kind"] == "msid_deallocated" else "the aggregator"
        heard = (
            "nobody told" if change["heard_ms"] is None else f"{listener} heard {stamp(change['heard_ms'])}"
        )
        yield Moment(change["at_ms"], f"{_CHANGES[change['kind']]} ({heard})")
        if change["setpoints_unheard"]:
            yield Moment(
                change["at_ms"], f"set-points sent all the same, and refused: {change['setpoints_unheard']}"
            )


def _asked(message: Row) -> str:
    whom = f" ({message['instruction_id']})" if message["instruction_id"] else ""
    if message["limit_w"] == NO_LIMIT_W:
        return f"charge as it likes{whom}"
    what = "wait" if message["limit_w"] == 0 else f"keep below {message['limit_w'] / 1000:g} kW"
    return f"{what} until {clock(message['until_ms'])}{whom}"


def _promises(folder: RunFolder, row: int) -> Iterator[str]:
    for promise in _of(folder, "promises", row):
        when = stamp(promise["ready_by_ms"])
        if promise["reached"]:
            yield f"promise for {when}: kept"
        elif promise["reached"] is not None:
            blame = (
                "kept without instructions"
                if promise["reached_without_instructions"]
                else "missed either way"
            )
            yield f"promise for {when}: {promise['short_wh'] / 1000:.1f} kWh short; {blame}"


def _difference(folder: RunFolder, row: int) -> Iterator[str]:
    """How its day would have been without instructions: when it would have stopped charging."""
    events = [event for event in _of(folder, "device_events", row) if event["kind"] == "stopped"]
    ends = {arm: [event["at_ms"] for event in events if event["arm"] == arm] for arm in ("lived", "without")}
    if ends["lived"] and ends["without"] and ends["lived"][-1] != ends["without"][-1]:
        without = stamp(ends["without"][-1])
        yield f"last stopped charging {stamp(ends['lived'][-1])}; without instructions {without}"


def _paid(folder: RunFolder, device: Row, row: int) -> Iterator[str]:
    """What each instruction earned that this car was asked to help with, and how much of it this car gave."""
    if not folder.has_table("device_messages"):
        return
    named = sorted({message["instruction_id"] for message in _of(folder, "device_messages", row)} - {""})
    if not named:
        yield "never asked to wait"
    events = _of(folder, "device_events", row)
    deliveries = folder.table("deliveries").to_pylist()
    lines = folder.table("settlement").to_pylist()
    for name in named:
        mine = [entry for entry in deliveries if entry["instruction_id"] == name]
        if not mine:
            continue
        given_wh = sum(_turned_down_wh(events, entry["at_ms"], entry["end_ms"]) for entry in mine)
        whole_wh = sum(entry["true_wh"] for entry in mine)
        periods = {(entry["unit"], entry["at_ms"] // PERIOD_MS) for entry in mine}
        amount = sum(
            line["amount_gbp_e5"]
            for line in lines
            if line["service"] == device["service"]
            and (line["unit"], line["start_ms"] // PERIOD_MS) in periods
        )
        share = f", {given_wh / whole_wh:.2%} of its unit's" if whole_wh > 0 else ""
        told = f"{name}: drew {given_wh / 1000:.1f} kWh less than it would have{share}"
        yield f"{told}; paid to unit {mine[0]['unit']}: £{amount / GBP_E5:,.2f}"


def _turned_down_wh(events: list[dict[str, Any]], start_ms: int, end_ms: int) -> float:
    """Energy without instructions less energy lived, between two moments [Wh]."""
    return _energy_wh(events, "without", start_ms, end_ms) - _energy_wh(events, "lived", start_ms, end_ms)


def _energy_wh(events: list[dict[str, Any]], arm: str, start_ms: int, end_ms: int) -> float:
    """Energy drawn between two moments [Wh]: power holds from one change to the next."""
    total, since_ms, power_w = 0, start_ms, 0
    changes = [
        (event["at_ms"], event["value"] if event["kind"] == "charging" else 0)
        for event in events
        if event["arm"] == arm and event["kind"] in {"charging", "stopped"}
    ]
    for at_ms, next_w in sorted(changes):
        if at_ms >= end_ms:
            break
        total += power_w * max(0, at_ms - since_ms)
        since_ms, power_w = max(since_ms, at_ms), next_w
    return (total + power_w * (end_ms - since_ms)) / HOUR_MS
