"""What an asset that is no car is believed to do and to be free to do: one row of a look (`belief.look`).

As for cars, telemetry settles what became of orders, and every row gets its part in the next decision. The
table of `technologies.py` says how: a heat pump is held at 0 for two hours at most and answers after two
minutes; a battery is told a level relative to its own plan, as long as what it stores above its reserve
lasts. What a row can be held for [s] takes the place of a car's slack.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from aggregator.places import (
    ACKED_W,
    BUSY,
    COLD_W,
    DROP_W,
    EXPIRING_W,
    EXPORT_W,
    FREE_W,
    HOLDABLE,
    IS_HELD,
    IS_RAISED,
    NO_PART,
    PENDING_RISE_W,
    PENDING_W,
    RAISABLE,
    RISE_W,
    WAITING_W,
)
from aggregator.sending import (
    ACKNOWLEDGED,
    FAILED,
    FREE,
    GIVEN_UP,
    HELD,
    RAISED,
    RESPONDED,
    SEEN,
    SILENT,
    UNANSWERED,
    UP_FAILED,
    UP_RESPONDED,
    level_w,
)
from aggregator.technologies import (
    HOLD_MS,
    IDLE_BELOW_W,
    LIGHT,
    PLAN,
    RESPONSE_MS,
    REST_MS,
    STEADY,
    STORED_HOLD_MS,
    STORES,
    SUCCESSION_MS,
    WILL,
)
from aggregator.telemetry import CHARGING, FULL, LIMITED, OVERRIDDEN, UNPLUGGED, WAITING
from protocol.messages import Technology

GENERATOR = int(Technology.GENERATOR)
LEAST_FILL_S = 900
"""A store that is full sooner is not worth an order; assumed."""
SPREAD = 40_503
"""Times a row's number, modulo 2**16: spreads any run of rows evenly (Knuth 6.4: golden ratio)."""


