"""How moments are shown to people: on the clock on the wall, Europe/London."""

from __future__ import annotations

from datetime import datetime

from protocol.periods import HOUR_MS, LONDON


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
    step = next(
        (minutes * 60_000 for minutes in _STEPS_MIN if (end_ms - start_ms) / (minutes * 60_000) <= most - 1),
        24 * HOUR_MS,
    )
    while (end_ms - start_ms) / step > most - 1:
        step *= 2
    quarter = 300_000
    first = -(-start_ms // quarter) * quarter
    places = [at_ms for at_ms in range(first, end_ms + 1, quarter) if _of_day_ms(at_ms) % step == 0]
    if step >= 24 * HOUR_MS:
        places = [at_ms for at_ms in places if _of_day_ms(at_ms) == 0]
    return places, [
        day(at_ms) if _of_day_ms(at_ms) == 0 and step >= HOUR_MS else clock(at_ms) for at_ms in places
    ]


_STEPS_MIN = (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)


def _of_day_ms(at_ms: int) -> int:
    moment = shown(at_ms)
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1000
