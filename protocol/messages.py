"""Everything that is ever said between the parties, with the unit in every field's name.

Times are UTC milliseconds (`_ms`). Device and meter quantities are import-positive; levels of a BM Unit
(`level_mw`) are export-positive, so a unit of loads has negative levels (rule: `protocol/units.py`).
`rows` are the aggregator's own handles for assets (0 .. n-1, as registered); `homes` those of metering
points. Arrays of one message have one length.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

I8 = NDArray[np.int8]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

NO_LIMIT_W = -1
"""A set-point that lifts the limit: the asset goes back to its own will."""
UNKNOWN = -1
"""A whole number that is not known (state of charge, battery size)."""
MISSING_WH = -(2**15)
"""A half-hour without a reading. Never a zero, never filled; no net export is as large."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """What all messages have in common: nothing but being one."""


# ---------------------------------------------------------------------------------------------------- assets


class Service(IntEnum):
    """Which market an asset is enrolled in (one at a time until stacking rules say otherwise)."""

    NONE = 0
    DFS = 1
    BALANCING = 2


class Technology(IntEnum):
    """What kind of device an asset is, as enrolled."""

    EV = 0
    HEAT_PUMP = 1
    STORAGE_HEATER = 2
    RESISTIVE = 3
    HOT_WATER = 4
    BATTERY = 5
    PV = 6
    APPLIANCE = 7
    FRIDGE = 8
    BUILDING = 9
    GENERATOR = 10


class AssetStatus(IntEnum):
    """What a charge point or car says that it is doing."""

    UNPLUGGED = 0
    WAITING = 1  # plugged in, own schedule or random delay
    CHARGING = 2
    LIMITED = 3  # plugged in, held at or below an instructed limit
    FULL = 4
    OVERRIDDEN = 5  # the driver pressed boost: charging whatever is instructed


class AckOutcome(IntEnum):
    """What became of one row of a set-point message."""

    APPLIED = 0
    OLD_SEQUENCE = 1
    EXPIRED = 2
    UNPLUGGED = 3
    OVERRIDDEN = 4
    RATE_LIMITED = 5  # refused by the vendor's cloud (HTTP 429)
    UNAUTHORISED = 6  # the cloud's token had run out
    UNREACHABLE = 7  # the cloud knows that the device is offline
    NO_CONSENT = 8  # the customer has ended consent: the vendor passes nothing on any more


class Change(IntEnum):
    """What may become of an asset after it was enrolled."""

    MOVED = 0  # the household moved out; its consent went with it
    WITHDRAWN = 1  # the customer withdrew consent
    SWAPPED = 2  # another device in its place: its register starts anew
    FIRMWARE = 3  # the vendor's new firmware
    DEALLOCATED = 4  # the MPAN is no longer allocated to the unit, as after a change of supplier
    ENROLLED = 5  # the new occupant consents


@dataclass(frozen=True, slots=True, eq=False)
class AssetRegistration(Message):
    """What customers and vendors told the aggregator when assets were enrolled; rows are 0 .. n-1."""

    home: I32
    mpan: I64
    unit: I16  # place in `unit_names` (one per GSP Group)
    gsp: I16  # place in `gsp_names`
    route: I8  # place in `route_names`
    service: I8  # Service
    rating_w: I32
    battery_wh: I32  # as typed by the customer or told by the car; UNKNOWN where not
    target_pct: I8  # the owner's standing wish ...
    ready_by_minute: I16  # ... by this minute of the local day
    report_every_s: I32
    soc_known: I8  # 1 where the route tells state of charge
    hh_metered: I8  # 1 where the boundary meter gives half-hourly readings
    technology: I8  # Technology
    unit_names: tuple[str, ...]
    gsp_names: tuple[str, ...]
    route_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Setpoints(Message):
    """Limits for many assets, each with its own sequence number and validity window."""

    rows: I32
    limit_w: I32  # NO_LIMIT_W lifts the limit
    from_ms: I64  # not to be acted on before (UTC); a device asked early waits
    until_ms: I64  # after this the device goes back to its own will
    sequence: I32  # per asset, rising; an older one than the last applied is ignored
    response_dsr: bool  # SI 2021/1467: no random delay while providing response DSR
    instruction_id: str
    lease: int = 1  # of the aggregator that leads, rising: the gateway refuses lower ones than it has seen


@dataclass(frozen=True, slots=True, eq=False)
class Polls(Message):
    """Asks assets for a reading now; a sleeping car spends one wake of its daily budget."""

    rows: I32


@dataclass(frozen=True, slots=True, eq=False)
class Acks(Message):
    """Per row, what became of a set-point. A lost acknowledgement is simply not here."""

    rows: I32
    sequence: I32
    outcome: I8  # AckOutcome
    event_ms: I64
    arrival_ms: I64


@dataclass(frozen=True, slots=True, eq=False)
class Telemetry(Message):
    """Readings as they arrived, in any order; duplicates and stragglers included."""

    rows: I32
    event_ms: I64  # by the device's own clock
    arrival_ms: I64
    import_w: I32
    register_wh: I32  # total import of the asset meter since it was fitted
    status: I8  # AssetStatus
    soc_pct: I8  # UNKNOWN where the route does not tell


@dataclass(frozen=True, slots=True, eq=False)
class SessionStarts(Message):
    """What the app or car told when a session began."""

    rows: I32
    event_ms: I64
    arrival_ms: I64
    soc_pct: I8  # typed by the driver (possibly wrong) or told by the car; UNKNOWN where neither
    target_pct: I8
    ready_by_ms: I64


@dataclass(frozen=True, slots=True, eq=False)
class RegistryChange(Message):
    """Something became of enrolled assets. What is hidden may have happened to more, or never be told."""

    kind: Change
    rows: I32
    effective_ms: I64
    report_every_s: I32  # of new firmware, as its vendor announces it; UNKNOWN where it says nothing
    reason: str


# ---------------------------------------------------------------------------------------------------- people


class Channel(IntEnum):
    """How a household is asked (CrowdFlex 4.1.2)."""

    APP = 0
    TEXT = 1
    EMAIL = 2


class Answer(IntEnum):
    """What a household said when it was asked to take part; most say nothing."""

    SILENT = -1
    OUT = 0
    IN = 1


@dataclass(frozen=True, slots=True, eq=False)
class HomeRegistration(Message):
    """Homes enrolled with nothing but their people: asked, they act by hand. Comes before the assets."""

    homes: I32  # rising
    hh_metered: I8
    unit: I16  # GSP Group, place in `unit_names`
    unit_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class EventNotice(Message):
    """Asks homes whether they take part in an event."""

    instruction_id: str
    homes: I32
    start_ms: int
    end_ms: int
    channel: int  # Channel


@dataclass(frozen=True, slots=True, eq=False)
class EventCalledOff(Message):
    """Tells homes that the event for which they were asked does not take place."""

    instruction_id: str


@dataclass(frozen=True, slots=True, eq=False)
class EventAnswers(Message):
    """What homes answered. Who never answers is never here; a later answer takes an earlier one back."""

    instruction_id: str
    homes: I32
    answer: I8  # Answer, IN or OUT
    event_ms: I64  # when it was given


@dataclass(frozen=True, slots=True, eq=False)
class Complaints(Message):
    """Homes that tell that they were left too cold while they were held back."""

    homes: I32
    event_ms: I64
    withdraws: I8  # 1: and it wants no further events


@dataclass(frozen=True, slots=True, eq=False)
class DfsParticipants(Message):
    """Who takes part in an event with a DFS Unit whose homes are asked each time.

    Told to settlement as the event begins, which then settles these homes alone; and for the journal as it
    ends, with how many were asked and how many have said no.
    """

    event_id: str
    unit: str
    at_ms: int
    homes: I32
    asked: int
    opted_out: int


# ---------------------------------------------------------------------------------------------------- meters


@dataclass(frozen=True, slots=True, eq=False)
class BoundaryReadings(Message):
    """One local day of half-hourly boundary-meter readings, as collected so far; MISSING_WH where not."""

    day: date
    homes: I32
    import_wh: I16  # (homes, periods)


@dataclass(frozen=True, slots=True, eq=False)
class BoundaryReads(Message):
    """Power at boundary meters as read live, in the order of arrival: import less export, whole W."""

    homes: I32
    event_ms: I64
    arrival_ms: I64
    import_w: I32


@dataclass(frozen=True, slots=True, eq=False)
class AssetReadings(Message):
    """One local day of half-hourly asset-meter readings; MISSING_WH where not."""

    day: date
    rows: I32
    import_wh: I16  # (rows, periods)


# ------------------------------------------------------------------------------------------------------ DFS


@dataclass(frozen=True, slots=True, eq=False)
class DfsUnitRegistration(Message):
    """Which homes make up a DFS Unit, and the zone (GSP Group) that all of them lie in; "" for none."""

    unit: str
    homes: I32
    domestic: bool
    zone: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class DfsRequirement(Message):
    """A published need: turn demand down by up to `turn_down_mw` (negative: up) between the times.

    `zones` whose units may bid, all where empty; `zonal_caps_mw`: the most that is bought in a zone, by name.
    `version` rises with every amendment of the event, so that an original that comes late is known as such.
    """

    event_id: str
    start_ms: int
    end_ms: int
    turn_down_mw: float
    submit_by_ms: int
    results_by_ms: int
    guaranteed_price_gbp_per_mwh: float | None
    test: bool
    version: int = 1
    zones: tuple[str, ...] = ()
    zonal_caps_mw: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class DfsBid(Message):
    """One unit's offer for an event, pay-as-bid: megawatts per settlement period (turn-up: negative) at one
    price.
    """

    bid_id: str
    event_id: str
    unit: str
    turn_down_mw: tuple[float, ...]
    price_gbp_per_mwh: float


@dataclass(frozen=True, slots=True, eq=False)
class DfsResult(Message):
    """The answer to a bid: accepted whole, or refused with the clause."""

    bid_id: str
    event_id: str
    unit: str
    accepted: bool
    reason: str
    start_ms: int
    end_ms: int
    turn_down_mw: tuple[float, ...]
    price_gbp_per_mwh: float


@dataclass(frozen=True, slots=True, eq=False)
class DfsCancellation(Message):
    """The ESO no longer needs the event (only before it starts)."""

    event_id: str
    reason: str


# ------------------------------------------------------------------------------------------------------- BM


@dataclass(frozen=True, slots=True)
class Point:
    """A corner of a piecewise-linear profile: at `at_ms` the level is `level_mw` (export positive)."""

    at_ms: int
    level_mw: float


Profile = tuple[Point, ...]
"""Corners in time order; linear between; two corners at one time are a step."""


@dataclass(frozen=True, slots=True)
class BidOfferPair:
    """One pair: `number` is +1.. above the FPN and -1.. below; width in MW, prices in GBP/MWh."""

    number: int
    width_mw: float
    offer_gbp_per_mwh: float
    bid_gbp_per_mwh: float


@dataclass(frozen=True, slots=True, eq=False)
class UnitDynamics(Message):
    """How fast a BM Unit can move: ramp rates [MW/min] and notice times [min]."""

    unit: str
    run_up_mw_per_min: float
    run_down_mw_per_min: float
    notice_to_deliver_offer_min: int
    notice_to_deliver_bid_min: int
    minimum_zero_time_min: int


@dataclass(frozen=True, slots=True, eq=False)
class PhysicalNotification(Message):
    """What a unit will do if left alone, whole MW at the corners, for one settlement period."""

    unit: str
    start_ms: int
    end_ms: int
    profile: Profile


@dataclass(frozen=True, slots=True, eq=False)
class ExportLimits(Message):
    """MEL and MIL of a unit from `start_ms` until `end_ms`; a higher `sequence` replaces a lower one."""

    unit: str
    sequence: int
    start_ms: int
    end_ms: int
    mel_mw: float
    mil_mw: float


@dataclass(frozen=True, slots=True, eq=False)
class BidOfferData(Message):
    """The pairs of a unit for one settlement period, fixed at Gate Closure."""

    unit: str
    start_ms: int
    end_ms: int
    pairs: tuple[BidOfferPair, ...]


@dataclass(frozen=True, slots=True, eq=False)
class BidOfferAcceptance(Message):
    """A numbered acceptance: the MW profile to follow, from leaving the FPN until back on it."""

    unit: str
    number: int
    accepted_ms: int
    profile: Profile
    so_flag: bool
    amendment: str  # "ORI", "UPD" or "DEL"


@dataclass(frozen=True, slots=True, eq=False)
class AcceptanceResponse(Message):
    """The unit's answer to an acceptance."""

    unit: str
    number: int
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class OperationalMetering(Message):
    """The units' 1 s import as published by the aggregator.

    One value [W] per whole second from `start_ms`.
    """

    unit_names: tuple[str, ...]
    start_ms: int
    import_w: I64  # (units, seconds)


