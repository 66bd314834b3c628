"""What every table of a run folder holds: names, types, meanings and order. The data dictionary's source.

A column's kind is one of: `time` (UTC ms), `int`, `wide` (an int beyond 32 bits), `float`, `word`, `flag`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sim.scenario import RecordLevel

Kind = Literal["time", "int", "wide", "float", "word", "flag"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name ends in its unit; `nullable` says that a value may be missing."""

    name: str
    kind: Kind
    meaning: str
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `order` names the columns that rows are sorted by (ties by all the others, from the left);
    rows with equal `order` are added up over the columns `summed`. `streamed` tables arrive in their order
    already and may be larger than memory; `boundary` ones are there where boundary meters are read live,
    `calendar` ones where settlement runs follow the calendar, `retail` ones where homes are on a time-of-use
    tariff, `wholesale` ones where homes consent to trading.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    order: tuple[str, ...]
    level: RecordLevel = RecordLevel.PORTFOLIO
    summed: tuple[str, ...] = ()
    streamed: bool = False
    boundary: bool = False
    calendar: bool = False
    retail: bool = False
    wholesale: bool = False

    def column(self, name: str) -> Column:
        """The column of that name. Raises KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name}")


_UNIT = Column("unit", "word", "the BM Unit or DFS Unit; one per GSP Group")
_SERVICE = Column("service", "word", "what the assets are enrolled in: none, dfs or balancing")
_ROW = Column("row", "int", "the asset, as the aggregator numbers it")
_HOME = Column("home", "int", "the home")
_TARIFF = Column("tariff", "word", "single_rate, static (time of use) or economy_7")

_ALL: tuple[Table, ...] = (
    Table(
        "portfolio_1s",
        "Net true import of the devices by the second, and what it would have been without instructions.",
        (
            Column("at_ms", "time", "start of the second"),
            _UNIT,
            _SERVICE,
            Column("import_w", "wide", "true import of all devices of the unit and service [W]"),
            Column("without_w", "wide", "same homes, same draws, no instructions [W]"),
            Column(
                "published_w",
                "wide",
                "what the aggregator published as operational metering [W]",
                nullable=True,
            ),
        ),
        ("unit", "service", "at_ms"),
    ),
    Table(
        "boundary_1s",
        "Net true import at the boundary of the homes of BM Units that are read live, by the second.",
        (
            Column("at_ms", "time", "start of the second"),
            _UNIT,
            Column("import_w", "wide", "true import of these homes, less what they export [W]"),
            Column("base_w", "wide", "the part of it that is no device [W]"),
        ),
        ("unit", "at_ms"),
        boundary=True,
    ),
    Table(
        "portfolio_1min",
        "The same as minute means by Grid Supply Point.",
        (
            Column("at_ms", "time", "start of the minute"),
            Column("gsp", "word", "Grid Supply Point"),
            _UNIT,
            Column("import_w", "wide", "mean true import of the devices, net [W]"),
            Column("without_w", "wide", "mean without instructions [W]"),
        ),
        ("unit", "gsp", "at_ms"),
    ),
    Table(
        "half_hourly",
        "Energy and meters by settlement period.",
        (
            Column("at_ms", "time", "start of the settlement period"),
            Column("day", "word", "Settlement Day"),
            Column("period", "int", "Settlement Period, 1 to 46, 48 or 50"),
            _UNIT,
            _SERVICE,
            Column("devices_wh", "wide", "true import of the devices, net of what they give [Wh]"),
            Column("without_wh", "wide", "the same without instructions [Wh]"),
            Column("base_wh", "wide", "true import of everything else in these homes [Wh]"),
            Column("base_without_wh", "wide", "the same had nobody been asked to act by hand [Wh]"),
            Column("asset_metered_wh", "wide", "as registered by the asset meters [Wh]"),
            Column("boundary_metered_wh", "wide", "as registered by the boundary meters that were read [Wh]"),
            Column("homes", "int", "homes in this unit and service"),
            Column("readings_missing", "int", "boundary readings that should have come and did not"),
        ),
        ("unit", "service", "at_ms"),
    ),
    Table(
        "technology_half_hourly",
        "Energy and comfort by technology and settlement period.",
        (
            Column("at_ms", "time", "start of the settlement period"),
            Column("technology", "word", "protocol.messages.Technology in small letters"),
            _UNIT,
            _SERVICE,
            Column("devices", "int", "how many there are, whether anybody can reach them or not"),
            Column("import_wh", "wide", "true import, net of what they give [Wh]"),
            Column("without_wh", "wide", "the same without instructions [Wh]"),
            Column(
                "cold",
                "int",
                "rooms at their comfort floor or below, and stores told to be empty, at the period's end",
            ),
            Column("cold_without", "int", "the same without instructions"),
            Column("left", "int", "took no orders then: comfort, the longest hold, or their owner"),
        ),
        ("technology", "unit", "service", "at_ms"),
    ),
    Table(
        "homes",
        "The homes.",
        (
            _HOME,
            _UNIT,
            Column("gsp", "word", "Grid Supply Point"),
            Column("annual_wh", "int", "base load of a year, without any device [Wh]"),
            Column("smart", "flag", "has a smart meter"),
            Column("hh_metered", "flag", "whose half-hourly readings are collected"),
            Column("hh_settled", "flag", "settled half-hourly"),
            Column("evs", "int", "cars charged at home"),
            Column("economy_7", "flag", "has a meter of two rates"),
            Column("heat", "word", "main heating: other_fuel, heat_pump, storage_heaters, resistive"),
            Column("primary", "int", "primary substation, counted through all GSPs"),
            Column("hv_feeder", "int", "high-voltage feeder, counted through all primaries"),
            Column("lv_feeder", "int", "low-voltage feeder, counted through all high-voltage feeders"),
            Column("zone", "word", "constraint-management zone; empty where there is room"),
            Column("own_id", "word", "the registry's name of the home; empty without a registry"),
        ),
        ("home",),
        RecordLevel.HOMES,
    ),
    Table(
        "home_half_hourly",
        "Energy and meters by home and settlement period.",
        (
            Column("at_ms", "time", "start of the settlement period"),
            _HOME,
            Column("devices_wh", "int", "true import of the home's devices, net of what they give [Wh]"),
            Column("without_wh", "int", "the same without instructions [Wh]"),
            Column("base_wh", "int", "true import of everything else [Wh]"),
            Column("boundary_metered_wh", "int", "boundary meter [Wh]", nullable=True),
            Column("asset_metered_wh", "int", "asset meter [Wh]", nullable=True),
        ),
        ("at_ms", "home"),
        RecordLevel.HOMES,
        streamed=True,
    ),
    Table(
        "devices",
        "The devices and where they hang in the plant of wires.",
        (
            _ROW,
            Column("device", "wide", "stable identity: the entity of every draw"),
            _HOME,
            _UNIT,
            _SERVICE,
            Column("gsp", "word", "Grid Supply Point"),
            Column("route", "word", "how messages travel"),
            Column("vendor", "int", "vendor cloud within the route"),
            Column("isp", "int", "internet service provider"),
            Column("mobile_operator", "int", "mobile operator"),
            Column("rating_w", "int", "charge point [W]"),
            Column("battery_wh", "int", "usable battery [Wh]"),
            Column("target_pct", "int", "state of charge that the owner wants"),
            Column("ready_by_minute", "int", "by this minute of the local day"),
        ),
        ("row",),
        RecordLevel.DEVICES,
    ),
    Table(
        "device_events",
        "Everything that happened to each device, with instructions and without.",
        (
            Column("at_ms", "time", "when"),
            _ROW,
            Column("kind", "word", "devices.ev.EventKind in small letters"),
            Column("value", "wide", "W, Wh or outcome, as the kind says"),
            Column("arm", "word", "`lived`, or `without` for the world without instructions"),
        ),
        ("row", "arm", "at_ms"),
        RecordLevel.DEVICES,
    ),
    Table(
        "device_messages",
        "Each set-point and acknowledgement, with its fate.",
        (
            Column("at_ms", "time", "when sent"),
            _ROW,
            Column("what", "word", "sim.network.Kind in small letters"),
            Column("instruction_id", "word", "on whose behalf; empty for acknowledgements"),
            Column("sequence", "int", "of the set-point"),
            Column("limit_w", "int", "limit asked for [W]; -1 lifts it"),
            Column("from_ms", "time", "not to be acted on before", nullable=True),
            Column("until_ms", "time", "valid until", nullable=True),
            Column("fate", "word", "sim.network.Outcome in small letters"),
            Column("arrival_ms", "time", "when it arrived", nullable=True),
        ),
        ("row", "at_ms", "sequence"),
        RecordLevel.DEVICES,
    ),
    Table(
        "events",
        "What else happened, in order: outages, market messages, remarks, meter days that never came.",
        (
            Column("at_ms", "time", "when"),
            Column("kind", "word", "short stable code"),
            Column("who", "word", "who tells or whom it befell"),
            Column("subject", "word", "event, acceptance, route or unit"),
            Column("detail", "word", "in words"),
        ),
        ("at_ms", "kind", "who", "subject"),
    ),
    Table(
        "registry_changes",
        "What became of homes and devices after they were enrolled: the truth, whoever heard of it.",
        (
            Column("at_ms", "time", "when it took effect"),
            _ROW,
            _HOME,
            Column(
                "kind",
                "word",
                "moved, consent_withdrawn, device_swapped, firmware, msid_deallocated or enrolled (again)",
            ),
            Column(
                "heard_ms",
                "time",
                "when the aggregator was told, of a deallocation settlement; missing: never",
                nullable=True,
            ),
            Column(
                "setpoints_unheard",
                "int",
                "set-points sent to it after consent ended and before the aggregator heard: all refused",
            ),
            Column("setpoints_heard", "int", "set-points sent to it after the aggregator heard: must be 0"),
        ),
        ("at_ms", "row", "kind"),
    ),
    Table(
        "instructions",
        "The ledger: every step in the life of every instruction.",
        (
            Column("line", "int", "in the order in which steps were told"),
            Column("at_ms", "time", "when"),
            Column("instruction_id", "word", "the instruction"),
            Column("service", "word", "dfs or balancing"),
            _UNIT,
            Column("stage", "word", "protocol.instruction.Stage"),
            Column("reason", "word", "why, where a reason is due"),
            Column("start_ms", "time", "delivery from"),
            Column("end_ms", "time", "delivery until"),
            Column("turn_down_w", "wide", "asked for [W]; negative for turning up"),
        ),
        ("line",),
    ),
    Table(
        "beliefs",
        "What the aggregator was asked for and believed that it was delivering.",
        (
            Column("at_ms", "time", "when"),
            Column("instruction_id", "word", "the instruction"),
            _UNIT,
            Column("instructed_turn_down_w", "wide", "asked for, now [W]"),
            Column("believed_turn_down_w", "wide", "believed to be delivered, now [W]"),
        ),
        ("at_ms", "instruction_id"),
    ),
    Table(
        "participation",
        "How many homes took part in each DFS event for which they were asked, told as it ended.",
        (
            Column("at_ms", "time", "when the event ended"),
            Column("event_id", "word", "the event"),
            _UNIT,
            Column("homes_asked", "int", "homes asked"),
            Column("homes_in", "int", "of these, said yes before it began"),
            Column("homes_opted_out", "int", "of these, said no, before or meanwhile"),
        ),
        ("at_ms", "event_id", "unit"),
    ),
    Table(
        "complaints",
        "Homes that told that they were left too cold while their heating was held back.",
        (
            Column("at_ms", "time", "when"),
            _HOME,
            Column("withdraws", "flag", "wants no further events"),
        ),
        ("at_ms", "home"),
    ),
    Table(
        "comms",
        "Messages by minute, route, direction, kind and outcome.",
        (
            Column("at_ms", "time", "start of the minute in which they were sent"),
            Column("route", "word", "how messages travel"),
            Column("direction", "word", "`down` to the device, `up` from it"),
            Column("kind", "word", "sim.network.Kind in small letters"),
            Column(
                "outcome", "word", "sim.network.Outcome in small letters; `duplicated` counts second arrivals"
            ),
            Column("count", "wide", "messages"),
            Column("latency_sum_ms", "wide", "of those that arrived, added up [ms]"),
        ),
        ("at_ms", "route", "direction", "kind", "outcome"),
        summed=("count", "latency_sum_ms"),
    ),
    Table(
        "market_levels",
        "What went over the wire in megawatts: bids and results by period, profiles by corner.",
        (
            Column("line", "int", "in the order in which they were heard"),
            Column("heard_ms", "time", "when it was heard"),
            Column("service", "word", "dfs, balancing, or another of `protocol.products.Product`"),
            _UNIT,
            Column("reference", "word", "event, acceptance, order or signal; empty for a notification"),
            Column(
                "what",
                "word",
                "bid, accepted, refused, fpn, nominated, dispatch, ORI, UPD, DEL; (un)binding: as settled",
            ),
            Column("telling", "word", "offer or order id, number and time of acceptance, period or day"),
            Column("place", "int", "period of the bid or corner of the profile, from 0"),
            Column("at_ms", "time", "start of the period, or the corner; a bid does not say", nullable=True),
            Column("level_mw", "float", "turn-down of a bid; level of a profile, export positive [MW]"),
            Column("price_gbp_per_mwh", "float", "of a bid [GBP/MWh]", nullable=True),
        ),
        ("line",),
    ),
    Table(
        "deliveries",
        "Every accepted instruction, period by period: asked, believed, metered, settled, and the truth.",
        (
            Column("service", "word", "dfs or balancing"),
            _UNIT,
            Column("instruction_id", "word", "the instruction"),
            Column("at_ms", "time", "from, within one settlement period"),
            Column("end_ms", "time", "until"),
            Column(
                "instructed_wh", "wide", "asked for: not once cancelled, nor while a later one governs [Wh]"
            ),
            Column("believed_wh", "wide", "believed by the aggregator [Wh]", nullable=True),
            Column(
                "baseline_wh", "wide", "baseline or expected volume of the period [Wh import]", nullable=True
            ),
            Column("metered_wh", "wide", "metered in the period [Wh import]", nullable=True),
            Column("settled_wh", "wide", "delivered, as settled [Wh]", nullable=True),
            Column(
                "true_wh",
                "wide",
                "truly delivered: without minus with, over the unit's enrolled devices [Wh]",
            ),
            Column("settled_minus_true_wh", "wide", "what settlement got wrong [Wh]", nullable=True),
        ),
        ("service", "unit", "at_ms", "instruction_id"),
    ),
    Table(
        "settlement",
        "Every line of every statement, in pounds and with its clause.",
        (
            Column("line", "int", "in the order in which lines were received"),
            Column("heard_ms", "time", "when the statement came"),
            Column("settlement_run", "word", "II, SF, R1 ..."),
            Column("service", "word", "dfs or balancing"),
            _UNIT,
            Column("reference", "word", "event, bid or acceptance"),
            Column("start_ms", "time", "start of the settlement period"),
            Column("item", "word", "what is paid for or told"),
            Column("volume_mwh", "float", "signed as the clause says [MWh]"),
            Column("price_gbp_per_mwh", "float", "[GBP/MWh]"),
            Column("amount_gbp_e5", "wide", "paid to the aggregator [1e-5 GBP]"),
            Column("payer", "word", "who pays"),
            Column("payee", "word", "who is paid"),
            Column("clause", "word", "the rule"),
        ),
        ("line",),
    ),
    Table(
        "settlement_runs",
        "Every settlement run of every Settlement Day, under `runs: calendar`.",
        (
            Column("day", "word", "the Settlement Day"),
            Column("settlement_run", "word", "II, SF, R1, R2, R3, RF or DF"),
            Column("published_ms", "time", "when its results came out"),
            Column("meters", "int", "meters whose readings the day's settlement uses"),
            Column("meters_on_actuals", "int", "of them, with every half-hour collected"),
            Column("meters_on_own_history", "int", "half-hours estimated from their own like days"),
            Column("meters_on_class_profile", "int", "half-hours estimated by the profile of their class"),
            Column("meters_unknown", "int", "half-hours that nothing could be said of"),
            Column("metered_wh", "wide", "their energy, collected or estimated, either way [Wh]"),
            Column("actual_wh", "wide", "what of it was collected [Wh]"),
            Column("change_gbp_e5", "wide", "what the run changed, paid to the aggregator [1e-5 GBP]"),
            Column("total_gbp_e5", "wide", "the day's result as it stands with the run [1e-5 GBP]"),
        ),
        ("published_ms", "day"),
        calendar=True,
    ),
    Table(
        "settled_volumes",
        "What settlement found for each unit, event or acceptance, and settlement period.",
        (
            Column(
                "line", "int", "in the order in which they were told; a later one replaces an earlier one"
            ),
            Column("heard_ms", "time", "when it was told"),
            Column("service", "word", "dfs or balancing"),
            _UNIT,
            Column("reference", "word", "event or acceptances"),
            Column("start_ms", "time", "start of the settlement period"),
            Column("end_ms", "time", "end of the settlement period"),
            Column("baseline_wh", "wide", "baseline; for a BM Unit its FPN [Wh import]"),
            Column("metered_wh", "wide", "metered [Wh import]"),
            Column("delivered_wh", "wide", "delivered, positive for turning down [Wh]"),
            Column("accepted_wh", "wide", "accepted, positive for turning down [Wh]"),
            Column("homes", "int", "homes (for a BM Unit: assets)"),
            Column("homes_missing", "int", "of them without a volume of their own"),
        ),
        ("line",),
    ),
    Table(
        "supplier_positions",
        "Where wholesale trading leaves each Supplier, period by period from the first trade of a day on; of "
        "no account in what the aggregator earns. Where homes consent to it.",
        (
            Column(
                "line", "int", "in the order in which they were told; a later one replaces an earlier one"
            ),
            Column("heard_ms", "time", "when it was told"),
            Column("settlement_run", "word", "II, SF, R1 ..."),
            Column("supplier", "word", "whose customers the homes are"),
            _UNIT,
            Column("start_ms", "time", "start of the settlement period"),
            Column("deviation_wh", "wide", "taken out of its position, positive for turned down [Wh]"),
            Column("compensation_gbp_e5", "wide", "paid to it by clearing [1e-5 GBP]"),
            Column("rebound_wh", "wide", "drawn beyond what was expected, and left with it [Wh import]"),
            Column("imbalance_gbp_e5", "wide", "paid to it for that at the system price [1e-5 GBP]"),
        ),
        ("line",),
        wholesale=True,
    ),
    Table(
        "promises",
        "What drivers were promised: the charge they want by the time they want it.",
        (
            _ROW,
            _HOME,
            Column("ready_by_ms", "time", "the deadline"),
            Column("needed_wh", "int", "what was to be charged when the car came home [Wh]", nullable=True),
            Column("short_wh", "int", "missing at the deadline [Wh]", nullable=True),
            Column("short_without_wh", "int", "missing without instructions [Wh]", nullable=True),
            Column("reached", "flag", "kept", nullable=True),
            Column("reached_without_instructions", "flag", "would have been kept", nullable=True),
        ),
        ("row", "ready_by_ms"),
    ),
    Table(
        "retail",
        "What the homes of each tariff owe their Supplier for a day; where some are on a static one.",
        (
            Column("day", "word", "Settlement Day"),
            _TARIFF,
            Column("homes", "int", "homes on it, of those with a device"),
            Column("import_mwh", "float", "import, half-hour by half-hour net at the boundary [MWh]"),
            Column("price_gbp_per_mwh", "float", "mean that they paid [GBP/MWh]"),
            Column("amount_gbp_e5", "wide", "their bills together [1e-5 GBP]"),
            Column("without_mwh", "float", "import had nobody been instructed [MWh]"),
            Column("without_gbp_e5", "wide", "their bills had nobody been instructed [1e-5 GBP]"),
            Column("payer", "word", "who pays"),
            Column("payee", "word", "who is paid"),
        ),
        ("day", "tariff"),
        retail=True,
    ),
    Table(
        "bills",
        "What each home with a device owes its Supplier for the run; where some are on a static tariff.",
        (
            _HOME,
            _TARIFF,
            Column("import_wh", "wide", "import, half-hour by half-hour net at the boundary [Wh]"),
            Column("without_wh", "wide", "the same without instructions [Wh]"),
            Column("bill_gbp_e5", "wide", "its bill [1e-5 GBP]"),
            Column("without_gbp_e5", "wide", "its bill without instructions [1e-5 GBP]"),
        ),
        ("home",),
        level=RecordLevel.HOMES,
        retail=True,
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _ALL}
"""Every table there is, in the order of the data dictionary."""

_LEVELS = (RecordLevel.PORTFOLIO, RecordLevel.HOMES, RecordLevel.DEVICES)


def recorded(
    level: RecordLevel,
    *,
    boundary: bool = False,
    calendar: bool = False,
    retail: bool = False,
    wholesale: bool = False,
) -> tuple[Table, ...]:
    """The tables that a run of this level writes.

    `boundary`: boundary meters are read live; `calendar`: settlement runs follow the calendar; `retail`:
    homes are on a time-of-use tariff; `wholesale`: homes consent to trading.
    """
    wanted = [table for table in _ALL if _LEVELS.index(table.level) <= _LEVELS.index(level)]
    return tuple(
        table
        for table in wanted
        if (boundary or not table.boundary)
        and (calendar or not table.calendar)
        and (retail or not table.retail)
        and (wholesale or not table.wholesale)
    )
