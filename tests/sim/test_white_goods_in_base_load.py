"""Homes whose white goods are devices draw in all what they were expected to draw before."""

from datetime import date, timedelta

import numpy as np
import pytest

from devices.appliance import NEVER_MS
from protocol import periods
from sim.homes import LEAST_BASE_LOAD
from sim.households import BaseLoad, mean_shape_kw
from sim.kinds.appliances import Appliances
from sim.kinds.kind import Sky
from sim.population import make_population
from sim.scenario import Clock, Homes, Scenario
from sim.scenario_devices import Dishwashers, Fridges, TumbleDryers, WasherDryers, WashingMachines
from sim.white_goods import CYCLE_WH, SECTIONS, expected_wh

DAY = date(2024, 1, 16)
CREST = {
    "washing_machines": WashingMachines(share=0.78),
    "washer_dryers": WasherDryers(share=0.15),
    "tumble_dryers": TumbleDryers(share=0.42),
    "dishwashers": Dishwashers(share=0.34),
    "fridges": Fridges(share=0.65),
}
WEEK = [DAY + timedelta(days=k) for k in range(7)]


def world(count=1500, *, includes=True, spread=True, **goods):
    noise = {} if spread else {"day_log_sd": 0.0, "half_hour_log_sd": 0.0}
    homes = Homes(count=count, base_includes_white_goods=includes, **noise)
    return Scenario(flextwin=1, name="goods", clock=Clock(start=DAY), homes=homes, **goods)


def base_wh(scenario, day=DAY):
    """By home and half-hour, and the table of homes."""
    homes = make_population(scenario).homes
    numbers = np.arange(len(homes), dtype=np.int64)
    return BaseLoad(homes, scenario.homes, scenario.seed).day_wh(numbers, day).astype(np.int64), homes


def goods_wh(scenario, day):
    """Expected of what each home owns, by home and half-hour."""
    lived = make_population(scenario).homes.lived_goods
    return lived.goods_wh[int(day.weekday() >= 5)][lived.owned]


@pytest.mark.parametrize("day", [DAY, date(2024, 7, 6)])
def test_what_a_home_draws_in_a_day_is_expected_to_be_what_it_was(day):
    before_wh, _ = base_wh(world(spread=False), day)
    scenario = world(spread=False, **CREST)
    after_wh, _ = base_wh(scenario, day)
    goods = goods_wh(scenario, day)
    large = goods.sum(axis=1) < (1 - LEAST_BASE_LOAD) * before_wh.sum(axis=1) * 0.99
    assert large.mean() > 0.7
    whole_wh = after_wh.sum(axis=1) + goods.sum(axis=1)
    # Each of 48 half-hours is rounded to a whole Wh, before and after.
    assert np.abs(whole_wh - before_wh.sum(axis=1))[large].max() < 20
    assert (after_wh[~large].sum(axis=1) >= LEAST_BASE_LOAD * before_wh[~large].sum(axis=1) - 24).all()


def test_a_portfolio_with_goods_as_in_crest_draws_within_three_per_cent_of_what_it_drew():
    before_wh, whole_wh = 0, 0.0
    scenario = world(**CREST)
    for day in WEEK:
        before_wh += base_wh(world(), day)[0].sum()
        whole_wh += base_wh(scenario, day)[0].sum() + goods_wh(scenario, day).sum()
    # More, by the homes too small for what they own: a quarter of their base load stays.
    assert 1.0 < whole_wh / before_wh < 1.03


def test_the_evening_loses_what_dishwashers_take_and_the_night_nothing_of_it():
    before_wh, _ = base_wh(world(spread=False))
    after_wh, homes = base_wh(world(spread=False, dishwashers=Dishwashers(share=1.0)))
    large = homes.lived_goods.whole_wh > 4_000_000
    less = (before_wh - after_wh)[large].mean(axis=0)
    wanted = expected_wh(world(dishwashers=Dishwashers(share=1.0)), "dishwashers")[0]
    assert np.abs(less - wanted).max() < 2.0
    assert less[4:10].max() < 2.0
    assert less[38:42].min() > 30


def test_homes_without_modelled_goods_and_homes_told_apart_keep_every_watt_hour():
    before_wh, _ = base_wh(world())
    some_wh, homes = base_wh(world(dishwashers=Dishwashers(share=0.5)))
    nobody = homes.lived_goods.owned == 0
    assert 0.4 < nobody.mean() < 0.6
    assert np.array_equal(before_wh[nobody], some_wh[nobody])
    apart_wh, homes = base_wh(world(includes=False, **CREST))
    assert homes.lived_goods is None
    assert np.array_equal(before_wh, apart_wh)


@pytest.mark.parametrize("section", [section for section in SECTIONS if section != "fridges"])
def test_goods_are_expected_when_their_owners_run_them(section):
    settings = CREST[section]
    scenario = world(**{section: settings.model_copy(update={"share": 1.0})})
    (part,) = [part for part in make_population(scenario).parts if part.kind.name == section]
    kind = Appliances(settings, make_population(scenario).homes, part.drawn.home, scenario.seed)
    starts = np.zeros((2, 48))
    for day in (DAY + timedelta(days=k) for k in range(28)):
        nothing = np.empty((1, 0))
        diary = kind.diary(part.drawn, day, Sky(0, nothing, nothing, nothing, nothing))
        for name in ("start1_ms", "start2_ms"):
            at_ms = diary[name][diary[name] < NEVER_MS]
            place = (at_ms - periods.day_start_ms(day)) // 1_800_000 % 48
            starts[int(day.weekday() >= 5)] += np.bincount(place, minlength=48)
    loads = starts.sum(axis=1) / (1500 * np.array([20, 8]))
    assert expected_wh(scenario, section).sum(axis=1) == pytest.approx(loads * CYCLE_WH[section], rel=0.05)
    # A cycle takes its energy after it began: the middle of energy lies some half-hours after that of starts.
    for wanted, begun in zip(expected_wh(scenario, section), starts, strict=True):
        behind = middle(wanted) - middle(begun)
        assert 0 < behind < 4


def middle(by_half_hour):
    """The mean half-hour of a day that begins at 04:30."""
    turned = np.roll(by_half_hour, -9)
    return (turned * np.arange(48)).sum() / turned.sum()


def test_fridges_take_as_much_as_crest_counts_at_any_hour():
    wh = expected_wh(world(), "fridges")
    assert wh.sum() / 2 * 365 == pytest.approx(6_116 * 70, rel=0.01)
    assert np.ptp(wh) == 0


def test_base_load_less_goods_keeps_the_form_of_the_season():
    scenario = world(spread=False, fridges=Fridges(share=1.0))
    for day in (DAY, date(2024, 7, 10)):
        after_wh, homes = base_wh(scenario, day)
        large = homes.lived_goods.whole_wh > 5_000_000
        whole = homes.lived_goods.whole_wh[large].mean() * mean_shape_kw(day) * 500 / 3_900_000
        less = whole - after_wh[large].mean(axis=0)
        assert less == pytest.approx(expected_wh(scenario, "fridges")[0], abs=1.5)
