"""Every scenario of a folder run and compared with the bands it expects: the regression check.

A scenario's own `expect:` says what must hold. Scenarios in `must_fail/` must be refused with the faults that
their first line names (`# expect: S020 line 7, S023 line 8`), or the file `NAME.yaml.expect` beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from sim.faults import Fault
from sim.scenario import Band
from studies.kpis import Kpis

MUST_FAIL = "must_fail"
_EXPECT = "# expect:"


class CheckError(Exception):
    """The folder holds nothing that could be checked."""


@dataclass(frozen=True, slots=True)
class BandResult:
    """One band and what was found."""

    kpi: str
    wanted: str
    found: str
    green: bool


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """One scenario: its bands, or why it could not be run. `seconds` is for people only."""

    name: str
    bands: tuple[BandResult, ...] = ()
    problem: str = ""
    seconds: float = 0.0

    @property
    def green(self) -> bool:
        """Whether everything holds."""
        return not self.problem and all(band.green for band in self.bands)


def scenarios_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Scenario files to run, and those that must be refused. Raises CheckError for a folder without any."""
    runs = sorted(path for path in folder.glob("*.yaml") if path.is_file())
    refused = sorted(path for path in (folder / MUST_FAIL).glob("*.yaml") if path.is_file())
    if not runs and not refused:
        raise CheckError(f"{folder} holds no scenario (*.yaml)")
    return runs, refused


def judge(bands: Iterable[Band], kpis: Kpis) -> tuple[BandResult, ...]:
    """Each band against the key figures; one that the run does not have is red."""
    return tuple(_judge_one(band, kpis) for band in bands)


def judge_refusal(path: Path, faults: Sequence[Fault] | None) -> ScenarioResult:
    """A scenario that must fail: `faults` are what it was refused with, None when it was not."""
    name = f"{MUST_FAIL}/{path.name}"
    if faults is None:
        return ScenarioResult(name, problem="was accepted, but must be refused")
    wanted = _wanted_refusal(path)
    found = {f"{fault.code} line {fault.line}" for fault in faults}
    return ScenarioResult(
        name, (BandResult("refusal", ", ".join(wanted), ", ".join(sorted(found)), set(wanted) == found),)
    )


def _wanted_refusal(path: Path) -> list[str]:
    beside = path.with_name(f"{path.name}.expect")
    lines = (beside if beside.is_file() else path).read_text(encoding="utf-8", errors="replace").splitlines()
    first = lines[0] if lines else ""
    return sorted(
        part.strip() for part in first.removeprefix(_EXPECT).split(",") if first.startswith(_EXPECT)
    )


def run_all(
    runs: Sequence[Path],
    run: Callable[[Path], ScenarioResult],
    told: Callable[[ScenarioResult], None],
) -> list[ScenarioResult]:
    """Run one after the other and tell each as soon as it is known."""
    results = []
    for path in runs:
        result = run(path)
        told(result)
        results.append(result)
    return results


def junit_xml(results: Iterable[ScenarioResult]) -> bytes:
    """The results as JUnit XML: one suite per scenario, one case per band."""
    root = ET.Element("testsuites", name="flextwin check")
    for result in results:
        cases = result.bands or (BandResult("runs", "", result.problem, not result.problem),)
        red = sum(not case.green for case in cases) + bool(result.problem and result.bands)
        suite = ET.SubElement(root, "testsuite", name=result.name, tests=str(len(cases)), failures=str(red))
        for case in cases:
            element = ET.SubElement(suite, "testcase", classname=result.name, name=case.kpi)
            if not case.green:
                ET.SubElement(element, "failure", message=f"wanted {case.wanted}, found {case.found}")
        if result.problem and result.bands:
            element = ET.SubElement(suite, "testcase", classname=result.name, name="runs")
            ET.SubElement(element, "failure", message=result.problem)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _judge_one(band: Band, kpis: Kpis) -> BandResult:
    wanted = _wanted(band)
    if band.kpi not in kpis:
        return BandResult(band.kpi, wanted, "no such figure in this run", green=False)
    value = kpis[band.kpi]
    green = (
        (band.at_least is None or value >= band.at_least)
        and (band.at_most is None or value <= band.at_most)
        and (band.equals is None or value == band.equals)
    )
    return BandResult(band.kpi, wanted, f"{value:g}", green)


def _wanted(band: Band) -> str:
    if band.equals is not None:
        return f"{band.equals}"
    if band.at_least is not None and band.at_most is not None:
        return f"{band.at_least:g} to {band.at_most:g}"
    return f"at least {band.at_least:g}" if band.at_least is not None else f"at most {band.at_most:g}"
