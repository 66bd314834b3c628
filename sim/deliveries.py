"""Asked, believed, metered, settled and true delivery of every accepted instruction, period by period.

The one place where what settlement says is put beside the truth. Turning demand down is positive; energy
is in whole Wh.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

from protocol.instruction import Stage
from protocol.periods import HOUR_MS, PERIOD_MS, period_start_ms
from sim.run_folder import NONE, Columns, Words

_WITHDRAWN = frozenset({Stage.SUPERSEDED.value, Stage.EXPIRED.value})
"""After these an accepted instruction asks for nothing; a cancelled one of DFS has expired."""

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
    unit: str
    service: str
    start_ms: int
    end_ms: int
    turn_down_w: int


@dataclass(frozen=True, slots=True)
class _Beliefs:
    """What was told of one instruction, in the order of time."""

    at_ms: tuple[int, ...]
    instructed_w: tuple[int, ...]
    believed_w: tuple[int, ...]


class _Settled(NamedTuple):
    """What settlement found for a unit and period [Wh]."""

    baseline_wh: int
    metered_wh: int
    delivered_wh: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """The part of an instruction that lies in one settlement period."""

    instruction: _Instruction
    at_ms: int
    end_ms: int
    instructed_wh: int
    believed_wh: int


def deliveries(
    instructions: Columns, beliefs: Columns, volumes: Columns, true_turn_down_wh: TrueTurnDown
) -> list[Delivery]:
    """All rows, in the table's order. What is not known is NONE.

    Where instructions of one unit and service share a period, settled and true volumes are shared out by
    what was instructed, and the meters' volumes stand with the first: sums count nothing twice.
    """
    accepted = list(_accepted(instructions))
    told = _beliefs(beliefs)
    settled = _settled(volumes)
    turns_ms: dict[tuple[str, str], set[int]] = defaultdict(set)
    for instruction in accepted:
        turns_ms[instruction.service, instruction.unit].update(_of(instruction, told).at_ms)
    periods: dict[tuple[str, str, int], list[_Piece]] = defaultdict(list)
    for instruction in accepted:
        known = _while_governing(
            instruction, _of(instruction, told), turns_ms[instruction.service, instruction.unit]
        )
        for piece in _pieces(instruction, known):
            key = (instruction.service, instruction.unit, period_start_ms(piece.at_ms))
            periods[key].append(piece)
    rows = [
        row
        for key, pieces in periods.items()
        for row in _period_rows(pieces, settled.get(key), true_turn_down_wh)
    ]
    return sorted(rows, key=lambda row: (row.service, row.unit, row.at_ms, row.instruction_id))


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
    """Those that were accepted; one that was superseded or cancelled ends then."""
    steps = [
        dict(zip(instructions, row, strict=True))
        for row in zip(*map(_listed, instructions.values()), strict=True)
    ]
    accepted = {_identity(step) for step in steps if step["stage"] == Stage.ACCEPTED.value}
    found: dict[tuple[str, str], _Instruction] = {}
    for step in steps:
        name = _identity(step)
        if name not in accepted:
            continue
        instruction = _Instruction(
            *name,
            step["service"],
            step["start_ms"],
            step["end_ms"],
            step["turn_down_w"],
        )
        if step["stage"] in _WITHDRAWN:
            instruction = replace(instruction, end_ms=min(instruction.end_ms, step["at_ms"]))
        found[name] = instruction
    return found.values()


def _identity(step: Mapping[str, Any]) -> tuple[str, str]:
    """Units may be given the same event: an instruction is known by its id and its unit."""
    return step["instruction_id"], step["unit"]


def _beliefs(beliefs: Columns) -> dict[tuple[str, str], _Beliefs]:
    rows: dict[tuple[str, str], list[tuple[int, int, int]]] = defaultdict(list)
    names = ("instruction_id", "unit", "at_ms", "instructed_turn_down_w", "believed_turn_down_w")
    for name, unit, *values in zip(*(_listed(beliefs[column]) for column in names), strict=True):
        rows[name, unit].append((values[0], values[1], values[2]))
    return {name: _Beliefs(*map(tuple, zip(*sorted(found), strict=True))) for name, found in rows.items()}


def _of(instruction: _Instruction, told: Mapping[tuple[str, str], _Beliefs]) -> _Beliefs:
    return told.get((instruction.instruction_id, instruction.unit), _Beliefs((), (), ()))


def _while_governing(instruction: _Instruction, told: _Beliefs, turns_ms: Iterable[int]) -> _Beliefs:
    """What was told of an instruction, and nothing asked or believed at turns that told of others only.

    So it is while a later acceptance of the unit governs. `turns_ms`: when anything of the unit was told.
    """
    silent = {at_ms for at_ms in turns_ms if instruction.start_ms <= at_ms < instruction.end_ms}
    rows = [
        *zip(told.at_ms, told.instructed_w, told.believed_w, strict=True),
        *((at_ms, 0, 0) for at_ms in silent.difference(told.at_ms)),
    ]
    return _Beliefs(*map(tuple, zip(*sorted(rows), strict=True))) if rows else told


def _settled(volumes: Columns) -> dict[tuple[str, str, int], _Settled]:
    """Volumes by (service, unit, period), all references together; of each reference the last told."""
    names = ("service", "unit", "start_ms", "reference", "baseline_wh", "metered_wh", "delivered_wh")
    last: dict[tuple[str, str, int], dict[str, _Settled]] = defaultdict(dict)
    for service, unit, start_ms, reference, *wh in zip(
        *(_listed(volumes[column]) for column in names), strict=True
    ):
        last[service, unit, start_ms][reference] = _Settled(*wh)
    return {key: _Settled(*map(sum, zip(*by.values(), strict=True))) for key, by in last.items()}


def _pieces(instruction: _Instruction, told: _Beliefs) -> Iterable[_Piece]:
    at_ms = instruction.start_ms
    while at_ms < instruction.end_ms:
        end_ms = min(instruction.end_ms, period_start_ms(at_ms) + PERIOD_MS)
        if not told.at_ms:
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
    pieces: list[_Piece], settled: _Settled | None, true_turn_down_wh: TrueTurnDown
) -> list[Delivery]:
    weights = [abs(piece.instructed_wh) for piece in pieces]
    delivered = share_out(settled.delivered_wh, weights) if settled else [NONE] * len(pieces)
    rows = []
    for place, (piece, true_wh, settled_wh) in enumerate(
        zip(pieces, _true_wh(pieces, weights, true_turn_down_wh), delivered, strict=True)
    ):
        metered = settled if settled and place == 0 else _Settled(NONE, NONE, NONE)
        rows.append(
            Delivery(
                piece.instruction.service,
                piece.instruction.unit,
                piece.instruction.instruction_id,
                piece.at_ms,
                piece.end_ms,
                piece.instructed_wh,
                piece.believed_wh,
                metered.baseline_wh,
                metered.metered_wh,
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
