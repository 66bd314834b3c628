"""The wires: what happens to every message, and that none is lost unaccounted for."""

import math
from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from protocol.codec import Reader, Writer
from protocol.party import NEVER_MS
from protocol.periods import local_clock_ms
from sim.network import DUPLICATED, Kind, Network, Outcome
from sim.outages import own_outages
from sim.play import Plant
from sim.routes import FINE, FINEST, LONGEST_LATENCY_MS, REALISTIC, latency_table, routes_of
from sim.scenario import ROUTE_NAMES, Clock, Comms, Outage, RandomOutages, Route

DAY = date(2024, 1, 16)
CLOCK = Clock(start=DAY, days=2)
SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000
REGIONS = ("_A", "_B", "_C")
SIX = local_clock_ms(DAY, 18)
FOUR_G, WIFI, TELEMATICS, DCC = range(4)
QUIET = RandomOutages()


def at(hour, minute=0, second=0):
    return local_clock_ms(DAY, hour, minute) + second * SECOND_MS


def make_plant(count, route=FOUR_G, vendors=1, isps=5, operators=4):
    row = np.arange(count, dtype=np.int64)
    return Plant(
        device=row * 17 + 3,
        home=row.astype(np.int32),
        route=np.broadcast_to(np.asarray(route, np.int8), count).copy(),
        vendor=(row % vendors).astype(np.int8),
        isp=(row % isps).astype(np.int8),
        mobile_operator=(row % operators).astype(np.int8),
        region=(row % len(REGIONS)).astype(np.int8),
    )


def make_network(plant, routes=None, outages=(), *, seed=7, workers=1, report_every_ms=MINUTE_MS, **comms):
    named = {ROUTE_NAMES[route]: settings for route, settings in (routes or {}).items()}
    return Network(
        plant,
        Comms(routes=named, outages=tuple(outages), **comms),
        CLOCK,
        seed,
        report_every_ms=np.full(len(plant.device), report_every_ms, np.int64),
        region_names=REGIONS,
        workers=workers,
    )


def everybody(plant):
    return np.arange(len(plant.device), dtype=np.int32)


def spread_out(plant, from_ms=SIX, over_ms=MINUTE_MS):
    count = len(plant.device)
    return from_ms + np.arange(count, dtype=np.int64) * over_ms // count


def readings(network, sent_ms=SIX, rows=None):
    rows = everybody(network.plant) if rows is None else np.asarray(rows, np.int32)
    return network.carry_up(rows, np.full(len(rows), sent_ms, np.int64), Kind.TELEMETRY)


def commands(network, now_ms=SIX, rows=None, sequence=1, kind=Kind.SETPOINTS):
    rows = everybody(network.plant) if rows is None else np.asarray(rows, np.int32)
    return network.carry_down(rows, now_ms, np.full(len(rows), sequence, np.int32), kind)


def same(left, right):
    return all(
        np.array_equal(getattr(left, name), getattr(right, name))
        for name in ("arrival_ms", "copy_ms", "outcome")
    )


def within_four_sigma(hits, count, share):
    return abs(hits - count * share) <= 4 * math.sqrt(count * share * (1 - share))


# ---------------------------------------------------------------------------------------------------- laws


