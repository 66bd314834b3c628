"""Worlds of the storm can be lived, and the laws that it reads off their tables can be broken."""

from datetime import date

import pyarrow as pa
import pytest

from sim.scenario_checks import findings
from sim.tables import TABLES
from studies.storm import make_world
from studies.storm_laws import broken_laws

SEEDS = range(1, 61)
OFFER = ("service_offer", "aggregator", "E1", "SECURE-_A/cmz00: 1 MW at 100 GBP/MWh")
AWARD = ("service_award", "dso", "E1", "SECURE-_A/cmz00: 1 MW at 100 GBP/MWh accepted")


class Tables:
    """A run folder that holds three tables."""

    def __init__(self, events=(), levels=(), ledger=()):
        self._rows = {
            "events": [dict(zip(("kind", "who", "subject", "detail"), each, strict=True)) for each in events],
            "market_levels": [
                dict(zip(("service", "what", "telling"), each, strict=True)) for each in levels
            ],
            "instructions": [{"instruction_id": each} for each in ledger],
        }

    def table(self, name, columns):
        assert all(TABLES[name].column(column).kind == "word" for column in columns)
        rows = self._rows[name]
        return pa.table({column: pa.array([row[column] for row in rows], pa.string()) for column in columns})


def laws(**tables):
    return [told.split(": ")[1] for told in broken_laws(Tables(**tables))]


def test_every_world_fits_together():
    wrong = [(seed, found) for seed in SEEDS for found in findings(make_world(seed)) if found.code[0] == "S"]
    assert not wrong


def test_some_worlds_trade_further_services_and_some_do_not():
    bought = [
        name
        for world in map(make_world, SEEDS)
        for name in ("sustain", "sustain_h", "secure", "dynamic", "restore")
        if getattr(world.markets.local, name).share
    ]
    assert len(set(bought)) == 5
    assert any(make_world(seed).clock.start < date(2025, 1, 1) for seed in SEEDS)


def test_a_run_that_answers_and_follows_everything_breaks_no_law():
    levels = [("sustain", "accepted", "O1"), ("secure", "accepted", "O2"), ("secure", "refused", "O3")]
    called = ("service_dispatch", "dso", "D1", "SECURE-_A/cmz00: start, 1 MW less")
    assert laws(events=[OFFER, AWARD, called], levels=levels, ledger=["O1", "D1"]) == []


@pytest.mark.parametrize("events", [[OFFER], [OFFER, AWARD, AWARD], [AWARD]])
def test_an_offer_that_is_not_answered_once_breaks_a_law(events):
    assert laws(events=events) == ["answered_once"]


def test_a_market_that_sends_answers_again_owes_one_all_the_same():
    fault = ("fault_duplicate", "dso", "", "award of O1")
    assert laws(events=[fault, OFFER, AWARD, AWARD]) == []
    assert laws(events=[fault, OFFER]) == ["answered_once"]
    devices = ("fault_bursts", "scenario", "", "evcp_4g")
    assert laws(events=[devices, OFFER, AWARD, AWARD]) == ["answered_once"]


def test_an_award_or_a_call_without_an_entry_in_the_ledger_breaks_a_law():
    assert laws(levels=[("tcm", "accepted", "O1")]) == ["awards_are_followed"]
    called = ("service_dispatch", "dso", "D1", "LCM-_P00: start, 1 MW more")
    assert laws(events=[called]) == ["calls_are_followed"]


def test_what_was_paid_twice_breaks_a_law():
    assert laws(events=[("paid_more_than_measured", "settlement", "", "two Wh of one")]) == [
        "paid_more_than_measured"
    ]
