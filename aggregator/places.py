"""Names of the places in what a look at a unit gives: each row's part, and the unit's sums."""

from __future__ import annotations

NO_PART, HOLDABLE, IS_HELD, RAISABLE, IS_RAISED = 0, 1, 2, 3, 4
"""The part of a row in the next decision."""

(
    DROP_W,  # what held rows that have been seen to obey do not draw
    ACKED_W,  # what rows that acknowledged, but were not seen yet, would not draw
    PENDING_W,  # what rows told but not heard of would not draw, halved with every attempt
    RISE_W,  # what raised rows are seen to draw
    PENDING_RISE_W,
    FREE_W,  # what may be turned down now
    EXPORT_W,  # what batteries may be told to give, beyond drawing nothing
    WAITING_W,  # what waits and could be asked to charge
    UNSEEN,  # weight of rows not heard of lately ...
    WEIGHT,  # ... of this weight in all
    BUSY,  # rows held, raised, or told something that is not answered yet
    EXPIRING_W,  # of what held rows do not draw, what ends before others told now would follow
    COLD_W,  # of what may be turned down, what draws in rooms and stores that are too near their floor
    SUMS,
) = range(14)
"""Places in the sums of a unit."""
