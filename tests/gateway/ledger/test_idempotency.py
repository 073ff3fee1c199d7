"""One request has a key: claims, marks and answers, as both databases keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.ledger import idempotency
from gateway.ledger.idempotency import LEASE, MOST, Claim, KnownRequest

if TYPE_CHECKING:
    from gateway.ledger.database import Database

FIRST, SECOND = Claim("key", "first"), Claim("key", "second")


async def claim(
    store: Database, wanted: Claim, now: float, content: str = "body", most: int = MOST
) -> KnownRequest | None:
    """Claim a request."""
    return await store.write(lambda each: idempotency.claim(each, wanted, content, now, most=most))


async def test_claim_is_of_the_first_and_its_answer_of_everyone(store: Database) -> None:
    """The second is told what there is, and changes nothing of it."""
    assert await claim(store, FIRST, 0.0) is None
    assert await claim(store, SECOND, 1.0) == KnownRequest("body", is_begun=False, is_leased=True)
    assert not await store.write(lambda each: idempotency.mark_begun(each, SECOND))
    assert await store.write(lambda each: idempotency.mark_begun(each, FIRST))
    await store.write(lambda each: idempotency.keep_answer(each, SECOND, b"of the second"))
    assert await claim(store, SECOND, LEASE + 1) == KnownRequest("body", is_begun=True, is_leased=False)
    await store.write(lambda each: idempotency.keep_answer(each, FIRST, b"sealed"))
    assert await claim(store, SECOND, 2.0, "other") == KnownRequest("body", True, True, b"sealed")


async def test_claim_without_a_mark_is_taken_over_after_its_lease(store: Database) -> None:
    """From then on the first can mark nothing."""
    assert await claim(store, FIRST, 0.0) is None
    assert await claim(store, SECOND, LEASE + 1, "other") is None
    assert not await store.write(lambda each: idempotency.mark_begun(each, FIRST))
    assert await store.write(lambda each: idempotency.mark_begun(each, SECOND))


@pytest.mark.parametrize(("is_begun", "is_free"), [(False, True), (True, False)])
async def test_failure_lets_go_of_what_was_not_begun(store: Database, is_begun: bool, is_free: bool) -> None:
    """A refusal lets go of it in any case: it has changed nothing."""
    assert await claim(store, FIRST, 0.0) is None
    if is_begun:
        await store.write(lambda each: idempotency.mark_begun(each, FIRST))
    await store.write(lambda each: idempotency.release(each, SECOND, unless_begun=False))
    await store.write(lambda each: idempotency.release(each, FIRST, unless_begun=True))
    assert (await claim(store, SECOND, 1.0) is None) is is_free
    await store.write(lambda each: idempotency.release(each, FIRST, unless_begun=False))
    await store.write(lambda each: idempotency.release(each, SECOND, unless_begun=False))
    assert await claim(store, Claim("key", "third"), 2.0) is None


async def test_answers_are_bounded_and_forgotten_by_age(store: Database) -> None:
    """The oldest answer goes first; what has no answer yet stays until its day has ended."""
    for number, key in enumerate(("a", "b", "c", "d")):
        own = Claim(key, "x")
        assert await claim(store, own, float(number), most=2) is None
        if key != "a":
            await store.write(lambda each, own=own: idempotency.keep_answer(each, own, b"sealed"))  # type: ignore[misc]
    known = [await claim(store, Claim(key, "y"), 4.0, most=2) is not None for key in ("a", "d", "c", "b")]
    assert known == [True, True, False, False]  # the third claim has made room by the answer of "d"
    assert await store.write(lambda each: idempotency.purge(each, 3.5)) == 1
