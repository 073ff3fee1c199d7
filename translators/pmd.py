"""The measurements of a journaled message as the bundle that Pasientens måledata (PMD) takes.

Sources: NHN's pages of PMD 2.0 (2026-01-28, connectathon of 2026-06-12) and the profiles of VkpObservation (2026-03-17). Only
Observations are shared. What one of them refers to is not sent, so a reference becomes the identifier of whom it means; what
has none is left out and named. One whose meaning would change without what is left out is not shared at all.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from translators.contract import Call, Tree
from translators.document import new_url
from translators.fhir.bundle import RESTFUL
from translators.fhir.corrections import NAMESPACE
from translators.fhir.invariants import objects_of_list
from translators.fhir.primitives import is_instant
from translators.patient import NATIONAL_SYSTEMS, system_of
from translators.places import printable_name

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
MUNICIPALITY = "https://register.geonorge.no/sosi-kodelister/inndelinger/inndelingsbase/kommunenummer"
BUNDLE_IDENTIFIER = "https://www.nhn.no/komlink/bundle-identifier"
_PROFILES = "http://hl7.no/fhir/vkpobservation/StructureDefinition/"
_CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
_OLDER_PROFILE = "vkp-Observation"
_MISSPELLED = {"29563-7": "29463-7"}
"""Body weight, as one of the pages has it."""


@dataclass(frozen=True, slots=True)
class _Measurement:
    """One kind of measurement, by the codes that the profiles name."""

    profile: str
    loinc: str | None
    snomed: tuple[str, ...] = ()
    category: str | None = "vital-signs"
    unit: str | None = None
    """The only unit of which the LOINC code is, where that says more than the SNOMED code."""


_MEASUREMENTS = (
    _Measurement("vkp-Observation-Heartrate", "8867-4", ("364075005", "78564009")),
    _Measurement("vkp-Observation-Bloodpressure", "85354-9", ("75367002",)),
    _Measurement("vkp-Observation-Oxygensat", "2708-6", ("431314004",)),
    _Measurement("vkp-Observation", "15074-8", ("434912009",), None, "mmol/L"),
    _Measurement("vkp-Observation-Bodytemp", "8310-5", ("276885007",)),
    _Measurement("vkp-Observation-Bodyweight", "29463-7", ("27113001",)),
    _Measurement("vkp-Observation-Resprate", "9279-1", ("86290005",)),
    _Measurement("vkp-Observation-Consciousness", None, ("1104441000000107",)),
    _Measurement("vkp-Observation-NEWS2score", None, ("1104051000000101",), "survey"),
    _Measurement("vkp-Observation-CFSscore", None, ("763264000",), "survey"),
    _Measurement("vkp-Observation", "74465-6", (), None),
)
_OTHER = _Measurement("vkp-Observation", None, (), None)
_BY_CODE = {(SNOMED, code): one for one in _MEASUREMENTS for code in one.snomed} | {
    (LOINC, one.loinc): one for one in _MEASUREMENTS if one.loinc is not None
}
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_FOR_ALL = ("U", "L", "M", "N")
"""How confidential what is usually said of a patient is, at most."""
_RESTRICTED = "a label says that not everybody may read it"
_NEVER_WITHOUT = ("modifierExtension", "focus")
"""Elements that say that an Observation does not mean what it seems to, or is of somebody or something else."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """How measurements are shared."""

    kommunenummer: str
    patient: str
    """The national number."""
    reference: str
    """Of the message; the bundle's identifier follows from it."""
    received: str
    """When the gateway got the message, as a FHIR instant."""
    form: Literal["collection", "batch"] = "collection"


@dataclass(frozen=True, slots=True)
class Shared:
    """What is shared of a message."""

    bundle: dict[str, Tree] | None
    """None where there is nothing to share."""
    left_out: tuple[str, ...]
    """What of its Observations is not shared, by element and reason; no values."""


def call_of(bundle: bytes) -> Call:
    """Return how a bundle is sent."""
    headers = (("Content-Type", "application/fhir+json"), ("Accept", "application/fhir+json"))
    return Call("pmd", "POST", "/", headers, bundle)


def shared(message: Tree, how: Sharing) -> Shared:
    """Return the bundle of a message's Observations, VKP R4 as it was journaled, and what is left out."""
    entries = _entries(message)
    left_out: dict[str, None] = {}
    found = [(url, one) for url, one in entries if one.get("resourceType") == "Observation"]
    targets = _targets(entries)
    restricted = any(
        map(_is_restricted, [message, *(one for _, one in entries if one.get("resourceType") == "Composition")])
    )
    told = [(url, one, _RESTRICTED if restricted else _why_not(one, targets)) for url, one in found]
    left_out |= dict.fromkeys(f"Observation: {why}" for _, _, why in told if why is not None)
    urls = {url for url, _, why in told if why is None}
    resources = [
        (url, _observation(one, how, _References(targets, urls, left_out))) for url, one, why in told if why is None
    ]
    return Shared(_bundle(message, resources, how) if resources else None, tuple(left_out))


