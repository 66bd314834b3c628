"""Laws of the talk and the money of further services, read off the tables of a run that is over.

Owns what a storm watches beside `sim.invariants`: every offer is answered once, every accepted award and
started signal is in the ledger (which ends each of its entries), and settlement found nothing paid twice or
for nobody. Market faults send answers again and change them: there each is answered at least once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from protocol.products import Product
from sim.run_folder import RunFolder

ANSWERED = (("service_offer", "service_award"), ("wholesale_order", "wholesale_trade"))
"""What is asked, and what answers it."""
BUYERS = {"service_offer": ("dso", "constraint_market"), "wholesale_order": ("exchange",)}
"""Who answers."""
INSTRUCTS = (Product.SUSTAIN, Product.SUSTAIN_H, Product.TCM, Product.WHOLESALE)
"""Services whose awards, or trades, are the instruction."""
ALARMS = ("paid_more_than_measured", "dispatch_without_award", "not_settled")
"""Remarks that tell of a broken law."""


def broken_laws(folder: RunFolder) -> Iterator[str]:
    """In words, each law that the run broke."""
    events = folder.table("events", ["kind", "who", "subject", "detail"]).to_pandas()
    levels = folder.table("market_levels", ["service", "what", "telling"]).to_pandas()
    ledger = set(folder.table("instructions", ["instruction_id"])["instruction_id"].to_pylist())
    yield from _unanswered(events)
    yield from _not_followed(events, levels, ledger)
    for kind in ALARMS:
        told = events[events["kind"] == kind]["detail"]
        yield from (f"law broken: {kind}: {each}" for each in told.head(1))


def _unanswered(events: pd.DataFrame) -> Iterator[str]:
    """What is asked is answered once by the unit; of a market that makes faults at least once by the event,
    as it may name another unit.
    """
    for asked, answer in ANSWERED:
        told = events[events["kind"].isin((asked, answer))]
        faulty = (events["kind"].str.startswith("fault_") & events["who"].isin(BUYERS[asked])).any()
        unit = told["detail"].str.split(":").str[0]
        about = told["subject"] if faulty else told["subject"] + " " + unit
        counts = pd.crosstab(about, told["kind"]).reindex(columns=[asked, answer], fill_value=0)
        wrong = counts[answer] < counts[asked] if faulty else counts[answer] != counts[asked]
        for key, row in counts[wrong].head(1).iterrows():
            yield f"law broken: answered_once: {key}: {row[asked]} {asked}, {row[answer]} {answer}"


def _not_followed(events: pd.DataFrame, levels: pd.DataFrame, ledger: set[str]) -> Iterator[str]:
    """What was awarded or called is in the ledger, be it as declined."""
    scheduled = levels["service"].isin([each.value for each in INSTRUCTS])
    awarded = set(levels[scheduled & (levels["what"] == "accepted")]["telling"])
    starts = (events["kind"] == "service_dispatch") & events["detail"].str.contains(": start")
    for law, keys in (
        ("awards_are_followed", awarded),
        ("calls_are_followed", set(events[starts]["subject"])),
    ):
        missing = sorted(keys - ledger)
        yield from (f"law broken: {law}: {key} has no entry" for key in missing[:1])
