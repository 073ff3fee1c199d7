"""A new rule has a name of its own; a condition names versions exactly."""

from __future__ import annotations

import pytest

from gateway.migration.override_rules import etag, new_name, versions_of


def test_every_name_is_another() -> None:
    """And says nothing of what it is for; "/" would stand before the number of a panic's part."""
    names = {new_name("p") for _ in range(20)}
    assert len(names) == 20
    assert all(name.startswith("p-") and "/" not in name for name in names)


@pytest.mark.parametrize(
    ("field", "versions"),
    [('"3"', {3}), ('"3", "12"', {3, 12}), ("3", set()), ('W/"3"', set()), ("*", set()), ('""', set()), ("", set())],
)
def test_if_match_names_versions(field: str, versions: set[int]) -> None:
    """Only strong ones that are numbers."""
    assert versions_of(field) == versions
    assert versions_of(etag(7)) == {7}
