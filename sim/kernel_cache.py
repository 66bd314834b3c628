"""Compiled kernels on disk must not outlive the source they were made of.

Numba judges a cached kernel by its own file alone, but a kernel holds its callees too: after an edit of
`devices/ev.py` the fleet's kernel in `sim/fleet.py` would go on with the old physics. So the hash of all our
sources is kept beside the kernels, and when it no longer fits, all of them are forgotten and compiled again.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("aggregator", "devices", "markets", "protocol", "sim")
_STAMP = Path(__file__).parent / "__pycache__" / "kernels.sha256"


def forget_stale_kernels() -> bool:
    """Remove cached kernels unless they were made of today's sources; gives whether they were removed."""
    today = _hash_of_sources()
    with suppress(OSError):
        if _STAMP.read_text(encoding="ascii") == today:
            return False
    for package in _PACKAGES:
        for pattern in ("*.nbi", "*.nbc"):
            for kernel in (_ROOT / package).rglob(f"__pycache__/{pattern}"):
                kernel.unlink(missing_ok=True)
    with suppress(OSError):  # an installation that nobody may write to has no kernels of ours beside it
        _STAMP.parent.mkdir(exist_ok=True)
        _STAMP.write_text(today, encoding="ascii")
    return True


def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
