"""Keys and addresses of the issuer: rotation is followed, outages are survived, and nothing strange is believed."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth.helseid.http import HelseIdHttp, HelseIdUnavailable
from gateway.auth.helseid.issuer import Issuer
from tests.gateway.wire import RawUpstream, read_message
from tests.gateway.world import message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from service_stubs.helseid import HelseIdStub
    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.world import World


class Fake:
    """A token service that publishes what a test says, and counts what is asked."""

    def __init__(self, raw: RawUpstream) -> None:
        self.raw = raw
        self.documents: dict[str, Any] = {}
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request from `documents`."""
        while (seen := await read_message(reader, answer=False)) is not None:
            path = seen.line.split()[1].decode()
            self.asked.append(path)
            self.was_asked.set()
            await self.may_answer.wait()
            document = self.documents.get(path)
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            status = 404 if document is None else 200
            writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
            await writer.drain()

    @property
    def key_requests(self) -> int:
        """How often the keys were asked for."""
        return self.asked.count("/jwks")


DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
async def fake(raw_upstream: RawUpstream, helseid: HelseIdStub) -> AsyncIterator[Fake]:
    """Run a token service whose documents are right until a test changes them."""
    await raw_upstream.start()
    made = Fake(raw_upstream)
    raw_upstream.play = made.play
    url = raw_upstream.url
    made.documents[DISCOVERY] = {"issuer": url, "token_endpoint": f"{url}/token", "jwks_uri": f"{url}/jwks"}
    made.documents["/jwks"] = helseid.signing_keys.public_set()
    yield made
    made.may_answer.set()
    await raw_upstream.stop()


@pytest.fixture
def of_fake(fake: Fake, clock: Clock) -> Issuer:
    """Make the issuer that asks the fake."""
    return Issuer(fake.raw.url, HelseIdHttp(fake.raw.url), clock, keep=3600, pause=10)


@pytest.fixture
def kid(helseid: HelseIdStub) -> str:
    """Return the id of the key that is published."""
    return str(helseid.signing_keys.current.thumbprint())


