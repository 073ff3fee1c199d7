"""JFT when it fails: the sender hears of each failure, and nothing is ever promised that JFT did not accept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.proxy.pool import PATIENCE
from service_stubs.behaviour import Behaviour
from tests.gateway.outbox.conftest import Jft, jft_of
from tests.gateway.wire import RawUpstream, read_message
from tests.gateway.world import accepted_count, another, message
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.clocks import LoopClock
    from tests.gateway.world import World

BODY = message("alarm-follow-up")
LOCATION = b"Location: https://read.example/v1/Bundle/0d0bbd6c-7f0e-4b6a-9a57-5f9c8d7f2d11/$status\r\n"


@pytest.mark.fact("jft-accepted")
@pytest.mark.parametrize(
    ("behaviour", "status", "code", "outcome"),
    [
        (Behaviour(status=500), 503, "3.1", "unavailable"),
        (Behaviour(status=502), 503, "3.1", "unavailable"),
        (Behaviour(status=503), 503, "3.1", "unavailable"),
        (Behaviour(status=511), 503, "3.1", "unavailable"),
        (Behaviour(status=429), 503, "3.1", "unavailable"),
        (Behaviour(status=401), 503, "3.1", "unavailable"),
        (Behaviour(status=403), 503, "3.1", "unavailable"),
        (Behaviour(status=400), 400, "2.4", "refused-by-service"),
        (Behaviour(status=413), 400, "2.4", "refused-by-service"),
        (Behaviour(status=404), 504, "3.1", "no-answer"),
        (Behaviour(status=200), 504, "3.1", "no-answer"),
        (Behaviour(status=201), 504, "3.1", "no-answer"),
        (Behaviour(status=204), 504, "3.1", "no-answer"),
        (Behaviour(status=307), 504, "3.1", "no-answer"),
        (Behaviour(status="drop"), 504, "3.1", "no-answer"),
    ],
    ids=str,
)
async def test_anything_but_202_is_a_failure(
    world: World, behaviour: Behaviour, status: int, code: str, outcome: str
) -> None:
    """Each answer of JFT that is not its documented success is told as what it is, after one attempt."""
    before = accepted_count()
    world.jft.behave(behaviour)
    answer = await world.post("bundle", BODY)
    world.assert_refused(answer, status, code)
    assert accepted_count() == before
    assert [one["outcome"] for one in world.logged.named("message")] == [outcome]
    assert len(world.jft.received) == 1
    assert (status == 503) == bool(answer.values("Retry-After"))


async def test_event_that_was_taken_without_an_answer_is_not_promised(world: World) -> None:
    """A connection that breaks after JFT took the event leaves it unclear: 504, never a success and never a repeat."""
    world.jft.behave(Behaviour(status="202-then-drop"))
    answer = await world.post("bundle", BODY)
    world.assert_refused(answer, 504, "3.1")
    assert len(world.jft.received) == 1


async def test_slow_jft_is_given_up_in_time_for_an_answer(
    start: Callable[..., Awaitable[World]], loop_clock: LoopClock
) -> None:
    """The sender hears 504 before its own patience ends."""
    world = await start(double=Jft, timeout="40s")
    jft_of(world).open.clear()
    posted = asyncio.get_running_loop().create_task(world.post("bundle", BODY))
    await until(lambda: jft_of(world).asked)
    await loop_clock.move(39.9)
    answer = await posted
    world.assert_refused(answer, 504, "3.1")
    assert "JFT" in answer.json["issue"][0]["diagnostics"]


async def test_jft_that_goes_away_and_comes_back(world: World) -> None:
    """While it is away every message is refused as temporary and none is counted; afterwards all is as before."""
    assert (await world.post("bundle", another(BODY))).status == 200
    before = accepted_count()
    world.jft.received.clear()
    world.logged.forget()
    await world.jft.stop()
    for _ in range(PATIENCE - 1):
        answer = await world.post("bundle", another(BODY))
        world.assert_refused(answer, 503, "3.1")
        assert int(answer.values("Retry-After")[0]) > 0
    assert accepted_count() == before
    await world.jft.start()
    assert (await world.post("bundle", another(BODY))).status == 200
    assert (len(world.delivered), accepted_count()) == (1, before + 1)


async def test_token_that_jft_refuses_is_forgotten(world: World) -> None:
    """The next message goes with another token from HelseID."""
    world.jft.behave(Behaviour(status=401))
    world.assert_refused(await world.post("bundle", another(BODY)), 503, "3.1")
    assert (await world.post("bundle", another(BODY))).status == 200
    assert [one.outcome for one in world.helseid.log].count("ok") == 2
    assert world.logged.named("jft.refuses_our_token")


async def test_nonce_is_answered_by_one_new_attempt(world: World) -> None:
    """401 with DPoP-Nonce (RFC 9449 section 9) is repeated once, with the nonce, and the nonce is kept."""
    world.jft.behave(Behaviour(dpop_nonce=True))
    assert (await world.post("bundle", another(BODY))).status == 200
    assert [one.status for one in world.jft.received] == [401, 202]
    assert (await world.post("bundle", another(BODY))).status == 200
    assert [one.status for one in world.jft.received] == [401, 202, 202]


async def test_nonce_that_is_asked_for_again_is_given_up(world: World) -> None:
    """Exactly one repeat: a service that never has enough does not keep us busy."""
    world.jft.behave(Behaviour(dpop_nonce=True, times=100))
    world.assert_refused(await world.post("bundle", BODY), 503, "3.1")
    assert [one.status for one in world.jft.received] == [401, 401]


# Answers that the double never gives.


@pytest.mark.fact("jft-too-many")
@pytest.mark.parametrize(
    ("seconds", "told"),
    [(b"7", "7"), (b"0", "0"), (b"999999", "3600"), (b"soon", "30"), (b"-5", "30"), ("٣".encode(), "30")],
)
async def test_retry_after_is_told_on(
    start: Callable[..., Awaitable[World]], raw: RawUpstream, seconds: bytes, told: str
) -> None:
    """How long JFT wants to be left alone reaches the sender, within bounds."""
    world = await start(write=raw.url)
    raw.answer = b"HTTP/1.1 429 x\r\nRetry-After: %b\r\nContent-Length: 0\r\n\r\n" % seconds
    answer = await world.post("bundle", BODY)
    world.assert_refused(answer, 503, "3.1")
    assert answer.values("Retry-After") == [told]


@pytest.mark.fact("jft-accepted")
@pytest.mark.parametrize(
    "location",
    [
        b"",
        b"Location: \r\n",
        b"Location: https://read.example/v1/Bundle//$status\r\n",
        b"Location: https://read.example/v1/Bundle/a b/$status\r\n",
        b"Location: https://read.example/v1/Bundle/0d0bbd6c\r\n",
        b"Location: https://read.example/v1/Bundle/" + b"a" * 65 + b"/$status\r\n",
        b"Location: 12834010060\r\n",
    ],
)
async def test_202_without_a_usable_address_is_no_success(
    start: Callable[..., Awaitable[World]], raw: RawUpstream, location: bytes
) -> None:
    """An event that cannot be followed is not promised."""
    world = await start(write=raw.url)
    raw.answer = b"HTTP/1.1 202 Accepted\r\n" + location + b"Content-Length: 0\r\n\r\n"
    before = accepted_count()
    world.assert_refused(await world.post("bundle", BODY), 504, "3.1")
    assert accepted_count() == before


@pytest.mark.fact("jft-accepted")
@pytest.mark.parametrize("status", [b"200 OK", b"201 Created", b"203 Changed", b"303 See Other"])
async def test_another_status_is_no_success_though_it_has_an_address(
    start: Callable[..., Awaitable[World]], raw: RawUpstream, status: bytes
) -> None:
    """Only 202 is documented; the event may be there, which the address alone does not say."""
    world = await start(write=raw.url)
    raw.answer = b"HTTP/1.1 " + status + b"\r\n" + LOCATION + b"Content-Length: 0\r\n\r\n"
    before = accepted_count()
    world.assert_refused(await world.post("bundle", BODY), 504, "3.1")
    assert accepted_count() == before


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 202 Accepted\r\n" + LOCATION + b"Content-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 202 Accepted\r\n"
        + LOCATION
        + b"Transfer-Encoding: chunked\r\n\r\n80000\r\n"
        + b"x" * 0x80000
        + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 2",
        b"garbage\r\n\r\n",
    ],
    ids=["half", "too long", "cut", "garbage"],
)
async def test_unusable_answer_is_no_success(
    start: Callable[..., Awaitable[World]], raw: RawUpstream, answer: bytes
) -> None:
    """Half an answer, an endless one and nonsense are all unclear (504)."""
    world = await start(write=raw.url)

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_message(reader, answer=False)
        writer.write(answer)
        await writer.drain()

    raw.play = play
    world.assert_refused(await world.post("bundle", BODY), 504, "3.1")


@pytest.mark.parametrize("status", [b"$status", b"%24status", b"$status/"])
async def test_address_of_the_status_may_be_written_in_every_way(
    start: Callable[..., Awaitable[World]], raw: RawUpstream, status: bytes
) -> None:
    """A server may write the dollar as a percent-encoded byte: the event is accepted all the same."""
    world = await start(write=raw.url)
    raw.answer = b"HTTP/1.1 202 Accepted\r\n" + LOCATION.replace(b"$status", status) + b"Content-Length: 0\r\n\r\n"
    assert (await world.post("bundle", BODY)).status == 200
    assert world.named_messages("accepted")[0]["event_id"] == "0d0bbd6c-7f0e-4b6a-9a57-5f9c8d7f2d11"


async def test_answer_chooses_no_server(start: Callable[..., Awaitable[World]], raw: RawUpstream) -> None:
    """Only the id is taken out of Location, and the sender never sees the address."""
    world = await start(write=raw.url)
    raw.answer = b"HTTP/1.1 202 Accepted\r\n" + LOCATION + b"Content-Length: 0\r\n\r\n"
    answer = await world.post("bundle", BODY)
    assert answer.status == 200
    assert b"read.example" not in answer.body
    assert world.named_messages("accepted")[0]["event_id"] == "0d0bbd6c-7f0e-4b6a-9a57-5f9c8d7f2d11"


@pytest.mark.fact("jft-dpop")
async def test_request_carries_proof_and_no_token_of_the_sender(
    start: Callable[..., Awaitable[World]], raw: RawUpstream
) -> None:
    """JFT gets our own token with a DPoP proof, and nothing of the sender's headers."""
    world = await start(write=raw.url)
    raw.answer = b"HTTP/1.1 202 Accepted\r\n" + LOCATION + b"Content-Length: 0\r\n\r\n"
    token = world.token()
    await world.post("bundle", BODY, token=token, headers=(("Cookie", "a=b"), ("X-Mine", "1")))
    seen = await asyncio.wait_for(raw.seen.get(), 120)
    assert seen.line == b"POST /v1/Bundle HTTP/1.1"
    assert seen.values("authorization")[0].startswith(b"DPoP eyJ")
    assert token.encode() not in seen.values("authorization")[0]
    assert len(seen.values("dpop")) == 1
    assert (seen.values("content-type"), seen.values("nhn-source-system")) == ([b"application/json"], [b"Skyresponse"])
    assert (seen.values("cookie"), seen.values("x-mine")) == ([], [])
