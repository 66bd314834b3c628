"""Two sales on one asset: the ENA's cells, the clauses of DFS, directions, primacy; each kWh paid once."""

from datetime import date
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.derogations import RulesOn
from protocol.products import Answer, Product
from protocol.stacking import (
    Commitment,
    Mode,
    Primacy,
    Stage,
    _matrix,
    _pair_blocks,
    _products,
    allocate,
    answer_table,
    may_hold,
    may_serve,
    pay_order,
    unpaid,
)

HOUR = 3_600_000
Y2022, Y2025 = RulesOn(date(2022, 11, 15)), RulesOn(date(2025, 1, 15))


def sale(product, start=0, end=1, watts=3_000, agreed=0, key=""):
    return Commitment(product, start * HOUR, end * HOUR, watts, agreed, key)


def meet(one, other, available_w=7_000, rules=Y2025, policy=Primacy.ESO_FIRST, **more):
    return may_serve([one], other, available_w, policy, rules, **more)


# ---------------------------------------------------------------------------------------------- the matrices

CELLS = [  # ENA Revenue Stacking Tool V1.0: mode, row, column, cell
    ("co_delivery", "CM", "BM", "Y"),
    ("co_delivery", "CM", "SU", "(N)"),
    ("co_delivery", "WM", "BM", "?"),
    ("co_delivery", "LCM", "DFS", "N"),
    ("splitting", "BM", "DFS", "N"),
    ("splitting", "DFS", "SU", "Y"),
    ("splitting", "BM", "OU-rt", "N"),
    ("splitting", "WM", "DFS", "Y"),
    ("splitting", "BM", "SAOU-DA", "(Y)"),
    ("jumping", "LCM", "SU", "Y"),
    ("jumping", "BM", "OU-rt", "(N)"),
    ("jumping", "CM", "DFS", "-"),
    ("jumping", "QR", "DFS", "N"),
]


@pytest.mark.parametrize(("mode", "row", "column", "cell"), CELLS)
def test_the_matrices_are_the_tools(mode, row, column, cell):
    assert _matrix(Mode(mode))[row, column] == cell


@pytest.mark.parametrize("mode", Mode)
def test_matrices_are_square_and_symmetric(mode):
    cells = _matrix(mode)
    assert len(cells) == 20 * 20
    assert all(cells[row, column] == cells[column, row] for row, column in cells)


def test_every_product_has_a_column_of_the_tool_or_none():
    columns = {row for row, _ in _matrix(Mode.JUMPING)}
    assert {told.ena for told in _products().values()} - {None} <= columns


# ------------------------------------------------------------------------------------------ the one decision


def test_dfs_beside_a_dso_service_in_the_same_direction_shares_an_asset():
    assert meet(sale(Product.SUSTAIN), sale(Product.DFS)).allowed


def test_dfs_against_a_dso_service_is_refused_by_the_clause_on_directions():
    found = meet(sale(Product.SUSTAIN), sale(Product.DFS, watts=-3_000))
    assert found.answer is Answer.NO
    assert "Stacking: DNO service in the same direction" in {block.clause for block in found.blocks}


def test_at_another_time_the_direction_does_not_matter():
    assert meet(sale(Product.SUSTAIN), sale(Product.DFS, 2, 3, watts=-3_000)).allowed


def test_more_than_the_asset_can_give_is_the_same_mw_and_nobody_says_whether_that_is_allowed():
    assert meet(sale(Product.SUSTAIN), sale(Product.DFS), available_w=6_000).allowed
    assert meet(sale(Product.SUSTAIN), sale(Product.DFS), available_w=5_999).answer is Answer.UNKNOWN
    assert meet(sale(Product.SUSTAIN), sale(Product.DFS), available_w=None).answer is Answer.UNKNOWN


def test_sales_of_different_hours_do_not_add_up_and_capacity_takes_no_mw():
    evening = [sale(Product.SUSTAIN, 0, 1, 4_000), sale(Product.SUSTAIN, 1, 2, 4_000)]
    long = sale(Product.DFS, 0, 2, 3_000)
    assert may_serve(evening, long, 7_000, Primacy.ESO_FIRST, Y2025).allowed
    assert may_serve(evening, long, 6_999, Primacy.ESO_FIRST, Y2025).answer is Answer.UNKNOWN
    standing = [sale(Product.CAPACITY_MARKET, 0, 9), sale(Product.WHOLESALE)]
    assert may_serve(standing, sale(Product.BM), 6_000, Primacy.ESO_FIRST, Y2025).allowed
    assert may_serve(standing, sale(Product.BM), 5_999, Primacy.ESO_FIRST, Y2025).answer is Answer.UNKNOWN


def test_in_2022_dfs_stands_alone():
    for other in (Product.BM, Product.SUSTAIN, Product.SECURE, Product.CAPACITY_MARKET, Product.TCM):
        assert meet(sale(other), sale(Product.DFS, 2, 3), rules=Y2022).answer is Answer.NO


