"""Power cuts: which half-hours are dark, and what homes draw in them (fault C7)."""

from datetime import date

import numpy as np

from protocol.periods import local_clock_ms
from sim.homes import make_homes
from sim.households import BaseLoad
from sim.power_cuts import power_cuts_ms, powered_share
from sim.scenario import Clock, Comms, Homes, Outage

DAY = date(2024, 1, 16)
HOUR_MS = 3_600_000


def cut(name, start, hours):
    return Outage(kind="region", name=name, start=start, duration_ms=int(hours * HOUR_MS), power=True)


def cuts_of(*outages, regions=("_A", "_C")):
    return power_cuts_ms(Comms(outages=outages), Clock(start=DAY), regions)


def test_only_outages_that_take_the_power_with_them_are_cuts():
    plain = Outage(kind="region", name="_C", start="18:00", duration_ms=HOUR_MS)
    assert cuts_of(plain).shape == (2, 0, 2)
    windows_ms = cuts_of(plain, cut("_C", "18:00", 1))
    six_ms = local_clock_ms(DAY, 18)
    assert windows_ms.tolist() == [[[0, 0]], [[six_ms, six_ms + HOUR_MS]]]


def test_a_half_hour_is_dark_for_as_long_as_the_cut_lasts_in_it_and_cuts_that_overlap_count_once():
    share = powered_share(cuts_of(cut("_C", "18:15", 1), cut("_C", "18:30", 0.5)), DAY)
    assert (share[0] == 1.0).all()
    assert share[1, 35:40].tolist() == [1.0, 0.5, 0.0, 0.5, 1.0]


def test_homes_draw_nothing_in_the_dark_and_what_they_always_draw_otherwise():
    settings = Homes(count=40, gsp_groups={"_A": 1.0, "_C": 1.0})
    homes = make_homes(settings, 1)
    everybody = np.arange(40, dtype=np.int64)
    lit = BaseLoad(homes, settings, 1).day_wh(everybody, DAY)
    windows_ms = cuts_of(cut("_C", "18:00", 1.25), regions=homes.group_names)
    dark = BaseLoad(homes, settings, 1, cuts_ms=windows_ms).day_wh(everybody, DAY)
    hit = homes.gsp_group == homes.group_names.index("_C")
    assert 0 < hit.sum() < 40
    assert np.array_equal(dark[~hit], lit[~hit])
    assert (dark[hit, 36:38] == 0).all()
    assert np.array_equal(dark[hit, 38], lit[hit, 38] // 2)
    assert np.array_equal(
        np.delete(dark[hit], [36, 37, 38], axis=1), np.delete(lit[hit], [36, 37, 38], axis=1)
    )
