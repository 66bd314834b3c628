"""Vendors' clouds: what is told comes back up to its last digit, and what is missing stays missing."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.normaliser import Missing, normalise
from protocol.codec import Reader, Writer
from protocol.messages import NO_LIMIT_W, UNKNOWN, AckOutcome, Acks, Setpoints, Telemetry
from protocol.periods import HOUR_MS, MINUTE_MS, local_clock_ms
from protocol.vendor_messages import VendorReadings
from protocol.vendors import MISSING, VendorClock
from sim.chance import Purpose, stream, units
from sim.gateway import Gateway
from sim.head_ends import head_ends, profile_names
from sim.network import Network
from sim.play import Plant, Played, Readings, Sessions
from sim.scenario import Clock, Comms, Outage, Route
from sim.vendor_clouds import NOT_KEPT, OVER_BUDGET, THINNED, TOLD, as_told, make_vendor_clouds

DAY = date(2024, 1, 16)
SIX = local_clock_ms(DAY, 18)
FOUR_G, WIFI = 0, 1
SECOND_MS = 1_000

figures = st.integers(-22_000, 22_000) | st.just(MISSING)
registers = st.integers(0, 100_000_000) | st.just(MISSING)
october_ms = local_clock_ms(date(2024, 10, 27), 0)
clock_changes = st.integers(october_ms, october_ms + 4 * HOUR_MS)
summers_and_winters = clock_changes | st.integers(
    local_clock_ms(date(2020, 1, 1), 0), local_clock_ms(date(2030, 1, 1), 0)
)
readings = st.lists(
    st.tuples(
        summers_and_winters, st.integers(0, 7_200_000), figures, registers, st.integers(0, 5),
        st.integers(-1, 100),
    ),
    min_size=1, max_size=30,
)  # fmt: skip


def told_of(columns):
    event_ms, delay_ms, import_w, register_wh, status, soc_pct = zip(*columns, strict=True)
    event_ms = np.array(event_ms, np.int64)
    return Telemetry(
        np.arange(len(event_ms), dtype=np.int32), event_ms, event_ms + np.array(delay_ms, np.int64),
        np.array(import_w, np.int32), np.array(register_wh, np.int32), np.array(status, np.int8),
        np.array(soc_pct, np.int8),
    )  # fmt: skip


def close(read, written, resolution):
    """Equal up to half the last digit told and the rounding to whole numbers; missing where it was."""
    there = written != MISSING
    apart = np.abs(read[there].astype(np.int64) - written[there])
    return (apart <= resolution / 2 + 0.5 * (resolution > 1)).all() and (read[~there] == MISSING).all()


# ---------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("name", profile_names())
@settings(max_examples=60, deadline=None)
@given(columns=readings)
def test_what_a_vendor_tells_comes_back_as_it_was_up_to_its_last_digit(name, columns):
    vendor = head_ends()[name].integration
    written = told_of(columns)
    read = normalise(as_told(vendor, written), vendor)
    telemetry, missing = read.telemetry, read.missing
    assert np.array_equal(telemetry.rows, written.rows)
    assert np.array_equal(telemetry.arrival_ms, written.arrival_ms)
    off_ms = telemetry.event_ms - written.event_ms
    doubtful = (missing & Missing.TIME_IN_DOUBT) > 0
    assert ((-vendor.time_resolution_ms < off_ms) & (off_ms <= 0))[~doubtful].all()
    assert not doubtful.any() or vendor.clock is VendorClock.LOCAL_S
    assert np.isin((off_ms[doubtful] + vendor.time_resolution_ms) // HOUR_MS, (0, 1)).all()
    assert not (missing & Missing.NO_SUCH_TIME).any()
    assert close(telemetry.import_w, written.import_w, vendor.power_resolution_w)
    assert np.array_equal((missing & Missing.POWER) > 0, written.import_w == MISSING)
    if vendor.energy_unit is not None:
        assert close(telemetry.register_wh, written.register_wh, vendor.energy_resolution_wh)
    if vendor.tells_status:
        assert np.array_equal(telemetry.status, written.status)
    if vendor.tells_soc:
        assert np.array_equal(telemetry.soc_pct, written.soc_pct)


@pytest.mark.parametrize("name", profile_names())
def test_what_a_vendor_does_not_tell_stays_missing_and_is_flagged(name):
    vendor = head_ends()[name].integration
    read = normalise(as_told(vendor, told_of([(SIX, 0, 7_000, 12_345, 2, 50)])), vendor)
    telemetry, missing = read.telemetry, Missing(int(read.missing[0]))
    assert (
        (telemetry.register_wh[0] == MISSING) == (vendor.energy_unit is None) == (Missing.REGISTER in missing)
    )
    assert (telemetry.status[0] == UNKNOWN) == (not vendor.tells_status) == (Missing.STATUS in missing)
    assert (telemetry.soc_pct[0] == UNKNOWN) == (not vendor.tells_soc) == (Missing.SOC in missing)
    assert Missing.POWER not in missing


def test_a_worked_report_in_amps_by_the_clock_on_the_wall():
    # 18:00:30 BST is 17:00:30 UTC; 7,360 W at 230 V are 32.0 A.
    vendor = head_ends()["ampere_charger"].integration
    event_ms = local_clock_ms(date(2024, 7, 1), 18) + 30_500
    told = as_told(vendor, told_of([(event_ms, 0, 7_360, 1_549, 2, -1)]))
    assert told.power[0] == pytest.approx(32.0)
    assert told.energy[0] == pytest.approx(1.5)
    assert told.stamp[0] * 1_000 == event_ms - 500 + HOUR_MS


def test_the_hour_that_october_shows_twice_is_read_as_the_later_one_and_said_to_be_in_doubt():
    vendor = head_ends()["ampere_charger"].integration
    first_ms = local_clock_ms(date(2024, 10, 27), 1, 30, fold=0)
    prompt, late = ((first_ms, delay_ms, 7_000, 100, 2, -1) for delay_ms in (5_000, 2 * HOUR_MS))
    read = normalise(as_told(vendor, told_of([prompt, late])), vendor)
    assert (read.telemetry.event_ms - first_ms).tolist() == [0, HOUR_MS]
    assert [bool(each & Missing.TIME_IN_DOUBT) for each in read.missing.tolist()] == [False, True]


def test_a_worked_report_of_generation_is_positive_and_stamped_at_the_end():
    vendor = head_ends()["microinverter_cloud"].integration
    told = as_told(vendor, told_of([(SIX, 0, -2_150, MISSING, 2, -1)]))
    assert told.power[0] == 2_150
    assert np.isnan(told.energy[0])
    assert told.stamp[0] == SIX / 1_000 + 300


# ------------------------------------------------------------------------------------------------ readings


def make_plant(count, route=FOUR_G, vendor=0):
    row = np.arange(count, dtype=np.int64)
    zero = np.zeros(count, np.int8)
    return Plant(
        row * 5 + 2, row.astype(np.int32), np.broadcast_to(np.asarray(route, np.int8), count).copy(),
        np.broadcast_to(np.asarray(vendor, np.int8), count).copy(), zero, zero, zero,
    )  # fmt: skip


def make_clouds(name, count=1, **changed):
    clouds = make_vendor_clouds({"evcp_4g": [name]}, make_plant(count), seed=3)
    for key, value in changed.items():
        getattr(clouds, f"_{key}")[:] = value
    return clouds


def at_moments(event_ms, delay_ms=0):
    return replace(
        told_of([(at_ms, delay_ms, 7_000, 100, 2, 50) for at_ms in event_ms]),
        rows=np.zeros(len(event_ms), np.int32),
    )


def test_a_cloud_tells_the_first_reading_of_each_interval_once_it_is_so_old():
    clouds = make_clouds("quarter_hour_inverter")
    told = at_moments([SIX + minute * MINUTE_MS for minute in range(30)])
    assert clouds.take(told, SIX) is None
    assert clouds.tell(SIX + 15 * MINUTE_MS) == []
    (report,) = clouds.tell(SIX + 15 * MINUTE_MS + 1)
    assert report.vendor == "quarter_hour_inverter"
    assert report.arrival_ms.tolist() == [SIX + 15 * MINUTE_MS]
    (report,) = clouds.tell(SIX + HOUR_MS)
    assert report.arrival_ms.tolist() == [SIX + 30 * MINUTE_MS]
    assert clouds.tell(SIX + 5 * HOUR_MS) == []
    assert clouds.state.readings[0, [TOLD, THINNED]].tolist() == [2, 28]


@pytest.mark.parametrize(("name", "told"), [("ocpp_charger", 10), ("cloud_charger", 0)])
def test_only_a_cloud_that_back_fills_tells_what_came_an_hour_late(name, told):
    clouds = make_clouds(name)
    clouds.take(at_moments([SIX + minute * MINUTE_MS for minute in range(10)], delay_ms=HOUR_MS), SIX)
    assert clouds.state.readings[0, [TOLD, NOT_KEPT]].tolist() == [told, 10 - told]
    heard = clouds.tell(SIX + 3 * HOUR_MS)
    assert sum(len(report.rows) for report in heard) == told


def test_beyond_the_requests_of_a_day_nothing_is_told_until_the_next():
    clouds = make_clouds("ocpp_charger", requests=3)
    clouds.take(at_moments([SIX + minute * MINUTE_MS for minute in range(10)]), SIX)
    assert clouds.state.readings[0, [TOLD, OVER_BUDGET]].tolist() == [3, 7]
    clouds.take(at_moments([SIX + 24 * HOUR_MS]), SIX + 24 * HOUR_MS)
    assert clouds.state.readings[0, TOLD] == 4


def test_plain_assets_pass_untouched_and_a_batch_without_vendors_is_the_same_object():
    clouds = make_vendor_clouds({"evcp_wifi_cloud": ["cloud_charger"]}, make_plant(4, [0, 1, 0, 1]), seed=3)
    told = told_of([(SIX, 0, 7_000, 100, 2, 50)] * 4)
    plain = clouds.take(told, SIX)
    assert plain.rows.tolist() == [0, 2]
    assert clouds.take(plain, SIX) is plain
    (report,) = clouds.tell(SIX + HOUR_MS)
    assert report.rows.tolist() == [1, 3]


def test_a_routes_clouds_take_its_profiles_in_turn_and_devices_draw_where_clouds_are_too_few():
    plant = make_plant(6, WIFI, [0, 1, 2, 0, 1, 2])
    two = {"evcp_wifi_cloud": ["cloud_charger", "ampere_charger"]}
    clouds = make_vendor_clouds(two, plant, seed=3)
    names = [clouds.profiles[place].name for place in clouds.place]
    assert names == ["cloud_charger", "ampere_charger", "cloud_charger"] * 2
    one_cloud = make_vendor_clouds(two, make_plant(1_000, WIFI), seed=3)
    assert 400 < int((one_cloud.place == 0).sum()) < 600
    again = make_vendor_clouds(two, make_plant(1_000, WIFI), seed=3)
    assert np.array_equal(one_cloud.place, again.place)
    assert make_vendor_clouds({}, plant, seed=3) is None


# ----------------------------------------------------------------------------------------------- set-points


def make_gateway(name=None, count=4, routes=None, outages=()):
    plant = make_plant(count)
    network = Network(
        plant, Comms(routes=routes or {}, outages=tuple(outages)), Clock(start=DAY), 11,
        report_every_ms=np.full(count, MINUTE_MS), region_names=("_A",),
    )  # fmt: skip
    vendors = make_vendor_clouds({} if name is None else {"evcp_4g": [name]}, plant, seed=3)
    return Gateway(network, None, vendors=vendors)


def setpoints(limits_w, sequence=1):
    count = len(limits_w)
    return Setpoints(
        np.arange(count, dtype=np.int32), np.array(limits_w, np.int32), np.full(count, SIX, np.int64),
        np.full(count, SIX + HOUR_MS, np.int64), np.full(count, sequence, np.int32), True, "I-1",
    )  # fmt: skip


def live(gateway, until_ms):
    """Devices obey what reached them; what they were told, and what the aggregator hears."""
    orders = gateway.orders_due(until_ms)
    i8, i64, i32 = np.empty(0, np.int8), np.empty(0, np.int64), np.empty(0, np.int32)
    brought = Played(
        Readings(i32, i64, i32, i32, i8, i8),
        Sessions(i32, i64, i8, i8, i64),
        np.zeros(len(orders.rows), np.int8),
    )
    gateway.report(brought, None, orders, until_ms)
    return orders, [envelope.message for envelope in gateway.take_outbox()]


def test_whole_amps_and_the_least_current_shape_limits_but_neither_pause_nor_release():
    gateway = make_gateway("ampere_charger")
    gateway.receive(setpoints([0, 500, 3_700, NO_LIMIT_W]), SIX)
    orders, _ = live(gateway, SIX + 1)
    assert orders.limit_w.tolist() == [0, 1_380, 3_680, NO_LIMIT_W]


def test_a_cloud_answers_before_the_device_acts_and_the_device_is_not_heard():
    gateway = make_gateway("cloud_charger")
    gateway.receive(setpoints([0, 0, 0, 0]), SIX)
    orders, heard = live(gateway, SIX + 301)
    answered_ms = SIX + 300
    (acks,) = heard
    assert isinstance(acks, Acks)
    assert acks.arrival_ms.tolist() == [answered_ms] * 4
    assert acks.outcome.tolist() == [AckOutcome.APPLIED] * 4
    later, heard = live(gateway, SIX + 2 * MINUTE_MS)
    assert heard == []
    assert sorted([*orders.rows.tolist(), *later.rows.tolist()]) == [0, 1, 2, 3]
    assert (later.arrival_ms > answered_ms).all()


def test_a_device_fetches_its_commands_at_its_own_polls():
    gateway = make_gateway("heat_pump_cloud", count=500)
    gateway.receive(setpoints([0] * 500), SIX)
    orders, _ = live(gateway, SIX + 5 * MINUTE_MS)
    waited_ms = orders.arrival_ms - SIX
    assert len(orders.rows) == 500
    assert abs(waited_ms.mean() - 150_000) < 20_000
    phase = units(stream(3, Purpose.HEAD_END), make_plant(500).device, number=1)[:, 0] * 300_000
    assert np.array_equal((SIX + waited_ms[0]) % 300_000, int(phase[orders.rows[0]]))


def test_a_pause_that_a_vendor_ignores_is_acknowledged_and_never_reaches_the_device():
    gateway = make_gateway("pause_ignoring_car")
    gateway.receive(setpoints([0, 0, 2_000, NO_LIMIT_W]), SIX)
    orders, heard = live(gateway, SIX + MINUTE_MS)
    assert orders.rows.tolist() == [2, 3]
    assert sorted(heard[0].rows.tolist()) == [0, 1, 2, 3]
    assert set(heard[0].outcome.tolist()) == {AckOutcome.APPLIED}
    assert gateway.state.vendors.swallowed.tolist() == [2]


def test_commands_beyond_the_days_budget_are_refused_and_told_so():
    gateway = make_gateway("home_battery_site", count=1)
    for sequence in range(7):
        gateway.receive(setpoints([0], sequence), SIX + sequence)
    orders, heard = live(gateway, SIX + 5 * MINUTE_MS)
    assert orders.sequence.tolist() == [0, 1, 2, 3, 4]
    assert sorted(zip(heard[0].sequence.tolist(), heard[0].outcome.tolist(), strict=True))[4:] == [
        (4, AckOutcome.APPLIED), (5, AckOutcome.RATE_LIMITED), (6, AckOutcome.RATE_LIMITED),
    ]  # fmt: skip


def test_a_cloud_answers_for_a_device_that_is_off_but_not_while_it_is_down_itself():
    down = Outage(kind="vendor_cloud", name="evcp_4g/0", start="17:00", duration_ms=2 * HOUR_MS)
    gateway = make_gateway("car_telematics", outages=[down])
    gateway.receive(setpoints([0]), SIX)
    assert live(gateway, SIX + MINUTE_MS)[1] == []
    often_off = {"evcp_4g": Route(offline_every_ms=600_000, offline_for_ms=600_000)}
    gateway = make_gateway("car_telematics", count=200, routes=often_off)
    gateway.receive(setpoints([0] * 200), SIX)
    orders, heard = live(gateway, SIX + MINUTE_MS)
    assert len(orders.rows) < 180
    assert len(heard[0].rows) == 200


def test_without_vendors_the_gateway_passes_the_very_messages_it_always_passed():
    plain, none = make_gateway(), make_gateway()
    assert plain.state.vendors is None
    for gateway in (plain, none):
        gateway.receive(setpoints([0, 500, 3_700, NO_LIMIT_W]), SIX)
    orders, heard = live(plain, SIX + 1)
    assert orders.limit_w.tolist() == [0, 500, 3_700, NO_LIMIT_W]
    assert heard[0].rows.tolist() == [0, 1, 2, 3]


def test_what_the_clouds_remember_is_saved_with_the_gateway():
    gateway = make_gateway("cloud_charger")
    gateway.receive(setpoints([0, 0, 0, 0]), SIX)
    told = told_of([(SIX, 0, 7_000, 100, 2, 50)] * 4)
    gateway._vendors.take(told, SIX)
    writer = Writer()
    tree = writer.encode(gateway.state)
    other = make_gateway("cloud_charger")
    other.state = Reader(writer.arrays).decode(tree)
    (report,) = other._vendors.tell(SIX + HOUR_MS)
    assert isinstance(report, VendorReadings)
    assert report.rows.tolist() == [0, 1, 2, 3]
    assert len(live(other, SIX + HOUR_MS)[0].rows) == 4
