"""A DFS Unit is asked to draw more at night, on both clock-change days too; one that cannot is out."""

from datetime import date, timedelta

import pytest

from protocol.periods import local_clock_ms
from sim import scenario as sc
from sim.run import run_scenario
from sim.run_folder import RunFolder
from sim.scenario_devices import Batteries


def night(first_day, *, metering="boundary", **event):
    """Two days of a small street of batteries in one zone; the event is on the second."""
    asked = sc.DfsEvent(day=1, end="04:00", turn_down_mw=-0.5, zones=("_P",), test=True, **event)
    return sc.Scenario(
        flextwin=1,
        name="night",
        seed=7,
        clock=sc.Clock(start=first_day, days=2, history_days=14, settlement_days=1),
        record=sc.Record(level=sc.RecordLevel.PORTFOLIO),
        homes=sc.Homes(
            count=400, gsp_groups={"_N": 0.1, "_P": 0.9}, smart_share=1.0, not_communicating_share=0.0
        ),
        evs=sc.Evs(share=0.0),
        batteries=Batteries(share=0.8, cheap=()),
        markets=sc.Markets(dfs=sc.Dfs(share=1.0, events=(asked,), metering=metering)),
    )


def lived(scenario, folder):
    assert run_scenario(scenario, folder, text="").degraded == ()
    told = RunFolder(folder)
    return [
        told.table(name).to_pylist() for name in ("market_levels", "settled_volumes", "settlement", "events")
    ]


# 28 March 2027: 01:00 to 02:00 is left out. 25 October 2026: it comes twice, and the first is meant.
@pytest.mark.parametrize(
    ("day", "start", "periods"),
    [(date(2026, 6, 11), "02:00", 4), (date(2027, 3, 28), "00:30", 5), (date(2026, 10, 25), "01:00", 8)],
)
def test_a_zones_batteries_draw_more_when_asked_and_are_paid_for_it(tmp_path, day, start, periods):
    levels, volumes, lines, _ = lived(night(day - timedelta(days=1), start=start), tmp_path / "run")
    first_ms, over_ms = local_clock_ms(day, *map(int, start.split(":"))), local_clock_ms(day, 4)
    assert (over_ms - first_ms) // 1_800_000 == periods
    bound = [row for row in levels if row["what"] == "binding"]
    assert {row["unit"] for row in bound} == {"DFS_P001"}
    assert len(volumes) == len(lines) == sum(row["level_mw"] != 0 for row in bound)
    assert all(first_ms <= row["start_ms"] < over_ms for row in volumes)
    for row, line in zip(volumes, lines, strict=True):
        assert row["accepted_wh"] < 0 < row["metered_wh"]
        assert row["delivered_wh"] == pytest.approx(row["baseline_wh"] - row["metered_wh"], abs=1)
        assert line["volume_mwh"] == pytest.approx(-row["delivered_wh"] / 1e6)
        assert line["price_gbp_per_mwh"] == 180.0
    share = sum(row["delivered_wh"] for row in volumes) / sum(row["accepted_wh"] for row in volumes)
    assert share > 0.75
    assert sum(line["amount_gbp_e5"] for line in lines) > 0


def test_a_unit_that_cannot_be_reached_fails_five_tests_and_is_deregistered(tmp_path):
    fair = night(date(2026, 6, 10), start="01:00")
    tests = [
        sc.DfsEvent(day=1, start=f"0{hour}:00", end=f"0{hour}:30", turn_down_mw=-0.5, test=True)
        for hour in range(1, 6)
    ]
    unheard = sc.Outage(
        kind="region", name="_P", day=1, start="00:00", duration_ms=86_400_000, messages="setpoints"
    )
    dfs = fair.markets.dfs.model_copy(update={"events": tuple(tests)})
    scenario = fair.model_copy(
        update={
            "markets": fair.markets.model_copy(update={"dfs": dfs}),
            "comms": sc.Comms(outages=(unheard,)),
        }
    )
    _, volumes, lines, events = lived(scenario, tmp_path / "run")
    assert {row["reference"] for row in volumes} == {f"E00{number}" for number in range(1, 6)}
    assert all(abs(row["delivered_wh"]) < 0.5 * abs(row["accepted_wh"]) for row in volumes)
    assert all(line["amount_gbp_e5"] < 0.5 * 180 * 0.05 * 100_000 for line in lines)
    (out,) = [row["detail"] for row in events if row["kind"] == "dfs_deregistered"]
    assert out == "unit DFS_P001 failed too often up to 2026-06-11 (Deregistration)"
