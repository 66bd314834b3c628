"""What is sold of cells, and whether one may serve another sale besides."""

from datetime import date

import pytest

from aggregator.claims import Claim, judge, moved_w, sold_w, steps
from aggregator.settings import ServiceRules
from protocol.derogations import RulesOn
from protocol.periods import PERIOD_MS
from protocol.products import Product
from protocol.stacking import Primacy, Stage

FIVE_MS = 10 * PERIOD_MS
WEIGHTS = {1: 100, 2: 300}
RULES = ServiceRules(RulesOn(date(2025, 1, 15)), Primacy.ESO_FIRST)


def claim(product, mw, key="", cells=(1, 2), at=0, agreed_ms=0):
    start_ms = FIVE_MS + at * PERIOD_MS
    return Claim(product, key, cells, steps(start_ms, start_ms + PERIOD_MS, PERIOD_MS, [mw]), agreed_ms)


def asked(held, new, available_w=1_000_000, rules=RULES):
    return judge(held, new, 1, [available_w], WEIGHTS, rules, Stage.DISPATCH)


def test_a_units_megawatts_count_on_its_cells_by_weight():
    held = [claim(Product.SUSTAIN, 0.4), claim(Product.WHOLESALE, -0.2)]
    span = (FIVE_MS, FIVE_MS + PERIOD_MS)
    assert sold_w(held, [1], WEIGHTS, *span) == (100_000, 50_000)
    assert moved_w(held, [1, 2], WEIGHTS, *span) == 200_000
    assert sold_w(held, [1, 2], WEIGHTS, FIVE_MS + PERIOD_MS, FIVE_MS + 2 * PERIOD_MS) == (0, 0)


def test_capacity_takes_nothing_from_what_can_be_sold():
    assert sold_w([claim(Product.CAPACITY_MARKET, 1.0)], [1], WEIGHTS, FIVE_MS, FIVE_MS + 1) == (0, 0)


def test_different_megawatts_may_be_sold_where_the_same_may_not():
    held = [claim(Product.WHOLESALE, 0.4, "w", agreed_ms=1)]
    assert asked(held, claim(Product.SUSTAIN, 0.6, "s")).displaced == ()
    assert asked(held, claim(Product.SUSTAIN, 0.6, "s"), available_w=900_000).displaced == ("w",)


def test_who_goes_first_displaces_and_who_goes_second_is_refused():
    sustain, sale = claim(Product.SUSTAIN, 1.0, "s"), claim(Product.WHOLESALE, 1.0, "w", agreed_ms=1)
    first = asked([sale], sustain)
    assert (first.allowed, first.displaced) == (True, ("w",))
    second = asked([sustain], sale)
    assert not second.allowed
    assert second.reason


@pytest.mark.parametrize("at", [0, 1])
def test_the_local_constraint_market_is_served_beside_no_acceptance_at_any_time(at):
    assert not asked([claim(Product.BM, 0.1, "b")], claim(Product.LCM, 0.1, "l", at=at)).allowed


def test_at_other_times_the_same_megawatts_may_be_sold_again():
    held = [claim(Product.SUSTAIN, 1.0, "s")]
    assert asked(held, claim(Product.SECURE, 1.0, "q", at=1)).allowed
    assert not asked(held, claim(Product.SECURE, 0.1, "q")).allowed
