"""What a sender means by the same message: the id that it gave its business, and a digest of what it says.

Both look at the tree as a surface read it, before anything is repaired, so shapes that VKP lets pass are tolerated.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from translators.contract import Number, Reason, Refused, Tree
from translators.fhir.invariants import objects
from translators.fhir.json_codec import as_written
from translators.national_number import kind_of
from translators.patient import NATIONAL_SYSTEMS
from translators.payload import RELEASES, fields_of, is_msghead, message_id, payload_of, without_payload

_HEADER = "MessageHeader"
_NEVER_THE_BUSINESS = frozenset(
    {_HEADER, "Patient", "Device", "Organization", "Practitioner", "PractitionerRole", "Location"}
)
"""Who and what takes part: such an identifier stands in message after message."""
_ENVELOPE = frozenset({"Bundle", _HEADER})
_RENEWED = frozenset({"id", "timestamp"})
"""What the envelope is given anew by the software of many senders, whenever it is sent."""
_RENEWED_OF_META = frozenset({"versionId", "lastUpdated"})
_RENEWED_OF_MSGHEAD = frozenset({"Envelope", "Signature"})
_WHEN: dict[str, tuple[str, ...]] = {
    "Communication": ("sent", "received"),
    "Composition": ("date",),
    "DetectedIssue": ("identifiedDateTime", "identifiedPeriod", "date"),
    "Encounter": ("period",),
    "Flag": ("period",),
    "MedicationAdministration": ("effectiveDateTime", "effectivePeriod"),
    "MedicationDispense": ("whenHandedOver",),
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued"),
    "QuestionnaireResponse": ("authored",),
}
"""Which elements of what is journaled say when it happened, in either release; no other time tells one event from the next."""
_TIMESTAMP = "http://ehelse.no/fhir/StructureDefinition/vkp-timestamp-v05"
_TO_THE_MINUTE = re.compile(r"[0-9]T[0-9]{2}:[0-9]{2}")
_REFERS = b'"reference":"'
_TEXT = re.compile(rb'(?:[^"\\]|\\.)*')


@dataclass(frozen=True, slots=True)
class Business:
    """What a sender means by the same message: its own id for it, and a digest of what it says."""

    id: str
    digest: bytes


def business_of(tree: Tree) -> Business | None:
    """Return what a message is known again by; None when its sender gave it no id, or it cannot be read so far."""
    try:
        name = business_id(tree)
        return None if name is None else Business(name, content_digest(tree))
    except Refused:
        return None


def business_id(tree: Tree) -> str | None:
    """Return what the sender knows the message's business by: `system|value` of an identifier, or else an id.

    Of a Bundle: its own identifier, or the first that an entry's resource has, or the header's id, or its own. Of a lone
    resource: its first identifier, or its id. Of a MsgHead: its MsgId. None where there is nothing. A national number is never it: this is shown.
    """
    if not isinstance(tree, dict):
        return None
    if is_msghead(tree):
        own = message_id(tree)
        return own if own and kind_of(own) is None else None
    if _kind(tree) != "Bundle":
        return _identifier(tree) or _id(tree)
    resources = list(_resources(tree))
    business = [resource for resource in resources if _kind(resource) not in _NEVER_THE_BUSINESS]
    headers = [resource for resource in resources if _kind(resource) == _HEADER]
    found = next(filter(None, map(_identifier, (tree, *business))), None)
    return found or next(filter(None, map(_id, (*headers, tree))), None)


def content_digest(tree: Tree) -> bytes:
    """Return the SHA-256 of what a message says, whatever the order of its members and of what its envelope is made anew.

    Left out are the ids of Bundle and MessageHeader, the URLs of entries, with what refers to them counted by the entry's place,
    and the versions of resources; where a resource says when it happened, also the times at which the envelope and the stored
    resources were made. Where none does, the envelope's time tells two messages apart, and where it has none either, its ids do.
    docs/ledger.md has the table. Raises `Refused` for a tree that is nested too deep to be written.
    """
    try:
        return hashlib.sha256(_content(tree)).digest()
    except RecursionError:
        raise Refused(Reason.FORMAT, "nested too deep") from None


def _content(tree: Tree) -> bytes:
    if not isinstance(tree, dict):
        return _ENCODER.encode([tree, None])
    if is_msghead(tree):
        return _content_of_msghead(tree)
    resources = list(_resources(tree)) if _kind(tree) == "Bundle" else []
    headers = [resource for resource in resources if _kind(resource) == _HEADER]
    is_dated = any(map(_says_when, resources or [tree]))
    envelopes = [*headers, tree] if resources or _kind(tree) in _ENVELOPE else []
    written = _ENCODER.encode([_lasting(tree), None if is_dated else _told_apart(envelopes, [*resources, tree])])
    links = _links(tree) if resources and _REFERS in written else {}
    return _by_place(written, links) if links else written


def _content_of_msghead(tree: dict[str, Tree]) -> bytes:
    """Return what a MsgHead says: its MsgId tells it from others, whatever envelope, time and signature it is sent with again."""
    name, payload = payload_of(tree)
    left = {key: value for key, value in without_payload(tree).items() if key not in _RENEWED_OF_MSGHEAD}
    left["MsgInfo"] = {key: value for key, value in fields_of(tree, "MsgInfo").items() if key != "GenDate"}
    return _ENCODER.encode([left, name]) + (_content(payload) if name in RELEASES else _ENCODER.encode(payload))


def _told_apart(envelopes: list[dict[str, Tree]], resources: list[dict[str, Tree]]) -> Tree:
    """Return what tells a message from others that say the same, where no resource says when it happened."""
    times: list[Tree] = [envelope["timestamp"] for envelope in envelopes if envelope.get("timestamp") is not None]
    if times:
        return times[0]
    stored: list[Tree] = [
        meta["lastUpdated"] for one in resources for meta in objects(one.get("meta")) if "lastUpdated" in meta
    ]
    return stored or [envelope["id"] for envelope in envelopes if "id" in envelope]


def _says_when(resource: dict[str, Tree]) -> bool:
    """Tell whether a resource says when it happened, to the minute at least: a date alone is that of others too."""
    for name in _WHEN.get(_kind(resource), ()):
        found = resource.get(name)
        times = [found, *(period.get(end) for period in objects(found) for end in ("start", "end"))]
        if any(_TO_THE_MINUTE.search(text_of(time)) for time in times):
            return True
    times = [one.get("valueDateTime") for one in objects(resource.get("extension")) if one.get("url") == _TIMESTAMP]
    return any(_TO_THE_MINUTE.search(text_of(time)) for time in times)


def _lasting(resource: dict[str, Tree]) -> Tree:
    """Return a copy of a resource without what is made anew when it is sent again."""
    kind = _kind(resource)
    left_out = _RENEWED if kind in _ENVELOPE else ()
    bare = {name: value for name, value in resource.items() if name not in left_out}
    if "meta" in bare:
        meta = _each(bare["meta"], _lasting_meta)
        if meta or not resource["meta"]:
            bare["meta"] = meta
        else:
            del bare["meta"]
    if kind == _HEADER and "focus" in bare:
        bare["focus"] = _each(bare["focus"], _unlinked)
    if kind == "Bundle" and "entry" in bare:
        bare["entry"] = _each(bare["entry"], _lasting_entry)
    return bare


def _lasting_entry(entry: dict[str, Tree]) -> Tree:
    bare = {name: value for name, value in entry.items() if name != "fullUrl"}
    return {**bare, "resource": _each(bare["resource"], _lasting)} if "resource" in bare else bare


def _lasting_meta(meta: dict[str, Tree]) -> Tree:
    return {name: value for name, value in meta.items() if name not in _RENEWED_OF_META}


def _unlinked(focus: dict[str, Tree]) -> Tree:
    return {name: value for name, value in focus.items() if name != "reference"}


def _links(bundle: dict[str, Tree]) -> dict[bytes, int]:
    """Return the places of entries by their URLs, as these are written between quotes."""
    urls = [text_of(entry.get("fullUrl")) for entry in objects(bundle.get("entry"))]
    return {msgspec.json.encode(url)[1:-1]: place for place, url in reversed(list(enumerate(urls))) if url}


def _by_place(written: bytes, links: dict[bytes, int]) -> bytes:
    """Put the places of entries where references name their URLs."""
    before, *others = written.split(_REFERS)
    pieces = [before]
    for each in others:
        url, after = _url(each)
        place = links.get(url.strip())
        is_within_a_name = before.endswith(b"\\")
        pieces += [_REFERS, each] if place is None or is_within_a_name else [b'"reference":%d' % place, after]
        before = each
    return b"".join(pieces)


def _url(written: bytes) -> tuple[bytes, bytes]:
    """Return a text up to the quote that ends it, and what follows that."""
    url, _, after = written.partition(b'"')
    if b"\\" not in url:
        return url, after
    found = _TEXT.match(written)
    return (found[0], written[found.end() + 1 :]) if found else (b"", written)


def _each(value: Tree, change: Callable[[dict[str, Tree]], Tree]) -> Tree:
    """Change an object, or the objects of a list: needless arrays, and missing ones, are among what is repaired later."""
    if isinstance(value, list):
        return [change(one) if isinstance(one, dict) else one for one in value]
    return change(value) if isinstance(value, dict) else value


def _resources(bundle: dict[str, Tree]) -> Iterator[dict[str, Tree]]:
    for entry in objects(bundle.get("entry")):
        yield from objects(entry.get("resource"))


def _identifier(resource: dict[str, Tree]) -> str | None:
    for identifier in objects(resource.get("identifier")):
        system, value = text_of(identifier.get("system")), text_of(identifier.get("value"))
        if value and system not in NATIONAL_SYSTEMS and kind_of(value) is None:
            return f"{system}|{value}"
    return None


def _id(resource: dict[str, Tree]) -> str | None:
    found = text_of(resource.get("id"))
    return found if found and kind_of(found) is None else None


def _kind(resource: dict[str, Tree]) -> str:
    return text_of(resource.get("resourceType"))


def text_of(value: Tree) -> str:
    """Return a value as the text that repairs make of it; "" for what is no text."""
    if value.__class__ is str:
        return value.strip()
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if isinstance(one, Number):
        return one.text
    return one.strip() if isinstance(one, str) else ""


_ENCODER = msgspec.json.Encoder(enc_hook=as_written, order="sorted")
"""Writes a tree in one way only: a number's digits, which no text, truth value or null is written as."""
