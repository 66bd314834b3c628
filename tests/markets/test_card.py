"""The card: what every mock market must pass, one number per demand."""

import json
from datetime import date, timedelta

import numpy as np
import pytest

from markets.balancing import BalancingMarket
from markets.capacity_market import CapacityMarket
from markets.capacity_settings import CapacityNoticeScript, CapacitySettings
from markets.constraint_market import ConstraintMarket
from markets.dfs import DfsMarket
from markets.dso import DistributionOperator
from markets.exchange import Exchange
from markets.procurement_settings import ProcurementSettings, ServiceCall, ServiceEventScript, Sites
from markets.settings import (
    FAULT_KINDS,
    AcceptanceScript,
    BalancingSettings,
    DfsEventScript,
    DfsSettings,
    ExchangeSettings,
    FaultPlan,
    FaultShares,
    NeedSeries,
    PricedBlock,
    RulesInForce,
    SettlementSettings,
    TradingSettings,
)
from markets.settlement import Settlement
from protocol.codec import Reader, Writer
from protocol.messages import (
    AcceptanceResponse,
    AssetReadings,
    BidOfferAcceptance,
    BidOfferData,
    BidOfferPair,
    BoundaryReadings,
    DfsBid,
    DfsResult,
    DfsUnitRegistration,
    ExportLimits,
    Message,
    OperationalMetering,
    PhysicalNotification,
    Point,
    Polls,
    Remark,
    ServiceDispatchAnswer,
    ServiceMetering,
    ServiceOffer,
    ServiceUnit,
    SystemPrice,
    UnitDynamics,
    WholesaleOrder,
)
from protocol.party import NEVER_MS
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, day_start_ms
from protocol.products import Product

DAY = date(2024, 1, 18)
START = day_start_ms(DAY)
FIVE = START + 17 * HOUR_MS
RULES = RulesInForce(None, ())


def homes():
    """A fresh array each time: a checkpoint writes a shared one only once."""
    return np.arange(3, dtype=np.int32)


def plan(share=0.5):
    """Every kind of fault happens in half its share; the numbers differ from occasion to occasion."""
    draws = (np.arange(400)[:, None] * 0.37 + np.arange(len(FAULT_KINDS)) * 0.61) % 1.0
    return FaultPlan(FaultShares(*[share] * len(FAULT_KINDS)), draws)


def dfs():
    event = DfsEventScript("E1", FIVE, FIVE + HOUR_MS, 10.0, None, False, None, FIVE - HOUR_MS)
    return DfsMarket(DfsSettings(START, (event,), (PricedBlock(500.0, 5.0),), RULES, plan()))


def balancing():
    scripts = tuple(
        AcceptanceScript("_A", FIVE + n * HOUR_MS, FIVE + (n + 1) * HOUR_MS, 6.0, None, None)
        for n in range(4)
    )
    need = NeedSeries(np.full(48, 5.0), (PricedBlock(90.0, 2.0),), ())
    return BalancingMarket(
        BalancingSettings(
            START, START + 48 * PERIOD_MS, ("_A",), scripts, need, RULES, plan(), "relaxed_2024"
        )
    )


def exchange():
    auctions = ("day_ahead_half_hourly", "intraday")
    rules = RulesInForce(date(2026, 1, 20), ())
    trading = TradingSettings(auctions, "n2ex", np.arange(96.0), np.arange(96.0), 2.0, 0.4, None, rules)
    days = (DAY, DAY + timedelta(days=1))
    return Exchange(ExchangeSettings(days, np.arange(96.0), np.arange(96.0), np.arange(96.0), trading))


def settlement():
    return Settlement(SettlementSettings(DAY, 2, "boundary", False, RULES))


def capacity():
    notice = CapacityNoticeScript("N1", FIVE - 4 * HOUR_MS, FIVE, FIVE + HOUR_MS, 1.0, True, FIVE - HOUR_MS)
    return CapacityMarket(CapacitySettings(START, (notice,), RULES, plan()))


def flat(start):
    return (Point(start, -20.0), Point(start + PERIOD_MS, -20.0))


