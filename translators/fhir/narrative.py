"""What the `div` of a narrative may hold: well-formed XHTML of the basic elements, and something to read.

FHIR R4, narrative.html: invariants txt-1 and txt-2. The elements and attributes are those of HTML 4.0, chapters 7 to 11 and
15, as HL7's validator takes them.
"""

import re
from typing import Final

from lxml import etree

from translators.contract import Refused
from translators.fhir.xhtml import DIV, XHTML
from translators.fhir.xml_parser import parse, tag_of

_ENTITY = r"&(?:amp|lt|gt|quot|apos);"
_INLINE = rf"[^<>&\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]++|<br ?/>|{_ENTITY}"
_PLAIN = re.compile(rf'<div xmlns="http://www\.w3\.org/1999/xhtml">(?:{_INLINE}|<p>(?:{_INLINE})*</p>)*</div>')
"""Most narratives: paragraphs, lines and text. Any other is parsed, and so is a long one: each of its pieces would take memory here."""
_LONGEST_PLAIN = 20_000
_SAYS_SOMETHING = re.compile(r">\s*+[^<\s]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ELEMENTS = _words(
    "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6"
    " hr i img kbd li map ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var"
)
_ATTRIBUTES = _words(
    "abbr accesskey align axis char charoff class colspan dir headers id lang rowspan scope span style tabindex title"
    " valign width xml:lang xml:space"
)
_OF_ELEMENT: Final = {
    "a": _words("charset coords href hreflang name rel rev shape type"),
    "area": _words("alt coords href nohref shape"),
    "blockquote": frozenset({"cite"}),
    "img": _words("alt border height ismap longdesc src usemap"),
    "map": frozenset({"name"}),
    "pre": frozenset({"space"}),
    "q": frozenset({"cite"}),
    "table": _words("border cellpadding cellspacing frame rules summary"),
    "td": frozenset({"nowrap"}),
}
_INSIDE: Final = {
    "li": frozenset({"ul", "ol"}),
    "dt": frozenset({"dl"}),
    "dd": frozenset({"dl"}),
    "caption": frozenset({"table"}),
    "colgroup": frozenset({"table"}),
    "col": frozenset({"table", "colgroup"}),
    "thead": frozenset({"table"}),
    "tbody": frozenset({"table"}),
    "tfoot": frozenset({"table"}),
    "tr": frozenset({"table", "thead", "tbody", "tfoot"}),
    "th": frozenset({"tr"}),
    "td": frozenset({"tr"}),
}
_ACTIVE = re.compile(r"\s*(?:javascript|vbscript|data)\s*:", re.IGNORECASE)
_XML = "{http://www.w3.org/XML/1998/namespace}"


def narrative_fault(div: str) -> str | None:
    """Return what is wrong with a div, in words that hold nothing of it, or None."""
    if len(div) <= _LONGEST_PLAIN and _PLAIN.fullmatch(div):
        return None if _SAYS_SOMETHING.search(div) else "a narrative without any text (txt-2)"
    try:
        root = parse(div.encode("utf-8", "surrogatepass")).root
    except Refused:
        return "not well-formed XHTML"
    if tag_of(root) != DIV:
        return "not a div of XHTML"
    says_something = False
    for element in root.iter():
        fault = _element_fault(element)
        if fault is not None:
            return fault
        texts = (element.text, element.tail if element is not root else None)
        says_something |= tag_of(element) == f"{XHTML}img" or any(text and text.strip() for text in texts)
    return None if says_something else "a narrative without any text (txt-2)"


def _element_fault(element: etree._Element) -> str | None:
    tag = tag_of(element)
    name = tag.removeprefix(XHTML)
    if not tag.startswith(XHTML) or name not in _ELEMENTS:
        return "an element that no narrative may hold (txt-1)"
    parent = element.getparent()
    if name in _INSIDE and (parent is None or tag_of(parent).removeprefix(XHTML) not in _INSIDE[name]):
        return "an element of a list or table outside of one (txt-1)"
    for key, value in element.items():
        attribute = f"xml:{key.removeprefix(_XML)}" if key.startswith(_XML) else key
        if attribute not in _ATTRIBUTES and attribute not in _OF_ELEMENT.get(name, ()):
            return "an attribute that no narrative may hold (txt-1)"
        if attribute in ("href", "src") and _ACTIVE.match(value):
            return "a link to active content (txt-1)"
    return None
