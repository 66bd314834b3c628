"""Law: behind every meter, what services are paid for is never more than what it deviated by, nor of the
other sign; and a service that is alone is paid as if there were no others.
"""

from datetime import date
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from markets import service_settlement
from markets.metered_volume import DayReadings
from markets.service_settlement import Claim, Ground, ServiceDesk, ServiceState
from markets.service_volume import Paid, Window, left_over, onto_rows, share_out
from markets.settings import RulesInForce, SettlementSettings
from protocol.messages import MISSING_WH, AssetRegistration, ServiceAward, ServiceUnit
from protocol.periods import PERIOD_MS, day_start_ms, period_count
from protocol.products import Answer, Product
from protocol.stacking import Decision, Primacy

DAY = date(2025, 1, 16)
FIRST_SP, N_SP = 37, 3
ASSETS, HOMES = 6, 4
HOME = np.array([0, 0, 1, 2, 3, 3], np.int32)
YES = Decision(Answer.YES, (), (), ())
PRODUCTS = (Product.SUSTAIN, Product.SUSTAIN_H, Product.TCM, Product.LCM, Product.DFS, Product.BM)

# Whole Wh of any sign; now and then a reading is missing.
reading = st.one_of(st.integers(-3_000, 3_000), st.just(MISSING_WH))
energy = st.integers(-8_000, 8_000)


@st.composite
def claims(draw):
    rows = sorted(draw(st.sets(st.integers(0, ASSETS - 1), min_size=1)))
    sold = np.array(draw(st.lists(energy, min_size=N_SP, max_size=N_SP)), np.int64)
    return {
        "product": draw(st.sampled_from(PRODUCTS)),
        "rows": np.array(rows, np.int32),
        "sold_wh": sold,
        "most_wh": draw(st.sampled_from([None, sold, sold * 2])),
        "agreed_ms": draw(st.integers(0, 3)),
        "method": draw(st.sampled_from(["nominated", "fixed_reference", "zero"])),
        "meter": draw(st.sampled_from(["asset", "boundary"])),
        "nominated_wh": np.array(draw(st.lists(energy, min_size=N_SP, max_size=N_SP)), np.float64),
        "positive_only": draw(st.booleans()),
    }


def registration():
    zero = np.zeros(ASSETS, np.int8)
    return AssetRegistration(
        home=HOME, mpan=np.arange(ASSETS), unit=zero.astype(np.int16), gsp=zero.astype(np.int16), route=zero,
        service=zero, rating_w=np.array([7_000, 3_000, 7_000, 22_000, 7_000, 1], np.int32),
        battery_wh=np.zeros(ASSETS, np.int32), target_pct=zero, ready_by_minute=zero.astype(np.int16),
        report_every_s=np.zeros(ASSETS, np.int32), soc_known=zero, hh_metered=zero, technology=zero,
        unit_names=("_A",), gsp_names=("GSP",), route_names=("cloud",),
    )  # fmt: skip


def ground(readings, found):
    whole = np.zeros((ASSETS, period_count(DAY)), np.int16)
    whole[:, FIRST_SP - 1 : FIRST_SP - 1 + N_SP] = np.array(readings, np.int16).reshape(ASSETS, N_SP)
    known = np.where(whole == MISSING_WH, 0, whole).astype(np.int64)
    homes = np.array([known[home == HOME].sum(axis=0) for home in range(HOMES)])
    others = [
        Claim(unit=f"U{n}", reference=f"E{n}", key=f"C{n}", window=Window(DAY, FIRST_SP, N_SP), **one)
        for n, one in enumerate(found)
    ]
    return Ground(
        day=DAY,
        run="II",
        assets=registration(),
        left=np.empty(0, np.int32),
        asset={DAY: DayReadings(np.arange(ASSETS, dtype=np.int32), whole)},
        boundary={DAY: DayReadings(np.arange(HOMES, dtype=np.int32), homes.astype(np.int16))},
        others=tuple(others),
    )


def desk(primacy="eso_first"):
    """With one small award, for which the machinery starts."""
    start_ms = day_start_ms(DAY)
    state = ServiceState()
    state.units["S"] = ServiceUnit("sustain", "S", "_A/z", np.array([0], np.int32), 0.0)
    state.awards["O"] = ServiceAward(
        "sustain", "O", "E", "S", True, "", start_ms, start_ms + PERIOD_MS, (0.0,), 1.0, 0.0, True
    )
    state.agreed_ms["O"] = 0
    rules = RulesInForce(None, ())
    return ServiceDesk(
        state,
        SettlementSettings(DAY, 3, "asset", False, rules, primacy=primacy),
        lambda *_: None,
        lambda _: None,
    )


