"""Compiled kernels are forgotten when any source changes, and kept when none does."""

import pytest

from sim import kernel_cache


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two packages of one source each, with kernels that were compiled some time ago."""
    for package in ("devices", "sim"):
        cache = tmp_path / package / "__pycache__"
        cache.mkdir(parents=True)
        (tmp_path / package / "code.py").write_text("one = 1\n")
    monkeypatch.setattr(kernel_cache, "_ROOT", tmp_path)
    monkeypatch.setattr(kernel_cache, "_STAMP", tmp_path / "sim" / "__pycache__" / "kernels.sha256")
    compile_again(tmp_path)
    return tmp_path


def compile_again(project):
    for package in ("devices", "sim"):
        for name in ("code.happen-101.py311.nbi", "code.happen-101.py311.1.nbc", "code.cpython-311.pyc"):
            (project / package / "__pycache__" / name).write_bytes(b"compiled")


def kernels(project):
    return sorted(path.name for path in project.rglob("*.nb?"))


def test_kernels_of_unknown_origin_are_forgotten_and_python_bytecode_is_kept(project):
    assert kernel_cache.forget_stale_kernels()
    assert kernels(project) == []
    assert len(list(project.rglob("*.pyc"))) == 2


def test_kernels_of_todays_sources_are_kept(project):
    kernel_cache.forget_stale_kernels()
    compile_again(project)
    assert not kernel_cache.forget_stale_kernels()
    assert len(kernels(project)) == 4


@pytest.mark.parametrize(
    "change",
    [
        lambda project: (project / "devices" / "code.py").write_text("one = 2\n"),
        lambda project: (project / "devices" / "more.py").write_text(""),
        lambda project: (project / "devices" / "code.py").rename(project / "devices" / "renamed.py"),
        lambda project: (project / "sim" / "code.py").unlink(),
        lambda project: (project / "sim" / "__pycache__" / "kernels.sha256").write_text("damaged"),
        lambda project: (project / "sim" / "__pycache__" / "kernels.sha256").unlink(),
    ],
    ids=["edited", "added", "renamed", "removed", "stamp damaged", "stamp lost"],
)
def test_any_change_of_a_source_forgets_the_kernels_of_all_packages_once(project, change):
    kernel_cache.forget_stale_kernels()
    compile_again(project)
    change(project)
    assert kernel_cache.forget_stale_kernels()
    assert kernels(project) == []
    assert not kernel_cache.forget_stale_kernels()


def test_text_moved_between_files_is_a_change(project):
    (project / "devices" / "a.py").write_text("x")
    (project / "devices" / "b.py").write_text("y")
    kernel_cache.forget_stale_kernels()
    (project / "devices" / "a.py").write_text("y")
    (project / "devices" / "b.py").write_text("x")
    assert kernel_cache.forget_stale_kernels()


def test_an_installation_that_nobody_may_write_to_is_no_error(project, monkeypatch):
    (project / "read-only").write_text("a file where the folder should be")
    monkeypatch.setattr(kernel_cache, "_STAMP", project / "read-only" / "kernels.sha256")
    assert kernel_cache.forget_stale_kernels()
