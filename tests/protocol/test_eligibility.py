"""CrowdFlex WP5's tables, held against the rulebooks; what moved since; and the laws of verdicts."""

from dataclasses import replace
from datetime import date
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.derogations import RulesOn, derogation, derogation_names
from protocol.eligibility import (
    DSO_PRODUCTS,
    AssetFacts,
    Control,
    Dimension,
    Grain,
    Level,
    Meter,
    Settlement,
    UnitFacts,
    aggregation_area,
    capabilities,
    moves,
    requirements,
    smart_meter,
    verdict,
    verdicts,
)
from protocol.messages import Technology
from protocol.products import Answer, Product, all_of
from protocol.rulebook import FOLDER, load_rulebook

CROWDFLEX = date(2022, 11, 15)
TRIAL = (Product.BM, Product.TCM, Product.DFS, Product.SUSTAIN, Product.SECURE)
EV_METER = Meter(error_pct=2.0, read_interval_s=60, latency_s=5, decimal_places=3)  # WP5 Table 3
BIG = UnitFacts(mw=5.0, assets=1_000)

CAR = AssetFacts(
    technology=Technology.EV,
    control=Control.AUTOMATED,
    settlement=Settlement.HH_METERED,
    located=Grain.CMZ,
    gsp_group="_P",
    in_cmz=True,
    rating_kw=7.4,
    boundary_meter=smart_meter(),
    asset_meter=EV_METER,
    response_s=30,
    hold_min=240,
    exports=False,
)
HEAT = replace(CAR, technology=Technology.HEAT_PUMP, response_s=120, hold_min=120)
WHITE_GOODS = replace(CAR, technology=Technology.APPLIANCE, control=Control.MANUAL, asset_meter=None)
CLASSES = {"EV": CAR, "Elect. heat": HEAT, "White goods": WHITE_GOODS}


def ask(facts, product, on=CROWDFLEX, *derogations, unit=BIG, **more):
    return verdict(facts, product, RulesOn(on, derogations), unit, **more)


def answer(facts, product, on=CROWDFLEX, *derogations, **more):
    return ask(facts, product, on, *derogations, **more).answer


def clauses(found):
    return {block.clause for block in found.blocks}


# ---------------------------------------------------------------------------------------------- WP5's tables

TABLE_2 = {  # CrowdFlex WP5, Table 2: Technologies suitable for ESO & DSO services; columns as in TRIAL
    ("EV", "Automated"): "✓ ✓ ✓ ✓ ✓",
    ("Elect. heat", "Automated"): "✓ ✓ ✓ ✓ ✓",
    ("White goods", "Manual"): "X ✓ ✓ ✓ ✓",
}
TABLE_5_2 = dict(TABLE_2)  # WP5 section 5.2, the untitled table: the same five services and ticks
TABLE_5 = {  # CrowdFlex WP5, Table 5: service type: (dispatch vector, suitable technologies)
    "scheduled": ("Manual", {"EV", "Elect. heat", "White goods"}),
    "day_ahead": ("Manual or automated", {"EV", "Elect. heat", "White goods"}),
    "real_time": ("Automated", {"EV", "Elect. heat"}),
}
SUITABILITY = frozenset({Dimension.DISPATCH, Dimension.DURATION})


def ticks(name, **more):
    marks = (answer(CLASSES[name], product, **more) for product in TRIAL)
    return " ".join("✓" if mark is Answer.YES else "X" for mark in marks)


@pytest.mark.parametrize("table", [TABLE_2, TABLE_5_2], ids=["table 2", "table of 5.2"])
def test_technologies_suit_services_as_wp5_says(table):
    for (name, method), wanted in table.items():
        assert CLASSES[name].control.value == method.lower()
        assert ticks(name, dimensions=SUITABILITY) == wanted


