"""What a scenario may say, and every default there is; of devices other than cars: `sim/scenario_devices.py`.

Of people in events: `sim/scenario_people.py`. Reading files: `sim/scenario_file.py`.

Quantities are written with units (`7.4 kW`, `30 min`, `6 %`) and become integers or floats in the unit that
the field's name ends in (`sim/quantity.py`). Unknown keys are refused. A source in a description is where
its default comes from; "assumed" marks a guess, which is why it is a parameter.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from sim.quantity import ClockTime, Day, Duration, Energy, Megawatts, Power, Price, Share
from sim.scenario_churn import Churn
from sim.scenario_devices import (
    BackUpGenerators,
    Batteries,
    Businesses,
    Dishwashers,
    Fridges,
    HeatPumps,
    HotWater,
    Pv,
    ResistiveHeaters,
    StorageHeaters,
    TumbleDryers,
    WasherDryers,
    WashingMachines,
)
from sim.scenario_model import Model
from sim.scenario_people import People
from sim.scenario_services import (
    CapacityMarket,
    ConstraintMarket,
    LocalServices,
    Retail,
    Wholesale,
)
from sim.scenario_settlement import SettlementRuns

SCHEMA_VERSION = 1


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Count = Annotated[int, Field(ge=1, le=20_000_000)]
EveryDay = Annotated[int, Field(ge=0, le=365, description="day of the run, 0 is the first")]


class RecordLevel(StrEnum):
    """How much of the world is written down."""

    PORTFOLIO = "portfolio"
    HOMES = "homes"
    DEVICES = "devices"


class Clock(Model):
    """Which days are lived, and how often the run is saved."""

    start: Day = Field(ge=date(2000, 1, 1), le=date(2099, 12, 31))
    days: int = Field(default=1, ge=1, le=400)
    history_days: int = Field(
        default=14, ge=0, le=60, description="meter history lived before day one, for baselines"
    )
    settlement_days: int = Field(
        default=2,
        ge=0,
        le=1_000,
        description="days after the last one on which meters and markets still talk; RF is some 430 after",
    )
    checkpoint_every_ms: Duration = Field(default=3_600_000, ge=60_000)


class Record(Model):
    """What is written to the run folder."""

    level: RecordLevel = RecordLevel.HOMES
    csv: bool = Field(default=True, description="CSV beside Parquet, for tables of at most csv_rows")
    csv_rows: int = Field(default=200_000, ge=0, le=1_000_000_000)


class PopulationSource(Model):
    """Who lives there with what: drawn, or an asset registry of one's own (docs/bring-your-own.md)."""

    source: Literal["synthetic", "file"] = "synthetic"
    file: str | None = Field(default=None, description="a registry, CSV or Parquet: its homes and assets")


class NetworkTree(Model):
    """The network below a GSP, and where it is short of room."""

    primaries_per_gsp: int = Field(
        default=14, ge=1, le=100, description="about 4,800 primaries under 350 GSPs in GB [mem]; equal split"
    )
    hv_feeders_per_primary: int = Field(default=8, ge=1, le=50, description="11 kV circuits; [guess], 5-12")
    lv_feeders_per_hv_feeder: int = Field(
        default=15, ge=1, le=500, description="so that some 50 homes share one, 28 million in all; [guess]"
    )
    zone_share: Share = Field(
        default=0.15, description="primaries in a constraint-management zone (CMZ); [guess]"
    )
    zones_per_group: int = Field(default=10, ge=1, le=60, description="CMZs of one GSP Group; [guess]")


class BoundaryReads(Model):
    """Boundary meters read live through a consumer access device on the home's own network."""

    share: Share = Field(
        default=0.0, description="of homes with a smart meter, have one that is read; the rest by half-hour"
    )
    every_ms: Duration = Field(default=10_000, ge=1_000, description="CrowdFlex WP5 table 3: 10-20 s")
    latency_ms: Duration = Field(default=13_000, description="median; CrowdFlex WP5 table 3: ~13 s")
    latency_log_sd: float = Field(default=0.0, ge=0, le=3, description="log-normal spread of it")
    loss: Share = Field(default=0.0, description="readings that never arrive")


