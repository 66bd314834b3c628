"""The commands. Each says what it did in a few lines, or as one JSON value with `--json`.

Exit codes: 0 good; 1 a check failed or two runs differ; 2 the user's input; 3 finished but degraded; 4 ours;
130 stopped by the user, to be resumed. What a user gets wrong is told in a line or two, never as a traceback.
Everything heavy is imported inside the command that needs it: `--help` and `validate` stay quick.
"""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from flextwin.api import Run
    from sim.faults import Fault
    from sim.scenario import Scenario
    from studies.check import ScenarioResult

GOOD, RED, USER, DEGRADED, OURS, STOPPED = 0, 1, 2, 3, 4, 130

USER_FAULTS = frozenset(
    {
        "ScenarioErrors",
        "DataErrors",
        "RunFolderError",
        "CheckpointError",
        "TraceError",
        "CheckError",
        "RuleError",
        "SeedError",
        "NewError",
    }
)
"""Exceptions that tell a user what to put right. By name, so that telling one imports nothing."""

PICTURE_PNG = "picture.png"
_CRASH_FILE = "flextwin-crash.txt"
_TEMPLATES = Path(__file__).parent / "templates"

app = typer.Typer(
    name="flextwin",
    help="A discrete-event digital twin of a GB domestic flexibility portfolio.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(help="scenario file", show_default=False)]
Folder = Annotated[Path, typer.Argument(help="folder of a run", show_default=False)]
Out = Annotated[
    Path | None, typer.Option("--out", help="folder to write; must be new or empty", show_default=False)
]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="another seed than the scenario's", show_default=False)
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="threads; results do not depend on it", show_default=False),
]
Data = Annotated[
    Path | None, typer.Option("--data", help="folder of the files a scenario names", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="print one JSON value")]


class Template(StrEnum):
    """What `new` can begin with."""

    DFS = "dfs"
    BALANCING = "balancing"
    OUTAGE = "outage"


class Bring(StrEnum):
    """What `import` can read."""

    REGISTRY = "registry"
    WEATHER = "weather"
    METERS = "meters"


class NewError(Exception):
    """A new file cannot be written there."""


class Exit(Exception):  # noqa: N818 - it is a way out, not an error
    """Leave with this exit code; everything has been said."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


# ------------------------------------------------------------------------------------------------- commands


@app.command()
def demo(out: Out = None, seed: Seed = None, workers: Workers = None, json_: Json = False) -> None:
    """A winter evening, 10,000 homes: picture and pounds, no network."""
    run(scenarios_folder() / "demo.yaml", out, seed, workers, None, json_)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="name of the scenario, and of its file")],
    template: Annotated[Template, typer.Option("--template", help="what to begin with")] = Template.DFS,
    folder: Annotated[Path, typer.Option("--folder", help="where to write it")] = Path(),
) -> None:
    """Write a commented scenario to edit."""
    path = write_new(name, template.value, folder)
    say(f"{path} written. Next: flextwin validate {path}, then flextwin run {path}")


@app.command()
def validate(file: File, data: Data = None, json_: Json = False) -> None:
    """Tell everything that is wrong with a scenario, at once."""
    from flextwin import api

    scenario, warnings = api.validate(file, data=data)
    if json_:
        say_json({"good": True, "name": scenario.name, "warnings": [_as_json(fault) for fault in warnings]})
        return
    for fault in warnings:
        say(str(fault))
    say(f"{file}: good. {_in_words(scenario)}")


@app.command()
def eligible(
    file: File,
    on: Annotated[
        str | None, typer.Option("--date", help="rules of this day, not the scenario's", show_default=False)
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="another day, or a derogation", show_default=False)
    ] = None,
    held: Annotated[
        list[str] | None,
        typer.Option("--with", help="service that all are in already; repeatable", show_default=False),
    ] = None,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Say what every asset may be sold as, or which clause forbids it."""
    from flextwin import eligible as telling

    told = telling.Told(file, data=data, held=tuple(held or ()))
    rules = told.rules(_day(on))
    other = None if against is None else told.judged(telling.against(told, rules, against))
    found = told.judged(rules)
    if json_:
        say_json(telling.as_json(told, found, other))
        return
    for line in telling.lines(told, found):
        say(line)
    if other is not None:
        for line in telling.moved_lines(found, other):
            say(line)


