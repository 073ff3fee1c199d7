"""Set-up of the checkout installs exactly the lock, and says what to do where it cannot."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.scripts.checkout import Project, one_line

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_from_the_small_lock_to_the_big_one_and_back(project: Project) -> None:
    """The big environment serves both, and what is finished is left alone."""
    assert project.does("run")
    assert project.installed() == {"alpha", "checkout"}
    assert not project.does("run")
    assert project.does("dev")
    assert project.installed() == {"alpha", "beta", "checkout"}
    assert not project.does("run")
    assert not project.does("dev")


def test_set_up_that_failed_says_what_to_do_and_begins_anew(project: Project) -> None:
    """Once the network is there, it is as if nothing had been."""
    unreachable = {
        "PIP_NO_INDEX": "0",
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "1",
    }
    assert "mend the network" in one_line(project.set_up("run", **unreachable))
    assert not project.stamp.exists()
    (project.folder / "left").touch()
    assert project.does("run")
    assert project.installed() == {"alpha", "checkout"}
    assert not (project.folder / "left").exists()


def test_file_that_is_not_the_locks_is_refused(project: Project) -> None:
    """Nothing that was exchanged at an index is installed."""
    with zipfile.ZipFile(project.root / "alpha-1-py3-none-any.whl", "a") as archive:
        archive.writestr("alpha_too.py", "")
    assert "not the one of the lock" in one_line(project.set_up("run"))


def test_settings_of_whoever_calls_lead_nothing_elsewhere(project: Project, tmp_path: Path) -> None:
    """Nor does a PYTHONPATH bring something that the lock does not name."""
    (tmp_path / "pip.py").write_text("raise SystemExit('the wrong pip')", encoding="utf-8")
    settings = {"PIP_TARGET": str(tmp_path), "PIP_USER": "1", "PIP_NO_BINARY": ":all:", "PYTHONPATH": str(tmp_path)}
    done = project.set_up("run", **settings)
    assert done.returncode == 0, done.stderr
    assert project.installed() == {"alpha", "checkout"}


def test_package_that_lacks_what_it_needs_is_found(project: Project) -> None:
    """A lock that is not complete fails at once, not when the missing module is imported."""
    project.lock("run", "gamma==1")
    assert "pip check failed" in one_line(project.set_up("run"))
