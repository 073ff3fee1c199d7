"""Python 3.11.0 to 3.11.4 match a possessive repeat of more than one character wrongly (CPython gh-106052), and Debian 12 brings 3.11.2."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("gateway", "translators", "service_stubs", "legacy_stubs")
REPEATED_GROUP = re.compile(r"(?<!\\)\)(?:[*+?]|\{\d*,?\d*\})\+|\(\?>")
NO_PATTERNS = {"gateway/cli/doctor/checks/request_heads.py"}
"""Requests that hold every character that a target may have."""


def repeated_groups(source: str) -> list[int]:
    """Return the lines of texts in which a group is repeated without going back."""
    texts = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [
        node.lineno
        for node in texts
        if isinstance(node.value, str | bytes) and REPEATED_GROUP.search(_text(node.value)) is not None
    ]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


@pytest.mark.parametrize("room", PRODUCT)
def test_only_single_characters_are_repeated_possessively(room: str) -> None:
    """A group so repeated took what was not well-formed for a plain narrative, and saw no DOCTYPE behind a comment."""
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / room).rglob("*.py")}
    found = {name: lines for name, path in files.items() if (lines := repeated_groups(path.read_text("utf-8")))}
    assert {name for name in found if name not in NO_PATTERNS} == set()


@pytest.mark.parametrize("pattern", ["(?:ab?)*+", "(?:ab?)++", "(a)?+", "(a|b){1,2}+", "(?>a)"])
def test_groups_repeated_possessively_are_found(pattern: str) -> None:
    """In plain, raw, joined and byte texts."""
    assert repeated_groups(f'x = 1\ny = re.compile(r"{pattern}c")') == [2]
    assert repeated_groups(f'x = rb"{pattern}"') == [1]
    assert repeated_groups('x = rf"{z}' + pattern.replace("{", "{{").replace("}", "}}") + '"') == [1]


@pytest.mark.parametrize("pattern", ["[^<]*+", r"\S++", r"\)?+x", "(?:a)*b", "a{2}+"])
def test_characters_repeated_possessively_are_no_matter(pattern: str) -> None:
    """Nor are groups that are repeated in the usual way."""
    assert repeated_groups(f'x = re.compile(r"{pattern}")') == []
