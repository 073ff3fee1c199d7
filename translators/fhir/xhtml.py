"""The narrative of a resource: an XHTML div as the text that FHIR JSON has for it (FHIR R4, narrative.html)."""

import re
from typing import NamedTuple

from lxml import etree

from translators.contract import Reason, Refused
from translators.fhir.xml_parser import Document, parse, tag_of

XHTML = "{http://www.w3.org/1999/xhtml}"
DIV = f"{XHTML}div"
XML_SCHEMA_INSTANCE = "{http://www.w3.org/2001/XMLSchema-instance}"
MAX_LEVELS = 64

_TO_ESCAPE = re.compile(r"[&<>\"\t\n\r]")
_XML = "{http://www.w3.org/XML/1998/namespace}"
_IN_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = _IN_TEXT | str.maketrans({'"': "&quot;", "\t": "&#9;", "\n": "&#10;"})


class Narrative(NamedTuple):
    """A div as text without prefixes, how many elements stand in it, and how many hints for a schema were left out."""

    text: str
    elements: int
    dropped: int


def attribute(value: str) -> str:
    """Return a value as it is written between quotes, so that line ends and tabs survive (XML 1.0, section 3.3.3)."""
    return value.translate(_IN_ATTRIBUTE) if _TO_ESCAPE.search(value) else value


def text_of(document: Document, div: etree._Element, path: str) -> Narrative:
    """Write a div, whatever prefixes its sender used; an element with nothing in it becomes `<br/>`.

    Raises `Refused` for what is not XHTML inside it, and for more than `MAX_LEVELS` levels.
    """
    writer = _Writer(document, path)
    writer.element(div, ' xmlns="http://www.w3.org/1999/xhtml"', 0)
    return Narrative("".join(writer.parts), writer.elements - 1, writer.dropped)


def checked(text: str) -> str:
    """Return the text of a div as it is to be written into XML.

    Raises `ValueError` when it is no well-formed XHTML div.
    """
    try:
        document = parse(text.encode("utf-8", "surrogatepass"))
        if tag_of(document.root) != DIV:
            raise ValueError("a narrative is a div of the XHTML namespace")
        return text_of(document, document.root, "div").text
    except Refused:
        raise ValueError("a narrative is not well-formed XHTML") from None


class _Writer:
    def __init__(self, document: Document, path: str) -> None:
        self.parts: list[str] = []
        self.elements = 0
        self.dropped = 0
        self._document = document
        self._path = path

    def element(self, at: etree._Element, head: str, level: int) -> None:
        if level == MAX_LEVELS:
            raise Refused(Reason.FORMAT, f"nested too deep at line {self._document.line(at)}", self._path)
        tag = tag_of(at)
        if not tag.startswith(XHTML):
            raise self._not_xhtml("an element", at)
        name = tag.removeprefix(XHTML)
        self.elements += 1
        self.parts.append(f"<{name}{head}")
        for key, value in at.items():
            self._attribute(at, key, value)
        if at.text is None and not len(at):
            self.parts.append("/>")
            return
        self.parts.append(">" + (at.text or "").translate(_IN_TEXT))
        for child in at:
            self.element(child, "", level + 1)
            self.parts.append((child.tail or "").translate(_IN_TEXT))
        self.parts.append(f"</{name}>")

    def _attribute(self, at: etree._Element, key: str, value: str) -> None:
        if key.startswith(XML_SCHEMA_INSTANCE):
            self.dropped += 1
            return
        name = f"xml:{key.removeprefix(_XML)}" if key.startswith(_XML) else key
        if name.startswith("{"):
            raise self._not_xhtml("an attribute", at)
        self.parts.append(f' {name}="{attribute(value)}"')

    def _not_xhtml(self, what: str, at: etree._Element) -> Refused:
        return Refused(
            Reason.FORMAT, f"{what} of another namespace than XHTML at line {self._document.line(at)}", self._path
        )
