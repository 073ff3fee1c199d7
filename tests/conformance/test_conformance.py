"""docs/conformance.md says what the tests prove, and every fact of it is proved."""

from __future__ import annotations

import pytest

from tests.conformance.table import PAGE, ROOT, Fact, facts, page, proofs_by_fact

FACTS = facts()


def test_the_page_is_what_a_run_makes_of_it() -> None:
    """`make conformance` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_fact_is_proved_and_its_places_are_there(fact: Fact) -> None:
    """By a test or by case files, and obeyed in code that exists."""
    assert fact.tests or fact.cases
    assert all((ROOT / place).exists() for place in fact.where)
    assert not fact.patterns or fact.cases


def test_no_test_names_a_fact_that_is_not_there() -> None:
    """A misspelt name would prove nothing."""
    assert proofs_by_fact().keys() <= {fact.name for fact in FACTS}