# ------------------------------------------------------------------- services besides DFS and the BM


@dataclass(frozen=True, slots=True, eq=False)
class ServiceConsents(Message):
    """Which further services each asset's customer consented to, and what these ask about a site.

    Rows are 0 .. n-1 as in `AssetRegistration`, which it comes before. Consent is no eligibility: what rules
    forbid (`protocol.eligibility`, `protocol.stacking`) the aggregator leaves out.
    """

    products: I32  # one bit per service: 1 << its place in `protocol.products.Product`
    zone: I16  # constraint management zone, place in `zone_names`; -1 in none
    settlement_status: I8  # 0 non-smart, 1 HH-metered only, 2 HH-settled
    zone_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ServiceUnit(Message):
    """A unit enrolled in one service: which assets it is made of, and where it lies.

    `place`: a zone, GSP, GSP Group or "national", as the service buys it.
    """

    product: str  # protocol.products.Product
    unit: str
    place: str
    rows: I32  # rising
    capacity_mw: float  # what it is entered with, positive


@dataclass(frozen=True, slots=True, eq=False)
class ServiceUnitAnswer(Message):
    """The buyer's answer to a unit: enrolled, or refused with the clause.

    `obliged_mw`: what it is bound to from now on, in a market that obliges; None where none does.
    """

    product: str
    unit: str
    accepted: bool
    reason: str
    obliged_mw: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ServiceRequirement(Message):
    """What a buyer wants at a place between the times: `turn_down_mw` (negative: demand turned up).

    A price that is None is not asked for; a number is the most that is paid. `version` rises with every
    amendment.
    """

    product: str
    event_id: str
    place: str
    start_ms: int
    end_ms: int
    turn_down_mw: float
    submit_by_ms: int
    results_by_ms: int
    utilisation_ceiling_gbp_per_mwh: float | None
    availability_ceiling_gbp_per_mw_h: float | None
    version: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class ServiceOffer(Message):
    """One unit's offer for a requirement: megawatts per settlement period, and prices."""

    product: str
    offer_id: str
    event_id: str
    unit: str
    turn_down_mw: tuple[float, ...]
    utilisation_gbp_per_mwh: float
    availability_gbp_per_mw_h: float


