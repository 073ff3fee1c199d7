"""A checkout that nobody has set up."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.scripts.checkout import BACKEND, PROJECT, SCRIPT, Project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Make a checkout that nobody has set up."""
    root = tmp_path / "checkout"
    for folder in ("scripts", "locks"):
        (root / folder).mkdir(parents=True)
    shutil.copy(SCRIPT, root / "scripts")
    (root / "pyproject.toml").write_text(PROJECT + '[project]\nname = "checkout"\nversion = "1"\n', encoding="utf-8")
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    made = Project(root)
    made.lock("run", "alpha==1")
    made.lock("dev", "alpha==1", "beta==1")
    return made
