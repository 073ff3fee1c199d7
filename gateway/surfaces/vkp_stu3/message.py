"""The MessageHeader of an STU3 message, read before anything is repaired: shapes that VKP lets pass are tolerated."""

import re
from collections.abc import Iterator

from gateway.surfaces.base import Form
from translators.contract import Reason, Refused, Repair, Tree
from translators.fhir import elements, json_codec, xml_codec
from translators.fhir.invariants import objects
from translators.identity import text_of

HEADER = "MessageHeader"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_URN = "urn:uuid:"
_HER_IDS = frozenset({"urn:oid:2.16.578.1.12.4.1.2", "http://ehelse.no/fhir/identifiertypes/HERID", ""})
_QUOTED = ("resourceType", "id", "event", "sender", "receiver")
OTHER_NUMBER = "not a HER-id"
"""What a number of another kind than a HER-id is told as: it names no party here."""


def check_message(tree: dict[str, Tree]) -> None:
    """Raise `Refused` unless a Bundle is a message whose first entry is its header."""
    if text_of(tree.get("type")) != "message":
        raise Refused(Reason.FORMAT, "a Bundle of type message is expected at this address", "Bundle.type")
    if header_of(tree) is None:
        raise Refused(Reason.FORMAT, f"a {HEADER} is expected as the first resource", "Bundle.entry[0].resource")


def header_of(tree: Tree) -> dict[str, Tree] | None:
    """Return the header of a message; None for anything else."""
    entry = _first(tree.get("entry")) if isinstance(tree, dict) else None
    header = _first(entry.get("resource")) if entry is not None else None
    return header if header is not None and text_of(header.get("resourceType")) == HEADER else None


def message_id(tree: Tree) -> str | None:
    """Return the id that an answer names its message by: the header's own, or the one of its address in the Bundle."""
    header = header_of(tree)
    entry = _first(tree.get("entry")) if isinstance(tree, dict) else None
    candidates = (
        text_of(header.get("id")) if header else "",
        text_of(entry.get("fullUrl")).removeprefix(_URN) if entry else "",
    )
    return next((one for one in candidates if _ID.fullmatch(one)), None)


def outline(tree: Tree) -> Tree:
    """Return a message with what its answer quotes and its parties are told by; None for anything else."""
    header = header_of(tree)
    entry = _first(tree.get("entry")) if isinstance(tree, dict) else None
    if header is None or entry is None:
        return None
    quoted: dict[str, Tree] = {name: header[name] for name in _QUOTED if name in header}
    address = {"fullUrl": entry["fullUrl"]} if "fullUrl" in entry else {}
    return {"resourceType": "Bundle", "entry": [{**address, "resource": quoted}]}


def parties(header: dict[str, Tree], role: str) -> Iterator[str]:
    """Go through the numbers that name `sender` or `receiver`; one that is left out names nobody."""
    for reference in objects(header.get(role)):
        for identifier in objects(reference.get("identifier")):
            if value := text_of(identifier.get("value")):
                yield value if text_of(identifier.get("system")) in _HER_IDS else OTHER_NUMBER


def texts(value: Tree, *names: str) -> dict[str, Tree]:
    """Return those of an element's parts that are texts, as the sender wrote them."""
    element = _first(value) or {}
    return {name: text for name in names if isinstance(text := element.get(name), str) and text.strip()}


def reference(header: dict[str, Tree], role: str) -> dict[str, Tree]:
    """Return who is named as `sender` or `receiver`, as the sender wrote it; empty when nobody is."""
    element = _first(header.get(role)) or {}
    identifier: Tree = texts(element.get("identifier"), "system", "value")
    return {**({"identifier": identifier} if identifier else {}), **texts(element, "display")}


def _first(value: Tree) -> dict[str, Tree] | None:
    one = value[0] if isinstance(value, list) and value else value
    return one if isinstance(one, dict) else None


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
