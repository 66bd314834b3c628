"""The twin from Python: the same runs, their figures and tables as values."""

import pytest

import flextwin
from flextwin.api import SeedError, free_folder, with_seed
from sim.run_folder import RunFolderError
from sim.scenario_errors import ScenarioErrors


def test_a_run_gives_figures_tables_and_its_report(engine, here):
    done = flextwin.run("evening.yaml", "out", workers=1)
    assert done.kpis["promises"] == 4
    assert done.report.is_file()
    assert done.degraded == ()
    frame = done.table("deliveries", ["unit", "true_wh"])
    assert frame.shape == (8, 2)
    assert list(done.trace(1).lines())[1] == "Tue 16 Jan"
    assert flextwin.open_run("out").manifest["seed"] == 1
    assert flextwin.diff("out", "out").same


def test_data_lie_beside_the_scenario_unless_told_otherwise(engine, here):
    flextwin.run("evening.yaml", "a")
    flextwin.run("evening.yaml", "b", data=here / "elsewhere")
    assert [asked["data"] for asked in engine.asked] == [here, here / "elsewhere"]


def test_a_run_that_was_stopped_is_an_exception_with_its_folder(engine, here):
    engine.stops = True
    with pytest.raises(flextwin.RunInterruptedError) as caught:
        flextwin.run("evening.yaml", "half")
    assert str(caught.value.folder) == "half"


def test_wrong_scenarios_and_folders_are_exceptions_too(engine, here):
    with pytest.raises(ScenarioErrors):
        flextwin.validate("none.yaml")
    with pytest.raises(RunFolderError):
        flextwin.open_run(here)
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        getattr(flextwin, "fly")  # noqa: B009 - the point is that there is no such name


def test_a_rerun_can_be_kept(engine, here):
    flextwin.run("evening.yaml", "one")
    again, difference = flextwin.rerun("one", "two")
    assert difference.same
    assert again.folder.name == "two"


def test_the_next_free_folder_is_found(tmp_path):
    assert free_folder(tmp_path, "demo").name == "demo"
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo-2").mkdir()
    assert free_folder(tmp_path, "demo").name == "demo-3"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("flextwin: 1\nname: a\n", "flextwin: 1\nname: a\nseed: 9\n"),
        ("flextwin: 1\nseed: 3 # mine\nname: a", "flextwin: 1\nseed: 9\nname: a"),
        ("flextwin: 1\nother: {seed: 3}\n\n", "flextwin: 1\nother: {seed: 3}\nseed: 9\n"),
    ],
)
def test_a_seed_is_replaced_on_its_own_line(text, told):
    assert with_seed(text, 9) == told


def test_a_text_in_one_line_has_no_place_for_a_seed():
    with pytest.raises(SeedError, match="on a line of its own"):
        with_seed("{flextwin: 1, name: a}", 9)
