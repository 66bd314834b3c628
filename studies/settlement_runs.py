"""What each settlement run said and changed, over all Settlement Days of a run folder.

Owns the sums behind the key figures and the report's page on them; the table `settlement_runs` is there under
`markets.settlement.runs: calendar` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from protocol.settlement_calendar import RUNS
from sim.run_folder import RunFolder

TABLE = "settlement_runs"


@dataclass(frozen=True, slots=True)
class RunSum:
    """One settlement run over all days that had it; `stands_gbp_e5` counts the runs before it."""

    run: str
    days: int
    first_ms: int
    last_ms: int
    meters: int
    meters_on_actuals: int
    metered_wh: int
    actual_wh: int
    change_gbp_e5: int
    stands_gbp_e5: int

    @property
    def actuals_share(self) -> float:
        """Share of the energy that is settled on actuals; 1 where there is none."""
        return self.actual_wh / self.metered_wh if self.metered_wh else 1.0


def run_sums(folder: RunFolder) -> list[RunSum]:
    """The runs that were made, in their order; none without the table."""
    rows = folder.table(TABLE).to_pylist() if folder.has_table(TABLE) else []
    made = [(run, [row for row in rows if row["settlement_run"] == run]) for run in RUNS]
    made = [(run, own) for run, own in made if own]
    stands = accumulate(sum(row["change_gbp_e5"] for row in own) for _, own in made)
    return [_run_sum(run, own, gbp_e5) for (run, own), gbp_e5 in zip(made, stands, strict=True)]


def _run_sum(run: str, rows: list[dict[str, Any]], stands_gbp_e5: int) -> RunSum:
    names = ("meters", "meters_on_actuals", "metered_wh", "actual_wh", "change_gbp_e5")
    sums = {name: sum(row[name] for row in rows) for name in names}
    published_ms = [row["published_ms"] for row in rows]
    return RunSum(
        run=run,
        days=len(rows),
        first_ms=min(published_ms),
        last_ms=max(published_ms),
        stands_gbp_e5=stands_gbp_e5,
        **sums,
    )
