"""The issue of an OperationOutcome and the fields beside it, alike on every FHIR surface."""

from gateway.errors import CODES, Failure, Fault, Wording
from gateway.model import Headers
from translators.contract import Tree, Undelivered

OUTCOME_CODES = "http://ehelse.no/fhir/CodeSystem/vkp-operation-outcome-v090"
_CHALLENGES = {
    Fault.TOKEN: ('Bearer error="invalid_token"',),
    Fault.SCOPE: ('Bearer error="insufficient_scope"',),
}
_DELIVERED = ("Meldingen er mottatt", "Accepted for journaling")
_UNDELIVERED: dict[Undelivered, tuple[str, str]] = {
    "test": (
        "Testmeldingen er mottatt. Den er ikke journalført og ikke sendt videre",
        "Test message acknowledged, delivered nowhere",
    ),
    "not-to-be-journaled": (
        "Meldingen er mottatt. Den skal ikke journalføres og er ikke sendt videre",
        "Acknowledged and delivered nowhere: its class says that it is not to be journaled",
    ),
}


def done(reference: str, undelivered: Undelivered | None) -> dict[str, Tree]:
    """Make the outcome of a success; any 2xx means success to a sender, and the body is for people.

    `undelivered` says why a message is acknowledged and delivered nowhere.
    """
    text, what = _UNDELIVERED[undelivered] if undelivered is not None else _DELIVERED
    issue: Tree = {
        "severity": "information",
        "code": "informational",
        "details": {"text": text},
        "diagnostics": f"{what}. Reference {reference}.",
    }
    return _outcome(issue)


def refusal(failure: Failure, wording: Wording, reference: str) -> dict[str, Tree]:
    """Make the outcome of a failure; senders show `details.text` or `diagnostics`, so both are always filled."""
    issue: Tree = {
        "severity": "error",
        "code": wording.issue_type,
        "details": {
            "coding": [{"system": OUTCOME_CODES, "code": wording.code, "display": CODES[wording.code]}],
            "text": printable(failure.text or wording.text),
        },
        "diagnostics": printable(f"{failure.diagnostics}. Reference {reference}."),
    }
    return _outcome(issue)


def extra_headers(failure: Failure) -> Headers:
    """Return the fields that a failure is told with beside its status."""
    challenges = failure.challenges or _CHALLENGES.get(failure.fault, ())
    headers: Headers = tuple((b"WWW-Authenticate", challenge.encode("ascii")) for challenge in challenges)
    if failure.retry_after is not None:
        headers += ((b"Retry-After", str(failure.retry_after).encode()),)
    return headers


def printable(text: str) -> str:
    """Leave out what XML cannot hold: a route's own text may have it, and a path of a message in JSON."""
    return text if text.isprintable() else "".join(each for each in text if each.isprintable() or each == "\n")


def _outcome(issue: Tree) -> dict[str, Tree]:
    return {"resourceType": "OperationOutcome", "issue": [issue]}
