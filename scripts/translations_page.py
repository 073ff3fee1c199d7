"""Writes the tables of docs/translations.md, by translating a small message for every kind and every code.

python scripts/translations_page.py
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from translation_samples import (
    CODES,
    SUBJECT,
    TIME,
    Resource,
    at_path,
    code_of,
    found_in,
    named,
    resources_of,
    sent,
    short_name,
    some_concept,
    some_dispense,
    some_document,
    some_encounter,
    some_flag,
    some_note,
    some_observation,
    stu3_message,
)

from translators.contract import Translation, Tree
from translators.fhir.cross_version import url_of
from translators.fhir.elements import r4, stu3
from translators.fhir.plan import Plan, Step, complete, from_stu3
from translators.terminology import SHORT_NAMES, CodeSystem, Superseded, code_systems

PAGE = Path(__file__).parents[1] / "docs" / "translations.md"
HEADING = "## What STU3 messages become\n"
PROFILES = "http://ehelse.no/fhir/StructureDefinition/"
KINDS = ("MedicationDispense", "Dosage", "Flag", "Encounter", "Composition", "Observation", "Device", "Location")
MORE_KINDS = (
    *("Patient", "Communication", "DetectedIssue", "QuestionnaireResponse", "Annotation", "Attachment", "Money"),
    *("MedicationAdministration", "MedicationStatement", "MedicationRequest", "Condition", "AllergyIntolerance"),
    *("Procedure", "Immunization", "CarePlan", "Goal", "DocumentReference", "DiagnosticReport"),
)


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


# Results


def _outcome(result: Translation) -> tuple[str, str]:
    if result.undelivered:
        return "nothing: acknowledged, delivered nowhere", ""
    if result.refusal:
        return f"refused: {result.refusal.text.replace(CODES, '')}", ""
    kinds = ", ".join(str(resource["resourceType"]) for resource in resources_of(result))
    return kinds, f"`POST {result.calls[0].path}`"


# Tables


def _stu3_kinds() -> Iterator[tuple[str, ...]]:
    good, bad = (
        some_dispense("vkp-medicationdispense-events-v06", "1"),
        some_dispense("vkp-medicationdispense-events-v06", "2"),
    )
    test = some_dispense("vkp-medicationdispense-events-v06", "0")
    sensor = some_encounter(reason=[some_concept("vkp-encounter-reason-v06", "1")])
    device: Resource = {"resourceType": "Device", "patient": SUBJECT}
    patient: Resource = {"resourceType": "Patient", "identifier": [at_path(SUBJECT, "identifier")]}
    place: Resource = {"resourceType": "Location"}
    messages: dict[str, Resource] = {
        "MedicationDispense: dispensed": stu3_message("MedicationDispense", good),
        "MedicationDispense: dispensed, with a Composition": stu3_message("MedicationDispense", good, some_note()),
        "MedicationDispense: failed": stu3_message("MedicationDispense", bad),
        "MedicationDispense: failed, with a Composition": stu3_message("MedicationDispense", bad, some_note()),
        "MedicationDispense: failed, with a Flag": stu3_message("MedicationDispense", bad, some_flag()),
        "MedicationDispense: test (code 0)": stu3_message("MedicationDispense", test),
        "LocationMeasurement": stu3_message("LocationMeasurement", device, patient, place, some_flag(), place),
        "CameraObservation: Observation": stu3_message("CameraObservation", some_observation()),
        "CameraObservation: Encounter": stu3_message("CameraObservation", some_encounter()),
        "PatientComposition": stu3_message("PatientComposition", some_note()),
        "PatientComposition of an event that is not to be journaled (class 2)": stu3_message(
            "PatientComposition", some_note(**{"class": some_concept("vkp-composition-class-v06", "2")})
        ),
        "Encounter without a message": some_encounter(),
        "Encounter without a message, by a sensor's event": sensor,
    }
    for name, message in messages.items():
        yield name, *_outcome(sent(message, "vkp-stu3"))


def _r4_kinds() -> Iterator[tuple[str, ...]]:
    issue: Resource = {
        "resourceType": "DetectedIssue",
        "status": "final",
        "patient": SUBJECT,
        "identifiedDateTime": TIME,
        "code": some_concept("vkp-alert-code-v090", "3"),
    }
    events = "vkp-medicationdispense-events-v090"
    messages: dict[str, Resource] = {
        "Bundle: Composition, DetectedIssue": some_document(some_note(), issue),
        "Bundle: Composition, Flag": some_document(some_note(), some_flag()),
        "Bundle: Composition, Encounter with a sensor's event as reason": some_document(
            some_note(), some_encounter(reasonCode=[some_concept("vkp-encounter-reason-v090", "4")])
        ),
        "Bundle: Composition, MedicationDispense with a superseded code of a failure": some_document(
            some_note(), some_dispense(events, "12")
        ),
        "Composition": some_note(),
        "MedicationDispense": some_dispense(events, "1"),
        "MedicationDispense with a superseded code of a failure": some_dispense(events, "12"),
        "MedicationDispense with the superseded test code 0": some_dispense(events, "0"),
        "Encounter": some_encounter(),
        "Communication": {"resourceType": "Communication", "status": "completed", "subject": SUBJECT, "sent": TIME},
        "DetectedIssue": issue,
        "Flag": some_flag(),
        "Observation": some_observation(),
    }
    for name, message in messages.items():
        yield name, *_outcome(sent(message, "vkp-r4"))


def _dispenses() -> str:
    return _table("code", "becomes", rows=_dispense_rows("vkp-medicationdispense-events-v06"))


def _dispense_rows(system: str) -> Iterator[tuple[str, ...]]:
    for code in _codes(CODES + system):
        result = sent(stu3_message("MedicationDispense", some_dispense(system, code)), "vkp-stu3")
        yield named(CODES + system, code), _dispensed(result)


def _dispensed(result: Translation) -> str:
    if result.undelivered or result.refusal:
        return _outcome(result)[0]
    issues = found_in(result, "DetectedIssue")
    if issues:
        return f"DetectedIssue.code {code_of(issues[0]['code'])}"
    return f"MedicationDispense.category {code_of(found_in(result, 'MedicationDispense')[0]['category'])}"


def _codes(url: str) -> list[str]:
    return [
        concept.code for system in code_systems() if url in (system.url, *system.also) for concept in system.concepts
    ]


def _reasons() -> str:
    rows = []
    for code in _codes(f"{CODES}vkp-encounter-reason-v06"):
        result = sent(some_encounter(reason=[some_concept("vkp-encounter-reason-v06", code)]), "vkp-stu3")
        issue = found_in(result, "DetectedIssue")[0]
        reason = at_path(found_in(result, "Encounter")[0], "reasonCode")
        name = named(f"{CODES}vkp-encounter-reason-v06", code)
        rows.append((name, f"DetectedIssue.code {code_of(issue['code'])}", f"Encounter.reasonCode {code_of(reason)}"))
    return _table("reason", "becomes", "and", rows=rows)


def _classes() -> str:
    rows = []
    for code in _codes(f"{CODES}vkp-encounter-class-v06"):
        own: Tree = {"system": f"{CODES}vkp-encounter-class-v06", "code": code}
        encounter = found_in(sent(some_encounter(**{"class": own}), "vkp-stu3"), "Encounter")[0]
        mode, kind = code_of(at_path(encounter, "participant", "type")), code_of(encounter["class"])
        name = named(f"{CODES}vkp-encounter-class-v06", code)
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
        result = sent(stu3_message("PatientComposition", some_note(**fields(some_concept(system, code)))), "vkp-stu3")
        yield f"`{name}`", named(CODES + system, code), _noted(result, CODES + system, path)


def _noted(result: Translation, system: str, path: tuple[str, ...]) -> str:
    """Say what a code of a note became: at its place, and as an event of the note."""
    if result.undelivered or result.refusal:
        return _outcome(result)[0]
    note = found_in(result, "Composition")[0]
    written = code_of(at_path(note, *path))
    stands = written.startswith(short_name(system))
    event = (
        f", and event.code {code_of(at_path(note, 'event', 'code'))}" if "event" in note and "event" not in path else ""
    )
    return ("stands as it is: no code of today says it" if stands else written) + event


def _severities() -> str:
    rows = []
    own = ("vkp-severity-level-v06", "vkp-triage-v05", "vkp-triage-v06", "vkp-severity-level-v090")
    systems = [("vkp-emergency-level-v06", "vkp-emergency-level-v05"), *((name, name) for name in own)]
    for system, listed in systems:
        for code in _codes(CODES + listed):
            extension: Tree = {"url": f"{PROFILES}vkp-severity", "valueCodeableConcept": some_concept(system, code)}
            result = sent(stu3_message("LocationMeasurement", some_flag(extension=[extension])), "vkp-stu3")
            severity = found_in(result, "DetectedIssue")[0].get("severity")
            rows.append((short_name(system), named(CODES + listed, code), f"`{severity}`" if severity else "left out"))
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
    return f"### {short_name(system.url)} {table.name}\n\n{told}" + (f"\n{listed}" if changed else "")


def _both(url: str, code: str, short: str | None, table: str) -> tuple[str, str]:
    plain = _today(url, code, ())
    told = _today(url, code, ((short, table),)) if short else plain
    return told, "the same" if plain == told != "stands" else plain


def _today(url: str, code: str, history: tuple[tuple[str, str], ...]) -> str:
    """Say what a superseded code of R4 becomes, by translating the smallest message that can hold it."""
    concept = some_concept(url, code)
    name = url.removeprefix(f"{CODES}vkp-").removesuffix("-v090")
    message, kind, path = {
        "alert-code": ({**some_flag(), "code": concept}, "DetectedIssue", ("code",)),
        "flag-code": ({**some_flag(), "code": concept}, "DetectedIssue", ("code",)),
        "medicationdispense-events": (some_dispense(url, code), "MedicationDispense", ("category",)),
        "composition-section": (some_note(section=[{"code": concept}]), "Composition", ("section", "code")),
        "composition-class": (some_note(category=[concept]), "Composition", ("category",)),
        "encounter-reason": (some_encounter(reasonCode=[concept]), "Encounter", ("reasonCode",)),
        "encounter-type": (some_encounter(type=[concept]), "Encounter", ("type",)),
        "severity-level": (some_flag(extension=[{"url": "x", "valueCodeableConcept": concept}]), "", ("",)),
    }[name]
    result = sent(message, "vkp-r4", history)
    if result.undelivered or result.refusal:
        return _outcome(result)[0]
    if not kind:
        (issue,) = found_in(result, "DetectedIssue")
        written = code_of(at_path(issue, "extension", "valueCodeableConcept"))
        return "stands" if written == f"{short_name(url)} {named(url, code)}" else written
    issues = found_in(result, "DetectedIssue")
    if issues and kind != "DetectedIssue":
        return f"DetectedIssue.code {code_of(issues[0]['code'])}"
    resource = found_in(result, kind)[0]
    written = code_of(at_path(resource, *path))
    if kind == "Encounter" and path == ("type",):
        added = {
            "reasonCode": at_path(resource, "reasonCode"),
            "participant.type": at_path(resource, "participant", "type"),
        }
        written = next((f"Encounter.{name} {code_of(value)}" for name, value in added.items() if value), written)
    if kind == "Composition" and "event" in resource:
        written += f", and event.code {code_of(at_path(resource, 'event', 'code'))}"
    return "stands" if written == f"{short_name(url)} {named(url, code)}" else written


def _elements() -> str:
    plan = from_stu3()
    complete(plan)
    rows = [row for kind in (*KINDS, *MORE_KINDS) for row in _changed(plan, kind)]
    return _table("STU3", "R4", rows=rows)


REWRITTEN = {
    "Communication.notDone": "`status` `not-done` where true; left out where false",
    "Immunization.explanation": "`reasonCode`, and one `reasonNotGiven` as `statusReason`",
    "Immunization.notGiven": "`status` `not-done` where true; left out where false",
    "Money.code": "`Money.currency`",
    "Money.comparator": "refused",
    "Money.system": "left out where it is ISO 4217, which `currency` means",
    "Money.unit": "left out where it is the code again",
    "MedicationAdministration.notGiven": "`status` `not-done` where true; left out where false",
    "MedicationDispense.notDone": "`status` `declined` where true, which only an alert may have; left out where false",
    "MedicationStatement.taken": "`status` `not-taken` or `unknown`; left out where the status says `y` or `na`",
    "Observation.related": "`hasMember` and `derivedFrom`; any other relation in an extension",
    "Procedure.notDone": "`status` `not-done` where true; left out where false",
}
"""What the plan leaves to a function of its own (`translators/fhir/rewrites.py`)."""


def _changed(plan: Plan, kind: str) -> Iterator[tuple[str, ...]]:
    for key, steps in plan.types.items():
        owner, _, becomes = key.partition(">")
        if becomes == "Extension" or (owner != kind and not owner.startswith(f"{kind}.")):
            continue
        for step in steps.values():
            if not step.name.startswith("_") and (found := _becomes(owner, becomes or owner, step)) is not None:
                yield f"`{owner}.{step.name}`", found


def _becomes(owner: str, becomes: str, step: Step) -> str | None:
    if f"{owner}.{step.name}" in REWRITTEN:
        return REWRITTEN[f"{owner}.{step.name}"]
    if step.target is None:
        url = url_of(owner, step.name, stu3()).rpartition("/")[2]
        return "refused" if step.is_modifier else f"extension `{url}`"
    place = f"{becomes}.{step.into}[0].{step.target}" if step.into else f"{becomes}.{step.target}"
    how = "".join(f", `{old}` as `{new}`" for old, new in sorted(step.renamed.items()))
    if step.conversion is not None:
        kind = r4().types[becomes][step.target].type
        how += f", as {'an' if kind[0] in 'AEI' else 'a'} {kind}"
    if step.wraps:
        how += ", a list of one"
    if step.unwraps:
        how += ", one value: more are refused"
    return f"`{place}`{how}" if how or step.into or step.target != step.name else None


if __name__ == "__main__":
    main()
