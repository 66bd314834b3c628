"""Worked by hand after the steps of Elexon's Imbalance Pricing Guidance v15/16 (14 Jul 2025)."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.imbalance_price import (
    PriceError,
    Stack,
    arbitrage_tagged,
    dmat_tagged,
    imbalance_price,
    niv_tagged,
    reserve_scarcity_price,
    second_stage,
    short_episodes,
)
from protocol.rulebook import load_rulebook

BSC = load_rulebook("bsc", on=date(2026, 6, 1))
INDEX = 55.0


def stack(*rows, so=(), cadl=(), reserve=(), tlm=None, acceptance=None):
    """Rows of (MWh, GBP/MWh); `so`, `cadl` and `reserve` name the rows that carry the flag."""
    volume, price = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    places = np.arange(len(rows))
    return Stack(
        volume,
        price,
        places if acceptance is None else np.array(acceptance),
        np.isin(places, so),
        np.isin(places, cadl),
        np.isin(places, reserve),
        np.ones(len(rows)) if tlm is None else np.array(tlm),
    )


def price_of(actions, **settings):
    return imbalance_price(actions, BSC, INDEX, **settings)


SHORT_DAY = ((0.05, 200), (2, 40), (3, 60), (2, 90), (1.5, 80), (-1, 50), (-2, 30))


def test_a_short_system_from_the_stack_to_the_price():
    # DMAT drops 0.05 at 200. Arbitrage: 1 MWh bought at 40 meets the sale at 50; the next, 40 against 30,
    # does not. The SO-flagged 2 MWh at 90 are dearer than the dearest unflagged (80): no price. NIV = 7.5
    # - 2 = 5.5; the two unpriced MWh are the dear end and go. PAR: 1 MWh at 80.
    found = price_of(stack(*SHORT_DAY, so=[3]))
    assert found.dmat_adjusted_mwh.tolist() == [0, 2, 3, 2, 1.5, -1, -2]
    assert found.arbitrage_adjusted_mwh.tolist() == [0, 1, 3, 2, 1.5, 0, -2]
    assert found.niv_adjusted_mwh.tolist() == [0, 1, 3, 0, 1.5, 0, 0]
    assert found.par_adjusted_mwh.tolist() == [0, 0, 0, 0, 1, 0, 0]
    assert (found.niv_mwh, found.price_gbp_per_mwh, found.route) == (5.5, 80.0, "priced")


def test_an_unpriced_survivor_takes_the_average_of_the_dearest_unflagged_mwh():
    # 2 MWh unpriced, 1 netted off, 1 left. Replacement: (0.5 x 80 + 0.5 x 60) / 1 = 70.
    # The dearest MWh left: 0.5 at 80 and 0.5 of the replaced at 70: 75.
    found = price_of(stack((3, 60), (2, 90), (0.5, 80), (-1, 30), so=[1]))
    assert found.replacement_price_gbp_per_mwh == 70.0
    assert found.repriced.tolist() == [False, True, False, False]
    assert found.price_gbp_per_mwh == 75.0


def test_the_replacement_price_is_of_unflagged_actions_unless_the_setting_says_otherwise():
    # Left without a price: 1 MWh. Dearest unflagged MWh: 0.5 at 80, 0.5 at 60. Flagged 70 kept its price:
    # 80 and 70.
    actions = stack((3, 60), (2, 90), (0.5, 80), (0.5, 70), (-1, 30), so=[1, 3])
    assert price_of(actions).replacement_price_gbp_per_mwh == 70.0
    priced = load_rulebook("bsc", on=date(2026, 6, 1), overrides={"replacement_price_actions": "priced"})
    assert imbalance_price(actions, priced, INDEX).replacement_price_gbp_per_mwh == 75.0


def test_flagged_actions_no_dearer_than_the_unflagged_keep_their_price():
    classified = second_stage(
        np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0, 1.0]),
        np.array([70.0, 80.0, 90.0, 20.0, 10.0, 30.0, 80.0]),
        np.array([True, False, True, False, True, True, True]),
    )
    # Buys: up to 80 kept. Sells: the dear end is the low one, so 10 is beyond 20 and 30 is not.
    assert classified.tolist() == pytest.approx([70, 80, np.nan, 20, np.nan, 30, 80], nan_ok=True)


def test_where_every_action_is_flagged_the_market_index_price_replaces():
    found = price_of(stack((2, 90), (1, 70), so=[0], cadl=[1]))
    assert (found.price_gbp_per_mwh, found.route) == (INDEX, "replacement_market_index")


def test_a_long_system_is_priced_by_its_cheapest_sales_and_the_sell_adjuster():
    # NIV = 1 - 4 = -3; the buy is netted off the dear (low) end: 1 of the 2 at 10. PAR: 1 at 10; + 2.5.
    found = price_of(
        stack((-2, 40), (-2, 10), (1, 60)), buy_adjuster_gbp_per_mwh=9, sell_adjuster_gbp_per_mwh=2.5
    )
    assert found.niv_adjusted_mwh.tolist() == [-2, -1, 0]
    assert (found.niv_mwh, found.price_gbp_per_mwh) == (-3.0, 12.5)


def test_a_short_system_gets_the_buy_adjuster():
    found = price_of(stack((2, 40)), buy_adjuster_gbp_per_mwh=9, sell_adjuster_gbp_per_mwh=2.5)
    assert found.price_gbp_per_mwh == 49.0


def test_without_net_imbalance_the_market_index_price_is_the_price():
    found = price_of(stack((1, 90), (-1, 20)), buy_adjuster_gbp_per_mwh=9)
    assert (found.niv_mwh, found.price_gbp_per_mwh, found.route) == (0.0, INDEX, "market_index")
    empty = Stack(*(np.zeros(0) for _ in range(2)), np.zeros(0, int), *(np.zeros(0, bool),) * 3, np.zeros(0))
    assert price_of(empty).route == "market_index"


def test_the_price_is_weighted_by_loss_adjusted_volume():
    # 0.5 at 100 with TLM 1.2 and 0.5 at 60 with TLM 0.8: (60 + 24) / (0.6 + 0.4) = 84, not 80.
    found = price_of(stack((0.5, 100), (2, 60), tlm=[1.2, 0.8]))
    assert found.price_gbp_per_mwh == pytest.approx(84.0)


def test_scarce_reserve_is_priced_at_loss_of_load():
    # LoLP 5 % x VoLL 6,000 = 300 GBP/MWh, above the STOR action's own 100.
    scarcity = reserve_scarcity_price(0.05, BSC.value("voll_gbp_per_mwh"))
    found = price_of(stack((1, 100), (1, 90), reserve=[0]), reserve_scarcity_gbp_per_mwh=scarcity)
    assert (scarcity, found.price_gbp_per_mwh) == (300.0, 300.0)
    own = price_of(stack((1, 100), reserve=[0]), reserve_scarcity_gbp_per_mwh=50)
    assert own.price_gbp_per_mwh == 100.0


def test_the_de_minimis_test_is_of_the_whole_acceptance():
    # Two pairs of one acceptance, 0.06 each, make 0.12: kept. 0.0999 alone is dropped, 0.1 is not below 0.1.
    volume = np.array([0.06, 0.06, 0.0999, 0.1])
    assert dmat_tagged(volume, np.array([7, 7, 8, 9]), 0.1).tolist() == [0.06, 0.06, 0, 0.1]


def test_arbitrage_cancels_equal_volumes_and_also_at_equal_prices():
    left = arbitrage_tagged(np.array([1.0, 2.0, -1.5, -4.0]), np.array([30.0, 50.0, 50.0, 20.0]))
    assert left.tolist() == [0, 1.5, 0, -4]


def test_an_action_without_a_price_takes_no_part_in_arbitrage():
    left = arbitrage_tagged(np.array([1.0, -1.0]), np.array([np.nan, 50.0]))
    assert left.tolist() == [1, -1]


def test_acceptances_that_touch_are_one_episode_for_the_duration_limit():
    minute = 60_000
    unit = np.array([1, 1, 1, 2])
    start = np.array([0, 6, 30, 0]) * minute
    end = np.array([6, 12, 39, 10]) * minute
    # 12 min together, 9 min alone, exactly 10 min. Before 1 Apr 2019 the limit was 15 min.
    assert short_episodes(unit, start, end, BSC.value("cadl_min")).tolist() == [False, False, True, False]
    before = load_rulebook("bsc", on=date(2019, 3, 31)).value("cadl_min")
    assert short_episodes(unit, start, end, before).tolist() == [True, True, True, True]


def test_columns_of_different_length_are_refused():
    with pytest.raises(PriceError, match="differ in length"):
        Stack(np.zeros(2), np.zeros(1), np.zeros(2, int), *(np.zeros(2, bool),) * 3, np.ones(2))


rows = st.lists(
    st.tuples(st.integers(-80, 80).filter(bool), st.integers(-50, 200), st.booleans()),
    min_size=1,
    max_size=12,
)


@given(rows)
def test_tagging_keeps_the_net_imbalance_and_never_turns_or_grows_an_action(drawn):
    flags = [n for n, row in enumerate(drawn) if row[2]]
    actions = stack(*((mwh / 16, price) for mwh, price, _ in drawn), so=flags)
    found = price_of(actions)
    assert found.niv_mwh == pytest.approx(found.dmat_adjusted_mwh.sum())
    assert np.abs(found.par_adjusted_mwh).sum() == pytest.approx(min(1, abs(found.niv_mwh)))
    stages = [actions.volume_mwh, found.dmat_adjusted_mwh, found.arbitrage_adjusted_mwh]
    for before, after in zip(stages, [*stages[1:], found.niv_adjusted_mwh], strict=True):
        assert (np.abs(after) <= np.abs(before) + 1e-12).all()
        assert (after * before >= 0).all()


@given(rows)
def test_a_long_system_is_the_mirror_of_a_short_one(drawn):
    flags = [n for n, row in enumerate(drawn) if row[2]]
    found = imbalance_price(stack(*((m / 16, p) for m, p, _ in drawn), so=flags), BSC, 55.0)
    mirror = imbalance_price(stack(*((-m / 16, -p) for m, p, _ in drawn), so=flags), BSC, -55.0)
    assert mirror.price_gbp_per_mwh == pytest.approx(-found.price_gbp_per_mwh)
    assert mirror.niv_mwh == pytest.approx(-found.niv_mwh)


def test_the_smaller_stack_is_netted_off_the_dear_end():
    net = niv_tagged(np.array([1.0, 2.0, -2.5]), np.array([50.0, 70.0, 30.0]))
    assert net.tolist() == [0.5, 0, 0]
