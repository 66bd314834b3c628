"""What holds in every run from beginning to end, whatever befalls it: small worlds with random trouble."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from protocol.instruction import TERMINAL
from protocol.messages import I64, Telemetry
from protocol.periods import PERIOD_MS
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario import Scenario
from studies.storm import make_world

CELL = ["unit", "service"]
SERVICES = ("local", "constraint", "wholesale", "capacity")


@dataclass(frozen=True)
class Lived:
    """A run that is over: its tables, the registers that cars told the aggregator of, and by how much each
    register went forward from the first to the last midnight [Wh].
    """

    scenario: Scenario
    folder: RunFolder
    registers: pd.DataFrame
    forward_wh: I64
    degraded: tuple[str, ...]

    def table(self, name: str) -> pd.DataFrame:
        return self.folder.table(name).to_pandas()


def live(scenario: Scenario, folder: Path) -> Lived:
    """Live a scenario, listening to what the aggregator is told."""
    place = RunFolder(folder)
    place.claim()
    run = Run(scenario, place)
    told = []
    aggregator = run.parties["aggregator"]
    hear = aggregator.receive

    def listen(message: object, now_ms: int) -> None:
        if isinstance(message, Telemetry):
            told.append(
                pd.DataFrame(
                    {"row": message.rows, "at_ms": message.event_ms, "register_wh": message.register_wh}
                )
            )
        hear(message, now_ms)

    aggregator.receive = listen
    at_midnight = []

    def read(now_ms: int, import_w: int, faults: int) -> None:
        if now_ms >= run.end_ms and not at_midnight:
            at_midnight.append(run.meters.state.true_wh.copy())

    run.live_history()
    first_wh = run.meters.state.true_wh.copy()
    outcome = run.go("", read, None)
    registers = pd.concat(told, ignore_index=True)
    return Lived(scenario, place, registers, at_midnight[0] - first_wh, outcome.degraded)


# ------------------------------------------------------------------------------------------------- the laws


def money_sums_to_zero(lived: Lived) -> None:
    """Each pound leaves one party and reaches another, and the aggregator's balance is that of its lines."""
    lines = lived.table("settlement")
    amount = lines["amount_gbp_e5"].astype(int)
    moved = lines[amount != 0]
    assert ((moved["payee"] == "aggregator") == (moved["amount_gbp_e5"] > 0)).all()
    assert ((moved["payer"] == "aggregator") == (moved["amount_gbp_e5"] < 0)).all()
    received, paid = (amount.abs().groupby(lines[side]).sum() for side in ("payee", "payer"))
    balance = received.sub(paid, fill_value=0)
    assert balance.sum() == 0
    assert balance.get("aggregator", 0) == amount.sum()
    # Non-delivery is charged at the price less the system price, which the line does not tell.
    # Not watched for further services: what a factor, a penalty or a fixed payment makes of a volume is on no
    # line of theirs. Their answers by hand: tests/markets/test_service_settlement.py.
    plain = lines[~lines["item"].str.startswith("QND") & lines["service"].isin(["dfs", "balancing"])]
    worth_gbp_e5 = plain["volume_mwh"] * plain["price_gbp_per_mwh"] * 1e5
    amount_gbp_e5 = plain["amount_gbp_e5"]
    # DFS by delivered MWh asks nothing back where demand rose; its payment curve pays what was given at most,
    # and asks for what was taken at most.
    floor_gbp_e5 = worth_gbp_e5.mask(plain["service"] == "dfs", worth_gbp_e5.clip(lower=0))
    exact = (floor_gbp_e5 - amount_gbp_e5).abs() <= 1
    within = (amount_gbp_e5 * worth_gbp_e5 >= 0) & (amount_gbp_e5.abs() <= worth_gbp_e5.abs() + 1)
    assert exact.mask(plain["clause"].str.contains("performance_curve"), within).all()


def energy_of_seconds_of_periods_of_homes_and_of_registers_is_one(lived: Lived) -> None:
    """Seconds tell a change at the next whole second: at most its power for a second, early and late alike,
    so that the sum of many is off as a random walk is; four times its spread is allowed.
    """
    energies = ["devices_wh", "without_wh", "base_wh"]
    halves, homes = lived.table("half_hourly"), lived.table("home_half_hourly")
    assert (homes.groupby("at_ms")[energies].sum() == halves.groupby("at_ms")[energies].sum()).all().all()
    assert int(halves["devices_wh"].sum()) == int(lived.forward_wh.sum())
    seconds = lived.table("portfolio_1s")
    seconds["at_ms"] -= seconds["at_ms"] % PERIOD_MS
    summed = seconds.groupby([*CELL, "at_ms"])[["import_w", "without_w"]].sum() / 3600
    told = halves.set_index([*CELL, "at_ms"]).sort_index()
    assert (summed.index == told.index).all()
    devices = lived.table("devices")
    changes = lived.table("device_events").merge(devices[["row", *CELL]], on="row").groupby(CELL).size()
    walk_wh = 4 * changes**0.5 * devices["rating_w"].max() / 3600
    bound_wh = told["homes"] + walk_wh.reindex(told.index.droplevel("at_ms"), fill_value=0).to_numpy()
    for wh, w in (("devices_wh", "import_w"), ("without_wh", "without_w")):
        off_wh = (summed[w] - told[wh]).groupby(CELL).cumsum()
        assert (off_wh.abs() <= bound_wh).all(), f"{wh}: {off_wh.abs().max()} Wh"
        assert abs(summed[w].sum() - told[wh].sum()) <= 0.001 * told[wh].sum() + 1000


