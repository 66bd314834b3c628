"""What the record tells of the talk about services besides DFS and the BM: one event each, and its levels.

The seam between `protocol.messages` and the journal: every message of that talk becomes a `Told`. Levels are
turn-down, but for nominations, which are the import that a unit would have had.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from protocol.messages import (
    CapacityNotice,
    Message,
    ServiceAward,
    ServiceCancellation,
    ServiceDispatch,
    ServiceDispatchAnswer,
    ServiceNomination,
    ServiceOffer,
    ServiceRequirement,
    ServiceUnit,
    ServiceUnitAnswer,
    WholesaleNotification,
    WholesaleOrder,
    WholesaleTrade,
)
from protocol.periods import HOUR_MS, PERIOD_MS, day_start_ms
from protocol.products import BUYERS, Product
from protocol.units import WH_PER_MWH
from sim.run_folder import NONE

AGGREGATOR = "aggregator"
EXCHANGE = BUYERS[Product.WHOLESALE]
CAPACITY_MARKET = BUYERS[Product.CAPACITY_MARKET]
WHOLESALE = Product.WHOLESALE.value
CAPACITY = Product.CAPACITY_MARKET.value


@dataclass(frozen=True, slots=True)
class Told:
    """One message as the record tells it.

    `what` heads its levels in the table `market_levels` ("bid", "accepted", "dispatch", "nominated", ...),
    `telling` tells one message from the next of its reference; `at_ms` is NONE where a level has no moment.
    """

    kind: str
    who: str
    service: str
    unit: str
    reference: str
    detail: str
    what: str = ""
    telling: str = ""
    at_ms: tuple[int, ...] = ()
    level_mw: tuple[float, ...] = ()
    price_gbp_per_mwh: float = math.nan


def told_of(message: Message) -> Told:
    """The message in words and levels. Raises KeyError for one that is not of this talk."""
    return _WRITERS[type(message)](message)


def binding(message: ServiceAward | WholesaleTrade | ServiceDispatch) -> Told:
    """The same as settlement was told it, which alone is settled."""
    return replace(told_of(message), what="binding")


def _unit(unit: ServiceUnit) -> Told:
    detail = f"{len(unit.rows)} assets at {unit.place}, {unit.capacity_mw:.3g} MW"
    return Told("service_unit", AGGREGATOR, unit.product, unit.unit, unit.unit, detail)


def _unit_answer(answer: ServiceUnitAnswer) -> Told:
    verdict = _verdict(answer.reason, accepted=answer.accepted)
    return Told(
        "service_unit_answer", _buyer(answer.product), answer.product, answer.unit, answer.unit, verdict
    )


def _requirement(need: ServiceRequirement) -> Told:
    detail = f"{_mw(need.turn_down_mw)} at {need.place}"
    if need.utilisation_ceiling_gbp_per_mwh is not None:
        detail += f", at most {need.utilisation_ceiling_gbp_per_mwh:g} GBP/MWh"
    return Told("service_requirement", _buyer(need.product), need.product, "", need.event_id, detail)


def _offer(offer: ServiceOffer) -> Told:
    return Told(
        "service_offer", AGGREGATOR, offer.product, offer.unit, offer.event_id,
        f"{offer.unit}: {_offered(offer)}", "bid", offer.offer_id,
        (NONE,) * len(offer.turn_down_mw), offer.turn_down_mw, offer.utilisation_gbp_per_mwh,
    )  # fmt: skip


def _award(award: ServiceAward) -> Told:
    verdict = _verdict(award.reason, accepted=award.accepted)
    return Told(
        "service_award", _buyer(award.product), award.product, award.unit, award.event_id,
        f"{award.unit}: {_offered(award)} {verdict}", "accepted" if award.accepted else "refused",
        award.offer_id, _periods(award.start_ms, len(award.turn_down_mw)), award.turn_down_mw,
        award.utilisation_gbp_per_mwh,
    )  # fmt: skip


def _cancellation(told: ServiceCancellation) -> Told:
    return Told("service_cancellation", _buyer(told.product), told.product, "", told.event_id, told.reason)


def _dispatch(signal: ServiceDispatch) -> Told:
    detail = f"{signal.unit}: {signal.signal.replace('_', ' ')}"
    if signal.signal != "start":
        return Told(
            "service_dispatch",
            _buyer(signal.product),
            signal.product,
            signal.unit,
            signal.dispatch_id,
            detail,
        )
    return Told(
        "service_dispatch", _buyer(signal.product), signal.product, signal.unit, signal.dispatch_id,
        f"{detail}, {_mw(signal.turn_down_mw)}", "dispatch", signal.offer_id,
        (signal.at_ms, signal.until_ms), (signal.turn_down_mw, signal.turn_down_mw),
    )  # fmt: skip


def _dispatch_answer(answer: ServiceDispatchAnswer) -> Told:
    verdict = _verdict(answer.reason, accepted=answer.accepted)
    return Told(
        "service_dispatch_answer",
        AGGREGATOR,
        answer.product,
        answer.unit,
        answer.dispatch_id,
        f"{answer.unit}: {verdict}",
    )


def _nomination(nominated: ServiceNomination) -> Told:
    import_mw = tuple(wh * HOUR_MS / (PERIOD_MS * WH_PER_MWH) for wh in nominated.import_wh)
    total_mwh = sum(nominated.import_wh) / WH_PER_MWH
    return Told(
        "service_nomination", AGGREGATOR, nominated.product, nominated.unit, nominated.day.isoformat(),
        f"{nominated.unit}: {total_mwh:.3g} MWh of import on {nominated.day}", "nominated",
        nominated.day.isoformat(), _periods(day_start_ms(nominated.day), len(import_mw)), import_mw,
    )  # fmt: skip


def _order(order: WholesaleOrder) -> Told:
    detail = f"{order.unit}: {_trade(order.sell_mwh)} at {order.limit_gbp_per_mwh:g} GBP/MWh or better"
    levels = _trade_mw(order.sell_mwh, order.start_ms, order.end_ms)
    return Told(
        "wholesale_order", AGGREGATOR, WHOLESALE, order.unit, order.order_id,
        f"{detail}, {order.auction}", "bid", order.order_id, (order.start_ms,), (levels,),
        order.limit_gbp_per_mwh,
    )  # fmt: skip


def _traded(trade: WholesaleTrade) -> Told:
    done = bool(trade.sold_mwh)
    verdict = f"at {trade.price_gbp_per_mwh:g} GBP/MWh" if done else f"refused: {trade.reason}"
    return Told(
        "wholesale_trade", EXCHANGE, WHOLESALE, trade.unit, trade.order_id,
        f"{trade.unit}: {_trade(trade.sold_mwh)} {verdict}, {trade.auction}",
        "accepted" if done else "refused", trade.order_id, (trade.start_ms,),
        (_trade_mw(trade.sold_mwh, trade.start_ms, trade.end_ms),), trade.price_gbp_per_mwh,
    )  # fmt: skip


def _wholesale_notification(told: WholesaleNotification) -> Told:
    detail = f"{told.unit}: deviates by {told.deviation_mwh:.3g} MWh"
    return Told("wholesale_notification", AGGREGATOR, WHOLESALE, told.unit, str(told.start_ms), detail)


def _notice(notice: CapacityNotice) -> Told:
    stress = "stress came" if notice.stressed else "no stress came"
    detail = f"{notice.load_following_share:.0%} of the capacity obliged; {stress}"
    return Told("capacity_notice", CAPACITY_MARKET, CAPACITY, "", notice.notice_id, detail)


_WRITERS: dict[type[Message], Callable[[Any], Told]] = {
    ServiceUnit: _unit,
    ServiceUnitAnswer: _unit_answer,
    ServiceRequirement: _requirement,
    ServiceOffer: _offer,
    ServiceAward: _award,
    ServiceCancellation: _cancellation,
    ServiceDispatch: _dispatch,
    ServiceDispatchAnswer: _dispatch_answer,
    ServiceNomination: _nomination,
    WholesaleOrder: _order,
    WholesaleTrade: _traded,
    WholesaleNotification: _wholesale_notification,
    CapacityNotice: _notice,
}
SERVICE_TALK = tuple(_WRITERS)
"""The messages of this talk."""


def _buyer(product: str) -> str:
    return BUYERS[Product(product)]


def _verdict(reason: str, *, accepted: bool) -> str:
    return "accepted" if accepted else f"refused: {reason}"


def _periods(start_ms: int, count: int) -> tuple[int, ...]:
    return tuple(start_ms + place * PERIOD_MS for place in range(count))


def _offered(offer: ServiceOffer | ServiceAward) -> str:
    return f"{each_of(offer.turn_down_mw)} MW at {offer.utilisation_gbp_per_mwh:g} GBP/MWh"


def _mw(turn_down_mw: float) -> str:
    return f"{abs(turn_down_mw):g} MW {'less' if turn_down_mw >= 0 else 'more'}"


def _trade(sold_mwh: float) -> str:
    return f"{'sells' if sold_mwh >= 0 else 'buys'} {abs(sold_mwh):.3g} MWh"


def _trade_mw(sold_mwh: float, start_ms: int, end_ms: int) -> float:
    return sold_mwh * HOUR_MS / max(end_ms - start_ms, 1)


def each_of(values_mw: Sequence[float]) -> str:
    """The values, once where they are all the same."""
    return "/".join(f"{value:g}" for value in (values_mw if len(set(values_mw)) > 1 else values_mw[:1]))