def stormy(count=60_000, workers=1, seed=7):
    outages = [
        Outage(kind="vendor_cloud", name="ev_telematics_cloud/1", start="18:00", duration_ms=MINUTE_MS),
        Outage(kind="isp", name="3", start="17:30", duration_ms=HOUR_MS, drop=0.4, extra_latency_ms=700),
        Outage(kind="region", name="_B", start="17:50", duration_ms=12 * MINUTE_MS, messages="telemetry"),
        Outage(kind="mobile_operator", name="2", start="18:00", duration_ms=5 * MINUTE_MS, directions="up"),
    ]
    plant = make_plant(count, np.arange(count) // 3 % 3, vendors=4)
    return make_network(plant, None, outages, seed=seed, workers=workers, profile="realistic")


def test_every_message_is_counted_under_exactly_one_fate():
    network = stormy()
    rows = everybody(network.plant)
    for kind in (Kind.TELEMETRY, Kind.ACKS, Kind.SESSIONS):
        network.carry_up(rows, spread_out(network.plant), kind)
    for kind in (Kind.SETPOINTS, Kind.POLLS):
        network.carry_down(rows, SIX, rows, kind)
    counts = network.take_counts(NEVER_MS)
    fates = counts.outcome != DUPLICATED
    for kind in Kind:
        assert counts.messages[fates & (counts.kind == kind)].sum() == len(rows)


def test_counts_are_those_of_the_outcomes_and_latencies_given_back():
    network = stormy()
    sent_ms = spread_out(network.plant, over_ms=3 * MINUTE_MS)
    carried = network.carry_up(everybody(network.plant), sent_ms, Kind.TELEMETRY)
    counts = network.take_counts(NEVER_MS)
    reached = set()
    for minute in range(3):
        for route in range(3):
            here = (sent_ms // MINUTE_MS == SIX // MINUTE_MS + minute) & (network.plant.route == route)
            for outcome in Outcome:
                line = (counts.minute_ms == SIX + minute * MINUTE_MS) & (counts.route == route)
                line &= counts.outcome == outcome
                hit = here & (carried.outcome == outcome)
                assert counts.messages[line].sum() == hit.sum()
                if outcome in (Outcome.DELIVERED, Outcome.BACKFILLED):
                    assert counts.latency_ms[line].sum() == (carried.arrival_ms - sent_ms)[hit].sum()
                if hit.any():
                    reached.add(outcome)
    assert counts.messages[counts.outcome == DUPLICATED].sum() == (carried.copy_ms > 0).sum() > 0
    assert reached >= {
        Outcome.DELIVERED, Outcome.LOST, Outcome.OFFLINE, Outcome.OUTAGE_VENDOR_CLOUD, Outcome.OUTAGE_ISP,
        Outcome.OUTAGE_REGION, Outcome.OUTAGE_MOBILE_OPERATOR, Outcome.BACKFILLED,
    }  # fmt: skip


def test_whole_minutes_are_handed_over_once():
    network = make_network(make_plant(10))
    readings(network, SIX)
    readings(network, SIX + MINUTE_MS)
    first = network.take_counts(SIX + MINUTE_MS + 30 * SECOND_MS)
    assert (first.minute_ms.tolist(), first.messages.tolist()) == ([SIX], [10])
    rest = network.take_counts(SIX + 2 * MINUTE_MS)
    assert (rest.minute_ms.tolist(), rest.messages.tolist()) == ([SIX + MINUTE_MS], [10])
    assert len(network.take_counts(NEVER_MS).messages) == 0


def test_what_arrives_comes_after_it_was_sent_and_what_does_not_never():
    network = stormy()
    sent_ms = spread_out(network.plant)
    carried = network.carry_up(everybody(network.plant), sent_ms, Kind.TELEMETRY)
    arrives = np.isin(carried.outcome, [Outcome.DELIVERED, Outcome.BACKFILLED])
    assert (carried.arrival_ms[arrives] > sent_ms[arrives]).all()
    assert (carried.arrival_ms[~arrives] == NEVER_MS).all()
    copied = carried.copy_ms > 0
    assert (carried.copy_ms[copied] > carried.arrival_ms[copied]).all()
    assert not (copied & ~arrives).any()


def test_a_second_and_a_third_thread_change_no_byte():
    def lived(workers):
        network = stormy(workers=workers)
        carried = network.carry_up(everybody(network.plant), spread_out(network.plant), Kind.TELEMETRY)
        return carried, network.take_counts(NEVER_MS)

    alone, counts = lived(1)
    for workers in (2, 3):
        together, counts_together = lived(workers)
        assert same(alone, together)
        assert np.array_equal(counts.messages, counts_together.messages)
        assert np.array_equal(counts.latency_ms, counts_together.latency_ms)


def test_the_fate_of_a_row_does_not_depend_on_which_others_are_in_the_batch():
    network = stormy()
    rows, sent_ms = everybody(network.plant), spread_out(network.plant)
    whole = network.carry_up(rows, sent_ms, Kind.TELEMETRY)
    some = np.flatnonzero(rows % 7 == 2)[::-1]
    part = stormy().carry_up(rows[some], sent_ms[some], Kind.TELEMETRY)
    assert np.array_equal(part.arrival_ms, whole.arrival_ms[some])
    assert np.array_equal(part.copy_ms, whole.copy_ms[some])
    assert np.array_equal(part.outcome, whole.outcome[some])


def test_luck_belongs_to_the_device_and_not_to_its_row():
    plant = make_plant(3000, np.arange(3000) % 3)
    backwards = Plant(*(getattr(plant, name)[:500:-1].copy() for name in Plant.__slots__))
    fates = [
        readings(make_network(some, profile="realistic", random_outages=QUIET)) for some in (plant, backwards)
    ]
    for name in ("arrival_ms", "copy_ms", "outcome"):
        assert np.array_equal(getattr(fates[0], name)[:500:-1], getattr(fates[1], name))


def test_the_fate_of_a_message_does_not_depend_on_what_was_asked_before():
    lived, fresh = stormy(), stormy()
    for hour in (0, 9, 17, 23, 36):
        readings(lived, SIX + hour * HOUR_MS)
    for hour in (0, 23, 36):
        assert same(readings(lived, SIX + hour * HOUR_MS), readings(fresh, SIX + hour * HOUR_MS))


def test_two_seeds_give_two_days():
    assert not same(readings(stormy(seed=7)), readings(stormy(seed=8)))


def test_the_network_goes_on_from_a_written_state_as_if_nothing_had_happened():
    routes = {
        FOUR_G: Route(rate_per_s=5.0, commands_per_day=3, token_life_ms=18 * HOUR_MS, token_renewal_ms=5_000)
    }
    network, other = (make_network(make_plant(100), routes) for _ in range(2))
    commands(network, SIX)
    writer = Writer()
    tree = writer.encode(network.state)
    other.state = Reader([array.copy() for array in writer.arrays]).decode(tree)
    for now_ms in (SIX + 5_000, SIX + 6_000, SIX + 20_000):
        assert same(commands(network, now_ms), commands(other, now_ms))
    assert np.array_equal(network.state.messages, other.state.messages)


# ----------------------------------------------------------------------------------------- perfect profile


def test_the_perfect_profile_loses_delays_and_doubles_nothing():
    network = make_network(make_plant(1000, np.arange(1000) % 4))
    for carried in (readings(network), commands(network), commands(network, kind=Kind.POLLS)):
        assert (carried.outcome == Outcome.DELIVERED).all()
        assert (carried.arrival_ms == SIX).all()
        assert not carried.copy_ms.any()


def test_a_route_with_a_median_and_no_spread_delays_by_the_median():
    network = make_network(make_plant(3, [FOUR_G, WIFI, WIFI]), {WIFI: Route(latency_median_ms=250)})
    assert (readings(network).arrival_ms - SIX).tolist() == [0, 250, 250]


def test_the_short_way_of_the_perfect_profile_counts_as_the_long_way_does():
    far = Outage(kind="isp", name="0", start="17:00", duration_ms=2 * HOUR_MS)
    plant, routes = make_plant(50, FOUR_G), {FOUR_G: Route(latency_median_ms=40)}
    short, long = make_network(plant, routes), make_network(plant, routes, [far])
    assert same(readings(short), readings(long))
    left, right = short.take_counts(NEVER_MS), long.take_counts(NEVER_MS)
    assert (left.messages.tolist(), left.latency_ms.tolist()) == ([50], [2000])
    assert (right.messages.tolist(), right.latency_ms.tolist()) == ([50], [2000])


def test_an_empty_batch_is_carried_too():
    assert len(readings(stormy(10), rows=[]).outcome) == 0


# ------------------------------------------------------------------------------------------------- latency


@pytest.mark.parametrize("name", ROUTE_NAMES)
def test_latency_tables_rise_from_cell_to_cell_and_level_to_level(name):
    table = latency_table(REALISTIC[name])
    levels = table[: FINE - 1], table[FINE : 2 * FINE - 1], table[2 * FINE :]
    assert len(levels[2]) == FINEST
    rising = np.concatenate(levels)
    assert (np.diff(rising) >= 0).all()
    assert rising[0] > 0
    assert rising[-1] <= LONGEST_LATENCY_MS


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99, 0.999, 0.9999])
def test_drawn_latencies_have_the_quantiles_of_their_law(share):
    law = Route(
        latency_median_ms=40_000, latency_log_sd=0.5, tail_share=0.02, tail_scale_ms=200_000, tail_index=1.5
    )
    plant = make_plant(200_000)
    latency_ms = readings(make_network(plant, {FOUR_G: law})).arrival_ms - SIX

    def below(limit_ms):
        body = 0.5 * (1 + math.erf(math.log(limit_ms / 40_000) / 0.5 / math.sqrt(2)))
        tail = 1 - (limit_ms / 200_000) ** -1.5 if limit_ms > 200_000 else 0.0
        return 0.98 * body + 0.02 * tail

    limit_ms = int(np.quantile(latency_ms, share))
    assert within_four_sigma(int((latency_ms <= limit_ms).sum()), 200_000, below(limit_ms + 0.5))
    assert abs(below(limit_ms) - share) < 4 * math.sqrt(share * (1 - share) / 200_000)


