"""Accepted volumes: how many MWh of each bid-offer pair each acceptance of a BM Unit took in one period.

Each acceptance is measured against what was in force before it, which is the latest earlier acceptance or
else the FPN. Levels are export-positive [MW] and piecewise linear; the integrals are exact (fractions) and
no profile is sampled. Source: BSC Section T3 as confirmed against Elexon's published stack. Hard cases:
docs/rules.md R30-R36.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from protocol.messages import BidOfferAcceptance, BidOfferPair, Point, Profile
from protocol.units import exact

BEYOND_PAIRS = 0
"""The pair number under which volume is reported that no submitted pair is wide enough to hold (rule R34)."""

_MS_PER_HOUR = 3_600_000


class ProfileError(ValueError):
    """A profile, a pair or an acceptance from which no volume can be worked out."""


@dataclass(frozen=True, slots=True)
class AcceptanceVolume:
    """What one acceptance took of one pair in one period: `offer_mwh` >= 0 (QAO), `bid_mwh` <= 0 (QAB)."""

    acceptance: int
    pair: int
    offer_mwh: float
    bid_mwh: float


class _Segment(NamedTuple):
    """A straight piece of a profile, longer than nothing."""

    start_ms: int
    end_ms: int
    start_mw: Fraction
    end_mw: Fraction


class _Piece(NamedTuple):
    """A stretch on which old and new level run straight and do not cross; levels relative to the FPN."""

    duration_ms: Fraction
    old_mw: tuple[Fraction, Fraction]
    new_mw: tuple[Fraction, Fraction]


class _Bands(NamedTuple):
    """All bands, lowest first: `edges_mw` (n + 1) between, `pairs` (n + 2) with the endless outer two."""

    edges_mw: tuple[Fraction, ...]
    pairs: tuple[int, ...]


def accepted_volumes(
    fpn: Profile,
    acceptances: Sequence[BidOfferAcceptance],
    pairs: Sequence[BidOfferPair],
    period_ms: tuple[int, int],
) -> tuple[AcceptanceVolume, ...]:
    """QAO and QAB of every acceptance and pair in a period (start, end) [UTC ms], where not both are nothing.

    `acceptances` are those that stand, in any order: they take effect in the order of (accepted_ms,
    number). Rows come in that order, pairs from the lowest band up; what lies beyond all pairs comes under
    `BEYOND_PAIRS`. The sum of all rows is the energy between the last profile in force and the FPN. Raises
    ProfileError for an FPN that does not cover the period, corners out of order, pairs with a gap in their
    numbers, or an acceptance number given twice.
    """
    notified = _covering(fpn, period_ms)
    bands = _bands(pairs)
    in_force = notified
    rows: list[AcceptanceVolume] = []
    for acceptance in _in_order(acceptances):
        accepted = _clip(_segments(acceptance.profile), *period_ms)
        if accepted:
            old, in_force = in_force, _overlay(in_force, accepted)
            stretch = (accepted[0].start_ms, accepted[-1].end_ms)
            pieces = list(_pieces(*(_clip(levels, *stretch) for levels in (notified, old, in_force))))
            rows += _rows(acceptance.number, bands, pieces)
    return tuple(rows)


def pair_volumes(volumes: Iterable[AcceptanceVolume]) -> dict[int, tuple[Fraction, Fraction]]:
    """QAO and QAB of each pair, summed over the acceptances [MWh], lowest pair first. The sum is exact."""
    totals: dict[int, tuple[Fraction, Fraction]] = {}
    for row in volumes:
        offer, bid = totals.get(row.pair, (Fraction(0), Fraction(0)))
        totals[row.pair] = (offer + exact(row.offer_mwh), bid + exact(row.bid_mwh))
    return dict(sorted(totals.items()))


def profile_in_force(
    fpn: Profile, acceptances: Sequence[BidOfferAcceptance], period_ms: tuple[int, int]
) -> Profile:
    """The level that a unit has to follow in a period: its FPN with every acceptance laid over it in turn."""
    in_force = _covering(fpn, period_ms)
    for acceptance in _in_order(acceptances):
        in_force = _overlay(in_force, _clip(_segments(acceptance.profile), *period_ms))
    return _profile(in_force)


def profile_mwh(profile: Profile, period_ms: tuple[int, int]) -> float:
    """The energy under a profile in a period [MWh, export positive]: the Period FPN, where the profile is
    the FPN.
    """
    return float(sum(_area(segment) for segment in _covering(profile, period_ms)) / _MS_PER_HOUR)


def _in_order(acceptances: Sequence[BidOfferAcceptance]) -> list[BidOfferAcceptance]:
    if len({acceptance.number for acceptance in acceptances}) < len(acceptances):
        raise ProfileError(f"an acceptance number comes twice in {[item.number for item in acceptances]}")
    return sorted(acceptances, key=lambda item: (item.accepted_ms, item.number))


def _segments(profile: Profile) -> list[_Segment]:
    """The straight pieces between corners; a step (two corners at one time) has no length and falls away."""
    if any(after.at_ms < before.at_ms for before, after in pairwise(profile)):
        raise ProfileError(f"profile corners must be in time order: {[point.at_ms for point in profile]}")
    return [
        _Segment(before.at_ms, after.at_ms, exact(before.level_mw), exact(after.level_mw))
        for before, after in pairwise(profile)
        if before.at_ms < after.at_ms
    ]


def _covering(profile: Profile, period_ms: tuple[int, int]) -> list[_Segment]:
    start_ms, end_ms = period_ms
    segments = _clip(_segments(profile), start_ms, end_ms)
    if not segments or segments[0].start_ms > start_ms or segments[-1].end_ms < end_ms:
        raise ProfileError(f"the profile does not cover the period from {start_ms} to {end_ms} ms")
    return segments


def _profile(segments: list[_Segment]) -> Profile:
    """Corners of joined segments; a corner is kept twice only where there is a step."""
    corners: list[tuple[int, Fraction]] = []
    for segment in segments:
        for corner in ((segment.start_ms, segment.start_mw), (segment.end_ms, segment.end_mw)):
            if not corners or corners[-1] != corner:
                corners.append(corner)
    return tuple(Point(at_ms, float(level_mw)) for at_ms, level_mw in corners)


def _clip(segments: list[_Segment], start_ms: int, end_ms: int) -> list[_Segment]:
    """The parts of the segments within [start, end)."""
    return [
        _cut(segment, max(start_ms, segment.start_ms), min(end_ms, segment.end_ms))
        for segment in segments
        if segment.start_ms < end_ms and segment.end_ms > start_ms
    ]


def _cut(segment: _Segment, start_ms: int, end_ms: int) -> _Segment:
    slope = (segment.end_mw - segment.start_mw) / (segment.end_ms - segment.start_ms)
    return _Segment(
        start_ms,
        end_ms,
        segment.start_mw + slope * (start_ms - segment.start_ms),
        segment.end_mw - slope * (segment.end_ms - end_ms),
    )


def _overlay(old: list[_Segment], new: list[_Segment]) -> list[_Segment]:
    """The new segments where they cover, the old ones elsewhere."""
    if not new:
        return old
    start_ms, end_ms = new[0].start_ms, new[-1].end_ms
    return _clip(old, old[0].start_ms, start_ms) + new + _clip(old, end_ms, old[-1].end_ms)


def _pieces(notified: list[_Segment], old: list[_Segment], new: list[_Segment]) -> Iterator[_Piece]:
    """The stretch that all three cover, cut where any of them bends and where old and new cross."""
    cuts = sorted({at_ms for levels in (notified, old, new) for item in levels for at_ms in item[:2]})
    for f, a, b in zip(_refine(notified, cuts), _refine(old, cuts), _refine(new, cuts), strict=True):
        duration_ms = Fraction(f.end_ms - f.start_ms)
        old_mw = (a.start_mw - f.start_mw, a.end_mw - f.end_mw)
        new_mw = (b.start_mw - f.start_mw, b.end_mw - f.end_mw)
        yield from _uncrossed(_Piece(duration_ms, old_mw, new_mw))


def _refine(segments: list[_Segment], cuts: list[int]) -> list[_Segment]:
    return [
        _cut(segment, start_ms, end_ms)
        for segment in segments
        for start_ms, end_ms in pairwise(cuts)
        if segment.start_ms <= start_ms and end_ms <= segment.end_ms
    ]


def _uncrossed(piece: _Piece) -> list[_Piece]:
    """The piece, or its two parts on either side of the moment at which old and new level cross."""
    gap_start = piece.new_mw[0] - piece.old_mw[0]
    gap_end = piece.new_mw[1] - piece.old_mw[1]
    if gap_start * gap_end >= 0:
        return [piece]
    share = gap_start / (gap_start - gap_end)
    meeting_mw = piece.old_mw[0] + share * (piece.old_mw[1] - piece.old_mw[0])
    return [
        _Piece(piece.duration_ms * share, (piece.old_mw[0], meeting_mw), (piece.new_mw[0], meeting_mw)),
        _Piece(piece.duration_ms * (1 - share), (meeting_mw, piece.old_mw[1]), (meeting_mw, piece.new_mw[1])),
    ]


def _bands(pairs: Sequence[BidOfferPair]) -> _Bands:
    """Where each pair lies, relative to the FPN; the two endless bands outside are `BEYOND_PAIRS`."""
    by_number = {pair.number: pair for pair in pairs}
    if len(by_number) < len(pairs) or 0 in by_number:
        raise ProfileError(f"pair numbers must be different and not 0: {[pair.number for pair in pairs]}")
    numbers = sorted(by_number)
    above = [by_number[number] for number in numbers if number > 0]
    below = [by_number[number] for number in reversed(numbers) if number < 0]
    edges = [*reversed(_edges(below, -1)), Fraction(0), *_edges(above, 1)]
    return _Bands(tuple(edges), (BEYOND_PAIRS, *numbers, BEYOND_PAIRS))


def _edges(pairs: list[BidOfferPair], sign: int) -> list[Fraction]:
    """Outer edges of the pairs of one side, from the FPN outwards."""
    edges: list[Fraction] = []
    edge = Fraction(0)
    for place, pair in enumerate(pairs, start=1):
        if pair.number != sign * place:
            raise ProfileError(f"there is a pair {pair.number} but no pair {sign * place}")
        if pair.width_mw < 0:
            raise ProfileError(f"pair {pair.number} is {pair.width_mw} MW wide; a width cannot be negative")
        edge += sign * exact(pair.width_mw)
        edges.append(edge)
    return edges


def _rows(number: int, bands: _Bands, pieces: list[_Piece]) -> Iterator[AcceptanceVolume]:
    """One acceptance's volumes by pair, from its pieces."""
    offers: defaultdict[int, Fraction] = defaultdict(Fraction)
    bids: defaultdict[int, Fraction] = defaultdict(Fraction)
    for piece in pieces:
        for pair, volume in zip(bands.pairs, _band_volumes(piece, bands.edges_mw), strict=True):
            (offers if volume > 0 else bids)[pair] += volume
    for pair in sorted(offers.keys() | bids.keys()):
        offer, bid = offers[pair] / _MS_PER_HOUR, bids[pair] / _MS_PER_HOUR
        if offer or bid:
            yield AcceptanceVolume(number, pair, float(offer), float(bid))


