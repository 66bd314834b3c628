"""People in events: homes that are asked, that act by hand, that say no, that complain, and that are paid."""

from functools import cache

import numpy as np
import pytest

from protocol.messages import Answer, DfsParticipants, EventAnswers, EventNotice, Setpoints, Technology
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario
from studies.kpis import compute_kpis

HEAD = """
flextwin: 1
name: people
seed: 3
record: {level: homes, csv: false}
"""
EVENT = "{start: 17:30, end: 18:30, turn_down: 1 MW, guaranteed_price: 3000 GBP/MWh, test: true}"
BY_HAND = f"""{HEAD}
clock: {{start: 2024-01-16, history_days: 14, settlement_days: 2}}
homes: {{count: 2000, gsp_groups: {{_C: 1.0}}, smart_share: 100 %, not_communicating_share: 0 %}}
evs: {{share: 0 %}}
people:
  opt_in: {{share: SHARE}}
  by_hand: {{share: 100 %}}
aggregator: {{loop_idle: 5 min, dfs: {{ask: true, expected_opt_in: 30 %}}}}
markets:
  rules: {{dfs: {{min_unit_mw: 0.01}}}}
  dfs: {{share: 100 %, events: [{EVENT}]}}
"""
CARS = f"""{HEAD}
clock: {{start: 2024-01-16, history_days: 7, settlement_days: 2}}
homes: {{count: 300, gsp_groups: {{_C: 1.0}}, smart_share: 100 %}}
evs: {{share: 70 %, annual_miles_median: 40000, charger: [[22 kW, 1.0]], battery_mean: 90 kWh}}
washing_machines: {{share: 60 %, reached_share: 100 %, acts_share: 100 %}}
dishwashers: {{share: 60 %, reached_share: 100 %, acts_share: 100 %}}
people:
  opt_in: {{share: 50 %, refuses_share: 50 %}}
  by_hand: {{share: 100 %}}
aggregator: {{loop_idle: 5 min, dfs: {{ask: true, expected_opt_in: 50 %, expected_by_hand: 3 kW}}}}
markets:
  rules: {{dfs: {{min_unit_mw: 0.01}}}}
  dfs: {{share: 100 %, events: [{EVENT}]}}
"""
COLD = f"""{HEAD}
clock: {{start: 2024-01-16, history_days: 2, settlement_days: 1}}
homes: {{count: 250, gsp_groups: {{_C: 1.0}}, smart_share: 100 %}}
evs: {{share: 0 %}}
heat_pumps: {{share: 100 %, hybrid_share: 0 %}}
weather: {{offset_c: -8}}
people:
  comfort: {{complains_share: 100 %, below_k: 0.5, after: 20 min, withdraws_share: 50 %}}
aggregator: {{loop_idle: 5 min, dfs: {{ask: false}}}}
markets:
  rules: {{dfs: {{min_unit_mw: 0.01}}}}
  dfs:
    share: 100 %
    events:
      - {EVENT.replace("18:30", "19:30")}
      - {EVENT.replace("17:30", "20:30").replace("18:30", "21:30")}
"""


class Lived:
    """A run, its tables, and all mail with the moment at which it was delivered."""

    def __init__(self, folder, text):
        place = RunFolder(folder)
        place.claim()
        self.run = run = Run(parse_scenario(text, "people.yaml"), place)
        self.mail = []
        hear = run.post.heard

        def heard(mail):
            self.mail.append((mail.due_ms, mail.to, mail.message))
            hear(mail)

        run.post.heard = heard
        run.live_history()
        self.outcome = run.go("", None, None)
        self.table = cache(lambda name: place.table(name).to_pandas())
        self.kpis = compute_kpis(place)

    def said(self, kind, to):
        return [
            (at_ms, message) for at_ms, whom, message in self.mail if type(message) is kind and whom == to
        ]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("by_hand") / "run", BY_HAND.replace("SHARE", "30 %"))


@pytest.fixture(scope="module")
def nobody(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("nobody") / "run", BY_HAND.replace("SHARE", "0 %"))


@pytest.fixture(scope="module")
def cars(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("cars") / "run", CARS)


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("cold") / "run", COLD)


# -------- two thousand homes with nothing but their people


def test_homes_without_any_device_are_asked_act_by_hand_and_are_paid(by_hand):
    assert by_hand.outcome.degraded == ()
    assert len(by_hand.run.population.home) == 0
    kpis = by_hand.kpis
    assert 0.25 < kpis["opt_in_share"] < 0.30  # 30 %, less the notices that nobody read
    assert kpis["gbp_dfs"] > 100
    assert kpis["instructions_completed"] == 1


def test_what_people_leave_off_is_true_delivery_and_forty_per_cent_of_what_they_used(by_hand):
    told = by_hand.table("participation").iloc[0]
    deliveries = by_hand.table("deliveries")
    assert deliveries["true_wh"].min() > 0
    period = by_hand.table("half_hourly").query("service == 'dfs'").set_index("period")
    # Period 37, 18:00-18:30: everybody who remembers has begun.
    used_wh = period.loc[37, "base_without_wh"] * told["homes_in"] / 2000
    assert deliveries["true_wh"].iloc[1] == pytest.approx(0.4 * used_wh, rel=0.15)
    left_off_wh = period["base_without_wh"] - period["base_wh"]
    assert deliveries["true_wh"].tolist() == left_off_wh[[36, 37]].tolist()


