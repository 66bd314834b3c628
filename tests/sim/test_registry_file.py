"""A registry of one's own: read as it is, or told row by row what does not hold."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from protocol.messages import UNKNOWN, Technology
from sim.faults import table_of_codes
from sim.homes import mpan_of
from sim.importers import DataErrors
from sim.registry_file import CODES, SETTLEMENTS, read_registry, write_registry

HEADER = "home,mpan,technology,rating_kw,capacity_kwh,gsp,route,vendor,settlement"
FIRST, SECOND = (str(int(mpan_of(np.array([12]), np.array([n]))[0])) for n in (1_000_000_001, 1_000_000_002))
GOOD = [
    f"h2,{SECOND},battery,5,13.5,_C07,evcp_wifi_cloud,home_battery_site,hh_settled",
    f"h1,{FIRST},ev,7.4,,_C,evcp_4g,,not_smart",
    f"h1,{FIRST},pv,3.68,,_C,none,,not_smart",
]


def put(tmp_path, rows, header=HEADER):
    path = tmp_path / "registry.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def faults_of(tmp_path, rows, header=HEADER):
    with pytest.raises(DataErrors) as caught:
        read_registry(put(tmp_path, rows, header))
    return [(fault.code, fault.line, fault.column) for fault in caught.value.faults]


def test_assets_are_read_in_whole_watts_and_sorted_by_home_and_technology(tmp_path):
    registry = read_registry(put(tmp_path, GOOD))
    assert registry.home == ("h1", "h1", "h2")
    assert registry.mpan.tolist() == [int(FIRST), int(FIRST), int(SECOND)]
    assert registry.technology.tolist() == [Technology.EV, Technology.PV, Technology.BATTERY]
    assert registry.rating_w.tolist() == [7_400, 3_680, 5_000]
    assert registry.capacity_wh.tolist() == [UNKNOWN, UNKNOWN, 13_500]
    assert registry.gsp == ("_C", "_C", "_C07")
    assert registry.route.tolist() == [0, -1, 1]
    assert registry.vendor == ("", "", "home_battery_site")
    assert registry.settlement.tolist() == [0, 0, 2]
    assert SETTLEMENTS[2] == "hh_settled"
    assert registry.source.warnings == ()


def test_columns_may_stand_in_any_order_and_others_are_left_behind(tmp_path):
    names = HEADER.split(",")
    rows = [dict(zip(names, row.split(","), strict=True)) | {"postcode": "SW1A 1AA"} for row in GOOD]
    path = tmp_path / "registry.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["postcode", *reversed(names)])
        writer.writeheader()
        writer.writerows(rows)
    write_registry(read_registry(path), tmp_path / "out.parquet")
    assert "postcode" not in pq.read_table(tmp_path / "out.parquet").column_names


def test_the_same_rows_in_any_order_or_unit_make_the_same_file(tmp_path):
    write_registry(read_registry(put(tmp_path, GOOD)), tmp_path / "a.parquet")
    in_watts = [
        row.replace(",7.4,", ",7400,").replace(",5,", ",5000,").replace("3.68", "3680") for row in GOOD
    ]
    header = HEADER.replace("rating_kw", "rating_w")
    write_registry(read_registry(put(tmp_path, in_watts[::-1], header)), tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_what_was_written_is_read_back_as_the_same_registry(tmp_path):
    first = read_registry(put(tmp_path, GOOD))
    write_registry(first, tmp_path / "a.parquet")
    again = read_registry(tmp_path / "a.parquet")
    for name in ("home", "device", "gsp", "vendor"):
        assert getattr(again, name) == getattr(first, name)
    for name in ("mpan", "technology", "rating_w", "capacity_wh", "route", "settlement"):
        assert np.array_equal(getattr(again, name), getattr(first, name))
    write_registry(again, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("h1,", "=cmd|x,", ("D040", 3, 1)),
        (FIRST, FIRST[:-1], ("D041", 3, 2)),
        (FIRST, "1.2E+12", ("D041", 3, 2)),
        (",ev,", ",car,", ("D042", 3, 3)),
        (",7.4,", ",7400,", ("D047", 3, 4)),
        (",7.4,", ",-7.4,", ("D047", 3, 4)),
        (",7.4,", ",,", ("D014", 3, 4)),
        (",7.4,", ",nan,", ("D013", 3, 4)),
        (",7.4,", ",#N/A,", ("D012", 3, 4)),
        (",7.4,", ",7.4 kW,", ("D010", 3, 4)),
        (",_C,", ",_I,", ("D045", 3, 6)),
        (",_C,", ",SW1A 1AA,", ("D045", 3, 6)),
        ("evcp_4g", "evcp_5g", ("D043", 3, 7)),
        ("evcp_4g,", "evcp_4g,tesler", ("D044", 3, 8)),
        ("evcp_4g,", "none,ocpp_charger", ("D051", 3, 8)),
        ("not_smart", "smart", ("D046", 3, 9)),
        (",7.4,,", ",7,4,,", ("D011", 3, 4)),
    ],
)
def test_a_row_that_does_not_hold_is_told_by_line_and_field(tmp_path, old, new, fault):
    rows = [GOOD[0], GOOD[1].replace(old, new)]
    assert faults_of(tmp_path, rows) == [fault]


def test_an_unknown_word_is_told_with_the_one_that_was_meant(tmp_path):
    with pytest.raises(
        DataErrors, match=r"2:3: D042 unknown technology; got `heatpump`; .*did you mean `heat_"
    ):
        read_registry(put(tmp_path, [GOOD[1].replace(",ev,", ",heatpump,")]))


def test_every_fault_of_every_row_is_told_at_once(tmp_path):
    rows = [row.replace(",_C", ",_Z").replace("h", "h ") for row in GOOD]
    assert {line for _, line, _ in faults_of(tmp_path, rows)} == {2, 3, 4}


def test_a_home_has_one_mpan_one_gsp_and_one_status_and_an_mpan_one_home(tmp_path):
    assert faults_of(tmp_path, [GOOD[1], GOOD[2].replace(FIRST, SECOND)]) == [("D048", 3, 2)]
    assert faults_of(tmp_path, [GOOD[1], GOOD[2].replace("_C", "_D")]) == [("D048", 3, 6)]
    assert faults_of(tmp_path, [GOOD[1], GOOD[2].replace("not_smart", "hh_settled")]) == [("D048", 3, 9)]
    assert faults_of(tmp_path, [GOOD[1], GOOD[0].replace(SECOND, FIRST)]) == [("D049", 3, 1)]


def test_an_asset_stands_once_and_two_alike_need_their_own_device(tmp_path):
    assert faults_of(tmp_path, [GOOD[1], GOOD[1]]) == [("D050", 3, 1)]
    header = HEADER + ",device"
    registry = read_registry(put(tmp_path, [GOOD[1] + ",b", GOOD[1] + ",a"], header))
    assert registry.device == ("a", "b")
    assert faults_of(tmp_path, [GOOD[1] + ",a", GOOD[0] + ",a"], header) == [("D050", 3, 1)]


@pytest.mark.parametrize(
    ("header", "codes"),
    [
        (HEADER.replace("rating_kw", "rating"), ["D006"]),
        (HEADER.replace("rating_kw", "rating_w") + ",rating_kw", ["D006"]),
        (HEADER.replace("mpan", "MPAN"), ["D006"]),
        (HEADER.replace(",", ";"), ["D005"]),
    ],
)
def test_a_header_without_its_columns_or_units_is_refused(tmp_path, header, codes):
    assert [code for code, _, _ in faults_of(tmp_path, GOOD, header)] == codes


def test_a_first_row_without_an_mpan_is_never_taken_for_a_row_of_units(tmp_path):
    assert ("D041", 2, 2) in faults_of(tmp_path, [GOOD[1].replace(FIRST, ""), GOOD[0]])


def test_made_up_mpans_and_odd_ratings_are_warned_of_and_nothing_is_changed(tmp_path):
    wrong = str(int(FIRST) // 10 * 10 + (int(FIRST) + 1) % 10)
    registry = read_registry(put(tmp_path, [GOOD[1].replace(FIRST, wrong).replace(",7.4,", ",0.0074,")]))
    assert [fault.code for fault in registry.source.warnings] == ["W104", "W105"]
    assert registry.mpan.tolist() == [int(wrong)]
    assert registry.rating_w.tolist() == [7]


def test_an_mpan_whose_check_digit_is_right_by_hand_raises_no_warning(tmp_path):
    # Digits times the primes 3, 5, 7, ...: 2 x 3 and nothing else, so 6.
    registry = read_registry(put(tmp_path, [GOOD[1].replace(FIRST, "2000000000006")]))
    assert registry.source.warnings == ()


def test_a_truncated_parquet_file_is_told_as_such_by_name(tmp_path):
    write_registry(read_registry(put(tmp_path, GOOD)), tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(DataErrors, match=r"a\.parquet:1:1: D052 cannot be read"):
        read_registry(tmp_path / "a.parquet")
    with pytest.raises(DataErrors, match=r"b\.parquet:1:1: D001"):
        read_registry(tmp_path / "b.parquet")


def test_a_parquet_file_is_checked_row_by_row_like_text(tmp_path):
    names = HEADER.split(",")
    rows = [row.replace(",ev,", ",car,").split(",") for row in GOOD]
    columns = {name: [row[place] or None for row in rows] for place, name in enumerate(names)}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataErrors) as caught:
        read_registry(tmp_path / "a.parquet")
    assert [(fault.code, fault.line, fault.column) for fault in caught.value.faults] == [("D042", 2, 3)]
    del columns["gsp"]
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataErrors, match="the column `gsp` is missing"):
        read_registry(tmp_path / "a.parquet")


def test_the_codes_have_a_meaning_and_a_remedy_each():
    assert all(kind.meaning and kind.remedy for kind in CODES.values())
    assert len(table_of_codes(CODES).splitlines()) == len(CODES) + 2
