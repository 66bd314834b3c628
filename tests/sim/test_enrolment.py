"""Who may be in DFS and the BM is decided by the rules of the day: a derogation moves sites, nothing else."""

from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np

from protocol.messages import Service
from sim.enrolment import enrolled_by_rules
from sim.homes import HH_METERED, HH_SETTLED, NOT_SMART
from sim.population import make_population
from sim.scenario_file import load_scenario

TRIAL = Path(__file__).parents[2] / "scenarios" / "derogation-trial.yaml"
METERING = ("op_metering_60s_2p5pct", "op_metering_latency_60s")
BSC = ("bsc_k_s_nhh_secondary_bmu", "bscp503")


def enrolled(derogations, *, start=None, **markets):
    """The trial of 500 homes under some derogations: its scenario, population, and what was left out."""
    scenario = load_scenario(TRIAL, overrides={"homes.count": 500})
    told = scenario.markets.model_copy(update={"derogations": derogations, **markets})
    clock = scenario.clock.model_copy(update={"start": start or scenario.clock.start})
    scenario = scenario.model_copy(update={"markets": told, "clock": clock})
    return scenario, *enrolled_by_rules(make_population(scenario), scenario)


def sold(population):
    return population.service == Service.BALANCING


def test_by_default_the_shares_of_the_scenario_stand():
    scenario, population, left_out = enrolled((), enrolment="shares")
    assert left_out == ()
    assert np.array_equal(population.service, make_population(scenario).service)


def test_without_a_derogation_nobody_is_fast_and_settled_enough():
    _, population, left_out = enrolled(())
    assert not sold(population).any()
    assert {each.block.clause for each in left_out} >= {"Section K, Section S", "Table 1, BM (current)"}


def test_each_derogation_lets_in_those_that_its_clause_kept_out():
    _, with_metering, _ = enrolled(METERING)
    status = with_metering.homes.status[with_metering.home]
    assert sold(with_metering).any()
    assert set(status[sold(with_metering)]) == {HH_SETTLED}
    _, with_all, _ = enrolled(METERING + BSC)
    status = with_all.homes.status[with_all.home]
    assert set(status[sold(with_all)]) == {HH_SETTLED, HH_METERED, NOT_SMART}
    assert (sold(with_all) >= sold(with_metering)).all()


def test_where_the_unit_is_judged_its_assets_are_counted():
    _, before, _ = enrolled(("op_metering_latency_60s", *BSC))
    _, after, left_out = enrolled(("op_metering_latency_60s", "op_metering_portfolio", *BSC))
    assert not sold(before).any()
    assert sold(after).sum() > 100
    assert not [each for each in left_out if "not known" in each.block.reason]


def test_a_derogation_moves_who_is_sold_and_nothing_else_of_the_population():
    _, before, _ = enrolled(METERING)
    _, after, _ = enrolled(METERING + BSC)
    assert not np.array_equal(before.service, after.service)
    for one, other in zip(before.parts, after.parts, strict=True):
        assert np.array_equal(one.drawn.spec, other.drawn.spec)
        assert np.array_equal(one.drawn.state, other.drawn.state)
    for thing in ("plant", "registration"):
        one, other = getattr(before, thing), getattr(after, thing)
        arrays = {field.name for field in fields(one) if isinstance(getattr(one, field.name), np.ndarray)}
        differ = {name for name in arrays if not np.array_equal(getattr(one, name), getattr(other, name))}
        assert differ == ({"service"} if thing == "registration" else set())


def test_what_is_left_out_adds_up_with_what_is_in():
    _, population, left_out = enrolled((*METERING, *BSC))
    (slow,) = left_out
    assert "300 s" in slow.block.reason
    assert slow.assets + int(sold(population).sum()) == len(population.plant.home)
    assert slow.detail.startswith(f"{slow.assets:,} assets, {slow.mw:.1f} MW: interval")


def test_dates_decide_as_derogations_do():
    """The relaxation of operational metering became the rule in February 2024."""
    _, population, _ = enrolled(BSC, start=date(2024, 3, 5))
    assert sold(population).any()