def test_the_tail_reaches_hours_but_no_further_than_the_cut():
    law = Route(latency_median_ms=100, tail_share=0.5, tail_scale_ms=MINUTE_MS, tail_index=1.05)
    latency_ms = readings(make_network(make_plant(300_000), {FOUR_G: law})).arrival_ms - SIX
    assert 12 * HOUR_MS < latency_ms.max() <= LONGEST_LATENCY_MS


# ---------------------------------------------------------------------------------------- loss, duplicates


def test_messages_are_lost_and_doubled_at_the_shares_asked_for():
    route = Route(loss_up=0.03, loss_down=0.11, duplicate=0.07)
    network = make_network(make_plant(200_000), {FOUR_G: route})
    up, down = readings(network), commands(network)
    assert within_four_sigma(int((up.outcome == Outcome.LOST).sum()), 200_000, 0.03)
    assert within_four_sigma(int((down.outcome == Outcome.LOST).sum()), 200_000, 0.11)
    assert within_four_sigma(int((up.copy_ms > 0).sum()), 200_000, 0.97 * 0.07)
    lost_both = int(((up.outcome == Outcome.LOST) & (down.outcome == Outcome.LOST)).sum())
    assert within_four_sigma(lost_both, 200_000, 0.03 * 0.11)


def test_a_route_that_loses_everything_delivers_nothing():
    network = make_network(make_plant(5000), {FOUR_G: Route(loss_up=1.0)})
    assert (readings(network).outcome == Outcome.LOST).all()
    assert (commands(network).outcome == Outcome.DELIVERED).all()


