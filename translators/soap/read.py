"""A MsgHead to the inner language: its note, or the FHIR resource in it as the reader of that has it."""

from dataclasses import replace

from translators import r4
from translators.contract import Coverage, Message, Reason, Refused, Settings, Tree
from translators.made import count_leaves, settled
from translators.patient import check_patient
from translators.payload import MSGHEAD as KIND
from translators.payload import RELEASES, is_msghead, payload_of, without_payload
from translators.soap.note import note, number_of
from translators.source import Cursor, Source
from translators.stu3 import message as stu3

_READERS = dict(zip(RELEASES, (stu3.read, r4.read), strict=True))
_ADDRESSING = ("resourceType", "Envelope", "Signature")
_OF_INFO = ("MIGversion", "MsgId", "ProcessingStatus", "Ack", "Sender", "Receiver")
_OF_WRAPPED = ("Type", "GenDate", "Patient", "ConversationRef", "RequestedPriority")
_NOTES = ("DIALOG_NOTAT", "DIALOG_HELSEFAGLIG")
"""The types (kodeverk 8279) of a message that is a note and no more; any other says more of it, as that it answers another."""
_PRODUCTION, _TESTS = ("P", ""), ("D", "T")
"""What ProcessingStatus says of a message: production, or debugging and test."""
_WHY = "VKP R4 has no place for it"


def read(tree: Tree, settings: Settings) -> Message:
    """Return a MsgHead in the inner language; raises `Refused` where it has no single right reading."""
    if not isinstance(tree, dict) or not is_msghead(tree):
        raise Refused(Reason.FORMAT, "a MsgHead is expected")
    if not isinstance(tree.get("Document"), list):
        raise Refused(Reason.UNSUPPORTED, "a PatientReport is no journaling", KIND)
    release, payload = payload_of(tree)
    if "Signature" in tree and settings.signature != "ignore":
        raise Refused(
            Reason.SIGNATURE, "the message is signed, and signatures are not verified here", f"{KIND}.Signature"
        )
    if release in RELEASES:
        return _wrapped(tree, release, payload, settings)
    source = Source(tree, KIND, by_parts=True)
    root = source.root
    undelivered = _is_test(root)
    _use(root)
    if undelivered:
        root.use_whole()
        leaves = count_leaves(tree)
        coverage = Coverage(leaves, leaves, leaves)
        return Message({"resourceType": KIND}, "notat", (), (), coverage, (), (KIND,), "test")
    info = root.at("MsgInfo")
    if info is not None and (root.text("MsgInfo", "Type", "V") or "").strip().upper() in _NOTES:
        info.use("Type")
    made = note(root, settings)
    _use_rest(root)
    found = settled(made)
    losses, coverage = source.finish_after(Coverage(count_leaves(tree)), found, _WHY)
    return Message(made, "notat", tuple(source.repairs), losses, coverage, found.derived, tuple(source.addressing))


def _wrapped(tree: dict[str, Tree], release: str, payload: Tree, settings: Settings) -> Message:
    """Return the FHIR resource of a message; what stands around it has addressed it, and names the same patient."""
    bare = without_payload(tree)
    source = Source(bare, KIND, by_parts=True)
    root = source.root
    documents = root.each("Document")
    if len(documents) > 1:
        raise Refused(Reason.UNSUPPORTED, "files beside a FHIR resource: they belong into it", documents[1].path)
    message = _READERS[release](payload, settings)
    info, is_test = root.at("MsgInfo"), _is_test(root)
    number = number_of(info) if info is not None else None
    if number is not None and message.undelivered is None and not is_test:
        numbers = check_patient(message.tree, settings.allowed_numbers)
        if number[1] not in numbers:
            raise Refused(Reason.PATIENT, "another patient than the FHIR resource names", number[0].path)
    _use(root)
    if info is not None:
        info.use(*_OF_WRAPPED)
    _use_rest(root)
    if (content := documents[0].at("RefDoc")) is not None:
        content.use("MsgType", "MimeType", "IssueDate", "Id", "Description", "Content")
    documents[0].use("ContentType", "ContentDescription", "ContentCategory")
    around = Coverage(count_leaves(bare))
    losses, outer = source.finish_after(around, settled({"resourceType": KIND}), _WHY)
    inner = message.coverage
    coverage = Coverage(
        leaves=inner.leaves + outer.leaves,
        carried=inner.carried + outer.carried,
        used=inner.used + outer.used,
        derived=inner.derived,
        repaired=inner.repaired,
        lost=inner.lost + outer.lost,
    )
    return replace(
        message,
        losses=(*losses, *message.losses),
        coverage=coverage,
        addressing=(*source.addressing, *message.addressing),
        undelivered="test" if is_test else message.undelivered,
    )


def _is_test(root: Cursor) -> bool:
    """Tell whether a message only tests the way; raises `Refused` for a status that says neither."""
    status = (root.text("MsgInfo", "ProcessingStatus", "V") or "").strip().upper()
    if status not in _PRODUCTION and status not in _TESTS:
        path = f"{KIND}.MsgInfo.ProcessingStatus.V"
        raise Refused(Reason.UNSUPPORTED, "a status that is neither of production nor of a test", path)
    return status in _TESTS


def _use(root: Cursor) -> None:
    """Use what addresses a message; of its patient and its time the note has need."""
    root.use(*_ADDRESSING)
    info = root.at("MsgInfo")
    if info is not None:
        if not (info.text("MsgId") or "").strip():
            raise Refused(Reason.FORMAT, "the message has no MsgId", f"{KIND}.MsgInfo.MsgId")
        info.use(*_OF_INFO)


def _use_rest(root: Cursor) -> None:
    """Use what says that the first document is an XML instance, the main one, and no more."""
    first = root.each("Document")[0]
    content = first.at("RefDoc")
    if content is not None:
        content.use("MsgType")
    if (first.text("DocumentConnection", "V") or "H").upper() in ("H", ""):
        first.use("DocumentConnection")
