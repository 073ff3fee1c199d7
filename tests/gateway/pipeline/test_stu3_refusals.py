"""Refusals of the STU3 interface, each in the form of its request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from service_stubs.behaviour import Behaviour
from tests.each import in_one_world
from tests.gateway.pipeline.stu3_sender import (
    FORMS,
    HAVNES_HER,
    PATIENT,
    SENDER,
    SORVIK_HER,
    assert_refused,
    body_of,
    post,
)
from tests.gateway.world import ROUTES, another, stu3_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World


@pytest.mark.parametrize("form", FORMS)
@in_one_world(
    ("file", "old", "new", "code"),
    [
        ("category-missing", b"x", b"x", "2.4"),
        ("dispensed", PATIENT, b"05894910006", "2.1"),
        ("dispensed", PATIENT, b"13116900216", "2.1"),
        ("dispensed", b"2.16.578.1.12.4.1.4.1", b"2.16.578.1.12.4.1.4.9", "2.1"),
    ],
    ids=["category", "check digits", "real number", "local number"],
)
async def test_message_that_cannot_be_delivered_is_refused(
    world: World, *, file: str, old: bytes, new: bytes, code: str, form: str
) -> None:
    """The sender hears why, nothing reaches JFT, and no number is shown."""
    answer = await post(world, body_of(f"{file}.{form}").replace(old, new))
    assert_refused(world, answer, 400, code, form, "fatal-error")


@pytest.mark.parametrize("form", FORMS)
@in_one_world(("receiver", "sender", "role"), [("95938", SENDER, "receiver"), (HAVNES_HER, "135233", "sender")])
async def test_message_of_other_parties_is_refused(
    world: World, receiver: str, sender: str, role: str, form: str
) -> None:
    """Its own address must be the request's: 2.2, with the element and neither number."""
    diagnostics = assert_refused(
        world, await post(world, body_of(f"dispensed.{form}", receiver, sender)), 400, "2.2", form, "fatal-error"
    )
    assert role in diagnostics


@pytest.mark.parametrize("form", FORMS)
async def test_closed_route_says_its_text(world: World, form: str) -> None:
    """Though nothing depends on the body, it is read: the answer names the message."""
    answer = await post(world, body_of(f"travel.{form}", SORVIK_HER), SORVIK_HER)
    assert_refused(world, answer, 400, "1.2", form, "fatal-error")
    assert "Send etter mandag." in answer.body.decode()


UNREADABLE = [
    (b"<Bundle/>", "xml"),
    (b'<!DOCTYPE Bundle [<!ENTITY a "b">]><Bundle xmlns="http://hl7.org/fhir"/>', "xml"),
    (b"<Bundle", "xml"),
    (b"{", "json"),
    (b"", "json"),
    (b'{"resourceType":"Encounter"}', "json"),
    (stu3_message("digital-encounter.xml"), "xml"),
]


@pytest.mark.parametrize("receiver", [HAVNES_HER, SORVIK_HER], ids=["new", "closed"])
async def test_unreadable_body_is_refused(world: World, subtests: pytest.Subtests, receiver: str) -> None:
    """Malformed (2.4) in the form that its first byte told, without a message to answer."""
    for body, form in UNREADABLE:
        with subtests.test(body[:30].decode()):
            world.forget()
            assert_refused(world, await post(world, body, receiver), 400, "2.4", form, None)


@pytest.mark.parametrize("form", FORMS)
@in_one_world(
    ("wanted", "status", "code"),
    [
        ({"signing": "other-key"}, 401, "1.5"),
        ({"scopes": ["nhn:vkp/api/user/encounter.write"]}, 403, "1.2"),
        ({"her_id": "1"}, 403, "1.4"),
        ({"her_id": None, "vkp_id": "Everywhere"}, 403, "1.4"),
        ({"her_id": "135233"}, 403, "1.4"),
    ],
    ids=str,
)
async def test_sender_without_access_is_refused(
    world: World, wanted: dict[str, Any], status: int, code: str, form: str
) -> None:
    """The claim her_id names the sender here; where nothing depends on the body, it is not read for a stranger."""
    token = world.token(**{"vkp_id": None, "her_id": SENDER, **wanted})
    headers = (("Content-Type", f"application/{form}"),)
    answer = await post(world, body_of(f"travel.{form}", SORVIK_HER), SORVIK_HER, token=token, headers=headers)
    assert_refused(world, answer, status, code, form, None)
    assert bool(answer.values("WWW-Authenticate")) == (code != "1.4")


@pytest.mark.parametrize("form", FORMS)
async def test_too_large_message_is_refused(world: World, form: str) -> None:
    """413 before it was read, in the form that Content-Type makes likely."""
    headers = (("Content-Type", f"application/{form}"),)
    assert_refused(world, await post(world, b"<" * 100_001, headers=headers), 413, "2.4", form, None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("status", "told"), [(503, 503), (302, 504)])
async def test_service_that_fails_is_no_fatal_error(world: World, status: int, told: int, form: str) -> None:
    """The sender may try again."""
    world.jft.behave(Behaviour(status=status))
    answer = await post(world, body_of(f"travel.{form}"))
    assert_refused(world, answer, told, "3.1", form, "transient-error")
    assert bool(answer.values("Retry-After")) == (told == 503)


async def test_sender_over_its_rate_waits(start: Callable[..., Awaitable[World]]) -> None:
    """429 with Retry-After; a message that was read already is answered by one."""
    differing = '  - {municipality: havnes, information: [maledata], mode: closed, text: "Stengt."}\n'
    world = await start(rate="1/h", routes=ROUTES + differing)
    assert (await post(world, another(body_of("travel.xml")))).status == 200
    world.jft.received.clear()
    world.logged.forget()
    answer = await post(world, another(body_of("travel.xml")))
    assert_refused(world, answer, 429, "3.1", "xml", "transient-error")
    assert answer.values("Retry-After")


async def test_address_without_operation_is_left_to_the_route(world: World) -> None:
    """A closed municipality is not reached by a side path, and no message is answered there."""
    answer = await post(world, body_of("travel.json"), SORVIK_HER, "patient")
    world.assert_refused(answer, 400, "1.2")
