"""From a tree to a call: the order of the checks, tolerated losses, headers, and hostile messages."""

from dataclasses import replace

import pytest

from tests.translators.drawing import at, derived_leaves, leaf_count
from translators.contract import Call, Coverage, Reason, Settings, Translation, Tree
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.source import MAX_FINDINGS
from translators.translate import express, translate

NEEDED: dict[str, dict[str, Tree]] = {
    "Encounter": {
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "VR"},
    },
    "Communication": {"status": "completed"},
    "DetectedIssue": {"status": "final"},
}
"""What a resource must have."""
SUBJECT: Tree = {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "12834010060"}}


def _flag(**fields: Tree) -> dict[str, Tree]:
    return {"resourceType": "Flag", "status": "active", "code": {"text": "Fall"}, "subject": SUBJECT, **fields}


def _bundle(**fields: Tree) -> Tree:
    request: Tree = {"method": "POST", "url": "Flag"}
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": _flag(**fields), "request": request}],
    }


def _translate(tree: Tree, *tolerated: str, source: str | None = None, received: str | None = None) -> Translation:
    return translate(
        tree, "vkp-r4", "jft", Settings(TEST_KINDS, tolerated_losses=tolerated, source_system=source, received=received)
    )


def _express(tree: Tree) -> Translation:
    return express(tree, "vkp-r4", "jft", Settings(TEST_KINDS))


def test_a_call_goes_below_the_address_of_the_service_with_the_headers_it_needs() -> None:
    """Service, method, path and headers as NHN's page has them; the sender's system only where it is known."""
    (call,) = _translate(_bundle()).calls
    assert isinstance(call, Call)
    assert (call.service, call.method, call.path) == ("jft", "POST", "/v1/Bundle")
    assert call.headers == (("Content-Type", "application/json"),)
    (call,) = _translate(_bundle(), source="Dispenser Pluss").calls
    assert call.headers == (("Content-Type", "application/json"), ("nhn-source-system", "Dispenser Pluss"))


@pytest.mark.parametrize("kind", ["Encounter", "Communication", "DetectedIssue"])
def test_a_resource_that_jft_does_not_take_alone_goes_as_a_document_around_it(kind: str) -> None:
    """The resource itself is carried as it came; everything around it is listed as derived."""
    who = "patient" if kind == "DetectedIssue" else "subject"
    own = "7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0001"
    lone: dict[str, Tree] = {"resourceType": kind, "id": own, who: SUBJECT, **NEEDED[kind]}
    result = _translate(lone, received="2026-05-04T08:36:37.167Z")
    assert (result.refusal, result.repairs, result.losses) == (None, (), ())
    (call,) = result.calls
    assert call.path == "/v1/Bundle"
    document = decode(call.body)
    assert [at(document, f".{name}") for name in ("type", "timestamp")] == ["document", "2026-05-04T08:36:37.167Z"]
    assert at(document, ".entry[0].resource.resourceType") == "Composition"
    assert at(document, ".entry[0].resource.subject") == SUBJECT
    assert at(document, ".entry[1]") == {"fullUrl": f"urn:uuid:{own}", "resource": lone}
    leaves = leaf_count(lone)
    derived = leaf_count(document) - leaves
    assert result.coverage == Coverage(leaves=leaves, carried=leaves, derived=derived)
    assert derived == derived_leaves(result.derived, document)


@pytest.mark.parametrize("kind", ["Encounter", "Communication", "DetectedIssue"])
def test_a_document_about_what_does_not_say_when_it_happened_is_refused(kind: str) -> None:
    """Where the gateway does not know when it got the message either, no time is invented."""
    who = "patient" if kind == "DetectedIssue" else "subject"
    refusal = _translate({"resourceType": kind, who: SUBJECT}).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.text) == (Reason.FORMAT, "nothing says when it happened")


@pytest.mark.parametrize("kind", ["Observation", "Patient", "Device"])
def test_a_resource_that_jft_does_not_take_at_all_is_refused_by_its_name(kind: str) -> None:
    """The vendor's developer reads which resource it was."""
    patient: Tree = {"resourceType": "Patient", "identifier": [at(SUBJECT, ".identifier")]}
    who: dict[str, Tree] = {"contained": [patient]}
    refusal = _translate({"resourceType": kind, **who}).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.text, refusal.path) == (
        Reason.UNSUPPORTED,
        "JFT takes Bundle, Composition and MedicationDispense",
        kind,
    )


def test_what_is_made_of_an_entry_without_a_url_refers_to_a_new_one() -> None:
    """The alert of a superseded reason names its encounter; the concept then says both codes, and is an alert only once."""
    system = "http://ehelse.no/fhir/CodeSystem/vkp-encounter-reason-v090"
    encounter: Tree = {
        "resourceType": "Encounter",
        **NEEDED["Encounter"],
        "subject": SUBJECT,
        "reasonCode": [{"coding": [{"system": system, "code": "7"}]}],
    }
    result = _express({"resourceType": "Bundle", "entry": [{"resource": encounter}]})
    document = decode(result.calls[0].body)
    assert at(document, ".entry[1].resource.resourceType") == "DetectedIssue"
    assert at(document, ".entry[1].resource.implicated[0].reference") == at(document, ".entry[0].fullUrl")
    assert _express(document).calls == result.calls


