"""The client of JFT by itself: when it leaves JFT alone, what its failures say, and how far an event has come."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.config.places import Place
from gateway.config.servers import Breaker, Grant, JftUpstream, ServiceStatus
from gateway.faults import Fault
from gateway.helseid.assertion import ClientIdentity
from gateway.helseid.issuer import Issuer
from gateway.helseid.proof import Prover
from gateway.helseid.token_request import TokenEndpoint
from gateway.helseid.tokens import TokenSource
from gateway.upstreams.breaker import CircuitBreaker
from gateway.upstreams.caller import Caller
from gateway.upstreams.jft import EventStatus, JftClient, NotDelivered, StatusUnknown, Submitted
from service_stubs.behaviour import Behaviour
from service_stubs.helseid import HelseIdStub
from service_stubs.jft import JftStub
from service_stubs.listening import running
from tests.gateway.conftest import CLIENT_ID, HAVNES, NORDFJELL, free_ports, message, registration
from translators.contract import Call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from joserfc.jwk import ECKey

    from tests.gateway.conftest import Logged
    from tests.gateway.wire import RawUpstream

CALL = Call("jft", "POST", "/v1/Bundle", (("Content-Type", "application/json"),), message("alarm-follow-up"))
ID = "0d0bbd6c-7f0e-4b6a-9a57-5f9c8d7f2d11"
EVENT = Submitted(ID, "Bundle")
TIME = "2026-05-04T08:36:37+00:00"
ONE_FAILURE = Breaker(failures=1, pause=3600.0)


@dataclass
class Scene:
    """The doubles, and clients of them."""

    helseid: HelseIdStub
    jft: JftStub
    tokens: TokenSource
    prover: Prover

    def client(self, *, write: str | None = None, read: str | None = None, **changes: Any) -> JftClient:
        """Make a client of the doubles, or of other servers."""
        write, read = write or self.jft.write_url, read or self.jft.read_url
        kept = changes.pop("kept", None)
        upstream = JftUpstream(
            "jft", write, read, "nhn:jft/api", "nhn:jft/api", ServiceStatus.TEST, Place("f", 1, 1), **changes
        )
        read_caller = Caller(read, None)
        return JftClient(upstream, self.tokens, self.prover, Caller(write, None), read_caller=read_caller, breaker=kept)


@pytest.fixture
async def scene(client_key: ECKey, signing_keys: None, logged: Logged) -> AsyncIterator[Scene]:
    """Run HelseID and JFT."""
    del signing_keys, logged
    async with (
        running(HelseIdStub([registration(client_key)])) as helseid,
        running(JftStub(helseid.issuer)) as jft,
        aiohttp.ClientSession() as session,
    ):
        prover = Prover(time.time)
        identity = ClientIdentity(CLIENT_ID, lambda: client_key, multi_tenant=True, assertion_field="assertion_details")
        endpoint = TokenEndpoint(Issuer(helseid.issuer, session, time.time), identity, prover, session, time.time)
        yield Scene(helseid, jft, TokenSource(endpoint, time.time), prover)


@pytest.fixture
async def raw(raw_upstream: RawUpstream) -> AsyncIterator[RawUpstream]:
    """Run a server of raw bytes in JFT's scene."""
    await raw_upstream.start()
    yield raw_upstream
    await raw_upstream.stop()


async def submit(client: JftClient, orgnr: str = HAVNES) -> Submitted:
    """Send one call."""
    return await client.submit(CALL, orgnr, None, 5.0)


async def refused(client: JftClient) -> NotDelivered:
    """Send one call that is not accepted, and return why."""
    with pytest.raises(NotDelivered) as caught:
        await submit(client)
    return caught.value


# Leaving JFT alone.


