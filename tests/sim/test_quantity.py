"""Quantities: read with their unit, written back, refused without it where two units are possible."""

import json
from datetime import date
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from sim.quantity import (
    CLOCK_TIME,
    DURATION,
    ENERGY,
    FROM_FILE,
    KINDS,
    MEGAWATTS,
    POWER,
    PRICE,
    SHARE,
    ClockTime,
    Day,
    Duration,
    Energy,
    Megawatts,
    Power,
    Price,
    Share,
    without_unit,
)
from sim.scenario import Evs
from sim.scenario_model import sections
from sim.scenario_words import annotation_of, written_as


class One(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    power: Power | None = None
    energy: Energy | None = None
    duration: Duration | None = None
    megawatts: Megawatts | None = None
    price: Price | None = None
    share: Share | None = None
    clock: ClockTime | None = None
    day: Day | None = None


def from_file(kind, value):
    return getattr(One.model_validate_json(json.dumps({kind: value}), context=dict(FROM_FILE)), kind)


def refused(kind, value):
    """The kind of error, its words, what is allowed and what may be meant."""
    with pytest.raises(ValidationError) as caught:
        from_file(kind, value)
    error = caught.value.errors()[0]
    return error["type"], error["ctx"]["what"], error["ctx"]["allowed"], error["ctx"]["nearest"]


@pytest.mark.parametrize(
    ("kind", "written", "kept"),
    [
        ("power", "7.4 kW", 7400),
        ("power", "7.4kW", 7400),
        ("power", "  800 W ", 800),
        ("power", "0.001 kW", 1),
        ("energy", "2700 kWh", 2_700_000),
        ("energy", "1e3 Wh", 1000),
        ("duration", "30 min", 1_800_000),
        ("duration", "10 s", 10_000),
        ("duration", "200 ms", 200),
        ("duration", "2 h", 7_200_000),
        ("duration", "1 day", 86_400_000),
        ("duration", "1.5 days", 129_600_000),
        ("megawatts", "10 MW", 10.0),
        ("megawatts", "500 kW", 0.5),
        ("megawatts", "-1 MW", -1.0),
        ("price", "150 GBP/MWh", 150.0),
        ("price", "12.5 p/kWh", 125.0),
        ("price", "3 GBP/kWh", 3000.0),
        ("price", "-20 £/MWh", -20.0),
        ("share", "6 %", 0.06),
        ("share", "2.5%", 0.025),
        ("share", 0.3, 0.3),
        ("share", 1, 1.0),
        ("clock", "17:30", 1050),
        ("clock", "00:00", 0),
        ("clock", "24:00", 1440),
        ("day", "2024-02-29", date(2024, 2, 29)),
    ],
)
def test_a_written_quantity_is_kept_in_its_one_unit(kind, written, kept):
    found = from_file(kind, written)
    assert found == kept
    assert type(found) is type(kept)


@pytest.mark.parametrize("kind", ["power", "energy", "duration", "megawatts", "price"])
@pytest.mark.parametrize("bare", [7, 7.4, "7.4", 0])
def test_a_file_must_name_the_unit(kind, bare):
    assert refused(kind, bare)[0] == "unit_missing"


@pytest.mark.parametrize(
    ("kind", "plain"),
    [("power", 7400), ("energy", 1), ("duration", 0), ("megawatts", -2), ("price", 1.5), ("clock", 420)],
)
def test_python_gives_plain_numbers_in_the_unit_of_the_name(kind, plain):
    assert getattr(One.model_validate({kind: plain}), kind) == plain


@pytest.mark.parametrize(
    ("kind", "written", "error"),
    [
        ("power", "7.4 kWh", "unit_wrong"),
        ("power", "7.4 kw", "unit_wrong"),
        ("energy", "62 kW", "unit_wrong"),
        ("duration", "5 parsecs", "unit_wrong"),
        ("price", "150 GBP", "unit_wrong"),
        ("power", "-3 kW", "quantity_malformed"),
        ("power", "-0 kW", "quantity_malformed"),
        ("power", "7,4 kW", "quantity_malformed"),
        ("power", "seven kW", "quantity_malformed"),
        ("power", "", "quantity_malformed"),
        ("power", "1e999 kW", "quantity_malformed"),
        ("power", "1e-999 kW", "quantity_malformed"),
        ("power", "2 GW" * 40, "quantity_malformed"),
        ("power", "2000 MW", "quantity_malformed"),
        ("power", "0.5 W", "quantity_too_fine"),
        ("duration", "0.1 ms", "quantity_too_fine"),
        ("duration", "401 days", "quantity_malformed"),
        ("power", True, "quantity_malformed"),
        ("power", [7, "kW"], "quantity_malformed"),
        ("share", "0.06", "quantity_malformed"),
        ("share", True, "quantity_malformed"),
        ("share", 6, "share_out_of_range"),
        ("share", -0.1, "share_out_of_range"),
        ("share", "101 %", "share_out_of_range"),
        ("clock", "7:30", "clock_malformed"),
        ("clock", "24:01", "clock_malformed"),
        ("clock", 1050, "clock_malformed"),
        ("clock", "17:30:00", "clock_malformed"),
        ("clock", "\u0661\u0667:\u0663\u0660", "clock_malformed"),
        ("day", "2023-02-29", "day_malformed"),
        ("day", "16/01/2024", "day_malformed"),
        ("day", "20240116", "day_malformed"),
        ("day", 20240116, "day_malformed"),
    ],
)
def test_what_is_no_such_quantity_is_refused(kind, written, error):
    assert refused(kind, written)[0] == error


def test_the_words_of_a_missing_unit_name_what_may_be_meant():
    assert refused("power", 7.4) == (
        "unit_missing",
        "power without its unit",
        "power in W, kW, MW, such as `7.4 kW`",
        "`7.4 kW` or `7.4 W`",
    )


def test_the_words_of_a_foreign_unit_name_its_own_kind():
    assert refused("power", "7.4 kWh") == (
        "unit_wrong",
        "`kWh` is a unit for energy",
        "power in W, kW, MW, such as `7.4 kW`",
        "",
    )


@pytest.mark.parametrize(
    ("kind", "written", "nearest"),
    [
        ("power", "7.4 kw", "`kW`"),
        ("power", "7,4 kW", "`7.4 kW`"),
        ("duration", "5 mins", "`min`"),
        ("share", 6, "`6 %`"),
        ("share", "140 %", ""),
        ("clock", "7:30", "`07:30`"),
        ("clock", "0730", "`07:30`"),
    ],
)
def test_a_near_miss_is_named(kind, written, nearest):
    assert refused(kind, written)[3] == nearest


@pytest.mark.parametrize(
    ("kind", "kept", "written"),
    [
        (POWER, 7400, "7.4 kW"),
        (POWER, 999, "999 W"),
        (POWER, 0, "0 W"),
        (DURATION, 90_000, "1.5 min"),
        (DURATION, 86_400_000, "1 day"),
        (DURATION, 61_001, "61.001 s"),
        (ENERGY, 2_700_000, "2700 kWh"),
        (MEGAWATTS, -0.5, "-0.5 MW"),
        (PRICE, 71.25, "71.25 GBP/MWh"),
        (SHARE, 0.06, "6 %"),
        (CLOCK_TIME, 1440, "24:00"),
    ],
)
def test_a_quantity_is_written_as_a_person_would(kind, kept, written):
    assert kind.write(kept) == written


@settings(derandomize=True)
@given(st.data())
def test_whatever_is_kept_can_be_written_and_read_back(data):
    kind = data.draw(st.sampled_from([*KINDS, SHARE, CLOCK_TIME]))
    if kind is SHARE:
        values = st.integers(0, 10_000).map(lambda part: part / 10_000)
    elif kind is CLOCK_TIME:
        values = st.integers(0, 1440)
    elif kind.whole:
        values = st.integers(0, kind.largest)
    else:
        values = st.decimals(-kind.largest, kind.largest, places=3).map(lambda value: float(value) + 0.0)
    kept = data.draw(values)
    assert kind.read(kind.write(kept), from_file=True) == kept


def test_a_default_may_be_written_as_text():
    assert Evs().ready_by == 7 * 60
    assert Evs(ready_by="06:15").ready_by == 6 * 60 + 15


def quantities_in(annotation):
    """The kinds of quantity that a value holds, itself or as entries of a list."""
    if (written := written_as(annotation)) is not None:
        return {written} & set(KINDS)
    return set().union(*(quantities_in(inside) for inside in get_args(annotation)))


@pytest.mark.parametrize("section", [*sections()], ids=lambda section: section.__name__)
def test_a_unit_ends_a_name_exactly_where_the_value_is_a_quantity(section):
    for name, field in section.model_fields.items():
        assert (without_unit(name) != name) == (len(quantities_in(annotation_of(field))) == 1), name


@pytest.mark.parametrize("section", [*sections()], ids=lambda section: section.__name__)
def test_no_two_keys_of_a_section_are_spelt_alike(section):
    spelt = [without_unit(name) for name in section.model_fields]
    assert len(set(spelt)) == len(spelt)
