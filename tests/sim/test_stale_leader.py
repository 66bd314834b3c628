"""Two aggregators, one lease: the one that lost it commands on and is refused (fault C11)."""

from datetime import date

import numpy as np
import pytest

from protocol.messages import NO_LIMIT_W, AssetRegistration, Remark, Setpoints
from protocol.party import NEVER_MS
from protocol.periods import local_clock_ms
from sim.gateway import Gateway
from sim.network import Network
from sim.play import Plant
from sim.scenario import ROUTE_NAMES, Clock, Comms, SplitBrain
from sim.stale_leader import AHEAD, StaleLeader

DAY = date(2024, 1, 16)
CLOCK = Clock(start=DAY)
SIX = local_clock_ms(DAY, 18)
MINUTE_MS = 60_000
SPLIT = SplitBrain(start=18 * 60, duration_ms=30 * MINUTE_MS, lag_ms=5 * MINUTE_MS)


def command(limit_w, sequence, at_ms, lease=1):
    one = np.ones(1, np.int64)
    rows, limits = np.zeros(1, np.int32), np.full(1, limit_w, np.int32)
    until_ms = (at_ms + 15 * MINUTE_MS) * one
    return Setpoints(rows, limits, at_ms * one, until_ms, np.full(1, sequence, np.int32), True, "I-1", lease)


def make_gateway(*, fences=True):
    zero, i8 = np.zeros(1, np.int64), np.zeros(1, np.int8)
    plant = Plant(zero + 1, np.zeros(1, np.int32), i8, i8, i8, i8, i8)
    every_ms = np.full(1, MINUTE_MS, np.int64)
    network = Network(plant, Comms(), CLOCK, 5, report_every_ms=every_ms, region_names=("_A",))
    i16, i32 = np.zeros(1, np.int16), np.zeros(1, np.int32)
    registration = AssetRegistration(
        i32, zero, i16, i16, i8, i8, i32, i32, i8, i16, i32, i8, i8, i8, ("_A",), ("_A/1",), ROUTE_NAMES
    )
    return Gateway(network, registration, fences=fences)


def an_evening(*, fences):
    """At 18:00 the leader holds the car, at 18:02 it lets it go; the stale one says both again later."""
    gateway, stale = make_gateway(fences=fences), StaleLeader(SPLIT, CLOCK)
    told = [(SIX, command(0, 1, SIX)), (SIX + 2 * MINUTE_MS, command(NO_LIMIT_W, 2, SIX + 2 * MINUTE_MS))]
    for at_ms, message in told:
        stale.receive(message, at_ms)
        gateway.receive(message, at_ms)
    while stale.next_deadline_ms() < NEVER_MS:
        now_ms = stale.next_deadline_ms()
        stale.on_deadline(now_ms)
        for envelope in stale.take_outbox():
            assert envelope.to == "gateway"
            gateway.receive(envelope.message, now_ms)
    return gateway


def test_the_old_leader_s_commands_reach_no_device_and_every_one_is_told():
    gateway = an_evening(fences=True)
    orders = gateway.orders_due(SIX + 60 * MINUTE_MS)
    assert orders.sequence.tolist() == [1, 2]
    assert gateway.state.fenced == 2
    remarks = [envelope.message for envelope in gateway.take_outbox()]
    assert [(remark.kind, remark.at_ms) for remark in remarks if isinstance(remark, Remark)] == [
        ("fenced", SIX + 5 * MINUTE_MS),
        ("fenced", SIX + 7 * MINUTE_MS),
    ]


def test_without_a_fence_it_would_hold_the_car_again_under_a_number_that_beats_the_leader_s():
    orders = an_evening(fences=False).orders_due(SIX + 60 * MINUTE_MS)
    assert orders.sequence.tolist() == [1, 2, 1 + AHEAD, 2 + AHEAD]
    assert orders.limit_w.tolist() == [0, NO_LIMIT_W, 0, NO_LIMIT_W]


def test_a_new_leader_with_a_higher_lease_takes_over_and_the_one_before_is_refused_from_then_on():
    gateway = make_gateway()
    for sequence, lease in ((1, 1), (2, 2), (3, 1), (4, 2)):
        gateway.receive(command(0, sequence, SIX, lease), SIX)
    assert gateway.orders_due(SIX + MINUTE_MS).sequence.tolist() == [1, 2, 4]


@pytest.mark.parametrize(("minutes", "hears"), [(-6, 0), (-5, 1), (24, 1), (25, 0)])
def test_it_commands_from_its_start_for_its_duration_and_neither_before_nor_after(minutes, hears):
    stale = StaleLeader(SPLIT, CLOCK)
    stale.receive(command(0, 1, SIX), SIX + minutes * MINUTE_MS)
    assert len(stale.state.heard) == hears
