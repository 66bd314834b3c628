"""What a person watches while a run goes on, and how long it took: one of the two homes of the wall clock.

Silent without a terminal. Nothing here reaches a result.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from studies.local_time import stamp

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_REDRAW_S = 0.2


class Watch(Protocol):
    """What a run tells on its way."""

    def __call__(self, now_ms: int, import_w: int, faults: int) -> None:
        """Simulated time [UTC ms], import of all devices now [W], faults so far."""


@dataclass(slots=True)
class Stopwatch:
    """How long something takes on the wall clock [s]."""

    started_s: float = field(default_factory=time.perf_counter)

    def seconds(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self.started_s


@dataclass(slots=True)
class StopRequest:
    """Whether somebody asked to stop: Ctrl-C or SIGTERM. The second request is not waited for."""

    asked: bool = False

    def __call__(self) -> bool:
        """Whether to stop at the next good moment."""
        return self.asked

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    @contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Listen to both signals meanwhile."""
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(slots=True)
class ProgressLine:
    """A line with simulated time, speed against real time, MW now and faults so far."""

    start_ms: int
    end_ms: int
    line: Progress
    task: TaskID
    watch: Stopwatch = field(default_factory=Stopwatch)
    first_ms: int | None = None
    first_s: float = 0.0
    drawn_s: float = -1.0

    def __call__(self, now_ms: int, import_w: int, faults: int) -> None:
        """Take the news; draw at most a few times a second."""
        seconds = self.watch.seconds()
        if self.first_ms is None:
            self.first_ms, self.first_s = now_ms, seconds
        if seconds - self.drawn_s < _REDRAW_S and now_ms < self.end_ms:
            return
        self.drawn_s = seconds
        speed = (now_ms - self.first_ms) / 1000 / max(seconds - self.first_s, 1e-3)
        told = f"{stamp(now_ms)}  {import_w / 1e6:7.2f} MW  {speed:,.0f} x real time"
        told += f"  {faults:,} faults" if faults else ""
        done = min(1.0, (now_ms - self.start_ms) / max(self.end_ms - self.start_ms, 1))
        self.line.update(self.task, completed=done, description=told)


@contextmanager
def progress_line(start_ms: int, end_ms: int, *, quiet: bool = False) -> Iterator[Watch | None]:
    """A progress line on the terminal while a run goes on; None where there is no terminal to draw on."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(bar_width=24), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as line:
        task = line.add_task("living the days before, for meters and baselines", total=1.0)
        yield ProgressLine(start_ms, end_ms, line, task)
