"""The world between two moments.

The fleets as they are, the same fleets as they would have been, the wires, and the recorder that writes it
down.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from protocol.messages import I64, Service
from sim.fleets import EVENT_NAMES, Arms, Fleets
from sim.gateway import Gateway
from sim.play import Orders, Polls
from sim.population import Population
from sim.recorder import Recorder
from sim.scenario import RecordLevel, Scenario

MINUTE_S = 60


@dataclass(slots=True)
class WorldState:
    """Seconds already lived whose counterfactual is still to be lived, oldest first.

    Pieces of (groups, seconds) [W].
    """

    lived_w: list[I64] = field(default_factory=list)


class World:
    """Lives everybody up to a moment.

    After `quiet_from_ms` devices live on unheard: no readings, no instructions.
    """

    def __init__(
        self,
        scenario: Scenario,
        population: Population,
        arms: Arms,
        gateway: Gateway,
        recorder: Recorder,
        *,
        quiet_from_ms: int,
        end_ms: int,
    ) -> None:
        self.arms = arms
        self.gateway = gateway
        self.recorder = recorder
        self.quiet_from_ms = quiet_from_ms
        self.end_ms = end_ms
        self._units = len(population.homes.group_names)
        self._gsps = len(population.homes.gsp_names)
        self._tells_devices = scenario.record.level is RecordLevel.DEVICES
        self.state = WorldState()

    @property
    def import_w(self) -> int:
        """What all devices draw now, less what they give."""
        lived = (self.arms.fleet, *([self.arms.beyond] if self.arms.beyond else []))
        return int(sum(fleets.state.levels_w.sum() for fleets in lived))

    def live(self, until_ms: int) -> None:
        """Everything that devices, wires and meters do before `until_ms`."""
        now_ms = self.arms.fleet.state.now_ms
        if until_ms <= now_ms or now_ms >= self._last_ms():
            return
        heard = now_ms < self.quiet_from_ms
        orders = self.gateway.orders_due(until_ms)
        polls = Polls(*self.gateway.polls_due(until_ms))
        trip = self.gateway.listen(now_ms, until_ms) if heard else None
        hear = None if trip is None else trip.carry
        played = self.arms.fleet.play(until_ms, orders, polls=polls, read=heard, hear=hear)
        self.gateway.report(played, trip, orders, until_ms)
        if now_ms < self.end_ms:
            self.state.lived_w.append(self.arms.fleet.seconds_w)
            self._tell_devices(0, self.arms.fleet)
        if until_ms % CATCH_UP_MS == 0:
            self._catch_up(until_ms)

    def _last_ms(self) -> int:
        """Cars live on into the morning after, until every promise of the last night has been judged."""
        return self.quiet_from_ms + MORNING_AFTER_MS

    def _catch_up(self, until_ms: int) -> None:
        """Live what nobody asks anything up to now in one go: the counterfactual and what is out of reach."""
        without, beyond = self.arms.without, self.arms.beyond
        start_ms = without.state.now_ms
        for fleets in self.arms.quiet:
            fleets.play(until_ms, Orders.none(), read=False)
        if start_ms < self.end_ms:
            lived_w, without_w = np.concatenate(self.state.lived_w, axis=1), without.seconds_w
            self._tell_devices(1, without)
            if beyond is not None:
                lived_w, without_w = lived_w + beyond.seconds_w, without_w + beyond.seconds_w
                self._tell_devices(0, beyond)
                self._tell_devices(1, beyond)
            by_gsp, without_by_gsp = self._by_gsp(lived_w), self._by_gsp(without_w)
            self.recorder.seconds(start_ms, self._cells(by_gsp), self._cells(without_by_gsp))
            self.recorder.minutes(start_ms, _minute_means(by_gsp), _minute_means(without_by_gsp))
            self.state.lived_w = []

    def _tell_devices(self, arm: int, fleet: Fleets) -> None:
        told = fleet.events
        if self._tells_devices and len(told):
            self.recorder.device_events(
                told["at_ms"], told["row"], told["kind"], told["value"], arm, EVENT_NAMES
            )

    def _by_gsp(self, seconds_w: I64) -> I64:
        """(GSPs, services, seconds)."""
        return seconds_w.reshape(self._gsps, len(Service), -1)

    def _cells(self, by_gsp: I64) -> I64:
        """Sums by (unit, service): (cells, seconds)."""
        by_unit = by_gsp.reshape(self._units, -1, len(Service), by_gsp.shape[-1]).sum(axis=1)
        return np.asarray(by_unit.reshape(-1, by_gsp.shape[-1]))


def _minute_means(by_gsp: I64) -> I64:
    """Means of whole minutes over all services, (GSPs, minutes) [W]."""
    total_w = by_gsp.sum(axis=1)
    whole = total_w.reshape(len(total_w), -1, MINUTE_S)
    return np.asarray((whole.sum(axis=2) + MINUTE_S // 2) // MINUTE_S)


CATCH_UP_MS = 600_000
"""The counterfactual is lived in stretches that end on whole ten minutes, as every settlement period does."""
MORNING_AFTER_MS = 13 * 3_600_000
"""Until 13:00 on the morning after: by then every car has left that leaves, and every deadline has come."""
