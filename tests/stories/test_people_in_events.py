"""People in events: homes that are asked, that act by hand, that say no, that complain, and that are paid."""

from functools import cache

import numpy as np
import pytest

from protocol.messages import Setpoints, Technology
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario

BY_HAND = """
flextwin: 1
name: by-hand
seed: {seed}
clock: {{start: 2024-01-16, history_days: 14, settlement_days: 2}}
record: {{level: homes, csv: false}}
homes: {{count: 2000, gsp_groups: {{_C: 1.0}}, smart_share: 100 %, not_communicating_share: 0 %}}
evs: {{share: 0 %}}
people:
  opt_in: {{share: {share} %}}
  by_hand: {{share: 100 %}}
aggregator: {{loop_idle: 5 min, dfs: {{ask: true, expected_opt_in: 30 %}}}}
markets:
  rules: {{dfs: {{min_unit_mw: 0.01}}}}
  dfs:
    share: 100 %
    events:
      - {{start: 17:30, end: 18:30, turn_down: 1 MW, guaranteed_price: 3000 GBP/MWh, test: true}}
"""


class Lived:
    """A run, its tables, and every set-point that was said."""

    def __init__(self, folder, text):
        place = RunFolder(folder)
        place.claim()
        self.run = run = Run(parse_scenario(text, "people.yaml"), place)
        self.said = []
        hear = run.post.heard

        def heard(mail):
            self.said.append(mail)
            hear(mail)

        run.post.heard = heard
        run.live_history()
        self.outcome = run.go("", None, None)
        self.table = cache(lambda name: place.table(name).to_pandas())


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("people") / "run", BY_HAND.format(seed=3, share=30))


def test_smoke(by_hand):
    t = by_hand.table
    print(t("participation"))
    print(t("deliveries").T)
    print(t("settlement").T)
    print(t("events")[["kind", "detail"]].to_string())
    h = t("half_hourly")
    h = h[h.service == "dfs"]
    print(h[["period", "base_wh", "base_without_wh"]].iloc[30:45])
    print(by_hand.outcome)