class Homes(Model):
    """Households, their meters and how they are settled."""

    count: Count = 10_000
    annual_median_wh: Energy = Field(default=2_700_000, description="Ofgem TDCV medium, 2,700 kWh/y")
    annual_log_sd: float = Field(default=0.70, ge=0, le=2, description="Low Carbon London, 294 homes")
    day_log_sd: float = Field(
        default=0.25, ge=0, le=1, description="day-to-day variation of one home; assumed"
    )
    day_autocorrelation: float = Field(
        default=0.6, ge=0, lt=1, description="lag-1, of the daily log factor; assumed"
    )
    half_hour_log_sd: float = Field(
        default=0.55, ge=0, le=2, description="half-hour variation within a day; assumed"
    )
    gsp_groups: dict[str, float] = Field(
        default_factory=dict,
        description="weights by GSP Group letter (_A .. _P); empty: by number of GB meters",
    )
    gsps_per_group: int = Field(
        default=20, ge=1, le=60, description="about 350 GSPs in GB; assumed equal split"
    )
    hh_settled_share: Share = Field(default=0.35, description="settled half-hourly; assumed, moves with MHHS")
    smart_share: Share = Field(default=0.66, description="homes with a smart meter; DESNZ 2024, [mem]")
    not_communicating_share: Share = Field(
        default=0.06, description="of smart meters, not in smart mode; DESNZ Jun 2024"
    )
    daily_missing_share: Share = Field(
        default=0.0, description="half-hourly days not collected although in smart mode"
    )
    meter_gain_sd: Share = Field(default=0.0, description="boundary-meter gain error, drawn once per meter")
    base_includes_white_goods: bool = Field(
        default=True,
        description="Elexon's shape and Ofgem's energy are of homes with such goods: base load of homes "
        "that own modelled ones leaves them out",
    )
    restart_within_ms: Duration = Field(
        default=0,
        le=3_600_000,
        description="after a power cut each device but cars is back at its own moment within this, beside "
        "what its kind needs; PAS 1878 asks smart appliances for a random offset; length assumed",
    )
    boundary_reads: BoundaryReads = BoundaryReads()
    network: NetworkTree = NetworkTree()
    history_file: str | None = Field(
        default=None,
        description="half-hourly meter data, CSV or imported: the base load of its homes",
    )
    economy_7_with_storage_heaters: Share = Field(
        default=1.0, description="homes with storage heaters whose meter has two rates; assumed"
    )
    economy_7_otherwise: Share = Field(
        default=0.05,
        description="other homes; 10-12 % of meters have two rates, 6 % of homes storage heaters [mem]",
    )


class EvMeter(Model):
    """CoP11-like asset meter in the charge point."""

    gain_sd: Share = Field(
        default=0.0, description="gain error, drawn once per meter (CrowdFlex WP5 4.2.2 uses 2.5 %)"
    )
    maker_bias_sd: Share = Field(default=0.0, description="bias shared by all meters of one maker")
    makers: int = Field(default=6, ge=1, le=50)
    missing_share: Share = Field(default=0.0, description="half-hours without a reading")


