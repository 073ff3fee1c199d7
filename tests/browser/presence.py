"""Whether the tests of pages in a browser can run: they need a Chromium on the machine, and what `locks/browser.lock` names."""

from __future__ import annotations

import importlib.util
import os
import shutil

PROGRAM = os.environ.get("CHROMIUM", "chromium")
REQUIRED = os.environ.get("BROWSER_TESTS") == "required"
"""Whether their absence is a failure, as it is in continuous integration."""


def chromium() -> str | None:
    """Return where the browser is; None where there is none."""
    return shutil.which(PROGRAM)


def why_absent() -> str | None:
    """Say why they cannot run, and what to do; None where they can."""
    if chromium() is None:
        return f"there is no {PROGRAM}: apt-get install chromium, or CHROMIUM=/path/to/chromium"
    missing = [one for one in ("playwright", "axe_playwright_python") if importlib.util.find_spec(one) is None]
    return f"{' and '.join(missing)} not installed: make browser-environment" if missing else None
