"""Boundary meters read live tell what a home draws at that moment, base load and devices, but late."""

from datetime import date, timedelta

import numpy as np
import pytest

from protocol import periods
from protocol.messages import Service
from sim import moments
from sim.access_devices import AccessDevices
from sim.fleet import EVENT
from sim.homes import has_access_device
from sim.households import BaseLoad
from sim.population import make_population
from sim.scenario import Balancing, BoundaryReads, Clock, Dfs, Evs, Homes, Markets, Scenario
from sim.scenario_devices import Fridges

DAY = date(2024, 1, 16)
START_MS, END_MS = periods.day_start_ms(DAY), periods.day_end_ms(DAY) + 3_600_000
COUNT = 24
HALF_HOUR_MS = 1_800_000
NOTHING = np.empty(0, EVENT)


class Street:
    """Homes with a car each whose meters are read; what cars do is written by hand."""

    def __init__(self, *, fridges=0.0, metering="asset", smart_share=1.0, gain_sd=0.0, **reads):
        self.scenario = Scenario(
            flextwin=1,
            name="street",
            clock=Clock(start=DAY),
            homes=Homes(
                count=COUNT, smart_share=smart_share, meter_gain_sd=gain_sd, gsp_groups={"_A": 1, "_C": 1},
                boundary_reads=BoundaryReads(**{"share": 1.0, **reads}),
            ),
            evs=Evs(share=1.0),
            fridges=Fridges(share=fridges),
            markets=Markets(dfs=Dfs(share=0.3), balancing=Balancing(share=0.7, metering=metering)),
        )  # fmt: skip
        self.population = make_population(self.scenario)
        self.base = BaseLoad(self.population.homes, self.scenario.homes, self.scenario.seed)
        self.devices = AccessDevices(self.scenario, self.population, self.base, START_MS, END_MS)
        self.seconds = []

    def live(self, until_ms, events=NOTHING):
        self.seconds.append(self.devices.live(until_ms, events))

    def told(self):
        """(home, event, arrival, power) of all that has arrived, by (home, event)."""
        messages = [envelope.message for envelope in self.devices.take_outbox()]
        columns = [
            np.concatenate([getattr(message, name) for message in messages])
            for name in ("homes", "event_ms", "arrival_ms", "import_w")
        ]
        order = np.lexsort((columns[1], columns[0]))
        return [column[order] for column in columns]

    def base_w(self, home, event_ms):
        """Base load of a home at some moments, by the module that makes it."""
        level = np.zeros(len(event_ms), np.int64)
        for day in (DAY, DAY + timedelta(days=1)):
            numbers = np.array([home])
            told = moments.moments(numbers, self.base.day_wh(numbers, day), day, self.scenario.seed)
            held = np.searchsorted(told.at_ms, event_ms, side="right")
            level += np.concatenate([[0], np.cumsum(told.change_w)])[held]
        return level


def switching(*told):
    """Events of cars from (moment, row, W): 0 W is a stop, whose value is a charge."""
    events = np.zeros(len(told), EVENT)
    for event, (at_ms, row, watts) in zip(events, told, strict=True):
        event["at_ms"], event["row"] = at_ms, row
        event["kind"], event["value"] = (3, watts) if watts else (4, 12_345)
    return events


def test_each_meter_is_read_every_ten_seconds_at_a_moment_of_its_own_and_heard_thirteen_seconds_later():
    street = Street()
    street.live(START_MS + HALF_HOUR_MS)
    home, event_ms, arrival_ms, import_w = street.told()
    assert set(home) == set(range(COUNT))
    assert (arrival_ms - event_ms == 13_000).all()
    assert arrival_ms.max() < START_MS + HALF_HOUR_MS
    for one in range(COUNT):
        mine = event_ms[home == one]
        assert (np.diff(mine) == 10_000).all()
        assert mine[0] < START_MS + 10_000
        assert import_w[home == one].tolist() == street.base_w(one, mine).tolist()
    assert len(set((event_ms % 10_000).tolist())) == COUNT


