"""Retrieval over SOAP: what an operation asks for, and answers that a zeep client of the WSDL reads.

Every file in soap_cases/ is a resource as VKP's R4 has it, a line of dashes, and what the operation's answer has of it in plain XML,
or `refused: <text>`. REWRITE_CASES=1 writes the second part anew; read what changed.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import WORDINGS, Failure, Fault
from gateway.model import Information, RequestHead
from gateway.surfaces.base import AnswerContext, Content, Found
from gateway.surfaces.paths import path_of
from gateway.surfaces.search import DateBound, PatientKey, Search
from gateway.surfaces.soap import surface, wsdl
from tests.translators.drawing import Drawing
from translators.fhir.elements import r4
from translators.fhir.json_codec import decode

NUMBER = "12834010060"
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"
CASES = sorted((Path(__file__).parent / "soap_cases").glob("*.case"))
LINE = "----------\n"
ENVELOPES = {"1.1": "http://schemas.xmlsoap.org/soap/envelope/", "1.2": "http://www.w3.org/2003/05/soap-envelope"}
NAMES = {"Patient": "HentPasientinformasjon", "EpisodeOfCare": "HentTjenester", "CarePlan": "HentBesoksplan"}


def envelope(name: str, inside: str, version: str = "1.1") -> bytes:
    """Make an envelope as another client than zeep might."""
    body = f'<h:{name} xmlns:h="http://vkp.nhn.no/Innhenting"><h:Mottaker><h:Orgnr>312229544</h:Orgnr></h:Mottaker>{inside}</h:{name}>'
    return f'<s:Envelope xmlns:s="{ENVELOPES[version]}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


def asked(name: str, inside: str = "", version: str = "1.1", action: str = "") -> tuple[Search, AnswerContext]:
    """Read an envelope as the pipeline does: first whom it is for and what it asks, then the search."""
    fields = ((b"SOAPAction", f'"{action}"'.encode()),) if action else ()
    head = RequestHead("POST", "/ws/v1/Innhenting", fields)
    recognised = surface.recognise(head, path_of(head.target))
    assert recognised is not None
    body = envelope(name, inside, version)
    tree, _ = surface.read(body, recognised.operation)
    operation = surface.addressed(tree).operation
    assert operation is not None
    recognised = type(recognised)(operation, orgnr="312229544", by_content=True)
    now = datetime(2026, 11, 29, tzinfo=UTC)
    return surface.search(head, body, recognised), AnswerContext("reference", now, head, recognised, Content(tree))


PERSON = f"<h:Pasient><h:Id>{NUMBER}</h:Id><h:Type>FNR</h:Type></h:Pasient>"


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_operation_names_patient_services_and_period(version: str) -> None:
    """Times without an offset are Norwegian."""
    inside = f"{PERSON}<h:Tjenestekode>ta</h:Tjenestekode><h:Tjenestekode>GPS</h:Tjenestekode>"
    period = "<h:FraOgMed>2026-07-01T08:00:00</h:FraOgMed><h:TilOgMed>2026-12-01T08:00:00Z</h:TilOgMed>"
    assert asked("HentBesoksplan", inside + period, version)[0] == Search(
        kind="CarePlan",
        information=Information.BESOKSPLAN,
        patient=PatientKey(FNR, NUMBER),
        service_codes=("TA", "GPS"),
        dates=(DateBound("ge", "2026-07-01T08:00:00+02:00"), DateBound("le", "2026-12-01T08:00:00+00:00")),
    )
    assert asked("HentTjenester")[0] == Search(kind="EpisodeOfCare", information=Information.TJENESTER)


@pytest.mark.parametrize(
    ("name", "inside", "action", "fault"),
    [
        ("HentBesoksplan", "", "", Fault.PARAMETERS),
        ("HentTjenester", "", "http://vkp.nhn.no/Innhenting/IInnhenting/HentBesoksplan", Fault.BAD_REQUEST),
        ("HentBesoksplan", f"{PERSON}<h:FraOgMed>2026-10-25T02:30:00</h:FraOgMed>", "", Fault.MALFORMED),
        ("HentBesoksplan", f"{PERSON}<h:FraOgMed>12026-01-01T00:00:00</h:FraOgMed>", "", Fault.PARAMETERS),
        ("HentBesoksplan", f"{PERSON}<h:TilOgMed>2026-01-01T24:00:00</h:TilOgMed>", "", Fault.PARAMETERS),
        ("HentBesoksplan", f"{PERSON}<h:TilOgMed>-2026-01-01T00:00:00Z</h:TilOgMed>", "", Fault.PARAMETERS),
    ],
)
def test_what_cannot_be_meant_is_refused(name: str, inside: str, action: str, fault: Fault) -> None:
    """A plan of everybody, another operation than the action says, an hour that there is twice, a bound that zeep cannot read."""
    with pytest.raises(Failure) as caught:
        asked(name, inside, action=action)
    assert caught.value.fault is fault
    assert NUMBER not in str(caught.value)


def _answered(resource: Any) -> str:
    kind = resource["resourceType"]
    search, context = asked(NAMES[kind], PERSON)
    try:
        reply = surface.found(context, search, (Found(resource),))
    except Failure as failure:
        return f"refused: {failure.diagnostics}\n"
    root = etree.fromstring(reply.body)
    etree.indent(root)
    return etree.tostring(root[0][0], encoding="unicode")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_resource_becomes_what_the_case_says(path: Path) -> None:
    """By its schema, and read by zeep again as it was written."""
    told, _, expected = path.read_text(encoding="utf-8").partition(LINE)
    found = _answered(decode(told.encode()))
    if os.environ.get("REWRITE_CASES"):
        path.write_text(told + LINE + found, encoding="utf-8")
    assert found == expected


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_answer_is_read_by_a_client_of_the_wsdl_and_no_hit_is_an_empty_answer(version: str) -> None:
    """In the version of SOAP of the request, with the action that the WSDL names."""
    episode: Any = decode(
        b'{"resourceType":"EpisodeOfCare","status":"active","type":[{"coding":[{"code":"2.2.3"}]}],'
        b'"patient":{"identifier":{"system":"%s","value":"%s"}}}' % (FNR.encode(), NUMBER.encode())
    )
    search, context = asked("HentTjenester", version=version)
    for resources, expected in (((Found(episode), Found({"resourceType": "Patient"})), ["2.2.3"]), ((), [])):
        reply = surface.found(context, search, resources)
        root = etree.fromstring(reply.body)
        assert root.tag == f"{{{ENVELOPES[version]}}}Envelope"
        read = wsdl.operation("innhenting", version, "HentTjenester").output.deserialize(root)
        assert [one.Kode for one in read or []] == expected


def test_refusal_is_a_fault_with_the_action_of_its_operation() -> None:
    """An AppRec is for messages alone."""
    _, context = asked("HentTjenester", version="1.2")
    reply = surface.refused(context, Failure(Fault.NO_NEED, "none"), WORDINGS[Fault.NO_NEED])
    assert reply.status == 400
    assert b">1.3<" in reply.body
    related = etree.fromstring(envelope("HentTjenester", "", "1.2"))
    header = etree.SubElement(related, f"{{{ENVELOPES['1.2']}}}Header")
    related.insert(0, header)
    etree.SubElement(header, "{http://www.w3.org/2005/08/addressing}MessageID").text = "urn:uuid:1"
    tree, _ = surface.read(etree.tostring(related), context.recognised.operation if context.recognised else None)
    context = AnswerContext("reference", context.now, context.head, context.recognised, Content(tree))
    told = surface.refused(context, Failure(Fault.NO_NEED, "none"), WORDINGS[Fault.NO_NEED]).body
    assert b"IInnhenting/HentTjenesterGenericFault<" in told


DRAWING = Drawing(r4(), tuple(NAMES), strict=True)


@pytest.mark.slow
@given(st.data())
def test_whatever_is_drawn_is_told_by_the_schema_or_refused_without_a_value(data: Any) -> None:
    """No resource of R4 breaks an answer, and none is told with what is not valid by the WSDL."""
    kind = data.draw(st.sampled_from(sorted(NAMES)))
    resource = DRAWING.object(data.draw, kind, 1, most=8)
    told = _answered({**resource, "resourceType": kind})
    if told.startswith("refused: "):
        assert not re.search(r"[0-9]{6}", told)
    else:
        assert etree.fromstring(told).tag.endswith(f"{NAMES[kind]}Response")
