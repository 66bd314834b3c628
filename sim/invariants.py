"""Laws watched while a run goes on.

A broken law is counted and told; the run ends degraded, never silently fine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from devices import ev
from protocol.instruction import TERMINAL, Stage
from protocol.messages import I32
from sim.fleet import Fleet

_LAST_MS_MJ = 22_000
"""A battery may be overfull by what flows in one millisecond at 22 kW: events fall on whole milliseconds."""


@dataclass(slots=True)
class Broken:
    """How often each law was broken, and the first case of each in words."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def note(self, law: str, cases: int, words: str) -> None:
        """Count `cases` of a broken law, if any."""
        if cases:
            self.counts[law] = self.counts.get(law, 0) + cases
            self.first.setdefault(law, words)


def watch_fleet(fleet: Fleet, name: str, rating_w: I32, broken: Broken) -> None:
    """Sums equal rows, ratings and batteries hold, no car draws power while away.

    `rating_w` (rows,) as in `sim.kinds.kind.Drawn`.
    """
    rows = fleet.state.rows
    sums = np.bincount(fleet.group, weights=rows["import_w"], minlength=fleet.groups).astype(np.int64)
    off_w = np.abs(sums - fleet.state.levels_w)
    broken.note(
        "portfolio_is_sum_of_devices",
        int((off_w > 0).sum()),
        f"{name} at {fleet.state.now_ms}: {off_w.max()} W",
    )
    gives = "export_mj" in fleet.device.STATE.names
    over = (np.abs(rows["import_w"]) > rating_w) | ((rows["import_w"] < 0) & (not gives))
    broken.note("device_rating", int(over.sum()), f"{name}: rows {np.flatnonzero(over)[:3].tolist()}")
    if fleet.device is ev:
        _watch_cars(fleet, name, broken)
    late = fleet.state.next_ms < fleet.state.now_ms
    broken.note("no_event_in_the_past", int(late.sum()), f"{name}: rows {np.flatnonzero(late)[:3].tolist()}")


def _watch_cars(fleet: Fleet, name: str, broken: Broken) -> None:
    rows, spec = fleet.state.rows, fleet.spec
    away = (rows["phase"] == ev.AWAY) & (rows["import_w"] != 0)
    broken.note("no_power_when_away", int(away.sum()), f"{name}: rows {np.flatnonzero(away)[:3].tolist()}")
    full_mj = spec["battery_mj"] + _LAST_MS_MJ
    outside = (rows["charge_mj"] < 0) | (rows["charge_mj"] > full_mj)
    broken.note("battery_bounds", int(outside.sum()), f"{name}: rows {np.flatnonzero(outside)[:3].tolist()}")


def watch_ledger(last_stages: dict[str, list[str]], broken: Broken) -> None:
    """Every instruction ended, once, in a terminal stage.

    `last_stages`: for each instruction its stages in order.
    """
    terminal = {stage.value for stage in TERMINAL}
    for instruction_id, stages in last_stages.items():
        ends = [stage for stage in stages if stage in terminal]
        broken.note("one_terminal_stage", int(len(ends) != 1), f"{instruction_id}: {' → '.join(stages)}")
        broken.note(
            "issued_first", int(stages[0] != Stage.ISSUED.value), f"{instruction_id} began as {stages[0]}"
        )


def watch_money(amounts_gbp_e5: dict[str, int], broken: Broken) -> None:
    """What one party pays another receives: the sum over parties is nothing."""
    total = sum(amounts_gbp_e5.values())
    broken.note("money_sums_to_nothing", int(total != 0), f"{total} x 1e-5 GBP left over")
