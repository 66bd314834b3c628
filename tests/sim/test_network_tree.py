"""The tree of feeders: each child has one parent, homes spread evenly, zones where asked for."""

import numpy as np

from sim.homes import make_homes
from sim.network_tree import NO_ZONE, zone_of_primaries
from sim.scenario import Homes, NetworkTree

SIZES = NetworkTree(primaries_per_gsp=5, hv_feeders_per_primary=4, lv_feeders_per_hv_feeder=3)
SETTINGS = Homes(count=30_000, gsps_per_group=6, gsp_groups={"_A": 1.0, "_P": 2.0}, network=SIZES)


def test_every_feeder_hangs_on_the_one_above_it():
    homes = make_homes(SETTINGS, 1)
    feeders = homes.feeders
    assert np.array_equal(feeders.lv_feeder // 3, feeders.hv_feeder)
    assert np.array_equal(feeders.hv_feeder // 4, feeders.primary)
    assert np.array_equal(feeders.primary // 5, homes.gsp)
    assert np.array_equal(homes.gsp // 6, homes.gsp_group)


def test_homes_spread_evenly_over_the_feeders_of_a_gsp():
    homes = make_homes(SETTINGS, 1)
    counts = np.bincount(homes.feeders.lv_feeder, minlength=2 * 6 * 5 * 4 * 3)
    of_gsp = np.bincount(homes.gsp, minlength=12)
    expected = np.repeat(of_gsp / 60, 60)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()


def test_a_home_stays_on_its_feeder_whoever_else_is_there():
    few, more = (make_homes(SETTINGS.model_copy(update={"count": n}), 3).feeders for n in (500, 900))
    for column in ("primary", "hv_feeder", "lv_feeder", "zone"):
        assert np.array_equal(getattr(few, column), getattr(more, column)[:500])


def test_more_low_voltage_feeders_move_nobody_to_another_primary():
    finer = NetworkTree(primaries_per_gsp=5, hv_feeders_per_primary=4, lv_feeders_per_hv_feeder=30)
    one, two = (
        make_homes(SETTINGS.model_copy(update={"network": sizes}), 1).feeders for sizes in (SIZES, finer)
    )
    assert np.array_equal(one.hv_feeder, two.hv_feeder)
    assert np.array_equal(one.zone, two.zone)


def test_the_share_of_primaries_in_a_zone_is_the_one_asked_for():
    sizes = NetworkTree(primaries_per_gsp=20, zone_share=0.15)
    zone = zone_of_primaries(sizes, range(14), 20, 1)
    expected = 14 * 20 * 20 * 0.15
    assert abs((zone != NO_ZONE).sum() - expected) < 4.5 * np.sqrt(expected)
    assert (zone_of_primaries(NetworkTree(zone_share=0.0), range(2), 6, 1) == NO_ZONE).all()


def test_a_zone_lies_in_one_group_and_is_made_of_neighbours():
    sizes = NetworkTree(primaries_per_gsp=4, zone_share=1.0, zones_per_group=3)
    zone = zone_of_primaries(sizes, range(2), 6, 1).reshape(2, 6, 4)
    assert zone.tolist() == [[[group * 3 + gsp // 2] * 4 for gsp in range(6)] for group in range(2)]
    homes = make_homes(SETTINGS.model_copy(update={"network": sizes}), 1)
    names = np.array(homes.feeders.zone_names)[homes.feeders.zone]
    groups = np.array(homes.group_names)[homes.gsp_group]
    assert all(name.startswith(group) for name, group in zip(names, groups, strict=True))


def test_another_group_moves_no_zone():
    sizes = NetworkTree(primaries_per_gsp=8, zone_share=0.4)
    alone, beside = (zone_of_primaries(sizes, groups, 5, 1) != NO_ZONE for groups in ([67], [65, 67]))
    assert np.array_equal(alone, beside[40:])