def test_a_repeated_setpoint_with_a_new_sequence_has_luck_of_its_own():
    network = make_network(make_plant(5000), {FOUR_G: Route(loss_down=0.5)})
    first, again = commands(network, sequence=1), commands(network, sequence=2)
    both = int(((first.outcome == Outcome.LOST) & (again.outcome == Outcome.LOST)).sum())
    assert within_four_sigma(both, 5000, 0.25)


# --------------------------------------------------------------------------------------------- own outages


@pytest.mark.parametrize(
    ("every_ms", "for_ms"),
    [
        (9 * HOUR_MS, HOUR_MS),
        (14 * 24 * HOUR_MS, 16 * HOUR_MS),
        (30 * MINUTE_MS, 5 * MINUTE_MS),
        (48 * HOUR_MS, 24 * HOUR_MS),
    ],
)
def test_devices_are_up_as_long_as_their_mean_times_say(every_ms, for_ms):
    plant = make_plant(40_000)
    network = make_network(plant, {FOUR_G: Route(offline_every_ms=every_ms, offline_for_ms=for_ms)})
    carried = network.carry_up(everybody(plant), spread_out(plant, over_ms=24 * HOUR_MS), Kind.TELEMETRY)
    down = int((carried.outcome == Outcome.OFFLINE).sum())
    assert within_four_sigma(down, 40_000, for_ms / (every_ms + for_ms))


