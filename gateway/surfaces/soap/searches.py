"""The operations of Innhenting: what one asks for, and what was found as plain XML, by the WSDL and zeep.

The plain XML has places for what VFT systems use, and for no more of FHIR; docs/soap.md says which elements these are.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from lxml import etree

from gateway.errors import Failure, Fault, fault_of
from gateway.model import Reply
from gateway.surfaces.base import AnswerContext, Found, Operation
from gateway.surfaces.search import UNUSABLE, DateBound, PatientKey, Search
from gateway.surfaces.soap import answers, wsdl
from translators.contract import Refused, Tree
from translators.fhir import rules
from translators.fhir.invariants import objects
from translators.fhir.moments import is_within
from translators.fhir.shapes import EVERY_VALUE, ShapeFault, shape_fault
from translators.fhir.structure import Fault as StructureFault
from translators.fhir.structure import character_faults
from translators.patient import SYSTEM_OF
from translators.places import spelled
from translators.soap.envelope import opened
from translators.soap.local_time import with_offset
from translators.soap.schema import RETRIEVAL, searches

_TYPES = {system: name for name, system in SYSTEM_OF.items()}
_GENDERS = {"male": "1", "female": "2", "other": "9", "unknown": "0"}
"""FHIR's codes in kodeverk 3101."""
_TOLD = frozenset({"active", "deceasedBoolean", "deceasedDateTime", "link", "intent", "status"})
"""The modifiers that the plain XML tells, or that are looked at by their values."""
_DEAD = "_deceasedDateTime"
"""What says, without a time, that it is not known when a patient died."""
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_DAY = "2026-11-29"
_READ = {
    "Patient": frozenset(
        {"resourceType", "meta", "extension", "identifier", "name", "telecom", "gender", "birthDate", "address"}
        | {"contact", "active", "deceasedBoolean", "deceasedDateTime", "link"}
    ),
    "EpisodeOfCare": frozenset(
        {"resourceType", "meta", "extension", "status", "_status", "type", "patient", "managingOrganization", "period"}
    ),
    "CarePlan": frozenset(
        {"resourceType", "meta", "status", "_status", "intent", "_intent", "title", "subject", "activity"}
    ),
}
"""What is looked at of each resource; the rest has no place in the plain XML."""
_DECIDING = {
    "Patient": frozenset(
        {"Patient.gender", "Patient.birthDate", "Patient.deceasedDateTime", "ContactPoint.system", "ContactPoint.use"}
        | {"HumanName.use", "Address.use", "Identifier.use", "Period.start", "Period.end", "Patient.link.type"}
    ),
    "EpisodeOfCare": frozenset({"EpisodeOfCare.status", "Period.start", "Period.end"}),
    "CarePlan": frozenset({"CarePlan.status", "CarePlan.intent", "CarePlan.activity.detail.status"}),
}
"""Elements whose values decide what is told: one that nobody understands would be left out, or leave out what stands beside it."""
_Writer = Callable[[dict[str, Tree], str], Iterator[dict[str, Any]]]
_NORWAY = ZoneInfo("Europe/Oslo")
_ZONE, _HOUSEHOLD = "vkp-sone", "vkp-household"
_EXTENT = "urn:vkp-gateway:okt:weekly-extent"
_EXTENSIONS = (_ZONE, _HOUSEHOLD, _EXTENT)


def search(body: bytes, operation: Operation) -> Search:
    """Return what an envelope asks for, by zeep; raises `Failure`. The schema is checked again: nobody may have asked before."""
    try:
        found = opened(body)
        name = etree.QName(found.body)
        if name.namespace != RETRIEVAL or name.localname != answers.OPERATIONS.get(operation.resource):
            raise Failure(Fault.MALFORMED, "Another operation is expected here")
        if (wrong := searches().fault(found.body, found.document.lines_before)) is not None:
            raise Failure(Fault.MALFORMED, f"Not valid by its schema: {wrong}")
        if not found.tree:
            raise Failure(Fault.MALFORMED, "A search is expected in an Envelope")
        asked: Any = wsdl.operation("innhenting", str(found.tree["version"]), name.localname).input.deserialize(
            found.document.root
        )
        _refuse_unread(asked, found.body)
        return _search(asked, operation)
    except Refused as refusal:
        raise Failure(fault_of(refusal.reason), str(refusal)) from None


def _refuse_unread(asked: Any, body: etree._Element) -> None:
    """Raise `Failure` for an element that zeep could not read, as a year of five digits: without it another search would be made."""
    for child in body:
        name = etree.QName(child).localname
        if getattr(asked, name, None) in (None, []):
            raise Failure(Fault.PARAMETERS, f"{name} has a value that cannot be searched for")


