"""The page about security names tests; each of them is there."""

import re
from pathlib import Path

from tests.each import each_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([a-z0-9_/]+\.py)::([a-z0-9_]+)`", PAGE)))


def test_every_threat_has_a_test() -> None:
    """A row of a table of threats without one is a wish."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(("| threat |", "|---"))]
    assert len(rows) > 40
    for row in rows:
        *_, tests, _ = row.split("|")
        assert re.fullmatch(r"( `[a-z0-9_/]+\.py::test_[a-z0-9_]+`,?)+ ", tests), row


@each_of(NAMED)
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    """Renaming or deleting one says so here."""
    text = (ROOT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"{file}::{name}"