def test_a_device_is_down_without_a_break_until_it_is_up():
    plant = make_plant(400)
    network = make_network(
        plant,
        {FOUR_G: Route(offline_every_ms=20 * HOUR_MS, offline_for_ms=5 * HOUR_MS, backfill_depth=10_000)},
    )
    moments = np.arange(SIX, SIX + 24 * HOUR_MS, 10 * MINUTE_MS)
    until_ms = np.zeros(400, np.int64)
    begun = 0
    for now_ms in moments:
        carried = readings(network, now_ms)
        kept = carried.outcome == Outcome.BACKFILLED
        begun += int((kept & (until_ms <= now_ms)).sum())
        assert (carried.arrival_ms[kept & (until_ms > now_ms)] == until_ms[kept & (until_ms > now_ms)]).all()
        assert not (~kept & (until_ms > now_ms)).any()
        until_ms = np.where(kept, carried.arrival_ms, 0)
    # A fifth is down at the start, one begins in 25 hours on average; those under ten minutes may be missed.
    assert 80 + 400 * 0.75 * 0.8 < begun < 80 + 400 * 1.2


def test_an_outage_of_yesterday_reaches_into_today():
    block_ms, key = 24 * HOUR_MS, np.uint64(99)
    block = SIX // block_ms
    found = 0
    for device in range(300):
        _, from_ms, to_ms = own_outages(key, device, block - 1, block_ms, 0.5, 8.0 * HOUR_MS, 3)
        carried_ms, _, _ = own_outages(key, device, block, block_ms, 0.5, 8.0 * HOUR_MS, 3)
        if from_ms != NEVER_MS and to_ms > block * block_ms:
            assert carried_ms == to_ms
            found += 1
    assert found > 5


def test_a_route_that_is_down_most_of_the_time_is_refused():
    with pytest.raises(ValueError, match="more down than up is no route; lower offline_for"):
        make_network(make_plant(1), {FOUR_G: Route(offline_every_ms=HOUR_MS, offline_for_ms=2 * HOUR_MS)})


# ------------------------------------------------------------------------------------------ shared outages


def outage(kind, name, **more):
    return Outage(kind=kind, name=name, start="18:00", **{"duration_ms": HOUR_MS, **more})


