"""How moments are shown to people: on the clock on the wall, Europe/London."""

from __future__ import annotations

from datetime import datetime, timedelta

from protocol.periods import HOUR_MS, LONDON, MINUTE_MS, day_start_ms, local_date


def shown(now_ms: int) -> datetime:
    """The local date and time that a wall clock shows at a moment."""
    return datetime.fromtimestamp(now_ms / 1000, LONDON)


def clock(now_ms: int, *, seconds: bool = False) -> str:
    """Local time of day: 18:04, or 18:04:09."""
    return shown(now_ms).strftime("%H:%M:%S" if seconds else "%H:%M")


def stamp(now_ms: int, *, seconds: bool = False) -> str:
    """Local day and time: Tue 16 Jan 18:04."""
    return f"{day(now_ms)} {clock(now_ms, seconds=seconds)}"


def day(now_ms: int) -> str:
    """Local day: Tue 16 Jan."""
    moment = shown(now_ms)
    return f"{moment:%a} {moment.day} {moment:%b}"


def long_day(now_ms: int) -> str:
    """Local day in full: Tuesday 16 January 2024."""
    moment = shown(now_ms)
    return f"{moment:%A} {moment.day} {moment:%B} {moment.year}"


def ticks_ms(start_ms: int, end_ms: int, most: int = 13) -> tuple[list[int], list[str]]:
    """Where an axis has its marks [UTC ms] and what they say: round local times, days at midnight."""
    step = next((m * MINUTE_MS for m in _STEPS_MIN if (end_ms - start_ms) / (m * MINUTE_MS) < most), None)
    if step is None:
        return _day_ticks(start_ms, end_ms, most)
    first = -(-start_ms // _FINEST_MS) * _FINEST_MS
    places = [at_ms for at_ms in range(first, end_ms + 1, _FINEST_MS) if _of_day_ms(at_ms) % step == 0]
    return places, [day(at) if _of_day_ms(at) == 0 and step >= HOUR_MS else clock(at) for at in places]


def _day_ticks(start_ms: int, end_ms: int, most: int) -> tuple[list[int], list[str]]:
    """Every midnight, or every second, third ... where there are too many."""
    first, last = local_date(start_ms), local_date(end_ms)
    every = -(-((last - first).days + 1) // most)
    days = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, every)]
    places = [at_ms for one in days if start_ms <= (at_ms := day_start_ms(one)) <= end_ms]
    return places, [day(at_ms) for at_ms in places]


_STEPS_MIN = (5, 10, 15, 30, 60, 120, 180, 360, 720)
_FINEST_MS = 5 * MINUTE_MS


def _of_day_ms(at_ms: int) -> int:
    moment = shown(at_ms)
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000
