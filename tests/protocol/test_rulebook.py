from datetime import date, timedelta
from itertools import pairwise

import pytest

from protocol import periods
from protocol.rulebook import TAGS, RuleError, _read, load_rulebook, rulebook_names

WINTER_2022 = date(2023, 1, 15)


def dfs(on):
    return load_rulebook("dfs", on=on)


def test_the_same_rule_differs_between_editions():
    editions = [dfs(date(2023, 1, 15)), dfs(date(2024, 1, 15)), dfs(date(2025, 1, 15)), dfs(date(2026, 6, 1))]
    assert [book.edition for book in editions] == ["2022/23", "2023/24", "2024/25", "2026"]
    assert [book.value("notice") for book in editions] == [
        "day_ahead",
        "day_ahead_or_within_day",
        "within_day",
        "within_24_hours",
    ]
    assert [book.value("min_unit_mw") for book in editions] == [1, 1, 1, 0.1]
    assert [book.value("in_day_adjustment") for book in editions] == [
        "domestic_units",
        "none",
        "none",
        "none",
    ]
    assert [book.value("settlement_rule") for book in editions] == [
        "delivered_x_price",
        "delivered_x_price",
        "performance_curve",
        "performance_curve",
    ]
    assert [book.value("guaranteed_acceptance_price_gbp_per_mwh") for book in editions] == [
        3000,
        3000,
        None,
        500,
    ]
    assert [book.value("dno_stacking") for book in editions] == [
        "none",
        "none",
        "same_direction",
        "same_direction",
    ]


def test_a_rule_tells_its_clause_source_dates_and_tag():
    rule = dfs(WINTER_2022).rule("min_unit_mw")
    assert (rule.value, rule.unit, rule.tag) == (1, "MW", "P")
    assert (rule.effective_from, rule.effective_to) == (date(2022, 11, 1), date(2026, 5, 18))
    assert "Participation Guidance Document V.4" in rule.source


def test_a_value_ends_on_the_day_that_the_next_begins():
    assert dfs(date(2026, 5, 17)).value("min_unit_mw") == 1
    assert dfs(date(2026, 5, 18)).value("min_unit_mw") == 0.1


def test_operational_metering_is_relaxed_step_by_step():
    books = [load_rulebook("operational_metering", on=date(year, 6, 1)) for year in (2022, 2024)]
    assert [book.value("accuracy_pct") for book in books] == [1.0, 2.5]
    assert [book.value("read_interval_s") for book in books] == [1, 60]
    assert [book.value("cohort_cap_mw") for book in books] == [None, 300]
    assert books[1].value("proposed_accuracy_up_to_10_mw_pct") == 1.5


def test_a_charge_point_delays_up_to_ten_minutes_and_can_be_told_thirty():
    rules = load_rulebook("charge_points", on=WINTER_2022)
    assert rules.value("random_delay_max_s") == 600
    assert rules.value("random_delay_capability_s") == 1800
    assert not rules.value("random_delay_in_response_dsr")


def test_gate_closure_is_the_same_in_rulebook_and_periods():
    rules = load_rulebook("bm", on=WINTER_2022)
    assert rules.value("gate_closure_min") * periods.MINUTE_MS == periods.GATE_CLOSURE_MS


def test_an_override_replaces_one_rule_and_says_so():
    rules = load_rulebook("dfs", on=WINTER_2022, overrides={"min_unit_mw": 0.5})
    assert rules.value("min_unit_mw") == 0.5
    assert rules.rule("min_unit_mw").overridden
    assert rules.rule("min_unit_mw").source.startswith("override of 1 (")
    assert not rules.rule("max_unit_mw").overridden
    assert dfs(WINTER_2022).value("min_unit_mw") == 1


def test_an_override_can_lift_a_cap_and_bring_a_later_rule_forward():
    metering = load_rulebook("operational_metering", on=date(2024, 6, 1), overrides={"cohort_cap_mw": None})
    assert metering.value("cohort_cap_mw") is None
    early = {"settlement_rule": "performance_curve", "performance_curve": [[0, 0], [100, 1]]}
    assert load_rulebook("dfs", on=WINTER_2022, overrides=early).value("performance_curve") == [
        [0, 0],
        [100, 1],
    ]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (
            {"minimum_unit_mw": 1},
            r"override refused: dfs: there is no rule 'minimum_unit_mw'.*nearest is 'min_unit_mw'",
        ),
        ({"min_unit_mw": "small"}, r"override refused: min_unit_mw is now 1 \[MW\], not 'small'"),
        ({"min_unit_mw": True}, r"min_unit_mw is now 1 \[MW\], not True"),
        ({"min_unit_mw": None}, r"min_unit_mw is now 1 \[MW\], not None"),
        (
            {"settlement_rule": "curve"},
            r"settlement_rule must be one of delivered_x_price, performance_curve, not 'curve'",
        ),
    ],
)
def test_an_override_that_does_not_fit_is_refused(overrides, words):
    with pytest.raises(RuleError, match=words):
        load_rulebook("dfs", on=WINTER_2022, overrides=overrides)


def test_a_rule_that_does_not_exist_is_refused_with_the_nearest():
    with pytest.raises(
        RuleError, match=r"no rule 'min_units_mw' \(asked for 2023-01-15\); the nearest is 'min_unit_mw'"
    ):
        dfs(WINTER_2022).value("min_units_mw")


def test_a_rule_not_in_force_on_the_day_says_when_it_was():
    with pytest.raises(
        RuleError, match=r"'performance_curve' had no value on 2023-01-15; it has from 2024-11-27"
    ):
        dfs(WINTER_2022).value("performance_curve")


def test_a_day_between_two_editions_is_refused_with_those_there_are():
    with pytest.raises(
        RuleError, match=r"no edition was in force on 2023-07-01; there are 2022/23 from 2022-11-01"
    ):
        dfs(date(2023, 7, 1))


def test_an_unknown_rulebook_is_refused_with_those_there_are():
    with pytest.raises(
        RuleError, match=r"no rulebook 'dsf'; there are bm, bsc, .*dfs, .*operational_metering"
    ):
        load_rulebook("dsf", on=WINTER_2022)


@pytest.mark.parametrize("name", rulebook_names())
def test_no_rule_has_two_values_on_one_day(name):
    for rule_name, dated in _read(name).rules.items():
        spans = sorted((rule.effective_from, rule.effective_to or date.max) for rule in dated)
        assert all(before[1] <= after[0] for before, after in pairwise(spans)), rule_name


@pytest.mark.parametrize("name", rulebook_names())
def test_every_value_has_a_clause_a_source_and_a_tag(name):
    for dated in _read(name).rules.values():
        assert all(rule.clause and rule.source and rule.tag in TAGS for rule in dated)


@pytest.mark.parametrize("name", rulebook_names())
def test_every_edition_can_be_loaded_on_its_first_and_last_day(name):
    for edition in _read(name).editions:
        last = edition.effective_to - timedelta(days=1) if edition.effective_to else date(2027, 1, 1)
        for day in (edition.effective_from, last):
            assert load_rulebook(name, on=day).edition == edition.name


def test_what_was_not_found_is_owned_as_our_assumption():
    for name in rulebook_names():
        for dated in _read(name).rules.values():
            assert all("assumption" in rule.source for rule in dated if rule.tag == "NF")