async def test_nothing_is_sent_to_a_service_that_keeps_failing(scene: Scene, logged: Logged) -> None:
    """After the failures that the configuration allows, senders hear at once when to come again."""
    client = scene.client(breaker=Breaker(failures=3, pause=60.0))
    scene.jft.behave(Behaviour(status=500, times=100))
    for _ in range(3):
        assert (await refused(client)).diagnostics == "JFT answered 500"
    failure = await refused(client)
    assert (failure.fault, failure.retry_after, failure.blames_message) == (Fault.UNAVAILABLE, 60, False)
    assert len(scene.jft.received) == 3
    assert [one["reason"] for one in logged.named("jft.left_alone")] == ["JFT answered 500"]


async def test_one_call_asks_whether_it_is_back(scene: Scene, logged: Logged) -> None:
    """All others are refused until it is known what becomes of it."""
    kept = CircuitBreaker(Breaker())
    kept.hold_off(0.0, 0.001)
    client = scene.client(kept=kept)
    outcomes = await asyncio.gather(*(submit(client) for _ in range(5)), return_exceptions=True)
    assert [isinstance(one, Submitted) for one in outcomes].count(True) == 1
    assert kept.is_closed
    assert [one.status for one in scene.jft.received] == [202]
    assert logged.named("jft.answers_again")


@pytest.mark.parametrize(
    ("behaviour", "opens"),
    [
        (Behaviour(status=500), True),
        (Behaviour(status=503), True),
        (Behaviour(status=429), True),
        (Behaviour(status="drop"), True),
        (Behaviour(status="202-then-drop"), True),
        (Behaviour(status=404), True),
        (Behaviour(status=400), False),
        (Behaviour(status=413), False),
        (Behaviour(status=401), False),
        (Behaviour(status=403), False),
        (Behaviour(), False),
    ],
    ids=str,
)
async def test_what_counts_as_a_failure_of_the_service(scene: Scene, behaviour: Behaviour, *, opens: bool) -> None:
    """A message that it does not take is none, and a token that it does not take may be one municipality's."""
    client = scene.client(breaker=ONE_FAILURE)
    scene.jft.behave(behaviour)
    await asyncio.gather(submit(client), return_exceptions=True)
    assert client.breaker.is_closed != opens


async def test_refused_messages_show_that_the_service_is_well(scene: Scene) -> None:
    """Failures in a row are counted, and a 400 is no failure."""
    client = scene.client(breaker=Breaker(failures=2))
    for status in (500, 400, 500, 413, 500):
        scene.jft.behave(Behaviour(status=status))
        await refused(client)
    assert client.breaker.is_closed


async def test_service_that_cannot_be_reached_is_left_alone(scene: Scene) -> None:
    """Nothing was sent, and nothing is tried for a while."""
    client = scene.client(write=f"http://127.0.0.1:{free_ports(1)[0]}", breaker=ONE_FAILURE)
    failure = await refused(client)
    assert (failure.fault, failure.blames_message) == (Fault.UNAVAILABLE, False)
    assert (await refused(client)).retry_after == 3600


async def test_missing_token_says_nothing_of_the_service(scene: Scene) -> None:
    """HelseID is another service."""
    client = scene.client(breaker=ONE_FAILURE)
    await scene.helseid.stop()
    failure = await refused(client)
    assert (failure.fault, failure.blames_message) == (Fault.UNAVAILABLE, False)
    assert "HelseID" in failure.diagnostics
    assert client.breaker.is_closed


@pytest.mark.parametrize(
    ("head", "seconds"),
    [
        (b"429 x\r\nRetry-After: 7", 7),
        (b"503 x\r\nRetry-After: 100000", 300),
        (b"503 x\r\nRetry-After: 0", 0),
        (b"503 x", 0),
        (b"502 x\r\nRetry-After: 7", 0),
    ],
)
async def test_service_that_asks_to_be_left_alone_is(scene: Scene, raw: RawUpstream, head: bytes, seconds: int) -> None:
    """At once, whatever the count of failures is, and never for longer than five minutes."""
    client = scene.client(write=raw.url, breaker=Breaker(failures=100))
    raw.answer = b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % head
    await refused(client)
    assert client.breaker.is_closed == (seconds == 0)
    if seconds:
        told = (await refused(client)).retry_after
        assert told is not None
        assert seconds - 5 < told <= seconds


