"""A run that nobody simulated: a winter evening drawn by hand, written by the real recorder and journal."""

from datetime import date

import numpy as np
import pytest

from protocol import messages as m
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS, day_start_ms, local_clock_ms
from sim.journal import Journal
from sim.manifest import make_manifest
from sim.network import OutageRow
from sim.recorder import Layout, Recorder
from sim.run_folder import MANIFEST, NONE, RunFolder
from sim.scenario import Clock, Record, RecordLevel, Scenario

DAY = date(2024, 1, 16)
START = day_start_ms(DAY)
UNITS = ("_A", "_B", "_C")
SERVICES = ("none", "dfs", "balancing")
CELLS = tuple((unit, service) for unit in UNITS for service in SERVICES)
LAYOUT = Layout(
    START, START + 24 * HOUR_MS, UNITS, CELLS, tuple((f"{unit}{n}", unit) for unit in UNITS for n in (0, 1))
)
KINDS = {
    1: "PLUGGED_IN",
    2: "UNPLUGGED",
    3: "CHARGING",
    4: "STOPPED",
    5: "HELD_BACK",
    6: "LIMIT_ENDED",
    7: "BOOSTED",
}
KINDS |= {8: "READY_CHECK", 9: "LEFT", 10: "RETURNED", 11: "ORDER"}

DFS_START, DFS_END = local_clock_ms(DAY, 17), local_clock_ms(DAY, 18)
BM_START, BM_END = local_clock_ms(DAY, 19, 40), local_clock_ms(DAY, 20, 20)
DFS_ID, BM_ID = "DFS-0-17", "_A/7"

QUESTION = "Can homes give 5 MW on a winter evening?"
TEXT = """flextwin: 1
name: evening
clock:
  start: 2024-01-16
"""


def evening_w(seconds, size):
    """Import of a fleet left alone [W]: a hump in the evening and a smaller one at night."""
    hours = seconds / 3600
    hump = np.exp(-(((hours - 18.7) / 2.1) ** 2)) + 0.45 * np.exp(-(((hours - 0.8) / 1.5) ** 2))
    wobble = 1 + 0.015 * np.sin(seconds / 97.0 + size) + 0.01 * np.sin(seconds / 13.0)
    return (size * (0.03 + hump) * wobble).astype(np.int64)


def held_w(without, seconds, start_s, end_s, share):
    """The fleet held back by `share` between two moments, and what it missed drawn afterwards."""
    lived = without.astype(float)
    during = (seconds >= start_s) & (seconds < end_s)
    ramp = np.clip((seconds - start_s) / 90, 0, 1)
    lived[during] *= 1 - share * ramp[during]
    missed = (without - lived)[during].sum()
    after = seconds >= end_s
    tail = np.where(after, np.exp(-np.maximum(seconds - end_s, 0) / 2400), 0.0)
    return (lived + 0.92 * missed * tail / max(tail.sum(), 1)).astype(np.int64)


def power():
    """Import by cell and second (cells, 86400), lived and without instructions [W]."""
    seconds = np.arange(86_400)
    without = np.stack([evening_w(seconds, 310_000 * (1 + place % 4)) for place in range(len(CELLS))])
    lived = without.copy()
    for place, (unit, service) in enumerate(CELLS):
        if service == "dfs":
            lived[place] = held_w(without[place], seconds, 17 * 3600, 18 * 3600, 0.82)
        if (unit, service) == ("_A", "balancing"):
            lived[place] = held_w(without[place], seconds, 19.67 * 3600, 20.33 * 3600, 0.5)
    return lived, without


