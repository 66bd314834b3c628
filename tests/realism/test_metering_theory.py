"""Targets T12 and T13 at other sizes than the page's: what aggregation does, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from studies.realism.metering import OWN, SHARED, gain_sd, half_way_s, ramp, rms_error


def test_independent_gain_errors_shrink_with_the_root_of_the_portfolio_and_a_shared_bias_never() -> None:
    for n, seeds in ((100, range(200)), (2500, range(60))):
        assert gain_sd(n, seeds, OWN) == pytest.approx(0.025 / np.sqrt(n), rel=0.25)  # T12, equal weights
        assert gain_sd(n, seeds, SHARED) == pytest.approx(0.025, rel=0.25)


@pytest.mark.parametrize("n", [600, 6000])
def test_staggered_reads_of_devices_that_step_together_are_a_ramp_of_one_minute(n: int) -> None:
    told = ramp(1, n)
    assert half_way_s(told) == pytest.approx(30, abs=max(2, 60 / np.sqrt(n)))  # T13: half-way at 30 s
    assert told[61] == 0


def test_with_independent_switching_the_rms_error_falls_as_one_over_root_n() -> None:
    few, many = (np.mean([rms_error(seed, n) for seed in range(4)]) for n in (400, 6400))
    assert few / many == pytest.approx(4.0, rel=0.35)  # T13: n**-0.5 with n 16 times larger
