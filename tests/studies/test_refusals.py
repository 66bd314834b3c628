"""The register of refusals: none is forgotten, and the small worlds still trigger what the page says."""

import ast
from pathlib import Path

import pytest

from aggregator.service_book import Awarded, Offered
from aggregator.service_cases import award_refusal, notice_refusal, signal_refusal, trade_refusal
from protocol.messages import (
    CapacityNotice,
    ServiceAward,
    ServiceDispatch,
    ServiceOffer,
    WholesaleOrder,
    WholesaleTrade,
)
from protocol.periods import PERIOD_MS
from sim.scenario_file import load_scenario
from studies.check import scenarios_in
from studies.refusal_reasons import every_reason, every_remark
from studies.refusals import NOTHING, Heard, Utterance, heard, listed, page, page_again, register, triggers

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "refusals.md").read_text(encoding="utf-8")
SMALL = ROOT / "scenarios" / "refusals"


def _told_by(row):
    return [name.strip("`") for name in row[2].split(", ") if name.startswith("`")]


def test_the_page_lists_what_the_code_can_refuse_and_nothing_else():
    expected = {(f"{each.file} {each.decided_in}", each.words.replace("|", "/")) for each in register()}
    assert {(decided_in, words) for decided_in, words, _ in listed(PAGE)} == expected


def test_a_list_read_anew_keeps_what_triggers_what():
    assert page_again(PAGE) == PAGE
    line = next(line for line in PAGE.splitlines() if "faster_than_ramp" in line)
    assert len(listed(page_again(PAGE.replace(f"{line}\n", "")))) == len(listed(PAGE))


def test_the_enumeration_finds_reasons_however_they_are_handed_on():
    found = {(each.decided_in, each.words) for each in every_reason()}
    assert ("_impossible", "faster_than_ramp") in found  # returned through two functions
    assert ("_sold_already", "its assets are sold as … of … then (…)") in found  # a part of a tuple
    assert ("_price_faults", "… price of … is above the ceiling of …") in found  # yielded
    assert "it makes a new constraint at boundary …" in {words.split(" (")[0] for _, words in found}  # data
    assert ("_registration_refusal", "it has no homes") in found  # told in a remark alone
    assert ("_within", "error of the meter is … %, above … %") in found  # words of the caller
    assert "unexpected_message" in {each.words for each in every_remark()}


def test_every_line_of_the_page_names_scenarios_or_a_test_that_there_are_or_says_that_nothing_does():
    scenarios = {path.stem for path in (*SMALL.glob("*.yaml"), *(ROOT / "scenarios").glob("*.yaml"))}
    for decided_in, words, by in listed(PAGE):
        if by.startswith("`"):
            assert set(_told_by((decided_in, words, by))) <= scenarios, (decided_in, words)
        elif not by.startswith(NOTHING):
            file, name = by.split("::")
            tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, by


def test_a_reason_is_heard_from_who_gives_it_and_from_nobody_else():
    (reason,) = (each for each in register() if each.words == "no depth: the other side is used up")
    words = f"order 1: {reason.words}"
    said = Heard("one", frozenset({Utterance("exchange", "", words)}))
    assert triggers(reason, [said]) == {"one": ""}
    assert triggers(reason, [Heard("one", frozenset({Utterance("dso", "", words)}))]) == {}
    assert "| `one` |" in page([said])


@pytest.mark.parametrize("path", sorted(SMALL.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_small_world_is_a_scenario_that_the_page_knows(path):
    load_scenario(path)
    assert f"`{path.stem}`" in PAGE


def test_the_check_of_the_shipped_scenarios_leaves_the_small_worlds_alone():
    runs, _ = scenarios_in(ROOT / "scenarios")
    assert runs
    assert not [path for path in runs if path.parent == SMALL]


@pytest.mark.parametrize("name", ["worse-behind", "devices-that-refuse"])
def test_a_small_world_triggers_what_the_page_says(name):
    found = heard(SMALL / f"{name}.yaml")
    lines = {(decided_in, words): _told_by((decided_in, words, by)) for decided_in, words, by in listed(PAGE)}
    told = {line for line, by in lines.items() if name in by}
    now = {
        (f"{each.file} {each.decided_in}", each.words.replace("|", "/"))
        for each in register()
        if triggers(each, [found])
    }
    assert told
    assert now == told


def test_what_comes_after_its_end_or_its_cancellation_is_refused():
    offer = ServiceOffer("secure", "o", "e", "u", (0.1,), 0.0, 0.0)
    award = ServiceAward("secure", "o", "e", "u", True, "", 0, PERIOD_MS, (0.1,), 0.0, 0.0, False)
    offered = Offered(offer, 0, PERIOD_MS, [0], 0)
    assert award_refusal(award, offered, [], 0) == ""
    assert award_refusal(award, offered, ["e"], 0) == "cancelled"
    assert award_refusal(award, offered, [], PERIOD_MS) == "after_end"
    start = ServiceDispatch("secure", "d", "o", "u", "start", 0, PERIOD_MS, 0.1)
    awarded = Awarded(award, [0], 0, 0)
    assert signal_refusal(start, awarded, False, [], 0, 0) == ""
    assert signal_refusal(start, awarded, False, ["e"], 0, 0) == "cancelled"
    order = WholesaleOrder("w", "u", "intraday", 0, PERIOD_MS, 0.1, 50.0)
    trade = WholesaleTrade("w", "u", "intraday", 0, PERIOD_MS, 0.1, 50.0, "")
    assert [trade_refusal(trade, order, now_ms) for now_ms in (0, PERIOD_MS)] == ["", "after_end"]
    notice = CapacityNotice("n", 0, 0, PERIOD_MS, 1.0, stressed=True)
    assert [notice_refusal(notice, now_ms) for now_ms in (0, PERIOD_MS)] == ["", "notice_after_end"]
