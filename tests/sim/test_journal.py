"""The journal writes down what it hears, in order, and nothing else."""

import math

import pytest

from protocol import codec, messages
from protocol.messages import (
    AcceptanceResponse,
    BidOfferAcceptance,
    DeliveredVolume,
    DeliveryBelief,
    DfsBid,
    DfsCancellation,
    DfsRequirement,
    DfsResult,
    InstructionStep,
    PhysicalNotification,
    Point,
    Polls,
    Remark,
    Statement,
    StatementLine,
)
from protocol.party import NEVER_MS
from sim.journal import Journal
from sim.run_folder import NONE

LINE = StatementLine(
    "II", "BALANCING", "_A", "7", 1800, "imbalance", -0.5, 60.0, -3000, "aggregator", "bsc", "T4"
)


@pytest.mark.parametrize(
    ("message", "kind", "subject", "detail"),
    [
        (Remark(5, "dfs", "late_bid", "one minute late"), "late_bid", "", "one minute late"),
        (
            DfsRequirement("E1", 0, 1, 5.0, 0, 0, 3000.0, True),
            "dfs_requirement",
            "E1",
            "5 MW less, guaranteed 3000 GBP/MWh, a test",
        ),
        (DfsRequirement("E1", 0, 1, 5.5, 0, 0, None, False), "dfs_requirement", "E1", "5.5 MW less"),
        (
            DfsBid("B1", "E1", "DFS001", (1.5, 1.7), 3000.0),
            "dfs_bid",
            "E1",
            "DFS001: 1.5/1.7 MW at 3000 GBP/MWh",
        ),
        (
            DfsResult("B1", "E1", "DFS001", True, "", 0, 1, (2.0, 2.0), 900.0),
            "dfs_result",
            "E1",
            "DFS001: 2 MW at 900 GBP/MWh accepted",
        ),
        (
            DfsResult("B1", "E1", "DFS001", False, "too small", 0, 1, (), 900.0),
            "dfs_result",
            "E1",
            "DFS001:  MW at 900 GBP/MWh refused: too small",
        ),
        (DfsCancellation("E1", "not needed"), "dfs_cancellation", "E1", "not needed"),
        (
            BidOfferAcceptance("_A", 7, 0, (Point(0, -5.0), Point(1, -3.0)), False, "ORI"),
            "acceptance",
            "_A/7",
            "ORI: levels -5, -3 MW",
        ),
        (AcceptanceResponse("_A", 7, False, "too fast"), "acceptance_response", "_A/7", "declined: too fast"),
        (AcceptanceResponse("_A", 7, True, ""), "acceptance_response", "_A/7", "accepted"),
    ],
)
def test_what_happens_becomes_an_event_in_words(message, kind, subject, detail):
    journal = Journal()
    assert journal.hears(message)
    journal.receive(message, 5)
    (row,) = journal.state.events.rows
    assert (row[0], row[1], row[3], row[4]) == (5, kind, subject, detail)


def test_steps_lines_volumes_and_beliefs_fill_their_tables():
    journal = Journal()
    journal.receive(InstructionStep("_A-7", "BM", "_A", 9, "issued", "", 10, 20, 1_000_000), 9)
    journal.receive(Statement((LINE, LINE)), 99)
    journal.receive(DeliveredVolume("DFS", "DFS001", "E1", 0, 1800, 10, 4, 6, 7, 400, 3), 99)
    journal.receive(DeliveryBelief("_A-7", "_A", 11, 1_000_000, 900_000), 11)
    pages = {page.table: page.columns() for page in journal.pages if page.rows}
    assert pages["instructions"]["service"] == ("balancing",)
    assert pages["settlement"]["line"] == (0, 1)
    assert pages["settlement"]["heard_ms"] == (99, 99)
    assert pages["settlement"]["amount_gbp_e5"] == (-3000, -3000)
    assert pages["settlement"]["service"] == ("balancing", "balancing")
    assert pages["settled_volumes"]["delivered_wh"] == (6,)
    assert pages["settled_volumes"]["service"] == ("dfs",)
    assert pages["beliefs"]["believed_turn_down_w"] == (900_000,)


def test_a_message_without_a_page_is_an_error_and_never_lost_in_silence():
    polls = Polls(messages.np.zeros(1, messages.np.int32))
    assert not Journal().hears(polls)
    with pytest.raises(TypeError, match="no page for a Polls"):
        Journal().receive(polls, 0)


def test_it_never_wakes_and_never_speaks():
    journal = Journal()
    journal.receive(Remark(0, "a", "b", "c"), 0)
    assert journal.next_deadline_ms() == NEVER_MS
    assert journal.take_outbox() == []


def test_what_it_heard_survives_a_checkpoint():
    journal = Journal()
    journal.receive(Statement((LINE,)), 99)
    journal.receive(Remark(0, "a", "b", "c"), 0)
    writer = codec.Writer()
    again = codec.Reader(writer.arrays).decode(writer.encode(journal.state))
    assert again == journal.state


PROFILE = (Point(0, -5.0), Point(60_000, -3.0))


def test_levels_on_the_wire_keep_each_point_and_which_message_it_was_of():
    journal = Journal()
    journal.receive(DfsBid("B1", "E1", "DFS001", (1.5, 1.7), 3000.0), 1)
    journal.receive(DfsResult("B1", "E1", "DFS001", True, "", 1_800_000, 5_400_000, (1.5, 1.7), 900.0), 2)
    journal.receive(PhysicalNotification("_A", 0, 1_800_000, PROFILE), 3)
    journal.receive(BidOfferAcceptance("_A", 7, 4, PROFILE, False, "ORI"), 5)
    rows = journal.state.market_levels.rows
    assert [row[0] for row in rows] == list(range(8))
    assert [row[:-1] for row in rows[:4:2]] == [
        (0, 1, "dfs", "DFS001", "E1", "bid", "B1", 0, NONE, 1.5),
        (2, 2, "dfs", "DFS001", "E1", "accepted", "B1", 0, 1_800_000, 1.5),
    ]
    assert [row[-1] for row in rows[:4]] == [3000.0, 3000.0, 900.0, 900.0]
    assert [row[:-1] for row in rows[5::2]] == [
        (5, 3, "balancing", "_A", "", "fpn", "0", 1, 60_000, -3.0),
        (7, 5, "balancing", "_A", "7", "ORI", "7 4", 1, 60_000, -3.0),
    ]


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (DfsResult("B1", "E1", "DFS001", True, "", 0, 1, (1.5,), 900.0), "binding"),
        (BidOfferAcceptance("_A", 7, 4, PROFILE, False, "UPD"), "binding"),
        (BidOfferAcceptance("_A", 7, 4, PROFILE, False, "DEL"), "unbound"),
    ],
)
def test_what_settlement_was_told_is_a_level_and_no_event(message, what):
    journal = Journal()
    journal.bind(message, 5)
    assert {row[5] for row in journal.state.market_levels.rows} == {what}
    assert journal.state.events.rows == []


def test_a_level_without_a_price_survives_a_checkpoint():
    journal = Journal()
    journal.receive(PhysicalNotification("_A", 0, 1_800_000, PROFILE), 3)
    writer = codec.Writer()
    again = codec.Reader(writer.arrays).decode(writer.encode(journal.state))
    assert [row[:-1] for row in again.market_levels.rows] == [
        row[:-1] for row in journal.state.market_levels.rows
    ]
    assert all(math.isnan(row[-1]) for row in again.market_levels.rows)