def _band_volumes(piece: _Piece, edges_mw: tuple[Fraction, ...]) -> list[Fraction]:
    """What the step from old to new level adds within each band, lowest first [MW ms].

    A band gets what is gained above its lower edge but not above its upper one. As old and new do not cross
    in a piece, all bands gain or all lose.
    """
    gained = [_mean_above(piece.new_mw, edge) - _mean_above(piece.old_mw, edge) for edge in edges_mw]
    whole = (sum(piece.new_mw) - sum(piece.old_mw)) / Fraction(2)
    ladder = [whole, *gained, Fraction(0)]
    return [piece.duration_ms * (lower - upper) for lower, upper in pairwise(ladder)]


def _mean_above(ends_mw: tuple[Fraction, Fraction], edge_mw: Fraction) -> Fraction:
    """The mean over a straight line between two levels of how far it lies above an edge [MW]."""
    start, end = ends_mw[0] - edge_mw, ends_mw[1] - edge_mw
    if start <= 0 and end <= 0:
        return Fraction(0)
    if start >= 0 and end >= 0:
        return (start + end) / 2
    return max(start, end) ** 2 / (2 * abs(start - end))


def _area(segment: _Segment) -> Fraction:
    return (segment.start_mw + segment.end_mw) * (segment.end_ms - segment.start_ms) / 2
