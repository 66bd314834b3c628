"""`flextwin enrol`: the document of a service holds whoever may serve it, once, and nobody else."""

import csv
import json
from datetime import date

import numpy as np
import pytest

from protocol.derogations import RulesOn
from protocol.eligibility import Level, UnitFacts, verdict
from protocol.products import Answer
from sim.asset_classes import classes_of
from sim.homes import mpan_of
from sim.population import make_population
from sim.run_folder import csv_of_words
from sim.scenario import Clock, Evs, Homes, Scenario
from studies.enrolment import COLUMNS, Entry, _cut, enrol, refused

HEADER = "home,mpan,technology,rating_kw,capacity_kwh,gsp,route,vendor,settlement,device,service"
DAY = date(2026, 10, 1)
"""DFS from 0.1 MW, P483, MHHS."""


def mpan(home, distributor=12):
    return int(mpan_of(np.array([distributor]), np.array([1_000_000_000 + 97 * home]))[0])


def row(home, technology="ev", rating="40", settlement="hh_settled", device="", service="none", number=None):
    number = number or mpan(home)
    return f"-h{home},{number},{technology},{rating},60,_C07,evcp_4g,,{settlement},{device},{service}"


STREET = [
    *[row(home) for home in range(1, 31)],  # 1.2 MW of settled cars
    row(1, device="second"),
    row(31, settlement="not_smart"),
    row(32, settlement="hh_metered"),
    row(33, service="balancing"),
    row(34, service="dfs"),
]


@pytest.fixture
def street(tmp_path, monkeypatch):
    """Writes a registry and its scenario: the folder."""

    def write(rows):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "registry.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        (tmp_path / "street.yaml").write_text(
            "flextwin: 1\nname: street\nclock: {start: 2026-10-01, history_days: 1}\n"
            "population: {source: file, file: registry.csv}\n"
        )
        return tmp_path

    return write


