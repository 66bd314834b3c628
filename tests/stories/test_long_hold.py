"""A portfolio holds longer than any member may be held, because parties take turns: told on another seed."""

from pathlib import Path

import pytest

from aggregator.technologies import NATURES
from protocol.messages import Technology
from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_file import load_scenario

SCENARIO = Path(__file__).parents[2] / "scenarios" / "long-hold.yaml"
HOUR_MS = 3_600_000


class Lived:
    """The run on seed 2, and how long each heat pump stood under limits, looked at every five minutes."""

    LOOK_MS = 300_000

    def __init__(self, folder):
        scenario = load_scenario(SCENARIO).model_copy(update={"seed": 2})
        place = RunFolder(folder)
        place.claim()
        self.run = run = Run(scenario, place)
        run.live_history()
        self.held_since_s, self.longest_s, self.held = {}, {}, []
        self.looked_ms = 0
        self.outcome = run.go("", self.look, None)
        self.deliveries = place.table("deliveries").to_pandas()

    def look(self, now_ms, _import_w, _faults):
        if now_ms - self.looked_ms < self.LOOK_MS:
            return
        self.looked_ms = now_ms
        held = set()
        for place, part in enumerate(self.run.population.within_reach):
            if part.kind.technology is Technology.HEAT_PUMP:
                since_s = self.run.fleet.fleets[place].state.rows["limit_since_s"]
                for row in since_s.nonzero()[0].tolist():
                    held.add(row)
                    lasted_s = now_ms // 1000 - int(since_s[row])
                    self.longest_s[row] = max(self.longest_s.get(row, 0), lasted_s)
        self.held.append((now_ms, held))


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    return Lived(tmp_path_factory.mktemp("long") / "run")


def test_the_portfolio_is_instructed_and_delivers_longer_than_a_member_may_be_held(lived):
    assert lived.outcome.degraded == ()
    asked = lived.deliveries[lived.deliveries["instructed_wh"] > 0]
    longest_ms = NATURES[Technology.HEAT_PUMP].stored_hold_ms
    assert len(asked) * HOUR_MS // 2 > longest_ms
    assert (asked["true_wh"] > 0).all()
    assert asked["true_wh"].sum() > 0.5 * asked["instructed_wh"].sum()


def test_no_member_is_held_longer_than_it_may_be_and_the_last_hour_is_others(lived):
    longest_ms = NATURES[Technology.HEAT_PUMP].stored_hold_ms
    assert 0 < max(lived.longest_s.values()) * 1000 <= longest_ms + lived.LOOK_MS
    start_ms, end_ms = lived.deliveries["at_ms"].min(), lived.deliveries["end_ms"].max()
    first = set.union(*(held for at_ms, held in lived.held if start_ms < at_ms < start_ms + HOUR_MS))
    last = set.union(*(held for at_ms, held in lived.held if end_ms - HOUR_MS < at_ms < end_ms))
    assert len(first) > 20
    assert len(last) > 20
    assert len(last - first) > 0.3 * len(last)
