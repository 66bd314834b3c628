"""Every wrong scenario in scenarios/must_fail is refused with the codes and lines that it promises."""

import re
from pathlib import Path

import pytest

from sim.scenario_errors import CODES, ScenarioErrors
from sim.scenario_file import load_scenario

FOLDER = Path(__file__).parents[2] / "scenarios" / "must_fail"
FILES = sorted(FOLDER.glob("*.yaml"))

NEEDS_A_HOST = {"S001", "S002", "S004"}
"""Faults of the file as such, which test_scenario_file.py makes in a folder of its own."""


def promised(path):
    """(code, line) of every fault, from the first comment or, where none can stand, the file beside."""
    beside = path.with_name(f"{path.name}.expect")
    first = (beside if beside.exists() else path).read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# expect: ")
    return [(code, int(line)) for code, line in re.findall(r"([SW]\d{3}) line (\d+)", first)]


def faults_of(name):
    with pytest.raises(ScenarioErrors) as caught:
        load_scenario(FOLDER / f"{name}.yaml")
    return caught.value.faults


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_wrong_file_gives_the_promised_codes_and_lines_and_no_others(path):
    found = sorted((fault.code, fault.line) for fault in faults_of(path.stem))
    assert found == sorted(promised(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_fault_is_told_on_one_printable_line_at_its_place(path):
    for fault in faults_of(path.stem):
        told = str(fault)
        assert told.startswith(f"{path}:{fault.line}:{fault.column}: {fault.code} ")
        assert told.isprintable()


def test_there_are_wrong_files_for_every_code():
    covered = {code for path in FILES for code, _ in promised(path)}
    assert {code for code in CODES if code.startswith("S")} - covered == NEEDS_A_HOST


WORDS = {
    "unknown_isp": '6:46: S067 comms.outages.0.name: no isp of this name; got `"2"`; allowed: 0 to 1',
    "power_without_unit": "6:18: S030 evs.charger.0.0: power without its unit; got `7.4`; "
    "allowed: power in W, kW, MW, such as `7.4 kW`; did you mean `7.4 kW` or `7.4 W`?",
    "energy_for_power": "6:18: S031 evs.charger.0.0: `kWh` is a unit for energy; got `7.4 kWh`; "
    "allowed: power in W, kW, MW, such as `7.4 kW`",
    "duplicate_key": "8:3: S008 the key `count` stands twice in this section, first on line 7; "
    "allowed: each key once",
    "hour_that_is_skipped": "9:17: S062 markets.dfs.events.0.start: 01:30 does not exist on 2024-03-31: "
    "the clocks go forward from 01:00 to 02:00; got `01:30`; allowed: a time before 01:00 or from 02:00",
    "no_homes": "6:16: S023 homes.count: out of range; got `0`; allowed: at least 1 and at most 20,000,000",
    "reports_without_pause": "6:21: S023 evs.report_every: out of range; got `0 s`; allowed: at least 1 s",
    "python_object": "6:11: S009 a tag that is not read; got `!!python/object/apply:os.system`; "
    "allowed: no tag",
    "newer_schema": "3:11: S040 written for a newer flextwin: install that one; got `2`; allowed: `1`",
    "unclosed_quote": "6:11: S007 not YAML: a quote that is never closed",
    "tabs": "4:1: S007 not YAML: a tab; YAML is indented with spaces",
    "wrong_word": "6:9: S024 engine: not one of the words allowed; got `Fast`; allowed: `fast`, `reference`; "
    "did you mean `fast`?",
    "near_miss": "did you mean `charge_efficiency`?",
    "key_with_unit": "did you mean `validity`?",
    "key_of_another_section": "did you mean `evs.battery_mean`?",
    "cars_sold_twice": "8:22: S064 markets.balancing.share: DFS and balancing together claim 110 % of the "
    "homes; got `40 %`; allowed: markets.dfs.share + markets.balancing.share of at most 100 %",
}


@pytest.mark.parametrize("name", WORDS)
def test_the_words_of_an_error_say_what_was_found_and_what_puts_it_right(name):
    assert str(faults_of(name)[0]).endswith(WORDS[name])