class Evs(Model):
    """Cars, charge points and their drivers."""

    share: Share = Field(default=0.4, description="homes with an EV charged at home")
    telematics_share: Share = Field(
        default=0.25, description="controlled through the car's cloud instead of the charge point"
    )
    wifi_share: Share = Field(
        default=0.6, description="charge points on home broadband; the rest on 4G; assumed"
    )
    charger_w: tuple[tuple[Annotated[Power, Field(ge=1_000, le=40_000)], Share], ...] = Field(
        default=((7400, 0.90), (3600, 0.05), (11_000, 0.04), (22_000, 0.01)), description="charger mix [mem]"
    )
    battery_mean_wh: Energy = Field(default=62_000, ge=1_000, le=1_000_000, description="60-65 kWh [mem]")
    battery_sd_wh: Energy = Field(default=15_000)
    charge_efficiency: Share = Field(default=0.90, ge=0.1, description="AC loss about 10 % [mem]")
    taper_from: Share = Field(default=0.97, description="AC charging tapers near full only; assumed")
    annual_miles_median: float = Field(
        default=8_400, ge=0, le=200_000, description="BEV 8,500-9,500 mi/y mean [mem]"
    )
    annual_miles_log_sd: float = Field(default=0.45, ge=0, le=2)
    wh_per_mile: float = Field(default=290, gt=0, le=10_000, description="0.27-0.32 kWh/mile [mem]")
    cold_extra: Share = Field(default=0.25, description="+20-30 % at 0 C, linear below 15 C [mem]")
    drive_day_share: Share = Field(default=0.80, description="days on which a car is driven; assumed")
    drive_log_sd: float = Field(
        default=0.80, ge=0, le=2, description="day-to-day spread of distance; assumed"
    )
    return_weekday: tuple[tuple[float, float, float], ...] = Field(
        default=((17.8, 1.8, 0.40), (21.5, 2.4, 0.38), (13.5, 3.0, 0.22)),
        description="return home on weekdays: (mean local hour, sd hours, weight); fitted to T1",
    )
    return_weekend: tuple[tuple[float, float, float], ...] = Field(
        default=((15.5, 2.8, 0.55), (20.0, 2.2, 0.45)), description="as above, at weekends"
    )
    leave_hour: float = Field(default=7.9, ge=5, le=12)
    leave_sd_hours: float = Field(default=1.3, ge=0, le=4)
    plug_in_half: Share = Field(
        default=0.70, description="SoC on return at which half the drivers plug in (T2)"
    )
    plug_in_width: Share = Field(default=0.10, description="spread of that SoC, logistic")
    plug_in_always_share: Share = Field(default=0.15, description="drivers who plug in at every return")
    target: Share = Field(
        default=0.80, description="what drivers ask for by the deadline; smart-tariff customers 80 % [2nd]"
    )
    charge_to: Share = Field(default=1.0, description="where charging stops if nobody limits it")
    ready_by: ClockTime = Field(default="07:00", validate_default=True, description="typically 07:00 [2nd]")
    typed_soc_share: Share = Field(
        default=0.5, description="charge-point drivers who type their SoC; assumed"
    )
    typed_soc_sd: Share = Field(default=0.07, description="error of a typed SoC; assumed")
    late_arrival_share: Share = Field(default=0.0, description="returns 1-3 h later than usual")
    early_unplug_share: Share = Field(
        default=0.0, description="sessions cut short at a random moment of their first 8 h, before 04:30"
    )
    boost_share: Share = Field(
        default=0.0,
        description="sessions in which the driver presses boost while held back (Calgary RCT: 1 %)",
    )
    ignores_pause_share: Share = Field(
        default=0.0, description="cars that do not pause when the charger asks (Kaluza D2EV)"
    )
    sleeps_after_pause_share: Share = Field(
        default=0.0, description="cars that do not wake by themselves after a pause"
    )
    keeps_default_schedule_share: Share = Field(
        default=0.0,
        description="owners who keep the SI 2021/1467 preset: no charging 08-11 and 16-22 on weekdays",
    )
    random_delay_ms: Duration = Field(
        default=0, le=1_800_000, description="SI 2021/1467 reg. 11: up to 600 s (capability 1,800 s)"
    )
    report_every_ms: Duration = Field(
        default=60_000, ge=1_000, description="charge-point telemetry: CrowdFlex WP5 table 3, 1 min"
    )
    telematics_report_every_ms: Duration = Field(
        default=300_000, ge=1_000, description="car clouds are polled coarsely; assumed"
    )
    wakes_per_day: int = Field(default=15, ge=0, le=1_000_000, description="Tesla fleet API: 15 wakes a day")
    meter: EvMeter = EvMeter()


