"""What went over the wire, read back from the table `market_levels`: tellings, and their energy by period.

A telling is one message: all its points were heard at once. Volumes are turn-down positive, in whole Wh.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from protocol.accepted_volume import ProfileError, accepted_volumes
from protocol.messages import BidOfferAcceptance, Point, Profile
from protocol.periods import PERIOD_MS, period_start_ms
from protocol.units import WH_PER_MWH, exact
from sim.run_folder import RunFolder, RunFolderError

TABLE = "market_levels"
_PERIODS_PER_HOUR = 2

BM_TELLINGS = frozenset({"ORI", "UPD", "DEL"})


@dataclass(frozen=True, slots=True)
class Telling:
    """One message: `points` are (at [UTC ms] or None, level [MW]), in order."""

    heard_ms: int
    service: str
    unit: str
    reference: str
    what: str
    name: str
    points: tuple[tuple[int | None, float], ...]
    price_gbp_per_mwh: float | None

    @property
    def same_as(self) -> tuple[Any, ...]:
        """Equal for a message that came again."""
        return self.service, self.unit, self.reference, self.what, self.name, self.points


def tellings(folder: RunFolder) -> list[Telling]:
    """All tellings in the order in which they were heard. Raises RunFolderError where there is no table."""
    if folder.is_run() and not folder.has_table(TABLE):
        raise RunFolderError(f"{folder.path} was run before there was a table {TABLE}: run it again")
    found: list[Telling] = []
    rows: list[dict[str, Any]] = []
    for row in [*folder.table(TABLE).to_pylist(), None]:
        if rows and (row is None or row["place"] == 0):
            found.append(_telling(rows))
            rows = []
        if row is not None:
            rows.append(row)
    return found


def _telling(rows: list[dict[str, Any]]) -> Telling:
    first = rows[0]
    return Telling(
        first["heard_ms"], first["service"], first["unit"], first["reference"], first["what"],
        first["telling"], tuple((row["at_ms"], row["level_mw"]) for row in rows), first["price_gbp_per_mwh"],
    )  # fmt: skip


def bid_wh(telling: Telling, start_ms: int, first_ms: int | None = None) -> int:
    """What a bid or result holds in the period that starts at `start_ms`; `first_ms`: when a bid begins."""
    begins_ms = telling.points[0][0] if first_ms is None else first_ms
    place = -1 if begins_ms is None else (start_ms - begins_ms) // PERIOD_MS
    if not 0 <= place < len(telling.points):
        return 0
    return round(telling.points[place][1] * WH_PER_MWH / _PERIODS_PER_HOUR)


def profile_of(telling: Telling) -> Profile:
    """Its corners."""
    return tuple(Point(at_ms or 0, level_mw) for at_ms, level_mw in telling.points)


def touched(telling: Telling) -> range:
    """Starts of the periods that a profile reaches into."""
    first, last = telling.points[0][0] or 0, telling.points[-1][0] or 0
    return range(period_start_ms(first), max(last, first + 1), PERIOD_MS)


def profiles_wh(fpn: Profile | None, standing: Iterable[Telling], start_ms: int) -> int:
    """Energy of these acceptances over the FPN in a period, a later one over an earlier; 0 without an FPN."""
    return 0 if fpn is None else round(_exact_mwh(fpn, standing, start_ms) * WH_PER_MWH)


def _exact_mwh(fpn: Profile, standing: Iterable[Telling], start_ms: int) -> Fraction:
    acceptances = [_acceptance(telling) for telling in standing]
    try:
        volumes = accepted_volumes(fpn, acceptances, (), (start_ms, start_ms + PERIOD_MS))
    except ProfileError:
        return Fraction(0)
    return sum((exact(row.offer_mwh) + exact(row.bid_mwh) for row in volumes), Fraction(0))


def _acceptance(telling: Telling) -> BidOfferAcceptance:
    number, accepted_ms = (int(part) for part in telling.name.split())
    return BidOfferAcceptance(telling.unit, number, accepted_ms, profile_of(telling), False, "ORI")


def standing(bound: Iterable[Telling]) -> list[Telling]:
    """What stands of what settlement was told: the last of each name, nothing of what was taken back."""
    found: dict[str, Telling] = {}
    for telling in bound:
        if telling.what == "binding":
            found[telling.reference] = telling
        else:
            found.pop(telling.reference, None)
    return list(found.values())


def fpns(told: Iterable[Telling]) -> Mapping[tuple[str, int], Profile]:
    """The notification that settlement has, by unit and start of the period."""
    return {
        (telling.unit, telling.points[0][0] or 0): profile_of(telling)
        for telling in told
        if telling.what == "fpn" and all(math.isfinite(level_mw) for _, level_mw in telling.points)
    }