async def test_probe_that_is_given_up_is_given_back(scene: Scene, raw: RawUpstream) -> None:
    """A sender that left, or a municipality whose token is refused, keeps nobody from asking."""
    kept = CircuitBreaker(Breaker())
    kept.hold_off(0.0, 0.001)
    client = scene.client(write=raw.url, kept=kept)
    arrived, _ = raw.hold()
    waiting = asyncio.get_running_loop().create_task(submit(client))
    await arrived.wait()
    assert kept.is_probing
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (kept.is_closed, kept.is_probing) == (False, False)
    other = scene.client(kept=kept)
    scene.jft.behave(Behaviour(status=403))
    await refused(other)
    assert (kept.is_closed, kept.is_probing) == (False, False)
    await submit(other)
    assert kept.is_closed


async def test_what_is_known_of_a_service_outlives_its_client(scene: Scene) -> None:
    """A reload of the configuration makes another client."""
    client = scene.client(breaker=ONE_FAILURE)
    scene.jft.behave(Behaviour(status=500))
    await refused(client)
    other = scene.client(breaker=ONE_FAILURE, kept=client.breaker)
    assert "left alone" in (await refused(other)).diagnostics


# What a failure says of the message.


@pytest.mark.parametrize(
    ("behaviour", "blames"),
    [
        (Behaviour(status=500), True),
        (Behaviour(status=429), True),
        (Behaviour(status="drop"), True),
        (Behaviour(status=400), True),
        (Behaviour(status=413), True),
        (Behaviour(status=401), False),
        (Behaviour(status=403), False),
    ],
    ids=str,
)
async def test_failure_while_the_service_is_at_hand_may_be_the_messages_own(
    scene: Scene, behaviour: Behaviour, *, blames: bool
) -> None:
    """Who delivers held messages must know which one to give up."""
    scene.jft.behave(behaviour)
    assert (await refused(scene.client())).blames_message == blames


@pytest.mark.parametrize(("status", "blames"), [(500, False), (400, True)])
async def test_failing_probe_does_not_blame_its_message(scene: Scene, status: int, *, blames: bool) -> None:
    """The service was away before it; but what is refused as wrong is wrong."""
    kept = CircuitBreaker(Breaker())
    kept.hold_off(0.0, 0.001)
    scene.jft.behave(Behaviour(status=status))
    assert (await refused(scene.client(kept=kept))).blames_message == blames
    assert kept.is_closed == blames


async def test_failures_of_an_outage_blame_no_message(scene: Scene) -> None:
    """Of many calls at once, those that fail after the service was found to be away say nothing of themselves."""
    client = scene.client(breaker=Breaker(failures=2, pause=3600.0))
    scene.jft.behave(Behaviour(status=500, times=100))
    await submit_quietly(client)
    failures = await asyncio.gather(*(submit(client) for _ in range(5)), return_exceptions=True)
    assert [getattr(one, "blames_message", None) for one in failures].count(True) == 1


async def submit_quietly(client: JftClient) -> None:
    """Send one call, whatever becomes of it."""
    await asyncio.gather(submit(client), return_exceptions=True)


# How far an event has come.


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
        _answer(b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}"),
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


async def test_client_without_the_read_api_knows_no_status(scene: Scene) -> None:
    """It submits, and says so when it is asked more."""
    upstream = scene.client()._upstream
    client = JftClient(upstream, scene.tokens, scene.prover, Caller(upstream.write_url, None))
    with pytest.raises(StatusUnknown, match="ReadAPI"):
        await client.status(await submit(client), HAVNES, 5.0)
