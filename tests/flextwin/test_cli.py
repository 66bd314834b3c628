"""Every command says what it did, ends with the code that was promised, and blames the right one."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim.scenario_file import load_scenario

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "demo", "new", "validate", "eligible", "run", "resume", "rerun", "diff", "trace", "reconcile", "report",
    "check", "realism", "doctor",
)  # fmt: skip
HEAVY = ("matplotlib", "numba", "pandas", "pyarrow", "scipy", "simpy", "highspy", "pyomo", "jinja2")


# ------------------------------------------------------------------------------------------- a run and after


def test_a_run_ends_with_pounds_and_the_way_to_its_report(command, engine, here):
    said = command("run", "evening.yaml")
    assert said.code == 0
    assert "earned       £1,584.97   DFS £1,554.94, BM £30.03" in said.out
    assert "truly given        1.53 MWh   101% of it" in said.out
    assert "results/evening/report.html" in said.out
    for name in (
        "manifest.json",
        "kpis.json",
        "report.html",
        "picture.png",
        "picture.svg",
        "timing.json",
        "portfolio_1s.parquet",
    ):
        assert (here / "results" / "evening" / name).is_file()


def test_without_a_terminal_nothing_moves(command, engine, here):
    assert command("run", "evening.yaml").err == ""
    assert engine.asked[0]["progress"] is None


def test_a_run_in_json_is_one_value(command, engine, here):
    told = command("run", "evening.yaml", "--out", "mine", "--json").json
    assert told["folder"] == "mine"
    assert told["kpis"]["gbp_total"] == pytest.approx(1584.96866)


def test_a_second_run_gets_a_folder_of_its_own(command, engine, here):
    command("run", "evening.yaml")
    command("run", "evening.yaml")
    assert sorted(path.name for path in (here / "results").iterdir()) == ["evening", "evening-2"]


def test_a_folder_with_something_in_it_is_refused(command, engine, here):
    (here / "mine").mkdir()
    (here / "mine" / "thesis.txt").write_text("precious")
    said = command("run", "evening.yaml", "--out", "mine")
    assert said.code == 2
    assert "mine is not empty, and no run is ever overwritten" in said.err
    assert [path.name for path in (here / "mine").iterdir()] == ["thesis.txt"]


def test_another_seed_is_kept_in_the_text_that_is_kept(command, engine, here):
    command("run", "evening.yaml", "--seed", 7, "--out", "seven")
    (here / "evening.yaml").write_text(f"{cli_scenario()}seed: 3  # mine\n")
    command("run", "evening.yaml", "--seed", 8, "--out", "eight")
    assert [asked["seed"] for asked in engine.asked] == [7, 8]
    for name, seed in (("seven", 7), ("eight", 8)):
        assert load_scenario(here / name / "scenario.yaml").seed == seed


def cli_scenario():
    return "flextwin: 1\nname: evening\nclock: {start: 2024-01-16}\n"


def test_a_degraded_run_says_why_and_ends_with_3(command, engine, here):
    engine.degraded = ("a checkpoint was damaged",)
    said = command("run", "evening.yaml")
    assert said.code == 3
    assert "DEGRADED: a checkpoint was damaged" in said.out
    assert command("report", "results/evening").code == 3


def test_a_stopped_run_says_how_to_go_on_and_does(command, engine, here):
    engine.stops = True
    said = command("run", "evening.yaml", "--out", "half")
    assert (said.code, said.out) == (130, "")
    assert said.err == "stopped and saved; go on with: flextwin resume half\n"
    assert command("resume", "half").code == 0
    assert engine.asked[-1] == {"resumed": Path("half")}
    said = command("resume", "half")
    assert (said.code, said.err) == (2, "half is finished: there is nothing to resume\n")


def test_a_failure_of_ours_is_short_and_keeps_what_we_need(command, engine, here):
    engine.raises = ZeroDivisionError("division by zero")
    said = command("run", "evening.yaml")
    assert said.code == 4
    assert "that is our fault: ZeroDivisionError: division by zero" in said.err
    crash = (here / "flextwin-crash.txt").read_text()
    assert str(here / "flextwin-crash.txt") in said.err
    assert "Traceback" in crash
    assert "['run', 'evening.yaml']" in crash


def test_a_full_disk_is_told_as_such(command, engine, here):
    engine.raises = OSError(28, "No space left on device")
    said = command("run", "evening.yaml")
    assert said.code == 2
    assert re.match(r"the disk is full \([\d,]+ MB free\): make room, then flextwin resume", said.err)


def test_the_same_scenario_again_is_the_same_and_another_is_not(command, engine, here, drawn):
    command("run", "evening.yaml", "--out", "one")
    said = command("rerun", "one")
    assert (said.code, said.out) == (0, "the same: all 21 tables, byte by byte\n")
    assert command("diff", "one", "one", "--json").json["same"] is True
    drawn.make_run(here / "two", seed=2, spoil=lambda lived: lived.__setitem__((0, 0), 5))
    said = command("diff", "one", "two")
    assert said.code == 1
    assert "made of different things: seed: 1 and 2" in said.out
    assert "portfolio_1s: row" in said.out


def test_a_device_is_traced_in_words_and_in_json(command, engine, here):
    command("run", "evening.yaml", "--out", "one")
    said = command("trace", "one", 1)
    assert said.code == 0
    assert "19:37:50  told to wait until 20:20 (_A/7), lost on the way" in said.out
    assert command("trace", "one", 1, "--json").json["moments"][0]["words"] == "deadline: charged as promised"
    said = command("trace", "one", 99)
    assert (said.code, said.err) == (2, "no device 99 in one: devices are 0 to 2\n")


def test_differences_that_nothing_explains_are_told_and_end_with_1(command, once):
    said = command("reconcile", str(once))
    assert said.code == 1  # the drawn run has settled volumes of bids that nobody made
    assert "instructed to settled:" in said.out
    assert "UNEXPLAINED" in said.out
    told = command("reconcile", str(once), "--json").json
    assert told["unexplained"] > 0
    for period in told["periods"]:
        for each in (*period["volumes_wh"], *period["money_gbp_e5"]):
            assert sum(each["parts"].values()) == each["amount"]


def test_a_dispute_is_told_with_its_days_and_a_wrong_file_with_its_place(command, once, here):
    words = "disputes:\n  - {id: D1, line: %s, ground: duplicate, raised: 2024-02-01}\n"
    Path("disputes.yaml").write_text(words % 0, encoding="utf-8")
    said = command("reconcile", str(once), "--disputes", "disputes.yaml")
    assert "D1         raised       line 0: duplicate" in said.out
    assert "0 of 1 disputes upheld" in said.out
    Path("disputes.yaml").write_text(words % 999, encoding="utf-8")
    wrong = command("reconcile", str(once), "--disputes", "disputes.yaml")
    assert wrong.code == 2
    assert "disputes.yaml:2:20: S023" in wrong.err


def test_a_report_is_built_again_from_the_tables(command, once, here):
    shutil.copytree(once, here / "one")
    before = (here / "one" / "report.html").read_bytes()
    for name in ("report.html", "kpis.json", "picture.png"):
        (here / "one" / name).unlink()
    assert command("report", "one").code == 0
    assert (here / "one" / "report.html").read_bytes() == before


# -------------------------------------------------------------------------------------- before anything runs


def test_validate_tells_every_fault_with_its_place(command, here):
    (here / "bad.yaml").write_text(
        "flextwin: 1\nname: bad\nclock: {start: 2024-01-16}\nhoms:\n  count: 5\nevs: {share: 2}\n"
    )
    said = command("validate", "bad.yaml")
    assert (said.code, said.out) == (2, "")
    lines = said.err.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["bad.yaml:4:1:", "bad.yaml:6:14:"]
    assert "did you mean `homes`?" in lines[0]
    told = command("validate", "bad.yaml", "--json").json
    assert [(fault["line"], fault["code"]) for fault in told["faults"]] == [(4, "S020"), (6, "S034")]


def test_validate_says_what_a_good_scenario_is(command, here):
    said = command("validate", "evening.yaml")
    assert (said.code, said.out[:60]) == (0, "evening.yaml: good. evening: 10,000 homes, 1 day from 2024-0")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "none.yaml"),
        ("validate", "none.yaml"),
        ("report", "none"),
        ("trace", "none", "1"),
        ("diff", "none", "none"),
        ("resume", "none"),
        ("rerun", "none"),
        ("check", "none"),
    ],
)
def test_what_is_not_there_is_the_users_to_put_right(command, engine, here, words):
    said = command(*words)
    assert said.code == 2
    assert "none" in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "evening.yaml", "--sed", "1"),
        ("trace", "one", "two"),
        ("fly",),
        ("run", "evening.yaml", "--seed", "-1"),
    ],
)
def test_a_wrong_command_line_is_told_with_its_usage(command, engine, here, words):
    said = command(*words)
    assert said.code == 2
    assert "Usage: flextwin" in said.err


@pytest.mark.parametrize("template", ["dfs", "balancing", "outage"])
def test_a_new_scenario_is_good_and_explains_itself(command, here, template):
    assert command("new", "my-trial", "--template", template).code == 0
    text = (here / "my-trial.yaml").read_text()
    assert "NAME" not in text
    assert load_scenario(here / "my-trial.yaml").name == "my-trial"
    assert text.count("#") > 10
    assert command("validate", "my-trial.yaml").err == ""


def test_a_new_scenario_never_replaces_anything(command, here):
    said = command("new", "evening")
    assert said.code == 2
    assert "evening.yaml exists already" in said.err
    assert (here / "evening.yaml").read_text() == cli_scenario()


@pytest.mark.parametrize("name", ["../up", "a b", "", "x" * 65, "a/b", "naïve"])
def test_a_name_that_is_none_is_refused(command, here, name):
    before = sorted(here.iterdir())
    assert command("new", name).code == 2
    assert sorted(here.iterdir()) == before


# ----------------------------------------------------------------------------------------------------- check


def test_check_is_green_when_all_bands_hold_and_red_when_one_does_not(command, engine, here):
    folder = here / "scenarios"
    (folder / "must_fail").mkdir(parents=True)
    (folder / "good.yaml").write_text(f"{cli_scenario()}expect:\n  - {{kpi: instructions_open, equals: 0}}\n")
    (folder / "must_fail" / "wrong.yaml").write_text(
        "# expect: S020 line 4\nflextwin: 1\nname: wrong\nclok: {start: 2024-01-16}\n"
    )
    first = command("check", folder)
    assert first.code == 1  # the clock is missing too
    (folder / "must_fail" / "wrong.yaml").write_text(
        f"# expect: S020 line 5\n{cli_scenario()}hoems: {{count: 5}}\n"
    )
    said = command("check", folder, "--junit", "out.xml")
    assert (said.code, said.out.splitlines()[-1]) == (0, "2 of 2 green")
    (folder / "dear.yaml").write_text(f"{cli_scenario()}expect:\n  - {{kpi: gbp_total, at_least: 5000}}\n")
    said = command("check", folder, "--junit", "out.xml")
    assert said.code == 1
    assert "gbp_total: wanted at least 5000, found 1584.97" in said.out
    assert 'failures="1"' in (here / "out.xml").read_text()
    assert command("check", folder, "--json").json["green"] is False


def test_one_scenario_that_cannot_run_does_not_stop_the_others(command, engine, here):
    (here / "broken.yaml").write_text("flextwin: 1\n")
    said = command("check", here)
    assert said.code == 1
    assert "RED    broken.yaml" in said.out
    assert "green  evening.yaml" in said.out


# -------------------------------------------------------------------------------------------------- the door


def test_the_demo_runs_the_shipped_scenario(command, engine, here):
    said = command("demo")
    assert said.code == 0
    assert "name: demo" in engine.asked[0]["text"]
    assert "picture  results/demo/picture.png" in said.out


def test_the_doctor_finds_this_machine_in_order(command):
    said = command("doctor")
    assert said.out.splitlines()[-1] == "everything is in order", said.out
    assert said.code == 0
    assert command("doctor", "--json").json["good"] is True


def test_a_doctor_who_finds_something_says_so(command, monkeypatch):
    monkeypatch.setattr("flextwin.health.scenarios_folder", lambda: Path("/nowhere"))
    said = command("doctor")
    assert said.code == 1
    assert said.out.splitlines()[-1] == "not in order: scenarios"


def test_realism_writes_its_page_and_names_what_is_outside_its_band(command, here, monkeypatch):
    from studies.realism.target import Target

    fields = {"source": "a paper", "published": "1", "band": (0.9, 1.1), "mechanism": "none"}
    targets = (
        Target(id="T1", what="near", found=(1.0,), **fields),
        Target(id="T2", what="far", found=(2.0,), **fields),
    )
    monkeypatch.setattr("studies.realism.page.all_targets", lambda: targets)
    monkeypatch.setattr("studies.realism.page.PICTURES", {})
    monkeypatch.setattr("studies.realism.page._event", lambda: ())
    said = command("realism", "--out", "mine/realism.md")
    assert said.code == 0
    assert said.out.splitlines() == [
        "outside its band: T2 far",
        "1 of 2 figures hold; mine/realism.md written",
    ]
    assert "| **FAILS** |" in (here / "mine" / "realism.md").read_text()
    assert [target["holds"] for target in command("realism", "--json").json] == [True, False]


def test_help_names_every_command_and_each_explains_itself(command):
    told = command("--help").out
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", told, re.MULTILINE)
        assert "Usage: flextwin" in command(name, "--help").out


@pytest.mark.parametrize(
    ("arguments", "allowed"), [(["--help"], ("numpy", "pydantic")), (["validate", "scenarios/demo.yaml"], ())]
)
def test_quick_commands_import_nothing_heavy(arguments, allowed):
    script = (
        "import sys, json; from flextwin import cli; code = cli.execute(sys.argv[1:]); "
        "print(json.dumps([code, sorted(name for name in sys.modules if '.' not in name)]), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    code, loaded = json.loads(done.stderr.splitlines()[-1])
    assert code == 0
    assert not set(HEAVY + allowed) & set(loaded)


def test_the_package_itself_costs_nothing_to_import():
    script = "import sys, flextwin; print({'numpy', 'typer', 'pydantic'} & set(sys.modules), *dir(flextwin))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = "Run RunInterruptedError diff open_run report rerun resume run validate"
    assert done.stdout == f"set() {names}\n"


def test_a_reader_who_leaves_is_no_error():
    line = f"{sys.executable} -m flextwin.cli validate scenarios/demo.yaml | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
