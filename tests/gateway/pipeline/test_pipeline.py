"""A message's way from end to end: who answers, what arrives, and that nothing is promised that was not done."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.each import in_one_world
from tests.gateway.world import HAVNES, NORDFJELL, SORVIK, VIKAN, message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.wire import Answer
    from tests.gateway.world import World

UNKNOWN = "999999999"


def at_vkp(world: World) -> list[tuple[str, str]]:
    """Return the targets and hashes of what VKP received."""
    return [(one.target, one.sha256) for one in world.vkp.received]


def digest(body: bytes) -> str:
    """Return how the doubles write a hash."""
    return hashlib.sha256(body).hexdigest()


# Mode legacy: VKP answers, whatever it is.


async def test_legacy_message_reaches_vkp_as_sent(world: World) -> None:
    """Bytes, target, token and answer are untouched, and nothing goes to JFT."""
    body, token = message("quirks"), world.token()
    answer = await world.post(f"/EPJ/r4/{NORDFJELL}/bundle/?subscription-key=x", body, token=token)
    assert (answer.status, answer.json["issue"][0]["diagnostics"]) == (200, "Bundle received")
    assert at_vkp(world) == [(f"/EPJ/r4/{NORDFJELL}/bundle/?subscription-key=x", digest(body))]
    headers = dict(next(iter(world.vkp.received)).headers)
    assert (headers["Authorization"], headers["Host"]) == (f"Bearer {token}", "api.vkp.example")
    assert answer.values("Warning") == ['299 vkp "this is a double of VKP"', '299 vkp "its data is invented"']
    assert not world.jft.received
    world.assert_discreet(answer)


@in_one_world(
    ("wanted", "status"),
    [
        ({"vkp_id": "Nobody"}, 200),
        ({"vkp_id": None, "her_id": "1"}, 401),
        ({"claims": {"exp": 1}}, 401),
        ({"signing": "other-key"}, 401),
        ({"signing": "none"}, 401),
        ({"scopes": []}, 403),
    ],
    ids=str,
)
async def test_legacy_token_is_for_vkp_to_judge(world: World, wanted: dict[str, Any], status: int) -> None:
    """An unknown sender and an odd token pass, and VKP's own refusal comes back."""
    answer = await world.post(f"/epj/r4/{NORDFJELL}/bundle", message("supervision"), token=world.token(**wanted))
    assert answer.status == status
    assert len(world.vkp.received) == 1
    assert [one["outcome"] for one in world.logged.named("message")] == ["passed"]


@in_one_world("value", ["", "Bearer", "Bearer a.b.c", "Basic eDp5", "Bearer eyJ.eyJ9.x", "Bearer " + "a" * 7_000])
async def test_legacy_request_with_an_odd_authorization_passes(world: World, value: str) -> None:
    """Whatever stands in the field, also nothing, reaches VKP as it stands."""
    headers = (("Authorization", value),) if value else ()
    answer = await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"), token="", headers=headers)
    assert answer.status == 401
    assert [dict(one.headers).get("Authorization", "") for one in world.vkp.received] == [value]


async def test_unknown_municipality_passes_where_vkp_answers(world: World) -> None:
    """An orgnr that routes.yaml does not have follows the general route."""
    answer = await world.post(f"/epj/r4/{UNKNOWN}/composition", message("note"))
    assert (answer.status, len(world.vkp.received)) == (200, 1)


# What no surface knows.


@in_one_world(
    "target",
    [
        "/epj/stu3/102287/Patient",
        "/epj/stu3/x/bundle",
        f"/epj/r4/{NORDFJELL}/observation",
        f"/epj/r4/{NORDFJELL}/bundle/1",
        "/epj/r4/12345678/bundle",
        "/EPJ/else",
        "/epj",
        "/ws/journal",
        "/%77s/journal?wsdl",
    ],
)
async def test_unrecognised_path_passes_below_the_configured_ones(world: World, target: str) -> None:
    """It worked before the gateway came, so it goes to VKP unchanged."""
    answer = await world.post(target, b"<any/>")
    assert answer.values("X-VKP-Correlation-Id")
    assert at_vkp(world) == [(target, digest(b"<any/>"))]


@in_one_world(
    "target",
    [
        "/",
        "/epjx/r4",
        "/stub/received",
        "/.well-known/x",
        "/epj/../stub/received",
        "/epj/%2e%2e/stub/received",
        "/epj/%252e%252e/stub/received",
        "/epj/..%2fstub/received",
        f"/epj/r4/{NORDFJELL}/%2e/bundle",
        "/epj/..%5cstub",
        "/epj/%2E%2E%5Cstub",
    ],
)
async def test_other_unrecognised_path_is_refused(world: World, target: str) -> None:
    """Nothing outside `unrecognised_paths` is passed on, and nothing that could climb out of them."""
    answer = await world.post(target, message("note"))
    world.assert_refused(answer, 404, "3")
    assert not world.vkp.received


