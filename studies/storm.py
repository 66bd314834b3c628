"""Storms: thousands of small worlds with every kind of trouble, and laws watched in each.

`python -m studies.storm --worlds 2000` plays seeds 1 .. 2000; `--seed N` plays one alone, loudly. A world
fails when a law is broken, something raises, or money does not sum to nothing; the storm fails when a
world does, or when a listed state was never reached: trouble that never comes up is not tested.
`--kills N` kills one run N times at random moments and resumes it.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from protocol.periods import period_count
from sim import chance
from sim.chance import Purpose
from sim.run import CHECKPOINTS, resume_run, run_scenario
from sim.run_folder import RunFolder
from sim.scenario import Scenario
from studies.storm_laws import broken_laws
from studies.storm_services import with_services

DAYS = (
    date(2023, 1, 24),
    date(2023, 12, 5),
    date(2024, 12, 3),
    date(2024, 3, 31),
    date(2024, 10, 27),
    date(2023, 2, 12),
)
"""A day of each DFS edition, both clock changes, a Sunday."""

_SERVICE_SHARE = 0.6
"""Of worlds, where other services than DFS and the BM are bought."""
_SERVICE_DRAWS = 100_020
"""Draws below this one are those of the plain world, which they leave as it is."""

INTERESTING = frozenset(
    {
        "instruction:completed", "instruction:failed", "instruction:declined", "instruction:superseded",
        "comms:lost", "comms:offline", "comms:outage_vendor_cloud", "comms:outage_isp",
        "comms:outage_mobile_operator", "comms:outage_region", "comms:rate_limited", "comms:unauthorised",
        "comms:budget", "comms:backfilled",
        "device:boosted", "device:unplugged", "device:limit_ended", "device:held_back",
        "order:old_sequence", "order:expired", "order:unplugged", "order:overridden", "order:applied",
        "clock:46", "clock:48", "clock:50",
        "service:dfs", "service:balancing", "money:paid", "money:charged",
        "promise:kept", "promise:broken",
        "event:fault_bursts", "event:fault_clock_skew", "event:fault_clock_drift", "event:fault_clock_jump",
        "event:fault_clock_reset", "event:fault_split_brain", "event:fenced", "event:fault_power_cut",
        "event:readings_quarantined",
        "service:sustain", "service:sustain_h", "service:secure", "service:dynamic", "service:restore",
        "service:tcm", "service:lcm", "service:wholesale", "service:capacity_market",
        "answer:award accepted", "answer:award refused", "answer:trade refused",
        "answer:dispatch refused", "answer:emergency stop", "event:capacity_notice", "event:displaced",
        "event:not_in_service", "event:not_paid_beside", "run:restated", "money:bills",
    }
)  # fmt: skip
"""States that a storm of full length must have reached at least once."""


_ANSWERS = {
    "service_award": ("award", ("accepted", "refused")),
    "service_unit_answer": ("unit", ("accepted", "refused")),
    "service_dispatch_answer": ("dispatch", ("accepted", "refused")),
    "service_dispatch": ("emergency", ("stop",)),
    "wholesale_trade": ("trade", (" at ", "refused")),
}
"""Kinds of events about further services: what they are called, and words to look for."""


@dataclass(frozen=True, slots=True)
class World:
    """What became of one world."""

    seed: int
    reached: tuple[str, ...]
    fault: str


class Dice:
    """The keyed draws of one world, one after the other."""

    def __init__(self, seed: int, after: int = 0) -> None:
        """`after`: how many draws are left to others."""
        self._seed = seed
        self._number = after

    def share(self) -> float:
        """A number in (0, 1)."""
        self._number += 1
        return float(chance.units(chance.stream(self._seed, Purpose.STORM), np.array([self._number]))[0, 0])

    def happens(self, share: float) -> bool:
        """Whether something of this share happens."""
        return self.share() < share

    def up_to(self, most: float, often: float) -> float:
        """0, or in a share `often` of worlds a number up to `most`."""
        return self.share() * most if self.happens(often) else 0.0

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.share() * (high - low + 1))

    def pick(self, *values: Any) -> Any:
        """One of the values."""
        return values[self.whole(0, len(values) - 1)]


def make_world(seed: int) -> Scenario:
    """A small world with random trouble: faults of devices, comms and markets, alone and together."""
    world, dice = _plain_world(seed), Dice(seed, _SERVICE_DRAWS)
    if dice.happens(_SERVICE_SHARE):
        world = with_services(world, dice)
    return Scenario.model_validate(world, strict=False)


def _plain_world(seed: int) -> dict[str, Any]:
    """A world with DFS and the BM alone."""
    dice = Dice(seed)
    day = dice.pick(*DAYS)
    return {
        "flextwin": 1,
        "name": f"storm-{seed}",
        "seed": seed,
        "clock": {
            "start": day,
            "history_days": dice.whole(3, 8),
            "checkpoint_every_ms": 14_400_000,
            "settlement_days": 2,
        },
        "record": {"level": "devices", "csv": False},
        "homes": {
            "count": dice.whole(150, 400),
            "gsp_groups": {"_C": 1.0},
            "daily_missing_share": dice.up_to(0.2, 0.5),
        },
        "evs": _evs(dice),
        **_other_devices(dice),
        "comms": _comms(dice),
        "aggregator": _aggregator(dice),
        "markets": _markets(dice, day),
    }


def _evs(dice: Dice) -> dict[str, Any]:
    return {
        "share": 1.0,
        "annual_miles_median": 120_000.0,
        "charger_w": ((22_000, 1.0),),
        "battery_mean_wh": 110_000,
        "telematics_share": dice.share(),
        "ignores_pause_share": dice.up_to(0.3, 0.5),
        "sleeps_after_pause_share": dice.up_to(0.3, 0.3),
        "boost_share": dice.up_to(0.5, 0.5),
        "early_unplug_share": dice.up_to(0.5, 0.5),
        "late_arrival_share": dice.up_to(0.5, 0.5),
        "keeps_default_schedule_share": dice.up_to(0.5, 0.3),
        "random_delay_ms": dice.pick(0, 600_000, 1_800_000),
        "typed_soc_sd": dice.up_to(0.5, 0.5),
        "report_every_ms": dice.pick(60_000, 300_000),
        "telematics_report_every_ms": dice.pick(300_000, 900_000),
        "wakes_per_day": dice.whole(0, 15),
        "meter": {"gain_sd": dice.up_to(0.05, 0.5), "missing_share": dice.up_to(0.1, 0.5)},
    }


def _other_devices(dice: Dice) -> dict[str, Any]:
    """Other technologies at small shares, in a third of the worlds."""
    if not dice.happens(0.35):
        return {}
    sections = (
        "heat_pumps", "storage_heaters", "resistive_heaters", "hot_water", "batteries", "pv",
        "washing_machines", "dishwashers", "fridges",
    )  # fmt: skip
    return {section: {"share": dice.up_to(0.2, 0.6)} for section in sections}


_VENDORS = {
    "evcp_4g": ("ocpp_charger", "ampere_charger"),
    "evcp_wifi_cloud": ("cloud_charger", "pause_ignoring_car"),
    "ev_telematics_cloud": ("car_telematics",),
    "heat_pump_cloud": ("heat_pump_cloud",),
    "inverter_cloud": ("home_battery_site", "microinverter_cloud", "quarter_hour_inverter"),
}
"""Profiles that a world may put on a route."""


def _comms(dice: Dice) -> dict[str, Any]:
    return {
        "vendors": {route: names for route, names in _VENDORS.items() if dice.happens(0.15)},
        "clocks": _clocks(dice),
        "split_brain": _split_brain(dice),
        "profile": dice.pick("perfect", "realistic"),
        "routes": {
            name: _route(dice)
            for name in ("evcp_4g", "evcp_wifi_cloud", "ev_telematics_cloud")
            if dice.happens(0.6)
        },
        "outages": tuple(_outage(dice) for _ in range(dice.whole(0, 3))),
        "market_latency_ms": dice.whole(0, 60_000),
        "market_loss": dice.up_to(0.5, 0.3),
    }


def _clocks(dice: Dice) -> dict[str, Any]:
    return {
        "skew_sd_ms": dice.pick(0, 0, 5_000, 150_000),
        "drift_ppm": dice.up_to(50.0, 0.3),
        "jump_back_share": dice.up_to(0.3, 0.3),
        "reset_share": dice.up_to(0.3, 0.3),
        "wrong_for_ms": dice.whole(60_000, 43_200_000),
    }


def _split_brain(dice: Dice) -> dict[str, Any] | None:
    if not dice.happens(0.3):
        return None
    return {
        "start": dice.whole(15 * 60, 20 * 60),
        "duration_ms": dice.whole(600_000, 10_800_000),
        "lag_ms": dice.whole(1, 900_000),
    }


def _route(dice: Dice) -> dict[str, Any]:
    offline_every_ms = dice.pick(0, 3_600_000, 86_400_000)
    burst_every_ms = dice.pick(0, 0, 600_000, 21_600_000)
    return {
        "latency_median_ms": dice.whole(0, 20_000),
        "latency_log_sd": dice.share() * 2,
        "tail_share": dice.up_to(0.2, 0.5),
        "tail_scale_ms": dice.whole(1, 600_000),
        "loss_down": dice.up_to(0.5, 0.5),
        "loss_up": dice.up_to(0.5, 0.5),
        "duplicate": dice.up_to(0.3, 0.5),
        "offline_every_ms": offline_every_ms,
        "offline_for_ms": min(dice.whole(60_000, 7_200_000), offline_every_ms * 9 // 10),
        "rate_per_s": dice.pick(0.0, 0.5, 10.0),
        "commands_per_day": dice.pick(0, 0, 3, 50),
        "backfill_depth": dice.pick(0, 60),
        "reconnect_spread_ms": dice.whole(0, 900_000),
        "token_life_ms": dice.pick(0, 3_600_000),
        "token_renewal_ms": dice.whole(0, 600_000),
        "vendors": dice.whole(1, 4),
        "burst_every_ms": burst_every_ms,
        "burst_for_ms": dice.whole(1, max(burst_every_ms, 1)),
        "burst_loss_up": dice.share(),
        "burst_loss_down": dice.share(),
    }


def _outage(dice: Dice) -> dict[str, Any]:
    kind = dice.pick("vendor_cloud", "isp", "mobile_operator", "region")
    name = {"vendor_cloud": "evcp_wifi_cloud/0", "isp": "0", "mobile_operator": "0", "region": "_C"}[kind]
    if kind == "region" and dice.happens(0.5):
        return {
            "kind": kind, "name": name, "start": dice.whole(15 * 60, 22 * 60), "power": True,
            "duration_ms": dice.whole(60_000, 10_800_000),
        }  # fmt: skip
    return {
        "kind": kind,
        "name": name,
        "start": dice.whole(15 * 60, 22 * 60),
        "duration_ms": dice.whole(60_000, 10_800_000),
        "directions": dice.pick("both", "down", "up"),
        "messages": dice.pick("all", "setpoints", "telemetry", "acks"),
        "drop": dice.pick(1.0, 0.5),
        "extra_latency_ms": dice.pick(0, 60_000),
    }


def _aggregator(dice: Dice) -> dict[str, Any]:
    return {
        "loop_idle_ms": 600_000,
        "loop_active_ms": dice.pick(30_000, 60_000),
        "confidence": 0.3 + 0.6 * dice.share(),
        "validity_ms": dice.pick(300_000, 900_000),
        "retries": dice.whole(0, 4),
        "send_per_loop": dice.pick(20, 50_000),
        "tracking": dice.happens(0.8),
        "release_over_ms": dice.pick(0, 900_000),
    }


def _markets(dice: Dice, day: date) -> dict[str, Any]:
    return {
        "rules": {"dfs": {"min_unit_mw": 0.01}},
        "rules_date": date(2023, 1, 24) if period_count(day) != 48 or dice.happens(0.5) else None,
        "dfs": {
            "share": 0.3,
            "events": tuple(_dfs_event(dice) for _ in range(dice.whole(0, 2))),
            "competitors_mw": dice.up_to(5.0, 0.3),
        },
        "balancing": {"share": 0.7, "acceptances": tuple(_acceptance(dice) for _ in range(dice.whole(0, 3)))},
        "faults": {
            kind: dice.up_to(1.0, 0.3)
            for kind in (
                "duplicate",
                "amend",
                "late",
                "impossible",
                "conflicting",
                "wrong_unit",
                "out_of_order",
            )
        },
    }


def _dfs_event(dice: Dice) -> dict[str, Any]:
    start = dice.whole(32, 42) * 30
    return {
        "start": start,
        "end": start + 30 * dice.whole(1, 4),
        "turn_down_mw": 0.05 + dice.share(),
        "guaranteed_price_gbp_per_mwh": 3000.0,
        "test": True,
        "published": 9 * 60,
        "cancelled": dice.pick(None, None, None, start - dice.whole(1, 240)),
    }


def _acceptance(dice: Dice) -> dict[str, Any]:
    start = dice.whole(16 * 60, 21 * 60)
    return {"start": start, "end": start + dice.whole(10, 120), "turn_down_mw": float(dice.pick(1, 1, -1, 2))}


def live(seed: int) -> World:
    """Play one world to its end."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = run_scenario(make_world(seed), Path(folder) / "run", text="")
            tables = RunFolder(outcome.folder)
            reached = tuple(sorted(set(_states(tables))))
            return World(seed, reached, "; ".join([*outcome.degraded, *broken_laws(tables)]))
        except Exception:  # noqa: BLE001 - whatever it is, it is this seed's fault and is told
            return World(seed, (), traceback.format_exc())


