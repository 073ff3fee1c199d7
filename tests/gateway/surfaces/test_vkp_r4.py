"""Which requests are VKP R4, as leniently as VKP's own front takes them and no more so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.model import Group, Information, RequestHead
from gateway.surfaces import vkp_r4
from gateway.surfaces.paths import path_of
from translators.contract import Refused
from translators.fhir.json_codec import encode

if TYPE_CHECKING:
    from gateway.surfaces.base import Operation, Recognised

ORGNR = "312229544"
JOURNALING = ["bundle", "composition", "medicationdispense", "encounter", "communication"]
RETRIEVAL = {
    "patient": Information.PASIENTINFO,
    "episodeofcare": Information.TJENESTER,
    "careplan": Information.BESOKSPLAN,
    "composition": Information.TILTAKSPLAN,
    "condition": Information.DIAGNOSER,
    "allergyintolerance": Information.ALLERGIER,
    "medicationstatement": Information.LEGEMIDLER,
}


def recognise(target: str, method: str = "POST", *headers: tuple[bytes, bytes]) -> Recognised | None:
    """Ask whether a request is one of this surface."""
    return vkp_r4.recognise(RequestHead(method, target, headers), path_of(target))


@pytest.mark.parametrize("resource", JOURNALING)
def test_journaling_paths_are_known(resource: str) -> None:
    """Five resources can be journaled, each with a scope to write it; the body says what it is about."""
    recognised = recognise(f"/epj/r4/{ORGNR}/{resource}")
    assert recognised is not None
    operation = recognised.operation
    assert (recognised.orgnr, operation.group, operation.information) == (ORGNR, Group.JOURNALING, None)
    assert (operation.resource, operation.kind.lower()) == (resource, resource)
    assert operation.scope == f"nhn:vkp/api/user/{resource}.write"
    assert operation.wide_scope == f"nhn:vkp/api/user/{resource}.*"


@pytest.mark.parametrize(("resource", "information"), RETRIEVAL.items())
def test_retrieval_paths_are_known(resource: str, information: Information) -> None:
    """Seven searches, each for one information type and with a scope to read it."""
    recognised = recognise(f"/epj/r4/{ORGNR}/{resource}/_search")
    assert recognised is not None
    operation = recognised.operation
    assert (operation.group, operation.information) == (Group.RETRIEVAL, information)
    assert operation.scope == f"nhn:vkp/api/user/{resource}.read"


@pytest.mark.parametrize(
    "target",
    [
        f"/EPJ/R4/{ORGNR}/Bundle",
        f"/epj/r4/{ORGNR}/bundle/",
        f"//epj//r4///{ORGNR}//bundle//",
        "/%65%70%6a/r4/%331222954%34/b%75ndle",
        f"/epj%2Fr4%2f{ORGNR}/bundle",
        f"/epj/r4/{ORGNR}/bundle?subscription-key=1",
        f"/epj/r4/{ORGNR}/bundle?../..",
        f"/epj/r4/{ORGNR}/bundle#x",
    ],
)
def test_spelling_of_a_path_does_not_matter(target: str) -> None:
    """Letter case, escapes, slashes at the end or doubled, and a query are all the same to VKP."""
    recognised = recognise(target)
    assert recognised is not None
    assert (recognised.orgnr, recognised.operation.resource) == (ORGNR, "bundle")


@pytest.mark.fact("vkp-content-type")
@pytest.mark.parametrize("value", [b"", b"text/plain; charset=utf-8", b"application/xml", b"nonsense", b"\xff"])
def test_content_type_does_not_matter(value: bytes) -> None:
    """Senders write anything there, or nothing."""
    assert recognise(f"/epj/r4/{ORGNR}/bundle", "POST", (b"Content-Type", value)) is not None
    assert recognise(f"/epj/r4/{ORGNR}/patient/_search", "POST", (b"content-type", value)) is not None


@pytest.mark.parametrize(
    "target",
    [
        f"/epj/r4/{ORGNR}/observation",
        f"/epj/r4/{ORGNR}/questionnaireresponse",
        f"/epj/r4/{ORGNR}/patient",
        f"/epj/r4/{ORGNR}/bundle/_search",
        f"/epj/r4/{ORGNR}/bundle/1",
        f"/epj/r4/{ORGNR}",
        "/epj/r4/31222954/bundle",
        "/epj/r4/3122295444/bundle",
        "/epj/r4/31222954x/bundle",
        "/epj/r4/٣١٢٢٢٩٥٤٤/bundle",
        f"/epj/stu3/{ORGNR}/bundle",
        f"/r4/{ORGNR}/bundle",
        f"/x/epj/r4/{ORGNR}/bundle",
        f"/epj/r4/./{ORGNR}/bundle",
        f"/epj/r4/x/../{ORGNR}/bundle",
        f"/epj/r4/%2e/{ORGNR}/bundle",
        f"/epj/r4/{ORGNR}/bundle/%252e%252e",
        f"/epj/r4/{ORGNR}%5cbundle",
        f"/epj%5cr4/{ORGNR}/bundle",
        f"/epj/r4/{ORGNR}/bundle%00",
        f"/epj/r4/{ORGNR}/bundle;x=1",
        f"/epj/r4/{ORGNR}/bundle%3Fx",
        f"/epj/r4/{ORGNR}/bundl%C5%BF",
    ],
)
def test_other_paths_are_not_known(target: str) -> None:
    """What is not exactly an operation is left to `unrecognised`."""
    assert recognise(target) is None


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "post", "PATCH"])
def test_other_methods_are_not_known(method: str) -> None:
    """Every journaling is a POST (RFC 9110 section 9.1: methods are case-sensitive)."""
    assert recognise(f"/epj/r4/{ORGNR}/bundle", method) is None


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE"])
def test_search_is_known_by_its_path_and_by_get_of_its_resource(method: str) -> None:
    """Another method is refused in words where VKP does not answer, and so must be known to be a search."""
    assert recognise(f"/epj/r4/{ORGNR}/patient/_search", method) is not None
    assert (recognise(f"/epj/r4/{ORGNR}/patient", method) is not None) is (method in {"GET", "HEAD"})


def operation(resource: str) -> Operation:
    """Return a journaling operation."""
    recognised = recognise(f"/epj/r4/{ORGNR}/{resource}")
    assert recognised is not None
    return recognised.operation


def test_body_is_read_with_its_digits() -> None:
    """What was read is written with the same digits."""
    body = b'{"resourceType":"Bundle","total":1.50}'
    tree, repairs = vkp_r4.read(body, operation("bundle"))
    assert (encode(tree), repairs) == (body, ())
    assert vkp_r4.read(b"\xef\xbb\xbf" + body, operation("bundle")) == vkp_r4.read(body, operation("bundle"))


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"Bundle"', b"{}", b'{"resourceType":"bundle"}', b'{"resourceType":["Bundle"]}']
)
def test_body_must_be_what_the_path_names(body: bytes) -> None:
    """Another resource than the address says is a mistake somewhere, and not for us to guess at."""
    with pytest.raises(Refused):
        vkp_r4.read(body, operation("bundle"))
