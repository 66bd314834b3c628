"""A derogation moves what reads the rules that it patches, and not a byte of anything else: paired runs."""

from __future__ import annotations

from hashlib import sha256

import pyarrow.parquet as pq
import pytest

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
