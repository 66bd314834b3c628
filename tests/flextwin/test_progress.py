"""What a person watches: time, speed, MW and faults; one Ctrl-C is obeyed, two are not waited for."""

import os
import signal

import pytest

from flextwin.progress import ProgressLine, StopRequest, Stopwatch, progress_line
from protocol.periods import HOUR_MS

START = 1_705_363_200_000


class Line:
    """Takes what would be drawn."""

    def __init__(self):
        self.drawn = []

    def update(self, task, completed, description):
        self.drawn.append((completed, description))


class Watch:
    """A wall clock set by hand."""

    def __init__(self, *readings):
        self.readings = list(readings)

    def seconds(self):
        return self.readings.pop(0)


def test_the_line_says_local_time_power_speed_and_faults():
    line = Line()
    told = ProgressLine(START, START + 10 * HOUR_MS, line, 0, Watch(1.0, 2.0, 4.5))
    told(START, 1_500_000, 0)
    told(START + HOUR_MS, 2_500_000, 0)
    told(START + 5 * HOUR_MS, 12_340_000, 1234)
    assert line.drawn[1] == (0.1, "Tue 16 Jan 01:00     2.50 MW  3,600 x real time")
    assert line.drawn[2] == (0.5, "Tue 16 Jan 05:00    12.34 MW  5,143 x real time  1,234 faults")


def test_it_is_drawn_a_few_times_a_second_and_at_the_end():
    line = Line()
    told = ProgressLine(START, START + HOUR_MS, line, 0, Watch(1.0, 1.1, 1.15, 1.3, 1.31))
    for now_ms in (START, START + 1, START + 2, START + 3, START + HOUR_MS):
        told(now_ms, 0, 0)
    assert len(line.drawn) == 3
    assert line.drawn[-1][0] == 1.0


def test_without_a_terminal_there_is_none():
    with progress_line(START, START + HOUR_MS) as told:
        assert told is None


def test_one_request_is_taken_down_and_a_second_not_waited_for():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest().listening() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_stopwatch_goes_forward():
    watch = Stopwatch()
    assert 0 <= watch.seconds() <= watch.seconds()
