"""Runs the tests that prove documented facts, and writes docs/conformance.md when all of them have passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.table import PAGE, facts, page

if TYPE_CHECKING:
    from collections.abc import Iterator

_CASES = "test_a_message_becomes_exactly_this_call_with_these_findings["


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know what `make conformance` asks for."""
    parser.addoption("--conformance", action="store_true", help="run what proves facts, and write docs/conformance.md")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests and case files that prove a fact."""
    if config.getoption("--conformance"):
        shown = {case for fact in facts() for case in fact.cases}
        items[:] = [item for item in items if item.get_closest_marker("fact") or _case_of(item.name) in shown]


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """Write the page, unless anything has failed or some fact was not looked at."""
    yield
    if not session.config.getoption("--conformance") or exitstatus != pytest.ExitCode.OK:
        return
    ran = {item.nodeid.partition("[")[0] for item in session.items}
    cases = {_case_of(item.name) for item in session.items}
    missing = [fact.name for fact in facts() if not (set(fact.tests) <= ran and set(fact.cases) <= cases)]
    if missing:
        raise pytest.UsageError(f"not run, so nothing is written: {', '.join(missing)}")
    PAGE.write_text(page(), encoding="utf-8")


def _case_of(name: str) -> str | None:
    return name.removeprefix(_CASES).removesuffix("]") if name.startswith(_CASES) else None
