"""Key figures and page tell each technology apart, and who was cold."""

import numpy as np
import pytest

from protocol.periods import PERIOD_MS
from studies.kpis import compute_kpis, technologies_of
from studies.report import RunReading, render

DFS_PERIOD = 34  # 17:00-17:30 of a winter day
CELLS = 9  # 3 units x none, dfs, balancing


def two_technologies(recorder):
    """Heat pumps give 0.2 MWh in the DFS event and take 0.15 back; cars in no service give 0.1: not sold."""
    start_ms = recorder.layout.start_ms
    for period in range(48):
        cars, pumps = ({name: np.zeros(CELLS, np.int64) for name in COLUMNS} for _ in range(2))
        cars["devices"][0], pumps["devices"][1], pumps["devices"][0] = 50, 30, 20
        pumps["without_wh"][1] = pumps["import_wh"][1] = 500_000
        if period == DFS_PERIOD:
            pumps["import_wh"][1] -= 200_000
            cars["without_wh"][0] = 100_000
        if period == DFS_PERIOD + 2:
            pumps["import_wh"][1] += 150_000
        if DFS_PERIOD <= period < DFS_PERIOD + 4:
            pumps["cold"][1], pumps["cold_without"][1] = 9, 4
        if period == DFS_PERIOD + 1:
            pumps["left"][1] = 3
        recorder.technologies(start_ms + period * PERIOD_MS, "ev", cars)
        recorder.technologies(start_ms + period * PERIOD_MS, "heat_pump", pumps)


COLUMNS = ("devices", "import_wh", "without_wh", "cold", "cold_without", "left")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, write_run):
    return write_run(tmp_path_factory.mktemp("mixed") / "run", also=two_technologies)


def test_each_technology_counts_with_what_it_gave_in_the_half_hours_of_its_service(mixed):
    kpis = compute_kpis(mixed)
    assert technologies_of(mixed) == ["ev", "heat_pump"]
    assert kpis["mwh_true_heat_pump"] == pytest.approx(0.2)
    assert kpis["mwh_true_ev"] == 0


def test_cold_is_counted_against_the_world_without_instructions(mixed):
    kpis = compute_kpis(mixed)
    assert (kpis["cold_most"], kpis["cold_most_by_instructions"], kpis["left_most"]) == (9, 5, 3)
    assert kpis["cold_hours_by_instructions"] == 4 * 5 / 2


def test_the_page_has_a_row_for_each_technology_and_tells_who_was_cold(mixed):
    page = render(RunReading.of(mixed))
    assert "By technology" in page
    assert "Comfort" in page
    assert "more homes at their comfort floor" in page
    assert "Import of all devices" in page
    row = page[page.index("heat pumps</td>") :]
    told = row[: row.index("</tr>")]
    for figure in ("50", "30", "0.200", "0.150"):
        assert figure in told


def test_cars_alone_need_no_table_of_technologies(run):
    page = render(RunReading.of(run))
    assert "By technology" not in page
    assert "Import of all EVs" in page
