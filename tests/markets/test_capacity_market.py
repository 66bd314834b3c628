"""Stories of the capacity market mock: who is admitted, and what is told of stress, when and how wrongly."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from market_mail import live, of_kind, remarks

from markets.capacity_market import CapacityMarket
from markets.capacity_settings import CapacityNoticeScript, CapacitySettings
from markets.settings import FAULT_KINDS, FaultPlan, FaultShares, RulesInForce, SettingsError
from protocol.messages import (
    AssetRegistration,
    CapacityNotice,
    DeliveredVolume,
    ServiceCancellation,
    ServiceUnit,
    ServiceUnitAnswer,
)
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, day_start_ms, local_clock_ms

DAY = date(2026, 12, 1)
START = day_start_ms(DAY)
COUNT = 400
UNIT = "CAPACITY_MARKET-001"


def faults(**shares):
    every = {kind: shares.get(kind, 0.0) for kind in FAULT_KINDS}
    return FaultPlan(FaultShares(**every), np.full((1, len(FAULT_KINDS)), 0.25))


def script(issued=13, withdrawn=None, day=DAY, name="CMN001"):
    withdrawn_ms = None if withdrawn is None else local_clock_ms(day, *withdrawn)
    times = (local_clock_ms(day, hour) for hour in (issued, 17, 19))
    return CapacityNoticeScript(name, *times, 0.9, True, withdrawn_ms)


def market(*notices, plan=None, on=None, day=DAY, **rules):
    overrides = tuple((book, name, value) for book, values in rules.items() for name, value in values.items())
    settings = CapacitySettings(day_start_ms(day), notices, RulesInForce(on, overrides), plan or faults())
    return CapacityMarket(settings)


def assets(hh_metered=1):
    """Chargers of 7.4 kW, 2.96 MW in all; every tenth home's meter as said."""
    column = np.zeros(COUNT, np.int8)
    metered = np.ones(COUNT, np.int8)
    metered[::10] = hh_metered
    rows = np.arange(COUNT, dtype=np.int32)
    return AssetRegistration(
        rows, rows.astype(np.int64), column.astype(np.int16), column.astype(np.int16), column, column,
        np.full(COUNT, 7400, np.int32), np.full(COUNT, -1, np.int32), column, column.astype(np.int16),
        np.full(COUNT, 60, np.int32), column, metered, column, ("_A",), ("_A_1",), ("evcp_4g",),
    )  # fmt: skip


def entered(mw=2.0, rows=range(COUNT), name=UNIT, **changed):
    unit = ServiceUnit("capacity_market", name, "national", np.array(rows, np.int32), mw)
    return replace(unit, **changed)


def ask(party, *units, registered=None):
    """The answers to units, heard by the aggregator; settlement hears the same."""
    party.receive(registered or assets(), START)
    for unit in units:
        party.receive(unit, START)
    said = [(START, envelope.to, envelope.message) for envelope in party.take_outbox()]
    told = of_kind(said, ServiceUnitAnswer, "aggregator")
    assert told == of_kind(said, ServiceUnitAnswer, "settlement")
    return told, said


def test_a_unit_is_admitted_with_its_derated_obligation():
    party = market()
    (answer,), said = ask(party, entered())
    assert (answer.accepted, answer.reason, answer.unit) == (True, "", UNIT)
    assert party.state.agreements[UNIT].obligation_mw == 1.68  # 2 MW x 0.84
    assert "capacity_agreement" in remarks(said)


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        (entered(0.999), "0.999 MW is less than 1 MW (least size of a CMU)"),
        (entered(2.97), "2.97 MW is more than its components' 2.96 MW"),
        (entered(place="_A"), "its place is 'national', not '_A'"),
        (entered(product="secure"), "this is no market for secure"),
        (entered(rows=[]), "its components are not registered"),
        (entered(rows=[COUNT]), "its components are not registered"),
    ],
)
def test_a_unit_is_refused_with_the_reason(unit, why):
    party = market()
    (answer,), said = ask(party, unit)
    assert (answer.accepted, answer.reason) == (False, why)
    assert party.state.agreements == {}
    assert "capacity_unit_refused" in remarks(said)


def test_a_component_is_in_one_unit_alone():
    party = market()
    answers, _ = ask(
        party, entered(1.0, range(200)), entered(1.0, range(199, COUNT), name="CAPACITY_MARKET-002")
    )
    assert [answer.accepted for answer in answers] == [True, False]
    assert "1 of its components, such as 199, are in CAPACITY_MARKET-001" in answers[1].reason


def test_the_metering_test_asks_for_half_hourly_boundary_meters_where_asset_meters_do_not_count():
    boundary = {"eligibility": {"capacity_market_metering_level": "boundary"}}
    (refused,), _ = ask(market(**boundary), entered(), registered=assets(hh_metered=0))
    assert (
        refused.reason == "90 % of its components pass, 100 % are needed (metering test of every component)"
    )
    (passed,), _ = ask(market(**boundary), entered())
    (by_asset_meter,), _ = ask(market(), entered(), registered=assets(hh_metered=0))
    assert passed.accepted
    assert by_asset_meter.accepted
    lenient = {**boundary, "capacity_market": {"metering_test_pct": 90}}
    assert ask(market(**lenient), entered(), registered=assets(hh_metered=0))[0][0].accepted


def test_without_an_auction_for_the_day_there_is_no_agreement():
    day = date(2021, 12, 1)
    (answer,), _ = ask(market(day=day), entered())
    assert not answer.accepted
    assert "rule 'clearing_price_gbp_per_kw_year' had no value on 2021-12-01" in answer.reason
    priced = {"capacity_market": {"clearing_price_gbp_per_kw_year": 8.4}}
    assert ask(market(day=day, **priced), entered())[0][0].accepted


