"""SOAP 1.1 and 1.2 envelopes: opened, with what the answer needs of their headers."""

from dataclasses import dataclass

from lxml import etree

from translators.contract import Reason, Refused, Tree
from translators.fhir.xml_parser import Document, parse, tag_of

SOAP_1_1 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_1_2 = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = ("http://www.w3.org/2005/08/addressing", "http://schemas.xmlsoap.org/ws/2004/08/addressing")
VERSIONS = {SOAP_1_1: "1.1", SOAP_1_2: "1.2"}
_XOP = "{http://www.w3.org/2004/08/xop/include}Include"
_ENCRYPTED = ("{http://www.w3.org/2001/04/xmlenc#}EncryptedData", "{http://www.w3.org/2001/04/xmlenc#}EncryptedKey")
_LONGEST_ID = 256


class UnderstoodNot(Refused):
    """A header that must be understood, and is not."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope's content, or a document that came without one."""

    document: Document
    body: etree._Element
    """The only element in the Body."""
    tree: dict[str, Tree]
    """What the answer needs: `version` of SOAP, and the `MessageID` and its namespace where WS-Addressing gives one."""


def is_package(data: bytes) -> bool:
    """Tell whether a body is a MIME package, as MTOM sends, and no XML document."""
    return data.lstrip().startswith(b"--")


def opened(data: bytes) -> Opened:
    """Open an envelope; raises `Refused` for what is none with one element in its Body.

    A document without an envelope is taken as it is, as the national message formats have it in files.
    """
    if is_package(data):
        raise Refused(Reason.FORMAT, "a MIME package (MTOM/XOP) is not read here: send the Envelope alone")
    document = parse(data, keeps_blanks=True)
    root = document.root
    namespace = etree.QName(root).namespace or ""
    if etree.QName(root).localname != "Envelope":
        return Opened(document, root, {})
    if namespace not in VERSIONS:
        raise Refused(Reason.FORMAT, "an Envelope of neither SOAP 1.1 nor SOAP 1.2")
    tree: dict[str, Tree] = {"version": VERSIONS[namespace]}
    header = root.find(f"{{{namespace}}}Header")
    bodies = root.findall(f"{{{namespace}}}Body")
    expected = [f"{{{namespace}}}Header"] * (header is not None) + [f"{{{namespace}}}Body"]
    if [tag_of(child) for child in root][: len(expected)] != expected or len(bodies) != 1:
        raise _with(tree, Refused(Reason.FORMAT, "an Envelope has one Header at most, and then one Body"))
    if header is not None:
        _read_header(header, namespace, tree)
    if any(next(root.iter(tag), None) is not None for tag in _ENCRYPTED):
        raise _with(tree, Refused(Reason.UNSUPPORTED, "encrypted content is not read here"))
    if next(root.iter(_XOP), None) is not None:
        raise _with(tree, Refused(Reason.FORMAT, "an Include of XOP has no package here"))
    if len(bodies[0]) != 1:
        raise _with(tree, Refused(Reason.FORMAT, "one element is expected in the Body"))
    return Opened(document, bodies[0][0], tree)


def _read_header(header: etree._Element, namespace: str, tree: dict[str, Tree]) -> None:
    """Read what WS-Addressing says; of all else only that it need not be understood."""
    for block in header:
        name = etree.QName(block)
        if name.namespace in ADDRESSING:
            if name.localname == "MessageID" and 0 < len(found := (block.text or "").strip()) <= _LONGEST_ID:
                tree |= {"MessageID": found, "addressing": name.namespace}
        elif (block.get(f"{{{namespace}}}mustUnderstand") or "").strip() in ("1", "true"):
            raise _with(tree, UnderstoodNot(Reason.UNSUPPORTED, "a header that must be understood, and is not"))


def _with(tree: dict[str, Tree], refusal: Refused) -> Refused:
    refusal.tree = {"resourceType": "Envelope", "Envelope": tree}
    return refusal
