"""Large bodies are read and translated in a process of their own: to the byte what the event loop would have made of them."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from gateway.config.load import load_text
from gateway.errors import WORDINGS, Failure, Fault
from gateway.model import RequestHead
from gateway.pipeline import bodies
from gateway.pipeline.bodies import BodyAnswer, BodyQuestion, answered, content_of
from gateway.pipeline.content import LARGE, Worker
from gateway.pipeline.identify import asked_for
from gateway.pipeline.pipeline import Pipeline
from gateway.runtime import build
from gateway.surfaces.base import AnswerContext, Content
from gateway.surfaces.paths import path_of
from gateway.surfaces.registry import SURFACES
from gateway.worker.main import framed, serve
from gateway.worker.process import WorkerProcess
from tests.each import each_of
from tests.gateway.migration.rehearsal.scene import PATIENT, with_subject
from tests.gateway.pipeline import soap_sender, stu3_sender
from tests.gateway.pipeline.test_canary import routes as canary_routes
from tests.gateway.world import NORDFJELL, another, message
from tests.translators.test_cases import CASES, case_of
from translators.contract import Settings
from translators.fhir.json_codec import decode, encode
from translators.national_number import TEST_KINDS
from translators.patient import NATIONAL_SYSTEMS
from translators.translate import translate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from gateway.surfaces.base import Surface
    from tests.gateway.wire import Answer
    from tests.gateway.world import World

PATHS = {"vkp-r4": "/epj/r4/315058384/bundle", "vkp-stu3": "/epj/stu3/85441/bundle", "vkp-soap": "/ws/v1/Journalforing"}
SEARCH = b"""<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://www.w3.org/2005/08/addressing">
<e:Header><a:MessageID>urn:uuid:1</a:MessageID></e:Header><e:Body><HentTjenester xmlns="http://vkp.nhn.no/Innhenting">
<Mottaker><Orgnr>315058384</Orgnr></Mottaker></HentTjenester></e:Body></e:Envelope>"""
UNREADABLE = {
    "vkp-r4": (
        b"",
        b"{",
        b"[]",
        b'{"a":1,"a":1}',
        b'{"resourceType":"Patient"}',
        b"\xff",
        b"\x1f\x8b\x08",
        b"[" * 5000,
    ),
    "vkp-stu3": (b"", b"<Bundle", b"<Patient/>", b'{"resourceType":"Bundle","type":"message"}', b"[1.50]"),
    "vkp-soap": (b"", b"<", b"<MsgHead/>", SEARCH),
}
NOW = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)
HISTORIES = ((), (("alert", "until-2022-01-14"),))
SYSTEMS = (*sorted(NATIONAL_SYSTEMS), "http://record.example/id")
SETTINGS = Settings(TEST_KINDS, source_system="Dispenser", received="2026-05-04T08:31:00Z")

_CONFIG = load_text(
    """\
version: 1
listen: {data: "127.0.0.1:1", admin: "127.0.0.1:2"}
helseid: {issuer: "http://127.0.0.1:3", client_id: 11111111-2222-4333-8444-555555555555, key_file: key.json}
upstreams: {vkp: {kind: vkp, url: "http://127.0.0.1:4"}}
routes: [{mode: legacy}]
municipalities:
  havnes: {name: Havnes, orgnr: "315058384", her_ids: ["85441"], epj: {system: A, generation: legacy, reads: [jft]}}
  other: {name: Other, orgnr: "312229544", her_ids: ["1"], epj: {system: A, generation: legacy, reads: [jft]}}
vendors:
  a:
    name: A
    systems:
      a: {name: A, senders: [{vkp_id: A, her_id: "135240", municipality: havnes}, {vkp_id: B, municipality: other}]}