def test_the_dfs_stacking_derogation_opens_2022_for_the_balancing_mechanism_and_dso_services():
    granted = RulesOn(Y2022.on, ("dfs_stacking",))
    for other in (Product.BM, Product.SUSTAIN, Product.SECURE):
        assert meet(sale(other), sale(Product.DFS), rules=granted).allowed
    assert meet(sale(Product.BM), sale(Product.DFS), 3_000, granted).answer is Answer.UNKNOWN
    assert meet(sale(Product.CAPACITY_MARKET), sale(Product.DFS), rules=granted).answer is Answer.NO


def test_before_the_tool_nothing_is_known_of_what_no_rulebook_says():
    assert meet(sale(Product.BM), sale(Product.SECURE), rules=Y2022).answer is Answer.UNKNOWN
    assert meet(sale(Product.BM), sale(Product.SECURE)).allowed


def test_a_constraint_market_asset_is_no_bm_unit_and_does_nothing_else_in_its_periods():
    assert meet(sale(Product.LCM), sale(Product.BM, 2, 3)).answer is Answer.NO
    assert meet(sale(Product.LCM), sale(Product.SUSTAIN)).answer is Answer.NO
    assert meet(sale(Product.LCM), sale(Product.SUSTAIN, 2, 3)).allowed
    assert meet(sale(Product.LCM), sale(Product.CAPACITY_MARKET)).allowed


def test_one_area_has_one_dso_product_at_a_time():
    assert meet(sale(Product.SUSTAIN), sale(Product.SECURE)).answer is Answer.NO
    assert meet(sale(Product.SUSTAIN), sale(Product.SECURE, 2, 3)).allowed


def test_the_capacity_market_goes_with_the_balancing_mechanism_and_is_open_with_dfs():
    assert meet(sale(Product.CAPACITY_MARKET), sale(Product.BM)).allowed
    assert meet(sale(Product.CAPACITY_MARKET), sale(Product.DFS)).answer is Answer.UNKNOWN
    assert meet(sale(Product.CAPACITY_MARKET), sale(Product.SUSTAIN)).answer is Answer.NO


def test_a_service_is_not_sold_twice_for_one_time():
    assert meet(sale(Product.DFS), sale(Product.DFS)).answer is Answer.NO
    assert meet(sale(Product.DFS), sale(Product.DFS, 1, 2)).allowed
    assert meet(sale(Product.DFS, 1, 2), sale(Product.DFS)).allowed


def test_a_tariff_stands_in_nobodys_way():
    for product in Product:
        assert meet(sale(Product.STATIC_TOU), sale(product)).allowed


def test_opposite_ways_at_once_are_unknown_where_no_rule_speaks_of_it():
    assert meet(sale(Product.BM), sale(Product.WHOLESALE)).allowed
    assert meet(sale(Product.BM), sale(Product.WHOLESALE, watts=-1)).answer is Answer.UNKNOWN


def test_enrolment_asks_whether_there_is_any_way():
    in_both = meet(sale(Product.LCM), sale(Product.SUSTAIN), stage=Stage.ENROL)
    assert in_both.allowed
    assert meet(sale(Product.LCM), sale(Product.BM), stage=Stage.ENROL).answer is Answer.NO
    assert may_hold(Product.LCM, Product.SUSTAIN, Y2025) == ()


@pytest.mark.parametrize("rules", [Y2022, Y2025], ids=["2022", "2025"])
def test_who_was_there_first_does_not_change_what_two_services_may(rules):
    for one, other in combinations(Product, 2):
        for mode in Mode:
            for opposed in (False, True):
                forth = {b.answer for b in _pair_blocks(one, other, mode, opposed, rules)}
                back = {b.answer for b in _pair_blocks(other, one, mode, opposed, rules)}
                assert forth == back


# --------------------------------------------------------------------------------------------------- primacy


def order(policy, *sales):
    return [each.product for each in pay_order(sales, policy)]


def test_primacy_decides_who_goes_first_and_is_swapped_by_name():
    dso, eso = sale(Product.SECURE, agreed=5), sale(Product.BM, agreed=9)
    trade = sale(Product.WHOLESALE, agreed=1)
    wanted = {
        Primacy.ESO_FIRST: [Product.BM, Product.SECURE, Product.WHOLESALE],
        Primacy.DSO_FIRST: [Product.SECURE, Product.BM, Product.WHOLESALE],
        Primacy.CONTRACT_FIRST: [Product.WHOLESALE, Product.SECURE, Product.BM],
    }
    for policy, products in wanted.items():
        assert all(order(policy, *sales) == products for sales in permutations((dso, eso, trade)))


def test_what_stands_in_the_way_and_ranks_below_is_named_as_what_to_give_up():
    secure, bm = sale(Product.RESTORE), sale(Product.BM)
    assert meet(secure, bm).answer is Answer.NO
    assert meet(secure, bm, policy=Primacy.ESO_FIRST).displaces == (secure,)
    assert meet(secure, bm, policy=Primacy.DSO_FIRST).displaces == ()
    assert may_serve([], bm, 7_000, Primacy.ESO_FIRST, Y2025).allowed