def handed_in(folder, service):
    with (folder / f"{service}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_dfs_document_lists_every_meter_that_may_serve_once(command, street):
    folder = street(STREET)
    said = command("enrol", "street.yaml", "--service", "dfs", "--out", "docs", "--data", ".", "--json")
    assert (said.code, said.err) == (0, "")
    rows = handed_in(folder / "docs", "dfs")
    homes = [*range(1, 31), 32, 34]  # metered by the half-hour, and not in a BM Unit
    assert [each["mpan"] for each in rows if not each["asset_id"]] == sorted(str(mpan(k)) for k in homes)
    (not_smart,) = [each for each in rows if each["asset_id"]]
    assert (not_smart["mpan"], not_smart["metered_at"]) == (str(mpan(31)), "asset")
    assert str(mpan(33)) not in {each["mpan"] for each in rows}
    (first,) = [each for each in rows if each["mpan"] == str(mpan(1))]
    assert (first["rating_kw"], first["technology"], first["metered_at"]) == ("80.000", "ev", "boundary")
    assert {each["dfs_unit_id"] for each in rows} == {"FLXT-DFS-_C-01"}


def test_what_lies_beside_a_document_says_whence_its_columns_are_and_who_is_missing(command, street):
    folder = street(STREET)
    command("enrol", "street.yaml", "--service", "dfs", "--out", "docs", "--data", ".")
    told = json.loads((folder / "docs" / "dfs.json").read_text())
    assert (told["service"], told["rules_of"]) == ("dfs", "2026-10-01")
    assert list(told["columns"]) == list(handed_in(folder / "docs", "dfs")[0])
    assert told["columns"]["dfs_unit_id"] == {"clause": "DFS Utilisation Report: DFS Unit ID", "tag": "P"}
    assert told["held_by_another_service"] == {"bm": 1}
    assert told["units"]["FLXT-DFS-_C-01"]["entries"] == len(handed_in(folder / "docs", "dfs"))


def test_a_secondary_bm_unit_is_allocated_pairs(command, street):
    folder = street(STREET)
    command("enrol", "street.yaml", "--service", "wholesale", "--out", ".", "--data", ".")
    rows = handed_in(folder, "wholesale")
    assert {each["bm_unit_id"] for each in rows} == {"V__CFLXT101"}
    assert {len(each["msid_pair_id"]) for each in rows} == {18}
    assert len({each["msid_pair_id"] for each in rows}) == len(rows)
    by_asset = [each for each in rows if each["metered_at"] == "asset"]
    assert all((e["msid_pair_indicator"], e["amsid_differencing"]) == ("A", "F") for e in by_asset)
    amsids = np.array([int(each["amsid"]) for each in by_asset], np.int64)
    assert (mpan_of(amsids // 10**11, amsids // 10 % 10**10) == amsids).all()
    assert {each["effective_from"] for each in rows} == {"2026-10-08"}  # five working days on


@pytest.fixture(scope="module")
def town():
    homes = Homes(count=3_000, gsp_groups={"_P": 1.0})
    return make_population(
        Scenario(flextwin=1, name="town", clock=Clock(start=DAY), homes=homes, evs=Evs(share=0.5))
    )


@pytest.mark.parametrize("product", COLUMNS)
def test_every_entry_of_every_document_has_a_yes_in_its_unit(town, product):
    assets, rules = classes_of(town), RulesOn(DAY)
    told = enrol(town, product, rules)
    units = {each.unit: [its for its in told.entries if its.unit == each.unit] for each in told.entries}
    assert units
    for entry in told.entries:
        its = units[entry.unit]
        unit = UnitFacts(mw=sum(each.rating_w for each in its) / 1e6, assets=len(its))
        found = verdict(assets.classes[int(assets.class_of[entry.row])], product, rules, unit)
        assert found.answer is Answer.YES, found.blocks
    assert sum(told.held.values()) + told.judged.yes.assets <= len(town.home)


def test_units_are_cut_to_the_greatest_size_with_homes_whole():
    home = np.repeat(np.arange(500, dtype=np.int32), 2)
    part = _cut(home, np.full(1000, 500_000), 100_000_000)  # 500 MW of homes of 1 MW
    assert np.bincount(part).max() * 500_000 <= 100_000_000
    assert len(set(part.tolist())) == 6
    assert (part[::2] == part[1::2]).all()


def test_a_phantom_mpan_is_refused_at_its_line(command, street):
    folder = street([*STREET[:20], row(50, number=mpan(50) - mpan(50) % 10 + (mpan(50) + 1) % 10)])
    said = command("enrol", "street.yaml", "--service", "dfs", "--out", "docs", "--data", ".")
    assert said.code == 2
    assert "registry.csv:22:1: D070 a phantom: the check digit of MPAN" in said.err
    assert not (folder / "docs").exists()


def test_an_mpan_of_no_distributor_is_a_phantom_too(command, street):
    street([*STREET[:20], row(50, number=mpan(50, distributor=87))])
    said = command("enrol", "street.yaml", "--service", "dfs", "--out", "docs", "--data", ".")
    assert "D070 a phantom: the distributor of MPAN 87" in said.err


def test_one_mpan_of_two_homes_is_refused(command, street):
    street([*STREET, row(60, number=mpan(3))])
    said = command("enrol", "street.yaml", "--service", "dfs", "--out", "docs", "--data", ".")
    assert said.code == 2
    assert "D049" in said.err


def entry(home, unit="U1", asset="", number=None):
    return Entry(
        unit,
        number or mpan(home),
        f"h{home}",
        asset,
        home,
        Level.BOUNDARY,
        "ev",
        7400,
        "_C",
        "_C07",
        "",
        home,
    )


def test_doubles_in_a_document_are_refused():
    good = [entry(1), entry(2, "U2"), entry(3, asset="a"), entry(3, asset="b")]
    assert refused(good, "r.csv") == []
    (twice,) = refused([*good, entry(4, number=mpan(1))], "r.csv")
    assert (twice.code, twice.line) == ("D071", 4)
    assert f"MPAN {mpan(1)} of home h4 is that of home h1" in twice.what
    (two_units,) = refused([*good, entry(3, "U9", "b")], "r.csv")
    assert two_units.code == "D072"
    assert "asset b, is in unit U1 and in unit U9" in two_units.what


def test_an_asset_handed_in_before_is_not_handed_in_again(command, street):
    street(STREET)
    command("enrol", "street.yaml", "--service", "dfs", "--out", "first", "--data", ".")
    said = command(
        "enrol",
        "street.yaml",
        "--service",
        "dfs",
        "--out",
        "again",
        "--data",
        ".",
        "--beside",
        "first/dfs.csv",
    )
    assert said.code == 2
    assert f"D072 MPAN {mpan(2)} is in a unit of first/dfs.csv already" in said.err


def test_a_document_of_a_service_that_excludes_this_one_keeps_its_assets(command, street):
    folder = street(STREET)
    command("enrol", "street.yaml", "--service", "dfs", "--out", "first", "--data", ".")
    said = command(
        "enrol", "street.yaml", "--service", "bm", "--out", "then", "--data", ".", "--beside", "first/dfs.csv"
    )
    assert said.code == 0
    assert "34 assets are in dfs already, which does not let them serve both" in said.out
    assert handed_in(folder / "then", "bm") == []


def test_nothing_is_overwritten_and_nothing_made_up(command, street):
    street(STREET)
    asked = ("enrol", "street.yaml", "--service", "dfs", "--out", "docs", "--data", ".")
    assert command(*asked).code == 0
    again = command(*asked)
    assert (again.code, "exists already" in again.err) == (2, True)
    tariff = command(*asked[:3], "static_tou", *asked[4:])
    assert "nothing is handed in for static_tou" in tariff.err
    assert "there is no service 'dsf'" in command(*asked[:3], "dsf", *asked[4:]).err
    other = command(*asked[:3], "bm", *asked[4:], "--beside", "street.yaml")
    assert "D073 cannot be read as one" in other.err


def test_no_cell_is_a_formula_to_a_spreadsheet(command, street):
    folder = street(STREET)
    command("enrol", "street.yaml", "--service", "dfs", "--out", "docs", "--data", ".")
    assert {each["site_id"][:3] for each in handed_in(folder / "docs", "dfs")} == {"'-h"}
    assert csv_of_words({"a": ["=1+1", "+x", "@x", "plain"]}) == b'"a"\n"\'=1+1"\n"\'+x"\n"\'@x"\n"plain"\n'