def test_technologies_suit_service_types_as_table_5_says():
    book = load_rulebook("eligibility", on=CROWDFLEX)
    for service_type, (vector, technologies) in TABLE_5.items():
        told = " or ".join(book.value(f"{service_type}_dispatch")).capitalize()
        assert told == vector
        (product, *_) = [p for p in TRIAL if book.value(f"{p.value}_service_type") == service_type]
        suits = {n for n, facts in CLASSES.items() if not _dispatch_blocks(facts, product)}
        assert suits == technologies


def _dispatch_blocks(facts, product):
    return ask(facts, product, dimensions=frozenset({Dimension.DISPATCH})).blocks


def test_whole_verdicts_are_table_2_once_crowdflex_has_what_it_asked_for():
    granted = ("bsc_k_s_nhh_secondary_bmu", "bscp503", "op_metering_60s_2p5pct")  # WP5 4.4.1, 4.4.2
    for (name, _), wanted in TABLE_2.items():
        marks = (answer(CLASSES[name], product, CROWDFLEX, *granted) for product in TRIAL)
        assert " ".join("✓" if mark is Answer.YES else "X" for mark in marks) == wanted


def test_without_its_derogations_a_car_is_kept_out_of_the_balancing_mechanism_by_the_clauses_of_4_4():
    found = ask(CAR, Product.BM)
    assert found.answer is Answer.NO
    assert {"Section K, Section S", "BSCP503; section 4.4.1", "Table 1, BM (current)"} == clauses(found)


@pytest.mark.parametrize(
    ("missing", "blocked_by"),
    [
        ("bsc_k_s_nhh_secondary_bmu", {"Section K, Section S"}),
        ("bscp503", {"BSCP503; section 4.4.1"}),
        ("op_metering_60s_2p5pct", {"Table 1, BM (current)"}),
    ],
)
def test_each_of_the_derogations_is_needed(missing, blocked_by):
    granted = {"bsc_k_s_nhh_secondary_bmu", "bscp503", "op_metering_60s_2p5pct"} - {missing}
    assert clauses(ask(CAR, Product.BM, CROWDFLEX, *granted)) == blocked_by


def test_dfs_of_2022_is_metered_at_the_boundary_and_asks_no_half_hourly_settlement():
    assert ask(CAR, Product.DFS).metered_at is Level.BOUNDARY
    assert answer(CAR, Product.DFS) is Answer.YES
    dumb = replace(CAR, settlement=Settlement.NOT_SMART, boundary_meter=None)
    assert answer(dumb, Product.DFS) is Answer.NO


@pytest.mark.parametrize(
    ("mw", "wanted"), [(0.999, Answer.NO), (1.0, Answer.YES), (100.0, Answer.YES), (100.1, Answer.NO)]
)
def test_a_dfs_unit_of_2022_has_1_to_100_mw(mw, wanted):
    assert answer(CAR, Product.DFS, unit=UnitFacts(mw=mw)) is wanted


def test_constraint_management_asks_for_the_gsp_and_dso_services_for_the_zone():
    group_only = replace(CAR, located=Grain.GSP_GROUP)
    assert answer(group_only, Product.TCM) is Answer.NO
    assert answer(group_only, Product.DFS) is Answer.YES
    by_gsp = replace(CAR, located=Grain.GSP)
    assert answer(by_gsp, Product.TCM) is Answer.YES
    assert {answer(by_gsp, product) for product in DSO_PRODUCTS} == {Answer.NO}
    assert answer(replace(CAR, in_cmz=False), Product.SUSTAIN_H) is Answer.NO
    assert answer(replace(CAR, in_cmz=None), Product.SUSTAIN_H) is Answer.UNKNOWN


