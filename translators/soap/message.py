"""A hodemelding (MsgHead v1.2) as a tree: attributes and elements by their names, and FHIR in it as the FHIR tree that it is."""

import binascii
import re
from contextlib import suppress

from lxml import etree

from translators.contract import Reason, Refused, Repair, Tree
from translators.fhir import elements, json_codec, xml_codec
from translators.fhir.xhtml import DIV, XHTML, XML_SCHEMA_INSTANCE, text_of
from translators.fhir.xml_parser import BLANKS, Document, tag_of
from translators.payload import MSGHEAD as MSGHEAD_KIND
from translators.payload import RELEASES
from translators.soap.envelope import Opened, looked_into
from translators.soap.schema import BASE64, DIALOG_1_1, JOURNALING, MSGHEAD, SIGNATURE, messages

SEND = f"{{{JOURNALING}}}SendMelding"
_ROOT = f"{{{MSGHEAD}}}MsgHead"
_FHIR = "http://hl7.org/fhir"
_REPEATING = frozenset(
    {"Document", "PatientReport", "Ident", "TeleCom", "OtherReceiver", "Notat", "Foresporsel", "RollerRelatertNotat"}
    | {"TypeJournalinfo"}
)
_FREE_TEXTS = tuple(f"{{{DIALOG_1_1}}}{name}" for name in ("TekstNotatInnhold", "Sporsmal"))
"""The elements that may hold anything by the schema (`xs:anyType`)."""
_DROPPED = "empty-string-dropped"
_BLANK = re.compile(r"[ \t\r\n]+")
_VERSION = re.compile(r"fhirversion\s*=\s*\"?([0-9.]+)", re.IGNORECASE)
_OF_STU3 = re.compile(rb"/StructureDefinition/vkp-[A-Za-z]+-v0[56]\b")
_STU3, _R4 = RELEASES
_BY_VERSION = {"3": _STU3, "4": _R4}
_LONGEST_ID = 256


def decode(data: bytes) -> tuple[Tree, tuple[Repair, ...]]:
    """Return a SendMelding, in its Envelope or not, or a MsgHead alone, as a tree, with the corrections that this needed.

    Raises `Refused`, with what could be read for an answer, for what is not that by its schema, by the line.
    """
    found = looked_into(data)
    element = found.body
    head = element if tag_of(element) == _ROOT else next(iter(element.iterchildren(_ROOT)), None)
    try:
        return _Reader(found).read(_valid(found, head))
    except Refused as refusal:
        refusal.tree = _sketch(found, head)
        raise


def _valid(found: Opened, head: etree._Element | None) -> etree._Element:
    if found.hindrance is not None:
        raise found.hindrance
    if tag_of(found.body) not in (SEND, _ROOT):
        found.tree["hindrance"] = "operation"
        raise Refused(Reason.FORMAT, "a SendMelding with a MsgHead is expected here")
    fault = messages().fault(found.body, found.document.lines_before)
    if fault is not None or head is None:
        raise Refused(Reason.FORMAT, f"not valid by its schema: {fault}")
    return head


