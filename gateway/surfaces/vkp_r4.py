"""VKP's R4 interface: `POST /epj/r4/{orgnr}/{resource}` for journaling and `.../{resource}/_search` for retrieval."""

import re
from dataclasses import dataclass

from gateway.faults import CODES, Failure, Fault, Wording
from gateway.model import Group, Headers, Information, Reply, RequestHead
from gateway.surfaces.target import Path
from translators.contract import Reason, Refused, Tree
from translators.fhir.json_codec import decode, encode

NAME = "vkp-r4"
OUTCOME_CODES = "http://ehelse.no/fhir/CodeSystem/vkp-operation-outcome-v090"
_ORGNR = re.compile(r"[0-9]{9}", re.ASCII)
_CONTENT_TYPE = (b"Content-Type", b"application/fhir+json; charset=utf-8")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the interface."""

    resource: str
    """As the path has it, in lower case; scopes are named after it."""
    kind: str
    """The FHIR resource type that a journaling's body is, or a retrieval's answer holds."""
    group: Group
    information: Information | None
    """What a retrieval asks for; a journaling says it in its body."""

    @property
    def scope(self) -> str:
        """The scope that gives access (format: nhn:vkp/api/user/{resource}.{read|write|*})."""
        access = "write" if self.group is Group.JOURNALING else "read"
        return f"nhn:vkp/api/user/{self.resource}.{access}"

    @property
    def wide_scope(self) -> str:
        """The scope that gives both rights to the resource."""
        return f"nhn:vkp/api/user/{self.resource}.*"


@dataclass(frozen=True, slots=True)
class Recognised:
    """A request of this surface."""

    orgnr: str
    operation: Operation


_JOURNALING = {
    kind.lower(): Operation(kind.lower(), kind, Group.JOURNALING, None)
    for kind in ("Bundle", "Composition", "MedicationDispense", "Encounter", "Communication")
}
_RETRIEVAL = {
    kind.lower(): Operation(kind.lower(), kind, Group.RETRIEVAL, information)
    for kind, information in (
        ("Patient", Information.PASIENTINFO),
        ("EpisodeOfCare", Information.TJENESTER),
        ("CarePlan", Information.BESOKSPLAN),
        ("Composition", Information.TILTAKSPLAN),
        ("Condition", Information.DIAGNOSER),
        ("AllergyIntolerance", Information.ALLERGIER),
        ("MedicationStatement", Information.LEGEMIDLER),
    )
}


def recognise(head: RequestHead, path: Path) -> Recognised | None:
    """Return which operation a request asks for; Content-Type is never looked at, since senders write anything there."""
    if head.method != "POST" or path.climbs:
        return None
    match path.segments:
        case ("epj", "r4", orgnr, resource) if _ORGNR.fullmatch(orgnr):
            operation = _JOURNALING.get(resource)
        case ("epj", "r4", orgnr, resource, "_search") if _ORGNR.fullmatch(orgnr):
            operation = _RETRIEVAL.get(resource)
        case _:
            return None
    return Recognised(orgnr, operation) if operation else None


def read(body: bytes, operation: Operation) -> Tree:
    """Return a journaling's body as a tree; raises `Refused` unless it is the resource that the path names."""
    tree = decode(body)
    if not isinstance(tree, dict) or tree.get("resourceType") != operation.kind:
        raise Refused(Reason.FORMAT, f"a {operation.kind} is expected at this address", "resourceType")
    return tree


def accepted(correlation_id: str) -> Reply:
    """Answer a journaling that was accepted; any 2xx means success to a sender, and the body is for people."""
    issue: Tree = {
        "severity": "information",
        "code": "informational",
        "details": {"text": "Meldingen er mottatt"},
        "diagnostics": f"Accepted for journaling. Reference {correlation_id}.",
    }
    return Reply(200, (_CONTENT_TYPE,), _outcome(issue))


def refused(failure: Failure, wording: Wording, correlation_id: str) -> Reply:
    """Answer with an OperationOutcome; senders show `details.text` or `diagnostics`, so both are always filled."""
    issue: Tree = {
        "severity": "error",
        "code": wording.issue_type,
        "details": {
            "coding": [{"system": OUTCOME_CODES, "code": wording.code, "display": CODES[wording.code]}],
            "text": failure.text or wording.text,
        },
        "diagnostics": f"{failure.diagnostics}. Reference {correlation_id}.",
    }
    return Reply(wording.status, (_CONTENT_TYPE, *_extra_headers(failure)), _outcome(issue))


def _extra_headers(failure: Failure) -> Headers:
    headers: Headers = ()
    if failure.fault is Fault.TOKEN:
        headers += ((b"WWW-Authenticate", b'Bearer error="invalid_token"'),)
    if failure.fault is Fault.SCOPE:
        headers += ((b"WWW-Authenticate", b'Bearer error="insufficient_scope"'),)
    if failure.retry_after is not None:
        headers += ((b"Retry-After", str(failure.retry_after).encode()),)
    return headers


def _outcome(issue: Tree) -> bytes:
    return encode({"resourceType": "OperationOutcome", "issue": [issue]})
