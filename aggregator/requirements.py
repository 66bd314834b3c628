"""What becomes of every requirement that is heard: a table of cases, one remark each.

Tried in this order (kinds of remark in quotes):

| case | outcome |
|---|---|
| ends at or before its start, or asks for no number of MW, up or down | "malformed_requirement": ignored |
| says what the latest one heard of its event says | "duplicate_requirement": ignored |
| of an earlier version than the latest one heard | "requirement_overtaken": ignored |
| its event was cancelled | "event_cancelled": no bid |
| bids have closed | "bid_window_closed": no bid |
| its event is known with other times, megawatts or price | "requirement_amended": takes the place of what \
was known; where that was bid for, it is bid for anew |
| anything else | bid for shortly before the window closes |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, replace

from protocol.messages import DfsRequirement, ServiceRequirement
from protocol.periods import period_of

Asked = DfsRequirement | ServiceRequirement

IGNORED = frozenset(
    {
        "malformed_requirement",
        "duplicate_requirement",
        "requirement_overtaken",
        "event_cancelled",
        "bid_window_closed",
    }
)
AMENDED = "requirement_amended"


def verdict(
    requirement: Asked, known: Asked | None, cancelled: Sequence[str], now_ms: int
) -> tuple[str, str]:
    """Kind and detail of the remark by the table above; two empty ones for a new requirement.

    `known`: the latest one heard of its event (of a service that is bought by place: and place).
    """
    name = requirement.event_id
    if requirement.end_ms <= requirement.start_ms or not 0 < abs(requirement.turn_down_mw) < math.inf:
        return "malformed_requirement", f"event {name}: no length, or no number of MW"
    if known is not None and _says(known) == _says(requirement):
        return "duplicate_requirement", f"event {name} came again"
    if known is not None and requirement.version < known.version:
        return (
            "requirement_overtaken",
            f"event {name}: version {requirement.version} after version {known.version}",
        )
    if name in cancelled:
        return "event_cancelled", f"event {name} was cancelled before: no bid"
    if now_ms >= requirement.submit_by_ms:
        return "bid_window_closed", f"event {name}: bids closed before we heard of it"
    if known is not None:
        return AMENDED, f"event {name}: {_brief(known)} became {_brief(requirement)}"
    return "", ""


def _says(requirement: Asked) -> tuple[object, ...]:
    """All that it says, whichever version it is."""
    return astuple(replace(requirement, version=1))


def _brief(requirement: Asked) -> str:
    first, last = period_of(requirement.start_ms), period_of(requirement.end_ms - 1)
    return f"{requirement.turn_down_mw} MW in periods {first.number} to {last.number} of {first.day}"
