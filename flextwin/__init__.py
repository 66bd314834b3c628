"""The front door of the twin: command line and Python API, the only package a user imports.

    import flextwin

    run = flextwin.run("scenarios/demo.yaml")
    run.kpis["gbp_total"], run.table("portfolio_1s"), run.report

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flextwin.api import Run, RunInterruptedError, diff, open_run, report, rerun, resume, run, validate

__all__ = [
    "Run",
    "RunInterruptedError",
    "diff",
    "open_run",
    "report",
    "rerun",
    "resume",
    "run",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from flextwin import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
