"""The Composition of a document that has none: derived from the resources, with a text for people."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from translators.contract import InformationName, Reason, Refused, Tree
from translators.fhir.bundle import Links, type_linked, type_named
from translators.fhir.invariants import objects
from translators.fhir.moments import is_later
from translators.made import made, plain, written
from translators.note_status import statuses
from translators.patient import BEST_FIRST
from translators.terminology import ALERT, CATEGORY, DISPENSE, SECTION, code_system

LOINC = "http://loinc.org"
EPISODE_NOTE: dict[str, Tree] = {"system": LOINC, "code": "34133-9", "display": "Summarization of episode note"}
PROFILE = "http://ehelse.no/fhir/StructureDefinition/vkp-Composition-v090"
_TITLE = "Journalnotat for respons på hendelse"
_UNNAMED = "Avsendersystemet"
_RULE = "composition-of-a-document"
_HOME_MEASURED = frozenset({"maledata", "skjemabesvarelse"})
_PATIENT = ("subject", "patient")
_PATIENTS = frozenset({"Patient", None})
"""What a note can be about; None for somebody of whom only a name or number is known."""
_LABELS = ("security", "tag")
_AUTHORS = frozenset({"Practitioner", "PractitionerRole", "Device", "Patient", "RelatedPerson", "Organization", None})
"""What a Composition may be by; None for somebody of whom only a name or number is known."""
_CARED_FOR = frozenset({"Patient", "RelatedPerson"})
"""Who takes part in a supervision and writes no note of it."""
LINE_END = re.compile(r"\r\n|[\r\n\x85\u2028\u2029]")
"""Whatever ends a line of a text (Unicode, newline guidelines), of what FHIR lets a text hold."""
_BETWEEN_CLOCKS = 5
"""Minutes by which a sender's clock may be ahead: what has just ended was not still to come."""
_TIMES = ("whenHandedOver", "identifiedDateTime", "effectiveDateTime", "sent", "received", "authored", "date")


@dataclass(frozen=True, slots=True)
class Said:
    """A text for the note, written by a person or put together by us."""

    title: str
    code: str
    text: str
    status: str
    """NarrativeStatus: `additional` for what a person wrote, `generated` for what we did."""


def composition(
    resources: list[tuple[str, dict[str, Tree]]],
    information: InformationName | None,
    said: list[Said],
    date: Tree,
    author: str | None,
) -> dict[str, Tree]:
    """Return the Composition of a document that has none, all of it derived from the resources (link and resource each).

    `author` is the sender's system by name, for where nobody else is known. Raises `Refused` when nothing says who the
    patient is, or when it happened, and for what `statuses` has no words for.
    """
    every = [resource for _, resource in resources]
    category = "2" if information in _HOME_MEASURED else "1"
    subject = subject_of(resources) or _patient(resources)
    lines = _summary(every)
    told = [statuses(one, line) for one, line in zip(every, lines, strict=True)]
    says = [line for one in told for line in (one.own, *one.contained) if line is not None]
    if subject is None:
        raise Refused(Reason.PATIENT, "nothing says who the patient is")
    if (when := date if date is not None else time_of(every)) is None:
        raise Refused(Reason.FORMAT, "nothing says when it happened")
    summary: dict[str, Tree] = {
        "title": "Hendelse",
        "code": _concept(SECTION, "2"),
        **_narrative([line for line, one in zip(lines, told, strict=True) if line and one.own is None], "generated"),
        "entry": [{"reference": link} for link, _ in resources],
    }
    # The status comes first: what people wrote may read as if it had happened.
    status: Tree = {"title": "Status", "code": _concept(SECTION, "2"), **_narrative(says, "generated")}
    sections: list[Tree] = [*([status] if says else []), *map(_section, said), summary]
    fields: dict[str, Tree] = {
        "resourceType": "Composition",
        "meta": {"profile": [PROFILE], **labels_of(every)},
        "status": "final",
        "type": {"coding": [dict(EPISODE_NOTE)]},
        "category": [_concept(CATEGORY, category)],
        "subject": subject,
        "date": when,
        "author": _authors(resources, author),
        "title": _TITLE,
        "section": sections,
    }
    return {name: made(value, _RULE) for name, value in fields.items()}


