"""A ledger goes by one lookup key, and by payload keys among which is the one that seals; others are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.errors import StartupError
from gateway.ledger import audit, known_keys
from gateway.ledger.crypto import LookupHasher, PayloadCipher
from gateway.ledger.key_files import Keys
from tests.gateway.ledger.conftest import NOW
from tests.gateway.ledger.test_overrides import note

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger


def keys(*ids: str, lookup: bytes = b"1" * 32) -> Keys:
    """Make keys, of which the last payload key seals."""
    return Keys(PayloadCipher({name: name.encode() * 32 for name in ids}, ids[-1]), LookupHasher(lookup))


async def test_node_with_the_same_keys_agrees(ledger: Ledger, other: Ledger) -> None:
    """As often as it asks."""
    for node in (ledger, other, ledger):
        await known_keys.agree(node, keys("a"), None, NOW)


async def test_another_lookup_key_is_refused(ledger: Ledger, other: Ledger) -> None:
    """At a start and at a reload, with who has the right one and what to do; nothing of the key is told."""
    await known_keys.agree(ledger, keys("a"), None, NOW)
    strange = keys("a", lookup=b"2" * 32)
    for before in (None, keys("a")):
        with pytest.raises(
            StartupError, match=f"first on node {ledger.node}: copies would be delivered twice"
        ) as raised:
            await known_keys.agree(other, strange, before, NOW)
        assert "vkp-gateway keys accept-lost" in str(raised.value)
        assert known_keys.fingerprint(strange.lookup) not in str(raised.value)


async def test_payload_keys_without_the_one_that_seals_are_refused(ledger: Ledger, other: Ledger) -> None:
    """A file from before a rotation, or a new one; with more keys it is taken, and with fewer as long as that is there."""
    await known_keys.agree(ledger, keys("a"), None, NOW)
    await known_keys.agree(ledger, keys("a", "b"), keys("a"), NOW)
    for fewer in (keys("a"), keys("c")):
        with pytest.raises(StartupError, match=r"keys\.payload: lacks key b"):
            await known_keys.agree(other, fewer, None, NOW)
    await known_keys.agree(other, keys("b"), None, NOW)


async def test_reload_that_leaves_the_keys_needs_no_ledger(ledger: Ledger) -> None:
    """Also on a node whose file is older than the ledger's: it goes on as it is."""
    await known_keys.agree(ledger, keys("a", "b"), None, NOW)
    await known_keys.agree(ledger, keys("a"), keys("a"), NOW)
    await ledger.store.close()
    await known_keys.agree(ledger, keys("a"), keys("a"), NOW)
    with pytest.raises(StartupError, match="whether the keys are those of the ledger cannot be read"):
        await known_keys.agree(ledger, keys("a", "b"), keys("a"), NOW)


async def test_other_keys_are_accepted_where_those_are_lost(ledger: Ledger) -> None:
    """By whoever starts next; the audit says that somebody decided so."""
    await known_keys.agree(ledger, keys("a"), None, NOW)
    told = note("keys.accept-lost")
    await ledger.store.write(lambda each: known_keys.accept(each, told))
    await known_keys.agree(ledger, keys("c", lookup=b"2" * 32), None, NOW)
    (entry,) = await ledger.store.read(lambda each: audit.entries(each, 9))
    assert entry.note.action == "keys.accept-lost"
