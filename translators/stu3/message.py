"""A message Bundle of STU3, or an Encounter alone, to what VKP R4 has for it: a document, or one resource."""

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256

from translators.codes import SenderCodes
from translators.contract import InformationName, Message, Reason, Refused, Repair, Settings, Tree, Undelivered
from translators.document import (
    UUID_SYSTEM,
    Entry,
    in_order,
    instant,
    lone_entry,
    new_url,
    note_entry,
    seed_of,
    wrapped,
)
from translators.fhir.conform import conform
from translators.fhir.corrections import is_uuid, url_of_id, uuid_urn
from translators.fhir.cross_version import RULE as KEPT
from translators.fhir.json_codec import encode
from translators.fhir.plan import from_stu3
from translators.fhir.rewrites import MAKES
from translators.information import information_of
from translators.links import relinked
from translators.made import made, plain, settled, written
from translators.note import subject_of
from translators.patient import resolve
from translators.source import Cursor, Source
from translators.stu3 import composition as note
from translators.stu3 import encounter, flag, medication_dispense
from translators.stu3.envelope import opened, taken_off
from translators.stu3.parts import Part, carried, taken
from translators.terminology import FLAG
from translators.undelivered import is_not_to_be_journaled

_ALERTS = {"MedicationDispense": "1", "LocationMeasurement": "2", "CameraObservation": "4"}
"""What a flag is about when it does not say: alert codes by the event of its message."""
WITHOUT_MESSAGE = ("Encounter", "Composition", "MedicationDispense", "Flag")
"""Resources that are read without a message around them; VKP documents it of Encounter, and the others are published so."""
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_MOST_ENTRIES = 200
"""Far more than any published message; what is made refers to its entries, and must not grow out of bounds."""
_ALONE = frozenset({"MedicationDispense", "Composition"})


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    tree: dict[str, Tree]
    undelivered: Undelivered | None = None


@dataclass(frozen=True, slots=True)
class _Header:
    """What is needed of a MessageHeader and its Bundle."""

    bundle: Cursor
    at: Cursor
    id: str
    """What tells the message from others."""
    event: str


def read(tree: Tree, settings: Settings) -> Message:
    """Return a journaling of STU3 in the inner language; raises `Refused` where it has no single right reading."""
    kind = tree.get("resourceType") if isinstance(tree, dict) else None
    if not isinstance(kind, str) or (kind != "Bundle" and kind not in WITHOUT_MESSAGE):
        raise Refused(Reason.FORMAT, "neither a message Bundle nor a resource that is journaled alone", "resourceType")
    source = Source(tree, kind)
    codes = SenderCodes(settings)
    converted = conform(source.root, from_stu3(), codes)
    codes.check_tables(converted)
    if others := sorted(codes.others - {FLAG}):
        raise Refused(
            Reason.FORMAT, f"a superseded code of {others[0]}, which is one of R4, in a message of STU3", kind
        )
    losses, before = source.finish("not an element of FHIR STU3 here")
    numbers, newly = resolve(converted, settings.local_numbers, settings.received)
    if newly:
        before = replace(before, carried=before.carried - newly, repaired=before.repaired + newly)
    information = information_of(converted, settings.code_history)
    links, count = _relinked(converted, source) if kind == "Bundle" else ((), 0)
    before = replace(before, carried=before.carried - count, repaired=before.repaired + count)
    second = Source(converted, kind, by_parts=True)
    rebuild = _message if kind == "Bundle" else _alone
    rebuilt = rebuild(second.root, codes, settings)
    has_made = any(repair.rule == KEPT or repair.rule in MAKES for repair in source.repairs)
    found = settled(rebuilt.tree, frozenset() if has_made else second.whole)
    more, coverage = second.finish_after(before, found, "VKP R4 has no place for it")
    if rebuilt.undelivered is not None:
        coverage = replace(before, used=before.carried)
    return Message(
        tree=rebuilt.tree,
        information=information,
        repairs=(*source.repairs, *numbers, *links, *second.repairs),
        losses=(*losses, *more),
        coverage=coverage,
        derived=found.derived,
        addressing=tuple(second.addressing),
        undelivered=rebuilt.undelivered,
    )


