"""The required bindings of VKP's v090 profiles, checked on what is to be sent.

Source: StructureDefinitions of github.com/HL7Norway/Velferdsteknologi, commit 9d28b9e (2025-11-18), folder VKP-R4. Codes of
VKP's own code systems that no table has are refused before, where they stand in the source (`translators.codes`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from translators.codes import CODE_SYSTEMS, UNKNOWN_PASSED
from translators.contract import Derived, Message, Reason, Refused, Repair, Settings, Tree
from translators.fhir.invariants import objects_of_list
from translators.terminology import (
    ALERT,
    CATEGORY,
    DISPENSE,
    EVENT,
    MODE,
    REASON,
    SEVERITY,
    code_system,
    knows_severity,
    read_code,
)

_BOUND: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {
    "Composition": ((("category",), CATEGORY), (("event", "code"), EVENT)),
    "DetectedIssue": ((("code",), ALERT),),
    "Encounter": ((("participant", "type"), MODE), (("reasonCode",), REASON)),
    "MedicationDispense": ((("category",), DISPENSE),),
}
"""By resource type, the elements that a value set of VKP is required for, and its only code system."""
_SEVERITY_URL = "http://ehelse.no/fhir/StructureDefinition/vkp-severity-level-v090"
_CLASS = f"{CODE_SYSTEMS}vkp-encounter-class-"
_SYSTEM = "system-of-its-binding"


@dataclass(frozen=True, slots=True)
class _Place:
    """A concept, or the coding of a class, and where it stands."""

    path: str
    value: dict[str, Tree]
    system: str
    """The code system that it has to be of."""

    @property
    def codings(self) -> list[dict[str, Tree]]:
        return objects_of_list(self.value.get("coding"))

    @property
    def is_marked(self) -> bool:
        """Whether a code of the right system, but of no table, was let pass where it stood in the source."""
        return any(coding.get("system") == self.system for coding in self.codings)

    def is_met(self) -> bool:
        """Whether one of its codes is of today's table; a concept of words alone names no code that could be wrong."""
        return not self.codings or any(map(self._knows, self.codings))

    def _knows(self, coding: dict[str, Tree]) -> bool:
        system, code = str(coding.get("system", "")), str(coding.get("code", ""))
        if self.system == SEVERITY:
            return knows_severity(system, code)
        return system == self.system and _has(system, code)


def checked(message: Message, settings: Settings) -> Message:
    """Return the message with the code system of codes that have none, where only one can be meant.

    Raises `Refused` for an element whose codes are all of other tables than the profile requires; where the settings let unknown
    codes pass, they are listed as a repair instead. The tree is changed in its place.
    """
    derived: list[Derived] = []
    repairs: list[Repair] = []
    for place in _places(message.tree):
        if place.is_met():
            continue
        if (path := _completed(place, settings)) is not None:
            derived.append(Derived(path, _SYSTEM))
        elif settings.unknown_codes == "pass" and place.system != DISPENSE:
            if not place.is_marked:
                repairs.append(Repair(place.path, UNKNOWN_PASSED))
        else:
            raise Refused(Reason.FORMAT, f"no code of {place.system}, which its profile requires", place.path)
    if not derived and not repairs:
        return message
    coverage = replace(message.coverage, derived=message.coverage.derived + len(derived))
    return replace(
        message,
        repairs=(*message.repairs, *repairs),
        derived=(*message.derived, *derived),
        coverage=coverage,
    )


def has_code(concept: Tree, system: str) -> bool:
    """Tell whether a concept has a code of today's table of this code system."""
    codings = objects_of_list(concept.get("coding")) if isinstance(concept, dict) else []
    return any(one.get("system") == system and _has(system, str(one.get("code", ""))) for one in codings)


def _completed(place: _Place, settings: Settings) -> str | None:
    """Write the system of the first code that has none and is of today's table alone; return where."""
    for index, coding in enumerate(place.codings):
        code = coding.get("code")
        if "system" in coding or not isinstance(code, str) or not _has(place.system, code):
            continue
        display = coding.get("display")
        shown = display if isinstance(display, str) else None
        if read_code(place.system, code, settings.code_history, shown) is None:
            coding["system"] = place.system
            return f"{place.path}.coding[{index}].system"
    return None


def _has(system: str, code: str) -> bool:
    found = code_system(system)
    return found is not None and found.until is None and found.concept(code) is not None


def _places(tree: dict[str, Tree]) -> Iterator[_Place]:
    kind = str(tree["resourceType"])
    yield from _of_resource(tree, kind)
    for path, entry in _below([(kind, tree)], "entry"):
        resource = entry.get("resource")
        if isinstance(resource, dict):
            yield from _of_resource(resource, f"{path}.resource")


def _of_resource(resource: dict[str, Tree], path: str) -> Iterator[_Place]:
    for names, system in _BOUND.get(str(resource.get("resourceType")), ()):
        found = [(path, resource)]
        for name in names:
            found = list(_below(found, name))
        yield from (_Place(below, value, system) for below, value in found)
    for below, extension in _below([(path, resource)], "extension"):
        concept = extension.get("valueCodeableConcept")
        if extension.get("url") == _SEVERITY_URL and isinstance(concept, dict):
            yield _Place(f"{below}.valueCodeableConcept", concept, SEVERITY)
    own = resource.get("class")
    if isinstance(own, dict) and str(own.get("system", "")).startswith(_CLASS):
        yield _Place(f"{path}.class", {"coding": [own]}, str(own["system"]))


def _below(holders: list[tuple[str, dict[str, Tree]]], name: str) -> Iterator[tuple[str, dict[str, Tree]]]:
    """Go through the objects of one field, each with its path."""
    for path, holder in holders:
        value = holder.get(name)
        if isinstance(value, dict):
            yield f"{path}.{name}", value
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                yield f"{path}.{name}[{index}]", item