def _states(folder: RunFolder) -> Iterator[str]:
    """What this world reached, in the words of INTERESTING."""
    yield from (f"instruction:{stage}" for stage in _distinct(folder, "instructions", "stage"))
    yield from (f"comms:{outcome}" for outcome in _distinct(folder, "comms", "outcome"))
    yield from (f"event:{kind}" for kind in _distinct(folder, "events", "kind"))
    yield from (f"service:{service}" for service in _distinct(folder, "settlement", "service"))
    events = folder.table("device_events", ["kind", "value", "arm"]).to_pandas()
    yield from (f"device:{kind}" for kind in events["kind"].unique())
    outcomes = events[events["kind"] == "order"]["value"].unique()
    names = ("applied", "old_sequence", "expired", "unplugged", "overridden")
    yield from (f"order:{names[int(outcome)]}" for outcome in outcomes)
    yield f"clock:{folder.table('half_hourly', ['period'])['period'].to_numpy().max()}"
    amounts = folder.table("settlement", ["amount_gbp_e5"])["amount_gbp_e5"].to_numpy()
    yield from ("money:paid",) if (amounts > 0).any() else ()
    yield from ("money:charged",) if (amounts < 0).any() else ()
    reached = folder.table("promises", ["reached"])["reached"].to_pylist()
    yield from ("promise:kept",) if True in reached else ()
    yield from ("promise:broken",) if False in reached else ()
    yield from _service_states(folder)