def bm_data():
    yield START, UnitDynamics("_A", 4.0, 6.0, 2, 2, 0)
    for start in range(START + 4 * PERIOD_MS, START + 48 * PERIOD_MS, PERIOD_MS):
        yield START, PhysicalNotification("_A", start, start + PERIOD_MS, flat(start))
        yield START, BidOfferData("_A", start, start + PERIOD_MS, (BidOfferPair(1, 9.0, 80.0, 10.0),))
    yield START, ExportLimits("_A", 1, START, START + 48 * PERIOD_MS, 0.0, -40.0)
    yield FIVE - 2 * MINUTE_MS + 1, AcceptanceResponse("_A", 30, True, "")
    yield FIVE, OperationalMetering(("_A",), FIVE - 60_000, np.zeros((1, 60), np.int64))


def settlement_data():
    for start in (FIVE, FIVE + PERIOD_MS):
        yield START, PhysicalNotification("_A", start, start + PERIOD_MS, flat(start))
        yield START, SystemPrice(start, 90.0, 0.0)
    profile = (Point(FIVE, -20.0), Point(FIVE + MINUTE_MS, -10.0), Point(FIVE + PERIOD_MS, -20.0))
    yield START, DfsUnitRegistration("U", homes(), True)
    yield START, DfsResult("B1", "E1", "U", True, "", FIVE, FIVE + HOUR_MS, (1.0, 1.0), 100.0)
    yield FIVE, BidOfferAcceptance("_A", 1, FIVE, profile, False, "ORI")
    yield START + 30 * HOUR_MS, BoundaryReadings(DAY, homes(), np.ones((3, 48), np.int16))
    yield START + 30 * HOUR_MS, AssetReadings(DAY, homes(), np.ones((3, 48), np.int16))


def dfs_data():
    yield START, DfsUnitRegistration("U", homes(), True)
    yield START + MINUTE_MS, DfsBid("B1", "E1", "U", (5.0, 5.0), 100.0)


def capacity_data():
    yield START, ServiceUnit("capacity_market", "CAPACITY_MARKET-001", "national", homes(), 2.0)


def exchange_data():
    yield START, ServiceUnit("wholesale", "W", "_A", homes(), 1.0)
    tomorrow = FIVE + 48 * PERIOD_MS
    for name, auction, start in (("D", "day_ahead_half_hourly", tomorrow), ("I", "intraday", FIVE)):
        yield START + 1, WholesaleOrder(name, "W", auction, start, start + PERIOD_MS, 0.15, 20.0)
        yield START + 2, WholesaleOrder(name + "2", "W", auction, start, start + PERIOD_MS, 0.1, 30.0)
        yield START + 3, WholesaleOrder(name + "3", "W", auction, start, start + PERIOD_MS, 0.01, 30.0)


def asked(product, mw, name):
    """One event of a service from five to seven, called once, emergency-stopped before its end."""
    end = FIVE + 2 * HOUR_MS
    call = ServiceCall(FIVE, end, emergency_ms=FIVE + HOUR_MS)
    return ServiceEventScript(Product(product), name, "_P00", FIVE, end, mw, 300.0, None, (call,))


def procurement(*events):
    sites = Sites(("_P00",), np.zeros(9, np.int16))
    return ProcurementSettings(START, events, sites, RULES, plan(), None, np.empty(0, np.int32))


def dso():
    return DistributionOperator(procurement(asked("restore", 2.0, "E1"), asked("sustain", 2.0, "E2")))


def constraint_market():
    return ConstraintMarket(procurement(asked("lcm", -2.0, "E1"), asked("tcm", 2.0, "E2")))


def offered(product, event, mw, at_ms):
    yield START, ServiceUnit(product, product, "_P00", homes(), 5.0)
    yield at_ms, ServiceOffer(product, f"O-{event}", event, product, (mw,) * 4, 100.0, 0.0)
    yield FIVE - MINUTE_MS, ServiceDispatchAnswer(product, f"{event}-1-{product}", product, True, "")
    yield FIVE + 2 * HOUR_MS, ServiceMetering(product, product, FIVE, (1000,) * 120)


def dso_data():
    yield from offered("restore", "E1", 1.0, FIVE - 25 * MINUTE_MS)
    yield from offered("sustain", "E2", 1.0, START + 30 * MINUTE_MS)


def constraint_data():
    yield from offered("lcm", "E1", -1.0, START + 30 * MINUTE_MS)
    yield from offered("tcm", "E2", 2.0, START + 30 * MINUTE_MS)


