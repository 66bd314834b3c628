"""Each rule of docs/rules.md has a number of its own, within its chapter, and what is cited stands there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
NUMBERS = [int(number) for number in re.findall(r"^\*\*R(\d+)\.", RULES, re.MULTILINE)]
CHAPTERS = [
    range(int(first), int(last) + 1)
    for first, last in re.findall(r"^## .*\(R(\d+)-R(\d+)\)$", RULES, re.MULTILINE)
]
CITED_IN = ("aggregator", "devices", "docs", "flextwin", "markets", "protocol", "sim", "studies", "tests")


def cited(text: str) -> set[int]:
    return {int(number) for number in re.findall(r"\bR(\d{1,3})\b", text)}


def unknown(text: str) -> set[int]:
    """Rules cited that are neither written nor an end of a chapter."""
    ends = {end for chapter in CHAPTERS for end in (chapter[0], chapter[-1])}
    return cited(text) - set(NUMBERS) - ends


def test_no_number_is_given_twice():
    assert NUMBERS
    assert len(set(NUMBERS)) == len(NUMBERS)


def test_every_rule_stands_in_its_chapter():
    assert [number for number in NUMBERS if not any(number in chapter for chapter in CHAPTERS)] == []


@pytest.mark.parametrize("folder", CITED_IN)
def test_every_rule_that_is_cited_is_written(folder):
    files = [file for kind in ("py", "md", "yaml") for file in (ROOT / folder).rglob(f"*.{kind}")]
    wrong = {
        str(file.relative_to(ROOT)): found
        for file in files
        if (found := unknown(file.read_text(encoding="utf-8")))
    }
    assert wrong == {}


def test_a_citation_of_no_rule_is_found():
    assert unknown("as in R40 and " + "R" + "998") == {998}
