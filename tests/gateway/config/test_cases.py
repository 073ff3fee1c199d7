"""Every file in cases/: a routes.yaml, a line of dashes, and exactly the problems that `check` finds in it.

Change a case by hand and read what the test prints; nothing writes these files.
"""

from pathlib import Path

import pytest

from gateway.config.load import load_text

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))
KINDS = ("unknown-key", "wrong-type", "duplicate-key", "unknown-name", "vkp-id", "equally-specific", "cell")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_file_has_exactly_these_problems(case: Path) -> None:
    """Every problem is found at once, at its exact line and column, in the order of the file."""
    text, expected = case.read_text(encoding="utf-8").split("----------\n")
    loaded = load_text(text, "routes.yaml")
    assert [str(problem) for problem in loaded.problems] == expected.splitlines()
    usable = all(": warning: " in line for line in expected.splitlines())
    assert (loaded.config is not None, loaded.table is not None) == (usable, usable)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_problem_has_five_wrong_files(kind: str) -> None:
    """A rule that many hands will touch is pinned from many sides."""
    wrong = [case for case in CASES if case.stem.startswith(kind) and ": " in case.read_text().split("-----\n")[1]]
    assert len(wrong) >= 5
