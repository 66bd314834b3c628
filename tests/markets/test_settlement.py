"""Settlement: worked answers by hand, laws of money, and what happens when something is missing, late or
revised.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markets.metered_volume import (
    CHUNK,
    NOT_THERE,
    Block,
    DayReadings,
    block_volume,
    places,
    unit_import,
)
from markets.settings import RulesInForce, SettlementSettings
from markets.settlement import Settlement
from markets.statement_lines import balances_gbp_e5
from protocol.messages import (
    MISSING_WH,
    AssetReadings,
    AssetRegistration,
    BidOfferAcceptance,
    BidOfferData,
    BidOfferPair,
    BoundaryReadings,
    Change,
    DeliveredVolume,
    DfsCancellation,
    DfsParticipants,
    DfsResult,
    DfsUnitRegistration,
    PhysicalNotification,
    Point,
    RegistryChange,
    Remark,
    Service,
    Statement,
    SystemPrice,
)
from protocol.periods import MINUTE_MS, PERIOD_MS, day_end_ms, day_start_ms, period_bounds_ms, period_count

DAY = date(2024, 1, 18)  # a Thursday; DFS edition 2023/24: no in-day adjustment, delivered x price
MORNING_AFTER = day_end_ms(DAY) + 8 * 60 * MINUTE_MS
FIRST_SP = 35
FIVE, _ = period_bounds_ms(DAY, FIRST_SP)


def party(*, opt_in=False, metering="boundary", wait=3, overrides=()):
    return Settlement(SettlementSettings(DAY, wait, metering, opt_in, RulesInForce(None, overrides)))


def column(*values):
    return np.array(values, dtype=np.int32)


def said_by(settlement, kind, to="journal"):
    """What has been said since the last look, of one kind to one party."""
    return [e.message for e in settlement.take_outbox() if isinstance(e.message, kind) and e.to == to]


def lines_of(settlement):
    return [line for statement in said_by(settlement, Statement) for line in statement.lines]


# -------------------------------------------------------------------------------------------------------- DFS

THREE = column(0, 1, 2)


def boundary(day, by_home):
    """Readings of one day: home by home one value for every period, or all of them."""
    count = period_count(day)
    rows = [np.full(count, wh) if np.isscalar(wh) else np.asarray(wh) for wh in by_home]
    return BoundaryReadings(day, np.arange(len(rows), dtype=np.int32), np.array(rows, dtype=np.int16))


def working_days_before(day, count):
    """Newest first. No bank holiday lies in the fortnight before the days used here."""
    days = (day - timedelta(days=step) for step in range(1, 60))
    return [one for one in days if one.weekday() < 5][:count]


def three_homes_history():
    """Ten working days: A 600 Wh always; B 400 and 600 in turn (mean 500); C missing on six of them."""
    for place, day in enumerate(working_days_before(DAY, 10)):
        yield boundary(day, [600, (400, 600)[place % 2], MISSING_WH if place < 6 else 300])


def delivery_day():
    """A uses 100 Wh and then nothing, B 700 and then 500, C 50; in periods 35 and 36."""
    homes = [np.full(48, 600), np.full(48, 500), np.full(48, 300)]
    homes[0][34:36] = (100, 0)
    homes[1][34:36] = (700, 500)
    homes[2][34:36] = (50, 50)
    return boundary(DAY, homes)


def accepted(mw=(1.0, 1.0), price=3000.0, name="B1", event="E1", unit="U", start=FIVE):
    end = start + len(mw) * PERIOD_MS
    return DfsResult(name, event, unit, True, "", start, end, tuple(mw), price)


def with_event(settlement, *results, homes=THREE):
    settlement.receive(DfsUnitRegistration("U", homes, True), day_start_ms(DAY))
    for readings in three_homes_history():
        settlement.receive(readings, day_start_ms(DAY))
    for result in results or (accepted(),):
        settlement.receive(result, day_start_ms(DAY) + 1)
    return settlement


def settled_event(**how):
    settlement = with_event(party(**how))
    settlement.receive(delivery_day(), MORNING_AFTER)
    return settlement


def test_three_homes_and_one_event_worked_by_hand():
    # A: 600-100=500, 600-0=600. B: 500-700=-200, 500-500=0. C has four days: outturn.
    # Net 300 Wh and 600 Wh at 3000 GBP/MWh: 0.90 and 1.80 GBP.
    lines = lines_of(settled_event())
    assert [(line.start_ms, line.volume_mwh, line.amount_gbp_e5) for line in lines] == [
        (FIVE, 0.0003, 90_000),
        (FIVE + PERIOD_MS, 0.0006, 180_000),
    ]
    assert {(line.settlement_run, line.service, line.unit, line.reference) for line in lines} == {
        ("II", "dfs", "U", "E1")
    }
    assert {(line.payer, line.payee) for line in lines} == {("neso", "aggregator")}
    assert all("delivered_x_price" in line.clause for line in lines)


def test_homes_that_opted_in_are_not_charged_for_using_more():
    assert [line.amount_gbp_e5 for line in lines_of(settled_event(opt_in=True))] == [150_000, 180_000]


def participants(*homes, event="E1"):
    return DfsParticipants(event, "U", FIVE, column(*homes), asked=3, opted_out=0)


def test_of_a_unit_that_is_asked_event_by_event_only_who_took_part_is_settled():
    # B alone, which uses 200 Wh more and then as much as ever: nothing, and nothing is taken.
    for homes, pounds_e5 in (((1,), [0, 0]), ((0, 1), [150_000, 180_000]), ((), [0, 0])):
        settlement = with_event(party())
        settlement.receive(participants(*homes), FIVE)
        settlement.receive(participants(0, 1, 2), MORNING_AFTER - 1)  # too late to think better of it
        settlement.receive(participants(0, event="E2"), FIVE)
        settlement.receive(delivery_day(), MORNING_AFTER)
        said = settlement.take_outbox()
        statements = [item.message for item in said if isinstance(item.message, Statement)]
        assert [line.amount_gbp_e5 for line in statements[0].lines] == pounds_e5
        assert "participants_told_twice" in {
            item.message.kind for item in said if isinstance(item.message, Remark)
        }


def test_the_journal_learns_the_volumes_behind_the_money():
    first, second = said_by(settled_event(), DeliveredVolume)
    assert (first.baseline_wh, first.metered_wh, first.delivered_wh) == (600 + 500 + 50, 100 + 700 + 50, 300)
    assert (first.accepted_wh, first.homes, first.homes_missing) == (500_000, 3, 1)
    assert (second.start_ms, second.end_ms) == (FIVE + PERIOD_MS, FIVE + 2 * PERIOD_MS)
    assert (first.service, first.unit, first.reference) == ("dfs", "U", "E1")


def test_a_home_with_too_few_days_is_told():
    (remark,) = said_by(settled_event(), Remark)
    assert remark.kind == "dfs_meters_counted_out"
    assert "of 3 meters up to 1" in remark.detail


def test_a_home_without_a_reading_in_a_delivery_period_delivers_nothing_in_it():
    settlement = with_event(party())
    gap = delivery_day().import_wh.copy()
    gap[0, 34] = MISSING_WH
    settlement.receive(BoundaryReadings(DAY, THREE, gap), MORNING_AFTER)
    volumes = said_by(settlement, DeliveredVolume)
    assert [volume.delivered_wh for volume in volumes] == [-200, 600]
    assert [volume.homes_missing for volume in volumes] == [2, 1]


def test_an_event_day_is_no_day_of_the_baseline():
    # Yesterday's event leaves nine working days; B used 400 Wh then: its mean is (4 x 400 + 5 x 600) / 9.
    yesterday = DAY - timedelta(days=1)
    earlier = accepted(name="B0", event="E0", start=period_bounds_ms(yesterday, FIRST_SP)[0])
    settlement = with_event(party(), earlier, accepted())
    settlement.take_outbox()
    settlement.receive(delivery_day(), MORNING_AFTER)
    first, _ = [volume for volume in said_by(settlement, DeliveredVolume) if volume.reference == "E1"]
    assert first.delivered_wh == round(500 + (4 * 400 + 5 * 600) / 9 - 700)


def test_the_first_winter_adjusts_domestic_units_by_their_morning():
    # In periods 27 to 32 A uses 90 Wh more than its baseline: its baseline rises by 90 Wh.
    day = date(2023, 1, 18)
    start, _ = period_bounds_ms(day, FIRST_SP)
    delivered = []
    for domestic in (True, False):
        settlement = party()
        settlement.receive(DfsUnitRegistration("U", column(0), domestic), 0)
        for one in working_days_before(day, 10):
            settlement.receive(boundary(one, [600]), 0)
        settlement.receive(accepted(start=start), 0)
        metered = np.full(48, 600)
        metered[26:32], metered[34:36] = 690, 200
        settlement.receive(boundary(day, [metered]), day_end_ms(day) + 1)
        delivered.append([volume.delivered_wh for volume in said_by(settlement, DeliveredVolume)])
    assert delivered == [[490, 490], [400, 400]]


def test_the_performance_curve_of_2024_makes_an_empty_handed_provider_earn_nothing():
    day = date(2025, 1, 15)
    settlement = party(overrides=(("dfs", "min_unit_mw", 0.1),))
    settlement.receive(DfsUnitRegistration("U", column(0), True), 0)
    for one in working_days_before(day, 10):
        settlement.receive(boundary(one, [20_000]), 0)
    settlement.receive(accepted((0.02, 0.02), 200.0, start=period_bounds_ms(day, FIRST_SP)[0]), 0)
    metered = np.full(48, 20_000)
    metered[34:36] = (12_000, 18_000)
    settlement.receive(boundary(day, [metered]), day_end_ms(day) + 1)
    # 8 kWh of 10 are 80 %: 0.8 x 10 kWh x 0.20 GBP/kWh = 1.60 GBP; 2 kWh of 10 are 20 %, below 25 %: nothing.
    assert [line.amount_gbp_e5 for line in lines_of(settlement)] == [160_000, 0]


def test_a_period_left_out_of_the_bid_is_not_settled():
    settlement = with_event(party(), accepted((0.0, 1.0)))
    settlement.receive(delivery_day(), MORNING_AFTER)
    assert [line.start_ms for line in lines_of(settlement)] == [FIVE + PERIOD_MS]


def test_a_cancelled_event_is_neither_settled_nor_an_event_day():
    settlement = with_event(party())
    settlement.receive(DfsCancellation("E1", ""), FIVE - 1)
    settlement.receive(delivery_day(), MORNING_AFTER)
    assert settlement.take_outbox() == []
    assert settlement._event_days("U", DAY + timedelta(days=1)) == frozenset()


def test_without_the_days_readings_an_event_is_settled_at_the_deadline_with_nothing_delivered():
    settlement = with_event(party(wait=2))
    assert settlement.next_deadline_ms() == day_end_ms(DAY) + 2 * 48 * PERIOD_MS
    settlement.on_deadline(settlement.next_deadline_ms())
    volumes = [e.message for e in settlement.state.outbox if isinstance(e.message, DeliveredVolume)]
    assert [(volume.delivered_wh, volume.homes_missing) for volume in volumes] == [(0, 3), (0, 3)]
    assert [line.amount_gbp_e5 for line in lines_of(settlement)] == [0, 0]


def test_revised_readings_make_a_new_run_that_takes_the_old_one_back():
    settlement = settled_event()
    first = lines_of(settlement)
    better = delivery_day().import_wh.copy()
    better[1, 34] = 500
    settlement.receive(BoundaryReadings(DAY, THREE, better), MORNING_AFTER + 48 * PERIOD_MS)
    second = lines_of(settlement)
    assert {line.settlement_run for line in second} == {"SF"}
    assert [line.amount_gbp_e5 for line in second] == [-90_000, -180_000, 150_000, 180_000]
    assert sum(line.amount_gbp_e5 for line in first + second) == 150_000 + 180_000
    assert balances_gbp_e5(first + second) == {"aggregator": 330_000, "neso": -330_000}


def test_readings_of_a_kind_that_a_day_was_not_settled_on_make_no_new_run():
    settlement = settled_event()
    settlement.take_outbox()
    settlement.receive(asset_day(2_500_000), MORNING_AFTER + 1)
    assert settlement.take_outbox() == []


def test_the_same_readings_again_change_nothing():
    settlement = settled_event()
    settlement.take_outbox()
    settlement.receive(delivery_day(), MORNING_AFTER + 1)
    assert settlement.take_outbox() == []


def test_dfs_on_asset_meters_takes_the_assets_of_the_units_homes():
    settlement = party(metering="asset")
    settlement.receive(registration([0, 1, 2, 3], [Service.DFS, Service.DFS, Service.NONE, Service.DFS]), 0)
    settlement.receive(DfsUnitRegistration("U", THREE, True), 0)
    settlement.receive(accepted(), 0)
    for day in working_days_before(DAY, 5):
        settlement.receive(AssetReadings(day, column(0, 1, 2, 3), np.full((4, 48), 900, np.int16)), 0)
    day = np.full((4, 48), 900, np.int16)
    day[:, 34:36] = 0
    settlement.receive(AssetReadings(DAY, column(0, 1, 2, 3), day), MORNING_AFTER)
    assert [volume.delivered_wh for volume in said_by(settlement, DeliveredVolume)] == [1800, 1800]


# --------------------------------------------------------------------------------------------------------- BM

PAIRS = (
    BidOfferPair(-1, 9.0, 60.0, 30.0),
    BidOfferPair(1, 4.0, 100.0, 20.0),
    BidOfferPair(2, 6.0, 150.0, 20.0),
)


def registration(homes, services, units=None):
    count = len(homes)
    zeros = np.zeros(count, dtype=np.int32)
    return AssetRegistration(
        home=column(*homes),
        mpan=zeros.astype(np.int64),
        unit=zeros.astype(np.int16) if units is None else np.array(units, dtype=np.int16),
        gsp=zeros.astype(np.int16),
        route=zeros.astype(np.int8),
        service=np.array([int(service) for service in services], dtype=np.int8),
        rating_w=zeros + 7400,
        battery_wh=zeros,
        target_pct=zeros.astype(np.int8),
        ready_by_minute=zeros.astype(np.int16),
        report_every_s=zeros,
        soc_known=zeros.astype(np.int8),
        hh_metered=zeros.astype(np.int8),
        technology=zeros.astype(np.int8),
        unit_names=("_A", "_B"),
        gsp_names=("_A_01",),
        route_names=("evcp_4g",),
    )


def corners(*points):
    return tuple(Point(FIVE + minute * MINUTE_MS, float(level)) for minute, level in points)


TRAPEZIUM = corners((0, -10), (2, -4), (28, -4), (30, -10))


def acceptance(number=7, profile=TRAPEZIUM, amendment="ORI"):
    return BidOfferAcceptance("_A", number, FIVE - 2 * MINUTE_MS + number, profile, False, amendment)


def prices(price=90.0):
    return [SystemPrice(FIVE + place * PERIOD_MS, price, 0.0) for place in range(2)]


def asset_day(total_wh, rows=100, missing=0, place=FIRST_SP - 1):
    """Readings of 100 meters: `total_wh` in all, in one period, by those that read; and of two others."""
    readings = np.zeros((rows + 2, 48), dtype=np.int16)
    readings[: rows - missing, place] = total_wh // (rows - missing)
    readings[rows - missing : rows, place] = MISSING_WH
    readings[rows:] = 9_999
    return AssetReadings(DAY, np.arange(rows + 2, dtype=np.int32), readings)


def with_acceptance(*acceptances, system_prices=None, wait=3):
    """A unit of 100 assets with an FPN of -10 MW, its pairs, acceptances and prices.

    One more asset of its area is in DFS, and another is in the unit of another area.
    """
    settlement = party(wait=wait)
    services = [Service.BALANCING] * 100 + [Service.DFS, Service.BALANCING]
    settlement.receive(registration(range(102), services, [0] * 101 + [1]), 0)
    for place in range(2):
        start = FIVE + place * PERIOD_MS
        flat = (Point(start, -10.0), Point(start + PERIOD_MS, -10.0))
        settlement.receive(PhysicalNotification("_A", start, start + PERIOD_MS, flat), 0)
        settlement.receive(BidOfferData("_A", start, start + PERIOD_MS, PAIRS), 0)
    for message in (*acceptances, *(prices() if system_prices is None else system_prices)):
        settlement.receive(message, FIVE)
    return settlement


def settled_acceptance(*acceptances, total_wh=2_500_000, missing=0, **others):
    settlement = with_acceptance(*(acceptances or (acceptance(),)), **others)
    settlement.receive(asset_day(total_wh, missing=missing), MORNING_AFTER)
    return settlement


def test_one_acceptance_on_two_pairs_worked_by_hand():
    # 6 MW for 28 min net of ramps: 168 MW min = 2.8 MWh. Pair 1 (4 MW) is reached 4/3 min from either end:
    # 120 - 16/3 MW min = 1.91111 MWh at 100; the rest, 0.88889 MWh, is pair 2 at 150: 191.11 + 133.33 GBP.
    # Metered -2.5 MWh, expected -5 + 2.8 = -2.2: 0.3 short. Non-delivery, dearest pair first:
    # 0.3 x (150 - 90) = 18 GBP.
    # Imbalance: -0.3 MWh at 90 = 27 GBP.
    lines = {line.item: line for line in lines_of(settled_acceptance())}
    assert {item: line.amount_gbp_e5 for item, line in lines.items()} == {
        "CO pair +1": 19_111_111,
        "CO pair +2": 13_333_333,
        "QNDO pair +2": -1_800_000,
        "imbalance": -2_700_000,
    }
    assert lines["CO pair +1"].volume_mwh == pytest.approx(1.911111, abs=1e-6)
    assert lines["imbalance"].volume_mwh == pytest.approx(-0.3)
    assert lines["CO pair +1"].payer == lines["imbalance"].payee == "bsc"
    assert lines["CO pair +1"].payee == lines["imbalance"].payer == "aggregator"
    assert {(line.service, line.unit, line.reference) for line in lines.values()} == {
        ("balancing", "_A", "7")
    }


def test_the_journal_learns_fpn_metered_delivered_and_accepted_volume():
    (volume,) = said_by(settled_acceptance(), DeliveredVolume)
    assert (volume.baseline_wh, volume.metered_wh) == (5_000_000, 2_500_000)
    assert (volume.delivered_wh, volume.accepted_wh) == (2_500_000, 2_800_000)
    assert (volume.homes, volume.homes_missing) == (100, 0)


def test_a_unit_metered_at_the_boundary_is_settled_on_its_homes_whole():
    # The worked acceptance again, by 50 homes with two assets each; what the assets' own meters say is idle.
    settlement = Settlement(SettlementSettings(DAY, 3, "boundary", False, RulesInForce(None, ()), "boundary"))
    settlement.receive(registration(np.repeat(np.arange(50), 2), [Service.BALANCING] * 100), 0)
    start, end = FIVE, FIVE + PERIOD_MS
    flat = (Point(start, -10.0), Point(end, -10.0))
    for message in (
        PhysicalNotification("_A", start, end, flat),
        BidOfferData("_A", start, end, PAIRS),
        acceptance(),
        *prices(),
    ):
        settlement.receive(message, FIVE)
    settlement.receive(asset_day(1_000_000), MORNING_AFTER)
    assert not settlement.take_outbox()
    homes_wh = np.zeros((50, 48), np.int32)
    homes_wh[:, FIRST_SP - 1] = 50_000
    settlement.receive(BoundaryReadings(DAY, np.arange(50, dtype=np.int32), homes_wh), MORNING_AFTER)
    (volume,) = said_by(settlement, DeliveredVolume)
    assert (volume.metered_wh, volume.delivered_wh, volume.homes) == (2_500_000, 2_500_000, 50)


def test_exact_delivery_costs_nothing():
    lines = lines_of(settled_acceptance(total_wh=2_200_000))
    assert [line.item for line in lines if line.amount_gbp_e5] == ["CO pair +1", "CO pair +2"]


def test_meters_without_a_reading_count_as_having_followed_the_fpn():
    # 10 of 100 meters are missing: they stand for a tenth of the FPN, 0.5 MWh of import.
    settlement = settled_acceptance(total_wh=1_800_000, missing=10)
    told = settlement.take_outbox()
    (volume,) = [e.message for e in told if isinstance(e.message, DeliveredVolume)]
    assert (volume.metered_wh, volume.homes_missing) == (2_300_000, 10)
    assert [e.message.kind for e in told if isinstance(e.message, Remark)] == ["bm_meters_missing"]


def test_an_acceptance_without_any_readings_is_settled_at_the_deadline_as_not_delivered():
    settlement = with_acceptance(acceptance())
    settlement.on_deadline(settlement.next_deadline_ms())
    (volume,) = [e.message for e in settlement.state.outbox if isinstance(e.message, DeliveredVolume)]
    assert (volume.delivered_wh, volume.homes_missing) == (0, 100)


def test_without_a_system_price_only_cashflows_are_settled_and_it_is_told():
    settlement = settled_acceptance(system_prices=[])
    assert settlement.state.outbox == []
    settlement.on_deadline(settlement.next_deadline_ms())
    told = settlement.take_outbox()
    items = [line.item for e in told if isinstance(e.message, Statement) for line in e.message.lines]
    assert set(items) == {"CO pair +1", "CO pair +2"}
    assert [e.message.kind for e in told if isinstance(e.message, Remark)] == ["no_system_price"]


def test_an_amendment_replaces_and_a_withdrawal_removes():
    changed = acceptance(profile=corners((0, -10), (1, -7), (29, -7), (30, -10)), amendment="UPD")
    (volume,) = said_by(settled_acceptance(acceptance(), changed), DeliveredVolume)
    assert volume.accepted_wh == 3 * 29 * 1_000_000 // 60
    assert settled_acceptance(acceptance(), acceptance(amendment="DEL")).take_outbox() == []


def test_a_withdrawal_after_settlement_takes_everything_back():
    settlement = settled_acceptance()
    before = lines_of(settlement)
    settlement.receive(acceptance(amendment="DEL"), MORNING_AFTER + 1)
    settlement.on_deadline(settlement.next_deadline_ms())
    after = lines_of(settlement)
    assert sum(line.amount_gbp_e5 for line in before + after) == 0
    assert {line.settlement_run for line in after} == {"SF"}


def test_two_acceptances_have_lines_of_their_own():
    later = acceptance(8, corners((10, -4), (12, -2), (26, -2), (28, -4)))
    lines = lines_of(settled_acceptance(acceptance(), later))
    assert {line.reference for line in lines} == {"7", "8", "7+8"}


def test_readings_that_come_while_the_day_lasts_do_not_settle_it():
    settlement = with_acceptance(acceptance())
    settlement.receive(asset_day(2_500_000), day_end_ms(DAY) - 1)
    assert settlement.take_outbox() == []
    settlement.on_deadline(settlement.next_deadline_ms())
    assert len(lines_of(settlement)) == 4


def test_only_periods_that_an_acceptance_reaches_into_are_settled():
    lines = lines_of(settled_acceptance())
    assert {line.start_ms for line in lines} == {FIVE}


def test_an_acceptance_of_a_unit_without_an_fpn_is_told_and_not_settled():
    settlement = settled_acceptance(replace(acceptance(), unit="E_NOTOURS-1"), system_prices=prices())
    told = settlement.take_outbox()
    assert "not_settled" in [e.message.kind for e in told if isinstance(e.message, Remark)]
    assert [line for e in told if isinstance(e.message, Statement) for line in e.message.lines] == []


# ------------------------------------------------------------------------------------------------------- laws


def test_a_day_of_nothing_gives_no_lines():
    settlement = with_acceptance()
    for readings in three_homes_history():
        settlement.receive(readings, 0)
    settlement.receive(delivery_day(), MORNING_AFTER)
    settlement.receive(asset_day(2_500_000), MORNING_AFTER)
    assert settlement.take_outbox() == []


@given(
    total=st.integers(0, 3_000_000),
    level=st.integers(-10, 0),
    price=st.floats(-200, 4000),
    undo=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_money_sums_to_nothing_and_the_aggregator_gets_what_the_lines_say(total, level, price, undo):
    chain = [acceptance(profile=corners((0, -10), (2, level), (28, level), (30, -10)))]
    if undo:
        chain.append(acceptance(8, corners((5, level), (7, -10), (25, -10), (27, level))))
    lines = lines_of(settled_acceptance(*chain, total_wh=total, system_prices=prices(price)))
    balances = balances_gbp_e5(lines)
    assert sum(balances.values()) == 0
    assert balances.get("aggregator", 0) == sum(line.amount_gbp_e5 for line in lines)
    assert all(line.clause and line.payer != line.payee for line in lines)


@given(level=st.integers(-10, 0), metered=st.integers(0, 30_000))
@settings(max_examples=40, deadline=None)
def test_imbalance_is_what_was_delivered_less_what_was_accepted(level, metered):
    profile = corners((0, -10), (2, level), (28, level), (30, -10))
    settlement = settled_acceptance(acceptance(profile=profile), total_wh=100 * metered)
    told = settlement.take_outbox()
    (volume,) = [e.message for e in told if isinstance(e.message, DeliveredVolume)]
    statement, _ = [e.message for e in told if isinstance(e.message, Statement)]
    (imbalance,) = [line for line in statement.lines if line.item == "imbalance"]
    assert imbalance.volume_mwh * 1e6 == pytest.approx(volume.delivered_wh - volume.accepted_wh, abs=1)


def test_readings_are_kept_as_they_came_and_not_copied():
    settlement = party()
    readings = delivery_day()
    settlement.receive(readings, MORNING_AFTER)
    assert settlement.state.boundary[DAY].import_wh is readings.import_wh


def test_readings_older_than_the_look_back_are_forgotten():
    settlement = party()
    for step in range(70):
        settlement.receive(boundary(DAY + timedelta(days=step), [1]), 0)
    assert len(settlement.state.boundary) == 61


def test_readings_of_the_wrong_shape_are_refused():
    settlement = party()
    settlement.receive(BoundaryReadings(DAY, THREE, np.zeros((3, 46), np.int16)), 0)
    assert [remark.kind for remark in said_by(settlement, Remark)] == ["readings_refused"]
    assert settlement.state.boundary == {}


# ---------------------------------------------------------------------------------------------------- volumes


def test_places_finds_meters_in_any_order_and_tells_those_that_are_not_there():
    assert places(column(5, 2, 9), column(2, 5, 7)).tolist() == [1, 0, NOT_THERE]
    assert places(column(5, 2, 9), column(7, 5, 2)).tolist() == [1, 2, NOT_THERE]
    assert places(column(5), column()).tolist() == [NOT_THERE]


def test_a_units_volume_does_not_depend_on_the_order_of_homes_nor_on_chunks():
    count = CHUNK + 100
    homes = np.arange(count, dtype=np.int32)
    days = [*working_days_before(DAY, 10), DAY]
    pattern = (homes[:, None] * 7 + np.arange(48)[None, :] * 13) % 800
    readings = {day: DayReadings(homes, (pattern + place).astype(np.int16)) for place, day in enumerate(days)}
    block = Block(DAY, FIRST_SP, 2, False, "net")
    whole = block_volume(homes, block, readings, frozenset())
    turned = block_volume(homes[::-1].copy(), block, readings, frozenset())
    # Ten days of pattern + 0 .. 9 have the mean pattern + 4.5; the day itself is pattern + 10.
    assert whole.delivered_wh.tolist() == turned.delivered_wh.tolist() == [round(-5.5 * count)] * 2


def test_missing_rows_are_counted_and_left_out_of_a_units_sum():
    readings = DayReadings(column(0, 1), np.array([[5, MISSING_WH], [7, 8]], dtype=np.int16))
    found = unit_import(column(0, 1, 2), readings, 2)
    assert found.import_wh.tolist() == [12, 8]
    assert found.missing.tolist() == [1, 2]
    assert unit_import(column(0, 1), None, 2).missing.tolist() == [2, 2]


def test_an_event_across_midnight_is_settled_on_both_days():
    late, _ = period_bounds_ms(DAY, 48)
    settlement = with_event(party(), accepted(start=late))
    settlement.receive(boundary(DAY, [0, 0, 0]), MORNING_AFTER)
    first = said_by(settlement, DeliveredVolume)
    settlement.receive(boundary(DAY + timedelta(days=1), [0, 0, 0]), MORNING_AFTER + 48 * PERIOD_MS)
    second = said_by(settlement, DeliveredVolume)
    assert [volume.start_ms for volume in first] == [late]
    assert [volume.start_ms for volume in second] == [late + PERIOD_MS]


# ------------------------------------------------------------------------------------- who leaves a unit


def left(rows, day=DAY, kind=Change.WITHDRAWN):
    """Assets that left their unit (or joined it) at 16:00 of a day."""
    rows = column(*rows)
    effective_ms = np.full(len(rows), day_start_ms(day) + 16 * 60 * MINUTE_MS, np.int64)
    return RegistryChange(kind, rows, effective_ms, np.full(len(rows), -1, np.int32), "change of supplier")


def volumes_without(*changes, services=(Service.DFS,) * 3, **how):
    """What three homes deliver of whom some leave: asset k is that of home k."""
    settlement = with_event(party(**how))
    settlement.receive(registration([0, 1, 2], services), 0)
    for change in changes:
        settlement.receive(change, MORNING_AFTER - 1)
    settlement.receive(delivery_day(), MORNING_AFTER)
    return [(volume.homes, volume.delivered_wh) for volume in said_by(settlement, DeliveredVolume)]


def test_a_home_that_left_is_not_settled_from_the_day_of_the_change_on():
    # A delivers 500 and 600 Wh, B -200 and 0 (see above); R48.
    day_before, day_after = DAY - timedelta(days=1), DAY + timedelta(days=1)
    assert volumes_without() == [(3, 300), (3, 600)]
    assert volumes_without(left([0])) == volumes_without(left([0], day_before)) == [(2, -200), (2, 0)]
    assert volumes_without(left([0], day_after)) == [(3, 300), (3, 600)]


def test_a_home_that_came_back_is_settled_again():
    gone, back = left([0, 1], DAY - timedelta(days=3)), left([0], DAY, Change.ENROLLED)
    assert volumes_without(gone, back) == [(2, 500), (2, 600)]


def test_an_asset_of_another_service_takes_no_home_out_of_a_dfs_unit():
    services = (Service.BALANCING, Service.DFS, Service.DFS)
    assert volumes_without(left([0]), services=services) == [(3, 300), (3, 600)]


def test_a_bm_unit_is_the_sum_of_the_meters_that_are_left():
    volumes = []
    for change in (None, left(range(50))):
        settlement = with_acceptance(acceptance())
        if change is not None:
            settlement.receive(change, MORNING_AFTER - 1)
        settlement.receive(asset_day(2_000_000), MORNING_AFTER)
        volumes.append(said_by(settlement, DeliveredVolume)[0])
    assert [volume.homes for volume in volumes] == [100, 50]
    assert volumes[1].metered_wh * 2 == volumes[0].metered_wh


def test_a_deallocated_mpan_is_rejected_and_the_aggregator_told_why():
    settlement = with_event(party())
    settlement.receive(registration([0, 1, 2], [Service.DFS] * 3), 0)
    settlement.take_outbox()
    settlement.receive(left([0], kind=Change.DEALLOCATED), MORNING_AFTER - 1)
    (told,), (remark,) = (
        [e.message for e in settlement.state.outbox if isinstance(e.message, kind)]
        for kind in (RegistryChange, Remark)
    )
    assert (told.kind, told.rows.tolist(), told.reason) == (Change.DEALLOCATED, [0], "change of supplier")
    assert (remark.kind, remark.detail) == ("msid_rejected", f"1 assets from {DAY} on: change of supplier")
