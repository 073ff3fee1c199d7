"""Which requests are VKP STU3, what may stand in them, and that every answer can be read in the sender's own form."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.config.model import Epj, Municipality, Sender
from gateway.errors import WORDINGS, Failure, Fault
from gateway.model import Group, Place, Reply, RequestHead
from gateway.surfaces.base import AnswerContext, Content, Form, Operation, Recognised
from gateway.surfaces.paths import path_of
from gateway.surfaces.vkp_stu3 import message as stu3_wire
from gateway.surfaces.vkp_stu3 import surface
from tests.gateway.world import OUTCOME_CODES, stu3_message
from translators.contract import Refused, Tree

PLACE = Place("routes.yaml", 1, 1)
HAVNES = Municipality("havnes", "Havnes", "315058384", ("85441", "85442"), Epj("E", False, (), ()), PLACE)
DIGNIO = Sender("dignio", "prevent", None, "135240", None, PLACE)
NOW = datetime(2026, 11, 3, 8, 0, 21, tzinfo=UTC)
ISSUE_TYPES = frozenset(
    [
        "invalid", "structure", "required", "value", "invariant", "security",
        "login", "unknown", "expired", "forbidden", "suppressed", "processing",
        "not-supported", "duplicate", "not-found", "too-long", "code-invalid", "extension",
        "too-costly", "business-rule", "conflict", "incomplete", "transient", "lock-error",
        "no-store", "exception", "timeout", "throttled", "informational",
    ]
)  # fmt: skip
"""http://hl7.org/fhir/STU3/valueset-issue-type.html"""
FORMS = ["xml", "json"]


def recognise(target: str, method: str = "POST") -> Recognised | None:
    """Ask whether a request is one of this surface."""
    return surface.recognise(RequestHead(method, target, ()), path_of(target))


def operation(resource: str = "bundle") -> Operation:
    """Return an operation by its resource."""
    recognised = recognise(f"/epj/stu3/85441/{resource}")
    assert recognised is not None
    return recognised.operation


@pytest.mark.parametrize(
    ("target", "kind", "scope"),
    [
        ("/epj/stu3/85441/bundle", "Bundle", "bundle"),
        ("/epj/stu3/85441/$process-message", "Bundle", "bundle"),
        ("/epj/stu3/85441/%24process-message", "Bundle", "bundle"),
        ("/EPJ/STU3/85441/Encounter/", "Encounter", "encounter"),
        ("//epj//stu3/85441/Bundle?subscription-key=1", "Bundle", "bundle"),
    ],
)
def test_operations_are_known_in_any_spelling(target: str, kind: str, scope: str) -> None:
    """Messages at two addresses and an Encounter alone; the scope is that of the same resource in R4."""
    recognised = recognise(target)
    assert recognised is not None
    found = recognised.operation
    assert (recognised.her_id, recognised.orgnr) == ("85441", None)
    assert (found.kind, found.scope) == (kind, f"nhn:vkp/api/user/{scope}.write")
    assert (found.group, found.sender_claim) == (Group.JOURNALING, "e-helse/claims/her_id")


@pytest.mark.parametrize(
    "target",
    [
        "/epj/stu3/85441",
        "/epj/stu3/85441/patient",
        "/epj/stu3/85441/composition",
        "/epj/stu3/85441/medicationdispense",
        "/epj/stu3/85441/bundle/_search",
        "/epj/stu3/85441/process-message",
        "/epj/stu3/x/bundle",
        "/epj/stu3//bundle",
        "/epj/stu3/٨٥٤٤١/bundle",
        "/epj/stu3/1234567890123/bundle",
        "/epj/r4/85441/bundle",
        "/epj/stu3/./85441/bundle",
        "/epj/stu3/x/../85441/bundle",
    ],
)
def test_other_paths_are_not_known(target: str) -> None:
    """What is not exactly an operation is left to `unrecognised`."""
    assert recognise(target) is None


@pytest.mark.parametrize("method", ["GET", "PUT", "post"])
def test_other_methods_are_not_known(method: str) -> None:
    """Every operation is a POST."""
    assert recognise("/epj/stu3/85441/bundle", method) is None


