"""What a SOAP sender is told: AppRecs and faults, each valid by its schema, for everything that can go wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from gateway.errors import CODES, WORDINGS, Failure, Fault
from gateway.model import RequestHead
from gateway.surfaces.base import AnswerContext, Content
from gateway.surfaces.paths import path_of
from gateway.surfaces.soap import answers, surface, wsdl
from tests.translators.soap_messages import message
from translators.contract import Refused
from translators.soap import schema
from translators.soap.envelope import NOT_UNDERSTOOD, OF_NO_VERSION

PATH = "/ws/v1/Journalforing"
NOW = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)
VERSIONS = {
    "text/xml": "http://schemas.xmlsoap.org/soap/envelope/",
    "application/soap+xml": "http://www.w3.org/2003/05/soap-envelope",
}


def asked(tree: Any = None, media_type: str = "text/xml") -> AnswerContext:
    """Return what an answer knows of a request."""
    head = RequestHead("POST", PATH, ((b"Content-Type", media_type.encode()),))
    content = Content(tree) if tree is not None else None
    return AnswerContext("r-1", NOW, head, surface.recognise(head, path_of(PATH)), content)


def inside(body: bytes) -> etree._Element:
    """Return the only element of an Envelope's Body."""
    (found,) = etree.fromstring(body).iterfind("{*}Body/*")
    return found


@pytest.mark.parametrize("media_type", VERSIONS)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_every_fault_is_told_by_a_valid_answer_in_the_version_of_the_request(fault: Fault, media_type: str) -> None:
    """Before a message was read by a fault with VKP's code in its detail, afterwards by an AppRec where it is about that."""
    failure = Failure(fault, "why <&>\x00", retry_after=5)
    early = surface.refused(asked(media_type=media_type), failure, WORDINGS[fault])
    root = etree.fromstring(early.body)
    assert root.tag == f"{{{VERSIONS[media_type]}}}Envelope"
    (generic,) = root.iter(f"{{{schema.COMMON}}}GenericFault")
    assert schema.messages().fault(generic) is None
    assert generic.findtext(f"{{{schema.COMMON}}}ErrorCode") == WORDINGS[fault].code
    assert early.status >= 400
    late = surface.refused(asked(surface.read(message(), None)[0], media_type), failure, WORDINGS[fault])
    found = inside(late.body)
    if fault in answers.ABOUT_THE_MESSAGE:
        assert schema.messages().fault(found) is None
        assert late.status == 200
    else:
        assert etree.QName(found).localname == "Fault"


@pytest.mark.parametrize("media_type", VERSIONS)
@pytest.mark.parametrize(("said", "code"), [(NOT_UNDERSTOOD, "MustUnderstand"), (OF_NO_VERSION, "VersionMismatch")])
def test_what_soap_has_a_code_for_is_told_by_it_wherever_it_was_found(said: str, code: str, media_type: str) -> None:
    """A search is read by another part of the way than a message, and its answer knows no content."""
    reply = surface.refused(
        asked(media_type=media_type), Failure(Fault.NOT_SUPPORTED, said), WORDINGS[Fault.NOT_SUPPORTED]
    )
    assert f"soap:{code}<" in reply.body.decode()
    assert reply.status == 500


def test_every_code_of_an_outcome_has_an_apprec_code_with_its_text() -> None:
    """`answers` in routes.yaml may give any fault any of them."""
    assert answers.BY_OUTCOME.keys() == CODES.keys()
    assert set(answers.BY_OUTCOME.values()) <= answers.ERRORS.keys()


@pytest.mark.parametrize("code", CODES)
def test_apprec_with_any_code_is_valid(code: str) -> None:
    """Its OriginalMsgId names the message, and its parties have changed places."""
    reply = answers.receipt(asked(surface.read(message(), None)[0]), answers.BY_OUTCOME[code], "told")
    assert schema.messages().fault(inside(reply.body)) is None
    assert b"7c1e0b52-93d4-4a8e-b6f0-5a2d3c4e0900" in reply.body


def test_message_that_is_hardly_there_gets_a_valid_apprec() -> None:
    """As one that the schema refuses: without parties, type and time."""
    with pytest.raises(Refused) as caught:
        surface.read(
            message().replace(b"<GenDate>2026-05-04T08:30:00+02:00</GenDate>", b"<GenDate>today</GenDate>"), None
        )
    tree: Any = caught.value.tree
    for found in (tree, {**tree, "MsgInfo": {"MsgId": "x"}}):
        reply = surface.refused(asked(found), Failure(Fault.MALFORMED, "why"), WORDINGS[Fault.MALFORMED])
        assert schema.messages().fault(inside(reply.body)) is None


@pytest.mark.parametrize("target", ["/WS/v1//journalforing", "/ws/v1/Journalforing/", "/ws/v1/Innhenting?x=1"])
def test_paths_are_known_in_any_letter_case_and_with_extra_slashes(target: str) -> None:
    """As those of the other interfaces."""
    assert surface.recognise(RequestHead("POST", target, ()), path_of(target)) is not None


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", PATH), ("POST", "/ws/v1/Other"), ("POST", "/ws/v1/x/../Journalforing"), ("POST", f"{PATH}/more")],
)
def test_other_requests_are_not_known(method: str, target: str) -> None:
    """They go the way of what no surface recognises."""
    assert surface.recognise(RequestHead(method, target, ()), path_of(target)) is None


@pytest.mark.parametrize("query", ["xsd=../common", "xsd=", "xsd=%2e%2e", "wsdl=x", "", "xsd=journalforing.wsdl"])
def test_only_the_schemas_of_the_package_are_described(query: str) -> None:
    """No name of a file that a request gives is opened."""
    assert wsdl.described("journalforing", query, "http://x") is None


def test_nothing_but_the_package_is_loaded_by_zeep() -> None:
    """Not by address, nor by a path elsewhere."""
    for url in ("http://evil.example/common.xsd", "/etc/common.xsd", "file:///etc/common.xsd"):
        with pytest.raises(ValueError, match="not a schema"):
            wsdl._FromThePackage().load(url)
