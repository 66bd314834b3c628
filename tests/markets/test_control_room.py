"""What the control room may ask: profiles stay inside limits and ramps, and money is asked of the cheapest
first.
"""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from markets.control_room import (
    Available,
    Bounds,
    acceptance_profile,
    departure_mw,
    level_after_mw,
    level_before_mw,
    levels_in_force,
    merit_order,
    minutes_at_zero,
)
from markets.settings import PricedBlock
from protocol.messages import BidOfferPair, ExportLimits, Point

MINUTE = 60_000
START = 1_705_597_200_000  # 2024-01-18 17:00 UTC
HALF_HOUR = 30 * MINUTE
FREE = Bounds(mel_mw=100.0, mil_mw=-100.0, up_mw_per_min=4.0, down_mw_per_min=6.0)


def at(minute):
    return START + minute * MINUTE


def profile(*corners):
    return tuple(Point(at(minute), float(level)) for minute, level in corners)


def flat_fpn(*levels):
    """One level per half hour, with steps between."""
    return tuple(
        point
        for place, level in enumerate(levels)
        for point in profile((30 * place, level), (30 * place + 30, level))
    )


def test_a_turn_down_leaves_the_fpn_at_its_start_and_is_back_at_its_end():
    # By hand: 12 MW at 4 MW/min up take 3 min, at 6 MW/min down 2 min.
    found = acceptance_profile(flat_fpn(-20, -20), at(0), at(60), 12, FREE)
    assert found == profile((0, -20), (3, -8), (58, -8), (60, -20))


def test_a_turn_up_goes_the_other_way_at_the_other_rate():
    found = acceptance_profile(flat_fpn(-20, -20), at(10), at(40), -6, FREE)
    assert found == profile((10, -20), (11, -26), (38, -26), (40, -20))


def test_a_level_is_clipped_to_mel():
    bounds = Bounds(-15.0, -100.0, 10.0, 10.0)
    found = acceptance_profile(flat_fpn(-20), at(0), at(30), 12, bounds)
    assert departure_mw(found, flat_fpn(-20)) == 5


def test_no_profile_when_mel_leaves_no_room():
    assert acceptance_profile(flat_fpn(-20), at(0), at(30), 12, Bounds(-20.0, -99.0, 9.0, 9.0)) is None
    assert acceptance_profile(flat_fpn(-20), at(0), at(30), 12, Bounds(-25.0, -99.0, 9.0, 9.0)) is None


def test_no_profile_when_the_fpn_at_the_end_is_out_of_reach():
    steep = flat_fpn(-20, -90)
    assert acceptance_profile(steep, at(25), at(35), 5, Bounds(9.0, -99.0, 1.0, 1.0)) is None


def test_a_slow_unit_gets_as_far_as_its_rates_allow():
    found = acceptance_profile(flat_fpn(-20), at(0), at(30), 20, Bounds(9.0, -99.0, 0.5, 0.5))
    assert found == profile((0, -20), (14, -13), (16, -13), (30, -20))


@given(
    levels=st.lists(st.integers(-40, 0), min_size=1, max_size=5),
    start=st.integers(0, 40),
    length=st.integers(1, 120),
    turn_down=st.integers(-30, 30).filter(bool),
    mel=st.one_of(st.integers(-20, 5), st.floats(-20, 5)),
    depth=st.floats(0, 60),
    up=st.floats(0.1, 50),
    down=st.floats(0.1, 50),
)
def test_every_profile_stays_inside_limits_and_rates_and_begins_and_ends_on_the_fpn(
    levels, start, length, turn_down, mel, depth, up, down
):
    fpn = flat_fpn(*levels)
    start = min(start, 30 * len(levels) - 1)
    end = min(start + length, 30 * len(levels))
    bounds = Bounds(mel, mel - depth, up, down)
    found = acceptance_profile(fpn, at(start), at(end), turn_down, bounds)
    if found is None:
        return
    assert found[0] == Point(at(start), level_after_mw(fpn, at(start)))
    assert found[-1] == Point(at(end), level_before_mw(fpn, at(end)))
    for point in found:
        assert point.level_mw == int(point.level_mw)
        assert point.at_ms % MINUTE == 0
        assert point.level_mw <= max(mel, *levels)
        assert point.level_mw >= min(mel - depth, *levels)
    for before, after in pairwise(found):
        minutes = (after.at_ms - before.at_ms) / MINUTE
        assert -down * minutes - 1e-6 <= after.level_mw - before.level_mw <= up * minutes + 1e-6


