"""The schemas of the SOAP interface, written here after the national message formats, and what is told of a fault by them."""

import re
from functools import cache
from importlib import resources
from pathlib import Path
from threading import Lock

from lxml import etree

FOLDER = Path(str(resources.files("translators.soap") / "schemas"))
MSGHEAD = "http://www.kith.no/xmlstds/msghead/2006-05-24"
APPREC_1_0 = "http://www.kith.no/xmlstds/apprec/2004-11-21"
APPREC_1_1 = "http://www.kith.no/xmlstds/apprec/2012-02-15"
BASE64 = "http://www.kith.no/xmlstds/base64container"
DIALOG_1_1 = "http://www.kith.no/xmlstds/dialog/2013-01-23"
SIGNATURE = "http://www.w3.org/2000/09/xmldsig#"
JOURNALING = "http://vkp.nhn.no/Journalforing"
RETRIEVAL = "http://vkp.nhn.no/Innhenting"
COMMON = "http://vkp.nhn.no/Common"

_FAULTS = (
    ("COMPLEX_TYPE_3_2", "an attribute that is not allowed there"),
    ("ATTRIBUTE", "an attribute that is not allowed there, or with a value of another type"),
    ("ELEMENT_CONTENT", "an element that is not expected there, or one that is missing before it"),
    ("DATATYPE", "a value of another type"),
    ("FACET", "a value of another type"),
    ("PATTERN", "a value of another type"),
    ("ENUMERATION", "a value of another type"),
    ("CVC_ELT_5", "another value than the only one that is allowed"),
)
_OTHER = "not what the schema says"
_ELEMENT = re.compile(r"Element '(?:\{[^}]*\})?([^']*)'")
_NAMED = re.compile(r'name="([A-Za-z0-9å]+)"')


class Schema:
    """One set of schemas; it may be used by several threads."""

    def __init__(self, *files: str) -> None:
        imports = "".join(
            f'<xs:import namespace="{_namespace(FOLDER / name)}" schemaLocation="{(FOLDER / name).as_uri()}"/>'
            for name in files
        )
        root = etree.fromstring(f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">{imports}</xs:schema>')
        self._schema = etree.XMLSchema(root)
        self._lock = Lock()

    def fault(self, element: etree._Element, lines_before: int = 0) -> str | None:
        """Return what is wrong with an element, and in which line; None when nothing is. No value is ever repeated."""
        with self._lock:
            if self._schema.validate(element):
                return None
            errors = list(self._schema.error_log)
        if not errors:
            return _OTHER
        first = errors[0]
        kind = next((text for part, text in _FAULTS if part in first.type_name), _OTHER)
        named = _ELEMENT.search(first.message)
        name = named[1] if named is not None and named[1] in _names() else None
        where = f"{name}: " if name is not None else ""
        return f"{where}{kind}, at line {first.line + lines_before}"


def _namespace(path: Path) -> str:
    return str(etree.parse(str(path)).getroot().get("targetNamespace"))


@cache
def _names() -> frozenset[str]:
    """Return every name of the schemas: no other is repeated, for it may be anything."""
    texts = (path.read_text(encoding="utf-8") for path in FOLDER.glob("*.xsd"))
    return frozenset(name for text in texts for name in _NAMED.findall(text))


@cache
def messages() -> Schema:
    """Return the schemas of the wrapper, MsgHead and what stands in it."""
    return Schema("journalforing-types.xsd", "common.xsd")


@cache
def searches() -> Schema:
    """Return the schemas of retrieval."""
    return Schema("innhenting-types.xsd", "common.xsd")
