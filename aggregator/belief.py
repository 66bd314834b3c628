"""What each asset is believed to need, to do and to be free to do, from messages alone.

One pass over the rows of a trading unit. It settles what telemetry says about orders (obeyed, ignored, done
with), lets go of whoever must not be held any longer, and gives every row a part in the next decision.

Slack [s] is how long a row may wait and still be ready: time to the deadline, less the time that charging
what is needed takes (at one standard deviation more than believed), less the owner's margin.
Counterfactual power ("would" [W]) of a held row is what it drew before it was held, until what it wanted
would have been in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numba import njit

from aggregator.other_assets import look_at_other
from aggregator.places import (
    ACKED_W,
    BUSY,
    DROP_W,
    FREE_W,
    HOLDABLE,
    IS_HELD,
    IS_RAISED,
    NO_PART,
    PENDING_RISE_W,
    PENDING_W,
    RAISABLE,
    RISE_W,
    SUMS,
    UNSEEN,
    WAITING_W,
    WEIGHT,
)
from aggregator.prefetch import AHEAD, prefetch
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
)
from aggregator.settings import AggregatorSettings, Assumptions
from aggregator.technologies import PLAN, TABLE, WILL
from aggregator.telemetry import (
    CHARGING,
    FULL,
    LIMITED,
    MISSING,
    OVERRIDDEN,
    UNPLUGGED,
    WAITING,
    Records,
)
from protocol.messages import I8, I32, I64, Technology
from protocol.periods import MINUTE_MS, clock_reached_ms, day_start_ms, is_clock_change_day

EV = int(Technology.EV)


@dataclass(slots=True)
class View:
    """One look at a unit: per member its part, slack [s], counterfactual power [W] and level to order [%].

    And the sums. Of what is no car, `would_w` is by how much its power can be moved, or was. `stirs` is 0
    where a member is neither told anything nor could be.
    """

    part: I8
    slack_s: I32
    would_w: I32
    sums: I64
    level_pct: I8
    stirs: I8


@lru_cache(maxsize=8)
def wall_table(day: date) -> I64:
    """When each minute of the wall clock shows on `day` and the day after [UTC ms] (2, 1440).

    A minute that March leaves out counts as the moment at which the clocks jump over it.
    """
    return np.stack([_wall_minutes(day), _wall_minutes(day + timedelta(days=1))])


def _wall_minutes(day: date) -> I64:
    if not is_clock_change_day(day):
        return day_start_ms(day) + MINUTE_MS * np.arange(1440, dtype=np.int64)
    return np.array([clock_reached_ms(day, minute) for minute in range(1440)], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Moment:
    """What a look depends on besides the rows.

    `active`: an instruction is being prepared or delivered. `hold_s`: how long a row chosen now would be
    held [s]. `up`: more import is wanted, not less.
    """

    now_ms: int
    registered_ms: int
    active: bool
    hold_s: int
    wall_ms: I64
    up: bool = False


def look(
    board: Records,
    sessions: Records,
    control: Records,
    experience: I64,
    rows: I32,
    moment: Moment,
    settings: AggregatorSettings,
    assumed: Assumptions,
) -> View:
    """One look at the rows of a unit; `control` and `experience` (4,) are brought up to date."""
    view = View(
        np.empty(len(rows), np.int8),
        np.empty(len(rows), np.int32),
        np.empty(len(rows), np.int32),
        np.zeros(SUMS, np.int64),
        np.empty(len(rows), np.int8),
        np.empty(len(rows), np.int8),
    )
    look_kernel(
        board,
        sessions,
        control,
        experience,
        rows,
        view.part,
        view.slack_s,
        view.would_w,
        view.level_pct,
        view.stirs,
        view.sums,
        moment.now_ms,
        moment.registered_ms,
        moment.active,
        moment.up,
        moment.hold_s,
        moment.wall_ms,
        settings.stale_after_ms,
        settings.deadline_margin_ms // 1000,
        settings.maximum_hold_ms,
        assumed.settle_ms,
        assumed.bar_ms,
        assumed.idle_below_w,
        assumed.battery_wh,
        assumed.efficiency,
        assumed.charge_to_pct,
        assumed.typed_soc_sd_pct,
        assumed.told_soc_sd_pct,
        assumed.session_wh,
        assumed.session_relative_sd,
        assumed.need_sds,
        TABLE,
        assumed.battery_reserve_pct,
        assumed.battery_efficiency,
        assumed.least_level_pct,
        assumed.least_warmth_pct,
        assumed.curtail_generation,
    )
    return view


@njit(cache=True, nogil=True)
def need_kernel(
    held: Any,
    session: Any,
    battery_prior_wh: int,
    efficiency: float,
    charge_to_pct: int,
    typed_sd_pct: int,
    told_sd_pct: int,
    session_prior_wh: int,
    session_relative_sd: float,
) -> tuple[float, float, float]:
    """Metered energy that is missing to the owner's wish, its sd, and missing until charging stops [Wh].

    From the told state of charge where the route tells it; else from the typed one and the register; else
    from the asset's own mean session, less what this one has drawn.
    """
    if held.status in (UNPLUGGED, FULL):
        return 0.0, 0.0, 0.0
    battery_wh = session.battery_wh if session.battery_wh > 0 else battery_prior_wh
    wh_per_pct = battery_wh / (100.0 * efficiency)
    if session.soc_known == 1 and held.soc_pct >= 0:
        soc_pct = float(held.soc_pct)
        sd_wh = told_sd_pct * wh_per_pct
    else:
        drawn_wh = float(max(held.register_wh - session.start_register_wh, 0))
        if session.start_soc_pct < 0:
            mean_wh = (session_prior_wh + float(session.energy_wh)) / (1.0 + session.sessions)
            mean_wh = min(mean_wh, 100.0 * wh_per_pct)
            sd_wh = session_relative_sd * mean_wh
            # It charges still, so it wants something, however much it has had.
            left_wh = max(mean_wh - drawn_wh, 0.5 * sd_wh)
            return left_wh, sd_wh, left_wh
        soc_pct = session.start_soc_pct + drawn_wh / wh_per_pct
        sd_wh = typed_sd_pct * wh_per_pct
    need_wh = max((session.target_pct - soc_pct) * wh_per_pct, 0.0)
    rest_wh = max((charge_to_pct - soc_pct) * wh_per_pct, 0.0)
    return need_wh, sd_wh, rest_wh


@njit(cache=True, nogil=True)
def still_charging(rest_wh: float, sd_wh: float, missed_wh: float) -> float:
    """How likely a car that charged when it was held would be charging yet, had it not been held.

    It wanted `rest_wh` more, give or take `sd_wh`, and would have had `missed_wh` by now: the chance that it
    wanted more than that, given that it wanted something. Normal, through the logistic curve of slope 1.702.
    """
    if rest_wh <= 0.0:
        return 0.0
    wide_wh = max(sd_wh, 1.0) / 1.702
    more = 1.0 / (1.0 + math.exp(min((missed_wh - rest_wh) / wide_wh, 700.0)))
    some = 1.0 / (1.0 + math.exp(max(-rest_wh / wide_wh, -700.0)))
    return min(more / some, 1.0)


@njit(cache=True, nogil=True, inline="always")
def ready_kernel(ready_by_ms: int, minute: int, now_ms: int, wall_ms: Any) -> Any:
    """The deadline of this session: as told, else (or if past) the next time the clock shows the usual
    minute.
    """
    if ready_by_ms > now_ms:
        return ready_by_ms
    if wall_ms[0, minute] > now_ms:
        return wall_ms[0, minute]
    return wall_ms[1, minute]


@njit(cache=True, nogil=True)
def look_kernel(
    board: Any,
    sessions: Any,
    control: Any,
    experience: Any,
    rows: Any,
    part: Any,
    slack_s: Any,
    would_w: Any,
    level_pct: Any,
    stirs: Any,
    sums: Any,
    now_ms: int,
    registered_ms: int,
    active: bool,
    up: bool,
    hold_s: int,
    wall_ms: Any,
    stale_after_ms: int,
    margin_s: int,
    maximum_hold_ms: int,
    settle_ms: int,
    bar_ms: int,
    idle_below_w: int,
    battery_prior_wh: int,
    efficiency: float,
    charge_to_pct: int,
    typed_sd_pct: int,
    told_sd_pct: int,
    session_prior_wh: int,
    session_relative_sd: float,
    need_sds: float,
    table: Any,
    reserve_pct: int,
    battery_efficiency: float,
    least_level_pct: int,
    least_warmth_pct: int,
    curtails: bool,
) -> None:
    """See `look` and the module."""
    final = rows.shape[0] - 1
    for p in range(rows.shape[0]):
        ahead = np.int64(rows[min(p + AHEAD, final)])
        prefetch(board, ahead)
        prefetch(control, ahead)
        prefetch(sessions, ahead)
        part[p], slack_s[p], would_w[p], level_pct[p], stirs[p] = NO_PART, 0, 0, 0, 0
        row = rows[p]
        held = board[row]
        c = control[row]
        session = sessions[row]
        status = held.status
        told_ms = held.event_ms + held.delay_ms
        if held.quality & MISSING:
            told_ms = registered_ms
        stale = now_ms - told_ms > stale_after_ms + 1000 * np.int64(held.report_every_s)
        weight = 8 if status in (CHARGING, WAITING, LIMITED) else 1
        is_car = held.technology == EV
        if is_car and session.soc_known == 1 and weight == 1:
            weight = 0  # a car that neither charges nor waits may well be asleep
        sums[WEIGHT] += weight
        if stale:
            sums[UNSEEN] += weight
        at_rest = c.intent == FREE and c.told == FREE and c.answer != UNANSWERED
        if at_rest and (status == UNPLUGGED or (status == FULL and table[held.technology, WILL] != PLAN)):
            continue
        if not is_car:
            stirs[p] = 1
            part[p], slack_s[p], would_w[p], level_pct[p] = look_at_other(
                held,
                session,
                control,
                row,
                experience,
                sums,
                now_ms,
                stale,
                up,
                hold_s,
                maximum_hold_ms,
                settle_ms,
                bar_ms,
                table,
                reserve_pct,
                battery_efficiency,
                least_level_pct,
                least_warmth_pct,
                curtails,
            )
            continue

        need_wh, sd_wh, rest_wh = need_kernel(
            held,
            session,
            battery_prior_wh,
            efficiency,
            charge_to_pct,
            typed_sd_pct,
            told_sd_pct,
            session_prior_wh,
            session_relative_sd,
        )
        power_w = held.import_w
        if power_w < idle_below_w:
            power_w = max(session.free_w if session.free_w > 0 else held.rating_w, 1)
        ready_ms = ready_kernel(session.ready_by_ms, session.ready_by_minute, now_ms, wall_ms)
        charge_s = (need_wh + need_sds * sd_wh) / power_w * 3600.0 if need_wh > 0.0 else 0.0
        slack = (ready_ms - now_ms) // 1000 - np.int64(charge_s) - margin_s
        slack_s[p] = slack

        if c.intent == FREE:
            if c.told == FREE:
                if c.answer == UNANSWERED and held.event_ms > c.sent_ms and status != LIMITED:
                    c.answer = SEEN
            elif c.answer == GIVEN_UP and held.event_ms > max(c.sent_ms, c.sure_ms) and not stale:
                # Heard of again after an order that nobody answered: did it arrive?
                if status == LIMITED and c.until_ms > now_ms:
                    c.answer = SEEN
                    c.sure_ms = c.until_ms
                    if active and slack > 0:
                        c.intent = HELD
                elif status != LIMITED:
                    c.told = FREE
                    c.answer = SILENT
        elif status in (UNPLUGGED, OVERRIDDEN, FULL):
            # Gone, taken over by the driver, or done: nothing to tell it.
            c.intent = FREE
            c.told = FREE
            c.answer = SILENT
        elif np.int64(c.release_s) * 1000 <= now_ms:
            c.intent = FREE

        if c.intent == HELD:
            missed_wh = power_w * max(now_ms - c.since_ms, 0) / 3.6e6
            would = int(power_w * still_charging(rest_wh, sd_wh, missed_wh))
            heard = held.event_ms >= c.since_ms and c.told == HELD
            obeys = heard and (status == LIMITED or 4 * held.import_w < c.nominal_w)
            if obeys:
                if c.answer == ACKNOWLEDGED or held.event_ms > max(c.sure_ms, c.sent_ms):
                    # A limit seen while an earlier order held anyway says nothing about its renewal.
                    if c.answer != ACKNOWLEDGED:
                        c.sure_ms = c.until_ms
                    c.answer = SEEN
                if c.proven == 0:
                    c.proven = 1
                    experience[RESPONDED] += c.nominal_w
            elif heard and held.event_ms > c.sent_ms and c.answer in (ACKNOWLEDGED, SEEN):
                if now_ms >= c.sure_ms:
                    c.answer = UNANSWERED  # its window ran out: tell it again
                    c.next_ms = now_ms
                    c.attempts = 0
                elif held.event_ms > max(c.since_ms, c.sent_ms) + settle_ms:
                    experience[FAILED] += c.nominal_w  # was told, and draws on
                    c.intent = FREE
                    c.barred_s = (now_ms + 8 * bar_ms) // 1000
            if c.answer == GIVEN_UP and c.sure_ms <= now_ms:
                experience[FAILED] += c.nominal_w
                c.intent = FREE
                c.barred_s = (now_ms + bar_ms) // 1000
            if c.intent == HELD and (slack <= 0 or now_ms - c.since_ms >= maximum_hold_ms):
                c.intent = FREE
                c.barred_s = (now_ms + maximum_hold_ms) // 1000
            if c.intent == HELD:
                part[p] = IS_HELD
                would_w[p] = would
                if obeys and not stale:
                    sums[DROP_W] += max(would - held.import_w, 0)
                elif c.sure_ms > now_ms:
                    sums[DROP_W if c.proven == 1 else ACKED_W] += would
                elif c.answer in (SILENT, UNANSWERED):
                    sums[PENDING_W] += would >> max(c.attempts - 1, 0)
        elif c.intent == RAISED:
            if held.event_ms >= c.since_ms and held.event_ms > c.sent_ms and c.answer != SILENT:
                if held.import_w >= idle_below_w:
                    if c.answer != SEEN:
                        experience[UP_RESPONDED] += c.nominal_w
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
            if c.intent == RAISED:
                part[p] = IS_RAISED
                would_w[p] = c.nominal_w
                if c.answer == SEEN:
                    sums[RISE_W] += held.import_w
                elif c.sure_ms > now_ms:
                    sums[PENDING_RISE_W] += c.nominal_w
                elif c.answer in (SILENT, UNANSWERED):
                    sums[PENDING_RISE_W] += c.nominal_w >> max(c.attempts - 1, 0)
        elif (
            not stale and np.int64(c.barred_s) * 1000 <= now_ms and c.answer != UNANSWERED and c.told == FREE
        ):
            if status == CHARGING and held.import_w >= idle_below_w:
                sums[FREE_W] += held.import_w
                if slack >= hold_s:
                    part[p] = HOLDABLE
                    would_w[p] = held.import_w
            elif status == WAITING and rest_wh > 0.0:
                part[p] = RAISABLE
                would_w[p] = power_w
                sums[WAITING_W] += power_w
        busy = c.intent != FREE or (c.told != FREE and c.answer != GIVEN_UP) or c.answer == UNANSWERED
        sums[BUSY] += busy
        stirs[p] = busy or part[p] != NO_PART
