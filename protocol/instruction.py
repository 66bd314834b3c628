"""The life of an instruction as a table of allowed transitions.

Each instruction has one ledger entry, and each entry ends in one terminal stage with one reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Stage(Enum):
    """Where an instruction is in its life."""

    ISSUED = "issued"
    ACCEPTED = "accepted"
    DELIVERING = "delivering"
    COMPLETED = "completed"
    DECLINED = "declined"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


TRANSITIONS: dict[Stage, tuple[Stage, ...]] = {
    Stage.ISSUED: (Stage.ACCEPTED, Stage.DECLINED, Stage.EXPIRED, Stage.SUPERSEDED),
    Stage.ACCEPTED: (Stage.DELIVERING, Stage.EXPIRED, Stage.FAILED, Stage.SUPERSEDED),
    Stage.DELIVERING: (Stage.COMPLETED, Stage.FAILED, Stage.SUPERSEDED),
    Stage.COMPLETED: (),
    Stage.DECLINED: (),
    Stage.FAILED: (),
    Stage.EXPIRED: (),
    Stage.SUPERSEDED: (),
}
"""From each stage, the stages that may follow. A stage with nothing after it is terminal."""

TERMINAL = frozenset(stage for stage, following in TRANSITIONS.items() if not following)


class TransitionError(ValueError):
    """An instruction was moved to a stage that cannot follow the one it is in."""


@dataclass(slots=True)
class LedgerEntry:
    """One instruction's history: `steps` holds (time [UTC ms], stage, reason), oldest first."""

    instruction_id: str
    service: str
    unit: str
    start_ms: int
    end_ms: int
    turn_down_w: int
    steps: list[tuple[int, Stage, str]] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        """The stage it is in now."""
        return self.steps[-1][1]

    @property
    def ended(self) -> bool:
        """Whether it is in a terminal stage."""
        return self.stage in TERMINAL

    def move(self, stage: Stage, now_ms: int, reason: str = "") -> None:
        """Append a step. Raises TransitionError when `stage` cannot follow the present one."""
        if self.steps and stage not in TRANSITIONS[self.stage]:
            raise TransitionError(
                f"instruction {self.instruction_id}: {self.stage.value} cannot become {stage.value}"
            )
        if not self.steps and stage is not Stage.ISSUED:
            raise TransitionError(
                f"instruction {self.instruction_id} must begin as issued, not {stage.value}"
            )
        self.steps.append((now_ms, stage, reason))


@dataclass(slots=True)
class Ledger:
    """Every instruction ever seen, by id, in the order in which they came."""

    entries: dict[str, LedgerEntry] = field(default_factory=dict)

    def open(self, entry: LedgerEntry, now_ms: int, reason: str = "") -> LedgerEntry:
        """Add a new instruction as issued. Raises TransitionError when its id is already there."""
        if entry.instruction_id in self.entries:
            raise TransitionError(f"instruction {entry.instruction_id} is already in the ledger")
        entry.move(Stage.ISSUED, now_ms, reason)
        self.entries[entry.instruction_id] = entry
        return entry

    def unfinished(self) -> list[LedgerEntry]:
        """Those not yet in a terminal stage."""
        return [entry for entry in self.entries.values() if not entry.ended]
