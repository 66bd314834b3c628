"""What the aggregator does about assets that are no longer what was enrolled."""

from dataclasses import replace

import numpy as np
import pytest

from aggregator.registry import Standing
from protocol.messages import (
    UNKNOWN,
    AckOutcome,
    Acks,
    Change,
    DfsBid,
    DfsRequirement,
    DfsResult,
    RegistryChange,
    Service,
    Setpoints,
)

COUNT = 600
SOME = list(range(0, COUNT, 20))
"""5 % of the portfolio."""


def change(kind, rows, effective_ms, report_every_s=UNKNOWN):
    rows = np.array(rows, np.int32)
    every = np.full(len(rows), report_every_s, np.int32)
    return RegistryChange(kind, rows, np.full(len(rows), effective_ms, np.int64), every, "why")


@pytest.fixture
def evening(tools):
    """600 cars that charge at 18:00, all in one BM Unit."""
    world = tools.World(tools.registration(COUNT), start_ms=tools.at(16), history_w=6000)
    world.chargers.plugged[:] = True
    world.until(tools.at(18))
    return world


@pytest.fixture
def event(tools):
    """1,200 cars in a DFS Unit that turns down 2 MW from 17:00; at 17:10."""
    world = tools.World(tools.registration(2 * COUNT, Service.DFS), start_ms=tools.at(16), history_w=3000)
    world.chargers.plugged[:] = True
    world.hear(need(tools, 2.0))
    world.until(tools.at(16, 6))
    (bid,) = world.heard_by("dfs", DfsBid)
    terms = (tools.at(17), tools.at(18), (2.0, 2.0), bid.price_gbp_per_mwh)
    world.hear(DfsResult(bid.bid_id, "E", bid.unit, True, "", *terms))
    world.until(tools.at(17, 10))
    return world


def need(tools, mw):
    return DfsRequirement(
        "E", tools.at(17), tools.at(18), mw, tools.at(16, 10), tools.at(16, 50), None, False
    )


def told_after(world, now_ms):
    """Rows of all set-points sent later."""
    sent = [m for at_ms, _, m in world.said if isinstance(m, Setpoints) and at_ms > now_ms]
    return {row for message in sent for row in message.rows.tolist()}


def portfolio(world):
    return world.aggregator.state.portfolio


def test_who_withdrew_is_told_nothing_once_it_is_heard_and_others_take_its_place(event, tools):
    held = np.flatnonzero(portfolio(event).control["intent"])
    assert 280 <= len(held) <= 320
    gone, heard_ms = held[:100], event.now_ms
    event.hear(change(Change.WITHDRAWN, gone, heard_ms))
    assert (portfolio(event).control["intent"][gone] == 0).all()
    event.until(tools.at(17, 25))
    assert not told_after(event, heard_ms) & set(gone.tolist())
    still = np.flatnonzero(portfolio(event).control["intent"])
    assert 280 <= len(still) <= 320
    assert not set(still.tolist()) & set(gone.tolist())


def test_a_unit_without_some_assets_is_the_unit_of_the_others(evening, tools):
    evening.hear(change(Change.MOVED, SOME, evening.now_ms))
    others = np.setdiff1d(np.arange(COUNT), SOME)
    registry = portfolio(evening).registry
    (place,) = registry.groups_of(Service.BALANCING)
    assert registry.rows_of(place).tolist() == others.tolist()
    assert registry.rows_of(0).tolist() == SOME
    group = registry.groups[place]
    alone = tools.World(tools.registration(len(others)))
    expected = portfolio(alone).registry.groups[place]
    assert (group.assets, group.rating_w, group.planned_w, group.ratings_w) == (
        expected.assets, expected.rating_w, expected.planned_w, expected.ratings_w,
    )  # fmt: skip
    store = portfolio(evening).store
    assert store.power_w[place] == store.board["import_w"][others].sum()
    assert store.power_w[0] == store.board["import_w"][SOME].sum()


def test_the_forecast_is_for_those_who_are_left(evening, tools):
    (place,) = portfolio(evening).registry.groups_of(Service.BALANCING)
    (before,), _ = evening.aggregator.availability(place, [tools.at(20)])
    evening.hear(change(Change.WITHDRAWN, SOME, evening.now_ms))
    (after,), _ = evening.aggregator.availability(place, [tools.at(20)])
    assert after.forecast.mean_w == pytest.approx(0.95 * before.forecast.mean_w, rel=1e-3)