def _bundle(message: Tree, resources: list[tuple[str, dict[str, Tree]]], how: Sharing) -> dict[str, Tree]:
    at = message.get("timestamp") if isinstance(message, dict) else None
    meta: dict[str, Tree] = {"tag": [{"system": MUNICIPALITY, "code": how.kommunenummer}]}
    if how.form == "batch":
        meta = {"profile": [f"{_PROFILES}pmd-Bundle-Observation"], **meta}
    own = uuid.uuid5(NAMESPACE, f"pmd|{how.reference}")
    return {
        "resourceType": "Bundle",
        "meta": meta,
        "identifier": {"system": BUNDLE_IDENTIFIER, "value": f"urn:uuid:{own}"},
        "type": how.form,
        "timestamp": at if isinstance(at, str) and is_instant(at) else how.received,
        "entry": [
            {
                "fullUrl": url,
                "resource": resource,
                **({"request": {"method": "POST", "url": "Observation"}} if how.form == "batch" else {}),
            }
            for url, resource in resources
        ],
    }


def _entries(message: Tree) -> list[tuple[str, dict[str, Tree]]]:
    """Return the resources of a message with their URLs."""
    if not isinstance(message, dict):
        return []
    if message.get("resourceType") != "Bundle":
        return [(new_url(str(message.get("id")), "resource"), message)]
    found: list[tuple[str, dict[str, Tree]]] = []
    for index, entry in enumerate(objects_of_list(message.get("entry"))):
        resource, url = entry.get("resource"), entry.get("fullUrl")
        if isinstance(resource, dict):
            own = new_url(str(objects_of_list([message.get("identifier")])), f"entry {index}")
            found.append((url if isinstance(url, str) else own, resource))
    return found


def _targets(entries: list[tuple[str, dict[str, Tree]]]) -> dict[str, tuple[str, dict[str, Tree]]]:
    """Return what references may mean, by what they have: the URL of an entry with its resource.

    A type and id that two entries have mean neither.
    """
    held: dict[str, list[tuple[str, dict[str, Tree]]]] = {}
    for url, one in entries:
        restful = RESTFUL.fullmatch(url)
        links = {f"{restful[1]}/{restful[2]}"} if restful else set()
        links |= {f"{one.get('resourceType')}/{one.get('id')}"} if "id" in one else set()
        for link in links:
            held.setdefault(link, []).append((url, one))
    return {link: found[0] for link, found in held.items() if len(found) == 1} | {
        url: (url, one) for url, one in entries
    }


def _why_not(observation: dict[str, Tree], targets: Mapping[str, tuple[str, dict[str, Tree]]]) -> str | None:
    """Return why an Observation is not shared; None where it is."""
    if _is_restricted(observation):
        return _RESTRICTED
    said = next((name for name in _NEVER_WITHOUT if name in observation), None)
    if said is not None:
        return f"{said} changes what it means"
    subject = observation.get("subject")
    if not isinstance(subject, dict):
        return "it does not say of whom it is"
    if not _is_patient(subject, observation, targets):
        return "its subject is no patient"
    if not any("code" in one for one in _codings(observation)):
        return "it has no code"
    if not any(name.startswith("effective") for name in observation):
        return "it does not say when it was made"
    return None


def _is_restricted(resource: Tree) -> bool:
    """Tell whether a resource says that not everybody who may read measurements may read it, or that it is a test."""
    if not isinstance(resource, dict):
        return False
    meta = resource.get("meta")
    labels = objects_of_list(meta.get("security")) if isinstance(meta, dict) else []
    own: dict[str, Tree] = {"system": _CONFIDENTIALITY, "code": resource.get("confidentiality", "N")}
    return any(one.get("system") != _CONFIDENTIALITY or one.get("code") not in _FOR_ALL for one in (*labels, own))


def _is_patient(
    subject: dict[str, Tree], observation: dict[str, Tree], targets: Mapping[str, tuple[str, dict[str, Tree]]]
) -> bool:
    """Tell whether a subject is no device, place or group, by its type, its link, or what that leads to."""
    link = str(subject.get("reference", "")).partition("/_history/")[0]
    inner = {f"#{one.get('id')}": one for one in objects_of_list(observation.get("contained"))}
    target = inner.get(link) if link.startswith("#") else targets.get(link, ("", None))[1]
    kinds = (subject.get("type"), target.get("resourceType") if target is not None else None)
    named = link.rpartition("/")[0].rpartition("/")[2]
    return all(one in (None, "Patient") for one in kinds) and (not named[:1].isupper() or named == "Patient")


