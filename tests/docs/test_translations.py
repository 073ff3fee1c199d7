"""The pages about translation say what the translators do: every code's result, and every rule by its name."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
NOT_RULES = {
    *("alert-of-reason", "category-of-class", "dispense-event", "event-of", "event-of-section"),  # maps
    *("mode-of-class", "section-of"),
    *("not-journaled", "not-to-be-journaled"),  # what a code becomes, and why a message is delivered nowhere
    "unknown-patient",  # a reason to refuse
    *("plus-40", "plus-65", "plus-80"),  # series of national numbers
    *("replaced-by", "vital-signs"),  # codes of FHIR
    *("entered-in-error", "in-progress", "not-done", "not-taken", "on-hold", "user-friendly-name"),  # codes of FHIR
    *("ahead-of-target", "behind-target", "on-target", "derived-from", "has-member"),
    *("nhn-source-system", "us-ascii", "utf-8"),
    *("utf-16", "iso-8859-1", "iso-8859-15", "windows-1252", "latin-1"),  # encodings
    *("batch-response", "transaction-response"),  # types of a Bundle
}
"""Texts of the translators that are written as a rule's name is."""


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    spec = importlib.util.spec_from_file_location("translations_page", ROOT / "scripts" / "translations_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _whole_texts(node: ast.AST) -> Iterator[str]:
    """Go through the texts of a program, but for the pieces of a formatted one."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, ast.JoinedStr):
        for below in ast.iter_child_nodes(node):
            yield from _whole_texts(below)


def _rules_of_the_code() -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "translators").rglob("*.py")]
    named = {text for tree in trees for text in _whole_texts(tree) if re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", text)}
    return {text for text in named if not text.startswith("vkp-")} - NOT_RULES - _invariants()


def _invariants() -> set[str]:
    """Return the keys of FHIR's invariants, and the codes that they name."""
    files = [ROOT / "translators" / "fhir" / f"{name}.py" for name in ("invariants", "bundle")]
    return {text for path in files for text in _whole_texts(ast.parse(path.read_text(encoding="utf-8")))}


def _rules_of_the_page() -> list[str]:
    tables = _read("docs/losses.md").split("## Rules of repair", 1)[1]
    return re.findall(r"^\| `([a-z0-9-]+)` \|", tables, re.MULTILINE)


def test_the_tables_of_translations_are_what_the_translators_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run scripts/translations_page.py and read what changed."""
    page = _page(monkeypatch)
    assert _read("docs/translations.md").endswith("\n" + page.generated())


def test_every_rule_has_its_meaning_in_the_page_about_losses_and_no_other_has() -> None:
    """Whoever reads a rule's name in a report or a log finds out what it did."""
    named = _rules_of_the_page()
    assert set(named) == _rules_of_the_code()
    assert len(named) == len(set(named))


@pytest.mark.parametrize("path", ["docs/losses.md", "docs/translations.md"])
def test_the_rows_of_a_table_have_as_many_cells_as_its_head(path: str) -> None:
    """A code with a bar in it would shift what a reader sees."""
    for table in re.findall(r"(?:^\|.*\n)+", _read(path), re.MULTILINE):
        assert len({re.sub(r"\\\|", "", row).count("|") for row in table.splitlines()}) == 1, table


@pytest.mark.parametrize("number", range(2, 16))
def test_every_quirk_of_the_wire_has_its_case(number: int) -> None:
    """What published messages do is tried, each with a message of its own; the first is a matter of HTTP."""
    assert list((ROOT / "tests" / "translators" / "cases").glob(f"quirk-{number:02}-*.case"))
