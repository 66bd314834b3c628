"""What the aggregator is told when it is made: its owner's settings, the market rules, and its own guesses.

`AggregatorSettings` has the fields of the scenario's `aggregator:` section, and no defaults: those live with
the scenario. `Assumptions` are the guesses that the control code cannot do without until it has learned
better; each says where it comes from, and "assumed" marks a plain guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.derogations import RulesOn
from protocol.eligibility import Level
from protocol.products import Product
from protocol.rulebook import Rulebook
from protocol.stacking import Primacy


@dataclass(frozen=True, slots=True)
class DfsSubmission:
    """How to bid into DFS: at the guaranteed price where there is one, else at `price_gbp_per_mwh`; where
    that is None, at cost plus margin.

    `ask`: homes are asked before each event, by `ask_by` ("app", "text", "email"); `expected_opt_in` of them
    are counted on until replies teach better, and `expected_by_hand_w` of each that acts by hand. Without
    asking, whoever is enrolled is in.
    """

    price_gbp_per_mwh: float | None
    margin: float
    ask: bool = False
    ask_by: str = "app"
    expected_opt_in: float = 0.25
    expected_by_hand_w: int = 200


@dataclass(frozen=True, slots=True)
class BalancingSubmission:
    """How to price BM Units: the first pair of a side, and how much dearer each further one is [GBP/MWh]."""

    offer_gbp_per_mwh: float
    bid_gbp_per_mwh: float
    pairs: int
    step_gbp_per_mwh: float


@dataclass(frozen=True, slots=True)
class ServiceSubmission:
    """How to sell the services besides DFS and the BM: at these prices, where the buyer's ceilings allow.

    `order`: in which order an asset is entered into the services that its customer consented to; what rules
    forbid beside the earlier ones it is not in.
    """

    utilisation_gbp_per_mwh: float
    availability_gbp_per_mwh: float
    order: tuple[Product, ...]


@dataclass(frozen=True, slots=True)
class AggregatorSettings:
    """The owner's settings. Meaning of every field: `sim.scenario.Aggregator`, which holds the same names."""

    confidence: float
    loop_active_ms: int
    loop_idle_ms: int
    validity_ms: int
    lead_ms: int
    retry_after_ms: int
    retry_jitter_ms: int
    retries: int
    send_per_loop: int
    release_over_ms: int
    stale_after_ms: int
    deadline_margin_ms: int
    maximum_hold_ms: int
    tracking: bool
    tracking_gain: float
    cost_per_hold_gbp_per_mwh: float
    battery_reserve: float
    curtail_generation: bool
    dfs: DfsSubmission
    balancing: BalancingSubmission
    services: ServiceSubmission


@dataclass(frozen=True, slots=True)
class ServiceRules:
    """What the aggregator goes by in the services besides DFS and the BM: the rules of the first day.

    `primacy`: who goes first where two claims meet on an asset. `wholesale_metering`: where trading units
    are metered, and so are to be eligible.
    """

    on: RulesOn
    primacy: Primacy
    wholesale_metering: Level = Level.ASSET


@dataclass(frozen=True, slots=True)
class Rules:
    """The market rules that the aggregator keeps by itself: sizes [MW], steps [MW], times [min], K [1]."""

    dfs_minimum_unit_mw: float
    dfs_maximum_unit_mw: float
    dfs_hh_metering_required: bool
    dfs_failed_below: float
    bm_minimum_unit_mw: float
    bm_notice_min: int
    bm_pairs_maximum: int
    bm_at_boundary: bool = False
    dfs_by_zone: bool = False


