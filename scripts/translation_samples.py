"""Small messages of every kind, and how to read what the translators make of them: for scripts/translations_page.py."""

from translators.contract import Settings, Translation, Tree
from translators.fhir.json_codec import decode
from translators.national_number import TEST_KINDS
from translators.terminology import code_system
from translators.translate import express

CODES = "http://ehelse.no/fhir/CodeSystem/"
LOINC = "http://loinc.org"
SUBJECT: Tree = {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "12834010060"}}
TIME = "2026-05-04T08:00:00+02:00"
Resource = dict[str, Tree]


def some_concept(system: str, code: str) -> Resource:
    """Return a concept of one code."""
    coding: Tree = {"system": system if "/" in system else CODES + system, "code": code}
    return {"coding": [coding]}


def some_performer() -> Tree:
    """Return a device that dispenses."""
    return [{"actor": {"identifier": {"system": "https://dispenser.example/serial", "value": "1"}, "display": "D"}}]


def some_dispense(system: str, code: str) -> Resource:
    """Return a dispense with this event."""
    return {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "category": some_concept(system, code),
        "medicationCodeableConcept": {"text": "Ukjent medisin"},
        "subject": SUBJECT,
        "performer": some_performer(),
        "whenHandedOver": TIME,
    }


def some_note(**fields: Tree) -> Resource:
    """Return a note with these fields."""
    kind: Tree = {"coding": [{"system": LOINC, "code": "34133-9"}]}
    return {"resourceType": "Composition", "status": "final", "type": kind, "subject": SUBJECT, "date": TIME, **fields}


def some_encounter(**fields: Tree) -> Resource:
    """Return an encounter with these fields."""
    return {"resourceType": "Encounter", "status": "finished", "subject": SUBJECT, "period": {"end": TIME}, **fields}


def some_flag(**fields: Tree) -> Resource:
    """Return a flag with these fields."""
    return {"resourceType": "Flag", "status": "active", "subject": SUBJECT, "period": {"start": TIME}, **fields}


def some_observation() -> Resource:
    """Return an observation."""
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": SUBJECT}


def stu3_message(event: str, *resources: Resource) -> Resource:
    """Return a message of STU3 that holds these resources."""
    header: Resource = {
        "resourceType": "MessageHeader",
        "event": {"system": f"{CODES}vkp-message-event-v05", "code": event},
        "timestamp": TIME,
        "source": {"endpoint": "https://sender.example"},
    }
    entries: list[Tree] = [{"resource": resource} for resource in (header, *resources)]
    return {"resourceType": "Bundle", "id": "1", "type": "message", "entry": entries}


def some_document(*resources: Resource) -> Resource:
    """Return a document of R4 that holds these resources."""
    entries: list[Tree] = [
        {"fullUrl": f"urn:uuid:{number}", "resource": resource} for number, resource in enumerate(resources)
    ]
    return {"resourceType": "Bundle", "type": "document", "entry": entries}


def sent(message: Resource, surface: str, history: tuple[tuple[str, str], ...] = ()) -> Translation:
    """Return what a message becomes on its way to JFT."""
    return express(message, surface, "jft", Settings(TEST_KINDS, code_history=history))


def resources_of(result: Translation) -> list[Resource]:
    """Return the resources of a call."""
    body = fields_of(decode(result.calls[0].body))
    entries = body.get("entry")
    return [fields_of(fields_of(entry)["resource"]) for entry in entries] if isinstance(entries, list) else [body]


def fields_of(value: Tree) -> Resource:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def found_in(result: Translation, kind: str) -> list[Resource]:
    """Return the resources of this kind in a call."""
    return [resource for resource in resources_of(result) if resource["resourceType"] == kind]


def at_path(value: Tree, *path: str) -> Tree:
    """Return what stands at a path, the first of each list."""
    for name in path:
        if isinstance(value, list):
            value = value[0]
        value = value.get(name) if isinstance(value, dict) else None
    return value


def code_of(value: Tree) -> str:
    """Write the first coding of a concept, with the name that its code system gives it."""
    concept = fields_of(first_of(value))
    coding = fields_of(first_of(concept.get("coding", concept)))
    if "code" not in coding:
        return f"the display *{coding['display']}*, without a code"
    system, code = str(coding["system"]), str(coding["code"])
    return f"{short_name(system)} {named(system, code)}"


def first_of(value: Tree) -> Tree:
    """Return the first of a list, or what is none."""
    return value[0] if isinstance(value, list) else value


def short_name(system: str) -> str:
    """Return a code system as the page shows it."""
    return f"`{system.removeprefix(CODES)}`"


def named(system: str, code: str) -> str:
    """Return a code with its display."""
    found = code_system(system)
    concept = found.concept(code) if found else None
    return f"`{code}` {concept.display}" if concept else f"`{code}`"
