"""The gateway: what goes down reaches devices once per copy, what comes up is told when it has arrived."""

from datetime import date

import numpy as np
import pytest

from protocol.codec import Reader, Writer
from protocol.messages import (
    AckOutcome,
    Acks,
    AssetRegistration,
    Polls,
    Remark,
    SessionStarts,
    Setpoints,
    Telemetry,
)
from protocol.party import NEVER_MS
from protocol.periods import local_clock_ms
from sim.flight import Flight
from sim.gateway import Gateway
from sim.network import DUPLICATED, Kind, Network, Outcome
from sim.play import Plant, Played, Readings, Sessions
from sim.scenario import ROUTE_NAMES, Clock, Comms, Outage, Route

DAY = date(2024, 1, 16)
SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
SIX = local_clock_ms(DAY, 18)
FOUR_G, WIFI, TELEMATICS, DCC = range(4)
TELEMETRY_COLUMNS = ("rows", "event_ms", "arrival_ms", "import_w", "register_wh", "status", "soc_pct")


def make_gateway(count=10, route=FOUR_G, routes=None, outages=(), *, workers=1, profile="perfect", **more):
    row = np.arange(count, dtype=np.int64)
    i8 = np.zeros(count, np.int8)
    plant = Plant(
        device=row * 5 + 2,
        home=row.astype(np.int32),
        route=np.broadcast_to(np.asarray(route, np.int8), count).copy(),
        vendor=i8,
        isp=(row % 5).astype(np.int8),
        mobile_operator=i8,
        region=i8,
    )
    named = {ROUTE_NAMES[place]: settings for place, settings in (routes or {}).items()}
    network = Network(
        plant, Comms(profile=profile, routes=named, outages=tuple(outages)), Clock(start=DAY), 11,
        report_every_ms=np.full(count, MINUTE_MS), region_names=("_A",), workers=workers,
    )  # fmt: skip
    return Gateway(network, registration(count), **more)


def registration(count):
    i8, i16, i32, i64 = (np.zeros(count, kind) for kind in (np.int8, np.int16, np.int32, np.int64))
    return AssetRegistration(
        i32, i64, i16, i16, i8, i8, i32, i32, i8, i16, i32, i8, i8, i8, ("_A",), ("_A/1",), ROUTE_NAMES
    )


def setpoints(rows, sequence=1, limit_w=0, instruction_id="I-1"):
    rows = np.asarray(rows, np.int32)
    count = len(rows)
    return Setpoints(
        rows=rows,
        limit_w=np.full(count, limit_w, np.int32),
        from_ms=np.full(count, SIX, np.int64),
        until_ms=np.full(count, SIX + HOUR_MS, np.int64),
        sequence=np.full(count, sequence, np.int32),
        response_dsr=True,
        instruction_id=instruction_id,
    )


def readings(rows, event_ms):
    rows = np.asarray(rows, np.int32)
    return Readings(
        rows=rows,
        event_ms=np.broadcast_to(np.asarray(event_ms, np.int64), len(rows)).copy(),
        import_w=rows * 10,
        register_wh=rows * 100 + 7,
        status=(rows % 6).astype(np.int8),
        soc_pct=(rows % 100).astype(np.int8),
    )


def no_sessions():
    i8, i64 = np.empty(0, np.int8), np.empty(0, np.int64)
    return Sessions(np.empty(0, np.int32), i64, i8, i8, i64)


def played(told=None, sessions=None, orders=None):
    """What a fleet brings back that obeys every order."""
    count = 0 if orders is None else len(orders.rows)
    return Played(
        readings([], 0) if told is None else told,
        no_sessions() if sessions is None else sessions,
        np.zeros(count, np.int8),
    )


def live(gateway, until_ms, told=None, sessions=None):
    """One stretch: devices obey what reached them and report. What the aggregator hears, by kind."""
    orders = gateway.orders_due(until_ms)
    report(gateway, played(told, sessions, orders), orders, until_ms)
    return by_kind([envelope.message for envelope in gateway.take_outbox()])


