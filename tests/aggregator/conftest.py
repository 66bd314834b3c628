"""A small world for the aggregator: chargers that obey set-points, and a post that carries mail and rings
deadlines.
"""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from aggregator.loop import Aggregator
from aggregator.settings import (
    AggregatorSettings,
    Assumptions,
    BalancingSubmission,
    DfsSubmission,
    Rules,
    ServiceSubmission,
)
from protocol.messages import (
    NO_LIMIT_W,
    UNKNOWN,
    AckOutcome,
    Acks,
    AssetReadings,
    AssetRegistration,
    AssetStatus,
    Polls,
    Service,
    Setpoints,
    Telemetry,
)
from protocol.periods import day_start_ms, local_clock_ms
from protocol.products import Product

DAY = date(2025, 1, 15)
MIDNIGHT_MS = day_start_ms(DAY)

ORDER = (
    Product.RESTORE,
    Product.DYNAMIC,
    Product.SECURE,
    Product.SUSTAIN,
    Product.SUSTAIN_H,
    Product.TCM,
    Product.LCM,
    Product.WHOLESALE,
    Product.CAPACITY_MARKET,
)
SETTINGS = AggregatorSettings(
    confidence=0.8,
    loop_active_ms=10_000,
    loop_idle_ms=60_000,
    validity_ms=900_000,
    lead_ms=120_000,
    retry_after_ms=30_000,
    retry_jitter_ms=10_000,
    retries=3,
    send_per_loop=50_000,
    release_over_ms=900_000,
    stale_after_ms=300_000,
    deadline_margin_ms=1_800_000,
    maximum_hold_ms=14_400_000,
    tracking=True,
    tracking_gain=0.6,
    cost_per_hold_gbp_per_mwh=30.0,
    battery_reserve=0.20,
    curtail_generation=False,
    dfs=DfsSubmission(None, 0.15),
    balancing=BalancingSubmission(150.0, 20.0, 2, 40.0),
    services=ServiceSubmission(100.0, 5.0, ORDER),
)
RULES = Rules(
    dfs_minimum_unit_mw=1.0,
    dfs_maximum_unit_mw=100.0,
    dfs_hh_metering_required=True,
    dfs_failed_below=0.5,
    bm_minimum_unit_mw=1.0,
    bm_notice_min=2,
    bm_pairs_maximum=5,
)


def at(hour, minute=0, second=0):
    """A clock time of the day of these tests [UTC ms]."""
    return local_clock_ms(DAY, hour, minute) + second * 1000


def registration(count, service=Service.BALANCING, units=1, **changes):
    """Assets in homes of their own, all alike."""
    rows = np.arange(count)
    made = AssetRegistration(
        home=rows.astype(np.int32),
        mpan=rows.astype(np.int64) + 10**12,
        unit=(rows % units).astype(np.int16),
        gsp=np.zeros(count, np.int16),
        route=np.zeros(count, np.int8),
        service=np.full(count, service, np.int8),
        rating_w=np.full(count, 7400, np.int32),
        battery_wh=np.full(count, 60_000, np.int32),
        target_pct=np.full(count, 80, np.int8),
        ready_by_minute=np.full(count, 420, np.int16),
        report_every_s=np.full(count, 60, np.int32),
        soc_known=np.zeros(count, np.int8),
        hh_metered=np.ones(count, np.int8),
        technology=np.zeros(count, np.int8),
        unit_names=tuple(f"_{chr(65 + place)}" for place in range(units)),
        gsp_names=("GSP_1",),
        route_names=("evcp_wifi_cloud",),
    )
    return replace(made, **changes)


def telemetry(rows, event_ms, import_w, status, register_wh=0, arrival_ms=None, soc_pct=UNKNOWN):
    """Readings from lists or numbers, one per row."""
    rows = np.asarray(rows, np.int32)

    def column(values, kind):
        return np.broadcast_to(np.asarray(values, kind), rows.shape).copy()

    event = column(event_ms, np.int64)
    return Telemetry(
        rows=rows,
        event_ms=event,
        arrival_ms=event.copy() if arrival_ms is None else column(arrival_ms, np.int64),
        import_w=column(import_w, np.int32),
        register_wh=column(register_wh, np.int32),
        status=column(status, np.int8),
        soc_pct=column(soc_pct, np.int8),
    )


