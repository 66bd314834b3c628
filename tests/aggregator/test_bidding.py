"""Positions and bids: whole megawatts, prices that never fall, nothing offered that is not there."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.bidding import dfs_megawatts, dfs_price, dynamics, position
from aggregator.forecast import Availability, Forecast
from aggregator.registry import enrol
from aggregator.settings import Assumptions, DfsSubmission
from protocol.messages import DfsRequirement, Technology
from protocol.periods import HOUR_MS

ASSUMED = Assumptions()


def requirement(hours=1.0, mw=50.0, guaranteed=None):
    return DfsRequirement("E", 0, int(hours * 3_600_000), mw, 0, 0, guaranteed, False)


def test_a_position_by_hand(tools):
    # Median 10.4 MW. At 80 %: z = 0.8416, t (9 degrees) 0.883: 10.4 -/+ 0.883 MW. Down (9.517 x 0.9) 8 MW.
    found = position(Availability(Forecast(10.4e6, 1e6, 10), 1.0, 0.9), 2.5e6, tools.SETTINGS, tools.RULES)
    assert (found.fpn_mw, found.residue_mw) == (-10, pytest.approx(-0.4))
    assert found.mel_mw == -2
    assert found.mil_mw == -14  # 11.28 + 2 MW of turn-up, rounded outwards
    assert [(pair.number, pair.width_mw) for pair in found.pairs] == [(-2, 1), (-1, 1), (1, 4), (2, 4)]
    assert [pair.offer_gbp_per_mwh for pair in found.pairs] == [150, 150, 150, 190]
    assert [pair.bid_gbp_per_mwh for pair in found.pairs] == [-20, 20, 20, 20]


def test_batteries_let_a_unit_offer_beyond_no_import(tools):
    # Median 3 MW; (2.912 + 4) x 0.9 = 6.2 MW can be turned down, of which 3 are export.
    found = position(Availability(Forecast(3e6, 0.1e6, 10), 1.0, 0.9, 4e6), 0.0, tools.SETTINGS, tools.RULES)
    assert (found.fpn_mw, found.mel_mw) == (-3, 3)


def test_a_unit_of_roofs_says_that_it_will_export(tools):
    found = position(Availability(Forecast(-2.4e6, 0.2e6, 10), 1.0, 0.9), 1e6, tools.SETTINGS, tools.RULES)
    assert (found.fpn_mw, found.mel_mw) == (2, 2)
    assert found.mil_mw <= 1


def test_what_is_too_cold_is_not_counted_on():
    warm = Availability(Forecast(10e6, 1e6, 10), 1.0, 0.9)
    assert replace(warm, warm=0.4).turn_down_w(0.8) == pytest.approx(0.4 * warm.turn_down_w(0.8))


@given(
    mean_w=st.floats(0, 5e8),
    sd_share=st.floats(0, 1),
    reached=st.floats(0, 1),
    up_w=st.floats(0, 1e8),
    pairs=st.integers(1, 5),
)
def test_a_position_is_always_in_order(tools, mean_w, sd_share, reached, up_w, pairs):
    settings = replace(tools.SETTINGS, balancing=replace(tools.SETTINGS.balancing, pairs=pairs))
    available = Availability(Forecast(mean_w, sd_share * mean_w, 10), reached, 0.9)
    found = position(available, up_w, settings, tools.RULES)
    assert found.mil_mw <= found.fpn_mw <= found.mel_mw <= 0
    assert found.fpn_mw + found.residue_mw == pytest.approx(
        -available.forecast.quantile_w(0.5) / 1e6, abs=1e-6
    )
    assert [pair.number for pair in found.pairs] == sorted(pair.number for pair in found.pairs)
    for before, after in zip(found.pairs, found.pairs[1:], strict=False):
        assert before.offer_gbp_per_mwh <= after.offer_gbp_per_mwh
        assert before.bid_gbp_per_mwh <= after.bid_gbp_per_mwh
    assert all(pair.bid_gbp_per_mwh <= pair.offer_gbp_per_mwh for pair in found.pairs)
    assert sum(pair.width_mw for pair in found.pairs if pair.number > 0) == found.mel_mw - found.fpn_mw
    assert sum(pair.width_mw for pair in found.pairs if pair.number < 0) <= found.fpn_mw - found.mil_mw
    assert all(pair.width_mw >= 1 for pair in found.pairs)


def test_a_unit_below_a_megawatt_offers_nothing(tools):
    found = position(Availability(Forecast(0.9e6, 0.0, 10), 1.0, 1.0), 0.9e6, tools.SETTINGS, tools.RULES)
    assert found.pairs == ()
    assert (found.fpn_mw, found.mel_mw) == (-1, -1)


def test_dfs_megawatts_are_rounded_down_to_the_step_and_capped(tools):
    available = [Availability(Forecast(w, 0.0, 10), 1.0, 1.0) for w in (5.29e6, 0.99e6, 200e6)]
    bid = dfs_megawatts(available, [50.0, 50.0, 50.0], 1.0, tools.SETTINGS, tools.RULES, ASSUMED)
    assert bid == (5.2, 0.0, 50.0)


def test_an_event_longer_than_a_hold_is_offered_in_turns(tools):
    available = [Availability(Forecast(10e6, 0.0, 10), 1.0, 1.0)] * 16
    cars = enrol(tools.registration(10), tools.RULES, ASSUMED).groups[1]
    share = cars.held_share(8 * HOUR_MS, tools.SETTINGS.maximum_hold_ms)
    bid = dfs_megawatts(available, [99.0] * 16, share, tools.SETTINGS, tools.RULES, ASSUMED)
    assert bid == (5.0,) * 16


@pytest.mark.parametrize(("hours", "share"), [(1, 1.0), (2, 1.0), (3, 0.5), (4, 0.5), (8, 0.5)])
def test_heat_pumps_take_turns_of_two_hours_in_two_parties(tools, hours, share):
    technology = np.full(10, Technology.HEAT_PUMP, np.int8)
    pumps = enrol(tools.registration(10, technology=technology), tools.RULES, ASSUMED).groups[1]
    assert pumps.held_share(hours * HOUR_MS, 14_400_000) == pytest.approx(share)


def test_the_price_is_guaranteed_else_the_owners_else_cost_plus_margin(tools):
    assert dfs_price(requirement(guaranteed=3000.0), tools.SETTINGS) == 3000.0
    assert dfs_price(requirement(), replace(tools.SETTINGS, dfs=DfsSubmission(210.0, 0.15))) == 210.0
    assert dfs_price(requirement(), tools.SETTINGS) == 34.5  # 30 x 1.15


def test_a_unit_can_be_turned_down_in_two_minutes_in_whole_megawatts(tools):
    can = dynamics("_A", 13.5, tools.RULES, ASSUMED)
    assert (can.run_up_mw_per_min, can.run_down_mw_per_min) == (7.0, 7.0)
    assert can.notice_to_deliver_offer_min == 2