@pytest.mark.fact("vkp-stu3-form")
@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"<a/>", Form.XML),
        (b"\xef\xbb\xbf <a/>", Form.XML),
        (b"\r\n\t <?xml?>", Form.XML),
        ("<a/>".encode("utf-16"), Form.XML),
        ("<a/>".encode("utf-16-be"), Form.XML),
        (b"{}", Form.JSON),
        (b"\xef\xbb\xbf{}", Form.JSON),
        (b"nonsense", Form.JSON),
        (b"", None),
        (b"\xef\xbb\xbf \n", None),
    ],
)
def test_form_is_told_by_the_first_byte(body: bytes, form: Form | None) -> None:
    """Content-Type is never asked: senders write anything there."""
    assert surface.form_of(body) is form


@pytest.mark.parametrize("form", FORMS)
def test_messages_and_encounters_are_read(form: str) -> None:
    """Each at its own address; without an address both."""
    message, encounter = stu3_message(f"dispensed.{form}"), stu3_message(f"digital-encounter.{form}")
    assert surface.read(message, operation()) == surface.read(message, None)
    assert surface.read(encounter, operation("encounter")) == surface.read(encounter, None)
    for body, resource in ((message, "encounter"), (encounter, "bundle")):
        with pytest.raises(Refused):
            surface.read(body, operation(resource))


DISPENSED = stu3_message("dispensed.json")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (DISPENSED.replace(b'"type": "message"', b'"type": "document"'), "Bundle.type"),
        (DISPENSED.replace(b'"type": "message"', b'"type": {}'), "Bundle.type"),
        (DISPENSED.replace(b'"MessageHeader"', b'"Flag"'), "Bundle.entry[0].resource"),
        (b'{"resourceType":"Bundle","type":"message"}', "Bundle.entry[0].resource"),
        (b'{"resourceType":"Bundle","type":"message","entry":[null]}', "Bundle.entry[0].resource"),
        (b'{"resourceType":"Bundle","type":"message","entry":[{"resource":7}]}', "Bundle.entry[0].resource"),
        (b'{"resourceType":"Patient"}', "resourceType"),
        (b"[]", "resourceType"),
        (b'{"resourceType":["Bundle"]}', "resourceType"),
    ],
)
def test_what_is_no_message_is_refused_with_its_path(body: bytes, path: str) -> None:
    """A message is a Bundle of that type whose first resource is its header."""
    with pytest.raises(Refused) as refused:
        surface.read(body, operation())
    assert refused.value.path == path


def test_leniency_of_vkp_reaches_the_header() -> None:
    """An object where an array belongs and blanks around codes are no reason to refuse, before they are repaired."""
    body = b'{"resourceType":"Bundle","type":" message ","entry":{"resource":{"resourceType":"MessageHeader"}}}'
    tree, _ = surface.read(body, operation())
    surface.check_parties(tree, HAVNES, DIGNIO)


# Addresses.


def addressed(receiver: bytes = b"85441", sender: bytes = b"135240") -> Tree:
    """Read a message with these parties."""
    body = DISPENSED.replace(b'"85441"', b'"%b"' % receiver).replace(b'"135240"', b'"%b"' % sender)
    return surface.read(body, operation())[0]


@pytest.mark.parametrize(("receiver", "sender"), [(b"85441", b"135240"), (b" 85442 ", b"135240"), (b"", b"")])
def test_message_to_the_path_and_from_the_token_is_fine(receiver: bytes, sender: bytes) -> None:
    """Any HER-id of the municipality, blanks around it, and a party that is not named."""
    surface.check_parties(addressed(receiver, sender), HAVNES, DIGNIO)


@pytest.mark.fact("vkp-header-addresses")
@pytest.mark.parametrize(
    ("receiver", "sender", "role"), [(b"95938", b"135240", "receiver"), (b"85441", b"135241", "sender")]
)
def test_message_to_or_from_another_is_refused(receiver: bytes, sender: bytes, role: str) -> None:
    """The element is named, and neither number."""
    with pytest.raises(Failure) as failed:
        surface.check_parties(addressed(receiver, sender), HAVNES, DIGNIO)
    assert failed.value.fault is Fault.ADDRESS
    assert role in failed.value.diagnostics
    assert "95938" not in failed.value.diagnostics
    assert "135241" not in failed.value.diagnostics


def test_second_receiver_is_looked_at_too() -> None:
    """Where a sender writes a list, each of it must be the municipality."""
    tree: Any = addressed()
    header = tree["entry"][0]["resource"]
    header["receiver"] = [header["receiver"], {"identifier": [{"value": "95938"}]}]
    with pytest.raises(Failure):
        surface.check_parties(tree, HAVNES, DIGNIO)


