"""Payloads open for whoever has the key and asks about the right thing; hashes find, and say nothing."""

import hashlib
import hmac
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.ledger.crypto import LookupHasher, PayloadCipher, PayloadUnreadable

OLD, NEW = b"o" * 32, b"n" * 32
VAULT = PayloadCipher({"old": OLD, "new": NEW}, "new")
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))
"""With halves of surrogate pairs, which JSON may have."""


@given(st.binary(), ANY_TEXT)
@example(b"", "")
@example(b"x", "\ud800")
def test_what_is_sealed_opens_again(plain: bytes, about: str) -> None:
    """Any bytes, about anything."""
    assert VAULT.open(VAULT.seal(plain, about), about) == plain


@given(st.binary(max_size=40), st.text(max_size=8), st.data())
def test_a_byte_that_was_changed_anywhere_never_opens(plain: bytes, about: str, data: st.DataObject) -> None:
    """Format, key id, nonce, content and tag alike."""
    sealed = bytearray(VAULT.seal(plain, about))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PayloadUnreadable):
        VAULT.open(bytes(sealed), about)


def test_no_flipped_bit_of_a_payload_opens() -> None:
    """Every bit of one, since a property test tries but some."""
    sealed = VAULT.seal(b"content", "message 1")
    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(PayloadUnreadable):
            VAULT.open(bytes(changed), "message 1")


@given(st.binary(max_size=40), ANY_TEXT, ANY_TEXT)
def test_a_payload_in_another_row_never_opens(plain: bytes, about: str, other: str) -> None:
    """`about` is authenticated, so rows cannot be exchanged."""
    if about == other:
        other += "x"
    with pytest.raises(PayloadUnreadable):
        VAULT.open(VAULT.seal(plain, about), other)


@given(st.binary(max_size=60))
@example(b"")
@example(b"\x01")
@example(b"\x01\x03new")
@example(b"\x01\x03new" + b"n" * 12)
@example(b"\x01\xff")
def test_bytes_that_were_never_sealed_do_not_open(sealed: bytes) -> None:
    """Whatever stands in the ledger, the answer is a payload or `PayloadUnreadable`."""
    with pytest.raises(PayloadUnreadable):
        VAULT.open(sealed, "")


@given(st.binary(max_size=40), st.integers(1, 60))
def test_a_payload_that_was_cut_does_not_open(plain: bytes, missing: int) -> None:
    """Its end is as authenticated as its beginning."""
    with pytest.raises(PayloadUnreadable):
        VAULT.open(VAULT.seal(plain, "")[:-missing], "")


def test_a_rotated_key_still_opens_what_it_sealed() -> None:
    """And no longer seals."""
    before = PayloadCipher({"old": OLD}, "old").seal(b"content", "message 1")
    assert VAULT.open(before, "message 1") == b"content"
    with pytest.raises(PayloadUnreadable, match=r"not in keys\.payload"):
        PayloadCipher({"old": OLD}, "old").open(VAULT.seal(b"content", "message 1"), "message 1")


def test_two_keys_of_one_id_are_not_the_same() -> None:
    """An id only says which key to try."""
    with pytest.raises(PayloadUnreadable):
        PayloadCipher({"new": OLD}, "new").open(VAULT.seal(b"content", ""), "")


def test_the_same_payload_is_never_sealed_alike() -> None:
    """Nobody sees that two are equal; no nonce is used twice."""
    sealed = {VAULT.seal(b"content", "message 1") for _ in range(1000)}
    assert len(sealed) == len({one[5:17] for one in sealed}) == 1000


def test_a_sealed_payload_names_format_and_key_and_shows_nothing_else() -> None:
    """Format 1, the id with its length, nonce of 12 bytes, content, tag of 16 bytes."""
    sealed = VAULT.seal(b"content", "message 1")
    assert sealed.startswith(b"\x01\x03new")
    assert len(sealed) == 5 + 12 + len(b"content") + 16
    assert b"content" not in sealed


def test_another_format_is_told() -> None:
    """A later gateway's payloads are not called broken."""
    with pytest.raises(PayloadUnreadable, match="format"):
        VAULT.open(b"\x02" + VAULT.seal(b"", "")[1:], "")


@given(st.lists(ANY_TEXT, max_size=4), st.lists(ANY_TEXT, max_size=4))
@example(["ab", "c"], ["a", "bc"])
@example([], [""])
@example([""], ["", ""])
@example(["\ud800\udc00"], ["\U00010000"])
def test_only_the_same_parts_have_the_same_hash(one: list[str], other: list[str]) -> None:
    """Parts never run together."""
    lookup = LookupHasher(OLD)
    assert (lookup.hash(*one) == lookup.hash(*other)) is (one == other)
    assert re.fullmatch("[0-9a-f]{32}", lookup.hash(*one))


def test_hashes_are_those_of_the_key() -> None:
    """HMAC-SHA256 over each part behind its length in eight bytes; stored hashes must be found by every later version."""
    parts = (7).to_bytes(8, "big") + b"patient" + (2).to_bytes(8, "big") + "ø".encode()
    assert LookupHasher(OLD).hash("patient", "ø") == hmac.digest(OLD, parts, hashlib.sha256).hex()[:32]
    assert LookupHasher(OLD).hash("patient", "ø") != LookupHasher(NEW).hash("patient", "ø")


@given(st.binary(max_size=130), st.lists(ANY_TEXT, max_size=4), ANY_TEXT)
def test_a_key_of_any_length_makes_an_hmac(key: bytes, begin: list[str], last: str) -> None:
    """And what begins alike may be hashed once."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in (*begin, last)]
    parts = b"".join(len(one).to_bytes(8, "big") + one for one in encoded)
    lookup = LookupHasher(key)
    assert lookup.hash(*begin, last) == hmac.digest(key, parts, hashlib.sha256).hex()[:32]
    assert lookup.after(*begin)(last) == lookup.hash(*begin, last)


def test_what_is_sealed_together_has_a_nonce_each() -> None:
    """And each opens about what it was sealed about, alone."""
    sealed = VAULT.seal_all([(b"x", "a"), (b"x", "b"), (b"x", "a")])
    assert [VAULT.open(one, about) for one, about in zip(sealed, "aba", strict=True)] == [b"x"] * 3
    assert len({one[5:17] for one in sealed}) == 3
    with pytest.raises(PayloadUnreadable):
        VAULT.open(sealed[1], "a")
