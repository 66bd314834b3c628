"""An instruction goes the ways that the table allows, and no other, to one end."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.instruction import TERMINAL, TRANSITIONS, Ledger, LedgerEntry, Stage, TransitionError

ALLOWED = {
    ("issued", "accepted"),
    ("issued", "declined"),
    ("issued", "expired"),
    ("issued", "superseded"),
    ("accepted", "delivering"),
    ("accepted", "expired"),
    ("accepted", "failed"),
    ("accepted", "superseded"),
    ("delivering", "completed"),
    ("delivering", "failed"),
    ("delivering", "superseded"),
}
WAYS = {
    Stage.ISSUED: [],
    Stage.ACCEPTED: [Stage.ACCEPTED],
    Stage.DELIVERING: [Stage.ACCEPTED, Stage.DELIVERING],
    Stage.COMPLETED: [Stage.ACCEPTED, Stage.DELIVERING, Stage.COMPLETED],
    Stage.DECLINED: [Stage.DECLINED],
    Stage.FAILED: [Stage.ACCEPTED, Stage.FAILED],
    Stage.EXPIRED: [Stage.EXPIRED],
    Stage.SUPERSEDED: [Stage.SUPERSEDED],
}
"""How to get to each stage from issued."""


def entry(name="E1"):
    return LedgerEntry(name, "DFS", "_A", 1_000, 2_000, 5_000)


def entry_at(stage):
    """An entry that has come to `stage`."""
    found = Ledger().open(entry(), 0)
    for number, step in enumerate(WAYS[stage], start=1):
        found.move(step, number)
    return found


@pytest.mark.parametrize(("before", "after"), list(product(Stage, Stage)))
def test_a_step_is_taken_if_the_table_allows_it_and_refused_if_not(before, after):
    it = entry_at(before)
    steps = list(it.steps)
    if (before.value, after.value) in ALLOWED:
        it.move(after, 9, "why")
        assert it.steps == [*steps, (9, after, "why")]
        assert it.stage is after
    else:
        with pytest.raises(TransitionError, match=f"E1: {before.value} cannot become {after.value}"):
            it.move(after, 9, "why")
        assert it.steps == steps


def test_the_table_names_every_stage():
    assert set(TRANSITIONS) == set(Stage)


def test_five_stages_are_ends_and_an_instruction_knows_when_it_has_come_to_one():
    ends = {Stage.COMPLETED, Stage.DECLINED, Stage.FAILED, Stage.EXPIRED, Stage.SUPERSEDED}
    assert ends == TERMINAL
    for stage in Stage:
        assert entry_at(stage).ended is (stage in ends)


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ISSUED])
def test_a_life_begins_as_issued(stage):
    it = entry()
    with pytest.raises(TransitionError, match=f"E1 must begin as issued, not {stage.value}"):
        it.move(stage, 0)
    assert it.steps == []


def test_an_id_is_opened_once():
    ledger = Ledger()
    first = ledger.open(entry(), 0, "came")
    with pytest.raises(TransitionError, match="E1 is already in the ledger"):
        ledger.open(entry(), 1)
    assert list(ledger.entries.values()) == [first]
    assert first.steps == [(0, Stage.ISSUED, "came")]


def test_an_entry_with_a_past_cannot_be_opened_anew():
    ledger = Ledger()
    with pytest.raises(TransitionError, match="accepted cannot become issued"):
        ledger.open(entry_at(Stage.ACCEPTED), 5)
    assert ledger.entries == {}


def test_unfinished_are_those_without_an_end_in_the_order_in_which_they_came():
    ledger = Ledger()
    for name in ("b", "a", "c"):
        ledger.open(entry(name), 0)
    ledger.entries["a"].move(Stage.DECLINED, 1)
    assert [it.instruction_id for it in ledger.unfinished()] == ["b", "c"]


@given(st.lists(st.sampled_from([*Stage])))
def test_whatever_is_tried_a_life_has_at_most_one_end_and_it_comes_last(tried):
    it = entry()
    for now_ms, stage in enumerate(tried):
        try:
            it.move(stage, now_ms)
        except TransitionError:
            continue
    stages = [stage for _, stage, _ in it.steps]
    assert all(stage not in TERMINAL for stage in stages[:-1])
    assert stages[:1] in ([], [Stage.ISSUED])
