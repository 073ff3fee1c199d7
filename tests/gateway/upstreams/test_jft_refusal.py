"""What is told of JFT's 400: places and texts, and nothing of the message."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.upstreams.jft_refusal import MOST, refusal_reasons

SENT = {
    "resourceType": "Composition",
    "title": "Notat om Tuva Testfjell",
    "date": "03.11.2026 08:00",
    "subject": {"identifier": {"value": "12834010060"}, "display": "Tuva Testfjell"},
    "text": {"div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Mistet <b>brillene</b></p></div>'},
}


def reasons(answer: Any) -> str:
    """Read an answer to `SENT`."""
    return refusal_reasons(json.dumps(answer).encode(), json.dumps(SENT).encode())


def issue(diagnostics: str, *expression: str) -> dict[str, Any]:
    """Make an OperationOutcome with one issue."""
    one = {"severity": "error", "code": "invalid", "diagnostics": diagnostics, "expression": list(expression)}
    return {"resourceType": "OperationOutcome", "issue": [one]}


def test_places_and_texts_of_an_operation_outcome_are_told() -> None:
    """Each issue by its place, whichever element of FHIR has it, and its text."""
    outcome = issue("Not a valid dateTime", "Composition.date")
    outcome["issue"].append({"location": ["Composition.section[0]"], "details": {"text": "bdl-9 of FHIR R4 fails"}})
    told = "Composition.date: Not a valid dateTime; Composition.section[0]: bdl-9 of FHIR R4 fails"
    assert reasons(outcome) == told


@pytest.mark.parametrize(
    "problem",
    [
        {"title": "Bad Request", "errors": [{"path": "Composition.status", "message": "not a code"}]},
        {"errors": {"Composition.status": ["not a code"]}},
        {"validationErrors": [{"propertyName": "Composition.status", "errorMessage": "not a code"}]},
    ],
    ids=["a list of errors", "errors by place", "validation errors"],
)
def test_problem_details_are_read_as_other_interfaces_of_nhn_write_them(problem: dict[str, Any]) -> None:
    """The form of JFT's own errors is not documented."""
    assert reasons(problem) == "Composition.status: not a code"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Not a date: '03.11.2026 08:00'", "Not a date: …"),
        ('The number "12834010060" is real', "The number … is real"),
        ("12834010060 is not allowed", "…is not allowed"),
        ("value 81.30 is above 7", "value …is above …"),
        ("unknown word brillene of tuva TESTFJELL", "unknown word … of … …"),
        ("invariant bdl-9 of R4 at entry[3] fails", "invariant bdl-9 of R4 at entry[3] fails"),
        ("line\nbreak and\x00control", "line break and control"),
    ],
)
def test_numbers_and_values_are_left_out(text: str, told: str) -> None:
    """Quoted or not: what the message says is not told, what FHIR calls things is."""
    assert reasons(issue(text)) == told


@pytest.mark.parametrize("place", ["Patient/12834010060", "Tuva Testfjell", "", "x" * 300])
def test_a_place_that_is_none_is_left_out(place: str) -> None:
    """A place could hold anything."""
    assert reasons(issue("is missing", place)) == "is missing"


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b"{}", b'{"issue": 5, "errors": "x"}', b"[" * 10_000, b"\xff"]
)
def test_an_answer_that_says_nothing_tells_nothing(body: bytes) -> None:
    """No form is demanded of a refusal."""
    assert refusal_reasons(body, b"{}") == ""


def test_only_so_much_is_told() -> None:
    """Of any number of faults and of any length."""
    outcome = {
        "issue": [{"diagnostics": f"fault {chr(97 + index % 26)}{'a' * index} {'b' * 999}"} for index in range(99)]
    }
    told = reasons(outcome).split("; ")
    assert len(told) == MOST
    assert max(map(len, told)) <= 300
