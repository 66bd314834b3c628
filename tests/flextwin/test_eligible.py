"""`flextwin eligible` says of every asset and service: yes, or the clause; and what another day moves."""

import pytest

SCENARIO = """flextwin: 1
name: street
clock: {start: 2022-11-15}
homes: {count: 2000, gsp_groups: {_P: 1}}
evs: {share: 50 %}
"""
GRANTED = """markets:
  derogations: [bsc_k_s_nhh_secondary_bmu, bscp503, op_metering_60s_2p5pct]
"""


@pytest.fixture
def street(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "street.yaml").write_text(SCENARIO)
    (tmp_path / "granted.yaml").write_text(SCENARIO + GRANTED)
    return tmp_path


def test_a_table_says_yes_or_which_clause_blocks(command, street):
    said = command("eligible", "street.yaml")
    assert said.code == 0
    (row,) = [line for line in said.out.splitlines() if line.startswith("ev, automated, HH-metered")]
    assert row.split()[5:9] == ["[6]", "yes", "[10]", "yes"]  # BM, TCM, LCM, DFS
    assert "settlement status: the site is HH-metered, not settled half-hourly" in said.out
    assert "Section K, Section S [P] CrowdFlex WP5, sections 2.1.1 and 4.4.1" in said.out
    assert "under the rules of 2022-11-15" in said.out
    assert max(map(len, said.out.splitlines()[:8])) <= 130


def test_the_scenarios_derogations_hold(command, street):
    plain = command("eligible", "street.yaml", "--json").json
    granted = command("eligible", "granted.yaml", "--json").json
    assert plain["services"]["bm"]["eligible"]["sites"] == 0
    assert granted["services"]["bm"]["eligible"]["sites"] > 400
    assert {name for name in plain["services"] if plain["services"][name] != granted["services"][name]} == {
        "bm",
        "wholesale",
    }


def test_against_a_day_and_against_a_derogation_the_rules_that_differ_are_told(command, street):
    said = command("eligible", "street.yaml", "--date", "2025-11-05", "--against", "2025-11-06")
    assert "What moves: 2025-11-05 -> 2025-11-06" in said.out
    assert "bsc.hh_settlement_required_with_asset_meter: True -> False   P483" in said.out
    told = command("eligible", "street.yaml", "--against", "dfs_asset_metering", "--json").json
    assert list(told["against"]["moves"]) == ["dfs"]
    assert told["against"]["derogations"] == ["dfs_asset_metering"]
    rules = [move["rule"] for move in told["against"]["moves"]["dfs"]]
    assert "dfs.metering_level" in rules
    more = told["against"]["services"]["dfs"]["eligible"]["sites"]
    assert more > told["services"]["dfs"]["eligible"]["sites"]


def test_as_if_enrolled_already(command, street):
    blocked = command("eligible", "street.yaml", "--with", "sustain", "--json").json["services"]["dfs"]
    assert blocked["eligible"]["sites"] == 0
    assert "exclusivity" in {block["dimension"] for block in blocked["blocks"]}
    free = command("eligible", "street.yaml", "--with", "sustain", "--date", "2025-01-15", "--json").json
    assert free["services"]["dfs"]["eligible"]["sites"] > 500


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--against", "dfs_asset_meter"), "the nearest is 'dfs_asset_metering'"),
        (("--date", "15/11/2022"), "'15/11/2022' is no day; write 2024-01-16"),
        (("--with", "fdr"), "there is no service 'fdr'; there are bm, tcm"),
    ],
)
def test_what_is_misspelt_is_told(command, street, words, told):
    said = command("eligible", "street.yaml", *words)
    assert said.code == 2
    assert told in said.err
