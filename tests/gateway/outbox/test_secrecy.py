"""What is at rest and what is shown: no patient, no content and no token, whatever became of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest

from gateway.ledger.crypto import PayloadUnreadable
from gateway.observability.metrics import REGISTRY
from gateway.outbox.order import opened
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import HOLD, alarm, means_of, rows, until_states, until_written
from tests.gateway.world import NORDFJELL, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.wire import Answer
    from tests.gateway.world import World

SECRET = (
    b"12834010060",
    b"30714510343",
    b"01813210084",
    b"Tuva",
    b"Testfjell",
    b"mistet brillene",
    b"9F41C0DE7EF0",
    b"eyJ",
    b"Bearer",
    b"DPoP",
)
"""Numbers and names of the messages below, their text, a business id, and what tokens begin with."""


async def every_fate(world: World, clock: Clock) -> list[Answer]:
    """Send messages that are accepted, repeated, refused, held, lost, passed and delivered late."""
    plain = message("alarm-follow-up")
    answers = [await world.post("bundle", plain), await world.post("bundle", plain)]
    for status in (400, "202-then-drop"):
        world.jft.behave(Behaviour(status=status))  # type: ignore[arg-type] # one of its words
        answers.append(await world.post("bundle", alarm()))
    answers.append(await world.post(f"/epj/r4/{NORDFJELL}/bundle", alarm()))
    await world.jft.stop()
    answers += [await world.post("bundle", message("supervision")), await world.post("composition", message("note"))]
    await world.jft.start()
    clock.now += 2
    wanted = sorted(("delivered", "refused", "quarantined", "passed", "delivered", "delivered"))
    await until_written(world, lambda found: sorted(row.state for row in found) == wanted)
    await world.jft.stop()
    answers.append(await world.post("bundle", alarm()))
    return answers


def at_rest(world: World) -> bytes:
    """Return every byte of the ledger's files."""
    files = sorted((world.folder / "var").glob("gateway.db*"))
    assert [path.name for path in files] == ["gateway.db", "gateway.db-shm", "gateway.db-wal", "gateway.db.lock"]
    return b"".join(path.read_bytes() for path in files)


async def test_nothing_of_a_patient_is_readable_in_the_ledger_the_log_or_the_metrics(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """Neither the number nor a name or a word, nor a business id or a token, in any byte of the files."""
    world = await begin()
    answers = await every_fate(world, clock)
    stored = at_rest(world)
    assert len(stored) > 20_000
    assert b"havnes" in stored
    found = [secret for secret in SECRET if secret in stored or secret.decode().encode("utf-16-le") in stored]
    assert found == []
    assert not [secret for secret in SECRET[:7] if secret in generate_latest(REGISTRY)]
    world.assert_discreet(*answers)
    assert not [secret for secret in SECRET[:7] if secret.decode() in world.logged.everything()]


async def test_files_are_for_their_owner_alone(begin: Callable[..., Awaitable[World]]) -> None:
    """Also those that SQLite makes beside the database."""
    world = await begin()
    await world.post("bundle", alarm())
    modes = {path.name: path.stat().st_mode & 0o777 for path in (world.folder / "var").glob("gateway.db*")}
    assert set(modes.values()) == {0o600}, modes


async def test_no_token_is_kept_with_what_is_kept(begin: Callable[..., Awaitable[World]]) -> None:
    """What is sealed holds the message and the call, and nothing that gives access to anything."""
    world = await begin()
    await world.jft.stop()
    body = alarm()
    fields = (("ServiceCodes", "rt"), ("Cookie", "a=b"), ("DPoP", "x"))
    await world.post("bundle", body, headers=fields)
    (row,) = await rows(world)
    kept = opened(means_of(world).keys.vault, row.reference, row.payload)
    assert kept.body == body
    assert kept.headers == ((b"ServiceCodes", b"rt"),)
    assert kept.call is not None
    assert {name.lower() for name, _ in kept.call.headers} <= {"content-type", "nhn-source-system"}


async def test_payload_opens_for_its_own_row_only(begin: Callable[..., Awaitable[World]]) -> None:
    """Whoever can write the database cannot deliver one patient's message as another's."""
    world = await begin()
    await world.jft.stop()
    await world.post("bundle", alarm())
    await world.post("bundle", alarm())
    first, second = await rows(world)
    vault = means_of(world).keys.vault
    with pytest.raises(PayloadUnreadable):
        opened(vault, first.reference, second.payload)


async def test_held_message_is_sent_with_the_gateways_own_token(
    begin: Callable[..., Awaitable[World]], clock: Clock
) -> None:
    """The sender's may have ended long ago."""
    world = await begin(HOLD)
    await world.jft.stop()
    await world.post("bundle", alarm())
    await world.jft.start()
    clock.now += 100_000
    await until_states(world, "delivered")
    await until(lambda: bool(world.delivered))
    assert world.delivered[0].client_id == world.settings["client_id"]
