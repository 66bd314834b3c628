"""The fast settlement held against the plain calculator beside it, on random portfolios.

A few hundred of each kind in every test run, the same each time; thousands of new ones with `make oracle`.
"""

from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

import numpy as np
import plain_settlement as plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import deviation_volume as fast_p415
from protocol.accepted_volume import accepted_volumes, pair_volumes, profile_mwh
from protocol.baselines import BaselineStatus, bl01
from protocol.messages import MISSING_WH, BidOfferAcceptance, BidOfferPair, Point
from protocol.rulebook import load_rulebook
from protocol.settlement import (
    bm_cashflow,
    dfs_delivered_wh,
    dfs_payment,
    expected_volume,
    non_delivery,
)

PORTFOLIOS = max(200, settings.default.max_examples)
MIN = 60_000
GBP_E5 = 100_000

# ------------------------------------------------------------------------------------------- Balancing
# Mechanism


@st.composite
def profiles(draw, first, last):
    """Corners (minute, MW) from one minute to another; two at one minute are a step."""
    inner = draw(st.lists(st.integers(first, last), max_size=4))
    levels = st.integers(-12, 12)
    return [(minute, draw(levels)) for minute in sorted([first, *inner, last])]


@st.composite
def units(draw):
    """An FPN over the period, acceptances that may reach beyond it, pairs, and what is needed to price
    them.
    """
    acceptances = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        first = draw(st.integers(-10, 28))
        last = draw(st.integers(first + 1, 45))
        acceptances.append((number, draw(st.integers(0, 3)), draw(profiles(first, last))))
    sides = (range(1, draw(st.integers(0, 3)) + 1), range(-1, -draw(st.integers(0, 3)) - 1, -1))
    pairs = {
        number: (draw(st.integers(0, 9)), draw(st.integers(-50, 300)), draw(st.integers(-50, 300)))
        for side in sides
        for number in side
    }
    return draw(profiles(0, 30)), acceptances, pairs


def segments(corners):
    return [
        (a, Fraction(level_a), b, Fraction(level_b))
        for (a, level_a), (b, level_b) in pairwise(corners)
        if b > a
    ]


def points(corners):
    return tuple(Point(minute * MIN, float(level)) for minute, level in corners)


@settings(deadline=None, max_examples=PORTFOLIOS)
@given(
    units(),
    st.sampled_from([Fraction(1), Fraction("0.9926552"), Fraction("0.977241")]),
    st.integers(-6000, 6000),
    st.none() | st.integers(-6000, 6000),
    st.integers(-50, 300),
)
def test_accepted_volumes_cashflow_and_non_delivery_of_a_unit(unit, tlm, metered_kwh, sev_kwh, system_price):
    fpn, acceptances, pairs = unit
    slow = plain.accepted_volumes(
        segments(fpn),
        [{"number": n, "time": at, "segments": segments(corners)} for n, at, corners in acceptances],
        {number: Fraction(width) for number, (width, _, _) in pairs.items()},
    )
    submitted = tuple(BidOfferPair(number, *(float(x) for x in pair)) for number, pair in pairs.items())
    issued = [
        BidOfferAcceptance("V__HTEST001", n, at, points(corners), so_flag=False, amendment="ORI")
        for n, at, corners in acceptances
    ]
    volumes = accepted_volumes(points(fpn), issued, submitted, (0, 30 * MIN))
    found = {(row.acceptance, row.pair): (row.offer_mwh, row.bid_mwh) for row in volumes if row.pair}
    for key, both in slow.items():
        assert found.pop(key, (0, 0)) == pytest.approx([float(one) for one in both], abs=1e-12)
    assert found == {}

    by_pair = plain.volumes_by_pair(slow)
    prices = {number: (Fraction(offer), Fraction(bid)) for number, (_, offer, bid) in pairs.items()}
    cashflow = bm_cashflow(volumes, submitted, tlm)
    wanted = plain.bm_cashflow_gbp(by_pair, prices, tlm) * GBP_E5
    assert abs(cashflow.total_gbp_e5 - wanted) <= len(cashflow.lines) / 2 + 0.01

    metered, sev = Fraction(metered_kwh, 1000), None if sev_kwh is None else Fraction(sev_kwh, 1000)
    period_fpn = plain.profile_mwh(segments(fpn))
    assert profile_mwh(points(fpn), (0, 30 * MIN)) == pytest.approx(float(period_fpn), abs=1e-12)
    base = period_fpn if sev is None else sev
    offer, bid, charge = plain.non_delivery(base, metered, by_pair, prices, tlm, system_price)
    expected = expected_volume(float(period_fpn), volumes, None if sev is None else float(sev))
    missed = non_delivery(expected.expected_mwh, float(metered), volumes, submitted, system_price, tlm)
    assert (missed.offer_mwh, missed.bid_mwh) == pytest.approx((float(offer), float(bid)), abs=1e-9)
    assert abs(missed.charge_gbp_e5 - charge * GBP_E5) <= len(missed.lines) / 2 + 0.1
    assert set(pair_volumes(volumes)) - {0} <= set(pairs)