def test_staggered_reads_and_averaged_errors_meet_the_standard_as_4_2_2_reckons():
    # 60 assets reading once a minute give a signal every second; 2.5 % on 100 meters is better than 1 %.
    granted = ("bsc_k_s_nhh_secondary_bmu", "bscp503", "op_metering_portfolio")
    coarse = replace(CAR, asset_meter=replace(EV_METER, error_pct=2.5))
    of = {
        n: answer(coarse, Product.BM, CROWDFLEX, *granted, unit=UnitFacts(5.0, n)) for n in (6, 59, 60, 100)
    }
    assert of == {6: Answer.NO, 59: Answer.NO, 60: Answer.YES, 100: Answer.YES}
    unknown = answer(coarse, Product.BM, CROWDFLEX, *granted, unit=UnitFacts(5.0))
    assert unknown is Answer.UNKNOWN
    every_second = replace(CAR, asset_meter=replace(EV_METER, error_pct=2.5, read_interval_s=1))
    of = {n: answer(every_second, Product.BM, CROWDFLEX, *granted, unit=UnitFacts(5.0, n)) for n in (6, 7)}
    assert of == {6: Answer.NO, 7: Answer.YES}  # 2.5 / sqrt(6) = 1.02, 2.5 / sqrt(7) = 0.94


# ------------------------------------------------------------------------------------------ what moved since


def first_day(facts, product, days, *derogations):
    return [answer(facts, product, day, *derogations) is Answer.YES for day in days]


def test_dfs_takes_asset_meters_from_27_november_2024():
    asset_only = replace(CAR, settlement=Settlement.NOT_SMART, boundary_meter=None)
    days = (date(2024, 3, 31), date(2024, 11, 27))
    assert first_day(asset_only, Product.DFS, days) == [False, True]


def test_p415_opens_the_wholesale_market_on_7_november_2024():
    settled = replace(CAR, settlement=Settlement.HH_SETTLED)
    days = (date(2024, 11, 6), date(2024, 11, 7))
    assert first_day(settled, Product.WHOLESALE, days) == [False, True]


def test_p483_lets_an_asset_meter_stand_for_half_hourly_settlement():
    for product in (Product.BM, Product.WHOLESALE):
        days = (date(2025, 11, 5), date(2025, 11, 6))
        assert first_day(CAR, product, days) == [False, True]
        at_boundary = replace(CAR, asset_meter=None)
        assert first_day(at_boundary, product, days) == [False, False]


def test_operational_metering_is_relaxed_for_small_assets_on_7_february_2024():
    settled = replace(CAR, settlement=Settlement.HH_SETTLED)
    days = (date(2023, 6, 30), date(2024, 2, 6), date(2024, 2, 7))
    assert first_day(settled, Product.BM, days) == [False, False, True]


def test_the_relaxation_ends_at_300_mw_and_at_assets_of_1_mw():
    settled = replace(CAR, settlement=Settlement.HH_SETTLED)
    day = date(2025, 1, 15)
    for cohort_mw, wanted in ((300.0, Answer.YES), (300.1, Answer.NO)):
        unit = UnitFacts(mw=5.0, assets=1_000, cohort_mw=cohort_mw)
        assert answer(settled, Product.BM, day, unit=unit) is wanted
    large = replace(settled, rating_kw=1_001, asset_meter=None)
    assert "Table 1, BM (current)" in clauses(ask(large, Product.BM, day))


def test_mhhs_settles_every_half_hourly_meter_when_migration_is_over():
    at_boundary = replace(CAR, asset_meter=None)
    days = (date(2027, 7, 31), date(2027, 8, 1))
    assert first_day(at_boundary, Product.WHOLESALE, days) == [False, True]


def test_p511_leaves_exporting_assets_in_doubt():
    battery = replace(CAR, technology=Technology.BATTERY, exports=True, settlement=Settlement.HH_SETTLED)
    assert answer(battery, Product.WHOLESALE, date(2026, 8, 23)) is Answer.YES
    assert answer(battery, Product.WHOLESALE, date(2026, 8, 24)) is Answer.UNKNOWN


def test_dfs_beside_a_dno_service_is_no_in_2022_and_possible_since_2024():
    in_sustain = replace(CAR, holds=frozenset({Product.SUSTAIN}))
    assert answer(in_sustain, Product.DFS) is Answer.NO
    assert answer(in_sustain, Product.DFS, date(2025, 1, 15)) is Answer.YES
    in_bm = replace(CAR, holds=frozenset({Product.BM}))
    assert answer(in_bm, Product.DFS, date(2025, 1, 15)) is Answer.NO


