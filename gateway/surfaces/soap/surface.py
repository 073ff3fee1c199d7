"""The SOAP interface: `POST /ws/v1/Journalforing` with a MsgHead, and `POST /ws/v1/Innhenting` with a search."""

from collections.abc import Iterator

from lxml import etree

from gateway.auth.helseid.claims import VKP_ID
from gateway.config.model import Municipality, Sender
from gateway.errors import Failure, Fault, Wording
from gateway.model import Group, Information, Reply, RequestHead, same_number
from gateway.surfaces.base import Addressed, AnswerContext, Form, Found, Operation, Recognised
from gateway.surfaces.paths import Path
from gateway.surfaces.search import Search
from gateway.surfaces.soap import answers, searches, wsdl
from gateway.surfaces.vkp_stu3 import message as stu3_message
from gateway.surfaces.vkp_stu3.message import header_of, parties
from translators.contract import Reason, Refused, Repair, Tree, Undelivered
from translators.payload import MSGHEAD, RELEASES, fields_of, objects, payload_of
from translators.soap.envelope import Opened, looked_into
from translators.soap.message import decode
from translators.soap.schema import RETRIEVAL
from translators.soap.schema import searches as search_schema

NAME = "vkp-soap"
PREFIX: tuple[str, ...] = ("ws", "v1")
ANSWERS_MESSAGES = True

_JOURNALING = Operation("bundle", "Bundle", Group.JOURNALING, None, VKP_ID, or_her_id=True)
_RETRIEVAL = {
    answers.OPERATIONS[kind.lower()]: Operation(
        kind.lower(), kind, Group.RETRIEVAL, information, VKP_ID, or_her_id=True
    )
    for kind, information in (
        ("Patient", Information.PASIENTINFO),
        ("EpisodeOfCare", Information.TJENESTER),
        ("CarePlan", Information.BESOKSPLAN),
    )
}
SEARCH = Operation("patient", "", Group.RETRIEVAL, None, VKP_ID, or_her_id=True)
"""A search before its body was read, which says what is asked for."""
STU3 = RELEASES[0]
_AROUND = ("resourceType", "Envelope", "MsgInfo", "Mottaker")
"""What stands around what a MsgHead carries, and is small."""
_KINDS = {"HER": "her_id", "ENH": "orgnr"}


def recognise(head: RequestHead, path: Path) -> Recognised | None:
    """Return which operation a request asks for; of a search its body says which."""
    if head.method != "POST" or path.climbs:
        return None
    match path.segments:
        case ("ws", "v1", "journalforing"):
            return Recognised(_JOURNALING, by_content=True)
        case ("ws", "v1", "innhenting"):
            return Recognised(SEARCH, by_content=True)
        case _:
            return None


def _action_of(head: RequestHead) -> str:
    """Return the SOAP action: the field of SOAP 1.1, or the parameter of the media type of SOAP 1.2 (RFC 3902)."""
    for value in head.values(b"soapaction"):
        return value.decode("latin-1").strip().strip('"')
    for value in head.values(b"content-type"):
        for parameter in value.decode("latin-1").split(";")[1:]:
            name, _, action = parameter.partition("=")
            if name.strip().lower() == "action":
                return action.strip().strip('"')
    return ""


def describe(head: RequestHead, path: Path, address: str) -> Reply | None:
    """Answer `GET .../Journalforing?wsdl` and the like, whoever asks; `address` is the gateway's own as senders know it."""
    service = path.segments[2] if len(path.segments) == 3 and not path.climbs else ""
    if head.method != "GET" or service not in wsdl.SERVICES:
        return None
    query = head.target.partition("?")[2]
    return wsdl.described(service, query, f"{address}/ws/v1/{service.capitalize()}")


def form_of(body: bytes) -> Form | None:
    """Return XML, the only form of this interface."""
    return Form.XML if body else None


def read(body: bytes, operation: Operation | None) -> tuple[Tree, tuple[Repair, ...]]:
    """Return a MsgHead, or a search, as a tree; raises `Refused` unless it is what the operation takes, by its schema."""
    if operation is None or operation.group is Group.JOURNALING:
        return decode(body)
    found = looked_into(body)
    name = etree.QName(found.body)
    is_known = name.namespace == RETRIEVAL and name.localname in _RETRIEVAL
    tree: dict[str, Tree] = {"resourceType": name.localname if is_known else "Envelope", "Envelope": found.tree}
    tree |= _receiver(found.body)
    if (refusal := found.hindrance or _search_fault(found, is_known=is_known)) is not None:
        refusal.tree = tree
        raise refusal
    return tree, ()


def _search_fault(found: Opened, *, is_known: bool) -> Refused | None:
    if not is_known:
        return Refused(Reason.FORMAT, "a search is expected here")
    if not found.tree:
        return Refused(Reason.FORMAT, "a search is expected in an Envelope")
    fault = search_schema().fault(found.body, found.document.lines_before)
    return Refused(Reason.FORMAT, f"not valid by its schema: {fault}") if fault is not None else None


def _receiver(body: etree._Element) -> dict[str, Tree]:
    """Return whom a search asks, where it names one receiver by one number; its patient is not looked at here."""
    numbers = [one for whom in body.iterchildren(f"{{{RETRIEVAL}}}Mottaker") for one in whom]
    if len(numbers) != 1:
        return {}
    (one,) = numbers
    return {"Mottaker": {etree.QName(one).localname: (one.text or "").strip()}}


