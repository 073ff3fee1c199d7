"""Refusals of the JFT stub as problem details (RFC 9457), or an OperationOutcome of what is wrong with a message."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

_NATIONAL_NUMBER = re.compile(r"\d{11}")


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a message: where and what."""

    path: str
    message: str


class Problem(msgspec.Struct, frozen=True):
    """The body of an answer that refuses."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault]


class ProblemError(Exception):
    """The request is refused."""

    def __init__(self, status: int, detail: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(detail)
        self.problem = Problem(
            type="about:blank",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=_masked(detail),
            errors=[Fault(_masked(fault.path), _masked(fault.message)) for fault in faults],
        )


def operation_outcome(problem: Problem) -> dict[str, Any]:
    """Return what is wrong with a message as FHIR has it; the form of JFT's own answer is not documented."""
    issues = [
        {
            "severity": "error",
            "code": "invalid",
            "diagnostics": fault.message,
            **({"expression": [fault.path]} if fault.path else {}),
        }
        for fault in problem.errors
    ]
    return {"resourceType": "OperationOutcome", "issue": issues}


def _masked(text: str) -> str:
    return _NATIONAL_NUMBER.sub("*" * 11, text)
