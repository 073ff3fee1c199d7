"""What becomes of each element on the way from one FHIR release to R4: copied, renamed, or kept in an extension.

Most of the two releases is alike; only the differences are written down here (HL7's R3-to-R4 maps and the resources' change
lists in FHIR R4, hl7.org/fhir/R4/diff.html). What R4 has no place for goes into HL7's cross-version extension, one for every
element of every release (FHIR R4, versions.html#extensions), so that it is neither lost nor given a meaning it does not have.
"""

from dataclasses import dataclass, field
from functools import cache

from translators.fhir.elements import ANY_RESOURCE, NUMERIC, Element, Release, r4, stu3

# STU3 name -> R4 name, where only the name differs or a single value became a list.
_RENAMED = {
    "Binary": {"content": "data"},
    "Communication": {"context": "encounter", "notDoneReason": "statusReason", "topic": "about"},
    "Composition": {"class": "category"},
    "DetectedIssue": {"category": "code", "date": "identifiedDateTime"},
    "Device": {"model": "modelNumber", "udi": "udiCarrier"},
    "Encounter": {"reason": "reasonCode"},
    "Encounter.diagnosis": {"role": "use"},
    "MedicationDispense": {
        "notDoneReasonCodeableConcept": "statusReasonCodeableConcept",
        "notDoneReasonReference": "statusReasonReference",
    },
    "Observation": {"context": "encounter"},
    "QuestionnaireResponse": {"context": "encounter", "parent": "partOf"},
    "Signature": {
        "blob": "data",
        "contentType": "sigFormat",
        "onBehalfOfReference": "onBehalfOf",
        "whoReference": "who",
    },
}
# STU3 name -> the repeating R4 element that holds it, and its name there; all of one row share one item.
_MOVED_INTO = {
    "Device": {"version": ("version", "value")},
    "Dosage": {
        name: ("doseAndRate", name) for name in ("doseQuantity", "doseRange", "rateQuantity", "rateRange", "rateRatio")
    },
    "Observation": {"comment": ("note", "text")},
}
# Read by their STU3 names: they are no part of the result, and what is left of them is kept in extensions.
_NOT_CONVERTED = frozenset({"MessageHeader"})


TAKEN_APART = ">Extension"
"""Ends the key of a backbone type whose elements go into an extension each."""


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one element."""

    name: str
    type: str
    """Of a primitive its FHIR type; of anything else the key of its own steps."""
    repeats: bool
    """In the source; an object where an array belongs is repaired by this."""
    primitive: bool
    is_plain: bool
    """Whether a text is copied under the target name and nothing else is to be done."""
    target: str | None
    """The name in R4; None for what is kept in an extension."""
    wraps: bool
    """Whether R4 has a list where the source has one value."""
    unwraps: bool
    """Whether R4 has one value where the source has a list."""
    into: str | None
    """The repeating element of R4 that holds it."""
    is_object: bool = field(init=False)
    """Whether a value is an object of the type, and no resource that names its type itself."""
    is_copied: bool = field(init=False)
    """Whether it stands in R4 as it does in the source."""

    def __post_init__(self) -> None:
        is_copied = self.target == self.name and not (self.wraps or self.unwraps or self.into)
        object.__setattr__(self, "is_copied", is_copied)
        object.__setattr__(self, "is_object", not self.primitive and self.type != ANY_RESOURCE)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps for every type of a release."""

    release: Release
    types: dict[str, dict[str, Step]]
    resources: frozenset[str]
    """The resource types that R4 has too."""


@cache
def within_r4() -> Plan:
    """Return the plan that leaves every element where it is."""
    return _Planner(r4(), r4()).plan()


@cache
def from_stu3() -> Plan:
    """Return the plan from STU3 (3.0.2) to R4 (4.0.1)."""
    return _Planner(stu3(), r4()).plan()