def test_only_what_is_paid_for_volume_is_in_the_pay_order():
    found = meet(sale(Product.CAPACITY_MARKET), sale(Product.BM))
    assert [each.product for each in found.pay_order] == [Product.BM]


# ------------------------------------------------------------------------------------- each kWh is paid once

WH = st.integers(-50_000, 50_000)


@given(st.lists(WH, min_size=1, max_size=20), st.data())
def test_volumes_paid_across_services_never_exceed_the_measured_deviation(deviations, data):
    claims = data.draw(st.lists(st.lists(WH, min_size=len(deviations), max_size=len(deviations)), max_size=5))
    deviation_wh = np.array(deviations)
    claims_wh = np.array(claims, dtype=np.int64).reshape(len(claims), len(deviations))
    paid = allocate(deviation_wh, claims_wh)
    assert (np.abs(paid).sum(axis=0) <= np.abs(deviation_wh)).all()
    assert (np.abs(paid) <= np.abs(claims_wh)).all()
    assert ((paid == 0) | (np.sign(paid) == np.sign(deviation_wh))).all()
    same_way = np.where(np.sign(claims_wh) == np.sign(deviation_wh), np.abs(claims_wh), 0).sum(axis=0)
    assert (np.abs(paid).sum(axis=0) == np.minimum(np.abs(deviation_wh), same_way)).all()


@given(WH, st.lists(WH, max_size=3), st.lists(WH, max_size=3))
def test_a_boundary_pays_no_more_than_its_deviation_over_and_above_what_goes_the_other_way(
    deviation, behind, claims
):
    boundary_wh = np.array([deviation])
    left = unpaid(boundary_wh, np.array([sum(behind)]))
    paid = allocate(left, np.array(claims, dtype=np.int64).reshape(len(claims), 1))
    assert abs(paid.sum()) <= abs(deviation)
    if sum(behind) * deviation >= 0:
        assert abs(paid.sum() + sum(behind)) <= max(abs(deviation), abs(sum(behind)))


def test_what_a_car_was_paid_for_is_not_paid_again_at_its_boundary():
    # The home used 5 kWh less, 3 of them the car's, which the BM has paid; DFS pays the other 2.
    assert unpaid(np.array([5_000]), np.array([3_000])).tolist() == [2_000]
    assert unpaid(np.array([5_000]), np.array([6_000])).tolist() == [0]
    assert unpaid(np.array([5_000]), np.array([-2_000])).tolist() == [5_000]
    assert unpaid(np.array([-5_000]), np.array([-3_000])).tolist() == [-2_000]


@given(WH, st.lists(WH, max_size=5))
def test_a_claim_is_paid_before_those_behind_it(deviation, claims):
    claims_wh = np.array(claims, dtype=np.int64).reshape(len(claims), 1)
    paid = allocate(np.array([deviation]), claims_wh)
    for first in range(len(claims)):
        fewer = allocate(np.array([deviation]), claims_wh[: first + 1])
        assert (paid[: first + 1] == fewer).all()


def test_five_kwh_delivered_against_three_claims():
    # Secure 3 kWh, then BM 4 kWh, then a turn-up claim: 3 + 2 + 0 of the 5 kWh of turn-down.
    paid = allocate(np.array([5_000]), np.array([[3_000], [4_000], [-1_000]]))
    assert paid[:, 0].tolist() == [3_000, 2_000, 0]
    up = allocate(np.array([-5_000]), np.array([[3_000], [4_000], [-1_000]]))
    assert up[:, 0].tolist() == [0, 0, -1_000]


@pytest.mark.parametrize("opposed", [False, True])
@pytest.mark.parametrize("rules", [Y2022, Y2025], ids=["2022", "2025"])
def test_the_table_for_fleets_says_what_the_decision_says(rules, opposed):
    windows = {Mode.CO_DELIVERY: (0, 3_000), Mode.SPLITTING: (0, 6_000), Mode.JUMPING: (2, 6_000)}
    for mode, (start, available_w) in windows.items():
        table = answer_table(mode, rules, opposed=opposed)
        for i, one in enumerate(Product):
            for j, other in enumerate(Product):
                new = sale(other, start, start + 1, watts=-3_000 if opposed else 3_000)
                assert meet(sale(one), new, available_w, rules).answer == table[i, j], (one, other, mode)


PRODUCTS = st.sampled_from(Product)
SALES = st.builds(
    sale, PRODUCTS, st.integers(0, 3), st.integers(4, 6), st.sampled_from([-2_000, 3_000]), st.integers(0, 9)
)


@given(
    st.lists(SALES, max_size=3), SALES, st.sampled_from([None, 3_000, 9_000]), st.sampled_from([Y2022, Y2025])
)
def test_a_decision_is_yes_only_when_every_pair_is_and_policy_never_changes_it(held, new, available_w, rules):
    answers = {may_serve(held, new, available_w, policy, rules).answer for policy in Primacy}
    assert len(answers) == 1
    alone = [may_serve([each], new, available_w, Primacy.ESO_FIRST, rules).answer for each in held]
    assert answers.pop() <= min(alone, default=Answer.YES)
