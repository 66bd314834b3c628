"""A BM Unit of homes metered whole lives a day: what is published and notified is kettles and all."""

from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from protocol.messages import PhysicalNotification, Service
from sim import run as run_module
from sim import scenario as sc
from sim.run import Run, resume_run, run_scenario
from sim.run_folder import RunFolder
from sim.scenario_devices import Batteries, Fridges
from studies.kpis import compute_kpis, published_seconds

HOMES = 400
RULES = {"bm": {"min_unit_mw": 0.1}}


def street(homes=HOMES, metering="boundary", history_days=3, **more):
    return sc.Scenario(
        flextwin=1,
        name="street",
        seed=5,
        clock=sc.Clock(start=date(2024, 1, 16), history_days=history_days, settlement_days=1),
        homes=sc.Homes(
            count=homes, gsp_groups={"_C": 1.0}, gsps_per_group=1, smart_share=1.0,
            not_communicating_share=0.0, meter_gain_sd=0.01, boundary_reads=sc.BoundaryReads(share=0.9),
        ),
        evs=sc.Evs(share=1.0),
        batteries=Batteries(share=0.2),
        fridges=Fridges(share=0.5),
        markets=sc.Markets(
            dfs=sc.Dfs(share=0.0), balancing=sc.Balancing(share=1.0, metering=metering), rules=RULES
        ),
        **more,
    )  # fmt: skip


class Lived:
    """The run, its tables, and the notifications that the market heard."""

    def __init__(self, folder: Path):
        self.folder = RunFolder(folder)
        self.folder.claim()
        self.run = run = Run(street(), self.folder)
        self.notified = {}
        market = run.parties["balancing"]
        hear = market.receive

        def listen(message, now_ms):
            if isinstance(message, PhysicalNotification):
                self.notified[message.start_ms] = message.profile[0].level_mw
            hear(message, now_ms)

        market.receive = listen
        run.live_history()
        self.outcome = run.go("", None, None)
        self.table = cache(lambda name: self.folder.table(name).to_pandas())


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("street") / "run")


def test_no_law_is_broken_and_every_home_of_the_unit_is_read(lived):
    assert lived.outcome.degraded == ()
    population = lived.run.population
    sold = np.unique(population.home[population.service == Service.BALANCING])
    assert 0.85 * HOMES < len(sold) < 0.95 * HOMES
    assert lived.run.access_devices.homes.tolist() == sold.tolist()


def test_the_true_seconds_of_a_unit_are_base_load_and_all_devices_of_its_homes(lived):
    whole = lived.table("boundary_1s")
    half_hours = lived.table("half_hourly")
    assert len(whole) == 86_400
    read = (whole["import_w"].to_numpy().reshape(48, 1800).sum(axis=1)) / 3600
    population = lived.run.population
    by_home = lived.table("home_half_hourly")
    sold = np.unique(population.home[population.service == Service.BALANCING])
    mine = by_home[by_home["home"].isin(sold)].groupby("at_ms")[["devices_wh", "base_wh"]].sum()
    wanted = mine.sum(axis=1).to_numpy()
    # Registers are read in whole Wh by device, seconds round each switching by half a second.
    assert np.abs(read - wanted).max() < 0.004 * wanted.max()
    assert read.sum() == pytest.approx(wanted.sum(), rel=2e-4)
    assert half_hours["base_wh"].sum() > mine["base_wh"].sum()


def test_what_is_published_follows_the_homes_whole_and_not_the_cars(lived):
    seconds = published_seconds(lived.folder, lived.folder.manifest()).to_pandas().iloc[120:]
    error = seconds["published_w"] - seconds["import_w"]
    assert np.sqrt((error**2).mean()) / seconds["import_w"].mean() < 0.05
    assert abs(error.mean()) / seconds["import_w"].mean() < 0.002
    devices = lived.table("portfolio_1s")
    devices = devices[devices["service"] == "balancing"]["import_w"].iloc[120:]
    assert seconds["published_w"].mean() > 1.3 * devices.mean()
    kpis = compute_kpis(lived.folder)
    assert 0.05 < kpis["opmetering_within_share"] < 0.9  # 360 homes are too few
    assert kpis["opmetering_published_share"] == 1.0


def test_what_is_notified_is_the_level_of_the_homes_whole(lived):
    base_w = lived.table("boundary_1s")["base_w"].to_numpy().reshape(48, 1800).mean(axis=1)
    portfolio = lived.run.parties["aggregator"].state.portfolio
    (place,) = portfolio.registry.groups_of(Service.BALANCING)
    aggregator = lived.run.parties["aggregator"]
    foreseen = [aggregator._base_load_w([place], lived.run.start_ms + k * 1_800_000) for k in range(48)]
    # Three days of a few hundred homes, two of them a weekend.
    assert np.corrcoef(foreseen, base_w)[0, 1] > 0.9
    assert np.mean(foreseen) == pytest.approx(base_w.mean(), rel=0.15)
    assert min(lived.notified.values()) <= -1.0


def test_stopped_at_a_checkpoint_and_resumed_is_the_same(tmp_path):
    scenario = street(40, history_days=1, aggregator=sc.Aggregator(loop_idle_ms=600_000))
    text = "the scenario as its author wrote it"
    run_scenario(scenario, tmp_path / "whole", text=text)
    calls = 0

    def stop():
        nonlocal calls
        calls += 1
        return calls == 200

    out = tmp_path / "stopped"
    assert run_scenario(scenario, out, text=text, stop=stop).interrupted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_module, "load_scenario", lambda *_, **__: scenario)
        resume_run(out)
    tables = [RunFolder(tmp_path / name).manifest()["tables"] for name in ("whole", "stopped")]
    assert tables[0] == tables[1]
    assert "boundary_1s" in tables[0]
