"""What happens to a few messages on a bad evening; all times by hand.

The evening is that of 16 January 2024 (local time is UTC). Latency is half a second unless said otherwise.
"""

from datetime import UTC, date, datetime

import numpy as np

from protocol.messages import AckOutcome, Acks, AssetRegistration, Setpoints, Telemetry
from sim.gateway import Gateway
from sim.network import Network
from sim.play import Plant, Played, Readings, Sessions
from sim.scenario import ROUTE_NAMES, Clock, Comms, Outage, Route

DAY = date(2024, 1, 16)
CALM = Route(latency_median_ms=500)
HOUR_MS, MINUTE_MS = 3_600_000, 60_000


def ms(clock):
    """UTC milliseconds of a clock time such as 18:00:00.5."""
    moment = datetime.fromisoformat(f"2024-01-16T{clock}").replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def clocks(moments_ms):
    """Clock times of UTC milliseconds, to the tenth of a second."""
    return [
        datetime.fromtimestamp(moment / 1000, UTC).strftime("%H:%M:%S.%f")[:10]
        for moment in moments_ms.tolist()
    ]


class Fleet:
    """Cars that apply any newer set-point and report what they are told to report."""

    def __init__(self, count):
        self.applied = [0] * count

    def play(self, orders, told):
        outcome = np.zeros(len(orders.rows), np.int8)
        for place, (row, sequence) in enumerate(zip(orders.rows, orders.sequence, strict=True)):
            if sequence <= self.applied[row]:
                outcome[place] = AckOutcome.OLD_SEQUENCE
            else:
                self.applied[row] = sequence
        rows = np.array([row for row, _ in told], np.int32)
        event_ms = np.array([ms(clock) for _, clock in told], np.int64)
        i8, i32 = np.zeros(len(rows), np.int8), np.zeros(len(rows), np.int32)
        i64 = np.empty(0, np.int64)
        nobody = Sessions(np.empty(0, np.int32), i64, np.empty(0, np.int8), np.empty(0, np.int8), i64)
        return Played(Readings(rows, event_ms, i32, i32, i8, i8), nobody, outcome)


class Evening:
    """A gateway, a fleet and what the aggregator has heard."""

    def __init__(self, count=1, route=CALM, outages=()):
        row = np.arange(count, dtype=np.int64)
        i8, i16, i32, i64 = (np.zeros(count, kind) for kind in (np.int8, np.int16, np.int32, np.int64))
        plant = Plant(row + 1, row.astype(np.int32), i8 + 1, i8, (row % 5).astype(np.int8), i8, i8)
        network = Network(
            plant, Comms(routes={"evcp_wifi_cloud": route}, outages=tuple(outages)), Clock(start=DAY), 5,
            report_every_ms=np.full(count, MINUTE_MS), region_names=("_A",),
        )  # fmt: skip
        registration = AssetRegistration(
            i32, i64, i16, i16, i8, i8, i32, i32, i8, i16, i32, i8, i8, i8, ("_A",), ("_A/1",), ROUTE_NAMES
        )
        self.gateway = Gateway(network, registration)
        self.fleet = Fleet(count)
        self.heard = {Acks: [], Telemetry: []}
        self.orders = []

    def limit(self, clock, sequence, rows=(0,)):
        rows = np.array(rows, np.int32)
        valid_ms = np.full(len(rows), ms("18:00:00")), np.full(len(rows), ms("19:00:00"))
        zero_w, numbers = np.zeros(len(rows), np.int32), np.full(len(rows), sequence, np.int32)
        self.gateway.receive(Setpoints(rows, zero_w, *valid_ms, numbers, True, "I-1"), ms(clock))

    def until(self, clock, told=()):
        orders = self.gateway.orders_due(ms(clock))
        arrivals = clocks(orders.arrival_ms)
        self.orders += list(zip(orders.rows.tolist(), orders.sequence.tolist(), arrivals, strict=True))
        brought = self.fleet.play(orders, told)
        from_ms = min([*brought.readings.event_ms.tolist(), ms(clock) - 1])
        trip = self.gateway.listen(from_ms, ms(clock))
        if told:
            brought.heard.append(trip.carry(brought.readings))
        self.gateway.report(brought, trip, orders, ms(clock))
        for envelope in self.gateway.take_outbox():
            self.heard[type(envelope.message)].append(envelope.message)

    def acks(self):
        return [
            (row, sequence, AckOutcome(outcome).name, arrival)
            for message in self.heard[Acks]
            for row, sequence, outcome, arrival in zip(
                message.rows, message.sequence, message.outcome, clocks(message.arrival_ms), strict=True
            )
        ]

    def readings(self):
        return [
            (row, taken, arrived)
            for message in self.heard[Telemetry]
            for row, taken, arrived in zip(
                message.rows, clocks(message.event_ms), clocks(message.arrival_ms), strict=True
            )
        ]


def outage(kind, name, start, minutes, **more):
    return Outage(kind=kind, name=name, start=start, duration_ms=minutes * MINUTE_MS, **more)


def test_an_acknowledgement_is_lost_although_the_car_obeyed():
    deaf = outage("vendor_cloud", "evcp_wifi_cloud/0", "18:00", 1, messages="acks")
    evening = Evening(outages=[deaf])
    evening.limit("18:00:10", 1)
    evening.until("18:05:00")
    assert evening.orders == [(0, 1, "18:00:10.5")]
    assert evening.fleet.applied == [1]
    assert evening.acks() == []
    # The aggregator does not know, and asks again: the car says that it has done so already.
    evening.limit("18:05:00", 1)
    evening.until("18:06:00")
    assert evening.acks() == [(0, 1, "OLD_SEQUENCE", "18:05:01.0")]


