"""The report tells the run in one file that needs nothing, runs nothing and comes out the same twice."""

import json
import re
from html.parser import HTMLParser

import pytest

from sim.run_folder import RunFolder, RunFolderError
from studies.figures import pounds_text
from studies.report import RunReading, find_events, render, report_on, verdict


@pytest.fixture(scope="module")
def page(run):
    return render(RunReading.of(run))


class Collector(HTMLParser):
    """Tags and headings of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.headings, self._in = set(), [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._in = tag

    def handle_data(self, data):
        if self._in == "h2" and data.strip():
            self.headings.append(data.strip())
        self._in = ""


def read(page):
    collector = Collector()
    collector.feed(page)
    return collector


def test_it_loads_nothing_and_runs_nothing(page):
    found = read(page)
    assert not found.tags & {
        "script",
        "img",
        "iframe",
        "link",
        "object",
        "embed",
        "base",
        "form",
        "foreignObject",
    }
    links = [
        value
        for _, name, value in found.attributes
        if name in {"src", "href", "xlink:href", "srcset", "action"}
    ]
    assert all(value.startswith("#") for value in links)
    assert not [name for _, name, _ in found.attributes if name.startswith("on")]
    assert set(re.findall(r"https?://[\w./]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert "default-src 'none'" in page


def test_it_has_every_part(page):
    assert read(page).headings == [
        "The day",
        "Delivered against instructed",
        "Baseline against truth",
        "Pounds",
        "Operational metering",
        "Communications",
        "Rebound",
        "Promises to drivers",
        "Instructions",
        "Faults and remarks",
    ]


def test_the_headline_is_pounds_and_delivery(run, page):
    kpis = RunReading.of(run).kpis
    assert pounds_text(kpis["gbp_total"]) in page
    assert f"{kpis['delivered_share']:.0%}" in page
    assert verdict(RunReading.of(run)).startswith(
        "Asked for 1.51 MWh, the portfolio truly gave 1.53 MWh, 101% of it."
    )


def test_page_figures_and_pictures_come_out_the_same_twice(run, page):
    names = ("report.html", "kpis.json", "picture.png", "picture.svg")
    report_on(run)
    first = [(run.path / name).read_bytes() for name in names]
    assert first[0].decode() == page
    assert json.loads(first[1]) == RunReading.of(run).kpis
    assert b"date>" not in first[3]
    for name in names:
        (run.path / name).unlink()
    report_on(run)
    assert [(run.path / name).read_bytes() for name in names] == first


SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def bad_page(tmp_path_factory, write_run):
    """A run with hostile words in it, degraded, with a broken law."""
    words = {
        "question": f"why {SCRIPT}?",
        "degraded": [f"because {SCRIPT}"],
        "remark": f"a remark {SCRIPT} =cmd",
    }
    path = tmp_path_factory.mktemp("bad") / "run"
    return render(RunReading.of(write_run(path, **words, invariants={"energy_balance": 3})))


def test_script_in_names_is_words(bad_page):
    assert SCRIPT not in bad_page
    assert bad_page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 3
    assert "script" not in read(bad_page).tags


def test_a_degraded_run_and_a_broken_law_are_told_at_the_top(page, bad_page):
    told = (
        "Laws of the world were violated",
        "energy_balance: 3 times",
        "Degraded: finished",
        "because &lt;",
        "The day",
    )
    places = [bad_page.index(words) for words in told]
    assert places == sorted(places)
    assert not [words for words in told[:4] if words in page]


def test_a_run_in_which_nothing_happened_has_a_report_too(nothing):
    page = render(RunReading.of(nothing))
    assert "No instruction was accepted" in page
    assert read(page).headings == ["The day"]
    report_on(nothing)


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(RunFolderError, match="holds no finished run"):
        report_on(RunFolder(tmp_path))


def test_units_called_at_the_same_times_are_one_event(run):
    events = find_events(run.table("deliveries").to_pylist())
    assert [(event.label, len(event.units)) for event in events] == [
        ("DFS 17:00-18:00", 3),
        ("BM _A 19:40-20:20", 1),
    ]


@pytest.mark.parametrize(
    ("amount", "words"), [(0, "£0.00"), (1234.5, "£1,234.50"), (-60, "-£60.00"), (123456.7, "£123,457")]
)
def test_pounds_are_written_as_people_write_them(amount, words):
    assert pounds_text(amount) == words