def subject_of(resources: list[tuple[str, dict[str, Tree]]]) -> Tree:
    """Return the patient whom the first resource that says so is about (link and resource each), so that it can stand in another.

    None when none does: a measurement may be of a device, and a supervision of a group, beside what is the patient's.
    """
    kinds = _kinds(resources)
    for _, resource in resources:
        for name in _PATIENT:
            found = plain(resource.get(name))
            if isinstance(found, dict):
                known = {part: plain(value) for part, value in found.items()}
                if _kind_of(known, resource, kinds) in _PATIENTS:
                    return _portable(found, resource)
    return None


def _kinds(resources: list[tuple[str, dict[str, Tree]]]) -> dict[str, str]:
    return {link: str(plain(resource["resourceType"])) for link, resource in resources}


def _portable(reference: Tree, resource: dict[str, Tree]) -> Tree:
    """Return a reference that holds outside of a resource too: by the identifier of what the resource contains."""
    link = plain(reference.get("reference")) if isinstance(reference, dict) else None
    if not isinstance(reference, dict) or not isinstance(link, str) or not link.startswith("#"):
        return reference
    others = {name: plain(value) for name, value in reference.items() if name != "reference"}
    contained = plain(resource.get("contained"))
    for inner in contained if isinstance(contained, list) else []:
        if isinstance(inner, dict) and f"#{plain(inner.get('id'))}" == link:
            best = _best_identifier(plain(inner.get("identifier")))
            others |= {"identifier": best} if best is not None and "identifier" not in others else {}
    return others or None


def _best_identifier(identifiers: Tree) -> Tree:
    """Return by which identifier somebody is known everywhere: a national number before one of a record system, none in use last."""
    known = [one for one in (identifiers if isinstance(identifiers, list) else [identifiers]) if isinstance(one, dict)]
    return min(known, key=_standing, default=None)


def _standing(identifier: dict[str, Tree]) -> tuple[bool, int]:
    system = plain(identifier.get("system"))
    rank = BEST_FIRST.index(system) if isinstance(system, str) and system in BEST_FIRST else len(BEST_FIRST)
    return plain(identifier.get("use")) == "old", rank


def labels_of(resources: list[dict[str, Tree]]) -> dict[str, Tree]:
    """Return for the `meta` of what is made of these resources who may read them, and how they are to be handled."""
    labels: dict[str, Tree] = {}
    for name in _LABELS:
        found: list[Tree] = []
        for meta in (plain(resource.get("meta")) for resource in resources):
            own = plain(meta.get(name)) if isinstance(meta, dict) else None
            found += [one for one in map(written, own if isinstance(own, list) else []) if one not in found]
        labels |= {name: found} if found else {}
    return labels


def time_of(resources: list[dict[str, Tree]], received: str | None = None) -> Tree:
    """Return when it happened, as the first resource that says so has it; None when none does.

    Of a period that is the last moment which was not still to come when the message was `received`, but for what clocks differ by.
    """
    for resource in resources:
        if (found := _first([resource], _TIMES)) is not None:
            return found
        for name in ("period", "effectivePeriod", "identifiedPeriod"):
            period = plain(resource.get(name))
            ends = [plain(period.get(end)) for end in ("end", "start")] if isinstance(period, dict) else []
            if (
                found := next((one for one in ends if one is not None and not _is_after(one, received)), None)
            ) is not None:
                return found
    return None


def _is_after(moment: Tree, received: str | None) -> bool:
    return isinstance(moment, str) and received is not None and is_later(moment, received, _BETWEEN_CLOCKS)


def _first(resources: list[dict[str, Tree]], names: tuple[str, ...]) -> Tree:
    found = (plain(resource[name]) for resource in resources for name in names if name in resource)
    return next((value for value in found if value is not None), None)