class Chargers:
    """Chargers that draw 7 kW while plugged, not full and not limited; they read once a minute, each at
    its second.

    `deaf` and `mute` rows hear or say nothing, `ackless` rows never acknowledge, `stubborn` rows do not
    pause.
    """

    def __init__(self, count, now_ms):
        self.count = count
        self.now_ms = now_ms
        self.plugged = np.zeros(count, bool)
        self.boosted = np.zeros(count, bool)
        self.room_wh = np.full(count, 40_000.0)
        self.register_wh = np.full(count, 1000.0)
        self.limited_from_ms = np.full(count, 2**62)
        self.limited_until_ms = np.zeros(count, np.int64)
        self.sequence = np.zeros(count, np.int64)
        self.deaf = np.zeros(count, bool)
        self.mute = np.zeros(count, bool)
        self.ackless = np.zeros(count, bool)
        self.stubborn = np.zeros(count, bool)
        self.told = []

    def limited(self):
        inside = (self.limited_from_ms <= self.now_ms) & (self.now_ms < self.limited_until_ms)
        return inside & ~self.stubborn & ~self.boosted

    def power_w(self):
        draws = self.plugged & (self.room_wh > 0) & ~self.limited()
        return np.where(draws, 7000, 0).astype(np.int32)

    def status(self):
        kinds = np.where(self.power_w() > 0, AssetStatus.CHARGING, AssetStatus.LIMITED)
        kinds = np.where(self.boosted, AssetStatus.OVERRIDDEN, kinds)
        kinds = np.where(self.room_wh <= 0, AssetStatus.FULL, kinds)
        return np.where(self.plugged, kinds, AssetStatus.UNPLUGGED).astype(np.int8)

    def live_until(self, now_ms):
        """Second by second; gives the readings taken on the way."""
        readings = []
        while self.now_ms < now_ms:
            energy_wh = self.power_w() / 3600.0
            self.register_wh += energy_wh
            self.room_wh -= energy_wh
            self.now_ms += 1000
            due = (np.arange(self.count) % 60 == self.now_ms // 1000 % 60) & ~self.mute
            readings.append(self.reading(np.flatnonzero(due)))
        return readings

    def reading(self, rows):
        return telemetry(
            rows,
            self.now_ms,
            self.power_w()[rows],
            self.status()[rows],
            self.register_wh[rows].astype(np.int32),
        )

    def take(self, orders):
        """Obey, and acknowledge a second later."""
        self.told.append(orders)
        outcome = np.zeros(len(orders.rows), np.int8)
        heard = ~self.deaf[orders.rows]
        for k, row in enumerate(orders.rows):
            if not heard[k]:
                continue
            if orders.sequence[k] <= self.sequence[row]:
                outcome[k] = AckOutcome.OLD_SEQUENCE
            elif not self.plugged[row]:
                outcome[k] = AckOutcome.UNPLUGGED
            elif self.boosted[row]:
                outcome[k] = AckOutcome.OVERRIDDEN
            else:
                self.sequence[row] = orders.sequence[k]
                lifts = orders.limit_w[k] == NO_LIMIT_W
                if lifts or not self.limited()[row]:
                    self.limited_from_ms[row] = orders.from_ms[k]
                self.limited_until_ms[row] = 0 if lifts else orders.until_ms[k]
        said = heard & ~self.ackless[orders.rows] & ~self.mute[orders.rows]
        return Acks(
            rows=orders.rows[said],
            sequence=orders.sequence[said],
            outcome=outcome[said],
            event_ms=np.full(said.sum(), self.now_ms),
            arrival_ms=np.full(said.sum(), self.now_ms + 1000),
        )


class World:
    """An aggregator, its chargers, and a market that is the test itself: what it is told is in `said`."""

    def __init__(
        self,
        registered,
        settings=SETTINGS,
        rules=RULES,
        assumed=None,
        start_ms=None,
        history_w=None,
        devices=Chargers,
    ):
        start_ms = at(0) if start_ms is None else start_ms
        self.aggregator = Aggregator(settings, rules, assumed or Assumptions())
        self.chargers = devices(len(registered.home), start_ms)
        self.now_ms = start_ms
        self.said = []
        self.post = []
        self.hear(registered)
        if history_w is not None:
            self.hear_history(len(registered.home), history_w)

    def hear_history(self, count, w_per_asset, days=10):
        """Every asset drew so much from 16:00 to midnight on each of the last days."""
        for back in range(days, 0, -1):
            day = DAY - timedelta(days=back)
            wh = np.zeros((count, 48), np.int16)
            wh[:, 32:] = w_per_asset // 2
            self.hear(AssetReadings(day, np.arange(count, dtype=np.int32), wh))

    def hear(self, message):
        self.aggregator.receive(message, self.now_ms)
        self.collect()

    def collect(self):
        for envelope in self.aggregator.take_outbox():
            self.said.append((self.now_ms, envelope.to, envelope.message))
            if isinstance(envelope.message, Setpoints):
                self.post.append((self.now_ms + 1000, self.chargers.take(envelope.message)))
            if isinstance(envelope.message, Polls):
                rows = envelope.message.rows
                self.post.append((self.now_ms + 1000, self.chargers.reading(rows[~self.chargers.mute[rows]])))

    def until(self, end_ms):
        """Live until `end_ms`: chargers first, then mail due, then deadlines."""
        while self.now_ms < end_ms:
            due = [item[0] for item in self.post]
            next_ms = min([self.aggregator.next_deadline_ms(), end_ms, *due])
            next_ms = max(next_ms, self.now_ms)
            for reading in self.chargers.live_until(next_ms):
                if len(reading.rows):
                    self.aggregator.receive(reading, next_ms)
            self.now_ms = next_ms
            for item in [item for item in self.post if item[0] <= next_ms]:
                self.post.remove(item)
                self.aggregator.receive(item[1], next_ms)
            if self.aggregator.next_deadline_ms() <= next_ms:
                self.aggregator.on_deadline(next_ms)
            self.collect()

    def heard_by(self, to, kind):
        return [message for _, name, message in self.said if name == to and isinstance(message, kind)]

    def stages(self, instruction_id):
        entry = self.aggregator.state.book.ledger.entries[instruction_id]
        return [(stage.value, reason) for _, stage, reason in entry.steps]

    def remarks(self, kind):
        return [message for _, _, message in self.said if getattr(message, "kind", None) == kind]


@pytest.fixture(scope="session")
def tools():
    """The names of this file, for tests."""

    class Tools:
        pass

    for name in (
        "DAY",
        "MIDNIGHT_MS",
        "SETTINGS",
        "RULES",
        "at",
        "registration",
        "telemetry",
        "Chargers",
        "World",
    ):
        setattr(Tools, name, staticmethod(globals()[name]) if callable(globals()[name]) else globals()[name])
    return Tools