def tell_instructions(journal, lived, without):
    """Ledger steps and beliefs of one DFS event in each unit and one acceptance."""
    asked = []
    for unit in UNITS:
        place = CELLS.index((unit, "dfs"))
        asked.append(
            (
                f"{DFS_ID}/{unit}",
                "dfs",
                unit,
                DFS_START,
                DFS_END,
                int(without[place][61_200:64_800].mean() * 0.8),
            )
        )
    asked.append((BM_ID, "balancing", "_A", BM_START, BM_END, int(without[2][70_800:73_200].mean() * 0.48)))
    for name, service, unit, start, end, watts in asked:
        cell = CELLS.index((unit, service))
        stages = (
            ("issued", start - 4 * HOUR_MS),
            ("accepted", start - HOUR_MS),
            ("delivering", start),
            ("completed", end),
        )
        for stage, at_ms in stages:
            journal.receive(
                m.InstructionStep(name, service, unit, at_ms, stage, "", start, end, watts), at_ms
            )
        for at_ms in range(start, end, 10_000):
            second = (at_ms - START) // 1000
            believed = int((without - lived)[cell][max(0, second - 45)] * 0.97)
            journal.receive(m.DeliveryBelief(name, unit, at_ms, watts, believed), at_ms)
    refused = m.InstructionStep(
        "_B/8", "balancing", "_B", BM_START, "issued", "", BM_START, BM_END, 9_000_000
    )
    journal.receive(refused, BM_START)
    declined = m.InstructionStep(
        "_B/8", "balancing", "_B", BM_START, "declined", "above the unit's limit", BM_START, BM_END, 9_000_000
    )
    journal.receive(declined, BM_START)
    return asked


