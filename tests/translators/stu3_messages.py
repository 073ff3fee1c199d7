"""Messages of STU3 drawn as the profiles v05 and v06, and those who wrote by them, have them."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from hypothesis import strategies as st

from tests.translators.drawing import SUBJECT, Draw, Drawing, ValueOf, places, worsen
from translators.contract import Number, Tree
from translators.fhir.elements import NUMERIC, Element, stu3
from translators.fhir.json_codec import decode, encode

TABLE = stu3()
KINDS = (
    *("Communication", "Composition", "Device", "Encounter", "Flag", "Location", "MedicationDispense", "Observation"),
    *("Organization", "Patient", "Practitioner", "QuestionnaireResponse"),
)
ALONE = ("Encounter", "Composition", "MedicationDispense", "Flag")
SYSTEM = "http://ehelse.no/fhir/CodeSystem/vkp-"
PROFILE = "http://ehelse.no/fhir/StructureDefinition/vkp-"
TIME = "2018-06-25T10:02:03.463Z"
EVENTS = st.sampled_from(["MedicationDispense", "LocationMeasurement", "CameraObservation", "x"])
DISPENSE_CODES = st.sampled_from([*map(str, range(28)), *("1", "2", "18") * 5, "28", "x"])
FEW = st.integers(0, 2)

_ELABORATED = {
    "Composition": ("event", "section"),
    "Encounter": ("classHistory", "extension", "participant", "reason"),
    "Flag": ("extension",),
    "MedicationDispense": ("dosageInstruction", "performer"),
}

RIGHT_VALUES: dict[str, tuple[str, ...]] = {
    "base64Binary": ("QUJD",),
    "code": ("final", "en", "x"),
    "date": ("2018-06-25", "2018"),
    "dateTime": (TIME, "2018-06-25"),
    "id": ("a-1", "B.2"),
    "instant": (TIME, "2018-06-25T10:02:03+02:00"),
    "oid": ("urn:oid:1.2.3",),
    "time": ("08:00:00",),
    "uri": ("urn:uuid:0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c11", "http://record.example/x"),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml"><p>x &amp; y</p></div>',),
}


def right_value(draw: Draw, element: Element, _name: str) -> Tree:
    """Draw a value of the primitive's form."""
    if element.type == "boolean":
        return draw(st.booleans())
    if element.type in NUMERIC:
        return Number(draw(st.sampled_from(["3", "81.30"] if element.type == "decimal" else ["3", "12"])))
    return draw(st.sampled_from(RIGHT_VALUES.get(element.type, ("x", "Blåbær\u00a0 syltetøy"))))


def marking() -> ValueOf:
    """Return how to draw texts none of which stands twice."""
    numbers = count()

    def value(draw: Draw, element: Element, name: str) -> Tree:
        if element.type in NUMERIC or element.type == "boolean":
            return right_value(draw, element, name)
        return f"mark-{next(numbers)}-"

    return value


ANY = Drawing(TABLE, KINDS, depth=4)


def marked() -> Drawing:
    """Return a new drawing of right messages with texts of their own."""
    return Drawing(TABLE, KINDS, marking(), depth=4, strict=True)


def resource(draw: Draw, how: Drawing, kind: str) -> dict[str, Tree]:
    """Draw a resource with what its profile says of it."""
    fields = {"resourceType": kind, **how.fields(draw, kind, 2)}
    if "subject" in TABLE.types[kind] and draw(st.integers(0, 9)):
        fields["subject"] = SUBJECT
    match kind:
        case "MedicationDispense":
            fields = {name: value for name, value in fields.items() if "medication" not in name} | _dispense(draw)
        case "Flag":
            fields |= _flag(draw)
        case "Encounter":
            fields |= _encounter(draw)
        case "Composition":
            fields |= _composition(draw)
    for name in _ELABORATED.get(kind, ()):
        _elaborate(draw, how, TABLE.types[kind][name].type, fields.get(name))
    return fields


def _elaborate(draw: Draw, how: Drawing, kind: str, items: Tree) -> None:
    """Add what else the first of these says, now and then."""
    if isinstance(items, list) and isinstance(items[0], dict) and not draw(st.integers(0, 3)):
        more = {name: value for name, value in how.fields(draw, kind, 3, most=2).items() if "value" not in name}
        items[0] = more | items[0]


@st.composite
def messages(draw: Draw, how: Drawing | None = None, kinds: tuple[str, ...] = KINDS) -> dict[str, Tree]:
    """Draw a message Bundle with one to three resources."""
    how = how or marked()
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    found = [resource(draw, how, kind) for kind in chosen]
    return message(draw, how, found)


@st.composite
def lone_resources(draw: Draw, how: Drawing | None = None) -> dict[str, Tree]:
    """Draw a resource that is sent without a message around it."""
    return _own(resource(draw, how or marked(), draw(st.sampled_from(ALONE))))


