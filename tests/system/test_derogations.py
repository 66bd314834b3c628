"""A derogation moves what reads the rules that it patches, and not a byte of anything else: paired runs."""

from __future__ import annotations

from hashlib import sha256

import pyarrow.parquet as pq
import pytest

from sim.run import Run
from sim.run_folder import RunFolder
from sim.scenario_file import parse_scenario


@pytest.fixture
def live(make_run, small_text):
    """The folder of the small world under derogations, all else the same."""

    def lived(derogations):
        text = small_text.replace("level: devices", "level: homes")
        text = text.replace("history_days: 7", "history_days: 21")  # enough for a baseline
        text = text.replace("markets:\n", f"markets:\n  derogations: [{derogations}]\n")
        run = make_run(parse_scenario(text, "small.yaml"))
        run.go("", None, None)
        return run.folder.path

    return lived


def hashes(folder):
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.parquet"))}


def test_a_derogation_changes_nothing_outside_its_causal_cone(live):
    plain = live("")
    alone = hashes(plain)
    assert {"settlement.parquet", "instructions.parquet", "portfolio_1s.parquet"} <= set(alone)
    assert "dfs" in pq.read_table(plain / "settlement.parquet")["service"].to_pylist()
    # Nobody reads the rule of the first while services are given out by shares; the second is the ESO's.
    metered = live("bsc_k_s_nhh_secondary_bmu, op_metering_60s_2p5pct")
    assert {name for name, found in hashes(metered).items() if found != alone[name]} == {"events.parquet"}
    assert kinds(plain) - kinds(metered) == {"metering_late"}
    assert told(plain, "metering_late") == told(metered, "metering_late")


def kinds(folder):
    return set(pq.read_table(folder / "events.parquet")["kind"].to_pylist())


def told(folder, without):
    rows = pq.read_table(folder / "events.parquet").to_pylist()
    return [row for row in rows if row["kind"] != without]


EVERY_SERVICE = """
flextwin: 1
name: cone
seed: 1
clock: {{start: {start}, days: 2, history_days: 21, checkpoint_every: 24 h}}
record: {{level: devices, csv: false}}
homes:
  count: 800
  gsp_groups: {{_P: 1.0}}
  gsps_per_group: 2
  smart_share: 95 %
  hh_settled_share: 60 %
  network: {{zone_share: 50 %, zones_per_group: 2}}
evs:
  share: 1.0
  telematics_share: 10 %
  annual_miles_median: 40000
  battery_mean: 90 kWh
  charger: [[22 kW, 1.0]]
comms: {{profile: realistic}}
aggregator: {{loop_idle: 5 min, loop_active: 2 min, cost_per_hold: 2 GBP/MWh}}
markets:
  enrolment: rules
  derogations: [{derogations}]
  rules:
    dfs: {{min_unit_mw: 0.01}}
    bm: {{min_unit_mw: 0.01}}
    eligibility:
      tcm_min_unit_mw: 0.01
      lcm_min_unit_mw: 0.01
      dso_min_unit_mw: 0.01
      wholesale_min_unit_mw: 0.01
      capacity_market_min_unit_mw: 0.01
  dfs:
    share: 25 %
    events:
      - {{day: 1, start: 17:00, end: 18:00, turn_down: 0.2 MW, guaranteed_price: 3000 GBP/MWh, test: true}}
  balancing:
    share: 60 %
    operational_metering: proposed_2022
    acceptances: [{{day: 0, start: 19:30, end: 20:30, turn_down: 1 MW}}]
  local:
    sustain_h:
      share: 50 %
      events: [{{zone: _P/cmz01, day: 1, start: 17:00, end: 19:00, turn_down: 0.05 MW}}]
    secure:
      share: 50 %
      events: [{{zone: _P/cmz00, day: 1, start: 17:00, end: 19:00, turn_down: 0.03 MW}}]
  constraint:
    tcm:
      share: 40 %
      events: [{{gsp: _P00, day: 1, start: 20:00, end: 21:00, turn_down: 0.03 MW}}]
    lcm:
      share: 60 %
      events: [{{gsp: _P00, day: 1, start: 21:00, end: 22:00, turn_down: -0.03 MW}}]
  wholesale: {{share: 40 %, strategy: {{margin: 0 GBP/MWh}}}}
  capacity:
    share: 30 %
    notices: [{{day: 1, start: 17:00, end: 18:00, load_following_share: 20 %}}]
"""
SANDBOX = (
    "bsc_k_s_nhh_secondary_bmu", "bscp503", "op_metering_60s_2p5pct", "op_metering_latency_60s",
)  # fmt: skip
"""All that a secondary BM Unit of such homes needs in 2023."""
ALONE_OF_NO_USE = (
    "bsc_k_s_nhh_secondary_bmu", "bscp503", "op_metering_latency_60s", "dfs_asset_metering", "cop11_type5",
)  # fmt: skip
"""Another clause still keeps everybody out, or nobody's meter asks for it."""


