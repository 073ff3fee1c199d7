"""Targets of any shape: reading one never fails, and one that climbs is below nothing."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.surfaces import paths as targets
from gateway.surfaces.paths import is_origin_form, path_of

ANY_TARGET = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda data: data.decode("utf-8", "surrogateescape")),
    st.text("/.%25cCeE\\?#;epj", max_size=40).map(lambda text: "/" + text),
)


@given(ANY_TARGET)
def test_any_target_can_be_read(target: str) -> None:
    """Whatever bytes a sender writes, there is an answer to what they mean."""
    path = path_of(target)
    assert is_origin_form(target) in {True, False}
    assert all(segment and "/" not in segment for segment in path.segments)
    assert path.is_below("/epj/") in {True, False}


def spellings(segment: str) -> st.SearchStrategy[str]:
    """Write a dot segment as it is, escaped, or escaped twice, in any letter case."""
    once = "".join(f"%{ord(letter):02x}" for letter in segment)
    return st.sampled_from([segment, once, once.upper(), quote(once), once.replace("%", "%25").upper()])


@given(
    st.lists(st.sampled_from(["epj", "r4", "EPJ", "%65pj", "312229544"]), max_size=4),
    st.sampled_from([".", ".."]).flatmap(spellings),
    st.sampled_from(["/", "%2f", "%2F", "%5c", "%255C", "//", "%252f"]),
    st.lists(st.sampled_from(["stub", "bundle", ""]), max_size=3),
)
def test_path_that_climbs_is_below_nothing(before: list[str], dots: str, slash: str, after: list[str]) -> None:
    """A dot segment anywhere, escaped once or twice, may mean another path further on."""
    path = path_of("/epj/" + slash.join([*before, dots, *after]))
    assert path.climbs
    assert not any(path.is_below(prefix) for prefix in ("/", "/epj", "/epj/", "/epj/r4/"))


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30))
def test_query_chooses_nothing(query: str) -> None:
    """Only the path counts."""
    assert path_of(f"/epj/r4?{query}") == path_of("/epj/r4")


@pytest.mark.parametrize(
    ("target", "prefix", "below"),
    [
        ("/epj/r4", "/epj/", True),
        ("/epj", "/epj/", True),
        ("//EPJ//x", "/epj/", True),
        ("/%65%70%6A/x", "/epj", True),
        ("/epj/x", "/EPJ/", True),
        ("/epjx", "/epj/", False),
        ("/", "/epj/", False),
        ("/x/epj", "/epj/", False),
        ("/anything", "/", True),
        ("/epj/...", "/epj/", True),
        ("/epj/a..b", "/epj/", True),
        ("/epj%5cx", "/epj/", False),
    ],
)
def test_paths_are_compared_as_vkp_compares_them(target: str, prefix: str, *, below: bool) -> None:
    """Letter case, escapes and extra slashes do not matter; where a segment ends does."""
    assert path_of(target).is_below(prefix) == below


@pytest.mark.parametrize("target", ["http://h/epj", "*", "h:443", "", "epj/r4", "/epj\\r4", "\\epj", "?x=/"])
def test_only_a_path_is_a_path(target: str) -> None:
    """Other forms of a target could name a server, or mean another path to one."""
    assert not is_origin_form(target)


def test_backslash_in_a_query_is_no_matter() -> None:
    """Nobody takes a query for a path."""
    assert is_origin_form("/epj?x=\\")


def test_long_paths_are_not_remembered() -> None:
    """Thousands of the longest paths, which anybody may send, would fill the memory."""
    before = targets._known_path.cache_info().currsize
    for number in range(10):
        assert len(path_of(f"/{number}" + "/ab" * 5000).segments) == 5001
    assert targets._known_path.cache_info().currsize == before
