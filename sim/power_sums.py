"""The power of groups at every whole second of a stretch: changes in whole watts, added up in any order."""

from __future__ import annotations

import numpy as np

from protocol.messages import I64


class PowerSums:
    """What threads add to while they live a stretch, each to its own columns."""

    def __init__(self, groups: int, from_ms: int, until_ms: int, workers: int, *, by_second: bool) -> None:
        """No second at all unless `by_second`."""
        self.first_second = -(-from_ms // 1000)
        self._seconds = -(-until_ms // 1000) - self.first_second if by_second else 0
        self.changes_w = [np.zeros((groups, self._seconds + 1), np.int64) for _ in range(workers)]
        """Per thread: by how much each group's power changes up to each second; the last entry takes all that
        comes after the last whole second.
        """

    def seconds_w(self, levels_w: I64) -> I64:
        """Power at each whole second after all that happened up to it (groups, seconds).

        `levels_w` (groups,) is the power at the start. To be asked once: the threads' columns are used up.
        """
        power_w = self.changes_w[0]
        for more_w in self.changes_w[1:]:
            power_w += more_w
        np.cumsum(power_w, axis=1, out=power_w)
        power_w += levels_w[:, None]
        return power_w[:, : self._seconds]