def _service_states(folder: RunFolder) -> Iterator[str]:
    """What became of the talk about further services, and of settlement runs and bills."""
    events = folder.table("events", ["kind", "detail"]).to_pandas()
    for kind, (name, words) in _ANSWERS.items():
        details = events["detail"][events["kind"] == kind]
        yield from (f"answer:{name} {word}" for word in words if details.str.contains(word).any())
    yield from ("run:restated",) if set(_distinct(folder, "settlement", "settlement_run")) - {"II"} else ()
    volumes = folder.table("settled_volumes", ["service", "delivered_wh"]).to_pandas()
    yield from ("dfs:turned_up",) if (volumes[volumes["service"] == "dfs"]["delivered_wh"] < 0).any() else ()
    yield from ("money:bills",) if "bills" in folder.manifest()["tables"] else ()


def _distinct(folder: RunFolder, table: str, column: str) -> list[str]:
    return [str(value) for value in folder.table(table, [column])[column].unique().to_pylist()]


def kill_and_resume(times: int) -> int:
    """Kill one scenario with SIGKILL at random moments and resume it; the tables must be the same bytes."""
    path = Path(__file__).parents[1] / "scenarios" / "demo.yaml"
    text = (
        path.read_text(encoding="utf-8")
        .replace("count: 10000", "count: 1500")
        .replace("days: 14}", "days: 8, checkpoint_every: 30 min}")
    )
    text = text.split("\nexpect:")[0].replace("turn_down: 2 MW", "turn_down: 1 MW")
    dice = Dice(times)
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "scenario.yaml").write_text(text, encoding="utf-8")
        for name in ("warm", "whole"):
            seconds = _life(place, name, None)
        told = _hashes(place / "whole")
        for number in range(times):
            _life(place, f"killed{number}", seconds * (0.3 + 0.75 * dice.share()))
            resumed = _resume(place / f"killed{number}")
            same = _hashes(place / f"killed{number}") == told
            different += not same
            print(
                f"kill {number + 1}: {'resumed' if resumed else 'over or not begun'},",
                "the same" if same else "DIFFERENT",
                flush=True,
            )
    print(f"{times} kills, {different} different")
    return int(different > 0)


