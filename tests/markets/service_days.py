"""A small portfolio for settlement: chargers with asset meters, units of further services, a day's mail."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np

from markets.settings import RulesInForce, SettlementSettings
from markets.settlement import Settlement
from protocol.messages import (
    AssetReadings,
    AssetRegistration,
    DeliveredVolume,
    Remark,
    Service,
    ServiceAward,
    ServiceDispatch,
    ServiceMetering,
    ServiceNomination,
    ServiceUnit,
    Statement,
    Technology,
)
from protocol.periods import MINUTE_MS, PERIOD_MS, day_end_ms, day_start_ms, period_bounds_ms, period_count

DAY = date(2025, 1, 16)  # a Thursday, after the stacking tool was published
EIGHT_IN_THE_MORNING = 8 * 60 * MINUTE_MS


def column(*values):
    return np.array(values, np.int32)


def registration(count, *, service=Service.NONE, technology=Technology.EV, homes=None, rating_w=7_000):
    whole = np.zeros(count, np.int32)
    small = np.zeros(count, np.int8)
    return AssetRegistration(
        home=np.arange(count, dtype=np.int32) if homes is None else column(*homes),
        mpan=np.arange(count, dtype=np.int64),
        unit=np.zeros(count, np.int16),
        gsp=np.zeros(count, np.int16),
        route=small,
        service=np.full(count, int(service), np.int8),
        rating_w=whole + rating_w,
        battery_wh=whole + 60_000,
        target_pct=small + 90,
        ready_by_minute=np.full(count, 420, np.int16),
        report_every_s=whole + 60,
        soc_known=small,
        hh_metered=small + 1,
        technology=np.full(count, int(technology), np.int8),
        unit_names=("_A",),
        gsp_names=("GSP_1",),
        route_names=("cloud",),
    )


def party(day=DAY, **how):
    overrides = how.pop("overrides", ())
    derogations = how.pop("derogations", ())
    rules = RulesInForce(None, overrides, derogations)
    return Settlement(SettlementSettings(day, 3, how.pop("dfs_metering", "asset"), False, rules, **how))


def unit(product, rows, name=None, place="_A/cmz00", capacity_mw=1.0):
    return ServiceUnit(product, name or f"{product.upper()}-{place}", place, column(*rows), capacity_mw)


def award(
    product, megawatts, first_sp=35, *, day=DAY, unit=None, offer="O1", event="E1", scheduled=None, **price
):
    start_ms, _ = period_bounds_ms(day, first_sp)
    return ServiceAward(
        product=product,
        offer_id=offer,
        event_id=event,
        unit=unit or f"{product.upper()}-_A/cmz00",
        accepted=True,
        reason="",
        start_ms=start_ms,
        end_ms=start_ms + len(megawatts) * PERIOD_MS,
        turn_down_mw=tuple(megawatts),
        utilisation_gbp_per_mwh=price.get("utilisation", 300.0),
        availability_gbp_per_mw_h=price.get("availability", 0.0),
        scheduled=product in {"sustain", "sustain_h", "tcm"} if scheduled is None else scheduled,
    )


def start(told, turn_down_mw, *, after_min=0, until_min=None, signal="start", name="D1"):
    at_ms = told.start_ms + after_min * MINUTE_MS
    until_ms = told.end_ms if until_min is None else told.start_ms + until_min * MINUTE_MS
    return ServiceDispatch(
        told.product, name, told.offer_id, told.unit, signal, at_ms, until_ms, turn_down_mw
    )


def nomination(product, import_wh, *, day=DAY, unit=None):
    values = (import_wh,) * period_count(day) if np.isscalar(import_wh) else tuple(import_wh)
    return ServiceNomination(product, unit or f"{product.upper()}-_A/cmz00", day, values)


def minutes(told, *import_w):
    """Minute metering of a unit from an award's start on: one value for each half hour, or each minute."""
    spread = np.repeat(import_w, 30) if len(import_w) == len(told.turn_down_mw) else import_w
    return ServiceMetering(told.product, told.unit, told.start_ms, tuple(int(w) for w in spread))


def asset_day(import_wh, *, day=DAY):
    """Readings of a day: for each asset one value for every period, or all of them."""
    count = period_count(day)
    rows = [np.full(count, wh) if np.isscalar(wh) else np.asarray(wh) for wh in import_wh]
    return AssetReadings(day, np.arange(len(rows), dtype=np.int32), np.array(rows, np.int16))


def settle(settlement, *mail, day=DAY):
    """Everything that settlement says when it has heard all this, the readings last, on the morning after."""
    for message in mail:
        readings = isinstance(message, AssetReadings)
        settlement.receive(message, day_end_ms(day) + EIGHT_IN_THE_MORNING if readings else day_start_ms(day))
    return [envelope.message for envelope in settlement.take_outbox() if envelope.to == "journal"]


def lines_of(said, item=None):
    found = [line for each in said if isinstance(each, Statement) for line in each.lines]
    return [line for line in found if item in {None, line.item}]


def volumes_of(said):
    return [each for each in said if isinstance(each, DeliveredVolume)]


def remarks_of(said, kind):
    return [each.detail for each in said if isinstance(each, Remark) and each.kind == kind]


def but(message, **changes):
    return replace(message, **changes)


def working_days_before(day, count):
    days = (day - timedelta(days=step) for step in range(1, 60))
    return [one for one in days if one.weekday() < 5][:count]
