"""The worked examples of docs/extending.md can be followed as they are written, and do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.extending import Example, apply, copy, examples

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
EXAMPLES = examples(PAGE)
MOST_PLACES = 4


def test_there_is_an_example_of_each_kind() -> None:
    """What is added most often."""
    assert [one.title for one in EXAMPLES] == [
        f"A new {kind}" for kind in ("key of a route", "information type", "surface", "information service", "page")
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.title)
def test_few_places_are_touched_and_each_is_as_the_page_says(example: Example, tmp_path: Path) -> None:
    """Beside the new files, tests and documents."""
    assert example.proof
    assert len({one.place for one in example.changes if one.is_product and not one.is_new}) <= MOST_PLACES
    for change in example.changes:
        if not change.is_new:
            (tmp_path / change.path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / change.path).write_bytes((ROOT / change.path).read_bytes())
    for change in example.changes:
        apply(change, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.title)
def test_example_works_in_a_copy_of_the_checkout(example: Example, tmp_path: Path) -> None:
    """The tests that it names pass with it."""
    copy(ROOT, tmp_path)
    for change in example.changes:
        apply(change, tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *example.proof]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
