"""The settlement whose cost is measured is right: home by home, in any chunks, to the last money unit."""

from datetime import date

import numpy as np
import pytest

from protocol.baselines import LOOK_BACK_DAYS, select_days
from protocol.derogations import RulesOn
from protocol.messages import MISSING_WH
from protocol.stacking import Commitment, Primacy, may_serve
from studies.bench_settlement import (
    BALANCED,
    N_SP,
    SOLD,
    SP,
    SUPPLIERS,
    UNITS,
    Month,
    balances,
    paid_by_claim_wh,
    payments,
    read_meters,
    settle_volumes,
)

MPANS = 90


@pytest.fixture(scope="module")
def month():
    return Month()


@pytest.fixture(scope="module")
def sums(month):
    return settle_volumes(month, MPANS, chunk=MPANS, workers=1)[0]


@pytest.fixture(scope="module")
def lines(month, sums):
    return list(payments(month, sums))


@pytest.mark.parametrize(("chunk", "workers"), [(7, 2), (40, 1), (64, 3)])
def test_chunks_and_threads_move_nothing(month, sums, chunk, workers):
    assert settle_volumes(month, MPANS, chunk, workers)[0].digest() == sums.digest()


def test_another_seed_is_another_month(sums):
    assert settle_volumes(Month(seed=2), MPANS)[0].digest() != sums.digest()


def test_each_mpan_settles_as_the_plain_rules_say(month, sums):
    read = read_meters(month, 0, MPANS)
    moved = np.zeros((len(month.settled), UNITS, N_SP), np.int64)
    of_suppliers = np.zeros((len(month.settled), SUPPLIERS, N_SP), np.int64)
    counted = 0
    for home in range(MPANS):
        sold = int(read.sold[home])
        used = dict(zip(month.days, read.half_hours_wh[home], strict=True))
        totals = {day: int(wh.sum()) for day, wh in used.items() if (wh != MISSING_WH).all()}
        called = [day for place, day in enumerate(month.days) if month.event(sold, place)]
        for place, day in enumerate(month.settled):
            days = select_days(totals, day, called)
            if day not in called or not days:
                continue
            for period in range(N_SP):
                sp = SP.start + period
                if used[day][sp] == MISSING_WH:
                    continue
                expected = np.mean([used[each][sp].astype(float) for each in days])
                deviation = int(np.rint(expected - used[day][sp]))
                moved[place, read.unit[home], period] += deviation
                counted += 1
                if sold == BALANCED:
                    of_suppliers[place, read.supplier[home], period] += deviation
    assert counted > 30 * N_SP
    assert np.array_equal(moved, sums.deviation_wh)
    assert np.array_equal(of_suppliers, sums.moved_wh)


def test_metered_volumes_reach_their_suppliers_whole(month, sums):
    month_wh = read_meters(month, 0, MPANS).half_hours_wh[:, LOOK_BACK_DAYS:]
    assert sums.metered_wh.sum() == month_wh[month_wh != MISSING_WH].sum(dtype=np.int64)


@pytest.mark.parametrize("sold", range(len(SOLD)))
def test_no_wh_is_paid_twice(sold):
    moved = np.array([[-80, 0, 30, 500]])
    paid = paid_by_claim_wh(sold, moved, np.array([[100], [40]]))
    assert paid.sum(axis=0).tolist() == [[0, 0, 30, 140]]
    assert (paid >= 0).all()


def test_the_system_operator_is_served_before_the_network():
    # Sold as Secure (100 Wh) and DFS (40 Wh): 50 Wh fill DFS first, whichever is named first.
    assert paid_by_claim_wh(2, np.array([[50]]), np.array([[100], [40]]))[:, 0, 0].tolist() == [10, 40]


@pytest.mark.parametrize("products", [products for _, products in SOLD])
def test_what_is_sold_together_may_be_sold_together(products):
    held, new = (Commitment(product, 0, 1_800_000, 100, 0) for product in products)
    rules = RulesOn(date(2026, 1, 1))
    assert may_serve([held], new, 200, Primacy.ESO_FIRST, rules).allowed


def test_money_sums_to_nothing_over_all_parties(lines):
    left = balances(lines)
    assert sum(left.values()) == 0
    assert {"neso", "dno", "elexon", "exchange", "capacity body", "provider"} <= left.keys()


def test_compensation_of_suppliers_leaves_nothing_in_the_middle(lines):
    compensation = [line.amount_gbp_e5 for line in lines if line.what == "compensation"]
    assert any(compensation)
    assert sum(compensation) == 0


def test_every_service_is_paid_for(lines):
    paid = {line.what for line in lines if line.amount_gbp_e5}
    assert paid >= {"DFS", "BM", "wholesale", "sustain", "secure", "capacity", "imbalance", "compensation"}
