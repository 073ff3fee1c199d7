"""VKP's STU3 interface, in XML and JSON: `POST /epj/stu3/{HER-id}/{resource}` with a message Bundle or an Encounter, searches, and reads by id."""

import re

from gateway.auth.helseid.claims import HER_ID
from gateway.config.model import Municipality, Sender
from gateway.errors import Failure, Fault, Wording
from gateway.model import Group, Information, Reply, RequestHead, same_number
from gateway.surfaces import operation_outcome
from gateway.surfaces.base import Addressed, AnswerContext, Form, Found, Operation, Recognised
from gateway.surfaces.paths import Path
from gateway.surfaces.search import Search
from gateway.surfaces.vkp_stu3 import answers, message, searches
from gateway.surfaces.vkp_stu3.message import check_message, header_of, parties
from translators.contract import Reason, Refused, Repair, Tree, Undelivered
from translators.stu3.message import WITHOUT_MESSAGE

NAME = "vkp-stu3"
PREFIX: tuple[str, ...] = ("epj", "stu3")
ANSWERS_MESSAGES = True
_HER_ID = re.compile(r"[0-9]{1,12}", re.ASCII)

_MESSAGE = Operation("bundle", "Bundle", Group.JOURNALING, None, HER_ID)
_ENCOUNTER = Operation("encounter", "Encounter", Group.JOURNALING, None, HER_ID)
_OPERATIONS = {"bundle": _MESSAGE, "$process-message": _MESSAGE, "encounter": _ENCOUNTER}
_RETRIEVAL = {
    kind.lower(): Operation(kind.lower(), kind, Group.RETRIEVAL, information, HER_ID)
    for kind, information in (
        ("Patient", Information.PASIENTINFO),
        ("EpisodeOfCare", Information.TJENESTER),
        ("CarePlan", Information.BESOKSPLAN),
        ("Composition", Information.TILTAKSPLAN),
    )
}
_KINDS = ("Bundle", *WITHOUT_MESSAGE)
"""What is read where no path says what to expect."""


def recognise(head: RequestHead, path: Path) -> Recognised | None:
    """Return which operation a request asks for; a search by whatever method, since its path says that it only reads."""
    if path.climbs:
        return None
    match head.method, *path.segments:
        case ("POST", "epj", "stu3", her_id, resource):
            operation = _OPERATIONS.get(resource)
        case (_, "epj", "stu3", her_id, resource, "_search"):
            operation = _RETRIEVAL.get(resource)
        case ("GET" | "HEAD", "epj", "stu3", her_id, resource) | ("GET" | "HEAD", "epj", "stu3", her_id, resource, _):
            operation = _RETRIEVAL.get(resource)
        case _:
            return None
    return Recognised(operation, her_id=her_id) if operation is not None and _HER_ID.fullmatch(her_id) else None


def describe(head: RequestHead, path: Path, address: str) -> Reply | None:
    """Answer nothing: the interface has no description of its own."""


def form_of(body: bytes) -> Form | None:
    """Return XML for what begins as XML does."""
    return message.form_of(body)


def read(body: bytes, operation: Operation | None) -> tuple[Tree, tuple[Repair, ...]]:
    """Return a journaling's body as a tree; raises `Refused` unless it is a message, or an Encounter, as the path says."""
    tree, repairs = message.decode(body)
    kinds = _KINDS if operation is None else (operation.kind,)
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or kind not in kinds:
        raise Refused(Reason.FORMAT, f"a {' or '.join(kinds)} is expected here", "resourceType")
    if kind == _MESSAGE.kind:
        check_message(tree)
    return tree, repairs


def outline(tree: Tree) -> Tree:
    """Return a message with its header alone; nothing of what is no message."""
    return message.outline(tree)


def addressed(tree: Tree) -> Addressed:  # noqa: ARG001 - the path says it
    """Return nobody: the path says whom a message is for."""
    return Addressed()


def check_parties(
    tree: Tree,
    municipality: Municipality,
    sender: Sender,
    head: RequestHead | None = None,  # noqa: ARG001 - the path has said it
) -> None:
    """Raise `Failure` unless the header names whom the path and the token name; a header may also name nobody."""
    header = header_of(tree)
    if header is None:
        return
    for role, her_ids, named_by in (
        ("receiver", municipality.her_ids, "the path"),
        ("sender", (sender.her_id,), "the access token"),
    ):
        known = {same_number(her_id) for her_id in her_ids if her_id is not None}
        if any(same_number(her_id) not in known for her_id in parties(header, role)):
            where = f"Bundle.entry[0].resource.{role}.identifier.value"
            raise Failure(Fault.ADDRESS, f"{where}: another HER-id than {named_by} names")


def accepted(asked: AnswerContext, *, undelivered: Undelivered | None = None) -> Reply:
    """Answer a message with a message, an Encounter with an informational OperationOutcome."""
    told = operation_outcome.done(asked.reference, undelivered)
    answer = answers.message(asked, "ok", told if undelivered is not None else None)
    return answers.reply(asked, 200, answer or told)


def search(head: RequestHead, body: bytes, recognised: Recognised) -> Search:
    """Return what a search or a read asks for; raises `Failure`."""
    return searches.search(head, body, recognised.operation)


def found(asked: AnswerContext, search: Search, resources: tuple[Found, ...]) -> Reply:
    """Answer with a searchset Bundle, or a read with its resource, as FHIR STU3; raises `Failure`."""
    try:
        return answers.reply(asked, 200, searches.answered(search, resources))
    except RecursionError:
        raise Failure(Fault.NOT_SUPPORTED, "The answer is nested too deep to be told in STU3") from None


def refused(asked: AnswerContext, failure: Failure, wording: Wording) -> Reply:
    """Answer a message that was read with a message, everything else with an OperationOutcome."""
    told = operation_outcome.refusal(failure, wording, asked.reference)
    code = "transient-error" if failure.fault.is_temporary else "fatal-error"
    answer = answers.message(asked, code, told)
    return answers.reply(asked, wording.status, answer or told, operation_outcome.extra_headers(failure))
