"""An STU3 message's way from end to end: what arrives where, and what its sender reads in its own wire form."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from gateway.surfaces.vkp_stu3 import message as stu3_wire
from service_stubs.behaviour import Behaviour
from tests.gateway.conftest import HAVNES, OUTCOME_CODES, ROUTES, accepted_count, another, message, stu3_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.gateway.conftest import World
    from tests.gateway.wire import Answer

NORDFJELL_HER, SORVIK_HER, HAVNES_HER, SENDER = "102287", "95938", "85441", "99001"
FORMS = ["xml", "json"]
PATIENT = b"05894910005"
UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TAKEN = {
    "dispensed": "MedicationDispense",
    "dispense-failed": "Bundle",
    "dispense-with-note": "Bundle",
    "dispense-with-flag": "Bundle",
    "message-to-user": "MedicationDispense",
    "travel": "MedicationDispense",
    "patient-composition": "Composition",
    "location-measurement": "Bundle",
    "camera-observation": "Bundle",
    "digital-encounter": "Bundle",
}


def body_of(file: str, receiver: str = HAVNES_HER, sender: str = SENDER) -> bytes:
    """Return a message of the demo with other parties."""
    return stu3_message(file).replace(b"85441", receiver.encode()).replace(b"135240", sender.encode())


async def post(
    world: World, body: bytes, receiver: str = HAVNES_HER, resource: str = "bundle", **options: Any
) -> Answer:
    """Send to the STU3 interface, with a good token unless another is given."""
    options = {"token": world.token(vkp_id=None, her_id=SENDER), **options}
    return await world.post(f"/epj/stu3/{receiver}/{resource}", body, **options)


def read(answer: Answer, form: str) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return an answer's outcome and its header, None where it is an outcome alone."""
    assert answer.values("Content-Type") == [f"application/fhir+{form}; charset=utf-8"]
    assert stu3_wire.form_of(answer.body) == form
    tree: Any = stu3_wire.decode(answer.body)[0]
    if tree["resourceType"] != "Bundle":
        return tree, None
    header, *others = (entry["resource"] for entry in tree["entry"])
    return (others[0] if others else {}), header


def assert_refused(  # noqa: PLR0917 - read as a table: status, code, form, response
    world: World, answer: Answer, status: int, code: str, form: str, response: str | None
) -> str:
    """Check all that holds for a refusal; return its diagnostics."""
    outcome, header = read(answer, form)
    assert (answer.status, header and header["response"]["code"]) == (status, response), answer.body
    assert outcome["resourceType"] == "OperationOutcome"
    (issue,) = outcome["issue"]
    (coding,) = issue["details"]["coding"]
    assert (coding["system"], coding["code"]) == (OUTCOME_CODES, code), issue
    assert issue["details"]["text"].strip()
    assert not world.delivered
    assert not world.vkp.received
    assert not world.named_messages("accepted")
    world.assert_discreet(answer)
    return str(issue["diagnostics"])


# Mode legacy: VKP answers, whatever it is.


RENEWED = (b"c0fd6d96-d260-51da-a372-3f44a62ad7c6", b"def8d92b-c6c6-5d2f-bbc3-4122a538842d")
"""The ids of Bundle and header in the demo's dispense; the header's stands in its URL too."""


@pytest.mark.parametrize("form", FORMS)
async def test_message_with_a_new_envelope_is_a_copy(start: Callable[..., Awaitable[World]], form: str) -> None:
    """The software of a sender makes ids and the header's time anew when it sends again; one is delivered."""
    world = await start()
    body = again = body_of(f"dispensed.{form}")
    for place, known in enumerate(RENEWED):
        again = again.replace(known, b"11111111-1111-4111-8111-11111111111%d" % place)
    again = again.replace(b"2026-11-03T08:01:10+01:00", b"2026-11-03T09:30:00+01:00")
    again = again.replace(
        b"urn:uuid:69ce1531-0020-5204-9da5-7f91076a6638", b"urn:uuid:22222222-2222-4222-8222-222222222222"
    )
    answers = [await post(world, each) for each in (body, again)]
    assert [answer.status for answer in answers] == [200, 200]
    assert len(world.delivered) == 1
    assert [one["outcome"] for one in world.logged.named("message")] == ["accepted", "duplicate"]


