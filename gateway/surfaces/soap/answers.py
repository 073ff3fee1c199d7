"""What a SOAP sender is told: an AppRec about the message that it sent, or a fault where there is no message to speak of."""

import re
from typing import Any
from uuid import UUID, uuid5

from lxml import etree

from gateway.errors import Failure, Fault, Wording
from gateway.model import Group, Headers, Reply
from gateway.surfaces.base import AnswerContext
from gateway.surfaces.operation_outcome import extra_headers, printable
from gateway.surfaces.soap import wsdl
from translators.contract import Tree
from translators.patient import NO_NUMBER
from translators.payload import fields_of, message_id, objects
from translators.soap.envelope import NOT_UNDERSTOOD, OF_NO_VERSION, SOAP_1_1, SOAP_1_2
from translators.soap.schema import APPREC_1_0, APPREC_1_1, COMMON, JOURNALING

ERRORS = {
    "E10": "Ugyldig meldingsidentifikator",
    "E21": "Mottaker finnes ikke",
    "E30": "Pasientens fødselsnummer mangler",
    "E31": "Pasientens fødselsnummer er feil",
    "E35": "Pasienten finnes ikke i mottakersystemet",
    "S99": "Annen feil på signatur eller sertifikat",
    "T01": "Ikke XML, ikke 'well formed' eller uleselig",
    "T02": "XML validerer ikke",
    "T10": "Støtter ikke meldingsformatet",
    "T99": "Annen feil på format",
    "X99": "Annen feil",
}
"""The codes of code system 8221 that are used, with their texts."""
BY_OUTCOME = {
    "1": "X99",
    "1.1": "E35",
    "1.2": "X99",
    "1.3": "X99",
    "1.4": "X99",
    "1.5": "X99",
    "2": "T99",
    "2.1": "E31",
    "2.2": "E21",
    "2.3": "T02",
    "2.4": "T02",
    "3": "T10",
    "3.1": "X99",
}
"""The AppRec code for each code of vkp-operation-outcome."""
ABOUT_THE_MESSAGE = frozenset(
    {Fault.CLOSED, Fault.NOT_SUPPORTED, Fault.MALFORMED, Fault.ADDRESS, Fault.PATIENT, Fault.LOSS}
    | {Fault.UNKNOWN_PATIENT, Fault.REFUSED_BY_SERVICE, Fault.SIGNATURE}
)
"""What an AppRec tells, once a MsgHead was read; everything else is a fault."""
_OF_HTTP = frozenset(
    {Fault.TOKEN, Fault.SCOPE, Fault.NO_ACCESS, Fault.TOO_LARGE, Fault.TOO_MANY, Fault.UNAVAILABLE, Fault.NO_ANSWER}
)
"""Faults whose status says something to HTTP itself; the others have the one that SOAP's binding gives a fault."""
_NAMESPACE = UUID("4f6f0c0e-4b7c-4dd5-9a9a-1f7f0b0d2c11")
_CODES = {NOT_UNDERSTOOD: "MustUnderstand", OF_NO_VERSION: "VersionMismatch"}
"""The codes of faults that SOAP itself has for an Envelope, by what is wrong with it; all have the status 500."""
_ERRORS_OID = "2.16.578.1.12.4.1.1.8221"
_CONTENT_TYPES = {"1.1": b"text/xml; charset=utf-8", "1.2": b"application/soap+xml; charset=utf-8"}
_ENVELOPES = {"1.1": SOAP_1_1, "1.2": SOAP_1_2}
_APPRECS = {"1.0": (f"{{{APPREC_1_0}}}AppRec", "1.0 2004-11-21"), "1.1": (f"{{{APPREC_1_1}}}AppRec", "v1.1 2012-02-15")}
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_SEND = "http://vkp.nhn.no/Journalforing/IJournalforing/SendMelding"
_HENT = "http://vkp.nhn.no/Innhenting/IInnhenting/"
OPERATIONS = {"patient": "HentPasientinformasjon", "episodeofcare": "HentTjenester", "careplan": "HentBesoksplan"}
"""The operations of Innhenting, by the resource that their scopes are named after."""