MARKETS = {
    "dso": (dso, dso_data),
    "constraint_market": (constraint_market, constraint_data),
    "capacity_market": (capacity, capacity_data),
    "dfs": (dfs, dfs_data),
    "balancing": (balancing, bm_data),
    "exchange": (exchange, exchange_data),
    "settlement": (settlement, settlement_data),
}
every_market = pytest.mark.parametrize("name", MARKETS)


def written(value):
    """The value as a checkpoint would hold it: tree as text, arrays beside it."""
    writer = Writer()
    tree = json.dumps(writer.encode(value))
    return tree, [array.copy() for array in writer.arrays]


def same(one, other):
    arrays = zip(one[1], other[1], strict=True)
    return one[0] == other[0] and all(np.array_equal(mine, theirs) for mine, theirs in arrays)


def alike(one, other):
    """Whether two lists of (time, to, message) are the same, arrays included."""
    return len(one) == len(other) and all(
        same(written(mine), written(theirs)) for mine, theirs in zip(one, other, strict=True)
    )


def restored(party, name):
    """A fresh party with the state that came back from writing and reading."""
    tree, arrays = written(party.state)
    twin = MARKETS[name][0]()
    twin.state = Reader(arrays).decode(json.loads(tree))
    return twin


def live(party, mail, until_ms, repeat=1, restart=None):
    """Deliver mail and ring deadlines in order of time; gives back everything said as (time, to, message)."""
    waiting, said = sorted(mail, key=lambda item: item[0]), []
    while True:
        due_ms = min(party.next_deadline_ms(), waiting[0][0] if waiting else NEVER_MS)
        if due_ms > until_ms:
            return said, party
        while waiting and waiting[0][0] == due_ms:
            message = waiting.pop(0)[1]
            for _ in range(repeat):
                party.receive(message, due_ms)
        if party.next_deadline_ms() <= due_ms:
            party.on_deadline(due_ms)
            assert party.next_deadline_ms() > due_ms
        said += [(due_ms, envelope.to, envelope.message) for envelope in party.take_outbox()]
        if restart is not None:
            party = restart(party)


def a_day(name, **how):
    make, data = MARKETS[name]
    return live(make(), data(), START + 72 * HOUR_MS, **how)


@every_market
def test_1_a_market_has_its_name_and_says_nothing_before_its_time(name):
    party = MARKETS[name][0]()
    assert party.name == name
    assert party.take_outbox() == []


@every_market
def test_2_a_day_is_lived_and_every_deadline_lies_later_than_the_one_before(name):
    said, party = a_day(name)
    assert said
    assert party.next_deadline_ms() > party.state.now_ms


@every_market
def test_3_mail_that_is_no_business_of_a_market_is_remarked_on_and_changes_nothing(name):
    party = MARKETS[name][0]()
    before = written(party.state)
    garbage = [Polls(homes()), Remark(0, "x", "y", "z"), Message()]
    for message in garbage:
        party.receive(message, START)
    told = party.take_outbox()
    assert [envelope.message.kind for envelope in told] == ["unexpected_message"] * len(garbage)
    assert {envelope.to for envelope in told} == {"journal"}
    assert all(envelope.message.who == name for envelope in told)
    assert same(before, written(party.state))


@every_market
def test_4_every_message_twice_leads_where_once_leads(name):
    # A registration is passed on each time that it is made; remarks tell of what came twice.
    def of_substance(said):
        return [item for item in said if not isinstance(item[2], Remark | DfsUnitRegistration)]

    once, twice = a_day(name)[0], a_day(name, repeat=2)[0]
    assert of_substance(once)
    assert alike(of_substance(once), of_substance(twice))


@every_market
def test_5_a_state_written_and_read_after_every_moment_leads_to_the_same_day(name):
    plain, party = a_day(name)
    resumed, twin = a_day(name, restart=lambda one: restored(one, name))
    assert alike(plain, resumed)
    assert same(written(party.state), written(twin.state))


@every_market
def test_6_the_outbox_is_empty_once_taken(name):
    _, party = a_day(name)
    assert party.take_outbox() == []


@every_market
def test_7_everything_is_said_to_a_party_that_there_is(name):
    said, _ = a_day(name)
    assert {to for _, to, _ in said} <= {"aggregator", "balancing", "settlement", "journal"}


@every_market
def test_8_two_days_alike_are_alike_to_the_last_byte(name):
    assert alike(a_day(name)[0], a_day(name)[0])