class Ownership(Model):
    """Which devices are found together. Shares are those of each section, whatever stands here."""

    cars_and_roofs: float = Field(
        default=0.4, ge=-1, le=1, description="correlation of having an EV and panels; [guess], 0.2-0.6"
    )
    roofs_and_batteries: float = Field(
        default=0.85,
        ge=-1,
        le=1,
        description="of panels and a battery, mostly sold together; [guess]",
    )
    roofs_and_heat_pumps: float = Field(
        default=0.3, ge=-1, le=1, description="of having panels and a heat pump; [guess], 0.1-0.5"
    )
    cylinder_with_electric_heat: Share = Field(
        default=0.8,
        description="of homes with storage or panel heaters, have one; [guess]",
    )


class Route(Model):
    """How messages travel between the aggregator and one class of device. Every fault's default is none."""

    latency_median_ms: Duration = 0
    latency_log_sd: float = Field(default=0.0, ge=0, le=3, description="log-normal body")
    tail_share: Share = Field(default=0.0, description="messages in the heavy (Pareto) tail")
    tail_scale_ms: Duration = Field(default=0, description="where the tail begins")
    tail_index: float = Field(default=1.5, gt=1.0, le=10, description="Pareto index; smaller is heavier")
    loss_down: Share = 0.0
    loss_up: Share = 0.0
    duplicate: Share = 0.0
    offline_every_ms: Duration = Field(
        default=0, description="mean time between a device's own outages; 0: never"
    )
    offline_for_ms: Duration = Field(default=0, description="mean length of a device's own outage")
    rate_per_s: float = Field(
        default=0.0, ge=0, le=1e9, description="what the vendor's cloud takes per second; 0: unlimited"
    )
    commands_per_day: int = Field(
        default=0, ge=0, le=1_000_000, description="budget per device; 0: unlimited"
    )
    backfill_depth: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="readings that a device keeps while offline; 0: they are lost",
    )
    reconnect_spread_ms: Duration = Field(
        default=0, description="devices come back over this time; 0: all at once"
    )
    token_life_ms: Duration = Field(default=0, description="the cloud's token lasts so long; 0: for ever")
    token_renewal_ms: Duration = Field(
        default=0, description="commands are refused so long while it is renewed"
    )
    rate_burst_ms: Duration = Field(
        default=10_000, description="commands taken at once, as time at rate_per_s; assumed"
    )
    vendors: int = Field(default=1, ge=1, le=50, description="vendor clouds that share the route's devices")
    clock_skew_ms: Duration = Field(
        default=0, description="devices' clocks are wrong by up to this, either way"
    )
    burst_every_ms: Duration = Field(
        default=0, description="mean time between bursts of loss, per device and direction; 0: never"
    )
    burst_for_ms: Duration = Field(default=0, description="their mean length (Gilbert-Elliott, bad state)")
    burst_loss_up: Share = Field(default=0.0, description="of messages sent in a burst, lost")
    burst_loss_down: Share = Field(default=0.0, description="as above, downwards: bursts of their own")


ROUTE_NAMES = (
    "evcp_4g",
    "evcp_wifi_cloud",
    "ev_telematics_cloud",
    "smets_dcc",
    "heat_pump_cloud",
    "inverter_cloud",
    "heater_cloud",
    "smart_plug_wifi",
    "app_message",
)
"""New ones come last: a route's place is part of what outages of its clouds are drawn by."""
DOMAIN_KINDS = ("vendor_cloud", "isp", "mobile_operator", "region")


