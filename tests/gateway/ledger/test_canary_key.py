"""Every node of a ledger deals shares with one canary key: another is refused, and taken only where no canary runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from sqlalchemy import update

from gateway.errors import StartupError
from gateway.ledger import audit, canary_key, cutovers
from gateway.ledger.tables import CUTOVER
from gateway.migration.cutover import to_row
from gateway.model import Mode
from gateway.pipeline.canary import share_of
from gateway.routing.route import RouteSpec
from tests.gateway.ledger.conftest import NOW
from tests.gateway.ledger.test_overrides import LATER, note, override, put, version
from tests.gateway.migration.cutovers.scene import plan_of, submitted

if TYPE_CHECKING:
    from gateway.ledger.messages import Ledger

ONE, TWO = b"1" * 32, b"2" * 32
CANARY: dict[str, Any] = {"mode": Mode.CANARY, "text": None, "share": 0.5}


async def accept(ledger: Ledger, key: bytes, at: float = NOW) -> list[str]:
    """Take another key."""
    return await ledger.store.write(lambda each: canary_key.accept(each, key, note("keys.accept-canary", at)))


async def agree(ledger: Ledger, key: bytes | None, before: bytes | None = None) -> None:
    """Begin, or go on, with a key."""
    await canary_key.agree(ledger, key, before, NOW)


async def test_the_first_node_says_which_key_it_is(ledger: Ledger, other: Ledger) -> None:
    """Others with the same agree, as often as they ask; one with another is refused, with who has the right one and what to do."""
    assert await ledger.store.read(canary_key.known) is None
    for node in (ledger, other, ledger):
        await agree(node, ONE)
    with pytest.raises(StartupError) as raised:
        await agree(other, TWO)
    text = str(raised.value)
    assert f"first on node {ledger.node}: patients would change sides" in text
    assert "since 2026-05-28" in text
    assert "vkp-gateway keys accept-canary" in text
    assert canary_key.fingerprint(ONE) not in text
    assert await ledger.store.read(canary_key.known) == canary_key.fingerprint(ONE)


async def test_a_reload_is_compared_as_a_start_is(ledger: Ledger) -> None:
    """A key file that was exchanged meanwhile is refused, and so is one that is gone."""
    await agree(ledger, ONE)
    await agree(ledger, ONE, before=ONE)
    with pytest.raises(StartupError, match=r"keys\.canary"):
        await agree(ledger, TWO, before=ONE)
    with pytest.raises(StartupError, match="not there any more"):
        await agree(ledger, None, before=ONE)
    await agree(ledger, None)


async def test_without_the_ledger_only_the_key_that_is_in_use_goes_on(ledger: Ledger) -> None:
    """A reload must be possible while the ledger is away; a start, or another key, is not."""
    await agree(ledger, ONE)
    await ledger.store.close()
    await agree(ledger, ONE, before=ONE)
    for before in (None, TWO):
        with pytest.raises(StartupError, match=r"whether keys\.canary is the other nodes'"):
            await agree(ledger, ONE, before=before)


async def test_another_key_is_accepted_where_no_canary_runs(ledger: Ledger, other: Ledger) -> None:
    """From then on it is the one; with an entry in the audit, and told to every node as a change is."""
    await agree(ledger, ONE)
    before = await version(ledger)
    assert await accept(ledger, TWO) == []
    await agree(other, TWO)
    with pytest.raises(StartupError):
        await agree(ledger, ONE, before=ONE)
    (entry,) = await ledger.store.read(lambda each: audit.entries(each, 9))
    assert entry.note.action == "keys.accept-canary"
    assert await version(ledger) == before + 1


async def test_the_key_that_is_known_is_accepted_without_a_change(ledger: Ledger) -> None:
    """Also while a canary runs."""
    await agree(ledger, ONE)
    await put(ledger, override(**CANARY))
    assert await accept(ledger, ONE) == []
    assert await ledger.store.read(lambda each: len(audit.entries(each, 9))) == 1


async def test_no_other_key_is_accepted_while_a_canary_runs(ledger: Ledger) -> None:
    """Neither an override's nor a cutover's; once they have ended it is."""
    await agree(ledger, ONE)
    await put(ledger, override("o-1", **CANARY))
    await put(ledger, override("o-2", "sorvik"))
    cutover = to_row(submitted(plan_of(set=(RouteSpec(municipality="havnes", mode=Mode.CANARY, share=0.5),))))
    switched = structs.replace(cutover, state="watching", switched_at=NOW)
    await ledger.store.write(lambda each: cutovers.insert(each, switched))
    assert await accept(ledger, TWO) == ["override o-1", "cutover nordfjell-1"]
    with pytest.raises(StartupError):
        await agree(ledger, TWO)
    await ledger.store.write(
        lambda each: each.execute(update(CUTOVER).values(state="rolled_back", ended_at=NOW)).rowcount
    )
    assert await accept(ledger, TWO) == ["override o-1"]
    assert await accept(ledger, TWO, at=LATER) == []
    await agree(ledger, TWO)


@given(key=st.binary(min_size=32, max_size=32), number=st.from_regex(r"[0-9]{11}", fullmatch=True))
def test_the_fingerprint_says_nothing_of_a_share(key: bytes, number: str) -> None:
    """It is the same for the same key alone, is no part of the key, and is nobody's place in a canary."""
    found = canary_key.fingerprint(key)
    assert found == canary_key.fingerprint(bytes(key))
    assert found != canary_key.fingerprint(key[:-1] + bytes([key[-1] ^ 1]))
    assert len(found) == 32
    assert key.hex()[:32] != found
    assert (int(found[:16], 16) >> 11) / (1 << 53) != share_of(key, number)