class _Planner:
    def __init__(self, source: Release, target: Release) -> None:
        self._source = source
        self._target = target
        self._types: dict[str, dict[str, Step]] = {}
        self._values = frozenset(name for name in target.types["Extension"] if name.startswith("value"))

    def plan(self) -> Plan:
        for name in self._source.types:
            if "." not in name and name in self._target.types:
                self._row(name, name)
        both = self._source.resources & self._target.resources
        return Plan(self._source, self._types, both)

    def _row(self, kind: str, becomes: str) -> str:
        """Make the steps of a type that becomes another; return their key."""
        key = kind if kind == becomes else f"{kind}>{becomes}"
        if key not in self._types:
            steps = self._types[key] = {}
            for name, element in self._source.types[kind].items():
                step = self._step(kind, name, element, becomes)
                if step is not None:
                    steps[name] = step
        return key

    def _step(self, kind: str, name: str, element: Element, becomes: str) -> Step | None:
        bare = name.removeprefix("_")
        into, renamed = self._moved(kind, bare)
        is_kept = self._source is not self._target and kind.partition(".")[0] in _NOT_CONVERTED
        if is_kept and bare == "modifierExtension":
            # It cannot stand in an extension.
            return None
        if kind in _NOT_CONVERTED:
            return self._copied(name, element, element, name, None)
        owner = self._target.types[becomes]
        if into is not None:
            owner = self._target.types[owner[into].type]
        target = renamed if name == bare else f"_{renamed}"
        found = owner.get(target)
        if found is not None and self._fits(element, found):
            return self._copied(name, element, found, target, into)
        if "extension" not in self._target.types[becomes]:
            return None
        return self._kept(name, element, self._source.types[kind][bare])

    def _moved(self, kind: str, name: str) -> tuple[str | None, str]:
        if self._source.name == self._target.name:
            return None, name
        into, moved = _MOVED_INTO.get(kind, {}).get(name, (None, None))
        return into, moved or _RENAMED.get(kind, {}).get(name, name)

    def _fits(self, element: Element, found: Element) -> bool:
        """Whether a value of the source's element can stand in R4's."""
        if element.primitive or found.primitive:
            is_text = element.type not in NUMERIC | {"boolean"} and found.type not in NUMERIC | {"boolean"}
            is_number = element.type in NUMERIC and found.type in NUMERIC
            return element.primitive == found.primitive and (is_text or is_number or element.type == found.type)
        if "." in element.type:
            return "." in found.type
        return element.type == found.type

    def _copied(self, name: str, element: Element, found: Element, target: str, into: str | None) -> Step:
        kind = element.type
        if not element.primitive and kind != ANY_RESOURCE:
            kind = self._row(element.type, found.type)
        wraps, unwraps = found.repeats and not element.repeats, element.repeats and not found.repeats
        is_plain = element.is_text and found.is_text and into is None
        return Step(name, kind, element.repeats, element.primitive, is_plain, target, wraps, unwraps, into)

    def _kept(self, name: str, element: Element, value: Element) -> Step | None:
        """Plan an extension, or nothing where R4 has no type that could stand in one."""
        if "." not in value.type and value_name(value.type) not in self._values:
            return None
        kind = element.type if element.primitive else self._kept_row(element.type)
        return Step(name, kind, element.repeats, element.primitive, False, None, False, False, None)

    def _kept_row(self, kind: str) -> str:
        """Make the steps of a type inside an extension; a backbone type keeps its names there. Return their key."""
        if "." not in kind:
            return self._row(kind, kind)
        key = f"{kind}{TAKEN_APART}"
        if key not in self._types:
            steps = self._types[key] = {}
            for name, element in self._source.types[kind].items():
                value = self._source.types[kind][name.removeprefix("_")]
                if name in ("id", "extension") or self._kept(name, element, value) is not None:
                    inner = element.type if element.primitive else self._kept_row(element.type)
                    is_plain = element.is_text
                    steps[name] = Step(
                        name, inner, element.repeats, element.primitive, is_plain, name, False, False, None
                    )
        return key


def value_name(kind: str) -> str:
    """Return what the value of an extension is called when it is of this type."""
    return f"value{kind[0].upper()}{kind[1:]}"