class Outage(Model):
    """Something that many devices share is down.

    `name` picks which: a vendor (`evcp_wifi_cloud/2`), an ISP or operator number, or a GSP Group.
    """

    kind: Literal["vendor_cloud", "isp", "mobile_operator", "region"]
    name: str
    day: EveryDay = 0
    start: ClockTime
    duration_ms: Duration = Field(ge=1)
    directions: Literal["both", "down", "up"] = "both"
    messages: Literal["all", "setpoints", "telemetry", "acks"] = "all"
    drop: Share = Field(default=1.0, description="share of messages stopped meanwhile")
    extra_latency_ms: Duration = 0
    power: bool = Field(
        default=False,
        description="of a region: a power cut, felt by every device; cars come back with their random delay "
        "(reg. 11), others as `homes.restart_within` says",
    )


class RandomOutages(Model):
    """How often, and for how long on average, one shared domain fails by chance. Every default is none."""

    vendor_cloud_every_ms: Duration = Field(
        default=0, description="mean time between outages of one cloud; 0: never"
    )
    vendor_cloud_for_ms: Duration = 0
    isp_every_ms: Duration = 0
    isp_for_ms: Duration = 0
    mobile_operator_every_ms: Duration = 0
    mobile_operator_for_ms: Duration = 0
    region_every_ms: Duration = 0
    region_for_ms: Duration = 0


class Clocks(Model):
    """Devices' own clocks, which stamp readings and by which orders begin and end. By default right."""

    skew_sd_ms: Duration = Field(
        default=0, le=3_600_000, description="constant error of each clock, normal and cut at 3 sd"
    )
    drift_ppm: float = Field(
        default=0.0, ge=0, le=1_000, description="even over +- this; quartz has 20-50 ppm [mem]"
    )
    set_every_ms: Duration = Field(
        default=604_800_000, ge=60_000, description="a drifting clock is set so often; assumed"
    )
    jump_back_share: Share = Field(
        default=0.0, description="of clocks, a day: jump back by jump_back, until set right again"
    )
    jump_back_ms: Duration = Field(
        default=3_600_000, ge=1, description="an hour: local time for UTC; assumed"
    )
    reset_share: Share = Field(
        default=0.0, description="of clocks, a day: begin at 1970 or 2000 again, until set right again"
    )
    wrong_for_ms: Duration = Field(
        default=7_200_000,
        ge=1_000,
        le=86_400_000,
        description="mean time until a clock that jumped is set right, cut at a day; assumed",
    )


class SplitBrain(Model):
    """A second aggregator that has lost its lease goes on commanding, a while behind the one that leads."""

    day: EveryDay = 0
    start: ClockTime
    duration_ms: Duration = Field(ge=1)
    lag_ms: Duration = Field(default=300_000, ge=1, description="how far it is behind; assumed")
    fenced: bool = Field(default=True, description="the gateway refuses commands under an older lease")


class Comms(Model):
    """The plant of wires between the aggregator and the devices."""

    profile: Literal["perfect", "realistic"] = "perfect"
    routes: dict[Name, Route] = Field(
        default_factory=dict, description="overrides whole routes of the profile by name"
    )
    vendors: dict[Name, tuple[Name, ...]] = Field(
        default_factory=dict,
        description="vendor profiles by route (sim/head_end_profiles), shared out among its vendor clouds",
    )
    outages: Annotated[tuple[Outage, ...], Field(max_length=10_000)] = ()
    random_outages: RandomOutages | None = Field(default=None, description="None: the profile's")
    clocks: Clocks = Clocks()
    split_brain: SplitBrain | None = Field(default=None, description="None: one aggregator only")
    isps: int = Field(default=5, ge=1, le=50)
    mobile_operators: int = Field(default=4, ge=1, le=20)
    market_latency_ms: Duration = Field(default=200, description="between markets and aggregator; assumed")
    market_loss: Share = Field(default=0.0, description="market messages lost (the sender repeats them)")


