"""Who owns what: shares in full, company as asked for, nothing twice that excludes itself."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim import chance
from sim.chance import Purpose
from sim.ownership import Heat, make_ownership
from sim.scenario import Clock, Evs, Homes, Ownership, Scenario
from sim.scenario_device_checks import SECTIONS
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

MANY = 40_000


def scenario(count=MANY, seed=1, **sections):
    return Scenario(
        flextwin=1,
        name="ownership",
        seed=seed,
        clock=Clock(start=date(2024, 1, 16)),
        homes=Homes(count=count),
        **sections,
    )


def full_house(tied=None, count=MANY, **changed):
    given_sections = {
        "evs": Evs(share=0.40),
        "heat_pumps": HeatPumps(share=0.20),
        "storage_heaters": StorageHeaters(share=0.06),
        "resistive_heaters": ResistiveHeaters(share=0.03),
        "hot_water": HotWater(share=0.15),
        "batteries": Batteries(share=0.08),
        "pv": Pv(share=0.15),
        "washing_machines": WashingMachines(share=0.78),
        "washer_dryers": WasherDryers(share=0.15),
        "tumble_dryers": TumbleDryers(share=0.42),
        "dishwashers": Dishwashers(share=0.50),
        "fridges": Fridges(share=0.65),
        "businesses": Businesses(share=0.02),
        "generators": BackUpGenerators(share=0.01),
    }
    return scenario(count, ownership=tied or Ownership(), **(given_sections | changed))


def near(share, expected, cases=MANY):
    """Whether a share is what chance would give of `expected`, to 4.5 standard errors."""
    return abs(share - expected) <= 4.5 * (expected * (1 - expected) / cases) ** 0.5


@pytest.mark.parametrize("strength", [-0.5, 0.0, 0.9])
def test_shares_are_those_asked_for_whatever_keeps_company(strength):
    tied = Ownership(cars_and_roofs=strength, roofs_and_batteries=strength, roofs_and_heat_pumps=strength)
    asked = full_house(tied)
    has = make_ownership(asked).has
    for section in ("evs", *SECTIONS):
        assert near(has[section].mean(), getattr(asked, section).share), section


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_cylinders_reach_their_share_wherever_homes_have_room(pumps, storage, panels, share, preferred):
    whole = max(pumps + storage + panels, 1.0)
    pumps, storage, panels = (round(part / whole, 4) * 0.999 for part in (pumps, storage, panels))
    share = min(share, 1.0 - pumps)
    owned = make_ownership(
        scenario(
            5_000,
            ownership=Ownership(cylinder_with_electric_heat=preferred),
            heat_pumps=HeatPumps(share=pumps),
            storage_heaters=StorageHeaters(share=storage),
            resistive_heaters=ResistiveHeaters(share=panels),
            hot_water=HotWater(share=share),
        )
    )
    assert not (owned.has["hot_water"] & (owned.heat == Heat.HEAT_PUMP)).any()
    assert abs(owned.has["hot_water"].mean() - share) <= 0.04


def test_a_car_is_where_it_was_before_anything_else_could_be_owned():
    number = np.arange(MANY, dtype=np.int64)
    by_itself = chance.units(chance.stream(1, Purpose.EV), number)[:, 0] < 0.40
    assert np.array_equal(make_ownership(full_house()).has["evs"], by_itself)


def test_roofs_stand_with_cars_and_batteries_with_roofs():
    has = make_ownership(full_house()).has
    assert has["pv"][has["evs"]].mean() > 1.4 * has["pv"][~has["evs"]].mean()
    assert has["batteries"][has["pv"]].mean() > 0.35
    assert has["batteries"][~has["pv"]].mean() < 0.04
    assert has["heat_pumps"][has["pv"]].mean() > has["heat_pumps"][~has["pv"]].mean()


def test_nothing_keeps_company_where_nothing_is_tied():
    loose = Ownership(cars_and_roofs=0.0, roofs_and_batteries=0.0, roofs_and_heat_pumps=0.0)
    has = make_ownership(full_house(loose)).has
    assert near(has["pv"][has["evs"]].mean(), 0.15, has["evs"].sum())
    assert near(has["batteries"][has["pv"]].mean(), 0.08, has["pv"].sum())


def test_the_correlation_is_the_one_asked_for():
    # Two normals of correlation 0.6: both in the lower half with probability 1/4 + asin(0.6) / (2 pi).
    tied = Ownership(cars_and_roofs=0.6)
    has = make_ownership(full_house(tied, evs=Evs(share=0.5), pv=Pv(share=0.5))).has
    assert near((has["evs"] & has["pv"]).mean(), 0.25 + np.arcsin(0.6) / (2 * np.pi))


def test_a_home_has_one_source_of_heat_and_one_machine_that_washes():
    has = make_ownership(full_house()).has
    heated = has["heat_pumps"].astype(int) + has["storage_heaters"] + has["resistive_heaters"]
    assert heated.max() == 1
    assert not (has["washing_machines"] & has["washer_dryers"]).any()
    assert not (has["generators"] & ~has["businesses"]).any()


def test_a_share_that_grows_only_adds_and_moves_nothing_else():
    few, more = (
        make_ownership(full_house(pv=Pv(share=share), heat_pumps=HeatPumps(share=share))).has
        for share in (0.10, 0.30)
    )
    for section in ("pv", "heat_pumps"):
        assert (more[section] >= few[section]).all()
    for section in ("evs", "batteries", "storage_heaters", "resistive_heaters", "fridges"):
        assert np.array_equal(more[section], few[section]), section


def test_adding_homes_moves_no_owner():
    few, more = (make_ownership(full_house(count=count)) for count in (300, 500))
    assert np.array_equal(few.heat, more.heat[:300])
    assert all(np.array_equal(few.has[section], more.has[section][:300]) for section in few.has)