def no_register_falls(lived: Lived) -> None:
    """Where nobody gives anything back; as told by devices whose clocks are right."""
    scenario, homes = lived.scenario, lived.table("home_half_hourly")
    if not any(getattr(scenario, section).share for section in ("batteries", "pv", "generators")):
        for column in ("devices_wh", "without_wh", "boundary_metered_wh", "asset_metered_wh"):
            assert (homes[column].dropna() >= 0).all(), column
    assert (homes["base_wh"] >= 0).all()
    if scenario.comms.clocks == type(scenario.comms.clocks)():
        registers = lived.registers.sort_values(["row", "at_ms", "register_wh"], kind="stable")
        steps = registers.groupby("row")["register_wh"].diff().dropna()
        assert (steps >= 0).all()


def every_promise_is_counted_once(lived: Lived) -> None:
    promises = lived.table("promises")
    assert not promises.duplicated(["row", "ready_by_ms"]).any()
    known = promises.dropna(subset=["reached", "short_wh"])
    assert ((known["short_wh"] <= 0) == known["reached"]).all()


def every_instruction_ends_once_and_no_energy_is_settled_twice(lived: Lived) -> None:
    steps = lived.table("instructions")
    ends = steps[steps["stage"].isin([stage.value for stage in TERMINAL])]
    assert sorted(ends["instruction_id"]) == sorted(steps["instruction_id"].unique())
    deliveries = lived.table("deliveries")
    assert not deliveries.duplicated(["service", "unit", "at_ms", "instruction_id"]).any()
    volumes = lived.table("settled_volumes").sort_values("line")
    latest = volumes.drop_duplicates(["service", "unit", "reference", "start_ms"], keep="last")
    assert deliveries["settled_wh"].dropna().abs().sum() <= latest["delivered_wh"].abs().sum()


LAWS: tuple[Callable[[Lived], None], ...] = (
    money_sums_to_zero,
    energy_of_seconds_of_periods_of_homes_and_of_registers_is_one,
    no_register_falls,
    every_promise_is_counted_once,
    every_instruction_ends_once_and_no_energy_is_settled_twice,
)

few_worlds = settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
seeds = st.integers(1, 100_000)


@given(seed=seeds)
@example(seed=4)
@example(seed=99)  # a DFS half hour in which demand rose
@example(seed=2060)  # more was given than was bid: the curve pays up to its end
@example(seed=3011)  # demand rose under the payment curve
@few_worlds
def test_every_law_holds_in_a_world_of_random_trouble(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived = live(make_world(seed), Path(folder) / "run")
        assert lived.degraded == ()
        for law in LAWS:
            law(lived)


@given(seed=seeds)
@few_worlds
def test_without_instructions_nothing_is_other_than_it_would_have_been(seed: int) -> None:
    world = make_world(seed)
    dfs = world.markets.dfs.model_copy(update={"events": ()})
    balancing = world.markets.balancing.model_copy(update={"acceptances": ()})
    nothing = {name: type(getattr(world.markets, name))() for name in SERVICES}
    markets = world.markets.model_copy(update={"dfs": dfs, "balancing": balancing, **nothing})
    with tempfile.TemporaryDirectory() as folder:
        lived = live(world.model_copy(update={"markets": markets}), Path(folder) / "run")
        halves, seconds, promises = map(lived.table, ("half_hourly", "portfolio_1s", "promises"))
        assert (halves["devices_wh"] == halves["without_wh"]).all()
        assert (seconds["import_w"] == seconds["without_w"]).all()
        pd.testing.assert_series_equal(
            promises["reached"], promises["reached_without_instructions"], check_names=False
        )
        for name in ("instructions", "settlement", "deliveries"):
            assert lived.table(name).empty
        events = lived.table("device_events").drop(columns="arm")
        assert not (events["kind"] == "order").any()
        for law in LAWS:
            law(lived)
