"""What the recorder is told comes out whole, in order, and in the same bytes however it was told."""

import numpy as np
import pytest

from protocol import codec
from protocol.messages import Setpoints
from protocol.periods import HOUR_MS, MINUTE_MS, PERIOD_MS
from sim import recorder as recorder_module
from sim.network import Carried, Counts, Kind, OutageRow, Outcome
from sim.recorder import Layout, Recorder
from sim.run_folder import NONE, RunFolder
from sim.scenario import Record, RecordLevel

START = 1_705_363_200_000  # Tue 16 Jan 2024, local midnight
LAYOUT = Layout(
    START, START + 3 * HOUR_MS, ("_A",), (("_A", "none"), ("_A", "balancing")), (("_A0", "_A"), ("_A1", "_A"))
)
SECONDS = 3 * 3600
LIVED = np.arange(2 * SECONDS, dtype=np.int64).reshape(2, SECONDS)
WITHOUT = LIVED + 7
ALL = Record(level=RecordLevel.DEVICES)


def make(path, record=ALL):
    folder = RunFolder(path)
    folder.claim()
    return Recorder(folder, LAYOUT, record)


def live(recorder, stretches):
    """Hand over the seconds in stretches of the lengths given, the minutes along with them."""
    at = recorder.layout.start_ms
    for n in stretches:
        s = (at - START) // 1000
        recorder.seconds(at, LIVED[:, s : s + n], WITHOUT[:, s : s + n])
        at += n * 1000
    minutes = LIVED.reshape(2, -1, 60).mean(axis=2).astype(int)
    recorder.minutes(START, minutes, minutes + 1)


def bytes_of(recorder):
    recorder.finish(())
    return {path.name: path.read_bytes() for path in recorder.folder.path.glob("*.parquet")}


def rows_of(recorder, table):
    recorder.finish(())
    return recorder.folder.table(table).to_pylist()


def test_every_second_of_every_cell_comes_out_in_its_order(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS])
    recorder.finish(())
    table = recorder.folder.table("portfolio_1s")
    assert table["service"].to_pylist()[::SECONDS] == ["balancing", "none"]
    assert table["import_w"].to_pylist() == [*LIVED[1].tolist(), *LIVED[0].tolist()]
    assert table["at_ms"].to_pylist()[:3] == [START, START + 1000, START + 2000]
    assert table["published_w"].null_count == 2 * SECONDS


@pytest.mark.parametrize("stretches", [[1] * 7 + [SECONDS - 7], [600] * 18, [3599, 2, SECONDS - 3601]])
def test_the_length_of_stretches_does_not_show(tmp_path, stretches):
    whole, pieces = make(tmp_path / "whole"), make(tmp_path / "pieces")
    live(whole, [SECONDS])
    live(pieces, stretches)
    assert bytes_of(whole) == bytes_of(pieces)


def tell(recorder, first, last):
    """Half hours from the first to before the last: their seconds, and one event each."""
    for n in range(first, last):
        at = n * 1800
        recorder.seconds(START + at * 1000, LIVED[:, at : at + 1800], WITHOUT[:, at : at + 1800])
        recorder.event(START + at * 1000, "half_hour", f"number {n}")
    if last == 6:
        minutes = LIVED.reshape(2, -1, 60).mean(axis=2).astype(int)
        recorder.minutes(START, minutes, minutes)


def test_a_checkpoint_in_the_middle_does_not_show(tmp_path):
    straight, killed = make(tmp_path / "straight"), make(tmp_path / "killed")
    tell(straight, 0, 6)
    tell(killed, 0, 5)
    writer = codec.Writer()
    tree = writer.encode(killed.state)
    arrays = [array.copy() for array in writer.arrays]
    killed.seconds(START + 9_000_000, LIVED[:, :1800] * 3, WITHOUT[:, :1800])  # lost with the process
    killed.event(START, "lost", "nobody")
    resumed = Recorder(RunFolder(tmp_path / "killed"), LAYOUT, ALL)
    resumed.state = codec.Reader(arrays).decode(tree)
    tell(resumed, 5, 6)
    assert bytes_of(straight) == bytes_of(resumed)


