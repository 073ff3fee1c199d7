"""VKP's R4 interface: `POST /epj/r4/{orgnr}/{resource}` for journaling and `.../{resource}/_search` for retrieval."""

import re
from uuid import NAMESPACE_URL, uuid5

from gateway.auth.helseid.claims import VKP_ID
from gateway.config.model import Municipality, Sender
from gateway.errors import Failure, Fault, Wording
from gateway.model import Group, Information, Reply, RequestHead
from gateway.surfaces import operation_outcome
from gateway.surfaces.base import Addressed, AnswerContext, Form, Found, Operation, Recognised
from gateway.surfaces.paths import Path
from gateway.surfaces.search import Search, date_bounds, only, parameters, patient_key, service_codes
from translators.contract import Number, Reason, Refused, Repair, Tree, Undelivered
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


SEARCHED = tuple(one.kind for one in _RETRIEVAL.values())
"""The FHIR types that can be searched for."""
PATIENT_PARAMETER = {"Patient": "identifier", "AllergyIntolerance": "identifier"}
"""By what a search names its patient, where that is not `patient.identifier`."""
LISTS = frozenset({"Patient", "EpisodeOfCare"})
"""What may be asked of every patient with a service behind the ServiceCodes."""
_WITH_DATE = frozenset({"CarePlan", "Composition"})


def recognise(head: RequestHead, path: Path) -> Recognised | None:
    """Return which operation a request asks for; a search by its path, whatever the method, which may be refused later."""
    if path.climbs:
        return None
    match head.method, *path.segments:
        case ("POST", "epj", "r4", orgnr, resource) if _ORGNR.fullmatch(orgnr):
            operation = _JOURNALING.get(resource)
        case ("GET" | "HEAD", "epj", "r4", orgnr, resource) if _ORGNR.fullmatch(orgnr):
            operation = _RETRIEVAL.get(resource)
        case (_, "epj", "r4", orgnr, resource, "_search") if _ORGNR.fullmatch(orgnr):
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


def outline(tree: Tree) -> Tree:
    """Return nothing: an R4 message has no address of its own, and is not quoted."""


def addressed(tree: Tree) -> Addressed:  # noqa: ARG001 - the path says it
    """Return nobody: the path says whom a message is for."""
    return Addressed()


def check_parties(tree: Tree, municipality: Municipality, sender: Sender, head: RequestHead | None = None) -> None:
    """Check nothing: an R4 message has no address of its own."""


def accepted(asked: AnswerContext, *, undelivered: Undelivered | None = None) -> Reply:
    """Answer with an informational OperationOutcome."""
    return Reply(200, (_CONTENT_TYPE,), encode(operation_outcome.done(asked.reference, undelivered)))


def search(head: RequestHead, body: bytes, recognised: Recognised) -> Search:
    """Return what a search asks for; raises `Failure` for what VKP documents no meaning of."""
    operation = recognised.operation
    kind, information = operation.kind, operation.information
    if information is None:
        raise Failure(Fault.UNRECOGNISED, "No search is served at this address")
    named = parameters(head, body)
    name = PATIENT_PARAMETER.get(kind, "patient.identifier")
    only(named, kind, (name, "date") if kind in _WITH_DATE else (name,))
    if name not in named and kind not in LISTS:
        raise Failure(Fault.PARAMETERS, f"A search for {kind} needs the parameter {name}")
    codes = service_codes(head)
    if not codes:
        raise Failure(Fault.NO_NEED, "The field ServiceCodes is missing or empty")
    patient = patient_key(named[name][0], name) if name in named else None
    dates = date_bounds(named.get("date", ()))
    return Search(kind=kind, information=information, patient=patient, service_codes=codes, dates=dates)


def found(asked: AnswerContext, search: Search, resources: tuple[Found, ...]) -> Reply:  # noqa: ARG001 - as every surface
    """Answer with a searchset Bundle; without a hit it has no `entry`, since an empty array is no valid FHIR."""
    return Reply(200, (_CONTENT_TYPE,), encode(searchset(search, resources)))


def searchset(search: Search, resources: tuple[Found, ...]) -> dict[str, Tree]:
    """Return the Bundle that answers a search."""
    entries: list[Tree] = []
    total = 0
    for index, (resource, url, said) in enumerate(resources):
        kind = str(resource.get("resourceType"))
        is_match = kind == search.kind if said is None else said
        total += is_match
        identity = resource.get("id", index)
        made = f"urn:uuid:{uuid5(NAMESPACE_URL, f'{kind}/{identity}')}"
        mode = "match" if is_match else "include"
        entries.append({"fullUrl": url or made, "resource": resource, "search": {"mode": mode}})
    bundle: dict[str, Tree] = {"resourceType": "Bundle", "type": "searchset", "total": Number(str(total))}
    return {**bundle, "entry": entries} if entries else bundle


def refused(asked: AnswerContext, failure: Failure, wording: Wording) -> Reply:
    """Answer with an OperationOutcome."""
    body = encode(operation_outcome.refusal(failure, wording, asked.reference))
    return Reply(wording.status, (_CONTENT_TYPE, *operation_outcome.extra_headers(failure)), body)