# ------------------------------------------------------------------------------------ BL01 and the
# Flexibility Service

BANK_HOLIDAYS = frozenset(
    date(year, month, day)
    for year, days in (
        (2022, ((8, 29), (9, 19), (12, 26), (12, 27))),
        (2023, ((1, 2), (4, 7), (4, 10), (5, 1), (5, 8), (5, 29), (8, 28), (12, 25), (12, 26))),
    )
    for month, day in days
)
"""England and Wales, from gov.uk/bank-holidays."""
FIRST = date(2022, 11, 1)


def periods_of(day):
    return 48 if not plain.is_clock_change(day) else 46 if day.month == 3 else 50


def volume_wh(seed, day, period):
    """A home's half hour: any number will do, as long as days and homes differ."""
    return (
        seed * 7919 + day.toordinal() * 104_729 + period * 1_299_709 + seed * day.toordinal() * period
    ) % 3001 - 500


@st.composite
def homes(draw, day):
    """A home's history of up to 70 days, with gaps, and its event days; some homes have only old days."""
    seed = draw(st.integers(1, 10**6))
    days = [day - timedelta(days=n) for n in range(draw(st.integers(0, 70)) + 1)]
    history = {one: [volume_wh(seed, one, period) for period in range(periods_of(one))] for one in days}
    for one in days[1 : draw(st.just(0) | st.integers(45, 60)) + 1]:
        del history[one]
    for one in draw(st.lists(st.sampled_from(sorted(history)), max_size=12)):
        if one != day:
            history[one][draw(st.integers(0, 45))] = None
    events = draw(st.sets(st.sampled_from(days), max_size=25)) - {day}
    return history, events


@st.composite
def flexibility(draw):
    day = FIRST + timedelta(days=draw(st.integers(0, 420)))
    period = draw(st.integers(9, 46))
    return day, period, [draw(homes(day)) for _ in range(draw(st.integers(1, 3)))]


def fast_baselines(day, period, portfolio, adjusted):
    days = [day - timedelta(days=n) for n in range(1, 71)]
    history = np.full((len(portfolio), len(days), 48), MISSING_WH, np.int32)
    for row, (volumes, _) in enumerate(portfolio):
        for column, one in enumerate(days):
            if one in volumes:
                told = [MISSING_WH if wh is None else wh for wh in volumes[one]][:48]
                history[row, column, : len(told)] = told
    metered = np.array([volumes[day] for volumes, _ in portfolio], np.int32)
    events = np.array([[one in away for one in days] for _, away in portfolio])
    return (*bl01(history, days, day, metered, events, period, 1, adjusted), metered[:, period - 1 : period])


@settings(deadline=None, max_examples=PORTFOLIOS)
@given(flexibility(), st.booleans())
def test_bl01_of_every_home(drawn, adjusted):
    day, period, portfolio = drawn
    baseline, status, metered = fast_baselines(day, period, portfolio, adjusted)
    for row, (history, events) in enumerate(portfolio):
        slow = plain.bl01(day, history, events, BANK_HOLIDAYS, [period], adjusted)
        if slow is None:
            assert status[row] == BaselineStatus.INSUFFICIENT
            assert baseline[row, 0] == metered[row, 0]
        else:
            assert status[row] == BaselineStatus.CALCULATED
            assert baseline[row, 0] == pytest.approx(float(slow[period]), abs=1e-9)