@app.command()
def enrol(
    file: File,
    service: Annotated[str, typer.Option("--service", help="what the assets are to serve")],
    out: Annotated[Path, typer.Option("--out", help="folder to write the document into")],
    on: Annotated[
        str | None, typer.Option("--date", help="rules of this day, not the scenario's", show_default=False)
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option("--beside", help="document handed in before; repeatable", show_default=False),
    ] = None,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Write the document by which a service enrols meters or assets: those that may serve it, no others."""
    from flextwin import enrol as enrolling

    written = enrolling.write(file, service, out, _day(on), tuple(beside or ()), data)
    entries, units = written.told.entries, len({each.unit for each in written.told.entries})
    if json_:
        told = {"document": str(written.csv), "sources": str(written.json)}
        say_json({**told, "entries": len(entries), "units": units})
        return
    say(f"{written.csv}: {len(entries):,} entries in {units:,} units")
    say(f"{written.json}: the rules, where the columns come from, and who is missing")
    for held, count in sorted(written.told.held.items()):
        say(f"{count:,} assets are in {held.value} already, which does not let them serve both")


def _day(told: str | None) -> date | None:
    """A day as scenarios spell it. Raises RuleError."""
    from protocol.rulebook import RuleError

    try:
        return None if told is None else date.fromisoformat(told)
    except ValueError:
        raise RuleError(f"{told!r} is no day; write 2024-01-16") from None


@app.command("import")
def bring(
    what: Annotated[Bring, typer.Argument(help="what the file holds", show_default=False)],
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or PVGIS JSON", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Parquet file to write; must be new", show_default=False)
    ] = None,
    json_: Json = False,
) -> None:
    """Check a data file of your own, row by row, and write it as the Parquet that a scenario can name."""
    from flextwin.bringing import bring as bring_file

    written = out or Path(f"{file.stem}.{what.value}.parquet")
    if written.exists():
        raise NewError(f"{written} exists already, and nothing is ever overwritten: give another --out")
    if not written.parent.is_dir():
        raise NewError(f"there is no folder {written.parent}")
    brought = bring_file(what.value, file, written)
    if json_:
        warnings = [_as_json(fault) for fault in brought.source.warnings]
        say_json({"good": True, "file": str(written), "told": brought.told, "warnings": warnings})
        return
    for fault in brought.source.warnings:
        complain(str(fault))
    say(f"{written} written: {brought.told}")


@app.command()
def run(
    file: File,
    out: Out = None,
    seed: Seed = None,
    workers: Workers = None,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Run a scenario into a new folder: tables, key figures, report."""
    from flextwin import api

    warnings: list[Fault] = []
    done = api.run(file, out, seed=seed, workers=workers, data=data, quiet=json_, warn=warnings.append)
    for fault in warnings:
        complain(str(fault))
    tell_run(done, json_=json_)


@app.command()
def resume(folder: Folder, workers: Workers = None, json_: Json = False) -> None:
    """Go on with a run that was stopped or killed; the bytes are those of an undisturbed one."""
    from flextwin import api

    tell_run(api.resume(folder, workers=workers, quiet=json_), json_=json_)


@app.command()
def rerun(
    folder: Folder, out: Out = None, workers: Workers = None, data: Data = None, json_: Json = False
) -> None:
    """Run a run's scenario again and compare every byte of the tables."""
    from flextwin import api

    _, difference = api.rerun(folder, out, workers=workers, data=data, quiet=json_)
    tell_difference(difference, json_=json_)


@app.command()
def diff(
    left: Annotated[Path, typer.Argument(help="folder of a run", show_default=False)],
    right: Annotated[Path, typer.Argument(help="folder of another", show_default=False)],
    json_: Json = False,
) -> None:
    """Whether two runs are the same, and where they first part."""
    from flextwin import api

    tell_difference(api.diff(left, right), json_=json_)


@app.command()
def trace(
    folder: Folder,
    device: Annotated[int, typer.Argument(help="number of the device (column `row`)", show_default=False)],
    json_: Json = False,
) -> None:
    """One device's day, line by line, in plain words and local time."""
    from flextwin import api

    told = api.open_run(folder).trace(device)
    if json_:
        moments = [{"at_ms": moment.at_ms, "words": moment.words} for moment in told.moments]
        say_json({"device": told.heading, "moments": moments, "closing": list(told.closing)})
        return
    for line in told.lines():
        say(line)


@app.command()
def reconcile(
    folder: Folder,
    disputes: Annotated[
        Path | None, typer.Option("--disputes", help="YAML or JSON file of disputes", show_default=False)
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", help="as it stood with this settlement run, such as SF", show_default=False),
    ] = None,
    json_: Json = False,
) -> None:
    """Say why what was traded, notified, instructed, settled and true differ, and what disputes come to."""
    from flextwin import reconcile as telling
    from protocol.settlement_calendar import RUNS, Run
    from sim.run_folder import RunFolder
    from studies.disputes import read_disputes, settle_disputes
    from studies.reconciliation import reconcile as reconciled

    run_folder = RunFolder(folder)
    if run is not None and run not in RUNS:
        raise typer.BadParameter(f"{run} is none of {', '.join(RUNS)}", param_hint="--run")
    rows = reconciled(run_folder, None if run is None else Run(run))
    outcomes = [] if disputes is None else settle_disputes(run_folder, read_disputes(disputes, run_folder))
    if json_:
        say_json(telling.as_json(rows, outcomes))
    else:
        for line in (*telling.lines(rows), *telling.dispute_lines(outcomes)):
            say(line)
    if any(row.unexplained for row in rows):
        raise Exit(RED)


@app.command()
def report(folder: Folder, json_: Json = False) -> None:
    """Build key figures, report and picture again from a run's tables."""
    from flextwin import api

    tell_run(api.report(folder), json_=json_)


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="folder of scenarios", show_default=False)],
    junit: Annotated[Path | None, typer.Option("--junit", help="write JUnit XML", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="keep the runs in this folder", show_default=False)
    ] = None,
    workers: Workers = None,
    data: Data = None,
    json_: Json = False,
) -> None:
    """Run every scenario of a folder and compare with what it expects."""
    from flextwin.checking import check_folder

    results = check_folder(folder, out, workers=workers, data=data, told=None if json_ else _tell_result)
    if junit is not None:
        from studies.check import junit_xml

        junit.write_bytes(junit_xml(results))
    red = [result for result in results if not result.green]
    if json_:
        say_json({"green": not red, "scenarios": [_result_as_json(result) for result in results]})
    else:
        say(f"{len(results) - len(red)} of {len(results)} green" + (f", {len(red)} red" if red else ""))
    if red:
        raise Exit(RED)