""",
    "routes.yaml",
).config


@cache
def _examples() -> list[tuple[str, bytes, Settings]]:
    """Return every message of the examples, of the case files, and what is none: surface, body, settings."""
    root = resources.files("translators").joinpath("examples")
    found = [("vkp-r4", one.read_bytes(), SETTINGS) for one in root.iterdir() if one.name.endswith(".json")]
    found += [("vkp-stu3", one.read_bytes(), SETTINGS) for one in root.joinpath("stu3").iterdir()]
    found += [("vkp-soap", one.read_bytes(), SETTINGS) for one in root.joinpath("soap").iterdir()]
    for file in CASES:
        case = case_of(file.read_text(encoding="utf-8"))
        found.append((case.surface, case.message.encode(), case.settings))
    found += [(surface, body, SETTINGS) for surface, all_of in UNREADABLE.items() for body in all_of]
    return found


def _named(row: tuple[str, bytes, Settings]) -> str:
    return f"{row[0]} {row[1][:300]!r}"


def _surface(name: str) -> Surface:
    return next(one for one in SURFACES if name == one.NAME)


def _context(surface: str, content: Content) -> AnswerContext:
    head = RequestHead("POST", PATHS[surface], ((b"Content-Type", b"application/fhir+json"),))
    return AnswerContext("r-1", NOW, head, asked_for(head, path_of(head.target))[1], content)


def _served(question: BodyQuestion) -> BodyAnswer:
    """Return what a process says, over both its pipes, done here."""
    sink = io.BytesIO()
    serve(io.BytesIO(b"".join(framed(question))), sink, BodyQuestion, answered)
    return msgspec.msgpack.decode(sink.getvalue()[8:], type=BodyAnswer)


def _told(work: Callable[[], Any]) -> Any:
    """Return what work gives, or what it raises as far as it is told."""
    try:
        return work()
    except Failure as failure:
        return failure.fault, failure.diagnostics


def _checked(surface: Surface, content: Content) -> Iterator[Any]:
    """Go through everything that the pipeline asks of content before it is translated, and what its sender is told."""
    assert _CONFIG is not None
    yield content.form
    yield None if content.failure is None else (content.failure.fault, content.failure.diagnostics)
    yield [bodies.information(content, history) for history in HISTORIES]
    yield bodies.identifiers(content, dict.fromkeys(SYSTEMS))
    yield bodies.business(content)
    yield surface.addressed(content.tree)
    for municipality in _CONFIG.municipalities.values():
        for sender in _CONFIG.senders:
            yield _told(lambda m=municipality, s=sender: surface.check_parties(content.tree, m, s))  # type: ignore[misc]
    asked = _context(surface.NAME, content)
    yield surface.accepted(asked)
    yield surface.accepted(asked, undelivered="test")
    for fault in Fault:
        yield surface.refused(asked, Failure(fault, "why", retry_after=5), WORDINGS[fault])


@each_of(_examples(), _named)
def test_what_a_body_says_is_alike_wherever_it_is_read(surface: str, body: bytes, settings: Settings) -> None:
    """Its type, its patient's numbers, whose message it is, and every answer to it, though the tree itself is left behind."""
    del settings
    question = BodyQuestion(body, surface, None, histories=HISTORIES, systems=SYSTEMS)
    told = bodies.content_told(question, _served(question))
    here = content_of(body, _surface(surface), None)
    assert list(_checked(_surface(surface), told)) == list(_checked(_surface(surface), here))
    assert told.size == 0, "nothing is left to work on"


@each_of(_examples(), _named)
def test_what_a_message_becomes_is_alike_wherever_it_is_translated(
    surface: str, body: bytes, settings: Settings
) -> None:
    """To the byte; refusals with the same words and places."""
    here = content_of(body, _surface(surface), None)
    if here.failure is not None:
        return
    made = translate(here.tree, surface, "jft", settings, here.repairs)
    question = BodyQuestion(body, surface, None, service="jft", settings=settings)
    told = bodies.translation_told(question, _served(question))
    for name in ("calls", "repairs", "losses", "undelivered", "patient", "other_numbers"):
        assert getattr(told, name) == getattr(made, name), name
    assert (str(told.refusal), told.refusal and told.refusal.reason) == (
        str(made.refusal),
        made.refusal and made.refusal.reason,
    )


def test_body_that_is_sent_as_it_came_does_not_come_back() -> None:
    """Most of R4 is: to bring it here once more would take the event loop a millisecond or two."""
    body = encode(decode(message("alarm-follow-up")))
    question = BodyQuestion(body, "vkp-r4", None, service="jft", settings=SETTINGS)
    assert len(msgspec.msgpack.encode(_served(question))) < 500
    (call,) = bodies.translation_told(question, _served(question)).calls
    assert call.body == body


_OWN = re.compile(
    rb"[0-9a-f]{10}-[0-9a-f]{6}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[^\"<]*"
)
"""What every answer has anew: references, ids, times."""


