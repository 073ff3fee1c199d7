"""Intervals and bounds are arguments with defaults: no test puts another value in the place of a module's constant."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

TESTS = Path(__file__).parent
PERHAPS = re.compile(r"setattr|patch\b|\bobject\(|\w\._*[A-Z][A-Z0-9_]* = ")
"""What a file has that gives a constant another value; most have nothing of it, and need not be taken apart."""
CONSTANT = re.compile(r"(?:.*\.)?(_*[A-Z][A-Z0-9_]*|__(?:kw)?defaults__)")
EXCEPTIONS = {
    ("bench/test_compiled.py", "ROOT"): "where a script finds the checkout, and no bound",
    ("scripts/test_setup.py", "ROOT"): "likewise",
    ("gateway/cli/doctor/test_installation.py", "_ZONE"): "the name of a time zone, and no bound",
    ("translators/test_growth.py", "MOST"): "what one test measures; every translator would hand it on for that alone",
    ("translators/test_growth.py", "_MOST"): "likewise",
}
"""What is patched all the same, by file and name, and why."""


def patched(source: str) -> set[str]:
    """Return the constants that a test gives another value; of a name that is made, each that its function mentions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)) if PERHAPS.search(source) else ():
        if isinstance(node, ast.Assign):
            owned = [one for one in node.targets if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)]
            found |= _constants(one.attr for one in owned)
        elif isinstance(node, ast.Call) and isinstance(name := _name(node), ast.Constant):
            found |= _constants([name.value])
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = list(ast.walk(node))
            if any(isinstance(one, ast.Call) and not isinstance(_name(one), ast.Constant | None) for one in inside):
                found |= _constants(one.value for one in inside if isinstance(one, ast.Constant))
    return found


def _name(call: ast.Call) -> ast.expr | None:
    """Return what says which name is patched: the path, or the argument after the owner; None where nothing is."""
    function = call.func
    called = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if called not in ("setattr", "patch", "object") or not call.args:
        return None
    first = call.args[0]
    is_path = isinstance(first, ast.JoinedStr) or (isinstance(first, ast.Constant) and isinstance(first.value, str))
    return first if is_path else next(iter(call.args[1:2]), None)


def _constants(words: Iterable[object]) -> set[str]:
    found = (CONSTANT.fullmatch(one) for one in words if isinstance(one, str))
    return {one[1] for one in found if one is not None}


@cache
def everywhere() -> frozenset[tuple[str, str]]:
    """Return every constant that a test patches, by file and name."""
    return frozenset(
        (path.relative_to(TESTS).as_posix(), name)
        for path in TESTS.rglob("*.py")
        if path != Path(__file__)
        for name in patched(path.read_text(encoding="utf-8"))
    )


def test_no_constant_is_patched() -> None:
    """A class or function takes the bound as an argument, whose default is the one place where it is said."""
    assert everywhere() - EXCEPTIONS.keys() == set(), "give what is bounded an argument, and let the test pass it"


def test_each_exception_is_one() -> None:
    """What is patched no longer is on the list no longer."""
    assert EXCEPTIONS.keys() - everywhere() == set()


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('monkeypatch.setattr(module, "_MOST", 2)', {"_MOST"}),
        ('monkeypatch.setattr("gateway.cli.rollback._EVERY", 0.01)', {"_EVERY"}),
        ('monkeypatch.setattr("gateway.admin.pages.live.stream.__defaults__", (0.0,))', {"__defaults__"}),
        ('with patch.object(module, "HEAD", 1): pass', {"HEAD"}),
        ("module.LEASE = 4.0", {"LEASE"}),
        ('def test(m):\n  for name in ("FRESH", "AGAIN"):\n    m.setattr(module, name, 0.0)', {"FRESH", "AGAIN"}),
        ('def test(m):\n  for name in ("a.MOST", "b"):\n    m.setattr(f"translators.{name}", 1)', {"MOST"}),
        ('@mark.parametrize("at", ["IDLE"])\ndef test(m, at):\n  m.setattr(module, at, 0.6)', {"IDLE"}),
        ('def test(m):\n  m.setattr(module, "look", f)\n  assert tell() == "E31"', set()),
        ('monkeypatch.setattr(build, "Comparer", partial(Comparer, most=2))', set()),
        ('monkeypatch.setenv("PATH", "x")', set()),
    ],
)
def test_patches_are_found_however_they_are_written(source: str, names: set[str]) -> None:
    """By attribute, by path, by a name that is made, and by assignment; a function in another's place is none."""
    assert patched(source) == names
