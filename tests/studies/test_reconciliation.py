"""Four views agree or every watt-hour between them has one cause; what has none is told and is red."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, local_clock_ms
from sim.run import run_scenario
from sim.run_folder import MANIFEST, RunFolder, RunFolderError, schema
from sim.scenario_file import parse_scenario
from sim.tables import TABLES
from studies.reconciliation import Cause, difference, reconcile

TEXT = """
flextwin: 1
name: drawn
clock: {start: 2024-01-16}
markets:
  rules: {dfs: {min_unit_mw: 0.1}}
"""
START = local_clock_ms(parse_scenario(TEXT, "drawn").clock.start, 17)
HEARD = START + 20 * HOUR_MS
UNIT, EVENT = "DFS001", "E001"
NAMES = (
    "market_levels", "settled_volumes", "deliveries", "settlement", "instructions", "events", "beliefs",
    "half_hourly", "registry_changes", "devices",
)  # fmt: skip


def level(
    what, at_ms=START, mw=1.0, telling="B1", place=0, service="dfs", unit=UNIT, reference=EVENT, price=100.0
):
    return {
        "heard_ms": START - HOUR_MS, "service": service, "unit": unit, "reference": reference, "what": what,
        "telling": telling, "place": place, "at_ms": at_ms, "level_mw": mw, "price_gbp_per_mwh": price,
    }  # fmt: skip


def volume(metered=500_000, baseline=1_000_000, delivered=None, homes=100, missing=0, heard_ms=HEARD, **more):
    return {
        "heard_ms": heard_ms, "service": "dfs", "unit": UNIT, "reference": EVENT, "start_ms": START,
        "end_ms": START + PERIOD_MS, "baseline_wh": baseline, "metered_wh": metered,
        "delivered_wh": baseline - metered if delivered is None else delivered, "accepted_wh": 500_000,
        "homes": homes, "homes_missing": missing, **more,
    }  # fmt: skip


def delivery(instructed=500_000, true=500_000, name=f"{EVENT}-{UNIT}", service="dfs", unit=UNIT):
    return {
        "service": service, "unit": unit, "instruction_id": name, "at_ms": START, "end_ms": START + PERIOD_MS,
        "instructed_wh": instructed, "true_wh": true,
    }  # fmt: skip


def paid(
    volume_mwh=0.5, price=100.0, amount=5_000_000, item="DFS utilisation", run="II", heard_ms=HEARD, **more
):
    return {
        "heard_ms": heard_ms, "settlement_run": run, "service": "dfs", "unit": UNIT, "reference": EVENT,
        "start_ms": START, "item": item, "volume_mwh": volume_mwh, "price_gbp_per_mwh": price,
        "amount_gbp_e5": amount, "payer": "neso", "payee": "aggregator", "clause": "", **more,
    }  # fmt: skip


def stage(what="completed", name=f"{EVENT}-{UNIT}", unit=UNIT):
    return {"instruction_id": name, "unit": unit, "stage": what}


def event(kind, subject="", detail="", at_ms=HEARD):
    return {"at_ms": at_ms, "kind": kind, "who": "", "subject": subject, "detail": detail}


def bound():
    return [level("bid", at_ms=None), level("accepted"), level("binding")]


def agreed():
    """An event of which all is as it should be."""
    return {
        "market_levels": bound(), "settled_volumes": [volume()], "deliveries": [delivery()],
        "settlement": [paid()], "instructions": [stage()],
    }  # fmt: skip


def written(path, tables, text=TEXT):
    path.mkdir(parents=True)
    for name in NAMES:
        numbered = [{"line": place, **row} for place, row in enumerate(tables.get(name, []))]
        fields = [field.with_nullable(True) for field in schema(TABLES[name])]
        pq.write_table(pa.Table.from_pylist(numbered, pa.schema(fields)), path / f"{name}.parquet")
    folder = RunFolder(path)
    folder.write_json(MANIFEST, {"tables": {}, "scenario": {"text": text}})
    return folder


def only(path, text=TEXT, **changes):
    """The only row of a run; where volumes are changed and lines are not, each is paid what it is worth."""
    if "settled_volumes" in changes:
        worth = [paid(amount=max(0, 10 * each["delivered_wh"])) for each in changes["settled_volumes"][-1:]]
        changes = {"settlement": worth, **changes}
    (row,) = reconcile(written(path / "run", {**agreed(), **changes}, text))
    return row


def parts(row, earlier, later):
    return next(
        each.parts for each in (*row.volumes, *row.money) if (each.earlier, each.later) == (earlier, later)
    )


def adds_up(row):
    return all(sum(each.parts.values()) == each.amount for each in (*row.volumes, *row.money))


def test_where_all_agree_there_is_nothing_to_explain(tmp_path):
    row = only(tmp_path)
    assert (row.traded_wh, row.notified_wh, row.instructed_wh, row.settled_wh) == (500_000,) * 4
    assert all(not each.parts for each in (*row.volumes, *row.money))
    assert row.reference == EVENT
    assert row.runs == (("II", 500_000),)


@given(
    metered=st.integers(0, 2_000_000), instructed=st.integers(-600_000, 600_000), missing=st.integers(0, 100),
    true=st.integers(-600_000, 600_000), amount=st.integers(-(10**8), 10**8), slip=st.integers(-50, 50),
)  # fmt: skip
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parts_always_add_up_to_the_difference(
    tmp_path_factory, metered, instructed, missing, true, amount, slip
):
    row = only(
        tmp_path_factory.mktemp("law"),
        settled_volumes=[volume(metered, delivered=1_000_000 - metered + slip, missing=missing)],
        deliveries=[delivery(instructed, true)],
        settlement=[paid(amount=amount)],
    )
    assert adds_up(row)
    chain = [each.amount for each in row.volumes if each.earlier in ("traded", "notified", "instructed")]
    assert sum(chain) == row.settled_wh - row.traded_wh


SHORT = 100_000
CAUSES = {
    "a bid came twice": (
        {"market_levels": [level("bid", at_ms=None), *bound()]},
        ("traded", "notified"), {Cause.DUPLICATE: -500_000},
    ),
    "another bid was refused": (
        {"market_levels": [
            *bound(), level("bid", at_ms=None, telling="B2", mw=0.4), level("refused", telling="B2", mw=0.4),
        ]},
        ("traded", "notified"), {Cause.REFUSED: -200_000},
    ),
    "the event was cancelled": (
        {"settled_volumes": [], "settlement": [], "deliveries": [delivery(0, 0)],
         "events": [event("dfs_cancellation", EVENT)]},
        ("traded", "notified"), {Cause.WITHDRAWN: -500_000},
    ),
    "the cleared bid is not the one bid": (
        {"market_levels": [*bound()[:2], level("binding", mw=0.8)],
         "settled_volumes": [volume(accepted_wh=400_000)]},
        ("traded", "notified"), {Cause.MISTOLD: -100_000},
    ),
    "the result told is not the one cleared": (
        {"market_levels": [level("bid", at_ms=None), level("accepted", mw=1.2), level("binding")],
         "deliveries": [delivery(600_000)]},
        ("notified", "instructed"), {Cause.MISTOLD: 100_000},
    ),
    "nobody told the aggregator": (
        {"deliveries": [], "market_levels": [level("bid", at_ms=None), level("binding")]},
        ("notified", "instructed"), {Cause.REFUSED: -500_000},
    ),
    "the instruction failed": (
        {"deliveries": [delivery(350_000)], "instructions": [stage("failed")]},
        ("notified", "instructed"), {Cause.ROUNDING: -1, Cause.WITHDRAWN: -149_999},
    ),
    "meters gave no reading": (
        {"settled_volumes": [volume(500_000 + SHORT, missing=20)]},
        ("instructed", "settled"), {Cause.MISSING_METER: -100_000},
    ),
    "meters had too few days": (
        {"settled_volumes": [volume(500_000 + SHORT, missing=20)], "events": [
            event("dfs_meters_counted_out", detail=f"{EVENT} {UNIT} 2024-01-16: of 100 meters up to 20 "
                  "delivered nothing for want of data (15 with too few days for a baseline); 0 went without"),
        ]},
        ("instructed", "settled"), {Cause.BASELINE_STATUS: -75_000, Cause.MISSING_METER: -25_000},
    ),
    "MSIDs were rejected": (
        {"settled_volumes": [volume(500_000 + SHORT, homes=80)],
         "devices": [{"row": n, "unit": "_A", "service": "dfs"} for n in range(100)],
         "registry_changes": [
             {"at_ms": START - HOUR_MS, "row": n, "home": n, "kind": "msid_deallocated", "heard_ms": START}
             for n in range(20)]},
        ("instructed", "settled"), {Cause.REJECTED_MSID: -100_000},
    ),
    "less was delivered": (
        {"settled_volumes": [volume(500_000 + SHORT)]},
        ("instructed", "settled"), {Cause.NON_DELIVERY: -SHORT},
    ),
    "more was delivered": (
        {"settled_volumes": [volume(500_000 - SHORT)]},
        ("instructed", "settled"), {Cause.OVER_DELIVERY: SHORT},
    ),
    "it drew more than its baseline": (
        {"settled_volumes": [volume(1_050_000)]},
        ("instructed", "settled"), {Cause.NON_DELIVERY: -500_000, Cause.REBOUND: -50_000},
    ),
    "home by home rounding": (
        {"settled_volumes": [volume(delivered=500_001)]},
        ("instructed", "settled"), {Cause.ROUNDING: 1},
    ),
    "a reading came late": (
        {"settled_volumes": [volume(600_000, missing=5), volume(heard_ms=HEARD + 1)],
         "settlement": [paid(), paid(run="SF", heard_ms=HEARD + 1)]},
        ("II", "SF"), {Cause.LATE_METER: 100_000},
    ),
    "a later run has fewer meters": (
        {"settled_volumes": [volume(), volume(520_000, homes=99, heard_ms=HEARD + 1)],
         "settlement": [paid(), paid(amount=4_800_000, run="SF", heard_ms=HEARD + 1)]},
        ("II", "SF"), {Cause.REJECTED_MSID: -20_000},
    ),
    "a later run has another baseline": (
        {"settled_volumes": [volume(), volume(baseline=990_000, heard_ms=HEARD + 1)],
         "settlement": [paid(), paid(amount=4_900_000, run="SF", heard_ms=HEARD + 1)]},
        ("II", "SF"), {Cause.BASELINE_STATUS: -10_000},
    ),
    "settlement took another price": (
        {"settlement": [paid(price=90.0, amount=4_500_000)]},
        ("worth", "paid"), {Cause.PRICE: -500_000},
    ),
    "a line came twice": (
        {"settlement": [paid(), paid()]},
        ("worth", "paid"), {Cause.DUPLICATE: 5_000_000},
    ),
    "less was paid for less": (
        {"settled_volumes": [volume(500_000 + SHORT)], "settlement": [paid(0.4, amount=4_000_000)]},
        ("worth", "paid"), {Cause.NON_DELIVERY: -1_000_000},
    ),
    "nothing is paid below nothing": (
        {"settled_volumes": [volume(1_050_000)], "settlement": [paid(-0.05, amount=0)]},
        ("worth", "paid"),
        {Cause.NON_DELIVERY: -5_000_000, Cause.REBOUND: -500_000, Cause.CAP_OR_CURVE: 500_000},
    ),
    "the baseline was wrong": (
        {"deliveries": [delivery(true=480_000)]},
        ("true", "settled"), {Cause.BASELINE_ERROR: 20_000},
    ),
    "meters misread, and people acted by hand": (
        {"deliveries": [delivery(true=480_000)], "half_hourly": [
            {"at_ms": START, "unit": "_A", "service": "dfs", "devices_wh": 300_000, "without_wh": 780_000,
             "base_wh": 190_000, "base_without_wh": 205_000, "asset_metered_wh": 0,
             "boundary_metered_wh": 500_000}]},
        ("true", "settled"),
        {Cause.METERING_ERROR: -10_000, Cause.BY_HAND: 15_000, Cause.BASELINE_ERROR: 15_000},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CAUSES)
def test_each_cause_is_told_apart_from_all_others(tmp_path, what):
    changes, views, expected = CAUSES[what]
    row = only(tmp_path, **changes)
    assert parts(row, *views) == expected
    assert adds_up(row)
    assert not row.unexplained


PLANTED = {
    "a volume that is not baseline less metered": {"settled_volumes": [volume(delivered=450_000)]},
    "an instruction that no market gave": {"deliveries": [delivery(400_000)]},
    "a payment that no rule gives": {"settlement": [paid(amount=4_999_000)]},
    "an accepted volume that nobody bid": {"settled_volumes": [volume(accepted_wh=450_000)]},
    "a later run without anything new": {
        "settled_volumes": [volume(), volume(delivered=480_000, heard_ms=HEARD + 1)],
        "settlement": [paid(), paid(0.48, amount=4_800_000, run="SF", heard_ms=HEARD + 1)],
    },
}


@pytest.mark.parametrize("what", PLANTED)
def test_what_no_rule_accounts_for_is_unexplained(tmp_path, what):
    row = only(tmp_path, **PLANTED[what])
    assert row.unexplained
    assert adds_up(row)


# ------------------------------------------------------------------------------------- Balancing Mechanism


def corners(what, name, points, reference):
    return [
        level(what, at_ms, mw, name, place, "balancing", "_A", reference, None)
        for place, (at_ms, mw) in enumerate(points)
    ]


def trapezium(mw):
    """Down by `mw` from -10 MW over the whole period, ramps of three minutes in it."""
    end_ms = START + PERIOD_MS
    ramp = 3 * MINUTE_MS
    return [(START, -10.0), (START + ramp, -10.0 + mw), (end_ms - ramp, -10.0 + mw), (end_ms, -10.0)]


def accepted(name, mw, reference="1", what="ORI"):
    return corners(what, name, trapezium(mw), reference)


FPN = corners("fpn", str(START), [(START, -10.0), (START + PERIOD_MS, -10.0)], "")
# 2 MW for 27 of 30 minutes: ramps give half.
WHOLE = 900_000


def settled_bm(metered=4_100_000, accepted_wh=WHOLE, **more):
    return volume(
        metered, 5_000_000, accepted_wh=accepted_wh, service="balancing", unit="_A", reference="1", **more
    )


def bm(path, levels, **changes):
    told = {
        "market_levels": [*FPN, *levels],
        "settled_volumes": [settled_bm()],
        "deliveries": [delivery(WHOLE, WHOLE, "_A-1", "balancing", "_A")],
        "instructions": [stage(name="_A-1", unit="_A")],
        **changes,
    }
    (row,) = reconcile(written(path / "run", told))
    return row


def test_an_acceptance_that_binds_as_it_was_told_needs_no_explanation(tmp_path):
    row = bm(tmp_path, [*accepted("1 5", 2.0), *accepted("1 5", 2.0, what="binding")])
    assert (row.traded_wh, row.notified_wh) == (WHOLE, WHOLE)
    assert not row.unexplained
    assert row.reference == "1"


def test_an_acceptance_sent_twice_is_a_duplicate(tmp_path):
    twice = [*accepted("1 5", 2.0), *accepted("1 5", 2.0)]
    row = bm(tmp_path, [*twice, *accepted("1 5", 2.0, what="binding")])
    assert parts(row, "traded", "notified") == {Cause.DUPLICATE: -WHOLE}


def test_an_amended_acceptance_is_withdrawn_and_a_declined_one_refused(tmp_path):
    told = [*accepted("1 5", 4.0), *accepted("1 6", 2.0, what="UPD"), *accepted("2 7", 1.0, "2")]
    bound = [*accepted("1 5", 4.0, what="binding"), *accepted("1 6", 2.0, what="binding")]
    row = bm(tmp_path, [*told, *bound])
    assert parts(row, "traded", "notified") == {Cause.WITHDRAWN: -2 * WHOLE, Cause.REFUSED: -WHOLE // 2}


def test_a_withdrawn_acceptance_stands_no_more(tmp_path):
    told = [*accepted("1 5", 2.0), *accepted("2 7", 1.0, "2"), *accepted("2 8", 1.0, "2", "DEL")]
    bound = [*accepted("1 5", 2.0, what="binding"), *accepted("2 7", 1.0, "2", "binding")]
    row = bm(tmp_path, [*told, *bound, *accepted("2 8", 1.0, "2", "unbound")])
    assert parts(row, "traded", "notified") == {Cause.WITHDRAWN: -WHOLE // 2}
    assert not row.unexplained


def test_of_two_acceptances_at_one_time_the_later_replaces_the_earlier(tmp_path):
    told = [*accepted("1 5", 2.0), *accepted("2 7", 1.0, "2")]
    both = [*accepted("1 5", 2.0, what="binding"), *accepted("2 7", 1.0, "2", what="binding")]
    row = bm(tmp_path, [*told, *both], settled_volumes=[settled_bm(4_550_000, WHOLE // 2)])
    assert parts(row, "traded", "notified") == {Cause.WITHDRAWN: -WHOLE}


def test_levels_held_from_turn_to_turn_are_rounding_up_to_what_they_can_miss_and_no_further(tmp_path):
    held = [{"at_ms": START + n * 30_000, "instruction_id": "_A-1", "unit": "_A",
             "instructed_turn_down_w": 2_000_000 * min(n, 6) // 6, "believed_turn_down_w": 0}
            for n in range(60)]  # fmt: skip
    levels = [*accepted("1 5", 2.0), *accepted("1 5", 2.0, what="binding")]
    near = bm(tmp_path / "near", levels, beliefs=held,
              deliveries=[delivery(WHOLE - 9_000, WHOLE, "_A-1", "balancing", "_A")])  # fmt: skip
    assert parts(near, "notified", "instructed") == {Cause.ROUNDING: -9_000}
    far = bm(tmp_path / "far", levels, beliefs=held,
             deliveries=[delivery(WHOLE - 300_000, WHOLE, "_A-1", "balancing", "_A")])  # fmt: skip
    assert parts(far, "notified", "instructed")[Cause.UNEXPLAINED] < -200_000


def test_what_the_fpn_was_off_the_truth_is_whole_megawatts_meters_and_forecast(tmp_path):
    cell = {"at_ms": START, "unit": "_A", "service": "balancing", "devices_wh": 4_080_000,
            "without_wh": 5_120_000, "asset_metered_wh": 4_100_000}  # fmt: skip
    row = bm(tmp_path, [*accepted("1 5", 2.0), *accepted("1 5", 2.0, what="binding")], half_hourly=[cell],
             deliveries=[delivery(WHOLE, 1_040_000, "_A-1", "balancing", "_A")])  # fmt: skip
    # The nearest whole MW to 10.24 MW is 10: 120 kWh less. Meters told 20 kWh too much.
    assert parts(row, "true", "settled") == {Cause.FPN_ROUNDING: -120_000, Cause.METERING_ERROR: -20_000}


def bm_line(item, mwh, price, amount, reference="1"):
    return paid(mwh, price, amount, item, service="balancing", unit="_A", reference=reference, payer="bsc")


def test_non_delivery_and_imbalance_are_what_a_shortfall_costs(tmp_path):
    lines = [
        bm_line("CO pair +1", 0.9, 150.0, 13_500_000),
        bm_line("QNDO pair +1", 0.1, 150.0, -900_000),
        bm_line("imbalance", -0.1, 60.0, -600_000),
    ]
    levels = [*accepted("1 5", 2.0), *accepted("1 5", 2.0, what="binding")]
    row = bm(tmp_path / "due", levels, settlement=lines, settled_volumes=[settled_bm(4_200_000)])
    assert parts(row, "worth", "paid") == {Cause.NON_DELIVERY: -1_500_000}
    lines[1]["amount_gbp_e5"] -= 100
    wrong = bm(tmp_path / "wrong", levels, settlement=lines, settled_volumes=[settled_bm(4_200_000)])
    assert wrong.unexplained == 100


# ------------------------------------------------------------------------------------------------- whole runs


TINY = """
flextwin: 1
name: tiny
seed: 1
clock: {start: 2024-01-16, history_days: 3, settlement_days: 1}
record: {level: portfolio, csv: false}
homes: {count: 800, gsp_groups: {_C: 1.0}}
evs: {share: 1.0, annual_miles_median: 60000, charger: [[22 kW, 1.0]], battery_mean: 90 kWh,
      meter: {gain_sd: 2 %, missing_share: 1 %}}
