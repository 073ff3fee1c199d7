"""What is said, and done, where pages cannot be tried in a browser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def _run(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-m",
            "slow",
            "-p",
            "no:cacheprovider",
            "tests/browser",
            "tests/test_ports.py",
        ],
        cwd=ROOT,
        env={**os.environ, "CHROMIUM": "no-such-browser", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_absence_of_a_browser_is_said_aloud_and_is_a_failure_where_it_is_required() -> None:
    """Nothing is skipped in silence."""
    told = _run(BROWSER_TESTS="")
    assert told.returncode == 5, told.stdout
    assert "THE BROWSER TESTS DID NOT RUN" in told.stdout
    assert "there is no no-such-browser: apt-get install chromium" in told.stdout
    refused = _run(BROWSER_TESTS="required")
    assert refused.returncode == 4
    assert "the tests of pages in a browser are required, and cannot run" in refused.stderr