class _Reader:
    def __init__(self, found: Opened) -> None:
        self._found = found
        self._repairs: list[Repair] = []

    def read(self, head: etree._Element) -> tuple[Tree, tuple[Repair, ...]]:
        tree: dict[str, Tree] = {"resourceType": MSGHEAD_KIND}
        if self._found.tree:
            tree["Envelope"] = self._found.tree
        tree |= self.fields(head, MSGHEAD_KIND)
        return tree, tuple(self._repairs)

    def fields(self, element: etree._Element, path: str) -> dict[str, Tree]:
        """Return what an element holds, by the names of its attributes and elements; raises `Refused` for what has no name of its own."""
        if any((text or "").strip(BLANKS) for text in (element.text, *(child.tail for child in element))):
            raise self._refused("a text beside attributes or elements", element, path)
        fields: dict[str, Tree] = {**_attributes(element)}
        for child in element:
            tag = tag_of(child)
            name = tag.rpartition("}")[2]
            repeats = name in _REPEATING
            held = fields.setdefault(name, []) if repeats else None
            place = f"{path}.{name}[{len(held)}]" if isinstance(held, list) else f"{path}.{name}"
            value = self._value(child, tag, place, fields)
            if isinstance(held, list):
                held.append(value)
            elif name in fields:
                raise self._refused("two things of one name", child, place)
            elif value in ("", {}):
                self._repairs.append(Repair(place, _DROPPED))
            else:
                fields[name] = value
        return fields

    def _value(self, child: etree._Element, tag: str, path: str, beside: dict[str, Tree]) -> Tree:
        if tag == f"{{{SIGNATURE}}}Signature":
            return "signed"
        if tag == f"{{{MSGHEAD}}}Content":
            return self._content(child, path, beside)
        if len(child) and tag in _FREE_TEXTS:
            return self._narrative(child, path)
        if len(child) or _attributes(child):
            return self.fields(child, path)
        return child.text or ""

    def _content(self, content: etree._Element, path: str, beside: dict[str, Tree]) -> Tree:
        if len(content) > 1:
            raise self._refused("more than one element", content, path)
        for child in content:
            name = etree.QName(child)
            mime = _text(beside.get("MimeType"))
            if name.namespace == _FHIR:
                return self._fhir(etree.tostring(child, encoding="utf-8", with_tail=False), mime, path)
            if tag_of(child) == f"{{{BASE64}}}Base64Container":
                return self._base64(child.text or "", mime, path)
            if tag_of(child) != f"{{{DIALOG_1_1}}}Dialogmelding":
                raise self._refused("a message format that is not supported", content, path, Reason.UNSUPPORTED)
            return {name.localname: self.fields(child, f"{path}.{name.localname}")}
        return {}

    def _base64(self, text: str, mime: str, path: str) -> Tree:
        if "fhir" not in mime.lower():
            if "pkcs7" in mime.lower():
                raise Refused(Reason.UNSUPPORTED, "encrypted content is not read here", path)
            return {"Base64Container": text}
        try:
            data = binascii.a2b_base64(_BLANK.sub("", text), strict_mode=True)
        except ValueError:
            raise Refused(Reason.FORMAT, "not base64", path) from None
        return self._fhir(data, mime, path)

    def _fhir(self, data: bytes, mime: str, path: str) -> Tree:
        """Read a FHIR resource of the release that its MIME type names, or that it shows itself to be of."""
        if data.removeprefix(json_codec.BYTE_ORDER_MARK).lstrip().startswith(b"<"):
            release = _named(mime, path) or _shown(data)
            tree, repairs = xml_codec.decode(data, elements.stu3() if release == _STU3 else elements.r4())
            self._repairs += repairs
        else:
            tree = json_codec.decode(data)
            release = _named(mime, path) or _shown(data)
        if not isinstance(tree, dict) or not isinstance(tree.get("resourceType"), str):
            raise Refused(Reason.FORMAT, "a FHIR resource with resourceType is expected", path)
        return {release: tree}

    def _narrative(self, element: etree._Element, path: str) -> Tree:
        """Return a text with markup as the div that it is the inside of."""
        if _attributes(element):
            raise self._refused("an attribute of a text with markup", element, path)
        if any(not tag_of(child).startswith(XHTML) for child in element):
            raise self._refused("an element of another namespace than XHTML", element, path)
        div = etree.Element(DIV)
        div.text = element.text
        div.extend(list(element))
        return {"xhtml": text_of(Document(div, self._found.document.lines_before), div, path).text}

    def _refused(self, what: str, at: etree._Element, path: str, reason: Reason = Reason.FORMAT) -> Refused:
        return Refused(reason, f"{what} at line {self._found.document.line(at)}", path)


def _attributes(element: etree._Element) -> dict[str, str]:
    """Return the attributes of an element without the hints for a schema, which say nothing of the message."""
    return {name: value for name, value in element.items() if not name.startswith(XML_SCHEMA_INSTANCE)}


def _named(mime: str, path: str) -> str | None:
    """Return the release that a MIME type names, if it names one; raises `Refused` for one that VKP never had."""
    found = _VERSION.search(mime)
    if found is None:
        return None
    major = found[1].partition(".")[0]
    if major not in _BY_VERSION:
        raise Refused(Reason.UNSUPPORTED, "a release of FHIR that is neither STU3 nor R4", path)
    return _BY_VERSION[major]


def _shown(data: bytes) -> str:
    """Return the release that a resource shows itself to be of: VKP has messages and the profiles v05 and v06 in STU3 alone."""
    return _STU3 if b"MessageHeader" in data or _OF_STU3.search(data) else _R4


def _sketch(found: Opened, head: etree._Element | None) -> Tree:
    """Return what an answer needs of a message that cannot be used: who sent it to whom, and its id, as far as they are there."""
    tree: dict[str, Tree] = {"resourceType": "Envelope", "Envelope": found.tree}
    info = head.find(f"{{{MSGHEAD}}}MsgInfo") if head is not None else None
    if info is None:
        return tree
    fields: dict[str, Tree] = {}
    for name in ("MsgId", "GenDate"):
        text = info.findtext(f"{{{MSGHEAD}}}{name}") or ""
        if text.isprintable() and 0 < len(text) <= _LONGEST_ID:
            fields[name] = text
    kind = info.find(f"{{{MSGHEAD}}}Type")
    if kind is not None:
        fields["Type"] = {key: kind.get(key) for key in ("V", "DN") if kind.get(key)}
    for name in ("Sender", "Receiver"):
        # Of several nobody knows which one another reader takes.
        parties = list(found.body.iter(f"{{{MSGHEAD}}}{name}"))
        if len(parties) == 1 and parties[0].getparent() is info:
            with suppress(Refused):
                fields[name] = _Reader(found).fields(parties[0], name)
    return {**tree, "MsgInfo": fields}


def _text(value: Tree) -> str:
    return value if isinstance(value, str) else ""
