"""A whole day on which customers move, withdraw and change devices: what may never happen, and same again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from protocol.messages import AckOutcome, Acks, Change, RegistryChange, Setpoints, Telemetry
from sim.post import Mail
from sim.run import Run, resume_run, run_scenario
from sim.run_folder import RunFolder
from sim.scenario import Scenario
from studies.device_trace import trace_device
from studies.kpis import compute_kpis

ENDS = ("moved", "consent_withdrawn")


class Day:
    """One run, and all mail of it."""

    def __init__(self, scenario: Scenario, text: str, out: Path) -> None:
        folder = RunFolder(out)
        folder.claim()
        self.run = Run(scenario, folder)
        self.mail: list[Mail] = []
        hear = self.run.post.heard
        assert hear is not None

        def keep(mail: Mail) -> None:
            hear(mail)
            if isinstance(mail.message, Setpoints | Acks | Telemetry | RegistryChange):
                self.mail.append(mail)

        self.run.post.heard = keep
        self.run.live_history()
        self.run.go(text, None, None)
        self.folder = folder
        self.changes: list[dict[str, Any]] = folder.table("registry_changes").to_pylist()

    def sent(self, kind: type[Any], to: str = "aggregator") -> list[Mail]:
        return [mail for mail in self.mail if isinstance(mail.message, kind) and mail.to == to]

    def without_consent(self, row: int) -> list[tuple[int, int]]:
        """When consent had ended for a row, from and until [UTC ms]."""
        mine = sorted((c["at_ms"], c["kind"]) for c in self.changes if c["row"] == row)
        ended = [at_ms for at_ms, kind in mine if kind in ENDS]
        again = [at_ms for at_ms, kind in mine if kind == "enrolled"] + [2**62]
        return [(from_ms, min(at for at in again if at >= from_ms)) for from_ms in ended]


@pytest.fixture(scope="module")
def day(churning_scenario: Scenario, churning_text: str, tmp_path_factory: pytest.TempPathFactory) -> Day:
    return Day(churning_scenario, churning_text, tmp_path_factory.mktemp("churn") / "run")


def test_everything_happened_that_may_happen(day: Day) -> None:
    kinds = {change["kind"] for change in day.changes}
    assert kinds == {*ENDS, "device_swapped", "firmware", "msid_deallocated", "enrolled"}
    assert json.loads((day.folder.path / "manifest.json").read_text())["invariants"] == {}


def test_no_set_point_is_applied_after_consent_has_ended(day: Day) -> None:
    ended = {row: day.without_consent(row) for row in {change["row"] for change in day.changes}}
    obeyed = [
        event
        for event in day.folder.table("device_events").to_pylist()
        if event["kind"] == "order" and event["arm"] == "lived"
    ]
    assert obeyed
    for event in obeyed:
        for from_ms, until_ms in ended.get(event["row"], []):
            assert not from_ms <= event["at_ms"] < until_ms


def test_no_reading_is_taken_after_consent_has_ended(day: Day) -> None:
    ended = {row: day.without_consent(row) for row in {change["row"] for change in day.changes}}
    for mail in day.sent(Telemetry):
        told = mail.message
        assert isinstance(told, Telemetry)
        for row, at_ms in zip(told.rows.tolist(), told.event_ms.tolist(), strict=True):
            for from_ms, until_ms in ended.get(row, []):
                assert not from_ms <= at_ms < until_ms


def test_who_withdrew_is_refused_once_and_told_nothing_after_that_is_heard(day: Day) -> None:
    refused = [
        row
        for mail in day.sent(Acks)
        for row in mail.message.rows[mail.message.outcome == AckOutcome.NO_CONSENT].tolist()
    ]
    assert refused
    assert sum(change["setpoints_unheard"] for change in day.changes) >= len(set(refused))
    assert sum(change["setpoints_heard"] for change in day.changes) == 0
    told: dict[int, int] = {}
    for mail in day.mail:
        if isinstance(mail.message, RegistryChange) and mail.to == "aggregator":
            for row in mail.message.rows.tolist():
                if mail.message.kind in (Change.MOVED, Change.WITHDRAWN, Change.DEALLOCATED):
                    told[row] = mail.due_ms
                elif mail.message.kind is Change.ENROLLED:
                    told.pop(row, None)
        elif isinstance(mail.message, Setpoints):
            assert not set(mail.message.rows.tolist()) & {row for row, at in told.items() if at < mail.due_ms}


def test_every_change_is_told_once_or_never(day: Day) -> None:
    told: list[tuple[int, int, int]] = []
    for mail in day.mail:
        if isinstance(mail.message, RegistryChange) and mail.sender == "gateway":
            kind = int(mail.message.kind)
            told += [
                (row, at_ms, kind)
                for row, at_ms in zip(
                    mail.message.rows.tolist(), mail.message.effective_ms.tolist(), strict=True
                )
            ]
    assert len(told) == len(set(told))
    end_ms = day.run.post.state.now_ms
    heard = [
        change for change in day.changes if change["heard_ms"] is not None and change["heard_ms"] <= end_ms
    ]
    assert len(heard) == len(told)
    assert any(change["heard_ms"] is None for change in day.changes)


def test_registers_begin_anew_and_meet_those_before(day: Day) -> None:
    """Where a meter was fitted, what is told now and what its forerunners had is what was truly drawn."""
    assert day.run.churn is not None
    state = day.run.churn.state
    skew_ms = 60_000
    fitted_ms = {c["row"]: c["at_ms"] + skew_ms for c in day.changes if c["kind"] == "device_swapped"}
    last: dict[int, tuple[int, int]] = {}
    for mail in day.sent(Telemetry):
        told = mail.message
        assert isinstance(told, Telemetry)
        assert (told.register_wh >= 0).all()
        for row, at_ms, wh in zip(
            told.rows.tolist(), told.event_ms.tolist(), told.register_wh.tolist(), strict=True
        ):
            if at_ms >= max(fitted_ms.get(row, 2**62), last.get(row, (0, 0))[0]):
                assert wh >= last.get(row, (0, 0))[1]
                last[row] = at_ms, wh
    shown_wh = day.run.fleet.shown_wh(np.arange(len(state.before_wh), dtype=np.int32))
    charged = 0
    for row, (_, wh) in last.items():
        assert wh + state.before_wh[row] <= shown_wh[row]
        charged += wh
    assert charged > 0


def test_no_half_hour_of_an_asset_meter_is_negative(day: Day) -> None:
    table = day.folder.table("home_half_hourly", ["asset_metered_wh"])
    metered_wh = table["asset_metered_wh"].drop_null().to_numpy()
    assert len(metered_wh) < table.num_rows
    assert (metered_wh >= 0).all()


def test_the_report_counts_what_became_of_whom(day: Day) -> None:
    kpis = compute_kpis(day.folder)
    assert kpis["registry_moved"] == sum(change["kind"] == "moved" for change in day.changes)
    assert kpis["setpoints_heard"] == 0
    assert kpis["registry_untold"] > 0


def test_a_trace_tells_what_became_of_a_device_and_who_heard_of_it(day: Day) -> None:
    for kind, words in (
        ("consent_withdrawn", "the customer withdrew consent (the aggregator heard"),
        ("moved", "the household moved out: consent ended (nobody told)"),
        ("msid_deallocated", "takes its volumes no more (settlement heard"),
    ):
        untold = kind == "moved"
        row = next(c["row"] for c in day.changes if c["kind"] == kind and (c["heard_ms"] is None) == untold)
        assert any(words in line for line in trace_device(day.folder, row).lines())


def hashes(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return {name: table["sha256"] for name, table in manifest["tables"].items()}


@pytest.mark.parametrize("stops", [150, 330])
def test_stopped_and_resumed_is_the_same(
    day: Day, churning_scenario: Scenario, churning_text: str, tmp_path: Path, stops: int
) -> None:
    left = stops

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left == 0

    out = tmp_path / "stopped"
    assert run_scenario(churning_scenario, out, text=churning_text, stop=stop).interrupted
    assert not resume_run(out).interrupted
    assert hashes(out) == hashes(day.folder.path)