def _search(asked: Any, operation: Operation) -> Search:
    if operation.information is None:
        raise Failure(Fault.UNRECOGNISED, "No search is served at this address")
    patient = asked.Pasient
    if patient is None and operation.kind == "CarePlan":
        raise Failure(Fault.PARAMETERS, "HentBesoksplan needs Pasient")
    bounds = {prefix: (name, getattr(asked, name, None)) for prefix, name in (("ge", "FraOgMed"), ("le", "TilOgMed"))}
    return Search(
        kind=operation.kind,
        information=operation.information,
        patient=PatientKey(SYSTEM_OF[patient.Type], patient.Id.strip()) if patient is not None else None,
        service_codes=tuple(dict.fromkeys(code.strip().upper() for code in asked.Tjenestekode)),
        dates=tuple(
            DateBound(prefix, with_offset(at.isoformat(), name))
            for prefix, (name, at) in bounds.items()
            if at is not None
        ),
    )


def found(asked: AnswerContext, search: Search, resources: tuple[Found, ...]) -> Reply:
    """Answer with what was found; raises `Failure` for what the plain XML has no place for where it must."""
    name = answers.OPERATIONS[search.kind.lower()]
    now = asked.now.astimezone(_NORWAY).isoformat(timespec="seconds")
    writers: dict[str, _Writer] = {
        "Patient": partial(_patient, now=now),
        "EpisodeOfCare": _service,
        "CarePlan": _visits,
    }
    write = writers[search.kind]
    wanted = [
        (f"resource {index + 1}", one.resource)
        for index, one in enumerate(resources)
        if one.resource.get("resourceType") == search.kind
    ]
    items = [
        item | _confidentiality(one)
        for where, one in wanted
        for item in write(_unmodified(_understood(one, where), where), where)
    ]
    element = {"Patient": "Pasient", "EpisodeOfCare": "Tjeneste", "CarePlan": "Besok"}[search.kind]
    version = answers.version_of(asked)
    envelope, body = answers.opened_answer(version)
    try:
        wsdl.render("innhenting", f"{{{RETRIEVAL}}}{name}Response", {element: items}, body)
        is_told = searches().fault(body[0]) is None
    except (ValueError, TypeError):
        is_told = False
    if not is_told:
        for where, one in wanted:
            _refuse_wrong_values(one, where)
        raise Failure(Fault.NOT_SUPPORTED, "A value of the answer cannot be told in XML")
    return answers.reply(asked, version, envelope, 200, (), f"{answers.action_of(asked)}Response")


def _understood(resource: dict[str, Tree], where: str) -> dict[str, Tree]:
    """Return a resource of which nothing that has a place in the plain XML is passed over; raises `Failure` for what is no FHIR R4."""
    told = _read_of(resource)
    fault = shape_fault(told, _DECIDING[str(resource["resourceType"])]) or next(_without_text(told), None)
    _refuse(fault, resource, where)
    return resource


def _refuse_wrong_values(resource: dict[str, Tree], where: str) -> None:
    """Raise `Failure` where a value of a resource is none of FHIR R4."""
    told = _read_of(resource)
    _refuse(shape_fault(told, EVERY_VALUE) or next(iter(character_faults(told)), None), resource, where)


def _refuse(fault: ShapeFault | StructureFault | None, resource: dict[str, Tree], where: str) -> None:
    if fault is not None:
        told = f"The {where} is not as VKP has it: {spelled(resource, fault.path)}: {fault.text}"
        raise Failure(Fault.NO_ANSWER, told, text=UNUSABLE)


def _read_of(resource: dict[str, Tree]) -> dict[str, Tree]:
    return {name: one for name, one in resource.items() if name in _READ[str(resource["resourceType"])]}


def _without_text(told: dict[str, Tree]) -> Iterator[ShapeFault]:
    """Go through the extensions that are told by their texts (legacy-vkp, extensions) and have none."""
    for index, one in enumerate(objects(told.get("extension"))):
        is_told = any(name in (_text(one, "url") or "") for name in _EXTENSIONS)
        if is_told and not {"valueString", "_valueString"} & one.keys():
            yield ShapeFault(("extension", index, "valueString"), "is missing")


