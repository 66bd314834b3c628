"""Further services to pounds: answers worked by hand, clock changes, missing data, and claims that meet."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from service_days import (
    DAY,
    EIGHT_IN_THE_MORNING,
    asset_day,
    award,
    lines_of,
    minutes,
    nomination,
    party,
    registration,
    remarks_of,
    settle,
    start,
    unit,
    volumes_of,
    working_days_before,
)

from markets import service_settlement
from markets.settings import SupplierBook
from markets.statement_lines import balances_gbp_e5
from protocol.codec import Reader, Writer
from protocol.messages import (
    MISSING_WH,
    BidOfferAcceptance,
    BidOfferData,
    BidOfferPair,
    BoundaryReadings,
    CapacityNotice,
    DfsResult,
    DfsUnitRegistration,
    PhysicalNotification,
    Point,
    Service,
    ServiceCancellation,
    ServiceConsents,
    ServiceUnitAnswer,
    SupplierSettled,
    SystemPrice,
    Technology,
    WholesaleNotification,
    WholesaleTrade,
)
from protocol.periods import PERIOD_MS, day_end_ms, day_start_ms, period_bounds_ms, period_count
from protocol.products import Answer
from protocol.rulebook import load_rulebook
from protocol.stacking import Decision

# ------------------------------------------------------------------------------------------------- Sustain-H
# 2,000 chargers against 0.83 kW each at 18:00 (NGED: 0.83 kW per 7 kW charger): 415 Wh a half hour.


def sustain_h(*, read_wh, mw=(0.5, 0.5), first_sp=37, availability=40.0, count=2_000, day=DAY, **how):
    told = award("sustain_h", mw, first_sp, day=day, utilisation=0.0, availability=availability)
    mail = (registration(count), unit("sustain_h", range(count)), told, asset_day([read_wh] * count, day=day))
    return settle(party(day, **how), *mail, day=day)


def test_sustain_h_earns_its_fixed_payment_by_the_months_factor():
    # 2,000 x (415 - 165) Wh = 0.5 MWh a half hour, of 0.25 MWh asked for: delivered whole, factor 1.
    said = sustain_h(read_wh=165)
    (fixed,) = lines_of(said)
    assert fixed.amount_gbp_e5 == 40 * 0.5 * 1.0 * 100_000  # 40 GBP/MW/h x 0.5 MW x 1 h
    assert (fixed.item, fixed.payer, fixed.payee) == ("fixed payment", "dso:_A", "aggregator")
    assert [(v.baseline_wh, v.metered_wh, v.delivered_wh, v.accepted_wh) for v in volumes_of(said)] == [
        (830_000, 330_000, 500_000, 250_000)
    ] * 2


def test_sustain_h_at_four_fifths_earns_what_the_curve_says():
    # 2,000 x (415 - 315) Wh = 0.2 MWh of 0.25: 80 %; the curve falls 3 % for each 1 % below 95 %: 0.55.
    (fixed,) = lines_of(sustain_h(read_wh=315))
    assert fixed.amount_gbp_e5 == pytest.approx(40 * 0.5 * 0.55 * 100_000, abs=1)


def test_a_month_that_is_not_over_is_told():
    assert "2025-01" in remarks_of(sustain_h(read_wh=165), "month_not_over")[0]


def test_all_days_of_a_month_add_up_to_its_payment_at_its_last_factor():
    # Factors 1 and 0.55: mean 0.775 for both days' 20 GBP.
    settlement, second = party(), date(2025, 1, 17)
    one = award("sustain_h", (0.5, 0.5), 37, utilisation=0.0, availability=40.0)
    two = award(
        "sustain_h", (0.5, 0.5), 37, day=second, offer="O2", event="E2", utilisation=0.0, availability=40.0
    )
    mail = (registration(2_000), unit("sustain_h", range(2_000)), one, two, asset_day([165] * 2_000))
    said = settle(settlement, *mail) + settle(settlement, asset_day([315] * 2_000, day=second), day=second)
    assert sum(line.amount_gbp_e5 for line in lines_of(said)) == pytest.approx(
        2 * 20 * 0.775 * 100_000, abs=2
    )
    assert [line.item for line in lines_of(said)] == [
        "fixed payment",
        "fixed payment",
        "fixed payment of earlier days, at the month's factor",
    ]


def test_an_asset_without_a_published_profile_delivers_nothing_and_is_told():
    mail = (
        registration(10, technology=Technology.HOT_WATER),
        unit("sustain", range(10)),
        award("sustain", (0.01,), 37),
        asset_day([100] * 10),
    )
    said = settle(party(), *mail)
    assert "(10 without what fixed_reference asks for)" in remarks_of(said, "service_meters_counted_out")[0]
    assert volumes_of(said)[0].homes_missing == 10
    assert lines_of(said)[0].amount_gbp_e5 == 0


# ---------------------------------------------------------------------------------------------------- Secure


def secure(*import_w, nominated=1_000_000, called=(), mw=(0.5, 0.5, 0.5, 0.5), **price):
    """Nominated 1 MWh a half hour: 2 MW; called for 0.5 MW as awarded."""
    told = award("secure", mw, 35, utilisation=300.0, **price)
    mail = [registration(100), unit("secure", range(100)), told, nomination("secure", nominated)]
    mail += called or [start(told, mw[0])]
    if import_w:
        mail.append(minutes(told, *import_w))
    return settle(party(), *mail, asset_day([0] * 100))


def test_secure_earns_availability_and_utilisation():
    # 2 MW expected, 1.5 MW drawn: 0.5 MW delivered for 2 h. 300 GBP/MWh x 1 MWh; 10 GBP/MW/h x 0.5 MW x 2 h.
    said = secure(1.5e6, 1.5e6, 1.5e6, 1.5e6, availability=10.0)
    assert [line.amount_gbp_e5 for line in lines_of(said, "utilisation")] == [75 * 100_000] * 4
    assert [line.amount_gbp_e5 for line in lines_of(said, "availability")] == [10 * 100_000]
    assert sum(volume.delivered_wh for volume in volumes_of(said)) == 1_000_000


def test_over_delivery_in_one_minute_does_not_mend_another():
    # Half of the minutes 1 MW, half nothing: 50 % of what was called, below 61.7 %: nothing (R150).
    wave = [1.0e6, 2.0e6] * 60
    assert [line.amount_gbp_e5 for line in lines_of(secure(*wave), "utilisation")] == [0] * 4


def test_a_stop_ends_what_is_asked_for():
    told = award("secure", (0.5,) * 4, 35)
    called = [start(told, 0.5), start(told, 0.0, after_min=60, signal="stop", name="D2")]
    said = secure(1.5e6, 1.5e6, 2e6, 2e6, called=called)
    assert [volume.accepted_wh for volume in volumes_of(said)] == [250_000, 250_000]
    assert len(lines_of(said, "utilisation")) == 2


def test_an_emergency_stop_and_a_repeated_signal_count_once():
    told = award("secure", (0.5,) * 4, 35)
    stop = start(told, 0.0, after_min=30, signal="emergency_stop", name="D2")
    said = secure(1.5e6, 2e6, 2e6, 2e6, called=[start(told, 0.5), start(told, 0.5), stop, stop])
    assert [volume.accepted_wh for volume in volumes_of(said)] == [250_000]


def test_who_was_not_called_is_paid_for_being_there():
    told = award("secure", (0.5,) * 4, 35, availability=10.0)
    mail = (registration(9), unit("secure", range(9)), told, nomination("secure", 1_000), asset_day([0] * 9))
    (held,) = lines_of(settle(party(), *mail))
    assert (held.item, held.amount_gbp_e5) == ("availability", 10 * 100_000)


def test_minutes_without_a_reading_deliver_nothing_and_are_told():
    said = secure()
    assert [line.amount_gbp_e5 for line in lines_of(said, "utilisation")] == [0] * 4
    assert "120 minutes" in remarks_of(said, "service_minutes_missing")[0]


def test_a_nomination_that_comes_after_noon_of_the_day_before_does_not_count():
    later = date(2025, 1, 17)
    told = award("secure", (0.5,), 35, day=later)
    late = nomination("secure", 9_000_000, day=later)
    settlement = party()
    mail = (registration(9), unit("secure", range(9)), told, nomination("secure", 1_000_000, day=later))
    settle(settlement, *mail, start(told, 0.5), minutes(told, 1.5e6))
    said = settle(settlement, late, asset_day([0] * 9, day=later), day=later)
    assert volumes_of(said)[0].baseline_wh == 1_000_000


# ------------------------------------------------------------------------------------- sustain, both ways


def test_a_dso_is_named_by_the_group_in_which_the_zone_lies():
    mail = (
        registration(10),
        unit("sustain", range(10), place="_D/cmz03"),
        award("sustain", (0.002,), 37, unit="SUSTAIN-_D/cmz03"),
        asset_day([15] * 10),
    )
    (line,) = lines_of(settle(party(), *mail))
    assert line.payer == "dso:_D"
    assert line.amount_gbp_e5 == 300 * 0.001 * 100_000  # 10 x 400 Wh came, 1 kWh was asked for


def test_turning_up_is_paid_for_what_is_drawn_more():
    # 10 chargers, 415 Wh expected, 615 drawn: 2 kWh up, as asked for; 0.002 MWh x 300.
    mail = (
        registration(10), unit("sustain", range(10)), award("sustain", (-0.004,), 37), asset_day([615] * 10),
    )  # fmt: skip
    said = settle(party(), *mail)
    assert (lines_of(said)[0].volume_mwh, lines_of(said)[0].amount_gbp_e5) == (-0.002, 60_000)
    assert (volumes_of(said)[0].delivered_wh, volumes_of(said)[0].accepted_wh) == (-2_000, -2_000)


def test_an_asset_without_a_reading_is_counted_out():
    readings = asset_day([15] * 9 + [MISSING_WH])
    mail = (registration(10), unit("sustain", range(10)), award("sustain", (0.01,), 37), readings)
    (volume,) = volumes_of(settle(party(), *mail))
    assert (volume.baseline_wh, volume.delivered_wh, volume.homes, volume.homes_missing) == (
        3_735,
        3_600,
        10,
        1,
    )


def test_a_cancelled_event_is_not_settled():
    mail = (registration(10), unit("sustain", range(10)), award("sustain", (0.01,), 37))
    assert settle(party(), *mail, ServiceCancellation("sustain", "E1", ""), asset_day([15] * 10)) == []


@pytest.mark.parametrize("day", [date(2025, 3, 30), date(2025, 10, 26)])
def test_on_days_of_46_and_50_periods_the_profile_follows_the_clock_on_the_wall(day):
    # At 18:00 on the wall, whichever period that is: 415 Wh expected.
    six = 37 + period_count(day) - 48
    (fixed,) = lines_of(sustain_h(read_wh=165, first_sp=six, day=day))
    assert fixed.amount_gbp_e5 == 40 * 0.5 * 100_000


def test_a_statement_adds_up_to_nothing_over_all_parties():
    assert sum(balances_gbp_e5(lines_of(secure(1.5e6, 1.6e6, 2e6, 0.0, availability=9.0))).values()) == 0


# --------------------------------------------------------------------------------- constraint management


def test_tcm_is_paid_by_the_eso_and_taken_out_of_the_suppliers_imbalance():
    # Nominated 1 MWh, 0.9 drawn: 0.1 of 0.2 MWh. 150 GBP/MW/h x 0.4 MW x 0.5 h x 50 % = 15 GBP (R184).
    told = award("tcm", (0.4,), 37, unit="TCM-GSP_1", utilisation=150.0)
    mail = (
        registration(1_000), unit("tcm", range(1_000), "TCM-GSP_1", "GSP_1"), told,
        nomination("tcm", 1_000_000, unit="TCM-GSP_1"), asset_day([900] * 1_000),
    )  # fmt: skip
    paid, adjusted = lines_of(settle(party(), *mail))
    assert (paid.item, paid.amount_gbp_e5, paid.payer, paid.volume_mwh) == (
        "utilisation",
        1_500_000,
        "neso",
        0.1,
    )
    assert (adjusted.item, adjusted.amount_gbp_e5, adjusted.volume_mwh) == ("ABSVD to the Supplier", 0, 0.1)


def test_tcm_turned_up_is_negative_in_the_suppliers_adjustment():
    told = award("tcm", (-0.4,), 37, unit="TCM-GSP_1", utilisation=150.0)
    mail = (
        registration(1_000), unit("tcm", range(1_000), "TCM-GSP_1", "GSP_1"), told,
        nomination("tcm", 1_000_000, unit="TCM-GSP_1"), asset_day([1_300] * 1_000),
    )  # fmt: skip
    paid, adjusted = lines_of(settle(party(), *mail))
    assert (paid.amount_gbp_e5, paid.volume_mwh) == (3_000_000, -0.2)  # 0.3 MWh came, 0.2 were asked for
    assert adjusted.volume_mwh == -0.2


def test_lcm_is_measured_at_the_boundary_against_the_homes_own_days():
    # Ten working days of 500 Wh; 300 on the day: 200 Wh a home, both assets behind one meter.
    told = award("lcm", (0.004,), 37, unit="LCM-GSP_1", utilisation=150.0)
    history = [
        BoundaryReadings(day, np.arange(10, dtype=np.int32), np.full((10, 48), 500, np.int16))
        for day in working_days_before(DAY, 10)
    ]
    today = BoundaryReadings(DAY, np.arange(10, dtype=np.int32), np.full((10, 48), 300, np.int16))
    homes = [row // 2 for row in range(20)]
    called = start(told, 0.004)
    settlement = party()
    mail = (registration(20, homes=homes), unit("lcm", range(20), "LCM-GSP_1", "GSP_1"), told, called)
    settle(settlement, *mail, *history)
    settlement.receive(today, day_end_ms(DAY) + EIGHT_IN_THE_MORNING)
    said = [envelope.message for envelope in settlement.take_outbox() if envelope.to == "journal"]
    (volume,) = volumes_of(said)
    assert (volume.baseline_wh, volume.metered_wh, volume.delivered_wh, volume.homes) == (
        5_000,
        3_000,
        2_000,
        10,
    )
    assert lines_of(said, "utilisation")[0].amount_gbp_e5 == 150 * 0.002 * 100_000


# ------------------------------------------------------------------------------------------ claims that meet
# 1,000 chargers, 415 Wh expected and 115 drawn: 300 kWh were turned down in the half hour.


def two_claims(first_mw, second_mw, *, primacy="eso_first", derogations=(), nominated=415_000):
    """Sustain and TCM on the same thousand chargers at 18:00; no rule on TCM is known."""
    local = award("sustain", (first_mw,), 37, offer="O1", event="E1")
    national = award("tcm", (second_mw,), 37, unit="TCM-GSP_1", offer="O2", event="E2")
    mail = (
        registration(1_000), unit("sustain", range(1_000)), unit("tcm", range(1_000), "TCM-GSP_1", "GSP_1"),
        local, national, nomination("tcm", nominated, unit="TCM-GSP_1"), asset_day([115] * 1_000),
    )  # fmt: skip
    return settle(party(primacy=primacy, derogations=derogations), *mail)


def paid_mwh(said):
    return {line.unit: line.volume_mwh for line in lines_of(said, "utilisation")}


def test_a_claim_that_no_rule_allows_beside_another_is_paid_nothing_and_the_clause_is_told():
    said = two_claims(0.4, 0.4)
    assert paid_mwh(said) == {"TCM-GSP_1": 0.2, "SUSTAIN-_A/cmz00": 0.0}
    (told,) = remarks_of(said, "not_paid_beside")
    assert "1000 assets are paid nothing beside TCM-GSP_1" in told
    assert "no stacking rule found" in told


@pytest.fixture
def everything_allowed(monkeypatch):
    allowed = Decision(Answer.YES, (), (), ())
    monkeypatch.setattr(service_settlement, "may_serve", lambda *_, **__: allowed)


@pytest.mark.usefixtures("everything_allowed")
def test_the_eso_goes_first_and_the_dso_gets_what_is_left():
    # 0.2 MWh to the ESO, 0.1 left of 0.2 to the DSO.
    assert paid_mwh(two_claims(0.4, 0.4)) == {"TCM-GSP_1": 0.2, "SUSTAIN-_A/cmz00": 0.1}


@pytest.mark.usefixtures("everything_allowed")
def test_the_dso_goes_first_where_primacy_says_so():
    assert paid_mwh(two_claims(0.4, 0.4, primacy="dso_first")) == {"TCM-GSP_1": 0.1, "SUSTAIN-_A/cmz00": 0.2}


@pytest.mark.usefixtures("everything_allowed")
def test_who_turned_down_for_one_is_not_paid_for_turning_up_for_another():
    assert paid_mwh(two_claims(-0.4, 0.4)) == {"TCM-GSP_1": 0.2, "SUSTAIN-_A/cmz00": 0.0}


@pytest.mark.usefixtures("everything_allowed")
def test_minutes_of_shared_assets_count_for_no_more_than_half_hourly_meters_leave():
    # 0.5 MW by its minutes for Secure, but TCM took 0.2 of the 0.3 MWh that the meters show.
    secure = award("secure", (0.5,), 37, offer="O1", event="E1")
    national = award("tcm", (0.4,), 37, unit="TCM-GSP_1", offer="O2", event="E2")
    mail = (
        registration(1_000), unit("secure", range(1_000)), unit("tcm", range(1_000), "TCM-GSP_1", "GSP_1"),
        secure, national, start(secure, 0.5), minutes(secure, 330_000), nomination("secure", 415_000),
        nomination("tcm", 415_000, unit="TCM-GSP_1"), asset_day([115] * 1_000),
    )  # fmt: skip
    assert paid_mwh(settle(party(), *mail))["SECURE-_A/cmz00"] == 0.1


# ------------------------------------------------------------------------------------- DFS takes its place


def dfs_beside_sustain(primacy, *, sustain_mw=0.2, with_sustain=True):
    """Ten working days of 415 Wh, 115 on the day: DFS and Sustain claim the same thousand chargers."""
    at_ms, _ = period_bounds_ms(DAY, 37)
    settlement = party(primacy=primacy)
    bid = DfsResult("B1", "DFS1", "U", True, "", at_ms, at_ms + PERIOD_MS, (0.6,), 100.0)
    history = [asset_day([415] * 1_000, day=day) for day in working_days_before(DAY, 10)]
    told = [DfsUnitRegistration("U", np.arange(1_000, dtype=np.int32), True), bid]
    if with_sustain:
        told += [unit("sustain", range(1_000)), award("sustain", (sustain_mw,), 37)]
    for message in (registration(1_000, service=Service.DFS), *history, *told):
        settlement.receive(message, day_start_ms(DAY))
    settlement.take_outbox()
    return settle(settlement, asset_day([115] * 1_000))


def delivered_by_dfs(said):
    (volume,) = [volume for volume in volumes_of(said) if volume.service == "dfs"]
    return volume.delivered_wh


@pytest.mark.usefixtures("everything_allowed")
def test_dfs_delivers_less_by_what_the_dso_paid_for_first():
    assert delivered_by_dfs(dfs_beside_sustain("dso_first")) == 200_000


@pytest.mark.usefixtures("everything_allowed")
def test_dfs_that_goes_first_is_settled_as_if_it_were_alone():
    alone = dfs_beside_sustain("eso_first", with_sustain=False)
    beside = dfs_beside_sustain("eso_first")
    assert lines_of(alone) == [line for line in lines_of(beside) if line.service == "dfs"]
    assert [line.volume_mwh for line in lines_of(beside, "utilisation")] == [0.0]


def test_the_rules_of_the_day_let_dfs_and_the_dso_share_assets_that_are_large_enough():
    # 0.6 + 0.2 MW of 7 MW are different megawatts: splitting DFS / SU is a yes.
    said = dfs_beside_sustain("dso_first")
    assert not remarks_of(said, "not_paid_beside")
    assert delivered_by_dfs(said) == 200_000


# --------------------------------------------------------------------------------------------------- trading

OF_HOME = np.array([0] * 600 + [1] * 400, np.int8)
BOOK = SupplierBook(("A", "B"), OF_HOME, np.array([3, 2]), "asset", "submitted", "rulebook", 90.0)
TWO_HOURS_MS = 2 * 3_600_000
SIX, _ = period_bounds_ms(DAY, 37)


def traded(*, sold_mwh=0.2, notified_ms=None, read_wh=115, day=DAY, at_ms=None, book=BOOK, history=()):
    """1,000 chargers expected at 415 kWh in the half hour; sold at 150, system price 100 GBP/MWh."""
    at_ms = SIX if at_ms is None else at_ms
    notified_ms = at_ms - TWO_HOURS_MS if notified_ms is None else notified_ms
    trade = WholesaleTrade("T1", "WHOLESALE-_A", "intraday", at_ms, at_ms + PERIOD_MS, sold_mwh, 150.0, "")
    settlement = party(day, suppliers=book)
    for message, heard_ms in (
        (registration(1_000), day_start_ms(day)),
        *((one, day_start_ms(day)) for one in history),
        (unit("wholesale", range(1_000), "WHOLESALE-_A", "_A"), day_start_ms(day)),
        (nomination("wholesale", 415_000, unit="WHOLESALE-_A", day=day), day_start_ms(day)),
        (trade, day_start_ms(day)),
        (WholesaleNotification("WHOLESALE-_A", at_ms, at_ms + PERIOD_MS, sold_mwh), notified_ms),
        (SystemPrice(at_ms, 100.0, 0.0), day_end_ms(day)),
    ):
        settlement.receive(message, heard_ms)
    if book.metering == "boundary":
        readings = homes_day(read_wh + BASE_LOAD_WH, day=day)
        settlement.receive(readings, day_end_ms(day) + EIGHT_IN_THE_MORNING)
    return settle(settlement, asset_day([read_wh] * 1_000, day=day), day=day)


BASE_LOAD_WH = 200


def homes_day(import_wh, day):
    """Readings of a thousand homes at the boundary: their chargers and base load."""
    told = asset_day([import_wh] * 1_000, day=day)
    return BoundaryReadings(day, told.rows, told.import_wh)


def in_periods(otherwise_wh, day=DAY, **periods):
    """One value in all periods of a day but those named p37=..."""
    values = np.full(period_count(day), otherwise_wh)
    for name, wh in periods.items():
        values[int(name[1:]) - 1] = wh
    return values


def told_of_suppliers(said):
    """(Supplier, period, deviation, compensation, rebound, imbalance) of all that is told of Suppliers."""
    start_ms = day_start_ms(DAY)
    return [
        (
            one.supplier,
            (one.start_ms - start_ms) // PERIOD_MS + 1,
            one.deviation_wh,
            one.compensation_gbp_e5,
            one.rebound_wh,
            one.imbalance_gbp_e5,
        )
        for one in said
        if isinstance(one, SupplierSettled)
    ]


def test_each_supplier_is_made_whole_and_keeps_the_rebound():
    # Turned down by 300 Wh each in period 37, drawn 200 Wh more in 38, of which no price was told.
    said = traded(read_wh=in_periods(415, p37=115, p38=615))
    assert told_of_suppliers(said) == [
        ("A", 37, 180_000, 16_20000, 0, 0),
        ("B", 37, 120_000, 10_80000, 0, 0),
        ("A", 38, 0, 0, 120_000, 0),
        ("B", 38, 0, 0, 80_000, 0),
    ]
    (paid,) = lines_of(said, "Supplier compensation")
    assert paid.amount_gbp_e5 == -27_00000


def test_what_was_turned_down_and_not_notified_is_the_suppliers_imbalance():
    # 180 kWh less drawn at A's customers are sold at the system price of 100.
    said = traded(read_wh=in_periods(415, p37=115), notified_ms=SIX - 3_600_000)
    assert told_of_suppliers(said) == [
        ("A", 37, 0, 0, -180_000, 18_00000),
        ("B", 37, 0, 0, -120_000, 12_00000),
    ]


BASELINED = replace(BOOK, baselining="BL01")
TEN_DAYS = [asset_day([415] * 1_000, day=one) for one in working_days_before(DAY, 10)]
WARM_AFTERNOON = in_periods(415, p37=115, **{f"p{place}": 515 for place in range(29, 35)})


@pytest.mark.parametrize(
    ("policy", "moved_wh"),
    [("rulebook", 300_000), ("none", 300_000), ("boa_only", 300_000), ("always", 400_000)],
)
def test_bl01_is_adjusted_in_day_for_trades_alone_only_where_the_policy_is_always(policy, moved_wh):
    # Ten days at 415 Wh; in periods 29 to 34, before the trade in 37, each charger drew 100 Wh more.
    said = traded(read_wh=WARM_AFTERNOON, book=replace(BASELINED, ida_policy=policy), history=TEN_DAYS)
    assert [each.delivered_wh for each in volumes_of(said)] == [moved_wh]


def test_baselined_and_metered_at_the_boundary_the_homes_whole_are_compared():
    book = replace(BASELINED, metering="boundary")
    history = [homes_day(415 + BASE_LOAD_WH, one) for one in working_days_before(DAY, 10)]
    (volume,) = volumes_of(traded(read_wh=in_periods(415, p37=115), book=book, history=history))
    assert (volume.baseline_wh, volume.metered_wh, volume.delivered_wh) == (615_000, 315_000, 300_000)


def test_days_of_trades_are_no_history_of_a_baselined_unit():
    # The newest day reads 1,000 Wh and was traded on: nine days of 415 remain, and 9 x 415 / 9 is expected.
    newest, *older = working_days_before(DAY, 10)
    history = [asset_day([1_000] * 1_000, day=newest)]
    history += [asset_day([415] * 1_000, day=one) for one in older]
    eve_ms = day_start_ms(newest)
    history.append(WholesaleNotification("WHOLESALE-_A", eve_ms, eve_ms + PERIOD_MS, 0.1))
    (volume,) = volumes_of(traded(book=BASELINED, history=history))
    assert volume.baseline_wh == 415_000


def test_a_baselined_unit_deviates_by_nothing_in_the_periods_that_no_other_day_has():
    day = date(2025, 10, 26)
    at_ms, _ = period_bounds_ms(day, 50)
    said = traded(day=day, at_ms=at_ms, book=BASELINED)
    assert [line.item for line in lines_of(said)] == ["intraday sale", "imbalance"]
    assert [each.delivered_wh for each in volumes_of(said)] == [0]


def test_a_sale_its_imbalance_and_the_suppliers_compensation():
    # Sold 0.2 MWh at 150, moved 0.3: 0.1 to imbalance at 100; 0.3 x 90 to the Suppliers, 600 : 400 homes.
    said = traded()
    assert [(line.item, line.amount_gbp_e5, line.payer) for line in lines_of(said)] == [
        ("intraday sale", 30_00000, "exchange"),
        ("imbalance", 10_00000, "bsc"),
        ("Supplier compensation", -27_00000, "aggregator"),
    ]
    assert remarks_of(said, "suppliers_compensated") == [
        "WHOLESALE-_A 2025-01-16: supplier:A 16.20000 GBP, supplier:B 10.80000 GBP"
    ]
    (volume,) = volumes_of(said)
    assert (volume.service, volume.delivered_wh, volume.accepted_wh) == ("wholesale", 300_000, 200_000)


def test_a_sale_that_was_notified_at_gate_closure_is_imbalance_whole():
    said = traded(notified_ms=SIX - 3_600_000)
    assert [(line.item, line.amount_gbp_e5) for line in lines_of(said)][1:] == [("imbalance", -20_00000)]
    assert volumes_of(said) == []


@pytest.mark.parametrize("day", [date(2025, 3, 30), date(2025, 10, 26)])
def test_a_sale_on_a_day_when_the_clocks_change(day):
    at_ms, _ = period_bounds_ms(day, period_count(day))
    said = traded(day=day, at_ms=at_ms)
    assert [line.amount_gbp_e5 for line in lines_of(said)] == [30_00000, 10_00000, -27_00000]


def test_a_purchase_that_is_drawn_is_a_deviation_too():
    said = traded(sold_mwh=-0.2, read_wh=615)
    assert [(line.item, line.amount_gbp_e5) for line in lines_of(said)] == [
        ("intraday purchase", -30_00000),
        ("Supplier compensation", 18_00000),
    ]


# -------------------------------------------------------------------------------------------------- capacity


def capacity_day(*notices, read_wh=115, day=DAY):
    """A thousand chargers with ten working days of 415 Wh, and an agreement for what 1 MW is de-rated to."""
    settlement = party(day)
    own = unit("capacity_market", range(1_000), "CAPACITY_MARKET-001", "national")
    history = [asset_day([415] * 1_000, day=one) for one in working_days_before(day, 10)]
    answer = ServiceUnitAnswer("capacity_market", own.unit, True, "")
    for message in (registration(1_000), own, answer, *notices, *history):
        settlement.receive(message, day_start_ms(day))
    settlement.take_outbox()
    return settle(settlement, asset_day([read_wh] * 1_000, day=day), day=day)


def test_capacity_is_paid_for_every_day_and_charged_for_what_is_missing_under_stress():
    # 0.84 MW owe 0.42 MWh in the half hour; 0.3 came. 0.12 x 18,000 / 24 (T-1's 18 GBP/kW in 2024/25).
    notice = CapacityNotice("N1", SIX - 5 * 3_600_000, SIX, SIX + PERIOD_MS, 1.0, True)
    said = capacity_day(notice)
    lines = {line.item: line for line in lines_of(said)}
    rate = load_rulebook("capacity_market", on=DAY).value("clearing_price_gbp_per_kw_year") * 1_000 / 24
    assert lines["capacity penalty"].amount_gbp_e5 == pytest.approx(-0.12 * rate * 100_000, abs=1)
    assert lines["capacity payment"].payer == "capacity_settlement_body"
    (volume,) = volumes_of(said)
    assert (volume.reference, volume.delivered_wh, volume.accepted_wh) == ("N1", 300_000, 420_000)


def test_capacity_without_a_notice_is_paid_and_its_best_half_hour_told():
    said = capacity_day()
    assert [line.item for line in lines_of(said)] == ["capacity payment"]
    assert [volume.delivered_wh for volume in volumes_of(said)] == [300_000]


# ------------------------------------------------------------------------- the BM takes its place, and reruns


def bm_beside_sustain(primacy, *, with_sustain=True):
    """FPN 0.83 MW of demand, 0.4 MW accepted, 0.3 MWh turned down; Sustain asks for 0.1 MWh."""
    at_ms, end_ms = period_bounds_ms(DAY, 37)
    steps = [(at_ms, -0.83), (at_ms, -0.43), (end_ms, -0.43), (end_ms, -0.83)]
    mail = [
        registration(1_000, service=Service.BALANCING),
        PhysicalNotification("_A", at_ms, end_ms, (Point(at_ms, -0.83), Point(end_ms, -0.83))),
        BidOfferData("_A", at_ms, end_ms, (BidOfferPair(1, 5.0, 150.0, 50.0),)),
        BidOfferAcceptance("_A", 7, at_ms - 1, tuple(Point(*step) for step in steps), False, "ORI"),
        SystemPrice(at_ms, 100.0, 0.0),
    ]
    if with_sustain:
        mail += [unit("sustain", range(1_000)), award("sustain", (0.2,), 37)]
    return settle(party(primacy=primacy), *mail, asset_day([115] * 1_000))


@pytest.mark.usefixtures("everything_allowed")
def test_a_bm_unit_is_not_credited_with_what_the_dso_paid_for_first():
    # 0.3 MWh less 0.1 paid for by the DSO is what was accepted: no imbalance; alone 0.1 x 100 is long.
    alone = lines_of(bm_beside_sustain("dso_first", with_sustain=False), "imbalance")
    beside = lines_of(bm_beside_sustain("dso_first"), "imbalance")
    assert [line.amount_gbp_e5 for line in (*alone, *beside)] == [10_00000, 0]


@pytest.mark.usefixtures("everything_allowed")
def test_a_bm_unit_that_goes_first_is_settled_as_if_it_were_alone():
    alone, beside = bm_beside_sustain("eso_first", with_sustain=False), bm_beside_sustain("eso_first")
    assert lines_of(alone) == [line for line in lines_of(beside) if line.service == "balancing"]
    assert [line.volume_mwh for line in lines_of(beside, "utilisation")] == [0.1]


def test_readings_that_change_make_a_new_run_that_reverses_the_one_before():
    settlement = party()
    mail = (registration(10), unit("sustain", range(10)), award("sustain", (0.01,), 37), asset_day([15] * 10))
    first = lines_of(settle(settlement, *mail))
    second = lines_of(settle(settlement, asset_day([15] * 5 + [115] * 5)))
    # 4 of 5 kWh first: 80 %, factor 0.55; then 3.5 kWh: 70 %, factor 0.25.
    assert [line.amount_gbp_e5 for line in first] == [66_000]
    assert [line.settlement_run for line in second] == ["SF", "SF"]
    assert [line.amount_gbp_e5 for line in second] == [-66_000, 26_250]


def test_a_day_without_readings_is_settled_at_its_deadline_and_pays_nothing():
    settlement = party()
    settle(settlement, registration(10), unit("sustain", range(10)), award("sustain", (0.01,), 37))
    settlement.on_deadline(settlement.next_deadline_ms())
    said = [envelope.message for envelope in settlement.take_outbox() if envelope.to == "journal"]
    assert [line.amount_gbp_e5 for line in lines_of(said)] == [0]
    assert "up to 10 delivered nothing" in remarks_of(said, "service_meters_counted_out")[0]


# ---------------------------------------------------------------------------- days when the clocks change


@pytest.mark.parametrize("day", [date(2025, 3, 30), date(2025, 10, 26)])
@pytest.mark.parametrize("product", ["secure", "dynamic", "restore", "tcm"])
def test_the_last_half_hour_of_a_day_when_the_clocks_change(product, day):
    # Nominated 2 MW, 1.5 MW drawn, 0.5 MW asked for at 300 GBP/MWh.
    last, name = period_count(day), f"{product.upper()}-X"
    told = award(product, (0.5,), last, day=day, unit=name)
    whole = [0] * (last - 1) + [1_000_000]
    mail = [
        registration(1_000), unit(product, range(1_000), name), told,
        nomination(product, whole, day=day, unit=name), start(told, 0.5), minutes(told, 1.5e6),
        asset_day([750] * 1_000, day=day),
    ]  # fmt: skip
    said = settle(party(day), *(mail if product != "tcm" else [*mail[:4], mail[-1]]), day=day)
    assert [line.amount_gbp_e5 for line in lines_of(said, "utilisation")] == [75 * 100_000]
    assert volumes_of(said)[0].end_ms == day_end_ms(day)


@pytest.mark.parametrize("day", [date(2025, 3, 31), date(2025, 10, 27)])
def test_a_day_when_the_clocks_changed_is_no_history_of_a_capacity_unit(day):
    (volume,) = volumes_of(capacity_day(day=day))
    assert volume.delivered_wh == 300_000


def test_a_notice_taken_back_before_its_start_charges_nobody():
    notice = CapacityNotice("N1", SIX - 5 * 3_600_000, SIX, SIX + PERIOD_MS, 1.0, True)
    said = capacity_day(notice, ServiceCancellation("capacity_market", "N1", ""))
    assert [line.item for line in lines_of(said)] == ["capacity payment"]


def test_dynamic_and_restore_differ_by_who_is_paid_for_being_there():
    found = {}
    for product in ("dynamic", "restore"):
        told = award(product, (0.5,), 35, availability=10.0)
        mail = (
            registration(9),
            unit(product, range(9)),
            told,
            nomination(product, 1_000),
            asset_day([0] * 9),
        )
        found[product] = [line.amount_gbp_e5 for line in lines_of(settle(party(), *mail))]
    assert found == {"dynamic": [10 * 0.25 * 100_000], "restore": []}


def test_all_that_settlement_knows_of_services_can_be_written_and_read_again():
    settlement = party(suppliers=BOOK)
    told = award("secure", (0.5,), 35, availability=10.0)
    settle(
        settlement,
        registration(1_000),
        unit("secure", range(1_000)),
        told,
        start(told, 0.5),
        minutes(told, 1.5e6),
        nomination("secure", 1_000_000),
        WholesaleTrade("T1", "WHOLESALE-_A", "intraday", SIX, SIX + PERIOD_MS, 0.1, 150.0, ""),
        WholesaleNotification("WHOLESALE-_A", SIX, SIX + PERIOD_MS, 0.1),
        CapacityNotice("N1", SIX - 1, SIX, SIX + PERIOD_MS, 1.0, True),
        ServiceUnitAnswer("secure", told.unit, True, ""),
        ServiceCancellation("secure", "E9", ""),
        SystemPrice(SIX, 100.0, 0.0),
        asset_day([0] * 1_000),
    )
    assert settlement.state.services.months
    writer = Writer()
    tree = writer.encode(settlement.state.services)
    again = Reader(writer.arrays).decode(tree)
    assert Writer().encode(again) == tree


# ---------------------------------------------------------------------------- what is kept of days before


@pytest.mark.parametrize(("consented", "kept"), [(False, 0), (True, 12)])
def test_asset_readings_of_days_before_the_run_are_kept_where_a_baseline_may_need_them(consented, kept):
    """Units are entered after the history was read: until then consent decides."""
    settlement = party(DAY, dfs_metering="boundary")
    if consented:
        none = np.zeros(2, np.int32)
        settlement.receive(ServiceConsents(none, none.astype(np.int16), none.astype(np.int8), ()), 0)
    for day in working_days_before(DAY, 12):
        settlement.receive(asset_day([100, 100], day=day), day_start_ms(DAY))
    assert len(settlement.state.asset) == kept
    settlement.receive(asset_day([100, 100], day=DAY), day_end_ms(DAY))
    assert DAY in settlement.state.asset
