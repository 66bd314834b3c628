"""What becomes of homes and devices: draws, who may be reached afterwards, and what their meters tell."""

from datetime import date

import numpy as np
import pytest

from protocol.codec import Reader, Writer
from protocol.messages import (
    NO_LIMIT_W,
    AckOutcome,
    Acks,
    AssetRegistration,
    Change,
    RegistryChange,
    Setpoints,
)
from protocol.party import NEVER_MS
from protocol.periods import DAY_MS, day_end_ms, day_start_ms, local_clock_ms
from sim.churn import WORDS, make_churn
from sim.gateway import Gateway
from sim.network import Network
from sim.play import Plant, Played, Readings, Sessions
from sim.scenario import ROUTE_NAMES, Clock, Comms, Route
from sim.scenario_file import parse_scenario
from sim.vendor_clouds import make_vendor_clouds

DAY = date(2024, 1, 16)
MIDNIGHT_MS = day_start_ms(DAY)
SIX = local_clock_ms(DAY, 18)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
TEXT = """
flextwin: 1
name: churn
clock: {{start: 2024-01-16, days: {days}}}
churn: {churn}
"""


def scenario(churn, days=1):
    return parse_scenario(TEXT.format(churn=churn, days=days), "churn.yaml")


def plant(count, homes=None, vendors=2):
    row = np.arange(count, dtype=np.int64)
    i8 = np.zeros(count, np.int8)
    home = row if homes is None else row % homes
    return Plant(row * 3 + 7, home.astype(np.int32), i8 + 1, (row % vendors).astype(np.int8), i8, i8, i8)


def make(churn, count=100, homes=None, days=1, shown_wh=0):
    """The churn of a section; all registers show `shown_wh` plus ten times their row."""
    told = scenario(churn, days)
    lived = tuple(date.fromordinal(DAY.toordinal() + k) for k in range(days))
    return make_churn(
        told, plant(count, homes), lambda rows: rows * 10 + np.int32(shown_wh),
        np.full(count, MINUTE_MS, np.int64), lived,
    )  # fmt: skip


def live(churn, until_ms):
    """Let everything happen before a moment; gives what was told, with when and to whom."""
    told = []
    while churn.next_ms() < until_ms:
        now_ms = churn.next_ms()
        told += [(now_ms, envelope.to, envelope.message) for envelope in churn.happen(now_ms)]
    return told


def happened(churn, kind=None):
    ledger = churn.state.ledger
    return [
        (row, at_ms)
        for row, at_ms, what in zip(
            ledger["rows"].tolist(), ledger["at_ms"].tolist(), ledger["kind"].tolist(), strict=True
        )
        if kind is None or what == kind
    ]


# ------------------------------------------------------------------------------------------ what is drawn


def test_without_rates_and_events_there_is_no_churn():
    assert make("{}") is None


