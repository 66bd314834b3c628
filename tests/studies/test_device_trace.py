"""A car's day is told in plain words, local time, and in the order in which it happened."""

import pytest

from studies.device_trace import TraceError, trace_device

STORY = """\
device 1: home 2 at _A1, unit _A, enrolled in balancing; 7.4 kW, 62 kWh, by evcp_4g
Tue 16 Jan
  06:50:00  deadline: charged as promised
  07:55:00  unplugged
  18:04:00  came home after using 9.4 kWh
  18:04:00  plugged in with 52%
  18:04:00  charging at 7.4 kW
  19:37:50  told to wait until 20:20 (_A/7), lost on the way
  19:38:20  told again to wait until 20:20 (_A/7)
  19:38:21  set-point arrived and was obeyed
  19:40:00  held back
  19:40:00  charging stopped at 66%
  19:50:00  told once more to wait until 20:20 (_A/7)
  20:02:00  driver pressed boost: charges whatever is instructed
  20:02:00  charging at 7.4 kW
  22:31:00  charging stopped at 100%, full
promise for Tue 16 Jan 07:00: 0.9 kWh short; kept without instructions
_A/7: drew 2.7 kWh less than it would have, 1.28% of its unit's; paid to unit _A: £30.03"""


def test_the_story_of_a_car_that_was_held_back_and_boosted(run):
    assert "\n".join(trace_device(run, 1).lines()) == STORY


def test_a_car_that_nobody_asked_says_so(run):
    assert trace_device(run, 2).closing == ("promise for Tue 16 Jan 07:00: kept", "never asked to wait")


def test_a_device_that_is_not_there_is_told_with_those_that_are(run):
    with pytest.raises(TraceError, match=r"no device 7 in .*: devices are 0 to 2"):
        trace_device(run, 7)


def test_a_run_that_did_not_record_devices_says_what_to_do(tmp_path, write_run):
    with pytest.raises(TraceError, match=r"run it again with `record: \{level: devices\}`"):
        trace_device(write_run(tmp_path / "run", level="homes"), 1)