_ONE_LIFE = """
import sys
from pathlib import Path
from sim.run import CHECKPOINTS, resume_run, run_scenario
from sim.scenario_file import load_scenario
path = Path(sys.argv[1])
run_scenario(load_scenario(path), Path(sys.argv[2]), text=path.read_text(encoding="utf-8"))
"""


def _life(place: Path, name: str, kill_after_s: float | None) -> float:
    """One run in a process of its own, killed after a while or not; gives how many seconds of CPU it took."""
    command = [sys.executable, "-c", _ONE_LIFE, str(place / "scenario.yaml"), str(place / name)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1])  # noqa: S603 - our own interpreter
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=kill_after_s)
    process.kill()
    process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _resume(folder: Path) -> bool:
    """Go on if there is something to go on from, or begin anew if it died before its first checkpoint."""
    if (folder / "manifest.json").exists():
        return False
    if not list((folder / CHECKPOINTS).glob("*.checkpoint")):
        shutil.rmtree(folder, ignore_errors=True)
        _life(folder.parent, folder.name, None)
        return False
    resume_run(folder)
    return True


def _hashes(folder: Path) -> dict[str, str]:
    return {name: table["sha256"] for name, table in RunFolder(folder).manifest()["tables"].items()}


def main(arguments: list[str]) -> int:
    """Play the storm; the exit code is 0 only if no world failed and every listed state was reached."""
    parser = argparse.ArgumentParser(prog="python -m studies.storm", description=__doc__)
    parser.add_argument("--worlds", type=int, default=2000)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, help="play this world alone")
    parser.add_argument(
        "--kills", type=int, help="instead: kill a run so often at random moments, resume it, compare"
    )
    options = parser.parse_args(arguments)
    if options.kills is not None:
        return kill_and_resume(options.kills)
    if options.seed is not None:
        world = live(options.seed)
        print(
            make_world(options.seed).model_dump_json(indent=1),
            *world.reached,
            world.fault or "no law broken",
            sep="\n",
        )
        return int(bool(world.fault))
    return _storm(range(options.first, options.first + options.worlds), options.workers)


def _storm(seeds: range, workers: int) -> int:
    reached: Counter[str] = Counter()
    failed: list[World] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for number, world in enumerate(pool.map(live, seeds, chunksize=4), start=1):
            reached.update(world.reached)
            if world.fault:
                failed.append(world)
                print(f"seed {world.seed} failed: {world.fault.strip().splitlines()[-1]}", flush=True)
            if number % 100 == 0:
                to_come = len(INTERESTING - set(reached))
                print(f"{number} worlds, {len(failed)} failed, {to_come} states to come", flush=True)
    for state in sorted(INTERESTING | set(reached)):
        print(f"{'' if state in INTERESTING else '  '}{state:45s} {reached[state]:6d}")
    missing = sorted(INTERESTING - set(reached))
    print(f"{len(seeds)} worlds, {len(failed)} failed; never reached: {', '.join(missing) or 'none'}")
    for world in failed[:20]:
        print(f"replay with: python -m studies.storm --seed {world.seed}")
    return int(bool(failed or missing))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
