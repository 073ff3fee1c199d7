"""What a primitive value of FHIR R4 must be, and a narrative: by rules of this package's own (hl7.org/fhir/R4/datatypes.html)."""

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable

from service_stubs.fhir_times import is_clock, is_moment

_HTML = "http://www.w3.org/1999/xhtml"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TAGS = _words(
    "a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6"
    " hr i img kbd li map ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var"
)
_ATTRIBUTES = _words(
    "abbr accesskey align alt axis border cellpadding cellspacing char charoff charset cite class colspan coords dir frame"
    " headers height href hreflang id ismap lang longdesc name nohref nowrap rel rev rowspan rules scope shape space span src"
    " style summary tabindex title type usemap valign width"
)
_XML_ATTRIBUTES = {"{http://www.w3.org/XML/1998/namespace}lang", "{http://www.w3.org/XML/1998/namespace}space"}
_NOT_IN_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def text_fault(kind: str, value: str) -> str | None:
    """Return what is wrong with a text that is a primitive of this type (as the models call it: `DateTime`)."""
    if bad := _NOT_IN_TEXT.search(value):
        return f"U+{ord(bad[0]):04X} is not allowed in a text"
    rule = _RULES.get(kind)
    return None if rule is None or rule(value) else f"not a valid {kind[0].lower()}{kind[1:]}"


def is_absolute(value: str) -> bool:
    """Tell whether a URI begins with a scheme."""
    scheme, colon, rest = value.partition(":")
    return bool(colon and rest) and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme) is not None and _is_uri(value)


def decoded_size(data: str) -> int:
    """Count the bytes that base64 stands for."""
    return len(base64.b64decode(data))


def narrative_fault(div: str) -> str | None:
    """Return what is wrong with an XHTML div."""
    if "<!DOCTYPE" in div:
        return "a narrative has no DOCTYPE"
    try:
        root = ET.fromstring(div)  # noqa: S314 - no DOCTYPE, so no entities
    except (ET.ParseError, ValueError):
        return "the narrative is not well-formed XHTML"
    if root.tag != f"{{{_HTML}}}div":
        return "not an XHTML div"
    for element in root.iter():
        if element.tag.removeprefix(f"{{{_HTML}}}") not in _TAGS:
            return "an element that a narrative may not have (txt-1)"
        for name, value in element.attrib.items():
            is_script = name in ("href", "src") and value.strip().lower().startswith(("javascript:", "vbscript:"))
            if is_script or (name not in _ATTRIBUTES and name not in _XML_ATTRIBUTES):
                return "an attribute that a narrative may not have (txt-1)"
    has_image = root.find(f".//{{{_HTML}}}img") is not None
    return None if has_image or "".join(root.itertext()).strip() else "the narrative says nothing (txt-2)"


def _is_uri(value: str) -> bool:
    if value.startswith("urn:uuid:"):
        return re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value) is not None
    if value.startswith("urn:oid:"):
        return re.fullmatch(r"urn:oid:[0-2](\.(0|[1-9]\d*))+", value, re.ASCII) is not None
    return bool(value) and not re.search(r"\s", value)


def _is_base64(value: str) -> bool:
    try:
        return bool(base64.b64decode(re.sub(r"\s", "", value), validate=True))
    except ValueError:
        return False


_RULES: dict[str, Callable[[str], object]] = {
    "Base64Binary": _is_base64,
    "Canonical": lambda value: value.startswith("#") or is_absolute(value),
    "Code": re.compile(r"[^\s]+( [^\s]+)*").fullmatch,
    "Date": lambda value: is_moment(value, most="day"),
    "DateTime": lambda value: is_moment(value, most="time"),
    "Id": re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch,
    "Instant": lambda value: is_moment(value, least="time", most="time"),
    "Oid": lambda value: value.startswith("urn:oid:") and _is_uri(value),
    "Time": is_clock,
    "Uri": _is_uri,
    "Url": _is_uri,
}
