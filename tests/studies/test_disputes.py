"""Disputes: what may be raised until when, what is upheld by which rule, and lines that are never edited."""

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from markets.statement_lines import balances_gbp_e5
from protocol.messages import StatementLine
from protocol.periods import HOUR_MS, PERIOD_MS, local_clock_ms
from protocol.rulebook import load_rulebook
from protocol.settlement_calendar import Run, run_date, timetable
from sim.run_folder import MANIFEST, RunFolder, schema
from sim.scenario_errors import ScenarioErrors
from sim.tables import TABLES
from studies.disputes import ledger, read_disputes, settle_disputes

DAY = date(2024, 1, 16)
START = local_clock_ms(DAY, 17)
HEARD = START + 20 * HOUR_MS
TEXT = "flextwin: 1\nname: drawn\nclock: {start: 2024-01-16}\n"
UNIT = {"service": "dfs", "unit": "DFS001", "reference": "E001"}
BM = {"service": "balancing", "unit": "_A", "reference": "1"}


def paid(line, volume_mwh, price, amount, item="DFS utilisation", run="II", **more):
    return {
        "line": line, "heard_ms": HEARD, "settlement_run": run, **UNIT, "start_ms": START, "item": item,
        "volume_mwh": volume_mwh, "price_gbp_per_mwh": price, "amount_gbp_e5": amount,
        "payer": "neso" if amount >= 0 else "aggregator", "payee": "aggregator" if amount >= 0 else "neso",
        "clause": "", **more,
    }  # fmt: skip


def volume(line, missing, **more):
    return {
        "line": line, "heard_ms": HEARD, **UNIT, "start_ms": START, "end_ms": START + PERIOD_MS,
        "baseline_wh": 1_000_000, "metered_wh": 600_000, "delivered_wh": 400_000, "accepted_wh": 500_000,
        "homes": 100, "homes_missing": missing, **more,
    }  # fmt: skip


TABLES_TOLD = {
    "settlement": [
        paid(0, 0.4, 90.0, 3_600_000),
        paid(1, 0.4, 90.0, 3_600_000),
        paid(2, -0.1, 60.0, -600_000, "imbalance", **BM),
        paid(3, 0.1, 150.0, -900_000, "QNDO pair +1", **BM),
    ],
    "settled_volumes": [volume(0, 2), volume(1, 1, **BM)],
    "market_levels": [
        {"line": 0, "heard_ms": START, **UNIT, "what": "binding", "telling": "B1", "place": 0, "at_ms": START,
         "level_mw": 1.0, "price_gbp_per_mwh": 100.0},
    ],
}  # fmt: skip
EMPTY = ("deliveries", "instructions", "events", "beliefs", "half_hourly", "registry_changes", "devices")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    for name in (*TABLES_TOLD, *EMPTY):
        fields = [field.with_nullable(True) for field in schema(TABLES[name])]
        rows = pa.Table.from_pylist(TABLES_TOLD.get(name, []), pa.schema(fields))
        pq.write_table(rows, path / f"{name}.parquet")
    found = RunFolder(path)
    found.write_json(MANIFEST, {"tables": {}, "scenario": {"text": TEXT}})
    return found


def read(folder, text):
    path = folder.path.parent / "disputes.yaml"
    path.write_text(text, encoding="utf-8")
    return read_disputes(path, folder)


def judged(folder, *disputes):
    text = "disputes:\n" + "".join(f"  - {{{words}}}\n" for words in disputes)
    return settle_disputes(folder, read(folder, text))


ONE_METER = "readings: [{meter: 5, baseline_wh: 900, metered_wh: 100}]"
MISSING = f"id: D1, line: 0, ground: missing_meter, raised: 2024-01-18, {ONE_METER}"


def test_a_meter_that_was_missing_is_paid_in_the_next_run_with_new_lines(folder):
    (outcome,) = judged(folder, MISSING)
    taken_back, anew = outcome.lines
    assert taken_back["item"] == "DFS utilisation of II reversed"
    assert (taken_back["amount_gbp_e5"], anew["amount_gbp_e5"]) == (
        -3_600_000,
        3_607_200,
    )  # 0.8 kWh at GBP 90
    assert (taken_back["line"], anew["line"]) == (4, 5)
    assert taken_back["settlement_run"] == anew["settlement_run"] == "SF"
    assert outcome.restated_gbp_e5 == 7_200
    assert [step.state for step in outcome.steps] == ["raised", "upheld", "restated"]
    assert outcome.steps[-1].on == run_date(DAY, Run.SF, load_rulebook("bsc", DAY))


def test_stated_lines_are_as_they_were_and_money_still_sums_to_nothing(folder):
    before = (folder.path / "settlement.parquet").read_bytes()
    (outcome,) = judged(folder, MISSING)
    assert (folder.path / "settlement.parquet").read_bytes() == before
    names = [name for name in TABLES_TOLD["settlement"][0] if name not in {"line", "heard_ms"}]
    lines = [
        StatementLine(**{name: line[name] for name in names})
        for line in (*TABLES_TOLD["settlement"], *outcome.lines)
    ]
    assert sum(balances_gbp_e5(lines).values()) == 0


def test_the_last_day_is_the_day_on_which_the_post_final_run_closes(folder):
    runs = timetable(DAY, load_rulebook("bsc", DAY), disputed=True)
    last = runs[-1].readings_by
    on_time = MISSING.replace("2024-01-18", str(last))
    late = MISSING.replace("2024-01-18", str(last.replace(day=last.day + 1)))
    (good,), (bad,) = judged(folder, on_time), judged(folder, late)
    assert good.upheld
    assert good.lines[0]["settlement_run"] == "DF"
    assert good.deadline == bad.deadline == last
    assert [step.state for step in bad.steps] == ["raised", "out of time"]
    assert not bad.upheld