@dataclass(frozen=True, slots=True, eq=False)
class ServiceAward(Message):
    """The answer to an offer. Of a scheduled service the award is the instruction; others are dispatched."""

    product: str
    offer_id: str
    event_id: str
    unit: str
    accepted: bool
    reason: str
    start_ms: int
    end_ms: int
    turn_down_mw: tuple[float, ...]
    utilisation_gbp_per_mwh: float
    availability_gbp_per_mw_h: float
    scheduled: bool


@dataclass(frozen=True, slots=True, eq=False)
class ServiceCancellation(Message):
    """The buyer no longer needs the event (only before it starts)."""

    product: str
    event_id: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ServiceDispatch(Message):
    """A signal to a unit that was awarded: "start", "stop" or "emergency_stop" (`dso_payment.Signal`).

    A start is from `at_ms` until `until_ms` or a stop, by `turn_down_mw`; it names the award that it calls.
    """

    product: str
    dispatch_id: str
    offer_id: str
    unit: str
    signal: str
    at_ms: int
    until_ms: int
    turn_down_mw: float


@dataclass(frozen=True, slots=True, eq=False)
class ServiceDispatchAnswer(Message):
    """The unit's answer to a signal."""

    product: str
    dispatch_id: str
    unit: str
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class ServiceNomination(Message):
    """What a unit says that it would import if it were not called, period by period of a local day [Wh].

    The nominated baseline of DSO and constraint services, and the Submitted Expected Volume of a VTP's unit.
    """

    product: str
    unit: str
    day: date
    import_wh: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ServiceMetering(Message):
    """A unit's import as its aggregator submits it: one mean [W] per minute, the first from `start_ms`."""

    product: str
    unit: str
    start_ms: int
    import_w: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class WholesaleOrder(Message):
    """An order of a Virtual Trading Party: to sell `sell_mwh` (negative: buy) at the limit or better."""

    order_id: str
    unit: str
    auction: str  # "day_ahead_hourly", "day_ahead_half_hourly" or "intraday"
    start_ms: int
    end_ms: int
    sell_mwh: float
    limit_gbp_per_mwh: float


