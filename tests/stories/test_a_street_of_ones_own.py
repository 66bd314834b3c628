"""Fifty homes of a registry, under a summer's weather and with their own meter data, live to the pounds."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.homes import mpan_of
from sim.importers import DataErrors
from sim.run import resume_run, run_scenario
from sim.scenario_file import parse_scenario

TEXT = """
flextwin: 1
name: street
seed: 2
clock: {start: 2023-01-24, history_days: 12, checkpoint_every: 12 h, settlement_days: 2}
record: {level: homes, csv: false}
population: {source: file, file: own/street.csv}
homes: {history_file: meters/street.csv}
weather: {source: hourly, file: hours.csv, of_year: 2019}
evs: {annual_miles_median: 40000, return_weekday: [[17.3, 0.3, 1.0]], plug_in_always_share: 100 %}
aggregator: {loop_idle: 10 min, loop_active: 60 s}
markets:
  rules: {dfs: {min_unit_mw: 0.01}}
  dfs:
    share: 1.0
    events:
      - {start: 18:00, end: 19:00, turn_down: 1 MW, guaranteed_price: 3000 GBP/MWh, test: true}
"""
HEADER = "home,mpan,technology,rating_kw,capacity_kwh,gsp,route,vendor,settlement"


def mpans():
    return mpan_of(np.full(50, 12), 1_000_000_000 + 97 * np.arange(50)).tolist()


def put_files(folder: Path):
    for name in ("own", "meters"):
        (folder / name).mkdir()
    rows = [f"home{n},{mpan},ev,22,90,_C,evcp_4g,,hh_settled" for n, mpan in enumerate(mpans())]
    (folder / "own" / "street.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    reads = [
        f"{mpans()[0]},2023-01-24T{half // 2:02d}:{30 * (half % 2):02d}Z,{1000 + half}" for half in range(48)
    ]
    (folder / "meters" / "street.csv").write_text("\n".join(["mpan,utc_start,import_wh", *reads]) + "\n")
    hours = [
        f"2019-{month:02d}-{day:02d}T{hour:02d}:00Z,5,0"
        for month, days in ((1, 31), (2, 10))
        for day in range(1, days + 1)
        for hour in range(24)
    ]
    (folder / "hours.csv").write_text("\n".join(["utc_start,temperature_c,global_w_per_m2", *hours]) + "\n")


@pytest.fixture
def street(tmp_path, monkeypatch):
    """The scenario's folder."""
    monkeypatch.chdir(tmp_path)
    put_files(tmp_path)
    return tmp_path


def test_a_registry_of_fifty_homes_earns_pounds_and_says_what_was_drawn(street):
    out = street / "run"
    assert not run_scenario(parse_scenario(TEXT), out, text=TEXT, data=street).degraded
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["homes"] == 50
    assert manifest["population"] == {
        "homes": 50, "assets": 50, "drawn": ["gsp", "service", "tariff", "vendor"],
    }  # fmt: skip
    digests = {
        name: hashlib.sha256((street / name).read_bytes()).hexdigest()
        for name in ("hours.csv", "meters/street.csv", "own/street.csv")
    }
    assert manifest["inputs"] == digests
    paid = pq.read_table(out / "settlement.parquet", columns=["amount_gbp_e5"])["amount_gbp_e5"].to_pylist()
    assert sum(paid) > 0
    homes = pq.read_table(out / "homes.parquet").to_pylist()
    assert {home["own_id"] for home in homes} == {f"home{n}" for n in range(50)}
    first = next(home["home"] for home in homes if home["own_id"] == "home0")
    lived = pq.read_table(out / "home_half_hourly.parquet").to_pylist()
    assert [row["base_wh"] for row in lived if row["home"] == first] == [1000 + half for half in range(48)]


def test_a_registry_that_changes_before_the_run_goes_on_is_refused(street):
    out = street / "run"
    text = TEXT.replace("history_days: 12", "history_days: 0")
    scenario = parse_scenario(text)
    assert run_scenario(scenario, out, text=text, data=street, stop=lambda: True).interrupted
    file = street / "own" / "street.csv"
    whole = file.read_text()
    file.write_text(whole.replace(",22,", ",21,", 1))
    with pytest.raises(DataErrors) as caught:
        resume_run(out)
    assert str(caught.value).startswith(f"{file}:1:1: D008 the file changed since the run began")


def test_nothing_is_begun_with_a_registry_that_does_not_hold(street):
    file = street / "own" / "street.csv"
    file.write_text(file.read_text().replace(",22,90,", ",22 kW,90,", 1))
    with pytest.raises(DataErrors, match=r"street\.csv:2:4: D010"):
        run_scenario(parse_scenario(TEXT), street / "run", text=TEXT, data=street)
    assert not (street / "run").exists()