@app.command()
def realism(
    out: Annotated[
        Path, typer.Option("--out", help="page to write; pictures go to images/ beside it")
    ] = Path("docs/realism.md"),
    json_: Json = False,
) -> None:
    """Hold the models against published figures, and write the page that tells of it."""
    from studies.realism.page import write_page

    targets = write_page(out)
    if json_:
        say_json(
            [
                {"id": t.id, "what": t.what, "found": t.found, "band": t.band, "holds": t.holds}
                for t in targets
            ]
        )
        return
    for target in targets:
        if not target.holds:
            say(f"outside its band: {target.id} {target.what}")
    say(f"{sum(target.holds for target in targets)} of {len(targets)} figures hold; {out} written")


@app.command()
def doctor(json_: Json = False) -> None:
    """Versions, solver, cores, caches, and one verdict."""
    from flextwin.health import examine

    findings = examine()
    bad = [finding for finding in findings if not finding.good]
    if json_:
        say_json({"good": not bad, "findings": [[f.what, f.found, f.good] for f in findings]})
    else:
        for finding in findings:
            say(f"{'ok ' if finding.good else 'BAD'}  {finding.what:<10} {finding.found}")
        say("everything is in order" if not bad else f"not in order: {', '.join(f.what for f in bad)}")
    if bad:
        raise Exit(RED)


