"""A run's folder is never shared, never half written, and its tables are the same bytes twice."""

import csv
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sim.run_folder import MANIFEST, NONE, RunFolder, RunFolderError, Words, regroup
from sim.tables import TABLES

EVENTS = TABLES["events"]
PROMISES = TABLES["promises"]


def events(words, at_ms=1_705_363_200_000):
    n = len(words)
    column = Words(np.arange(n, dtype=np.int32), tuple(words))
    same = Words(np.zeros(n, np.int32), ("x",))
    return {
        "at_ms": at_ms + 1000 * np.arange(n),
        "kind": column,
        "who": same,
        "subject": same,
        "detail": same,
    }


def test_a_folder_that_holds_something_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(RunFolderError, match="not empty, and no run is ever overwritten"):
        RunFolder(tmp_path).claim()
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder(path).claim()


def hold(path, ready, done):
    with RunFolder(Path(path)).locked():
        ready.set()
        done.wait(10)


def test_two_processes_cannot_write_one_run(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, ready, done))
    other.start()
    ready.wait(10)
    with (
        pytest.raises(RunFolderError, match=rf"in use by process {other.pid} on "),
        RunFolder(tmp_path).locked(),
    ):
        pass
    done.set()
    other.join()
    with RunFolder(tmp_path).locked():
        assert (tmp_path / "run.lock").is_file()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_does_not_count_as_something_in_the_folder(tmp_path):
    with RunFolder(tmp_path).locked():
        RunFolder(tmp_path).claim()


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_table(EVENTS, [events(["first"])], 0)
    before = (tmp_path / "events.parquet").read_bytes()

    def failing():
        yield events(["second"])
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        folder.write_table(EVENTS, failing(), 0)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"events.parquet": before}


def test_two_writes_give_the_same_bytes_however_the_rows_came(tmp_path):
    words = [f"word {k}" for k in range(20)]
    one = RunFolder(tmp_path / "a").write_table(EVENTS, [events(words)], 100)
    halves = [events(words[:13]), events(words[13:], 1_705_363_213_000)]
    two = RunFolder(tmp_path / "b").write_table(EVENTS, halves, 100)
    assert one == two
    assert (tmp_path / "a" / "events.csv").read_bytes() == (tmp_path / "b" / "events.csv").read_bytes()


def test_rows_are_regrouped_whole():
    batches = [pa.table({"n": list(range(k * k, (k + 1) * (k + 1)))}) for k in range(9)]
    groups = list(regroup(batches, 10))
    assert [group.num_rows for group in groups] == [10] * 8 + [1]
    assert pa.concat_tables(groups)["n"].to_pylist() == list(range(81))


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(tmp_path, begin):
    hostile = f'{begin}cmd|"/c calc"!A1'
    RunFolder(tmp_path).write_table(EVENTS, [events([hostile, "plain-word"])], 10)
    with (tmp_path / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == [f"'{hostile}", "plain-word"]


def test_times_in_csv_can_be_read_and_whole_numbers_stay_whole(tmp_path):
    promises = {
        "row": np.array([1, 2]),
        "home": np.array([10, 20]),
        "ready_by_ms": np.array([1_705_388_400_000, 1_705_388_400_001]),
        "needed_wh": np.array([NONE, 5]),
        "short_wh": np.array([0, 3]),
        "short_without_wh": np.array([0, NONE]),
        "reached": np.array([1, 0], np.int8),
        "reached_without_instructions": np.array([1, -1], np.int8),
    }
    folder = RunFolder(tmp_path)
    folder.write_table(PROMISES, [promises], 10)
    with (tmp_path / "promises.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["ready_by_utc"] for row in rows] == ["2024-01-16T07:00:00.000Z", "2024-01-16T07:00:00.001Z"]
    assert [row["needed_wh"] for row in rows] == ["", "5"]
    table = folder.table("promises")
    assert table["needed_wh"].to_pylist() == [None, 5]
    assert table["reached_without_instructions"].to_pylist() == [True, None]
    assert table.schema.field("needed_wh").type == pa.int32()


def test_a_large_table_has_no_csv(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.write_table(EVENTS, [events(list("abcd"))], 3).csv is False
    assert folder.write_table(EVENTS, [events(list("abc"))], 3).csv is True
    assert (tmp_path / "events.csv").read_text().count("\n") == 4


def test_a_damaged_table_is_told_by_its_name(tmp_path):
    (tmp_path / "events.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(RunFolderError, match=r"events\.parquet is damaged"):
        RunFolder(tmp_path).table("events")


def test_a_table_that_was_not_recorded_is_told_with_its_level(tmp_path):
    with pytest.raises(
        RunFolderError, match=r"no table device_events: it is written from record\.level devices on"
    ):
        RunFolder(tmp_path).table("device_events")


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "holds no finished run"), ("{", "cannot be read"), ("[]", "is not the manifest")],
)
def test_a_folder_without_a_whole_manifest_is_no_run(tmp_path, text, words):
    if text is not None:
        (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(RunFolderError, match=words):
        RunFolder(tmp_path).manifest()


def test_nan_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        RunFolder(tmp_path).write_json("kpis.json", {"gbp": float("nan")})
    assert list(tmp_path.iterdir()) == []
    RunFolder(tmp_path).write_json("kpis.json", {"gbp": 1})
    assert json.loads((tmp_path / "kpis.json").read_text()) == {"gbp": 1}
