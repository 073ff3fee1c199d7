"""XML text to an element tree: UTF-8 only, no DOCTYPE, nothing fetched, nothing expanded, nothing mended by guess."""

import re
from typing import NamedTuple

from lxml import etree

from translators.contract import Reason, Refused
from translators.fhir.familiar import Names, apart

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLANKS = " \t\r\n"
"""What XML calls white space (XML 1.0, section 2.3); a no-break space is text."""

# Only in a narrative is text between elements text; without one, a third of the time goes into blanks that say nothing.
_NARRATIVE = b"div"
_DECLARED = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)""")
_GAP = re.compile(rb"\s*+")
_BEFORE_A_DOCTYPE = ((b"<?", b"?>"), (b"<!--", b"-->"))
"""Instructions and comments, by how they begin and end (XML 1.0, section 2.8)."""

_NAMES = Names()

# lxml takes time by the square of an element's attributes to list them; below this many bytes they cannot be enough to matter.
_MANY_ATTRIBUTES = 16_384
_TOO_MANY_ATTRIBUTES = etree.XPath("boolean(//*[@*[17]])")


class Document(NamedTuple):
    """A well-formed text: its root, and how many blank lines stood before it, which the parser did not count."""

    root: etree._Element
    lines_before: int

    def line(self, element: etree._Element) -> int:
        """Return the line of the text where an element begins."""
        return (element.sourceline or 1) + self.lines_before


def parse(data: bytes, *, keeps_blanks: bool = False) -> Document:
    """Read one XML document without comments and processing instructions.

    Blanks between elements are kept where they are asked for, and where there may be a narrative. A byte order mark and blanks before the first `<` are passed over. Raises `Refused` for what is not well-formed, is not
    UTF-8 or says that it is not, has a DOCTYPE, or passes the limits of libxml2 (256 levels, 10 MB in one text).
    """
    text = data.removeprefix(BYTE_ORDER_MARK)
    body = text.lstrip(BLANKS.encode())
    lines_before = text.count(b"\n", 0, len(text) - len(body))
    _refuse_encoding(data, body)
    if _has_doctype(body):
        raise Refused(Reason.FORMAT, "a DOCTYPE is not allowed")
    try:
        familiar = _NAMES.are_familiar(body)
        root = _read(body, keeps_blanks) if familiar else apart(lambda: _read(body, keeps_blanks))
    except etree.XMLSyntaxError as error:
        line = max(error.lineno or 1, 1) + lines_before
        is_limit = error.code == etree.ErrorTypes.ERR_RESOURCE_LIMIT
        what = "nested too deep or too long" if is_limit else "not well-formed XML"
        raise Refused(Reason.FORMAT, f"{what} at line {line}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise Refused(Reason.FORMAT, "a DOCTYPE is not allowed")
    if len(body) > _MANY_ATTRIBUTES and _TOO_MANY_ATTRIBUTES(root):
        raise Refused(Reason.FORMAT, "an element with more attributes than FHIR has")
    return Document(root, lines_before)


def tag_of(element: etree._Element) -> str:
    """Return the tag of an element that `parse` gave: always a text, for comments and instructions are not there."""
    return str(element.tag)


def _read(body: bytes, keeps_blanks: bool) -> etree._Element:
    return etree.fromstring(body, _parser(keeps_blanks=keeps_blanks or _NARRATIVE in body))


def _parser(*, keeps_blanks: bool) -> etree.XMLParser:
    """Return a new parser: one that is kept holds a lock that threads wait for, and the errors of the text it read last."""
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
        remove_blank_text=not keeps_blanks,
    )


def _has_doctype(body: bytes) -> bool:
    """Tell whether a DOCTYPE is the first of a text after instructions and comments, before anything reads it."""
    at = _end_of_gap(body, 0)
    while found := next((each for each in _BEFORE_A_DOCTYPE if body.startswith(each[0], at)), None):
        begins, ends = found
        end = body.find(ends, at + len(begins))
        if end < 0:
            return False
        at = _end_of_gap(body, end + len(ends))
    return body.startswith(b"<!DOCTYPE", at)


def _end_of_gap(body: bytes, at: int) -> int:
    gap = _GAP.match(body, at)
    return gap.end() if gap is not None else at


def _refuse_encoding(data: bytes, body: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(Reason.FORMAT, f"not UTF-8 at byte {error.start}") from None
    declared = _DECLARED.match(body)
    if declared is None:
        return
    name = declared[1].lower()
    if name not in (b"utf-8", b"utf8") and not (name == b"us-ascii" and data.isascii()):
        raise Refused(Reason.FORMAT, "the XML declaration names another encoding than UTF-8")
