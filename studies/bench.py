"""What a simulated day costs, per event and per home, and what one SimPy process per EV would cost.

`python -m studies.bench` prints the table, writes `docs/performance.md` and draws
`docs/images/performance.svg`. Every figure is taken in a process of its own, after one run that only
compiles. Nothing here is a test: machines differ.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "images" / "performance.svg"
WORKERS = 2
CURVE_HOMES = (10_000, 30_000, 100_000, 300_000, 1_000_000)
MIXED_HOMES = (10_000, 100_000, 1_000_000)
PEER_EVS = 100_000
DAY = date(2023, 1, 24)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement: seconds, peak memory, and what it was spent on."""

    what: str
    homes: int
    devices: int
    events: int
    seconds: float
    peak_gb: float
    detail: dict[str, float]

    @property
    def us_per_home(self) -> float:
        """Microseconds per home."""
        return self.seconds / max(self.homes, 1) * 1e6

    @property
    def ns_per_event(self) -> float:
        """Nanoseconds per event lived."""
        return self.seconds / max(self.events, 1) * 1e9


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, result) of some work."""
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


# --------------------------------------------------------------------------------- what is measured, one each


def fleet_alone(homes: int) -> Figure:
    """Fleet and homes without aggregator and comms: one day, in stretches of a minute.

    The day before it, on which kernels are read from disk, is not counted.
    """
    from devices import ev
    from protocol import periods
    from sim.fleet import Fleet
    from sim.households import BaseLoad, make_diary, plan_moment_ms, quiet_windows_ms
    from sim.play import Orders
    from sim.population import make_population
    from sim.scenario import Clock, Homes, Scenario

    scenario = Scenario(flextwin=1, name="bench", clock=Clock(start=DAY), homes=Homes(count=homes))
    population = make_population(scenario)
    groups = int(population.cell.max()) + 1
    fleet = Fleet(
        ev,
        population.spec,
        ev.make_state(population.charge_mj, periods.day_start_ms(DAY)),
        population.cell,
        groups,
        periods.day_start_ms(DAY),
        workers=WORKERS,
    )
    base = BaseLoad(population.homes, scenario.homes, scenario.seed, WORKERS)

    def live(day: date) -> None:
        import numpy as np

        fleet.play(plan_moment_ms(day), Orders.none(), read=False)
        fleet.plan(
            make_diary(scenario.evs, population.drivers, population.spec["battery_mj"], day, 5.0, 1),
            ev.Today(quiet_windows_ms(day)),
        )
        for _ in range(1440):
            fleet.play(fleet.state.now_ms + 60_000, Orders.none(), read=False)
        for low in range(0, homes, 250_000):
            base.day_wh(np.arange(low, min(homes, low + 250_000), dtype=np.int64), day)

    live(DAY)
    before = fleet.state.events_lived
    seconds, _ = timed(lambda: live(DAY + timedelta(days=1)))
    events = fleet.state.events_lived - before
    bytes_per_ev = fleet.state.rows.dtype.itemsize + fleet.state.next_ms.itemsize
    return Figure(
        "fleet and homes alone, one day",
        homes,
        len(population.spec),
        events,
        seconds,
        _peak_gb(),
        {"state_b_per_ev": bytes_per_ev},
    )


def whole_scenario(homes: int) -> Figure:
    """`scenarios/million-homes.yaml` at some size: population, history, one whole day, results on disk."""
    return _whole("million-homes", homes, "whole scenario, one day")


def mixed_scenario(homes: int) -> Figure:
    """`scenarios/million-mixed.yaml` at some size, as `whole_scenario`."""
    return _whole("million-mixed", homes, "mixed portfolio, one day")


def _whole(name: str, homes: int, what: str) -> Figure:
    from sim import run
    from sim.run_folder import RunFolder
    from sim.scenario_file import load_scenario

    path = ROOT / "scenarios" / f"{name}.yaml"
    overrides: dict[str, object] = {"homes.count": homes}
    scenario = load_scenario(path, overrides=overrides)
    with tempfile.TemporaryDirectory() as folder:
        build_s, lived = timed(lambda: run.Run(scenario, RunFolder(Path(folder)), workers=WORKERS))
        history_s, _ = timed(lived.live_history)
        turns_s = _time_turns(lived.parties["aggregator"])
        day_s, _ = timed(lambda: lived.go(path.read_text(encoding="utf-8"), None, None))
        comms = RunFolder(Path(folder)).table("comms", ["kind", "count"]).to_pandas()
    history_days = scenario.clock.history_days
    fleets = [lived.fleet, *([lived.beyond] if lived.beyond else [])]
    events = sum(one.state.events_lived for one in fleets)
    detail = {
        "build_s": build_s,
        "history_s_per_day": history_s / history_days,
        "day_s": day_s,
        "readings_million": float(comms.loc[comms["kind"] == "telemetry", "count"].sum() / 1e6),
        "decision_ms_median": 1000 * statistics.median(turns_s),
        "decision_ms_max": 1000 * max(turns_s),
    }
    return Figure(
        what,
        homes,
        len(lived.population.home),
        events,
        build_s + day_s,
        _peak_gb(),
        detail,
    )


def mixed_alone(homes: int) -> Figure:
    """The devices and homes of `scenarios/million-mixed.yaml` without aggregator and comms: one day.

    Those that can be reached in stretches of a minute, the others of ten; the day before it is not counted.
    """
    from protocol import periods
    from sim import run
    from sim.play import Orders
    from sim.run_folder import RunFolder
    from sim.scenario_file import load_scenario

    overrides: dict[str, object] = {"homes.count": homes, "clock.history_days": 1}
    scenario = load_scenario(ROOT / "scenarios" / "million-mixed.yaml", overrides=overrides)
    with tempfile.TemporaryDirectory() as folder:
        lived = run.Run(scenario, RunFolder(Path(folder)), workers=WORKERS)
        lived.live_history()
    fleets = [lived.fleet, *([lived.beyond] if lived.beyond else [])]
    before = sum(one.state.events_lived for one in fleets)

    def live() -> None:
        now_ms = lived.start_ms
        while now_ms < periods.day_end_ms(DAY):
            now_ms += 60_000
            for one in fleets[: 1 + (now_ms % 600_000 == 0)]:
                one.play(now_ms, Orders.none(), read=False)
            if lived.people.next_deadline_ms() <= now_ms:
                lived.people.on_deadline(now_ms)
        lived.meters.homes_base_wh(DAY)

    seconds, _ = timed(live)
    events = sum(one.state.events_lived for one in fleets) - before
    rows = len(lived.population.home)
    state_b = sum(
        len(fleet.spec) * (fleet.state.rows.dtype.itemsize + 8) for one in fleets for fleet in one.fleets
    )
    return Figure(
        "mixed portfolio: devices and homes alone", homes, rows, events, seconds, _peak_gb(),
        {"state_b_per_device": state_b / rows},
    )  # fmt: skip


def _time_turns(aggregator: Any) -> list[float]:
    """How long each turn of the loop takes that ends in set-points [s]: the list fills as the run goes."""
    from protocol.messages import Setpoints

    taken_s = [0.0]
    last_s = 0.0
    on_deadline, take_outbox = aggregator.on_deadline, aggregator.take_outbox

    def turn(now_ms: int) -> None:
        nonlocal last_s
        last_s, _ = timed(lambda: on_deadline(now_ms))

    def taken() -> list[Any]:
        outbox: list[Any] = take_outbox()
        if any(isinstance(envelope.message, Setpoints) for envelope in outbox):
            taken_s.append(last_s)
        return outbox

    aggregator.on_deadline, aggregator.take_outbox = turn, taken
    return taken_s


def simpy_peer(evs: int) -> Figure:
    """The peer: one SimPy process per EV, one unmanaged day."""
    from protocol import periods
    from sim.households import plan_moment_ms
    from studies.simpy_peer import live_day

    population, diary = _peer_cars(evs)
    until_ms = periods.day_end_ms(DAY)
    seconds, day = timed(
        lambda: live_day(population.spec, diary, population.charge_mj, plan_moment_ms(DAY), until_ms)
    )
    return Figure(
        "one SimPy process per EV", 0, evs, day.events, seconds, _peak_gb(), {"kwh": day.import_mj / 3.6e9}
    )


def fast_twin_of_peer(evs: int) -> Figure:
    """The same cars and the same day in the fast engine, one thread."""
    import numpy as np

    from devices import ev
    from protocol import periods
    from sim.fleet import Fleet
    from sim.households import plan_moment_ms, quiet_windows_ms
    from sim.play import Orders

    population, diary = _peer_cars(evs)

    def day() -> tuple[float, Fleet]:
        one_sum = np.zeros(len(population.spec), np.int16)
        cars = ev.make_state(population.charge_mj, plan_moment_ms(DAY))
        fleet = Fleet(ev, population.spec, cars, one_sum, 1, plan_moment_ms(DAY))

        def live() -> None:
            fleet.plan(diary, ev.Today(quiet_windows_ms(DAY)))
            while fleet.state.now_ms < periods.day_end_ms(DAY):
                fleet.play(
                    min(fleet.state.now_ms + 21_600_000, periods.day_end_ms(DAY)), Orders.none(), read=False
                )

        return timed(live)[0], fleet

    day()
    seconds, fleet = day()
    kwh = float(fleet.registers_mj().sum() / 3.6e9)
    return Figure(
        "the same day in the fast engine, one thread",
        0,
        evs,
        fleet.state.events_lived,
        seconds,
        _peak_gb(),
        {"kwh": kwh},
    )


def _peer_cars(evs: int) -> tuple[Any, Any]:
    from sim.households import make_diary
    from sim.population import make_population
    from sim.scenario import Clock, Evs, Homes, Scenario

    scenario = Scenario(
        flextwin=1, name="bench", clock=Clock(start=DAY), homes=Homes(count=evs), evs=Evs(share=1.0)
    )
    population = make_population(scenario)
    return population, make_diary(
        scenario.evs, population.drivers, population.spec["battery_mj"], DAY, 5.0, 1
    )


def one_decision(assets: int) -> Figure:
    """One dispatch decision over so many EVs in one trading unit, on one thread."""
    from studies.bench_decision import median_decision

    look_s, choose_s, tell_s, chosen = median_decision(assets, time.perf_counter)
    detail = {
        "look_ms": 1000 * look_s,
        "choose_ms": 1000 * choose_s,
        "tell_ms": 1000 * tell_s,
        "chosen": float(chosen),
    }
    return Figure("one dispatch decision", assets, assets, 1, look_s + choose_s + tell_s, _peak_gb(), detail)


def settled_month(mpans: int) -> Figure:
    """A month of half-hours of so many MPANs settled in every service (`studies/bench_settlement.py`)."""
    from studies.bench_settlement import measure as settle

    cost = settle(mpans)
    half_hours = mpans * cost.days * 48
    detail = {"days": float(cost.days), "busy_s": cost.busy_s, "lines": float(len(cost.lines))}
    return Figure(
        "a month settled in every service", mpans, mpans, half_hours, cost.wall_s, cost.peak_gb, detail
    )


def memory_floor(homes: int) -> Figure:
    """What it takes only to read and write the fleet's state once a minute for a day, at memory bandwidth."""
    import numpy as np

    state = np.zeros(int(homes * 0.4) * 60 // 8, np.int64)
    other = np.zeros_like(state)
    other[:] = state + 1
    seconds, _ = timed(lambda: [np.add(state, 1, out=other) for _ in range(20)])
    return Figure(
        "memory floor: the state read and written once a minute",
        homes,
        0,
        0,
        seconds / 20 * 1440,
        _peak_gb(),
        {},
    )


MEASURES: dict[str, Callable[[int], Figure]] = {
    "fleet_alone": fleet_alone,
    "whole_scenario": whole_scenario,
    "mixed_scenario": mixed_scenario,
    "mixed_alone": mixed_alone,
    "simpy_peer": simpy_peer,
    "fast_twin_of_peer": fast_twin_of_peer,
    "one_decision": one_decision,
    "memory_floor": memory_floor,
    "settled_month": settled_month,
}


# ------------------------------------------------------------------------------------------------ the report


def measure(name: str, size: int) -> Figure:
    """One measurement in a process of its own, so that memory and caches are its own."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "studies.bench", name, str(size)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise RuntimeError(f"{name} {size} failed:\n{done.stderr[-2000:]}")
    figure = Figure(**json.loads(done.stdout.splitlines()[-1]))
    print(
        f"{figure.what:55s} {size:>9,d}  {figure.seconds:8.2f} s  {figure.peak_gb:5.2f} GB  {figure.detail}",
        flush=True,
    )
    return figure


def main(arguments: list[str]) -> int:
    """Everything; with `NAME SIZE` one measurement, as JSON.

    `--five-million` adds that size to the whole.
    """
    if len(arguments) == 2:
        print(json.dumps(asdict(MEASURES[arguments[0]](int(arguments[1])))))
        return 0
    for name in ("whole_scenario", "mixed_scenario"):
        measure(name, CURVE_HOMES[1])  # compiles what is not compiled yet: fewer homes offer nothing
    alone = [measure("fleet_alone", homes) for homes in CURVE_HOMES]
    whole = [measure("whole_scenario", homes) for homes in CURVE_HOMES]
    if "--five-million" in arguments:
        whole.append(measure("whole_scenario", 5_000_000))
    peer, twin = measure("simpy_peer", PEER_EVS), measure("fast_twin_of_peer", PEER_EVS)
    floor = measure("memory_floor", CURVE_HOMES[-1])
    decision = measure("one_decision", CURVE_HOMES[-1])
    mixed_fleets = [measure("mixed_alone", homes) for homes in MIXED_HOMES]
    mixed = [measure("mixed_scenario", homes) for homes in MIXED_HOMES]
    months = [measure("settled_month", mpans) for mpans in MIXED_HOMES]
    _draw(alone, whole)
    page = _page(alone, whole, peer, twin, floor, decision) + _mixed_page(mixed_fleets, mixed)
    page += _settlement_page(months)
    PAGE.write_text(page, encoding="utf-8")
    print(f"\n{PAGE.relative_to(ROOT)} and {PICTURE.relative_to(ROOT)} written")
    return 0


def _rows(figures: list[Figure]) -> str:
    return "\n".join(
        f"| {f.homes:,} | {f.devices:,} | {f.seconds:.2f} | {f.us_per_home:.2f} "
        f"| {f.ns_per_event:.0f} | {f.peak_gb:.2f} |"
        for f in figures
    )


def _page(
    alone: list[Figure], whole: list[Figure], peer: Figure, twin: Figure, floor: Figure, decision: Figure
) -> str:
    million = next(f for f in whole if f.homes == 1_000_000)
    head = "| homes | EVs | s per day | us per home | ns per event | peak GB |\n|---|---|---|---|---|---|"
    return f"""# Performance

Written by `make bench`; measured on this machine in one go, {WORKERS} threads, kernels cached, each figure in
its own process. Compare ratios, not seconds: shared machines drift.

## Fleet and homes alone

No aggregator, no comms: cars' events in stretches of a minute, base load of every home by half-hour.
State per EV: {alone[-1].detail["state_b_per_ev"]:.0f} B (52 B row, 8 B calendar), constant in the number
of homes.

{head}
{_rows(alone)}

## The whole scenario

`scenarios/million-homes.yaml` at several sizes: building the population, the day with realistic comms, a
reading from every charge point every 60 s, the aggregator's loop (10 s during instructions, 60 s
otherwise), 1 s operational metering, the counterfactual twin of the fleet, settlement and results on
disk. Meter history (two weeks before) comes on top: {million.detail["history_s_per_day"]:.2f} s per day
of it at a million homes.

