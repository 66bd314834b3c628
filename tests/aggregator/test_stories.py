"""Evenings in a small world, with times written by hand: an order lost, doubled, ignored; a cloud that
goes down.
"""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from aggregator.sending import FREE, HELD
from aggregator.settings import Assumptions
from protocol.codec import Reader, Writer
from protocol.messages import (
    NO_LIMIT_W,
    BidOfferAcceptance,
    DeliveryBelief,
    DfsBid,
    DfsRequirement,
    DfsResult,
    OperationalMetering,
    PhysicalNotification,
    Point,
    Polls,
    Service,
    Setpoints,
)

COUNT = 1200


def evening(tools, service=Service.BALANCING, count=COUNT, settings=None, plugged=True, **changes):
    """Chargers at 7 kW each in one unit, foreseen at 3 kW each; from 16:00 on."""
    world = tools.World(
        tools.registration(count, service, **changes),
        settings or tools.SETTINGS,
        start_ms=tools.at(16),
        history_w=3000,
    )
    world.chargers.plugged[:] = plugged
    return world


def dfs_event(world, tools, mw, hour=17, minutes=30):
    """A DFS event that is bid for and accepted at `mw`, from `hour` on."""
    start_ms, end_ms = tools.at(hour), tools.at(hour) + minutes * 60_000
    world.hear(
        DfsRequirement("E", start_ms, end_ms, mw, world.now_ms + 600_000, start_ms - 600_000, None, False)
    )
    world.until(world.now_ms + 360_000)
    (bid,) = world.heard_by("dfs", DfsBid)
    world.hear(
        DfsResult(
            bid.bid_id,
            "E",
            bid.unit,
            True,
            "",
            start_ms,
            end_ms,
            (mw,) * (minutes // 30),
            bid.price_gbp_per_mwh,
        )
    )
    return bid


def held_now(world):
    return int(world.chargers.limited().sum())


def test_a_dfs_event_is_held_from_its_start_to_its_end_and_let_go_little_by_little(tools):
    world = evening(tools, Service.DFS)
    dfs_event(world, tools, 2.0)
    world.until(tools.at(16, 59, 59))
    assert held_now(world) == 0
    # The orders went out two minutes ahead, to be acted on at 17:00.
    first = world.heard_by("gateway", Setpoints)[0]
    assert set(first.from_ms.tolist()) == {tools.at(17)}
    assert first.response_dsr
    world.until(tools.at(17, 0, 1))
    # 2 MW are 286 of 7 kW; 8 % more are told, as so many may not obey.
    assert 286 <= held_now(world) <= 311
    world.until(tools.at(17, 10))
    assert 286 <= held_now(world) <= 300
    world.until(tools.at(17, 29, 59))
    assert 286 <= held_now(world) <= 300
    counts = []
    for minute in (33, 36, 39, 42, 45):
        world.until(tools.at(17, minute))
        counts.append(held_now(world))
    assert counts == sorted(counts, reverse=True)
    assert 200 < counts[0] < 250
    world.until(tools.at(17, 46))
    assert held_now(world) == 0
    assert world.stages("E-DFS001")[-1][0] == "completed"
    lifted = [told for told in world.heard_by("gateway", Setpoints) if (told.limit_w == NO_LIMIT_W).any()]
    assert not lifted[-1].response_dsr


def test_lost_acknowledgements_lead_to_no_second_hold_of_others(tools):
    world = evening(tools, Service.DFS)
    world.chargers.ackless[:] = True
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 3))
    # Telemetry showed what acknowledgements did not.
    assert 280 <= held_now(world) <= 315
    world.until(tools.at(17, 25))
    assert 280 <= held_now(world) <= 300
    assert world.stages("E-DFS001")[-1][0] == "delivering"


def test_no_row_is_told_the_same_again_before_its_repeat_is_due(tools):
    world = evening(tools, Service.DFS)
    world.chargers.ackless[::3] = True
    dfs_event(world, tools, 2.0)
    world.until(tools.at(18))
    last = {}
    for at_ms, _, message in world.said:
        if not isinstance(message, Setpoints):
            continue
        for row, limit_w, sequence in zip(message.rows, message.limit_w, message.sequence, strict=True):
            before = last.get(row)
            if before is not None:
                assert sequence == before[2] + 1
                assert limit_w != before[1] or at_ms - before[0] >= 30_000
            last[row] = (at_ms, limit_w, sequence)