REJECTED = {
    "nothing is shown": ("id: D1, line: 0, ground: late_meter, raised: 2024-01-18", "no evidence"),
    "more meters than are missing": (
        "id: D1, line: 0, ground: missing_meter, raised: 2024-01-18, readings: ["
        + ", ".join(f"{{meter: {n}, baseline_wh: 9, metered_wh: 1}}" for n in range(3)) + "]",
        "3 meters are told, and 2 carry nothing",
    ),
    "a meter twice": (
        "id: D1, line: 0, ground: missing_meter, raised: 2024-01-18, readings: ["
        + ", ".join(["{meter: 1, baseline_wh: 9, metered_wh: 1}"] * 2) + "]",
        "told twice",
    ),
    "nobody had too few days": (MISSING.replace("missing_meter", "baseline_status"), "0 carry nothing"),
    "no MSID was rejected": (MISSING.replace("missing_meter", "rejected_msid"), "0 carry nothing"),
    "a price nobody bid": (
        "id: D1, line: 0, ground: price, raised: 2024-01-18, price_gbp_per_mwh: 120", "no bid at 120",
    ),
    "no price told": ("id: D1, line: 0, ground: price, raised: 2024-01-18", "no evidence"),
    "no line before is the same": ("id: D1, line: 0, ground: duplicate, raised: 2024-01-18", "no line"),
    "readings do not restate non-delivery": (
        MISSING.replace("line: 0", "line: 3"), "dispute the imbalance line",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REJECTED)
def test_what_its_rule_does_not_bear_is_rejected_and_told_why(folder, what):
    words, why = REJECTED[what]
    (outcome,) = judged(folder, words)
    assert [step.state for step in outcome.steps] == ["raised", "rejected"]
    assert why in outcome.steps[-1].words
    assert outcome.lines == ()
    assert outcome.restated_gbp_e5 == 0


def test_the_price_that_binds_is_paid(folder):
    words = "id: D1, line: 0, ground: price, raised: 2024-01-18, price_gbp_per_mwh: 100"
    (outcome,) = judged(folder, words)
    assert outcome.restated_gbp_e5 == 400_000  # 0.4 MWh at GBP 10 more


def test_a_line_that_came_twice_is_taken_back_once(folder):
    (outcome,) = judged(folder, "id: D1, line: 1, ground: duplicate, raised: 2024-01-18")
    assert outcome.restated_gbp_e5 == -3_600_000
    assert outcome.lines[1]["amount_gbp_e5"] == 0


def test_a_reading_restates_imbalance(folder):
    (outcome,) = judged(folder, MISSING.replace("line: 0", "line: 2"))
    assert outcome.restated_gbp_e5 == 4_800  # 0.8 kWh less short at GBP 60
    assert (outcome.lines[1]["payer"], outcome.lines[1]["payee"]) == ("aggregator", "neso")


def test_one_line_is_reversed_once_and_the_earlier_dispute_has_it(folder):
    later = MISSING.replace("D1", "D2").replace("-18", "-19")
    outcomes = judged(folder, later, MISSING)
    assert [each.dispute.name for each in outcomes] == ["D1", "D2"]
    assert [each.upheld for each in outcomes] == [True, False]
    assert outcomes[1].steps[-1].words == "the line was reversed by D1"
    days = [step.on for step in ledger(outcomes)]
    assert days == sorted(days)


WRONG = {
    "- {id: D1}": ("2:5: S021", "`line` is missing"),
    "- {id: D1, line: 99, ground: price, raised: 2024-01-18}": ("2:20: S023", "0 to 3"),
    "- {id: D1, line: true, ground: price, raised: 2024-01-18}": ("2:20: S023", "got `true`"),
    "- {id: D1, line: 0, ground: whim, raised: 2024-01-18}": ("2:31: S024", "late_meter"),
    "- {id: D1, line: 0, ground: price, raised: soon}": ("S035", "got `soon`"),
    "- {id: D1, line: 0, ground: price, raised: 2024-01-01}": ("S063", "heard on 2024-01-17"),
    "- {id: D1, line: 0, ground: price, raised: 2024-01-18, why: so}": ("S020", "got `why`"),
    "- {id: D1, line: 0, ground: price, raised: 2024-01-18, readings: 5}": ("S022", "list"),
    "- {id: D1, line: 0, ground: price, raised: 2024-01-18, price_gbp_per_mwh: dear}": ("S022", "number"),
    "- {id: D1, line: 0, ground: price, raised: 2024-01-18, readings: [{meter: 1}]}": ("S021", "metered_wh"),
    "- five": ("2:5: S022", "section"),
    "five": ("2:3: S022", "list"),
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_in_the_file_is_told_with_its_place(folder, words):
    with pytest.raises(ScenarioErrors) as caught:
        read(folder, f"disputes:\n  {words}\n")
    code, told = WRONG[words]
    assert "disputes.yaml:2:" in str(caught.value)
    assert code in str(caught.value)
    assert told in str(caught.value)


def test_two_disputes_of_one_name_are_refused(folder):
    with pytest.raises(ScenarioErrors, match="3:10: S024 the id of another dispute"):
        read(folder, f"disputes:\n  - {{{MISSING}}}\n  - {{{MISSING}}}\n")


def test_json_is_read_too(folder):
    text = '{"disputes": [{"id": "D1", "line": 1, "ground": "duplicate", "raised": "2024-01-18"}]}'
    (dispute,) = read(folder, text)
    assert (dispute.line, dispute.raised) == (1, date(2024, 1, 18))
