"""What is written comes back as it was, and nothing but our own data is ever rebuilt."""

import json
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import CodecError, Reader, Writer
from protocol.instruction import Ledger, LedgerEntry, Stage
from protocol.messages import BidOfferPair, Point, Service, Setpoints
from protocol.periods import SettlementPeriod
from sim.scenario import RecordLevel

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates()
    | st.decimals(allow_nan=False)
    | st.sampled_from([*Stage, *Service, *RecordLevel])
    | st.builds(SettlementPeriod, st.dates(), st.integers(1, 50))
    | st.floats(allow_nan=False).map(np.float64)
    | st.floats(allow_nan=False, width=32).map(np.float32)
    | st.integers(-(2**63), 2**63 - 1).map(np.int64)
    | st.booleans().map(np.bool_)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")).map(np.str_)
    | st.builds(Point, st.integers(), st.floats(allow_nan=False))
)
keys = (
    st.text()
    | st.integers()
    | st.tuples(st.text(), st.integers())
    | st.dates()
    | st.sampled_from([*Stage, *RecordLevel])
    | st.builds(SettlementPeriod, st.dates(), st.integers(1, 50))
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.builds(SettlementPeriod, inner, inner)
        | st.builds(BidOfferPair, inner, inner, inner, inner)
    ),
)


def through_a_file(value):
    """Encoded, written as JSON, read and decoded again."""
    writer = Writer()
    tree = json.loads(json.dumps(writer.encode(value)))
    return Reader(writer.arrays).decode(tree)


def kinds(value):
    """The types of a value and of all that is in it."""
    if isinstance(value, dict):
        return dict, [(kinds(key), kinds(item)) for key, item in value.items()]
    if isinstance(value, str | int | float | np.generic):
        return type(value), repr(value)
    if isinstance(value, list | tuple):
        return type(value), [kinds(item) for item in value]
    if isinstance(value, BidOfferPair):
        return BidOfferPair, [kinds(getattr(value, name)) for name in BidOfferPair.__slots__]
    return type(value)


@given(values)
def test_plain_values_come_back_equal_and_of_the_same_kind(value):
    again = through_a_file(value)
    assert again == value
    assert kinds(again) == kinds(value)


@given(st.dictionaries(keys, st.integers()))
def test_dicts_keep_their_order(value):
    assert list(through_a_file(value).items()) == list(value.items())


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int16).reshape(2, 3),
        np.array([2**62, -1], np.int64),
        np.array([0.1, np.nan, np.inf]),
        np.array([True, False]),
        np.array(7),
        np.empty((0, 2), np.int64),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
)
def test_arrays_come_back_with_dtype_and_shape(array):
    again = through_a_file({"it": array})["it"]
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "scalar",
    [
        np.int64(-5), np.int8(3), np.bool_(True), np.uint64(2**63), np.float64(0.1), np.float32(0.1),
        np.float16(0.1), np.str_("a"), np.datetime64("2024-01-16"), np.longdouble(1) / 3,
    ],
)  # fmt: skip
def test_numpy_numbers_come_back_as_numpy_numbers(scalar):
    again = through_a_file(scalar)
    assert (again, type(again)) == (scalar, type(scalar))


class Metres(float):
    """A number of a kind of its own."""


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 1, 16, tzinfo=UTC), Counter("a"), defaultdict(int), OrderedDict(), Metres(1.0),
        np.ma.masked_array([1, 2]), np.rec.array([(1,)], dtype=[("a", "i4")]), np.array([object()]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_would_come_back_as_something_else_is_refused_when_written(value):
    with pytest.raises(CodecError, match=r"cannot write a .*: keep party state in dataclasses"):
        Writer().encode([value])


def test_an_array_held_twice_is_written_once_and_comes_back_shared():
    shared = np.arange(3)
    writer = Writer()
    tree = writer.encode([shared, {"again": shared}, shared.copy()])
    assert len(writer.arrays) == 2
    first, second, third = Reader(writer.arrays).decode(tree)
    assert first is second["again"]
    assert first is not third


def test_messages_under_way_come_back_whole():
    column = np.array([3, 1])
    message = Setpoints(column, column, column, column, column, True, "E1")
    again = through_a_file([message])[0]
    assert type(again) is Setpoints
    assert (again.response_dsr, again.instruction_id) == (True, "E1")
    assert again.rows.tolist() == [3, 1]


def test_nested_state_comes_back_equal():
    ledger = Ledger()
    ledger.open(LedgerEntry("E1", "DFS", "_A", 0, 1, 2), 5).move(Stage.DECLINED, 6, "too late")
    assert through_a_file(ledger) == ledger
    assert through_a_file(ledger).entries["E1"].ended


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), Point, lambda: 0, 1j])
def test_what_the_codec_does_not_know_is_refused_when_written(value):
    with pytest.raises(CodecError, match=r"cannot write a .*: keep party state in dataclasses"):
        Writer().encode({"state": [value]})


@dataclass
class Foreign:
    """Not in one of our packages."""

    number: int


def test_a_class_from_elsewhere_is_refused_when_read():
    tree = Writer().encode(Foreign(1))
    with pytest.raises(
        CodecError,
        match="is not one of ours: only protocol, markets, aggregator, devices, sim may be rebuilt",
    ):
        Reader([]).decode(tree)


@pytest.mark.parametrize(
    "name", ["subprocess:Popen", "os:system", "builtins:eval", "protocolx:Point", ":", ""]
)
def test_a_tree_cannot_name_code_outside_our_packages(name):
    for tree in ({"class": name, "fields": {}}, {"enum": name, "value": 1}):
        with pytest.raises(CodecError, match="is not one of ours"):
            Reader([]).decode(tree)


@pytest.mark.parametrize(
    "name",
    ["protocol.codec:Writer", "protocol.codec:importlib", "protocol.codec:_class", "protocol.codec:nothing"],
)
def test_of_our_own_only_dataclasses_and_enums_are_rebuilt(name):
    with pytest.raises(CodecError, match="is no dataclass, named tuple or enum"):
        Reader([]).decode({"class": name, "fields": {}})


def test_an_unknown_mark_is_refused():
    with pytest.raises(CodecError, match=r"unknown mark \['pickle'\]"):
        Reader([]).decode({"pickle": "gASVAAAA"})


def test_dates_and_decimals_keep_every_digit():
    value = (date(2024, 3, 31), Decimal("0.10000"), Decimal("-1E+3"))
    again = through_a_file(value)
    assert again == value
    assert [str(number) for number in again] == [str(number) for number in value]
