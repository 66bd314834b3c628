"""What was asked, believed, settled and true, put side by side by hand."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS
from sim.deliveries import deliveries, share_out
from sim.run_folder import NONE, Words
from sim.tables import TABLES

FIVE = 17 * HOUR_MS
SIX = 18 * HOUR_MS


def columns(table, rows):
    """Rows written by hand as the columns of a table."""
    found = {}
    for place, column in enumerate(TABLES[table].columns):
        values = [row[place] for row in rows]
        if column.kind == "word":
            names = tuple(sorted(set(values)))
            found[column.name] = Words(np.array([names.index(value) for value in values], np.int32), names)
        else:
            found[column.name] = np.array(values, np.int64)
    return found


def step(line, at_ms, stage, name="E1", unit="_A", start=FIVE, end=SIX, watts=1_000_000, service="dfs"):
    return (line, at_ms, name, service, unit, stage, "", start, end, watts)


def accepted(name="E1", **other):
    return [step(0, 0, "issued", name, **other), step(1, 1, "accepted", name, **other)]


def volume(line, start_ms, baseline, metered, delivered, reference="E1", unit="_A"):
    return (
        line,
        0,
        "dfs",
        unit,
        reference,
        start_ms,
        start_ms + PERIOD_MS,
        baseline,
        metered,
        delivered,
        0,
        10,
        0,
    )


def told(instructions, beliefs=(), volumes=(), truth=lambda unit, service, start_ms, end_ms: 100):
    return deliveries(
        columns("instructions", instructions),
        columns("beliefs", beliefs),
        columns("settled_volumes", volumes),
        truth,
    )


def test_a_megawatt_for_an_hour_is_500_kwh_in_each_of_two_periods():
    rows = told(accepted())
    assert [(row.at_ms, row.end_ms, row.instructed_wh) for row in rows] == [
        (FIVE, FIVE + PERIOD_MS, 500_000),
        (FIVE + PERIOD_MS, SIX, 500_000),
    ]
    assert [(row.believed_wh, row.settled_wh, row.settled_minus_true_wh) for row in rows] == [
        (NONE, NONE, NONE)
    ] * 2


def test_a_declined_instruction_delivers_nothing():
    assert told([step(0, 0, "issued"), step(1, 0, "declined")]) == []


def test_periods_are_cut_at_the_half_hour():
    rows = told(accepted(start=FIVE + 20 * MINUTE_MS, end=FIVE + 40 * MINUTE_MS))
    assert [row.instructed_wh for row in rows] == [166_667, 166_667]
    assert [(a.end_ms, b.at_ms) for a, b in pairwise(rows)] == [(FIVE + PERIOD_MS, FIVE + PERIOD_MS)]


def test_a_belief_holds_until_the_next():
    beliefs = [
        (FIVE, "E1", "_A", 1_000_000, 0),
        (FIVE + 10 * MINUTE_MS, "E1", "_A", 1_000_000, 600_000),
        (FIVE, "E1", "_B", 9_000_000, 9_000_000),
    ]
    first, second = told(accepted(), beliefs)
    assert (first.instructed_wh, first.believed_wh) == (500_000, 200_000)
    assert (second.instructed_wh, second.believed_wh) == (500_000, 300_000)


def test_the_same_event_in_two_units_is_two_instructions():
    rows = told([*accepted(unit="_A"), *accepted(unit="_B", watts=2_000_000)])
    assert [(row.unit, row.instructed_wh) for row in rows] == [
        ("_A", 500_000),
        ("_A", 500_000),
        ("_B", 1_000_000),
        ("_B", 1_000_000),
    ]


def test_a_later_settlement_run_replaces_the_earlier_of_the_same_reference():
    volumes = [
        volume(0, FIVE, 900, 300, 600),
        volume(1, FIVE, 910, 300, 610),
        volume(2, FIVE, 9, 9, 9, unit="_B"),
    ]
    first, second = told(accepted(), volumes=volumes)
    assert (first.baseline_wh, first.metered_wh, first.settled_wh, first.settled_minus_true_wh) == (
        910,
        300,
        610,
        510,
    )
    assert second.settled_wh == NONE


def test_an_instruction_that_was_superseded_ends_there():
    steps = [*accepted(), step(2, FIVE + PERIOD_MS, "superseded")]
    assert [row.end_ms for row in told(steps)] == [FIVE + PERIOD_MS]


def test_an_instruction_that_was_cancelled_asked_for_nothing():
    assert told([*accepted(), step(2, FIVE - PERIOD_MS, "expired")]) == []


def test_an_instruction_overtaken_before_it_began_asked_for_nothing():
    assert told([*accepted(), step(2, FIVE - PERIOD_MS, "superseded")]) == []


def test_one_that_failed_in_the_end_was_asked_for_throughout():
    rows = told([*accepted(), step(2, SIX, "failed")])
    assert [row.instructed_wh for row in rows] == [500_000, 500_000]


def test_what_a_later_acceptance_takes_over_for_a_while_is_asked_for_once():
    # A: 1 MW from 17:00 to 18:00. B: 3 MW from 17:10 to 17:20, when only B is reported on; then A resumes.
    minutes = {"A": (0, 5, 20, 40), "B": (10, 15)}
    watts = {"A": 1_000_000, "B": 3_000_000}
    beliefs = [
        (FIVE + minute * MINUTE_MS, name, "_A", watts[name], 0) for name in "AB" for minute in minutes[name]
    ]
    later = {"start": FIVE + 10 * MINUTE_MS, "end": FIVE + 20 * MINUTE_MS, "watts": 3_000_000}
    rows = told([*accepted("A"), *accepted("B", **later)], beliefs)
    asked = {(row.instruction_id, row.at_ms): row.instructed_wh for row in rows}
    # 20 of A's first 30 minutes at 1 MW, 10 minutes at 3 MW, half an hour at 1 MW.
    assert asked == {("A", FIVE): 333_333, ("B", later["start"]): 500_000, ("A", FIVE + PERIOD_MS): 500_000}


def test_one_that_is_overtaken_from_its_start_asks_for_nothing_before_it_resumes():
    beliefs = [(FIVE, "B", "_A", 3_000_000, 0), (FIVE + 15 * MINUTE_MS, "A", "_A", 1_000_000, 0)]
    later = {"end": FIVE + 15 * MINUTE_MS, "watts": 3_000_000}
    rows = told([*accepted("A"), *accepted("B", **later)], beliefs)
    assert [row.instructed_wh for row in rows if row.at_ms == FIVE] == [250_000, 750_000]


def test_instructions_that_overlap_share_one_truth_and_one_settlement():
    steps = [*accepted("E1"), *accepted("E2", watts=3_000_000)]
    volumes = [volume(0, FIVE, 900, 300, 600)]
    rows = [row for row in told(steps, volumes=volumes, truth=lambda *_: 401) if row.at_ms == FIVE]
    assert [row.true_wh for row in rows] == [100, 301]
    assert [row.settled_wh for row in rows] == [150, 450]
    assert [row.baseline_wh for row in rows] == [900, NONE]


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1, max_size=8))
def test_shares_add_up_to_the_whole(total, weights):
    parts = share_out(total, weights)
    assert sum(parts) == total
    assert all(
        abs(part * sum(weights) - total * weight) <= sum(weights)
        for part, weight in zip(parts, weights, strict=True)
        if sum(weights)
    )