def action_of(asked: AnswerContext) -> str:
    """Return the action of the operation that was asked for (WS-Addressing), without what its answer adds."""
    operation = asked.recognised.operation if asked.recognised is not None else None
    if operation is None or operation.group is Group.JOURNALING:
        return _SEND
    tree = asked.tree
    named = tree.get("resourceType") if isinstance(tree, dict) else None
    return _HENT + (str(named) if named in OPERATIONS.values() else OPERATIONS[operation.resource])


def version_of(asked: AnswerContext) -> str:
    """Return the version of SOAP to answer in: that of the Envelope, else the one that Content-Type is for."""
    found = fields_of(asked.tree, "Envelope").get("version")
    if isinstance(found, str):
        return found
    return "1.2" if b"application/soap+xml" in asked.claimed_type else "1.1"


def is_about_a_message(asked: AnswerContext) -> bool:
    """Tell whether a MsgHead was read, as far as an AppRec needs it, and nothing around it has to be told by a fault."""
    if "hindrance" in fields_of(asked.tree, "Envelope"):
        return False
    is_journaling = asked.recognised is not None and asked.recognised.operation.group is Group.JOURNALING
    return is_journaling and bool(fields_of(asked.tree, "MsgInfo"))


def error_of(failure: Failure, wording: Wording, tree: Tree) -> str:
    """Return the AppRec code for a failure."""
    if failure.fault is Fault.SIGNATURE:
        return "S99"
    if failure.fault is Fault.MALFORMED and not message_id(tree):
        return "E10"
    if failure.fault is Fault.UNKNOWN_PATIENT:
        return "E35"
    if failure.fault is Fault.PATIENT and failure.diagnostics.endswith(NO_NUMBER):
        return "E30"
    if failure.fault is Fault.ADDRESS and "Sender" in failure.diagnostics:
        return "X99"
    return BY_OUTCOME[wording.code]


def receipt(asked: AnswerContext, error: str | None = None, told: str = "") -> Reply:
    """Answer a message with an AppRec: accepted, or rejected with this error. The same reference and time make the same again."""
    info, now = fields_of(asked.tree, "MsgInfo"), asked.now.isoformat(timespec="seconds")
    element, version = _APPRECS[asked.sender.apprec if asked.sender is not None else "1.1"]
    issued = info.get("GenDate")
    apprec: dict[str, Any] = {
        "MsgType": {"V": "APPREC", "DN": "Applikasjonskvittering"},
        "MIGversion": version,
        "SoftwareName": "vkp-gateway",
        "GenDate": now,
        "Id": str(uuid5(_NAMESPACE, f"{asked.reference} {error or 'ok'}")),
        "Sender": {"Role": {"V": "PRIM", "DN": "Primærmottaker"}, "HCP": {"Inst": _party(info, "Receiver")}},
        "Receiver": {"Role": {"V": "AVS", "DN": "Avsender"}, "HCP": {"Inst": _party(info, "Sender")}},
        "Status": {"V": "1", "DN": "OK"} if error is None else {"V": "2", "DN": "Avvist"},
        "OriginalMsgId": {
            "MsgType": _coded(fields_of(info, "Type")),
            "IssueDate": issued if isinstance(issued, str) and _TIME.fullmatch(issued.strip()) else now,
            "Id": message_id(asked.tree),
        },
    }
    if error is not None:
        apprec["Error"] = [{"V": error, "S": _ERRORS_OID, "DN": ERRORS[error], "OT": printable(told)}]
    version = version_of(asked)
    envelope, body = opened_answer(version)
    wsdl.render(
        "journalforing",
        element,
        apprec,
        etree.SubElement(body, f"{{{JOURNALING}}}SendMeldingResponse", nsmap={None: JOURNALING}),
    )
    return reply(asked, version, envelope, 200, (), f"{_SEND}Response")


