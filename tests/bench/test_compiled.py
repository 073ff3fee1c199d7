"""Compiled translators are measured only where they are those of this source."""

from __future__ import annotations

import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from bench import compiled

if TYPE_CHECKING:
    from pathlib import Path

_TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with one translator."""
    monkeypatch.setattr(compiled, "ROOT", tmp_path)
    for folder in ("translators", "dist"):
        (tmp_path / folder).mkdir()
    (tmp_path / "translators" / "one.py").write_text("a = 1\n", encoding="utf-8")
    return tmp_path


def test_without_a_wheel_the_compiled_ones_are_left_out_by_name(checkout: Path) -> None:
    """Whoever reads the table sees what is missing, and what would make it."""
    found = compiled.table(1)
    assert (found.rows, checkout.name in found.notes[0]) == ((), False)
    assert "`make wheel`" in found.notes[0]


def test_a_wheel_of_another_source_is_not_measured(checkout: Path) -> None:
    """Otherwise a change would be compared with what was there before it."""
    with zipfile.ZipFile(checkout / "dist" / f"vkp_gateway-1-{_TAG}-{_TAG}-any.whl", "w") as archive:
        archive.writestr("translators/one.py", "a = 2\n")
    assert "another source" in compiled.table(1).notes[0]
