"""The threads of a run: parts of one piece of work, done side by side.

What comes of a part must not depend on which thread does it, nor on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

T = TypeVar("T")


class Threads:
    """`workers` threads; whoever asks for something to be done is the first of them."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._others = ThreadPoolExecutor(workers - 1) if workers > 1 else None

    def each(self, work: Callable[[int, int], T], parts: int) -> list[T]:
        """What `work(worker, part)` gives for part 0 .. parts - 1; the first error of any is raised."""
        found: dict[int, T] = {}
        numbers = iter(range(parts))  # shared: every part is taken once, by whoever comes first

        def labour(worker: int) -> None:
            for part in numbers:
                found[part] = work(worker, part)

        if self._others is None or parts < 2:
            labour(0)
        else:
            others = [self._others.submit(labour, worker) for worker in range(1, min(self.workers, parts))]
            try:
                labour(0)
            finally:
                wait(others)
            for other in others:
                other.result()
        return [found[part] for part in range(parts)]


def equal_parts(count: int, parts: int) -> list[tuple[int, int]]:
    """`count` things in equal parts: (first, end) of each."""
    return [(count * part // parts, count * (part + 1) // parts) for part in range(parts)]


def even_parts(count: int, most: int) -> int:
    """In how many parts of at most `most` things to do `count`: as many for each of two threads."""
    return 2 * -(-count // (2 * most)) if count > _WORTH_PARTING else 1


_WORTH_PARTING = 4_096
"""As many rows are done before a second thread has begun: measured."""