def report(gateway, brought, orders, until_ms):
    """Tell the gateway what a stretch brought, its readings in pieces of at most 50,000."""
    told = brought.readings
    from_ms = int(told.event_ms.min()) if len(told.rows) else until_ms - 1
    trip = gateway.listen(min(from_ms, until_ms - 1), until_ms)
    for begin in range(0, len(told.rows), 50_000):
        brought.heard.append(trip.carry(told.part(begin, begin + 50_000)))
    gateway.report(brought, trip, orders, until_ms)


def by_kind(messages):
    """What was heard by kind, the several messages of readings as one."""
    heard = {type(message): message for message in messages}
    told = [message for message in messages if isinstance(message, Telemetry)]
    if told:
        columns = [np.concatenate([getattr(part, name) for part in told]) for name in TELEMETRY_COLUMNS]
        heard[Telemetry] = Telemetry(*columns)
    return heard


def in_flight(flight, column="arrival_ms"):
    return np.concatenate([run[column] for run in (*flight.near, *flight.far)] or [np.empty(0, np.int64)])


# ------------------------------------------------------------------------------------------- being a party


def test_assets_are_told_once_at_the_start_to_those_who_need_them():
    gateway = make_gateway(register_at_ms=SIX)
    assert gateway.next_deadline_ms() == SIX
    gateway.on_deadline(SIX)
    assert [envelope.to for envelope in gateway.take_outbox()] == ["aggregator", "settlement"]
    assert gateway.next_deadline_ms() == NEVER_MS
    assert gateway.take_outbox() == []


def test_a_gateway_that_need_not_register_never_rings():
    assert make_gateway().next_deadline_ms() == NEVER_MS


def test_mail_that_is_not_for_devices_is_refused():
    with pytest.raises(TypeError, match="carries Setpoints and Polls to devices, not Remark"):
        make_gateway().receive(Remark(SIX, "x", "y", "z"), SIX)


# -------------------------------------------------------------------------------------------------- orders


def test_orders_are_handed_over_once_by_row_arrival_and_sequence():
    gateway = make_gateway(routes={FOUR_G: Route(latency_median_ms=100)})
    gateway.receive(setpoints([7, 3], sequence=2), SIX + 50)
    gateway.receive(setpoints([3, 7], sequence=1), SIX)
    assert len(gateway.orders_due(SIX + 100).rows) == 0
    orders = gateway.orders_due(SIX + 151)
    assert orders.rows.tolist() == [3, 3, 7, 7]
    assert orders.sequence.tolist() == [1, 2, 1, 2]
    assert (orders.arrival_ms - SIX).tolist() == [100, 150, 100, 150]
    assert (orders.limit_w.tolist(), orders.response_dsr.tolist()) == ([0] * 4, [1] * 4)
    assert len(gateway.orders_due(NEVER_MS).rows) == 0


def test_an_order_arriving_at_the_end_of_a_stretch_belongs_to_the_next():
    gateway = make_gateway(routes={FOUR_G: Route(latency_median_ms=100)})
    gateway.receive(setpoints([1]), SIX)
    assert len(gateway.orders_due(SIX + 100).rows) == 0
    assert len(gateway.orders_due(SIX + 101).rows) == 1


def test_every_setpoint_ends_as_order_refusal_or_loss():
    gateway = make_gateway(
        3000, routes={FOUR_G: Route(loss_down=0.2, duplicate=0.1, rate_per_s=200.0, rate_burst_ms=10_000)}
    )
    gateway.receive(setpoints(range(3000)), SIX)
    orders = gateway.orders_due(NEVER_MS)
    counts = gateway.network.take_counts(NEVER_MS)
    met = dict(zip(counts.outcome.tolist(), counts.messages.tolist(), strict=True))
    assert len(orders.rows) == met[Outcome.DELIVERED] + met[DUPLICATED]
    assert len(gateway.state.acks) == met[Outcome.RATE_LIMITED] == 1000
    assert met[Outcome.DELIVERED] + met[Outcome.LOST] + met[Outcome.RATE_LIMITED] == 3000


