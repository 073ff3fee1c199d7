"""The client of PMD: all of a bundle was taken, or it says what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.config.upstreams import PmdUpstream, ServiceStatus
from gateway.model import Place
from gateway.proxy.http_client import Answer
from gateway.upstreams.pmd import NotTaken, PmdClient
from gateway.upstreams.service_caller import AnswerRefused, ServiceUnavailable

if TYPE_CHECKING:
    from translators.contract import Call

_ENTRY = b'{"fullUrl": "urn:uuid:1", "response": {"status": "%s"}}'


_SENT = b'{"resourceType": "Bundle", "entry": [{}, {}]}'


def answered(*statuses: bytes) -> bytes:
    """Return a Bundle with these results."""
    return b'{"resourceType": "Bundle", "type": "batch-response", "entry": [%s]}' % b", ".join(
        _ENTRY % one for one in statuses
    )


class Fixed:
    """Answers the same to everything."""

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = Answer(status, (), body)
        self.asked: list[tuple[Call, str, str | None]] = []

    async def ask_with(self, call: Call, fields: Any, timeout: float) -> Answer:  # noqa: ASYNC109 - likewise
        """Return it."""
        del fields, timeout
        self.asked.append((call, "", None))
        return self._answer

    async def ask(self, call: Call, orgnr: str, scope: str | None, timeout: float) -> Answer:  # noqa: ASYNC109 - as what it stands for
        """Return it."""
        del timeout
        self.asked.append((call, orgnr, scope))
        return self._answer


async def shared(status: int, body: bytes, scope: str | None = "nhn:pmd/x") -> Fixed:
    """Share a bundle that is answered so."""
    fixed = Fixed(status, body)
    upstream = PmdUpstream("pmd", "https://pmd.example", ServiceStatus.TEST, Place("f", 1, 1), scope=scope)
    await PmdClient(upstream, fixed).share(_SENT, "312229544", 1.0)
    return fixed


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, answered(b"200", b"201")), (202, b""), (200, b'{"resourceType": "OperationOutcome", "issue": []}')],
)
async def test_a_bundle_that_was_taken_is_shared(status: int, body: bytes) -> None:
    """With or without a result for each entry, which the sources do not agree on."""
    ((call, orgnr, scope),) = (await shared(status, body)).asked
    assert (call.method, call.path, orgnr, scope) == ("POST", "/", "312229544", "nhn:pmd/x")
    assert ("Content-Type", "application/fhir+json") in call.headers


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (400, b"", "PMD answered 400"),
        (409, b"", "PMD answered 409"),
        (200, answered(b"200", b"422 Unprocessable"), "1 of 2 measurements"),
        (200, b'{"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}', "tells of an error"),
        (200, answered(b'200", "outcome": {"issue": [{"severity": "error"}]}, "etag": "1'), "1 of 1 measurements"),
    ],
)
async def test_what_was_not_taken_is_said(status: int, body: bytes, text: str) -> None:
    """A part of a bundle is never all of it."""
    with pytest.raises(NotTaken, match=text):
        await shared(status, body)


@pytest.mark.parametrize("status", [302, 404, 405, 410])
async def test_what_another_server_answers_says_nothing_of_a_bundle(status: int) -> None:
    """PMD has moved, or its address is wrong: the bundle was not looked at."""
    with pytest.raises(AnswerRefused, match=f"PMD answered {status} at its documented address"):
        await shared(status, b"<html>")


@pytest.mark.parametrize(
    "body",
    [
        *(b"<html>", b"[]", b'{"resourceType": "Patient"}', b"{", answered(b"200"), answered(b"200", b"200", b"200")),
        *(b'{"resourceType": "Bundle", "entry": %s}' % one for one in (b'"x"', b'["x"]', b'[{"response": "201"}]')),
        answered(b"200", b'200", "outcome": ["x"], "etag": "1'),
        answered(b"200", b'200", "outcome": {"issue": "x"}, "etag": "1'),
        answered(b"200", b'200", "outcome": {"issue": [{"severity": "feil"}]}, "etag": "1'),
        b'{"resourceType": "Bundle", "entry": [{"response": {"status": 200}}, {"response": {"status": 201}}]}',
        b'{"resourceType": "OperationOutcome", "issue": [{"severity": ["error"]}]}',
        b'{"resourceType": "OperationOutcome", "issue": {"severity": "error"}}',
    ],
)
async def test_a_success_that_is_not_pmds_is_unclear(body: bytes) -> None:
    """A page of a proxy is no result, nor one of a part, nor what says it in another shape; and what may have been taken is not sent again."""
    with pytest.raises(ServiceUnavailable) as raised:
        await shared(200, body)
    assert raised.value.is_silent


@pytest.mark.fact("pmd-people")
async def test_without_a_scope_no_token_is_sent() -> None:
    """As the development host wants it; one that asks for a token all the same is asked again later."""
    ((_, orgnr, scope),) = (await shared(200, b"", None)).asked
    assert (orgnr, scope) == ("", None)
    with pytest.raises(ServiceUnavailable) as raised:
        await shared(401, b"", None)
    assert not raised.value.is_silent