def test_a_part_comes_back_in_the_ninety_minutes_after(by_hand):
    period = by_hand.table("half_hourly").query("service == 'dfs'").set_index("period")
    left_off_wh = period["base_without_wh"] - period["base_wh"]
    assert (left_off_wh[[38, 39, 40]] < 0).all()
    came_back = -left_off_wh[[38, 39, 40]].sum() / left_off_wh[[36, 37]].sum()
    assert 0.29 < came_back <= 0.30  # whole Wh of each home, rounded down
    assert (left_off_wh.drop([36, 37, 38, 39, 40]) == 0).all()


def test_settlement_settles_those_who_said_yes_before_it_began_and_nobody_else(by_hand):
    (_, participants), *again = by_hand.said(DfsParticipants, "settlement")
    assert not again
    notice_ms, notice = by_hand.said(EventNotice, "households")[0]
    answers = by_hand.said(EventAnswers, "aggregator")
    yes = [answer.homes[answer.answer == Answer.IN] for at_ms, answer in answers if at_ms <= notice.start_ms]
    assert participants.homes.tolist() == np.unique(np.concatenate(yes)).tolist()
    assert set(by_hand.table("settled_volumes")["homes"]) == {len(participants.homes)}
    assert all(
        notice_ms <= answer.event_ms.min() and answer.event_ms.max() <= at_ms for at_ms, answer in answers
    )


def test_nobody_responds_to_an_event_when_nobody_wants_to(nobody):
    period = nobody.table("half_hourly")
    assert (period["base_wh"] == period["base_without_wh"]).all()
    assert nobody.kpis["opt_in_share"] == 0
    assert nobody.kpis["manual_mwh"] == 0
    assert nobody.kpis["gbp_dfs"] == 0
    assert nobody.kpis["opt_outs"] > 100


def test_nobody_acts_in_an_event_that_is_called_off_and_nobody_is_paid(tmp_path):
    text = BY_HAND.replace("SHARE", "30 %").replace("test: true}", "test: true, cancelled: 17:00}")
    lived = Lived(tmp_path / "run", text)
    assert [at_ms for at_ms, _ in lived.said(EventNotice, "households")]
    period = lived.table("half_hourly")
    assert (period["base_wh"] == period["base_without_wh"]).all()
    assert lived.kpis["gbp_dfs"] == 0
    assert "opt_in_share" not in lived.kpis


# -------- cars and white goods in homes that are asked


def yes_of(lived):
    """Homes that are in, by instruction, at the end of all answers."""
    last = {}
    for _, answer in lived.said(EventAnswers, "aggregator"):
        for home, said in zip(answer.homes.tolist(), answer.answer.tolist(), strict=True):
            last[answer.instruction_id, home] = said
    return {key for key, said in last.items() if said == Answer.IN}


def test_only_homes_that_said_yes_are_ever_told_anything_for_the_event(cars):
    registration, yes = cars.run.population.registration, yes_of(cars)
    told = {
        (message.instruction_id, int(home))
        for _, message in cars.said(Setpoints, "gateway")
        for home in registration.home[message.rows]
    }
    assert len(told) > 20
    assert told <= yes
    assert 0 < len(yes) < len(np.unique(registration.home))


def test_the_white_goods_of_homes_that_said_yes_wait(cars):
    technology = cars.run.population.registration.technology
    asked = [
        message
        for _, message in cars.said(Setpoints, "gateway")
        if (technology[message.rows] == Technology.APPLIANCE).all()
    ]
    assert sum(len(message.rows) for message in asked) > 30
    lived, without = cars.run.fleet, cars.run.without
    goods = [
        place
        for place, part in enumerate(cars.run.population.parts)
        if part.kind.technology is Technology.APPLIANCE
    ]
    assert any(
        (lived.fleets[k].state.rows["sequence"] != without.fleets[k].state.rows["sequence"]).any()
        for k in goods
    )


def test_homes_with_cars_and_homes_by_hand_are_different_units_and_both_deliver(cars):
    deliveries = cars.table("deliveries").groupby("unit").sum(numeric_only=True)
    assert {"DFS001", "DFSH001"} == set(deliveries.index)
    assert (deliveries["true_wh"] > 0).all()
    # Its owner expects 3 kW of everybody, and it knows no better.
    assert deliveries.loc["DFSH001", "believed_wh"] > 5 * deliveries.loc["DFSH001", "true_wh"]
    by_hand = cars.run.population.by_hand
    steered = cars.run.population.registration.technology != Technology.APPLIANCE
    assert not np.isin(cars.run.population.registration.home[steered], by_hand).any()


# -------- the cold


def test_homes_held_too_long_in_the_cold_complain_and_some_want_no_more(cold):
    complaints = cold.table("complaints")
    assert cold.kpis["complaints"] == len(complaints) > 5
    assert complaints["home"].is_unique  # once a day at most
    withdrawn = complaints[complaints["withdraws"]]
    assert 0 < len(withdrawn) < len(complaints)
    late_ms = int(withdrawn["at_ms"].max())
    registration = cold.run.population.registration
    limits = [
        np.isin(registration.home[message.rows[message.limit_w >= 0]], withdrawn["home"])
        for at_ms, message in cold.said(Setpoints, "gateway")
        if at_ms > late_ms
    ]
    assert sum(len(limit) for limit in limits) > 0
    assert not np.concatenate(limits).any()
