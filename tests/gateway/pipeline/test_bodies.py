"""Bodies where routes differ by what they say: whose are read, and what becomes of those that are not."""

from __future__ import annotations

import asyncio
import gc
import gzip
from typing import TYPE_CHECKING, Any

import pytest

from gateway.observability import metrics
from gateway.proxy.downstream_request import DownstreamRequest
from tests.each import in_one_world
from tests.gateway.pipeline.test_pipeline import at_vkp, digest
from tests.gateway.world import HAVNES, NORDFJELL, SORVIK, VIKAN, another, message, stu3_message
from tests.waiting import HANGS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.world import World


def evondos(world: World) -> World:
    """Send as the vendor whose medication goes to JFT and whose other messages go to VKP."""
    world.vkp_id = "Evondos_Nordfjell"
    return world


async def test_body_decides_where_routes_differ(world: World) -> None:
    """One vendor's medication becomes an event while its notes go to VKP."""
    evondos(world)
    dispensed = await world.post(f"/epj/r4/{NORDFJELL}/medicationdispense", message("dispensed"))
    assert (dispensed.status, len(world.delivered), len(world.vkp.received)) == (200, 1, 0)
    noted = await world.post(f"/epj/r4/{NORDFJELL}/composition", message("note"))
    assert (noted.status, len(world.delivered)) == (200, 1)
    assert at_vkp(world) == [(f"/epj/r4/{NORDFJELL}/composition", digest(message("note")))]
    assert [(one["outcome"], one["information"]) for one in world.logged.named("message")] == [
        ("accepted", "medisinering"),
        ("passed", "notat"),
    ]


def named(body: bytes) -> str:
    """Name a body in what a table's test tells."""
    return f"{body[:20].decode('latin-1')} {len(body)}"


UNREADABLE = [
    b"",
    b"{",
    b"\xff\xfe{}",
    b'{"resourceType":"MedicationDispense","resourceType":"MedicationDispense"}',
    b'{"resourceType":"Bundle"}',
    b"<MedicationDispense/>",
    b"[" * 5_000,
    b'{"resourceType":"MedicationDispense","a":NaN}',
    b'{"resourceType":"MedicationDispense","note":"' + b"x" * 200_000 + b'"}',
]


async def test_compressed_body_is_refused_as_such(world: World) -> None:
    """Its bytes are no text that could be wrong; what its field says of bytes that are not compressed says nothing."""
    evondos(world)
    field = (("Content-Encoding", "gzip"),)
    for kind, body in (("medicationdispense", message("dispensed")), ("bundle", message("dispense-failed"))):
        refused = await world.post(f"/epj/r4/{NORDFJELL}/{kind}", gzip.compress(body), headers=field)
        assert (refused.status, b"compressed (gzip)" in refused.body, b"UTF-8" in refused.body) == (400, True, False)
    assert not world.delivered
    taken = await world.post(f"/epj/r4/{NORDFJELL}/medicationdispense", message("dispensed"), headers=field)
    assert (taken.status, len(world.delivered)) == (200, 1)


MIXED = """\
  - {mode: legacy}
  - {municipality: havnes, mode: closed, text: "Ikke ennå."}
  - {municipality: nordfjell, information: [medisinering], mode: new}
"""


def raw_request(world: World, target: str, body: bytes, *, chunked: bool, token: str | None = None) -> bytes:
    """Return a request with its body at once, or in chunks."""
    if not chunked:
        return world.request(target, body, token=token)
    parts = [body[at : at + 30_000] for at in range(0, len(body), 30_000)]
    wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return world.request(target, wire, headers=(("Transfer-Encoding", "chunked"),), length=False, token=token)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_unreadable_body_passes_where_vkp_answers_for_all_that_it_could_be(
    start: Callable[..., Awaitable[World]], subtests: pytest.Subtests, *, chunked: bool
) -> None:
    """Whole, byte-exact, of any size: where medication alone is rehearsed, VKP answers either way."""
    world = await start(routes=MIXED.replace("new", "rehearse"))
    target = f"/epj/r4/{NORDFJELL}/bundle"
    for body in UNREADABLE:
        with subtests.test(named(body)):
            world.forget()
            await world.send(raw_request(world, target, body, chunked=chunked))
            assert at_vkp(world) == [(target, digest(body))]
            assert not world.jft.received
            (seen,) = world.logged.named("message")
            assert (seen["outcome"], seen["mode"]) == ("passed", "legacy")
            assert body == UNREADABLE[4] or seen["diagnostics"].startswith("passed without its content: ")