def _without_process(world: World) -> World:
    """Have large bodies answered as a process would, in the thread."""
    world.gateway._built_by().worker._process = None
    return world


async def _sent(world: World, more: bytes) -> tuple[list[Answer], list[bytes]]:
    """Send messages of each interface and form, and refused ones of each, with blanks behind each; return answers and events."""
    world.forget()
    r4 = (message("alarm-follow-up"), message("bad-patient"), b"[1]")
    stu3 = [stu3_sender.body_of(file) for file in ("dispensed.xml", "dispense-with-note.json", "category-missing.xml")]
    stu3.append(stu3_sender.body_of("dispensed.json", sender="1"))
    names = ("soap-note", "soap-stu3-dispense-in-base64", "soap-note-of-a-wrong-number")
    soap = [*(soap_sender.body_of(name) for name in names), soap_sender.body_of(sender="1")]
    answers = [await world.post("bundle", body + more) for body in r4]
    answers += [await stu3_sender.post(world, body + more) for body in stu3]
    answers += [await soap_sender.post(world, body + more) for body in soap]
    return answers, [each.body for each in world.delivered]


async def test_large_messages_are_delivered_and_answered_as_small_ones(
    start: Callable[..., Awaitable[World]],
) -> None:
    """Over every interface: the same events, and the same answers but for what is anew in each; addressed to another too."""
    world = await start(body="1MB")
    small, small_events = await _sent(world, b"")
    await world.stop()
    for file in (world.folder / "var").glob("gateway.db*"):
        file.unlink()
    await world.serve()
    large, large_events = await _sent(_without_process(world), b" " * LARGE)
    assert [(one.status, _OWN.sub(b"", one.body)) for one in large] == [
        (one.status, _OWN.sub(b"", one.body)) for one in small
    ]
    assert large_events == small_events
    assert len(large_events) > 2


async def test_large_message_of_a_canary_goes_where_its_patient_stands(
    start: Callable[..., Awaitable[World]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read with its tree for that, and translated from what was read."""
    monkeypatch.setattr(
        build, "Pipeline", lambda *given, **named: Pipeline(*given, **{**named, "canary_key": b"k" * 32})
    )
    world = _without_process(await start(routes=canary_routes("50%"), body="1MB"))
    for number in ("01813210165", PATIENT):
        body = with_subject(message("note"), "urn:oid:2.16.578.1.12.4.1.4.1", number) + b" " * LARGE
        assert (await world.post(f"/epj/r4/{NORDFJELL}/composition", body)).status == 200
    assert (len(world.delivered), len(world.vkp.received)) == (1, 1)
    assert [one["canary"] for one in world.logged.named("message")] == [True, True]


@pytest.mark.slow
async def test_large_message_is_delivered_and_answered_as_a_small_one(
    start: Callable[..., Awaitable[World]],
) -> None:
    """By a real process: what is journaled for it is what is journaled for the same without blanks."""
    world = await start(body="1MB", timeout="60s")
    body = message("alarm-follow-up")
    assert (await world.post("bundle", body + b" " * LARGE)).status == 200
    answer = await world.post("bundle", another(body))
    assert answer.status == 200
    large, small = (each.body for each in world.delivered)
    assert len(large) == len(small)
    refused = [await world.post("bundle", b"{" + b" " * size) for size in (1, LARGE)]
    assert [each.status for each in refused] == [400, 400]


@pytest.mark.slow
async def test_real_process_reads_and_translates_as_the_event_loop() -> None:
    """One message of each interface and form."""
    process = WorkerProcess("gateway.pipeline.bodies", BodyAnswer, 60.0)
    worker = Worker(process)
    rows = {
        (surface, body[:1]): (surface, body, settings) for surface, body, settings in _examples() if len(body) > 1000
    }
    assert {("vkp-r4", b"{"), ("vkp-stu3", b"{"), ("vkp-stu3", b"<"), ("vkp-soap", b"<")} <= rows.keys()
    for surface, body, settings in rows.values():
        for question in (
            BodyQuestion(body, surface, None, histories=HISTORIES, systems=SYSTEMS),
            BodyQuestion(body, surface, None, service="jft", settings=settings),
        ):
            assert await worker.ask(question, "sender") == _served(question)
    await worker.close()
    assert process.pid is None