def rules_in_force(dfs: Rulebook, bm: Rulebook, dfs_metering: str, bm_metering: str = "asset") -> Rules:
    """The rules of one day from the rulebooks "dfs" and "bm".

    `dfs_metering`, `bm_metering`: "boundary" or "asset"; an asset meter needs no half-hourly
    boundary meter. An event counts as failed below the payment factor that leads to deregistration (Rules
    v5.0); 0.5 where the edition has none: assumed.
    """
    failed_below = dfs.value("deregistration_k") if "deregistration_k" in dfs.rules else 0.5
    return Rules(
        dfs_minimum_unit_mw=float(dfs.value("min_unit_mw")),
        dfs_maximum_unit_mw=float(dfs.value("max_unit_mw")),
        dfs_hh_metering_required=bool(dfs.value("hh_metering_required")) and dfs_metering == "boundary",
        dfs_failed_below=float(failed_below),
        bm_minimum_unit_mw=float(bm.value("min_unit_mw")),
        bm_notice_min=int(bm.value("instruction_notice_min")),
        bm_pairs_maximum=int(bm.value("max_pairs_per_side")),
        bm_at_boundary=bm_metering == "boundary",
        dfs_by_zone=dfs.value("aggregation_area") == "zone",
    )


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is taken for granted until experience says otherwise."""

    # ------------------------------------------------ planning
    planning_w_per_asset: int = 900
    """Upper end of the after-diversity EV peak, 0.83-0.90 kW (Electric Nation, NGED; realism.md T1)."""
    dfs_step_mw: float = 0.1
    """DFS bids are whole multiples of it; assumed."""
    unit_ramp_min: int = 2
    """A whole BM Unit can be turned down in this time: staged sends, "2 min" to respond in the BM table."""
    notify_before_gate_ms: int = 600_000
    """Notifications go out so long before Gate Closure; assumed."""
    bid_before_window_ends_ms: int = 300_000
    """DFS bids and offers to other services go out so long before the window closes; assumed."""
    service_step_mw: float = 0.001
    """Offers to other services are whole multiples of it: kilowatts; assumed."""

    # ------------------------------------------------ forecast
    history_days: int = 10
    """Same-type days that a forecast looks back on, as BL01 does for working days."""
    history_kept_days: int = 60
    relative_sd_floor: float = 0.10
    """No group is foreseen better than this share of its mean; assumed."""
    prior_relative_sd: float = 0.5
    """Of a group without history; assumed."""
    revision_decay_ms: int = 7_200_000
    """How fast the ratio of seen to foreseen power loses its meaning for later hours; assumed."""
    revision_highest: float = 2.0
    degraded_stale_share: float = 0.10
    """From this share of unseen power on a forecast is called degraded; assumed."""

    # ------------------------------------------------ people
    asked_homes_weight: int = 1_000
    """So many homes asked outweigh the owner's expectation of how many take part; assumed."""

    # ------------------------------------------------ response
    response: float = 0.92
    """Share of power that drops when told: not all cars pause, not all messages arrive. Assumed, then
    learned.
    """
    response_weight_w: int = 500_000
    """How much delivered power outweighs the assumption."""
    turn_up_response: float = 0.5
    """As above for cars asked to start; assumed, then learned."""
    settle_ms: int = 60_000
    """After this time a reading shows whether an asset obeys: report interval of charge points."""
    idle_below_w: int = 300
    """A charger drawing less has nothing to turn down."""
    bar_ms: int = 1_800_000
    """How long an asset that ignored, refused or missed its orders is left alone; assumed."""

    # ------------------------------------------------ belief
    battery_wh: int = 62_000
    """Where it is not known: 60-65 kWh (realism.md section 1)."""
    efficiency: float = 0.90
    """Battery energy per metered energy (realism.md section 1)."""
    charge_to_pct: int = 100
    """Where charging stops if nobody limits it."""
    typed_soc_sd_pct: int = 7
    told_soc_sd_pct: int = 2
    session_wh: int = 21_000
    """Mean session of an asset without any history: 9 kWh a day at 3 plug-ins a week (realism.md T1)."""
    session_relative_sd: float = 0.5
    need_sds: float = 1.0
    """How many standard deviations of need are added before slack is judged; assumed."""
    default_ready_by_minute: int = 420
    """07:00, where neither customer nor car told."""

    # ------------------------------------------------ other technologies
    battery_efficiency: float = 0.94
    """Each way: AC round trip 85-90 % (from memory)."""
    least_level_pct: int = 10
    """An order to a battery for less of its rating is not worth sending; assumed."""
    least_warmth_pct: int = 5
    """A store or room told to be this near its floor is not held; assumed."""

    # ------------------------------------------------ plausibility
    late_after_ms: int = 60_000
    clock_ahead_ms: int = 300_000
    clock_behind_ms: int = 172_800_000
    """Older readings are quarantined: a device's clock, not its memory, explains them; assumed."""

    # ------------------------------------------------ market messages
    late_grace_ms: int = 120_000
    """An acceptance that comes so long after its start is still followed; assumed."""
    notice_grace_ms: int = 60_000
    """Published acceptances can begin a minute before their time of acceptance (12:16, 12:17)."""
    amendment_wait_ms: int = 300_000
    """An amendment waits so long for its original; assumed."""
    bm_failed_below: float = 0.5
    """An acceptance counts as failed when less was delivered; assumed."""
    service_failed_below: float = 0.5
    """So does an instruction of any other service but DFS; assumed."""
    metering_behind_ms: int = 5_000
    """Operational metering is published so long after the second: at most 5 s latency (WP5 table 1)."""

    # ------------------------------------------------ polls
    polls_per_day: int = 4
    """Of one car, of its 15 wakes a day (Tesla fleet API); assumed."""
    polls_per_event: int = 2_000
