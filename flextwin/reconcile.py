"""What `flextwin reconcile` says: four views and why they differ, disputes and their outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from protocol.units import GBP_E5, WH_PER_KWH
from studies.disputes import Outcome, ledger
from studies.local_time import stamp
from studies.reconciliation import Difference, Reconciled, totals

VIEWS = ("traded", "notified", "instructed", "settled", "true")


def lines(rows: Sequence[Reconciled]) -> Iterator[str]:
    """A table of the periods, then every difference by cause, summed over them."""
    if not rows:
        yield "nothing was traded, instructed or settled"
        return
    heads = "".join(f"{view:>12}" for view in VIEWS)
    yield f"{'service':<10} {'unit':<8} {'reference':<12} {'from':<17}{heads}  [kWh]"
    for row in rows:
        heading = f"{row.service:<10} {row.unit:<8} {row.reference:<12} {stamp(row.start_ms):<17}"
        volumes = "".join(f"{getattr(row, f'{view}_wh') / WH_PER_KWH:>12,.1f}" for view in VIEWS)
        yield heading + volumes + ("  UNEXPLAINED" if row.unexplained else "")
    for (kind, earlier, later), parts in totals(rows).items():
        yield ""
        amount = sum(parts.values())
        yield f"{earlier} to {later}: {_told(kind, amount)}"
        for cause, part in parts.items():
            yield f"  {cause.value:<18} {_told(kind, part):>20}"
    red = sum(bool(row.unexplained) for row in rows)
    yield ""
    yield f"{len(rows)} periods, " + (f"{red} with something unexplained" if red else "nothing unexplained")


def dispute_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Each step of each dispute by day, then the lines that restate."""
    if not outcomes:
        return
    yield ""
    for step in ledger(list(outcomes)):
        yield f"{step.on}  {step.dispute:<10} {step.state:<12} {step.words}"
    for line in (line for each in outcomes for line in each.lines):
        amount = f"{line['amount_gbp_e5'] / GBP_E5:+,.2f} GBP"
        yield f"  line {line['line']:<5} {line['settlement_run']:<3} {line['item']:<32} {amount:>16}"
    total = sum(each.restated_gbp_e5 for each in outcomes) / GBP_E5
    upheld = sum(each.upheld for each in outcomes)
    yield f"{upheld} of {len(outcomes)} disputes upheld: {total:+,.2f} GBP"


def as_json(rows: Sequence[Reconciled], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All of it for a program: whole Wh and 1e-5 GBP."""
    return {
        "unexplained": sum(row.unexplained for row in rows),
        "periods": [_row_as_json(row) for row in rows],
        "disputes": [
            {
                "id": each.dispute.name,
                "line": each.dispute.line,
                "deadline": str(each.deadline),
                "upheld": each.upheld,
                "restated_gbp_e5": each.restated_gbp_e5,
                "steps": [{"on": str(s.on), "state": s.state, "words": s.words} for s in each.steps],
                "lines": list(each.lines),
            }
            for each in outcomes
        ],
    }


def _row_as_json(row: Reconciled) -> dict[str, Any]:
    heading = {name: getattr(row, name) for name in ("service", "unit", "reference", "start_ms")}
    return heading | {
        **{f"{view}_wh": getattr(row, f"{view}_wh") for view in VIEWS},
        "runs": [{"run": name, "settled_wh": wh} for name, wh in row.runs],
        "volumes_wh": [_difference_as_json(each) for each in row.volumes],
        "money_gbp_e5": [_difference_as_json(each) for each in row.money],
        "unexplained": row.unexplained,
    }


def _difference_as_json(each: Difference) -> dict[str, Any]:
    parts = {cause.value: part for cause, part in each.parts.items()}
    return {"from": each.earlier, "to": each.later, "amount": each.amount, "parts": parts}


def _told(kind: str, amount: int) -> str:
    return f"{amount / WH_PER_KWH:+,.1f} kWh" if kind == "Wh" else f"{amount / GBP_E5:+,.2f} GBP"
