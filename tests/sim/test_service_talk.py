"""The talk about further services is written down whole: one event each, and the levels that were told."""

from datetime import date

import pytest

from protocol import messages
from protocol.messages import (
    CapacityNotice,
    ServiceAward,
    ServiceDispatch,
    ServiceNomination,
    ServiceOffer,
    WholesaleTrade,
)
from sim.journal import Journal
from sim.run_folder import NONE
from sim.service_talk import SERVICE_TALK, binding, told_of

START_MS = 1_706_115_600_000
HALF_HOUR_MS = 1_800_000
AWARD = ServiceAward(
    "secure", "O1", "E1", "SECURE-_A/cmz00", True, "", START_MS, START_MS + 2 * HALF_HOUR_MS, (1.0, 1.5),
    300.0, 5.0, False,
)  # fmt: skip
NOT_WRITTEN = {"ServiceConsents", "ServiceMetering"}
"""What customers consented to is in the devices; minutes are many, and the second sums are in the record."""


def test_all_talk_about_services_is_written_down():
    said = {name for name in vars(messages) if name.startswith(("Service", "Wholesale", "Capacity"))}
    assert said - {"Service"} - NOT_WRITTEN == {each.__name__ for each in SERVICE_TALK}


def test_an_offer_has_no_moments_and_an_award_has():
    offer = told_of(ServiceOffer("secure", "O1", "E1", "U", (1.0, 1.5), 300.0, 5.0))
    assert (offer.who, offer.what, offer.at_ms) == ("aggregator", "bid", (NONE, NONE))
    award = told_of(AWARD)
    assert (award.who, award.what) == ("dso", "accepted")
    assert award.at_ms == (START_MS, START_MS + HALF_HOUR_MS)
    assert award.detail == "SECURE-_A/cmz00: 1/1.5 MW at 300 GBP/MWh accepted"


def test_a_start_has_levels_and_a_stop_has_none():
    start = ServiceDispatch("secure", "D1", "O1", "U", "start", START_MS, START_MS + HALF_HOUR_MS, -2.0)
    assert told_of(start).level_mw == (-2.0, -2.0)
    assert told_of(start).detail == "U: start, 2 MW more"
    stop = ServiceDispatch("secure", "D2", "O1", "U", "emergency_stop", START_MS, START_MS, 0.0)
    assert (told_of(stop).level_mw, told_of(stop).detail) == ((), "U: emergency stop")


def test_an_hour_sold_is_told_in_megawatts():
    trade = WholesaleTrade(
        "T1", "W", "day_ahead_hourly", START_MS, START_MS + 2 * HALF_HOUR_MS, 0.5, 90.0, ""
    )
    assert told_of(trade).level_mw == (0.5,)
    nothing = WholesaleTrade("T1", "W", "intraday", START_MS, START_MS + HALF_HOUR_MS, 0.0, 0.0, "after gate")
    assert told_of(nothing).what == "refused"
    assert "after gate" in told_of(nothing).detail


def test_a_nomination_is_import_by_period():
    told = told_of(ServiceNomination("tcm", "TCM-_P01", date(2024, 3, 31), (500_000,) * 46))
    assert len(told.at_ms) == 46
    assert set(told.level_mw) == {1.0}


@pytest.mark.parametrize("message", [AWARD, CapacityNotice("N1", 0, 1, 2, 0.5, stressed=True)])
def test_the_journal_keeps_the_event(message):
    journal = Journal()
    journal.receive(message, 7)
    ((at_ms, kind, _who, _subject, _detail),) = journal.state.events.rows
    assert (at_ms, kind) == (7, told_of(message).kind)


def test_what_settlement_goes_by_is_told_apart():
    journal = Journal()
    journal.bind(AWARD, 9)
    assert {row[5] for row in journal.state.market_levels.rows} == {"binding"}
    assert not journal.state.events.rows
    assert binding(AWARD).level_mw == AWARD.turn_down_mw