def _unmodified(resource: dict[str, Tree], where: str) -> dict[str, Tree]:
    """Return a resource that says no more than its elements do; raises `Failure` for one that the plain XML would tell otherwise."""
    kind = resource.get("resourceType")
    modifiers = {name for name in resource if f"{kind}.{name}" in rules.r4().modifiers or name in rules.INHERITED}
    # Only an extension says then what the modifier is, or why nobody knows.
    unsaid = {name for name in resource if name[0] == "_" and f"{kind}.{name[1:]}" in rules.r4().modifiers}
    unsaid -= {f"_{name}" for name in modifiers} | {_DEAD}
    if modifiers - _TOLD or unsaid or _is_extended(resource) or _is_another(resource):
        raise Failure(Fault.NOT_SUPPORTED, f"The {where} has a modifier that the plain XML has no place for")
    return resource


def _confidentiality(resource: dict[str, Tree]) -> dict[str, Any]:
    """Return the label that says that few may read a resource, as where somebody lives who must not be found; the strictest of several."""
    labels = [label for meta in objects(resource.get("meta")) for label in objects(meta.get("security"))]
    codes = {label.get("code") for label in labels if label.get("system") == _CONFIDENTIALITY}
    return _filled({"Konfidensialitet": next((code for code in ("V", "R") if code in codes), None)})


def _is_extended(value: Tree) -> bool:
    """Tell whether anything of a resource has an extension that modifies it."""
    if isinstance(value, list):
        return any(_is_extended(one) for one in value)
    return isinstance(value, dict) and ("modifierExtension" in value or any(map(_is_extended, value.values())))


def _is_another(resource: dict[str, Tree]) -> bool:
    """Tell whether a patient has been replaced by another one, or a plan is no more than proposed."""
    is_replaced = any(link.get("type") == "replaced-by" for link in objects(resource.get("link")))
    return is_replaced or resource.get("intent") in ("proposal", "option")


def _patient(patient: dict[str, Tree], _: str, now: str) -> Iterator[dict[str, Any]]:
    name, born_on = _name_of(patient, now), _text(patient, "birthDate") or ""
    died_on = _day(_text(patient, "deceasedDateTime"))
    current = [one for one in _in_use(patient.get("identifier"), now) if _text(one, "value")]
    middle = [_text(one, "valueString") for one in _extensions(name.get("_given"), "no-basis-middlename")]
    yield _filled(
        {
            "Identifikator": [_identifier(one) for one in current if _text(one, "system") in _TYPES],
            "LokaltNummer": [
                _filled({"Id": _text(one, "value"), "System": _text(one, "system")})
                for one in current
                if _text(one, "system") not in _TYPES
            ],
            "Navn": None if "family" in name or "given" in name else _text(name, "text"),
            "Fornavn": " ".join(one for one in _texts(name.get("given")) if one not in middle),
            "Mellomnavn": " ".join(one for one in middle if one),
            "Etternavn": _text(name, "family"),
            "Fodselsdato": born_on if len(born_on) == len(_DAY) else None,
            "Kjonn": _GENDERS.get(_text(patient, "gender") or ""),
            "Telefon": _phones(patient.get("telecom"), now),
            "Adresse": [
                _filled(
                    {
                        "Linje": _texts(one.get("line")),
                        "Postnummer": _text(one, "postalCode"),
                        "Poststed": _text(one, "city"),
                    }
                )
                for one in _in_use(patient.get("address"), now)
            ],
            "Sone": _extension(patient, _ZONE),
            "Husholdning": _extension(patient, _HOUSEHOLD),
            "Kontakt": [_contact(one, now) for one in _in_use(patient.get("contact"), now)],
            "Aktiv": "false" if patient.get("active") is False else None,
            "Dod": "true" if died_on or _DEAD in patient or patient.get("deceasedBoolean") is True else None,
            "Dodsdato": died_on if len(died_on) == len(_DAY) else None,
        }
    )


def _name_of(holder: dict[str, Tree], now: str) -> dict[str, Tree]:
    """Return the name that somebody goes by: the usual one, or the first that is not one of earlier days."""
    found = [one for one in _in_use(holder.get("name"), now) if one.get("use") != "maiden"]
    known = [one for one in found if one.get("use") in (None, "usual", "official")]
    return next(iter([*known, *found]), {})


def _day(moment: str | None) -> str:
    """Return the day in Norway on which a moment is; of a date, that, as far as it is known."""
    if moment is None or "T" not in moment:
        return moment or ""
    try:
        # A leap second ends no day in Norway, and Python knows none.
        return datetime.fromisoformat(moment.replace(":60", ":59")).astimezone(_NORWAY).date().isoformat()
    except ValueError:
        return moment[: len(_DAY)]


