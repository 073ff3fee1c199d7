"""VKP's SOAP interface as it might be: the same WSDLs and schemas as texts, read by zeep and lxml, and none of the gateway's code."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

from lxml import etree
from zeep.transports import Transport
from zeep.wsdl import Document

from legacy_stubs.outcomes import RefusedError
from legacy_stubs.stu3_messages import Answer

_FOLDER = Path(__file__).parents[1] / "translators" / "soap" / "schemas"
_ENVELOPES = {
    "http://schemas.xmlsoap.org/soap/envelope/": ("BasicHttpBinding", "text/xml; charset=utf-8"),
    "http://www.w3.org/2003/05/soap-envelope": ("WSHttpBinding", "application/soap+xml; charset=utf-8"),
}
_SERVICES = {"journalforing": "http://vkp.nhn.no/Journalforing", "innhenting": "http://vkp.nhn.no/Innhenting"}
SCOPES = {
    "SendMelding": ("bundle", "write"),
    "HentPasientinformasjon": ("patient", "read"),
    "HentTjenester": ("episodeofcare", "read"),
    "HentBesoksplan": ("careplan", "read"),
}
"""The resource and right of the scope that each operation needs."""


class _Files(Transport):
    def __init__(self) -> None:
        self.cache = None
        self._close_session = False

    def load(self, url: str) -> bytes:
        """Return one of the texts beside the WSDLs."""
        return (_FOLDER / url.rpartition("/")[2]).read_bytes()


@dataclass(frozen=True)
class Request:
    """An envelope that VKP can read: the service, the operation, and zeep's reading of it."""

    service: str
    name: str
    envelope: str
    root: Any
    receiver: str
    """The first number by which the body names the municipality."""


@cache
def _document(service: str) -> Any:
    transport: Any = _Files()
    return Document(str(_FOLDER / f"{service}.wsdl"), transport)


@cache
def _schema(service: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(_FOLDER / f"{service}-types.xsd")))


def read(service: str, body: bytes) -> Request:
    """Read an envelope strictly by the schema of its service; raises `RefusedError`."""
    try:
        root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True))
    except etree.XMLSyntaxError as error:
        raise _refused("not well-formed XML") from error
    namespace = etree.QName(root).namespace or ""
    bodies = root.findall(f"{{{namespace}}}Body")
    if namespace not in _ENVELOPES or len(bodies) != 1 or len(bodies[0]) != 1:
        raise _refused("not an Envelope with one element in its Body")
    asked = bodies[0][0]
    name = etree.QName(asked).localname
    if not _schema(service).validate(asked) or name not in SCOPES:
        raise _refused("not valid by its schema")
    whom = [*asked.iterfind(".//{*}Receiver//{*}Ident/{*}Id"), *asked.iterfind("{*}Mottaker/*")]
    return Request(service, name, namespace, root, (whom[0].text or "").strip() if whom else "")


def accept(request: Request) -> Answer:
    """Answer as VKP might: a MsgHead with an AppRec, a search with nothing found."""
    binding, content_type = _ENVELOPES[request.envelope]
    operation = _document(request.service).bindings[f"{{{_SERVICES[request.service]}}}{binding}"].get(request.name)
    values: dict[str, Any] = {}
    if request.name == "SendMelding":
        info = operation.input.deserialize(request.root).MsgInfo
        values["AppRec"] = {
            "MsgType": {"V": "APPREC"},
            "MIGversion": "v1.1 2012-02-15",
            "GenDate": info.GenDate,
            "Id": str(uuid4()),
            "Sender": _institution(info.Receiver.Organisation),
            "Receiver": _institution(info.Sender.Organisation),
            "Status": {"V": "1", "DN": "OK"},
            "OriginalMsgId": {"MsgType": {"V": info.Type.V}, "IssueDate": info.GenDate, "Id": info.MsgId},
        }
    return Answer(etree.tostring(operation.output.serialize(**values).content), content_type)


def _institution(organisation: Any) -> dict[str, Any]:
    """Return a party of an AppRec; an Organisation may be empty, and zeep has none for it then."""
    return {"HCP": {"Inst": {"Name": organisation.OrganisationName if organisation is not None else None}}}


def refuse(body: bytes, refused: RefusedError) -> Answer:
    """Answer with a fault, in the version of SOAP that the body shows."""
    is_newer = b"2003/05/soap-envelope" in body
    namespace = list(_ENVELOPES)[is_newer]
    envelope = etree.Element(f"{{{namespace}}}Envelope", nsmap={"s": namespace})
    fault = etree.SubElement(etree.SubElement(envelope, f"{{{namespace}}}Body"), f"{{{namespace}}}Fault")
    is_ours = refused.status >= 500
    if is_newer:
        code = etree.SubElement(etree.SubElement(fault, f"{{{namespace}}}Code"), f"{{{namespace}}}Value")
        code.text = "s:Receiver" if is_ours else "s:Sender"
        reason = etree.SubElement(etree.SubElement(fault, f"{{{namespace}}}Reason"), f"{{{namespace}}}Text")
        reason.set("{http://www.w3.org/XML/1998/namespace}lang", "nb")
        reason.text = refused.code
    else:
        etree.SubElement(fault, "faultcode").text = "s:Server" if is_ours else "s:Client"
        etree.SubElement(fault, "faultstring").text = refused.code
    return Answer(etree.tostring(envelope), _ENVELOPES[namespace][1])


def _refused(why: str) -> RefusedError:
    return RefusedError(500, "2.4", "Ugyldig format.", why)