def test_a_doubled_setpoint_is_applied_once_and_acknowledged_for_each_arrival():
    evening = Evening(route=CALM.model_copy(update={"duplicate": 1.0}))
    evening.limit("18:00:00", 1)
    evening.until("18:01:00")
    assert evening.orders == [(0, 1, "18:00:00.5"), (0, 1, "18:00:01.0")]
    assert evening.acks() == [
        (0, 1, "APPLIED", "18:00:01.0"),
        (0, 1, "OLD_SEQUENCE", "18:00:01.5"),
        (0, 1, "APPLIED", "18:00:01.5"),
        (0, 1, "OLD_SEQUENCE", "18:00:02.0"),
    ]


def test_a_later_setpoint_overtakes_one_held_up_on_the_way():
    slow = outage("isp", "0", "17:59", 1, drop=0.0, extra_latency_ms=20_000)
    evening = Evening(outages=[slow])
    evening.limit("17:59:50", 1)
    evening.limit("18:00:00", 2)
    evening.until("18:01:00")
    assert evening.orders == [(0, 2, "18:00:00.5"), (0, 1, "18:00:10.5")]
    assert evening.acks() == [(0, 2, "APPLIED", "18:00:01.0"), (0, 1, "OLD_SEQUENCE", "18:00:11.0")]


def test_a_broadband_outage_is_told_as_unreachable_and_the_neighbour_is_reached():
    evening = Evening(count=2, outages=[outage("isp", "1", "18:00", 30)])
    evening.limit("18:10:00", 1, rows=(0, 1))
    evening.until("18:11:00")
    assert evening.orders == [(0, 1, "18:10:00.5")]
    assert evening.acks() == [(1, 1, "UNREACHABLE", "18:10:00.5"), (0, 1, "APPLIED", "18:10:01.0")]


def test_a_cloud_outage_swallows_commands_and_holds_readings_back():
    gone = outage("vendor_cloud", "evcp_wifi_cloud/0", "18:00", 10)
    evening = Evening(route=CALM.model_copy(update={"backfill_depth": 3}), outages=[gone])
    minutes = [(0, f"{17 + (59 + k) // 60}:{(59 + k) % 60:02d}:30") for k in range(12)]
    evening.limit("18:05:00", 1)
    evening.until("18:09:59", minutes[:11])
    assert evening.readings() == [(0, "17:59:30.0", "17:59:30.5")]
    evening.until("18:11:00", minutes[11:])
    assert evening.orders == []
    assert evening.acks() == []
    assert evening.readings()[1:] == [
        (0, "18:07:30.0", "18:10:00.5"),
        (0, "18:08:30.0", "18:10:00.5"),
        (0, "18:09:30.0", "18:10:00.5"),
        (0, "18:10:30.0", "18:10:30.5"),
    ]


def test_after_a_cloud_outage_a_thousand_cars_come_back_within_the_rate():
    gone = outage("vendor_cloud", "evcp_wifi_cloud/0", "18:00", 60)
    route = CALM.model_copy(update={"backfill_depth": 5, "rate_per_s": 10.0, "reconnect_spread_ms": 30_000})
    evening = Evening(count=1000, route=route, outages=[gone])
    evening.until("18:59:30", [(row, "18:59:00") for row in range(1000)])
    evening.until("19:05:00")
    seconds = np.bincount([(ms(clock) - ms("19:00:00.5")) // 1000 for _, _, clock in evening.readings()])
    # The spread of 30 s would mean 33 a second: the cloud's rate makes it 100 s of ten.
    assert seconds.tolist() == [10] * 100
    # Half-way through, those who are not back yet can be told nothing.
    evening.limit("19:00:50", 1, rows=range(1000))
    evening.until("19:10:00")
    outcomes = [outcome for _, _, outcome, _ in evening.acks()]
    assert outcomes.count("UNREACHABLE") + outcomes.count("APPLIED") + outcomes.count("RATE_LIMITED") == 1000
    assert outcomes.count("RATE_LIMITED") == 900  # ten seconds' worth are taken at once
    back = sum(ms(clock) <= ms("19:00:50.5") for _, _, clock in evening.readings())
    assert back == 501


def test_a_token_runs_out_in_the_middle_of_an_event():
    route = CALM.model_copy(
        update={"token_life_ms": 18 * HOUR_MS + 30 * MINUTE_MS, "token_renewal_ms": 5_000}
    )
    evening = Evening(route=route)
    for sequence, clock in enumerate(("18:29:59", "18:30:10", "18:30:14", "18:30:15"), start=1):
        evening.limit(clock, sequence)
    evening.until("18:31:00")
    assert evening.orders == [(0, 1, "18:29:59.5"), (0, 4, "18:30:15.5")]
    assert evening.acks() == [
        (0, 1, "APPLIED", "18:30:00.0"),
        (0, 2, "UNAUTHORISED", "18:30:10.5"),
        (0, 3, "UNAUTHORISED", "18:30:14.5"),
        (0, 4, "APPLIED", "18:30:16.0"),
    ]
