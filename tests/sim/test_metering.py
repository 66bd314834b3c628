"""What meters say adds up to their registers, and what they do not say stays missing."""

from datetime import date, timedelta

import numpy as np
import pytest

from devices import ev
from protocol import periods
from protocol.messages import MISSING_WH, AssetReadings, BoundaryReadings, Service
from protocol.party import NEVER_MS
from sim.fleet import MJ_PER_WH
from sim.fleets import Arms, Fleets
from sim.homes import NOT_SMART
from sim.households import BaseLoad, make_diary, plan_moment_ms, quiet_windows_ms
from sim.metering import Meters
from sim.play import Orders
from sim.population import make_population
from sim.scenario import Balancing, Clock, Dfs, EvMeter, Evs, Homes, Markets, Scenario

DAY, SHORT_DAY, LONG_DAY = date(2024, 1, 16), date(2024, 3, 31), date(2024, 10, 27)
CARS = 80


class Street:
    """Homes with a car each, lived from midnight of `day` to the hour at which its readings are sent."""

    def __init__(self, day=DAY, *, days=1, homes=None, **evs):
        scenario = Scenario(
            flextwin=1,
            name="street",
            clock=Clock(start=day),
            homes=Homes(count=CARS, **(homes or {})),
            evs=Evs(share=1.0, annual_miles_median=30_000.0, **evs),
            markets=Markets(dfs=Dfs(share=0.5), balancing=Balancing(share=0.5)),
        )
        self.population = make_population(scenario)
        groups = int(self.population.cell.max()) + 1
        start_ms = periods.day_start_ms(day)
        parts = (self.population.parts, self.population.cell, groups, start_ms)
        self.fleet, self.without = (Fleets(*parts) for _ in range(2))
        self.base = BaseLoad(self.population.homes, scenario.homes, scenario.seed)
        self.meters = Meters(scenario, self.population, self.base, Arms(self.fleet, self.without, None), day)
        self.truths = []
        self.sent = []
        self.registers_mj = [self.fleet.registers_mj()]
        until_ms = periods.local_clock_ms(day + timedelta(days=days), 8)
        plans = {plan_moment_ms(day + timedelta(days=k)): day + timedelta(days=k) for k in range(days + 1)}
        while (now_ms := min(self.meters.next_deadline_ms(), min(plans, default=NEVER_MS))) <= until_ms:
            for fleet in (self.fleet, self.without):
                fleet.play(now_ms, Orders.none(), read=False)
            if now_ms in plans:
                self._plan(scenario, plans.pop(now_ms))
            if self.meters.next_deadline_ms() <= now_ms:
                self.meters.on_deadline(now_ms)
                self._take_down(now_ms)

    def _plan(self, scenario, day):
        battery_mj = self.population.spec["battery_mj"]
        diary = make_diary(scenario.evs, self.population.drivers, battery_mj, day, 5.0, scenario.seed)
        for fleet in (self.fleet, self.without):
            fleet.cars.plan(diary.copy(), ev.Today(quiet_windows_ms(day)))

    def _take_down(self, now_ms):
        if self.meters.latest is not None and [self.meters.latest] != self.truths[-1:]:
            self.truths.append(self.meters.latest)
            self.registers_mj.append(self.fleet.registers_mj())
        self.sent += [(now_ms, envelope.to, envelope.message) for envelope in self.meters.take_outbox()]

    def told(self, kind):
        """The message of a kind that the aggregator got first."""
        return next(
            message for _, to, message in self.sent if to == "aggregator" and isinstance(message, kind)
        )


@pytest.fixture(scope="module")
def street():
    return Street(meter=EvMeter(gain_sd=0.05))


@pytest.mark.parametrize(("day", "count"), [(DAY, 48), (SHORT_DAY, 46), (LONG_DAY, 50)])
def test_a_day_of_readings_has_as_many_half_hours_as_the_clock(day, count):
    street = Street(day)
    boundary, asset = street.told(BoundaryReadings), street.told(AssetReadings)
    assert (boundary.day, asset.day) == (day, day)
    assert boundary.import_wh.shape[1] == asset.import_wh.shape[1] == count
    assert [truth.end_ms for truth in street.truths[:count]] == periods.day_periods_ms(day)[1:].tolist()


def test_half_hours_of_an_asset_meter_sum_to_its_register(street):
    at_midnight_mj = street.registers_mj[48]
    register_wh = [
        int(mj * gain)
        for mj, gain in zip(at_midnight_mj.tolist(), street.population.spec["wh_per_mj"], strict=True)
    ]
    readings = street.told(AssetReadings)
    assert readings.rows.tolist() == list(range(CARS))
    assert readings.import_wh.sum(axis=1).tolist() == register_wh
    assert sum(register_wh) > 100_000
    assert readings.import_wh.min() == 0


