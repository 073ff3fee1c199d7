"""The gateway's own tokens: as few requests as possible, each of them fresh, and never the wrong token."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from gateway.auth.helseid.access_tokens import TokenEndpoint, TokenSource
from gateway.auth.helseid.client_assertion import ClientIdentity
from gateway.auth.helseid.dpop import DpopProver
from gateway.auth.helseid.http import HelseIdHttp, HelseIdUnavailable
from gateway.auth.helseid.issuer import Discovery, Issuer
from gateway.proxy.http_client import Caller
from service_stubs.behaviour import Behaviour
from tests.gateway.world import CLIENT_ID, HAVNES, NORDFJELL, VIKAN, another, message, registration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from joserfc.jwk import ECKey

    from service_stubs.helseid import HelseIdStub
    from tests.gateway.auth.helseid.conftest import Clock
    from tests.gateway.wire import RawUpstream
    from tests.gateway.world import Logged, World

SCOPE = "nhn:jft/api"


def granted(helseid: HelseIdStub) -> list[str | None]:
    """Return for whom HelseID made tokens."""
    return [one.orgnr for one in helseid.log if one.outcome == "ok"]


def claims(token: str) -> dict[str, Any]:
    """Return what a token says."""
    return part_of(token, 1)


def part_of(token: str, index: int) -> dict[str, Any]:
    """Return the header or the claims of a token."""
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[index] + "=="))
    return decoded


@pytest.mark.fact("helseid-fk3")
async def test_one_token_serves_many_messages(world: World) -> None:
    """Many messages for a municipality are one token request; another municipality is another."""
    for _ in range(3):
        assert (await world.post("bundle", another(message("alarm-follow-up")))).status == 200
    assert granted(world.helseid) == [HAVNES]
    assert (await world.post(f"/epj/r4/{VIKAN}/bundle", message("alarm-follow-up"))).status == 200
    assert granted(world.helseid) == [HAVNES, VIKAN]
    assert [one.orgnr_parent for one in world.delivered] == [HAVNES, HAVNES, HAVNES, VIKAN]
    assert not world.helseid.needless


async def test_messages_at_once_share_one_fetch(tokens: TokenSource, helseid: HelseIdStub) -> None:
    """Whoever needs the same token waits for the same request."""
    found = await asyncio.gather(*(tokens.token(HAVNES, SCOPE) for _ in range(20)))
    assert len(set(found)) == 1
    assert granted(helseid) == [HAVNES]


async def test_messages_at_once_share_one_failure(client_key: ECKey, clock: Clock, raw_upstream: RawUpstream) -> None:
    """While HelseID hangs, messages fail together: each in its turn would wait longer than its sender does."""
    raw_upstream.answer = b"HTTP/1.1 503 Away\r\nContent-Length: 0\r\n\r\n"
    await raw_upstream.start()
    tokens = source(raw_upstream, client_key, clock)
    wanted = [tokens.token(HAVNES, SCOPE) for _ in range(20)]
    failures = await asyncio.gather(*wanted, return_exceptions=True)
    assert {type(failure) for failure in failures} == {HelseIdUnavailable}
    assert raw_upstream.seen.qsize() == 1
    with pytest.raises(HelseIdUnavailable):
        await tokens.token(HAVNES, SCOPE)
    assert raw_upstream.seen.qsize() == 2
    await raw_upstream.stop()


async def test_service_that_hangs_keeps_no_one_from_helseid(world: World, raw_upstream: RawUpstream) -> None:
    """However many requests wait for one host, another host still gets its own."""
    raw_upstream.hold()
    await raw_upstream.start()
    (helseid,) = world.gateway._built_by().upstreams._used.helseid.all
    loop, service = asyncio.get_running_loop(), Caller(raw_upstream.url, None)
    waiting = [loop.create_task(service.call("GET", "/", (), b"", 120.0)) for _ in range(300)]
    for _ in range(256):
        await raw_upstream.seen.get()
    answer = await helseid.get(world.helseid.issuer + "/.well-known/openid-configuration")
    assert answer.status == 200
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await raw_upstream.stop()


@pytest.mark.fact("helseid-fk5")
async def test_municipalities_do_not_share_a_token(tokens: TokenSource, helseid: HelseIdStub) -> None:
    """Each token names its own municipality as the one acted for."""
    found = await asyncio.gather(*(tokens.token(orgnr, SCOPE) for orgnr in (HAVNES, NORDFJELL, HAVNES)))
    parents = [claims(token)["helseid://claims/client/claims/orgnr_parent"] for token in found]
    assert parents == [HAVNES, NORDFJELL, HAVNES]
    assert sorted(map(str, granted(helseid))) == [NORDFJELL, HAVNES]


async def renewed(tokens: TokenSource) -> None:
    """Wait for what is fetched while nobody waits."""
    await asyncio.gather(*tokens._fetching.values(), return_exceptions=True)


@pytest.mark.fact("helseid-fk3")
async def test_token_is_renewed_before_it_expires(tokens: TokenSource, helseid: HelseIdStub, clock: Clock) -> None:
    """In its last minute one request fetches another, and nobody waits for it; before that HelseID is not asked (FK3)."""
    first = await tokens.token(HAVNES, SCOPE)
    clock.now += 539
    assert await tokens.token(HAVNES, SCOPE) == first
    assert not tokens._fetching
    clock.now += 1
    helseid.behave(Behaviour(delay=0.05))
    assert [await tokens.token(HAVNES, SCOPE) for _ in range(5)] == [first] * 5
    await renewed(tokens)
    assert await tokens.token(HAVNES, SCOPE) != first
    assert granted(helseid) == [HAVNES, HAVNES]
    assert not helseid.needless


async def test_who_gives_up_waiting_takes_nothing_from_the_others(tokens: TokenSource, helseid: HelseIdStub) -> None:
    """A sender that leaves does not end the fetch that others wait for."""
    helseid.behave(Behaviour(delay=0.05))
    loop = asyncio.get_running_loop()
    first, second = (loop.create_task(tokens.token(HAVNES, SCOPE)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second
    assert granted(helseid) == [HAVNES]


async def test_old_token_serves_while_helseid_is_away(tokens: TokenSource, helseid: HelseIdStub, clock: Clock) -> None:
    """A token that could not be renewed is good until it expires, and not a moment longer."""
    first = await tokens.token(HAVNES, SCOPE)
    await helseid.stop()
    for _ in range(9):
        clock.now += 66
        assert await tokens.token(HAVNES, SCOPE) == first
        await renewed(tokens)
    clock.now += 6
    with pytest.raises(HelseIdUnavailable):
        await tokens.token(HAVNES, SCOPE)


async def test_renewal_is_tried_again_after_a_while(tokens: TokenSource, helseid: HelseIdStub, clock: Clock) -> None:
    """Not every message asks a HelseID that fails, and the first after the pause gets a new token."""
    first = await tokens.token(HAVNES, SCOPE)
    clock.now += 550
    helseid.behave(Behaviour(status=500, times=1))
    for _ in range(2):
        assert await tokens.token(HAVNES, SCOPE) == first
        await renewed(tokens)
    assert len(granted(helseid)) == 1
    clock.now += 10
    assert await tokens.token(HAVNES, SCOPE) == first
    await renewed(tokens)
    assert await tokens.token(HAVNES, SCOPE) != first


@pytest.mark.fact("helseid-nonce")
async def test_nonce_is_answered_with_all_things_new(tokens: TokenSource, helseid: HelseIdStub) -> None:
    """The repeat has the nonce, a new proof and a new assertion, since both are for one use (RFC 9449 section 8)."""
    await tokens.token(HAVNES, SCOPE)
    first, second = helseid.log
    assert (first.outcome, second.outcome) == ("use_dpop_nonce", "ok")
    assert (first.proof_nonce, bool(second.proof_nonce)) == (None, True)
    assert first.proof_jti != second.proof_jti
    assert first.assertion_jti != second.assertion_jti


async def test_nonce_is_remembered(tokens: TokenSource, helseid: HelseIdStub) -> None:
    """The next token needs one request only."""
    await tokens.token(HAVNES, SCOPE)
    await tokens.token(NORDFJELL, SCOPE)
    assert [one.outcome for one in helseid.log] == ["use_dpop_nonce", "ok", "ok"]


async def test_nonce_that_is_asked_for_again_is_given_up(
    client_key: ECKey, clock: Clock, raw_upstream: RawUpstream
) -> None:
    """Exactly one repeat, whatever the token endpoint says."""
    await raw_upstream.start()
    raw_upstream.answer = answer(400, {"error": "use_dpop_nonce"}, b"DPoP-Nonce: n\r\n")
    with pytest.raises(HelseIdUnavailable):
        await source(raw_upstream, client_key, clock).token(HAVNES, SCOPE)
    assert raw_upstream.seen.qsize() == 2
    await raw_upstream.stop()


@pytest.mark.fact("helseid-rejected-scope")
async def test_rejected_scope_is_no_token(
    tokens: TokenSource, helseid: HelseIdStub, client_key: ECKey, logged: Logged
) -> None:
    """200 with `rejected_scope` means that the municipality has not accepted the terms: no token, and it is logged."""
    helseid.register(registration(client_key, delegations=[NORDFJELL]))
    with pytest.raises(HelseIdUnavailable, match="rejected"):
        await tokens.token(HAVNES, SCOPE)
    assert [one["orgnr"] for one in logged.named("helseid.token.scope_rejected")] == [HAVNES]
    assert await tokens.token(NORDFJELL, SCOPE)


async def test_rejected_scope_is_503_for_the_sender(start: Callable[..., Awaitable[World]]) -> None:
    """Nothing is sent to JFT without the right token."""
    world = await start(client={"delegations": [NORDFJELL]})
    world.assert_refused(await world.post("bundle", another(message("alarm-follow-up"))), 503, "3.1")
    assert not world.jft.received


@pytest.mark.parametrize("changes", [{"client_id": "another"}, {"scopes": ["nhn:pit/api"]}], ids=str)
async def test_refusal_is_logged_in_helseids_words(
    tokens: TokenSource, helseid: HelseIdStub, client_key: ECKey, logged: Logged, changes: dict[str, Any]
) -> None:
    """What HelseID calls the error and says of it is in the operator's log."""
    helseid._registered.clear()
    helseid.register(registration(client_key, **changes))
    with pytest.raises(HelseIdUnavailable):
        await tokens.token(HAVNES, SCOPE)
    refusal = logged.named("helseid.token.refused")[0]
    assert refusal["error"] in {"invalid_client", "invalid_scope"}
    assert "registered" in refusal["description"]
    assert "eyJ" not in logged.everything()


