"""VKP's answers as OperationOutcome, readable by both of NHN's published sample clients."""

from typing import Any

import msgspec

CODE_SYSTEM = "http://ehelse.no/fhir/CodeSystem/vkp-operation-outcome-v090"

_DISPLAYS = {
    "1": "forbudt",
    "1.1": "ikke aktiv",
    "1.2": "ikke tillatt",
    "1.3": "ikke oppfylt tjenstlig behov",
    "1.4": "ikke tilgang",
    "1.5": "ikke tilgang",
    "2": "ugyldige data",
    "2.1": "ugyldig personidentifikator",
    "2.2": "ugyldig systemidentifikator",
    "2.3": "ugyldig antall parametere",
    "2.4": "ugyldig format",
    "3": "annen feil",
    "3.1": "time out",
}
_ISSUE_TYPES = {
    "1": "forbidden",
    "1.1": "forbidden",
    "1.2": "forbidden",
    "1.3": "business-rule",
    "1.4": "forbidden",
    "1.5": "login",
    "2": "invalid",
    "2.1": "value",
    "2.2": "value",
    "2.3": "required",
    "2.4": "structure",
    "3": "exception",
    "3.1": "timeout",
}


class RefusedError(Exception):
    """VKP refuses the request: HTTP status, vkp-operation-outcome code, text for a person and diagnostics."""

    def __init__(self, status: int, code: str, text: str, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.text = text
        self.diagnostics = diagnostics

    def body(self) -> bytes:
        """Return the OperationOutcome as JSON."""
        return msgspec.json.encode(self.outcome())

    def outcome(self) -> dict[str, Any]:
        """Return the OperationOutcome.

        `VKP.Samples` reads `details.text` in one program and `diagnostics` in the others, so both are filled.
        """
        coding = {"system": CODE_SYSTEM, "code": self.code, "display": _DISPLAYS[self.code]}
        details = {"coding": [coding], "text": self.text}
        return _outcome("error", _ISSUE_TYPES[self.code], details, self.diagnostics)


def received(resource_type: str) -> bytes:
    """Return the OperationOutcome of a journaling that succeeded, as JSON."""
    return msgspec.json.encode(received_outcome(resource_type))


def received_outcome(resource_type: str) -> dict[str, Any]:
    """Return the OperationOutcome of a journaling that succeeded."""
    details = {"text": f"{resource_type} er mottatt."}
    return _outcome("information", "informational", details, f"{resource_type} received")


def invalid_format(reason: str) -> RefusedError:
    """VKP cannot read the message."""
    return RefusedError(400, "2.4", "Meldingen har ugyldig format.", reason)


def not_found() -> RefusedError:
    """No operation of VKP is at this path."""
    return RefusedError(404, "3", "Adressen finnes ikke i VKP.", "no such operation")


def failure(status: int) -> RefusedError:
    """Make the fault that the stub was told to show."""
    code = "3.1" if status in {429, 503, 504} else "3"
    return RefusedError(status, code, "VKP svarer ikke som normalt.", f"the stub was told to answer {status}")


def _outcome(severity: str, issue_type: str, details: dict[str, Any], diagnostics: str) -> dict[str, Any]:
    issue = {"severity": severity, "code": issue_type, "details": details, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