def test_the_constraint_market_is_for_scotland_and_has_an_end():
    assert answer(CAR, Product.LCM, date(2024, 6, 1)) is Answer.YES
    assert answer(replace(CAR, gsp_group="_A"), Product.LCM, date(2024, 6, 1)) is Answer.NO
    assert answer(CAR, Product.LCM, date(2027, 2, 1)) is Answer.NO


def test_a_pause_of_dfs_is_a_no_that_says_so():
    (block,) = ask(CAR, Product.DFS, date(2023, 8, 1)).blocks
    assert block.reason == "no edition of DFS was in force on 2023-08-01"


def test_what_moved_between_two_days_is_told_rule_by_rule():
    found = moves(Product.WHOLESALE, RulesOn(date(2025, 11, 5)), RulesOn(date(2025, 11, 6)))
    assert [(move.rule, move.before.value, move.after.value) for move in found] == [
        ("hh_settlement_required_with_asset_meter", True, False),
        ("hh_aggregation_required_with_asset_meter", True, False),
    ]


# ------------------------------------------------------------------------------------------------------ laws

DAYS = st.sampled_from(
    [date(2022, 11, 15), date(2023, 8, 1), date(2024, 3, 1), date(2025, 1, 15), date(2026, 9, 1)]
)
METERS = st.none() | st.builds(
    Meter,
    error_pct=st.sampled_from([None, 1.0, 2.0, 4.0]),
    read_interval_s=st.sampled_from([None, 1, 60, 300]),
    latency_s=st.sampled_from([None, 5, 30]),
    decimal_places=st.sampled_from([None, 3]),
)
FACTS = st.builds(
    AssetFacts,
    technology=st.sampled_from(Technology),
    control=st.sampled_from(Control),
    settlement=st.sampled_from(Settlement),
    located=st.sampled_from(Grain),
    gsp_group=st.sampled_from([None, "_A", "_P"]),
    in_cmz=st.sampled_from([None, True, False]),
    rating_kw=st.sampled_from([7.4, 250.0, 2_000.0]),
    boundary_meter=METERS,
    asset_meter=METERS,
    response_s=st.sampled_from([None, 30, 1_000]),
    hold_min=st.sampled_from([None, 20, 60, 240]),
    exports=st.booleans(),
    holds=st.frozensets(st.sampled_from(Product), max_size=2),
)
UNITS = st.builds(
    UnitFacts,
    mw=st.sampled_from([None, 0.05, 5.0]),
    assets=st.sampled_from([None, 10, 1_000]),
    cohort_mw=st.sampled_from([None, 400.0]),
)
PRODUCTS = st.sampled_from(Product)
NAMES = st.sampled_from(derogation_names())


@given(FACTS, UNITS, PRODUCTS, DAYS, NAMES)
def test_a_derogation_changes_verdicts_in_its_scope_only_and_never_for_the_worse(
    facts, unit, product, day, name
):
    before, after = (
        verdict(facts, product, RulesOn(day), unit),
        verdict(facts, product, RulesOn(day, (name,)), unit),
    )
    assert after.answer >= before.answer
    named = derogation(name)
    touched = {product, *facts.holds} if facts.holds & named.scope else {product}
    if not touched & named.scope or not named.holds(day):
        assert after == before


@given(FACTS, UNITS, PRODUCTS, DAYS, st.sets(st.sampled_from(Dimension)), st.sampled_from(Dimension))
def test_one_more_rule_never_makes_a_verdict_wider(facts, unit, product, day, some, one_more):
    few, more = frozenset(some or {one_more}), frozenset(some | {one_more})
    rules = RulesOn(day)
    at = {d: verdict(facts, product, rules, unit, d) for d in (few, more)}
    assert at[more].answer <= at[few].answer