def test_deaf_chargers_are_replaced_by_others(tools):
    world = evening(tools, Service.DFS)
    world.chargers.deaf[:600] = True
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 10))
    # Some of the deaf are still being tried; together with those who obey it comes to 2 MW.
    assert 270 <= held_now(world) <= 320
    world.until(tools.at(17, 29))
    assert 280 <= held_now(world) <= 300


def test_chargers_that_do_not_pause_are_found_out_and_replaced(tools):
    world = evening(tools, Service.DFS)
    world.chargers.stubborn[:300] = True
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 15))
    assert 280 <= held_now(world) <= 300
    told = [
        message
        for at_ms, _, message in world.said
        if isinstance(message, Setpoints) and at_ms > tools.at(17, 15)
    ]
    world.until(tools.at(17, 29))
    later = {int(row) for message in told for row in message.rows[message.limit_w == 0]}
    assert not later & set(range(300))


def test_without_tracking_nobody_is_replaced(tools):
    world = evening(tools, Service.DFS, settings=replace(tools.SETTINGS, tracking=False))
    world.chargers.stubborn[:600] = True
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 15))
    # 311 were told; whoever of them does not pause is missing.
    assert held_now(world) < 200


def test_a_driver_who_boosts_is_let_alone_and_replaced(tools):
    world = evening(tools, Service.DFS)
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 10))
    boosting = np.flatnonzero(world.chargers.limited())[:50]
    world.chargers.boosted[boosting] = True
    world.until(tools.at(17, 15))
    assert 280 <= held_now(world) <= 300
    assert world.chargers.boosted[boosting].all()
    control = world.aggregator.state.portfolio.control
    assert (control["intent"][boosting] == FREE).all()


def test_cars_that_leave_are_replaced_by_cars_that_come(tools):
    world = evening(tools, Service.DFS, plugged=np.arange(COUNT) < 600)
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 5))
    leaving = np.flatnonzero(world.chargers.limited())[:150]
    world.chargers.plugged[leaving] = False
    world.chargers.plugged[600:] = True
    world.until(tools.at(17, 12))
    still = world.chargers.limited() & world.chargers.plugged
    assert 280 <= int(still.sum()) <= 300


def test_deadlines_are_kept_by_holding_in_turns(tools):
    # Half of them are to be ready by 19:00, too soon for half an hour's wait and the charging after it.
    world = evening(
        tools, Service.DFS, ready_by_minute=np.where(np.arange(COUNT) < 600, 1140, 420).astype(np.int16)
    )
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 20))
    assert 280 <= held_now(world) <= 300
    assert not world.chargers.limited()[:600].any()


@pytest.mark.parametrize("directions", ["both", "up"])
def test_a_cloud_outage_in_the_middle_of_an_event_is_made_good_by_others(tools, directions):
    world = evening(tools, Service.DFS)
    dfs_event(world, tools, 2.0, minutes=60)
    world.until(tools.at(17, 10))
    gone = np.zeros(COUNT, bool)
    gone[np.flatnonzero(world.chargers.limited())[:150]] = True
    world.chargers.mute |= gone
    if directions == "both":
        world.chargers.deaf |= gone
    world.until(tools.at(17, 45))
    # Whoever could not be told again went back to charging when its window ended; others were held instead.
    reached = world.chargers.limited() & ~gone
    assert 270 <= int(reached.sum()) <= 315
    if directions == "both":
        assert not (world.chargers.limited() & gone).any()
    world.until(tools.at(18))
    beliefs = [
        belief for belief in world.heard_by("journal", DeliveryBelief) if belief.at_ms > tools.at(17, 40)
    ]
    assert all(1.9e6 < belief.believed_turn_down_w < 2.1e6 for belief in beliefs)


def test_notifications_fall_within_one_period_of_an_outage_and_say_so(tools):
    world = evening(tools)
    world.until(tools.at(16, 55))
    before = world.aggregator.state.units["_A"].declared[tools.at(18)]
    world.chargers.mute[:900] = True
    world.until(tools.at(17, 25))
    after = world.aggregator.state.units["_A"].declared[tools.at(18, 30)]
    assert after.mel_mw - after.fpn_mw < 0.4 * (before.mel_mw - before.fpn_mw)
    assert world.remarks("degraded_forecast")