@pytest.mark.parametrize(
    ("kind", "name", "hit", "outcome"),
    [
        ("vendor_cloud", "evcp_wifi_cloud/1", lambda p: p.vendor == 1, Outcome.OUTAGE_VENDOR_CLOUD),
        ("isp", "2", lambda p: p.isp == 2, Outcome.OUTAGE_ISP),
        ("mobile_operator", "3", lambda p: p.mobile_operator == 3, Outcome.OUTAGE_MOBILE_OPERATOR),
        ("region", "_C", lambda p: p.region == 2, Outcome.OUTAGE_REGION),
    ],
)
def test_an_outage_stops_those_who_hang_on_it_and_nobody_else(kind, name, hit, outcome):
    plant = make_plant(600, np.arange(600) // 7 % 3, vendors=2)
    on_the_wire = {"region": plant.route < DCC, "mobile_operator": plant.route != WIFI}.get(
        kind, plant.route == WIFI
    )
    routes = {WIFI: Route(vendors=2)}
    network = make_network(plant, routes, [outage(kind, name)])
    for carried in (readings(network), commands(network)):
        assert np.array_equal(carried.outcome, np.where(on_the_wire & hit(plant), outcome, Outcome.DELIVERED))
    for quiet_ms in (SIX - 1, SIX + HOUR_MS):
        assert (readings(network, quiet_ms).outcome == Outcome.DELIVERED).all()


@pytest.mark.parametrize(
    ("more", "stopped"),
    [
        ({"directions": "down"}, {Kind.SETPOINTS, Kind.POLLS}),
        ({"directions": "up"}, {Kind.TELEMETRY, Kind.ACKS, Kind.SESSIONS}),
        ({"messages": "acks"}, {Kind.ACKS}),
        ({"messages": "setpoints"}, {Kind.SETPOINTS}),
        ({"messages": "telemetry"}, {Kind.TELEMETRY, Kind.SESSIONS}),
        ({"messages": "telemetry", "directions": "down"}, set()),
    ],
)
def test_an_outage_stops_the_kinds_and_directions_it_names(more, stopped):
    plant = make_plant(3)
    network = make_network(plant, None, [outage("vendor_cloud", "evcp_4g/0", **more)])
    rows, sent_ms = everybody(plant), np.full(3, SIX)
    found = {
        kind
        for kind in (Kind.TELEMETRY, Kind.ACKS, Kind.SESSIONS)
        if network.carry_up(rows, sent_ms, kind).outcome.all()
    }
    found |= {kind for kind in (Kind.SETPOINTS, Kind.POLLS) if commands(network, kind=kind).outcome.all()}
    assert found == stopped


def test_a_partial_outage_stops_its_share_and_delays_the_rest():
    plant = make_plant(40_000)
    network = make_network(plant, None, [outage("region", "_A", drop=0.3, extra_latency_ms=900)])
    carried, here = readings(network), plant.region == 0
    stopped = carried.outcome == Outcome.OUTAGE_REGION
    assert within_four_sigma(int(stopped.sum()), int(here.sum()), 0.3)
    assert (carried.arrival_ms[here & ~stopped] == SIX + 900).all()
    assert (carried.arrival_ms[~here] == SIX).all()


def test_two_partial_outages_at_once_are_independent():
    plant = make_plant(40_000, operators=1)
    twice = [outage("region", "_A", drop=0.5), outage("mobile_operator", "0", drop=0.5)]
    network = make_network(plant, None, twice)
    passed = int((readings(network).outcome == Outcome.DELIVERED)[plant.region == 0].sum())
    assert within_four_sigma(passed, int((plant.region == 0).sum()), 0.25)


def test_a_cloud_that_is_down_says_nothing_and_one_that_is_up_knows_who_is_gone():
    plant = make_plant(4, WIFI, isps=2)
    routes = {WIFI: Route(latency_median_ms=300)}
    gone = make_network(plant, routes, [outage("isp", "1")])
    assert commands(gone).arrival_ms.tolist() == [SIX + 300] * 4
    silent = make_network(plant, routes, [outage("vendor_cloud", "evcp_wifi_cloud/0")])
    assert commands(silent).arrival_ms.tolist() == [NEVER_MS] * 4


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("vendor_cloud", "evcp_4g/9", "no vendor_cloud 'evcp_4g/9'; there are evcp_4g/0, evcp_wifi_cloud/0"),
        ("isp", "5", "there is no isp '5'; there are 0, 1, 2, 3, 4"),
        ("region", "_Z", "there is no region '_Z'; there are _A, _B, _C"),
    ],
)  # fmt: skip
def test_an_outage_of_nothing_is_refused_with_what_there_is(kind, name, words):
    with pytest.raises(ValueError, match=words):
        make_network(make_plant(1), None, [outage(kind, name)])


def test_an_override_of_no_route_is_refused_with_the_routes_there_are():
    with pytest.raises(
        ValueError, match="'lorawan', which is no route; the routes are evcp_4g, evcp_wifi_cloud"
    ):
        routes_of(Comms(routes={"lorawan": Route()}))


def test_a_route_of_the_scenario_replaces_that_of_the_profile_whole():
    comms = Comms(profile="realistic", routes={"evcp_4g": Route(latency_median_ms=5)})
    assert routes_of(comms) == (Route(latency_median_ms=5), *list(REALISTIC.values())[1:])


def test_outages_of_chance_come_as_often_and_last_as_long_as_asked():
    clock = Clock(start=DAY, days=360)
    chance = RandomOutages(isp_every_ms=5 * 24 * HOUR_MS, isp_for_ms=40 * MINUTE_MS)
    network = Network(
        make_plant(1), Comms(isps=50, random_outages=chance), clock, 3, report_every_ms=np.full(1, MINUTE_MS),
        region_names=REGIONS,
    )  # fmt: skip
    rows = network.outage_rows()
    # At most one in six hours: 1 - exp(-6 h / 5 days) of the blocks of 360 + 2 days and the day before.
    blocks = 50 * 4 * 363
    assert within_four_sigma(len(rows), blocks, -math.expm1(-0.05))
    lengths_min = np.array([row.to_ms - row.from_ms for row in rows]) / MINUTE_MS
    assert abs(lengths_min.mean() - 40) < 4 * 40 / math.sqrt(len(rows))
    assert all(earlier.from_ms <= later.from_ms for earlier, later in pairwise(rows))


