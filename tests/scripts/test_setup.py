"""Set-up of the checkout: what it does with whatever lies there, and one line that says what to do; nothing is installed."""

from __future__ import annotations

import ast
import fcntl
import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.scripts.checkout import ROOT, SCRIPT, Project, one_line, run

if TYPE_CHECKING:
    from types import ModuleType

OLDER = """\
import runpy, sys
sys.version_info = (3, 10, 13, "final", 0)
runpy.run_path({script!r}, run_name="__main__")
"""
WITHOUT = """\
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name == "ensurepip" else find(name)
sys.argv = [{script!r}, "run"]
runpy.run_path({script!r}, run_name="__main__")
"""


def test_older_python_reads_the_script_and_says_what_is_needed(tmp_path: Path) -> None:
    """Its first word is what to do, and no traceback."""
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))
    said = one_line(run(sys.executable, "-c", OLDER.format(script=str(SCRIPT)), wheels=tmp_path))
    assert said.startswith("set-up: Python 3.11 or newer is needed")
    assert "make PYTHON=" in said


def test_python_that_cannot_make_environments_says_what_to_install(project: Project) -> None:
    """As Debian's without python3-venv."""
    script = str(project.root / "scripts" / "setup.py")
    said = one_line(run(sys.executable, "-c", WITHOUT.format(script=script), wheels=project.root))
    assert "no ensurepip" in said
    assert "apt install python3" in said


def test_missing_python_is_one_line_of_the_makefile() -> None:
    """Make's own line says only that a command is missing."""
    command = ("make", "--no-print-directory", "-C", str(ROOT), "PYTHON=no-such-python", "run-environment")
    done = run(*command, wheels=ROOT)
    assert done.returncode != 0
    assert done.stderr.startswith("set-up: there is no no-such-python: install Python 3.11 or newer")