@dataclass(frozen=True, slots=True, eq=False)
class WholesaleTrade(Message):
    """The answer to an order: how much of it was traded and at what price; 0 MWh with the reason."""

    order_id: str
    unit: str
    auction: str
    start_ms: int
    end_ms: int
    sold_mwh: float
    price_gbp_per_mwh: float
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class WholesaleNotification(Message):
    """WMAN: tells that a unit deviates for a trade in these periods; before Gate Closure."""

    unit: str
    start_ms: int
    end_ms: int
    deviation_mwh: float  # positive for turning demand down


@dataclass(frozen=True, slots=True, eq=False)
class CapacityNotice(Message):
    """A Capacity Market Notice: stress is foreseen from `start_ms` until it is lifted at `end_ms`."""

    notice_id: str
    issued_ms: int
    start_ms: int
    end_ms: int
    load_following_share: float  # of the capacity obliged, that the obligation is scaled to
    stressed: bool  # whether system stress came true in it


# ------------------------------------------------------------------------------------------------- journal


@dataclass(frozen=True, slots=True, eq=False)
class DeliveryBelief(Message):
    """For the journal: what the aggregator was asked for and believes that it is delivering, now [W]."""

    instruction_id: str
    unit: str
    at_ms: int
    instructed_turn_down_w: int
    believed_turn_down_w: int


