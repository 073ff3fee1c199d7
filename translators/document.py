"""The document Bundle that VKP R4 and JFT have for whatever is more than one resource: a Composition first."""

import uuid
from dataclasses import dataclass
from hashlib import sha256

from translators.contract import InformationName, Reason, Refused, Settings, Tree
from translators.fhir.corrections import NAMESPACE, URIS, is_uuid, uuid_urn
from translators.fhir.cross_version import url_of
from translators.fhir.elements import r4
from translators.fhir.invariants import objects_of_list
from translators.fhir.json_codec import encode
from translators.fhir.primitives import is_instant
from translators.identity import content_digest
from translators.information import information_of
from translators.made import made, plain, written
from translators.note import Said, composition, labels_of, time_of
from translators.note_status import label_of

UUID_SYSTEM = URIS
ANNOTATIONS = tuple(
    f"http://ehelse.no/fhir/StructureDefinition/vkp-annotation-{version}" for version in ("v06", "v090")
)
"""The extension of an Encounter that holds a note or a signature."""

_ORDER = ("DetectedIssue", "Encounter", "MedicationDispense", "Device")
_RULE = "document-of-a-lone-resource"
_NOTE, _WHY = (url_of("MedicationDispense", name, r4()) for name in ("note", "statusReasonCodeableConcept"))
"""Where an alert has what was said of the dispense that failed, and why it did."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource of a document, and the URL by which other entries refer to it."""

    link: str
    url: Tree
    """The same as it is written: carried from the source, or made."""
    resource: dict[str, Tree]

    @property
    def kind(self) -> str:
        """The resource type of the result."""
        return str(plain(self.resource["resourceType"]))


def new_url(seed: str, role: str) -> str:
    """Return a URL for a resource that we make: the same message always gives the same."""
    return f"urn:uuid:{uuid.uuid5(NAMESPACE, f'{seed}|{role}')}"


def new_entry(seed: str, role: str, resource: dict[str, Tree], rule: str) -> Entry:
    """Return an entry for a resource that we make."""
    url = new_url(seed, role)
    return Entry(url, made(url, rule), resource)


def lone_entry(resource: dict[str, Tree], seed: str) -> Entry:
    """Return an entry for a resource that came without a Bundle."""
    own = plain(resource.get("id"))
    url = uuid_urn(own) if isinstance(own, str) and is_uuid(own) else new_url(seed, "resource")
    return Entry(url, made(url, _RULE), resource)


def seed_of(resource: dict[str, Tree]) -> str:
    """Return what tells a lone resource, or a message, from all others: its id or its business identifier, where that is a UUID.

    Any other may be that of many, as a number that begins anew for each patient, so that all it says counts instead.
    """
    identifier = _identifier(resource)
    known = (plain(resource.get("id")), plain(identifier.get("value")) if identifier is not None else None)
    own = next((one for one in known if is_uuid(one)), None)
    return str(own) if own is not None else sha256(encode(written(resource))).hexdigest()


def note_entry(
    entries: list[Entry], seed: str, date: Tree, settings: Settings, about: InformationName | None = None
) -> Entry:
    """Return the entry of a note for a document that has none; raises `Refused` as `composition` does.

    `about` is the information type where the message itself says another than its resources do.
    """
    resources = [entry.resource for entry in entries]
    bundle: Tree = {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources]}
    said = [one for resource in resources for one in _said(resource)]
    linked = [(entry.link, entry.resource) for entry in entries]
    when = date if date is not None else time_of(resources, settings.received) or settings.received
    note = composition(linked, about or information_of(bundle), said, when, settings.source_system)
    return new_entry(seed, "composition", note, "composition-of-a-document")


def wrapped(entries: list[Entry], settings: Settings) -> dict[str, Tree]:
    """Return the document for resources that came without a Bundle; all but the resources is derived."""
    resources = [entry.resource for entry in entries]
    # By all that they say: of one resource there may be several messages, as when a supervision begins and when it ends.
    own = content_digest({"resourceType": "Bundle", "entry": [{"resource": written(one)} for one in resources]}).hex()
    ordered = [note_entry(entries, own, None, settings), *in_order(entries)]
    labels = labels_of(resources)
    return {
        "resourceType": made("Bundle", _RULE),
        **({"meta": made(labels, _RULE)} if labels else {}),
        "identifier": made({"system": UUID_SYSTEM, "value": new_url(own, "document")}, _RULE),
        "type": made("document", _RULE),
        "timestamp": made(instant(time_of(resources, settings.received), settings), _RULE),
        "entry": [{"fullUrl": one.url, "resource": one.resource} for one in ordered],
    }


def instant(time: Tree, settings: Settings) -> Tree:
    """Return a time that is an instant, which a Bundle needs: the one that is said, else when the gateway got the message.

    Raises `Refused` where neither says a time of day.
    """
    if isinstance(time, str) and is_instant(time):
        return time
    if settings.received is None:
        raise Refused(Reason.FORMAT, "nothing says at what time of day it happened")
    return settings.received


def in_order(entries: list[Entry]) -> list[Entry]:
    """Return what happened before what it was done with, each kind in the order it came."""
    return sorted(entries, key=lambda entry: _ORDER.index(entry.kind) if entry.kind in _ORDER else len(_ORDER))


def _said(resource: dict[str, Tree]) -> list[Said]:
    """Return what people wrote: a Communication's texts; an Encounter's note and signature, in either published nesting; notes of all but devices."""
    texts = [payload.get("contentString") for payload in objects_of_list(resource.get("payload"))]
    if plain(resource["resourceType"]) != "Device":
        texts += [note.get("text") for note in objects_of_list(resource.get("note"))]
    found = [Said("Notat", "1", text, "additional") for text in texts if isinstance(text, str)]
    for extension in objects_of_list(resource.get("extension")):
        url = plain(extension.get("url"))
        if url in ANNOTATIONS:
            found += [
                one
                for holder in (extension, *objects_of_list(extension.get("extension")))
                for one in _annotated(holder)
            ]
        elif url == _NOTE:
            found += _annotated(extension)
        elif url == _WHY and isinstance(text := label_of(extension.get("valueCodeableConcept")), str):
            found.append(Said("Årsak", "1", text, "additional"))
    return found


def _annotated(holder: dict[str, Tree]) -> list[Said]:
    annotation = holder.get("valueAnnotation")
    text = annotation.get("text") if isinstance(annotation, dict) else None
    title = "Signatur" if holder.get("url") == "signature" else "Notat"
    return [Said(title, "1", text, "additional")] if isinstance(text, str) else []


def _identifier(resource: dict[str, Tree]) -> dict[str, Tree] | None:
    own = plain(resource.get("identifier"))
    first = own[0] if isinstance(own, list) and own else own
    return first if isinstance(first, dict) and "value" in first else None
