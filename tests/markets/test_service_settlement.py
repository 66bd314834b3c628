"""Further services to pounds: answers worked by hand, clock changes, missing data, and claims that meet."""

from datetime import date

import pytest
from service_days import (
    DAY,
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
)

from markets.statement_lines import balances_gbp_e5
from protocol.messages import MISSING_WH, ServiceCancellation, Technology
from protocol.periods import period_count

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
