"""What becomes of every award, signal, trade and notice of the services besides DFS and the BM: its cases.

Tried in this order. Reasons in quotes are those of the ledger and of the answer.

Awards:

| case | outcome |
|---|---|
| offer known as answered, the same again | remark "duplicate_instruction", nothing else happens |
| not accepted | remark "offer_refused"; what was promised is free again |
| offer or unit not ours | DECLINED "unknown_offer" |
| of no length, or with other than a finite number for each period | DECLINED "malformed_award" |
| of another event, unit, product, time or way than offered, or of more MW | DECLINED "not_as_offered" |
| its event was cancelled | DECLINED "cancelled" |
| over already | DECLINED "after_end" |
| scheduled, and no cell may serve besides what it is committed to | DECLINED with the rule |
| scheduled | ACCEPTED: it is the instruction |
| to be dispatched | it stands until it is called; no instruction yet |

Signals, each answered (`ServiceDispatchAnswer`):

| case | outcome |
|---|---|
| id known, the same again | remark "duplicate_instruction"; the first answer is repeated |
| id known, with other words | refused, "conflicting_signal" |
| neither start nor stop nor emergency_stop | refused, "unknown_signal" |
| award not ours, of another unit or product, or scheduled | refused, "unknown_award" |
| award cancelled | refused, "cancelled" |
| stop or emergency_stop, nothing being delivered | refused, "not_running" |
| stop before the start | accepted; the instruction ends EXPIRED "stopped" |
| stop, emergency_stop | accepted; it ends then, or at once, and whoever is held is let go |
| start of no length, of no or no finite MW | refused, "malformed_signal" |
| start that is over already | refused, "after_end" |
| start, begun longer ago than `late_grace_ms` | refused, "too_late" |
| start outside the award's times | refused, "outside_award" |
| start of more MW than awarded, or the other way | refused, "beyond_award" |
| start, and no cell may serve besides what it is committed to | refused with the rule |
| start, another of the same award being followed | that ends SUPERSEDED "restarted"; this is ACCEPTED |
| any other start | ACCEPTED |

A refused start is in the ledger as DECLINED with the reason; stops have no entry of their own.

Trades: an order not ours is DECLINED "unknown_order"; answered before, remark "duplicate_instruction";
nothing traded, remark "order_not_traded"; other unit or times, the other way or more than was ordered,
DECLINED "not_as_ordered"; over already, DECLINED "after_end"; else ACCEPTED. Notices of the Capacity Market:
one known as it is, remark "duplicate_instruction"; known with other times or share, its plans are made anew;
of no length or share, remark "malformed_notice"; over already, remark "notice_after_end"; else ACCEPTED.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from aggregator.service_book import Awarded, Offered, Signalled
from protocol.dso_payment import Signal
from protocol.messages import CapacityNotice, ServiceAward, ServiceDispatch, WholesaleOrder, WholesaleTrade
from protocol.periods import PERIOD_MS

START, STOP, EMERGENCY_STOP = (signal.value.lower() for signal in Signal)
_LEVEL_MW = 1e-6
"""How far beyond what was offered a level is still on it [MW]."""


def award_refusal(award: ServiceAward, offered: Offered | None, cancelled: Sequence[str], now_ms: int) -> str:
    """Why an accepted award cannot be followed, but for what its cells are committed to; "" if it can."""
    if offered is None:
        return "unknown_offer"
    if _malformed(award):
        return "malformed_award"
    if not _as_offered(award, offered):
        return "not_as_offered"
    if award.event_id in cancelled:
        return "cancelled"
    return "after_end" if now_ms >= award.end_ms else ""


def _malformed(award: ServiceAward) -> bool:
    periods = len(range(award.start_ms, award.end_ms, PERIOD_MS))
    return (
        periods == 0 or len(award.turn_down_mw) != periods or not all(map(math.isfinite, award.turn_down_mw))
    )


def _as_offered(award: ServiceAward, offered: Offered) -> bool:
    """Whether an award asks for nothing but what was offered: the same, or fewer megawatts."""
    offer = offered.offer
    same = (offer.product, offer.event_id, offer.unit, offered.start_ms, offered.end_ms) == (
        award.product,
        award.event_id,
        award.unit,
        award.start_ms,
        award.end_ms,
    )
    pairs = zip(award.turn_down_mw, offer.turn_down_mw, strict=False)
    return same and all(_within(asked, most) for asked, most in pairs)


def _within(asked_mw: float, most_mw: float) -> bool:
    """Whether one level goes the way of another and not beyond it."""
    way = 1 if most_mw >= 0 else -1
    return -_LEVEL_MW <= way * asked_mw <= way * most_mw + _LEVEL_MW


def repeats(dispatch: ServiceDispatch, known: Signalled) -> bool:
    """Whether a signal says what one known under its id said."""
    return all(getattr(dispatch, name) == getattr(known.dispatch, name) for name in _WORDS)


_WORDS = ("product", "offer_id", "unit", "signal", "at_ms", "until_ms", "turn_down_mw")


def signal_refusal(
    dispatch: ServiceDispatch,
    awarded: Awarded | None,
    running: bool,
    cancelled: Sequence[str],
    now_ms: int,
    late_grace_ms: int,
) -> str:
    """Why a signal cannot be followed, but for what its cells are committed to; "" if it can."""
    if dispatch.signal not in (START, STOP, EMERGENCY_STOP):
        return "unknown_signal"
    if awarded is None or awarded.award.scheduled:
        return "unknown_award"
    award = awarded.award
    if (award.unit, award.product) != (dispatch.unit, dispatch.product):
        return "unknown_award"
    if dispatch.signal != START:
        return "" if running else "not_running"
    if award.event_id in cancelled:
        return "cancelled"
    return _start_refusal(dispatch, award, now_ms, late_grace_ms)


def _start_refusal(dispatch: ServiceDispatch, award: ServiceAward, now_ms: int, late_grace_ms: int) -> str:
    length_ms, mw = dispatch.until_ms - dispatch.at_ms, dispatch.turn_down_mw
    if length_ms <= 0 or not 0 < abs(mw) < math.inf:
        return "malformed_signal"
    if now_ms >= dispatch.until_ms:
        return "after_end"
    if now_ms > dispatch.at_ms + late_grace_ms:
        return "too_late"
    if dispatch.at_ms < award.start_ms or dispatch.until_ms > award.end_ms:
        return "outside_award"
    return "" if _within(mw, max(award.turn_down_mw, key=abs)) else "beyond_award"


def trade_refusal(trade: WholesaleTrade, order: WholesaleOrder, now_ms: int) -> str:
    """Why a trade is not followed; "" if it is."""
    same = (trade.unit, trade.start_ms, trade.end_ms) == (order.unit, order.start_ms, order.end_ms)
    if not same or not _within(trade.sold_mwh, order.sell_mwh):
        return "not_as_ordered"
    return "after_end" if now_ms >= trade.end_ms else ""


def notice_refusal(notice: CapacityNotice, now_ms: int) -> str:
    """The kind of remark on a notice that asks for nothing; "" where it asks."""
    if notice.end_ms <= notice.start_ms or not 0 < notice.load_following_share < math.inf:
        return "malformed_notice"
    return "notice_after_end" if now_ms >= notice.end_ms else ""
