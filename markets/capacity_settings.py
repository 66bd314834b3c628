"""What the capacity market is told when it is made: its script of notices, the rules in force, its faults.

Times are UTC milliseconds. There are no defaults here; they live with the scenario.
"""

from __future__ import annotations

from dataclasses import dataclass

from markets.settings import FaultPlan, RulesInForce, SettingsError
from protocol.periods import PERIOD_MS


@dataclass(frozen=True, slots=True)
class CapacityNoticeScript:
    """One notice to be given: stress is foreseen from `start_ms` to `end_ms`.

    `load_following_share` of the obligations is owed meanwhile. `stressed`: whether stress came true.
    `withdrawn_ms` None: it stands to its end.
    """

    notice_id: str
    issued_ms: int
    start_ms: int
    end_ms: int
    load_following_share: float
    stressed: bool
    withdrawn_ms: int | None

    def __post_init__(self) -> None:
        if self.start_ms % PERIOD_MS or self.end_ms % PERIOD_MS or self.end_ms <= self.start_ms:
            raise SettingsError(
                f"capacity notice {self.notice_id}: {self.start_ms} to {self.end_ms} is not one or more "
                "whole settlement periods; use times on the hour or half hour, the end after the start"
            )
        if self.withdrawn_ms is not None and self.withdrawn_ms <= self.issued_ms:
            raise SettingsError(
                f"capacity notice {self.notice_id} is withdrawn at {self.withdrawn_ms}, before it is issued"
            )


@dataclass(frozen=True, slots=True)
class CapacitySettings:
    """What the capacity market is told. An occasion of `faults` is a notice, in the order of the script."""

    start_ms: int
    notices: tuple[CapacityNoticeScript, ...]
    rules: RulesInForce
    faults: FaultPlan