def test_parts_do_not_show_and_are_removed(tmp_path, monkeypatch):
    in_memory = make(tmp_path / "memory")
    live(in_memory, [SECONDS])
    monkeypatch.setattr(recorder_module, "SPILL_ROWS", 10)
    in_parts = make(tmp_path / "parts")
    live(in_parts, [SECONDS])
    for recorder in (in_memory, in_parts):
        for k in range(35):
            recorder.event(START + 1000 * ((k * 7) % 35), f"kind {k % 4}", "who", detail=f"word {k}")
    assert (tmp_path / "parts" / "parts").is_dir()
    assert bytes_of(in_memory) == bytes_of(in_parts)
    in_parts.forget_parts()
    assert not (tmp_path / "parts" / "parts").exists()


def test_a_second_that_nobody_handed_over_is_told(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS - 1])
    with pytest.raises(ValueError, match="handed over nothing"):
        recorder.finish(())


def test_metering_may_come_late_but_not_after_its_chunk_is_closed(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [1800] * 6)
    recorder.published(START + 2 * HOUR_MS, 0, np.array([5, 6]))
    with pytest.raises(ValueError, match="more than"):
        recorder.published(START, 0, np.array([5, 6]))
    recorder.finish(())
    published = recorder.folder.table("portfolio_1s")["published_w"].to_pylist()
    assert published[7200:7203] == [5, 6, None]


def test_what_lies_outside_the_run_is_left_out(tmp_path):
    recorder = make(tmp_path / "run")
    recorder.published(START - 2000, 0, np.array([1, 2, 3]))
    live(recorder, [SECONDS])
    recorder.seconds(START + 3 * HOUR_MS, LIVED[:, :5], WITHOUT[:, :5])
    recorder.finish(())
    table = recorder.folder.table("portfolio_1s")
    assert table.num_rows == 2 * SECONDS
    assert table["published_w"].to_pylist()[:2] == [3, None]


def test_a_stretch_between_seconds_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no whole step"):
        make(tmp_path / "run").seconds(START + 1, LIVED[:, :1], WITHOUT[:, :1])


def test_messages_of_one_minute_and_fate_are_added_up(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS])
    for _ in range(2):
        recorder.comms(
            Counts(
                minute_ms=np.array([START, START, START + MINUTE_MS]),
                route=np.array([0, 0, 1], np.int8),
                kind=np.array([Kind.SETPOINTS, Kind.TELEMETRY, Kind.TELEMETRY], np.int8),
                outcome=np.array([Outcome.DELIVERED, Outcome.LOST, Outcome.DELIVERED], np.int8),
                messages=np.array([3, 4, 5]),
                latency_ms=np.array([30, 0, 50]),
            )
        )
    rows = [
        (r["direction"], r["kind"], r["outcome"], r["count"], r["latency_sum_ms"])
        for r in rows_of(recorder, "comms")
    ]
    assert rows == [
        ("down", "setpoints", "delivered", 6, 60),
        ("up", "telemetry", "lost", 8, 0),
        ("up", "telemetry", "delivered", 10, 100),
    ]


def test_a_promise_is_one_row_for_both_worlds(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS])
    ready = np.full(3, START + HOUR_MS)
    rows, home = np.array([4, 2, 9]), np.array([40, 20, 90])
    recorder.promises(rows[:2], home[:2], ready[:2], np.array([7000, -1]), np.array([0, 500]), arm=0)
    recorder.promises(rows, home, ready, np.full(3, -1), np.array([0, 0, 300]), arm=1)
    early = np.array([START - 1])
    recorder.promises(rows[:1], home[:1], early, np.array([1]), np.array([0]), arm=0)
    found = [tuple(row.values()) for row in rows_of(recorder, "promises")]
    assert found == [
        (2, 20, START + HOUR_MS, None, 500, 0, False, True),
        (4, 40, START + HOUR_MS, 7000, 0, 0, True, True),
        (9, 90, START + HOUR_MS, None, None, 300, None, False),
    ]