def test_true_half_hours_are_whole_wh_and_sum_to_the_true_register(street):
    lived = np.sum([truth.row_import_wh for truth in street.truths[:48]], axis=0)
    assert lived.tolist() == (street.registers_mj[48] // MJ_PER_WH).tolist()


def test_a_boundary_meter_registers_the_car_and_the_home(street):
    boundary = street.told(BoundaryReadings)
    population = street.population
    for place, home in enumerate(boundary.homes.tolist()):
        row = int(np.flatnonzero(population.cars_home == home)[0])
        base_wh = street.base.day_wh(np.array([home], np.int64), DAY)[0]
        car_wh = [int(truth.row_import_wh[row]) for truth in street.truths[:48]]
        reads = population.homes.status[home] != NOT_SMART and population.homes.communicating[home] == 1
        expected = (base_wh + car_wh).tolist() if reads else [MISSING_WH] * 48
        assert boundary.import_wh[place].tolist() == expected


def test_boundary_readings_are_sent_for_homes_in_dfs_by_number_and_for_no_others(street):
    in_dfs = street.population.cars_home[street.population.service == Service.DFS]
    assert street.told(BoundaryReadings).homes.tolist() == sorted(in_dfs.tolist())
    assert 0 < len(in_dfs) < CARS


def test_a_gain_error_of_a_boundary_meter_is_its_own_and_stays():
    exact, wrong = Street(), Street(homes={"meter_gain_sd": 0.05})
    gain = wrong.population.homes.boundary_gain
    true, metered = exact.told(BoundaryReadings), wrong.told(BoundaryReadings)
    for place, home in enumerate(true.homes.tolist()):
        known = true.import_wh[place] >= 0
        expected = np.floor(true.import_wh[place][known] * gain[home] + 0.5)
        assert metered.import_wh[place][known].tolist() == expected.tolist()
    assert gain.std() == pytest.approx(0.05, rel=0.4)


def test_a_missing_half_hour_stays_missing_and_moves_no_other():
    whole, holed = Street(), Street(meter=EvMeter(missing_share=0.1))
    full, found = whole.told(AssetReadings).import_wh, holed.told(AssetReadings).import_wh
    missing = found == MISSING_WH
    assert missing.mean() == pytest.approx(0.1, abs=0.022)  # 3,840 half-hours: 4.5 standard errors
    assert np.array_equal(found[~missing], full[~missing])
    assert found.min() == MISSING_WH
    for period, truth in enumerate(holed.truths[:48]):
        assert truth.missing.sum() == missing[:, period].sum()
        assert truth.metered_wh.sum() == found[:, period][~missing[:, period]].sum()


def test_a_day_that_was_not_collected_is_missing_whole():
    street = Street(homes={"smart_share": 1.0, "not_communicating_share": 0.0, "daily_missing_share": 0.3})
    missing = street.told(BoundaryReadings).import_wh == MISSING_WH
    assert np.array_equal(missing.any(axis=1), missing.all(axis=1))
    assert 0 < missing.all(axis=1).sum() < len(missing)
    assert (street.told(AssetReadings).import_wh >= 0).all()


def test_a_home_without_a_talking_smart_meter_has_no_boundary_reading():
    homes = {"smart_share": 1.0, "hh_settled_share": 0.5, "not_communicating_share": 1.0}
    assert (Street(homes=homes).told(BoundaryReadings).import_wh == MISSING_WH).all()


def test_readings_of_a_day_are_sent_once_at_eight_the_next_morning_to_those_who_use_them(street):
    due_ms = periods.local_clock_ms(DAY + timedelta(days=1), 8)
    assert [(now_ms, to, type(message)) for now_ms, to, message in street.sent] == [
        (due_ms, "aggregator", BoundaryReadings),
        (due_ms, "settlement", BoundaryReadings),
        (due_ms, "aggregator", AssetReadings),
        (due_ms, "settlement", AssetReadings),
    ]


def test_a_second_day_begins_where_the_first_ended():
    street = Street(days=2)
    asset = [m for _, to, m in street.sent if to == "settlement" and isinstance(m, AssetReadings)]
    assert [message.day for message in asset] == [DAY, DAY + timedelta(days=1)]
    total_wh = sum(message.import_wh.sum(axis=1, dtype=np.int64) for message in asset)
    gain = street.population.spec["wh_per_mj"]
    assert total_wh.tolist() == [
        int(mj * g) for mj, g in zip(street.registers_mj[96].tolist(), gain, strict=True)
    ]


def test_sums_by_cell_are_sums_of_cars(street):
    cell = street.population.cell
    for truth in street.truths[30:40]:
        for place in range(len(truth.import_wh)):
            assert truth.import_wh[place] == truth.row_import_wh[cell == place].sum()
            assert truth.without_wh[place] == truth.row_without_wh[cell == place].sum()


def test_without_instructions_the_counterfactual_is_the_truth(street):
    for truth in street.truths:
        assert np.array_equal(truth.row_import_wh, truth.row_without_wh)


def test_base_load_of_all_homes_is_the_sum_of_homes(street):
    by_gsp = street.meters.homes_base_wh(DAY)
    every_home = street.base.day_wh(np.arange(CARS, dtype=np.int64), DAY)
    gsp = street.population.homes.gsp
    assert by_gsp.shape == (len(street.population.homes.gsp_names), 48)
    for place in np.unique(gsp):
        assert by_gsp[place].tolist() == every_home[gsp == place].sum(axis=0).tolist()


def test_half_hours_of_the_largest_charger_allowed_fit():
    street = Street(charger_w=((40_000, 1.0),), battery_mean_wh=110_000)
    assert max(int(truth.row_import_wh.max()) for truth in street.truths) > 19_000
    assert street.told(AssetReadings).import_wh.min() >= 0
