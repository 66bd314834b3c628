"""Every service in and around the hour of a clock change: each period of 46 or 50 is there once."""

from datetime import date, timedelta
from functools import cache

import pytest

from protocol.periods import PERIOD_MS, day_end_ms, day_periods_ms, day_start_ms, local_clock_ms, period_count
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario
from studies.reconciliation import reconcile

NIGHT = """
flextwin: 1
name: clock-change
seed: 3
clock: {{start: {start}, days: 2, history_days: 42, checkpoint_every: 24 h}}
homes:
  count: 700
  gsp_groups: {{_A: 1.0}}
  gsps_per_group: 2
  smart_share: 1.0
  hh_settled_share: 1.0
  network: {{zone_share: 60 %, zones_per_group: 2}}
record: {{level: homes, csv: false}}
evs:
  share: 1.0
  telematics_share: 0 %
  annual_miles_median: 40000
  battery_mean: 90 kWh
  charger: [[22 kW, 1.0]]
comms: {{profile: realistic}}
aggregator:
  loop_idle: 5 min
  loop_active: 2 min
  cost_per_hold: 2 GBP/MWh
  services: {{order: [tcm, secure, sustain_h, wholesale, capacity_market]}}
markets:
  enrolment: rules
  rules:
    dfs: {{min_unit_mw: 0.01}}
    bm: {{min_unit_mw: 0.01}}
    eligibility:
      tcm_min_unit_mw: 0.01
      dso_min_unit_mw: 0.01
      wholesale_min_unit_mw: 0.01
      capacity_market_min_unit_mw: 0.01
  dfs:
    share: 40 %
    events: [{{day: 1, start: 00:30, end: 03:00, turn_down: 0.1 MW}}]
  balancing:
    share: 40 %
    acceptances: [{{day: 1, start: 00:30, end: 03:00, turn_down: 1 MW}}]
  local:
    sustain_h:
      share: 40 %
      events: [{{zone: _A/cmz00, day: 1, start: 00:00, end: 03:00, turn_down: 0.03 MW}}]
    secure:
      share: 40 %
      events:
        - {{zone: _A/cmz01, day: 1, start: 00:00, end: 04:00, turn_down: 0.05 MW,
           calls: [{{start: 00:30, end: 02:30}}]}}
  constraint:
    tcm:
      share: 70 %
      events: [{{gsp: _A00, day: 1, start: 00:30, end: 02:30, turn_down: 0.03 MW}}]
  wholesale: {{share: 25 %, strategy: {{margin: 0 GBP/MWh}}}}
  capacity:
    share: 20 %
    notices: [{{day: 1, start: 00:30, end: 03:00, load_following_share: 10 %}}]
  retail: {{share: 1.0, cheap: [["00:00", "05:00"]], cars_follow_share: 1.0}}
"""
"""Cars charge from midnight on, as their tariff bids them, so that there is something to hold in the hour."""

WINDOWS = {
    "dfs": ((0, 30), (3, 0)),
    "tcm": ((0, 30), (2, 30)),
    "secure": ((0, 30), (2, 30)),
    "sustain_h": ((0, 0), (3, 0)),
    "capacity_market": ((0, 30), (3, 0)),
}
"""On the wall clock: an hour less or more of them passes."""
ASKED_WH = {"dfs": 50_000, "tcm": 15_000, "secure": 25_000, "sustain_h": 15_000}
SERVICES = {*WINDOWS, "balancing", "wholesale"}


@pytest.fixture(
    scope="module",
    params=[(date(2027, 3, 28), 46), (date(2026, 10, 25), 50)],
    ids=["46 periods", "50 periods"],
)
def night(request, tmp_path_factory):
    """The day, how many periods it has, its tables, and its folder."""
    day, count = request.param
    text = NIGHT.format(start=day - timedelta(days=1))
    folder = RunFolder(tmp_path_factory.mktemp("night") / "run")
    folder.claim()
    run = Run(parse_scenario(text, "clock-change.yaml"), folder)
    run.live_history()
    assert run.go(text, None, None).degraded == ()
    return day, count, cache(lambda name: folder.table(name).to_pandas()), folder


