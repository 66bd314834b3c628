"""What to offer: DFS bids, and for each BM Unit and period the notification, limits and pairs. Pure
functions.

Levels on the wire are whole megawatts, export-positive; what rounding leaves out is reported, not hidden.
All that is offered is what the forecast holds with the owner's confidence, less what is out of reach and
what will not obey.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from aggregator.forecast import Availability
from aggregator.settings import AggregatorSettings, Assumptions, BalancingSubmission, Rules
from protocol.messages import BidOfferPair, DfsRequirement, UnitDynamics
from protocol.periods import PERIOD_MS
from protocol.units import import_w_to_level_mw, to_wire_mw

_WHOLE = 1e-9
"""Far below a watt: how near to a whole step counts as whole [steps]."""


@dataclass(frozen=True, slots=True)
class Position:
    """A BM Unit's position for one period: levels and widths in whole MW, `residue_mw` what the FPN leaves
    out.
    """

    fpn_mw: int
    residue_mw: float
    mel_mw: int
    mil_mw: int
    pairs: tuple[BidOfferPair, ...]


def position(
    available: Availability,
    turn_up_w: float,
    settings: AggregatorSettings,
    rules: Rules,
    base_w: float = 0.0,
    moved_w: int = 0,
) -> Position:
    """The position from the median import, negative under many roofs, and from what can be turned down and up
    with confidence.

    `base_w`: what is part of the unit's level and cannot be steered, base load of homes metered whole.
    `moved_w`: by how much instructions of other services will turn the unit down.
    """
    fpn_mw, residue_mw = to_wire_mw(import_w_to_level_mw(round(available.forecast.mean_w + base_w) - moved_w))
    down_mw = math.floor(available.turn_down_w(settings.confidence) / 1e6 + _WHOLE)
    most_down_mw = math.floor(available.stored_w / 1e6 + _WHOLE) - fpn_mw  # no import, and batteries' export
    down_mw = min(down_mw, most_down_mw) if down_mw >= rules.bm_minimum_unit_mw else 0
    up_mw = math.floor(turn_up_w / 1e6 + _WHOLE)
    up_mw = up_mw if up_mw >= rules.bm_minimum_unit_mw else 0
    most_mw = (available.forecast.quantile_w(settings.confidence) + base_w + max(-moved_w, 0)) / 1e6
    count = min(settings.balancing.pairs, rules.bm_pairs_maximum)
    return Position(
        fpn_mw=fpn_mw,
        residue_mw=residue_mw,
        mel_mw=fpn_mw + down_mw,
        mil_mw=min(fpn_mw - up_mw, -math.ceil(most_mw + up_mw - _WHOLE)),
        pairs=_pairs(down_mw, up_mw, count, settings.balancing),
    )


def _pairs(down_mw: int, up_mw: int, count: int, prices: BalancingSubmission) -> tuple[BidOfferPair, ...]:
    """Positive pairs to turn demand down, dearer outwards; negative ones to turn it up, worth less outwards.

    Undo prices are the inner price of the other kind, so that prices never fall with the pair's number.
    """
    up = [
        BidOfferPair(
            number=-place,
            width_mw=float(width),
            offer_gbp_per_mwh=max(prices.offer_gbp_per_mwh, prices.bid_gbp_per_mwh),
            bid_gbp_per_mwh=prices.bid_gbp_per_mwh - (place - 1) * prices.step_gbp_per_mwh,
        )
        for place, width in enumerate(_widths(up_mw, count), start=1)
    ]
    down = [
        BidOfferPair(
            number=place,
            width_mw=float(width),
            offer_gbp_per_mwh=max(prices.offer_gbp_per_mwh, prices.bid_gbp_per_mwh)
            + (place - 1) * prices.step_gbp_per_mwh,
            bid_gbp_per_mwh=prices.bid_gbp_per_mwh,
        )
        for place, width in enumerate(_widths(down_mw, count), start=1)
    ]
    return (*reversed(up), *down)


def _widths(total_mw: int, count: int) -> list[int]:
    """Whole megawatts, as equal as can be, wider ones first; fewer than `count` where there is not enough."""
    count = min(count, total_mw)
    return [total_mw // count + (place < total_mw % count) for place in range(count)]


def dynamics(unit: str, planned_mw: float, rules: Rules, assumed: Assumptions) -> UnitDynamics:
    """A unit of chargers: all of it within `unit_ramp_min`, in whole MW/min, at the market's shortest
    notice.
    """
    rate = float(max(1, math.ceil(planned_mw / assumed.unit_ramp_min)))
    return UnitDynamics(
        unit=unit,
        run_up_mw_per_min=rate,
        run_down_mw_per_min=rate,
        notice_to_deliver_offer_min=rules.bm_notice_min,
        notice_to_deliver_bid_min=rules.bm_notice_min,
        minimum_zero_time_min=0,
    )


def period_starts(requirement: DfsRequirement) -> list[int]:
    """Where the settlement periods of a requirement start [UTC ms]."""
    return list(range(requirement.start_ms, requirement.end_ms, PERIOD_MS))


def dfs_megawatts(
    available: list[Availability],
    left_mw: list[float],
    held_share: float,
    settings: AggregatorSettings,
    rules: Rules,
    assumed: Assumptions,
    *,
    turn_up: bool = False,
) -> tuple[float, ...]:
    """What one unit bids in each period [MW, either way positive]: whole steps, rounded down, at most what is
    left of the requirement.

    A period below the least size is left out (0). `held_share`: an event longer than an asset may be held is
    shared by assets in turn, so only that part of the power is available at any time.
    """
    bid = []
    for one, left in zip(available, left_mw, strict=True):
        can_w = one.turn_down_w(settings.confidence)
        if turn_up:
            can_w = one.turn_up_w(settings.confidence, assumed.prior_relative_sd)
        wanted_mw = min(can_w * held_share / 1e6, left, rules.dfs_maximum_unit_mw)
        steps = math.floor(wanted_mw / assumed.dfs_step_mw + _WHOLE)
        offered_mw = round(steps * assumed.dfs_step_mw, 9)
        bid.append(offered_mw if offered_mw >= rules.dfs_minimum_unit_mw else 0.0)
    return tuple(bid)


def dfs_price(requirement: DfsRequirement, settings: AggregatorSettings) -> float:
    """Pay-as-bid price [GBP/MWh], 2 decimal places: guaranteed, else the owner's, else cost plus margin."""
    if requirement.guaranteed_price_gbp_per_mwh is not None:
        return requirement.guaranteed_price_gbp_per_mwh
    if settings.dfs.price_gbp_per_mwh is not None:
        return settings.dfs.price_gbp_per_mwh
    return round(settings.cost_per_hold_gbp_per_mwh * (1 + settings.dfs.margin), 2)