def test_after_midnight_a_home_goes_on_with_its_next_day():
    street = Street()
    street.live(END_MS)
    home, event_ms, _, import_w = street.told()
    for one in range(6):
        mine = home == one
        assert import_w[mine].tolist() == street.base_w(one, event_ms[mine]).tolist()
    assert (import_w[event_ms >= periods.day_end_ms(DAY)] > 0).mean() > 0.9
    moments_ms = START_MS + 1000 * np.arange(86_400 - 60, 86_400 + 3_600)
    sold = np.unique(street.population.home[street.population.service == Service.BALANCING])
    wanted_w = np.sum([street.base_w(one, moments_ms) for one in sold], axis=0)
    assert np.array_equal(street.seconds[0].base_w.sum(axis=0)[86_400 - 60 :], wanted_w)


def test_a_reading_holds_what_cars_of_the_home_draw_and_give():
    street, quiet = Street(), Street()
    row = 5
    home = int(street.population.home[row])
    at = START_MS + 600_000
    street.live(
        START_MS + HALF_HOUR_MS,
        switching((at, row, 7_400), (at + 60_000, row, -3_000), (at + 120_000, row, 0)),
    )
    quiet.live(START_MS + HALF_HOUR_MS)
    (homes, event_ms, _, import_w), (_, _, _, without_w) = street.told(), quiet.told()
    since = event_ms - at
    told = np.select([since < 0, since < 60_000, since < 120_000], [0, 7_400, -3_000], 0)
    assert (import_w - without_w).tolist() == np.where(homes == home, told, 0).tolist()


def test_how_long_a_stretch_is_changes_nothing():
    whole, pieces = Street(latency_log_sd=0.5, loss=0.1), Street(latency_log_sd=0.5, loss=0.1)
    until_ms = END_MS - 7_000
    events = switching(*((START_MS + 3_600_000 * k + 977, k, 7_000) for k in range(20)))
    whole.live(until_ms, events)
    edges = [*range(START_MS + 4_321_987, until_ms, 4_321_987), until_ms]
    for begin, end in zip([START_MS, *edges[:-1]], edges, strict=True):
        pieces.live(end, events[(events["at_ms"] >= begin) & (events["at_ms"] < end)])
    for one, other in zip(whole.told(), pieces.told(), strict=True):
        assert np.array_equal(one, other)
    for name in ("import_w", "base_w"):
        together = np.concatenate([getattr(seconds, name) for seconds in pieces.seconds], axis=1)
        assert np.array_equal(together, getattr(whole.seconds[0], name))


def test_seconds_of_units_add_up_to_the_half_hours_of_their_homes():
    street = Street()
    street.live(END_MS)
    unit_of = street.population.homes.gsp_group
    sold = np.unique(street.population.home[street.population.service == Service.BALANCING])
    base_wh = street.base.day_wh(sold.astype(np.int64), DAY)
    seconds_w = street.seconds[0].base_w
    assert np.array_equal(seconds_w, street.seconds[0].import_w)
    for unit in range(2):
        lived_wh = seconds_w[unit, :86_400].reshape(48, 1800).sum(axis=1) / 3600
        wanted_wh = base_wh[unit_of[sold] == unit].sum(axis=0)
        # Whole seconds round each switching by half a second: a kettle's 0.4 Wh, some ten a home.
        assert np.abs(lived_wh - wanted_wh).max() < 1 + 0.4 * np.sqrt(12 * 10)
        assert lived_wh.sum() == pytest.approx(wanted_wh.sum(), abs=15)


