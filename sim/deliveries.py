"""Asked, believed, metered, settled and true delivery of every accepted instruction, period by period.

The one place where what settlement says is put beside the truth. Turning demand down is positive; energy
is in whole Wh.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from protocol.instruction import Stage
from protocol.periods import HOUR_MS, PERIOD_MS
from protocol.units import WH_PER_MWH
from sim.run_folder import NONE, Columns, Words

BASELINE, METERED, DELIVERED = "baseline", "metered", "delivered"
"""Items under which a statement tells volumes [MWh, import and turn-down positive] beside its amounts."""

TrueTurnDown = Callable[[str, str, int, int], int]
"""True turn-down of (unit, service) between two moments [Wh]."""


class Delivery(NamedTuple):
    """One row of the table `deliveries`."""

    service: str
    unit: str
    instruction_id: str
    at_ms: int
    end_ms: int
    instructed_wh: int
    believed_wh: int
    baseline_wh: int
    metered_wh: int
    settled_wh: int
    true_wh: int
    settled_minus_true_wh: int


@dataclass(frozen=True, slots=True)
class _Instruction:
    instruction_id: str
    service: str
    unit: str
    start_ms: int
    end_ms: int
    turn_down_w: int


@dataclass(frozen=True, slots=True)
class _Beliefs:
    """What was told of one instruction, in the order of time."""

    at_ms: tuple[int, ...]
    instructed_w: tuple[int, ...]
    believed_w: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """The part of an instruction that lies in one settlement period."""

    instruction: _Instruction
    at_ms: int
    end_ms: int
    instructed_wh: int
    believed_wh: int


def deliveries(
    instructions: Columns, beliefs: Columns, settlement: Columns, true_turn_down_wh: TrueTurnDown
) -> list[Delivery]:
    """All rows, in the table's order. What is not known is NONE.

    Where instructions of one unit and service share a period, settled and true volumes are shared out by
    what was instructed, and the meters' volumes stand with the first: sums count nothing twice.
    """
    told = _beliefs(beliefs)
    settled = _settled(settlement)
    periods: dict[tuple[str, str, int], list[_Piece]] = defaultdict(list)
    for instruction in _accepted(instructions):
        for piece in _pieces(instruction, told.get(instruction.instruction_id)):
            key = (instruction.service, instruction.unit, piece.at_ms // PERIOD_MS * PERIOD_MS)
            periods[key].append(piece)
    rows = [
        row
        for key, pieces in periods.items()
        for row in _period_rows(pieces, settled.get(key, {}), true_turn_down_wh)
    ]
    return sorted(rows, key=lambda row: (row.service, row.unit, row.at_ms, row.instruction_id))


def service_of(name: str) -> str:
    """The service as `protocol.messages.Service` calls it, in small letters."""
    lowered = name.lower()
    return "balancing" if lowered == "bm" else lowered


def share_out(total: int, weights: list[int]) -> list[int]:
    """Whole parts of a total in proportion to weights; they add up to the total exactly."""
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    parts, given, seen = [], 0, 0
    for weight in weights:
        seen += weight
        parts.append(total * seen // whole - given)
        given += parts[-1]
    return parts


def _accepted(instructions: Columns) -> Iterable[_Instruction]:
    """Those that were accepted; a superseded one ends when it was superseded."""
    steps = [
        dict(zip(instructions, row, strict=True))
        for row in zip(*map(_listed, instructions.values()), strict=True)
    ]
    accepted = {step["instruction_id"] for step in steps if step["stage"] == Stage.ACCEPTED.value}
    found: dict[str, _Instruction] = {}
    for step in steps:
        name = step["instruction_id"]
        if name not in accepted:
            continue
        instruction = _Instruction(
            name,
            service_of(step["service"]),
            step["unit"],
            step["start_ms"],
            step["end_ms"],
            step["turn_down_w"],
        )
        if step["stage"] == Stage.SUPERSEDED.value:
            instruction = replace(instruction, end_ms=min(instruction.end_ms, step["at_ms"]))
        found[name] = instruction
    return found.values()


def _beliefs(beliefs: Columns) -> dict[str, _Beliefs]:
    rows: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    names = ("instruction_id", "at_ms", "instructed_turn_down_w", "believed_turn_down_w")
    for name, *values in zip(*(_listed(beliefs[column]) for column in names), strict=True):
        rows[name].append((values[0], values[1], values[2]))
    return {name: _Beliefs(*map(tuple, zip(*sorted(found), strict=True))) for name, found in rows.items()}


def _settled(settlement: Columns) -> dict[tuple[str, str, int], dict[str, int]]:
    """Volumes by (service, unit, period) and item [Wh]; a later settlement run replaces an earlier one."""
    names = ("service", "unit", "start_ms", "item", "volume_mwh", "settlement_run", "reference")
    found: dict[tuple[str, str, int], dict[str, dict[str, dict[str, int]]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for service, unit, start_ms, item, mwh, run, reference in zip(
        *(_listed(settlement[column]) for column in names), strict=True
    ):
        if item in {BASELINE, METERED, DELIVERED}:
            runs = found[service_of(service), unit, start_ms][item]
            runs.setdefault(run, {})[reference] = round(mwh * WH_PER_MWH)
    return {
        key: {item: sum(list(runs.values())[-1].values()) for item, runs in items.items()}
        for key, items in found.items()
    }


def _pieces(instruction: _Instruction, told: _Beliefs | None) -> Iterable[_Piece]:
    at_ms = instruction.start_ms
    while at_ms < instruction.end_ms:
        end_ms = min(instruction.end_ms, (at_ms // PERIOD_MS + 1) * PERIOD_MS)
        if told is None:
            instructed_wh, believed_wh = round(instruction.turn_down_w * (end_ms - at_ms) / HOUR_MS), NONE
        else:
            instructed_wh = _held_wh(told.at_ms, told.instructed_w, at_ms, end_ms)
            believed_wh = _held_wh(told.at_ms, told.believed_w, at_ms, end_ms)
        yield _Piece(instruction, at_ms, end_ms, instructed_wh, believed_wh)
        at_ms = end_ms


def _held_wh(times_ms: tuple[int, ...], values_w: tuple[int, ...], start_ms: int, end_ms: int) -> int:
    """Energy between two moments when each value holds until the next; the first also before it [Wh]."""
    place = max(0, bisect_right(times_ms, start_ms) - 1)
    total, at_ms = 0, start_ms
    while at_ms < end_ms:
        until_ms = min(end_ms, times_ms[place + 1]) if place + 1 < len(times_ms) else end_ms
        total += values_w[place] * (until_ms - at_ms)
        at_ms, place = until_ms, place + 1
    return round(total / HOUR_MS)


def _period_rows(
    pieces: list[_Piece], settled: dict[str, int], true_turn_down_wh: TrueTurnDown
) -> list[Delivery]:
    weights = [abs(piece.instructed_wh) for piece in pieces]
    delivered = share_out(settled[DELIVERED], weights) if DELIVERED in settled else [NONE] * len(pieces)
    rows = []
    for place, (piece, true_wh, settled_wh) in enumerate(
        zip(pieces, _true_wh(pieces, weights, true_turn_down_wh), delivered, strict=True)
    ):
        rows.append(
            Delivery(
                piece.instruction.service,
                piece.instruction.unit,
                piece.instruction.instruction_id,
                piece.at_ms,
                piece.end_ms,
                piece.instructed_wh,
                piece.believed_wh,
                settled.get(BASELINE, NONE) if place == 0 else NONE,
                settled.get(METERED, NONE) if place == 0 else NONE,
                settled_wh,
                true_wh,
                NONE if settled_wh == NONE else settled_wh - true_wh,
            )
        )
    return rows


def _true_wh(pieces: list[_Piece], weights: list[int], true_turn_down_wh: TrueTurnDown) -> list[int]:
    """Truth of each piece; of pieces that overlap, the truth of all of them shared out."""
    first = pieces[0].instruction
    spans = sorted((piece.at_ms, piece.end_ms) for piece in pieces)
    apart = all(end_ms <= start_ms for (_, end_ms), (start_ms, _) in pairwise(spans))
    if apart:
        return [true_turn_down_wh(first.unit, first.service, piece.at_ms, piece.end_ms) for piece in pieces]
    total, reached_ms = 0, 0
    for start_ms, end_ms in spans:
        if end_ms > max(start_ms, reached_ms):
            total += true_turn_down_wh(first.unit, first.service, max(start_ms, reached_ms), end_ms)
            reached_ms = end_ms
    return share_out(total, weights)


def _listed(values: Any) -> list[Any]:
    if isinstance(values, Words):
        return [values.names[code] for code in values.codes]
    return list(values.tolist())
