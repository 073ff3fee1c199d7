"""Reads the worked examples of docs/extending.md, and makes the changes that they describe in a copy of the checkout.

An example is a section. A paragraph that begins with the path of a file, in backquotes, is followed by a block of code: a `diff`
whose lines begin with a blank (there already), `+` or `-`; or, behind `(new)`, the whole file. `Proved by` names tests.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SECTION = re.compile(r"^## (?P<title>A new .+)$", re.MULTILINE)
_CHANGE = re.compile(
    r"^`(?P<path>[^`\n]+)`(?P<new> \(new\))?[^\n]*\n\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_PROOF = re.compile(r"^Proved by (?P<tests>.+?)\.$", re.MULTILINE | re.DOTALL)
_NEEDED = ("gateway", "translators", "legacy_stubs", "service_stubs", "bench", "scripts", "locks", "tests", "docs")
_NOT_NEEDED = shutil.ignore_patterns("__pycache__", ".*_cache", "results", "var")


@dataclass(frozen=True)
class Change:
    """What becomes of one file."""

    path: str
    text: str
    is_new: bool

    @property
    def is_product(self) -> bool:
        """Whether it is one of the places to touch, beside tests and documents."""
        return not self.path.startswith(("tests/", "docs/"))

    @property
    def place(self) -> str:
        """What is touched: a file, or a text with its translations."""
        return self.path.rpartition("/")[0] if self.path.endswith(".toml") else self.path


@dataclass(frozen=True)
class Example:
    """One thing that is added."""

    title: str
    changes: tuple[Change, ...]
    proof: tuple[str, ...]
    """Arguments of pytest."""


def examples(page: str) -> list[Example]:
    """Return every example of the page."""
    _, *parts = _SECTION.split(page)
    return [_example(title, text) for title, text in zip(parts[::2], parts[1::2], strict=True)]


def _example(title: str, text: str) -> Example:
    changes = tuple(Change(one["path"], one["text"], bool(one["new"])) for one in _CHANGE.finditer(text))
    proof = _PROOF.search(text)
    return Example(title, changes, tuple(re.findall(r"`([^`]+)`", proof["tests"])) if proof else ())


def copy(root: Path, folder: Path) -> None:
    """Copy what a change is made in, and what its tests read."""
    for name in _NEEDED:
        shutil.copytree(root / name, folder / name, ignore=_NOT_NEEDED)
    for file in (*root.glob("*.toml"), *root.glob("*.md"), *root.glob("*.yaml"), root / "Makefile"):
        shutil.copy(file, folder / file.name)


def apply(change: Change, folder: Path) -> None:
    """Make a change; raises `ValueError` unless what it says is there stands there once."""
    path = folder / change.path
    if change.is_new:
        if path.exists():
            raise ValueError(f"{change.path} is there already")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(change.text, encoding="utf-8")
        return
    text = path.read_text(encoding="utf-8")
    lines = change.text.splitlines(keepends=True)
    before = "".join(line[1:] if line.strip() else line for line in lines if not line.startswith("+"))
    after = "".join(line[1:] if line.strip() else line for line in lines if not line.startswith("-"))
    if text.count(before) != 1:
        raise ValueError(f"{change.path} has this {text.count(before)} times:\n{before}")
    path.write_text(text.replace(before, after), encoding="utf-8")
