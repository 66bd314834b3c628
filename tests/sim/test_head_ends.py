"""Vendor profiles: all that ship can be read, and what is wrong with one is told by line and column."""

import pytest

from protocol.vendors import SUPPLY_V, EnergyUnit, PowerUnit, Sign, Stamp, VendorClock
from sim.head_ends import (
    PROFILES,
    HeadEndErrors,
    head_ends,
    integrations,
    load_head_end,
    parse_head_end,
    profile_names,
)

GOOD = (PROFILES / "ocpp_charger.yaml").read_text()


def faults_of(text):
    with pytest.raises(HeadEndErrors) as caught:
        parse_head_end(text, "x", "x.yaml")
    return [str(fault) for fault in caught.value.faults]


def test_at_least_eight_profiles_ship_and_each_says_where_it_comes_from():
    assert len(head_ends()) >= 8
    assert set(head_ends()) == set(profile_names())
    assert all(len(profile.modelled_on) > 20 for profile in head_ends().values())


def test_between_them_the_profiles_show_every_way_to_tell_and_to_take():
    told = [profile.integration for profile in head_ends().values()]
    ways = [profile.commands for profile in head_ends().values()]
    assert {each.power_unit for each in told} == set(PowerUnit)
    assert {each.energy_unit for each in told} == {*EnergyUnit, None}
    assert {each.sign for each in told} == set(Sign)
    assert {each.clock for each in told} == set(VendorClock)
    assert {each.stamp for each in told} == set(Stamp)
    for name in ("tells_status", "tells_soc", "backfills"):
        assert {getattr(each, name) for each in told} == {True, False}
    for name in ("answers_first", "ignores_pause", "whole_amps"):
        assert {getattr(each, name) for each in ways} == {True, False}
    assert {each.minimum_w for each in ways} == {0, 6 * SUPPLY_V}
    assert any(each.poll_ms for each in ways)
    assert any(each.per_day for each in ways)
    assert any(profile.requests_per_day for profile in head_ends().values())


def test_an_aggregator_is_given_the_documentation_of_the_vendors_named_and_no_other():
    named = integrations({"evcp_4g": ["ocpp_charger"], "evcp_wifi_cloud": ["ocpp_charger", "cloud_charger"]})
    assert sorted(named) == ["cloud_charger", "ocpp_charger"]
    assert named["cloud_charger"].power_resolution_w == 10
    with pytest.raises(KeyError):
        integrations({"evcp_4g": ["unheard_of"]})


def test_a_file_that_cannot_be_read_is_told_as_such(tmp_path):
    with pytest.raises(HeadEndErrors, match=r"missing\.yaml:1:1: S001 cannot be read: No such file"):
        load_head_end(tmp_path / "missing.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"modelled_on: x\n\xe9: 1\n")
    with pytest.raises(HeadEndErrors, match=r"latin\.yaml:2:1: S002 not UTF-8"):
        load_head_end(tmp_path / "latin.yaml")


def test_every_fault_is_told_at_once_with_its_place_what_is_allowed_and_what_was_meant():
    broken = (
        GOOD.replace("unit: W,", "unit: w,")
        .replace("interval: 60 s", "interval: 60")
        .replace("status: true", "statuz: true")
    )
    assert faults_of(broken) == [
        "x.yaml:2:1: S021 `status` is missing",
        (
            "x.yaml:3:11: S030 interval: a duration without its unit; got `60`; allowed: a duration in ms, "
            "s, min, h, day, days, such as `30 min`; did you mean `60 s` or `60 min`?"
        ),
        (
            "x.yaml:5:15: S024 power.unit: input should be 'W', 'kW' or 'A'; got `w`; allowed: `W`, `kW`, "
            "`A`; did you mean `W`?"
        ),
        (
            "x.yaml:7:1: S020 unknown key; got `statuz`; allowed: modelled_on, interval, age, power, energy, "
            "status, state_of_charge, time, backfills, requests_per_day, commands; did you mean `status`?"
        ),
    ]


@pytest.mark.parametrize(
    ("old", "new", "place", "code"),
    [
        ("step: 1, sign", "step: 0, sign", "5:24", "S023"),
        ("step: 1, sign", "step: .nan, sign", "5:24", "S013"),
        ("backfills: true", "backfills: yes", "10:12", "S022"),
        ("minimum_current_a: 6", "minimum_current_a: 900", "11:31", "S023"),
        ("interval: 60 s", "interval: 60 s\ninterval: 30 s", "4:1", "S008"),
        ("commands:", "commands: [", "1", "S007"),
    ],
)
def test_a_wrong_value_is_told_where_it_stands(old, new, place, code):
    faults = faults_of(GOOD.replace(old, new))
    assert any(fault.startswith(f"x.yaml:{place}") and code in fault for fault in faults), faults


def test_a_text_that_is_no_profile_is_refused():
    assert "no profile" in faults_of("- 1\n")[0]
