"""VKP's STU3 answers: a message that answers a message, in the sender's own wire form."""

from uuid import UUID, uuid5

from gateway.model import Group, Headers, Reply, same_number
from gateway.surfaces.base import AnswerContext, Form
from gateway.surfaces.vkp_stu3 import message as stu3_wire
from gateway.surfaces.vkp_stu3 import searches
from gateway.surfaces.vkp_stu3.message import header_of, message_id, parties, reference, texts
from translators.contract import Tree

HER_IDS = "urn:oid:2.16.578.1.12.4.1.2"
_PROFILE = "http://ehelse.no/fhir/StructureDefinition/vkp-MessageHeader-v06"
_ENDPOINT = "https://vkp.azure-devices.net/devices/"
_URN = "urn:uuid:"
_NAMESPACE = UUID("c1d6a3b4-3b0f-4a52-9f0e-7d7f0a6e5b21")
"""Of the ids of answers (RFC 9562 section 5.5)."""
_CONTENT_TYPES = {
    Form.JSON: b"application/fhir+json; charset=utf-8",
    Form.XML: b"application/fhir+xml; charset=utf-8",
}


def message(asked: AnswerContext, code: str, outcome: dict[str, Tree] | None) -> dict[str, Tree] | None:
    """Make the message that answers a message, with `outcome` as its details.

    None where no message was read, or one without the id and the event that an answer must name. The same reference and time
    make the same answer again, byte for byte.
    """
    header, identifier = header_of(asked.tree), message_id(asked.tree)
    event = texts(header.get("event"), "system", "version", "code", "display") if header else {}
    if header is None or identifier is None or "code" not in event:
        return None
    response: dict[str, Tree] = {"identifier": identifier, "code": code}
    entries: list[Tree] = []
    if outcome is not None:
        outcome_id = _id(asked, code, "outcome")
        response["details"] = {"reference": _URN + outcome_id}
        entries.append(_entry(outcome_id, outcome))
    return {
        "resourceType": "Bundle",
        "id": _id(asked, code, "message"),
        "type": "message",
        "entry": [_entry(_id(asked, code, "header"), _header(asked, header, event, response)), *entries],
    }


def reply(asked: AnswerContext, status: int, tree: dict[str, Tree], headers: Headers = ()) -> Reply:
    """Write an answer in the form of the request."""
    form = _form(asked)
    return Reply(status, ((b"Content-Type", _CONTENT_TYPES[form]), *headers), stu3_wire.encode(tree, form))


def _id(asked: AnswerContext, code: str, part: str) -> str:
    return str(uuid5(_NAMESPACE, f"{asked.reference} {code} {part}"))


def _header(asked: AnswerContext, header: dict[str, Tree], event: Tree, response: Tree) -> dict[str, Tree]:
    """Make the header of an answer: sender and receiver change places, and the path's HER-id is who answers."""
    her_id = (asked.recognised.her_id if asked.recognised else None) or ""
    addressed = reference(header, "receiver")
    named = same_number(her_id) in map(same_number, parties(header, "receiver"))
    sender: Tree = addressed if named else {"identifier": {"system": HER_IDS, "value": her_id}}
    receiver: Tree = reference(header, "sender")
    return {
        "resourceType": "MessageHeader",
        "meta": {"profile": [_PROFILE]},
        "event": event,
        **({"receiver": receiver} if receiver else {}),
        "sender": sender,
        "timestamp": asked.now.isoformat(timespec="seconds"),
        "source": {"endpoint": _ENDPOINT + her_id},
        "response": response,
    }


def _entry(identifier: str, resource: dict[str, Tree]) -> Tree:
    kind = resource["resourceType"]
    return {"fullUrl": _URN + identifier, "resource": {"resourceType": kind, "id": identifier, **resource}}


def _form(asked: AnswerContext) -> Form:
    """Return the form of the body, or before a byte of it was seen, the one that Content-Type makes likely; of a retrieval, what it wants."""
    if asked.recognised is not None and asked.recognised.operation.group is Group.RETRIEVAL:
        return searches.form_of(asked.head)
    if asked.content is not None and asked.content.form is not None:
        return asked.content.form
    return Form.XML if b"xml" in asked.claimed_type else Form.JSON
