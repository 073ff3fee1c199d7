"""The table of documented facts: what tests and case files prove, read from the sources without running them."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"
CASES = ROOT / "tests" / "translators" / "cases"
_FACTS = Path(__file__).with_name("facts.toml")
_HEAD = """\
# Conformance

The facts that are documented of VKP, JFT and HelseID, or were seen there: where each is obeyed, and which test says so. A test names a fact
by a marker, and whoever breaks it hears of the fact. This page is made by `make conformance`, which runs these tests;
[assumptions.md](assumptions.md) has what nobody has documented.

| fact | source | obeyed in | shown by |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Fact:
    """One fact, and the names of the tests and case files that prove it."""

    name: str
    says: str
    source: str
    where: tuple[str, ...]
    tests: tuple[str, ...]
    patterns: tuple[str, ...]

    @property
    def cases(self) -> list[str]:
        """The case files that show it."""
        names = sorted(path.stem for path in CASES.glob("*.case"))
        return [name for name in names if any(fnmatchcase(name, one) for one in self.patterns)]


def facts() -> list[Fact]:
    """Return every fact, in the order of its file."""
    named = proofs_by_fact()
    return [
        Fact(
            name,
            row["says"],
            row["source"],
            tuple(row["where"]),
            tuple(named.pop(name, ())),
            tuple(row.get("cases", ())),
        )
        for name, row in tomllib.loads(_FACTS.read_text(encoding="utf-8")).items()
    ]


def proofs_by_fact() -> dict[str, list[str]]:
    """Return the tests that name each fact, as `tests/…/test_x.py::test_y`."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.fact(" not in text:
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for name in _named(node):
                    found.setdefault(name, []).append(f"{path.relative_to(ROOT)}::{node.name}")
    return found


def page() -> str:
    """Return the page as it must be."""
    return _HEAD + "".join(map(_row, facts()))


def _row(fact: Fact) -> str:
    where = ", ".join(f"`{one}`" for one in fact.where)
    shown = [f"[{one.partition('::')[2]}](../{one.partition('::')[0]})" for one in fact.tests]
    if fact.patterns:
        patterns = ", ".join(f"`{one}`" for one in fact.patterns)
        shown.append(f"{len(fact.cases)} [case files](../tests/translators/cases) {patterns}")
    return f"| {fact.says} | {fact.source} | {where} | {'; '.join(shown)} |\n"


def _named(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    names = []
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.fact":
            names += [str(ast.literal_eval(argument)) for argument in decorator.args]
    return names