async def test_two_dispensings_that_only_the_time_of_the_header_tells_apart_are_two(
    start: Callable[..., Awaitable[World]],
) -> None:
    """The second must not hear a success of the first."""
    world = await start()
    body = body_of("dispensed.json").replace(b"2026-11-03T08:00:21+01:00", b"2026-11-03")
    later = body.replace(b"2026-11-03T08:01:10+01:00", b"2026-11-03T20:01:10+01:00")
    for each in (body, later):
        assert (await post(world, each)).status == 200
    assert len(world.delivered) == 2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("resource", ["bundle", "$process-message"])
async def test_legacy_message_reaches_vkp_as_sent(world: World, form: str, resource: str) -> None:
    """Byte for byte, also from a sender that is not registered and to another receiver than the path names."""
    body = stu3_message(f"dispense-with-note.{form}")
    world.vkp.checks = "form"
    answer = await post(world, body, NORDFJELL_HER, resource, token=world.token(vkp_id=None, her_id="1"))
    _, header = read(answer, form)
    assert header is not None
    assert (answer.status, header["response"]["code"]) == (200, "ok")
    assert [one.sha256 for one in world.vkp.received] == [hashlib.sha256(body).hexdigest()]
    assert [(one["surface"], one["outcome"]) for one in world.logged.named("message")] == [("vkp-stu3", "passed")]
    world.assert_discreet(answer)


async def test_legacy_body_of_any_size_and_kind_passes(world: World) -> None:
    """Nothing is read where nothing depends on it."""
    for body in (b"<" + b"x" * 200_000, b"", b"\xff\xfe", b"<!DOCTYPE x>"):
        await post(world, body, NORDFJELL_HER)
    assert len(world.vkp.received) == 4


async def test_body_decides_where_routes_differ(start: Callable[..., Awaitable[World]]) -> None:
    """Medication of one municipality goes to JFT while its notes go to VKP."""
    world = await start(routes=ROUTES + "  - {municipality: nordfjell, information: [medisinering], mode: new}\n")
    await post(world, body_of("dispensed.xml", NORDFJELL_HER), NORDFJELL_HER)
    assert (len(world.delivered), len(world.vkp.received)) == (1, 0)
    await post(world, body_of("patient-composition.xml", NORDFJELL_HER), NORDFJELL_HER)
    assert (len(world.delivered), len(world.vkp.received)) == (1, 1)


@pytest.mark.parametrize("form", FORMS)
async def test_vkp_that_is_away_is_told_in_the_likely_form(start: Callable[..., Awaitable[World]], form: str) -> None:
    """The body went by unread, so Content-Type is all there is."""
    world = await start()
    await world.vkp.stop()
    headers = (("Content-Type", f"application/fhir+{form}"),)
    answer = await post(world, body_of(f"travel.{form}"), NORDFJELL_HER, headers=headers)
    assert_refused(world, answer, 503, "3.1", form, None)


async def test_verify_in_legacy_looks_at_the_her_id(start: Callable[..., Awaitable[World]]) -> None:
    """The token is checked, the message's own address is not."""
    world = await start(top="admit: {legacy: verify}")
    world.vkp.checks = "form"
    body = stu3_message("travel.json")
    refused = await post(world, body, NORDFJELL_HER, token=world.token(vkp_id="Everywhere"))
    assert_refused(world, refused, 403, "1.4", "json", None)
    assert (await post(world, body, NORDFJELL_HER)).status == 200
    assert len(world.vkp.received) == 1


# Mode new.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("file", "kind"), TAKEN.items())
async def test_every_kind_becomes_one_event(world: World, file: str, kind: str, form: str) -> None:
    """JFT takes it for the right municipality, and the sender's answer names its message."""
    before = accepted_count()
    body = body_of(f"{file}.{form}")
    answer = await post(world, body, resource="encounter" if file == "digital-encounter" else "bundle")
    outcome, header = read(answer, form)
    assert answer.status == 200, answer.body
    (event,) = world.delivered
    assert (event.orgnr_parent, event.resource_type, event.source_system) == (HAVNES, kind, "Skyresponse")
    if file == "digital-encounter":
        assert (header, outcome["issue"][0]["code"]) == (None, "informational")
    else:
        assert header is not None
        assert header["response"]["code"] == "ok"
        assert header["response"]["identifier"].encode() in body
        assert outcome == {}
    assert accepted_count() == before + 1
    logged = world.named_messages("accepted")[0]
    assert (logged["surface"], logged["sender"]) == ("vkp-stu3", "Everywhere")
    world.assert_discreet(answer)


async def test_decimals_keep_their_digits(world: World) -> None:
    """A position is where the sender says, not somewhere near it."""
    await post(world, body_of("location-measurement.xml"))
    assert "10.39510" in world.delivered[0].body