def test_outages_of_the_scenario_are_told_with_their_times():
    network = make_network(make_plant(1), None, [outage("isp", "3", day=1, drop=0.5, extra_latency_ms=80)])
    (row,) = network.outage_rows()
    assert (row.kind, row.name, row.drop, row.extra_latency_ms) == ("isp", "3", 0.5, 80)
    assert (row.from_ms, row.to_ms) == (SIX + 24 * HOUR_MS, SIX + 25 * HOUR_MS)


# ------------------------------------------------------------------------------------ back-fill and storms


def test_only_the_newest_readings_are_kept_and_they_come_when_the_device_is_back():
    route = Route(backfill_depth=10, latency_median_ms=200)
    network = make_network(make_plant(1), {FOUR_G: route}, [outage("vendor_cloud", "evcp_4g/0")])
    fates = [readings(network, at(18, minute)) for minute in range(60)]
    kept = [minute for minute, fate in enumerate(fates) if fate.outcome[0] == Outcome.BACKFILLED]
    assert kept == list(range(50, 60))
    assert {int(fates[minute].arrival_ms[0]) for minute in kept} == {at(19) + 200}
    assert {int(fate.outcome[0]) for fate in fates[:50]} == {Outcome.OUTAGE_VENDOR_CLOUD}


def test_acknowledgements_are_not_kept_while_cut_off():
    network = make_network(
        make_plant(1), {FOUR_G: Route(backfill_depth=10)}, [outage("vendor_cloud", "evcp_4g/0")]
    )
    carried = network.carry_up(np.zeros(1, np.int32), np.array([at(18, 59)]), Kind.ACKS)
    assert carried.outcome[0] == Outcome.OUTAGE_VENDOR_CLOUD


def test_a_second_outage_at_the_moment_of_return_keeps_the_reading_waiting():
    twice = [
        outage("vendor_cloud", "evcp_4g/0"),
        Outage(kind="region", name="_A", start="18:30", duration_ms=HOUR_MS),
    ]
    network = make_network(make_plant(1), {FOUR_G: Route(backfill_depth=1000)}, twice)
    carried = readings(network, at(18, 15))
    assert carried.outcome[0] == Outcome.BACKFILLED
    assert carried.arrival_ms[0] == at(19, 30)


def test_a_storm_never_exceeds_the_rate_of_its_cloud():
    plant = make_plant(6000, vendors=2)
    route = Route(backfill_depth=60, rate_per_s=20.0, reconnect_spread_ms=10_000, vendors=2)
    network = make_network(plant, {FOUR_G: route}, [outage("region", name) for name in REGIONS])
    carried = readings(network, at(18, 59, 59))
    assert (carried.outcome == Outcome.BACKFILLED).all()
    for vendor in (0, 1):
        second = (carried.arrival_ms[plant.vendor == vendor] - at(19)) // SECOND_MS
        assert np.bincount(second).tolist() == [20] * 150


def test_a_device_is_still_gone_until_its_turn_to_return():
    route = Route(backfill_depth=600, reconnect_spread_ms=10 * MINUTE_MS)
    network = make_network(make_plant(1000), {FOUR_G: route}, [outage("vendor_cloud", "evcp_4g/0")])
    back_ms = readings(network, at(18, 59)).arrival_ms
    later = readings(network, at(19, 5))
    assert np.array_equal(later.outcome == Outcome.BACKFILLED, back_ms > at(19, 5))
    assert np.array_equal(later.arrival_ms, np.maximum(back_ms, at(19, 5)))
    assert 400 < (back_ms > at(19, 5)).sum() < 600


@pytest.mark.slow
def test_a_million_devices_recover_within_fifteen_minutes_in_the_realistic_profile():
    route = np.repeat(np.array([FOUR_G, WIFI, TELEMATICS]), [300_000, 450_000, 250_000])
    vendors = np.array([4, 6, 4])[route]
    plant = make_plant(1_000_000, route, vendors=vendors)
    network = make_network(
        plant, None, [outage("region", name) for name in REGIONS], profile="realistic", random_outages=QUIET
    )
    storm = readings(network, at(19) + 1)
    recovered = readings(network, at(19, 15))
    assert (storm.outcome == Outcome.OUTAGE_REGION).sum() > 100_000
    assert not np.isin(recovered.outcome, [Outcome.OUTAGE_REGION]).any()