def answer(status: int, document: object, fields: bytes = b"") -> bytes:
    """Make an answer's bytes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return b"HTTP/1.1 %d x\r\n%bContent-Length: %d\r\n\r\n%b" % (status, fields, len(body), body)


def source(raw: RawUpstream, key: ECKey, clock: Clock, **changes: Any) -> TokenSource:
    """Make a source that asks a server of raw bytes."""
    issuer = Issuer(raw.url, HelseIdHttp(raw.url), clock)
    issuer._discovery = Discovery(f"{raw.url}/connect/token", f"{raw.url}/jwks")
    identity = ClientIdentity(CLIENT_ID, lambda: key, multi_tenant=True, assertion_field="assertion_details")
    return TokenSource(TokenEndpoint(issuer, replace(identity, **changes), DpopProver(clock), clock), clock)


GOOD = {"access_token": "t", "token_type": "DPoP", "expires_in": 600, "scope": SCOPE}


@pytest.mark.fact("helseid-token-type")
@pytest.mark.parametrize(
    "given",
    [
        answer(200, {**GOOD, "access_token": None}),
        answer(200, {**GOOD, "access_token": 5}),
        answer(200, {**GOOD, "access_token": "æ"}),
        answer(200, {**GOOD, "access_token": "a\r\nb"}),
        answer(200, {**GOOD, "token_type": "Bearer"}),
        answer(200, {name: value for name, value in GOOD.items() if name != "token_type"}),
        answer(200, {**GOOD, "rejected_scope": SCOPE}),
        answer(200, {**GOOD, "expires_in": True}),
        answer(200, {**GOOD, "expires_in": 0}),
        answer(200, {**GOOD, "expires_in": "600"}),
        answer(200, {**GOOD, "scope": ""}),
        answer(200, {**GOOD, "scope": "nhn:jft/api2"}),
        answer(200, b"not json"),
        answer(200, [GOOD]),
        answer(200, b"{" * 70_000),
        answer(302, GOOD, b"Location: http://127.0.0.1:1/\r\n"),
        answer(500, b""),
        answer(200, GOOD)[:-5],
    ],
    ids=range(18),
)
async def test_unusable_answer_is_no_token(
    client_key: ECKey, clock: Clock, raw_upstream: RawUpstream, given: bytes
) -> None:
    """Anything but a whole, documented success is told as HelseID being away."""
    await raw_upstream.start()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(given)

    raw_upstream.play = play
    with pytest.raises(HelseIdUnavailable):
        await source(raw_upstream, client_key, clock).token(HAVNES, SCOPE)
    await raw_upstream.stop()


@pytest.mark.fact("helseid-assertion")
async def test_single_tenant_client_names_no_organisation(
    client_key: ECKey, clock: Clock, raw_upstream: RawUpstream
) -> None:
    """Only a multi-tenant client says for whom it acts; the assertion lives for less than a minute."""
    await raw_upstream.start()
    raw_upstream.answer = answer(200, GOOD)
    for multi_tenant in (False, True):
        tokens = source(raw_upstream, client_key, clock, multi_tenant=multi_tenant, assertion_field="details")
        assert await tokens.token(HAVNES, SCOPE) == "t"
        form = parse_qs((await raw_upstream.seen.get()).body.decode())
        said = claims(form["client_assertion"][0])
        assert ("details" in said) == multi_tenant
        assert 0 < said["exp"] - clock.now <= 60
        header = part_of(form["client_assertion"][0], 0)
        assert (header["typ"], header["kid"]) == ("client-authentication+jwt", client_key.kid)
        assert (said["aud"], said["iss"], said["sub"]) == (raw_upstream.url, CLIENT_ID, CLIENT_ID)
    assert said["details"]["practitioner_role"]["organization"]["identifier"]["value"] == f"NO:ORGNR:{HAVNES}:"
    await raw_upstream.stop()


async def test_forgetting_takes_the_refused_token_only(tokens: TokenSource) -> None:
    """A late refusal of an old token does not throw away its successor."""
    first = await tokens.token(HAVNES, SCOPE)
    tokens.forget(HAVNES, SCOPE, first)
    second = await tokens.token(HAVNES, SCOPE)
    tokens.forget(HAVNES, SCOPE, first)
    assert await tokens.token(HAVNES, SCOPE) == second != first


@pytest.mark.fact("helseid-fk3")
async def test_one_new_token_a_minute_after_refusals(tokens: TokenSource, helseid: HelseIdStub, clock: Clock) -> None:
    """A service that refuses every token does not make every message ask HelseID; another municipality is not touched."""
    for _ in range(12):
        tokens.forget(HAVNES, SCOPE, await tokens.token(HAVNES, SCOPE))
        tokens.forget(NORDFJELL, SCOPE, await tokens.token(NORDFJELL, SCOPE))
    assert sorted(map(str, granted(helseid))) == [NORDFJELL] * 2 + [HAVNES] * 2
    for seconds, expected in ((59, 2), (1, 3)):
        clock.now += seconds
        tokens.forget(HAVNES, SCOPE, await tokens.token(HAVNES, SCOPE))
        await tokens.token(HAVNES, SCOPE)
        assert granted(helseid).count(HAVNES) == expected


@pytest.mark.fact("helseid-fk2")
async def test_a_token_endpoint_that_has_moved_is_found(
    tokens: TokenSource, helseid: HelseIdStub, clock: Clock
) -> None:
    """The first request hears that it is gone, the next one asks discovery again, though that is not old."""
    await tokens.token(HAVNES, SCOPE)
    helseid.move()
    clock.now += 10
    with pytest.raises(HelseIdUnavailable):
        await tokens.token(NORDFJELL, SCOPE)
    assert await tokens.token(NORDFJELL, SCOPE)


async def test_a_short_token_is_not_renewed_as_soon_as_it_comes(
    client_key: ECKey, clock: Clock, raw_upstream: RawUpstream
) -> None:
    """A token that lives for less than the last minute of others serves four fifths of its time."""
    await raw_upstream.start()
    raw_upstream.answer = answer(200, {**GOOD, "expires_in": 50})
    tokens = source(raw_upstream, client_key, clock)
    for _ in range(3):
        await tokens.token(HAVNES, SCOPE)
        await renewed(tokens)
        clock.now += 19
    assert raw_upstream.seen.qsize() == 1
    await tokens.token(HAVNES, SCOPE)
    await raw_upstream.stop()


async def test_neither_token_nor_key_is_logged(world: World, client_key: ECKey) -> None:
    """Good and bad ways leave no token, assertion, proof or key in the log, masked or not."""
    await world.post("bundle", another(message("alarm-follow-up")))
    world.jft.behave(Behaviour(status=401))
    await world.post("bundle", another(message("alarm-follow-up")))
    world.helseid.behave(Behaviour(status=500))
    await world.post("bundle", another(message("alarm-follow-up")))
    everything = world.logged.everything()
    assert "eyJ" not in everything
    assert str(client_key.as_dict(private=True)["d"]) not in everything
    assert "client_assertion" not in everything
