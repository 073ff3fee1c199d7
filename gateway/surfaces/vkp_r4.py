"""VKP's R4 interface: `POST /epj/r4/{orgnr}/{resource}` for journaling and `.../{resource}/_search` for retrieval."""

import re

from gateway.auth.helseid.claims import VKP_ID
from gateway.config.model import Municipality, Sender
from gateway.errors import Failure, Wording
from gateway.model import Group, Information, Reply, RequestHead
from gateway.surfaces import operation_outcome
from gateway.surfaces.base import Addressed, AnswerContext, Form, Operation, Recognised
from gateway.surfaces.paths import Path
from translators.contract import Reason, Refused, Repair, Tree, Undelivered
from translators.fhir.json_codec import decode, encode

NAME = "vkp-r4"
PREFIX: tuple[str, ...] = ("epj", "r4")
ANSWERS_MESSAGES = False
_ORGNR = re.compile(r"[0-9]{9}", re.ASCII)
_CONTENT_TYPE = (b"Content-Type", b"application/fhir+json; charset=utf-8")


_JOURNALING = {
    kind.lower(): Operation(kind.lower(), kind, Group.JOURNALING, None, VKP_ID)
    for kind in ("Bundle", "Composition", "MedicationDispense", "Encounter", "Communication")
}
_RETRIEVAL = {
    kind.lower(): Operation(kind.lower(), kind, Group.RETRIEVAL, information, VKP_ID)
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
    """Return which operation a request asks for."""
    if head.method != "POST" or path.climbs:
        return None
    match path.segments:
        case ("epj", "r4", orgnr, resource) if _ORGNR.fullmatch(orgnr):
            operation = _JOURNALING.get(resource)
        case ("epj", "r4", orgnr, resource, "_search") if _ORGNR.fullmatch(orgnr):
            operation = _RETRIEVAL.get(resource)
        case _:
            return None
    return Recognised(operation, orgnr=orgnr) if operation else None


def describe(head: RequestHead, path: Path, address: str) -> Reply | None:
    """Answer nothing: the interface has no description of its own."""


def form_of(body: bytes) -> Form | None:
    """Return JSON, the only form of this interface."""
    return Form.JSON if body else None


def read(body: bytes, operation: Operation | None) -> tuple[Tree, tuple[Repair, ...]]:
    """Return a journaling's body as a tree; raises `Refused` unless it is the resource that the path names."""
    tree = decode(body)
    if operation is not None and (not isinstance(tree, dict) or tree.get("resourceType") != operation.kind):
        raise Refused(Reason.FORMAT, f"a {operation.kind} is expected at this address", "resourceType")
    return tree, ()


def addressed(tree: Tree) -> Addressed:  # noqa: ARG001 - the path says it
    """Return nobody: the path says whom a message is for."""
    return Addressed()


def check_parties(tree: Tree, municipality: Municipality, sender: Sender, head: RequestHead | None = None) -> None:
    """Check nothing: an R4 message has no address of its own."""


def accepted(asked: AnswerContext, *, undelivered: Undelivered | None = None) -> Reply:
    """Answer with an informational OperationOutcome."""
    return Reply(200, (_CONTENT_TYPE,), encode(operation_outcome.done(asked.reference, undelivered)))


def refused(asked: AnswerContext, failure: Failure, wording: Wording) -> Reply:
    """Answer with an OperationOutcome."""
    body = encode(operation_outcome.refusal(failure, wording, asked.reference))
    return Reply(wording.status, (_CONTENT_TYPE, *operation_outcome.extra_headers(failure)), body)
