"""Writes the tables of docs/translations.md, by translating a small message for every kind and every code.

python scripts/translations_page.py
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from translators.contract import Settings, Translation, Tree
from translators.fhir.json_codec import decode
from translators.fhir.plan import Plan, Step, from_stu3
from translators.national_number import TEST_KINDS
from translators.terminology import SHORT_NAMES, CodeSystem, Superseded, code_system, code_systems
from translators.translate import translate

PAGE = Path(__file__).parents[1] / "docs" / "translations.md"
HEADING = "## What STU3 messages become\n"
CODES = "http://ehelse.no/fhir/CodeSystem/"
PROFILES = "http://ehelse.no/fhir/StructureDefinition/"
LOINC = "http://loinc.org"
SUBJECT: Tree = {"identifier": {"system": "urn:oid:2.16.578.1.12.4.1.4.1", "value": "12834010060"}}
TIME = "2026-05-04T08:00:00+02:00"
KINDS = ("MedicationDispense", "Dosage", "Flag", "Encounter", "Composition", "Observation", "Device", "Location")
MORE_KINDS = ("Patient", "Communication", "DetectedIssue", "QuestionnaireResponse", "Annotation", "Attachment")

Resource = dict[str, Tree]


def main() -> None:
    """Replace everything from the first generated heading on."""
    before = PAGE.read_text(encoding="utf-8").split(HEADING)[0]
    PAGE.write_text(before + generated(), encoding="utf-8")


def generated() -> str:
    """Return what the page has from the first generated heading on."""
    parts = [
        (HEADING, _table("message", "alone it becomes", "endpoint", rows=_stu3_kinds())),
        ("## Dispense codes of STU3\n", _dispenses()),
        ("## Reasons of an Encounter of STU3\n", _reasons()),
        ("## Classes of an Encounter of STU3\n", _classes()),
        ("## Codes of a Composition of STU3\n", _composition_codes()),
        ("## How serious an alert is\n", _severities()),
        ("## What R4 messages become\n", _table("message", "it becomes", "endpoint", rows=_r4_kinds())),
        ("## Superseded codes of R4\n", _superseded()),
        ("## Elements of STU3 that are renamed, moved, or kept in extensions\n", _elements()),
    ]
    return "\n".join(f"{heading}\n{text}" for heading, text in parts)


def _table(*heads: str, rows: Iterable[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


# Messages


def _concept(system: str, code: str) -> Resource:
    coding: Tree = {"system": system if "/" in system else CODES + system, "code": code}
    return {"coding": [coding]}


def _performer() -> Tree:
    return [{"actor": {"identifier": {"system": "https://dispenser.example/serial", "value": "1"}, "display": "D"}}]


def _dispense(system: str, code: str) -> Resource:
    return {
        "resourceType": "MedicationDispense",
        "status": "completed",
        "category": _concept(system, code),
        "medicationCodeableConcept": {"text": "Ukjent medisin"},
        "subject": SUBJECT,
        "performer": _performer(),
        "whenHandedOver": TIME,
    }


def _note(**fields: Tree) -> Resource:
    kind: Tree = {"coding": [{"system": LOINC, "code": "34133-9"}]}
    return {"resourceType": "Composition", "status": "final", "type": kind, "subject": SUBJECT, "date": TIME, **fields}


def _encounter(**fields: Tree) -> Resource:
    return {"resourceType": "Encounter", "status": "finished", "subject": SUBJECT, "period": {"end": TIME}, **fields}


def _flag(**fields: Tree) -> Resource:
    return {"resourceType": "Flag", "status": "active", "subject": SUBJECT, "period": {"start": TIME}, **fields}


def _observation() -> Resource:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": SUBJECT}


def _stu3(event: str, *resources: Resource) -> Resource:
    header: Resource = {
        "resourceType": "MessageHeader",
        "event": {"system": f"{CODES}vkp-message-event-v05", "code": event},
        "timestamp": TIME,
        "source": {"endpoint": "https://sender.example"},
    }
    entries: list[Tree] = [{"resource": resource} for resource in (header, *resources)]
    return {"resourceType": "Bundle", "id": "1", "type": "message", "entry": entries}


def _document(*resources: Resource) -> Resource:
    entries: list[Tree] = [
        {"fullUrl": f"urn:uuid:{number}", "resource": resource} for number, resource in enumerate(resources)
    ]
    return {"resourceType": "Bundle", "type": "document", "entry": entries}


# Results


def _sent(message: Resource, surface: str, history: tuple[tuple[str, str], ...] = ()) -> Translation:
    return translate(message, surface, "jft", Settings(TEST_KINDS, code_history=history))


def _resources(result: Translation) -> list[Resource]:
    body = _fields(decode(result.calls[0].body))
    entries = body.get("entry")
    return [_fields(_fields(entry)["resource"]) for entry in entries] if isinstance(entries, list) else [body]


def _fields(value: Tree) -> Resource:
    return value if isinstance(value, dict) else {}


def _found(result: Translation, kind: str) -> list[Resource]:
    return [resource for resource in _resources(result) if resource["resourceType"] == kind]


def _at(value: Tree, *path: str) -> Tree:
    for name in path:
        if isinstance(value, list):
            value = value[0]
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _code(value: Tree) -> str:
    """Write the first coding of a concept, with the name that its code system gives it."""
    concept = _fields(_first(value))
    coding = _fields(_first(concept.get("coding", concept)))
    system, code = str(coding["system"]), str(coding["code"])
    return f"{_short(system)} {_named(system, code)}"


def _first(value: Tree) -> Tree:
    return value[0] if isinstance(value, list) else value


def _short(system: str) -> str:
    return f"`{system.removeprefix(CODES)}`"


def _named(system: str, code: str) -> str:
    found = code_system(system)
    concept = found.concept(code) if found else None
    return f"`{code}` {concept.display}" if concept else f"`{code}`"


def _outcome(result: Translation) -> tuple[str, str]:
    if result.is_test:
        return "nothing: acknowledged, delivered nowhere", ""
    if result.refusal:
        return f"refused: {result.refusal.text.replace(CODES, '')}", ""
    kinds = ", ".join(str(resource["resourceType"]) for resource in _resources(result))
    return kinds, f"`POST {result.calls[0].path}`"


# Tables


def _stu3_kinds() -> Iterator[tuple[str, ...]]:
    good, bad = _dispense("vkp-medicationdispense-events-v06", "1"), _dispense("vkp-medicationdispense-events-v06", "2")
    test = _dispense("vkp-medicationdispense-events-v06", "0")
    sensor = _encounter(reason=[_concept("vkp-encounter-reason-v06", "1")])
    device: Resource = {"resourceType": "Device", "patient": SUBJECT}
    patient: Resource = {"resourceType": "Patient", "identifier": [_at(SUBJECT, "identifier")]}
    place: Resource = {"resourceType": "Location"}
    messages: dict[str, Resource] = {
        "MedicationDispense: dispensed": _stu3("MedicationDispense", good),
        "MedicationDispense: dispensed, with a Composition": _stu3("MedicationDispense", good, _note()),
        "MedicationDispense: failed": _stu3("MedicationDispense", bad),
        "MedicationDispense: failed, with a Composition": _stu3("MedicationDispense", bad, _note()),
        "MedicationDispense: failed, with a Flag": _stu3("MedicationDispense", bad, _flag()),
        "MedicationDispense: test (code 0)": _stu3("MedicationDispense", test),
        "LocationMeasurement": _stu3("LocationMeasurement", device, patient, place, _flag(), place),
        "CameraObservation: Observation": _stu3("CameraObservation", _observation()),
        "CameraObservation: Encounter": _stu3("CameraObservation", _encounter()),
        "PatientComposition": _stu3("PatientComposition", _note()),
        "Encounter without a message": _encounter(),
        "Encounter without a message, by a sensor's event": sensor,
    }
    for name, message in messages.items():
        yield name, *_outcome(_sent(message, "vkp-stu3"))


def _r4_kinds() -> Iterator[tuple[str, ...]]:
    issue: Resource = {
        "resourceType": "DetectedIssue",
        "status": "final",
        "patient": SUBJECT,
        "identifiedDateTime": TIME,
        "code": _concept("vkp-alert-code-v090", "3"),
    }
    events = "vkp-medicationdispense-events-v090"
    messages: dict[str, Resource] = {
        "Bundle: Composition, DetectedIssue": _document(_note(), issue),
        "Bundle: Composition, Flag": _document(_note(), _flag()),
        "Bundle: Composition, Encounter with a sensor's event as reason": _document(
            _note(), _encounter(reasonCode=[_concept("vkp-encounter-reason-v090", "4")])
        ),
        "Bundle: Composition, MedicationDispense with a superseded code of a failure": _document(
            _note(), _dispense(events, "12")
        ),
        "Composition": _note(),
        "MedicationDispense": _dispense(events, "1"),
        "MedicationDispense with a superseded code of a failure": _dispense(events, "12"),
        "MedicationDispense with the superseded test code 0": _dispense(events, "0"),
        "Encounter": _encounter(),
        "Communication": {"resourceType": "Communication", "status": "completed", "subject": SUBJECT, "sent": TIME},
        "DetectedIssue": issue,
        "Flag": _flag(),
        "Observation": _observation(),
    }
    for name, message in messages.items():
        yield name, *_outcome(_sent(message, "vkp-r4"))


def _dispenses() -> str:
    return _table("code", "becomes", rows=_dispense_rows("vkp-medicationdispense-events-v06"))


def _dispense_rows(system: str) -> Iterator[tuple[str, ...]]:
    for code in _codes(CODES + system):
        result = _sent(_stu3("MedicationDispense", _dispense(system, code)), "vkp-stu3")
        yield _named(CODES + system, code), _dispensed(result)


def _dispensed(result: Translation) -> str:
    if result.is_test or result.refusal:
        return _outcome(result)[0]
    issues = _found(result, "DetectedIssue")
    if issues:
        return f"DetectedIssue.code {_code(issues[0]['code'])}"
    return f"MedicationDispense.category {_code(_found(result, 'MedicationDispense')[0]['category'])}"


def _codes(url: str) -> list[str]:
    return [
        concept.code for system in code_systems() if url in (system.url, *system.also) for concept in system.concepts
    ]


def _reasons() -> str:
    rows = []
    for code in _codes(f"{CODES}vkp-encounter-reason-v06"):
        result = _sent(_encounter(reason=[_concept("vkp-encounter-reason-v06", code)]), "vkp-stu3")
        issue = _found(result, "DetectedIssue")[0]
        reason = _at(_found(result, "Encounter")[0], "reasonCode")
        name = _named(f"{CODES}vkp-encounter-reason-v06", code)
        rows.append((name, f"DetectedIssue.code {_code(issue['code'])}", f"Encounter.reasonCode {_code(reason)}"))
    return _table("reason", "becomes", "and", rows=rows)


def _classes() -> str:
    rows = []
    for code in _codes(f"{CODES}vkp-encounter-class-v06"):
        own: Tree = {"system": f"{CODES}vkp-encounter-class-v06", "code": code}
        encounter = _found(_sent(_encounter(**{"class": own}), "vkp-stu3"), "Encounter")[0]
        mode, kind = _code(_at(encounter, "participant", "type")), _code(encounter["class"])
        name = _named(f"{CODES}vkp-encounter-class-v06", code)
        rows.append((name, f"Encounter.participant.type {mode}", f"Encounter.class {kind}"))
    return _table("class", "becomes", "and", rows=rows)


def _composition_codes() -> str:
    rows = [
        *_note_rows("vkp-composition-class-v06", "class", lambda concept: {"class": concept}, "category"),
        *_note_rows(
            "vkp-composition-section-v06", "section.code", lambda one: {"section": [{"code": one}]}, "section", "code"
        ),
        *_note_rows(
            "vkp-composition-event-v06", "event.code", lambda one: {"event": [{"code": [one]}]}, "event", "code"
        ),
    ]
    return _table("element", "code", "becomes", rows=rows)


def _note_rows(system: str, name: str, fields: Callable[[Resource], Resource], *path: str) -> Iterator[tuple[str, ...]]:
    for code in _codes(CODES + system):
        result = _sent(_stu3("PatientComposition", _note(**fields(_concept(system, code)))), "vkp-stu3")
        written = _code(_at(_found(result, "Composition")[0], *path))
        stands = written.startswith(_short(CODES + system))
        yield (
            f"`{name}`",
            _named(CODES + system, code),
            "stands as it is: no code of today says it" if stands else written,
        )


def _severities() -> str:
    rows = []
    systems = [("vkp-emergency-level-v06", "vkp-emergency-level-v05"), ("vkp-triage-v05",) * 2]
    for system, listed in [*systems, ("vkp-severity-level-v090",) * 2]:
        for code in _codes(CODES + listed):
            extension: Tree = {"url": f"{PROFILES}vkp-severity", "valueCodeableConcept": _concept(system, code)}
            result = _sent(_stu3("LocationMeasurement", _flag(extension=[extension])), "vkp-stu3")
            severity = _found(result, "DetectedIssue")[0].get("severity")
            rows.append((_short(system), _named(CODES + listed, code), f"`{severity}`" if severity else "left out"))
    return _table("code system", "code", "DetectedIssue.severity", rows=rows)


def _superseded() -> str:
    return "\n".join(
        _superseded_part(system, table)
        for system in code_systems()
        if system.url.endswith("-v090")
        for table in system.earlier
        if table.concepts
    )


def _superseded_part(system: CodeSystem, table: Superseded) -> str:
    short = next((name for name, url in SHORT_NAMES.items() if url == system.url), None)
    rows = [(f"`{one.code}`", one.meaning, *_both(system.url, one.code, short, table.name)) for one in table.concepts]
    changed = [row for row in rows if row[2:] != ("stands", "stands")]
    setting = f"With `code_history: {{{short}: {table.name}}}`. " if short else "No setting names this table. "
    told = f"{setting}Of its {len(rows)} codes {len(rows) - len(changed)} stand as written.\n"
    listed = _table("code", "meant", "with the setting", "without", rows=changed)
    return f"### {_short(system.url)} {table.name}\n\n{told}" + (f"\n{listed}" if changed else "")


def _both(url: str, code: str, short: str | None, table: str) -> tuple[str, str]:
    plain = _today(url, code, ())
    told = _today(url, code, ((short, table),)) if short else plain
    return told, "the same" if plain == told != "stands" else plain


def _today(url: str, code: str, history: tuple[tuple[str, str], ...]) -> str:
    """Say what a superseded code of R4 becomes, by translating the smallest message that can hold it."""
    concept = _concept(url, code)
    name = url.removeprefix(f"{CODES}vkp-").removesuffix("-v090")
    message, kind, path = {
        "alert-code": ({**_flag(), "code": concept}, "DetectedIssue", ("code",)),
        "medicationdispense-events": (_dispense(url, code), "MedicationDispense", ("category",)),
        "composition-section": (_note(section=[{"code": concept}]), "Composition", ("section", "code")),
        "composition-category": (_note(category=[concept]), "Composition", ("category",)),
        "composition-class": (_note(category=[concept]), "Composition", ("category",)),
        "encounter-reason": (_encounter(reasonCode=[concept]), "Encounter", ("reasonCode",)),
        "encounter-type": (_encounter(type=[concept]), "Encounter", ("type",)),
        "severity-level": (_flag(extension=[{"url": "x", "valueCodeableConcept": concept}]), "", ("",)),
    }[name]
    result = _sent(message, "vkp-r4", history)
    if result.is_test or result.refusal:
        return _outcome(result)[0]
    if not kind:
        (issue,) = _found(result, "DetectedIssue")
        written = _code(_at(issue, "extension", "valueCodeableConcept"))
        return "stands" if written == f"{_short(url)} {_named(url, code)}" else written
    issues = _found(result, "DetectedIssue")
    if issues and kind != "DetectedIssue":
        return f"DetectedIssue.code {_code(issues[0]['code'])}"
    written = _code(_at(_found(result, kind)[0], *path))
    return "stands" if written == f"{_short(url)} {_named(url, code)}" else written


def _elements() -> str:
    plan = from_stu3()
    rows = [row for kind in (*KINDS, *MORE_KINDS) for row in _changed(plan, kind)]
    return _table("STU3", "R4", rows=rows)


def _changed(plan: Plan, kind: str) -> Iterator[tuple[str, ...]]:
    for key, steps in plan.types.items():
        owner, _, becomes = key.partition(">")
        if becomes == "Extension" or (owner != kind and not owner.startswith(f"{kind}.")):
            continue
        for step in steps.values():
            if not step.name.startswith("_") and (found := _becomes(owner, becomes or owner, step)) is not None:
                yield f"`{owner}.{step.name}`", found


def _becomes(owner: str, becomes: str, step: Step) -> str | None:
    if step.target is None:
        return f"extension `extension-{owner}.{step.name}`"
    place = f"{becomes}.{step.into}[0].{step.target}" if step.into else f"{becomes}.{step.target}"
    if step.wraps:
        return f"`{place}`, a list of one"
    if step.unwraps:
        return f"`{place}`, one value: more are refused"
    return f"`{place}`" if step.into or step.target != step.name else None


if __name__ == "__main__":
    main()
