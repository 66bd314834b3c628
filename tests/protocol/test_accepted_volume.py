from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.accepted_volume import (
    BEYOND_PAIRS,
    AcceptanceVolume,
    ProfileError,
    accepted_volumes,
    pair_volumes,
    profile_in_force,
    profile_mwh,
)
from protocol.messages import BidOfferAcceptance, BidOfferPair, Point

MINUTE_MS = 60_000
PERIOD = (0, 30 * MINUTE_MS)
WIDE = (BidOfferPair(1, 1000, 120, 110), BidOfferPair(-1, 1000, 60, 50))


def profile(*corners):
    """Corners as (minute of the period, MW)."""
    return tuple(Point(round(minute * MINUTE_MS), level_mw) for minute, level_mw in corners)


def acceptance(number, *corners, minute=None):
    accepted_ms = round((number if minute is None else minute) * MINUTE_MS)
    return BidOfferAcceptance("2__PTWIN001", number, accepted_ms, profile(*corners), False, "ORI")


FLAT = profile((0, -10), (30, -10))


def volumes(acceptances, pairs=WIDE, fpn=FLAT, period=PERIOD):
    return {
        (row.acceptance, row.pair): (pytest.approx(row.offer_mwh), pytest.approx(row.bid_mwh))
        for row in accepted_volumes(fpn, acceptances, pairs, period)
    }


# -------------------------------------------------------------------------------------- worked by hand


def test_turning_demand_down_is_an_offer():
    # From -10 to -6 MW for the whole half hour: 4 x 0.5 = 2 MWh on pair +1.
    assert volumes([acceptance(1, (0, -6), (30, -6))]) == {(1, 1): (2.0, 0.0)}


def test_turning_demand_up_is_a_bid():
    assert volumes([acceptance(1, (0, -13), (30, -13))]) == {(1, -1): (0.0, -1.5)}


def test_ramps_are_shared_between_pairs_at_the_moment_they_cross_the_edge():
    # -10 to -7 in 5 min, 10 min flat, 5 min back: 3 x 15 min = 0.75 MWh. Below 2 MW: each ramp reaches 2 MW
    # after 3 1/3 min, so 6 2/3 MW min; the flat 20; together 33 1/3 MW min = 5/9 MWh. The rest is 7/36.
    pairs = (BidOfferPair(1, 2, 100, 90), BidOfferPair(2, 2, 150, 140))
    accepted = [acceptance(1, (5, -10), (10, -7), (20, -7), (25, -10))]
    assert volumes(accepted, pairs) == {(1, 1): (5 / 9, 0.0), (1, 2): (7 / 36, 0.0)}


def test_a_second_acceptance_is_measured_against_the_first_not_against_the_fpn():
    # First -10 to -6 for the whole period; then to -5 for its second half: only 1 MW more for 15 minutes.
    accepted = [acceptance(1, (0, -6), (30, -6)), acceptance(2, (15, -5), (30, -5))]
    assert volumes(accepted) == {(1, 1): (2.0, 0.0), (2, 1): (0.25, 0.0)}


def test_undoing_a_bid_is_offer_volume_on_the_negative_pair():
    accepted = [acceptance(1, (0, -14), (30, -14)), acceptance(2, (15, -10), (30, -10))]
    assert volumes(accepted) == {(1, -1): (0.0, -2.0), (2, -1): (1.0, 0.0)}


def test_undoing_an_offer_is_bid_volume_on_the_positive_pair():
    accepted = [acceptance(1, (0, -6), (30, -6)), acceptance(2, (15, -10), (30, -10))]
    assert volumes(accepted) == {(1, 1): (2.0, 0.0), (2, 1): (0.0, -1.0)}


def test_reversing_an_offer_takes_back_the_positive_pair_and_then_the_negative_one():
    accepted = [acceptance(1, (0, -6), (30, -6)), acceptance(2, (15, -12), (30, -12))]
    assert volumes(accepted) == {(1, 1): (2.0, 0.0), (2, 1): (0.0, -1.0), (2, -1): (0.0, -0.5)}


def test_after_an_acceptance_has_ended_the_next_starts_from_the_fpn_again():
    shape = ((0, -10), (2, -8), (8, -8), (10, -10))
    later = [(minute + 15, level) for minute, level in shape]
    accepted = [acceptance(1, *shape), acceptance(2, *later)]
    assert volumes(accepted) == {(1, 1): (2 * 8 / 60, 0.0), (2, 1): (2 * 8 / 60, 0.0)}


def test_a_level_that_crosses_the_old_one_is_offer_and_bid_in_one_acceptance():
    # From -12 to -8 across a flat -10: two triangles of 2 MW x 15 min / 2 = 0.25 MWh, one each way.
    assert volumes([acceptance(1, (0, -12), (30, -8))]) == {(1, -1): (0.0, -0.25), (1, 1): (0.25, 0.0)}


