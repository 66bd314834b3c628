"""A network operator wants less of the same cars at the same time as the ESO wants more."""

import pytest

from aggregator.claims import Claim, steps
from aggregator.conflicts import Prices, opposed, worth_gbp
from protocol.periods import PERIOD_MS
from protocol.products import Product

HOUR = 2 * PERIOD_MS
WEIGHTS = {1: 300, 2: 100}


def claim(product, megawatts, key="c", start_ms=0):
    pieces = steps(start_ms, start_ms + len(megawatts) * PERIOD_MS, PERIOD_MS, megawatts)
    return Claim(product, key, (1, 2), pieces, 0)


@pytest.mark.parametrize("eso", [Product.TCM, Product.LCM, Product.DFS, Product.BM])
def test_less_for_the_network_and_more_for_the_eso_at_one_time_are_opposed(eso):
    less = claim(Product.SECURE, (0.4, 0.4))
    assert opposed(less, claim(eso, (-0.2, -0.2)))
    assert opposed(claim(eso, (-0.2, -0.2)), less)
    assert not opposed(less, claim(eso, (0.2, 0.2)))
    assert not opposed(less, claim(eso, (-0.2, -0.2), start_ms=HOUR))


def test_two_of_one_buyer_and_a_trade_are_no_conflict_of_local_and_national():
    more = claim(Product.SUSTAIN, (-0.2,))
    assert not opposed(claim(Product.SECURE, (0.4,)), more)
    assert not opposed(claim(Product.WHOLESALE, (0.4,)), more)
    assert not opposed(claim(Product.TCM, (0.4,)), claim(Product.LCM, (-0.2,)))


def test_what_a_loser_loses_is_its_cells_part_of_all_that_it_would_have_earned():
    # 0.4 MW for one half-hour and 0.2 MW for another: 0.3 MWh at 80 + 20 GBP; three quarters in cell 1.
    sold = claim(Product.SECURE, (0.4, 0.2))
    assert worth_gbp(sold, [1], WEIGHTS, Prices(80.0, 20.0)) == pytest.approx(22.5)
    assert worth_gbp(sold, [1, 2], WEIGHTS, Prices(80.0, 0.0)) == pytest.approx(24.0)
