"""The peer of `studies.bench`: the same cars and the same day as a competent SimPy user would write them.

One generator per EV, plain numbers, no messages; charging power changes go to one list. It knows only what an
unmanaged day needs: leave, come home, charge, taper, full. Sessions and energies are those of the fast engine
(tested).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy


class Day:
    """What a day of the peer leaves behind."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, int]] = []  # (time [ms], change of power [W])
        self.import_mj = 0
        self.events = 0


def drive_and_charge(
    env: simpy.Environment, day: Day, car: tuple[int, ...]
) -> Generator[simpy.Event, None, None]:
    """One car's day."""
    (
        leave_ms,
        return_ms,
        start_ms,
        until_ms,
        charge_mj,
        drive_mj,
        plug_below_mj,
        floor_mj,
        taper_mj,
        stop_mj,
        rated_w,
        taper_w,
    ) = car
    if leave_ms >= until_ms or return_ms >= until_ms:
        return
    yield env.timeout(leave_ms - env.now)
    day.events += 1
    yield env.timeout(return_ms - env.now)
    day.events += 1
    charge_mj = max(charge_mj - drive_mj, min(floor_mj, charge_mj))
    if charge_mj > plug_below_mj:
        return
    if start_ms > env.now:
        yield env.timeout(start_ms - env.now)
    for goal_mj, power_w in ((taper_mj, rated_w), (stop_mj, taper_w)):
        if charge_mj >= goal_mj:
            continue
        day.changes.append((int(env.now), power_w))
        length_ms = min(-(-(goal_mj - charge_mj) // power_w), until_ms - int(env.now))
        yield env.timeout(length_ms)
        day.events += 1
        charge_mj += power_w * length_ms
        day.import_mj += power_w * length_ms
        day.changes.append((int(env.now), -power_w))


def live_day(spec: Any, diary: Any, charge_mj: Any, start_ms: int, until_ms: int) -> Day:
    """Every car's day from `start_ms` to `until_ms`."""
    columns = [
        diary["leave_ms"], diary["return_ms"], diary["start_ms"], np.full(len(spec), until_ms), charge_mj,
        diary["drive_mj"], diary["plug_below_mj"], spec["floor_mj"], spec["taper_mj"], spec["stop_mj"],
        spec["charger_w"], spec["taper_w"],
    ]  # fmt: skip
    env, day = simpy.Environment(initial_time=start_ms), Day()
    for car in zip(*(column.tolist() for column in columns), strict=True):
        env.process(drive_and_charge(env, day, car))
    env.run(until=until_ms + 1)
    return day