def outline(tree: Tree) -> Tree:
    """Return a MsgHead, or a search, without what it carries; of a message of STU3 in it the header stays."""
    if not isinstance(tree, dict):
        return None
    around: dict[str, Tree] = {name: tree[name] for name in _AROUND if name in tree}
    release, payload = payload_of(tree)
    inside = stu3_message.outline(payload) if release == STU3 else None
    return around if inside is None else {**around, "Document": [{"RefDoc": {"Content": {release: inside}}}]}


def addressed(tree: Tree) -> Addressed:
    """Return whom a message or a search is for, by all the numbers that name its receiver."""
    search = fields_of(tree, "Mottaker")
    if search:
        orgnr, her_id = search.get("Orgnr"), search.get("HerId")
        kind = tree.get("resourceType") if isinstance(tree, dict) else None
        return Addressed(
            (orgnr,) if isinstance(orgnr, str) else (),
            (her_id,) if isinstance(her_id, str) else (),
            _RETRIEVAL.get(str(kind)),
        )
    numbers = list(_numbers(tree, "Receiver"))
    return Addressed(
        tuple(number for _, kind, number in numbers if kind == "ENH"),
        tuple(number for _, kind, number in numbers if kind == "HER"),
    )


def _numbers(tree: Tree, role: str) -> Iterator[tuple[int, str, str]]:
    """Go through the HER-ids and organisation numbers of a party: the level, the kind, the number."""
    at = fields_of(fields_of(fields_of(tree, "MsgInfo"), role), "Organisation")
    for level in (1, 2):
        person = fields_of(at, "HealthcareProfessional")
        for holder in (at, person):
            for ident in objects(holder, "Ident"):
                kind, number = fields_of(ident, "TypeId").get("V"), ident.get("Id")
                if isinstance(kind, str) and isinstance(number, str) and kind.strip().upper() in _KINDS:
                    yield level, kind.strip().upper(), number.strip()
        at = fields_of(at, "Organisation")


def check_parties(tree: Tree, municipality: Municipality, sender: Sender, head: RequestHead | None = None) -> None:
    """Raise `Failure` unless the MsgHead names the municipality as its receiver, and the sender of the token as its sender.

    A SOAP action that names another operation than the body is refused too; one that names none says nothing.
    """
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    named = "SendMelding" if kind == MSGHEAD else str(kind)
    if head is not None and (action := _action_of(head)) and action.rpartition("/")[2] != named:
        raise Failure(Fault.BAD_REQUEST, "The SOAP action names another operation than the Body")
    for level, kind, number in _numbers(tree, "Receiver"):
        if level == 1 and kind == "ENH" and same_number(number) != same_number(municipality.orgnr):
            raise Failure(Fault.ADDRESS, "MsgHead.MsgInfo.Receiver: another organisation than the municipality")
    her_ids = [same_number(number) for _, kind, number in _numbers(tree, "Sender") if kind == "HER"]
    if sender.her_id is not None and her_ids and same_number(sender.her_id) not in her_ids:
        raise Failure(Fault.ADDRESS, "MsgHead.MsgInfo.Sender: another HER-id than the access token's")
    _check_header_inside(tree, municipality, sender)


def _check_header_inside(tree: Tree, municipality: Municipality, sender: Sender) -> None:
    """Raise `Failure` where a message of STU3 in a MsgHead names another receiver or sender than that, or the municipality, does."""
    release, payload = payload_of(tree)
    header = header_of(payload) if release == STU3 else None
    if header is None:
        return
    for role, own in (("Receiver", municipality.her_ids), ("Sender", (sender.her_id,))):
        around = (number for _, kind, number in _numbers(tree, role) if kind == "HER")
        known = {same_number(number) for number in (*around, *own) if number is not None}
        if known and any(same_number(number) not in known for number in parties(header, role.lower())):
            where = "MsgHead.Document[0].RefDoc.Content"
            raise Failure(Fault.ADDRESS, f"{where}: another HER-id than MsgInfo.{role} names")


def accepted(asked: AnswerContext, *, undelivered: Undelivered | None = None) -> Reply:  # noqa: ARG001 - an AppRec has no place for why
    """Answer with an AppRec that says OK: whatever `Ack` asks for, a synchronous answer has no other form."""
    return answers.receipt(asked)


def search(head: RequestHead, body: bytes, recognised: Recognised) -> Search:
    """Return what an operation of Innhenting asks for; raises `Failure`."""
    if (action := _action_of(head)) and action.rpartition("/")[2] != answers.OPERATIONS.get(
        recognised.operation.resource
    ):
        raise Failure(Fault.BAD_REQUEST, "The SOAP action names another operation than the Body")
    return searches.search(body, recognised.operation)


def found(asked: AnswerContext, search: Search, resources: tuple[Found, ...]) -> Reply:
    """Answer in plain XML; raises `Failure` for what that has no place for."""
    return searches.found(asked, search, resources)


def refused(asked: AnswerContext, failure: Failure, wording: Wording) -> Reply:
    """Answer with an AppRec that rejects the message where one was read, and with a fault everywhere else."""
    if failure.fault in answers.ABOUT_THE_MESSAGE and answers.is_about_a_message(asked):
        told = f"{failure.text or wording.text}: {failure.diagnostics}. Reference {asked.reference}."
        return answers.receipt(asked, answers.error_of(failure, wording, asked.tree), told)
    return answers.fault(asked, failure, wording)
