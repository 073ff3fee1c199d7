"""A page of Pasientinformasjonstjenesten (PIT), and its Patients as VKP answers with them: R4, profile vkp-Patient-v090.

PIT's own profile is not published. What it sends is taken to be a Patient of FHIR R4 whose elements mean what R4 and the
Norwegian base profile say, and is carried whole: only what says who stored it, and how, is left out.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from translators import pit_usual
from translators.contract import Reason, Refused, Tree
from translators.fhir.invariants import objects
from translators.fhir.json_codec import decode, encode
from translators.fhir.moments import order_of
from translators.fhir.quick_check import right_leaves
from translators.fhir.structure import structure_faults
from translators.national_number import kind_of
from translators.patient import BEST_FIRST, NATIONAL_SYSTEMS
from translators.places import spelled

VERSION = "2"
"""Of what is made of a Patient: another one makes local copies anew."""
PATH = "/v1/Patient"
"""Where PIT is asked."""
PROFILE = "http://ehelse.no/fhir/StructureDefinition/vkp-Patient-v090"
_OF_META = ("lastUpdated", "security", "tag")
"""What VKP's readers may know of its storage: when it changed, and whether it is to be kept from somebody."""
_LONGEST_CURSOR = 4096
_QUERY = re.compile(r"[!-~]+")


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
    """Its numbers in record systems, each with its identifier system; not those that are no longer in use, by their use or their period."""
    written: bytes
    """The resource as JSON."""


class PitPage(NamedTuple):
    """Some patients, in the order in which they changed."""

    patients: tuple[PitPatient, ...]
    next: str | None
    """How the next page is asked for: what stands after `?`; None on the last."""


class _Links(msgspec.Struct):
    link: list[dict[str, Any]] = []


def next_of(body: bytes, cursor: str | None) -> str | None:
    """Return where the next page is, where that can be told without reading the rest; the page may still be refused."""
    try:
        following = _next({"link": list[Tree](msgspec.json.decode(body, type=_Links).link)})
    except (msgspec.DecodeError, Refused, UnicodeError, RecursionError):
        return None
    return following if following != cursor else None


def page_of(body: bytes, cursor: str | None) -> PitPage:
    """Read an answer to the question that `cursor` asked; raises `Refused` with the place for what PIT does not document."""
    read = usual_page(body, cursor)
    return read if read is not None else careful_page(body, cursor)