@pytest.mark.fact("vkp-stu3-test")
@pytest.mark.parametrize("form", FORMS)
async def test_test_message_is_delivered_nowhere(world: World, form: str) -> None:
    """It is acknowledged, said to be a test, and counted as one."""
    before = accepted_count()
    answer = await post(world, body_of(f"test.{form}"))
    outcome, header = read(answer, form)
    assert header is not None
    assert (answer.status, header["response"]["code"]) == (200, "ok")
    assert "ikke journalført" in outcome["issue"][0]["details"]["text"]
    assert not world.jft.received
    assert not world.vkp.received
    assert accepted_count() == before
    assert [one["outcome"] for one in world.logged.named("message")] == ["test"]


@pytest.mark.fact("not-to-be-journaled")
async def test_note_that_is_not_to_be_journaled_is_acknowledged_and_delivered_nowhere(world: World) -> None:
    """Its sender is told so in words, and it is counted under its own name."""
    tree = json.loads(body_of("patient-composition.json"))
    note = next(each["resource"] for each in tree["entry"] if each["resource"]["resourceType"] == "Composition")
    system = "http://ehelse.no/fhir/CodeSystem/vkp-composition-class-v06"
    note["class"] = {"coding": [{"system": system, "code": "2", "display": "ikke_respons"}]}
    answer = await post(world, json.dumps(tree).encode())
    outcome, header = read(answer, "json")
    assert header is not None
    assert (answer.status, header["response"]["code"]) == (200, "ok")
    assert "skal ikke journalføres" in outcome["issue"][0]["details"]["text"]
    assert not world.jft.received
    assert not world.vkp.received
    assert [one["outcome"] for one in world.logged.named("message")] == ["not-to-be-journaled"]


@pytest.mark.parametrize("value", ["application/json", "text/plain", "nonsense"])
async def test_content_type_does_not_matter(world: World, value: str) -> None:
    """XML is XML, whatever the field says."""
    answer = await post(world, body_of("travel.xml"), headers=(("Content-Type", value),))
    assert (answer.status, len(world.delivered)) == (200, 1)
    read(answer, "xml")


# Refusals, each in the form of its request.


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
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
@pytest.mark.parametrize(
    ("receiver", "sender", "role"), [("95938", SENDER, "receiver"), (HAVNES_HER, "135233", "sender")]
)
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
@pytest.mark.parametrize(
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


# Numbers of the record system's own.


TABLE = ', patient_ids: {"http://cosdoc.dips.no/lopenummer": {resolve: table, file: numbers.csv}}'


@pytest.mark.parametrize("form", FORMS)
async def test_local_number_is_resolved_by_the_table_that_the_reload_read(world: World, form: str) -> None:
    """What the table says when the file is read is what messages get."""
    body = body_of(f"dispensed.{form}")
    body = body.replace(b"urn:oid:2.16.578.1.12.4.1.4.1", b"http://cosdoc.dips.no/lopenummer").replace(PATIENT, b"1302")
    assert_refused(world, await post(world, body), 400, "2.1", form, "fatal-error")
    (world.folder / "numbers.csv").write_bytes(b"77,12834010060\n")
    world.write(patient_ids=TABLE)
    assert (await world.gateway.reload()).taken
    assert_refused(world, await post(world, body), 400, "2.1", form, "fatal-error")
    (world.folder / "numbers.csv").write_bytes(b"77,12834010060\n1302," + PATIENT + b"\n")
    assert (await world.gateway.reload()).taken
    assert (await post(world, body)).status == 200
    subject = json.loads(world.delivered[0].body)["subject"]["identifier"]
    assert PATIENT.decode() in json.dumps(subject)
    (world.folder / "numbers.csv").write_bytes(b"1302,x\n")
    assert not (await world.gateway.reload()).taken
    assert PATIENT.decode() not in world.logged.everything()


async def test_superseded_codes_of_a_sender_are_read_by_its_history(start: Callable[..., Awaitable[World]]) -> None:
    """What an alert code meant when the sender was built is what the record gets."""
    old = message("dispense-failed").replace(b'"code": "1.2"', b'"code": "1.6"')
    plain = await start()
    assert (await plain.post("bundle", another(old))).status == 200
    history = '{vkp_id: Everywhere, her_id: "99001", municipalities: all, code_history: {alert: until-2022-01-14}}'
    plain.write(everywhere=history)
    assert (await plain.gateway.reload()).taken
    assert (await plain.post("bundle", another(old))).status == 200
    first, second = (re.sub(UUID, "", one.body) for one in plain.delivered)
    assert first != second
