"""Two runs are the same or part somewhere, and it is told where."""

import shutil

import pyarrow as pa
import pytest

from sim.run_folder import RunFolder, RunFolderError
from studies.diff import _first_cell, compare_runs

START = 1_705_363_200_000


def test_a_run_written_twice_is_the_same(tmp_path, run, write_run):
    again = write_run(tmp_path / "again")
    difference = compare_runs(run, again)
    assert difference.same
    assert difference.causes == ()
    assert difference.compared == len(run.manifest()["tables"])


def test_one_watt_in_one_second_is_found_and_told_with_its_time(tmp_path, run, write_run):
    def spoil(lived):
        lived[4, 66_000] += 1

    difference = compare_runs(run, write_run(tmp_path / "spoilt", spoil=spoil))
    assert not difference.same
    first = difference.tables[0]
    assert (first.table, first.column) == ("portfolio_1s", "import_w")
    assert "unit _B, service dfs, Tue 16 Jan 18:20:00" in str(first)
    assert int(first.right) == int(first.left) + 1
    assert difference.causes == ()


def test_the_first_row_counts_whatever_its_column(tmp_path, run, write_run):
    def spoil(lived):
        lived[8, 0] += 1  # changes published_w half a minute later, import_w at once

    first = compare_runs(run, write_run(tmp_path / "spoilt", spoil=spoil)).tables[0]
    assert "unit _C, service balancing, Tue 16 Jan 00:00:00" in str(first)


def test_of_two_columns_the_earlier_row_is_told():
    def rows(detail, who):
        at_ms = [START, START + 1000]
        return pa.table(
            {"at_ms": at_ms, "kind": ["x", "x"], "who": who, "subject": ["s", "s"], "detail": detail}
        )

    told = _first_cell("events", rows(["a", "b"], ["w", "w"]), rows(["c", "b"], ["w", "v"]))
    assert str(told) == "events: row 0 (Tue 16 Jan 00:00:00, kind x, who w, subject s), detail: a and c"


def test_rows_that_one_run_has_more_are_told(tmp_path, run, write_run):
    longer = write_run(tmp_path / "longer", remark="one more")
    (only,) = [table for table in compare_runs(run, longer).tables if table.table == "events"]
    assert str(only).endswith("; 4 and 5 rows")


def test_a_table_that_one_run_lacks_is_told(tmp_path, run):
    shutil.copytree(run.path, tmp_path / "copy")
    (tmp_path / "copy" / "promises.parquet").unlink()
    copy = RunFolder(tmp_path / "copy")
    assert [str(table) for table in compare_runs(run, copy).tables] == [f"promises: only in {run.path}"]


def test_what_runs_were_made_of_is_compared_too(tmp_path, run, write_run):
    other = write_run(tmp_path / "other", seed=2, text="flextwin: 1\nname: other\n")
    assert compare_runs(run, other).causes == (
        "seed: 1 and 2",
        "scenario: evening and evening, of different text",
    )


def test_something_that_is_no_run_is_told(tmp_path, run):
    with pytest.raises(RunFolderError, match="holds no finished run"):
        compare_runs(run, RunFolder(tmp_path))
