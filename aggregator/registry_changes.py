"""What is done about assets that are no longer what was enrolled: moved, withdrawn, swapped, rejected.

Heard from customers, vendors and settlement (`RegistryChange`), from a vendor that refuses an order for want
of consent, or seen in a register that begins anew. From the moment it is heard of, an asset whose consent
has ended or that settlement rejects is in no unit: it is not looked at, told, foreseen, bid or polled, and
whatever it had been told is left to end by itself. Who never says anything is stale, and no more is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aggregator.registry import Registry, Standing
from aggregator.sending import let_be
from aggregator.settings import Assumptions
from aggregator.telemetry import Records, Store, expect_exchange, forget, regroup
from protocol.messages import I32, I64, UNKNOWN, AckOutcome, Acks, Change, RegistryChange

ENDS = {
    Change.MOVED: Standing.MOVED,
    Change.WITHDRAWN: Standing.WITHDRAWN,
    Change.DEALLOCATED: Standing.REJECTED,
}
"""After these an asset is sold no more."""


@dataclass(frozen=True, slots=True)
class Books:
    """All that an asset is written in."""

    registry: Registry
    store: Store
    control: Records
    assumed: Assumptions


def take_change(books: Books, told: RegistryChange, now_ms: int) -> I32:
    """Act on what was told; gives the rows for which it was news."""
    if told.kind in ENDS:
        return strike(books, told.rows, ENDS[told.kind], told.effective_ms, now_ms)
    if told.kind is Change.ENROLLED:
        return reinstate(books, told.rows, told.effective_ms, now_ms)
    if told.kind is Change.SWAPPED:
        return swap(books, told.rows, told.effective_ms, now_ms, seen=False)
    announced = told.report_every_s != UNKNOWN
    every_s = np.minimum(told.report_every_s[announced], 65_535)
    books.store.board["report_every_s"][told.rows[announced]] = every_s
    return np.asarray(told.rows[announced])


def strike(books: Books, rows: I32, standing: Standing, since_ms: I64, now_ms: int) -> I32:
    """Take assets out of their units; gives those of which nothing newer, nor any other end, was known."""
    entries, ended = books.registry.entries, set(ENDS.values())

    def is_news(row: int, at_ms: int) -> bool:
        known = entries.get(row)
        return known is None or (known.standing not in ended and known.since_ms <= at_ms)

    news = np.array(list(map(is_news, rows.tolist(), since_ms.tolist())), bool)
    rows, since_ms = rows[news], since_ms[news]
    books.registry.enter(rows, standing, since_ms, now_ms)
    let_be(books.control, rows)
    _place(books, rows, np.zeros(len(rows), np.int16), now_ms)
    return rows


def reinstate(books: Books, rows: I32, since_ms: I64, now_ms: int) -> I32:
    """Assets of new occupants, back in the units that they were enrolled in; their habits are not known.

    Not those that settlement rejects.
    """
    entries = books.registry.entries
    taken = [row not in entries or entries[row].standing is not Standing.REJECTED for row in rows.tolist()]
    rows, since_ms = rows[np.array(taken, bool)], since_ms[np.array(taken, bool)]
    books.registry.enter(rows, Standing.ACTIVE, since_ms, now_ms)
    let_be(books.control, rows)
    forget(books.store, rows)
    _place(books, rows, books.registry.enrolled_in(rows), now_ms)
    return rows


def swap(books: Books, rows: I32, since_ms: I64, now_ms: int, *, seen: bool) -> I32:
    """Another meter, as told or as `seen` in its register; gives the rows for which that was news.

    One that is seen after it was told of, or told of after it was seen, is the same.
    """
    entries = books.registry.entries
    first = np.array(
        [row not in entries or entries[row].standing is Standing.ACTIVE for row in rows.tolist()], bool
    )
    books.registry.enter(rows[first], Standing.SWAPPED, since_ms[first], now_ms)
    if not seen:
        expect_exchange(books.store, rows[first])
    return np.asarray(rows[first])


def refusals(acks: Acks) -> I32:
    """Rows of which a vendor says that there is no consent any more, rising."""
    return np.unique(acks.rows[acks.outcome == AckOutcome.NO_CONSENT]).astype(np.int32)


def _place(books: Books, rows: I32, group: np.ndarray[tuple[int], np.dtype[np.int16]], now_ms: int) -> None:
    if len(rows):
        rating_w = books.store.board["rating_w"][rows]
        books.registry.place(rows, group, rating_w, books.assumed)
        regroup(books.store, rows, group, now_ms)
