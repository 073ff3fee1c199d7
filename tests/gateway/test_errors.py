"""Every fault has words of its own, on the wire and for a person."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.errors import CODES, WORDINGS, Failure, Fault, fault_of
from gateway.surfaces.base import AnswerContext, Surface
from gateway.surfaces.registry import SURFACES
from gateway.surfaces.soap import surface as vkp_soap
from translators.contract import Reason
from translators.fhir.json_codec import decode

NOW = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)


FHIR = [surface for surface in SURFACES if surface.NAME != vkp_soap.NAME]
"""The surfaces that tell in OperationOutcomes; what SOAP says is tried by itself (surfaces/test_soap.py)."""


@pytest.mark.parametrize("surface", FHIR, ids=lambda surface: surface.NAME)
@pytest.mark.parametrize("fault", Fault)
def test_every_fault_can_be_told(fault: Fault, surface: Surface) -> None:
    """Status, code, text and diagnostics are there, and a temporary fault is 3.1, by which senders know it."""
    wording = WORDINGS[fault]
    reply = surface.refused(AnswerContext("ref-1", NOW), Failure(fault, "Why", retry_after=7), wording)
    assert reply.status == wording.status >= 400
    outcome = decode(reply.body)
    assert isinstance(outcome, dict)
    (issue,) = outcome["issue"]  # type: ignore[misc]
    assert issue["details"]["coding"][0]["code"] in CODES
    assert issue["details"]["text"].strip()
    assert "ref-1" in issue["diagnostics"]
    assert (b"Retry-After", b"7") in reply.headers
    assert not fault.is_temporary or wording.code == "3.1"


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_of_a_translator_is_a_fault(reason: Reason) -> None:
    """None of them is told as temporary: the same message would be refused again."""
    assert not fault_of(reason).is_temporary


@pytest.mark.fact("vkp-errors-as-400")
@pytest.mark.parametrize("fault", [Fault.MALFORMED, Fault.PATIENT, Fault.LOSS, Fault.REFUSED_BY_SERVICE, Fault.CLOSED])
def test_what_a_developer_should_read_is_400(fault: Fault) -> None:
    """NHN's sample client reads an OperationOutcome from a 400 only."""
    assert WORDINGS[fault].status == 400
