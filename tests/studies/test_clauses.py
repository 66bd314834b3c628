"""The register of clauses: what a run reads is told, what none reads is listed."""

from datetime import date
from pathlib import Path

from protocol.derogations import RulesOn
from protocol.rulebook import every_rule, load_rulebook, rules_read
from studies.clauses import Exercised, exercised, page

DAY = date(2023, 1, 24)
ROOT = Path(__file__).parents[2]


def test_what_is_read_is_seen_and_nothing_else():
    with rules_read() as seen:
        load_rulebook("dfs", on=DAY).value("min_unit_mw")
        assert RulesOn(DAY).rule("bm", "no such rule") is None
    load_rulebook("dfs", on=DAY).value("max_unit_mw")
    assert seen == {("dfs", "min_unit_mw")}


def test_two_watchers_see_each_their_own():
    with rules_read() as outer:
        with rules_read() as inner:
            load_rulebook("bm", on=DAY).value("min_unit_mw")
        load_rulebook("bm", on=DAY).value("max_pairs_per_side")
    assert inner == {("bm", "min_unit_mw")}
    assert outer == {("bm", "min_unit_mw"), ("bm", "max_pairs_per_side")}


def test_a_day_of_nothing_rests_no_money_on_any_clause():
    found = exercised(ROOT / "scenarios" / "nothing.yaml")
    assert found.settled == frozenset()
    assert ("bm", "min_unit_mw") in found.read


def test_every_rule_is_on_the_page_once():
    told = page([Exercised("one", frozenset({("dfs", "min_unit_mw")}), frozenset({"a clause"}))])
    for _book, dated in every_rule():
        assert f"| {dated[0].name} |" in told
    read, unread = told.split("## Exercised by no scenario")
    assert "| min_unit_mw |" in read.split("## dfs")[1]
    assert "| dfs | min_unit_mw |" not in unread
    assert "| a clause | one |" in unread