def test_volume_is_measured_from_a_sloping_fpn():
    # FPN from -10 to -4; holding -10 is a bid of a triangle 6 MW x 30 min / 2 = 1.5 MWh.
    fpn = profile((0, -10), (30, -4))
    assert volumes([acceptance(1, (0, -10), (30, -10))], fpn=fpn) == {(1, -1): (0.0, -1.5)}


def test_only_the_part_within_the_period_counts():
    accepted = [acceptance(1, (-30, -10), (-20, -6), (15, -6), (15, -10), (60, -10))]
    assert volumes(accepted) == {(1, 1): (1.0, 0.0)}
    assert volumes([acceptance(1, (-30, -6), (-5, -10))]) == {}


def test_a_first_segment_before_the_acceptance_time_counts_like_any_other():
    assert volumes([acceptance(1, (0, -6), (30, -6), minute=1)]) == {(1, 1): (2.0, 0.0)}


def test_acceptances_take_effect_by_time_and_then_by_number_whatever_the_order_given():
    first = acceptance(2, (0, -6), (30, -6), minute=-10)
    second = acceptance(1, (0, -8), (30, -8), minute=-5)
    wanted = {(2, 1): (2.0, 0.0), (1, 1): (0.0, -1.0)}
    assert volumes([first, second]) == volumes([second, first]) == wanted


def test_a_step_in_a_profile_takes_no_time():
    assert volumes([acceptance(1, (10, -10), (10, -4), (20, -4), (20, -10))]) == {(1, 1): (1.0, 0.0)}


def test_volume_beyond_all_pairs_is_told_and_not_lost():
    pairs = (BidOfferPair(1, 1, 120, 110),)
    accepted = [acceptance(1, (0, -6), (30, -6)), acceptance(2, (0, -12), (30, -12))]
    assert volumes(accepted, pairs) == {
        (1, 1): (0.5, 0.0),
        (1, BEYOND_PAIRS): (1.5, 0.0),
        (2, 1): (0.0, -0.5),
        (2, BEYOND_PAIRS): (0.0, -2.5),
    }


def test_pair_totals_add_up_over_acceptances():
    rows = [
        AcceptanceVolume(1, 1, 0.1, 0.0),
        AcceptanceVolume(2, 1, 0.2, 0.0),
        AcceptanceVolume(2, -1, 0.0, -1.0),
    ]
    totals = {pair: (float(offer), float(bid)) for pair, (offer, bid) in pair_volumes(rows).items()}
    assert totals == {-1: (0.0, -1.0), 1: (0.3, 0.0)}


def test_the_profile_to_follow_is_the_fpn_with_every_acceptance_laid_over_it():
    accepted = [acceptance(1, (5, -10), (10, -7), (25, -7)), acceptance(2, (15, -5), (20, -5))]
    assert profile_in_force(FLAT, accepted, PERIOD) == profile(
        (0, -10), (5, -10), (10, -7), (15, -7), (15, -5), (20, -5), (20, -7), (25, -7), (25, -10), (30, -10)
    )