# -------------------------------------------------------------------------------------------------- telling


def tell_run(done: Run, *, json_: bool) -> None:
    """A finished run in a few lines. Raises Exit when it is degraded."""
    kpis, degraded = done.kpis, done.degraded
    if json_:
        say_json({"folder": str(done.folder), "report": str(done.report), "degraded": degraded, "kpis": kpis})
    else:
        for line in run_lines(done):
            say(line)
    if degraded:
        raise Exit(DEGRADED)


def run_lines(done: Run) -> Iterable[str]:
    """What a person wants to know first of a run."""
    from studies.kpis import EARNED

    kpis, manifest = done.kpis, done.manifest
    yield f"{manifest['scenario']['name']}: {kpis['homes']:,} homes, seed {manifest['seed']}{_pace(done)}"
    yield ""
    if kpis["mwh_instructed"]:
        yield f"  asked for    {kpis['mwh_instructed']:10,.2f} MWh"
        yield f"  truly given  {kpis['mwh_true']:10,.2f} MWh   {kpis['delivered_share']:.0%} of it"
        if "mwh_settled" in kpis:
            yield f"  settled      {kpis['mwh_settled']:10,.2f} MWh"
    else:
        yield "  asked for    nothing: no instruction was accepted"
    parts = [f"{name} £{kpis[key]:,.2f}" for key, name in EARNED.items() if kpis.get(key)]
    yield f"  earned       £{kpis['gbp_total']:,.2f}" + (f"   {', '.join(parts)}" if parts else "")
    broken = f"{kpis['promises_broken_by_instructions']:,} of {kpis['promises']:,} promises"
    yield f"  drivers      {broken} broken by instructions, {kpis['promises_broken_anyway']:,} anyway"
    yield (
        f"  messages     {kpis['commands_lost']:,} of {kpis['commands_sent']:,} set-points lost"
        + (
            f", {kpis['readings_arrived_share']:.1%} of readings arrived"
            if "readings_arrived_share" in kpis
            else ""
        )
    )
    yield ""
    for reason in done.degraded:
        yield f"  DEGRADED: {reason}"
    yield f"  picture  {done.folder / PICTURE_PNG}"
    yield f"  report   {done.report}"


def _pace(done: Run) -> str:
    from sim.run_folder import TIMING

    path = done.folder / TIMING
    if not path.is_file():
        return ""
    timing = json.loads(path.read_text(encoding="utf-8"))
    return f", {timing['wall_s']:.1f} s, {timing['times_real_time']:,.0f} x real time"


def tell_difference(difference: Any, *, json_: bool) -> None:
    """Two runs compared. Raises Exit when they differ."""
    if json_:
        say_json(
            {
                "same": difference.same,
                "tables": [str(table) for table in difference.tables],
                "kpis": [list(kpi) for kpi in difference.kpis],
                "causes": list(difference.causes),
            }
        )
    else:
        for line in _difference_lines(difference):
            say(line)
    if not difference.same:
        raise Exit(RED)


def _difference_lines(difference: Any) -> Iterable[str]:
    if difference.same:
        yield f"the same: all {difference.compared} tables, byte by byte"
        return
    for cause in difference.causes:
        yield f"made of different things: {cause}"
    for table in difference.tables:
        yield str(table)
    for name, left, right in difference.kpis:
        yield f"  {name:<34} {_figure(left):>14} {_figure(right):>14}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.6g}"


def _tell_result(result: ScenarioResult) -> None:
    say(
        f"{'green' if result.green else 'RED  '}  {result.name}"
        + (f"   {result.seconds:.1f} s" if result.seconds else "")
    )
    if result.problem:
        say(f"         {result.problem}")
    for band in result.bands:
        if not band.green:
            say(f"         {band.kpi}: wanted {band.wanted}, found {band.found}")


def _result_as_json(result: ScenarioResult) -> dict[str, Any]:
    bands = [{"kpi": b.kpi, "wanted": b.wanted, "found": b.found, "green": b.green} for b in result.bands]
    return {"name": result.name, "green": result.green, "problem": result.problem, "bands": bands}


