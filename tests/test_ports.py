"""Ports of tests: two runs at the same time, whatever checkouts they are of, never get the same one."""

import subprocess
import sys
from pathlib import Path

from tests.ports import free_ports

ROOT = Path(__file__).parents[1]
CODE = "from tests.ports import free_ports; print(*free_ports(300), flush=True); input()"


def test_runs_at_the_same_time_share_no_port() -> None:
    """Each has a block of its own, however often it goes round it."""
    with subprocess.Popen(
        [sys.executable, "-c", CODE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = {int(number) for number in other.stdout.readline().split()}
        ours = set(free_ports(300))
        other.communicate("\n")
    assert theirs
    assert not theirs & ours


def test_the_next_ports_are_other_ones() -> None:
    """What the last test used may be closing still."""
    assert not set(free_ports(20)) & set(free_ports(20))
