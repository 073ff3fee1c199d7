"""Municipal services of a patient, wherever they are told from: which of them answer a tjenstlig behov, and how VKP writes one.

A service has a type of IPLOS, or a level of the municipality's own (CareServiceLevel, as `2.2.3`), or both. Which levels lie
behind a ServiceCode is the municipality's to say (`partner_profile`); which type does is NHN's (legacy-vkp, ServiceCodes).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from translators.contract import Number, Tree
from translators.patient import system_of

IPLOS = "urn:oid:2.16.578.1.12.4.1.1.9151"
"""Kodeverk 9151, tjenestetype; its codes are numbers, so `06` is 6."""
IPLOS_OF = {"TA": 6, "GPS": 26, "MD": 27, "DT": 28}
"""The type of service behind a ServiceCode; RT and DHO have none."""
SERVICE_CODES = ("RT", "TA", "GPS", "MD", "DT", "DHO")
"""The ServiceCodes that NHN documents; a partner profile may name others."""
WITHOUT_IPLOS = frozenset(SERVICE_CODES).difference(IPLOS_OF)
STAY_TYPES = "http://hl7.no/fhir/ig/okt/CodeSystem/OktStayTypeCs"
_STAYS = frozenset({"dagopphold", "korttidsopphold"})
_EXTENSIONS = "http://hl7.no/fhir/ig/okt/StructureDefinition/"
_OWN = "urn:vkp-gateway:okt"
_URIS = "urn:ietf:rfc:3986"
_UCUM = "http://unitsofmeasure.org"
_TOLD = "Tjenestetypen er etter IPLOS. VKP oppga tjenestenivå (CareServiceLevel) her."
_NAMES = {
    6: "Trygghetsalarm",
    26: "Lokaliseringsteknologi (GPS)",
    27: "Elektronisk medisineringsstøtte",
    28: "Digitalt tilsyn",
}
"""What the types behind ServiceCodes are called, where the source does not say it."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a service a patient gets in a week."""

    text: str
    """As it was written."""
    value: str | None = None
    unit: str | None = None
    """`h` or `min`; with a value where the text could be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of one patient."""

    iplos: int | None = None
    level: str | None = None
    """CareServiceLevel, as VKP has it, or a ServiceCode that a file names itself; never an organisational place."""
    name: str | None = None
    start: str | None = None
    """A date, as all dates here in ISO form, so that their order is that of their texts."""
    end: str | None = None
    """The last day."""
    ceased: bool = False
    """Whether it is paused for the time being."""
    place: str | None = None
    """Where in the municipality's organisation it is given."""
    description: str | None = None
    stay: str | None = None
    extent: Extent | None = None
    needs_caption: bool = False

    def status(self, today: str) -> str:
        """Return the status on a day (FHIR R4 EpisodeOfCareStatus)."""
        if self.end is not None and self.end < today:
            return "finished"
        if self.start is not None and self.start > today:
            return "planned"
        return "onhold" if self.ceased else "active"


def answers(codes: Iterable[str], service: Service, today: str, profile: Mapping[str, Sequence[str]]) -> bool:
    """Whether a service fulfils the tjenstlig behov that one of these ServiceCodes stands for.

    It must have begun, and be neither ended nor paused. `profile` has patterns of levels by ServiceCode.
    """
    if service.status(today) != "active":
        return False
    return any(
        (service.iplos is not None and IPLOS_OF.get(code) == service.iplos)
        or service.level == code
        or (service.level is not None and any(matches(one, service.level) for one in profile.get(code, ())))
        for code in codes
    )


def matches(pattern: str, level: str) -> bool:
    """Whether a level is what a pattern says; `%` stands for any text, also none, and letter case does not matter.

    Each piece is looked for after the one before it, so a pattern of many `%` takes no longer.
    """
    first, *rest = pattern.casefold().split("%")
    text = level.casefold()
    if not rest:
        return text == first
    *middle, last = rest
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return len(text) - at >= len(last) and text.endswith(last)


def episode_of_care(service: Service, number: str, today: str, identifier: str) -> dict[str, Tree]:
    """Write a service as VKP's R4 EpisodeOfCare; `number` is the patient's national number, `identifier` a UUID of the service."""
    period: dict[str, Tree] = {
        name: date for name, date in (("start", service.start), ("end", service.end)) if date is not None
    }
    result: dict[str, Tree] = {"resourceType": "EpisodeOfCare", "id": identifier}
    if service.level is None:
        name = _name(service) or "Tjeneste"
        result["text"] = {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{escape(name)}</p><p>{_TOLD}</p></div>',
        }
    if extensions := _extensions(service):
        result["extension"] = extensions
    result["identifier"] = [{"system": _URIS, "value": f"urn:uuid:{identifier}"}]
    result["status"] = service.status(today)
    if types := _types(service):
        result["type"] = types
    result["patient"] = {"identifier": {"system": system_of(number), "value": number}}
    if service.place is not None:
        result["managingOrganization"] = {"display": service.place}
    if period:
        result["period"] = period
    return result


def _name(service: Service) -> str | None:
    return service.name or _NAMES.get(service.iplos or 0)


def _types(service: Service) -> list[Tree]:
    """Return the level before the type, since VKP has the level alone; then the kind of stay."""
    name: dict[str, Tree] = {"display": shown} if (shown := _name(service)) is not None else {}
    codings: list[Tree] = []
    if service.level is not None:
        codings.append({"code": service.level, **name})
    if service.iplos is not None:
        codings.append({"system": IPLOS, "code": str(service.iplos), **name})
    types: list[Tree] = [{"coding": codings, **({"text": shown} if shown is not None else {})}] if codings else []
    if service.stay is not None:
        known: dict[str, Tree] = (
            {"coding": [{"system": STAY_TYPES, "code": service.stay.lower()}]} if service.stay.lower() in _STAYS else {}
        )
        types.append({**known, "text": service.stay})
    return types


def _extensions(service: Service) -> list[Tree]:
    """Return what EpisodeOfCare has no element for, as HL7 Norway's draft of OKT has it where that has a place."""
    found: list[Tree] = []
    if service.extent is not None:
        found.append({"url": f"{_OWN}:weekly-extent", "valueString": service.extent.text})
        if service.extent.value is not None and service.extent.unit is not None:
            ratio: Tree = {
                "numerator": _quantity(service.extent.value, service.extent.unit),
                "denominator": _quantity("1", "wk"),
            }
            found.append({"url": f"{_EXTENSIONS}WeeklyExtentRatio", "valueRatio": ratio})
    if service.description is not None:
        found.append({"url": f"{_EXTENSIONS}ServiceDescriptionMarkdown", "valueMarkdown": service.description})
    if service.needs_caption:
        found.append({"url": f"{_OWN}:needs-caption", "valueBoolean": True})
    return found


def _quantity(value: str, unit: str) -> Tree:
    return {"value": Number(value), "system": _UCUM, "code": unit}