def test_readings_of_every_second_integrate_to_what_the_meter_registers_by_half_hour():
    street = Street(every_ms=1_000, gain_sd=0.02)
    street.live(periods.day_end_ms(DAY) + 20_000)
    home, event_ms, _, import_w = street.told()
    gain = street.population.homes.boundary_gain
    for one in range(6):
        mine = (home == one) & (event_ms < periods.day_end_ms(DAY))
        read_wh = np.bincount((event_ms[mine] - START_MS) // HALF_HOUR_MS, import_w[mine], 48) / 3600
        registered_wh = street.base.day_wh(np.array([one]), DAY)[0] * gain[one]
        assert np.abs(read_wh - registered_wh).max() < 8  # 9 kW for at most a second at either end, thrice
        assert read_wh.sum() == pytest.approx(registered_wh.sum(), rel=0.005)


def test_lost_readings_never_come_and_lateness_has_the_median_asked_for():
    street = Street(loss=0.2, latency_log_sd=0.6)
    street.live(END_MS)
    home, event_ms, arrival_ms, _ = street.told()
    asked = COUNT * 25 * 360
    assert len(home) / asked == pytest.approx(0.8, abs=0.01)
    assert np.median(arrival_ms - event_ms) == pytest.approx(13_000, rel=0.02)


def test_a_fridge_that_is_a_device_is_not_in_the_base_load_again():
    # In the small hours a home's base load is standing power, lights and the fridge's compressor.
    numbers = np.arange(200)
    day_wh = np.full((200, 48), 100, np.int16)
    with_fridge = moments.moments(numbers, day_wh, DAY, 1)
    without = moments.moments(numbers, day_wh, DAY, 1, np.zeros(200, np.bool_))
    assert (fridge_spells(with_fridge) > 10).mean() > 0.95
    assert (fridge_spells(without) > 10).mean() < 0.05
    street = Street(fridges=1.0)
    assert not street.devices._fridge.any()
    assert Street().devices._fridge.all()


def fridge_spells(told):
    """Steps up of the commonest size between 80 and 190 W, by home."""
    found = []
    for home in range(200):
        low, high = np.searchsorted(told.home, [home, home + 1])
        steps = told.change_w[low:high]
        steps = steps[(steps >= 80) & (steps <= 190)]
        found.append(np.bincount(steps).max() if steps.size else 0)
    return np.array(found)


def test_only_homes_with_a_smart_meter_have_an_access_device_and_only_they_join_a_unit_metered_there():
    street = Street(share=0.5, smart_share=0.6, metering="boundary")
    population = street.population
    equipped = has_access_device(street.scenario.homes, population.homes, street.scenario.seed)
    assert 0 < equipped.sum() < (population.homes.status > 0).sum()
    assert not equipped[population.homes.status == 0].any()
    sold = population.home[population.service == Service.BALANCING]
    assert len(sold)
    assert equipped[sold].all()
    assert street.devices.homes.tolist() == np.flatnonzero(equipped).tolist()


def test_the_noise_of_many_homes_falls_with_the_root_of_their_number():
    homes = Homes(count=1600)
    street = make_population(Scenario(flextwin=1, name="many", clock=Clock(start=DAY), homes=homes))
    numbers = np.arange(1600)
    told = moments.moments(numbers, BaseLoad(street.homes, homes, 1).day_wh(numbers, DAY), DAY, 1)
    noise = []
    for size in (25, 100, 400):
        seconds = np.zeros((1600 // size, 3600))
        start_ms = START_MS + 19 * 3_600_000
        second = np.clip((told.at_ms - start_ms) // 1000, 0, 3599)
        counts = told.at_ms < start_ms + 3_600_000
        np.add.at(seconds, (told.home[counts] // size, second[counts]), told.change_w[counts])
        level = np.cumsum(seconds, axis=1).reshape(len(seconds), 2, 1800)
        noise.append((level - level.mean(axis=2, keepdims=True)).std() / level.mean())
    assert noise[0] / noise[1] == pytest.approx(2, rel=0.15)
    assert noise[1] / noise[2] == pytest.approx(2, rel=0.25)
