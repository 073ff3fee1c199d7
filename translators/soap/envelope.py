"""SOAP 1.1 and 1.2 envelopes: opened, with what the answer needs of their headers."""

import codecs
import re
from dataclasses import dataclass

from lxml import etree

from translators.contract import Reason, Refused, Tree
from translators.fhir.xml_parser import BLANKS, Document, parse, tag_of

SOAP_1_1 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_1_2 = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = ("http://www.w3.org/2005/08/addressing", "http://schemas.xmlsoap.org/ws/2004/08/addressing")
VERSIONS = {SOAP_1_1: "1.1", SOAP_1_2: "1.2"}
NOT_UNDERSTOOD = "a header that must be understood, and is not"
OF_NO_VERSION = "an Envelope of neither SOAP 1.1 nor SOAP 1.2"
"""What is said of the Envelope where SOAP itself has a code for it."""
_XOP = "{http://www.w3.org/2004/08/xop/include}Include"
_ENCRYPTED = ("{http://www.w3.org/2001/04/xmlenc#}EncryptedData", "{http://www.w3.org/2001/04/xmlenc#}EncryptedKey")
_LONGEST_ID = 256
_ROLE = {SOAP_1_1: f"{{{SOAP_1_1}}}actor", SOAP_1_2: f"{{{SOAP_1_2}}}role"}
_OUR_ROLES = frozenset(
    {
        "",
        "http://schemas.xmlsoap.org/soap/actor/next",
        f"{SOAP_1_2}/role/next",
        f"{SOAP_1_2}/role/ultimateReceiver",
    }
)
"""Whom a header is for that is for us; any other role is another's to play (SOAP 1.1, 4.2.2; SOAP 1.2, 2.2)."""
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DECLARED = re.compile(r"""(\s*<\?xml[^>]{0,200}?\sencoding\s*=\s*["'])([A-Za-z][A-Za-z0-9._-]*)""")
_BEGINNING = 512
_ENCODINGS = {"iso-8859-1": "iso-8859-1", "iso-8859-15": "iso-8859-15", "windows-1252": "cp1252"}


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope's content, or a document that came without one."""

    document: Document
    body: etree._Element
    """The only element in the Body."""
    tree: dict[str, Tree]
    """What the answer needs: `version` of SOAP, the `MessageID` and its namespace where WS-Addressing gives one, and
    `hindrance` where it says nothing that could be answered as a message: `header`, `content`, or `operation` that is asked for."""
    hindrance: Refused | None = None
    """Why the content is not to be used, though it can be looked at."""


def is_package(data: bytes) -> bool:
    """Tell whether a body is a MIME package, as MTOM sends, and no XML document."""
    return data.lstrip().startswith(b"--")


def opened(data: bytes) -> Opened:
    """Open an envelope; raises `Refused` for what is none with one element in its Body, or must not be used.

    A document without an envelope is taken as it is, as the national message formats have it in files.
    """
    found = looked_into(data)
    if found.hindrance is not None:
        raise _with(found.tree, found.hindrance)
    return found


def looked_into(data: bytes) -> Opened:
    """Open an envelope whose content need not be used: whom it is for can be seen all the same; raises `Refused`."""
    if is_package(data):
        raise Refused(Reason.FORMAT, "a MIME package (MTOM/XOP) is not read here: send the Envelope alone")
    document = parse(_in_utf_8(data), keeps_blanks=True)
    root = document.root
    namespace = etree.QName(root).namespace or ""
    if etree.QName(root).localname != "Envelope":
        return Opened(document, root, {})
    if namespace not in VERSIONS:
        raise _with({}, Refused(Reason.FORMAT, OF_NO_VERSION))
    tree: dict[str, Tree] = {"version": VERSIONS[namespace]}
    header, body = root.find(f"{{{namespace}}}Header"), _body(root, namespace, tree)
    hindrance = _read_header(header, namespace, tree) if header is not None else None
    if hindrance is not None:
        tree["hindrance"] = "header"
    elif (hindrance := _unreadable(root)) is not None:
        tree["hindrance"] = "content"
    if len(body) != 1 or _has_text(body):
        raise _with(tree, hindrance or Refused(Reason.FORMAT, "one element is expected in the Body"))
    return Opened(document, body[0], tree, hindrance)


def _body(root: etree._Element, namespace: str, tree: dict[str, Tree]) -> etree._Element:
    """Return the Body; after it SOAP 1.1 allows elements of others, which say nothing here, and SOAP 1.2 none."""
    bodies = root.findall(f"{{{namespace}}}Body")
    has_header = root.find(f"{{{namespace}}}Header") is not None
    expected = [f"{{{namespace}}}Header"] * has_header + [f"{{{namespace}}}Body"]
    found = [tag_of(child) for child in root]
    has_more = namespace == SOAP_1_2 and len(found) > len(expected)
    if found[: len(expected)] != expected or len(bodies) != 1 or has_more or _has_text(root):
        raise _with(tree, Refused(Reason.FORMAT, "an Envelope has one Header at most, and then one Body"))
    return bodies[0]


def _has_text(element: etree._Element) -> bool:
    return any((text or "").strip(BLANKS) for text in (element.text, *(child.tail for child in element)))


def _read_header(header: etree._Element, namespace: str, tree: dict[str, Tree]) -> Refused | None:
    """Read what WS-Addressing says; of all else that is for us only whether it must be understood."""
    for block in header:
        name = etree.QName(block)
        if name.namespace in ADDRESSING:
            if name.localname == "MessageID" and 0 < len(found := (block.text or "").strip()) <= _LONGEST_ID:
                tree |= {"MessageID": found, "addressing": name.namespace}
        elif (block.get(_ROLE[namespace]) or "").strip() not in _OUR_ROLES:
            continue
        elif (block.get(f"{{{namespace}}}mustUnderstand") or "").strip() in ("1", "true"):
            return Refused(Reason.UNSUPPORTED, NOT_UNDERSTOOD)
    return None


def _unreadable(root: etree._Element) -> Refused | None:
    if any(next(root.iter(tag), None) is not None for tag in _ENCRYPTED):
        return Refused(Reason.UNSUPPORTED, "encrypted content is not read here")
    if next(root.iter(_XOP), None) is not None:
        return Refused(Reason.FORMAT, "an Include of XOP has no package here")
    return None


def _in_utf_8(data: bytes) -> bytes:
    """Return a document in UTF-8: one in UTF-16 with its byte order mark, or in a Latin alphabet that its declaration names.

    What names one, and is UTF-8 beyond ASCII all the same, could be either: it is left as it is, and the parser refuses it.
    """
    encoding = "utf-16"
    if not data.startswith(_UTF_16):
        declared = _DECLARED.match(data[:_BEGINNING].decode("latin-1"))
        named = _ENCODINGS.get(declared[2].lower()) if declared is not None else None
        if named is None or (not data.isascii() and _is_utf_8(data)):
            return data
        encoding = named
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Refused(Reason.FORMAT, f"not in its own encoding at byte {error.start}") from None
    declared = _DECLARED.match(text)
    text = text if declared is None else f"{declared[1]}utf-8{text[declared.end() :]}"
    return text.encode("utf-8")


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _with(tree: dict[str, Tree], refusal: Refused) -> Refused:
    refusal.tree = {"resourceType": "Envelope", "Envelope": tree}
    return refusal
