"""What is wrong at one place of a file the user wrote, and how it is told: scenario or data, one shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MOST_TOLD = 100
"""More faults than this are counted, not printed."""

_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of fault: what it means and what puts it right."""

    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong at one place of a file; of a CSV file `column` is the field."""

    code: str
    file: str
    line: int  # from 1
    column: int  # from 1
    what: str
    got: str = ""
    allowed: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        parts = [f"{self.file}:{self.line}:{self.column}: {self.code} {self.what}"]
        if self.got:
            parts.append(f"got {self.got}")
        if self.allowed:
            parts.append(f"allowed: {self.allowed}")
        if self.nearest:
            parts.append(f"did you mean {self.nearest}?")
        return "; ".join(parts)

    @property
    def is_warning(self) -> bool:
        """Whether the run may go on."""
        return self.code.startswith("W")


class FileErrors(Exception):  # noqa: N818 - it carries several errors
    """Everything wrong with files, in the order of their lines. Printing it gives one line per fault."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(sorted(set(faults), key=_place))
        super().__init__(self.faults)

    def __str__(self) -> str:
        lines = [str(fault) for fault in self.faults[:MOST_TOLD]]
        if len(self.faults) > MOST_TOLD:
            lines.append(f"... and {len(self.faults) - MOST_TOLD} more")
        return "\n".join(lines)


def quoted(text: str) -> str:
    """A piece of the user's file, shortened and with nothing in it that a terminal would obey."""
    shown = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."
    return "`" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown) + "`"


def table_of_codes(codes: Mapping[str, Kind]) -> str:
    """All codes as a Markdown table."""
    rows = [f"| {code} | {kind.meaning} | {kind.remedy} |" for code, kind in codes.items()]
    return "\n".join(["| code | what is wrong | what to do |", "|---|---|---|", *rows])


def _place(fault: Fault) -> tuple[str, int, int, str, str]:
    return fault.file, fault.line, fault.column, fault.code, fault.what
