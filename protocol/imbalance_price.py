"""The imbalance price: how the actions of a Settlement Period become the one system price.

Source: Elexon, Imbalance Pricing Guidance v15/16 (14 Jul 2025); BSC Section T, Annex T-1. Dated values
(DMAT, CADL, PAR, RPAR, VoLL) are the rulebook's. The stages, each in its own function and each leaving its
column, as in the published stack: price, DMAT, arbitrage, flags, NIV, replacement price, PAR. Hard cases:
docs/rules.md R190-R195.

Signs: a buy (offer, positive BSAD) has positive volume, a sell (bid, negative BSAD) negative. The *dear*
end of the stack is that which costs the system most: high prices for buys, low ones for sells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protocol.rulebook import Rulebook

FloatColumn = NDArray[np.float64]
FlagColumn = NDArray[np.bool_]

_MS_PER_MIN = 60_000
_NOTHING_MWH = 1e-9
"""Volume below which nothing is left: the grain of adding up floats."""


class PriceError(ValueError):
    """A stack from which no price can be worked out."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The actions of one period, one row each, all columns (n).

    `acceptance` is the acceptance a row belongs to (any integer; rows of one acceptance share it): the De
    Minimis test is of the whole acceptance. A price of NaN is an action without a price (BSAD).
    `cadl_flag` comes from `short_episodes`. `reserve` marks STOR actions, whose price the Reserve Scarcity
    Price may lift.
    """

    volume_mwh: FloatColumn
    price_gbp_per_mwh: FloatColumn
    acceptance: NDArray[np.int64]
    so_flag: FlagColumn
    cadl_flag: FlagColumn
    reserve: FlagColumn
    tlm: FloatColumn

    def __post_init__(self) -> None:
        columns = [getattr(self, name) for name in self.__slots__]
        if len({column.shape for column in columns}) > 1:
            raise PriceError(
                f"the columns of a stack differ in length: {[len(column) for column in columns]}"
            )


@dataclass(frozen=True, slots=True)
class ImbalancePrice:
    """The price and how it came about. Volumes are what is left of each action after the stage, signed (n).

    `niv_mwh` > 0: the system was short. `route` is "priced" (from priced actions or their replacement price),
    "replacement_market_index" (unpriced actions, replaced by the Market Index Price) or "market_index" (no
    net imbalance).
    """

    price_gbp_per_mwh: float
    niv_mwh: float
    replacement_price_gbp_per_mwh: float | None
    adjuster_gbp_per_mwh: float
    route: str
    repriced: FlagColumn
    dmat_adjusted_mwh: FloatColumn
    arbitrage_adjusted_mwh: FloatColumn
    niv_adjusted_mwh: FloatColumn
    par_adjusted_mwh: FloatColumn
    final_price_gbp_per_mwh: FloatColumn


def imbalance_price(
    stack: Stack,
    rules: Rulebook,
    market_index_gbp_per_mwh: float,
    buy_adjuster_gbp_per_mwh: float = 0.0,
    sell_adjuster_gbp_per_mwh: float = 0.0,
    reserve_scarcity_gbp_per_mwh: float = 0.0,
) -> ImbalancePrice:
    """The single system price (SSP = SBP) of a period and every stage on the way.

    `rules` is the BSC rulebook of the Settlement Day. The Buy Price Adjuster is added when the system is
    short, the Sell Price Adjuster when it is long. `reserve_scarcity_gbp_per_mwh` is that of
    `reserve_scarcity_price`.
    """
    offered = scarcity_priced(stack, reserve_scarcity_gbp_per_mwh)
    significant = dmat_tagged(stack.volume_mwh, stack.acceptance, rules.value("dmat_mwh"))
    traded = arbitrage_tagged(significant, offered)
    flagged = stack.so_flag | stack.cadl_flag
    classified = second_stage(traded, offered, flagged)
    net = niv_tagged(traded, classified)
    niv_mwh = float(net.sum())
    may_replace = np.ones_like(flagged) if rules.value("replacement_price_actions") == "priced" else ~flagged
    replacement = replacement_price(net, classified, may_replace, rules.value("rpar_mwh"))
    unpriced = np.isnan(classified)
    filled = np.where(unpriced, market_index_gbp_per_mwh if replacement is None else replacement, classified)
    reference = par_tagged(net, filled, rules.value("par_mwh"))
    balanced = abs(niv_mwh) < _NOTHING_MWH
    adjuster = 0.0 if balanced else buy_adjuster_gbp_per_mwh if niv_mwh > 0 else sell_adjuster_gbp_per_mwh
    main = market_index_gbp_per_mwh if balanced else _weighted(reference * stack.tlm, filled)
    by_index = replacement is None and bool((unpriced & (np.abs(reference) > _NOTHING_MWH)).any())
    route = "market_index" if balanced else "replacement_market_index" if by_index else "priced"
    return ImbalancePrice(
        price_gbp_per_mwh=main + adjuster,
        niv_mwh=niv_mwh,
        replacement_price_gbp_per_mwh=replacement,
        adjuster_gbp_per_mwh=adjuster,
        route=route,
        repriced=unpriced & (np.abs(net) > _NOTHING_MWH),
        dmat_adjusted_mwh=significant,
        arbitrage_adjusted_mwh=traded,
        niv_adjusted_mwh=net,
        par_adjusted_mwh=reference,
        final_price_gbp_per_mwh=filled,
    )


def reserve_scarcity_price(loss_of_load_probability: float, voll_gbp_per_mwh: float) -> float:
    """RSVP = LoLP x VoLL [GBP/MWh]. Source: Imbalance Pricing Guidance, Appendix 1."""
    return loss_of_load_probability * voll_gbp_per_mwh


def scarcity_priced(stack: Stack, reserve_scarcity_gbp_per_mwh: float) -> FloatColumn:
    """Prices with those of reserve buys lifted to the Reserve Scarcity Price where that is higher
    [GBP/MWh] (n).
    """
    lifted = np.maximum(stack.price_gbp_per_mwh, reserve_scarcity_gbp_per_mwh)
    return np.where(stack.reserve & (stack.volume_mwh > 0), lifted, stack.price_gbp_per_mwh)


def short_episodes(
    unit: NDArray[np.int64], start_ms: NDArray[np.int64], end_ms: NDArray[np.int64], limit_min: float
) -> FlagColumn:
    """The CADL flag of each acceptance (n): whether its episode is shorter than the limit.

    Acceptances of one unit that touch or overlap form one episode, however many there are.
    """
    order = np.lexsort((end_ms, start_ms, unit))
    flags = np.zeros(len(unit), np.bool_)
    episode: list[int] = []
    episode_end_ms = 0

    def close() -> None:
        first_ms = int(start_ms[episode].min())
        flags[episode] = episode_end_ms - first_ms < limit_min * _MS_PER_MIN

    for row in map(int, order):
        if episode and (unit[row] != unit[episode[-1]] or start_ms[row] > episode_end_ms):
            close()
            episode = []
        episode_end_ms = max(episode_end_ms, int(end_ms[row])) if episode else int(end_ms[row])
        episode.append(row)
    if episode:
        close()
    return flags


def dmat_tagged(volume_mwh: FloatColumn, acceptance: NDArray[np.int64], threshold_mwh: float) -> FloatColumn:
    """What is left when acceptances below the De Minimis Acceptance Threshold are dropped whole [MWh] (n).

    The volume tested is that of the acceptance, all its pairs together, not that of a row.
    """
    _, place = np.unique(acceptance, return_inverse=True)
    whole = np.bincount(place, np.abs(volume_mwh))[place] if len(volume_mwh) else volume_mwh
    return np.where(whole < threshold_mwh, 0.0, volume_mwh)


def arbitrage_tagged(volume_mwh: FloatColumn, price_gbp_per_mwh: FloatColumn) -> FloatColumn:
    """What is left when buys priced at or below sells are cancelled against them [MWh] (n).

    The cheapest buys meet the best paid sells, in equal volume, as long as the buy is not the dearer one.
    Actions without a price take no part.
    """
    priced = np.where(np.isnan(price_gbp_per_mwh), 0.0, volume_mwh)
    buys, sells = np.maximum(priced, 0.0), np.maximum(-priced, 0.0)
    cheap_buys = np.argsort(price_gbp_per_mwh, kind="stable")
    dear_sells = np.argsort(-price_gbp_per_mwh, kind="stable")
    bought, sold = np.cumsum(buys[cheap_buys]), np.cumsum(sells[dear_sells])
    if not len(bought) or not bought[-1] or not sold[-1]:
        return volume_mwh.copy()
    edges = np.unique(np.concatenate(([0.0], bought, sold)))
    edges = edges[edges <= min(bought[-1], sold[-1])]
    middles = (edges[1:] + edges[:-1]) / 2
    buy_price = price_gbp_per_mwh[cheap_buys[np.searchsorted(bought, middles)]]
    sell_price = price_gbp_per_mwh[dear_sells[np.searchsorted(sold, middles)]]
    cancelled = float(np.diff(edges)[buy_price <= sell_price].sum())
    return volume_mwh - _first(buys, cheap_buys, cancelled) + _first(sells, dear_sells, cancelled)


def second_stage(volume_mwh: FloatColumn, price_gbp_per_mwh: FloatColumn, flagged: FlagColumn) -> FloatColumn:
    """Prices after classification [GBP/MWh] (n): NaN for an action that loses its price.

    A first-stage flagged action keeps its price unless it is dearer than the dearest unflagged one on its
    side; where none is unflagged, every flagged one loses it.
    """
    classified = price_gbp_per_mwh.copy()
    for side in (1, -1):
        mine = volume_mwh * side > 0
        dearness = price_gbp_per_mwh * side
        unflagged = dearness[mine & ~flagged & ~np.isnan(dearness)]
        bound = unflagged.max() if len(unflagged) else -np.inf
        classified[mine & flagged & (dearness > bound)] = np.nan
    return classified


def niv_tagged(volume_mwh: FloatColumn, price_gbp_per_mwh: FloatColumn) -> FloatColumn:
    """What is left when the smaller stack is netted off the dear end of the larger [MWh] (n).

    Actions without a price are the dear end. The sum of what is left is the Net Imbalance Volume.
    """
    niv_mwh = float(volume_mwh.sum())
    side = 1.0 if niv_mwh > 0 else -1.0
    larger = np.maximum(volume_mwh * side, 0.0)
    other_mwh = float(np.maximum(-volume_mwh * side, 0.0).sum())
    return side * (larger - _first(larger, _dear_first(price_gbp_per_mwh, side), other_mwh))


def replacement_price(
    net_mwh: FloatColumn, price_gbp_per_mwh: FloatColumn, may_count: FlagColumn, reference_mwh: float
) -> float | None:
    """Volume weighted average price of the dearest RPAR MWh that have a price and may count [GBP/MWh].

    None where there is no such volume: then the Market Index Price replaces.
    """
    counts = may_count & ~np.isnan(price_gbp_per_mwh)
    reference = par_tagged(np.where(counts, net_mwh, 0.0), price_gbp_per_mwh, reference_mwh)
    return _weighted(reference, price_gbp_per_mwh) if np.abs(reference).sum() > _NOTHING_MWH else None


def par_tagged(net_mwh: FloatColumn, price_gbp_per_mwh: FloatColumn, reference_mwh: float) -> FloatColumn:
    """The dearest PAR MWh of the net volume, which set the price [MWh] (n)."""
    side = 1.0 if net_mwh.sum() > 0 else -1.0
    return side * _first(np.abs(net_mwh), _dear_first(price_gbp_per_mwh, side), reference_mwh)


def _dear_first(price_gbp_per_mwh: FloatColumn, side: float) -> NDArray[np.intp]:
    dearness = np.where(np.isnan(price_gbp_per_mwh), np.inf, price_gbp_per_mwh * side)
    return np.argsort(-dearness, kind="stable")


def _first(volume_mwh: FloatColumn, order: NDArray[np.intp], wanted_mwh: float) -> FloatColumn:
    """The first `wanted_mwh` of volumes (>= 0) in an order, in their own places (n)."""
    ranked = volume_mwh[order]
    taken = np.empty_like(volume_mwh)
    taken[order] = np.clip(wanted_mwh - (np.cumsum(ranked) - ranked), 0.0, ranked)
    return taken


def _weighted(weight: FloatColumn, price_gbp_per_mwh: FloatColumn) -> float:
    counts = weight != 0
    return float((weight[counts] * price_gbp_per_mwh[counts]).sum() / weight[counts].sum())