@given(levels=st.lists(st.integers(-40, 0), min_size=2, max_size=4), change=st.sampled_from((-7, -1, 1, 7)))
def test_a_fast_unit_keeps_its_change_through_every_step_of_the_fpn(levels, change):
    fpn = flat_fpn(*levels)
    end = 30 * len(levels)
    found = acceptance_profile(fpn, at(0), at(end), change, Bounds(999.0, -999.0, 999.0, 999.0))
    for minute in range(1, end):
        assert level_after_mw(found, at(minute)) == level_after_mw(fpn, at(minute)) + change


def test_a_bend_of_the_fpn_is_followed():
    fpn = profile((0, 0), (10, -10), (20, -30))
    found = acceptance_profile(fpn, at(0), at(20), -5, Bounds(999.0, -999.0, 99.0, 99.0))
    assert [level_after_mw(found, at(minute)) for minute in (5, 10, 15)] == [-10, -15, -25]


def test_of_two_corners_at_one_time_the_later_holds_after_and_the_earlier_before():
    steps = flat_fpn(-3, -9)
    assert level_before_mw(steps, at(30)) == -3
    assert level_after_mw(steps, at(30)) == -9
    assert level_after_mw(profile((0, 0), (10, -10)), at(4)) == -4
    assert level_before_mw(profile((0, 0), (10, -10)), at(4)) == -4


def test_a_stay_at_zero_is_counted_in_minutes_and_a_touch_as_none():
    assert minutes_at_zero(profile((0, -5), (5, 0), (12, 0), (20, -5))) == 7
    assert minutes_at_zero(profile((0, -5), (5, 0), (20, -5))) == 0
    assert minutes_at_zero(profile((0, -5), (5, -1), (20, -5))) is None


def limits(sequence, start, end, mel, mil=-50):
    return ExportLimits("U", sequence, at(start), at(end), float(mel), float(mil))


def test_the_higher_sequence_wins_and_of_equal_ones_the_later_notified():
    # elexon-data/insights-docs, mil_mel_resolution.md
    assert levels_in_force([limits(2, 0, 60, 5), limits(1, 0, 60, 9)], at(0), at(30)) == (5, -50)
    assert levels_in_force([limits(1, 0, 60, 5), limits(1, 0, 60, 9)], at(0), at(30)) == (9, -50)


def test_the_tightest_limit_on_the_way_counts():
    declared = [limits(1, 0, 20, 9), limits(2, 20, 60, 3, -7)]
    assert levels_in_force(declared, at(0), at(30)) == (3, -7)
    assert levels_in_force(declared, at(0), at(20)) == (9, -50)


OUR_PAIRS = (
    BidOfferPair(1, 4.0, 100.0, 20.0),
    BidOfferPair(2, 6.0, 150.0, 20.0),
    BidOfferPair(-1, 5.0, 60.0, 30.0),
)
OTHERS = (PricedBlock(120.0, 10.0), PricedBlock(90.0, 3.0))


def test_a_need_takes_the_cheapest_offers_first():
    # By hand: 3 MW at 90 and our 4 at 100, then 10 at 120, then our second pair at 150.
    ours = {"U": Available(OUR_PAIRS, 20.0)}
    taken = [merit_order(need, ours, OTHERS)["U"] for need in (3, 5, 7, 17, 19, 99)]
    assert taken == [0, 2, 4, 4, 6, 10]


def test_a_dearer_offer_is_taken_less_of():
    def dearer(price):
        return {"U": Available((BidOfferPair(1, 10.0, price, 0.0),), 20.0)}

    taken = [merit_order(12.0, dearer(price), OTHERS)["U"] for price in (80, 90, 100, 120, 130)]
    # By hand: 3 MW of the others cost 90, 10 MW cost 120; at one price they come first.
    assert taken == [10, 9, 9, 0, 0]


def test_a_surplus_takes_the_dearest_bids_first():
    ours = {"U": Available(OUR_PAIRS, 20.0)}
    blocks = (PricedBlock(50.0, 2.0), PricedBlock(10.0, 9.0))
    assert [merit_order(-need, ours, blocks)["U"] for need in (2, 4, 7, 30)] == [0, 2, 5, 5]


def test_headroom_bounds_what_is_taken():
    assert merit_order(99.0, {"U": Available(OUR_PAIRS, 5.0)}, ())["U"] == 5


def test_equal_prices_go_to_competitors_first_and_then_by_name():
    pair = (BidOfferPair(1, 4.0, 120.0, 0.0),)
    ours = {"B": Available(pair, 9.0), "A": Available(pair, 9.0)}
    assert merit_order(15.0, ours, (PricedBlock(120.0, 10.0),)) == {"B": 1, "A": 4}
