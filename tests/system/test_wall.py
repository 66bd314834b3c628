"""The information wall: what is hidden from a real aggregator may be poison; it decides the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from protocol.messages import Message, Setpoints
from protocol.party import Envelope
from sim.run import Run
from sim.scenario import Scenario
from sim.scenario_file import parse_scenario


class Poison:
    """Truth that kills whoever looks at it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"somebody looked at hidden truth: {name}")


class Behind:
    """The aggregator, with the world poisoned whenever it thinks. Keeps what it decided."""

    def __init__(self, run: Run, *, poisoned: bool) -> None:
        self._run = run
        self._inner = run.parties["aggregator"]
        self._poisoned = poisoned
        self.name = self._inner.name
        self.decided: list[tuple[Any, ...]] = []

    @property
    def state(self) -> object:
        return self._inner.state

    def receive(self, message: Message, now_ms: int) -> None:
        self._behind_the_wall(lambda: self._inner.receive(message, now_ms))

    def next_deadline_ms(self) -> int:
        return self._inner.next_deadline_ms()

    def on_deadline(self, now_ms: int) -> None:
        self._behind_the_wall(lambda: self._inner.on_deadline(now_ms))

    def take_outbox(self) -> list[Envelope]:
        outbox = self._inner.take_outbox()
        self.decided += [_as_plain(envelope) for envelope in outbox]
        return outbox

    def _behind_the_wall(self, think: Callable[[], None]) -> None:
        hidden = [
            (part, "state")
            for part in (
                *self._run.fleet.fleets,
                *self._run.without.fleets,
                self._run.network,
                self._run.meters,
                self._run.households,
            )
        ]
        if self._run.churn is not None:
            hidden.append((self._run.churn, "_state"))
        hidden += [
            (self._run, "population"),
            (self._run, "prices"),
            *((fleet, "spec") for fleet in (*self._run.fleet.fleets, *self._run.without.fleets)),
        ]
        truth = [getattr(part, name) for part, name in hidden]
        if self._poisoned:
            for part, name in hidden:
                setattr(part, name, Poison())
        try:
            think()
        finally:
            for (part, name), value in zip(hidden, truth, strict=True):
                setattr(part, name, value)


def _as_plain(envelope: Envelope) -> tuple[Any, ...]:
    message = envelope.message
    if isinstance(message, Setpoints):
        return (
            envelope.to,
            message.instruction_id,
            message.rows.tolist(),
            message.limit_w.tolist(),
            message.until_ms.tolist(),
        )
    return (envelope.to, type(message).__name__)


def decisions(run: Run, *, poisoned: bool) -> list[tuple[Any, ...]]:
    behind = Behind(run, poisoned=poisoned)
    run.parties["aggregator"] = behind
    run.post.parties["aggregator"] = behind
    run.go("", None, None)
    return behind.decided


def test_decisions_do_not_change_when_hidden_truth_is_poison(
    small_scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    open_eyed = decisions(make_run(small_scenario), poisoned=False)
    blind = decisions(make_run(small_scenario), poisoned=True)
    assert any(what[0] == "gateway" for what in open_eyed)
    assert open_eyed == blind


def test_nor_when_the_truth_of_who_moved_and_withdrew_is_poison(
    churning_scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    open_eyed = decisions(make_run(churning_scenario), poisoned=False)
    assert any(what[0] == "settlement" for what in open_eyed)
    assert decisions(make_run(churning_scenario), poisoned=True) == open_eyed


def test_nor_where_people_are_asked_and_what_they_will_do_is_hidden(
    asking_text: str, make_run: Callable[..., Run]
) -> None:
    asking = parse_scenario(asking_text, "asking.yaml")
    open_eyed = decisions(make_run(asking), poisoned=False)
    assert open_eyed == decisions(make_run(asking), poisoned=True)
    assert ("gateway", "EventNotice") in open_eyed
    assert ("settlement", "DfsParticipants") in open_eyed


def test_an_aggregator_that_peeks_dies_of_the_poison(
    small_scenario: Scenario, make_run: Callable[..., Run]
) -> None:
    run = make_run(small_scenario)
    inner = run.parties["aggregator"]
    honest = inner.on_deadline

    def peek(now_ms: int) -> None:
        np.sum(run.fleet.cars.state.rows["import_w"])
        honest(now_ms)

    inner.on_deadline = peek
    with pytest.raises(AssertionError, match="hidden truth"):
        decisions(run, poisoned=True)