def test_encounter_has_no_address() -> None:
    """It is sent without a message around it."""
    surface.check_parties(surface.read(stu3_message("digital-encounter.json"), None)[0], HAVNES, DIGNIO)


# Answers.


def asked(file: str | None, *headers: tuple[bytes, bytes]) -> AnswerContext:
    """Make the question that a file's message is, or one whose body was not read."""
    body = stu3_message(file) if file else b""
    resource = "encounter" if file and file.startswith("digital") else "bundle"
    content = Content(surface.read(body, None)[0], stu3_wire.form_of(body)) if file else None
    recognised = recognise(f"/epj/stu3/85441/{resource}")
    return AnswerContext("ref-1", NOW, RequestHead("POST", "/epj/stu3/85441/bundle", headers), recognised, content)


def told(reply: Reply, form: str) -> Any:
    """Read an answer, which must say of itself what it is."""
    headers = dict(reply.headers)
    assert headers[b"Content-Type"] == f"application/fhir+{form}; charset=utf-8".encode()
    tree, repairs = stu3_wire.decode(reply.body)
    assert stu3_wire.form_of(reply.body) == form
    assert not repairs
    return tree


def issue_of(outcome: Any, wording_code: str) -> None:
    """Check an OperationOutcome of a refusal."""
    (issue,) = outcome["issue"]
    assert outcome["resourceType"] == "OperationOutcome"
    assert (issue["severity"], issue["code"] in ISSUE_TYPES) == ("error", True)
    (coding,) = issue["details"]["coding"]
    assert (coding["system"], coding["code"], bool(coding["display"])) == (OUTCOME_CODES, wording_code, True)
    assert issue["details"]["text"].strip()
    assert "ref-1" in issue["diagnostics"]


@pytest.mark.fact("vkp-stu3-answer")
@pytest.mark.parametrize("form", FORMS)
def test_message_is_answered_by_a_message(form: str) -> None:
    """Sender and receiver change places, the event stays, and the header says which message is answered."""
    question = asked(f"dispensed.{form}")
    answer = told(surface.accepted(question), form)
    assert (answer["resourceType"], answer["type"], bool(answer["id"])) == ("Bundle", "message", True)
    (entry,) = answer["entry"]
    header, original = entry["resource"], question.content.tree["entry"][0]["resource"]  # type: ignore[union-attr,call-overload,index]
    assert entry["fullUrl"] == f"urn:uuid:{header['id']}"
    assert header["id"] != original["id"]  # type: ignore[index, call-overload]
    assert header["event"] == original["event"]  # type: ignore[index, call-overload]
    assert (header["sender"], header["receiver"]) == (original["receiver"], original["sender"])  # type: ignore[index, call-overload]
    assert header["response"] == {"identifier": original["id"], "code": "ok"}  # type: ignore[index, call-overload]
    assert header["timestamp"] == "2026-11-03T08:00:21+00:00"
    assert header["source"] == {"endpoint": "https://vkp.azure-devices.net/devices/85441"}
    assert "focus" not in header


@pytest.mark.parametrize("form", FORMS)
def test_answer_to_the_same_message_again_is_the_same(form: str) -> None:
    """With the same reference and time, byte for byte; with another reference every id is another."""

    def answers(reference: str) -> list[Reply]:
        question = replace(asked(f"test.{form}"), reference=reference)
        failure = Failure(Fault.UNAVAILABLE, "Why")
        done = [surface.accepted(question, undelivered=why) for why in ("test", None)]
        return [*done, surface.refused(question, failure, WORDINGS[Fault.UNAVAILABLE])]

    def ids(reply: Reply) -> set[str]:
        answer = told(reply, form)
        found = {answer["id"], *(entry["resource"]["id"] for entry in answer["entry"])}
        assert len(found) == 1 + len(answer["entry"])
        return found

    first = answers("ref-1")
    assert answers("ref-1") == first
    assert all(ids(one).isdisjoint(ids(other)) for one, other in zip(first, answers("ref-2"), strict=True))
    assert ids(first[0]).isdisjoint(ids(first[2]))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_every_fault_of_a_message_can_be_read(fault: Fault, form: str) -> None:
    """The outcome is an entry that the response points to; what may go away is no fatal error."""
    wording = WORDINGS[fault]
    reply = surface.refused(asked(f"travel.{form}"), Failure(fault, "Why", retry_after=7), wording)
    header, outcome = (entry["resource"] for entry in told(reply, form)["entry"])
    assert reply.status == wording.status
    assert (b"Retry-After", b"7") in reply.headers
    assert header["response"]["code"] == ("transient-error" if fault.is_temporary else "fatal-error")
    assert header["response"]["details"]["reference"] == f"urn:uuid:{outcome['id']}"
    issue_of(outcome, wording.code)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_every_fault_of_an_encounter_can_be_read(fault: Fault, form: str) -> None:
    """An Encounter is no message, and is answered by an OperationOutcome alone."""
    reply = surface.refused(asked(f"digital-encounter.{form}"), Failure(fault, "Why"), WORDINGS[fault])
    issue_of(told(reply, form), WORDINGS[fault].code)