def test_a_refusal_still_tells_what_was_found_before_it() -> None:
    """Type, repairs, losses and coverage help to correct a message that was refused."""
    issue: Tree = {"resourceType": "DetectedIssue", "patient": SUBJECT, "urgency": "now", "code": {"text": ""}}
    result = _translate({"resourceType": "Bundle", "entry": [{"resource": issue}]})
    assert result.refusal is not None
    assert (result.calls, result.information) == ((), "varsel")
    assert len(result.repairs) == len(result.losses) == 1
    assert result.coverage == Coverage(leaves=6, carried=4, repaired=1, lost=1)


def test_a_refusal_tells_what_was_made_of_an_older_resource_too() -> None:
    """A flag is an alert today; that and its status are repairs, and its profile is derived."""
    result = _translate(_bundle(urgency="now", code={"text": ""}))
    assert result.refusal is not None
    assert (result.calls, result.information) == ((), "varsel")
    assert [(repair.path, repair.rule) for repair in result.repairs] == [
        ("Bundle.entry[0].resource.code.text", "empty-string-dropped"),
        ("Bundle.entry[0].resource.resourceType", "flag-is-an-alert"),
        ("Bundle.entry[0].resource.status", "active-flag-is-final"),
    ]
    assert [loss.path for loss in result.losses] == ["Bundle.entry[0].resource.urgency"]
    assert result.coverage == Coverage(leaves=10, carried=6, derived=1, repaired=3, lost=1)


@pytest.mark.parametrize("tolerated", ["Flag.position", "Flag.position.lat"])
def test_a_tolerated_loss_is_still_told(tolerated: str) -> None:
    """What a route tolerates is left out of the call, never out of the report."""
    result = _translate(_bundle(position={"lat": "59.9"}), tolerated)
    assert result.refusal is None
    assert [loss.element for loss in result.losses] == ["Flag.position.lat"]
    assert b"59.9" not in result.calls[0].body


@pytest.mark.parametrize(
    "tolerated", ["Flag.pos", "Flag.position.la", "Flag.position.lat.x", "position", "Flag", "", "Bundle"]
)
def test_a_path_tolerates_its_element_and_what_is_below_it_and_nothing_else(tolerated: str) -> None:
    """Neither a beginning of a name nor a part of a path, but a whole resource if the route names it."""
    refusal = _translate(_bundle(position={"lat": "59.9"}), tolerated).refusal
    assert (refusal is None) == (tolerated == "Flag")


def test_a_loss_is_refused_before_the_patient_is_checked_and_the_patient_before_the_endpoint() -> None:
    """One message has one reason, and always the same."""
    nobody: dict[str, Tree] = {"resourceType": "Observation"}
    reasons = [
        _translate(tree).refusal for tree in ({**nobody, "urgency": "now"}, nobody, {**nobody, "subject": SUBJECT})
    ]
    assert [refusal.reason for refusal in reasons if refusal] == [Reason.LOSS, Reason.PATIENT, Reason.UNSUPPORTED]


def test_a_message_is_left_as_it_was() -> None:
    """Rehearsal and legacy delivery may share the tree that was translated."""
    tree = _bundle(code={"coding": {"code": " 3 ", "system": ""}}, period=None)
    before = repr(tree)
    _translate(tree)
    assert repr(tree) == before


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"a":' * 900 + b"1" + b"}" * 900, "nested too deep"),
        (b'{"a":' * 200 + b"[" + b"1," * 300_000 + b"1]" + b"}" * 200, "more than 1000 elements would be lost"),
        (b'{"a":' * 200 + b"[" + b'"",' * 20_000 + b'""]' + b"}" * 200, "more than 1000 elements would be lost"),
    ],
)
def test_a_message_made_to_exhaust_memory_is_refused(data: bytes, text: str) -> None:
    """Places below an unknown element are not listed without end."""
    head = b'{"resourceType":"Flag","vendor":'
    refusal = _translate(decode(head + data + b"}")).refusal
    assert refusal is not None
    assert str(refusal) == f"Flag: {text}"


def test_a_message_that_needs_corrections_without_end_is_refused() -> None:
    """A list of a thousand empty strings is no message."""
    refusal = _translate(_flag(meta={"profile": [""] * (MAX_FINDINGS + 1)})).refusal
    assert refusal is not None
    assert str(refusal) == "Flag: more than 1000 corrections would be needed"


def test_whom_a_message_is_about_is_known_and_never_shown() -> None:
    """The national number, also where a table had to say it; of a message that is refused, none."""
    assert _translate(_bundle()).patient == "12834010060"
    assert "12834010060" not in repr(replace(_translate(_bundle()), calls=()))
    local: Tree = {"identifier": {"system": "http://record.example/no", "value": "4711"}}
    table = {("http://record.example/no", "4711"): "12834010060"}
    settings = Settings(TEST_KINDS, local_numbers=table)
    found = translate(_bundle(subject=local), "vkp-r4", "jft", settings).patient
    assert (found, type(found)) == ("12834010060", str)
    assert _translate(_bundle(unknown="x")).patient is None
    assert _translate({"resourceType": "Observation", "subject": SUBJECT}).patient is None