@pytest.mark.parametrize(
    ("route", "outages", "outcome"),
    [
        (Route(rate_per_s=0.001, rate_burst_ms=0), (), AckOutcome.RATE_LIMITED),
        (Route(commands_per_day=1), (), AckOutcome.RATE_LIMITED),
        (Route(token_life_ms=HOUR_MS, token_renewal_ms=10_000), (), AckOutcome.UNAUTHORISED),
        (
            Route(),
            (Outage(kind="region", name="_A", start="17:59", duration_ms=HOUR_MS),),
            AckOutcome.UNREACHABLE,
        ),
    ],
)
def test_a_cloud_tells_at_once_what_it_refuses(route, outages, outcome):
    gateway = make_gateway(
        1, routes={FOUR_G: route.model_copy(update={"latency_median_ms": 250})}, outages=outages
    )
    gateway.receive(setpoints([0], sequence=4), SIX)
    gateway.receive(setpoints([0], sequence=5), SIX + 100)
    acks = live(gateway, SIX + 351)[Acks]
    assert (acks.sequence[-1], acks.outcome[-1]) == (5, outcome)
    assert (acks.event_ms[-1], acks.arrival_ms[-1]) == (SIX + 100, SIX + 350)


def test_what_a_dead_cloud_or_bad_luck_swallows_is_heard_of_by_nobody():
    dead = Outage(kind="vendor_cloud", name="evcp_4g/0", start="18:00", duration_ms=HOUR_MS)
    for gateway in (make_gateway(outages=[dead]), make_gateway(routes={FOUR_G: Route(loss_down=1.0)})):
        gateway.receive(setpoints(range(10)), SIX)
        assert live(gateway, SIX + 2 * HOUR_MS) == {}


# --------------------------------------------------------------------------------------------------- polls


def test_polls_wake_devices_when_they_arrive_and_only_while_there_are_wakes():
    gateway = make_gateway(2, [TELEMATICS, FOUR_G], {TELEMATICS: Route(latency_median_ms=4_000)})
    for k in range(20):
        gateway.receive(Polls(np.array([1, 0], np.int32)), SIX + k)
    rows, at_ms = gateway.polls_due(SIX + 10)
    assert (rows.tolist(), at_ms.tolist()) == ([1] * 10, [SIX + k for k in range(10)])
    rows, at_ms = gateway.polls_due(NEVER_MS)
    assert rows.tolist() == [0] * 15 + [1] * 10
    assert at_ms[:15].tolist() == [SIX + 4_000 + k for k in range(15)]


# ------------------------------------------------------------------------------------------------ readings


def test_a_reading_is_told_as_it_was_taken_with_the_moment_of_its_arrival():
    gateway = make_gateway(routes={FOUR_G: Route(latency_median_ms=300)})
    heard = live(gateway, SIX + MINUTE_MS, readings([4, 2], [SIX + 5, SIX + 7]))[Telemetry]
    columns = [getattr(heard, name).tolist() for name in TELEMETRY_COLUMNS]
    assert columns == [
        [4, 2],
        [SIX + 5, SIX + 7],
        [SIX + 305, SIX + 307],
        [40, 20],
        [407, 207],
        [4, 2],
        [4, 2],
    ]


def test_a_reading_still_under_way_is_told_when_it_has_arrived():
    gateway = make_gateway(routes={FOUR_G: Route(latency_median_ms=300)})
    assert live(gateway, SIX + 300, readings([1], SIX)) == {}
    heard = live(gateway, SIX + 301, readings([2], SIX + 300))[Telemetry]
    assert (heard.rows.tolist(), heard.arrival_ms.tolist()) == ([1], [SIX + 300])
    assert live(gateway, SIX + HOUR_MS)[Telemetry].rows.tolist() == [2]


