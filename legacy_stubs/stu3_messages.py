"""STU3 messages as VKP reads and answers them: XML or JSON by the first character, and the answer in the same form."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import msgspec

from legacy_stubs.outcomes import RefusedError, invalid_format, received_outcome

_FHIR = "http://hl7.org/fhir"
_ENDPOINT = "https://vkp.azure-devices.net/devices/"
_PROFILE = "http://ehelse.no/fhir/StructureDefinition/vkp-MessageHeader-v06"
_CONTENT_TYPES = {
    "json": "application/fhir+json; charset=utf-8",
    "xml": "application/fhir+xml; charset=utf-8",
}

Tree = dict[str, Any]

ET.register_namespace("", _FHIR)


@dataclass(frozen=True)
class Message:
    """What VKP looks at of a message: its kind, its header, and which form it has."""

    form: str
    kind: str
    header: Tree | None
    tree: Tree


@dataclass(frozen=True)
class Answer:
    """A body and its media type."""

    body: bytes
    content_type: str


def form_of(body: bytes) -> str:
    """Tell XML from JSON; Content-Type is not looked at."""
    return "xml" if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else "json"


def read_message(body: bytes, kind: str) -> Message:
    """Read what VKP needs of a message, and refuse only what cannot be read at all."""
    form = form_of(body)
    found = _read_xml(body) if form == "xml" else _read_json(body)
    if found.get("resourceType") != kind:
        raise invalid_format(f"the body is not a {kind}")
    header = _at(found, "entry", "resource") if kind == "Bundle" else None
    if kind == "Bundle" and (header is None or header.get("resourceType") != "MessageHeader"):
        raise invalid_format("the first resource is not a MessageHeader")
    return Message(form, kind, header, found)


def accept(message: Message, her_id: str) -> Answer:
    """Answer what was journaled: a message with a message, an Encounter with an OperationOutcome."""
    if message.header is None:
        return _written(received_outcome(message.kind), message.form)
    return _written(_answer(message.header, her_id, {"code": "ok"}), message.form)


def refuse(body: bytes, kind: str, her_id: str, refused: RefusedError) -> Answer:
    """Answer what was refused: with a message if the body is one that can be read."""
    try:
        message = read_message(body, kind)
    except RefusedError:
        message = Message(form_of(body), kind, None, {})
    if message.header is None:
        return _written(refused.outcome(), message.form)
    identifier = str(uuid4())
    code = "transient-error" if refused.code == "3.1" else "fatal-error"
    bundle = _answer(message.header, her_id, {"code": code, "details": {"reference": f"urn:uuid:{identifier}"}})
    bundle["entry"].append(_entry(identifier, refused.outcome()))
    return _written(bundle, message.form)


def _answer(header: Tree, her_id: str, response: Tree) -> Tree:
    parts: Tree = {
        "resourceType": "MessageHeader",
        "meta": {"profile": [_PROFILE]},
        "event": header.get("event"),
        "receiver": header.get("sender"),
        "sender": header.get("receiver"),
        "timestamp": "2026-11-03T08:00:21+01:00",
        "source": {"endpoint": _ENDPOINT + her_id},
        "response": {"identifier": header.get("id") or "unknown", **response},
    }
    resource = {name: value for name, value in parts.items() if value is not None}
    return {
        "resourceType": "Bundle",
        "id": str(uuid4()),
        "type": "message",
        "entry": [_entry(str(uuid4()), resource)],
    }


def _entry(identifier: str, resource: Tree) -> Tree:
    kind = resource["resourceType"]
    return {"fullUrl": f"urn:uuid:{identifier}", "resource": {"resourceType": kind, "id": identifier, **resource}}


def _read_json(body: bytes) -> Tree:
    try:
        found = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise invalid_format("the body is not JSON") from error
    return found if isinstance(found, dict) else {}


def _read_xml(body: bytes) -> Tree:
    try:
        root = ET.fromstring(body)  # noqa: S314 - a double on loopback, and expat bounds what entities may grow to
        return _resource(root)
    except (ET.ParseError, ValueError, LookupError, RecursionError) as error:
        raise invalid_format("the body is not XML") from error


def _resource(element: ET.Element) -> Tree:
    return {"resourceType": _name(element), **_children(element)}


def _children(element: ET.Element) -> Tree:
    """Read every child; what stands several times becomes a list."""
    found: Tree = {}
    for child in element:
        name, value = _name(child), _value(child)
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _value(element: ET.Element) -> Any:
    if _name(element) == "resource" and len(element):
        return _resource(element[0])
    return element.get("value") if not len(element) else _children(element)


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _at(tree: Any, *names: str) -> Tree | None:
    for name in names:
        tree = tree.get(name) if isinstance(tree, dict) else None
        tree = tree[0] if isinstance(tree, list) and tree else tree
    return tree if isinstance(tree, dict) else None


def _written(tree: Tree, form: str) -> Answer:
    if form == "json":
        return Answer(msgspec.json.encode(tree), _CONTENT_TYPES[form])
    return Answer(ET.tostring(_element(tree["resourceType"], tree), encoding="utf-8"), _CONTENT_TYPES[form])


def _element(name: str, value: Any) -> ET.Element:
    element = ET.Element(f"{{{_FHIR}}}{name}")
    if not isinstance(value, dict):
        element.set("value", str(value))
        return element
    for key, part in value.items():
        for one in part if isinstance(part, list) else [part]:
            if key == "resource":
                place = ET.SubElement(element, f"{{{_FHIR}}}resource")
                place.append(_element(one["resourceType"], one))
            elif key != "resourceType":
                element.append(_element(key, one))
    return element