@njit(cache=True, nogil=True)
def let_go(c: Any, now_ms: int, rest_ms: int) -> None:
    """Back to its own will; it rests as long as it was held, at most `rest_ms`."""
    c.intent = FREE
    rested_ms = now_ms + min(rest_ms, max(now_ms - c.since_ms, 0))
    c.barred_s = max(np.int64(c.barred_s), rested_ms // 1000)


@njit(cache=True, nogil=True)
def stored_wh(held: Any, session: Any, from_pct: int) -> float:
    """Energy above a state of charge [Wh]; 0 where size or state are not known."""
    if held.soc_pct < 0 or session.battery_wh <= 0:
        return 0.0
    return max(int(held.soc_pct) - from_pct, 0) * float(session.battery_wh) / 100.0


@njit(cache=True, nogil=True)
def lowest_pct(
    held: Any, session: Any, for_s: int, reserve_pct: int, efficiency: float, least_pct: int
) -> int:
    """The level at which a battery can be held for so long [% of its rating]: export, or 0."""
    if held.technology == GENERATOR:
        return -100
    give_w = stored_wh(held, session, reserve_pct) * efficiency * 3600.0 / max(for_s, 1)
    level = min(int(100.0 * give_w / max(held.rating_w, 1)), 100)
    return -level if level >= least_pct else 0


@njit(cache=True, nogil=True)
def highest_pct(held: Any, session: Any, for_s: int, efficiency: float) -> int:
    """The level at which a battery can be charged for so long [% of its rating]."""
    if held.technology == GENERATOR or held.soc_pct < 0 or session.battery_wh <= 0:
        return 0
    room_wh = (100 - int(held.soc_pct)) * float(session.battery_wh) / 100.0 / efficiency
    return min(int(100.0 * room_wh * 3600.0 / max(for_s, 1) / max(held.rating_w, 1)), 100)


@njit(cache=True, nogil=True)
def fills_s(held: Any, session: Any) -> int:
    """How long a store of known size takes at full power until it is full [s]; 0 where nothing is known."""
    if held.soc_pct < 0 or session.battery_wh <= 0:
        return 0
    room_wh = (100 - int(held.soc_pct)) * float(session.battery_wh) / 100.0
    return int(room_wh * 3600.0 / max(held.rating_w, 1))


@njit(cache=True, nogil=True)
def left_s(
    held: Any, session: Any, c: Any, now_ms: int, hold_ms: int, will: int, reserve_pct: int, warmth_pct: int
) -> int:
    """For how long a held row may be held yet [s]."""
    left: int = (hold_ms - max(now_ms - c.since_ms, 0)) // 1000
    limit_w = level_w(held.rating_w, c.level_pct)
    if will == PLAN and limit_w < 0 and held.technology != GENERATOR:
        lasts_s = stored_wh(held, session, reserve_pct) * 3600.0 / -limit_w
        left = min(left, int(lasts_s))
    if will == STEADY and 0 <= held.soc_pct < warmth_pct:
        left = 0
    return left


@njit(cache=True, nogil=True)
def early_s(row: int, over_ms: int) -> int:
    """So long before the longest hold a row is let go [s]: evenly over `over_ms`, by its number.

    What was told together would otherwise come back together, however long afterwards.
    """
    return int(row * SPREAD % 65_536 * (over_ms // 1000) // 65_536)


@njit(cache=True, nogil=True)
def settle_free(c: Any, held: Any, stale: bool) -> None:
    """What telemetry says of a row that is to have its own will."""
    if held.status == LIMITED:
        return
    if c.told == FREE:
        if c.answer == UNANSWERED and held.event_ms > c.sent_ms:
            c.answer = SEEN
    elif c.answer == GIVEN_UP and held.event_ms > max(c.sent_ms, c.sure_ms) and not stale:
        c.told = FREE
        c.answer = SILENT


@njit(cache=True, nogil=True)
def settle_held(
    c: Any, held: Any, experience: Any, obeys: bool, now_ms: int, settle_ms: int, bar_ms: int
) -> None:
    """What telemetry says of a hold: obeyed, to be told again, or ignored. As `belief.look_kernel`."""
    heard = held.event_ms >= c.since_ms and c.told == HELD
    if obeys:
        if c.answer == ACKNOWLEDGED or held.event_ms > max(c.sure_ms, c.sent_ms):
            if c.answer != ACKNOWLEDGED:
                c.sure_ms = c.until_ms
            c.answer = SEEN
        if c.proven == 0:
            c.proven = 1
            experience[RESPONDED] += c.nominal_w
    elif heard and held.event_ms > c.sent_ms and c.answer in (ACKNOWLEDGED, SEEN):
        if now_ms >= c.sure_ms:
            c.answer = UNANSWERED
            c.next_ms = now_ms
            c.attempts = 0
        elif held.event_ms > max(c.since_ms, c.sent_ms) + settle_ms:
            experience[FAILED] += c.nominal_w
            c.intent = FREE
            c.barred_s = (now_ms + 8 * bar_ms) // 1000
    if c.answer == GIVEN_UP and c.sure_ms <= now_ms:
        experience[FAILED] += c.nominal_w
        c.intent = FREE
        c.barred_s = (now_ms + bar_ms) // 1000


@njit(cache=True, nogil=True)
def settle_raised(
    c: Any, experience: Any, held: Any, rise_w: int, now_ms: int, settle_ms: int, bar_ms: int
) -> None:
    """As `settle_held` for a row that was asked to draw more, or to give nothing."""
    if held.event_ms >= c.since_ms and held.event_ms > c.sent_ms and c.answer != SILENT:
        if 2 * rise_w >= c.nominal_w:
            if c.proven == 0:
                experience[UP_RESPONDED] += c.nominal_w
            c.proven = 1
            c.answer = SEEN
            c.sure_ms = c.until_ms
        elif c.answer == ACKNOWLEDGED and held.event_ms > c.since_ms + settle_ms:
            experience[UP_FAILED] += c.nominal_w
            c.intent = FREE
            c.barred_s = (now_ms + 8 * bar_ms) // 1000
    if c.answer == GIVEN_UP and c.sure_ms <= now_ms:
        experience[UP_FAILED] += c.nominal_w
        c.intent = FREE
        c.barred_s = (now_ms + bar_ms) // 1000


@njit(cache=True, nogil=True)
def count_held(c: Any, held: Any, sums: Any, obeys: bool, left: int, response_ms: int, now_ms: int) -> None:
    """Add what a held row does not draw, and whether that is about to end."""
    before_w = c.nominal_w + level_w(held.rating_w, c.level_pct)
    if obeys:
        drop_w = max(before_w - held.import_w, 0)
        sums[DROP_W] += drop_w
        if left * 1000 <= response_ms + SUCCESSION_MS:
            sums[EXPIRING_W] += drop_w
    elif response_ms > 0 and now_ms < c.since_ms + response_ms:
        sums[PENDING_W] += c.nominal_w
    elif c.sure_ms > now_ms:
        sums[DROP_W if c.proven == 1 else ACKED_W] += c.nominal_w
    elif c.answer in (SILENT, UNANSWERED):
        sums[PENDING_W] += c.nominal_w >> max(c.attempts - 1, 0)


@njit(cache=True, nogil=True)
def look_at_other(
    held: Any,
    session: Any,
    control: Any,
    row: int,
    experience: Any,
    sums: Any,
    now_ms: int,
    stale: bool,
    up: bool,
    hold_s: int,
    maximum_hold_ms: int,
    release_over_ms: int,
    settle_ms: int,
    bar_ms: int,
    table: Any,
    reserve_pct: int,
    efficiency: float,
    least_pct: int,
    warmth_pct: int,
    curtails: bool,
) -> tuple[int, int, int, int]:
    """Part, time it can be held [s], by how much its power can be moved [W], level to order [%].

    `up`: more import is wanted, so that batteries and roofs are raised instead of held.
    """
    c = control[row]
    kind = held.technology
    will, rest_ms, response_ms = table[kind, WILL], table[kind, REST_MS], table[kind, RESPONSE_MS]
    hold_ms = min(table[kind, STORED_HOLD_MS if session.battery_wh > 0 else HOLD_MS], maximum_hold_ms)
    status = held.status
    part, left, would_w, level = NO_PART, int(hold_ms // 1000), 0, 0

    done = status in (UNPLUGGED, OVERRIDDEN) or (status == FULL and will != PLAN)
    if c.intent == FREE:
        settle_free(c, held, stale)
    elif done:
        # Satisfied or taken over: it is told that it is free, as its order would outlast that.
        let_go(c, now_ms, rest_ms)
        if status == UNPLUGGED:
            c.told = FREE
            c.answer = SILENT
    elif np.int64(c.release_s) * 1000 <= now_ms:
        let_go(c, now_ms, rest_ms)

    limit_w = level_w(held.rating_w, c.level_pct)
    if c.intent == HELD:
        heard = held.event_ms >= c.since_ms and c.told == HELD
        obeys = heard and (status == LIMITED or 4 * (held.import_w - limit_w) < c.nominal_w)
        settle_held(c, held, experience, obeys, now_ms, settle_ms + response_ms, bar_ms)
        left = left_s(held, session, c, now_ms, hold_ms, will, reserve_pct, warmth_pct)
        if rest_ms > 0:
            left -= early_s(row, release_over_ms)
        if c.intent == HELD and left <= 0:
            let_go(c, now_ms, rest_ms)
        if c.intent == HELD:
            part, would_w = IS_HELD, int(c.nominal_w)
            count_held(c, held, sums, obeys and not stale, left, response_ms, now_ms)
    elif c.intent == RAISED:
        rise_w = held.import_w - limit_w + c.nominal_w
        settle_raised(c, experience, held, rise_w, now_ms, settle_ms + response_ms, bar_ms)
        left = (hold_ms - max(now_ms - c.since_ms, 0)) // 1000 - early_s(row, release_over_ms)
        if c.intent == RAISED and left <= 0:
            let_go(c, now_ms, rest_ms)
        if c.intent == RAISED:
            part, would_w = IS_RAISED, int(c.nominal_w)
            if c.answer == SEEN or (c.proven == 1 and c.sure_ms > now_ms):
                sums[RISE_W] += max(rise_w, 0)
            elif c.sure_ms > now_ms:
                sums[PENDING_RISE_W] += c.nominal_w
            elif c.answer in (SILENT, UNANSWERED):
                sums[PENDING_RISE_W] += c.nominal_w >> max(c.attempts - 1, 0)
    elif (
        not stale
        and not done
        and np.int64(c.barred_s) * 1000 <= now_ms
        and c.answer != UNANSWERED
        and c.told == FREE
    ):
        idle_w = table[kind, IDLE_BELOW_W]
        for_s = min(hold_s, left)
        if will == STEADY and status == CHARGING and held.import_w >= idle_w:
            sums[FREE_W] += held.import_w
            if not 0 <= held.soc_pct < warmth_pct:
                part, would_w = HOLDABLE, int(held.import_w)
            else:
                sums[COLD_W] += held.import_w
        elif table[kind, STORES] == 1 and status == WAITING and fills_s(held, session) >= LEAST_FILL_S:
            sums[WAITING_W] += held.rating_w - held.import_w
            if up:
                part, would_w, level = RAISABLE, int(held.rating_w - held.import_w), 100
                left = min(left, fills_s(held, session))
        elif will == PLAN:
            highest = highest_pct(held, session, for_s, efficiency)
            rise_w = level_w(held.rating_w, highest) - held.import_w
            lowest = lowest_pct(held, session, for_s, reserve_pct, efficiency, least_pct)
            drop_w = held.import_w - level_w(held.rating_w, lowest)
            if highest > 0 and rise_w >= idle_w:
                sums[WAITING_W] += rise_w
                if up:
                    part, would_w, level = RAISABLE, rise_w, highest
            if drop_w >= idle_w:
                sums[FREE_W] += drop_w
                sums[EXPORT_W] -= level_w(held.rating_w, lowest)
                if not up:
                    part, would_w, level = HOLDABLE, drop_w, lowest
        elif will == LIGHT and curtails and held.import_w <= -idle_w:
            sums[WAITING_W] -= held.import_w
            if up:
                part, would_w = RAISABLE, -int(held.import_w)
    if c.intent != FREE or (c.told != FREE and c.answer != GIVEN_UP) or c.answer == UNANSWERED:
        sums[BUSY] += 1
    return part, left, would_w, level