{head}
{_rows(whole)}

A run of any size has a fixed part: the moments at which somebody looks, the markets' talk, the files. A day
has some 1,500 such moments, as the loop looks every minute, and each costs 2 to 3 ms of Python. Against it:
fewer than 4,096 rows are not handed to a second thread, the counterfactual and what nobody asks lives ten
minutes at a time, and markets are asked only where something is due. The cost per home still falls far
more than 1.5-fold from 10,000 homes to a million. On top of the fixed part every further home costs
{_more_us(whole, 10_000, 100_000):.0f} us between 10,000 and 100,000 homes and
{_more_us(whole, 100_000, 1_000_000):.0f} us between 100,000 and a million.

![cost per home](images/performance.svg)

## One dispatch decision

Over {decision.devices:,} EVs in one trading unit, a third of them charging, half of that power to be held, on
one thread: to look at all of them {decision.detail["look_ms"]:.1f} ms, to choose
{decision.detail["choose_ms"]:.1f} ms, to tell {decision.detail["chosen"]:,.0f} of them
{decision.detail["tell_ms"]:.1f} ms.

## Against one SimPy process per EV

{peer.devices:,} EVs, the same day, the same event functions, no messages. One SimPy process per EV takes
{peer.seconds:.1f} s ({peer.ns_per_event:,.0f} ns per event).
The fast engine on one thread takes {twin.seconds:.2f} s ({twin.ns_per_event:.0f} ns per event):
**{peer.ns_per_event / twin.ns_per_event:.0f} times** fewer seconds per event.