def _in_words(scenario: Scenario) -> str:
    days = f"{scenario.clock.days} day{'s' if scenario.clock.days != 1 else ''} from {scenario.clock.start}"
    events = len(scenario.markets.dfs.events), len(scenario.markets.balancing.acceptances)
    told = f"{scenario.name}: {scenario.homes.count:,} homes, {days}, seed {scenario.seed}"
    return told + f"; DFS events: {events[0]}, BM acceptances: {events[1]}, comms {scenario.comms.profile}"


def _as_json(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in fault.__slots__}


def say(line: str) -> None:
    """A line for whoever asked."""
    typer.echo(line)


def say_json(value: Any) -> None:
    """One JSON value for a program."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def complain(line: str) -> None:
    """A line on standard error."""
    typer.echo(line, err=True)


# ------------------------------------------------------------------------------------------------ scenarios


def scenarios_folder() -> Path:
    """Where the shipped scenarios lie: inside an installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "scenarios"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "scenarios"


def write_new(name: str, template: str, folder: Path) -> Path:
    """Write a commented scenario of that name; its place. Raises NewError instead of overwriting anything."""
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or len(name) > 64:
        raise NewError(f"{name!r} is no name of a scenario: letters, digits, `_` and `-`, at most 64")
    path = folder / f"{name}.yaml"
    if path.exists():
        raise NewError(f"{path} exists already, and nothing is ever overwritten: take another name")
    if not folder.is_dir():
        raise NewError(f"there is no folder {folder}")
    text = (_TEMPLATES / f"{template}.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("NAME", name), encoding="utf-8")
    return path


# ------------------------------------------------------------------------------------------------- the door


def main() -> None:
    """Entry point of the command line."""
    sys.exit(execute(sys.argv[1:]))


def execute(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    try:
        app(arguments, prog_name="flextwin", standalone_mode=False)
    except Exit as way_out:
        return way_out.code
    except typer.Exit as way_out:
        return way_out.exit_code
    except (KeyboardInterrupt, typer.Abort):
        complain("stopped")
        return STOPPED
    except BrokenPipeError:
        return _nobody_reads()
    except Exception as error:  # noqa: BLE001 - the last place where anything can be told
        return _tell_failure(error, arguments)
    return GOOD


def _tell_failure(error: Exception, arguments: list[str]) -> int:
    """Tell what went wrong in words that fit whose fault it is."""
    name = type(error).__name__
    if callable(show := getattr(error, "show", None)):  # a command line: typer tells it
        show()
        return USER
    if name == "RunInterruptedError":
        complain(str(error))
        return STOPPED
    if name in USER_FAULTS:
        if "--json" in arguments:
            faults = [_as_json(fault) for fault in getattr(error, "faults", ())]
            say_json({"good": False, "problem": str(error), "faults": faults})
        else:
            complain(str(error))
        return USER
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        free = shutil.disk_usage(Path()).free / 1e6
        complain(f"the disk is full ({free:,.0f} MB free): make room, then flextwin resume")
        return USER
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
        complain(f"{error.filename}: {error.strerror}")
        return USER
    path = _keep_crash(error, arguments)
    complain(f"flextwin failed, and that is our fault: {name}: {str(error)[:300]}")
    complain(f"What we need to know to mend it is in {path}")
    return OURS


def _keep_crash(error: Exception, arguments: list[str]) -> Path:
    """Write the traceback where a developer can be sent it: here, or where temporary files lie."""
    import tempfile
    import traceback

    from sim.manifest import code_version, versions

    told = "".join(traceback.format_exception(error))
    text = f"flextwin {code_version()}\n{versions()}\narguments: {arguments}\n\n{told}"
    for folder in (Path(), Path(tempfile.gettempdir())):
        try:
            (folder / _CRASH_FILE).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return (folder / _CRASH_FILE).resolve()
    return Path(_CRASH_FILE)


def _nobody_reads() -> int:
    """The reader of our output has gone (`| head`): not an error worth words."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return GOOD


if __name__ == "__main__":
    main()
