"""Key figures against the same figures worked out in another way, or by hand."""

import numpy as np
import pytest

from studies.kpis import MEANINGS, compute_kpis


@pytest.fixture(scope="module")
def kpis(run):
    return compute_kpis(run)


def test_every_figure_has_a_meaning_and_the_order_of_the_meanings(kpis):
    assert list(kpis) == [name for name in MEANINGS if name in kpis]


def test_truth_is_the_power_not_drawn_in_the_instructed_seconds(kpis, power):
    lived, without = power
    less = (without - lived) / 3600e6
    dfs = less[[1, 4, 7], 61_200:64_800].sum()
    balancing = less[2, 70_800:73_200].sum()
    assert kpis["mwh_true"] == pytest.approx(dfs + balancing, abs=1e-5)


def test_peaks_and_rebound_are_of_the_whole_portfolio(kpis, power):
    lived, without = (array.sum(axis=0) for array in power)
    assert kpis["peak_import_mw"] == lived.max() / 1e6
    assert kpis["peak_without_mw"] == without.max() / 1e6
    assert kpis["peak_reduction_mw"] == (without - lived).max() / 1e6
    assert kpis["rebound_peak_mw"] == (lived - without).max() / 1e6
    assert kpis["rebound_mwh"] == pytest.approx(np.maximum(lived - without, 0).sum() / 3600e6, rel=1e-12)


def test_pounds_are_the_sum_of_all_lines(kpis, run):
    table = run.table("settlement")
    assert kpis["gbp_total"] == sum(table["amount_gbp_e5"].to_pylist()) / 1e5
    assert kpis["gbp_total"] == pytest.approx(kpis["gbp_dfs"] + kpis["gbp_bm"], abs=1e-9)


def test_a_baseline_six_percent_too_high_shows_as_an_error_of_delivery(kpis):
    assert kpis["mwh_metered"] == pytest.approx(kpis["mwh_settled"], abs=1e-5)
    assert 0.04 < kpis["baseline_error_share"] < 0.20


def test_promises_are_blamed_on_whom_they_are_due_to(kpis):
    counts = [
        kpis[f"promises{name}"]
        for name in ("", "_kept", "_broken_by_instructions", "_broken_anyway", "_saved_by_instructions")
    ]
    assert counts == [4, 2, 1, 1, 0]


def test_instructions_are_counted_by_their_end(kpis):
    assert (kpis["instructions_completed"], kpis["instructions_declined"], kpis["instructions_open"]) == (
        4,
        1,
        0,
    )


def test_messages_are_counted_once_and_doubles_not_at_all(kpis):
    assert (kpis["commands_sent"], kpis["commands_lost"], kpis["acks_unknown"]) == (4070, 170, 70)
    n, lost = np.array([620, 1200, 150]) * 1440, np.array([19, 7, 2]) * 1440
    lost[1] += (1200 - 7) * 25
    assert kpis["readings_arrived_share"] == pytest.approx(1 - lost.sum() / n.sum())


def test_a_set_point_after_an_unanswered_one_is_a_retry(kpis):
    assert kpis["retries"] == 1


def test_metering_half_a_minute_late_fails_at_the_edges_only(kpis):
    assert kpis["opmetering_published_share"] == 1.0
    assert kpis["opmetering_compliant"] == 0
    assert 0.8 < kpis["opmetering_within_share"] < 1.0
    assert kpis["opmetering_max_error_share"] > 0.5


def test_a_run_without_anything_says_so_in_zeros_and_leaves_out_shares(nothing):
    kpis = compute_kpis(nothing)
    assert (kpis["gbp_total"], kpis["mwh_instructed"], kpis["promises"], kpis["commands_sent"]) == (
        0,
        0,
        0,
        0,
    )
    assert not {
        "delivered_share",
        "baseline_error_share",
        "readings_arrived_share",
        "opmetering_compliant",
    } & set(kpis)