## The floor

Reading and writing the state of every EV once a minute for a day, and nothing else, takes
{floor.seconds:.2f} s at this machine's memory bandwidth; fleet and homes alone take
{alone[-1].seconds / floor.seconds:.1f} times that.
"""


def _mixed_page(alone: list[Figure], whole: list[Figure]) -> str:
    head = "| homes | devices | s per day | us per home | ns per event | peak GB |\n|---|---|---|---|---|---|"
    most = whole[-1]
    return f"""
## A mixed portfolio

`scenarios/million-mixed.yaml`: 40 % of homes with an EV, 25 % with a heat pump, 10 % with a battery,
15 % with a roof, 8 % with storage heat, white goods everywhere; {most.devices / most.homes:.2f} devices a
home. What each kind costs, and the reference engine and a peer beside it: `python -m studies.bench_kinds`.

Devices and homes alone, {alone[-1].detail["state_b_per_device"]:.0f} B of state per device:

{head}
{_rows(alone)}

The whole scenario, with {most.detail["readings_million"]:,.0f} million readings a day at the largest size
({whole[-1].detail["history_s_per_day"]:.1f} s per day of history on top):

{head}
{_rows(whole)}

The targets for a million homes (8 s alone, 45 s and 3 GB whole) are missed. A thirteen-kind world has a fixed
cost of some 1.3 ms a stretch, and an event of a heat pump or a fridge costs more than twice that of an EV:
state, make and day of a device are five cache lines or more, and events come at random. A device that
nobody can reach lives once for both worlds and in long stretches; blocks of rows with nothing due are
passed over; one set of second sums serves all kinds. Fetching ahead what the next events ask for gained
less than the noise.
"""


def _settlement_page(months: list[Figure]) -> str:
    rows = "\n".join(
        f"| {f.homes:,} | {f.seconds:.1f} | {f.detail['busy_s']:.1f} | {f.us_per_home:.1f} "
        f"| {f.ns_per_event:.0f} | {f.peak_gb:.2f} |"
        for f in months
    )
    return f"""
## Settling a month

{months[-1].detail["days"]:.0f} days of half-hours in every service: BL01 with its look-back of 60 days for
every MPAN and day, minutes for Secure, each Wh paid once, Suppliers made whole, money last. Streamed in
chunks: memory is that of a chunk and of the sums. Half-hours are drawn, not read from a disk.

| MPANs | s | s of all threads | us per MPAN | ns per half-hour | peak GB |
|---|---|---|---|---|---|
{rows}
"""


def _more_us(figures: list[Figure], fewer: int, more: int) -> float:
    """What one more home costs between two sizes [us]."""
    less, much = (next(f for f in figures if f.homes == homes) for homes in (fewer, more))
    return (much.seconds - less.seconds) / (more - fewer) * 1e6


def _draw(alone: list[Figure], whole: list[Figure]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "flextwin"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for figures, label, colour in (
        (whole, "whole scenario", "#1f4e79"),
        (alone, "fleet and homes alone", "#c8553d"),
    ):
        axes.plot(
            [f.homes for f in figures], [f.us_per_home for f in figures], "o-", label=label, color=colour
        )
    axes.set(xscale="log", yscale="log", xlabel="homes", ylabel="cost of a simulated day per home [us]")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