def test_python_that_cannot_even_read_the_script_is_one_line_of_the_makefile(tmp_path: Path) -> None:
    """As Python 2, to which what the script says is an error of syntax."""
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = run("make", "--no-print-directory", "-C", str(ROOT), f"PYTHON={old}", "run-environment", wheels=ROOT)
    assert done.returncode != 0
    assert done.stderr.startswith("set-up: Python 3.11 or newer is needed, and ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_in_the_place_of_the_environment_is_named(project: Project, tmp_path: Path, kind: str) -> None:
    """It may be somebody's, so nothing removes it."""
    if kind == "file":
        project.folder.touch()
    else:
        project.folder.symlink_to(tmp_path)
    assert one_line(project.set_up("run")) == f"set-up: {project.folder} is in the way: remove it, and run make again"


def test_second_set_up_of_a_checkout_says_that_it_waits(project: Project) -> None:
    """And goes on once the first has ended."""
    project.folder.touch()
    first = os.open(project.root, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    command = (sys.executable, str(project.root / "scripts" / "setup.py"), "run")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as second:
        assert second.stderr is not None
        try:
            assert second.stderr.readline() == "set-up: waiting for another set-up of this checkout\n"
        finally:
            os.close(first)
        assert "in the way" in second.stderr.read()


@dataclass
class Recorded:
    """The script in this process, making and installing nothing but a note of what it would."""

    script: ModuleType
    folder: Path
    done: list[str] = field(default_factory=list)
    fails: bool = False

    def make(self, folder: Path) -> None:
        """Make the folder as it would be, with nothing in it."""
        self.done.append("make")
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        (folder / "bin" / "python").touch()

    def run(self, command: str, *arguments: str) -> None:
        """Note one run of pip, with the names that it installs."""
        if self.fails:
            raise self.script.SetupError("no more")
        parts = [Path(word).read_text(encoding="utf-8") for word in arguments if word.endswith(".txt")]
        names = sorted(line.split("==")[0] for part in parts for line in part.splitlines() if "==" in line)
        if command == "install":
            self.done.append(" ".join(names) or "checkout")

    def does(self, purpose: str) -> list[str]:
        """Set up, and return what had to be done."""
        self.done.clear()
        self.script.main([purpose])
        return list(self.done)


def loaded(project: Project) -> ModuleType:
    """Return the script of a checkout as a module."""
    spec = importlib.util.spec_from_file_location("setup_script", project.root / "scripts" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


@pytest.fixture
def recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Load the script of a checkout."""
    monkeypatch.delenv("SETUP_PIP", raising=False)
    script = loaded(project)
    made = Recorded(script, project.folder)
    monkeypatch.setattr(script, "_make", made.make)
    monkeypatch.setattr(script._Pip, "run", lambda _pip, *arguments: made.run(*arguments))
    return made


def test_finished_environment_is_left_alone_and_the_big_one_serves_both(recorded: Recorded) -> None:
    """From the small lock to the big one only what is missing is installed."""
    assert recorded.does("run") == ["make", "alpha", "checkout"]
    assert recorded.does("run") == []
    assert recorded.does("dev") == ["beta", "checkout"]
    assert recorded.does("dev") == []
    assert recorded.does("run") == []


def test_environment_of_other_locks_is_made_anew(project: Project, recorded: Recorded) -> None:
    """What is no longer in the lock does not stay installed."""
    recorded.does("dev")
    project.lock("run", "gamma==1")
    assert recorded.does("run") == ["make", "gamma", "checkout"]


def test_environment_of_an_older_project_file_is_brought_up_to_date(project: Project, recorded: Recorded) -> None:
    """Its dependencies are those of the lock, so only the checkout is installed again; the big one stays big."""
    recorded.does("dev")
    (project.root / "pyproject.toml").write_text("", encoding="utf-8")
    assert recorded.does("run") == ["checkout"]
    assert recorded.does("dev") == []


@pytest.mark.parametrize("left", ["", "[]", "{}", '{"purpose": "dev"}', "\xff"])
def test_environment_without_a_stamp_that_fits_is_made_anew(project: Project, recorded: Recorded, left: str) -> None:
    """As earlier versions left it, and what somebody made by hand."""
    recorded.does("run")
    project.stamp.write_text(left, encoding="latin-1")
    assert recorded.does("run") == ["make", "alpha", "checkout"]


def test_environment_without_its_python_is_made_anew(project: Project, recorded: Recorded) -> None:
    """As when the Python that it was made with has been removed."""
    recorded.does("run")
    (project.folder / "bin" / "python").unlink()
    assert recorded.does("run")[0] == "make"


def test_environment_of_another_python_is_made_anew(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names another Python gets that one."""
    recorded.does("dev")
    monkeypatch.setattr("platform.python_version", lambda: "3.14.9")
    assert recorded.does("run") == ["make", "alpha", "checkout"]


def test_environment_of_a_checkout_that_was_moved_is_made_anew(
    project: Project, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its programs name the folder where they were installed."""
    recorded.does("dev")
    monkeypatch.setattr(recorded.script, "ROOT", project.root.rename(project.root.with_name("elsewhere")))
    assert recorded.does("run") == ["make", "alpha", "checkout"]


def test_the_oldest_pip_is_taken_where_it_is_asked_for(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of any other pip does not do then; otherwise any pip does."""
    recorded.does("run")
    monkeypatch.setenv("SETUP_PIP", "locks/run.lock")
    assert recorded.does("run")[0] == "make"
    assert recorded.does("dev") == ["beta", "checkout"]
    monkeypatch.delenv("SETUP_PIP")
    assert recorded.does("dev") == []


def test_interrupted_way_to_the_big_lock_begins_anew(recorded: Recorded) -> None:
    """The small environment that was finished before is no longer taken for one."""
    recorded.does("run")
    recorded.fails = True
    with pytest.raises(SystemExit, match="no more"):
        recorded.does("dev")
    recorded.fails = False
    assert recorded.does("run") == ["make", "alpha", "checkout"]


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("Error: [Errno 13] Permission denied: '/checkout/.venv'", "cannot be written"),
        ("Error: [Errno 30] Read-only file system: '/checkout/.venv'", "cannot be written"),
        ("Error: [Errno 28] No space left on device", "make room"),
        ("Error: ensurepip returned non-zero exit status 1.", "apt install python3"),
    ],
)
def test_environment_that_cannot_be_made_is_told_by_what_hinders_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, said: str, advice: str
) -> None:
    """Whoever may not write there is not told to install what is there."""
    script = loaded(project)
    monkeypatch.setattr(script, "_run", lambda command: subprocess.CompletedProcess(command, 1, stdout=said))
    with pytest.raises(script.SetupError) as told:
        script._make(project.folder)
    assert advice in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        (
            "Retrying: NewConnectionError: Connection refused\nERROR: No matching distribution found for x==1",
            "mend the network",
        ),
        ("ERROR: No matching distribution found for x==1", "no wheel of x==1 for Python"),
        ("ERROR: No matching distribution found for x==1", "see that it reaches its index"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "an index that you trust"),
        ("ERROR: [Errno 28] No space left on device", "make room"),
        ("something\nERROR: anything else\n\n", "pip download failed: ERROR: anything else"),
        ("", "pip download failed"),
    ],
)
def test_failure_of_pip_is_told_in_one_line(recorded: Recorded, said: str, advice: str) -> None:
    """What pip says takes many lines, and seldom says what to do."""
    reason = recorded.script._reason("download", said)
    assert advice in reason
    assert "\n" not in reason
