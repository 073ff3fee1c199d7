"""Resources of FHIR R4 that are right in every value, drawn from the tables, and what spoils them."""

from random import Random
from typing import Any

from translators.contract import Number, Tree
from translators.fhir.elements import r4
from translators.fhir.structure_plan import Row, Step, rows

KINDS = (
    *("Appointment", "CarePlan", "Communication", "Composition", "Condition", "Device", "DetectedIssue", "Encounter"),
    *("Flag", "Location", "MedicationAdministration", "MedicationDispense", "Observation", "Organization", "Patient"),
    *("Practitioner", "QuestionnaireResponse", "Task"),
)
_LEFT_OUT = frozenset(
    ("resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "extension", "modifierExtension")
)
_VALUES: dict[str, tuple[Tree, ...]] = {
    "base64Binary": ("QUJD",),
    "boolean": (True, False),
    "canonical": ("https://a.example/x|1",),
    "code": ("en",),
    "date": ("2026-11-03", "2026-11", "2026"),
    "dateTime": ("2026-11-03T08:00:00+01:00", "2026-11-03T07:00:00.5Z"),
    "decimal": (Number("1.50"), Number("2e1")),
    "id": ("a-1",),
    "instant": ("2026-11-03T08:00:00.123Z",),
    "integer": (Number("2"),),
    "oid": ("urn:oid:1.2.3",),
    "positiveInt": (Number("2"),),
    "time": ("08:00:00",),
    "unsignedInt": (Number("3"),),
    "uri": ("https://a.example/x", "urn:uuid:0b5b2a0e-7d34-4c0e-9d2a-3c1b9f1d5c11"),
    "url": ("https://a.example/x",),
    "xhtml": ('<div xmlns="http://www.w3.org/1999/xhtml"><p>x</p></div>',),
}
_OBJECTS: dict[str, dict[str, Tree]] = {
    "Age": {"value": Number("1"), "system": "http://unitsofmeasure.org", "code": "a"},
    "Attachment": {"contentType": "text/plain", "data": "QUJD"},
    "CodeableConcept": {"text": "x"},
    "Coding": {"system": "https://a.example/codes", "code": "x"},
    "Count": {"value": Number("1"), "system": "http://unitsofmeasure.org", "code": "1"},
    "Distance": {"value": Number("1"), "system": "http://unitsofmeasure.org", "code": "m"},
    "Duration": {"value": Number("1"), "system": "http://unitsofmeasure.org", "code": "s"},
    "Extension": {"url": "https://a.example/e", "valueString": "x"},
    "Identifier": {"system": "https://a.example/id", "value": "x"},
    "Period": {"start": "2026-11-03", "end": "2026-11-04"},
    "Quantity": {"value": Number("1")},
    "Range": {"low": {"value": Number("1")}, "high": {"value": Number("2")}},
    "Ratio": {"numerator": {"value": Number("1")}, "denominator": {"value": Number("1")}},
    "Reference": {"display": "x"},
}
BAD: tuple[Tree, ...] = (
    *("", " ", "a  b", "03.11.2026 08:00", "2026-11-03", "2026-13-01", "2026-02-30", "2026-11-03T08:00:00", "done"),
    *("urn:uuid:X", "urn:oid:1", "rel ative", "#nope", "<div>x</div>", "\u0001"),
    '<div xmlns="http://www.w3.org/1999/xhtml"><script/></div>',
    *(Number("-1"), Number("1.5"), Number("99999999999"), True, None),
)


def right_resource(random: Random, kind: str) -> dict[str, Any]:
    """Draw a resource of this type without an empty or wrong value."""
    return _object(random, rows()[kind], 0)


def _object(random: Random, row: Row, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"resourceType": row.name} if row.is_resource else {}
    chosen = set(row.simple)
    of_choices = {field for _, fields in row.choices for field in fields}
    for name, fields in row.choices:
        if name in row.mandatory or random.random() < 0.3:
            chosen.add(random.choice(sorted(fields)))
    names = [name for name in row.steps if name[0] != "_" and name not in _LEFT_OUT and name not in of_choices]
    chosen |= {
        name for name in random.sample(names, min(4, len(names))) if depth < 3 or row.steps[name].form != "object"
    }
    for name, step in row.steps.items():
        if name in chosen and step.form != "resource" and (value := _value(random, row, step, depth)) is not None:
            found[name] = [value] if step.repeats else value
    return found


def _value(random: Random, row: Row, step: Step, depth: int) -> Tree:
    if step.row is None:
        if step.codes is not None:
            return random.choice(sorted(step.codes - {"entered-in-error"}))
        if (row.name, step.name) == ("Reference", "type"):
            return "Patient"
        return random.choice(_VALUES.get(step.type, ("x",)))
    if step.concepts is not None:
        system = random.choice(sorted(system for system, codes in step.concepts.items() if codes))
        coding: Tree = {"system": system, "code": random.choice(sorted(step.concepts[system]))}
        return coding if step.type == "Coding" else {"coding": [coding]}
    if step.type in _OBJECTS:
        return dict(_OBJECTS[step.type])
    # Deep down an object says only that it is there.
    return _object(random, step.row, depth + 1) if depth < 5 else {"extension": [dict(_OBJECTS["Extension"])]}


def spoil(random: Random, tree: Tree) -> None:
    """Do one thing to one place that is likely to be wrong."""
    places = list(_places(tree))
    container, key = random.choice([place for place in places if place[1] != "resourceType"] or places)
    match random.randrange(4):
        case 0:
            container[key] = random.choice(BAD)
        case 1 if isinstance(container, dict):
            del container[key]
        case 2:
            container[key] = [container[key]]
        case _ if isinstance(container, dict):
            container["extension"] = [{"url": "https://a.example/e", "valueDate": random.choice(BAD)}]
        case _:
            container[key] = {}


def _places(tree: Tree) -> list[tuple[Any, Any]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in items for place in [(tree, key), *_places(value)]]


def message_of(*resources: dict[str, Any]) -> dict[str, Any]:
    """Return a transaction of these resources."""
    entries = [{"resource": one, "request": {"method": "POST", "url": one["resourceType"]}} for one in resources]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


assert set(KINDS) <= r4().resources
