"""What the kinds of resources share: a resource on its way from older profiles to v090, and how its pieces are written."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from translators.codes import CODE_SYSTEMS
from translators.contract import Reason, Refused, Tree
from translators.fhir.cross_version import RULE as KEPT
from translators.fhir.cross_version import extensions
from translators.fhir.elements import r4
from translators.made import made
from translators.source import Cursor
from translators.terminology import RENUMBERED, code_system

PROFILES = "http://ehelse.no/fhir/StructureDefinition/"

_VKP_PROFILE = re.compile(r"http://ehelse\.no/fhir/StructureDefinition/vkp-.*-v[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A resource of a message, and the URL by which other entries refer to it."""

    at: Cursor
    link: str
    url: Tree
    """The same as it is written: carried from the entry, or made."""

    @property
    def kind(self) -> str:
        """The resource type, as the source has it."""
        return self.at.text("resourceType") or ""


def taken(at: Cursor, *names: str) -> dict[str, Tree]:
    """Carry these fields, with what a primitive's `_name` holds."""
    held = at.value if isinstance(at.value, dict) else {}
    both = [name for name in names if name in held] + [f"_{name}" for name in names if f"_{name}" in held]
    return {name: at.take(name) for name in both}


def begun(at: Cursor, kind: str, rule: str, *, claims_profile: bool = True) -> dict[str, Tree]:
    """Begin a resource of the profile vkp-<kind>-v090 with what every resource has; `rule` names a change of its type.

    `claims_profile` says whether the resource will be what that profile demands.
    """
    place = at.at("resourceType")
    result: dict[str, Tree] = {}
    if place is not None:
        result["resourceType"] = place.carry() if place.value == kind else place.replaced(kind, rule)
    result |= taken(at, "id")
    meta = _meta(at.at("meta"), f"{PROFILES}vkp-{kind}-v090" if claims_profile else None)
    if meta:
        result["meta"] = meta
    return result | taken(at, "implicitRules", "language", "text", "contained", "modifierExtension")


def carried(at: Cursor, but: Iterable[str] = ()) -> dict[str, Tree]:
    """Carry every field that is not read yet."""
    return at.rest_of_fields(*but)


def says_only(at: Cursor, *names: str) -> bool:
    """Whether an object has exactly these fields, so that what is made of them stands for all of it."""
    return isinstance(at.value, dict) and at.value.keys() == set(names)


def leftovers(at: Cursor, kind: str) -> list[Tree]:
    """Carry every field of a resource of this kind that is not read yet, in extensions of another resource.

    What has a modifierExtension is left unread: it can stand in no extension, and without it the rest says something else.
    """
    kept: dict[str, Tree] = {}
    for below in at.unread():
        rest = _unmodified(below)
        if rest is not None:
            kept[below.name] = rest
            below.repair(KEPT, stays=True)
    return extensions(kept, kind, r4())


def _unmodified(at: Cursor) -> Tree:
    """Read what is not read yet of a field, but no object with a modifierExtension."""
    items = at.children() if isinstance(at.value, list) else [at]
    if at.is_read or all(one.at("modifierExtension") is None for one in items):
        return at.rest()
    return [rest for one in items if one.at("modifierExtension") is None and (rest := one.rest()) is not None] or None


def coding(system: str, code: str) -> dict[str, Tree]:
    """Return a coding with the display that the code system publishes."""
    found = code_system(system)
    concept = found.concept(code) if found is not None else None
    shown: dict[str, Tree] = {"display": concept.display} if concept is not None else {}
    return {"system": system, "code": code, **shown}


def with_coding(concept: Cursor, first: dict[str, Tree], rule: str, superseded: str | None = None) -> dict[str, Tree]:
    """Carry a CodeableConcept whole, with today's coding before its own: the old code says what the sender meant.

    A code of the system `superseded` would say something else today, under the same URL, and is replaced by the new coding.
    """
    own: list[Tree] = []
    for one in concept.each("coding"):
        if superseded is not None and one.text("system") == superseded:
            for below in one.children():
                if below.is_leaf:
                    below.repair(RENUMBERED)
        else:
            own.append(one.carry())
    return {"coding": [made(first, rule), *own], **carried(concept, but=("coding",))}


def recoded(
    concept: Cursor, name: str, today: Callable[[str], str | None], target: str, rule: str
) -> dict[str, Tree] | None:
    """Carry a CodeableConcept with today's code before it; None, and nothing read, where no code of its is of that system.

    `name` is the code system's, without version: `vkp-encounter-reason`. A coding without a system counts.
    """
    code = code_of(concept, name)
    found = today(code) if code is not None else None
    return with_coding(concept, coding(target, found), rule) if found is not None else None


def code_of(concept: Cursor, name: str) -> str | None:
    """Return the code of a concept that is of a code system of this name, in any version, or else of none.

    Raises `Refused` when there are two, which say different things.
    """
    found: list[str] = []
    bare: list[str] = []
    for one in concept.each("coding"):
        system, code = one.text("system"), one.text("code")
        if code is not None and system is None:
            bare.append(code)
        elif code is not None and _is_of(system, name):
            found.append(code)
    codes = set(found or bare)
    if len(codes) > 1:
        raise Refused(Reason.FORMAT, f"two codes of {name}", f"{concept.path}.coding")
    return next(iter(codes), None)


def _is_of(system: str | None, name: str) -> bool:
    return system is not None and system.startswith(f"{CODE_SYSTEMS}{name}-v") and not system.endswith("-v090")


def _meta(at: Cursor | None, profile: str | None) -> dict[str, Tree]:
    """Carry `meta`, with VKP's own profiles replaced by the one of v090, or left out where the resource is not of it."""
    if at is None:
        return {"profile": [made(profile, "profile-of-v090")]} if profile is not None else {}
    profiles: list[Tree] = []
    for one in at.each("profile"):
        is_of_vkp = isinstance(one.value, str) and _VKP_PROFILE.fullmatch(one.value)
        if not is_of_vkp or one.value == profile:
            profiles.append(one.carry())
        else:
            one.repair("profile-of-v090" if profile is not None else "profile-not-claimed")
            if profile is not None and profile not in profiles:
                profiles.append(profile)
    if profile is not None and profile not in profiles:
        profiles.append(made(profile, "profile-of-v090"))
    return {**({"profile": profiles} if profiles else {}), **carried(at, but=("profile",))}
