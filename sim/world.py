"""The world between two moments.

The fleet as it is, the same fleet as it would have been, the wires, and the recorder that writes it down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from devices.ev import EventKind
from protocol.messages import I64, Service
from sim.fleet import Fleet
from sim.gateway import Gateway
from sim.play import Orders, Polls
from sim.population import Population
from sim.recorder import Recorder
from sim.scenario import RecordLevel, Scenario

KINDS = {int(kind): kind.name for kind in EventKind}
MINUTE_S = 60


@dataclass(slots=True)
class WorldState:
    """Seconds of a minute that is not yet whole, (2, GSPs, seconds) [W], and where they begin."""

    minute_w: I64
    minute_start_ms: int


class World:
    """Lives everybody up to a moment.

    After `quiet_from_ms` devices live on unheard: no readings, no instructions.
    """

    def __init__(
        self,
        scenario: Scenario,
        population: Population,
        fleet: Fleet,
        without: Fleet,
        gateway: Gateway,
        recorder: Recorder,
        *,
        start_ms: int,
        quiet_from_ms: int,
        end_ms: int,
    ) -> None:
        self.fleet = fleet
        self.without = without
        self.gateway = gateway
        self.recorder = recorder
        self.quiet_from_ms = quiet_from_ms
        self.end_ms = end_ms
        self._units = len(population.homes.group_names)
        self._gsps = len(population.homes.gsp_names)
        self._tells_devices = scenario.record.level is RecordLevel.DEVICES
        self.state = WorldState(np.zeros((2, self._gsps, 0), np.int64), start_ms)

    @property
    def import_w(self) -> int:
        """What all cars draw now."""
        return int(self.fleet.state.levels_w.sum())

    def live(self, until_ms: int) -> None:
        """Everything that devices, wires and meters do before `until_ms`."""
        now_ms = self.fleet.state.now_ms
        if until_ms <= now_ms or now_ms >= self._last_ms():
            return
        heard = now_ms < self.quiet_from_ms
        orders = self.gateway.orders_due(until_ms)
        polls = Polls(*self.gateway.polls_due(until_ms))
        played = self.fleet.play(until_ms, orders, polls=polls, read=heard)
        self.without.play(until_ms, Orders.none(), read=False)
        self.gateway.report(played, orders, until_ms)
        if now_ms < self.end_ms:
            self._write_down(now_ms)

    def _last_ms(self) -> int:
        """Cars live on into the morning after, until every promise of the last night has been judged."""
        return self.quiet_from_ms + MORNING_AFTER_MS

    def _write_down(self, from_ms: int) -> None:
        start_ms = -(-from_ms // 1000) * 1000
        lived, without = self._by_gsp(self.fleet.seconds_w), self._by_gsp(self.without.seconds_w)
        if lived.shape[-1]:
            self.recorder.seconds(start_ms, self._cells(lived), self._cells(without))
            self._write_minutes(lived.sum(axis=1), without.sum(axis=1))
        if self._tells_devices:
            for arm, fleet in enumerate((self.fleet, self.without)):
                told = fleet.events
                if len(told):
                    self.recorder.device_events(
                        told["at_ms"], told["row"], told["kind"], told["value"], arm, KINDS
                    )

    def _by_gsp(self, seconds_w: I64) -> I64:
        """(GSPs, services, seconds)."""
        return seconds_w.reshape(self._gsps, len(Service), -1)

    def _cells(self, by_gsp: I64) -> I64:
        """Sums by (unit, service): (cells, seconds)."""
        by_unit = by_gsp.reshape(self._units, -1, len(Service), by_gsp.shape[-1]).sum(axis=1)
        return np.asarray(by_unit.reshape(-1, by_gsp.shape[-1]))

    def _write_minutes(self, lived_w: I64, without_w: I64) -> None:
        """Whole minutes as means; the rest waits for its minute to be whole."""
        seconds = np.concatenate([self.state.minute_w, np.stack([lived_w, without_w])], axis=2)
        minutes = seconds.shape[2] // MINUTE_S
        if minutes:
            whole = seconds[:, :, : minutes * MINUTE_S].reshape(2, self._gsps, minutes, MINUTE_S)
            mean_w = (whole.sum(axis=3) + MINUTE_S // 2) // MINUTE_S
            self.recorder.minutes(self.state.minute_start_ms, mean_w[0], mean_w[1])
            self.state.minute_start_ms += minutes * MINUTE_S * 1000
        self.state.minute_w = seconds[:, :, minutes * MINUTE_S :].copy()


MORNING_AFTER_MS = 13 * 3_600_000
"""Until 13:00 on the morning after: by then every car has left that leaves, and every deadline has come."""
