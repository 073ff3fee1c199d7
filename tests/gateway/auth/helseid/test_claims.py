"""What is read of a token before it is trusted: never more than it says, and never an exception."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.helseid.claims import MAX_TOKEN_BYTES, Credentials, credentials, read_unverified, scopes, text_claim


def token(claims: object) -> str:
    """Make an unsigned token."""
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.c2ln"


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(value: bytes) -> None:
    """Whatever a sender writes, reading it gives claims or none."""
    assert isinstance(read_unverified(credentials(value)), dict)
    assert isinstance(read_unverified(credentials(b"Bearer " + value)), dict)


@given(st.text(st.characters(codec="ascii"), max_size=100))
def test_any_payload_can_be_read(text: str) -> None:
    """A middle part of any characters is no reason to stop."""
    assert isinstance(read_unverified(Credentials("bearer", f"a.{text}.c")), dict)


@pytest.mark.parametrize("claims", [[], 5, None, "x", {"a": 1}])
def test_only_an_object_has_claims(claims: object) -> None:
    """Other JSON is no set of claims."""
    expected = claims if isinstance(claims, dict) else {}
    assert read_unverified(Credentials("bearer", token(claims))) == expected


def test_deep_nesting_is_no_claim() -> None:
    """A payload made to exhaust the stack is as good as none."""
    deep = base64.urlsafe_b64encode(b"[" * 9_000).rstrip(b"=").decode()
    assert read_unverified(Credentials("bearer", f"e30.{deep}.x")) == {}


def test_overlong_field_is_not_looked_at() -> None:
    """A field beyond the limit holds no credentials."""
    assert credentials(b"Bearer " + b"a" * MAX_TOKEN_BYTES) is None


@pytest.mark.parametrize(
    ("value", "expected"), [(" a ", "a"), ("", None), ("  ", None), (5, None), (["a"], None), (None, None)]
)
def test_text_claim_is_a_trimmed_text(value: object, expected: str | None) -> None:
    """VKP's ids were seen with blanks around them; anything else is not an id."""
    assert text_claim({"id": value}, "id") == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a b", {"a", "b"}), (["a", "b"], {"a", "b"}), ([1, "a"], {"a"}), ({}, set()), (None, set())],
)
def test_scopes_come_as_array_or_text(value: object, expected: set[str]) -> None:
    """HelseID writes an array and RFC 9068 a text."""
    assert scopes({"scope": value}) == expected
