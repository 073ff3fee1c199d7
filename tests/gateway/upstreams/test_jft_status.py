"""How far an event has come, as the client of JFT learns it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.upstreams import Grant
from gateway.upstreams.jft_answers import EventStatus, StatusUnknown, Submitted
from service_stubs.behaviour import Behaviour
from tests.gateway.world import HAVNES, NORDFJELL
from tests.ports import free_ports

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tests.gateway.wire import RawUpstream

from tests.gateway.upstreams.conftest import EVENT, ID, TIME, Scene, submit


@pytest.mark.fact("jft-status")
async def test_status_tells_how_far_an_event_has_come(scene: Scene) -> None:
    """Registered, read and acknowledged, each at its time; asking does not mark it as read."""
    client = scene.client()
    event = await submit(client)
    assert event.kind == "Bundle"
    for _ in range(2):
        status = await client.status(event, HAVNES, 5.0)
        assert status.registered is not None
        assert (status.read, status.acknowledged) == (None, None)


async def test_status_is_asked_with_the_clients_own_token(scene: Scene, raw: RawUpstream) -> None:
    """Also where senders' tokens are exchanged: nobody sends anything then. The proof is for the address without query."""
    raw.answer = _answer(b"{}")
    client = scene.client(read=raw.url, grant=Grant.TOKEN_EXCHANGE)
    assert await client.status(EVENT, HAVNES, 5.0) == EventStatus(None, None, None)
    seen = raw.seen.get_nowait()
    assert seen.line == f"GET /v1/Bundle/{ID}/$status HTTP/1.1".encode()
    assert seen.values("authorization")[0].startswith(b"DPoP eyJ")
    assert len(seen.values("dpop")) == 1


@pytest.mark.fact("jft-municipality")
async def test_events_of_another_municipality_are_not_there(scene: Scene) -> None:
    """JFT answers 404 then; whoever follows the event learns that it is gone."""
    client = scene.client()
    event = await submit(client)
    with pytest.raises(StatusUnknown) as caught:
        await client.status(event, NORDFJELL, 5.0)
    assert caught.value.gone


async def test_nonce_of_the_read_api_is_answered_once(scene: Scene) -> None:
    """As on the WriteAPI."""
    client = scene.client()
    event = await submit(client)
    scene.jft.behave(Behaviour(dpop_nonce=True))
    assert (await client.status(event, HAVNES, 5.0)).registered
    scene.jft.behave(Behaviour(dpop_nonce=True, times=100))
    with pytest.raises(StatusUnknown, match="401"):
        await client.status(event, HAVNES, 5.0)


def _answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


@pytest.mark.fact("jft-status")
@pytest.mark.parametrize(
    ("body", "acknowledged"),
    [
        (f'{{"registered": "{TIME}", "read": null, "journaled": "{TIME}"}}', TIME),
        (f'{{"registered": "{TIME}", "read": null, "journalingAcknowledged": "{TIME}"}}', TIME),
        (f'{{"registered": "{TIME}", "journaled": null, "journalingAcknowledged": "{TIME}", "more": [1]}}', TIME),
        (f'{{"registered": "{TIME}", "journaled": "{TIME}", "journalingAcknowledged": null}}', TIME),
        (f'{{"registered": "{TIME}", "acknowledged": "{TIME}"}}', None),
        (f'{{"registered": "{TIME}", "journaled": null}}', None),
    ],
)
async def test_both_names_of_the_last_stage_count(
    scene: Scene, raw: RawUpstream, body: str, acknowledged: str | None
) -> None:
    """NHN's page has one name and the published example another; what is not known is not looked at."""
    raw.answer = _answer(body.encode())
    status = await scene.client(read=raw.url).status(EVENT, HAVNES, 5.0)
    assert status == EventStatus(TIME, None, acknowledged)


@pytest.mark.parametrize(
    "answer",
    [
        _answer(b""),
        _answer(b"garbage"),
        _answer(b"null"),
        _answer(b"[]"),
        _answer(b'"2026-05-04T08:36:37Z"'),
        _answer(b'{"journaled": true}'),
        _answer(b'{"journaled": ""}'),
        _answer(b'{"journaled": "false"}'),
        _answer(b'{"journaled": 1777883797}'),
        _answer(b'{"journaled": "2026-05-04T08:36' + b"0" * 60 + b'"}'),
        _answer(b'{"registered": {}}'),
        _answer(b'{"registered": "\xff"}'),
        _answer(b'{"x": "' + b"x" * 17_000 + b'"}'),
        _answer(b'{"journaled": "2026-05-04T08:36:37Z"}', b"202 Accepted"),
        _answer(b"", b"307 x\r\nLocation: http://127.0.0.1:9/"),
        _answer(b"", b"401 x"),
        _answer(b"", b"403 x"),
        _answer(b"", b"429 x"),
        _answer(b"", b"500 x"),
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{}",
    ],
)
async def test_what_is_no_status_is_unknown(scene: Scene, raw: RawUpstream, answer: bytes) -> None:
    """Never an acknowledgement, never gone, and nothing of the answer in the reason."""
    raw.answer = answer
    if answer.endswith(b"{}"):
        raw.play = _half(answer)
    with pytest.raises(StatusUnknown) as caught:
        await scene.client(read=raw.url).status(EVENT, HAVNES, 5.0)
    assert not caught.value.gone
    assert "2026" not in str(caught.value)


async def test_how_deep_something_else_is_harms_nothing(scene: Scene, raw: RawUpstream) -> None:
    """Each version of Python reads to another depth; what is not asked for says nothing of the event."""
    raw.answer = _answer(b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}")
    with contextlib.suppress(StatusUnknown):
        assert await scene.client(read=raw.url).status(EVENT, HAVNES, 5.0) == EventStatus(None, None, None)


def _half(answer: bytes) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return play


@pytest.mark.parametrize(
    "event",
    [Submitted("../../x", "Bundle"), Submitted("..", "Bundle"), Submitted(ID, "Bundle/x"), Submitted("", "Bundle")],
)
async def test_only_an_events_own_address_is_asked(scene: Scene, raw: RawUpstream, event: Submitted) -> None:
    """What was kept of an event chooses no other path."""
    with pytest.raises(StatusUnknown):
        await scene.client(read=raw.url).status(event, HAVNES, 5.0)
    assert raw.seen.empty()


async def test_status_without_a_service_or_a_token_is_unknown(scene: Scene) -> None:
    """Neither is a reason to stop following."""
    client = scene.client(read=f"http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(StatusUnknown, match="reached"):
        await client.status(EVENT, HAVNES, 5.0)
    await scene.helseid.stop()
    with pytest.raises(StatusUnknown, match="HelseID"):
        await client.status(EVENT, NORDFJELL, 5.0)
