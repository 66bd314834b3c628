"""The services that flexibility can be sold to, and the three answers a rule can give.

The seam between eligibility (who may), stacking (with what else) and the markets: all of them speak of
`Product` and of `Answer`. Who buys a product, and what the ENA's stacking tool calls it, is data in
`stacking.yaml`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Product(StrEnum):
    """A service that is bought, or a price that is answered to."""

    BM = "bm"
    TCM = "tcm"
    LCM = "lcm"
    DFS = "dfs"
    SUSTAIN = "sustain"
    SUSTAIN_H = "sustain_h"
    SECURE = "secure"
    DYNAMIC = "dynamic"
    RESTORE = "restore"
    WHOLESALE = "wholesale"
    CAPACITY_MARKET = "capacity_market"
    STATIC_TOU = "static_tou"


TITLES: dict[Product, str] = {
    Product.BM: "Balancing Mechanism (secondary BM Unit)",
    Product.TCM: "Thermal Constraint Management (CrowdFlex)",
    Product.LCM: "Local Constraint Market",
    Product.DFS: "Demand Flexibility Service",
    Product.SUSTAIN: "Sustain",
    Product.SUSTAIN_H: "Sustain-H",
    Product.SECURE: "Secure",
    Product.DYNAMIC: "Dynamic",
    Product.RESTORE: "Restore",
    Product.WHOLESALE: "Wholesale (P415)",
    Product.CAPACITY_MARKET: "Capacity Market",
    Product.STATIC_TOU: "Static time-of-use tariff",
}


BUYERS: dict[Product, str] = {
    Product.TCM: "constraint_market",
    Product.LCM: "constraint_market",
    Product.SUSTAIN: "dso",
    Product.SUSTAIN_H: "dso",
    Product.SECURE: "dso",
    Product.DYNAMIC: "dso",
    Product.RESTORE: "dso",
    Product.WHOLESALE: "exchange",
    Product.CAPACITY_MARKET: "capacity_market",
}
"""The party that buys each service besides DFS and the BM, by the name that mail is addressed with."""


class Answer(IntEnum):
    """What a rule says. The order is that of Kleene's logic: all of several rules say the least of them."""

    NO = 0
    UNKNOWN = 1  # no source says, or a fact is not known; never a yes
    YES = 2


@dataclass(frozen=True, slots=True)
class Block:
    """A rule that does not say yes.

    `answer`: NO or UNKNOWN. `dimension`: what it is about ("settlement status"). `reason`: in plain words.
    `clause`, `source`, `tag`: as in the rulebooks (tags: protocol/rulebook.py).
    """

    answer: Answer
    dimension: str
    reason: str
    clause: str
    source: str
    tag: str


def all_of(blocks: Iterable[Block]) -> Answer:
    """What several rules say together: yes where none blocks."""
    return min((block.answer for block in blocks), default=Answer.YES)
