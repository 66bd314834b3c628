"""Loss in bursts (Gilbert-Elliott): per device and direction, of the given share and length (fault C1)."""

from datetime import date

import numpy as np
import pytest

from protocol.party import NEVER_MS
from protocol.periods import local_clock_ms
from sim.network import DUPLICATED, Kind, Network, Outcome
from sim.play import Plant, Readings
from sim.scenario import Clock, Comms, RandomOutages, Route

DAY = date(2024, 1, 16)
NOON_MS = local_clock_ms(DAY, 12)
SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
BURSTS = {"burst_every_ms": 50 * MINUTE_MS, "burst_for_ms": 10 * MINUTE_MS}


def make_network(count, route, seed=7):
    row = np.arange(count, dtype=np.int64)
    i8 = np.zeros(count, np.int8)
    plant = Plant(row * 17 + 3, row.astype(np.int32), i8, i8, i8, i8, i8)
    comms = Comms(routes={"evcp_4g": Route(latency_median_ms=500, **route)}, random_outages=RandomOutages())
    every_ms = np.full(count, MINUTE_MS, np.int64)
    return Network(
        plant, comms, Clock(start=DAY, days=2), seed, report_every_ms=every_ms, region_names=("_A",)
    )


def lost_up(network, sent_ms, rows=None):
    rows = np.arange(len(network.plant.device), dtype=np.int32) if rows is None else rows
    sent = np.broadcast_to(np.asarray(sent_ms, np.int64), len(rows)).copy()
    return network.carry_up(rows, sent, Kind.TELEMETRY).outcome == Outcome.LOST


def lost_down(network, now_ms):
    rows = np.arange(len(network.plant.device), dtype=np.int32)
    return network.carry_down(rows, now_ms, rows + 1, Kind.SETPOINTS).outcome == Outcome.LOST


def test_the_share_lost_is_that_of_the_bad_state_at_any_time_of_the_day():
    network = make_network(40_000, {**BURSTS, "burst_loss_up": 1.0})
    shares = [lost_up(network, NOON_MS + minutes * MINUTE_MS).mean() for minutes in (0, 37, 301, 700)]
    # Ten minutes bad after fifty good: one sixth. Four standard deviations of 40,000 devices are 0.0075.
    assert shares == pytest.approx([1 / 6] * 4, abs=0.0075)


def test_within_a_burst_the_given_share_is_lost_on_top_of_independent_loss():
    network = make_network(40_000, {**BURSTS, "burst_loss_up": 0.5, "loss_up": 0.1})
    assert lost_up(network, NOON_MS).mean() == pytest.approx(0.1 + 0.9 / 12, abs=0.008)


def test_bursts_have_the_given_mean_length():
    network = make_network(300, {**BURSTS, "burst_loss_up": 1.0})
    seconds = np.arange(0, 12 * 3600, 10)
    lengths = []
    for row in range(300):
        at_ms = NOON_MS + seconds * SECOND_MS
        lost = lost_up(network, at_ms, np.full(len(seconds), row, np.int32)).astype(int)
        edges = np.diff(lost)
        begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        if len(begins) and len(ends):
            ends = ends[ends > begins[0]]
            lengths += (10 * (ends - begins[: len(ends)])).tolist()
    assert len(lengths) > 1_000
    # Bursts that overlap are one: a little longer than the ten minutes of each.
    assert np.mean(lengths) == pytest.approx(600, rel=0.15)


def test_the_two_directions_fail_apart_and_telemetry_can_be_lost_while_commands_go_through():
    both = make_network(40_000, {**BURSTS, "burst_loss_up": 1.0, "burst_loss_down": 1.0})
    up, down = lost_up(both, NOON_MS), lost_down(both, NOON_MS)
    assert (up & down).mean() == pytest.approx(1 / 36, abs=0.005)
    one_way = make_network(5_000, {**BURSTS, "burst_loss_up": 1.0})
    assert lost_up(one_way, NOON_MS).any()
    assert not lost_down(one_way, NOON_MS).any()


def test_a_reading_meets_the_same_fate_in_a_stretch_as_alone_and_each_is_counted_once():
    route = {**BURSTS, "burst_loss_up": 0.7, "duplicate": 0.3}
    network, again = (make_network(5_000, route) for _ in range(2))
    rows = np.arange(5_000, dtype=np.int32)
    at_ms = NOON_MS + rows.astype(np.int64) * 11
    i32, i8 = np.zeros(5_000, np.int32), np.zeros(5_000, np.int8)
    trip = network.listen(NOON_MS, NOON_MS + MINUTE_MS)
    piece = trip.carry(Readings(rows, at_ms, i32, i32, i8, i8))
    trip.book([piece])
    carried = again.carry_up(rows, at_ms, Kind.TELEMETRY)
    arrived = np.unique(np.concatenate([piece.arrived.rows, piece.later["rows"]]))
    assert np.array_equal(arrived, np.flatnonzero(carried.outcome == Outcome.DELIVERED))
    assert (carried.copy_ms[carried.outcome == Outcome.LOST] == 0).all()
    counts = network.take_counts(NEVER_MS)
    fates = counts.outcome != DUPLICATED
    assert counts.messages[fates].sum() == 5_000
    assert (
        counts.messages[counts.outcome == Outcome.LOST].sum() == (carried.outcome == Outcome.LOST).sum() > 0
    )
    assert counts.messages[counts.outcome == DUPLICATED].sum() == (carried.copy_ms > 0).sum() > 0


def test_more_burst_than_not_is_refused():
    with pytest.raises(ValueError, match="more burst than not"):
        make_network(1, {"burst_every_ms": MINUTE_MS, "burst_for_ms": HOUR_MS, "burst_loss_up": 1.0})
