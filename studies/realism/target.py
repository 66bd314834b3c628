"""One target of realism: what was published, what the twin gives seed by seed, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass

SEEDS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Target:
    """One published figure and the twin's, by seed.

    `band` is inclusive; `by_seed` False means that the band is about the mean of the seeds, where the
    published figure is itself of one stretch of years. `doubt`
    says what does not fit although the band holds.
    """

    id: str
    what: str
    source: str
    published: str
    band: tuple[float, float]
    found: tuple[float, ...]
    mechanism: str
    digits: int = 2
    by_seed: bool = True
    doubt: str = ""

    @property
    def judged(self) -> tuple[float, ...]:
        """The values the band is about."""
        return self.found if self.by_seed else (sum(self.found) / len(self.found),)

    @property
    def holds(self) -> bool:
        """Whether every judged value lies in the band."""
        low, high = self.band
        return all(low <= value <= high for value in self.judged)
