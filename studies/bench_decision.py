"""How long one dispatch decision takes over a million EVs in one trading unit: look, choose, tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from aggregator.belief import Moment, look, wall_table
from aggregator.dispatch import choose, want
from aggregator.places import HOLDABLE
from aggregator.registry import enrol
from aggregator.sending import HELD, Terms, new_control, set_points
from aggregator.settings import AggregatorSettings, Assumptions
from aggregator.telemetry import Store, new_store, observe
from protocol import periods
from protocol.messages import I32, I64, AssetStatus, Service, Telemetry
from sim.party_settings import aggregator_rules, aggregator_settings
from sim.population import make_population
from sim.scenario import Balancing, Clock, Evs, Homes, Markets, Scenario

DAY = date(2023, 1, 24)
CHARGING_EVERY = 3
"""Every third EV charges."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A trading unit at six in the evening, all of whose assets have just reported."""

    store: Store
    rows: I32
    settings: AggregatorSettings
    now_ms: int
    experience: I64


def make_unit(assets: int) -> Unit:
    """A BM Unit of so many EVs, a third of them charging at 7.4 kW."""
    scenario = Scenario(
        flextwin=1,
        name="decision",
        clock=Clock(start=DAY),
        homes=Homes(count=assets, gsp_groups={"_A": 1.0}),
        evs=Evs(share=1.0, telematics_share=0.0),
        markets=Markets(balancing=Balancing(share=1.0)),
    )
    assumed, now_ms = Assumptions(), periods.local_clock_ms(DAY, 18, 0)
    told = make_population(scenario).registration
    registry = enrol(told, aggregator_rules(scenario), assumed)
    store = new_store(told, registry, assumed, now_ms, 1024)
    observe(store, _reports(assets, now_ms), assumed)
    rows = registry.rows_of(registry.groups_of(Service.BALANCING)[0])
    return Unit(store, rows, aggregator_settings(scenario), now_ms, np.zeros(4, np.int64))


def _reports(assets: int, now_ms: int) -> Telemetry:
    charging = np.arange(assets) % CHARGING_EVERY == 0
    return Telemetry(
        np.arange(assets, dtype=np.int32),
        np.full(assets, now_ms - 30_000),
        np.full(assets, now_ms - 29_000),
        np.where(charging, 7400, 0).astype(np.int32),
        np.full(assets, 1000, np.int32),
        np.where(charging, AssetStatus.CHARGING, AssetStatus.UNPLUGGED).astype(np.int8),
        np.full(assets, -1, np.int8),
    )


def decide(unit: Unit, control: Any, clock: Callable[[], float]) -> tuple[float, float, float, int]:
    """Hold half of what charges: seconds to look, to choose, to tell; and how many were chosen."""
    assumed, board = Assumptions(), unit.store.board
    moment = Moment(unit.now_ms, unit.now_ms - periods.DAY_MS, True, 3600, wall_table(DAY))
    at_s = [clock()]
    view = look(
        board, unit.store.sessions, control, unit.experience, unit.rows, moment, unit.settings, assumed
    )
    at_s.append(clock())
    half_w = int(view.would_w.sum(where=view.part == HOLDABLE)) // 2
    chosen = choose(view, HOLDABLE, half_w, longest_first=True, reach=True)
    at_s.append(clock())
    want(control, board, unit.rows, HELD, unit.now_ms, view, chosen)
    terms = Terms("I-1", unit.now_ms + periods.HOUR_MS, True)
    set_points(control, board, unit.rows, view.stirs, terms, unit.now_ms, len(unit.rows), unit.settings)
    at_s.append(clock())
    look_s, choose_s, tell_s = np.diff(at_s).tolist()
    return look_s, choose_s, tell_s, len(chosen)


def median_decision(
    assets: int, clock: Callable[[], float], repeats: int = 20
) -> tuple[float, float, float, int]:
    """As `decide`, median of repeats, each from a control room in which nobody has been told anything."""
    unit = make_unit(assets)
    taken = np.array([decide(unit, new_control(assets), clock) for _ in range(repeats + 1)])[1:]
    look_s, choose_s, tell_s, chosen = np.median(taken, axis=0).tolist()
    return look_s, choose_s, tell_s, int(chosen)