@dataclass(frozen=True, slots=True, eq=False)
class InstructionStep(Message):
    """For the journal: one step in the life of an instruction (`protocol.instruction.Stage`)."""

    instruction_id: str
    service: str
    unit: str
    at_ms: int
    stage: str
    reason: str
    start_ms: int
    end_ms: int
    turn_down_w: int


@dataclass(frozen=True, slots=True, eq=False)
class Remark(Message):
    """For the journal: something worth telling (a refusal, a fault played, a degraded forecast)."""

    at_ms: int
    who: str
    kind: str  # a short stable code such as "duplicate_instruction"
    detail: str


# ----------------------------------------------------------------------------------------- prices, settlement


@dataclass(frozen=True, slots=True, eq=False)
class SystemPrice(Message):
    """The imbalance price of a settlement period, published after it ended."""

    start_ms: int
    price_gbp_per_mwh: float
    net_imbalance_volume_mwh: float


@dataclass(frozen=True, slots=True, eq=False)
class DayAheadPrices(Message):
    """Half-hourly day-ahead prices of a local day [GBP/MWh]."""

    day: date
    price_gbp_per_mwh: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One settled amount. Positive: paid to the aggregator. `volume_mwh` is signed as the clause says."""

    settlement_run: str
    service: str
    unit: str
    reference: str  # event id or acceptance number
    start_ms: int
    item: str
    volume_mwh: float
    price_gbp_per_mwh: float
    amount_gbp_e5: int
    payer: str
    payee: str
    clause: str


@dataclass(frozen=True, slots=True, eq=False)
class Statement(Message):
    """Settlement lines of one run for one day."""

    lines: tuple[StatementLine, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SettlementRunMade(Message):
    """For the journal: one settlement run of one Settlement Day, as published.

    Meters are those whose volumes the day's settlement uses. `metered_wh` and `actual_wh` are sums of sizes
    (export counts like import): all that was collected or estimated, and what of it was collected.
    """

    settlement_run: str
    day: date
    published_ms: int
    meters: int
    meters_on_actuals: int
    meters_on_own_history: int
    meters_on_class_profile: int
    meters_unknown: int
    metered_wh: int
    actual_wh: int
    change_gbp_e5: int  # against the run before, paid to the aggregator
    total_gbp_e5: int  # as it stands with this run


@dataclass(frozen=True, slots=True, eq=False)
class SupplierSettled(Message):
    """For the journal: where a trading unit leaves one Supplier in one settlement period.

    `deviation_wh` (positive for turning down) was taken out of its position, and `compensation_gbp_e5` is
    paid to it. `rebound_wh` (positive for drawing more) is what the unit's assets drew beyond what was
    expected and is nobody's deviation: it stays with the Supplier, who is paid `imbalance_gbp_e5` for it.
    """

    settlement_run: str
    supplier: str
    unit: str
    start_ms: int
    deviation_wh: int
    compensation_gbp_e5: int
    rebound_wh: int
    imbalance_gbp_e5: int


@dataclass(frozen=True, slots=True, eq=False)
class DeliveredVolume(Message):
    """For the journal: what settlement found for one unit, one event or acceptance and one settlement period.

    `baseline_wh` (for a BM Unit its FPN) and `metered_wh` are import-positive; `delivered_wh` and
    `accepted_wh` are positive for turning down. `homes` are assets for a BM Unit and for DFS on asset meters;
    `homes_missing` is how many of them have no delivered volume of their own.
    """

    service: str
    unit: str
    reference: str
    start_ms: int
    end_ms: int
    baseline_wh: int
    metered_wh: int
    delivered_wh: int
    accepted_wh: int
    homes: int
    homes_missing: int
