"""How late meters are: shares and medians as asked for, and one meter's fate moves no other's."""

from datetime import date, timedelta

import numpy as np

from sim import chance
from sim.chance import Purpose
from sim.late_readings import NEVER_COMES, MeterKind, delay_days
from sim.scenario_settlement import LateMeters

DAY = date(2024, 1, 16)
METERS = np.arange(20_000, dtype=np.int64)
KEY = chance.stream(1, Purpose.LATE_METER)


def delays(day=DAY, meters=METERS, kind=MeterKind.BOUNDARY, **late):
    return delay_days(LateMeters(**late), KEY, meters, kind, day)


def test_by_default_nobody_is_late():
    assert not delays().any()


def test_one_off_lateness_has_its_share_and_median():
    found = delays(one_off_share=0.1, one_off_median_days=5.0)
    late = found[found > 0]
    assert abs(len(late) / len(found) - 0.1) < 0.01
    assert 5 <= np.median(late) <= 6  # whole mornings, rounded up


def test_one_off_lateness_befalls_others_on_the_next_day():
    today, tomorrow = (delays(DAY + timedelta(days=k), one_off_share=0.1) > 0 for k in (0, 1))
    assert (today & tomorrow).mean() < 0.02


def test_a_meter_that_does_not_communicate_has_one_delay_for_all_days():
    today, tomorrow = (
        delays(DAY + timedelta(days=k), persistent_share=0.2, never_share=0.25) for k in (0, 1)
    )
    assert (today == tomorrow).all()
    assert abs((today != 0).mean() - 0.2) < 0.01
    assert abs((today == NEVER_COMES).sum() / (today != 0).sum() - 0.25) < 0.02


def test_one_meter_asked_for_alone_is_as_late_as_among_all():
    late = {"one_off_share": 0.3, "persistent_share": 0.2}
    assert delays(meters=METERS[77:78], **late) == delays(**late)[77]


def test_a_larger_share_takes_nobody_off_the_list():
    few, more = (delays(one_off_share=share) > 0 for share in (0.1, 0.2))
    assert not (few & ~more).any()


def test_asset_meters_are_drawn_apart_from_boundary_meters():
    of_homes, of_assets = (delays(kind=kind, one_off_share=0.1) > 0 for kind in MeterKind)
    assert (of_homes & of_assets).mean() < 0.02