class DfsSubmission(Model):
    """How the aggregator bids into DFS."""

    price_gbp_per_mwh: Price | None = Field(
        default=None, description="None: the guaranteed price where there is one, else cost plus margin"
    )
    margin: Share = 0.15
    ask: bool = Field(default=False, description="ask homes before each event; only those who say yes are in")
    ask_by: Literal["app", "text", "email"] = "app"
    expected_opt_in: Share = Field(
        default=0.25, description="of the homes asked, until replies teach better (CNZ: 25-50 %)"
    )
    expected_by_hand_w: Power = Field(
        default=200, le=100_000, description="what a home that is in leaves off by hand; assumed"
    )


class BalancingSubmission(Model):
    """How the aggregator prices its BM Units."""

    offer_gbp_per_mwh: Price = Field(default=150.0, description="to turn demand down; assumed")
    bid_gbp_per_mwh: Price = Field(default=20.0, description="to turn demand up; assumed")
    pairs: int = Field(default=2, ge=1, le=5)
    step_gbp_per_mwh: Price = Field(default=40.0, description="dearer per further pair")


FurtherService = Literal[
    "restore",
    "dynamic",
    "secure",
    "sustain",
    "sustain_h",
    "tcm",
    "lcm",
    "wholesale",
    "capacity_market",
]
"""A service besides DFS and the BM (`protocol.products.Product`)."""


class ServiceSubmission(Model):
    """How the aggregator sells the services besides DFS and the BM."""

    utilisation_gbp_per_mwh: Price = Field(
        default=150.0, description="asked for energy, at most the buyer's ceiling; assumed"
    )
    availability_gbp_per_mwh: Price = Field(
        default=5.0, description="asked per MW held for an hour, at most the buyer's ceiling; assumed"
    )
    order: Annotated[tuple[FurtherService, ...], Field(max_length=9)] = Field(
        default=(
            "restore",
            "dynamic",
            "secure",
            "sustain",
            "sustain_h",
            "tcm",
            "lcm",
            "wholesale",
            "capacity_market",
        ),
        description="in which an asset is entered, as far as rules allow it beside earlier ones; assumed",
    )


class Aggregator(Model):
    """The control loop under test."""

    confidence: Share = Field(default=0.8, description="how sure it wants to be of delivering what it offers")
    loop_active_ms: Duration = Field(default=10_000, ge=100, description="loop period during instructions")
    loop_idle_ms: Duration = Field(default=60_000, ge=100, description="loop period otherwise")
    validity_ms: Duration = Field(
        default=900_000, ge=1_000, description="set-points expire after this unless renewed"
    )
    lead_ms: Duration = Field(
        default=120_000, description="how long before a start the first set-points go out"
    )
    retry_after_ms: Duration = Field(default=30_000, ge=100)
    retry_jitter_ms: Duration = Field(default=10_000)
    retries: int = Field(default=3, ge=0, le=20)
    send_per_loop: int = Field(
        default=50_000, ge=1, le=20_000_000, description="set-points sent in one turn of the loop"
    )
    release_over_ms: Duration = Field(
        default=900_000, description="held assets are let go over this time, not at once"
    )
    stale_after_ms: Duration = Field(
        default=300_000, ge=1_000, description="a reading older than this is stale"
    )
    deadline_margin_ms: Duration = Field(
        default=1_800_000, description="slack kept before a driver's deadline"
    )
    maximum_hold_ms: Duration = Field(default=14_400_000, description="CrowdFlex WP5 table 4: 4 h per event")
    tracking: bool = Field(default=True, description="close the gap between believed and instructed delivery")
    tracking_gain: float = Field(default=0.6, gt=0, le=2)
    cost_per_hold_gbp_per_mwh: Price = Field(
        default=30.0, description="what inconveniencing a driver is priced at; assumed"
    )
    battery_reserve: Share = Field(
        default=0.20, description="of home batteries, never sold: owners keep 4-20 % for a power cut [mem]"
    )
    curtail_generation: bool = Field(
        default=False, description="roofs may be told to give nothing when more import is asked for"
    )
    dfs: DfsSubmission = DfsSubmission()
    balancing: BalancingSubmission = BalancingSubmission()
    services: ServiceSubmission = ServiceSubmission()


