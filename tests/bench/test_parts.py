"""Every part of the benchmark has its place in the document, and is named in its how-to."""

from pathlib import Path

import pytest

from bench.__main__ import PARTS
from bench.report import replaced

DOCUMENT = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_named_and_has_its_place(part: str) -> None:
    """So that `--only` is known to take it, and `--write` finds where its results go."""
    assert f"`{part}`" in DOCUMENT.partition("## How it is measured")[0]
    assert "what was found" in replaced(DOCUMENT, part, "what was found")