def test_set_points_are_told_with_their_fate(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS])
    rows = np.array([3, 1], np.int32)
    setpoints = Setpoints(
        rows,
        np.zeros(2, np.int32),
        np.full(2, START),
        np.full(2, START + HOUR_MS),
        np.array([8, 9], np.int32),
        True,
        "_A/7",
    )
    lost = Carried(np.array([START + 400, 2**62]), np.zeros(2, np.int64), np.array([0, 1], np.int8))
    recorder.setpoints_sent(setpoints, START, lost)
    recorder.acks_sent(
        rows[:1],
        np.array([START + 400]),
        np.array([8]),
        Carried(np.array([START + 900]), np.zeros(1), np.zeros(1, np.int8)),
    )
    found = [
        (r["row"], r["what"], r["instruction_id"], r["fate"], r["arrival_ms"])
        for r in rows_of(recorder, "device_messages")
    ]
    assert found == [
        (1, "setpoints", "_A/7", "lost", None),
        (3, "setpoints", "_A/7", "delivered", START + 400),
        (3, "acks", "", "delivered", START + 900),
    ]


def test_an_outage_is_two_events_and_one_outside_the_run_is_none(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS])
    touching = OutageRow("isp", "3", START + HOUR_MS, START + HOUR_MS + 90_000, "both", "all", 0.5, 0)
    before = OutageRow("isp", "3", START - 2, START, "both", "all", 1.0, 0)
    recorder.outages([touching, before])
    assert [(r["at_ms"], r["kind"], r["subject"], r["detail"]) for r in rows_of(recorder, "events")] == [
        (START + HOUR_MS, "outage_start", "3", "down for 1.5 min: all messages, both ways, 50% of messages"),
        (START + HOUR_MS + 90_000, "outage_end", "3", "up again"),
    ]


def test_a_table_above_the_record_level_is_neither_kept_nor_written(tmp_path):
    recorder = make(tmp_path / "run", Record(level=RecordLevel.PORTFOLIO))
    live(recorder, [SECONDS])
    recorder.rows(
        "homes", home=1, unit="_A", gsp="_A0", annual_wh=1, smart=1, hh_metered=1, hh_settled=1, evs=0
    )
    assert not recorder.wants("homes")
    assert "homes" not in recorder.finish(())
    assert not recorder.folder.has_table("homes")


def test_other_columns_than_the_table_has_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\['detail', 'words'\]"):
        make(tmp_path / "run").rows("events", at_ms=START, kind="a", who="b", subject="c", words="d")


def test_a_streamed_table_out_of_order_is_refused(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS])
    wh = {"devices_wh": 1, "without_wh": 1, "base_wh": 1, "boundary_metered_wh": NONE, "asset_metered_wh": 1}
    recorder.rows("home_half_hourly", at_ms=START, home=np.array([2, 1]), **wh)
    with pytest.raises(ValueError, match="in the order of"):
        recorder.finish(())


def test_the_truth_of_a_unit_is_without_less_lived_or_what_was_told_of_it(tmp_path):
    recorder = make(tmp_path / "run")
    live(recorder, [SECONDS])
    recorder._series["seconds"].spill(recorder.state.seconds, START + 9 * HOUR_MS)
    recorder.true_turn_down("DFS001", START + PERIOD_MS, 123)
    assert recorder._true_turn_down_wh("DFS001", "dfs", START + PERIOD_MS, START + 2 * PERIOD_MS) == 123
    assert recorder._true_turn_down_wh("_A", "balancing", START, START + HOUR_MS) == 7
    assert recorder._true_turn_down_wh("_A", "balancing", START + HOUR_MS // 2, START + 2 * HOUR_MS) == round(
        7 * 1.5
    )
    assert recorder._true_turn_down_wh("_A", "balancing", START - HOUR_MS, START) == 0