def test_every_reading_is_told_lost_or_under_way():
    count = 30_000
    gateway = make_gateway(count, np.arange(count) % 3, profile="realistic", workers=2)
    told = 0
    for minute in range(5):
        now_ms = SIX + minute * MINUTE_MS
        moments = now_ms + np.arange(count, dtype=np.int64) * MINUTE_MS // count
        told += len(live(gateway, now_ms + MINUTE_MS, readings(range(count), moments))[Telemetry].rows)
    counts = gateway.network.take_counts(NEVER_MS)
    arriving = np.isin(counts.outcome, [Outcome.DELIVERED, Outcome.BACKFILLED, DUPLICATED])
    assert told + len(gateway.state.telemetry) == counts.messages[arriving].sum()
    assert counts.messages[counts.outcome != DUPLICATED].sum() == 5 * count
    assert len(gateway.state.telemetry) > 100


def test_all_that_is_told_has_arrived_and_all_that_flies_has_not():
    count = 5000
    gateway = make_gateway(count, TELEMATICS, profile="realistic")
    for minute in range(5):
        until_ms = SIX + (minute + 1) * MINUTE_MS
        heard = live(gateway, until_ms, readings(range(count), until_ms - MINUTE_MS))[Telemetry]
        assert (heard.arrival_ms < until_ms).all()
        assert (in_flight(gateway.state.telemetry) >= until_ms).all()


def heard_in_stretches(length_ms, workers=1):
    """All that is heard of three minutes of a realistic evening, played in stretches of one length."""
    count = 40_000
    gateway = make_gateway(count, np.arange(count) % 3, profile="realistic", workers=workers)
    gateway.receive(setpoints(range(count)), SIX)
    moments = SIX + np.arange(count, dtype=np.int64) * 3 * MINUTE_MS // count
    heard = []
    for from_ms in range(SIX, SIX + 3 * MINUTE_MS, length_ms):
        now = np.flatnonzero((moments >= from_ms) & (moments < from_ms + length_ms))
        heard.append(live(gateway, from_ms + length_ms, readings(now, moments[now])))
    return heard, gateway


def joined(heard, kind, columns):
    parts = [part[kind] for part in heard if kind in part]
    return np.stack([np.concatenate([getattr(part, name) for part in parts]) for name in columns])


def test_what_is_heard_does_not_depend_on_the_length_of_a_stretch():
    long, short = heard_in_stretches(MINUTE_MS)[0], heard_in_stretches(7_500)[0]
    for kind, columns in (
        (Telemetry, TELEMETRY_COLUMNS),
        (Acks, ("rows", "sequence", "outcome", "event_ms", "arrival_ms")),
    ):
        once, often = (joined(heard, kind, columns) for heard in (long, short))
        assert once.shape == often.shape
        assert np.array_equal(once[:, np.lexsort(once)], often[:, np.lexsort(often)])


def test_more_threads_change_no_byte_of_the_mail():
    alone, gateway = heard_in_stretches(MINUTE_MS)
    together, other = heard_in_stretches(MINUTE_MS, workers=3)
    for left, right in zip(alone, together, strict=True):
        for name in TELEMETRY_COLUMNS:
            assert np.array_equal(getattr(left[Telemetry], name), getattr(right[Telemetry], name))
    assert np.array_equal(in_flight(gateway.state.telemetry), in_flight(other.state.telemetry))


def test_a_gateway_goes_on_from_a_written_state_as_if_nothing_had_happened():
    _, gateway = heard_in_stretches(MINUTE_MS)
    other = make_gateway(40_000, np.arange(40_000) % 3, profile="realistic")
    writer = Writer()
    tree = writer.encode(gateway.state)
    other.state = Reader([array.copy() for array in writer.arrays]).decode(tree)
    left, right = (live(party, SIX + HOUR_MS) for party in (gateway, other))
    for name in TELEMETRY_COLUMNS:
        assert np.array_equal(getattr(left[Telemetry], name), getattr(right[Telemetry], name))