@pytest.fixture(scope="module")
def every_service(tmp_path_factory):
    """Tables of the world of every service under derogations, lived once each."""
    lived = {}

    def tables(*derogations, start="2023-01-24"):
        if (derogations, start) not in lived:
            folder = RunFolder(tmp_path_factory.mktemp("cone") / "run")
            folder.claim()
            text = EVERY_SERVICE.format(start=start, derogations=", ".join(derogations))
            run = Run(parse_scenario(text, "cone.yaml"), folder)
            run.live_history()
            assert run.go(text, None, None).degraded == ()
            names = [path.stem for path in sorted(folder.path.glob("*.parquet"))]
            lived[derogations, start] = {name: folder.table(name).to_pandas() for name in names}
        return lived[derogations, start]

    return tables


def moved(before, after):
    """Where two runs differ: by table, which services, kinds of event, or of a table with neither, {""}."""
    found = {}
    assert set(before) == set(after)
    for name in before:
        one, other = (tables[name].drop(columns="line", errors="ignore") for tables in (before, after))
        by = "kind" if name == "events" else "service" if "service" in one else None
        if by is None:
            differ = set() if one.equals(other) else {""}
        else:
            values = {*one[by].dropna(), *other[by].dropna()}
            differ = {each for each in values if not rows_of(one, by, each).equals(rows_of(other, by, each))}
        if differ:
            found[name] = differ
    return found


def rows_of(table, by, value):
    return table[table[by] == value].reset_index(drop=True)


def services(found):
    """All services that a run's tables differ in, events apart."""
    return {each for name, differ in found.items() if name != "events" for each in differ}


def told_of_dfs(tables):
    """What befell devices of DFS, and what they were ordered."""
    mine = of_dfs(tables, "device_events")
    return tables["device_events"][mine].drop(columns="line", errors="ignore").reset_index(drop=True)


def told_of_others(tables):
    """The same of all others."""
    others = ~of_dfs(tables, "device_events")
    return tables["device_events"][others].drop(columns="line", errors="ignore").reset_index(drop=True)


def of_dfs(tables, name):
    devices = tables["devices"]
    return tables[name]["row"].isin(devices.loc[devices["service"] == "dfs", "row"])


ENROLMENT = {
    "capacity_agreement", "fpn_residue", "metering_late", "not_eligible", "not_in_service", "no_service_unit",
    "offer_refused", "no_offer", "nothing_to_offer", "service_award", "service_nomination", "service_offer",
    "service_unit", "service_unit_answer", "degraded_forecast", "acceptance_not_issued", "month_not_over",
    "short_of_assets", "performance_shown", "service_dispatch", "service_dispatch_answer",
}  # fmt: skip
"""What is said of who is in which unit, and of what the units then offer."""


def test_a_derogation_that_lets_nobody_in_moves_only_what_is_said_of_who_is_left_out(every_service):
    found = moved(every_service(), every_service(*ALONE_OF_NO_USE))
    assert found == {"events": {"not_eligible"}}


def test_metering_let_in_moves_sites_into_the_bm_and_out_of_what_they_may_not_be_in_besides(every_service):
    before, after = every_service(), every_service("op_metering_60s_2p5pct")
    found = moved(before, after)
    assert found["devices"] == {"balancing", "none"}
    for name in ("settlement", "settled_volumes"):
        assert "dfs" not in found.get(name, set()), name
    # What is believed of DFS is sampled when the loop turns, and that is when anything is to be held.
    columns = ["instruction_id", "at_ms", "instructed_wh", "settled_wh", "true_wh"]
    one, other = (rows_of(tables["deliveries"], "service", "dfs")[columns] for tables in (before, after))
    assert not one.empty
    assert one.equals(other)
    assert "not_eligible" in found["events"]
    assert (after["devices"]["service"] == "balancing").sum() > 50
    # Assets of DFS may be in nothing besides, so they are driven, held back and told the same.
    assert told_of_dfs(before).equals(told_of_dfs(after))


def test_a_derogation_in_dfs_leaves_the_bm_and_its_money_as_they_are(every_service):
    before, after = every_service(*SANDBOX), every_service(*SANDBOX, "dfs_stacking")
    found = moved(before, after)
    assert {"balancing", "dfs"} <= set(before["settlement"]["service"])
    assert "balancing" not in services(found)
    assert {"not_in_service", "service_unit"} <= found["events"] <= ENROLMENT
    for name in ("half_hourly", "portfolio_1s", "technology_half_hourly"):
        assert found.get(name, set()) <= {"dfs"}, name
    assert "devices" not in found
    # Only assets of DFS are in other units than they were; all others do, and are told, the same.
    assert told_of_others(before).equals(told_of_others(after))


def test_lcm_at_the_asset_moves_units_of_the_lcm_alone(every_service):
    day = "2025-01-14"
    found = moved(every_service(start=day), every_service("lcm_asset_metering", start=day))
    assert "lcm" in services(found)
    assert not {"dfs", "balancing", "capacity_market"} & services(found)
    assert {"not_in_service", "service_unit"} <= found["events"] <= ENROLMENT
    assert "devices" not in found