def test_an_acceptance_is_followed_up_its_ramp_along_and_down_again(tools):
    world = evening(tools)
    world.until(tools.at(18, 3))
    fpn_mw = world.aggregator.state.units["_A"].declared[tools.at(18)].fpn_mw
    minutes = ((5, 0), (7, 2), (20, 2), (22, 0))
    profile = tuple(Point(tools.at(18, minute), fpn_mw + mw) for minute, mw in minutes)
    world.hear(BidOfferAcceptance("_A", 77, world.now_ms, profile, False, "ORI"))
    for minute, second, mw in ((5, 0, 0), (6, 0, 1), (7, 30, 2), (19, 55, 2), (21, 0, 1), (22, 30, 0)):
        world.until(tools.at(18, minute, second))
        turned_down_mw = held_now(world) * 0.007
        assert turned_down_mw == pytest.approx(mw, abs=0.22), (minute, second)
    assert world.stages("_A-77")[-1][0] == "completed"


def test_operational_metering_is_every_second_once_and_true_to_the_last_reading(tools):
    world = evening(tools, count=120)
    world.until(tools.at(16, 20))
    said = world.heard_by("balancing", OperationalMetering)
    edges = [(message.start_ms, message.start_ms + 1000 * message.import_w.shape[1]) for message in said]
    assert edges[0][0] == tools.at(16)
    assert all(before[1] == after[0] for before, after in pairwise(edges))
    assert edges[-1][1] == tools.at(16, 20) - 5000
    # Two chargers report in each second of the minute, the first two in the first second after 16:00.
    first = np.concatenate([message.import_w[0] for message in said[:2]])
    assert first[:61].tolist() == [0, *(14_000 * k for k in range(1, 61))]
    assert said[-1].import_w[0][-1] == 120 * 7000


def test_sleeping_cars_are_asked_once_before_an_event_and_within_their_budget(tools):
    world = evening(tools, Service.DFS, soc_known=np.ones(COUNT, np.int8))
    world.until(tools.at(16, 10))
    world.chargers.mute[:400] = True
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 29))
    (polls,) = world.heard_by("gateway", Polls)
    assert polls.rows.tolist() == list(range(400))
    assert world.aggregator.state.portfolio.control["polls"].max() == 1


def test_set_points_are_sent_in_stages_when_there_are_many(tools):
    world = evening(tools, Service.DFS, settings=replace(tools.SETTINGS, send_per_loop=100))
    dfs_event(world, tools, 2.0)
    world.until(tools.at(17, 1))
    sizes = [len(told.rows) for told in world.heard_by("gateway", Setpoints)]
    assert sizes[:3] == [100, 100, 100]
    assert max(sizes) == 100
    assert held_now(world) >= 280


def test_it_wakes_on_its_grid_and_faster_around_an_instruction(tools):
    world = evening(tools, Service.DFS, count=COUNT)
    dfs_event(world, tools, 2.0)
    wakes = []
    world.until(tools.at(16, 30))
    while world.now_ms < tools.at(17, 50):
        wakes.append(world.aggregator.next_deadline_ms())
        world.until(wakes[-1])
    assert wakes[0] == tools.at(16, 31)
    assert {wake for wake in wakes if wake < tools.at(16, 58)} == {
        tools.at(16, minute) for minute in range(31, 58)
    }
    fast = [wake for wake in wakes if tools.at(16, 58) <= wake <= tools.at(17, 44)]
    assert set(np.diff(fast)) == {10_000}
    assert wakes[-1] - wakes[-2] == 60_000


def test_written_down_and_read_back_in_the_middle_it_goes_on_as_if_nothing_had_been(tools):
    def said_after(restart):
        world = evening(tools, Service.DFS, count=COUNT)
        world.chargers.ackless[::4] = True
        world.chargers.deaf[::7] = True
        dfs_event(world, tools, 2.0)
        world.until(tools.at(17, 7, 5))
        if restart:
            writer = Writer()
            tree = writer.encode(world.aggregator.state)
            state = Reader([array.copy() for array in writer.arrays]).decode(tree)
            fresh = type(world.aggregator)(tools.SETTINGS, tools.RULES, Assumptions())
            fresh.state = state
            world.aggregator = fresh
        world.until(tools.at(18, 5))
        return [(at_ms, to, written(message)) for at_ms, to, message in world.said]

    def written(message):
        writer = Writer()
        return writer.encode(message), [array.tolist() for array in writer.arrays]

    assert said_after(False) == said_after(True)


