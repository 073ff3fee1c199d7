"""Long work shows how far it is to a person at a terminal, and to nobody else."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.cli.output import progress
from tests.gateway.cli.test_plan import _fill, _seen

if TYPE_CHECKING:
    from pathlib import Path

SIMULATE = ("simulate", "--municipalities", "3", "--days", "40")


def at_a_terminal(folder: Path, *arguments: str) -> tuple[str, str]:
    """Run a command with standard error at a terminal; return what it wrote to standard output and to that."""
    own, terminal = pty.openpty()
    command = (sys.executable, "-m", "gateway", *arguments)
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
        os.close(terminal)
        shown = bytearray()
        try:
            while chunk := os.read(own, 4096):
                shown += chunk
        except OSError:
            pass  # Linux says so when the other end of a terminal has been closed
        finally:
            os.close(own)
        assert process.stdout is not None
        return process.stdout.read(), shown.decode()


def test_a_simulation_shows_its_days_at_a_terminal(tmp_path: Path) -> None:
    """On standard error; what it found is on standard output alone."""
    found, shown = at_a_terminal(tmp_path, *SIMULATE)
    assert "Days" in shown
    assert "100%" in shown
    assert "Days" not in found
    assert "cutover" in found


def test_json_comes_without_progress(tmp_path: Path) -> None:
    """Also at a terminal: a program has asked."""
    found, shown = at_a_terminal(tmp_path, *SIMULATE, "--json")
    assert shown == ""
    assert len(json.loads(found)["days"]) == 40


@pytest.mark.slow
def test_the_replay_of_the_past_shows_its_decisions(routes_file: Path) -> None:
    """So many as the log has."""
    _fill(routes_file.parent, [_seen(60), _seen(70)])
    found, shown = at_a_terminal(routes_file.parent, "plan", "routes.yaml", "routes.yaml", "--past", "1h")
    assert "Decisions" in shown
    assert "100%" in shown
    assert "2 recorded messages" in found


def test_nothing_shows_progress_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is there to see it move."""
    with progress("Days", 2, as_json=False) as more:
        more(1)
        more(1)
    assert capsys.readouterr() == ("", "")