def tell_money(journal, asked, lived, without):
    """Statements: what the true volumes were worth, with a baseline that is 6 % too high."""
    lines = []
    for name, service, unit, start, end, watts in asked:
        cell = CELLS.index((unit, service))
        for at_ms in range(start // PERIOD_MS * PERIOD_MS, end, PERIOD_MS):
            s = (at_ms - START) // 1000
            metered = lived[cell][s : s + 1800].sum() / 3600e6
            baseline = without[cell][s : s + 1800].sum() / 3600e6 * 1.06
            price = 1100.0 if service == "dfs" else 150.0
            wh = [round(mwh * 1e6) for mwh in (baseline, metered, baseline - metered, watts / 2e6)]
            journal.receive(
                m.DeliveredVolume(service.upper(), unit, name, at_ms, at_ms + PERIOD_MS, *wh, 400, 3),
                START + 40 * HOUR_MS,
            )
            paid = "DFS utilisation" if service == "dfs" else "offer pair +1"
            clause = (
                "DFS Procurement Rules v3, Schedule 3"
                if service == "dfs"
                else "BSC Section T3: CO = QAO x PO x TLM"
            )
            lines.append(
                line(
                    service,
                    unit,
                    name,
                    at_ms,
                    paid,
                    baseline - metered,
                    price,
                    round((baseline - metered) * price * 1e5),
                    clause,
                )
            )
            if service == "balancing":
                lines.append(
                    line(
                        service,
                        unit,
                        name,
                        at_ms,
                        "non-delivery pair +1",
                        -0.01,
                        60.0,
                        -60_000,
                        "BSC Section T4: non-delivery [M]",
                    )
                )
    journal.receive(m.Statement(tuple(lines)), START + 40 * HOUR_MS)


def line(service, unit, reference, at_ms, item, mwh, price, amount, clause):
    return m.StatementLine(
        "II",
        service.upper(),
        unit,
        reference,
        at_ms,
        item,
        float(mwh),
        price,
        amount,
        "eso",
        "aggregator",
        clause,
    )


def tell_comms(recorder):
    """A day of messages by minute; the Wi-Fi route is down from 17:20 to 17:45."""
    minutes = START + MINUTE_MS * np.arange(1440)
    down = (minutes >= local_clock_ms(DAY, 17, 20)) & (minutes < local_clock_ms(DAY, 17, 45))
    for route, n, loss, latency in (
        ("evcp_4g", 620, 0.03, 450),
        ("evcp_wifi_cloud", 1200, 0.006, 320),
        ("ev_telematics_cloud", 150, 0.01, 1900),
    ):
        lost = np.where(down & (route == "evcp_wifi_cloud"), n, round(n * loss))
        common = {"at_ms": minutes, "route": route, "direction": "up", "kind": "telemetry"}
        recorder.rows(
            "comms", **common, outcome="delivered", count=n - lost, latency_sum_ms=(n - lost) * latency
        )
        recorder.rows("comms", **common, outcome="lost", count=lost, latency_sum_ms=0)
        recorder.rows("comms", **common, outcome="duplicated", count=3, latency_sum_ms=0)
    for outcome, count in (("delivered", 3900), ("lost", 170)):
        recorder.rows(
            "comms",
            at_ms=DFS_START - 2 * MINUTE_MS,
            route="evcp_4g",
            direction="down",
            kind="setpoints",
            outcome=outcome,
            count=count,
            latency_sum_ms=count * 420,
        )
        recorder.rows(
            "comms",
            at_ms=DFS_START - 2 * MINUTE_MS,
            route="evcp_4g",
            direction="up",
            kind="acks",
            outcome=outcome,
            count=count - 100,
            latency_sum_ms=count * 420,
        )
    window = (local_clock_ms(DAY, 17, 20), local_clock_ms(DAY, 17, 45))
    recorder.outages([OutageRow("vendor_cloud", "evcp_wifi_cloud/2", *window, "both", "all", 1.0, 0)])


def tell_devices(recorder):
    """Three cars; car 1's day has everything in it."""
    at = lambda hour, minute=0, second=0: local_clock_ms(DAY, hour, minute) + 1000 * second  # noqa: E731
    for arm in (0, 1):
        days = [
            (at(6, 50), 8, 0),
            (at(7, 55), 2, 0),
            (at(18, 4), 10, 9_400),
            (at(18, 4), 1, 32_000),
            (at(18, 4), 3, 7_400),
        ]
        if arm == 0:
            days += [
                (at(19, 38, 21), 11, 0),
                (at(19, 40), 5, 0),
                (at(19, 40), 4, 41_000),
                (at(20, 2), 7, 0),
                (at(20, 2), 3, 7_400),
            ]
        days += [(at(22, 31), 4, 62_000)]
        times, kinds, values = (np.array(column) for column in zip(*days, strict=True))
        recorder.device_events(times, np.full(len(days), 1), kinds, values, arm, KINDS)
    sent = {
        "row": 1,
        "what": "setpoints",
        "instruction_id": BM_ID,
        "limit_w": 0,
        "from_ms": BM_START,
        "until_ms": BM_END,
    }
    recorder.rows("device_messages", at_ms=at(19, 37, 50), sequence=4, fate="lost", arrival_ms=NONE, **sent)
    recorder.rows(
        "device_messages",
        at_ms=at(19, 38, 20),
        sequence=5,
        fate="delivered",
        arrival_ms=at(19, 38, 21),
        **sent,
    )
    recorder.rows(
        "device_messages",
        at_ms=at(19, 50),
        sequence=6,
        fate="delivered",
        arrival_ms=at(19, 50),
        **sent,
    )
    ack = {"row": 1, "what": "acks", "instruction_id": "", "limit_w": -1, "from_ms": NONE, "until_ms": NONE}
    recorder.rows(
        "device_messages",
        at_ms=at(19, 38, 21),
        sequence=5,
        fate="delivered",
        arrival_ms=at(19, 38, 22),
        **ack,
    )
    n = np.arange(3)
    recorder.rows(
        "devices",
        row=n,
        device=n + 10,
        home=n * 2,
        unit=["_A", "_A", "_B"],
        service=["dfs", "balancing", "none"],
        gsp=["_A0", "_A1", "_B0"],
        route="evcp_4g",
        vendor=n,
        isp=n,
        mobile_operator=n,
        rating_w=7400,
        battery_wh=62_000,
        target_pct=80,
        ready_by_minute=420,
    )
    recorder.rows(
        "homes",
        home=np.arange(6),
        unit="_A",
        gsp="_A0",
        annual_wh=2_700_000,
        smart=1,
        hh_metered=1,
        hh_settled=0,
        evs=1,
        economy_7=0,
        heat="other_fuel",
        primary=0,
        hv_feeder=0,
        lv_feeder=0,
        zone="",
        own_id="",
    )
    periods = START + PERIOD_MS * np.arange(48)
    for at_ms in periods:
        recorder.rows(
            "home_half_hourly",
            at_ms=at_ms,
            home=np.arange(6),
            devices_wh=100,
            without_wh=120,
            base_wh=200,
            boundary_metered_wh=np.array([300, 300, 300, 300, 300, NONE]),
            asset_metered_wh=100,
        )
    ready = local_clock_ms(DAY, 7)
    for arm, short in ((0, [0, 900, 0, 500]), (1, [0, 0, 0, 500])):
        recorder.promises(
            np.arange(4),
            np.arange(4) * 2,
            np.full(4, ready),
            np.array([9000, 8000, -1, 7000]),
            np.array(short),
            arm,
        )


def make_run(
    path,
    *,
    level="devices",
    name="evening",
    seed=1,
    degraded=(),
    spoil=None,
    text=TEXT,
    question=QUESTION,
    remark="",
    invariants=None,
    also=None,
):
    """Write the run into `path`; `spoil(lived)` may change the power lived first, `also` add rows."""
    folder = RunFolder(path)
    folder.claim()
    scenario = Scenario(
        flextwin=1,
        name=name,
        question=question,
        seed=seed,
        clock=Clock(start=DAY),
        record=Record(level=RecordLevel(level)),
    )
    recorder, journal = Recorder(folder, LAYOUT, scenario.record), Journal()
    lived, without = power()
    if spoil:
        spoil(lived)
    for minute in range(0, 86_400, 600):
        window = slice(minute, minute + 600)
        at_ms = START + minute * 1000
        recorder.seconds(at_ms, lived[:, window], without[:, window])
        by_minute = [
            array[:, window].reshape(len(CELLS), -1, 60).mean(axis=2).astype(int)
            for array in (lived, without)
        ]
        recorder.minutes(
            at_ms, *(np.repeat(array.reshape(3, 3, -1).sum(axis=1), 2, axis=0) // 2 for array in by_minute)
        )
        for place, _ in enumerate(UNITS):
            recorder.published(
                at_ms, place, np.roll(lived[CELLS.index((UNITS[place], "balancing"))], 30)[window]
            )
    for period in range(48):
        half = slice(period * 1800, period * 1800 + 1800)
        wh = {
            "devices_wh": lived[:, half].sum(axis=1) // 3600,
            "without_wh": without[:, half].sum(axis=1) // 3600,
        }
        base = np.full(len(CELLS), 150_000)
        recorder.half_hour(
            START + period * PERIOD_MS,
            **wh,
            base_wh=base,
            base_without_wh=base,
            asset_metered_wh=wh["devices_wh"],
            boundary_metered_wh=wh["devices_wh"] + base,
            homes=np.full(len(CELLS), 400),
            readings_missing=np.full(len(CELLS), 3),
        )
    tell_money(journal, tell_instructions(journal, lived, without), lived, without)
    journal.receive(
        m.Remark(DFS_START + 5 * MINUTE_MS, "aggregator", "retry", "41 set-points sent again"), DFS_START
    )
    journal.receive(
        m.DfsRequirement(DFS_ID, DFS_START, DFS_END, 5.0, START, START, None, False), DFS_START - 4 * HOUR_MS
    )
    if remark:
        journal.receive(m.Remark(DFS_START, "aggregator", "hostile", remark), DFS_START)
    tell_comms(recorder)
    tell_devices(recorder)
    if also:
        also(recorder)
    tables = recorder.finish(journal.pages)
    recorder.forget_parts()
    folder.write_text("scenario.yaml", text)
    folder.write_json(
        MANIFEST, make_manifest(scenario, text, LAYOUT, tables, degraded=degraded, invariants=invariants)
    )
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run") / "evening")


@pytest.fixture(scope="session")
def write_run():
    return make_run


@pytest.fixture(scope="session", name="power")
def both_powers():
    return power()


@pytest.fixture(scope="session")
def nothing(tmp_path_factory):
    """A run in which nobody was asked for anything."""
    folder = RunFolder(tmp_path_factory.mktemp("nothing") / "run")
    folder.claim()
    scenario = Scenario(
        flextwin=1, name="nothing", clock=Clock(start=DAY), record=Record(level=RecordLevel.PORTFOLIO)
    )
    recorder = Recorder(folder, LAYOUT, scenario.record)
    _, without = power()
    recorder.seconds(START, without, without)
    recorder.minutes(START, *[without.reshape(len(CELLS), 1440, 60).mean(axis=2).astype(int)[:6]] * 2)
    tables = recorder.finish(())
    recorder.forget_parts()
    folder.write_json(MANIFEST, make_manifest(scenario, TEXT, LAYOUT, tables))
    return folder
