"""What people do about an event: who says yes when asked, who acts by hand and how much, who complains.

Pure functions of keyed draws: (home, start of the event) for answers and acts, (home, day) for complaints.
Who tells whom, and what is remembered, is `sim/participants.py`'s. All arrays have one entry per home.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.messages import I8, I32, I64, Answer, Channel
from sim import chance
from sim.chance import Purpose
from sim.scenario_people import ByHand, Comfort, OptIn

F64 = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What homes answer (Answer; SILENT for never), and when [UTC ms]."""

    answer: I8
    at_ms: I64


@dataclass(frozen=True, slots=True, eq=False)
class Acts:
    """What homes leave off by hand: a share of their base load from a moment on [UTC ms]; 0: nothing."""

    from_ms: I64
    cut_share: F64


def tired_after(tired: F64, since_ms: I64, now_ms: int, memory_ms: int) -> F64:
    """Events that still weigh on people, of those that did at `since_ms`: each is forgotten exponentially."""
    return np.asarray(tired * np.exp(-np.maximum(now_ms - since_ms, 0) / memory_ms))


def opt_in_share(opt_in: OptIn, notice_ms: int, tired: F64) -> F64:
    """The chance of a yes: rising with the notice given, falling with events that weigh on people yet."""
    short = 1.0 - min(max(notice_ms, 0) / opt_in.full_notice_ms, 1.0)
    in_time = 1.0 - opt_in.short_notice_cut * short
    return np.asarray(opt_in.share * in_time * np.maximum(1.0 - opt_in.fatigue_per_event * tired, 0.0))


def answers(
    opt_in: OptIn, channel: Channel, homes: I32, now_ms: int, start_ms: int, tired: F64, seed: int
) -> Answers:
    """What homes answer to a notice that is sent now, and when."""
    key, entity = chance.stream(seed, Purpose.ANSWER), homes.astype(np.int64)
    u, z = chance.units(key, entity, start_ms), chance.normals(key, entity, start_ms, 1)[:, 0]
    says_yes = u[:, 0] < opt_in_share(opt_in, start_ms - now_ms, tired)
    says_no = ~says_yes & (u[:, 1] < opt_in.refuses_share)
    reads = u[:, 2] >= opt_in.unread_share
    median_ms = {
        Channel.APP: opt_in.app_median_ms,
        Channel.TEXT: opt_in.text_median_ms,
        Channel.EMAIL: opt_in.email_median_ms,
    }[channel]
    answer = np.where(says_yes, Answer.IN, np.where(says_no, Answer.OUT, Answer.SILENT))
    return Answers(
        answer=np.where(reads, answer, Answer.SILENT).astype(np.int8),
        at_ms=now_ms + (median_ms * np.exp(opt_in.delay_log_sd * z)).astype(np.int64),
    )


def acts(by_hand: ByHand, homes: I32, start_ms: int, seed: int) -> Acts:
    """What homes that are in leave off, and from when: some forget, some leave off little, none all twice."""
    key, entity = chance.stream(seed, Purpose.ACT), homes.astype(np.int64)
    u, z = chance.units(key, entity, start_ms), chance.normals(key, entity, start_ms, 1)[:, 0]
    sd = by_hand.cut_log_sd
    cut = np.minimum(by_hand.cut_share * np.exp(sd * z - 0.5 * sd**2), 1.0)
    return Acts(
        from_ms=start_ms - (by_hand.late_mean_ms * np.log(u[:, 1])).astype(np.int64),
        cut_share=np.where(u[:, 0] < by_hand.forgets_share, 0.0, cut),
    )


def complaints(comfort: Comfort, homes: I32, day: int, seed: int) -> tuple[Flags, Flags]:
    """Which of the homes left cold on a day (ordinal) complain, and which of these want no more events."""
    u = chance.units(chance.stream(seed, Purpose.COMPLAINT), homes.astype(np.int64), day)
    complains = u[:, 0] < comfort.complains_share
    return complains, complains & (u[:, 1] < comfort.withdraws_share)


def enrolled_by_hand(by_hand: ByHand, homes: I32, seed: int) -> I32:
    """Which of the homes without anything to be steered are enrolled to act by hand."""
    u = chance.units(chance.stream(seed, Purpose.BY_HAND), homes.astype(np.int64))[:, 0]
    return homes[u < by_hand.share]


def helps_by_hand(by_hand: ByHand, homes: I32, seed: int) -> Flags:
    """Which homes with steered assets leave off other things as well."""
    u = chance.units(chance.stream(seed, Purpose.BY_HAND), homes.astype(np.int64))[:, 1]
    return np.asarray(u < by_hand.with_assets_share)