def settled(readings, found, primacy="eso_first"):
    """All shares; after each of them what has been paid behind each asset (shares, assets, periods); and what
    each claim's meters deviated by.
    """
    paid, on = Paid(HOME), ground(readings, found)
    after, moved, plain, netted = [], [], ServiceDesk._note, service_settlement._netted

    def note(self, *args):
        plain(self, *args)
        after.append(paid.behind(np.arange(ASSETS, dtype=np.int32), False, Window(DAY, FIRST_SP, N_SP)))

    def measured(claim, by_meter_wh):
        moved.append(netted(claim, by_meter_wh))
        return moved[-1]

    with (
        patch.object(service_settlement, "_netted", measured),
        patch.object(service_settlement, "may_serve", lambda *_, **__: YES),
        patch.object(ServiceDesk, "_note", note),
    ):
        shares = desk(primacy).share_out(on, paid)
    return shares, after, moved


def behind(claim, by_asset):
    """What was paid behind each meter of a claim."""
    if claim.meter == "asset":
        return by_asset[claim.rows]
    return np.array([by_asset[home == HOME].sum(axis=0) for home in np.unique(HOME[claim.rows])])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(reading, min_size=ASSETS * N_SP, max_size=ASSETS * N_SP),
    st.lists(claims(), min_size=1, max_size=5),
    st.sampled_from([each.value for each in Primacy]),
)
def test_each_wh_is_paid_once(readings, found, primacy):
    shares, after, deviations = settled(readings, found, primacy)
    before = np.zeros((ASSETS, N_SP), np.int64)
    for share, now, moved in zip(shares, after, deviations, strict=True):
        if not share.claim.key.startswith("C"):
            continue
        came, stands = behind(share.claim, now - before), behind(share.claim, now)
        assert (came * moved >= 0).all()
        assert (np.abs(stands)[came != 0] <= np.abs(moved)[came != 0]).all()
        assert (came.sum(axis=0) == share.paid_wh).all()
        assert ((stands * came) >= 0).all()
        before = now


def test_a_wh_that_is_paid_twice_is_told():
    told = []
    watch = ServiceDesk(ServiceState(), desk().settings, lambda kind, _: told.append(kind))
    window = Window(DAY, FIRST_SP, 1)
    claim = Claim(
        Product.SUSTAIN, "U", "E", "C", 0, np.array([0], np.int32), window, np.array([100]), None, "zero",
        "asset", None,
    )  # fmt: skip
    came, moved, once, twice = (np.array([[wh]], np.int64) for wh in (60, 100, 60, 120))
    watch._watch_paid_once(claim, came, moved, once)
    assert told == []
    watch._watch_paid_once(claim, came, moved, twice)
    watch._watch_paid_once(claim, came, -moved, once)
    assert told == ["paid_more_than_measured"] * 2


@settings(max_examples=200, deadline=None)
@given(st.lists(reading, min_size=ASSETS * N_SP, max_size=ASSETS * N_SP), claims())
def test_a_service_alone_is_paid_as_if_there_were_no_order(readings, one):
    shares, _, _ = settled(readings, [one])
    (share,) = [share for share in shares if share.claim.key == "C0"]
    assert not share.lost_wh.any()
    if one["most_wh"] is None:
        assert (share.paid_wh == np.where(one["sold_wh"], share.left_wh, 0)).all()
    else:
        way = np.sign(one["most_wh"])
        wanted = way * np.minimum(np.maximum(way * share.left_wh, 0), np.abs(one["most_wh"]))
        assert (share.paid_wh == wanted).all()


@given(
    st.lists(st.integers(-(2**15), 2**15), min_size=1, max_size=30),
    st.fractions(min_value=-1, max_value=1),
)
def test_shares_add_up_and_stay_within_their_weights(weights, part):
    column = np.array(weights, np.int64)[:, np.newaxis]
    total = int(column.sum() * abs(part))
    shares = share_out(np.array([total]), column)
    assert shares.sum() == (total if column.sum() else 0)
    assert (shares * column >= 0).all()
    assert (np.abs(shares) <= np.abs(column)).all()


def test_a_million_assets_at_full_power_do_not_overflow():
    weights = np.full((1_000_000, 1), 11_000, np.int64)
    assert share_out(np.array([10_999_999_999]), weights).sum() == 10_999_999_999


@given(st.integers(-(2**15), 2**15), st.integers(-(2**16), 2**16))
def test_what_is_left_is_never_more_nor_of_the_other_sign(moved, paid):
    (left,) = left_over(np.array([moved], np.int32), np.array([paid], np.int32)).tolist()
    assert abs(left) <= abs(moved)
    assert left * moved >= 0
    if paid * moved < 0:
        assert left == 0


def test_what_a_home_is_paid_for_lies_upon_its_largest_asset():
    laid = onto_rows(
        np.array([[30], [7]]), np.array([0, 3]), np.array([0, 1, 4, 5]), HOME, np.array([5, 9, 0, 0, 1, 2])
    )
    assert laid[:, 0].tolist() == [0, 30, 0, 7]
