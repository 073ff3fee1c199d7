"""The envelope of a STU3 message, its Bundle and MessageHeader: what addressing uses of it, and what goes further."""

from dataclasses import dataclass

from translators.contract import Tree
from translators.fhir.cross_version import RULE as KEPT
from translators.fhir.cross_version import extensions
from translators.fhir.elements import stu3
from translators.fhir.invariants import listed
from translators.source import Cursor
from translators.stu3.parts import taken
from translators.terminology import code_system

_USED_OF_HEADER = ("resourceType", "id", "language", "receiver", "sender", "focus")
"""What addressing, answering and the links of a message use of its header."""
_USED_OF_SOURCE = ("id", "name", "software", "version", "endpoint")
_USED_OF_BUNDLE = ("resourceType", "id", "language", "type")
_USED_OF_META = ("id", "versionId", "lastUpdated", "profile")
_EVENTS = "http://ehelse.no/fhir/CodeSystem/vkp-message-event-v05"
_LABELS = ("security", "tag")
"""What `meta` says of the content: who may read it, and how it is to be handled."""
_ELSEWHERE = ("timestamp", "_timestamp", "text", "implicitRules", "_implicitRules")
"""Written somewhere else, or nowhere: the narrative of an envelope can stand in no other resource."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What an envelope says beside addressing, for the resource or document that stays."""

    extensions: list[Tree]
    contained: list[Tree]
    labels: dict[str, list[Tree]]

    def around(self, resource: dict[str, Tree]) -> dict[str, Tree]:
        """Return the resource with what the envelope says after its own, but for the labels."""
        return _with(resource, {"contained": self.contained, "extension": self.extensions})

    def labelled(self, resource: dict[str, Tree]) -> dict[str, Tree]:
        """Return the resource with the labels of the envelope after its own."""
        if not any(self.labels.values()):
            return resource
        meta = resource.get("meta")
        return {**resource, "meta": _with(meta if isinstance(meta, dict) else {}, self.labels)}


def opened(header: Cursor) -> Envelope:
    """Read the header of a message that becomes a document; its timestamp is left to be read."""
    labels = _labels(header.at("meta"))
    _use_plain(header, *_USED_OF_HEADER, *(("event",) if _is_of_vkp(header.text("event", "code")) else ()))
    source = header.at("source")
    if source is not None:
        _use_plain(source, *_USED_OF_SOURCE)
    if header.parent is not None:
        header.parent.use("fullUrl")
    contained, own = header.take("contained"), header.take("extension")
    return Envelope([*listed(own), *_kept(header, "MessageHeader")], listed(contained), labels)


def taken_off(bundle: Cursor, header: Cursor, *, keeps_time: bool) -> Envelope:
    """Read the Bundle and header of a message that becomes one resource.

    `keeps_time` says that the time of the header goes into an extension, as the resource has no place for it.
    """
    of_bundle = _labels(bundle.at("meta"))
    _use_plain(bundle, *_USED_OF_BUNDLE)
    for entry in bundle.each("entry"):
        entry.use("fullUrl")
    found = opened(header)
    held = bundle.value if isinstance(bundle.value, dict) else {}
    known = {*_USED_OF_BUNDLE, "meta"}
    others = [name for name in held if name.removeprefix("_") not in known]
    kept = [*found.extensions, *_kept(bundle, "Bundle", *others)]
    if keeps_time and (time := taken(header, "timestamp")):
        kept += extensions(time, "MessageHeader", stu3())
    labels = {name: [*of_bundle.get(name, []), *found.labels.get(name, [])] for name in _LABELS}
    return Envelope(kept, found.contained, labels)


def _is_of_vkp(event: str | None) -> bool:
    """Whether an event is one that VKP has: what any other says of the message is not known, and is kept."""
    found = code_system(_EVENTS)
    return event is not None and found is not None and found.concept(event) is not None


def _labels(meta: Cursor | None) -> dict[str, list[Tree]]:
    """Read what an envelope's `meta` says, and return what of it goes further."""
    if meta is None:
        return {}
    labels = {name: listed(meta.take(name)) for name in _LABELS}
    _use_plain(meta, *_USED_OF_META)
    return labels


def _use_plain(at: Cursor, *names: str) -> None:
    """Use these fields for addressing, but none with an extension: that says more than addressing needs, and is kept whole."""
    held = at.value if isinstance(at.value, dict) else {}
    used: list[str] = []
    for name in names:
        sibling = f"_{name}"
        if name in held and sibling not in held and not _is_extended(held[name]):
            used.append(name)
        elif sibling in held and not _is_extended(held[sibling]):
            used += [name, sibling]
    at.use(*used)


def _is_extended(value: Tree) -> bool:
    if isinstance(value, dict):
        return "extension" in value or any(_is_extended(one) for one in value.values() if one.__class__ is not str)
    return isinstance(value, list) and any(_is_extended(one) for one in value if one.__class__ is not str)


def _kept(at: Cursor, kind: str, *but: str) -> list[Tree]:
    """Carry what is not read yet of an envelope's resource, but for these fields of it, into extensions."""
    kept = at.rest_of_fields(*_ELSEWHERE, *but)
    for name, value in kept.items():
        at.field(name, value).repair(KEPT, stays=True)
    return extensions(kept, kind, stu3()) if kept else []


def _with(fields: dict[str, Tree], more: dict[str, list[Tree]]) -> dict[str, Tree]:
    return {**fields, **{name: [*listed(fields.get(name)), *found] for name, found in more.items() if found}}