@given(FACTS, UNITS, PRODUCTS, DAYS)
def test_a_fact_forgotten_never_turns_into_a_yes(facts, unit, product, day):
    rules = RulesOn(day)
    known = verdict(facts, product, rules, unit).answer
    forgotten = [replace(facts, in_cmz=None), replace(facts, response_s=None), replace(facts, hold_min=None)]
    forgotten += [replace(facts, gsp_group=None), replace(facts, located=Grain.NONE)]
    if facts.asset_meter and facts.boundary_meter:
        blank = Meter(None, None, None, None)
        forgotten.append(replace(facts, asset_meter=blank, boundary_meter=blank))
    for each in forgotten:
        if known is not Answer.YES:
            assert verdict(each, product, rules, unit).answer is not Answer.YES


@pytest.mark.parametrize("fact", ["error_pct", "read_interval_s", "latency_s", "decimal_places"])
def test_a_meter_that_tells_less_leaves_the_balancing_mechanism_in_doubt(fact):
    car = replace(CAR, settlement=Settlement.HH_SETTLED, boundary_meter=None)
    assert answer(car, Product.BM, date(2025, 1, 15)) is Answer.YES
    less = replace(car, asset_meter=replace(EV_METER, **{fact: None}))
    assert answer(less, Product.BM, date(2025, 1, 15)) is Answer.UNKNOWN


@given(FACTS, UNITS, PRODUCTS, DAYS)
def test_a_verdict_is_what_its_blocks_say_and_cites_a_clause_a_source_and_a_tag(facts, unit, product, day):
    found = verdict(facts, product, RulesOn(day), unit)
    assert found.answer is all_of(found.blocks)
    assert all(block.clause and block.source and block.tag and block.reason for block in found.blocks)


@given(st.lists(FACTS, max_size=4), PRODUCTS, DAYS)
def test_classes_together_are_judged_as_each_by_itself(classes, product, day):
    rules = RulesOn(day)
    together = verdicts([*classes, *classes], product, rules)
    assert together == tuple(verdict(each, product, rules) for each in [*classes, *classes])


@pytest.mark.parametrize("name", derogation_names())
def test_dates_of_derogations_are_half_open(name):
    named = derogation(name)
    assert named.holds(named.effective_from)
    assert not named.holds(date.fromordinal(named.effective_from.toordinal() - 1))
    if named.effective_to:
        assert not named.holds(named.effective_to)
        assert named.holds(date.fromordinal(named.effective_to.toordinal() - 1))


# ------------------------------------------------------------------------------------------------------ data


def test_every_rule_that_a_requirement_names_is_in_its_book():
    for product in Product:
        for each in requirements(product):
            text = (FOLDER / f"{each.book}.yaml").read_text(encoding="utf-8")
            assert f"\n  {each.rule}:\n" in text, (product, each.rule)


def test_every_rule_of_the_eligibility_book_is_read_by_some_product():
    asked = {each.rule for product in Product for each in requirements(product)}
    others = {"scheduled_dispatch", "day_ahead_dispatch", "real_time_dispatch", "hh_metered_is_settled"}
    others |= {"operational_metering_judged_of", "lcm_bm_unit_allowed", "lcm_other_service_in_period_allowed"}
    assert set(load_rulebook("eligibility", on=CROWDFLEX).rules) - asked == others


def test_every_technology_has_its_capability_and_a_source():
    assert set(capabilities()) == set(Technology)
    assert all(each.source and each.tag for each in capabilities().values())


def test_units_are_made_up_per_area_of_the_rulebook():
    areas = {product: aggregation_area(product, RulesOn(CROWDFLEX)) for product in Product}
    assert areas[Product.BM] == "gsp_group"
    assert areas[Product.DFS] == "national"
    assert aggregation_area(Product.DFS, RulesOn(date(2026, 6, 1))) == "zone"
    assert areas[Product.TCM] == "gsp"
    assert {areas[product] for product in DSO_PRODUCTS} == {"cmz"}


def test_derogations_never_patch_one_rule_in_two_ways():
    for one, other in combinations(derogation_names(), 2):
        patched = [{(book, rule) for book, rule, _ in derogation(name).patches} for name in (one, other)]
        assert not patched[0] & patched[1]