# -------------------------------------------------------------------------------------- what clouds refuse


def test_commands_beyond_the_rate_are_refused_and_the_bucket_fills_again():
    route = Route(rate_per_s=2.0, rate_burst_ms=3_000, latency_median_ms=100, vendors=2)
    network = make_network(make_plant(20, vendors=2), {FOUR_G: route})
    first = commands(network)
    refused = first.outcome == Outcome.RATE_LIMITED
    assert (~refused).tolist() == [True] * 12 + [False] * 8  # three seconds' worth for each of two clouds
    assert (first.arrival_ms == SIX + 100).all()
    assert (commands(network, SIX + 999).outcome == Outcome.DELIVERED).sum() == 2
    assert (commands(network, SIX + 60_000).outcome == Outcome.DELIVERED).sum() == 12


def test_readings_know_no_command_rate():
    network = make_network(make_plant(100), {FOUR_G: Route(rate_per_s=1.0)})
    assert (readings(network).outcome == Outcome.DELIVERED).all()


def test_a_device_takes_its_budget_of_commands_and_is_given_a_new_one_at_local_midnight():
    network = make_network(make_plant(2), {FOUR_G: Route(commands_per_day=2)})
    assert [int(commands(network, SIX + k, rows=[0]).outcome[0]) for k in range(3)] == [0, 0, Outcome.BUDGET]
    assert commands(network, SIX, rows=[1]).outcome[0] == Outcome.DELIVERED
    assert commands(network, at(23, 59, 59), rows=[0]).outcome[0] == Outcome.BUDGET
    assert commands(network, at(23, 59, 59) + SECOND_MS, rows=[0]).outcome[0] == Outcome.DELIVERED


def test_cars_are_woken_so_many_times_a_day_and_charge_points_as_often_as_one_likes():
    network = make_network(make_plant(2, [TELEMATICS, FOUR_G]))
    fates = [commands(network, SIX + k, kind=Kind.POLLS).outcome.tolist() for k in range(17)]
    assert [fate[0] for fate in fates] == [Outcome.DELIVERED] * 15 + [Outcome.BUDGET] * 2
    assert {fate[1] for fate in fates} == {Outcome.DELIVERED}


def test_a_spent_token_is_noticed_by_the_first_command_and_renewed():
    network = make_network(make_plant(1), {FOUR_G: Route(token_life_ms=2 * HOUR_MS, token_renewal_ms=5_000)})
    told = {
        at(1, 59, 59): Outcome.DELIVERED,
        at(18): Outcome.UNAUTHORISED,
        at(18, 0, 4): Outcome.UNAUTHORISED,
        at(18, 0, 5): Outcome.DELIVERED,
        at(20, 0, 4): Outcome.DELIVERED,
        at(20, 0, 5): Outcome.UNAUTHORISED,
    }
    assert [int(commands(network, now_ms).outcome[0]) for now_ms in told] == list(told.values())


def test_a_cloud_that_is_down_charges_no_account():
    network = make_network(
        make_plant(1), {FOUR_G: Route(commands_per_day=1)}, [outage("vendor_cloud", "evcp_4g/0")]
    )
    assert commands(network).outcome[0] == Outcome.OUTAGE_VENDOR_CLOUD
    assert commands(network, at(19)).outcome[0] == Outcome.DELIVERED
    assert commands(network, at(19, 1)).outcome[0] == Outcome.BUDGET


# -------------------------------------------------------------------------------------------------- clocks


def test_clocks_are_wrong_by_at_most_their_range_and_to_either_side():
    network = make_network(make_plant(1000, np.arange(1000) % 2), {FOUR_G: Route(clock_skew_ms=300_000)})
    skew_ms = network.by_own_clock(everybody(network.plant), np.zeros(1000, np.int64))
    assert not skew_ms[1::2].any()
    assert -300_000 <= skew_ms[::2].min() < -290_000
    assert 290_000 < skew_ms[::2].max() <= 300_000
    right = make_network(make_plant(1))
    assert right.by_own_clock(np.zeros(1, np.int32), np.array([5])).tolist() == [5]