@in_one_world(
    ("target", "code"),
    [
        (f"/epj/r4/{SORVIK}/observation", "1.2"),
        ("/epj/stu3/95938/patient", "1.2"),
        (f"/ws/{SORVIK}", "1.2"),
        (f"/epj/r4/{HAVNES}/observation", "3"),
        (f"/epj/r4/{SORVIK};x/bundle", "1.2"),
        (f"/epj/r4/{SORVIK}%20/bundle", "1.2"),
        (f"/epj/r4/{SORVIK[:-1]}%253{SORVIK[-1]}/bundle", "1.2"),
    ],
)
async def test_unrecognised_path_of_a_closed_municipality_is_refused(world: World, target: str, code: str) -> None:
    """A municipality that VKP no longer answers for is not reached by a side path either."""
    answer = await world.post(target, message("note"))
    world.assert_refused(answer, 400, code)
    assert not world.vkp.received


async def test_unrecognised_path_of_a_new_municipality_is_refused(world: World) -> None:
    """Where the information services answer, nothing serves an address that they do not have."""
    world.assert_refused(await world.post(f"/epj/r4/{VIKAN}/observation", b"{}"), 400, "3")
    assert not world.vkp.received


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_absolute_target_is_refused(world: World, scheme: str) -> None:
    """A target that names a server chooses none (RFC 9112 section 3.2.2 would let it)."""
    raw = world.request(f"{scheme}://vkp.example/epj/r4/{NORDFJELL}/composition", message("note"))
    world.assert_refused(await world.send(raw), 400, "2.4")
    assert not world.vkp.received


async def test_backslash_in_a_target_is_refused(world: World) -> None:
    """Some servers read it as a slash, so that the path would mean another one further on."""
    world.assert_refused(await world.post(f"/epj\\r4/{NORDFJELL}/bundle", message("note")), 400, "2.4")
    assert not world.vkp.received


async def test_unrecognised_refuse_lets_nothing_through(start: Callable[..., Awaitable[World]]) -> None:
    """With `unrecognised: refuse` only what a surface knows is passed on."""
    world = await start(top="unrecognised: refuse")
    world.assert_refused(await world.post("/epj/stu3/102287/patient", b"{}"), 404, "3")
    assert not world.vkp.received
    assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))).status == 200


# `admit: {legacy: verify}`.


async def test_verify_in_legacy_checks_what_would_pass(start: Callable[..., Awaitable[World]]) -> None:
    """The gateway refuses a bad token, an unknown sender and an unknown municipality, and passes a good request."""
    world = await start(top="admit: {legacy: verify}")
    note, path = message("note"), f"/epj/r4/{NORDFJELL}/composition"
    world.assert_refused(await world.post(path, note, token=world.token(signing="other-key")), 401, "1.5")
    world.assert_refused(await world.post(path, note, token=world.token(vkp_id="Nobody")), 403, "1.4")
    world.assert_refused(await world.post(f"/epj/r4/{UNKNOWN}/composition", note), 403, "1.4")
    assert not world.vkp.received
    assert (await world.post(path, note)).status == 200
    assert len(world.vkp.received) == 1


@pytest.mark.parametrize(("method", "resource"), [("GET", "bundle"), ("PUT", "bundle"), ("POST", "patient")])
async def test_verify_in_legacy_checks_what_no_surface_recognises_too(
    start: Callable[..., Awaitable[World]], method: str, resource: str
) -> None:
    """Nobody without a token of HelseID reaches VKP by another method or an address of no operation."""
    world = await start(top="admit: {legacy: verify}")
    target = f"/epj/r4/{NORDFJELL}/{resource}"
    world.assert_refused(await world.post(target, method=method, token=""), 401, "1.5")
    assert not world.vkp.received
    await world.post(target, method=method)
    assert len(world.vkp.received) == 1


# NHN's sample client, which no vendor need change.


async def sample_client(world: World, municipality: str, body: bytes) -> str | None:
    """Post as NHN's published sample does; return what it would print for a 400, and raise for any other failure."""
    answer: Answer = await world.post(
        f"/epj/r4/{municipality}/bundle", body, headers=(("Content-Type", "text/plain; charset=utf-8"),)
    )
    if answer.status == 400:
        return "; ".join(issue["details"]["text"] for issue in answer.json["issue"])
    assert 200 <= answer.status <= 299
    return None


async def test_sample_client_cannot_tell_the_difference(world: World) -> None:
    """JSON as text/plain without Accept is journaled by VKP and by JFT alike, and a refusal is a text in a 400."""
    assert await sample_client(world, NORDFJELL, message("alarm-follow-up")) is None
    assert await sample_client(world, HAVNES, message("alarm-follow-up")) is None
    assert (len(world.vkp.received), len(world.delivered)) == (1, 1)
    assert await sample_client(world, SORVIK, message("alarm-follow-up")) == "Send etter mandag."
    assert (await sample_client(world, HAVNES, message("bad-patient")) or "").strip()