def test_the_same_unit_again_is_remarked_on_and_not_answered():
    answers, said = ask(market(), entered(), entered())
    assert len(answers) == 1
    assert "capacity_unit_told_twice" in remarks(said)


# ----------------------------------------------------------------------------------------------- notices


def test_a_notice_is_told_when_it_is_issued_to_aggregator_and_settlement():
    said = live(market(script()))
    assert [(at, to) for at, to, _ in said] == [
        (local_clock_ms(DAY, 13), "settlement"),
        (local_clock_ms(DAY, 13), "aggregator"),
    ]
    (notice,) = of_kind(said, CapacityNotice, "aggregator")
    assert (notice.start_ms, notice.end_ms) == (local_clock_ms(DAY, 17), local_clock_ms(DAY, 19))
    assert (notice.load_following_share, notice.stressed) == (0.9, True)


def test_a_notice_that_comes_too_late_says_whom_it_does_not_bind():
    said = live(market(script(issued=14)))
    assert remarks(said) == ["capacity_notice_short"]
    (words,) = [message.detail for _, to, message in said if to == "journal"]
    assert words == "CMN001: nobody is bound in its first 60 minutes (4 h notice)"
    assert remarks(live(market(script(issued=13)))) == []


def test_a_notice_withdrawn_before_its_start_is_cancelled():
    said = live(market(script(withdrawn=(16, 30))))
    for to in ("aggregator", "settlement"):
        (cancelled,) = of_kind(said, ServiceCancellation, to)
        assert (cancelled.product, cancelled.event_id) == ("capacity_market", "CMN001")
        assert len(of_kind(said, CapacityNotice, to)) == 1


def test_a_notice_lifted_early_ends_then():
    said = live(market(script(withdrawn=(17, 40))))
    for to in ("aggregator", "settlement"):
        ends = [notice.end_ms for notice in of_kind(said, CapacityNotice, to)]
        assert ends == [local_clock_ms(DAY, 19), local_clock_ms(DAY, 18)]


def test_a_period_that_has_begun_stays_bound_so_the_last_one_cannot_be_lifted():
    said = live(market(script(withdrawn=(18, 30))))
    assert len(of_kind(said, CapacityNotice, "aggregator")) == 1
    assert of_kind(said, ServiceCancellation) == []


def test_a_notice_told_twice_is_heard_twice_and_binds_once():
    said = live(market(script(), plan=faults(duplicate=0.9)))
    assert len(of_kind(said, CapacityNotice, "aggregator")) == 2
    assert len(of_kind(said, CapacityNotice, "settlement")) == 1
    assert remarks(said) == ["fault_duplicate"]


def test_a_late_notice_reaches_the_aggregator_after_its_start_and_settlement_in_time():
    said = live(market(script(), plan=faults(late=0.9)))
    heard = {to: at for at, to, message in said if isinstance(message, CapacityNotice)}
    assert heard["settlement"] == local_clock_ms(DAY, 13)
    assert heard["aggregator"] == local_clock_ms(DAY, 17) + 5 * MINUTE_MS
    assert remarks(said) == ["fault_late"]


def test_an_impossible_notice_is_over_before_it_starts():
    said = live(market(script(), plan=faults(impossible=0.9)))
    (wrong,) = of_kind(said, CapacityNotice, "aggregator")
    (right,) = of_kind(said, CapacityNotice, "settlement")
    assert wrong.end_ms < wrong.start_ms
    assert right.end_ms > right.start_ms


@pytest.mark.parametrize("day", [date(2027, 3, 28), date(2026, 10, 25)])
def test_four_hours_are_four_hours_on_days_when_the_clocks_change(day):
    # The clocks change at 01:00 UTC: the four hours before 05:00 lie around it in March and in October.
    start_ms = local_clock_ms(day, 5)
    notice = CapacityNoticeScript(
        "CMN001", start_ms - 4 * HOUR_MS, start_ms, start_ms + HOUR_MS, 1.0, True, None
    )
    said = live(market(notice, day=day))
    assert remarks(said) == []
    assert said[0][0] == start_ms - 4 * HOUR_MS


def test_a_script_must_make_sense():
    with pytest.raises(SettingsError, match="whole settlement periods"):
        CapacityNoticeScript("N", 0, MINUTE_MS, HOUR_MS, 1.0, True, None)
    with pytest.raises(SettingsError, match="before it is issued"):
        CapacityNoticeScript("N", HOUR_MS, HOUR_MS, 2 * HOUR_MS, 1.0, True, HOUR_MS)


# ------------------------------------------------------------------------------------------- performance


def test_three_days_of_performance_are_counted_and_told():
    party = market()
    ask(party, entered())
    told = []
    for day in (1, 1, 2, 3, 4):
        start_ms = local_clock_ms(date(2026, 12, day), 17)
        wh = 839_999 if day == 2 else 840_000  # 1.68 MW for half an hour
        volume = DeliveredVolume(
            "capacity_market", UNIT, "CMN001", start_ms, start_ms + PERIOD_MS, 0, 0, wh, wh, COUNT, 0
        )
        party.receive(volume, start_ms)
        told += [envelope.message.kind for envelope in party.take_outbox()]
    assert told == ["performance_shown", "performance_shown", "satisfactory_performance"]


def test_delivery_of_somebody_else_is_remarked_on():
    party = market()
    party.receive(DeliveredVolume("dfs", UNIT, "E1", START, START + PERIOD_MS, 0, 0, 1, 1, 1, 0), START)
    assert [envelope.message.kind for envelope in party.take_outbox()] == ["unknown_delivery"]
