"""A name says whether the same was asked for before; a condition names versions exactly."""

from __future__ import annotations

import pytest

from gateway.migration.override_rules import etag, name_of, versions_of
from gateway.runtime.active_routes import Generations


def test_same_key_and_content_have_the_same_name() -> None:
    """Another content has another name that begins alike; another person's key is another."""
    first = name_of("o", "olga", "key", b"one")
    assert name_of("o", "olga", "key", b"one") == first
    other = name_of("o", "olga", "key", b"two")
    assert (other.key, other.name == first.name) == (first.key, False)
    assert other.name.startswith(first.key or "-")
    assert name_of("o", "vera", "key", b"one").key != first.key
    assert "/" not in first.name


def test_without_a_key_every_name_is_another() -> None:
    """And says nothing of what it is for."""
    names = {name_of("p", "olga", None, b"one").name for _ in range(20)}
    assert len(names) == 20
    assert name_of("p", "olga", None, b"one").key is None


@pytest.mark.parametrize(
    ("field", "versions"),
    [('"3"', {3}), ('"3", "12"', {3, 12}), ("3", set()), ('W/"3"', set()), ("*", set()), ('""', set()), ("", set())],
)
def test_if_match_names_versions(field: str, versions: set[int]) -> None:
    """Only strong ones that are numbers."""
    assert versions_of(field) == versions
    assert versions_of(etag(7)) == {7}


def test_tables_are_counted() -> None:
    """From 1, in each process."""
    generations = Generations()
    assert [generations.taken() for _ in range(3)] == [1, 2, 3]
    assert generations.number == 3