@settings(deadline=None, max_examples=PORTFOLIOS)
@given(flexibility(), st.integers(1, 40), st.integers(0, 4000), st.booleans())
def test_what_a_dfs_unit_is_paid(drawn, accepted_w, price, turn_up):
    day, period, portfolio = drawn
    baseline, _, metered = fast_baselines(day, period, portfolio, adjusted=False)
    delivered = dfs_delivered_wh(baseline, metered, "net", turn_up).item()
    rules = load_rulebook("dfs", on=date(2026, 8, 1))
    accepted_mw = Fraction(accepted_w, 5000)  # 0.2 to 8 kW: the portfolio is of one to three homes
    paid = dfs_payment(rules, accepted_mw, price, Fraction(delivered) / 1_000_000).amount_gbp_e5
    slow = plain.dfs_unit_gbp(portfolio, day, BANK_HOLIDAYS, period, accepted_mw, price, turn_up)
    assert abs(paid - slow * GBP_E5) <= 0.51


# ------------------------------------------------------------------------------------------------------- P415

SUPPLIERS = 3
INDICATORS = {"I": 0, "B": 1, "S": 2}


@settings(deadline=None, max_examples=PORTFOLIOS)
@given(
    st.lists(
        st.tuples(
            st.integers(0, SUPPLIERS - 1),
            st.sampled_from("IBS"),
            st.integers(-8000, 8000),
            st.integers(-8000, 8000),
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from([Fraction("87.21"), Fraction("98.53"), Fraction(-5)]),
    st.lists(st.integers(1, 10**6), min_size=SUPPLIERS, max_size=SUPPLIERS),
    st.booleans(),
)
def test_deviation_supplier_correction_and_compensation(pairs, cost, demand, mutualised):
    slow = plain.p415_settlement(
        [
            {
                "supplier": supplier,
                "indicator": indicator,
                "expected_mwh": Fraction(expected, 10**6),
                "metered_mwh": Fraction(metered, 10**6),
            }
            for supplier, indicator, expected, metered in pairs
        ],
        cost,
        dict(enumerate(map(Fraction, demand))),
        mutualised,
    )
    supplier = np.array([pair[0] for pair in pairs])
    indicator = np.array([INDICATORS[pair[1]] for pair in pairs])
    wanted, measured = (np.array([[float(pair[place])] for pair in pairs]) for place in (2, 3))
    everywhere = np.ones(len(pairs), bool)
    expected = fast_p415.expected_wh(indicator, wanted, everywhere, wanted, np.array([True]), measured)
    by_pair = fast_p415.deviation_wh(expected, measured)
    deviation = fast_p415.by_supplier(by_pair, supplier, SUPPLIERS)
    corrected = fast_p415.supplier_corrected_wh(
        fast_p415.by_supplier(measured, supplier, SUPPLIERS), deviation
    )
    assert by_pair.sum() == slow["deviation_mwh"] * 10**6
    assert deviation[:, 0].tolist() == [slow["supplier_deviation_mwh"][n] * 10**6 for n in range(SUPPLIERS)]
    assert corrected[:, 0].tolist() == [slow["supplier_corrected_mwh"][n] * 10**6 for n in range(SUPPLIERS)]

    hosts = [Fraction(int(wh), 10**6) for wh in deviation[:, 0]]
    rule = "mutualised" if mutualised else "direct"
    found = fast_p415.compensation(rule, sum(hosts), hosts, demand, cost)
    assert abs(found.party_gbp_e5 - slow["vtp_gbp"] * GBP_E5) <= 0.5
    for n in range(SUPPLIERS):
        received = found.hosts_gbp_e5[n] + found.shared_gbp_e5[n]
        assert abs(received - slow["supplier_gbp"][n] * GBP_E5) <= 1 + SUPPLIERS / 2
    assert found.party_gbp_e5 + sum(found.hosts_gbp_e5) + sum(found.shared_gbp_e5) == 0
