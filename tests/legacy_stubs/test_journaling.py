"""Legacy VKP takes nearly anything that can be read, and refuses the rest as VKP does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.legacy_stubs.conftest import Sender

CODE_SYSTEM = "http://ehelse.no/fhir/CodeSystem/vkp-operation-outcome-v090"
NOTE = {"resourceType": "Composition", "status": "final", "subject": {"display": "Solveig Fiktiv"}}
NEEDED = {"subject": {"display": "Solveig Fiktiv"}, "category": {"text": "utlevert"}, "performer": [{"actor": {}}]}
"""What some resources need; no other is asked what it has besides."""


@pytest.mark.parametrize("resource_type", ["Bundle", "Composition", "MedicationDispense", "Encounter", "Communication"])
async def test_success_is_an_informational_outcome(sender: Sender, resource_type: str) -> None:
    """Every journaling endpoint answers 200 with text for both kinds of reader."""
    answer = await sender.post(resource_type.lower(), {"resourceType": resource_type, **NEEDED})
    (issue,) = answer.body["issue"]
    assert answer.status == 200
    assert (issue["severity"], issue["code"]) == ("information", "informational")
    assert issue["details"]["text"]
    assert issue["diagnostics"]


@pytest.mark.fact("vkp-content-type")
@pytest.mark.parametrize("content_type", ["text/plain; charset=utf-8", "application/fhir+json", "image/png"])
async def test_content_type_does_not_matter(sender: Sender, content_type: str) -> None:
    """NHN's own sample posts JSON as text/plain."""
    answer = await sender.post("composition", json.dumps(NOTE), **{"Content-Type": content_type})
    assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/EPJ/R4/310000001/Composition",
        "/epj/r4/310000001/composition/",
        "/epj//r4/310000001/COMPOSITION",
        "/epj/r4/310000001/compos%69tion",
        "/epj/r4/310000001/composition?subscription-key=x",
    ],
)
async def test_paths_are_read_leniently(sender: Sender, path: str) -> None:
    """Letter case, slashes, percent-encoding and a query do not matter."""
    assert (await sender.post(path, NOTE)).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"title": ""},
        {"category": {"text": "object where an array belongs"}},
        {"section": []},
        {"custodian": None},
        {"invented": "x"},
        {"subject": {"identifier": {"system": "http://cosdoc.dips.no/lopenummer", "value": "1302"}}},
    ],
    ids=str,
)
async def test_faults_that_vkp_lets_pass_are_taken(sender: Sender, changes: dict[str, Any]) -> None:
    """VKP's validator is more lenient than JFT's."""
    assert (await sender.post("composition", {**NOTE, **changes})).status == 200


async def test_byte_order_mark_is_taken(sender: Sender) -> None:
    """Some writers put one in front."""
    assert (await sender.post("composition", b"\xef\xbb\xbf" + json.dumps(NOTE).encode())).status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"<Composition/>", b"[]", b'"text"', b"\xff", b"{}", b'{"resourceType": "Bundle"}', b'{"a":' * 100_000],
    ids=range(8),
)
async def test_what_is_no_such_resource_is_refused(sender: Sender, body: bytes) -> None:
    """400 with VKP's code 2.4, and text in Norwegian."""
    answer = await sender.post("composition", body)
    (issue,) = answer.body["issue"]
    assert (answer.status, answer.code) == (400, "2.4")
    assert issue["severity"] == "error"
    assert issue["details"]["coding"][0]["system"] == CODE_SYSTEM
    assert issue["details"]["text"] == "Meldingen har ugyldig format."
    assert issue["diagnostics"]


@pytest.mark.parametrize(
    "path",
    [
        "observation",
        "composition/1",
        "condition",
        "bundle/_search",
        "/epj/r4/composition",
        "/epj/stu3/8000001/composition",
        "/",
        "/elsewhere",
    ],
)
async def test_other_addresses_are_not_found(sender: Sender, path: str) -> None:
    """404 with a small OperationOutcome."""
    answer = await sender.post(path, NOTE)
    assert (answer.status, answer.body["resourceType"]) == (404, "OperationOutcome")


async def test_other_methods_are_not_found(sender: Sender) -> None:
    """VKP's operations are all POST."""
    async with sender.session.get(f"{sender.vkp.url}{sender.base}/composition") as response:
        assert response.status == 404


async def test_answers_have_headers_that_a_proxy_must_carry(sender: Sender) -> None:
    """A mixed-case name, and one name twice in order."""
    answer = await sender.post("composition", NOTE)
    names = [name for name, _ in answer.headers.items()]
    assert "X-VKP-Correlation-Id" in names
    assert len(answer.headers.getall("Warning")) == 2
    assert answer.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