async def test_keys_are_fetched_once(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """Until they are old, keys and addresses are asked for once."""
    for _ in range(3):
        assert await of_fake.key(kid) is not None
        clock.now += 1_000
    assert (fake.key_requests, fake.asked.count(DISCOVERY)) == (1, 1)


async def test_old_keys_are_fetched_again(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """A key that the issuer has withdrawn is not trusted for ever; nobody waits for the newer ones."""
    assert await of_fake.key(kid) is not None
    fake.documents["/jwks"] = {"keys": [{**fake.documents["/jwks"]["keys"][0], "kid": "new"}]}
    clock.now += 3_600
    assert await of_fake.key(kid) is not None
    await _renewed(of_fake)
    assert await of_fake.key(kid) is None
    assert await of_fake.key("new") is not None


async def test_unknown_key_is_fetched_and_found(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """A rotation is noticed with the first token of the new key."""
    await of_fake.key(kid)
    clock.now += 10
    fake.documents["/jwks"]["keys"].append({**fake.documents["/jwks"]["keys"][0], "kid": "new"})
    assert await of_fake.key("new") is not None
    assert await of_fake.key(kid) is not None
    assert fake.key_requests == 2


async def test_unknown_key_is_not_asked_for_more_often_than_the_pause(
    of_fake: Issuer, fake: Fake, kid: str, clock: Clock
) -> None:
    """Tokens with invented key ids do not make us flood HelseID."""
    await of_fake.key(kid)
    answers = []
    for number in range(50):
        clock.now += 0.5
        try:
            answers.append(await of_fake.key(f"invented-{number}"))
        except HelseIdUnavailable:
            answers.append("later")
    assert fake.key_requests == 1 + 2
    assert (answers.count(None), answers.count("later")) == (2, 48)


async def test_keys_serve_on_while_the_issuer_is_away(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """Old keys are better than none, and the issuer is asked again after each pause."""
    await of_fake.key(kid)
    fake.documents["/jwks"] = None
    for _ in range(5):
        clock.now += 3_600
        assert await of_fake.key(kid) is not None
        await _renewed(of_fake)
        assert await of_fake.key(kid) is not None
    assert fake.key_requests == 1 + 5


async def test_one_unusable_key_does_not_spoil_the_others(of_fake: Issuer, fake: Fake, kid: str) -> None:
    """HelseID may publish kinds of keys that this version cannot read."""
    fake.documents["/jwks"]["keys"][:0] = [{"kty": "RSA", "n": "?"}, {"kty": "PQC"}, "no key"]
    assert await of_fake.key(kid) is not None


async def test_issuer_that_comes_back_is_asked_again(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """A cold start without HelseID ends within a second of its return."""
    documents, fake.documents = fake.documents, {}
    for _ in range(3):
        with pytest.raises(HelseIdUnavailable):
            await of_fake.key(kid)
    assert len(fake.asked) == 1
    fake.documents = documents
    clock.now += 1
    assert await of_fake.key(kid) is not None


async def test_those_who_come_during_a_fetch_wait_for_it(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """Neither the first keys nor new ones are missed by whoever asks while they are on their way."""
    fake.may_answer.clear()
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(of_fake.key(kid))]
        await fake.was_asked.wait()
        clock.now += 0.1
        waiting += [tasks.create_task(of_fake.key(kid)) for _ in range(3)]
        await asyncio.sleep(0)
        fake.may_answer.set()
    assert all(task.result() is not None for task in waiting)
    assert fake.key_requests == 1


async def test_known_key_does_not_wait_for_a_fetch(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """While HelseID is slow, tokens of known keys go on."""
    await of_fake.key(kid)
    clock.now += 60
    fake.may_answer.clear()
    fake.was_asked.clear()
    async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
        strange = tasks.create_task(of_fake.key("strange"))
        await fake.was_asked.wait()
        assert await of_fake.key(kid) is not None
        fake.may_answer.set()
    assert strange.result() is None


@pytest.mark.parametrize("many", [1, 2])
async def test_token_without_key_id_needs_a_single_key(of_fake: Issuer, fake: Fake, many: int) -> None:
    """With one key there is no doubt which; with two there is."""
    fake.documents["/jwks"] = {"keys": [{**fake.documents["/jwks"]["keys"][0], "kid": str(n)} for n in range(many)]}
    assert (await of_fake.key(None) is not None) == (many == 1)


async def test_keys_for_other_uses_are_left_out(of_fake: Issuer, fake: Fake, kid: str) -> None:
    """A key for encryption and a secret one never verify a signature."""
    good = fake.documents["/jwks"]["keys"][0]
    others = [{**good, "kid": "enc", "use": "enc"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}]
    fake.documents["/jwks"] = {"keys": [*others, good]}
    assert await of_fake.key(kid) is not None
    assert await of_fake.key("enc") is None
    assert await of_fake.key("secret") is None


@pytest.mark.parametrize(
    "keys", [None, b"", b"[]", {}, {"keys": 5}, {"keys": [5]}, {"keys": [{"kty": "RSA"}]}, b"x" * 300_000]
)
async def test_unusable_keys_do_not_replace_good_ones(
    of_fake: Issuer, fake: Fake, kid: str, clock: Clock, keys: Any
) -> None:
    """Nonsense counts as an outage."""
    assert await of_fake.key(kid) is not None
    fake.documents["/jwks"] = keys
    clock.now += 3_600
    assert await of_fake.key(kid) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://helseid.example"},
        {"issuer": None},
        {"jwks_uri": "http://127.0.0.1:1/jwks"},
        {"jwks_uri": "https://127.0.0.1/jwks"},
        {"token_endpoint": "https://evil.example/token"},
        {"token_endpoint": None},
        {"token_endpoint": 5},
        {"token_endpoint": "/token"},
    ],
    ids=str,
)
async def test_discovery_outside_the_issuer_is_refused(of_fake: Issuer, fake: Fake, changes: dict[str, Any]) -> None:
    """Another issuer's name, or an address on another origin, is not followed."""
    fake.documents[DISCOVERY].update(changes)
    with pytest.raises(HelseIdUnavailable):
        await of_fake.discovery()
    with pytest.raises(HelseIdUnavailable):
        await of_fake.key("any")
    assert set(fake.asked) == {DISCOVERY}


async def test_redirect_is_not_followed(clock: Clock, raw_upstream: RawUpstream) -> None:
    """A redirect could name any server."""
    await raw_upstream.start()
    raw_upstream.answer = (
        b"HTTP/1.1 302 x\r\nLocation: %b/other\r\nContent-Length: 0\r\n\r\n" % raw_upstream.url.encode()
    )
    with pytest.raises(HelseIdUnavailable):
        await Issuer(raw_upstream.url, HelseIdHttp(raw_upstream.url), clock).discovery()
    assert raw_upstream.seen.qsize() == 1
    await raw_upstream.stop()


async def test_foreign_discovery_stops_deliveries(start: Callable[..., Awaitable[World]]) -> None:
    """A gateway that is told of another issuer delivers nothing."""
    world = await start()
    token = world.token()
    world.helseid.issuer_override = "http://helseid.example"
    answer = await world.post("bundle", message("alarm-follow-up"), token=token)
    world.assert_refused(answer, 503, "3.1")


async def _renewed(issuer: Issuer) -> None:
    """Wait for the keys that are fetched beside a message."""
    assert issuer._renewal is not None
    await issuer._renewal


@pytest.mark.fact("helseid-fk2")
async def test_addresses_are_fetched_again_within_a_day(of_fake: Issuer, fake: Fake, kid: str, clock: Clock) -> None:
    """From half a day on; those that are known serve on while they cannot be had, until they are a day old (HelseID: FK2)."""
    await of_fake.key(kid)
    clock.now += 43_199
    await of_fake.discovery()
    assert fake.asked.count(DISCOVERY) == 1
    clock.now += 1
    moved = {**fake.documents[DISCOVERY], "token_endpoint": f"{fake.raw.url}/moved"}
    fake.documents[DISCOVERY] = None
    known = await of_fake.discovery()
    fake.documents[DISCOVERY] = moved
    assert await of_fake.discovery() == known
    clock.now += 10
    assert (await of_fake.discovery()).token_endpoint == moved["token_endpoint"]
    fake.documents[DISCOVERY] = None
    clock.now += 86_399
    assert (await of_fake.discovery()).token_endpoint == moved["token_endpoint"]
    clock.now += 10
    for _ in range(2):
        with pytest.raises(HelseIdUnavailable):
            await of_fake.discovery()


async def test_addresses_are_fetched_again_where_keys_are_not_found(
    of_fake: Issuer, fake: Fake, kid: str, clock: Clock
) -> None:
    """An issuer that moves its keys is followed with the first token of a new one, and where the old address is gone."""
    await of_fake.key(kid)
    key = fake.documents["/jwks"]["keys"][0]
    clock.now += 10
    fake.documents[DISCOVERY]["jwks_uri"] = f"{fake.raw.url}/moved"
    fake.documents["/moved"] = {"keys": [{**key, "kid": "new"}]}
    assert await of_fake.key("new") is not None
    clock.now += 3600
    fake.documents["/moved"] = None
    fake.documents[DISCOVERY]["jwks_uri"] = f"{fake.raw.url}/again"
    fake.documents["/again"] = {"keys": [{**key, "kid": "newer"}]}
    assert await of_fake.key("new") is not None
    await _renewed(of_fake)
    clock.now += 10
    assert await of_fake.key("newer") is not None


async def test_two_rotations_within_the_pause_refuse_no_token(
    of_fake: Issuer, fake: Fake, kid: str, clock: Clock
) -> None:
    """Whether there is a key cannot be known until it may be asked for: a temporary error, and then all is well."""
    await of_fake.key(kid)
    clock.now += 10
    for name in ("second", "third"):
        fake.documents["/jwks"]["keys"].append({**fake.documents["/jwks"]["keys"][0], "kid": name})
        if name == "second":
            assert await of_fake.key(name) is not None
        clock.now += 4
    with pytest.raises(HelseIdUnavailable, match="cannot be asked yet"):
        await of_fake.key("third")
    clock.now += 6
    assert await of_fake.key("third") is not None


@pytest.mark.parametrize("moved", [3600.0, -3600.0])
async def test_wall_clock_that_is_set_delays_no_keys(
    of_fake: Issuer, fake: Fake, kid: str, clock: Clock, moved: float
) -> None:
    """Neither the first ones, when HelseID comes back, nor new ones."""
    documents, fake.documents = fake.documents, {}
    with pytest.raises(HelseIdUnavailable):
        await of_fake.key(kid)
    fake.documents = documents
    clock.ahead = moved
    clock.now += 1
    assert await of_fake.key(kid) is not None
    fake.documents["/jwks"]["keys"].append({**fake.documents["/jwks"]["keys"][0], "kid": "new"})
    clock.ahead = 0
    clock.now += 10
    assert await of_fake.key("new") is not None