def message(draw: Draw, how: Drawing, resources: list[dict[str, Tree]]) -> dict[str, Tree]:
    """Draw the message around these resources."""
    head = how.fields(draw, "MessageHeader", 2, most=2) if draw(st.booleans()) else {}
    # An answer is no journaling, and R4 has no extension that could hold the narrative of a resource that is none of its own.
    head = {
        name: value
        for name, value in head.items()
        if name not in ("response", "text", "modifierExtension", "implicitRules", "_implicitRules")
    }
    header: dict[str, Tree] = {
        **head,
        "resourceType": "MessageHeader",
        "id": "b6915161-13b1-41d1-9820-fc34b76005a6",
        "event": {"system": f"{SYSTEM}message-event-v05", "code": draw(EVENTS)},
        "source": {"endpoint": "https://sender.example", **draw(st.sampled_from([{}, {"contact": {"value": "c"}}]))},
        "timestamp": TIME,
    }
    own: dict[str, Tree] = draw(st.sampled_from([{}, {"id": "own"}, {"id": "own", "meta": {"lastUpdated": TIME}}]))
    entries: list[Tree] = [{"fullUrl": "urn:uuid:b6915161-13b1-41d1-9820-fc34b76005a6", "resource": header}]
    for index, one in enumerate(resources):
        link: dict[str, Tree] = {"fullUrl": f"urn:uuid:entry-{index}"} if draw(st.integers(0, 3)) else {}
        entries.append({**link, "resource": one})
    return _own({"resourceType": "Bundle", "type": "message", **own, "entry": entries})


@st.composite
def lenient(draw: Draw) -> Tree:
    """Draw a message, or a resource alone, that was right before up to six things were done to it."""
    tree = draw(st.one_of(messages(ANY), messages(ANY), lone_resources(ANY)))
    inside = draw(st.integers(0, 9)) > 0
    for _ in range(draw(st.integers(0, 6))):
        found = places(tree)
        entries = tree.get("entry")
        if inside and isinstance(entries, list):
            found = [place for entry in entries for place in places(entry.get("resource"))]
        container, key = draw(st.sampled_from(found))
        if not inside or key != "resourceType":
            worsen(draw, container, key)
    return decode(encode(tree))


def _own(tree: dict[str, Tree]) -> dict[str, Tree]:
    """Return the tree as if it had been decoded: no object stands in two places."""
    found = decode(encode(tree))
    assert isinstance(found, dict)
    return found


def _some(draw: Draw, fields: dict[str, Tree]) -> dict[str, Tree]:
    """Leave out a field now and then."""
    return {name: value for name, value in fields.items() if draw(st.integers(0, 4))}


def _concept(draw: Draw, name: str, codes: Any) -> Tree:
    system = draw(st.sampled_from([f"{SYSTEM}{name}-v05", f"{SYSTEM}{name}-v06", None]))
    coding: dict[str, Tree] = {"code": draw(codes), **({"system": system} if system else {})}
    more: list[Tree] = draw(st.sampled_from([[], [{"system": "http://record.example/codes", "code": "4"}]]))
    return {"coding": [coding, *more], **draw(st.sampled_from([{}, {"text": "Fritekst"}]))}


def _dispense(draw: Draw) -> dict[str, Tree]:
    number: Tree = {"system": "http://record.example/imei", "value": "490154203237518"}
    person: Tree = {"system": "urn:oid:2.16.578.1.12.4.1.4.4", "value": "9144889"}
    identifiers: tuple[dict[str, Tree], ...] = ({}, {"identifier": number}, {"identifier": person})
    actor = draw(st.sampled_from(identifiers)) | draw(st.sampled_from([{"display": "Medido"}, {"reference": "#d"}]))
    performer: list[Tree] = [{"actor": actor}, *draw(st.sampled_from([[], [{"actor": {"display": "Kari"}}]]))]
    fields: dict[str, Tree] = {
        "category": _concept(draw, "medicationdispense-events", DISPENSE_CODES),
        "performer": performer,
    }
    return fields | _some(
        draw,
        {
            "status": draw(st.sampled_from([*["completed"] * 4, "stopped", "entered-in-error"])),
            "medicationCodeableConcept": {"text": "Ukjent medisin"},
            "whenHandedOver": TIME,
            "dosageInstruction": draw(st.sampled_from([[{"text": "to tabletter"}], [{"text": "a"}, {"text": "b"}]])),
        },
    )


def _extension(url: str, **value: Tree) -> Tree:
    return {"url": url, **value}


def _nested(draw: Draw, url: str, inner: str, **value: Tree) -> Tree:
    """Draw an extension in one of the two nestings that were published."""
    return _extension(url, extension=[_extension(inner, **value)]) if draw(st.booleans()) else _extension(url, **value)


