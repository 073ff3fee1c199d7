"""The client of JFT by itself: when it leaves JFT alone, and what its failures say."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.config.upstreams import Breaker
from gateway.errors import Fault
from gateway.upstreams.circuit_breaker import CircuitBreaker
from gateway.upstreams.jft_answers import NotDelivered, StatusUnknown, Submitted
from service_stubs.behaviour import Behaviour
from tests.ports import free_ports

if TYPE_CHECKING:
    from gateway.upstreams.jft import JftClient
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import Logged

from tests.gateway.upstreams.conftest import EVENT, ONE_FAILURE, Scene, refused, submit
from tests.gateway.world import HAVNES, VIKAN


async def test_nothing_is_sent_to_a_service_that_keeps_failing(scene: Scene, logged: Logged) -> None:
    """After the failures that the configuration allows, senders hear at once when to come again."""
    client = scene.client(breaker=Breaker(failures=3, pause=60.0))
    scene.jft.behave(Behaviour(status=500, times=100))
    for _ in range(3):
        assert (await refused(client)).diagnostics == "JFT answered 500"
    failure = await refused(client)
    assert (failure.fault, failure.retry_after, failure.blames_message) == (Fault.UNAVAILABLE, 60, False)
    assert len(scene.jft.received) == 3
    assert [one["reason"] for one in logged.named("jft.circuit_open")] == ["JFT answered 500"]


async def test_one_call_asks_whether_it_is_back(scene: Scene, logged: Logged) -> None:
    """All others are refused until it is known what becomes of it."""
    kept = CircuitBreaker(Breaker())
    kept.hold_off(0.0, 0.001)
    client = scene.client(kept=kept)
    outcomes = await asyncio.gather(*(submit(client) for _ in range(5)), return_exceptions=True)
    assert [isinstance(one, Submitted) for one in outcomes].count(True) == 1
    assert kept.is_closed
    assert [one.status for one in scene.jft.received] == [202]
    assert logged.named("jft.circuit_closed")


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


@pytest.mark.fact("helseid-fk3")
async def test_a_municipality_whose_tokens_are_refused_is_left_alone_by_itself(scene: Scene) -> None:
    """HelseID gives one new token, JFT is asked as often as the breaker allows, and other municipalities go on."""
    client = scene.client(breaker=Breaker(failures=3, pause=60.0))
    scene.jft.behave(Behaviour(status=401, times=-1))
    for _ in range(12):
        await refused(client)
    assert (await refused(client)).retry_after == 60
    with pytest.raises(StatusUnknown, match="left alone"):
        await client.status(EVENT, HAVNES, 5.0)
    assert [one.outcome for one in scene.helseid.log].count("ok") == 2
    assert len(scene.jft.received) == 3
    scene.jft.behave(Behaviour())
    assert await submit(client, VIKAN)


async def test_accepted_calls_between_refused_tokens_keep_a_municipality_served(scene: Scene) -> None:
    """Refusals are counted in a row: a token that was too old now and then stops nothing."""
    client = scene.client(breaker=Breaker(failures=2, pause=60.0))
    for _ in range(3):
        scene.jft.behave(Behaviour(status=401))
        await refused(client)
        assert await submit(client)


async def test_refusals_of_calls_under_way_at_once_count_as_one(scene: Scene) -> None:
    """One token that ended, or one step of a clock, refuses them all: the next one is asked for, and the service answers."""
    client = scene.client(breaker=Breaker(failures=2, pause=60.0))
    scene.jft.behave(Behaviour(status=401, times=8))
    failures = await asyncio.gather(*(submit(client) for _ in range(8)), return_exceptions=True)
    assert [type(one) for one in failures] == [NotDelivered] * 8
    assert await submit(client)


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
        (Behaviour(status=503), True),
        (Behaviour(status=429), False),
        (Behaviour(status=503, retry_after=1), False),
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
    """Who delivers held messages must know which one to give up; a service that says when it has time is to be asked then."""
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
