"""A home is what its own number makes it, whoever else is there; shares are those asked for."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices import ev
from protocol.messages import Service
from sim.homes import GSP_GROUPS, HH_METERED, HH_SETTLED, NOT_SMART, mpan_of
from sim.population import make_population
from sim.scenario import ROUTE_NAMES, Balancing, Clock, Comms, Dfs, EvMeter, Evs, Homes, Markets, Scenario

MANY = 40_000


def scenario(count=300, *, seed=1, homes=None, **sections):
    return Scenario(
        flextwin=1,
        name="population",
        seed=seed,
        clock=Clock(start=date(2024, 1, 16)),
        homes=Homes(count=count, **(homes or {})),
        **sections,
    )


def near(share, expected, cases=MANY):
    """Whether a share is what chance would give of `expected`, to 4.5 standard errors."""
    return abs(share - expected) <= 4.5 * (expected * (1 - expected) / cases) ** 0.5


def by_home(population):
    """All that is known of each home and its car, by number of the home."""
    homes, drivers, plant, registration = (
        population.homes, population.drivers, population.plant, population.registration,
    )  # fmt: skip
    names = ("gsp_group", "gsp", "status", "communicating", "annual_wh", "boundary_gain")
    known = {number: [getattr(homes, name)[number].item() for name in names] for number in range(len(homes))}
    columns = [population.spec[name] for name in population.spec.dtype.names]
    columns += [getattr(drivers, name) for name in drivers.__slots__]
    columns += [getattr(plant, name) for name in plant.__slots__]
    columns += [population.service, population.charge_mj, population.cell]
    columns += [getattr(registration, name) for name in registration.__slots__ if not name.endswith("_names")]
    for row, home in enumerate(population.cars_home.tolist()):
        known[home] += [column[row].item() for column in columns]
    return known


BUSY = {
    "evs": Evs(
        ignores_pause_share=0.2,
        sleeps_after_pause_share=0.2,
        keeps_default_schedule_share=0.3,
        meter=EvMeter(gain_sd=0.02, maker_bias_sd=0.01),
    ),
    "markets": Markets(dfs=Dfs(share=0.4), balancing=Balancing(share=0.3)),
    "homes": {"meter_gain_sd": 0.01},
}


def test_adding_homes_moves_no_other_home():
    few, more = (
        by_home(make_population(scenario(300, **BUSY))),
        by_home(make_population(scenario(500, **BUSY))),
    )
    assert {home: more[home] for home in few} == few


def test_adding_cars_moves_no_other_car():
    few = by_home(make_population(scenario(evs=Evs(share=0.3))))
    more = by_home(make_population(scenario(evs=Evs(share=0.7))))
    with_car = [home for home, known in few.items() if len(known) > 6]
    assert 50 < len(with_car) < 130
    assert all(more[home] == few[home] for home in with_car)


def test_one_setting_moves_nothing_that_it_is_not_about():
    plain, traits = (make_population(scenario(evs=evs)) for evs in (Evs(), Evs(ignores_pause_share=0.5)))
    others = [name for name in plain.spec.dtype.names if name != "traits"]
    assert all(np.array_equal(plain.spec[name], traits.spec[name]) for name in others)
    changed = plain.spec["traits"] ^ traits.spec["traits"]
    assert set(changed.tolist()) == {0, ev.IGNORES_PAUSE}


def test_another_seed_is_another_population():
    one, two = (make_population(scenario(seed=seed)) for seed in (1, 2))
    assert not np.array_equal(one.homes.annual_wh, two.homes.annual_wh)
    assert not np.array_equal(one.cars_home, two.cars_home)


def test_shares_of_homes_are_those_asked_for():
    homes = make_population(scenario(MANY)).homes
    assert near((homes.status != NOT_SMART).mean(), 0.66)
    assert near((homes.status == HH_SETTLED).mean(), 0.35)
    assert near((homes.status == HH_METERED).mean(), 0.66 - 0.35)
    assert near((homes.communicating == 1).mean(), 0.66 * 0.94)


def test_shares_of_cars_are_those_asked_for():
    evs = Evs(
        share=1.0, ignores_pause_share=0.1, sleeps_after_pause_share=0.2, keeps_default_schedule_share=0.3
    )
    population = make_population(scenario(MANY, evs=evs))
    traits, routes = population.spec["traits"], population.plant.route
    shares = {
        ev.IGNORES_PAUSE: 0.1,
        ev.SLEEPS_AFTER_PAUSE: 0.2,
        ev.KEEPS_DEFAULT_SCHEDULE: 0.3,
        ev.TELLS_SOC: 0.25,
    }
    for trait, share in shares.items():
        assert near(((traits & trait) > 0).mean(), share)
    for name, share in {"ev_telematics_cloud": 0.25, "evcp_wifi_cloud": 0.45, "evcp_4g": 0.30}.items():
        assert near((routes == ROUTE_NAMES.index(name)).mean(), share)
    for rating_w, share in evs.charger_w:
        assert near((population.spec["charger_w"] == rating_w).mean(), share)
    assert near(len(make_population(scenario(MANY)).spec) / MANY, 0.4)


def test_only_cars_behind_their_own_cloud_tell_their_state_of_charge():
    population = make_population(scenario(2_000))
    telematics = population.plant.route == ROUTE_NAMES.index("ev_telematics_cloud")
    registration = population.registration
    assert np.array_equal(registration.soc_known == 1, telematics)
    assert np.array_equal(registration.battery_wh > 0, telematics)
    assert set(registration.battery_wh[~telematics].tolist()) == {-1}


def test_homes_lie_in_gsp_groups_by_weight_and_evenly_in_their_gsps():
    population = make_population(
        scenario(MANY, homes={"gsp_groups": {"_P": 1.0, "_C": 3.0}, "gsps_per_group": 4})
    )
    homes = population.homes
    assert homes.group_names == ("_C", "_P")
    assert homes.gsp_names == ("_C00", "_C01", "_C02", "_C03", "_P00", "_P01", "_P02", "_P03")
    assert near((homes.gsp_group == 0).mean(), 0.75)
    assert np.array_equal(homes.gsp // 4, homes.gsp_group)
    for gsp in range(4):
        assert near((homes.gsp == gsp).mean(), 0.75 / 4)


def test_a_car_is_enrolled_in_one_service_at_most_and_dfs_needs_a_half_hourly_meter():
    markets = Markets(dfs=Dfs(share=0.4), balancing=Balancing(share=0.3))
    population = make_population(scenario(MANY, evs=Evs(share=1.0), markets=markets))
    service, registration = population.service, population.registration
    assert set(service.tolist()) == {Service.NONE, Service.DFS, Service.BALANCING}
    assert near((service == Service.DFS).mean(), 0.4 * 0.66)
    assert near((service == Service.BALANCING).mean(), 0.3)
    assert (registration.hh_metered[service == Service.DFS] == 1).all()
    assert np.array_equal(population.cell // len(Service), population.homes.gsp[population.cars_home])
    assert np.array_equal(population.cell % len(Service), service)


def test_dfs_on_asset_meters_asks_for_no_half_hourly_meter():
    markets = Markets(dfs=Dfs(share=0.4, metering="asset"))
    population = make_population(scenario(MANY, evs=Evs(share=1.0), markets=markets))
    assert near((population.service == Service.DFS).mean(), 0.4)


def test_cars_lie_in_the_order_in_which_they_report():
    spec = make_population(scenario(2_000)).spec
    places = list(
        zip(spec["read_every_ms"].tolist(), spec["read_at_ms"].tolist(), spec["device"].tolist(), strict=True)
    )
    assert places == sorted(places)
    assert (spec["read_at_ms"] >= 0).all()
    assert (spec["read_at_ms"] < spec["read_every_ms"]).all()


def test_what_a_car_is_made_of_is_possible():
    spec = make_population(scenario(5_000)).spec
    assert (spec["floor_mj"] < spec["target_mj"]).all()
    assert (spec["target_mj"] < spec["taper_mj"]).all()
    assert (spec["taper_mj"] < spec["stop_mj"]).all()
    assert (spec["stop_mj"] <= spec["battery_mj"]).all()
    assert (spec["taper_w"] * 2 == spec["charger_w"]).all()


def test_places_on_the_plant_exist():
    comms = Comms(profile="realistic", isps=3, mobile_operators=2)
    plant = make_population(scenario(3_000, comms=comms)).plant
    assert set(plant.isp.tolist()) == {0, 1, 2}
    assert set(plant.mobile_operator.tolist()) == {0, 1}
    assert set(plant.vendor[plant.route == ROUTE_NAMES.index("evcp_4g")].tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("distributor", "number", "mpan"),
    [
        # 3x2 + 19x1 + 23x2 + 29x3 + 31x4 + 37x5 + 41x6 + 43x7 = 1014 = 92 x 11 + 2
        (20, 1_234_567, 2_000_012_345_672),
        # 3x1 + 43x4 = 175 = 15 x 11 + 10, and 10 is written 0
        (10, 4, 1_000_000_000_040),
        # 3x1 + 5x3 = 18 = 11 + 7
        (13, 0, 1_300_000_000_007),
    ],
)
def test_check_digits_are_those_of_the_published_algorithm_by_hand(distributor, number, mpan):
    # Digits times the primes 3, 5, 7, 13, 17 .. 43 (no 11), summed, mod 11, mod 10.
    assert mpan_of(np.array([distributor]), np.array([number])).tolist() == [mpan]


@given(st.integers(10, 23), st.integers(0, 10**10 - 1), st.integers(0, 11), st.integers(1, 9))
def test_one_mistyped_digit_changes_the_check_digit(distributor, number, place, by):
    # Except where the sum moves between the remainders 0 and 10, which are both written 0.
    core = f"{distributor}{number:010d}"
    wrong = f"{core[:place]}{(int(core[place]) + by) % 10}{core[place + 1 :]}"
    primes = (3, 5, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43)
    remainders = {
        sum(int(digit) * prime for digit, prime in zip(text, primes, strict=True)) % 11
        for text in (core, wrong)
    }
    checks = [
        int(mpan_of(np.array([int(text[:2])]), np.array([int(text[2:])]))[0]) % 10 for text in (core, wrong)
    ]
    assert len(remainders) == 2  # 11 is prime, and no weight is a multiple of it
    assert checks[0] != checks[1] or remainders == {0, 10}


def test_every_meter_point_has_its_own_number_with_the_id_of_its_distributor():
    population = make_population(scenario(20_000, evs=Evs(share=1.0)))
    registration = population.registration
    assert len(np.unique(registration.mpan)) == 20_000
    names = [registration.unit_names[place] for place in registration.unit]
    assert all(
        mpan // 10**11 == GSP_GROUPS[name][0] for mpan, name in zip(registration.mpan, names, strict=True)
    )