def _flag(draw: Draw) -> dict[str, Tree]:
    system = draw(st.sampled_from([f"{SYSTEM}emergency-level-v05", f"{SYSTEM}emergency-level-v06"]))
    level: Tree = {"coding": [{"system": system, "code": draw(st.sampled_from(["V", "Y", "A", "x"]))}]}
    known = [
        _nested(draw, f"{PROFILE}emergencylevel-v05", "severity", valueCodeableConcept=level),
        _nested(draw, f"{PROFILE}emergency-level-v06", "emergency-level", valueCodeableConcept=level),
        _extension("http://hl7.org/fhir/StructureDefinition/flag-detail", valueReference={"reference": "urn:uuid:d"}),
        _extension(f"{PROFILE}timestamp-v05", valueDateTime=TIME),
        _extension(f"{PROFILE}displayURL-v05", valueUri="http://record.example/map"),
        _extension("http://record.example/own", valueString="eget"),
    ]
    return _some(
        draw,
        {
            "extension": draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)),
            "status": draw(st.sampled_from(["active", "inactive", "entered-in-error"])),
            "code": {"text": "Bruker utenfor geofence"},
            "period": draw(st.sampled_from([{"start": TIME}, {"start": TIME, "end": TIME}])),
        },
    )


def _encounter(draw: Draw) -> dict[str, Tree]:
    def mode() -> Tree:
        system = draw(st.sampled_from([f"{SYSTEM}encounter-class-v06", "http://hl7.org/fhir/v3/ActCode", None]))
        return {"code": draw(st.sampled_from(["1", "2", "VR"])), **({"system": system} if system else {})}

    note: Tree = {"time": TIME, "text": "Alt vel & bra"}
    number: Tree = {"system": "http://record.example/imei", "value": "490154203237518"}
    inner = [_extension("deviceIdentifier", valueIdentifier=number), _extension("display", valueString="Kamera 1")]
    url = f"{PROFILE}encounterDevice-v06"
    devices = [_extension(url, extension=inner), _extension(url, extension=[_extension("device", extension=inner)])]
    known = [
        _nested(draw, f"{PROFILE}annotation-v06", "signature", valueAnnotation=note),
        draw(st.sampled_from(devices)),
        _extension("http://record.example/own", valueString="eget"),
    ]
    reasons = [
        _concept(draw, "encounter-reason", st.sampled_from([*("1", "4", "23") * 3, "24"])) for _ in range(draw(FEW))
    ]
    history: list[Tree] = [{"class": mode(), "period": {"start": TIME}} for _ in range(draw(FEW))]
    found: dict[str, Tree] = {
        "class": mode(),
        "extension": draw(st.lists(st.sampled_from(known), min_size=1, max_size=3)),
        "participant": [{"individual": {"display": "Kari"}}],
        "period": {"start": TIME, "end": TIME},
    }
    found |= {name: value for name, value in (("reason", reasons), ("classHistory", history)) if value}
    return _some(draw, found)


def _composition(draw: Draw) -> dict[str, Tree]:
    codes = st.sampled_from([*map(str, range(10)), "x"])
    classes = st.sampled_from([*"01345678" * 2, "2", "9", "x"])
    events = st.sampled_from([*"01345" * 3, "2", "x"])
    text: Tree = {"status": "additional", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Notat &amp; mer</div>'}

    def section(deeper: bool) -> Tree:
        more: dict[str, Tree] = {"section": [section(deeper=False)]} if deeper and draw(st.booleans()) else {}
        return {"code": _concept(draw, "composition-section", codes), "text": text, **more}

    kinds: list[Tree] = [{"code": "11488-4", "display": "Consult note"}, {"system": "http://loinc.org", "code": "x"}]
    return _some(
        draw,
        {
            "class": _concept(draw, "composition-class", classes),
            "type": {"coding": [draw(st.sampled_from(kinds))]},
            "event": [{"code": [_concept(draw, "composition-event", events)], "period": {"start": TIME}}],
            "section": [section(deeper=True) for _ in range(draw(FEW) or 1)],
            "date": TIME,
        },
    )


def header_of(tree: dict[str, Tree]) -> dict[str, Tree]:
    """Return the first resource of a message."""
    entry = tree["entry"]
    assert isinstance(entry, list)
    assert isinstance(entry[0], dict)
    found = entry[0]["resource"]
    assert isinstance(found, dict)
    return found


def envelope(tree: dict[str, Tree]) -> Iterator[Tree]:
    """Go through what addressing, answering and links use of a right message, and that does not go further.

    A resource alone in its message needs no URL for others to refer to.
    """
    if tree["resourceType"] != "Bundle":
        return
    entry = tree["entry"]
    assert isinstance(entry, list)
    assert isinstance(entry[0], dict)
    header = header_of(tree)
    used = ("resourceType", "id", "meta", "implicitRules", "language", "event", "receiver", "sender", "focus")
    source = header.get("source")
    owners = [
        (header, used),
        (header, ("timestamp",)),
        (source if isinstance(source, dict) else {}, ("id", "name", "software", "version", "endpoint")),
        *((one, ("fullUrl",)) for one in (entry if len(entry) == 2 else entry[:1]) if isinstance(one, dict)),
        (tree, ("resourceType", "type", "id", "meta", "implicitRules", "language")),
    ]
    for owner, names in owners:
        yield from (owner[name] for bare in names for name in (bare, f"_{bare}") if name in owner)
