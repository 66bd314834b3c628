"""Saves and finds again all that changes in a run.

A checkpoint is one file, written to a temporary name, synced and renamed. Layout: magic, length of the
tree, the tree (JSON), the arrays (NumPy format, no pickles), SHA-256 of all before. The two newest are
kept, so that a damaged one leaves the one before it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any

import numpy as np

from protocol import codec

MAGIC = b"flextwin checkpoint 1\n"
_KEEP = 2


class CheckpointError(ValueError):
    """No usable checkpoint, or one that belongs to something else."""


def save(folder: Path, now_ms: int, value: Any) -> Path:
    """Write `value` (anything that `protocol.codec` knows) as the checkpoint of `now_ms`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{now_ms:020d}.checkpoint"
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        _write(_Hashing(file), value)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _sync_folder(folder)
    for old in sorted(folder.glob("*.checkpoint"))[:-_KEEP]:
        old.unlink()
    return path


def load_newest(folder: Path) -> tuple[int, Any, list[str]]:
    """The newest checkpoint that reads whole: (its time [ms], its value, what was wrong with newer ones).

    Raises CheckpointError when there is none.
    """
    faults: list[str] = []
    for path in sorted(folder.glob("*.checkpoint"), reverse=True):
        try:
            return int(path.stem), _read(path), faults
        except (CheckpointError, codec.CodecError, ValueError, OSError, EOFError) as error:
            faults.append(f"{path.name}: {error}")
    raise CheckpointError("; ".join(faults) or f"no checkpoint in {folder}")


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self.file.write(data)


def _write(file: _Hashing, value: Any) -> None:
    writer = codec.Writer()
    tree = json.dumps(writer.encode(value), separators=(",", ":")).encode()
    file.write(MAGIC)
    file.write(len(tree).to_bytes(8, "little"))
    file.write(tree)
    file.write(len(writer.arrays).to_bytes(8, "little"))
    for array in writer.arrays:
        np.lib.format.write_array(file, np.ascontiguousarray(array).reshape(array.shape), allow_pickle=False)
    file.file.write(file.digest.digest())


def _read(path: Path) -> Any:
    _check(path)
    with path.open("rb") as file:
        file.read(len(MAGIC))
        tree = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        count = int.from_bytes(file.read(8), "little")
        arrays = [np.lib.format.read_array(file, allow_pickle=False) for _ in range(count)]
    return codec.Reader(arrays).decode(tree)


def _check(path: Path) -> None:
    """Raises CheckpointError unless the file ends in the hash of what is before."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC or size < len(MAGIC) + 48:
            raise CheckpointError("not a checkpoint of this version")
        file.seek(0)
        left = size - 32
        while left:
            piece = file.read(min(left, 1 << 20))
            digest.update(piece)
            left -= len(piece)
        if file.read() != digest.digest():
            raise CheckpointError("its hash does not match: truncated or damaged")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