class DfsEvent(Model):
    """One published requirement; negative megawatts ask for demand to be turned up (from May 2026 on)."""

    day: EveryDay = 0
    start: ClockTime
    end: ClockTime
    turn_down_mw: Megawatts
    zones: Annotated[tuple[Name, ...], Field(max_length=14)] = Field(
        default=(), description="GSP Groups whose units may bid; empty: all (from May 2026 on)"
    )
    zonal_caps_mw: dict[Name, Megawatts] = Field(
        default_factory=dict, description="the most that is bought in a zone, by GSP Group"
    )
    guaranteed_price_gbp_per_mwh: Price | None = None
    test: bool = False
    published: ClockTime | None = Field(default=None, description="None: as the rules' notice says")
    cancelled: ClockTime | None = None


class Dfs(Model):
    """The Demand Flexibility Service of the edition in force on the day."""

    share: Share = Field(
        default=0.5, description="of the homes with a reachable device, enrolled in DFS with all of these"
    )
    events: Annotated[tuple[DfsEvent, ...], Field(max_length=10_000)] = ()
    metering: Literal["boundary", "asset"] = "boundary"
    competitors_mw: Megawatts = Field(default=0.0, ge=0, description="other providers' bids, total")
    competitors_price_gbp_per_mwh: Price = 1000.0


class Acceptance(Model):
    """A scripted need at a BM Unit: change by `turn_down_mw` against the FPN (negative: turn up)."""

    day: EveryDay = 0
    unit: Name | None = Field(default=None, description="GSP Group letter such as _A; None: the largest unit")
    start: ClockTime
    end: ClockTime
    turn_down_mw: Megawatts
    issued: ClockTime | None = Field(default=None, description="None: the unit's notice before the start")
    ramp_minutes: int | None = Field(
        default=None, ge=0, le=60, description="None: at the unit's declared rates"
    )


class SystemNeed(Model):
    """The ESO acts on a system-need series against a stack of competitors' offers."""

    enabled: bool = False
    need_sd_mw: Megawatts = Field(default=400.0, ge=0)
    need_mean_mw: Megawatts = 0.0
    competitors_mw: Megawatts = Field(default=2_000.0, ge=0)
    competitors_low_gbp_per_mwh: Price = 60.0
    competitors_high_gbp_per_mwh: Price = 400.0
    share: Share = Field(default=0.01, description="of the national need that arises where our units are")


class MarketFaults(Model):
    """How often the ESO misbehaves, by acceptance and DFS event (docs/markets.md F1-F7); never by default."""

    duplicate: Share = 0.0
    amend: Share = 0.0
    late: Share = 0.0
    impossible: Share = 0.0
    conflicting: Share = 0.0
    wrong_unit: Share = 0.0
    out_of_order: Share = 0.0


class Balancing(Model):
    """The Balancing Mechanism: one secondary BM Unit per GSP Group."""

    share: Share = Field(
        default=0.0,
        description="of the homes with a reachable device, enrolled in a BM Unit with all of these",
    )
    acceptances: Annotated[tuple[Acceptance, ...], Field(max_length=10_000)] = ()
    need: SystemNeed = SystemNeed()
    metering: Literal["asset", "boundary"] = Field(
        default="asset",
        description="what a unit's level is: its assets, or its homes whole, read through access devices",
    )
    operational_metering: Literal["standard_2022", "proposed_2022", "relaxed_2024"] = "relaxed_2024"