def careful_page(body: bytes, cursor: str | None) -> PitPage:
    """Return `page_of`, whatever is unusual."""
    bundle = decode(body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Refused(Reason.FORMAT, "not a Bundle", "Bundle.resourceType")
    if bundle.get("type") != "searchset":
        raise Refused(Reason.FORMAT, "not a searchset", "Bundle.type")
    following = _next(bundle)
    if following is not None and following == cursor:
        raise Refused(Reason.FORMAT, "the cursor leads to the page that it is on", "Bundle.link")
    patients = [patient for index, entry in enumerate(_list(bundle, "entry")) if (patient := _patient(entry, index))]
    return PitPage(tuple(patients), following)


def usual_page(body: bytes, cursor: str | None) -> PitPage | None:
    """Return `page_of` where all around its patients is usual, in half the time; None has it read carefully."""
    page = pit_usual.page(body)
    if page is None:
        return None
    try:
        following = _next({"link": [{"relation": relation, "url": url} for relation, url in page.links]})
        patients = [_read(one, f"Bundle.entry[{index}].resource") for index, one in enumerate(page.resources)]
    except Refused:
        return None
    return PitPage(tuple(patients), following) if following is None or following != cursor else None


def _read(resource: msgspec.Raw, path: str) -> PitPatient:
    usual = pit_usual.patient(resource, PROFILE)
    if usual is None:
        return patient_of(decode(bytes(resource)), path)
    patient, written = usual
    identifiers = patient.identifier or ()
    numbers = [one.value for one in identifiers if one.system in NATIONAL_SYSTEMS and one.value and kind_of(one.value)]
    local = [
        (one.system, one.value)
        for one in identifiers
        if one.system and one.value and one.system not in NATIONAL_SYSTEMS and one.use != "old"
        if one.period is msgspec.UNSET or not _is_over(one.period.end, patient.meta.lastUpdated)
    ]
    merged = patient.link is not msgspec.UNSET and any(one.type == "replaced-by" for one in patient.link)
    is_in_use = patient.active is not False and not merged
    found = tuple(dict.fromkeys(numbers)), tuple(dict.fromkeys(local))
    return PitPatient(patient.id, patient.meta.lastUpdated, is_in_use, *found, written)


def _patient(entry: Tree, index: int) -> PitPatient | None:
    """Return the patient of an entry; None for what PIT says about the search itself."""
    path = f"Bundle.entry[{index}]"
    if not isinstance(entry, dict):
        raise Refused(Reason.FORMAT, "not an object", path)
    resource, search = entry.get("resource"), entry.get("search")
    if search is not None and not isinstance(search, dict):
        raise Refused(Reason.FORMAT, "not an object", f"{path}.search")
    mode = search.get("mode") if search is not None else None
    if mode == "outcome" and isinstance(resource, dict) and resource.get("resourceType") == "OperationOutcome":
        severities = [one.get("severity") if isinstance(one, dict) else None for one in _list(resource, "issue")]
        if any(one not in ("warning", "information") for one in severities):
            raise Refused(Reason.FORMAT, "PIT says that something was wrong", path)
        return None
    if mode not in (None, "match"):
        raise Refused(Reason.FORMAT, "neither a match nor said of the search", f"{path}.search.mode")
    return patient_of(resource, f"{path}.resource")


def _next(bundle: dict[str, Tree]) -> str | None:
    """Return the query of the `next` link: where it leads is ours to say, for a token goes with it."""
    links = _list(bundle, "link")
    if (wrong := next((i for i, one in enumerate(links) if not isinstance(one, dict)), None)) is not None:
        raise Refused(Reason.FORMAT, "not an object", f"Bundle.link[{wrong}]")
    named = [(i, one) for i, one in enumerate(links) if isinstance(one, dict)]
    if (wrong := next((i for i, one in named if not isinstance(one.get("relation"), str)), None)) is not None:
        raise Refused(Reason.FORMAT, "not a text", f"Bundle.link[{wrong}].relation")
    following = [(f"Bundle.link[{index}].url", one.get("url")) for index, one in named if one["relation"] == "next"]
    if not following:
        return None
    path, url = following[0]
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if len(following) > 1 or parts is None or not parts.path.endswith(PATH):
        raise Refused(Reason.FORMAT, f"the next page is not at {PATH}", path)
    if len(parts.query) > _LONGEST_CURSOR or not _QUERY.fullmatch(parts.query):
        raise Refused(Reason.FORMAT, "no query that can be sent", path)
    return parts.query


def _list(owner: dict[str, Tree], name: str) -> list[Tree]:
    found = owner.get(name, [])
    if not isinstance(found, list):
        raise Refused(Reason.FORMAT, "not an array", f"{owner.get('resourceType')}.{name}")
    return found


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
    numbers, local = _numbers(identifiers), _local(identifiers, updated)
    return PitPatient(own, updated, _is_in_use(resource), numbers, local, encode(result))


def _standing(identifier: dict[str, Tree]) -> tuple[bool, int]:
    """Put in front what a patient is identified by: senders look at the first identifier."""
    system = identifier.get("system")
    rank = BEST_FIRST.index(system) if isinstance(system, str) and system in NATIONAL_SYSTEMS else len(BEST_FIRST)
    return identifier.get("use") == "old", rank


def _numbers(identifiers: list[dict[str, Tree]]) -> tuple[str, ...]:
    """Return right national numbers, also those no longer in use: no other person ever gets one."""
    found = (
        value
        for one in identifiers
        if one.get("system") in NATIONAL_SYSTEMS and isinstance(value := one.get("value"), str) and kind_of(value)
    )
    return tuple(dict.fromkeys(found))


def _local(identifiers: list[dict[str, Tree]], updated: str) -> tuple[tuple[str, str], ...]:
    """Return the numbers of record systems; one no longer in use, or over when the record last changed, may be another's by now."""
    found = []
    for one in identifiers:
        system, value, period = one.get("system"), one.get("value"), one.get("period")
        if isinstance(period, dict) and _is_over(period.get("end"), updated):
            continue
        if isinstance(system, str) and isinstance(value, str) and system not in NATIONAL_SYSTEMS:
            found += [(system, value)] if one.get("use") != "old" else []
    return tuple(dict.fromkeys(found))


def _is_over(end: object, updated: str) -> bool:
    return isinstance(end, str) and order_of(end, updated) == -1


def _is_in_use(resource: dict[str, Tree]) -> bool:
    merged = any(link.get("type") == "replaced-by" for link in objects(resource.get("link")))
    return resource.get("active") is not False and not merged