async def test_a_resource_that_is_of_one_type_alone_is_not_read(world: World, subtests: pytest.Subtests) -> None:
    """A note passes whatever it says, though the vendor's medication is JFT's."""
    evondos(world)
    target = f"/epj/r4/{NORDFJELL}/composition"
    for body in UNREADABLE:
        with subtests.test(named(body)):
            world.forget()
            await world.post(target, body, token=world.token(signing="other-key"))
            assert at_vkp(world) == [(target, digest(body))]
            assert [one["information"] for one in world.named_messages("passed")] == ["notat"]


@pytest.mark.parametrize("resource", ["medicationdispense", "bundle"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunks"])
async def test_unreadable_body_that_could_be_what_vkp_does_not_answer_is_refused(
    world: World, subtests: pytest.Subtests, resource: str, *, chunked: bool
) -> None:
    """VKP may read what the gateway cannot, and would take what is no longer its own; the refusal says why, and is counted."""
    evondos(world)
    for body in UNREADABLE:
        if resource == "bundle" and body == UNREADABLE[4]:
            continue
        with subtests.test(named(body)):
            world.forget()
            fault, status = ("too-large", 413) if len(body) > 100_000 else ("malformed", 400)
            before = unread(fault, "refused")
            answer = await world.send(raw_request(world, f"/epj/r4/{NORDFJELL}/{resource}", body, chunked=chunked))
            world.assert_refused(answer, status, "2.4")
            assert not world.vkp.received
            assert unread(fault, "refused") == before + (resource == "bundle")
            (seen,) = world.logged.named("message")
            assert (seen["outcome"], bool(seen["diagnostics"])) == (fault, True)


def unread(reason: str, outcome: str) -> float:
    """Return how many requests were decided without their content."""
    return metrics.CONTENT_NOT_READ.labels(reason, outcome)._value.get()


CLOSED_JOURNALING = """\
  - {mode: legacy}
  - {municipality: havnes, mode: closed, text: "Ikke ennå."}
  - {municipality: nordfjell, information: [journaling], mode: closed, text: "Stengt."}
"""


@pytest.mark.parametrize("resource", ["bundle", "observation", "bundle/_history"])
async def test_a_closed_door_lets_nothing_through(
    start: Callable[..., Awaitable[World]], subtests: pytest.Subtests, resource: str
) -> None:
    """Journaling is known from the path alone: what cannot be read, has no type, or goes to no operation is refused as all else."""
    world = await start(routes=CLOSED_JOURNALING)
    for body in (*UNREADABLE, b'{"resourceType":"Bundle","type":"collection"}', message("note")):
        with subtests.test(named(body)):
            assert (await world.post(f"/epj/r4/{NORDFJELL}/{resource}", body)).status == 400
            assert not world.vkp.received
    await world.post(f"/epj/r4/{NORDFJELL}/patient/_search", b"identifier=1")
    assert len(world.vkp.received) == 1


@pytest.mark.parametrize(
    "target", ["/epj/stu3/00102287/bundle", "/epj/stu3/0000000000000102287/bundle", "/epj/r4/0312229544/bundle"]
)
async def test_zeros_before_a_number_open_no_door(start: Callable[..., Awaitable[World]], target: str) -> None:
    """HER-ids and organisation numbers compare as numbers."""
    world = await start(routes=CLOSED_JOURNALING)
    assert (await world.post(target, message("note"), token=world.token(her_id="0099001"))).status == 400
    assert not world.vkp.received


@pytest.mark.parametrize(
    "wanted",
    [{"signing": "other-key"}, {"lifetime": -100}, {"audience": "nhn:other"}, {"header": {"kid": "unknown"}}],
    ids=["forged", "expired", "another's", "of an unknown key"],
)
@in_one_world("size", [1_000, 99_000])
async def test_a_strangers_body_is_not_read(world: World, wanted: dict[str, Any], size: int) -> None:
    """It is refused before it has arrived where it could be what VKP does not answer, and passes where it could not."""
    evondos(world)
    token = world.token(**wanted)
    raw = world.request(f"/epj/r4/{NORDFJELL}/bundle", token=token, length=False)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    writer.write(raw[:-2] + b"Content-Length: %d\r\n\r\n" % size)
    answer = await asyncio.wait_for(world.read_answer(reader), HANGS)
    writer.close()
    assert answer is not None
    told = "Retry-After" if answer.status == 503 else "WWW-Authenticate"
    assert (answer.status in {401, 503}, bool(answer.values(told)), bool(world.vkp.received)) == (True, True, False)
    target = f"/epj/r4/{NORDFJELL}/composition"
    await world.post(target, b"{" * size, token=token)
    assert at_vkp(world) == [(target, digest(b"{" * size))]


@pytest.mark.slow
@pytest.mark.parametrize("target", [f"/epj/r4/{NORDFJELL}/bundle", "/epj/r4/000000000/bundle"])
async def test_a_refused_request_is_forgotten_without_the_collector(world: World, target: str) -> None:
    """Its body does not stay in memory until the collector looks for cycles, which is seldom."""
    evondos(world)
    gc.collect()
    gc.disable()
    try:
        before = _requests_held()
        for _ in range(3):
            await world.post(target, b"{" * 1_000, token=world.token(signing="other-key"))
        assert _requests_held() <= before + 1, "the last one may still be on its connection"
    finally:
        gc.enable()


def _requests_held() -> int:
    return sum(isinstance(one, DownstreamRequest) for one in gc.get_objects())


@pytest.mark.parametrize("form", ["xml", "json"])
async def test_a_stranger_is_told_in_its_own_form(start: Callable[..., Awaitable[World]], form: str) -> None:
    """By Content-Type, since the body is not looked at."""
    world = await start(routes=MIXED)
    headers = (("Content-Type", f"application/fhir+{form}"),)
    answer = await world.post("/epj/stu3/102287/bundle", stu3_message(f"dispensed.{form}"), token="", headers=headers)
    assert (answer.status, answer.values("Content-Type")) == (401, [f"application/fhir+{form}; charset=utf-8"])
    assert not world.vkp.received


async def test_where_helseid_is_away_vkp_still_gets_what_is_its_own(start: Callable[..., Awaitable[World]]) -> None:
    """Nobody can tell a stranger then: bodies are read within a budget for all together, beyond which they are told to wait."""
    world = evondos(await start(limits=", parsing_unverified: 1kB/h"))
    token = world.token()
    await world.helseid.stop()
    path = f"/epj/r4/{NORDFJELL}/bundle"
    await world.post(path, message("alarm-follow-up"), token=token)
    assert [one["information"] for one in world.named_messages("passed")] == ["varsel"]
    answer = await world.post(path, message("alarm-follow-up"), token=token)
    world.assert_refused(answer, 429, "3.1")
    assert 1 <= int(answer.values("Retry-After")[0]) <= 3600


async def test_a_sender_has_so_much_read(start: Callable[..., Awaitable[World]]) -> None:
    """429 with Retry-After beyond it, on the lane where content decides and where it is translated; another is not affected."""
    world = await start(limits=", parsing_per_sender: 1kB/h")
    one, other = world.token(client_id="one"), world.token(client_id="other")
    assert (await world.post("bundle", message("alarm-follow-up"), token=one)).status == 200
    world.jft.received.clear()
    world.logged.forget()
    answer = await world.post("bundle", message("alarm-follow-up"), token=one)
    world.assert_refused(answer, 429, "3.1")
    assert int(answer.values("Retry-After")[0]) >= 1
    assert (await world.post("bundle", another(message("alarm-follow-up")), token=other)).status == 200


@pytest.mark.parametrize("municipality", [VIKAN, HAVNES], ids=["new", "closed"])
async def test_unreadable_body_is_refused_where_vkp_does_not_answer(
    world: World, subtests: pytest.Subtests, municipality: str
) -> None:
    """It is malformed (2.4) whatever the route without information says: new, or closed beside new ones."""
    for body in UNREADABLE[:-1]:
        with subtests.test(named(body)):
            world.assert_refused(await world.post(f"/epj/r4/{municipality}/medicationdispense", body), 400, "2.4")


@pytest.mark.parametrize("municipality", [VIKAN, HAVNES], ids=["new", "closed"])
@pytest.mark.parametrize("length", [True, False], ids=["length", "chunks"])
async def test_too_large_body_is_refused_before_it_has_arrived(
    world: World, municipality: str, *, length: bool
) -> None:
    """413 comes when the limit is known to be passed; the sender need not send the rest."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    raw = world.request(f"/epj/r4/{municipality}/bundle", length=False)
    framing = (
        b"Content-Length: 100001\r\n\r\n" if length else b"Transfer-Encoding: chunked\r\n\r\n186a1\r\n" + b"x" * 100_001
    )
    writer.write(raw[:-2] + framing)
    answer = await asyncio.wait_for(world.read_answer(reader), 120)
    writer.close()
    assert answer is not None
    world.assert_refused(answer, 413, "2.4")


async def test_body_is_not_read_where_it_decides_nothing(world: World) -> None:
    """Where every type has the same route the request goes on while its body still arrives."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.data_port)
    raw = world.request(f"/epj/r4/{SORVIK}/bundle", length=False)
    writer.write(raw[:-2] + b"Content-Length: 1000\r\n\r\n")
    answer = await asyncio.wait_for(world.read_answer(reader), 120)
    writer.close()
    assert answer is not None
    world.assert_refused(answer, 400, "1.2")
