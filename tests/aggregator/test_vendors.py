"""The aggregator hears vendors through its normaliser, and only those that it has an integration of."""

import numpy as np

from aggregator.loop import Aggregator
from protocol.codec import Reader, Writer
from protocol.messages import AssetStatus, Remark
from protocol.vendor_messages import VendorReadings
from protocol.vendors import EnergyUnit, PowerUnit, Sign, Stamp, VendorClock, VendorIntegration

CLOUD = VendorIntegration(
    vendor="cloud", interval_ms=60_000, age_ms=20_000, power_unit=PowerUnit.KW, power_step=0.01,
    energy_unit=EnergyUnit.KWH, energy_step=0.01, sign=Sign.EXPORT, clock=VendorClock.UTC_S, stamp=Stamp.END,
    tells_status=True, tells_soc=False, backfills=False,
)  # fmt: skip


def report(now_ms, vendor="cloud"):
    return VendorReadings(
        vendor, np.array([1], np.int32), np.array([now_ms / 1_000 + 60]), np.array([now_ms + 20_000]),
        np.array([-7.25]), np.array([-12.34]), np.array([AssetStatus.CHARGING], np.int8), np.array([np.nan]),
    )  # fmt: skip


def hearing(tools, vendors):
    aggregator = Aggregator(tools.SETTINGS, tools.RULES, vendors=vendors)
    now_ms = tools.at(18)
    aggregator.receive(tools.registration(3), now_ms - 60_000)
    aggregator.take_outbox()
    return aggregator, now_ms


def test_a_vendors_report_is_held_in_the_asset_model(tools):
    aggregator, now_ms = hearing(tools, {"cloud": CLOUD})
    aggregator.receive(report(now_ms), now_ms + 20_000)
    held = aggregator.state.portfolio.store.board[1]
    assert (held["import_w"], held["register_wh"], held["event_ms"]) == (7_250, 12_340, now_ms)
    assert held["status"] == AssetStatus.CHARGING


def test_a_vendor_without_an_integration_reaches_nothing_but_the_journal(tools):
    aggregator, now_ms = hearing(tools, {})
    aggregator.receive(report(now_ms), now_ms + 20_000)
    assert aggregator.state.portfolio.store.readings == 0
    said = [envelope.message for envelope in aggregator.take_outbox() if isinstance(envelope.message, Remark)]
    assert [remark.kind for remark in said] == ["unknown_vendor"]
    assert aggregator.state.portfolio.intake.quarantined == {"cloud": 1}


def test_what_is_remembered_of_vendors_is_saved_with_the_aggregator(tools):
    aggregator, now_ms = hearing(tools, {"cloud": CLOUD})
    aggregator.receive(report(now_ms), now_ms + 20_000)
    writer = Writer()
    tree = writer.encode(aggregator.state)
    again = Reader(writer.arrays).decode(tree)
    assert again.portfolio.intake.last_ms.tolist() == [0, now_ms, 0]
    assert again.portfolio.intake.tally.keys() == {"cloud"}