def fault(asked: AnswerContext, failure: Failure, wording: Wording) -> Reply:
    """Answer with a fault of the version of SOAP that the request is of."""
    version, name = version_of(asked), "GenericFault"
    is_ours = failure.fault.is_temporary
    namespace = _ENVELOPES[version]
    envelope, body = opened_answer(version)
    at = etree.SubElement(body, f"{{{namespace}}}Fault")
    code = ("Server" if is_ours else "Client") if version == "1.1" else ("Receiver" if is_ours else "Sender")
    code = next((own for said, own in _CODES.items() if failure.diagnostics.endswith(said)), code)
    text = printable(failure.text or wording.text)
    told = printable(f"{text}: {failure.diagnostics}. Reference {asked.reference}.")
    if version == "1.1":
        etree.SubElement(at, "faultcode").text = f"soap:{code}"
        etree.SubElement(at, "faultstring").text = text
        detail = etree.SubElement(at, "detail")
    else:
        etree.SubElement(etree.SubElement(at, f"{{{namespace}}}Code"), f"{{{namespace}}}Value").text = f"soap:{code}"
        reason = etree.SubElement(etree.SubElement(at, f"{{{namespace}}}Reason"), f"{{{namespace}}}Text")
        reason.set("{http://www.w3.org/XML/1998/namespace}lang", "nb")
        reason.text = text
        detail = etree.SubElement(at, f"{{{namespace}}}Detail")
    generic = etree.SubElement(detail, f"{{{COMMON}}}{name}", nsmap={None: COMMON})
    etree.SubElement(generic, f"{{{COMMON}}}ErrorCode").text = wording.code
    etree.SubElement(generic, f"{{{COMMON}}}Message").text = told
    if failure.retry_after is not None:
        etree.SubElement(generic, f"{{{COMMON}}}RetryAfter").text = str(failure.retry_after)
    status = wording.status
    if failure.fault not in _OF_HTTP:
        status = 400 if version == "1.2" and code == "Sender" else 500
    return reply(asked, version, envelope, status, extra_headers(failure), f"{action_of(asked)}{name}")


def reply(  # noqa: PLR0913, PLR0917 - what an answer has
    asked: AnswerContext, version: str, envelope: etree._Element, status: int, headers: Headers, action: str
) -> Reply:
    """Write an answer; a request with WS-Addressing's MessageID hears which one it answers."""
    own = fields_of(asked.tree, "Envelope")
    related, addressing = own.get("MessageID"), own.get("addressing")
    if isinstance(related, str) and isinstance(addressing, str):
        header = etree.Element(f"{{{_ENVELOPES[version]}}}Header", nsmap={"wsa": addressing})
        etree.SubElement(header, f"{{{addressing}}}Action").text = action
        etree.SubElement(header, f"{{{addressing}}}RelatesTo").text = related
        envelope.insert(0, header)
    body = etree.tostring(envelope, xml_declaration=True, encoding="utf-8")
    return Reply(status, ((b"Content-Type", _CONTENT_TYPES[version]), *headers), body)


def opened_answer(version: str) -> tuple[etree._Element, etree._Element]:
    """Return an empty envelope of a version of SOAP, and its Body."""
    namespace = _ENVELOPES[version]
    envelope = etree.Element(f"{{{namespace}}}Envelope", nsmap={"soap": namespace})
    return envelope, etree.SubElement(envelope, f"{{{namespace}}}Body")


def _coded(code: dict[str, Tree]) -> dict[str, Any]:
    return {name: value for name in ("V", "DN") if isinstance(value := code.get(name), str)}


def _party(info: dict[str, Tree], role: str) -> dict[str, Any]:
    """Return a party of the message as AppRec has it: an institution, with its department or person."""
    organisation = fields_of(fields_of(info, role), "Organisation")
    found = _named(organisation, "OrganisationName")
    if inner := fields_of(organisation, "Organisation"):
        found["Dept"] = [_named(inner, "OrganisationName")]
    holder = inner if "HealthcareProfessional" in inner else organisation
    if person := fields_of(holder, "HealthcareProfessional"):
        names = [str(person[name]) for name in ("GivenName", "MiddleName", "FamilyName") if name in person]
        found["HCPerson"] = [{**_named(person, ""), "Name": " ".join(names)}]
    return found


def _named(at: dict[str, Tree], name: str) -> dict[str, Any]:
    """Return the name of a party and its numbers, the HER-id first."""
    found: dict[str, Any] = {"Name": at[name]} if isinstance(at.get(name), str) else {}
    idents = [one for one in objects(at, "Ident") if isinstance(one.get("Id"), str)]
    idents.sort(key=lambda one: fields_of(one, "TypeId").get("V") != "HER")
    if idents:
        found |= {"Id": idents[0]["Id"], "TypeId": _coded(fields_of(idents[0], "TypeId"))}
        others = [{"Id": one["Id"], "Type": _coded(fields_of(one, "TypeId"))} for one in idents[1:]]
        found |= {"AdditionalId": others} if others else {}
    return found
