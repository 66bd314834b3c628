"""The data dictionary says what the tables are, and is up to date."""

from pathlib import Path

from sim.tables import TABLES
from studies.data_dictionary import data_dictionary
from studies.kpis import MEANINGS

README = Path(__file__).parents[2] / "results" / "README.md"


def test_the_page_in_the_repository_is_the_one_written_from_the_code():
    assert README.read_text(encoding="utf-8") == data_dictionary()


def test_every_table_column_and_key_figure_is_in_it():
    page = data_dictionary()
    for table in TABLES.values():
        assert f"### {table.name}\n" in page
        assert all(f"| `{column.name}` |" in page for column in table.columns)
    assert all(f"| `{name}` |" in page for name in MEANINGS)


def test_times_and_units_end_their_names():
    for table in TABLES.values():
        for column in table.columns:
            assert (column.kind == "time") == (
                column.name.endswith("_ms") and not column.name.endswith("sum_ms")
            )
            assert column.meaning[0] == column.meaning[0].lower() or column.meaning.startswith(
                ("W,", "BM", "II", "SHA", "Grid", "Settlement", "[GBP")
            )


def test_a_tables_order_and_sums_are_columns_of_it():
    for table in TABLES.values():
        names = [column.name for column in table.columns]
        assert set(table.order) <= set(names)
        assert set(table.summed) <= set(names) - set(table.order)
