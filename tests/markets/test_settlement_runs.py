"""Runs of the calendar: made on their days with what is there by then, and restated when more has come."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

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
    DeliveredVolume,
    DfsResult,
    DfsUnitRegistration,
    PhysicalNotification,
    Point,
    Remark,
    Service,
    ServiceAward,
    ServiceUnit,
    SettlementRunMade,
    Statement,
    SystemPrice,
)
from protocol.party import NEVER_MS
from protocol.periods import (
    MINUTE_MS,
    PERIOD_MS,
    day_end_ms,
    day_start_ms,
    local_clock_ms,
    period_bounds_ms,
    period_count,
)
from protocol.settlement_calendar import timetable

DAY = date(2024, 1, 18)  # a Thursday; DFS edition 2023/24: no in-day adjustment, delivered x price
SHORT_DAY, LONG_DAY = date(2024, 3, 31), date(2024, 10, 27)
LONDON = ZoneInfo("Europe/London")
SP = 35


def party(day=DAY, *, disputed=False, metering="boundary", **rules):
    told = RulesInForce(None, tuple(("bsc", name, value) for name, value in rules.items()))
    days = frozenset({day} if disputed else ())
    return Settlement(SettlementSettings(day, 3, metering, False, told, "asset", True, days))


def column(*values):
    return np.array(values, np.int32)


class Office:
    """A settlement party, driven from deadline to deadline; keeps what was said to whom, and when."""

    def __init__(self, settlement):
        self.settlement = settlement
        self.said = []

    def hear(self, message, at_ms):
        self.until(at_ms)
        self.settlement.receive(message, at_ms)
        self._take(at_ms)

    def until(self, until_ms=NEVER_MS - 1):
        while (due_ms := self.settlement.next_deadline_ms()) <= until_ms:
            self.settlement.on_deadline(due_ms)
            self._take(due_ms)
        return self

    def _take(self, at_ms):
        self.said += [(at_ms, item.to, item.message) for item in self.settlement.take_outbox()]

    def told(self, kind):
        return [message for _, to, message in self.said if to == "journal" and isinstance(message, kind)]

    def runs(self):
        return {made.settlement_run: made for made in self.told(SettlementRunMade)}

    def pounds(self):
        return {run: made.total_gbp_e5 / 1e5 for run, made in self.runs().items()}


def morning(day, after=1):
    return local_clock_ms(day + timedelta(days=after), 8)


# ------------------------------------------------------------------------------------------------------ DFS

HOMES = column(0, 1, 2)


def home_days(day, wh, homes=HOMES):
    return BoundaryReadings(day, homes, np.full((len(homes), period_count(day)), wh, np.int16))


def working_days_before(day, count):
    days = (day - timedelta(days=step) for step in range(1, 60))
    return [one for one in days if one.weekday() < 5][:count]


def an_event(come=(1, 1, 1), *, used_wh=(100, 100, 100), settlement=None):
    """Three homes of 600 Wh a period are asked for 1 MW in periods 35 and 36, at 3000 GBP/MWh.

    `come`: how many days later each home's readings come; None: never.
    """
    office = Office(settlement or party())
    start_ms = day_start_ms(DAY)
    office.hear(DfsUnitRegistration("U", HOMES, True), start_ms)
    for day in working_days_before(DAY, 10):
        office.hear(home_days(day, 600), start_ms)
    five_ms = period_bounds_ms(DAY, SP)[0]
    result = DfsResult("B1", "E1", "U", True, "", five_ms, five_ms + 2 * PERIOD_MS, (1.0, 1.0), 3000.0)
    office.hear(result, start_ms + 1)
    days = home_days(DAY, 600)
    for home, wh in enumerate(used_wh):
        days.import_wh[home, SP - 1 : SP + 1] = wh
    first = np.where(np.array([after != 1 for after in come])[:, None], MISSING_WH, days.import_wh)
    office.hear(BoundaryReadings(DAY, HOMES, first.astype(np.int16)), morning(DAY))
    for home, after in sorted(((h, a) for h, a in enumerate(come) if a and a > 1), key=lambda item: item[1]):
        office.hear(BoundaryReadings(DAY, column(home), days.import_wh[[home]]), morning(DAY, after))
    return office.until()


def test_a_day_has_its_six_runs_on_the_days_of_the_timetable_and_none_before():
    office = an_event()
    wanted = timetable(DAY, RulesInForce(None, ()).book("bsc", DAY))
    assert [(made.settlement_run, made.day) for made in office.told(SettlementRunMade)] == [
        (item.run, DAY) for item in wanted
    ]
    noon = {
        datetime.fromtimestamp(at_ms / 1000, LONDON)
        for at_ms, _, said in office.said
        if isinstance(said, Statement)
    }
    assert noon == {datetime(item.on.year, item.on.month, item.on.day, 12, tzinfo=LONDON) for item in wanted}


def test_a_disputed_day_has_a_post_final_run_too():
    assert list(an_event(settlement=party(disputed=True)).runs()) == [
        "II",
        "SF",
        "R1",
        "R2",
        "R3",
        "RF",
        "DF",
    ]


def test_under_mhhs_there_is_one_interim_run_and_the_last_after_four_months():
    runs = an_event(settlement=party(settlement_timetable="mhhs")).runs()
    assert list(runs) == ["II", "SF", "R1", "RF"]
    assert runs["RF"].published_ms == local_clock_ms(date(2024, 5, 20), 12)  # 18 May 2024 is a Saturday


def test_three_homes_that_are_in_time_earn_the_same_at_every_run():
    # 3 homes x 500 Wh x 2 periods = 3 kWh at 3000 GBP/MWh
    assert set(an_event().pounds().values()) == {9.0}


def test_a_home_that_comes_after_r1_earns_from_r2_on():
    # R1 of 18 January is made on 13 March 2024, R2 on 20 May: day 70 is 28 March.
    pounds = an_event((1, 1, 70)).pounds()
    assert pounds == {"II": 6.0, "SF": 6.0, "R1": 6.0, "R2": 9.0, "R3": 9.0, "RF": 9.0}


def test_a_home_that_never_comes_never_earns_and_is_told_of():
    office = an_event((1, 1, None))
    assert set(office.pounds().values()) == {6.0}
    assert [made.meters_on_actuals for made in office.told(SettlementRunMade)] == [2] * 6
    assert {volume.homes_missing for volume in office.told(DeliveredVolume)} == {1}


def test_a_home_that_used_more_takes_money_back():
    # The late home used 1,000 Wh where 600 were its baseline: 800 Wh of 2,000 are taken back.
    office = an_event((1, 1, 20), used_wh=(100, 100, 1000))
    assert office.pounds()["II"] == 6.0
    assert office.pounds()["SF"] == pytest.approx(6.0 - 0.8 * 3)
    assert office.runs()["SF"].change_gbp_e5 == -240_000


def test_all_runs_together_add_up_to_the_latest_and_money_to_nothing():
    office = an_event((1, 9, 70), used_wh=(100, 300, 1000))
    lines = [line for statement in office.told(Statement) for line in statement.lines]
    assert sum(line.amount_gbp_e5 for line in lines) == office.runs()["RF"].total_gbp_e5
    assert sum(balances_gbp_e5(lines).values()) == 0
    changes = [made.change_gbp_e5 for made in office.told(SettlementRunMade)]
    assert sum(changes) == office.runs()["RF"].total_gbp_e5
    assert len(set(office.pounds().values())) == 3


def test_what_was_published_stays_as_it_was():
    early, late = an_event((1, 1, None)), an_event((1, 1, 70))
    published = [
        [message for at_ms, to, message in office.said if isinstance(message, Statement)][:3]
        for office in (early, late)
    ]
    for one, other in zip(*published, strict=True):
        assert one.lines == other.lines


@pytest.mark.parametrize(("after", "run"), [(6, "II"), (7, "SF")])
def test_a_reading_is_used_by_a_run_when_it_is_in_by_the_cut_off(after, run):
    # II of Thursday 18 January is made on Thursday the 25th with what is in by the end of Wednesday the 24th.
    pounds = an_event((1, 1, after)).pounds()
    assert next(name for name, gbp in pounds.items() if gbp == 9.0) == run


def test_remarks_come_with_the_run_that_they_are_of():
    office = an_event((1, 1, None))
    remarks = [(at_ms, said.at_ms) for at_ms, _, said in office.said if isinstance(said, Remark)]
    assert len(remarks) == 6
    assert all(at_ms == told_ms for at_ms, told_ms in remarks)


def test_easter_puts_off_the_initial_run():
    """SF is the 16th working day after Thursday 21 March 2024, counted without 29 March and 1 April."""
    settlement = party(date(2024, 3, 21))
    settlement.state.open_days[date(2024, 3, 21)] = True
    office = Office(settlement).until()
    days = {run: made.published_ms for run, made in office.runs().items()}
    assert days["II"] == local_clock_ms(date(2024, 3, 28), 12)
    assert days["SF"] == local_clock_ms(date(2024, 4, 16), 12)


# ------------------------------------------------------------------------------------------------------- BM

ROWS = 3


def assets(technology=(1, 1, 1), rating_w=(7000, 7000, 7000)):
    many = np.zeros(ROWS, np.int32)
    return AssetRegistration(
        home=np.arange(ROWS, dtype=np.int32), mpan=many.astype(np.int64), unit=many.astype(np.int16),
        gsp=many.astype(np.int16), route=many.astype(np.int8),
        service=np.full(ROWS, Service.BALANCING, np.int8), rating_w=column(*rating_w), battery_wh=many,
        target_pct=many.astype(np.int8), ready_by_minute=many.astype(np.int16), report_every_s=many,
        soc_known=many.astype(np.int8), hh_metered=many.astype(np.int8),
        technology=np.array(technology, np.int8), unit_names=("_C",), gsp_names=("g",), route_names=("r",),
    )  # fmt: skip


def asset_days(day, wh):
    import_wh = np.repeat(np.array(wh, np.int16)[:, None], period_count(day), axis=1)
    return AssetReadings(day, np.arange(ROWS, dtype=np.int32), import_wh)


def an_acceptance(day=DAY, first=(1000, 1000, 1000), later=(), history=(), lived_on=0, **registered):
    """A unit notified at -2 MW and accepted at -1 MW in period 40; readings of its three assets as they come.

    `later`: (days after, readings). `lived_on`: days after whose own readings come too.
    """
    office = Office(party(day))
    start_ms, end_ms = period_bounds_ms(day, 40)
    office.hear(assets(**registered), day_start_ms(day))
    for on, wh in history:
        office.hear(asset_days(on, wh), day_start_ms(day))
    flat = (Point(start_ms, -2.0), Point(end_ms, -2.0))
    level = (Point(start_ms, -1.0), Point(end_ms, -1.0))
    gate_ms, told_ms = start_ms - 60 * MINUTE_MS, start_ms - 5 * MINUTE_MS
    office.hear(PhysicalNotification("_C", start_ms, end_ms, flat), gate_ms)
    office.hear(BidOfferData("_C", start_ms, end_ms, (BidOfferPair(1, 1.0, 150.0, 20.0),)), gate_ms)
    office.hear(BidOfferAcceptance("_C", 1, told_ms, level, False, "ORI"), told_ms)
    office.hear(SystemPrice(start_ms, 70.0, 0.0), end_ms + MINUTE_MS)
    office.hear(asset_days(day, first), morning(day))
    for after, wh in later:
        office.hear(asset_days(day, wh), morning(day, after))
    if lived_on:
        office.hear(asset_days(day + timedelta(days=lived_on), (0, 0, 0)), morning(day, lived_on + 1))
    return office.until()


def metered_wh(office):
    return [volume.metered_wh for volume in office.told(DeliveredVolume)]


def test_an_estimate_counts_until_the_actual_replaces_it():
    history = [(day, (1000, 1000, 400)) for day in working_days_before(DAY, 3)]
    office = an_acceptance(
        first=(1000, 1000, MISSING_WH), later=[(70, (MISSING_WH, MISSING_WH, 900))], history=history
    )
    assert metered_wh(office) == [2400, 2400, 2400, 2900, 2900, 2900]
    assert [made.meters_on_own_history for made in office.told(SettlementRunMade)] == [1, 1, 1, 0, 0, 0]
    shares = [made.actual_wh / made.metered_wh for made in office.told(SettlementRunMade)]
    assert shares == pytest.approx([2000 / 2400] * 3 + [1.0] * 3)


def test_without_history_the_class_stands_in_by_size():
    office = an_acceptance(first=(1000, 500, MISSING_WH), rating_w=(7000, 7000, 3500))
    assert metered_wh(office)[0] == 1875  # 1500 Wh of 14 kW, for 3.5 kW: 375 Wh
    assert office.runs()["II"].meters_on_class_profile == 1


def test_what_nobody_can_estimate_has_its_share_of_the_fpn_and_is_told_of():
    office = an_acceptance(first=(MISSING_WH,) * 3)
    assert metered_wh(office)[0] == 1_000_000  # the FPN: 2 MW for half an hour
    assert office.runs()["II"].meters_unknown == 3
    assert any(remark.kind == "bm_meters_missing" for remark in office.told(Remark))


@pytest.mark.parametrize("day", [SHORT_DAY, LONG_DAY])
def test_a_day_of_46_or_50_periods_is_estimated_and_settled(day):
    sundays = [(day - timedelta(days=7 * week), (1000, 1000, 400)) for week in (1, 2)]
    office = an_acceptance(day, first=(1000, 1000, MISSING_WH), history=sundays)
    assert metered_wh(office) == [2400] * 6
    assert len(office.runs()) == 6


def test_meters_of_further_services_count_towards_the_share_on_actuals():
    office = Office(party())
    start_ms, end_ms = period_bounds_ms(DAY, 40)
    office.hear(assets(), day_start_ms(DAY))
    office.hear(ServiceUnit("tcm", "TCM-g", "g", column(0, 2), 0.01), day_start_ms(DAY))
    award = ServiceAward(
        "tcm", "O1", "TCM-001", "TCM-g", True, "", start_ms, end_ms, (0.01,), 100.0, 0.0, scheduled=True
    )
    office.hear(award, day_start_ms(DAY) + 1)
    office.hear(asset_days(DAY, (1000, 1000, MISSING_WH)), morning(DAY))
    office.hear(asset_days(DAY, (MISSING_WH, MISSING_WH, 600)), morning(DAY, 30))
    office.until()
    on_actuals = [(made.meters_on_actuals, made.meters) for made in office.told(SettlementRunMade)]
    assert on_actuals == [(1, 2), (1, 2), (2, 2), (2, 2), (2, 2), (2, 2)]


def test_a_doubled_or_empty_delivery_replaces_nothing():
    office = an_acceptance(first=(1000, 1000, 400), later=[(3, (1000, 1000, 400)), (4, (MISSING_WH,) * 3)])
    assert metered_wh(office) == [2400] * 6


def test_a_corrected_actual_replaces_the_earlier_one():
    office = an_acceptance(later=[(30, (MISSING_WH, MISSING_WH, 700))])
    assert metered_wh(office) == [3000, 3000, 2700, 2700, 2700, 2700]


def test_a_day_is_kept_until_its_last_run_however_long_the_run_lives_on():
    assert metered_wh(an_acceptance(lived_on=70)) == [3000] * 6


def test_nothing_is_settled_by_data_under_the_calendar():
    office = an_event()
    first_ms = min(at_ms for at_ms, _, said in office.said if isinstance(said, Statement))
    assert first_ms > day_end_ms(DAY) + 4 * 24 * 60 * MINUTE_MS


def test_settings_without_the_calendar_stay_as_they_were():
    office = an_event(settlement=Settlement(replace(party().settings, calendar=False)))
    assert [line.settlement_run for statement in office.told(Statement) for line in statement.lines] == [
        "II",
        "II",
    ]
    assert office.told(SettlementRunMade) == []
