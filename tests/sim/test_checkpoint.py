"""A checkpoint is found whole or not at all, and a damaged one leaves the one before it."""

import numpy as np
import pytest

from devices.ev import STATE
from protocol.instruction import Ledger, LedgerEntry
from sim import checkpoint
from sim.checkpoint import CheckpointError
from sim.invariants import Broken


def some_state(number):
    rows = np.zeros(5, STATE)
    rows["charge_mj"] = number + np.arange(5) * 2**40
    ledger = Ledger()
    ledger.open(LedgerEntry("E1", "DFS", "_A", 0, 1, number), 3)
    return {
        "fleet": rows,
        "party:dfs": ledger,
        "run": Broken({"law": number}),
        "empty": np.empty((2, 0), np.int16),
        "one": np.array(number),
        "columns": np.arange(12, dtype=np.int32).reshape(3, 4).T,
    }


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
            assert np.array_equal(found[name], value), name
        else:
            assert found[name] == value, name


def test_what_is_saved_is_found_again(tmp_path):
    checkpoint.save(tmp_path / "new folder", 1_705_363_200_000, some_state(1))
    now_ms, found, faults = checkpoint.load_newest(tmp_path / "new folder")
    assert (now_ms, faults) == (1_705_363_200_000, [])
    assert_same(found, some_state(1))


def test_what_is_found_can_be_lived_on(tmp_path):
    checkpoint.save(tmp_path, 0, some_state(1))
    _, found, _ = checkpoint.load_newest(tmp_path)
    found["fleet"]["charge_mj"][2] = 7
    found["columns"][0, 0] = 7
    assert found["fleet"]["charge_mj"][2] == 7


def test_the_two_newest_are_kept_whatever_order_their_digits_are_in(tmp_path):
    for now_ms in (9, 10, 100):
        checkpoint.save(tmp_path, now_ms, some_state(now_ms))
    assert [int(path.stem) for path in sorted(tmp_path.iterdir())] == [10, 100]
    assert checkpoint.load_newest(tmp_path)[0] == 100


def test_the_same_state_is_the_same_bytes(tmp_path):
    first, second = (checkpoint.save(tmp_path / name, 5, some_state(2)) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_checkpoint_cut_short_anywhere_is_refused(tmp_path):
    path = checkpoint.save(tmp_path, 0, some_state(1))
    whole = path.read_bytes()
    for length in (*range(80), *range(80, len(whole), 37), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"not a checkpoint|truncated or damaged"):
            checkpoint.load_newest(tmp_path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        checkpoint.load_newest(tmp_path)


def test_a_flipped_bit_anywhere_is_noticed(tmp_path):
    path = checkpoint.save(tmp_path, 0, some_state(1))
    whole = bytearray(path.read_bytes())
    for place in (*range(60), *range(60, len(whole) - 32, 11), *range(len(whole) - 32, len(whole))):
        whole[place] ^= 1 << place % 8
        path.write_bytes(whole)
        with pytest.raises(CheckpointError, match=r"not a checkpoint|truncated or damaged"):
            checkpoint.load_newest(tmp_path)
        whole[place] ^= 1 << place % 8


def test_behind_a_damaged_one_the_one_before_it_is_used_and_the_damage_is_told(tmp_path):
    checkpoint.save(tmp_path, 1, some_state(1))
    newest = checkpoint.save(tmp_path, 2, some_state(2))
    newest.write_bytes(newest.read_bytes()[:-1])
    now_ms, found, faults = checkpoint.load_newest(tmp_path)
    assert now_ms == 1
    assert_same(found, some_state(1))
    assert faults == [f"{newest.name}: its hash does not match: truncated or damaged"]


def test_what_was_being_written_when_the_run_was_killed_is_no_checkpoint(tmp_path):
    checkpoint.save(tmp_path, 1, some_state(1))
    (tmp_path / f"{2:020d}.tmp").write_bytes(checkpoint.MAGIC + b"half")
    assert checkpoint.load_newest(tmp_path)[0] == 1


def test_a_write_that_fails_leaves_the_older_one_in_its_place(tmp_path):
    checkpoint.save(tmp_path, 1, some_state(1))
    with pytest.raises(ValueError, match="cannot write a set"):
        checkpoint.save(tmp_path, 2, {"state": {1, 2}})
    assert checkpoint.load_newest(tmp_path)[0] == 1


def test_nothing_saved_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(CheckpointError, match=f"no checkpoint in {tmp_path}"):
        checkpoint.load_newest(tmp_path)


def test_another_programs_file_is_not_read(tmp_path):
    (tmp_path / f"{1:020d}.checkpoint").write_bytes(b"something else" * 20)
    with pytest.raises(CheckpointError, match="not a checkpoint of this version"):
        checkpoint.load_newest(tmp_path)