def test_who_withdrew_before_the_bid_is_not_bid(tools):
    bids_mw = []
    for withdraws in (False, True):
        world = tools.World(tools.registration(2 * COUNT, Service.DFS), start_ms=tools.at(16), history_w=3000)
        world.chargers.plugged[:] = True
        if withdraws:
            world.hear(change(Change.WITHDRAWN, range(COUNT), world.now_ms))
        world.hear(need(tools, 50.0))
        world.until(tools.at(16, 6))
        (bid,) = world.heard_by("dfs", DfsBid)
        bids_mw.append(bid.turn_down_mw[0])
    assert bids_mw[1] == pytest.approx(bids_mw[0] / 2, rel=0.15)


def test_an_asset_whose_new_occupant_enrols_is_back_in_its_unit(evening, tools):
    registry = portfolio(evening).registry
    before = replace(registry, group=registry.group.copy(), entries={})
    evening.hear(change(Change.MOVED, SOME, evening.now_ms - 1))
    evening.hear(change(Change.ENROLLED, SOME, evening.now_ms))
    assert registry.groups == before.groups
    assert registry.members.tolist() == before.members.tolist()
    assert {entry.standing for entry in registry.entries.values()} == {Standing.ACTIVE}
    assert (portfolio(evening).store.sessions["sessions"][SOME] == 0).all()


def test_news_older_than_what_is_known_changes_nothing(evening):
    """The old occupant tells of the move when the new one has enrolled already."""
    evening.hear(change(Change.ENROLLED, SOME, evening.now_ms))
    evening.hear(change(Change.MOVED, SOME, evening.now_ms - 86_400_000))
    assert portfolio(evening).registry.entries[SOME[0]].standing is Standing.ACTIVE
    assert portfolio(evening).registry.groups[1].assets == COUNT


def test_a_refusal_for_want_of_consent_is_believed_at_once(event, tools):
    control = portfolio(event).control
    row = int(np.flatnonzero(control["intent"])[0])
    one, now_ms = np.array([row], np.int32), event.now_ms
    said = np.array([AckOutcome.NO_CONSENT], np.int8)
    moment = np.array([now_ms])
    event.hear(Acks(one, control["sequence"][one], said, moment, moment))
    assert portfolio(event).registry.entries[row].standing is Standing.WITHDRAWN
    event.until(tools.at(17, 40))
    assert row not in told_after(event, now_ms)
    (told,) = event.heard_by("settlement", RegistryChange)
    assert (told.kind, told.rows.tolist()) == (Change.WITHDRAWN, [row])


def test_settlement_is_told_of_consent_that_ended_once_but_not_of_its_own_rejection(evening):
    evening.hear(change(Change.DEALLOCATED, SOME[:10], evening.now_ms))
    assert evening.heard_by("settlement", RegistryChange) == []
    assert portfolio(evening).registry.entries[SOME[0]].standing is Standing.REJECTED
    evening.hear(change(Change.WITHDRAWN, SOME[10:20], evening.now_ms))
    evening.hear(change(Change.WITHDRAWN, SOME[10:20], evening.now_ms))
    (told,) = evening.heard_by("settlement", RegistryChange)
    assert told.rows.tolist() == SOME[10:20]
    assert len(evening.remarks("registry_withdrawn")) == 1


def test_what_settlement_rejects_is_not_taken_back_for_a_new_occupant(evening):
    evening.hear(change(Change.DEALLOCATED, SOME, evening.now_ms))
    evening.hear(change(Change.ENROLLED, SOME, evening.now_ms))
    assert portfolio(evening).registry.groups[1].assets == COUNT - len(SOME)


def test_a_register_that_begins_anew_is_another_meter_whether_told_or_seen(evening, tools):
    chargers = evening.chargers
    evening.hear(change(Change.SWAPPED, [1], evening.now_ms))
    chargers.register_wh[[1, 2]] = 0.0
    evening.until(tools.at(18, 0, 30))
    store, entries = portfolio(evening).store, portfolio(evening).registry.entries
    assert store.board["register_wh"][1] < 1000, "told of: believed at once"
    assert store.board["register_wh"][2] > 1000, "not told of: believed the second time"
    evening.until(tools.at(18, 4))
    assert store.board["register_wh"][2] < 1000
    assert {row: entry.standing for row, entry in entries.items()} == {
        1: Standing.SWAPPED, 2: Standing.SWAPPED,
    }  # fmt: skip
    assert [said.detail[:8] for said in evening.remarks("register_began_anew")] == ["1 assets"]
    assert (store.sessions["energy_wh"] >= 0).all()


def test_an_announced_interval_keeps_slow_reporters_from_seeming_stale(evening):
    evening.hear(change(Change.FIRMWARE, SOME, evening.now_ms, report_every_s=900))
    assert (portfolio(evening).store.board["report_every_s"][SOME] == 900).all()
    assert portfolio(evening).registry.groups[1].assets == COUNT
