"""A Patient of Pasientinformasjonstjenesten (PIT) as VKP answers with it: R4, profile vkp-Patient-v090.

PIT's own profile is not published. What it sends is taken to be a Patient of FHIR R4 whose elements mean what R4 and the
Norwegian base profile say, and is carried whole: only what says who stored it, and how, is left out.
"""

from typing import NamedTuple

from translators.contract import Reason, Refused, Tree
from translators.fhir.invariants import objects
from translators.fhir.quick_check import right_leaves
from translators.fhir.structure import structure_faults
from translators.national_number import kind_of
from translators.patient import BIRTH_NUMBER, D_NUMBER, FH_NUMBER, NATIONAL_SYSTEMS
from translators.places import spelled

VERSION = "1"
"""Of what is made of a Patient: another one makes local copies anew."""
PROFILE = "http://ehelse.no/fhir/StructureDefinition/vkp-Patient-v090"
_BEST_FIRST = (BIRTH_NUMBER, D_NUMBER, FH_NUMBER)
_OF_META = ("lastUpdated", "security", "tag")
"""What VKP's readers may know of its storage: when it changed, and whether it is to be kept from somebody."""


class PitPatient(NamedTuple):
    """What is known of one patient."""

    id: str
    """By which PIT knows the resource."""
    updated: str
    """When PIT last changed it, a FHIR instant."""
    is_in_use: bool
    """False for a record that is no longer used, or was merged into another (Patient.active, Patient.link)."""
    numbers: tuple[str, ...]
    """Its national numbers, the one it is best known by first."""
    local: tuple[tuple[str, str], ...]
    """Its numbers in record systems, each with its identifier system; not those that are no longer in use."""
    resource: dict[str, Tree]


def patient_of(resource: Tree, path: str) -> PitPatient:
    """Return a Patient as VKP answers with it; raises `Refused` with the place, below `path`, for what is none of R4's."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "Patient":
        raise Refused(Reason.FORMAT, "not a Patient", f"{path}.resourceType")
    if right_leaves(resource) is None and (faults := structure_faults(resource)):
        where = spelled(resource, faults[0].path).removeprefix("Patient")
        raise Refused(Reason.FORMAT, faults[0].text, path + where)
    meta = resource.get("meta")
    updated = meta.get("lastUpdated") if isinstance(meta, dict) else None
    if not isinstance(updated, str) or not isinstance(meta, dict):
        raise Refused(Reason.FORMAT, "the time of the last change is missing", f"{path}.meta.lastUpdated")
    own = resource.get("id")
    if not isinstance(own, str):
        raise Refused(Reason.FORMAT, "the id is missing", f"{path}.id")
    kept: dict[str, Tree] = {name: meta[name] for name in _OF_META if name in meta}
    identifiers = sorted(objects(resource.get("identifier")), key=_standing)
    result: dict[str, Tree] = {**resource, "meta": {**kept, "profile": [PROFILE]}}
    if identifiers:
        result["identifier"] = list[Tree](identifiers)
    return PitPatient(own, updated, _is_in_use(resource), _numbers(identifiers), _local(identifiers), result)


def _standing(identifier: dict[str, Tree]) -> tuple[bool, int]:
    """Put in front what a patient is identified by: senders look at the first identifier."""
    system = identifier.get("system")
    rank = _BEST_FIRST.index(system) if isinstance(system, str) and system in NATIONAL_SYSTEMS else len(_BEST_FIRST)
    return identifier.get("use") == "old", rank


def _numbers(identifiers: list[dict[str, Tree]]) -> tuple[str, ...]:
    """Return right national numbers, also those no longer in use: no other person ever gets one."""
    found = (
        value
        for one in identifiers
        if one.get("system") in NATIONAL_SYSTEMS and isinstance(value := one.get("value"), str) and kind_of(value)
    )
    return tuple(dict.fromkeys(found))


def _local(identifiers: list[dict[str, Tree]]) -> tuple[tuple[str, str], ...]:
    """Return the numbers of record systems; one no longer in use may be another's by now."""
    found = []
    for one in identifiers:
        system, value = one.get("system"), one.get("value")
        if isinstance(system, str) and isinstance(value, str) and system not in NATIONAL_SYSTEMS:
            found += [(system, value)] if one.get("use") != "old" else []
    return tuple(dict.fromkeys(found))


def _is_in_use(resource: dict[str, Tree]) -> bool:
    merged = any(link.get("type") == "replaced-by" for link in objects(resource.get("link")))
    return resource.get("active") is not False and not merged