class Markets(Model):
    """The counterparties."""

    dfs: Dfs = Dfs()
    balancing: Balancing = Balancing()
    local: LocalServices = LocalServices()
    constraint: ConstraintMarket = ConstraintMarket()
    wholesale: Wholesale = Wholesale()
    capacity: CapacityMarket = CapacityMarket()
    retail: Retail = Retail()
    enrolment: Literal["shares", "rules"] = Field(
        default="shares",
        description="of those meant for DFS and the BM: all, or only who is eligible on the day",
    )
    primacy: Literal["eso_first", "dso_first", "contract_first"] = Field(
        default="eso_first", description="who goes first where two services claim the same asset"
    )
    settlement: SettlementRuns = SettlementRuns()
    faults: MarketFaults = MarketFaults()
    rules: dict[str, dict[str, float | int | bool | str]] = Field(
        default_factory=dict, description="overrides of single rules, by rulebook: {dfs: {min_unit_mw: 0.1}}"
    )
    rules_date: Day | None = Field(default=None, description="None: the rules in force on each day")
    derogations: Annotated[tuple[str, ...], Field(max_length=100)] = Field(
        default=(), description="named exemptions from rules, each for its dates (docs/eligibility.md)"
    )


class Prices(Model):
    """System and day-ahead prices: synthetic with the published tail, or Elexon-shaped files."""

    source: Literal["synthetic", "files"] = "synthetic"
    system_file: str | None = None
    system_file_unit: Literal["GBP/MWh", "p/kWh"] = Field(
        default="GBP/MWh", description="of a file without a unit row"
    )
    net_imbalance_file: str | None = None
    mean_gbp_per_mwh: Price = Field(default=71.0, description="2024 mean")


class Weather(Model):
    """Weather: a synthetic climate; a daily file of temperatures; or hours of temperature and light."""

    source: Literal["synthetic", "files", "pvgis", "hourly"] = Field(
        default="synthetic",
        description="files: daily CSV; pvgis: PVGIS hours, JSON or imported; hourly: CSV (bring-your-own.md)",
    )
    file: str | None = None
    of_year: int | None = Field(
        default=None,
        ge=2000,
        le=2099,
        description="the file's year whose days stand for the scenario's; None: the very days of the run",
    )
    climate: Literal["london", "manchester", "glasgow"] = "london"
    offset_c: float = Field(
        default=0.0, ge=-20, le=20, description="added to the synthetic climate, for cold snaps"
    )


class Band(Model):
    """What a key figure must lie within for `flextwin check` to be green."""

    kpi: str
    at_least: float | None = None
    at_most: float | None = None
    equals: float | str | None = None


class Scenario(Model):
    """One question, put to the twin."""

    flextwin: Literal[1] = Field(description="schema version")
    name: Name
    question: str = ""
    seed: int = Field(default=1, ge=0, lt=2**64)
    engine: Literal["fast", "reference"] = "fast"
    clock: Clock
    record: Record = Record()
    population: PopulationSource = PopulationSource()
    homes: Homes = Homes()
    evs: Evs = Evs()
    ownership: Ownership = Ownership()
    heat_pumps: HeatPumps = HeatPumps()
    storage_heaters: StorageHeaters = StorageHeaters()
    resistive_heaters: ResistiveHeaters = ResistiveHeaters()
    hot_water: HotWater = HotWater()
    batteries: Batteries = Batteries()
    pv: Pv = Pv()
    washing_machines: WashingMachines = WashingMachines()
    washer_dryers: WasherDryers = WasherDryers()
    tumble_dryers: TumbleDryers = TumbleDryers()
    dishwashers: Dishwashers = Dishwashers()
    fridges: Fridges = Fridges()
    businesses: Businesses = Businesses()
    generators: BackUpGenerators = BackUpGenerators()
    people: People = People()
    comms: Comms = Comms()
    churn: Churn = Churn()
    aggregator: Aggregator = Aggregator()
    markets: Markets = Markets()
    prices: Prices = Prices()
    weather: Weather = Weather()
    expect: Annotated[tuple[Band, ...], Field(max_length=10_000)] = ()