def starts_of(table, service, day):
    """When the periods of a service begin that were settled of the day, in order."""
    mine = table[(table["service"] == service) & (table["start_ms"].astype("int64") >= day_start_ms(day))]
    return mine.sort_values("start_ms")


def test_every_service_is_settled_in_every_period_of_its_window_and_in_no_other(night):
    day, count, table, _ = night
    assert period_count(day) == count
    volumes = table("settled_volumes")
    assert set(volumes["service"]) == SERVICES
    for service, (start, end) in WINDOWS.items():
        expected = list(range(local_clock_ms(day, *start), local_clock_ms(day, *end), PERIOD_MS))
        assert starts_of(volumes, service, day)["start_ms"].astype("int64").tolist() == expected, service
        assert len(expected) == 2 * (end[0] - start[0]) + (end[1] - start[1]) // 30 + (count - 48)


def test_no_period_is_settled_twice_nor_lies_beyond_the_day(night):
    day, count, table, _ = night
    volumes = table("settled_volumes")
    assert not volumes.duplicated(["service", "unit", "reference", "start_ms"]).any()
    traded = volumes[volumes["service"].isin(["balancing", "wholesale"])]
    assert not traded.duplicated(["service", "unit", "start_ms"]).any()
    periods = day_periods_ms(day)[:-1]
    assert len(periods) == count
    assert set(volumes["start_ms"].astype("int64")) <= {*day_periods_ms(day - timedelta(days=1)), *periods}
    assert ((volumes["end_ms"] - volumes["start_ms"]).astype("int64") == PERIOD_MS).all()
    assert (table("settlement")["start_ms"].astype("int64") < day_end_ms(day)).all()


def test_as_much_is_asked_for_on_both_sides_of_the_change(night):
    day, _, table, _ = night
    volumes, deliveries = table("settled_volumes"), table("deliveries")
    for service, wh in ASKED_WH.items():
        assert set(starts_of(volumes, service, day)["accepted_wh"]) == {wh}, service
        instructed = deliveries[deliveries["service"] == service]
        assert set(instructed["instructed_wh"]) == {wh}, service
        assert len(instructed) == len(starts_of(volumes, service, day)), service
    # One acceptance or two: 1 MW for what passes of 00:30 to 03:00, ramps apart.
    accepted = volumes[volumes["service"] == "balancing"].groupby("start_ms")["accepted_wh"].sum()
    assert len(accepted) >= 3
    assert accepted.between(490_000, 500_000).all()


def test_more_was_drawn_without_instructions_than_with_them_in_the_changed_hours(night):
    _, _, table, _ = night
    truth = table("deliveries").groupby("service")["true_wh"].sum()
    for service in SERVICES - {"wholesale"}:
        assert truth[service] > 0, service


def test_the_day_s_energy_is_in_its_periods(night):
    day, count, table, _ = night
    halves = table("half_hourly")
    at_ms = halves.loc[halves["at_ms"].astype("int64") >= day_start_ms(day), "at_ms"].astype("int64")
    assert sorted(set(at_ms)) == list(day_periods_ms(day)[:-1])
    cells = halves[["service", "unit"]].drop_duplicates()
    assert len(at_ms) == count * len(cells)


def test_money_sums_to_nothing_and_is_of_its_volume(night):
    _, _, table, _ = night
    lines = table("settlement")
    amount = lines["amount_gbp_e5"].astype(int)
    received, paid = (amount.abs().groupby(lines[side]).sum() for side in ("payee", "payer"))
    balance = received.sub(paid, fill_value=0)
    assert balance.sum() == 0
    assert balance["aggregator"] == amount.sum()
    assert set(lines["service"]) == SERVICES
    assert not lines.duplicated(["service", "unit", "reference", "start_ms", "item"]).any()


def test_every_difference_has_its_cause(night):
    folder = night[-1]
    rows = reconcile(folder)
    assert {row.service for row in rows} == SERVICES
    assert [row for row in rows if row.unexplained] == []
