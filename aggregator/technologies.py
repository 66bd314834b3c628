"""What the control loop knows of each kind of asset: how long it may be held, how fast it answers, both ways.

`NATURES` is the table; `TABLE` the same for compiled loops (technologies, columns). Cars keep their own
path (deadlines, `maximum_hold_ms` of the owner's settings): of their row only what others ask for is used.

What a held asset would do if it were let alone ("will"):

| will | counterfactual power | what an order can do |
|---|---|---|
| SESSION | what it drew, until what it wanted is in (`belief.py`) | hold at 0; ask to charge |
| STEADY | what it drew, until its hold ends or it says that it is satisfied | hold at 0; some: fill a store |
| PLAN | what it drew or gave when it was chosen | any level, export too, within what is stored |
| LIGHT | what it gave when it was chosen | give nothing: only where `AggregatorSettings.curtail_generation` |
| OWNER | - | nothing: its owner is asked, not the device |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protocol.messages import I64, Technology

SESSION, STEADY, PLAN, LIGHT, OWNER = range(5)

_MINUTE_MS, _HOUR_MS = 60_000, 3_600_000


@dataclass(frozen=True, slots=True)
class Nature:
    """One row of the table.

    `hold_ms` the longest hold per event, `stored_hold_ms` where a store is registered (`battery_wh`),
    `rest_ms` how long at most it is let alone after a hold (as long as it was held), `response_ms` how long
    after an order its power changes, `idle_below_w` what is too little to turn down, `planning_w` what one is
    counted with before it has any history [W], `exports` whether its power can be negative, `stores` whether
    one that waits can be asked to draw all it can, into a store of known size.
    """

    will: int
    hold_ms: int
    stored_hold_ms: int
    rest_ms: int
    response_ms: int
    idle_below_w: int
    planning_w: int
    exports: bool = False
    stores: bool = False


NATURES: dict[Technology, Nature] = {
    # CrowdFlex WP5 table 4: 4 h, instant. `planning_w` and `idle_below_w` of cars: `Assumptions`.
    Technology.EV: Nature(SESSION, 4 * _HOUR_MS, 4 * _HOUR_MS, 0, 0, 300, 900),
    # WP5 table 4: 1-2 h without and 4-6 h with storage, about 2 min. Rest: assumed, as 30-70 % of the avoided
    # energy comes back in 2-4 h (from memory). Peak of many: 1.7 kW each (from memory).
    Technology.HEAT_PUMP: Nature(
        STEADY, 2 * _HOUR_MS, 5 * _HOUR_MS, 90 * _MINUTE_MS, 2 * _MINUTE_MS, 300, 1_700
    ),
    # WP5 table 4, heat with storage. What a night's charge of 7 h can spare: 4 h; the rest is assumed.
    Technology.STORAGE_HEATER: Nature(
        STEADY, 4 * _HOUR_MS, 4 * _HOUR_MS, _HOUR_MS, 2 * _MINUTE_MS, 300, 2_000
    ),
    # WP5 table 4, heat without storage: the lower end, as direct heaters have no flow to coast on; assumed.
    Technology.RESISTIVE: Nature(STEADY, _HOUR_MS, _HOUR_MS, 45 * _MINUTE_MS, 2 * _MINUTE_MS, 300, 800),
    # WP5 table 4, heat with storage: the lower end.
    Technology.HOT_WATER: Nature(
        STEADY, 4 * _HOUR_MS, 4 * _HOUR_MS, _HOUR_MS, 2 * _MINUTE_MS, 300, 300, stores=True
    ),
    # As long as its energy lasts, at most 4 h; inverters answer within seconds; assumed.
    Technology.BATTERY: Nature(PLAN, 4 * _HOUR_MS, 4 * _HOUR_MS, 0, 0, 100, 500, exports=True),
    Technology.PV: Nature(LIGHT, 4 * _HOUR_MS, 4 * _HOUR_MS, 0, 0, 100, 0, exports=True),
    Technology.APPLIANCE: Nature(OWNER, 0, 0, 0, 0, 0, 100),
    # Half an hour off warms a full fridge by less than its own swing; then as long again to cool; assumed.
    Technology.FRIDGE: Nature(STEADY, _HOUR_MS // 2, _HOUR_MS // 2, _HOUR_MS // 2, 0, 30, 50),
    # WP5 table 4, heat without storage: 1 h; the rest is assumed.
    Technology.BUILDING: Nature(STEADY, _HOUR_MS, _HOUR_MS, 45 * _MINUTE_MS, 2 * _MINUTE_MS, 500, 5_000),
    # A tank: assumed to last 4 h at full power.
    Technology.GENERATOR: Nature(PLAN, 4 * _HOUR_MS, 4 * _HOUR_MS, 0, _MINUTE_MS, 100, 0, exports=True),
}

WILL, HOLD_MS, STORED_HOLD_MS, REST_MS, RESPONSE_MS, IDLE_BELOW_W, PLANNING_W, EXPORTS, STORES = range(9)
"""Columns of `TABLE`."""

SUCCESSION_MS = 30_000
"""A hold that ends within the response time and this counts as ended: three turns of the loop in which others
are told.
"""


def _table() -> I64:
    rows = [
        [
            nature.will,
            nature.hold_ms,
            nature.stored_hold_ms,
            nature.rest_ms,
            nature.response_ms,
            nature.idle_below_w,
            nature.planning_w,
            int(nature.exports),
            int(nature.stores),
        ]
        for nature in (NATURES[technology] for technology in Technology)
    ]
    return np.array(rows, dtype=np.int64)


TABLE = _table()