def _in_use(values: Tree, now: str) -> Iterator[dict[str, Tree]]:
    """Go through what is in use, of names, numbers, telephones, addresses and contacts: the plain XML cannot say until when."""
    return (one for one in objects(values) if one.get("use") != "old" and is_within(one.get("period"), now))


def _contact(contact: dict[str, Tree], now: str) -> dict[str, Any]:
    name = next(_in_use(contact.get("name"), now), {})
    whole = _text(name, "text") or " ".join([*_texts(name.get("given")), *_texts(name.get("family"))])
    relations = [_text(one, "text") or _display(one) for one in objects(contact.get("relationship"))]
    told = {
        "Navn": whole,
        "Relasjon": ", ".join(one for one in relations if one),
        "Telefon": _phones(contact.get("telecom"), now),
    }
    return _filled(told)


def _service(episode: dict[str, Tree], where: str) -> Iterator[dict[str, Any]]:
    concepts = list(objects(episode.get("type")))
    coding = next((one for concept in concepts for one in objects(concept.get("coding")) if _text(one, "code")), {})
    period = next(objects(episode.get("period")), {})
    if not coding:
        raise Failure(Fault.NOT_SUPPORTED, f"The {where} has no code for its type, which Tjeneste needs")
    text = next((told for concept in concepts if (told := _text(concept, "text"))), None)
    yield _filled(
        {
            "Pasient": _about(episode, "patient", where),
            "Kode": _text(coding, "code"),
            "Kodeverk": _text(coding, "system"),
            "Navn": _text(coding, "display") or text,
            "Status": _text(episode, "status"),
            "Fra": _day(_text(period, "start")),
            "Til": _day(_text(period, "end")),
            "Sted": _text(next(objects(episode.get("managingOrganization")), {}), "display"),
            "Omfang": _extension(episode, _EXTENT),
        }
    )


def _visits(plan: dict[str, Tree], where: str) -> Iterator[dict[str, Any]]:
    """Return each visit of a plan; one without a time is no visit that can be told."""
    patient, status = _about(plan, "subject", where), _text(plan, "status")
    for index, activity in enumerate(objects(plan.get("activity"))):
        detail = next(objects(activity.get("detail")), {})
        period = next(objects(detail.get("scheduledPeriod")), {})
        start, end = _text(period, "start") or "", _text(period, "end") or ""
        if detail.get("doNotPerform") is True or "_doNotPerform" in detail or "modifierExtension" in activity:
            raise Failure(
                Fault.NOT_SUPPORTED, f"Visit {index + 1} of {where} is one that shall not be, which Besok cannot say"
            )
        if "T" not in start or (end and "T" not in end):
            raise Failure(Fault.NOT_SUPPORTED, f"Visit {index + 1} of {where} has no time, which Besok needs")
        told = {"Pasient": patient, "Tittel": _text(plan, "title"), "Beskrivelse": _text(detail, "description")}
        own = _text(detail, "status") if status in ("active", "completed") else status
        yield _filled({**told, "Status": own, "Start": start, "Slutt": end})


def _about(resource: dict[str, Tree], name: str, where: str) -> dict[str, Any]:
    identifiers = objects(next(objects(resource.get(name)), {}).get("identifier"))
    found = next((one for one in identifiers if _text(one, "system") in _TYPES and _text(one, "value")), None)
    if found is None:
        raise Failure(Fault.NOT_SUPPORTED, f"The {where} names its patient by no national number")
    return _identifier(found)


def _identifier(identifier: dict[str, Tree]) -> dict[str, Any]:
    return {"Id": _text(identifier, "value"), "Type": _TYPES[_text(identifier, "system") or ""]}


def _phones(contacts: Tree, now: str) -> list[str]:
    points = [one for one in _in_use(contacts, now) if _text(one, "system") in (None, "phone", "sms")]
    return [value for one in points if (value := _text(one, "value"))]


def _extension(holder: dict[str, Tree], name: str) -> str | None:
    return next((_text(one, "valueString") for one in _extensions(holder, name)), None)


def _extensions(holders: Tree, name: str) -> Iterator[dict[str, Tree]]:
    for holder in objects(holders):
        for one in objects(holder.get("extension")):
            if name in (_text(one, "url") or ""):
                yield one


def _display(concept: dict[str, Tree]) -> str | None:
    return next((_text(one, "display") or _text(one, "code") for one in objects(concept.get("coding"))), None)


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value}


def _texts(value: Tree) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _text(holder: dict[str, Tree], name: str) -> str | None:
    value = holder.get(name)
    return value if isinstance(value, str) and value.strip() else None
