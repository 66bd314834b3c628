"""A derogation is a dated patch: it reaches every reader of a rule, and nothing else."""

from datetime import date

import pytest

from markets.settings import RulesInForce
from protocol.derogations import RulesOn, derogation, derogation_names, derogations_on, load_derogated
from protocol.rulebook import RuleError, _read, load_rulebook, rulebook_names

TRIAL = date(2023, 1, 15)


def test_a_patched_rule_carries_the_derogations_provenance():
    rule = load_derogated("dfs", TRIAL, ("dfs_asset_metering",)).rule("metering_level")
    assert rule.value == "boundary_or_asset"
    assert "derogated (dfs_asset_metering)" in rule.clause
    assert (rule.effective_from, rule.effective_to) == (date(2022, 11, 1), date(2024, 11, 27))


def test_a_rule_without_a_value_on_the_day_is_given_one():
    assert "asset_meter_error_max_pct" not in load_rulebook("dfs", on=TRIAL).rules
    assert load_derogated("dfs", TRIAL, ("dfs_asset_metering",)).value("asset_meter_error_max_pct") == 2.5


def test_an_override_of_the_scenario_wins_over_a_derogation():
    book = load_derogated("dfs", TRIAL, ("dfs_asset_metering",), {"metering_level": "boundary"})
    assert book.value("metering_level") == "boundary"
    assert "derogated" not in book.rule("metering_level").clause


def test_outside_its_dates_a_derogation_changes_nothing():
    early = date(2022, 11, 1)
    assert load_derogated("dfs", early, ("dfs_asset_metering",)).value("metering_level") != "boundary"
    late = date(2024, 11, 27)
    assert load_derogated("dfs", late, ("dfs_asset_metering",)) == load_rulebook("dfs", on=late)


@pytest.mark.parametrize("name", derogation_names())
def test_a_derogation_leaves_every_rule_that_it_does_not_name_as_it_was(name):
    named = derogation(name)
    day = max(named.effective_from, date(2022, 11, 15))
    patched = {(book, rule) for book, rule, _ in named.patches}
    for book in rulebook_names():
        plain, under = load_rulebook(book, on=day), load_derogated(book, day, (name,))
        moved = {(book, rule) for rule in under.rules if under.rules[rule] != plain.rules.get(rule)}
        assert moved == {each for each in patched if each[0] == book}
        assert set(plain.rules) <= set(under.rules)


@pytest.mark.parametrize("name", derogation_names())
def test_a_derogation_names_rules_that_there_are_and_why(name):
    named = derogation(name)
    assert all(rule in _read(book).rules for book, rule, _ in named.patches)
    assert named.scope
    assert named.what
    assert named.clause
    assert named.source


def test_the_order_in_which_derogations_are_named_does_not_matter():
    names = derogation_names()
    assert derogations_on(names, TRIAL) == derogations_on(reversed(names), TRIAL)


def test_an_unknown_derogation_is_refused_with_the_nearest():
    with pytest.raises(
        RuleError, match="no derogation 'dfs_asset_meter'; the nearest is 'dfs_asset_metering'"
    ):
        load_derogated("dfs", TRIAL, ("dfs_asset_meter",))
    with pytest.raises(RuleError, match="no derogation"):
        RulesOn(TRIAL, ("nonsense",)).value("dfs", "min_unit_mw")


def test_markets_read_their_rulebooks_under_the_scenarios_derogations():
    rules = RulesInForce(None, (), ("dfs_asset_metering", "op_metering_60s_2p5pct"))
    assert rules.book("dfs", TRIAL).value("metering_level") == "boundary_or_asset"
    assert rules.book("operational_metering", TRIAL).value("read_interval_s") == 60
    assert rules.book("bm", TRIAL) == load_rulebook("bm", on=TRIAL)
    assert rules.rules_on(TRIAL).value("dfs", "metering_level") == "boundary_or_asset"


def test_between_two_editions_a_book_has_no_rules():
    assert RulesOn(date(2023, 8, 1)).rule("dfs", "min_unit_mw") is None
