"""The data dictionary `results/README.md`, written from the definitions of tables and key figures."""

from __future__ import annotations

import sys
from pathlib import Path

from sim.scenario import RecordLevel
from sim.tables import TABLES, Column, Table
from studies.kpis import MEANINGS

_HEAD = Path(__file__).parent / "templates" / "dictionary.md"

_KINDS = {
    "time": "time, UTC ms (int64)",
    "int": "int32",
    "wide": "int64",
    "float": "float64",
    "word": "text",
    "flag": "true or false",
}


def data_dictionary() -> str:
    """The whole page in Markdown."""
    figures = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in MEANINGS.items())
    return "\n".join(
        (
            _HEAD.read_text(encoding="utf-8"),
            "## Tables\n",
            *(_table(table) for table in TABLES.values()),
            "## Key figures\n",
            "A run leaves out what it has nothing to say about. A scenario's `expect:` uses these names.",
            f"\n| name | meaning |\n|---|---|\n{figures}\n",
        )
    )


def _table(table: Table) -> str:
    level = "" if table.level is RecordLevel.PORTFOLIO else f" Level `{table.level.value}`."
    order = ", ".join(f"`{name}`" for name in table.order)
    rows = "\n".join(_row(column) for column in table.columns)
    return (
        f"### {table.name}\n\n{table.meaning}{level} In the order of {order}.\n\n"
        f"| column | type | meaning |\n|---|---|---|\n{rows}\n"
    )


def _row(column: Column) -> str:
    empty = ", may be empty" if column.nullable else ""
    return f"| `{column.name}` | {_KINDS[column.kind]}{empty} | {column.meaning} |"


if __name__ == "__main__":
    sys.stdout.write(data_dictionary())