def _relinked(bundle: dict[str, Tree], source: Source) -> tuple[tuple[Repair, ...], int]:
    """Let links follow the resources that become others, where some name a type; most are UUIDs."""
    entries = bundle.get("entry")
    urls = [entry.get("fullUrl") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    if not source.has_relative_links and all(isinstance(url, str) and url.startswith("urn:") for url in urls):
        return (), 0
    return relinked(bundle, _becoming(bundle), from_stu3().retyped)


def _becoming(bundle: dict[str, Tree]) -> dict[int, str]:
    """Return which entries become resources of another type."""
    held = [entry.at("resource") for entry in Source(bundle, "Bundle").root.each("entry")]
    return {index: "DetectedIssue" for index, at in enumerate(held) if at is not None and _becomes_alert(at)}


def _becomes_alert(at: Cursor) -> bool:
    if at.text("resourceType") != "MedicationDispense":
        return at.text("resourceType") == "Flag"
    # What says nothing of the kind is refused where the message is made anew.
    with suppress(Refused):
        return medication_dispense.event_of(at).kind not in ("dispense", "test")
    return False


def _message(root: Cursor, codes: SenderCodes, settings: Settings) -> _Rebuilt:
    header = _header(root)
    if len(root.each("entry")) > _MOST_ENTRIES:
        raise Refused(Reason.FORMAT, f"more than {_MOST_ENTRIES} entries in one message", f"{root.path}.entry")
    parts = [_part(entry, header.id, index) for index, entry in enumerate(root.each("entry")) if index]
    events = {id(part): medication_dispense.event_of(part.at) for part in parts if part.kind == "MedicationDispense"}
    tests = [event.kind == "test" for event in events.values()]
    if any(tests):
        if not all(tests) or len(tests) < len(parts):
            raise Refused(Reason.FORMAT, "a test and something else in one message", f"{root.path}.entry")
        root.use_whole()
        return _Rebuilt({"resourceType": "Bundle"}, "test")
    if is_not_to_be_journaled([part.at for part in parts], note.not_journaled, settings):
        root.use_whole()
        return _Rebuilt({"resourceType": "Bundle"}, "not-to-be-journaled")
    entries: list[Entry] = []
    for part in parts:
        event = events.get(id(part))
        if event is not None:
            entries += medication_dispense.renewed(part, event)
        else:
            entries += _renewed(part, codes, header.event)
    if not entries:
        raise Refused(Reason.FORMAT, "the message has nothing but its header", f"{root.path}.entry")
    if len(entries) == 1 and entries[0].kind in _ALONE:
        return _Rebuilt(_lone(header, entries[0]))
    return _Rebuilt(_document(header, entries, settings))


def _header(root: Cursor) -> _Header:
    if root.text("type") != "message":
        raise Refused(Reason.FORMAT, "a Bundle of type message is expected", f"{root.path}.type")
    entries = root.each("entry")
    at = entries[0].at("resource") if entries else None
    if at is None or at.text("resourceType") != "MessageHeader":
        raise Refused(Reason.FORMAT, "a message begins with its MessageHeader", f"{root.path}.entry")
    if at.at("response") is not None:
        raise Refused(Reason.FORMAT, "an answer is no journaling", f"{at.path}.response")
    whole = root.value if isinstance(root.value, dict) else {}
    own = at.text("id")
    seed = own if own is not None and is_uuid(own) else seed_of(whole)
    return _Header(root, at, seed, at.text("event", "code") or "")


def _part(entry: Cursor, seed: str, index: int) -> Part:
    at = entry.at("resource")
    if at is None:
        raise Refused(Reason.FORMAT, "an entry without a resource", entry.path)
    link = entry.text("fullUrl")
    if link is not None:
        return Part(at, link, entry.take("fullUrl"))
    own = at.text("id")
    link = url_of_id(str(at.text("resourceType")), own) if own is not None else new_url(seed, f"entry {index}")
    return Part(at, link, made(link, "full-url-of-the-id"))


def _renewed(part: Part, codes: SenderCodes, event: str) -> list[Entry]:
    match part.kind:
        case "Flag":
            return flag.renewed(part, codes, _ALERTS.get(event))
        case "Encounter":
            return encounter.renewed(part)
        case "Composition":
            return [note.renewed(part)]
        case "MessageHeader" | "Bundle" | "Parameters":
            raise Refused(Reason.FORMAT, f"a {part.kind} is no part of a message", part.at.path)
        case _:
            return [Entry(part.link, part.url, carried(part.at))]


def _lone(header: _Header, entry: Entry) -> dict[str, Tree]:
    """Return the only resource of a message; its envelope has done its work."""
    resource = entry.resource
    is_undated = entry.kind == "Composition" and not resource.keys() & {"date", "_date"}
    if is_undated:
        # In v090 the date of a note is when its system saved or sent it.
        time = taken(header.at, "timestamp")
        resource = resource | {name.replace("timestamp", "date"): value for name, value in time.items()}
    envelope = taken_off(header.bundle, header.at, keeps_time=not is_undated)
    return envelope.labelled(envelope.around(resource))


def _document(header: _Header, entries: list[Entry], settings: Settings) -> dict[str, Tree]:
    """Return the document of several resources: the note first, made where the message has none."""
    root = header.bundle
    envelope = opened(header.at)
    own = taken(header.at, "timestamp")
    timestamp = own.get("timestamp")
    own_note = first = next((entry for entry in entries if entry.kind == "Composition"), None)
    if first is None:
        # What a camera saw is supervision, not a measurement at home.
        about: InformationName | None = "tilsyn" if header.event == "CameraObservation" else None
        first = note_entry(entries, header.id, timestamp, settings, about)
    elif (
        "subject" not in first.resource
        and (subject := subject_of([(entry.link, entry.resource) for entry in entries])) is not None
    ):
        first = replace(first, resource={**first.resource, "subject": made(subject, "subject-of-the-message")})
    if own_note is not None and timestamp is not None and not first.resource.keys() & {"date", "_date"}:
        # In v090 the date of a note is when its system saved or sent it.
        first = replace(first, resource={**first.resource, "date": made(timestamp, "time-of-the-message")})
    others = in_order([entry for entry in entries if entry is not own_note])
    if header.event == "LocationMeasurement":
        _link_location(others)
    kind, time = (
        root.at("type"),
        timestamp if timestamp is not None else made(_date(first, settings), "time-of-the-note"),
    )
    result: dict[str, Tree] = {"resourceType": root.take("resourceType")}
    result |= taken(root, "id", "meta", "implicitRules", "language")
    result["identifier"] = made({"system": UUID_SYSTEM, "value": _urn(header)}, "identifier-of-the-message")
    result["type"] = kind.replaced("document", "message-becomes-document") if kind is not None else None
    result |= {**own, "timestamp": time}
    ordered = [replace(first, resource=envelope.around(first.resource)), *others]
    result["entry"] = [{"fullUrl": entry.url, "resource": entry.resource} for entry in ordered]
    return envelope.labelled(result)


def _link_location(entries: list[Entry]) -> None:
    """Say which device raised an alert, and the places it is about, where the alert itself does not, and only these can be meant."""
    rule = "location-of-the-alert"
    by_kind = {kind: [entry.link for entry in entries if entry.kind == kind] for kind in ("Device", "Location")}
    alerts = [entry.resource for entry in entries if entry.kind == "DetectedIssue"]
    for alert in alerts:
        if len(by_kind["Device"]) == 1 and "author" not in alert:
            alert["author"] = made({"reference": by_kind["Device"][0]}, rule)
        if by_kind["Location"] and len(alerts) == 1 and "evidence" not in alert:
            detail: list[Tree] = [{"reference": link} for link in by_kind["Location"]]
            alert["evidence"] = made([{"detail": detail}], rule)


def _alone(root: Cursor, codes: SenderCodes, settings: Settings) -> _Rebuilt:
    """Return a resource that was sent without a message around it: as it is, or as a document where JFT needs one."""
    whole = root.value if isinstance(root.value, dict) else {}
    seed = seed_of(whole)
    lone = lone_entry(whole, seed)
    part = Part(root, lone.link, lone.url)
    if part.kind == "MedicationDispense":
        event = medication_dispense.event_of(root)
        if event.kind == "test":
            root.use_whole()
            return _Rebuilt({"resourceType": "MedicationDispense"}, "test")
        entries = medication_dispense.renewed(part, event)
    elif is_not_to_be_journaled([root], note.not_journaled, settings):
        root.use_whole()
        return _Rebuilt({"resourceType": part.kind}, "not-to-be-journaled")
    else:
        entries = _renewed(part, codes, "")
    is_whole = len(entries) == 1 and entries[0].kind in _ALONE
    return _Rebuilt(entries[0].resource if is_whole else wrapped(entries, settings))


def _urn(header: _Header) -> str:
    """Return the message's identifier: its header's id where that tells it from every other, else one of all it says."""
    own = header.at.text("id") or header.bundle.text("id") or ""
    if _UUID.fullmatch(own):
        return uuid_urn(own)
    whole = header.bundle.value if isinstance(header.bundle.value, dict) else {}
    return new_url(f"{own}|{sha256(encode(written(whole))).hexdigest()}", "message")


def _date(note: Entry, settings: Settings) -> Tree:
    return instant(plain(note.resource.get("date")), settings)