@pytest.mark.parametrize(
    ("section", "kind", "homes"),
    [
        ("moves", Change.MOVED, 1_000),
        ("withdrawals", Change.WITHDRAWN, 1_000),
        ("deallocations", Change.DEALLOCATED, 1_000),
        ("swaps", Change.SWAPPED, 2_000),
    ],
)
def test_as_much_happens_as_the_rate_says_on_whole_minutes_of_each_day(section, kind, homes):
    """Of homes, or of devices: two to a home here. Within four standard deviations of a Poisson count."""
    churn = make(f"{{{section}: {{per_year: 36.525}}}}", 2_000, 1_000, days=3)
    live(churn, MIDNIGHT_MS + 3 * DAY_MS)
    found = happened(churn, kind)
    share = 1 - np.exp(-0.1)
    once = len(found) if homes == 2_000 else len(found) / 2
    # Whoever is gone cannot go again, but a device may be swapped each day.
    expected = homes * (3 * share if kind is Change.SWAPPED else 1 - (1 - share) ** 3)
    assert abs(once - expected) < 4 * expected**0.5
    assert all(at_ms % MINUTE_MS == 0 and at_ms > MIDNIGHT_MS for _, at_ms in found)
    assert {(at_ms - MIDNIGHT_MS) // DAY_MS for _, at_ms in found} == {0, 1, 2}


def test_a_home_moves_and_withdraws_with_all_its_devices():
    churn = make("{events: [{at: '18:00', kind: consent_withdrawn, share: 30 %}]}", 300, 100)
    live(churn, SIX + 1)
    gone = np.array([row for row, _ in happened(churn)])
    assert 45 < len(gone) < 135
    counts = np.bincount(gone % 100, minlength=100)
    assert set(counts.tolist()) == {0, 3}


def test_one_cause_moves_no_other():
    alone = make("{swaps: {per_year: 100}}", 500, days=2)
    together = make(
        "{swaps: {per_year: 100}, firmware: {per_year: 300}, deallocations: {per_year: 50}}", 500, days=2
    )
    for churn in (alone, together):
        live(churn, MIDNIGHT_MS + 2 * DAY_MS)
    assert happened(alone, Change.SWAPPED) == happened(together, Change.SWAPPED)
    assert len(happened(together)) > len(happened(alone))


def test_what_is_told_comes_later_than_it_happens_or_never():
    churn = make("{moves: {per_year: 150, told_share: 40 %, told_after: 3 h, enrol_again_share: 0 %}}", 1_000)
    told = live(churn, MIDNIGHT_MS + 2 * DAY_MS)
    heard = {
        (row, at_ms): now_ms
        for now_ms, to, message in told
        for row, at_ms in zip(message.rows.tolist(), message.effective_ms.tolist(), strict=True)
        if to == "aggregator"
    }
    assert 0.3 < len(heard) / len(happened(churn)) < 0.5
    assert {now_ms - at_ms for (_, at_ms), now_ms in heard.items()} == {3 * HOUR_MS}
    assert heard.keys() < set(happened(churn))


def test_a_new_occupant_may_enrol_again_and_says_so():
    churn = make(
        "{moves: {per_year: 200, told_share: 0 %, enrol_again_share: 50 %, enrol_again_after: 2 h}}", 400
    )
    told = live(churn, MIDNIGHT_MS + 3 * DAY_MS)
    moved, enrolled = happened(churn, Change.MOVED), happened(churn, Change.ENROLLED)
    assert 0.35 < len(enrolled) / len(moved) < 0.65
    assert all(dict(moved)[row] < at_ms for row, at_ms in enrolled)
    assert {message.kind for _, _, message in told} == {Change.ENROLLED}
    back = [row for row, _ in enrolled]
    gone = np.setdiff1d([row for row, _ in moved], back)
    assert churn.speaking(np.array(back, np.int32)).size == len(back)
    assert churn.speaking(gone.astype(np.int32)).size == 0


def test_a_deallocation_is_told_to_settlement_and_keeps_nobody_from_speaking():
    churn = make("{events: [{at: '18:00', kind: msid_deallocated, share: 50 %, told_after: 1 h}]}")
    ((now_ms, to, message),) = live(churn, SIX + 2 * HOUR_MS)
    assert (now_ms, to, message.kind) == (SIX + HOUR_MS, "settlement", Change.DEALLOCATED)
    assert "supplier" in message.reason
    assert churn.speaking(message.rows).size == len(message.rows)


# ------------------------------------------------------------------------------------------- firmware


def test_firmware_reaches_a_share_of_one_vendor_at_night_and_takes_minutes():
    churn = make(
        "{firmware: {offline_for: 20 min, over: 1 h},"
        " events: [{at: '02:00', kind: firmware, share: 60 %, vendor: evcp_wifi_cloud/0}]}",
        400,
    )
    two_ms = local_clock_ms(DAY, 2)
    live(churn, two_ms + 30 * MINUTE_MS)
    halfway = int(churn.state.updating.sum())
    assert 0 < halfway < 200
    live(churn, MIDNIGHT_MS + DAY_MS)
    rows = np.array([row for row, _ in happened(churn, Change.FIRMWARE)])
    assert (rows % 2 == 0).all()
    assert 0.45 < len(rows) / 200 < 0.75
    moments = [at_ms for _, at_ms in happened(churn)]
    assert two_ms <= min(moments) < max(moments) < two_ms + HOUR_MS
    assert not churn.state.updating.any()


def test_after_new_firmware_some_report_less_often_and_ignore_pauses():
    churn = make(
        "{firmware: {over: 1 min, report_every: 5 min, ignores_pause_share: 100 %, told: true},"
        " events: [{at: '02:00', kind: firmware, share: 100 %}]}",
        4,
    )
    told = live(churn, local_clock_ms(DAY, 3))
    assert {message.report_every_s[0] for _, _, message in told} == {300}
    minutes = SIX + MINUTE_MS * np.arange(20, dtype=np.int64) + 13_000
    assert len(churn.told(readings([0] * 20, minutes)).rows) == 4
    orders = columns([0, 1], [0, 1400])
    assert churn.reaching(orders)["limit_w"].tolist() == [NO_LIMIT_W, 1400]


# -------------------------------------------------------------------------------------- through the gateway


def readings(rows, event_ms, register_wh=500):
    rows = np.asarray(rows, np.int32)
    i8, i32 = np.zeros(len(rows), np.int8), np.zeros(len(rows), np.int32)
    event = np.broadcast_to(np.asarray(event_ms, np.int64), len(rows)).copy()
    return Readings(rows, event, i32, i32 + np.int32(register_wh), i8, i8)


def columns(rows, limit_w):
    return {"rows": np.array(rows, np.int32), "limit_w": np.array(limit_w, np.int32)}


def gateway(churn_text, count=10, vendor=None):
    churn = make(churn_text, count)
    wires = plant(count)
    network = Network(
        wires, Comms(routes={"evcp_wifi_cloud": Route(latency_median_ms=30_000)}), Clock(start=DAY), 5,
        report_every_ms=np.full(count, MINUTE_MS), region_names=("_A",),
    )  # fmt: skip
    i8, i16, i32, i64 = (np.zeros(count, kind) for kind in (np.int8, np.int16, np.int32, np.int64))
    registration = AssetRegistration(
        i32, i64, i16, i16, i8, i8, i32, i32, i8, i16, i32, i8, i8, i8, ("_A",), ("_A/1",), ROUTE_NAMES
    )
    vendors = make_vendor_clouds({} if vendor is None else {"evcp_wifi_cloud": [vendor]}, wires, 5)
    return Gateway(network, registration, churn=churn, vendors=vendors), churn


def tell(door, rows, now_ms, sequence=1):
    rows = np.array(rows, np.int32)
    full = [np.full(len(rows), value, np.int64) for value in (now_ms, now_ms + HOUR_MS)]
    zero = np.zeros(len(rows), np.int32)
    door.receive(Setpoints(rows, zero, *full, zero + np.int32(sequence), True, "I"), now_ms)


def report(door, until_ms):
    """A stretch without readings; what the aggregator hears in it."""
    none, i8 = np.empty(0, np.int32), np.empty(0, np.int8)
    i64 = np.empty(0, np.int64)
    orders = door.orders_due(until_ms)
    played = Played(readings([], 0), Sessions(none, i64, i8, i8, i64), np.zeros(len(orders.rows), np.int8))
    door.report(played, None, orders, until_ms)
    return orders, [envelope.message for envelope in door.take_outbox()]


ALL_WITHDRAW = "{events: [{at: '18:00', kind: consent_withdrawn, share: 100 %, told_after: 10 min}]}"
ALL_MOVE = (
    "{moves: {told_share: 0 %, enrol_again_share: 0 %}, events: [{at: '18:00', kind: moved, share: 100 %}]}"
)


def begin(door, until_ms):
    while door.next_deadline_ms() <= until_ms:
        door.on_deadline(door.next_deadline_ms())
    return [envelope.message for envelope in door.take_outbox()]


def test_an_order_under_way_when_consent_ends_reaches_nobody():
    for text in (ALL_WITHDRAW, ALL_MOVE):
        door, _ = gateway(text)
        begin(door, SIX - MINUTE_MS)
        tell(door, range(10), SIX - 10_000)
        begin(door, SIX)
        orders, heard = report(door, SIX + MINUTE_MS)
        assert len(orders.rows) == 0
        assert heard == []


def test_after_a_withdrawal_the_vendor_refuses_and_after_a_move_nobody_answers():
    for text, refused in ((ALL_WITHDRAW, 10), (ALL_MOVE, 0)):
        door, churn = gateway(text)
        begin(door, SIX)
        tell(door, range(10), SIX + 5_000)
        orders, heard = report(door, SIX + 2 * MINUTE_MS)
        assert len(orders.rows) == 0
        said = [message for message in heard if isinstance(message, Acks)]
        assert sum(len(message.rows) for message in said) == refused
        assert all((message.outcome == AckOutcome.NO_CONSENT).all() for message in said)
        assert churn.state.ledger["setpoints_unheard"].sum() == 10
        assert churn.state.ledger["setpoints_heard"].sum() == 0


def test_a_cloud_that_answers_for_its_devices_refuses_all_the_same():
    door, _ = gateway(ALL_WITHDRAW, vendor="cloud_charger")
    begin(door, SIX - 5 * MINUTE_MS)
    tell(door, range(10), SIX - 5 * MINUTE_MS)
    _, before = report(door, SIX)
    begin(door, SIX)
    tell(door, range(10), SIX + 5_000, sequence=2)
    _, after = report(door, SIX + 2 * MINUTE_MS)
    outcomes = [
        {outcome for message in heard if isinstance(message, Acks) for outcome in message.outcome.tolist()}
        for heard in (before, after)
    ]
    assert outcomes == [{AckOutcome.APPLIED}, {AckOutcome.NO_CONSENT}]


def test_set_points_after_it_was_heard_are_counted_as_such():
    door, churn = gateway(ALL_WITHDRAW)
    told = begin(door, SIX + 10 * MINUTE_MS)
    assert [message.kind for message in told if isinstance(message, RegistryChange)] == [Change.WITHDRAWN]
    tell(door, [3], SIX + 10 * MINUTE_MS)
    tell(door, [3, 4], SIX + 10 * MINUTE_MS + 1)
    assert churn.state.ledger["setpoints_unheard"].sum() == 1
    assert churn.state.ledger["setpoints_heard"].sum() == 2


def test_who_does_not_consent_is_not_heard_of():
    door, churn = gateway(ALL_WITHDRAW)
    begin(door, SIX - MINUTE_MS)
    assert len(churn.told(readings(range(10), SIX - 1)).rows) == 10
    begin(door, SIX)
    assert len(churn.told(readings(range(10), SIX)).rows) == 0


def test_a_swapped_meter_begins_at_nothing_and_its_half_hour_is_missing():
    churn = make("{events: [{at: '18:10', kind: device_swapped, share: 100 %}]}", 3, shown_wh=1_000)
    swapped_ms = SIX + 10 * MINUTE_MS
    live(churn, swapped_ms + 1)
    told = churn.told(readings([0, 1, 2], swapped_ms, [1_000, 1_017, 1_022]))
    assert told.register_wh.tolist() == [0, 7, 2]
    assert churn.unmetered(SIX, SIX + 30 * MINUTE_MS).tolist() == [0, 1, 2]
    assert churn.unmetered(SIX + 30 * MINUTE_MS, SIX + HOUR_MS).tolist() == []


def test_a_meter_fitted_between_two_half_hours_leaves_none_out():
    churn = make("{events: [{at: '18:00', kind: device_swapped, share: 100 %}]}", 3)
    live(churn, SIX + 1)
    assert churn.unmetered(SIX - 30 * MINUTE_MS, SIX).tolist() == []
    assert churn.unmetered(SIX, SIX + 30 * MINUTE_MS).tolist() == []


def test_what_has_become_of_whom_survives_being_written_down():
    text = "{moves: {per_year: 100}, swaps: {per_year: 100}, firmware: {per_year: 300}}"
    whole, first, second = (make(text, 200, days=2) for _ in range(3))
    live(whole, MIDNIGHT_MS + 2 * DAY_MS)
    live(first, MIDNIGHT_MS + DAY_MS + 5 * HOUR_MS)
    writer = Writer()
    tree = writer.encode(first.state)
    second.state = Reader(writer.arrays).decode(tree)
    live(second, MIDNIGHT_MS + 2 * DAY_MS)
    assert happened(second) == happened(whole)
    assert second.next_ms() == whole.next_ms()
    some = readings(range(200), SIX, 10_000)
    assert second.told(some).register_wh.tolist() == whole.told(some).register_wh.tolist()


def test_every_change_has_a_word_and_every_one_that_a_day_can_bring_is_within_it():
    assert set(WORDS) == set(Change)
    churn = make("{withdrawals: {per_year: 400}}", 500)
    live(churn, NEVER_MS)
    assert all(MIDNIGHT_MS < at_ms < day_end_ms(DAY) for _, at_ms in happened(churn))
