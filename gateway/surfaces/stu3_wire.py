"""The two wire forms of STU3, told apart by their first byte."""

import re

from gateway.surfaces.surface import Form
from translators.contract import Repair, Tree
from translators.fhir import elements, json_codec, xml_codec

_FIRST = re.compile(rb"[\s\x00\xef\xbb\xbf\xff\xfe]*+(.)", re.DOTALL)
"""The first byte that is neither blank nor of a byte order mark, also in UTF-16."""


def form_of(body: bytes) -> Form | None:
    """Return XML for what begins as XML does, whatever Content-Type says; None when there is nothing."""
    first = _FIRST.match(body)
    if first is None:
        return None
    return Form.XML if first[1] == b"<" else Form.JSON


def decode(body: bytes) -> tuple[Tree, tuple[Repair, ...]]:
    """Return a body as a tree, with the corrections that its form needed; raises `Refused`."""
    if form_of(body) is Form.XML:
        return xml_codec.decode(body, elements.stu3())
    return json_codec.decode(body), ()


def encode(tree: Tree, form: Form) -> bytes:
    """Write a tree."""
    if form is Form.XML:
        return xml_codec.encode(tree, elements.stu3())
    return json_codec.encode(tree)
