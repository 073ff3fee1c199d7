"""Retrieval over STU3: what searches and reads may ask for, what is refused by name, and answers in both wire forms."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway.errors import WORDINGS, Failure, Fault
from gateway.model import Information, Reply, RequestHead
from gateway.surfaces.base import AnswerContext, Found
from gateway.surfaces.paths import path_of
from gateway.surfaces.search import DateBound, PatientKey, Search
from gateway.surfaces.vkp_stu3 import surface
from translators.fhir import json_codec, xml_codec
from translators.fhir.elements import stu3

if TYPE_CHECKING:
    from translators.contract import Tree

NUMBER = "12834010060"
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
PATIENT: dict[str, Tree] = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [{"system": FNR, "value": NUMBER}],
    "name": [{"family": "Eksempel", "given": ["Line"]}],
}


def head_of(target: str, method: str = "GET", **fields: str) -> RequestHead:
    """Make a request's head below the municipality's path."""
    headers = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items())
    return RequestHead(method, f"/epj/stu3/95938/{target}", headers)


def search(target: str, method: str = "GET", body: str = "", **fields: str) -> Search:
    """Read a search."""
    head = head_of(target, method, **fields)
    recognised = surface.recognise(head, path_of(head.target))
    assert recognised is not None
    return surface.search(head, body.encode(), recognised)


def refused(target: str, method: str = "GET", body: str = "", **fields: str) -> tuple[Fault, str]:
    """Read a search in vain."""
    with pytest.raises(Failure) as caught:
        search(target, method, body, **fields)
    assert NUMBER not in str(caught.value)
    return caught.value.fault, caught.value.diagnostics


def answer(target: str, asked: Search, *resources: dict[str, Tree], **fields: str) -> Reply:
    """Answer a search."""
    return surface.found(context(target, **fields), asked, tuple(map(Found, resources)))


def context(target: str, **fields: str) -> AnswerContext:
    """Make what an answer knows of its request."""
    head = head_of(target, **fields)
    recognised = surface.recognise(head, path_of(head.target))
    return AnswerContext("reference", datetime(2026, 11, 29, tzinfo=UTC), head, recognised)


@pytest.mark.fact("vkp-stu3-searches")
def test_searches_of_the_capability_statement_are_read() -> None:
    """With GET and with POST, in any letter case of the path."""
    assert search(f"Patient?identifier={FNR}|{NUMBER}") == Search(
        kind="Patient", information=Information.PASIENTINFO, patient=PatientKey(FNR, NUMBER)
    )
    assert search("patient/_search", "POST", f"identifier={NUMBER}").patient == PatientKey(None, NUMBER)
    assert search("Patient?name=Eks").name == "Eks"
    found = search(f"Composition?type=http://loinc.org|11488-4&category=x|3&subject={NUMBER}&date=2015-01-14")
    assert (found.types, found.categories) == (("http://loinc.org|11488-4",), ("x|3",))
    assert found.dates == (DateBound("ge", "2015-01-14"), DateBound("le", "2015-01-14"))
    assert search(f"CarePlan?patient={NUMBER}&date=ge2026-01-01").information is Information.BESOKSPLAN


def test_identifier_system_from_before_the_oids_names_a_national_number() -> None:
    """Payloads still have it, and so a search may."""
    found = search(f"Patient?identifier=http://ehelse.no/fhir/identifiertypes/FNR|{NUMBER}")
    assert found.patient == PatientKey(FNR, NUMBER)


@pytest.mark.parametrize("name", ["type.text", "type"])
def test_services_are_named_by_the_type_of_the_episode_or_by_the_field_and_by_nobody_too(name: str) -> None:
    """A missing field refuses nobody."""
    assert search(f"EpisodeOfCare?{name}=gps,TA").service_codes == ("GPS", "TA")
    assert search(f"EpisodeOfCare?patient={NUMBER}").service_codes == ()
    assert search("EpisodeOfCare", servicecodes="ta").service_codes == ("TA",)
    assert search(f"EpisodeOfCare?{name}=TA", servicecodes="ta,gps").service_codes == ("TA",)
    assert refused(f"EpisodeOfCare?{name}=MD", servicecodes="ta")[0] is Fault.NO_NEED
    assert refused(f"EpisodeOfCare?{name}=x|y")[0] is Fault.NO_NEED


def test_a_read_keeps_the_letters_of_its_id() -> None:
    """Ids are case-sensitive, paths are not."""
    found = search("PATIENT/Ab-1.c")
    assert (found.kind, found.id, found.patient) == ("Patient", "Ab-1.c", None)
    assert refused("Patient/a%20b")[0] is Fault.MALFORMED
    assert refused("Patient/1?name=x") == (Fault.PARAMETERS, "A search for one Patient has no parameter name")


@pytest.mark.parametrize(
    ("target", "fault", "told"),
    [
        ("Patient?birthdate=1940-01-01", Fault.PARAMETERS, "A search for Patient has no parameter birthdate"),
        ("Patient?date=ge2026", Fault.PARAMETERS, "A search for Patient has no parameter date"),
        (f"EpisodeOfCare?patient.identifier={NUMBER}", Fault.PARAMETERS, "has no parameter patient.identifier"),
        (f"Patient?identifier={NUMBER}&identifier={NUMBER}", Fault.PARAMETERS, "more than once"),
        (f"CarePlan?patient={NUMBER}&subject={NUMBER}", Fault.PARAMETERS, "patient and subject say the same"),
        ("EpisodeOfCare?type=TA&type.text=TA", Fault.PARAMETERS, "type.text and type say the same"),
        ("CarePlan", Fault.PARAMETERS, "needs the parameter patient"),
        ("Composition?category=3", Fault.PARAMETERS, "needs the parameter subject"),
        (f"Composition?subject={NUMBER}&date=yesterday", Fault.MALFORMED, "The parameter date"),
        (f"Composition?subject={NUMBER}&date=gt2026", Fault.MALFORMED, "The parameter date"),
        ("Patient?name=", Fault.MALFORMED, "The parameter name is empty"),
        ("Patient?_format=turtle", Fault.MALFORMED, "neither xml nor json"),
        ("Patient?_count=10", Fault.PARAMETERS, "has no parameter _count"),
    ],
)
def test_what_has_no_documented_meaning_is_refused_by_name(target: str, fault: Fault, told: str) -> None:
    """A filter that were left out would show other patients."""
    found = refused(target)
    assert found[0] is fault
    assert told in found[1]


def test_form_that_errors_could_not_follow_is_refused() -> None:
    """An error is told in the form that the address asks for."""
    assert refused("Patient/_search", "POST", "_format=xml")[0] is Fault.PARAMETERS


def test_journaling_and_what_vkp_has_not_are_told_apart_from_searches() -> None:
    """A POST without `_search` writes; other resources and methods are none of these."""
    for method, target in (
        ("GET", "bundle"),
        ("PUT", "patient/1"),
        ("POST", "patient"),
        ("GET", "condition"),
        ("GET", "a/b/c"),
    ):
        head = head_of(target, method)
        assert surface.recognise(head, path_of(head.target)) is None
    head = RequestHead("GET", "/epj/stu3/abc/patient", ())
    assert surface.recognise(head, path_of(head.target)) is None


@pytest.mark.parametrize(
    ("target", "fields", "form"),
    [
        ("Patient?name=Eks", {}, "json"),
        ("Patient?name=Eks&_format=xml", {}, "xml"),
        ("Patient?name=Eks&_format=application/fhir%2Bxml", {"accept": "application/fhir+json"}, "xml"),
        ("Patient?name=Eks", {"accept": "application/fhir+xml, application/json"}, "xml"),
        ("Patient?name=Eks", {"accept": "*/*"}, "json"),
    ],
)
def test_answer_and_refusal_have_the_form_that_is_asked_for(target: str, fields: dict[str, str], form: str) -> None:
    """By `_format`, then by Accept; JSON otherwise."""
    reply = answer(target, search(target, **fields), PATIENT, **fields)
    assert reply.status == 200
    tree = decoded(reply, form)
    assert tree["total"].text == "1"
    assert tree["entry"][0]["resource"]["name"] == PATIENT["name"]
    failure = Failure(Fault.NO_NEED, "none")
    told = decoded(surface.refused(context(target, **fields), failure, WORDINGS[Fault.NO_NEED]), form)
    assert told["issue"][0]["details"]["coding"][0]["code"] == "1.3"


def decoded(reply: Reply, form: str) -> Any:
    """Read an answer in the form that it says it has."""
    assert dict(reply.headers)[b"Content-Type"] == f"application/fhir+{form}; charset=utf-8".encode()
    return xml_codec.decode(reply.body, stu3())[0] if form == "xml" else json_codec.decode(reply.body)


def test_filters_that_the_inner_language_has_not_are_looked_at_here() -> None:
    """A name from its beginning, a type and a category by code and system; the patient around an answer stays."""
    other: dict[str, Tree] = {"resourceType": "Patient", "id": "p2", "name": [{"text": "Kari Eksempel"}]}
    assert total("Patient?name=eks", PATIENT, other) == 2
    assert total("Patient?name=kari%20e", PATIENT, other) == 1
    assert total("Patient?name=ari", PATIENT, other) == 0
    note: dict[str, Tree] = {
        "resourceType": "Composition",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11488-4"}]},
        "category": [{"coding": [{"code": "3"}]}],
    }
    for query, count in (
        ("type=http://loinc.org|11488-4", 1),
        ("type=11488-4,34133-9", 1),
        ("type=|11488-4", 0),
        ("type=http://loinc.org|", 1),
        ("category=3&type=11488-4", 1),
        ("category=|3", 1),
        ("category=4", 0),
    ):
        assert total(f"Composition?subject={NUMBER}&{query}", note, PATIENT) == count


@pytest.mark.parametrize("version", ["", "http://ehelse.no/fhir/CodeSystem/vkp-composition-class-v090"])
def test_plan_of_measures_is_found_by_what_stu3_says_of_it(version: str) -> None:
    """In R4 its class is its type: a search that VKP documents is never answered as if there were no plan."""
    coding: dict[str, Tree] = {**({"system": version} if version else {}), "code": "3", "display": "tiltaksplan"}
    plan: dict[str, Tree] = {"resourceType": "Composition", "type": {"coding": [coding]}}
    own = "http://ehelse.no/fhir/CodeSystem/vkp-composition-class-v06|"
    for query, count in (
        (f"type=http://loinc.org|11488-4&category={own}3", 1),
        ("type=11488-4", 1),
        ("type=http://loinc.org|34133-9", 1),
        ("type=http://loinc.org|8716-3", 0),
        ("category=3", 1),
        (f"category={own}4", 0),
    ):
        assert total(f"Composition?subject={NUMBER}&{query}", plan, PATIENT) == count


def total(target: str, *resources: dict[str, Tree]) -> int:
    """Answer a search; return how many of its kind it found."""
    tree = decoded(answer(target, search(target), *resources), "json")
    assert ("entry" in tree) == bool(tree.get("entry"))
    return int(tree["total"].text)


def test_no_hit_has_no_entry_and_a_read_has_the_resource_itself() -> None:
    """What a read does not find is 404; what STU3 cannot say is refused and not left out, and what is no FHIR is no answer."""
    assert decoded(answer("Patient", search("Patient")), "json") == {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": json_codec.decode(b"0"),
    }
    assert decoded(answer("Patient/p1", search("Patient/p1"), PATIENT), "json") == PATIENT
    with pytest.raises(Failure) as caught:
        answer("Patient/p2", search("Patient/p2"), PATIENT)
    assert (caught.value.fault, WORDINGS[caught.value.fault].status) == (Fault.UNRECOGNISED, 404)
    with pytest.raises(Failure, match="told in STU3"):
        answer("Patient", search("Patient"), {"resourceType": "Patient", "identifier": [{"use": "old"}]})
    with pytest.raises(Failure, match=r"no FHIR R4: Patient.contact\[0\]") as caught:
        answer("Patient", search("Patient"), {"resourceType": "Patient", "implicitRules": "x", "contact": "x"})
    assert caught.value.fault is Fault.NO_ANSWER


@pytest.mark.parametrize("accept", ["application/json", "application/xml"])
def test_answer_that_is_nested_too_deep_is_refused(accept: str) -> None:
    """It is a record system that says so, and nothing may end the process's way through a message."""
    inner: Tree = {"url": "http://example.org/x", "valueString": "x"}
    for _ in range(5000):
        inner = {"url": "http://example.org/x", "extension": [inner]}
    with pytest.raises(Failure, match="nested too deep"):
        answer("Patient", search("Patient"), {"resourceType": "Patient", "extension": [inner]}, accept=accept)