@pytest.mark.parametrize(("value", "form"), [(b"application/fhir+XML", "xml"), (b"text/plain", "json"), (None, "json")])
def test_unread_request_is_answered_as_content_type_suggests(value: bytes | None, form: str) -> None:
    """Nothing of the body was seen, so nothing better is known."""
    headers = ((b"content-type", value),) if value else ()
    reply = surface.refused(asked(None, *headers), Failure(Fault.TOKEN, "Why"), WORDINGS[Fault.TOKEN])
    assert (b"WWW-Authenticate", b'Bearer error="invalid_token"') in reply.headers
    issue_of(told(reply, form), "1.5")


@pytest.mark.parametrize("form", FORMS)
def test_unreadable_request_is_answered_in_its_own_form(form: str) -> None:
    """Its first byte was seen."""
    question = AnswerContext("ref-1", NOW, None, None, Content(form=Form(form)))
    reply = surface.refused(question, Failure(Fault.MALFORMED, "Why"), WORDINGS[Fault.MALFORMED])
    issue_of(told(reply, form), "2.4")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("file", ["test", "digital-encounter"])
def test_test_message_is_told_to_be_one(file: str, form: str) -> None:
    """The response is ok, and a person reads that nothing was journaled."""
    answer = told(surface.accepted(asked(f"{file}.{form}"), undelivered="test"), form)
    outcome = answer
    if file == "test":
        header, outcome = (entry["resource"] for entry in answer["entry"])
        assert header["response"]["code"] == "ok"
        assert header["response"]["details"]["reference"] == f"urn:uuid:{outcome['id']}"
    (issue,) = outcome["issue"]
    assert (issue["severity"], issue["code"]) == ("information", "informational")
    assert "ikke journalført" in issue["details"]["text"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"id": "', b'"ID": "'),
        (b'"event": {', b'"events": {'),
        (b'"code": "MedicationDispense"', b'"code": 7'),
    ],
    ids=["no id", "no event", "odd event"],
)
def test_message_that_no_message_can_answer(old: bytes, new: bytes) -> None:
    """Without what an answer must name, the outcome stands alone; without an id, the address in the Bundle serves."""
    tree, _ = surface.read(DISPENSED.replace(old, new), operation())
    question = AnswerContext("ref-1", NOW, None, recognise("/epj/stu3/85441/bundle"), Content(tree, Form.JSON))
    answer = told(surface.refused(question, Failure(Fault.LOSS, "Why"), WORDINGS[Fault.LOSS]), "json")
    if old == b'"id": "':
        assert answer["entry"][0]["resource"]["response"]["identifier"]
    else:
        issue_of(answer, "2.4")


def test_message_without_parties_is_answered_from_the_path() -> None:
    """Whoever was called answers."""
    body = DISPENSED.replace(b'"receiver": {', b'"no": {').replace(b'"sender": {', b'"nobody": {')
    tree, _ = surface.read(body, operation())
    question = AnswerContext("ref-1", NOW, None, recognise("/epj/stu3/85441/bundle"), Content(tree, Form.JSON))
    header = told(surface.accepted(question), "json")["entry"][0]["resource"]
    assert header["sender"]["identifier"] == {"system": "urn:oid:2.16.578.1.12.4.1.2", "value": "85441"}
    assert "receiver" not in header


def test_text_that_xml_cannot_hold_is_left_out() -> None:
    """A route's own text may have been written with escapes."""
    failure = Failure(Fault.CLOSED, "Why", text="Stengt\x00 til mandag\ud800")
    reply = surface.refused(asked("dispensed.xml"), failure, WORDINGS[Fault.CLOSED])
    outcome = told(reply, "xml")["entry"][1]["resource"]
    assert outcome["issue"][0]["details"]["text"] == "Stengt til mandag"