def _patient(resources: list[tuple[str, dict[str, Tree]]]) -> Tree:
    """Return a reference to the first Patient among the resources themselves."""
    patients = [link for link, resource in resources if plain(resource["resourceType"]) == "Patient"]
    return {"reference": patients[0]} if patients else None


def _authors(resources: list[tuple[str, dict[str, Tree]]], system: str | None) -> Tree:
    """Return who the note is by: the people who took part, else the only device, which saw it, else the system that sends it."""
    kinds = _kinds(resources)
    for _, resource in resources:
        participants = plain(resource.get("participant"))
        people = [_individual(one) for one in participants] if isinstance(participants, list) else []
        sender = plain(resource.get("sender")) or plain(resource.get("author"))
        for found, allowed in ((people, _AUTHORS - _CARED_FOR), ([sender], _AUTHORS)):
            able = [{name: plain(value) for name, value in one.items()} for one in found if isinstance(one, dict)]
            portable = [_portable(one, resource) for one in able if _kind_of(one, resource, kinds) in allowed]
            known: list[Tree] = [one for one in portable if one is not None]
            if known:
                return known
    devices = [link for link, resource in resources if plain(resource["resourceType"]) == "Device"]
    # Of several devices nobody knows which one it was.
    return [{"reference": devices[0]}] if len(devices) == 1 else [{"display": system or _UNNAMED}]


def _kind_of(reference: dict[str, Tree], resource: dict[str, Tree], kinds: dict[str, str]) -> str | None:
    """Return what a reference refers to, as the message or the reference says; None where neither does."""
    link = reference.get("reference")
    inner = plain(resource.get("contained"))
    own = {f"#{one.get('id')}": str(one.get("resourceType")) for one in objects(inner)}
    known = type_linked(link, Links({**kinds, **own}, {}, {})) if isinstance(link, str) else None
    return known or type_named(reference)


def _individual(participant: Tree) -> Tree:
    value = plain(participant)
    return plain(value.get("individual")) if isinstance(value, dict) else None


def _section(said: Said) -> Tree:
    return {"title": said.title, "code": _concept(SECTION, said.code), **_narrative([said.text], said.status)}


def _narrative(lines: list[str], status: str) -> dict[str, Tree]:
    if not lines:
        return {}
    paragraphs = "".join(f"<p>{LINE_END.sub('<br/>', escape(line, quote=False))}</p>" for line in lines)
    return {"text": {"status": status, "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'}}


def _summary(resources: list[dict[str, Tree]]) -> list[str]:
    """Say in words what each alert and dispense is, for a record that shows the note alone; nothing of other resources."""
    lines: list[str] = []
    for resource in resources:
        match plain(resource["resourceType"]):
            case "DetectedIssue":
                said = [*_codes(resource, "code", ALERT), _text(resource, "code"), plain(resource.get("detail"))]
            case "MedicationDispense":
                said = [*_codes(resource, "category", DISPENSE), _text(resource, "category")]
            case _:
                said = []
        lines.append(": ".join(dict.fromkeys(one for one in said if isinstance(one, str))))
    return lines


def _text(resource: dict[str, Tree], name: str) -> Tree:
    concept = plain(resource.get(name))
    return plain(concept.get("text")) if isinstance(concept, dict) else None


def _codes(resource: dict[str, Tree], name: str, system: str) -> Iterator[str]:
    """Go through what each code of a code system means."""
    concept = plain(resource.get(name))
    codings = plain(concept.get("coding")) if isinstance(concept, dict) else None
    for one in map(plain, codings) if isinstance(codings, list) else ():
        if isinstance(one, dict) and one.get("system") == system:
            found, code = code_system(system), one.get("code")
            known = found.concept(code) if found is not None and isinstance(code, str) else None
            if known is not None:
                yield known.definition or known.display


def _concept(system: str, code: str) -> Tree:
    found = code_system(system)
    concept = found.concept(code) if found is not None else None
    return {"coding": [{"system": system, "code": code, **({"display": concept.display} if concept else {})}]}