def test_the_period_fpn_is_the_energy_under_the_profile():
    assert profile_mwh(profile((-30, 0), (0, -10), (30, -4), (60, 0)), PERIOD) == -3.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fpn": profile((0, -10), (29, -10))}, "does not cover the period from 0 to 1800000 ms"),
        ({"fpn": ()}, "does not cover the period"),
        ({"fpn": profile((30, -10), (0, -10))}, "corners must be in time order"),
        ({"pairs": (BidOfferPair(2, 1, 1, 1),)}, "there is a pair 2 but no pair 1"),
        ({"pairs": (BidOfferPair(-2, 1, 1, 1),)}, "there is a pair -2 but no pair -1"),
        ({"pairs": (BidOfferPair(1, -1, 1, 1),)}, "pair 1 is -1 MW wide"),
        ({"pairs": (BidOfferPair(1, 1, 1, 1),) * 2}, r"must be different and not 0: \[1, 1\]"),
        (
            {"acceptances": [acceptance(1, (0, 0), (30, 0))] * 2},
            r"an acceptance number comes twice in \[1, 1\]",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(change, words):
    arguments = {"fpn": FLAT, "acceptances": [], "pairs": WIDE} | change
    with pytest.raises(ProfileError, match=words):
        accepted_volumes(**arguments, period_ms=PERIOD)


# ------------------------------------------------------------------------------------------------ laws

levels = st.integers(-20, 20)


@st.composite
def profiles(draw, whole_period=False):
    start = 0 if whole_period else draw(st.integers(-10, 25))
    minutes = [start, *(start + m for m in sorted(draw(st.sets(st.integers(1, 29), max_size=4)))), start + 30]
    end = start + (30 if whole_period else draw(st.integers(1, 30)))
    kept = [minute for minute in minutes if minute < end] + [end]
    return profile(*((minute, draw(levels)) for minute in kept))


fpns = profiles(whole_period=True)
acceptance_lists = st.lists(profiles(), max_size=4).map(
    lambda found: [
        BidOfferAcceptance("2__PTWIN001", number, number, corners, False, "ORI")
        for number, corners in enumerate(found, start=1)
    ]
)
pair_sets = st.tuples(st.lists(st.integers(0, 12), max_size=3), st.lists(st.integers(0, 12), max_size=3)).map(
    lambda widths: tuple(
        BidOfferPair(sign * place, width, 100, 90)
        for sign, side in ((1, widths[0]), (-1, widths[1]))
        for place, width in enumerate(side, start=1)
    )
)


@settings(deadline=None)
@given(fpns, acceptance_lists)
def test_all_volumes_together_are_the_energy_between_the_last_profile_and_the_fpn(fpn, accepted):
    rows = accepted_volumes(fpn, accepted, WIDE, PERIOD)
    final = profile_mwh(profile_in_force(fpn, accepted, PERIOD), PERIOD)
    assert all(row.pair != BEYOND_PAIRS for row in rows)
    assert sum(row.offer_mwh + row.bid_mwh for row in rows) == pytest.approx(final - profile_mwh(fpn, PERIOD))


@settings(deadline=None)
@given(fpns, acceptance_lists, pair_sets)
def test_narrow_pairs_lose_no_energy_either(fpn, accepted, pairs):
    rows = accepted_volumes(fpn, accepted, pairs, PERIOD)
    final = profile_mwh(profile_in_force(fpn, accepted, PERIOD), PERIOD)
    assert sum(row.offer_mwh + row.bid_mwh for row in rows) == pytest.approx(final - profile_mwh(fpn, PERIOD))
    assert all(row.offer_mwh >= 0 >= row.bid_mwh for row in rows)


@settings(deadline=None)
@given(fpns, acceptance_lists, pair_sets, st.integers(1, 29))
def test_two_parts_of_a_period_add_up_to_the_whole(fpn, accepted, pairs, minute):
    parts = [(0, minute * MINUTE_MS), (minute * MINUTE_MS, PERIOD[1])]
    rows = [row for part in parts for row in accepted_volumes(fpn, accepted, pairs, part)]
    whole = pair_volumes(accepted_volumes(fpn, accepted, pairs, PERIOD))
    split = pair_volumes(rows)
    assert split.keys() == whole.keys()
    for pair, both in whole.items():
        assert [float(volume) for volume in split[pair]] == pytest.approx([float(volume) for volume in both])


def level_at(corners, at_ms):
    for before, after in pairwise(corners):
        if before.at_ms <= at_ms < after.at_ms:
            share = (at_ms - before.at_ms) / (after.at_ms - before.at_ms)
            return before.level_mw + share * (after.level_mw - before.level_mw)
    return None


def sampled(fpn, accepted, pairs, steps):
    """The rule of BSC T3 read literally at many moments: base, new, clamp to each band, difference, sum."""
    found = {}
    bands = {}
    for sign in (1, -1):
        edge = 0
        for pair in (pair for pair in pairs if pair.number * sign > 0):
            bands[pair.number] = sorted((edge, edge + sign * pair.width_mw))
            edge += sign * pair.width_mw
    for step in range(steps):
        at_ms = (step + 0.5) * PERIOD[1] / steps
        notified = base = level_at(fpn, at_ms)
        for item in accepted:
            new = level_at(item.profile, at_ms)
            if new is None:
                continue
            for number, (low, high) in bands.items():
                change = min(max(new - notified, low), high) - min(max(base - notified, low), high)
                offer, bid = found.get((item.number, number), (0.0, 0.0))
                found[item.number, number] = (
                    offer + max(change, 0) / 2 / steps,
                    bid + min(change, 0) / 2 / steps,
                )
            base = new
    return found


@settings(deadline=None, max_examples=40)
@given(fpns, acceptance_lists, pair_sets)
def test_exact_volumes_agree_with_the_rule_sampled_at_many_moments(fpn, accepted, pairs):
    exact = {
        (r.acceptance, r.pair): (r.offer_mwh, r.bid_mwh)
        for r in accepted_volumes(fpn, accepted, pairs, PERIOD)
    }
    for key, both in sampled(fpn, accepted, pairs, steps=1500).items():
        assert both == pytest.approx(exact.get(key, (0.0, 0.0)), abs=5e-3)