def test_messages_nobody_should_send_are_remarked_on_and_change_nothing(tools):
    world = evening(tools, count=10)
    world.until(tools.at(16, 5))
    before = world.aggregator.state.portfolio.store.board.copy()
    world.hear(tools.telemetry([-1, 10, 10**6], world.now_ms, 7000, 2))
    world.hear(tools.registration(5))
    world.hear(PhysicalNotification("_A", 0, 1, ()))
    assert (world.aggregator.state.portfolio.store.board == before).all()
    for kind in ("unknown_assets", "registered_twice", "unexpected_message"):
        assert len(world.remarks(kind)) == 1


def test_a_hold_in_force_is_renewed_until_the_end_and_not_far_beyond(tools):
    world = evening(tools, Service.DFS)
    dfs_event(world, tools, 2.0, minutes=60)
    world.until(tools.at(18, 30))
    latest_ms = max(
        int(told.until_ms[told.limit_w == 0].max())
        for told in world.heard_by("gateway", Setpoints)
        if (told.limit_w == 0).any()
    )
    assert tools.at(18) <= latest_ms <= tools.at(18, 15, 10)
    assert (world.aggregator.state.portfolio.control["intent"] != HELD).all()


def test_an_event_that_follows_closely_keeps_those_who_are_still_held(tools):
    world = evening(tools, Service.DFS)
    dfs_event(world, tools, 2.0)
    bid_id = "E2-DFS001"
    world.until(tools.at(16, 40))
    start_ms, end_ms = tools.at(17, 35), tools.at(18, 5)
    world.hear(DfsRequirement("E2", start_ms, end_ms, 1.4, tools.at(16, 50), tools.at(16, 55), None, False))
    world.until(tools.at(16, 46))
    world.hear(DfsResult(bid_id, "E2", "DFS001", True, "", start_ms, end_ms, (1.4,), 34.5))
    world.until(tools.at(18, 4))
    # A few more than 1.4 MW are held, since after an hour some would have been full.
    assert 1.4 <= held_now(world) * 0.007 < 1.7
    lifted = sum(
        int((message.limit_w == NO_LIMIT_W).sum())
        for at_ms, _, message in world.said
        if isinstance(message, Setpoints) and tools.at(17, 36) < at_ms < tools.at(18, 4)
    )
    assert lifted < 20


def test_after_an_event_it_promises_less_if_many_did_not_pause(tools):
    world = evening(tools, Service.DFS)
    world.chargers.stubborn[:300] = True
    starts = [tools.at(19)]
    dfs_event(world, tools, 2.0)
    (before,), _ = world.aggregator.availability(1, starts)
    world.until(tools.at(17, 20))
    (during,), _ = world.aggregator.availability(1, starts)
    world.until(tools.at(17, 50))
    (after,), _ = world.aggregator.availability(1, starts)
    assert before.response == during.response == 0.92
    # 296 of the first 311 did not pause, 300 told afterwards did: with the assumption about 0.55.
    assert 0.5 < after.response < 0.6


def test_rounding_is_told_once_per_unit_when_the_day_that_is_notified_turns(tools):
    # 43 of 100 charge at 7 kW, as foreseen: 0.3 MW.
    world = evening(tools, count=100, plugged=np.arange(100) < 43)
    world.chargers.room_wh[:] = 10**6
    world.until(tools.at(22, 45))
    assert world.remarks("fpn_residue") == []
    world.until(tools.at(23, 55))
    (said,) = world.remarks("fpn_residue")
    assert said.detail.startswith("_A: ")
    assert said.detail.endswith("2025-01-15")
    # They are notified as 0 in each of the 13 periods from 17:30 to midnight.
    assert float(said.detail.split()[6]) == pytest.approx(13 * 0.3 / 2, abs=0.1)


def test_a_unit_with_nothing_to_offer_says_so_once(tools):
    world = evening(tools, count=100)
    world.until(tools.at(19))
    (said,) = world.remarks("nothing_to_offer")
    assert said.detail.startswith("_A:")


def test_a_unit_that_lost_its_offer_a_second_time_says_so_a_second_time(tools):
    world = evening(tools)
    world.until(tools.at(16, 55))
    assert world.remarks("nothing_to_offer") == []
    for hour, mute in ((17, True), (18, False), (19, True)):
        world.chargers.mute[:] = mute
        world.until(tools.at(hour, 55))
    assert len(world.remarks("nothing_to_offer")) == 2


def test_a_forecast_without_any_day_lived_is_called_a_guess_once(tools):
    world = tools.World(tools.registration(COUNT), start_ms=tools.at(16))
    world.until(tools.at(19))
    (said,) = world.remarks("forecast_without_history")
    assert said.detail.startswith("_A:")
    assert evening(tools).remarks("forecast_without_history") == []