def test_sessions_and_acknowledgements_are_told_by_arrival():
    gateway = make_gateway(1000, routes={FOUR_G: Route(latency_median_ms=2_000, latency_log_sd=1.0)})
    gateway.receive(setpoints(range(1000)), SIX)
    rows = np.arange(1000, dtype=np.int32)
    pct = (rows % 100).astype(np.int8)
    sessions = Sessions(rows, np.full(1000, SIX), pct, pct, np.full(1000, SIX + HOUR_MS))
    heard = live(gateway, SIX + 10 * MINUTE_MS, sessions=sessions)
    for kind in (SessionStarts, Acks):
        message = heard[kind]
        assert len(message.rows) == 1000
        assert (np.diff(message.arrival_ms) >= 0).all()
    starts = heard[SessionStarts]
    assert np.array_equal(starts.soc_pct, pct[starts.rows])
    assert (starts.ready_by_ms == SIX + HOUR_MS).all()


def test_a_device_tells_the_time_of_its_own_clock_and_the_cloud_its_own():
    gateway = make_gateway(2, [FOUR_G, WIFI], {FOUR_G: Route(clock_skew_ms=5 * MINUTE_MS)})
    skew_ms = int(gateway.network.by_own_clock(np.zeros(1, np.int32), np.zeros(1, np.int64))[0])
    assert skew_ms != 0
    gateway.receive(setpoints([0, 1]), SIX)
    heard = live(gateway, SIX + MINUTE_MS, readings([0, 1], SIX + 10))
    assert (heard[Telemetry].event_ms - SIX).tolist() == [10 + skew_ms, 10]
    assert (heard[Telemetry].arrival_ms - SIX).tolist() == [10, 10]
    assert (heard[Acks].event_ms - SIX).tolist() == [skew_ms, 0]


def test_a_witness_is_shown_each_setpoint_and_each_acknowledgement():
    class Witness:
        def __init__(self):
            self.seen = []

        def setpoints_sent(self, message, sent_ms, carried):
            self.seen.append(("setpoints", sent_ms, carried.outcome.tolist()))

        def acks_sent(self, rows, sent_ms, sequence, carried):
            self.seen.append(
                ("acks", rows.tolist(), sent_ms.tolist(), sequence.tolist(), carried.outcome.tolist())
            )

    witness = Witness()
    gateway = make_gateway(2, witness=witness)
    gateway.receive(setpoints([1], sequence=9), SIX)
    live(gateway, SIX + 1)
    assert witness.seen == [("setpoints", SIX, [0]), ("acks", [1], [SIX], [9], [0])]


# -------------------------------------------------------------------------------------------------- flight


def test_what_is_on_its_way_arrives_once_by_arrival_and_ties_in_the_order_of_sending():
    flight, hour = Flight(), 3_600_000
    sent = [(number, (number * 7919) % 97 * hour // 24) for number in range(5000)]
    heard = []
    for k in range(100):
        part = sent[50 * k : 50 * k + 50]
        late_ms = [max(arrival_ms, k * 60_000) for _, arrival_ms in part]
        flight.add({"rows": np.array([number for number, _ in part]), "arrival_ms": np.array(late_ms)})
        due = flight.take_due((k + 1) * 60_000)
        if due is not None:
            assert (due["arrival_ms"] < (k + 1) * 60_000).all()
            heard += list(zip(due["arrival_ms"].tolist(), due["rows"].tolist(), strict=True))
        assert len(heard) + len(flight) == 50 * (k + 1)
    rest = flight.take_due(5 * hour)
    heard += list(zip(rest["arrival_ms"].tolist(), rest["rows"].tolist(), strict=True))
    assert heard == sorted(heard)
    assert len(heard) == 5000
    assert flight.take_due(10 * hour) is None


def test_kinds_of_message_that_the_gateway_sends_are_all_there_are():
    assert [kind.name for kind in Kind] == ["SETPOINTS", "TELEMETRY", "ACKS", "SESSIONS", "POLLS"]