comms: {profile: realistic}
aggregator: {loop_idle: 5 min, loop_active: 30 s, confidence: 30 %}
markets:
  faults: {duplicate: 1.0}
  rules: {dfs: {min_unit_mw: 0.01}}
  dfs:
    share: 0.3
    events:
      - {start: 17:00, end: 18:00, turn_down: 1 MW, guaranteed_price: 3000 GBP/MWh, test: true}
  balancing:
    share: 0.7
    acceptances:
      - {start: 19:30, end: 20:30, turn_down: 1 MW}
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path: Path = tmp_path_factory.mktemp("tiny") / "run"
    run_scenario(parse_scenario(TINY, "tiny.yaml"), path, text=TINY)
    return RunFolder(path)


def test_in_a_whole_run_everything_is_explained(tiny):
    rows = reconcile(tiny)
    assert Counter(row.service for row in rows) == {"dfs": 2, "balancing": 2}
    assert all(adds_up(row) and not row.unexplained for row in rows)
    assert all(row.traded_wh and row.notified_wh for row in rows)
    twice = [row for row in rows if row.service == "balancing"]
    assert all(parts(row, "traded", "notified") == {Cause.DUPLICATE: -row.notified_wh} for row in twice)


def test_an_older_run_is_told_to_be_run_again(tmp_path):
    folder = written(tmp_path / "run", agreed())
    (tmp_path / "run" / "market_levels.parquet").unlink()
    with pytest.raises(RunFolderError, match="run it again"):
        reconcile(folder)


def test_what_is_left_over_is_unexplained():
    assert difference("a", "b", 5, [(Cause.PRICE, 3)]).parts == {Cause.PRICE: 3, Cause.UNEXPLAINED: 2}
