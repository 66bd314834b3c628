"""Every shipped scenario does what it says; when a rule or a dispatch rule changes, one of them turns red."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import aggregator.loop
import markets.metered_volume
from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario import Scenario
from sim.scenario_file import load_scenario
from studies.check import BandResult, judge
from studies.kpis import compute_kpis

FOLDER = Path(__file__).parents[2] / "scenarios"
SMALL = (
    "bm-turn-down",
    "clock-change-march",
    "clock-change-october",
    "cold-snap-heat-pumps",
    "constraint-night",
    "demo",
    "derogation-trial",
    "dfs-turn-up-night",
    "economy-7-night-rts-failures",
    "every-service",
    "long-hold",
    "mixed-portfolio-vendor-outage",
    "nothing",
    "settlement-runs",
    "sunny-sunday-turn-up",
    "vendor-outage",
    "wholesale-vtp",
    "winter-evening-dfs",
)


def judged(scenario: Scenario, out: Path) -> tuple[BandResult, ...]:
    """The bands of a scenario after a run."""
    outcome = run_scenario(scenario, out, text="")
    assert outcome.degraded == ()
    return judge(scenario.expect, compute_kpis(RunFolder(out)))


def red(results: tuple[BandResult, ...]) -> list[str]:
    return [f"{band.kpi}: wanted {band.wanted}, found {band.found}" for band in results if not band.green]


@pytest.mark.parametrize("name", SMALL)
def test_a_shipped_scenario_keeps_within_its_bands(name: str, tmp_path: Path) -> None:
    results = judged(load_scenario(FOLDER / f"{name}.yaml"), tmp_path / "run")
    assert len(results) >= 5
    assert red(results) == []


def refusals(scenario: Scenario, out: Path) -> dict[str, str]:
    """Why the buyer took no offer of an event, by event."""
    run_scenario(scenario, out, text="")
    rows = RunFolder(out).table("events", ["kind", "who", "subject", "detail"]).to_pylist()
    awards = [row for row in rows if row["kind"] == "service_award"]
    return {row["subject"]: row["detail"].partition(" refused: ")[2] for row in awards}


def test_an_offer_behind_a_boundary_is_refused_for_no_other_reason_than_the_limit_beside_it(
    tmp_path: Path,
) -> None:
    scenario = load_scenario(FOLDER / "constraint-night.yaml")
    as_shipped = refusals(scenario, tmp_path / "shipped")
    assert as_shipped["TCM-001"] == as_shipped["LCM-001"] == ""
    assert as_shipped["TCM-002"].startswith("_P00 is on the wrong side of boundary B4")
    assert as_shipped["TCM-003"].startswith("it makes a new constraint at boundary north")
    lifted = refusals(with_limit(scenario, "north", 6.0), tmp_path / "lifted")
    assert lifted == as_shipped | {"TCM-003": ""}


def with_limit(scenario: Scenario, boundary: str, import_mw: float) -> Scenario:
    """The scenario with another limit of what a boundary carries inwards."""
    constraint = scenario.markets.constraint
    limit = constraint.boundaries[boundary].model_copy(update={"import_limit_mw": import_mw})
    bounds = {**constraint.boundaries, boundary: limit}
    constraint = constraint.model_copy(update={"boundaries": bounds})
    markets = scenario.markets.model_copy(update={"constraint": constraint})
    return scenario.model_copy(update={"markets": markets})


def with_rule(book: str, rule: str, value: Any) -> Callable[[Scenario, pytest.MonkeyPatch], Scenario]:
    """Another value for one rule."""
    return lambda scenario, _: scenario.model_copy(
        update={"markets": scenario.markets.model_copy(update={"rules": {book: {rule: value}}})}
    )


def shortest_slack_first(scenario: Scenario, patch: pytest.MonkeyPatch) -> Scenario:
    honest = aggregator.loop.choose

    def choose(*args: Any, longest_first: bool, **named: Any) -> Any:
        return honest(*args, longest_first=not longest_first, **named)

    patch.setattr(aggregator.loop, "choose", choose)
    return scenario


def let_go_all_at_once(scenario: Scenario, patch: pytest.MonkeyPatch) -> Scenario:
    honest = aggregator.loop.spread_release
    patch.setattr(aggregator.loop, "spread_release", lambda *args: honest(*args[:-1], 1))
    return scenario


def bid_a_tenth_more(scenario: Scenario, patch: pytest.MonkeyPatch) -> Scenario:
    honest = aggregator.loop.dfs_megawatts
    patch.setattr(
        aggregator.loop,
        "dfs_megawatts",
        lambda *args, **named: tuple(1.1 * mw for mw in honest(*args, **named)),
    )
    return scenario


def forget_the_newest_day(scenario: Scenario, patch: pytest.MonkeyPatch) -> Scenario:
    honest = markets.metered_volume.bl01

    def bl01(
        history_wh: Any, days: Any, delivery_day: Any, metered: Any, event_days: Any, *rest: Any, **named: Any
    ) -> Any:
        return honest(
            history_wh[:, :-1], days[:-1], delivery_day, metered, event_days[:, :-1], *rest, **named
        )

    patch.setattr(markets.metered_volume, "bl01", bl01)
    return scenario


def count_on_cold_rooms(scenario: Scenario, patch: pytest.MonkeyPatch) -> Scenario:
    patch.setattr(aggregator.loop.Aggregator, "_warm_share", lambda *_: 1.0)
    return scenario


def without_outages(scenario: Scenario, _: pytest.MonkeyPatch) -> Scenario:
    return scenario.model_copy(update={"comms": scenario.comms.model_copy(update={"outages": ()})})


PLANTED = {
    "no in-day adjustment in 2022/23": ("winter-evening-dfs", with_rule("dfs", "in_day_adjustment", "none")),
    "transmission losses of one per cent": ("clock-change-march", with_rule("bsc", "tlm", 0.99)),
    "shortest slack first": ("winter-evening-dfs", shortest_slack_first),
    "no staged release": ("winter-evening-dfs", let_go_all_at_once),
    "bids a tenth above the forecast": ("winter-evening-dfs", bid_a_tenth_more),
    "a baseline that forgets the newest day": ("winter-evening-dfs", forget_the_newest_day),
    "bids that count on cold rooms": ("cold-snap-heat-pumps", count_on_cold_rooms),
    "clouds that stay up": ("mixed-portfolio-vendor-outage", without_outages),
}


@pytest.mark.parametrize("plant", PLANTED)
def test_a_planted_change_turns_a_shipped_scenario_red(
    plant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, change = PLANTED[plant]
    scenario = change(load_scenario(FOLDER / f"{name}.yaml"), monkeypatch)
    assert red(judged(scenario, tmp_path / "run")) != []