def _observation(observation: dict[str, Tree], how: Sharing, references: "_References") -> dict[str, Tree]:
    kind = _kind(observation)
    number: dict[str, Tree] = {"system": system_of(how.patient), "value": how.patient}
    subject: Tree = {"type": "Patient", "identifier": number}
    found = references.without("Observation", {**observation, "subject": subject})
    assert isinstance(found, dict)  # noqa: S101 - it was one
    code = observation.get("code")
    categories = objects_of_list(found.get("category"))
    if kind.category is not None and not any(
        one.get("code") == kind.category for category in categories for one in objects_of_list(category.get("coding"))
    ):
        found["category"] = [*categories, {"coding": [{"system": _CATEGORY, "code": kind.category}]}]
    meta = found.get("meta")
    kept = _profiles(meta, kind)
    found |= {
        "meta": {**(meta if isinstance(meta, dict) else {}), "profile": kept},
        "code": {**(code if isinstance(code, dict) else {}), "coding": _coded(observation, kind)},
    }
    return {name: value for name, value in found.items() if name != "id"}


def _profiles(meta: Tree, kind: _Measurement) -> list[Tree]:
    """Return the profiles of an Observation: that of PMD in the place of VKP's, and what else it says."""
    said = meta.get("profile") if isinstance(meta, dict) else None
    others = [
        one
        for one in (said if isinstance(said, list) else [])
        if isinstance(one, str) and not one.rpartition("/")[2].startswith(_OLDER_PROFILE)
    ]
    return [f"{_PROFILES}{kind.profile}", *others]


def _kind(observation: dict[str, Tree]) -> _Measurement:
    found = (_BY_CODE.get((str(one.get("system")), _right(one))) for one in _codings(observation))
    return next((one for one in found if one is not None), _OTHER)


def _coded(observation: dict[str, Tree], kind: _Measurement) -> list[Tree]:
    """Return the codes of a measurement, with the LOINC code that its profile asks for."""
    codings = [{**one, "code": _right(one)} if "code" in one else one for one in _codings(observation)]
    has_loinc = any(one.get("system") == LOINC for one in codings)
    if has_loinc or kind.loinc is None or not _is_in(observation, kind.unit):
        return [*codings]
    return [{"system": LOINC, "code": kind.loinc}, *codings]


def _is_in(observation: dict[str, Tree], unit: str | None) -> bool:
    """Tell whether a value, if there is one, is in this unit."""
    quantity = observation.get("valueQuantity")
    if unit is None or not isinstance(quantity, dict):
        return True
    return quantity.get("code", quantity.get("unit")) == unit


def _right(coding: dict[str, Tree]) -> str:
    code = str(coding.get("code"))
    return _MISSPELLED.get(code, code) if coding.get("system") == LOINC else code


def _codings(observation: dict[str, Tree]) -> list[dict[str, Tree]]:
    code = observation.get("code")
    return objects_of_list(code.get("coding")) if isinstance(code, dict) else []


class _References:
    """Puts identifiers in the place of references to what is not sent, and notes what is left out."""

    def __init__(
        self, targets: Mapping[str, tuple[str, dict[str, Tree]]], urls: set[str], left_out: dict[str, None]
    ) -> None:
        self._targets = targets
        self._urls = urls
        self._left_out = left_out

    def without(self, path: str, tree: Tree) -> Tree:
        """Return a tree without references that lead nowhere; None where nothing is left."""
        if isinstance(tree, list):
            found = [(one, self.without(path, one)) for one in tree]
            # A null that was there keeps the list aligned with its sibling.
            return [kept for one, kept in found if one is None or kept is not None] or None
        if not isinstance(tree, dict):
            return tree
        fields: dict[str, Tree] = {name: kept for name, kept in self._named(path, tree) if kept is not None}
        is_empty_extension = "url" in fields and len(fields) < len(tree) and fields.keys() <= {"id", "url"}
        return None if is_empty_extension else fields or None

    def _named(self, path: str, tree: dict[str, Tree]) -> Iterator[tuple[str, Tree]]:
        reference = tree.get("reference")
        if not isinstance(reference, str) or reference.startswith("#"):
            for name, value in tree.items():
                yield name, self.without(f"{path}.{printable_name(name)}", value)
            return
        url, target = self._targets.get(reference, ("", {}))
        rest = {name: value for name, value in tree.items() if name != "reference"}
        if url in self._urls:
            rest["reference"] = url
        elif "identifier" not in rest and (number := _identifier(target)) is not None:
            rest["identifier"] = number
        elif "identifier" not in rest:
            self._left_out[f"{path}: whom or what it refers to is not sent, and has no identifier"] = None
        yield from rest.items()


def _identifier(target: dict[str, Tree]) -> Tree:
    """Return the identifier by which a resource is known elsewhere: a national number first, one that is no longer in use last."""
    own = [one for one in objects_of_list(target.get("identifier")) if "system" in one and "value" in one]
    return min(own, key=lambda one: (one.get("use") == "old", one.get("system") not in NATIONAL_SYSTEMS), default=None)
